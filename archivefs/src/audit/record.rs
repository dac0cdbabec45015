//! One record of the log: drafted by those who have something to say, numbered and chained by `chain`,
//! kept as bytes, parsed for lists. And the private body beside it, which may be erased without
//! touching the record.

use super::{Hash, hash_of_hex, hex};
use crate::call::time_of;
use chrono::{DateTime, SecondsFormat};
use hmac::{Hmac, KeyInit, Mac};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Sha256;
use std::collections::BTreeMap;
use thiserror::Error;
use ulid::Ulid;

/// Version of the record format that is written, and the newest one that is read.
pub const FORMAT: u32 = 1;
/// Bytes of the salt before a private body: the key length that HMAC-SHA256 is made for (RFC 2104,
/// section 3).
pub const SALT_BYTES: usize = 32;

/// A private body: what must not outlive an erasure, such as the other party's number.
pub type Body = BTreeMap<String, String>;

/// Makes an enum whose members have one word each, and that is written and read as this word.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $member:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$doc])* $member,)+ }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$member,)+];

            /// Its word.
            pub fn word(self) -> &'static str {
                match self { $(Self::$member => $word,)+ }
            }

            /// That of this word.
            pub fn of_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.word() == word)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.word())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.word())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let word = String::deserialize(from)?;
                Self::of_word(&word).ok_or_else(|| D::Error::custom(format!("'{word}' is unknown")))
            }
        }
    };
}

words! {
    /// What happened.
    Event {
        /// The first record of a log; facts `vkey`: the key that signs it.
        LogBegun = "log-begun",
        /// The log has a new signing key; facts `vkey`. The checkpoint of exactly this size is still
        /// signed by the key before, later ones by the new one.
        LogKey = "log-key",
        /// The daemon started.
        Started = "started",
        /// The daemon stopped.
        Stopped = "stopped",
        /// A recording was opened for listening.
        Open = "open",
        /// An open recording was closed; facts say what was served.
        Release = "release",
        /// The recordings of a number were listed.
        List = "list",
        /// Something was to be changed through the mount; facts `op`, `inode`.
        RefusedWrite = "refused-write",
        /// A recording could not be read: damaged, or its disk is gone.
        ReadFailed = "read-failed",
        /// Recordings were searched for.
        Find = "find",
        /// The control service was asked for something; facts `action`.
        Control = "control",
        /// A recording came from the spool into the archive.
        Archived = "archived",
        /// A recording of a former recorder came into the archive.
        Imported = "imported",
        /// A spool entry was refused and set aside.
        Quarantined = "quarantined",
        /// A number is recorded from now on.
        Designated = "designated",
        /// A number is no longer recorded.
        Undesignated = "undesignated",
        /// A recording went to another tier.
        Moved = "moved",
        /// A recording was erased.
        Erased = "erased",
        /// The private bodies of a recording's records were erased.
        PrivateErased = "private-erased",
        /// A recording must not be erased.
        Held = "held",
        /// A hold was lifted.
        HoldReleased = "hold-released",
        /// An application was filed.
        Filed = "filed",
        /// An application was approved.
        Approved = "approved",
        /// An application was turned down.
        Declined = "declined",
        /// Recordings were saved to an external medium.
        Saved = "saved",
        /// A medium was entered, moved, extended or destroyed.
        Medium = "medium",
        /// A report was delivered, or could not be.
        Reported = "reported",
        /// The clock was set, or lost its source.
        Clock = "clock",
        /// Something is wrong in the archive.
        Finding = "finding",
        /// What was wrong is good again.
        Mended = "mended",
        /// The audit log was read.
        LogRead = "log-read",
        /// The audit log was verified; facts say with what result.
        LogVerified = "log-verified",
        /// A checkpoint could not be given to an outside place.
        CheckpointFailed = "checkpoint-failed",
        /// All keys were sealed anew, or the master key went into escrow; facts `action`.
        Keys = "keys",
        /// The catalogue was copied, the log included; facts `place`, `sha256`.
        BackedUp = "backed-up",
        /// The catalogue, the log included, came back from a backup: what was logged after that is lost;
        /// facts `made`, `sha256`, `records`.
        Restored = "restored",
        /// Recordings were entered again from their objects.
        Rebuilt = "rebuilt",
    }
}

