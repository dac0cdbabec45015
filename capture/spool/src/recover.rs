//! Closing what `incoming/` holds after a crash, and publishing.
//!
//! Called by [`crate::Writer::recover`] at the capture daemon's start and by
//! [`crate::OpenCall::salvage`]. For each file in `incoming/`:
//!
//! * it has an end record: it is published as it is;
//! * it has a start record: the good records are kept, the rest is cut off, an end record with
//!   [`EndReason::Truncated`] is appended, and it is published;
//! * it is empty: it is removed (it died between being created and its first write);
//! * else it goes to quarantine with a reason.
//!
//! What is cut off is normally one unfinished record. If it is anything else (a damaged disk), a
//! copy goes to quarantine first: there may be audio in it that only a person can save.
//!
//! It may die at any step, and be repeated: a file is always either in `incoming/` with its good
//! records in front, or in `ready/` with an end.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use crate::course::Course;
use crate::disk::{Disk, Folder, Step};
use crate::entry::{fault, open_regular};
use crate::error::{EntryFault, SpoolError, Wrong};
use crate::format::{self, Link, kind};
use crate::quarantine;
use crate::record::{End, EndReason};
use crate::scan::{Scanner, Stop};
use crate::write::Shared;

/// What became of a file that a crash left in `incoming/`.
#[derive(Debug)]
pub struct Recovered {
    /// Its name.
    pub name: OsString,
    /// What was done with it.
    pub outcome: Outcome,
}

/// What was done with a file.
#[derive(Debug)]
pub enum Outcome {
    /// It had no end: closed as truncated, and published.
    Truncated {
        /// Where it is now.
        path: PathBuf,
        /// Its frames, gaps included.
        frames: u64,
        /// Bytes cut off its end.
        cut: u64,
    },
    /// It had an end: published.
    Complete {
        /// Where it is now.
        path: PathBuf,
        /// Its frames, gaps included.
        frames: u64,
    },
    /// It was empty, and is removed.
    Empty,
    /// It holds no recording; it is in quarantine.
    Quarantined {
        /// Why.
        reason: String,
    },
    /// It could not be closed now; it is still in `incoming/`.
    Failed(SpoolError),
}

impl fmt::Display for Recovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.name.to_string_lossy().escape_debug())?;
        match &self.outcome {
            Outcome::Truncated { frames, cut, .. } => {
                write!(
                    f,
                    "closed as truncated, {frames} frames kept, {cut} bytes cut off"
                )
            }
            Outcome::Complete { frames, .. } => write!(f, "complete, {frames} frames, published"),
            Outcome::Empty => write!(f, "empty, removed"),
            Outcome::Quarantined { reason } => write!(f, "put in quarantine: {reason}"),
            Outcome::Failed(error) => write!(f, "left where it is: {error}"),
        }
    }
}

/// Closes every file of `incoming/` that nobody is writing, oldest first.
pub(crate) fn all(shared: &Shared) -> Result<Vec<Recovered>, SpoolError> {
    let mut recovered = Vec::new();
    // A process that died between a rename and its sync has left that to this one.
    shared.disk.sync(Folder::Ready)?;
    shared.disk.sync(Folder::Incoming)?;
    for name in shared.disk.list(Folder::Incoming)? {
        if crate::entry_id(&name).is_some_and(|id| shared.is_open(id)) {
            continue;
        }
        let outcome = close(&shared.disk, &name, None).unwrap_or_else(Outcome::Failed);
        let one = Recovered { name, outcome };
        match &one.outcome {
            Outcome::Failed(_) => log::error!("{one}"),
            Outcome::Complete { .. } => log::info!("{one}"),
            _ => log::warn!("{one}"),
        }
        recovered.push(one);
    }
    Ok(recovered)
}

/// Closes one file of `incoming/`, keeping nothing after its first `limit` bytes if given.
pub(crate) fn close(disk: &Disk, name: &OsStr, limit: Option<u64>) -> Result<Outcome, SpoolError> {
    let path = disk.path(Folder::Incoming, name);
    let file = match open_regular(&path, true) {
        Ok(file) => file,
        Err(fault) => return refuse(disk, name, fault),
    };
    let length = length(&file, &path)?;
    if length == 0 {
        disk.remove(Step::RemoveIncoming, &path)?;
        disk.sync(Folder::Incoming)?;
        return Ok(Outcome::Empty);
    }
    if crate::entry_id(name).is_none() {
        let reason = "its name is not that of a recording (ULID.call)".to_owned();
        return put_away(disk, name, reason);
    }
    let found = match scan(&file, &path, name, limit)? {
        Ok(found) => found,
        Err(fault) => return refuse(disk, name, fault),
    };
    if found.good < length && limit.is_none() {
        keep_tail(disk, &file, name, &found)?;
    }
    end_and_publish(disk, &file, name, found, length)
}

/// Publishes a finished, durable file of `incoming/`; gives its path in `ready/`.
pub(crate) fn publish(disk: &Disk, name: impl AsRef<OsStr>) -> Result<PathBuf, SpoolError> {
    let name = name.as_ref();
    let to = disk.path(Folder::Ready, name);
    disk.rename(Step::RenameReady, &disk.path(Folder::Incoming, name), &to)?;
    disk.sync(Folder::Ready)?;
    disk.sync(Folder::Incoming)?;
    Ok(to)
}

