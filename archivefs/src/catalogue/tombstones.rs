//! Erasure as the catalogue sees it: in one transaction a recording leaves its table, and is invisible
//! everywhere at once; a tombstone takes its place for ever, which is the certificate of erasure; and what
//! the log and the holds kept of the other party beside their chained records is dropped. Nothing that is
//! held, and nothing that neither a plan nor its age allows, is erased by any path, because that same
//! transaction asks.
//!
//! What follows, key, caches and objects, is in `life::erase`, the only caller of [`Catalogue::erase`]; a
//! tombstone is complete when all of that is done.

use super::bodies;
use super::change::apply;
use super::holds::{self, HoldId, Holds, in_force};
use super::log::Log;
use super::plans::{self, Wish};
use super::row::{Key, NumberId, Recording};
use super::{Catalogue, CatalogueError, Cutoffs, News, Plan, PlanId, Refused, open, read};
use crate::audit::{Draft, Event, Outcome};
use crate::call::time_of;
use crate::crypto::hex;
use crate::day::Day;
use crate::store::Sealed;
use chrono_tz::Tz;
use rusqlite::{Connection, OpenFlags, Params, Row, params};
use std::sync::Arc;
use std::time::Duration;
use ulid::Ulid;

/// The ground of an erasure that is due by the recording's age.
pub const AGE: &str = "R6.3";

/// How long readers of the database are waited for.
const FOLD_PATIENCE: Duration = Duration::from_millis(50);

/// What allows an erasure.
#[derive(Debug, Clone)]
pub enum Warrant {
    /// The recording's last day is over: what is before these cutoffs may go (R6.3).
    Age(Arc<Cutoffs>),
    /// A plan that asks for it and was approved (R6.7).
    Plan(PlanId),
}

/// What remains of an erased recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tombstone {
    /// The key that it had; never used again.
    pub key: Key,
    /// Its identity.
    pub id: Ulid,
    /// The designated number.
    pub number: NumberId,
    /// The office's day on which the call began.
    pub day: Day,
    /// Its length, nanoseconds.
    pub nanoseconds: i64,
    /// Length of the WAV file, bytes.
    pub wav_bytes: u64,
    /// SHA-256 of the WAV file.
    pub wav_sha256: [u8; 32],
    /// Why it was erased: [`AGE`], or the words of the plan.
    pub ground: String,
    /// The application that it was erased under.
    pub application: Option<String>,
    /// The plan.
    pub plan: Option<PlanId>,
    /// The account that asked for it; nobody where it was its age.
    pub asked_by: Option<String>,
    /// The account that approved.
    pub approved_by: Option<String>,
    /// When it was marked erased, nanoseconds since 1970.
    pub erased_at: i64,
    /// Since when nothing of it is left in any tier.
    pub completed_at: Option<i64>,
}

/// What became of a recording that was to be erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Erasure {
    /// It is marked.
    Marked(Box<Tombstone>),
    /// It was marked before.
    Already(Box<Tombstone>),
    /// A hold forbids it.
    Held(HoldId),
    /// Nothing allows it: its last day is not over, or the plan does not name it.
    NotAllowed,
    /// There is no such recording.
    Unknown,
}

impl Erasure {
    /// Its word, as a plan's item keeps it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Marked(_) | Self::Already(_) => "erased",
            Self::Held(_) => "held",
            Self::NotAllowed => "not-allowed",
            Self::Unknown => "unknown",
        }
    }
}

impl Catalogue {
    /// Marks the recordings `ids` erased, those that `warrant` allows and that nothing holds on the
    /// accepted day `today`: durable, logged and invisible when this returns. Answers what became of
    /// each.
    pub(crate) fn erase(
        &self,
        at: i64,
        today: Day,
        warrant: &Warrant,
        ids: Vec<Ulid>,
    ) -> Result<Vec<(Ulid, Erasure)>, CatalogueError> {
        let (zone, warrant) = (self.birth.time_zone, warrant.clone());
        let outcomes = apply(&self.writer, at, move |on, log| {
            let mut run = Run::new(on, at, today, zone, &warrant)?;
            let mut outcomes = Vec::with_capacity(ids.len());
            for &id in &ids {
                outcomes.push((id, run.erase(on, log, id)?));
            }
            Ok(outcomes)
        })?;
        for (_, outcome) in &outcomes {
            if let Erasure::Marked(tombstone) = outcome {
                let (number, day) = (tombstone.number, tombstone.day);
                self.announce(News { number, day });
            }
        }
        Ok(outcomes)
    }

    /// Nothing of the recordings with these keys is left, since `at`.
    pub(crate) fn complete(&self, at: i64, keys: Vec<Key>) -> Result<(), CatalogueError> {
        apply(&self.writer, at, move |on, _| {
            let update = "UPDATE tombstone SET completed_at = ?2
                WHERE key = ?1 AND completed_at IS NULL";
            for key in &keys {
                on.prepare_cached(update)?
                    .execute(params![key.to_i64(), at])?;
            }
            Ok(())
        })
    }

