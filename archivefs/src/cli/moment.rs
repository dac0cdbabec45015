//! Times as people type them: a day, or a day and a time, in the office's time zone.

use crate::day::Day;
use chrono::{DateTime, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use std::str::FromStr;

/// A day or a moment, without its zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// A whole day.
    Day(Day),
    /// A time of a day.
    Time(NaiveDateTime),
}

impl Moment {
    /// When it begins in `zone`.
    pub fn first(self, zone: Tz) -> DateTime<Utc> {
        match self {
            Self::Day(day) => day.begins(zone),
            Self::Time(time) => at(time, zone),
        }
    }

    /// When it is over in `zone`: a day at its end, a time at once.
    pub fn end(self, zone: Tz) -> DateTime<Utc> {
        match self {
            Self::Day(day) => {
                let end = day.milliseconds(zone).end;
                DateTime::from_timestamp_millis(end).unwrap_or_else(|| day.begins(zone))
            }
            Self::Time(time) => at(time, zone),
        }
    }
}

/// A time that a change of the clocks skips is taken an hour later.
fn at(time: NaiveDateTime, zone: Tz) -> DateTime<Utc> {
    let moment = |time| zone.from_local_datetime(&time).earliest();
    moment(time)
        .or_else(|| moment(time + TimeDelta::hours(1)))
        .map_or_else(|| time.and_utc(), |moment| moment.to_utc())
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(day) = text.parse() {
            return Ok(Self::Day(day));
        }
        [
            "%Y-%m-%dT%H:%M:%S",
            "%Y-%m-%dT%H:%M",
            "%Y-%m-%d %H:%M:%S",
            "%Y-%m-%d %H:%M",
        ]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .map(Self::Time)
        .ok_or_else(|| "write it as 2026-11-23 or 2026-11-23T10:15".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_times_are_the_offices() {
        let zone = Tz::Asia__Tokyo;
        let show = |moment: DateTime<Utc>| moment.to_rfc3339();
        let day: Moment = "2026-11-23".parse().unwrap();
        assert_eq!(show(day.first(zone)), "2026-11-22T15:00:00+00:00");
        assert_eq!(show(day.end(zone)), "2026-11-23T15:00:00+00:00");
        let time: Moment = "2026-11-23T10:15".parse().unwrap();
        assert_eq!(show(time.first(zone)), "2026-11-23T01:15:00+00:00");
        assert_eq!(time.end(zone), time.first(zone));
        assert_eq!("2026-11-23 10:15".parse(), Ok(time));
        assert!("yesterday".parse::<Moment>().is_err());
    }
}
