//! The frozen files in `fixtures/`: what was once written stays readable, what was refused stays
//! refused, and tsuwaroku-spool(5) tells the truth about them.

mod recipes;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::tempdir;
use tsuwaroku_spool::{
    Digits, Encoding, End, EndReason, Entry, EntryFault, Gap, GapCause, Outcome, Record, Start,
    Summary, Writer, Wrong, entry_name,
};
use ulid::Ulid;

fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    folder.join(name)
}

fn id(text: &str) -> Ulid {
    Ulid::from_string(text).unwrap()
}

fn mono_start() -> Start {
    Start {
        id: id(recipes::MONO),
        line: "06-6458-1132".into(),
        card: "hw:0".into(),
        card_channels: vec![1],
        rate: 8000,
        encoding: Encoding::S16,
        started_at: 1_763_946_935_000_000_000,
        pre_roll: 4,
        continues: None,
        recorder: "tsuwaroku-capture 0.1.0".into(),
    }
}

fn mono() -> Summary {
    Summary {
        start: mono_start(),
        end: End {
            frames: 12,
            ended_at: 1_763_946_935_001_500_000,
            reason: EndReason::Silence,
        },
        gaps: vec![],
        digits: vec![],
        audio_bytes: 24,
    }
}

fn stereo() -> Summary {
    Summary {
        start: Start {
            id: id(recipes::STEREO),
            line: "06-6458-7160".into(),
            card: "plughw:Card,0".into(),
            card_channels: vec![3, 4],
            encoding: Encoding::MuLaw,
            started_at: 1_763_946_936_000_000_000,
            pre_roll: 0,
            continues: Some(id(recipes::MONO)),
            ..mono_start()
        },
        end: End {
            frames: 15,
            ended_at: 1_763_946_936_001_875_000,
            reason: EndReason::MaximumLength,
        },
        gaps: vec![
            Gap {
                at: 4,
                frames: 6,
                cause: GapCause::Overrun,
            },
            Gap {
                at: 13,
                frames: 2,
                cause: GapCause::Queue,
            },
        ],
        digits: vec![Digits {
            at: 2,
            digits: "06#A".into(),
        }],
        audio_bytes: 14,
    }
}

fn fault(path: &Path) -> EntryFault {
    Entry::open(path)
        .and_then(|mut entry| entry.check())
        .expect_err("is refused")
}

#[test]
fn frozen_bytes_are_those_of_the_recipes() {
    let frozen = fs::read_dir(fixture("")).unwrap();
    let frozen: BTreeSet<_> = frozen
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    let made: BTreeSet<_> = recipes::all()
        .iter()
        .map(|(n, _)| (*n).to_owned())
        .collect();
    assert_eq!(frozen, made);
    for (name, bytes) in recipes::all() {
        assert_eq!(fs::read(fixture(name)).unwrap(), bytes, "{name}");
    }
}

#[test]
fn good_entries_read_as_they_were_meant() {
    for (name, meant) in [
        ("good-mono-s16.call", mono()),
        ("good-stereo-mulaw.call", stereo()),
    ] {
        let mut entry = Entry::open(&fixture(name)).unwrap();
        assert_eq!(entry.check().unwrap(), meant, "{name}");
        // A second pass begins at the beginning again.
        assert_eq!(entry.check().unwrap(), meant, "{name}");
    }
}

#[test]
fn records_give_the_samples_in_order_and_the_end_last() {
    let mut entry = Entry::open(&fixture("good-stereo-mulaw.call")).unwrap();
    let records: Result<Vec<_>, _> = entry.records().unwrap().collect();
    let meant = stereo();
    let audio = |at, samples: &[u8]| Record::Audio {
        at,
        samples: samples.to_vec(),
    };
    assert_eq!(
        records.unwrap(),
        [
            Record::Start(meant.start),
            audio(0, recipes::STEREO_AUDIO[0]),
            Record::Gap(meant.gaps[0]),
            Record::Digits(meant.digits[0].clone()),
            audio(10, recipes::STEREO_AUDIO[1]),
            Record::Gap(meant.gaps[1]),
            Record::End(meant.end),
        ]
    );
}

