//! Listing: what readdir says, and to whom.

use crate::office::{
    CLOSED, CLOSED_KINDS, MEMBERS, NAME, OPEN_KINDS, OTHER, OUTSIDERS, OWNER, Office, READERS,
    ROOT, all, ask, everybody, not_listed,
};
use crate::{Statement, statements};
use rustix::fs::{FileType, RawDir, SeekFrom, seek};
use std::fs::{self, File};
use std::mem::MaybeUninit;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use tsuwaroku_tests::probe::on;

/// The statements of this group.
pub const STATEMENTS: &[Statement] = statements![
    s14_listings_are_in_order,
    s15_listings_and_stat_agree,
    s16_offsets_stay,
    s17_who_may_list,
    s18_directories_are_opened_for_listing_only,
];

/// What a directory says of a name in it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Said {
    name: String,
    inode: u64,
    offset: u64,
    folder: bool,
}

/// Everything that an open directory says from where it stands.
fn rest(folder: &File) -> Vec<Said> {
    let mut room = [MaybeUninit::uninit(); 4096];
    let mut entries = RawDir::new(folder, &mut room);
    let mut all = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = entry.unwrap();
        all.push(Said {
            name: entry.file_name().to_str().unwrap().to_owned(),
            inode: entry.ino(),
            offset: entry.next_entry_cookie(),
            folder: entry.file_type() == FileType::Directory,
        });
    }
    all
}

/// The same from the beginning, by root.
fn listed(path: &Path) -> Vec<Said> {
    rest(&File::open(path).unwrap())
}

/// S14: A listing begins with the two names that each directory has, dot and dot-dot; times and
/// recordings follow in the order of time, numbers in the order in which they were designated.
fn s14_listings_are_in_order(office: &Office) {
    let mut longest = 0;
    for path in office.nodes().iter().filter(|path| path.is_dir()) {
        let names: Vec<_> = listed(path).into_iter().map(|said| said.name).collect();
        assert_eq!(names[..2], [".", ".."], "{}", path.display());
        assert!(names[2..].is_sorted(), "{}: {names:?}", path.display());
        longest = longest.max(names.len());
    }
    assert_eq!(longest, 6, "the four numbers");
}

/// S15: Inode number and kind of an entry are those that stat(2) gives; dot-dot in the mount point
/// is the mount point itself.
fn s15_listings_and_stat_agree(office: &Office) {
    let root = fs::metadata(office.world.mount()).unwrap().ino();
    for path in office.nodes().iter().filter(|path| path.is_dir()) {
        for said in listed(path) {
            let stat = fs::symlink_metadata(path.join(&said.name)).unwrap();
            if *path == office.world.mount() && said.name == ".." {
                assert_eq!((said.inode, said.folder), (root, true));
            } else {
                let told = (said.inode, said.folder);
                assert_eq!(
                    told,
                    (stat.ino(), stat.is_dir()),
                    "{} {said:?}",
                    path.display()
                );
            }
        }
    }
}

/// S16: The offset of an entry stays the same: lseek(2) or seekdir(3) to it goes on with the entry
/// after it, in this opening of the directory or another, and after the daemon was started again.
fn s16_offsets_stay(office: &Office) {
    for path in office.nodes().iter().filter(|path| path.is_dir()) {
        let all = listed(path);
        let offsets: Vec<_> = all.iter().map(|said| said.offset).collect();
        assert!(offsets.is_sorted_by(|a, b| a < b), "{offsets:?}");
        let same = File::open(path).unwrap();
        for (at, said) in all.iter().enumerate() {
            for folder in [&same, &File::open(path).unwrap()] {
                seek(folder, SeekFrom::Start(said.offset)).unwrap();
                assert_eq!(rest(folder), all[at + 1..], "{}", path.display());
            }
        }
    }
}

/// S17: Everybody lists open directories. Closed ones are listed by readers, by root and by the
/// daemon's account. Members get EACCES from the daemon, which logs the refused listing; outsiders
/// get EACCES from the kernel.
fn s17_who_may_list(office: &Office) {
    let mut asks = Vec::new();
    let listing = |below: &str| on("list", &office.at(below), &[]);
    for (below, names) in [
        ("", "by-date/by-number"),
        ("by-date", "2026"),
        ("by-date/2026", "11"),
        ("by-date/2026/11", "23"),
        (
            "by-date/2026/11/23",
            "06-6458-1132/06-6458-7160/06-6458-7211/06-6458-7225",
        ),
        (
            "by-number",
            "06-6458-1132/06-6458-7160/06-6458-7211/06-6458-7225",
        ),
    ] {
        asks.push(ask(
            &everybody(),
            listing(below),
            &format!("names:/./../{names}"),
        ));
    }
    let recordings = format!("{NAME}/{OTHER}");
    for (below, names) in CLOSED_KINDS
        .iter()
        .zip([&recordings, "2026", "11", "23", &recordings])
    {
        let may = all(&[READERS, ROOT, OWNER]);
        asks.push(ask(&may, listing(below), &format!("names:/./../{names}")));
        asks.push(not_listed(MEMBERS, listing(below)));
        asks.push(ask(OUTSIDERS, listing(below), "EACCES"));
    }
    office.ask(&asks);
}

/// S18: open(2) of a directory with O_WRONLY, O_RDWR, O_TRUNC or O_CREAT is EISDIR, with both
/// O_DIRECTORY and O_CREAT EINVAL; read(2) of an open one is EISDIR.
fn s18_directories_are_opened_for_listing_only(office: &Office) {
    let mut asks = Vec::new();
    for below in [OPEN_KINDS, &[CLOSED]].concat() {
        let open = |flags| on("open", &office.at(below), &[flags]);
        for flags in [
            "O_WRONLY",
            "O_RDWR",
            "O_RDONLY|O_TRUNC",
            "O_RDONLY|O_CREAT",
            "O_RDWR|O_CREAT|O_TRUNC",
        ] {
            asks.push(ask(&everybody(), open(flags), "EISDIR"));
        }
        asks.push(ask(
            &everybody(),
            open("O_RDONLY|O_CREAT|O_DIRECTORY"),
            "EINVAL",
        ));
    }
    for below in OPEN_KINDS {
        let read = on("read", &office.at(below), &["0", "4"]);
        asks.push(ask(&everybody(), read, "EISDIR"));
    }
    office.ask(&asks);
}
