//! R6.4, R6.7: nothing that is held is erased, by whatever path; and what a hold is.

use super::*;
use proptest::prelude::*;

const PARTIES: [Option<&str>; 3] = [None, Some("0312345678"), Some("0698765432")];
const LINES: [&str; 2] = [LINE, "06-6458-7160"];

fn search(world: &World, by: u8, recording: &Recording) -> Scope {
    let number = world.catalogue().numbers().unwrap();
    let number = number
        .iter()
        .find(|one| one.id == recording.number)
        .unwrap();
    let at = recording.key.milliseconds();
    let party = recording.other_party.clone();
    match by {
        0 => Scope::Recording(recording.id),
        1 => Scope::Search(Search {
            number: Some(number.id),
            ..Search::default()
        }),
        2 => Scope::Search(Search {
            start: Some(at..at + 1),
            ..Search::default()
        }),
        // Its party, or the beginning of it; of a call without one, the moment.
        _ => Scope::Search(Search {
            start: party.is_none().then_some(at..at + 1),
            other_party: party.map(|party| party[..4].to_owned()),
            ..Search::default()
        }),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Every path to an erasure is tried on recordings of which some are held in every way: a plan from
    /// before the hold and one after it, the sweep, the engine itself with every approval that can be had,
    /// a new process that takes up what was begun.
    #[test]
    fn nothing_held_is_erased(
        calls in prop::collection::vec((0..2_usize, 0..3_usize, 0..40_i64), 1..6),
        holds in prop::collection::vec((0..4_u8, any::<prop::sample::Index>()), 1..3),
        order in Just(vec![0, 1, 2, 3, 4]).prop_shuffle(),
    ) {
        let mut world = World::new(retention(1, 1), Some((LINES[1], retention(0, 1))));
        let mut recorded = Vec::new();
        for (tie, (line, party, days)) in (1..).zip(calls) {
            recorded.push(world.record(LINES[line], PARTIES[party], tie));
            world.pass(days * A_DAY / 40);
        }
        let ids: Vec<_> = recorded.iter().map(|one| one.id).collect();
        let before = world.ask(Wish::Erase(ids.clone())).unwrap();
        let scopes: Vec<_> = holds
            .iter()
            .map(|(by, which)| search(&world, *by, which.get(&recorded)))
            .collect();
        let covers = |scope: &Scope, one: &Recording| match scope {
            Scope::Recording(id) => *id == one.id,
            Scope::Search(search) => {
                search.number.is_none_or(|number| number == one.number)
                    && search.start.as_ref().is_none_or(|start| start.contains(&one.key.milliseconds()))
                    && search.other_party.as_ref().is_none_or(|wanted| {
                        one.other_party.as_ref().is_some_and(|party| party.starts_with(wanted))
                    })
            }
        };
        let held: Vec<_> = recorded
            .iter()
            .filter(|one| scopes.iter().any(|scope| covers(scope, one)))
            .map(|one| one.id)
            .collect();
        for scope in scopes {
            world.hold(scope).unwrap();
        }
        prop_assert!(!held.is_empty());
        for path in order {
            match path {
                0 => drop(world.life().approve(world.now, before, who(2))),
                1 => {
                    let refused = world.ask(Wish::Erase(held.clone()));
                    prop_assert!(refused.is_err());
                }
                2 => {
                    world.pass(100 * A_DAY);
                    world.sweep().unwrap();
                }
                3 => {
                    let today = world.life().today();
                    let cutoffs = world.life().rules.cutoffs(Day::MAX, ZONE);
                    let approved = Approved::by_age(today, Arc::new(cutoffs)).unwrap();
                    world.life().eraser.erase(world.now, &approved, &ids).unwrap();
                }
                _ => world.reopen(),
            }
            for id in &held {
                prop_assert_eq!(world.whole(*id).len(), 1);
                prop_assert!(world.shown().contains(id));
            }
        }
        // All others went, by one of them.
        let left: Vec<_> = ids.iter().filter(|id| world.is_left(**id)).copied().collect();
        prop_assert_eq!(left, held);
    }
}

/// Releasing takes two persons; what is overdue then goes at the next sweep.
#[test]
fn a_released_recording_goes_at_the_next_sweep() {
    let mut world = World::new(retention(1, 0), None);
    let recording = world.line(None);
    let hold = world.hold(Scope::Recording(recording.id)).unwrap();
    world.pass(50 * A_DAY);
    assert_eq!(world.sweep().unwrap().held, 1);
    assert_eq!(world.shown(), [recording.id], "what is held is shown");
    let plan = world.ask(Wish::Release(hold)).unwrap();
    assert!(world.life().approve(world.now, plan, who(1)).is_err());
    assert_eq!(world.sweep().unwrap().erased, 0);
    world.life().approve(world.now, plan, who(2)).unwrap();
    assert_eq!(world.shown(), [], "past its last day, it is not there");
    assert_eq!(world.sweep().unwrap().erased, 1);
    let kept = &world.catalogue().holds().unwrap()[0];
    assert_eq!(kept.released, Some((world.now, Some("user2".into()))));
    assert_eq!(kept.ground, "", "the words went with the recording");
    assert!(world.ask(Wish::Release(hold)).is_err(), "it is released");
}

/// A hold with a last day ends with it, by itself.
#[test]
fn a_hold_ends_with_its_last_day() {
    let mut world = World::new(retention(1, 0), None);
    let recording = world.line(None);
    let until = Some("2026-03-10".parse().unwrap());
    let hold = world
        .hold_until(Scope::Recording(recording.id), until)
        .unwrap();
    // 2026-03-10 is the 64th day after 2026-01-05.
    world.pass(64 * A_DAY);
    assert_eq!(world.sweep().unwrap().held, 1);
    assert_eq!(world.shown(), [recording.id]);
    world.pass(A_DAY);
    world.life().tick(world.reading()).unwrap();
    assert_eq!(world.shown(), []);
    let swept = world.sweep().unwrap();
    assert_eq!((swept.lapsed, swept.erased), (vec![hold], 1));
}

/// A hold of a search holds what comes in later too, be it old.
#[test]
fn a_search_holds_what_comes_in_later() {
    let mut world = World::new(retention(1, 0), None);
    let search = Search {
        other_party: Some("0312".into()),
        ..Search::default()
    };
    world.hold(Scope::Search(search)).unwrap();
    let (held, free) = (
        world.made(LINE, Some("0312345678"), 1),
        world.made(LINE, None, 2),
    );
    world.pass(100 * A_DAY);
    world.life().tick(world.reading()).unwrap();
    for (made, audio) in [&held, &free] {
        let frame = wav::Frame::around(made, ZONE);
        let mut object = world.vault().begin(made, &frame).unwrap();
        object.samples(audio).unwrap();
        let sealed = object.publish().unwrap();
        world.catalogue().archive(made.clone(), sealed).unwrap();
    }
    assert_eq!(world.shown(), [held.0.id]);
    let day = "2026-01-05".parse::<Day>().unwrap();
    let days = world.catalogue().shown().days(None, 0..=u32::MAX).unwrap();
    assert_eq!(days, [day]);
    let swept = world.sweep().unwrap();
    assert_eq!((swept.held, swept.erased), (1, 1));
}

#[test]
fn a_hold_says_what_and_why() {
    let world = World::new(retention(1, 1), None);
    let recording = world.line(None);
    let everything = world.hold(Scope::Search(Search::default())).unwrap_err();
    assert!(everything.to_string().contains("names"), "{everything}");
    let nothing = world
        .hold(Scope::Recording(Ulid::from_parts(7, 7)))
        .unwrap_err();
    assert!(nothing.to_string().contains("no recording"), "{nothing}");
    let hold = NewHold {
        scope: Scope::Recording(recording.id),
        ground: "  ".into(),
        until: None,
        by: who(1),
    };
    assert!(world.life().hold(world.now, hold).is_err());
    world.done(Wish::Erase(vec![recording.id])).unwrap();
    let erased = world.hold(Scope::Recording(recording.id)).unwrap_err();
    assert!(erased.to_string().contains("was erased"), "{erased}");
}
