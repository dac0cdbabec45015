//! Calls of five minutes, made from the voice prompts of Debian's asterisk-core-sounds-*-wav: two
//! voices that take turns, with pauses, on lines of several kinds. The same calls every time.

use super::g711::Code;
use crate::noise::scramble;
use std::f64::consts::TAU;
use std::io;
use std::path::{Path, PathBuf};

/// Frames a second, Hz.
pub const RATE: u32 = 8000;

/// Length of a call, seconds.
pub const SECONDS: usize = 300;

const FRAMES: usize = SECONDS * RATE as usize;
const PROMPTS: &str = "/usr/share/asterisk/sounds";
const FULL_SCALE: f64 = 32_768.0;

/// What kind of line a call was on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The prompts as they are, digital silence between them.
    Clean,
    /// Band-passed as a line does, with noise at −60 dBFS and hum.
    Noise60,
    /// The same, noise at −72 dBFS.
    Noise72,
    /// As [`Self::Noise72`], then coded and decoded by A-law.
    ALaw,
    /// Band-passed, then coded and decoded by µ-law.
    MuLaw,
    /// As [`Self::Noise60`], then coded and decoded by µ-law.
    MuLawNoise,
    /// Both parties on legs of their own, each as [`Self::MuLaw`], added up; they interrupt one
    /// another.
    Mix,
    /// The same, each leg with noise at −72 dBFS before its coding, so that no leg is ever silent.
    MixNoise,
    /// A channel for each party, as [`Self::Noise72`].
    TwoLinear,
    /// A channel for each party, each as [`Self::Noise72`] through µ-law.
    TwoMuLaw,
}

/// What a class's audio has to offer a codec; targets are set by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Linear samples.
    Linear,
    /// Nothing but values of G.711.
    G711,
    /// Sums of two values of G.711, one of them often 0.
    Mix,
    /// Sums of two values of G.711 that are never 0 for long.
    NoisyMix,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 10] = [
        Self::Clean,
        Self::Noise60,
        Self::Noise72,
        Self::TwoLinear,
        Self::ALaw,
        Self::MuLaw,
        Self::MuLawNoise,
        Self::TwoMuLaw,
        Self::Mix,
        Self::MixNoise,
    ];

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Noise60 => "noise −60 dBFS",
            Self::Noise72 => "noise −72 dBFS",
            Self::ALaw => "A-law, noise −72",
            Self::MuLaw => "µ-law",
            Self::MuLawNoise => "µ-law, noise −60",
            Self::Mix => "mix of two µ-law legs",
            Self::MixNoise => "mix of two, noise −72 on each",
            Self::TwoLinear => "two channels, noise −72",
            Self::TwoMuLaw => "two channels, µ-law, noise −72",
        }
    }

    /// See [`Kind`].
    pub fn kind(self) -> Kind {
        match self {
            Self::Clean | Self::Noise60 | Self::Noise72 | Self::TwoLinear => Kind::Linear,
            Self::ALaw | Self::MuLaw | Self::MuLawNoise | Self::TwoMuLaw => Kind::G711,
            Self::Mix => Kind::Mix,
            Self::MixNoise => Kind::NoisyMix,
        }
    }

    /// Channels of its calls.
    pub fn channels(self) -> u16 {
        match self {
            Self::TwoLinear | Self::TwoMuLaw => 2,
            _ => 1,
        }
    }
}

/// The prompts of each voice, sorted by path.
#[derive(Debug)]
pub struct Voices(Vec<Vec<PathBuf>>);

impl Voices {
    /// Those that Debian's packages have installed.
    ///
    /// # Errors
    /// There are fewer than two voices: the message says what to install.
    pub fn load() -> io::Result<Self> {
        let mut voices: Vec<_> = list(Path::new(PROMPTS))?
            .iter()
            .map(|dir| prompts(dir))
            .collect();
        voices.retain(|prompts| prompts.len() > 50);
        if voices.len() < 2 {
            let what = format!("{PROMPTS}: no voices; install what tests/setup lists");
            return Err(io::Error::new(io::ErrorKind::NotFound, what));
        }
        Ok(Self(voices))
    }

