//! How long a recording is kept, in the office's days. Pure: the day of the call, the retention
//! settings and today come in as values.
//!
//! What lives here: the two periods inside the device (R6.1–R6.3), the one of an external medium
//! and its extension (R6.5), and the inverse that a range query needs. What does not: holds, the
//! clock and whether it can be trusted, and anything that moves or erases. Those who show, move,
//! erase or print the last day of a recording call it.
//!
//! ```text
//!  call     first counted day                       day after
//!   │  ┌────────── primary ──────────┬────── secondary ──────┐
//! ──┴──┴─────────────────────────────┴───────────────────────┴──► days
//!      │                        last ┘ first            last ┘ the content goes as it ends
//! ```
//!
//! Periods are counted by the calendar as Japan's Civil Code says:
//! - Art. 140: the first day is not counted, unless the period starts at 00:00. So the first period
//!   is counted from the day after the call; the second starts at the midnight at which the first
//!   ends, and its first day counts.
//! - Art. 141: a period ends with the end of its last day.
//! - Art. 143: it ends on the day before the one that corresponds to its first day in its last month;
//!   where that month has no such day, at the month's end.
//!
//! Adding months to the date of the call is something else, and erases early: a call on 2025-02-28
//! is kept six months through 2025-08-31.
//!
//! By either rule a later call is never due before an earlier one: what is due on a day is a range
//! of calls, whose upper end [`last_over`] and [`last_expired`] give.
//!
//! A period that would go beyond the year 9999 ends with it; none of the functions panics.

#[cfg(test)]
mod tests;

use crate::day::Day;
use chrono::{DateTime, Datelike, Months, NaiveDate, Utc};
use chrono_tz::Tz;
use std::ops::Range;
use tsuwaroku_config::{PeriodRule, Retention};

/// The month of which a fiscal year begins on the 1st: April (Public Finance Act of Japan, Art. 11;
/// Local Autonomy Act, Art. 208).
const FISCAL_YEAR_BEGINS: u32 = 4;

/// A stretch of whole days, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// The first day that is counted.
    pub first: Day,
    /// The last day kept. The day before `first` in a period of no months.
    pub last: Day,
}

impl Period {
    /// How long a medium is kept whose copy was made on `saved`: [`Retention::external_years`],
    /// counted by the rule that recordings have.
    pub fn of_medium(saved: Day, retention: &Retention) -> Self {
        let first = first_counted(saved.date(), retention.rule);
        Self::from_dates(&counted(first, months_of(retention.external_years)))
    }

    /// This period made `years` longer. The added years are counted from the day after the last
    /// one, as a period of their own, so what is due is never due earlier than if all the years had
    /// been counted at once.
    pub fn extended(self, years: u16) -> Self {
        let more = counted(after(self.last.date()), months_of(years));
        Self {
            first: self.first,
            last: Self::from_dates(&more).last,
        }
    }

    /// Whether it has no day, as the second period of an office that keeps nothing on a second
    /// medium.
    pub fn is_empty(self) -> bool {
        self.last < self.first
    }

    /// When its last day is over in `zone`: the moment from which what was kept is due.
    pub fn ends(self, zone: Tz) -> DateTime<Utc> {
        self.last.ends(zone)
    }

    fn from_dates(dates: &Range<NaiveDate>) -> Self {
        Self {
            first: Day::at_most(dates.start),
            last: Day::at_most(dates.end.pred_opt().unwrap_or(dates.end)),
        }
    }
}

/// How far a recording has come in its life. Ordered: it only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Age {
    /// It belongs in the primary tier (R6.1).
    Primary,
    /// It belongs in the secondary tier (R6.2).
    Secondary,
    /// Its last day is over (R6.3).
    Over,
}

/// The two periods of a recording inside the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// On the internal storage. The recording lies there before the first counted day already: from
    /// the call on.
    pub primary: Period,
    /// On the second medium; begins the day after the first period's last.
    pub secondary: Period,
}

