//! The tables of the audit log. Records are made by `crate::audit`; here they are put into the same
//! transaction as the change that they tell of, and read again.

use super::{CatalogueError, bodies};
use crate::audit::{Chain, Checkpoint, Draft, Event, Outcome, Signer};
use crate::crypto::fill_random;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use std::sync::Arc;
use ulid::Ulid;

/// The end of the log: what the next record continues, and who signs.
#[derive(Debug, Clone)]
pub(super) struct Log {
    chain: Chain,
    signer: Arc<Signer>,
}

/// A record of the log as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRow {
    /// Its number, from 1.
    pub seq: u64,
    /// The copy of the recording's identity.
    pub recording: Option<Vec<u8>>,
    /// The chained bytes.
    pub record: Vec<u8>,
    /// What is hidden behind the record's commitment: salt and body.
    pub private: Option<Vec<u8>>,
}

/// A checkpoint that was issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// Records that it covers.
    pub size: u64,
    /// When, nanoseconds since 1970.
    pub at: i64,
    /// The signed note.
    pub note: String,
}

impl Log {
    /// The log in `connection`, continued by the one of `signers` (the newest first) that signed its
    /// end. An empty log is begun at `now`; one whose end does not hold together is continued from
    /// its records, with an alarm: what is wrong with it, verification finds.
    pub fn open(
        connection: &mut Connection,
        signers: Vec<Signer>,
        now: i64,
    ) -> Result<Self, CatalogueError> {
        let mut signers: Vec<_> = signers.into_iter().map(Arc::new).collect();
        if signers.is_empty() {
            return Err(CatalogueError::Damaged(
                "there is no key for its log".into(),
            ));
        }
        let head = head(connection)?;
        let stored = size(connection)?;
        let agreeing = head.as_ref().and_then(|(chain, note)| {
            let chain = Chain::from_bytes(chain).ok()?;
            let signer = signers.iter().find(|signer| signed(note, signer, &chain))?;
            (chain.size() == stored).then(|| (chain, signer.clone()))
        });
        if let Some((chain, signer)) = agreeing {
            return Ok(Self { chain, signer });
        }
        let begins = head.is_none() && stored == 0;
        let mut log = Self {
            chain: rebuilt(connection)?,
            signer: signers.remove(0),
        };
        let draft = if begins {
            Draft::new(now, Event::LogBegun, Outcome::Done)
        } else {
            log::error!(
                "ALARM: the end of the audit log is not as it was signed: run tsuwaroku audit verify"
            );
            Draft::new(now, Event::LogKey, Outcome::Failed)
                .with("reason", "the end of the log was not as it was signed")
        };
        let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        log.append(&transaction, &draft.with("vkey", log.signer.vkey()))?;
        log.put_head(&transaction)?;
        transaction.commit()?;
        Ok(log)
    }

    /// Puts a record into the transaction of `on`, and answers its number.
    pub fn append(&mut self, on: &Connection, draft: &Draft) -> Result<u64, CatalogueError> {
        let mut salt = [0; 32];
        fill_random(&mut salt).map_err(|error| CatalogueError::NotCommitted(error.to_string()))?;
        let mut link = self.chain.append(draft, salt);
        if link.private.is_some() && !bodies::may_be_kept(on, draft)? {
            link.private = None;
        }
        on.prepare_cached(
            "INSERT INTO log (seq, recording, record, private) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![
            link.seq,
            draft.recording.map(|id| id.to_bytes()),
            link.record,
            link.private
        ])?;
        bodies::note(on, draft, link.seq)?;
        Ok(link.seq)
    }

    /// Records in the log.
    pub fn size(&self) -> u64 {
        self.chain.size()
    }

    /// Puts the signed end of the log into the transaction of `on`.
    pub fn put_head(&self, on: &Connection) -> Result<(), CatalogueError> {
        on.prepare_cached(
            "INSERT INTO log_head (only, chain, note) VALUES (0, ?1, ?2)
             ON CONFLICT DO UPDATE SET chain = ?1, note = ?2",
        )?
        .execute(params![
            self.chain.to_bytes(),
            self.signer.sign(&self.chain)
        ])?;
        Ok(())
    }

    /// Issues a checkpoint of the log as it is, unless nothing is new since the last one.
    pub fn checkpoint(&self, on: &Connection, now: i64) -> Result<Option<Issued>, CatalogueError> {
        let last: Option<u64> =
            on.query_row("SELECT max(size) FROM checkpoint", [], |row| row.get(0))?;
        // A log that was cut has checkpoints of more than it holds; verification tells of it.
        if last >= Some(self.size()) {
            return Ok(None);
        }
        let issued = Issued {
            size: self.size(),
            at: now,
            note: self.signer.sign(&self.chain),
        };
        on.prepare_cached("INSERT INTO checkpoint (size, at, note) VALUES (?1, ?2, ?3)")?
            .execute(params![issued.size, now, issued.note])?;
        Ok(Some(issued))
    }

    /// Hands over to `signer`: the old key signs the record that names the new one.
    pub fn rotate(
        &mut self,
        on: &Connection,
        signer: &Arc<Signer>,
        draft: &Draft,
    ) -> Result<Option<Issued>, CatalogueError> {
        let named = draft.clone().with("vkey", signer.vkey());
        self.append(on, &named)?;
        let issued = self.checkpoint(on, draft.at)?;
        self.signer = signer.clone();
        Ok(issued)
    }
}

