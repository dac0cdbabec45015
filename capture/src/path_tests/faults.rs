//! A spool that fails for a while, and for long.

use super::*;

#[derive(Clone)]
struct Flaky {
    writer: Rc<Writer>,
    fails: Rc<Cell<bool>>,
    /// Fails from this frame of the first recording on.
    fails_at: u64,
    /// Is repaired after so many failures.
    failures: Rc<Cell<u32>>,
}

struct FlakyEntry {
    call: OpenCall,
    frames: u64,
    spool: Flaky,
}

impl Flaky {
    fn new(root: &Path, fails_at: u64, failures: u32) -> Self {
        Self {
            writer: Rc::new(Writer::open(root).unwrap()),
            fails: Rc::new(Cell::new(false)),
            fails_at,
            failures: Rc::new(Cell::new(failures)),
        }
    }

    /// Fails once more, or is repaired.
    fn attempt(&self) -> Result<(), SpoolError> {
        if !self.fails.get() {
            return Ok(());
        }
        if self.failures.get() == 0 {
            self.fails.set(false);
            return Ok(());
        }
        self.failures.set(self.failures.get() - 1);
        let source = std::io::Error::from_raw_os_error(nix::errno::Errno::ENOSPC as i32);
        Err(SpoolError::Step {
            step: Step::WriteRecord,
            path: PathBuf::from("full"),
            source,
        })
    }
}

impl Spool for Flaky {
    type Entry = FlakyEntry;
    fn begin(&self, start: Start) -> Result<FlakyEntry, SpoolError> {
        self.attempt()?;
        Ok(FlakyEntry {
            call: self.writer.begin(start)?,
            frames: 0,
            spool: self.clone(),
        })
    }
    fn recover(&self) -> Result<Vec<Recovered>, SpoolError> {
        self.writer.recover()
    }
}

impl KeptEntry for FlakyEntry {
    fn audio(&mut self, samples: &[u8]) -> Result<(), SpoolError> {
        self.frames += samples.len() as u64 / 2;
        if self.frames >= self.spool.fails_at && self.spool.failures.get() > 0 {
            self.spool.fails.set(true);
        }
        self.spool.attempt()?;
        self.call.audio(samples)
    }
    fn gap(&mut self, frames: u64, cause: GapCause) -> Result<(), SpoolError> {
        self.spool.attempt()?;
        self.call.gap(frames, cause)
    }
    fn sync(&mut self) -> Result<(), SpoolError> {
        self.spool.attempt()?;
        self.call.sync()
    }
    fn durable_frames(&self) -> u64 {
        self.call.durable_frames()
    }
    fn finish(self, ended_at: i64, reason: EndReason) -> Result<PathBuf, SpoolError> {
        self.call.finish(ended_at, reason)
    }
    fn abandon(self) -> Result<(), SpoolError> {
        self.call.abandon()
    }
    fn salvage(self) -> Result<Option<PathBuf>, SpoolError> {
        self.call.salvage()
    }
}

/// The two recordings of a call of 100 s whose spool fails `failures` times from second 9 on.
fn broken(failures: u32, capture: &Capture) -> (Vec<i16>, Vec<Recording>) {
    let sound = sound(60, 120 * SECOND, &[(5 * SECOND, 105 * SECOND)]);
    let root = tempfile::tempdir().unwrap();
    let spool = Flaky::new(root.path(), 6 * SECOND, failures);
    let script = Script::new(Format::S16_LE, 1, RATE, vec![Act::Audio(bytes(&sound))]);
    play(spool, script, &mono(), capture);
    (sound, recordings(root.path()))
}

#[test]
fn a_spool_that_fails_for_a_while_loses_nothing() {
    let (sound, recordings) = broken(20, &capture());
    assert_eq!(recordings.len(), 2);
    let (first, second) = (&recordings[0], &recordings[1]);
    assert_eq!(first.end.reason, EndReason::Truncated);
    let cut = 3 * SECOND + first.frames.len() as u64;
    first.assert_is(&[&sound], 3 * SECOND, cut);
    // The second goes on at the very next frame, and nothing is missing.
    second.assert_is(&[&sound], cut, 113 * SECOND);
    assert_eq!(second.gaps, []);
    assert_eq!(second.start.continues, Some(first.start.id));
    assert_eq!(second.start.pre_roll, 0);
}

#[test]
fn a_call_that_broke_off_and_is_split_stays_one_chain() {
    let capture = Capture {
        maximum_length: Duration::from_secs(60),
        ..capture()
    };
    let (sound, recordings) = broken(5, &capture);
    assert_eq!(recordings.len(), 3);
    let mut from = 3 * SECOND;
    let mut previous = None;
    for recording in &recordings {
        let to = from + recording.frames.len() as u64;
        recording.assert_is(&[&sound], from, to);
        assert_eq!(recording.start.continues, previous);
        from = to;
        previous = Some(recording.start.id);
    }
    assert_eq!(from, 113 * SECOND);
    assert_eq!(recordings[1].end.reason, EndReason::MaximumLength);
}

#[test]
fn a_spool_that_fails_for_long_loses_what_memory_cannot_hold_as_a_gap() {
    let (sound, recordings) = broken(75, &capture());
    assert_eq!(recordings.len(), 2);
    let (first, second) = (&recordings[0], &recordings[1]);
    let cut = 3 * SECOND + first.frames.len() as u64;
    second.assert_is(&[&sound], cut, 113 * SECOND);
    assert_eq!(second.gaps.len(), 1);
    assert_eq!(second.gaps[0].cause, GapCause::Spool);
    // A minute is held: of the 75 s some 15 are missing.
    assert!(
        (14 * SECOND..17 * SECOND).contains(&second.lost()),
        "{}",
        second.lost()
    );
}

#[test]
fn other_lines_go_on_while_one_cannot_be_begun() {
    let talks = [(5 * SECOND, 9 * SECOND)];
    let channels: Vec<Vec<i16>> = (0..2).map(|n| sound(70 + n, 30 * SECOND, &talks)).collect();
    let lines = [
        line("06-6458-1132", Channels::Mixed(1)),
        line("06-6458-7160", Channels::Mixed(2)),
    ];
    let root = tempfile::tempdir().unwrap();
    let spool = Flaky::new(root.path(), u64::MAX, 1);
    spool.fails.set(true);
    let script = Script::new(Format::S16_LE, 2, RATE, vec![Act::Audio(woven(&channels))]);
    play(spool, script, &lines, &capture());
    let recordings = recordings(root.path());
    assert_eq!(recordings.len(), 2);
    for recording in &recordings {
        let channel = usize::from(recording.start.card_channels[0]) - 1;
        recording.assert_is(&[&channels[channel]], 3 * SECOND, 17 * SECOND);
        assert_eq!(recording.start.continues, None);
    }
}
