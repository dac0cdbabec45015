//! The whole way of the audio, from a scripted source to a spool on the disk, without threads: what
//! a user relies on. Each test reads the spool back through the archive's own reader.

mod faults;
mod formats;

use crate::anchor::Anchor;
use crate::device;
use crate::keep::Keeper;
use crate::line::Line;
use crate::port::{Entry as KeptEntry, Spool};
use crate::source::script::{Act, BEGAN, Script};
use crate::source::{Period, Read, Source};
use crate::worker::Worker;
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tsuwaroku_config::{Capture, Channels, Format, Retention, Trigger};
use tsuwaroku_spool::read::{Entry, Reader};
use tsuwaroku_spool::record::{End, EndReason, Gap, GapCause, Record, Start};
use tsuwaroku_spool::recover::Recovered;
use tsuwaroku_spool::write::{OpenCall, Writer};
use tsuwaroku_spool::{SpoolError, Step};

const RATE: u32 = 8000;
const SECOND: u64 = 8000;

fn capture() -> Capture {
    Capture {
        spool: PathBuf::new(),
        rate: RATE,
        period: Duration::from_millis(125),
        buffer: Duration::from_secs(4),
        pre_roll: Duration::from_secs(2),
        rise_time: Duration::from_millis(100),
        hang_time: Duration::from_secs(8),
        minimum_length: Duration::from_millis(500),
        maximum_length: Duration::from_secs(3 * 3600),
        margin_db: 10.0,
        threshold_dbfs: -50.0,
    }
}

fn line(number: &str, channels: Channels) -> tsuwaroku_config::Line {
    tsuwaroku_config::Line {
        number: number.to_owned(),
        name: String::new(),
        purpose: String::new(),
        card: "script".to_owned(),
        channels,
        reader_group: None,
        trigger: Trigger::Level,
        retention: Retention::default(),
    }
}

fn mono() -> Vec<tsuwaroku_config::Line> {
    vec![line("06-6458-1132", Channels::Mixed(1))]
}

/// Random numbers that are the same each time (Knuth's MMIX generator).
struct Noise(u64);

impl Noise {
    /// Uniform in −1 … 1: its rms is −4.77 dB.
    fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }
}

/// `frames` samples of noise with an rms of `dbfs`, S16.
fn noise(seed: u64, frames: u64, dbfs: f64) -> Vec<i16> {
    let mut noise = Noise(seed);
    let peak = 10_f64.powf((dbfs + 4.77) / 20.0) * 32_768.0;
    (0..frames)
        .map(|_| (noise.next() * peak).round() as i16)
        .collect()
}

/// A line's sound: quiet noise, with talk (frames from, to) in it.
fn sound(seed: u64, frames: u64, talks: &[(u64, u64)]) -> Vec<i16> {
    let mut sound = noise(seed, frames, -65.0);
    for (from, to) in talks {
        let talk = noise(seed + from, to - from, -20.0);
        sound[*from as usize..*to as usize].copy_from_slice(&talk);
    }
    sound
}

fn bytes(samples: &[i16]) -> Vec<u8> {
    samples
        .iter()
        .flat_map(|sample| sample.to_le_bytes())
        .collect()
}

/// Interleaves channels of one length.
fn woven(channels: &[Vec<i16>]) -> Vec<u8> {
    let frame = |n: usize| channels.iter().map(move |channel| channel[n]);
    bytes(&(0..channels[0].len()).flat_map(frame).collect::<Vec<_>>())
}

/// A recording as the archive sees it; a gap is as many frames of `None`.
struct Recording {
    start: Start,
    frames: Vec<Option<Vec<u8>>>,
    gaps: Vec<Gap>,
    end: End,
}

