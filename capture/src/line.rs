//! One designated line: hears its channels, and carries out what the detector decides.
//!
//! What lives here: blocks cut out of periods, the tape, and the messages to the keeper. What does
//! not: the decisions (`detect`), files (`keep`). `worker` owns the lines of a card and feeds them
//! every frame and every gap, so that time passes on all of them alike.

use crate::anchor::Anchor;
use crate::detect::{BLOCK, Detector, Event, Settings, frames_in};
use crate::keep::Message;
use crate::kept::Waiting;
use crate::level::{SILENCE, Sums};
use crate::sample::{self, Picker};
use crate::samples::Pool;
use crate::source::{Params, Period};
use crate::tape::{Piece, Tape};
use crate::ulids;
use std::time::Duration;
use tsuwaroku_config::Capture;
use tsuwaroku_spool::record::{EndReason, GapCause, Start};
use ulid::Ulid;

/// Audio of a running call is handed over when so much of it has come together: each time that the
/// device thread wakes the worker. What a SIGKILL costs is this, and a period.
const HAND_OVER: Duration = Duration::from_millis(450);
/// Audio of a line that may wait for a spool that cannot be written; more becomes a gap.
const PATIENCE: Duration = Duration::from_secs(60);
/// Name and version, as recordings state it.
const RECORDER: &str = concat!("tsuwaroku-capture ", env!("CARGO_PKG_VERSION"));

/// A designated line.
#[derive(Debug)]
pub struct Line {
    /// What each of its recordings states alike.
    template: Start,
    picker: Picker,
    full_scale_bits: u32,
    block: usize,
    /// Frames of the current block, measured in `sums`.
    filled: usize,
    sums: Vec<Sums>,
    detector: Detector,
    tape: Tape,
    /// Frames that the tape keeps at least.
    keep: u64,
    hand_over: u64,
    most_waiting: u64,
    waiting: Waiting,
    pool: Pool,
    call: Option<Running>,
    /// For the keeper; the worker takes it there.
    outbox: Vec<Message>,
}

/// The recording that is running.
#[derive(Debug, Clone, Copy)]
struct Running {
    id: Ulid,
    /// The first frame that the keeper does not have.
    next: u64,
    /// Frames before `next` that there was no memory for, to be told as a gap.
    unkept: u64,
}

impl Line {
    /// The line `line` of a card that was opened with `params`, from frame 0 on.
    pub fn new(line: &tsuwaroku_config::Line, capture: &Capture, params: &Params) -> Self {
        let template = template(line, params);
        let settings = Settings::new(capture, params.rate);
        let block = frames_in(BLOCK, params.rate).max(1);
        let frame_bytes = template.frame_bytes();
        Self {
            picker: Picker::new(params.layout, &template.card_channels),
            full_scale_bits: sample::full_scale_bits(params.layout.format),
            block: block as usize,
            filled: 0,
            sums: vec![Sums::default(); template.card_channels.len()],
            detector: Detector::new(settings, 0),
            tape: Tape::new(frame_bytes, 0),
            keep: settings.pre_roll + (settings.rise_blocks + 1) * block,
            hand_over: frames_in(HAND_OVER, params.rate),
            most_waiting: frames_in(PATIENCE, params.rate) * frame_bytes as u64,
            waiting: Waiting::default(),
            pool: Pool::default(),
            call: None,
            outbox: Vec::new(),
            template,
        }
    }

    /// Hears the good frames of `period`.
    pub fn audio(&mut self, period: &Period, anchor: &Anchor) {
        let mut pool = std::mem::take(&mut self.pool);
        let mut events = Vec::new();
        let bytes = period.frames * self.template.frame_bytes();
        let samples = pool.fill(bytes, |kept| self.hear(period, kept, &mut events));
        self.pool = pool;
        self.tape.audio(samples);
        self.carry_out(events, anchor);
        self.part_with(anchor);
    }

    /// Puts the line's samples of `period` into `kept`, and judges each block that they fill.
    fn hear(&mut self, period: &Period, kept: &mut [u8], events: &mut Vec<Event>) {
        let frame_bytes = self.template.frame_bytes();
        let (mut from, mut rest) = (period.from, kept);
        while !rest.is_empty() {
            let frames = (rest.len() / frame_bytes).min(self.block - self.filled);
            let (block, behind) = rest.split_at_mut(frames * frame_bytes);
            self.picker.pick(&period.bytes, from, block, &mut self.sums);
            self.filled += frames;
            (from, rest) = (from + frames, behind);
            if self.filled == self.block {
                events.append(&mut self.judge());
            }
        }
    }

    /// Notes `frames` frames of lost audio.
    pub fn gap(&mut self, frames: u64, cause: GapCause, anchor: &Anchor) {
        self.close_block(anchor);
        self.tape.gap(frames, cause);
        // Who knows when the next audio comes: what there is must not wait for it.
        self.give(self.tape.audio_end(), anchor);
        let events = self.detector.gap(frames, cause);
        self.carry_out(events, anchor);
        self.part_with(anchor);
    }

    /// The daemon stops: a running call ends with the last frame heard.
    pub fn stop(&mut self, anchor: &Anchor) {
        self.close_block(anchor);
        self.end(self.tape.end(), EndReason::Shutdown, anchor);
    }

