//! Goal: each statement of tsuwaroku-fs(7) is proved through a real mount, by the people it names. The
//! text of a statement is the doc comment of the function that proves it; the last tests compare them
//! with the page, in both languages.
//!
//! One test for each group of statements, with an archive of its own. When a group is through, the
//! audit log is compared with its attempts: each refusal is there, and no other.

// The text of a statement is that of the page, which has no marks of this kind.
#![allow(clippy::doc_markdown)]

use office::Office;
use std::panic::{AssertUnwindSafe, catch_unwind};

#[path = "fs_semantics/attributes.rs"]
mod attributes;
#[path = "fs_semantics/changing.rs"]
mod changing;
#[path = "fs_semantics/extended.rs"]
mod extended;
#[path = "fs_semantics/finding.rs"]
mod finding;
#[path = "fs_semantics/kernel.rs"]
mod kernel;
#[path = "fs_semantics/listing.rs"]
mod listing;
#[path = "fs_semantics/mishaps.rs"]
mod mishaps;
#[path = "fs_semantics/office.rs"]
mod office;
#[path = "fs_semantics/opening.rs"]
mod opening;
#[path = "fs_semantics/page.rs"]
mod page;
#[path = "fs_semantics/reading.rs"]
mod reading;
#[path = "fs_semantics/refusing.rs"]
mod refusing;

/// A statement: the name of the function that proves it, and the function.
pub type Statement = (&'static str, fn(&Office));

/// The statements that these functions prove.
macro_rules! statements {
    ($($name:ident),+ $(,)?) => {
        &[$((stringify!($name), $name as fn(&$crate::office::Office))),+]
    };
}
pub(crate) use statements;

/// Every statement that a test below proves, in the order of the page.
const GROUPS: [&[Statement]; 10] = [
    finding::STATEMENTS,
    attributes::STATEMENTS,
    listing::STATEMENTS,
    opening::STATEMENTS,
    reading::STATEMENTS,
    extended::STATEMENTS,
    refusing::STATEMENTS,
    changing::STATEMENTS,
    kernel::STATEMENTS,
    mishaps::STATEMENTS,
];

/// Proves all statements of a group, so that one that is wrong hides no other.
fn prove(office: Office, statements: &[Statement]) {
    let mut wrong = Vec::new();
    for (name, prove) in statements {
        if catch_unwind(AssertUnwindSafe(|| prove(&office))).is_err() {
            wrong.push(*name);
        }
    }
    let closed = catch_unwind(AssertUnwindSafe(|| office.close()));
    assert!(wrong.is_empty(), "not so: {wrong:?}");
    assert!(closed.is_ok(), "the log does not agree");
}

#[test]
fn names_are_found() {
    prove(Office::new(), finding::STATEMENTS);
}

#[test]
fn attributes_are_fixed() {
    prove(Office::new(), attributes::STATEMENTS);
}

#[test]
fn directories_are_listed() {
    prove(Office::new(), listing::STATEMENTS);
}

#[test]
fn recordings_are_opened() {
    prove(Office::new(), opening::STATEMENTS);
}

#[test]
fn recordings_are_read() {
    prove(Office::new(), reading::STATEMENTS);
}

#[test]
fn attributes_and_lists_are_told() {
    prove(Office::new(), extended::STATEMENTS);
}

/// R5.2: nobody, whatever the account, changes anything, and each attempt is on record (R3.2).
#[test]
fn changes_of_content_are_refused_and_logged() {
    prove(Office::new(), refusing::STATEMENTS);
}

/// The same of what is not content.
#[test]
fn changes_of_attributes_are_refused_and_logged() {
    prove(Office::new(), changing::STATEMENTS);
}

#[test]
fn the_kernel_answers_the_rest() {
    prove(Office::new(), kernel::STATEMENTS);
}

#[test]
fn settings_and_mishaps_are_seen() {
    prove(mishaps::office(), mishaps::STATEMENTS);
}
