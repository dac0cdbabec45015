//! The requests about the life of recordings: holds, plans, sweeps, certificates, the clock. Who may ask at
//! all is decided here, for which lines in `control::life`.

use super::super::api::Problem;
use super::super::api::life::{
    self as api, ApproveRequest, ClockStatus, DeclineRequest, Filed, HoldRequest, ListRequest,
    ListedHold, ListedPlan, Placed, PlanRequest, Shown,
};
use super::super::api::sweep::SWEEP;
use super::super::device::Device;
use super::{PathOf, Understood, allow, blocking, lines};
use crate::rights::{Action, Actor};
use axum::extract::{Extension, Query, State};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use std::sync::Arc;
use tokio::sync::mpsc;
use ulid::Ulid;

/// The paths of these requests.
pub(super) fn routes() -> Router<Arc<Device>> {
    Router::new()
        .route(api::RECORDING, get(show))
        .route(api::HOLDS, get(holds).post(hold))
        .route(api::PLANS, get(plans).post(ask))
        .route(api::APPROVE, post(approve))
        .route(api::DECLINE, post(decline))
        .route(SWEEP, get(due).post(sweep))
        .route(api::CLOCK, get(clock))
}

async fn show(
    State(device): State<Arc<Device>>,
    Extension(actor): Extension<Actor>,
    Understood(PathOf(id)): Understood<PathOf<Ulid>>,
) -> Result<Json<Shown>, Problem> {
    allow(&actor, Action::Plans, &device)?;
    blocking(move || device.show(&actor, id).map(Json)).await
}

async fn holds(
    State(device): State<Arc<Device>>,
    Extension(actor): Extension<Actor>,
    Understood(Query(request)): Understood<Query<ListRequest>>,
) -> Result<Json<Vec<ListedHold>>, Problem> {
    allow(&actor, Action::Plans, &device)?;
    blocking(move || device.holds(&actor, request).map(Json)).await
}

async fn hold(
    State(device): State<Arc<Device>>,
    Extension(actor): Extension<Actor>,
    Understood(Json(request)): Understood<Json<HoldRequest>>,
) -> Result<Json<Placed>, Problem> {
    allow(&actor, Action::Hold, &device)?;
    blocking(move || device.hold(&actor, &request).map(Json)).await
}

async fn plans(
    State(device): State<Arc<Device>>,
    Extension(actor): Extension<Actor>,
    Understood(Query(request)): Understood<Query<ListRequest>>,
) -> Result<Json<Vec<ListedPlan>>, Problem> {
    allow(&actor, Action::Plans, &device)?;
    blocking(move || device.plans(&actor, request).map(Json)).await
}

async fn ask(
    State(device): State<Arc<Device>>,
    Extension(actor): Extension<Actor>,
    Understood(Json(request)): Understood<Json<PlanRequest>>,
) -> Result<Json<Filed>, Problem> {
    allow(&actor, request.wish.action(), &device)?;
    blocking(move || device.ask(&actor, &request).map(Json)).await
}

/// Answered in a line: what is erased may be much.
async fn approve(
    State(device): State<Arc<Device>>,
    Extension(actor): Extension<Actor>,
    Understood(Json(request)): Understood<Json<ApproveRequest>>,
) -> Result<Response, Problem> {
    allow(&actor, Action::Approve, &device)?;
    let (events, waiting) = mpsc::channel(1);
    tokio::task::spawn_blocking(move || {
        // Whoever asked may have gone away.
        let _ = events.blocking_send(device.approve(&actor, request));
    });
    Ok(lines(waiting))
}

async fn decline(
    State(device): State<Arc<Device>>,
    Extension(actor): Extension<Actor>,
    Understood(Json(request)): Understood<Json<DeclineRequest>>,
) -> Result<Json<ListedPlan>, Problem> {
    allow(&actor, Action::Approve, &device)?;
    blocking(move || device.decline(&actor, &request).map(Json)).await
}

/// No thread is held while whoever asked is slow to read.
async fn due(
    State(device): State<Arc<Device>>,
    Extension(actor): Extension<Actor>,
) -> Result<Response, Problem> {
    allow(&actor, Action::Oversee, &device)?;
    let due = blocking(move || device.due()).await?;
    let (events, waiting) = mpsc::channel(64);
    tokio::spawn(async move {
        for event in due {
            if events.send(event).await.is_err() {
                return;
            }
        }
    });
    Ok(lines(waiting))
}

async fn sweep(
    State(device): State<Arc<Device>>,
    Extension(actor): Extension<Actor>,
) -> Result<Response, Problem> {
    allow(&actor, Action::Sweep, &device)?;
    let (events, waiting) = mpsc::channel(64);
    tokio::task::spawn_blocking(move || device.sweep(&actor, &events));
    Ok(lines(waiting))
}

async fn clock(
    State(device): State<Arc<Device>>,
    Extension(actor): Extension<Actor>,
) -> Result<Json<ClockStatus>, Problem> {
    allow(&actor, Action::Status, &device)?;
    blocking(move || Ok(Json(device.clock()))).await
}
