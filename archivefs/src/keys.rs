//! The archive's keys: a random one for each recording, sealed with the key of its month, that sealed
//! with the master key.
//!
//! ```text
//! master key (a file or a systemd credential) ── seals ──► key of a month ── seals ──► key of a recording
//! ```
//!
//! The sealed keys lie in a database of their own, outside backups: whoever destroys a recording's
//! sealed key has destroyed the recording, wherever copies of its object are. What this module does
//! not do: seal audio (`store`), or erase.

mod master;

pub use master::{MasterKeyError, create_master, load_master};

use crate::audit::Signer;
use crate::call::time_of;
use crate::catalogue::{CatalogueError, KeyTable, SealedKey};
use crate::crypto::Key;
use chrono::Datelike;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use thiserror::Error;
use ulid::Ulid;

/// The name of the sealed key that a master key is known by.
const TEST_EPOCH: u32 = 0;

/// What can go wrong with keys.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The table of keys cannot be read or written.
    #[error("the keys: {0}")]
    Table(#[from] CatalogueError),
    /// The system gives no random numbers.
    #[error("no random numbers: {0}")]
    Random(#[from] std::io::Error),
    /// The recording has no key: it was erased, or the table of keys is not this archive's.
    #[error("there is no key of the recording {0}")]
    NoKey(Ulid),
    /// A sealed key does not open.
    #[error("the sealed key of {0} is damaged")]
    Damaged(String),
    /// The master key is another archive's.
    #[error(
        "the master key {found} is not the one of this archive: put the right key into \
         [archive] master_key, or restore it from escrow"
    )]
    WrongMaster {
        /// Fingerprint of the key given.
        found: String,
    },
}

/// How the keys are, for the operator.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct KeyStatus {
    /// The master key's fingerprint.
    pub master: String,
    /// Months that have a key, as YYYYMM, and how many recordings are sealed under each.
    pub epochs: Vec<(u32, u64)>,
}

/// The archive's keys, open.
#[derive(Debug)]
pub struct Keys {
    table: KeyTable,
    archive: Ulid,
    master: Key,
    epochs: Mutex<HashMap<u32, Key>>,
}

impl Keys {
    /// Makes the table of keys of `archive` at `path`, under `master`.
    pub fn init(path: &Path, archive: Ulid, master: &Key) -> Result<(), KeyError> {
        KeyTable::init(path)?;
        let table = KeyTable::open(path)?;
        let test = master.wrap(&Key::random()?, &epoch_purpose(archive, TEST_EPOCH))?;
        Ok(table.put_epoch(TEST_EPOCH, &test)?)
    }

    /// Opens the table of keys of `archive` at `path`; `master` must be the key it was made under.
    pub fn open(path: &Path, archive: Ulid, master: Key) -> Result<Self, KeyError> {
        let table = KeyTable::open(path)?;
        let damaged = || KeyError::Damaged("the archive".into());
        let test = table.epoch(TEST_EPOCH)?.ok_or_else(damaged)?;
        master
            .unwrap(&test, &epoch_purpose(archive, TEST_EPOCH))
            .map_err(|_| KeyError::WrongMaster {
                found: master.fingerprint(),
            })?;
        Ok(Self {
            table,
            archive,
            master,
            epochs: Mutex::default(),
        })
    }

    /// The key of the recording `id`.
    pub fn get(&self, id: Ulid) -> Result<Key, KeyError> {
        let sealed = self.table.key(id)?.ok_or(KeyError::NoKey(id))?;
        self.unseal(id, &sealed)
    }

    /// The key of the recording `id`: a new one, durable when this returns, unless it has one.
    pub fn get_or_create(&self, id: Ulid) -> Result<Key, KeyError> {
        if let Some(sealed) = self.table.key(id)? {
            return self.unseal(id, &sealed);
        }
        let epoch = epoch_of(id);
        let key = Key::random()?;
        let sealed = self
            .epoch(epoch, true)?
            .wrap(&key, &recording_purpose(id))?;
        self.table.put_key(
            id,
            &SealedKey {
                epoch,
                sealed: sealed.to_vec(),
            },
        )?;
        Ok(key)
    }

