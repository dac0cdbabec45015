//! The installation whose mount is measured: its configuration, its recordings, its daemon, and the
//! reader who comes to it. Recordings are rows, a few of them with objects.

use super::place::Wavs;
use crate::bench::corpus::{Class, RATE, Voices};
use crate::bench::cpu;
use crate::harness::accounts::{ROLES, SATO, reader_group};
use crate::harness::{Daemon, World, binary};
use crate::noise::scramble;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tsuwaroku::call::{Call, Direction, Layout};
use tsuwaroku::catalogue::{Catalogue, Recording};
use tsuwaroku::codec::Decoder;
use tsuwaroku::store::Sealed;
use tsuwaroku::vault::Vault;
use tsuwaroku::views::file_name;
use tsuwaroku::wav;
use tsuwaroku_config::Config;
use tsuwaroku_spool::{Encoding, EndReason, Writer};
use ulid::Ulid;

pub(super) const NUMBERS: u64 = 40;
pub(super) const DAYS: u64 = 730;
const DAY_MS: u64 = 86_400_000;
/// Nine hours.
const OPEN_MS: u64 = 32_400_000;
/// Length of the calls that are read, seconds.
const SPOKEN_SECONDS: usize = 120;
/// Cuts of one call of the corpus that are calls of their own here.
const CUTS: usize = 16;
/// Longest wait for a daemon, only to end a benchmark that has failed.
pub(super) const LIMIT: Duration = Duration::from_secs(120);

/// How much was done in which time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) done: f64,
    pub(super) seconds: f64,
}

impl Pace {
    pub(super) fn rate(self) -> f64 {
        self.done / self.seconds
    }
}

/// An installation with an archive in it.
pub(super) struct Office {
    pub(super) world: World,
    daemon: Option<Daemon>,
}

impl Office {
    pub(super) fn new() -> io::Result<Self> {
        let world = World::new()?;
        fs::write(world.config(), configuration(&world))?;
        // Makes the spool, as the capture daemon does.
        drop(Writer::open(&world.spool()).map_err(io::Error::other)?);
        // By another process: a program that this one has written to may be busy when it is run.
        let copied = Command::new("cp")
            .arg(binary("bench-fs"))
            .arg(world.path().join("reader"))
            .status()?;
        let init = world.tsuwaroku(&["init"])?;
        if !copied.success() || !init.status.success() {
            return Err(io::Error::other(
                String::from_utf8_lossy(&init.stderr).into_owned(),
            ));
        }
        Ok(Self {
            world,
            daemon: None,
        })
    }

    fn config(&self) -> io::Result<Config> {
        Config::load(&self.world.config()).map_err(io::Error::other)
    }

    /// The catalogue and the objects; not while the daemon runs.
    pub(super) fn archive(&self) -> io::Result<(Catalogue, Vault)> {
        let path = self.world.root().join("catalogue.sqlite");
        let birth = Catalogue::birth_at(&path).map_err(io::Error::other)?;
        let vault = tsuwaroku::serve::open_vault(&self.config()?, birth.archive)
            .map_err(io::Error::other)?;
        let signers = vault.keys().log_signers().map_err(io::Error::other)?;
        let catalogue = Catalogue::open(&path, signers).map_err(io::Error::other)?;
        Ok((catalogue, vault))
    }

    pub(super) fn serve(&mut self) -> io::Result<()> {
        let mut daemon = self.world.start_serve()?;
        let begun = Instant::now();
        while !self.world.is_mounted() {
            if begun.elapsed() > LIMIT || !daemon.is_running() {
                let error = format!("the daemon does not mount:\n{}", daemon.log());
                return Err(io::Error::other(error));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.daemon = Some(daemon);
        Ok(())
    }

    pub(super) fn stop(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            daemon.stop();
        }
    }

    /// CPU time that the daemon has taken, seconds.
    pub(super) fn cpu(&self) -> io::Result<f64> {
        self.daemon
            .as_ref()
            .map_or(Ok(0.0), |daemon| cpu::of_process(daemon.pid()))
    }

    /// Memory of the daemon, MiB: now, and at its largest (`proc_pid_status(5)`).
    pub(super) fn memory(&self) -> io::Result<[f64; 2]> {
        let pid = self.daemon.as_ref().map_or(0, Daemon::pid);
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let mib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok());
            kib.map(|kib| kib / 1024.0)
                .ok_or_else(|| io::Error::other(format!("/proc tells no {name}")))
        };
        Ok([mib("VmRSS:")?, mib("VmHWM:")?])
    }

    /// Has the reader do something; what it did, a second.
    pub(super) fn read(&self, operation: &str, what: &Path, count: usize) -> io::Result<Pace> {
        let out = SATO
            .command(self.world.path().join("reader"))
            .args(["--as-reader", operation, "--count", &count.to_string()])
            .arg(what)
            .output()?;
        let said = String::from_utf8_lossy(&out.stdout);
        let numbers = said.trim().split_once(' ');
        let parsed = numbers.and_then(|(done, seconds)| {
            Some(Pace {
                done: done.parse().ok()?,
                seconds: seconds.parse().ok()?,
            })
        });
        parsed.filter(|pace: &Pace| pace.done > 0.0).ok_or_else(|| {
            let log = self.daemon.as_ref().map(Daemon::log).unwrap_or_default();
            let tail = log.lines().rev().take(5).collect::<Vec<_>>().join("\n");
            let error = String::from_utf8_lossy(&out.stderr);
            io::Error::other(format!(
                "{operation} {}: {said}{error}{tail}",
                what.display()
            ))
        })
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        self.stop();
    }
}

