//! A temporary installation of the product: a directory with a configuration, a stand-in for a
//! sound card, a spool, an archive and a mount point, and the real daemons run in it.
//!
//! ```text
//! sample card ─► feed-card ─► FIFO ─► alsa-lib's `file` PCM ─► tsuwaroku-capture ─► spool/
//!                                                      tsuwaroku serve ◄──────────────┘
//!                                                            └─► mount/
//! ```
//!
//! The PCM is `type file` over `null` with the FIFO as `infile`: the daemon goes through the real
//! alsa-lib, which reads 5-channel `S16_LE` out of the FIFO bit for bit, as long as the daemon's
//! period is the feeder's block; `feed` says why. The configuration sets the period accordingly.
//!
//! Used by the end-to-end tests and the demonstration. A [`World`] leaves nothing behind: a daemon
//! that is dropped is killed, the mount is taken down and the directory removed.

pub mod accounts;
mod daemon;

pub use daemon::Daemon;

use crate::card::{CHANNELS, RATE};
use crate::feed::BLOCK_FRAMES;
use crate::office::{LINES, PURPOSE};
use nix::sys::stat::Mode;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use std::{fs, io};
use tempfile::TempDir;

/// The name of the PCM in the world's `asound.conf`.
pub const PCM: &str = "lines";

/// How long a daemon may take to stop when it is asked to.
pub const STOP_LIMIT: Duration = Duration::from_secs(20);

/// The directory and everything in it.
#[derive(Debug)]
pub struct World {
    dir: TempDir,
}

impl World {
    /// An installation for the sample office: four designated lines on channels 1 to 4 of a
    /// five-channel card.
    ///
    /// # Errors
    /// The directory or a file in it cannot be made.
    pub fn new() -> io::Result<Self> {
        Self::with_capture("")
    }

    /// The same, with more lines for the table `[capture]` of the configuration.
    ///
    /// # Errors
    /// As [`World::new`].
    pub fn with_capture(settings: &str) -> io::Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("tsuwaroku-world-")
            .tempdir()?;
        let world = Self { dir };
        // The people of the office come through it to the mount.
        fs::set_permissions(world.path(), fs::Permissions::from_mode(0o755))?;
        let (passwd, group) = accounts::files();
        fs::write(world.path().join("passwd"), passwd)?;
        fs::write(world.path().join("group"), group)?;
        for directory in [world.spool(), world.root(), world.mount()] {
            fs::create_dir(directory)?;
        }
        nix::unistd::mkfifo(&world.fifo(), Mode::S_IRUSR | Mode::S_IWUSR)?;
        fs::write(world.asound_conf(), asound_conf(&world.fifo()))?;
        fs::write(world.config(), configuration(&world, settings))?;
        Ok(world)
    }

    /// The world's directory.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// `tsuwaroku.toml`.
    pub fn config(&self) -> PathBuf {
        self.path().join("tsuwaroku.toml")
    }

    /// The spool directory.
    pub fn spool(&self) -> PathBuf {
        self.path().join("spool")
    }

    /// The archive's root.
    pub fn root(&self) -> PathBuf {
        self.path().join("archive")
    }

    /// Where the archive is mounted.
    pub fn mount(&self) -> PathBuf {
        self.path().join("mount")
    }

    /// The control service's socket.
    pub fn socket(&self) -> PathBuf {
        self.path().join("control.sock")
    }

    /// The file of the archive's master key.
    pub fn master_key(&self) -> PathBuf {
        self.path().join("master.key")
    }

    /// The FIFO behind the PCM.
    pub fn fifo(&self) -> PathBuf {
        self.path().join("card.fifo")
    }

    fn asound_conf(&self) -> PathBuf {
        self.path().join("asound.conf")
    }

    /// A program of the workspace, set up to run in this world.
    pub fn command(&self, program: &str) -> Command {
        let mut command = self.command_of(&binary(program));
        if program == "tsuwaroku" {
            self.let_know_people(&mut command);
        }
        command
    }

    /// The daemon sees the people of [`accounts`].
    fn let_know_people(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", "libnss_wrapper.so")
            .env("NSS_WRAPPER_PASSWD", self.path().join("passwd"))
            .env("NSS_WRAPPER_GROUP", self.path().join("group"));
    }

    /// Any other program, set up to run in this world: `arecord` hears the same card.
    pub fn command_of(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        let alsa = format!("/usr/share/alsa/alsa.conf:{}", self.asound_conf().display());
        command
            .env("ALSA_CONFIG_PATH", alsa)
            .env("TSUWAROKU_CONFIG", self.config())
            .env("RUST_LOG", "info")
            .current_dir(self.path());
        command
    }

    /// Starts the capture daemon. It waits for the feeder before it hears anything.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_capture(&self) -> io::Result<Daemon> {
        self.start("tsuwaroku-capture", &[])
    }

    /// Starts the archive daemon.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_serve(&self) -> io::Result<Daemon> {
        self.start("tsuwaroku", &["serve"])
    }

    /// Starts the feeder: the five-channel file `raw` at real time, `speed` times as fast, then idle lines for as long
    /// as the feeder lives. It plays on when the capture daemon is killed and started again.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_feed(&self, raw: &Path, speed: f64) -> io::Result<Daemon> {
        let mut command = self.command("feed-card");
        command.arg(raw).arg(self.fifo());
        command.args([
            "--speed",
            &speed.to_string(),
            "--after",
            "86400",
            "--persist",
        ]);
        Daemon::start("feed-card", command, &self.path().join("feed-card.log"))
    }

    /// Runs the command `tsuwaroku` with `arguments` to its end.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn tsuwaroku(&self, arguments: &[&str]) -> io::Result<Output> {
        self.command("tsuwaroku").args(arguments).output()
    }

    fn start(&self, program: &'static str, arguments: &[&str]) -> io::Result<Daemon> {
        let mut command = self.command(program);
        command.args(arguments);
        Daemon::start(
            program,
            command,
            &self.path().join(format!("{program}.log")),
        )
    }

    /// Whether something is mounted at [`World::mount`].
    pub fn is_mounted(&self) -> bool {
        let mount = self.mount();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        // The fifth field is the mount point (proc_pid_mountinfo(5)).
        mounts.lines().any(|line| {
            line.split(' ')
                .nth(4)
                .is_some_and(|at| Path::new(at) == mount)
        })
    }

    /// Takes the mount down even if it is in use, as the daemon's unit does.
    pub fn unmount(&self) {
        // Twice mounted after a daemon was killed is possible; endless is not.
        for _ in 0..10 {
            if !self.is_mounted() {
                return;
            }
            let detached = nix::mount::umount2(&self.mount(), nix::mount::MntFlags::MNT_DETACH);
            if detached.is_err() {
                // Without root's rights there is the helper that comes with FUSE.
                let _ = Command::new("fusermount3")
                    .args(["-u", "-z"])
                    .arg(self.mount())
                    .status();
            }
        }
    }

    /// The files of finished calls in the spool, in the order of their names, which is that of
    /// their beginnings.
    pub fn ready(&self) -> Vec<PathBuf> {
        files(&self.spool().join("ready"))
    }

    /// The recordings under the mount's `by-date`, in the order of their paths.
    pub fn recordings(&self) -> Vec<PathBuf> {
        files(&self.mount().join("by-date"))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.unmount();
    }
}

