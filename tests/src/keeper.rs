//! An archive made and served by an account of its own, as the daemon's unit does: it has the right to
//! mount and no other. So what the daemon's account may do, and what root may, are told apart. Called
//! by the tests of the mount's semantics.

use crate::calls::{MadeCall, writer};
use crate::harness::{Daemon, World, files, wait_for};
use std::fs::{self, File};
use std::io::Write;
use std::process::Command;
use std::time::Duration;

/// The account of the daemon, and its group.
pub const KEEPER: u32 = 61_020;

/// What the account is called.
pub const NAME: &str = "tsuwaroku";

/// Ends a test that has failed.
const LIMIT: Duration = Duration::from_secs(30);

/// Makes an archive of `calls` in `world`; the daemon is not started.
///
/// # Panics
/// It cannot be made.
pub fn init(world: &World, calls: &[MadeCall]) {
    let spool = writer(&world.spool());
    for call in calls {
        call.publish(&spool).expect("the spool can be written");
    }
    enter(world);
    give(world);
    let made = command(world, "init").output().expect("setpriv can be run");
    assert!(made.status.success(), "{made:?}");
}

/// The daemon knows its own account, as it knows the office's people.
fn enter(world: &World) {
    for (file, line) in [
        (
            "passwd",
            format!("{NAME}:x:{KEEPER}:{KEEPER}::/:/bin/false\n"),
        ),
        ("group", format!("{NAME}:x:{KEEPER}:\n")),
    ] {
        let known = File::options().append(true).open(world.path().join(file));
        let entered = known.and_then(|mut known| known.write_all(line.as_bytes()));
        entered.expect("the world's accounts can be added to");
    }
}

/// What is in the directory of `world` is the account's from now on.
fn give(world: &World) {
    let given = Command::new("chown")
        .args(["-R", &format!("{KEEPER}:{KEEPER}")])
        .arg(world.path())
        .status();
    assert!(given.is_ok_and(|status| status.success()));
}

/// Starts the archive daemon and waits for its mount, and for `count` recordings.
///
/// # Panics
/// They are not there in time.
pub fn serve(world: &World, count: usize) -> Daemon {
    let log = world.path().join("tsuwaroku.log");
    let serve = Daemon::start("tsuwaroku", command(world, "serve"), &log);
    let mut serve = serve.expect("setpriv can be run");
    wait_for("the recordings", LIMIT, || {
        assert!(serve.is_running(), "{}", serve.log());
        let served = world.is_mounted() && fs::read_dir(world.mount()).is_ok();
        let shown = || files(&world.mount()).len() == 2 * count;
        (served && world.ready().is_empty() && shown()).then_some(())
    });
    serve
}

fn command(world: &World, verb: &str) -> Command {
    let program = world.command("tsuwaroku");
    let mut command = world.command_of("setpriv".as_ref());
    for (name, value) in program.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    let id = KEEPER.to_string();
    command
        .args(["--reuid", &id, "--regid", &id, "--clear-groups"])
        .args([
            "--inh-caps=-all,+sys_admin",
            "--ambient-caps=-all,+sys_admin",
            "--",
        ])
        .arg(program.get_program())
        .arg(verb);
    command
}
