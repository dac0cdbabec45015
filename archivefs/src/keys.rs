//! The archive's keys: a random one for each recording, sealed with the key of its month, that sealed
//! for the generation: with a key made of the master key and of a secret that is destroyed when the next
//! generation begins.
//!
//! ```text
//! master key (in escrow) ─┐
//!                         ├─► key of a generation ── seals ──► key of a month ── seals ──► key of a recording
//! secret (beside the table) ┘
//! ```
//!
//! The sealed keys lie in a database of their own, outside backups: whoever destroys a recording's
//! sealed key has destroyed the recording, wherever copies of its object are. The copy in each tier
//! ([`copies`]) lets a tier, with the master key, give its recordings back on a new machine. What makes
//! old copies of the table worthless, though the master key stays the same and old copies of it too, is
//! the [`secret`]: a [`rotation`] makes a new one, seals all keys anew, and overwrites the former.
//!
//! What this module does not do: seal audio (`store`), or erase.

mod copies;
pub mod escrow;
mod master;
mod rotation;
mod secret;
mod step;

pub use copies::CopyStatus;
pub use master::{MasterKeyError, create_master, keep_master, load_master};
pub use rotation::Rotated;

use crate::audit::Signer;
use crate::call::time_of;
use crate::catalogue::{CatalogueError, KeyState, KeyTable, SealedKey};
use crate::crypto::Key;
use chrono::Datelike;
use copies::Copies;
use secret::Secret;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
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
    /// The system gives no random numbers, or a disk fails.
    #[error("the keys: {0}")]
    Io(#[from] io::Error),
    /// A file of the keys cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
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
    /// The table was taken along without the secret that belongs to it.
    #[error(
        "{}: there is no secret of generation {generation} in it: this table of keys is an old copy, \
         which nothing opens; use that of a tier, see tsuwaroku-store(5)", path.display()
    )]
    NoSecret {
        /// The file of the secret.
        path: PathBuf,
        /// The generation of the table.
        generation: u32,
    },
    /// No tier has a copy of the table that opens.
    #[error(
        "no tier has a copy of the keys that this master key opens: {0}; without the keys no recording \
         can be read"
    )]
    NoCopy(String),
    /// A copy in a tier still holds what was to be destroyed.
    #[error(
        "the copy of the keys in {} could not be changed: {reason}; mount the tier and do it again",
        place.display()
    )]
    CopyBehind {
        /// The directory of the copy.
        place: PathBuf,
        /// Why.
        reason: String,
    },
}

/// How the keys are, for the operator.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct KeyStatus {
    /// The master key's fingerprint.
    pub master: String,
    /// How often all keys have been sealed anew.
    pub generation: u32,
    /// Months that have a key, as YYYYMM, and how many recordings are sealed under each.
    pub epochs: Vec<(u32, u64)>,
    /// The copies in the tiers.
    pub copies: Vec<CopyStatus>,
}

/// The keys that open the table as it is.
#[derive(Debug)]
struct Ring {
    generation: u32,
    /// The key of the generation.
    sealing: Key,
    /// Those of months that were wanted.
    epochs: Mutex<HashMap<u32, Key>>,
}

/// The archive's keys, open.
#[derive(Debug)]
pub struct Keys {
    table: KeyTable,
    archive: Ulid,
    master: Key,
    /// Held for reading as long as what it holds and what the table holds must belong together.
    ring: RwLock<Ring>,
    /// Whoever changes something holds this, before the ring.
    changing: Mutex<Copies>,
}

impl Keys {
    /// Makes the table of keys of `archive` at `path`, under `master`.
    pub fn init(path: &Path, archive: Ulid, master: &Key) -> Result<(), KeyError> {
        let first = Secret {
            generation: 1,
            key: Key::random()?,
        };
        secret::put(&secret::path_beside(path), &first, None)?;
        KeyTable::init(path, first.generation)?;
        let table = KeyTable::open(path)?;
        let sealing = sealing_key(archive, master, &first);
        let test = sealing.wrap(&Key::random()?, &epoch_purpose(archive, TEST_EPOCH))?;
        Ok(table.put_epoch(TEST_EPOCH, &test)?)
    }

    /// Opens the table of keys of `archive` at `path`; `master` must be the key it was made under. Reads
    /// only, so that it may be done beside a running daemon, until something is to be changed.
    pub fn open(path: &Path, archive: Ulid, master: Key) -> Result<Self, KeyError> {
        let table = KeyTable::open(path)?;
        let ring = open_ring(&table, archive, &master)?;
        Ok(Self {
            table,
            archive,
            master,
            ring: RwLock::new(ring),
            changing: Mutex::default(),
        })
    }

    /// The key of the recording `id`.
    pub fn get(&self, id: Ulid) -> Result<Key, KeyError> {
        let ring = self.ring();
        let sealed = self.table.key(id)?.ok_or(KeyError::NoKey(id))?;
        self.unseal(&ring, id, &sealed)
    }

    /// Whether the recording `id` has a key.
    pub fn has(&self, id: Ulid) -> Result<bool, KeyError> {
        Ok(self.table.key(id)?.is_some())
    }

    /// The key of the recording `id`: a new one, durable here and in the tiers that are there when this
    /// returns, unless it has one.
    pub fn get_or_create(&self, id: Ulid) -> Result<Key, KeyError> {
        let mut copies = self.changing();
        let ring = self.ring();
        if let Some(sealed) = self.table.key(id)? {
            return self.unseal(&ring, id, &sealed);
        }
        let epoch = epoch_of(id);
        let key = Key::random()?;
        let month = match self.epoch(&ring, epoch)? {
            Some(month) => month,
            None => self.new_epoch(&mut copies, &ring, epoch)?,
        };
        let sealed = month.wrap(&key, &recording_purpose(id))?.to_vec();
        let sealed = SealedKey { epoch, sealed };
        self.change(&mut copies, |table| table.put_key(id, &sealed))?;
        Ok(key)
    }

