//! The sample card: about a minute of sound as a five-channel telephone card delivers it, `S16_LE`
//! interleaved at 8 kHz, the same bytes each time it is made with the same programs.
//!
//! Nine calls of synthetic Japanese speech, two on each of the four designated lines and one on a
//! fifth that is not designated, over line noise that never stops. What is said is written down in
//! `card/script.rs`. Made by the binary `sample-card` for the demonstration, and by the tests.

mod script;
mod speech;

use crate::noise;
use crate::wav::samples_16;
use script::{Call as Planned, SCRIPT};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{fs, io};
use thiserror::Error;

/// Frames a second, Hz.
pub const RATE: u32 = 8000;

/// Channels of the card; the last is not designated.
pub const CHANNELS: u16 = 5;

/// Noise alone before the first call and after the last, frames: the hang time of a line is 8 s.
const LEAD: u64 = 3 * RATE as u64;
const TRAIL: u64 = 9 * RATE as u64;

/// Noise alone between two calls on one channel, frames.
const BETWEEN: u64 = 11 * RATE as u64;

/// The card's length is whole tenths of seconds, so that a feeder's blocks fit.
const LENGTH_UNIT: u64 = RATE as u64 / 10;

/// Longer than this the demonstration would be dull, frames.
const LONGEST: u64 = 70 * RATE as u64;

/// The card as it lies in its directory: `card.raw`, described by `card.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampleCard {
    /// Frames a second, Hz.
    pub rate: u32,
    /// Channels, interleaved in the file.
    pub channels: u16,
    /// Length, frames.
    pub frames: u64,
    /// The calls, in the order of channels, then of time.
    pub calls: Vec<Call>,
    /// SHA-256 of the audio, hexadecimal.
    pub sha256: String,
    /// What the card was made from, by SHA-256: it is made again when this changes.
    made_from: String,
    /// The audio: `S16_LE`, interleaved, no header.
    #[serde(skip)]
    pub raw: PathBuf,
}

/// One call on the card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The card's channel, counted from 1.
    pub channel: u16,
    /// The dial-in number.
    pub number: String,
    /// Whether the number is designated: a call that is not must leave no trace (R2.1).
    pub designated: bool,
    /// First frame of talk.
    pub first_frame: u64,
    /// Last frame of talk.
    pub last_frame: u64,
    /// What is said, a line for each turn.
    pub said: Vec<String>,
}

/// Why there is no card.
#[derive(Debug, Error)]
pub enum CardError {
    /// A program that makes the speech cannot be started.
    #[error("cannot run {program}: {error}; on Debian: apt-get install espeak-ng sox")]
    Program {
        /// Its name.
        program: &'static str,
        /// What the system says.
        error: io::Error,
    },
    /// A program that makes the speech failed.
    #[error("{program} failed on '{text}': {message}")]
    Speech {
        /// Its name.
        program: &'static str,
        /// What was to be spoken.
        text: String,
        /// What the program says.
        message: String,
    },
    /// The speech came out longer than expected.
    #[error("the card would be {seconds} s long: shorten the script or speak faster")]
    TooLong {
        /// Its length.
        seconds: u64,
    },
    /// A file of the card.
    #[error("{}: {error}; the directory must be writable and have 2 MB free", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

impl SampleCard {
    /// The card in `dir`, which is created if need be: the one that is there, if it is whole and
    /// made from the same script by the same programs, or a new one.
    ///
    /// # Errors
    /// A program that makes the speech is missing or fails, or a file cannot be written.
    pub fn make(dir: &Path) -> Result<Self, CardError> {
        let made_from = made_from()?;
        if let Some(card) = Self::open(dir).filter(|card| card.made_from == made_from) {
            return Ok(card);
        }
        let calls = SCRIPT.iter().map(speak).collect::<Result<Vec<_>, _>>()?;
        let (calls, frames) = place(calls)?;
        let audio = mix(&calls, frames);
        let card = Self {
            rate: RATE,
            channels: CHANNELS,
            frames,
            calls: calls.into_iter().map(|spoken| spoken.call).collect(),
            sha256: hex(&audio),
            made_from,
            raw: dir.join("card.raw"),
        };
        card.save(dir, &audio)?;
        Ok(card)
    }

