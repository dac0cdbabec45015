//! What is known of one recorded call. The object carries it (so that a store can be read without
//! its catalogue), and the catalogue's row is made from it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tsuwaroku_spool::read::Summary;
use tsuwaroku_spool::record::{Digits, Encoding, EndReason, Gap};
use ulid::Ulid;

/// One recorded call, without its audio.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The recording's identity, given when the call began.
    pub id: Ulid,
    /// The designated number.
    pub number: String,
    /// UTC of the first frame, nanoseconds since 1970.
    pub started_at: i64,
    /// UTC of the end of the last frame, nanoseconds since 1970, by the clock fit at that moment.
    pub ended_at: i64,
    /// Frames, gaps included.
    pub frames: u64,
    /// Frames at the beginning from before the call was noticed.
    pub pre_roll: u64,
    /// How the samples are written.
    pub layout: Layout,
    /// Which way the call went.
    pub direction: Direction,
    /// The other party's number, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_party: Option<String>,
    /// Audio that was lost: silence of the same length stands in the recording.
    pub gaps: Vec<Gap>,
    /// Digits heard.
    pub digits: Vec<Digits>,
    /// Why the recording ended.
    pub end_reason: EndReason,
    /// The recording that this one continues without a gap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<Ulid>,
    /// The PCM it was recorded from.
    pub card: String,
    /// The card's channels, counted from 1, in the order of the recording's channels.
    pub card_channels: Vec<u16>,
    /// Name and version of the program that recorded it.
    pub recorder: String,
}

/// How a recording's samples are written: interleaved, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Frames a second, Hz.
    pub rate: u32,
    /// Channels of a frame.
    pub channels: u16,
    /// How one sample is written.
    pub encoding: Encoding,
}

impl Layout {
    /// Bytes of one frame.
    pub fn frame_bytes(&self) -> usize {
        usize::from(self.channels) * self.encoding.bytes()
    }
}

/// Which way a call went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// From outside to the office.
    In,
    /// From the office to outside.
    Out,
    /// The line gave no sign of it.
    Unknown,
}

impl Call {
    /// The call that a checked spool entry holds.
    pub fn of(entry: &Summary) -> Self {
        let start = &entry.start;
        Self {
            id: start.id,
            number: start.line.clone(),
            started_at: start.started_at,
            ended_at: entry.end.ended_at,
            frames: entry.end.frames,
            pre_roll: start.pre_roll,
            layout: Layout {
                rate: start.rate,
                channels: start.card_channels.len() as u16,
                encoding: start.encoding,
            },
            direction: Direction::Unknown,
            other_party: None,
            gaps: entry.gaps.clone(),
            digits: entry.digits.clone(),
            end_reason: entry.end.reason,
            continues: start.continues,
            card: start.card.clone(),
            card_channels: start.card_channels.clone(),
            recorder: start.recorder.clone(),
        }
    }

    /// Bytes of its audio.
    pub fn audio_bytes(&self) -> u64 {
        self.frames.saturating_mul(self.layout.frame_bytes() as u64)
    }

    /// Frames that were lost.
    pub fn gap_frames(&self) -> u64 {
        self.gaps.iter().map(|gap| gap.frames).sum()
    }

    /// Whether anything is missing from it: lost audio, or an end that was not the call's own.
    pub fn is_degraded(&self) -> bool {
        !self.gaps.is_empty()
            || matches!(self.end_reason, EndReason::Truncated | EndReason::CardLost)
    }
}

/// The moment `nanoseconds` after 1970, UTC.
pub fn time_of(nanoseconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_nanos(nanoseconds)
}
