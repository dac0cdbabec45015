//! The real daemon, from finished calls in the spool to recordings under the mount; then what it
//! needed of memory, and how long the opening of a recording takes.

use super::corpus::{Class, Kind, RATE, Voices};
use super::cpu;
use super::table::{self, Row, Target, median};
use crate::harness::accounts::as_reader;
use crate::harness::{Daemon, World, files};
use crate::noise::scramble;
use crate::office::LINES;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tsuwaroku::catalogue::{Catalogue, Filter};
use tsuwaroku::fs::{ArchiveFs, Blocks, Owners, Reader};
use tsuwaroku::views::Node;
use tsuwaroku_config::Config;
use tsuwaroku_spool::{Encoding, EndReason, SpoolError, Start, Writer};
use ulid::Ulid;

/// 2026-11-23 10:00 in Tokyo.
const FIRST_MS: u64 = 1_795_395_600_000;

/// Frames that capture appends at a time: an eighth of a second.
const PERIOD: usize = RATE as usize / 8;

/// Channels of the large office.
const CHANNELS: usize = 256;

/// Length of each of its calls, seconds: shorter than real ones, so that what a call costs by itself
/// weighs more.
const SHORT_SECONDS: usize = 30;

/// Longest wait for the daemon, only to end a benchmark that has failed.
const LIMIT: Duration = Duration::from_secs(600);

/// The first bytes of a recording, as a player reads them.
const HEAD_BYTES: usize = 64 * 1024;

/// Times that recordings are opened, of each kind.
const OPENINGS: usize = 300;

/// Mono classes: one channel is what the figures are about.
const CLASSES: [Class; 7] = [
    Class::Clean,
    Class::Noise60,
    Class::Noise72,
    Class::ALaw,
    Class::MuLaw,
    Class::MuLawNoise,
    Class::Mix,
];

/// Measures, prints the tables and answers whether every target holds.
///
/// # Errors
/// The prompts are missing, or the daemon does not do its work; its log is then named.
pub fn measure(runs: usize) -> io::Result<bool> {
    let mut office = Office::open()?;
    let (mut single, mut many) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let calls: Vec<_> = CLASSES
            .iter()
            .map(|&class| (class, 0, super::corpus::SECONDS))
            .collect();
        single.push(office.take_in(&calls)?);
        let piece = |n: usize| (CLASSES[n % CLASSES.len()], n * 7, SHORT_SECONDS);
        many.push(office.take_in(&(0..CHANNELS).map(piece).collect::<Vec<_>>())?);
    }
    let memory = office.memory_after_reading()?;
    let Office {
        world,
        daemon,
        kinds,
        ..
    } = office;
    daemon.stop();
    let ingest = table::print(
        &format!(
            "ingest by the daemon: spool → durable, catalogued, visible; medians of {runs} runs"
        ),
        "value",
        &[
            single_row(&single),
            cores_row(&many),
            pace_row(&many),
            memory_row(memory),
        ],
    );
    let opening = openings(&world, &kinds)?;
    let title = format!("opening a recording and reading its first 64 KiB, {OPENINGS} times, warm");
    Ok(ingest & table::print(&title, "ms", &opening))
}

/// What taking in some calls cost.
#[derive(Debug, Clone, Copy)]
struct Cost {
    /// Length of the calls, seconds.
    audio: f64,
    /// CPU time of the daemon, seconds.
    cpu: f64,
    /// Until the last one had left the spool, seconds.
    wall: f64,
}

fn single_row(costs: &[Cost]) -> Row {
    let speed = median(
        &costs
            .iter()
            .map(|cost| cost.audio / cost.cpu)
            .collect::<Vec<_>>(),
    );
    let audio = costs.first().map_or(0.0, |cost| cost.audio);
    Row {
        what: format!("{audio:.0} s of one 8 kHz channel, × real time on one core"),
        ours: format!("{:.2} s CPU", audio / speed),
        peer: "real time".into(),
        value: speed,
        target: Target::AtLeast(500.0),
    }
}

