//! The spool of imports, `ROOT/import/`: one of its own, because the capture daemon holds the lock of
//! the other. The daemon takes from both.
//!
//! An import that was killed is begun again from its files, so what it left half written is removed,
//! not recovered: a part of a recording must never stand for the whole.

use super::{Hearing, Plan, Source, Wrong};
use std::fs;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use thiserror::Error;
use tsuwaroku_spool::{OpenCall, Reader, SpoolError, Writer, entry_name};
use ulid::Ulid;

/// The spool's directory below the archive's root.
pub const FOLDER: &str = "import";

/// Why a file could not be put in.
#[derive(Debug, Error)]
pub enum PutError {
    /// The file is at fault.
    #[error(transparent)]
    Wrong(#[from] Wrong),
    /// The spool is.
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

/// The spool, locked.
#[derive(Debug)]
pub struct Inbox {
    root: PathBuf,
    writer: Writer,
    reader: Reader,
}

impl Inbox {
    /// Opens the inbox of the archive at `archive`, and removes what an import left half done.
    ///
    /// Errors: [`SpoolError::InUse`] if another import runs.
    pub fn open(archive: &Path) -> Result<Self, SpoolError> {
        let root = archive.join(FOLDER);
        let writer = Writer::open(&root)?;
        let reader = Reader::open(&root)?;
        let inbox = Self {
            root,
            writer,
            reader,
        };
        inbox
            .remove_leftovers()
            .map_err(|(path, source)| SpoolError::Step {
                step: tsuwaroku_spool::Step::RemoveIncoming,
                path,
                source,
            })?;
        Ok(inbox)
    }

    fn remove_leftovers(&self) -> Result<(), (PathBuf, io::Error)> {
        let folder = self.root.join("incoming");
        let entries = fs::read_dir(&folder).map_err(|error| (folder.clone(), error))?;
        for entry in entries {
            let path = entry.map_err(|error| (folder.clone(), error))?.path();
            log::warn!(
                "{}: left by an import that was broken off; removed",
                path.display()
            );
            fs::remove_file(&path).map_err(|error| (path, error))?;
        }
        Ok(())
    }

    /// Where the entry of `id` waits for the daemon.
    pub fn ready(&self, id: Ulid) -> PathBuf {
        self.reader.ready_dir().join(entry_name(id))
    }

    /// Reads `source` again and puts it in as `plan` says. At return it is durable, and the daemon
    /// may have it already. After an error none of it is in `ready/`, or all.
    pub fn put<R: Read + Seek>(&self, plan: &Plan, source: &mut Source<R>) -> Result<(), PutError> {
        let mut call = match self.writer.begin(plan.start.clone()) {
            // An import that was killed had put it in.
            Err(SpoolError::Taken(_)) => return Ok(()),
            begun => begun?,
        };
        match copy(plan, source, &mut call) {
            Ok(()) => {
                call.finish(plan.start.time_after(plan.heard.frames), plan.end)?;
                Ok(())
            }
            Err(error) => {
                // What cannot be removed now is removed by the next import.
                if let Err(error) = call.abandon() {
                    log::warn!("{error}");
                }
                Err(error)
            }
        }
    }

    /// Why the daemon refused the entry of `id`, if it did.
    pub fn refused(&self, id: Ulid) -> Result<Option<String>, SpoolError> {
        let name = entry_name(id);
        let mut kept = self.reader.quarantined()?;
        kept.retain(|entry| entry.name.starts_with(&name));
        kept.sort_by_key(|entry| entry.since);
        Ok(kept.pop().map(|entry| entry.reason))
    }
}

/// The samples, compared with those of the first reading.
fn copy<R: Read + Seek>(
    plan: &Plan,
    source: &mut Source<R>,
    call: &mut OpenCall,
) -> Result<(), PutError> {
    let layout = source.layout();
    let mut hearing = Hearing::default();
    source.samples(|samples| {
        hearing.take(samples);
        call.audio(samples).map_err(PutError::from)
    })?;
    if hearing.end(layout) == plan.heard {
        Ok(())
    } else {
        Err(Wrong::Changed.into())
    }
}
