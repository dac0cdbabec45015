//! What an erasure takes away, and what it leaves.

use super::*;
use crate::audit::{Draft, Event, Outcome};
use crate::catalogue::AGE;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

const PARTY: &str = "0312345678";

fn erase(world: &World, id: Ulid) -> Result<Carried, LifeError> {
    world.done(Wish::Erase(vec![id]))
}

/// R6.7: by Form 2, asked for by one and approved by another; from every tier.
#[test]
fn an_approved_erasure_leaves_a_tombstone_and_nothing_else() {
    let mut world = World::new(retention(6, 6), None);
    let (there, other) = (world.line(Some(PARTY)), world.record(LINE, None, 2));
    // A copy in the other tier, and one that was set aside.
    let copy = world.vault().tier(Tier::Secondary).unwrap();
    let key = world.vault().keys().get(there.id).unwrap();
    copy.receive(there.id, world.vault().primary(), &key, &mut |_| {})
        .unwrap();
    let aside = format!("primary/set-aside/{}.0", Store::file_name(there.id));
    fs::write(world.path(&aside), b"once").unwrap();
    erase(&world, there.id).unwrap();
    assert!(!world.is_left(there.id));
    assert_eq!(*world.caches.0.lock().unwrap(), [there.id]);
    assert_eq!(world.catalogue().by_key(there.key).unwrap(), None);
    assert_eq!(world.shown(), [other.id]);
    let stone = world.catalogue().tombstone(there.id).unwrap().unwrap();
    assert_eq!(stone.wav_sha256, there.sealed.wav_sha256);
    assert_eq!(stone.day, "2026-01-05".parse().unwrap());
    assert_eq!(stone.nanoseconds, there.nanoseconds());
    assert_eq!(stone.ground, "the caller asked for it");
    assert_eq!(stone.application.as_deref(), Some("2-17"));
    assert_eq!(stone.asked_by.as_deref(), Some("user1"));
    assert_eq!(stone.approved_by.as_deref(), Some("user2"));
    assert_eq!(stone.completed_at, Some(world.now));
    let totals = world.catalogue().totals().unwrap();
    assert_eq!(
        (totals.recordings, totals.wav_bytes),
        (1, other.sealed.wav_bytes)
    );
    world.reopen();
    assert!(!world.is_left(there.id));
    assert_eq!(world.shown(), [other.id]);
}

#[test]
fn what_is_due_goes_on_the_ground_of_its_age() {
    let mut world = World::new(retention(1, 0), None);
    let recording = world.line(None);
    world.pass(40 * A_DAY);
    world.sweep().unwrap();
    let stone = world.catalogue().tombstone(recording.id).unwrap().unwrap();
    assert_eq!((stone.ground.as_str(), stone.plan), (AGE, None));
}

/// The number of whoever called is nowhere any more, not in the database's files either; the log is whole.
#[test]
fn the_other_party_is_forgotten() {
    let mut world = World::new(retention(6, 6), None);
    let recording = world.line(Some(PARTY));
    let at = world.now;
    let log = |draft: Draft| world.catalogue().log(draft).unwrap();
    let opened = || Draft::new(at, Event::Open, Outcome::Done).on(recording.id);
    log(opened().hidden("party", PARTY));
    let search = |party: &str| {
        let words = format!("{{\"other_party\":\"{party}\"}}");
        Draft::new(at, Event::Find, Outcome::Done).hidden("search", words)
    };
    log(search(PARTY));
    log(search("0312345"));
    log(search("0698765432"));
    let wanted = Search {
        other_party: Some(PARTY.into()),
        ..Search::default()
    };
    let hold = world.hold(Scope::Search(wanted)).unwrap();
    world.done(Wish::Release(hold)).unwrap();
    erase(&world, recording.id).unwrap();
    // One that was on its way while the recording went.
    log(opened().hidden("party", PARTY));
    let bodies: Vec<_> = world.catalogue().log_records(1, 1000).unwrap();
    let bodies: Vec<_> = bodies.into_iter().filter_map(|row| row.private).collect();
    let texts: Vec<_> = bodies
        .iter()
        .map(|body| String::from_utf8_lossy(&body[32..]))
        .collect();
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert!(texts[0].contains("0698765432"), "{texts:?}");
    let report = world.catalogue().log_copy().unwrap();
    let report = report
        .verify(vec![], [], &mut |_, _| true)
        .unwrap()
        .unwrap();
    assert!(report.is_good(), "{report:?}");
    world.close();
    for file in fs::read_dir(world.path("")).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            let bytes = fs::read(&path).unwrap();
            let found = bytes
                .windows(6)
                .any(|window| window == &PARTY.as_bytes()[..6]);
            assert!(!found, "{}", path.display());
        }
    }
}

/// The same call does not come back: not by its row, and its key is nobody else's.
#[test]
fn what_was_erased_does_not_come_back() {
    let world = World::new(retention(6, 6), None);
    let recording = world.line(None);
    erase(&world, recording.id).unwrap();
    let (made, _) = world.made(LINE, None, 1);
    let refused = world.catalogue().archive(made.clone(), recording.sealed);
    assert!(matches!(refused, Err(CatalogueError::Erased(id)) if id == recording.id));
    // Of the same millisecond, with an identity that asks for the same key.
    let id = Ulid::from_parts(made.id.timestamp_ms(), made.id.random() | 1 << 40);
    let twin = Call { id, ..made };
    let Archived::New(twin) = world.catalogue().archive(twin, recording.sealed).unwrap() else {
        panic!("it is new");
    };
    assert_ne!(twin.key, recording.key);
    let again = erase(&world, recording.id).unwrap_err();
    assert!(again.to_string().contains("was erased"), "{again}");
}

