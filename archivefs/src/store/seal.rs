//! The sealing of an object's parts. Each object has a key of its own, made from the recording's key
//! and a random salt, so that a part's place can be its nonce: no nonce is ever used twice with one
//! key, even when a recording is written again. The header, the kind of the part and its place are
//! authenticated with it, so that no part can be changed, exchanged, left out or taken from another
//! object.

use super::StoreError;
use super::format::{HEADER_BYTES, Header};
use crate::crypto::{Key, NONCE_BYTES, Sealer};

/// What a key is derived for; the version of the format is part of it.
const PURPOSE: &[u8] = b"tsuwaroku object 1";

/// A part of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Head,
    Block(u32),
    Index,
}

impl Part {
    /// Kind, zeros, place: 12 bytes.
    fn nonce(self) -> [u8; NONCE_BYTES] {
        let (kind, place) = match self {
            Self::Head => (1, 0),
            Self::Block(place) => (2, place),
            Self::Index => (3, 0),
        };
        let mut nonce = [0; NONCE_BYTES];
        nonce[0] = kind;
        nonce[8..].copy_from_slice(&place.to_le_bytes());
        nonce
    }

    fn name(self) -> String {
        match self {
            Self::Head => "its head".into(),
            Self::Block(number) => format!("block {number}"),
            Self::Index => "its index".into(),
        }
    }
}

/// Seals and opens the parts of one object.
pub(super) struct ObjectSealer {
    sealer: Sealer,
    header: [u8; HEADER_BYTES],
}

impl std::fmt::Debug for ObjectSealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ObjectSealer")
    }
}

impl ObjectSealer {
    /// For the object with this header, of the recording with this key. All `bytes` of the header
    /// are authenticated, also those that say nothing yet.
    pub fn new(recording: &Key, header: &Header, bytes: [u8; HEADER_BYTES]) -> Self {
        let purpose = [PURPOSE, &header.id.to_bytes()].concat();
        let key = recording.derive(&header.salt, &purpose);
        Self {
            sealer: Sealer::new(&key),
            header: bytes,
        }
    }

    pub fn seal(&self, part: Part, message: &mut Vec<u8>) {
        self.sealer.seal(part.nonce(), &self.header, message);
    }

    pub fn open(&self, part: Part, message: &mut Vec<u8>) -> Result<(), StoreError> {
        self.sealer
            .open(part.nonce(), &self.header, message)
            .map_err(|_| {
                StoreError::damaged(&format!(
                    "{} is not what was sealed, or not with this key",
                    part.name()
                ))
            })
    }
}
