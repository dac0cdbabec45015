//! The office's days: which day a moment belongs to in its time zone, and when that day begins and
//! ends. Pure.

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use std::fmt;
use std::ops::Range;

/// A calendar day of the years 1 to 9999, ordered in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(NaiveDate);

impl Day {
    /// The day that begins `year`-`month`-`day`, if there is one.
    pub fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        let date = NaiveDate::from_ymd_opt(year.into(), month.into(), day.into())?;
        (1..=9999).contains(&year).then_some(Self(date))
    }

    /// The day on which `moment` lies in `zone`.
    pub fn of(moment: DateTime<Utc>, zone: Tz) -> Self {
        Self(moment.with_timezone(&zone).date_naive())
    }

    /// The day written as YYYYMMDD in digits: `20261123`.
    pub fn from_digits(digits: u32) -> Option<Self> {
        let year = u16::try_from(digits / 10_000).ok()?;
        Self::new(year, (digits / 100 % 100) as u8, (digits % 100) as u8)
    }

    /// The day as the number YYYYMMDD: `20261123`.
    pub fn digits(self) -> u32 {
        u32::from(self.year()) * 10_000 + u32::from(self.month()) * 100 + u32::from(self.day())
    }

    /// Its year, 1 to 9999.
    pub fn year(self) -> u16 {
        self.0.year() as u16
    }

    /// Its month, 1 to 12.
    pub fn month(self) -> u8 {
        self.0.month() as u8
    }

    /// Its day of the month, 1 to 31.
    pub fn day(self) -> u8 {
        self.0.day() as u8
    }

    /// When it begins in `zone`: at midnight, or where a change of the clocks skips midnight, at the
    /// first moment after it.
    pub fn begins(self, zone: Tz) -> DateTime<Utc> {
        let midnight = self.0.and_time(NaiveTime::MIN);
        (0..=24)
            .map(|half_hours| midnight + TimeDelta::minutes(30 * half_hours))
            .find_map(|local| zone.from_local_datetime(&local).earliest())
            .map_or_else(|| midnight.and_utc(), |moment| moment.to_utc())
    }

    /// From its beginning to the beginning of the next day, milliseconds since 1970.
    pub fn milliseconds(self, zone: Tz) -> Range<i64> {
        let next = Self(self.0.checked_add_days(Days::new(1)).unwrap_or(self.0));
        self.begins(zone).timestamp_millis()..next.begins(zone).timestamp_millis()
    }
}

/// `2026-11-23`.
impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.format("%Y-%m-%d").fmt(f)
    }
}

/// Of `2026-11-23`.
impl std::str::FromStr for Day {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || {
            format!(
                "'{}' is not a day: write it as 2026-11-23",
                text.escape_default()
            )
        };
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_| refuse())?;
        let year = u16::try_from(date.year()).map_err(|_| refuse())?;
        Self::new(year, date.month() as u8, date.day() as u8).ok_or_else(refuse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_the_offices_midnight() {
        let day = Day::new(2026, 11, 23).unwrap();
        assert_eq!(
            day.begins(Tz::Asia__Tokyo).to_rfc3339(),
            "2026-11-22T15:00:00+00:00"
        );
        let range = day.milliseconds(Tz::Asia__Tokyo);
        assert_eq!(range.end - range.start, 86_400_000);
        let last = DateTime::from_timestamp_millis(range.end - 1).unwrap();
        assert_eq!(Day::of(last, Tz::Asia__Tokyo), day);
    }

    /// Clocks in Beirut went from 00:00 to 01:00 on 2022-03-27, and back on 2022-10-30.
    #[test]
    fn days_of_23_and_25_hours_leave_no_hole() {
        let zone = Tz::Asia__Beirut;
        let spring = Day::new(2022, 3, 27).unwrap();
        let range = spring.milliseconds(zone);
        assert_eq!(range.end - range.start, 23 * 3_600_000);
        let before = Day::new(2022, 3, 26).unwrap().milliseconds(zone);
        assert_eq!(before.end, range.start);
        let day = |text: &str| text.parse::<Day>().unwrap().milliseconds(zone);
        let (autumn, eve) = (day("2022-10-30"), day("2022-10-29"));
        assert_eq!(eve.end, autumn.start);
        assert_eq!(
            (eve.end - eve.start) + (autumn.end - autumn.start),
            49 * 3_600_000
        );
    }

    #[test]
    fn digits_and_text_go_both_ways() {
        let day = Day::new(2024, 2, 29).unwrap();
        assert_eq!(day.digits(), 20_240_229);
        assert_eq!(Day::from_digits(20_240_229), Some(day));
        assert_eq!(Day::from_digits(20_230_229), None);
        assert_eq!(day.to_string().parse(), Ok(day));
        assert!("2023-02-29".parse::<Day>().is_err());
        assert!("23.11.2026".parse::<Day>().is_err());
    }
}
