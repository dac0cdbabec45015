//! `tsuwaroku audit`: reads, verifies and signs the audit log. All of it is asked of the daemon, but for
//! the verification of a copy, which needs neither daemon nor archive. Files of checkpoints are read
//! here, because they lie where the one who verifies has put them. Words are in [`words`] and
//! [`meaning`].

mod meaning;
mod notes;
mod words;

use super::args::{AuditListArgs, AuditVerb, AuditVerifyArgs};
use super::exit::{self, Failure};
use super::text::Speech;
use super::{client, progress_bar, write_json};
use crate::audit::AuditFinding;
use crate::catalogue::{CatalogueError, LogCopy};
use crate::control::api::log::{
    self as api, LogCheckpoint, LogEvent, LogRecord, LogRequest, LogRotated, LogVerified,
    LogVerifyEvent, LogVerifyRequest, OutsideNote,
};
use crate::control::client::ClientError;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use thiserror::Error;
use tsuwaroku_config::Config;

/// Why a verification does not begin, or breaks off.
#[derive(Debug, Error)]
pub enum CopyError {
    /// A file cannot be read.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A file that should hold checkpoints holds none.
    #[error(
        "{}: there is no checkpoint in it: is it one of the files of [audit] checkpoints, or what \
         tsuwaroku audit checkpoint printed?", .0.display()
    )]
    NoCheckpoint(PathBuf),
    /// The database does not hold a log that can be read through.
    #[error(
        "{}: {error}; it is damaged, or no whole copy: copy catalogue.sqlite together with \
         catalogue.sqlite-wal while the daemon is stopped, and verify again", path.display()
    )]
    Unreadable {
        /// The database.
        path: PathBuf,
        /// What its engine said.
        error: CatalogueError,
    },
}

impl CopyError {
    /// The exit status. A log that cannot be read through is as wrong as one with findings.
    pub fn status(&self) -> u8 {
        match self {
            Self::File { .. } => exit::IO,
            Self::NoCheckpoint(_) | Self::Unreadable { .. } => exit::ATTENTION,
        }
    }
}

/// Does what `verb` says.
pub fn audit(
    config: &Config,
    verb: &AuditVerb,
    speech: Speech,
    out: &mut impl Write,
) -> Result<ExitCode, Failure> {
    match verb {
        AuditVerb::List(args) => list(config, args, speech, out),
        AuditVerb::Verify(args) => verify(config, args, speech, out),
        AuditVerb::Checkpoint { json } => checkpoint(config, *json, speech, out),
        AuditVerb::Rotate { json } => rotate(config, *json, speech, out),
    }
}