#[test]
fn the_writer_still_writes_the_frozen_bytes() {
    let spool = tempdir().unwrap();
    let writer = Writer::open(spool.path()).unwrap();

    let meant = mono();
    let mut call = writer.begin(meant.start).unwrap();
    for part in recipes::MONO_AUDIO {
        call.audio(part).unwrap();
    }
    let path = call.finish(meant.end.ended_at, meant.end.reason).unwrap();
    assert_eq!(
        fs::read(path).unwrap(),
        fs::read(fixture("good-mono-s16.call")).unwrap()
    );

    let meant = stereo();
    let mut call = writer.begin(meant.start).unwrap();
    call.audio(recipes::STEREO_AUDIO[0]).unwrap();
    call.gap(6, GapCause::Overrun).unwrap();
    call.digits(&meant.digits[0]).unwrap();
    call.audio(recipes::STEREO_AUDIO[1]).unwrap();
    call.gap(2, GapCause::Queue).unwrap();
    let path = call.finish(meant.end.ended_at, meant.end.reason).unwrap();
    assert_eq!(
        fs::read(path).unwrap(),
        fs::read(fixture("good-stereo-mulaw.call")).unwrap()
    );
}

/// What is wrong with each fixture that is not good: the record, and the rule.
fn refusals() -> Vec<(&'static str, u32, Wrong)> {
    let missing = |missing| Wrong::Short { missing };
    vec![
        ("future-version.call", 0, Wrong::Version(2)),
        ("future-flag.call", 0, Wrong::Flags(0x8000)),
        ("future-kind.call", 1, Wrong::Kind(9)),
        ("damaged-empty.call", 0, missing(16)),
        ("damaged-magic.call", 0, Wrong::Magic),
        ("damaged-reserved.call", 0, Wrong::Reserved),
        ("damaged-sample.call", 1, Wrong::Crc),
        ("damaged-length.call", 1, Wrong::Length(0x20_0018)),
        ("damaged-no-start.call", 0, Wrong::NoStart),
        ("damaged-second-start.call", 3, Wrong::SecondStart),
        ("damaged-dropped-record.call", 1, Wrong::Crc),
        ("damaged-swapped-records.call", 1, Wrong::Crc),
        ("damaged-foreign-record.call", 1, Wrong::Crc),
        ("damaged-short.call", 2, missing(1)),
        ("damaged-no-end.call", 3, Wrong::NoEnd),
        ("damaged-after-end.call", 4, Wrong::AfterEnd),
        (
            "damaged-position.call",
            3,
            Wrong::Position {
                expected: 12,
                found: 11,
            },
        ),
        (
            "damaged-partial-frame.call",
            3,
            Wrong::PartialFrame {
                bytes: 1,
                frame_bytes: 2,
            },
        ),
        (
            "damaged-end-frames.call",
            3,
            Wrong::EndFrames {
                counted: 12,
                stated: 13,
            },
        ),
        ("damaged-huge-gap.call", 1, Wrong::TooLong),
        (
            "damaged-rate.call",
            0,
            Wrong::Start("the rate is not 1000 to 384000 Hz"),
        ),
        (
            "damaged-control-character.call",
            0,
            Wrong::Start("the card is longer than 256 bytes or has control characters"),
        ),
    ]
}

#[test]
fn bad_entries_are_refused_by_the_rule_they_break() {
    for (name, at, rule) in refusals() {
        let fault = fault(&fixture(name));
        assert!(fault.is_content(), "{name}");
        match fault {
            EntryFault::Content { record, wrong, .. } => {
                assert_eq!((record, wrong), (at, rule), "{name}");
            }
            other => panic!("{name}: {other}"),
        }
    }
}

#[test]
fn what_an_entry_says_is_escaped_in_the_message() {
    let message = fault(&fixture("damaged-json.call")).to_string();
    assert!(message.contains("s17"), "{message}");
    assert!(!message.chars().any(char::is_control), "{message}");
}

#[test]
fn every_fixture_is_tested() {
    let good = [
        "good-mono-s16.call",
        "good-stereo-mulaw.call",
        "future-skippable-kind.call",
        "damaged-json.call",
    ];
    let tested: BTreeSet<_> = refusals()
        .iter()
        .map(|(name, ..)| *name)
        .chain(good)
        .collect();
    let all: BTreeSet<_> = recipes::all().iter().map(|(name, _)| *name).collect();
    assert_eq!(tested, all);
}

#[test]
fn a_record_that_may_be_skipped_is_skipped() {
    let mut entry = Entry::open(&fixture("future-skippable-kind.call")).unwrap();
    let records: Result<Vec<_>, _> = entry.records().unwrap().collect();
    let [Record::Start(_), Record::End(end)] = &records.unwrap()[..] else {
        panic!("not a start and an end");
    };
    assert_eq!(end.reason, EndReason::Shutdown);
}

