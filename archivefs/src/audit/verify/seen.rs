//! A stored row as verification sees it: its digest, and what can be read of it. Lenient, because a
//! verifier must say what is wrong with a record that is not one, and because a later version may have
//! words that this one does not know: that the bytes are right, the chain says.

use super::AuditFinding;
use crate::audit::record::hexadecimal;
use crate::audit::{Event, FORMAT, Hash, Outcome, VerifyingKey, hex, open_private};
use serde::{Deserialize, Deserializer};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use ulid::Ulid;

/// What a record says, as far as verification must know it.
#[derive(Debug, Deserialize)]
pub(super) struct Said {
    v: u32,
    pub seq: u64,
    #[serde(with = "hexadecimal")]
    pub prev: Hash,
    event: String,
    result: String,
    recording: Option<Ulid>,
    #[serde(default)]
    facts: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "commitment")]
    private: Option<Hash>,
}

fn commitment<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Hash>, D::Error> {
    hexadecimal::deserialize(from).map(Some)
}

/// What a record says about the keys of the log.
#[derive(Debug)]
pub(super) enum KeyWord {
    /// The log begins with this key.
    Begun(VerifyingKey),
    /// From the next record on this key signs; and whether the daemon says that the end before was not
    /// as it was signed.
    New(VerifyingKey, bool),
}

/// A row.
#[derive(Debug)]
pub(super) struct Seen {
    /// Its number in the table's column.
    pub row: i64,
    bytes: Vec<u8>,
    /// SHA-256 of its bytes.
    pub digest: Hash,
    /// What it says; none if it is no record.
    pub said: Option<Said>,
    /// What is wrong if the record itself is whole.
    pub minor: Vec<AuditFinding>,
    /// Whether something private was erased beside it.
    pub erased: bool,
}

impl Seen {
    /// The row numbered `row`: its record, its copy of the recording's ULID (16 bytes), what is private.
    pub fn new(row: i64, record: &[u8], recording: Option<&[u8]>, private: Option<&[u8]>) -> Self {
        let said: Option<Said> = serde_json::from_slice(record).ok();
        let minor = said.as_ref().map_or_else(Vec::new, |said| {
            let checks = [
                said.check_version(),
                said.check_recording(recording),
                said.check_private(private),
            ];
            checks.into_iter().flatten().collect()
        });
        Self {
            row,
            bytes: record.to_vec(),
            digest: Sha256::digest(record).into(),
            erased: private.is_none() && said.as_ref().is_some_and(|said| said.private.is_some()),
            said,
            minor,
        }
    }

    /// The number that it calls itself.
    pub fn seq(&self) -> Option<u64> {
        self.said.as_ref().map(|said| said.seq)
    }

    /// The digest of the record before, as it says.
    pub fn prev(&self) -> Option<Hash> {
        self.said.as_ref().map(|said| said.prev)
    }

    /// Its digest if it had `prev` for the digest of the record before it.
    pub fn digest_with(&self, prev: &Hash) -> Option<Hash> {
        let own = hex(&self.prev()?);
        let own = own.as_bytes();
        let at = self.bytes.windows(own.len()).position(|part| part == own)?;
        let hash = Sha256::new_with_prefix(&self.bytes[..at])
            .chain_update(hex(prev))
            .chain_update(&self.bytes[at + own.len()..]);
        Some(hash.finalize().into())
    }

    /// What it says about the keys of the log.
    pub fn key_word(&self) -> Option<KeyWord> {
        let said = self.said.as_ref()?;
        let key = VerifyingKey::parse(said.facts.get("vkey")?).ok()?;
        match Event::of_word(&said.event)? {
            Event::LogBegun => Some(KeyWord::Begun(key)),
            Event::LogKey => {
                let failed = Outcome::of_word(&said.result) == Some(Outcome::Failed);
                Some(KeyWord::New(key, failed))
            }
            _ => None,
        }
    }
}

impl Said {
    fn check_version(&self) -> Option<AuditFinding> {
        let seq = self.seq;
        (self.v != FORMAT).then_some(AuditFinding::Newer { seq })
    }

    fn check_recording(&self, column: Option<&[u8]>) -> Option<AuditFinding> {
        let own = self.recording.map(|id| id.to_bytes());
        let seq = self.seq;
        (own.as_ref().map(<[u8; 16]>::as_slice) != column).then_some(AuditFinding::Misfiled { seq })
    }

    fn check_private(&self, column: Option<&[u8]>) -> Option<AuditFinding> {
        let seq = self.seq;
        open_private(column?, self.private.as_ref())
            .is_err()
            .then_some(AuditFinding::PrivateChanged { seq })
    }
}
