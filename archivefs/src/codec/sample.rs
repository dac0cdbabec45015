//! The two widths of sample that prediction works in.
//!
//! `i16` with 32-bit sums for nearly everything; `i32` with 64-bit sums for samples that need more
//! than 16 bits. All arithmetic wraps: the encoder and the decoder wrap alike, so a sum that
//! overflows predicts badly but loses nothing.

use super::parcor::MAX_ORDER;
use super::vector::{self, ROUND};

/// A sample, a residual or a prediction; and the sum that a prediction is made in.
pub(super) trait Sample: Copy + Default + PartialEq + 'static {
    /// A sum of products of samples and coefficients.
    type Sum: Copy + Default;
    /// Bits of a sample.
    const BITS: u32;
    /// Bytes of a sample, as constants and escapes are stored.
    const BYTES: usize;

    /// The low bits of `value`.
    fn truncated(value: i32) -> Self;
    /// The same value in 32 bits.
    fn widened(self) -> i32;
    /// `sum + self * coefficient`, wrapping.
    fn multiply_add(self, coefficient: i16, sum: Self::Sum) -> Self::Sum;
    /// The sample as a sum.
    fn in_sum(self) -> Self::Sum;
    /// A coefficient, negated if `negative`, as [`Sample::product_add`] takes it.
    fn factor(coefficient: i16, negative: bool) -> Self::Sum;
    /// `sum + sample * factor`, or if `negative` `sum − sample * factor`, wrapping.
    fn product_add(
        sample: Self::Sum,
        factor: Self::Sum,
        negative: bool,
        sum: Self::Sum,
    ) -> Self::Sum;
    /// `Σ window[n + i] · coefficients[i]` over `taps` (a multiple of 8) coefficients, wrapping, for
    /// n in 0 to 7.
    fn sums(window: &[Self], coefficients: &[i16; MAX_ORDER], taps: usize) -> [Self::Sum; ROUND];
    /// `left + right`, wrapping.
    fn sum(left: Self::Sum, right: Self::Sum) -> Self::Sum;
    /// Half of the unit that [`Sample::scaled`] drops: 2^(shift−1). `shift` is 1 to 44.
    fn half(shift: u32) -> Self::Sum;
    /// `sum >> shift`, arithmetic, then the low bits.
    fn scaled(sum: Self::Sum, shift: u32) -> Self;
    /// `self + other`, wrapping.
    fn plus(self, other: Self) -> Self;
    /// `self − other`, wrapping.
    fn minus(self, other: Self) -> Self;
    /// `self << bits`, dropping what leaves the top.
    fn up(self, bits: u32) -> Self;
    /// `self >> bits`, arithmetic.
    fn down(self, bits: u32) -> Self;
    /// The samples themselves if they are 16 bits wide, which G.711 needs.
    fn narrow(samples: &[Self]) -> Option<&[i16]>;
    /// [`Sample::narrow`], to write to.
    fn narrow_mut(samples: &mut [Self]) -> Option<&mut [i16]>;
}

macro_rules! sample {
    ($sample:ty, $sum:ty, $sums:path, $narrow:expr, $narrow_mut:expr) => {
        impl Sample for $sample {
            type Sum = $sum;
            const BITS: u32 = <$sample>::BITS;
            const BYTES: usize = size_of::<$sample>();

            #[inline(always)]
            fn truncated(value: i32) -> Self {
                value as $sample
            }
            #[inline(always)]
            fn widened(self) -> i32 {
                i32::from(self)
            }
            #[inline(always)]
            fn multiply_add(self, coefficient: i16, sum: $sum) -> $sum {
                sum.wrapping_add(<$sum>::from(self).wrapping_mul(<$sum>::from(coefficient)))
            }
            #[inline(always)]
            fn in_sum(self) -> $sum {
                <$sum>::from(self)
            }
            #[inline(always)]
            fn factor(coefficient: i16, negative: bool) -> $sum {
                let factor = <$sum>::from(coefficient);
                if negative { -factor } else { factor }
            }
            #[inline(always)]
            fn product_add(sample: $sum, factor: $sum, negative: bool, sum: $sum) -> $sum {
                let product = sample.wrapping_mul(factor);
                if negative {
                    sum.wrapping_sub(product)
                } else {
                    sum.wrapping_add(product)
                }
            }
            #[inline(always)]
            fn sums(
                window: &[Self],
                coefficients: &[i16; MAX_ORDER],
                taps: usize,
            ) -> [$sum; ROUND] {
                $sums(window, coefficients, taps)
            }
            #[inline(always)]
            fn sum(left: $sum, right: $sum) -> $sum {
                left.wrapping_add(right)
            }
            #[inline(always)]
            fn half(shift: u32) -> $sum {
                (1 as $sum).wrapping_shl(shift.wrapping_sub(1))
            }
            #[inline(always)]
            fn scaled(sum: $sum, shift: u32) -> Self {
                sum.wrapping_shr(shift) as $sample
            }
            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
            #[inline(always)]
            fn minus(self, other: Self) -> Self {
                self.wrapping_sub(other)
            }
            #[inline(always)]
            fn up(self, bits: u32) -> Self {
                self.wrapping_shl(bits)
            }
            #[inline(always)]
            fn down(self, bits: u32) -> Self {
                self.wrapping_shr(bits)
            }
            fn narrow(samples: &[Self]) -> Option<&[i16]> {
                $narrow(samples)
            }
            fn narrow_mut(samples: &mut [Self]) -> Option<&mut [i16]> {
                $narrow_mut(samples)
            }
        }
    };
}

sample!(i16, i32, vector::sums, Some, Some);
sample!(i32, i64, wide_sums, |_| None, |_| None);

/// [`Sample::sums`] of 32-bit samples.
fn wide_sums(window: &[i32], coefficients: &[i16; MAX_ORDER], taps: usize) -> [i64; ROUND] {
    std::array::from_fn(|n| {
        let products = window[n..n + taps].iter().zip(coefficients);
        products.fold(0, |sum, (x, c)| x.multiply_add(*c, sum))
    })
}
