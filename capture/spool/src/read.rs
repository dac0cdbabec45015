//! What the archive daemon does with the folders: list, remove, quarantine.
//!
//! Called by the archive daemon's ingest. Reading one entry is in [`crate::entry`]; when an entry
//! is removed or refused is decided by the ingest.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use ulid::Ulid;

use crate::disk::{Disk, Folder, Step};
use crate::error::SpoolError;
use crate::quarantine;

pub use crate::entry::{Entry, Records, Summary};
pub use crate::error::{EntryFault, Wrong};
pub use crate::quarantine::Quarantined;

/// The spool as the archive daemon has it.
#[derive(Debug)]
pub struct Reader {
    disk: Disk,
    ready: PathBuf,
}

/// Something in `ready/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its name.
    pub name: OsString,
    /// Its path, for [`Entry::open`].
    pub path: PathBuf,
    /// The recording its name stands for; `None` for a name that is no recording's, which belongs
    /// in quarantine.
    pub id: Option<Ulid>,
}

impl Reader {
    /// Opens the spool at `root`; makes `root` (not its parents) and its folders where missing.
    pub fn open(root: &Path) -> Result<Self, SpoolError> {
        Ok(Self::over(Disk::open(root)?))
    }

    pub(crate) fn over(disk: Disk) -> Self {
        let ready = disk.folder(Folder::Ready);
        Self { disk, ready }
    }

    /// The folder in which finished entries appear, each by one rename: the one to watch.
    pub fn ready_dir(&self) -> &Path {
        &self.ready
    }

    /// Everything in `ready/`, oldest recording first; names that are no recording's come last.
    pub fn ready(&self) -> Result<Vec<Item>, SpoolError> {
        let names = self.disk.list(Folder::Ready)?;
        let items = names.into_iter().map(|name| Item {
            path: self.ready.join(&name),
            id: crate::entry_id(&name),
            name,
        });
        let mut items = items.collect::<Vec<_>>();
        items.sort_by_key(|item| (item.id.is_none(), item.id));
        Ok(items)
    }

    /// Removes an entry that the archive has made durable. One already removed is no error.
    pub fn remove(&self, item: &Item) -> Result<(), SpoolError> {
        self.disk.remove(Step::RemoveReady, &item.path)?;
        self.disk.sync(Folder::Ready)
    }

    /// Moves an entry to quarantine, `reason` (text) durable beside it first. A name already taken
    /// there gets a number. For faults of content only, see [`EntryFault::is_content`].
    pub fn quarantine(&self, item: &Item, reason: &str) -> Result<(), SpoolError> {
        quarantine::put_away(&self.disk, Folder::Ready, &item.name, reason)?;
        Ok(())
    }

    /// Everything in quarantine, by name.
    pub fn quarantined(&self) -> Result<Vec<Quarantined>, SpoolError> {
        quarantine::list(&self.disk)
    }
}
