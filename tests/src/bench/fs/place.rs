//! Where the same files are: the mount, ext4, and an image of them.

use super::office::LIMIT;
use crate::harness::{Daemon, wait_for};
use nix::mount::{MntFlags, umount2};
use nix::sys::statfs::{EXT4_SUPER_MAGIC, statfs};
use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use ulid::Ulid;

/// WAV files by the identities of their recordings.
pub(super) type Wavs = HashMap<Ulid, Vec<u8>>;

/// A place where the same files are.
pub(super) struct Place {
    pub(super) name: &'static str,
    pub(super) root: PathBuf,
    /// Unmounted when this is dropped.
    pub(super) mounted: bool,
    pub(super) server: Option<Daemon>,
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.mounted {
            let _ = umount2(&self.root, MntFlags::MNT_DETACH);
        }
        self.server.take();
    }
}

/// A directory for the same files on ext4: beside the archive, or on a disk in a file where that is
/// something else.
pub(super) fn ext4(dir: &Path) -> io::Result<Place> {
    let root = dir.join("ext4");
    fs::create_dir(&root)?;
    let mounted = statfs(dir)?.filesystem_type() != EXT4_SUPER_MAGIC;
    if mounted {
        let disk = dir.join("ext4.disk");
        fs::File::create(&disk)?.set_len(8 << 30)?;
        run(Command::new("mkfs.ext4")
            .args(["-q", "-F", "-N", "1500000"])
            .arg(&disk))?;
        run(Command::new("mount")
            .args(["-o", "loop"])
            .arg(&disk)
            .arg(&root))?;
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755))?;
    }
    Ok(Place {
        name: "ext4",
        root,
        mounted,
        server: None,
    })
}

/// An image of the files below `from`, served by `squashfuse_ll`, and by the kernel if it can.
pub(super) fn squash(dir: &Path, from: &Path) -> io::Result<Vec<Place>> {
    let image = dir.join("image.squashfs");
    let mut make = Command::new("mksquashfs");
    make.arg(from)
        .arg(&image)
        .args(["-comp", "zstd", "-b", "128K", "-no-progress", "-quiet"]);
    run(&mut make)?;
    let root = dir.join("squashfuse");
    fs::create_dir(&root)?;
    let mut serve = Command::new("squashfuse_ll");
    serve
        .args(["-f", "-o", "allow_other"])
        .arg(&image)
        .arg(&root);
    let server = Some(Daemon::start(
        "squashfuse_ll",
        serve,
        &dir.join("squashfuse.log"),
    )?);
    let mut places = vec![Place {
        name: "squashfuse_ll",
        root,
        mounted: true,
        server,
    }];
    let shown = || places[0].root.join("by-date").exists().then_some(());
    wait_for("squashfuse_ll", LIMIT, shown);
    if fs::read_to_string("/proc/filesystems")?.contains("squashfs") {
        let root = dir.join("squashfs");
        fs::create_dir(&root)?;
        run(Command::new("mount")
            .args(["-t", "squashfs", "-o", "loop,ro"])
            .arg(&image)
            .arg(&root))?;
        places.push(Place {
            name: "squashfs",
            root,
            mounted: true,
            server: None,
        });
    }
    Ok(places)
}

fn run(command: &mut Command) -> io::Result<()> {
    let out = command.output().map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("{}: {error}", command.get_program().display()),
        )
    })?;
    if out.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "{command:?}: {}",
        String::from_utf8_lossy(&out.stderr)
    )))
}

/// Has the kernel forget all that it can read again (`proc_sys_vm(5)`, `drop_caches`).
pub(super) fn drop_caches() -> io::Result<()> {
    nix::unistd::sync();
    fs::write("/proc/sys/vm/drop_caches", "3")
}
