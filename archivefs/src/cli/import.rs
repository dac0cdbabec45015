//! `tsuwaroku import`: takes the files of a directory into the archive, one after the other, and
//! tells what became of each.
//!
//! Each is read whole and checked first, then asked for by its identity (a file that is archived is
//! not taken again), then read again into the spool of imports; the daemon does the rest, and the
//! command waits until it has. Reading files is in [`crate::import`], words are in [`words`].

mod words;

use super::args::ImportArgs;
use super::exit::{self, Failure};
use super::text::Speech;
use super::{client, progress_bar, write_json};
use crate::control::api::life::{Shown, recording};
use crate::control::api::{self, Status};
use crate::control::client::{Client, ClientError};
use crate::import::inbox::{FOLDER, Inbox, PutError};
use crate::import::{Plan, Source, Terms, Wrong, plan, walk};
use chrono::Utc;
use indicatif::ProgressBar;
use nix::unistd::{Gid, geteuid, setegid};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use thiserror::Error;
use tsuwaroku_config::Config;
use tsuwaroku_spool::SpoolError;
use ulid::Ulid;

/// Most entries that wait for the daemon: what a large import takes of the disk twice.
const MOST_WAITING: usize = 16;
/// Between two looks whether the daemon has taken an entry.
const LOOK: Duration = Duration::from_millis(20);
/// Looks between two questions to the daemon how it is.
const LOOKS_A_QUESTION: u32 = 50;
/// Statuses of answers about a recording that is not there, and about one that was, or is over (RFC 9110,
/// 15.5.5 and 15.5.11).
const NOT_FOUND: u16 = 404;
const GONE: u16 = 410;
/// Questions in a row answered with the same trouble after which it is no passing one.
const PATIENCE: u32 = 10;

/// Why an import does not begin, or breaks off.
#[derive(Debug, Error)]
pub enum ImportError {
    /// The number is not in the table.
    #[error(
        "'{0}' is not a designated number: see tsuwaroku config show; a new one is entered as \
         [[line]] and the daemon restarted"
    )]
    NoLine(String),
    /// Another account.
    #[error(
        "an import writes below {}: run it as root or as the daemon's account \
         (runuser -u tsuwaroku -- tsuwaroku import …)", .0.display()
    )]
    Account(PathBuf),
    /// The directory cannot be listed.
    #[error("{}: {error}", path.display())]
    Source {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The directory is the archive's own.
    #[error("{}: is part of this archive; import a former recorder's files", .0.display())]
    Own(PathBuf),
    /// The daemon has not made the inbox.
    #[error(
        "{}: {error}; the daemon makes it when it starts: restart it (systemctl restart tsuwaroku)",
        path.display()
    )]
    NoInbox {
        /// The inbox.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Two at a time.
    #[error("another import is running; wait until it has ended")]
    Running,
    /// The spool of imports cannot be written.
    #[error("{0}; then import again: what is archived is not taken twice")]
    Spool(#[source] SpoolError),
    /// The daemon cannot archive.
    #[error("the daemon cannot archive: {0}; what waits is archived once that is mended")]
    Stuck(String),
}

impl ImportError {
    /// The exit status.
    pub fn status(&self) -> u8 {
        match self {
            Self::NoLine(_) | Self::Own(_) => exit::ATTENTION,
            Self::Account(_) => exit::NOT_ALLOWED,
            Self::NoInbox { .. } | Self::Running => exit::UNAVAILABLE,
            Self::Source { .. } | Self::Spool(_) | Self::Stuck(_) => exit::IO,
        }
    }
}

/// What became of a file.
#[derive(Debug)]
enum Outcome {
    /// It is in the archive.
    Imported(Plan),
    /// It is, but past its last day: nobody sees it, and the next sweep erases it unless it is held.
    Over(Plan),
    /// It was erased once, and does not come back.
    Erased(Plan),
    /// It would be.
    WouldImport(Plan),
    /// It has been before, or another file of this import is the same.
    Already(Plan),
    /// It waits for the daemon, which will archive it.
    Waiting(Plan),
    /// It is not in the archive.
    Refused(Wrong),
}

/// What the daemon knows of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// Nothing.
    No,
    /// It is in the archive.
    There,
    /// It is past its last day.
    Over,
    /// It was erased.
    Erased,
}

