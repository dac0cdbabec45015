//! Opening: who listens, and with which flags.

use crate::office::{
    CLOSED, MEMBERS, NAME, OPEN_KINDS, OUTSIDERS, OWNER, Office, READERS, ROOT, all, ask,
    everybody, insiders, not_opened,
};
use crate::{Statement, statements};
use std::fs;
use tsuwaroku_tests::harness::accounts::{KATO, as_reader};
use tsuwaroku_tests::harness::files;
use tsuwaroku_tests::probe::{Caller, on};

/// The statements of this group.
pub const STATEMENTS: &[Statement] = statements![
    s19_only_readers_listen,
    s20_what_one_has_cached_opens_nothing_to_another,
    s21_a_path_only_descriptor_reads_nothing,
    s22_flags_that_change_nothing_are_accepted,
    s23_only_owners_ask_for_no_access_time,
    s24_nothing_is_executed,
    s25_handles_open_what_paths_open,
];

/// S19: open(2) of a recording for reading works for readers. Members, root and the daemon's
/// account get EACCES from the daemon, which logs the refused opening; outsiders get EACCES from
/// the kernel.
fn s19_only_readers_listen(office: &Office) {
    let mut asks = Vec::new();
    for path in [office.file(), office.file_too()] {
        let open = || on("open", &path, &["O_RDONLY"]);
        asks.push(ask(READERS, open(), "ok"));
        asks.push(not_opened(&all(&[MEMBERS, ROOT, OWNER]), open()));
        asks.push(ask(OUTSIDERS, open(), "EACCES"));
        // "RIFF"
        asks.push(ask(READERS, on("read", &path, &["0", "4"]), "52494646"));
    }
    office.ask(&asks);
}

/// S20: What the kernel remembers of a reader's walk lets nobody else in: outsiders still can
/// neither list, stat nor open, a reader of another line included.
fn s20_what_one_has_cached_opens_nothing_to_another(office: &Office) {
    let others: Vec<_> = as_reader(|| {
        let all = files(&office.world.mount());
        assert_eq!(all.len(), 2 * office.calls.len());
        for path in &all {
            fs::read(path).unwrap();
        }
        all.into_iter()
            .filter(|path| !path.starts_with(office.at(CLOSED)))
            .collect()
    });
    let mut asks = Vec::new();
    for path in others {
        let mut who = OUTSIDERS.to_vec();
        if Office::number_of(&path) != Office::number_of(&office.file()) {
            who.push(Caller::Person(KATO));
        }
        let folder = path.parent().unwrap();
        for call in [
            on("list", folder, &[]),
            on("stat", &path, &[]),
            on("open", &path, &["O_RDONLY"]),
            on("getxattr", &path, &["user.tsuwaroku.id"]),
        ] {
            asks.push(ask(&who, call, "EACCES"));
        }
    }
    office.ask(&asks);
}

/// S21: open(2) with O_PATH needs the way to the node, as S3 says, and is not logged; nothing can
/// be read from it.
fn s21_a_path_only_descriptor_reads_nothing(office: &Office) {
    office.ask(&[
        ask(&insiders(), on("open", &office.file(), &["O_PATH"]), "ok"),
        ask(
            &insiders(),
            on("read-path-only", &office.file(), &[]),
            "EBADF",
        ),
        ask(OUTSIDERS, on("open", &office.file(), &["O_PATH"]), "EACCES"),
        ask(
            &everybody(),
            on("open", &office.at(CLOSED), &["O_PATH"]),
            "ok",
        ),
    ]);
}

/// S22: Together with O_RDONLY, readers may give O_APPEND, O_CREAT for a name that is there,
/// O_DIRECT, O_NOFOLLOW, O_NONBLOCK and O_SYNC. O_DIRECTORY is ENOTDIR for a recording.
fn s22_flags_that_change_nothing_are_accepted(office: &Office) {
    let mut asks = Vec::new();
    for flag in [
        "O_APPEND",
        "O_CREAT",
        "O_DIRECT",
        "O_NOFOLLOW",
        "O_NONBLOCK",
        "O_SYNC",
    ] {
        let open = on("open", &office.file(), &[&format!("O_RDONLY|{flag}")]);
        asks.push(ask(READERS, open, "ok"));
    }
    let open = on("open", &office.file(), &["O_RDONLY|O_DIRECTORY"]);
    asks.push(ask(&insiders(), open, "ENOTDIR"));
    office.ask(&asks);
}

/// S23: O_NOATIME is EPERM for readers and members, from the kernel, which allows it to owners
/// only.
fn s23_only_owners_ask_for_no_access_time(office: &Office) {
    let open = || on("open", &office.file(), &["O_RDONLY|O_NOATIME"]);
    office.ask(&[
        ask(&all(&[READERS, MEMBERS]), open(), "EPERM"),
        not_opened(&all(&[ROOT, OWNER]), open()),
    ]);
}

/// S24: execve(2) is EACCES for everybody, and mmap(2) with PROT_EXEC is EPERM: the mount is
/// noexec.
fn s24_nothing_is_executed(office: &Office) {
    office.ask(&[
        ask(&everybody(), on("exec", &office.file(), &[]), "EACCES"),
        ask(READERS, on("mmap-exec", &office.file(), &[]), "EPERM"),
    ]);
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let mount = office.world.mount();
    let is = |line: &&str| line.split(' ').nth(1) == mount.to_str();
    let ours = mounts.lines().find(is).unwrap();
    assert!(ours.contains("noexec"), "{ours}");
}

/// S25: name_to_handle_at(2) gives a handle of any node. open_by_handle_at(2) is EPERM without
/// CAP_DAC_READ_SEARCH; with it, root opens a directory, and gets EACCES for a recording, logged as
/// in S19.
fn s25_handles_open_what_paths_open(office: &Office) {
    let mount = office.world.mount();
    let by_handle = |below: &str| {
        on(
            "open-by-handle",
            &mount,
            &[office.at(below).to_str().unwrap()],
        )
    };
    let mut asks = Vec::new();
    for below in [OPEN_KINDS, &[CLOSED]].concat() {
        asks.push(ask(
            &all(&[READERS, MEMBERS, OUTSIDERS, OWNER]),
            by_handle(below),
            "EPERM",
        ));
        asks.push(ask(ROOT, by_handle(below), "directory"));
    }
    asks.push(ask(
        &all(&[READERS, MEMBERS, OWNER]),
        by_handle(&format!("{CLOSED}/{NAME}")),
        "EPERM",
    ));
    asks.push(not_opened(ROOT, by_handle(&format!("{CLOSED}/{NAME}"))));
    office.ask(&asks);
}
