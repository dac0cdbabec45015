//! A file that takes up room until there is none left: a full disk must not keep a recording from being
//! erased, and the database needs room to say that it was.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// Bytes of the ballast: the write-ahead logs of both databases and what a transaction of [`super::CHUNK`]
/// erasures adds, several times over.
pub const BYTES: u64 = 32 << 20;

/// The ballast of an archive.
#[derive(Debug)]
pub struct Ballast {
    path: PathBuf,
    bytes: u64,
    /// Held while it is out, so that two erasures do not share it.
    turn: Mutex<()>,
}

impl Ballast {
    /// The ballast at `path`, of `bytes` bytes; see [`Self::load`].
    pub fn new(path: PathBuf, bytes: u64) -> Self {
        Self {
            path,
            bytes,
            turn: Mutex::default(),
        }
    }

    /// Takes the ballast on, unless it is there.
    ///
    /// # Errors
    /// There is no room for it.
    pub fn load(&self) -> io::Result<()> {
        if std::fs::metadata(&self.path).is_ok_and(|there| there.len() >= self.bytes) {
            return Ok(());
        }
        let filled = self.fill();
        if filled.is_err() {
            // Half of it serves nobody who needs the room.
            let _ = std::fs::remove_file(&self.path);
        }
        filled
    }

    fn fill(&self) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&self.path)?;
        // Written, not only reserved: what a file system makes of a hole is its own business. Not zeros,
        // which some file systems keep in no room at all.
        let piece: Vec<u8> = (0..1 << 16)
            .map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect();
        let mut left = self.bytes;
        while left > 0 {
            let now = left.min(piece.len() as u64);
            file.write_all(&piece[..now as usize])?;
            left -= now;
        }
        file.sync_all()
    }

    /// Does `work`, and where it fails does it once more without the ballast; then takes it on again if
    /// there is room.
    pub fn through<T, E>(&self, mut work: impl FnMut() -> Result<T, E>) -> Result<T, E> {
        let failed = match work() {
            Ok(done) => return Ok(done),
            Err(failed) => failed,
        };
        let turn = self.turn.lock();
        let _turn = turn.unwrap_or_else(PoisonError::into_inner);
        if self.drop_it().is_err() {
            return Err(failed);
        }
        let outcome = work();
        if let Err(error) = self.load() {
            log::error!(
                "ALARM: {}: no room for the ballast: {error}; erasures may fail: make room",
                self.path.display()
            );
        }
        outcome
    }

    /// Drops it; the room is there when this returns.
    fn drop_it(&self) -> io::Result<()> {
        File::options().write(true).open(&self.path)?.set_len(0)?;
        std::fs::remove_file(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_out_while_what_failed_is_done_again_and_then_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ballast");
        let ballast = Ballast::new(path.clone(), 200_000);
        ballast.load().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 200_000);
        let mut seen = Vec::new();
        let done = ballast.through(|| {
            seen.push(path.exists());
            if path.exists() { Err("full") } else { Ok(7) }
        });
        assert_eq!((done, seen), (Ok(7), vec![true, false]));
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 200_000);
        assert_eq!(ballast.through(|| Err::<(), _>("broken")), Err("broken"));
        assert!(path.exists());
    }

    #[test]
    fn without_it_a_failure_is_a_failure() {
        let folder = tempfile::tempdir().unwrap();
        let ballast = Ballast::new(folder.path().join("ballast"), 10);
        let mut times = 0;
        let failed = ballast.through(|| {
            times += 1;
            Err::<(), _>("full")
        });
        assert_eq!((failed, times), (Err("full"), 1));
    }
}
