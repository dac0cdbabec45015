//! Holds, plans, certificates and what is due, as the service tells them. Pure: who may see what is
//! decided in `life`, the only caller.

use super::api::life::{
    CarriedOut, Certificate, ClockStatus, ErasedAll, ErasedOne, Frozen, ListedHold, ListedJump,
    ListedPlan, ListedWish,
};
use super::api::sweep::{Due, DueEvent, DueItem, DueSums, Sum, SweepDone, SweepProgress, Unmoved};
use crate::call::time_of;
use crate::catalogue::{Erasure, Hold, NumberId, Plan, Scope, Search, Tombstone, Wish};
use crate::clock::own::{Jump, OwnClock};
use crate::crypto::hex;
use crate::day::Day;
use crate::life::{Carried, Erased, Item, Progress, State, Sweep, Swept};
use chrono::{DateTime, Utc};
use std::collections::HashMap;

/// The designated numbers by their ids.
#[derive(Debug, Default)]
pub(super) struct Lines(pub HashMap<NumberId, String>);

impl Lines {
    /// As people write it. Every id that is in use has a number.
    pub fn number(&self, id: NumberId) -> &str {
        self.0.get(&id).map_or("", String::as_str)
    }

    /// The id of `number`, if it was ever designated.
    pub fn id(&self, number: &str) -> Option<NumberId> {
        let mut all = self.0.iter();
        all.find(|(_, one)| *one == number).map(|(&id, _)| id)
    }
}

pub(super) fn frozen(jump: Jump) -> Frozen {
    Frozen {
        kind: jump.kind,
        own: time_of(jump.own),
        wall: time_of(jump.wall),
    }
}

pub(super) fn clock(day: Day, clock: &OwnClock) -> ClockStatus {
    ClockStatus {
        day: day.date(),
        wall: time_of(clock.last().wall),
        own: time_of(clock.own()),
        ahead_seconds: seconds(clock.ahead()),
        synchronised: clock.last().synchronised,
        frozen: clock.frozen().map(frozen),
    }
}

fn seconds(nanoseconds: i64) -> f64 {
    nanoseconds as f64 / 1e9
}

/// Whether `hold` holds anything on `today`.
pub(super) fn in_force(hold: &Hold, today: Day) -> bool {
    hold.released.is_none() && hold.until.is_none_or(|until| until >= today)
}

/// `hold` as it is on `today`, for somebody who may know the other party, or not.
pub(super) fn hold(hold: Hold, today: Day, lines: &Lines, sees_party: bool) -> ListedHold {
    let in_force = in_force(&hold, today);
    let (recording, search) = match hold.scope {
        Scope::Recording(id) => (Some(id), Search::default()),
        Scope::Search(search) => (None, search),
    };
    let (placed_at, placed_by) = hold.placed;
    let (released_at, released_by) = hold.released.unzip();
    ListedHold {
        hold: hold.id.0,
        recording,
        number: search.number.map(|id| lines.number(id).to_owned()),
        from: search.start.as_ref().and_then(|start| bound(start.start)),
        to: search.start.as_ref().and_then(|start| bound(start.end)),
        of_party: search.other_party.is_some(),
        other_party: search.other_party.filter(|_| sees_party),
        ground: hold.ground,
        until: hold.until.map(Day::date),
        placed_at: time_of(placed_at),
        placed_by,
        in_force,
        released_at: released_at.map(time_of),
        released_by: released_by.flatten(),
    }
}

/// An end of a period, milliseconds since 1970; none where it is open.
fn bound(milliseconds: i64) -> Option<DateTime<Utc>> {
    let is_open = milliseconds <= 0 || milliseconds == i64::MAX;
    DateTime::from_timestamp_millis(milliseconds).filter(|_| !is_open)
}

pub(super) fn plan(plan: Plan) -> ListedPlan {
    let (decided_at, decided_by) = plan.decided.map(|by| (by.at, by.name)).unzip();
    ListedPlan {
        plan: plan.id.0,
        wish: match plan.wish {
            Wish::Erase(recordings) => ListedWish::Erase(recordings),
            Wish::Release(hold) => ListedWish::Release(hold.0),
            Wish::Clock(right) => ListedWish::Clock(ListedJump {
                kind: right.jump.kind,
                ahead_seconds: seconds(right.ahead),
            }),
        },
        ground: plan.ground,
        application: plan.application,
        asked_at: time_of(plan.asked.at),
        asked_by: plan.asked.name,
        state: plan.state.word().to_owned(),
        decided_at: decided_at.map(time_of),
        decided_by,
        done_at: plan.done_at.map(time_of),
    }
}