/// What became of all: by path below the directory.
type Outcomes = BTreeMap<PathBuf, Outcome>;

/// Imports what `args` say.
pub fn import(
    config: &Config,
    args: &ImportArgs,
    speech: Speech,
    out: &mut impl Write,
) -> Result<ExitCode, Failure> {
    check(config, args)?;
    let client = client(config)?;
    let _: Status = client.get(api::STATUS, &())?;
    let inbox = if args.dry_run {
        None
    } else {
        Some(open_inbox(&config.archive.root)?)
    };
    let source = |error| ImportError::Source {
        path: args.directory.clone(),
        error,
    };
    let (directory, found) = walk::files(&args.directory).map_err(source)?;
    let bar = progress_bar(args.json);
    bar.set_length(found.len() as u64);
    let terms = Terms {
        line: &args.line,
        zone: config.site.time_zone,
        pattern: args.pattern.as_ref(),
        now: Utc::now(),
    };
    let mut run = Run {
        client,
        inbox,
        directory,
        terms,
        bar,
        outcomes: Outcomes::new(),
        waiting: VecDeque::new(),
        seen: HashSet::new(),
    };
    let ended = run.all(found);
    run.bar.finish_and_clear();
    let outcomes = run.outcomes();
    if args.json {
        write_json(out, &words::json(&outcomes))?;
    } else {
        write!(
            out,
            "{}",
            words::report(&outcomes, config.site.time_zone, speech)
        )?;
    }
    ended?;
    let refused = outcomes
        .values()
        .any(|outcome| matches!(outcome, Outcome::Refused(_)));
    Ok(if refused {
        exit::ATTENTION.into()
    } else {
        ExitCode::SUCCESS
    })
}

/// What can be known before anything is read.
fn check(config: &Config, args: &ImportArgs) -> Result<(), ImportError> {
    if !config.lines.iter().any(|line| line.number == args.line) {
        return Err(ImportError::NoLine(args.line.escape_default().to_string()));
    }
    let archive = &config.archive;
    if !args.dry_run && !geteuid().is_root() {
        let owner = std::fs::metadata(&archive.root).map(|of| of.uid()).ok();
        if owner != Some(geteuid().as_raw()) {
            return Err(ImportError::Account(archive.root.clone()));
        }
    }
    let source = |error| ImportError::Source {
        path: args.directory.clone(),
        error,
    };
    let directory = args.directory.canonicalize().map_err(source)?;
    for own in [&archive.root, &archive.mount, &config.capture.spool] {
        // One that does not exist holds nothing.
        if own
            .canonicalize()
            .is_ok_and(|own| directory.starts_with(own))
        {
            return Err(ImportError::Own(args.directory.clone()));
        }
    }
    Ok(())
}

/// Opens the inbox that the daemon has made. What root puts in must be readable to the daemon, which
/// is of the group of the inbox.
fn open_inbox(root: &Path) -> Result<Inbox, ImportError> {
    let ready = root.join(FOLDER).join("ready");
    let missing = |error| ImportError::NoInbox {
        path: ready.clone(),
        error,
    };
    let group = std::fs::metadata(&ready).map_err(missing)?.gid();
    if geteuid().is_root() {
        setegid(Gid::from_raw(group)).map_err(|error| missing(error.into()))?;
    }
    Inbox::open(root).map_err(|error| match error {
        SpoolError::InUse(_) => ImportError::Running,
        other => ImportError::Spool(other),
    })
}

/// An import under way.
struct Run<'a> {
    client: Client,
    /// Nothing when it is only tried.
    inbox: Option<Inbox>,
    directory: PathBuf,
    terms: Terms<'a>,
    bar: ProgressBar,
    outcomes: Outcomes,
    /// What the daemon has not been seen to have taken, oldest first.
    waiting: VecDeque<(PathBuf, Plan)>,
    /// The recordings of this import, so that two copies of a file are one.
    seen: HashSet<Ulid>,
}

