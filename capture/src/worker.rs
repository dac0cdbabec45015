//! The worker thread of a card: takes periods from the device thread and feeds the card's lines.
//!
//! What lives here: the order of things (time first, then gaps, then audio), and the end at a stop.
//! What does not: anything about one line (`line`). `card` starts it; the device thread wakes it.

use crate::anchor::{Anchor, Point};
use crate::clock;
use crate::device::Receiver;
use crate::keep::Message;
use crate::line::Line;
use crate::source::{Params, Period};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};
use tsuwaroku_spool::record::GapCause;

/// The worker looks at its queue at least so often, woken or not.
const REST: Duration = Duration::from_secs(1);
/// How long a stopping worker waits for the device thread, which may hang in a read.
const LAST_WAIT: Duration = Duration::from_millis(700);

/// Losses are logged at most so often, seconds.
const LOG_EVERY: u64 = 10;

/// The worker of one card.
#[derive(Debug)]
pub struct Worker {
    pcm: String,
    rate: u32,
    lines: Vec<Line>,
    /// To the keeper: all that one look at the queue led to, at once.
    keeper: Sender<Vec<Message>>,
    anchor: Anchor,
    /// The next frame of the card.
    position: u64,
    /// Frames lost since the last audio, and why, for the log.
    lost: Option<(u64, GapCause)>,
    /// Losses are logged again from this frame on.
    log_from: u64,
}

impl Worker {
    /// A worker for the `lines` of a card that was opened with `params`.
    pub fn new(params: &Params, lines: Vec<Line>, keeper: Sender<Vec<Message>>) -> Self {
        Self {
            pcm: params.pcm.clone(),
            rate: params.rate,
            lines,
            keeper,
            anchor: Anchor::new(params.rate),
            position: 0,
            lost: None,
            log_from: 0,
        }
    }

    /// The thread's loop: until the source has ended, or `stop` is set and what the card still held
    /// has come. Running calls are ended then.
    pub fn run(mut self, mut receiver: Receiver, stop: &AtomicBool) {
        let mut deadline = None;
        loop {
            // Asked before the queue is emptied: nothing can come after that.
            let over = receiver.is_over();
            self.drain(&mut receiver);
            if stop.load(Ordering::Relaxed) {
                deadline.get_or_insert_with(|| Instant::now() + LAST_WAIT);
            }
            let now = Instant::now();
            if over || deadline.is_some_and(|deadline| deadline <= now) {
                break;
            }
            std::thread::park_timeout(deadline.map_or(REST, |deadline| deadline - now));
        }
        self.drain(&mut receiver);
        self.stop();
    }

    fn drain(&mut self, receiver: &mut Receiver) {
        while let Some(period) = receiver.next() {
            self.period(&period);
            receiver.give_back(period);
        }
        self.post();
    }

    /// Sends the keeper what there is for it.
    fn post(&mut self) {
        let mut messages = Vec::new();
        for line in &mut self.lines {
            line.post(&mut messages);
        }
        if !messages.is_empty() && self.keeper.send(messages).is_err() {
            // Only a panic ends the keeper before its worker; the daemon ends with it.
            log::error!("card {}: the keeper is gone", self.pcm);
        }
    }

    /// Takes one period, for tests: all the way to the keeper.
    #[cfg(test)]
    pub fn period_and_post(&mut self, period: &Period) {
        self.period(period);
        self.post();
    }

    /// Takes one period.
    fn period(&mut self, period: &Period) {
        self.time(period);
        for (frames, cause) in period.gaps.iter() {
            self.position += frames;
            self.note_lost(frames, cause);
            for line in &mut self.lines {
                line.gap(frames, cause, &self.anchor);
            }
        }
        if period.frames > 0 {
            self.position += period.frames as u64;
            self.report_lost();
            for line in &mut self.lines {
                line.audio(period, &self.anchor);
            }
        }
    }

    /// Takes the period's point; without any so far, the present stands in for it.
    fn time(&mut self, period: &Period) {
        if let Some(point) = period.point {
            self.anchor.point(point);
        } else if self.anchor.utc(0).is_none() {
            let utc = clock::monotonic() + clock::utc_offset();
            let frame = self.position + period.gaps.frames() + period.frames as u64;
            self.anchor.point(Point { frame, utc });
        }
    }

    /// Ends what is running.
    pub fn stop(&mut self) {
        for line in &mut self.lines {
            line.stop(&self.anchor);
        }
        self.post();
    }

    fn note_lost(&mut self, frames: u64, cause: GapCause) {
        let (lost, _) = self.lost.unwrap_or((0, cause));
        self.lost = Some((lost + frames, cause));
    }

    /// Logs what was lost, once the audio goes on; together what comes within a few seconds.
    fn report_lost(&mut self) {
        if self.position < self.log_from {
            return;
        }
        let Some((frames, cause)) = self.lost.take() else {
            return;
        };
        self.log_from = self.position + LOG_EVERY * u64::from(self.rate);
        let advice = match cause {
            GapCause::Overrun => {
                "the daemon was kept from reading: give it real-time priority, or set a longer \
                 capture.buffer_seconds"
            }
            GapCause::Queue => "the daemon cannot keep up with its cards: see what else runs here",
            GapCause::Unplugged => "the card was away",
            GapCause::Spool => "the spool could not be written",
        };
        log::warn!(
            "card {}: {frames} frames ({:.3} s) lost: {advice}",
            self.pcm,
            frames as f64 / f64::from(self.rate)
        );
    }
}
