//! One recording as the catalogue holds it, and the numbers that stand for words in its columns.

use super::CatalogueError;
use crate::call::{Call, Direction, Layout};
use crate::store::{Sealed, Tier};
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

    /// The smallest key.
    pub const MIN: Self = Self(0);

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

    /// The key after this one in the same millisecond; after the last of them comes the first.
    pub fn next(self) -> Self {
        let ties = (1 << Self::TIE_BITS) - 1;
        Self(self.0 & !ties | (self.0 + 1) & ties)
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
    /// Where its object rests.
    pub tier: Tier,
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
            tier: Tier::Primary,
        }
    }

    /// Its length, nanoseconds.
    pub fn nanoseconds(&self) -> i64 {
        let rate = i128::from(self.layout.rate.max(1));
        i64::try_from(i128::from(self.frames) * 1_000_000_000 / rate).unwrap_or(i64::MAX)
    }

    pub(super) const COLUMNS: &str =
        "key, number, frames, rate, other_party, wav_bytes, stored_bytes, facts, tier";

    /// From a row of [`Self::COLUMNS`].
    pub(super) fn from_row(row: &Row<'_>) -> Result<Self, CatalogueError> {
        let key: i64 = row.get(0)?;
        let bad = |what: &str| CatalogueError::Damaged(format!("{what} of the recording {key}"));
        let facts = row.get_ref(7)?.as_blob().map_err(|_| bad("the facts"))?;
        let facts = Facts::parse(facts).ok_or_else(|| bad("the facts"))?;
        let (rate, wav_bytes, stored_bytes) = (row.get(3)?, row.get(5)?, row.get(6)?);
        Ok(Self {
            key: Key::from_i64(key).ok_or_else(|| bad("the key"))?,
            id: facts.id,
            number: NumberId(row.get(1)?),
            suffix: facts.suffix,
            started_at: facts.started_at(),
            frames: row.get(2)?,
            layout: Layout {
                rate,
                channels: facts.channels,
                encoding: facts.encoding,
            },
            direction: facts.direction,
            other_party: row.get(4)?,
            gap_frames: facts.gap_frames,
            end_reason: facts.end_reason,
            sealed: Sealed {
                wav_bytes,
                wav_sha256: facts.wav_sha256,
                stored_bytes,
            },
            tier: tier_at(row.get(8)?).ok_or_else(|| bad("the tier"))?,
        })
    }

    /// What stands in the column `facts`; nothing if the recording did not begin in the millisecond
    /// that its identity names, or no key can hold that.
    pub(super) fn facts(&self) -> Option<Vec<u8>> {
        let milliseconds = self.id.timestamp_ms() as i64;
        let after = self
            .started_at
            .checked_sub(milliseconds.checked_mul(NANOSECONDS)?)?;
        if self.key.milliseconds() != milliseconds {
            return None;
        }
        let facts = Facts {
            id: self.id,
            wav_sha256: self.sealed.wav_sha256,
            nanoseconds: u32::try_from(after)
                .ok()
                .filter(|&n| i64::from(n) < NANOSECONDS)?,
            channels: self.layout.channels,
            encoding: self.layout.encoding,
            direction: self.direction,
            end_reason: self.end_reason,
            suffix: self.suffix,
            gap_frames: self.gap_frames,
        };
        Some(facts.to_bytes())
    }
}

/// Nanoseconds of a millisecond.
const NANOSECONDS: i64 = 1_000_000;

/// What no question asks about, as it stands in the column `facts`; integers are little-endian:
///
/// ```text
///  0  16  id
/// 16  32  SHA-256 of the WAV file
/// 48   4  start: nanoseconds after the millisecond that the id names
/// 52   2  channels
/// 54   1  encoding, place in ENCODINGS
/// 55   1  direction, place in DIRECTIONS
/// 56   1  end, place in END_REASONS
/// 57   1  characters of the id that the file name ends in
/// 58   8  frames that were lost; not there when none were
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Facts {
    id: Ulid,
    wav_sha256: [u8; 32],
    nanoseconds: u32,
    channels: u16,
    encoding: Encoding,
    direction: Direction,
    end_reason: EndReason,
    suffix: u8,
    gap_frames: u64,
}

