//! The queue of plans: what somebody asked for that destroys or releases, until somebody else approved it
//! (R9.1) and it was carried out. Kept for ever.
//!
//! ```text
//! ask ──► waiting ── approve ──► approved ── carried out ──► done
//!            └────── decline ──► declined
//! ```
//!
//! Here: the table, and the rule that nobody approves what they asked for. Who may ask and approve at all
//! is for `rights`; what carries a plan out is in `life`, and checks in its own transaction that the plan
//! is approved.

use super::change::apply;
use super::holds::{HoldId, in_force};
use super::log::Log;
use super::{Catalogue, CatalogueError, Recording, Refused, horizon, read, tombstones};
use crate::audit::{Draft, Event, Outcome, Who};
use crate::clock::own::Jump;
use crate::day::Day;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use std::fmt;
use ulid::Ulid;

/// A plan's number, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlanId(pub u32);

/// `P12`.
impl fmt::Display for PlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "P{}", self.0)
    }
}

/// What a plan asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// These recordings are to be erased (R6.7).
    Erase(Vec<Ulid>),
    /// A hold is to be released.
    Release(HoldId),
    /// The wall clock is right.
    Clock(RightClock),
}

/// That the wall clock is right, though the archive's own time is another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RightClock {
    /// The jump for which the archive is frozen.
    pub jump: Jump,
    /// How far the wall clock was ahead of the own time when it was looked at, nanoseconds: if somebody
    /// sets it to something else before the approval, nobody has approved that.
    pub ahead: i64,
}

/// A [`Wish`] as its column holds it; the recordings are in a table of their own.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Stored {
    Erase,
    Release(u32),
    Clock(RightClock),
}

/// A plan that is to be entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPlan {
    /// What for.
    pub wish: Wish,
    /// Why. It is on the certificate of erasure, so no names of those who were recorded.
    pub ground: String,
    /// The application that it is asked under, where there is one.
    pub application: Option<String>,
    /// Who asks.
    pub by: Who,
}

/// Who did something, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Nanoseconds since 1970.
    pub at: i64,
    /// The account.
    pub uid: u32,
    /// Its name at that time.
    pub name: String,
}

/// How far a plan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanState {
    /// Nobody has decided.
    Waiting,
    /// It is to be carried out.
    Approved,
    /// It is not to be carried out.
    Declined,
    /// It was carried out, as far as that was allowed.
    Done,
}

impl PlanState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Waiting, Self::Approved, Self::Declined, Self::Done];

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Approved => "approved",
            Self::Declined => "declined",
            Self::Done => "done",
        }
    }
}

/// A plan as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Its number.
    pub id: PlanId,
    /// What for.
    pub wish: Wish,
    /// Why.
    pub ground: String,
    /// The application that it is asked under.
    pub application: Option<String>,
    /// Who asked.
    pub asked: Decision,
    /// How far it is.
    pub state: PlanState,
    /// Who approved or declined.
    pub decided: Option<Decision>,
    /// When it had been carried out, nanoseconds since 1970.
    pub done_at: Option<i64>,
}

impl Catalogue {
    /// Enters `plan`, asked for at `at` (nanoseconds since 1970) on the accepted day `today`.
    ///
    /// # Errors
    /// [`Refused`]: a recording is not there, or held (R6.7); a hold is not in force; no ground.
    pub fn ask(&self, at: i64, today: Day, plan: NewPlan) -> Result<PlanId, CatalogueError> {
        apply(&self.writer, at, move |on, log| {
            ask(on, log, at, today, &plan)
        })
    }

    /// `who` approves the plan `id`, or declines it; durable and logged when this returns.
    ///
    /// # Errors
    /// [`Refused`]: it is decided already, or `who` asked for it (R9.1).
    pub fn decide(
        &self,
        at: i64,
        id: PlanId,
        approve: bool,
        who: Who,
    ) -> Result<Plan, CatalogueError> {
        apply(&self.writer, at, move |on, log| {
            decide(on, log, at, id, approve, &who)
        })
    }

    /// The plan `id`.
    pub fn plan(&self, id: PlanId) -> Result<Option<Plan>, CatalogueError> {
        self.read(|on| plan(on, id))
    }

