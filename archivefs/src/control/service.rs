//! The daemon's side of the control socket. Knows HTTP and rights; what it answers comes from the
//! modules below. Sizes, times and numbers of requests are bounded. [`life`] has the requests about the
//! life of recordings.

mod life;

use super::api::keeping::{
    self as api_keeping, BackupEvent, BackupRequest, Escrow, EscrowRequest, RotateEvent,
};
use super::api::log::{
    self as api_log, LogCheckpoint, LogEnd, LogEvent, LogRequest, LogRotated, LogVerifyEvent,
    LogVerifyRequest,
};
use super::api::{self, FindRequest, FindResponse, Problem, Status, VerifyEvent, VerifyRequest};
use super::device::Device;
use super::log::keys as keys_of;
use crate::keys::KeyStatus;
use crate::rights::{Action, Actor};
use axum::body::Body;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{
    DefaultBodyLimit, Extension, FromRequest, FromRequestParts, Path as PathOf, Query, Request,
    State,
};
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
    let peer = Peer {
        uid: peer.uid(),
        gid: peer.gid(),
        pid: peer.pid().and_then(|pid| u32::try_from(pid).ok()),
    };
    let identified = axum::middleware::from_fn_with_state(device.clone(), identify);
    let router = router(device).layer(identified).layer(Extension(peer));
    let service = TowerToHyperService::new(router);
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
        .route(api_keeping::KEYS_ROTATE, post(rotate_keys))
        .route(api_keeping::KEYS_ESCROW, post(escrow_keys))
        .route(api_keeping::BACKUP, post(back_up))
        .route(api_log::LOG, get(read_log))
        .route(api_log::LOG_CHECKPOINT, post(issue_checkpoint))
        .route(api_log::LOG_ROTATE, post(rotate_log_key))
        .merge(life::routes())
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(RequestBodyLimitLayer::new(MOST_BODY))
        .merge(large_requests())
        .layer(TimeoutLayer::with_status_code(
            StatusCode::GATEWAY_TIMEOUT,
            PATIENCE,
        ))
        .layer(axum::middleware::map_response(as_problem))
        .with_state(device)
}

/// Those that bring much: who may ask is checked before a body is read.
fn large_requests() -> Router<Arc<Device>> {
    Router::new()
        .route(api_log::LOG_VERIFY, post(verify_log))
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::disable())
        .layer(RequestBodyLimitLayer::new(api_log::MOST_CHECKPOINTS))
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

impl<S, T> FromRequestParts<S> for Understood<PathOf<T>>
where
    S: Send + Sync,
    T: serde::de::DeserializeOwned + Send,
{
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut axum::http::request::Parts,
        state: &S,
    ) -> Result<Self, Problem> {
        let path: Result<PathOf<T>, PathRejection> = PathOf::from_request_parts(parts, state).await;
        path.map(Understood)
            .map_err(|rejection| Problem::bad_request(rejection.body_text()))
    }
}

impl<S: Send + Sync, T: serde::de::DeserializeOwned> FromRequest<S> for Understood<Json<T>> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
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
            let advice = "with many checkpoints: verify a copy, tsuwaroku audit verify --database";
            let detail = "the request is larger than the service takes";
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

/// The other end of a connection, as the kernel tells it.
#[derive(Debug, Clone, Copy)]
struct Peer {
    uid: u32,
    gid: u32,
    pid: Option<u32>,
}