fn signed(note: &str, signer: &Signer, chain: &Chain) -> bool {
    Checkpoint::open(note, &[signer.verifying_key()])
        .is_ok_and(|checkpoint| checkpoint.size == chain.size() && checkpoint.root == chain.root())
}

fn head(on: &Connection) -> Result<Option<(Vec<u8>, String)>, CatalogueError> {
    let row = on.query_row("SELECT chain, note FROM log_head", [], |row| {
        Ok((row.get(0)?, row.get(1)?))
    });
    Ok(row.optional()?)
}

/// Records in the table.
pub(super) fn size(on: &Connection) -> Result<u64, CatalogueError> {
    let last: Option<u64> = on.query_row("SELECT max(seq) FROM log", [], |row| row.get(0))?;
    Ok(last.unwrap_or(0))
}

/// The chain of the records as they are.
fn rebuilt(on: &Connection) -> Result<Chain, CatalogueError> {
    let mut chain = Chain::new();
    let mut records = on.prepare("SELECT seq, record FROM log ORDER BY seq")?;
    let mut rows = records.query([])?;
    while let Some(row) = rows.next()? {
        let seq: u64 = row.get(0)?;
        // A number whose row is gone is not used again.
        while chain.size() + 1 < seq {
            chain.skip();
        }
        chain.continue_with(row.get_ref(1)?.as_blob().unwrap_or_default());
    }
    Ok(chain)
}

/// The signed note of the end of the log.
pub(super) fn head_note(on: &Connection) -> Result<Option<String>, CatalogueError> {
    Ok(head(on)?.map(|(_, note)| note))
}

/// Checkpoints of more than `after` records, in order.
pub(super) fn checkpoints(on: &Connection, after: u64) -> Result<Vec<Issued>, CatalogueError> {
    let mut all =
        on.prepare_cached("SELECT size, at, note FROM checkpoint WHERE size > ?1 ORDER BY size")?;
    let rows = all.query_map([after], issued)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn issued(row: &rusqlite::Row<'_>) -> rusqlite::Result<Issued> {
    Ok(Issued {
        size: row.get(0)?,
        at: row.get(1)?,
        note: row.get(2)?,
    })
}

/// The checkpoint of the most records.
pub(super) fn newest_checkpoint(on: &Connection) -> Result<Option<Issued>, CatalogueError> {
    let newest = "SELECT size, at, note FROM checkpoint ORDER BY size DESC LIMIT 1";
    let row = on.query_row(newest, [], issued);
    Ok(row.optional()?)
}

/// Up to `limit` records from number `from` on, in order.
pub(super) fn records(
    on: &Connection,
    from: u64,
    limit: u32,
) -> Result<Vec<LogRow>, CatalogueError> {
    let mut page = on.prepare_cached(
        "SELECT seq, recording, record, private FROM log WHERE seq >= ?1 ORDER BY seq LIMIT ?2",
    )?;
    let rows = page.query_map(params![from, limit], of_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Up to `limit` records of `recording`, or of any, before number `before`, the newest first.
pub(super) fn records_before(
    on: &Connection,
    recording: Option<Ulid>,
    before: u64,
    limit: u32,
) -> Result<Vec<LogRow>, CatalogueError> {
    let columns = "seq, recording, record, private";
    let before = i64::try_from(before).unwrap_or(i64::MAX);
    let rows: Result<Vec<_>, _> = match recording {
        Some(id) => on
            .prepare_cached(&format!(
                "SELECT {columns} FROM log WHERE recording = ?1 AND seq < ?2
                 ORDER BY seq DESC LIMIT ?3"
            ))?
            .query_map(params![id.to_bytes(), before, limit], of_row)?
            .collect(),
        None => on
            .prepare_cached(&format!(
                "SELECT {columns} FROM log WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2"
            ))?
            .query_map(params![before, limit], of_row)?
            .collect(),
    };
    Ok(rows?)
}

fn of_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<LogRow> {
    Ok(LogRow {
        seq: row.get(0)?,
        recording: row.get(1)?,
        record: row.get(2)?,
        private: row.get(3)?,
    })
}
