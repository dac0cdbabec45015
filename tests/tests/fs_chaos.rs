//! Eight threads of random operations while calls come in, the daemon is asked to restart twice and
//! crashes once. Afterwards: no wrong byte was read, nothing is left open, and the audit log is compared
//! with the openings one by one.
//!
//! It goes on for `TSUWAROKU_CHAOS_SECONDS`, in `make test` for a few.

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tsuwaroku_tests::harness::accounts::as_reader;
use tsuwaroku_tests::harness::{World, wait_for};
use tsuwaroku_tests::logged::{self, Session, Tally, surplus};
use tsuwaroku_tests::model::made::Dice;
use tsuwaroku_tests::model::mounted::{self, Verdict};
use tsuwaroku_tests::model::{Model, Shown, made};
use tsuwaroku_tests::served::{Archive, LIMIT, publish};

/// Seconds, where nobody asks for more.
const SECONDS: u64 = 16;
/// Threads that read.
const THREADS: u64 = 8;
/// Files that each holds open at most.
const OPEN: u64 = 8;
/// Calls that are there before it begins.
const FIRST_CALLS: u64 = 24;
/// Calls that come in at once.
const CALLS_AT_ONCE: u64 = 4;
/// Calls at most: more would only fill the memory.
const MOST_CALLS: u64 = 300;
const SEED: u64 = 20_261_123;

/// What all threads know.
struct Shared {
    mount: PathBuf,
    /// What was archived; grows.
    model: RwLock<Model>,
    /// Twice the restarts, and one more while one is under way.
    epoch: AtomicU64,
    over: AtomicBool,
}

/// What a thread did to each recording.
#[derive(Debug, Default)]
struct Done {
    /// Openings that succeeded.
    opened: Tally,
    /// Openings that failed because the daemon went: they may or may not be in the log.
    lost: Tally,
    reads: u64,
    listings: u64,
}

impl Shared {
    fn model(&self) -> std::sync::RwLockReadGuard<'_, Model> {
        self.model.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    /// Whether the daemon was there from `before` until now.
    fn undisturbed(&self, before: u64) -> bool {
        before.is_multiple_of(2) && self.epoch() == before
    }
}

/// A file that a thread holds open.
struct Handle {
    file: File,
    shown: Shown,
    epoch: u64,
}

/// One of the threads.
struct Reader<'a> {
    shared: &'a Shared,
    dice: Dice,
    handles: Vec<Handle>,
    done: Done,
}

impl Reader<'_> {
    fn run(mut self) -> Result<Done, String> {
        while !self.shared.over.load(Ordering::SeqCst) {
            as_reader(|| self.step())?;
        }
        self.handles.clear();
        Ok(self.done)
    }

    fn step(&mut self) -> Verdict {
        match self.dice.below(20) {
            0..4 => self.open(),
            4..13 => self.read(),
            13 => {
                self.close();
                Ok(())
            }
            14 => self.forget(),
            15 | 16 => self.list(),
            17 => self.attributes(),
            _ => self.status(),
        }
    }

    fn pick(&mut self) -> (Shown, PathBuf) {
        let model = self.shared.model();
        let shown = (*self.dice.of(&model.recordings())).clone();
        let path = self.dice.of(&shown.paths()).clone();
        (shown, self.shared.mount.join(path))
    }

    /// An outcome, or nothing where it failed because the daemon was away.
    fn excused<T>(
        &self,
        epoch: u64,
        path: &Path,
        outcome: io::Result<T>,
    ) -> Result<Option<T>, String> {
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(_) if !self.shared.undisturbed(epoch) => Ok(None),
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    }

    /// Not begun while the daemon is away, so that few openings are in doubt: those it went during.
    fn open(&mut self) -> Verdict {
        let (shown, path) = self.pick();
        let epoch = self.shared.epoch();
        if !epoch.is_multiple_of(2) {
            return Ok(());
        }
        match self.excused(epoch, &path, File::open(&path))? {
            None => *self.done.lost.entry(shown.id).or_default() += 1,
            Some(file) => {
                *self.done.opened.entry(shown.id).or_default() += 1;
                if self.handles.len() as u64 == OPEN {
                    self.close();
                }
                let epoch = self.shared.epoch();
                self.handles.push(Handle { file, shown, epoch });
            }
        }
        Ok(())
    }

    fn slot(&mut self) -> Option<usize> {
        let open = self.handles.len() as u64;
        (open > 0).then(|| self.dice.below(open) as usize)
    }

    fn close(&mut self) {
        if let Some(slot) = self.slot() {
            self.handles.swap_remove(slot);
        }
    }

    fn forget(&mut self) -> Verdict {
        if let Some(slot) = self.slot() {
            let advice = PosixFadviseAdvice::POSIX_FADV_DONTNEED;
            let told = posix_fadvise(&self.handles[slot].file, 0, 0, advice);
            return told.map_err(|error| error.to_string());
        }
        Ok(())
    }

    /// Whatever comes is right; nothing comes only from a daemon that is gone.
    fn read(&mut self) -> Verdict {
        let Some(slot) = self.slot() else {
            return self.open();
        };
        let bytes = self.handles[slot].shown.bytes.len() as u64;
        let offset = self.dice.below(bytes + 100);
        let most = *self.dice.of(&[10, 5000, 70_000, 1_000_000]);
        let length = self.dice.below(most) as usize;
        let handle = &self.handles[slot];
        let found = mounted::read(&handle.file, offset, length);
        let path = Path::new(&handle.shown.name);
        let Some(found) = self.excused(handle.epoch, path, found)? else {
            return Ok(());
        };
        self.done.reads += 1;
        mounted::content(&self.handles[slot].shown, offset, length, &found)
    }

    /// What was there first is there, and nothing that was never put in. What comes in meanwhile may be
    /// seen or not.
    fn list(&mut self) -> Verdict {
        let (_, path) = self.pick();
        let folder = path.parent().expect("a file is in a directory");
        let below = folder
            .strip_prefix(&self.shared.mount)
            .expect("it is in the mount");
        let epoch = self.shared.epoch();
        let Some(found) = self.excused(epoch, folder, mounted::names(folder))? else {
            return Ok(());
        };
        self.done.listings += 1;
        let set: BTreeSet<_> = found.iter().cloned().collect();
        let coming = all_calls()
            .listing(below)
            .expect("a directory of the model");
        let none = BTreeSet::new();
        let there = first_calls().listing(below).unwrap_or(&none);
        if set.len() != found.len() || !set.is_subset(coming) || !there.is_subset(&set) {
            return Err(format!("{}: {found:?}", folder.display()));
        }
        Ok(())
    }

    fn attributes(&mut self) -> Verdict {
        let (shown, path) = self.pick();
        let epoch = self.shared.epoch();
        match mounted::attributes(&path, &shown) {
            Err(why) if self.shared.undisturbed(epoch) => Err(why),
            _ => Ok(()),
        }
    }

    fn status(&mut self) -> Verdict {
        let (shown, path) = self.pick();
        let epoch = self.shared.epoch();
        match self.excused(epoch, &path, fs::symlink_metadata(&path))? {
            Some(found) => mounted::file_status(&path, &found, &shown),
            None => Ok(()),
        }
    }
}

