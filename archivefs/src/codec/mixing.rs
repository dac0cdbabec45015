//! Probabilities that learn, and their mixture. Integers only: both directions must agree in every
//! bit.

use super::range::{Coder, PROBABILITY_BITS};

/// Predictions that are mixed for each decision.
pub(super) const INPUTS: usize = 4;

/// `round(65536 / (1 + exp(−x/256)))` for x = −2048, −1920 … 2048.
const LOGISTIC: [i32; 33] = [
    22, 36, 60, 98, 162, 267, 439, 720, 1179, 1921, 3108, 4971, 7812, 11_955, 17_625, 24_743,
    32_768, 40_793, 47_911, 53_581, 57_724, 60_565, 62_428, 63_615, 64_357, 64_816, 65_097, 65_269,
    65_374, 65_438, 65_476, 65_500, 65_514,
];

/// Log odds of `2^−12 (i + 1/2)`, in 256ths of a nat.
static LOG_ODDS: std::sync::LazyLock<Vec<i16>> = std::sync::LazyLock::new(log_odds);

/// The inverse of [`probability`], by search.
fn log_odds() -> Vec<i16> {
    let mut x = -2047;
    (0..4096)
        .map(|i| {
            while x < 2047 && probability(x) < i * 16 + 8 {
                x += 1;
            }
            x as i16
        })
        .collect()
}

/// The probability, of 65536, of log odds in 256ths of a nat; between the table's entries a line.
fn probability(log_odds: i32) -> i32 {
    let x = log_odds.clamp(-2047, 2047) + 2048;
    let (at, part) = ((x >> 7) as usize, x & 127);
    LOGISTIC[at] + (((LOGISTIC[at + 1] - LOGISTIC[at]) * part) >> 7)
}

/// A probability that learns: of 65536, and the number of decisions that it has seen.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    probability: u16,
    seen: u8,
}

impl Slot {
    /// Nothing known.
    pub(super) const NEW: Self = Self {
        probability: 1 << 15,
        seen: 0,
    };
    /// Decisions after which it learns no slower.
    const MOST: u8 = 250;

    fn learn(&mut self, decision: bool) {
        let target = if decision { 65_535 } else { 0 };
        let step = (target - i32::from(self.probability)) * 2 / (2 * i32::from(self.seen) + 3);
        self.probability = (i32::from(self.probability) + step) as u16;
        self.seen = (self.seen + 1).min(Self::MOST);
    }
}

/// How much each prediction is trusted, 65536 being fully.
pub(super) type Weights = [i32; INPUTS];
/// Weights that have learnt nothing.
pub(super) const EQUAL: Weights = [22_000; INPUTS];
/// How fast weights learn: the error times the input is divided by two to the power of this.
const LEARNING: u32 = 17;

/// Codes one decision with the mixture of what the slots say; all of them learn from it.
pub(super) fn code(
    coder: &mut impl Coder,
    decision: bool,
    slots: &mut [Slot],
    which: [usize; INPUTS],
    weights: &mut Weights,
) -> bool {
    let inputs = which.map(|i| i32::from(LOG_ODDS[usize::from(slots[i].probability >> 4)]));
    let dot: i64 = inputs
        .iter()
        .zip(&*weights)
        .map(|(x, w)| i64::from(*x) * i64::from(*w))
        .sum();
    let mixed = probability((dot >> PROBABILITY_BITS).clamp(-2047, 2047) as i32).clamp(32, 65_504);
    let decision = coder.code(decision, mixed as u32);
    let error = if decision { 65_536 - mixed } else { -mixed };
    for (x, w) in inputs.iter().zip(weights) {
        *w = w.wrapping_add((x * error + (1 << (LEARNING - 1))) >> LEARNING);
    }
    for i in which {
        slots[i].learn(decision);
    }
    decision
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_the_logistic_function() {
        for (i, entry) in LOGISTIC.iter().enumerate() {
            let x = (i as f64 - 16.0) / 2.0;
            let exact = 65_536.0 / (1.0 + (-x).exp());
            assert!(
                (exact - f64::from(*entry)).abs() <= 0.5,
                "entry {i}: {entry}, not {exact}"
            );
        }
    }

    #[test]
    fn log_odds_are_the_inverse() {
        for i in [0, 100, 1000, 2048, 4000, 4095] {
            let back = probability(i32::from(LOG_ODDS[i]));
            assert!(
                back.abs_diff(i as i32 * 16 + 8) < 200,
                "entry {i} comes back as {back}"
            );
        }
    }
}
