//! Moves (R6.2): objects go to the secondary tier when their first period is over.
//!
//! ```text
//! copy, fsync, read back, compare ──► switch rows and log ──► remove sources ──► enter that
//!          each object                    one commit            each directory     with the next commit
//!                                                               synced once
//! ```
//!
//! Ended anywhere, it is begun again: a good copy that is there already is taken, and what a switch left
//! behind is in the catalogue until it is removed. At every moment one whole copy is where the row says.
//! Whoever has the object open reads on from the file that was removed.
//!
//! Copying itself is in `store::transfer`; what is due is decided in `sweep`.

use super::desk::Desk;
use super::step::{Step, before};
use super::{Item, LifeError};
use crate::catalogue::{Catalogue, Leftover, Moved};
use crate::store::{Store, StoreError, Taken, Tier};
use crate::vault::{Vault, VaultError};
use nix::errno::Errno;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use ulid::Ulid;

/// Recordings whose rows switch in one commit.
const CHUNK: usize = 64;
/// Objects of one commit that fail before the disk is held to be at fault.
const MOST_FAILURES: usize = 3;

/// How objects are moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MoveSettings {
    /// Whether they are compressed anew on the way.
    pub recompress: bool,
    /// Bytes a second, read and written together; no limit if none is given.
    pub bytes_per_second: Option<u64>,
}

/// What a series of moves came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct MoveReport {
    /// Recordings that moved.
    pub moved: usize,
    /// Recordings that stay where they are, and why.
    pub failed: Vec<(Ulid, String)>,
    /// Why the others were not tried: the tier is full, or gone.
    pub stopped: Option<String>,
    /// Recordings that were erased while they moved: their erasure is to be finished.
    pub erased: usize,
}

/// What moves.
pub(super) struct Mover<'a> {
    pub catalogue: &'a Catalogue,
    pub vault: &'a Vault,
    pub desk: &'a Desk,
    pub settings: MoveSettings,
}

/// A copy in the other tier.
enum Copied {
    /// Durable, of so many bytes.
    Durable(u64),
    /// To be made durable with others.
    Taken(Taken),
}

/// What stops a series.
enum Halt {
    /// This one does not move, whatever the disks do.
    This(String),
    /// This one does not move; if several do not, the disk is at fault.
    One(String),
    /// None will.
    All(String),
}

impl Mover<'_> {
    /// Moves `items` to the secondary tier, until `stop`; `tell` hears how many of how many are through.
    ///
    /// # Errors
    /// The catalogue cannot be read or written. What is wrong with objects and tiers is reported.
    pub fn run(
        &self,
        at: i64,
        items: &[Item],
        stop: &AtomicBool,
        tell: &mut dyn FnMut(usize, usize),
    ) -> Result<MoveReport, LifeError> {
        let mut report = MoveReport::default();
        let mut pace = Pace::new(self.settings.bytes_per_second);
        let (mut removed, mut through) = (Vec::new(), 0);
        for chunk in items.chunks(CHUNK) {
            if stop.load(Ordering::Relaxed) || report.stopped.is_some() {
                break;
            }
            self.chunk(at, chunk, &mut report, &mut removed, &mut |bytes| {
                pace.spend(bytes, stop);
            })?;
            through += chunk.len();
            tell(through, items.len());
        }
        self.clear(at, removed)?;
        Ok(report)
    }

    fn chunk(
        &self,
        at: i64,
        items: &[Item],
        report: &mut MoveReport,
        removed: &mut Vec<Leftover>,
        pace: &mut dyn FnMut(usize),
    ) -> Result<(), LifeError> {
        let Some(to) = self.vault.tier(Tier::Secondary) else {
            report.stopped = Some("there is no secondary tier".into());
            return Ok(());
        };
        let claim = self.desk.claim(items.iter().map(|item| item.id).collect());
        let copied = self.copy_all(to, items, report, pace);
        before(Step::Switch)?;
        let switched = self.catalogue.switch(at, copied, std::mem::take(removed))?;
        let gone: Vec<_> = switched.gone.iter().map(|gone| gone.id).collect();
        to.remove_all(&gone)?;
        let left: Vec<_> = switched.done.iter().map(left_behind).collect();
        report.moved += left.len();
        report.erased += gone.len();
        self.remove(&left)?;
        removed.extend(left);
        drop(claim);
        Ok(())
    }

    /// Those of which a whole copy is durable in `to`.
    fn copy_all(
        &self,
        to: &Store,
        items: &[Item],
        report: &mut MoveReport,
        pace: &mut dyn FnMut(usize),
    ) -> Vec<Moved> {
        let (mut copied, mut taken) = (Vec::with_capacity(items.len()), Vec::new());
        let mut failures = 0;
        for item in items {
            match self.copy(to, item, pace) {
                Ok(Copied::Durable(stored_bytes)) => copied.push(moved(item, stored_bytes)),
                Ok(Copied::Taken(one)) => taken.push((moved(item, item.stored_bytes), one)),
                Err(halt) => report.note(item.id, halt, &mut failures),
            }
            if report.stopped.is_some() {
                break;
            }
        }
        let (waiting, taken): (Vec<_>, Vec<_>) = taken.into_iter().unzip();
        for (moved, settled) in waiting.into_iter().zip(to.settle(taken, pace)) {
            match settled {
                Ok(()) => copied.push(moved),
                Err(error) => report.note(moved.id, halt(to, &error), &mut failures),
            }
        }
        copied
    }

    /// Compressed anew each is durable by itself, and takes its time; plain copies are made durable
    /// together.
    fn copy(&self, to: &Store, item: &Item, pace: &mut dyn FnMut(usize)) -> Result<Copied, Halt> {
        let halt = |error: StoreError| halt(to, &error);
        before(Step::Copy).map_err(|error| halt(error.into()))?;
        let from = self.vault.primary();
        let key = self.vault.keys().get(item.id);
        let key = key.map_err(|error| Halt::This(error.to_string()))?;
        if self.settings.recompress {
            let sealed = to.receive_anew(item.id, from, &key, pace);
            Ok(Copied::Durable(sealed.map_err(halt)?.stored_bytes))
        } else {
            let taken = to.take(item.id, from, &key, pace);
            Ok(Copied::Taken(taken.map_err(halt)?))
        }
    }

    /// Removes what moves left behind, of this process or of one before it.
    pub fn remove(&self, left: &[Leftover]) -> Result<(), LifeError> {
        for tier in Tier::ALL {
            let of_tier = left.iter().filter(|one| one.tier == tier);
            let ids: Vec<_> = of_tier.map(|one| one.id).collect();
            if let (false, Some(store)) = (ids.is_empty(), self.vault.tier(tier)) {
                before(Step::RemoveSource)?;
                store.remove_all(&ids)?;
            }
        }
        Ok(())
    }

    /// Enters that `removed` are gone.
    pub fn clear(&self, at: i64, removed: Vec<Leftover>) -> Result<(), LifeError> {
        if removed.is_empty() {
            return Ok(());
        }
        before(Step::Clear)?;
        self.catalogue.switch(at, vec![], removed)?;
        Ok(())
    }

    /// Ends what a crash left between the switch and the removal; where a copy is elsewhere and whole.
    pub fn resume(&self, at: i64) -> Result<(), LifeError> {
        let mut gone = Vec::new();
        for left in self.catalogue.leftovers()? {
            match self.may_go(&left) {
                Ok(true) => gone.push(left),
                Ok(false) => {}
                Err(error) => log::error!("{}: what a move left behind stays: {error}", left.id),
            }
        }
        self.remove(&gone)?;
        self.clear(at, gone)
    }

    /// Whether the recording is whole where its row says, and that is elsewhere.
    fn may_go(&self, left: &Leftover) -> Result<bool, LifeError> {
        let Some(recording) = self.catalogue.by_key(left.key)? else {
            return Ok(true);
        };
        let home = self.vault.tier(recording.tier);
        let Some(home) = home.filter(|_| recording.tier != left.tier) else {
            return Ok(false);
        };
        let key = self.vault.keys().get(left.id).map_err(VaultError::from)?;
        home.open_object(left.id, &key)?.scrub()?;
        Ok(true)
    }
}