impl Run<'_> {
    fn all(&mut self, found: Vec<walk::Found>) -> Result<(), Failure> {
        for (below, wrong) in found {
            if let Some(wrong) = wrong {
                self.settle(below, Outcome::Refused(wrong));
            } else if let Some(outcome) = self.file(&below)? {
                self.settle(below, outcome);
            }
            while self.waiting.len() > MOST_WAITING {
                self.wait_for_oldest()?;
            }
        }
        while !self.waiting.is_empty() {
            self.wait_for_oldest()?;
        }
        Ok(())
    }

    fn settle(&mut self, below: PathBuf, outcome: Outcome) {
        self.bar.inc(1);
        self.outcomes.insert(below, outcome);
    }

    /// Takes one file; nothing if what becomes of it is not known yet.
    fn file(&mut self, below: &Path) -> Result<Option<Outcome>, Failure> {
        let path = self.directory.join(below);
        let opened = walk::open(&path)
            .and_then(Source::open)
            .and_then(|mut source| {
                let plan = plan(&mut source, below, &self.terms)?;
                Ok((source, plan))
            });
        let (mut source, plan) = match opened {
            Ok(opened) => opened,
            Err(wrong) => return Ok(Some(Outcome::Refused(wrong))),
        };
        let id = plan.start.id;
        if !self.seen.insert(id) {
            return Ok(Some(Outcome::Already(plan)));
        }
        match self.known(id)? {
            Known::No => {}
            Known::There => return Ok(Some(Outcome::Already(plan))),
            Known::Over => return Ok(Some(Outcome::Over(plan))),
            Known::Erased => return Ok(Some(Outcome::Erased(plan))),
        }
        let Some(inbox) = &self.inbox else {
            return Ok(Some(Outcome::WouldImport(plan)));
        };
        match inbox.put(&plan, &mut source) {
            Ok(()) => {
                self.waiting.push_back((below.to_owned(), plan));
                Ok(None)
            }
            Err(PutError::Wrong(wrong)) => Ok(Some(Outcome::Refused(wrong))),
            Err(PutError::Spool(error)) => Err(ImportError::Spool(error).into()),
        }
    }

    fn known(&self, id: Ulid) -> Result<Known, Failure> {
        match self.client.get::<_, Shown>(&recording(id), &()) {
            Ok(Shown::Recording(_)) => Ok(Known::There),
            Ok(Shown::Erased(_)) => Ok(Known::Erased),
            Err(ClientError::Refused(problem)) if problem.status == NOT_FOUND => Ok(Known::No),
            Err(ClientError::Refused(problem)) if problem.status == GONE => Ok(Known::Over),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until the daemon has taken, or refused, the oldest entry that waits.
    fn wait_for_oldest(&mut self) -> Result<(), Failure> {
        let (Some(inbox), Some((_, plan))) = (&self.inbox, self.waiting.front()) else {
            return Ok(());
        };
        let id = plan.start.id;
        self.wait_until_taken(&inbox.ready(id))?;
        let known = self.known(id)?;
        let reason = match known {
            Known::No => inbox.refused(id).map_err(ImportError::Spool)?,
            _ => None,
        };
        if let Some((below, plan)) = self.waiting.pop_front() {
            let outcome = match known {
                Known::There => Outcome::Imported(plan),
                Known::Over => Outcome::Over(plan),
                Known::Erased => Outcome::Erased(plan),
                Known::No => Outcome::Refused(Wrong::Quarantined(
                    reason.unwrap_or_else(|| "no reason is given".to_owned()),
                )),
            };
            self.settle(below, outcome);
        }
        Ok(())
    }

    /// Until the entry is gone. A daemon that has gone, or stays in trouble, ends the waiting.
    fn wait_until_taken(&self, entry: &Path) -> Result<(), Failure> {
        let mut troubled = 0;
        for look in 1_u32.. {
            if !entry.exists() {
                break;
            }
            if look.is_multiple_of(LOOKS_A_QUESTION) {
                let status: Status = self.client.get(api::STATUS, &())?;
                troubled = if status.trouble.is_some() {
                    troubled + 1
                } else {
                    0
                };
                if let Some(trouble) = status.trouble.filter(|_| troubled >= PATIENCE) {
                    return Err(ImportError::Stuck(trouble.reason).into());
                }
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// What became of all that was looked at; what waits still is so told.
    fn outcomes(self) -> Outcomes {
        let mut outcomes = self.outcomes;
        outcomes.extend(
            self.waiting
                .into_iter()
                .map(|(below, p)| (below, Outcome::Waiting(p))),
        );
        outcomes
    }
}
