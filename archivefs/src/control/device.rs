//! What the service answers from, and the answers: no HTTP here.

use super::api::{
    self, FindRequest, FindResponse, Found, Problem, Status, VerifyEvent, VerifyRequest,
};
use crate::accounts::Accounts;
use crate::audit::{Draft, Event as Logged, Outcome, Who};
use crate::call::time_of;
use crate::catalogue::{Catalogue, Filter, Number, Recording};
use crate::checkpoints::Checkpoints;
use crate::clock::now;
use crate::crypto::hex;
use crate::day::Day;
use crate::findings::Findings;
use crate::fs::Owners;
use crate::ingest;
use crate::keys::KeyStatus;
use crate::life::Life;
use crate::refusals::Refusals;
use crate::rights::{Action, Actor, Denied, Rights};
use crate::vault::Vault;
use crate::verify::{self, Event};
use crate::views::{Tree, file_name, top_name};
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc;
use tsuwaroku_config::Config;
use tsuwaroku_spool::read::Reader;

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
    /// The spools: that of the capture daemon, that of imports.
    pub spools: Vec<Reader>,
    /// How ingest goes.
    pub ingest: Arc<ingest::Progress>,
    /// Whether the mount answers.
    pub mounted: Arc<AtomicBool>,
    /// When the daemon was started.
    pub since: DateTime<Utc>,
    /// Who may do what.
    pub rights: Arc<Rights>,
    /// Who an account is.
    pub accounts: Arc<Accounts>,
    /// The groups that may read each line.
    pub owners: Owners,
    /// How refusals are logged.
    pub refusals: Arc<Refusals>,
    /// The log's checkpoints.
    pub checkpoints: Arc<Checkpoints>,
    /// What happens to recordings as they age.
    pub life: Arc<Life>,
}

impl Device {
    /// How the device is.
    pub(super) fn status(&self) -> Result<Status, Problem> {
        let totals = self.catalogue.totals()?;
        let ingest = self.ingest.get();
        let spool = |error: tsuwaroku_spool::SpoolError| {
            let advice = "check the spool's directory and its disk";
            let internal = StatusCode::INTERNAL_SERVER_ERROR;
            Problem::new(internal, "spool", error.to_string(), advice)
        };
        let (mut waiting, mut quarantined) = (0, Vec::new());
        for from in &self.spools {
            waiting += from.ready().map_err(spool)?.len() as u64;
            quarantined.extend(from.quarantined().map_err(spool)?);
        }
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
            waiting,
            archived: ingest.archived,
            trouble: ingest.trouble.map(|(at, reason)| api::Trouble {
                at: at.into(),
                reason,
            }),
            findings: self
                .findings
                .list()?
                .into_iter()
                .map(|(_, finding)| finding)
                .collect(),
            quarantined: quarantined
                .into_iter()
                .map(|entry| api::Quarantined {
                    name: entry.name,
                    bytes: entry.bytes,
                    reason: entry.reason,
                    since: entry.since.into(),
                })
                .collect(),
            log: self.log_status()?,
            life: self.life_status()?,
        })
    }

    /// Logs that `actor` asked for `action`, and what came of it. Looking at the device's state is no
    /// operation, unless it was refused; what has a record of its own needs no other.
    pub(super) fn log_asked(&self, actor: &Actor, action: Action, asked: Result<(), Denied>) {
        let draft = |how| Draft::new(now(), Logged::Control, how).by(who(actor));
        match asked {
            Ok(()) if is_logged_otherwise(action) => {}
            Ok(()) => {
                let draft = draft(Outcome::Done).with("action", action.word());
                self.catalogue.log_later(draft);
            }
            Err(reason) => {
                let draft = draft(Outcome::Refused).with("action", action.word());
                self.refusals.log(draft.with("reason", reason));
            }
        }
    }

    /// A page of recordings, of the lines that `actor` may list; the search is logged before it is
    /// answered.
    pub(super) fn find(
        &self,
        actor: &Actor,
        request: &FindRequest,
    ) -> Result<FindResponse, Problem> {
        let all = self.catalogue.numbers()?;
        let lines = all.len();
        let may_list = |number: &Number| {
            let group = self.owners.readers_of(&number.number);
            let may = self.rights.may(&actor.account, Action::List, Some(group));
            may.is_ok()
        };
        let numbers: HashMap<_, _> = all
            .into_iter()
            .filter(may_list)
            .map(|n| (n.id, n.number))
            .collect();
        self.catalogue.log(search(actor, request))?;
        let number = match &request.number {
            None => None,
            Some(wanted) => Some(
                *numbers
                    .iter()
                    .find(|(_, number)| *number == wanted)
                    .map_or_else(
                        || {
                            let wanted = wanted.escape_default();
                            let detail = format!(
                                "'{wanted}' was never designated, or {} may not list it",
                                actor.account.name
                            );
                            let advice = "see the table of numbers: tsuwaroku config show";
                            Err(Problem::new(
                                StatusCode::NOT_FOUND,
                                "no-such-number",
                                detail,
                                advice,
                            ))
                        },
                        |(id, _)| Ok(id),
                    )?,
            ),
        };
        let limit = request
            .limit
            .unwrap_or(USUAL_LIMIT)
            .clamp(1, api::MOST_FOUND);
        let filter = Filter {
            number,
            among: (numbers.len() < lines).then(|| numbers.keys().copied().collect()),
            start: span(request.from, request.to),
            other_party: request.other_party.clone(),
            length: lengths(request.min_seconds, request.max_seconds)?,
            id: request.id,
            after: match request.after {
                Some(id) => Some(self.recording(id)?.key),
                None => None,
            },
        };
        let mut found = self.catalogue.shown().find(&filter, limit + 1)?;
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

    /// `recording`, of the line `number`, as a search finds it.
    pub(super) fn found(&self, recording: &Recording, number: String) -> Found {
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
            sha256: hex(&recording.sealed.wav_sha256),
            path: path.display().to_string(),
        }
    }

    /// What a verification shall look at.
    pub(super) fn verify_filter(&self, request: &VerifyRequest) -> Result<Filter, Problem> {
        let id = match request.recording {
            Some(id) => Some(self.recording(id)?.id),
            None => None,
        };
        Ok(Filter {
            start: span(request.from, request.to),
            id,
            ..Filter::default()
        })
    }

    /// Verifies what `filter` asks for, or the `metadata` of everything, and tells `events`; the last
    /// one says how it ended.
    pub(super) fn verify(
        &self,
        filter: &Filter,
        metadata: bool,
        events: &mpsc::Sender<VerifyEvent>,
    ) {
        let mut last = verify::Progress::default();
        let mut tell = |event: Event| match event {
            Event::Progress(progress) => {
                // A caller that reads slowly misses steps, not findings.
                last = progress;
                let _ = events.try_send(VerifyEvent::Progress(progress));
                !events.is_closed()
            }
            Event::Good(id) => {
                self.findings.clear_recording(&self.vault, id);
                true
            }
            Event::Finding(finding) => {
                self.findings.enter(&finding);
                events.blocking_send(VerifyEvent::Finding(finding)).is_ok()
            }
        };
        let outcome = if metadata {
            verify::verify_metadata(&self.catalogue, &self.vault, &mut tell)
        } else {
            verify::verify(
                &self.catalogue,
                &self.vault,
                filter,
                VERIFY_THREADS,
                &mut tell,
            )
        };
        self.findings.clear_vanished();
        let end = match outcome {
            Ok(()) => VerifyEvent::Done(last),
            Err(error) => VerifyEvent::Failed(error.to_string()),
        };
        // Whoever asked may have gone away.
        let _ = events.blocking_send(end);
    }

    /// How the keys are.
    pub(super) fn keys(&self) -> Result<KeyStatus, Problem> {
        Ok(self.vault.keys().status()?)
    }
}

