//! What runs beside the mount: ingest, the background scrub, the checkpoints of the log, and whoever
//! tells the kernel what it must forget.

use super::{ServeError, open::Archive};
use crate::audit::{Draft, Event, Outcome};
use crate::catalogue::{Catalogue, News};
use crate::clock::machine;
use crate::clock::now;
use crate::fs::{Announcer, Gate, Mount};
use crate::import;
use crate::ingest::{Ingest, Progress};
use crate::life::Life;
use crate::refusals::Refusals;
use crate::scrub::Scrub;
use crate::vault::Vault;
use crate::views::{Node, folders_over};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tsuwaroku_config::Config;
use tsuwaroku_spool::read::Reader;

/// How often listings that were read while a recording came in are looked for.
const REST_OF_NEWS: Duration = Duration::from_millis(200);
/// How long an entry that could not be taken rests before it is tried again.
const REST: Duration = Duration::from_secs(2);

/// How often the clocks are read: a jump is an alarm within a minute.
const CLOCK_REST: Duration = Duration::from_secs(20);

/// How long a sweep that failed rests before it is tried again.
const FAILURE_REST: Duration = Duration::from_secs(600);

/// How soon the thread that waits for midnight notices that it is to stop.
const STOP_REST: Duration = Duration::from_millis(200);

/// How long ingest waits for news before it looks by itself, milliseconds.
const LOOK_MILLISECONDS: u16 = 1000;

/// What runs beside the mount.
pub(super) struct Workers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    /// Stops last, so that the last checkpoint covers what the others log.
    notary: (Arc<AtomicBool>, JoinHandle<()>),
    /// The spools that are emptied, and how that goes.
    pub spools: Vec<Reader>,
    pub progress: Arc<Progress>,
}

impl Workers {
    pub fn start(
        archive: &Archive,
        config: &Config,
        mount: &Mount,
        gate: Arc<Gate>,
        life: Arc<Life>,
    ) -> Result<Self, ServeError> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        if let Some(announcer) = mount.announcer() {
            let (news, refusals) = (archive.catalogue.news(), archive.refusals.clone());
            threads.push(start_announcing(
                announcer,
                news,
                gate,
                refusals,
                stop.clone(),
            )?);
        }
        let progress = Arc::new(Progress::default());
        let imports = config.archive.root.join(import::inbox::FOLDER);
        let mut spools = Vec::new();
        for spool in [&config.capture.spool, &imports] {
            let designated = config.lines.iter().map(|line| line.number.clone());
            let ingest = Ingest::new(
                Reader::open(spool)?,
                archive.vault.clone(),
                archive.catalogue.clone(),
                designated.collect(),
                progress.clone(),
            );
            threads.push(start_ingest(ingest, &spool.join("ready"), stop.clone())?);
            spools.push(Reader::open(spool)?);
        }
        if config.archive.scrub_days > 0 {
            let scrub = Scrub {
                catalogue: archive.catalogue.clone(),
                vault: archive.vault.clone(),
                findings: archive.findings.clone(),
                period: Duration::from_secs(86_400 * u64::from(config.archive.scrub_days)),
            };
            let scrubbing = move |stop: &AtomicBool| scrub.run(stop);
            threads.push(start_worker("scrub", stop.clone(), scrubbing)?);
        }
        let keys = archive.vault.clone();
        let catalogue = archive.catalogue.clone();
        let aging = move |stop: &AtomicBool| age(&life, &keys, &catalogue, stop);
        threads.push(start_worker("life", stop.clone(), aging)?);
        let (last_stop, checkpoints) = (Arc::default(), archive.checkpoints.clone());
        let issuing = move |stop: &AtomicBool| checkpoints.run(stop);
        let notary = start_worker("checkpoints", Arc::clone(&last_stop), issuing)?;
        Ok(Self {
            stop,
            threads,
            notary: (last_stop, notary),
            spools,
            progress,
        })
    }

    /// Ends them, and the log with them.
    pub fn finish(self, archive: &Archive) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(join);
        archive.refusals.finish();
        // Waited for, and with it all that was to be logged before.
        let stopped = Draft::new(now(), Event::Stopped, Outcome::Done);
        if let Err(error) = archive.catalogue.log(stopped) {
            log::error!("ALARM: the end of the log cannot be written: {error}");
        }
        self.notary.0.store(true, Ordering::Relaxed);
        join(self.notary.1);
    }
}

