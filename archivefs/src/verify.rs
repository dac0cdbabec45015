//! Re-reads the archive and compares: every object with its own seals, with its row, and every file
//! in the store with the catalogue. Findings are values that say what is wrong, where, and what can
//! be done. Where another tier has a good copy, the bad one is replaced by it.
//! [`verify_metadata`] only looks whether the objects are there and as long as they should be.

mod metadata;

pub use metadata::verify_metadata;

use crate::catalogue::{Catalogue, CatalogueError, Filter, Recording};
use crate::store::{Object, Store, StoreError};
use crate::vault::{Copy, Vault, VaultError};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use ulid::Ulid;

/// Rows asked for at a time.
const PAGE: u32 = 1000;

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The recording, where one is concerned.
    pub recording: Option<Ulid>,
    /// The file in the store.
    pub path: String,
    /// What is wrong.
    pub problem: Problem,
    /// What was seen, in words.
    pub detail: String,
    /// Whether a good copy from another tier has taken its place.
    pub repaired: bool,
}

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Problem {
    /// The recording has no object.
    Missing,
    /// The recording has no key, or one that does not open.
    NoKey,
    /// The object is not what was written.
    Damaged,
    /// The object is whole, but another one than was archived.
    Exchanged,
    /// The disk does not give the object.
    Unreadable,
    /// A file in the store that belongs to no recording.
    Orphan,
}

/// How closely to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Depth {
    /// Every byte is read and its seal checked.
    Scrub,
    /// Also decoded, and the whole WAV file compared with its digest.
    Verify,
}

/// How far a verification is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Recordings looked at.
    pub checked: u64,
    /// Recordings that nothing can be said of: their tier is not there.
    pub away: u64,
    /// Recordings to look at.
    pub total: u64,
    /// Bytes of WAV files compared.
    pub bytes: u64,
}

/// What a verification tells while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// One more recording was looked at.
    Progress(Progress),
    /// Something is wrong.
    Finding(Finding),
    /// Nothing is wrong with this recording.
    Good(Ulid),
}

/// What a verification tells its events to; answers whether to go on.
type Tell<'a> = &'a mut (dyn FnMut(Event) -> bool + Send);

/// Verifies all that `filter` asks for (and, when it asks for everything, that nothing else is in the
/// store), on `threads` threads. `tell` is called from one thread at a time and answers whether to
/// go on.
///
/// # Errors
/// The catalogue cannot be read. What is wrong with recordings is told, not returned.
pub fn verify(
    catalogue: &Catalogue,
    vault: &Vault,
    filter: &Filter,
    threads: usize,
    tell: Tell<'_>,
) -> Result<(), CatalogueError> {
    let everything = *filter == Filter::default();
    let total = if everything {
        catalogue.totals()?.recordings
    } else {
        count(catalogue, filter)?
    };
    let run = Run {
        catalogue,
        vault,
        state: Mutex::new((
            Progress {
                total,
                ..Progress::default()
            },
            tell,
        )),
        stop: AtomicBool::new(false),
    };
    let (rows, waiting) = sync_channel::<Recording>(threads * 4);
    let waiting = Mutex::new(waiting);
    std::thread::scope(|scope| {
        // Dropped at the end of this closure, which ends the threads.
        let rows = rows;
        for _ in 0..threads {
            scope.spawn(|| run.work(&waiting));
        }
        send_rows(catalogue, filter, &rows, &run.stop)
    })?;
    if everything && !run.stop.load(Ordering::Relaxed) {
        let tell = run
            .state
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
            .1;
        orphans(catalogue, vault, tell)?;
    }
    Ok(())
}

/// A verification in progress, shared by its threads.
struct Run<'a> {
    catalogue: &'a Catalogue,
    vault: &'a Vault,
    state: Mutex<(Progress, Tell<'a>)>,
    stop: AtomicBool,
}

