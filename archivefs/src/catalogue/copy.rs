//! The audit log of a database as of one moment, for verification: beside the running daemon, or on a
//! copy that somebody has taken along. Reads only, and reads what no version of this program would have
//! written: whether it is right is for `crate::audit` to say.

mod backup;

pub use backup::Contents;

use super::{CatalogueError, schema};
use crate::audit::{Audit, Report, VerifyingKey};
use rusqlite::config::DbConfig;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row};
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

/// Rows after which whoever waits hears how far it is.
const STEP: u64 = 4096;

/// A log as of one moment: whatever is written meanwhile, it stays the same.
#[derive(Debug)]
pub struct LogCopy {
    connection: Connection,
}

impl LogCopy {
    /// The log of the database at `path` that no daemon has open. Nothing is written beside a copy that
    /// has no write-ahead log (`-wal`), so that it may lie on a medium that cannot be written.
    pub fn open(path: &Path) -> Result<Self, CatalogueError> {
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        let whole = !Path::new(&log).exists();
        Self::open_as(path, if whole { "immutable=1" } else { "mode=ro" })
    }

    /// The log of the database at `path`, which the daemon writes.
    pub(super) fn beside_the_daemon(path: &Path) -> Result<Self, CatalogueError> {
        Self::open_as(path, "mode=ro")
    }

    fn open_as(path: &Path, how: &str) -> Result<Self, CatalogueError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_URI;
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let connection = Connection::open_with_flags(address(&path, how), flags)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        // A copy may have been made up: nothing in its schema is to be run.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        connection.pragma_update(None, "cell_size_check", true)?;
        connection.execute_batch("BEGIN")?;
        // The first question of a transaction decides of which moment all answers are.
        schema::version(&connection)?;
        let copy = Self { connection };
        copy.check_tables()?;
        Ok(copy)
    }

    fn check_tables(&self) -> Result<(), CatalogueError> {
        let tables: u32 = self.connection.query_row(
            "SELECT count(*) FROM sqlite_schema
             WHERE type = 'table' AND name IN ('log', 'log_head', 'checkpoint')",
            [],
            |row| row.get(0),
        )?;
        if tables == 3 {
            Ok(())
        } else {
            Err(CatalogueError::Damaged("it has no audit log".into()))
        }
    }

    /// Verifies the log with `trusted` keys, see [`Audit::new`], and with checkpoints from `outside`:
    /// where each was kept, and its note. `tell` hears how many rows of how many were read; nothing is
    /// answered if it answers that this is enough.
    pub fn verify<'a>(
        &self,
        trusted: Vec<VerifyingKey>,
        outside: impl IntoIterator<Item = (&'a str, &'a str)>,
        tell: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<Option<Report>, CatalogueError> {
        let mut audit = Audit::new(trusted);
        if let Some((chain, note)) = self.head()? {
            audit.head(&note, Some(&chain));
        }
        self.stored_checkpoints(&mut audit)?;
        for (source, note) in outside {
            audit.outside_checkpoint(note, source);
        }
        let finished = self.rows(&mut audit, tell)?;
        Ok(finished.then(|| audit.finish()))
    }

    /// The kept end of the log, and its signed note.
    fn head(&self) -> Result<Option<(Vec<u8>, String)>, CatalogueError> {
        let row = self
            .connection
            .query_row("SELECT chain, note FROM log_head", [], |row| {
                Ok((bytes(row, 0)?.unwrap_or_default().to_vec(), text(row, 1)?))
            });
        Ok(row.optional()?)
    }

    fn stored_checkpoints(&self, audit: &mut Audit) -> Result<(), CatalogueError> {
        let notes = "SELECT note FROM checkpoint ORDER BY size";
        let mut notes = self.connection.prepare(notes)?;
        let mut rows = notes.query([])?;
        while let Some(row) = rows.next()? {
            audit.stored_checkpoint(&text(row, 0)?);
        }
        Ok(())
    }

    /// Gives every row to `audit`; answers whether `tell` wanted all of them.
    fn rows(
        &self,
        audit: &mut Audit,
        tell: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<bool, CatalogueError> {
        let total = self.total()?;
        let all = "SELECT seq, record, recording, private FROM log ORDER BY seq";
        let mut all = self.connection.prepare(all)?;
        let mut rows = all.query([])?;
        let mut read = 0;
        while let Some(row) = rows.next()? {
            let record = bytes(row, 1)?.unwrap_or_default();
            audit.stored_row(row.get(0)?, record, bytes(row, 2)?, bytes(row, 3)?);
            read += 1;
            if read % STEP == 0 && !tell(read, total.max(read)) {
                return Ok(false);
            }
        }
        Ok(tell(read, read))
    }

    /// How many rows there are if none is missing.
    fn total(&self) -> Result<u64, CatalogueError> {
        let last = "SELECT max(seq) FROM log";
        let last: Option<i64> = self.connection.query_row(last, [], |row| row.get(0))?;
        Ok(u64::try_from(last.unwrap_or(0)).unwrap_or(0))
    }
}

/// The path as an address that `SQLite` understands, whatever bytes are in it
/// (<https://www.sqlite.org/uri.html>).
fn address(path: &Path, how: &str) -> String {
    let mut address = "file://".to_owned();
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                address.push(byte.into());
            }
            _ => {
                let _ = write!(address, "%{byte:02X}");
            }
        }
    }
    format!("{address}?{how}")
}

