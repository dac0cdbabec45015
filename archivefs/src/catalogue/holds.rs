//! Holds: what must not be erased (R6.4), by recording or by what to look for; kept for ever, also when
//! released. A hold that looks for something holds what comes in later as well.
//!
//! Here: the table, and [`Holds`], the ones in force as one value that says what holds a recording. That
//! nothing held is erased is seen to by the erasure's own transaction (`tombstones`). Who may place one,
//! and who releases, is the business of `life`.

use super::change::apply;
use super::log::Log;
use super::plans;
use super::row::{Key, NumberId};
use super::{Catalogue, CatalogueError, PlanId, Refused};
use crate::audit::{Draft, Event, Outcome, Who};
use crate::day::Day;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use ulid::Ulid;

/// A hold's number, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HoldId(pub u32);

/// `H12`.
impl fmt::Display for HoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "H{}", self.0)
    }
}

/// What is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// One recording.
    Recording(Ulid),
    /// All that a search finds, now and later.
    Search(Search),
}

/// What is looked for; all that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Search {
    /// The designated number.
    pub number: Option<NumberId>,
    /// Start, milliseconds since 1970.
    pub start: Option<Range<i64>>,
    /// The other party's number, or its beginning.
    pub other_party: Option<String>,
}

impl Search {
    /// Whether it finds the recording `key` of `number` with `party`.
    pub fn finds(&self, key: Key, number: NumberId, party: Option<&str>) -> bool {
        let starts = |start: &Range<i64>| start.contains(&key.milliseconds());
        let begins = |wanted: &String| party.is_some_and(|party| party.starts_with(wanted));
        self.number.is_none_or(|wanted| wanted == number)
            && self.start.as_ref().is_none_or(starts)
            && self.other_party.as_ref().is_none_or(begins)
    }
}

/// A hold that is to be placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHold {
    /// What is held.
    pub scope: Scope,
    /// Why.
    pub ground: String,
    /// The last day of it; until it is released if there is none.
    pub until: Option<Day>,
    /// Who places it.
    pub by: Who,
}

/// A hold as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Its number.
    pub id: HoldId,
    /// What is held. What was looked for is forgotten with the recordings that it named.
    pub scope: Scope,
    /// Why.
    pub ground: String,
    /// The last day of it.
    pub until: Option<Day>,
    /// When it was placed, nanoseconds since 1970, and the account that did.
    pub placed: (i64, String),
    /// When it was released or ended, and by whom; nobody if it ended by itself.
    pub released: Option<(i64, Option<String>)>,
}

/// The holds in force on one day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holds {
    recordings: HashMap<Ulid, HoldId>,
    searches: Vec<(HoldId, Search)>,
}

impl Holds {
    /// What holds the recording `id`, which has this key, number and other party.
    pub fn on(&self, id: Ulid, key: Key, number: NumberId, party: Option<&str>) -> Option<HoldId> {
        let found =
            |(hold, search): &(HoldId, Search)| search.finds(key, number, party).then_some(*hold);
        let by_id = self.recordings.get(&id).copied();
        by_id.or_else(|| self.searches.iter().find_map(found))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.recordings.is_empty() && self.searches.is_empty()
    }

    /// These and one more.
    pub fn with(mut self, id: HoldId, scope: Scope) -> Self {
        match scope {
            Scope::Recording(recording) => {
                self.recordings.insert(recording, id);
            }
            Scope::Search(search) => self.searches.push((id, search)),
        }
        self
    }
}

impl Catalogue {
    /// Places `hold` at `at` (nanoseconds since 1970), and logs it; in force when this returns.
    ///
    /// # Errors
    /// [`Refused`]: it names no recording that there is, or nothing, or no ground.
    pub fn hold(&self, at: i64, hold: NewHold) -> Result<HoldId, CatalogueError> {
        let id = apply(&self.writer, at, move |on, log| place(on, log, at, &hold))?;
        self.refresh_shown()?;
        Ok(id)
    }

    /// Releases the hold that the approved plan `plan` names, and logs it.
    pub(crate) fn release(&self, at: i64, plan: PlanId) -> Result<HoldId, CatalogueError> {
        let id = apply(&self.writer, at, move |on, log| release(on, log, at, plan))?;
        self.refresh_shown()?;
        Ok(id)
    }

