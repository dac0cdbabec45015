//! One running program: started, asked to stop, killed. By its process id, never by its name.

use super::{STOP_LIMIT, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

/// A program that runs until it is stopped; killed when dropped.
#[derive(Debug)]
pub struct Daemon {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts `command`, known as `name`; what it says is appended to the file `log`.
    ///
    /// # Errors
    /// The file cannot be opened or the program not be started.
    pub fn start(name: &'static str, mut command: Command, log: &Path) -> io::Result<Self> {
        let said = File::options().create(true).append(true).open(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said)
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))?;
        Ok(Self {
            name,
            child,
            log: log.to_owned(),
        })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything it and its predecessors in the same world have said.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|ended| ended.is_none())
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// The program has ended and been waited for.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id() as i32);
        kill(pid, signal).unwrap_or_else(|error| panic!("{signal} to {}: {error}", self.name));
    }

    /// Asks it to stop, as systemd does, and waits until it has.
    ///
    /// # Panics
    /// It has not stopped within [`STOP_LIMIT`]: the message has its log.
    pub fn stop(mut self) -> ExitStatus {
        if self.is_running() {
            self.signal(Signal::SIGTERM);
        }
        let log = self.log.clone();
        let what = format!("{} to stop; its log is {}", self.name, log.display());
        wait_for(&what, STOP_LIMIT, || self.child.try_wait().ok().flatten())
    }

    /// Kills it as a crash would, and waits until it is gone.
    pub fn kill(&mut self) {
        // One that has ended already cannot be killed, and need not be.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}
