//! A served archive: a [`World`] with the real daemon in it that takes calls from the spool and mounts
//! them. Called by the end-to-end tests of the mount and of the audit log.
//!
//! Not here: what must be seen in the mount (`model`), and who looks (`harness::accounts`).

use crate::calls::{MadeCall, writer};
use crate::harness::{Daemon, World, wait_for};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::fs;
use std::process::Output;
use std::time::Duration;

/// Ends a test that has failed.
pub const LIMIT: Duration = Duration::from_secs(60);

/// A served archive.
#[derive(Debug)]
pub struct Archive {
    /// Where it is.
    pub world: World,
    /// Its daemon.
    pub serve: Daemon,
}

impl Default for Archive {
    fn default() -> Self {
        Self::new()
    }
}

impl Archive {
    /// An empty archive of the sample office, served.
    pub fn new() -> Self {
        Self::configured("")
    }

    /// The same with `more` at the end of its configuration.
    pub fn configured(more: &str) -> Self {
        let world = initialised(more);
        let serve = start(&world);
        Self { world, serve }
    }

    /// Puts calls into the spool and waits until they are files.
    pub fn archive(&self, calls: &[MadeCall]) {
        let before = self.world.recordings().len();
        publish(&self.world, calls);
        wait_for("the calls to be archived", LIMIT, || {
            let ready = self.world.ready().is_empty();
            (ready && self.world.recordings().len() >= before + calls.len()).then_some(())
        });
    }

    /// What the command `tsuwaroku` with `arguments` prints as JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let output = self.world.tsuwaroku(arguments).unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    }

    /// Runs the command `tsuwaroku`.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.world.tsuwaroku(arguments).unwrap()
    }

    /// Asks the daemon to stop, and starts it again.
    pub fn restart(&mut self) {
        self.stop();
        self.serve = start(&self.world);
    }

    /// Asks the daemon to stop, and waits until it has.
    pub fn stop(&mut self) {
        self.serve.signal(Signal::SIGTERM);
        let mut ended = || (!self.serve.is_running()).then_some(());
        wait_for("serve to stop", LIMIT, &mut ended);
    }

    /// Kills the daemon as a crash would, and starts it again.
    pub fn crash(&mut self) {
        self.serve.kill();
        self.serve = start(&self.world);
    }
}

/// An archive that is not served yet, with `more` at the end of its configuration.
pub fn initialised(more: &str) -> World {
    let world = World::new().unwrap();
    configure(&world, more);
    let made = world.tsuwaroku(&["init"]).unwrap();
    assert!(made.status.success(), "{made:?}");
    world
}

/// Puts `more` at the end of the world's configuration.
pub fn configure(world: &World, more: &str) {
    let config = fs::read_to_string(world.config()).unwrap();
    fs::write(world.config(), config + more).unwrap();
}

/// Starts the daemon, and waits until it answers.
pub fn start(world: &World) -> Daemon {
    let serve = world.start_serve().unwrap();
    wait_for("the mount", LIMIT, || answers(world).then_some(()));
    serve
}

/// Mounted, and somebody answers: a mount whose daemon was killed is still in the table.
pub fn answers(world: &World) -> bool {
    world.is_mounted() && fs::read_dir(world.mount()).is_ok()
}

/// Puts calls into the spool.
pub fn publish(world: &World, calls: &[MadeCall]) {
    let writer = writer(&world.spool());
    for call in calls {
        call.publish(&writer).unwrap();
    }
}
