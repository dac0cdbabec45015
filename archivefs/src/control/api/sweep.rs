//! What goes over the control socket about sweeps: what is due, and what came of it. Days are the office's,
//! `2026-11-23`.

use super::Problem;
use super::life::Frozen;
use crate::store::Tier;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

/// `GET`: [`DueEvent`]s, one JSON text a line. `POST` with nothing: [`SweepEvent`]s, the same way.
pub const SWEEP: &str = "/v1/sweep";

/// A line of the answer about what is due. The last line is `Done`; an answer that ends without it was
/// cut off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DueEvent {
    /// A recording that is due.
    Item(DueItem),
    /// That is all.
    Done(DueSums),
}

/// A recording that is due for something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DueItem {
    /// Its identity.
    pub recording: Ulid,
    /// For what.
    pub due: Due,
    /// The last day of the period that is over.
    pub last_day: NaiveDate,
    /// The designated number.
    pub number: String,
    /// Where it rests.
    pub tier: Tier,
    /// Bytes that it takes there.
    pub stored_bytes: u64,
    /// What holds it, where it would be erased otherwise.
    pub hold: Option<u32>,
}

/// What a recording is due for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Due {
    /// To be erased.
    Erase,
    /// To be moved to the secondary tier.
    Move,
    /// It would be erased, but is held.
    Held,
}

impl Due {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 3] = [Self::Erase, Self::Move, Self::Held];
}

/// What is due, in figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DueSums {
    /// The accepted day.
    pub day: NaiveDate,
    /// To be erased.
    pub erase: Sum,
    /// To be moved.
    #[serde(rename = "move")]
    pub moves: Sum,
    /// Held.
    pub held: Sum,
    /// Why nothing of it is done now, if the clock jumped.
    pub frozen: Option<Frozen>,
}

/// So many recordings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// Recordings.
    pub recordings: u64,
    /// Bytes that they take in the store.
    pub stored_bytes: u64,
}

/// A line of the answer to a sweep. The last line is `Done` or `Refused`; an answer that ends with
/// neither was cut off, and the sweep with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SweepEvent {
    /// How far it is.
    Progress(SweepProgress),
    /// It is over.
    Done(SweepDone),
    /// It was not begun, or could not be finished.
    Refused(Problem),
}

/// How far a sweep is: first recordings are erased, then others moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepProgress {
    /// What is being done.
    pub doing: Due,
    /// Recordings that are through.
    pub through: u64,
    /// Of so many.
    pub total: u64,
}

/// What a sweep came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepDone {
    /// The accepted day.
    pub day: NaiveDate,
    /// Recordings that were erased.
    pub erased: u64,
    /// Recordings that moved to the secondary tier.
    pub moved: u64,
    /// Recordings that are due and held.
    pub held: u64,
    /// Holds whose last day was over.
    pub ended_holds: Vec<u32>,
    /// Recordings that could not be moved.
    pub failed: Vec<Unmoved>,
    /// Why the others were not tried.
    pub stopped: Option<String>,
    /// Why something of an erasure is still to be done.
    pub unfinished: Option<String>,
    /// Recordings that are overdue all the same.
    pub overdue: u64,
}

impl SweepDone {
    /// Whether somebody has to look.
    pub fn needs_attention(&self) -> bool {
        !self.failed.is_empty()
            || self.stopped.is_some()
            || self.unfinished.is_some()
            || self.overdue > 0
    }
}

/// A recording that stays where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unmoved {
    /// The recording.
    pub recording: Ulid,
    /// Why.
    pub reason: String,
}
