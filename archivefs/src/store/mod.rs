//! A store: objects on disk, one a recording, written once and never opened for writing again. The
//! primary tier is one; so will be each other tier.
//!
//! ```text
//! ROOT/tsuwaroku-store.json        the marker: which archive this store belongs to
//! ROOT/objects/2026/11/23/ULID.tso by the UTC day of the identity
//! ROOT/drafts/                     what is being written; emptied at start
//! ROOT/set-aside/                  objects that stood in the way of a good one; never deleted
//! ROOT/keys/                       a copy of the sealed keys (`crate::keys`)
//! ```
//!
//! The marker tells an empty mount point from the store that should be mounted there.

mod destroy;
mod durable;
mod format;
mod read;
mod seal;
mod transfer;
mod write;

#[cfg(test)]
pub(crate) use durable::fault;
pub use durable::{create_directories, sync_directory};
pub use read::{Object, Part, describe};
pub use transfer::Taken;
pub use write::{ObjectWriter, Sealed};

use crate::call::{Call, time_of};
use crate::codec::CodecError;
use crate::crypto::Key;
use crate::wav;
use durable::Draft;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::fs::DirEntry;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use thiserror::Error;
use ulid::Ulid;

const MARKER: &str = "tsuwaroku-store.json";

/// What can go wrong with a store or an object.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The disk or the file system failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The object is not what was written.
    #[error("the object is damaged: {0}")]
    Damaged(String),
    /// The object needs a newer program.
    #[error("the object was written by a newer version ({0}): upgrade tsuwaroku")]
    Future(String),
    /// The audio given is not as long as the call says.
    #[error("{got} bytes of audio were given where the call promises {promised}")]
    Length {
        /// Bytes that the call promises.
        promised: u64,
        /// Bytes given.
        got: u64,
    },
    /// The root is not this archive's store.
    #[error("{}: {reason}", root.display())]
    NotThisStore {
        /// Where the store should be.
        root: PathBuf,
        /// What was found, and what to do.
        reason: String,
    },
}

impl StoreError {
    pub(crate) fn damaged(what: &str) -> Self {
        Self::Damaged(what.to_owned())
    }

    /// Whether there is no such object.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }

    /// Whether trying again later may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Io(_) => true,
            Self::Damaged(_)
            | Self::Future(_)
            | Self::Length { .. }
            | Self::NotThisStore { .. } => false,
        }
    }
}

impl From<CodecError> for StoreError {
    fn from(error: CodecError) -> Self {
        Self::damaged(&error.to_string())
    }
}

/// Where a recording rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// The internal storage (R6.1).
    Primary,
    /// The second medium (R6.2).
    Secondary,
}

impl Tier {
    /// Every tier, in the order in which a recording goes through them.
    pub const ALL: [Self; 2] = [Self::Primary, Self::Secondary];

    /// Its word, in the marker of its store as well.
    pub fn word(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Secondary => "secondary",
        }
    }
}

/// The content of the marker file.
#[derive(Debug, Serialize, Deserialize)]
struct Marker {
    archive: Ulid,
    tier: String,
}

