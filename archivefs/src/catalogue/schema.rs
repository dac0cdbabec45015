//! The tables, and how an older database becomes a current one. `PRAGMA user_version` counts the
//! steps that have been taken.

use super::CatalogueError;
use rusqlite::{Connection, Transaction, TransactionBehavior};

/// One step for each version of the schema, in order; a released step is never changed.
const STEPS: [&str; 2] = [
    // `recording.key` is the start in milliseconds and a tie-break (see `Key`), so that a stretch of
    // time is a range of the table itself. Every index ends in the key by itself, because the key is the
    // row's id. What no question asks about stands together in `recording.facts` (see `row`): a day of
    // thousands of calls is read three times as fast as from a column for each. `day` answers which directories there are, and how
    // much there is, without looking at recordings; `day.day` is the office's day as YYYYMMDD.
    // `finding` holds what is wrong with files of the tiers, as JSON, until it is mended.
    "
    CREATE TABLE setting (
        name  TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE number (
        id     INTEGER PRIMARY KEY,
        number TEXT NOT NULL UNIQUE
    ) STRICT;

    CREATE TABLE recording (
        key          INTEGER PRIMARY KEY,
        number       INTEGER NOT NULL REFERENCES number (id),
        frames       INTEGER NOT NULL,
        rate         INTEGER NOT NULL,
        other_party  TEXT,
        wav_bytes    INTEGER NOT NULL,
        stored_bytes INTEGER NOT NULL,
        facts        BLOB NOT NULL
    ) STRICT;
    CREATE INDEX recording_of_number ON recording (number);
    CREATE INDEX recording_of_party ON recording (other_party) WHERE other_party IS NOT NULL;

    CREATE TABLE day (
        number       INTEGER NOT NULL REFERENCES number (id),
        day          INTEGER NOT NULL,
        recordings   INTEGER NOT NULL,
        nanoseconds  INTEGER NOT NULL,
        stored_bytes INTEGER NOT NULL,
        wav_bytes    INTEGER NOT NULL,
        PRIMARY KEY (number, day)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX number_of_day ON day (day, number);

    CREATE TABLE finding (
        path      TEXT PRIMARY KEY,
        found_at  INTEGER NOT NULL,
        content   TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    ",
    // The audit log (`crate::audit`): `log.record` holds the chained bytes, `log.private` what is hidden
    // behind their commitment, until it is erased; `log.recording` is a copy out of the record, for
    // questions. `log_head` is one row: the state of the chain, and its signed checkpoint, replaced with
    // every commit. `checkpoint` keeps those that were given to the outside.
    "
    CREATE TABLE log (
        seq       INTEGER PRIMARY KEY,
        recording BLOB,
        record    BLOB NOT NULL,
        private   BLOB
    ) STRICT;
    CREATE INDEX log_of_recording ON log (recording) WHERE recording IS NOT NULL;

    CREATE TABLE log_head (
        only  INTEGER PRIMARY KEY CHECK (only = 0),
        chain BLOB NOT NULL,
        note  TEXT NOT NULL
    ) STRICT;

    CREATE TABLE checkpoint (
        size INTEGER PRIMARY KEY,
        at   INTEGER NOT NULL,
        note TEXT NOT NULL
    ) STRICT;
    ",
];

/// Steps that have been taken; refuses a database that a newer program has written.
pub(super) fn version(connection: &Connection) -> Result<usize, CatalogueError> {
    let found: usize = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let known = STEPS.len();
    if found > known {
        return Err(CatalogueError::Future { found, known });
    }
    Ok(found)
}

/// Brings the database up to date; refuses one that a newer program has written.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), CatalogueError> {
    let found = version(connection)?;
    for (done, step) in STEPS.iter().enumerate().skip(found) {
        let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", done + 1)?;
        transaction.commit()?;
    }
    Ok(())
}
