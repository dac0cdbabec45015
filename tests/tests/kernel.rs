//! Goal: what the capture daemon hears through a real kernel's sound card is what was played, bit
//! for bit, and what it did not hear is a gap of exactly the right length.
//!
//! One boot of the rig with an eight-channel loopback card: two calls on each of eight lines; an
//! overrun in the middle of eight calls; the card unplugged in the middle of eight calls, and calls
//! again after it is back (R2.2, R5.1). The script is `rig/guest/kernel.sh`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tsuwaroku_spool::{EndReason, GapCause};
use tsuwaroku_tests::bursts::{self, Talk};
use tsuwaroku_tests::harness::{binary, files};
use tsuwaroku_tests::recorded::{Piece, Recorded};
use tsuwaroku_tests::rig::Rig;
use tsuwaroku_tests::stretch;

const RATE: u64 = 8000;
const CHANNELS: u16 = 8;

/// Seconds of talk, as frames.
fn talk(seconds: std::ops::Range<f64>) -> std::ops::Range<u64> {
    let frame = |second: f64| (second * RATE as f64) as u64;
    frame(seconds.start)..frame(seconds.end)
}

/// Something that is played, with its calls: `calls[channel - 1][call]` is the talk of a call.
struct Source {
    name: &'static str,
    frames: u64,
    calls: Vec<Vec<Talk>>,
    samples: Vec<Vec<i16>>,
}

impl Source {
    /// `calls` says what is talked on a channel. Each channel is a little later than the one
    /// before, so that a mix-up of channels or of beginnings shows.
    fn new(name: &'static str, seed: u64, seconds: u64, calls: fn(f64) -> Vec<Talk>) -> Self {
        let frames = seconds * RATE;
        let calls: Vec<_> = (0..CHANNELS)
            .map(|channel| calls(f64::from(channel) * 0.13))
            .collect();
        let samples = (1..)
            .zip(&calls)
            .map(|(channel, calls)| bursts::channel(seed, channel, frames, &calls.concat()))
            .collect();
        Self {
            name,
            frames,
            calls,
            samples,
        }
    }

    /// Where in this source `piece` of a recording from `channel` was played, if it was.
    fn find(&self, channel: u16, piece: &[i16]) -> Option<u64> {
        stretch::find(&self.samples[usize::from(channel) - 1], piece)
    }
}

fn sources() -> [Source; 4] {
    [
        Source::new("plain", 1, 24, |late| {
            let first = vec![talk(3.0 + late..6.0 + late), talk(7.2 + late..9.0 + late)];
            vec![first, vec![talk(15.0 + late..17.0 + late)]]
        }),
        Source::new("overrun", 2, 18, |late| {
            vec![vec![talk(3.0 + late..11.0 + late)]]
        }),
        Source::new("cut", 3, 14, |late| vec![vec![talk(3.0 + late..13.0)]]),
        Source::new("again", 4, 13, |late| {
            vec![vec![talk(3.0 + late..6.0 + late)]]
        }),
    ]
}

/// The rules for calls are shorter than an office's, so that the boot does not take minutes; the
/// buffer is short so that the overrun need not be long.
fn configuration() -> String {
    let mut text = "[site]\nname = \"the rig\"\n\n\
         [capture]\nspool = \"/run/spool\"\nhang_seconds = 3.0\nbuffer_seconds = 1.0\n"
        .to_owned();
    for channel in 1..=CHANNELS {
        let _ = write!(
            text,
            "\n[[line]]\nnumber = \"06-6458-100{channel}\"\nname = \"line {channel}\"\n\
             purpose = \"a test\"\ncard = \"hw:CARD=Loopback,DEV=1\"\nchannel = {channel}\n"
        );
    }
    text
}

#[test]
fn a_real_kernel_is_recorded_bit_for_bit() {
    let results = tempfile::tempdir().unwrap();
    let sources = sources();
    for source in &sources {
        let path = results.path().join(source.name).with_extension("raw");
        fs::write(path, bursts::interleave(&source.samples)).unwrap();
    }
    fs::write(results.path().join("tsuwaroku.toml"), configuration()).unwrap();

    let rig = Rig {
        results: results.path().to_owned(),
        memory: 1024,
        limit: Duration::from_secs(400),
    };
    let status = rig
        .run("kernel.sh", &[&binary("tsuwaroku-capture")])
        .unwrap();
    let log = fs::read_to_string(results.path().join("capture.log")).unwrap_or_default();
    assert!(
        status.success(),
        "the script ended with {status}; the daemon said:\n{log}"
    );
    let stopped = fs::read_to_string(results.path().join("capture.status")).unwrap();
    assert_eq!(
        stopped.trim(),
        "0",
        "the daemon's exit status; it said:\n{log}"
    );

    let recorded = recorded(&results.path().join("spool"));
    let [plain, overrun, cut, again] = &sources;
    for channel in 1..=CHANNELS {
        let calls: Vec<_> = recorded
            .iter()
            .filter(|call| call.channel() == channel)
            .collect();
        let [first, second, held_up, lost, after] = calls[..] else {
            panic!(
                "{} calls of channel {channel}; the daemon said:\n{log}",
                calls.len()
            );
        };
        check_whole(first, plain, 0);
        check_whole(second, plain, 1);
        check_overrun(held_up, overrun);
        check_lost(lost, cut);
        check_whole(after, again, 0);
    }
}