/// The model of all calls that may come in, and of those that were there first; each made once.
fn all_calls() -> &'static Model {
    static ALL: OnceLock<Model> = OnceLock::new();
    ALL.get_or_init(|| model_of(MOST_CALLS))
}

fn first_calls() -> &'static Model {
    static FIRST: OnceLock<Model> = OnceLock::new();
    FIRST.get_or_init(|| model_of(FIRST_CALLS))
}

/// The model of the first `count` calls, in the order in which they are archived.
fn model_of(count: u64) -> Model {
    let mut model = Model::new();
    for n in 0..count {
        model.add(&made::call(n, SEED));
    }
    model
}

/// Has the calls archived, and then tells the threads of them.
fn come_in(world: &World, shared: &Shared, numbers: std::ops::Range<u64>) {
    for n in numbers {
        let call = made::call(n, SEED);
        publish(world, std::slice::from_ref(&call));
        let shown = all_calls().recording(call.id).expect("it is one of them");
        let path = shared.mount.join(&shown.paths()[0]);
        wait_for("a call to be archived", LIMIT, || {
            path.symlink_metadata().ok()
        });
        shared
            .model
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .add(&call);
    }
}

/// Calls come in, and the daemon goes and comes, until the time is over.
fn disturb(archive: &mut Archive, shared: &Shared, lasting: Duration) {
    let catalogue = logged::catalogue(&archive.world.root());
    let mut calls = FIRST_CALLS;
    for part in 1..=4 {
        let begun = Instant::now();
        while begun.elapsed() < lasting / 4 {
            if calls < MOST_CALLS {
                come_in(&archive.world, shared, calls..calls + CALLS_AT_ONCE);
                calls += CALLS_AT_ONCE;
            }
            std::thread::sleep(lasting / 200);
        }
        if part < 4 {
            shared.epoch.fetch_add(1, Ordering::SeqCst);
            match part {
                2 => archive.crash(),
                _ => archive.restart(),
            }
            // What a crash finds in the log, it must be able to tell apart.
            wait_for("the start to be logged", LIMIT, || {
                (logged::starts(&catalogue) == part + 1).then_some(())
            });
            shared.epoch.fetch_add(1, Ordering::SeqCst);
        }
    }
    shared.over.store(true, Ordering::SeqCst);
}

/// What the daemon has open, without the databases, of which it keeps as many as were asked at once.
fn open_in(pid: u32) -> Vec<PathBuf> {
    let links = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let targets = links.filter_map(|link| fs::read_link(link.ok()?.path()).ok());
    let database = |path: &PathBuf| path.to_string_lossy().contains(".sqlite");
    targets.filter(|path| !database(path)).collect()
}

fn seconds() -> u64 {
    let asked = std::env::var("TSUWAROKU_CHAOS_SECONDS");
    asked.map_or(SECONDS, |text| {
        text.parse().expect("TSUWAROKU_CHAOS_SECONDS is a number")
    })
}

