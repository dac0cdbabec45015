//! Samples as cards give them and as the spool keeps them.
//!
//! What lives here: the mapping of a card's [`Format`] to the spool's [`Encoding`], and [`Picker`],
//! which takes one line's channels out of a period and measures them in the same pass. Nothing is
//! ever converted: `S24_LE` loses its padding byte, everything else goes through byte for byte.
//! What does not: what a level means (`level`), where periods come from (`source`). `line` calls it.

use crate::level::Sums;
use tsuwaroku_config::Format;
use tsuwaroku_spool::record::Encoding;

/// How a card's samples are kept in the spool.
pub const fn encoding(format: Format) -> Encoding {
    match format {
        Format::S16_LE => Encoding::S16,
        Format::S24_3LE | Format::S24_LE => Encoding::S24,
        Format::S32_LE => Encoding::S32,
        Format::MU_LAW => Encoding::MuLaw,
        Format::A_LAW => Encoding::ALaw,
    }
}

/// Bytes of one sample in the card's memory.
pub const fn stored_bytes(format: Format) -> usize {
    match format {
        Format::S16_LE => 2,
        Format::S24_3LE => 3,
        Format::S24_LE | Format::S32_LE => 4,
        Format::MU_LAW | Format::A_LAW => 1,
    }
}

/// How the samples of a period lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// The card's sample format.
    pub format: Format,
    /// All channels of the card, also those of no line.
    pub channels: usize,
    /// `None`: interleaved. `Some(frames)`: one plane a channel, each with room for so many frames.
    pub plane: Option<usize>,
}

impl Layout {
    /// Bytes of a buffer with room for `frames` frames of every channel.
    pub const fn bytes(&self, frames: usize) -> usize {
        let frames = match self.plane {
            None => frames,
            Some(plane) => plane,
        };
        frames * self.channels * stored_bytes(self.format)
    }
}

/// Takes the channels of one line out of periods of one layout.
#[derive(Debug, Clone)]
pub struct Picker {
    layout: Layout,
    /// The line's channels in the order of the recording, counted from 0.
    channels: Vec<u16>,
}

impl Picker {
    /// A picker of `channels` (counted from 1, each at most `layout.channels`).
    pub fn new(layout: Layout, channels: &[u16]) -> Self {
        let channels = channels.iter().map(|channel| channel - 1).collect();
        Self { layout, channels }
    }

    /// Fills `kept` with whole frames of `period`, number `from` and those behind it: interleaved
    /// samples of the line's channels in the spool's encoding. Adds every second one to `sums`,
    /// which has one for each of the channels.
    pub fn pick(&self, period: &[u8], from: usize, kept: &mut [u8], sums: &mut [Sums]) {
        match self.layout.format {
            Format::S16_LE => self.copy::<2, 2>(period, from, kept, sums, s16),
            Format::S24_3LE => self.copy::<3, 3>(period, from, kept, sums, s24),
            Format::S24_LE => {
                self.copy::<4, 3>(period, from, kept, sums, |[a, b, c, _]| s24([a, b, c]));
            }
            Format::S32_LE => {
                self.copy::<4, 4>(period, from, kept, sums, |[_, b, c, d]| s24([b, c, d]));
            }
            Format::MU_LAW => self.copy::<1, 1>(period, from, kept, sums, |[a]| g711(&MU_LAW, a)),
            Format::A_LAW => self.copy::<1, 1>(period, from, kept, sums, |[a]| g711(&A_LAW, a)),
        }
    }

    /// The samples, `STORED` bytes in the card's memory of which the first `KEPT` are kept; compiled
    /// for each format.
    fn copy<const STORED: usize, const KEPT: usize>(
        &self,
        period: &[u8],
        from: usize,
        kept: &mut [u8],
        sums: &mut [Sums],
        value: impl Fn([u8; STORED]) -> i32,
    ) {
        let (samples, _) = period.as_chunks::<STORED>();
        let (kept, _) = kept.as_chunks_mut::<KEPT>();
        let lanes = self.channels.len();
        let measured = (kept.len() / lanes).div_ceil(2);
        for (lane, (channel, sums)) in self.channels.iter().zip(sums).enumerate() {
            let (first, step) = self.place(*channel, from);
            let from = &samples[first..];
            let (sum, squares) = if lanes == 1 {
                copy_alone(from, step, kept, &value)
            } else {
                let places = kept.iter_mut().skip(lane).step_by(lanes);
                copy_to(from.iter().step_by(step.into()), places, &value)
            };
            sums.add(measured, sum, squares);
        }
    }

    /// The place of the sample of `channel` in `frame`, and the way to its next, in samples.
    fn place(&self, channel: u16, frame: usize) -> (usize, u16) {
        let channels = self.layout.channels;
        match self.layout.plane {
            None => (frame * channels + usize::from(channel), channels as u16),
            Some(plane) => (usize::from(channel) * plane + frame, 1),
        }
    }
}

