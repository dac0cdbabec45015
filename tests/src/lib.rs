//! What the end-to-end tests, the demonstration and the benchmarks share: the product seen from
//! outside, as its users see it.
//!
//! * [`office`]: the sample office, its lines and their table.
//! * [`noise`]: what a telephone line sounds like while nobody speaks.
//! * [`calls`]: finished calls made without a card, for tests that begin at the spool.
//! * [`card`]: the sample card, a minute of calls on five channels.
//! * [`feed`]: plays it at real time into the FIFO that stands for a sound card.
//! * [`harness`]: a temporary installation with the real daemons in it.
//! * [`served`]: an archive with the real daemon on it; [`logged`]: its audit log as it lies there.
//! * [`keeper`]: an archive whose daemon has an account of its own.
//! * [`disk`]: disks of a test's own.
//! * [`model`]: what the mount must show, computed from the calls alone.
//! * [`bench`]: what the benchmark of the archive is made of.
//! * [`bursts`]: audio in which every position can be recognised, for the kernel rig.
//! * [`rig`]: runs a script in a machine with a real sound kernel.
//! * [`probe`]: system calls made by other accounts.
//! * [`recorded`]: a finished call of the spool, for comparison.
//! * [`stretch`]: finds recorded samples in what was played.
//! * [`wav`]: reads the recordings that the mount serves.
//!
//! Nothing here is part of the product, and no part of the product depends on it.

pub mod bench;
pub mod bursts;
pub mod calls;
pub mod card;
pub mod disk;
pub mod feed;
pub mod harness;
pub mod keeper;
pub mod logged;
pub mod model;
pub mod noise;
pub mod office;
pub mod probe;
pub mod recorded;
pub mod rig;
pub mod served;
pub mod stretch;
pub mod wav;
