//! Prediction in integers: samples to residuals, and residuals back to samples.
//!
//! A channel's samples lie behind [`MAX_ORDER`] samples of history, zero at the start, so that no
//! sum needs to ask how much of the past exists.

use super::narrow;
use super::parcor::{MAX_ORDER, Predictor};
use super::sample::Sample;
use super::vector::ROUND;

/// Does something for each sample of a round, written out so that the samples stay in registers.
macro_rules! each_of_round {
    ($n:ident => $body:block) => {
        each_of_round!($n => $body; 0 1 2 3 4 5 6 7);
    };
    ($n:ident => $body:block; $($i:literal)*) => {
        $({
            let $n = $i;
            $body
        })*
    };
}
pub(super) use each_of_round;

/// What `predictor` expects after `history`, its last sample being the newest; `wasted` low bits
/// are dropped from it.
#[inline(always)]
fn expected<S: Sample>(
    predictor: &Predictor,
    oldest_first: &[i16],
    history: &[S],
    wasted: u32,
) -> S {
    let shift = predictor.shift + wasted;
    let mut sum = S::Sum::default();
    for (x, c) in history.iter().zip(oldest_first) {
        sum = x.multiply_add(*c, sum);
    }
    S::scaled(S::sum(sum, S::half(shift)), shift)
}

/// The residual of each sample of `samples[MAX_ORDER..]`, what stands before being history:
/// `(x >> wasted) − prediction`, wrapping. `residual` is as long as the samples without history.
pub(super) fn residual<S: Sample>(
    predictor: &Predictor,
    wasted: u32,
    samples: &[S],
    residual: &mut [S],
) {
    match predictor.order.div_ceil(8) {
        0 => {
            for (r, x) in residual.iter_mut().zip(&samples[MAX_ORDER..]) {
                *r = x.down(wasted);
            }
        }
        1 => residual_of::<S, 8>(predictor, wasted, samples, residual),
        2 => residual_of::<S, 16>(predictor, wasted, samples, residual),
        3 => residual_of::<S, 24>(predictor, wasted, samples, residual),
        _ => residual_of::<S, 32>(predictor, wasted, samples, residual),
    }
}

/// [`residual`] of a predictor of order at most `O`.
fn residual_of<S: Sample, const O: usize>(
    predictor: &Predictor,
    wasted: u32,
    samples: &[S],
    residual: &mut [S],
) {
    let oldest_first: [i16; O] = std::array::from_fn(|i| predictor.coefficients[O - 1 - i]);
    let windows = samples[MAX_ORDER - O..].windows(O + 1);
    for (r, window) in residual.iter_mut().zip(windows) {
        let prediction = expected(predictor, &oldest_first, &window[..O], wasted);
        *r = window[O].down(wasted).minus(prediction);
    }
}

/// Turns the residuals in `samples[MAX_ORDER..]` into samples, in place.
pub(super) fn restore<S: Sample>(predictor: &Predictor, wasted: u32, samples: &mut [S]) {
    if let Some(samples) = S::narrow_mut(samples)
        && predictor.order > 0
    {
        return narrow::restore(&mut narrow::Track {
            predictor,
            wasted,
            samples,
        });
    }
    match predictor.order.div_ceil(8) {
        0 => {
            for x in &mut samples[MAX_ORDER..] {
                *x = x.up(wasted);
            }
        }
        1 => restore_of::<S, 8>(predictor, wasted, samples),
        2 => restore_of::<S, 16>(predictor, wasted, samples),
        3 => restore_of::<S, 24>(predictor, wasted, samples),
        _ => restore_of::<S, 32>(predictor, wasted, samples),
    }
}

/// [`restore`] with a predictor of order at most `O`.
fn restore_of<S: Sample, const O: usize>(predictor: &Predictor, wasted: u32, samples: &mut [S]) {
    let shift = predictor.shift + wasted;
    let mut past = Past::<S, O>::new(predictor, shift, &samples[..MAX_ORDER]);
    let mut at = MAX_ORDER;
    while let Some(window) = samples.get_mut(at - O..at + ROUND) {
        let older = past.older.of_round(window);
        each_of_round!(n => {
            let x = window[O + n].plus(S::scaled(past.sum(older[n], n), shift)).up(wasted);
            window[O + n] = x;
            past.put(n, x);
        });
        past.advance();
        at += ROUND;
    }
    for at in at..samples.len() {
        let sum = past.sum(past.older.of_one(&samples[at - O..at - ROUND]), 0);
        let x = samples[at].plus(S::scaled(sum, shift)).up(wasted);
        samples[at] = x;
        past.push(x);
    }
}

