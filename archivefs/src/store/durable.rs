//! Files that survive a power cut: written under a temporary name, made durable, then published by a
//! rename that never replaces anything. Everything in the store that must last goes through here.
//!
//! After a failed fsync the kernel may forget that the data was never written, and a second fsync
//! would report success: so nothing is ever retried on the same file. A [`Draft`] that fails is
//! removed, and the caller begins again with a new one.
//!
//! Each thing done to the disk is a named [`Step`]; tests fail them one by one.

use nix::fcntl::{AT_FDCWD, PosixFadviseAdvice, RenameFlags, posix_fadvise, renameat2};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What is done to the disk, in the order in which a file comes to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A directory is made.
    MakeFolder,
    /// The temporary file is made.
    CreateDraft,
    /// Bytes are written to it.
    WriteDraft,
    /// It is made durable.
    SyncDraft,
    /// It gets its name.
    Publish,
    /// The name is made durable.
    SyncFolder,
    /// A copy is read back.
    Reread,
    /// What is not needed any more is removed.
    Remove,
}

#[cfg(test)]
impl Step {
    /// Those of a file that comes to be.
    pub const WRITING: [Self; 6] = [
        Self::MakeFolder,
        Self::CreateDraft,
        Self::WriteDraft,
        Self::SyncDraft,
        Self::Publish,
        Self::SyncFolder,
    ];

    /// Those of one that moves to another store.
    pub const MOVING: [Self; 8] = [
        Self::MakeFolder,
        Self::CreateDraft,
        Self::WriteDraft,
        Self::SyncDraft,
        Self::Publish,
        Self::SyncFolder,
        Self::Reread,
        Self::Remove,
    ];
}

/// A file that is being written and that nobody sees yet. Dropped without being published, it is
/// removed.
#[derive(Debug)]
pub struct Draft {
    file: io::BufWriter<File>,
    path: PathBuf,
    published: bool,
}

impl Draft {
    /// Creates the temporary file `path`, which must not exist.
    pub fn create(path: PathBuf) -> io::Result<Self> {
        fault::before(Step::CreateDraft)?;
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o400)
            .open(&path)?;
        let file = io::BufWriter::with_capacity(256 * 1024, file);
        Ok(Self {
            file,
            path,
            published: false,
        })
    }

    /// All is written: the kernel begins to bring it to the disk, and nobody waits (what
    /// `POSIX_FADV_DONTNEED` does with pages that are dirty, Linux's `mm/fadvise.c`).
    pub fn begin_writing(&mut self) -> io::Result<()> {
        self.file.flush()?;
        let advice = PosixFadviseAdvice::POSIX_FADV_DONTNEED;
        Ok(posix_fadvise(self.file.get_ref(), 0, 0, advice)?)
    }

    /// Makes the content durable and gives the file its name: fsync, rename without replacing, fsync
    /// of the directory. When this returns, a power cut cannot take the file away.
    ///
    /// # Errors
    /// `AlreadyExists` when something bears that name; nothing is changed then. After any other error
    /// the file may or may not be there under its name, and is not acknowledged.
    pub fn publish(self, name: &Path) -> io::Result<()> {
        self.publish_unsynced(name)?;
        sync_directory(parent(name))
    }

    /// The same but for the last fsync, that of the directory: the caller sees to it, for many names at
    /// once. Until then a power cut can take the name away, the content never.
    pub fn publish_unsynced(mut self, name: &Path) -> io::Result<()> {
        self.file.flush()?;
        fault::before(Step::SyncDraft)?;
        self.file.get_ref().sync_all()?;
        fault::before(Step::Publish)?;
        renameat2(
            AT_FDCWD,
            &self.path,
            AT_FDCWD,
            name,
            RenameFlags::RENAME_NOREPLACE,
        )?;
        self.published = true;
        Ok(())
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        fault::before(Step::WriteDraft)?;
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.published
            && !fault::is_killed()
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            log::warn!(
                "cannot remove the unfinished {}: {error}",
                self.path.display()
            );
        }
    }
}

/// Makes the directory `path` and those above it, for the owner alone, each durable in its parent.
pub fn create_directories(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    create_directories(parent(path))?;
    fault::before(Step::MakeFolder)?;
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => sync_directory(parent(path)),
    }
}

/// Makes the names in the directory `path` durable.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    fault::before(Step::SyncFolder)?;
    File::open(path)?.sync_all()
}

/// To be called before `step` is done: where tests make it fail.
pub(super) fn before(step: Step) -> io::Result<()> {
    fault::before(step)
}

fn parent(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Faults that tests put in the way of a step; in the product there are none.
#[cfg(not(test))]
mod fault {
    use super::{Step, io};

    #[allow(clippy::unnecessary_wraps)]
    pub(super) fn before(_: Step) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn is_killed() -> bool {
        false
    }
}

#[cfg(test)]
pub(crate) mod fault {
    use super::{Step, io};
    use std::cell::Cell;

    thread_local! {
        static FAILING: Cell<Option<Step>> = const { Cell::new(None) };
        static LEFT: Cell<Option<u32>> = const { Cell::new(None) };
        static KILLED: Cell<bool> = const { Cell::new(false) };
    }

    /// Lets this thread do `steps` more steps, and then none: as if the process were killed there.
    /// Nothing is tidied up after it, as nothing would be.
    pub fn kill_after(steps: u32) {
        LEFT.set(Some(steps));
        KILLED.set(false);
    }

    /// A new process begins: every step is done again. Answers whether the old one had been killed.
    pub fn revive() -> bool {
        LEFT.set(None);
        KILLED.replace(false)
    }

    pub fn is_killed() -> bool {
        KILLED.get()
    }

    /// One step more, of the store or of whoever uses it.
    pub fn tick() -> io::Result<()> {
        match LEFT.get() {
            Some(0) => KILLED.set(true),
            Some(left) => LEFT.set(Some(left - 1)),
            None => {}
        }
        if KILLED.get() {
            return Err(io::Error::other("the process was killed here"));
        }
        Ok(())
    }

    /// Fails `step` in this thread until told otherwise.
    pub fn fail(step: Option<Step>) {
        FAILING.set(step);
    }

    pub(super) fn before(step: Step) -> io::Result<()> {
        if FAILING.get() == Some(step) {
            return Err(io::Error::other(format!("{step:?} was made to fail")));
        }
        tick()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_published_draft_has_its_content_and_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("a/b/object");
        create_directories(name.parent().unwrap()).unwrap();
        let mut draft = Draft::create(folder.path().join("draft")).unwrap();
        draft.write_all(b"audio").unwrap();
        draft.publish(&name).unwrap();
        assert_eq!(std::fs::read(&name).unwrap(), b"audio");
        assert!(!folder.path().join("draft").exists());
    }

    #[test]
    fn publishing_never_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("object");
        std::fs::write(&name, b"first").unwrap();
        let draft = Draft::create(folder.path().join("draft")).unwrap();
        let error = draft.publish(&name).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&name).unwrap(), b"first");
        assert!(!folder.path().join("draft").exists());
    }

    #[test]
    fn a_dropped_draft_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        drop(Draft::create(folder.path().join("draft")).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_made_is_for_the_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        create_directories(&inner).unwrap();
        let draft = Draft::create(inner.join("draft")).unwrap();
        draft.publish(&inner.join("object")).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder.path().join("a")), 0o700);
        assert_eq!(mode(&inner.join("object")), 0o400);
    }
}
