//! Reading, and what else a descriptor of a recording is good for.

use crate::office::{CLOSED, Office, READERS, ask};
use crate::{Statement, statements};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::fs::{self, File};
use tsuwaroku_tests::calls::MadeCall;
use tsuwaroku_tests::harness::accounts::{KATO, SATO, as_reader};
use tsuwaroku_tests::probe::{Caller, hexadecimal, on};

/// The statements of this group.
pub const STATEMENTS: &[Statement] = statements![
    s26_any_range_is_read,
    s27_there_are_no_holes,
    s28_a_mapping_is_for_reading,
    s29_bytes_are_sent_on,
    s30_there_is_nothing_to_write_back,
    s31_locks_are_the_kernels,
    s32_nobody_is_told_of_new_recordings,
    s33_statfs_counts_the_wav_files,
];

/// S26: read(2) and pread(2) give the bytes from any offset on, up to the end; at the end and
/// behind it they give 0 bytes.
fn s26_any_range_is_read(office: &Office) {
    let whole = office.bytes();
    let size = whole.len();
    let mut asks = Vec::new();
    for (offset, length) in [
        (0, 1),
        (0, size + 100),
        (1, 43),
        (4095, 2),
        (size / 2, 5000),
        (size - 1, 1),
        (size - 2, 9),
    ] {
        let expected = hexadecimal(&whole[offset..size.min(offset + length)]);
        let words = [offset.to_string(), length.to_string()];
        let read = on("read", &office.file(), &[&words[0], &words[1]]);
        asks.push(ask(READERS, read, &expected));
    }
    for offset in [size, size + 1, 1 << 40] {
        let read = on("read", &office.file(), &[&offset.to_string(), "9"]);
        asks.push(ask(READERS, read, "end"));
    }
    office.ask(&asks);
}

/// S27: lseek(2) with SEEK_END gives the size, with SEEK_DATA the offset itself and with SEEK_HOLE
/// the size; from the end on, the last two are ENXIO.
fn s27_there_are_no_holes(office: &Office) {
    let size = office.bytes().len().to_string();
    let seek = |whence, offset: &str| on("lseek", &office.file(), &[whence, offset]);
    let mut asks = vec![ask(READERS, seek("end", "0"), &size)];
    for offset in ["0", "44", "9999"] {
        asks.push(ask(READERS, seek("data", offset), offset));
        asks.push(ask(READERS, seek("hole", offset), &size));
    }
    for whence in ["data", "hole"] {
        asks.push(ask(READERS, seek(whence, &size), "ENXIO"));
        asks.push(ask(READERS, seek(whence, "99999999"), "ENXIO"));
    }
    office.ask(&asks);
}

/// S28: mmap(2) with PROT_READ works, shared or private, and private with PROT_WRITE too, which
/// changes the copy of the process. MAP_SHARED with PROT_WRITE is EACCES: it takes a descriptor for
/// writing, which nobody gets.
fn s28_a_mapping_is_for_reading(office: &Office) {
    let map = |how| on(how, &office.file(), &[]);
    // The first letter of "RIFF".
    office.ask(&[
        ask(READERS, map("mmap-private"), "52"),
        ask(READERS, map("mmap-shared"), "52"),
        ask(READERS, map("mmap-private-write"), "52"),
        ask(READERS, map("mmap-shared-write"), "EACCES"),
    ]);
    assert_eq!(&office.bytes()[..4], b"RIFF");
}

/// S29: sendfile(2) and splice(2) from a recording work. copy_file_range(2) and FICLONE to another
/// file system are EXDEV.
fn s29_bytes_are_sent_on(office: &Office) {
    let whole = office.bytes();
    let sato = [Caller::Person(SATO)];
    let to = |how, name: &str| on(how, &office.file(), &[office.out(name).to_str().unwrap()]);
    office.ask(&[
        ask(&sato, to("sendfile", "sent"), &whole.len().to_string()),
        ask(&sato, on("splice", &office.file(), &[]), "52494646"),
        ask(&sato, to("copy-from", "copied"), "EXDEV"),
        ask(&sato, to("reflink-from", "linked"), "EXDEV"),
    ]);
    assert!(fs::read(office.out("sent")).unwrap() == whole);
}

