//! Where recordings rest: what is due to move or to go, the switch of a row to another tier with its record
//! in the log, and the copies that a move leaves behind until they are removed.
//!
//! When a recording is due is decided in `life::sweep`; objects are moved by `life::moving`, the caller of
//! [`Catalogue::switch`].

use super::change::apply;
use super::log::Log;
use super::row::{Key, NumberId, Recording, place_of, tier_at};
use super::{Catalogue, CatalogueError, read};
use crate::audit::{Draft, Event, Outcome};
use crate::call::time_of;
use crate::day::Day;
use crate::store::Tier;
use chrono_tz::Tz;
use rusqlite::{Connection, params};
use std::ops::ControlFlow;
use ulid::Ulid;

/// A recording that may be due, as the sweep looks at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resting {
    /// Its key.
    pub key: Key,
    /// Its identity.
    pub id: Ulid,
    /// The designated number.
    pub number: NumberId,
    /// The other party's number.
    pub other_party: Option<String>,
    /// Where it rests.
    pub tier: Tier,
    /// Bytes of its object.
    pub stored_bytes: u64,
}

/// A recording whose object is durable in another tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// Its key.
    pub key: Key,
    /// Its identity.
    pub id: Ulid,
    /// Where its object was.
    pub from: Tier,
    /// Where it is too.
    pub to: Tier,
    /// Bytes of the object there.
    pub stored_bytes: u64,
}

/// What became of recordings whose rows were to switch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Switched {
    /// They rest in the new tier.
    pub done: Vec<Moved>,
    /// They are not there any more: erased meanwhile. Their new copies are nobody's.
    pub gone: Vec<Moved>,
}

/// A copy that a move left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leftover {
    /// The recording's key.
    pub key: Key,
    /// Its identity.
    pub id: Ulid,
    /// Where the copy is.
    pub tier: Tier,
}

impl Catalogue {
    /// Shows `each` all recordings before the key `expired` and those before `over` that rest in the
    /// primary tier, in order, as of one moment, until it has seen enough.
    pub fn each_resting(
        &self,
        over: Key,
        expired: Key,
        mut each: impl FnMut(Resting) -> ControlFlow<()>,
    ) -> Result<(), CatalogueError> {
        self.read(|on| {
            let sql = "SELECT key, number, other_party, tier, stored_bytes, substr(facts, 1, 16)
                FROM recording WHERE key < ?1 AND (tier = 0 OR key < ?2) ORDER BY key";
            let mut all = on.prepare_cached(sql)?;
            let mut rows = all.query(params![over.max(expired).to_i64(), expired.to_i64()])?;
            while let Some(row) = rows.next()? {
                let key: i64 = row.get(0)?;
                let damaged = || CatalogueError::Damaged(format!("the recording {key}"));
                let seen = each(Resting {
                    key: Key::from_i64(key).ok_or_else(damaged)?,
                    id: Ulid::from_bytes(row.get(5)?),
                    number: NumberId(row.get(1)?),
                    other_party: row.get(2)?,
                    tier: tier_at(row.get(3)?).ok_or_else(damaged)?,
                    stored_bytes: row.get(4)?,
                });
                if seen.is_break() {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Enters that the recordings `moved` rest elsewhere, durably and logged, and what is left behind by
    /// that; and that the leftovers `removed` are gone. One that rests elsewhere than it was said to is left
    /// as it is, and in neither list of the answer.
    pub(crate) fn switch(
        &self,
        at: i64,
        moved: Vec<Moved>,
        removed: Vec<Leftover>,
    ) -> Result<Switched, CatalogueError> {
        let zone = self.birth.time_zone;
        apply(&self.writer, at, move |on, log| {
            for leftover in &removed {
                on.prepare_cached("DELETE FROM leftover WHERE key = ?1 AND tier = ?2")?
                    .execute(params![leftover.key.to_i64(), place_of(leftover.tier)])?;
            }
            let mut switched = Switched::default();
            for one in &moved {
                let there = read::by_key(on, one.key)?.filter(|there| there.id == one.id);
                match there {
                    None => switched.gone.push(*one),
                    Some(there) if there.tier == one.from => {
                        switch(on, log, at, zone, one, &there)?;
                        switched.done.push(*one);
                    }
                    Some(_) => {}
                }
            }
            Ok(switched)
        })
    }

    /// Copies that moves left behind.
    pub fn leftovers(&self) -> Result<Vec<Leftover>, CatalogueError> {
        self.read(|on| {
            let mut all = on.prepare_cached("SELECT key, id, tier FROM leftover ORDER BY key")?;
            let mut rows = all.query([])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let key: i64 = row.get(0)?;
                let damaged = || CatalogueError::Damaged(format!("what is left of {key}"));
                found.push(Leftover {
                    key: Key::from_i64(key).ok_or_else(damaged)?,
                    id: Ulid::from_bytes(row.get(1)?),
                    tier: tier_at(row.get(2)?).ok_or_else(damaged)?,
                });
            }
            Ok(found)
        })
    }
}

fn switch(
    on: &Connection,
    log: &mut Log,
    at: i64,
    zone: Tz,
    moved: &Moved,
    recording: &Recording,
) -> Result<(), CatalogueError> {
    let key = moved.key.to_i64();
    on.prepare_cached("UPDATE recording SET tier = ?2, stored_bytes = ?3 WHERE key = ?1")?
        .execute(params![key, place_of(moved.to), moved.stored_bytes])?;
    let insert = "INSERT OR REPLACE INTO leftover (key, tier, id) VALUES (?1, ?2, ?3)";
    on.prepare_cached(insert)?
        .execute(params![key, place_of(moved.from), moved.id.to_bytes()])?;
    // The one that is moved to is no leftover, whatever a former move left there.
    on.prepare_cached("DELETE FROM leftover WHERE key = ?1 AND tier = ?2")?
        .execute(params![key, place_of(moved.to)])?;
    let before = recording.sealed.stored_bytes;
    if before != moved.stored_bytes {
        let day = Day::of(time_of(moved.key.milliseconds() * 1_000_000), zone);
        let update = "UPDATE day SET stored_bytes = stored_bytes - ?3 + ?4
            WHERE number = ?1 AND day = ?2";
        on.prepare_cached(update)?.execute(params![
            recording.number.0,
            day.digits(),
            before,
            moved.stored_bytes
        ])?;
    }
    let draft = Draft::new(at, Event::Moved, Outcome::Done)
        .on(moved.id)
        .with("from", moved.from.word())
        .with("to", moved.to.word())
        .with("bytes", moved.stored_bytes);
    log.append(on, &draft)?;
    Ok(())
}
