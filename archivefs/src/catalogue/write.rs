//! The single writer: one thread and one connection through which every change goes, and whose
//! callers are answered after their change is durable. Changes that wait together are committed
//! together, so that many callers share one fsync.

use super::CatalogueError;
use super::row::{
    DIRECTIONS, ENCODINGS, END_REASONS, Key, LONG_SUFFIX, NumberId, Recording, place,
};
use crate::call::Call;
use crate::day::Day;
use crate::store::Sealed;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

/// Changes in one commit at most: more would make the first of them wait without need.
const MOST_IN_A_COMMIT: usize = 256;

/// A change of the archive.
#[derive(Debug)]
pub(super) enum Change {
    /// A recording whose object is durable enters the archive.
    Archive { call: Box<Call>, day: Day, sealed: Sealed },
    /// A number is designated.
    Designate { number: String },
    /// A setting has a new value.
    Set { name: &'static str, value: String },
    /// Something is wrong with the file at `path`.
    Find { path: String, found_at: i64, content: String },
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
        Ok(Self { changes: Some(changes), thread: Some(thread) })
    }

    /// Makes `change` durable.
    pub fn apply(&self, change: Change) -> Result<Answer, CatalogueError> {
        let (reply, answer) = sync_channel(1);
        let changes = self.changes.as_ref().ok_or(CatalogueError::Closed)?;
        changes.send((change, reply)).map_err(|_| CatalogueError::Closed)?;
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
        changes.iter().map(|_| Err(CatalogueError::NotCommitted(error.to_string()))).collect()
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
            Self::Designate { number } => designate(on, number).map(Answer::Designated),
            Self::Set { name, value } => set(on, name, value).map(|()| Answer::Done),
            Self::Find { path, found_at, content } => {
                on.prepare_cached(
                    "INSERT INTO finding (path, found_at, content) VALUES (?1, ?2, ?3)
                     ON CONFLICT DO UPDATE SET content = ?3",
                )?
                .execute(params![path, found_at, content])?;
                Ok(Answer::Done)
            }
            Self::Mend { path } => {
                on.prepare_cached("DELETE FROM finding WHERE path = ?1")?.execute([path])?;
                Ok(Answer::Done)
            }
        }
    }
}

fn designate(on: &Connection, number: &str) -> Result<NumberId, CatalogueError> {
    on.prepare_cached("INSERT INTO number (number) VALUES (?1) ON CONFLICT DO NOTHING")?
        .execute([number])?;
    let id = on
        .prepare_cached("SELECT id FROM number WHERE number = ?1")?
        .query_row([number], |row| row.get(0))?;
    Ok(NumberId(id))
}

fn archive(
    on: &Connection,
    call: &Call,
    day: Day,
    sealed: Sealed,
) -> Result<Archived, CatalogueError> {
    if let Some(there) = super::read::by_id(on, call.id)? {
        return Ok(Archived::Already(Box::new(there)));
    }
    let number = designate(on, &call.number)?;
    let mut recording = Recording::of(call, number, sealed);
    recording.key = free_key(on, recording.key)?;
    if name_is_taken(on, &recording)? {
        recording.suffix = LONG_SUFFIX;
    }
    insert(on, &recording)?;
    on.prepare_cached(
        "INSERT INTO day (number, day, recordings) VALUES (?1, ?2, 1)
         ON CONFLICT DO UPDATE SET recordings = recordings + 1",
    )?
    .execute(params![number.0, day.digits()])?;
    Ok(Archived::New(Box::new(recording)))
}

fn free_key(on: &Connection, mut key: Key) -> Result<Key, CatalogueError> {
    let mut taken = on.prepare_cached("SELECT 1 FROM recording WHERE key = ?1")?;
    while taken.exists([key.to_i64()])? {
        key = key.next();
    }
    Ok(key)
}

/// Whether a recording of the same number and second ends in the same characters.
fn name_is_taken(on: &Connection, new: &Recording) -> Result<bool, CatalogueError> {
    let second = new.key.milliseconds() / 1000 * 1000;
    let tail = |id: &ulid::Ulid| id.to_string().split_off(usize::from(LONG_SUFFIX - new.suffix));
    let mut same = on.prepare_cached(
        "SELECT id FROM recording WHERE number = ?1 AND key >= ?2 AND key < ?3",
    )?;
    let range = (Key::first_at(second).to_i64(), Key::first_at(second + 1000).to_i64());
    let ids = same.query_map(params![new.number.0, range.0, range.1], |row| row.get(0))?;
    for id in ids {
        if tail(&ulid::Ulid::from_bytes(id?)) == tail(&new.id) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn insert(on: &Connection, recording: &Recording) -> Result<(), CatalogueError> {
    let columns = Recording::COLUMNS;
    on.prepare_cached(&format!(
        "INSERT INTO recording ({columns})
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)"
    ))?
    .execute(params![
        recording.key.to_i64(),
        recording.id.to_bytes(),
        recording.number.0,
        recording.suffix,
        recording.started_at,
        recording.frames,
        recording.layout.rate,
        recording.layout.channels,
        place(&ENCODINGS, &recording.layout.encoding),
        place(&DIRECTIONS, &recording.direction),
        recording.other_party,
        recording.gap_frames,
        place(&END_REASONS, &recording.end_reason),
        recording.sealed.wav_bytes,
        recording.sealed.wav_sha256,
        recording.sealed.stored_bytes,
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