/// Every file below `dir`, sorted by path; none if it is not there.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        // Links are not followed: they are files here, as they are to a backup.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Waits until `condition` gives something, and returns that.
///
/// # Panics
/// It gives nothing within `limit`: the message says `what` was waited for. The limit is there to
/// end a test that has failed, not to measure anything: make it generous.
pub fn wait_for<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(
            begun.elapsed() < limit,
            "waited {limit:?} in vain for {what}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The built program called `name`: beside the running one, or one directory up when that is a
/// test. `make` builds all programs before it runs a test.
///
/// # Panics
/// It is not there: the message says how to build it.
pub fn binary(name: &str) -> PathBuf {
    let running = std::env::current_exe().expect("a running program has a path");
    let found = running
        .ancestors()
        .skip(1)
        .take(2)
        .map(|dir| dir.join(name))
        .find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!(
            "{name} is not built beside {}: run cargo build --workspace",
            running.display()
        )
    })
}

fn asound_conf(fifo: &Path) -> String {
    format!(
        "pcm.{PCM} {{\n    type file\n    slave.pcm \"null\"\n    file \"/dev/null\"\n    \
         infile \"{}\"\n    format \"raw\"\n}}\n",
        fifo.display()
    )
}

/// Calls of fixed dates are kept for as long as the tests are.
fn configuration(world: &World, capture_settings: &str) -> String {
    let mut text = format!(
        "[site]\nname = \"お客さまセンター\"\n\n\
         [capture]\nspool = \"{spool}\"\nrate = {RATE}\nperiod_seconds = {period}\n\
         {capture_settings}\n\n\
         [archive]\nroot = \"{root}\"\nmount = \"{mount}\"\nsocket = \"{socket}\"\n\
         master_key = \"{master_key}\"\n\n\
         [retention]\nprimary_months = 120\nsecondary_months = 120\n\n\
         [[card]]\npcm = \"{PCM}\"\nchannels = {CHANNELS}\nformat = \"S16_LE\"\n",
        spool = world.spool().display(),
        period = BLOCK_FRAMES as f64 / f64::from(RATE),
        root = world.root().display(),
        mount = world.mount().display(),
        socket = world.socket().display(),
        master_key = world.master_key().display(),
    );
    for (channel, line) in (1..).zip(LINES) {
        let _ = write!(
            text,
            "\n[[line]]\nnumber = \"{}\"\nname = \"{}\"\npurpose = \"{PURPOSE}\"\n\
             card = \"{PCM}\"\nchannel = {channel}\nreader_group = \"{}\"\n",
            line.number,
            line.name,
            accounts::reader_group(channel - 1),
        );
    }
    text.push_str(accounts::ROLES);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::SampleCard;

    /// The stand-in for the card by itself, with alsa-utils in the daemon's place.
    #[test]
    fn alsa_hears_the_card_bit_for_bit() {
        let world = World::new().unwrap();
        let card = SampleCard::make(&world.path().join("card")).unwrap();
        let mut feed = world.start_feed(&card.raw, 10.0).unwrap();
        let heard = world.path().join("heard.raw");
        let recorded = world
            .command_of(Path::new("arecord"))
            .args([
                "-q", "-D", PCM, "-c", "5", "-r", "8000", "-f", "S16_LE", "-t", "raw",
            ])
            .arg(format!("--period-size={BLOCK_FRAMES}"))
            .arg(format!("--buffer-size={}", 10 * BLOCK_FRAMES))
            .arg(format!("--samples={}", card.frames))
            .arg(&heard)
            .status()
            .unwrap();
        assert!(recorded.success());
        assert!(
            fs::read(&heard).unwrap() == fs::read(&card.raw).unwrap(),
            "changed on the way"
        );
        feed.kill();
    }

    #[test]
    fn wait_for_returns_what_came() {
        let mut calls = 0;
        let found = wait_for("the third call", Duration::from_secs(60), || {
            calls += 1;
            (calls == 3).then_some(calls)
        });
        assert_eq!(found, 3);
    }

    #[test]
    #[should_panic(expected = "in vain for rain")]
    fn wait_for_gives_up() {
        wait_for("rain", Duration::ZERO, || None::<()>);
    }
}