#[test]
fn every_changed_byte_is_noticed() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("changed.call");
    let good = recipes::mono().bytes;
    for at in 0..good.len() {
        for mask in [1, 2, 4, 8, 16, 32, 64, 128, 255] {
            let mut bytes = good.clone();
            bytes[at] ^= mask;
            fs::write(&path, bytes).unwrap();
            let fault = fault(&path);
            assert!(fault.is_content(), "byte {at} changed by {mask}: {fault}");
        }
    }
}

/// The end that recovery gives a recording cut after this record.
fn closed(summary: &Summary, frames: u64) -> End {
    End {
        frames,
        ended_at: summary.start.started_at + frames as i64 * 125_000,
        reason: EndReason::Truncated,
    }
}

/// Frames at the end of each record.
fn frames_after(records: &[Record], frame_bytes: usize) -> Vec<u64> {
    let mut frames = 0;
    let after = records.iter().map(|record| {
        frames += match record {
            Record::Audio { samples, .. } => (samples.len() / frame_bytes) as u64,
            Record::Gap(gap) => gap.frames,
            _ => 0,
        };
        frames
    });
    after.collect()
}

/// Cuts an entry after each byte, recovers it, and compares what is published.
fn cut_everywhere(raw: &recipes::Raw, summary: &Summary, name: &str) {
    let spool = tempdir().unwrap();
    let writer = Writer::open(spool.path()).unwrap();
    let mut entry = Entry::open(&fixture(name)).unwrap();
    let whole: Result<Vec<_>, _> = entry.records().unwrap().collect();
    let whole = whole.unwrap();
    let frames = frames_after(&whole, summary.start.frame_bytes());
    let file = entry_name(summary.start.id);
    for length in 0..=raw.bytes.len() {
        fs::write(
            spool.path().join("incoming").join(&file),
            &raw.bytes[..length],
        )
        .unwrap();
        let recovered = writer.recover().unwrap();
        assert_eq!(recovered.len(), 1);
        let kept = raw.ends.iter().filter(|end| **end <= length).count();
        match &recovered[0].outcome {
            Outcome::Empty => assert_eq!(length, 0),
            Outcome::Quarantined { .. } => assert!(length > 0 && kept == 0, "{length}"),
            Outcome::Complete { .. } => assert_eq!(length, raw.bytes.len()),
            Outcome::Truncated { path, cut, .. } => {
                assert!(kept > 0 && length < raw.bytes.len(), "{length}");
                assert_eq!(*cut, (length - raw.ends[kept - 1]) as u64);
                let mut meant = whole[..kept].to_vec();
                meant.push(Record::End(closed(summary, frames[kept - 1])));
                let mut entry = Entry::open(path).unwrap();
                let found: Result<Vec<_>, _> = entry.records().unwrap().collect();
                assert_eq!(found.unwrap(), meant, "cut at {length}");
            }
            Outcome::Failed(error) => panic!("cut at {length}: {error}"),
        }
        let _ = fs::remove_file(spool.path().join("ready").join(&file));
        assert!(writer.recover().unwrap().is_empty(), "cut at {length}");
    }
}

#[test]
fn a_mono_recording_cut_anywhere_is_closed() {
    cut_everywhere(&recipes::mono(), &mono(), "good-mono-s16.call");
}

#[test]
fn a_stereo_recording_cut_anywhere_is_closed() {
    cut_everywhere(&recipes::stereo(), &stereo(), "good-stereo-mulaw.call");
}

#[test]
fn the_manual_counts_the_bytes_of_the_example_right() {
    let manual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../man/tsuwaroku-spool.5");
    let manual = fs::read_to_string(manual).unwrap();
    let raw = recipes::mono();
    let starts = [16].iter().chain(&raw.ends).zip(&raw.ends);
    let kinds = ["start", "audio", "audio", "end"];
    let mut rows = vec!["0\t16\t0\t16\tfile header".to_owned()];
    for ((start, end), kind) in starts.zip(kinds) {
        let (size, payload) = (end - start, end - start - 16);
        rows.push(format!("{start}\t16\t{payload}\t{size}\t{kind}"));
    }
    rows.push(format!("{}\t\t\t\ttotal", raw.bytes.len()));
    for row in rows {
        assert!(manual.lines().any(|line| line == row), "no line {row:?}");
    }
    for n in 0..4 {
        let at = [16, raw.ends[0], raw.ends[1], raw.ends[2]][n] + 12;
        let crc = u32::from_le_bytes(raw.bytes[at..at + 4].try_into().unwrap());
        assert!(manual.contains(&format!("{crc:08x}")), "no CRC {crc:08x}");
    }
}
