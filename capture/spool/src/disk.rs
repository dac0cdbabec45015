//! The durable steps, by name: every effect on the spool's file system goes through here, so that
//! an error says which step failed, and a test can fail any of them.
//!
//! What lives here: folders, files, fsync, rename, remove. What does not: what the bytes mean and
//! which step follows which (`write`, `recover`, `read`, `quarantine`).

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use crate::error::SpoolError;

/// Access for owner and group: the two daemons are different users of one group.
const FOLDER_MODE: u32 = 0o770;
/// The group reads; nobody writes a finished file again.
const FILE_MODE: u32 = 0o640;
/// The set-group-ID bit, which hands the folder's group down (inode(7)).
const SET_GROUP_ID: u32 = 0o2000;
/// The bits of a mode that grant access (inode(7)).
const ACCESS_BITS: u32 = 0o777;

/// Parts of a record that is written: file header, record header, and the payload in two.
const MOST_PARTS: usize = 4;

/// A step of the work on the file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Making the spool or one of its folders.
    MakeFolder,
    /// Making the folders durable in the spool.
    SyncRoot,
    /// Locking the spool against a second capture daemon.
    Lock,
    /// Listing a folder.
    List,
    /// Looking whether a file is there.
    Look,
    /// Creating a recording's file in `incoming/`.
    CreateIncoming,
    /// Writing a record (or the file header with the first record).
    WriteRecord,
    /// Making a recording's bytes durable.
    SyncFile,
    /// Cutting off what follows the last good record.
    CutTail,
    /// Publishing: from `incoming/` to `ready/`.
    RenameReady,
    /// Removing from `incoming/`.
    RemoveIncoming,
    /// Removing from `ready/`.
    RemoveReady,
    /// Writing a reason in `quarantine/`.
    WriteReason,
    /// Copying what is cut off to `quarantine/`.
    KeepTail,
    /// Moving into `quarantine/`.
    RenameQuarantine,
    /// Making changes of `incoming/` durable.
    SyncIncoming,
    /// Making changes of `ready/` durable.
    SyncReady,
    /// Making changes of `quarantine/` durable.
    SyncQuarantine,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MakeFolder => "make the folder",
            Self::SyncRoot | Self::SyncIncoming | Self::SyncReady | Self::SyncQuarantine => {
                "sync the folder"
            }
            Self::Lock => "lock",
            Self::List => "list",
            Self::Look => "look for",
            Self::CreateIncoming => "create",
            Self::WriteRecord => "write a record to",
            Self::SyncFile => "sync",
            Self::CutTail => "cut the damaged end off",
            Self::RenameReady => "publish (rename into ready/)",
            Self::RemoveIncoming | Self::RemoveReady => "remove",
            Self::WriteReason => "write the reason",
            Self::KeepTail => "keep the damaged end in",
            Self::RenameQuarantine => "move into quarantine/",
        })
    }
}

/// One of the spool's folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Folder {
    Incoming,
    Ready,
    Quarantine,
}

impl Folder {
    const ALL: [Self; 3] = [Self::Incoming, Self::Ready, Self::Quarantine];

    const fn name(self) -> &'static str {
        match self {
            Self::Incoming => "incoming",
            Self::Ready => "ready",
            Self::Quarantine => "quarantine",
        }
    }

    const fn sync_step(self) -> Step {
        match self {
            Self::Incoming => Step::SyncIncoming,
            Self::Ready => Step::SyncReady,
            Self::Quarantine => Step::SyncQuarantine,
        }
    }
}

/// The spool's folders.
#[derive(Debug)]
pub(crate) struct Disk {
    root: PathBuf,
    faults: Faults,
}

impl Disk {
    /// The spool at `root`; makes it (not its parents) and its folders where missing.
    pub fn open(root: &Path) -> Result<Self, SpoolError> {
        Self::open_with(root, Faults::default())
    }

    pub fn open_with(root: &Path, faults: Faults) -> Result<Self, SpoolError> {
        // Absolute, because a daemon changes its working directory.
        let root = std::path::absolute(root).unwrap_or_else(|_| root.to_path_buf());
        let disk = Self { root, faults };
        let mut made = disk.make_folder(&disk.root)?;
        if let (true, Some(parent)) = (made, disk.root.parent()) {
            disk.sync_path(Step::SyncRoot, parent)?;
        }
        for folder in Folder::ALL {
            made |= disk.make_folder(&disk.folder(folder))?;
        }
        if made {
            disk.sync_path(Step::SyncRoot, &disk.root)?;
        }
        Ok(disk)
    }

    pub fn folder(&self, folder: Folder) -> PathBuf {
        self.root.join(folder.name())
    }

    pub fn path(&self, folder: Folder, name: impl AsRef<OsStr>) -> PathBuf {
        self.folder(folder).join(name.as_ref())
    }

    /// Takes the lock that one capture daemon holds; it is held as long as the file is open.
    pub fn lock(&self) -> Result<File, SpoolError> {
        let path = self.folder(Folder::Incoming);
        self.step(Step::Lock, &path, || {
            let folder = File::open(&path)?;
            match folder.try_lock() {
                Ok(()) => Ok(Some(folder)),
                Err(fs::TryLockError::WouldBlock) => Ok(None),
                Err(fs::TryLockError::Error(error)) => Err(error),
            }
        })?
        .ok_or_else(|| SpoolError::InUse(self.root.clone()))
    }

