//! Lossless compression of telephone audio: frames of interleaved PCM to bytes and back.
//!
//! A *frame* here is a stretch of a recording (4 s by default) that is coded without looking at any
//! other, so that a reader can begin anywhere. What the caller knows already is not stored: the
//! layout of the samples, the number of sample frames, the length and the digest of the coded
//! bytes. The bitstream is specified in
//! tsuwaroku-store(5), section CODEC.
//!
//! ```text
//! encode   pcm ─► group ─► analysis ─► predict ─► classes / g711 ─► streams ─► zstd
//! decode   pcm ◄─ group ◄────────────── predict ◄─ classes / g711 ◄─ streams ◄─ zstd
//! ```
//!
//! * `frame`: what the two efforts try, and the choice between prediction and plain zstd.
//! * `pcm`: bytes of a WAV to samples and back.
//! * `group`: one or two channels coded together: geometry and header.
//! * `encode`, `decode`: the two directions of a group.
//! * `analysis`: which predictor suits a block; the only place with floating point; encoder only.
//! * `parcor`, `predict`: coefficients from their stored form, prediction in integers.
//! * `narrow`: prediction in 16 bits, two tracks at once. `vector`: the sums that are worth intrinsics.
//! * `classes`: how a linear residual becomes symbols. `g711`, `ranks`: the same for G.711 values.
//! * `sums`: the same for sums of two G.711 values.
//! * `relabel`: the encoder's choice among equally valid classes.
//! * `stereo`: what one channel says about the other.
//! * `streams`: the symbols' order in the frame. `entropy`: the only file that names zstd.
//!
//! Not here: encryption, digests, the index of frames (the store), WAV headers (the file system).

#![allow(
    clippy::inline_always,
    reason = "the loops over samples lose half their speed where one of these is called"
)]

mod adaptive;
mod analysis;
mod block;
mod classes;
mod decode;
mod encode;
mod entropy;
mod frame;
mod g711;
mod group;
mod mixing;
mod narrow;
mod parcor;
mod pcm;
mod predict;
mod range;
mod ranks;
mod relabel;
mod sample;
mod stereo;
mod streams;
mod sums;
#[cfg(test)]
mod tests;
mod vector;

pub use frame::{CodecError, Decoder, Effort, Encoder};

pub use tsuwaroku_spool::record::Encoding;

/// The shape of the PCM bytes: interleaved samples of `channels` channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Samples of one sample frame.
    pub channels: u16,
    /// How each of them is written.
    pub encoding: Encoding,
}

impl Shape {
    /// Bytes of one sample frame.
    pub const fn frame_bytes(self) -> usize {
        self.channels as usize * self.encoding.bytes()
    }
}

impl From<crate::call::Layout> for Shape {
    fn from(layout: crate::call::Layout) -> Self {
        Self {
            channels: layout.channels,
            encoding: layout.encoding,
        }
    }
}
