//! What of the archive is shown: a recording past its last day is not there unless it is held, whether or
//! not anything has swept (R6.3). [`Shown`] asks what the file system and searches ask, and leaves out what
//! is past; it costs a comparison with a key.
//!
//! Whoever looks after the objects (verification, ingest, the sweep itself) asks the [`Catalogue`], which
//! hides nothing.

use super::cutoffs::Cutoffs;
use super::holds::Holds;
use super::row::{Key, NumberId, Recording};
use super::{Catalogue, CatalogueError, Filter, News, Number, read};
use crate::call::time_of;
use crate::day::Day;
use chrono_tz::Tz;
use rusqlite::{Connection, params};
use std::collections::BTreeSet;
use std::ops::{Range, RangeInclusive};
use std::sync::{Arc, PoisonError};
use ulid::Ulid;

/// What is shown, as a value; replaced as a whole when a day ends or a hold changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visible {
    cutoffs: Arc<Cutoffs>,
    /// The accepted day that holds are judged by.
    today: Option<Day>,
    holds: Holds,
    /// Past days that are there for the sake of what is held: YYYYMMDD and number.
    held_days: BTreeSet<(u32, NumberId)>,
}

impl Visible {
    /// Everything is shown.
    pub fn everything() -> Self {
        Self {
            cutoffs: Arc::new(Cutoffs::NONE),
            today: None,
            holds: Holds::default(),
            held_days: BTreeSet::new(),
        }
    }

    /// Whether `recording` is shown.
    pub fn shows(&self, recording: &Recording) -> bool {
        let (key, number) = (recording.key, recording.number);
        let party = recording.other_party.as_deref();
        !self.cutoffs.is_expired(number, key)
            || self.holds.on(recording.id, key, number, party).is_some()
    }

    /// Whether `day` of `number` is shown, if it has recordings.
    pub fn shows_day(&self, number: NumberId, day: Day) -> bool {
        !self.cutoffs.is_expired_day(number, day)
            || self.held_days.contains(&(day.digits(), number))
    }
}

/// The archive as it is shown at one moment.
#[derive(Debug, Clone)]
pub struct Shown<'a> {
    catalogue: &'a Catalogue,
    visible: Arc<Visible>,
}

impl Catalogue {
    /// What is shown now: the questions that the file system and searches ask.
    pub fn shown(&self) -> Shown<'_> {
        Shown {
            catalogue: self,
            visible: self.visible(),
        }
    }

    fn visible(&self) -> Arc<Visible> {
        let visible = self.visible.read();
        visible.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on what is past `cutoffs` on the accepted day `today` is shown only while it is held.
    /// Whoever listens for news hears of every day that changed by this.
    pub fn show(&self, today: Day, cutoffs: Arc<Cutoffs>) -> Result<(), CatalogueError> {
        self.replace_shown(Some((today, cutoffs)))
    }

    /// Has a change of the holds take effect.
    pub(super) fn refresh_shown(&self) -> Result<(), CatalogueError> {
        self.replace_shown(None)
    }

    /// With none given, the day and the cutoffs stay as they are.
    fn replace_shown(&self, by: Option<(Day, Arc<Cutoffs>)>) -> Result<(), CatalogueError> {
        // One at a time: a later one must not be undone by an earlier one that took longer.
        let turn = self.showing.lock();
        let _turn = turn.unwrap_or_else(PoisonError::into_inner);
        let old = self.visible();
        let kept = old.today.map(|today| (today, old.cutoffs.clone()));
        let Some((today, cutoffs)) = by.or(kept) else {
            return Ok(());
        };
        let new = self.visible_on(today, cutoffs)?;
        let days = self.read(|on| days_up_to(on, last_day(&old, &new)))?;
        let mut visible = self.visible.write().unwrap_or_else(PoisonError::into_inner);
        *visible = Arc::new(new.clone());
        drop(visible);
        let same_holds = old.holds == new.holds;
        let changed = |&(day, number): &(Day, NumberId)| {
            let (before, after) = (old.shows_day(number, day), new.shows_day(number, day));
            before != after || (!same_holds && (before || after))
        };
        for (day, number) in days.into_iter().filter(changed) {
            self.announce(News { number, day });
        }
        Ok(())
    }

    /// A recording came in; one that is past its last day may make a day be shown if it is held.
    pub(super) fn note_arrival(&self, recording: &Recording) -> Result<(), CatalogueError> {
        let visible = self.visible();
        let is_past = visible.cutoffs.is_expired(recording.number, recording.key);
        if is_past && visible.shows(recording) {
            return self.refresh_shown();
        }
        Ok(())
    }

    fn visible_on(&self, today: Day, cutoffs: Arc<Cutoffs>) -> Result<Visible, CatalogueError> {
        let (holds, zone) = (self.holds_on(today)?, self.birth.time_zone);
        let mut held_days = BTreeSet::new();
        if !holds.is_empty() {
            let past = cutoffs.last_expired();
            self.each_resting(Key::MIN, past, |one| {
                let party = one.other_party.as_deref();
                let is_held = || holds.on(one.id, one.key, one.number, party).is_some();
                if cutoffs.is_expired(one.number, one.key) && is_held() {
                    held_days.insert((day_of(one.key, zone).digits(), one.number));
                }
                std::ops::ControlFlow::Continue(())
            })?;
        }
        Ok(Visible {
            cutoffs,
            today: Some(today),
            holds,
            held_days,
        })
    }
}

/// The last day that may be shown by one and not by the other, YYYYMMDD.
fn last_day(old: &Visible, new: &Visible) -> u32 {
    let last = |visible: &Visible| visible.cutoffs.last_expired_day();
    last(old).max(last(new))
}

