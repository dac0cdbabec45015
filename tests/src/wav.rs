//! Reads the recordings that the mount serves: a walker over RIFF chunks that accepts nothing
//! doubtful, so that a wrong size in a header fails a test. Called by the tests and the
//! demonstration.

use std::path::Path;
use thiserror::Error;

/// A WAV file taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wav {
    /// `wFormatTag` of `fmt `: 1 linear PCM, 6 A-law, 7 µ-law (RFC 2361, appendix A).
    pub format_tag: u16,
    /// Channels, interleaved in `data`.
    pub channels: u16,
    /// Frames a second, Hz.
    pub rate: u32,
    /// Bits of one sample.
    pub bits: u16,
    /// The chunks in their order, each with its four letters and its bytes without the padding.
    pub chunks: Vec<([u8; 4], Vec<u8>)>,
}

/// Why a file is not a WAV file.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("at byte {at}: {what}")]
pub struct WavError {
    /// Where, bytes from the beginning.
    pub at: usize,
    /// What is wrong there.
    pub what: &'static str,
}

const fn wrong(at: usize, what: &'static str) -> WavError {
    WavError { at, what }
}

impl Wav {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// It cannot be read, or it is not a WAV file: then of kind `InvalidData`.
    pub fn read(path: &Path) -> std::io::Result<Self> {
        let bytes = std::fs::read(path)?;
        Self::parse(&bytes).map_err(|error| {
            let message = format!("{}: {error}", path.display());
            std::io::Error::new(std::io::ErrorKind::InvalidData, message)
        })
    }

    /// Takes `bytes`, a whole file, apart. The sizes in the headers must account for every byte.
    ///
    /// # Errors
    /// Where and why they do not.
    pub fn parse(bytes: &[u8]) -> Result<Self, WavError> {
        if bytes.get(..4) != Some(b"RIFF") || bytes.get(8..12) != Some(b"WAVE") {
            return Err(wrong(0, "not a RIFF file of the form WAVE"));
        }
        if u32_at(bytes, 4).ok_or(wrong(4, "no size"))? as usize + 8 != bytes.len() {
            return Err(wrong(4, "the RIFF size is not the size of the file"));
        }
        let chunks = chunks(bytes)?;
        let format = &chunks
            .iter()
            .find(|(id, _)| id == b"fmt ")
            .ok_or(wrong(12, "no fmt "))?
            .1;
        if format.len() < 16 {
            return Err(wrong(12, "fmt is too short"));
        }
        if !chunks.iter().any(|(id, _)| id == b"data") {
            return Err(wrong(12, "no data"));
        }
        let number = |at| u16::from_le_bytes([format[at], format[at + 1]]);
        Ok(Self {
            format_tag: number(0),
            channels: number(2),
            rate: u32_at(format, 4).unwrap_or_default(),
            bits: number(14),
            chunks,
        })
    }

    /// The bytes of the first chunk called `id`.
    pub fn chunk(&self, id: [u8; 4]) -> Option<&[u8]> {
        self.chunks
            .iter()
            .find(|(name, _)| *name == id)
            .map(|(_, bytes)| bytes.as_slice())
    }

    /// The audio: interleaved samples in the file's own format.
    pub fn data(&self) -> &[u8] {
        self.chunk(*b"data").unwrap_or_default()
    }

    /// The audio of a 16-bit linear file, interleaved; nothing for another format.
    pub fn samples_16(&self) -> Option<Vec<i16>> {
        (self.format_tag == 1 && self.bits == 16).then(|| samples_16(self.data()))
    }
}

/// Signed 16-bit little-endian bytes as samples; an odd last byte is left out.
pub fn samples_16(bytes: &[u8]) -> Vec<i16> {
    bytes
        .as_chunks()
        .0
        .iter()
        .map(|&sample| i16::from_le_bytes(sample))
        .collect()
}

type Chunks = Vec<([u8; 4], Vec<u8>)>;

/// The chunks behind the RIFF header: id, size, bytes, and a padding byte after an odd size.
fn chunks(bytes: &[u8]) -> Result<Chunks, WavError> {
    let mut found = Vec::new();
    let mut at = 12;
    while at < bytes.len() {
        let id = bytes
            .get(at..at + 4)
            .ok_or(wrong(at, "a chunk's name is cut off"))?;
        let size = u32_at(bytes, at + 4).ok_or(wrong(at, "a chunk's size is cut off"))? as usize;
        let body = bytes
            .get(at + 8..at + 8 + size)
            .ok_or(wrong(at, "a chunk is cut off"))?;
        found.push((<[u8; 4]>::try_from(id).unwrap_or_default(), body.to_vec()));
        at += 8 + size + size % 2;
    }
    if at == bytes.len() {
        Ok(found)
    } else {
        Err(wrong(at, "no padding after an odd chunk"))
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let field = bytes.get(at..at + 4)?;
    Some(u32::from_le_bytes(field.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file by another hand: the crate hound.
    fn reference(channels: u16, samples: &[i16]) -> Vec<u8> {
        let spec = hound::WavSpec {
            channels,
            sample_rate: 8000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut file = std::io::Cursor::new(Vec::new());
        let mut writer = hound::WavWriter::new(&mut file, spec).unwrap();
        for &sample in samples {
            writer.write_sample(sample).unwrap();
        }
        writer.finalize().unwrap();
        file.into_inner()
    }

    #[test]
    fn reads_what_another_program_wrote() {
        let samples = [1, -2, i16::MAX, i16::MIN, 0, 77];
        let wav = Wav::parse(&reference(2, &samples)).unwrap();
        assert_eq!((wav.channels, wav.rate, wav.bits), (2, 8000, 16));
        assert_eq!(wav.samples_16().unwrap(), samples);
    }

    #[test]
    fn refuses_every_truncation_and_a_byte_too_many() {
        let mut file = reference(1, &[1, 2, 3]);
        for length in 0..file.len() {
            assert!(
                Wav::parse(&file[..length]).is_err(),
                "{length} bytes were accepted"
            );
        }
        file.push(0);
        assert!(Wav::parse(&file).is_err());
    }

    #[test]
    fn walks_over_an_odd_chunk() {
        let mut file = reference(1, &[5, 6]);
        file.splice(12..12, *b"note\x03\0\0\0abc\0");
        let size = (file.len() as u32 - 8).to_le_bytes();
        file[4..8].copy_from_slice(&size);
        let wav = Wav::parse(&file).unwrap();
        assert_eq!(wav.chunk(*b"note"), Some(b"abc".as_slice()));
        assert_eq!(wav.samples_16().unwrap(), [5, 6]);
    }
}