/// Cores that the large office keeps busy, at real time.
fn cores_row(costs: &[Cost]) -> Row {
    let cores = |cost: &Cost| cost.cpu / cost.audio * CHANNELS as f64;
    let value = median(&costs.iter().map(cores).collect::<Vec<_>>());
    Row {
        what: format!("{CHANNELS} channels of talk in calls of {SHORT_SECONDS} s, cores"),
        ours: format!("{:.2} s CPU", value * SHORT_SECONDS as f64),
        peer: "real time".into(),
        value,
        target: Target::AtMost(1.5),
    }
}

/// How much faster than 256 channels talk they are taken in, waiting for the disk included.
fn pace_row(costs: &[Cost]) -> Row {
    let pace = |cost: &Cost| cost.audio / cost.wall / CHANNELS as f64;
    let value = median(&costs.iter().map(pace).collect::<Vec<_>>());
    Row {
        what: format!("the same, × real time of {CHANNELS} channels by the clock"),
        ours: format!("{:.1} s", SHORT_SECONDS as f64 / value),
        peer: format!("{SHORT_SECONDS} s"),
        value,
        target: Target::AtLeast(1.0),
    }
}

fn memory_row(mib: f64) -> Row {
    Row {
        what: "largest memory of the daemon, MiB, everything read through the mount".into(),
        ours: format!("{mib:.1} MiB"),
        peer: "–".into(),
        value: mib,
        target: Target::AtMost(100.0),
    }
}

/// An installation whose daemon runs.
struct Office {
    world: World,
    daemon: Daemon,
    audio: HashMap<&'static str, Vec<i16>>,
    kinds: HashMap<Ulid, Kind>,
}

impl Office {
    fn open() -> io::Result<Self> {
        let voices = Voices::load()?;
        let call = |class: Class| Ok((class.name(), voices.call(class, 0)?));
        let audio = CLASSES.into_iter().map(call).collect::<io::Result<_>>()?;
        let world = World::new()?;
        drop(Writer::open(&world.spool()).map_err(io::Error::other)?);
        let init = world.tsuwaroku(&["init"])?;
        if !init.status.success() {
            return Err(io::Error::other(
                String::from_utf8_lossy(&init.stderr).into_owned(),
            ));
        }
        let daemon = world.start_serve()?;
        let mut office = Self {
            world,
            daemon,
            audio,
            kinds: HashMap::new(),
        };
        office.wait("mount", |office| office.world.is_mounted())?;
        Ok(office)
    }

    /// Hands calls (class, second at which it begins, length) to the daemon, all at once, and waits
    /// until it has them.
    fn take_in(&mut self, calls: &[(Class, usize, usize)]) -> io::Result<Cost> {
        let staging = self.world.path().join("staging");
        let writer = Writer::open(&staging).map_err(io::Error::other)?;
        for &(class, at, seconds) in calls {
            self.publish(&writer, class, at, seconds)
                .map_err(io::Error::other)?;
        }
        let cpu = cpu::of_process(self.daemon.pid())?;
        let begun = Instant::now();
        for path in files(&staging.join("ready")) {
            let name = path.file_name().expect("an entry has a name");
            fs::rename(&path, self.world.spool().join("ready").join(name))?;
        }
        self.wait("take the calls in", |office| {
            office.world.ready().is_empty()
        })?;
        let wall = begun.elapsed().as_secs_f64();
        let cpu = cpu::of_process(self.daemon.pid())? - cpu;
        self.wait("show the calls", |office| {
            office.world.recordings().len() == office.kinds.len()
        })?;
        let audio = calls.iter().map(|(.., seconds)| *seconds as f64).sum();
        Ok(Cost { audio, cpu, wall })
    }

    fn publish(
        &mut self,
        writer: &Writer,
        class: Class,
        at: usize,
        seconds: usize,
    ) -> Result<(), SpoolError> {
        let n = self.kinds.len() as u64;
        let milliseconds = FIRST_MS + n * 100;
        let id = Ulid::from_parts(milliseconds, scramble(n).into());
        self.kinds.insert(id, class.kind());
        let started_at = milliseconds as i64 * 1_000_000;
        let mut call = writer.begin(Start {
            id,
            line: LINES[n as usize % LINES.len()].number.into(),
            card: "bench".into(),
            card_channels: vec![1],
            rate: RATE,
            encoding: Encoding::S16,
            started_at,
            pre_roll: 0,
            continues: None,
            recorder: "tsuwaroku-tests".into(),
        })?;
        let rate = RATE as usize;
        let audio = self.audio[class.name()]
            .iter()
            .cycle()
            .skip(at * rate)
            .take(seconds * rate);
        let audio: Vec<u8> = audio.flat_map(|sample| sample.to_le_bytes()).collect();
        audio
            .chunks(PERIOD * 2)
            .try_for_each(|period| call.audio(period))?;
        let ended_at = started_at + seconds as i64 * 1_000_000_000;
        call.finish(ended_at, EndReason::Silence).map(drop)
    }

