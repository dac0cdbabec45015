//! What goes over the control socket: one type a request and a response, used by service and client
//! alike. Times are RFC 3339 in UTC, lengths are seconds. Errors are problem details (RFC 9457).
//! [`log`] has those about the audit log, [`keeping`] those about keys and backups, [`life`] and [`sweep`]
//! those about what happens to recordings as they age.

pub mod keeping;
pub mod life;
pub mod log;
pub mod sweep;

use crate::call::Direction;
use crate::verify::{Finding, Progress};
use chrono::{DateTime, Utc};
use life::LifeStatus;
use log::LogStatus;
use serde::{Deserialize, Serialize};
use tsuwaroku_spool::record::{Encoding, EndReason};
use ulid::Ulid;

/// `GET`: [`Status`].
pub const STATUS: &str = "/v1/status";
/// `GET` with [`FindRequest`] as the query: [`FindResponse`].
pub const RECORDINGS: &str = "/v1/recordings";
/// `POST` with [`VerifyRequest`]: [`VerifyEvent`]s, one JSON text a line.
pub const VERIFY: &str = "/v1/verify";
/// `GET`: [`crate::keys::KeyStatus`].
pub const KEYS: &str = "/v1/keys";

/// Most recordings in one answer.
pub const MOST_FOUND: u32 = 1000;

/// How the device is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The archive's identity.
    pub archive: Ulid,
    /// The daemon's version.
    pub version: String,
    /// When the daemon was started.
    pub since: DateTime<Utc>,
    /// Where the file system is mounted.
    pub mount: String,
    /// Whether the mount answers.
    pub mounted: bool,
    /// Recordings in the archive.
    pub recordings: u64,
    /// Length of all recordings, seconds.
    pub seconds: f64,
    /// Bytes of all WAV files.
    pub wav_bytes: u64,
    /// Bytes that they take in the store.
    pub stored_bytes: u64,
    /// Bytes free where the store is.
    pub free_bytes: u64,
    /// Start of the newest recording.
    pub newest: Option<DateTime<Utc>>,
    /// Entries that wait in the spool.
    pub waiting: u64,
    /// Recordings archived since the daemon was started.
    pub archived: u64,
    /// Why the oldest waiting entry cannot be taken, if it cannot.
    pub trouble: Option<Trouble>,
    /// What is wrong with files of the store, until it is mended.
    pub findings: Vec<Finding>,
    /// Entries that were refused.
    pub quarantined: Vec<Quarantined>,
    /// How the audit log is.
    pub log: LogStatus,
    /// How it stands with what is to be moved, held and erased.
    pub life: LifeStatus,
}

impl Status {
    /// Whether somebody has to look.
    pub fn needs_attention(&self) -> bool {
        !self.mounted
            || self.trouble.is_some()
            || !self.quarantined.is_empty()
            || !self.findings.is_empty()
            || self.log.unwritten.is_some()
            || !self.log.troubles.is_empty()
            || self.life.needs_attention()
    }
}

/// Why ingest is held up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// When it was last found.
    pub at: DateTime<Utc>,
    /// What it is.
    pub reason: String,
}

/// An entry of the spool that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// Its file.
    pub name: String,
    /// Its length, bytes.
    pub bytes: u64,
    /// Why it was refused.
    pub reason: String,
    /// When.
    pub since: DateTime<Utc>,
}

/// What to look for; everything given must hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FindRequest {
    /// The designated number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// Started at or after this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<DateTime<Utc>>,
    /// Started before this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<DateTime<Utc>>,
    /// The other party's number, or its beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_party: Option<String>,
    /// At least this long, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_seconds: Option<f64>,
    /// At most this long, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_seconds: Option<f64>,
    /// The recording with this identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Ulid>,
    /// Only what comes after this recording: the last one of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Ulid>,
    /// At most this many; at most [`MOST_FOUND`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// One page of what was found, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FindResponse {
    /// The recordings.
    pub recordings: Vec<Found>,
    /// Whether there is more after the last one.
    pub more: bool,
}

/// A recording that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// Its identity.
    pub id: Ulid,
    /// The designated number.
    pub number: String,
    /// When it starts.
    pub start: DateTime<Utc>,
    /// Its length, seconds.
    pub seconds: f64,
    /// Which way the call went.
    pub direction: Direction,
    /// The other party's number, where known.
    pub other_party: Option<String>,
    /// Frames a second, Hz.
    pub rate: u32,
    /// Channels.
    pub channels: u16,
    /// How samples are written.
    pub encoding: Encoding,
    /// Seconds that were lost.
    pub gap_seconds: f64,
    /// Why it ended.
    pub end: EndReason,
    /// SHA-256 of its WAV file, hexadecimal.
    pub sha256: String,
    /// Its file below the mount point.
    pub path: String,
}

/// What to verify: one recording, or a stretch of time, or everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifyRequest {
    /// Only this recording.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<Ulid>,
    /// Only what started at or after this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<DateTime<Utc>>,
    /// Only what started before this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<DateTime<Utc>>,
    /// Only whether every object is there and as long as it should be: all of them, nothing is read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub metadata: bool,
}

/// A line of the answer to a verification. The last line is `Done`; an answer that ends without it
/// was cut off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VerifyEvent {
    /// How far it is.
    Progress(Progress),
    /// Something is wrong.
    Finding(Finding),
    /// It is over.
    Done(Progress),
    /// It could not be finished.
    Failed(String),
}

/// An error (RFC 9457): what failed, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What kind of error, one word for programs.
    #[serde(rename = "type")]
    pub kind: String,
    /// What kind of error, for people.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What failed here.
    pub detail: String,
    /// What to do about it.
    pub advice: String,
}
