//! The bytes of a spool entry, version 1, as tsuwaroku-spool(5) specifies them. Pure.
//!
//! ```text
//! file header  16  magic 8 | version u16 | flags u16 | reserved u32
//! record       16  payload length u32 | kind u8 | reserved 3 | sequence u32 | CRC-32C u32
//!               n  payload: JSON, or for audio: at u64 | interleaved samples
//! ```
//!
//! All integers are little-endian. The CRC runs through the file: it is the CRC-32C of the file
//! header and, of each record up to and with this one, the first 12 header bytes and the payload.
//! So a record cannot be dropped, swapped or taken from another file unnoticed.
//!
//! Which record may follow which is not decided here but in `course`.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::check;
use crate::error::Wrong;
use crate::record::{Digits, End, Gap, Record, Start};

/// The first eight bytes of every entry.
pub const MAGIC: [u8; 8] = *b"TSWSPOOL";
/// The format version this program writes, and the only one it reads.
pub const VERSION: u16 = 1;
/// Bytes of the file header.
pub const FILE_HEADER_BYTES: usize = 16;
/// Bytes of a record header.
pub const RECORD_HEADER_BYTES: usize = 16;
/// Greatest payload of one record, bytes: bounds a reader's memory.
pub const MAX_PAYLOAD: usize = 1 << 20;
/// Bytes in front of the samples of an audio payload: the frame they begin at.
pub(crate) const AUDIO_AT_BYTES: usize = 8;
/// Bytes of a record header that the CRC covers: all in front of the CRC itself.
const CHECKED_HEADER_BYTES: usize = 12;
/// Longest text of a JSON error kept, characters: the payload behind it is untrusted.
const MAX_JSON_ERROR: usize = 200;

/// Record kinds (tsuwaroku-spool(5), *Records*).
pub(crate) mod kind {
    /// [`crate::record::Start`].
    pub const START: u8 = 1;
    /// Samples.
    pub const AUDIO: u8 = 2;
    /// [`crate::record::Gap`].
    pub const GAP: u8 = 3;
    /// [`crate::record::Digits`].
    pub const DIGITS: u8 = 4;
    /// [`crate::record::End`].
    pub const END: u8 = 5;
    /// From here on, a reader that does not know a kind passes it over.
    pub const FIRST_SKIPPABLE: u8 = 128;
}

/// The header of a version 1 file without feature flags.
pub(crate) fn file_header() -> [u8; FILE_HEADER_BYTES] {
    let mut bytes = [0; FILE_HEADER_BYTES];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
    bytes
}

/// Whether a file with this header can be read; every bit of it counts.
pub(crate) fn check_file_header(bytes: &[u8; FILE_HEADER_BYTES]) -> Result<(), Wrong> {
    let version = u16::from_le_bytes([bytes[8], bytes[9]]);
    let flags = u16::from_le_bytes([bytes[10], bytes[11]]);
    if bytes[..8] != MAGIC {
        Err(Wrong::Magic)
    } else if version != VERSION {
        Err(Wrong::Version(version))
    } else if flags != 0 {
        Err(Wrong::Flags(flags))
    } else if bytes[12..] != [0; 4] {
        Err(Wrong::Reserved)
    } else {
        Ok(())
    }
}

/// The place in the file's chain at which the next record goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link {
    /// The next record's sequence number.
    pub sequence: u32,
    /// The CRC of everything before it.
    pub crc: u32,
}

impl Link {
    /// The place of the first record, after the file header.
    pub fn first(header: &[u8; FILE_HEADER_BYTES]) -> Self {
        Self {
            sequence: 0,
            crc: check::append(0, header),
        }
    }

    /// The place after a record with these bytes in front of its CRC and this payload, in parts.
    fn after(self, checked_header: &[u8], payload: &[&[u8]]) -> Result<Self, Wrong> {
        let crc = check::append(self.crc, checked_header);
        Ok(Self {
            sequence: self.sequence.checked_add(1).ok_or(Wrong::TooManyRecords)?,
            crc: payload
                .iter()
                .fold(crc, |crc, part| check::append(crc, part)),
        })
    }