    /// The `n`th call of `class`: interleaved samples.
    ///
    /// # Errors
    /// A prompt cannot be read.
    pub fn call(&self, class: Class, n: u64) -> io::Result<Vec<i16>> {
        let mut legs = self.legs(scramble(n << 8 | class as u64))?;
        if matches!(class, Class::Mix | Class::MixNoise) {
            // From another conversation: he does not wait for his turn.
            let [_, staff] = self.legs(scramble(!(n << 8 | class as u64)))?;
            legs[1] = staff;
        }
        // Each line has noise of its own.
        let line = |leg: &mut Vec<f64>, noise_dbfs: Option<f64>, which: u64| {
            band_pass(leg);
            if let Some(level) = noise_dbfs {
                add_noise(leg, level, scramble(n << 16 | which << 8 | class as u64));
            }
        };
        let noise = match class {
            Class::Clean | Class::MuLaw | Class::Mix => None,
            Class::Noise60 | Class::MuLawNoise => Some(-60.0),
            _ => Some(-72.0),
        };
        Ok(match class {
            Class::Clean => round(&sum(&legs)),
            Class::Noise60 | Class::Noise72 | Class::ALaw | Class::MuLaw | Class::MuLawNoise => {
                let mut both = sum(&legs);
                line(&mut both, noise, 0);
                coded(class, round(&both))
            }
            Class::Mix | Class::MixNoise | Class::TwoLinear | Class::TwoMuLaw => {
                legs.iter_mut()
                    .zip(1..)
                    .for_each(|(leg, which)| line(leg, noise, which));
                let [caller, staff] = legs.map(|leg| coded(class, round(&leg)));
                join(class, &caller, &staff)
            }
        })
    }

    /// What each of two parties says: never both at once, as a rule of politeness.
    fn legs(&self, seed: u64) -> io::Result<[Vec<f64>; 2]> {
        let mut dice = Dice(seed);
        let first = dice.below(self.0.len());
        let other = (first + 1 + dice.below(self.0.len() - 1)) % self.0.len();
        let mut legs = [Vec::with_capacity(FRAMES), Vec::with_capacity(FRAMES)];
        while legs[0].len() < FRAMES {
            for (speaking, voice) in [(0, first), (1, other)] {
                for _ in 0..=dice.below(3) {
                    let said = samples(&self.0[voice][dice.below(self.0[voice].len())])?;
                    let pause = RATE as usize / 5 + dice.below(RATE as usize);
                    legs[speaking].extend(said.iter().map(|&sample| f64::from(sample)));
                    let now = legs[speaking].len() + pause;
                    for leg in &mut legs {
                        leg.resize(now, 0.0);
                    }
                }
            }
        }
        for leg in &mut legs {
            leg.truncate(FRAMES);
        }
        Ok(legs)
    }
}

fn list(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let name =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", dir.display()));
    let entries = std::fs::read_dir(dir).map_err(name)?;
    let mut paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// The sound files in `dir` itself: directories below hold letters and digits, and silence.
fn prompts(dir: &Path) -> Vec<PathBuf> {
    let mut paths = list(dir).unwrap_or_default();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "wav"));
    paths
}

fn samples(path: &Path) -> io::Result<Vec<i16>> {
    let wrong = |error: hound::Error| io::Error::other(format!("{}: {error}", path.display()));
    let mut prompt = hound::WavReader::open(path).map_err(wrong)?;
    prompt
        .samples()
        .map(|sample| sample.map_err(wrong))
        .collect()
}

fn sum(legs: &[Vec<f64>; 2]) -> Vec<f64> {
    legs[0]
        .iter()
        .zip(&legs[1])
        .map(|(caller, staff)| caller + staff)
        .collect()
}

fn round(audio: &[f64]) -> Vec<i16> {
    audio.iter().map(|&sample| sample.round() as i16).collect()
}

fn coded(class: Class, audio: Vec<i16>) -> Vec<i16> {
    let code = match class {
        Class::Clean | Class::Noise60 | Class::Noise72 | Class::TwoLinear => return audio,
        Class::ALaw => Code::a_law(),
        Class::MuLaw | Class::MuLawNoise | Class::Mix | Class::MixNoise | Class::TwoMuLaw => {
            Code::mu_law()
        }
    };
    audio
        .into_iter()
        .map(|sample| code.round_trip(sample))
        .collect()
}

