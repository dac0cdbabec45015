//! What the views and the control service ask: each question one statement over one index.

use super::CatalogueError;
use super::row::{Key, NumberId, Recording};
use crate::day::Day;
use rusqlite::types::Value;
use rusqlite::{Connection, Params, ToSql, params, params_from_iter};
use std::ops::{Range, RangeInclusive};
use ulid::Ulid;

/// A designated number, past or present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number {
    /// The database's id.
    pub id: NumberId,
    /// As people write it.
    pub number: String,
}

/// What a search asks for; all that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// The designated number.
    pub number: Option<NumberId>,
    /// Only these numbers, where not all may be seen.
    pub among: Option<Vec<NumberId>>,
    /// Start, milliseconds since 1970.
    pub start: Option<Range<i64>>,
    /// The other party's number, or its beginning.
    pub other_party: Option<String>,
    /// Length, nanoseconds.
    pub length: Option<RangeInclusive<i64>>,
    /// Only the recording with this identity.
    pub id: Option<Ulid>,
    /// Only what comes after this key, for the next page.
    pub after: Option<Key>,
}

/// The archive in figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Recordings.
    pub recordings: u64,
    /// Length of all together, nanoseconds.
    pub nanoseconds: u64,
    /// Bytes of their objects.
    pub stored_bytes: u64,
    /// Bytes of their WAV files.
    pub wav_bytes: u64,
    /// Start of the newest, nanoseconds since 1970.
    pub newest: Option<i64>,
}

