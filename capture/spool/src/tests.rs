//! Tests that reach inside the crate: steps that fail.

mod crash;
pub(crate) mod faults;
mod salvage;

use std::fs;
use std::path::Path;

use ulid::Ulid;

use crate::{Encoding, Start};

/// Bytes of one frame of [`start`].
const FRAME: usize = 2;

fn start(number: u128) -> Start {
    Start {
        id: Ulid::from_parts(1_763_946_935_000, number),
        line: "06-6458-1132".into(),
        card: "hw:0".into(),
        card_channels: vec![1],
        rate: 8000,
        encoding: Encoding::S16,
        started_at: 1_763_946_935_000_000_000,
        pre_roll: 0,
        continues: None,
        recorder: "test 1".into(),
    }
}

/// `frames` frames, each of them different from its neighbours.
fn samples(from: u64, frames: u64) -> Vec<u8> {
    let frames = from..from + frames;
    frames.flat_map(|n| (n as u16).to_le_bytes()).collect()
}

/// The names in a folder of the spool.
fn names(root: &Path, folder: &str) -> Vec<String> {
    let entries = fs::read_dir(root.join(folder)).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