    /// The keys that sign the archive's log, the newest first; the first one is made if there is none.
    pub fn log_signers(&self) -> Result<Vec<Signer>, KeyError> {
        let sealed = self.table.log_keys()?;
        if sealed.is_empty() {
            return Ok(vec![self.new_log_signer()?]);
        }
        let signer = |(id, sealed): (u32, Vec<u8>)| {
            let seed = self.master.unwrap(&sealed, &log_purpose(self.archive, id));
            let damaged = || KeyError::Damaged(format!("the log, number {id}"));
            signer_of(self.archive, &seed.map_err(|_| damaged())?)
        };
        sealed.into_iter().map(signer).collect()
    }

    /// A new key that signs the archive's log; it is durable when this returns.
    pub fn new_log_signer(&self) -> Result<Signer, KeyError> {
        let id = self.table.log_keys()?.first().map_or(1, |(id, _)| id + 1);
        let seed = Key::random()?;
        let sealed = self.master.wrap(&seed, &log_purpose(self.archive, id))?;
        self.table.put_log_key(id, &sealed)?;
        signer_of(self.archive, &seed)
    }

    /// How the keys are.
    pub fn status(&self) -> Result<KeyStatus, KeyError> {
        let epochs = self.table.count()?;
        Ok(KeyStatus {
            master: self.master.fingerprint(),
            epochs,
        })
    }

    fn unseal(&self, id: Ulid, sealed: &SealedKey) -> Result<Key, KeyError> {
        let epoch = self.epoch(sealed.epoch, false)?;
        epoch
            .unwrap(&sealed.sealed, &recording_purpose(id))
            .map_err(|_| KeyError::Damaged(format!("the recording {id}")))
    }

    /// The key of a month; made if it is missing and `create` says so.
    fn epoch(&self, epoch: u32, create: bool) -> Result<Key, KeyError> {
        let mut epochs = self.epochs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = epochs.get(&epoch) {
            return Ok(key.clone());
        }
        let purpose = epoch_purpose(self.archive, epoch);
        let damaged = || KeyError::Damaged(format!("the month {epoch}"));
        let key = match self.table.epoch(epoch)? {
            Some(sealed) => self
                .master
                .unwrap(&sealed, &purpose)
                .map_err(|_| damaged())?,
            None if create => {
                let key = Key::random()?;
                self.table
                    .put_epoch(epoch, &self.master.wrap(&key, &purpose)?)?;
                key
            }
            None => return Err(damaged()),
        };
        epochs.insert(epoch, key.clone());
        Ok(key)
    }
}

/// The month of a recording's identity, UTC, as YYYYMM.
fn epoch_of(id: Ulid) -> u32 {
    let start = time_of(id.timestamp_ms() as i64 * 1_000_000);
    start.year() as u32 * 100 + start.month()
}

fn epoch_purpose(archive: Ulid, epoch: u32) -> Vec<u8> {
    [&b"epoch "[..], &archive.to_bytes(), &epoch.to_le_bytes()].concat()
}

fn log_purpose(archive: Ulid, id: u32) -> Vec<u8> {
    [&b"log "[..], &archive.to_bytes(), &id.to_le_bytes()].concat()
}

/// The signer of this seed; the log is named after the archive.
fn signer_of(archive: Ulid, seed: &Key) -> Result<Signer, KeyError> {
    Signer::new(&format!("tsuwaroku/{archive}"), *seed.expose())
        .map_err(|error| KeyError::Damaged(format!("the log: {error}")))
}

fn recording_purpose(id: Ulid) -> Vec<u8> {
    [&b"recording "[..], &id.to_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const JANUARY: Ulid = Ulid::from_parts(1_767_300_000_000, 7);
    const ARCHIVE: Ulid = Ulid::from_parts(1, 1);

    fn table(master: &Key) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.sqlite");
        Keys::init(&path, ARCHIVE, master).unwrap();
        (folder, path)
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
}
