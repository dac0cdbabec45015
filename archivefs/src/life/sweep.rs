//! What is due on a day, as a list: what moves, what goes, and what would go but is held. Made here from
//! values alone; shown by `tsuwaroku sweep --dry-run`, and carried out by `run`, one and the same.

use super::Rules;
use crate::call::time_of;
use crate::catalogue::{Catalogue, CatalogueError, Cutoffs, HoldId, Holds, Key, NumberId, Resting};
use crate::day::Day;
use crate::period::{Age, Schedule};
use crate::store::Tier;
use chrono_tz::Tz;
use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use ulid::Ulid;

/// A recording that is due for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// Its key.
    pub key: Key,
    /// Its identity.
    pub id: Ulid,
    /// The designated number.
    pub number: NumberId,
    /// Where it rests.
    pub tier: Tier,
    /// Bytes of its object.
    pub stored_bytes: u64,
    /// Why: the last day of the period that is over.
    pub last_day: Day,
}

/// All that is due on a day, each list in the order of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sweep {
    /// The accepted day.
    pub today: Day,
    /// To be erased: the second period is over (R6.3).
    pub erase: Vec<Item>,
    /// To be moved to the secondary tier: the first period is over (R6.2).
    pub moves: Vec<Item>,
    /// Would be erased, but is held (R6.4).
    pub held: Vec<(Item, HoldId)>,
}

/// What a recording is due for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Due {
    erase: bool,
    moves: bool,
    held: Option<HoldId>,
}

/// What decides.
struct Judge<'a> {
    cutoffs: &'a Cutoffs,
    holds: &'a Holds,
    /// Whether there is a secondary tier to move to.
    has_secondary: bool,
}

impl Judge<'_> {
    /// A hold stops an erasure, and no move.
    fn due(&self, one: &Resting) -> Due {
        let expired = self.cutoffs.is_expired(one.number, one.key);
        let party = one.other_party.as_deref();
        let found = || self.holds.on(one.id, one.key, one.number, party);
        let held = expired.then(found).flatten();
        let erase = expired && held.is_none();
        let over = expired || self.cutoffs.is_over(one.number, one.key);
        Due {
            erase,
            moves: !erase && over && self.has_secondary && one.tier == Tier::Primary,
            held,
        }
    }
}

/// The last days of periods, remembered from one recording to the next of the same day.
struct LastDays<'a> {
    rules: &'a Rules,
    zone: Tz,
    day: Range<i64>,
    schedules: BTreeMap<Option<NumberId>, Schedule>,
}

impl LastDays<'_> {
    /// The last day of `age` of the recording `key` of `number`.
    fn of(&mut self, number: NumberId, key: Key, age: Age) -> Day {
        let at = key.milliseconds();
        if !self.day.contains(&at) {
            self.schedules.clear();
            self.day = Day::of(time_of(at * 1_000_000), self.zone).milliseconds(self.zone);
        }
        // By the beginning of the day: its recordings are one range of keys.
        let call = Day::of(time_of(self.day.start * 1_000_000), self.zone);
        let own = self.rules.lines.contains_key(&number).then_some(number);
        let schedule = self
            .schedules
            .entry(own)
            .or_insert_with(|| Schedule::of(call, self.rules.of(number)));
        match age {
            Age::Primary => schedule.primary.last,
            Age::Secondary | Age::Over => schedule.last_kept(),
        }
    }
}

/// All that is due on `today` in `catalogue` by `rules`. Moves are due only where there is a secondary
/// tier.
pub fn plan(
    catalogue: &Catalogue,
    rules: &Rules,
    today: Day,
    has_secondary: bool,
) -> Result<Sweep, CatalogueError> {
    let zone = catalogue.birth().time_zone;
    let cutoffs = rules.cutoffs(today, zone);
    let holds = catalogue.holds_on(today)?;
    let judge = Judge {
        cutoffs: &cutoffs,
        holds: &holds,
        has_secondary,
    };
    let mut days = LastDays {
        rules,
        zone,
        day: 0..0,
        schedules: BTreeMap::new(),
    };
    let mut sweep = Sweep {
        today,
        erase: vec![],
        moves: vec![],
        held: vec![],
    };
    let over = if has_secondary {
        cutoffs.last_over()
    } else {
        Key::MIN
    };
    catalogue.each_resting(over, cutoffs.last_expired(), |one| {
        sweep.take(&one, judge.due(&one), &mut days);
        ControlFlow::Continue(())
    })?;
    Ok(sweep)
}

impl Sweep {
    fn take(&mut self, one: &Resting, due: Due, days: &mut LastDays<'_>) {
        let mut item = |age| Item {
            key: one.key,
            id: one.id,
            number: one.number,
            tier: one.tier,
            stored_bytes: one.stored_bytes,
            last_day: days.of(one.number, one.key, age),
        };
        if due.erase {
            self.erase.push(item(Age::Over));
        }
        if due.moves {
            self.moves.push(item(Age::Primary));
        }
        if let Some(hold) = due.held {
            self.held.push((item(Age::Over), hold));
        }
    }
}

#[cfg(test)]
mod tests;