    /// Judges the part of a block before a gap or the end.
    fn close_block(&mut self, anchor: &Anchor) {
        if self.filled > 0 {
            let events = self.judge();
            self.carry_out(events, anchor);
        }
    }

    /// Judges the frames measured so far.
    fn judge(&mut self) -> Vec<Event> {
        let bits = self.full_scale_bits;
        let levels = self
            .sums
            .iter_mut()
            .map(|sums| std::mem::take(sums).level(bits));
        let loudest = levels.fold(SILENCE, i32::max);
        let frames = std::mem::take(&mut self.filled) as u64;
        self.detector.block(frames, loudest)
    }

    fn carry_out(&mut self, events: Vec<Event>, anchor: &Anchor) {
        for event in events {
            match event {
                Event::Begin { start, onset } => self.begin(start, onset - start, None, anchor),
                Event::Split { at } => {
                    let previous = self.call.map(|call| call.id);
                    self.end(at, EndReason::MaximumLength, anchor);
                    self.begin(at, 0, previous, anchor);
                }
                Event::End { at, reason } => self.end(at, reason, anchor),
                Event::Discard => {
                    if let Some(call) = self.call.take() {
                        self.send(Message::Discard { call: call.id });
                    }
                }
            }
        }
    }

    fn begin(&mut self, first: u64, pre_roll: u64, continues: Option<Ulid>, anchor: &Anchor) {
        let started_at = utc(anchor, first);
        let id = ulids::new(started_at);
        self.call = Some(Running {
            id,
            next: first,
            unkept: 0,
        });
        let start = Start {
            id,
            started_at,
            pre_roll,
            continues,
            ..self.template.clone()
        };
        self.send(Message::Begin {
            start: Box::new(start),
            waiting: self.waiting.clone(),
        });
    }

    fn end(&mut self, at: u64, reason: EndReason, anchor: &Anchor) {
        self.give(at, anchor);
        if let Some(mut call) = self.call.take() {
            self.tell_unkept(&mut call, anchor);
            self.send(Message::End {
                call: call.id,
                utc: utc(anchor, at),
                reason,
            });
        }
    }

    /// Hands over what has come together, and forgets what no call can need any more. Frames of a
    /// block that is not judged yet stay: the call may turn out to have ended among them. So does a
    /// gap that may still grow: it becomes one.
    fn part_with(&mut self, anchor: &Anchor) {
        let judged = (self.tape.end() - self.filled as u64).min(self.tape.audio_end());
        if self
            .call
            .is_some_and(|call| judged >= call.next + self.hand_over)
        {
            self.give(judged, anchor);
        }
        let needed = self.call.map_or(u64::MAX, |call| call.next);
        self.tape
            .forget(self.tape.end().saturating_sub(self.keep).min(needed));
    }

    /// Gives the keeper everything up to frame `to`.
    fn give(&mut self, to: u64, anchor: &Anchor) {
        let Some(mut call) = self.call else { return };
        for piece in self.tape.read(call.next, to) {
            let frames = piece.frames(self.template.frame_bytes());
            if self.has_room(&piece) {
                self.tell_unkept(&mut call, anchor);
                self.send(Message::Piece {
                    call: call.id,
                    utc: utc(anchor, call.next),
                    piece,
                });
            } else {
                call.unkept += frames;
            }
            call.next += frames;
        }
        self.call = Some(call);
    }

    /// Counts the piece as waiting, if the spool has not been away for too long.
    fn has_room(&self, piece: &Piece) -> bool {
        let Piece::Audio(samples) = piece else {
            return true;
        };
        let room = self.waiting.bytes() + samples.len() as u64 <= self.most_waiting;
        if room {
            self.waiting.more(samples.len());
        }
        room
    }

    /// Tells of the frames that there was no memory for.
    fn tell_unkept(&mut self, call: &mut Running, anchor: &Anchor) {
        let frames = std::mem::take(&mut call.unkept);
        if frames > 0 {
            let piece = Piece::Gap {
                frames,
                cause: GapCause::Spool,
            };
            self.send(Message::Piece {
                call: call.id,
                utc: utc(anchor, call.next - frames),
                piece,
            });
        }
    }

    fn send(&mut self, message: Message) {
        self.outbox.push(message);
    }

    /// Moves what is for the keeper to the end of `messages`.
    pub fn post(&mut self, messages: &mut Vec<Message>) {
        messages.append(&mut self.outbox);
    }
}

/// UTC of `frame`. The worker feeds no frame before the first point.
fn utc(anchor: &Anchor, frame: u64) -> i64 {
    anchor.utc(frame).unwrap_or_default()
}

fn template(line: &tsuwaroku_config::Line, params: &Params) -> Start {
    Start {
        id: Ulid::nil(),
        line: line.number.clone(),
        card: params.pcm.clone(),
        card_channels: line.channels.list(),
        rate: params.rate,
        encoding: sample::encoding(params.layout.format),
        started_at: 0,
        pre_roll: 0,
        continues: None,
        recorder: RECORDER.to_owned(),
    }
}
