//! Linear blocks of 16-bit samples, restored from residuals: what a decoder of linear audio does most of
//! the time.
//!
//! A sample waits for the one before it. Only what the samples of the same round of [`ROUND`] say of one
//! another is left to that row, in scalars; what the samples before the round contribute to all eight is
//! summed by vectors. Two tracks are restored side by side, so that the processor has something to do
//! meanwhile.
//!
//! All sums wrap in 32 bits, as those of [`super::predict`], of which this is the fast case.

use super::parcor::{MAX_ORDER, Predictor};
use super::predict::each_of_round;
use super::sample::Sample;
use super::vector::{self, Pairs, ROUND};

/// A block of residuals that becomes samples in place.
pub(super) struct Track<'a> {
    /// What predicts it.
    pub predictor: &'a Predictor,
    /// Low bits that were dropped from each sample.
    pub wasted: u32,
    /// [`MAX_ORDER`] samples of history, then the residuals.
    pub samples: &'a mut [i16],
}

/// Calls the variant of a function for the order of a predictor, rounded up to 8.
macro_rules! by_order {
    ($order:expr, $function:ident($($argument:expr),*)) => {
        match $order.div_ceil(8) {
            0 | 1 => $function::<8>($($argument),*),
            2 => $function::<16>($($argument),*),
            3 => $function::<24>($($argument),*),
            _ => $function::<32>($($argument),*),
        }
    };
}

/// Restores one block.
pub(super) fn restore(track: &mut Track) {
    by_order!(track.predictor.order, restore_of(track));
}

/// Restores two blocks of the same length side by side.
pub(super) fn restore_pair(a: &mut Track, b: &mut Track) {
    let order = a.predictor.order.max(b.predictor.order);
    by_order!(order, restore_pair_of(a, b));
}

fn restore_of<const O: usize>(track: &mut Track) {
    let mut past = Past::<O>::new(track);
    let mut at = MAX_ORDER;
    while let Some(window) = track.samples.get_mut(at - O..at + ROUND) {
        let mut round = past.round(window);
        each_of_round!(n => { past.step(&mut round, n, &mut window[O + n]); });
        past.end(&round);
        at += ROUND;
    }
    past.rest(&mut track.samples[at - O..]);
}

fn restore_pair_of<const O: usize>(a: &mut Track, b: &mut Track) {
    let (mut past_a, mut past_b) = (Past::<O>::new(a), Past::<O>::new(b));
    let mut at = MAX_ORDER;
    while let (Some(window_a), Some(window_b)) = (
        a.samples.get_mut(at - O..at + ROUND),
        b.samples.get_mut(at - O..at + ROUND),
    ) {
        let (mut round_a, mut round_b) = (past_a.round(window_a), past_b.round(window_b));
        each_of_round!(n => {
            past_a.step(&mut round_a, n, &mut window_a[O + n]);
            past_b.step(&mut round_b, n, &mut window_b[O + n]);
        });
        past_a.end(&round_a);
        past_b.end(&round_b);
        at += ROUND;
    }
    past_a.rest(&mut a.samples[at - O..]);
    past_b.rest(&mut b.samples[at - O..]);
}

/// A predictor of order at most `O`, and the samples of the last round.
struct Past<const O: usize> {
    pairs: Pairs<O>,
    /// For the sample just before, and so on; every second one negated, which its use undoes: it keeps
    /// the compiler from gathering them into vectors, which is slower.
    factors: [i32; ROUND],
    half: i32,
    shift: u32,
    wasted: u32,
    /// The samples of the round before, two in each, the older one in the low half. A vector load of what
    /// was stored a moment ago would wait for the store.
    newest: [i32; ROUND / 2],
}

/// The round that is being restored.
struct Round {
    /// What the samples before it contribute to each.
    sums: [i32; ROUND],
    samples: [i32; ROUND],
}

