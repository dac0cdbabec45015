//! What is due for what: every case, in a table.

use super::*;
use crate::catalogue::{Cut, Scope};

const ZONE: Tz = Tz::Asia__Tokyo;
const LINE: NumberId = NumberId(1);

fn key(day: &str) -> Key {
    let day: Day = day.parse().unwrap();
    Key::first_at(day.milliseconds(ZONE).start)
}

fn resting(day: &str, tier: Tier) -> Resting {
    Resting {
        key: key(day),
        id: Ulid::from_parts(1, 1),
        number: LINE,
        other_party: None,
        tier,
        stored_bytes: 1,
    }
}

#[test]
fn age_tier_hold_and_second_medium_decide() {
    let day = |text: &str| Some(text.parse().unwrap());
    // Calls up to 31 March are past their first period, up to 31 January past their last day.
    let cutoffs = Cutoffs {
        others: Cut::new(day("2026-03-31"), day("2026-01-31"), ZONE),
        ..Cutoffs::NONE
    };
    let free = Holds::default();
    let id = HoldId(7);
    let held = Holds::default().with(id, Scope::Recording(Ulid::from_parts(1, 1)));
    let (young, over, expired) = ("2026-04-01", "2026-03-31", "2026-01-31");
    let (here, there) = (Tier::Primary, Tier::Secondary);
    let nothing = Due::default();
    let moves = Due {
        moves: true,
        ..nothing
    };
    let erase = Due {
        erase: true,
        ..nothing
    };
    let is_held = Due {
        held: Some(id),
        ..nothing
    };
    let moves_held = Due {
        moves: true,
        ..is_held
    };
    let table = [
        (young, here, &free, true, nothing),
        (young, here, &held, true, nothing),
        (over, here, &free, true, moves),
        (over, here, &free, false, nothing),
        (over, there, &free, true, nothing),
        // A hold stops no move.
        (over, here, &held, true, moves),
        ("2026-02-01", there, &free, true, nothing),
        (expired, there, &free, true, erase),
        (expired, here, &free, true, erase),
        (expired, here, &free, false, erase),
        (expired, there, &held, true, is_held),
        (expired, here, &held, true, moves_held),
        (expired, here, &held, false, is_held),
    ];
    for (day, tier, holds, has_secondary, expected) in table {
        let judge = Judge {
            cutoffs: &cutoffs,
            holds,
            has_secondary,
        };
        let due = judge.due(&resting(day, tier));
        let case = format!(
            "{day} in {tier:?}, holds {}, {has_secondary}",
            !holds.is_empty()
        );
        assert_eq!(due, expected, "{case}");
    }
}
