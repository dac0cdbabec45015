//! The file system as an ordinary type: what a lookup, a listing, an open and a read answer, without
//! a kernel. [`fuse`] hands the kernel's requests to it, and is the only file that names the crate.
//!
//! Nothing here can change anything: there is no operation that could. Whoever comes from the kernel
//! goes through the [`gate`], which asks for rights and writes the audit log.

mod acl;
mod blocks;
mod error;
mod folders;
mod fuse;
mod gate;
mod ioctl;
mod lines;
mod listings;
mod mount;
mod pool;
mod reader;
mod table;
mod trail;
mod xattr;

pub use blocks::Blocks;
pub use error::FsError;
pub use fuse::Announcer;
pub use gate::{Caller, Gate, GateParts};
pub use mount::{Mount, MountError};
pub use pool::{Pool, TooLate};
pub use reader::Reader;

use crate::catalogue::{Catalogue, NumberId, Recording, Shown};
use crate::day::Day;
use crate::store::Object;
use crate::vault::Vault;
use crate::views::{
    Children, Folder, Node, Tree, When, child_folder, file_name, folder_name, inode_of,
    seconds_of_name, top_name,
};
use chrono_tz::Tz;
use lines::{Line, Lines};
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

impl Owners {
    /// The group that may read `number`.
    pub fn readers_of(&self, number: &str) -> u32 {
        self.readers.get(number).copied().unwrap_or(self.gid)
    }
}

