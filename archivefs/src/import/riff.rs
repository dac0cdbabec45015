//! WAV files as recorders write them: RIFF, RF64 and BW64, plain and extensible formats, G.711, and
//! the headers of recorders that died.
//!
//! Sources: RIFF/WAVE as in Microsoft's Multimedia Programming Interface 1.0; format tags from RFC
//! 2361, appendix A; `WAVE_FORMAT_EXTENSIBLE` from Microsoft's "Multiple channel audio data and WAVE
//! files"; `bext` from EBU Tech 3285; RF64 with `ds64` from EBU Tech 3306; BW64 from ITU-R BS.2088.

use super::when::{STAMP_BYTES, Stamp};
use super::{BUFFER_BYTES, Note, Wrong};
use crate::call::Layout;
use std::io::{Read, Seek, SeekFrom};
use tsuwaroku_spool::Encoding;

const TAG_PCM: u16 = 1;
const TAG_FLOAT: u16 = 3;
const TAG_ALAW: u16 = 6;
const TAG_MULAW: u16 = 7;
const TAG_EXTENSIBLE: u16 = 0xFFFE;
/// The last 14 bytes of a `SubFormat` whose first two are a format tag.
const SUBFORMAT: [u8; 14] = *b"\x00\x00\x00\x00\x10\x00\x80\x00\x00\xAA\x00\x38\x9B\x71";

/// `RIFF`, its size, `WAVE`.
const HEAD_BYTES: u64 = 12;
/// The name and the size of a chunk.
const CHUNK_HEAD_BYTES: u64 = 8;
/// `fmt ` of an extensible format; a plain one has 16.
const FORMAT_BYTES: usize = 40;
const PLAIN_FORMAT_BYTES: usize = 16;
/// Most chunks looked at: a file of nothing but empty chunks is no recording.
const MOST_CHUNKS: usize = 10_000;

/// A WAV file, its header read.
#[derive(Debug, Clone)]
pub struct Wav {
    /// How its samples are written once [`samples`](Self::samples) gives them.
    pub layout: Layout,
    /// When it says that it began.
    pub stamp: Option<Stamp>,
    /// What is remarkable.
    pub notes: Vec<Note>,
    /// Unsigned samples of 8 bits, which become signed ones of 16.
    unsigned_8: bool,
    data: Data,
}

/// Where the audio is, bytes.
#[derive(Debug, Clone, Copy)]
struct Data {
    at: u64,
    bytes: u64,
}

impl Wav {
    /// Reads all chunks of `input` but the audio.
    pub fn open(input: &mut (impl Read + Seek)) -> Result<Self, Wrong> {
        let length = input.seek(SeekFrom::End(0))?;
        let mut head = [0; HEAD_BYTES as usize];
        if length < HEAD_BYTES {
            return Err(Wrong::NotAudio);
        }
        read_at(input, 0, &mut head)?;
        let large = match (&head[..4], &head[8..]) {
            (b"RIFF", b"WAVE") => false,
            (b"RF64" | b"BW64", b"WAVE") => true,
            (b"RIFX", b"WAVE") => return Err(Wrong::Damaged("big-endian (RIFX): sox can turn it")),
            _ => return Err(Wrong::NotAudio),
        };
        let mut walk = Walk {
            length,
            large,
            ..Walk::default()
        };
        walk.all(input)?;
        walk.end()
    }

    /// Hands all samples to `each`, whole frames at a time.
    pub fn samples<E: From<Wrong>>(
        &self,
        input: &mut (impl Read + Seek),
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        input
            .seek(SeekFrom::Start(self.data.at))
            .map_err(Wrong::from)?;
        // A frame has at most 65535 bytes, so that one fits in any case.
        let frame = self.layout.frame_bytes() / if self.unsigned_8 { 2 } else { 1 };
        let mut buffer = vec![0; BUFFER_BYTES / frame * frame];
        let mut wide = Vec::new();
        let mut left = self.data.bytes;
        while left > 0 {
            let part = left.min(buffer.len() as u64) as usize;
            input.read_exact(&mut buffer[..part]).map_err(Wrong::from)?;
            left -= part as u64;
            if self.unsigned_8 {
                widen(&buffer[..part], &mut wide);
                each(&wide)?;
            } else {
                each(&buffer[..part])?;
            }
        }
        Ok(())
    }
}

/// Unsigned samples of 8 bits as signed ones of 16, little-endian: the same value in the upper byte.
fn widen(samples: &[u8], into: &mut Vec<u8>) {
    into.clear();
    into.extend(samples.iter().flat_map(|sample| [0, sample ^ 0x80]));
}

