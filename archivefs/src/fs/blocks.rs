//! Decoded blocks in memory, for all open recordings together: bounded in bytes, the one unused for
//! longest goes first, and decoded once however many ask for it at the same time.
//!
//! Not here: what a block is made of (`store`), and which ones will be wanted (`reader`). A cache from
//! elsewhere was looked at (`quick_cache`): it cannot drop what is being decoded without its number, and
//! the erasure of a recording must.

use crate::catalogue::Key;
use crate::codec::Decoder;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A block: of which recording, and which one of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlockId {
    /// The recording.
    pub recording: Key,
    /// The block's number in its object.
    pub number: u32,
}

/// The samples of a block, as they stand in the WAV file.
pub type Samples = Arc<Vec<u8>>;

/// The cache. Threads share it.
pub struct Blocks {
    /// Most bytes that are kept.
    capacity: u64,
    state: Mutex<State>,
    /// Something that was being decoded no longer is.
    settled: Condvar,
    /// Decoders at rest: as many as ever decoded at once.
    decoders: Mutex<Vec<Decoder>>,
}

#[derive(Default)]
struct State {
    kept: HashMap<BlockId, Kept>,
    /// What is kept, by when it was last used.
    by_use: BTreeMap<u64, BlockId>,
    bytes: u64,
    /// Tickets of what is being decoded; one that was forgotten has none.
    decoding: HashMap<BlockId, u64>,
    /// Counts uses and tickets.
    clock: u64,
}

struct Kept {
    samples: Samples,
    used: u64,
}

impl std::fmt::Debug for Blocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blocks")
            .field("capacity", &self.capacity)
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

impl Blocks {
    /// An empty cache for `capacity` bytes of samples.
    pub fn new(capacity: u64) -> Self {
        Self {
            capacity,
            state: Mutex::default(),
            settled: Condvar::new(),
            decoders: Mutex::default(),
        }
    }

    /// Bytes of samples that are kept now.
    pub fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    /// The block `id`, if it is kept.
    pub fn ready(&self, id: BlockId) -> Option<Samples> {
        self.lock().take_note(id)
    }

    /// Whether the block `id` is kept; that is no use of it.
    pub fn has(&self, id: BlockId) -> bool {
        self.lock().kept.contains_key(&id)
    }

    /// The block `id`: kept, or made by `decode`. While another thread decodes it, waits for that.
    ///
    /// # Errors
    /// Those of `decode`; each that asks decodes for itself when one has failed.
    pub fn get<E>(
        &self,
        id: BlockId,
        decode: impl FnOnce(&mut Decoder) -> Result<Vec<u8>, E>,
    ) -> Result<Samples, E> {
        let mut state = self.lock();
        while state.decoding.contains_key(&id) {
            state = self
                .settled
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        match state.take_note(id) {
            Some(samples) => Ok(samples),
            None => self.turn(state, id).decode(decode),
        }
    }

    /// The same for who cannot wait: nothing if `decode` gives nothing, or if another thread that
    /// decodes it takes longer than `patience`.
    ///
    /// # Errors
    /// Those of `decode`.
    pub fn get_soon<E>(
        &self,
        id: BlockId,
        patience: Duration,
        decode: impl FnOnce(&mut Decoder) -> Result<Option<Vec<u8>>, E>,
    ) -> Result<Option<Samples>, E> {
        let state = self.lock();
        let is_decoded = |state: &mut State| state.decoding.contains_key(&id);
        let (mut state, waited) = self
            .settled
            .wait_timeout_while(state, patience, is_decoded)
            .unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return Ok(None);
        }
        match state.take_note(id) {
            Some(samples) => Ok(Some(samples)),
            None => self.turn(state, id).decode_if(decode),
        }
    }

    /// Sees to it that the block `id` is there when it will be wanted; does nothing when it is kept or
    /// another thread is at it. Whoever wants it later will meet what `decode` failed with.
    pub fn prepare<E>(&self, id: BlockId, decode: impl FnOnce(&mut Decoder) -> Result<Vec<u8>, E>) {
        let state = self.lock();
        if !state.kept.contains_key(&id) && !state.decoding.contains_key(&id) {
            let _ = self.turn(state, id).decode(decode);
        }
    }

    /// Drops every block of `recording`, and what of it is being decoded will not be kept. Its readers
    /// must have been failed before, so that none begins to decode another one.
    pub fn forget(&self, recording: Key) {
        let mut state = self.lock();
        state.decoding.retain(|id, _| id.recording != recording);
        let of_it = |id: &&BlockId| id.recording == recording;
        let ids: Vec<_> = state.kept.keys().filter(of_it).copied().collect();
        for id in ids {
            state.drop_block(id);
        }
        drop(state);
        self.settled.notify_all();
    }

