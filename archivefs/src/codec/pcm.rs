//! Bytes of PCM to samples of one channel, and back.

use super::sample::Sample;
use super::{Encoding, Shape, g711};

/// The sample at the front of `bytes`: linear as it is, G.711 as the value it stands for.
#[inline(always)]
fn read(encoding: Encoding, bytes: &[u8]) -> i32 {
    match encoding {
        Encoding::S16 => i32::from(i16::from_le_bytes([bytes[0], bytes[1]])),
        Encoding::S24 => i32::from_le_bytes([0, bytes[0], bytes[1], bytes[2]]) >> 8,
        Encoding::S32 => i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
        Encoding::MuLaw => i32::from(g711::mu_law_distinct(bytes[0])),
        Encoding::ALaw => i32::from(g711::a_law(bytes[0])),
    }
}

/// Calls `each` with every sample of `pcm`, whichever its channel.
pub(super) fn for_each(encoding: Encoding, pcm: &[u8], mut each: impl FnMut(i32)) {
    for bytes in pcm.chunks_exact(encoding.bytes()) {
        each(read(encoding, bytes));
    }
}

/// Appends the samples of `channel` in the sample frames `pcm`, shifted right by `shift`.
pub(super) fn gather<S: Sample>(
    layout: Shape,
    pcm: &[u8],
    channel: usize,
    shift: u32,
    samples: &mut Vec<S>,
) {
    let at = channel * layout.encoding.bytes();
    let frames = pcm.chunks_exact(layout.frame_bytes());
    samples.extend(frames.map(|frame| S::truncated(read(layout.encoding, &frame[at..]) >> shift)));
}

/// Writes `samples`, shifted left by `shift`, as `channel` of the sample frames `pcm`.
pub(super) fn scatter<S: Sample>(
    layout: Shape,
    samples: &[S],
    channel: usize,
    shift: u32,
    pcm: &mut [u8],
) {
    let at = channel * layout.encoding.bytes();
    if layout.channels == 1 && layout.encoding == Encoding::S16 {
        // The usual case by far, written so that it becomes a copy.
        for (bytes, x) in pcm.as_chunks_mut::<2>().0.iter_mut().zip(samples) {
            *bytes = (x.widened() as i16).to_le_bytes();
        }
        return;
    }
    for (frame, x) in pcm.chunks_exact_mut(layout.frame_bytes()).zip(samples) {
        write(layout.encoding, x.widened(), shift, &mut frame[at..]);
    }
}

/// Writes a sample, shifted left by `shift`, to the front of `bytes`: the inverse of [`read`].
#[inline(always)]
fn write(encoding: Encoding, sample: i32, shift: u32, bytes: &mut [u8]) {
    let linear = (sample << shift).to_le_bytes();
    match encoding {
        Encoding::S16 => bytes[..2].copy_from_slice(&linear[..2]),
        Encoding::S24 => bytes[..3].copy_from_slice(&linear[..3]),
        Encoding::S32 => bytes[..4].copy_from_slice(&linear),
        Encoding::MuLaw => bytes[0] = g711::mu_law_byte(sample as i16),
        Encoding::ALaw => bytes[0] = g711::a_law_byte(sample as i16),
    }
}
