//! What the daemon refuses and logs: changes of names and of content.

use crate::office::{
    About, CLOSED, CLOSED_KINDS, CLOSED_TOO, MEMBERS, OPEN_KINDS, OTHER, Office, READERS, ROOT,
    all, not_opened, refused, writers, writers_at_large,
};
use crate::{Statement, statements};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tsuwaroku_tests::harness::wait_for;
use tsuwaroku_tests::logged::Logged;
use tsuwaroku_tests::probe::{Call, Caller, on};

/// The statements of this group.
pub const STATEMENTS: &[Statement] = statements![
    s39_opening_for_writing_is_refused,
    s40_truncating_while_opening_is_refused,
    s41_creating_is_refused,
    s42_deleting_is_refused,
    s43_renaming_is_refused,
    s44_linking_is_refused,
    s45_truncating_is_refused,
];

/// Each kind of directory, with whoever's attempts come to the daemon from there, and what those are
/// about.
fn folders(office: &Office) -> Vec<(PathBuf, Vec<Caller>, About)> {
    let open = OPEN_KINDS
        .iter()
        .map(|below| (below, writers_at_large(), About::Open));
    let closed = CLOSED_KINDS
        .iter()
        .map(|below| (below, writers(), About::Number));
    open.chain(closed)
        .map(|(below, who, about)| (office.at(below), who, about))
        .collect()
}

/// S39: open(2) of a recording with O_WRONLY or O_RDWR, with O_TRUNC, O_APPEND or O_CREAT or
/// without, is EROFS for readers, members and root.
fn s39_opening_for_writing_is_refused(office: &Office) {
    let flags = [
        "O_WRONLY",
        "O_RDWR",
        "O_WRONLY|O_TRUNC",
        "O_RDWR|O_APPEND",
        "O_WRONLY|O_CREAT",
        "O_RDWR|O_CREAT|O_TRUNC",
        "O_WRONLY|O_DIRECT",
    ];
    let asks: Vec<_> = flags
        .iter()
        .map(|flags| {
            let open = on("open", &office.file(), &[flags]);
            refused(&writers(), open, "open for writing", About::Recording)
        })
        .collect();
    office.ask(&asks);
}

/// S40: open(2) with O_RDONLY and O_TRUNC is EROFS for readers, logged as an opening, a refused
/// truncation and a release; it is EACCES for members and root, who are refused the opening.
fn s40_truncating_while_opening_is_refused(office: &Office) {
    let before = office.settled();
    let open = || on("open", &office.file_too(), &["O_RDONLY|O_TRUNC"]);
    office.ask(&[
        refused(READERS, open(), "truncate", About::Recording),
        not_opened(&all(&[MEMBERS, ROOT]), open()),
    ]);
    for reader in READERS {
        let of_reader = |logged: &Logged| {
            let is = logged.uid() == Some(reader.uid().into());
            is.then(|| format!("{} {}", logged.record["event"], logged.record["result"]))
        };
        let told: Vec<_> = wait_for("three records", Duration::from_secs(30), || {
            let told: Vec<_> = office.log()[before..]
                .iter()
                .filter_map(of_reader)
                .collect();
            (told.len() >= 3).then_some(told)
        });
        let expected = [
            "\"open\" \"done\"",
            "\"refused-write\" \"refused\"",
            "\"release\" \"done\"",
        ];
        assert_eq!(told, expected);
    }
}

