//! Opening an archive: where its parts lie, how it is made, and everything that is open while it is
//! served. Nothing runs here yet.

use super::ServeError;
use super::forget::Forgetter;
use crate::accounts::{Accounts, group_named};
use crate::audit::Signer;
use crate::catalogue::{Birth, Catalogue, CatalogueError};
use crate::checkpoints::{Checkpoints, Troubles};
use crate::clock::machine;
use crate::findings::Findings;
use crate::fs::{ArchiveFs, Blocks, Gate, GateParts, Owners, Pool};
use crate::keys::{Keys, MasterKeyError, create_master, load_master};
use crate::life::{self, BALLAST_BYTES, Life, MoveSettings, Rules, tiers};
use crate::refusals::Refusals;
use crate::rights::Rights;
use crate::store::{Object, Store, Tier, create_directories};
use crate::vault::Vault;
use chrono::{DateTime, Utc};
use nix::unistd::{getegid, geteuid};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tsuwaroku_config::{Config, Line};
use ulid::Ulid;

/// Decoded blocks in memory: some 400 of 64 KB, six minutes of each of five lines.
const BLOCKS_BYTES: u64 = 24 << 20;
/// Threads that wait for the disk of the tier.
const DISK_THREADS: usize = 8;
/// How long a reader waits for a disk that does not answer.
const DISK_PATIENCE: Duration = Duration::from_secs(10);
/// Threads that wait for the name service, and how long whoever asks waits for it.
const NAME_THREADS: usize = 4;
const NAME_PATIENCE: Duration = Duration::from_secs(5);

/// The places of an archive, all below its root.
pub(super) struct Places<'a>(pub &'a Path);

