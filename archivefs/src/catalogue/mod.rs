//! The catalogue: what recordings there are. One `SQLite` database, one writer thread with group
//! commit, and as many readers as ask. All SQL of the project stands in this folder, so that another
//! engine can move in.
//!
//! * [`schema`]: tables and migrations.
//! * [`row`]: a recording as a row, and the key that encodes time.
//! * [`change`]: what can be changed, and how; [`write`]: the single writer.
//! * [`read`]: the questions.
//! * [`log`]: the tables of the audit log.
//! * [`copy`]: the audit log as of one moment, to be verified.
//! * [`keys`]: the table of sealed keys, a database of its own.
//! * [`cutoffs`], [`shown`]: what is past its last day, and so not shown.
//! * [`tiers`], [`holds`], [`plans`], [`tombstones`]: what happens to recordings as they age.
//! * [`bodies`]: what an erasure drops beside the log; [`horizon`]: the archive's clock, kept in it.

mod bodies;
mod change;
mod copy;
mod cutoffs;
mod error;
mod holds;
mod horizon;
mod keys;
mod log;
mod plans;
mod read;
mod row;
mod schema;
mod shown;
mod tiers;
mod tombstones;
mod write;

pub use change::Archived;
pub use copy::{Contents, LogCopy};
pub use cutoffs::{Cut, Cutoffs};
pub use error::{CatalogueError, Refused};
pub use holds::{Hold, HoldId, Holds, NewHold, Scope, Search};
pub use horizon::Horizon;
pub use keys::{KeyState, KeyTable, Resealing, SealedKey};
pub use log::{Issued, LogRow};
pub use plans::{Decision, NewPlan, Plan, PlanId, PlanState, RightClock, Wish};
pub use read::{Filter, Number, Totals};
pub use row::{Key, NumberId, Recording};
pub use shown::{Shown, Visible};
pub use tiers::{Leftover, Moved, Resting, Switched};
pub use tombstones::{AGE, Erasure, Tombstone, Warrant};

use crate::audit::{Draft, Signer};
use crate::call::Call;
use crate::clock::now;
use crate::day::Day;
use crate::store::Sealed;
use change::{Answer, Change};
use chrono_tz::Tz;
use log::Log;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use ulid::Ulid;
use write::Writer;

/// The setting that remembers how far the scrub has come.
const SCRUBBED: &str = "scrubbed";

/// What an archive is born with and keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Birth {
    /// Its identity.
    pub archive: Ulid,
    /// The time zone of its days; directories are named by it, so it cannot change.
    pub time_zone: Tz,
}

/// The catalogue, open.
#[derive(Debug)]
pub struct Catalogue {
    path: PathBuf,
    birth: Birth,
    writer: Writer,
    readers: Mutex<Vec<Connection>>,
    listeners: Mutex<Vec<Sender<News>>>,
    visible: RwLock<Arc<Visible>>,
    /// Held by whoever replaces `visible`.
    showing: Mutex<()>,
}

/// A recording has come in, or gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct News {
    /// Of which number.
    pub number: NumberId,
    /// On which day it began.
    pub day: Day,
}

impl Catalogue {
    /// Makes an empty catalogue at `path`.
    pub fn init(path: &Path, birth: Birth) -> Result<(), CatalogueError> {
        if path.exists() {
            let found = format!("{}: there is an archive already", path.display());
            return Err(CatalogueError::Place(found));
        }
        let mut connection = open(path, OpenFlags::SQLITE_OPEN_CREATE)?;
        schema::migrate(&mut connection)?;
        let transaction = connection.transaction()?;
        change::set(&transaction, "archive", &birth.archive.to_string())?;
        change::set(&transaction, "time_zone", birth.time_zone.name())?;
        Ok(transaction.commit()?)
    }

