//! The process ends before each step of a move and of an erasure: never is there no whole copy of a live
//! recording, never a byte of an erased one, and the next process makes an end.

use super::*;
use crate::life::step::{Step, fault};
use crate::store::fault as files_fault;

const PARTY: &str = "0312345678";

/// A world with a recording that is due to move; and one that is not.
fn due_to_move() -> (World, Ulid, Ulid) {
    let mut world = World::new(retention(1, 1), None);
    let due = world.line(Some(PARTY)).id;
    world.pass(32 * A_DAY);
    let other = world.line(None).id;
    world.life().tick(world.reading()).unwrap();
    (world, due, other)
}

/// Each named step fails once: an alarm, nothing lost, and the next sweep makes an end.
#[test]
fn a_step_of_a_move_that_fails_costs_nothing() {
    for step in Step::MOVING {
        let (mut world, due, other) = due_to_move();
        fault::fail(Some(step));
        let swept = world.sweep();
        fault::fail(None);
        let noticed = swept.map_or(true, |swept| !swept.moves.failed.is_empty());
        assert!(noticed, "{step:?} was not met");
        for id in [due, other] {
            assert!(!world.whole(id).is_empty(), "{step:?}");
        }
        world.reopen();
        world.sweep().unwrap();
        assert_eq!(world.whole(due), [Tier::Secondary], "{step:?}");
        assert_eq!(world.whole(other), [Tier::Primary], "{step:?}");
        assert!(
            world.catalogue().leftovers().unwrap().is_empty(),
            "{step:?}"
        );
    }
}

/// The same for an erasure; from the first step on nobody sees the recording any more.
#[test]
fn a_step_of_an_erasure_that_fails_brings_nothing_back() {
    for step in Step::ERASING {
        let (mut world, erased, other) = due_to_move();
        world.sweep().unwrap();
        let plan = world.ask(Wish::Erase(vec![erased])).unwrap();
        fault::fail(Some(step));
        let carried = world.life().approve(world.now, plan, who(2));
        fault::fail(None);
        let unfinished = world.life().state().unfinished;
        assert!(
            carried.is_err() || unfinished.is_some(),
            "{step:?} was not met"
        );
        let is_marked = step != Step::Mark;
        assert_eq!(world.shown().contains(&erased), !is_marked, "{step:?}");
        assert_eq!(
            world.catalogue().tombstone(erased).unwrap().is_some(),
            is_marked
        );
        if step != Step::DestroyKey && is_marked {
            assert!(world.vault().keys().get(erased).is_err(), "{step:?}");
        }
        world.reopen();
        assert!(!world.is_left(erased), "{step:?}");
        let stone = world.catalogue().tombstone(erased).unwrap().unwrap();
        assert!(stone.completed_at.is_some(), "{step:?}");
        assert!(world.caches.0.lock().unwrap().contains(&erased), "{step:?}");
        assert_eq!(world.whole(other).len(), 1, "{step:?}");
        assert_eq!(world.shown(), [other], "{step:?}");
    }
}

/// Runs `work` in a process that ends before its `n`th step, for every `n` that it comes to; `check` sees
/// the world after that, and again after the next process took it up.
fn end_before_each_step(
    made: impl Fn() -> World,
    work: impl Fn(&World),
    check: impl Fn(&World, u32, bool),
) -> u32 {
    for n in 0.. {
        let mut world = made();
        files_fault::kill_after(n);
        work(&world);
        let was_killed = files_fault::revive();
        check(&world, n, false);
        world.reopen();
        world.sweep().unwrap();
        check(&world, n, true);
        if !was_killed {
            return n;
        }
    }
    unreachable!("there are not that many steps")
}

