//! What a spool entry says, record by record.
//!
//! Only the types live here, with what follows from their values alone. Their bytes are made and
//! read in `format`, the order they must keep is in `course`. Both daemons use these types.

use serde::{Deserialize, Serialize};
use ulid::Ulid;

/// How one sample is written, in the spool and in the recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// Signed 16-bit little-endian.
    S16,
    /// Signed 24-bit little-endian in three bytes.
    S24,
    /// Signed 32-bit little-endian.
    S32,
    /// µ-law of ITU-T G.711.
    MuLaw,
    /// A-law of ITU-T G.711.
    ALaw,
}

impl Encoding {
    /// Bytes of one sample.
    pub const fn bytes(self) -> usize {
        match self {
            Self::S16 => 2,
            Self::S24 => 3,
            Self::S32 => 4,
            Self::MuLaw | Self::ALaw => 1,
        }
    }

    /// The byte that silence is made of: 0, or the code of the smallest positive value in G.711
    /// (µ-law `FFh`, ITU-T G.711 table 2a; A-law `D5h`, table 1a).
    pub const fn silence(self) -> u8 {
        match self {
            Self::S16 | Self::S24 | Self::S32 => 0,
            Self::MuLaw => 0xFF,
            Self::ALaw => 0xD5,
        }
    }
}

/// The first record: what is known when a call begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The recording's identity.
    pub id: Ulid,
    /// The designated number, as configured.
    pub line: String,
    /// The PCM it was recorded from.
    pub card: String,
    /// The card's channels, counted from 1, in the order of the interleaved samples.
    pub card_channels: Vec<u16>,
    /// Frames a second, Hz.
    pub rate: u32,
    /// How the samples are written.
    pub encoding: Encoding,
    /// UTC of the first frame, nanoseconds since 1970.
    pub started_at: i64,
    /// Frames at the beginning that lie before the moment at which the call was noticed.
    pub pre_roll: u64,
    /// The recording that this one continues without a gap, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<Ulid>,
    /// Name and version of the program that recorded.
    pub recorder: String,
}

impl Start {
    /// Bytes of one frame.
    pub fn frame_bytes(&self) -> usize {
        self.card_channels.len() * self.encoding.bytes()
    }

    /// UTC of the end of frame `frames - 1` by the nominal rate, nanoseconds since 1970: for
    /// recordings whose clock fit died with the daemon. Saturates at the ends of `i64`.
    pub fn time_after(&self, frames: u64) -> i64 {
        let length = i128::from(frames) * 1_000_000_000 / i128::from(self.rate.max(1));
        let end = i128::from(self.started_at) + length;
        end.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }
}

/// Audio that was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Frame of the recording at which it begins, frames from the first one.
    pub at: u64,
    /// Its length, frames.
    pub frames: u64,
    /// Why it was lost.
    pub cause: GapCause,
}

/// Why audio was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapCause {
    /// The daemon read too late and the card's buffer was overwritten.
    Overrun,
    /// The card was unplugged or failed.
    Unplugged,
    /// The daemon's own queue was full.
    Queue,
    /// The spool could not be written (a full or failing disk) for longer than memory could bridge.
    Spool,
}

/// A dialled or signalled digit string heard on the line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digits {
    /// Frame of the recording at which the first digit began.
    pub at: u64,
    /// The digits: 0–9, `*`, `#`, A–D.
    pub digits: String,
}

/// The last record: what is known when a call has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Frames of the recording, gaps included.
    pub frames: u64,
    /// UTC of the end of the last frame by the clock fit at that moment, nanoseconds since 1970.
    pub ended_at: i64,
    /// Why it ended.
    pub reason: EndReason,
}

/// Why a recording ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndReason {
    /// The line fell silent.
    Silence,
    /// The greatest length was reached; another recording continues it.
    MaximumLength,
    /// The card was lost and did not come back in time.
    CardLost,
    /// The daemon was stopped.
    Shutdown,
    /// The daemon or the machine died; closed when the daemon started again.
    Truncated,
}

/// One record of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// The first record.
    Start(Start),
    /// Interleaved samples: whole frames in the entry's encoding, beginning at frame `at`.
    Audio {
        /// Frame of the recording that the first sample belongs to.
        at: u64,
        /// The samples.
        samples: Vec<u8>,
    },
    /// Lost audio.
    Gap(Gap),
    /// Digits heard.
    Digits(Digits),
    /// The last record.
    End(End),
}
