//! The source of the product: a card that may be late, stop, go away and come back.
//!
//! What lives here: the arithmetic of what was lost, and the loss and return of a card, over a
//! [`Stream`]. What does not: alsa-lib (`alsa`, the only real stream); what a loss means for a call
//! (`detect`). The device thread calls it.
//!
//! **Overruns.** The stream never stops for one. After each read, what the card has written and
//! nobody has read tells which of the frames just read had been overwritten by then: these are
//! reported as lost, as many as they are, and the numbering stands.
//!
//! **Unplugging.** The stream is closed and opened again by name, each second, in a thread of its own
//! because an open may block. Meanwhile the source gives gaps by the monotonic clock.

use super::error::OpenError;
use super::offer::{Wish, is_named_by_number};
use super::{Params, Period, Read, Source};
use crate::anchor::Point;
use crate::clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;
use tsuwaroku_spool::record::GapCause;

/// Time between two gaps while the card is away.
const AWAY_STEP: Duration = Duration::from_millis(250);
/// Time between two attempts to open a card that is away.
const REOPEN: Duration = Duration::from_secs(1);
/// A card that gives nothing for so long is lost, whatever it says of its state.
const STALL: Duration = Duration::from_secs(3);
/// Time between two points for the clock, ns.
const POINT_NS: i64 = 1_000_000_000;

/// An open card.
pub trait Stream: Sized + Send + 'static {
    /// Opens what `wish` names; not started yet. May block.
    fn open(wish: &Wish) -> Result<(Self, Params), OpenError>;

    /// Starts it.
    fn start(&self) -> Result<(), Loss>;

    /// Starts it again after [`Loss::Stopped`], which it is given.
    fn restart(&self, loss: Loss) -> Result<(), Loss>;

    /// Reads up to one period into `bytes`. `None` when none came within `patience`; without
    /// patience, reads what there is. `Some(0)` is the end of a file.
    fn read(&self, bytes: &mut [u8], patience: Duration) -> Result<Option<usize>, Loss>;

    /// Frames that the card has written and nobody has read; 0 where that means nothing.
    fn unread(&self) -> u64;

    /// Of the frames before the card's pointer, those that are surely not overwritten.
    fn trusted(&self) -> u64;

    /// The frames unread at some moment close to `now`, and that moment, monotonic ns.
    fn stamp(&self, now: i64) -> Option<(u64, i64)>;

    /// Whether it is a card, which gives audio in real time or is broken.
    fn is_card(&self) -> bool;
}

/// Why a stream gives nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// It was stopped, by an overrun or a suspend, and can be started again.
    #[error("stopped: {cause}")]
    Stopped {
        /// The system's number for it.
        errno: i32,
        /// What the system said.
        cause: String,
    },
    /// The card is gone, or does not work.
    #[error("{0}")]
    Gone(String),
}

/// A card as a source.
#[derive(Debug)]
pub struct Live<S> {
    params: Params,
    wish: Wish,
    state: State<S>,
    /// The next frame, counted from the first start, gaps included.
    position: u64,
    /// Where the card was when that was last asked.
    mark: Mark,
    /// When it last gave audio, monotonic ns.
    heard_at: i64,
    /// When the next point is due, monotonic ns.
    point_due: i64,
}

/// A frame and the monotonic time at which the card wrote it, ns.
#[derive(Debug, Clone, Copy)]
struct Mark {
    frame: u64,
    at: i64,
}

impl Mark {
    /// The frame that a card of `rate` Hz is at, at the time `now`.
    fn expected(self, now: i64, rate: u32) -> u64 {
        let frames = i128::from(now - self.at) * i128::from(rate) / 1_000_000_000;
        self.frame + u64::try_from(frames).unwrap_or_default()
    }
}

#[derive(Debug)]
enum State<S> {
    Open(S),
    Away(Return<S>),
}

/// The thread that tries to open the card again.
#[derive(Debug)]
struct Return<S> {
    stream: mpsc::Receiver<S>,
    cancelled: Arc<AtomicBool>,
}

