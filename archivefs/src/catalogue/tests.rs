//! The catalogue as its callers meet it.

use super::*;
use crate::store::tests::call;
use tsuwaroku_spool::record::Encoding;

/// Keys for the log of a test.
pub(crate) fn signers() -> Vec<Signer> {
    vec![Signer::new("tsuwaroku/test", [7; 32]).unwrap()]
}

pub(crate) fn catalogue() -> (tempfile::TempDir, Catalogue) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalogue.sqlite");
    let birth = Birth {
        archive: Ulid::from_parts(1, 1),
        time_zone: Tz::Asia__Tokyo,
    };
    Catalogue::init(&path, birth).unwrap();
    let catalogue = Catalogue::open(&path, signers()).unwrap();
    (folder, catalogue)
}

/// A row changed with the database's own means, as whoever has its file can.
pub(crate) fn tamper(path: &Path, sql: &str) {
    let connection = Connection::open(path).unwrap();
    assert_eq!(connection.execute(sql, []).unwrap(), 1, "{sql}");
}

/// Record `seq`, a search, is made one of a listing.
pub(crate) fn change_record(path: &Path, seq: u64) {
    let sql = "UPDATE log SET record = CAST(replace(CAST(record AS TEXT), 'find', 'list') AS BLOB)";
    tamper(path, &format!("{sql} WHERE seq = {seq}"));
}

/// There was a checkpoint of `size` records.
pub(crate) fn add_checkpoint(path: &Path, size: u64) {
    let sql = "INSERT INTO checkpoint (size, at, note) VALUES";
    tamper(path, &format!("{sql} ({size}, 0, 'x')"));
}

fn sealed(byte: u8) -> Sealed {
    Sealed {
        wav_bytes: 100,
        wav_sha256: [byte; 32],
        stored_bytes: 50,
    }
}

fn some_call(number: &str, milliseconds: u64, tie: u128, party: Option<&str>) -> Call {
    Call {
        id: Ulid::from_parts(milliseconds, tie),
        number: number.into(),
        started_at: milliseconds as i64 * 1_000_000,
        other_party: party.map(str::to_owned),
        ..call(&[0; 100], 1, Encoding::ALaw)
    }
}

#[test]
fn what_is_archived_is_found_again_after_a_restart() {
    let (folder, catalogue) = catalogue();
    let call = some_call("06-6458-1132", 1_795_396_530_250, 5, Some("0312345678"));
    let Archived::New(there) = catalogue.archive(call.clone(), sealed(1)).unwrap() else {
        panic!("it is new");
    };
    drop(catalogue);
    let catalogue = Catalogue::open(&folder.path().join("catalogue.sqlite"), signers()).unwrap();
    assert_eq!(catalogue.by_id(call.id).unwrap().as_ref(), Some(&*there));
    assert_eq!(catalogue.by_key(there.key).unwrap().as_ref(), Some(&*there));
    let day = Day::new(2026, 11, 23).unwrap();
    assert_eq!(catalogue.recordings(there.number, day).unwrap(), [*there]);
    assert_eq!(catalogue.birth().time_zone, Tz::Asia__Tokyo);
}

/// Ingest may be killed after the commit and come again with the same entry.
#[test]
fn a_call_enters_once() {
    let (_folder, catalogue) = catalogue();
    let call = some_call("06-6458-1132", 1_795_396_530_250, 5, None);
    let first = catalogue.archive(call.clone(), sealed(1)).unwrap();
    let again = catalogue.archive(call, sealed(2)).unwrap();
    let (Archived::New(first), Archived::Already(again)) = (first, again) else {
        panic!("it enters once");
    };
    assert_eq!(first, again);
    assert_eq!(catalogue.totals().unwrap().recordings, 1);
}

#[test]
fn many_enter_at_once_or_none() {
    let (_folder, catalogue) = catalogue();
    let made = |n: u64| {
        (
            some_call("06-6458-1132", 1_795_396_530_000 + n, 1, None),
            sealed(1),
        )
    };
    catalogue.archive_many((0..50).map(made)).unwrap();
    assert_eq!(catalogue.totals().unwrap().recordings, 50);
    // The last one says two starts.
    let mut calls: Vec<_> = (50..100).map(made).collect();
    calls[49].0.started_at += 2_000_000;
    let error = catalogue.archive_many(calls).unwrap_err();
    assert!(matches!(error, CatalogueError::Impossible(_)), "{error}");
    assert_eq!(catalogue.totals().unwrap().recordings, 50);
}

