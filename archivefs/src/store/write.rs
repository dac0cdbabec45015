//! Writing an object: header, call, WAV frame, then block after block as the audio comes, then index
//! and seal. Knows bytes and a place to put them, not files.

use super::StoreError;
use super::format::{Header, IndexEntry};
use crate::call::Call;
use crate::codec::Encoder;
use crate::wav;
use sha2::{Digest, Sha256};
use std::io::Write;

/// Length of a block, seconds: random access costs half of it, and shorter ones compress worse.
const BLOCK_SECONDS: u32 = 4;

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
    header: Header,
    index: Vec<IndexEntry>,
    pending: Vec<u8>,
    offset: u64,
    audio: u64,
    after: Vec<u8>,
    wav: Sha256,
    frame: Sha256,
}

impl<W: Write> ObjectWriter<W> {
    /// Begins the object of `call`, whose WAV file has `wav` around the samples.
    pub fn begin(mut out: W, call: &Call, wav: &wav::Frame) -> Result<Self, StoreError> {
        let json = serde_json::to_vec(call).expect("a call is plain data");
        let block_bytes = call.layout.rate * BLOCK_SECONDS * call.layout.frame_bytes() as u32;
        let header = Header {
            id: call.id,
            call_bytes: json.len() as u32,
            before_bytes: wav.before.len() as u32,
            after_bytes: wav.after.len() as u8,
            block_bytes,
            blocks: call.audio_bytes().div_ceil(u64::from(block_bytes)) as u32,
            audio_bytes: call.audio_bytes(),
        };
        let mut frame = Sha256::new();
        for part in [&header.to_bytes()[..], &json, &wav.before, &wav.after] {
            out.write_all(part)?;
            frame.update(part);
        }
        Ok(Self {
            out,
            encoder: Encoder::new()?,
            header,
            index: Vec::with_capacity(header.blocks as usize),
            pending: Vec::with_capacity(block_bytes as usize),
            offset: header.blocks_at(),
            audio: 0,
            after: wav.after.clone(),
            wav: Sha256::new_with_prefix(&wav.before),
            frame,
        })
    }

    /// Appends samples as they stand in the WAV file, in pieces of any length.
    pub fn samples(&mut self, mut samples: &[u8]) -> Result<(), StoreError> {
        while !samples.is_empty() {
            let room = self.header.block_bytes as usize - self.pending.len();
            let (now, later) = samples.split_at(room.min(samples.len()));
            self.pending.extend_from_slice(now);
            samples = later;
            if self.pending.len() == self.header.block_bytes as usize {
                self.block()?;
            }
        }
        Ok(())
    }

    fn block(&mut self) -> Result<(), StoreError> {
        self.audio += self.pending.len() as u64;
        self.wav.update(&self.pending);
        let stored = self.encoder.encode(&self.pending)?;
        self.out.write_all(&stored)?;
        self.index.push(IndexEntry {
            offset: self.offset,
            stored: stored.len() as u32,
            digest: Sha256::digest(&self.pending).into(),
        });
        self.offset += stored.len() as u64;
        self.pending.clear();
        Ok(())
    }

    /// Writes index and seal, and gives back the place for publishing.
    ///
    /// # Errors
    /// Also when the samples are fewer or more than the call promised.
    pub fn seal(mut self) -> Result<(W, Sealed), StoreError> {
        if !self.pending.is_empty() {
            self.block()?;
        }
        if self.audio != self.header.audio_bytes {
            return Err(StoreError::Length { promised: self.header.audio_bytes, got: self.audio });
        }
        for entry in &self.index {
            self.frame.update(entry.to_bytes());
            self.out.write_all(&entry.to_bytes())?;
        }
        self.wav.update(&self.after);
        let wav_sha256: [u8; 32] = self.wav.finalize().into();
        self.frame.update(wav_sha256);
        self.out.write_all(&wav_sha256)?;
        self.out.write_all(&self.frame.finalize())?;
        let sealed = Sealed {
            wav_bytes: self.header.wav_bytes(),
            wav_sha256,
            stored_bytes: self.offset + self.header.tail_bytes(),
        };
        Ok((self.out, sealed))
    }
}

