//! Attributes: what stat says.

use crate::office::{NAME, Office};
use crate::{Statement, statements};
use chrono::{FixedOffset, TimeZone};
use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use tsuwaroku_tests::calls::RATE;
use tsuwaroku_tests::harness::accounts::{BACK, DESK, as_reader};
use tsuwaroku_tests::keeper::KEEPER;
use tsuwaroku_tests::office::LINES;
use tsuwaroku_tests::probe::{Caller, on};

/// The statements of this group.
pub const STATEMENTS: &[Statement] = statements![
    s07_modes_say_who_may_read,
    s08_everything_is_the_daemons,
    s09_everything_has_two_links,
    s10_sizes_are_those_of_the_wav_files,
    s11_times_are_those_of_the_calls,
    s12_a_recording_is_one_file_in_both_trees,
    s13_a_restart_changes_nothing,
];

/// What root is told of everything on the mount.
fn stats(office: &Office) -> BTreeMap<PathBuf, Metadata> {
    let nodes = office.nodes().into_iter();
    let stat = |path: PathBuf| (path.clone(), fs::symlink_metadata(path).unwrap());
    nodes.map(stat).collect()
}

/// S7: The mode of a recording is 0440, of a closed directory 0550, of an open directory 0555.
fn s07_modes_say_who_may_read(office: &Office) {
    let mut seen = [0; 3];
    for (path, stat) in stats(office) {
        let (mode, kind) = match (stat.is_dir(), Office::number_of(&path)) {
            (false, _) => (0o100_440, 0),
            (true, Some(_)) => (0o040_550, 1),
            (true, None) => (0o040_555, 2),
        };
        assert_eq!(stat.permissions().mode(), mode, "{}", path.display());
        seen[kind] += 1;
    }
    assert_eq!(seen, [2 * office.calls.len(), 5 * LINES.len(), 6]);
}

/// S8: The owner of everything is the daemon's account. The group of recordings and closed
/// directories is the reader group of their line, of open directories the daemon's group.
fn s08_everything_is_the_daemons(office: &Office) {
    for (path, stat) in stats(office) {
        let group = match Office::number_of(&path) {
            None => KEEPER,
            Some(number) if number == LINES[0].number => DESK,
            Some(_) => BACK,
        };
        assert_eq!(
            (stat.uid(), stat.gid()),
            (KEEPER, group),
            "{}",
            path.display()
        );
    }
}

/// S9: The link count of everything is 2.
fn s09_everything_has_two_links(office: &Office) {
    for (path, stat) in stats(office) {
        assert_eq!(stat.nlink(), 2, "{}", path.display());
    }
}

/// S10: The size of a recording is that of its WAV file, and its blocks are this size in units of
/// 512 bytes, rounded up; a directory has 0 of both. The preferred size of a read is 131072 bytes.
fn s10_sizes_are_those_of_the_wav_files(office: &Office) {
    for (path, stat) in stats(office) {
        let size = if stat.is_dir() {
            0
        } else {
            as_reader(|| fs::read(&path)).unwrap().len() as u64
        };
        let told = (stat.len(), stat.blocks(), stat.blksize());
        assert_eq!(
            told,
            (size, size.div_ceil(512), 131_072),
            "{}",
            path.display()
        );
    }
}

/// Seconds and nanoseconds of the three times.
fn times(stat: &Metadata) -> [(i64, i64); 3] {
    [
        (stat.atime(), stat.atime_nsec()),
        (stat.mtime(), stat.mtime_nsec()),
        (stat.ctime(), stat.ctime_nsec()),
    ]
}

/// When the call ended whose recording is at `path`, nanoseconds since 1970.
fn end(office: &Office, path: &Path) -> u64 {
    let name = path.file_stem().unwrap().to_str().unwrap();
    let is = |id: String| id.ends_with(&name[name.len() - 4..]);
    let mut calls = office.calls.iter().filter(|call| is(call.id.to_string()));
    let call = calls.next().unwrap();
    call.id.timestamp_ms() * 1_000_000
        + call.recorded().len() as u64 * 1_000_000_000 / u64::from(RATE)
}

