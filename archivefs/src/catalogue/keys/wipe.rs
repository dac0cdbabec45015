//! Files whose bytes must not be found on the disk any more: overwritten where they lie, and only then
//! removed. On a file system that writes anew instead of over (btrfs, a log-structured one), and on a
//! disk that does so by itself, the old bytes may stay; what guards against that is said in `crate::keys`.

use super::super::CatalogueError;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// Bytes written at a time.
const PIECE: usize = 1 << 20;

/// Overwrites the file at `path` with zeros, durably; that there is none is no error. Its length stays.
pub fn overwrite(path: &Path) -> Result<(), CatalogueError> {
    let outcome = || -> io::Result<()> {
        let mut file = match OpenOptions::new().write(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        let mut left = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        let zeros = vec![0; PIECE.min(left)];
        while left > 0 {
            let piece = left.min(PIECE);
            file.write_all(&zeros[..piece])?;
            left -= piece;
        }
        file.sync_all()
    };
    outcome().map_err(|error| CatalogueError::file(path, error))
}

/// Overwrites the file at `path` and removes it, durably; that there is none is no error.
pub fn destroy(path: &Path) -> Result<(), CatalogueError> {
    overwrite(path)?;
    let outcome = match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other,
    };
    let synced = outcome.and_then(|()| File::open(folder(path))?.sync_all());
    synced.map_err(|error| CatalogueError::file(path, error))
}

/// The directory that the file at `path` is in.
pub fn folder(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_overwritten_where_it_lies() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, vec![7; PIECE + 5]).unwrap();
        // Another name of the same bytes: what a search of the disk would see.
        let disk = folder.path().join("disk");
        std::fs::hard_link(&path, &disk).unwrap();
        destroy(&path).unwrap();
        assert!(!path.exists());
        let left = std::fs::read(&disk).unwrap();
        assert!(left.len() == PIECE + 5 && left.iter().all(|byte| *byte == 0));
        destroy(&path).unwrap();
        overwrite(&path).unwrap();
        assert!(!path.exists());
    }
}