fn join(worker: JoinHandle<()>) {
    if worker.join().is_err() {
        log::error!("a thread had stopped by a fault of the program");
    }
}

fn start_ingest(ingest: Ingest, ready: &Path, stop: Arc<AtomicBool>) -> io::Result<JoinHandle<()>> {
    let news = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
    news.add_watch(ready, AddWatchFlags::IN_MOVED_TO)?;
    std::thread::Builder::new()
        .name("ingest".into())
        .spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                if ingest.run(&stop) {
                    std::thread::sleep(REST);
                } else {
                    wait_for_news(&news);
                }
            }
        })
}

fn start_worker(
    name: &str,
    stop: Arc<AtomicBool>,
    work: impl FnOnce(&AtomicBool) + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.into())
        .spawn(move || work(&stop))
}

/// Follows the clocks, and does what is due when a day of the office begins: recordings move and go, then
/// all keys are sealed anew, so that stale copies of those that went open nothing.
fn age(life: &Life, vault: &Vault, catalogue: &Catalogue, stop: &AtomicBool) {
    let (mut looked, mut failed) = (None, None);
    let is_over = |since: Option<Instant>, rest| since.is_none_or(|at| at.elapsed() >= rest);
    while !stop.load(Ordering::Relaxed) {
        if is_over(looked, CLOCK_REST) {
            looked = Some(Instant::now());
            if let Some(at) = due(life)
                && is_over(failed, FAILURE_REST)
            {
                let swept = sweep(life, vault, catalogue, at, stop);
                failed = (!swept).then(Instant::now);
            }
        }
        std::thread::sleep(STOP_REST);
    }
}

/// Goes on to what the clocks show; when that is, if a sweep is due.
fn due(life: &Life) -> Option<i64> {
    let reading = machine::reading()
        .inspect_err(|error| log::error!("ALARM: the clocks cannot be read: {error}"))
        .ok()?;
    let at = reading.wall;
    match life.tick(reading) {
        Ok(due) => due.then_some(at),
        Err(error) => {
            log::error!("ALARM: the day cannot be kept: {error}");
            None
        }
    }
}

/// Answers whether all of it is done.
fn sweep(life: &Life, vault: &Vault, catalogue: &Catalogue, at: i64, stop: &AtomicBool) -> bool {
    match life.sweep(at, stop, &mut |_| {}) {
        Ok(swept) => log::info!(
            "swept: {} erased, {} moved, {} held",
            swept.erased,
            swept.moves.moved,
            swept.held
        ),
        Err(error) => {
            log::error!("ALARM: the sweep failed: {error}");
            return false;
        }
    }
    if stop.load(Ordering::Relaxed) {
        return false;
    }
    let rotated = vault.keys().rotate_logged(catalogue, None);
    if let Err(error) = &rotated {
        log::error!("ALARM: the keys cannot be sealed anew: {error}");
    }
    rotated.is_ok()
}

/// Tells the kernel which listings are others now: those over a recording that came in, and those that
/// were read while one did.
fn start_announcing(
    announcer: Announcer,
    news: std::sync::mpsc::Receiver<News>,
    gate: Arc<Gate>,
    refusals: Arc<Refusals>,
    stop: Arc<AtomicBool>,
) -> io::Result<JoinHandle<()>> {
    start_worker("announcer", stop, move |stop| {
        while !stop.load(Ordering::Relaxed) {
            if let Ok(news) = news.recv_timeout(REST_OF_NEWS) {
                gate.count_news();
                for folder in folders_over(news.number, news.day) {
                    announcer.forget(Node::Folder(folder));
                }
                match gate.fs().hidden(news.number, news.day) {
                    Ok(hidden) => hidden.into_iter().for_each(|file| announcer.gone(file)),
                    Err(error) => log::error!("what is past its last day: {error}"),
                }
            }
            for node in gate.stale_listings() {
                announcer.forget(node);
            }
            refusals.sweep();
        }
    })
}

/// Until something is published in the spool, or a beat has passed: news can be lost, so ingest
/// looks by itself too.
fn wait_for_news(news: &Inotify) {
    let mut fds = [PollFd::new(news.as_fd(), PollFlags::POLLIN)];
    match poll(&mut fds, PollTimeout::from(LOOK_MILLISECONDS)) {
        Ok(0) | Err(_) => {}
        Ok(_) => {
            // Only that there is news matters: ingest reads the directory.
            let _ = news.read_events();
        }
    }
}