    /// What the archive at `path` was born with; nothing of it is changed.
    pub fn birth_at(path: &Path) -> Result<Birth, CatalogueError> {
        if !path.exists() {
            let missing = format!(
                "{}: there is no archive; make one with: tsuwaroku init",
                path.display()
            );
            return Err(CatalogueError::Place(missing));
        }
        let connection = open(path, OpenFlags::empty())?;
        let found = schema::version(&connection)?;
        if found == 0 {
            return Err(CatalogueError::Damaged("it is empty".into()));
        }
        let setting = |name: &str| {
            change::get(&connection, name)?
                .ok_or_else(|| CatalogueError::Damaged(format!("it has no '{name}'")))
        };
        let (archive, zone) = (setting("archive")?, setting("time_zone")?);
        let damaged = |text: &str| CatalogueError::Damaged(format!("its setting '{text}'"));
        Ok(Birth {
            archive: Ulid::from_string(&archive).map_err(|_| damaged(&archive))?,
            time_zone: zone.parse().map_err(|_| damaged(&zone))?,
        })
    }

    /// Opens the catalogue at `path` and starts its writer, whose log is signed by one of `signers`:
    /// the newest first, of those that the archive has had.
    pub fn open(path: &Path, signers: Vec<Signer>) -> Result<Self, CatalogueError> {
        let birth = Self::birth_at(path)?;
        let mut connection = open(path, OpenFlags::empty())?;
        schema::migrate(&mut connection)?;
        let log = Log::open(&mut connection, signers, now())?;
        let writer = Writer::start(connection, log)
            .map_err(|error| CatalogueError::NotCommitted(error.to_string()))?;
        Ok(Self {
            path: path.to_owned(),
            birth,
            writer,
            readers: Mutex::default(),
            listeners: Mutex::default(),
            visible: RwLock::new(Arc::new(Visible::everything())),
            showing: Mutex::default(),
        })
    }

    /// Hears from now on of each recording that comes in.
    pub fn news(&self) -> Receiver<News> {
        let (teller, told) = channel();
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(teller);
        told
    }