/// The chunks so far.
#[derive(Default)]
struct Walk {
    /// Bytes of the file.
    length: u64,
    /// RF64: lengths of 64 bits stand in `ds64`.
    large: bool,
    data_bytes: Option<u64>,
    format: Option<Format>,
    data: Option<Data>,
    stamp: Option<Stamp>,
    notes: Vec<Note>,
}

impl Walk {
    fn all(&mut self, input: &mut (impl Read + Seek)) -> Result<(), Wrong> {
        let mut at = HEAD_BYTES;
        for _ in 0..MOST_CHUNKS {
            // An odd last chunk may lack its padding.
            if at >= self.length {
                return Ok(());
            }
            match self.chunk(input, at)? {
                Some(next) => at = next,
                None => return Ok(()),
            }
        }
        Err(Wrong::Damaged("it has more than 10000 chunks"))
    }

    /// Takes the chunk at `at`, and gives where the next one is; nothing if there is none.
    fn chunk(&mut self, input: &mut (impl Read + Seek), at: u64) -> Result<Option<u64>, Wrong> {
        let Some((name, size)) = chunk_head(input, at, self.length)? else {
            return self.no_chunk(at);
        };
        let body = at + CHUNK_HEAD_BYTES;
        if &name == b"data" {
            return self.data(input, body, size);
        }
        let end = body + u64::from(size);
        if end > self.length {
            return self.no_chunk(at);
        }
        match &name {
            b"fmt " => self.format = Some(Format::read(input, body, size)?),
            b"ds64" if size >= 16 => {
                let mut lengths = [0; 16];
                read_at(input, body, &mut lengths)?;
                let bytes = lengths[8..].try_into().expect("eight bytes");
                self.data_bytes = Some(u64::from_le_bytes(bytes));
            }
            b"bext" if size as usize >= STAMP_BYTES => {
                let mut bext = [0; STAMP_BYTES];
                read_at(input, body, &mut bext)?;
                self.stamp = Stamp::of_bext(&bext);
            }
            _ => {}
        }
        Ok(Some(end + end % 2))
    }

    /// What begins at `at` is no chunk: after the audio it is left out, before it the end.
    fn no_chunk(&mut self, at: u64) -> Result<Option<u64>, Wrong> {
        if self.data.is_none() {
            return Err(Wrong::Damaged("it ends, or goes wrong, before its audio"));
        }
        self.notes.push(Note::Unexplained(self.length - at));
        Ok(None)
    }

    fn data(
        &mut self,
        input: &mut (impl Read + Seek),
        at: u64,
        size: u32,
    ) -> Result<Option<u64>, Wrong> {
        if self.data.is_some() {
            return Err(Wrong::Damaged("it has audio in two places"));
        }
        let rest = self.length - at;
        let stated = match self.data_bytes {
            Some(bytes) if self.large && size == u32::MAX => bytes,
            _ => u64::from(size),
        };
        if (stated == 0 && !only_chunks(input, at, self.length)?)
            || (stated > rest && is_open(stated))
        {
            self.notes.push(Note::Unfinished);
            self.data = Some(Data { at, bytes: rest });
            return Ok(None);
        }
        if stated > rest {
            return Err(Wrong::Short {
                missing: stated - rest,
            });
        }
        self.data = Some(Data { at, bytes: stated });
        Ok(Some(at + stated + stated % 2))
    }

    fn end(mut self) -> Result<Wav, Wrong> {
        let data = self.data.ok_or(Wrong::Damaged("it has no audio chunk"))?;
        let format = self
            .format
            .ok_or(Wrong::Damaged("it has no format chunk"))?;
        let partial = data.bytes % u64::from(format.frame_bytes);
        if partial > 0 {
            self.notes.push(Note::PartialFrame(partial));
        }
        Ok(Wav {
            layout: format.layout,
            stamp: self.stamp,
            notes: self.notes,
            unsigned_8: format.unsigned_8,
            data: Data {
                at: data.at,
                bytes: data.bytes - partial,
            },
        })
    }
}

/// Whether a length is one that a recorder writes when it does not know the length yet: all ones,
/// or the largest that a signed number holds, less a header or rounded to a block.
fn is_open(stated: u64) -> bool {
    stated == u64::MAX
        || (0xFFFF_0000..=0xFFFF_FFFF).contains(&stated)
        || (0x7FFF_0000..=0x7FFF_FFFF).contains(&stated)
}

