//! The archive's own time. Whoever sets the machine's clock forward must not make the archive erase what
//! is not due, and whoever sets it back must not make it keep what is (R6.1–R6.3). So nothing is hidden,
//! moved or erased on the word of the wall clock alone: the archive keeps a time of its own, which goes
//! on with the clock that counts from the machine's start, and follows the wall clock only where that is
//! explained. Pure: readings of the machine's clocks are arguments, the state is a value that the caller
//! keeps durable.
//!
//! ```text
//!                     ┌── same start: + what the machine's own clock counted
//! reading ── advance ─┤
//!                     └── another start: + the time it was off, if the clock is synchronised
//!             │
//!             └─► differs by more than a day: frozen, until two persons confirm
//! ```

use serde::{Deserialize, Serialize};

/// Nanoseconds of a second.
const SECOND: i64 = 1_000_000_000;
/// Nanoseconds of a day of 24 hours.
const DAY: i64 = 86_400 * SECOND;

/// Corrections that are accepted between two confirmations, all together: what a synchronised clock is
/// corrected by in years, and less than a period could be shortened by in secret.
pub const MOST_CORRECTION: i64 = DAY;

/// The longest time that a machine may have been off, by the word of a synchronised clock: a broken
/// machine is repaired within it, or two persons confirm.
pub const LONGEST_DOWNTIME: i64 = 31 * DAY;

/// What the machine's clocks show at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// The wall clock, nanoseconds since 1970.
    pub wall: i64,
    /// Nanoseconds since the machine was started, sleep included (`CLOCK_BOOTTIME`).
    pub boot: i64,
    /// Which start of the machine that was (`/proc/sys/kernel/random/boot_id`).
    pub boot_id: String,
    /// Whether the wall clock is disciplined by another clock that is right.
    pub synchronised: bool,
}

/// The archive's own time, as it was at the last reading.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnClock {
    own: i64,
    last: Reading,
    corrected: i64,
    /// The machine was started anew, and no synchronised clock has said yet how long it was off.
    off_unknown: bool,
    frozen: Option<Jump>,
}

/// A difference between the two times that nothing explains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jump {
    /// The own time when it was noticed, nanoseconds since 1970.
    pub own: i64,
    /// The wall clock then.
    pub wall: i64,
    /// What it looks like.
    pub kind: JumpKind,
}

/// What a jump looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JumpKind {
    /// The wall clock was set while the machine ran, or the machine was stopped and resumed.
    WhileRunning,
    /// The machine was off for longer than can be believed.
    LongDowntime,
    /// The machine was started with a clock that is behind: an empty battery, an old copy.
    Behind,
    /// Many small corrections add up.
    ManyCorrections,
}

/// What an advance found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing but time has passed.
    Passed,
    /// The own time followed the wall clock by so many nanoseconds.
    Corrected(i64),
    /// From now on nothing is moved or erased.
    Froze(Jump),
}

impl OwnClock {
    /// A new archive's: its first reading is believed, there is nothing to lose yet.
    pub fn born(at: Reading) -> Self {
        Self {
            own: at.wall,
            last: at,
            corrected: 0,
            off_unknown: false,
            frozen: None,
        }
    }

    /// The own time at the last reading, nanoseconds since 1970.
    pub fn own(&self) -> i64 {
        self.own
    }

    /// The last reading.
    pub fn last(&self) -> &Reading {
        &self.last
    }

    /// How far the wall clock was ahead of the own time at the last reading, nanoseconds.
    pub fn ahead(&self) -> i64 {
        self.last.wall.saturating_sub(self.own)
    }

    /// Why nothing is moved or erased, if that is so.
    pub fn frozen(&self) -> Option<Jump> {
        self.frozen
    }

    /// The time by which something is due: both clocks are past it. None while frozen.
    pub fn due_time(&self) -> Option<i64> {
        self.frozen.is_none().then(|| self.own.min(self.last.wall))
    }

    /// The time by which something is overdue, frozen or not: the later of the two. What is overdue by
    /// it and still there is worth an alarm, for keeping too long is a breach as well.
    pub fn latest_time(&self) -> i64 {
        self.own.max(self.last.wall)
    }