impl Recording {
    fn read(path: &Path) -> Self {
        let (mut start, mut end, mut frames, mut gaps) = (None, None, Vec::new(), Vec::new());
        let mut frame_bytes = 1;
        for record in Entry::open(path).unwrap().records().unwrap() {
            match record.unwrap() {
                Record::Start(value) => {
                    frame_bytes = value.frame_bytes();
                    start = Some(value);
                }
                Record::Audio { samples, .. } => {
                    frames.extend(
                        samples
                            .chunks(frame_bytes)
                            .map(|frame| Some(frame.to_vec())),
                    );
                }
                Record::Gap(gap) => {
                    frames.extend(vec![None; gap.frames as usize]);
                    gaps.push(gap);
                }
                Record::Digits(_) => {}
                Record::End(value) => end = Some(value),
            }
        }
        Self {
            start: start.unwrap(),
            frames,
            gaps,
            end: end.unwrap(),
        }
    }

    /// Its first frame, by its start time.
    fn first(&self) -> u64 {
        let ns = i128::from(self.start.started_at - BEGAN);
        ((ns * i128::from(self.start.rate) + 500_000_000) / 1_000_000_000) as u64
    }

    /// Asserts that it is the stretch `from .. to` of `channels`, bit for bit, but for its gaps.
    fn assert_is(&self, channels: &[&[i16]], from: u64, to: u64) {
        assert_eq!((self.first(), self.frames.len() as u64), (from, to - from));
        for (n, frame) in self.frames.iter().enumerate() {
            let at = from as usize + n;
            let expected: Vec<i16> = channels.iter().map(|channel| channel[at]).collect();
            if let Some(frame) = frame {
                assert_eq!(*frame, bytes(&expected), "frame {at}");
            }
        }
        assert_eq!(
            self.frames.iter().filter(|it| it.is_none()).count() as u64,
            self.lost()
        );
    }

    fn lost(&self) -> u64 {
        self.gaps.iter().map(|gap| gap.frames).sum()
    }
}

/// Every recording in `ready/`, the oldest first. Asserts that nothing else is in the spool.
fn recordings(root: &Path) -> Vec<Recording> {
    for folder in ["incoming", "quarantine"] {
        let left: Vec<_> = std::fs::read_dir(root.join(folder)).unwrap().collect();
        assert!(left.is_empty(), "{folder}: {left:?}");
    }
    let items = Reader::open(root).unwrap().ready().unwrap();
    items
        .iter()
        .map(|item| Recording::read(&item.path))
        .collect()
}

/// Plays a script to the lines, with time as the keeper sees it running along with the frames.
fn play<S: Spool>(
    spool: S,
    mut script: Script,
    lines: &[tsuwaroku_config::Line],
    capture: &Capture,
) {
    let (sender, messages) = mpsc::channel();
    let params = script.params().clone();
    let lines = lines
        .iter()
        .map(|line| Line::new(line, capture, &params))
        .collect();
    let mut worker = Worker::new(&params, lines, sender);
    let mut keeper = Keeper::new(spool);
    let (began, mut frames) = (Instant::now(), 0);
    let mut period = Period::new(&params);
    let pass_on = |keeper: &mut Keeper<S>, frames: u64| {
        let now = began + Duration::from_nanos(frames * 1_000_000_000 / u64::from(params.rate));
        for message in messages.try_iter().flatten() {
            keeper.take(message, now);
        }
        keeper.tick(now);
    };
    while script.read(&mut period, Duration::ZERO) == Read::Period {
        worker.period_and_post(&period);
        frames += period.gaps.frames() + period.frames as u64;
        pass_on(&mut keeper, frames);
        period.clear();
    }
    worker.stop();
    pass_on(&mut keeper, frames);
    // What is still to be tried again is, for as long as a stopping daemon would.
    pass_on(&mut keeper, frames + 2 * SECOND);
    assert!(keeper.is_idle());
}

fn record(
    acts: Vec<Act>,
    channels: usize,
    lines: &[tsuwaroku_config::Line],
    capture: &Capture,
) -> Vec<Recording> {
    let root = tempfile::tempdir().unwrap();
    let spool = Arc::new(Writer::open(root.path()).unwrap());
    play(
        spool,
        Script::new(Format::S16_LE, channels, RATE, acts),
        lines,
        capture,
    );
    recordings(root.path())
}

