//! The file system as an ordinary type: what a lookup, a listing, an open and a read answer, without
//! a kernel. [`fuse`] hands the kernel's requests to it, and is the only file that names the crate.
//!
//! Nothing here can change anything: there is no operation that could.

mod error;
mod fuse;
mod reader;
mod xattr;

pub use error::FsError;
pub use fuse::{Mount, MountError};
pub use reader::Reader;

use crate::catalogue::{Catalogue, NumberId, Recording};
use crate::vault::Vault;
use crate::views::{
    Children, Folder, Node, Tree, When, child_folder, file_name, folder_name, seconds_of_name,
    top_name,
};
use chrono_tz::Tz;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tsuwaroku_config::Language;

/// Who owns what is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owners {
    /// The daemon's user and group: the owner of everything.
    pub uid: u32,
    /// The group where a line has none.
    pub gid: u32,
    /// The reader group of each designated number.
    pub readers: HashMap<String, u32>,
}

/// The archive as a file system.
#[derive(Debug)]
pub struct ArchiveFs {
    catalogue: Arc<Catalogue>,
    vault: Vault,
    language: Language,
    owners: Owners,
    zone: Tz,
    born: SystemTime,
}

/// What `stat` says of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// Which node.
    pub node: Node,
    /// Length, bytes.
    pub size: u64,
    /// The time of everything that has one: a recording's end, a directory's first moment.
    pub time: SystemTime,
    /// The group that may read it.
    pub gid: u32,
    /// Permission bits.
    pub mode: u16,
    /// Names that it has.
    pub links: u32,
}

/// A name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub name: String,
    /// What it names.
    pub attributes: Attributes,
}

/// Permission bits: a recording, a directory that all may pass, and one that only readers may list.
const FILE_MODE: u16 = 0o440;
const OPEN_FOLDER_MODE: u16 = 0o555;
const READER_FOLDER_MODE: u16 = 0o550;

impl ArchiveFs {
    /// A file system over `catalogue` and the objects in `vault`.
    pub fn new(
        catalogue: Arc<Catalogue>,
        vault: Vault,
        language: Language,
        owners: Owners,
    ) -> Self {
        let birth = catalogue.birth();
        let born = UNIX_EPOCH + Duration::from_millis(birth.archive.timestamp_ms());
        Self {
            catalogue,
            vault,
            language,
            owners,
            zone: birth.time_zone,
            born,
        }
    }

    /// What is called `name` in `parent`.
    pub fn look_up(&self, parent: Node, name: &str) -> Result<Attributes, FsError> {
        let folder = match parent {
            Node::Root => return self.look_up_tree(name),
            Node::Folder(folder) => folder,
            Node::File(_) => return Err(FsError::NotAFolder),
        };
        match folder.children() {
            Children::Times => {
                let child = child_folder(folder, name).ok_or(FsError::NotFound)?;
                self.attributes(Node::Folder(child))
            }
            Children::Numbers(_) => {
                let numbers = self.catalogue.numbers()?;
                let number = numbers.into_iter().find(|number| number.number == name);
                let number = Some(number.ok_or(FsError::NotFound)?.id);
                self.attributes(Node::Folder(Folder { number, ..folder }))
            }
            Children::Recordings(number, day) => {
                for second in seconds_of_name(name, day, self.zone) {
                    let start = second.timestamp_millis();
                    for recording in self
                        .catalogue
                        .recordings_within(number, &(start..start + 1000))?
                    {
                        if file_name(&recording, self.zone) == name {
                            return Ok(of_recording(&recording, self.group(number)?));
                        }
                    }
                }
                Err(FsError::NotFound)
            }
        }
    }

    fn look_up_tree(&self, name: &str) -> Result<Attributes, FsError> {
        let tree = Tree::ALL
            .into_iter()
            .find(|&tree| top_name(tree, self.language) == name);
        self.attributes(Node::Folder(tree.ok_or(FsError::NotFound)?.top()))
    }

    /// What `stat` says of `node`, if it is there.
    pub fn attributes(&self, node: Node) -> Result<Attributes, FsError> {
        match node {
            Node::Root => Ok(self.of_folder(node, None, self.owners.gid)),
            Node::File(key) => {
                let recording = self.catalogue.by_key(key)?.ok_or(FsError::NotFound)?;
                Ok(of_recording(&recording, self.group(recording.number)?))
            }
            Node::Folder(folder) => {
                if let Some(days) = folder.days()
                    && !self.catalogue.has_day(folder.number, days)?
                {
                    return Err(FsError::NotFound);
                }
                let gid = match folder.number {
                    Some(number) => self.group(number)?,
                    None => self.owners.gid,
                };
                Ok(self.of_folder(node, Some(folder), gid))
            }
        }
    }

    /// Everything in the directory `node`, in order.
    pub fn list(&self, node: Node) -> Result<Vec<Entry>, FsError> {
        let folder = match node {
            Node::Root => return Ok(self.list_root()),
            Node::Folder(folder) => folder,
            Node::File(_) => return Err(FsError::NotAFolder),
        };
        match folder.children() {
            Children::Numbers(day) => self.list_numbers(folder, day),
            Children::Times => self.list_times(folder),
            Children::Recordings(number, day) => {
                let gid = self.group(number)?;
                let recordings = self.catalogue.recordings(number, day)?;
                let entry = |recording: &Recording| Entry {
                    name: file_name(recording, self.zone),
                    attributes: of_recording(recording, gid),
                };
                Ok(recordings.iter().map(entry).collect())
            }
        }
    }

