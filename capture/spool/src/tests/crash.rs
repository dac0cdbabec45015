//! The daemon or the machine dies before or after every single step: nothing acknowledged is lost,
//! nothing comes twice, and nothing that was not said is made up.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tempfile::tempdir;

use super::faults::{Faults, Moment};
use super::{FRAME, names, samples, start};
use crate::disk::{Disk, Folder, Step};
use crate::{
    Digits, EndReason, Entry, GapCause, Outcome, Record, SpoolError, Summary, Writer, entry_name,
};

/// What a machine that loses its power forgets.
#[derive(Debug, Default)]
struct Volatile {
    /// Bytes of each recording's file that are durable, wherever it is; the rest goes.
    durable: BTreeMap<OsString, u64>,
    /// Files whose name is not durable.
    created: BTreeSet<PathBuf>,
    /// Files renamed away from here, not durably.
    renamed: BTreeSet<PathBuf>,
}

/// A machine that dies at a step, if it gets so far.
#[derive(Debug, Default)]
struct Machine {
    steps: usize,
    dies: Option<(usize, Moment)>,
    dead: bool,
    volatile: Volatile,
}

impl Machine {
    fn ask(&mut self, step: Step, moment: Moment, path: &Path) -> io::Result<()> {
        if self.dead {
            return Err(io::Error::other("dead"));
        }
        if moment == Moment::After {
            self.volatile.note(step, path);
        }
        self.dead = self.dies == Some((self.steps, moment));
        self.steps += usize::from(moment == Moment::After);
        if self.dead {
            return Err(io::Error::other("dies"));
        }
        Ok(())
    }
}

impl Volatile {
    fn note(&mut self, step: Step, path: &Path) {
        let path = path.to_path_buf();
        match step {
            Step::CreateIncoming => drop(self.created.insert(path)),
            Step::SyncIncoming => self.created.clear(),
            Step::RenameReady => drop(self.renamed.insert(path)),
            Step::SyncReady => self.renamed.clear(),
            Step::SyncFile => {
                let length = fs::metadata(&path).unwrap().len();
                self.durable
                    .insert(path.file_name().unwrap().into(), length);
            }
            // What is cut or written after a sync is not durable until the next one.
            _ => {}
        }
    }

    /// Makes the files what they are after a power cut that forgets all it may.
    fn forget(&self, root: &Path) {
        for incoming in &self.renamed {
            let name = incoming.file_name().unwrap();
            let _ = fs::rename(root.join("ready").join(name), incoming);
        }
        for path in recordings(root) {
            let name = path.file_name().unwrap();
            let durable = self.durable.get(name).copied().unwrap_or(0);
            let file = File::options().write(true).open(&path).unwrap();
            if file.metadata().unwrap().len() > durable {
                file.set_len(durable).unwrap();
            }
        }
        for path in &self.created {
            let _ = fs::remove_file(path);
        }
    }
}

/// The files in `incoming/` and `ready/`.
fn recordings(root: &Path) -> Vec<PathBuf> {
    let paths = ["incoming", "ready"].into_iter().flat_map(|folder| {
        let names = names(root, folder).into_iter();
        names.map(move |name| root.join(folder).join(name))
    });
    paths.collect()
}

fn faults(machine: &Arc<Mutex<Machine>>) -> Faults {
    let machine = Arc::clone(machine);
    Faults::new(move |step, moment, path| machine.lock().unwrap().ask(step, moment, path))
}

/// What the daemon was told of a recording.
#[derive(Debug, Default, Clone)]
struct Promise {
    /// Frames that were taken: they outlive the daemon.
    taken: u64,
    /// Frames that were synced: they outlive the machine.
    durable: u64,
    /// Whether it was published.
    finished: bool,
}

type Promises = BTreeMap<u128, Promise>;

