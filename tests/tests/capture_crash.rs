//! The capture daemon killed at random moments of running calls: what had ended is archived once, what
//! had not is there too, marked, and short of the kill by no more than a second (R2.2, R5.1).

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tsuwaroku_spool::{EndReason, Entry, Summary};
use tsuwaroku_tests::card::{CHANNELS, RATE};
use tsuwaroku_tests::harness::{World, files, wait_for};
use tsuwaroku_tests::recorded::Recorded;

/// Worlds side by side, and kills in each: fifty in all.
const WORLDS: u64 = 2;
const KILLS_A_WORLD: u64 = 25;

/// Ends a test that has failed.
const LIMIT: Duration = Duration::from_secs(60);

/// Short calls, so that some are always running and some have always ended.
const SETTINGS: &str = "hang_seconds = 0.6\npre_roll_seconds = 0.3\nminimum_seconds = 0.2";

/// A unique sample for each frame of a channel: loud while it talks, faint while it does not. Channel
/// 1 talks all the time, the others in turns of their own.
fn sample(channel: u16, frame: u64) -> i16 {
    let mixed = (frame << 3 | u64::from(channel)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let noise = (mixed ^ mixed >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 48;
    let second = frame / u64::from(RATE);
    let talks = channel == 1 || (second + u64::from(channel)) % 5 < 3;
    let amplitude = if talks { 2 } else { 2048 };
    noise as i16 / amplitude
}

/// Writes what the card plays, and gives back its length in frames.
fn make_card(path: &Path, seconds: u64) -> u64 {
    let frames = seconds * u64::from(RATE);
    let mut bytes = Vec::with_capacity(frames as usize * usize::from(CHANNELS) * 2);
    for frame in 0..frames {
        for channel in 1..=CHANNELS {
            bytes.extend_from_slice(&sample(channel, frame).to_le_bytes());
        }
    }
    fs::write(path, bytes).unwrap();
    frames
}

/// The frame at which `samples` were played on `channel`, if they were.
fn played_at(places: &BTreeMap<[i16; 8], u64>, channel: u16, samples: &[i16]) -> Option<u64> {
    let begin = *places.get(samples.first_chunk()?)?;
    let same = samples
        .iter()
        .zip(begin..)
        .all(|(&heard, frame)| heard == sample(channel, frame));
    same.then_some(begin)
}

fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_nanos() as i64
}

fn summary(path: &Path) -> Summary {
    Entry::open(path)
        .unwrap()
        .check()
        .unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn fifty_kills_cost_at_most_a_second_each() {
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("card.raw");
    let frames = make_card(&raw, 150);
    std::thread::scope(|scope| {
        for seed in 0..WORLDS {
            let raw = &raw;
            scope.spawn(move || kill_again_and_again(raw, frames, seed));
        }
    });
}

fn kill_again_and_again(raw: &Path, frames: u64, seed: u64) {
    let world = World::with_capture(SETTINGS).unwrap();
    let _feed = world.start_feed(raw, 1.0).unwrap();
    let incoming = world.spool().join("incoming");
    // What ran at each kill, and when that was.
    let mut killed: Vec<(PathBuf, i64)> = Vec::new();
    for kill in 0..KILLS_A_WORLD {
        let mut capture = world.start_capture().unwrap();
        wait_for("a running call", LIMIT, || {
            let heard = |path: &PathBuf| fs::metadata(path).is_ok_and(|file| file.len() > 9000);
            files(&incoming).iter().any(heard).then_some(())
        });
        let moment = (kill * 7 + seed * 3) * 7919 % 1900;
        std::thread::sleep(Duration::from_millis(moment));
        capture.kill();
        let at = now();
        let running = files(&incoming)
            .into_iter()
            .filter(|path| path.extension().is_some());
        killed.extend(running.map(|path| (world.spool().join("ready").join(name(&path)), at)));
    }
    let capture = world.start_capture().unwrap();
    for (path, _) in &killed {
        wait_for("a killed call to be handed over", LIMIT, || {
            path.exists().then_some(())
        });
    }
    assert!(capture.stop().success());
    let mut truncated = 0;

    for (path, at) in &killed {
        let call = summary(path);
        // Killed between its last record and its publication, it had ended by itself.
        if call.end.reason == EndReason::Silence {
            continue;
        }
        truncated += 1;
        assert_eq!(call.end.reason, EndReason::Truncated, "{}", path.display());
        let frames = i128::from(call.end.frames);
        let end = call.start.started_at + (frames * 1_000_000_000 / i128::from(RATE)) as i64;
        let short = *at - end;
        assert!(
            short <= 1_000_000_000,
            "{} is {short} ns short of the kill",
            path.display()
        );
    }
    assert!(truncated >= KILLS_A_WORLD, "channel 1 talks all the time");
    check_samples(&world, frames);
    check_archive(&world);
}

fn name(path: &Path) -> &std::ffi::OsStr {
    path.file_name().unwrap()
}

/// Every call is a stretch of what its channel played, without a hole. Idle lines follow the card's
/// end; the kills are over by then.
fn check_samples(world: &World, frames: u64) {
    let mut places: BTreeMap<u16, BTreeMap<[i16; 8], u64>> = BTreeMap::new();
    for channel in 1..CHANNELS {
        let samples: Vec<i16> = (0..frames).map(|frame| sample(channel, frame)).collect();
        let place = |(frame, eight): (usize, &[i16])| (eight.try_into().unwrap(), frame as u64);
        places.insert(channel, samples.windows(8).enumerate().map(place).collect());
    }
    for path in world.ready() {
        let call = Recorded::read(&path).unwrap();
        assert!(call.gaps.is_empty(), "{}", path.display());
        // Killed between the call's first record and its first audio.
        if call.end.frames == 0 {
            continue;
        }
        let samples = &call.pieces[0].samples;
        let at = played_at(&places[&call.channel()], call.channel(), samples);
        assert!(at.is_some(), "{} is not what was played", path.display());
    }
}

/// Each call of the spool becomes one recording.
fn check_archive(world: &World) {
    let calls: HashSet<String> = world
        .ready()
        .iter()
        .map(|path| summary(path).start.id.to_string())
        .collect();
    assert!(world.tsuwaroku(&["init"]).unwrap().status.success());
    let serve = world.start_serve().unwrap();
    wait_for("the spool to be emptied", LIMIT, || {
        (world.is_mounted() && world.ready().is_empty()).then_some(())
    });
    let found = world
        .tsuwaroku(&["find", "--limit", "10000", "--json"])
        .unwrap()
        .stdout;
    let found: Vec<serde_json::Value> = serde_json::from_slice(&found).unwrap();
    assert_eq!(found.len(), calls.len());
    let archived: HashSet<String> = found
        .iter()
        .map(|call| call["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(archived, calls);
    assert!(found.iter().any(|call| call["end"] == "truncated"));
    assert!(
        found.iter().any(|call| call["end"] == "silence"),
        "some calls ended by themselves"
    );
    assert!(serve.stop().success());
    let quarantined = files(&world.spool().join("quarantine"));
    assert!(quarantined.is_empty(), "{quarantined:?}");
}