/// What is in the column, whatever type it has there.
fn bytes<'a>(row: &'a Row<'_>, column: usize) -> rusqlite::Result<Option<&'a [u8]>> {
    Ok(match row.get_ref(column)? {
        ValueRef::Blob(bytes) | ValueRef::Text(bytes) => Some(bytes),
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => None,
    })
}

fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    let bytes = bytes(row, column)?.unwrap_or_default();
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{AuditFinding, Draft, Event, Outcome};
    use crate::catalogue::Catalogue;
    use crate::catalogue::tests::{catalogue, tamper};

    fn log_ten(catalogue: &Catalogue) {
        for at in 1..=10 {
            let draft = Draft::new(at, Event::Find, Outcome::Done);
            catalogue.log(draft.hidden("search", "0312345678")).unwrap();
        }
        catalogue.checkpoint().unwrap();
    }

    fn verify(copy: &LogCopy) -> Report {
        let report = copy.verify(Vec::new(), [], &mut |_, _| true);
        report.unwrap().expect("nobody stops it")
    }

    #[test]
    fn a_copy_is_verified_where_nothing_can_be_written() {
        let (folder, catalogue) = catalogue();
        log_ten(&catalogue);
        drop(catalogue);
        let odd = folder.path().join("a b?#%\u{53e3}");
        std::fs::create_dir(&odd).unwrap();
        let copy = odd.join("catalogue.sqlite");
        std::fs::copy(folder.path().join("catalogue.sqlite"), &copy).unwrap();
        let report = verify(&LogCopy::open(&copy).unwrap());
        assert!(report.is_good(), "{report:?}");
        assert_eq!((report.records, report.confirmed), (11, 11));
        let beside: Vec<_> = std::fs::read_dir(&odd).unwrap().collect();
        assert_eq!(beside.len(), 1, "{beside:?}");
    }

    /// The daemon writes on while its log is verified: a record that came after is not half seen.
    #[test]
    fn the_log_of_a_running_daemon_stays_as_it_was_when_opened() {
        let (folder, catalogue) = catalogue();
        log_ten(&catalogue);
        let path = folder.path().join("catalogue.sqlite");
        let before = LogCopy::beside_the_daemon(&path).unwrap();
        log_ten(&catalogue);
        let report = verify(&before);
        assert!(report.is_good(), "{report:?}");
        assert_eq!(report.records, 11);
        let after = verify(&LogCopy::beside_the_daemon(&path).unwrap());
        assert!(after.is_good(), "{after:?}");
        assert_eq!(after.records, 21);
    }

    #[test]
    fn a_copy_with_its_write_ahead_log_is_verified() {
        let (folder, catalogue) = catalogue();
        log_ten(&catalogue);
        let elsewhere = tempfile::tempdir().unwrap();
        for name in ["catalogue.sqlite", "catalogue.sqlite-wal"] {
            std::fs::copy(folder.path().join(name), elsewhere.path().join(name)).unwrap();
        }
        let copy = LogCopy::open(&elsewhere.path().join("catalogue.sqlite")).unwrap();
        assert_eq!(verify(&copy).records, 11);
    }

    #[test]
    fn what_was_done_to_rows_is_found() {
        let changes = [
            (
                "UPDATE log SET record = CAST(replace(CAST(record AS TEXT), 'find', 'list') AS BLOB)
                 WHERE seq = 4",
                AuditFinding::Changed { seq: 4 },
            ),
            (
                "DELETE FROM log WHERE seq = 7",
                AuditFinding::Missing { first: 7, last: 7 },
            ),
            (
                "UPDATE log SET recording = zeroblob(16) WHERE seq = 5",
                AuditFinding::Misfiled { seq: 5 },
            ),
            (
                "UPDATE log SET private = zeroblob(60) WHERE seq = 6",
                AuditFinding::PrivateChanged { seq: 6 },
            ),
            ("DELETE FROM log_head", AuditFinding::NoHead { last: 11 }),
        ];
        for (sql, expected) in changes {
            let (folder, catalogue) = catalogue();
            log_ten(&catalogue);
            drop(catalogue);
            let path = folder.path().join("catalogue.sqlite");
            tamper(&path, sql);
            let report = verify(&LogCopy::open(&path).unwrap());
            assert_eq!(report.findings, [expected], "{sql}");
        }
    }

    #[test]
    fn whoever_waits_can_stop_it() {
        let (folder, catalogue) = catalogue();
        log_ten(&catalogue);
        let copy = LogCopy::open(&folder.path().join("catalogue.sqlite")).unwrap();
        let stopped = copy.verify(Vec::new(), [], &mut |_, _| false).unwrap();
        assert_eq!(stopped, None);
    }

    #[test]
    fn what_has_no_log_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalogue.sqlite");
        assert!(LogCopy::open(&path).is_err(), "no file");
        assert!(!path.exists(), "it makes none");
        Connection::open(&path)
            .unwrap()
            .execute_batch("CREATE TABLE log (seq)")
            .unwrap();
        let error = LogCopy::open(&path).unwrap_err().to_string();
        assert!(error.contains("no audit log"), "{error}");
        std::fs::write(&path, [7; 5000]).unwrap();
        assert!(LogCopy::open(&path).is_err(), "no database");
    }
}