words! {
    /// How it ended.
    Outcome {
        /// It was done.
        Done = "done",
        /// It was not allowed.
        Refused = "refused",
        /// It was allowed and did not succeed.
        Failed = "failed",
    }
}

/// Who asked. Uid and gid are the kernel's word; process and executable are evidence only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Who {
    /// The account.
    pub uid: u32,
    /// Its group, of the request.
    pub gid: u32,
    /// The account's name at that time.
    pub name: String,
    /// The process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// What it executed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exe: Option<String>,
}

/// A record before it has its place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// When, UTC, nanoseconds since 1970.
    pub at: i64,
    /// What.
    pub event: Event,
    /// With what result.
    pub result: Outcome,
    /// By whom; none if the archive itself did it.
    pub actor: Option<Who>,
    /// Which recording.
    pub recording: Option<Ulid>,
    /// Which designated number.
    pub number: Option<String>,
    /// Under which application.
    pub application: Option<String>,
    /// More, kept for ever.
    pub facts: BTreeMap<String, String>,
    /// More, kept beside the record and erasable.
    pub private: Body,
}

impl Draft {
    /// `event` ended as `result`, at `at` (UTC, nanoseconds since 1970).
    pub fn new(at: i64, event: Event, result: Outcome) -> Self {
        Self {
            at,
            event,
            result,
            actor: None,
            recording: None,
            number: None,
            application: None,
            facts: BTreeMap::new(),
            private: Body::new(),
        }
    }

    /// It was `who` who asked.
    pub fn by(mut self, who: Who) -> Self {
        self.actor = Some(who);
        self
    }

    /// It is about this recording.
    pub fn on(mut self, recording: Ulid) -> Self {
        self.recording = Some(recording);
        self
    }

    /// It is about this designated number.
    pub fn of_number(mut self, number: &str) -> Self {
        self.number = Some(number.to_owned());
        self
    }

    /// It was done under this application.
    pub fn under(mut self, application: &str) -> Self {
        self.application = Some(application.to_owned());
        self
    }

    /// Adds a fact, which is kept for ever: no personal data of those who were recorded.
    #[allow(clippy::needless_pass_by_value)] // numbers and texts alike, as they are at hand
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.facts.insert(name.to_owned(), value.to_string());
        self
    }

    /// Adds something that is kept beside the record, and can be erased.
    #[allow(clippy::needless_pass_by_value)] // numbers and texts alike, as they are at hand
    pub fn hidden(mut self, name: &str, value: impl ToString) -> Self {
        self.private.insert(name.to_owned(), value.to_string());
        self
    }
}

/// A record of the log. The order of the fields is that of the JSON, which is what is chained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Version of the format, [`FORMAT`].
    #[serde(rename = "v")]
    pub version: u32,
    /// Its number, counted from 1.
    pub seq: u64,
    /// When, UTC, nanoseconds since 1970; in JSON as of RFC 3339 with nine decimals.
    #[serde(with = "moment")]
    pub at: i64,
    /// SHA-256 of the record before, of its bytes as they are stored; zeros in the first one.
    #[serde(with = "hexadecimal")]
    pub prev: Hash,
    /// What happened.
    pub event: Event,
    /// How it ended.
    pub result: Outcome,
    /// Who asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Who>,
    /// Which recording.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<Ulid>,
    /// Which designated number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// Under which application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// More.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
    /// What the private body must match, see [`commit`].
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "hexadecimal_if_any"
    )]
    pub private: Option<Hash>,
}

/// Bytes that are no record.
#[derive(Debug, Error)]
pub enum RecordError {
    /// Not JSON, or not that of a record.
    #[error("this is no record: {0}")]
    Malformed(#[from] serde_json::Error),
    /// A record, written otherwise than this program and its predecessors write it.
    #[error("this record is not written in the one form that a record has")]
    NotCanonical,
    /// A version of the format that this program does not know.
    #[error("this record has version {0} of the format: read it with a newer tsuwaroku")]
    Future(u32),
}

impl Record {
    /// The one form of it, as it is stored and chained.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a record is plain data")
    }