    /// The names in a folder, sorted: ULIDs by age.
    pub fn list(&self, folder: Folder) -> Result<Vec<OsString>, SpoolError> {
        let path = self.folder(folder);
        self.step(Step::List, &path, || {
            let names = fs::read_dir(&path)?.map(|entry| Ok(entry?.file_name()));
            let mut names = names.collect::<io::Result<Vec<_>>>()?;
            names.sort_unstable();
            Ok(names)
        })
    }

    /// Whether anything, a dangling link included, has this name.
    pub fn exists(&self, path: &Path) -> Result<bool, SpoolError> {
        self.step(Step::Look, path, || match path.symlink_metadata() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        })
    }

    /// Makes a new file; an error of kind `AlreadyExists` if there is one.
    pub fn create(&self, step: Step, path: &Path) -> Result<File, SpoolError> {
        self.step(step, path, || create_new(path))
    }

    /// Makes a new file with this content, durable but for its name.
    pub fn write_new(&self, step: Step, path: &Path, bytes: &[u8]) -> Result<(), SpoolError> {
        self.step(step, path, || {
            let mut file = create_new(path)?;
            file.write_all(bytes)?;
            file.sync_all()
        })
    }

    /// Appends a record, the concatenated `parts`: one writev(2) unless the system takes less at
    /// once. So the samples need not be copied behind their header first.
    pub fn write(&self, file: &File, path: &Path, parts: &[&[u8]]) -> Result<(), SpoolError> {
        self.step(Step::WriteRecord, path, || write_all(file, parts))
    }

    pub fn cut(&self, file: &File, path: &Path, length: u64) -> Result<(), SpoolError> {
        self.step(Step::CutTail, path, || file.set_len(length))
    }

    /// fdatasync: the content and the length, not the times.
    pub fn sync_data(&self, file: &File, path: &Path) -> Result<(), SpoolError> {
        self.step(Step::SyncFile, path, || file.sync_data())
    }

    pub fn sync_all(&self, file: &File, path: &Path) -> Result<(), SpoolError> {
        self.step(Step::SyncFile, path, || file.sync_all())
    }

    pub fn sync(&self, folder: Folder) -> Result<(), SpoolError> {
        self.sync_path(folder.sync_step(), &self.folder(folder))
    }

    /// Renames, never over another file: an error of kind `AlreadyExists` instead.
    pub fn rename(&self, step: Step, from: &Path, to: &Path) -> Result<(), SpoolError> {
        let flags = RenameFlags::RENAME_NOREPLACE;
        self.step(step, from, || {
            Ok(renameat2(AT_FDCWD, from, AT_FDCWD, to, flags)?)
        })
    }

    /// Removes a file; one that is already gone is no error.
    pub fn remove(&self, step: Step, path: &Path) -> Result<(), SpoolError> {
        self.step(step, path, || match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        })
    }

    /// Does one step, so that its error names it.
    pub fn step<T>(
        &self,
        step: Step,
        path: &Path,
        act: impl FnOnce() -> io::Result<T>,
    ) -> Result<T, SpoolError> {
        let done = self.faults.before(step, path).and_then(|()| act());
        let done = done.and_then(|value| self.faults.after(step, path).map(|()| value));
        done.map_err(|source| SpoolError::Step {
            step,
            path: path.to_path_buf(),
            source,
        })
    }

    /// Makes a folder if there is none; says whether it did.
    fn make_folder(&self, path: &Path) -> Result<bool, SpoolError> {
        self.step(Step::MakeFolder, path, || {
            match DirBuilder::new().mode(FOLDER_MODE).create(path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
                made => made?,
            }
            // Not left to the umask; the group handed down from above stays. Only where needed: a
            // sandbox (RestrictSUIDSGID= of systemd.exec(5)) refuses to set that bit, even again.
            let mode = fs::metadata(path)?.permissions().mode();
            if mode & ACCESS_BITS != FOLDER_MODE {
                let mode = FOLDER_MODE | mode & SET_GROUP_ID;
                fs::set_permissions(path, Permissions::from_mode(mode))?;
            }
            Ok(true)
        })
    }

    fn sync_path(&self, step: Step, path: &Path) -> Result<(), SpoolError> {
        self.step(step, path, || File::open(path)?.sync_all())
    }
}

/// Writes all of `parts`, at most [`MOST_PARTS`] of them.
fn write_all(mut file: impl Write, parts: &[&[u8]]) -> io::Result<()> {
    let mut slices = [IoSlice::new(&[]); MOST_PARTS];
    let mut rest = &mut slices[..parts.len()];
    for (slice, part) in rest.iter_mut().zip(parts) {
        *slice = IoSlice::new(part);
    }
    // Empty ones at the front are passed over: writing nothing would look like a full file.
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match file.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn create_new(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(path)?;
    // Not left to the umask: the other daemon must be able to read it.
    file.set_permissions(Permissions::from_mode(FILE_MODE))?;
    Ok(file)
}

/// Where a test makes steps fail; nothing in a real build.
#[cfg(not(test))]
#[derive(Debug, Default)]
pub(crate) struct Faults(());

#[cfg(not(test))]
#[expect(
    clippy::unused_self,
    clippy::unnecessary_wraps,
    reason = "the shape of the hook that tests compile"
)]
impl Faults {
    fn before(&self, _: Step, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn after(&self, _: Step, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
pub(crate) use crate::tests::faults::Faults;
