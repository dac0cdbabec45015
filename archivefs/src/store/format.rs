//! The bytes of an object, specified in tsuwaroku-store(5): its header, its head and its index, every
//! field checked. Encoding and decoding only; sealing is [`super::seal`].
//!
//! ```text
//! header   96 bytes, in the clear: what this is, and how to open the rest
//! head     sealed: the call, and the WAV bytes around its samples
//! blocks   sealed: compressed samples, one after the other
//! index    sealed: the length and the check of each block, SHA-256 of the WAV file
//! ```
//!
//! All integers are little-endian.

use super::StoreError;
use crate::call::Call;
use crate::wav;
use ulid::Ulid;

pub(super) const MAGIC: [u8; 8] = *b"TSUWAOBJ";
pub(super) const VERSION: u16 = 1;
pub(super) const HEADER_BYTES: usize = 96;
pub(super) const SALT_BYTES: usize = 32;
const ENTRY_BYTES: usize = 8;
const DIGEST_BYTES: usize = 32;

/// Bounds on what a header may ask a reader to hold in memory, far above what ingest writes.
const MOST_HEAD_BYTES: u32 = 16 << 20;
const MOST_BLOCKS: u32 = 4 << 20;
const MOST_BLOCK_BYTES: u32 = 64 << 20;

/// The header of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Features that a reader may not know and still read the object.
    pub ignore: u32,
    /// Features without which an object may be read but not moved or written again.
    pub read_only: u32,
    pub id: Ulid,
    /// Makes the object's key its own, whatever was sealed under the recording's key before.
    pub salt: [u8; SALT_BYTES],
    /// Bytes of the sealed head.
    pub head_bytes: u32,
    /// Number of blocks.
    pub blocks: u32,
}

impl Header {
    pub fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[..8].copy_from_slice(&MAGIC);
        out[8..10].copy_from_slice(&VERSION.to_le_bytes());
        out[12..16].copy_from_slice(&self.ignore.to_le_bytes());
        out[16..20].copy_from_slice(&self.read_only.to_le_bytes());
        out[24..40].copy_from_slice(&self.id.to_bytes());
        out[40..72].copy_from_slice(&self.salt);
        out[72..76].copy_from_slice(&self.head_bytes.to_le_bytes());
        out[76..80].copy_from_slice(&self.blocks.to_le_bytes());
        out
    }

    /// Decodes a header and refuses, by name, what this version does not understand.
    pub fn parse(bytes: &[u8; HEADER_BYTES]) -> Result<Self, StoreError> {
        if bytes[..8] != MAGIC {
            return Err(StoreError::damaged("it does not begin with TSUWAOBJ"));
        }
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        if version != VERSION {
            return Err(StoreError::Future(format!("format version {version}")));
        }
        let refuse = u32_at(bytes, 20);
        if refuse != 0 {
            return Err(StoreError::Future(format!(
                "feature flags {refuse:#x} that must be known"
            )));
        }
        let header = Self {
            ignore: u32_at(bytes, 12),
            read_only: u32_at(bytes, 16),
            id: Ulid::from_bytes(bytes[24..40].try_into().expect("16 bytes")),
            salt: bytes[40..72].try_into().expect("32 bytes"),
            head_bytes: u32_at(bytes, 72),
            blocks: u32_at(bytes, 76),
        };
        if header.head_bytes > MOST_HEAD_BYTES || header.blocks > MOST_BLOCKS {
            return Err(StoreError::damaged(
                "its header asks for more than any object has",
            ));
        }
        Ok(header)
    }

    /// Offset of the first block, bytes.
    pub fn blocks_at(&self) -> u64 {
        HEADER_BYTES as u64 + u64::from(self.head_bytes)
    }

    /// Length of the index before it is sealed, bytes.
    pub fn index_bytes(&self) -> usize {
        self.blocks as usize * ENTRY_BYTES + DIGEST_BYTES
    }
}

/// What the head says: the call, how its audio is cut into blocks, and the WAV bytes around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub call: Call,
    /// Bytes of samples in every block but the last.
    pub block_bytes: u32,
    pub wav: wav::Frame,
}

