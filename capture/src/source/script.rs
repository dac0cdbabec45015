//! A source that replays a script, for tests: stated audio, overruns, unplugs, and an end.
//!
//! Time is counted in frames: a script runs as fast as it is read.

use super::{Params, Period, Read, Source};
use crate::anchor::Point;
use crate::sample::{Layout, stored_bytes};
use std::collections::VecDeque;
use std::time::Duration;
use tsuwaroku_config::Format;
use tsuwaroku_spool::record::GapCause;

/// One act of a script.
#[derive(Debug, Clone)]
pub enum Act {
    /// Interleaved audio of all channels.
    Audio(Vec<u8>),
    /// Frames that were lost: an overrun, an unplugged card.
    Lost(u64, GapCause),
}

/// The source.
#[derive(Debug)]
pub struct Script {
    params: Params,
    acts: VecDeque<Act>,
    position: u64,
    /// UTC of frame 0, nanoseconds.
    began: i64,
}

impl Script {
    /// A script of a card with `channels` channels.
    pub fn new(format: Format, channels: usize, rate: u32, acts: Vec<Act>) -> Self {
        let layout = Layout {
            format,
            channels,
            plane: None,
        };
        let params = Params {
            pcm: "script".to_owned(),
            rate,
            layout,
            period_frames: rate as usize / 8,
            buffer_frames: rate as usize * 4,
        };
        Self {
            params,
            acts: acts.into(),
            position: 0,
            began: BEGAN,
        }
    }

    fn play(&mut self, mut audio: Vec<u8>, period: &mut Period) {
        let layout = self.params.layout;
        let frame_bytes = layout.channels * stored_bytes(layout.format);
        let bytes = audio.len().min(period.bytes.len());
        period.bytes[..bytes].copy_from_slice(&audio[..bytes]);
        period.frames = bytes / frame_bytes;
        let rest = audio.split_off(bytes);
        if !rest.is_empty() {
            self.acts.push_front(Act::Audio(rest));
        }
    }
}

/// UTC of a script's frame 0, nanoseconds since 1970.
pub const BEGAN: i64 = 1_795_400_000_000_000_000;

impl Source for Script {
    fn params(&self) -> &Params {
        &self.params
    }

    fn read(&mut self, period: &mut Period, _patience: Duration) -> Read {
        match self.acts.pop_front() {
            None => return Read::End,
            Some(Act::Lost(frames, cause)) => period.gaps.push(frames, cause),
            Some(Act::Audio(audio)) => self.play(audio, period),
        }
        self.position += period.gaps.frames() + period.frames as u64;
        let ns = i128::from(self.position) * 1_000_000_000 / i128::from(self.params.rate);
        period.point = Some(Point {
            frame: self.position,
            utc: self.began + ns as i64,
        });
        Read::Period
    }
}
