//! One or two channels that are coded together: how they are cut, and what stands in front of them.
//!
//! A group always has two *tracks*, so that there are two independent things to do at any time: the
//! two channels of a pair, or the first and the second half of a single channel. A track is cut
//! into *blocks*, each with its own predictor, and these into *parts*, each with its own class.

use std::ops::Range;

use super::frame::CodecError;

/// Samples of a part, before the exponent.
const PART: usize = 80;
/// Parts of a block.
pub(super) const PARTS: usize = 4;
/// The largest exponent.
pub(super) const MAX_EXPONENT: u32 = 2;
/// A single channel of fewer blocks is not halved: its second track is empty.
const HALVED_FROM: usize = 8;

const SHIFT: u8 = 0b0001_1111;
const WIDE: u8 = 0b0010_0000;
const PAIRED: u8 = 0b0100_0000;
const ADAPTIVE: u8 = 0b1000_0000;

/// What stands in front of a group's streams: two bytes, or three where channels are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Low bits that are zero in every sample, and dropped.
    pub shift: u32,
    /// Whether the samples need 32 bits.
    pub wide: bool,
    /// Whether residuals are coded one by one instead of as streams.
    pub adaptive: bool,
    /// Blocks and parts are longer by two to the power of this.
    pub exponent: u32,
    /// The delay of the first channel in the second, samples, where blocks may refer to it.
    pub delay: Option<i8>,
}

impl Header {
    /// Appends the header to `out`.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let wide = if self.wide { WIDE } else { 0 };
        let paired = if self.delay.is_some() { PAIRED } else { 0 };
        let adaptive = if self.adaptive { ADAPTIVE } else { 0 };
        out.push((self.shift as u8 & SHIFT) | wide | paired | adaptive);
        out.push(self.exponent as u8);
        out.extend(self.delay.map(|d| d as u8));
    }

    /// Takes a header from the front of `data`.
    pub(super) fn take(data: &mut &[u8]) -> Result<Self, CodecError> {
        let mut byte = || data.split_off_first().copied().ok_or(CodecError::Truncated);
        let (flags, exponent) = (byte()?, byte()?);
        if u32::from(exponent) > MAX_EXPONENT {
            return Err(CodecError::Corrupt("an unknown length of blocks"));
        }
        let delay = if flags & PAIRED == 0 {
            None
        } else {
            Some(byte()? as i8)
        };
        Ok(Self {
            shift: u32::from(flags & SHIFT),
            wide: flags & WIDE != 0,
            adaptive: flags & ADAPTIVE != 0,
            exponent: u32::from(exponent),
            delay,
        })
    }

    /// Samples of a part.
    pub(super) fn part(&self) -> usize {
        PART << self.exponent
    }

    /// Samples of a block.
    pub(super) fn block(&self) -> usize {
        self.part() * PARTS
    }
}

/// Some sample frames of one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Track {
    /// The channel, counted from 0 in the layout.
    pub channel: usize,
    /// The sample frames.
    pub frames: Range<usize>,
}

/// The two tracks of the group that begins with channel `first`, of `channels` (1 or 2) channels.
pub(super) fn tracks(first: usize, channels: usize, frames: usize, block: usize) -> [Track; 2] {
    if channels == 2 {
        return [
            Track {
                channel: first,
                frames: 0..frames,
            },
            Track {
                channel: first + 1,
                frames: 0..frames,
            },
        ];
    }
    let blocks = frames.div_ceil(block);
    let half = if blocks < HALVED_FROM {
        frames
    } else {
        blocks.div_ceil(2) * block
    };
    [
        Track {
            channel: first,
            frames: 0..half,
        },
        Track {
            channel: first,
            frames: half..frames,
        },
    ]
}

/// The most bytes that the streams of `frames` samples in each of `channels` can take: a symbol, low
/// bits and an escape of four bytes each for a sample, and all that a block can have.
pub(super) fn most_bytes(channels: usize, frames: usize) -> usize {
    const SAMPLE: usize = 1 + 4 + 4;
    const BLOCK: usize = 64;
    channels * (frames * SAMPLE + (frames.div_ceil(PART) + 2) * BLOCK)
}
