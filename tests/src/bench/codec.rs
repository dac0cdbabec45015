//! Objects of the corpus in this process, against flac, zstd and sha256sum on the same audio: size,
//! encoding, decoding, scrub. The whole object is measured, with head, seals and index, and encoding
//! is all that ingest does to a call's samples; files are in the page cache.

use super::corpus::{Class, Kind, RATE, Voices};
use super::table::{Row, Target, median};
use super::{cpu, table};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tsuwaroku::call::{Call, Direction, Layout};
use tsuwaroku::codec::{Decoder, Effort};
use tsuwaroku::crypto::Key;
use tsuwaroku::store::{Object, ObjectWriter, StoreError};
use tsuwaroku::wav;
use tsuwaroku_spool::{Encoding, EndReason};
use ulid::Ulid;

/// The samples that ingest hands over at a time: an eighth of a second, as capture writes them.
const PIECE_BYTES: usize = RATE as usize / 8 * 2;

/// Times that sha256sum and scrub read every file in one run: once is too short to measure.
const SCRUB_ROUNDS: usize = 4;

/// How much to measure.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// Runs whose median counts.
    pub runs: usize,
    /// Calls of each class.
    pub calls: u64,
}

/// What is measured of one class: CPU seconds of each run.
#[derive(Debug, Default)]
struct Times {
    encode: Vec<f64>,
    flac_encode: Vec<f64>,
    decode: Vec<f64>,
    thorough_decode: Vec<f64>,
    verify: Vec<f64>,
    flac_decode: Vec<f64>,
    scrub: Vec<f64>,
    sha256sum: Vec<f64>,
}

/// What is measured of one class: bytes.
#[derive(Debug, Default, Clone, Copy)]
struct Sizes {
    wav: u64,
    object: u64,
    flac: u64,
    zstd: u64,
    /// Objects of the slower effort.
    thorough: u64,
}

/// The calls of one class, each as a WAV file in the work directory.
struct Calls {
    dir: tempfile::TempDir,
    class: Class,
    /// What is known of each, the bytes around its samples, its samples.
    made: Vec<(Call, wav::Frame, Vec<u8>)>,
    key: Key,
}

/// Measures every class, prints the tables and answers whether every target holds.
///
/// # Errors
/// The prompts or a peer are missing, or the disk fails.
pub fn measure(extent: Extent) -> io::Result<bool> {
    let voices = Voices::load()?;
    let mut all = Vec::new();
    for class in Class::ALL {
        let calls = Calls::make(&voices, class, extent.calls)?;
        let mut times = Times::default();
        for _ in 0..extent.runs {
            calls.time(&mut times)?;
        }
        all.push((class, calls.sizes()?, times));
    }
    let rows =
        |row: &dyn Fn(&(Class, Sizes, Times)) -> Row| all.iter().map(row).collect::<Vec<_>>();
    let seconds = extent.calls * super::corpus::SECONDS as u64;
    println!(
        "\ncorpus: {seconds} s of calls a class, 8 kHz, 16 bits; medians of {} runs",
        extent.runs
    );
    let held = [
        table::print(
            "stored size, against flac -8 -b 576 --no-padding",
            "ratio",
            &rows(&size_row),
        ),
        table::print(
            "stored size, against zstd -3 of the WAV",
            "ratio",
            &rows(&zstd_row),
        ),
        table::print(
            "decode: a WAV file read block by block, opened, decoded, checked; speed against flac -d",
            "ratio",
            &rows(&decode_row),
        ),
        table::print(
            "the same with SHA-256 of the whole, as verify does it",
            "ratio",
            &rows(&verify_row),
        ),
        table::print(
            "encode, seals and SHA-256 included: CPU against flac -8 -b 576",
            "ratio",
            &rows(&encode_row),
        ),
        table::print(
            "the secondary tier's effort: stored size, against the one of ingest",
            "ratio",
            &rows(&thorough_row),
        ),
        table::print(
            "the secondary tier's effort: decoding, against real time",
            "times",
            &rows(&thorough_decode_row),
        ),
        table::print(
            "scrub: speed against sha256sum of the same bytes",
            "ratio",
            &[scrub_row(&all)],
        ),
    ];
    Ok(held.into_iter().all(|held| held))
}

fn size_row((class, sizes, _): &(Class, Sizes, Times)) -> Row {
    let target = match class.kind() {
        Kind::Linear => Target::AtMost(0.975),
        Kind::G711 => Target::AtMost(0.70),
        Kind::Mix => Target::AtMost(0.85),
        Kind::NoisyMix => Target::Known,
    };
    let share = |bytes| format!("{:.1} %", bytes as f64 / sizes.wav as f64 * 100.0);
    Row {
        what: class.name().into(),
        ours: share(sizes.object),
        peer: share(sizes.flac),
        value: sizes.object as f64 / sizes.flac as f64,
        target,
    }
}

fn zstd_row((class, sizes, _): &(Class, Sizes, Times)) -> Row {
    let share = |bytes| format!("{:.1} %", bytes as f64 / sizes.wav as f64 * 100.0);
    Row {
        what: class.name().into(),
        ours: share(sizes.object),
        peer: share(sizes.zstd),
        value: sizes.object as f64 / sizes.zstd as f64,
        target: Target::AtMost(1.0),
    }
}