/// What the samples before the eight newest contribute to a prediction of order at most `O`.
pub(super) struct Older<S: Sample, const O: usize> {
    half: S::Sum,
    /// For the oldest sample, and so on; `O − ROUND` of them.
    coefficients: [i16; MAX_ORDER],
}

impl<S: Sample, const O: usize> Older<S, O> {
    /// For sums that are shifted by `shift` in the end.
    pub(super) fn new(predictor: &Predictor, shift: u32) -> Self {
        let mut coefficients = [0; MAX_ORDER];
        for (i, c) in coefficients.iter_mut().enumerate().take(O - ROUND) {
            *c = predictor.coefficients[O - 1 - i];
        }
        Self {
            half: S::half(shift),
            coefficients,
        }
    }

    /// The contribution, with the half for rounding, to each sample of the round that begins at
    /// `window[O]`.
    #[inline(always)]
    pub(super) fn of_round(&self, window: &[S]) -> [S::Sum; ROUND] {
        let mut sums = S::sums(window, &self.coefficients, O - ROUND);
        for sum in &mut sums {
            *sum = S::sum(*sum, self.half);
        }
        sums
    }

    /// The contribution of `older`, the `O − ROUND` samples before the newest, to the next one.
    #[inline(always)]
    pub(super) fn of_one(&self, older: &[S]) -> S::Sum {
        let products = older.iter().zip(&self.coefficients[..O - ROUND]);
        products.fold(self.half, |sum, (x, c)| x.multiply_add(*c, sum))
    }
}

/// A predictor of order at most `O` with the newest samples.
///
/// Samples are restored in rounds of [`ROUND`]. What the samples from before the eight newest
/// contribute to a whole round is summed first, by vectors; the few products that must wait for the
/// sample just before are summed one by one, in registers: a vector load of a sample that was
/// stored a moment ago would wait for the store.
struct Past<S: Sample, const O: usize> {
    older: Older<S, O>,
    /// The samples before the round, then those of the round.
    newest: [S::Sum; 2 * ROUND],
    /// For the sample just before, and so on; every second one negated. Subtracting its product is
    /// the same, and keeps the compiler from gathering the eight into a vector, which is slower.
    factors: [S::Sum; ROUND],
}

impl<S: Sample, const O: usize> Past<S, O> {
    /// Ready for the sample after `history`.
    fn new(predictor: &Predictor, shift: u32, history: &[S]) -> Self {
        let mut newest = [S::Sum::default(); 2 * ROUND];
        for (to, from) in newest.iter_mut().zip(&history[history.len() - ROUND..]) {
            *to = from.in_sum();
        }
        let factors = std::array::from_fn(|i| S::factor(predictor.coefficients[i], i % 2 == 1));
        Self {
            older: Older::new(predictor, shift),
            newest,
            factors,
        }
    }

    /// The whole sum for sample `n` of the round, the newest sample last, since it is known last.
    #[inline(always)]
    fn sum(&self, mut sum: S::Sum, n: usize) -> S::Sum {
        for i in (0..ROUND).rev() {
            sum = S::product_add(
                self.newest[ROUND + n - 1 - i],
                self.factors[i],
                i % 2 == 1,
                sum,
            );
        }
        sum
    }

    /// Takes in sample `n` of the round.
    #[inline(always)]
    fn put(&mut self, n: usize, x: S) {
        self.newest[ROUND + n] = x.in_sum();
    }

    /// Ends the round.
    #[inline(always)]
    fn advance(&mut self) {
        self.newest.copy_within(ROUND.., 0);
    }

    /// A round of a single sample.
    #[inline(always)]
    fn push(&mut self, x: S) {
        self.newest.copy_within(1..ROUND, 0);
        self.newest[ROUND - 1] = x.in_sum();
    }
}