pub(super) fn numbers(on: &Connection) -> Result<Vec<Number>, CatalogueError> {
    let mut statement = on.prepare_cached("SELECT id, number FROM number ORDER BY number")?;
    let rows = statement.query_map([], |row| {
        Ok(Number {
            id: NumberId(row.get(0)?),
            number: row.get(1)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The days in `days` that have recordings, of `number` or of any, in order.
pub(super) fn days(
    on: &Connection,
    number: Option<NumberId>,
    days: RangeInclusive<u32>,
) -> Result<Vec<Day>, CatalogueError> {
    let (from, to) = (days.start(), days.end());
    match number {
        Some(number) => digits(
            on,
            "SELECT day FROM day WHERE number = ?1 AND day BETWEEN ?2 AND ?3 ORDER BY day",
            params![number.0, from, to],
        ),
        None => digits(
            on,
            "SELECT DISTINCT day FROM day WHERE day BETWEEN ?1 AND ?2 ORDER BY day",
            params![from, to],
        ),
    }
}

fn digits(on: &Connection, sql: &str, with: impl Params) -> Result<Vec<Day>, CatalogueError> {
    let mut statement = on.prepare_cached(sql)?;
    let mut rows = statement.query(with)?;
    let mut days = Vec::new();
    while let Some(row) = rows.next()? {
        let digits = row.get(0)?;
        let day = Day::from_digits(digits);
        days.push(day.ok_or_else(|| CatalogueError::Damaged(format!("the day {digits}")))?);
    }
    Ok(days)
}

/// Whether there is a recording on one of `days`, of `number` or of any.
pub(super) fn has_day(
    on: &Connection,
    number: Option<NumberId>,
    days: RangeInclusive<u32>,
) -> Result<bool, CatalogueError> {
    let (from, to) = (days.start(), days.end());
    Ok(match number {
        Some(number) => on
            .prepare_cached("SELECT 1 FROM day WHERE number = ?1 AND day BETWEEN ?2 AND ?3")?
            .exists(params![number.0, from, to])?,
        None => on
            .prepare_cached("SELECT 1 FROM day WHERE day BETWEEN ?1 AND ?2")?
            .exists(params![from, to])?,
    })
}

/// The numbers with recordings on `day`, in the order of their names.
pub(super) fn numbers_of_day(on: &Connection, day: Day) -> Result<Vec<Number>, CatalogueError> {
    let mut statement = on.prepare_cached(
        "SELECT number.id, number.number FROM day JOIN number ON number.id = day.number
         WHERE day.day = ?1 ORDER BY number.number",
    )?;
    let rows = statement.query_map([day.digits()], |row| {
        Ok(Number {
            id: NumberId(row.get(0)?),
            number: row.get(1)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The recordings of `number` that began within `milliseconds`, in order.
pub(super) fn of_number(
    on: &Connection,
    number: NumberId,
    milliseconds: &Range<i64>,
) -> Result<Vec<Recording>, CatalogueError> {
    let columns = Recording::COLUMNS;
    recordings(
        on,
        &format!(
            "SELECT {columns} FROM recording
             WHERE number = ?1 AND key >= ?2 AND key < ?3 ORDER BY key"
        ),
        params![
            number.0,
            Key::first_at(milliseconds.start).to_i64(),
            Key::first_at(milliseconds.end).to_i64()
        ],
    )
}

pub(super) fn by_key(on: &Connection, key: Key) -> Result<Option<Recording>, CatalogueError> {
    let sql = format!(
        "SELECT {} FROM recording WHERE key = ?1",
        Recording::COLUMNS
    );
    Ok(recordings(on, &sql, [key.to_i64()])?.pop())
}

/// By identity: its milliseconds say where in the table to look.
pub(super) fn by_id(on: &Connection, id: Ulid) -> Result<Option<Recording>, CatalogueError> {
    Ok(of_millisecond(on, id)?
        .into_iter()
        .find(|recording| recording.id == id))
}

/// The recordings that began in the millisecond of `id`.
pub(super) fn of_millisecond(on: &Connection, id: Ulid) -> Result<Vec<Recording>, CatalogueError> {
    let at = id.timestamp_ms() as i64;
    let sql = format!(
        "SELECT {} FROM recording WHERE key >= ?1 AND key < ?2",
        Recording::COLUMNS
    );
    recordings(
        on,
        &sql,
        [Key::first_at(at).to_i64(), Key::first_at(at + 1).to_i64()],
    )
}

/// The first `limit` recordings that `filter` asks for, oldest first.
pub(super) fn find(
    on: &Connection,
    filter: &Filter,
    limit: u32,
) -> Result<Vec<Recording>, CatalogueError> {
    let mut conditions = vec!["1".to_owned()];
    let mut values: Vec<Value> = Vec::new();
    if let Some(among) = &filter.among {
        let ids: Vec<String> = among.iter().map(|number| number.0.to_string()).collect();
        conditions.push(format!("number IN ({})", ids.join(", ")));
    }
    let mut ask = |condition: &str, value: Value| {
        conditions.push(condition.to_owned());
        values.push(value);
    };
    if let Some(id) = filter.id {
        let Some(recording) = by_id(on, id)? else {
            return Ok(vec![]);
        };
        ask("key = ?", recording.key.to_i64().into());
    }
    if let Some(number) = filter.number {
        ask("number = ?", i64::from(number.0).into());
    }
    if let Some(start) = &filter.start {
        ask("key >= ?", Key::first_at(start.start).to_i64().into());
        ask("key < ?", Key::first_at(start.end).to_i64().into());
    }
    if let Some(after) = filter.after {
        ask("key > ?", after.to_i64().into());
    }
    if let Some(party) = &filter.other_party {
        ask("other_party >= ?", party.clone().into());
        ask("other_party < ?", format!("{party}\u{10FFFF}").into());
    }
    if let Some(length) = &filter.length {
        ask(
            "frames * 1000000000.0 / rate >= ?",
            (*length.start()).into(),
        );
        ask("frames * 1000000000.0 / rate <= ?", (*length.end()).into());
    }
    values.push(i64::from(limit).into());
    let sql = format!(
        "SELECT {} FROM recording WHERE {} ORDER BY key LIMIT ?",
        Recording::COLUMNS,
        conditions.join(" AND ")
    );
    recordings(
        on,
        &sql,
        params_from_iter(values.iter().map(|value| value as &dyn ToSql)),
    )
}

fn recordings(
    on: &Connection,
    sql: &str,
    with: impl Params,
) -> Result<Vec<Recording>, CatalogueError> {
    let mut statement = on.prepare_cached(sql)?;
    let mut rows = statement.query(with)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(Recording::from_row(row)?);
    }
    Ok(found)
}

/// What is wrong with files: when it was found (nanoseconds since 1970), and what, as it was entered.
pub(super) fn findings(on: &Connection) -> Result<Vec<(i64, String)>, CatalogueError> {
    let mut all = on.prepare_cached("SELECT found_at, content FROM finding ORDER BY path")?;
    let rows = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The sums that the days hold: no recording is looked at but the newest.
pub(super) fn totals(on: &Connection) -> Result<Totals, CatalogueError> {
    let sums = "SELECT coalesce(sum(recordings), 0), coalesce(sum(nanoseconds), 0),
        coalesce(sum(stored_bytes), 0), coalesce(sum(wav_bytes), 0) FROM day";
    let newest = format!(
        "SELECT {} FROM recording ORDER BY key DESC LIMIT 1",
        Recording::COLUMNS
    );
    let newest = recordings(on, &newest, [])?
        .pop()
        .map(|newest| newest.started_at);
    let totals = on.prepare_cached(sums)?.query_row([], |row| {
        Ok(Totals {
            recordings: row.get(0)?,
            nanoseconds: row.get(1)?,
            stored_bytes: row.get(2)?,
            wav_bytes: row.get(3)?,
            newest,
        })
    })?;
    Ok(totals)
}