fn thorough_row((class, sizes, _): &(Class, Sizes, Times)) -> Row {
    let share = |bytes| format!("{:.1} %", bytes as f64 / sizes.wav as f64 * 100.0);
    Row {
        what: class.name().into(),
        ours: share(sizes.thorough),
        peer: share(sizes.object),
        value: sizes.thorough as f64 / sizes.object as f64,
        target: Target::AtMost(0.99),
    }
}

fn thorough_decode_row((class, sizes, times): &(Class, Sizes, Times)) -> Row {
    let seconds = sizes.wav as f64 / f64::from(RATE * 2 * u32::from(class.channels()));
    let took = median(&times.thorough_decode);
    Row {
        what: class.name().into(),
        ours: format!("{took:.2} s"),
        peer: format!("{seconds:.0} s"),
        value: seconds / took,
        target: Target::AtLeast(100.0),
    }
}

fn decode_row((class, sizes, times): &(Class, Sizes, Times)) -> Row {
    let least = match class.kind() {
        Kind::Linear => Target::AtLeast(1.0),
        Kind::G711 => Target::AtLeast(0.7),
        Kind::Mix | Kind::NoisyMix => Target::Known,
    };
    speed_row(*class, sizes.wav, &times.decode, &times.flac_decode, least)
}

fn verify_row((class, sizes, times): &(Class, Sizes, Times)) -> Row {
    speed_row(
        *class,
        sizes.wav,
        &times.verify,
        &times.flac_decode,
        Target::Known,
    )
}

fn speed_row(class: Class, bytes: u64, ours: &[f64], peer: &[f64], target: Target) -> Row {
    let (ours, peer) = (median(ours), median(peer));
    Row {
        what: class.name().into(),
        ours: speed(bytes, ours),
        peer: speed(bytes, peer),
        value: peer / ours,
        target,
    }
}

fn encode_row((class, sizes, times): &(Class, Sizes, Times)) -> Row {
    let (ours, peer) = (median(&times.encode), median(&times.flac_encode));
    Row {
        what: class.name().into(),
        ours: speed(sizes.wav, ours),
        peer: speed(sizes.wav, peer),
        value: ours / peer,
        target: Target::AtMost(1.5),
    }
}

fn scrub_row(all: &[(Class, Sizes, Times)]) -> Row {
    let bytes: u64 = all
        .iter()
        .map(|(_, sizes, _)| sizes.object * SCRUB_ROUNDS as u64)
        .sum();
    let total = |of: fn(&Times) -> &Vec<f64>| all.iter().map(|(.., times)| median(of(times))).sum();
    let (ours, peer): (f64, f64) = (total(|times| &times.scrub), total(|times| &times.sha256sum));
    Row {
        what: format!("{} MB of objects", bytes / 1_000_000),
        ours: speed(bytes, ours),
        peer: speed(bytes, peer),
        value: peer / ours,
        target: Target::AtLeast(0.8),
    }
}

fn speed(bytes: u64, seconds: f64) -> String {
    format!("{:.0} MB/s", bytes as f64 / 1e6 / seconds)
}

