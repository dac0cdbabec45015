//! The daemon as it is installed, through the real alsa-lib: its `file` PCM over `null`, with a FIFO
//! that the test feeds. All audio of a test fits into the daemon's queue, so no test depends on time.

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};
use tsuwaroku_spool::read::{Entry, Reader};
use tsuwaroku_spool::record::{EndReason, GapCause, Record, Start};

const RATE: usize = 8000;
/// Longest wait for something that must come; reaching it fails the test.
const DEADLINE: Duration = Duration::from_secs(60);

/// A folder with a FIFO, alsa-lib's and the daemon's configuration, and a spool.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    /// `card` is the text of the `[[card]]` section, `lines` of each line's channels.
    fn new(card: &str, lines: &[(&str, &str)]) -> Self {
        let bench = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        mkfifo(&bench.path("calls"), Mode::S_IRWXU).unwrap();
        let fifo = bench.path("calls");
        let asound = format!(
            "pcm.lines {{ type file slave.pcm null file /dev/null infile \"{}\" format raw }}\n",
            fifo.display()
        );
        std::fs::write(bench.path("asound.conf"), asound).unwrap();
        let mut config = format!(
            "[site]\nname = \"test\"\n[capture]\nspool = \"{}\"\npre_roll_seconds = 1.0\n\
             hang_seconds = 4.0\n[[card]]\npcm = \"lines\"\n{card}\n",
            bench.path("spool").display()
        );
        for (number, channels) in lines {
            write!(
                config,
                "[[line]]\nnumber = \"{number}\"\nname = \"n\"\npurpose = \"p\"\n\
                 card = \"lines\"\n{channels}\n"
            )
            .unwrap();
        }
        std::fs::write(bench.path("tsuwaroku.toml"), config).unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tsuwaroku-capture"));
        let alsa = format!(
            "/usr/share/alsa/alsa.conf:{}",
            self.path("asound.conf").display()
        );
        command
            .env("ALSA_CONFIG_PATH", alsa)
            .env_remove("TSUWAROKU_CONFIG")
            .env_remove("RUST_LOG");
        command.arg("--config").arg(self.path("tsuwaroku.toml"));
        command
    }

    fn start(&self) -> Daemon {
        let log = File::create(self.path("log")).unwrap();
        Daemon(self.command().stderr(log).spawn().unwrap())
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap()
    }

    /// Changes the configuration.
    fn configure(&self, old: &str, new: &str) {
        let config = std::fs::read_to_string(self.path("tsuwaroku.toml")).unwrap();
        assert!(config.contains(old));
        std::fs::write(self.path("tsuwaroku.toml"), config.replace(old, new)).unwrap();
    }

    /// Opens the FIFO for writing; waits for the daemon to open it for reading.
    fn writer(&self) -> File {
        OpenOptions::new()
            .write(true)
            .open(self.path("calls"))
            .unwrap()
    }

    /// Waits for `count` recordings and reads them, the oldest first.
    fn recordings(&self, count: usize) -> Vec<Recording> {
        let found = || Reader::open(&self.path("spool")).unwrap().ready().unwrap();
        wait_for("recordings", || found().len() >= count);
        let read: Vec<Recording> = found()
            .iter()
            .map(|item| Recording::read(&item.path))
            .collect();
        assert_eq!(read.len(), count);
        read
    }
}

/// The daemon; killed if the test fails.
struct Daemon(Child);

