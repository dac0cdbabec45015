//! Two tiers with a copy each: a bad copy is replaced by the good one, and what it was is kept.

use super::*;
use crate::call::Call;
use crate::catalogue::tests::signers;
use crate::catalogue::{Archived, Birth, Moved};
use crate::keys::Keys;
use crate::store::Tier as Level;
use crate::store::tests::{call, key};
use crate::wav;
use chrono_tz::Tz;
use std::fs;
use std::sync::Arc;
use tsuwaroku_spool::record::Encoding;

const ARCHIVE: Ulid = Ulid(1);

struct Pair {
    folder: tempfile::TempDir,
    catalogue: Catalogue,
    vault: Vault,
    recording: Recording,
}

/// A recording whose object is in the primary and in the secondary tier.
fn pair() -> Pair {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let store = |name: &str| {
        Store::init(&at(name), ARCHIVE, name).unwrap();
        Store::open(&at(name), ARCHIVE).unwrap()
    };
    Keys::init(&at("keys"), ARCHIVE, &key()).unwrap();
    let keys = Arc::new(Keys::open(&at("keys"), ARCHIVE, key()).unwrap());
    let vault = Vault::new(vec![store("primary"), store("secondary")], keys);
    let birth = Birth {
        archive: ARCHIVE,
        time_zone: Tz::Asia__Tokyo,
    };
    Catalogue::init(&at("catalogue"), birth).unwrap();
    let catalogue = Catalogue::open(&at("catalogue"), signers()).unwrap();

    let audio = [7; 300];
    let made: Call = call(&audio, 1, Encoding::ALaw);
    let mut object = vault
        .begin(&made, &wav::Frame::around(&made, Tz::Asia__Tokyo))
        .unwrap();
    object.samples(&audio).unwrap();
    let sealed = object.publish().unwrap();
    let (primary, secondary) = (
        vault.tiers()[0].path(made.id),
        vault.tiers()[1].path(made.id),
    );
    fs::create_dir_all(secondary.parent().unwrap()).unwrap();
    fs::copy(primary, secondary).unwrap();
    let Archived::New(recording) = catalogue.archive(made, sealed).unwrap() else {
        panic!("it is new");
    };
    Pair {
        folder,
        catalogue,
        vault,
        recording: *recording,
    }
}

fn damage(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_good_copy_of_another_tier_repairs_a_bad_one() {
    for tier in [0, 1] {
        let Pair {
            folder: _folder,
            vault,
            recording,
            ..
        } = pair();
        let path = vault.tiers()[tier].path(recording.id);
        damage(&path);
        let found = check_copies(&vault, &recording, Depth::Verify);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].problem, Problem::Damaged);
        assert!(found[0].repaired, "{found:?}");
        assert_eq!(
            check_copies(&vault, &recording, Depth::Verify),
            [],
            "both are good again"
        );
        let set_aside = path.ancestors().nth(5).unwrap().join("set-aside");
        assert_eq!(
            fs::read_dir(set_aside).unwrap().count(),
            1,
            "the bad one is kept"
        );
    }
}

#[test]
fn two_bad_copies_repair_nothing() {
    let Pair {
        folder: _folder,
        vault,
        recording,
        ..
    } = pair();
    for tier in vault.tiers() {
        damage(&tier.path(recording.id));
    }
    let found = check_copies(&vault, &recording, Depth::Scrub);
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|finding| !finding.repaired));
}

/// R5.2: what could not be looked at is not said to be good, nor to be damaged.
#[test]
fn what_a_missing_tier_has_is_told_apart() {
    let pair = pair();
    let moved = Moved {
        key: pair.recording.key,
        id: pair.recording.id,
        from: Level::Primary,
        to: Level::Secondary,
        stored_bytes: pair.recording.sealed.stored_bytes,
    };
    pair.catalogue.switch(0, vec![moved], vec![]).unwrap();
    let home = pair.vault.primary().path(pair.recording.id);
    fs::remove_file(home).unwrap();
    let told = |vault: &Vault| {
        let (mut last, mut others) = (Progress::default(), 0);
        let mut tell = |event| {
            match event {
                Event::Progress(progress) => last = progress,
                Event::Finding(_) => others += 100,
                Event::Good(_) => others += 1,
            }
            true
        };
        verify(&pair.catalogue, vault, &Filter::default(), 2, &mut tell).unwrap();
        let whole = (last.checked, last.away, others);
        let mut tell = |event| {
            assert!(matches!(event, Event::Progress(_)), "{event:?}");
            true
        };
        verify_metadata(&pair.catalogue, vault, &mut tell).unwrap();
        whole
    };
    assert_eq!(told(&pair.vault), (1, 0, 1));
    let keys = Arc::new(Keys::open(&pair.folder.path().join("keys"), ARCHIVE, key()).unwrap());
    let alone = Vault::new(vec![pair.vault.primary().clone()], keys);
    assert_eq!(told(&alone), (0, 1, 0));
}
