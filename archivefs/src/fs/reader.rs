//! An open recording: any range of its WAV file, out of the blocks that all readers share.
//!
//! ```text
//! ready ──► kept ──► stored bytes in memory: decoded here ──► None: the disk has to be waited for
//!             └────► the blocks after the first one: a thread with nothing better to do begins at the end
//! read ───► kept, or read and decoded here
//! ```
//!
//! The kernel reads ahead and has several reads under way, so nothing is decoded that it did not ask for.
//! Not here: who may read (`gate`), threads (`pool`), and how long blocks are kept (`blocks`).

use super::blocks::{BlockId, Blocks, Samples};
use super::pool::{AtOnce, Pool};
use crate::catalogue::Key;
use crate::codec::Decoder;
use crate::store::{Object, Part, StoreError};
use std::io;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An open recording. Several threads may read at once.
pub struct Reader {
    source: Arc<Source>,
    pool: Option<Arc<Pool>>,
    served: Mutex<Served>,
}

/// What was given out of a recording. What the kernel had in its cache was not asked for, and is not
/// counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Served {
    /// Bytes, those given twice counted twice.
    pub bytes: u64,
    /// Reads that were answered with at least one byte.
    pub reads: u64,
    /// The first byte of the WAV file that was given out; 0 if none was.
    pub first_offset: u64,
    /// The byte after the last one; 0 if none was given out.
    pub end_offset: u64,
}

/// What a reader shares with the work done ahead of it.
struct Source {
    object: Object,
    recording: Key,
    blocks: Arc<Blocks>,
    failed: AtomicBool,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("recording", &self.source.recording)
            .field("served", &self.served())
            .finish_non_exhaustive()
    }
}

impl Reader {
    /// A reader of `object`, the recording `key`, that takes blocks out of `blocks`; `pool` is that of the
    /// object's disk.
    pub fn new(object: Object, key: Key, blocks: Arc<Blocks>, pool: Option<Arc<Pool>>) -> Self {
        let source = Source {
            object,
            recording: key,
            blocks,
            failed: AtomicBool::new(false),
        };
        Self {
            source: Arc::new(source),
            pool,
            served: Mutex::default(),
        }
    }

    /// Up to `size` bytes from byte `offset` on: fewer only at the end of the file. Waits for the disk.
    ///
    /// # Errors
    /// The disk fails, the object is damaged, or the reader was failed.
    pub fn read(&self, offset: u64, size: usize) -> Result<Vec<u8>, StoreError> {
        let range = self.source.range(offset, size);
        let bytes = self
            .source
            .collect(&range, |number| self.source.block(number).map(Some))?;
        let bytes = bytes.unwrap_or_default();
        self.source.check()?;
        self.note(offset, bytes.len() as u64);
        Ok(bytes)
    }

    /// The same if the disk need not be waited for; otherwise, and where there is an error, nothing. What
    /// is missing is decoded by several threads.
    pub fn ready(&self, offset: u64, size: usize) -> Option<Vec<u8>> {
        let range = self.source.range(offset, size);
        let bytes = self.kept(&range).or_else(|| self.decoded(&range))?;
        self.source.check().ok()?;
        self.note(offset, bytes.len() as u64);
        Some(bytes)
    }

    fn kept(&self, range: &Range<u64>) -> Option<Vec<u8>> {
        let kept = |number| Ok(self.source.blocks.ready(self.source.id(number)));
        self.source.collect(range, kept).ok()?
    }

    /// The bytes of `range`, decoded on this thread, with the help of another one.
    fn decoded(&self, range: &Range<u64>) -> Option<Vec<u8>> {
        let pool = self.pool.as_ref()?;
        self.ask_for_help(pool, range);
        let _leave = pool.at_once()?;
        let block = |number| self.source.block_soon(number);
        // A decoder's fault must not cost a thread that answers the kernel; the pool will tell of it.
        let bytes = catch_unwind(AssertUnwindSafe(|| self.source.collect(range, block)));
        bytes.ok()?.ok()?
    }

