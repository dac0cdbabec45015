//! Clocks that jump: nothing is hidden, moved or erased on the word of one of them.

use super::*;

/// Ten years ahead, or back, or a battery that was empty: nothing is due by it, until two persons say so.
#[test]
fn a_jump_erases_nothing_until_two_persons_confirm() {
    for off in [400 * A_DAY, -400 * A_DAY] {
        let mut world = World::new(retention(1, 1), None);
        let recording = world.line(None);
        world.pass(10 * A_DAY);
        world.now += off;
        let frozen = world.sweep().unwrap_err().to_string();
        assert!(frozen.contains("two persons"), "{frozen}");
        assert!(world.life().plan().unwrap().erase.is_empty());
        assert_eq!(world.shown(), [recording.id]);
        world.reopen();
        assert!(world.sweep().is_err(), "a restart confirms nothing");
        let plan = world.ask(world.life().right_clock().unwrap()).unwrap();
        let own = world.life().approve(world.now, plan, who(1)).unwrap_err();
        assert!(own.to_string().contains("somebody else"), "{own}");
        assert!(world.sweep().is_err(), "nor does one person");
        world.life().approve(world.now, plan, who(2)).unwrap();
        let erased = world.sweep().unwrap().erased;
        assert_eq!(erased, usize::from(off > 0));
        assert_eq!(world.life().today().frozen, None);
    }
}

/// Between the asking and the approval somebody sets the clock once more.
#[test]
fn only_the_clock_that_was_looked_at_is_confirmed() {
    let mut world = World::new(retention(1, 1), None);
    let recording = world.line(None);
    world.pass(A_DAY);
    world.now += 3 * A_DAY;
    world.life().tick(world.reading()).unwrap();
    let plan = world.ask(world.life().right_clock().unwrap()).unwrap();
    world.now += 400 * A_DAY;
    world.life().tick(world.reading()).unwrap();
    let refused = world.life().approve(world.now, plan, who(2)).unwrap_err();
    assert!(refused.to_string().contains("ask anew"), "{refused}");
    assert!(world.sweep().is_err());
    assert_eq!(world.shown(), [recording.id]);
}

/// Keeping too long is a breach as well: what is due by either clock is told of, though nothing is done.
#[test]
fn what_is_overdue_by_a_frozen_clock_is_an_alarm() {
    let mut world = World::new(retention(1, 1), None);
    world.line(None);
    world.pass(10 * A_DAY);
    world.now -= 2 * A_DAY;
    assert!(world.sweep().is_err());
    assert_eq!(world.life().state().overdue, 0);
    world.pass(80 * A_DAY);
    assert!(world.sweep().is_err());
    assert_eq!(world.life().state().overdue, 1);
    world.life().tick(world.reading()).unwrap();
    world.done(world.life().right_clock().unwrap()).unwrap();
    assert_eq!(world.sweep().unwrap().overdue, 0);
    assert_eq!(world.life().state().overdue, 0);
}