/// One tier's objects.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// Makes an empty store at `root` that belongs to `archive`.
    pub fn init(root: &Path, archive: Ulid, tier: &str) -> Result<(), StoreError> {
        for folder in ["objects", "drafts", "set-aside"] {
            create_directories(&root.join(folder))?;
        }
        let marker = Marker {
            archive,
            tier: tier.to_owned(),
        };
        let mut draft = Draft::create(root.join("drafts").join(MARKER))?;
        draft.write_all(&serde_json::to_vec_pretty(&marker).expect("plain data"))?;
        Ok(draft.publish(&root.join(MARKER))?)
    }

    /// Opens the store at `root`, which must belong to `archive`, and clears what a crash left half
    /// written.
    pub fn open(root: &Path, archive: Ulid) -> Result<Self, StoreError> {
        let found = Self::archive_at(root)?;
        if found != archive {
            return Err(StoreError::NotThisStore {
                root: root.to_owned(),
                reason: format!(
                    "it belongs to the archive {found}, not to {archive}: another disk is mounted \
                     here"
                ),
            });
        }
        let store = Self {
            root: root.to_owned(),
        };
        store.clear_drafts()?;
        Ok(store)
    }

    /// The archive that the store at `root` belongs to.
    pub fn archive_at(root: &Path) -> Result<Ulid, StoreError> {
        let not_this = |reason: String| StoreError::NotThisStore {
            root: root.to_owned(),
            reason,
        };
        let marker = std::fs::read(root.join(MARKER)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                not_this(format!("there is no {MARKER}: is the disk mounted?"))
            }
            _ => error.into(),
        })?;
        let marker: Marker = serde_json::from_slice(&marker)
            .map_err(|error| not_this(format!("{MARKER} is unreadable: {error}")))?;
        Ok(marker.archive)
    }

    /// Whether the store is there: not when its disk was unmounted meanwhile.
    pub fn is_there(&self) -> bool {
        self.root.join(MARKER).exists()
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Refuses to write into an empty mount point.
    fn check_there(&self) -> Result<(), StoreError> {
        if self.is_there() {
            return Ok(());
        }
        Err(StoreError::NotThisStore {
            root: self.root.clone(),
            reason: format!("{MARKER} is gone: was the disk unmounted?"),
        })
    }

    /// A draft's recording is still in the spool, so nothing is lost with it.
    fn clear_drafts(&self) -> io::Result<()> {
        for draft in std::fs::read_dir(self.root.join("drafts"))? {
            let path = draft?.path();
            log::warn!("removing {}, which was never finished", path.display());
            std::fs::remove_file(&path)?;
        }
        Ok(())
    }

    /// Where the copy of the sealed keys is that lets this store be read elsewhere.
    pub fn keys_folder(&self) -> PathBuf {
        self.root.join("keys")
    }

    /// Where the object of `id` stands.
    pub fn path(&self, id: Ulid) -> PathBuf {
        self.folder(id).join(Self::file_name(id))
    }

    /// The directory where the object of `id` stands, with all others of its day.
    pub fn folder(&self, id: Ulid) -> PathBuf {
        let day = time_of(id.timestamp_ms() as i64 * 1_000_000).format("%Y/%m/%d");
        self.root.join("objects").join(day.to_string())
    }

    /// What the object of `id` is called.
    pub fn file_name(id: Ulid) -> String {
        format!("{id}.tso")
    }

    /// Begins the object of `call`, sealed under the recording's `key`.
    pub fn begin(&self, call: &Call, wav: &wav::Frame, key: &Key) -> Result<NewObject, StoreError> {
        create_directories(self.path(call.id).parent().expect("it stands in a folder"))?;
        let draft = Draft::create(self.root.join("drafts").join(call.id.to_string()))?;
        let writer = ObjectWriter::begin(draft, call, wav, key)?;
        let (path, store) = (self.path(call.id), self.clone());
        Ok(NewObject {
            writer,
            path,
            store,
            key: key.clone(),
        })
    }

    /// Opens the object of `id`, whose key is `key`.
    pub fn open_object(&self, id: Ulid, key: &Key) -> Result<Object, StoreError> {
        Object::open(&self.path(id), key)
    }

    /// Puts a copy of the object at `from` in the place of the one of `id`, which is set aside.
    pub fn replace(&self, id: Ulid, from: &Path) -> Result<(), StoreError> {
        let path = self.path(id);
        let mut draft = Draft::create(self.root.join("drafts").join(id.to_string()))?;
        io::copy(&mut std::fs::File::open(from)?, &mut draft)?;
        if path.exists() {
            self.set_aside(&path)?;
        }
        Ok(draft.publish(&path)?)
    }

    /// Moves what stands at `path` out of the way, durably, and keeps it.
    fn set_aside(&self, path: &Path) -> Result<(), StoreError> {
        let name = path
            .file_name()
            .expect("an object has a name")
            .to_string_lossy();
        let free = (0..u32::MAX)
            .map(|n| self.root.join("set-aside").join(format!("{name}.{n}")))
            .find(|place| !place.exists())
            .expect("some number is free");
        log::error!(
            "{} was not what it should be; kept as {}",
            path.display(),
            free.display()
        );
        std::fs::rename(path, &free)?;
        sync_directory(&self.root.join("set-aside"))?;
        Ok(sync_directory(
            path.parent().expect("it stands in a folder"),
        )?)
    }

    /// The paths of everything under `objects/`, in no order; faults of the disk are items too.
    pub fn objects(&self) -> impl Iterator<Item = io::Result<PathBuf>> {
        self.objects_outside(const { &BTreeSet::new() })
    }

    /// The same, but for what is in the directories `seen`.
    pub fn objects_outside<'a>(
        &self,
        seen: &'a BTreeSet<PathBuf>,
    ) -> impl Iterator<Item = io::Result<PathBuf>> + use<'a> {
        let mut folders = vec![self.root.join("objects")];
        let mut files: Vec<io::Result<PathBuf>> = Vec::new();
        std::iter::from_fn(move || {
            loop {
                if let Some(file) = files.pop() {
                    return Some(file);
                }
                let folder = folders.pop()?;
                if !seen.contains(&folder) {
                    read_folder(&folder, &mut folders, &mut files);
                }
            }
        })
    }

    /// The length of each file in `folder`, bytes; nothing if there is no such directory.
    pub fn lengths(folder: &Path) -> io::Result<HashMap<OsString, u64>> {
        let entries = match std::fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashMap::new()),
            other => other?,
        };
        let length = |entry: io::Result<DirEntry>| {
            let entry = entry?;
            Ok((entry.file_name(), entry.metadata()?.len()))
        };
        entries.map(length).collect()
    }
}

fn read_folder(folder: &Path, folders: &mut Vec<PathBuf>, files: &mut Vec<io::Result<PathBuf>>) {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return files.push(Err(error)),
    };
    for entry in entries {
        match entry.and_then(|entry| Ok((entry.file_type()?.is_dir(), entry.path()))) {
            Ok((true, path)) => folders.push(path),
            Ok((false, path)) => files.push(Ok(path)),
            Err(error) => files.push(Err(error)),
        }
    }
}

/// An object on its way into a store.
pub struct NewObject {
    writer: ObjectWriter<Draft>,
    path: PathBuf,
    store: Store,
    key: Key,
}

impl NewObject {
    /// Appends samples as they stand in the WAV file, in pieces of any length.
    pub fn samples(&mut self, samples: &[u8]) -> Result<(), StoreError> {
        self.writer.samples(samples)
    }

    /// Seals the object and makes it durable under its name. An object of the same content that is
    /// there already, from before a crash, is as good; any other is set aside.
    pub fn publish(self) -> Result<Sealed, StoreError> {
        let (draft, sealed) = self.writer.seal()?;
        if self.path.exists() {
            let same = Object::open(&self.path, &self.key)
                .and_then(|there| there.verify().map(|()| there.wav_sha256()))
                .is_ok_and(|digest| digest == sealed.wav_sha256);
            if same {
                return Ok(sealed);
            }
            self.store.set_aside(&self.path)?;
        }
        draft.publish(&self.path)?;
        Ok(sealed)
    }
}

#[cfg(test)]
pub(crate) mod tests;