    /// The header of a record of `kind` whose payload is the concatenated `parts`, and the place
    /// after it.
    pub fn header(
        self,
        kind: u8,
        parts: &[&[u8]],
    ) -> Result<([u8; RECORD_HEADER_BYTES], Self), Wrong> {
        let length = parts.iter().map(|part| part.len()).sum::<usize>();
        if length > MAX_PAYLOAD {
            return Err(Wrong::Length(length.try_into().unwrap_or(u32::MAX)));
        }
        let mut header = [0; RECORD_HEADER_BYTES];
        header[..4].copy_from_slice(&(length as u32).to_le_bytes());
        header[4] = kind;
        header[8..CHECKED_HEADER_BYTES].copy_from_slice(&self.sequence.to_le_bytes());
        let next = self.after(&header[..CHECKED_HEADER_BYTES], parts)?;
        header[CHECKED_HEADER_BYTES..].copy_from_slice(&next.crc.to_le_bytes());
        Ok((header, next))
    }

    /// Checks that a record stands where it belongs, undamaged; gives the place after it.
    pub fn check(self, header: &[u8; RECORD_HEADER_BYTES], payload: &[u8]) -> Result<Self, Wrong> {
        let next = self.after(&header[..CHECKED_HEADER_BYTES], &[payload])?;
        let sequence = u32_at(header, 8);
        if u32_at(header, CHECKED_HEADER_BYTES) != next.crc {
            Err(Wrong::Crc)
        } else if header[5..8] != [0; 3] {
            Err(Wrong::Reserved)
        } else if sequence != self.sequence {
            Err(Wrong::Sequence {
                expected: self.sequence,
                found: sequence,
            })
        } else {
            Ok(next)
        }
    }
}

/// The payload's length that a record header states, bytes; an error above [`MAX_PAYLOAD`].
pub(crate) fn payload_length(header: &[u8; RECORD_HEADER_BYTES]) -> Result<usize, Wrong> {
    let length = u32_at(header, 0);
    if length as usize > MAX_PAYLOAD {
        return Err(Wrong::Length(length));
    }
    Ok(length as usize)
}

/// The record of a header and payload already checked; `None` for one to be passed over.
pub(crate) fn decode(
    header: &[u8; RECORD_HEADER_BYTES],
    payload: Vec<u8>,
) -> Result<Option<Record>, Wrong> {
    Ok(Some(match header[4] {
        kind::START => Record::Start(json::<Start>(&payload)?),
        kind::AUDIO => audio(payload)?,
        kind::GAP => Record::Gap(json::<Gap>(&payload)?),
        kind::DIGITS => Record::Digits(json::<Digits>(&payload)?),
        kind::END => Record::End(json::<End>(&payload)?),
        kind::FIRST_SKIPPABLE.. => return Ok(None),
        unknown => return Err(Wrong::Kind(unknown)),
    }))
}

/// A JSON payload, compact.
pub(crate) fn to_json(value: &impl Serialize) -> Vec<u8> {
    // The record types have only string keys and no fallible serializers, so this cannot fail.
    serde_json::to_vec(value).expect("record types serialize")
}

fn audio(mut payload: Vec<u8>) -> Result<Record, Wrong> {
    let Some(at) = payload.first_chunk::<AUDIO_AT_BYTES>() else {
        return Err(Wrong::Empty);
    };
    let at = u64::from_le_bytes(*at);
    payload.drain(..AUDIO_AT_BYTES);
    Ok(Record::Audio {
        at,
        samples: payload,
    })
}

fn json<T: DeserializeOwned>(payload: &[u8]) -> Result<T, Wrong> {
    // Its message can quote the payload, and is shown on terminals: escaped and bounded.
    serde_json::from_slice(payload).map_err(|error| {
        let text = error.to_string();
        Wrong::Json(text.escape_debug().take(MAX_JSON_ERROR).collect())
    })
}

fn u32_at(bytes: &[u8; RECORD_HEADER_BYTES], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