#[test]
fn chaos_leaves_every_byte_right_and_every_opening_logged() {
    let mut archive = Archive::new();
    let shared = Shared {
        mount: archive.world.mount(),
        model: RwLock::new(Model::new()),
        epoch: AtomicU64::new(0),
        over: AtomicBool::new(false),
    };
    let begun = std::thread::scope(|scope| {
        // Also when this fails, the threads must end.
        let end = OnDrop(&shared.over);
        come_in(&archive.world, &shared, 0..FIRST_CALLS);
        let readers: Vec<_> = (0..THREADS)
            .map(|number| Reader {
                shared: &shared,
                dice: Dice::new(SEED + number),
                handles: Vec::new(),
                done: Done::default(),
            })
            .map(|reader| scope.spawn(|| reader.run()))
            .collect();
        disturb(&mut archive, &shared, Duration::from_secs(seconds()));
        drop(end);
        let done = readers
            .into_iter()
            .map(|reader| reader.join().expect("no reader panics"));
        done.collect::<Result<Vec<_>, _>>()
    });
    let done = begun.unwrap_or_else(|why| panic!("{why}\n{}", archive.serve().log()));
    let reads: u64 = done.iter().map(|one| one.reads).sum();
    let listings: u64 = done.iter().map(|one| one.listings).sum();
    let (opened, lost) = (sum(&done, |one| &one.opened), sum(&done, |one| &one.lost));
    println!(
        "{} openings, {} lost, {reads} reads, {listings} listings, {} calls",
        total(&opened),
        total(&lost),
        shared.model().recordings().len()
    );
    assert!(reads > 0 && listings > 0 && total(&opened) > 0);
    assert_all_is_listed(&shared);
    assert_nothing_is_open(&archive);
    archive.stop();
    let records = logged::records(&logged::catalogue(&archive.world.root()));
    assert_logged(&logged::sessions(&records), &opened, &lost);
}

struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Every directory lists what came in, and nothing else.
fn assert_all_is_listed(shared: &Shared) {
    let model = shared.model();
    for below in model.folders() {
        let path = shared.mount.join(below);
        wait_for(&format!("{} to be complete", path.display()), LIMIT, || {
            mounted::listing(below, &mounted::names(&path).ok()?, &model).ok()
        });
    }
}

/// As much is open in the daemon as in one that one person has read from once.
fn assert_nothing_is_open(archive: &Archive) {
    let fresh = Archive::new();
    fresh.archive(&[made::call(0, SEED)]);
    let path = fresh.world.recordings().remove(0);
    drop(as_reader(|| fs::read(path)).unwrap());
    let kinds = |pid| {
        let mut kinds: Vec<String> = open_in(pid).iter().map(|path| kind(path)).collect();
        kinds.sort_unstable();
        kinds
    };
    let mut expected = kinds(fresh.serve().pid());
    expected.retain(|kind| !kind.contains(".tso"));
    let begun = Instant::now();
    // Closings are told to the daemon after whoever closes has gone on.
    while kinds(archive.serve().pid()) != expected && begun.elapsed() < LIMIT {
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(kinds(archive.serve().pid()), expected);
}

/// What is open without what tells two of a kind apart.
fn kind(path: &Path) -> String {
    let text = path.to_string_lossy();
    match (text.split_once(":["), path.file_name()) {
        (Some((kind, _)), _) => kind.to_owned(),
        (None, Some(name)) => name.to_string_lossy().into_owned(),
        (None, None) => text.into_owned(),
    }
}

/// Each opening that succeeded has its record, and each record its opening, but for those that were
/// under way when the daemon went. Whoever was there to the end has been logged out, too.
fn assert_logged(sessions: &[Session], opened: &Tally, lost: &Tally) {
    assert_eq!(sessions.len(), 4, "one start and three more");
    let mut told = Tally::new();
    for (number, session) in sessions.iter().enumerate() {
        add(&mut told, &session.opened);
        let unopened = surplus(&session.released, &session.opened);
        assert!(
            unopened.is_empty(),
            "session {number}: closed, never opened: {unopened:?}"
        );
        let unreleased = surplus(&session.opened, &session.released);
        let crashed = number == 1;
        assert_eq!(session.stopped, !crashed, "session {number}");
        assert!(
            crashed || unreleased.is_empty(),
            "session {number}: open for ever: {unreleased:?}"
        );
        assert!(total(&session.opened) > 0, "session {number} is idle");
    }
    let unlogged = surplus(opened, &told);
    assert!(unlogged.is_empty(), "opened, but not logged: {unlogged:?}");
    let unmade = surplus(&surplus(&told, opened), lost);
    assert!(unmade.is_empty(), "logged, but not opened: {unmade:?}");
}

fn add(to: &mut Tally, more: &Tally) {
    for (id, count) in more {
        *to.entry(*id).or_default() += count;
    }
}

fn sum(done: &[Done], of: impl Fn(&Done) -> &Tally) -> Tally {
    let mut all = Tally::new();
    for one in done {
        add(&mut all, of(one));
    }
    all
}

fn total(tally: &Tally) -> u64 {
    tally.values().sum()
}
