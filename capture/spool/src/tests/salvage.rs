//! A step of a running recording fails and the daemon lives on.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::{TempDir, tempdir};

use super::faults::{Faults, Moment};
use super::{names, samples, start};
use crate::disk::{Disk, Step};
use crate::{EndReason, Entry, GapCause, OpenCall, Outcome, SpoolError, Writer};

/// A writer whose disk fails one kind of step while the switch is on.
struct Failing {
    root: TempDir,
    writer: Writer,
    on: Arc<AtomicBool>,
}

fn failing(step: Step, moment: Moment) -> Failing {
    let root = tempdir().unwrap();
    let on = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&on);
    let faults = Faults::new(move |s, m, _: &Path| {
        let fails = (s, m) == (step, moment) && switch.load(Ordering::Relaxed);
        // ENOSPC
        if fails {
            Err(io::Error::from_raw_os_error(28))
        } else {
            Ok(())
        }
    });
    let disk = Disk::open_with(root.path(), faults).unwrap();
    Failing {
        writer: Writer::over(disk).unwrap(),
        root,
        on,
    }
}

impl Failing {
    /// A recording of 5 durable frames and 3 more.
    fn call(&self) -> OpenCall {
        let mut call = self.writer.begin(start(1)).unwrap();
        call.audio(&samples(0, 5)).unwrap();
        call.sync().unwrap();
        call.audio(&samples(5, 3)).unwrap();
        call
    }
}

fn is_broken<T>(result: &Result<T, SpoolError>) -> bool {
    matches!(result, Err(SpoolError::Broken(id)) if *id == start(1).id)
}

#[test]
fn after_a_failed_write_or_sync_nothing_more_is_taken() {
    for (step, moment) in [
        (Step::WriteRecord, Moment::Before),
        (Step::WriteRecord, Moment::After),
        (Step::SyncFile, Moment::Before),
    ] {
        let failing = failing(step, moment);
        let mut call = failing.call();
        failing.on.store(true, Ordering::Relaxed);
        let failed = match step {
            Step::WriteRecord => call.audio(&samples(8, 1)),
            _ => call.sync(),
        };
        let message = failed.unwrap_err().to_string();
        assert!(message.contains("free space"), "{message}");
        failing.on.store(false, Ordering::Relaxed);
        assert!(is_broken(&call.audio(&samples(8, 1))));
        assert!(is_broken(&call.gap(1, GapCause::Spool)));
        assert!(is_broken(&call.sync()));
        assert!(is_broken(&call.finish(0, EndReason::Silence)));
    }
}

#[test]
fn a_salvaged_recording_has_exactly_the_durable_frames() {
    for (step, moment) in [
        (Step::WriteRecord, Moment::Before),
        (Step::WriteRecord, Moment::After),
        (Step::SyncFile, Moment::Before),
    ] {
        let failing = failing(step, moment);
        let mut call = failing.call();
        failing.on.store(true, Ordering::Relaxed);
        assert!(
            call.audio(&samples(8, 1))
                .and_then(|()| call.sync())
                .is_err()
        );
        failing.on.store(false, Ordering::Relaxed);
        assert_eq!(call.durable_frames(), 5);
        let path = call.salvage().unwrap().unwrap();
        let summary = Entry::open(&path).unwrap().check().unwrap();
        assert_eq!(summary.end.frames, 5);
        assert_eq!(summary.end.reason, EndReason::Truncated);
        assert!(names(failing.root.path(), "incoming").is_empty());
        assert!(names(failing.root.path(), "quarantine").is_empty());
    }
}

#[test]
fn what_could_not_be_salvaged_is_recovered_without_what_was_cut() {
    let failing = failing(Step::WriteRecord, Moment::Before);
    let mut call = failing.call();
    failing.on.store(true, Ordering::Relaxed);
    assert!(call.audio(&samples(8, 1)).is_err());
    assert!(call.salvage().is_err());
    failing.on.store(false, Ordering::Relaxed);
    let recovered = failing.writer.recover().unwrap();
    let [Outcome::Truncated { frames: 5, .. }] =
        recovered.iter().map(|r| &r.outcome).collect::<Vec<_>>()[..]
    else {
        panic!("{recovered:?}");
    };
}

#[test]
fn a_failed_finish_is_completed_by_recovery() {
    for (step, reason, in_incoming) in [
        (Step::WriteRecord, EndReason::Truncated, 1),
        (Step::SyncFile, EndReason::Silence, 1),
        (Step::RenameReady, EndReason::Silence, 1),
        (Step::SyncReady, EndReason::Silence, 0),
        (Step::SyncIncoming, EndReason::Silence, 0),
    ] {
        let failing = failing(step, Moment::Before);
        let call = failing.call();
        failing.on.store(true, Ordering::Relaxed);
        assert!(call.finish(9, EndReason::Silence).is_err(), "{step:?}");
        failing.on.store(false, Ordering::Relaxed);
        assert_eq!(names(failing.root.path(), "incoming").len(), in_incoming);
        failing.writer.recover().unwrap();
        let ready = names(failing.root.path(), "ready");
        let path = failing.root.path().join("ready").join(&ready[0]);
        let summary = Entry::open(&path).unwrap().check().unwrap();
        assert_eq!(
            (summary.end.frames, summary.end.reason),
            (8, reason),
            "{step:?}"
        );
    }
}

#[test]
fn a_recording_that_could_not_be_begun_leaves_nothing() {
    for step in [Step::WriteRecord, Step::SyncFile] {
        let failing = failing(step, Moment::After);
        failing.on.store(true, Ordering::Relaxed);
        assert!(failing.writer.begin(start(1)).is_err());
        assert!(names(failing.root.path(), "incoming").is_empty());
        failing.on.store(false, Ordering::Relaxed);
        failing.writer.begin(start(1)).unwrap();
    }
}

#[test]
fn a_file_that_cannot_be_closed_stays_and_keeps_none_of_the_others() {
    let failing = failing(Step::CutTail, Moment::Before);
    failing.call();
    let torn = failing
        .root
        .path()
        .join("incoming")
        .join(crate::entry_name(start(1).id));
    let mut bytes = std::fs::read(&torn).unwrap();
    bytes.pop();
    std::fs::write(&torn, bytes).unwrap();
    drop(failing.writer.begin(start(2)).unwrap());
    failing.on.store(true, Ordering::Relaxed);
    let recovered = failing.writer.recover().unwrap();
    assert!(matches!(recovered[0].outcome, Outcome::Failed(_)));
    assert!(matches!(recovered[1].outcome, Outcome::Truncated { .. }));
    assert_eq!(names(failing.root.path(), "incoming").len(), 1);
    failing.on.store(false, Ordering::Relaxed);
    failing.writer.recover().unwrap();
    assert_eq!(names(failing.root.path(), "ready").len(), 2);
}