/// Whether `action`, done, is no operation, or has a record that says more than that it was asked for.
fn is_logged_otherwise(action: Action) -> bool {
    match action {
        Action::Status
        | Action::Keys
        | Action::Find
        | Action::List
        | Action::Listen
        | Action::ReadLog
        | Action::VerifyLog
        | Action::RotateLogKey
        | Action::RotateKeys
        | Action::EscrowKeys
        | Action::BackUp
        | Action::Hold
        | Action::Release
        | Action::Erase
        | Action::Approve
        | Action::ConfirmClock
        | Action::Plans
        | Action::Oversee => true,
        Action::Verify | Action::Sweep => false,
    }
}

/// Who asks, as the log says it.
pub(super) fn who(actor: &Actor) -> Who {
    Who {
        uid: actor.account.uid,
        gid: actor.gid,
        name: actor.account.name.clone(),
        pid: actor.pid,
        exe: None,
    }
}

/// The record of a search. What was searched for may be somebody's number.
fn search(actor: &Actor, request: &FindRequest) -> Draft {
    let words = serde_json::to_string(request).expect("a request is plain data");
    Draft::new(now(), Logged::Find, Outcome::Done)
        .by(who(actor))
        .hidden("search", words)
}

/// From `from` on and before `to`, milliseconds since 1970; none if neither is given.
pub(super) fn span(
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
        return Err(Problem::bad_request(
            "the lengths are not a span: 0 ≤ least ≤ most",
        ));
    }
    Ok(Some(nanoseconds(min)..=nanoseconds(max)))
}

/// Bytes free for the daemon on the disk of `path`; 0 if the disk does not say.
fn free_bytes(path: &Path) -> u64 {
    nix::sys::statvfs::statvfs(path)
        .map_or(0, |disk| disk.blocks_available() * disk.fragment_size())
}