    /// Destroys the key of the recording `id`, here and in every tier, durably; answers whether there
    /// was one. What is left of it on disks, the next rotation makes worthless.
    ///
    /// # Errors
    /// Where a copy could not be reached the recording is gone for this archive all the same, and its
    /// key is not: do it again.
    pub fn destroy(&self, id: Ulid) -> Result<bool, KeyError> {
        Ok(self.destroy_all(&[id])? > 0)
    }

    /// The same for many recordings at once; answers how many had a key.
    ///
    /// # Errors
    /// As [`Self::destroy`].
    pub fn destroy_all(&self, ids: &[Ulid]) -> Result<usize, KeyError> {
        let mut copies = self.changing();
        self.catch_up(&mut copies)?;
        let gone = self.table.remove_keys(ids)?;
        copies.change(&mut |table| table.remove_keys(ids).map(drop));
        self.table.fold()?;
        copies.change(&mut KeyTable::fold);
        copies.all_reached()?;
        Ok(gone)
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
        let mut copies = self.changing();
        let id = self.table.log_keys()?.first().map_or(1, |(id, _)| id + 1);
        let seed = Key::random()?;
        let sealed = self.master.wrap(&seed, &log_purpose(self.archive, id))?;
        self.change(&mut copies, |table| table.put_log_key(id, &sealed))?;
        signer_of(self.archive, &seed)
    }

    /// How the keys are.
    pub fn status(&self) -> Result<KeyStatus, KeyError> {
        Ok(KeyStatus {
            master: self.master.fingerprint(),
            generation: self.ring().generation,
            epochs: self.table.count()?,
            copies: self.changing().status(),
        })
    }

    /// The master key, for its escrow.
    pub fn master(&self) -> &Key {
        &self.master
    }

    /// Makes a change of the table and then of its copies, so that none is ever newer. One that cannot
    /// be reached is left behind, and brought up to date when the archive is opened the next time, or by
    /// the next rotation.
    fn change(
        &self,
        copies: &mut Copies,
        mut change: impl FnMut(&KeyTable) -> Result<(), CatalogueError>,
    ) -> Result<(), KeyError> {
        change(&self.table)?;
        copies.change(&mut change);
        Ok(())
    }

    fn unseal(&self, ring: &Ring, id: Ulid, sealed: &SealedKey) -> Result<Key, KeyError> {
        let damaged = || KeyError::Damaged(format!("the month {}", sealed.epoch));
        let month = self.epoch(ring, sealed.epoch)?.ok_or_else(damaged)?;
        month
            .unwrap(&sealed.sealed, &recording_purpose(id))
            .map_err(|_| KeyError::Damaged(format!("the recording {id}")))
    }

    /// The key of a month, if it has one.
    fn epoch(&self, ring: &Ring, epoch: u32) -> Result<Option<Key>, KeyError> {
        let mut known = ring.epochs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = known.get(&epoch) {
            return Ok(Some(key.clone()));
        }
        let Some(sealed) = self.table.epoch(epoch)? else {
            return Ok(None);
        };
        let key = ring
            .sealing
            .unwrap(&sealed, &epoch_purpose(self.archive, epoch))
            .map_err(|_| KeyError::Damaged(format!("the month {epoch}")))?;
        known.insert(epoch, key.clone());
        Ok(Some(key))
    }

    fn new_epoch(&self, copies: &mut Copies, ring: &Ring, epoch: u32) -> Result<Key, KeyError> {
        let key = Key::random()?;
        let purpose = epoch_purpose(self.archive, epoch);
        let sealed = ring.sealing.wrap(&key, &purpose)?;
        self.change(copies, |table| table.put_epoch(epoch, &sealed))?;
        let mut known = ring.epochs.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(epoch, key.clone());
        Ok(key)
    }

    fn ring(&self) -> RwLockReadGuard<'_, Ring> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn changing(&self) -> MutexGuard<'_, Copies> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The keys that open `table`, which must be that of `archive`.
fn open_ring(table: &KeyTable, archive: Ulid, master: &Key) -> Result<Ring, KeyError> {
    let KeyState { generation, .. } = table.state()?;
    let path = secret::path_beside(table.path());
    let sealing = match (generation, secret::get(&path, generation)?) {
        // A table from before there were generations.
        (0, _) => master.clone(),
        (_, Some(secret)) => sealing_key(archive, master, &secret),
        (_, None) => return Err(KeyError::NoSecret { path, generation }),
    };
    let damaged = || KeyError::Damaged("the archive".into());
    let test = table.epoch(TEST_EPOCH)?.ok_or_else(damaged)?;
    sealing
        .unwrap(&test, &epoch_purpose(archive, TEST_EPOCH))
        .map_err(|_| KeyError::WrongMaster {
            found: master.fingerprint(),
        })?;
    Ok(Ring {
        generation,
        sealing,
        epochs: Mutex::default(),
    })
}

/// The key of a generation: nobody has it who has not both the master key and the secret.
fn sealing_key(archive: Ulid, master: &Key, secret: &Secret) -> Key {
    let info = [
        &b"tsuwaroku generation"[..],
        &archive.to_bytes(),
        &secret.generation.to_le_bytes(),
    ];
    master.derive(secret.key.expose(), &info.concat())
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
mod tests;