fn join(class: Class, caller: &[i16], staff: &[i16]) -> Vec<i16> {
    let pairs = caller.iter().zip(staff);
    match class {
        Class::Mix | Class::MixNoise => pairs
            .map(|(caller, staff)| caller.saturating_add(*staff))
            .collect(),
        _ => pairs
            .flat_map(|(caller, staff)| [*caller, *staff])
            .collect(),
    }
}

/// 300 to 3400 Hz, two sections of second order at each end.
fn band_pass(audio: &mut [f64]) {
    for (hertz, is_high_pass) in [(300.0, true), (3400.0, false)] {
        for _ in 0..2 {
            biquad(audio, hertz, is_high_pass);
        }
    }
}

/// A high- or low-pass of Q = 1/√2 (R. Bristow-Johnson, Cookbook formulae for audio equalizer biquad
/// filter coefficients).
fn biquad(audio: &mut [f64], hertz: f64, is_high_pass: bool) {
    let angle = TAU * hertz / f64::from(RATE);
    let (sin, cos) = angle.sin_cos();
    let alpha = sin / std::f64::consts::SQRT_2;
    let edge = if is_high_pass { 1.0 + cos } else { 1.0 - cos };
    let scale = 1.0 / (1.0 + alpha);
    let outer = edge / 2.0 * scale;
    let inner = if is_high_pass {
        -edge * scale
    } else {
        edge * scale
    };
    let (back, further) = (-2.0 * cos * scale, (1.0 - alpha) * scale);
    let (mut x, mut y) = ([0.0; 2], [0.0; 2]);
    for sample in audio {
        let out = outer * (*sample + x[1]) + inner * x[0] - back * y[0] - further * y[1];
        x = [*sample, x[0]];
        y = [out, y[0]];
        *sample = out;
    }
}

/// Noise at `level` dBFS rms, and hum of 50 Hz two decibels above it.
fn add_noise(audio: &mut [f64], level: f64, seed: u64) {
    let rms = |dbfs: f64| FULL_SCALE * 10.0_f64.powf(dbfs / 20.0);
    let (noise, hum) = (rms(level), rms(level + 2.0) * std::f64::consts::SQRT_2);
    let mut dice = Dice(seed);
    for (frame, sample) in audio.iter_mut().enumerate() {
        let second = (frame % RATE as usize) as f64 / f64::from(RATE);
        *sample += dice.bell() * noise + (TAU * 50.0 * second).sin() * hum;
    }
}

/// Numbers without a pattern.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        scramble(self.0)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Of mean 0 and deviation 1, shaped like a bell: four uniform numbers of 16 bits.
    fn bell(&mut self) -> f64 {
        let bits = self.next();
        let sum: u64 = (0..4).map(|quarter| bits >> (16 * quarter) & 0xFFFF).sum();
        (sum as f64 - 2.0 * 65_535.0) / (65_536.0 * (4.0_f64 / 12.0).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_band_is_that_of_a_telephone() {
        let gain_db = |hertz: f64| {
            let tone = |frame| (TAU * hertz * f64::from(frame) / f64::from(RATE)).sin() * 1000.0;
            let mut audio: Vec<f64> = (0..16_000).map(tone).collect();
            band_pass(&mut audio);
            let power = audio[8000..]
                .iter()
                .map(|sample| sample * sample)
                .sum::<f64>()
                / 8000.0;
            10.0 * (power / 500_000.0).log10()
        };
        assert!(gain_db(1000.0).abs() < 0.5, "{}", gain_db(1000.0));
        assert!(gain_db(50.0) < -50.0, "{}", gain_db(50.0));
        assert!(gain_db(3900.0) < -20.0, "{}", gain_db(3900.0));
    }

    #[test]
    fn noise_has_its_level() {
        let mut audio = vec![0.0; 80_000];
        add_noise(&mut audio, -60.0, 5);
        let power = audio
            .iter()
            .map(|sample| (sample / FULL_SCALE).powi(2))
            .sum::<f64>()
            / 80_000.0;
        // −60 and −58 dBFS together.
        assert!(
            (10.0 * power.log10() + 55.87).abs() < 0.2,
            "{}",
            10.0 * power.log10()
        );
    }
}
