//! A backup of the archive itself: the catalogue, with the audit log in it, and the configuration; no
//! recording, and no key. Made while the daemon writes on, checked before it is believed, put back on a
//! machine that has no catalogue. Called by the control service and by the command; who may is theirs to
//! decide, and so is what is logged.
//!
//! ```text
//! DIR/2026-11-24T030000/manifest.json     what belongs to it: lengths and digests
//! DIR/2026-11-24T030000/catalogue.sqlite
//! DIR/2026-11-24T030000/tsuwaroku.toml
//! DIR/.unfinished-…                       one that is being made, or never was finished
//! ```

use crate::catalogue::{Birth, Catalogue, CatalogueError, Contents};
use crate::crypto::hex;
use crate::store::{create_directories, sync_directory};
use chrono::{DateTime, Utc};
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use thiserror::Error;
use ulid::Ulid;

/// Version of the manifest that is written, and the newest one that is read.
const FORMAT: u32 = 1;
const MANIFEST: &str = "manifest.json";
const CATALOGUE: &str = "catalogue.sqlite";
const CONFIGURATION: &str = "tsuwaroku.toml";
const UNFINISHED: &str = ".unfinished-";
/// Bytes read at a time.
const PIECE: usize = 256 * 1024;

/// Why a backup cannot be made, or is not put back.
#[derive(Debug, Error)]
pub enum BackupError {
    /// The database cannot be copied.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// A file or directory cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The directory holds no whole backup.
    #[error("{}: this is not a whole backup: {reason}; take another one", path.display())]
    NotWhole {
        /// The file, or the directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// It needs a newer program.
    #[error("{}: it was made by a newer version: upgrade tsuwaroku", .0.display())]
    Future(PathBuf),
    /// The place is not given from the root on.
    #[error("{}: the daemon needs the whole path, from / on", .0.display())]
    Relative(PathBuf),
}

/// What a backup is, and what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the form of this file.
    pub format: u32,
    /// The archive.
    pub archive: Ulid,
    /// The time zone of its days.
    pub time_zone: String,
    /// When it was made.
    pub made: DateTime<Utc>,
    /// The version of the program that made it.
    pub version: String,
    /// Recordings in the catalogue.
    pub recordings: u64,
    /// Records in the audit log.
    pub log_records: u64,
    /// The files.
    pub files: Vec<FileOf>,
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileOf {
    /// Its name.
    pub name: String,
    /// Its length, bytes.
    pub bytes: u64,
    /// SHA-256 of it, hexadecimal.
    pub sha256: String,
}

impl Manifest {
    /// The digest of the database.
    pub fn catalogue_sha256(&self) -> &str {
        let of_catalogue = |file: &&FileOf| file.name == CATALOGUE;
        let file = self.files.iter().find(of_catalogue);
        file.map_or("", |file| &file.sha256)
    }
}

/// A backup that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackedUp {
    /// Its directory.
    pub place: PathBuf,
    /// What it is.
    pub manifest: Manifest,
}

/// What is backed up.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The database.
    pub catalogue: &'a Path,
    /// What the archive was born with.
    pub birth: Birth,
    /// The configuration file.
    pub configuration: &'a Path,
}

/// Makes a backup of `source` at `now`, in a new directory of `directory`. `tell` hears how much of the
/// database is copied, of how much. It is durable, whole and has its name when this returns; otherwise
/// there is none.
pub fn back_up(
    source: Source<'_>,
    directory: &Path,
    now: DateTime<Utc>,
    tell: &mut dyn FnMut(u64, u64),
) -> Result<BackedUp, BackupError> {
    if !directory.is_absolute() {
        return Err(BackupError::Relative(directory.to_owned()));
    }
    create_directories(directory).map_err(|error| failed(directory, error))?;
    let local = now.with_timezone(&source.birth.time_zone);
    let name = local.format("%Y-%m-%dT%H%M%S").to_string();
    let draft = Draft::create(directory, &name)?;
    let contents = Catalogue::back_up(source.catalogue, &draft.0.join(CATALOGUE), tell)?;
    copy(source.configuration, &draft.0.join(CONFIGURATION))?;
    let manifest = manifest(&draft.0, source.birth, now, contents)?;
    write(&draft.0.join(MANIFEST), &manifest)?;
    let place = draft.publish(directory, &name)?;
    Ok(BackedUp { place, manifest })
}

/// The directory of a backup that is being made; removed unless it is published.
struct Draft(PathBuf);

