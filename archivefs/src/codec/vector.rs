//! Sums of products of 16-bit samples and coefficients, by vectors (crate wide).
//!
//! All sums wrap in 32 bits: the order of summing changes nothing.

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
