//! What a line has heard and not yet parted with: the pre-roll of a call to come, or the end of a
//! running one.
//!
//! What lives here: a queue of audio and gaps addressed by the card's frames. What does not: any
//! decision; `line`, its only owner, bounds it. It is memory only: what falls off is gone. Samples
//! are not copied on their way through it, unless a piece lies across two of them.

use crate::samples::Samples;
use std::collections::VecDeque;
use tsuwaroku_spool::record::GapCause;

/// A stretch of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Interleaved samples in the spool's encoding, whole frames.
    Audio(Samples),
    /// Lost audio.
    Gap {
        /// Its length.
        frames: u64,
        /// Why it was lost.
        cause: GapCause,
    },
}

/// The stretch of a line from frame [`Tape::start`] to frame [`Tape::end`].
#[derive(Debug)]
pub struct Tape {
    frame_bytes: usize,
    start: u64,
    end: u64,
    /// As they came; neighbouring gaps of one cause are one.
    pieces: VecDeque<Piece>,
}

impl Tape {
    /// An empty tape that begins at frame `start`.
    pub fn new(frame_bytes: usize, start: u64) -> Self {
        Self {
            frame_bytes,
            start,
            end: start,
            pieces: VecDeque::new(),
        }
    }

    /// The first frame it holds.
    #[cfg(test)]
    pub fn start(&self) -> u64 {
        self.start
    }

    /// The frame after the last one it holds.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The frame after the last audio: where a gap begins that may still grow, or the end.
    pub fn audio_end(&self) -> u64 {
        match self.pieces.back() {
            Some(Piece::Gap { frames, .. }) => self.end - frames,
            _ => self.end,
        }
    }

    /// Appends interleaved samples: whole frames.
    pub fn audio(&mut self, samples: Samples) {
        self.end += (samples.len() / self.frame_bytes) as u64;
        if !samples.is_empty() {
            self.pieces.push_back(Piece::Audio(samples));
        }
    }

    /// Appends lost audio.
    pub fn gap(&mut self, frames: u64, cause: GapCause) {
        self.end += frames;
        match self.pieces.back_mut() {
            Some(Piece::Gap {
                frames: last,
                cause: of,
            }) if *of == cause => *last += frames,
            _ if frames > 0 => self.pieces.push_back(Piece::Gap { frames, cause }),
            _ => {}
        }
    }

    /// Forgets everything before frame `start`.
    pub fn forget(&mut self, start: u64) {
        while self.start < start
            && let Some(first) = self.pieces.pop_front()
        {
            let frames = first.frames(self.frame_bytes);
            let gone = frames.min(start - self.start);
            self.start += gone;
            if gone < frames {
                self.pieces
                    .push_front(first.part(gone, frames, self.frame_bytes));
            }
        }
    }

    /// What lies between frames `from` and `to`, as far as it is held, in order: audio without a
    /// gap in it is one piece.
    pub fn read(&self, from: u64, to: u64) -> Vec<Piece> {
        let mut read = Vec::new();
        let mut audio = Vec::new();
        let mut at = self.start;
        for piece in &self.pieces {
            let end = at + piece.frames(self.frame_bytes);
            let (first, last) = (at.max(from), end.min(to));
            if first < last {
                match piece.part(first - at, last - at, self.frame_bytes) {
                    Piece::Audio(samples) => audio.push(samples),
                    gap @ Piece::Gap { .. } => {
                        read.extend(joined(&mut audio));
                        read.push(gap);
                    }
                }
            }
            at = end;
        }
        read.extend(joined(&mut audio));
        read
    }
}

impl Piece {
    /// Its length.
    pub fn frames(&self, frame_bytes: usize) -> u64 {
        match self {
            Self::Audio(samples) => (samples.len() / frame_bytes) as u64,
            Self::Gap { frames, .. } => *frames,
        }
    }