impl Daemon {
    /// Sends SIGTERM; asserts that it exits with 0.
    fn stop(mut self) {
        kill(Pid::from_raw(self.0.id() as i32), Signal::SIGTERM).unwrap();
        assert_eq!(self.0.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Already gone when the test went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wait_for(what: &str, there: impl Fn() -> bool) {
    let began = Instant::now();
    while !there() {
        assert!(began.elapsed() < DEADLINE, "no {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A recording: its samples without gaps, and where gaps are.
struct Recording {
    start: Start,
    samples: Vec<u8>,
    /// Bytes of samples before it, and cause.
    gaps: Vec<(usize, GapCause)>,
    reason: EndReason,
}

impl Recording {
    fn read(path: &Path) -> Self {
        let (mut start, mut reason) = (None, None);
        let (mut bytes, mut gaps) = (Vec::new(), Vec::new());
        for record in Entry::open(path).unwrap().records().unwrap() {
            match record.unwrap() {
                Record::Start(value) => start = Some(value),
                Record::Audio { samples, .. } => bytes.extend(samples),
                Record::Gap(gap) => gaps.push((bytes.len(), gap.cause)),
                Record::Digits(_) => {}
                Record::End(end) => reason = Some(end.reason),
            }
        }
        Self {
            start: start.unwrap(),
            samples: bytes,
            gaps,
            reason: reason.unwrap(),
        }
    }
}

/// `seconds` of interleaved random audio: quiet, but loud on `channel` while `loud` seconds.
fn audio(
    channels: usize,
    seconds: usize,
    sample: &dyn Fn(bool, u32) -> Vec<u8>,
    loud: &[(usize, usize, usize)],
) -> Vec<u8> {
    let mut state = 4_u64;
    let mut audio = Vec::new();
    for frame in 0..seconds * RATE {
        for channel in 1..=channels {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let talks = loud.iter().any(|(on, from, to)| {
                *on == channel && (*from * RATE..*to * RATE).contains(&frame)
            });
            audio.extend(sample(talks, (state >> 40) as u32));
        }
    }
    audio
}

fn s16(loud: bool, random: u32) -> Vec<u8> {
    let range = if loud { 8000 } else { 16 };
    ((random % range) as i16 - range as i16 / 2)
        .to_le_bytes()
        .to_vec()
}

/// µ-law: codes with high bits 1 are the smallest values, of either sign.
fn mu_law(loud: bool, random: u32) -> Vec<u8> {
    let code = random as u8;
    vec![if loud { code & 0x9F } else { code | 0x7C }]
}

/// The channels (from 1) of `frames` of interleaved audio.
fn channels_of(
    audio: &[u8],
    frame_bytes: usize,
    channels: &[u16],
    frames: std::ops::Range<usize>,
) -> Vec<u8> {
    let sample = |frame: &[u8], channel: u16, width: usize| {
        frame[(usize::from(channel) - 1) * width..][..width].to_vec()
    };
    let width = if frame_bytes == 16 { 2 } else { 1 };
    audio
        .chunks(frame_bytes)
        .skip(frames.start)
        .take(frames.len())
        .flat_map(|frame| {
            channels
                .iter()
                .flat_map(move |channel| sample(frame, *channel, width))
        })
        .collect()
}

/// Writes whole frames, at most 4096 bytes at a time: a pipe takes these in one piece.
fn feed(fifo: &mut File, audio: &[u8], frame_bytes: usize) {
    for part in audio.chunks(4096 / frame_bytes * frame_bytes) {
        fifo.write_all(part).unwrap();
    }
}

#[test]
fn r2_1_r2_2_eight_channels_of_s16_are_kept_bit_for_bit_and_the_undesignated_one_nowhere() {
    let bench = Bench::new(
        "channels = 8",
        &[
            ("06-6458-1132", "channel = 2"),
            ("06-6458-7160", "channels = { caller = 7, staff = 5 }"),
        ],
    );
    // Channel 4 talks all the time, and is no line's.
    let audio = audio(8, 13, &s16, &[(2, 3, 6), (5, 4, 5), (7, 6, 7), (4, 1, 12)]);
    let daemon = bench.start();
    feed(&mut bench.writer(), &audio, 16);
    let recordings = bench.recordings(2);
    for recording in &recordings {
        let channels = &recording.start.card_channels;
        let (wired, seconds) = if recording.start.line == "06-6458-1132" {
            (vec![2], 2..10)
        } else {
            (vec![7, 5], 3..11)
        };
        assert_eq!(*channels, wired);
        let frames = seconds.start * RATE..seconds.end * RATE;
        let stretch = channels_of(&audio, 16, channels, frames);
        assert!(recording.samples == stretch, "{}", recording.start.line);
        assert_eq!(recording.gaps, []);
        assert_eq!(recording.reason, EndReason::Silence);
    }
    wait_for("end of the FIFO", || {
        bench.log().contains("lost (it gives no more audio)")
    });
    daemon.stop();
}

#[test]
fn two_channels_of_mu_law_are_kept_bit_for_bit() {
    let bench = Bench::new(
        "channels = 2\nformat = \"MU_LAW\"",
        &[("06-6458-1132", "channels = { caller = 1, staff = 2 }")],
    );
    let audio = audio(2, 12, &mu_law, &[(1, 3, 5), (2, 5, 6)]);
    let daemon = bench.start();
    feed(&mut bench.writer(), &audio, 2);
    let recordings = bench.recordings(1);
    let stretch = channels_of(&audio, 2, &[1, 2], 2 * RATE..10 * RATE);
    assert!(recordings[0].samples == stretch);
    daemon.stop();
}

#[test]
fn a_card_that_goes_in_mid_call_and_comes_back_leaves_a_gap_in_one_recording() {
    let bench = Bench::new("channels = 8", &[("06-6458-1132", "channel = 3")]);
    bench.configure("hang_seconds = 4.0", "hang_seconds = 10.0");
    let before = audio(8, 3, &s16, &[(3, 2, 3)]);
    let after = audio(8, 12, &s16, &[(3, 0, 1)]);
    let daemon = bench.start();
    feed(&mut bench.writer(), &before, 16);
    // Closing is the unplug; the next opening waits until the daemon has opened it again.
    wait_for("loss of the card", || {
        bench.log().contains("lost (it gives no more audio)")
    });
    feed(&mut bench.writer(), &after, 16);
    let recordings = bench.recordings(1);
    let mut stretch = channels_of(&before, 16, &[3], RATE..3 * RATE);
    let unplugged = stretch.len();
    stretch.extend(channels_of(&after, 16, &[3], 0..11 * RATE));
    assert!(
        recordings[0]
            .gaps
            .iter()
            .all(|gap| *gap == (unplugged, GapCause::Unplugged))
    );
    assert!(!recordings[0].gaps.is_empty());
    // Blocks begin anew after a gap: the end is found up to a block of 20 ms later.
    let kept = &recordings[0].samples;
    assert!(kept.len() >= stretch.len() && kept.len() <= stretch.len() + 320);
    assert!(kept[..stretch.len()] == stretch);
    daemon.stop();
}

#[test]
fn a_stop_in_mid_call_finishes_the_recording() {
    let bench = Bench::new("channels = 8", &[("06-6458-1132", "channel = 1")]);
    let audio = audio(8, 5, &s16, &[(1, 2, 5)]);
    let daemon = bench.start();
    let mut fifo = bench.writer();
    feed(&mut fifo, &audio, 16);
    let running = || {
        let incoming = std::fs::read_dir(bench.path("spool/incoming")).unwrap();
        incoming.count() == 1
    };
    wait_for("running call", running);
    // The FIFO stays open: the device thread hangs in its read.
    daemon.stop();
    let recordings = bench.recordings(1);
    assert_eq!(recordings[0].reason, EndReason::Shutdown);
    let stretch = channels_of(&audio, 16, &[1], RATE..5 * RATE);
    assert!(recordings[0].samples == stretch[..recordings[0].samples.len()]);
}

/// Runs the daemon to its end.
fn output(command: &mut Command) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn a_missing_card_is_named_with_what_there_is_and_exits_with_69() {
    let bench = Bench::new("channels = 8", &[("06-6458-1132", "channel = 1")]);
    bench.configure("\"lines\"", "\"hw:CARD=Nowhere\"");
    for extra in [&[][..], &["--check"], &["--daemon"]] {
        let (status, _, log) = output(bench.command().args(extra));
        assert_eq!(status, Some(69), "{extra:?}: {log}");
        assert!(
            log.contains("card hw:CARD=Nowhere: there is no such card"),
            "{log}"
        );
        assert!(
            log.contains("Cards present:") && log.contains("--list"),
            "{log}"
        );
    }
}

#[test]
fn what_a_card_cannot_do_is_named_with_the_setting_and_exits_with_78() {
    let bench = Bench::new("channels = 8", &[("06-6458-1132", "channel = 1")]);
    // A slave that is fixed to one format.
    let fixed = "pcm.lines { type linear slave { pcm null format S32_LE } }\n";
    std::fs::write(bench.path("asound.conf"), fixed).unwrap();
    bench.configure("channels = 8", "channels = 8\nformat = \"MU_LAW\"");
    let (status, _, log) = output(&mut bench.command());
    assert_eq!(status, Some(78), "{log}");
    assert!(log.contains("card lines: it does not give MU_LAW"), "{log}");
    assert!(
        log.contains("It offers rates") && log.contains("S16_LE"),
        "{log}"
    );
}

#[test]
fn a_faulty_configuration_exits_with_78() {
    let bench = Bench::new("chanels = 8", &[("06-6458-1132", "channel = 1")]);
    let (status, _, log) = output(&mut bench.command());
    assert_eq!(status, Some(78), "{log}");
    assert!(
        log.contains("tsuwaroku.toml:9") && log.contains("chanels"),
        "{log}"
    );
}

#[test]
fn check_tells_what_a_card_is_opened_with() {
    let bench = Bench::new("channels = 8", &[("06-6458-1132", "channel = 1")]);
    let fifo = OpenOptions::new()
        .read(true)
        .write(true)
        .open(bench.path("calls"))
        .unwrap();
    let (status, out, log) = output(bench.command().arg("--check"));
    drop(fifo);
    assert_eq!(status, Some(0), "{log}");
    let expected = "card lines: 8000 Hz, 8 channels, S16_LE, period 500 ms, buffer 4000 ms\n";
    assert_eq!(out, expected);
}

#[test]
fn list_needs_no_configuration() {
    let bench = Bench::new("", &[]);
    let (status, out, log) = output(bench.command().arg("--list"));
    assert_eq!(status, Some(0), "{log}");
    assert!(out.lines().any(|line| line == "pcm null"), "{out}");
}

#[test]
fn in_the_background_it_records_and_stops_by_its_pid_file() {
    let bench = Bench::new("channels = 8", &[("06-6458-1132", "channel = 1")]);
    let mut fifo = OpenOptions::new()
        .read(true)
        .write(true)
        .open(bench.path("calls"))
        .unwrap();
    let log = File::create(bench.path("log")).unwrap();
    let started = bench
        .command()
        .arg("--daemon")
        .arg("--pid-file")
        .arg(bench.path("pid"))
        .stderr(log)
        .status()
        .unwrap();
    let log = || std::fs::read_to_string(bench.path("log")).unwrap();
    assert_eq!(started.code(), Some(0), "{}", log());
    let pid = std::fs::read_to_string(bench.path("pid")).unwrap();
    let pid = Pid::from_raw(pid.trim().parse().unwrap());
    let audio = audio(8, 12, &s16, &[(1, 2, 5)]);
    feed(&mut fifo, &audio, 16);
    let recordings = bench.recordings(1);
    let stretch = channels_of(&audio, 16, &[1], RATE..9 * RATE);
    assert!(recordings[0].samples == stretch);
    kill(pid, Signal::SIGTERM).unwrap();
    wait_for("end of the daemon", || kill(pid, None).is_err());
}
