//! What the archive daemon relies on; what lies in `ready/` is untrusted.

mod recipes;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, SystemTime};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tempfile::{TempDir, tempdir};
use tsuwaroku_spool::{
    Encoding, EndReason, Entry, EntryFault, Item, Reader, Start, Writer, Wrong, entry_name,
};
use ulid::Ulid;

fn spool() -> (TempDir, Reader) {
    let root = tempdir().unwrap();
    let reader = Reader::open(root.path()).unwrap();
    (root, reader)
}

fn put(reader: &Reader, name: impl AsRef<Path>, bytes: &[u8]) -> Item {
    let path = reader.ready_dir().join(name);
    fs::write(&path, bytes).unwrap();
    let items = reader.ready().unwrap();
    items.into_iter().find(|item| item.path == path).unwrap()
}

fn names(folder: &Path) -> Vec<OsString> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names
}

#[test]
fn a_finished_recording_is_seen_read_and_removed() {
    let (root, reader) = spool();
    let writer = Writer::open(root.path()).unwrap();
    let start = Start {
        id: Ulid::from_string(recipes::MONO).unwrap(),
        line: "1".into(),
        card: "hw:0".into(),
        card_channels: vec![1],
        rate: 8000,
        encoding: Encoding::ALaw,
        started_at: 0,
        pre_roll: 0,
        continues: None,
        recorder: String::new(),
    };
    let call = writer.begin(start.clone()).unwrap();
    assert_eq!(reader.ready().unwrap(), []);
    call.finish(7, EndReason::Shutdown).unwrap();
    let items = reader.ready().unwrap();
    assert_eq!(items.len(), 1);
    assert_eq!(items[0].id, Some(start.id));
    let summary = Entry::open(&items[0].path).unwrap().check().unwrap();
    assert_eq!((summary.start, summary.end.ended_at), (start, 7));
    reader.remove(&items[0]).unwrap();
    assert_eq!(reader.ready().unwrap(), []);
    // The archive may have died after it.
    reader.remove(&items[0]).unwrap();
}

#[test]
fn the_oldest_comes_first_and_junk_last() {
    let (_root, reader) = spool();
    let old = entry_name(Ulid::from_parts(1, 0));
    let new = entry_name(Ulid::from_parts(2, 0xFFFF));
    let lower = new.to_lowercase();
    // Beyond 128 bits: not a ULID.
    let large = "8ZZZZZZZZZZZZZZZZZZZZZZZZZ.call";
    for name in [&new, "0-junk", &lower, large, &old] {
        put(&reader, name, b"");
    }
    put(&reader, OsStr::from_bytes(b"\xFF"), b"");
    let items = reader.ready().unwrap();
    let ids: Vec<_> = items
        .iter()
        .map(|item| item.id.map(|id| id.timestamp_ms()))
        .collect();
    assert_eq!(ids, [Some(1), Some(2), None, None, None, None]);
}

#[test]
fn only_regular_files_are_opened_and_nothing_blocks() {
    let (root, reader) = spool();
    let ready = reader.ready_dir();
    let good = root.path().join("good");
    fs::write(&good, recipes::mono().bytes).unwrap();
    symlink(&good, ready.join("link")).unwrap();
    symlink("nowhere", ready.join("dangling")).unwrap();
    fs::create_dir(ready.join("folder")).unwrap();
    mkfifo(&ready.join("pipe"), Mode::S_IRWXU).unwrap();
    let _socket = UnixListener::bind(ready.join("socket")).unwrap();
    symlink("/dev/zero", ready.join("device")).unwrap();
    for item in reader.ready().unwrap() {
        let fault = Entry::open(&item.path).unwrap_err();
        let refused = matches!(fault, EntryFault::NotAFile { .. });
        assert!(refused && fault.is_content(), "{:?}: {fault}", item.name);
        reader.quarantine(&item, &fault.to_string()).unwrap();
    }
    assert_eq!(names(ready).len(), 0);
    assert_eq!(reader.quarantined().unwrap().len(), 6);
    assert!(
        Entry::open(Path::new("/dev/zero"))
            .unwrap_err()
            .is_content()
    );
    Entry::open(&good).unwrap().check().unwrap();
}

#[test]
fn an_entry_that_cannot_be_opened_is_not_at_fault() {
    let (_root, reader) = spool();
    let fault = Entry::open(&reader.ready_dir().join("gone.call")).unwrap_err();
    assert!(!fault.is_content());
    assert!(fault.to_string().contains("gone.call"), "{fault}");
}

