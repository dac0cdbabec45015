//! The audit log as it lies in the catalogue, read beside the daemon and with none of its code. Called
//! by the tests that compare the log with what was done.

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use ulid::Ulid;

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// Its number in the table.
    pub seq: u64,
    /// What it says.
    pub record: Value,
}

/// What was done between one start of the daemon and the next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Session {
    /// Recordings opened.
    pub opened: Tally,
    /// Recordings that were not to be opened.
    pub refused: Tally,
    /// Recordings closed.
    pub released: Tally,
    /// Attempts to change something.
    pub refused_writes: u64,
    /// Whether the daemon stopped by itself at its end.
    pub stopped: bool,
}

/// How often, by recording.
pub type Tally = BTreeMap<Ulid, u64>;

/// The catalogue of the archive at `root`.
pub fn catalogue(root: &Path) -> PathBuf {
    root.join("catalogue.sqlite")
}

/// Every record in the catalogue at `path`, in order.
pub fn records(path: &Path) -> Vec<Logged> {
    let on = open(path);
    let mut all = on
        .prepare("SELECT seq, record FROM log ORDER BY seq")
        .unwrap();
    let rows = all.query_map([], |row| {
        let record: Vec<u8> = row.get(1)?;
        let record = serde_json::from_slice(&record).expect("a record is JSON");
        Ok(Logged {
            seq: row.get(0)?,
            record,
        })
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// How often the daemon was started, as the log in the catalogue at `path` tells so far.
pub fn starts(path: &Path) -> usize {
    let started = "SELECT count(*) FROM log
        WHERE instr(CAST(record AS TEXT), '\"event\":\"started\"') > 0";
    open(path).query_row(started, [], |row| row.get(0)).unwrap()
}

fn open(path: &Path) -> Connection {
    let on = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
    on.busy_timeout(Duration::from_secs(30)).unwrap();
    on
}

/// How often each recording was opened, as `records` tell.
pub fn opened(records: &[Logged]) -> Tally {
    let mut opened = Tally::new();
    let open = |logged: &&Logged| logged.is("open") && logged.ended("done");
    for id in records.iter().filter(open).filter_map(Logged::recording) {
        *opened.entry(id).or_default() += 1;
    }
    opened
}

/// The records in the catalogue at `path` that tell of `event`.
pub fn of_event(path: &Path, event: &str) -> Vec<Logged> {
    let all = records(path).into_iter();
    all.filter(|logged| logged.is(event)).collect()
}

impl Logged {
    /// Whether it tells of `event`.
    pub fn is(&self, event: &str) -> bool {
        self.record["event"] == event
    }

    /// Whether it ended as `result`.
    pub fn ended(&self, result: &str) -> bool {
        self.record["result"] == result
    }

    /// The recording it is about.
    pub fn recording(&self) -> Option<Ulid> {
        Ulid::from_string(self.record["recording"].as_str()?).ok()
    }

    /// The account it names.
    pub fn uid(&self) -> Option<u64> {
        self.record["actor"]["uid"].as_u64()
    }
}

/// The sessions that `records` tell of, one for each start.
pub fn sessions(records: &[Logged]) -> Vec<Session> {
    let mut sessions = Vec::new();
    for logged in records {
        if logged.is("started") {
            sessions.push(Session::default());
        } else if let Some(session) = sessions.last_mut() {
            session.count(logged);
        }
    }
    sessions
}

impl Session {
    fn count(&mut self, logged: &Logged) {
        let mut counted = match logged.record["event"].as_str() {
            Some("open") if logged.ended("done") => Some(&mut self.opened),
            Some("open") if logged.ended("refused") => Some(&mut self.refused),
            Some("release") => Some(&mut self.released),
            _ => None,
        };
        if let (Some(tally), Some(id)) = (&mut counted, logged.recording()) {
            *tally.entry(id).or_default() += 1;
        }
        self.refused_writes += u64::from(logged.is("refused-write"));
        self.stopped |= logged.is("stopped");
    }
}

/// What is more often in `one` than in `other`.
pub fn surplus(one: &Tally, other: &Tally) -> Tally {
    let more = |(id, count): (&Ulid, &u64)| {
        let more = count.saturating_sub(other.get(id).copied().unwrap_or(0));
        (more > 0).then_some((*id, more))
    };
    one.iter().filter_map(more).collect()
}
