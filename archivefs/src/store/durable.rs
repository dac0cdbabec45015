//! Files that survive a power cut: written under a temporary name, made durable, then published by a
//! rename that never replaces anything. Everything in the store that must last goes through here.
//!
//! After a failed fsync the kernel may forget that the data was never written, and a second fsync
//! would report success: so nothing is ever retried on the same file. A [`Draft`] that fails is
//! removed, and the caller begins again with a new one.

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

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
        let file = OpenOptions::new().write(true).create_new(true).mode(0o400).open(&path)?;
        let file = io::BufWriter::with_capacity(256 * 1024, file);
        Ok(Self { file, path, published: false })
    }

    /// Makes the content durable and gives the file its name: fsync, rename without replacing, fsync
    /// of the directory. When this returns, a power cut cannot take the file away.
    ///
    /// # Errors
    /// `AlreadyExists` when something bears that name; nothing is changed then.
    pub fn publish(mut self, name: &Path) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        renameat2(AT_FDCWD, &self.path, AT_FDCWD, name, RenameFlags::RENAME_NOREPLACE)?;
        self.published = true;
        sync_directory(parent(name))
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.published
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            log::warn!("cannot remove the unfinished {}: {error}", self.path.display());
        }
    }
}

/// Makes the directory `path` and those above it, each durable in its parent.
pub fn create_directories(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    create_directories(parent(path))?;
    match std::fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => sync_directory(parent(path)),
    }
}

/// Makes the names in the directory `path` durable.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
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
}
