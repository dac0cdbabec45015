//! The daemon's side of the control socket. Knows HTTP and rights; what it answers comes from the
//! modules below. Sizes, times and numbers of requests are bounded.

use super::actor::{Action, Actor, may};
use super::api::{
    self, FindRequest, FindResponse, Found, Problem, Status, VerifyEvent, VerifyRequest,
};
use crate::call::time_of;
use crate::catalogue::{Catalogue, CatalogueError, Filter, Recording};
use crate::day::Day;
use crate::findings::Findings;
use crate::ingest;
use crate::keys::KeyStatus;
use crate::vault::Vault;
use crate::verify::{self, Event};
use crate::views::{Tree, file_name, top_name};
use axum::body::Body;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Extension, FromRequest, FromRequestParts, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::collections::HashMap;
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;
use tsuwaroku_config::Config;
use tsuwaroku_spool::read::Reader;

/// Largest request body, bytes.
const MOST_BODY: usize = 64 * 1024;
/// Connections at a time.
const MOST_CONNECTIONS: usize = 64;
/// Longest time for a request's head, and for an answer that is not a stream.
const PATIENCE: Duration = Duration::from_secs(30);
/// Recordings in an answer when the request does not say.
const USUAL_LIMIT: u32 = 100;
/// Threads of a verification: half of the machine stays for the staff.
const VERIFY_THREADS: usize = 2;

/// What the service answers from.
pub struct Device {
    /// The configuration.
    pub config: Config,
    /// The catalogue.
    pub catalogue: Arc<Catalogue>,
    /// The objects and their keys.
    pub vault: Vault,
    /// What is wrong with files.
    pub findings: Arc<Findings>,
    /// The spool.
    pub spool: Reader,
    /// How ingest goes.
    pub ingest: Arc<ingest::Progress>,
    /// Whether the mount answers.
    pub mounted: Arc<AtomicBool>,
    /// When the daemon was started.
    pub since: DateTime<Utc>,
    /// The daemon's account.
    pub own: u32,
}

/// Serves connections until the task is dropped.
pub async fn serve(listener: UnixListener, device: Arc<Device>) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
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
    let actor = Actor::new(peer.uid(), peer.gid(), peer.pid());
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
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, PATIENCE))
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
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "another daemon listens there"));
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

// ---- answers ----

impl Problem {
    fn new(status: StatusCode, kind: &str, detail: impl Into<String>, advice: &str) -> Self {
        Self {
            kind: format!("urn:tsuwaroku:{kind}"),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            advice: advice.to_owned(),
        }
    }

    fn bad_request(detail: impl Into<String>) -> Self {
        let advice = "see tsuwaroku-control(7) for what the service understands";
        Self::new(StatusCode::BAD_REQUEST, "bad-request", detail, advice)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        (status, kind, serde_json::to_string(&self).unwrap_or_default()).into_response()
    }
}

impl From<CatalogueError> for Problem {
    fn from(error: CatalogueError) -> Self {
        let advice = "look into the daemon's log: journalctl -u tsuwaroku";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "catalogue", error.to_string(), advice)
    }
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
        query.map(Understood).map_err(|rejection| Problem::bad_request(rejection.body_text()))
    }
}

impl<S: Send + Sync, T: serde::de::DeserializeOwned> FromRequest<S> for Understood<Json<T>> {
    type Rejection = Problem;

    async fn from_request(request: axum::extract::Request, state: &S) -> Result<Self, Problem> {
        let json: Result<Json<T>, JsonRejection> = Json::from_request(request, state).await;
        json.map(Understood).map_err(|rejection| Problem::bad_request(rejection.body_text()))
    }
}

async fn unknown() -> Problem {
    let advice = "is the command of the same version as the daemon?";
    Problem::new(StatusCode::NOT_FOUND, "unknown", "there is no such request", advice)
}