#[test]
fn the_name_and_the_start_are_of_one_recording() {
    let (_root, reader) = spool();
    let bytes = recipes::mono().bytes;
    let right = put(&reader, format!("{}.call", recipes::MONO), &bytes);
    Entry::open(&right.path).unwrap().check().unwrap();
    let wrong = put(&reader, format!("{}.call", recipes::STEREO), &bytes);
    let fault = Entry::open(&wrong.path).unwrap().check().unwrap_err();
    let id = Ulid::from_string(recipes::MONO).unwrap();
    assert!(matches!(fault, EntryFault::Content { wrong: Wrong::Name(of), .. } if of == id));
}

#[test]
fn the_end_is_given_only_when_nothing_follows() {
    let (_root, reader) = spool();
    let bytes = [&recipes::mono().bytes[..], b"x"].concat();
    let item = put(&reader, "x.call", &bytes);
    let mut entry = Entry::open(&item.path).unwrap();
    let records: Vec<_> = entry.records().unwrap().collect();
    assert_eq!(records.len(), 4);
    assert!(records[..3].iter().all(Result::is_ok));
    assert!(records[3].is_err());
}

#[test]
fn an_entry_with_too_many_gaps_is_refused() {
    let (_root, reader) = spool();
    let gap = |raw: recipes::Raw, at: u64| {
        raw.json(3, &format!(r#"{{"at":{at},"frames":1,"cause":"queue"}}"#))
    };
    let raw = (12..=100_012).fold(recipes::mono_open(), gap);
    let item = put(&reader, "x.call", &raw.bytes);
    let fault = Entry::open(&item.path).unwrap().check().unwrap_err();
    let EntryFault::Content { record, wrong, .. } = fault else {
        panic!("{fault}");
    };
    assert_eq!((record, wrong), (100_003, Wrong::TooManyGaps));
}

#[test]
fn quarantine_keeps_everything_beside_its_reason() {
    let (root, reader) = spool();
    let before = SystemTime::now() - Duration::from_secs(2);
    for text in ["one", "second"] {
        let item = put(&reader, "a.call", text.as_bytes());
        let old = fs::File::open(&item.path).unwrap();
        old.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        reader
            .quarantine(&item, &format!("because {text}"))
            .unwrap();
    }
    let quarantined = reader.quarantined().unwrap();
    let told = quarantined
        .iter()
        .map(|q| (&q.name[..], q.bytes, &q.reason[..]));
    let told: Vec<_> = told.collect();
    assert_eq!(
        told,
        [
            ("a.call", 3, "because one"),
            ("a.call.1", 6, "because second")
        ]
    );
    assert!(quarantined.iter().all(|q| q.since > before));
    let folder = root.path().join("quarantine");
    assert_eq!(fs::read(folder.join("a.call.1")).unwrap(), b"second");
    assert!(names(reader.ready_dir()).is_empty());
}

#[test]
fn quarantine_takes_names_that_are_made_to_trouble_it() {
    let (root, reader) = spool();
    let long = "x".repeat(255);
    let odd = OsStr::from_bytes(b"\xFF\n.call");
    for name in [
        OsStr::new(&long),
        odd,
        OsStr::new("a.call.reason"),
        OsStr::new("a.call"),
    ] {
        let item = put(&reader, name, b"!");
        reader.quarantine(&item, "no").unwrap();
    }
    // A second long name with the same beginning.
    let item = put(&reader, "x".repeat(254), b"!");
    reader.quarantine(&item, "no").unwrap();
    assert!(names(reader.ready_dir()).is_empty());
    let quarantined = reader.quarantined().unwrap();
    assert_eq!(quarantined.len(), 5);
    assert!(quarantined.iter().all(|q| q.reason == "no" && q.bytes == 1));
    assert_eq!(names(&root.path().join("quarantine")).len(), 10);
}

#[test]
fn a_reason_left_by_a_crash_is_used_again() {
    let (root, reader) = spool();
    let item = put(&reader, "a.call", b"!");
    let folder = root.path().join("quarantine");
    fs::write(folder.join("a.call.reason"), "half a rea").unwrap();
    reader.quarantine(&item, "a reason").unwrap();
    assert_eq!(names(&folder), ["a.call", "a.call.reason"]);
    assert_eq!(reader.quarantined().unwrap()[0].reason, "a reason");
}
