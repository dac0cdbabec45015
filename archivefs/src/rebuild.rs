//! Enters recordings into the catalogue again, from their objects: what is known of a call is sealed in
//! its object too. Recordings that are in stay as they are, the log stays as it is and goes on, and an
//! object that does not open is told of, not touched. What was erased has no key, so it does not come
//! back.

use crate::catalogue::{Archived, Catalogue, CatalogueError, Moved, Recording};
use crate::clock::now;
use crate::keys::KeyError;
use crate::store::{Object, Sealed, Store, Tier};
use crate::vault::{Vault, VaultError};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use ulid::Ulid;

/// Threads that open objects: as many rows are in one commit.
const THREADS: usize = 16;

/// What a rebuild has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rebuilt {
    /// Files looked at.
    pub objects: u64,
    /// Recordings that were in the catalogue already.
    pub known: u64,
    /// Recordings that were entered.
    pub entered: u64,
    /// Objects of recordings that have no key: they were erased.
    pub erased: u64,
    /// Objects that could not be entered, each of which was told of.
    pub failed: u64,
}

/// What hears how far a rebuild is, and of each file that cannot be entered, why.
pub type Tell<'a> = &'a mut (dyn FnMut(Rebuilt, Option<Unentered<'_>>) + Send);
/// A file that cannot be entered, and why.
pub type Unentered<'a> = (&'a Path, String);

/// Looks at every object of `vault`, and enters what `catalogue` does not know. `tell` hears how far it
/// is, and of each file that cannot be entered, why.
///
/// # Errors
/// The catalogue cannot be read or written; it can be done again.
pub fn rebuild<'a>(
    catalogue: &'a Catalogue,
    vault: &'a Vault,
    tell: Tell<'_>,
) -> Result<Rebuilt, CatalogueError> {
    // The primary tier first: there are those that are in two, because they were moving.
    let tiers = Tier::ALL.into_iter().zip(vault.tiers());
    let objects = |(tier, store): (Tier, &'a Store)| store.objects().map(move |path| (tier, path));
    let run = Run {
        catalogue,
        vault,
        state: Mutex::new((Rebuilt::default(), tell)),
        files: Mutex::new(Box::new(tiers.flat_map(objects))),
        fault: Mutex::default(),
    };
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| run.work());
        }
    });
    if let Some(fault) = locked(&run.fault).take() {
        return Err(fault);
    }
    let (rebuilt, _) = &*locked(&run.state);
    Ok(*rebuilt)
}

type Files<'a> = Box<dyn Iterator<Item = (Tier, io::Result<PathBuf>)> + Send + 'a>;

struct Run<'a> {
    catalogue: &'a Catalogue,
    vault: &'a Vault,
    state: Mutex<(Rebuilt, Tell<'a>)>,
    files: Mutex<Files<'a>>,
    /// Why it cannot go on.
    fault: Mutex<Option<CatalogueError>>,
}

/// What became of a file.
enum Fate {
    Known,
    Entered,
    Erased,
    Failed(String),
}

impl Run<'_> {
    fn work(&self) {
        while let Some((tier, file)) = self.next() {
            let (path, fate) = match file {
                Ok(path) => {
                    let fate = self.enter(tier, &path);
                    (path, fate)
                }
                Err(error) => (PathBuf::new(), Ok(Fate::Failed(error.to_string()))),
            };
            match fate {
                Ok(fate) => self.count(&path, fate),
                Err(error) => *locked(&self.fault) = Some(error),
            }
        }
    }

    fn next(&self) -> Option<(Tier, io::Result<PathBuf>)> {
        if locked(&self.fault).is_some() {
            return None;
        }
        locked(&self.files).next()
    }

    fn enter(&self, tier: Tier, path: &Path) -> Result<Fate, CatalogueError> {
        let Some(id) = id_of(path) else {
            let reason = "its name is not that of an object: ULID.tso";
            return Ok(Fate::Failed(reason.into()));
        };
        if self.catalogue.by_id(id)?.is_some() {
            return Ok(Fate::Known);
        }
        let object = match self.open(id, path) {
            Ok(object) => object,
            Err(VaultError::Key(KeyError::NoKey(_))) => return Ok(Fate::Erased),
            Err(error) => return Ok(Fate::Failed(error.to_string())),
        };
        let sealed = Sealed {
            wav_bytes: object.wav_bytes(),
            wav_sha256: object.wav_sha256(),
            stored_bytes: object.stored_bytes(),
        };
        match self.catalogue.archive(object.call().clone(), sealed) {
            Ok(Archived::New(recording)) => {
                self.rests_at(tier, &recording)?;
                Ok(Fate::Entered)
            }
            // From another tier, meanwhile.
            Ok(Archived::Already(_)) => Ok(Fate::Known),
            Err(CatalogueError::Erased(_)) => Ok(Fate::Erased),
            Err(error @ CatalogueError::Impossible(_)) => Ok(Fate::Failed(error.to_string())),
            Err(error) => Err(error),
        }
    }

    /// Enters where it was found: a new recording is taken for one of the primary tier. One that was
    /// moving, and is in both, is there still.
    fn rests_at(&self, tier: Tier, recording: &Recording) -> Result<(), CatalogueError> {
        if tier == recording.tier || self.vault.primary().path(recording.id).exists() {
            return Ok(());
        }
        let moved = Moved {
            key: recording.key,
            id: recording.id,
            from: recording.tier,
            to: tier,
            stored_bytes: recording.sealed.stored_bytes,
        };
        self.catalogue
            .switch(now(), vec![moved], Vec::new())
            .map(drop)
    }

    fn open(&self, id: Ulid, path: &Path) -> Result<Object, VaultError> {
        let key = self.vault.keys().get(id)?;
        Ok(Object::open(path, &key)?)
    }

    fn count(&self, path: &Path, fate: Fate) {
        let mut state = locked(&self.state);
        let (rebuilt, tell) = &mut *state;
        rebuilt.objects += 1;
        let mut reason = None;
        match fate {
            Fate::Known => rebuilt.known += 1,
            Fate::Entered => rebuilt.entered += 1,
            Fate::Erased => rebuilt.erased += 1,
            Fate::Failed(why) => {
                rebuilt.failed += 1;
                reason = Some((path, why));
            }
        }
        tell(*rebuilt, reason);
    }
}

