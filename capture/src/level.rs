//! The level of a stretch of one channel.
//!
//! What lives here: integer sums that the picker fills in its one pass, and their level with the DC
//! removed. Whole numbers all through: the level of every line is taken fifty times a second, also on
//! processors whose floating point is slow. What does not: which level is talk (`floor`, `detect`).
//! `line` calls it.
//!
//! Levels are in millibels (mB, hundredths of a decibel) against full scale: the rms about the mean
//! (E[x²] − E[x]²), against the rms of a full-scale square wave. A full-scale sine has −301.

use std::sync::LazyLock;

/// The level of digital silence, and of no samples: below anything that can be measured.
pub const SILENCE: i32 = -30_000;

/// `decibels` in millibels.
pub fn millibels(decibels: f64) -> i32 {
    (decibels * 100.0).round() as i32
}

/// Sums over the samples of one channel.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Sums {
    frames: u64,
    sum: i64,
    squares: u64,
}

impl Sums {
    /// Adds `frames` samples, whose values add up to `sum` and whose squares to `squares`.
    ///
    /// The squares of 24-bit values stay below 2⁶⁴ for 2¹⁸ samples; a block of 20 ms has 3,840 at
    /// 192 kHz.
    pub fn add(&mut self, frames: usize, sum: i64, squares: u64) {
        self.frames += frames as u64;
        self.sum += sum;
        self.squares += squares;
    }

    /// The level, mB against a full scale of 2 to the power of `bits`; true to 3 mB.
    pub fn level(self, bits: u32) -> i32 {
        let sum = u128::from(self.sum.unsigned_abs());
        // n² times the variance, exactly: n Σx² − (Σx)².
        let deviation =
            (u128::from(self.frames) * u128::from(self.squares)).saturating_sub(sum * sum);
        if deviation == 0 {
            return SILENCE;
        }
        let frames = log(u128::from(self.frames));
        ((log(deviation) - 2 * frames - log(1 << (2 * bits))) / 10) as i32
    }
}

/// 10 log₁₀ of `x`, which is at least 1, in thousandths: the place of its highest bit, and a table
/// for the eight bits behind that.
fn log(x: u128) -> i64 {
    let place = x.ilog2();
    let behind = (if place >= 8 {
        x >> (place - 8)
    } else {
        x << (8 - place)
    }) as usize
        & 0xFF;
    // 10 log₁₀ 2 is 3.0103.
    i64::from(place) * 30_103 / 10 + i64::from(FRACTION[behind])
}

/// 10 log₁₀ (1 + n/256), in thousandths; n at the middle of its step.
static FRACTION: LazyLock<[u16; 256]> = LazyLock::new(|| {
    std::array::from_fn(|n| {
        let middle = if n == 0 { 0.0 } else { 0.5 };
        (10_000.0 * (1.0 + (n as f64 + middle) / 256.0).log10()).round() as u16
    })
});

#[cfg(test)]
mod tests {
    use super::*;

    fn level(samples: impl Iterator<Item = i32>, bits: u32) -> i32 {
        let mut sums = Sums::default();
        for sample in samples {
            sums.add(1, i64::from(sample), i64::from(sample).pow(2) as u64);
        }
        sums.level(bits)
    }

    fn sine(amplitude: f64, offset: f64) -> impl Iterator<Item = i32> {
        // 400 Hz at 8 kHz: eight whole periods in a block of 20 ms.
        (0..160).map(move |n| {
            let angle = f64::from(n) * std::f64::consts::TAU * 400.0 / 8000.0;
            (amplitude * angle.sin() + offset).round() as i32
        })
    }

    fn near(level: i32, expected: i32) -> bool {
        (level - expected).abs() <= 3
    }

    #[test]
    fn a_full_scale_sine_is_three_below_and_a_tenth_is_twenty_lower() {
        assert!(near(level(sine(32767.0, 0.0), 15), -301));
        assert!(near(level(sine(3276.7, 0.0), 15), -2301));
        assert!(near(level(sine(8_388_607.0, 0.0), 23), -301));
    }

    #[test]
    fn every_level_is_true_to_three_millibels() {
        for step in 0..900 {
            let amplitude = 8_388_607.0 / 10_f64.powf(f64::from(step) / 200.0);
            let expected = millibels(20.0 * (amplitude / 8_388_608.0 / 2_f64.sqrt()).log10());
            let level = level(sine(amplitude, 0.0), 23);
            assert!(
                near(level, expected),
                "{amplitude}: {level}, not {expected}"
            );
        }
    }

    #[test]
    fn dc_does_not_count() {
        let shifted = level(sine(100.0, 20_000.0), 15);
        assert!((shifted - level(sine(100.0, 0.0), 15)).abs() < 10);
        assert_eq!(level(std::iter::repeat_n(-32768, 160), 15), SILENCE);
    }

    #[test]
    fn nothing_is_silent() {
        assert_eq!(Sums::default().level(15), SILENCE);
    }

    #[test]
    fn the_widest_block_does_not_overflow() {
        let square = (0..3840).map(|n| if n % 2 == 0 { -8_388_608 } else { 8_388_607 });
        assert!(near(level(square, 23), 0));
    }
}
