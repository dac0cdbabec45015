//! What goes over the control socket about the life of recordings: holds, plans, what was erased, and the
//! clock by which all of it is judged. What is due is in [`super::sweep`]. Days are the office's,
//! `2026-11-23`.

use super::{Found, Problem};
use crate::clock::own::JumpKind;
use crate::store::Tier;
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

/// `GET`, the identity at its end: [`Shown`].
pub const RECORDING: &str = "/v1/recordings/{id}";
/// `GET` with [`ListRequest`] as the query: an array of [`ListedHold`]. `POST` with [`HoldRequest`]:
/// [`Placed`].
pub const HOLDS: &str = "/v1/holds";
/// `GET` with [`ListRequest`] as the query: an array of [`ListedPlan`]. `POST` with [`PlanRequest`]:
/// [`Filed`].
pub const PLANS: &str = "/v1/plans";
/// `POST` with [`ApproveRequest`]: [`ApproveEvent`]s, one JSON text a line.
pub const APPROVE: &str = "/v1/plans/approve";
/// `POST` with [`DeclineRequest`]: [`ListedPlan`].
pub const DECLINE: &str = "/v1/plans/decline";
/// `GET`: [`ClockStatus`].
pub const CLOCK: &str = "/v1/clock";

/// [`RECORDING`] of the recording `id`.
pub fn recording(id: Ulid) -> String {
    RECORDING.replace("{id}", &id.to_string())
}

/// How it stands with the life of recordings; part of the status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifeStatus {
    /// The accepted day, by which periods are judged.
    pub day: NaiveDate,
    /// Why nothing is moved or erased, if the clock jumped.
    pub frozen: Option<Frozen>,
    /// The configured tier that is not there.
    pub missing_tier: Option<String>,
    /// Why recordings do not move to the secondary tier.
    pub stuck: Option<String>,
    /// Why something of an erasure is still to be done.
    pub unfinished: Option<String>,
    /// Recordings that are past their last day, are held by nothing, and are still there.
    pub overdue: u64,
    /// Plans that wait for an approval.
    pub waiting_plans: u64,
    /// Holds in force.
    pub holds: u64,
}

impl LifeStatus {
    /// Whether somebody has to look. A plan that waits is the administrators' daily work.
    pub fn needs_attention(&self) -> bool {
        self.frozen.is_some()
            || self.missing_tier.is_some()
            || self.stuck.is_some()
            || self.unfinished.is_some()
            || self.overdue > 0
    }
}

/// A jump of the clock, for which nothing is moved or erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frozen {
    /// What it looks like.
    pub kind: JumpKind,
    /// The archive's own time when it was noticed.
    pub own: DateTime<Utc>,
    /// The wall clock then.
    pub wall: DateTime<Utc>,
}

/// The clocks, as of the last time they were compared: at most a minute ago.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClockStatus {
    /// The accepted day.
    pub day: NaiveDate,
    /// The wall clock.
    pub wall: DateTime<Utc>,
    /// The archive's own time.
    pub own: DateTime<Utc>,
    /// How far the wall clock is ahead, seconds.
    pub ahead_seconds: f64,
    /// Whether the wall clock is disciplined by another one.
    pub synchronised: bool,
    /// Why nothing is moved or erased, if that is so.
    pub frozen: Option<Frozen>,
}

/// Which holds or plans to list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListRequest {
    /// Those that are over too.
    #[serde(default)]
    pub all: bool,
}

/// What to hold: recordings, or all that a search finds, now and later.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldRequest {
    /// These recordings, each with a hold of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recordings: Vec<Ulid>,
    /// Calls on this designated number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// Calls that started at or after this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<DateTime<Utc>>,
    /// Calls that started before this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<DateTime<Utc>>,
    /// Calls with this other party: the number, or its beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_party: Option<String>,
    /// Why.
    pub ground: String,
    /// The last day of the hold; until it is released if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<NaiveDate>,
}

/// Holds that were placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// Their numbers, in the order of the request.
    pub holds: Vec<u32>,
    /// How many recordings they hold now.
    pub recordings: u64,
}

/// A hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedHold {
    /// Its number.
    pub hold: u32,
    /// The recording that it holds, where it holds one.
    pub recording: Option<Ulid>,
    /// Otherwise: calls on this designated number.
    pub number: Option<String>,
    /// Calls that started at or after this.
    pub from: Option<DateTime<Utc>>,
    /// Calls that started before this.
    pub to: Option<DateTime<Utc>>,
    /// Whether only calls with one other party are held.
    pub of_party: bool,
    /// That party, for whoever may search for recordings.
    pub other_party: Option<String>,
    /// Why. Empty where it was forgotten with an erased recording.
    pub ground: String,
    /// Its last day.
    pub until: Option<NaiveDate>,
    /// When it was placed.
    pub placed_at: DateTime<Utc>,
    /// By whom.
    pub placed_by: String,
    /// Whether it is in force.
    pub in_force: bool,
    /// When it was released, or had ended by itself.
    pub released_at: Option<DateTime<Utc>>,
    /// Who approved that; nobody where it ended by itself.
    pub released_by: Option<String>,
}

