//! What can go wrong with the spool, in types that say what failed, on which thing, and what to do.
//!
//! [`SpoolError`] is what operations on the folders return, [`EntryFault`] what reading an entry
//! returns, [`Wrong`] which rule of the format is broken.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use ulid::Ulid;

use crate::disk::Step;

/// An operation on the spool failed.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The file system refused a step.
    #[error("cannot {step} {}: {source}{}", path.display(), Advice(source))]
    Step {
        /// What was being done.
        step: Step,
        /// The file or folder it was done to.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another capture daemon holds the spool.
    #[error(
        "the spool {} is in use by another capture daemon; stop that one, or give this one a spool \
         of its own",
        .0.display()
    )]
    InUse(PathBuf),
    /// The recording's file is already there.
    #[error("recording {0} is already in the spool; begin it under a new id")]
    Taken(Ulid),
    /// An earlier write or fsync of this recording failed.
    #[error(
        "recording {0} broke off at an earlier write error; salvage it and go on in a recording \
         that continues it"
    )]
    Broken(Ulid),
    /// The recording has reached a limit of the format; it is intact and can be finished.
    #[error("recording {id} is full: {wrong}; finish it and go on in one that continues it")]
    Full {
        /// The recording.
        id: Ulid,
        /// The limit.
        wrong: Wrong,
    },
    /// The caller's data would make an entry that the archive refuses; nothing was written.
    #[error("recording {id}: {wrong}; nothing was written")]
    Refused {
        /// The recording.
        id: Ulid,
        /// The rule it would break.
        wrong: Wrong,
    },
    /// What is in the file could not be read again.
    #[error(transparent)]
    Entry(#[from] EntryFault),
}

impl SpoolError {
    /// The system's error, if one caused this.
    pub fn io_error(&self) -> Option<&io::Error> {
        match self {
            Self::Step { source, .. } | Self::Entry(EntryFault::Io { source, .. }) => Some(source),
            _ => None,
        }
    }
}

/// Why an entry cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum EntryFault {
    /// The system failed to open or read it: says nothing about the entry, to be tried again.
    #[error("cannot read {}: {source}{}", path.display(), Advice(source))]
    Io {
        /// The entry.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A symbolic link, folder, pipe, socket or device.
    #[error("not a regular file but a {kind}")]
    NotAFile {
        /// What it is.
        kind: &'static str,
    },
    /// The content breaks the format.
    #[error("record {record} at byte {offset}: {wrong}")]
    Content {
        /// Where the faulty record (or the file header: 0) begins, bytes from the file's start.
        offset: u64,
        /// Its sequence number; the file header counts as belonging to record 0.
        record: u32,
        /// The broken rule.
        wrong: Wrong,
    },
}

impl EntryFault {
    /// Whether the entry itself is at fault, so that trying again is useless and it belongs in
    /// quarantine. I/O errors are not.
    pub fn is_content(&self) -> bool {
        match self {
            Self::NotAFile { .. } | Self::Content { .. } => true,
            Self::Io { .. } => false,
        }
    }

    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io {
            path: path.to_path_buf(),
            source,
        }
    }
}