    fn list_root(&self) -> Vec<Entry> {
        let entry = |tree: Tree| Entry {
            name: top_name(tree, self.language).to_owned(),
            attributes: self.of_folder(Node::Folder(tree.top()), Some(tree.top()), self.owners.gid),
        };
        Tree::ALL.into_iter().map(entry).collect()
    }

    fn list_numbers(
        &self,
        folder: Folder,
        day: Option<crate::day::Day>,
    ) -> Result<Vec<Entry>, FsError> {
        let numbers = match day {
            Some(day) => self.catalogue.numbers_of_day(day)?,
            None => self.catalogue.numbers()?,
        };
        let entry = |number: crate::catalogue::Number| {
            let child = Folder {
                number: Some(number.id),
                ..folder
            };
            let gid = self.owners.readers.get(&number.number).copied();
            let gid = gid.unwrap_or(self.owners.gid);
            let attributes = self.of_folder(Node::Folder(child), Some(child), gid);
            Entry {
                name: number.number,
                attributes,
            }
        };
        Ok(numbers.into_iter().map(entry).collect())
    }

    fn list_times(&self, folder: Folder) -> Result<Vec<Entry>, FsError> {
        let gid = match folder.number {
            Some(number) => self.group(number)?,
            None => self.owners.gid,
        };
        let days = self.catalogue.days(folder.number, folder.when.days())?;
        let mut times: Vec<When> = days
            .into_iter()
            .map(|day| folder.when.narrowed_to(day))
            .collect();
        times.dedup();
        let entry = |when| {
            let child = Folder { when, ..folder };
            let name = folder_name(when)?;
            Some(Entry {
                name,
                attributes: self.of_folder(Node::Folder(child), Some(child), gid),
            })
        };
        Ok(times.into_iter().filter_map(entry).collect())
    }

    /// Opens a recording for reading.
    pub fn open(&self, node: Node) -> Result<Reader, FsError> {
        let Node::File(key) = node else {
            return Err(FsError::IsAFolder);
        };
        let recording = self.catalogue.by_key(key)?.ok_or(FsError::NotFound)?;
        let object = self.vault.open(recording.id)?;
        // The catalogue's digest is the archive's word on what the recording is (R5.2).
        if object.wav_sha256() != recording.sealed.wav_sha256 || object.call().id != recording.id {
            return Err(FsError::NotTheRecording(recording.id));
        }
        Ok(Reader::new(object))
    }

    /// The value of the extended attribute `name` of `node`.
    pub fn xattr(&self, node: Node, name: &str) -> Result<Vec<u8>, FsError> {
        let Node::File(key) = node else {
            return Err(FsError::NoAttribute);
        };
        let recording = self.catalogue.by_key(key)?.ok_or(FsError::NotFound)?;
        xattr::value(&recording, name).ok_or(FsError::NoAttribute)
    }

    /// The names of the extended attributes of `node`.
    pub fn xattrs(&self, node: Node) -> &'static [&'static str] {
        match node {
            Node::File(_) => &xattr::NAMES,
            Node::Root | Node::Folder(_) => &[],
        }
    }

    /// The reader group of `number`.
    fn group(&self, number: NumberId) -> Result<u32, FsError> {
        if self.owners.readers.is_empty() {
            return Ok(self.owners.gid);
        }
        let numbers = self.catalogue.numbers()?;
        let number = numbers.into_iter().find(|other| other.id == number);
        let gid = number.and_then(|number| self.owners.readers.get(&number.number).copied());
        Ok(gid.unwrap_or(self.owners.gid))
    }

    fn of_folder(&self, node: Node, folder: Option<Folder>, gid: u32) -> Attributes {
        let day = folder.and_then(|folder| folder.when.first_day());
        let readers_only =
            folder.is_some_and(|folder| matches!(folder.children(), Children::Recordings(..)));
        Attributes {
            node,
            size: 0,
            time: day.map_or(self.born, |day| day.begins(self.zone).into()),
            gid,
            mode: if readers_only {
                READER_FOLDER_MODE
            } else {
                OPEN_FOLDER_MODE
            },
            links: 2,
        }
    }

    /// The owner of everything shown.
    pub fn uid(&self) -> u32 {
        self.owners.uid
    }

    /// Figures for `statfs`: bytes stored, and recordings.
    pub fn totals(&self) -> Result<(u64, u64), FsError> {
        let totals = self.catalogue.totals()?;
        Ok((totals.wav_bytes, totals.recordings))
    }
}

fn of_recording(recording: &Recording, gid: u32) -> Attributes {
    let end = recording.started_at.saturating_add(recording.nanoseconds());
    Attributes {
        node: Node::File(recording.key),
        size: recording.sealed.wav_bytes,
        time: UNIX_EPOCH + Duration::from_nanos(u64::try_from(end).unwrap_or(0)),
        gid,
        mode: FILE_MODE,
        links: Tree::ALL.len() as u32,
    }
}

#[cfg(test)]
mod tests;
