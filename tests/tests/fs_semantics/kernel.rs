//! What the kernel answers before the daemon is asked, so that the log says nothing of it.

use crate::office::{
    About, CLOSED, CLOSED_TOO, MEMBERS, NAME, OPEN_KINDS, OTHER, OUTSIDERS, OWNER, Office, READERS,
    ROOT, all, ask, everybody, insiders, refused, writers, writers_at_large,
};
use crate::{Statement, statements};
use std::fs;
use std::path::Path;
use tsuwaroku_tests::probe::{Call, on};

/// The statements of this group.
pub const STATEMENTS: &[Statement] = statements![
    s54_the_kernel_stops_outsiders,
    s55_the_kernel_stops_the_daemons_account,
    s56_the_kernel_knows_what_is_there,
    s57_the_kernel_knows_senseless_renames,
    s58_nothing_moves_between_file_systems,
    s59_the_kernel_asks_for_ownership,
    s60_the_kernel_asks_for_capabilities,
    s61_a_descriptor_for_reading_writes_nothing,
    s62_there_are_no_unnamed_files,
    s63_omitted_times_are_no_change,
];

/// Every way to change something in `folder`, whose recordings are [`NAME`] and [`OTHER`].
fn changes(folder: &Path) -> Vec<Call> {
    let (file, new) = (folder.join(NAME), folder.join("new"));
    let to = new.to_str().unwrap();
    vec![
        on("open", &new, &["O_WRONLY|O_CREAT"]),
        on("mkdir", &new, &[]),
        on("mknod-file", &new, &[]),
        on("mknod-fifo", &new, &[]),
        on("bind", &new, &[]),
        on("symlink", &new, &[]),
        on("open", &file, &["O_WRONLY"]),
        on("open", &file, &["O_RDWR|O_TRUNC"]),
        on("unlink", &file, &[]),
        on("rename", &file, &[to]),
        on("link", &file, &[to]),
        on("truncate", &file, &["0"]),
        on("setxattr", &file, &["user.x"]),
        on("removexattr", &file, &["user.tsuwaroku.id"]),
    ]
}

/// S54: Whatever an outsider tries in a closed directory is EACCES.
fn s54_the_kernel_stops_outsiders(office: &Office) {
    let mut calls = Vec::new();
    for below in [CLOSED, CLOSED_TOO] {
        let folder = office.at(below);
        calls.extend(changes(&folder));
        let file = folder.join(NAME);
        for how in ["rmdir", "utimens-now", "utimens-set", "set-access-list"] {
            calls.push(on(how, &file, &[]));
        }
        calls.push(on("chmod", &file, &["440"]));
        calls.push(on("chown", &file, &["-", "-"]));
        calls.push(on("open", &file, &["O_RDONLY|O_TRUNC"]));
        calls.push(on("mkdir", &file, &[]));
        calls.push(on("unlink", &folder.join("nothing"), &[]));
    }
    let asks: Vec<_> = calls
        .into_iter()
        .map(|call| ask(OUTSIDERS, call, "EACCES"))
        .collect();
    office.ask(&asks);
}

/// S55: The daemon's account is the owner, whose mode has no right to write: opening for writing,
/// creating, deleting, renaming, linking, truncating and extended attributes that begin with user.
/// are EACCES for it.
fn s55_the_kernel_stops_the_daemons_account(office: &Office) {
    let mut calls = changes(&office.at(CLOSED));
    calls.extend(changes(&office.at(CLOSED_TOO)));
    calls.push(on("rmdir", &office.at(CLOSED), &[]));
    for below in OPEN_KINDS {
        calls.push(on("mkdir", &office.at(below).join("new"), &[]));
        calls.push(on("setxattr", &office.at(below), &["user.x"]));
    }
    let asks: Vec<_> = calls
        .into_iter()
        .map(|call| ask(OWNER, call, "EACCES"))
        .collect();
    office.ask(&asks);
}