impl Run<'_> {
    fn work(&self, waiting: &Mutex<Receiver<Recording>>) {
        loop {
            let next = waiting
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .recv();
            let Ok(recording) = next else { return };
            if !self.stop.load(Ordering::Relaxed) && !self.look_at(&recording) {
                self.stop.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Answers whether to go on.
    fn look_at(&self, recording: &Recording) -> bool {
        let away = self.vault.is_away(recording.tier, recording.id);
        let findings = if away {
            vec![]
        } else {
            check(self.catalogue, self.vault, recording, Depth::Verify)
        };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (progress, tell) = &mut *state;
        if away {
            progress.away += 1;
            return tell(Event::Progress(*progress));
        }
        progress.checked += 1;
        progress.bytes += recording.sealed.wav_bytes;
        let good = findings.is_empty();
        findings
            .into_iter()
            .all(|finding| tell(Event::Finding(finding)))
            && (!good || tell(Event::Good(recording.id)))
            && tell(Event::Progress(*progress))
    }
}

fn count(catalogue: &Catalogue, filter: &Filter) -> Result<u64, CatalogueError> {
    let mut count = 0;
    let mut filter = filter.clone();
    loop {
        let page = catalogue.find(&filter, PAGE)?;
        count += page.len() as u64;
        let Some(last) = page.last() else {
            return Ok(count);
        };
        filter.after = Some(last.key);
    }
}

fn send_rows(
    catalogue: &Catalogue,
    filter: &Filter,
    rows: &SyncSender<Recording>,
    stop: &AtomicBool,
) -> Result<(), CatalogueError> {
    let mut filter = filter.clone();
    loop {
        let page = catalogue.find(&filter, PAGE)?;
        let Some(last) = page.last() else {
            return Ok(());
        };
        filter.after = Some(last.key);
        for recording in page {
            if stop.load(Ordering::Relaxed) || rows.send(recording).is_err() {
                return Ok(());
            }
        }
    }
}

/// What is wrong with one recording, in every tier that has it. One that moved or was erased while it
/// was looked at is looked at again, or not at all. Not for one that is away ([`Vault::is_away`]): of its
/// tier there is an alarm.
pub fn check(
    catalogue: &Catalogue,
    vault: &Vault,
    recording: &Recording,
    depth: Depth,
) -> Vec<Finding> {
    let found = check_copies(vault, recording, depth);
    if found.is_empty() {
        return found;
    }
    match catalogue.by_key(recording.key) {
        Ok(None) => vec![],
        Ok(Some(now)) if now.tier != recording.tier => check_copies(vault, &now, depth),
        // What the catalogue does not say now, it said when the row was read.
        Ok(Some(_)) | Err(_) => found,
    }
}

fn check_copies(vault: &Vault, recording: &Recording, depth: Depth) -> Vec<Finding> {
    let id = Some(recording.id);
    let home = vault.primary().path(recording.id);
    let copies = match vault.copies(recording.id) {
        Ok(copies) => copies,
        Err(VaultError::Key(error)) => {
            return vec![finding(id, &home, Problem::NoKey, error.to_string())];
        }
        Err(error) => return vec![finding(id, &home, Problem::Unreadable, error.to_string())],
    };
    if copies.is_empty() {
        return vec![finding(
            id,
            &home,
            Problem::Missing,
            "no tier has the object".into(),
        )];
    }
    let (good, bad): (Vec<_>, Vec<_>) = copies
        .into_iter()
        .map(|copy| (check_copy(&copy, recording, depth), copy))
        .partition(|(problem, _)| problem.is_none());
    let wrong = bad
        .into_iter()
        .filter_map(|(problem, copy)| Some((problem?, copy)));
    wrong
        .map(|((problem, detail), copy)| {
            let mut found = finding(id, &copy.tier.path(recording.id), problem, detail);
            if let Some((_, good)) = good.first() {
                repair(&copy, good, &mut found);
            }
            found
        })
        .collect()
}

fn repair(bad: &Copy<'_>, good: &Copy<'_>, found: &mut Finding) {
    match bad.replace_by(good) {
        Ok(()) => {
            found.repaired = true;
            log::warn!("{}: replaced by the good copy of another tier", found.path);
        }
        Err(error) => log::error!("{}: cannot be replaced by a good copy: {error}", found.path),
    }
}

fn check_copy(copy: &Copy<'_>, recording: &Recording, depth: Depth) -> Option<(Problem, String)> {
    let look = |object: &Object| match depth {
        Depth::Scrub => object.scrub(),
        Depth::Verify => object.verify(),
    };
    match copy
        .open()
        .and_then(|object| look(&object).map(|()| object))
    {
        Ok(object) if is_of(&object, recording) => None,
        Ok(_) => Some((
            Problem::Exchanged,
            "its digest is not the one in the catalogue".to_owned(),
        )),
        Err(StoreError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Some((
            Problem::Missing,
            "the object is not in the store".to_owned(),
        )),
        Err(error) if error.is_transient() => Some((Problem::Unreadable, error.to_string())),
        Err(error) => Some((Problem::Damaged, error.to_string())),
    }
}

/// Whether `object` is what the catalogue holds as `recording`.
fn is_of(object: &Object, recording: &Recording) -> bool {
    object.wav_sha256() == recording.sealed.wav_sha256
        && object.wav_bytes() == recording.sealed.wav_bytes
        && object.call().id == recording.id
}

/// Files of the tiers that no recording stands for.
fn orphans(catalogue: &Catalogue, vault: &Vault, tell: Tell<'_>) -> Result<(), CatalogueError> {
    for tier in vault.tiers() {
        for path in tier.objects() {
            let Some(found) = orphan(catalogue, tier, path)? else {
                continue;
            };
            if !tell(Event::Finding(found)) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// What is wrong with something that was found below the objects of `tier`.
fn orphan(
    catalogue: &Catalogue,
    tier: &Store,
    path: io::Result<PathBuf>,
) -> Result<Option<Finding>, CatalogueError> {
    Ok(match path {
        Ok(path) if is_known(catalogue, tier, &path)? => None,
        Ok(path) => {
            let detail = "no recording has this file".to_owned();
            Some(finding(None, &path, Problem::Orphan, detail))
        }
        Err(error) => Some(finding(
            None,
            Path::new(""),
            Problem::Unreadable,
            error.to_string(),
        )),
    })
}

fn is_known(catalogue: &Catalogue, store: &Store, path: &Path) -> Result<bool, CatalogueError> {
    let stem = path
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or_default();
    let Ok(id) = Ulid::from_string(stem) else {
        return Ok(false);
    };
    Ok(store.path(id) == path && catalogue.by_id(id)?.is_some())
}

fn finding(id: Option<Ulid>, path: &Path, problem: Problem, detail: String) -> Finding {
    Finding {
        recording: id,
        path: path.display().to_string(),
        problem,
        detail,
        repaired: false,
    }
}

#[cfg(test)]
mod repair_tests;