/// Every call that makes something new of the name `path`, and what the log calls it.
fn creations(path: &Path) -> [(Call, &'static str); 7] {
    [
        (on("open", path, &["O_RDONLY|O_CREAT"]), "create"),
        (on("open", path, &["O_WRONLY|O_CREAT|O_EXCL"]), "create"),
        (on("mkdir", path, &[]), "mkdir"),
        (on("mknod-file", path, &[]), "mknod"),
        (on("mknod-fifo", path, &[]), "mknod"),
        (on("bind", path, &[]), "mknod"),
        (on("symlink", path, &[]), "symlink"),
    ]
}

/// S41: open(2) with O_CREAT for a new name, mkdir(2), mknod(2) of a file or a FIFO, bind(2) of a
/// socket and symlink(2) are EROFS: in an open directory for everybody, in a closed one for
/// readers, members and root.
fn s41_creating_is_refused(office: &Office) {
    let mut asks = Vec::new();
    for (folder, who, about) in folders(office) {
        for (call, operation) in creations(&folder.join("new")) {
            asks.push(refused(&who, call, operation, about));
        }
    }
    office.ask(&asks);
}

/// S42: unlink(2) of a recording and rmdir(2) of a directory are EROFS for whoever is refused to
/// create beside it by S41.
fn s42_deleting_is_refused(office: &Office) {
    let mut asks = Vec::new();
    for path in [office.file(), office.file_too()] {
        let unlink = on("unlink", &path, &[]);
        asks.push(refused(&writers(), unlink, "unlink", About::Number));
    }
    let kinds = [&OPEN_KINDS[1..], CLOSED_KINDS].concat();
    for below in kinds {
        let path = office.at(below);
        let in_closed = Office::number_of(path.parent().unwrap()).is_some();
        let (who, about) = if in_closed {
            (writers(), About::Number)
        } else {
            (writers_at_large(), About::Open)
        };
        asks.push(refused(&who, on("rmdir", &path, &[]), "rmdir", about));
    }
    office.ask(&asks);
}

/// S43: For whoever is refused to create there by S41, rename(2) of a recording or a directory to a
/// new name, onto another one of its kind, in the same directory or another or from tree to tree,
/// and renameat2(2) with RENAME_EXCHANGE, RENAME_NOREPLACE or RENAME_WHITEOUT, are EROFS.
fn s43_renaming_is_refused(office: &Office) {
    let rename = |how, from: PathBuf, to: PathBuf| on(how, &from, &[to.to_str().unwrap()]);
    let (file, closed, too) = (office.file(), office.at(CLOSED), office.at(CLOSED_TOO));
    let mut asks = Vec::new();
    for (how, to) in [
        ("rename", closed.join("new")),
        ("rename", closed.join(OTHER)),
        ("rename", too.join("new")),
        ("rename", too.join(OTHER)),
        ("rename", office.at("by-date/new")),
        ("rename-exchange", closed.join(OTHER)),
        ("rename-exchange", too.join(OTHER)),
        ("rename-noreplace", closed.join("new")),
        ("rename-whiteout", closed.join("new")),
    ] {
        asks.push(refused(
            &writers(),
            rename(how, file.clone(), to),
            "rename",
            About::Number,
        ));
    }
    let open = |from: &str, to: &str| rename("rename", office.at(from), office.at(to));
    for (from, to) in [
        ("by-date", "new"),
        ("by-date", "by-number"),
        ("by-date/2026", "by-number/2026"),
        ("by-number/06-6458-1132", "by-number/06-6458-7160"),
    ] {
        let who = writers_at_large();
        asks.push(refused(&who, open(from, to), "rename", About::Open));
    }
    asks.push(refused(
        &writers(),
        open(CLOSED, "by-date/new"),
        "rename",
        About::Open,
    ));
    let year = "by-number/06-6458-1132/2026";
    asks.push(refused(
        &writers(),
        open(year, "by-date/new"),
        "rename",
        About::Number,
    ));
    office.ask(&asks);
}

/// S44: link(2) of a recording, in its directory or another, is EROFS for readers, members and
/// root.
fn s44_linking_is_refused(office: &Office) {
    let mut asks = Vec::new();
    for folder in [CLOSED, CLOSED_TOO, "by-date/2026", ""] {
        let new = office.at(folder).join("new");
        let link = on("link", &office.file(), &[new.to_str().unwrap()]);
        asks.push(refused(&writers(), link, "link", About::Recording));
    }
    office.ask(&asks);
}

/// S45: truncate(2) of a recording, shorter or longer, is EROFS for readers, members and root.
fn s45_truncating_is_refused(office: &Office) {
    let asks = ["0", "44", "99999999"].map(|length| {
        let truncate = on("truncate", &office.file(), &[length]);
        refused(&writers(), truncate, "truncate", About::Recording)
    });
    office.ask(&asks);
}