    /// The plans in `state`, the oldest first.
    pub fn plans(&self, state: PlanState) -> Result<Vec<Plan>, CatalogueError> {
        self.read(|on| {
            let ids: Vec<u32> = on
                .prepare_cached("SELECT id FROM plan WHERE state = ?1 ORDER BY id")?
                .query_map([state.word()], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            let plans = ids.into_iter().map(|id| plan(on, PlanId(id)));
            Ok(plans
                .collect::<Result<Vec<_>, _>>()?
                .into_iter()
                .flatten()
                .collect())
        })
    }
}

/// The recording `id`, if it is there.
pub(super) fn known(on: &Connection, id: Ulid) -> Result<Recording, CatalogueError> {
    if let Some(recording) = read::by_id(on, id)? {
        return Ok(recording);
    }
    match tombstones::by_id(on, id)? {
        Some(_) => Err(CatalogueError::Erased(id)),
        None => Err(Refused::NoRecording(id).into()),
    }
}

fn ask(
    on: &Connection,
    log: &mut Log,
    at: i64,
    today: Day,
    plan: &NewPlan,
) -> Result<PlanId, CatalogueError> {
    if plan.ground.trim().is_empty() {
        return Err(Refused::NoGround.into());
    }
    let stored = match &plan.wish {
        Wish::Erase(recordings) => erasable(on, today, recordings).map(|()| Stored::Erase),
        Wish::Release(hold) => releasable(on, *hold).map(|()| Stored::Release(hold.0)),
        Wish::Clock(right) => Ok(Stored::Clock(*right)),
    }?;
    let insert =
        "INSERT INTO plan (wish, ground, application, asked_at, asked_uid, asked_by, state)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'waiting') RETURNING id";
    let wish = serde_json::to_string(&stored).expect("plain data");
    let values = params![
        wish,
        plan.ground,
        plan.application,
        at,
        plan.by.uid,
        plan.by.name
    ];
    let id = PlanId(
        on.prepare_cached(insert)?
            .query_row(values, |row| row.get(0))?,
    );
    let draft = told(
        Event::Filed,
        at,
        id,
        &plan.wish,
        plan.application.as_deref(),
    );
    log.append(on, &draft.by(plan.by.clone()))?;
    if let Wish::Erase(recordings) = &plan.wish {
        let insert = "INSERT OR IGNORE INTO plan_item (plan, recording) VALUES (?1, ?2)";
        for recording in recordings {
            on.prepare_cached(insert)?
                .execute(params![id.0, recording.to_bytes()])?;
        }
    }
    Ok(id)
}

fn erasable(on: &Connection, today: Day, recordings: &[Ulid]) -> Result<(), CatalogueError> {
    if recordings.is_empty() {
        return Err(Refused::Empty.into());
    }
    let holds = in_force(on, today)?;
    for &id in recordings {
        let there = known(on, id)?;
        let party = there.other_party.as_deref();
        if let Some(hold) = holds.on(id, there.key, there.number, party) {
            return Err(Refused::Held {
                recording: id,
                hold,
            }
            .into());
        }
    }
    Ok(())
}

fn releasable(on: &Connection, hold: HoldId) -> Result<(), CatalogueError> {
    let in_force = on
        .prepare_cached("SELECT 1 FROM hold WHERE id = ?1 AND released_at IS NULL")?
        .exists([hold.0])?;
    if in_force {
        Ok(())
    } else {
        Err(Refused::NoHold(hold).into())
    }
}

/// What the log says of a plan.
fn told(event: Event, at: i64, id: PlanId, wish: &Wish, application: Option<&str>) -> Draft {
    let draft = Draft::new(at, event, Outcome::Done).with("plan", id);
    let draft = match application {
        Some(application) => draft.under(application),
        None => draft,
    };
    match wish {
        Wish::Erase(recordings) => match recordings.as_slice() {
            [one] => draft.with("wish", "erase").on(*one),
            many => draft.with("wish", "erase").with("recordings", many.len()),
        },
        Wish::Release(hold) => draft.with("wish", "release").with("hold", hold),
        Wish::Clock(right) => draft.with("wish", "clock").with("ahead", right.ahead),
    }
}

fn decide(
    on: &Connection,
    log: &mut Log,
    at: i64,
    id: PlanId,
    approve: bool,
    who: &Who,
) -> Result<Plan, CatalogueError> {
    let asked = plan(on, id)?.ok_or(Refused::NoPlan(id))?;
    if asked.state != PlanState::Waiting {
        let state = asked.state.word();
        return Err(Refused::State { plan: id, state }.into());
    }
    let same = asked.asked.uid == who.uid || asked.asked.name == who.name;
    if approve && same {
        return Err(Refused::OwnPlan(id).into());
    }
    if let (true, Wish::Clock(right)) = (approve, &asked.wish)
        && horizon::frozen(on)? != Some(right.jump)
    {
        return Err(Refused::NoJump.into());
    }
    let (state, event) = if approve {
        (PlanState::Approved, Event::Approved)
    } else {
        (PlanState::Declined, Event::Declined)
    };
    on.prepare_cached(
        "UPDATE plan SET state = ?2, decided_at = ?3, decided_uid = ?4, decided_by = ?5 WHERE id = ?1",
    )?
    .execute(params![id.0, state.word(), at, who.uid, who.name])?;
    let draft = told(event, at, id, &asked.wish, asked.application.as_deref());
    log.append(on, &draft.by(who.clone()))?;
    plan(on, id)?.ok_or_else(|| Refused::NoPlan(id).into())
}

/// The plan `id`, which is approved and not carried out yet.
pub(super) fn approved(on: &Connection, id: PlanId) -> Result<Plan, CatalogueError> {
    let plan = plan(on, id)?.ok_or(Refused::NoPlan(id))?;
    if plan.state == PlanState::Approved {
        Ok(plan)
    } else {
        let state = plan.state.word();
        Err(Refused::State { plan: id, state }.into())
    }
}

/// The plan `id` was carried out.
pub(super) fn done(on: &Connection, id: PlanId, at: i64) -> Result<(), CatalogueError> {
    on.prepare_cached("UPDATE plan SET state = 'done', done_at = ?2 WHERE id = ?1")?
        .execute(params![id.0, at])?;
    Ok(())
}

/// What became of `recording` under the plan `id`; with the last one it is done.
pub(super) fn settle(
    on: &Connection,
    id: PlanId,
    recording: Ulid,
    outcome: &str,
    at: i64,
) -> Result<(), CatalogueError> {
    let settle = "UPDATE plan_item SET outcome = ?3 WHERE plan = ?1 AND recording = ?2";
    on.prepare_cached(settle)?
        .execute(params![id.0, recording.to_bytes(), outcome])?;
    let open = on
        .prepare_cached("SELECT 1 FROM plan_item WHERE plan = ?1 AND outcome IS NULL")?
        .exists([id.0])?;
    if open { Ok(()) } else { done(on, id, at) }
}

fn plan(on: &Connection, id: PlanId) -> Result<Option<Plan>, CatalogueError> {
    let row = on
        .prepare_cached(
            "SELECT wish, ground, application, asked_at, asked_uid, asked_by, state, decided_at,
                decided_uid, decided_by, done_at FROM plan WHERE id = ?1",
        )?
        .query_row([id.0], |row| plan_of(row, id))
        .optional()?;
    let Some((stored, mut plan)) = row else {
        return Ok(None);
    };
    let damaged = || CatalogueError::Damaged(format!("the plan {id}"));
    let stored = serde_json::from_str(&stored).map_err(|_| damaged())?;
    plan.wish = match stored {
        Stored::Erase => Wish::Erase(items(on, id)?),
        Stored::Release(hold) => Wish::Release(HoldId(hold)),
        Stored::Clock(right) => Wish::Clock(right),
    };
    Ok(Some(plan))
}

/// All of a plan but its wish, and the column that says it.
fn plan_of(row: &Row<'_>, id: PlanId) -> rusqlite::Result<(String, Plan)> {
    let state: String = row.get(6)?;
    let state = PlanState::ALL.into_iter().find(|one| one.word() == state);
    let decided = match row.get::<_, Value>(7)? {
        Value::Null => None,
        _ => Some(decision(row, 7)?),
    };
    let plan = Plan {
        id,
        wish: Wish::Erase(vec![]),
        ground: row.get(1)?,
        application: row.get(2)?,
        asked: decision(row, 3)?,
        // What nobody can have written allows nothing.
        state: state.unwrap_or(PlanState::Declined),
        decided,
        done_at: row.get(10)?,
    };
    Ok((row.get(0)?, plan))
}

/// From three columns: when, account, name.
fn decision(row: &Row<'_>, first: usize) -> rusqlite::Result<Decision> {
    Ok(Decision {
        at: row.get(first)?,
        uid: row.get(first + 1)?,
        name: row.get(first + 2)?,
    })
}

fn items(on: &Connection, id: PlanId) -> Result<Vec<Ulid>, CatalogueError> {
    let mut all = on.prepare_cached("SELECT recording FROM plan_item WHERE plan = ?1")?;
    let rows = all.query_map([id.0], |row| Ok(Ulid::from_bytes(row.get(0)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
