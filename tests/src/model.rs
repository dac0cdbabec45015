//! What the mount must show, computed from the calls alone and never from an answer of the daemon:
//! paths, every byte of every file, attributes, listings. Written from the manual (tsuwaroku-fs(7)) and
//! the standards it names, with none of the product's code, so that one checks the other.
//!
//! * [`Model`]: the tree, which grows with each call.
//! * [`Shown`]: one recording in it.
//! * [`made`]: calls that make it hard: days' ends, names that are taken, empty gaps, odd lengths.
//! * [`mounted`]: compares a mount with a model.
//!
//! Called by the tests of the mount.

pub mod made;
pub mod mounted;
mod shown;

pub use shown::Shown;

use crate::calls::MadeCall;
use crate::office::LINES;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use ulid::Ulid;

/// The top directories, in the order of the manual.
pub const TREES: [&str; 2] = ["by-date", "by-number"];

/// The tree that must be seen. Paths are relative to the mount.
#[derive(Debug, Clone)]
pub struct Model {
    recordings: BTreeMap<Ulid, Shown>,
    folders: BTreeMap<PathBuf, BTreeSet<String>>,
}

impl Default for Model {
    fn default() -> Self {
        Self::new()
    }
}

impl Model {
    /// An archive without recordings: both trees, and each designated number.
    pub fn new() -> Self {
        let mut model = Self {
            recordings: BTreeMap::new(),
            folders: BTreeMap::from([(PathBuf::new(), BTreeSet::new())]),
        };
        model.add_path(Path::new("by-date"));
        model.folders.insert("by-date".into(), BTreeSet::new());
        for line in LINES {
            let path = Path::new("by-number").join(line.number);
            model.add_path(&path);
            model.folders.insert(path, BTreeSet::new());
        }
        model
    }

    /// `call` is archived after all that were added before.
    pub fn add(&mut self, call: &MadeCall) {
        let mut shown = Shown::of(call);
        if self.recordings.values().any(|other| other.clashes(&shown)) {
            shown.name_in_full();
        }
        for path in shown.paths() {
            self.add_path(&path);
        }
        self.recordings.insert(shown.id, shown);
    }

    fn add_path(&mut self, path: &Path) {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return;
        };
        let names = self.folders.entry(parent.to_owned()).or_default();
        names.insert(name.to_string_lossy().into_owned());
        self.add_path(parent);
    }

    /// The recordings, in the order of their identities.
    pub fn recordings(&self) -> Vec<&Shown> {
        self.recordings.values().collect()
    }

    /// The recording `id`.
    pub fn recording(&self, id: Ulid) -> Option<&Shown> {
        self.recordings.get(&id)
    }

    /// Every directory, the root first.
    pub fn folders(&self) -> Vec<&Path> {
        self.folders.keys().map(PathBuf::as_path).collect()
    }

    /// The names in the directory `path`.
    pub fn listing(&self, path: &Path) -> Option<&BTreeSet<String>> {
        self.folders.get(path)
    }

    /// Whether anything is called so.
    pub fn has(&self, path: &Path) -> bool {
        let listed = |parent: &Path| {
            let name = path.file_name()?.to_str()?;
            self.folders.get(parent).map(|names| names.contains(name))
        };
        self.folders.contains_key(path)
            || path.parent().and_then(listed).is_some_and(|listed| listed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(model: &Model, path: &str) -> Vec<String> {
        let names = model.listing(Path::new(path)).unwrap();
        names.iter().cloned().collect()
    }

    #[test]
    fn an_empty_archive_has_its_numbers() {
        let model = Model::new();
        assert_eq!(names(&model, ""), ["by-date", "by-number"]);
        assert_eq!(names(&model, "by-date"), [""; 0]);
        assert_eq!(model.listing(Path::new("by-number")).unwrap().len(), 4);
        assert!(names(&model, "by-number/06-6458-1132").is_empty());
    }

    #[test]
    fn a_call_is_in_both_trees() {
        let mut model = Model::new();
        model.add(&MadeCall::nth(0));
        assert_eq!(names(&model, "by-date/2026/11/23"), ["06-6458-1132"]);
        let by_date = names(&model, "by-date/2026/11/23/06-6458-1132");
        assert_eq!(by_date, names(&model, "by-number/06-6458-1132/2026/11/23"));
        let file = Path::new("by-date/2026/11/23/06-6458-1132").join(&by_date[0]);
        assert!(model.has(&file) && !model.has(&file.join("x")));
        assert!(by_date[0].starts_with("1000"), "{by_date:?}");
    }
}