/// Copies one sample of `samples` to each place in `kept`. Measures the first of each pair (only a
/// tone of half the rate would escape): gives the sum of the values, and that of their squares.
fn copy_to<'a, const STORED: usize, const KEPT: usize>(
    samples: impl Iterator<Item = &'a [u8; STORED]>,
    kept: impl Iterator<Item = &'a mut [u8; KEPT]>,
    value: impl Fn([u8; STORED]) -> i32,
) -> (i64, u64) {
    let (mut sum, mut squares) = (0, 0);
    for (n, (kept, sample)) in kept.zip(samples).enumerate() {
        kept.copy_from_slice(&sample[..KEPT]);
        if n % 2 == 0 {
            let value = i64::from(value(*sample));
            sum += value;
            squares += (value * value) as u64;
        }
    }
    (sum, squares)
}

/// The same for samples that lie `step` apart, and nothing between the places: the hot path of the
/// daemon. Takes four frames at a time, writes them with one store or two, and checks the bounds once for
/// them: that this is enough, the compiler sees by the narrow types.
fn copy_alone<const STORED: usize, const KEPT: usize>(
    samples: &[[u8; STORED]],
    step: u16,
    kept: &mut [[u8; KEPT]],
    value: impl Fn([u8; STORED]) -> i32,
) -> (i64, u64) {
    let step = usize::from(step);
    let (mut sum, mut squares) = (0, 0);
    let mut next = 0_u32;
    let (fours, rest) = kept.as_chunks_mut::<4>();
    for four in fours {
        let at = next as usize;
        assert!(
            at + 3 * step < samples.len(),
            "the period is shorter than it says"
        );
        let [a, b, c, d] = [0, step, 2 * step, 3 * step].map(|way| &samples[at + way]);
        let together = [d, c, b, a].into_iter().fold(0_u128, |behind, sample| {
            let mut bytes = [0; 16];
            bytes[..KEPT].copy_from_slice(&sample[..KEPT]);
            behind << (8 * KEPT) | u128::from_le_bytes(bytes)
        });
        let four = four.as_flattened_mut();
        four.copy_from_slice(&together.to_le_bytes()[..four.len()]);
        let (first, second) = (i64::from(value(*a)), i64::from(value(*c)));
        sum += first + second;
        squares += (first * first + second * second) as u64;
        next += 4 * step as u32;
    }
    let left = samples.iter().skip(next as usize).step_by(step);
    let (sum_left, squares_left) = copy_to(left, rest.iter_mut(), value);
    (sum + sum_left, squares + squares_left)
}

/// Bits of full scale of the values that levels are measured on: 15, or 23 for the wide formats.
pub const fn full_scale_bits(format: Format) -> u32 {
    match format {
        Format::S16_LE | Format::MU_LAW | Format::A_LAW => 15,
        Format::S24_3LE | Format::S24_LE | Format::S32_LE => 23,
    }
}

/// A sample's value, on the scale of [`full_scale_bits`]; for measuring only.
fn s16(stored: [u8; 2]) -> i32 {
    i32::from(i16::from_le_bytes(stored))
}

fn s24([low, middle, high]: [u8; 3]) -> i32 {
    i32::from_le_bytes([0, low, middle, high]) >> 8
}

fn g711(table: &[i16; 256], code: u8) -> i32 {
    i32::from(table[usize::from(code)])
}

/// µ-law decoded: ITU-T G.711 tables 2a and 2b on a 16-bit scale (14-bit values times 4).
static MU_LAW: [i16; 256] = {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = mu_law(code as u8);
        code += 1;
    }
    table
};

/// A-law decoded: ITU-T G.711 tables 1a and 1b on a 16-bit scale (13-bit values times 8).
static A_LAW: [i16; 256] = {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = a_law(code as u8);
        code += 1;
    }
    table
};

const fn mu_law(code: u8) -> i16 {
    let code = !code;
    let magnitude = ((((code & 0x0F) as i16) << 3) + 0x84) << ((code & 0x70) >> 4);
    if code & 0x80 == 0 {
        magnitude - 0x84
    } else {
        0x84 - magnitude
    }
}