fn configuration(world: &World) -> String {
    let place = |name: &str| world.path().join(name).display().to_string();
    let mut text = format!(
        "[site]\nname = \"bench\"\n\n[capture]\nspool = \"{}\"\n\n[archive]\nroot = \"{}\"\n\
         mount = \"{}\"\nsocket = \"{}\"\nmaster_key = \"{}\"\nscrub_days = 0\n\n\
         [audit]\nlistings = false\n\n[retention]\nprimary_months = 120\n\n[[card]]\npcm = \"none\"\nchannels = {NUMBERS}\n",
        world.spool().display(),
        world.root().display(),
        world.mount().display(),
        place("control.sock"),
        place("master.key"),
    );
    for line in 0..NUMBERS {
        let _ = write!(
            text,
            "\n[[line]]\nnumber = \"{}\"\nname = \"bench\"\npurpose = \"bench\"\ncard = \"none\"\n\
             channel = {}\nreader_group = \"{}\"\n",
            number(line),
            line + 1,
            reader_group(0),
        );
    }
    text + ROLES
}

fn number(line: u64) -> String {
    format!("06-6458-1{line:03}")
}

/// The `n`th call, of `bytes` of audio: day by day, line by line. The newest is of yesterday, because
/// what is past its last day is not shown.
fn call(n: u64, bytes: u64) -> Call {
    let dice = scramble(n);
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    let today = since_1970.map_or(0, |time| time.as_millis() as u64) / DAY_MS;
    let milliseconds = (today - DAYS + n % DAYS) * DAY_MS + dice % OPEN_MS;
    let started_at = milliseconds as i64 * 1_000_000;
    let frames = bytes / 2;
    Call {
        id: Ulid::from_parts(milliseconds, u128::from(dice) << 16 | u128::from(n as u16)),
        number: number(n / DAYS % NUMBERS),
        started_at,
        ended_at: started_at + (frames * 125_000) as i64,
        frames,
        pre_roll: 0,
        layout: Layout {
            rate: RATE,
            channels: 1,
            encoding: Encoding::S16,
        },
        direction: Direction::In,
        other_party: Some(format!("03{:08}", dice % 100_000_000)),
        gaps: vec![],
        digits: vec![],
        end_reason: EndReason::Silence,
        continues: None,
        card: "none".into(),
        card_channels: vec![1],
        recorder: "tsuwaroku-tests".into(),
    }
}

/// Rows without objects.
pub(super) fn fill(catalogue: &Catalogue, count: u64) -> io::Result<()> {
    const CHUNK: u64 = 250_000;
    for first in (0..count).step_by(CHUNK as usize) {
        let rows = (first..count.min(first + CHUNK)).map(|n| {
            let call = call(n, 960_000);
            let sealed = Sealed {
                wav_bytes: 960_700,
                wav_sha256: [0; 32],
                stored_bytes: 500_000,
            };
            (call, sealed)
        });
        catalogue.archive_many(rows).map_err(io::Error::other)?;
    }
    Ok(())
}

/// Archives calls with audio: the WAV file of each.
pub(super) fn speak(
    catalogue: &Catalogue,
    vault: &Vault,
    after: u64,
    count: usize,
) -> io::Result<Wavs> {
    const CLASSES: [Class; 2] = [Class::Noise60, Class::Noise72];
    let voices = Voices::load()?;
    let (mut wavs, mut rows) = (Wavs::new(), Vec::new());
    let mut samples = Vec::new();
    for n in 0..count {
        let cut = n % CUTS;
        if cut == 0 {
            samples = voices.call(CLASSES[n / CUTS % CLASSES.len()], (n / CUTS) as u64)?;
        }
        let length = SPOKEN_SECONDS * RATE as usize;
        let from = cut * (samples.len() - length) / CUTS;
        let audio = samples[from..from + length].iter();
        let audio: Vec<u8> = audio.flat_map(|sample| sample.to_le_bytes()).collect();
        let call = call(after + n as u64, audio.len() as u64);
        let frame = wav::Frame::around(&call, catalogue.birth().time_zone);
        let mut object = vault.begin(&call, &frame).map_err(io::Error::other)?;
        object.samples(&audio).map_err(io::Error::other)?;
        wavs.insert(call.id, [&frame.before[..], &audio, &frame.after].concat());
        rows.push((call, object.publish().map_err(io::Error::other)?));
    }
    catalogue.archive_many(rows).map_err(io::Error::other)?;
    Ok(wavs)
}

/// Where the mount shows `recording`.
pub(super) fn path_of(recording: &Recording, catalogue: &Catalogue) -> io::Result<String> {
    let zone = catalogue.birth().time_zone;
    let start = tsuwaroku::call::time_of(recording.key.milliseconds() * 1_000_000);
    let day = start.with_timezone(&zone).format("%Y/%m/%d");
    let numbers = catalogue.numbers().map_err(io::Error::other)?;
    let number = numbers.iter().find(|number| number.id == recording.number);
    let number = number.map_or("", |number| &number.number);
    Ok(format!(
        "by-date/{day}/{number}/{}",
        file_name(recording, zone)
    ))
}

/// Bytes of samples that one core decodes in a second, from the sealed object on.
pub(super) fn decode_rate(vault: &Vault, ids: &[Ulid]) -> io::Result<f64> {
    let mut decoder = Decoder::new();
    let (bytes, seconds) = cpu::of_thread(|| {
        let mut bytes = 0;
        for id in ids {
            let object = vault.open(*id).map_err(io::Error::other)?;
            for number in 0..object.blocks() {
                bytes += object
                    .block(number, &mut decoder)
                    .map_err(io::Error::other)?
                    .len();
            }
        }
        Ok(bytes)
    })?;
    Ok(bytes as f64 / seconds)
}
