//! The daemon from its first card to its last recording.
//!
//! What lives here: the main thread: start, waiting, stop, and the exit status. What does not: the
//! threads of a card (`card`), the command line and going to the background (`main`).

use crate::card::{self, Report};
use crate::source::Params;
use crate::source::error::{EXIT_UNAVAILABLE, OpenError};
use sd_notify::NotifyState;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};
use tsuwaroku_config::{Config, EXIT_CONFIG};
use tsuwaroku_spool::SpoolError;
use tsuwaroku_spool::write::Writer;

/// Exit status when the spool cannot be used: `EX_CANTCREAT` of sysexits.h.
pub const EXIT_SPOOL: u8 = 73;
/// Exit status when a thread failed: `EX_SOFTWARE` of sysexits.h.
pub const EXIT_SOFTWARE: u8 = 70;

/// How long the other cards may take to open, once one could not be.
const GRACE: Duration = Duration::from_secs(5);
/// How long worker and keeper may take to finish, once told to stop.
const LAST_WAIT: Duration = Duration::from_secs(8);

/// The running daemon.
#[derive(Debug)]
struct Daemon {
    reports: mpsc::Receiver<Report>,
    stop: Arc<AtomicBool>,
    cards: usize,
    workers: Vec<JoinHandle<()>>,
    failures: Vec<OpenError>,
    /// The exit status, once it is time to end.
    outcome: Option<u8>,
}

/// Records until SIGTERM or SIGINT; gives the exit status. Calls `ready` once with the status with
/// which the start succeeded (0) or failed.
pub fn run(config: Config, ready: impl FnOnce(u8)) -> u8 {
    let mut daemon = match Daemon::start(config) {
        Ok(daemon) => daemon,
        Err(status) => {
            ready(status);
            return status;
        }
    };
    let mut status = daemon.open_cards();
    ready(status);
    if status == 0 {
        status = daemon.watch();
    }
    daemon.finish();
    status
}

impl Daemon {
    /// Opens the spool, recovers it, and starts the threads.
    fn start(config: Config) -> Result<Self, u8> {
        let (sender, reports) = mpsc::channel();
        await_signals(sender.clone()).map_err(|error| {
            log::error!("signals cannot be caught: {error}");
            EXIT_SOFTWARE
        })?;
        let spool = open_spool(&config).map_err(|error| {
            log::error!("{error}");
            EXIT_SPOOL
        })?;
        let config = Arc::new(config);
        let stop = Arc::new(AtomicBool::new(false));
        let pcms = config.pcms();
        for pcm in &pcms {
            card::start(&config, pcm, &spool, &stop, &sender).map_err(|error| {
                log::error!("no thread for card {pcm}: {error}; raise the limit of tasks");
                EXIT_SOFTWARE
            })?;
        }
        Ok(Self {
            reports,
            stop,
            cards: pcms.len(),
            workers: Vec::new(),
            failures: Vec::new(),
            outcome: None,
        })
    }

    /// Waits until every card was tried; gives the exit status, 0 to go on.
    fn open_cards(&mut self) -> u8 {
        let mut deadline = None;
        while self.outcome.is_none() && self.workers.len() + self.failures.len() < self.cards {
            if !self.failures.is_empty() {
                deadline.get_or_insert_with(|| Instant::now() + GRACE);
            }
            let patience = deadline.map(|at: Instant| at.saturating_duration_since(Instant::now()));
            if patience.is_some_and(|patience| patience.is_zero()) {
                break;
            }
            self.hear(patience);
        }
        self.outcome
            .or(verdict(&self.failures, self.cards))
            .unwrap_or(0)
    }

    /// Waits for a report, at most for `patience`, and takes it.
    fn hear(&mut self, patience: Option<Duration>) {
        let report = match patience {
            // The signals' thread keeps a sender: without a timeout there is always a report.
            None => self
                .reports
                .recv()
                .map_err(|_| RecvTimeoutError::Disconnected),
            Some(patience) => self.reports.recv_timeout(patience),
        };
        match report {
            Ok(Report::Opened(params, worker)) => {
                log::info!("{}", describe(&params));
                self.workers.push(worker);
            }
            Ok(Report::Failed(error)) => {
                log::error!("{error}");
                self.failures.push(error);
            }
            Ok(Report::NoThread(error)) => {
                log::error!("no threads for a card: {error}; raise the limit of tasks");
                self.outcome = Some(EXIT_SOFTWARE);
            }
            Ok(Report::Ended) => {
                log::error!("a thread has failed; the daemon ends, to be started again");
                self.outcome = Some(EXIT_SOFTWARE);
            }
            Ok(Report::Stop) => self.outcome = Some(0),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => self.outcome = Some(EXIT_SOFTWARE),
        }
    }

