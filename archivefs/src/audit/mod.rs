//! The audit log as values: what a record is, how records are chained and made a tree, how the tree's
//! state is signed, and how a stored log is checked. Pure: no files, no SQL, no clock, no randomness;
//! times and salts are arguments. `catalogue` stores what is made here, `fs` and `control` draft
//! records, `tsuwaroku audit` verifies. The format is specified in `man/tsuwaroku-audit.5`.
//!
//! ```text
//! Draft ──► Chain::append ──► Link { seq, record, private }      one transaction stores the link,
//!              │                                                 Chain::to_bytes and Signer::sign
//!              └──► Signer::sign ──► checkpoint, a signed note   also given outside, now and then
//!
//! stored rows, checkpoints, head ──► Audit ──► Report { findings }
//! ```
//!
//! Records are counted from 1. The entry of record n in the Merkle tree, of index n - 1, is the
//! SHA-256 of the record: the same digest that record n + 1 carries. So when a record is damaged or
//! gone, its successor still tells its digest, and the checkpoints prove that all others are whole.

mod chain;
#[cfg(test)]
mod frozen;
mod merkle;
mod note;
mod record;
mod verify;

pub use chain::{Chain, ChainError, Link};
pub use merkle::Frontier;
pub use note::{Checkpoint, Note, NoteError, Signer, VerifyingKey, notes};
pub use record::{
    Body, Draft, Event, FORMAT, Outcome, PrivateError, Record, RecordError, SALT_BYTES, Who,
    commit, open_private,
};
pub use verify::{Audit, AuditFinding, Report};

use std::fmt::Write;

/// A SHA-256 digest (FIPS 180-4).
pub type Hash = [u8; 32];

/// `bytes` in lower-case hexadecimal.
fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The digest that 64 lower-case hexadecimal digits stand for.
fn hash_of_hex(text: &str) -> Option<Hash> {
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let mut hash = [0; 32];
    if pairs.len() != hash.len() {
        return None;
    }
    for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(hash)
}
