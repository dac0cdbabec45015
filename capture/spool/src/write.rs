//! What the capture daemon does: begin a recording, append to it, finish it.
//!
//! Called by the capture daemon's writer thread. Closing what a crash left behind is in
//! [`crate::recover`]; when to sync, and what to do while the disk is full, is the daemon's own.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ulid::Ulid;

use crate::course::Course;
use crate::disk::{Disk, Folder, Step};
use crate::error::{SpoolError, Wrong};
use crate::format::{self, AUDIO_AT_BYTES, Link, MAX_PAYLOAD, RECORD_HEADER_BYTES, kind};
use crate::record::{Digits, End, EndReason, Gap, GapCause, Start};
use crate::recover::{self, Outcome, Recovered};

/// The spool as the capture daemon has it; only one at a time.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
}

/// What a writer and its open recordings hold in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub disk: Disk,
    /// Held, not used: recordings still open keep the spool locked after their writer is gone.
    _lock: File,
    /// The recordings being written: not to be recovered under the writer's hands.
    open: Mutex<BTreeSet<Ulid>>,
}

impl Shared {
    fn open_ids(&self) -> MutexGuard<'_, BTreeSet<Ulid>> {
        // Each change is one insert or remove: there is no half-done state to fear.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_open(&self, id: Ulid) -> bool {
        self.open_ids().contains(&id)
    }
}

impl Writer {
    /// Opens the spool at `root` and locks it until this and all its [`OpenCall`]s are dropped.
    ///
    /// Makes `root` (not its parents), `incoming/`, `ready/` and `quarantine/` where missing, mode
    /// 0770. Call it after a daemon has forked. Errors: [`SpoolError::InUse`] if another capture
    /// daemon has it, [`SpoolError::Step`].
    pub fn open(root: &Path) -> Result<Self, SpoolError> {
        Self::over(Disk::open(root)?)
    }

