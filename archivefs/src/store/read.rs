//! Reading an object: any range of its WAV file, every block checked against its digest before a
//! byte of it is given out. Untrusted input: damage is an error, never altered audio, and never more
//! memory than a block.

use super::StoreError;
use super::format::{HEADER_BYTES, Header, INDEX_BYTES, IndexEntry, SEAL_BYTES};
use crate::call::Call;
use crate::codec::Decoder;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// An object that is open for reading; several threads may read at once.
#[derive(Debug)]
pub struct Object {
    file: File,
    header: Header,
    call: Call,
    before: Vec<u8>,
    after: Vec<u8>,
    index: Vec<IndexEntry>,
    wav_sha256: [u8; 32],
    stored_bytes: u64,
}

impl Object {
    /// Opens the object at `path` and checks everything but its audio.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let file = File::open(path)?;
        let stored_bytes = file.metadata()?.len();
        let mut bytes = [0; HEADER_BYTES];
        read_exact(&file, &mut bytes, 0)?;
        let header = Header::parse(&bytes)?;
        let index_at = stored_bytes
            .checked_sub(header.tail_bytes())
            .filter(|&at| at >= header.blocks_at())
            .ok_or_else(|| StoreError::damaged("it is shorter than its header says"))?;
        let mut head = vec![0; (header.blocks_at() - HEADER_BYTES as u64) as usize];
        read_exact(&file, &mut head, HEADER_BYTES as u64)?;
        let mut tail = vec![0; header.tail_bytes() as usize];
        read_exact(&file, &mut tail, index_at)?;
        let (tail, seal) = tail.split_at(tail.len() - SEAL_BYTES);
        let mut frame = Sha256::new_with_prefix(bytes);
        frame.update(&head);
        frame.update(tail);
        frame.update(&seal[..32]);
        if frame.finalize()[..] != seal[32..] {
            return Err(StoreError::damaged("its header, call or index was changed"));
        }
        let (call, wav) = head.split_at(header.call_bytes as usize);
        let (before, after) = wav.split_at(header.before_bytes as usize);
        let object = Self {
            file,
            header,
            call: serde_json::from_slice(call)
                .map_err(|error| StoreError::damaged(&format!("its call is unreadable: {error}")))?,
            before: before.to_vec(),
            after: after.to_vec(),
            index: tail.chunks_exact(INDEX_BYTES).map(IndexEntry::parse).collect(),
            wav_sha256: seal[..32].try_into().expect("32 bytes"),
            stored_bytes,
        };
        object.check_layout(index_at)?;
        Ok(object)
    }

    /// Blocks stand one after the other from the header to the index, and the call agrees.
    fn check_layout(&self, index_at: u64) -> Result<(), StoreError> {
        let mut at = self.header.blocks_at();
        for entry in &self.index {
            if entry.offset != at {
                return Err(StoreError::damaged("its blocks do not follow one another"));
            }
            at += u64::from(entry.stored);
        }
        let agrees = at == index_at
            && self.call.id == self.header.id
            && self.call.audio_bytes() == self.header.audio_bytes;
        if agrees { Ok(()) } else { Err(StoreError::damaged("its parts contradict one another")) }
    }

    /// What is known of the call.
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// Length of the WAV file, bytes.
    pub fn wav_bytes(&self) -> u64 {
        self.header.wav_bytes()
    }

    /// SHA-256 of the WAV file, as sealed.
    pub fn wav_sha256(&self) -> [u8; 32] {
        self.wav_sha256
    }

    /// Length of the object, bytes.
    pub fn stored_bytes(&self) -> u64 {
        self.stored_bytes
    }

    /// Number of blocks.
    pub fn blocks(&self) -> u32 {
        self.header.blocks
    }

    /// The samples of block `number`, checked.
    pub fn block(&self, number: u32, decoder: &mut Decoder) -> Result<Vec<u8>, StoreError> {
        let entry = &self.index[number as usize];
        let mut stored = vec![0; entry.stored as usize];
        read_exact(&self.file, &mut stored, entry.offset)?;
        let samples = decoder.decode(&stored, self.header.samples_in(number))?;
        if Sha256::digest(&samples)[..] != entry.digest {
            return Err(StoreError::damaged(&format!("block {number} is not what was sealed")));
        }
        Ok(samples)
    }

    /// The part of the WAV file that holds byte `offset`.
    pub fn part_at(&self, offset: u64) -> Part<'_> {
        let audio = self.before.len() as u64;
        let after = audio + self.header.audio_bytes;
        if offset < audio {
            Part::Bytes(&self.before[offset as usize..])
        } else if offset < after {
            let block_bytes = u64::from(self.header.block_bytes);
            let within = offset - audio;
            Part::Block {
                number: (within / block_bytes) as u32,
                skip: (within % block_bytes) as usize,
            }
        } else {
            let skip = usize::try_from(offset - after).unwrap_or(usize::MAX);
            Part::Bytes(self.after.get(skip..).unwrap_or(&[]))
        }
    }

    /// Reads everything and compares it with the seals.
    pub fn verify(&self) -> Result<(), StoreError> {
        let mut decoder = Decoder::new()?;
        let mut wav = Sha256::new_with_prefix(&self.before);
        for number in 0..self.header.blocks {
            wav.update(self.block(number, &mut decoder)?);
        }
        wav.update(&self.after);
        if wav.finalize()[..] == self.wav_sha256 {
            Ok(())
        } else {
            Err(StoreError::damaged("the whole is not what was sealed"))
        }
    }
}

/// A stretch of a WAV file.
#[derive(Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// These bytes, and then the next part; none at the end of the file.
    Bytes(&'a [u8]),
    /// The samples of a block from byte `skip` on.
    Block {
        /// Which block.
        number: u32,
        /// Bytes of it that lie before the offset asked for.
        skip: usize,
    },
}

/// A file that ends too early is damaged; other failures are the disk's.
fn read_exact(file: &File, bytes: &mut [u8], offset: u64) -> Result<(), StoreError> {
    file.read_exact_at(bytes, offset).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => StoreError::damaged("it ends too early"),
        _ => error.into(),
    })
}
