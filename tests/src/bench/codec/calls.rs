//! The calls of one class as files of each kind, and the work on them that is measured. The whole
//! object is measured, with head, seals and index, and encoding is all that ingest does to a call's
//! samples. What the figures must be is not known here. Called by the benchmark of the codec.

use super::super::corpus::{Class, RATE, Voices};
use super::super::cpu;
use super::super::libflac::Flac;
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
pub(super) const SCRUB_ROUNDS: usize = 4;

/// What is measured of one class: CPU seconds of each run.
#[derive(Debug, Default)]
pub(super) struct Times {
    pub encode: Vec<f64>,
    pub flac_encode: Vec<f64>,
    pub decode: Vec<f64>,
    /// By the slower effort.
    pub thorough_encode: Vec<f64>,
    pub thorough_decode: Vec<f64>,
    pub verify: Vec<f64>,
    /// By the program.
    pub flac_decode: Vec<f64>,
    /// By the library in this process.
    pub libflac_decode: Vec<f64>,
    pub scrub: Vec<f64>,
    pub sha256sum: Vec<f64>,
}

/// What is measured of one class: bytes.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Sizes {
    pub wav: u64,
    pub object: u64,
    pub flac: u64,
    pub zstd: u64,
    /// Objects of the slower effort.
    pub thorough: u64,
}

/// The calls of one class, each as a WAV file in the work directory.
pub(super) struct Calls {
    dir: tempfile::TempDir,
    class: Class,
    /// What is known of each, the bytes around its samples, its samples.
    made: Vec<(Call, wav::Frame, Vec<u8>)>,
    key: Key,
}

impl Calls {
    /// Makes `count` calls of `class`.
    ///
    /// # Errors
    /// A prompt cannot be read, or the disk fails.
    pub fn make(voices: &Voices, class: Class, count: u64) -> io::Result<Self> {
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
        Ok(Self {
            dir,
            class,
            made,
            key: Key::from_bytes([7; 32]),
        })
    }

    fn files(&self, extension: &str) -> Vec<PathBuf> {
        let file = |n| self.dir.path().join(format!("{n}.{extension}"));
        (0..self.made.len()).map(file).collect()
    }

    /// One run: each of ours beside its peer.
    ///
    /// # Errors
    /// A peer is missing or fails, an object is refused, or the disk fails.
    pub fn time(&self, times: &mut Times) -> io::Result<()> {
        times
            .encode
            .push(cpu::of_thread(|| self.write("tso", Effort::Ingest))?.1);
        times
            .flac_encode
            .push(cpu::of_command(&mut self.flac_encode())?);
        times
            .decode
            .push(cpu::of_thread(|| self.each_object("tso", read_blocks))?.1);
        times
            .thorough_encode
            .push(cpu::of_thread(|| self.write("thorough", Effort::Thorough))?.1);
        times
            .thorough_decode
            .push(cpu::of_thread(|| self.each_object("thorough", read_blocks))?.1);
        times
            .verify
            .push(cpu::of_thread(|| self.each_object("tso", Object::verify))?.1);
        times
            .flac_decode
            .push(cpu::of_command(&mut self.flac_decode())?);
        times.libflac_decode.push(self.libflac_decode()?);
        let scrub = |object: &Object| (0..SCRUB_ROUNDS).try_for_each(|_| object.scrub());
        times
            .scrub
            .push(cpu::of_thread(|| self.each_object("tso", scrub))?.1);
        times
            .sha256sum
            .push(cpu::of_command(&mut self.sha256sum())?);
        Ok(())
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

    /// CPU time, seconds, of decoding alone.
    fn libflac_decode(&self) -> io::Result<f64> {
        let mut seconds = 0.0;
        for path in self.files("flac") {
            let flac = Flac::open(&path)?;
            let take = |piece: &[i16]| {
                std::hint::black_box(piece);
            };
            seconds += cpu::of_thread(|| flac.decode(take))?.1;
        }
        Ok(seconds)
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

    /// What the files take; after a run, when ours and the peers' are there. Whoever had lost a sample
    /// would win by it, so nobody may have.
    ///
    /// # Errors
    /// Somebody gives other samples than the call's; a file or zstd is missing.
    pub fn sizes(&self) -> io::Result<Sizes> {
        let mut zstd = Command::new("zstd");
        cpu::of_command(zstd.args(["-3", "-q", "-k", "-f"]).args(self.files("wav")))?;
        self.each_object("tso", Object::verify)?;
        self.each_object("thorough", Object::verify)?;
        for (path, (.., audio)) in self.files("flac").iter().zip(&self.made) {
            self.check("flac", audio, &flac_samples(path)?)?;
            self.check("libFLAC", audio, &libflac_samples(path)?)?;
        }
        Ok(Sizes {
            wav: bytes(&self.files("wav"))?,
            object: bytes(&self.files("tso"))?,
            flac: bytes(&self.files("flac"))?,
            zstd: bytes(&self.files("wav.zst"))?,
            thorough: bytes(&self.files("thorough"))?,
        })
    }

    fn check(&self, who: &str, given: &[u8], decoded: &[u8]) -> io::Result<()> {
        if decoded == given {
            return Ok(());
        }
        let class = self.class.name();
        Err(io::Error::other(format!(
            "{who} gives other samples of '{class}'"
        )))
    }
}

fn flac_samples(path: &Path) -> io::Result<Vec<u8>> {
    let mut flac = Command::new("flac");
    flac.args(["-d", "-c", "--totally-silent", "--force-raw-format"])
        .args(["--endian=little", "--sign=signed"])
        .arg(path);
    Ok(flac.output()?.stdout)
}

fn libflac_samples(path: &Path) -> io::Result<Vec<u8>> {
    let mut decoded = Vec::new();
    Flac::open(path)?.decode(|piece| {
        decoded.extend(piece.iter().flat_map(|sample| sample.to_le_bytes()));
    })?;
    Ok(decoded)
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
