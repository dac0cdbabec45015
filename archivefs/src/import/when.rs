//! When a recording began: what its header says, or what a pattern finds in its name. Pure.

use super::Wrong;
use chrono::{DateTime, LocalResult, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::Tz;
use std::path::Path;
use std::str::FromStr;

/// What a `bext` chunk says of the beginning (EBU Tech 3285, section 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// `OriginationDate` and `OriginationTime`: the recorder's local time.
    local: NaiveDateTime,
    /// `TimeReference`: frames since midnight.
    reference: u64,
}

/// Where the fields lie in the chunk.
const DATE_AT: usize = 320;
const TIME_AT: usize = 330;
const REFERENCE_AT: usize = 338;
/// Bytes of the chunk that are needed.
pub(super) const STAMP_BYTES: usize = 346;

impl Stamp {
    /// The time in a chunk's first bytes, if there is one: recorders leave it out, or fill in zeros.
    pub fn of_bext(bext: &[u8; STAMP_BYTES]) -> Option<Self> {
        // Between the numbers stands one of - _ : . or a blank.
        let digits = |at: usize, length: usize| number(bext.get(at..at + length)?);
        let (year, month, day) = (
            digits(DATE_AT, 4)?,
            digits(DATE_AT + 5, 2)?,
            digits(DATE_AT + 8, 2)?,
        );
        let (hour, minute, second) = (
            digits(TIME_AT, 2)?,
            digits(TIME_AT + 3, 2)?,
            digits(TIME_AT + 6, 2)?,
        );
        let date = NaiveDate::from_ymd_opt(year as i32, month, day).filter(|_| year > 0)?;
        let reference = bext[REFERENCE_AT..].try_into().ok()?;
        Some(Self {
            local: date.and_hms_opt(hour, minute, second)?,
            reference: u64::from_le_bytes(reference),
        })
    }

    /// Local time of the first frame, at `rate` Hz: to the frame where the count of frames since
    /// midnight agrees with the time, else to the second.
    pub fn at(&self, rate: u32) -> NaiveDateTime {
        let rate = u64::from(rate.max(1));
        if self.reference / rate != u64::from(self.local.num_seconds_from_midnight()) {
            return self.local;
        }
        // Rounded up: rounded down again to frames, it is the same frame.
        let nanoseconds = (self.reference % rate * 1_000_000_000).div_ceil(rate);
        self.local + TimeDelta::nanoseconds(nanoseconds as i64)
    }
}

fn number(digits: &[u8]) -> Option<u32> {
    let all = digits.iter().all(u8::is_ascii_digit);
    all.then(|| {
        digits
            .iter()
            .fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'))
    })
}

/// A moment as found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Local time of the office.
    Local(NaiveDateTime),
    /// A count of seconds since 1970 knows no zone.
    Utc(DateTime<Utc>),
}

impl Moment {
    /// The moment in `zone`, and whether there were two of this name: then it is the first.
    pub fn in_zone(self, zone: Tz) -> Result<(DateTime<Utc>, bool), Wrong> {
        match self {
            Self::Utc(moment) => Ok((moment, false)),
            Self::Local(local) => match zone.from_local_datetime(&local) {
                LocalResult::Single(moment) => Ok((moment.to_utc(), false)),
                LocalResult::Ambiguous(first, _) => Ok((first.to_utc(), true)),
                LocalResult::None => Err(Wrong::SkippedTime(local)),
            },
        }
    }
}

/// How names tell the time: `%Y%m%d-%H%M%S`. Digits are of fixed number; `?` is any one character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    pieces: Vec<Piece>,
    /// It names directories too.
    of_path: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Literal(char),
    Any,
    Number(Field, usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Year,
    YearOfCentury,
    Month,
    Day,
    DayOfYear,
    Hour,
    Minute,
    Second,
    Fraction,
    Epoch,
}

/// The specifiers, with what each stands for and its digits; the letters are those of strftime(3),
/// and `%3f` of chrono.
const FIELDS: [(char, Field, usize); 10] = [
    ('Y', Field::Year, 4),
    ('y', Field::YearOfCentury, 2),
    ('m', Field::Month, 2),
    ('d', Field::Day, 2),
    ('j', Field::DayOfYear, 3),
    ('H', Field::Hour, 2),
    ('M', Field::Minute, 2),
    ('S', Field::Second, 2),
    ('3', Field::Fraction, 3),
    ('s', Field::Epoch, 10),
];

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut left = text.chars();
        while let Some(c) = left.next() {
            match c {
                '%' => pieces.extend(specifier(&mut left)?),
                '?' => pieces.push(Piece::Any),
                literal => pieces.push(Piece::Literal(literal)),
            }
        }
        let pattern = Self {
            of_path: text.contains('/'),
            pieces,
        };
        if pattern.is_complete() {
            return Ok(pattern);
        }
        Err("it must hold a day and a time: %Y%m%d and %H%M, or %s".to_owned())
    }
}

