//! Samples that went through G.711, as ranks in its set of values.
//!
//! Nearly every telephone line is companded somewhere on its way, so that its samples take at most
//! 256 values. A prediction is mapped to the nearest of them, and what is coded is how many values
//! lie between it and the sample, counted towards the side on which the prediction fell. How far
//! that usually is depends on the size of the residual (the part's class) against the distance
//! between neighbours here: together they choose the stream of each symbol.

use std::sync::LazyLock;

use super::Encoding;
use super::classes::{CLASSES, half_octave};
use super::ranks::Part;
use super::streams::{self, Lane};

/// Streams that rank symbols go to.
pub(super) const STREAMS: usize = 10;
/// Half octaves of the relation of residual to step that share a stream.
const WIDTH: i32 = 3;
/// Added to the relation, so that the smallest one that is told apart is 0.
const OFFSET: i32 = 18;

/// One set of values, as the linear samples (16 bits) that they stand for.
pub(super) struct Set {
    /// The values in ascending order; the last is repeated to fill the table.
    pub values: [i16; 256],
    /// By the sample plus 32768: the rank of the nearest value, the lower of two, and above it 255
    /// if the sample is greater than that value.
    nearest: Box<[u16; 65_536]>,
    /// The number of a symbol's stream: by the part's class, then by the rank of the prediction.
    streams: Box<[[u8; 256]; CLASSES]>,
}

/// The values of µ-law (ITU-T G.711 table 2) scaled to 16 bits: 255, since its two zeros are one.
static MU_LAW: LazyLock<Set> = LazyLock::new(|| Set::new((0..=255).map(mu_law).collect()));
/// The values of A-law (ITU-T G.711 table 1) scaled to 16 bits: 256.
static A_LAW: LazyLock<Set> = LazyLock::new(|| Set::new((0..=255).map(a_law).collect()));
/// µ-law bytes as samples of their own: negative zero (7Fh) is −1, so that all 256 differ.
static MU_LAW_BYTES: LazyLock<Set> =
    LazyLock::new(|| Set::new((0..=255).map(mu_law_distinct).collect()));

/// The two laws of ITU-T G.711.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Law {
    /// µ-law.
    Mu,
    /// A-law.
    A,
}

impl Law {
    /// The set of values that samples of this law take, where the PCM is written in `encoding`.
    ///
    /// µ-law bytes have two zeros. Where only the positive one occurs they are as linear samples
    /// of µ-law; where both do, the set with both takes the place of A-law, which they cannot be.
    pub(super) fn set(self, encoding: Encoding) -> &'static Set {
        match (self, encoding) {
            (Self::Mu, _) => &MU_LAW,
            (Self::A, Encoding::MuLaw) => &MU_LAW_BYTES,
            (Self::A, _) => &A_LAW,
        }
    }
}

/// The 16-bit sample that the µ-law byte `code` stands for.
pub(super) fn mu_law(code: u8) -> i16 {
    let plain = i32::from(!code);
    let magnitude = ((((plain & 15) << 3) + 0x84) << (plain >> 4 & 7)) - 0x84;
    (if plain & 0x80 == 0 {
        magnitude
    } else {
        -magnitude
    }) as i16
}

/// [`mu_law`], but −1 for negative zero.
pub(super) fn mu_law_distinct(code: u8) -> i16 {
    if code == 0x7F { -1 } else { mu_law(code) }
}

/// The 16-bit sample that the A-law byte `code` stands for.
pub(super) fn a_law(code: u8) -> i16 {
    let plain = i32::from(code ^ 0x55);
    let mantissa = (plain & 15) << 4;
    let magnitude = match plain >> 4 & 7 {
        0 => mantissa + 8,
        segment => (mantissa + 0x108) << (segment - 1),
    };
    (if plain & 0x80 == 0 {
        -magnitude
    } else {
        magnitude
    }) as i16
}

