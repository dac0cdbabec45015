//! Where calls begin and end: a pure state machine for each line.
//!
//! What lives here: every decision on the bounds of a recording, in frames of the card's clock. What
//! does not: samples, files, the wall clock. `line` feeds it and carries its decisions out.
//!
//! ```text
//! Idle ─loud─► Rising ─rise time─► Talking ◄─loud── Tail ─hang time─► ended, Idle
//!   ▲            │ silent             └──silent─────►┘
//!   └────────────┘
//! ```
//! A recording begins the pre-roll before the onset, or where the previous one ended; it ends when
//! the hang time has run out, the tail included. Lost audio counts as silence for the hang time, but
//! never proves that a call was only a click.

use crate::floor::Floor;
use crate::level::millibels;
use std::time::Duration;
use tsuwaroku_config::Capture;
use tsuwaroku_spool::record::{EndReason, GapCause};

/// Length of a block of which the level is taken: one period of the 50 Hz mains.
pub const BLOCK: Duration = Duration::from_millis(20);

/// Frames in `time` at `rate` Hz, rounded down.
pub fn frames_in(time: Duration, rate: u32) -> u64 {
    (time.as_nanos() * u128::from(rate) / 1_000_000_000) as u64
}

/// What the detector goes by; times in frames.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Frames a second, Hz.
    pub rate: u32,
    /// Blocks that must be loud in a row before a call begins; at least 1.
    pub rise_blocks: u64,
    /// How long the line must be silent before a call ends.
    pub hang: u64,
    /// Kept from before the onset.
    pub pre_roll: u64,
    /// Talk shorter than this is a click.
    pub minimum: u64,
    /// A recording that is this long is continued in a new one; at least 1.
    pub maximum: u64,
    /// Over the noise floor, mB.
    pub margin: i32,
    /// Never talk below this, mB.
    pub threshold: i32,
}

impl Settings {
    /// The settings of `capture` for a card that runs at `rate` Hz.
    pub fn new(capture: &Capture, rate: u32) -> Self {
        let frames = |time| frames_in(time, rate);
        Self {
            rate,
            // A stretch of the rise time that lies across block bounds fills one block less.
            rise_blocks: (frames(capture.rise_time) / frames(BLOCK))
                .saturating_sub(1)
                .max(1),
            hang: frames(capture.hang_time),
            pre_roll: frames(capture.pre_roll),
            minimum: frames(capture.minimum_length),
            maximum: frames(capture.maximum_length).max(1),
            margin: millibels(capture.margin_db),
            threshold: millibels(capture.threshold_dbfs),
        }
    }
}

/// A decision. Frames are counted from the card's start, gaps included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A call begins: record from `start` on; it was noticed at `onset`.
    Begin {
        /// First frame of the recording.
        start: u64,
        /// First frame of the talk.
        onset: u64,
    },
    /// The recording has its greatest length: end it before frame `at`, and begin another there.
    Split {
        /// First frame of the next recording.
        at: u64,
    },
    /// The call ended: the recording ends before frame `at`.
    End {
        /// The frame after the last one.
        at: u64,
        /// Silence or a lost card.
        reason: EndReason,
    },
    /// It was a click: nothing is kept of the recording.
    Discard,
}

