//! `feed-card RAW FIFO`: plays a raw file at real time into a FIFO, as a sound card would.

use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tsuwaroku_tests::card::{CHANNELS, RATE};
use tsuwaroku_tests::feed::{BLOCK_FRAMES, Feed};

/// Plays a raw file (16-bit little-endian, interleaved) at real time into a FIFO.
#[derive(Parser)]
struct Arguments {
    /// The audio
    raw: PathBuf,
    /// The FIFO; its reader is waited for
    fifo: PathBuf,
    /// Channels of the audio
    #[arg(long, default_value_t = CHANNELS)]
    channels: u16,
    /// Frames a second, Hz
    #[arg(long, default_value_t = RATE)]
    rate: u32,
    /// Frames of one write: the reader's period
    #[arg(long, default_value_t = BLOCK_FRAMES)]
    block: usize,
    /// How many times as fast as real time
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// Seconds of idle lines after the end, before the FIFO is closed
    #[arg(long, default_value_t = 0.0)]
    after: f64,
    /// Play on unheard when the reader goes away, until there is another
    #[arg(long)]
    persist: bool,
}

fn main() -> ExitCode {
    let given = Arguments::parse();
    let feed = Feed {
        raw: given.raw,
        fifo: given.fifo,
        channels: given.channels,
        rate: given.rate,
        block_frames: given.block,
        speed: given.speed,
        after: Duration::from_secs_f64(given.after),
        persist: given.persist,
    };
    match feed.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("feed-card: {error}");
            ExitCode::FAILURE
        }
    }
}