impl Set {
    fn new(mut sorted: Vec<i16>) -> Self {
        sorted.sort_unstable();
        sorted.dedup();
        let values = std::array::from_fn(|i| sorted[i.min(sorted.len() - 1)]);
        let steps: Vec<u8> = (0..sorted.len())
            .map(|rank| step_class(&sorted, rank))
            .collect();
        let stream = |class: usize, rank: usize| {
            let relation = class as i32 + OFFSET - i32::from(steps[rank.min(steps.len() - 1)]);
            streams::RANKS as u8 + (relation / WIDTH).clamp(0, STREAMS as i32 - 1) as u8
        };
        Self {
            values,
            nearest: nearest_table(&sorted),
            streams: Box::new(std::array::from_fn(|class| {
                std::array::from_fn(|rank| stream(class, rank))
            })),
        }
    }

    /// The rank of the value nearest to `sample`.
    #[inline(always)]
    pub(super) fn nearest(&self, sample: i16) -> u8 {
        self.nearest_and_side(sample).0
    }

    /// The rank of the value nearest to `sample`, and 255 if `sample` is greater than it, else 0.
    #[inline(always)]
    fn nearest_and_side(&self, sample: i16) -> (u8, u8) {
        let [rank, side] = self.nearest[usize::from(sample as u16 ^ 0x8000)].to_le_bytes();
        (rank, side)
    }

    /// Whether each of the samples is a value of the set.
    pub(super) fn holds(&self, samples: &[i16]) -> bool {
        samples
            .iter()
            .all(|x| self.values[usize::from(self.nearest(*x))] == *x)
    }

    /// The stream of a symbol in a part of `class`; `from` is the rank nearest to the prediction.
    #[inline(always)]
    pub(super) fn stream(&self, class: u8, from: u8) -> usize {
        usize::from(self.streams[usize::from(class)][usize::from(from)])
    }

    /// The symbol that says `sample`, a value of the set, where `expected` was predicted; and the
    /// rank nearest to the prediction.
    #[inline(always)]
    pub(super) fn symbol(&self, sample: i16, expected: i16) -> (u8, u8) {
        let (from, side) = self.nearest_and_side(expected);
        let distance = self.nearest(sample).wrapping_sub(from);
        let towards = (distance ^ side).wrapping_sub(side);
        let symbol = (towards << 1) ^ ((towards as i8 >> 7) as u8);
        (symbol, from)
    }

    /// How many values lie between `sample` and the one nearest to `expected`.
    pub(super) fn distance(&self, sample: i16, expected: i16) -> u64 {
        u64::from(self.nearest(sample).abs_diff(self.nearest(expected)))
    }

    /// The signed distance of `sample`'s rank from the one nearest to `expected`, towards the side
    /// on which `expected` falls; and `sample` from it again.
    pub(super) fn towards(&self, sample: i16, expected: i16) -> i8 {
        let (from, side) = self.nearest_and_side(expected);
        (self.nearest(sample).wrapping_sub(from) ^ side).wrapping_sub(side) as i8
    }

    /// The inverse of [`Set::towards`].
    pub(super) fn reached(&self, towards: i8, expected: i16) -> i16 {
        let (from, side) = self.nearest_and_side(expected);
        let distance = (towards as u8 ^ side).wrapping_sub(side);
        self.values[usize::from(from.wrapping_add(distance))]
    }

    /// The distance between the two values that `expected` lies between, and which eighth of it
    /// lies between `expected` and the nearer one: 0 to 3.
    pub(super) fn place(&self, expected: i16) -> (u64, usize) {
        let (rank, side) = self.nearest_and_side(expected);
        let here = i32::from(self.values[usize::from(rank)]);
        let next = if side > 0 {
            rank.saturating_add(1)
        } else {
            rank.saturating_sub(1)
        };
        let step = (i32::from(self.values[usize::from(next)]) - here)
            .abs()
            .max(1);
        let place = (i32::from(expected) - here).abs() * 8 / step;
        (step as u64, place.min(3) as usize)
    }

    /// What turns the symbols of a part of `class` back into samples.
    pub(super) fn tables(&self, class: u8) -> Tables<'_> {
        let streams = &self.streams[usize::from(class)];
        Tables {
            values: &self.values,
            nearest: &self.nearest,
            streams,
        }
    }
}

/// The tables of a set and of one class.
#[derive(Clone, Copy)]
pub(super) struct Tables<'a> {
    values: &'a [i16; 256],
    nearest: &'a [u16; 65_536],
    streams: &'a [u8; 256],
}