impl Draft {
    /// A new one, in the place of what was never finished.
    fn create(directory: &Path, name: &str) -> Result<Self, BackupError> {
        for entry in fs::read_dir(directory).map_err(|error| failed(directory, error))? {
            let path = entry.map_err(|error| failed(directory, error))?.path();
            let left = path.file_name().and_then(|name| name.to_str());
            if left.is_some_and(|name| name.starts_with(UNFINISHED)) {
                fs::remove_dir_all(&path).map_err(|error| failed(&path, error))?;
            }
        }
        let draft = directory.join(format!("{UNFINISHED}{name}"));
        let made = DirBuilder::new().mode(0o700).create(&draft);
        made.map_err(|error| failed(&draft, error))?;
        Ok(Self(draft))
    }

    fn publish(self, directory: &Path, name: &str) -> Result<PathBuf, BackupError> {
        let place = directory.join(name);
        let published = sync_directory(&self.0).and_then(|()| {
            let never_over = RenameFlags::RENAME_NOREPLACE;
            renameat2(AT_FDCWD, &self.0, AT_FDCWD, &place, never_over)?;
            sync_directory(directory)
        });
        published.map_err(|error| failed(&place, error))?;
        Ok(place)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                log::warn!("cannot remove the unfinished {}: {error}", self.0.display());
            }
            _ => {}
        }
    }
}

fn manifest(
    draft: &Path,
    birth: Birth,
    now: DateTime<Utc>,
    contents: Contents,
) -> Result<Manifest, BackupError> {
    let file = |name: &str| -> Result<FileOf, BackupError> {
        let (bytes, sha256) = digest(&draft.join(name))?;
        let name = name.to_owned();
        Ok(FileOf {
            name,
            bytes,
            sha256,
        })
    };
    Ok(Manifest {
        format: FORMAT,
        archive: birth.archive,
        time_zone: birth.time_zone.name().to_owned(),
        made: now,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        recordings: contents.recordings,
        log_records: contents.log_records,
        files: vec![file(CATALOGUE)?, file(CONFIGURATION)?],
    })
}

/// The manifest of the backup in `place`, all of whose files are what it says.
pub fn check(place: &Path) -> Result<Manifest, BackupError> {
    let path = place.join(MANIFEST);
    let not_whole = |path: &Path, reason: String| BackupError::NotWhole {
        path: path.to_owned(),
        reason,
    };
    let text = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(not_whole(place, format!("there is no {MANIFEST} in it")));
        }
        other => other.map_err(|error| failed(&path, error))?,
    };
    let bad = |error: serde_json::Error| not_whole(&path, error.to_string());
    let version: Version = serde_json::from_slice(&text).map_err(bad)?;
    if version.format != FORMAT {
        return Err(BackupError::Future(path));
    }
    let manifest: Manifest = serde_json::from_slice(&text).map_err(bad)?;
    if manifest.catalogue_sha256().is_empty() {
        return Err(not_whole(&path, format!("it names no {CATALOGUE}")));
    }
    for file in &manifest.files {
        if file.name.contains('/') {
            return Err(not_whole(&path, "it names files elsewhere".into()));
        }
        let path = place.join(&file.name);
        if digest(&path)? != (file.bytes, file.sha256.clone()) {
            let reason = "it is not the file that was written".into();
            return Err(not_whole(&path, reason));
        }
    }
    Ok(manifest)
}

#[derive(Deserialize)]
struct Version {
    format: u32,
}

/// Copies the database of the backup in `place`, whose manifest is `manifest`, to the file `to`, which
/// must not exist, and compares it on the way.
pub fn bring(place: &Path, manifest: &Manifest, to: &Path) -> Result<(), BackupError> {
    let from = place.join(CATALOGUE);
    copy(&from, to)?;
    let (_, found) = digest(to)?;
    if found == manifest.catalogue_sha256() {
        return Ok(());
    }
    Err(BackupError::NotWhole {
        path: from,
        reason: "it is not the file that was written".into(),
    })
}

fn write(path: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    let mut text = serde_json::to_vec_pretty(manifest).expect("a manifest is plain data");
    text.push(b'\n');
    let written = create(path).and_then(|mut file| {
        file.write_all(&text)?;
        file.sync_all()
    });
    written.map_err(|error| failed(path, error))
}

