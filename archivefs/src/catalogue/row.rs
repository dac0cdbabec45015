//! One recording as the catalogue holds it, and the numbers that stand for words in its columns.

use super::CatalogueError;
use crate::call::{Call, Direction, Layout};
use crate::store::Sealed;
use rusqlite::Row;
use tsuwaroku_spool::record::{Encoding, EndReason};
use ulid::Ulid;

/// A recording's key: milliseconds of its identity in the upper bits, [`Key::TIE_BITS`] below them
/// that tell apart what began in the same millisecond. It is the row's primary key and the file's
/// inode number, and it is never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(i64);

impl Key {
    /// Bits of the tie-break: with 42 bits of time, up to the year 2109, the key fills 60 bits, and
    /// an inode number has four left to say what it is the number of.
    pub const TIE_BITS: u32 = 18;

    /// The largest key, 60 bits.
    pub const MAX: Self = Self((1 << 60) - 1);

    /// The key that `id` asks for; another recording may have it already.
    pub fn of(id: Ulid) -> Self {
        let tie = id.random() as i64 & ((1 << Self::TIE_BITS) - 1);
        Self(Self::first_at(id.timestamp_ms() as i64).0 | tie)
    }

    /// The smallest key of the millisecond `milliseconds` since 1970; times before 1970 and after
    /// 2109 are moved to the ends.
    pub fn first_at(milliseconds: i64) -> Self {
        Self(milliseconds.clamp(0, Self::MAX.0 >> Self::TIE_BITS) << Self::TIE_BITS)
    }

    /// The key after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// Milliseconds since 1970.
    pub fn milliseconds(self) -> i64 {
        self.0 >> Self::TIE_BITS
    }

    /// As the database holds it.
    pub fn to_i64(self) -> i64 {
        self.0
    }

    /// From what the database holds, or from an inode number.
    pub fn from_i64(value: i64) -> Option<Self> {
        (0..=Self::MAX.0).contains(&value).then_some(Self(value))
    }
}

/// The database's id of a designated number; small, and never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NumberId(pub u32);

/// A recording as the catalogue holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// Its key.
    pub key: Key,
    /// Its identity.
    pub id: Ulid,
    /// The designated number.
    pub number: NumberId,
    /// Characters of the identity that its file name ends in, so that names differ.
    pub suffix: u8,
    /// UTC of the first frame, nanoseconds since 1970.
    pub started_at: i64,
    /// Frames, gaps included.
    pub frames: u64,
    /// How the samples are written.
    pub layout: Layout,
    /// Which way the call went.
    pub direction: Direction,
    /// The other party's number, where known.
    pub other_party: Option<String>,
    /// Frames that were lost.
    pub gap_frames: u64,
    /// Why the recording ended.
    pub end_reason: EndReason,
    /// What identifies its content.
    pub sealed: Sealed,
}

impl Recording {
    /// The row of `call`, whose object is `sealed`; key and suffix are those it asks for.
    pub(super) fn of(call: &Call, number: NumberId, sealed: Sealed) -> Self {
        Self {
            key: Key::of(call.id),
            id: call.id,
            number,
            suffix: SHORT_SUFFIX,
            started_at: call.started_at,
            frames: call.frames,
            layout: call.layout,
            direction: call.direction,
            other_party: call.other_party.clone(),
            gap_frames: call.gap_frames(),
            end_reason: call.end_reason,
            sealed,
        }
    }

    /// Its length, nanoseconds.
    pub fn nanoseconds(&self) -> i64 {
        let rate = i128::from(self.layout.rate.max(1));
        i64::try_from(i128::from(self.frames) * 1_000_000_000 / rate).unwrap_or(i64::MAX)
    }

    pub(super) const COLUMNS: &str = "key, id, number, suffix, started_at, frames, rate, channels, \
        encoding, direction, other_party, gap_frames, end_reason, wav_bytes, wav_sha256, stored_bytes";

    /// From a row of [`Self::COLUMNS`].
    pub(super) fn from_row(row: &Row<'_>) -> Result<Self, CatalogueError> {
        let key: i64 = row.get(0)?;
        let bad = |what: &str| CatalogueError::Damaged(format!("{what} of the recording {key}"));
        Ok(Self {
            key: Key::from_i64(key).ok_or_else(|| bad("the key"))?,
            id: Ulid::from_bytes(row.get(1)?),
            number: NumberId(row.get(2)?),
            suffix: row.get(3)?,
            started_at: row.get(4)?,
            frames: row.get(5)?,
            layout: Layout {
                rate: row.get(6)?,
                channels: row.get(7)?,
                encoding: word(&ENCODINGS, row.get(8)?).ok_or_else(|| bad("the encoding"))?,
            },
            direction: word(&DIRECTIONS, row.get(9)?).ok_or_else(|| bad("the direction"))?,
            other_party: row.get(10)?,
            gap_frames: row.get(11)?,
            end_reason: word(&END_REASONS, row.get(12)?).ok_or_else(|| bad("the end"))?,
            sealed: Sealed {
                wav_bytes: row.get(13)?,
                wav_sha256: row.get(14)?,
                stored_bytes: row.get(15)?,
            },
        })
    }
}

/// Characters of an identity that tell recordings of the same second apart, but for one pair in a
/// million; where they do not, the later one's name carries all [`LONG_SUFFIX`].
pub(super) const SHORT_SUFFIX: u8 = 4;
pub(super) const LONG_SUFFIX: u8 = 26;

/// Words of a column: a word's place is what the database holds, so the order is never changed and
/// new words go to the end.
pub(super) const ENCODINGS: [Encoding; 5] =
    [Encoding::S16, Encoding::S24, Encoding::S32, Encoding::MuLaw, Encoding::ALaw];
pub(super) const DIRECTIONS: [Direction; 3] = [Direction::Unknown, Direction::In, Direction::Out];
pub(super) const END_REASONS: [EndReason; 5] = [
    EndReason::Silence,
    EndReason::MaximumLength,
    EndReason::CardLost,
    EndReason::Shutdown,
    EndReason::Truncated,
];

fn word<T: Copy>(words: &[T], place: usize) -> Option<T> {
    words.get(place).copied()
}

pub(super) fn place<T: PartialEq>(words: &[T], word: &T) -> usize {
    words.iter().position(|other| other == word).expect("every word is in its list")
}