/// When the year, the month or the day begins in Tokyo that the names in `below` say, seconds since
/// 1970; none if they say none.
fn beginning(below: &Path) -> Option<i64> {
    let names: Vec<_> = below.iter().map(|name| name.to_str().unwrap()).collect();
    let year = names.iter().position(|name| *name == "2026")?;
    let part = |at: usize| {
        names
            .get(year + at)
            .and_then(|it| it.parse().ok())
            .unwrap_or(1)
    };
    let tokyo = FixedOffset::east_opt(9 * 3600).unwrap();
    let begins = tokyo
        .with_ymd_and_hms(2026, part(1), part(2), 0, 0, 0)
        .unwrap();
    Some(begins.timestamp())
}

/// S11: Access, modification and change time of a recording are the end of its call; of a directory
/// the beginning of its year, month or day, and of the others the time at which the archive was
/// made. statx(2) tells no time of birth. Reading changes none of them.
fn s11_times_are_those_of_the_calls(office: &Office) {
    let seconds = |at: SystemTime| at.duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let mut births = Vec::new();
    for (path, stat) in stats(office) {
        let below = path.strip_prefix(office.world.mount()).unwrap();
        let told = times(&stat);
        if stat.is_file() {
            as_reader(|| fs::read(&path)).unwrap();
            let end = end(office, &path) as i64;
            let expected = (end / 1_000_000_000, end % 1_000_000_000);
            assert_eq!(told, [expected; 3], "{}", path.display());
        } else if let Some(begins) = beginning(below) {
            assert_eq!(told, [(begins, 0); 3], "{}", path.display());
        } else {
            births.push(told);
        }
        let again = fs::symlink_metadata(&path).unwrap();
        assert_eq!(times(&again), told, "{}", path.display());
        assert_eq!(Caller::Root.makes(on("statx-born", &path, &[])), "not told");
    }
    assert_eq!(births.len(), 3 + LINES.len());
    let (born, _) = births[0][0];
    assert!(
        births.iter().flatten().all(|it| *it == births[0][0]),
        "{births:?}"
    );
    assert!((seconds(office.begun)..=seconds(SystemTime::now())).contains(&born));
}

/// S12: A recording has one inode number, the same in both trees, and no other node has it.
fn s12_a_recording_is_one_file_in_both_trees(office: &Office) {
    let mut names: BTreeMap<u64, Vec<PathBuf>> = BTreeMap::new();
    for (path, stat) in stats(office) {
        names.entry(stat.ino()).or_default().push(path);
    }
    let mut recordings = 0;
    for paths in names.values() {
        let [one, rest @ ..] = &paths[..] else {
            panic!("no path")
        };
        if one.is_dir() {
            assert!(rest.is_empty(), "{paths:?}");
            continue;
        }
        recordings += 1;
        let [other] = rest else { panic!("{paths:?}") };
        assert_eq!(one.file_name(), other.file_name());
        assert!(one.starts_with(office.at("by-date")), "{}", one.display());
        assert!(
            other.starts_with(office.at("by-number")),
            "{}",
            other.display()
        );
    }
    assert_eq!(recordings, office.calls.len());
    assert!(office.file().ends_with(NAME));
}

/// S13: Inode numbers, sizes, modes and times are the same after the daemon was stopped and started
/// again.
fn s13_a_restart_changes_nothing(office: &Office) {
    let told = |office: &Office| -> Vec<_> {
        let all = stats(office).into_iter();
        all.map(|(path, stat)| (path, stat.ino(), stat.len(), stat.mode(), times(&stat)))
            .collect()
    };
    let before = told(office);
    office.stop();
    office.start();
    assert_eq!(told(office), before);
}
