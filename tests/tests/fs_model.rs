//! The mount under random operations beside a model of it that was made from the calls alone: every
//! byte, every attribute, every name and every refusal must be that of the model, through restarts and
//! crashes of the daemon and while calls come in, and the audit log must tell of exactly what was done.
//!
//! `TSUWAROKU_MODEL_CASES` and `TSUWAROKU_MODEL_OPERATIONS` ask for more than `make test` has time for.

#[path = "fs_model/op.rs"]
mod op;

use op::{Attempt, Mistake, Op, op};
use proptest::prelude::*;
use proptest::test_runner::{Config, FailurePersistence, TestError, TestRunner};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use tsuwaroku_tests::harness::accounts::as_reader;
use tsuwaroku_tests::harness::wait_for;
use tsuwaroku_tests::logged::{self, Session, Tally, surplus};
use tsuwaroku_tests::model::mounted::{self, Verdict};
use tsuwaroku_tests::model::{Model, Shown, made};
use tsuwaroku_tests::served::{Archive, LIMIT, publish};
use ulid::Ulid;

/// Random sequences, and operations of each at most, that `make test` has time for.
const CASES: u32 = 8;
const OPERATIONS: usize = 80;

/// Calls that are archived before the first operation.
const FIRST_CALLS: u64 = 4;

/// Files held open at once.
const SLOTS: usize = 6;

/// A file held open, and in which session of the daemon it was opened.
struct Handle {
    file: File,
    id: Ulid,
    session: usize,
}

/// The mount and the model side by side.
struct Pair {
    archive: Archive,
    model: Model,
    seed: u64,
    calls: u64,
    handles: Vec<Handle>,
    inodes: BTreeMap<Ulid, u64>,
    done: Vec<Session>,
}

impl Pair {
    fn new(seed: u64) -> Self {
        let mut pair = Self {
            archive: Archive::new(),
            model: Model::new(),
            seed,
            calls: 0,
            handles: Vec::new(),
            inodes: BTreeMap::new(),
            done: vec![Session::default()],
        };
        pair.come_in(FIRST_CALLS);
        pair
    }

    fn come_in(&mut self, count: u64) {
        let calls: Vec<_> = (self.calls..self.calls + count)
            .map(|n| made::call(n, self.seed))
            .collect();
        self.calls += count;
        // The order in which they are archived is that of their beginnings.
        let mut ordered: Vec<_> = calls.iter().collect();
        ordered.sort_by_key(|call| call.id);
        for call in &ordered {
            publish(&self.archive.world, std::slice::from_ref(*call));
            let before = self.model.clone();
            self.model.add(call);
            self.wait_for_listings(&before);
        }
    }

    /// Until every directory that became another one lists what it must.
    fn wait_for_listings(&self, before: &Model) {
        let changed = self.model.folders().into_iter();
        let changed = changed.filter(|path| self.model.listing(path) != before.listing(path));
        for below in changed {
            let path = self.mount(below);
            wait_for(&format!("{} to list a call", path.display()), LIMIT, || {
                let found = mounted::names(&path).ok()?;
                mounted::listing(below, &found, &self.model).ok()
            });
        }
    }

    fn mount(&self, below: &Path) -> PathBuf {
        self.archive.world.mount().join(below)
    }

    fn picked(&self, pick: u16, tree: bool) -> (&Shown, PathBuf) {
        let all = self.model.recordings();
        let shown = all[usize::from(pick) % all.len()];
        let path = self.mount(&shown.paths()[usize::from(tree)]);
        (shown, path)
    }

    fn folder(&self, pick: u16) -> PathBuf {
        let all = self.model.folders();
        all[usize::from(pick) % all.len()].to_owned()
    }

    fn session(&mut self) -> &mut Session {
        self.done.last_mut().expect("the daemon was started")
    }

    fn apply(&mut self, op: &Op) -> Verdict {
        match *op {
            Op::Stat { pick, tree, root } => self.stat(pick, tree, root),
            Op::StatFolder { pick, root } => {
                let below = self.folder(pick);
                let found = either(root, || fs::symlink_metadata(self.mount(&below)));
                mounted::folder_status(&below, &told(&below, found)?)
            }
            Op::Wrong { pick, tree, how } => self.wrong(pick, tree, how),
            Op::List { pick, root } => {
                let below = self.folder(pick);
                let found = either(root, || mounted::names(&self.mount(&below)));
                mounted::listing(&below, &told(&below, found)?, &self.model)
            }
            Op::Open { pick, tree } => self.open(pick, tree),
            Op::OpenAsRoot { pick, tree } => self.open_as_root(pick, tree),
            Op::Read { slot, at, length } => self.read(slot, at, length as usize),
            Op::Forget { slot } => self.forget(slot),
            Op::Close { slot } => {
                if let Some(at) = self.slot(slot) {
                    self.handles.remove(at);
                }
                Ok(())
            }
            Op::Attributes { pick, tree } => {
                let (shown, path) = self.picked(pick, tree);
                as_reader(|| mounted::attributes(&path, shown))
            }
            Op::Change { pick, tree, how } => self.change(pick, tree, how),
            Op::Calls { count } => {
                self.come_in(u64::from(count));
                Ok(())
            }
            Op::Restart => {
                self.archive.restart();
                self.session().stopped = true;
                self.begin();
                Ok(())
            }
            Op::Crash => {
                self.archive.crash();
                self.begin();
                Ok(())
            }
        }
    }