/// Finds out who asks, for each request anew: a connection may live for days, and rights change.
async fn identify(
    State(device): State<Arc<Device>>,
    Extension(peer): Extension<Peer>,
    mut request: Request,
    next: axum::middleware::Next,
) -> Response {
    let account = blocking(move || {
        device
            .accounts
            .get(peer.uid, Instant::now())
            .map_err(|error| {
                let advice = "try again; ask whoever runs the office's accounts";
                let status = StatusCode::SERVICE_UNAVAILABLE;
                Problem::new(status, "no-account", error.to_string(), advice)
            })
    });
    match account.await {
        Ok(account) => {
            let (gid, pid) = (peer.gid, peer.pid);
            request.extensions_mut().insert(Actor { account, gid, pid });
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

fn allow(actor: &Actor, action: Action, device: &Device) -> Result<(), Problem> {
    let asked = device.rights.may(&actor.account, action, None);
    device.log_asked(actor, action, asked);
    asked.map_err(|denied| Problem::denied(&actor.account.name, denied))
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
    Ok(lines(waiting))
}

/// An answer of one JSON text a line, as they come.
fn lines<T: serde::Serialize + Send + 'static>(waiting: mpsc::Receiver<T>) -> Response {
    let lines = ReceiverStream::new(waiting).map(|event| {
        let mut line = serde_json::to_vec(&event)?;
        line.push(b'\n');
        Ok::<_, serde_json::Error>(line)
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    (kind, Body::from_stream(lines)).into_response()
}

async fn read_log(
    State(device): State<Arc<Device>>,
    Extension(actor): Extension<Actor>,
    Understood(Query(request)): Understood<Query<LogRequest>>,
) -> Result<Response, Problem> {
    allow(&actor, Action::ReadLog, &device)?;
    let (reader, asked) = (device.clone(), request.clone());
    let before = blocking(move || reader.begin_reading(&actor, &asked)).await?;
    let (events, waiting) = mpsc::channel(64);
    tokio::spawn(async move {
        let end = match list_log(device, request, before, &events).await {
            Ok(more) => LogEvent::Done(LogEnd { more }),
            Err(problem) => LogEvent::Failed(problem.detail),
        };
        // Whoever asked may have gone away.
        let _ = events.send(end).await;
    });
    Ok(lines(waiting))
}

/// Tells `events` what `request` asks for, and answers whether there may be more. No thread is held
/// while whoever asked is slow to read.
async fn list_log(
    device: Arc<Device>,
    request: LogRequest,
    mut before: u64,
    events: &mpsc::Sender<LogEvent>,
) -> Result<bool, Problem> {
    let mut left = request.limit.unwrap_or(api_log::USUAL_RECORDS);
    while !events.is_closed() {
        let (reader, asked) = (device.clone(), request.clone());
        let page = blocking(move || reader.log_page(&asked, before)).await?;
        for record in page.records {
            if left == 0 {
                return Ok(true);
            }
            left -= 1;
            if events
                .send(LogEvent::Record(Box::new(record)))
                .await
                .is_err()
            {
                return Ok(true);
            }
        }
        match page.before {
            None => return Ok(false),
            Some(_) if left == 0 => return Ok(true),
            Some(next) => before = next,
        }
    }
    Ok(true)
}

async fn verify_log(
    State(device): State<Arc<Device>>,
    Extension(actor): Extension<Actor>,
    request: Request,
) -> Result<Response, Problem> {
    allow(&actor, Action::VerifyLog, &device)?;
    let Understood(Json(request)) =
        Understood::<Json<LogVerifyRequest>>::from_request(request, &()).await?;
    let keys = keys_of(&request)?;
    let (events, waiting) = mpsc::channel::<LogVerifyEvent>(64);
    tokio::task::spawn_blocking(move || device.verify_log(&actor, keys, &request, &events));
    Ok(lines(waiting))
}

async fn issue_checkpoint(
    State(device): State<Arc<Device>>,
    Extension(actor): Extension<Actor>,
) -> Result<Json<LogCheckpoint>, Problem> {
    allow(&actor, Action::VerifyLog, &device)?;
    blocking(move || device.issue_checkpoint(&actor).map(Json)).await
}

async fn rotate_log_key(
    State(device): State<Arc<Device>>,
    Extension(actor): Extension<Actor>,
) -> Result<Json<LogRotated>, Problem> {
    allow(&actor, Action::RotateLogKey, &device)?;
    blocking(move || device.rotate_log_key(&actor).map(Json)).await
}

async fn rotate_keys(
    State(device): State<Arc<Device>>,
    Extension(actor): Extension<Actor>,
) -> Result<Response, Problem> {
    allow(&actor, Action::RotateKeys, &device)?;
    let (events, waiting) = mpsc::channel::<RotateEvent>(1);
    tokio::task::spawn_blocking(move || device.rotate_keys(&actor, &events));
    Ok(lines(waiting))
}

async fn escrow_keys(
    State(device): State<Arc<Device>>,
    Extension(actor): Extension<Actor>,
    Understood(Json(request)): Understood<Json<EscrowRequest>>,
) -> Result<Json<Escrow>, Problem> {
    allow(&actor, Action::EscrowKeys, &device)?;
    blocking(move || device.escrow_keys(&actor, &request).map(Json)).await
}

async fn back_up(
    State(device): State<Arc<Device>>,
    Extension(actor): Extension<Actor>,
    Understood(Json(request)): Understood<Json<BackupRequest>>,
) -> Result<Response, Problem> {
    allow(&actor, Action::BackUp, &device)?;
    let (events, waiting) = mpsc::channel::<BackupEvent>(64);
    tokio::task::spawn_blocking(move || device.back_up(&actor, &request, &events));
    Ok(lines(waiting))
}