    /// Ends the holds whose last day is before `today`, and logs it; answers which.
    pub(crate) fn lapse_holds(&self, at: i64, today: Day) -> Result<Vec<HoldId>, CatalogueError> {
        if self.read(|on| lapsed(on, today))?.is_empty() {
            return Ok(vec![]);
        }
        let ended = apply(&self.writer, at, move |on, log| lapse(on, log, at, today))?;
        self.refresh_shown()?;
        Ok(ended)
    }

    /// Every hold, also those that were released, the oldest first.
    pub fn holds(&self) -> Result<Vec<Hold>, CatalogueError> {
        self.read(|on| {
            let sql = format!("SELECT {COLUMNS} FROM hold ORDER BY id");
            let mut all = on.prepare_cached(&sql)?;
            let mut rows = all.query([])?;
            let mut holds = Vec::new();
            while let Some(row) = rows.next()? {
                holds.push(hold_of(row)?);
            }
            Ok(holds)
        })
    }

    /// Those in force on `today`.
    pub fn holds_on(&self, today: Day) -> Result<Holds, CatalogueError> {
        self.read(|on| in_force(on, today))
    }
}

const COLUMNS: &str = "id, recording, number, first_ms, end_ms, other_party, ground, until, \
     placed_at, placed_by, released_at, released_by";

fn hold_of(row: &Row<'_>) -> Result<Hold, CatalogueError> {
    let id = HoldId(row.get(0)?);
    let damaged = || CatalogueError::Damaged(format!("the hold {id}"));
    let until = row.get::<_, Option<u32>>(7)?;
    let until = until.map(|day| Day::from_digits(day).ok_or_else(damaged));
    let released: Option<i64> = row.get(10)?;
    Ok(Hold {
        id,
        scope: scope_of(row)?,
        ground: row.get(6)?,
        until: until.transpose()?,
        placed: (row.get(8)?, row.get(9)?),
        released: match released {
            Some(at) => Some((at, row.get(11)?)),
            None => None,
        },
    })
}

/// From columns 1 to 5 of [`COLUMNS`].
fn scope_of(row: &Row<'_>) -> Result<Scope, CatalogueError> {
    let recording: Option<[u8; 16]> = row.get(1)?;
    if let Some(recording) = recording {
        return Ok(Scope::Recording(Ulid::from_bytes(recording)));
    }
    let (first, end): (Option<i64>, Option<i64>) = (row.get(3)?, row.get(4)?);
    Ok(Scope::Search(Search {
        number: row.get::<_, Option<u32>>(2)?.map(NumberId),
        start: first.zip(end).map(|(first, end)| first..end),
        other_party: row.get(5)?,
    }))
}

/// The holds in force on `today`.
pub(super) fn in_force(on: &Connection, today: Day) -> Result<Holds, CatalogueError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM hold WHERE released_at IS NULL AND coalesce(until, ?1) >= ?1"
    );
    let mut all = on.prepare_cached(&sql)?;
    let mut rows = all.query([today.digits()])?;
    let mut holds = Holds::default();
    while let Some(row) = rows.next()? {
        holds = holds.with(HoldId(row.get(0)?), scope_of(row)?);
    }
    Ok(holds)
}

fn place(
    on: &Connection,
    log: &mut Log,
    at: i64,
    hold: &NewHold,
) -> Result<HoldId, CatalogueError> {
    if hold.ground.trim().is_empty() {
        return Err(Refused::NoGround.into());
    }
    let draft = Draft::new(at, Event::Held, Outcome::Done).by(hold.by.clone());
    let draft = draft.hidden("ground", &hold.ground);
    let (recording, search, draft) = match &hold.scope {
        Scope::Recording(id) => {
            plans::known(on, *id)?;
            (Some(id.to_bytes()), Search::default(), draft.on(*id))
        }
        Scope::Search(search) if *search == Search::default() => {
            return Err(Refused::Boundless.into());
        }
        Scope::Search(search) => (None, search.clone(), told(draft, search)),
    };
    let insert =
        "INSERT INTO hold (recording, number, first_ms, end_ms, other_party, ground, until,
            placed_at, placed_uid, placed_by) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
        RETURNING id";
    let with = params![
        recording,
        search.number.map(|number| number.0),
        search.start.as_ref().map(|start| start.start),
        search.start.as_ref().map(|start| start.end),
        search.other_party,
        hold.ground,
        hold.until.map(Day::digits),
        at,
        hold.by.uid,
        hold.by.name,
    ];
    let id = HoldId(
        on.prepare_cached(insert)?
            .query_row(with, |row| row.get(0))?,
    );
    let until = hold.until.map(|until| until.to_string());
    let until = until.unwrap_or_else(|| "released".into());
    log.append(on, &draft.with("hold", id).with("until", until))?;
    Ok(id)
}

