//! What can be wrong with a log: one finding for one cause, with the number of the record, and what it
//! means. Made by the rest of `verify`, shown by `tsuwaroku audit verify`.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// One thing that is wrong with a log. Records are counted from 1; a *row* is where a record is stored,
/// the number in the table's column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
#[serde(tag = "finding", rename_all = "kebab-case")]
pub enum AuditFinding {
    /// The bytes of a record are not those that its successor, or the signed head, was made after.
    #[error("record {seq} was changed, or another one stands in its place")]
    Changed {
        /// The record.
        seq: u64,
    },
    /// Records are gone from between others.
    #[error("{} missing: the records around are there", records(*.first, *.last, "is", "are"))]
    Missing {
        /// The first one that is gone.
        first: u64,
        /// The last one that is gone.
        last: u64,
    },
    /// Two neighbours are exchanged.
    #[error("records {first} and {} stand in each other's place", .first + 1)]
    Swapped {
        /// The one that belongs first.
        first: u64,
    },
    /// A record is not where it belongs.
    #[error("record {seq} stands in row {row}, not in its own place")]
    Misplaced {
        /// The record.
        seq: u64,
        /// Where it stands.
        row: i64,
    },
    /// There is a second record of one number.
    #[error("record {seq} is there twice: row {row} has no business here")]
    Duplicate {
        /// The number.
        seq: u64,
        /// Where one of the two stands.
        row: i64,
    },
    /// Something stands among the records that is none of them.
    #[error("row {row}, after record {after}, was put in: it is no record of this log")]
    Inserted {
        /// The record before it; 0 before the first.
        after: u64,
        /// Where it stands.
        row: i64,
    },
    /// The table numbers a whole record otherwise than the record itself does.
    #[error("record {seq} is whole, but the table calls it {row}")]
    Renumbered {
        /// The record.
        seq: u64,
        /// The number in the table.
        row: i64,
    },
    /// The table says of a whole record that it is about another recording.
    #[error("record {seq} is whole, but the table files it under another recording")]
    Misfiled {
        /// The record.
        seq: u64,
    },
    /// What is kept beside a whole record is not what the record was written with.
    #[error("what is kept beside record {seq} was changed; the record itself is whole")]
    PrivateChanged {
        /// The record.
        seq: u64,
    },
    /// A record was written by a later version, so that not all of it can be checked.
    #[error("record {seq} and perhaps others have a newer format: verify with a newer tsuwaroku")]
    Newer {
        /// The first such record.
        seq: u64,
    },
    /// The records, chained as they should be, are others than those that were signed.
    #[error("{} not those of the checkpoint of {source_name}: {}",
        records(.after + 1, *.size, "is", "are"), rewritten(*.after))]
    Rewritten {
        /// The last record that a checkpoint proves to be as it was; 0 for none.
        after: u64,
        /// The size of the checkpoint that does not agree: its last record.
        size: u64,
        /// Where the checkpoint was kept.
        #[serde(rename = "source")]
        source_name: String,
    },
    /// The log ends before the end that was signed.
    #[error("{} cut off the end: {source_name} has a checkpoint of {last}",
        records(*.first, *.last, "is", "are"))]
    Cut {
        /// The first record that is gone.
        first: u64,
        /// The last record that is known to have been.
        last: u64,
        /// Where the checkpoint was kept.
        #[serde(rename = "source")]
        source_name: String,
    },
    /// The log goes on after its signed head.
    #[error("{} not signed: they were not written by the daemon",
        records(*.first, *.last, "is", "are"))]
    Unsigned {
        /// The first record after the head.
        first: u64,
        /// The last one.
        last: u64,
    },
    /// The signed head is not there.
    #[error(
        "the signed head of the log is missing: nothing proves that record {last} was the last"
    )]
    NoHead {
        /// The last record that is there.
        last: u64,
    },
    /// The head is not signed by the log's key, or is no checkpoint.
    #[error("the head of the log, after record {last}, proves nothing: {reason}")]
    BadHead {
        /// The last record that is there.
        last: u64,
        /// Why.
        reason: String,
    },
    /// What the daemon goes on from is not the end of the log.
    #[error(
        "the kept end of the log is not that of record {last}: the next record would be chained wrongly"
    )]
    WrongEnd {
        /// The last record that is there.
        last: u64,
    },
    /// A checkpoint is not signed by the log's key, or is none.
    #[error("a checkpoint of {source_name} proves nothing{}: {reason}", at(*.size))]
    BadCheckpoint {
        /// Its size, as far as it can be read.
        size: Option<u64>,
        /// Where it was kept.
        #[serde(rename = "source")]
        source_name: String,
        /// Why.
        reason: String,
    },
    /// No key is known: none was given, and the first record names none.
    #[error("record 1 names no key, and none was given: no signature can be checked")]
    NoKey,
    /// The daemon itself found the end of the log not as it had signed it, and went on.
    #[error("record {seq} says that the records before it did not end as they were signed")]
    Interrupted {
        /// The record that says so.
        seq: u64,
    },
    /// A new key that the key before did not sign for.
    #[error(
        "record {seq} names a new key that the key before has not signed for: it may be anybody's"
    )]
    NotVouched {
        /// The record.
        seq: u64,
    },
}

impl AuditFinding {
    /// The record that it is about, or the first of them; none where it is about no record.
    pub fn record(&self) -> Option<u64> {
        match *self {
            Self::Changed { seq }
            | Self::Misplaced { seq, .. }
            | Self::Duplicate { seq, .. }
            | Self::Renumbered { seq, .. }
            | Self::Misfiled { seq }
            | Self::PrivateChanged { seq }
            | Self::Newer { seq }
            | Self::Interrupted { seq }
            | Self::NotVouched { seq } => Some(seq),
            Self::Missing { first, .. }
            | Self::Swapped { first }
            | Self::Cut { first, .. }
            | Self::Unsigned { first, .. } => Some(first),
            Self::Inserted { after, .. } => Some(after),
            Self::Rewritten { after, .. } => Some(after + 1),
            Self::NoHead { last } | Self::BadHead { last, .. } | Self::WrongEnd { last } => {
                Some(last)
            }
            Self::BadCheckpoint { size, .. } => size,
            Self::NoKey => Some(1),
        }
    }
}

fn records(first: u64, last: u64, one: &str, more: &str) -> String {
    if first == last {
        format!("record {first} {one}")
    } else {
        format!("records {first} to {last} {more}")
    }
}

fn rewritten(after: u64) -> String {
    match after {
        0 => "somebody wrote the log anew, from the first record or a later one".into(),
        _ => format!("those up to {after} are, and somebody wrote the log anew after them"),
    }
}

fn at(size: Option<u64>) -> String {
    size.map_or_else(String::new, |size| format!(" of record {size}"))
}