    /// The record that is stored as `bytes`. Strict: no other names, no other form, no other version.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        let version: Version = serde_json::from_slice(bytes)?;
        if version.v != FORMAT {
            return Err(RecordError::Future(version.v));
        }
        let record: Self = serde_json::from_slice(bytes)?;
        if record.to_bytes() == bytes {
            Ok(record)
        } else {
            Err(RecordError::NotCanonical)
        }
    }
}

#[derive(Deserialize)]
struct Version {
    v: u32,
}

/// What is stored of a private body, and what the record says of it.
///
/// Stored is `salt`, then the JSON of `body`; the commitment is HMAC-SHA256 (RFC 2104) of this JSON
/// under the salt. Without the stored bytes the commitment tells nothing of the body.
pub fn commit(salt: [u8; SALT_BYTES], body: &Body) -> (Vec<u8>, Hash) {
    let json = serde_json::to_vec(body).expect("a map of texts is plain data");
    let commitment = mac(&salt, &json).finalize().into_bytes().into();
    ([salt.as_slice(), &json].concat(), commitment)
}

fn mac(salt: &[u8; SALT_BYTES], json: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(salt).expect("a key may have any length");
    mac.update(json);
    mac
}

/// What is kept beside a record is not what the record was written with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("what is kept beside the record is not what it was written with")]
pub struct PrivateError;

/// The private body stored as `stored` beside a record with this commitment.
pub fn open_private(stored: &[u8], commitment: Option<&Hash>) -> Result<Body, PrivateError> {
    let (salt, json) = stored.split_first_chunk().ok_or(PrivateError)?;
    let commitment = commitment.ok_or(PrivateError)?;
    mac(salt, json)
        .verify_slice(commitment)
        .map_err(|_| PrivateError)?;
    serde_json::from_slice(json).map_err(|_| PrivateError)
}

/// Nanoseconds since 1970 as RFC 3339 with nine decimals, UTC as `Z`.
mod moment {
    use super::{DateTime, Deserialize, Deserializer, SecondsFormat, Serializer, time_of};
    use serde::de::Error as _;

    #[allow(clippy::trivially_copy_pass_by_ref)] // the form that serde calls
    pub fn serialize<S: Serializer>(at: &i64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&time_of(*at).to_rfc3339_opts(SecondsFormat::Nanos, true))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
        let text = String::deserialize(from)?;
        let time = DateTime::parse_from_rfc3339(&text).map_err(D::Error::custom)?;
        let at = time.timestamp_nanos_opt();
        at.ok_or_else(|| D::Error::custom("a time too far from 1970"))
    }
}

/// A digest as 64 hexadecimal digits.
pub(super) mod hexadecimal {
    use super::{Deserialize, Deserializer, Hash, Serializer, hash_of_hex, hex};
    use serde::de::Error as _;

    pub fn serialize<S: Serializer>(hash: &Hash, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&hex(hash))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Hash, D::Error> {
        let text = String::deserialize(from)?;
        hash_of_hex(&text).ok_or_else(|| D::Error::custom("not 64 hexadecimal digits"))
    }
}

/// The same of a digest that may be absent.
pub(super) mod hexadecimal_if_any {
    use super::{Deserializer, Hash, Serialize, Serializer, hex, hexadecimal};

