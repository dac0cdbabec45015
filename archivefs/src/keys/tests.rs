use super::*;

const JANUARY: Ulid = Ulid::from_parts(1_767_300_000_000, 7);
const ARCHIVE: Ulid = Ulid::from_parts(1, 1);

fn table(master: &Key) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.sqlite");
    Keys::init(&path, ARCHIVE, master).unwrap();
    (folder, path)
}

/// The `n`th recording; several months, and not in the order of their identities.
fn id(n: u64) -> Ulid {
    let spread = n * 7919 % 1009;
    Ulid::from_parts(1_767_300_000_000 + spread * 40_000_000, u128::from(n))
}

/// An archive with two tiers.
struct Archive {
    folder: tempfile::TempDir,
    master: Key,
}

impl Archive {
    fn new() -> Self {
        let (master, folder) = (Key::random().unwrap(), tempfile::tempdir().unwrap());
        let archive = Self { folder, master };
        Keys::init(&archive.table(), ARCHIVE, &archive.master).unwrap();
        archive
    }

    fn table(&self) -> PathBuf {
        self.folder.path().join("keys.sqlite")
    }

    fn tiers(&self) -> [PathBuf; 2] {
        ["first", "second"].map(|tier| self.folder.path().join(tier))
    }

    /// As the daemon opens it.
    fn open(&self) -> Keys {
        let keys = Keys::open(&self.table(), ARCHIVE, self.master.clone()).unwrap();
        keys.settle(self.tiers()).unwrap();
        keys
    }

    /// Every byte of every file.
    fn bytes(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for folder in [self.folder.path().to_owned()].iter().chain(&self.tiers()) {
            for file in std::fs::read_dir(folder).unwrap().flatten() {
                all.extend(std::fs::read(file.path()).unwrap_or_default());
            }
        }
        all
    }
}

fn sealed(table: &Path, id: Ulid) -> Vec<u8> {
    KeyTable::open(table)
        .unwrap()
        .key(id)
        .unwrap()
        .unwrap()
        .sealed
}

fn contains(all: &[u8], wanted: &[u8]) -> bool {
    all.windows(wanted.len()).any(|window| window == wanted)
}

/// A copy of the files `names` of the archive's directory, as a backup would have taken it.
fn taken_along(archive: &Archive, names: &[&str]) -> tempfile::TempDir {
    let elsewhere = tempfile::tempdir().unwrap();
    for name in names {
        let from = archive.folder.path().join(name);
        std::fs::copy(from, elsewhere.path().join(name)).unwrap();
    }
    elsewhere
}

#[test]
fn a_rotation_changes_no_key_and_makes_old_copies_of_the_table_worthless() {
    let archive = Archive::new();
    let keys = archive.open();
    let before: Vec<_> = (0..40)
        .map(|n| keys.get_or_create(id(n)).unwrap())
        .collect();
    let old = taken_along(&archive, &["keys.sqlite", "keys.sqlite-wal"]);
    assert!(keys.destroy(id(7)).unwrap());
    let rotated = keys.rotate().unwrap();
    assert_eq!((rotated.generation, rotated.recordings), (2, 39));
    assert_eq!(rotated.behind, Vec::<String>::new());
    let check = |keys: &Keys| {
        for (n, key) in (0..).zip(&before) {
            match keys.get(id(n)) {
                Ok(found) => assert!(n != 7 && found.expose() == key.expose()),
                Err(error) => assert!(n == 7 && matches!(error, KeyError::NoKey(_)), "{error}"),
            }
        }
    };
    check(&keys);
    drop(keys);
    check(&archive.open());
    // The old copy, the master key, and all that is left: its secret is gone.
    let old_table = old.path().join("keys.sqlite");
    let open = || Keys::open(&old_table, ARCHIVE, archive.master.clone());
    assert!(matches!(
        open(),
        Err(KeyError::NoSecret { generation: 1, .. })
    ));
    std::fs::copy(
        archive.folder.path().join("keys.secret"),
        old.path().join("keys.secret"),
    )
    .unwrap();
    assert!(matches!(
        open(),
        Err(KeyError::NoSecret { generation: 1, .. })
    ));
}

