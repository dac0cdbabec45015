//! The mount point: made, cleared of what a killed daemon left, and taken away at the end.

use super::fuse::Served;
use super::{Announcer, Gate};
use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// Why the file system cannot be mounted.
#[derive(Debug, Error)]
pub enum MountError {
    /// The mount point is not usable.
    #[error("{}: {error}; the mount point must be an empty directory", path.display())]
    Point {
        /// The mount point.
        path: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
    /// The kernel refuses.
    #[error("{}: cannot mount: {error}; is the fuse module loaded, and are you root?", path.display())]
    Refused {
        /// The mount point.
        path: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
}

/// The mounted file system; unmounted when dropped.
#[derive(Debug)]
pub struct Mount {
    served: Option<Served>,
    gate: Arc<Gate>,
    path: PathBuf,
}

impl Mount {
    /// Mounts what `gate` shows at `path`, which is made if it is missing. What a killed daemon left there
    /// is unmounted first.
    pub fn new(gate: Arc<Gate>, path: &Path) -> Result<Self, MountError> {
        make_ready(path).map_err(|error| MountError::Point {
            path: path.to_owned(),
            error,
        })?;
        let served = Served::begin(gate.clone(), path).map_err(|error| MountError::Refused {
            path: path.to_owned(),
            error,
        })?;
        Ok(Self {
            served: Some(served),
            gate,
            path: path.to_owned(),
        })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Tells the kernel what it must forget.
    pub fn announcer(&self) -> Option<Announcer> {
        self.served.as_ref().map(Served::announcer)
    }

    /// Whether requests are still answered: not after somebody else has unmounted it.
    pub fn is_alive(&self) -> bool {
        self.served
            .as_ref()
            .is_some_and(|served| !served.has_ended())
    }
}

impl Drop for Mount {
    /// Takes the mount away even while files are open: their handles fail when the daemon is gone.
    fn drop(&mut self) {
        let Some(served) = self.served.take() else {
            return;
        };
        let unmounted = umount2(&self.path, MntFlags::empty())
            .or_else(|_| umount2(&self.path, MntFlags::MNT_DETACH));
        if let Err(error) = unmounted {
            log::debug!("{}: {error} at unmounting", self.path.display());
        }
        if served.has_ended()
            && let Err(error) = served.join()
        {
            log::warn!("{}: {error} at the end of the mount", self.path.display());
        }
        self.gate.close_all();
    }
}

fn make_ready(path: &Path) -> io::Result<()> {
    clear_stale(path)?;
    std::fs::create_dir_all(path)?;
    match std::fs::read_dir(path)?.next() {
        None => Ok(()),
        Some(_) => Err(io::ErrorKind::DirectoryNotEmpty.into()),
    }
}

/// Unmounts what a killed daemon left at `path`: a mount of ours whose requests nobody answers. It is
/// listed for that, because the kernel may still know the attributes of its root.
fn clear_stale(path: &Path) -> io::Result<()> {
    match std::fs::read_dir(path) {
        Err(error) if error.raw_os_error() == Some(Errno::ENOTCONN as i32) => {
            log::warn!("{}: unmounting what a former daemon left", path.display());
            Ok(umount2(path, MntFlags::MNT_DETACH)?)
        }
        _ => Ok(()),
    }
}
