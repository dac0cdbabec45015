//! Samples that are the sum of two G.711 legs: which sets of values they can lie in, and the rank
//! of each in its set.
//!
//! A recording of both parties in one channel adds up two companded legs. While one of them is
//! quiet the sums lie in small clusters around the values of the louder one, with gaps between
//! them; even of two loud legs no sum lies on most of the 65536 values. So that nothing is spent on
//! values that cannot occur, what is coded of a part is how many values of the smallest set that
//! holds its samples lie between prediction and sample. These distances are symbols like those of
//! a linear residual (`classes`), and share their streams.
//!
//! Called by `encode` for blocks that are linear otherwise, and by `decode`.

use std::sync::{LazyLock, OnceLock};

use super::g711;
use super::group::PARTS;
use super::ranks::Part;
use super::streams::Lane;

/// The numbers of the sets of a block's parts.
pub(super) type Numbers = [u8; PARTS];

/// How many values above zero the quieter leg may take: 0 where it is not there, 128 where it may
/// be as loud as the other. Between them are the levels of line noise and of talk, found by trying
/// more: these ten are within 0.1 % of twenty.
const LEVELS: [usize; 10] = [0, 1, 2, 3, 4, 6, 12, 24, 64, 128];
/// The laws that both legs can have: µ-law and A-law.
const LAWS: usize = 2;
/// How many sets there are. Set number n is that of the level n / 2 and the law n mod 2.
pub(super) const SETS: usize = LEVELS.len() * LAWS;

/// One set of values, and the way from a sample to its rank.
pub(super) struct Set {
    /// In ascending order.
    values: Vec<i16>,
    /// By the sample plus 32768: twice the rank of the nearest value, the lower of two; and one
    /// more if the sample is greater than that value.
    nearest: Box<[u16]>,
}

impl Set {
    /// Set `number`, made when it is first asked for (150 KiB). There are [`SETS`]: greater numbers,
    /// which no header of a block has, are the last.
    pub(super) fn of(number: u8) -> &'static Self {
        static MADE: [OnceLock<Set>; SETS] = [const { OnceLock::new() }; SETS];
        let number = usize::from(number).min(SETS - 1);
        MADE[number].get_or_init(|| Self::new(values(number)))
    }

    fn new(values: Vec<i16>) -> Self {
        let mut rank = 0;
        let distance = |rank: usize, sample: i16| values[rank].abs_diff(sample);
        let entry = |sample: i16| {
            while rank + 1 < values.len() && distance(rank + 1, sample) < distance(rank, sample) {
                rank += 1;
            }
            2 * rank as u16 + u16::from(sample > values[rank])
        };
        let nearest = (i16::MIN..=i16::MAX).map(entry).collect();
        Self { values, nearest }
    }

    /// The rank of the value nearest to `sample`, and whether `sample` is greater than it.
    #[inline(always)]
    fn nearest(&self, sample: i16) -> (i32, bool) {
        let entry = self.nearest[usize::from(sample as u16 ^ 0x8000)];
        (i32::from(entry >> 1), entry & 1 > 0)
    }

    /// The signed distance of the rank of `sample`, a value of the set, from the one nearest to
    /// `expected`, towards the side on which `expected` falls.
    pub(super) fn towards(&self, sample: i16, expected: i16) -> i16 {
        let (from, above) = self.nearest(expected);
        let distance = self.nearest(sample).0 - from;
        (if above { -distance } else { distance }) as i16
    }

    /// The inverse of [`Set::towards`]; of a distance that leads out of the set, its end.
    #[inline(always)]
    pub(super) fn reached(&self, towards: i16, expected: i16) -> i16 {
        let (from, above) = self.nearest(expected);
        let towards = i32::from(towards);
        let rank = from + if above { -towards } else { towards };
        self.values[(rank.max(0) as usize).min(self.values.len() - 1)]
    }
}

/// What turns the distances of one part back into samples.
#[derive(Clone, Copy)]
pub(super) struct Sums<'a> {
    /// The set of the part.
    pub set: &'a Set,
    /// The distances of the whole block.
    pub distances: &'a [i16],
}

impl Part for Sums<'_> {
    #[inline(always)]
    fn sample(&self, n: usize, expected: i16, _: &[u8], _: &mut Lane) -> i16 {
        self.set.reached(self.distances[n], expected)
    }
}

