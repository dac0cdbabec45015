//! Audio in which every position can be recognised: noise, loud where somebody 'talks' and quiet
//! where nobody does. Stands for telephone lines in the kernel rig, where samples are compared and
//! nobody listens; `card` has speech. Called by the kernel test and the capture benchmark.

use crate::noise::scramble;
use std::ops::Range;

/// What is played on one channel: noise by itself, with talk in these stretches, frames.
pub type Talk = Vec<Range<u64>>;

/// Frames of one beat of talk, 100 ms at 8 kHz. Every third beat is quiet, as speech has gaps
/// between its syllables; a steady loud noise is not talk, and a detector may say so.
const BEAT: u64 = 800;

/// The sample of `channel` (counted from 1) at `frame` of the audio named by `seed`.
/// Loud is about −17 dBFS rms, quiet about −60 dBFS.
pub fn sample(seed: u64, channel: u16, frame: u64, talk: &Talk) -> i16 {
    let bits = scramble(seed << 56 ^ u64::from(channel) << 40 ^ frame);
    let loud = talk.iter().any(|stretch| stretch.contains(&frame)) && frame / BEAT % 3 != 2;
    let width = if loud { 16_384 } else { 114 };
    ((bits >> 33) % width) as i16 - (width / 2) as i16
}

/// The samples of one channel, `frames` of them.
pub fn channel(seed: u64, channel: u16, frames: u64, talk: &Talk) -> Vec<i16> {
    (0..frames)
        .map(|frame| sample(seed, channel, frame, talk))
        .collect()
}

/// Interleaves channels of equal length into the bytes of an `S16_LE` raw file.
pub fn interleave(channels: &[Vec<i16>]) -> Vec<u8> {
    let frames = channels.first().map_or(0, Vec::len);
    (0..frames)
        .flat_map(|frame| {
            channels
                .iter()
                .flat_map(move |samples| samples[frame].to_le_bytes())
        })
        .collect()
}
