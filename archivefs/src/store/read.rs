//! Reading an object: any range of its WAV file, every block opened and checked before a byte of it is
//! given out. Untrusted input: damage is an error, never altered audio, and never more memory than a
//! block.

use super::StoreError;
use super::format::{HEADER_BYTES, Head, Header, Index};
use super::seal::{ObjectSealer, Part as SealedPart};
use crate::call::Call;
use crate::codec::Decoder;
use crate::crypto::{Key, TAG_BYTES};
use rustix::io::{ReadWriteFlags, preadv2};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// An object that is open for reading; several threads may read at once.
#[derive(Debug)]
pub struct Object {
    file: File,
    sealer: ObjectSealer,
    head: Head,
    index: Index,
    /// Offset of each block, and of the index at the end, bytes.
    offsets: Vec<u64>,
    stored_bytes: u64,
}

impl Object {
    /// Opens the object at `path` of the recording with this `key`, and checks everything but its
    /// audio.
    pub fn open(path: &Path, key: &Key) -> Result<Self, StoreError> {
        let file = File::open(path)?;
        let stored_bytes = file.metadata()?.len();
        let (header, bytes) = read_header(&file)?;
        let sealer = ObjectSealer::new(key, &header, bytes);
        let sealed_index = (header.index_bytes() + TAG_BYTES) as u64;
        let index_at = stored_bytes
            .checked_sub(sealed_index)
            .filter(|&at| at >= header.blocks_at())
            .ok_or_else(|| StoreError::damaged("it is shorter than its header says"))?;
        let part = |part, at, length| -> Result<Vec<u8>, StoreError> {
            let mut bytes = vec![0; length];
            read_exact(&file, &mut bytes, at)?;
            sealer.open(part, &mut bytes)?;
            Ok(bytes)
        };
        let head = part(
            SealedPart::Head,
            HEADER_BYTES as u64,
            header.head_bytes as usize,
        )?;
        let index = part(SealedPart::Index, index_at, sealed_index as usize)?;
        let (head, index) = (Head::parse(&head)?, Index::parse(&index));
        let offsets = offsets(&header, &index);
        let agrees = offsets.last() == Some(&index_at)
            && head.call.id == header.id
            && head.blocks() == u64::from(header.blocks);
        if !agrees {
            return Err(StoreError::damaged("its parts contradict one another"));
        }
        Ok(Self {
            file,
            sealer,
            head,
            index,
            offsets,
            stored_bytes,
        })
    }

    /// What is known of the call.
    pub fn call(&self) -> &Call {
        &self.head.call
    }

    /// Length of the WAV file, bytes.
    pub fn wav_bytes(&self) -> u64 {
        self.head.wav_bytes()
    }

    /// SHA-256 of the WAV file, as sealed.
    pub fn wav_sha256(&self) -> [u8; 32] {
        self.index.wav_sha256
    }

    /// Length of the object, bytes.
    pub fn stored_bytes(&self) -> u64 {
        self.stored_bytes
    }

    /// Number of blocks.
    pub fn blocks(&self) -> u32 {
        self.index.blocks.len() as u32
    }

    /// The WAV bytes before the samples, and those after them.
    pub fn around(&self) -> (&[u8], &[u8]) {
        (&self.head.wav.before, &self.head.wav.after)
    }

    /// The samples of block `number`, checked. Waits for the disk.
    pub fn block(&self, number: u32, decoder: &mut Decoder) -> Result<Vec<u8>, StoreError> {
        let sealed = self.sealed(number)?;
        self.samples(number, sealed, decoder)
    }

    /// The same if the system has its bytes in memory; otherwise nothing, and the disk is asked for
    /// them.
    pub fn block_at_once(
        &self,
        number: u32,
        decoder: &mut Decoder,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let (mut sealed, at) = self.room(number);
        if !read_at_once(&self.file, &mut sealed, at) {
            return Ok(None);
        }
        self.samples(number, sealed, decoder).map(Some)
    }

    /// Opens block `number`, decodes it and compares the samples with their check.
    fn samples(
        &self,
        number: u32,
        sealed: Vec<u8>,
        decoder: &mut Decoder,
    ) -> Result<Vec<u8>, StoreError> {
        let block = self.unsealed(number, sealed)?;
        let layout = self.head.call.layout;
        let bytes = self.head.samples_in(number);
        let frames = (bytes / layout.frame_bytes()) as u32;
        let mut samples = Vec::with_capacity(bytes);
        decoder.decode(layout.into(), frames, &block, &mut samples)?;
        if crc32c::crc32c(&samples) != self.index.blocks[number as usize].check {
            return Err(StoreError::damaged(&format!(
                "block {number} decodes to something else"
            )));
        }
        Ok(samples)
    }