    fn turn(&self, mut state: MutexGuard<'_, State>, id: BlockId) -> Turn<'_> {
        let ticket = state.tick();
        state.decoding.insert(id, ticket);
        drop(state);
        Turn {
            blocks: self,
            id,
            ticket,
        }
    }

    /// Decodes with a decoder at rest, or a new one; one that was in a panic is not used again.
    fn decode<T>(&self, decode: impl FnOnce(&mut Decoder) -> T) -> T {
        let resting = self.decoders().pop();
        let mut decoder = resting.unwrap_or_default();
        let samples = decode(&mut decoder);
        self.decoders().push(decoder);
        samples
    }

    // A panic elsewhere leaves nothing half done in here.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn decoders(&self) -> MutexGuard<'_, Vec<Decoder>> {
        self.decoders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One thread's turn to decode a block; when it is over, however it ends, the others go on.
struct Turn<'a> {
    blocks: &'a Blocks,
    id: BlockId,
    ticket: u64,
}

impl Turn<'_> {
    fn decode<E>(
        self,
        decode: impl FnOnce(&mut Decoder) -> Result<Vec<u8>, E>,
    ) -> Result<Samples, E> {
        let samples = self.blocks.decode(decode)?;
        Ok(self.keep(samples))
    }

    fn decode_if<E>(
        self,
        decode: impl FnOnce(&mut Decoder) -> Result<Option<Vec<u8>>, E>,
    ) -> Result<Option<Samples>, E> {
        let samples = self.blocks.decode(decode)?;
        Ok(samples.map(|samples| self.keep(samples)))
    }

    fn keep(self, samples: Vec<u8>) -> Samples {
        let samples = Arc::new(samples);
        let mut state = self.blocks.lock();
        if state.decoding.get(&self.id) == Some(&self.ticket) {
            state.keep(self.id, samples.clone(), self.blocks.capacity);
        }
        samples
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.blocks.lock();
        if state.decoding.get(&self.id) == Some(&self.ticket) {
            state.decoding.remove(&self.id);
        }
        drop(state);
        self.blocks.settled.notify_all();
    }
}

impl State {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// The samples of `id`, which are used by this.
    fn take_note(&mut self, id: BlockId) -> Option<Samples> {
        let now = self.tick();
        let kept = self.kept.get_mut(&id)?;
        self.by_use.remove(&kept.used);
        self.by_use.insert(now, id);
        kept.used = now;
        Some(kept.samples.clone())
    }

    /// Keeps `samples`, and drops what was unused for longest until all fit.
    fn keep(&mut self, id: BlockId, samples: Samples, capacity: u64) {
        let used = self.tick();
        self.bytes += samples.len() as u64;
        self.by_use.insert(used, id);
        self.kept.insert(id, Kept { samples, used });
        while self.bytes > capacity {
            let Some((_, &oldest)) = self.by_use.first_key_value() else {
                return;
            };
            self.drop_block(oldest);
        }
    }