/// A day at the office, as far as the machine lives. Recording 3 is abandoned.
fn day(disk: Disk, promises: &mut Promises) -> Result<(), SpoolError> {
    let writer = Writer::over(disk)?;
    let mut first = writer.begin(start(1))?;
    promises.insert(1, Promise::default());
    append(&mut first, 8, promises)?;
    let mut second = writer.begin(start(2))?;
    promises.insert(2, Promise::default());
    append(&mut second, 5, promises)?;
    first.gap(3, GapCause::Overrun)?;
    promises.get_mut(&1).unwrap().taken += 3;
    writer.begin(start(3))?.abandon()?;
    sync(&mut first, promises)?;
    first.finish(1, EndReason::Silence)?;
    promises.get_mut(&1).unwrap().finished = true;
    sync(&mut second, promises)?;
    append(&mut second, 4, promises)?;
    second.digits(&Digits {
        at: 2,
        digits: "1".into(),
    })?;
    second.finish(2, EndReason::CardLost)?;
    promises.get_mut(&2).unwrap().finished = true;
    Ok(())
}

fn append(
    call: &mut crate::OpenCall,
    frames: u64,
    promises: &mut Promises,
) -> Result<(), SpoolError> {
    call.audio(&samples(call.frames(), frames))?;
    promises.get_mut(&call.start().id.random()).unwrap().taken = call.frames();
    Ok(())
}

fn sync(call: &mut crate::OpenCall, promises: &mut Promises) -> Result<(), SpoolError> {
    call.sync()?;
    promises.get_mut(&call.start().id.random()).unwrap().durable = call.frames();
    Ok(())
}

/// The recordings in `ready/`, each checked; the audio must be what was said.
fn published(root: &Path) -> BTreeMap<u128, Summary> {
    let mut found = BTreeMap::new();
    for name in names(root, "ready") {
        let mut entry = Entry::open(&root.join("ready").join(&name)).unwrap();
        for record in entry.records().unwrap() {
            if let Record::Audio { at, samples: heard } = record.unwrap() {
                assert_eq!(heard, samples(at, (heard.len() / FRAME) as u64), "{name}");
            }
        }
        let summary = entry.check().unwrap();
        assert_eq!(name, entry_name(summary.start.id));
        found.insert(summary.start.id.random(), summary);
    }
    found
}

fn check(root: &Path, promises: &Promises, power: bool, why: &str) {
    let found = published(root);
    for (number, promise) in promises {
        let summary = found.get(number);
        let summary = summary.unwrap_or_else(|| panic!("{why}: recording {number} is lost"));
        let least = if power {
            promise.durable
        } else {
            promise.taken
        };
        let kept = summary.end.frames;
        assert!(
            kept >= least,
            "{why}: {number} has {kept} of {least} frames"
        );
        let whole = [(1, 1, EndReason::Silence), (2, 2, EndReason::CardLost)];
        let said = (*number, summary.end.ended_at, summary.end.reason);
        if promise.finished {
            assert_eq!(kept, promise.taken, "{why}");
            assert!(whole.contains(&said), "{why}: {said:?}");
        }
    }
    assert!(names(root, "incoming").is_empty(), "{why}");
    // Without a start record: the machine died while one was begun, and nothing was said yet.
    let kept = names(root, "quarantine");
    for name in kept.iter().filter(|name| !name.contains(".tail")) {
        let number = found
            .keys()
            .find(|n| name.starts_with(&entry_name(start(**n).id)));
        assert_eq!(number, None, "{why}: {name} is there twice");
    }
}

/// Runs the day on a machine that dies there; gives what it had been told. `None` if it lived.
fn die(root: &Path, dies: (usize, Moment), power: bool) -> Option<Promises> {
    let machine = Arc::new(Mutex::new(Machine {
        dies: Some(dies),
        ..Machine::default()
    }));
    let mut promises = Promises::new();
    let lived = Disk::open_with(root, faults(&machine)).and_then(|disk| day(disk, &mut promises));
    let machine = machine.lock().unwrap();
    if power && root.join("incoming").exists() && root.join("ready").exists() {
        machine.volatile.forget(root);
    }
    assert_eq!(lived.is_ok(), !machine.dead);
    machine.dead.then_some(promises)
}

