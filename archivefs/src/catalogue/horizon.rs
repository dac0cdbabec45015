//! The archive's own clock and its accepted day, kept in the log: each time they are worth a record, the
//! record carries the clock, and one setting says which record is the last. Whoever changes the setting
//! can only go back to what was true once; whoever changes the record is found by the log's chain.
//!
//! What the clock accepts is decided in `clock::own`, when it is worth a record in `life::today`, the only
//! caller.

use super::change::{apply, get, set};
use super::{Catalogue, CatalogueError, PlanId, Refused, log, plans};
use crate::audit::{Draft, Event, Outcome, Record};
use crate::clock::own::{Jump, OwnClock};
use crate::day::Day;
use rusqlite::Connection;

/// The setting that names the last record of the clock.
const CLOCK: &str = "clock";
/// The facts of such a record: the clock as JSON, the accepted day.
const STATE: &str = "state";
const DAY: &str = "day";

/// The clock and the accepted day, as they are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Horizon {
    /// The archive's own clock at the moment of the record.
    pub clock: OwnClock,
    /// The day by which periods are judged.
    pub day: Day,
}

impl Catalogue {
    /// What was kept last; nothing in an archive whose clock has not been read yet.
    pub fn horizon(&self) -> Result<Option<Horizon>, CatalogueError> {
        self.read(horizon)
    }

    /// Keeps `horizon` in the record `draft`; durable when this returns. Under the plan `plan`, where two
    /// persons have said that the clock is right: it is done by this.
    pub(crate) fn keep_horizon(
        &self,
        horizon: &Horizon,
        draft: Draft,
        plan: Option<PlanId>,
    ) -> Result<(), CatalogueError> {
        let (at, horizon) = (draft.at, horizon.clone());
        let state = serde_json::to_string(&horizon.clock).expect("plain data");
        let draft = draft.with(STATE, state).with(DAY, horizon.day);
        apply(&self.writer, at, move |on, log| {
            let mut draft = draft.clone();
            if let Some(plan) = plan {
                confirm(on, at, plan)?;
                draft = draft.with("plan", plan);
            }
            let seq = log.append(on, &draft)?;
            set(on, CLOCK, &seq.to_string())
        })
    }
}

fn confirm(on: &Connection, at: i64, plan: PlanId) -> Result<(), CatalogueError> {
    let approved = plans::approved(on, plan)?;
    let plans::Wish::Clock(right) = approved.wish else {
        return Err(Refused::OtherPlan(plan).into());
    };
    if frozen(on)? != Some(right.jump) {
        return Err(Refused::NoJump.into());
    }
    plans::done(on, plan, at)
}

/// The jump for which the archive is frozen, by the last record.
pub(super) fn frozen(on: &Connection) -> Result<Option<Jump>, CatalogueError> {
    Ok(horizon(on)?.and_then(|kept| kept.clock.frozen()))
}

fn horizon(on: &Connection) -> Result<Option<Horizon>, CatalogueError> {
    let Some(seq) = get(on, CLOCK)? else {
        return Ok(None);
    };
    let damaged = || CatalogueError::Damaged(format!("the record {seq} of its clock"));
    let number = seq.parse().map_err(|_| damaged())?;
    let row = log::records(on, number, 1)?.pop();
    let row = row.filter(|row| row.seq == number).ok_or_else(damaged)?;
    let record = Record::parse(&row.record).map_err(|_| damaged())?;
    let is_clock = record.event == Event::Clock && record.result != Outcome::Refused;
    let fact = |name: &str| record.facts.get(name).filter(|_| is_clock);
    let clock = fact(STATE).and_then(|state| serde_json::from_str(state).ok());
    let day = fact(DAY).and_then(|day| day.parse().ok());
    match (clock, day) {
        (Some(clock), Some(day)) => Ok(Some(Horizon { clock, day })),
        _ => Err(damaged()),
    }
}