/// The number of the smallest set that holds each of the samples, if one does.
pub(super) fn smallest(samples: &[i16]) -> Option<u8> {
    static HOLDERS: LazyLock<Box<[u32]>> = LazyLock::new(holders);
    let mut sets = u32::MAX;
    for sample in samples {
        sets &= HOLDERS[usize::from(*sample as u16 ^ 0x8000)];
        if sets == 0 {
            return None;
        }
    }
    Some(sets.trailing_zeros().min(SETS as u32 - 1) as u8)
}

/// By the sample plus 32768: the sets that hold it, set n as bit n.
fn holders() -> Box<[u32]> {
    let mut holders = vec![0; 1 << 16];
    for number in 0..SETS {
        for value in values(number) {
            holders[usize::from(value as u16 ^ 0x8000)] |= 1 << number;
        }
    }
    holders.into()
}

/// The values of set `number` in ascending order: what adds up beyond 16 bits is their end, as a
/// mixer clips it.
fn values(number: usize) -> Vec<i16> {
    let law: fn(u8) -> i16 = if number.is_multiple_of(LAWS) {
        g711::mu_law
    } else {
        g711::a_law
    };
    let mut louder: Vec<i16> = (0..=255).map(law).collect();
    louder.sort_unstable();
    louder.dedup();
    let quieter = quieter(&louder, LEVELS[number / LAWS]);
    let mut values: Vec<i16> = louder
        .iter()
        .flat_map(|a| quieter.iter().map(|b| a.saturating_add(*b)))
        .collect();
    values.sort_unstable();
    values.dedup();
    values
}

/// The values of a leg that is no louder than the value number `level` above zero.
fn quieter(all: &[i16], level: usize) -> Vec<i16> {
    if level == 0 {
        return vec![0];
    }
    let above: Vec<i16> = all.iter().copied().filter(|x| *x > 0).collect();
    let most = above[level.min(above.len()) - 1].unsigned_abs();
    let quiet = |x: &i16| x.unsigned_abs() <= most;
    all.iter().copied().filter(quiet).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand from ITU-T G.711 tables 1a and 2a: the values above zero are 8, 16, 24, 32 … and
    /// 8, 24, 40 …
    #[test]
    fn a_set_is_that_of_a_louder_and_a_quieter_leg() {
        let around = |number, from: i16, to: i16| -> Vec<i16> {
            let inside = |x: &i16| (from..=to).contains(x);
            values(number).into_iter().filter(inside).collect()
        };
        assert_eq!(around(0, 30_000, 32_767), [30_076, 31_100, 32_124]);
        assert_eq!(
            around(4, 31_000, 31_200),
            [31_084, 31_092, 31_100, 31_108, 31_116],
            "µ-law, ±16"
        );
        assert_eq!(
            around(5, 32_000, 32_767),
            [32_232, 32_248, 32_264, 32_280],
            "A-law, ±24"
        );
        let ends = values(SETS - 2);
        assert_eq!(
            (ends[0], ends[ends.len() - 1]),
            (i16::MIN, i16::MAX),
            "clipped"
        );
    }

    #[test]
    fn the_smallest_set_is_found() {
        assert_eq!(smallest(&[31_100, 0, -8]), Some(0));
        assert_eq!(smallest(&[31_100, 0, -8, 31_092]), Some(2));
        assert_eq!(smallest(&[32_256, 8]), Some(1), "A-law alone");
        assert_eq!(
            smallest(&[i16::MAX, 0]),
            Some(16),
            "32124 and more than 643"
        );
        assert_eq!(smallest(&[1]), None);
    }

    #[test]
    fn every_distance_leads_back_to_its_sample() {
        for set in (0..SETS as u8).map(Set::of) {
            for expected in (i16::MIN..=i16::MAX).step_by(577) {
                for sample in set.values.iter().copied().step_by(7) {
                    assert_eq!(set.reached(set.towards(sample, expected), expected), sample);
                }
            }
        }
    }

    #[test]
    fn no_distance_leads_out_of_a_set() {
        let set = Set::of(0);
        for towards in [i16::MIN, -1, 0, 1, i16::MAX] {
            for expected in [i16::MIN, -1, 0, 1, i16::MAX] {
                assert!(set.values.contains(&set.reached(towards, expected)));
            }
        }
    }
}
