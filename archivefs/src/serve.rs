//! The daemon: opens the archive, mounts it, takes calls from the spool and answers the control
//! socket, until it is told to stop. Wires the other modules together and decides nothing else.

use crate::accounts::Accounts;
use crate::audit::{Draft, Event, Outcome};
use crate::catalogue::{Birth, Catalogue, CatalogueError, News};
use crate::checkpoints::{Checkpoints, Troubles};
use crate::clock::now;
use crate::control::device::Device;
use crate::control::service;
use crate::findings::Findings;
use crate::fs::{Announcer, ArchiveFs, Blocks, Gate, GateParts, Mount, MountError, Owners, Pool};
use crate::import;
use crate::ingest::{Ingest, Progress};
use crate::keys::{KeyError, Keys, MasterKeyError, create_master, load_master};
use crate::rights::Rights;
use crate::scrub::Scrub;
use crate::store::{Object, Store, StoreError, create_directories};
use crate::vault::Vault;
use crate::views::{Node, folders_over};
use chrono::{DateTime, Utc};
use nix::fcntl::{Flock, FlockArg};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::unistd::{Group, getegid, geteuid};
use sd_notify::NotifyState;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use thiserror::Error;
use tsuwaroku_config::Config;
use tsuwaroku_spool::SpoolError;
use tsuwaroku_spool::read::Reader;
use ulid::Ulid;

/// How often the daemon looks whether all is well, and tells systemd's watchdog.
const BEAT_MILLISECONDS: u16 = 1000;
/// How often listings that were read while a recording came in are looked for.
const REST_OF_NEWS: Duration = Duration::from_millis(200);
/// Decoded blocks in memory: some 400 of 64 KB, six minutes of each of five lines.
const BLOCKS_BYTES: u64 = 24 << 20;
/// Threads that wait for the disk of the tier.
const DISK_THREADS: usize = 8;
/// How long a reader waits for a disk that does not answer.
const DISK_PATIENCE: Duration = Duration::from_secs(10);
/// How long an entry that could not be taken rests before it is tried again.
const REST: Duration = Duration::from_secs(2);

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
    /// Somebody else unmounted the file system.
    #[error("{} was unmounted by somebody else", .0.display())]
    Unmounted(PathBuf),
    /// Something that every program needs failed.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// The places of an archive, all below its root.
struct Places<'a>(&'a Path);

impl Places<'_> {
    fn catalogue(&self) -> PathBuf {
        self.0.join("catalogue.sqlite")
    }

    fn primary(&self) -> PathBuf {
        self.0.join("primary")
    }

    fn keys(&self) -> PathBuf {
        self.0.join("keys").join("keys.sqlite")
    }
}

/// The file of the master key: as configured, or systemd's credential, or the usual place.
pub fn master_key_path(config: &Config) -> PathBuf {
    const CREDENTIAL: &str = "tsuwaroku-master-key";
    if let Some(path) = &config.archive.master_key {
        return path.clone();
    }
    std::env::var_os("CREDENTIALS_DIRECTORY")
        .map(|folder| Path::new(&folder).join(CREDENTIAL))
        .filter(|path| path.exists())
        .unwrap_or_else(|| "/etc/tsuwaroku/master.key".into())
}

/// Makes an empty archive where `config` says, born at `now` with the random part `random`, under
/// the master key that is there, or a new one. Answers whether it made one.
pub fn init(config: &Config, now: DateTime<Utc>, random: u128) -> Result<(Ulid, bool), ServeError> {
    let root = &config.archive.root;
    let places = Places(root);
    let now = u64::try_from(now.timestamp_millis()).unwrap_or(0);
    let archive = Ulid::from_parts(now, random);
    if places.catalogue().exists() {
        let found = format!("{}: there is an archive already", root.display());
        return Err(CatalogueError::Place(found).into());
    }
    let (master, made) = match load_master(&master_key_path(config)) {
        Err(MasterKeyError::Missing(path)) => (create_master(&path)?, true),
        other => (other?, false),
    };
    create_directories(root)?;
    std::fs::set_permissions(root, std::fs::Permissions::from_mode(0o700))?;
    create_directories(&root.join("keys"))?;
    Store::init(&places.primary(), archive, "primary")?;
    Keys::init(&places.keys(), archive, &master)?;
    // Last, because an archive is there when its catalogue is.
    Catalogue::init(
        &places.catalogue(),
        Birth {
            archive,
            time_zone: config.site.time_zone,
        },
    )?;
    Ok((archive, made))
}