    /// A new session, which is one for the log when it says so.
    fn begin(&mut self) {
        self.done.push(Session::default());
        let catalogue = logged::catalogue(&self.archive.world.root());
        wait_for("the start to be logged", LIMIT, || {
            (logged::starts(&catalogue) == self.done.len()).then_some(())
        });
    }

    /// The inode number is the same through either name, and for ever.
    fn stat(&mut self, pick: u16, tree: bool, root: bool) -> Verdict {
        let (shown, path) = self.picked(pick, tree);
        let found = told(&path, either(root, || fs::symlink_metadata(&path)))?;
        mounted::file_status(&path, &found, shown)?;
        let (id, inode) = (shown.id, found.ino());
        if self
            .inodes
            .iter()
            .any(|(other, taken)| (*other == id) != (*taken == inode))
        {
            let known = &self.inodes;
            return Err(format!(
                "{id} has the inode {inode}, but they were {known:?}"
            ));
        }
        self.inodes.insert(id, inode);
        Ok(())
    }

    fn wrong(&self, pick: u16, tree: bool, how: Mistake) -> Verdict {
        let (shown, path) = self.picked(pick, tree);
        let name = &shown.name;
        let (path, errno) = match how {
            Mistake::Longer => (path.with_file_name(format!("{name}x")), nix::libc::ENOENT),
            Mistake::Shorter => (path.with_file_name(&name[1..]), nix::libc::ENOENT),
            Mistake::OtherCase => (
                path.with_file_name(name.to_lowercase() + "W"),
                nix::libc::ENOENT,
            ),
            Mistake::OtherTime => (
                path.with_file_name(format!("256199{}", &name[6..])),
                nix::libc::ENOENT,
            ),
            Mistake::BesideIt => (path.with_file_name("2026"), nix::libc::ENOENT),
            Mistake::InsideIt => (path.join(name), nix::libc::ENOTDIR),
            Mistake::NoText => {
                use std::os::unix::ffi::OsStrExt;
                let name = std::ffi::OsStr::from_bytes(b"100000-\xFF\xFE.wav");
                (path.with_file_name(name), nix::libc::ENOENT)
            }
        };
        match as_reader(|| fs::symlink_metadata(&path)) {
            Err(error) if error.raw_os_error() == Some(errno) => Ok(()),
            other => Err(format!("{}: {other:?}", path.display())),
        }
    }

    fn open(&mut self, pick: u16, tree: bool) -> Verdict {
        let (shown, path) = self.picked(pick, tree);
        let id = shown.id;
        let file = told(&path, as_reader(|| File::open(&path)))?;
        let session = self.done.len();
        *self.session().opened.entry(id).or_default() += 1;
        if self.handles.len() == SLOTS {
            self.handles.remove(0);
        }
        self.handles.push(Handle { file, id, session });
        Ok(())
    }

    fn open_as_root(&mut self, pick: u16, tree: bool) -> Verdict {
        let (shown, path) = self.picked(pick, tree);
        let id = shown.id;
        match File::open(&path) {
            Err(error) if error.raw_os_error() == Some(nix::libc::EACCES) => {}
            other => return Err(format!("{}: root got {other:?}", path.display())),
        }
        *self.session().refused.entry(id).or_default() += 1;
        Ok(())
    }

    fn slot(&self, slot: u8) -> Option<usize> {
        let open = self.handles.len();
        (open > 0).then(|| usize::from(slot) % open)
    }

    fn read(&mut self, slot: u8, at: u16, length: usize) -> Verdict {
        let Some(slot) = self.slot(slot) else {
            return Ok(());
        };
        let handle = &self.handles[slot];
        let shown = self
            .model
            .recording(handle.id)
            .expect("what is open is there");
        let offset = shown.bytes.len() as u64 * u64::from(at) / 60_000;
        match mounted::read(&handle.file, offset, length) {
            Ok(found) => mounted::content(shown, offset, length, &found),
            // Its daemon is gone; what the kernel still holds may be read.
            Err(error) if handle.session < self.done.len() => gone(&error),
            Err(error) => Err(format!("{}: {length} from {offset}: {error}", shown.name)),
        }
    }

    fn forget(&self, slot: u8) -> Verdict {
        use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
        let Some(slot) = self.slot(slot) else {
            return Ok(());
        };
        let advice = PosixFadviseAdvice::POSIX_FADV_DONTNEED;
        posix_fadvise(&self.handles[slot].file, 0, 0, advice).map_err(|error| error.to_string())
    }