/// S56: Creating or linking a name that is there, by any call that must not find it, is EEXIST,
/// from bind(2) EADDRINUSE; deleting or renaming one that is not there is ENOENT; unlink(2) of a
/// directory is EISDIR, rmdir(2) of a recording ENOTDIR.
fn s56_the_kernel_knows_what_is_there(office: &Office) {
    let (file, closed) = (office.file(), office.at(CLOSED));
    let nothing = closed.join("nothing");
    let new = closed.join("new");
    let (to, taken) = (new.to_str().unwrap(), closed.join(OTHER));
    let mut asks = Vec::new();
    for call in [
        on("mkdir", &file, &[]),
        on("mknod-fifo", &file, &[]),
        on("symlink", &file, &[]),
        on("bind", &file, &[]),
        on("open", &file, &["O_RDWR|O_CREAT|O_EXCL"]),
        on("link", &file, &[taken.to_str().unwrap()]),
    ] {
        let answer = if call[0] == "bind" {
            "EADDRINUSE"
        } else {
            "EEXIST"
        };
        asks.push(ask(&insiders(), call, answer));
    }
    asks.push(ask(&everybody(), on("mkdir", &closed, &[]), "EEXIST"));
    for call in [
        on("unlink", &nothing, &[]),
        on("rmdir", &nothing, &[]),
        on("rename", &nothing, &[to]),
        on("link", &nothing, &[to]),
    ] {
        asks.push(ask(&insiders(), call, "ENOENT"));
    }
    asks.push(ask(
        &writers(),
        on("unlink", &office.at("by-date"), &[]),
        "EISDIR",
    ));
    asks.push(ask(&writers(), on("rmdir", &file, &[]), "ENOTDIR"));
    office.ask(&asks);
}

/// S57: rename(2) of a recording to its own name, or to its name in the other tree, succeeds and
/// does nothing. Of a directory into itself it is EINVAL, onto a directory above it ENOTEMPTY, of a
/// recording onto a directory EISDIR, of a directory onto a recording ENOTDIR. RENAME_NOREPLACE
/// onto a name that is there is EEXIST, RENAME_EXCHANGE with one that is not ENOENT.
fn s57_the_kernel_knows_senseless_renames(office: &Office) {
    let (file, too, closed) = (office.file(), office.file_too(), office.at(CLOSED));
    let rename = |how, from: &Path, to: &Path| on(how, from, &[to.to_str().unwrap()]);
    let another = office.at("by-number/06-6458-7160");
    let other = closed.join(OTHER);
    let nothing = closed.join("nothing");
    office.ask(&[
        ask(&insiders(), rename("rename", &file, &file), "ok"),
        ask(&insiders(), rename("rename", &file, &too), "ok"),
        ask(&insiders(), rename("rename", &closed, &nothing), "EINVAL"),
        ask(
            &everybody(),
            rename(
                "rename",
                &office.at("by-date"),
                &office.at("by-date/2026/x"),
            ),
            "EINVAL",
        ),
        ask(
            &everybody(),
            rename("rename", &closed, &office.at("by-date/2026/11")),
            "ENOTEMPTY",
        ),
        ask(&writers(), rename("rename", &file, &another), "EISDIR"),
        ask(&writers(), rename("rename", &another, &file), "ENOTDIR"),
        ask(
            &insiders(),
            rename("rename-noreplace", &file, &other),
            "EEXIST",
        ),
        ask(
            &insiders(),
            rename("rename-exchange", &file, &nothing),
            "ENOENT",
        ),
    ]);
    assert_eq!(
        fs::metadata(&file).unwrap().len(),
        fs::metadata(&too).unwrap().len()
    );
}

/// S58: rename(2) and link(2) to or from another file system are EXDEV; link(2) of a directory is
/// EPERM.
fn s58_nothing_moves_between_file_systems(office: &Office) {
    let file = office.file();
    let outside = office.out("outside");
    fs::create_dir(&outside).unwrap();
    let out = office.out("new");
    let to = |path: &Path| path.to_str().unwrap().to_owned();
    let new = to(&office.at(CLOSED).join("new"));
    let root = office.at("new");
    office.ask(&[
        ask(&insiders(), on("rename", &file, &[&to(&out)]), "EXDEV"),
        ask(&insiders(), on("rename", &outside, &[&new]), "EXDEV"),
        ask(&insiders(), on("link", &file, &[&to(&out)]), "EXDEV"),
        ask(
            &writers_at_large(),
            on("link", &office.at("by-date"), &[&to(&root)]),
            "EPERM",
        ),
    ]);
}