/// The archive as a file system.
#[derive(Debug)]
pub struct ArchiveFs {
    catalogue: Arc<Catalogue>,
    vault: Vault,
    language: Language,
    lines: Lines,
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
            lines: Lines::new(catalogue.clone(), owners),
            catalogue,
            vault,
            language,
            zone: birth.time_zone,
            born,
        }
    }

    /// What is called `name` in `parent`. Whoever has a node's number and no path to it (a file server
    /// after a restart) asks for `.` and `..`.
    pub fn look_up(&self, parent: Node, name: &str) -> Result<Attributes, FsError> {
        if let "." | ".." = name {
            return self.attributes(if name == "." { parent } else { above(parent) });
        }
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
                let line = self.lines.by_number(name)?.ok_or(FsError::NotFound)?;
                let number = Some(line.id);
                self.attributes(Node::Folder(Folder { number, ..folder }))
            }
            Children::Recordings(number, day) => {
                for second in seconds_of_name(name, day, self.zone) {
                    let start = second.timestamp_millis();
                    let within = start..start + 1000;
                    for recording in self.shown().recordings_within(number, &within)? {
                        if file_name(&recording, self.zone) == name {
                            return Ok(of_recording(&recording, self.lines.group(number)?));
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
            Node::Root => Ok(self.of_folder(node, None, self.lines.owners().gid)),
            Node::File(_) => {
                let recording = self.recording(node)?;
                Ok(of_recording(
                    &recording,
                    self.lines.group(recording.number)?,
                ))
            }
            Node::Folder(folder) => {
                if let Some(days) = folder.days()
                    && !self.shown().has_day(folder.number, days)?
                {
                    return Err(FsError::NotFound);
                }
                self.of_any_folder(node)
            }
        }
    }

    /// The number whose directories or recording `node` belongs to, and the group that may read it.
    pub fn line_of(&self, node: Node) -> Result<Option<(String, u32)>, FsError> {
        let number = match node {
            Node::Root => None,
            Node::Folder(folder) => folder.number,
            Node::File(_) => Some(self.recording(node)?.number),
        };
        let Some(number) = number else {
            return Ok(None);
        };
        let line = self.lines.by_id(number)?.ok_or(FsError::NotFound)?;
        Ok(Some((line.number, line.gid)))
    }

    /// Everything in the directory `node`, in the order of the inode numbers, after the two names that
    /// each has.
    pub fn listing(&self, node: Node) -> Result<Vec<Entry>, FsError> {
        let dots = [(".", node), ("..", above(node))].map(|(name, node)| {
            Ok(Entry {
                name: name.to_owned(),
                attributes: self.of_any_folder(node)?,
            })
        });
        let mut entries = dots.into_iter().collect::<Result<Vec<_>, FsError>>()?;
        let mut all = self.list(node)?;
        all.sort_by_key(|entry| inode_of(entry.attributes.node));
        entries.extend(all);
        Ok(entries)
    }

    /// The attributes of the directory `node`, whether or not it has a recording.
    fn of_any_folder(&self, node: Node) -> Result<Attributes, FsError> {
        let Node::Folder(folder) = node else {
            return Ok(self.of_folder(node, None, self.lines.owners().gid));
        };
        let gid = match folder.number {
            // Anybody can invent an inode number.
            Some(number) => self.lines.by_id(number)?.ok_or(FsError::NotFound)?.gid,
            None => self.lines.owners().gid,
        };
        Ok(self.of_folder(node, Some(folder), gid))
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
                let gid = self.lines.group(number)?;
                let recordings = self.shown().recordings(number, day)?;
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
            attributes: self.of_folder(
                Node::Folder(tree.top()),
                Some(tree.top()),
                self.lines.owners().gid,
            ),
        };
        Tree::ALL.into_iter().map(entry).collect()
    }

    fn list_numbers(&self, folder: Folder, day: Option<Day>) -> Result<Vec<Entry>, FsError> {
        let lines: Arc<[Line]> = match day {
            Some(day) => {
                let numbers = self.shown().numbers_of_day(day)?;
                numbers.into_iter().map(|n| self.lines.line(n)).collect()
            }
            None => self.lines.all()?,
        };
        let entry = |line: &Line| {
            let number = Some(line.id);
            let child = Folder { number, ..folder };
            Entry {
                name: line.number.clone(),
                attributes: self.of_folder(Node::Folder(child), Some(child), line.gid),
            }
        };
        Ok(lines.iter().map(entry).collect())
    }

    fn list_times(&self, folder: Folder) -> Result<Vec<Entry>, FsError> {
        let gid = match folder.number {
            Some(number) => self.lines.group(number)?,
            None => self.lines.owners().gid,
        };
        let days = self.shown().days(folder.number, folder.when.days())?;
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

    /// The recording that `node` is.
    pub fn recording(&self, node: Node) -> Result<Recording, FsError> {
        match node {
            Node::File(key) => self.shown().by_key(key)?.ok_or(FsError::NotFound),
            Node::Root | Node::Folder(_) => Err(FsError::IsAFolder),
        }
    }

    /// Opens the object of `recording`.
    pub fn open(&self, recording: &Recording) -> Result<Object, FsError> {
        let object = self.vault.open_in(recording.tier, recording.id)?;
        // The catalogue's digest is the archive's word on what the recording is (R5.2).
        if object.wav_sha256() != recording.sealed.wav_sha256 || object.call().id != recording.id {
            return Err(FsError::NotTheRecording(recording.id));
        }
        Ok(object)
    }

    /// The value of the extended attribute `name` of `node`.
    pub fn xattr(&self, node: Node, name: &str) -> Result<Vec<u8>, FsError> {
        if name == acl::NAME {
            // Asked for once for each node that the kernel checks: no question to the catalogue.
            return Ok(acl::of_mode(match node {
                Node::File(_) => FILE_MODE,
                Node::Root | Node::Folder(_) => self.of_any_folder(node)?.mode,
            }));
        }
        let Node::File(_) = node else {
            return Err(FsError::NoAttribute);
        };
        xattr::value(&self.recording(node)?, name).ok_or(FsError::NoAttribute)
    }

    /// The names of the extended attributes of `node`, each with a zero after it (listxattr(2)).
    pub fn xattr_list(&self, node: Node) -> Vec<u8> {
        let names = self.xattrs(node).iter();
        names
            .flat_map(|name| [name.as_bytes(), b"\0"].concat())
            .collect()
    }

    /// The names of the extended attributes of `node`.
    pub fn xattrs(&self, node: Node) -> &'static [&'static str] {
        match node {
            Node::File(_) => &xattr::NAMES,
            Node::Root | Node::Folder(_) => &[],
        }
    }

    fn of_folder(&self, node: Node, folder: Option<Folder>, gid: u32) -> Attributes {
        let day = folder.and_then(|folder| folder.when.first_day());
        let readers_only = folder.is_some_and(|folder| folder.number.is_some());
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

    /// What is past its last day is not there (R6.3).
    fn shown(&self) -> Shown<'_> {
        self.catalogue.shown()
    }

    /// Recordings of `number` on `day` that are past their last day and not erased yet: they are not
    /// shown.
    pub fn hidden(&self, number: NumberId, day: Day) -> Result<Vec<Node>, FsError> {
        let hidden = self.shown().hidden(number, day)?;
        Ok(hidden.into_iter().map(Node::File).collect())
    }

    /// The objects of what is shown.
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// The owner of everything shown.
    pub fn uid(&self) -> u32 {
        self.lines.owners().uid
    }

    /// Figures for `statfs`: bytes of WAV files, and names at the top and recordings.
    pub fn totals(&self) -> Result<(u64, u64), FsError> {
        let totals = self.catalogue.totals()?;
        let names = Tree::ALL.len() as u64;
        Ok((totals.wav_bytes, totals.recordings + names))
    }
}

/// The directory that `node` stands in; a recording stands in several, and is asked for in none.
fn above(node: Node) -> Node {
    match node {
        Node::Folder(folder) => folder.parent(),
        Node::Root | Node::File(_) => Node::Root,
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