#[test]
fn a_process_that_ends_within_a_move_costs_nothing() {
    for recompress in [false, true] {
        let (_, due, other) = due_to_move();
        let made = || {
            let mut world = due_to_move().0;
            world.moves.recompress = recompress;
            world.reopen();
            world
        };
        let check = |world: &World, n: u32, ended: bool| {
            assert!(!world.whole(due).is_empty(), "after {n} steps");
            assert_eq!(world.whole(other), [Tier::Primary], "after {n} steps");
            world.vault().open(due).unwrap().verify().unwrap();
            if ended {
                assert_eq!(world.whole(due), [Tier::Secondary], "after {n} steps");
                let there = world.catalogue().by_id(due).unwrap().unwrap();
                assert_eq!(there.tier, Tier::Secondary);
                assert!(files(&world.path("secondary/drafts")).is_empty());
                assert!(files(&world.path("secondary/set-aside")).is_empty());
            }
        };
        let steps = end_before_each_step(made, |world| drop(world.sweep()), check);
        assert!(steps >= 12, "{steps} steps");
    }
}

#[test]
fn a_process_that_ends_within_an_erasure_leaves_nothing() {
    let (_, erased, other) = due_to_move();
    let made = || {
        let world = due_to_move().0;
        world.sweep().unwrap();
        let plan = world.ask(Wish::Erase(vec![erased])).unwrap();
        world
            .catalogue()
            .decide(world.now, plan, true, who(2))
            .unwrap();
        world
    };
    let work = |world: &World| drop(world.life().carry_out_approved(world.now));
    let check = |world: &World, n: u32, ended: bool| {
        let is_marked = world.catalogue().tombstone(erased).unwrap().is_some();
        assert_eq!(
            world.shown().contains(&erased),
            !is_marked,
            "after {n} steps"
        );
        assert_eq!(world.whole(other), [Tier::Primary], "after {n} steps");
        if ended {
            assert!(is_marked && !world.is_left(erased), "after {n} steps");
        }
    };
    let steps = end_before_each_step(made, work, check);
    assert!(steps >= 8, "{steps} steps");
}

/// While a recording moves, somebody erases it: nothing of it arrives.
#[test]
fn what_is_erased_on_its_way_does_not_arrive() {
    let (world, due, _) = due_to_move();
    let plan = world.ask(Wish::Erase(vec![due])).unwrap();
    let item = world.life().plan().unwrap().moves[0];
    let life = world.life();
    // Erased between the copy and the switch of its row.
    let claim = life.eraser.desk.claim(vec![due]);
    let key = world.vault().keys().get(due).unwrap();
    life.approve(world.now, plan, who(2)).unwrap();
    let stone = world.catalogue().tombstone(due).unwrap().unwrap();
    assert_eq!(stone.completed_at, None, "somebody has it in hand");
    drop((claim, key));
    let stop = AtomicBool::new(false);
    let report = life
        .mover()
        .run(world.now, &[item], &stop, &mut |_, _| {})
        .unwrap();
    assert_eq!(report.moved, 0);
    world.sweep().unwrap();
    assert!(!world.is_left(due));
    let stone = world.catalogue().tombstone(due).unwrap().unwrap();
    assert!(stone.completed_at.is_some());
}

/// A copy arrives, and the row is gone: the copy goes as well.
#[test]
fn a_copy_of_what_is_gone_is_removed() {
    let (world, due, _) = due_to_move();
    let plan = world.ask(Wish::Erase(vec![due])).unwrap();
    let item = world.life().plan().unwrap().moves[0];
    let to = world.vault().tier(Tier::Secondary).unwrap();
    let key = world.vault().keys().get(due).unwrap();
    // The erasure happens while the last piece is being read back.
    let mut pieces = 0;
    to.receive(due, world.vault().primary(), &key, &mut |_| {
        pieces += 1;
        if pieces == 2 {
            let _claim = world.life().eraser.desk.claim(vec![due]);
            world.life().approve(world.now, plan, who(2)).unwrap();
        }
    })
    .unwrap();
    let moved = crate::catalogue::Moved {
        key: item.key,
        id: due,
        from: Tier::Primary,
        to: Tier::Secondary,
        stored_bytes: item.stored_bytes,
    };
    let switched = world
        .catalogue()
        .switch(world.now, vec![moved], vec![])
        .unwrap();
    assert_eq!((switched.done, switched.gone), (vec![], vec![moved]));
    world.sweep().unwrap();
    assert!(!world.is_left(due));
}