/// A broken rule of the format (tsuwaroku-spool(5)).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// The first eight bytes are others.
    #[error("not a spool entry (the file does not begin with TSWSPOOL)")]
    Magic,
    /// Written by a later program.
    #[error("format version {0} is not known to this program (it knows version 1); update it")]
    Version(u16),
    /// A feature flag this program does not know.
    #[error("feature flags {0:#06x} are not known to this program; update it")]
    Flags(u16),
    /// A reserved byte is not zero.
    #[error("a reserved byte is not zero")]
    Reserved,
    /// The file ends inside a header or record.
    #[error("the file ends {missing} bytes early")]
    Short {
        /// Bytes that are missing, as far as the header in front of them tells.
        missing: u64,
    },
    /// A payload above the limit.
    #[error("a payload of {0} bytes exceeds the limit of 1048576")]
    Length(u32),
    /// The check value does not fit.
    #[error("the check value does not fit: the record is damaged, or was moved or dropped")]
    Crc,
    /// Records are not numbered in order.
    #[error("sequence number {found} where {expected} belongs")]
    Sequence {
        /// The number that belongs here.
        expected: u32,
        /// The number that is here.
        found: u32,
    },
    /// A record that must not be skipped.
    #[error("record kind {0} is not known to this program; update it")]
    Kind(u8),
    /// A JSON payload does not say what it should.
    #[error("payload: {0}")]
    Json(String),
    /// The entry does not begin with a start record.
    #[error("the first record is not a start record")]
    NoStart,
    /// A second start record.
    #[error("a second start record")]
    SecondStart,
    /// A value in the start record that no capture daemon writes.
    #[error("start record: {0}")]
    Start(&'static str),
    /// The file is named for another recording.
    #[error("the file is named for another recording than {0}, which it holds")]
    Name(Ulid),
    /// Frames are missing or come twice.
    #[error("begins at frame {found} where frame {expected} belongs")]
    Position {
        /// Frames so far.
        expected: u64,
        /// The frame stated.
        found: u64,
    },
    /// Audio that is not whole frames.
    #[error("{bytes} bytes of audio are not whole frames of {frame_bytes} bytes")]
    PartialFrame {
        /// Bytes of audio.
        bytes: usize,
        /// Bytes of one frame.
        frame_bytes: usize,
    },
    /// Audio or a gap of no frames.
    #[error("audio or a gap of no frames")]
    Empty,
    /// A digit string that is empty, too long, or of other characters.
    #[error("digits are not 1 to 256 of 0-9, *, #, A-D")]
    DigitText,
    /// Digits that lie after the audio so far.
    #[error("digits at frame {at}, after the {frames} frames so far")]
    DigitsAhead {
        /// The frame stated.
        at: u64,
        /// Frames so far.
        frames: u64,
    },
    /// Too many gap records.
    #[error("more than {} gaps", crate::MAX_GAPS)]
    TooManyGaps,
    /// Too many digit records.
    #[error("more than {} digit strings", crate::MAX_DIGITS)]
    TooManyDigits,
    /// Longer than any recording.
    #[error("longer than {} seconds", crate::MAX_SECONDS)]
    TooLong,
    /// More records than can be numbered.
    #[error("more records than can be numbered")]
    TooManyRecords,
    /// The end record counts other frames.
    #[error("the end record states {stated} frames, there are {counted}")]
    EndFrames {
        /// Frames so far.
        counted: u64,
        /// Frames stated.
        stated: u64,
    },
    /// Bytes after the end record.
    #[error("bytes after the end record")]
    AfterEnd,
    /// No end record: still being written, or cut off.
    #[error("the file ends without an end record")]
    NoEnd,
}

impl Wrong {
    /// Whether a writer met a limit (the recording is intact and can be finished), not a fault.
    pub(crate) fn is_limit(&self) -> bool {
        matches!(
            self,
            Self::TooManyGaps | Self::TooManyDigits | Self::TooLong | Self::TooManyRecords
        )
    }

    /// Whether an interrupted append leaves a file like this.
    pub(crate) fn is_torn(&self) -> bool {
        matches!(self, Self::Short { .. } | Self::NoEnd)
    }
}

/// The next step, after a system's error; empty where there is none to name.
struct Advice<'a>(&'a io::Error);

impl fmt::Display for Advice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let advice = match self.0.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENOSPC | Errno::EDQUOT) => "; free space on the spool's file system",
            Some(Errno::EACCES | Errno::EPERM) => {
                "; give the daemon's user and group rwx on the spool's folders"
            }
            Some(Errno::EROFS) => {
                "; the file system is read-only: see dmesg for an error of the disk, or remount it"
            }
            Some(Errno::EIO) => "; the disk is failing: see dmesg, replace it",
            Some(Errno::ENOENT) => "; is the spool's disk mounted, and its path right?",
            _ => "",
        };
        f.write_str(advice)
    }
}
