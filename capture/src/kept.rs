//! One call on its way into the spool, and the recording that it is being written to.
//!
//! What lives here: appending, making each second durable, and going on in another recording when one
//! breaks. What does not: the thread and the clock (`keep`, the only caller), files (`port`).

use crate::keep::{RETRY, SYNC};
use crate::port::{Entry, Spool};
use crate::tape::Piece;
use crate::ulids;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tsuwaroku_spool::SpoolError;
use tsuwaroku_spool::record::{EndReason, Start};
use ulid::Ulid;

/// Bytes of a line's audio that are not yet durable: counted up by the line, down by the keeper.
#[derive(Debug, Clone, Default)]
pub struct Waiting(Arc<AtomicU64>);

impl Waiting {
    /// Bytes that wait.
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// `bytes` more are on their way.
    pub fn more(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn less(&self, bytes: u64) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// A piece and the UTC of its first frame.
#[derive(Debug)]
struct Part {
    piece: Piece,
    utc: i64,
}

/// What an attempt to go on came to.
#[derive(Debug, Default, Clone, Copy)]
pub struct Progress {
    /// The call needs nothing more.
    pub over: bool,
    /// A recording was left in `incoming/`, for the spool to recover.
    pub left_in_incoming: bool,
}

/// One call, and the recording that it is being written to.
#[derive(Debug)]
pub struct Kept<E> {
    /// The first record of the current recording.
    start: Start,
    entry: Option<E>,
    /// Not yet appended.
    todo: VecDeque<Part>,
    /// Appended, not yet durable.
    unsynced: VecDeque<Part>,
    unsynced_frames: u64,
    /// When the oldest of it was appended.
    unsynced_since: Option<Instant>,
    end: Option<(i64, EndReason)>,
    waiting: Waiting,
    retry_at: Option<Instant>,
    /// The last attempt failed, and that was logged.
    failing: bool,
    /// Of the whole call, for the log.
    frames: u64,
    gaps: u64,
    gap_frames: u64,
}

impl<E: Entry> Kept<E> {
    /// A call whose recording is still to be begun with `start`.
    pub fn new(start: Start, waiting: Waiting) -> Self {
        Self {
            start,
            entry: None,
            todo: VecDeque::new(),
            unsynced: VecDeque::new(),
            unsynced_frames: 0,
            unsynced_since: None,
            end: None,
            waiting,
            retry_at: None,
            failing: false,
            frames: 0,
            gaps: 0,
            gap_frames: 0,
        }
    }

    /// Takes more of it; `utc` is that of its first frame.
    pub fn push(&mut self, piece: Piece, utc: i64) {
        self.todo.push_back(Part { piece, utc });
    }

    /// Notes that it ended.
    pub fn end(&mut self, utc: i64, reason: EndReason) {
        self.end = Some((utc, reason));
    }

    /// The recording that it is being written to.
    pub fn recording(&self) -> Ulid {
        self.start.id
    }

    /// Whether another recording continues it.
    pub fn is_continued(&self) -> bool {
        matches!(self.end, Some((_, EndReason::MaximumLength)))
    }

    /// When it needs to be looked at again without a message: to try a failing spool again, or to
    /// make durable what came last.
    pub fn due(&self) -> Option<Instant> {
        self.retry_at
            .or(self.unsynced_since.map(|since| since + SYNC))
    }

    /// Brings as much as possible of it into the spool, unless the last failure is too recent.
    pub fn advance<S: Spool<Entry = E>>(&mut self, spool: &S, now: Instant) -> Progress {
        let mut progress = Progress::default();
        if self.retry_at.is_some_and(|at| now < at) {
            return progress;
        }
        self.retry_at = None;
        if let Err(error) = self.write(spool, now) {
            self.break_off(&error, now, &mut progress);
        } else if let Some((utc, reason)) = self.end {
            self.finish(utc, reason, &mut progress);
        }
        progress
    }

    /// Appends what there is, and makes each second durable; all of it at the end.
    fn write<S: Spool<Entry = E>>(&mut self, spool: &S, now: Instant) -> Result<(), SpoolError> {
        // A little less than a second, so that one that comes in parts is not waited out twice.
        let sync_frames = u64::from(self.start.rate) * 9 / 10;
        let entry = match &mut self.entry {
            Some(entry) => entry,
            none => {
                let entry = spool.begin(self.start.clone())?;
                log::info!("{}: recording {} began", self.start.line, self.start.id);
                none.insert(entry)
            }
        };
        while let Some(part) = self.todo.front() {
            match &part.piece {
                Piece::Audio(samples) => entry.audio(samples)?,
                Piece::Gap { frames, cause } => entry.gap(*frames, *cause)?,
            }
            self.unsynced_frames += part.piece.frames(self.start.frame_bytes());
            self.unsynced.extend(self.todo.pop_front());
            self.unsynced_since.get_or_insert(now);
        }
        let old = self.unsynced_since.is_some_and(|since| now >= since + SYNC);
        if old || self.end.is_some() || self.unsynced_frames >= sync_frames {
            entry.sync()?;
            self.settle();
        }
        self.failing = false;
        Ok(())
    }

    /// What was appended is durable: it need not be kept in memory.
    fn settle(&mut self) {
        for part in self.unsynced.drain(..) {
            self.frames += part.piece.frames(self.start.frame_bytes());
            match part.piece {
                Piece::Audio(samples) => self.waiting.less(samples.len() as u64),
                Piece::Gap { frames, .. } => {
                    self.gaps += 1;
                    self.gap_frames += frames;
                }
            }
        }
        self.unsynced_frames = 0;
        self.unsynced_since = None;
    }

    /// The recording cannot be written on: closes it with what is durable, and prepares one that
    /// continues it with what is not.
    fn break_off(&mut self, error: &SpoolError, now: Instant, progress: &mut Progress) {
        self.complain(error);
        self.retry_at = Some(now + RETRY);
        let mut durable = 0;
        if let Some(entry) = self.entry.take() {
            durable = entry.durable_frames();
            let closed = if durable == 0 {
                entry.abandon()
            } else {
                entry.salvage().map(drop)
            };
            if let Err(error) = closed {
                log::error!("recording {} cannot be closed now: {error}", self.start.id);
                progress.left_in_incoming = true;
            }
        }
        self.continue_after(durable);
        progress.over = self.end.is_some() && self.todo.is_empty() && durable > 0;
    }

    /// Says once what is wrong.
    fn complain(&mut self, error: &SpoolError) {
        if !std::mem::replace(&mut self.failing, true) {
            log::error!(
                "{}: recording {} cannot be written: {error}. The line goes on in memory, and \
                 the spool is tried again each second",
                self.start.line,
                self.start.id
            );
        }
    }

    /// Turns the start into that of a recording which continues the one with `durable` frames.
    fn continue_after(&mut self, durable: u64) {
        self.unsynced.append(&mut self.todo);
        self.todo = std::mem::take(&mut self.unsynced);
        self.unsynced_frames = 0;
        self.unsynced_since = None;
        let utc = self
            .todo
            .front()
            .map_or(self.start.started_at, |part| part.utc);
        if durable > 0 {
            self.start.continues = Some(self.start.id);
            self.start.started_at = utc;
            self.start.pre_roll = self.start.pre_roll.saturating_sub(durable);
        }
        // Always a new one: an id whose file could not be removed is taken.
        self.start.id = ulids::new(self.start.started_at);
    }

    fn finish(&mut self, utc: i64, reason: EndReason, progress: &mut Progress) {
        progress.over = true;
        let Some(entry) = self.entry.take() else {
            return;
        };
        match entry.finish(utc, reason) {
            Ok(_) => self.report(reason),
            Err(error) => {
                // All of it is durable: recovery publishes it.
                log::error!(
                    "recording {} cannot be finished now: {error}",
                    self.start.id
                );
                progress.left_in_incoming = true;
            }
        }
    }

    fn report(&self, reason: EndReason) {
        let seconds = |frames: u64| frames as f64 / f64::from(self.start.rate);
        log::info!(
            "{}: recording {} ended: began {}, {:.1} s, {} gaps of {:.3} s, {reason:?}",
            self.start.line,
            self.start.id,
            ulids::rfc3339(self.start.started_at),
            seconds(self.frames),
            self.gaps,
            seconds(self.gap_frames),
        );
    }

    /// It was no call: removes its recording.
    pub fn discard(self) {
        let bytes: usize = self
            .todo
            .iter()
            .chain(&self.unsynced)
            .map(Part::bytes)
            .sum();
        self.waiting.less(bytes as u64);
        if let Some(Err(error)) = self.entry.map(Entry::abandon) {
            log::error!(
                "recording {} (a click) cannot be removed: {error}",
                self.start.id
            );
        } else {
            log::debug!(
                "{}: recording {} was a click",
                self.start.line,
                self.start.id
            );
        }
    }

    /// The daemon ends, and the spool cannot be written: says what is lost.
    pub fn give_up(&self) {
        let frames: u64 = self
            .todo
            .iter()
            .chain(&self.unsynced)
            .map(|part| part.piece.frames(self.start.frame_bytes()))
            .sum();
        log::error!(
            "{}: {:.1} s of recording {} are lost: the spool could not be written before the \
             daemon was stopped",
            self.start.line,
            frames as f64 / f64::from(self.start.rate),
            self.start.id
        );
    }
}

impl Part {
    /// Bytes that the line counted as waiting.
    fn bytes(&self) -> usize {
        match &self.piece {
            Piece::Audio(samples) => samples.len(),
            Piece::Gap { .. } => 0,
        }
    }
}