/// Copies a file durably.
fn copy(from: &Path, to: &Path) -> Result<(), BackupError> {
    let mut source = File::open(from).map_err(|error| failed(from, error))?;
    let copied = create(to).and_then(|mut file| {
        io::copy(&mut source, &mut file)?;
        file.sync_all()
    });
    copied.map_err(|error| failed(to, error))
}

/// A new file for its owner alone.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(path)
}

/// Length and SHA-256 of a file.
fn digest(path: &Path) -> Result<(u64, String), BackupError> {
    let outcome = || -> io::Result<(u64, String)> {
        let mut file = File::open(path)?;
        let (mut digest, mut bytes) = (Sha256::new(), 0);
        let mut piece = vec![0; PIECE];
        loop {
            match file.read(&mut piece)? {
                0 => return Ok((bytes, hex(&digest.finalize()))),
                length => {
                    digest.update(&piece[..length]);
                    bytes += length as u64;
                }
            }
        }
    };
    outcome().map_err(|error| failed(path, error))
}

fn failed(path: &Path, error: io::Error) -> BackupError {
    let path = path.to_owned();
    BackupError::File { path, error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono_tz::Tz;

    struct Place {
        folder: tempfile::TempDir,
        birth: Birth,
    }

    impl Place {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let birth = Birth {
                archive: Ulid::from_parts(1, 1),
                time_zone: Tz::Asia__Tokyo,
            };
            Catalogue::init(&folder.path().join("catalogue.sqlite"), birth).unwrap();
            fs::write(folder.path().join("config"), "[site]\n").unwrap();
            Self { folder, birth }
        }

        fn back_up(&self, at: &str) -> Result<BackedUp, BackupError> {
            let source = Source {
                catalogue: &self.folder.path().join("catalogue.sqlite"),
                birth: self.birth,
                configuration: &self.folder.path().join("config"),
            };
            let directory = self.folder.path().join("backups");
            back_up(source, &directory, at.parse().unwrap(), &mut |_, _| {})
        }
    }

    #[test]
    fn a_backup_is_named_after_the_offices_time_and_is_what_it_says() {
        let place = Place::new();
        let made = place.back_up("2026-11-23T18:00:05Z").unwrap();
        assert!(made.place.ends_with("backups/2026-11-24T030005"));
        assert_eq!(check(&made.place).unwrap(), made.manifest);
        let to = place.folder.path().join("brought");
        bring(&made.place, &made.manifest, &to).unwrap();
        assert_eq!(Catalogue::birth_at(&to).unwrap(), place.birth);
        assert!(
            place.back_up("2026-11-23T18:00:05Z").is_err(),
            "none is replaced"
        );
        assert!(check(&made.place).is_ok());
    }

    /// What is missing or changed is found before anything is put back.
    #[test]
    fn a_backup_that_is_not_whole_is_refused() {
        for name in [MANIFEST, CATALOGUE, CONFIGURATION] {
            let place = Place::new();
            let made = place.back_up("2026-11-23T18:00:05Z").unwrap();
            let path = made.place.join(name);
            let mut bytes = fs::read(&path).unwrap();
            bytes[5] ^= 1;
            fs::write(&path, &bytes).unwrap();
            let changed = check(&made.place);
            assert!(
                matches!(changed, Err(BackupError::NotWhole { .. })),
                "{name}: {changed:?}"
            );
            bytes[5] ^= 1;
            fs::write(&path, &bytes).unwrap();
            check(&made.place).unwrap();
            fs::remove_file(&path).unwrap();
            assert!(check(&made.place).is_err(), "{name}");
        }
    }

    #[test]
    fn what_was_never_finished_is_removed_by_the_next() {
        let place = Place::new();
        let left = place
            .folder
            .path()
            .join("backups/.unfinished-2026-11-22T030000");
        fs::create_dir_all(&left).unwrap();
        fs::write(left.join(CATALOGUE), "half").unwrap();
        fs::remove_file(place.folder.path().join("config")).unwrap();
        assert!(
            place.back_up("2026-11-23T18:00:05Z").is_err(),
            "no configuration"
        );
        let names = fs::read_dir(place.folder.path().join("backups")).unwrap();
        assert_eq!(names.count(), 0);
    }

    #[test]
    fn a_manifest_from_the_future_is_refused_by_its_version() {
        let place = Place::new();
        let made = place.back_up("2026-11-23T18:00:05Z").unwrap();
        let path = made.place.join(MANIFEST);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("\"format\": 1", "\"format\": 2")).unwrap();
        assert!(matches!(check(&made.place), Err(BackupError::Future(_))));
    }
}