/// R9.1, and the order of things: a plan is approved once, by somebody else, before it is carried out.
#[test]
fn nobody_approves_what_they_asked_for() {
    let world = World::new(retention(6, 6), None);
    let recording = world.line(None);
    let plan = world.ask(Wish::Erase(vec![recording.id])).unwrap();
    let life = world.life();
    let refused = |by| life.approve(world.now, plan, by).unwrap_err().to_string();
    assert!(refused(who(1)).contains("somebody else"));
    // The same person by another uid, or another name.
    let renamed = Who { uid: 7, ..who(1) };
    assert!(refused(renamed).contains("somebody else"));
    assert!(Approved::by_plan(world.catalogue(), plan, life.today()).is_err());
    life.decline(world.now, plan, who(2)).unwrap();
    assert!(refused(who(3)).contains("declined"));
    assert_eq!(world.whole(recording.id).len(), 1);
    let unknown = life.approve(world.now, PlanId(99), who(2)).unwrap_err();
    assert!(unknown.to_string().contains("P99"), "{unknown}");
    let mut groundless = NewPlan {
        wish: Wish::Erase(vec![recording.id]),
        ground: " ".into(),
        application: None,
        by: who(1),
    };
    assert!(life.ask(world.now, groundless.clone()).is_err());
    groundless.ground = "a ground".into();
    groundless.wish = Wish::Erase(vec![]);
    assert!(life.ask(world.now, groundless).is_err());
}

/// An approval covers what it names, and no more.
#[test]
fn a_plan_erases_only_what_it_names() {
    let world = World::new(retention(6, 6), None);
    let (named, other) = (world.line(None), world.record(LINE, None, 2));
    let plan = world.ask(Wish::Erase(vec![named.id])).unwrap();
    world
        .catalogue()
        .decide(world.now, plan, true, who(2))
        .unwrap();
    let approved = Approved::by_plan(world.catalogue(), plan, world.life().today()).unwrap();
    let both = [other.id, named.id];
    let erased = world
        .life()
        .eraser
        .erase(world.now, &approved, &both)
        .unwrap();
    assert_eq!(erased.outcomes[0], (other.id, Erasure::NotAllowed));
    assert!(matches!(erased.outcomes[1].1, Erasure::Marked(_)));
    assert_eq!(world.shown(), [other.id]);
    let again = world.life().eraser.erase(world.now, &approved, &both);
    assert!(again.is_err(), "it is carried out");
}

/// A world on a disk of its own of `bytes` bytes, which only the test sees: a mount of another namespace.
fn on_a_small_disk(bytes: u64, test: impl FnOnce(World) + Send + 'static) {
    let on_disk = move || {
        unshare(CloneFlags::CLONE_NEWNS).expect("tests run as root");
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={bytes}");
        mount(
            none,
            folder.path(),
            Some("tmpfs"),
            MsFlags::empty(),
            Some(size.as_str()),
        )
        .unwrap();
        let point = folder.path().to_owned();
        test(World::on(folder, retention(6, 6), None));
        umount2(&point, MntFlags::MNT_DETACH).unwrap();
        fs::remove_dir(&point).unwrap();
    };
    std::thread::spawn(on_disk).join().unwrap();
}

/// Fills the disk of `world` to the last byte; the database's write-ahead log is empty before.
fn fill(world: &World) {
    assert!(world.catalogue().fold().unwrap());
    let mut filler = fs::File::create(world.path("filler")).unwrap();
    let full = std::iter::repeat_with(|| io::Write::write_all(&mut filler, &[7; 4096]))
        .find_map(Result::err)
        .unwrap();
    assert_eq!(full.kind(), io::ErrorKind::StorageFull);
}

/// A disk that is full keeps nothing from being erased.
#[test]
fn a_recording_goes_while_the_disk_is_full() {
    on_a_small_disk(8 << 20, |world| {
        let (recording, other) = (world.line(Some(PARTY)), world.record(LINE, None, 2));
        let plans = [recording.id, other.id].map(|id| {
            let plan = world.ask(Wish::Erase(vec![id])).unwrap();
            world
                .catalogue()
                .decide(world.now, plan, true, who(2))
                .unwrap();
            world.catalogue().plan(plan).unwrap().unwrap()
        });
        fill(&world);
        world.life().carry_out(world.now, &plans[0]).unwrap();
        assert!(!world.is_left(recording.id));
        assert_eq!(world.shown(), [other.id]);
        // Without ballast a full disk is an error, and everything is as it was.
        let _ = fs::remove_file(world.path("ballast"));
        fs::remove_file(world.path("filler")).unwrap();
        fill(&world);
        let failed = world.life().carry_out(world.now, &plans[1]).unwrap_err();
        assert!(failed.to_string().contains("full"), "{failed}");
        assert_eq!(world.whole(other.id), [Tier::Primary]);
        assert_eq!(world.shown(), [other.id]);
    });
}
