//! A small archive of three recordings on two days, and what is done to its files.

use super::*;
use crate::call::Call;
use crate::catalogue::Birth;
use crate::catalogue::tests::signers;
use crate::keys::Keys;
use crate::store::tests::{call, key};
use crate::wav;
use chrono_tz::Tz;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use tsuwaroku_spool::record::Encoding;
use ulid::Ulid;

const ARCHIVE: Ulid = Ulid::from_parts(1, 1);
const DAY_MS: u64 = 86_400_000;

struct Archive {
    folder: tempfile::TempDir,
    catalogue: Catalogue,
    vault: Vault,
}

impl Archive {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        Store::init(&at("primary"), ARCHIVE, "primary").unwrap();
        Keys::init(&at("keys"), ARCHIVE, &key()).unwrap();
        let birth = Birth {
            archive: ARCHIVE,
            time_zone: Tz::Asia__Tokyo,
        };
        Catalogue::init(&at("catalogue"), birth).unwrap();
        let catalogue = Catalogue::open(&at("catalogue"), signers()).unwrap();
        let keys = Keys::open(&at("keys"), ARCHIVE, key()).unwrap();
        let store = Store::open(&at("primary"), ARCHIVE).unwrap();
        let vault = Vault::new(vec![store], Arc::new(keys));
        let archive = Self {
            folder,
            catalogue,
            vault,
        };
        for n in 0..3 {
            archive.take_in(n);
        }
        archive
    }

    fn take_in(&self, n: u64) {
        let audio = [n as u8; 100];
        let id = id(n);
        let started_at = id.timestamp_ms() as i64 * 1_000_000;
        let call = Call {
            id,
            started_at,
            ..call(&audio, 1, Encoding::ALaw)
        };
        let frame = wav::Frame::around(&call, Tz::Asia__Tokyo);
        let mut object = self.vault.begin(&call, &frame).unwrap();
        object.samples(&audio).unwrap();
        let sealed = object.publish().unwrap();
        self.catalogue.archive(call, sealed).unwrap();
    }

    fn object(&self, n: u64) -> PathBuf {
        self.vault.primary().path(id(n))
    }

    /// Path below the store and problem of everything that is found.
    fn findings(&self) -> Vec<(String, Problem)> {
        let mut found = Vec::new();
        let mut tell = |event: Event| {
            if let Event::Finding(finding) = event {
                let root = self.folder.path().join("primary/objects");
                let path = Path::new(&finding.path)
                    .strip_prefix(root)
                    .unwrap()
                    .to_owned();
                found.push((path.display().to_string(), finding.problem));
            }
            true
        };
        verify_metadata(&self.catalogue, &self.vault, &mut tell).unwrap();
        found
    }
}

/// Two on the first day, one on the day after.
fn id(n: u64) -> Ulid {
    Ulid::from_parts(1_795_396_530_250 + n / 2 * DAY_MS + n, n.into())
}

fn name(n: u64) -> String {
    format!("2026/11/{}/{}.tso", 23 + n / 2, id(n))
}

#[test]
fn a_whole_archive_is_without_findings_and_all_of_it_is_looked_at() {
    let archive = Archive::new();
    assert_eq!(archive.findings(), []);
    let mut last = Progress::default();
    let mut tell = |event: Event| {
        if let Event::Progress(progress) = event {
            last = progress;
        }
        true
    };
    verify_metadata(&archive.catalogue, &archive.vault, &mut tell).unwrap();
    assert_eq!((last.checked, last.total), (3, 3));
}

#[test]
fn a_missing_object_is_found_even_with_its_whole_day() {
    let archive = Archive::new();
    fs::remove_file(archive.object(0)).unwrap();
    fs::remove_dir_all(archive.object(2).parent().unwrap()).unwrap();
    assert_eq!(
        archive.findings(),
        [(name(0), Problem::Missing), (name(2), Problem::Missing)]
    );
}

#[test]
fn an_object_of_another_length_is_found() {
    let archive = Archive::new();
    let bytes = fs::read(archive.object(1)).unwrap();
    fs::remove_file(archive.object(1)).unwrap();
    fs::write(archive.object(1), &bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(archive.findings(), [(name(1), Problem::Damaged)]);
}

#[test]
fn files_without_a_recording_are_found_wherever_they_are() {
    let archive = Archive::new();
    let objects = archive.folder.path().join("primary/objects");
    for place in ["2026/11/23/note", "2026/11/24/x.tso", "stray"] {
        fs::write(objects.join(place), "x").unwrap();
    }
    fs::create_dir_all(objects.join("2020/01/01")).unwrap();
    fs::copy(
        archive.object(0),
        objects.join("2020/01/01").join(format!("{}.tso", id(0))),
    )
    .unwrap();
    let mut found = archive.findings();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let places: Vec<_> = found.iter().map(|(place, _)| place.as_str()).collect();
    let copy = format!("2020/01/01/{}.tso", id(0));
    assert_eq!(
        places,
        [
            copy.as_str(),
            "2026/11/23/note",
            "2026/11/24/x.tso",
            "stray"
        ]
    );
    assert!(found.iter().all(|(_, problem)| *problem == Problem::Orphan));
}

#[test]
fn whoever_is_told_can_end_it() {
    let archive = Archive::new();
    for n in 0..3 {
        fs::remove_file(archive.object(n)).unwrap();
    }
    let mut told = 0;
    let mut tell = |_: Event| {
        told += 1;
        false
    };
    verify_metadata(&archive.catalogue, &archive.vault, &mut tell).unwrap();
    assert_eq!(told, 1);
}
