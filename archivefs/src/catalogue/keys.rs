//! The table of sealed keys: a database of its own, because it must stay out of the backups that the
//! catalogue is part of.
//!
//! What was deleted must not be found on the disk. `SQLite` overwrites what is deleted, but for what it
//! once moved to another page, and what its write-ahead log holds. So the log is overwritten in its
//! place and never given back to the disk, and [`KeyTable::rewrite`] makes the table anew in another
//! file, for which [`KeyTable::publish`] destroys the former one.

mod wipe;

use super::{CatalogueError, open};
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use rusqlite::backup::Backup;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use ulid::Ulid;

/// The parts of the schema, one for each version; a released one is never changed.
const STEPS: [&str; 3] = [
    "
    CREATE TABLE epoch (
        epoch  INTEGER PRIMARY KEY,
        sealed BLOB NOT NULL
    ) STRICT;
    CREATE TABLE recording_key (
        id     BLOB PRIMARY KEY CHECK (length(id) = 16),
        epoch  INTEGER NOT NULL REFERENCES epoch (epoch),
        sealed BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
    ",
    // The keys that sign the audit log, the newest last.
    "
    CREATE TABLE log_key (
        id     INTEGER PRIMARY KEY,
        sealed BLOB NOT NULL
    ) STRICT;
    ",
    // One row: which secret the keys of the epochs are sealed with, and how many changes there were.
    "
    CREATE TABLE state (
        only       INTEGER PRIMARY KEY CHECK (only = 0),
        generation INTEGER NOT NULL,
        changes    INTEGER NOT NULL
    ) STRICT;
    INSERT INTO state (only, generation, changes) VALUES (0, 0, 0);
    ",
];

/// A recording's key, sealed with the key of its epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedKey {
    /// The epoch, YYYYMM.
    pub epoch: u32,
    /// The sealed key.
    pub sealed: Vec<u8>,
}

/// How new a table is: of two, the greater one. Copies that are equal hold the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyState {
    /// How often all keys have been sealed anew.
    pub generation: u32,
    /// Changes of the table since it was made.
    pub changes: u64,
}

/// How keys are sealed anew; answers are the sealed keys.
pub trait Resealing {
    /// Why it cannot be done.
    type Error: From<CatalogueError>;
    /// A sealed key of the epoch `epoch`, for the same epoch.
    fn epoch(&mut self, epoch: u32, sealed: &[u8]) -> Result<Vec<u8>, Self::Error>;
    /// The sealed key of the recording `id`, all epochs being done.
    fn recording(&mut self, id: Ulid, key: &SealedKey) -> Result<Vec<u8>, Self::Error>;
}

/// The table of sealed keys; each change is durable when it returns.
#[derive(Debug)]
pub struct KeyTable {
    path: PathBuf,
    connection: Mutex<Connection>,
}

impl KeyTable {
    /// Makes an empty table of `generation` at `path`.
    pub fn init(path: &Path, generation: u32) -> Result<(), CatalogueError> {
        if path.exists() {
            return Err(CatalogueError::Place(format!(
                "{}: is there already",
                path.display()
            )));
        }
        let connection = open_table(path, OpenFlags::SQLITE_OPEN_CREATE)?;
        migrate(&connection, 0)?;
        connection.execute("UPDATE state SET generation = ?1", [generation])?;
        Ok(())
    }