/// The limit of it, as tsuwaroku-store(5) says: who has taken the secret along too has everything.
#[test]
fn an_old_copy_with_its_secret_still_opens() {
    let archive = Archive::new();
    let keys = archive.open();
    keys.get_or_create(id(1)).unwrap();
    let names = ["keys.sqlite", "keys.sqlite-wal", "keys.secret"];
    let old = taken_along(&archive, &names);
    keys.destroy(id(1)).unwrap();
    keys.rotate().unwrap();
    let old = Keys::open(
        &old.path().join("keys.sqlite"),
        ARCHIVE,
        archive.master.clone(),
    );
    assert!(old.unwrap().get(id(1)).is_ok());
}

/// Many keys in no order, so that pages were split and cells moved; then some are destroyed.
#[test]
fn no_sealed_key_of_an_erased_recording_is_left_in_any_file() {
    let archive = Archive::new();
    let keys = archive.open();
    for n in 0..600 {
        keys.get_or_create(id(n)).unwrap();
    }
    let erased: Vec<u64> = (0..600).filter(|n| n % 11 == 3).collect();
    let their = |n: &u64| sealed(&archive.table(), id(*n));
    let sealed: Vec<Vec<u8>> = erased.iter().map(their).collect();
    assert!(contains(&archive.bytes(), &sealed[0]));
    for n in &erased {
        keys.destroy(id(*n)).unwrap();
    }
    // Other names of the same bytes: what a search of the disk would see of files that are gone.
    let disk = tempfile::tempdir().unwrap();
    let folders = [archive.folder.path().to_owned()];
    for (at, folder) in folders.iter().chain(&archive.tiers()).enumerate() {
        for file in std::fs::read_dir(folder).unwrap().flatten() {
            let name = format!("{at}-{}", file.file_name().display());
            // Not a directory.
            let _ = std::fs::hard_link(file.path(), disk.path().join(name));
        }
    }
    let survivor = self::sealed(&archive.table(), id(4));
    keys.rotate().unwrap();
    let mut left = archive.bytes();
    for file in std::fs::read_dir(disk.path()).unwrap().flatten() {
        left.extend(std::fs::read(file.path()).unwrap());
    }
    for sealed in sealed.iter().chain([&survivor]) {
        assert!(!contains(&left, sealed));
    }
}

/// Killed before any step, every survivor has its key at once and after the next start, and the
/// rotation that is begun again ends.
#[test]
fn a_rotation_can_be_killed_at_any_step() {
    for step in step::Step::ALL {
        let archive = Archive::new();
        let keys = archive.open();
        let before: Vec<_> = (0..20)
            .map(|n| keys.get_or_create(id(n)).unwrap())
            .collect();
        keys.destroy(id(3)).unwrap();
        let former = sealed(&archive.table(), id(4));
        step::fail(Some(step));
        let outcome = keys.rotate();
        step::fail(None);
        let met = outcome
            .as_ref()
            .map_or(true, |rotated| !rotated.behind.is_empty());
        assert!(met, "{step:?} was not met: {outcome:?}");
        let check = |keys: &Keys, when: &str| {
            for (n, key) in (0..).zip(&before).filter(|(n, _)| *n != 3) {
                let found = keys
                    .get(id(n))
                    .unwrap_or_else(|e| panic!("{step:?}, {when}: {e}"));
                assert_eq!(found.expose(), key.expose(), "{step:?}, {when}");
            }
            assert!(keys.get(id(3)).is_err(), "{step:?}, {when}");
        };
        check(&keys, "running on");
        let beside = Keys::open(&archive.table(), ARCHIVE, archive.master.clone());
        check(&beside.unwrap(), "another program");
        keys.get_or_create(id(99)).unwrap();
        drop(keys);
        let keys = archive.open();
        check(&keys, "started again");
        assert!(keys.get(id(99)).is_ok(), "{step:?}");
        let rotated = keys.rotate().unwrap();
        assert_eq!(rotated.behind, Vec::<String>::new(), "{step:?}");
        check(&keys, "rotated again");
        assert!(!contains(&archive.bytes(), &former), "{step:?}");
        for tier in archive.tiers() {
            let copy = Keys::open(&tier.join("keys.sqlite"), ARCHIVE, archive.master.clone());
            check(&copy.unwrap(), "a tier");
        }
    }
}