fn record_mono(sound: &[i16], capture: &Capture) -> Vec<Recording> {
    record(vec![Act::Audio(bytes(sound))], 1, &mono(), capture)
}

#[test]
fn r2_2_a_call_is_kept_bit_for_bit_with_its_pre_roll_and_its_tail() {
    let sound = sound(1, 30 * SECOND, &[(5 * SECOND, 9 * SECOND)]);
    let recordings = record_mono(&sound, &capture());
    assert_eq!(recordings.len(), 1);
    recordings[0].assert_is(&[&sound], 3 * SECOND, 17 * SECOND);
    assert_eq!(recordings[0].start.pre_roll, 2 * SECOND);
    assert_eq!(recordings[0].end.reason, EndReason::Silence);
    assert_eq!(recordings[0].end.ended_at, BEGAN + 17_000_000_000);
    assert_eq!(
        recordings[0].start.id.timestamp_ms(),
        ((BEGAN + 3_000_000_000) / 1_000_000) as u64
    );
}

#[test]
fn a_call_at_the_very_start_has_the_pre_roll_that_there_is() {
    let sound = sound(2, 20 * SECOND, &[(SECOND, 3 * SECOND)]);
    let recordings = record_mono(&sound, &capture());
    recordings[0].assert_is(&[&sound], 0, 11 * SECOND);
    assert_eq!(recordings[0].start.pre_roll, SECOND);
}

#[test]
fn the_pre_roll_ends_where_the_previous_recording_ended() {
    let talks = [(5 * SECOND, 6 * SECOND), (15 * SECOND, 17 * SECOND)];
    let sound = sound(3, 40 * SECOND, &talks);
    let recordings = record_mono(&sound, &capture());
    assert_eq!(recordings.len(), 2);
    recordings[0].assert_is(&[&sound], 3 * SECOND, 14 * SECOND);
    recordings[1].assert_is(&[&sound], 14 * SECOND, 25 * SECOND);
    assert_eq!(recordings[1].start.continues, None);
}

#[test]
fn r2_1_a_channel_of_no_line_is_nowhere() {
    let talks = [(5 * SECOND, 9 * SECOND)];
    let channels: Vec<Vec<i16>> = (0..3).map(|n| sound(10 + n, 20 * SECOND, &talks)).collect();
    let lines = [
        line("06-6458-1132", Channels::Mixed(3)),
        line("06-6458-7160", Channels::Mixed(1)),
    ];
    let recordings = record(vec![Act::Audio(woven(&channels))], 3, &lines, &capture());
    assert_eq!(recordings.len(), 2);
    for recording in &recordings {
        let channel = usize::from(recording.start.card_channels[0]) - 1;
        assert_ne!(channel, 1);
        recording.assert_is(&[&channels[channel]], 3 * SECOND, 17 * SECOND);
    }
}

#[test]
fn of_two_channels_the_louder_one_decides_and_both_are_kept() {
    let staff = sound(20, 40 * SECOND, &[(5 * SECOND, 6 * SECOND)]);
    let caller = sound(21, 40 * SECOND, &[(12 * SECOND, 14 * SECOND)]);
    let lines = [line(
        "06-6458-1132",
        Channels::Apart {
            caller: 2,
            staff: 1,
        },
    )];
    let acts = vec![Act::Audio(woven(&[staff.clone(), caller.clone()]))];
    let recordings = record(acts, 2, &lines, &capture());
    assert_eq!(recordings.len(), 1);
    recordings[0].assert_is(&[&caller, &staff], 3 * SECOND, 22 * SECOND);
}

