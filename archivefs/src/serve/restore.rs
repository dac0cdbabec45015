//! What is done to an archive that no daemon serves: a backup of it, its restoration on a machine that
//! has none, and the entering of recordings from their objects. Each holds the daemon's lock.

use super::open::{Places, check_zone, master_key_path, open_vault};
use super::{ServeError, lock};
use crate::accounts::Accounts;
use crate::audit::{Draft, Event, Outcome, Who};
use crate::backup::{self, BackedUp, Manifest, Source};
use crate::catalogue::{Birth, Catalogue};
use crate::clock::now;
use crate::keys::{Keys, load_master};
use crate::rebuild::{self, Rebuilt, Tell};
use crate::store::{Store, create_directories, sync_directory};
use crate::vault::Vault;
use crate::verify::{self, Problem};
use chrono::{DateTime, Utc};
use nix::unistd::{getgid, getuid};
use serde::Serialize;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tsuwaroku_config::Config;
use ulid::Ulid;

/// The database on its way to its place.
const DRAFT: &str = "catalogue.sqlite.restoring";

/// What a restoration has brought back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// The backup.
    pub manifest: Manifest,
    /// Where the keys came from; nothing if they were there.
    pub keys: Option<PathBuf>,
    /// Recordings that were erased after the backup was made, and stay so.
    pub erased: Vec<Ulid>,
    /// Recordings of which no tier has the object.
    pub missing: Vec<Ulid>,
    /// What came from the objects: recordings newer than the backup.
    pub rebuilt: Rebuilt,
}

/// Backs up the archive of `config`, beside a daemon or without one, into `directory`, at `at`; see
/// [`backup::back_up`]. Logs nothing: where there is a daemon, it is asked.
pub fn back_up(
    config: &Config,
    directory: &Path,
    at: DateTime<Utc>,
    tell: &mut dyn FnMut(u64, u64),
) -> Result<BackedUp, ServeError> {
    let _lock = lock(&config.archive.root)?;
    let catalogue = Places(&config.archive.root).catalogue();
    let source = Source {
        catalogue: &catalogue,
        birth: Catalogue::birth_at(&catalogue)?,
        configuration: &config.path,
    };
    Ok(backup::back_up(source, directory, at, tell)?)
}

/// Restores the catalogue from the backup in `place`, on a machine that has the store, the master key
/// and no catalogue. Recordings that are newer come from their objects.
pub fn restore(config: &Config, place: &Path, tell: Tell<'_>) -> Result<Restored, ServeError> {
    let root = &config.archive.root;
    let (places, manifest) = (Places(root), backup::check(place)?);
    make_room(config)?;
    let _lock = lock(root)?;
    let birth = Birth {
        archive: manifest.archive,
        time_zone: zone(&manifest)?,
    };
    check_zone(config, birth)?;
    // Before anything is written, that it is the right store and the right master key.
    Store::open(&places.primary(), birth.archive)?;
    let from = bring_keys(config, birth.archive)?;
    let vault = open_vault(config, birth.archive)?;
    let draft = root.join(DRAFT);
    for left in [
        DRAFT,
        "catalogue.sqlite.restoring-wal",
        "catalogue.sqlite.restoring-shm",
    ] {
        remove(&root.join(left))?;
    }
    backup::bring(place, &manifest, &draft)?;
    let mut gone = |id| Ok(!vault.keys().has(id)?);
    let erased = Catalogue::bury_erased::<ServeError>(&draft, now(), birth.time_zone, &mut gone)?;
    publish(&draft, &places.catalogue())?;
    let catalogue = Catalogue::open(&places.catalogue(), vault.keys().log_signers()?)?;
    log_restored(&catalogue, &manifest, &erased)?;
    let rebuilt = enter(&catalogue, &vault, tell)?;
    let missing = missing(&catalogue, &vault)?;
    Ok(Restored {
        manifest,
        keys: from,
        erased,
        missing,
        rebuilt,
    })
}