    pub(crate) fn over(disk: Disk) -> Result<Self, SpoolError> {
        let shared = Shared {
            _lock: disk.lock()?,
            disk,
            open: Mutex::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Closes what `incoming/` holds and nobody is writing, and hands it over; see
    /// [`crate::recover`]. To be called at start, and after a [`OpenCall::finish`] that failed.
    ///
    /// A file that cannot be closed now stays, is logged as an error, and does not keep the others
    /// from being closed. An error is returned only if the folders cannot be
    /// synced and listed.
    pub fn recover(&self) -> Result<Vec<Recovered>, SpoolError> {
        recover::all(&self.shared)
    }

    /// Begins a recording: at return its file and start record are durable.
    ///
    /// Errors: [`SpoolError::Refused`] for a start that the archive would refuse,
    /// [`SpoolError::Taken`] for an id already in the spool, [`SpoolError::Step`].
    pub fn begin(&self, start: Start) -> Result<OpenCall, SpoolError> {
        let id = start.id;
        let course = Course::begin(start).map_err(|wrong| SpoolError::Refused { id, wrong })?;
        let disk = &self.shared.disk;
        let name = crate::entry_name(id);
        if disk.exists(&disk.path(Folder::Ready, &name))? || !self.shared.open_ids().insert(id) {
            return Err(SpoolError::Taken(id));
        }
        let begun = self.create(course, disk.path(Folder::Incoming, &name));
        if begun.is_err() {
            self.shared.open_ids().remove(&id);
        }
        begun
    }

    fn create(&self, course: Course, path: PathBuf) -> Result<OpenCall, SpoolError> {
        let disk = &self.shared.disk;
        let id = course.start().id;
        let created = disk.create(Step::CreateIncoming, &path);
        let file = created.map_err(|error| match error.io_error().map(io::Error::kind) {
            Some(io::ErrorKind::AlreadyExists) => SpoolError::Taken(id),
            _ => error,
        })?;
        let mut call = OpenCall {
            shared: Arc::clone(&self.shared),
            file,
            path,
            link: Link::first(&format::file_header()),
            course,
            bytes: 0,
            durable: Durable::default(),
            broken: false,
        };
        if let Err(error) = call.write_start() {
            // Nothing was promised yet; what cannot be removed now is recovered later.
            if let Err(error) = call.abandon() {
                log::warn!("recording {id} could not be begun, nor removed: {error}");
            }
            return Err(error);
        }
        Ok(call)
    }
}

/// How much of a recording is known to be on the disk.
#[derive(Debug, Default, Clone, Copy)]
struct Durable {
    /// Bytes of the file.
    bytes: u64,
    /// Frames of the recording.
    frames: u64,
}

/// A recording being written.
///
/// After any failed write or fsync it is *broken*: further calls return [`SpoolError::Broken`],
/// because after a failed fsync the system reports the next one as good although the data is gone.
/// A broken recording is [salvaged](Self::salvage) or [abandoned](Self::abandon). One that is only
/// dropped stays in `incoming/` for [`Writer::recover`].
#[derive(Debug)]
pub struct OpenCall {
    shared: Arc<Shared>,
    file: File,
    path: PathBuf,
    link: Link,
    course: Course,
    /// Bytes of the file so far.
    bytes: u64,
    durable: Durable,
    broken: bool,
}

impl OpenCall {
    /// Appends interleaved samples, whole frames in the start's encoding. At return they are in the
    /// page cache: they survive the daemon, and with [`sync`](Self::sync) the machine.
    ///
    /// Errors: [`SpoolError::Refused`] for part of a frame, [`SpoolError::Full`] at the format's
    /// longest recording, [`SpoolError::Broken`], [`SpoolError::Step`].
    pub fn audio(&mut self, samples: &[u8]) -> Result<(), SpoolError> {
        self.not_broken()?;
        let frame = self.course.frame_bytes();
        if !samples.len().is_multiple_of(frame) {
            return Err(self.refuse(Wrong::PartialFrame {
                bytes: samples.len(),
                frame_bytes: frame,
            }));
        }
        let most = (MAX_PAYLOAD - AUDIO_AT_BYTES) / frame * frame;
        for part in samples.chunks(most) {
            let at = self.course.frames();
            let taken = self.course.audio(at, part.len());
            taken.map_err(|wrong| self.refuse(wrong))?;
            let at = at.to_le_bytes();
            let header = self.link(kind::AUDIO, &[&at, part])?;
            self.append(&[&header, &at, part])?;
        }
        Ok(())
    }

    /// Appends lost audio, `frames` long; none at all if that is 0. Errors as of
    /// [`audio`](Self::audio), and [`SpoolError::Full`] after [`crate::MAX_GAPS`] gaps.
    pub fn gap(&mut self, frames: u64, cause: GapCause) -> Result<(), SpoolError> {
        self.not_broken()?;
        if frames == 0 {
            return Ok(());
        }
        let gap = Gap {
            at: self.course.frames(),
            frames,
            cause,
        };
        let taken = self.course.gap(&gap);
        taken.map_err(|wrong| self.refuse(wrong))?;
        self.write(kind::GAP, &format::to_json(&gap))
    }

    /// Appends digits heard in the audio appended before: `at` is at most [`frames`](Self::frames).
    ///
    /// Errors: [`SpoolError::Refused`] (with nothing written) for other digits than 1 to 256 of
    /// 0–9, `*`, `#`, A–D or digits ahead of the audio, [`SpoolError::Full`] after
    /// [`crate::MAX_DIGITS`] strings, [`SpoolError::Broken`], [`SpoolError::Step`].
    pub fn digits(&mut self, digits: &Digits) -> Result<(), SpoolError> {
        self.not_broken()?;
        let taken = self.course.digits(digits);
        taken.map_err(|wrong| self.refuse(wrong))?;
        self.write(kind::DIGITS, &format::to_json(digits))
    }

    /// Makes everything appended durable (fdatasync).
    pub fn sync(&mut self) -> Result<(), SpoolError> {
        self.not_broken()?;
        let synced = self.shared.disk.sync_data(&self.file, &self.path);
        self.note_durable(synced)
    }

    /// Frames appended, gaps included.
    pub fn frames(&self) -> u64 {
        self.course.frames()
    }

    /// Frames that are durable: those appended before the last [`sync`](Self::sync) that succeeded.
    /// [`salvage`](Self::salvage) keeps exactly these.
    pub fn durable_frames(&self) -> u64 {
        self.durable.frames
    }

    /// The first record.
    pub fn start(&self) -> &Start {
        self.course.start()
    }

    /// Ends the recording and publishes it: at return it is durable in `ready/`, at the path given.
    /// `ended_at` is UTC in nanoseconds since 1970.
    ///
    /// [`sync`](Self::sync) first: if that fails, the recording can still be salvaged. After an
    /// error here it is either published or still in `incoming/` with all that was durable, and
    /// [`Writer::recover`] does the rest: nothing of it is to be written again.
    pub fn finish(mut self, ended_at: i64, reason: EndReason) -> Result<PathBuf, SpoolError> {
        self.not_broken()?;
        let end = End {
            frames: self.course.frames(),
            ended_at,
            reason,
        };
        let taken = self.course.end(&end);
        taken.map_err(|wrong| self.refuse(wrong))?;
        self.write(kind::END, &format::to_json(&end))?;
        self.shared.disk.sync_all(&self.file, &self.path)?;
        recover::publish(&self.shared.disk, crate::entry_name(self.start().id))
    }

    /// Not a call after all: removes the file, broken or not. At return it is gone for good.
    pub fn abandon(self) -> Result<(), SpoolError> {
        let disk = &self.shared.disk;
        disk.remove(Step::RemoveIncoming, &self.path)?;
        disk.sync(Folder::Incoming)
    }

    /// Closes a broken recording as truncated, and publishes it; gives its path in `ready/`.
    ///
    /// It is read again from the disk and keeps exactly the first
    /// [`durable_frames`](Self::durable_frames): what was appended after them may be in the page
    /// cache only, and belongs into the recording that continues this one, from the caller's
    /// memory. `None` if even the start record is no longer readable; the file is then in
    /// quarantine. After an error the file is still in `incoming/`, for [`Writer::recover`].
    pub fn salvage(self) -> Result<Option<PathBuf>, SpoolError> {
        let name = crate::entry_name(self.start().id);
        match recover::close(&self.shared.disk, name.as_ref(), Some(self.durable.bytes))? {
            Outcome::Truncated { path, .. } | Outcome::Complete { path, .. } => Ok(Some(path)),
            Outcome::Failed(error) => Err(error),
            Outcome::Empty | Outcome::Quarantined { .. } => Ok(None),
        }
    }

    /// Writes the file header and the first record, and makes them and the file's name durable.
    fn write_start(&mut self) -> Result<(), SpoolError> {
        let json = format::to_json(self.course.start());
        let header = self.link(kind::START, &[&json])?;
        self.append(&[&format::file_header(), &header, &json])?;
        self.sync()?;
        self.shared.disk.sync(Folder::Incoming)
    }

    fn write(&mut self, kind: u8, payload: &[u8]) -> Result<(), SpoolError> {
        let header = self.link(kind, &[payload])?;
        self.append(&[&header, payload])
    }

    /// The header of the next record, which the caller writes.
    fn link(
        &mut self,
        kind: u8,
        payload: &[&[u8]],
    ) -> Result<[u8; RECORD_HEADER_BYTES], SpoolError> {
        match self.link.header(kind, payload) {
            Ok((header, next)) => {
                self.link = next;
                Ok(header)
            }
            Err(wrong) => {
                // The course has taken a record that the file has not.
                self.broken = true;
                Err(self.refuse(wrong))
            }
        }
    }

    fn append(&mut self, parts: &[&[u8]]) -> Result<(), SpoolError> {
        let disk = &self.shared.disk;
        let written = disk.write(&self.file, &self.path, parts);
        self.broken |= written.is_err();
        self.bytes += parts.iter().map(|part| part.len() as u64).sum::<u64>();
        written
    }

    fn note_durable(&mut self, synced: Result<(), SpoolError>) -> Result<(), SpoolError> {
        match synced {
            Ok(()) => {
                self.durable = Durable {
                    bytes: self.bytes,
                    frames: self.course.frames(),
                };
            }
            Err(_) => self.broken = true,
        }
        synced
    }

    fn not_broken(&self) -> Result<(), SpoolError> {
        if self.broken {
            return Err(SpoolError::Broken(self.start().id));
        }
        Ok(())
    }

    fn refuse(&self, wrong: Wrong) -> SpoolError {
        let id = self.start().id;
        if wrong.is_limit() {
            SpoolError::Full { id, wrong }
        } else {
            SpoolError::Refused { id, wrong }
        }
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        let id = self.start().id;
        self.shared.open_ids().remove(&id);
    }
}
