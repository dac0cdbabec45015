//! A finished call of the spool as a test compares it: audio in one piece, gap, audio in one piece.
//! Called by the tests and the demonstration.

use crate::wav::samples_16;
use std::path::Path;
use tsuwaroku_spool::{Encoding, End, Entry, EntryFault, Gap, Record, Start};

/// A finished call with one channel of `S16_LE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Its first record.
    pub start: Start,
    /// Its last record.
    pub end: End,
    /// Its gaps, in order.
    pub gaps: Vec<Gap>,
    /// The audio between them, in order; a piece is never empty.
    pub pieces: Vec<Piece>,
}

/// Audio without a gap in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Frame of the recording at which it begins.
    pub at: u64,
    /// The samples.
    pub samples: Vec<i16>,
}

impl Recorded {
    /// Reads and checks the spool entry at `path`.
    ///
    /// # Errors
    /// It breaks a rule of the format.
    ///
    /// # Panics
    /// It has more than one channel or another encoding: no test expects that here.
    pub fn read(path: &Path) -> Result<Self, EntryFault> {
        let mut entry = Entry::open(path)?;
        let summary = entry.check()?;
        assert_eq!(summary.start.card_channels.len(), 1, "{}", path.display());
        assert_eq!(summary.start.encoding, Encoding::S16, "{}", path.display());
        let mut pieces = Vec::new();
        for record in entry.records()? {
            if let Record::Audio { at, samples } = record? {
                append(&mut pieces, at, &samples_16(&samples));
            }
        }
        let (start, end, gaps) = (summary.start, summary.end, summary.gaps);
        Ok(Self {
            start,
            end,
            gaps,
            pieces,
        })
    }

    /// The card's channel that it was recorded from, counted from 1.
    pub fn channel(&self) -> u16 {
        self.start.card_channels[0]
    }
}

fn append(pieces: &mut Vec<Piece>, at: u64, samples: &[i16]) {
    match pieces.last_mut() {
        Some(piece) if piece.at + piece.samples.len() as u64 == at => piece.samples.extend(samples),
        _ if samples.is_empty() => {}
        _ => pieces.push(Piece {
            at,
            samples: samples.to_vec(),
        }),
    }
}
