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
//! 1. [`call`], [`day`], [`crypto`]: what is known of a recorded call, the days of the office, keys as
//!    values; the words that all others use. [`period`]: how long a recording is kept, pure.
//! 2. [`wav`], [`codec`]: the bytes of a WAV file, and of compressed audio; pure.
//! 3. [`store`]: objects on disk, one a recording, never changed.
//! 4. [`audit`]: the log of every access as values: records, their chain and tree, checkpoints; pure.
//!    [`catalogue`]: the database. SQL stays in its folder.
//! 5. [`accounts`]: who a Unix account is; [`rights`]: who may do what, pure; [`keys`]: the key of each recording; [`views`]: which directories and names there are, and their
//!    inode numbers, pure.
//! 6. [`vault`]: the objects of all tiers with the keys that open them.
//! 7. [`import`] (files of a former recorder); [`ingest`], [`verify`], then [`findings`], then [`scrub`]: what runs over vault and catalogue.
//!    [`mod@backup`]: a copy of the catalogue, and back; [`mod@rebuild`]: recordings are entered again from their objects.
//!    [`checkpoints`]: what proves the log to the outside; [`refusals`]: those are logged at a bounded rate.
//!    [`life`]: what happens to recordings as they age: moves, holds, erasure.
//! 8. [`fs`]: the file system; `fs/fuse.rs` alone names the FUSE crate.
//! 9. [`control`]: the HTTP service on a Unix socket, its types and its client.
//! 10. [`serve`], [`cli`]: the daemon and the command, which put the rest together.

pub mod accounts;
pub mod audit;
pub mod backup;
pub mod call;
pub mod catalogue;
pub mod checkpoints;
pub mod cli;
pub mod clock;
pub mod codec;
pub mod control;
pub mod crypto;
pub mod day;
pub mod findings;
pub mod fs;
pub mod import;
pub mod ingest;
pub mod keys;
pub mod life;
pub mod period;
pub mod rebuild;
pub mod refusals;
pub mod rights;
pub mod scrub;
pub mod serve;
pub mod store;
pub mod vault;
pub mod verify;
pub mod views;
pub mod wav;