#[test]
fn an_overrun_is_a_gap_of_its_exact_length_at_its_exact_place() {
    let sound = sound(4, 30 * SECOND, &[(5 * SECOND, 9 * SECOND)]);
    // Not on a block's bound, and in the middle of the talk.
    let (at, length) = (7 * SECOND + 77, 1234);
    let acts = vec![
        Act::Audio(bytes(&sound[..at as usize])),
        Act::Lost(length, GapCause::Overrun),
        Act::Audio(bytes(&sound[(at + length) as usize..])),
    ];
    let recordings = record(acts, 1, &mono(), &capture());
    assert_eq!(recordings.len(), 1);
    // Blocks begin anew after a gap, so that the end is found up to a block later.
    let end = 3 * SECOND + recordings[0].frames.len() as u64;
    assert!((17 * SECOND..17 * SECOND + 160).contains(&end), "{end}");
    recordings[0].assert_is(&[&sound], 3 * SECOND, end);
    let gap = Gap {
        at: at - 3 * SECOND,
        frames: length,
        cause: GapCause::Overrun,
    };
    assert_eq!(recordings[0].gaps, [gap]);
}

#[test]
fn a_card_that_comes_back_in_time_goes_on_with_the_call() {
    let sound = sound(
        5,
        40 * SECOND,
        &[(5 * SECOND, 8 * SECOND), (14 * SECOND, 16 * SECOND)],
    );
    let mut acts = vec![Act::Audio(bytes(&sound[..8 * SECOND as usize]))];
    acts.extend(vec![Act::Lost(SECOND / 4, GapCause::Unplugged); 24]);
    acts.push(Act::Audio(bytes(&sound[14 * SECOND as usize..])));
    let recordings = record(acts, 1, &mono(), &capture());
    assert_eq!(recordings.len(), 1);
    recordings[0].assert_is(&[&sound], 3 * SECOND, 24 * SECOND);
    let gap = Gap {
        at: 5 * SECOND,
        frames: 6 * SECOND,
        cause: GapCause::Unplugged,
    };
    assert_eq!(recordings[0].gaps, [gap]);
}

#[test]
fn r2_2_what_was_said_last_is_durable_while_the_card_is_away() {
    let sound = sound(80, 8 * SECOND, &[(5 * SECOND, 8 * SECOND)]);
    let root = tempfile::tempdir().unwrap();
    let (sender, messages) = mpsc::channel();
    let acts = vec![
        Act::Audio(bytes(&sound)),
        Act::Lost(SECOND / 4, GapCause::Unplugged),
    ];
    let mut script = Script::new(Format::S16_LE, 1, RATE, acts);
    let params = script.params().clone();
    let line = Line::new(&mono()[0], &capture(), &params);
    let mut worker = Worker::new(&params, vec![line], sender);
    let mut keeper = Keeper::new(Arc::new(Writer::open(root.path()).unwrap()));
    let mut period = Period::new(&params);
    while script.read(&mut period, Duration::ZERO) == Read::Period {
        worker.period_and_post(&period);
        period.clear();
    }
    let now = Instant::now();
    for message in messages.try_iter().flatten() {
        keeper.take(message, now);
    }
    keeper.tick(now + Duration::from_secs(1));
    // The daemon dies here.
    drop(keeper);
    Writer::open(root.path()).unwrap().recover().unwrap();
    let recordings = recordings(root.path());
    recordings[0].assert_is(&[&sound], 3 * SECOND, 8 * SECOND);
    assert_eq!(recordings[0].end.reason, EndReason::Truncated);
}

#[test]
fn a_call_ends_when_its_card_stays_away() {
    let sound = sound(6, 9 * SECOND, &[(5 * SECOND, 9 * SECOND)]);
    let mut acts = vec![Act::Audio(bytes(&sound))];
    acts.extend(vec![Act::Lost(SECOND / 4, GapCause::Unplugged); 400]);
    let recordings = record(acts, 1, &mono(), &capture());
    assert_eq!(recordings.len(), 1);
    assert_eq!(recordings[0].end.reason, EndReason::CardLost);
    assert_eq!(recordings[0].frames.len() as u64, 14 * SECOND);
    assert_eq!(recordings[0].lost(), 8 * SECOND);
}

