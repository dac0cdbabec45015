//! Errors as problem details (RFC 9457): what failed, and what to do about it.

use super::api::Problem;
use crate::catalogue::{CatalogueError, Refused};
use crate::keys::KeyError;
use crate::life::LifeError;
use crate::rights::Denied;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use ulid::Ulid;

impl Problem {
    /// An error of this `kind`, one word for programs.
    pub(super) fn new(
        status: StatusCode,
        kind: &str,
        detail: impl Into<String>,
        advice: &str,
    ) -> Self {
        Self {
            kind: format!("urn:tsuwaroku:{kind}"),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            advice: advice.to_owned(),
        }
    }

    /// The daemon itself cannot.
    fn internal(kind: &str, error: &dyn std::error::Error) -> Self {
        let advice = "look into the daemon's log: journalctl -u tsuwaroku";
        let internal = StatusCode::INTERNAL_SERVER_ERROR;
        Self::new(internal, kind, error.to_string(), advice)
    }

    /// The request makes no sense.
    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        let advice = "see tsuwaroku-control(7) for what the service understands";
        Self::new(StatusCode::BAD_REQUEST, "bad-request", detail, advice)
    }

    /// `name` has no right to it.
    pub(super) fn denied(name: &str, denied: Denied) -> Self {
        let advice = match denied {
            Denied::Caretaker | Denied::Impersonal => {
                "ask as a person, with an account of your own"
            }
            Denied::NoRole => "ask the device manager to enter the account under [roles]",
            Denied::NotAReader => "ask somebody who is, or to be taken into the group",
        };
        let detail = format!("{name}: {denied}");
        Self::new(StatusCode::FORBIDDEN, "not-allowed", detail, advice)
    }

    /// The recording `id` is past its last day, and so not there for anybody.
    pub(super) fn over(id: Ulid) -> Self {
        let detail = format!("the recording {id} is past its last day");
        let advice =
            "the next sweep erases it, unless a hold by search holds it: tsuwaroku hold list";
        Self::new(StatusCode::GONE, "over", detail, advice)
    }

    /// What was asked for stands against how things are.
    fn conflict(kind: &str, detail: impl Into<String>, advice: &str) -> Self {
        Self::new(StatusCode::CONFLICT, kind, detail, advice)
    }
}

/// `wanted` was never designated.
pub(super) fn no_such_number(wanted: &str) -> Problem {
    let detail = format!("'{}' was never designated", wanted.escape_default());
    let advice = "see the table of numbers: tsuwaroku config show";
    Problem::new(StatusCode::NOT_FOUND, "no-such-number", detail, advice)
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        (
            status,
            kind,
            serde_json::to_string(&self).unwrap_or_default(),
        )
            .into_response()
    }
}

impl From<CatalogueError> for Problem {
    fn from(error: CatalogueError) -> Self {
        match error {
            CatalogueError::Refused(refused) => refused.into(),
            CatalogueError::Erased(id) => {
                let detail = format!("the recording {id} was erased");
                let advice = "its certificate: tsuwaroku show, with its identity";
                Self::new(StatusCode::GONE, "erased", detail, advice)
            }
            error => Self::internal("catalogue", &error),
        }
    }
}

/// What the rules of the life of recordings do not let happen.
impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let missing =
            |kind, what: String, advice| Self::new(StatusCode::NOT_FOUND, kind, what, advice);
        match refused {
            Refused::NoRecording(id) => missing(
                "no-such-recording",
                format!("there is no recording {id}"),
                "search for it: tsuwaroku find --help",
            ),
            Refused::Held { recording, hold } => Self::conflict(
                "held",
                format!("the recording {recording} is held by {hold}, and is not erased"),
                "see why: tsuwaroku hold list; where the ground is gone: tsuwaroku hold release",
            ),
            Refused::NoHold(hold) => missing(
                "no-such-hold",
                format!("there is no hold {hold} in force"),
                "see which there are: tsuwaroku hold list",
            ),
            Refused::NoPlan(plan) => missing(
                "no-such-plan",
                format!("there is no plan {plan}"),
                "see which there are: tsuwaroku plans",
            ),
            Refused::State { plan, state } => Self::conflict(
                "decided",
                format!("the plan {plan} is {state}"),
                "see by whom: tsuwaroku plans --all",
            ),
            Refused::OwnPlan(plan) => Self::new(
                StatusCode::FORBIDDEN,
                "own-plan",
                format!("nobody approves what they asked for, as with the plan {plan}"),
                "ask another administrator",
            ),
            Refused::NoJump => Self::conflict(
                "clock-not-frozen",
                "the clock has not jumped, or has jumped otherwise since",
                "see how it is: tsuwaroku clock status",
            ),
            Refused::OtherClock => Self::conflict(
                "clock-changed",
                "the wall clock was set again since somebody said that it is right",
                "set it right, and ask anew: tsuwaroku clock confirm",
            ),
            Refused::Boundless | Refused::NoGround | Refused::Empty | Refused::OtherPlan(_) => {
                Self::bad_request(refused.to_string())
            }
        }
    }
}

impl From<LifeError> for Problem {
    fn from(error: LifeError) -> Self {
        match error {
            LifeError::Catalogue(error) => error.into(),
            LifeError::Key(error) => error.into(),
            LifeError::Frozen(_) => Self::conflict(
                "clock-frozen",
                "the clock has jumped: nothing is moved or erased by the age of recordings",
                "see how: tsuwaroku clock status; if it is right: tsuwaroku clock confirm",
            ),
            error => Self::internal("life", &error),
        }
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        Self::internal("keys", &error)
    }
}
