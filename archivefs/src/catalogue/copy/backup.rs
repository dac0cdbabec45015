//! Copies of the whole database: taken while it is written, and put back. What a backup consists of
//! beside the database is `crate::backup`'s to say.

use super::super::tombstones::{self, Tombstone};
use super::super::{Catalogue, CatalogueError, Recording, bodies, open, schema};
use crate::call::time_of;
use crate::day::Day;
use chrono_tz::Tz;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags, params};
use std::fs::File;
use std::path::Path;
use std::time::Duration;
use ulid::Ulid;

/// Pages copied at a time: 4 MiB of them, between which others get at the disk.
const PIECE: i32 = 1024;
const REST: Duration = Duration::from_millis(1);
/// Rows looked at between two questions whether to go on.
const ROWS: usize = 1000;

/// Why a recording was erased whose tombstone is lost.
const LOST_GROUND: &str = "erased after the backup was made that the catalogue came from";

/// What is in a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contents {
    /// Recordings.
    pub recordings: u64,
    /// Records of the audit log.
    pub log_records: u64,
}

impl Catalogue {
    /// Where the database is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Copies the database at `path` to the file `to`, which must not exist, as it is at one moment; it
    /// may be written meanwhile, and nobody waits. `tell` hears how many pages of how many are copied.
    /// The copy is durable when this returns.
    ///
    /// # Errors
    /// A disk fails, or is full. What there is of the copy is the caller's to remove.
    pub fn back_up(
        path: &Path,
        to: &Path,
        tell: &mut dyn FnMut(u64, u64),
    ) -> Result<Contents, CatalogueError> {
        Self::birth_at(path)?;
        let from = open(path, OpenFlags::empty())?;
        from.pragma_update(None, "query_only", true)?;
        // The moment is that of the first question of a transaction, and the backup stays in it.
        from.execute_batch("BEGIN")?;
        schema::version(&from)?;
        let mut onto = Connection::open(to)?;
        // Worth nothing until it is whole.
        onto.pragma_update(None, "synchronous", "off")?;
        {
            let backup = Backup::new(&from, &mut onto)?;
            loop {
                let step = backup.step(PIECE)?;
                let progress = backup.progress();
                let (all, left) = (progress.pagecount, progress.remaining);
                tell(
                    u64::from((all - left).unsigned_abs()),
                    u64::from(all.unsigned_abs()),
                );
                match step {
                    StepResult::Done => break,
                    _ => std::thread::sleep(REST),
                }
            }
        }
        onto.close().map_err(|(_, error)| error)?;
        durable(to)?;
        contents(&from)
    }

    /// Has every recording that `gone` says is gone leave the database at `path`, which nobody has open,
    /// for a tombstone of `at`, with what the log keeps of it beside its records; answers which those
    /// were. Days are of `zone`.
    pub fn bury_erased<E: From<CatalogueError>>(
        path: &Path,
        at: i64,
        zone: Tz,
        gone: &mut dyn FnMut(Ulid) -> Result<bool, E>,
    ) -> Result<Vec<Ulid>, E> {
        let mut on = open(path, OpenFlags::empty())?;
        schema::migrate(&mut on)?;
        let erased = erased(&on, gone)?;
        bury(&mut on, at, zone, &erased)?;
        // Nothing of them stays in a log that is left behind.
        let closed = on.close().map_err(|(_, error)| CatalogueError::from(error));
        closed?;
        durable(path)?;
        Ok(erased.iter().map(|recording| recording.id).collect())
    }
}

fn contents(on: &Connection) -> Result<Contents, CatalogueError> {
    let count = |sql: &str| -> Result<u64, CatalogueError> {
        let count: Option<u64> = on.query_row(sql, [], |row| row.get(0))?;
        Ok(count.unwrap_or(0))
    };
    Ok(Contents {
        recordings: count("SELECT sum(recordings) FROM day")?,
        log_records: count("SELECT max(seq) FROM log")?,
    })
}

fn erased<E: From<CatalogueError>>(
    on: &Connection,
    gone: &mut dyn FnMut(Ulid) -> Result<bool, E>,
) -> Result<Vec<Recording>, E> {
    let page = |after: i64| -> Result<Vec<Recording>, CatalogueError> {
        let columns = Recording::COLUMNS;
        let sql = format!("SELECT {columns} FROM recording WHERE key > ?1 ORDER BY key LIMIT ?2");
        let mut statement = on.prepare_cached(&sql)?;
        let mut rows = statement.query(params![after, ROWS])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(Recording::from_row(row)?);
        }
        Ok(found)
    };
    let (mut erased, mut after) = (Vec::new(), -1);
    loop {
        let found = page(after)?;
        let Some(last) = found.last() else {
            return Ok(erased);
        };
        after = last.key.to_i64();
        for recording in found {
            if gone(recording.id)? {
                erased.push(recording);
            }
        }
    }
}

/// A recording leaves its table for a tombstone, as when it was erased; what was logged of that is lost.
fn bury(
    on: &mut Connection,
    at: i64,
    zone: Tz,
    erased: &[Recording],
) -> Result<(), CatalogueError> {
    let transaction = on.transaction()?;
    for recording in erased {
        let tombstone = tombstone(at, zone, recording);
        tombstones::bury(&transaction, recording, &tombstone)?;
        let party = recording.other_party.as_deref();
        bodies::forget(&transaction, recording.id, party)?;
    }
    Ok(transaction.commit()?)
}

fn tombstone(at: i64, zone: Tz, recording: &Recording) -> Tombstone {
    let begun = time_of(recording.key.milliseconds() * 1_000_000);
    Tombstone {
        key: recording.key,
        id: recording.id,
        number: recording.number,
        day: Day::of(begun, zone),
        nanoseconds: recording.nanoseconds(),
        wav_bytes: recording.sealed.wav_bytes,
        wav_sha256: recording.sealed.wav_sha256,
        ground: LOST_GROUND.to_owned(),
        application: None,
        plan: None,
        asked_by: None,
        approved_by: None,
        erased_at: at,
        // What there may be of it in a tier is removed when the archive is served.
        completed_at: None,
    }
}

/// Makes the closed file at `path` durable.
fn durable(path: &Path) -> Result<(), CatalogueError> {
    let synced = File::open(path).and_then(|file| file.sync_all());
    synced.map_err(|error| CatalogueError::file(path, error))
}
