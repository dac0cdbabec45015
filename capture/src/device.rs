//! The device thread: reads a source and hands over, and never blocks on anything else.
//!
//! What lives here: the two rings between the device thread and the worker, and the thread's loop.
//! Buffers travel full one way and empty the other, so nothing is allocated and nobody waits for a
//! lock. When the worker is too far behind, what cannot be handed over becomes a gap in front of the
//! next period. What does not: reading (`source`), what becomes of the audio (`worker`). `card`
//! starts it.

use crate::source::{Gaps, Params, Period, Read, Source};
use rtrb::{Consumer, Producer, RingBuffer};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;
use std::time::Duration;
use tsuwaroku_spool::record::GapCause;

/// How long a read waits before the thread looks whether it shall stop: longer than a usual period,
/// so that it only wakes for audio, and shorter than a stopping worker waits for the last of it.
const PATIENCE: Duration = Duration::from_millis(600);
/// The worker is woken when so much audio waits for it, in parts of a second.
const WAKE_PARTS: u64 = 2;
/// Memory of a card's queue, bytes, within the bounds of [`SLOTS`].
const QUEUE_BYTES: usize = 8 << 20;
/// Fewest and most periods in a card's queue.
const SLOTS: std::ops::RangeInclusive<usize> = 16..=128;
/// Periods read at most after the stop: more than any card's buffer holds.
const LAST_PERIODS: usize = 256;

/// The device thread's end of the queue.
#[derive(Debug)]
pub struct Sender {
    full: Producer<Period>,
    empty: Consumer<Period>,
    /// Buffers that came back. The last one is used next: it is still in the processor's cache.
    back: Vec<Period>,
    /// The buffer that the next read fills.
    spare: Period,
    /// What could not be handed over since the last period that could.
    lost: Gaps,
    unseen: u64,
    wake_frames: u64,
}

/// The worker's end of the queue.
#[derive(Debug)]
pub struct Receiver {
    full: Consumer<Period>,
    empty: Producer<Period>,
}

/// A queue for a source with `params`.
pub fn queue(params: &Params) -> (Sender, Receiver) {
    let slot = params.layout.bytes(params.period_frames).max(1);
    queue_of(
        params,
        (QUEUE_BYTES / slot).clamp(*SLOTS.start(), *SLOTS.end()),
    )
}

/// A queue with room for `slots` periods.
pub fn queue_of(params: &Params, slots: usize) -> (Sender, Receiver) {
    let (full_in, full_out) = RingBuffer::new(slots);
    // Never full: there are `slots` buffers in all, and no more are made.
    let (empty_in, empty_out) = RingBuffer::new(slots);
    let sender = Sender {
        full: full_in,
        empty: empty_out,
        back: (0..slots).map(|_| Period::new(params)).collect(),
        spare: Period::new(params),
        lost: Gaps::default(),
        unseen: 0,
        wake_frames: u64::from(params.rate) / WAKE_PARTS,
    };
    (
        sender,
        Receiver {
            full: full_out,
            empty: empty_in,
        },
    )
}

impl Sender {
    /// Hands the spare over, or notes what is lost by not doing so. Says whether the worker has
    /// enough to do.
    fn hand_over(&mut self) -> bool {
        let (frames, gaps) = (self.spare.frames as u64, self.spare.gaps);
        while let Ok(period) = self.empty.pop() {
            self.back.push(period);
        }
        let Some(empty) = self.back.pop() else {
            self.lost.append(&gaps);
            self.lost.push(frames, GapCause::Queue);
            return true;
        };
        self.lost.append(&gaps);
        self.spare.gaps = std::mem::take(&mut self.lost);
        // A buffer that came back left its place in the ring.
        let _ = self.full.push(std::mem::replace(&mut self.spare, empty));
        self.unseen += frames + gaps.frames();
        let wake = self.unseen >= self.wake_frames;
        if wake {
            self.unseen = 0;
        }
        wake
    }
}

impl Receiver {
    /// The next period, if there is one. Give it back with [`Receiver::give_back`].
    pub fn next(&mut self) -> Option<Period> {
        self.full.pop().ok()
    }

    /// Returns a period's buffer to the device thread.
    pub fn give_back(&mut self, period: Period) {
        let _ = self.empty.push(period);
    }

    /// Whether the device thread has ended: nothing more will come.
    pub fn is_over(&self) -> bool {
        self.full.is_abandoned()
    }
}

/// The device thread's loop: until `stop` is set, and then what the card still holds; or until the
/// source ends. Wakes `worker`.
pub fn run(source: &mut dyn Source, mut sender: Sender, worker: &Thread, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        match step(source, &mut sender, PATIENCE) {
            (Read::End, _) => break,
            (_, true) => worker.unpark(),
            (_, false) => {}
        }
    }
    for _ in 0..LAST_PERIODS {
        if step(source, &mut sender, Duration::ZERO).0 != Read::Period {
            break;
        }
    }
    drop(sender);
    worker.unpark();
}

fn step(source: &mut dyn Source, sender: &mut Sender, patience: Duration) -> (Read, bool) {
    sender.spare.clear();
    let read = source.read(&mut sender.spare, patience);
    (read, read == Read::Period && sender.hand_over())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::script::{Act, Script};
    use tsuwaroku_config::Format;

    /// Gaps, frames and first byte of a period.
    type Seen = (Vec<(u64, GapCause)>, usize, u8);

    fn drained(receiver: &mut Receiver) -> Vec<Seen> {
        let mut seen = Vec::new();
        while let Some(period) = receiver.next() {
            seen.push((period.gaps.iter().collect(), period.frames, period.bytes[0]));
            receiver.give_back(period);
        }
        seen
    }

    #[test]
    fn a_full_queue_becomes_a_gap_of_the_exact_length_at_the_exact_place() {
        let audio = |n: u8, frames: usize| Act::Audio(vec![n; frames]);
        let acts = vec![
            audio(1, 100),
            audio(2, 100),
            audio(3, 70),
            Act::Lost(5, GapCause::Overrun),
            audio(4, 30),
            audio(5, 100),
        ];
        let mut script = Script::new(Format::MU_LAW, 1, 8000, acts);
        let (mut sender, mut receiver) = queue_of(script.params(), 2);
        for _ in 0..5 {
            step(&mut script, &mut sender, Duration::ZERO);
        }
        assert_eq!(drained(&mut receiver), [(vec![], 100, 1), (vec![], 100, 2)]);
        step(&mut script, &mut sender, Duration::ZERO);
        let gaps = vec![
            (70, GapCause::Queue),
            (5, GapCause::Overrun),
            (30, GapCause::Queue),
        ];
        assert_eq!(drained(&mut receiver), [(gaps, 100, 5)]);
    }

    #[test]
    fn after_a_stop_the_rest_is_still_read() {
        let acts = vec![Act::Audio(vec![1; 2500])];
        let mut script = Script::new(Format::MU_LAW, 1, 8000, acts);
        let (sender, mut receiver) = queue(script.params());
        run(
            &mut script,
            sender,
            &std::thread::current(),
            &AtomicBool::new(true),
        );
        assert!(receiver.is_over());
        let frames: usize = drained(&mut receiver)
            .iter()
            .map(|(_, frames, _)| frames)
            .sum();
        assert_eq!(frames, 2500);
    }
}