pub(super) fn carried_out(carried: Carried) -> CarriedOut {
    match carried {
        Carried::Erased(erased) => CarriedOut::Erased(erased_all(erased)),
        Carried::Released(hold) => CarriedOut::Released(hold.0),
        Carried::Clock => CarriedOut::Clock,
    }
}

fn erased_all(erased: Erased) -> ErasedAll {
    let one = |(recording, outcome): (_, Erasure)| ErasedOne {
        recording,
        outcome: outcome.word().to_owned(),
        hold: match outcome {
            Erasure::Held(hold) => Some(hold.0),
            _ => None,
        },
    };
    ErasedAll {
        recordings: erased.outcomes.into_iter().map(one).collect(),
        unfinished: erased.unfinished,
    }
}

pub(super) fn certificate(tombstone: Tombstone, lines: &Lines) -> Certificate {
    Certificate {
        id: tombstone.id,
        number: lines.number(tombstone.number).to_owned(),
        day: tombstone.day.date(),
        seconds: seconds(tombstone.nanoseconds),
        wav_bytes: tombstone.wav_bytes,
        sha256: hex(&tombstone.wav_sha256),
        ground: tombstone.ground,
        application: tombstone.application,
        plan: tombstone.plan.map(|plan| plan.0),
        asked_by: tombstone.asked_by,
        approved_by: tombstone.approved_by,
        erased_at: time_of(tombstone.erased_at),
        completed_at: tombstone.completed_at.map(time_of),
    }
}

/// What is due, item by item, in the order of [`Due::ALL`], and the sums.
pub(super) fn due(
    sweep: Sweep,
    frozen: Option<Frozen>,
    lines: Lines,
) -> impl Iterator<Item = DueEvent> {
    let held: Vec<Item> = sweep.held.iter().map(|(item, _)| *item).collect();
    let sums = DueSums {
        day: sweep.today.date(),
        erase: sum(&sweep.erase),
        moves: sum(&sweep.moves),
        held: sum(&held),
        frozen,
    };
    let with = |due| move |item| (due, item, None);
    let erase = sweep.erase.into_iter().map(with(Due::Erase));
    let moves = sweep.moves.into_iter().map(with(Due::Move));
    let held = sweep.held.into_iter();
    let held = held.map(|(item, hold)| (Due::Held, item, Some(hold.0)));
    let items = erase.chain(moves).chain(held);
    let items =
        items.map(move |(due, item, hold)| DueEvent::Item(due_item(due, item, hold, &lines)));
    items.chain([DueEvent::Done(sums)])
}

fn due_item(due: Due, item: Item, hold: Option<u32>, lines: &Lines) -> DueItem {
    DueItem {
        recording: item.id,
        due,
        last_day: item.last_day.date(),
        number: lines.number(item.number).to_owned(),
        tier: item.tier,
        stored_bytes: item.stored_bytes,
        hold,
    }
}

fn sum(items: &[Item]) -> Sum {
    Sum {
        recordings: items.len() as u64,
        stored_bytes: items.iter().map(|item| item.stored_bytes).sum(),
    }
}

pub(super) fn progress(progress: Progress) -> SweepProgress {
    let (doing, through, total) = match progress {
        Progress::Erased(through, total) => (Due::Erase, through, total),
        Progress::Moved(through, total) => (Due::Move, through, total),
    };
    SweepProgress {
        doing,
        through: through as u64,
        total: total as u64,
    }
}

pub(super) fn swept(day: Day, swept: Swept, state: State) -> SweepDone {
    let failed = swept.moves.failed.into_iter();
    SweepDone {
        day: day.date(),
        erased: swept.erased as u64,
        moved: swept.moves.moved as u64,
        held: swept.held as u64,
        ended_holds: swept.lapsed.iter().map(|hold| hold.0).collect(),
        failed: failed
            .map(|(recording, reason)| Unmoved { recording, reason })
            .collect(),
        stopped: swept.moves.stopped,
        unfinished: state.unfinished,
        overdue: swept.overdue,
    }
}
