//! A log of 200 records with everything in it, as rows and notes that a test may damage.

use super::super::{Audit, Report};
use crate::audit::{Chain, Draft, Event, Link, Outcome, Signer, VerifyingKey, Who};
use ulid::Ulid;

/// Records of the log.
pub const RECORDS: usize = 200;
/// Sizes of the checkpoints that the catalogue keeps.
const STORED: [u64; 3] = [64, 128, 192];
/// Sizes of those outside.
pub const OUTSIDE: [u64; 3] = [50, 100, 150];

/// A stored row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub seq: i64,
    pub record: Vec<u8>,
    pub recording: Option<Vec<u8>>,
    pub private: Option<Vec<u8>>,
}

/// A stored log.
#[derive(Debug, Clone)]
pub struct Log {
    pub rows: Vec<Row>,
    pub head: Option<String>,
    pub end: Option<Vec<u8>>,
    pub stored: Vec<String>,
    pub outside: Vec<String>,
}

/// The log's key, and the one after it.
pub fn keys() -> [Signer; 2] {
    [1, 2].map(|seed| Signer::new("tsuwaroku/test", [seed; 32]).unwrap())
}

/// Keys for whoever verifies.
pub fn trusted(signers: &[Signer]) -> Vec<VerifyingKey> {
    signers.iter().map(Signer::verifying_key).collect()
}

/// What record `seq` says.
pub fn draft(seq: u64) -> Draft {
    let at = 1_795_396_530_123_456_789 + seq as i64 * 1_000_000_007;
    let who = Who {
        uid: 1000 + (seq % 7) as u32,
        gid: 100,
        name: "佐藤".into(),
        pid: (!seq.is_multiple_of(3)).then_some(4000 + seq as u32),
        exe: (seq % 3 == 1).then(|| "/usr/bin/nautilus".into()),
    };
    let id = Ulid::from_parts(1_795_396_530_123 + seq, u128::from(seq));
    match seq % 5 {
        _ if seq == 1 => {
            Draft::new(at, Event::LogBegun, Outcome::Done).with("vkey", keys()[0].vkey())
        }
        0 => Draft::new(at, Event::Started, Outcome::Done),
        1 => Draft::new(at, Event::Release, Outcome::Done)
            .by(who)
            .on(id)
            .with("bytes", seq * 1000),
        2 => Draft::new(at, Event::RefusedWrite, Outcome::Refused).by(who),
        _ => Draft::new(at, Event::Open, Outcome::Done)
            .by(who)
            .on(id)
            .of_number("06-6458-1132")
            .hidden("party", format!("03{seq:08}")),
    }
}

/// The row of a link.
pub fn row(link: Link, draft: &Draft) -> Row {
    Row {
        seq: link.seq as i64,
        record: link.record,
        recording: draft.recording.map(|id| id.to_bytes().to_vec()),
        private: link.private,
    }
}

/// What the daemon keeps and gives away while it writes; the head is signed by [`Writer::log`] only.
pub struct Writer {
    pub chain: Chain,
    pub signer: Signer,
    pub log: Log,
}

impl Writer {
    pub fn new(signer: Signer) -> Self {
        let log = Log {
            rows: vec![],
            head: None,
            end: None,
            stored: vec![],
            outside: vec![],
        };
        let chain = Chain::new();
        Self { chain, signer, log }
    }

    pub fn write(&mut self, draft: &Draft) {
        let salt = [self.chain.size() as u8; 32];
        let link = self.chain.append(draft, salt);
        self.log.rows.push(row(link, draft));
        let size = self.chain.size();
        if STORED.contains(&size) {
            self.log.stored.push(self.signer.sign(&self.chain));
        }
        if OUTSIDE.contains(&size) {
            self.log.outside.push(self.signer.sign(&self.chain));
        }
    }

    pub fn write_all(&mut self, drafts: impl IntoIterator<Item = Draft>) {
        for draft in drafts {
            self.write(&draft);
        }
    }

    /// All of it.
    pub fn log(mut self) -> Log {
        self.log.head = Some(self.signer.sign(&self.chain));
        self.log.end = Some(self.chain.to_bytes());
        self.log
    }
}

impl Log {
    /// The log with its 200 records.
    pub fn new() -> Self {
        Self::with(RECORDS as u64, draft)
    }

    /// A log of `records` that say what `drafts` has.
    pub fn with(records: u64, drafts: impl Fn(u64) -> Draft) -> Self {
        let [signer, _] = keys();
        let mut writer = Writer::new(signer);
        writer.write_all((1..=records).map(drafts));
        writer.log()
    }

    /// Verifies it with its key.
    pub fn audit(&self) -> Report {
        self.audit_with(trusted(&keys()[..1]))
    }

    /// Verifies it, the rows in the order of their column as the catalogue gives them.
    pub fn audit_with(&self, trusted: Vec<VerifyingKey>) -> Report {
        let mut audit = Audit::new(trusted);
        if let Some(head) = &self.head {
            audit.head(head, self.end.as_deref());
        }
        for note in &self.stored {
            audit.stored_checkpoint(note);
        }
        for note in &self.outside {
            audit.outside_checkpoint(note, "outside");
        }
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_by_key(|row| row.seq);
        for row in rows {
            let (recording, private) = (row.recording.as_deref(), row.private.as_deref());
            audit.stored_row(row.seq, &row.record, recording, private);
        }
        audit.finish()
    }
}
