//! What is done to the mount and to the model, as data, so that a sequence that fails can be made shorter.

use proptest::prelude::*;

/// What is done. Numbers pick from what is there at that time, so that a sequence stays one when parts
/// of it are left out.
#[derive(Debug, Clone)]
pub enum Op {
    /// `stat` of a recording by one of its names, by somebody who may list it.
    Stat {
        pick: u16,
        tree: bool,
        root: bool,
    },
    /// `stat` of a directory.
    StatFolder {
        pick: u16,
        root: bool,
    },
    /// `stat` of a name that is not there.
    Wrong {
        pick: u16,
        tree: bool,
        how: Mistake,
    },
    List {
        pick: u16,
        root: bool,
    },
    Open {
        pick: u16,
        tree: bool,
    },
    /// Root may not listen (R5.2).
    OpenAsRoot {
        pick: u16,
        tree: bool,
    },
    /// Of an open file, at this part of its length in 1/60,000: beyond its end, too.
    Read {
        slot: u8,
        at: u16,
        length: u32,
    },
    /// The kernel forgets what it holds of an open file.
    Forget {
        slot: u8,
    },
    Close {
        slot: u8,
    },
    Attributes {
        pick: u16,
        tree: bool,
    },
    /// An attempt to change something.
    Change {
        pick: u16,
        tree: bool,
        how: Attempt,
    },
    /// Calls come in.
    Calls {
        count: u8,
    },
    Restart,
    Crash,
}

#[derive(Debug, Clone, Copy)]
pub enum Mistake {
    Longer,
    Shorter,
    OtherCase,
    OtherTime,
    BesideIt,
    InsideIt,
    NoText,
}

#[derive(Debug, Clone, Copy)]
pub enum Attempt {
    Write,
    Truncate,
    Remove,
    MakeFolder,
    Rename,
    Link,
}

/// Any operation; those that tell most are the most frequent.
pub fn op() -> impl Strategy<Value = Op> {
    let mistake = prop::sample::select(vec![
        Mistake::Longer,
        Mistake::Shorter,
        Mistake::OtherCase,
        Mistake::OtherTime,
        Mistake::BesideIt,
        Mistake::InsideIt,
        Mistake::NoText,
    ]);
    let attempt = prop::sample::select(vec![
        Attempt::Write,
        Attempt::Truncate,
        Attempt::Remove,
        Attempt::MakeFolder,
        Attempt::Rename,
        Attempt::Link,
    ]);
    let (pick, tree, slot) = (any::<u16>, any::<bool>, 0..super::SLOTS as u8);
    let length = prop_oneof![0..5_u32, 0..5000_u32, 0..300_000_u32];
    prop_oneof![
        6 => (pick(), tree(), tree()).prop_map(|(pick, tree, root)| Op::Stat { pick, tree, root }),
        2 => (pick(), tree()).prop_map(|(pick, root)| Op::StatFolder { pick, root }),
        4 => (pick(), tree(), mistake)
            .prop_map(|(pick, tree, how)| Op::Wrong { pick, tree, how }),
        4 => (pick(), tree()).prop_map(|(pick, root)| Op::List { pick, root }),
        10 => (pick(), tree()).prop_map(|(pick, tree)| Op::Open { pick, tree }),
        1 => (pick(), tree()).prop_map(|(pick, tree)| Op::OpenAsRoot { pick, tree }),
        20 => (slot.clone(), pick(), length)
            .prop_map(|(slot, at, length)| Op::Read { slot, at, length }),
        3 => slot.clone().prop_map(|slot| Op::Forget { slot }),
        3 => slot.prop_map(|slot| Op::Close { slot }),
        3 => (pick(), tree()).prop_map(|(pick, tree)| Op::Attributes { pick, tree }),
        2 => (pick(), tree(), attempt)
            .prop_map(|(pick, tree, how)| Op::Change { pick, tree, how }),
        3 => (1..4_u8).prop_map(|count| Op::Calls { count }),
        1 => Just(Op::Restart),
        1 => Just(Op::Crash),
    ]
}