/// The objects and keys of `archive`.
pub fn open_vault(config: &Config, archive: Ulid) -> Result<Vault, ServeError> {
    let places = Places(&config.archive.root);
    let master = load_master(&master_key_path(config))?;
    let keys = Keys::open(&places.keys(), archive, master)?;
    let primary = Store::open(&places.primary(), archive)?;
    Ok(Vault::new(vec![primary], Arc::new(keys)))
}

/// Opens the object in `file` with the archive's key for the recording that its name says. Reads
/// only, so that it may be done beside a running daemon.
pub fn open_object(config: &Config, file: &Path) -> Result<Object, ServeError> {
    let named = file
        .file_stem()
        .and_then(|stem| Ulid::from_string(stem.to_str()?).ok());
    let id = named.ok_or_else(|| {
        let reason = format!(
            "{}: its name is not that of an object: ULID.tso",
            file.display()
        );
        ServeError::Io(io::Error::new(io::ErrorKind::InvalidInput, reason))
    })?;
    let places = Places(&config.archive.root);
    let archive = Catalogue::birth_at(&places.catalogue())?.archive;
    let keys = Keys::open(
        &places.keys(),
        archive,
        load_master(&master_key_path(config))?,
    )?;
    Ok(Object::open(file, &keys.get(id)?)?)
}

/// Serves the archive of `config` until SIGTERM or SIGINT.
pub fn serve(config: Config) -> Result<(), ServeError> {
    let since = Utc::now();
    let _lock = lock(&config.archive.root)?;
    let database = Places(&config.archive.root).catalogue();
    let birth = Catalogue::birth_at(&database)?;
    check_zone(&config, birth)?;
    let vault = open_vault(&config, birth.archive)?;
    let catalogue = Arc::new(Catalogue::open(&database, vault.keys().log_signers()?)?);
    let version = env!("CARGO_PKG_VERSION");
    catalogue.log(Draft::new(now(), Event::Started, Outcome::Done).with("version", version))?;
    for line in &config.lines {
        catalogue.designate(&line.number)?;
    }
    let findings = Arc::new(Findings::load(catalogue.clone())?);
    let owners = owners(&config)?;
    let rights = Arc::new(rights(&config, owners.uid)?);
    let accounts = Arc::new(Accounts::default());
    let gate = Arc::new(Gate::new(GateParts {
        fs: ArchiveFs::new(
            catalogue.clone(),
            vault.clone(),
            config.archive.names,
            owners.clone(),
        ),
        catalogue: catalogue.clone(),
        findings: findings.clone(),
        rights: rights.clone(),
        accounts: accounts.clone(),
        blocks: Arc::new(Blocks::new(BLOCKS_BYTES)),
        disks: Arc::new(Pool::new("primary", DISK_THREADS, DISK_PATIENCE)?),
        listings: config.audit.listings,
    }));
    let signals = signals()?;
    let listener = listen(&config)?;
    let mount = Mount::new(gate.clone(), &config.archive.mount)?;

    let stop = Arc::new(AtomicBool::new(false));
    let progress = Arc::new(Progress::default());
    let mut workers = Vec::new();
    if let Some(announcer) = mount.announcer() {
        workers.push(start_announcing(
            announcer,
            catalogue.news(),
            gate,
            stop.clone(),
        )?);
    }
    let imports = config.archive.root.join(import::inbox::FOLDER);
    let mut spools = Vec::new();
    for spool in [&config.capture.spool, &imports] {
        let ingest = Ingest::new(
            Reader::open(spool)?,
            vault.clone(),
            catalogue.clone(),
            config
                .lines
                .iter()
                .map(|line| line.number.clone())
                .collect(),
            progress.clone(),
        );
        workers.push(start_ingest(ingest, &spool.join("ready"), stop.clone())?);
        spools.push(Reader::open(spool)?);
    }
    if config.archive.scrub_days > 0 {
        let scrub = Scrub {
            catalogue: catalogue.clone(),
            vault: vault.clone(),
            findings: findings.clone(),
            period: Duration::from_secs(86_400 * u64::from(config.archive.scrub_days)),
        };
        workers.push(start_worker("scrub", stop.clone(), move |stop| {
            scrub.run(stop)
        })?);
    }
    let checkpoints = Arc::new(Checkpoints {
        catalogue: catalogue.clone(),
        system_log: config.audit.system_log,
        files: config.audit.checkpoints.clone(),
        troubles: Arc::new(Troubles::default()),
    });
    let issuing = checkpoints.clone();
    let notary = start_worker("checkpoints", stop.clone(), move |stop| issuing.run(stop))?;

    let mounted = Arc::new(AtomicBool::new(true));
    let device = Device {
        catalogue: catalogue.clone(),
        vault,
        findings,
        spools,
        ingest: progress,
        mounted: mounted.clone(),
        since,
        rights,
        accounts,
        owners,
        checkpoints,
        config,
    };
    let runtime = control(listener, device)?;
    log::info!("serving {}", mount.path().display());
    tell(&[NotifyState::Ready]);
    let outcome = wait(&signals, &mount, &mounted);
    tell(&[NotifyState::Stopping]);
    runtime.shutdown_timeout(Duration::from_millis(200));
    // What is still open is closed by this, and logged.
    drop(mount);
    catalogue.log_later(Draft::new(now(), Event::Stopped, Outcome::Done));
    stop.store(true, Ordering::Relaxed);
    // The last one to end, so that the last checkpoint covers what the others logged.
    workers.push(notary);
    for worker in workers {
        if worker.join().is_err() {
            log::error!("a thread had stopped by a fault of the program");
        }
    }
    log::info!("stopped");
    outcome
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

/// The directories are named by the zone the archive was made with.
fn check_zone(config: &Config, birth: Birth) -> Result<(), ServeError> {
    if config.site.time_zone == birth.time_zone {
        return Ok(());
    }
    Err(ServeError::Setting {
        path: config.path.clone(),
        key: "site.time_zone".into(),
        message: format!(
            "is {}, but the archive was made with {}, by which its days are named; set it back",
            config.site.time_zone, birth.time_zone
        ),
    })
}

/// Who may do what; a role's `@group` must exist.
fn rights(config: &Config, own: u32) -> Result<Rights, ServeError> {
    Rights::new(&config.roles, own, |name| {
        let group = Group::from_name(name).map_err(io::Error::from)?;
        let missing = || ServeError::Setting {
            path: config.path.clone(),
            key: "roles".into(),
            message: format!("there is no group '{name}' here; make it with: groupadd {name}"),
        };
        Ok(group.ok_or_else(missing)?.gid.as_raw())
    })
}

fn owners(config: &Config) -> Result<Owners, ServeError> {
    let mut owners = Owners {
        uid: geteuid().as_raw(),
        gid: getegid().as_raw(),
        ..Owners::default()
    };
    for (index, line) in config.lines.iter().enumerate() {
        let Some(name) = &line.reader_group else {
            continue;
        };
        let group = Group::from_name(name).map_err(io::Error::from)?;
        let group = group.ok_or_else(|| ServeError::Setting {
            path: config.path.clone(),
            key: format!("line[{}].reader_group", index + 1),
            message: format!("there is no group '{name}' here; make it with: groupadd {name}"),
        })?;
        owners
            .readers
            .insert(line.number.clone(), group.gid.as_raw());
    }
    Ok(owners)
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

fn start_ingest(
    ingest: Ingest,
    ready: &Path,
    stop: Arc<AtomicBool>,
) -> io::Result<std::thread::JoinHandle<()>> {
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
) -> io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.into())
        .spawn(move || work(&stop))
}

