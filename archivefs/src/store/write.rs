//! Writing an object: header, head, then block after block as the audio comes, then the index. Knows
//! bytes and a place to put them, not files.

use super::StoreError;
use super::format::{BlockEntry, Head, Header, Index};
use super::seal::{ObjectSealer, Part};
use crate::call::Call;
use crate::codec::{Effort, Encoder};
use crate::crypto::{Key, TAG_BYTES, fill_random};
use crate::wav;
use sha2::{Digest, Sha256};
use std::io::Write;

/// Length of a block, seconds: random access costs half of it, and shorter ones compress worse.
const BLOCK_SECONDS: u32 = 4;
/// The same where size counts more: what was learned of a call's sound serves for longer.
const LONG_BLOCK_SECONDS: u32 = 16;

/// What identifies a recording's content for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed {
    /// Length of the WAV file, bytes.
    pub wav_bytes: u64,
    /// SHA-256 of the WAV file.
    pub wav_sha256: [u8; 32],
    /// Length of the object, bytes.
    pub stored_bytes: u64,
}

/// An object that is being written.
pub struct ObjectWriter<W: Write> {
    out: W,
    encoder: Encoder,
    effort: Effort,
    sealer: ObjectSealer,
    head: Head,
    blocks: Vec<BlockEntry>,
    pending: Vec<u8>,
    audio: u64,
    stored: u64,
    wav: Sha256,
}

impl<W: Write> ObjectWriter<W> {
    /// Begins the object of `call`, sealed under the recording's `key`, whose WAV file has `wav`
    /// around the samples.
    pub fn begin(out: W, call: &Call, wav: &wav::Frame, key: &Key) -> Result<Self, StoreError> {
        Self::begin_with(Effort::Ingest, out, call, wav, key)
    }

    /// The same with another effort: `Thorough` for a recording that will rest where it goes.
    pub fn begin_with(
        effort: Effort,
        mut out: W,
        call: &Call,
        wav: &wav::Frame,
        key: &Key,
    ) -> Result<Self, StoreError> {
        let seconds = match effort {
            Effort::Ingest => BLOCK_SECONDS,
            Effort::Thorough => LONG_BLOCK_SECONDS,
        };
        let block_bytes = call.layout.rate * seconds * call.layout.frame_bytes() as u32;
        let head = Head {
            call: call.clone(),
            block_bytes,
            wav: wav.clone(),
        };
        let mut sealed_head = head.to_bytes();
        let mut header = Header {
            ignore: 0,
            read_only: 0,
            id: call.id,
            salt: [0; 32],
            head_bytes: (sealed_head.len() + TAG_BYTES) as u32,
            blocks: head.blocks() as u32,
        };
        fill_random(&mut header.salt)?;
        let sealer = ObjectSealer::new(key, &header, header.to_bytes());
        sealer.seal(Part::Head, &mut sealed_head);
        out.write_all(&header.to_bytes())?;
        out.write_all(&sealed_head)?;
        Ok(Self {
            out,
            encoder: Encoder::for_rate(call.layout.rate),
            effort,
            sealer,
            blocks: Vec::with_capacity(header.blocks as usize),
            pending: Vec::with_capacity(block_bytes as usize),
            audio: 0,
            stored: header.blocks_at(),
            wav: Sha256::new_with_prefix(&wav.before),
            head,
        })
    }

    /// Appends samples as they stand in the WAV file, in pieces of any length.
    pub fn samples(&mut self, mut samples: &[u8]) -> Result<(), StoreError> {
        while !samples.is_empty() {
            let room = self.head.block_bytes as usize - self.pending.len();
            let (now, later) = samples.split_at(room.min(samples.len()));
            self.pending.extend_from_slice(now);
            samples = later;
            if self.pending.len() == self.head.block_bytes as usize {
                self.block()?;
            }
        }
        Ok(())
    }

    fn block(&mut self) -> Result<(), StoreError> {
        self.audio += self.pending.len() as u64;
        self.wav.update(&self.pending);
        let shape = self.head.call.layout.into();
        let mut stored = self.encoder.encode(shape, &self.pending, self.effort);
        self.sealer
            .seal(Part::Block(self.blocks.len() as u32), &mut stored);
        self.out.write_all(&stored)?;
        let check = crc32c::crc32c(&self.pending);
        self.blocks.push(BlockEntry {
            stored: stored.len() as u32,
            check,
        });
        self.stored += stored.len() as u64;
        self.pending.clear();
        Ok(())
    }

    /// Writes the index, and gives back the place for publishing.
    ///
    /// # Errors
    /// Also when the samples are fewer or more than the call promised.
    pub fn seal(mut self) -> Result<(W, Sealed), StoreError> {
        if !self.pending.is_empty() {
            self.block()?;
        }
        let promised = self.head.call.audio_bytes();
        if self.audio != promised {
            return Err(StoreError::Length {
                promised,
                got: self.audio,
            });
        }
        self.wav.update(&self.head.wav.after);
        let wav_sha256: [u8; 32] = self.wav.finalize().into();
        let mut index = Index {
            blocks: self.blocks,
            wav_sha256,
        }
        .to_bytes();
        self.sealer.seal(Part::Index, &mut index);
        self.out.write_all(&index)?;
        let stored_bytes = self.stored + index.len() as u64;
        Ok((
            self.out,
            Sealed {
                wav_bytes: self.head.wav_bytes(),
                wav_sha256,
                stored_bytes,
            },
        ))
    }
}