/// Enters recordings from their objects. Where there is no catalogue at all it makes one, and where
/// there is no table of keys it takes that of a tier.
pub fn rebuild(config: &Config, tell: Tell<'_>) -> Result<Rebuilt, ServeError> {
    let places = Places(&config.archive.root);
    create_directories(&config.archive.root)?;
    let _lock = lock(&config.archive.root)?;
    let archive = Store::archive_at(&places.primary())?;
    bring_keys(config, archive)?;
    let vault = open_vault(config, archive)?;
    if !places.catalogue().exists() {
        let birth = Birth {
            archive,
            time_zone: config.site.time_zone,
        };
        Catalogue::init(&places.catalogue(), birth)?;
    }
    check_zone(config, Catalogue::birth_at(&places.catalogue())?)?;
    let catalogue = Catalogue::open(&places.catalogue(), vault.keys().log_signers()?)?;
    enter(&catalogue, &vault, tell)
}

/// The root of an archive, in which no catalogue is.
fn make_room(config: &Config) -> Result<(), ServeError> {
    let root = &config.archive.root;
    if Places(root).catalogue().exists() {
        let reason = format!(
            "{}: there is a catalogue already; if it is to be replaced, move it away together with \
             catalogue.sqlite-wal and catalogue.sqlite-shm",
            root.display()
        );
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, reason).into());
    }
    if !root.exists() {
        create_directories(root)?;
        fs::set_permissions(root, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

fn zone(manifest: &Manifest) -> Result<chrono_tz::Tz, ServeError> {
    manifest.time_zone.parse().map_err(|_| {
        let reason = format!("'{}' is no time zone", manifest.time_zone);
        io::Error::new(io::ErrorKind::InvalidData, reason).into()
    })
}

/// Sees to it that the table of keys is there; answers which tier it came from, if it was not.
fn bring_keys(config: &Config, archive: Ulid) -> Result<Option<PathBuf>, ServeError> {
    let places = Places(&config.archive.root);
    let master = load_master(&master_key_path(config))?;
    if places.keys().exists() {
        return Ok(None);
    }
    let store = Store::open(&places.primary(), archive)?;
    Ok(Some(Keys::recover(
        &places.keys(),
        archive,
        &master,
        [store.keys_folder()],
    )?))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The database gets its name; an archive is there when its catalogue is.
fn publish(draft: &Path, catalogue: &Path) -> io::Result<()> {
    fs::rename(draft, catalogue)?;
    sync_directory(catalogue.parent().unwrap_or(Path::new("/")))
}

/// Who runs this command, as the log says it.
fn who() -> Who {
    let uid = getuid().as_raw();
    let account = Accounts::default().get(uid, Instant::now());
    Who {
        uid,
        gid: getgid().as_raw(),
        name: account.map_or_else(|_| uid.to_string(), |account| account.name.clone()),
        pid: Some(std::process::id()),
        exe: None,
    }
}

/// The log goes on behind the gap, and says so.
fn log_restored(
    catalogue: &Catalogue,
    manifest: &Manifest,
    erased: &[Ulid],
) -> Result<(), ServeError> {
    let draft = Draft::new(now(), Event::Restored, Outcome::Done)
        .by(who())
        .with("made", manifest.made.to_rfc3339())
        .with("records", manifest.log_records)
        .with("sha256", manifest.catalogue_sha256());
    catalogue.log(draft)?;
    for id in erased {
        let draft = Draft::new(now(), Event::Erased, Outcome::Done).on(*id);
        catalogue
            .log_later(draft.with("reason", "it has no key: erased after the backup was made"));
    }
    Ok(())
}

fn enter(catalogue: &Catalogue, vault: &Vault, tell: Tell<'_>) -> Result<Rebuilt, ServeError> {
    let rebuilt = rebuild::rebuild(catalogue, vault, tell)?;
    let draft = Draft::new(now(), Event::Rebuilt, Outcome::Done)
        .by(who())
        .with("objects", rebuilt.objects)
        .with("entered", rebuilt.entered)
        .with("erased", rebuilt.erased)
        .with("failed", rebuilt.failed);
    catalogue.log(draft)?;
    Ok(rebuilt)
}

/// Recordings of which no tier has the object.
fn missing(catalogue: &Catalogue, vault: &Vault) -> Result<Vec<Ulid>, ServeError> {
    let mut missing = Vec::new();
    let mut told = |event| {
        if let verify::Event::Finding(finding) = event
            && finding.problem == Problem::Missing
        {
            missing.extend(finding.recording);
        }
        true
    };
    verify::verify_metadata(catalogue, vault, &mut told)?;
    Ok(missing)
}
