//! The accepted day: the latest day of the office that both clocks, the wall's and the archive's own, agree
//! to have begun. All periods are judged by it, in the file system too. It never goes back, it stays where
//! it is while the clock is frozen, and it is kept in the log.
//!
//! What the own clock believes is decided in `clock::own`; where the record is, in `catalogue::horizon`.

use super::LifeError;
use crate::audit::{Draft, Event, Outcome};
use crate::call::time_of;
use crate::catalogue::{Catalogue, Horizon, PlanId, Refused, RightClock};
use crate::clock::own::{Change, Jump, OwnClock, Reading};
use crate::day::Day;
use chrono_tz::Tz;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A correction of the clock that is worth a record of its own, nanoseconds; smaller ones are what a
/// disciplined clock does all day.
const WORTH_A_RECORD: i64 = 1_000_000_000;

/// How much a wall clock may have been corrected between the moment when it was said to be right and the
/// approval of that, nanoseconds: less than anything is due by.
const SAME_CLOCK: u64 = 600_000_000_000;

/// What the archive takes the day for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Today {
    /// The accepted day.
    pub day: Day,
    /// The latest day that either clock claims, frozen or not: what is overdue by it is worth an alarm.
    pub latest: Day,
    /// Why nothing is moved or erased, if that is so.
    pub frozen: Option<Jump>,
}

/// The latest day that has begun for good in `zone` at `moment` (nanoseconds since 1970): where clocks go
/// back over midnight, the day before must be over for the last time.
pub fn day_begun(moment: i64, zone: Tz) -> Day {
    let moment = time_of(moment);
    let shown = Day::of(moment, zone);
    match Day::from_number(shown.number().saturating_sub(1)) {
        Some(before) if before.ends(zone) > moment => before,
        _ => shown,
    }
}

/// Keeps the clock and the day.
#[derive(Debug)]
pub struct Keeper {
    catalogue: Arc<Catalogue>,
    state: Mutex<Horizon>,
}

impl Keeper {
    /// Goes on from what `catalogue` keeps to what the machine's clocks show now. A clock that has never
    /// been read begins with `reading`.
    pub fn open(catalogue: Arc<Catalogue>, reading: Reading) -> Result<Self, LifeError> {
        let (kept, zone) = (catalogue.horizon()?, catalogue.birth().time_zone);
        let is_new = kept.is_none();
        let horizon = kept.unwrap_or_else(|| Horizon {
            day: day_begun(reading.wall, zone),
            clock: OwnClock::born(reading.clone()),
        });
        let keeper = Self {
            catalogue,
            state: Mutex::new(horizon),
        };
        if is_new {
            let horizon = keeper.lock().clone();
            let draft = Draft::new(reading.wall, Event::Clock, Outcome::Done);
            let draft = draft.with("change", "begun");
            keeper.catalogue.keep_horizon(&horizon, draft, None)?;
        }
        keeper.advance(reading)?;
        Ok(keeper)
    }

    /// Goes on to `reading`; answers whether another day is accepted since.
    ///
    /// # Errors
    /// What is worth a record cannot be made durable: the day stays where it was, a clock that froze is
    /// frozen all the same.
    pub fn advance(&self, reading: Reading) -> Result<bool, LifeError> {
        let mut state = self.lock();
        let mut next = state.clone();
        let at = reading.wall;
        let change = next.clock.advance(reading);
        if let Some(due) = next.clock.due_time() {
            let begun = day_begun(due, self.catalogue.birth().time_zone);
            next.day = next.day.max(begun);
        }
        let is_new_day = next.day > state.day;
        state.clock = next.clock.clone();
        let Some(draft) = record(at, change, is_new_day) else {
            return Ok(false);
        };
        self.catalogue.keep_horizon(&next, draft, None)?;
        state.day = next.day;
        Ok(is_new_day)
    }

    /// What is to be said of the wall clock if it is right.
    ///
    /// # Errors
    /// The clock is not frozen.
    pub fn right_clock(&self) -> Result<RightClock, LifeError> {
        let clock = &self.lock().clock;
        let ahead = clock.ahead();
        let jump = clock.frozen().ok_or(Refused::NoJump)?;
        Ok(RightClock { jump, ahead })
    }

    /// Two persons say by the plan `plan` that the wall clock of the last reading is `right`.
    pub(super) fn confirm(&self, plan: PlanId, right: RightClock) -> Result<(), LifeError> {
        let mut state = self.lock();
        if state.clock.frozen() != Some(right.jump) {
            return Err(Refused::NoJump.into());
        }
        if state.clock.ahead().abs_diff(right.ahead) > SAME_CLOCK {
            return Err(Refused::OtherClock.into());
        }
        let mut next = state.clone();
        next.clock.confirm();
        let at = next.clock.own();
        next.day = next
            .day
            .max(day_begun(at, self.catalogue.birth().time_zone));
        let draft = Draft::new(at, Event::Clock, Outcome::Done).with("change", "confirmed");
        self.catalogue.keep_horizon(&next, draft, Some(plan))?;
        *state = next;
        Ok(())
    }

