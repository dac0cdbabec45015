//! What a telephone line sounds like while nobody speaks: noise, and the hum of the mains.
//!
//! A pure function of channel and frame, so that the sample card and the feeder that goes on after
//! its end agree, and no two places of any two channels sound the same: a recording can be
//! recognised by its silence. Called by `card` and `feed`.

/// Level of the noise, dBFS rms; 0 dBFS is the rms of a full-scale square wave.
pub const NOISE_DBFS: f64 = -60.0;

/// Level of the hum, dBFS rms.
pub const HUM_DBFS: f64 = -58.0;

/// Frequency of the mains in Tokyo, Hz (western Japan has 60).
pub const MAINS_HZ: f64 = 50.0;

const FULL_SCALE: f64 = 32_768.0;

/// The sample of `channel`, counted from 1, at `frame` on an idle line that is sampled `rate` times
/// a second.
pub fn idle(channel: u16, rate: u32, frame: u64) -> i16 {
    (hiss(channel, frame) + hum(channel, rate, frame)).round() as i16
}

/// Noise of a bell-shaped distribution: the sum of four uniform numbers.
fn hiss(channel: u16, frame: u64) -> f64 {
    let bits = scramble(u64::from(channel) << 48 | frame);
    let sum: u64 = (0..4).map(|quarter| bits >> (16 * quarter) & 0xFFFF).sum();
    let centred = sum as f64 - 2.0 * 65_535.0;
    // A uniform number of width w has the variance w²/12; four of them have four times as much.
    let deviation = 65_536.0 * (4.0_f64 / 12.0).sqrt();
    centred / deviation * rms(NOISE_DBFS)
}

/// A sine; each channel at a phase of its own, as cables of different lengths pick it up.
fn hum(channel: u16, rate: u32, frame: u64) -> f64 {
    // The phase starts again every second, which the mains' whole number of Hz allows: the
    // argument stays small and exact however long the line is idle.
    let seconds = (frame % u64::from(rate)) as f64 / f64::from(rate);
    let angle = std::f64::consts::TAU * (MAINS_HZ * seconds) + f64::from(channel);
    angle.sin() * rms(HUM_DBFS) * std::f64::consts::SQRT_2
}

fn rms(dbfs: f64) -> f64 {
    FULL_SCALE * 10.0_f64.powf(dbfs / 20.0)
}

/// Turns a counter into 64 bits without a pattern: the output function of `SplitMix64`
/// (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014, figure 15).
pub fn scramble(counter: u64) -> u64 {
    let mut bits = counter.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ bits >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level_dbfs(samples: impl Iterator<Item = f64>) -> f64 {
        let squares: Vec<f64> = samples
            .map(|sample| (sample / FULL_SCALE).powi(2))
            .collect();
        10.0 * (squares.iter().sum::<f64>() / squares.len() as f64).log10()
    }

    #[test]
    fn noise_and_hum_have_their_levels() {
        for channel in 1..=5 {
            let noise = level_dbfs((0..80_000).map(|frame| hiss(channel, frame)));
            let mains = level_dbfs((0..80_000).map(|frame| hum(channel, 8000, frame)));
            assert!(
                (noise - NOISE_DBFS).abs() < 0.2,
                "noise of channel {channel}: {noise} dBFS"
            );
            assert!(
                (mains - HUM_DBFS).abs() < 0.2,
                "hum of channel {channel}: {mains} dBFS"
            );
        }
    }

    #[test]
    fn no_two_places_sound_the_same() {
        let mut seen = std::collections::HashSet::new();
        for channel in 1..=5 {
            for frame in 0..80_000 {
                let place: Vec<i16> = (frame..frame + 8).map(|f| idle(channel, 8000, f)).collect();
                assert!(
                    seen.insert(place),
                    "channel {channel}, frame {frame} is like another"
                );
            }
        }
    }
}