    /// Goes on to `reading`.
    pub fn advance(&mut self, reading: Reading) -> Change {
        let same_start = reading.boot_id == self.last.boot_id;
        // A machine that was started anew has run for at least this long.
        let passed = if same_start {
            reading.boot - self.last.boot
        } else {
            reading.boot
        };
        self.own = self.own.saturating_add(passed.max(0));
        let (wall, synchronised) = (reading.wall, reading.synchronised);
        self.last = reading;
        self.off_unknown |= !same_start;
        if self.frozen.is_some() {
            return Change::Passed;
        }
        let ahead = wall.saturating_sub(self.own);
        if self.off_unknown {
            self.follow_start(ahead, synchronised)
        } else {
            self.follow_running(ahead, synchronised)
        }
    }

    fn follow_running(&mut self, ahead: i64, synchronised: bool) -> Change {
        if ahead.saturating_abs() > MOST_CORRECTION {
            return self.freeze(JumpKind::WhileRunning);
        }
        if !synchronised || ahead == 0 {
            return Change::Passed;
        }
        let corrected = self.corrected.saturating_add(ahead.saturating_abs());
        if corrected > MOST_CORRECTION {
            return self.freeze(JumpKind::ManyCorrections);
        }
        self.corrected = corrected;
        self.own += ahead;
        Change::Corrected(ahead)
    }

    /// After another start the wall clock may be ahead by the time the machine was off. An unsynchronised
    /// one is not followed: the own time then lags by that much until it is synchronised, which keeps
    /// recordings longer, never shorter.
    fn follow_start(&mut self, ahead: i64, synchronised: bool) -> Change {
        if ahead < -MOST_CORRECTION {
            return self.freeze(JumpKind::Behind);
        }
        if ahead > LONGEST_DOWNTIME {
            return self.freeze(JumpKind::LongDowntime);
        }
        if !synchronised {
            return Change::Passed;
        }
        self.off_unknown = false;
        if ahead <= 0 {
            return Change::Passed;
        }
        self.own += ahead;
        Change::Corrected(ahead)
    }

    fn freeze(&mut self, kind: JumpKind) -> Change {
        let jump = Jump {
            own: self.own,
            wall: self.last.wall,
            kind,
        };
        self.frozen = Some(jump);
        Change::Froze(jump)
    }

