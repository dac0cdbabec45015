//! Sums of products of 16-bit samples and coefficients, by vectors (crate wide).
//!
//! All sums wrap in 32 bits: the order of summing changes nothing.

use super::parcor::MAX_ORDER;
use wide::{i16x8, i32x4};

/// Sums that are made at once.
pub(super) const ROUND: usize = 8;

/// `Σ window[n + i] · coefficients[i]` over `taps` coefficients, for n in 0 to 7.
///
/// `taps` is 0, 8, 16, 24 or 32, and the window holds at least `taps + 7` samples.
#[inline(always)]
pub(super) fn sums(window: &[i16], coefficients: &[i16; 32], taps: usize) -> [i32; ROUND] {
    let mut quads = [i32x4::ZERO; ROUND];
    for from in (0..taps).step_by(8) {
        let coefficients = eight(&coefficients[from..]);
        for (n, quad) in quads.iter_mut().enumerate() {
            *quad += eight(&window[from + n..]).dot(coefficients);
        }
    }
    quads.map(|quad| {
        let [a, b, c, d] = quad.to_array();
        a.wrapping_add(b).wrapping_add(c.wrapping_add(d))
    })
}

/// The first eight samples.
#[inline(always)]
fn eight(samples: &[i16]) -> i16x8 {
    i16x8::new(samples.first_chunk().copied().unwrap_or_default())
}

/// Two samples as one number, the older one in the low half, as vectors of pairs have them.
#[inline(always)]
pub(super) fn pair(older: i16, newer: i16) -> i32 {
    i32::from(newer) << 16 | i32::from(older as u16)
}

/// The coefficients of a predictor of order at most `O`, for the sums of a whole round of samples.
pub(super) struct Pairs<const O: usize> {
    /// Coefficients `i + 1` and `i`, as [`pair`] has them; zeros where the predictor ends.
    pairs: [i32; MOST_PAIRS],
}

/// Pairs of the greatest order, as far as the last sample of a round has none of its own.
const MOST_PAIRS: usize = MAX_ORDER + ROUND;

impl<const O: usize> Pairs<O> {
    /// For these coefficients, that for the newest sample first.
    pub(super) fn new(coefficients: &[i16; MAX_ORDER]) -> Self {
        let at = |i: usize| coefficients.get(i).copied().unwrap_or(0);
        Self {
            pairs: std::array::from_fn(|i| pair(at(i + 1), at(i))),
        }
    }

    /// `start + Σ sample · coefficient` over the `O` samples before a round, for each of its samples as
    /// far as they have a coefficient for it: the `O − 8` oldest in `older`, the others in pairs.
    #[inline(always)]
    pub(super) fn sums(&self, start: i32, older: &[i16], newest: [i32; ROUND / 2]) -> [i32; ROUND] {
        let mut sums = [i32x4::splat(start); 2];
        for (n, eight) in older.as_chunks().0.iter().enumerate() {
            let pairs: [i32; ROUND / 2] = bytemuck::cast(i16x8::new(*eight));
            self.add(&mut sums, n * ROUND, pairs);
        }
        self.add(&mut sums, O - ROUND, newest);
        bytemuck::cast(sums)
    }

    /// Adds what eight samples contribute, of which the first is `from` samples newer than the oldest.
    #[inline(always)]
    fn add(&self, sums: &mut [i32x4; 2], from: usize, samples: [i32; ROUND / 2]) {
        for (n, samples) in samples.into_iter().enumerate() {
            let samples: i16x8 = bytemuck::cast(i32x4::splat(samples));
            let newer = O - 2 - from - 2 * n;
            for (half, sum) in sums.iter_mut().enumerate() {
                let coefficients = &self.pairs[newer + 4 * half..];
                let coefficients = coefficients.first_chunk().copied().unwrap_or_default();
                let coefficients: i16x8 = bytemuck::cast(i32x4::new(coefficients));
                *sum += samples.dot(coefficients);
            }
        }
    }

    /// The same sum for a single sample, after all `O` samples of `before`.
    pub(super) fn sum(&self, start: i32, before: &[i16]) -> i32 {
        let products = before.iter().rev().zip(&self.pairs);
        products.fold(start, |sum, (x, pair)| {
            sum.wrapping_add(i32::from(*x).wrapping_mul(pair >> 16))
        })
    }
}

/// Eight samples in a register, the newest first.
#[derive(Clone, Copy)]
pub(super) struct Eight(u128);

impl Eight {
    /// These samples.
    pub(super) fn new(samples: [i16; 8]) -> Self {
        Self(bytemuck::cast(samples))
    }

    /// The samples with `x` in front and without the last.
    #[inline(always)]
    pub(super) fn pushed(self, x: i16) -> Self {
        Self(self.0 << 16 | u128::from(x as u16))
    }

    /// The sum of the products, wrapping.
    #[inline(always)]
    pub(super) fn dot(self, other: Self) -> i32 {
        let products: i32x4 = bytemuck::cast::<u128, i16x8>(self.0).dot(bytemuck::cast(other.0));
        products.reduce_add()
    }
}
