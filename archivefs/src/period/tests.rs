//! The periods against worked examples, and against a slow calendar that goes day by day and shares
//! no arithmetic with the code.

use super::*;
use proptest::prelude::*;

const RULES: [PeriodRule; 2] = [PeriodRule::CivilCode, PeriodRule::FiscalYear];

fn retention(rule: PeriodRule, primary_months: u16, secondary_months: u16) -> Retention {
    Retention {
        rule,
        primary_months,
        secondary_months,
        external_years: 5,
    }
}

/// The product's defaults.
fn half_years() -> Retention {
    retention(PeriodRule::CivilCode, 6, 6)
}

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn period(first: &str, last: &str) -> Period {
    Period {
        first: day(first),
        last: day(last),
    }
}

#[test]
fn six_months_of_the_civil_code() {
    let vectors = [
        ("2025-08-27", "2026-02-27"),
        ("2025-08-28", "2026-02-28"),
        ("2025-08-29", "2026-02-28"),
        ("2025-08-30", "2026-02-28"),
        ("2025-08-31", "2026-02-28"),
        ("2023-08-29", "2024-02-29"),
        ("2025-02-28", "2025-08-31"),
        ("2025-04-30", "2025-10-31"),
    ];
    for (call, last) in vectors {
        let schedule = Schedule::of(day(call), &half_years());
        assert_eq!(schedule.primary.last, day(last), "call on {call}");
    }
}

#[test]
fn the_second_period_counts_its_first_day() {
    let schedule = Schedule::of(day("2025-08-31"), &half_years());
    assert_eq!(schedule.primary, period("2025-09-01", "2026-02-28"));
    assert_eq!(schedule.secondary, period("2026-03-01", "2026-08-31"));
    let ages = ["2025-08-31", "2026-02-28", "2026-03-01", "2026-08-31"].map(day);
    assert_eq!(
        ages.map(|day| schedule.tier_on(day)),
        [Age::Primary, Age::Primary, Age::Secondary, Age::Secondary]
    );
    assert_eq!(schedule.tier_on(day("2026-09-01")), Age::Over);
    assert_eq!(schedule.last_kept(), day("2026-08-31"));
}

#[test]
fn a_fiscal_year_is_counted_from_the_next_first_of_april() {
    let six = retention(PeriodRule::FiscalYear, 6, 6);
    for call in ["2026-04-01", "2026-11-23", "2027-03-31"] {
        let schedule = Schedule::of(day(call), &six);
        assert_eq!(schedule.primary, period("2027-04-01", "2027-09-30"));
        assert_eq!(schedule.secondary, period("2027-10-01", "2028-03-31"));
    }
    let next = Schedule::of(day("2027-04-01"), &six);
    assert_eq!(next.primary.first, day("2028-04-01"));
}

#[test]
fn without_a_second_period_the_content_goes_after_the_first() {
    let once = retention(PeriodRule::CivilCode, 6, 0);
    let schedule = Schedule::of(day("2025-08-27"), &once);
    assert!(schedule.secondary.is_empty());
    assert!(!schedule.primary.is_empty());
    assert_eq!(schedule.last_kept(), day("2026-02-27"));
    assert_eq!(schedule.tier_on(day("2026-02-27")), Age::Primary);
    assert_eq!(schedule.tier_on(day("2026-02-28")), Age::Over);
    let today = day("2026-02-28");
    assert_eq!(last_over(today, &once), Some(day("2025-08-27")));
    assert_eq!(last_expired(today, &once), Some(day("2025-08-27")));
}

#[test]
fn without_a_first_period_a_call_is_kept_through_its_own_day() {
    let schedule = Schedule::of(day("2025-08-27"), &retention(PeriodRule::CivilCode, 0, 6));
    assert!(schedule.primary.is_empty());
    assert_eq!(schedule.tier_on(day("2025-08-27")), Age::Primary);
    assert_eq!(schedule.tier_on(day("2025-08-28")), Age::Secondary);
    assert_eq!(schedule.secondary, period("2025-08-28", "2026-02-27"));
}

#[test]
fn a_medium_is_kept_five_years_and_longer_when_extended() {
    let of = |saved, rule| Period::of_medium(day(saved), &retention(rule, 6, 6));
    let medium = of("2026-11-23", PeriodRule::CivilCode);
    assert_eq!(medium, period("2026-11-24", "2031-11-23"));
    assert_eq!(medium.extended(2), period("2026-11-24", "2033-11-23"));
    assert_eq!(medium.extended(0), medium);
    let fiscal = of("2026-11-23", PeriodRule::FiscalYear);
    assert_eq!(fiscal, period("2027-04-01", "2032-03-31"));
    // The day that corresponds to 29 February 2024 is missing in 2029, not in 2032.
    let leap = of("2024-02-28", PeriodRule::CivilCode);
    assert_eq!(leap, period("2024-02-29", "2029-02-28"));
    assert_eq!(leap.extended(3).last, day("2032-02-29"));
}

