//! A rotation: a new secret, new keys of the months, the keys of all recordings sealed anew, and what was
//! before overwritten. Every recording that has a key has one that opens at any moment of it, and who
//! wants one does not wait. Killed at any step it has happened or it has not, and
//! [`Keys::settle`](super::Keys::settle) makes an end.
//!
//! ```text
//! new secret beside the old one, here and in the tiers
//! table made anew in a file beside it          ── killed up to here: it has not happened
//! that file takes the table's place            ── from here on: it has
//! former file overwritten; the same for each tier's copy
//! old secret overwritten, here and in the tiers
//! ```

use super::copies::finish;
use super::secret::{self, Secret};
use super::step::{Step, before};
use super::{KeyError, Keys, Ring, epoch_purpose, recording_purpose, sealing_key};
use crate::audit::{Draft, Event, Outcome, Who};
use crate::catalogue::{Catalogue, KeyTable, Resealing, SealedKey};
use crate::clock::now;
use crate::crypto::Key;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use ulid::Ulid;

/// What a rotation did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotated {
    /// How often all keys have been sealed anew by now.
    pub generation: u32,
    /// Recordings whose keys were.
    pub recordings: u64,
    /// Directories of copies that could not be reached, and still hold what was before.
    pub behind: Vec<String>,
}

impl Keys {
    /// [`Self::rotate`], on the word of `by` or of the archive itself, and a record of it in the log of
    /// `catalogue`: what the nightly sweep and the control service call.
    ///
    /// # Errors
    /// As [`Self::rotate`]; or it has happened and could not be logged.
    pub fn rotate_logged(
        &self,
        catalogue: &Catalogue,
        by: Option<Who>,
    ) -> Result<Rotated, KeyError> {
        let outcome = self.rotate();
        let draft = |result| Draft {
            actor: by,
            ..Draft::new(now(), Event::Keys, result).with("action", "rotate")
        };
        let draft = match &outcome {
            Ok(rotated) => draft(Outcome::Done)
                .with("generation", rotated.generation)
                .with("recordings", rotated.recordings)
                .with("behind", rotated.behind.len()),
            Err(error) => draft(Outcome::Failed).with("reason", error),
        };
        catalogue.log(draft)?;
        outcome
    }

    /// Seals all keys anew, so that whatever copies of the table there are, and whatever of it is left on
    /// disks, opens nothing any more: see tsuwaroku-store(5) for what this takes. Nothing else changes
    /// keys meanwhile; who wants one gets it.
    ///
    /// # Errors
    /// It has happened or it has not, and can be done again.
    pub fn rotate(&self) -> Result<Rotated, KeyError> {
        let mut copies = self.changing();
        // What a rotation before, which failed, has left.
        let old = self.secret()?;
        finish(self.table.path(), old.as_ref())?;
        self.catch_up(&mut copies)?;
        let (generation, old_sealing) = {
            let ring = self.ring();
            (ring.generation, ring.sealing.clone())
        };
        let new = Secret {
            generation: generation + 1,
            key: Key::random()?,
        };
        before(Step::PutSecret)?;
        let own = secret::path_beside(self.table.path());
        secret::put(&own, &new, Some(generation))?;
        copies.put_secret(&new, generation);
        before(Step::Rewrite)?;
        let mut resealer = Resealer {
            archive: self.archive,
            old: old_sealing,
            new: sealing_key(self.archive, &self.master, &new),
            epochs: HashMap::new(),
        };
        let recordings = self.table.rewrite(new.generation, &mut resealer)?;
        before(Step::Publish)?;
        self.publish(resealer, new.generation)?;
        before(Step::DestroyFormer)?;
        KeyTable::destroy_draft(self.table.path())?;
        copies.bring_up(&self.table, Some(&new), true);
        finish(self.table.path(), Some(&new))?;
        let status = copies.status().into_iter();
        Ok(Rotated {
            generation: new.generation,
            recordings,
            behind: status
                .filter(|copy| copy.trouble.is_some())
                .map(|copy| copy.place)
                .collect(),
        })
    }

    /// The table that was made anew is the table, and its keys are the keys.
    fn publish(&self, resealed: Resealer, generation: u32) -> Result<(), KeyError> {
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        let new = |(epoch, month): (u32, Month)| (epoch, month.new);
        let epochs = resealed.epochs.into_iter().map(new).collect();
        let outcome = self.table.publish();
        // It may be in its place though something failed after that.
        if self.table.state()?.generation == generation {
            *ring = Ring {
                generation,
                sealing: resealed.new,
                epochs: Mutex::new(epochs),
            };
        }
        Ok(outcome?)
    }
}

/// Seals the keys of one generation for the next. What is damaged stays as it is: it opens nothing now,
/// and must not keep all others from being sealed anew.
struct Resealer {
    archive: Ulid,
    old: Key,
    new: Key,
    epochs: HashMap<u32, Month>,
}

struct Month {
    old: Key,
    new: Key,
}

impl Resealing for Resealer {
    type Error = KeyError;

    fn epoch(&mut self, epoch: u32, sealed: &[u8]) -> Result<Vec<u8>, KeyError> {
        let purpose = epoch_purpose(self.archive, epoch);
        let Ok(old) = self.old.unwrap(sealed, &purpose) else {
            log::error!("ALARM: {}", KeyError::Damaged(format!("the month {epoch}")));
            return Ok(sealed.to_vec());
        };
        let new = Key::random()?;
        let sealed = self.new.wrap(&new, &purpose)?.to_vec();
        self.epochs.insert(epoch, Month { old, new });
        Ok(sealed)
    }

    fn recording(&mut self, id: Ulid, key: &SealedKey) -> Result<Vec<u8>, KeyError> {
        let purpose = recording_purpose(id);
        let month = self.epochs.get(&key.epoch);
        let opened = month.and_then(|month| {
            let own = month.old.unwrap(&key.sealed, &purpose).ok()?;
            Some((month, own))
        });
        let Some((month, own)) = opened else {
            log::error!(
                "ALARM: {}",
                KeyError::Damaged(format!("the recording {id}"))
            );
            return Ok(key.sealed.clone());
        };
        Ok(month.new.wrap(&own, &purpose)?.to_vec())
    }
}
