//! Verification of a stored log, row after row, in constant memory but for the checkpoints. It says
//! what is wrong, of which record, once for one cause: after a bad record it goes on with the next
//! good one. Used by `tsuwaroku audit verify`, in the daemon and on a copy.
//!
//! ```text
//! rows ──► seen: what a row says ──► order: which record it is ──► links: whether it is whole
//!                                                                     │
//! head, checkpoints, keys ──────────► marks: the tree, against what was signed ◄┘
//! ```

mod finding;
mod links;
mod marks;
mod order;
mod seen;
#[cfg(test)]
mod tests;

pub use finding::AuditFinding;

use super::VerifyingKey;
use links::Links;
use marks::{Marks, Source, Tally};
use order::Order;
use seen::Seen;

/// Findings that are listed at most; the others are counted.
const MOST_FINDINGS: usize = 1000;

/// The findings so far.
#[derive(Debug, Default)]
struct Findings {
    list: Vec<AuditFinding>,
    more: u64,
}

impl Findings {
    fn push(&mut self, finding: AuditFinding) {
        if self.list.len() < MOST_FINDINGS {
            self.list.push(finding);
        } else {
            self.more += 1;
        }
    }
}

/// What verification found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Rows that were read.
    pub rows: u64,
    /// The number of the last record.
    pub records: u64,
    /// Records beside which something private was erased.
    pub erased: u64,
    /// A signature proves that the records up to this one are those that were written, but for the
    /// findings; 0 for none.
    pub confirmed: u64,
    /// Checkpoints, the head among them, that agree with the records.
    pub agreeing: u64,
    /// How many of them were kept outside.
    pub outside: u64,
    /// Checkpoints that could not be compared because of what was found.
    pub unchecked: u64,
    /// The key that signs at the end of the log, see [`VerifyingKey::parse`].
    pub key: Option<String>,
    /// What is wrong, in the order of the records; at most 1000.
    pub findings: Vec<AuditFinding>,
    /// Findings that are not listed.
    pub more: u64,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Verifies a log. Give it the head and all checkpoints first, then the rows in the order of their
/// column, all from one snapshot of the database.
#[derive(Debug)]
pub struct Audit {
    marks: Marks,
    findings: Findings,
    order: Option<Order>,
    links: Links,
    held: Option<Seen>,
    rows: u64,
    erased: u64,
}

impl Audit {
    /// A verifier that believes `trusted` keys, and those that they vouch for. Without any it believes
    /// the key that the first record names, which proves no more than that the log agrees with itself.
    pub fn new(trusted: Vec<VerifyingKey>) -> Self {
        Self {
            marks: Marks::new(trusted),
            findings: Findings::default(),
            order: None,
            links: Links::default(),
            held: None,
            rows: 0,
            erased: 0,
        }
    }

    /// The signed head that is replaced with every commit, and [`super::Chain::to_bytes`] as kept
    /// beside it, if that is at hand: with it a changed last record is named exactly.
    pub fn head(&mut self, note: &str, end: Option<&[u8]>) {
        self.marks.head(note, end);
    }

    /// A checkpoint that the catalogue keeps.
    pub fn stored_checkpoint(&mut self, note: &str) {
        self.marks
            .checkpoint(note, Source::Stored, &mut self.findings);
    }

    /// A checkpoint that was kept outside, in `source`: a file, a journal.
    pub fn outside_checkpoint(&mut self, note: &str, source: &str) {
        let source = Source::Outside(source.to_owned());
        self.marks.checkpoint(note, source, &mut self.findings);
    }

    /// The next row: the number in its column, the record's bytes, the column with the 16 bytes of the
    /// recording's ULID, the column with what is private.
    pub fn stored_row(
        &mut self,
        row: i64,
        record: &[u8],
        recording: Option<&[u8]>,
        private: Option<&[u8]>,
    ) {
        let seen = Seen::new(row, record, recording, private);
        self.rows += 1;
        self.erased += u64::from(seen.erased);
        if let Some(held) = self.held.take() {
            self.take(held, Some(&seen));
        }
        self.held = Some(seen);
    }

    /// There are no more rows.
    pub fn finish(mut self) -> Report {
        if let Some(held) = self.held.take() {
            self.take(held, None);
        }
        let records = self.finish_order();
        let end = self.marks.end();
        self.links.finish(end, &mut self.marks, &mut self.findings);
        let tally = self.marks.finish(records, &mut self.findings);
        let mut findings = self.findings;
        findings.list.sort_by_key(AuditFinding::record);
        let Tally {
            confirmed,
            agreeing,
            outside,
            unchecked,
        } = tally;
        Report {
            rows: self.rows,
            records,
            erased: self.erased,
            confirmed,
            agreeing,
            outside,
            unchecked,
            key: self.marks.key(),
            findings: findings.list,
            more: findings.more,
        }
    }

    fn take(&mut self, seen: Seen, following: Option<&Seen>) {
        let end = self.marks.head_size();
        let order = self.order.get_or_insert_with(|| Order::new(end));
        let mut steps = Vec::new();
        order.take(seen, following, &mut self.findings, &mut steps);
        for step in steps {
            self.links.take(step, &mut self.marks, &mut self.findings);
        }
    }

    /// Places the rows that still wait; answers the number of the last record.
    fn finish_order(&mut self) -> u64 {
        let Some(order) = &mut self.order else {
            return 0;
        };
        let mut steps = Vec::new();
        order.finish(&mut self.findings, &mut steps);
        let records = order.records();
        for step in steps {
            self.links.take(step, &mut self.marks, &mut self.findings);
        }
        records
    }
}
