//! Calls that make it hard for whoever shows them, each computed from its number and a seed.

use crate::calls::{MadeCall, RATE};
use crate::noise::idle;
use crate::office::LINES;
use ulid::Ulid;

/// The days of the calls: the first moments in Tokyo, milliseconds since 1970. Two neighbours, and one
/// of another month.
const DAYS: [u64; 3] = [
    1_795_359_600_000, // 2026-11-23
    1_795_273_200_000, // 2026-11-22
    1_793_372_400_000, // 2026-10-31
];

/// Milliseconds of a day.
const DAY: u64 = 86_400_000;

/// Lengths, frames. A block of the store is four seconds (tsuwaroku-store(5)): one less, one and one
/// more; the shortest; and so long that it is decoded ahead.
const LENGTHS: [u64; 8] = [1, 7, 8000, 31_999, 32_000, 32_001, 70_001, 400_000];

/// A generator of numbers without a pattern: splitmix64 (Steele, Lea and Flood, Fast splittable
/// pseudorandom number generators, 2014).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Always the same numbers for one `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    /// The next number below `limit`, which is not 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.roll() % limit
    }

    /// One of `choices`, which are not none.
    pub fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len() as u64) as usize]
    }
}

/// The `n`th call of `seed`. Every fourth one wants the name of the one before; of these every second
/// one wants its millisecond, too.
pub fn call(n: u64, seed: u64) -> MadeCall {
    let mut dice = Dice::new(seed.wrapping_mul(1_000_003) ^ n);
    let (id, number) = if n % 4 == 3 {
        let before = call(n - 1, seed);
        (twin(before.id, n), before.number)
    } else {
        (identity(n, &mut dice), dice.of(&LINES).number.to_owned())
    };
    let frames = *dice.of(&LENGTHS) + dice.below(2) * dice.below(3);
    let gap = (dice.below(3) == 0).then(|| (dice.below(frames + 1), 1 + dice.below(9000)));
    MadeCall {
        id,
        number,
        samples: samples(frames, dice.roll()),
        // Whoever hears nothing before or after it has lost nothing: a gap is between samples.
        gap: gap.filter(|&(at, _)| 0 < at && at < frames),
    }
}

fn identity(n: u64, dice: &mut Dice) -> Ulid {
    let times = [
        0,
        DAY - 1000,
        dice.below(DAY - 1000),
        dice.below(DAY - 1000),
    ];
    // The second is whole, so that a twin's milliseconds are of the same one.
    let second = *dice.of(&times) / 1000 * 1000;
    Ulid::from_parts(
        *dice.of(&DAYS) + second,
        u128::from(n) << 40 | u128::from(dice.below(1 << 20)),
    )
}

/// Another identity with the same last four characters (five bits each) in the same second.
fn twin(of: Ulid, n: u64) -> Ulid {
    let later = n / 4 % 2 * 7;
    let tail = of.random() & ((1 << 20) - 1);
    Ulid::from_parts(of.timestamp_ms() + later, u128::from(n) << 40 | tail)
}

/// Noise of a line, silence, and what no codec makes small, by turns.
fn samples(frames: u64, seed: u64) -> Vec<i16> {
    let mut dice = Dice::new(seed);
    (0..frames)
        .map(|at| match at / 3000 % 3 {
            0 => idle(1, RATE, seed % 1_000_000 + at),
            1 => dice.roll() as i16,
            _ => 0,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_calls_are_one() {
        let ids: HashSet<_> = (0..400).map(|n| call(n, 7).id).collect();
        assert_eq!(ids.len(), 400);
        assert_eq!(call(11, 7), call(11, 7));
        assert_ne!(call(0, 7).samples, call(0, 8).samples);
    }

    #[test]
    fn twins_want_one_name() {
        for n in [3, 7, 11, 15] {
            let (first, second) = (call(n - 1, 1), call(n, 1));
            let tail = |call: &MadeCall| call.id.to_string()[22..].to_owned();
            assert_eq!(tail(&first), tail(&second));
            let second_of = |call: &MadeCall| call.id.timestamp_ms() / 1000;
            assert_eq!(second_of(&first), second_of(&second));
            assert!(first.id < second.id, "the first one is archived first");
        }
    }
}
