//! Which row is which record. Rows come in the order of their column; a record stands where its number
//! says, unless somebody removed, exchanged, doubled or put in rows. What is decided here needs the
//! next row, and no signature: whether a record is whole, `links` finds.

use super::seen::Seen;
use super::{AuditFinding, Findings};
use crate::audit::Hash;
use std::collections::BTreeMap;

/// Rows that wait for their place at most; more are taken for rows that belong nowhere.
const MOST_EARLY: usize = 4096;

/// What `links` is told.
#[derive(Debug)]
pub(super) enum Step {
    /// This row stands for the record `seq`. `changed`: it does not even call itself so.
    Stands {
        seq: u64,
        seen: Box<Seen>,
        changed: bool,
    },
    /// The records from `first` to `last` are not here.
    Gap { first: u64, last: u64 },
    /// Another row for the record that was the last one.
    Spare { digest: Hash },
    /// A row for a record that came before; somewhere else, or twice.
    Late { seq: u64, row: i64, digest: Hash },
}

/// Where a row belongs.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// It is the one expected.
    Here,
    /// It stands for the one expected, and is not.
    Instead,
    /// It belongs to a place further on, and the one expected is still to come.
    Early(u64),
    /// Those before it are not there.
    After(u64),
    /// Its number was there, or should have been.
    Again(u64),
    /// It belongs nowhere.
    Nowhere,
}

/// The records so far.
#[derive(Debug)]
pub(super) struct Order {
    next: u64,
    last: Hash,
    /// By how much the column differs from the number: not 0 after a row that was put in.
    shift: i64,
    /// Rows that stand before their place, and whether just one before it.
    early: BTreeMap<u64, (Seen, bool)>,
    /// The last record of the signed head.
    end: Option<u64>,
}

impl Order {
    /// Before the first row; `end` is the size of the head, if there is one.
    pub fn new(end: Option<u64>) -> Self {
        Self {
            next: 1,
            last: [0; 32],
            shift: 0,
            early: BTreeMap::new(),
            end,
        }
    }

    /// Records so far, the missing ones counted.
    pub fn records(&self) -> u64 {
        self.next - 1
    }

    /// The row `seen`, after which `following` comes; what it means is appended to `steps`.
    pub fn take(
        &mut self,
        seen: Seen,
        following: Option<&Seen>,
        findings: &mut Findings,
        steps: &mut Vec<Step>,
    ) {
        if seen.seq() != Some(self.next) {
            self.take_early(findings, steps);
        }
        let place = self.place(&seen, following.and_then(Seen::seq));
        match place {
            Place::Here => self.here(seen, findings, steps),
            Place::Instead => self.stand(seen, true, steps),
            Place::Early(seq) => self.keep(seq, seen, findings),
            Place::After(seq) => self.after(seq, seen, steps),
            Place::Again(seq) => self.again(seq, &seen, steps),
            Place::Nowhere => self.nowhere(seen.row, findings),
        }
    }

    /// There are no more rows.
    pub fn finish(&mut self, findings: &mut Findings, steps: &mut Vec<Step>) {
        self.take_early(findings, steps);
        for (seen, _) in std::mem::take(&mut self.early).into_values() {
            self.nowhere(seen.row, findings);
        }
    }

    fn place(&self, seen: &Seen, following: Option<u64>) -> Place {
        let expected_follows = following == Some(self.next);
        let successor_follows = following == Some(self.next + 1);
        let continues = seen.prev() == Some(self.last);
        let end = self.end.filter(|_| following.is_none());
        let past_the_end = end.is_some_and(|end| self.next > end);
        let at_the_end = end == Some(self.next);
        match seen.seq() {
            None if expected_follows || past_the_end => Place::Nowhere,
            None => Place::Instead,
            Some(seq) if seq == self.next => Place::Here,
            Some(seq) if expected_follows && seq > self.next => Place::Early(seq),
            Some(seq) if expected_follows => Place::Again(seq),
            Some(_) if successor_follows || continues || at_the_end => Place::Instead,
            Some(seq) if seq > self.next => Place::After(seq),
            Some(seq) => Place::Again(seq),
        }
    }

    fn here(&mut self, mut seen: Seen, findings: &mut Findings, steps: &mut Vec<Step>) {
        let (seq, row) = (self.next, seen.row);
        let shift = row.wrapping_sub_unsigned(seq);
        let exchanged = self
            .early
            .get(&(seq + 1))
            .is_some_and(|(_, by_one)| *by_one);
        if shift != 0 && shift != self.shift && !exchanged {
            seen.minor.push(AuditFinding::Renumbered { seq, row });
        }
        self.shift = shift;
        if let Some((other, _)) = self.early.remove(&seq) {
            let row = other.row;
            findings.push(AuditFinding::Duplicate { seq, row });
        }
        self.stand(seen, false, steps);
    }

    fn stand(&mut self, seen: Seen, changed: bool, steps: &mut Vec<Step>) {
        self.last = seen.digest;
        let seq = self.next;
        self.next += 1;
        let seen = Box::new(seen);
        steps.push(Step::Stands { seq, seen, changed });
    }

    fn keep(&mut self, seq: u64, seen: Seen, findings: &mut Findings) {
        if self.early.len() >= MOST_EARLY || self.early.contains_key(&seq) {
            self.nowhere(seen.row, findings);
        } else {
            self.early.insert(seq, (seen, seq == self.next + 1));
        }
    }

    /// Rows that waited for their place and have come to it.
    fn take_early(&mut self, findings: &mut Findings, steps: &mut Vec<Step>) {
        while let Some((seen, by_one)) = self.early.remove(&self.next) {
            let (seq, row) = (self.next, seen.row);
            findings.push(if by_one {
                AuditFinding::Swapped { first: seq - 1 }
            } else {
                AuditFinding::Misplaced { seq, row }
            });
            self.stand(seen, false, steps);
        }
    }

    fn after(&mut self, seq: u64, seen: Seen, steps: &mut Vec<Step>) {
        steps.push(Step::Gap {
            first: self.next,
            last: seq - 1,
        });
        self.next = seq;
        self.shift = seen.row.wrapping_sub_unsigned(seq);
        self.stand(seen, false, steps);
    }

    fn again(&mut self, seq: u64, seen: &Seen, steps: &mut Vec<Step>) {
        self.shift = seen.row.wrapping_sub_unsigned(self.next - 1);
        let (row, digest) = (seen.row, seen.digest);
        steps.push(Step::Late { seq, row, digest });
        if seq + 1 == self.next {
            steps.push(Step::Spare { digest });
        }
    }

    fn nowhere(&mut self, row: i64, findings: &mut Findings) {
        let after = self.next - 1;
        self.shift = row.wrapping_sub_unsigned(after);
        findings.push(AuditFinding::Inserted { after, row });
    }
}
