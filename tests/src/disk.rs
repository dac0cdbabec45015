//! Disks of a test's own: a small one in memory, and one whose raw bytes can be searched. Mounting takes
//! root.

use nix::mount::{MntFlags, umount2};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A small disk in memory; unmounted when dropped.
#[derive(Debug)]
pub struct Tmpfs(PathBuf);

impl Tmpfs {
    /// Mounts one of `size` (tmpfs(5)) at `at`.
    ///
    /// # Panics
    /// It cannot be mounted.
    pub fn mount(at: &Path, size: &str) -> Self {
        let size = format!("size={size}");
        mount(&["-t", "tmpfs", "-o", &size, "tmpfs"], at);
        Self(at.to_owned())
    }

    /// Makes it `size` large.
    ///
    /// # Panics
    /// It cannot be done.
    pub fn grow(&self, size: &str) {
        mount(&["-o", &format!("remount,size={size}")], &self.0);
    }

    /// Leaves no byte free; answers the file that has them all.
    ///
    /// # Panics
    /// It fails otherwise than by being full.
    pub fn fill(&self) -> PathBuf {
        let path = self.0.join("ballast");
        let mut file = File::create(&path).expect("the disk can be written");
        for chunk in [1 << 16, 1] {
            let bytes = vec![1; chunk];
            let full = loop {
                if let Err(error) = file.write_all(&bytes) {
                    break error;
                }
            };
            assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        }
        path
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

/// An ext4 in a file, whose raw bytes can be searched; unmounted when dropped.
#[derive(Debug)]
pub struct Disk {
    image: PathBuf,
    at: PathBuf,
}

impl Disk {
    /// Makes one of `bytes` in the file `image`, and mounts it at `at`.
    ///
    /// # Panics
    /// It cannot be made or mounted.
    pub fn mount(image: PathBuf, bytes: u64, at: PathBuf) -> Self {
        let made = File::create(&image).and_then(|file| file.set_len(bytes));
        made.expect("there is room");
        let made = Command::new("mkfs.ext4").arg("-q").arg(&image).status();
        assert!(made.is_ok_and(|made| made.success()), "mkfs.ext4 failed");
        mount(&["-o", "loop", &image.display().to_string()], &at);
        Self { image, at }
    }

    /// Every byte that is on it.
    ///
    /// # Panics
    /// It cannot be read.
    pub fn bytes(&self) -> Vec<u8> {
        let synced = Command::new("sync").arg("-f").arg(&self.at).status();
        assert!(synced.is_ok_and(|synced| synced.success()), "sync failed");
        fs::read(&self.image).expect("the disk can be read")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = umount2(&self.at, MntFlags::MNT_DETACH);
    }
}

fn mount(arguments: &[&str], at: &Path) {
    let mounted = Command::new("mount").args(arguments).arg(at).status();
    assert!(
        mounted.is_ok_and(|mounted| mounted.success()),
        "{} cannot be mounted: tests of the mount are run by root",
        at.display()
    );
}