impl Head {
    /// Block length, the lengths of the three parts, and the parts; compressed, because it is text.
    pub fn to_bytes(&self) -> Vec<u8> {
        let call = serde_json::to_vec(&self.call).expect("a call is plain data");
        let mut out = self.block_bytes.to_le_bytes().to_vec();
        for part in [&call, &self.wav.before, &self.wav.after] {
            out.extend_from_slice(&(part.len() as u32).to_le_bytes());
        }
        for part in [&call, &self.wav.before, &self.wav.after] {
            out.extend_from_slice(part);
        }
        zstd::bulk::compress(&out, 9).expect("memory is compressed into memory")
    }

    pub fn parse(bytes: &[u8]) -> Result<Self, StoreError> {
        let bad = |what: &str| StoreError::damaged(&format!("its head {what}"));
        let bytes = zstd::bulk::decompress(bytes, MOST_HEAD_BYTES as usize)
            .map_err(|error| bad(&error.to_string()))?;
        let (lengths, mut rest) = bytes
            .split_at_checked(16)
            .ok_or_else(|| bad("is too short"))?;
        let mut part = |at: usize| {
            let (part, more) = rest.split_at_checked(u32_at(lengths, at) as usize)?;
            rest = more;
            Some(part.to_vec())
        };
        let parts = (part(4), part(8), part(12));
        let (Some(call), Some(before), Some(after)) = parts else {
            return Err(bad("contradicts itself"));
        };
        let head = Self {
            call: serde_json::from_slice(&call).map_err(|error| bad(&error.to_string()))?,
            block_bytes: u32_at(lengths, 0),
            wav: wav::Frame { before, after },
        };
        let frame_bytes = head.call.layout.frame_bytes();
        let whole_frames = frame_bytes > 0
            && (1..=MOST_BLOCK_BYTES).contains(&head.block_bytes)
            && (head.block_bytes as usize).is_multiple_of(frame_bytes);
        if rest.is_empty() && whole_frames {
            Ok(head)
        } else {
            Err(bad("contradicts itself"))
        }
    }

    /// Number of blocks that the audio is cut into.
    pub fn blocks(&self) -> u64 {
        self.call
            .audio_bytes()
            .div_ceil(u64::from(self.block_bytes))
    }

    /// Bytes of samples in block `number`.
    pub fn samples_in(&self, number: u32) -> usize {
        let before = u64::from(number) * u64::from(self.block_bytes);
        let left = self.call.audio_bytes().saturating_sub(before);
        left.min(u64::from(self.block_bytes)) as usize
    }

    /// Length of the WAV file, bytes.
    pub fn wav_bytes(&self) -> u64 {
        (self.wav.before.len() + self.wav.after.len()) as u64 + self.call.audio_bytes()
    }
}

/// What the index says of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BlockEntry {
    /// Bytes of the sealed block.
    pub stored: u32,
    /// CRC-32C of its samples: not against people, whom the seal stops, but against a decoder that is
    /// wrong.
    pub check: u32,
}

/// The index of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Index {
    pub blocks: Vec<BlockEntry>,
    pub wav_sha256: [u8; DIGEST_BYTES],
}

impl Index {
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.blocks.len() * ENTRY_BYTES + DIGEST_BYTES + 16);
        for block in &self.blocks {
            out.extend_from_slice(&block.stored.to_le_bytes());
            out.extend_from_slice(&block.check.to_le_bytes());
        }
        out.extend_from_slice(&self.wav_sha256);
        out
    }

    /// The caller has seen to it that `bytes` are as many as the header says.
    pub fn parse(bytes: &[u8]) -> Self {
        let (entries, digest) = bytes.split_at(bytes.len() - DIGEST_BYTES);
        let entry = |entry: &[u8]| BlockEntry {
            stored: u32_at(entry, 0),
            check: u32_at(entry, 4),
        };
        Self {
            blocks: entries.chunks_exact(ENTRY_BYTES).map(entry).collect(),
            wav_sha256: digest.try_into().expect("32 bytes"),
        }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
}