    fn wait(&mut self, what: &str, done: impl Fn(&Self) -> bool) -> io::Result<()> {
        let begun = Instant::now();
        while !done(self) {
            if begun.elapsed() > LIMIT || !self.daemon.is_running() {
                let log = self.daemon.log();
                return Err(io::Error::other(format!(
                    "the daemon does not {what}:\n{log}"
                )));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// MiB, after every recording has been read through the mount.
    fn memory_after_reading(&self) -> io::Result<f64> {
        for recording in self.world.recordings() {
            io::copy(
                &mut as_reader(|| fs::File::open(recording))?,
                &mut io::sink(),
            )?;
        }
        let status = fs::read_to_string(format!("/proc/{}/status", self.daemon.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok());
        Ok(kib.ok_or_else(|| io::Error::other("/proc tells no VmHWM"))? / 1024.0)
    }
}

/// Opens recordings as the mount does, in this process, beside no daemon.
fn openings(world: &World, kinds: &HashMap<Ulid, Kind>) -> io::Result<Vec<Row>> {
    let (fs, recordings) = archive(&world.config(), &world.root())?;
    let row = |(name, kind): (&str, Kind)| {
        let of_kind = recordings
            .iter()
            .filter(|(id, _)| kinds.get(id) == Some(&kind));
        let nodes: Vec<_> = of_kind.map(|(_, node)| *node).collect();
        let mut times = Vec::new();
        for n in 0..OPENINGS {
            let node = nodes[n % nodes.len()];
            open(&fs, node)?;
            let begun = Instant::now();
            open(&fs, node)?;
            times.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        let value = median(&times);
        Ok(Row {
            what: name.into(),
            ours: format!("{value:.3} ms"),
            peer: "–".into(),
            value,
            target: Target::AtMost(1.0),
        })
    };
    [
        ("linear", Kind::Linear),
        ("G.711", Kind::G711),
        ("mix", Kind::Mix),
    ]
    .map(row)
    .into_iter()
    .collect()
}

fn open(fs: &ArchiveFs, node: Node) -> io::Result<()> {
    let recording = fs.recording(node).map_err(io::Error::other)?;
    let object = fs.open(&recording).map_err(io::Error::other)?;
    let blocks = Arc::new(Blocks::new(1 << 20));
    let reader = Reader::new(object, recording.key, blocks, None);
    let read = reader.read(0, HEAD_BYTES).map_err(io::Error::other)?;
    if read.len() == HEAD_BYTES {
        Ok(())
    } else {
        Err(io::Error::other("a short read"))
    }
}

/// The archive at `root`, and its recordings.
fn archive(config: &Path, root: &Path) -> io::Result<(ArchiveFs, Vec<(Ulid, Node)>)> {
    let config = Config::load(config).map_err(io::Error::other)?;
    let path: PathBuf = root.join("catalogue.sqlite");
    let birth = Catalogue::birth_at(&path).map_err(io::Error::other)?;
    let vault = tsuwaroku::serve::open_vault(&config, birth.archive).map_err(io::Error::other)?;
    let signers = vault.keys().log_signers().map_err(io::Error::other)?;
    let catalogue = Arc::new(Catalogue::open(&path, signers).map_err(io::Error::other)?);
    let found = catalogue
        .find(&Filter::default(), u32::MAX)
        .map_err(io::Error::other)?;
    let recordings = found
        .iter()
        .map(|found| (found.id, Node::File(found.key)))
        .collect();
    Ok((
        ArchiveFs::new(catalogue, vault, config.archive.names, Owners::default()),
        recordings,
    ))
}
