//! One entry, read by the archive daemon as untrusted input: bounded memory, no panic, nothing but
//! regular files, every rule of the format checked.
//!
//! Not here: the folders ([`crate::read`]), the format itself (`scan`, `format`, `course`).

use std::fs::{File, FileType, OpenOptions};
use std::io::{BufReader, Seek};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use ulid::Ulid;

use crate::error::EntryFault;
use crate::record::{Digits, End, Gap, Record, Start};
use crate::scan::{Scanner, Stop};

/// Bytes read at a time.
const READ_BYTES: usize = 64 * 1024;

/// An entry, opened.
#[derive(Debug)]
pub struct Entry {
    path: PathBuf,
    file: File,
    expected: Option<Ulid>,
}

/// What a whole pass over an entry found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The first record.
    pub start: Start,
    /// The last record.
    pub end: End,
    /// Lost audio, in order; at most [`crate::MAX_GAPS`].
    pub gaps: Vec<Gap>,
    /// Digits heard, in the order they were written; at most [`crate::MAX_DIGITS`].
    pub digits: Vec<Digits>,
    /// Bytes of samples, gaps not included.
    pub audio_bytes: u64,
}

impl Entry {
    /// Opens the entry at `path` without following a symbolic link or waiting for a pipe.
    ///
    /// If its name is `ULID.call`, the start record must name that recording; this is checked when
    /// it is read. Errors: [`EntryFault::NotAFile`], [`EntryFault::Io`].
    pub fn open(path: &Path) -> Result<Self, EntryFault> {
        let file = open_regular(path, false)?;
        Ok(Self {
            path: path.to_path_buf(),
            file,
            expected: path.file_name().and_then(crate::entry_id),
        })
    }

    /// Reads the whole entry once and says what is in it; an error if any rule is broken.
    pub fn check(&mut self) -> Result<Summary, EntryFault> {
        let (mut start, mut end) = (None, None);
        let (mut gaps, mut digits, mut audio_bytes) = (Vec::new(), Vec::new(), 0);
        for record in self.records()? {
            match record? {
                Record::Start(value) => start = Some(value),
                Record::Audio { samples, .. } => audio_bytes += samples.len() as u64,
                Record::Gap(value) => gaps.push(value),
                Record::Digits(value) => digits.push(value),
                Record::End(value) => end = Some(value),
            }
        }
        // An iteration without an error has seen both: that is what the scanner checks.
        let (Some(start), Some(end)) = (start, end) else {
            unreachable!("an entry without a fault has a start and an end");
        };
        Ok(Summary {
            start,
            end,
            gaps,
            digits,
            audio_bytes,
        })
    }

    /// The records from the beginning, each checked before it is given. The end record comes only
    /// when nothing follows it, so whoever has seen it has seen a whole, good entry. After an error
    /// there are no more.
    pub fn records(&mut self) -> Result<Records<'_>, EntryFault> {
        self.file
            .rewind()
            .map_err(|error| EntryFault::io(&self.path, error))?;
        let input = BufReader::with_capacity(READ_BYTES, &self.file);
        Ok(Records {
            path: &self.path,
            scanner: Some(Scanner::new(input, self.expected)),
        })
    }
}

/// The records of an entry.
#[derive(Debug)]
pub struct Records<'a> {
    path: &'a Path,
    /// `None` after the end or an error.
    scanner: Option<Scanner<BufReader<&'a File>>>,
}

impl Records<'_> {
    fn read(&mut self) -> Result<Option<Record>, Stop> {
        let Some(scanner) = &mut self.scanner else {
            return Ok(None);
        };
        let record = scanner.next()?;
        if let Some(Record::End(_)) = record {
            scanner.next()?;
            self.scanner = None;
        }
        Ok(record)
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record, EntryFault>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.read() {
            Ok(record) => record.map(Ok),
            Err(stop) => {
                self.scanner = None;
                Some(Err(fault(stop, self.path)))
            }
        }
    }
}

/// What stopped a scan of the file at `path`.
pub(crate) fn fault(stop: Stop, path: &Path) -> EntryFault {
    match stop {
        Stop::Io(error) => EntryFault::io(path, error),
        Stop::Content {
            offset,
            record,
            wrong,
        } => EntryFault::Content {
            offset,
            record,
            wrong,
        },
    }
}

/// Opens a regular file, and nothing else, for reading or for reading and writing.
pub(crate) fn open_regular(path: &Path, write: bool) -> Result<File, EntryFault> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let opened = OpenOptions::new()
        .read(true)
        .write(write)
        .custom_flags(flags.bits())
        .open(path);
    let file = opened.map_err(|error| match error.raw_os_error().map(Errno::from_raw) {
        // open(2): O_NOFOLLOW on a symbolic link; a folder for writing; a socket.
        Some(Errno::ELOOP) => EntryFault::NotAFile {
            kind: "symbolic link",
        },
        Some(Errno::EISDIR) => EntryFault::NotAFile { kind: "folder" },
        Some(Errno::ENXIO) => EntryFault::NotAFile { kind: "socket" },
        _ => EntryFault::io(path, error),
    })?;
    let metadata = file
        .metadata()
        .map_err(|error| EntryFault::io(path, error))?;
    match kind_of(metadata.file_type()) {
        None => Ok(file),
        Some(kind) => Err(EntryFault::NotAFile { kind }),
    }
}

/// What a file is, if it is not a regular one.
fn kind_of(file_type: FileType) -> Option<&'static str> {
    if file_type.is_file() {
        None
    } else if file_type.is_dir() {
        Some("folder")
    } else if file_type.is_fifo() {
        Some("pipe")
    } else {
        Some("device")
    }
}
