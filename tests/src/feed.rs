//! Plays a raw file at real time into the FIFO that stands for a sound card.
//!
//! Behind the FIFO is alsa-lib's own `file` PCM over `null`, which is a real PCM to the capture
//! daemon, but an impatient one: it reads once for each of the daemon's reads, and when the FIFO
//! holds less than was asked for it hands out old samples for the rest and says nothing (seen with
//! alsa-lib 1.2.8 and in the source of 1.2.16). So the feeder writes in *blocks* of exactly as many
//! frames as the daemon asks for in one read, which is its period. A block of at most `PIPE_BUF`
//! bytes enters a FIFO in one piece (POSIX.1-2024, `write`), so the reader never meets half of one.
//!
//! At the end of the FIFO that PCM repeats old samples, unpaced. So the feeder goes on with the
//! noise of idle lines for as long as it is told, and whoever runs it stops the daemon first.
//!
//! Used by the binary `feed-card`, for the demonstration and the harness.

use crate::noise;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use thiserror::Error;

/// `PIPE_BUF` of Linux, bytes (pipe(7)).
pub const PIPE_BUF: usize = 4096;

/// Frames of one block, unless said otherwise: 50 ms at 8 kHz, 4000 bytes for five channels.
pub const BLOCK_FRAMES: usize = 400;

/// What is played, where to, and how fast.
#[derive(Debug, Clone, PartialEq)]
pub struct Feed {
    /// The audio: `S16_LE`, interleaved, no header.
    pub raw: PathBuf,
    /// The FIFO; opening it waits for its reader.
    pub fifo: PathBuf,
    /// Channels, interleaved.
    pub channels: u16,
    /// Frames a second, Hz.
    pub rate: u32,
    /// Frames of one write: the reader's period.
    pub block_frames: usize,
    /// How many times as fast as real time.
    pub speed: f64,
    /// How long idle lines are played after the end, in time of the audio.
    pub after: Duration,
    /// Whether to play on unheard when the reader goes away, until there is another, as a card
    /// does when a daemon is killed. Otherwise that is an error.
    pub persist: bool,
}