/// The state machine of one line.
#[derive(Debug, Clone)]
pub struct Detector {
    settings: Settings,
    floor: Floor,
    state: State,
    /// The next frame to come.
    now: u64,
    /// End of the last recording that was kept: the next one begins no earlier.
    previous_end: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    /// Loud since `onset`, for `blocks` blocks.
    Rising {
        onset: u64,
        blocks: u64,
    },
    Talking(Call),
    /// Silent since frame `since`.
    Tail {
        call: Call,
        since: u64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Call {
    /// First frame of the current recording.
    start: u64,
    onset: u64,
    /// It continues an earlier recording.
    continued: bool,
    /// Audio was lost since the onset.
    gapped: bool,
}

impl Detector {
    /// A detector for a line whose next frame is `now`.
    pub fn new(settings: Settings, now: u64) -> Self {
        Self {
            settings,
            floor: Floor::new(settings.rate, settings.margin, settings.threshold),
            state: State::Idle,
            now,
            previous_end: now,
        }
    }

    /// Takes a block of `frames` frames with a level of `level` mB, and says what follows from it.
    pub fn block(&mut self, frames: u64, level: i32) -> Vec<Event> {
        let loud = level > self.floor.threshold();
        self.floor.hear(frames, level);
        let begin = self.now;
        self.now += frames;
        if loud {
            self.loud(begin)
        } else {
            self.silent(begin, EndReason::Silence)
        }
    }

    /// Takes `frames` frames of lost audio, and says what follows.
    pub fn gap(&mut self, frames: u64, cause: GapCause) -> Vec<Event> {
        let begin = self.now;
        self.now += frames;
        if let State::Talking(call) | State::Tail { call, .. } = &mut self.state {
            call.gapped = true;
        }
        let reason = match cause {
            GapCause::Unplugged => EndReason::CardLost,
            GapCause::Overrun | GapCause::Queue | GapCause::Spool => EndReason::Silence,
        };
        self.silent(begin, reason)
    }

    fn loud(&mut self, begin: u64) -> Vec<Event> {
        let mut events = Vec::new();
        self.state = match self.state {
            State::Idle => self.rise(begin, 1, &mut events),
            State::Rising { onset, blocks } => self.rise(onset, blocks + 1, &mut events),
            State::Talking(call) | State::Tail { call, .. } => State::Talking(call),
        };
        self.split(self.now, &mut events);
        events
    }

    fn rise(&self, onset: u64, blocks: u64, events: &mut Vec<Event>) -> State {
        if blocks < self.settings.rise_blocks {
            return State::Rising { onset, blocks };
        }
        let start = onset
            .saturating_sub(self.settings.pre_roll)
            .max(self.previous_end);
        events.push(Event::Begin { start, onset });
        State::Talking(Call {
            start,
            onset,
            continued: false,
            gapped: false,
        })
    }

    fn silent(&mut self, begin: u64, reason: EndReason) -> Vec<Event> {
        let mut events = Vec::new();
        match self.state {
            State::Idle => {}
            State::Rising { .. } => self.state = State::Idle,
            State::Talking(call) => self.tail(call, begin, reason, &mut events),
            State::Tail { call, since } => self.tail(call, since, reason, &mut events),
        }
        events
    }

    /// Goes on with a tail that began at `since`, up to the present.
    fn tail(&mut self, call: Call, since: u64, reason: EndReason, events: &mut Vec<Event>) {
        self.state = State::Tail { call, since };
        let end = since + self.settings.hang;
        if self.now < end {
            self.split(self.now, events);
            return;
        }
        // An end at the very frame of a split needs no continuation.
        self.split(end.saturating_sub(1), events);
        self.end(end, since, reason, events);
    }

    /// Splits the recording as often as its greatest length was reached by frame `until`.
    fn split(&mut self, until: u64, events: &mut Vec<Event>) {
        let maximum = self.settings.maximum;
        let (State::Talking(call) | State::Tail { call, .. }) = &mut self.state else {
            return;
        };
        while call.start + maximum <= until {
            call.start += maximum;
            call.continued = true;
            events.push(Event::Split { at: call.start });
        }
    }

    fn end(&mut self, at: u64, since: u64, reason: EndReason, events: &mut Vec<Event>) {
        let State::Tail { call, .. } = self.state else {
            return;
        };
        self.state = State::Idle;
        let click = since - call.onset < self.settings.minimum;
        if click && !call.continued && !call.gapped {
            events.push(Event::Discard);
        } else {
            self.previous_end = at;
            events.push(Event::End { at, reason });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BLOCK: u64 = 160;
    const LOUD: i32 = -2000;
    const QUIET: i32 = -7000;

    /// Hang 10 blocks, pre-roll 5, rise 3, minimum 4, maximum as told.
    fn settings(maximum: u64) -> Settings {
        Settings {
            rate: 8000,
            rise_blocks: 3,
            hang: 10 * BLOCK,
            pre_roll: 5 * BLOCK,
            minimum: 4 * BLOCK,
            maximum: maximum * BLOCK,
            margin: 1000,
            threshold: -5000,
        }
    }

    /// Plays `script`: `L` a loud block, `.` a quiet one, `u` and `o` blocks lost to an unplugged
    /// card and to an overrun. Gives what was decided, in blocks.
    fn decided(script: &str, maximum: u64) -> Vec<String> {
        let mut detector = Detector::new(settings(maximum), 0);
        let one = |step: char| match step {
            'L' => detector.block(BLOCK, LOUD),
            '.' => detector.block(BLOCK, QUIET),
            'u' => detector.gap(BLOCK, GapCause::Unplugged),
            _ => detector.gap(BLOCK, GapCause::Overrun),
        };
        let blocks = |frames: u64| frames / BLOCK;
        script
            .chars()
            .flat_map(one)
            .map(|event| match event {
                Event::Begin { start, onset } => {
                    format!("begin {}/{}", blocks(start), blocks(onset))
                }
                Event::Split { at } => format!("split {}", blocks(at)),
                Event::End { at, reason } => format!("end {} {reason:?}", blocks(at)),
                Event::Discard => "discard".to_owned(),
            })
            .collect()
    }

    #[test]
    fn calls_begin_and_end_as_the_table_says() {
        let quiet = ".".repeat(8);
        let hang = ".".repeat(10);
        let away = "u".repeat(10);
        let table: &[(String, u64, &[&str])] = &[
            // Too short to rise; rises but is a click; long enough.
            (format!("{quiet}LL{hang}"), 999, &[]),
            (format!("{quiet}LLL{hang}"), 999, &["begin 3/8", "discard"]),
            (
                format!("{quiet}LLLL{hang}"),
                999,
                &["begin 3/8", "end 22 Silence"],
            ),
            // The pre-roll is cut by the beginning, and by the previous recording.
            (format!("LLLL{hang}"), 999, &["begin 0/0", "end 14 Silence"]),
            (
                format!("LLLL{hang}..LLLL{hang}"),
                999,
                &[
                    "begin 0/0",
                    "end 14 Silence",
                    "begin 14/16",
                    "end 30 Silence",
                ],
            ),
            // A pause of less than the hang time; a rise that is broken.
            (
                format!("LLLL{}LLL{hang}", ".".repeat(9)),
                999,
                &["begin 0/0", "end 26 Silence"],
            ),
            (format!("LL.LL.LL.{hang}"), 999, &[]),
            // Lost audio is silence, ends the call at the exact frame, and says why.
            (
                format!("LLLL{away}"),
                999,
                &["begin 0/0", "end 14 CardLost"],
            ),
            (
                format!("LLLL{}", "o".repeat(12)),
                999,
                &["begin 0/0", "end 14 Silence"],
            ),
            (
                format!("LLLL{}....", "u".repeat(6)),
                999,
                &["begin 0/0", "end 14 Silence"],
            ),
            // What was lost may have been talk: no click.
            (format!("LLL{away}"), 999, &["begin 0/0", "end 13 CardLost"]),
            // Splits: in the talk, in the tail, and not where the call ends anyway.
            (
                format!("{}{hang}", "L".repeat(12)),
                8,
                &["begin 0/0", "split 8", "split 16", "end 22 Silence"],
            ),
            (
                format!("LLLLLL{hang}"),
                16,
                &["begin 0/0", "end 16 Silence"],
            ),
            // A continuation is kept, however short its talk.
            (
                format!("{}{hang}", "L".repeat(9)),
                8,
                &["begin 0/0", "split 8", "split 16", "end 19 Silence"],
            ),
        ];
        for (script, maximum, expected) in table {
            assert_eq!(decided(script, *maximum), *expected, "{script}");
        }
    }

    #[test]
    fn one_long_gap_holds_every_decision() {
        let mut detector = Detector::new(settings(7), 0);
        for _ in 0..4 {
            detector.block(BLOCK, LOUD);
        }
        let events = detector.gap(100 * BLOCK, GapCause::Unplugged);
        let end = Event::End {
            at: 14 * BLOCK,
            reason: EndReason::CardLost,
        };
        assert_eq!(events, [Event::Split { at: 7 * BLOCK }, end]);
    }

    /// Seconds until a line that was quiet, and then has constant noise of `level`, records nothing.
    fn seconds_of_noise(level: i32) -> u64 {
        let capture = Settings {
            hang: 64_000,
            maximum: u64::MAX / 2,
            ..settings(1)
        };
        let mut detector = Detector::new(capture, 0);
        (0..1000).for_each(|_| drop(detector.block(BLOCK, QUIET)));
        let ends = |block: &u64| {
            let events = detector.block(BLOCK, level + 100 * (block % 2) as i32);
            events
                .iter()
                .any(|event| matches!(event, Event::End { .. }))
        };
        (0..60_000).find(ends).map_or(u64::MAX, |block| block / 50)
    }

    #[test]
    fn risen_noise_does_not_talk_for_ever() {
        assert!(seconds_of_noise(-4900) < 20);
        assert!(seconds_of_noise(-4000) < 700);
        assert!(seconds_of_noise(-1500) < 700);
    }

    #[test]
    fn talk_over_noise_is_not_swallowed() {
        // Half an hour of talk 15 dB over an office's noise, with a short pause every 8 s.
        let mut detector = Detector::new(
            Settings {
                hang: 64_000,
                maximum: u64::MAX / 2,
                ..settings(1)
            },
            0,
        );
        let mut events = Vec::new();
        for second in 0..1800 {
            for block in 0..50 {
                let pause = second % 8 == 7 && block > 40;
                events.extend(detector.block(BLOCK, if pause { -5500 } else { -4000 }));
            }
        }
        assert_eq!(events, [Event::Begin { start: 0, onset: 0 }]);
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Loud(u64),
        Quiet(u64),
        Lost(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (1_u64..12).prop_map(Step::Loud),
            (1_u64..16).prop_map(Step::Quiet),
            (1_u64..3000).prop_map(Step::Lost),
        ];
        prop::collection::vec(step, 0..60)
    }

    proptest! {
        /// Whatever a line hears: recordings follow each other, none overlaps another, each begins
        /// as early as it may, and every loud stretch of the rise time is in one, clicks aside.
        #[test]
        fn no_talk_is_lost(steps in steps(), maximum in 6_u64..40) {
            let settings = settings(maximum);
            let mut detector = Detector::new(settings, 0);
            let (mut now, mut talks, mut events) = (0, Vec::new(), Vec::new());
            for step in steps {
                match step {
                    Step::Loud(blocks) => {
                        talks.push((now, now + blocks * BLOCK));
                        (0..blocks).for_each(|_| events.extend(detector.block(BLOCK, LOUD)));
                        now += blocks * BLOCK;
                    }
                    Step::Quiet(blocks) => {
                        (0..blocks).for_each(|_| events.extend(detector.block(BLOCK, QUIET)));
                        now += blocks * BLOCK;
                    }
                    Step::Lost(frames) => {
                        events.extend(detector.gap(frames, GapCause::Overrun));
                        now += frames;
                    }
                }
            }
            let (mut kept, mut clicks) = (Vec::new(), Vec::new());
            let mut running: Option<(u64, u64)> = None;
            let mut previous_end = 0;
            for event in events {
                match (event, running) {
                    (Event::Begin { start, onset }, None) => {
                        prop_assert!(start <= onset);
                        prop_assert_eq!(start, onset.saturating_sub(settings.pre_roll).max(previous_end));
                        running = Some((start, onset));
                    }
                    (Event::Split { at }, Some((start, onset))) => {
                        prop_assert_eq!(at - start, settings.maximum);
                        kept.push((start, at));
                        running = Some((at, onset));
                    }
                    (Event::End { at, .. }, Some((start, _))) => {
                        prop_assert!(at > start && at - start <= settings.maximum);
                        kept.push((start, at));
                        previous_end = at;
                        running = None;
                    }
                    (Event::Discard, Some((_, onset))) => {
                        clicks.push((onset, onset + settings.minimum));
                        running = None;
                    }
                    other => prop_assert!(false, "out of order: {:?}", other),
                }
            }
            kept.extend(running.map(|(start, _)| (start, u64::MAX)));
            for pair in kept.windows(2) {
                prop_assert!(pair[0].1 <= pair[1].0);
            }
            let covered = |from: u64, to: u64, by: &[(u64, u64)]| {
                let inside = |(start, end): &(u64, u64)| end.min(&to).saturating_sub(*start.max(&from));
                by.iter().map(inside).sum::<u64>() == to - from
            };
            for (from, to) in talks {
                if to - from >= settings.rise_blocks * BLOCK {
                    prop_assert!(covered(from, to, &kept) || covered(from, to, &clicks), "{from}-{to}: {kept:?}");
                }
            }
        }
    }
}