    /// Opens the table at `path`.
    pub fn open(path: &Path) -> Result<Self, CatalogueError> {
        Ok(Self {
            path: path.to_owned(),
            connection: Mutex::new(existing(path)?),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How new it is.
    pub fn state(&self) -> Result<KeyState, CatalogueError> {
        state(&self.lock())
    }

    /// The sealed key of an epoch.
    pub fn epoch(&self, epoch: u32) -> Result<Option<Vec<u8>>, CatalogueError> {
        let connection = self.lock();
        let mut one = connection.prepare_cached("SELECT sealed FROM epoch WHERE epoch = ?1")?;
        Ok(one.query_row([epoch], |row| row.get(0)).optional()?)
    }

    /// Enters the sealed key of a new epoch.
    pub fn put_epoch(&self, epoch: u32, sealed: &[u8]) -> Result<(), CatalogueError> {
        self.change(|on| {
            let insert = "INSERT INTO epoch (epoch, sealed) VALUES (?1, ?2)";
            Ok(on.execute(insert, params![epoch, sealed])?)
        })
        .map(drop)
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
        self.change(|on| {
            let insert = "INSERT INTO recording_key (id, epoch, sealed) VALUES (?1, ?2, ?3)";
            let mut insert = on.prepare_cached(insert)?;
            Ok(insert.execute(params![id.to_bytes(), key.epoch, key.sealed])?)
        })
        .map(drop)
    }

    /// Deletes the sealed keys of the recordings `ids`; answers how many there were. [`Self::fold`]
    /// overwrites where else they stand.
    pub fn remove_keys(&self, ids: &[Ulid]) -> Result<usize, CatalogueError> {
        self.change(|on| {
            let mut delete = on.prepare_cached("DELETE FROM recording_key WHERE id = ?1")?;
            let mut gone = 0;
            for id in ids {
                gone += delete.execute([id.to_bytes()])?;
            }
            Ok(gone)
        })
    }

    /// Brings what is in the write-ahead log into the table, and overwrites the log in its place.
    ///
    /// # Errors
    /// Also when another program reads the table for long: do it again.
    pub fn fold(&self) -> Result<(), CatalogueError> {
        fold(&self.lock(), &self.path)
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
        self.change(|on| {
            let insert = "INSERT INTO log_key (id, sealed) VALUES (?1, ?2)";
            Ok(on.execute(insert, params![id, sealed])?)
        })
        .map(drop)
    }

    /// Recordings sealed under each epoch.
    pub fn count(&self) -> Result<Vec<(u32, u64)>, CatalogueError> {
        let connection = self.lock();
        let mut all = connection
            .prepare("SELECT epoch, count(*) FROM recording_key GROUP BY epoch ORDER BY epoch")?;
        let rows = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Makes the table anew as that of `generation`, every key sealed anew by `with`, in the file beside
    /// it that [`Self::publish`] takes; answers how many recordings have a key. The table is read
    /// meanwhile, and must not be changed.
    pub fn rewrite<R: Resealing>(&self, generation: u32, with: &mut R) -> Result<u64, R::Error> {
        let draft = draft(&self.path);
        wipe::destroy(&draft)?;
        // Of its own, so that nobody waits who wants a key.
        let from = existing(&self.path)?;
        let onto = scratch(&draft)?;
        let count = reseal(&from, &onto, generation, with)?;
        onto.close()
            .map_err(|(_, error)| CatalogueError::from(error))?;
        sync(&draft)?;
        Ok(count)
    }

    /// Makes a durable copy of this table in the file beside the table at `path`, from which that is
    /// [`published`](Self::publish).
    pub fn copy_beside(&self, path: &Path) -> Result<(), CatalogueError> {
        let draft = draft(path);
        wipe::destroy(&draft)?;
        let mut onto = scratch(&draft)?;
        {
            let from = self.lock();
            let backup = Backup::new(&from, &mut onto)?;
            backup.run_to_completion(i32::MAX, Duration::ZERO, None)?;
        }
        onto.close().map_err(|(_, error)| error)?;
        sync(&draft)
    }

    /// Puts the draft beside this table in its place, and destroys what stood there. Killed in between,
    /// [`Self::publish_beside`] or [`Self::destroy_draft`] makes an end.
    pub fn publish(&self) -> Result<(), CatalogueError> {
        let mut connection = self.lock();
        fold(&connection, &self.path)?;
        // Closed before another takes its place: both would hold locks on files of the same names.
        let former = std::mem::replace(&mut *connection, Connection::open_in_memory()?);
        former.close().map_err(|(_, error)| error)?;
        let published = Self::publish_beside(&self.path);
        *connection = existing(&self.path)?;
        published
    }

    /// The same for a table at `path` that nobody has open, or where there is none yet.
    pub fn publish_beside(path: &Path) -> Result<(), CatalogueError> {
        let draft = draft(path);
        // A log that is left would be taken for the new table's.
        for beside in ["-wal", "-shm"] {
            wipe::destroy(&with_suffix(path, beside))?;
        }
        let exchange = if path.exists() {
            RenameFlags::RENAME_EXCHANGE
        } else {
            RenameFlags::RENAME_NOREPLACE
        };
        let published = renameat2(AT_FDCWD, &draft, AT_FDCWD, path, exchange)
            .map_err(io::Error::from)
            .and_then(|()| File::open(wipe::folder(path))?.sync_all());
        published.map_err(|error| CatalogueError::file(path, error))
    }

    /// Destroys the file beside the table at `path`: a draft that was never finished, or the table that
    /// stood there before.
    pub fn destroy_draft(path: &Path) -> Result<(), CatalogueError> {
        let draft = draft(path);
        wipe::destroy(&with_suffix(&draft, "-journal"))?;
        wipe::destroy(&draft)
    }

    /// Makes a change, and counts it.
    fn change(
        &self,
        change: impl FnOnce(&Connection) -> Result<usize, CatalogueError>,
    ) -> Result<usize, CatalogueError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let changed = change(&transaction)?;
        if changed > 0 {
            let count = "UPDATE state SET changes = changes + 1";
            transaction.prepare_cached(count)?.execute([])?;
        }
        transaction.commit()?;
        Ok(changed)
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn fold(connection: &Connection, path: &Path) -> Result<(), CatalogueError> {
    // Nobody reads the log after this, or finds it when it is opened anew, before a change begins it
    // again (https://www.sqlite.org/wal.html#ckpt).
    let restart = "PRAGMA wal_checkpoint(RESTART)";
    let busy: bool = connection.query_row(restart, [], |row| row.get(0))?;
    if busy {
        let reason = format!("{}: another program reads it", path.display());
        return Err(CatalogueError::Place(reason));
    }
    wipe::overwrite(&with_suffix(path, "-wal"))
}

/// The table at `path` must be there; brings it up to date.
fn existing(path: &Path) -> Result<Connection, CatalogueError> {
    if !path.exists() {
        let missing = format!(
            "{}: the keys are missing: without them no recording can be read; restore them",
            path.display()
        );
        return Err(CatalogueError::Place(missing));
    }
    let connection = open_table(path, OpenFlags::empty())?;
    let found: usize = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > STEPS.len() {
        return Err(CatalogueError::Future {
            found,
            known: STEPS.len(),
        });
    }
    if found < STEPS.len() {
        migrate(&connection, found)?;
    }
    Ok(connection)
}

fn open_table(path: &Path, more: OpenFlags) -> Result<Connection, CatalogueError> {
    let connection = open(path, more)?;
    // The write-ahead log would be given back to the disk as it is.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(connection)
}

/// A new file that is worth nothing until it is whole.
fn scratch(path: &Path) -> Result<Connection, CatalogueError> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "off")?;
    connection.pragma_update(None, "synchronous", "off")?;
    Ok(connection)
}

fn migrate(connection: &Connection, found: usize) -> Result<(), CatalogueError> {
    let steps = STEPS[found..].concat();
    let version = STEPS.len();
    let all = format!("BEGIN IMMEDIATE; {steps} PRAGMA user_version = {version}; COMMIT;");
    Ok(connection.execute_batch(&all)?)
}

fn state(on: &Connection) -> Result<KeyState, CatalogueError> {
    let state = "SELECT generation, changes FROM state";
    Ok(on.query_row(state, [], |row| {
        Ok(KeyState {
            generation: row.get(0)?,
            changes: row.get(1)?,
        })
    })?)
}

/// Fills the empty database `onto` with what is in `from`.
fn reseal<R: Resealing>(
    from: &Connection,
    onto: &Connection,
    generation: u32,
    with: &mut R,
) -> Result<u64, R::Error> {
    let begin = |on: &Connection| on.execute_batch("BEGIN").map_err(CatalogueError::from);
    begin(from)?;
    migrate(onto, 0)?;
    begin(onto)?;
    each(from, "SELECT epoch, sealed FROM epoch", |row| {
        let (epoch, sealed): (u32, Vec<u8>) = (get(row, 0)?, get(row, 1)?);
        let sealed = with.epoch(epoch, &sealed)?;
        insert(
            onto,
            "INSERT INTO epoch (epoch, sealed) VALUES (?1, ?2)",
            (epoch, sealed),
        )
        .map_err(R::Error::from)
    })?;
    let all = "SELECT id, epoch, sealed FROM recording_key ORDER BY id";
    let count = each(from, all, |row| {
        let (id, epoch, sealed): ([u8; 16], u32, Vec<u8>) =
            (get(row, 0)?, get(row, 1)?, get(row, 2)?);
        let sealed = with.recording(Ulid::from_bytes(id), &SealedKey { epoch, sealed })?;
        let sql = "INSERT INTO recording_key (id, epoch, sealed) VALUES (?1, ?2, ?3)";
        insert(onto, sql, (id, epoch, sealed)).map_err(R::Error::from)
    })?;
    each(from, "SELECT id, sealed FROM log_key", |row| {
        let (id, sealed): (u32, Vec<u8>) = (get(row, 0)?, get(row, 1)?);
        insert(
            onto,
            "INSERT INTO log_key (id, sealed) VALUES (?1, ?2)",
            (id, sealed),
        )
        .map_err(R::Error::from)
    })?;
    let changes = state(from)?.changes + 1;
    let sql = "UPDATE state SET generation = ?1, changes = ?2";
    insert(onto, sql, (generation, changes))?;
    onto.execute_batch("COMMIT").map_err(CatalogueError::from)?;
    Ok(count)
}

/// Calls `with` for each row of `sql`; answers how many there were.
fn each<E: From<CatalogueError>>(
    on: &Connection,
    sql: &str,
    mut with: impl FnMut(&rusqlite::Row<'_>) -> Result<(), E>,
) -> Result<u64, E> {
    let database = |error: rusqlite::Error| E::from(CatalogueError::from(error));
    let mut all = on.prepare(sql).map_err(database)?;
    let mut rows = all.query([]).map_err(database)?;
    let mut count = 0;
    while let Some(row) = rows.next().map_err(database)? {
        with(row)?;
        count += 1;
    }
    Ok(count)
}

fn get<T: rusqlite::types::FromSql>(
    row: &rusqlite::Row<'_>,
    column: usize,
) -> Result<T, CatalogueError> {
    Ok(row.get(column)?)
}

fn insert(on: &Connection, sql: &str, values: impl rusqlite::Params) -> Result<(), CatalogueError> {
    on.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

/// Makes the closed file at `path`, and its name, durable.
fn sync(path: &Path) -> Result<(), CatalogueError> {
    let synced = File::open(path)
        .and_then(|file| file.sync_all())
        .and_then(|()| File::open(wipe::folder(path))?.sync_all());
    synced.map_err(|error| CatalogueError::file(path, error))
}

/// The file beside the table at `path` that is, or was, to take its place.
fn draft(path: &Path) -> PathBuf {
    with_suffix(path, ".new")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