#[test]
fn the_greatest_length_splits_without_gap_or_overlap() {
    let sound = sound(7, 60 * SECOND, &[(5 * SECOND, 40 * SECOND)]);
    let capture = Capture {
        maximum_length: Duration::from_millis(10_001),
        ..capture()
    };
    let recordings = record_mono(&sound, &capture);
    let length = 10 * SECOND + 8;
    assert_eq!(recordings.len(), 5);
    let mut from = 3 * SECOND;
    for (n, recording) in recordings.iter().enumerate() {
        let last = n == 4;
        let to = if last { 48 * SECOND } else { from + length };
        recording.assert_is(&[&sound], from, to);
        let reason = if last {
            EndReason::Silence
        } else {
            EndReason::MaximumLength
        };
        assert_eq!(recording.end.reason, reason);
        let continues = n
            .checked_sub(1)
            .map(|previous| recordings[previous].start.id);
        assert_eq!(recording.start.continues, continues);
        from = to;
    }
}

#[test]
fn a_click_leaves_nothing_and_takes_nothing_from_the_next_call() {
    let click = (5 * SECOND, 5 * SECOND + 1600);
    // The next call begins right after the click was given up.
    let talk = (14 * SECOND, 16 * SECOND);
    let sound = sound(8, 40 * SECOND, &[click, talk]);
    let recordings = record_mono(&sound, &capture());
    assert_eq!(recordings.len(), 1);
    recordings[0].assert_is(&[&sound], 12 * SECOND, 24 * SECOND);
}

#[test]
fn a_stop_ends_the_call_with_the_last_frame() {
    let sound = sound(9, 7 * SECOND + 33, &[(5 * SECOND, 7 * SECOND + 33)]);
    let recordings = record_mono(&sound, &capture());
    recordings[0].assert_is(&[&sound], 3 * SECOND, 7 * SECOND + 33);
    assert_eq!(recordings[0].end.reason, EndReason::Shutdown);
}

#[test]
fn a_queue_that_overflows_loses_its_frames_and_no_alignment() {
    let sound = sound(50, 20 * SECOND, &[(5 * SECOND, 9 * SECOND)]);
    let mut script = Script::new(Format::S16_LE, 1, RATE, vec![Act::Audio(bytes(&sound))]);
    let params = script.params().clone();
    let root = tempfile::tempdir().unwrap();
    let (sender, messages) = mpsc::channel();
    let lines = vec![Line::new(&mono()[0], &capture(), &params)];
    // The worker sleeps through everything but the last periods.
    let (queue, receiver) = device::queue_of(&params, 80);
    let stop = AtomicBool::new(false);
    device::run(&mut script, queue, &std::thread::current(), &stop);
    Worker::new(&params, lines, sender).run(receiver, &stop);
    Keeper::new(Arc::new(Writer::open(root.path()).unwrap())).run(&messages);
    let recordings = recordings(root.path());
    // 80 periods of 125 ms fit: 10 s; what came after them was lost, and nothing followed.
    recordings[0].assert_is(&[&sound], 3 * SECOND, 10 * SECOND);
}

/// A spool that fails while it is told to.

#[test]
fn the_clock_of_a_line_is_the_fit_and_not_the_nominal_rate() {
    let mut anchor = Anchor::new(RATE);
    for second in 0..60 {
        let frame = second * (SECOND + 4);
        anchor.point(crate::anchor::Point {
            frame,
            utc: BEGAN + second as i64 * 1_000_000_000,
        });
    }
    let utc = anchor.utc(60 * (SECOND + 4)).unwrap();
    assert!(
        (utc - BEGAN - 60_000_000_000).abs() < 1_000_000,
        "{}",
        utc - BEGAN
    );
}
