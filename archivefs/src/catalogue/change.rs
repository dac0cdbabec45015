//! What can be changed, and how: each change with what the log says of it, in the transaction that it is
//! given. Who asks, and when it is durable, is the writer's business.

use super::CatalogueError;
use super::log::{Issued, Log};
use super::read::{of_millisecond, of_number};
use super::row::{Key, LONG_SUFFIX, NumberId, Recording, place_of};
use super::tombstones;
use super::write::Writer;
use crate::audit::{Draft, Event, Outcome as How, Signer};
use crate::call::Call;
use crate::crypto::hex;
use crate::day::Day;
use crate::store::Sealed;
use rusqlite::{Connection, OptionalExtension, params};
use std::sync::Arc;
use std::sync::mpsc::channel;

/// Memory for pages while many recordings enter at once: `SQLite` takes a negative number for KiB.
const BULK_CACHE: i64 = -512 * 1024;

/// A change of the archive.
#[derive(Debug)]
pub(super) enum Change {
    /// A recording whose object is durable enters the archive.
    Archive {
        call: Box<Call>,
        day: Day,
        sealed: Sealed,
    },
    /// Many of them, in one transaction or not at all.
    ArchiveMany { calls: Vec<(Call, Day, Sealed)> },
    /// A number is designated.
    Designate { number: String },
    /// A setting has a new value.
    Set { name: &'static str, value: String },
    /// Something is wrong with the file at `path`.
    Find {
        path: String,
        found_at: i64,
        content: String,
    },
    /// Nothing is wrong with it any more.
    Mend { path: String },
    /// Something happened that changes nothing.
    Log(Box<Draft>),
    /// The log as it is shall be proved.
    Checkpoint,
    /// The log is signed by another key from now on.
    RotateLogKey { signer: Arc<Signer>, by: Box<Draft> },
    /// What happens to recordings as they age: said by the file that it belongs to.
    With(Make),
}

/// What a change does.
pub(super) struct Make(Box<Making>);

type Making = dyn Fn(&Connection, &mut Log) -> Result<(), CatalogueError> + Send;

impl std::fmt::Debug for Make {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Make")
    }
}

/// Has `writer` make a change, and gives what `make` answered when that is durable.
pub(super) fn apply<T: Send + 'static>(
    writer: &Writer,
    at: i64,
    make: impl Fn(&Connection, &mut Log) -> Result<T, CatalogueError> + Send + 'static,
) -> Result<T, CatalogueError> {
    let (give, given) = channel();
    let make = move |on: &Connection, log: &mut Log| {
        // Nobody waits any more: it is made all the same.
        let _ = give.send(make(on, log)?);
        Ok(())
    };
    writer.apply(at, Change::With(Make(Box::new(make))))?;
    given.try_iter().last().ok_or(CatalogueError::Closed)
}

/// What became of a recording that was to enter the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Archived {
    /// It is in.
    New(Box<Recording>),
    /// It had been in before; this is its row.
    Already(Box<Recording>),
}

/// What a change answers.
#[derive(Debug)]
pub(super) enum Answer {
    Archived(Archived),
    Designated(NumberId),
    Issued(Option<Issued>),
    Done,
}

/// What becomes of a change.
pub(super) type Outcome = Result<Answer, CatalogueError>;

impl Change {
    /// Makes the change, and logs it.
    pub fn make(&self, at: i64, on: &Connection, log: &mut Log) -> Outcome {
        match self {
            Self::Archive { call, day, sealed } => {
                let archived = archive(on, call, *day, *sealed)?;
                if let Archived::New(recording) = &archived {
                    let draft = Draft::new(at, Event::Archived, How::Done)
                        .on(recording.id)
                        .of_number(&call.number)
                        .with("sha256", hex(&sealed.wav_sha256));
                    log.append(on, &draft)?;
                }
                Ok(Answer::Archived(archived))
            }
            Self::ArchiveMany { calls } => {
                archive_many(on, calls)?;
                let draft = Draft::new(at, Event::Imported, How::Done);
                log.append(on, &draft.with("recordings", calls.len()))?;
                Ok(Answer::Done)
            }
            Self::Designate { number } => {
                let (id, new) = designate(on, number)?;
                if new {
                    let draft = Draft::new(at, Event::Designated, How::Done);
                    log.append(on, &draft.of_number(number))?;
                }
                Ok(Answer::Designated(id))
            }
            Self::Set { name, value } => set(on, name, value).map(|()| Answer::Done),
            Self::Find {
                path,
                found_at,
                content,
            } => {
                let new = find(on, path, *found_at, content)?;
                if new {
                    let draft = Draft::new(at, Event::Finding, How::Failed);
                    log.append(on, &draft.with("path", path).with("finding", content))?;
                }
                Ok(Answer::Done)
            }
            Self::Mend { path } => {
                on.prepare_cached("DELETE FROM finding WHERE path = ?1")?
                    .execute([path])?;
                let draft = Draft::new(at, Event::Mended, How::Done);
                log.append(on, &draft.with("path", path))?;
                Ok(Answer::Done)
            }
            Self::Log(draft) => log.append(on, draft).map(|_| Answer::Done),
            Self::Checkpoint => log.checkpoint(on, at).map(Answer::Issued),
            Self::RotateLogKey { signer, by } => log.rotate(on, signer, by).map(Answer::Issued),
            Self::With(Make(make)) => make(on, log).map(|()| Answer::Done),
        }
    }
}

