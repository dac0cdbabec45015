//! The daemon's side of the control socket. Knows HTTP and rights; what it answers comes from the
//! modules below. Sizes, times and numbers of requests are bounded.

use super::api::{self, FindRequest, FindResponse, Problem, Status, VerifyEvent, VerifyRequest};
use super::device::Device;
use crate::accounts::Account;
use crate::keys::KeyStatus;
use crate::rights::{Action, Actor};
use axum::body::Body;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Extension, FromRequest, FromRequestParts, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;

/// Largest request body, bytes.
const MOST_BODY: usize = 64 * 1024;
/// Connections at a time.
const MOST_CONNECTIONS: usize = 64;
/// Longest time for a request's head, and for an answer that is not a stream.
const PATIENCE: Duration = Duration::from_secs(30);

/// Serves connections until the task is dropped.
pub async fn serve(listener: UnixListener, device: Arc<Device>) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let device = device.clone();
                tokio::spawn(async move {
                    if let Err(error) = connection(stream, device).await {
                        log::debug!("control connection: {error}");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                log::error!("the control socket cannot accept: {error}");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn connection(
    stream: UnixStream,
    device: Arc<Device>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let peer = stream.peer_cred()?;
    let actor = Actor {
        // The name service may have to be asked.
        account: blocking_account(&device, peer.uid()).await?,
        gid: peer.gid(),
        pid: peer.pid().and_then(|pid| u32::try_from(pid).ok()),
    };
    let service = TowerToHyperService::new(router(device).layer(Extension(actor)));
    hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), service)
        .await?;
    Ok(())
}

fn router(device: Arc<Device>) -> Router {
    Router::new()
        .route(api::STATUS, get(status))
        .route(api::RECORDINGS, get(find))
        .route(api::VERIFY, post(verify))
        .route(api::KEYS, get(keys))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(RequestBodyLimitLayer::new(MOST_BODY))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::GATEWAY_TIMEOUT,
            PATIENCE,
        ))
        .layer(axum::middleware::map_response(as_problem))
        .with_state(device)
}

/// A socket at `path` that everybody may ask through; one that nobody listens on any more is
/// replaced.
pub fn listen(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    use std::os::unix::fs::PermissionsExt;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "another daemon listens there",
        ));
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = std::os::unix::net::UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    // Anybody may ask; who they are decides what they are answered.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
    Ok(listener)
}

/// A query or a body that is understood, or a problem that says what is not.
struct Understood<T>(T);

impl<S: Send + Sync, T: serde::de::DeserializeOwned> FromRequestParts<S> for Understood<Query<T>> {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut axum::http::request::Parts,
        state: &S,
    ) -> Result<Self, Problem> {
        let query: Result<Query<T>, QueryRejection> = Query::from_request_parts(parts, state).await;
        query
            .map(Understood)
            .map_err(|rejection| Problem::bad_request(rejection.body_text()))
    }
}

impl<S: Send + Sync, T: serde::de::DeserializeOwned> FromRequest<S> for Understood<Json<T>> {
    type Rejection = Problem;

    async fn from_request(request: axum::extract::Request, state: &S) -> Result<Self, Problem> {
        let json: Result<Json<T>, JsonRejection> = Json::from_request(request, state).await;
        json.map(Understood)
            .map_err(|rejection| Problem::bad_request(rejection.body_text()))
    }
}

async fn unknown() -> Problem {
    let advice = "is the command of the same version as the daemon?";
    Problem::new(
        StatusCode::NOT_FOUND,
        "unknown",
        "there is no such request",
        advice,
    )
}

async fn wrong_method() -> Problem {
    let advice = "see tsuwaroku-control(7) for what may be asked how";
    let status = StatusCode::METHOD_NOT_ALLOWED;
    Problem::new(
        status,
        "wrong-method",
        "this cannot be asked in this way",
        advice,
    )
}

/// The refusals of the layers below are problems too.
async fn as_problem(response: Response) -> Response {
    match response.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let advice = "no request needs to be that large";
            let detail = format!("the request is larger than {MOST_BODY} bytes");
            let status = StatusCode::PAYLOAD_TOO_LARGE;
            Problem::new(status, "too-large", detail, advice).into_response()
        }
        StatusCode::GATEWAY_TIMEOUT => {
            let advice = "try again; if it stays so, look into the daemon's log";
            let detail = format!("there was no answer within {} s", PATIENCE.as_secs());
            Problem::new(StatusCode::GATEWAY_TIMEOUT, "timeout", detail, advice).into_response()
        }
        _ => response,
    }
}

async fn blocking_account(device: &Arc<Device>, uid: u32) -> io::Result<Arc<Account>> {
    let device = device.clone();
    let known = move || device.accounts.get(uid, Instant::now());
    Ok(tokio::task::spawn_blocking(known).await?)
}

fn allow(actor: &Actor, action: Action, device: &Device) -> Result<(), Problem> {
    let asked = device.rights.may(&actor.account, action, None);
    device.log_asked(actor, action, &asked);
    asked.map_err(|reason| {
        let reason = format!("{}: {reason}", actor.account.name);
        let advice = "ask the device manager to enter the account under [roles]";
        Problem::new(StatusCode::FORBIDDEN, "not-allowed", reason, advice)
    })
}

/// Runs what waits for disks where it does not hold up others.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| {
            let advice = "this is a fault of the program: report it with the daemon's log";
            let internal = StatusCode::INTERNAL_SERVER_ERROR;
            Err(Problem::new(
                internal,
                "internal",
                error.to_string(),
                advice,
            ))
        })
}

async fn status(
    State(device): State<Arc<Device>>,
    Extension(actor): Extension<Actor>,
) -> Result<Json<Status>, Problem> {
    allow(&actor, Action::Status, &device)?;
    blocking(move || device.status().map(Json)).await
}

async fn find(
    State(device): State<Arc<Device>>,
    Extension(actor): Extension<Actor>,
    Understood(Query(request)): Understood<Query<FindRequest>>,
) -> Result<Json<FindResponse>, Problem> {
    allow(&actor, Action::Find, &device)?;
    blocking(move || device.find(&actor, &request).map(Json)).await
}

async fn keys(
    State(device): State<Arc<Device>>,
    Extension(actor): Extension<Actor>,
) -> Result<Json<KeyStatus>, Problem> {
    allow(&actor, Action::Keys, &device)?;
    blocking(move || device.keys().map(Json)).await
}

async fn verify(
    State(device): State<Arc<Device>>,
    Extension(actor): Extension<Actor>,
    Understood(Json(request)): Understood<Json<VerifyRequest>>,
) -> Result<Response, Problem> {
    allow(&actor, Action::Verify, &device)?;
    let filter = device.verify_filter(&request)?;
    let (events, waiting) = mpsc::channel::<VerifyEvent>(64);
    tokio::task::spawn_blocking(move || device.verify(&filter, request.metadata, &events));
    let lines = ReceiverStream::new(waiting).map(|event| {
        let mut line = serde_json::to_vec(&event)?;
        line.push(b'\n');
        Ok::<_, serde_json::Error>(line)
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::from_stream(lines)).into_response())
}
