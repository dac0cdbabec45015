//! Which recordings are being moved now. An erasure does not wait for a move, whose pace may be limited to
//! hours: it takes everything away that it finds, and leaves the last word to the move, which finds out at
//! its switch that the recording is gone.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use ulid::Ulid;

/// The recordings in hand.
#[derive(Debug, Default)]
pub struct Desk(Mutex<HashSet<Ulid>>);

/// Some of them, until this is dropped.
#[derive(Debug)]
pub struct Claim<'a> {
    desk: &'a Desk,
    ids: Vec<Ulid>,
}

impl Desk {
    /// Takes `ids` in hand.
    pub fn claim(&self, ids: Vec<Ulid>) -> Claim<'_> {
        self.lock().extend(ids.iter().copied());
        Claim { desk: self, ids }
    }

    /// Whether somebody has `id` in hand.
    pub fn has(&self, id: Ulid) -> bool {
        self.lock().contains(&id)
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<Ulid>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut desk = self.desk.lock();
        for id in &self.ids {
            desk.remove(id);
        }
    }
}
