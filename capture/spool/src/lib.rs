//! The spool: the contract between the capture daemon, which writes it, and the archive daemon,
//! which takes from it.
//!
//! ```text
//! SPOOL/incoming/ULID.call     being written: append-only, each second durable
//! SPOOL/ready/ULID.call        finished: published by one rename, never written again
//! SPOOL/quarantine/NAME        refused, under its old name, beside NAME.reason (text)
//! ```
//!
//! The directory is the protocol: nothing else passes between the two daemons. The file format is
//! specified in tsuwaroku-spool(5) and frozen by the files in `fixtures/`.
//!
//! * [`record`]: what a record says; types only.
//! * `format`: the records' bytes, `check`: their CRC; pure.
//! * `course`: the order records must keep; pure, and asked by writer and reader alike, so that
//!   nothing can be written that would be refused later.
//! * [`mod@write`]: what the capture daemon does: begin, append, finish; with [`recover`].
//! * [`read`]: what the archive daemon does: list, remove, quarantine; with [`entry`]: check, read.
//! * `scan`: records from a stream of bytes, each checked; `quarantine`: what was refused and why.
//! * `disk`: the durable steps by name; every effect on the file system goes through it.
//!
//! Not here: cards, calls and the clock (capture daemon); objects, catalogue and alarms (archive).

mod check;
mod course;
mod disk;
pub mod entry;
mod error;
mod format;
mod quarantine;
pub mod read;
pub mod record;
pub mod recover;
mod scan;
pub mod write;

pub use course::{MAX_CHANNELS, MAX_DIGITS, MAX_GAPS, MAX_NAME_BYTES, MAX_SECONDS, RATES};
pub use disk::Step;
pub use entry::{Entry, Records, Summary};
pub use error::{EntryFault, SpoolError, Wrong};
pub use format::{FILE_HEADER_BYTES, MAGIC, MAX_PAYLOAD, RECORD_HEADER_BYTES, VERSION};
pub use read::{Item, Quarantined, Reader};
pub use record::{Digits, Encoding, End, EndReason, Gap, GapCause, Record, Start};
pub use recover::{Outcome, Recovered};
pub use write::{OpenCall, Writer};

use ulid::Ulid;

/// What follows the ULID in the name of an entry.
pub const EXTENSION: &str = ".call";

/// The name of a recording's entry: its ULID in the 26 capital letters and digits of the ULID
/// specification, then `.call`.
pub fn entry_name(id: Ulid) -> String {
    format!("{id}{EXTENSION}")
}

/// The recording that a file name stands for; `None` if it is not exactly [`entry_name`] of any.
pub fn entry_id(name: &std::ffi::OsStr) -> Option<Ulid> {
    let name = name.to_str()?;
    let id = Ulid::from_string(name.strip_suffix(EXTENSION)?).ok()?;
    (entry_name(id) == name).then_some(id)
}

#[cfg(test)]
mod tests;
