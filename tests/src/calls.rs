//! Finished calls made without a card: entries of the spool as the capture daemon would publish them,
//! for tests that begin at the spool. Called by the end-to-end tests of the archive.

use crate::noise::idle;
use crate::office::LINES;
use std::path::{Path, PathBuf};
use tsuwaroku_spool::{Encoding, EndReason, GapCause, SpoolError, Start, Writer};
use ulid::Ulid;

/// Frames a second of the calls made here, Hz.
pub const RATE: u32 = 8000;

/// One call to be put into the spool: mono, 16 bits, 8 kHz.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeCall {
    /// Its identity; its milliseconds are the call's start.
    pub id: Ulid,
    /// The designated number.
    pub number: String,
    /// The audio.
    pub samples: Vec<i16>,
    /// A gap: frame, and length in frames, between the samples before and after it.
    pub gap: Option<(u64, u64)>,
}

impl MadeCall {
    /// The `n`th call of a test: a second or so of line noise of its own, on the lines in turn, a
    /// minute after the call before, from 2026-11-23 10:00 in Tokyo on.
    pub fn nth(n: u64) -> Self {
        let line = LINES[n as usize % LINES.len()];
        let milliseconds = 1_795_395_600_000 + n * 60_000 + n % 1000;
        Self {
            id: Ulid::from_parts(milliseconds, u128::from(n) << 8 | 0x5A),
            number: line.number.to_owned(),
            samples: (0..u64::from(RATE) + n % 97)
                .map(|at| idle(1, RATE, n * 100_000 + at))
                .collect(),
            gap: None,
        }
    }

    /// The samples as the recording has them: silence where the gap is.
    pub fn recorded(&self) -> Vec<i16> {
        let mut recorded = self.samples.clone();
        if let Some((at, frames)) = self.gap {
            let silence = vec![0; frames as usize];
            recorded.splice(at as usize..at as usize, silence);
        }
        recorded
    }

    /// Publishes it in the spool at `root`, by the product's own writer.
    ///
    /// # Errors
    /// The spool cannot be written.
    pub fn publish(&self, writer: &Writer) -> Result<PathBuf, SpoolError> {
        let started_at = self.id.timestamp_ms() as i64 * 1_000_000;
        let mut call = writer.begin(Start {
            id: self.id,
            line: self.number.clone(),
            card: "made".into(),
            card_channels: vec![1],
            rate: RATE,
            encoding: Encoding::S16,
            started_at,
            pre_roll: 0,
            continues: None,
            recorder: "tsuwaroku-tests".into(),
        })?;
        let bytes = |samples: &[i16]| -> Vec<u8> {
            samples
                .iter()
                .flat_map(|sample| sample.to_le_bytes())
                .collect()
        };
        match self.gap {
            None => call.audio(&bytes(&self.samples))?,
            Some((at, frames)) => {
                let (before, after) = self.samples.split_at(at as usize);
                call.audio(&bytes(before))?;
                call.gap(frames, GapCause::Overrun)?;
                call.audio(&bytes(after))?;
            }
        }
        call.sync()?;
        let seconds = call.frames() as i64 / i64::from(RATE);
        call.finish(started_at + seconds * 1_000_000_000, EndReason::Silence)
    }
}

/// The spool at `root`, to be written.
///
/// # Panics
/// It cannot be opened.
pub fn writer(root: &Path) -> Writer {
    Writer::open(root).expect("the test's spool can be written")
}
