//! The end of the log, to which records are appended: how many there are, the digest of the last one,
//! and the tree of all. The catalogue's writer keeps it in a row of its own, and in memory.

use super::record::{Draft, FORMAT, Record, commit};
use super::{Frontier, Hash};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// Bytes before the roots of the tree: the number of records, the last one's digest.
const FIXED: usize = 8 + 32;

/// The log so far, as far as the next record must know it. At most 2 KiB: the writer clones it before
/// a transaction, and puts the clone back when the transaction fails.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chain {
    last: Hash,
    tree: Frontier,
}

/// What is stored of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number, counted from 1.
    pub seq: u64,
    /// Its bytes, to be kept exactly as they are.
    pub record: Vec<u8>,
    /// What is kept beside it, and may be erased: the salt, then the JSON of the private body.
    pub private: Option<Vec<u8>>,
}

/// The stored end of the log is no end of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the stored end of the audit log is damaged: run 'tsuwaroku audit verify'")]
pub struct ChainError;

impl Chain {
    /// A log without records.
    pub fn new() -> Self {
        Self::default()
    }

    /// Records so far; also the number of the last one.
    pub fn size(&self) -> u64 {
        self.tree.size()
    }

    /// SHA-256 of the last record; zeros without one.
    pub fn last(&self) -> Hash {
        self.last
    }

    /// Root of the Merkle tree (RFC 6962, section 2.1) whose entries are the digests of the records.
    pub fn root(&self) -> Hash {
        self.tree.root()
    }

    /// Makes `draft` the next record. `salt` must be random, and another one for each record: it keeps
    /// others from guessing the private body; unused without one.
    pub fn append(&mut self, draft: &Draft, salt: [u8; 32]) -> Link {
        let sealed = (!draft.private.is_empty()).then(|| commit(salt, &draft.private));
        let (private, commitment) = sealed.unzip();
        let seq = self.size() + 1;
        let record = self.record(draft, commitment).to_bytes();
        self.push(Sha256::digest(&record).into());
        Link {
            seq,
            record,
            private,
        }
    }

    fn record(&self, draft: &Draft, private: Option<Hash>) -> Record {
        Record {
            version: FORMAT,
            seq: self.size() + 1,
            at: draft.at,
            prev: self.last,
            event: draft.event,
            result: draft.result,
            actor: draft.actor.clone(),
            recording: draft.recording,
            number: draft.number.clone(),
            application: draft.application.clone(),
            facts: draft.facts.clone(),
            private,
        }
    }

    /// Appends a record that is stored already, whatever is in it: to continue a log whose kept end is
    /// lost. What is wrong with its records, verification finds.
    pub fn continue_with(&mut self, record: &[u8]) {
        self.push(Sha256::digest(record).into());
    }

    /// Appends a number whose row is gone, as an entry of zeros, so that a log continued with
    /// [`Self::continue_with`] does not use a number twice.
    pub fn skip(&mut self) {
        self.push([0; 32]);
    }

    /// Appends a record of which only the digest is known, as verification does.
    pub(super) fn push(&mut self, digest: Hash) {
        self.tree.append(&digest);
        self.last = digest;
    }

    /// For the row that keeps the end of the log: the number of records (8 bytes, little-endian), the
    /// digest of the last one, the roots of the tree's complete subtrees, the largest first.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.size().to_le_bytes().to_vec();
        bytes.extend(self.last);
        bytes.extend(self.tree.to_bytes());
        bytes
    }

    /// The end of the log that was kept as `bytes`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ChainError> {
        let (fixed, roots) = bytes.split_first_chunk::<FIXED>().ok_or(ChainError)?;
        let (size, last) = fixed.split_first_chunk().ok_or(ChainError)?;
        let size = u64::from_le_bytes(*size);
        let last = last.try_into().map_err(|_| ChainError)?;
        let tree = Frontier::from_bytes(size, roots).ok_or(ChainError)?;
        Ok(Self { last, tree })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Event, Outcome, open_private};

    fn draft(at: i64) -> Draft {
        Draft::new(at, Event::Open, Outcome::Done).hidden("party", "0312345678")
    }

    /// The chain as `man/tsuwaroku-audit.5` says it, with nothing but SHA-256.
    #[test]
    fn each_record_carries_the_digest_of_the_one_before() {
        let mut chain = Chain::new();
        let mut last = [0; 32];
        for seq in 1..=20 {
            let link = chain.append(&draft(seq), [seq as u8; 32]);
            let record = Record::parse(&link.record).unwrap();
            assert_eq!((record.seq, record.at), (seq as u64, seq));
            assert_eq!((link.seq, record.prev), (record.seq, last));
            last = Sha256::digest(&link.record).into();
            assert_eq!(chain.last(), last);
            let body = open_private(&link.private.unwrap(), record.private.as_ref());
            assert_eq!(body.unwrap()["party"], "0312345678");
        }
    }

    #[test]
    fn it_goes_on_from_its_bytes() {
        let mut chain = Chain::new();
        for at in 0..13 {
            let kept = chain.to_bytes();
            assert_eq!(Chain::from_bytes(&kept).unwrap(), chain);
            assert!(Chain::from_bytes(&kept[..kept.len() - 1]).is_err());
            assert!(Chain::from_bytes(&[kept, vec![0; 32]].concat()).is_err());
            chain.append(&draft(at), [0; 32]);
        }
    }

    #[test]
    fn a_clone_put_back_is_as_if_nothing_had_been_appended() {
        let mut chain = Chain::new();
        chain.append(&draft(1), [1; 32]);
        let before = chain.clone();
        let undone = chain.append(&draft(2), [2; 32]);
        chain = before;
        assert_eq!(chain.append(&draft(2), [2; 32]), undone);
    }
}