    #[allow(clippy::ref_option)] // the form that serde calls
    pub fn serialize<S: Serializer>(hash: &Option<Hash>, to: S) -> Result<S::Ok, S::Error> {
        hash.map(|hash| hex(&hash)).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Hash>, D::Error> {
        hexadecimal::deserialize(from).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Record {
        Record {
            version: FORMAT,
            seq: 17,
            at: 1_795_396_530_123_456_789,
            prev: [0xAB; 32],
            event: Event::Open,
            result: Outcome::Done,
            actor: Some(Who {
                uid: 1001,
                gid: 100,
                name: "sato".into(),
                pid: Some(4711),
                exe: Some("/usr/bin/naut\"ilus\n".into()),
            }),
            recording: Some(Ulid::from_parts(1_795_396_530_123, 7)),
            number: Some("06-6458-1132".into()),
            application: Some("申請1".into()),
            facts: BTreeMap::from([("zone".into(), "1".into()), ("bytes".into(), "2".into())]),
            private: Some([1; 32]),
        }
    }

    #[test]
    fn a_record_is_one_line_of_json_in_a_fixed_order() {
        let hex_prev = "ab".repeat(32);
        let hex_private = "01".repeat(32);
        let expected = format!(
            "{{\"v\":1,\"seq\":17,\"at\":\"2026-11-23T01:15:30.123456789Z\",\"prev\":\"{hex_prev}\",\
             \"event\":\"open\",\"result\":\"done\",\"actor\":{{\"uid\":1001,\"gid\":100,\
             \"name\":\"sato\",\"pid\":4711,\"exe\":\"/usr/bin/naut\\\"ilus\\n\"}},\
             \"recording\":\"01M82ZHVYB0000000000000007\",\"number\":\"06-6458-1132\",\
             \"application\":\"申請1\",\"facts\":{{\"bytes\":\"2\",\"zone\":\"1\"}},\
             \"private\":\"{hex_private}\"}}"
        );
        assert_eq!(String::from_utf8(full().to_bytes()).unwrap(), expected);
        assert_eq!(Record::parse(expected.as_bytes()).unwrap(), full());
    }

    #[test]
    fn what_is_absent_is_left_out() {
        let bare = Record {
            actor: None,
            recording: None,
            number: None,
            application: None,
            facts: BTreeMap::new(),
            private: None,
            ..full()
        };
        let text = String::from_utf8(bare.to_bytes()).unwrap();
        assert!(
            text.ends_with("\"event\":\"open\",\"result\":\"done\"}"),
            "{text}"
        );
        assert_eq!(Record::parse(text.as_bytes()).unwrap(), bare);
    }

    #[test]
    fn only_the_one_form_is_read() {
        let text = String::from_utf8(full().to_bytes()).unwrap();
        let refused = |from: &str, to: &str| {
            let other = text.replacen(from, to, 1);
            assert_ne!(other, text, "{from} is not there");
            Record::parse(other.as_bytes()).unwrap_err()
        };
        assert!(matches!(
            refused(",\"seq\"", ", \"seq\""),
            RecordError::NotCanonical
        ));
        assert!(matches!(
            refused("789Z", "789+00:00"),
            RecordError::NotCanonical
        ));
        assert!(matches!(
            refused("\"open\"", "\"opened\""),
            RecordError::Malformed(_)
        ));
        assert!(matches!(
            refused("\"facts\"", "\"fact\""),
            RecordError::Malformed(_)
        ));
        assert!(matches!(
            refused("\"prev\":\"ab", "\"prev\":\"AB"),
            RecordError::Malformed(_)
        ));
        assert!(matches!(
            refused("\"v\":1", "\"v\":2"),
            RecordError::Future(2)
        ));
    }

    #[test]
    fn words_are_told_apart() {
        for event in Event::ALL {
            assert_eq!(Event::of_word(event.word()), Some(*event));
        }
        assert_eq!(Outcome::of_word("refused"), Some(Outcome::Refused));
        assert_eq!(Event::of_word("opened"), None);
    }

    /// Test case 2 of RFC 4231 has another key length, so this one was computed with `openssl dgst
    /// -sha256 -mac HMAC`.
    #[test]
    fn the_commitment_is_an_hmac_under_the_salt() {
        let body = Body::from([("party".into(), "0312345678".into())]);
        let (stored, commitment) = commit([0x0B; 32], &body);
        assert_eq!(&stored[32..], b"{\"party\":\"0312345678\"}");
        assert_eq!(
            hex(&commitment),
            "5de5a7e3005e12feb57e94f5de37857710c263dfdf0bc51a8a755866ffa64a53"
        );
        assert_eq!(open_private(&stored, Some(&commitment)), Ok(body));
    }

    #[test]
    fn a_body_that_is_not_the_one_committed_to_is_refused() {
        let body = Body::from([("party".into(), "0312345678".into())]);
        let (stored, commitment) = commit([7; 32], &body);
        assert_eq!(open_private(&stored, None), Err(PrivateError));
        assert_eq!(open_private(&[], Some(&commitment)), Err(PrivateError));
        for at in 0..stored.len() {
            let mut other = stored.clone();
            other[at] ^= 1;
            let opened = open_private(&other, Some(&commitment));
            assert_eq!(opened, Err(PrivateError), "byte {at}");
        }
    }
}
