//! What `bench-archive` and `bench-fs` are made of.
//!
//! * [`table`]: a figure, its target, and the table that is printed.
//! * [`cpu`]: CPU time of this thread, of other programs, of a daemon.
//! * [`corpus`]: five-minute calls made from Debian's voice prompts; [`g711`]: the values of the
//!   telephone network's two codes.
//! * [`libflac`]: decodes by libFLAC in this process.
//! * [`codec`]: sizes, encoding, decoding and scrub, in this process, against flac, libFLAC, zstd and
//!   sha256sum.
//! * [`ingest`]: the real daemon from spool to mount, its memory, and opening a recording.
//! * [`catalogue`]: ten million rows.
//! * [`life`]: the plan of a sweep, moves, erasures.
//! * [`fs`]: the mount beside other file systems, for `bench-fs`.
//!
//! A module measures and returns rows; nothing here prints or judges but `table`.

pub mod catalogue;
pub mod codec;
pub mod corpus;
pub mod cpu;
pub mod fs;
pub mod g711;
pub mod ingest;
pub mod libflac;
pub mod life;
pub mod table;
