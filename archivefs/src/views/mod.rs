//! Which directories and files the file system shows, under which names and inode numbers. Pure: what
//! exists comes from the catalogue, what it is called and numbered is decided here.
//!
//! ```text
//! by-date/2026/11/23/06-6458-1132/101530-in-0312345678-7XQ2.wav
//! by-number/06-6458-1132/2026/11/23/101530-in-0312345678-7XQ2.wav    the same file: one inode, two links
//! ```
//!
//! Both trees end in a directory of one number on one day, because that is what a group of readers
//! may see or not.

mod inode;
mod name;

pub use inode::{inode_of, node_of};
pub use name::{child_folder, file_name, folder_name, seconds_of_name, top_name};

use crate::catalogue::{Key, NumberId};
use crate::day::Day;
use std::ops::RangeInclusive;

/// Something that the file system shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Node {
    /// The mount point.
    Root,
    /// A directory of one of the trees.
    Folder(Folder),
    /// A recording.
    File(Key),
}

/// A directory of one of the trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Folder {
    /// Which tree it is in.
    pub tree: Tree,
    /// Which time it covers.
    pub when: When,
    /// Which number; by date only below a day, by number everywhere below the top.
    pub number: Option<NumberId>,
}

/// The two ways to the same recordings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tree {
    /// Year, month, day, number.
    ByDate,
    /// Number, year, month, day.
    ByNumber,
}

impl Tree {
    /// Both trees, in the order in which the root lists them.
    pub const ALL: [Self; 2] = [Self::ByDate, Self::ByNumber];

    /// The tree's top directory.
    pub fn top(self) -> Folder {
        Folder {
            tree: self,
            when: When::Ever,
            number: None,
        }
    }
}

/// The time that a directory covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum When {
    /// All of it.
    Ever,
    /// A year.
    Year(u16),
    /// A month of a year.
    Month(u16, u8),
    /// One day.
    Day(Day),
}

impl When {
    /// The days it covers, as YYYYMMDD.
    pub fn days(self) -> RangeInclusive<u32> {
        match self {
            Self::Ever => 0..=u32::MAX,
            Self::Year(year) => {
                let year = u32::from(year) * 10_000;
                year..=year + 9_999
            }
            Self::Month(year, month) => {
                let month = u32::from(year) * 10_000 + u32::from(month) * 100;
                month..=month + 99
            }
            Self::Day(day) => day.digits()..=day.digits(),
        }
    }

    /// The part of it, one level down, in which `day` lies.
    pub fn narrowed_to(self, day: Day) -> Self {
        match self {
            Self::Ever => Self::Year(day.year()),
            Self::Year(year) => Self::Month(year, day.month()),
            Self::Month(..) | Self::Day(_) => Self::Day(day),
        }
    }

    /// Its first day; there is none for all time.
    pub fn first_day(self) -> Option<Day> {
        match self {
            Self::Ever => None,
            Self::Year(year) => Day::new(year, 1, 1),
            Self::Month(year, month) => Day::new(year, month, 1),
            Self::Day(day) => Some(day),
        }
    }
}

/// What a directory lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Children {
    /// Numbers: all of them, or those with recordings on a day.
    Numbers(Option<Day>),
    /// Years, months or days that have recordings.
    Times,
    /// Recordings of one number on one day.
    Recordings(NumberId, Day),
}

/// Every directory whose listing may change when a recording of `number` on `day` comes or goes.
pub fn folders_over(number: NumberId, day: Day) -> impl Iterator<Item = Folder> {
    let (year, month) = (When::Year(day.year()), When::Month(day.year(), day.month()));
    let times = [When::Ever, year, month, When::Day(day)];
    let folder = |tree, when, number| Folder { tree, when, number };
    let by_date = times.map(move |when| folder(Tree::ByDate, when, None));
    let by_number = times.map(move |when| folder(Tree::ByNumber, when, Some(number)));
    let ends = [
        folder(Tree::ByDate, When::Day(day), Some(number)),
        Tree::ByNumber.top(),
    ];
    by_date.into_iter().chain(by_number).chain(ends)
}

impl Folder {
    /// What it lists.
    pub fn children(self) -> Children {
        match (self.tree, self.when, self.number) {
            (_, When::Day(day), Some(number)) => Children::Recordings(number, day),
            (Tree::ByDate, When::Day(day), None) => Children::Numbers(Some(day)),
            (Tree::ByNumber, _, None) => Children::Numbers(None),
            (Tree::ByDate | Tree::ByNumber, _, _) => Children::Times,
        }
    }

    /// The directory that it stands in.
    pub fn parent(self) -> Node {
        let wider = |when| Node::Folder(Self { when, ..self });
        match (self.tree, self.when, self.number) {
            (Tree::ByDate, When::Day(_), Some(_)) => Node::Folder(Self {
                number: None,
                ..self
            }),
            (Tree::ByNumber, When::Ever, Some(_)) => Node::Folder(self.tree.top()),
            (_, When::Ever, _) => Node::Root,
            (_, When::Year(_), _) => wider(When::Ever),
            (_, When::Month(year, _), _) => wider(When::Year(year)),
            (_, When::Day(day), _) => wider(When::Month(day.year(), day.month())),
        }
    }

    /// The days that must have a recording for the directory to be there, if any must.
    pub fn days(self) -> Option<RangeInclusive<u32>> {
        match self.when {
            When::Ever => None,
            when => Some(when.days()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that lies above a recording in both trees, the roots of the trees included.
    #[test]
    fn the_folders_over_a_recording_are_all_its_ancestors() {
        let (number, day) = (NumberId(7), Day::new(2026, 11, 23).unwrap());
        let over: Vec<_> = folders_over(number, day).map(Node::Folder).collect();
        for tree in Tree::ALL {
            let mut node = Node::Folder(Folder {
                tree,
                when: When::Day(day),
                number: Some(number),
            });
            while let Node::Folder(folder) = node {
                assert!(over.contains(&node), "{node:?}");
                node = folder.parent();
            }
        }
        assert_eq!(over.len(), 10);
    }
}
