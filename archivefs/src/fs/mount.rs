//! The mount point: made, cleared of what a killed daemon left, and taken away at the end.
//!
//! What is shown as the root is a directory in the kernel's root, bound to the mount point. The kernel
//! makes its root before it has heard that there are access lists, and therefore never keeps the one of
//! the root: it would ask for it with every path that anybody walks.
//!
//! ```text
//! aside/           the kernel's root, mounted only until the next line is done
//! aside/shown/ ──► bound to the mount point
//! ```

use super::fuse::{SHOWN, Served};
use super::{Announcer, Gate};
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{major, minor};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// How far the kernel reads ahead, KiB: twice as far as the protocol grants. More makes nothing faster.
const READ_AHEAD_KIB: u32 = 256;

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
    /// is unmounted first. `aside` is a directory of the daemon's own, made if it is missing, where
    /// nobody else looks.
    pub fn new(gate: Arc<Gate>, path: &Path, aside: &Path) -> Result<Self, MountError> {
        for path in [path, aside] {
            make_ready(path).map_err(|error| MountError::Point {
                path: path.to_owned(),
                error,
            })?;
        }
        let begin = |place: &Path| {
            Served::begin(gate.clone(), place).map_err(|error| MountError::Refused {
                path: place.to_owned(),
                error,
            })
        };
        let mut served = begin(aside)?;
        let bound = mount(
            Some(&aside.join(SHOWN)),
            path,
            None::<&str>,
            MsFlags::MS_BIND,
            None::<&str>,
        );
        if let Err(error) = umount2(aside, MntFlags::MNT_DETACH) {
            log::warn!("{}: {error} at unmounting", aside.display());
        }
        if let Err(error) = bound {
            log::debug!("{}: mounted directly: {error}", path.display());
            drop(served);
            served = begin(path)?;
        }
        if let Err(error) = read_further_ahead(path) {
            log::debug!(
                "{}: the kernel reads ahead as usual: {error}",
                path.display()
            );
        }
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

    /// Ends the mount at `path` by force: what waits for an answer gets an error, and what the kernel has
    /// of its files is unreachable. The last resort where it does not forget what was erased.
    pub fn abort(path: &Path) {
        if let Err(error) = umount2(path, MntFlags::MNT_FORCE | MntFlags::MNT_DETACH) {
            log::error!("{}: {error} at unmounting by force", path.display());
        }
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

/// Has the kernel read further ahead in files of the mount than the 128 KiB that the protocol grants, so
/// that several of its reads are under way (`sysfs-class-bdi`). Only root may.
fn read_further_ahead(path: &Path) -> io::Result<()> {
    let device = std::fs::metadata(path)?.dev();
    let setting = format!(
        "/sys/class/bdi/{}:{}/read_ahead_kb",
        major(device),
        minor(device)
    );
    std::fs::write(setting, READ_AHEAD_KIB.to_string())
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
