//! Which files there are to import. Links are not followed: they would lead out of the directory, or
//! round in circles.

use super::Wrong;
use nix::fcntl::OFlag;
use std::fs::{self, File, FileType, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Something below the directory: its path from there, and why it cannot be imported if that is
/// known already.
pub type Found = (PathBuf, Option<Wrong>);

/// Everything below `top` but directories, sorted by path, and what their paths are below. What
/// cannot be listed is among it, with the reason; an error only for `top` itself. If that is a file,
/// it alone.
pub fn files(top: &Path) -> io::Result<(PathBuf, Vec<Found>)> {
    if let (true, Some(name)) = (fs::metadata(top)?.is_file(), top.file_name()) {
        let above = top.parent().unwrap_or(Path::new(""));
        return Ok((above.to_owned(), vec![(name.into(), None)]));
    }
    fs::read_dir(top)?;
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        if let Err(error) = list(top, &folder, &mut found, &mut folders) {
            found.push((folder, Some(error.into())));
        }
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok((top.to_owned(), found))
}

fn list(
    top: &Path,
    folder: &Path,
    found: &mut Vec<Found>,
    folders: &mut Vec<PathBuf>,
) -> io::Result<()> {
    for entry in fs::read_dir(top.join(folder))? {
        let entry = entry?;
        let below = folder.join(entry.file_name());
        match entry
            .file_type()
            .map(|kind: FileType| (kind.is_dir(), kind.is_file()))
        {
            Ok((true, _)) => folders.push(below),
            Ok((_, true)) => found.push((below, None)),
            Ok(_) => found.push((below, Some(Wrong::NotAFile))),
            Err(error) => found.push((below, Some(error.into()))),
        }
    }
    Ok(())
}

/// Opens a regular file, and nothing else: it may have been exchanged since it was found.
pub fn open(path: &Path) -> Result<File, Wrong> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(Wrong::NotAFile)
    }
}