    fn announce(&self, news: News) {
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|listener| listener.send(news).is_ok());
    }

    /// Whether changes are still made: not after a fault of the program.
    pub fn is_alive(&self) -> bool {
        self.writer.is_alive()
    }

    /// Why the last change could not be made durable, if it could not: the disk is full, or gone.
    pub fn unwritten(&self) -> Option<String> {
        self.writer.unwritten()
    }

    /// Makes `draft` a record of the log; it is durable when this returns.
    pub fn log(&self, draft: Draft) -> Result<(), CatalogueError> {
        let at = draft.at;
        self.writer
            .apply(at, Change::Log(Box::new(draft)))
            .map(drop)
    }

    /// Makes `draft` a record of the log, and does `then` when it is durable, or cannot be: on a thread
    /// that answers others as well, so it must not wait for anything.
    pub fn log_then(
        &self,
        draft: Draft,
        then: impl FnOnce(Result<(), CatalogueError>) + Send + 'static,
    ) {
        let at = draft.at;
        let change = Change::Log(Box::new(draft));
        self.writer
            .apply_then(at, change, |outcome| then(outcome.map(drop)));
    }

    /// Makes `draft` a record of the log soon; it is kept until it can be written.
    pub fn log_later(&self, draft: Draft) {
        self.writer
            .apply_later(draft.at, Change::Log(Box::new(draft)));
    }

    /// Issues a checkpoint of the log, unless nothing is new since the last one.
    pub fn checkpoint(&self) -> Result<Option<Issued>, CatalogueError> {
        match self.writer.apply(now(), Change::Checkpoint)? {
            Answer::Issued(issued) => Ok(issued),
            _ => Err(CatalogueError::Closed),
        }
    }

    /// Has the log signed by `signer` from now on; `by` says on whose word.
    pub fn rotate_log_key(
        &self,
        signer: Signer,
        by: Draft,
    ) -> Result<Option<Issued>, CatalogueError> {
        let change = Change::RotateLogKey {
            signer: Arc::new(signer),
            by: Box::new(by),
        };
        match self.writer.apply(now(), change)? {
            Answer::Issued(issued) => Ok(issued),
            _ => Err(CatalogueError::Closed),
        }
    }

    /// Up to `limit` records of the log from number `from` on, in order.
    pub fn log_records(&self, from: u64, limit: u32) -> Result<Vec<LogRow>, CatalogueError> {
        self.read(|on| log::records(on, from, limit))
    }

    /// Up to `limit` records of the log before number `before`, the newest first; of `recording`, or of
    /// all.
    pub fn log_records_before(
        &self,
        recording: Option<Ulid>,
        before: u64,
        limit: u32,
    ) -> Result<Vec<LogRow>, CatalogueError> {
        self.read(|on| log::records_before(on, recording, before, limit))
    }

    /// Records in the log.
    pub fn log_size(&self) -> Result<u64, CatalogueError> {
        self.read(log::size)
    }

    /// Checkpoints of more than `after` records, in order.
    pub fn checkpoints(&self, after: u64) -> Result<Vec<Issued>, CatalogueError> {
        self.read(|on| log::checkpoints(on, after))
    }

    /// The last checkpoint that was issued.
    pub fn newest_checkpoint(&self) -> Result<Option<Issued>, CatalogueError> {
        self.read(log::newest_checkpoint)
    }

    /// The signed note of the log's end.
    pub fn log_head(&self) -> Result<Option<String>, CatalogueError> {
        self.read(log::head_note)
    }

    /// The log as it is now, to be verified while the daemon writes on.
    pub fn log_copy(&self) -> Result<LogCopy, CatalogueError> {
        LogCopy::beside_the_daemon(&self.path)
    }

    /// What the archive was born with.
    pub fn birth(&self) -> Birth {
        self.birth
    }

    /// Enters `call`, whose object is durable and `sealed`, into the archive; it is durable when
    /// this returns. A call that is in already is left as it is.
    pub fn archive(&self, call: Call, sealed: Sealed) -> Result<Archived, CatalogueError> {
        let day = self.day_of(&call);
        let change = Change::Archive {
            call: Box::new(call),
            day,
            sealed,
        };
        let Answer::Archived(archived) = self.writer.apply(now(), change)? else {
            return Err(CatalogueError::Closed);
        };
        if let Archived::New(recording) = &archived {
            let number = recording.number;
            self.note_arrival(recording)?;
            self.announce(News { number, day });
        }
        Ok(archived)
    }

    /// Enters many calls whose objects are durable, all or none of them, in one commit: for an import,
    /// and for benchmarks. Holds them all in memory, and up to 512 MiB of the catalogue's pages.
    pub fn archive_many(
        &self,
        calls: impl IntoIterator<Item = (Call, Sealed)>,
    ) -> Result<(), CatalogueError> {
        let dated = |(call, sealed): (Call, Sealed)| {
            let day = self.day_of(&call);
            (call, day, sealed)
        };
        let calls = calls.into_iter().map(dated).collect();
        self.writer.apply(now(), Change::ArchiveMany { calls })?;
        self.refresh_shown()
    }

    /// The office's day on which `call` began.
    fn day_of(&self, call: &Call) -> Day {
        let at = crate::call::time_of(call.id.timestamp_ms() as i64 * 1_000_000);
        Day::of(at, self.birth.time_zone)
    }

    /// Makes `number` known, so that its directory is there before its first call.
    pub fn designate(&self, number: &str) -> Result<NumberId, CatalogueError> {
        match self.writer.apply(
            now(),
            Change::Designate {
                number: number.to_owned(),
            },
        )? {
            Answer::Designated(id) => Ok(id),
            _ => Err(CatalogueError::Closed),
        }
    }

    /// Enters what is wrong with the file at `path`; `content` is the caller's.
    pub fn enter_finding(
        &self,
        path: String,
        found_at: i64,
        content: String,
    ) -> Result<(), CatalogueError> {
        self.writer
            .apply(
                now(),
                Change::Find {
                    path,
                    found_at,
                    content,
                },
            )
            .map(drop)
    }

    /// Nothing is wrong with the file at `path` any more.
    pub fn remove_finding(&self, path: String) -> Result<(), CatalogueError> {
        self.writer.apply(now(), Change::Mend { path }).map(drop)
    }

    /// What is wrong with files: when it was found (nanoseconds since 1970), and what was entered.
    pub fn findings(&self) -> Result<Vec<(i64, String)>, CatalogueError> {
        self.read(read::findings)
    }

    /// Remembers up to which recording the background scrub has come; nothing when it begins anew.
    pub fn set_scrubbed(&self, up_to: Option<Key>) -> Result<(), CatalogueError> {
        let value = up_to.map_or_else(String::new, |key| key.to_i64().to_string());
        self.writer
            .apply(
                now(),
                Change::Set {
                    name: SCRUBBED,
                    value,
                },
            )
            .map(drop)
    }

    /// See [`Self::set_scrubbed`].
    pub fn scrubbed(&self) -> Result<Option<Key>, CatalogueError> {
        let value = self.read(|on| change::get(on, SCRUBBED))?;
        Ok(value
            .and_then(|value| value.parse().ok())
            .and_then(Key::from_i64))
    }

    /// All numbers, past and present, in the order of their names.
    pub fn numbers(&self) -> Result<Vec<Number>, CatalogueError> {
        self.read(read::numbers)
    }

    /// The days within `days` (YYYYMMDD) that have recordings, of `number` or of any.
    pub fn days(
        &self,
        number: Option<NumberId>,
        days: RangeInclusive<u32>,
    ) -> Result<Vec<Day>, CatalogueError> {
        self.read(|on| read::days(on, number, days))
    }

    /// Whether one of `days` (YYYYMMDD) has a recording, of `number` or of any.
    pub fn has_day(
        &self,
        number: Option<NumberId>,
        days: RangeInclusive<u32>,
    ) -> Result<bool, CatalogueError> {
        self.read(|on| read::has_day(on, number, days))
    }

    /// The numbers with recordings on `day`.
    pub fn numbers_of_day(&self, day: Day) -> Result<Vec<Number>, CatalogueError> {
        self.read(|on| read::numbers_of_day(on, day))
    }

    /// The recordings of `number` on `day`, in order.
    pub fn recordings(&self, number: NumberId, day: Day) -> Result<Vec<Recording>, CatalogueError> {
        let milliseconds = day.milliseconds(self.birth.time_zone);
        self.read(|on| read::of_number(on, number, &milliseconds))
    }

    /// The recordings of `number` that began within `milliseconds` since 1970, in order.
    pub fn recordings_within(
        &self,
        number: NumberId,
        milliseconds: &Range<i64>,
    ) -> Result<Vec<Recording>, CatalogueError> {
        self.read(|on| read::of_number(on, number, milliseconds))
    }

    /// The recording with this key.
    pub fn by_key(&self, key: Key) -> Result<Option<Recording>, CatalogueError> {
        self.read(|on| read::by_key(on, key))
    }

    /// The recording with this identity.
    pub fn by_id(&self, id: Ulid) -> Result<Option<Recording>, CatalogueError> {
        self.read(|on| read::by_id(on, id))
    }

    /// The first `limit` recordings that `filter` asks for, oldest first.
    pub fn find(&self, filter: &Filter, limit: u32) -> Result<Vec<Recording>, CatalogueError> {
        self.read(|on| read::find(on, filter, limit))
    }

    /// The archive in figures.
    pub fn totals(&self) -> Result<Totals, CatalogueError> {
        self.read(read::totals)
    }

    /// Asks with a connection of its own: one that lies ready, or a new one.
    fn read<T>(
        &self,
        ask: impl FnOnce(&Connection) -> Result<T, CatalogueError>,
    ) -> Result<T, CatalogueError> {
        let ready = self
            .readers
            .lock()
            .expect("no reader panics holding it")
            .pop();
        let connection = if let Some(connection) = ready {
            connection
        } else {
            let connection = open(&self.path, OpenFlags::empty())?;
            connection.pragma_update(None, "query_only", true)?;
            connection
        };
        let answer = ask(&connection);
        self.readers
            .lock()
            .expect("no reader panics holding it")
            .push(connection);
        answer
    }
}

/// A connection with the settings that every one has: a write-ahead log, and an fsync a commit.
fn open(path: &Path, more: OpenFlags) -> Result<Connection, CatalogueError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | more;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // Bytes that were deleted are overwritten in the file: they may be a person's number.
    connection.pragma_update(None, "secure_delete", true)?;
    // A statement keeps its plan whatever is asked with it: `SQLite` would plan each question anew,
    // which takes longer than answering it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

#[cfg(test)]
pub(crate) mod tests;
