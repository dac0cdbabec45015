//! The archive: takes finished calls from the spool into a write-once store, and shows it as a
//! read-only file system by date and by number.
//!
//! ```text
//! spool ──► ingest ──► store (objects) ──► catalogue (rows) ──► views ──► fs ──► staff, backup tools
//!                          verify ◄──────────┘                   control ◄── the tsuwaroku command
//! ```
//!
//! A step of the path is a module of the same name. Imports point one way, downwards in this list,
//! which `tests/tests/layering.rs` checks:
//!
//! 1. [`call`], [`day`]: what is known of a recorded call, and the days of the office; the words that
//!    all others use.
//! 2. [`wav`], [`codec`]: the bytes of a WAV file, and of compressed audio; pure.
//! 3. [`store`]: objects on disk, one a recording, never changed.
//! 4. [`catalogue`]: the database. SQL stays in its folder.
//! 5. [`views`]: which directories and names there are, and their inode numbers; pure.
//! 6. [`ingest`], [`verify`]: what runs over store and catalogue.
//! 7. [`fs`]: the file system; `fs/fuse.rs` alone names the FUSE crate.
//! 8. [`control`]: the HTTP service on a Unix socket, its types and its client.
//! 9. [`serve`], [`cli`]: the daemon and the command, which put the rest together.

pub mod call;
pub mod catalogue;
pub mod cli;
pub mod codec;
pub mod control;
pub mod day;
pub mod fs;
pub mod ingest;
pub mod serve;
pub mod store;
pub mod verify;
pub mod views;
pub mod wav;
