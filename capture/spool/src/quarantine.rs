//! The quarantine: what was refused, each beside its reason; nothing in it is ever overwritten.
//!
//! Used by [`crate::read`] for refused entries and by [`crate::recover`] for leftovers without a
//! recording. When and why something is refused is decided there.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::disk::{Disk, Folder, Step};
use crate::entry::open_regular;
use crate::error::SpoolError;

/// What follows a name in the name of its reason.
const REASON: &str = ".reason";
/// Longest name kept, bytes: leaves room for a number and `.reason` within `NAME_MAX`, 255.
const MAX_KEPT_NAME: usize = 200;
/// Longest reason read, bytes.
const MAX_REASON: u64 = 4096;

/// Something in quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// Its name in `quarantine/`; bytes that are not UTF-8 replaced.
    pub name: String,
    /// Its length, bytes.
    pub bytes: u64,
    /// Why it is there; empty if the reason is missing.
    pub reason: String,
    /// When it came there.
    pub since: SystemTime,
}

/// Moves `name` from a folder into quarantine, its reason durable first.
pub(crate) fn put_away(
    disk: &Disk,
    from: Folder,
    name: &OsStr,
    reason: &str,
) -> Result<PathBuf, SpoolError> {
    let source = disk.path(from, name);
    let target = place(disk, &kept_name(name), reason, |target| {
        disk.rename(Step::RenameQuarantine, &source, target)
    })?;
    disk.sync(from)?;
    Ok(target)
}

/// Copies the rest of `file` into quarantine as `name.tail`.
pub(crate) fn keep_copy(
    disk: &Disk,
    name: &OsStr,
    mut file: &File,
    reason: &str,
) -> Result<(), SpoolError> {
    let mut name = kept_name(name);
    name.push(".tail");
    place(disk, &name, reason, |target| {
        let mut copy = disk.create(Step::KeepTail, target)?;
        disk.step(Step::KeepTail, target, || {
            io::copy(&mut file, &mut copy)?;
            copy.sync_all()
        })
    })?;
    Ok(())
}

/// What is in quarantine, by name.
pub(crate) fn list(disk: &Disk) -> Result<Vec<Quarantined>, SpoolError> {
    let names = disk.list(Folder::Quarantine)?;
    let kept = names.iter().filter(|name| !is_reason(name));
    kept.map(|name| look_at(disk, name)).collect()
}

fn look_at(disk: &Disk, name: &OsStr) -> Result<Quarantined, SpoolError> {
    let path = disk.path(Folder::Quarantine, name);
    let metadata = disk.step(Step::Look, &path, || path.symlink_metadata())?;
    let reason = reason_path(&path);
    // The reason is written when its file is moved; the file's own time is that of its last write.
    let written = reason.symlink_metadata().and_then(|of| of.modified());
    Ok(Quarantined {
        name: name.to_string_lossy().into_owned(),
        bytes: metadata.len(),
        reason: read_reason(&reason),
        since: written
            .or_else(|_| metadata.modified())
            .unwrap_or(SystemTime::UNIX_EPOCH),
    })
}

/// Finds a free name, writes the reason, then has `bring` bring the thing there.
fn place(
    disk: &Disk,
    name: &OsStr,
    reason: &str,
    mut bring: impl FnMut(&Path) -> Result<(), SpoolError>,
) -> Result<PathBuf, SpoolError> {
    let mut number = 0_u64;
    loop {
        let target = disk.path(Folder::Quarantine, numbered(name, number));
        number += 1;
        if disk.exists(&target)? {
            continue;
        }
        write_reason(disk, &target, reason)?;
        match bring(&target) {
            Ok(()) => {
                disk.sync(Folder::Quarantine)?;
                return Ok(target);
            }
            Err(error) if already_exists(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

fn write_reason(disk: &Disk, target: &Path, reason: &str) -> Result<(), SpoolError> {
    let path = reason_path(target);
    // A reason without its file is what a crash left: this is the same file, tried again.
    disk.remove(Step::WriteReason, &path)?;
    disk.write_new(Step::WriteReason, &path, format!("{reason}\n").as_bytes())?;
    disk.sync(Folder::Quarantine)
}

fn read_reason(path: &Path) -> String {
    let mut bytes = Vec::new();
    let Ok(file) = open_regular(path, false) else {
        return String::new();
    };
    if file.take(MAX_REASON).read_to_end(&mut bytes).is_err() {
        return String::new();
    }
    String::from_utf8_lossy(&bytes).trim_end().to_owned()
}

/// The name under which something is kept: short enough, and not one that reasons have.
fn kept_name(name: &OsStr) -> OsString {
    let bytes = name.as_bytes();
    let mut kept = OsString::from_vec(bytes[..bytes.len().min(MAX_KEPT_NAME)].to_vec());
    if is_reason(&kept) {
        kept.push(".junk");
    }
    kept
}

fn numbered(name: &OsStr, number: u64) -> OsString {
    let mut numbered = name.to_owned();
    if number > 0 {
        numbered.push(format!(".{number}"));
    }
    numbered
}

fn reason_path(path: &Path) -> PathBuf {
    let mut reason = path.as_os_str().to_owned();
    reason.push(REASON);
    reason.into()
}

fn is_reason(name: &OsStr) -> bool {
    name.as_bytes().ends_with(REASON.as_bytes())
}

fn already_exists(error: &SpoolError) -> bool {
    error.io_error().map(io::Error::kind) == Some(io::ErrorKind::AlreadyExists)
}
