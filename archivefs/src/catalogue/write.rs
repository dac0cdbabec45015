//! The single writer: one thread and one connection through which every change goes, and whose
//! callers are answered after their change is durable. Changes that wait together are committed
//! together, so that many callers share one fsync.

use super::CatalogueError;
use super::read::{of_millisecond, of_number};
use super::row::{Key, LONG_SUFFIX, NumberId, Recording};
use crate::call::Call;
use crate::day::Day;
use crate::store::Sealed;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

/// Changes in one commit at most: more would make the first of them wait without need.
const MOST_IN_A_COMMIT: usize = 256;

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
    Done,
}

type Reply = SyncSender<Result<Answer, CatalogueError>>;

/// The writer's thread.
#[derive(Debug)]
pub(super) struct Writer {
    changes: Option<Sender<(Change, Reply)>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub fn start(connection: Connection) -> std::io::Result<Self> {
        let (changes, waiting) = channel();
        let thread = std::thread::Builder::new()
            .name("catalogue".into())
            .spawn(move || run(connection, &waiting))?;
        Ok(Self {
            changes: Some(changes),
            thread: Some(thread),
        })
    }

    /// Makes `change` durable.
    pub fn apply(&self, change: Change) -> Result<Answer, CatalogueError> {
        let (reply, answer) = sync_channel(1);
        let changes = self.changes.as_ref().ok_or(CatalogueError::Closed)?;
        changes
            .send((change, reply))
            .map_err(|_| CatalogueError::Closed)?;
        answer.recv().map_err(|_| CatalogueError::Closed)?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.changes.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the catalogue's writer had stopped by a fault");
        }
    }
}

fn run(mut connection: Connection, waiting: &Receiver<(Change, Reply)>) {
    while let Ok(first) = waiting.recv() {
        let mut batch = vec![first];
        batch.extend(waiting.try_iter().take(MOST_IN_A_COMMIT - 1));
        commit(&mut connection, batch);
    }
}

/// One transaction for the batch, and only then the answers. A change that fails takes nobody with
/// it; a commit that fails takes all.
fn commit(connection: &mut Connection, batch: Vec<(Change, Reply)>) {
    let (changes, replies): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
    let answers = in_one_transaction(connection, &changes).unwrap_or_else(|error| {
        changes
            .iter()
            .map(|_| Err(CatalogueError::NotCommitted(error.to_string())))
            .collect()
    });
    for (reply, answer) in replies.into_iter().zip(answers) {
        // A caller that has gone away needs no answer.
        let _ = reply.send(answer);
    }
}

type Answers = Vec<Result<Answer, CatalogueError>>;

fn in_one_transaction(
    connection: &mut Connection,
    changes: &[Change],
) -> Result<Answers, rusqlite::Error> {
    let mut transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut answers = Vec::with_capacity(changes.len());
    for change in changes {
        let mut savepoint = transaction.savepoint()?;
        let answer = change.make(&savepoint);
        if answer.is_err() {
            savepoint.rollback()?;
        }
        savepoint.commit()?;
        answers.push(answer);
    }
    transaction.commit()?;
    Ok(answers)
}

impl Change {
    fn make(&self, on: &Connection) -> Result<Answer, CatalogueError> {
        match self {
            Self::Archive { call, day, sealed } => {
                archive(on, call, *day, *sealed).map(Answer::Archived)
            }
            Self::ArchiveMany { calls } => archive_many(on, calls).map(|()| Answer::Done),
            Self::Designate { number } => designate(on, number).map(Answer::Designated),
            Self::Set { name, value } => set(on, name, value).map(|()| Answer::Done),
            Self::Find {
                path,
                found_at,
                content,
            } => {
                on.prepare_cached(
                    "INSERT INTO finding (path, found_at, content) VALUES (?1, ?2, ?3)
                     ON CONFLICT DO UPDATE SET content = ?3",
                )?
                .execute(params![path, found_at, content])?;
                Ok(Answer::Done)
            }
            Self::Mend { path } => {
                on.prepare_cached("DELETE FROM finding WHERE path = ?1")?
                    .execute([path])?;
                Ok(Answer::Done)
            }
        }
    }
}

fn designate(on: &Connection, number: &str) -> Result<NumberId, CatalogueError> {
    let mut known = on.prepare_cached("SELECT id FROM number WHERE number = ?1")?;
    if let Some(id) = known.query_row([number], |row| row.get(0)).optional()? {
        return Ok(NumberId(id));
    }
    let mut new = on.prepare_cached("INSERT INTO number (number) VALUES (?1) RETURNING id")?;
    Ok(NumberId(new.query_row([number], |row| row.get(0))?))
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
    let number = designate(on, &call.number)?;
    let mut recording = Recording::of(call, number, sealed);
    recording.key = free_key(&beside, recording.key);
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

fn free_key(taken: &[Recording], mut key: Key) -> Key {
    while taken.iter().any(|recording| recording.key == key) {
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
        "INSERT INTO recording ({}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
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