/// Whether from `at` to the end of the file there are chunks and nothing else.
fn only_chunks(input: &mut (impl Read + Seek), mut at: u64, length: u64) -> Result<bool, Wrong> {
    for _ in 0..MOST_CHUNKS {
        if at >= length {
            return Ok(true);
        }
        let Some((_, size)) = chunk_head(input, at, length)? else {
            return Ok(false);
        };
        at += CHUNK_HEAD_BYTES + u64::from(size);
        if at > length {
            return Ok(false);
        }
        at += at % 2;
    }
    Ok(false)
}

/// The name and the size of a chunk at `at`; nothing if what is there has no such name.
fn chunk_head(
    input: &mut (impl Read + Seek),
    at: u64,
    length: u64,
) -> Result<Option<([u8; 4], u32)>, Wrong> {
    if length - at < CHUNK_HEAD_BYTES {
        return Ok(None);
    }
    let mut name = [0; 4];
    let mut size = [0; 4];
    read_at(input, at, &mut name)?;
    input.read_exact(&mut size)?;
    let is_name = name.iter().all(|byte| (b' '..=b'~').contains(byte));
    Ok(is_name.then(|| (name, u32::from_le_bytes(size))))
}

fn read_at(input: &mut (impl Read + Seek), at: u64, into: &mut [u8]) -> Result<(), Wrong> {
    input.seek(SeekFrom::Start(at))?;
    Ok(input.read_exact(into)?)
}

/// A `fmt ` chunk that the archive can hold.
#[derive(Debug, Clone, Copy)]
struct Format {
    layout: Layout,
    unsigned_8: bool,
    /// Bytes of a frame in the file.
    frame_bytes: u16,
}

impl Format {
    fn read(input: &mut (impl Read + Seek), at: u64, size: u32) -> Result<Self, Wrong> {
        let mut bytes = [0; FORMAT_BYTES];
        let size = (size as usize).min(FORMAT_BYTES);
        if size < PLAIN_FORMAT_BYTES {
            return Err(Wrong::Damaged("its format chunk is too short"));
        }
        read_at(input, at, &mut bytes[..size])?;
        Self::of(&bytes[..size])
    }

    fn of(bytes: &[u8]) -> Result<Self, Wrong> {
        let number = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let rate = u32::from(number(4)) | u32::from(number(6)) << 16;
        let (channels, frame_bytes, bits) = (number(2), number(12), number(14));
        if channels == 0 || rate == 0 || frame_bytes == 0 || frame_bytes % channels != 0 {
            return Err(Wrong::Damaged("its format chunk makes no sense"));
        }
        let (encoding, unsigned_8) = encoding(tag(bytes)?, bits, frame_bytes / channels)?;
        let layout = Layout {
            rate,
            channels,
            encoding,
        };
        Ok(Self {
            layout,
            unsigned_8,
            frame_bytes,
        })
    }
}

/// The format tag, also where an extensible format hides it.
fn tag(format: &[u8]) -> Result<u16, Wrong> {
    let number = |at: usize| u16::from_le_bytes([format[at], format[at + 1]]);
    match number(0) {
        TAG_EXTENSIBLE if format.len() < FORMAT_BYTES => {
            Err(Wrong::Damaged("its format chunk is too short"))
        }
        TAG_EXTENSIBLE if format[26..FORMAT_BYTES] == SUBFORMAT => Ok(number(24)),
        tag => Ok(tag),
    }
}

/// How a sample of `bits` in `bytes` is written, and whether it has to be widened. Fewer bits than
/// the bytes hold are the upper ones, so the bytes are taken as they are.
fn encoding(tag: u16, bits: u16, bytes: u16) -> Result<(Encoding, bool), Wrong> {
    let width = Wrong::Width { bits, bytes };
    match (tag, bytes) {
        (TAG_MULAW, 1) if bits == 8 => Ok((Encoding::MuLaw, false)),
        (TAG_ALAW, 1) if bits == 8 => Ok((Encoding::ALaw, false)),
        (TAG_PCM, _) if bits.div_ceil(8) != bytes => Err(width),
        (TAG_PCM, 1) => Ok((Encoding::S16, true)),
        (TAG_PCM, 2) => Ok((Encoding::S16, false)),
        (TAG_PCM, 3) => Ok((Encoding::S24, false)),
        (TAG_PCM, 4) => Ok((Encoding::S32, false)),
        (TAG_PCM | TAG_MULAW | TAG_ALAW, _) => Err(width),
        (TAG_FLOAT, _) => Err(Wrong::Float),
        (other, _) => Err(Wrong::Compressed(other)),
    }
}