/// Who wants a key, or a new one, while all are sealed anew, gets it.
#[test]
fn keys_are_had_while_they_are_sealed_anew() {
    let archive = Archive::new();
    let keys = archive.open();
    let before: Vec<_> = (0..50)
        .map(|n| keys.get_or_create(id(n)).unwrap())
        .collect();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    for (n, key) in (0..).zip(&before) {
                        assert_eq!(keys.get(id(n)).unwrap().expose(), key.expose());
                    }
                }
            });
        }
        scope.spawn(|| (100..160).for_each(|n| drop(keys.get_or_create(id(n)).unwrap())));
        for _ in 0..8 {
            keys.rotate().unwrap();
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    for n in 100..160 {
        keys.get(id(n)).unwrap();
    }
}

/// A tier and the master key give every recording back.
#[test]
fn the_table_is_had_back_from_a_tier() {
    let archive = Archive::new();
    let keys = archive.open();
    keys.rotate().unwrap();
    let key = keys.get_or_create(id(1)).unwrap();
    keys.get_or_create(id(2)).unwrap();
    keys.destroy(id(2)).unwrap();
    let log = keys.log_signers().unwrap()[0].vkey();
    drop(keys);
    let new = tempfile::tempdir().unwrap();
    let table = new.path().join("keys/keys.sqlite");
    let stranger = Keys::recover(&table, ARCHIVE, &Key::random().unwrap(), archive.tiers());
    assert!(matches!(stranger, Err(KeyError::NoCopy(_))));
    let from = Keys::recover(&table, ARCHIVE, &archive.master, archive.tiers()).unwrap();
    assert!(archive.tiers().iter().any(|tier| from.starts_with(tier)));
    let keys = Keys::open(&table, ARCHIVE, archive.master.clone()).unwrap();
    assert_eq!(keys.get(id(1)).unwrap().expose(), key.expose());
    assert!(matches!(keys.get(id(2)), Err(KeyError::NoKey(_))));
    assert_eq!(keys.log_signers().unwrap()[0].vkey(), log);
    assert!(Keys::recover(&table, ARCHIVE, &archive.master, archive.tiers()).is_err());
}

/// A tier that is away does not stop recording; an erasure says so, and is done when it is back.
#[test]
fn a_copy_that_was_away_is_brought_up_to_date() {
    let archive = Archive::new();
    let keys = archive.open();
    keys.get_or_create(id(1)).unwrap();
    let former = sealed(&archive.table(), id(1));
    let [first, _] = archive.tiers();
    let away = archive.folder.path().join("away");
    drop(keys);
    std::fs::rename(&first, &away).unwrap();
    // Something that is no directory, as a mount point that cannot be written.
    std::fs::write(&first, "").unwrap();
    let keys = archive.open();
    let status = keys.status().unwrap();
    assert!(status.copies[0].trouble.is_some() && status.copies[1].trouble.is_none());
    keys.get_or_create(id(2)).unwrap();
    let refused = keys.destroy(id(1)).unwrap_err();
    assert!(matches!(refused, KeyError::CopyBehind { .. }), "{refused}");
    assert!(keys.get(id(1)).is_err(), "it is gone for the archive");
    std::fs::remove_file(&first).unwrap();
    std::fs::rename(&away, &first).unwrap();
    keys.destroy(id(1)).unwrap();
    assert!(keys.status().unwrap().copies[0].trouble.is_none());
    keys.rotate().unwrap();
    assert!(!contains(&archive.bytes(), &former));
}

