//! The keeper: brings recordings into the spool, each second durable, whatever the disk does.
//!
//! What lives here: the thread that owns a card's open recordings, and what it does when the spool
//! cannot be written: the broken recording is closed with what is durable, the rest waits in memory,
//! and each second a recording that continues it is tried. What does not: when calls begin and end
//! (`detect`), how much may wait (`line` counts it against [`Waiting`]), and files
//! (`tsuwaroku_spool`). `card` starts it; `line` sends to it. It is a thread apart so that a disk
//! that hangs for seconds holds up neither detection nor reading.

use crate::kept::{Kept, Waiting};
use crate::port::Spool;
use crate::tape::Piece;
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use tsuwaroku_spool::record::{EndReason, Start};
use tsuwaroku_spool::recover::Outcome;
use ulid::Ulid;

/// Time between two attempts at a spool that failed.
pub const RETRY: Duration = Duration::from_secs(1);
/// Audio is made durable at the latest so long after it was appended.
pub const SYNC: Duration = Duration::from_secs(1);
/// How long a stopping daemon goes on trying a spool that fails.
const LAST_TRIES: Duration = Duration::from_secs(3);

/// What a line tells the keeper; each message names the call it belongs to.
#[derive(Debug)]
pub enum Message {
    /// A call began.
    Begin {
        /// The first record.
        start: Box<Start>,
        /// Where the line counts what waits.
        waiting: Waiting,
    },
    /// More of it.
    Piece {
        /// The recording, by the id it began with.
        call: Ulid,
        /// Audio or a gap.
        piece: Piece,
        /// UTC of its first frame, nanoseconds since 1970.
        utc: i64,
    },
    /// It ended.
    End {
        /// The recording, by the id it began with.
        call: Ulid,
        /// UTC of its end, nanoseconds since 1970.
        utc: i64,
        /// Why.
        reason: EndReason,
    },
    /// It was no call.
    Discard {
        /// The recording, by the id it began with.
        call: Ulid,
    },
}

/// The keeper of one card's recordings.
#[derive(Debug)]
pub struct Keeper<S: Spool> {
    spool: S,
    calls: BTreeMap<Ulid, Kept<S::Entry>>,
    /// Of a call that broke off and then reached its greatest length: the recording that its
    /// continuation continues, by the id it began with.
    last_recordings: BTreeMap<Ulid, Ulid>,
    /// A recording was left in `incoming/`: recover it at this time.
    recover_at: Option<Instant>,
}

impl<S: Spool> Keeper<S> {
    /// A keeper without recordings.
    pub fn new(spool: S) -> Self {
        Self {
            spool,
            calls: BTreeMap::new(),
            last_recordings: BTreeMap::new(),
            recover_at: None,
        }
    }

    /// The thread's loop: until every sender of `messages` is gone and everything is kept, or can
    /// not be.
    pub fn run(mut self, messages: &Receiver<Vec<Message>>) {
        while self.step(messages) {}
        let deadline = Instant::now() + LAST_TRIES;
        while !self.is_idle() && Instant::now() < deadline {
            std::thread::sleep(RETRY / 4);
            self.tick(Instant::now());
        }
        for call in self.calls.values() {
            call.give_up();
        }
    }

    /// Waits for a message and takes it; says whether there can be more.
    fn step(&mut self, messages: &Receiver<Vec<Message>>) -> bool {
        let message = if self.is_waiting() {
            messages.recv_timeout(RETRY)
        } else {
            messages.recv().map_err(|_| RecvTimeoutError::Disconnected)
        };
        let now = Instant::now();
        let more = match message {
            Ok(messages) => {
                for message in messages {
                    self.take(message, now);
                }
                true
            }
            Err(RecvTimeoutError::Timeout) => true,
            Err(RecvTimeoutError::Disconnected) => false,
        };
        self.tick(now);
        more
    }

    /// Whether nothing is left to be kept.
    pub fn is_idle(&self) -> bool {
        self.calls.is_empty() && self.recover_at.is_none()
    }

    /// Whether something has to be tried again without a message.
    fn is_waiting(&self) -> bool {
        self.recover_at.is_some() || self.calls.values().any(|kept| kept.due().is_some())
    }

    /// Takes a message.
    pub fn take(&mut self, message: Message, now: Instant) {
        match message {
            Message::Begin { mut start, waiting } => {
                let id = start.id;
                start.continues = start.continues.map(|call| self.last_recording(call));
                self.calls.insert(id, Kept::new(*start, waiting));
                self.advance(id, now);
            }
            Message::Piece { call, piece, utc } => {
                self.with(call, now, |kept| kept.push(piece, utc));
            }
            Message::End { call, utc, reason } => {
                self.with(call, now, |kept| kept.end(utc, reason));
            }
            Message::Discard { call } => {
                if let Some(kept) = self.calls.remove(&call) {
                    kept.discard();
                }
            }
        }
    }

    /// The recording that a call which began as `call` came to be last.
    fn last_recording(&mut self, call: Ulid) -> Ulid {
        let running = self.calls.get(&call).map(Kept::recording);
        running
            .or_else(|| self.last_recordings.remove(&call))
            .unwrap_or(call)
    }

    fn with(&mut self, call: Ulid, now: Instant, change: impl FnOnce(&mut Kept<S::Entry>)) {
        if let Some(kept) = self.calls.get_mut(&call) {
            change(kept);
            self.advance(call, now);
        }
    }

    /// Tries again what failed and is due.
    pub fn tick(&mut self, now: Instant) {
        let due: Vec<Ulid> = self
            .calls
            .iter()
            .filter(|(_, kept)| kept.due().is_some_and(|at| at <= now))
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            self.advance(id, now);
        }
        if self.recover_at.is_some_and(|at| at <= now) {
            self.recover(now);
        }
    }

    /// Brings as much as possible of a call into the spool.
    fn advance(&mut self, id: Ulid, now: Instant) {
        let Some(kept) = self.calls.get_mut(&id) else {
            return;
        };
        let progress = kept.advance(&self.spool, now);
        if progress.left_in_incoming {
            self.recover_at.get_or_insert(now + RETRY);
        }
        if progress.over
            && let Some(kept) = self.calls.remove(&id)
            && kept.is_continued()
        {
            self.last_recordings.insert(id, kept.recording());
        }
    }

    /// Recovers what could not be closed; the spool logs what it does.
    fn recover(&mut self, now: Instant) {
        let again = match self.spool.recover() {
            Ok(list) => list
                .iter()
                .any(|one| matches!(one.outcome, Outcome::Failed(_))),
            Err(_) => true,
        };
        self.recover_at = again.then_some(now + RETRY);
    }
}