/// Everything in the spool: finished calls, in the order in which they began, and nothing else.
fn recorded(spool: &Path) -> Vec<Recorded> {
    let mut calls: Vec<_> = files(spool)
        .iter()
        .map(|path| {
            assert_eq!(
                path.parent(),
                Some(spool.join("ready").as_path()),
                "{}",
                path.display()
            );
            Recorded::read(path).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()))
        })
        .collect();
    calls.sort_by_key(|call| call.start.started_at);
    calls
}

/// A call without a gap: from before its first word until after its last, one piece of the source.
fn check_whole(call: &Recorded, source: &Source, index: usize) {
    assert_eq!(
        (call.gaps.as_slice(), call.end.reason),
        ([].as_slice(), EndReason::Silence)
    );
    let [piece] = call.pieces.as_slice() else {
        panic!("{}: {} pieces and no gap", source.name, call.pieces.len());
    };
    let begin = position(call, piece, source);
    check_covers(call, begin, source, index);
}

/// A call with an overrun: the gaps are so long that what follows is where it was in the source.
fn check_overrun(call: &Recorded, source: &Source) {
    assert!(
        !call.gaps.is_empty(),
        "the overrun on channel {} left no gap",
        call.channel()
    );
    assert!(
        call.gaps.iter().all(|gap| gap.cause == GapCause::Overrun),
        "{:?}",
        call.gaps
    );
    assert_eq!(call.end.reason, EndReason::Silence);
    let begin = position(call, &call.pieces[0], source);
    for piece in &call.pieces {
        assert_eq!(
            position(call, piece, source) - begin,
            piece.at,
            "{}, channel {}: gaps {:?} do not have the length of what was lost",
            source.name,
            call.channel(),
            call.gaps
        );
    }
    let lost: u64 = call.gaps.iter().map(|gap| gap.frames).sum();
    let kept: usize = call.pieces.iter().map(|piece| piece.samples.len()).sum();
    assert_eq!(lost + kept as u64, call.end.frames);
    check_covers(call, begin, source, 0);
}

/// A call whose card went away: true until then, and afterwards nothing is invented. Either the
/// call ended with the card, or the card came back first and the call has a gap.
fn check_lost(call: &Recorded, source: &Source) {
    let begin = position(call, &call.pieces[0], source);
    let talk = &source.calls[usize::from(call.channel()) - 1][0][0];
    assert!(begin + RATE <= talk.start, "the pre-roll is missing");
    let heard = begin + call.pieces[0].samples.len() as u64;
    assert!(
        heard >= talk.start + RATE,
        "hardly anything of the call was kept"
    );
    assert!(
        heard < source.frames,
        "the card was not unplugged in the call"
    );
    match call.end.reason {
        EndReason::CardLost => {}
        EndReason::Silence => {
            assert!(
                call.gaps.iter().any(|gap| gap.cause == GapCause::Unplugged),
                "{call:?}"
            );
        }
        other => panic!("ended with {other:?}"),
    }
    assert!(
        call.gaps.iter().all(|gap| gap.cause == GapCause::Unplugged),
        "{:?}",
        call.gaps
    );
    // Nobody plays into the card when it comes back: it delivers zeros.
    let after = call.pieces[1..].iter().flat_map(|piece| &piece.samples);
    assert!(
        after.copied().all(|sample| sample == 0),
        "sound after the card was lost"
    );
}

fn position(call: &Recorded, piece: &Piece, source: &Source) -> u64 {
    source
        .find(call.channel(), &piece.samples)
        .unwrap_or_else(|| {
            panic!(
                "{} frames at {} of the recording from channel {} are not in {}; gaps {:?}",
                piece.samples.len(),
                piece.at,
                call.channel(),
                source.name,
                call.gaps
            )
        })
}

/// The recording, which begins at frame `begin` of the source, holds all talk of the call, and the
/// two seconds of pre-roll less what it may take to notice a call.
fn check_covers(call: &Recorded, begin: u64, source: &Source, index: usize) {
    let talk = &source.calls[usize::from(call.channel()) - 1][index];
    let (first, last) = (talk[0].start, talk[talk.len() - 1].end);
    assert!(
        begin + RATE * 3 / 2 <= first && begin + call.end.frames >= last,
        "{}, channel {}: talk from {first} to {last}, recorded {} frames from {begin}",
        source.name,
        call.channel(),
        call.end.frames
    );
}
