//! One recording as it must be shown: its WAV file, its names and attributes.

use crate::calls::{MadeCall, RATE};
use crate::harness::accounts::{BACK, DESK};
use crate::office::LINES;
use chrono::{DateTime, FixedOffset};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::path::PathBuf;
use ulid::Ulid;

/// Japan is nine hours east of UTC, all year.
const TOKYO: i32 = 9 * 3600;

/// Bytes of the fixed part of `bext` (EBU Tech 3285, section 2.3).
const BEXT: usize = 602;

/// A recording in the mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Its identity.
    pub id: Ulid,
    /// The designated number.
    pub number: String,
    /// The name of its file.
    pub name: String,
    /// Every byte of it.
    pub bytes: Vec<u8>,
    /// Its times: the end of the recording, nanoseconds since 1970.
    pub ended_at: i64,
    /// The group that may read it.
    pub gid: u32,
    /// Its extended attributes.
    pub attributes: [(&'static str, String); 5],
    start: DateTime<FixedOffset>,
}

impl Shown {
    /// `call` when its name is not taken.
    pub(super) fn of(call: &MadeCall) -> Self {
        let start = start_of(call);
        let bytes = wav_of(call);
        let frames = call.recorded().len() as i64;
        let id = call.id.to_string();
        Self {
            id: call.id,
            number: call.number.clone(),
            name: format!("{}-{}.wav", start.format("%H%M%S"), &id[22..]),
            ended_at: call.id.timestamp_ms() as i64 * 1_000_000
                + frames * 1_000_000_000 / i64::from(RATE),
            gid: reader(&call.number),
            attributes: [
                ("user.tsuwaroku.id", id),
                ("user.tsuwaroku.sha256", sha256(&bytes)),
                ("user.tsuwaroku.duration", seconds(frames)),
                ("user.tsuwaroku.end", "silence".into()),
                (
                    "user.tsuwaroku.gap_frames",
                    call.gap.map_or(0, |(_, frames)| frames).to_string(),
                ),
            ],
            bytes,
            start,
        }
    }

    /// Whether both would have the same name.
    pub(super) fn clashes(&self, other: &Self) -> bool {
        let at = |shown: &Self| shown.start.timestamp();
        let tail = |shown: &Self| shown.id.to_string()[22..].to_owned();
        self.number == other.number && at(self) == at(other) && tail(self) == tail(other)
    }

    pub(super) fn name_in_full(&mut self) {
        self.name = format!("{}-{}.wav", self.start.format("%H%M%S"), self.id);
    }

    /// Both its paths, relative to the mount.
    pub fn paths(&self) -> [PathBuf; 2] {
        let day = self.start.format("%Y/%m/%d");
        let (number, name) = (&self.number, &self.name);
        [
            format!("by-date/{day}/{number}/{name}").into(),
            format!("by-number/{number}/{day}/{name}").into(),
        ]
    }

    /// Up to `length` bytes from `offset` on, as a read gives them.
    pub fn range(&self, offset: u64, length: usize) -> &[u8] {
        let start = usize::try_from(offset).map_or(self.bytes.len(), |at| at.min(self.bytes.len()));
        &self.bytes[start..start.saturating_add(length).min(self.bytes.len())]
    }
}

/// The group that reads `number`, as the test's configuration says.
pub(super) fn reader(number: &str) -> u32 {
    if number == LINES[0].number {
        DESK
    } else {
        BACK
    }
}

fn start_of(call: &MadeCall) -> DateTime<FixedOffset> {
    let milliseconds = call.id.timestamp_ms() as i64;
    let tokyo = FixedOffset::east_opt(TOKYO).expect("nine hours are less than a day");
    let utc = DateTime::from_timestamp_millis(milliseconds).expect("a call is of our time");
    utc.with_timezone(&tokyo)
}

fn seconds(frames: i64) -> String {
    let milliseconds = frames * 1000 / i64::from(RATE);
    format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
}

fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The file: RIFF/WAVE with `bext`, `fmt ` and `data`, linear PCM of 16 bits, mono.
fn wav_of(call: &MadeCall) -> Vec<u8> {
    let samples = call.recorded();
    let data: Vec<u8> = samples.iter().flat_map(|one| one.to_le_bytes()).collect();
    let body = [
        b"WAVE".to_vec(),
        chunk(*b"bext", &bext(call)),
        chunk(*b"fmt ", &format()),
        chunk(*b"data", &data),
    ];
    chunk(*b"RIFF", &body.concat())
}

fn chunk(name: [u8; 4], body: &[u8]) -> Vec<u8> {
    let mut out = name.to_vec();
    out.extend_from_slice(&(body.len() as u32).to_le_bytes());
    out.extend_from_slice(body);
    out.resize(out.len().next_multiple_of(2), 0);
    out
}

/// Broadcast extension, version 1 (EBU Tech 3285, section 2.3).
fn bext(call: &MadeCall) -> Vec<u8> {
    use chrono::Timelike;
    let start = start_of(call);
    let midnight = u64::from(start.num_seconds_from_midnight()) * 1000;
    let milliseconds = midnight + u64::from(start.timestamp_subsec_millis());
    let description = format!("Call on {}, recording {}", call.number, call.id);
    let mut body = Vec::new();
    for (text, width) in [
        (description, 256),
        ("Tsuwaroku".to_owned(), 32),
        (call.id.to_string(), 32),
        (start.format("%Y-%m-%d").to_string(), 10),
        (start.format("%H:%M:%S").to_string(), 8),
    ] {
        let end = body.len() + width;
        body.extend_from_slice(text.as_bytes());
        body.resize(end, 0);
    }
    body.extend_from_slice(&(milliseconds * u64::from(RATE) / 1000).to_le_bytes());
    body.extend_from_slice(&1_u16.to_le_bytes());
    body.resize(BEXT, 0);
    let history = format!("A=PCM,F={RATE},W=16,M=mono,T=linear; tsuwaroku-tests\r\n");
    body.extend_from_slice(history.as_bytes());
    body
}

/// `WAVEFORMAT` and the bits of a sample (RFC 2361 names the tag 1).
fn format() -> Vec<u8> {
    let mut body = Vec::new();
    body.extend_from_slice(&1_u16.to_le_bytes());
    body.extend_from_slice(&1_u16.to_le_bytes());
    body.extend_from_slice(&RATE.to_le_bytes());
    body.extend_from_slice(&(RATE * 2).to_le_bytes());
    body.extend_from_slice(&2_u16.to_le_bytes());
    body.extend_from_slice(&16_u16.to_le_bytes());
    body
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wav::Wav;

    #[test]
    fn the_file_is_a_wav_file_of_the_samples() {
        let mut call = MadeCall::nth(5);
        call.gap = Some((100, 7));
        let shown = Shown::of(&call);
        let wav = Wav::parse(&shown.bytes).unwrap();
        assert_eq!(wav.samples_16().unwrap(), call.recorded());
        assert_eq!((wav.channels, wav.rate, wav.bits), (1, RATE, 16));
        assert_eq!(shown.attributes[4].1, "7");
    }

    #[test]
    fn a_range_ends_with_the_file() {
        let shown = Shown::of(&MadeCall::nth(0));
        let end = shown.bytes.len() as u64;
        assert_eq!(
            shown.range(end - 3, 100),
            &shown.bytes[shown.bytes.len() - 3..]
        );
        assert!(shown.range(u64::MAX, usize::MAX).is_empty());
    }
}