/// The archive's own disk was brought back from an old copy: the tiers know better.
#[test]
fn an_old_table_does_not_win_over_a_newer_copy() {
    let archive = Archive::new();
    let keys = archive.open();
    keys.get_or_create(id(1)).unwrap();
    keys.get_or_create(id(2)).unwrap();
    let names = ["keys.sqlite", "keys.sqlite-wal", "keys.secret"];
    let old = taken_along(&archive, &names);
    keys.destroy(id(1)).unwrap();
    keys.rotate().unwrap();
    let key = keys.get_or_create(id(3)).unwrap();
    drop(keys);
    for name in names {
        std::fs::copy(old.path().join(name), archive.folder.path().join(name)).unwrap();
    }
    let keys = archive.open();
    assert!(
        matches!(keys.get(id(1)), Err(KeyError::NoKey(_))),
        "it was erased"
    );
    assert!(keys.get(id(2)).is_ok());
    assert_eq!(keys.get(id(3)).unwrap().expose(), key.expose());
    assert_eq!(keys.status().unwrap().generation, 2);
}

/// One row that is damaged does not keep all others under old seals.
#[test]
fn a_damaged_key_is_carried_along() {
    let archive = Archive::new();
    let keys = archive.open();
    let key = keys.get_or_create(id(1)).unwrap();
    let epoch = epoch_of(id(1));
    let broken = SealedKey {
        epoch,
        sealed: vec![1; 60],
    };
    keys.get_or_create(id(4)).unwrap();
    keys.table.put_key(id(5), &broken).unwrap();
    assert_eq!(keys.rotate().unwrap().recordings, 3);
    assert!(matches!(keys.get(id(5)), Err(KeyError::Damaged(_))));
    assert_eq!(keys.get(id(1)).unwrap().expose(), key.expose());
}

#[test]
fn a_recordings_key_stays_the_same() {
    let master = Key::random().unwrap();
    let (_folder, path) = table(&master);
    let keys = Keys::open(&path, ARCHIVE, master.clone()).unwrap();
    let key = keys.get_or_create(JANUARY).unwrap();
    assert_eq!(keys.get_or_create(JANUARY).unwrap().expose(), key.expose());
    drop(keys);
    let keys = Keys::open(&path, ARCHIVE, master).unwrap();
    assert_eq!(keys.get(JANUARY).unwrap().expose(), key.expose());
    assert_eq!(keys.status().unwrap().epochs, [(202_601, 1)]);
    let other = Ulid::from_parts(1_767_300_000_000, 8);
    assert!(matches!(keys.get(other), Err(KeyError::NoKey(_))));
    assert_ne!(keys.get_or_create(other).unwrap().expose(), key.expose());
}

#[test]
fn another_master_key_or_archive_is_refused() {
    let master = Key::random().unwrap();
    let (_folder, path) = table(&master);
    let error = Keys::open(&path, ARCHIVE, Key::random().unwrap()).unwrap_err();
    assert!(
        error.to_string().contains("restore it from escrow"),
        "{error}"
    );
    assert!(Keys::open(&path, Ulid::from_parts(2, 2), master).is_err());
}

/// The log's key stays the same, and a new one comes before it.
#[test]
fn the_logs_keys_are_kept() {
    let master = Key::random().unwrap();
    let (_folder, path) = table(&master);
    let keys = Keys::open(&path, ARCHIVE, master.clone()).unwrap();
    let names = |keys: &Keys| -> Vec<String> {
        keys.log_signers()
            .unwrap()
            .iter()
            .map(Signer::vkey)
            .collect()
    };
    let first = names(&keys);
    let second = keys.new_log_signer().unwrap().vkey();
    drop(keys);
    let keys = Keys::open(&path, ARCHIVE, master).unwrap();
    assert_eq!(names(&keys), [second, first[0].clone()]);
}

/// Keys cannot be read from the table without the master key.
#[test]
fn the_table_holds_no_key_in_the_clear() {
    let master = Key::random().unwrap();
    let (folder, path) = table(&master);
    let keys = Keys::open(&path, ARCHIVE, master.clone()).unwrap();
    let key = keys.get_or_create(JANUARY).unwrap();
    drop(keys);
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        for secret in [&key, &master] {
            assert!(!bytes.windows(32).any(|window| window == secret.expose()));
        }
    }
}
