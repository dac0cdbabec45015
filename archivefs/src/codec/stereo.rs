//! What one channel of a pair says about the other.
//!
//! Caller and staff leak into each other's channel, and a card may give one signal twice. A block
//! of the second channel can be coded as its difference from the first channel, delayed and scaled.
//! Predicting one from the other gains as much as sum and difference would, and keeps the first
//! channel's samples in their G.711 set.

use super::parcor::MAX_ORDER;
use super::sample::Sample;

/// Bits after the point of a gain: 64 is the other channel as it is.
const GAIN_FRACTION: u32 = 6;

/// Delays that the encoder looks at, in samples, from the quickest search to the slowest.
const NEAR_DELAYS: std::ops::RangeInclusive<i32> = -2..=2;
const ALL_DELAYS: std::ops::RangeInclusive<i32> = -127..=127;
/// The share of a channel's energy that the other must explain before each block tries it.
const WORTH_TRYING: f64 = 0.02;

/// The part of the other channel's `first` samples that stands in the second's
/// `[at − MAX_ORDER, at + length)`, as `out`. `first` begins with [`MAX_ORDER`] samples of history,
/// `at` counts from the sample after them; what lies outside is silence.
pub(super) fn reference<S: Sample>(
    first: &[S],
    at: usize,
    length: usize,
    delay: i8,
    gain: i8,
    out: &mut Vec<S>,
) {
    let from = at as i64 - i64::from(delay);
    let scaled =
        |x: S| S::truncated(((i64::from(x.widened()) * i64::from(gain)) >> GAIN_FRACTION) as i32);
    let sample = |i: i64| {
        usize::try_from(i)
            .ok()
            .and_then(|i| first.get(i))
            .copied()
            .unwrap_or_default()
    };
    out.clear();
    out.extend((from..from + (MAX_ORDER + length) as i64).map(|i| scaled(sample(i))));
}

/// `samples − reference`, one by one.
pub(super) fn subtract<S: Sample>(samples: &[S], reference: &[S], out: &mut Vec<S>) {
    out.clear();
    out.extend(samples.iter().zip(reference).map(|(x, r)| x.minus(*r)));
}

/// `samples[MAX_ORDER..] = difference + reference`, all of the same length, history in front.
pub(super) fn add<S: Sample>(difference: &[S], reference: &[S], samples: &mut [S]) {
    let sums = difference.iter().zip(reference).map(|(d, r)| d.plus(*r));
    for (x, sum) in samples.iter_mut().zip(sums).skip(MAX_ORDER) {
        *x = sum;
    }
}

/// The delay at which the first channel explains most of the second, if it explains enough to try.
/// Both without history. Encoder only.
pub(super) fn find_delay<S: Sample>(first: &[S], second: &[S], thorough: bool) -> Option<i8> {
    let (a, b) = (whitened(first), whitened(second));
    let energy = |x: &[f32]| f64::from(x.iter().map(|v| v * v).sum::<f32>());
    let (energy_a, energy_b) = (energy(&a), energy(&b));
    if energy_a == 0.0 || energy_b == 0.0 {
        return None;
    }
    let delays = if thorough { ALL_DELAYS } else { NEAR_DELAYS };
    let share = |delay: i32| correlation(&a, &b, delay).powi(2) / (energy_a * energy_b);
    let (best, delay) = delays
        .map(|d| (share(d), d))
        .max_by(|x, y| x.0.total_cmp(&y.0))?;
    (best > WORTH_TRYING).then_some(delay as i8)
}

/// The gain at which `reference` (made with a gain of 1) explains most of `samples`.
/// Encoder only; both with history.
pub(super) fn best_gain<S: Sample>(samples: &[S], reference: &[S]) -> i8 {
    let (x, r) = (whitened(samples), whitened(reference));
    let product: f32 = x.iter().zip(&r).map(|(x, r)| x * r).sum();
    let energy: f32 = r.iter().map(|r| r * r).sum();
    if energy == 0.0 {
        0
    } else {
        (product / energy * (1 << GAIN_FRACTION) as f32)
            .round()
            .clamp(-127.0, 127.0) as i8
    }
}

/// The gain that leaves the other channel as it is.
pub(super) const UNITY: i8 = 1 << GAIN_FRACTION;

/// The second difference: speech without most of its low frequencies, whose shape says little.
fn whitened<S: Sample>(x: &[S]) -> Vec<f32> {
    x.windows(3)
        .map(|w| w[2].widened() as f32 - 1.6 * w[1].widened() as f32 + 0.7 * w[0].widened() as f32)
        .collect()
}

/// `Σ a[n − delay] · b[n]`.
fn correlation(a: &[f32], b: &[f32], delay: i32) -> f64 {
    let skip = delay.unsigned_abs() as usize;
    let (a, b) = if delay < 0 {
        (a.get(skip..), Some(b))
    } else {
        (Some(a), b.get(skip..))
    };
    let (a, b) = (a.unwrap_or_default(), b.unwrap_or_default());
    let partial =
        |(a, b): (&[f32], &[f32])| f64::from(a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>());
    a.chunks(1024).zip(b.chunks(1024)).map(partial).sum()
}