    fn change(&mut self, pick: u16, tree: bool, how: Attempt) -> Verdict {
        let (_, path) = self.picked(pick, tree);
        let beside = path.with_file_name("new");
        let outcome = as_reader(|| match how {
            Attempt::Write => OpenOptions::new().write(true).open(&path).map(drop),
            Attempt::Truncate => nix::unistd::truncate(&path, 3).map_err(io::Error::from),
            Attempt::Remove => fs::remove_file(&path),
            Attempt::MakeFolder => fs::create_dir(&beside),
            Attempt::Rename => fs::rename(&path, &beside),
            Attempt::Link => fs::hard_link(&path, &beside),
        });
        match outcome {
            Err(error) if error.raw_os_error() == Some(nix::libc::EROFS) => {}
            other => return Err(format!("{how:?} of {}: {other:?}", path.display())),
        }
        self.session().refused_writes += 1;
        Ok(())
    }

    /// All is closed and the daemon has stopped: the log tells of what was done, no more, no less.
    fn finish(mut self) -> Verdict {
        self.handles.clear();
        self.archive.stop();
        self.session().stopped = true;
        let records = logged::records(&logged::catalogue(&self.archive.world.root()));
        let told = logged::sessions(&records);
        if told.len() != self.done.len() {
            return Err(format!("{} sessions of {}", told.len(), self.done.len()));
        }
        for (number, (told, done)) in told.iter().zip(&self.done).enumerate() {
            agree(told, done).map_err(|error| format!("session {number}: {error}"))?;
        }
        Ok(())
    }
}

/// An opening is in the log before it is answered. What the log may get later, a crash can take away.
fn agree(told: &Session, done: &Session) -> Verdict {
    let alike = |what: &str, told: &Tally, done: &Tally, all: bool| {
        let (more, fewer) = (surplus(told, done), surplus(done, told));
        let wrong = !more.is_empty() || all && !fewer.is_empty();
        if wrong {
            return Err(format!(
                "{what}: {more:?} without cause, {fewer:?} not logged"
            ));
        }
        Ok(())
    };
    alike("opened", &told.opened, &done.opened, true)?;
    alike("closed", &told.released, &done.opened, done.stopped)?;
    alike("refused", &told.refused, &done.refused, done.stopped)?;
    let (told_writes, done_writes) = (told.refused_writes, done.refused_writes);
    if told_writes > done_writes || done.stopped && told_writes < done_writes {
        return Err(format!(
            "{told_writes} attempts to change, of {done_writes}"
        ));
    }
    if told.stopped != done.stopped {
        return Err("whether the daemon stopped by itself".into());
    }
    Ok(())
}

fn either<T>(root: bool, work: impl FnOnce() -> T) -> T {
    if root { work() } else { as_reader(work) }
}

fn told<T>(path: &Path, outcome: io::Result<T>) -> Result<T, String> {
    outcome.map_err(|error| format!("{}: {error}", path.display()))
}

/// What a handle says whose daemon is gone.
fn gone(error: &io::Error) -> Verdict {
    match error.raw_os_error() {
        Some(nix::libc::ENOTCONN | nix::libc::ECONNABORTED | nix::libc::EIO) => Ok(()),
        _ => Err(format!("a handle of a daemon that is gone: {error}")),
    }
}

fn run(seed: u64, ops: &[Op]) -> Verdict {
    let mut pair = Pair::new(seed);
    for (at, op) in ops.iter().enumerate() {
        pair.apply(op)
            .map_err(|error| format!("operation {at}, {op:?}: {error}"))?;
    }
    pair.finish()
}

fn asked(name: &str, usual: usize) -> usize {
    let text = std::env::var(name);
    text.map_or(usual, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is a number"))
    })
}

#[test]
fn the_mount_is_the_model() {
    let operations = asked("TSUWAROKU_MODEL_OPERATIONS", OPERATIONS);
    let config = Config {
        cases: asked("TSUWAROKU_MODEL_CASES", CASES as usize) as u32,
        // What fails becomes a test with a name, below.
        failure_persistence: None::<Box<dyn FailurePersistence>>,
        max_shrink_iters: 200,
        max_shrink_time: 120_000,
        ..Config::default()
    };
    let sequences = (
        any::<u64>(),
        prop::collection::vec(op(), operations / 2..=operations),
    );
    let outcome = TestRunner::new(config).run(&sequences, |(seed, ops)| {
        run(seed, &ops).map_err(TestCaseError::fail)
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(why, (seed, ops))) => panic!("{why}\nseed {seed}, {ops:#?}"),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}

/// The kernel still knew the attributes of the root of the mount that was left, so it looked alive.
#[test]
fn a_mount_that_was_looked_at_before_the_crash_is_cleared() {
    run(
        0,
        &[
            Op::StatFolder {
                pick: 0,
                root: false,
            },
            Op::Crash,
            Op::List {
                pick: 0,
                root: false,
            },
        ],
    )
    .unwrap();
}