    /// The card in `dir`, if there is a whole one.
    pub fn open(dir: &Path) -> Option<Self> {
        let description = fs::read(dir.join("card.json")).ok()?;
        let mut card: Self = serde_json::from_slice(&description).ok()?;
        card.raw = dir.join("card.raw");
        (hex(&fs::read(&card.raw).ok()?) == card.sha256).then_some(card)
    }

    /// The samples of one channel, counted from 1.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn samples(&self, channel: u16) -> io::Result<Vec<i16>> {
        let all = samples_16(&fs::read(&self.raw)?);
        let first = usize::from(channel - 1);
        Ok(all
            .into_iter()
            .skip(first)
            .step_by(usize::from(self.channels))
            .collect())
    }

    /// The calls on designated numbers: what must be recorded, and nothing else (R2.1).
    pub fn designated(&self) -> impl Iterator<Item = &Call> {
        self.calls.iter().filter(|call| call.designated)
    }

    /// Bytes of one frame of the raw file.
    pub fn frame_bytes(&self) -> usize {
        usize::from(self.channels) * 2
    }

    /// The audio first: a description without its audio would be a broken card.
    fn save(&self, dir: &Path, audio: &[u8]) -> Result<(), CardError> {
        let file_error = |path: &Path| {
            let path = path.to_owned();
            move |error| CardError::File { path, error }
        };
        fs::create_dir_all(dir).map_err(file_error(dir))?;
        let description = serde_json::to_string_pretty(self).expect("plain values");
        for (name, content) in [("card.raw", audio), ("card.json", description.as_bytes())] {
            let path = dir.join(name);
            // Renamed into place: tests that run at the same time share a card.
            let building = dir.join(format!("{name}.{}", std::process::id()));
            fs::write(&building, content).map_err(file_error(&building))?;
            fs::rename(&building, &path).map_err(file_error(&path))?;
        }
        Ok(())
    }
}

/// A call with its sound: `talk` begins at `call.first_frame`.
struct Spoken {
    call: Call,
    talk: Vec<i16>,
}

/// Speaks a call; its place on the card is still open.
fn speak(planned: &Planned) -> Result<Spoken, CardError> {
    let mut talk = Vec::new();
    for turn in planned.turns {
        talk.resize(
            talk.len() + turn.pause_ms as usize * RATE as usize / 1000,
            0,
        );
        talk.extend(speech::speak(turn.voice, turn.text)?);
    }
    let call = Call {
        channel: planned.channel,
        number: planned.number.to_owned(),
        designated: planned.designated,
        first_frame: 0,
        last_frame: 0,
        said: planned
            .turns
            .iter()
            .map(|turn| turn.text.to_owned())
            .collect(),
    };
    Ok(Spoken { call, talk })
}

/// Gives every call its place, and the card its length in frames. The channels begin one after
/// another, as calls do.
fn place(mut calls: Vec<Spoken>) -> Result<(Vec<Spoken>, u64), CardError> {
    let mut free: Vec<u64> = (0..u64::from(CHANNELS))
        .map(|channel| LEAD + channel * u64::from(RATE) / 2)
        .collect();
    for spoken in &mut calls {
        let free = &mut free[usize::from(spoken.call.channel - 1)];
        spoken.call.first_frame = *free;
        spoken.call.last_frame = *free + spoken.talk.len() as u64 - 1;
        *free = spoken.call.last_frame + 1 + BETWEEN;
    }
    let last = calls
        .iter()
        .map(|spoken| spoken.call.last_frame)
        .max()
        .unwrap_or(LEAD);
    let frames = (last + 1 + TRAIL).next_multiple_of(LENGTH_UNIT);
    if frames > LONGEST {
        return Err(CardError::TooLong {
            seconds: frames / u64::from(RATE),
        });
    }
    Ok((calls, frames))
}