impl<S: Stream> Live<S> {
    /// Opens and starts the card that `wish` names.
    pub fn open(wish: &Wish) -> Result<Self, OpenError> {
        let (stream, params) = S::open(wish)?;
        let failed = |loss: Loss| OpenError::Failed {
            pcm: wish.pcm.clone(),
            step: "starting it",
            cause: loss.to_string(),
        };
        stream.start().map_err(failed)?;
        warn_of_number(&wish.pcm);
        let wish = Wish {
            channels: Some(params.layout.channels as u16),
            format: Some(params.layout.format),
            ..wish.clone()
        };
        let heard_at = clock::monotonic();
        let mark = Mark {
            frame: 0,
            at: heard_at,
        };
        Ok(Self {
            params,
            wish,
            state: State::Open(stream),
            position: 0,
            mark,
            heard_at,
            point_due: 0,
        })
    }

    /// Sorts `frames` frames that were just read into lost and good ones.
    fn after_read(&mut self, frames: usize, period: &mut Period) -> Read {
        let State::Open(stream) = &self.state else {
            return Read::Nothing;
        };
        let unread = stream.unread();
        let overwritten = overwritten(frames as u64, unread, stream.trusted());
        period.gaps.push(overwritten, GapCause::Overrun);
        period.from = overwritten as usize;
        period.frames = frames - period.from;
        self.position += frames as u64;
        self.heard_at = clock::monotonic();
        let due = self.heard_at >= self.point_due;
        if due || !stream.is_card() {
            let (unread, at) = stream.stamp(self.heard_at).unwrap_or((0, self.heard_at));
            self.mark = Mark {
                frame: self.position + unread,
                at,
            };
        }
        if due {
            self.point_due = self.heard_at + POINT_NS;
            period.point = Some(point(self.mark.frame, self.mark.at));
        }
        Read::Period
    }

    /// Counts what is missing up to `now` as lost.
    fn lose(&mut self, now: i64, cause: GapCause, period: &mut Period) {
        let expected = self.mark.expected(now, self.params.rate);
        let lost = expected.saturating_sub(self.position);
        period.gaps.push(lost, cause);
        self.position += lost;
    }

    fn restart(&mut self, loss: Loss, period: &mut Period) -> Read {
        let State::Open(stream) = &self.state else {
            return Read::Nothing;
        };
        if let Err(loss) = stream.restart(loss) {
            return self.leave(&loss);
        }
        self.lose(clock::monotonic(), GapCause::Overrun, period);
        told(period)
    }

    /// The card is lost: closes it, and has it looked for.
    fn leave(&mut self, why: &Loss) -> Read {
        log::error!(
            "card {}: lost ({why}). Plug it in again: it is looked for each second, and what is \
             missing is kept as a gap",
            self.params.pcm
        );
        self.state = State::Away(Return::watch(self.wish.clone(), self.params.clone()));
        Read::Nothing
    }

    /// Tells how time passes without the card, and takes the card when it is back.
    fn read_away(&mut self, period: &mut Period, patience: Duration) -> Read {
        let State::Away(away) = &self.state else {
            return Read::Nothing;
        };
        let back = away.wait(patience.min(AWAY_STEP));
        let started = back.map(|stream| stream.start().map(|()| stream));
        let now = clock::monotonic();
        self.lose(now, GapCause::Unplugged, period);
        if now >= self.point_due {
            // Frames that nobody recorded have their time as well: a call may begin after them.
            self.point_due = now + POINT_NS;
            period.point = Some(point(self.position, now));
        }
        match started {
            Some(Ok(stream)) => {
                log::warn!("card {}: back, recording goes on", self.params.pcm);
                self.mark = Mark {
                    frame: self.position,
                    at: now,
                };
                self.heard_at = now;
                self.state = State::Open(stream);
            }
            Some(Err(loss)) => drop(self.leave(&loss)),
            None => {}
        }
        told(period)
    }

    fn is_stalled(&self) -> bool {
        let State::Open(stream) = &self.state else {
            return false;
        };
        let patience = STALL + 2 * self.wish.period;
        stream.is_card() && clock::monotonic() - self.heard_at > patience.as_nanos() as i64
    }
}

impl<S: Stream> Source for Live<S> {
    fn params(&self) -> &Params {
        &self.params
    }