fn day_of(key: Key, zone: Tz) -> Day {
    Day::of(time_of(key.milliseconds() * 1_000_000), zone)
}

/// Each day up to `last` (YYYYMMDD) with the numbers that have recordings.
fn days_up_to(on: &Connection, last: u32) -> Result<Vec<(Day, NumberId)>, CatalogueError> {
    days_of_numbers(on, 0..=last)
}

fn days_of_numbers(
    on: &Connection,
    days: RangeInclusive<u32>,
) -> Result<Vec<(Day, NumberId)>, CatalogueError> {
    let sql = "SELECT day, number FROM day WHERE day BETWEEN ?1 AND ?2 ORDER BY day, number";
    let mut all = on.prepare_cached(sql)?;
    let mut rows = all.query(params![days.start(), days.end()])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let digits: u32 = row.get(0)?;
        let damaged = || CatalogueError::Damaged(format!("the day {digits}"));
        let day = Day::from_digits(digits).ok_or_else(damaged)?;
        found.push((day, NumberId(row.get(1)?)));
    }
    Ok(found)
}

impl Shown<'_> {
    /// See [`Catalogue::days`].
    pub fn days(
        &self,
        number: Option<NumberId>,
        days: RangeInclusive<u32>,
    ) -> Result<Vec<Day>, CatalogueError> {
        let (past, later) = self.split(&days);
        let mut found = self.past_days(number, past)?;
        if !later.is_empty() {
            found.extend(self.catalogue.days(number, later)?);
        }
        Ok(found)
    }

    /// See [`Catalogue::has_day`].
    pub fn has_day(
        &self,
        number: Option<NumberId>,
        days: RangeInclusive<u32>,
    ) -> Result<bool, CatalogueError> {
        let (past, later) = self.split(&days);
        let has_later = !later.is_empty() && self.catalogue.has_day(number, later)?;
        Ok(has_later || !self.past_days(number, past)?.is_empty())
    }

    /// See [`Catalogue::numbers_of_day`].
    pub fn numbers_of_day(&self, day: Day) -> Result<Vec<Number>, CatalogueError> {
        let mut numbers = self.catalogue.numbers_of_day(day)?;
        numbers.retain(|number| self.visible.shows_day(number.id, day));
        Ok(numbers)
    }

    /// See [`Catalogue::recordings`].
    pub fn recordings(&self, number: NumberId, day: Day) -> Result<Vec<Recording>, CatalogueError> {
        Ok(self.only_shown(self.catalogue.recordings(number, day)?))
    }

    /// Recordings of `number` on `day` that are not shown.
    pub fn hidden(&self, number: NumberId, day: Day) -> Result<Vec<Key>, CatalogueError> {
        if !self.visible.cutoffs.is_expired_day(number, day) {
            return Ok(vec![]);
        }
        let mut all = self.catalogue.recordings(number, day)?;
        all.retain(|recording| !self.visible.shows(recording));
        Ok(all.iter().map(|recording| recording.key).collect())
    }

    /// See [`Catalogue::recordings_within`].
    pub fn recordings_within(
        &self,
        number: NumberId,
        milliseconds: &Range<i64>,
    ) -> Result<Vec<Recording>, CatalogueError> {
        let found = self.catalogue.recordings_within(number, milliseconds)?;
        Ok(self.only_shown(found))
    }

    /// See [`Catalogue::by_key`].
    pub fn by_key(&self, key: Key) -> Result<Option<Recording>, CatalogueError> {
        let found = self.catalogue.by_key(key)?;
        Ok(found.filter(|recording| self.visible.shows(recording)))
    }

    /// See [`Catalogue::by_id`].
    pub fn by_id(&self, id: Ulid) -> Result<Option<Recording>, CatalogueError> {
        let found = self.catalogue.by_id(id)?;
        Ok(found.filter(|recording| self.visible.shows(recording)))
    }

    /// See [`Catalogue::find`].
    pub fn find(&self, filter: &Filter, limit: u32) -> Result<Vec<Recording>, CatalogueError> {
        let (mut filter, mut found) = (filter.clone(), Vec::new());
        loop {
            let wanted = limit - found.len() as u32;
            let page = self.catalogue.find(&filter, wanted)?;
            let is_last = (page.len() as u32) < wanted;
            filter.after = page.last().map(|last| last.key).or(filter.after);
            found.extend(self.only_shown(page));
            if is_last || found.len() as u32 >= limit {
                return Ok(found);
            }
        }
    }

    fn only_shown(&self, mut recordings: Vec<Recording>) -> Vec<Recording> {
        recordings.retain(|recording| self.visible.shows(recording));
        recordings
    }

    /// `days` as those of which some may be past, and those later: no day of those is past.
    fn split(&self, days: &RangeInclusive<u32>) -> (RangeInclusive<u32>, RangeInclusive<u32>) {
        let last = self.visible.cutoffs.last_expired_day();
        let (first, end) = (*days.start(), *days.end());
        (first..=end.min(last), first.max(last + 1)..=end)
    }

    /// Those of `days` that are shown.
    fn past_days(
        &self,
        number: Option<NumberId>,
        days: RangeInclusive<u32>,
    ) -> Result<Vec<Day>, CatalogueError> {
        if days.is_empty() {
            return Ok(vec![]);
        }
        let Some(number) = number else {
            let pairs = self.catalogue.read(|on| days_of_numbers(on, days))?;
            let shown = pairs
                .into_iter()
                .filter(|&(day, number)| self.visible.shows_day(number, day));
            let mut found: Vec<_> = shown.map(|(day, _)| day).collect();
            found.dedup();
            return Ok(found);
        };
        let mut found = self
            .catalogue
            .read(|on| read::days(on, Some(number), days))?;
        found.retain(|&day| self.visible.shows_day(number, day));
        Ok(found)
    }
}
