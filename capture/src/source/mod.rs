//! Where audio comes from.
//!
//! What lives here: the trait [`Source`] and what it gives. Lost audio travels with the audio: each
//! period says what is missing before it, so that frame numbers never slip against the card's clock.
//! `live` is the source of the product, over `alsa`, the only file that names that crate; `script`
//! replays
//! stated bytes and mishaps for tests. `device` calls them, from a thread of its own.

pub mod alsa;
pub mod error;
pub mod live;
pub mod offer;
#[cfg(test)]
pub mod script;

use crate::anchor::Point;
use crate::sample::Layout;
use std::time::Duration;
use tsuwaroku_spool::record::GapCause;

/// What a source was opened with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Params {
    /// The PCM's name.
    pub pcm: String,
    /// Frames a second, Hz.
    pub rate: u32,
    /// How periods lie in memory.
    pub layout: Layout,
    /// The most frames that one period can have.
    pub period_frames: usize,
    /// Frames that the card holds while the daemon is late.
    pub buffer_frames: usize,
}

/// What a new period's room is filled with. Not 0: memory of zeros is only promised by the system.
const UNREAD: u8 = 0x55;

/// A stretch of all channels of a card, and what is missing before it.
#[derive(Debug)]
pub struct Period {
    /// The samples as the card gave them, in the layout of [`Params`]; as long as the layout needs
    /// for `period_frames`, whatever `frames` is.
    pub bytes: Vec<u8>,
    /// The first good frame in `bytes`.
    pub from: usize,
    /// Good frames from there on; 0 when the period tells of lost audio only.
    pub frames: usize,
    /// What was lost before them, in order.
    pub gaps: Gaps,
    /// A pair of frame and UTC, if one was taken with this period.
    pub point: Option<Point>,
}

impl Period {
    /// An empty period with room for what `params` can give. The room is written to, so that the
    /// system gives the memory now, and not page by page while the card waits.
    pub fn new(params: &Params) -> Self {
        Self {
            bytes: vec![UNREAD; params.layout.bytes(params.period_frames)],
            from: 0,
            frames: 0,
            gaps: Gaps::default(),
            point: None,
        }
    }

    /// Makes it empty.
    pub fn clear(&mut self) {
        self.from = 0;
        self.frames = 0;
        self.gaps.clear();
        self.point = None;
    }
}

/// Gaps that follow each other directly. Never allocates: the device thread fills it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gaps {
    gaps: [Option<(u64, GapCause)>; Self::MOST],
}

impl Gaps {
    const MOST: usize = 6;

    /// Appends lost audio. Neighbours of one cause become one; where there is no room for another,
    /// its frames count with the last one, so that the sum always stands.
    pub fn push(&mut self, frames: u64, cause: GapCause) {
        if frames == 0 {
            return;
        }
        let used = self.gaps.iter().flatten().count();
        if let Some((last, last_cause)) = self.gaps[..used].last_mut().and_then(Option::as_mut)
            && (*last_cause == cause || used == Self::MOST)
        {
            *last += frames;
            return;
        }
        self.gaps[used] = Some((frames, cause));
    }

    /// Appends all of `others`.
    pub fn append(&mut self, others: &Self) {
        for (frames, cause) in others.iter() {
            self.push(frames, cause);
        }
    }

    /// Forgets them.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Each one's frames and cause, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, GapCause)> + '_ {
        self.gaps.iter().flatten().copied()
    }

    /// Frames of all of them.
    pub fn frames(&self) -> u64 {
        self.iter().map(|(frames, _)| frames).sum()
    }
}

/// What came of an attempt to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// The period was filled.
    Period,
    /// There was nothing yet.
    Nothing,
    /// There will never be anything again. Only a script ends: a card that is lost may come back.
    #[cfg_attr(not(test), allow(dead_code))]
    End,
}

/// Something that gives periods.
pub trait Source {
    /// What it was opened with; the same as long as it lives, also when the card was away.
    fn params(&self) -> &Params;

    /// Fills `period`, which the caller has cleared; waits at most about `patience` for it. A lost
    /// card is not an error: it gives periods that have only gaps, until the card is back.
    fn read(&mut self, period: &mut Period, patience: Duration) -> Read;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_keep_their_order_causes_and_sum() {
        let mut gaps = Gaps::default();
        gaps.push(0, GapCause::Spool);
        gaps.push(1, GapCause::Overrun);
        gaps.push(2, GapCause::Overrun);
        gaps.push(4, GapCause::Queue);
        let list: Vec<_> = gaps.iter().collect();
        assert_eq!(list, [(3, GapCause::Overrun), (4, GapCause::Queue)]);
        for n in 0..20 {
            gaps.push(
                1,
                if n % 2 == 0 {
                    GapCause::Overrun
                } else {
                    GapCause::Unplugged
                },
            );
        }
        assert_eq!(gaps.frames(), 27);
    }
}