async fn wrong_method() -> Problem {
    let advice = "see tsuwaroku-control(7) for what may be asked how";
    let status = StatusCode::METHOD_NOT_ALLOWED;
    Problem::new(status, "wrong-method", "this cannot be asked in this way", advice)
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

fn allow(actor: &Actor, action: Action, device: &Device) -> Result<(), Problem> {
    may(actor, action, &device.config.roles, device.own).map_err(|reason| {
        log::warn!("{action:?} refused: {reason} (uid {}, pid {:?})", actor.uid, actor.pid);
        let advice = "ask the device manager to enter the account under [roles]";
        Problem::new(StatusCode::FORBIDDEN, "not-allowed", reason, advice)
    })
}

/// Runs what waits for disks where it does not hold up others.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        let advice = "this is a fault of the program: report it with the daemon's log";
        let internal = StatusCode::INTERNAL_SERVER_ERROR;
        Err(Problem::new(internal, "internal", error.to_string(), advice))
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
    log::info!("{} (uid {}) searches: {request:?}", actor.name, actor.uid);
    blocking(move || device.find(&request).map(Json)).await
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
    log::info!("{} (uid {}) verifies: {request:?}", actor.name, actor.uid);
    let filter = device.verify_filter(&request)?;
    let (events, waiting) = mpsc::channel::<VerifyEvent>(64);
    tokio::task::spawn_blocking(move || device.verify(&filter, &events));
    let lines = ReceiverStream::new(waiting).map(|event| {
        let mut line = serde_json::to_vec(&event)?;
        line.push(b'\n');
        Ok::<_, serde_json::Error>(line)
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::from_stream(lines)).into_response())
}

impl Device {
    fn status(&self) -> Result<Status, Problem> {
        let totals = self.catalogue.totals()?;
        let ingest = self.ingest.get();
        let spool = |error: tsuwaroku_spool::SpoolError| {
            let advice = "check the spool's directory and its disk";
            let internal = StatusCode::INTERNAL_SERVER_ERROR;
            Problem::new(internal, "spool", error.to_string(), advice)
        };
        let quarantined = self.spool.quarantined().map_err(spool)?;
        Ok(Status {
            archive: self.catalogue.birth().archive,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            since: self.since,
            mount: self.config.archive.mount.display().to_string(),
            mounted: self.mounted.load(Ordering::Relaxed),
            recordings: totals.recordings,
            seconds: totals.nanoseconds as f64 / 1e9,
            wav_bytes: totals.wav_bytes,
            stored_bytes: totals.stored_bytes,
            free_bytes: free_bytes(&self.config.archive.root),
            newest: totals.newest.map(time_of),
            waiting: self.spool.ready().map_err(spool)?.len() as u64,
            archived: ingest.archived,
            trouble: ingest.trouble.map(|(at, reason)| api::Trouble { at: at.into(), reason }),
            findings: self.findings.list()?.into_iter().map(|(_, finding)| finding).collect(),
            quarantined: quarantined
                .into_iter()
                .map(|entry| api::Quarantined {
                    name: entry.name,
                    bytes: entry.bytes,
                    reason: entry.reason,
                    since: entry.since.into(),
                })
                .collect(),
        })
    }

    fn find(&self, request: &FindRequest) -> Result<FindResponse, Problem> {
        let numbers: HashMap<_, _> =
            self.catalogue.numbers()?.into_iter().map(|n| (n.id, n.number)).collect();
        let number = match &request.number {
            None => None,
            Some(wanted) => Some(*numbers.iter().find(|(_, number)| *number == wanted).map_or_else(
                || {
                    let detail = format!("'{}' was never designated", wanted.escape_default());
                    let advice = "see the table of numbers: tsuwaroku config show";
                    Err(Problem::new(StatusCode::NOT_FOUND, "no-such-number", detail, advice))
                },
                |(id, _)| Ok(id),
            )?),
        };
        let limit = request.limit.unwrap_or(USUAL_LIMIT).clamp(1, api::MOST_FOUND);
        let filter = Filter {
            number,
            start: span(request.from, request.to),
            other_party: request.other_party.clone(),
            length: lengths(request.min_seconds, request.max_seconds)?,
            id: None,
            after: match request.after {
                Some(id) => Some(self.recording(id)?.key),
                None => None,
            },
        };
        let mut found = self.catalogue.find(&filter, limit + 1)?;
        let more = found.len() > limit as usize;
        found.truncate(limit as usize);
        let name = |recording: &Recording| numbers.get(&recording.number).cloned();
        let recordings = found
            .iter()
            .map(|recording| self.found(recording, name(recording).unwrap_or_default()))
            .collect();
        Ok(FindResponse { recordings, more })
    }

