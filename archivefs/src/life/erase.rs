//! Erasure (R6.3, R6.7): the only way in which a recording goes.
//!
//! ```text
//! mark ──► destroy key ──► forget ──────────► destroy ──► fold ────────► complete
//! row to   the audio is    readers fail,      objects,    the database   the tombstone
//! tomb-    unreadable      caches are empty   drafts, set keeps no old   says so
//! stone    on the disk     in memory          aside, all  page
//!                                             tiers
//! ```
//!
//! Each step can be done again; a tombstone that is not complete is taken up again at start and at every
//! sweep. A step that fails does not keep the next ones from being done.
//!
//! Not here: whether it is allowed (`approval`, and the catalogue in its own transaction), and how caches
//! are emptied ([`Caches`], which the file system gives).

use super::desk::Desk;
use super::step::{Step, before};
use super::{Approved, Ballast, LifeError};
use crate::catalogue::{Catalogue, Erasure, Tombstone};
use crate::findings::Findings;
use crate::vault::Vault;
use std::sync::Arc;
use ulid::Ulid;

/// Recordings that are erased in one transaction.
pub const CHUNK: usize = 256;

/// Whoever has bytes of recordings in memory: the file system.
pub trait Caches: Send + Sync {
    /// Forgets the recording that `erased` stands for. When this returns, no open file gives a byte of it
    /// any more, and neither the kernel nor this program keeps one. Called for the same recording again
    /// after a crash.
    fn forget(&self, erased: &Tombstone);
}

/// Nobody has.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCaches;

impl Caches for NoCaches {
    fn forget(&self, _: &Tombstone) {}
}

/// What erases.
pub struct Eraser {
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) vault: Vault,
    pub(super) findings: Arc<Findings>,
    pub(super) caches: Arc<dyn Caches>,
    pub(super) ballast: Ballast,
    pub(super) desk: Arc<Desk>,
    /// Whether every tier is there: what a missing one has cannot be removed.
    pub(super) has_all_tiers: bool,
}

/// What an erasure came to.
#[derive(Debug)]
pub struct Erased {
    /// What became of each recording.
    pub outcomes: Vec<(Ulid, Erasure)>,
    /// Why something is still to be done; it is tried again at the next sweep.
    pub unfinished: Option<String>,
}

impl Eraser {
    /// Erases those of `ids` that `approved` covers and nothing holds, at `at` (nanoseconds since 1970).
    /// When this returns, no byte of those that were marked can be read.
    ///
    /// # Errors
    /// The catalogue cannot be written, even without the ballast: nothing was erased of the chunk of
    /// [`CHUNK`] that failed, nor after it.
    pub fn erase(&self, at: i64, approved: &Approved, ids: &[Ulid]) -> Result<Erased, LifeError> {
        let mut erased = Erased {
            outcomes: Vec::with_capacity(ids.len()),
            unfinished: None,
        };
        for chunk in ids.chunks(CHUNK) {
            before(Step::Mark)?;
            let outcomes = self.ballast.through(|| {
                let (today, warrant) = (approved.today(), approved.warrant());
                self.catalogue.erase(at, today, warrant, chunk.to_vec())
            })?;
            let marked: Vec<_> = outcomes.iter().filter_map(marked).cloned().collect();
            if let Err(error) = self.finish(at, &marked) {
                log::error!("ALARM: an erasure is not finished: {error}");
                erased.unfinished = Some(error.to_string());
            }
            erased.outcomes.extend(outcomes);
        }
        Ok(erased)
    }

    /// Takes up again what a crash or a missing tier left unfinished; answers how many are complete now.
    pub fn resume(&self, at: i64) -> Result<usize, LifeError> {
        let left = self.catalogue.incomplete()?;
        let mut done = 0;
        for chunk in left.chunks(CHUNK) {
            done += self.finish(at, chunk)?;
        }
        Ok(done)
    }

    /// All that follows upon the mark; answers how many are complete.
    fn finish(&self, at: i64, marked: &[Tombstone]) -> Result<usize, LifeError> {
        if marked.is_empty() {
            return Ok(0);
        }
        let steps = [
            self.destroy_keys(marked),
            self.forget(marked),
            self.destroy_objects(marked),
            self.fold(),
        ];
        steps.into_iter().collect::<Result<(), _>>()?;
        self.complete(at, marked)
    }

    fn destroy_keys(&self, marked: &[Tombstone]) -> Result<(), LifeError> {
        let ids: Vec<_> = marked.iter().map(|tombstone| tombstone.id).collect();
        before(Step::DestroyKey)?;
        let keys = self.vault.keys();
        self.ballast.through(|| keys.destroy_all(&ids).map(drop))?;
        Ok(())
    }

    fn forget(&self, marked: &[Tombstone]) -> Result<(), LifeError> {
        every(marked, |tombstone| {
            before(Step::Forget)?;
            self.caches.forget(tombstone);
            Ok(())
        })
    }

    fn destroy_objects(&self, marked: &[Tombstone]) -> Result<(), LifeError> {
        let ids: Vec<_> = marked.iter().map(|tombstone| tombstone.id).collect();
        every(self.vault.tiers(), |tier| {
            before(Step::Destroy)?;
            Ok(tier.destroy(&ids)?)
        })?;
        for &id in &ids {
            self.findings.clear_recording(&self.vault, id);
        }
        Ok(())
    }

    fn fold(&self) -> Result<(), LifeError> {
        before(Step::Fold)?;
        if self.catalogue.fold()? {
            Ok(())
        } else {
            Err(LifeError::Busy)
        }
    }

    /// Those that are in hand for a move are completed after it.
    fn complete(&self, at: i64, marked: &[Tombstone]) -> Result<usize, LifeError> {
        if !self.has_all_tiers {
            return Err(LifeError::MissingTier);
        }
        let free = |tombstone: &&Tombstone| !self.desk.has(tombstone.id);
        let keys: Vec<_> = marked.iter().filter(free).map(|free| free.key).collect();
        let complete = keys.len();
        before(Step::Complete)?;
        self.catalogue.complete(at, keys)?;
        Ok(complete)
    }
}

/// Does `work` with each, also after one has failed; the first failure is answered.
fn every<T>(all: &[T], mut work: impl FnMut(&T) -> Result<(), LifeError>) -> Result<(), LifeError> {
    let mut first = Ok(());
    for one in all {
        let done = work(one);
        first = first.and(done);
    }
    first
}

fn marked((_, outcome): &(Ulid, Erasure)) -> Option<&Tombstone> {
    match outcome {
        Erasure::Marked(tombstone) | Erasure::Already(tombstone) => {
            tombstone.completed_at.is_none().then_some(tombstone)
        }
        Erasure::Held(_) | Erasure::NotAllowed | Erasure::Unknown => None,
    }
}