/// The whole card, interleaved: the lines as they sound when idle, and the calls over it.
fn mix(calls: &[Spoken], frames: u64) -> Vec<u8> {
    let mut audio = Vec::with_capacity(frames as usize * usize::from(CHANNELS) * 2);
    for frame in 0..frames {
        for channel in 1..=CHANNELS {
            let talk: i16 = calls
                .iter()
                .filter(|spoken| spoken.call.channel == channel)
                .filter_map(|spoken| {
                    let at = frame.checked_sub(spoken.call.first_frame)?;
                    spoken.talk.get(at as usize)
                })
                .sum();
            let sample = noise::idle(channel, RATE, frame).saturating_add(talk);
            audio.extend(sample.to_le_bytes());
        }
    }
    audio
}

/// A digest of everything that decides how the card sounds.
fn made_from() -> Result<String, CardError> {
    let mut sources = speech::versions()?;
    let _ = write!(sources, "{SCRIPT:?}");
    sources += include_str!("card.rs");
    sources += include_str!("card/speech.rs");
    sources += include_str!("noise.rs");
    Ok(hex(sources.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in Sha256::digest(bytes) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level_dbfs(samples: &[i16]) -> f64 {
        let squares = samples
            .iter()
            .map(|&sample| (f64::from(sample) / 32_768.0).powi(2));
        10.0 * (squares.sum::<f64>() / samples.len() as f64).log10()
    }

    /// Everything that the demonstration counts on, on one card, because speaking takes a while.
    #[test]
    fn card_is_as_described() {
        let dir = tempfile::tempdir().unwrap();
        let card = SampleCard::make(dir.path()).unwrap();

        assert_eq!(
            fs::metadata(&card.raw).unwrap().len(),
            card.frames * card.frame_bytes() as u64
        );
        assert!(card.frames <= LONGEST);
        assert_eq!(card.designated().count(), 8);
        assert_eq!(card.calls.iter().filter(|call| !call.designated).count(), 1);
        for channel in 1..=CHANNELS {
            check_channel(&card, channel);
        }

        // The same again, by keeping it and by making it anew.
        let made = fs::metadata(&card.raw).unwrap().modified().unwrap();
        assert_eq!(SampleCard::make(dir.path()).unwrap(), card);
        assert_eq!(fs::metadata(&card.raw).unwrap().modified().unwrap(), made);
        let other = tempfile::tempdir().unwrap();
        assert_eq!(SampleCard::make(other.path()).unwrap().sha256, card.sha256);

        // A damaged one is not taken.
        let mut audio = fs::read(&card.raw).unwrap();
        audio[1000] ^= 1;
        fs::write(&card.raw, audio).unwrap();
        assert!(SampleCard::open(dir.path()).is_none());
        assert_eq!(SampleCard::make(dir.path()).unwrap(), card);
    }

    /// Talk where the description says so, with its pauses, and idle noise everywhere else.
    fn check_channel(card: &SampleCard, channel: u16) {
        let samples = card.samples(channel).unwrap();
        let mut idle_from = 0;
        let mut idle_at_least = LEAD;
        for call in card.calls.iter().filter(|call| call.channel == channel) {
            assert!(call.first_frame - idle_from >= idle_at_least, "{call:?}");
            check_idle(&samples, idle_from, call.first_frame, channel);
            let talk = &samples[call.first_frame as usize..=call.last_frame as usize];
            check_talk(talk);
            idle_from = call.last_frame + 1;
            idle_at_least = 10 * u64::from(RATE);
        }
        assert!(card.frames - idle_from >= TRAIL);
        check_idle(&samples, idle_from, card.frames, channel);
    }

    fn check_idle(samples: &[i16], from: u64, to: u64, channel: u16) {
        for frame in from..to {
            let idle = noise::idle(channel, RATE, frame);
            assert_eq!(
                samples[frame as usize], idle,
                "channel {channel}, frame {frame}"
            );
        }
    }

    /// A call begins and ends with speech, and is never silent for longer than six seconds.
    fn check_talk(talk: &[i16]) {
        let second = RATE as usize;
        assert!(level_dbfs(&talk[..second / 4]) > -40.0);
        assert!(level_dbfs(&talk[talk.len() - second / 4..]) > -40.0);
        let mut silent = 0;
        for block in talk.chunks(second / 10) {
            silent = if level_dbfs(block) < -50.0 {
                silent + block.len()
            } else {
                0
            };
            assert!(
                silent <= 6 * second + second / 5,
                "silent for {silent} frames"
            );
        }
    }
}