#[test]
fn no_recording_begins_when_no_key_can_say_it() {
    let (_folder, catalogue) = catalogue();
    let late = some_call("06-6458-1132", 1 << 42, 1, None);
    let archived = catalogue.archive(late, sealed(1));
    assert!(
        matches!(archived, Err(CatalogueError::Impossible(_))),
        "{archived:?}"
    );
}

#[test]
fn many_callers_are_all_answered_and_all_in() {
    let (_folder, catalogue) = catalogue();
    std::thread::scope(|scope| {
        for caller in 0..16_u128 {
            let catalogue = &catalogue;
            scope.spawn(move || {
                for n in 0..20 {
                    let call = some_call("06-6458-1132", 1_795_396_530_000 + n, caller, None);
                    let archived = catalogue.archive(call.clone(), sealed(3)).unwrap();
                    assert!(matches!(archived, Archived::New(_)));
                    assert!(catalogue.by_id(call.id).unwrap().is_some());
                }
            });
        }
    });
    assert_eq!(catalogue.totals().unwrap().recordings, 320);
}

#[test]
fn find_narrows_by_everything_at_once() {
    let (_folder, catalogue) = catalogue();
    let number = catalogue.designate("06-6458-1132").unwrap();
    for n in 0..10 {
        let party = format!("03123456{n:02}");
        let call = some_call(
            "06-6458-1132",
            1_795_396_530_000 + n * 1000,
            1,
            Some(&party),
        );
        catalogue.archive(call, sealed(1)).unwrap();
    }
    catalogue
        .archive(
            some_call("06-6458-7160", 1_795_396_530_000, 2, None),
            sealed(1),
        )
        .unwrap();
    let count = |filter: Filter| catalogue.find(&filter, 100).unwrap().len();
    let all = Filter::default();
    assert_eq!(count(all.clone()), 11);
    assert_eq!(
        count(Filter {
            number: Some(number),
            ..all.clone()
        }),
        10
    );
    let start = Some(1_795_396_532_000..1_795_396_535_000);
    assert_eq!(
        count(Filter {
            start,
            ..all.clone()
        }),
        3
    );
    assert_eq!(
        count(Filter {
            other_party: Some("0312345603".into()),
            ..all.clone()
        }),
        1
    );
    assert_eq!(
        count(Filter {
            other_party: Some("03123".into()),
            ..all.clone()
        }),
        10
    );
    // 100 frames at 50 Hz are two seconds.
    assert_eq!(
        count(Filter {
            length: Some(0..=2_000_000_000),
            ..all.clone()
        }),
        11
    );
    assert_eq!(
        count(Filter {
            length: Some(0..=1_999_999_999),
            ..all.clone()
        }),
        0
    );
    let page = catalogue.find(&all, 4).unwrap();
    let after = Some(page.last().unwrap().key);
    assert_eq!(count(Filter { after, ..all }), 7);
}

#[test]
fn days_are_those_of_the_office() {
    let (_folder, catalogue) = catalogue();
    // 23:59:59 and 00:00:00 in Tokyo, 2026-11-22 and 23.
    for milliseconds in [1_795_359_599_000, 1_795_359_600_000] {
        catalogue
            .archive(some_call("06-6458-1132", milliseconds, 1, None), sealed(1))
            .unwrap();
    }
    let days: Vec<_> = catalogue
        .days(None, 0..=u32::MAX)
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(days, ["2026-11-22", "2026-11-23"]);
    assert!(catalogue.has_day(None, 20_261_122..=20_261_122).unwrap());
    assert!(!catalogue.has_day(None, 20_261_121..=20_261_121).unwrap());
}

#[test]
fn a_newer_schema_is_refused_and_a_missing_archive_is_named() {
    let (folder, catalogue) = catalogue();
    drop(catalogue);
    let path = folder.path().join("catalogue.sqlite");
    open(&path, OpenFlags::empty())
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    let error = Catalogue::open(&path, signers()).unwrap_err().to_string();
    assert!(error.contains("schema 99"), "{error}");
    let error = Catalogue::open(&folder.path().join("other"), signers())
        .unwrap_err()
        .to_string();
    assert!(error.contains("tsuwaroku init"), "{error}");
    let birth = Birth {
        archive: Ulid::from_parts(1, 1),
        time_zone: Tz::UTC,
    };
    assert!(
        Catalogue::init(&path, birth)
            .unwrap_err()
            .to_string()
            .contains("already")
    );
}