fn every_death(mut then: impl FnMut(&Path, Promises, bool, String)) {
    let mut deaths = 0;
    for (moment, power) in [
        (Moment::Before, false),
        (Moment::After, false),
        (Moment::Before, true),
        (Moment::After, true),
    ] {
        for step in 0.. {
            let root = tempdir().unwrap();
            let why = format!("died {moment:?} step {step}, power cut: {power}");
            match die(root.path(), (step, moment), power) {
                Some(promises) => then(root.path(), promises, power, why),
                None => break,
            }
            deaths += 1;
        }
    }
    assert!(deaths > 100, "the day has too few steps: {deaths} deaths");
}

#[test]
fn nothing_said_is_lost_and_nothing_comes_twice() {
    every_death(|root, promises, power, why| {
        let writer = Writer::open(root).unwrap();
        for one in writer.recover().unwrap() {
            assert!(!matches!(one.outcome, Outcome::Failed(_)), "{why}: {one}");
        }
        check(root, &promises, power, &why);
        assert!(writer.recover().unwrap().is_empty(), "{why}");
        check(root, &promises, power, &why);
    });
}

#[test]
fn recovery_may_die_at_any_step_too() {
    for (moment, power) in [
        (Moment::Before, false),
        (Moment::After, false),
        (Moment::Before, true),
        (Moment::After, true),
    ] {
        let mut step = 0;
        while recovery_dies((step, moment), power) {
            step += 1;
        }
        assert!(step > 20, "recovery has too few steps: {step}");
    }
}

/// Recovers on a machine that dies there, and again on one that lives. Whether the first died.
fn recovery_dies(dies: (usize, Moment), power: bool) -> bool {
    let spool = tempdir().unwrap();
    let root = spool.path();
    let mut promises = Promises::new();
    leave_behind(Disk::open(root).unwrap(), root, &mut promises);
    let left = recordings(root).into_iter();
    let durable = left.map(|path| {
        let length = fs::metadata(&path).unwrap().len();
        (path.file_name().unwrap().into(), length)
    });
    let machine = Arc::new(Mutex::new(Machine {
        dies: Some(dies),
        volatile: Volatile {
            durable: durable.collect(),
            ..Volatile::default()
        },
        ..Machine::default()
    }));
    let disk = Disk::open_with(root, faults(&machine));
    let _ = disk
        .and_then(Writer::over)
        .and_then(|writer| writer.recover());
    if power {
        machine.lock().unwrap().volatile.forget(root);
    }
    Writer::open(root).unwrap().recover().unwrap();
    let why = format!("recovery died at {dies:?}, power cut: {power}");
    check(root, &promises, power, &why);
    let found = published(root);
    assert!(
        found
            .values()
            .all(|of| of.end.reason == EndReason::Truncated),
        "{why}"
    );
    // Each thing in quarantine has its reason.
    let quarantine = names(root, "quarantine");
    let things = quarantine.iter().filter(|name| !name.ends_with(".reason"));
    let things: Vec<_> = things.collect();
    assert!(things.len() >= 2, "{why}: {things:?}");
    for thing in things {
        assert!(
            quarantine.contains(&format!("{thing}.reason")),
            "{why}: {thing}"
        );
    }
    machine.lock().unwrap().dead
}

/// Two recordings without an end (the first with a damaged record and a good one after it), an
/// empty file, and a file that is no recording.
fn leave_behind(disk: Disk, root: &Path, promises: &mut Promises) {
    let incoming = disk.folder(Folder::Incoming);
    let writer = Writer::over(disk).unwrap();
    for number in [1, 2] {
        let mut call = writer.begin(start(number)).unwrap();
        promises.insert(number, Promise::default());
        append(&mut call, 6, promises).unwrap();
        sync(&mut call, promises).unwrap();
    }
    let path = incoming.join(entry_name(start(1).id));
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend([7; 100]);
    fs::write(&path, bytes).unwrap();
    fs::write(incoming.join(entry_name(start(4).id)), b"").unwrap();
    fs::write(
        incoming.join(entry_name(start(5).id)),
        b"TSWSPOOL, or is it",
    )
    .unwrap();
    assert_eq!(names(root, "incoming").len(), 4);
}
