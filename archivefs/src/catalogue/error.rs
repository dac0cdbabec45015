//! What can go wrong with the catalogue, and what to do about it.

use super::holds::HoldId;
use super::plans::PlanId;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;
use ulid::Ulid;

/// What can go wrong with the catalogue.
#[derive(Debug, Error)]
pub enum CatalogueError {
    /// The database or its disk failed.
    #[error("the catalogue: {0}")]
    Database(#[from] rusqlite::Error),
    /// A change could not be made durable; nothing of it is in the archive.
    #[error("the catalogue cannot be written: {0}; is the disk full?")]
    NotCommitted(String),
    /// The database holds what no version of this program writes.
    #[error("the catalogue is damaged: {0}")]
    Damaged(String),
    /// The database needs a newer program.
    #[error(
        "the catalogue has schema {found}, this version knows up to {known}: upgrade tsuwaroku"
    )]
    Future {
        /// Its schema.
        found: usize,
        /// The newest one that this program knows.
        known: usize,
    },
    /// There is no archive at this place, or there is one already.
    #[error("{0}")]
    Place(String),
    /// A file beside the database cannot be read, written or replaced.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A recording that cannot be, whatever its object says.
    #[error("the recording {0}")]
    Impossible(String),
    /// The recording was erased, and does not come back.
    #[error("the recording {0} was erased: tsuwaroku show {0}")]
    Erased(Ulid),
    /// It is not for the asker to do, or not now.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The writer has stopped.
    #[error("the catalogue is closed")]
    Closed,
}

impl CatalogueError {
    pub(super) fn file(path: &Path, error: io::Error) -> Self {
        let path = path.to_owned();
        Self::File { path, error }
    }
}

/// Why something that concerns the life of recordings is not done. Nothing is changed then.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refused {
    /// There is no such recording.
    #[error("there is no recording {0}: search for it with tsuwaroku find")]
    NoRecording(Ulid),
    /// A hold forbids it (R6.7).
    #[error("the recording {recording} is held ({hold}): see tsuwaroku hold list")]
    Held {
        /// The recording.
        recording: Ulid,
        /// What holds it.
        hold: HoldId,
    },
    /// There is no such hold, or it was released.
    #[error("the hold {0} is not in force: see tsuwaroku hold list")]
    NoHold(HoldId),
    /// A hold that would hold everything for ever.
    #[error("a hold names a recording, a number, a period or another party")]
    Boundless,
    /// A ground is missing.
    #[error("a ground is needed: it is kept as long as what was done is")]
    NoGround,
    /// There is no such plan.
    #[error("there is no plan {0}: see tsuwaroku plans")]
    NoPlan(PlanId),
    /// A plan that asks for nothing.
    #[error("the plan names no recording")]
    Empty,
    /// It was decided already, or nobody has decided yet.
    #[error("the plan {plan} is {state}")]
    State {
        /// The plan.
        plan: PlanId,
        /// Its state.
        state: &'static str,
    },
    /// R9.1: nobody approves what they asked for.
    #[error("the plan {0} was asked for by the same person: somebody else must approve it")]
    OwnPlan(PlanId),
    /// The plan asks for something else than it is carried out for.
    #[error("the plan {0} does not ask for that")]
    OtherPlan(PlanId),
    /// There is no jump of the clock to confirm, or it is another one by now.
    #[error("the clock is not frozen by what was to be confirmed: see tsuwaroku clock status")]
    NoJump,
    /// The wall clock was set again since it was said to be right.
    #[error("the wall clock is another one than when it was said to be right: ask anew")]
    OtherClock,
}