impl<const O: usize> Past<O> {
    fn new(track: &Track) -> Self {
        let Predictor {
            coefficients,
            shift,
            ..
        } = track.predictor;
        let shift = shift + track.wasted;
        let newest = &track.samples[MAX_ORDER - ROUND..MAX_ORDER];
        Self {
            pairs: Pairs::new(coefficients),
            factors: std::array::from_fn(|i| i16::factor(coefficients[i], i % 2 == 1)),
            half: i16::half(shift),
            shift,
            wasted: track.wasted,
            newest: std::array::from_fn(|i| vector::pair(newest[2 * i], newest[2 * i + 1])),
        }
    }

    /// The round whose residuals stand at `window[O..]`, the samples before it in front.
    #[inline(always)]
    fn round(&self, window: &[i16]) -> Round {
        Round {
            sums: self
                .pairs
                .sums(self.half, &window[..O - ROUND], self.newest),
            samples: [0; ROUND],
        }
    }

    /// Makes a sample of residual `n` of the round, the newest product last, since it is known last.
    #[inline(always)]
    fn step(&self, round: &mut Round, n: usize, sample: &mut i16) {
        let mut sum = round.sums[n];
        for i in (0..n).rev() {
            sum = i16::product_add(round.samples[n - 1 - i], self.factors[i], i % 2 == 1, sum);
        }
        *sample = sample.plus(i16::scaled(sum, self.shift)).up(self.wasted);
        round.samples[n] = sample.in_sum();
    }

    #[inline(always)]
    fn end(&mut self, round: &Round) {
        let sample = |n: usize| i16::truncated(round.samples[n]);
        self.newest = std::array::from_fn(|i| vector::pair(sample(2 * i), sample(2 * i + 1)));
    }

    /// What does not fill a round: residuals from `window[O]` on, the samples before them in front.
    fn rest(&self, window: &mut [i16]) {
        for at in O..window.len() {
            let sum = self.pairs.sum(self.half, &window[at - O..at]);
            window[at] = window[at]
                .plus(i16::scaled(sum, self.shift))
                .up(self.wasted);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What [`restore`] has to do, one sample after the other.
    fn slowly(predictor: &Predictor, wasted: u32, samples: &mut [i16]) {
        for at in MAX_ORDER..samples.len() {
            let mut sum = i16::half(predictor.shift + wasted);
            for (i, c) in predictor.coefficients.iter().enumerate() {
                sum = samples[at - 1 - i].multiply_add(*c, sum);
            }
            let expected = i16::scaled(sum, predictor.shift + wasted);
            samples[at] = samples[at].plus(expected).up(wasted);
        }
    }

    fn track<'a>(predictor: &'a Predictor, wasted: u32, samples: &'a mut [i16]) -> Track<'a> {
        Track {
            predictor,
            wasted,
            samples,
        }
    }

    fn predictors() -> impl Strategy<Value = Predictor> {
        let linear = prop::collection::vec(any::<i8>(), 0..=MAX_ORDER);
        prop_oneof![
            (0usize..=4).prop_map(Predictor::fixed),
            linear.prop_map(|reflections| Predictor::from_reflections(&reflections)),
        ]
    }

    fn residuals() -> impl Strategy<Value = (Vec<i16>, Vec<i16>)> {
        (MAX_ORDER..MAX_ORDER + 340).prop_flat_map(|length| {
            let track = || prop::collection::vec(any::<i16>(), length);
            (track(), track())
        })
    }

    proptest! {
        /// Residuals of any size, so that all that can wrap does.
        #[test]
        fn alone_and_in_pairs_samples_are_those_of_the_slow_way(
            predictors in (predictors(), predictors()),
            wasted in (0u32..16, 0u32..16),
            residuals in residuals(),
        ) {
            let (mut slow, mut alone, mut paired) =
                (residuals.clone(), residuals.clone(), residuals);
            slowly(&predictors.0, wasted.0, &mut slow.0);
            slowly(&predictors.1, wasted.1, &mut slow.1);
            restore(&mut track(&predictors.0, wasted.0, &mut alone.0));
            restore(&mut track(&predictors.1, wasted.1, &mut alone.1));
            prop_assert_eq!(&alone, &slow);
            restore_pair(
                &mut track(&predictors.0, wasted.0, &mut paired.0),
                &mut track(&predictors.1, wasted.1, &mut paired.1),
            );
            prop_assert_eq!(&paired, &slow);
        }
    }
}