    /// Has a spare thread decode what is missing of `range`, from its end on; whoever asks begins with the
    /// first block.
    fn ask_for_help(&self, pool: &Pool, range: &Range<u64>) {
        let mut missing = self.source.missing(range);
        let Some(first) = missing.next() else { return };
        if missing.next().is_none() {
            return;
        }
        drop(missing);
        let (source, range) = (self.source.clone(), range.clone());
        pool.spare(move || {
            let others = source.missing(&range).filter(|&number| number > first);
            let others: Vec<_> = others.collect();
            for number in others.into_iter().rev() {
                source.prepare(number);
            }
        });
    }

    /// From now on every read fails: the recording is being erased.
    pub fn fail(&self) {
        self.source.failed.store(true, Ordering::SeqCst);
    }

    /// Whether [`Self::fail`] was called: an error is no fault of the disk then.
    pub fn is_failed(&self) -> bool {
        self.source.failed.load(Ordering::SeqCst)
    }

    /// What was given out so far.
    pub fn served(&self) -> Served {
        *self.counted()
    }

    fn note(&self, offset: u64, bytes: u64) {
        self.counted().note(offset, bytes);
    }

    // A panic elsewhere leaves nothing half done in here.
    fn counted(&self) -> MutexGuard<'_, Served> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Served {
    fn note(&mut self, offset: u64, bytes: u64) {
        if bytes == 0 {
            return;
        }
        self.first_offset = match self.reads {
            0 => offset,
            _ => self.first_offset.min(offset),
        };
        self.end_offset = self.end_offset.max(offset + bytes);
        self.bytes += bytes;
        self.reads += 1;
    }
}

impl Source {
    fn id(&self, number: u32) -> BlockId {
        BlockId {
            recording: self.recording,
            number,
        }
    }

    /// As much of the range asked for as the file has.
    fn range(&self, offset: u64, size: usize) -> Range<u64> {
        let end = offset.saturating_add(size as u64);
        offset..end.min(self.object.wav_bytes()).max(offset)
    }

    /// How many blocks have bytes before `offset`.
    fn blocks_below(&self, offset: u64) -> u32 {
        match self.object.part_at(offset.saturating_sub(1)) {
            Part::Block { number, .. } => number + 1,
            Part::Bytes(_) if offset > self.object.around().0.len() as u64 => self.object.blocks(),
            Part::Bytes(_) => 0,
        }
    }

    /// The bytes of `range`, its blocks out of `block`; nothing as soon as that gives nothing.
    fn collect(
        &self,
        range: &Range<u64>,
        block: impl Fn(u32) -> Result<Option<Samples>, StoreError>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let size = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let mut out = Vec::with_capacity(size);
        while out.len() < size {
            let left = size - out.len();
            let mut take = |bytes: &[u8]| out.extend_from_slice(&bytes[..bytes.len().min(left)]);
            match self.object.part_at(range.end - left as u64) {
                Part::Bytes([]) => break,
                Part::Bytes(bytes) => take(bytes),
                Part::Block { number, skip } => match block(number)? {
                    Some(samples) => take(&samples[skip..]),
                    None => return Ok(None),
                },
            }
        }
        Ok(Some(out))
    }

    fn block(&self, number: u32) -> Result<Samples, StoreError> {
        self.blocks
            .get(self.id(number), |decoder| self.decode(number, decoder))
    }

    /// The block, unless its disk or another thread has to be waited for.
    fn block_soon(&self, number: u32) -> Result<Option<Samples>, StoreError> {
        let decode = |decoder: &mut Decoder| {
            self.check()?;
            self.object.block_at_once(number, decoder)
        };
        self.blocks
            .get_soon(self.id(number), AtOnce::PATIENCE, decode)
    }

    /// The blocks of `range` that are not kept.
    fn missing(&self, range: &Range<u64>) -> impl Iterator<Item = u32> {
        let first = self.blocks_below(range.start + 1).saturating_sub(1);
        let missing = move |number: &u32| !self.blocks.has(self.id(*number));
        (first..self.blocks_below(range.end)).filter(missing)
    }