    /// What the day is.
    pub fn today(&self) -> Today {
        let state = self.lock();
        let latest = day_begun(state.clock.latest_time(), self.catalogue.birth().time_zone);
        Today {
            day: state.day,
            latest: latest.max(state.day),
            frozen: state.clock.frozen(),
        }
    }

    /// The archive's own clock, as of the last reading.
    pub fn clock(&self) -> OwnClock {
        self.lock().clock.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Horizon> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The record of what an advance found, if it is worth one.
fn record(at: i64, change: Change, is_new_day: bool) -> Option<Draft> {
    let draft = |outcome| Draft::new(at, Event::Clock, outcome);
    match change {
        Change::Froze(jump) => {
            log::error!(
                "ALARM: the clock jumped ({:?}): nothing is moved or erased until two persons confirm it: \
                 tsuwaroku clock confirm",
                jump.kind
            );
            let draft = draft(Outcome::Failed).with("change", "froze");
            Some(draft.with("own", jump.own).with("wall", jump.wall))
        }
        Change::Corrected(by) if by.abs() >= WORTH_A_RECORD => {
            let draft = draft(Outcome::Done).with("change", "corrected");
            Some(draft.with("nanoseconds", by))
        }
        Change::Passed | Change::Corrected(_) => {
            is_new_day.then(|| draft(Outcome::Done).with("change", "day"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::tests::{catalogue, signers};

    const SECOND: i64 = 1_000_000_000;
    const DAY: i64 = 86_400 * SECOND;
    /// 2026-11-23 12:00 in Tokyo.
    const NOON: i64 = 1_795_402_800 * SECOND;

    fn reading(wall: i64, boot: i64) -> Reading {
        Reading {
            wall,
            boot,
            boot_id: "a".into(),
            synchronised: true,
        }
    }

    fn at(passed: i64, off: i64) -> Reading {
        reading(NOON + passed + off, 1000 * SECOND + passed)
    }

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    #[test]
    fn a_day_is_accepted_at_the_offices_midnight_and_survives() {
        let (folder, catalogue) = catalogue();
        let keeper = Keeper::open(Arc::new(catalogue), at(0, 0)).unwrap();
        assert_eq!(keeper.today().day, day("2026-11-23"));
        assert!(!keeper.advance(at(DAY / 2 - SECOND, 0)).unwrap());
        assert!(keeper.advance(at(DAY / 2, 0)).unwrap());
        assert_eq!(keeper.today().day, day("2026-11-24"));
        drop(keeper);
        let path = folder.path().join("catalogue.sqlite");
        let catalogue = Catalogue::open(&path, signers()).unwrap();
        let kept = catalogue.horizon().unwrap().unwrap();
        assert_eq!(kept.day, day("2026-11-24"));
    }

    /// Whichever clock says it alone, no day is accepted: not by a wall clock that is ahead, nor by the own
    /// one while the wall clock is behind, nor ever backwards.
    #[test]
    fn a_jump_accepts_no_day_until_two_persons_confirm() {
        for off in [400 * DAY, -400 * DAY] {
            let (folder, catalogue) = catalogue();
            let catalogue = Arc::new(catalogue);
            let keeper = Keeper::open(catalogue.clone(), at(0, 0)).unwrap();
            assert!(!keeper.advance(at(60 * SECOND, off)).unwrap());
            assert!(!keeper.advance(at(5 * DAY, off)).unwrap());
            let today = keeper.today();
            assert_eq!(today.day, day("2026-11-23"));
            assert!(today.frozen.is_some() && today.latest >= day("2026-11-28"));
            drop((keeper, catalogue));
            // Nor by a restart.
            let path = folder.path().join("catalogue.sqlite");
            let catalogue = Arc::new(Catalogue::open(&path, signers()).unwrap());
            let keeper = Keeper::open(catalogue, at(6 * DAY, off)).unwrap();
            assert_eq!(keeper.today().day, day("2026-11-23"));
            assert!(keeper.today().frozen.is_some());
        }
    }

    /// The setting that names the clock's record points to an older one: what was true then is kept.
    #[test]
    fn only_records_of_the_clock_are_believed() {
        let (folder, catalogue) = catalogue();
        drop(Keeper::open(Arc::new(catalogue), at(0, 0)).unwrap());
        let path = folder.path().join("catalogue.sqlite");
        let sql = "UPDATE setting SET value = '1' WHERE name = 'clock'";
        crate::catalogue::tests::tamper(&path, sql);
        let catalogue = Arc::new(Catalogue::open(&path, signers()).unwrap());
        let refused = Keeper::open(catalogue, at(DAY, 0)).unwrap_err().to_string();
        assert!(refused.contains("clock"), "{refused}");
    }

    /// St. John's clocks went back from 00:01 to 23:01 until 2011.
    #[test]
    fn a_day_that_comes_twice_is_over_the_second_time() {
        let zone = Tz::America__St_Johns;
        let (eve, next) = (day("2010-11-06"), day("2010-11-07"));
        let end = eve.ends(zone).timestamp_nanos_opt().unwrap();
        let first_midnight = next.begins(zone).timestamp_nanos_opt().unwrap();
        assert!(first_midnight < end);
        assert_eq!(day_begun(first_midnight, zone), eve);
        assert_eq!(day_begun(end - 1, zone), eve);
        assert_eq!(day_begun(end, zone), next);
    }
}