    fn drop_block(&mut self, id: BlockId) {
        if let Some(kept) = self.kept.remove(&id) {
            self.by_use.remove(&kept.used);
            self.bytes -= kept.samples.len() as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::mpsc::channel;
    use std::thread;

    fn id(recording: i64, number: u32) -> BlockId {
        let recording = Key::from_i64(recording).unwrap();
        BlockId { recording, number }
    }

    #[expect(clippy::unnecessary_wraps, reason = "it is what decoding gives")]
    fn ten(byte: u8) -> Result<Vec<u8>, Infallible> {
        Ok(vec![byte; 10])
    }

    #[test]
    fn what_was_unused_for_longest_goes_first() {
        let blocks = Blocks::new(30);
        for number in 0..3 {
            blocks.get(id(1, number), |_| ten(0)).unwrap();
        }
        assert!(blocks.ready(id(1, 0)).is_some());
        blocks.get(id(1, 3), |_| ten(0)).unwrap();
        assert_eq!(blocks.bytes(), 30);
        let there: Vec<_> = (0..4)
            .filter(|&n| blocks.ready(id(1, n)).is_some())
            .collect();
        assert_eq!(there, [0, 2, 3]);
    }

    #[test]
    fn what_is_larger_than_all_room_is_given_but_not_kept() {
        let blocks = Blocks::new(9);
        assert_eq!(*blocks.get(id(1, 0), |_| ten(7)).unwrap(), [7; 10]);
        assert_eq!(blocks.bytes(), 0);
    }

    #[test]
    fn many_that_ask_at_once_cost_one_decode() {
        let (blocks, decodes) = (Blocks::new(1000), AtomicU32::new(0));
        let (begun, has_begun) = channel();
        let (go_on, goes_on) = channel();
        let (blocks, decodes) = (&blocks, &decodes);
        thread::scope(|scope| {
            let first = scope.spawn(move || {
                let decode = |_: &mut Decoder| {
                    decodes.fetch_add(1, Ordering::Relaxed);
                    begun.send(()).unwrap();
                    goes_on.recv().unwrap();
                    ten(5)
                };
                blocks.get(id(1, 0), decode).unwrap()
            });
            has_begun.recv().unwrap();
            let ask = || {
                let decode = |_: &mut Decoder| {
                    decodes.fetch_add(1, Ordering::Relaxed);
                    ten(6)
                };
                blocks.prepare(id(1, 0), decode);
                blocks.get(id(1, 0), decode).unwrap()
            };
            let others: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            assert!(blocks.ready(id(1, 0)).is_none());
            go_on.send(()).unwrap();
            assert_eq!(*first.join().unwrap(), [5; 10]);
            for other in others {
                assert_eq!(*other.join().unwrap(), [5; 10]);
            }
        });
        assert_eq!(decodes.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn who_cannot_wait_gets_nothing_of_what_takes_long() {
        let blocks = &Blocks::new(1000);
        let patience = Duration::from_millis(1);
        let nothing = |_: &mut Decoder| Ok::<_, Infallible>(None);
        let soon = |decode| blocks.get_soon(id(1, 0), patience, decode).unwrap();
        assert_eq!(soon(nothing), None);
        let (begun, has_begun) = channel();
        let (go_on, goes_on) = channel();
        thread::scope(|scope| {
            let slow = scope.spawn(move || {
                let decode = |_: &mut Decoder| {
                    begun.send(()).unwrap();
                    goes_on.recv().unwrap();
                    ten(5)
                };
                blocks.get(id(1, 0), decode).unwrap()
            });
            has_begun.recv().unwrap();
            assert_eq!(soon(nothing), None);
            go_on.send(()).unwrap();
            slow.join().unwrap();
        });
        assert_eq!(*soon(nothing).unwrap(), [5; 10]);
        let made = blocks.get_soon(id(1, 1), patience, |_| ten(6).map(Some));
        assert_eq!(*made.unwrap().unwrap(), [6; 10]);
        assert!(blocks.has(id(1, 1)));
    }

    #[test]
    fn who_fails_or_panics_keeps_nobody_waiting() {
        let blocks = Blocks::new(1000);
        assert_eq!(
            blocks.get(id(1, 0), |_| Err::<Vec<u8>, _>("bad")),
            Err("bad")
        );
        thread::scope(|scope| {
            let panics = scope.spawn(|| blocks.get::<()>(id(1, 0), |_| panic!("a bad decoder")));
            assert!(panics.join().is_err());
        });
        assert_eq!(*blocks.get(id(1, 0), |_| ten(1)).unwrap(), [1; 10]);
    }

    /// R6.7: of an erased recording nothing stays, nor what was being decoded as it was erased.
    #[test]
    fn nothing_of_a_forgotten_recording_stays() {
        let blocks = Blocks::new(1000);
        blocks.get(id(1, 0), |_| ten(1)).unwrap();
        blocks.get(id(2, 0), |_| ten(2)).unwrap();
        let late = blocks.get(id(1, 1), |_| {
            blocks.forget(id(1, 0).recording);
            ten(3)
        });
        assert_eq!(*late.unwrap(), [3; 10]);
        assert!(blocks.ready(id(1, 0)).is_none() && blocks.ready(id(1, 1)).is_none());
        assert!(blocks.ready(id(2, 0)).is_some());
        assert_eq!(blocks.bytes(), 10);
    }

    /// A second decode of the same block, begun after the first was forgotten, is the first one's
    /// business no more.
    #[test]
    fn a_forgotten_turn_does_not_end_another() {
        let blocks = Blocks::new(1000);
        let outer = blocks.get(id(1, 0), |_| {
            blocks.forget(id(1, 0).recording);
            blocks.get(id(1, 0), |_| ten(2)).unwrap();
            ten(1)
        });
        assert_eq!(*outer.unwrap(), [1; 10]);
        assert_eq!(*blocks.ready(id(1, 0)).unwrap(), [2; 10]);
    }
}
