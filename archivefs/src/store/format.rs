//! The bytes of an object, specified in tsuwaroku-store(5): pure encoding and decoding of its header
//! and its index, every field checked.
//!
//! ```text
//! header     64 bytes
//! call       JSON of `Call`
//! before     the WAV bytes before the samples
//! after      the WAV bytes after the samples (0 or 1)
//! blocks     compressed audio, one after the other
//! index      48 bytes a block: offset, stored length, digest of the block's samples
//! seal       64 bytes: SHA-256 of the whole WAV, SHA-256 of everything above but the blocks
//! ```
//!
//! All integers are little-endian.

use super::StoreError;
use ulid::Ulid;

pub(super) const MAGIC: [u8; 8] = *b"TSUWAOBJ";
pub(super) const VERSION: u16 = 1;
pub(super) const HEADER_BYTES: usize = 64;
pub(super) const INDEX_BYTES: usize = 48;
pub(super) const SEAL_BYTES: usize = 64;

/// Bounds on what a header may ask a reader to hold in memory, far above what ingest writes.
const MOST_CALL_BYTES: u32 = 16 << 20;
const MOST_BEFORE_BYTES: u32 = 1 << 20;
const MOST_BLOCK_BYTES: u32 = 64 << 20;

/// The header of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub id: Ulid,
    /// Bytes of the JSON of the call.
    pub call_bytes: u32,
    /// Bytes of the WAV before the samples.
    pub before_bytes: u32,
    /// Bytes of the WAV after the samples.
    pub after_bytes: u8,
    /// Bytes of samples in every block but the last.
    pub block_bytes: u32,
    /// Number of blocks.
    pub blocks: u32,
    /// Bytes of samples in all blocks together.
    pub audio_bytes: u64,
}

/// Where a block stands and what it decodes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IndexEntry {
    /// Offset in the object, bytes.
    pub offset: u64,
    /// Stored length, bytes.
    pub stored: u32,
    /// SHA-256 of the samples.
    pub digest: [u8; 32],
}

impl Header {
    pub fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut out = Vec::with_capacity(HEADER_BYTES);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[self.after_bytes, 0]);
        out.extend_from_slice(&[0; 12]); // features: ignore, read only, refuse
        out.extend_from_slice(&self.id.to_bytes());
        out.extend_from_slice(&self.call_bytes.to_le_bytes());
        out.extend_from_slice(&self.before_bytes.to_le_bytes());
        out.extend_from_slice(&self.block_bytes.to_le_bytes());
        out.extend_from_slice(&self.blocks.to_le_bytes());
        out.extend_from_slice(&self.audio_bytes.to_le_bytes());
        out.try_into().expect("the fields above are 64 bytes")
    }

    /// Decodes a header and refuses what this version does not understand.
    pub fn parse(bytes: &[u8; HEADER_BYTES]) -> Result<Self, StoreError> {
        if bytes[..8] != MAGIC {
            return Err(StoreError::damaged("it does not begin with TSUWAOBJ"));
        }
        let version = u16_at(bytes, 8);
        if version != VERSION {
            return Err(StoreError::Future(format!("format version {version}")));
        }
        let refuse = u32_at(bytes, 20);
        if refuse != 0 {
            return Err(StoreError::Future(format!("feature flags {refuse:#x}")));
        }
        let header = Self {
            id: Ulid::from_bytes(bytes[24..40].try_into().expect("16 bytes")),
            call_bytes: u32_at(bytes, 40),
            before_bytes: u32_at(bytes, 44),
            after_bytes: bytes[10],
            block_bytes: u32_at(bytes, 48),
            blocks: u32_at(bytes, 52),
            audio_bytes: u64_at(bytes, 56),
        };
        header.check()?;
        Ok(header)
    }

    fn check(&self) -> Result<(), StoreError> {
        let sane = self.call_bytes <= MOST_CALL_BYTES
            && self.before_bytes <= MOST_BEFORE_BYTES
            && self.after_bytes <= 1
            && (1..=MOST_BLOCK_BYTES).contains(&self.block_bytes)
            && u64::from(self.blocks) == self.audio_bytes.div_ceil(u64::from(self.block_bytes));
        if sane { Ok(()) } else { Err(StoreError::damaged("its header contradicts itself")) }
    }

    /// Offset of the first block, bytes.
    pub fn blocks_at(&self) -> u64 {
        HEADER_BYTES as u64
            + u64::from(self.call_bytes)
            + u64::from(self.before_bytes)
            + u64::from(self.after_bytes)
    }

    /// Length of index and seal, bytes: they stand at the end of the object.
    pub fn tail_bytes(&self) -> u64 {
        u64::from(self.blocks) * INDEX_BYTES as u64 + SEAL_BYTES as u64
    }

    /// Bytes of samples in block `number`.
    pub fn samples_in(&self, number: u32) -> usize {
        let before = u64::from(number) * u64::from(self.block_bytes);
        self.audio_bytes.saturating_sub(before).min(u64::from(self.block_bytes)) as usize
    }

    /// Length of the WAV file, bytes.
    pub fn wav_bytes(&self) -> u64 {
        u64::from(self.before_bytes) + self.audio_bytes + u64::from(self.after_bytes)
    }
}

impl IndexEntry {
    pub fn to_bytes(self) -> [u8; INDEX_BYTES] {
        let mut out = [0; INDEX_BYTES];
        out[..8].copy_from_slice(&self.offset.to_le_bytes());
        out[8..12].copy_from_slice(&self.stored.to_le_bytes());
        out[16..].copy_from_slice(&self.digest);
        out
    }

    pub fn parse(bytes: &[u8]) -> Self {
        Self {
            offset: u64_at(bytes, 0),
            stored: u32_at(bytes, 8),
            digest: bytes[16..INDEX_BYTES].try_into().expect("32 bytes"),
        }
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().expect("2 bytes"))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
}