fn specifier(left: &mut std::str::Chars<'_>) -> Result<Vec<Piece>, String> {
    let letter = left.next();
    let number = |wanted: char| {
        let found = FIELDS.iter().find(|(letter, ..)| *letter == wanted);
        found.map(|&(_, field, digits)| Piece::Number(field, digits))
    };
    let several = |list: &str| {
        list.chars()
            .map(|c| number(c).unwrap_or(Piece::Literal(c)))
            .collect::<Vec<_>>()
    };
    match letter {
        Some('%') => Ok(vec![Piece::Literal('%')]),
        Some('F') => Ok(several("Y-m-d")),
        Some('T') => Ok(several("H:M:S")),
        Some('3') if left.next() != Some('f') => Err("after %3 there must be an f".to_owned()),
        Some(letter) => number(letter).map(|piece| vec![piece]).ok_or_else(|| {
            format!(
                "%{} is not known; known are %Y %y %m %d %j %H %M %S %3f %s %F %T %% and ? for any \
                 one character",
                letter.escape_default()
            )
        }),
        None => Err("it ends in %; a percent sign is written %%".to_owned()),
    }
}

impl Pattern {
    fn is_complete(&self) -> bool {
        let has = |wanted: Field| {
            self.pieces
                .iter()
                .any(|p| matches!(p, Piece::Number(field, _) if *field == wanted))
        };
        let year = has(Field::Year) || has(Field::YearOfCentury);
        let day = (has(Field::Month) && has(Field::Day)) || has(Field::DayOfYear);
        has(Field::Epoch) || (year && day && has(Field::Hour) && has(Field::Minute))
    }

    /// The time in the name of the file at `path`, without its extension: anywhere in it, but not in
    /// the middle of a longer number. A pattern with a `/` is looked for in the whole path.
    pub fn find(&self, path: &Path) -> Result<Option<Moment>, Wrong> {
        let stem = path.with_extension("");
        let stem = if self.of_path {
            stem.as_os_str()
        } else {
            stem.file_name().unwrap_or_default()
        };
        let text: Vec<char> = stem.to_string_lossy().chars().collect();
        let mut found = (0..text.len()).filter_map(|at| self.at(&text, at));
        let Some(first) = found.next() else {
            return Ok(None);
        };
        if found.any(|other| other != first) {
            Err(Wrong::TwoTimes)
        } else {
            Ok(Some(first))
        }
    }

    /// The time at the character `at` of `text`.
    fn at(&self, text: &[char], at: usize) -> Option<Moment> {
        let digit = |at: Option<usize>| {
            at.and_then(|at| text.get(at))
                .is_some_and(char::is_ascii_digit)
        };
        let number = |piece: Option<&Piece>| matches!(piece, Some(Piece::Number(..)));
        let mut parts = Parts::default();
        let mut next = at;
        for piece in &self.pieces {
            next = parts.take(*piece, text, next)?;
        }
        let cut_before = number(self.pieces.first()) && digit(at.checked_sub(1));
        let cut_after = number(self.pieces.last()) && digit(Some(next));
        if cut_before || cut_after {
            None
        } else {
            parts.moment()
        }
    }
}

/// The numbers of a time.
#[derive(Default)]
struct Parts {
    year: i32,
    month: u32,
    day: u32,
    day_of_year: Option<u32>,
    hour: u32,
    minute: u32,
    second: u32,
    millisecond: u32,
    epoch: Option<i64>,
}

impl Parts {
    /// Takes what `piece` stands for at `at`; gives where the next one begins.
    fn take(&mut self, piece: Piece, text: &[char], at: usize) -> Option<usize> {
        let (field, digits) = match piece {
            Piece::Literal(c) => return (text.get(at)? == &c).then_some(at + 1),
            Piece::Any => return text.get(at).map(|_| at + 1),
            Piece::Number(field, digits) => (field, digits),
        };
        let digit = |c: &char| c.to_digit(10).map(i64::from);
        let of = text.get(at..at + digits)?;
        let value = of
            .iter()
            .try_fold(0_i64, |sum, c| Some(sum * 10 + digit(c)?))?;
        let small = value as u32;
        match field {
            Field::Year => self.year = value as i32,
            // As POSIX has it for strptime: 69 to 99 are of the last century.
            Field::YearOfCentury => self.year = value as i32 + if value < 69 { 2000 } else { 1900 },
            Field::Month => self.month = small,
            Field::Day => self.day = small,
            Field::DayOfYear => self.day_of_year = Some(small),
            Field::Hour => self.hour = small,
            Field::Minute => self.minute = small,
            Field::Second => self.second = small,
            Field::Fraction => self.millisecond = small,
            Field::Epoch => self.epoch = Some(value),
        }
        Some(at + digits)
    }

    fn moment(&self) -> Option<Moment> {
        if let Some(epoch) = self.epoch {
            let moment = DateTime::from_timestamp(epoch, self.millisecond * 1_000_000)?;
            return Some(Moment::Utc(moment));
        }
        let date = match self.day_of_year {
            Some(day) => NaiveDate::from_yo_opt(self.year, day),
            None => NaiveDate::from_ymd_opt(self.year, self.month, self.day),
        };
        let time = date?.and_hms_milli_opt(self.hour, self.minute, self.second, self.millisecond);
        time.map(Moment::Local)
    }
}