/// S30: fsync(2), fdatasync(2), syncfs(2) and posix_fadvise(2) succeed and do nothing to the
/// archive.
fn s30_there_is_nothing_to_write_back(office: &Office) {
    let before = office.bytes();
    let calls = ["fsync", "fdatasync", "syncfs", "fadvise"];
    let paths = [office.file(), office.at(CLOSED), office.world.mount()];
    let asks: Vec<_> = calls
        .iter()
        .flat_map(|call| {
            paths
                .iter()
                .map(|path| ask(READERS, on(call, path, &[]), "ok"))
        })
        .collect();
    office.ask(&asks);
    assert!(office.bytes() == before);
}

/// S31: flock(2), shared or exclusive, and a lock for reading by fcntl(2) work between processes of
/// this machine; a lock for writing by fcntl(2) is EBADF, because the descriptor is for reading.
fn s31_locks_are_the_kernels(office: &Office) {
    let kato = [Caller::Person(KATO)];
    let lock = |how, answer| ask(&kato, on(how, &office.file(), &[]), answer);
    office.ask(&[
        lock("flock-shared", "ok"),
        lock("flock-exclusive", "ok"),
        lock("lock-shared", "ok"),
        lock("lock-exclusive", "EBADF"),
    ]);
    let open = || as_reader(|| File::open(office.file())).unwrap();
    let held = Flock::lock(open(), FlockArg::LockExclusiveNonblock).unwrap();
    office.ask(&[
        lock("flock-shared", "EAGAIN"),
        lock("flock-exclusive", "EAGAIN"),
    ]);
    drop(held);
    let held = Flock::lock(open(), FlockArg::LockSharedNonblock).unwrap();
    office.ask(&[
        lock("flock-shared", "ok"),
        lock("flock-exclusive", "EAGAIN"),
    ]);
    drop(held);
    office.ask(&[lock("flock-exclusive", "ok")]);
}

/// S32: inotify(7) accepts a watch and tells nobody of new recordings; the next listing shows them.
fn s32_nobody_is_told_of_new_recordings(office: &Office) {
    office.ask(&[ask(READERS, on("watch", &office.at(CLOSED), &[]), "ok")]);
    let watch = Inotify::init(InitFlags::IN_NONBLOCK).unwrap();
    let news = AddWatchFlags::IN_CREATE
        | AddWatchFlags::IN_MOVED_TO
        | AddWatchFlags::IN_MODIFY
        | AddWatchFlags::IN_ATTRIB;
    for below in ["by-date/2026/11/23", CLOSED] {
        watch.add_watch(&office.at(below), news).unwrap();
    }
    let listed = || fs::read_dir(office.at(CLOSED)).unwrap().count();
    assert_eq!(listed(), 2);
    office.archive(&MadeCall::nth(8));
    assert_eq!(watch.read_events().unwrap_err(), Errno::EAGAIN);
    assert_eq!(listed(), 3);
}

/// S33: statfs(2) gives the bytes of all WAV files in blocks of 4096, rounded up, as used and none
/// as free; recordings and the two trees as files and none as free; and 255 as the longest name.
fn s33_statfs_counts_the_wav_files(office: &Office) {
    let sizes = office.world.recordings().into_iter();
    let sizes: Vec<u64> = sizes
        .map(|path| fs::metadata(path).unwrap().len())
        .collect();
    let used = sizes.iter().sum::<u64>().div_ceil(4096) * 4096;
    let expected = format!(
        "used={used} free=0 files={} free-files=0 longest-name=255",
        sizes.len() + 2
    );
    let asks: Vec<_> = [office.file(), office.at(CLOSED), office.world.mount()]
        .iter()
        .map(|path| ask(READERS, on("statfs", path, &[]), &expected))
        .collect();
    office.ask(&asks);
}
