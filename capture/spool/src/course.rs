//! Which record may follow which, and what its values may be. Pure.
//!
//! Asked by the writer before it writes and by the reader after the bytes are checked, so that
//! nothing can be written that would be refused later.

use std::ops::RangeInclusive;

use crate::error::Wrong;
use crate::record::{Digits, End, Gap, Record, Start};

/// Most gap records in one entry: bounds a reader's memory.
pub const MAX_GAPS: usize = 100_000;
/// Most digit records in one entry: bounds a reader's memory.
pub const MAX_DIGITS: usize = 10_000;
/// Longest recording, gaps included, seconds: a week. A stated gap costs no bytes in the spool but
/// becomes silence in the archive, so it must be bounded.
pub const MAX_SECONDS: u64 = 7 * 24 * 60 * 60;
/// Most channels.
pub const MAX_CHANNELS: usize = 64;
/// Rates, Hz.
pub const RATES: RangeInclusive<u32> = 1_000..=384_000;
/// Longest line, card or recorder name, and longest digit string, bytes.
pub const MAX_NAME_BYTES: usize = 256;

/// An entry's records so far.
#[derive(Debug)]
pub(crate) struct Course {
    start: Start,
    frame_bytes: usize,
    frames: u64,
    gaps: usize,
    digits: usize,
    ended: bool,
}

impl Course {
    /// The course of an entry that begins with `start`.
    pub fn begin(start: Start) -> Result<Self, Wrong> {
        check_start(&start).map_err(Wrong::Start)?;
        Ok(Self {
            frame_bytes: start.frame_bytes(),
            start,
            frames: 0,
            gaps: 0,
            digits: 0,
            ended: false,
        })
    }

    /// The first record.
    pub fn start(&self) -> &Start {
        &self.start
    }

    /// Bytes of one frame; at least 1.
    pub fn frame_bytes(&self) -> usize {
        self.frame_bytes
    }

    /// Frames so far, gaps included.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Whether the end record has come.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Takes the next record (after the start), or says why it may not come here and stays as is.
    pub fn accept(&mut self, record: &Record) -> Result<(), Wrong> {
        match record {
            Record::Start(_) => Err(Wrong::SecondStart),
            Record::Audio { at, samples } => self.audio(*at, samples.len()),
            Record::Gap(gap) => self.gap(gap),
            Record::Digits(digits) => self.digits(digits),
            Record::End(end) => self.end(end),
        }
    }

    /// Takes `bytes` of audio at frame `at`.
    pub fn audio(&mut self, at: u64, bytes: usize) -> Result<(), Wrong> {
        if !bytes.is_multiple_of(self.frame_bytes) {
            return Err(Wrong::PartialFrame {
                bytes,
                frame_bytes: self.frame_bytes,
            });
        }
        self.frames = self.advance(at, (bytes / self.frame_bytes) as u64)?;
        Ok(())
    }

    /// Takes a gap.
    pub fn gap(&mut self, gap: &Gap) -> Result<(), Wrong> {
        if self.gaps == MAX_GAPS {
            return Err(Wrong::TooManyGaps);
        }
        self.frames = self.advance(gap.at, gap.frames)?;
        self.gaps += 1;
        Ok(())
    }

    /// Takes digits.
    pub fn digits(&mut self, digits: &Digits) -> Result<(), Wrong> {
        self.still_open()?;
        let known = |c: u8| c.is_ascii_digit() || matches!(c, b'*' | b'#' | b'A'..=b'D');
        let text = digits.digits.as_bytes();
        if text.is_empty() || text.len() > MAX_NAME_BYTES || !text.iter().all(|c| known(*c)) {
            Err(Wrong::DigitText)
        } else if digits.at > self.frames {
            Err(Wrong::DigitsAhead {
                at: digits.at,
                frames: self.frames,
            })
        } else if self.digits == MAX_DIGITS {
            Err(Wrong::TooManyDigits)
        } else {
            self.digits += 1;
            Ok(())
        }
    }

    /// Takes the end.
    pub fn end(&mut self, end: &End) -> Result<(), Wrong> {
        self.still_open()?;
        if end.frames != self.frames {
            return Err(Wrong::EndFrames {
                counted: self.frames,
                stated: end.frames,
            });
        }
        self.ended = true;
        Ok(())
    }

    /// The frames after `frames` more at `at`.
    fn advance(&self, at: u64, frames: u64) -> Result<u64, Wrong> {
        self.still_open()?;
        if frames == 0 {
            return Err(Wrong::Empty);
        }
        if at != self.frames {
            return Err(Wrong::Position {
                expected: self.frames,
                found: at,
            });
        }
        let total = self.frames.checked_add(frames).ok_or(Wrong::TooLong)?;
        (total <= max_frames(&self.start))
            .then_some(total)
            .ok_or(Wrong::TooLong)
    }

    fn still_open(&self) -> Result<(), Wrong> {
        if self.ended {
            return Err(Wrong::AfterEnd);
        }
        Ok(())
    }
}

fn max_frames(start: &Start) -> u64 {
    u64::from(start.rate) * MAX_SECONDS
}

fn check_start(start: &Start) -> Result<(), &'static str> {
    let channels = &start.card_channels;
    let rules = [
        (
            RATES.contains(&start.rate),
            "the rate is not 1000 to 384000 Hz",
        ),
        (
            (1..=MAX_CHANNELS).contains(&channels.len()),
            "there are not 1 to 64 channels",
        ),
        (
            !channels.contains(&0),
            "a channel is 0; channels count from 1",
        ),
        (!start.line.is_empty(), "the line is empty"),
        (
            is_name(&start.line),
            "the line is longer than 256 bytes or has control characters",
        ),
        (
            is_name(&start.card),
            "the card is longer than 256 bytes or has control characters",
        ),
        (
            is_name(&start.recorder),
            "the recorder is longer than 256 bytes or has control characters",
        ),
        (
            start.continues != Some(start.id),
            "the recording continues itself",
        ),
    ];
    let pre_roll = [(
        start.pre_roll <= max_frames(start),
        "the pre-roll is longer than a week",
    )];
    match rules.into_iter().chain(pre_roll).find(|(holds, _)| !holds) {
        Some((_, broken)) => Err(broken),
        None => Ok(()),
    }
}

fn is_name(text: &str) -> bool {
    text.len() <= MAX_NAME_BYTES && !text.chars().any(char::is_control)
}