impl MoveReport {
    /// The recording `id` does not move.
    fn note(&mut self, id: Ulid, halt: Halt, failures: &mut usize) {
        match halt {
            Halt::This(why) => self.failed.push((id, why)),
            Halt::One(why) => {
                *failures += 1;
                if *failures >= MOST_FAILURES {
                    self.stopped.get_or_insert_with(|| why.clone());
                }
                self.failed.push((id, why));
            }
            Halt::All(why) => drop(self.stopped.get_or_insert(why)),
        }
    }
}

/// `item` with an object of `stored_bytes` in the secondary tier.
fn moved(item: &Item, stored_bytes: u64) -> Moved {
    Moved {
        key: item.key,
        id: item.id,
        from: Tier::Primary,
        to: Tier::Secondary,
        stored_bytes,
    }
}

fn left_behind(moved: &Moved) -> Leftover {
    Leftover {
        key: moved.key,
        id: moved.id,
        tier: moved.from,
    }
}

/// What an error of a copy to `to` means for the others.
fn halt(to: &Store, error: &StoreError) -> Halt {
    let is_full = |error: &io::Error| {
        let errno = error.raw_os_error().map(Errno::from_raw);
        matches!(errno, Some(Errno::ENOSPC | Errno::EDQUOT | Errno::EROFS))
    };
    let text = format!("{}: {error}", to.root().display());
    match error {
        StoreError::NotThisStore { .. } => Halt::All(error.to_string()),
        StoreError::Io(error) if is_full(error) || !to.is_there() => Halt::All(text),
        error if error.is_transient() => Halt::One(text),
        _ => Halt::This(text),
    }
}

/// Keeps to a bandwidth.
struct Pace {
    limit: Option<u64>,
    since: Instant,
    bytes: u64,
}

impl Pace {
    fn new(limit: Option<u64>) -> Self {
        Self {
            limit: limit.filter(|&limit| limit > 0),
            since: Instant::now(),
            bytes: 0,
        }
    }

    /// `bytes` more went through; sleeps until that is within the limit, or `stop`.
    fn spend(&mut self, bytes: usize, stop: &AtomicBool) {
        let Some(limit) = self.limit else { return };
        self.bytes += bytes as u64;
        let mut left = wait(limit, self.bytes, self.since.elapsed());
        while !left.is_zero() && !stop.load(Ordering::Relaxed) {
            let nap = left.min(Duration::from_millis(100));
            std::thread::sleep(nap);
            left -= nap;
        }
    }
}

/// How long to wait when `bytes` went through in `passed`, at `limit` bytes a second.
fn wait(limit: u64, bytes: u64, passed: Duration) -> Duration {
    let due = Duration::from_secs_f64(bytes as f64 / limit as f64);
    due.saturating_sub(passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bandwidth_is_kept_over_the_whole_series() {
        let second = Duration::from_secs(1);
        assert_eq!(wait(1000, 3000, second), 2 * second);
        assert_eq!(wait(1000, 500, second), Duration::ZERO);
        let stop = AtomicBool::new(true);
        Pace::new(Some(1)).spend(1 << 40, &stop);
        Pace::new(Some(0)).spend(1 << 40, &AtomicBool::new(false));
    }
}