const fn a_law(code: u8) -> i16 {
    let code = code ^ 0x55;
    let segment = (code & 0x70) >> 4;
    let step = ((code & 0x0F) as i16) << 4;
    let magnitude = if segment == 0 {
        step + 8
    } else {
        (step + 0x108) << (segment - 1)
    };
    if code & 0x80 == 0 {
        -magnitude
    } else {
        magnitude
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn picked(layout: Layout, channels: &[u16], period: &[u8], frames: usize) -> Vec<u8> {
        let mut kept = vec![0; frames * channels.len() * encoding(layout.format).bytes()];
        let mut sums = vec![Sums::default(); channels.len()];
        Picker::new(layout, channels).pick(period, 0, &mut kept, &mut sums);
        kept
    }

    #[test]
    fn a_line_gets_its_channels_in_its_own_order() {
        let layout = Layout {
            format: Format::S16_LE,
            channels: 3,
            plane: None,
        };
        let period = [1, 0, 2, 0, 3, 0, 11, 0, 12, 0, 13, 0];
        assert_eq!(
            picked(layout, &[3, 1], &period, 2),
            [3, 0, 1, 0, 13, 0, 11, 0]
        );
    }

    #[test]
    fn planes_have_room_beyond_the_frames_read() {
        let layout = Layout {
            format: Format::S16_LE,
            channels: 2,
            plane: Some(3),
        };
        let period = [1, 0, 2, 0, 99, 99, 11, 0, 12, 0, 99, 99];
        assert_eq!(picked(layout, &[2], &period, 2), [11, 0, 12, 0]);
    }

    #[test]
    fn s24_le_loses_only_its_padding() {
        let layout = Layout {
            format: Format::S24_LE,
            channels: 1,
            plane: None,
        };
        assert_eq!(
            picked(layout, &[1], &[1, 2, 0x83, 0xFF, 4, 5, 6, 0], 2),
            [1, 2, 0x83, 4, 5, 6]
        );
    }

    /// Values of G.711 (11/88): table 2a/2b (µ-law) and 1a/1b (A-law), decoder output on 16 bits.
    #[test]
    fn g711_decodes_as_the_recommendation_says() {
        for (code, value) in [
            (0xFF, 0),
            (0x7F, 0),
            (0x80, 32124),
            (0x00, -32124),
            (0xF0, 120),
        ] {
            assert_eq!(MU_LAW[code], value, "mu-law {code:#x}");
        }
        for (code, value) in [
            (0xD5, 8),
            (0x55, -8),
            (0xAA, 32256),
            (0x2A, -32256),
            (0xC5, 264),
        ] {
            assert_eq!(A_LAW[code], value, "A-law {code:#x}");
        }
    }

    #[test]
    fn every_format_measures_half_scale_alike() {
        for (format, half) in [
            (Format::S16_LE, vec![0x00, 0x40]),
            (Format::S24_3LE, vec![0, 0, 0x40]),
            (Format::S24_LE, vec![0, 0, 0x40, 0xFF]),
            (Format::S32_LE, vec![0, 0, 0, 0x40]),
        ] {
            let zero = vec![0; half.len()];
            let layout = Layout {
                format,
                channels: 1,
                plane: None,
            };
            // Of each pair the first is measured.
            let period = [half.clone(), zero.clone(), zero, half].concat();
            let mut sums = [Sums::default()];
            let mut kept = vec![0; 4 * encoding(format).bytes()];
            Picker::new(layout, &[1]).pick(&period, 0, &mut kept, &mut sums);
            // Values half and 0: the deviation from their mean is a quarter of full scale.
            let level = sums[0].level(full_scale_bits(format));
            assert!((level + 1204).abs() <= 3, "{format:?}: {level}");
        }
    }

    proptest! {
        /// Whatever the layout, frames come out as they are, and from the line's channels alone.
        #[test]
        fn nothing_is_changed_and_nothing_is_taken_from_another_channel(
            format in prop::sample::select(Format::ALL.to_vec()),
            channels in 1_usize..6,
            line in prop::collection::vec(any::<prop::sample::Index>(), 1..3),
            planar: bool,
            from in 0_usize..4,
            frames in 0_usize..20,
            seed: u64,
        ) {
            let layout = Layout { format, channels, plane: planar.then_some(30) };
            let mut state = seed | 1;
            let period: Vec<u8> = (0..layout.bytes(30)).map(|_| { state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1); (state >> 56) as u8 }).collect();
            let line: Vec<u16> = line.iter().map(|index| index.index(channels) as u16 + 1).collect();
            let (stored, kept) = (stored_bytes(format), encoding(format).bytes());
            let mut out = vec![7; frames * line.len() * kept];
            let mut sums = vec![Sums::default(); line.len()];
            Picker::new(layout, &line).pick(&period, from, &mut out, &mut sums);
            let mut expected = Vec::new();
            for frame in from..from + frames {
                for channel in &line {
                    let channel = usize::from(*channel) - 1;
                    let index = if planar { channel * 30 + frame } else { frame * channels + channel };
                    expected.extend_from_slice(&period[index * stored..][..kept]);
                }
            }
            prop_assert_eq!(out, expected);
        }
    }
}
