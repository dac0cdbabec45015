//! Inode numbers, computed from database ids: stable across restarts and re-exports, never used
//! again, and no table of them grows with the archive.
//!
//! ```text
//! 1, 2        the kernel's root, and the directory in it that is shown as the root
//! bits 63–60  what: 1 recording, 2 folder by date, 3 folder by number
//! recording   bits 59–0 its key
//! folder      bits 43–24 number id (0: none), 22–9 year (0: none), 8–5 month, 4–0 day
//! ```

use super::{Folder, Node, Tree, When};
use crate::catalogue::{Key, NumberId};
use crate::day::Day;

/// The kernel's root, whose number it fixes (`FUSE_ROOT_ID` of linux/fuse.h). Nobody sees it.
const KERNEL_ROOT: u64 = 1;

/// What is shown as the root.
const ROOT: u64 = 2;

const WHAT_SHIFT: u32 = 60;
const RECORDING: u64 = 1;
const BY_DATE: u64 = 2;
const BY_NUMBER: u64 = 3;
const NUMBER_SHIFT: u32 = 24;
const NUMBER_BITS: u32 = 20;
const YEAR_SHIFT: u32 = 9;
const YEAR_BITS: u32 = 14;
const MONTH_SHIFT: u32 = 5;
const MONTH_BITS: u32 = 4;
const DAY_BITS: u32 = 5;

/// The inode number of `node`.
pub fn inode_of(node: Node) -> u64 {
    match node {
        Node::Root => ROOT,
        Node::File(key) => RECORDING << WHAT_SHIFT | key.to_i64() as u64,
        Node::Folder(folder) => {
            let what = match folder.tree {
                Tree::ByDate => BY_DATE,
                Tree::ByNumber => BY_NUMBER,
            };
            let (year, month, day) = match folder.when {
                When::Ever => (0, 0, 0),
                When::Year(year) => (year, 0, 0),
                When::Month(year, month) => (year, month, 0),
                When::Day(day) => (day.year(), day.month(), day.day()),
            };
            let number = folder.number.map_or(0, |number| u64::from(number.0));
            what << WHAT_SHIFT
                | number << NUMBER_SHIFT
                | u64::from(year) << YEAR_SHIFT
                | u64::from(month) << MONTH_SHIFT
                | u64::from(day)
        }
    }
}

/// The node whose inode number is `inode`, if it is the number of any.
pub fn node_of(inode: u64) -> Option<Node> {
    let node = match inode >> WHAT_SHIFT {
        0 if inode == KERNEL_ROOT => return Some(Node::Root),
        0 => Node::Root,
        RECORDING => Node::File(Key::from_i64((inode & ((1 << WHAT_SHIFT) - 1)) as i64)?),
        BY_DATE => Node::Folder(folder_of(Tree::ByDate, inode)?),
        BY_NUMBER => Node::Folder(folder_of(Tree::ByNumber, inode)?),
        _ => return None,
    };
    (inode_of(node) == inode).then_some(node)
}

fn folder_of(tree: Tree, inode: u64) -> Option<Folder> {
    let bits = |shift: u32, width: u32| inode >> shift & ((1 << width) - 1);
    let year = bits(YEAR_SHIFT, YEAR_BITS) as u16;
    let month = bits(MONTH_SHIFT, MONTH_BITS) as u8;
    let day = bits(0, DAY_BITS) as u8;
    let when = match (year, month, day) {
        (0, 0, 0) => When::Ever,
        (year, 0, 0) => When::Year(year),
        (year, month, 0) => When::Month(year, month),
        (year, month, day) => When::Day(Day::new(year, month, day)?),
    };
    let number = match bits(NUMBER_SHIFT, NUMBER_BITS) as u32 {
        0 => None,
        id => Some(NumberId(id)),
    };
    let sensible = match tree {
        Tree::ByDate => number.is_none() || matches!(when, When::Day(_)),
        Tree::ByNumber => number.is_some() || when == When::Ever,
    };
    sensible.then_some(Folder { tree, when, number })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn folder() -> impl Strategy<Value = Folder> {
        let when =
            (1_u16..9999, 1_u8..=12, 1_u8..=28, 0..4).prop_map(|(y, m, d, depth)| match depth {
                0 => When::Ever,
                1 => When::Year(y),
                2 => When::Month(y, m),
                _ => When::Day(Day::new(y, m, d).unwrap()),
            });
        (when, 1_u32..1 << NUMBER_BITS, any::<bool>(), any::<bool>()).prop_map(
            |(when, number, by_date, with_number)| match (by_date, with_number) {
                (true, true) if matches!(when, When::Day(_)) => Folder {
                    tree: Tree::ByDate,
                    when,
                    number: Some(NumberId(number)),
                },
                (true, _) => Folder {
                    tree: Tree::ByDate,
                    when,
                    number: None,
                },
                (false, true) => Folder {
                    tree: Tree::ByNumber,
                    when,
                    number: Some(NumberId(number)),
                },
                (false, false) => Tree::ByNumber.top(),
            },
        )
    }

    proptest! {
        #[test]
        fn a_folder_is_found_by_its_number(folder in folder()) {
            let node = Node::Folder(folder);
            prop_assert_eq!(node_of(inode_of(node)), Some(node));
        }

        #[test]
        fn a_recording_is_found_by_its_number(key in 0..=Key::MAX.to_i64()) {
            let node = Node::File(Key::from_i64(key).unwrap());
            prop_assert_eq!(node_of(inode_of(node)), Some(node));
        }

        #[test]
        fn no_two_nodes_share_a_number(inode: u64) {
            if let Some(node) = node_of(inode) && inode != KERNEL_ROOT {
                prop_assert_eq!(inode_of(node), inode);
            }
        }

        #[test]
        fn every_folder_leads_up_to_the_root(folder in folder()) {
            let mut node = Node::Folder(folder);
            for _ in 0..6 {
                match node {
                    Node::Folder(folder) => node = folder.parent(),
                    _ => break,
                }
            }
            prop_assert_eq!(node, Node::Root);
        }
    }
}
