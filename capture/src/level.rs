//! The level of a stretch of one channel.
//!
//! What lives here: integer sums that the picker fills in its one pass, and their level in dBFS with
//! the DC removed. What does not: which level is talk (`floor`, `detect`). `line` calls it.

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

    /// Level in dBFS: rms about the mean (E[x²] − E[x]²), against the rms of a full-scale square
    /// wave, so that a full-scale sine has −3.01. Full scale is 2 to the power of `bits`.
    /// Negative infinity for digital silence and for no samples.
    pub fn dbfs(self, bits: u32) -> f64 {
        let frames = i128::from(self.frames);
        // Exact in integers: n Σx² − (Σx)², which floats would lose under a large DC.
        let deviation = frames * i128::from(self.squares) - i128::from(self.sum).pow(2);
        if deviation <= 0 {
            return f64::NEG_INFINITY;
        }
        let mean_square = deviation as f64 / (frames * frames) as f64;
        10.0 * mean_square.log10() - 20.0 * f64::from(bits) * std::f64::consts::LOG10_2
    }
}

#[cfg(test)]
// Infinity is exact.
#[allow(clippy::float_cmp)]
mod tests {
    use super::*;

    fn level(samples: impl Iterator<Item = i32>, bits: u32) -> f64 {
        let mut sums = Sums::default();
        for sample in samples {
            sums.add(1, i64::from(sample), i64::from(sample).pow(2) as u64);
        }
        sums.dbfs(bits)
    }

    fn sine(amplitude: f64, offset: f64) -> impl Iterator<Item = i32> {
        // 400 Hz at 8 kHz: eight whole periods in a block of 20 ms.
        (0..160).map(move |n| {
            let angle = f64::from(n) * std::f64::consts::TAU * 400.0 / 8000.0;
            (amplitude * angle.sin() + offset).round() as i32
        })
    }

    #[test]
    fn a_full_scale_sine_is_three_below_and_a_tenth_is_twenty_lower() {
        assert!((level(sine(32767.0, 0.0), 15) + 3.01).abs() < 0.01);
        assert!((level(sine(3276.7, 0.0), 15) + 23.01).abs() < 0.01);
        assert!((level(sine(8_388_607.0, 0.0), 23) + 3.01).abs() < 0.01);
    }

    #[test]
    fn dc_does_not_count() {
        assert!((level(sine(100.0, 20_000.0), 15) - level(sine(100.0, 0.0), 15)).abs() < 0.1);
        assert_eq!(
            level(std::iter::repeat_n(-32768, 160), 15),
            f64::NEG_INFINITY
        );
    }

    #[test]
    fn nothing_is_silent() {
        assert_eq!(Sums::default().dbfs(15), f64::NEG_INFINITY);
    }

    #[test]
    fn the_widest_block_does_not_overflow() {
        let square = (0..3840).map(|n| if n % 2 == 0 { -8_388_608 } else { 8_388_607 });
        assert!(level(square, 23).abs() < 0.001);
    }
}