/// Whose object a file is, by its name.
fn id_of(path: &Path) -> Option<Ulid> {
    let name = path.file_name()?.to_str()?;
    Ulid::from_string(name.strip_suffix(".tso")?).ok()
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Call;
    use crate::catalogue::Birth;
    use crate::catalogue::tests::signers;
    use crate::keys::Keys;
    use crate::store::tests::{call, key};
    use crate::wav;
    use chrono_tz::Tz;
    use std::sync::Arc;
    use tsuwaroku_spool::record::Encoding;

    const ARCHIVE: Ulid = Ulid::from_parts(1, 1);

    /// Two tiers with the objects of some recordings, and a catalogue that knows none of them.
    struct Archive {
        folder: tempfile::TempDir,
        catalogue: Catalogue,
        vault: Vault,
    }

    impl Archive {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let at = |name: &str| folder.path().join(name);
            Keys::init(&at("keys"), ARCHIVE, &key()).unwrap();
            let keys = Keys::open(&at("keys"), ARCHIVE, key()).unwrap();
            let store = |name: &str| {
                Store::init(&at(name), ARCHIVE, name).unwrap();
                Store::open(&at(name), ARCHIVE).unwrap()
            };
            let tiers = Tier::ALL.map(|tier| store(tier.word())).to_vec();
            let catalogue = empty_catalogue(&at("catalogue"));
            let vault = Vault::new(tiers, Arc::new(keys));
            Self {
                folder,
                catalogue,
                vault,
            }
        }

        /// Puts the object of the `n`th recording into `tier`; its row as it should be.
        fn put(&self, n: u64, tier: Tier) -> (Ulid, [u8; 32]) {
            let audio = [n as u8; 100];
            let id = Ulid::from_parts(1_795_395_600_000 + n * 60_000, u128::from(n));
            let call = Call {
                id,
                started_at: id.timestamp_ms() as i64 * 1_000_000,
                ..call(&audio, 1, Encoding::ALaw)
            };
            let frame = wav::Frame::around(&call, Tz::Asia__Tokyo);
            let key = self.vault.keys().get_or_create(id).unwrap();
            let store = self.vault.tier(tier).unwrap();
            let mut object = store.begin(&call, &frame, &key).unwrap();
            object.samples(&audio).unwrap();
            (id, object.publish().unwrap().wav_sha256)
        }

        fn rebuild(&self) -> Rebuilt {
            rebuild(&self.catalogue, &self.vault, &mut |_, _| {}).unwrap()
        }
    }

    fn empty_catalogue(path: &Path) -> Catalogue {
        let birth = Birth {
            archive: ARCHIVE,
            time_zone: Tz::Asia__Tokyo,
        };
        Catalogue::init(path, birth).unwrap();
        Catalogue::open(path, signers()).unwrap()
    }

    /// From both tiers, each where it was found, and once.
    #[test]
    fn recordings_come_back_from_their_objects() {
        let archive = Archive::new();
        let mut put: Vec<_> = (0..20)
            .map(|n| {
                let tier = Tier::ALL[n as usize % 2];
                (archive.put(n, tier), tier)
            })
            .collect();
        // One that was moving is in both.
        put[1].1 = Tier::Primary;
        archive.put(1, Tier::Primary);
        let first = archive.rebuild();
        assert_eq!((first.objects, first.entered, first.failed), (21, 20, 0));
        let second = archive.rebuild();
        assert_eq!((second.known, second.entered), (21, 0));
        for ((id, digest), tier) in put {
            let row = archive.catalogue.by_id(id).unwrap().unwrap();
            assert_eq!(row.sealed.wav_sha256, digest);
            assert_eq!(row.tier, tier, "{id}");
            assert!(archive.vault.open(id).unwrap().verify().is_ok());
        }
        assert_eq!(archive.catalogue.totals().unwrap().recordings, 20);
    }

    /// What has no key was erased; what does not open is told of, and stays.
    #[test]
    fn what_cannot_be_entered_is_told_of() {
        let archive = Archive::new();
        let (erased, _) = archive.put(0, Tier::Primary);
        archive.vault.keys().destroy(erased).unwrap();
        let (damaged, _) = archive.put(1, Tier::Primary);
        let path = archive.vault.primary().path(damaged);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, &bytes[1..]).unwrap();
        let stray = path.with_file_name("stray");
        std::fs::write(&stray, "x").unwrap();
        let mut told = Vec::new();
        let mut tell = |_, failed: Option<Unentered<'_>>| {
            told.extend(failed.map(|(path, _)| path.to_owned()));
        };
        let rebuilt = rebuild(&archive.catalogue, &archive.vault, &mut tell).unwrap();
        assert_eq!((rebuilt.erased, rebuilt.failed), (1, 2));
        told.sort();
        let mut expected = [path, stray];
        expected.sort();
        assert_eq!(told, expected);
        assert!(expected.iter().all(|path| path.exists()));
        assert!(archive.folder.path().exists());
    }
}
