//! Errors as problem details (RFC 9457): what failed, and what to do about it.

use super::api::Problem;
use crate::catalogue::CatalogueError;
use crate::keys::KeyError;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

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
        Self::internal("catalogue", &error)
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        Self::internal("keys", &error)
    }
}
