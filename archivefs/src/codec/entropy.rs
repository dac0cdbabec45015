//! The one file that names zstd.
//!
//! Frames of zstd are written without their magic number, size, checksum and dictionary id: the
//! container knows all of it. For residuals level 1 is not a compromise: higher levels look for
//! repetitions that residuals do not have, and come out larger. Predictors do repeat.

use zstd::zstd_safe::zstd_sys::ZSTD_EndDirective as End;
use zstd::zstd_safe::{
    CCtx, CParameter, DCtx, DParameter, FrameFormat, InBuffer, OutBuffer, ParamSwitch,
    compress_bound,
};

use super::frame::CodecError;

/// The level at which the streams of a group are compressed.
const STREAMS_LEVEL: i32 = 1;
/// The level at which streams are compressed that hold predictors and no residuals.
const HEADERS_LEVEL: i32 = 16;
/// How far back such streams look for repetitions, as a power of two: tables of the level's own size
/// would take tens of MiB, and the predictors of 16 s take 10 KiB.
const HEADERS_WINDOW_LOG: u32 = 15;
/// The level at which PCM is compressed that prediction does not help.
const PLAIN_LEVEL: i32 = 3;
/// Bytes between the places at which a repetition is looked for.
const STRIDE: u32 = 4096;
/// Bytes of a block's and a frame's headers, with room to spare.
const HEADERS: usize = 64;

/// What the streams of a group hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Symbols, beside the headers of blocks.
    Symbols,
    /// The headers of blocks alone.
    Headers,
}

/// Compresses; keeps its tables between frames.
pub(super) struct Compressor {
    symbols: CCtx<'static>,
    headers: CCtx<'static>,
    plain: CCtx<'static>,
    out: Vec<u8>,
}

impl Compressor {
    /// Allocates what compression needs, about 1 MiB.
    pub(super) fn new() -> Self {
        Self {
            symbols: literals_only(context(STREAMS_LEVEL)),
            headers: near_only(context(HEADERS_LEVEL)),
            plain: context(PLAIN_LEVEL),
            out: Vec::new(),
        }
    }

    /// The streams one after the other as one frame, each with a block and so with a table of its own.
    pub(super) fn streams(&mut self, content: Content, streams: &[Vec<u8>]) -> &[u8] {
        let compressor = match content {
            Content::Symbols => &mut self.symbols,
            Content::Headers => &mut self.headers,
        };
        let total: usize = streams.iter().map(Vec::len).sum();
        self.out
            .resize(compress_bound(total) + HEADERS * (streams.len() + 1), 0);
        let last = streams.iter().rposition(|s| !s.is_empty()).unwrap_or(0);
        let mut at = 0;
        for (n, stream) in streams[..=last].iter().enumerate() {
            let end = if n == last {
                End::ZSTD_e_end
            } else {
                End::ZSTD_e_flush
            };
            if n == last || !stream.is_empty() {
                at += write(compressor, stream, &mut self.out[at..], end);
            }
        }
        &self.out[..at]
    }

    /// `pcm` as one frame.
    pub(super) fn plain(&mut self, pcm: &[u8]) -> &[u8] {
        self.out.resize(compress_bound(pcm.len()) + HEADERS, 0);
        let size = write(&mut self.plain, pcm, &mut self.out, End::ZSTD_e_end);
        &self.out[..size]
    }
}

/// A context for frames that say nothing of themselves.
fn context(level: i32) -> CCtx<'static> {
    let mut context = CCtx::create();
    let settings = [
        CParameter::Format(FrameFormat::Magicless),
        CParameter::CompressionLevel(level),
        CParameter::ContentSizeFlag(false),
        CParameter::ChecksumFlag(false),
        CParameter::DictIdFlag(false),
        CParameter::LiteralCompressionMode(ParamSwitch::Enable),
    ];
    for setting in settings {
        context
            .set_parameter(setting)
            .expect("zstd knows its own parameters");
    }
    context
}

/// The context, made to hardly look for repetitions: chance ones cost more than the literals that they
/// replace, up to a tenth of the stream where symbols take two bits.
fn literals_only(mut context: CCtx<'static>) -> CCtx<'static> {
    context
        .set_parameter(CParameter::TargetLength(STRIDE))
        .expect("zstd knows its own parameters");
    context
}

/// The context, made to look for repetitions where the headers of a group stand, and no further.
fn near_only(mut context: CCtx<'static>) -> CCtx<'static> {
    context
        .set_parameter(CParameter::WindowLog(HEADERS_WINDOW_LOG))
        .expect("zstd knows its own parameters");
    context
}

/// Feeds `input` to the frame being written and returns the bytes that came out.
fn write(context: &mut CCtx, input: &[u8], out: &mut [u8], end: End) -> usize {
    let mut input = InBuffer::around(input);
    let mut out = OutBuffer::around(out);
    // More than one round is needed only when `out` is full, and it was made large enough.
    while context
        .compress_stream2(&mut out, &mut input, end)
        .expect("compression into a large enough buffer")
        > 0
    {}
    out.pos()
}

/// Decompresses; keeps its tables between frames.
pub(super) struct Decompressor(DCtx<'static>);

impl Decompressor {
    /// Allocates what decompression needs, about 160 KiB.
    pub(super) fn new() -> Self {
        let mut context = DCtx::create();
        context
            .set_parameter(DParameter::Format(FrameFormat::Magicless))
            .expect("zstd knows its own parameters");
        Self(context)
    }

    /// Decompresses one frame that fills `out` exactly.
    pub(super) fn exactly(&mut self, packed: &[u8], out: &mut [u8]) -> Result<(), CodecError> {
        match self.0.decompress(out, packed) {
            Ok(size) if size == out.len() => Ok(()),
            Ok(_) => Err(CodecError::Corrupt("a zstd frame of another length")),
            Err(_) => Err(CodecError::Corrupt("not a zstd frame")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_repeat_are_found_and_come_back() {
        let header: Vec<u8> = (0..24u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        let streams = [header.repeat(3), header.repeat(50)];
        let mut compressor = Compressor::new();
        let symbols = compressor.streams(Content::Symbols, &streams).len();
        let packed = compressor.streams(Content::Headers, &streams);
        assert!(
            packed.len() * 4 < symbols,
            "{} bytes, as symbols {symbols}",
            packed.len()
        );
        let mut back = vec![0; 53 * 24];
        Decompressor::new().exactly(packed, &mut back).unwrap();
        assert_eq!(back, streams.concat());
    }
}
