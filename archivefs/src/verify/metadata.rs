//! Compares the catalogue with the directories of the tiers: is each recording's object there, as
//! long as it should be, and is there nothing else. No object is opened and no key is needed, so
//! that ten million recordings take minutes; what is in the objects is [`super::verify()`]'s to say.
//!
//! Rows come in the order of time, and so do the directories, one a day. A directory is read once,
//! after its first row: an object is durable before its row, so nothing that is ingested meanwhile
//! is taken for missing.

use super::{Event, Finding, PAGE, Problem, Progress, Tell, finding, orphan};
use crate::catalogue::{Catalogue, CatalogueError, Filter, Recording};
use crate::store::{Store, StoreError};
use crate::vault::Vault;
use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// Compares everything. `tell` answers whether to go on, and is told of progress once in a while.
///
/// # Errors
/// The catalogue cannot be read. What is wrong with recordings is told, not returned.
pub fn verify_metadata(
    catalogue: &Catalogue,
    vault: &Vault,
    tell: Tell<'_>,
) -> Result<(), CatalogueError> {
    let progress = Progress {
        total: catalogue.totals()?.recordings,
        ..Progress::default()
    };
    let tiers = vault.tiers().iter().map(Tier::of).collect();
    let mut run = Run {
        catalogue,
        vault,
        tiers,
        tell,
        progress,
    };
    // Each step answers whether the next is wanted.
    let _ = run.rows()? && run.leave_day()? && run.elsewhere()?;
    Ok(())
}

/// A comparison in progress. Its steps answer whether to go on.
struct Run<'a> {
    catalogue: &'a Catalogue,
    vault: &'a Vault,
    tiers: Vec<Tier<'a>>,
    tell: Tell<'a>,
    progress: Progress,
}

impl Run<'_> {
    fn rows(&mut self) -> Result<bool, CatalogueError> {
        let mut filter = Filter::default();
        loop {
            let page = self.catalogue.find(&filter, PAGE)?;
            let Some(last) = page.last() else {
                return Ok(true);
            };
            filter.after = Some(last.key);
            for recording in &page {
                if !(self.turn_to(recording)? && self.row(recording)?) {
                    return Ok(false);
                }
            }
            if !(self.tell)(Event::Progress(self.progress)) {
                return Ok(false);
            }
        }
    }

    /// Goes on to the directories of the day of `recording`, unless they are at hand.
    fn turn_to(&mut self, recording: &Recording) -> Result<bool, CatalogueError> {
        if self.tiers.iter().all(|tier| tier.is_at(recording)) {
            return Ok(true);
        }
        if !self.leave_day()? {
            return Ok(false);
        }
        let unreadable: Vec<_> = self
            .tiers
            .iter_mut()
            .filter_map(|tier| tier.turn_to(recording))
            .collect();
        Ok(self.tell_all(unreadable))
    }

    fn row(&mut self, recording: &Recording) -> Result<bool, CatalogueError> {
        let name = Store::file_name(recording.id);
        let copies: Vec<_> = self
            .tiers
            .iter_mut()
            .filter_map(|tier| tier.take(name.as_ref(), recording))
            .collect();
        if copies.is_empty() && self.vault.is_away(recording.tier, recording.id) {
            self.progress.away += 1;
            return Ok(true);
        }
        self.progress.checked += 1;
        // One that has been erased or moved since its row was read is not missing.
        let stays = |now: Recording| now.tier == recording.tier;
        if copies.is_empty() && self.catalogue.by_key(recording.key)?.is_some_and(stays) {
            let home = self.tiers[0].store.path(recording.id);
            let detail = "no tier has the object".to_owned();
            return Ok(self.tell_all([finding(
                Some(recording.id),
                &home,
                Problem::Missing,
                detail,
            )]));
        }
        Ok(self.tell_all(copies.into_iter().filter_map(Result::err)))
    }

    /// What is left in the day's directories when its rows are through.
    fn leave_day(&mut self) -> Result<bool, CatalogueError> {
        let mut found = Vec::new();
        for tier in &mut self.tiers {
            for (name, _) in tier.files.iter_mut().flat_map(HashMap::drain) {
                found.extend(orphan(
                    self.catalogue,
                    tier.store,
                    Ok(tier.folder.join(name)),
                )?);
            }
        }
        Ok(self.tell_all(found))
    }

    /// Files outside the directories that have been read.
    fn elsewhere(&mut self) -> Result<bool, CatalogueError> {
        let mut found = Vec::new();
        for tier in &self.tiers {
            for path in tier.store.objects_outside(&tier.seen) {
                found.extend(orphan(self.catalogue, tier.store, path)?);
            }
        }
        Ok(self.tell_all(found))
    }

    fn tell_all(&mut self, findings: impl IntoIterator<Item = Finding>) -> bool {
        findings
            .into_iter()
            .all(|found| (self.tell)(Event::Finding(found)))
    }
}

/// A tier, and its directory of one day.
struct Tier<'a> {
    store: &'a Store,
    folder: PathBuf,
    /// Length of each file in it, bytes; nothing if it cannot be read.
    files: Option<HashMap<OsString, u64>>,
    day: Option<u64>,
    seen: BTreeSet<PathBuf>,
}

impl<'a> Tier<'a> {
    fn of(store: &'a Store) -> Self {
        let (folder, files, seen) = (PathBuf::new(), None, BTreeSet::new());
        Self {
            store,
            folder,
            files,
            day: None,
            seen,
        }
    }

    fn is_at(&self, recording: &Recording) -> bool {
        self.day == Some(day_of(recording))
    }

    /// Reads the directory of the day of `recording`; answers what is wrong with it.
    fn turn_to(&mut self, recording: &Recording) -> Option<Finding> {
        self.day = Some(day_of(recording));
        self.folder = self.store.folder(recording.id);
        self.seen.insert(self.folder.clone());
        let (files, error) = match Store::lengths(&self.folder) {
            Ok(files) => (Some(files), None),
            Err(error) => (None, Some(StoreError::from(error))),
        };
        self.files = files;
        error.map(|error| finding(None, &self.folder, Problem::Unreadable, error.to_string()))
    }

    /// Whether it has the object called `name`, and as long as it should be. A directory that cannot
    /// be read has been told of, and may have it.
    fn take(&mut self, name: &OsStr, recording: &Recording) -> Option<Result<(), Finding>> {
        let Some(files) = &mut self.files else {
            return Some(Ok(()));
        };
        let (found, expected) = (files.remove(name)?, recording.sealed.stored_bytes);
        if found == expected {
            return Some(Ok(()));
        }
        let detail = format!("it has {found} bytes instead of {expected}");
        let path = self.folder.join(name);
        Some(Err(finding(
            Some(recording.id),
            &path,
            Problem::Damaged,
            detail,
        )))
    }
}

/// Days since 1970, UTC: a store has a directory for each.
fn day_of(recording: &Recording) -> u64 {
    recording.id.timestamp_ms() / 86_400_000
}

#[cfg(test)]
mod tests;