#[test]
fn the_calendar_ends_with_the_year_9999() {
    let longest = retention(PeriodRule::FiscalYear, u16::MAX, u16::MAX);
    let schedule = Schedule::of(Day::MAX, &longest);
    assert_eq!(schedule.last_kept(), Day::MAX);
    assert_eq!(schedule.tier_on(Day::MAX), Age::Primary);
    assert_eq!(last_over(Day::MAX, &longest), day("4538-03-31").into());
    assert_eq!(last_over(day("0001-01-01"), &longest), None);
    assert_eq!(last_expired(day("0001-06-30"), &half_years()), None);
    let medium = Period::of_medium(Day::MAX, &longest).extended(u16::MAX);
    assert_eq!(medium.last, Day::MAX);
    let at_once = retention(PeriodRule::CivilCode, 0, 0);
    assert_eq!(Schedule::of(Day::MAX, &at_once).last_kept(), Day::MAX);
}

#[test]
fn the_content_goes_at_the_offices_midnight() {
    // (zone, call, when the content goes after one month and one more)
    let vectors = [
        (Tz::Asia__Tokyo, "2025-08-31", "2025-11-01T00:00:00+09:00"),
        (
            Tz::Europe__London,
            "2026-08-24",
            "2026-10-25T00:00:00+01:00",
        ),
        (
            Tz::Europe__London,
            "2026-08-25",
            "2026-10-26T00:00:00+00:00",
        ),
        (
            Tz::America__Sao_Paulo,
            "2018-09-03",
            "2018-11-04T01:00:00-02:00",
        ),
        (Tz::Africa__Cairo, "2024-02-25", "2024-04-26T01:00:00+03:00"),
        (Tz::Pacific__Apia, "2011-10-29", "2011-12-31T00:00:00+14:00"),
    ];
    let months = retention(PeriodRule::CivilCode, 1, 1);
    for (zone, call, goes) in vectors {
        let schedule = Schedule::of(day(call), &months);
        let moment = schedule.content_goes(zone);
        assert_eq!(moment.with_timezone(&zone).to_rfc3339(), goes, "{call}");
        assert_eq!(schedule.secondary.ends(zone), moment);
        let before = moment - chrono::TimeDelta::nanoseconds(1);
        assert_eq!(schedule.tier_on(Day::of(before, zone)), Age::Secondary);
        assert_eq!(schedule.tier_on(Day::of(moment, zone)), Age::Over);
    }
}

/// A calendar that was walked once, a day at a time, with the lengths of months written out.
struct Walk {
    /// Year, month, day of the month; from 1990-01-01.
    days: Vec<(u16, u8, u8)>,
    /// For each day of the month 1–31, the days on which a month is full that began on such a day:
    /// places in `days`. A month that lacks the day is full when it is over.
    full: Vec<Vec<usize>>,
}

impl Walk {
    fn through(last_year: u16) -> Self {
        let mut walk = Self {
            days: Vec::new(),
            full: vec![Vec::new(); 32],
        };
        for year in 1990..=last_year {
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let february = if leap { 29 } else { 28 };
            let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
            for (month, length) in (1..).zip(lengths) {
                walk.month(year, month, length);
            }
        }
        walk
    }

    fn month(&mut self, year: u16, month: u8, length: u8) {
        for day in 1..=length {
            self.full[usize::from(day)].push(self.days.len());
            self.days.push((year, month, day));
        }
        for missing in length + 1..=31 {
            self.full[usize::from(missing)].push(self.days.len());
        }
    }

    /// The place of the day that follows `months` months counted from the one at `first`.
    fn after(&self, first: usize, months: usize) -> usize {
        let full = &self.full[usize::from(self.days[first].2)];
        let began = full.binary_search(&first).unwrap();
        full[began + months]
    }

    fn first_counted(&self, call: usize, rule: PeriodRule) -> usize {
        match rule {
            PeriodRule::CivilCode => call + 1,
            PeriodRule::FiscalYear => (call + 1..self.days.len())
                .find(|at| matches!(self.days[*at], (_, 4, 1)))
                .unwrap(),
        }
    }

    /// How many days the walk has in the years through 2100.
    fn tested(&self) -> usize {
        self.days.iter().filter(|day| day.0 <= 2100).count()
    }

    /// What the code gives, on the same days.
    fn known(&self) -> Vec<Day> {
        let known = |&(year, month, day): &(u16, u8, u8)| Day::new(year, month, day).unwrap();
        self.days.iter().map(known).collect()
    }
}