    /// Its frames `from .. to`.
    fn part(&self, from: u64, to: u64, frame_bytes: usize) -> Self {
        let byte = |frame| frame as usize * frame_bytes;
        match self {
            Self::Audio(samples) => Self::Audio(samples.part(byte(from)..byte(to))),
            Self::Gap { cause, .. } => Self::Gap {
                frames: to - from,
                cause: *cause,
            },
        }
    }
}

/// Takes all of `audio` as one piece, by a copy if it is more than one.
fn joined(audio: &mut Vec<Samples>) -> Option<Piece> {
    let samples = match audio.len() {
        0 | 1 => audio.pop()?,
        _ => audio
            .iter()
            .map(|samples| &**samples)
            .collect::<Vec<_>>()
            .concat()
            .into(),
    };
    audio.clear();
    Some(Piece::Audio(samples))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pieces_come_back_in_order_and_cut_anywhere() {
        let mut tape = Tape::new(2, 100);
        tape.audio(vec![1, 1, 2, 2].into());
        tape.audio(vec![3, 3].into());
        tape.gap(5, GapCause::Overrun);
        tape.audio(vec![4, 4].into());
        tape.forget(101);
        assert_eq!((tape.start(), tape.end()), (101, 109));
        let gap = |frames| Piece::Gap {
            frames,
            cause: GapCause::Overrun,
        };
        let audio = |bytes: Vec<u8>| Piece::Audio(bytes.into());
        assert_eq!(tape.read(0, 105), [audio(vec![2, 2, 3, 3]), gap(2)]);
        assert_eq!(tape.read(105, 200), [gap(3), audio(vec![4, 4])]);
        assert_eq!(tape.read(108, 109), [audio(vec![4, 4])]);
        tape.forget(108);
        assert_eq!(tape.read(0, 200), [audio(vec![4, 4])]);
    }

    #[test]
    fn gaps_of_different_causes_stay_apart() {
        let mut tape = Tape::new(1, 0);
        tape.gap(1, GapCause::Overrun);
        tape.gap(2, GapCause::Overrun);
        tape.gap(4, GapCause::Queue);
        let gap = |frames, cause| Piece::Gap { frames, cause };
        assert_eq!(
            tape.read(0, 9),
            [gap(3, GapCause::Overrun), gap(4, GapCause::Queue)]
        );
    }

    fn frames(pieces: Vec<Piece>) -> Vec<Option<u8>> {
        let one = |piece| match piece {
            Piece::Audio(bytes) => bytes.iter().copied().map(Some).collect(),
            Piece::Gap { frames, .. } => vec![None; frames as usize],
        };
        pieces.into_iter().flat_map(one).collect()
    }

    proptest! {
        /// However it is fed and emptied, every frame is at its place.
        #[test]
        fn no_frame_is_lost_or_moved(
            steps in prop::collection::vec((0_u8..3, 0_usize..20), 0..60),
            from: prop::sample::Index,
            to: prop::sample::Index,
        ) {
            let mut tape = Tape::new(1, 0);
            let mut model: Vec<Option<u8>> = Vec::new();
            for (kind, count) in steps {
                match kind {
                    0 => {
                        let samples: Vec<u8> = (0..count).map(|n| (model.len() + n) as u8).collect();
                        model.extend(samples.iter().copied().map(Some));
                        tape.audio(samples.into());
                    }
                    1 => {
                        tape.gap(count as u64, GapCause::Queue);
                        model.extend(vec![None; count]);
                    }
                    _ => tape.forget(tape.start() + count as u64),
                }
                prop_assert_eq!(tape.end(), model.len() as u64);
                let start = tape.start() as usize;
                let held = model.len() - start;
                let (from, to) = (start + from.index(held + 1), start + to.index(held + 1));
                let expected = if from < to { &model[from..to] } else { &[] };
                prop_assert_eq!(frames(tape.read(from as u64, to as u64)), expected);
            }
        }
    }
}