fn list(
    config: &Config,
    args: &AuditListArgs,
    speech: Speech,
    out: &mut impl Write,
) -> Result<ExitCode, Failure> {
    let zone = config.site.time_zone;
    let request = LogRequest {
        person: args.person.clone(),
        recording: args.recording,
        number: args.number.clone(),
        event: args.event,
        result: args.result,
        from: args.from.map(|moment| moment.first(zone)),
        to: args.to.map(|moment| moment.end(zone)),
        limit: Some(args.limit),
    };
    let mut records: Vec<LogRecord> = Vec::new();
    let mut end = None;
    client(config)?.get_lines(api::LOG, &request, |event| {
        match event {
            LogEvent::Record(record) => records.push(*record),
            LogEvent::Done(done) => end = Some(Ok(done.more)),
            LogEvent::Failed(reason) => end = Some(Err(reason)),
        }
        end.is_none()
    })?;
    let more = finished(end)?;
    if args.json {
        write_json(out, &records)?;
    } else {
        write!(out, "{}", words::records(&records, more, zone, speech))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// How an answer in lines ended, if it did.
fn finished<T>(end: Option<Result<T, String>>) -> Result<T, Failure> {
    let cut_off = || ClientError::Garbled("the answer was cut off".into());
    end.ok_or_else(cut_off)?.map_err(Failure::Incomplete)
}

fn verify(
    config: &Config,
    args: &AuditVerifyArgs,
    speech: Speech,
    out: &mut impl Write,
) -> Result<ExitCode, Failure> {
    // First, so that what the daemon looks at is at least as new.
    let request = LogVerifyRequest {
        keys: args.keys.iter().map(ToString::to_string).collect(),
        checkpoints: outside(&args.checkpoints)?,
    };
    let bar = progress_bar(args.json);
    let mut findings = Vec::new();
    let mut end = None;
    client(config)?.post_lines(api::LOG_VERIFY, &request, |event| {
        match event {
            LogVerifyEvent::Progress(progress) => {
                bar.set_length(progress.total);
                bar.set_position(progress.read);
            }
            LogVerifyEvent::Finding(finding) => findings.push(finding),
            LogVerifyEvent::Done(verified) => end = Some(Ok(verified)),
            LogVerifyEvent::Failed(reason) => end = Some(Err(reason)),
        }
        end.is_none()
    })?;
    bar.finish_and_clear();
    tell(&finished(end)?, &findings, args.json, speech, out)
}

/// Verifies the log in the copy `database` of a catalogue.
pub fn verify_copy(
    database: &Path,
    args: &AuditVerifyArgs,
    speech: Speech,
    out: &mut impl Write,
) -> Result<ExitCode, Failure> {
    let file = |error| CopyError::File {
        path: database.to_owned(),
        error,
    };
    let unreadable = |error| CopyError::Unreadable {
        path: database.to_owned(),
        error,
    };
    std::fs::File::open(database).map_err(file)?;
    let outside = outside(&args.checkpoints)?;
    let outside = outside.iter();
    let outside = outside.map(|kept| (kept.source.as_str(), kept.note.as_str()));
    let bar = progress_bar(args.json);
    let mut progress = |read, total| {
        bar.set_length(total);
        bar.set_position(read);
        true
    };
    let copy = LogCopy::open(database).map_err(unreadable)?;
    let report = copy.verify(args.keys.clone(), outside, &mut progress);
    bar.finish_and_clear();
    let Some(report) = report.map_err(unreadable)? else {
        unreachable!("nobody stops it");
    };
    let verified = LogVerified::of(&report, !args.keys.is_empty());
    tell(&verified, &report.findings, args.json, speech, out)
}

/// The checkpoints in `files`.
fn outside(files: &[PathBuf]) -> Result<Vec<OutsideNote>, CopyError> {
    let mut all = Vec::new();
    for path in files {
        let file = |error| CopyError::File {
            path: path.clone(),
            error,
        };
        let bytes = std::fs::read(path).map_err(file)?;
        let found = notes::of_file(&String::from_utf8_lossy(&bytes));
        if found.is_empty() {
            return Err(CopyError::NoCheckpoint(path.clone()));
        }
        let source = path.display().to_string();
        all.extend(found.into_iter().map(|note| OutsideNote {
            source: source.clone(),
            note,
        }));
    }
    Ok(all)
}

fn tell(
    verified: &LogVerified,
    findings: &[AuditFinding],
    json: bool,
    speech: Speech,
    out: &mut impl Write,
) -> Result<ExitCode, Failure> {
    if json {
        let all = serde_json::json!({ "verified": verified, "findings": findings });
        write_json(out, &all)?;
    } else {
        for finding in findings {
            writeln!(out, "{}", meaning::finding(finding, speech))?;
        }
        write!(out, "{}", words::verified(verified, findings.len(), speech))?;
    }
    Ok(if verified.findings == 0 {
        ExitCode::SUCCESS
    } else {
        exit::ATTENTION.into()
    })
}

fn checkpoint(
    config: &Config,
    json: bool,
    speech: Speech,
    out: &mut impl Write,
) -> Result<ExitCode, Failure> {
    let issued: LogCheckpoint = client(config)?.post(api::LOG_CHECKPOINT, &())?;
    if json {
        write_json(out, &issued)?;
    } else {
        let zone = config.site.time_zone;
        write!(out, "{}", words::checkpoint(&issued, zone, speech))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn rotate(
    config: &Config,
    json: bool,
    speech: Speech,
    out: &mut impl Write,
) -> Result<ExitCode, Failure> {
    let rotated: LogRotated = client(config)?.post(api::LOG_ROTATE, &())?;
    if json {
        write_json(out, &rotated)?;
    } else {
        write!(out, "{}", words::rotated(&rotated, speech))?;
    }
    Ok(ExitCode::SUCCESS)
}