    fn read(&mut self, period: &mut Period, patience: Duration) -> Read {
        let State::Open(stream) = &self.state else {
            return self.read_away(period, patience);
        };
        match stream.read(&mut period.bytes, patience) {
            Ok(Some(0)) => self.leave(&Loss::Gone("it gives no more audio".to_owned())),
            Ok(Some(frames)) => self.after_read(frames, period),
            Ok(None) if self.is_stalled() => {
                self.leave(&Loss::Gone("it gives no audio, and no error".to_owned()))
            }
            Ok(None) => Read::Nothing,
            Err(loss @ Loss::Stopped { .. }) => self.restart(loss, period),
            Err(loss) => self.leave(&loss),
        }
    }
}

/// Of `frames` frames just read, how many had been overwritten, when `unread` are waiting now and
/// the last `trusted` before the card's pointer are good. They are the first ones.
fn overwritten(frames: u64, unread: u64, trusted: u64) -> u64 {
    (unread + frames).saturating_sub(trusted).min(frames)
}

fn point(frame: u64, at: i64) -> Point {
    Point {
        frame,
        utc: at + clock::utc_offset(),
    }
}

/// A period that tells of lost audio, or of nothing.
fn told(period: &Period) -> Read {
    if period.gaps.frames() > 0 {
        Read::Period
    } else {
        Read::Nothing
    }
}

fn warn_of_number(pcm: &str) {
    if is_named_by_number(pcm) {
        log::warn!(
            "card {pcm}: named by its number, which changes with what is plugged in; name it by its \
             id (hw:CARD=…, see tsuwaroku-capture --list)"
        );
    }
}

impl<S: Stream> Return<S> {
    /// Starts the thread.
    fn watch(wish: Wish, params: Params) -> Self {
        let (sender, stream) = mpsc::sync_channel(1);
        let cancelled = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&cancelled);
        let thread = std::thread::Builder::new().name("reopen".to_owned());
        let spawned = thread.spawn(move || {
            if let Some(stream) = reopen::<S>(&wish, &params, &flag) {
                // Nobody takes it any more when the daemon is stopping.
                let _ = sender.send(stream);
            }
        });
        if let Err(error) = spawned {
            log::error!("no thread to look for the card: {error}; restart the daemon");
        }
        Self { stream, cancelled }
    }

    /// The card, if it comes back within `patience`.
    fn wait(&self, patience: Duration) -> Option<S> {
        match self.stream.recv_timeout(patience) {
            Ok(stream) => Some(stream),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(patience);
                None
            }
        }
    }
}