/// Tells the kernel which listings are others now: those over a recording that came in, and those that
/// were read while one did.
fn start_announcing(
    announcer: Announcer,
    news: std::sync::mpsc::Receiver<News>,
    gate: Arc<Gate>,
    stop: Arc<AtomicBool>,
) -> io::Result<std::thread::JoinHandle<()>> {
    start_worker("announcer", stop, move |stop| {
        while !stop.load(Ordering::Relaxed) {
            if let Ok(news) = news.recv_timeout(REST_OF_NEWS) {
                gate.count_news();
                for folder in folders_over(news.number, news.day) {
                    announcer.listing_changed(Node::Folder(folder));
                }
            }
            for node in gate.stale_listings() {
                announcer.listing_changed(node);
            }
        }
    })
}

/// Until something is published in the spool, or a beat has passed: news can be lost, so ingest
/// looks by itself too.
fn wait_for_news(news: &Inotify) {
    let mut fds = [PollFd::new(news.as_fd(), PollFlags::POLLIN)];
    match poll(&mut fds, PollTimeout::from(BEAT_MILLISECONDS)) {
        Ok(0) | Err(_) => {}
        Ok(_) => {
            // Only that there is news matters: ingest reads the directory.
            let _ = news.read_events();
        }
    }
}

/// Until the daemon is told to stop, or cannot go on.
fn wait(signals: &UnixStream, mount: &Mount, mounted: &AtomicBool) -> Result<(), ServeError> {
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
        tell(&[NotifyState::Watchdog]);
    }
}

/// Tells systemd; without systemd nobody listens, which is no fault.
fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        log::debug!("systemd is not told: {error}");
    }
}