impl Part for Tables<'_> {
    /// The sample that the next symbol of `lane` says, the inverse of [`Set::symbol`].
    #[inline(always)]
    fn sample(&self, _: usize, expected: i16, bytes: &[u8], lane: &mut Lane) -> i16 {
        let [from, side] = self.nearest[usize::from(expected as u16 ^ 0x8000)].to_le_bytes();
        let towards = lane.next(usize::from(self.streams[usize::from(from)]), bytes);
        let distance = (towards ^ side).wrapping_sub(side);
        self.values[usize::from(from.wrapping_add(distance))]
    }
}

/// Turns rank symbols into the signed distances that [`Tables`] read, all at once.
pub(super) fn distances(symbols: &mut [u8]) {
    for symbol in symbols {
        *symbol = (*symbol >> 1) ^ (*symbol & 1).wrapping_neg();
    }
}

/// The distance to the neighbours of a rank on average, in half octaves of a sixteenth.
fn step_class(sorted: &[i16], rank: usize) -> u8 {
    let gap = |low: usize| i32::from(sorted[low + 1]) - i32::from(sorted[low]);
    let last = sorted.len() - 1;
    let below = gap(rank.saturating_sub(1));
    let above = gap(rank.min(last - 1));
    half_octave((i32::midpoint(below, above) * 16) as u64)
}

/// The table [`Set::nearest`].
fn nearest_table(sorted: &[i16]) -> Box<[u16; 65_536]> {
    let mut rank = 0;
    let entry = |sample: i32| {
        let distance = |rank: usize| (i32::from(sorted[rank]) - sample).abs();
        while rank + 1 < sorted.len() && distance(rank + 1) < distance(rank) {
            rank += 1;
        }
        let side = if sample > i32::from(sorted[rank]) {
            255
        } else {
            0
        };
        u16::from_le_bytes([rank as u8, side])
    };
    let table: Vec<u16> = (i32::from(i16::MIN)..=i32::from(i16::MAX))
        .map(entry)
        .collect();
    table.try_into().expect("a sample has 65536 values")
}

/// The µ-law byte of a sample as [`mu_law_distinct`] gives it; of any other, that of the nearest.
pub(super) fn mu_law_byte(sample: i16) -> u8 {
    static CODES: LazyLock<[u8; 256]> = LazyLock::new(|| codes(&MU_LAW_BYTES, mu_law_distinct));
    CODES[usize::from(MU_LAW_BYTES.nearest(sample))]
}

/// The A-law byte of a sample as [`a_law`] gives it; of any other, that of the nearest.
pub(super) fn a_law_byte(sample: i16) -> u8 {
    static CODES: LazyLock<[u8; 256]> = LazyLock::new(|| codes(&A_LAW, a_law));
    CODES[usize::from(A_LAW.nearest(sample))]
}

/// The byte of each rank.
fn codes(set: &Set, value: impl Fn(u8) -> i16) -> [u8; 256] {
    let mut codes = [0; 256];
    for code in 0..=255 {
        codes[usize::from(set.nearest(value(code)))] = code;
    }
    codes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ITU-T G.711 tables 1a and 2a give decision and output values for some codes; scaled to 16 bits.
    #[test]
    fn codes_have_the_values_of_the_recommendation() {
        let of = |code: u8| (mu_law(code), a_law(code));
        assert_eq!(of(0x80).0, 32_124, "the largest of µ-law");
        assert_eq!(of(0x00).0, -32_124);
        assert_eq!(of(0xFF).0, 0);
        assert_eq!(of(0x7F).0, 0);
        assert_eq!(of(0xFE).0, 8);
        assert_eq!(of(0xAA).1, 32_256, "the largest of A-law");
        assert_eq!(of(0x2A).1, -32_256);
        assert_eq!(of(0xD5).1, 8);
        assert_eq!(of(0x55).1, -8);
    }

    #[test]
    fn every_symbol_leads_back_to_its_sample() {
        for set in [&*MU_LAW, &*A_LAW, &*MU_LAW_BYTES] {
            for expected in (i16::MIN..=i16::MAX).step_by(97) {
                for sample in set.values {
                    assert_eq!(set.reached(set.towards(sample, expected), expected), sample);
                }
            }
        }
    }
}