    /// Empties the database's write-ahead log, which still holds what was deleted; answers whether it
    /// could: not while somebody reads.
    pub(crate) fn fold(&self) -> Result<bool, CatalogueError> {
        let connection = open(&self.path, OpenFlags::empty())?;
        connection.busy_timeout(FOLD_PATIENCE)?;
        let fold = "PRAGMA wal_checkpoint(TRUNCATE)";
        let busy: u32 = connection.query_row(fold, [], |row| row.get(0))?;
        Ok(busy == 0)
    }

    /// What remains of the recording `id`, if it was erased: its certificate.
    pub fn tombstone(&self, id: Ulid) -> Result<Option<Tombstone>, CatalogueError> {
        self.read(|on| by_id(on, id))
    }

    /// Tombstones of recordings of which something may be left, the oldest first.
    pub fn incomplete(&self) -> Result<Vec<Tombstone>, CatalogueError> {
        self.read(|on| tombstones(on, "completed_at IS NULL ORDER BY key", []))
    }
}

/// One transaction of erasures.
struct Run<'a> {
    at: i64,
    zone: Tz,
    warrant: &'a Warrant,
    plan: Option<Plan>,
    holds: Holds,
}

impl<'a> Run<'a> {
    fn new(
        on: &Connection,
        at: i64,
        today: Day,
        zone: Tz,
        warrant: &'a Warrant,
    ) -> Result<Self, CatalogueError> {
        let plan = match warrant {
            Warrant::Age(_) => None,
            Warrant::Plan(id) => match plans::approved(on, *id)? {
                plan @ Plan {
                    wish: Wish::Erase(_),
                    ..
                } => Some(plan),
                _ => return Err(Refused::OtherPlan(*id).into()),
            },
        };
        Ok(Self {
            at,
            zone,
            warrant,
            plan,
            holds: in_force(on, today)?,
        })
    }

    fn erase(
        &mut self,
        on: &Connection,
        log: &mut Log,
        id: Ulid,
    ) -> Result<Erasure, CatalogueError> {
        let outcome = match read::by_id(on, id)? {
            Some(recording) => self.erase_if_allowed(on, log, &recording)?,
            None => match by_id(on, id)? {
                Some(tombstone) => Erasure::Already(Box::new(tombstone)),
                None => Erasure::Unknown,
            },
        };
        if let Some(plan) = &self.plan {
            plans::settle(on, plan.id, id, outcome.word(), self.at)?;
        }
        Ok(outcome)
    }

    fn erase_if_allowed(
        &self,
        on: &Connection,
        log: &mut Log,
        recording: &Recording,
    ) -> Result<Erasure, CatalogueError> {
        let (id, key, number) = (recording.id, recording.key, recording.number);
        let party = recording.other_party.as_deref();
        if let Some(hold) = self.holds.on(id, key, number, party) {
            let draft = Draft::new(self.at, Event::Erased, Outcome::Refused).on(id);
            // What is only due waits: each night anew, which needs no record.
            if self.plan.is_some() {
                log.append(on, &draft.with("hold", hold))?;
            }
            return Ok(Erasure::Held(hold));
        }
        if !self.allows(recording) {
            return Ok(Erasure::NotAllowed);
        }
        let tombstone = self.tombstone(recording);
        bury(on, recording, &tombstone)?;
        self.tell(on, log, &tombstone)?;
        holds::forget(on, id, party)?;
        let bodies = bodies::forget(on, id, party)?;
        if bodies > 0 {
            let draft = Draft::new(self.at, Event::PrivateErased, Outcome::Done).on(id);
            log.append(on, &draft.with("records", bodies))?;
        }
        Ok(Erasure::Marked(Box::new(tombstone)))
    }

    fn allows(&self, recording: &Recording) -> bool {
        match (self.warrant, &self.plan) {
            (Warrant::Age(cutoffs), _) => cutoffs.is_expired(recording.number, recording.key),
            (Warrant::Plan(_), Some(plan)) => {
                matches!(&plan.wish, Wish::Erase(ids) if ids.contains(&recording.id))
            }
            (Warrant::Plan(_), None) => false,
        }
    }

    fn tombstone(&self, recording: &Recording) -> Tombstone {
        let plan = self.plan.as_ref();
        let start = time_of(recording.key.milliseconds() * 1_000_000);
        let decided = plan.and_then(|plan| plan.decided.as_ref());
        Tombstone {
            key: recording.key,
            id: recording.id,
            number: recording.number,
            day: Day::of(start, self.zone),
            nanoseconds: recording.nanoseconds(),
            wav_bytes: recording.sealed.wav_bytes,
            wav_sha256: recording.sealed.wav_sha256,
            ground: plan.map_or_else(|| AGE.to_owned(), |plan| plan.ground.clone()),
            application: plan.and_then(|plan| plan.application.clone()),
            plan: plan.map(|plan| plan.id),
            asked_by: plan.map(|plan| plan.asked.name.clone()),
            approved_by: decided.map(|decision| decision.name.clone()),
            erased_at: self.at,
            completed_at: None,
        }
    }