    fn prepare(&self, number: u32) {
        self.blocks
            .prepare(self.id(number), |decoder| self.decode(number, decoder));
    }

    /// Checked here, where the cache knows of the decode already, so that it either sees the failure or
    /// is forgotten.
    fn decode(&self, number: u32, decoder: &mut Decoder) -> Result<Vec<u8>, StoreError> {
        self.check()?;
        self.object.block(number, decoder)
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.failed.load(Ordering::SeqCst) {
            return Err(io::Error::other("the recording is being erased").into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ObjectWriter;
    use crate::store::tests::{call, key};
    use crate::wav;
    use std::time::Duration;
    use tsuwaroku_spool::record::Encoding;

    /// Bytes of a block: four seconds at the rate of 50 Hz that the tests' calls have.
    const BLOCK: u64 = 200;

    struct Fixture {
        file: tempfile::NamedTempFile,
        wav: Vec<u8>,
        blocks: Arc<Blocks>,
    }

    fn fixture(audio_bytes: u32) -> Fixture {
        let audio: Vec<u8> = (0..audio_bytes).map(|n| (n * 7 % 251) as u8).collect();
        let call = call(&audio, 1, Encoding::MuLaw);
        let frame = wav::Frame::around(&call, chrono_tz::Tz::Asia__Tokyo);
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut writer =
            ObjectWriter::begin(file.reopen().unwrap(), &call, &frame, &key()).unwrap();
        writer.samples(&audio).unwrap();
        writer.seal().unwrap();
        Fixture {
            file,
            wav: [&frame.before[..], &audio, &frame.after].concat(),
            blocks: Arc::new(Blocks::new(1 << 20)),
        }
    }

    impl Fixture {
        fn reader(&self, ahead: Option<Arc<Pool>>) -> Reader {
            let object = Object::open(self.file.path(), &key()).unwrap();
            let recording = Key::from_i64(1).unwrap();
            Reader::new(object, recording, self.blocks.clone(), ahead)
        }

        /// Where block `number` begins in the WAV file.
        fn at(&self, number: u64, reader: &Reader) -> u64 {
            let before = reader.source.object.around().0.len();
            let at = before + (number * BLOCK) as usize;
            assert!(at < self.wav.len(), "there is no such block");
            at as u64
        }

        fn has(&self, number: u32) -> bool {
            let recording = Key::from_i64(1).unwrap();
            self.blocks.ready(BlockId { recording, number }).is_some()
        }
    }

    fn pool() -> Arc<Pool> {
        Arc::new(Pool::new("test", 2, Duration::from_secs(3600)).unwrap())
    }

    #[test]
    fn any_range_is_that_of_the_file() {
        for audio in [0, 1, 199, 200, 201, 1999] {
            let fixture = fixture(audio);
            for ahead in [None, Some(pool())] {
                let reader = fixture.reader(ahead);
                for offset in (0..fixture.wav.len() + 50).step_by(37) {
                    for size in [0, 1, 199, 200, 450, 5000] {
                        let end = (offset + size).min(fixture.wav.len());
                        let expected = fixture.wav.get(offset..end).unwrap_or(&[]);
                        let read = reader.read(offset as u64, size).unwrap();
                        assert_eq!(read, expected, "{audio}: {offset}+{size}");
                        let ready = reader.ready(offset as u64, size).unwrap();
                        assert_eq!(ready, expected, "{audio}: {offset}+{size}");
                    }
                }
            }
        }
        let reader = fixture(5).reader(None);
        assert!(reader.read(u64::MAX, usize::MAX).unwrap().is_empty());
    }

    #[test]
    fn ready_answers_without_decoding_only() {
        let fixture = fixture(1000);
        let reader = fixture.reader(None);
        let second = fixture.at(1, &reader);
        let header = fixture.at(0, &reader) as usize;
        assert_eq!(reader.ready(0, header).unwrap(), fixture.wav[..header]);
        assert_eq!(reader.ready(second, 10), None);
        reader.read(second, 10).unwrap();
        assert!(reader.ready(second + 5, 10).is_some());
        assert_eq!(
            reader.ready(second + 5, BLOCK as usize),
            None,
            "half of it is there"
        );
    }

    #[test]
    fn what_the_system_has_in_memory_is_ready_without_the_disk() {
        let fixture = fixture(2000);
        let reader = fixture.reader(Some(pool()));
        let at = fixture.at(5, &reader);
        // The object was written a moment ago, and the fixture's file system can tell.
        let bytes = reader.ready(at, BLOCK as usize).unwrap();
        assert_eq!(bytes, fixture.wav[at as usize..][..BLOCK as usize]);
        assert!(fixture.has(5) && !fixture.has(4) && !fixture.has(6));
    }

    #[test]
    fn nothing_is_decoded_on_the_readers_thread_while_the_disk_may_hang() {
        let fixture = fixture(2000);
        let pool = pool();
        let reader = fixture.reader(Some(pool.clone()));
        let leaves: Vec<_> = std::iter::from_fn(|| pool.at_once()).collect();
        assert_eq!(reader.ready(fixture.at(5, &reader), 10), None);
        assert!(!fixture.has(5));
        drop(leaves);
        assert!(reader.ready(fixture.at(5, &reader), 10).is_some());
    }

    #[test]
    fn a_spare_thread_helps_with_what_was_asked_for_and_no_more() {
        let fixture = fixture(2000);
        let pool = pool();
        let reader = fixture.reader(Some(pool.clone()));
        let _nobody_at_once: Vec<_> = std::iter::from_fn(|| pool.at_once()).collect();
        let from = fixture.at(3, &reader);
        assert_eq!(reader.ready(from, 3 * BLOCK as usize), None);
        while !(fixture.has(4) && fixture.has(5)) {
            std::thread::yield_now();
        }
        assert!(!fixture.has(3), "that is left to who reads");
        assert!(!fixture.has(6) && !fixture.has(2));
    }

    /// R6.7: a reader that is open while its recording is erased gets nothing more.
    #[test]
    fn a_failed_reader_gives_nothing() {
        let fixture = fixture(1000);
        let reader = fixture.reader(Some(pool()));
        reader.read(0, 800).unwrap();
        reader.fail();
        fixture.blocks.forget(Key::from_i64(1).unwrap());
        assert!(reader.is_failed());
        for offset in [0, fixture.at(1, &reader), fixture.at(3, &reader)] {
            assert!(reader.read(offset, 10).is_err() && reader.ready(offset, 10).is_none());
        }
        assert_eq!(fixture.blocks.bytes(), 0);
    }

    #[test]
    fn damage_is_an_error_of_its_range() {
        let fixture = fixture(1000);
        let mut object = std::fs::read(fixture.file.path()).unwrap();
        let at = object.len() - (5 * 8 + 32 + 16) - 10;
        object[at] ^= 1;
        std::fs::write(fixture.file.path(), object).unwrap();
        let reader = fixture.reader(None);
        let last = fixture.at(4, &reader);
        assert!(matches!(reader.read(last, 1), Err(StoreError::Damaged(_))));
        assert!(matches!(
            reader.read(last - 1, 2),
            Err(StoreError::Damaged(_))
        ));
        assert_eq!(
            reader.read(last - 1, 1).unwrap(),
            [fixture.wav[last as usize - 1]]
        );
        assert_eq!(reader.served().bytes, 1);
    }

    #[test]
    fn what_was_served_is_counted() {
        let fixture = fixture(1000);
        let reader = fixture.reader(None);
        assert_eq!(reader.served(), Served::default());
        let end = fixture.wav.len() as u64;
        reader.read(300, 100).unwrap();
        reader.ready(310, 20).unwrap();
        reader.read(250, 10).unwrap();
        reader.read(end, 10).unwrap();
        let served = Served {
            bytes: 130,
            reads: 3,
            first_offset: 250,
            end_offset: 400,
        };
        assert_eq!(reader.served(), served);
        reader.read(end - 1, 10).unwrap();
        assert_eq!(reader.served().end_offset, end);
    }
}
