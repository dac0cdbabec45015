//! FLAC files (RFC 9639), decoded by claxon; what the file says of itself is checked: its length,
//! and the digest of its audio.

use super::{BUFFER_BYTES, Wrong};
use crate::call::Layout;
use claxon::{Block, FlacReader, FlacReaderOptions};
use md5::{Digest, Md5};
use std::io::{Read, Seek, SeekFrom};
use tsuwaroku_spool::Encoding;

/// A FLAC file, its header read.
#[derive(Debug, Clone, Copy)]
pub struct Flac {
    /// How its samples are written once [`samples`](Self::samples) gives them.
    pub layout: Layout,
    /// Bits of a sample in the file.
    bits: u32,
    /// Its frames, if it says so.
    frames: Option<u64>,
    /// MD5 of its samples, if it says so (RFC 9639, section 8.2).
    digest: Option<[u8; 16]>,
}

impl Flac {
    /// Reads the header of `input`.
    pub fn open(input: &mut (impl Read + Seek)) -> Result<Self, Wrong> {
        let info = reader(input)?.streaminfo();
        let encoding = match info.bits_per_sample {
            4..=16 => Encoding::S16,
            17..=24 => Encoding::S24,
            25..=32 => Encoding::S32,
            _ => return Err(Wrong::Damaged("its samples have too few or too many bits")),
        };
        Ok(Self {
            layout: Layout {
                rate: info.sample_rate,
                channels: info.channels as u16,
                encoding,
            },
            bits: info.bits_per_sample,
            frames: info.samples.filter(|&frames| frames > 0),
            digest: Some(info.md5sum).filter(|digest| digest != &[0; 16]),
        })
    }

    /// Hands all samples to `each`, interleaved and little-endian, whole frames at a time. Samples of
    /// fewer bits than the encoding has become its upper ones.
    pub fn samples<E: From<Wrong>>(
        &self,
        input: &mut (impl Read + Seek),
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut reader = reader(input)?;
        let mut blocks = reader.blocks();
        let mut check = Check::default();
        let mut memory = Vec::new();
        let mut out = Vec::new();
        while let Some(block) = blocks.read_next_or_eof(memory).map_err(wrong)? {
            self.fits(&block)?;
            check.take(&block, self.bits);
            self.write(&block, &mut out);
            // A block holds up to 65535 frames of 8 channels.
            let frame = self.layout.frame_bytes();
            out.chunks(BUFFER_BYTES / frame * frame)
                .try_for_each(&mut each)?;
            memory = block.into_buffer();
        }
        Ok(self.compare(check)?)
    }

    /// Whether a block is what the header says of all blocks.
    fn fits(&self, block: &Block) -> Result<(), Wrong> {
        if block.channels() != u32::from(self.layout.channels) {
            return Err(Wrong::Damaged("its number of channels changes"));
        }
        let most = (1_i64 << (self.bits - 1)) - 1;
        let fits = |sample: &i32| (-most - 1..=most).contains(&i64::from(*sample));
        if (0..block.channels()).all(|channel| block.channel(channel).iter().all(fits)) {
            return Ok(());
        }
        Err(Wrong::Damaged(
            "a sample has more bits than its header says",
        ))
    }

    fn write(&self, block: &Block, out: &mut Vec<u8>) {
        let bytes = self.layout.encoding.bytes();
        let shift = bytes as u32 * 8 - self.bits;
        out.clear();
        for sample in interleaved(block) {
            out.extend_from_slice(&(sample << shift).to_le_bytes()[..bytes]);
        }
    }

    /// All of it has been read: is it all, and is it what was encoded?
    fn compare(&self, check: Check) -> Result<(), Wrong> {
        if self.frames.is_some_and(|stated| stated != check.frames) {
            return Err(Wrong::Damaged(
                "it does not have the length that its header says",
            ));
        }
        let found: [u8; 16] = check.digest.finalize().into();
        if self.digest.is_some_and(|stated| stated != found) {
            return Err(Wrong::Digest);
        }
        Ok(())
    }
}

/// What a reading found.
#[derive(Default)]
struct Check {
    frames: u64,
    digest: Md5,
    bytes: Vec<u8>,
}

impl Check {
    /// Samples count in as many whole bytes as their bits need.
    fn take(&mut self, block: &Block, bits: u32) {
        let width = bits.div_ceil(8) as usize;
        self.bytes.clear();
        for sample in interleaved(block) {
            self.bytes.extend_from_slice(&sample.to_le_bytes()[..width]);
        }
        self.frames += u64::from(block.duration());
        self.digest.update(&self.bytes);
    }
}

fn interleaved(block: &Block) -> impl Iterator<Item = i32> {
    let channels = block.channels();
    (0..block.duration()).flat_map(move |at| (0..channels).map(move |c| block.sample(c, at)))
}

fn reader<R: Read + Seek>(input: &mut R) -> Result<FlacReader<&mut R>, Wrong> {
    input.seek(SeekFrom::Start(0))?;
    let options = FlacReaderOptions {
        metadata_only: false,
        read_vorbis_comment: false,
    };
    FlacReader::new_ext(input, options).map_err(wrong)
}

fn wrong(error: claxon::Error) -> Wrong {
    match error {
        // claxon tells an end where there should be more as an error of the disk.
        claxon::Error::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            Wrong::Damaged("it ends early: copy it again, whole")
        }
        claxon::Error::IoError(error) => Wrong::Io(error),
        claxon::Error::FormatError(what) | claxon::Error::Unsupported(what) => Wrong::Damaged(what),
    }
}
