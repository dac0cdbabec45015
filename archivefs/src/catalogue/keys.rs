//! The table of sealed keys: a database of its own, because it must stay out of the backups that the
//! catalogue is part of.

use super::{CatalogueError, open};
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use ulid::Ulid;

const SCHEMA: &str = "
    CREATE TABLE epoch (
        epoch  INTEGER PRIMARY KEY,
        sealed BLOB NOT NULL
    ) STRICT;
    CREATE TABLE recording_key (
        id     BLOB PRIMARY KEY CHECK (length(id) = 16),
        epoch  INTEGER NOT NULL REFERENCES epoch (epoch),
        sealed BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
    PRAGMA user_version = 1;
";

/// What the second version has more: the keys that sign the audit log, the newest last.
const LOG_KEYS: &str = "
    CREATE TABLE log_key (
        id     INTEGER PRIMARY KEY,
        sealed BLOB NOT NULL
    ) STRICT;
    PRAGMA user_version = 2;
";

/// The newest version.
const VERSION: usize = 2;

/// A recording's key, sealed with the key of its epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedKey {
    /// The epoch, YYYYMM.
    pub epoch: u32,
    /// The sealed key.
    pub sealed: Vec<u8>,
}

/// The table of sealed keys; each change is durable when it returns.
#[derive(Debug)]
pub struct KeyTable(Mutex<Connection>);

impl KeyTable {
    /// Makes an empty table at `path`.
    pub fn init(path: &Path) -> Result<(), CatalogueError> {
        if path.exists() {
            return Err(CatalogueError::Place(format!(
                "{}: is there already",
                path.display()
            )));
        }
        let connection = open(path, OpenFlags::SQLITE_OPEN_CREATE)?;
        connection.execute_batch(SCHEMA)?;
        Ok(connection.execute_batch(LOG_KEYS)?)
    }

    /// Opens the table at `path`.
    pub fn open(path: &Path) -> Result<Self, CatalogueError> {
        if !path.exists() {
            let missing = format!(
                "{}: the keys are missing: without them no recording can be read; restore them",
                path.display()
            );
            return Err(CatalogueError::Place(missing));
        }
        let connection = open(path, OpenFlags::empty())?;
        let found: usize = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if found > VERSION {
            return Err(CatalogueError::Future {
                found,
                known: VERSION,
            });
        }
        if found < VERSION {
            connection.execute_batch(&format!("BEGIN IMMEDIATE; {LOG_KEYS} COMMIT;"))?;
        }
        Ok(Self(Mutex::new(connection)))
    }

    /// The sealed key of an epoch.
    pub fn epoch(&self, epoch: u32) -> Result<Option<Vec<u8>>, CatalogueError> {
        let connection = self.lock();
        let mut one = connection.prepare_cached("SELECT sealed FROM epoch WHERE epoch = ?1")?;
        Ok(one.query_row([epoch], |row| row.get(0)).optional()?)
    }

    /// Enters the sealed key of a new epoch.
    pub fn put_epoch(&self, epoch: u32, sealed: &[u8]) -> Result<(), CatalogueError> {
        let insert = "INSERT INTO epoch (epoch, sealed) VALUES (?1, ?2)";
        self.lock().execute(insert, params![epoch, sealed])?;
        Ok(())
    }

    /// The sealed key of the recording `id`.
    pub fn key(&self, id: Ulid) -> Result<Option<SealedKey>, CatalogueError> {
        let connection = self.lock();
        let mut one =
            connection.prepare_cached("SELECT epoch, sealed FROM recording_key WHERE id = ?1")?;
        let found = one.query_row([id.to_bytes()], |row| {
            Ok(SealedKey {
                epoch: row.get(0)?,
                sealed: row.get(1)?,
            })
        });
        Ok(found.optional()?)
    }

    /// Enters the sealed key of a new recording.
    pub fn put_key(&self, id: Ulid, key: &SealedKey) -> Result<(), CatalogueError> {
        let insert = "INSERT INTO recording_key (id, epoch, sealed) VALUES (?1, ?2, ?3)";
        self.lock().prepare_cached(insert)?.execute(params![
            id.to_bytes(),
            key.epoch,
            key.sealed
        ])?;
        Ok(())
    }

    /// The sealed keys of the audit log with their numbers, the newest first.
    pub fn log_keys(&self) -> Result<Vec<(u32, Vec<u8>)>, CatalogueError> {
        let connection = self.lock();
        let mut all = connection.prepare("SELECT id, sealed FROM log_key ORDER BY id DESC")?;
        let rows = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Enters the sealed key number `id` of the audit log.
    pub fn put_log_key(&self, id: u32, sealed: &[u8]) -> Result<(), CatalogueError> {
        let insert = "INSERT INTO log_key (id, sealed) VALUES (?1, ?2)";
        self.lock().execute(insert, params![id, sealed])?;
        Ok(())
    }

    /// Recordings sealed under each epoch.
    pub fn count(&self) -> Result<Vec<(u32, u64)>, CatalogueError> {
        let connection = self.lock();
        let mut all = connection
            .prepare("SELECT epoch, count(*) FROM recording_key GROUP BY epoch ORDER BY epoch")?;
        let rows = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
