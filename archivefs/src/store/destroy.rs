//! Removing objects, many at a time: after a move, and at an erasure. Here a file is taken away for good;
//! who may have that done is for the caller to prove.

use super::durable::{Step, before, sync_directory};
use super::{Store, StoreError};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use ulid::Ulid;

impl Store {
    /// Removes the objects of `ids`, durably: each directory is synced once. That one is not there is no
    /// error.
    ///
    /// # Errors
    /// The disk fails: some may be gone, and the names of those that are gone may come back after a power
    /// cut. Doing it again is safe.
    pub fn remove_all(&self, ids: &[Ulid]) -> Result<(), StoreError> {
        remove(ids.iter().map(|&id| self.path(id)))
    }

    /// Removes all that this store has of the recordings `ids`: unfinished copies, objects, and what was
    /// set aside under their names.
    ///
    /// # Errors
    /// As of [`Self::remove_all`].
    pub fn destroy(&self, ids: &[Ulid]) -> Result<(), StoreError> {
        // An unfinished copy first: it could be published otherwise after the object was removed.
        remove(ids.iter().map(|&id| self.draft(id)))?;
        self.remove_all(ids)?;
        remove(self.aside(ids)?)
    }

    /// Where an object of `id` is written before it has its name.
    pub(super) fn draft(&self, id: Ulid) -> PathBuf {
        self.root.join("drafts").join(id.to_string())
    }

    /// What was set aside under the names of `ids`.
    fn aside(&self, ids: &[Ulid]) -> io::Result<Vec<PathBuf>> {
        let names: BTreeSet<_> = ids.iter().map(|&id| Self::file_name(id)).collect();
        let mut found = Vec::new();
        for entry in std::fs::read_dir(self.root.join("set-aside"))? {
            let path = entry?.path();
            // NAME.tso.0 and so on.
            let name = path.file_stem().and_then(OsStr::to_str);
            if name.is_some_and(|name| names.contains(name)) {
                found.push(path);
            }
        }
        Ok(found)
    }
}

/// Removes the files at `paths`, and makes that durable.
fn remove(paths: impl IntoIterator<Item = PathBuf>) -> Result<(), StoreError> {
    let mut folders = BTreeSet::new();
    for path in paths {
        before(Step::Remove)?;
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
        // Also where it was gone already: by a removal, perhaps, that was not durable yet.
        folders.extend(path.parent().map(Path::to_owned));
    }
    for folder in folders {
        match sync_directory(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{call, key};
    use super::*;
    use crate::wav;
    use chrono_tz::Tz;
    use std::fs;
    use tsuwaroku_spool::record::Encoding;

    /// R6.7: nothing of an erased recording stays, and of another one everything.
    #[test]
    fn all_that_a_store_has_of_a_recording_is_destroyed() {
        let folder = tempfile::tempdir().unwrap();
        let archive = Ulid::from_parts(1, 1);
        Store::init(folder.path(), archive, "primary").unwrap();
        let store = Store::open(folder.path(), archive).unwrap();
        let mut ids = Vec::new();
        for n in 0..2 {
            let mut call = call(&[7; 100], 1, Encoding::ALaw);
            call.id = Ulid::from_parts(call.id.timestamp_ms(), n);
            let mut new = store
                .begin(&call, &wav::Frame::around(&call, Tz::UTC), &key())
                .unwrap();
            new.samples(&[7; 100]).unwrap();
            new.publish().unwrap();
            fs::write(store.draft(call.id), b"half a copy").unwrap();
            for number in [0, 12] {
                let aside = format!("set-aside/{}.{number}", Store::file_name(call.id));
                fs::write(folder.path().join(aside), b"another copy").unwrap();
            }
            ids.push(call.id);
        }
        store.destroy(&ids[..1]).unwrap();
        store.destroy(&ids[..1]).unwrap();
        let mut left = Vec::new();
        for place in ["drafts", "set-aside"] {
            left.extend(fs::read_dir(folder.path().join(place)).unwrap());
        }
        let left: Vec<_> = left
            .into_iter()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left.len(), 3, "{left:?}");
        let other = ids[1].to_string();
        assert!(
            left.iter()
                .all(|name| name.to_string_lossy().starts_with(&other))
        );
        assert!(!store.path(ids[0]).exists() && store.path(ids[1]).exists());
    }
}