/// Every call of 1990 to 2100 with 1 to 120 months in the first period, 120 to 1 in the second.
fn every_call_agrees_with_the_walk(rule: PeriodRule) {
    let walk = Walk::through(2122);
    let days = walk.known();
    let firsts: Vec<usize> = (0..walk.tested())
        .map(|call| walk.first_counted(call, rule))
        .collect();
    for months in 1..=120 {
        let retention = retention(rule, months, 121 - months);
        let mut former = None;
        for (call, &first) in firsts.iter().enumerate() {
            let second = walk.after(first, months.into());
            let over = walk.after(second, usize::from(121 - months));
            let schedule = Schedule::of(days[call], &retention);
            let Schedule { primary, secondary } = schedule;
            assert!(
                (primary.first, primary.last) == (days[first], days[second - 1])
                    && (secondary.first, secondary.last) == (days[second], days[over - 1]),
                "call on {}, {rule:?}, {months} months: {schedule:?}",
                days[call]
            );
            let earlier = former.is_some_and(|former: Schedule| {
                primary.last < former.primary.last || secondary.last < former.secondary.last
            });
            assert!(!earlier, "{} is due before its eve", days[call]);
            former = Some(schedule);
        }
    }
}

#[test]
fn every_call_of_111_years_agrees_with_a_walk_by_the_civil_code() {
    every_call_agrees_with_the_walk(PeriodRule::CivilCode);
}

#[test]
fn every_call_of_111_years_agrees_with_a_walk_by_the_fiscal_year() {
    every_call_agrees_with_the_walk(PeriodRule::FiscalYear);
}

/// Every day of 1990 to 2100 as today: the walk's calls that are over by then, the latest of them.
#[test]
fn what_is_due_is_the_range_through_the_last_call_that_is_over() {
    let walk = Walk::through(2126);
    let days = walk.known();
    for (rule, months) in RULES
        .into_iter()
        .flat_map(|rule| [(rule, 1), (rule, 6), (rule, 120)])
    {
        let retention = retention(rule, months, 6);
        let seconds: Vec<usize> = (0..walk.tested())
            .map(|call| walk.after(walk.first_counted(call, rule), months.into()))
            .collect();
        // From here on there are calls of the walk that are over.
        let (mut moved, mut expired) = (0, 0);
        for today in walk.after(seconds[0], 6)..walk.tested() {
            while seconds[moved + 1] <= today {
                moved += 1;
            }
            while walk.after(seconds[expired + 1], 6) <= today {
                expired += 1;
            }
            let due = [last_over, last_expired].map(|last| last(days[today], &retention));
            assert_eq!(
                due,
                [Some(days[moved]), Some(days[expired])],
                "{}",
                days[today]
            );
        }
    }
}

prop_compose! {
    fn any_day()(number in 1..=Day::MAX.number()) -> Day {
        Day::from_number(number).unwrap()
    }
}

prop_compose! {
    fn any_retention()(
        rule in prop::sample::select(&RULES[..]),
        primary in 0..=1500_u16,
        secondary in 0..=1500_u16,
    ) -> Retention {
        retention(rule, primary, secondary)
    }
}

proptest! {
    /// Years 1 to 9999, the end of the calendar and lengths of nothing included.
    #[test]
    fn a_later_call_is_never_due_earlier(
        call in any_day(), later in any_day(), retention in any_retention()
    ) {
        let (call, later) = (call.min(later), call.max(later));
        let [due, due_later] = [call, later].map(|day| Schedule::of(day, &retention));
        prop_assert!(call <= due.primary.last);
        prop_assert!(due.primary.last <= due.last_kept());
        prop_assert!(due.primary.last <= due_later.primary.last);
        prop_assert!(due.last_kept() <= due_later.last_kept());
    }

    #[test]
    fn the_range_of_what_is_due_is_what_each_calls_own_age_says(
        today in any_day(), other in any_day(), retention in any_retention()
    ) {
        let moved = last_over(today, &retention);
        let expired = last_expired(today, &retention);
        let next = |last: Option<Day>| Day::from_number(last.map_or(1, |last| last.number() + 1));
        let calls = [Some(other), moved, next(moved), expired, next(expired)];
        for call in calls.into_iter().flatten() {
            let age = Schedule::of(call, &retention).tier_on(today);
            prop_assert_eq!(Some(call) <= moved, age > Age::Primary);
            prop_assert_eq!(Some(call) <= expired, age == Age::Over);
        }
    }

    /// Extending only ever adds, and never less than counting all the years at once.
    #[test]
    fn an_extended_medium_is_kept_no_shorter(
        saved in any_day(), years in 1..200_u16, more in 0..200_u16
    ) {
        let years_of = |external_years| Retention { external_years, ..half_years() };
        let medium = Period::of_medium(saved, &years_of(years));
        let extended = medium.extended(more);
        prop_assert!(medium.last <= extended.last);
        prop_assert!(Period::of_medium(saved, &years_of(years + more)).last <= extended.last);
        prop_assert_eq!(extended.first, medium.first);
    }
}