/// Why the feeder stopped early.
#[derive(Debug, Error)]
pub enum FeedError {
    /// A block would not enter the FIFO in one piece.
    #[error("a block of {bytes} bytes is over {PIPE_BUF}: give fewer frames with --block")]
    Block {
        /// Its size.
        bytes: usize,
    },
    /// The raw file.
    #[error("{}: {error}", path.display())]
    Raw {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The FIFO cannot be opened.
    #[error("{}: {error}; make it with mkfifo", path.display())]
    Fifo {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The reader closed the FIFO.
    #[error("{}: the reader went away after {frames} frames: {error}", path.display())]
    Reader {
        /// Which FIFO.
        path: PathBuf,
        /// How much it was given.
        frames: u64,
        /// What the system says.
        error: io::Error,
    },
}

impl Feed {
    /// Plays to the end, then the idle lines, then closes. The last block of the file is filled up
    /// with idle lines.
    ///
    /// # Errors
    /// The block is too large, a file cannot be opened, or the reader went away.
    pub fn run(&self) -> Result<(), FeedError> {
        let frame_bytes = usize::from(self.channels) * 2;
        let mut block = vec![0; self.block_bytes()?];
        let raw_error = |error| FeedError::Raw {
            path: self.raw.clone(),
            error,
        };
        let mut raw = File::open(&self.raw).map_err(raw_error)?;
        let frames = raw.metadata().map_err(raw_error)?.len() / frame_bytes as u64;
        let mut fifo = Some(self.open_fifo()?);

        let begun = Instant::now();
        let mut frame = 0;
        while frame < frames + self.after_frames() {
            let read = read_up_to(&mut raw, &mut block).map_err(raw_error)?;
            self.fill_idle(&mut block, read / frame_bytes, frame);
            wait_until(begun + self.due(frame + self.block_frames as u64));
            self.hand_over(&mut fifo, &block, frame)?;
            frame += self.block_frames as u64;
        }
        Ok(())
    }

    fn block_bytes(&self) -> Result<usize, FeedError> {
        let bytes = self.block_frames * usize::from(self.channels) * 2;
        if bytes > PIPE_BUF {
            Err(FeedError::Block { bytes })
        } else {
            Ok(bytes)
        }
    }

    /// Opens the FIFO; waits for its reader.
    fn open_fifo(&self) -> Result<File, FeedError> {
        let fifo_error = |error| FeedError::Fifo {
            path: self.fifo.clone(),
            error,
        };
        OpenOptions::new()
            .write(true)
            .open(&self.fifo)
            .map_err(fifo_error)
    }

    /// Writes the block that begins at `frame`, if somebody reads.
    fn hand_over(
        &self,
        fifo: &mut Option<File>,
        block: &[u8],
        frame: u64,
    ) -> Result<(), FeedError> {
        if fifo.is_none() {
            *fifo = open_if_read(&self.fifo);
        }
        let Some(Err(error)) = fifo.as_mut().map(|fifo| fifo.write_all(block)) else {
            return Ok(());
        };
        *fifo = None;
        if self.persist && error.kind() == io::ErrorKind::BrokenPipe {
            return Ok(());
        }
        Err(FeedError::Reader {
            path: self.fifo.clone(),
            frames: frame,
            error,
        })
    }

    fn after_frames(&self) -> u64 {
        (self.after.as_secs_f64() * f64::from(self.rate)).ceil() as u64
    }

    /// When a card would hand over the block that ends at `frame`, from the beginning.
    fn due(&self, frame: u64) -> Duration {
        Duration::from_secs_f64(frame as f64 / f64::from(self.rate) / self.speed)
    }

    /// Puts idle lines behind the first `filled` frames of a block that begins at `frame`.
    fn fill_idle(&self, block: &mut [u8], filled: usize, frame: u64) {
        let frame_bytes = usize::from(self.channels) * 2;
        for (index, bytes) in block.chunks_mut(frame_bytes).enumerate().skip(filled) {
            let at = frame + index as u64;
            for (channel, sample) in (1..).zip(bytes.as_chunks_mut().0) {
                *sample = noise::idle(channel, self.rate, at).to_le_bytes();
            }
        }
    }
}

/// Opens `fifo` for blocking writes if it has a reader; never waits for one.
fn open_if_read(fifo: &Path) -> Option<File> {
    let file = OpenOptions::new()
        .write(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(fifo)
        .ok()?;
    fcntl(&file, FcntlArg::F_SETFL(OFlag::empty())).ok()?;
    Some(file)
}

/// Reads until `block` is full or the file ends; bytes read.
fn read_up_to(file: &mut File, block: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < block.len() {
        match file.read(&mut block[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

/// A feeder that was late sends what is due at once: the audio must not fall behind the clock.
fn wait_until(due: Instant) {
    std::thread::sleep(due.saturating_duration_since(Instant::now()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wav::samples_16;
    use nix::sys::stat::Mode;
    use std::fs;

    fn feed(dir: &Path, frames: usize) -> (Feed, Vec<u8>) {
        let audio: Vec<u8> = (0..frames * 10)
            .map(|byte| (byte * 7 % 251) as u8)
            .collect();
        let feed = Feed {
            raw: dir.join("card.raw"),
            fifo: dir.join("fifo"),
            channels: 5,
            rate: 8000,
            block_frames: BLOCK_FRAMES,
            speed: 1000.0,
            after: Duration::from_millis(100),
            persist: false,
        };
        fs::write(&feed.raw, &audio).unwrap();
        nix::unistd::mkfifo(&feed.fifo, Mode::S_IRWXU).unwrap();
        (feed, audio)
    }

    #[test]
    fn plays_the_file_then_idle_lines_in_whole_blocks() {
        let dir = tempfile::tempdir().unwrap();
        let (feed, audio) = feed(dir.path(), 1000);
        let fifo = feed.fifo.clone();
        let player = std::thread::spawn(move || feed.run());
        let heard = fs::read(fifo).unwrap();
        player.join().unwrap().unwrap();

        // 1000 frames and 800 more, in blocks of 400.
        assert_eq!(heard.len(), 2000 * 10);
        assert_eq!(heard[..audio.len()], audio);
        let idle: Vec<i16> = (1000..2000)
            .flat_map(|frame| (1..=5).map(move |channel| noise::idle(channel, 8000, frame)))
            .collect();
        assert_eq!(samples_16(&heard[audio.len()..]), idle);
    }

    #[test]
    fn every_read_of_a_block_gets_a_whole_one() {
        let dir = tempfile::tempdir().unwrap();
        let (feed, audio) = feed(dir.path(), 40_000);
        let fifo = feed.fifo.clone();
        let player = std::thread::spawn(move || feed.run());
        let mut reader = File::open(fifo).unwrap();
        let mut heard = Vec::new();
        let mut block = [0; BLOCK_FRAMES * 10];
        loop {
            match reader.read(&mut block).unwrap() {
                0 => break,
                read => assert_eq!(read, block.len()),
            }
            heard.extend(block);
        }
        player.join().unwrap().unwrap();
        assert_eq!(heard[..audio.len()], audio);
    }

    #[test]
    fn says_that_the_reader_went_away() {
        let dir = tempfile::tempdir().unwrap();
        let (feed, _) = feed(dir.path(), 40_000);
        let fifo = feed.fifo.clone();
        let player = std::thread::spawn(move || feed.run());
        drop(File::open(fifo).unwrap());
        let error = player.join().unwrap().unwrap_err();
        assert!(matches!(error, FeedError::Reader { .. }), "{error}");
    }

    #[test]
    fn plays_on_for_the_next_reader() {
        let dir = tempfile::tempdir().unwrap();
        let (mut feed, audio) = feed(dir.path(), 40_000);
        feed.persist = true;
        // Slow enough that the second reader comes before the end: 40 blocks of 10 ms.
        feed.speed = 5.0;
        let fifo = feed.fifo.clone();
        let player = std::thread::spawn(move || feed.run());
        let mut block = [0; BLOCK_FRAMES * 10];
        File::open(&fifo).unwrap().read_exact(&mut block).unwrap();
        assert_eq!(block, audio[..block.len()]);
        let heard = fs::read(&fifo).unwrap();
        player.join().unwrap().unwrap();

        // The audio has a period of 251 bytes, so it is compared from its last byte backwards.
        let idle = heard.len() - 800 * 10;
        assert!(idle > 0 && idle % block.len() == 0, "{idle} bytes heard");
        assert_eq!(heard[..idle], audio[audio.len() - idle..]);
    }

    #[test]
    fn refuses_a_block_that_may_be_torn() {
        let dir = tempfile::tempdir().unwrap();
        let (mut feed, _) = feed(dir.path(), 1);
        feed.block_frames = 410;
        assert!(matches!(feed.run(), Err(FeedError::Block { bytes: 4100 })));
    }
}
