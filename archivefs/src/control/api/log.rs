//! What goes over the control socket about the audit log. The words of events and results are those of
//! tsuwaroku-audit(5).

use crate::audit::{AuditFinding, Body, Event, Outcome, Report, Who};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use ulid::Ulid;

/// `GET` with [`LogRequest`] as the query: [`LogEvent`]s, one JSON text a line.
pub const LOG: &str = "/v1/log";
/// `POST` with [`LogVerifyRequest`]: [`LogVerifyEvent`]s, one JSON text a line.
pub const LOG_VERIFY: &str = "/v1/log/verify";
/// `POST` with nothing: [`LogCheckpoint`].
pub const LOG_CHECKPOINT: &str = "/v1/log/checkpoint";
/// `POST` with nothing: [`LogRotated`].
pub const LOG_ROTATE: &str = "/v1/log/rotate";

/// Records in an answer when the request does not say.
pub const USUAL_RECORDS: u32 = 100;
/// Largest body of a [`LogVerifyRequest`], bytes: the checkpoints of some two years of an office that
/// is busy all day.
pub const MOST_CHECKPOINTS: usize = 64 << 20;

/// How the audit log is; part of the status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogStatus {
    /// Records in it.
    pub records: u64,
    /// The last checkpoint that was issued.
    pub checkpoint: Option<LastCheckpoint>,
    /// Why nothing can be written into it, if so: nobody may listen then.
    pub unwritten: Option<String>,
    /// Outside files that cannot be given checkpoints.
    pub troubles: Vec<CheckpointTrouble>,
}

/// The last checkpoint that was issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastCheckpoint {
    /// When.
    pub at: DateTime<Utc>,
    /// Records that it covers.
    pub records: u64,
}

/// An outside file that cannot be given checkpoints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointTrouble {
    /// The file.
    pub file: String,
    /// Why not.
    pub reason: String,
}

/// Which records to list; everything given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogRequest {
    /// Who asked: the name of the account, or its uid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// About this recording.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<Ulid>,
    /// About this designated number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// Of this event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Event>,
    /// With this result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Outcome>,
    /// At or after this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<DateTime<Utc>>,
    /// Before this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<DateTime<Utc>>,
    /// At most this many; [`USUAL_RECORDS`] if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// A line of the list, newest first. The last line is `Done` or `Failed`; an answer that ends with
/// neither was cut off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogEvent {
    /// A record.
    Record(Box<LogRecord>),
    /// It is over.
    Done(LogEnd),
    /// It could not be finished.
    Failed(String),
}

/// The end of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEnd {
    /// Whether older records were not looked at, because there were as many as was asked for.
    pub more: bool,
}

/// A record of the log. One whose bytes cannot be read has nothing but `seq` and `trouble`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRecord {
    /// Its number.
    pub seq: u64,
    /// When.
    pub at: Option<DateTime<Utc>>,
    /// What happened.
    pub event: Option<Event>,
    /// With what result.
    pub result: Option<Outcome>,
    /// Who asked; none if the archive did it by itself.
    pub actor: Option<Who>,
    /// Which recording.
    pub recording: Option<Ulid>,
    /// Which designated number.
    pub number: Option<String>,
    /// Under which application.
    pub application: Option<String>,
    /// More.
    pub facts: BTreeMap<String, String>,
    /// More, that may be erased: empty if there was nothing, or nothing is left.
    pub private: Body,
    /// Whether something private was there and was erased.
    pub erased: bool,
    /// What is wrong with it, as far as it is seen without verifying the log.
    pub trouble: Option<String>,
}

/// How to verify the log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogVerifyRequest {
    /// Verification keys to believe; without any the key that the first record names is believed.
    #[serde(default)]
    pub keys: Vec<String>,
    /// Checkpoints that were kept outside.
    #[serde(default)]
    pub checkpoints: Vec<OutsideNote>,
}

/// A checkpoint that was kept outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutsideNote {
    /// Where it was kept, for the findings.
    pub source: String,
    /// The signed note.
    pub note: String,
}

/// A line of the answer to a verification of the log. The last line is `Done` or `Failed`; an answer
/// that ends with neither was cut off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogVerifyEvent {
    /// How far it is.
    Progress(LogProgress),
    /// Something is wrong.
    Finding(AuditFinding),
    /// It is over.
    Done(LogVerified),
    /// It could not be finished.
    Failed(String),
}

/// How far a verification of the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogProgress {
    /// Rows read.
    pub read: u64,
    /// Rows in all, as far as is known.
    pub total: u64,
}

/// What a verification of the log has shown, but for its findings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogVerified {
    /// The number of the last record.
    pub records: u64,
    /// A signature proves the records up to this one, but for the findings; 0 for none.
    pub confirmed: u64,
    /// Records beside which something private was erased.
    pub erased: u64,
    /// Checkpoints that agree with the records.
    pub agreeing: u64,
    /// How many of them were kept outside.
    pub outside: u64,
    /// Checkpoints that could not be compared because of what was found.
    pub unchecked: u64,
    /// The key that signs at the end of the log.
    pub key: Option<String>,
    /// Whether a key was given. Otherwise the log was believed about its own key.
    pub key_given: bool,
    /// Findings.
    pub findings: u64,
}

impl LogVerified {
    /// What `report` says; `key_given` if the verifier was given a key.
    pub fn of(report: &Report, key_given: bool) -> Self {
        Self {
            records: report.records,
            confirmed: report.confirmed,
            erased: report.erased,
            agreeing: report.agreeing,
            outside: report.outside,
            unchecked: report.unchecked,
            key: report.key.clone(),
            key_given,
            findings: report.findings.len() as u64 + report.more,
        }
    }
}

/// A checkpoint that was issued because somebody asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogCheckpoint {
    /// When.
    pub at: DateTime<Utc>,
    /// Records that it covers.
    pub records: u64,
    /// The signed note.
    pub note: String,
    /// The key that verifies it.
    pub key: String,
}

/// The log has a new signing key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRotated {
    /// The record that names it.
    pub record: u64,
    /// The key that verifies what is signed from now on.
    pub key: String,
    /// The checkpoint of exactly so many records, by which the key before vouches for the new one.
    pub note: String,
}
