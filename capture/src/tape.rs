//! What a line has heard and not yet parted with: the pre-roll of a call to come, or the end of a
//! running one.
//!
//! What lives here: a queue of audio and gaps addressed by the card's frames. What does not: any
//! decision; `line`, its only owner, bounds it. It is memory only: what falls off is gone.

use std::collections::VecDeque;
use tsuwaroku_spool::record::GapCause;

/// A stretch of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Interleaved samples in the spool's encoding, whole frames.
    Audio(Vec<u8>),
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
    bytes: VecDeque<u8>,
    runs: VecDeque<Run>,
}

/// Frames of one kind: audio, whose samples are in `bytes`, or a gap.
#[derive(Debug, Clone, Copy)]
struct Run {
    frames: u64,
    gap: Option<GapCause>,
}

impl Tape {
    /// An empty tape that begins at frame `start`.
    pub fn new(frame_bytes: usize, start: u64) -> Self {
        Self {
            frame_bytes,
            start,
            end: start,
            bytes: VecDeque::new(),
            runs: VecDeque::new(),
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
        match self.runs.back() {
            Some(run) if run.gap.is_some() => self.end - run.frames,
            _ => self.end,
        }
    }

    /// Appends interleaved samples: whole frames.
    pub fn audio(&mut self, samples: &[u8]) {
        self.bytes.extend(samples);
        self.run((samples.len() / self.frame_bytes) as u64, None);
    }

    /// Appends lost audio.
    pub fn gap(&mut self, frames: u64, cause: GapCause) {
        self.run(frames, Some(cause));
    }

    fn run(&mut self, frames: u64, gap: Option<GapCause>) {
        self.end += frames;
        match self.runs.back_mut() {
            Some(last) if last.gap == gap => last.frames += frames,
            _ if frames > 0 => self.runs.push_back(Run { frames, gap }),
            _ => {}
        }
    }

    /// Forgets everything before frame `start`.
    pub fn forget(&mut self, start: u64) {
        while let Some(first) = self.runs.front_mut().filter(|_| self.start < start) {
            let frames = first.frames.min(start - self.start);
            if first.gap.is_none() {
                self.bytes.drain(..frames as usize * self.frame_bytes);
            }
            first.frames -= frames;
            self.start += frames;
            if first.frames == 0 {
                self.runs.pop_front();
            }
        }
    }

    /// Copies what lies between frames `from` and `to`, as far as it is held, in order.
    pub fn read(&self, from: u64, to: u64) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let (mut at, mut held_before) = (self.start, 0);
        for run in &self.runs {
            let end = at + run.frames;
            let (first, last) = (at.max(from), end.min(to));
            if first < last {
                pieces.push(match run.gap {
                    Some(cause) => Piece::Gap {
                        frames: last - first,
                        cause,
                    },
                    None => Piece::Audio(self.samples(held_before + first - at, last - first)),
                });
            }
            if run.gap.is_none() {
                held_before += run.frames;
            }
            at = end;
        }
        pieces
    }

    /// Copies `frames` frames of audio, the first of which is number `from` of the audio held.
    fn samples(&self, from: u64, frames: u64) -> Vec<u8> {
        let from = from as usize * self.frame_bytes;
        let to = from + frames as usize * self.frame_bytes;
        let (front, back) = self.bytes.as_slices();
        let border = front.len();
        let mut samples = Vec::with_capacity(to - from);
        samples.extend_from_slice(&front[from.min(border)..to.min(border)]);
        samples.extend_from_slice(&back[from.saturating_sub(border)..to.saturating_sub(border)]);
        samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pieces_come_back_in_order_and_cut_anywhere() {
        let mut tape = Tape::new(2, 100);
        tape.audio(&[1, 1, 2, 2]);
        tape.audio(&[3, 3]);
        tape.gap(5, GapCause::Overrun);
        tape.audio(&[4, 4]);
        tape.forget(101);
        assert_eq!((tape.start(), tape.end()), (101, 109));
        let gap = |frames| Piece::Gap {
            frames,
            cause: GapCause::Overrun,
        };
        assert_eq!(tape.read(0, 105), [Piece::Audio(vec![2, 2, 3, 3]), gap(2)]);
        assert_eq!(tape.read(105, 200), [gap(3), Piece::Audio(vec![4, 4])]);
        assert_eq!(tape.read(108, 109), [Piece::Audio(vec![4, 4])]);
        tape.forget(108);
        assert_eq!(tape.read(0, 200), [Piece::Audio(vec![4, 4])]);
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
            Piece::Audio(bytes) => bytes.into_iter().map(Some).collect(),
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
                        tape.audio(&samples);
                        model.extend(samples.into_iter().map(Some));
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
