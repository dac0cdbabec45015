//! `bench-archive`: what the archive costs and how small it is, each figure beside a peer from
//! Debian. The second part of `make bench`; exits 1 if a target is missed.

use clap::{Parser, ValueEnum};
use std::io;
use std::process::ExitCode;
use tsuwaroku_tests::bench::{catalogue, codec, ingest, life};

/// Measures the archive against its targets; as root, with the packages that tests/setup installs.
#[derive(Parser)]
struct Arguments {
    /// Runs whose median counts
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Only these figures
    #[arg(long, value_enum)]
    only: Vec<Figures>,
    /// Calls of five minutes in each class of the corpus
    #[arg(long, default_value_t = 2)]
    calls: u64,
    /// Rows of the catalogue
    #[arg(long, default_value_t = 10_000_000)]
    rows: u64,
    /// Objects that the catalogue is compared with
    #[arg(long, default_value_t = 200_000)]
    objects: u64,
    /// Recordings that a sweep is planned for
    #[arg(long, default_value_t = 1_000_000)]
    due: u64,
    /// Recordings that are moved
    #[arg(long, default_value_t = 10_000)]
    moves: u64,
}

/// What can be measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Figures {
    /// Sizes, decoding, encoding, scrub
    Codec,
    /// The daemon from spool to mount, its memory, opening a recording
    Ingest,
    /// Queries, size, comparison with the store
    Catalogue,
    /// The plan of a sweep, moves, erasures
    Life,
}

fn main() -> ExitCode {
    match measure(&Arguments::parse()) {
        Ok(true) => {
            println!("\nEvery target holds.");
            ExitCode::SUCCESS
        }
        Ok(false) => {
            println!("\nA target is missed: the rows that say NO.");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("bench-archive: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> io::Result<bool> {
    let &Arguments {
        runs,
        calls,
        rows,
        objects,
        due,
        moves,
        ..
    } = arguments;
    let wanted = |figures| arguments.only.is_empty() || arguments.only.contains(&figures);
    let mut held = true;
    if wanted(Figures::Codec) {
        held &= codec::measure(codec::Extent { runs, calls })?;
    }
    if wanted(Figures::Ingest) {
        held &= ingest::measure(runs)?;
    }
    if wanted(Figures::Catalogue) {
        held &= catalogue::measure(catalogue::Extent {
            rows,
            objects,
            runs,
        })?;
    }
    if wanted(Figures::Life) {
        held &= life::measure(life::Extent { rows: due, moves })?;
    }
    Ok(held)
}
