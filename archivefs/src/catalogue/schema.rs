//! The tables, and how an older database becomes a current one. `PRAGMA user_version` counts the
//! steps that have been taken.

use super::CatalogueError;
use rusqlite::{Connection, Transaction, TransactionBehavior};

/// One step for each version of the schema, in order; a released step is never changed.
const STEPS: [&str; 3] = [
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
    // What happens to recordings as they age. `recording.tier` is a place in `store::Tier::ALL`;
    // `leftover` holds copies that a move left behind until they are removed. A recording that is erased
    // leaves `recording` for `tombstone`, which is complete when nothing of it is left anywhere. A hold
    // names one recording, or what to look for. `named` finds the records of the log that name another
    // party and no recording.
    "
    ALTER TABLE recording ADD COLUMN tier INTEGER NOT NULL DEFAULT 0;

    CREATE TABLE leftover (
        key  INTEGER NOT NULL,
        tier INTEGER NOT NULL,
        id   BLOB NOT NULL CHECK (length(id) = 16),
        PRIMARY KEY (key, tier)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE hold (
        id           INTEGER PRIMARY KEY,
        recording    BLOB CHECK (length(recording) = 16),
        number       INTEGER REFERENCES number (id),
        first_ms     INTEGER,
        end_ms       INTEGER,
        other_party  TEXT,
        ground       TEXT NOT NULL,
        placed_at    INTEGER NOT NULL,
        placed_uid   INTEGER NOT NULL,
        placed_by    TEXT NOT NULL,
        until        INTEGER,
        released_at  INTEGER,
        released_uid INTEGER,
        released_by  TEXT
    ) STRICT;
    CREATE INDEX hold_in_force ON hold (id) WHERE released_at IS NULL;

    CREATE TABLE plan (
        id          INTEGER PRIMARY KEY,
        wish        TEXT NOT NULL,
        ground      TEXT NOT NULL,
        application TEXT,
        asked_at    INTEGER NOT NULL,
        asked_uid   INTEGER NOT NULL,
        asked_by    TEXT NOT NULL,
        state       TEXT NOT NULL,
        decided_at  INTEGER,
        decided_uid INTEGER,
        decided_by  TEXT,
        done_at     INTEGER
    ) STRICT;
    CREATE INDEX plan_of_state ON plan (state);

    CREATE TABLE plan_item (
        plan      INTEGER NOT NULL REFERENCES plan (id),
        recording BLOB NOT NULL CHECK (length(recording) = 16),
        outcome   TEXT,
        PRIMARY KEY (plan, recording)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE tombstone (
        key          INTEGER PRIMARY KEY,
        id           BLOB NOT NULL CHECK (length(id) = 16),
        number       INTEGER NOT NULL REFERENCES number (id),
        day          INTEGER NOT NULL,
        nanoseconds  INTEGER NOT NULL,
        wav_bytes    INTEGER NOT NULL,
        wav_sha256   BLOB NOT NULL CHECK (length(wav_sha256) = 32),
        ground       TEXT NOT NULL,
        application  TEXT,
        plan         INTEGER REFERENCES plan (id),
        asked_by     TEXT,
        approved_by  TEXT,
        erased_at    INTEGER NOT NULL,
        completed_at INTEGER
    ) STRICT;
    CREATE INDEX tombstone_incomplete ON tombstone (key) WHERE completed_at IS NULL;

    CREATE TABLE named (
        party TEXT NOT NULL,
        seq   INTEGER NOT NULL,
        PRIMARY KEY (party, seq)
    ) STRICT, WITHOUT ROWID;

    WITH body (seq, json) AS (
        SELECT seq, CAST(substr(private, 33) AS TEXT) FROM log
        WHERE recording IS NULL AND private IS NOT NULL
    ), search (seq, json) AS (
        SELECT seq, json ->> '$.search' FROM body WHERE json_valid(json)
    )
    INSERT OR IGNORE INTO named (party, seq)
    SELECT json ->> '$.other_party', seq FROM search
    WHERE json_valid(json) AND json ->> '$.other_party' IS NOT NULL;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Draft, Event, Outcome};
    use crate::catalogue::Catalogue;
    use crate::catalogue::tests::{catalogue, signers};

    /// What steps 3 and later add, taken away again.
    const BEFORE_3: &str = "
        DROP TABLE leftover; DROP TABLE plan_item; DROP TABLE tombstone; DROP TABLE plan;
        DROP TABLE hold; DROP TABLE named;
        ALTER TABLE recording DROP COLUMN tier;
        PRAGMA user_version = 2;
    ";

    /// An archive of before the third step opens, and its searches are found by what they name.
    #[test]
    fn an_older_catalogue_becomes_a_current_one() {
        let (folder, catalogue) = catalogue();
        let search =
            |words: &str| Draft::new(1, Event::Find, Outcome::Done).hidden("search", words);
        for words in [
            "{\"other_party\":\"0312345678\"}",
            "{}",
            "no JSON",
            "{\"number\":\"1\"}",
        ] {
            catalogue.log(search(words)).unwrap();
        }
        drop(catalogue);
        let path = folder.path().join("catalogue.sqlite");
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch(BEFORE_3).unwrap();
        assert_eq!(version(&connection).unwrap(), 2);
        drop(connection);
        drop(Catalogue::open(&path, signers()).unwrap());
        let connection = Connection::open(&path).unwrap();
        let named: Vec<(String, u64)> = connection
            .prepare("SELECT party, seq FROM named")
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(named, [("0312345678".to_owned(), 2)]);
    }
}