impl Facts {
    fn to_bytes(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(66);
        out.extend_from_slice(&self.id.to_bytes());
        out.extend_from_slice(&self.wav_sha256);
        out.extend_from_slice(&self.nanoseconds.to_le_bytes());
        out.extend_from_slice(&self.channels.to_le_bytes());
        out.push(place(&ENCODINGS, &self.encoding));
        out.push(place(&DIRECTIONS, &self.direction));
        out.push(place(&END_REASONS, &self.end_reason));
        out.push(self.suffix);
        if self.gap_frames > 0 {
            out.extend_from_slice(&self.gap_frames.to_le_bytes());
        }
        out
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (fixed, gap) = bytes.split_first_chunk::<58>()?;
        let gap_frames = match gap {
            [] => 0,
            gap => u64::from_le_bytes(gap.try_into().ok()?),
        };
        let [encoding, direction, end_reason, suffix] = *fixed.last_chunk()?;
        Some(Self {
            id: Ulid::from_bytes(fixed[..16].try_into().ok()?),
            wav_sha256: fixed[16..48].try_into().ok()?,
            nanoseconds: u32::from_le_bytes(fixed[48..52].try_into().ok()?),
            channels: u16::from_le_bytes(fixed[52..54].try_into().ok()?),
            encoding: word(&ENCODINGS, encoding)?,
            direction: word(&DIRECTIONS, direction)?,
            end_reason: word(&END_REASONS, end_reason)?,
            suffix,
            gap_frames,
        })
    }

    fn started_at(&self) -> i64 {
        (self.id.timestamp_ms() as i64) * NANOSECONDS + i64::from(self.nanoseconds)
    }
}

/// Characters of an identity that tell recordings of the same second apart, but for one pair in a
/// million; where they do not, the later one's name carries all [`LONG_SUFFIX`].
pub(super) const SHORT_SUFFIX: u8 = 4;
pub(super) const LONG_SUFFIX: u8 = 26;

/// How the database holds a tier: by its place in [`Tier::ALL`].
pub(super) fn place_of(tier: Tier) -> u8 {
    place(&Tier::ALL, &tier)
}

/// The tier at this place of [`Tier::ALL`].
pub(super) fn tier_at(place: u8) -> Option<Tier> {
    word(&Tier::ALL, place)
}

/// Words as the database holds them: by their places, so the order is never changed and
/// new words go to the end.
const ENCODINGS: [Encoding; 5] = [
    Encoding::S16,
    Encoding::S24,
    Encoding::S32,
    Encoding::MuLaw,
    Encoding::ALaw,
];
const DIRECTIONS: [Direction; 3] = [Direction::Unknown, Direction::In, Direction::Out];
const END_REASONS: [EndReason; 5] = [
    EndReason::Silence,
    EndReason::MaximumLength,
    EndReason::CardLost,
    EndReason::Shutdown,
    EndReason::Truncated,
];

fn word<T: Copy>(words: &[T], place: u8) -> Option<T> {
    words.get(usize::from(place)).copied()
}

fn place<T: PartialEq>(words: &[T], word: &T) -> u8 {
    let place = words.iter().position(|other| other == word);
    place.expect("every word is in its list") as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn facts() -> impl Strategy<Value = Facts> {
        let words = (0..5_usize, 0..3_usize, 0..5_usize);
        (
            any::<u128>(),
            any::<[u8; 32]>(),
            0..1_000_000_u32,
            any::<u16>(),
            words,
            0..=26_u8,
            any::<u64>(),
        )
            .prop_map(
                |(id, wav_sha256, nanoseconds, channels, words, suffix, gap)| Facts {
                    // A time before the year 2109, which a key can hold.
                    id: Ulid(id >> 6),
                    wav_sha256,
                    nanoseconds,
                    channels,
                    encoding: ENCODINGS[words.0],
                    direction: DIRECTIONS[words.1],
                    end_reason: END_REASONS[words.2],
                    suffix,
                    gap_frames: gap * (gap % 2),
                },
            )
    }

    proptest! {
        #[test]
        fn facts_come_back(facts in facts()) {
            prop_assert_eq!(Facts::parse(&facts.to_bytes()), Some(facts));
        }

        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            if let Some(facts) = Facts::parse(&bytes) {
                prop_assert!([58, 66].contains(&bytes.len()));
                let _ = facts.started_at();
            }
        }

        /// A key stays in its millisecond, where its recording is looked for.
        #[test]
        fn the_next_key_is_another_of_the_same_millisecond(key in 0..=Key::MAX.to_i64()) {
            let key = Key(key);
            prop_assert_ne!(key.next(), key);
            prop_assert_eq!(key.next().milliseconds(), key.milliseconds());
        }
    }

    #[test]
    fn after_the_last_key_of_a_millisecond_comes_its_first() {
        let last = Key(Key::first_at(8).0 - 1);
        assert_eq!(last.next(), Key::first_at(7));
    }
}
