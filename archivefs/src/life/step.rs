//! The durable steps of moves and erasures, each with a name, so that tests can end the process before any
//! of them. Those inside a step, file by file, are in `store`.

use std::io;

/// What is done, in the order in which it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Recordings are marked erased: one transaction.
    Mark,
    /// A sealed key is destroyed.
    DestroyKey,
    /// Caches and open files are emptied of a recording.
    Forget,
    /// What a tier has of the recordings is removed.
    Destroy,
    /// The database's write-ahead log is emptied of them.
    Fold,
    /// Tombstones are complete.
    Complete,
    /// An object is copied to the other tier.
    Copy,
    /// Rows switch to the other tier.
    Switch,
    /// The copies that were left behind are removed.
    RemoveSource,
    /// That they are gone is entered.
    Clear,
}

#[cfg(test)]
impl Step {
    /// Those of an erasure.
    pub const ERASING: [Self; 6] = [
        Self::Mark,
        Self::DestroyKey,
        Self::Forget,
        Self::Destroy,
        Self::Fold,
        Self::Complete,
    ];

    /// Those of a move.
    pub const MOVING: [Self; 4] = [Self::Copy, Self::Switch, Self::RemoveSource, Self::Clear];
}

/// To be called before `step` is done.
#[cfg(not(test))]
#[allow(clippy::unnecessary_wraps)]
pub(super) fn before(_: Step) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
pub(super) use fault::before;

/// Faults that tests put in the way of a step.
#[cfg(test)]
pub(super) mod fault {
    use super::{Step, io};
    use crate::store::fault;
    use std::cell::Cell;

    thread_local! {
        static FAILING: Cell<Option<Step>> = const { Cell::new(None) };
    }

    /// Fails `step` in this thread until told otherwise.
    pub fn fail(step: Option<Step>) {
        FAILING.set(step);
    }

    pub fn before(step: Step) -> io::Result<()> {
        if FAILING.get() == Some(step) {
            return Err(io::Error::other(format!("{step:?} was made to fail")));
        }
        fault::tick()
    }
}