/// Enters a finding, and answers whether it is a new one.
fn find(on: &Connection, path: &str, found_at: i64, content: &str) -> Result<bool, CatalogueError> {
    let known = on
        .prepare_cached("SELECT 1 FROM finding WHERE path = ?1")?
        .exists([path])?;
    on.prepare_cached(
        "INSERT INTO finding (path, found_at, content) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET content = ?3",
    )?
    .execute(params![path, found_at, content])?;
    Ok(!known)
}

/// The id of `number`, and whether it is a new one.
fn designate(on: &Connection, number: &str) -> Result<(NumberId, bool), CatalogueError> {
    let mut known = on.prepare_cached("SELECT id FROM number WHERE number = ?1")?;
    if let Some(id) = known.query_row([number], |row| row.get(0)).optional()? {
        return Ok((NumberId(id), false));
    }
    let mut new = on.prepare_cached("INSERT INTO number (number) VALUES (?1) RETURNING id")?;
    Ok((NumberId(new.query_row([number], |row| row.get(0))?), true))
}

fn archive(
    on: &Connection,
    call: &Call,
    day: Day,
    sealed: Sealed,
) -> Result<Archived, CatalogueError> {
    let beside = of_millisecond(on, call.id)?;
    if let Some(there) = beside.iter().find(|recording| recording.id == call.id) {
        return Ok(Archived::Already(Box::new(there.clone())));
    }
    let buried = tombstones::of_millisecond(on, call.id)?;
    if buried.iter().any(|tombstone| tombstone.id == call.id) {
        return Err(CatalogueError::Erased(call.id));
    }
    let (number, _) = designate(on, &call.number)?;
    let mut recording = Recording::of(call, number, sealed);
    // A key is never used again: it is an inode number as well.
    let taken = beside.iter().map(|recording| recording.key);
    let taken: Vec<_> = taken
        .chain(buried.iter().map(|tombstone| tombstone.key))
        .collect();
    recording.key = free_key(&taken, recording.key);
    if name_is_taken(on, &recording)? {
        recording.suffix = LONG_SUFFIX;
    }
    insert(on, &recording)?;
    on.prepare_cached(
        "INSERT INTO day (number, day, recordings, nanoseconds, stored_bytes, wav_bytes)
         VALUES (?1, ?2, 1, ?3, ?4, ?5)
         ON CONFLICT DO UPDATE SET recordings = recordings + 1, nanoseconds = nanoseconds + ?3,
            stored_bytes = stored_bytes + ?4, wav_bytes = wav_bytes + ?5",
    )?
    .execute(params![
        number.0,
        day.digits(),
        recording.nanoseconds(),
        sealed.stored_bytes,
        sealed.wav_bytes
    ])?;
    Ok(Archived::New(Box::new(recording)))
}

/// Rows of many callers touch every page of an index; with the usual memory each page would go to the
/// log again and again.
fn archive_many(on: &Connection, calls: &[(Call, Day, Sealed)]) -> Result<(), CatalogueError> {
    let usual: i64 = on.pragma_query_value(None, "cache_size", |row| row.get(0))?;
    on.pragma_update(None, "cache_size", BULK_CACHE)?;
    let outcome = calls
        .iter()
        .try_for_each(|(call, day, sealed)| archive(on, call, *day, *sealed).map(drop));
    on.pragma_update(None, "cache_size", usual)?;
    outcome
}

fn free_key(taken: &[Key], mut key: Key) -> Key {
    while taken.contains(&key) {
        key = key.next();
    }
    key
}

/// Whether a recording of the same number and second ends in the same characters.
fn name_is_taken(on: &Connection, new: &Recording) -> Result<bool, CatalogueError> {
    let second = new.key.milliseconds() / 1000 * 1000;
    let tail = |id: ulid::Ulid| {
        id.to_string()
            .split_off(usize::from(LONG_SUFFIX - new.suffix))
    };
    let same = of_number(on, new.number, &(second..second + 1000))?;
    Ok(same.iter().any(|other| tail(other.id) == tail(new.id)))
}

fn insert(on: &Connection, recording: &Recording) -> Result<(), CatalogueError> {
    let facts = recording.facts().ok_or_else(|| {
        CatalogueError::Impossible(format!(
            "{} began at another time than its identity",
            recording.id
        ))
    })?;
    on.prepare_cached(&format!(
        "INSERT INTO recording ({}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        Recording::COLUMNS
    ))?
    .execute(params![
        recording.key.to_i64(),
        recording.number.0,
        recording.frames,
        recording.layout.rate,
        recording.other_party,
        recording.sealed.wav_bytes,
        recording.sealed.stored_bytes,
        facts,
        place_of(recording.tier),
    ])?;
    Ok(())
}

pub(super) fn set(on: &Connection, name: &str, value: &str) -> Result<(), CatalogueError> {
    let upsert = "INSERT INTO setting (name, value) VALUES (?1, ?2)
        ON CONFLICT DO UPDATE SET value = ?2";
    on.execute(upsert, [name, value])?;
    Ok(())
}

pub(super) fn get(on: &Connection, name: &str) -> Result<Option<String>, CatalogueError> {
    let mut value = on.prepare("SELECT value FROM setting WHERE name = ?1")?;
    Ok(value.query_row([name], |row| row.get(0)).optional()?)
}
