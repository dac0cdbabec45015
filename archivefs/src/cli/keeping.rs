//! The verbs by which the archive itself is kept: `keys …`, `backup`, `restore` and `rebuild`. The first
//! two are asked of the daemon; a backup is made without one where none runs, and what puts an archive
//! together again is done here, by the daemon's own code. Words are in [`words`].

mod words;

use super::args::{BackupArgs, KeysVerb, RestoreArgs};
use super::exit::{self, Failure};
use super::text::{Speech, safe};
use super::{client, progress_bar, report, write_json};
use crate::control::api;
use crate::control::api::keeping::{
    self as keeping_api, BackupDone, BackupEvent, BackupRequest, Escrow, EscrowRequest, RotateEvent,
};
use crate::control::client::ClientError;
use crate::keys::escrow::{self, EscrowError};
use crate::keys::{KeyStatus, Rotated, keep_master};
use crate::rebuild::{Rebuilt, Unentered};
use crate::serve::{self, ServeError};
use chrono::Utc;
use indicatif::ProgressBar;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use thiserror::Error;
use tsuwaroku_config::Config;
use zeroize::Zeroizing;

/// Why a sealed master key is not written, or not opened.
#[derive(Debug, Error)]
pub enum EscrowFailure {
    /// What is in the file is not what it should be.
    #[error("{}: {error}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: EscrowError,
    },
    /// The file cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// Does what `verb` says.
pub fn keys(
    config: &Config,
    verb: &KeysVerb,
    speech: Speech,
    out: &mut impl Write,
) -> Result<ExitCode, Failure> {
    match verb {
        KeysVerb::Status { json } => status(config, *json, speech, out),
        KeysVerb::Rotate { json } => rotate(config, *json, speech, out),
        KeysVerb::Escrow { recipients, file } => escrow(config, recipients, file, speech, out),
        KeysVerb::Recover { file, identity } => recover(config, file, identity, speech, out),
    }
}