/// What to ask for; somebody else has to approve it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanRequest {
    /// What.
    pub wish: Wanted,
    /// Why. It is on the certificate of erasure, so no names of those who were recorded.
    pub ground: String,
    /// The number of the application that it is asked under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
}

/// What may be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wanted {
    /// These recordings are to be erased.
    Erase(Vec<Ulid>),
    /// The hold with this number is to be released.
    Release(u32),
    /// The wall clock is right.
    Clock,
}

/// A plan that was filed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filed {
    /// Its number.
    pub plan: u32,
    /// Who may approve it: accounts, and groups as `@group`.
    pub approvers: Vec<String>,
}

/// A plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListedPlan {
    /// Its number.
    pub plan: u32,
    /// What is asked for.
    pub wish: ListedWish,
    /// Why.
    pub ground: String,
    /// The application that it is asked under.
    pub application: Option<String>,
    /// When it was asked for.
    pub asked_at: DateTime<Utc>,
    /// By whom.
    pub asked_by: String,
    /// How far it is: `waiting`, `approved`, `declined` or `done`.
    pub state: String,
    /// When it was decided.
    pub decided_at: Option<DateTime<Utc>>,
    /// By whom.
    pub decided_by: Option<String>,
    /// When it had been carried out.
    pub done_at: Option<DateTime<Utc>>,
}

/// What a plan asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ListedWish {
    /// These recordings are to be erased.
    Erase(Vec<Ulid>),
    /// This hold is to be released.
    Release(u32),
    /// The wall clock is right.
    Clock(ListedJump),
}

/// The jump that a plan says was right.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ListedJump {
    /// What it looked like.
    pub kind: JumpKind,
    /// How far the wall clock was ahead of the archive's own time when it was said to be right, seconds.
    pub ahead_seconds: f64,
}

/// Which plan to approve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApproveRequest {
    /// Its number.
    pub plan: u32,
}

/// Which plan to decline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclineRequest {
    /// Its number.
    pub plan: u32,
    /// Why.
    pub ground: String,
}

/// A line of the answer to an approval, which has one; an answer without it was cut off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApproveEvent {
    /// It was approved and carried out.
    Done(CarriedOut),
    /// It was not approved, or could not be carried out to its end.
    Refused(Problem),
}

/// What became of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CarriedOut {
    /// What became of each recording.
    Erased(ErasedAll),
    /// This hold was released.
    Released(u32),
    /// The clock is believed again.
    Clock,
}

/// What an erasure came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasedAll {
    /// Each recording.
    pub recordings: Vec<ErasedOne>,
    /// Why something is still to be done, though nothing can be read any more; it is tried again at
    /// every sweep.
    pub unfinished: Option<String>,
}

/// What became of a recording that was to be erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasedOne {
    /// The recording.
    pub recording: Ulid,
    /// `erased`, `held`, `not-allowed` or `unknown`.
    pub outcome: String,
    /// What holds it.
    pub hold: Option<u32>,
}

/// What is known of a recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shown {
    /// It is there.
    Recording(Box<Kept>),
    /// It was erased: the certificate.
    Erased(Box<Certificate>),
}

/// A recording that is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// What a search finds of it.
    #[serde(flatten)]
    pub found: Found,
    /// Where it rests.
    pub tier: Tier,
    /// Bytes that it takes there.
    pub stored_bytes: u64,
    /// The last day of the first period, after which it moves to the secondary tier.
    pub primary_last_day: NaiveDate,
    /// The last day of the second period, after which it is erased unless it is held.
    pub last_day: NaiveDate,
    /// What holds it.
    pub holds: Vec<ListedHold>,
}

/// The certificate of erasure: what remains of an erased recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// Its identity.
    pub id: Ulid,
    /// The designated number.
    pub number: String,
    /// The day on which the call began.
    pub day: NaiveDate,
    /// Its length, seconds.
    pub seconds: f64,
    /// Bytes of its WAV file.
    pub wav_bytes: u64,
    /// SHA-256 of its WAV file, hexadecimal.
    pub sha256: String,
    /// Why it was erased: `R6.3`, its periods were over, or the words of the plan.
    pub ground: String,
    /// The application.
    pub application: Option<String>,
    /// The plan.
    pub plan: Option<u32>,
    /// Who asked.
    pub asked_by: Option<String>,
    /// Who approved.
    pub approved_by: Option<String>,
    /// When it was erased: from then on nobody could read it.
    pub erased_at: DateTime<Utc>,
    /// Since when nothing of it is left in any tier.
    pub completed_at: Option<DateTime<Utc>>,
}