impl Places<'_> {
    pub fn catalogue(&self) -> PathBuf {
        self.0.join("catalogue.sqlite")
    }

    pub fn primary(&self) -> PathBuf {
        self.0.join("primary")
    }

    /// Where the file system is mounted before it is shown.
    pub fn mounting(&self) -> PathBuf {
        self.0.join("mounting")
    }

    pub fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }

    pub fn keys(&self) -> PathBuf {
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
    Store::init(&places.primary(), archive, Tier::Primary.word())?;
    if let Some(secondary) = &config.archive.secondary {
        Store::init(secondary, archive, Tier::Secondary.word())?;
    }
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

/// The objects and keys of `archive`, which the caller has locked.
pub fn open_vault(config: &Config, archive: Ulid) -> Result<Vault, ServeError> {
    let places = Places(&config.archive.root);
    let master = load_master(&master_key_path(config))?;
    let keys = Keys::open(&places.keys(), archive, master)?;
    let mut tiers = vec![Store::open(&places.primary(), archive)?];
    tiers.extend(open_secondary(config, archive));
    let vault = Vault::new(tiers, Arc::new(keys));
    let folders = vault.tiers().iter().map(Store::keys_folder);
    vault.keys().settle(folders)?;
    Ok(vault)
}

/// The secondary tier, if one is configured and there. Without it the archive goes on with what the
/// primary tier has.
fn open_secondary(config: &Config, archive: Ulid) -> Option<Store> {
    let root = config.archive.secondary.as_ref()?;
    let fstab = std::fs::read_to_string("/etc/fstab").unwrap_or_default();
    let opened = tiers::open(root, archive, &fstab);
    if let Err(missing) = &opened {
        log::error!(
            "ALARM: the secondary tier is not there: {}; a new medium is prepared with: tsuwaroku init \
             --secondary",
            missing.reason
        );
    }
    opened.ok()
}

/// Makes the secondary tier of the archive that is there, where `config` says.
pub fn init_secondary(config: &Config) -> Result<PathBuf, ServeError> {
    let Some(root) = &config.archive.secondary else {
        return Err(ServeError::Setting {
            path: config.path.clone(),
            key: "archive.secondary".into(),
            message: "is missing: it says where the second medium is mounted".into(),
        });
    };
    let archive = Catalogue::birth_at(&Places(&config.archive.root).catalogue())?.archive;
    Store::init(root, archive, Tier::Secondary.word())?;
    Ok(root.clone())
}

/// What happens to the recordings of `archive` as they age, from what the machine's clocks show now.
pub(super) fn life(
    archive: &Archive,
    config: &Config,
    caches: Arc<Forgetter>,
) -> Result<Life, ServeError> {
    let numbers = archive.catalogue.numbers()?;
    let own = |line: &Line| {
        let known = numbers.iter().find(|number| number.number == line.number)?;
        Some((known.id, line.retention.clone()))
    };
    let rules = Rules {
        others: config.retention.clone(),
        lines: config.lines.iter().filter_map(own).collect(),
    };
    let rate = u64::from(config.archive.move_rate) * 1_000_000;
    let parts = life::Parts {
        catalogue: archive.catalogue.clone(),
        vault: archive.vault.clone(),
        findings: archive.findings.clone(),
        caches,
        rules,
        moves: MoveSettings {
            recompress: config.archive.recompress,
            bytes_per_second: (rate > 0).then_some(rate),
        },
        wants_secondary: config.archive.secondary.is_some(),
        ballast: Places(&config.archive.root).ballast(),
        ballast_bytes: BALLAST_BYTES,
    };
    Ok(Life::open(parts, machine::reading()?)?)
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

/// An archive that is open, and who may do what with it.
pub(super) struct Archive {
    pub catalogue: Arc<Catalogue>,
    pub vault: Vault,
    pub findings: Arc<Findings>,
    pub owners: Owners,
    pub rights: Arc<Rights>,
    pub accounts: Arc<Accounts>,
    pub refusals: Arc<Refusals>,
    pub checkpoints: Arc<Checkpoints>,
}

impl Archive {
    pub fn open(config: &Config) -> Result<Self, ServeError> {
        let database = Places(&config.archive.root).catalogue();
        let birth = Catalogue::birth_at(&database)?;
        check_zone(config, birth)?;
        let vault = open_vault(config, birth.archive)?;
        let signers = vault.keys().log_signers()?;
        let log_keys = signers.iter().map(Signer::verifying_key).collect();
        let catalogue = Arc::new(Catalogue::open(&database, signers)?);
        let owners = owners(config)?;
        Ok(Self {
            findings: Arc::new(Findings::load(catalogue.clone())?),
            rights: Arc::new(rights(config, owners.uid)?),
            accounts: Arc::new(Accounts::default()),
            refusals: Arc::new(Refusals::new(catalogue.clone())),
            checkpoints: Arc::new(Checkpoints {
                catalogue: catalogue.clone(),
                system_log: config.audit.system_log,
                files: config.audit.checkpoints.clone(),
                troubles: Arc::new(Troubles::default()),
                keys: Mutex::new(log_keys),
                giving: Mutex::default(),
            }),
            catalogue,
            vault,
            owners,
        })
    }

    pub fn gate(&self, config: &Config) -> io::Result<Gate> {
        let (catalogue, vault) = (self.catalogue.clone(), self.vault.clone());
        Ok(Gate::new(GateParts {
            fs: ArchiveFs::new(
                catalogue.clone(),
                vault,
                config.archive.names,
                self.owners.clone(),
            ),
            catalogue,
            findings: self.findings.clone(),
            rights: self.rights.clone(),
            accounts: self.accounts.clone(),
            blocks: Arc::new(Blocks::new(BLOCKS_BYTES)),
            disks: disk_pools()?,
            names: Arc::new(Pool::new("names", NAME_THREADS, NAME_PATIENCE)?),
            refusals: self.refusals.clone(),
            listings: config.audit.listings,
        }))
    }
}

/// Threads that wait for disks, apart for each tier: one that hangs holds up none but its own readers.
fn disk_pools() -> io::Result<[Arc<Pool>; Tier::ALL.len()]> {
    let pool = |tier: Tier| Pool::new(tier.word(), DISK_THREADS, DISK_PATIENCE).map(Arc::new);
    let [primary, secondary] = Tier::ALL;
    Ok([pool(primary)?, pool(secondary)?])
}

/// The directories are named by the zone the archive was made with.
pub(super) fn check_zone(config: &Config, birth: Birth) -> Result<(), ServeError> {
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
        let missing = || ServeError::Setting {
            path: config.path.clone(),
            key: "roles".into(),
            message: format!("there is no group '{name}' here; make it with: groupadd {name}"),
        };
        group_named(name)?.ok_or_else(missing)
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
        let group = group_named(name)?.ok_or_else(|| ServeError::Setting {
            path: config.path.clone(),
            key: format!("line[{}].reader_group", index + 1),
            message: format!("there is no group '{name}' here; make it with: groupadd {name}"),
        })?;
        owners.readers.insert(line.number.clone(), group);
    }
    Ok(owners)
}
