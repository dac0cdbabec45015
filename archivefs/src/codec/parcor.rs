//! Predictors in their stored form, and the integer coefficients made from them.
//!
//! Linear prediction is stored as reflection coefficients (PARCOR) on an arcsine scale: each one is
//! independent of the order, a coarse step harms little, and any value gives a stable filter.
//! Both directions make the coefficients here, in integers, from a table that is written out: a
//! sine that differed in its last bit between two machines would be a corrupted archive.

/// The greatest order of prediction.
pub(super) const MAX_ORDER: usize = 32;

/// Bits after the point of the sines and of the step-up recursion.
const FRACTION: u32 = 20;
/// Bits after the point of a coefficient, unless it would be too large.
const COEFFICIENT_FRACTION: u32 = 13;
/// The fewest bits after the point that a predictor is given.
const LEAST_FRACTION: u32 = 6;
/// Bits after the point of a fixed predictor. Rounding changes nothing: its coefficients are whole.
const FIXED_FRACTION: u32 = 12;
/// The greatest magnitude that a coefficient has before it costs a bit of fraction.
const COEFFICIENT_LIMIT: i64 = 32_000;
/// Reflection coefficients that are stored in the fine step.
const FINE: usize = 2;
/// The largest index into [`SINES`] that is used: 32 would be a reflection of exactly one.
const LARGEST_ANGLE: i32 = 31;

/// `round(sin(i/32 · π/2) · 2^20)`.
const SINES: [i32; 32] = [
    0, 51_451, 102_778, 153_858, 204_567, 254_783, 304_386, 353_255, 401_273, 448_324, 494_295,
    539_076, 582_558, 624_636, 665_210, 704_181, 741_455, 776_944, 810_560, 842_224, 871_859,
    899_394, 924_761, 947_901, 968_758, 987_281, 1_003_425, 1_017_151, 1_028_428, 1_037_227,
    1_043_527, 1_047_313,
];

/// What a block is predicted with: `Σ coefficients[i] · x[n−1−i] / 2^shift`, rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Predictor {
    /// For the sample just before, the one before that, and so on; zero from `order` on.
    pub coefficients: [i16; MAX_ORDER],
    /// How many of them count.
    pub order: usize,
    /// Bits after their point.
    pub shift: u32,
}

impl Predictor {
    /// The polynomial predictor of order 0 to 4: the last values continued as a constant, a line …
    pub(super) fn fixed(order: usize) -> Self {
        const ROWS: [[i16; 4]; 5] = [
            [0, 0, 0, 0],
            [1, 0, 0, 0],
            [2, -1, 0, 0],
            [3, -3, 1, 0],
            [4, -6, 4, -1],
        ];
        let mut coefficients = [0; MAX_ORDER];
        for (to, from) in coefficients.iter_mut().zip(ROWS[order.min(4)]) {
            *to = from << FIXED_FRACTION;
        }
        Self {
            coefficients,
            order: order.min(4),
            shift: FIXED_FRACTION,
        }
    }

    /// The predictor with the stored `reflections`, at most [`MAX_ORDER`] of them.
    pub(super) fn from_reflections(reflections: &[i8]) -> Self {
        let order = reflections.len().min(MAX_ORDER);
        let mut direct = [0i64; MAX_ORDER];
        for (m, stored) in reflections.iter().take(order).enumerate() {
            step_up(&mut direct, m, reflection(m, *stored));
        }
        let shift = shift_for(&direct[..order]);
        let drop = FRACTION - shift;
        let mut coefficients = [0; MAX_ORDER];
        for (to, from) in coefficients.iter_mut().zip(&direct[..order]) {
            let rounded = from.wrapping_add(1 << (drop - 1)) >> drop;
            *to = rounded.clamp(i64::from(i16::MIN), i64::from(i16::MAX)) as i16;
        }
        Self {
            coefficients,
            order,
            shift,
        }
    }
}

/// Steps of the arcsine scale (of 32 to a right angle) that one stored unit of reflection `m` is.
const fn unit(m: usize) -> i32 {
    if m < FINE { 1 } else { 2 }
}

/// The reflection coefficient `m` as stored, from its value in −1 to 1. Encoder only.
pub(super) fn quantised(m: usize, value: f64) -> i8 {
    let scale = 32.0 / f64::from(unit(m));
    let largest = f64::from(LARGEST_ANGLE / unit(m));
    (value.asin() / std::f64::consts::FRAC_PI_2 * scale)
        .round()
        .clamp(-largest, largest) as i8
}

/// The stored reflection coefficient `m` with [`FRACTION`] bits after the point.
fn reflection(m: usize, stored: i8) -> i64 {
    let angle = (i32::from(stored) * unit(m)).clamp(-LARGEST_ANGLE, LARGEST_ANGLE);
    i64::from(SINES[angle.unsigned_abs() as usize] * angle.signum())
}

/// Levinson's recursion: the predictor of order `m` becomes the one of order `m + 1`. Coefficients
/// change in pairs, from the outside in.
fn step_up(direct: &mut [i64; MAX_ORDER], m: usize, k: i64) {
    let less = |a: i64, b: i64| {
        a.wrapping_sub(k.wrapping_mul(b).wrapping_add(1 << (FRACTION - 1)) >> FRACTION)
    };
    for i in 0..m.div_ceil(2) {
        let (low, high) = (direct[i], direct[m - 1 - i]);
        direct[i] = less(low, high);
        direct[m - 1 - i] = less(high, low);
    }
    direct[m] = k;
}

/// The most bits after the point at which each coefficient fits 16 bits.
fn shift_for(direct: &[i64]) -> u32 {
    let largest = direct.iter().map(|v| v.unsigned_abs()).max().unwrap_or(0);
    let fits = |shift: &u32| largest >> (FRACTION - shift) <= COEFFICIENT_LIMIT as u64;
    (LEAST_FRACTION..=COEFFICIENT_FRACTION)
        .rev()
        .find(fits)
        .unwrap_or(LEAST_FRACTION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_the_sine() {
        for (i, sine) in SINES.iter().enumerate() {
            let exact = (i as f64 / 32.0 * std::f64::consts::FRAC_PI_2).sin() * 1_048_576.0;
            assert!(
                (exact - f64::from(*sine)).abs() <= 0.5,
                "entry {i}: {sine}, not {exact}"
            );
        }
    }

    #[test]
    fn a_reflection_coefficient_comes_back_within_its_step() {
        for m in [0, 1, 2, 31] {
            for hundredth in -99..=99 {
                let value = f64::from(hundredth) / 100.0;
                let back = reflection(m, quantised(m, value)) as f64 / 1_048_576.0;
                let angles =
                    (value.asin() - back.asin()).abs() / std::f64::consts::FRAC_PI_2 * 32.0;
                assert!(
                    angles <= 1.6 * f64::from(unit(m)),
                    "{m}: {value} comes back as {back}"
                );
            }
        }
    }

    #[test]
    fn any_stored_coefficients_make_a_predictor() {
        for fill in [-128i8, -32, -31, -1, 1, 31, 32, 127] {
            let alternating: Vec<i8> = (0..32)
                .map(|i| {
                    if i % 2 == 0 {
                        fill
                    } else {
                        fill.wrapping_neg()
                    }
                })
                .collect();
            for reflections in [vec![fill; 32], alternating] {
                let predictor = Predictor::from_reflections(&reflections);
                assert!((LEAST_FRACTION..=COEFFICIENT_FRACTION).contains(&predictor.shift));
            }
        }
    }
}