/// S59: chmod(2), chown(2), utimensat(2) to a given time or of one time only, access lists,
/// FS_IOC_SETFLAGS and FS_IOC_FSSETXATTR are EPERM for readers and members, who do not own the
/// node; chown(2) is for the daemon's account too.
fn s59_the_kernel_asks_for_ownership(office: &Office) {
    let strangers = all(&[READERS, MEMBERS]);
    let mut asks = Vec::new();
    for path in [office.file(), office.at(CLOSED), office.at("by-date/2026")] {
        for call in [
            on("chmod", &path, &["440"]),
            on("chmod", &path, &["777"]),
            on("chown", &path, &["61001", "-"]),
            on("chown", &path, &["-", "61101"]),
            on("utimens-set", &path, &[]),
            on("utimens-mixed", &path, &[]),
            on("set-access-list", &path, &[]),
            on("remove-access-list", &path, &[]),
        ] {
            asks.push(ask(&strangers, call, "EPERM"));
        }
        for how in ["setflags", "fssetxattr"] {
            asks.push(ask(READERS, on(how, &path, &[]), "EPERM"));
        }
        asks.push(ask(OWNER, on("chown", &path, &["0", "-"]), "EPERM"));
        asks.push(ask(OWNER, on("chown", &path, &["-", "0"]), "EPERM"));
    }
    let open = office.at("by-date/2026");
    for how in ["setflags", "fssetxattr"] {
        asks.push(ask(MEMBERS, on(how, &open, &[]), "EPERM"));
    }
    office.ask(&asks);
}

/// S60: mknod(2) of a device, and attributes that begin with trusted. or security., are EPERM for
/// readers and members; for root they are EROFS.
fn s60_the_kernel_asks_for_capabilities(office: &Office) {
    let strangers = all(&[READERS, MEMBERS]);
    let mut asks = Vec::new();
    for (below, about) in [("by-date", About::Open), (CLOSED, About::Number)] {
        let device = on("mknod-device", &office.at(below).join("new"), &[]);
        asks.push(ask(&strangers, device.clone(), "EPERM"));
        asks.push(refused(ROOT, device, "mknod", about));
    }
    for name in ["trusted.x", "security.x"] {
        for how in ["setxattr", "removexattr"] {
            let call = on(how, &office.file(), &[name]);
            asks.push(ask(&strangers, call.clone(), "EPERM"));
            let operation = if how == "setxattr" {
                "setxattr"
            } else {
                "removexattr"
            };
            asks.push(refused(ROOT, call, operation, About::Recording));
        }
    }
    office.ask(&asks);
}

/// S61: On a descriptor of a recording, which is for reading, write(2), fallocate(2) and
/// copy_file_range(2) into it are EBADF, ftruncate(2) is EINVAL; truncate(2) of a directory is
/// EISDIR.
fn s61_a_descriptor_for_reading_writes_nothing(office: &Office) {
    let file = office.file();
    let path = file.to_str().unwrap();
    let other = office.at(CLOSED).join(OTHER);
    let mut asks = vec![
        ask(READERS, on("write", &file, &[]), "EBADF"),
        ask(READERS, on("fallocate", &file, &[]), "EBADF"),
        ask(READERS, on("copy-to", &other, &[path]), "EBADF"),
        ask(
            READERS,
            on("copy-to", Path::new("/proc/version"), &[path]),
            "EBADF",
        ),
        ask(READERS, on("ftruncate", &file, &[]), "EINVAL"),
    ];
    for below in [OPEN_KINDS, &[CLOSED]].concat() {
        asks.push(ask(
            &everybody(),
            on("truncate", &office.at(below), &["0"]),
            "EISDIR",
        ));
    }
    office.ask(&asks);
}

/// S62: open(2) with O_TMPFILE is EOPNOTSUPP where S41 says EROFS.
fn s62_there_are_no_unnamed_files(office: &Office) {
    let open = |below: &str| on("open", &office.at(below), &["O_TMPFILE|O_RDWR"]);
    let at_large = writers_at_large();
    let mut asks: Vec<_> = OPEN_KINDS
        .iter()
        .map(|below| ask(&at_large, open(below), "EOPNOTSUPP"))
        .collect();
    asks.push(ask(&writers(), open(CLOSED), "EOPNOTSUPP"));
    office.ask(&asks);
}

/// S63: utimensat(2) with UTIME_OMIT for both times succeeds for everybody, without so much as a
/// look at the path.
fn s63_omitted_times_are_no_change(office: &Office) {
    let asks = [
        office.file(),
        office.at(CLOSED),
        office.world.mount(),
        office.at("nothing"),
    ]
    .map(|path| ask(&everybody(), on("utimens-omit", &path, &[]), "ok"));
    office.ask(&asks);
}
