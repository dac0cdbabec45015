//! Gives the log's checkpoints to the outside: to the system log, and to the files that are configured.
//! A checkpoint proves what the log was; it is worth something where nobody who could rewrite the log
//! can reach it. A file that cannot be written is an alarm, and gets what it missed when it can be
//! written again.

use crate::audit::{Draft, Event, Note, Outcome, notes};
use crate::catalogue::{Catalogue, CatalogueError, Issued};
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A checkpoint is issued when it is this long since the last one, and something is new.
const LONGEST: Duration = Duration::from_secs(60);
/// Or when so many records are new.
const MOST_RECORDS: u64 = 100;
/// How often that is looked at, and a stop noticed.
const BEAT: Duration = Duration::from_millis(500);
/// The system log's socket (syslog(3)).
const SYSTEM_LOG: &str = "/dev/log";
/// Facility 13, log audit, severity 5, notice (RFC 5424, section 6.2.1).
const PRIORITY: u32 = 13 * 8 + 5;

/// Whether a checkpoint is due: `records` are new since the last one, `age` ago.
fn is_due(records: u64, age: Duration) -> bool {
    records >= MOST_RECORDS || records > 0 && age >= LONGEST
}

/// Which outside files cannot be written, and why.
#[derive(Debug, Default)]
pub struct Troubles(Mutex<BTreeMap<PathBuf, String>>);

impl Troubles {
    /// All of them.
    pub fn list(&self) -> Vec<(PathBuf, String)> {
        let troubles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        troubles
            .iter()
            .map(|(p, why)| (p.clone(), why.clone()))
            .collect()
    }

    /// Sets what is wrong with `path`, and answers whether that is news.
    fn set(&self, path: &Path, trouble: Option<String>) -> bool {
        let mut troubles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match trouble {
            Some(why) => troubles.insert(path.to_owned(), why).is_none(),
            None => troubles.remove(path).is_some(),
        }
    }
}

/// Issues checkpoints and gives them away.
#[derive(Debug)]
pub struct Checkpoints {
    /// Where they come from.
    pub catalogue: Arc<Catalogue>,
    /// Whether the system log gets them.
    pub system_log: bool,
    /// Files that get them.
    pub files: Vec<PathBuf>,
    /// What is wrong with the files.
    pub troubles: Arc<Troubles>,
}

impl Checkpoints {
    /// Goes on until `stop`, and issues a last one then.
    pub fn run(&self, stop: &AtomicBool) {
        let mut last = (self.newest(), Instant::now());
        while !stop.load(Ordering::Relaxed) {
            std::thread::sleep(BEAT);
            match self.beat(&mut last) {
                Ok(()) => {}
                Err(error) => log::error!("no checkpoint of the log can be issued: {error}"),
            }
        }
        if let Err(error) = self.issue() {
            log::error!("no last checkpoint of the log can be issued: {error}");
        }
    }

    fn beat(&self, last: &mut (u64, Instant)) -> Result<(), CatalogueError> {
        let new = self.catalogue.log_size()?.saturating_sub(last.0);
        if is_due(new, last.1.elapsed()) {
            self.issue()?;
            *last = (self.newest(), Instant::now());
        } else if !self.troubles.list().is_empty() && last.1.elapsed() >= LONGEST {
            self.give();
            last.1 = Instant::now();
        }
        Ok(())
    }

    fn newest(&self) -> u64 {
        let issued = self.catalogue.newest_checkpoint();
        issued.ok().flatten().map_or(0, |issued| issued.size)
    }

    /// Issues a checkpoint if anything is new, and gives it to everybody.
    pub fn issue(&self) -> Result<Option<Issued>, CatalogueError> {
        let issued = self.catalogue.checkpoint()?;
        if let Some(issued) = &issued {
            self.tell_system_log(issued);
        }
        self.give();
        Ok(issued)
    }

    fn tell_system_log(&self, issued: &Issued) {
        let note = issued.note.trim_end().replace('\n', "|");
        if self.system_log
            && let Err(error) = send_to_system_log(&note)
        {
            // The daemon's own output is all that is left; systemd keeps it in the journal.
            log::info!("checkpoint {note} (not in the system log: {error})");
        }
    }

    /// Appends to each file what it has not.
    fn give(&self) {
        for path in &self.files {
            let outcome = self.append_missing(path).map_err(|error| error.to_string());
            let news = self.troubles.set(path, outcome.clone().err());
            match outcome {
                Err(why) if news => {
                    log::error!(
                        "ALARM: {}: no checkpoint can be kept there: {why}",
                        path.display()
                    );
                    let draft = Draft::new(
                        crate::clock::now(),
                        Event::CheckpointFailed,
                        Outcome::Failed,
                    );
                    let draft = draft.with("path", path.display()).with("reason", why);
                    self.catalogue.log_later(draft);
                }
                Ok(()) if news => log::warn!("{}: gets checkpoints again", path.display()),
                Ok(()) | Err(_) => {}
            }
        }
    }

    fn append_missing(&self, path: &Path) -> io::Result<()> {
        let has = newest_in(path)?;
        let missing = self.catalogue.checkpoints(has).map_err(io::Error::other)?;
        if missing.is_empty() {
            return Ok(());
        }
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o644)
            .open(path)?;
        for issued in missing {
            // A note ends at an empty line of its own, so that notes can follow one another.
            file.write_all(format!("{}\n", issued.note).as_bytes())?;
        }
        file.sync_all()
    }
}

/// The number of records that the last whole checkpoint in the file at `path` covers.
fn newest_in(path: &Path) -> io::Result<u64> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        other => other?,
    };
    let sizes = notes(&text)
        .into_iter()
        .filter_map(|note| Some(Note::parse(note).ok()?.claim().size));
    Ok(sizes.max().unwrap_or(0))
}

fn send_to_system_log(note: &str) -> io::Result<()> {
    let message = format!("<{PRIORITY}>tsuwaroku: checkpoint {note}");
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to(message.as_bytes(), SYSTEM_LOG).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_due_after_a_minute_or_a_hundred_records() {
        let cases = [
            (0, 3600, false),
            (1, 59, false),
            (1, 60, true),
            (99, 1, false),
            (100, 0, true),
        ];
        for (records, age, due) in cases {
            assert_eq!(
                is_due(records, Duration::from_secs(age)),
                due,
                "{records} {age}"
            );
        }
    }
}
