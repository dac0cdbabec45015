//! A mount compared with a model: what is wrong comes back as text. Whoever calls it looks with his own
//! rights, see `harness::accounts`.

use super::{Model, Shown};
use std::collections::BTreeSet;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

/// Nothing is wrong, or what is.
pub type Verdict = Result<(), String>;

/// Bytes of a unit of `st_blocks` (stat(2)).
const BLOCK: u64 = 512;

/// `Err` with what differs.
fn same<T: PartialEq + std::fmt::Debug>(
    what: &str,
    path: &Path,
    found: &T,
    expected: &T,
) -> Verdict {
    if found == expected {
        return Ok(());
    }
    let path = path.display();
    Err(format!(
        "{path}: {what} is {found:?} and must be {expected:?}"
    ))
}

/// What `stat` says of the recording `shown` at `path`.
pub fn file_status(path: &Path, found: &Metadata, shown: &Shown) -> Verdict {
    let size = shown.bytes.len() as u64;
    same("the kind", path, &found.is_file(), &true)?;
    same("the size", path, &found.size(), &size)?;
    same(
        "the number of blocks",
        path,
        &found.blocks(),
        &size.div_ceil(BLOCK),
    )?;
    same("the mode", path, &(found.mode() & 0o7777), &0o440)?;
    same("the number of names", path, &found.nlink(), &2)?;
    let owners = (found.uid(), found.gid());
    same(
        "the owner",
        path,
        &owners,
        &(nix::unistd::geteuid().as_raw(), shown.gid),
    )?;
    for (seconds, nanoseconds) in [
        (found.mtime(), found.mtime_nsec()),
        (found.atime(), found.atime_nsec()),
        (found.ctime(), found.ctime_nsec()),
    ] {
        let time = seconds * 1_000_000_000 + nanoseconds;
        same("a time", path, &time, &shown.ended_at)?;
    }
    Ok(())
}

/// What `stat` says of the directory `below` the mount.
pub fn folder_status(below: &Path, found: &Metadata) -> Verdict {
    let number = below.components().find_map(|part| {
        part.as_os_str()
            .to_str()
            .filter(|name| name.starts_with("06-"))
    });
    let (mode, gid) = match number {
        Some(number) => (0o550, super::shown::reader(number)),
        None => (0o555, nix::unistd::getegid().as_raw()),
    };
    same("the kind", below, &found.is_dir(), &true)?;
    same("the mode", below, &(found.mode() & 0o7777), &mode)?;
    let owners = (found.uid(), found.gid());
    same(
        "the owner",
        below,
        &owners,
        &(nix::unistd::geteuid().as_raw(), gid),
    )
}

/// The names in the directory `path`, each once.
pub fn names(path: &Path) -> io::Result<Vec<String>> {
    let entries = fs::read_dir(path)?;
    entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect()
}

/// A listing of the directory `below` the mount, which has exactly the names of the model, each once.
pub fn listing(below: &Path, found: &[String], model: &Model) -> Verdict {
    let set: BTreeSet<String> = found.iter().cloned().collect();
    same("the number of names", below, &found.len(), &set.len())?;
    same("the listing", below, &Some(&set), &model.listing(below))
}

/// As many bytes as there are, up to `length`, from `offset` on.
pub fn read(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut got = 0;
    while got < length {
        match file.read_at(&mut bytes[got..], offset + got as u64)? {
            0 => break,
            more => got += more,
        }
    }
    bytes.truncate(got);
    Ok(bytes)
}

/// Bytes that were read from `offset` on, where up to `length` were asked for.
pub fn content(shown: &Shown, offset: u64, length: usize, found: &[u8]) -> Verdict {
    let expected = shown.range(offset, length);
    if found == expected {
        return Ok(());
    }
    let differs = found
        .iter()
        .zip(expected)
        .position(|(found, must)| found != must);
    Err(format!(
        "{}: {length} bytes from {offset}: {} came where {} must, the first wrong one {differs:?}",
        shown.name,
        found.len(),
        expected.len(),
    ))
}

/// The extended attributes of the recording `shown` at `path`.
pub fn attributes(path: &Path, shown: &Shown) -> Verdict {
    let listed = attribute_names(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let expected: Vec<_> = shown
        .attributes
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    same("the list of attributes", path, &listed, &expected)?;
    for (name, value) in &shown.attributes {
        let found = attribute(path, name).map_err(|error| format!("{name}: {error}"))?;
        same(
            name,
            path,
            &String::from_utf8_lossy(&found).as_ref(),
            &value.as_str(),
        )?;
    }
    same(
        "an attribute that is none",
        path,
        &attribute(path, "user.tsuwaroku.nothing").map_err(|error| error.raw_os_error()),
        &Err(Some(nix::libc::ENODATA)),
    )
}

/// The value of the extended attribute `name` of the file at `path`.
pub fn attribute(path: &Path, name: &str) -> io::Result<Vec<u8>> {
    let mut value = vec![0; 1024];
    let length = rustix::fs::getxattr(path, name, value.as_mut_slice())?;
    value.truncate(length);
    Ok(value)
}

fn attribute_names(path: &Path) -> io::Result<Vec<String>> {
    let mut list = vec![0; 1024];
    let length = rustix::fs::listxattr(path, list.as_mut_slice())?;
    let names = list[..length].split(|&byte| byte == 0);
    let names = names.filter(|name| !name.is_empty());
    Ok(names
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect())
}
