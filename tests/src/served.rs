//! An archive with the real daemon on it, stopped, restarted and killed as a test wants, and calls put
//! into it. Called by the end-to-end tests of the archive.

use crate::calls::{MadeCall, writer};
use crate::harness::{Daemon, World, wait_for};
use std::fs;
use std::time::Duration;

/// Ends a test that has failed.
pub const LIMIT: Duration = Duration::from_secs(30);

/// A served archive. The daemon is the first to go, then the mount, then the directory.
#[derive(Debug)]
pub struct Archive {
    serve: Option<Daemon>,
    /// The installation.
    pub world: World,
}

impl Archive {
    /// An empty one.
    ///
    /// # Panics
    /// It cannot be made or served.
    pub fn new() -> Self {
        Self::configured("")
    }

    /// An empty one with `more` at the end of its configuration.
    ///
    /// # Panics
    /// As [`Self::new`].
    pub fn configured(more: &str) -> Self {
        let world = World::new().expect("a world can be made");
        configure(&world, more);
        Self::of(world)
    }

    /// An empty one in `world`, where there is none yet.
    ///
    /// # Panics
    /// As [`Self::new`].
    pub fn of(world: World) -> Self {
        let made = world.tsuwaroku(&["init"]).expect("it can be run");
        assert!(made.status.success(), "{made:?}");
        let serve = Some(start(&world));
        Self { serve, world }
    }

    /// The daemon.
    ///
    /// # Panics
    /// It was stopped.
    pub fn serve(&self) -> &Daemon {
        self.serve.as_ref().expect("it is served")
    }

    /// Puts `calls` into the spool and waits until they are files.
    ///
    /// # Panics
    /// They are not in time.
    pub fn archive(&self, calls: &[MadeCall]) {
        let before = self.world.recordings().len();
        publish(&self.world, calls);
        wait_for("the calls to be archived", LIMIT, || {
            let ready = self.world.ready().is_empty();
            (ready && self.world.recordings().len() >= before + calls.len()).then_some(())
        });
    }

    /// Asks the daemon to stop and waits until it has, which is well.
    ///
    /// # Panics
    /// It ended otherwise, or left its mount.
    pub fn stop(&mut self) {
        let serve = self.serve.take().expect("it is served");
        assert!(serve.stop().success(), "the daemon ended with a fault");
        assert!(!self.world.is_mounted(), "the daemon left its mount");
    }

    /// Kills the daemon as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut serve) = self.serve.take() {
            serve.kill();
        }
    }

    /// Starts the daemon, which was stopped or killed.
    ///
    /// # Panics
    /// As [`start`].
    pub fn start(&mut self) {
        self.serve = Some(start(&self.world));
    }

    /// Stops the daemon and starts it again.
    pub fn restart(&mut self) {
        self.stop();
        self.serve = Some(start(&self.world));
    }

    /// Kills the daemon and starts it again.
    pub fn crash(&mut self) {
        if let Some(mut serve) = self.serve.take() {
            serve.kill();
        }
        self.serve = Some(start(&self.world));
    }
}

impl Default for Archive {
    fn default() -> Self {
        Self::new()
    }
}

/// Puts `more` at the end of the world's configuration.
///
/// # Panics
/// It cannot be written.
pub fn configure(world: &World, more: &str) {
    let config = fs::read_to_string(world.config()).expect("a world has a configuration");
    fs::write(world.config(), config + more).expect("it can be written");
}

/// Starts the archive daemon and waits for its mount.
///
/// # Panics
/// There is none in time.
pub fn start(world: &World) -> Daemon {
    let serve = world.start_serve().expect("it can be started");
    wait_for("the mount", LIMIT, || answers(world).then_some(()));
    serve
}

/// Mounted, and somebody answers: a mount whose daemon was killed is still in the table.
fn answers(world: &World) -> bool {
    world.is_mounted() && fs::read_dir(world.mount()).is_ok()
}

/// Puts `calls` into the spool.
///
/// # Panics
/// The spool cannot be written.
pub fn publish(world: &World, calls: &[MadeCall]) {
    let writer = writer(&world.spool());
    for call in calls {
        call.publish(&writer).expect("the spool can be written");
    }
}
