//! What goes over the control socket about the keeping of the archive: its keys, and backups of its
//! catalogue.

use crate::backup::Manifest;
use crate::keys::Rotated;
use serde::{Deserialize, Serialize};

/// `POST` with nothing: [`RotateEvent`]s, one JSON text a line.
pub const KEYS_ROTATE: &str = "/v1/keys/rotate";
/// `POST` with [`EscrowRequest`]: [`Escrow`].
pub const KEYS_ESCROW: &str = "/v1/keys/escrow";
/// `POST` with [`BackupRequest`]: [`BackupEvent`]s, one JSON text a line.
pub const BACKUP: &str = "/v1/backup";

/// A line of the answer to a rotation of the keys, which has one; an answer without it was cut off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RotateEvent {
    /// It is over.
    Done(Rotated),
    /// It could not be finished, and is to be done again.
    Failed(String),
}

/// To whom the master key shall be sealed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EscrowRequest {
    /// Recipients as age-keygen(1) prints them, `age1…`; each can open it alone.
    pub recipients: Vec<String>,
}

/// The master key, sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escrow {
    /// Its fingerprint.
    pub master: String,
    /// The sealed key, armored text.
    pub sealed: String,
}

/// Where a backup shall go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupRequest {
    /// The directory, from the root on, which the daemon must be able to write.
    pub directory: String,
}

/// A line of the answer to a backup. The last line is `Done` or `Failed`; an answer that ends with
/// neither was cut off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackupEvent {
    /// How far it is.
    Progress(BackupProgress),
    /// It is there.
    Done(BackupDone),
    /// There is none.
    Failed(String),
}

/// How far a backup is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupProgress {
    /// Pages of the database that are copied.
    pub copied: u64,
    /// Pages of it in all.
    pub total: u64,
}

/// A backup that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupDone {
    /// Its directory.
    pub place: String,
    /// What it is.
    pub manifest: Manifest,
}