/// The good records of a file.
struct Found {
    link: Link,
    course: Course,
    /// Bytes up to the end of the last good record.
    good: u64,
    /// What follows, if it breaks a rule.
    wrong: Option<Wrong>,
}

/// Reads as far as the file is good; the inner error if that is not as far as the start record.
fn scan(
    file: &File,
    path: &Path,
    name: &OsStr,
    limit: Option<u64>,
) -> Result<Result<Found, EntryFault>, SpoolError> {
    // After a failed fsync the page cache can hold what the disk does not: have it read from there.
    // Refused by some file systems, which loses nothing but this precaution.
    let _ = posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
    let input = BufReader::new(file).take(limit.unwrap_or(u64::MAX));
    let mut scanner = Scanner::new(input, crate::entry_id(name));
    let stop = loop {
        match scanner.next() {
            Ok(Some(_)) => {}
            Ok(None) => break None,
            Err(Stop::Io(error)) => return Err(EntryFault::io(path, error).into()),
            Err(stop) => break Some(stop),
        }
    };
    let good = scanner.offset();
    Ok(match (scanner.into_state(), stop) {
        (Some((link, course)), stop) => Ok(Found {
            link,
            course,
            good,
            wrong: stop.and_then(Stop::into_wrong),
        }),
        (None, Some(stop)) => Err(fault(stop, path)),
        (None, None) => unreachable!("an entry without a fault has a start"),
    })
}

/// Cuts, ends if need be, makes durable and publishes.
fn end_and_publish(
    disk: &Disk,
    mut file: &File,
    name: &OsStr,
    mut found: Found,
    length: u64,
) -> Result<Outcome, SpoolError> {
    let path = disk.path(Folder::Incoming, name);
    if found.good < length {
        disk.cut(file, &path, found.good)?;
    }
    let complete = found.course.ended();
    if !complete {
        let end = truncated_end(&found.course);
        let record = end_record(&mut found, &end)?;
        disk.step(Step::WriteRecord, &path, || {
            file.seek(SeekFrom::Start(found.good)).map(drop)
        })?;
        disk.write(file, &path, &[&record])?;
    }
    disk.sync_all(file, &path)?;
    let frames = found.course.frames();
    let cut = length - found.good;
    match publish(disk, name) {
        Ok(path) if complete => Ok(Outcome::Complete { path, frames }),
        Ok(path) => Ok(Outcome::Truncated { path, frames, cut }),
        Err(error) if is_taken(&error) => {
            let reason = "ready/ already holds a recording of this id".to_owned();
            put_away(disk, name, reason)
        }
        Err(error) => Err(error),
    }
}

fn truncated_end(course: &Course) -> End {
    End {
        frames: course.frames(),
        ended_at: course.start().time_after(course.frames()),
        reason: EndReason::Truncated,
    }
}

fn end_record(found: &mut Found, end: &End) -> Result<Vec<u8>, SpoolError> {
    let id = found.course.start().id;
    let json = format::to_json(end);
    let ended = found.course.end(end);
    let (header, _) = ended
        .and_then(|()| found.link.header(kind::END, &[&json]))
        .map_err(|wrong| SpoolError::Refused { id, wrong })?;
    Ok([&header[..], &json].concat())
}

/// Copies what is about to be cut off to quarantine, unless an interrupted append explains it.
fn keep_tail(disk: &Disk, mut file: &File, name: &OsStr, found: &Found) -> Result<(), SpoolError> {
    let Some(wrong) = found.wrong.as_ref().filter(|wrong| !wrong.is_torn()) else {
        return Ok(());
    };
    let path = disk.path(Folder::Incoming, name);
    let read_again = |error| EntryFault::io(&path, error);
    // A power cut can leave a file longer than what was written to it: zeros.
    file.seek(SeekFrom::Start(found.good)).map_err(read_again)?;
    if BufReader::new(file)
        .bytes()
        .all(|byte| matches!(byte, Ok(0)))
    {
        return Ok(());
    }
    file.seek(SeekFrom::Start(found.good)).map_err(read_again)?;
    let reason = format!(
        "what follows byte {} of the recording, cut off when it was closed: {wrong}",
        found.good
    );
    quarantine::keep_copy(disk, name, file, &reason)
}

fn refuse(disk: &Disk, name: &OsStr, fault: EntryFault) -> Result<Outcome, SpoolError> {
    if !fault.is_content() {
        return Err(fault.into());
    }
    put_away(disk, name, fault.to_string())
}

fn put_away(disk: &Disk, name: &OsStr, reason: String) -> Result<Outcome, SpoolError> {
    quarantine::put_away(disk, Folder::Incoming, name, &reason)?;
    Ok(Outcome::Quarantined { reason })
}

fn length(file: &File, path: &Path) -> Result<u64, SpoolError> {
    let metadata = file.metadata();
    Ok(metadata.map_err(|error| EntryFault::io(path, error))?.len())
}

fn is_taken(error: &SpoolError) -> bool {
    error.io_error().map(io::Error::kind) == Some(io::ErrorKind::AlreadyExists)
}
