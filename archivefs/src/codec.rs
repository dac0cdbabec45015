//! Audio ↔ compressed bytes, block by block. A block is a few seconds of audio that can be decoded
//! without any other. Pure: no files, no clocks.

use crate::call::Layout;
use thiserror::Error;

/// Where zstd's size and speed meet for samples; higher levels gain less than 2 %.
const LEVEL: i32 = 3;

/// Compresses blocks; keeps its working memory between them.
pub struct Encoder(zstd::bulk::Compressor<'static>);

/// Decompresses blocks; keeps its working memory between them.
pub struct Decoder(zstd::bulk::Decompressor<'static>);

/// A block that does not decode.
#[derive(Debug, Error)]
pub enum CodecError {
    /// zstd refuses the bytes.
    #[error("the compressed audio is damaged: {0}")]
    Damaged(#[from] std::io::Error),
    /// It decodes to something of another length.
    #[error("a block decodes to {found} bytes instead of {expected}")]
    Length {
        /// Bytes that the index promises.
        expected: usize,
        /// Bytes that came out.
        found: usize,
    },
}

impl Encoder {
    /// An encoder with its working memory.
    pub fn new(_: Layout) -> Result<Self, CodecError> {
        Ok(Self(zstd::bulk::Compressor::new(LEVEL)?))
    }

    /// Compresses one block of samples as they stand in the WAV file.
    pub fn encode(&mut self, samples: &[u8]) -> Result<Vec<u8>, CodecError> {
        Ok(self.0.compress(samples)?)
    }
}

impl Decoder {
    /// A decoder with its working memory.
    pub fn new() -> Result<Self, CodecError> {
        Ok(Self(zstd::bulk::Decompressor::new()?))
    }

    /// Decompresses one block that holds `expected` bytes of samples. Needs no more memory than
    /// that, whatever the bytes of `block` say.
    pub fn decode(&mut self, _: Layout, block: &[u8], expected: usize) -> Result<Vec<u8>, CodecError> {
        let mut samples = Vec::with_capacity(expected);
        let found = self.0.decompress_to_buffer(block, &mut samples)?;
        if found == expected { Ok(samples) } else { Err(CodecError::Length { expected, found }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tsuwaroku_spool::record::Encoding;

    const LAYOUT: Layout = Layout { rate: 8000, channels: 1, encoding: Encoding::MuLaw };

    proptest! {
        #[test]
        fn what_goes_in_comes_out(samples: Vec<u8>) {
            let block = Encoder::new(LAYOUT).unwrap().encode(&samples).unwrap();
            let back = Decoder::new().unwrap().decode(LAYOUT, &block, samples.len()).unwrap();
            prop_assert_eq!(back, samples);
        }

        #[test]
        fn a_wrong_length_is_refused(samples in proptest::collection::vec(any::<u8>(), 1..99)) {
            let block = Encoder::new(LAYOUT).unwrap().encode(&samples).unwrap();
            let mut decoder = Decoder::new().unwrap();
            prop_assert!(decoder.decode(LAYOUT, &block, samples.len() - 1).is_err());
            prop_assert!(decoder.decode(LAYOUT, &block, samples.len() + 1).is_err());
        }

        #[test]
        fn any_bytes_are_survived(block: Vec<u8>, expected in 0_usize..9999) {
            let _ = Decoder::new().unwrap().decode(LAYOUT, &block, expected);
        }
    }
}