    fn recording(&self, id: ulid::Ulid) -> Result<Recording, Problem> {
        self.catalogue.by_id(id)?.ok_or_else(|| {
            let detail = format!("there is no recording {id}");
            let advice = "search for it: tsuwaroku find --help";
            Problem::new(StatusCode::NOT_FOUND, "no-such-recording", detail, advice)
        })
    }

    fn found(&self, recording: &Recording, number: String) -> Found {
        let zone = self.catalogue.birth().time_zone;
        let day = Day::of(time_of(recording.key.milliseconds() * 1_000_000), zone);
        let path: PathBuf = [
            top_name(Tree::ByDate, self.config.archive.names),
            &format!("{:04}/{:02}/{:02}", day.year(), day.month(), day.day()),
            &number,
            &file_name(recording, zone),
        ]
        .iter()
        .collect();
        let rate = f64::from(recording.layout.rate.max(1));
        Found {
            id: recording.id,
            number,
            start: time_of(recording.started_at),
            seconds: recording.frames as f64 / rate,
            direction: recording.direction,
            other_party: recording.other_party.clone(),
            rate: recording.layout.rate,
            channels: recording.layout.channels,
            encoding: recording.layout.encoding,
            gap_seconds: recording.gap_frames as f64 / rate,
            end: recording.end_reason,
            sha256: recording.sealed.wav_sha256.iter().fold(String::new(), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            }),
            path: path.display().to_string(),
        }
    }

    fn verify_filter(&self, request: &VerifyRequest) -> Result<Filter, Problem> {
        let id = match request.recording {
            Some(id) => Some(self.recording(id)?.id),
            None => None,
        };
        Ok(Filter { start: span(request.from, request.to), id, ..Filter::default() })
    }

    fn verify(&self, filter: &Filter, events: &mpsc::Sender<VerifyEvent>) {
        let mut last = verify::Progress::default();
        let mut tell = |event: Event| match event {
            Event::Progress(progress) => {
                // A caller that reads slowly misses steps, not findings.
                last = progress;
                let _ = events.try_send(VerifyEvent::Progress(progress));
                !events.is_closed()
            }
            Event::Finding(finding) => {
                self.findings.enter(&finding);
                events.blocking_send(VerifyEvent::Finding(finding)).is_ok()
            }
        };
        let outcome =
            verify::verify(&self.catalogue, &self.vault, filter, VERIFY_THREADS, &mut tell);
        let end = match outcome {
            Ok(()) => VerifyEvent::Done(last),
            Err(error) => VerifyEvent::Failed(error.to_string()),
        };
        // Whoever asked may have gone away.
        let _ = events.blocking_send(end);
    }

    fn keys(&self) -> Result<KeyStatus, Problem> {
        self.vault.keys().status().map_err(|error| {
            let advice = "look into the daemon's log: journalctl -u tsuwaroku";
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "keys", error.to_string(), advice)
        })
    }
}

fn span(
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
) -> Option<std::ops::Range<i64>> {
    if from.is_none() && to.is_none() {
        return None;
    }
    let end = |time: Option<DateTime<Utc>>, open| time.map_or(open, |t| t.timestamp_millis());
    Some(end(from, 0)..end(to, i64::MAX))
}

fn lengths(
    min: Option<f64>,
    max: Option<f64>,
) -> Result<Option<std::ops::RangeInclusive<i64>>, Problem> {
    if min.is_none() && max.is_none() {
        return Ok(None);
    }
    let nanoseconds = |seconds: f64| (seconds * 1e9) as i64;
    let (min, max) = (min.unwrap_or(0.0), max.unwrap_or(f64::from(u32::MAX)));
    if !(min.is_finite() && max.is_finite() && 0.0 <= min && min <= max) {
        return Err(Problem::bad_request("the lengths are not a span: 0 ≤ least ≤ most"));
    }
    Ok(Some(nanoseconds(min)..=nanoseconds(max)))
}

/// Bytes free for the daemon on the disk of `path`; 0 if the disk does not say.
fn free_bytes(path: &Path) -> u64 {
    nix::sys::statvfs::statvfs(path)
        .map_or(0, |disk| disk.blocks_available() * disk.fragment_size())
}