impl<S> Drop for Return<S> {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

/// Tries each second, until it succeeds with what the card had before.
fn reopen<S: Stream>(wish: &Wish, params: &Params, cancelled: &AtomicBool) -> Option<S> {
    let mut said = String::new();
    loop {
        std::thread::sleep(REOPEN);
        if cancelled.load(Ordering::Relaxed) {
            return None;
        }
        let error = match S::open(wish) {
            Ok((stream, now)) if now.layout == params.layout => return Some(stream),
            Ok((_, now)) => format!("it came back as another: {now:?}, it was {params:?}"),
            Err(error) => error.to_string(),
        };
        if error != said {
            log::warn!("card {}: not yet back: {error}", wish.pcm);
            said = error;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Layout;
    use std::cell::RefCell;
    use std::collections::VecDeque;
    use tsuwaroku_config::Format;

    /// A card whose reads are stated: frames given, or a loss, and what is unread after it.
    struct Fake(RefCell<VecDeque<(Result<usize, Loss>, u64)>>, RefCell<u64>);

    impl Stream for Fake {
        fn open(_: &Wish) -> Result<(Self, Params), OpenError> {
            let layout = Layout {
                format: Format::MU_LAW,
                channels: 1,
                plane: None,
            };
            let pcm = "fake".to_owned();
            let params = Params {
                pcm,
                rate: 8000,
                layout,
                period_frames: 1000,
                buffer_frames: 4000,
            };
            Ok((Self(RefCell::default(), RefCell::default()), params))
        }
        fn start(&self) -> Result<(), Loss> {
            Ok(())
        }
        fn restart(&self, _: Loss) -> Result<(), Loss> {
            Ok(())
        }
        fn read(&self, _: &mut [u8], _: Duration) -> Result<Option<usize>, Loss> {
            let Some((read, unread)) = self.0.borrow_mut().pop_front() else {
                return Ok(None);
            };
            *self.1.borrow_mut() = unread;
            read.map(Some)
        }
        fn unread(&self) -> u64 {
            *self.1.borrow()
        }
        fn trusted(&self) -> u64 {
            4000
        }
        fn stamp(&self, _: i64) -> Option<(u64, i64)> {
            None
        }
        fn is_card(&self) -> bool {
            true
        }
    }

    fn live(reads: &[(usize, u64)]) -> Live<Fake> {
        let wish = Wish {
            pcm: "fake".to_owned(),
            channels: None,
            highest: 1,
            rate: 8000,
            format: None,
            period: Duration::from_millis(125),
            buffer: Duration::from_millis(500),
        };
        let live = Live::<Fake>::open(&wish).unwrap();
        let State::Open(fake) = &live.state else {
            panic!("not open")
        };
        fake.0
            .borrow_mut()
            .extend(reads.iter().map(|(frames, unread)| (Ok(*frames), *unread)));
        live
    }

    /// What a read gives: frames lost, where the good ones begin, and how many they are.
    fn read(live: &mut Live<Fake>) -> (u64, usize, usize) {
        let mut period = Period::new(live.params());
        assert_eq!(live.read(&mut period, Duration::ZERO), Read::Period);
        (period.gaps.frames(), period.from, period.frames)
    }

    #[test]
    fn what_was_overwritten_while_nobody_read_is_lost_exactly() {
        // The buffer of 4000 frames; the daemon slept until 6300 more had come: 2300 are gone.
        let mut live = live(&[
            (1000, 0),
            (1000, 5300),
            (1000, 4300),
            (1000, 3300),
            (1000, 2300),
        ]);
        assert_eq!(read(&mut live), (0, 0, 1000));
        assert_eq!(read(&mut live), (1000, 1000, 0));
        assert_eq!(read(&mut live), (1000, 1000, 0));
        assert_eq!(read(&mut live), (300, 300, 700));
        assert_eq!(read(&mut live), (0, 0, 1000));
        assert_eq!(live.position, 5000);
    }

    #[test]
    fn what_was_overwritten_during_the_read_is_lost_too() {
        let mut live = live(&[(1000, 3000), (1000, 3001)]);
        assert_eq!(read(&mut live), (0, 0, 1000));
        assert_eq!(read(&mut live), (1, 1, 999));
    }

    #[test]
    fn the_clock_says_what_an_absent_card_would_have_given() {
        let mark = Mark {
            frame: 500,
            at: 2_000_000_000,
        };
        assert_eq!(mark.expected(3_500_000_000, 8000), 12_500);
        assert_eq!(mark.expected(2_000_000_000, 8000), 500);
        // Ten days at 192 kHz do not overflow.
        assert_eq!(
            mark.expected(864_002_000_000_000, 192_000),
            500 + 864_000 * 192_000
        );
    }

    #[test]
    fn a_lost_card_gives_gaps_that_follow_each_other_without_a_slip() {
        let mut live = live(&[(1000, 0)]);
        assert_eq!(read(&mut live), (0, 0, 1000));
        let State::Open(fake) = &live.state else {
            panic!("not open")
        };
        fake.0
            .borrow_mut()
            .push_back((Err(Loss::Gone("unplugged".to_owned())), 0));
        let mut period = Period::new(live.params());
        assert_eq!(live.read(&mut period, Duration::ZERO), Read::Nothing);
        assert!(matches!(live.state, State::Away(_)));
        let mark = live.mark;
        for second in [1, 5, 6] {
            let now = mark.at + second * 1_000_000_000;
            let before = live.position;
            period.clear();
            live.lose(now, GapCause::Unplugged, &mut period);
            assert_eq!(live.position - before, period.gaps.frames());
            assert_eq!(live.position, 1000 + second as u64 * 8000);
        }
    }
}
