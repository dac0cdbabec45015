//! Which recordings are past their periods on one day, as ranges of keys: a key encodes time, and by
//! either rule of counting a later call is never due before an earlier one. Pure: values, made by `life`
//! from the accepted day and the retention of each line; asked by [`super::shown`], and by the erasure
//! itself.

use super::row::{Key, NumberId};
use crate::day::Day;
use chrono_tz::Tz;
use std::collections::BTreeMap;

/// Where the calls of a line stand on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Recordings before this key are past their first period: they belong in the secondary tier.
    pub over: Key,
    /// Recordings before this key are past their last day.
    pub expired: Key,
    /// The latest day of calls that are past their last day; none if no call is that old.
    pub expired_day: Option<Day>,
}

impl Cut {
    /// Nothing is past anything.
    pub const NONE: Self = Self {
        over: Key::MIN,
        expired: Key::MIN,
        expired_day: None,
    };

    /// Calls up to `over` are past their first period, up to `expired` past their last day; days of `zone`.
    pub fn new(over: Option<Day>, expired: Option<Day>, zone: Tz) -> Self {
        let after = |day: Option<Day>| {
            day.map_or(Key::MIN, |day| Key::first_at(day.milliseconds(zone).end))
        };
        Self {
            over: after(over),
            expired: after(expired),
            expired_day: expired,
        }
    }
}

/// [`Cut`] of every line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cutoffs {
    /// Of lines that are not named.
    pub others: Cut,
    /// Of lines that have a retention of their own.
    pub lines: BTreeMap<NumberId, Cut>,
}

impl Cutoffs {
    /// Nothing is past anything.
    pub const NONE: Self = Self {
        others: Cut::NONE,
        lines: BTreeMap::new(),
    };

    /// That of `number`.
    pub fn of(&self, number: NumberId) -> Cut {
        self.lines.get(&number).copied().unwrap_or(self.others)
    }

    /// Whether the recording `key` of `number` is past its last day.
    pub fn is_expired(&self, number: NumberId, key: Key) -> bool {
        key < self.of(number).expired
    }

    /// Whether the recording `key` of `number` is past its first period.
    pub fn is_over(&self, number: NumberId, key: Key) -> bool {
        key < self.of(number).over
    }

    /// No recording from this key on is past its last day.
    pub fn last_expired(&self) -> Key {
        self.all().map(|cut| cut.expired).max().unwrap_or(Key::MIN)
    }

    /// No recording from this key on is past its first period.
    pub fn last_over(&self) -> Key {
        self.all().map(|cut| cut.over).max().unwrap_or(Key::MIN)
    }

    /// Whether calls of `day` on `number` are past their last day.
    pub fn is_expired_day(&self, number: NumberId, day: Day) -> bool {
        Some(day) <= self.of(number).expired_day
    }

    /// The latest day of which calls of some number are past their last day, as YYYYMMDD; 0 if none is.
    pub fn last_expired_day(&self) -> u32 {
        let days = self.all().filter_map(|cut| cut.expired_day);
        days.max().map_or(0, Day::digits)
    }

    fn all(&self) -> impl Iterator<Item = Cut> {
        self.lines.values().copied().chain([self.others])
    }
}