/// What is looked for, as the log tells it: a party's number may be erased.
fn told(draft: Draft, search: &Search) -> Draft {
    let draft = match &search.start {
        Some(start) => draft.with("from-ms", start.start).with("to-ms", start.end),
        None => draft,
    };
    let draft = match search.number {
        Some(number) => draft.with("number-id", number.0),
        None => draft,
    };
    match &search.other_party {
        Some(party) => draft.hidden("party", party),
        None => draft,
    }
}

fn release(
    on: &Connection,
    log: &mut Log,
    at: i64,
    plan: PlanId,
) -> Result<HoldId, CatalogueError> {
    let approved = plans::approved(on, plan)?;
    let plans::Wish::Release(id) = approved.wish else {
        return Err(Refused::OtherPlan(plan).into());
    };
    let by = approved.decided.as_ref();
    let update = "UPDATE hold SET released_at = ?2, released_uid = ?3, released_by = ?4
        WHERE id = ?1 AND released_at IS NULL RETURNING recording";
    let with = params![id.0, at, by.map(|who| who.uid), by.map(|who| &who.name)];
    let held: Option<Option<[u8; 16]>> = on
        .prepare_cached(update)?
        .query_row(with, |row| row.get(0))
        .optional()?;
    // It may have ended by itself meanwhile: then there is nothing to release.
    if let Some(recording) = held {
        log.append(on, &released(at, id, recording).with("plan", plan))?;
    }
    plans::done(on, plan, at)?;
    Ok(id)
}

fn released(at: i64, id: HoldId, recording: Option<[u8; 16]>) -> Draft {
    let draft = Draft::new(at, Event::HoldReleased, Outcome::Done).with("hold", id);
    match recording {
        Some(recording) => draft.on(Ulid::from_bytes(recording)),
        None => draft,
    }
}

type Lapsed = Vec<(HoldId, Option<[u8; 16]>)>;

fn lapsed(on: &Connection, today: Day) -> Result<Lapsed, CatalogueError> {
    let sql = "SELECT id, recording FROM hold WHERE released_at IS NULL AND until < ?1";
    let mut all = on.prepare_cached(sql)?;
    let rows = all.query_map([today.digits()], |row| {
        Ok((HoldId(row.get(0)?), row.get(1)?))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn lapse(
    on: &Connection,
    log: &mut Log,
    at: i64,
    today: Day,
) -> Result<Vec<HoldId>, CatalogueError> {
    let ended = lapsed(on, today)?;
    for &(id, recording) in &ended {
        on.prepare_cached("UPDATE hold SET released_at = ?2 WHERE id = ?1")?
            .execute(params![id.0, at])?;
        log.append(
            on,
            &released(at, id, recording).with("reason", "its last day is over"),
        )?;
    }
    Ok(ended.into_iter().map(|(id, _)| id).collect())
}

/// Forgets what holds that are over said of the recording `id` with `party`: grounds are people's words.
pub(super) fn forget(on: &Connection, id: Ulid, party: Option<&str>) -> Result<(), CatalogueError> {
    let over = "released_at IS NOT NULL";
    on.prepare_cached(&format!(
        "UPDATE hold SET ground = '' WHERE recording = ?1 AND {over}"
    ))?
    .execute([id.to_bytes()])?;
    if let Some(party) = party {
        on.prepare_cached(&format!(
            "UPDATE hold SET ground = '', other_party = ''
             WHERE other_party <> '' AND substr(?1, 1, length(other_party)) = other_party AND {over}"
        ))?
        .execute([party])?;
    }
    Ok(())
}
