//! The daemon: opens the archive, mounts it, takes calls from the spool and answers the control
//! socket, until it is told to stop. Wires the other modules together and decides nothing else.

mod forget;
mod open;
mod restore;
mod workers;

pub use open::{init, init_secondary, master_key_path, open_object, open_vault};
pub use restore::{Restored, back_up, rebuild, restore};

use crate::audit::{Draft, Event, Outcome};
use crate::backup::BackupError;
use crate::catalogue::{Catalogue, CatalogueError};
use crate::clock::now;
use crate::control::device::Device;
use crate::control::service;
use crate::fs::{Mount, MountError};
use crate::keys::{KeyError, MasterKeyError};
use crate::life::LifeError;
use crate::store::StoreError;
use chrono::Utc;
use forget::Forgetter;
use nix::fcntl::{Flock, FlockArg};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use open::Archive;
use sd_notify::NotifyState;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use thiserror::Error;
use tsuwaroku_config::Config;
use tsuwaroku_spool::SpoolError;
use workers::Workers;

/// How often the daemon looks whether all is well, and tells systemd's watchdog.
const BEAT_MILLISECONDS: u16 = 1000;

/// Why the daemon does not start, or stops.
#[derive(Debug, Error)]
pub enum ServeError {
    /// Another daemon has the archive.
    #[error("{}: another tsuwaroku serves this archive", .0.display())]
    Taken(PathBuf),
    /// A setting names something that does not exist.
    #[error("{}: {key}: {message}", path.display())]
    Setting {
        /// The configuration file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What is wrong.
        message: String,
    },
    /// See [`CatalogueError`].
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
    /// See [`KeyError`].
    #[error(transparent)]
    Key(#[from] KeyError),
    /// See [`BackupError`].
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// See [`MasterKeyError`].
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    /// See [`SpoolError`].
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// See [`MountError`].
    #[error(transparent)]
    Mount(#[from] MountError),
    /// The control socket cannot be made.
    #[error("{}: {error}; see [archive] socket", socket.display())]
    Socket {
        /// The socket.
        socket: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// See [`LifeError`].
    #[error(transparent)]
    Life(#[from] LifeError),
    /// Somebody else unmounted the file system.
    #[error("{} was unmounted by somebody else", .0.display())]
    Unmounted(PathBuf),
    /// Something that every program needs failed.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Serves the archive of `config` until SIGTERM or SIGINT.
pub fn serve(config: Config) -> Result<(), ServeError> {
    let since = Utc::now();
    let _lock = lock(&config.archive.root)?;
    let archive = Archive::open(&config)?;
    let catalogue = archive.catalogue.clone();
    // Not waited for: with a full disk there is still an archive to show.
    let started = Draft::new(now(), Event::Started, Outcome::Done);
    catalogue.log_later(started.with("version", env!("CARGO_PKG_VERSION")));
    designate(&catalogue, &config)?;
    let forgetter = Arc::new(Forgetter::default());
    // Before anything is shown: what is past its last day is not.
    let life = Arc::new(open::life(&archive, &config, forgetter.clone())?);
    let signals = signals()?;
    let listener = listen(&config)?;
    let gate = Arc::new(archive.gate(&config)?);
    let mount = Mount::new(
        gate.clone(),
        &config.archive.mount,
        &open::Places(&config.archive.root).mounting(),
    )?;
    forgetter.serves(gate.clone(), &mount);
    let mut workers = Workers::start(&archive, &config, &mount, gate, life.clone())?;
    let mounted = Arc::new(AtomicBool::new(true));
    let device = Device {
        catalogue: catalogue.clone(),
        vault: archive.vault.clone(),
        findings: archive.findings.clone(),
        spools: std::mem::take(&mut workers.spools),
        ingest: workers.progress.clone(),
        mounted: mounted.clone(),
        since,
        rights: archive.rights.clone(),
        accounts: archive.accounts.clone(),
        owners: archive.owners.clone(),
        refusals: archive.refusals.clone(),
        checkpoints: archive.checkpoints.clone(),
        life,
        config,
    };
    let runtime = control(listener, device)?;
    log::info!("serving {}", mount.path().display());
    tell(&[NotifyState::Ready]);
    let outcome = wait(&signals, &mount, &mounted, &catalogue);
    tell(&[NotifyState::Stopping]);
    runtime.shutdown_timeout(Duration::from_millis(200));
    // What is still open is closed by this, and logged.
    drop(mount);
    workers.finish(&archive);
    log::info!("stopped");
    outcome
}

/// Enters the numbers that are new. One that cannot be entered now is entered with its first call.
fn designate(catalogue: &Catalogue, config: &Config) -> Result<(), CatalogueError> {
    let known = catalogue.numbers()?;
    for line in &config.lines {
        let is_known = known.iter().any(|number| number.number == line.number);
        if !is_known && let Err(error) = catalogue.designate(&line.number) {
            log::error!("{} cannot be entered yet: {error}", line.number);
        }
    }
    Ok(())
}

fn lock(root: &Path) -> Result<Flock<File>, ServeError> {
    let path = root.join("lock");
    let file = File::create(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => ServeError::Catalogue(CatalogueError::Place(format!(
            "{}: there is no archive; make one with: tsuwaroku init",
            root.display()
        ))),
        _ => error.into(),
    })?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock)
        .map_err(|_| ServeError::Taken(root.to_owned()))
}

/// A socket that becomes readable when the daemon is told to stop.
fn signals() -> io::Result<UnixStream> {
    let (told, teller) = UnixStream::pair()?;
    told.set_nonblocking(true)?;
    for signal in [SIGTERM, SIGINT] {
        signal_hook::low_level::pipe::register(signal, teller.try_clone()?)?;
    }
    Ok(told)
}

fn listen(config: &Config) -> Result<std::os::unix::net::UnixListener, ServeError> {
    let socket = &config.archive.socket;
    service::listen(socket).map_err(|error| ServeError::Socket {
        socket: socket.clone(),
        error,
    })
}

fn control(
    listener: std::os::unix::net::UnixListener,
    device: Device,
) -> io::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(8)
        .thread_name("control")
        .enable_all()
        .build()?;
    let listener = {
        let _inside = runtime.enter();
        tokio::net::UnixListener::from_std(listener)?
    };
    runtime.spawn(service::serve(listener, Arc::new(device)));
    Ok(runtime)
}

/// Until the daemon is told to stop, or cannot go on.
fn wait(
    signals: &UnixStream,
    mount: &Mount,
    mounted: &AtomicBool,
    catalogue: &Catalogue,
) -> Result<(), ServeError> {
    loop {
        let mut fds = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::from(BEAT_MILLISECONDS)) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => {}
            Ok(_) => return Ok(()),
            Err(error) => return Err(io::Error::from(error).into()),
        }
        if !mount.is_alive() {
            mounted.store(false, Ordering::Relaxed);
            return Err(ServeError::Unmounted(mount.path().to_owned()));
        }
        if !catalogue.is_alive() {
            return Err(CatalogueError::Closed.into());
        }
        tell(&[NotifyState::Watchdog]);
    }
}

/// Tells systemd; without systemd nobody listens, which is no fault.
fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        log::debug!("systemd is not told: {error}");
    }
}