impl Schedule {
    /// The periods of a call on the office's day `call`.
    pub fn of(call: Day, retention: &Retention) -> Self {
        let first = first_counted(call.date(), retention.rule);
        let primary = counted(first, retention.primary_months.into());
        let secondary = counted(primary.end, retention.secondary_months.into());
        Self {
            primary: Period::from_dates(&primary),
            secondary: Period::from_dates(&secondary),
        }
    }

    /// Where the recording belongs on `day`, a day of the office; a day before the call counts as
    /// the first period. Without a second period [`Age::Over`] follows upon [`Age::Primary`].
    ///
    /// Where clocks go back over midnight, `day` comes once more after the next one began: what
    /// cannot be undone goes by [`Schedule::content_goes`] as well.
    pub fn tier_on(self, day: Day) -> Age {
        if day <= self.primary.last {
            Age::Primary
        } else if day <= self.secondary.last {
            Age::Secondary
        } else {
            Age::Over
        }
    }

    /// The last day on which the recording is kept in any tier.
    pub fn last_kept(self) -> Day {
        self.secondary.last
    }

    /// When the content goes in `zone`: at the midnight that ends the last day. Where clocks go back
    /// over midnight, at the last time they pass it; see [`Day::ends`].
    pub fn content_goes(self, zone: Tz) -> DateTime<Utc> {
        self.last_kept().ends(zone)
    }
}

/// The latest day of calls whose first period is over on `today`: these and all earlier calls are
/// [`Age::Secondary`] or [`Age::Over`], all later ones [`Age::Primary`]. None: no call since the
/// year 1 is that old.
pub fn last_over(today: Day, retention: &Retention) -> Option<Day> {
    latest_call(today, |call| {
        Schedule::of(call, retention).tier_on(today) > Age::Primary
    })
}

/// The latest day of calls that are [`Age::Over`] on `today`, as all earlier calls are and no later
/// one. None: no call since the year 1 is that old.
pub fn last_expired(today: Day, retention: &Retention) -> Option<Day> {
    latest_call(today, |call| {
        Schedule::of(call, retention).tier_on(today) == Age::Over
    })
}

/// The latest day before `today` that is `due`, where every day before a due one is due too. A call
/// is kept through its own day at least, so today's is not.
fn latest_call(today: Day, due: impl Fn(Day) -> bool) -> Option<Day> {
    let (mut due_through, mut kept_from) = (0, today.number());
    while kept_from - due_through > 1 {
        let middle = due_through.midpoint(kept_from);
        if Day::from_number(middle).is_some_and(&due) {
            due_through = middle;
        } else {
            kept_from = middle;
        }
    }
    Day::from_number(due_through)
}

/// The first day that counts for what happened on `event`.
fn first_counted(event: NaiveDate, rule: PeriodRule) -> NaiveDate {
    match rule {
        PeriodRule::CivilCode => after(event),
        PeriodRule::FiscalYear => {
            let year = event.year() + i32::from(event.month() >= FISCAL_YEAR_BEGINS);
            NaiveDate::from_ymd_opt(year, FISCAL_YEAR_BEGINS, 1).unwrap_or(NaiveDate::MAX)
        }
    }
}

/// The days of `months` months whose first day is `first` and counts; none if `months` is 0.
fn counted(first: NaiveDate, months: u32) -> Range<NaiveDate> {
    // Gives the month's last day where the month has no corresponding day.
    let Some(date) = first.checked_add_months(Months::new(months)) else {
        return first..NaiveDate::MAX;
    };
    let corresponds = date.day() == first.day();
    first..if corresponds { date } else { after(date) }
}

fn months_of(years: u16) -> u32 {
    u32::from(years) * 12
}

fn after(date: NaiveDate) -> NaiveDate {
    date.succ_opt().unwrap_or(date)
}
