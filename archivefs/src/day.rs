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

    /// The last day there is, 9999-12-31.
    pub const MAX: Self = Self(NaiveDate::from_ymd_opt(9999, 12, 31).unwrap());

    /// The day of this number, see [`Day::number`]; none for 0 and beyond the year 9999.
    pub fn from_number(number: u32) -> Option<Self> {
        let date = NaiveDate::from_num_days_from_ce_opt(i32::try_from(number).ok()?)?;
        (number > 0 && date <= Self::MAX.0).then_some(Self(date))
    }

    /// How many days there are from 0001-01-01 to it, both included.
    pub fn number(self) -> u32 {
        self.0.num_days_from_ce() as u32
    }

    /// The same day as a date, to calculate with.
    pub(crate) fn date(self) -> NaiveDate {
        self.0
    }

    /// The day of `date`, or the last day there is where `date` lies after it.
    pub(crate) fn at_most(date: NaiveDate) -> Self {
        Self(date.min(Self::MAX.0))
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
        (0..=48)
            .map(|half_hours| midnight + TimeDelta::minutes(30 * half_hours))
            .find_map(|local| zone.from_local_datetime(&local).earliest())
            .map_or_else(|| midnight.and_utc(), |moment| moment.to_utc())
    }

    /// When it is over in `zone` for good: the midnight that follows, or where a change of the clocks
    /// skips that midnight, the first moment after it. Where clocks go back over midnight the day
    /// comes once more: it is over when they pass midnight for the last time. Where the next day is
    /// left out of the calendar, it is over when the one after that begins.
    pub fn ends(self, zone: Tz) -> DateTime<Utc> {
        let midnight = self.0.and_time(NaiveTime::MIN) + TimeDelta::days(1);
        // Up to a whole day may be skipped: Samoa went without 2011-12-30.
        (0..=24 * 60)
            .map(|minutes| zone.from_local_datetime(&(midnight + TimeDelta::minutes(minutes))))
            .find_map(|local| Some((local.earliest()?.to_utc(), local.latest()?.to_utc())))
            .map_or_else(
                || midnight.and_utc(),
                |(once, again)| {
                    let day_came_again = Self::of(again - TimeDelta::nanoseconds(1), zone) <= self;
                    if day_came_again { again } else { once }
                },
            )
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

    #[test]
    fn days_are_numbered_from_the_first_to_the_last() {
        assert_eq!(Day::new(1, 1, 1).map(Day::number), Some(1));
        assert_eq!(Day::from_number(0), None);
        assert_eq!(Day::from_number(Day::MAX.number()), Some(Day::MAX));
        assert_eq!(Day::from_number(Day::MAX.number() + 1), None);
        assert_eq!(Day::from_number(u32::MAX), None);
        let eve = Day::new(2024, 2, 28).unwrap();
        assert_eq!(Day::from_number(eve.number() + 1), Day::new(2024, 2, 29));
        assert_eq!(Day::at_most(eve.date()), eve);
        assert_eq!(Day::at_most(NaiveDate::MAX), Day::MAX);
    }

    fn end(day: &str, zone: Tz) -> String {
        let end = day.parse::<Day>().unwrap().ends(zone);
        end.with_timezone(&zone).to_rfc3339()
    }

    #[test]
    fn a_day_ends_at_midnight_or_where_clocks_skip_it_right_after() {
        let sao_paulo = |day| end(day, Tz::America__Sao_Paulo);
        assert_eq!(sao_paulo("2018-11-02"), "2018-11-03T00:00:00-03:00");
        assert_eq!(sao_paulo("2018-11-03"), "2018-11-04T01:00:00-02:00");
        assert_eq!(
            end("2024-04-25", Tz::Africa__Cairo),
            "2024-04-26T01:00:00+03:00"
        );
        assert_eq!(
            end("2026-11-23", Tz::Asia__Tokyo),
            "2026-11-24T00:00:00+09:00"
        );
        assert_eq!(end("9999-12-31", Tz::UTC), "+10000-01-01T00:00:00+00:00");
    }

    /// Samoa crossed the date line: 2011-12-29 was followed by 2011-12-31.
    #[test]
    fn a_day_before_one_left_out_ends_when_the_one_after_it_begins() {
        let next = "2011-12-31T00:00:00+14:00";
        assert_eq!(end("2011-12-29", Tz::Pacific__Apia), next);
        assert_eq!(end("2011-12-30", Tz::Pacific__Apia), next);
    }

    /// Every day of 1990 to 2037 against the clock read each half hour, in zones whose clocks change
    /// at midnight, go back over it (St. John's until 2011: at 00:01), or leave out a day.
    #[test]
    fn a_day_ends_after_the_last_half_hour_in_which_clocks_show_it() {
        let zones = [
            Tz::Asia__Tokyo,
            Tz::America__Sao_Paulo,
            Tz::America__Havana,
            Tz::America__St_Johns,
            Tz::Africa__Cairo,
            Tz::Europe__London,
            Tz::Pacific__Apia,
        ];
        for zone in zones {
            let mut shown = std::collections::BTreeMap::new();
            let mut moment = DateTime::from_timestamp(631_152_000, 0).unwrap();
            while moment.year() < 2038 {
                let next = moment + TimeDelta::minutes(30);
                shown.insert(Day::of(moment, zone), next);
                moment = next;
            }
            shown.pop_last();
            assert!(shown.len() > 48 * 365);
            for (day, end) in shown {
                assert_eq!(day.ends(zone), end, "{day} in {zone}");
            }
        }
    }
}