    /// Room for block `number` as it is stored, and where that begins.
    fn room(&self, number: u32) -> (Vec<u8>, u64) {
        let stored = self.index.blocks[number as usize].stored;
        (vec![0; stored as usize], self.offsets[number as usize])
    }

    fn sealed(&self, number: u32) -> Result<Vec<u8>, StoreError> {
        let (mut sealed, at) = self.room(number);
        read_exact(&self.file, &mut sealed, at)?;
        Ok(sealed)
    }

    fn unsealed(&self, number: u32, mut sealed: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        self.sealer.open(SealedPart::Block(number), &mut sealed)?;
        Ok(sealed)
    }

    /// The part of the WAV file that holds byte `offset`.
    pub fn part_at(&self, offset: u64) -> Part<'_> {
        let (before, after) = self.around();
        let audio = before.len() as u64;
        let end = audio + self.head.call.audio_bytes();
        if offset < audio {
            Part::Bytes(&before[offset as usize..])
        } else if offset < end {
            let block_bytes = u64::from(self.head.block_bytes);
            let within = offset - audio;
            Part::Block {
                number: (within / block_bytes) as u32,
                skip: (within % block_bytes) as usize,
            }
        } else {
            let skip = usize::try_from(offset - end).unwrap_or(usize::MAX);
            Part::Bytes(after.get(skip..).unwrap_or(&[]))
        }
    }

    /// Decodes everything and compares the whole WAV file with its digest.
    pub fn verify(&self) -> Result<(), StoreError> {
        let mut decoder = Decoder::new();
        let (before, after) = self.around();
        let mut wav = Sha256::new_with_prefix(before);
        for number in 0..self.blocks() {
            wav.update(self.block(number, &mut decoder)?);
        }
        wav.update(after);
        if wav.finalize()[..] == self.index.wav_sha256 {
            Ok(())
        } else {
            Err(StoreError::damaged("the whole is not what was sealed"))
        }
    }

    /// Reads every byte and checks its seal, without decoding: a disk that forgets is found at a
    /// fraction of the cost of [`Self::verify`].
    pub fn scrub(&self) -> Result<(), StoreError> {
        let opens = |number| self.unsealed(number, self.sealed(number)?).map(drop);
        (0..self.blocks()).try_for_each(opens)
    }
}

/// What the clear header of the object at `path` says, for people: no key is needed.
pub fn describe(path: &Path) -> Result<String, StoreError> {
    let file = File::open(path)?;
    let (header, _) = read_header(&file)?;
    let bytes = file.metadata()?.len();
    Ok(format!(
        "recording      {}\nbytes          {bytes}\nfeatures       ignore {:#x}, read only {:#x}\n\
         sealed head    {} bytes from {HEADER_BYTES}\nblocks         {} from {}\n\
         sealed index   {} bytes at the end\n",
        header.id,
        header.ignore,
        header.read_only,
        header.head_bytes,
        header.blocks,
        header.blocks_at(),
        header.index_bytes() + TAG_BYTES,
    ))
}

fn read_header(file: &File) -> Result<(Header, [u8; HEADER_BYTES]), StoreError> {
    let mut bytes = [0; HEADER_BYTES];
    read_exact(file, &mut bytes, 0)?;
    Ok((Header::parse(&bytes)?, bytes))
}

fn offsets(header: &Header, index: &Index) -> Vec<u64> {
    let mut at = header.blocks_at();
    let mut offsets = vec![at];
    for block in &index.blocks {
        at += u64::from(block.stored);
        offsets.push(at);
    }
    offsets
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

/// Fills `bytes` if all of them are in memory (`preadv2(2)`, `RWF_NOWAIT`); where they are not, or the
/// file system cannot tell, nothing is waited for, and false is the answer.
fn read_at_once(file: &File, bytes: &mut [u8], offset: u64) -> bool {
    let expected = bytes.len();
    let read = preadv2(
        file,
        &mut [IoSliceMut::new(bytes)],
        offset,
        ReadWriteFlags::NOWAIT,
    );
    read == Ok(expected)
}

/// A file that ends too early is damaged; other failures are the disk's.
fn read_exact(file: &File, bytes: &mut [u8], offset: u64) -> Result<(), StoreError> {
    file.read_exact_at(bytes, offset)
        .map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => StoreError::damaged("it ends too early"),
            _ => error.into(),
        })
}