    /// The record of the erasure.
    fn tell(
        &self,
        on: &Connection,
        log: &mut Log,
        tombstone: &Tombstone,
    ) -> Result<(), CatalogueError> {
        let draft = Draft::new(self.at, Event::Erased, Outcome::Done)
            .on(tombstone.id)
            .with("day", tombstone.day)
            .with("sha256", hex(&tombstone.wav_sha256));
        let draft = match &tombstone.application {
            Some(application) => draft.under(application),
            None => draft,
        };
        let draft = match tombstone.plan {
            Some(plan) => draft.with("plan", plan),
            None => draft.with("ground", AGE),
        };
        log.append(on, &draft)?;
        Ok(())
    }
}

/// The recording leaves its table and the sums of its day, and the tombstone takes its place.
pub(super) fn bury(
    on: &Connection,
    recording: &Recording,
    tombstone: &Tombstone,
) -> Result<(), CatalogueError> {
    let key = recording.key.to_i64();
    on.prepare_cached("DELETE FROM recording WHERE key = ?1")?
        .execute([key])?;
    // A copy that a move left behind is removed with all others.
    on.prepare_cached("DELETE FROM leftover WHERE key = ?1")?
        .execute([key])?;
    take_from_day(on, recording, tombstone.day)?;
    on.prepare_cached(&format!(
        "INSERT INTO tombstone ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12,
            ?13, NULL)"
    ))?
    .execute(params![
        key,
        tombstone.id.to_bytes(),
        tombstone.number.0,
        tombstone.day.digits(),
        tombstone.nanoseconds,
        tombstone.wav_bytes,
        tombstone.wav_sha256,
        tombstone.ground,
        tombstone.application,
        tombstone.plan.map(|plan| plan.0),
        tombstone.asked_by,
        tombstone.approved_by,
        tombstone.erased_at,
    ])?;
    Ok(())
}

fn take_from_day(on: &Connection, recording: &Recording, day: Day) -> Result<(), CatalogueError> {
    let Sealed {
        stored_bytes,
        wav_bytes,
        ..
    } = recording.sealed;
    let (number, day) = (recording.number.0, day.digits());
    on.prepare_cached(
        "UPDATE day SET recordings = recordings - 1, nanoseconds = nanoseconds - ?3,
            stored_bytes = stored_bytes - ?4, wav_bytes = wav_bytes - ?5
         WHERE number = ?1 AND day = ?2",
    )?
    .execute(params![
        number,
        day,
        recording.nanoseconds(),
        stored_bytes,
        wav_bytes
    ])?;
    on.prepare_cached("DELETE FROM day WHERE number = ?1 AND day = ?2 AND recordings <= 0")?
        .execute(params![number, day])?;
    Ok(())
}

const COLUMNS: &str = "key, id, number, day, nanoseconds, wav_bytes, wav_sha256, ground, application, \
     plan, asked_by, approved_by, erased_at, completed_at";

fn tombstone_of(row: &Row<'_>) -> Result<Tombstone, CatalogueError> {
    let (key, day): (i64, u32) = (row.get(0)?, row.get(3)?);
    let damaged = || CatalogueError::Damaged(format!("the tombstone {key}"));
    Ok(Tombstone {
        key: Key::from_i64(key).ok_or_else(damaged)?,
        id: Ulid::from_bytes(row.get(1)?),
        number: NumberId(row.get(2)?),
        day: Day::from_digits(day).ok_or_else(damaged)?,
        nanoseconds: row.get(4)?,
        wav_bytes: row.get(5)?,
        wav_sha256: row.get(6)?,
        ground: row.get(7)?,
        application: row.get(8)?,
        plan: row.get::<_, Option<u32>>(9)?.map(PlanId),
        asked_by: row.get(10)?,
        approved_by: row.get(11)?,
        erased_at: row.get(12)?,
        completed_at: row.get(13)?,
    })
}

fn tombstones(
    on: &Connection,
    which: &str,
    with: impl Params,
) -> Result<Vec<Tombstone>, CatalogueError> {
    let sql = format!("SELECT {COLUMNS} FROM tombstone WHERE {which}");
    let mut statement = on.prepare_cached(&sql)?;
    let mut rows = statement.query(with)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(tombstone_of(row)?);
    }
    Ok(found)
}

/// Those of recordings that began in the millisecond of `id`.
pub(super) fn of_millisecond(on: &Connection, id: Ulid) -> Result<Vec<Tombstone>, CatalogueError> {
    let at = id.timestamp_ms() as i64;
    let range = [Key::first_at(at), Key::first_at(at + 1)].map(Key::to_i64);
    tombstones(on, "key >= ?1 AND key < ?2", range)
}

pub(super) fn by_id(on: &Connection, id: Ulid) -> Result<Option<Tombstone>, CatalogueError> {
    let same = |tombstone: &Tombstone| tombstone.id == id;
    Ok(of_millisecond(on, id)?.into_iter().find(same))
}