    /// Looks after the threads until the end; wakes only for reports and the watchdog.
    fn watch(&mut self) -> u8 {
        let feed = sd_notify::watchdog_enabled().map(|limit| limit / 3);
        let mut told = 0;
        while self.outcome.is_none() {
            if self.workers.len() > told {
                told = self.workers.len();
                self.say_ready();
            }
            self.hear(feed);
            if feed.is_some() {
                notify(&[NotifyState::Watchdog]);
            }
        }
        self.outcome.unwrap_or(0)
    }

    fn say_ready(&self) {
        let status = format!(
            "recording from {} of {} cards",
            self.workers.len(),
            self.cards
        );
        log::info!("{status}");
        notify(&[NotifyState::Ready, NotifyState::Status(&status)]);
    }

    /// Ends running calls. Device threads are not waited for: one may hang in a read.
    fn finish(&mut self) {
        notify(&[NotifyState::Stopping]);
        self.stop.store(true, Ordering::Relaxed);
        // A card that was opened in the last moment has a worker too.
        for report in self.reports.try_iter() {
            if let Report::Opened(_, worker) = report {
                self.workers.push(worker);
            }
        }
        let deadline = Instant::now() + LAST_WAIT;
        for worker in self.workers.drain(..) {
            worker.thread().unpark();
            while !worker.is_finished() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(10));
            }
            if !worker.is_finished() {
                log::error!(
                    "the spool hangs: what is not in it now is recovered at the next start"
                );
            } else if worker.join().is_err() {
                log::error!("a thread has failed; its calls are recovered at the next start");
            }
        }
    }
}

/// Reports SIGTERM and SIGINT, from a thread of its own.
fn await_signals(reports: mpsc::Sender<Report>) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let thread = Builder::new().name("signals".to_owned());
    thread.spawn(move || {
        for _ in signals.forever() {
            // The main thread is ending already.
            if reports.send(Report::Stop).is_err() {
                break;
            }
        }
    })?;
    Ok(())
}

/// Opens the spool and closes what a crash left there; the spool logs each.
fn open_spool(config: &Config) -> Result<Arc<Writer>, SpoolError> {
    let writer = Writer::open(&config.capture.spool)?;
    let recovered = writer.recover()?;
    if !recovered.is_empty() {
        log::warn!(
            "{} recordings were left by a crash; see above",
            recovered.len()
        );
    }
    Ok(Arc::new(writer))
}

/// Whether cards that could not be opened keep the daemon from starting, and with which exit
/// status. A setting that a card cannot fulfil always does. A card that is missing does so only if
/// no other can be recorded from: else one dead card would silence all lines.
fn verdict(failures: &[OpenError], cards: usize) -> Option<u8> {
    let unsupported = failures
        .iter()
        .any(|error| error.exit_status() == EXIT_CONFIG);
    match failures.len() {
        0 => None,
        _ if unsupported => Some(EXIT_CONFIG),
        failed if failed == cards => Some(EXIT_UNAVAILABLE),
        _ => None,
    }
}

/// What a card was opened with, for people.
pub fn describe(params: &Params) -> String {
    let layout = params.layout;
    let milliseconds = |frames: usize| frames as u64 * 1000 / u64::from(params.rate);
    format!(
        "card {}: {} Hz, {} channels, {:?}{}, period {} ms, buffer {} ms",
        params.pcm,
        params.rate,
        layout.channels,
        layout.format,
        if layout.plane.is_some() {
            " (not interleaved)"
        } else {
            ""
        },
        milliseconds(params.period_frames),
        milliseconds(params.buffer_frames),
    )
}

fn notify(states: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(states) {
        log::warn!("the service manager cannot be told: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::error::Refusal;
    use crate::source::offer::Offer;

    fn missing() -> OpenError {
        OpenError::Busy {
            pcm: "hw:CARD=Lines".to_owned(),
            cause: "busy".to_owned(),
        }
    }

    fn unsupported() -> OpenError {
        OpenError::Unsupported {
            pcm: "hw:CARD=Lines".to_owned(),
            refusal: Refusal::Rate { rate: 8000 },
            offer: Box::new(Offer::default()),
        }
    }

    #[test]
    fn one_dead_card_does_not_silence_the_others() {
        assert_eq!(verdict(&[], 2), None);
        assert_eq!(verdict(&[missing()], 2), None);
        assert_eq!(verdict(&[missing(), missing()], 2), Some(69));
    }

    #[test]
    fn a_setting_that_cannot_be_fulfilled_always_stops_the_start() {
        assert_eq!(verdict(&[unsupported()], 2), Some(78));
        assert_eq!(verdict(&[missing(), unsupported()], 2), Some(78));
    }
}
