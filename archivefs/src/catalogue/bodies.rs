//! The private bodies beside the log's records, and how those are found that an erasure must drop: records
//! about the recording by its identity, and searches and holds that name its other party by [`note`].

use super::{CatalogueError, tombstones};
use crate::audit::Draft;
use rusqlite::{Connection, params};
use std::borrow::Cow;
use ulid::Ulid;

/// Where a body says the other party's number.
const PARTY: &str = "party";
/// Where it says a search as the control service got it: JSON.
const SEARCH: &str = "search";
/// The other party's number in a search, or its beginning.
const SEARCHED_PARTY: &str = "other_party";

/// Characters that a search may lack at the end of a party's number and still name it: what is left of ten
/// digits leads to ten thousand people at most.
const MOST_LACKING: usize = 4;

/// Whether the body of `draft` may be kept: not if its recording was erased meanwhile.
pub(super) fn may_be_kept(on: &Connection, draft: &Draft) -> Result<bool, CatalogueError> {
    match draft.recording {
        Some(id) => Ok(tombstones::by_id(on, id)?.is_none()),
        None => Ok(true),
    }
}

/// Notes that record `seq` names somebody, if it does and is about no recording.
pub(super) fn note(on: &Connection, draft: &Draft, seq: u64) -> Result<(), CatalogueError> {
    if draft.recording.is_some() || draft.private.is_empty() {
        return Ok(());
    }
    if let Some(party) = named(draft) {
        on.prepare_cached("INSERT OR IGNORE INTO named (party, seq) VALUES (?1, ?2)")?
            .execute(params![party, seq])?;
    }
    Ok(())
}

/// The party that a body names.
fn named(draft: &Draft) -> Option<Cow<'_, str>> {
    if let Some(party) = draft.private.get(PARTY) {
        return Some(party.into());
    }
    let search = draft.private.get(SEARCH)?;
    let search: serde_json::Value = serde_json::from_str(search).ok()?;
    let party = search.get(SEARCHED_PARTY)?.as_str()?;
    Some(party.to_owned().into())
}

/// Drops the bodies of all records about the recording `id` with `party`; answers how many.
pub(super) fn forget(
    on: &Connection,
    id: Ulid,
    party: Option<&str>,
) -> Result<usize, CatalogueError> {
    let of_recording = "UPDATE log SET private = NULL WHERE recording = ?1 AND private IS NOT NULL";
    let mut dropped = on.prepare_cached(of_recording)?.execute([id.to_bytes()])?;
    let names = party.map(names_of).unwrap_or_default();
    for name in names {
        let of_party = "UPDATE log SET private = NULL
            WHERE seq IN (SELECT seq FROM named WHERE party = ?1)";
        dropped += on.prepare_cached(of_party)?.execute([name])?;
        on.prepare_cached("DELETE FROM named WHERE party = ?1")?
            .execute([name])?;
    }
    Ok(dropped)
}

/// What a search may say that names `party`: all of it, or most of its beginning.
fn names_of(party: &str) -> Vec<&str> {
    let ends = party.char_indices().map(|(at, _)| at).skip(1);
    let ends: Vec<_> = ends.chain([party.len()]).collect();
    let first = ends.len().saturating_sub(MOST_LACKING + 1);
    ends[first..].iter().map(|&end| &party[..end]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_party_is_named_by_most_of_its_number() {
        assert_eq!(
            names_of("0312345678"),
            ["031234", "0312345", "03123456", "031234567", "0312345678"]
        );
        assert_eq!(names_of("110"), ["1", "11", "110"]);
        assert_eq!(names_of("名前"), ["名", "名前"]);
        assert_eq!(names_of(""), [""]);
    }
}