    /// Two persons say that the wall clock of the last reading is right.
    pub fn confirm(&mut self) {
        self.own = self.last.wall;
        self.corrected = 0;
        self.off_unknown = false;
        self.frozen = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: i64 = 1_795_396_530 * SECOND;

    fn reading(wall: i64, boot: i64) -> Reading {
        Reading {
            wall,
            boot,
            boot_id: "a".into(),
            synchronised: true,
        }
    }

    fn clock() -> OwnClock {
        OwnClock::born(reading(START, 1000 * SECOND))
    }

    /// The same machine, `passed` later, with the wall clock off by `off`.
    fn later(passed: i64, off: i64) -> Reading {
        reading(START + passed + off, 1000 * SECOND + passed)
    }

    /// The machine started again: it ran for `up`, and its clock shows `passed` more than before.
    fn restarted(passed: i64, up: i64, synchronised: bool) -> Reading {
        Reading {
            wall: START + passed,
            boot: up,
            boot_id: "b".into(),
            synchronised,
        }
    }

    #[test]
    fn time_passes() {
        let mut clock = clock();
        assert_eq!(clock.advance(later(3600 * SECOND, 0)), Change::Passed);
        assert_eq!(clock.own(), START + 3600 * SECOND);
        assert_eq!(clock.due_time(), Some(START + 3600 * SECOND));
    }

    /// Each way in which a clock goes wrong: nothing is due by it that was not, until it is confirmed.
    #[test]
    fn a_jump_freezes() {
        let year = 365 * DAY;
        let cases = [
            (later(60 * SECOND, 200 * DAY), JumpKind::WhileRunning),
            (later(60 * SECOND, 10 * year), JumpKind::WhileRunning),
            (later(60 * SECOND, DAY + SECOND), JumpKind::WhileRunning),
            (later(60 * SECOND, -DAY - SECOND), JumpKind::WhileRunning),
            (later(60 * SECOND, -year), JumpKind::WhileRunning),
            (restarted(200 * DAY, SECOND, true), JumpKind::LongDowntime),
            (restarted(10 * year, SECOND, false), JumpKind::LongDowntime),
            (restarted(-year, SECOND, true), JumpKind::Behind),
            // An empty battery: 1970.
            (restarted(-START, SECOND, false), JumpKind::Behind),
        ];
        for (reading, kind) in cases {
            let mut clock = clock();
            let Change::Froze(jump) = clock.advance(reading.clone()) else {
                panic!("{reading:?} was believed");
            };
            assert_eq!(jump.kind, kind, "{reading:?}");
            assert_eq!(clock.due_time(), None);
            let mut again = reading.clone();
            again.boot += SECOND;
            again.wall += SECOND;
            assert_eq!(clock.advance(again.clone()), Change::Passed);
            assert_eq!(clock.due_time(), None, "it stays frozen");
            clock.confirm();
            assert_eq!((clock.frozen(), clock.due_time()), (None, Some(again.wall)));
        }
    }

    #[test]
    fn a_machine_that_was_off_catches_up_when_it_is_synchronised() {
        let mut clock = clock();
        let off = 20 * DAY;
        assert_eq!(
            clock.advance(restarted(off, 5 * SECOND, false)),
            Change::Passed
        );
        assert_eq!(
            clock.due_time(),
            Some(START + 5 * SECOND),
            "not yet believed"
        );
        let synchronised = restarted(off + 5 * SECOND, 10 * SECOND, true);
        assert_eq!(
            clock.advance(synchronised),
            Change::Corrected(off - 5 * SECOND)
        );
        assert_eq!(clock.due_time(), Some(START + off + 5 * SECOND));
    }

    /// Twenty-three hours a step, again and again: the second one is too much.
    #[test]
    fn many_corrections_are_a_jump() {
        let mut clock = clock();
        let step = 23 * 3600 * SECOND;
        let first = clock.advance(later(60 * SECOND, step));
        assert_eq!(first, Change::Corrected(step));
        let second = clock.advance(later(120 * SECOND, 2 * step));
        assert!(matches!(second, Change::Froze(jump) if jump.kind == JumpKind::ManyCorrections));
    }

    /// A clock that nothing disciplines is not followed at all.
    #[test]
    fn an_undisciplined_clock_is_not_followed() {
        let mut clock = clock();
        let mut reading = later(3600 * SECOND, 3600 * SECOND);
        reading.synchronised = false;
        assert_eq!(clock.advance(reading), Change::Passed);
        assert_eq!(clock.due_time(), Some(START + 3600 * SECOND));
    }

    proptest! {
        /// Whatever the wall clock shows, nothing is due before the machine has counted the time, but
        /// for what is accepted: a day of corrections, and downtime by the word of a synchronised clock.
        #[test]
        fn nothing_is_due_early(steps in prop::collection::vec(
            (0_i64..10 * DAY, -400 * DAY..400 * DAY, any::<bool>()), 1..40
        )) {
            let mut clock = clock();
            let mut counted = 0;
            for (passed, off, synchronised) in steps {
                counted += passed;
                let mut reading = later(counted, off);
                reading.synchronised = synchronised;
                clock.advance(reading);
                if let Some(due) = clock.due_time() {
                    prop_assert!(due <= START + counted + MOST_CORRECTION);
                }
            }
        }

        /// The own time never goes back by more than the corrections that are accepted.
        #[test]
        fn time_does_not_run_back(offs in prop::collection::vec(-2 * DAY..2 * DAY, 1..40)) {
            let mut clock = clock();
            let mut highest = clock.own();
            for (n, off) in (1..).zip(offs) {
                clock.advance(later(n * 3600 * SECOND, off));
                prop_assert!(clock.own() >= highest - MOST_CORRECTION);
                highest = highest.max(clock.own());
            }
        }
    }
}
