//! The threads of one card: device, worker, keeper.
//!
//! What lives here: opening, and how the three are tied together. What does not: what they do
//! (`device`, `worker`, `keep`). `daemon` starts one for each card and hears from it by [`Report`]s.
//!
//! ```text
//! device ──periods──► worker ──messages──► keeper ──► spool
//!        ◄──buffers──
//! ```

use crate::device;
use crate::keep::Keeper;
use crate::line::Line;
use crate::port::Spool;
use crate::source::alsa::Pcm;
use crate::source::error::OpenError;
use crate::source::live::Live;
use crate::source::offer::Wish;
use crate::source::{Params, Source};
use crate::worker::Worker;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;
use tsuwaroku_config::Config;

/// Time between two attempts to open a card that was not there at the start.
const RETRY: Duration = Duration::from_secs(1);

/// What a card's threads tell the daemon.
#[derive(Debug)]
pub enum Report {
    /// The card is open; its worker ends after the stop, with the keeper.
    Opened(Params, JoinHandle<()>),
    /// It could not be opened at the first attempt.
    Failed(OpenError),
    /// There are no threads for it.
    NoThread(io::Error),
    /// A worker has ended, with or without its keeper.
    Ended,
    /// A signal asks for the end.
    Stop,
}

/// Reports the end of a worker, also if it panics.
struct End(mpsc::Sender<Report>);

impl Drop for End {
    fn drop(&mut self) {
        // Nobody listens any more when the daemon is stopping.
        let _ = self.0.send(Report::Ended);
    }
}

/// Starts the device thread of the card `pcm`. An open that blocks (a FIFO behind alsa-lib's `file`)
/// holds up only that thread. It reports the first attempt, and tries on when the card is missing.
pub fn start<S>(
    config: &Arc<Config>,
    pcm: &str,
    spool: &S,
    stop: &Arc<AtomicBool>,
    reports: &mpsc::Sender<Report>,
) -> io::Result<()>
where
    S: Spool + Clone + Send + 'static,
    S::Entry: Send,
{
    let wish = Wish::new(config, pcm);
    let (config, stop) = (Arc::clone(config), Arc::clone(stop));
    let (spool, reports) = (spool.clone(), reports.clone());
    let thread = Builder::new().name(format!("device {pcm}"));
    thread.spawn(move || {
        let Some(mut source) = open(&wish, &stop, &reports) else {
            return;
        };
        let _ = run(&mut source, &config, spool, &stop, &reports)
            .map_err(|error| reports.send(Report::NoThread(error)));
    })?;
    Ok(())
}

/// Opens the card, as often as it takes; nothing if it never will.
fn open(wish: &Wish, stop: &AtomicBool, reports: &mpsc::Sender<Report>) -> Option<Live<Pcm>> {
    let mut first = true;
    while !stop.load(Ordering::Relaxed) {
        let error = match Live::open(wish) {
            Ok(source) => return Some(source),
            Err(error) => error,
        };
        let hopeless = matches!(error, OpenError::Unsupported { .. });
        if first {
            reports.send(Report::Failed(error)).ok()?;
        } else if hopeless {
            log::error!("{error}");
        }
        if hopeless {
            return None;
        }
        first = false;
        std::thread::sleep(RETRY);
    }
    None
}

/// Starts worker and keeper, and is the device thread until the end.
fn run<S>(
    source: &mut dyn Source,
    config: &Config,
    spool: S,
    stop: &Arc<AtomicBool>,
    reports: &mpsc::Sender<Report>,
) -> io::Result<()>
where
    S: Spool + Send + 'static,
    S::Entry: Send,
{
    let params = source.params().clone();
    let (sender, receiver) = device::queue(&params);
    let (to_keeper, messages) = mpsc::channel();
    let lines = config
        .lines_of(&params.pcm)
        .map(|line| Line::new(line, &config.capture, &params))
        .collect();
    let keeper = Keeper::new(spool);
    let keeper = Builder::new()
        .name("keeper".to_owned())
        .spawn(move || keeper.run(&messages))?;
    let worker = Worker::new(&params, lines, to_keeper);
    let worker_stop = Arc::clone(stop);
    let end = End(reports.clone());
    let worker = Builder::new().name("worker".to_owned()).spawn(move || {
        let _end = end;
        worker.run(receiver, &worker_stop);
        // Its panic is the worker's: the daemon must not go on without a keeper.
        assert!(keeper.join().is_ok(), "the keeper failed");
    })?;
    let thread = worker.thread().clone();
    let _ = reports.send(Report::Opened(params, worker));
    device::run(source, sender, &thread, stop);
    Ok(())
}