fn status(
    config: &Config,
    json: bool,
    speech: Speech,
    out: &mut impl Write,
) -> Result<ExitCode, Failure> {
    let status: KeyStatus = client(config)?.get(api::KEYS, &())?;
    if json {
        write_json(out, &status)?;
    } else {
        write!(out, "{}", report::keys(&status, speech))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn rotate(
    config: &Config,
    json: bool,
    speech: Speech,
    out: &mut impl Write,
) -> Result<ExitCode, Failure> {
    let mut end = None;
    client(config)?.post_lines(keeping_api::KEYS_ROTATE, &(), |event| {
        end = Some(match event {
            RotateEvent::Done(rotated) => Ok(rotated),
            RotateEvent::Failed(reason) => Err(reason),
        });
        false
    })?;
    let rotated: Rotated = finished(end)?;
    if json {
        write_json(out, &rotated)?;
    } else {
        writeln!(out, "{}", words::rotated(&rotated, speech))?;
    }
    Ok(code(rotated.behind.is_empty()))
}

/// The exit status: success if nobody has to look.
fn code(good: bool) -> ExitCode {
    if good {
        ExitCode::SUCCESS
    } else {
        exit::ATTENTION.into()
    }
}

/// How an answer in lines ended, if it did.
fn finished<T>(end: Option<Result<T, String>>) -> Result<T, Failure> {
    let cut_off = || ClientError::Garbled("the answer was cut off".into());
    end.ok_or_else(cut_off)?.map_err(Failure::Incomplete)
}

fn escrow(
    config: &Config,
    recipients: &[String],
    path: &Path,
    speech: Speech,
    out: &mut impl Write,
) -> Result<ExitCode, Failure> {
    let failed = |error| EscrowFailure::File {
        path: path.to_owned(),
        error,
    };
    // First, so that nothing is given out that cannot be kept.
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    let request = EscrowRequest {
        recipients: recipients.to_vec(),
    };
    let sealed: Result<Escrow, Failure> =
        client(config).and_then(|client| Ok(client.post(keeping_api::KEYS_ESCROW, &request)?));
    let sealed = sealed.inspect_err(|_| drop(std::fs::remove_file(path)))?;
    file.write_all(sealed.sealed.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(failed)?;
    let said = words::escrowed(path, &sealed.master, recipients.len(), speech);
    writeln!(out, "{said}")?;
    Ok(ExitCode::SUCCESS)
}

fn recover(
    config: &Config,
    path: &Path,
    identity: &Path,
    speech: Speech,
    out: &mut impl Write,
) -> Result<ExitCode, Failure> {
    let (sealed, identities) = (read(path)?, read(identity)?);
    let identities = Zeroizing::new(String::from_utf8_lossy(&identities).into_owned());
    let opened = escrow::open(&sealed, &identities).map_err(|error| {
        let path = match error {
            EscrowError::NoIdentity => identity,
            _ => path,
        };
        let path = path.to_owned();
        EscrowFailure::Content { path, error }
    })?;
    let place = serve::master_key_path(config);
    keep_master(&place, &opened).map_err(ServeError::from)?;
    let said = words::recovered(&place, &opened.fingerprint(), speech);
    writeln!(out, "{said}")?;
    Ok(ExitCode::SUCCESS)
}

/// A file that is short.
fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, EscrowFailure> {
    let mut bytes = Zeroizing::new(Vec::new());
    let outcome =
        File::open(path).and_then(|file| file.take(escrow::MOST_BYTES).read_to_end(&mut bytes));
    match outcome {
        Ok(_) => Ok(bytes),
        Err(error) => Err(EscrowFailure::File {
            path: path.to_owned(),
            error,
        }),
    }
}

/// Asks the daemon for a backup; where none runs it is made here.
pub fn backup(
    config: &Config,
    args: &BackupArgs,
    speech: Speech,
    out: &mut impl Write,
) -> Result<ExitCode, Failure> {
    let directory = std::path::absolute(&args.directory)?;
    let bar = progress_bar(args.json);
    let made = match ask_for_backup(config, &directory, &bar) {
        Err(Failure::Client(ClientError::NoDaemon { .. })) => {
            let made = serve::back_up(config, &directory, Utc::now(), &mut |copied, total| {
                bar.set_length(total);
                bar.set_position(copied);
            })?;
            let place = made.place.display().to_string();
            let manifest = made.manifest;
            BackupDone { place, manifest }
        }
        other => other?,
    };
    bar.finish_and_clear();
    if args.json {
        write_json(out, &made)?;
    } else {
        writeln!(out, "{}", words::backed_up(&made, speech))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn ask_for_backup(
    config: &Config,
    directory: &Path,
    bar: &ProgressBar,
) -> Result<BackupDone, Failure> {
    let request = BackupRequest {
        directory: directory.display().to_string(),
    };
    let mut end = None;
    client(config)?.post_lines(keeping_api::BACKUP, &request, |event| {
        match event {
            BackupEvent::Progress(progress) => {
                bar.set_length(progress.total);
                bar.set_position(progress.copied);
            }
            BackupEvent::Done(done) => end = Some(Ok(done)),
            BackupEvent::Failed(reason) => end = Some(Err(reason)),
        }
        end.is_none()
    })?;
    finished(end)
}

/// Puts a backup back; exit status 1 if something is missing or does not open.
pub fn restore(
    config: &Config,
    args: &RestoreArgs,
    speech: Speech,
    out: &mut impl Write,
) -> Result<ExitCode, Failure> {
    let bar = progress_bar(args.json);
    let restored = serve::restore(config, &args.place, &mut told(&bar, speech))?;
    bar.finish_and_clear();
    if args.json {
        write_json(out, &restored)?;
    } else {
        write!(out, "{}", words::restored(&restored, speech))?;
    }
    let whole = restored.missing.is_empty() && restored.rebuilt.failed == 0;
    Ok(code(whole))
}

/// Enters recordings from their objects; exit status 1 if one does not open.
pub fn rebuild(
    config: &Config,
    json: bool,
    speech: Speech,
    out: &mut impl Write,
) -> Result<ExitCode, Failure> {
    let bar = progress_bar(json);
    let rebuilt = serve::rebuild(config, &mut told(&bar, speech))?;
    bar.finish_and_clear();
    if json {
        write_json(out, &rebuilt)?;
    } else {
        writeln!(out, "{}", words::rebuilt(&rebuilt, speech))?;
    }
    Ok(code(rebuilt.failed == 0))
}

/// Shows how far a rebuild is, and tells each file that cannot be entered.
fn told(bar: &ProgressBar, speech: Speech) -> impl FnMut(Rebuilt, Option<Unentered<'_>>) + Send {
    let bar = bar.clone();
    move |rebuilt, failed| {
        // How many there are is not known before they are all seen.
        bar.set_position(rebuilt.objects);
        if let Some((path, reason)) = failed {
            let path = safe(&path.display().to_string());
            let reason = safe(&reason);
            let what = speech.say("cannot be entered", "登録できません");
            bar.suspend(|| eprintln!("{path}: {what}: {reason}"));
        }
    }
}