impl Calls {
    fn make(voices: &Voices, class: Class, count: u64) -> io::Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("tsuwaroku-bench-")
            .tempdir()?;
        let mut made = Vec::new();
        for n in 0..count {
            let samples = voices.call(class, n)?;
            let audio: Vec<u8> = samples
                .iter()
                .flat_map(|sample| sample.to_le_bytes())
                .collect();
            let call = call(class.channels(), audio.len(), n);
            let zone = "Asia/Tokyo".parse().expect("there is a Tokyo");
            let frame = wav::Frame::around(&call, zone);
            let wav = [&frame.before[..], &audio, &frame.after].concat();
            std::fs::write(dir.path().join(format!("{n}.wav")), wav)?;
            made.push((call, frame, audio));
        }
        let calls = Self {
            dir,
            class,
            made,
            key: Key::from_bytes([7; 32]),
        };
        calls.write("thorough", Effort::Thorough)?;
        Ok(calls)
    }

    fn files(&self, extension: &str) -> Vec<PathBuf> {
        let file = |n| self.dir.path().join(format!("{n}.{extension}"));
        (0..self.made.len()).map(file).collect()
    }

    /// One run: each of ours beside its peer.
    fn time(&self, times: &mut Times) -> io::Result<()> {
        times.encode.push(cpu::of_thread(|| self.encode())?.1);
        times
            .flac_encode
            .push(cpu::of_command(&mut self.flac_encode())?);
        times
            .decode
            .push(cpu::of_thread(|| self.each_object("tso", read_blocks))?.1);
        times
            .thorough_decode
            .push(cpu::of_thread(|| self.each_object("thorough", read_blocks))?.1);
        times
            .verify
            .push(cpu::of_thread(|| self.each_object("tso", Object::verify))?.1);
        times
            .flac_decode
            .push(cpu::of_command(&mut self.flac_decode())?);
        let scrub = |object: &Object| (0..SCRUB_ROUNDS).try_for_each(|_| object.scrub());
        times
            .scrub
            .push(cpu::of_thread(|| self.each_object("tso", scrub))?.1);
        times
            .sha256sum
            .push(cpu::of_command(&mut self.sha256sum())?);
        Ok(())
    }

    fn encode(&self) -> io::Result<()> {
        self.write("tso", Effort::Ingest)
    }

    fn write(&self, extension: &str, effort: Effort) -> io::Result<()> {
        for ((call, frame, audio), path) in self.made.iter().zip(self.files(extension)) {
            let out = BufWriter::with_capacity(256 * 1024, File::create(path)?);
            let mut out = write_object(effort, out, call, frame, &self.key, audio)
                .map_err(io::Error::other)?;
            out.flush()?;
        }
        Ok(())
    }

    fn each_object(
        &self,
        extension: &str,
        look: impl Fn(&Object) -> Result<(), StoreError>,
    ) -> io::Result<()> {
        for path in self.files(extension) {
            let object = Object::open(&path, &self.key).map_err(io::Error::other)?;
            look(&object).map_err(io::Error::other)?;
        }
        Ok(())
    }

    fn flac_encode(&self) -> Command {
        let mut command = Command::new("flac");
        command.args(["-8", "-b", "576", "--no-padding", "--totally-silent", "-f"]);
        command.args(self.files("wav"));
        command
    }

    fn flac_decode(&self) -> Command {
        let mut command = Command::new("flac");
        command
            .args(["-d", "-c", "--totally-silent"])
            .args(self.files("flac"))
            .stdout(Stdio::null());
        command
    }

    fn sha256sum(&self) -> Command {
        let mut command = Command::new("sha256sum");
        let files = self.files("tso");
        for _ in 0..SCRUB_ROUNDS {
            command.args(&files);
        }
        command.stdout(Stdio::null());
        command
    }

    /// After a run, when ours and flac's files are there.
    fn sizes(&self) -> io::Result<Sizes> {
        let mut zstd = Command::new("zstd");
        cpu::of_command(zstd.args(["-3", "-q", "-k", "-f"]).args(self.files("wav")))?;
        let sizes = Sizes {
            wav: bytes(&self.files("wav"))?,
            object: bytes(&self.files("tso"))?,
            flac: bytes(&self.files("flac"))?,
            zstd: bytes(&self.files("wav.zst"))?,
            thorough: bytes(&self.files("thorough"))?,
        };
        self.check_flac(&sizes)
    }

    /// A peer that has skipped something would win by it.
    fn check_flac(&self, sizes: &Sizes) -> io::Result<Sizes> {
        let decoded = Command::new("flac")
            .args(["-d", "-c", "--totally-silent", "--force-raw-format"])
            .args(["--endian=little", "--sign=signed"])
            .arg(&self.files("flac")[0])
            .output()?;
        if decoded.stdout == self.made[0].2 {
            return Ok(*sizes);
        }
        Err(io::Error::other(format!(
            "flac gives other samples of '{}'",
            self.class.name()
        )))
    }
}

fn bytes(files: &[PathBuf]) -> io::Result<u64> {
    files
        .iter()
        .map(|file: &PathBuf| Ok(Path::metadata(file)?.len()))
        .sum()
}

/// What a reader of the whole file makes the archive do.
fn read_blocks(object: &Object) -> Result<(), StoreError> {
    let mut decoder = Decoder::new();
    for number in 0..object.blocks() {
        std::hint::black_box(object.block(number, &mut decoder)?);
    }
    Ok(())
}

fn write_object<W: Write>(
    effort: Effort,
    out: W,
    call: &Call,
    frame: &wav::Frame,
    key: &Key,
    audio: &[u8],
) -> Result<W, StoreError> {
    let mut writer = ObjectWriter::begin_with(effort, out, call, frame, key)?;
    audio
        .chunks(PIECE_BYTES)
        .try_for_each(|piece| writer.samples(piece))?;
    Ok(writer.seal()?.0)
}

/// A call as capture would tell of it, with `bytes` of audio.
fn call(channels: u16, bytes: usize, n: u64) -> Call {
    let layout = Layout {
        rate: RATE,
        channels,
        encoding: Encoding::S16,
    };
    let frames = (bytes / layout.frame_bytes()) as u64;
    // 2026-11-23 10:00 in Tokyo.
    let milliseconds = 1_795_395_600_000 + n;
    let started_at = milliseconds as i64 * 1_000_000;
    Call {
        id: Ulid::from_parts(milliseconds, n.into()),
        number: "06-6458-1132".into(),
        started_at,
        ended_at: started_at + (frames * 125_000) as i64,
        frames,
        pre_roll: 16_000,
        layout,
        direction: Direction::In,
        other_party: Some("0312345678".into()),
        gaps: vec![],
        digits: vec![],
        end_reason: EndReason::Silence,
        continues: None,
        card: "hw:CARD=Lines".into(),
        card_channels: (1..=channels).collect(),
        recorder: "tsuwaroku-tests".into(),
    }
}
