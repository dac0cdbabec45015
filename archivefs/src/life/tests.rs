//! The life of recordings as the daemon and the control service meet it: a small archive on a disk, whose
//! clock the test sets, and whose process it may end before any step.

mod clock;
mod erasing;
mod held;
mod steps;
mod year;

use super::*;
use crate::call::Call;
use crate::catalogue::tests::signers;
use crate::catalogue::{Archived, Birth, Recording, Scope, Search, Tombstone};
use crate::crypto::Key as Secret;
use crate::keys::Keys;
use crate::store::Store;
use crate::store::tests::call;
use crate::wav;
use chrono_tz::Tz;
use std::fs;
use std::path::Path;
use tsuwaroku_config::{PeriodRule, Retention};
use tsuwaroku_spool::record::Encoding;

const ZONE: Tz = Tz::Asia__Tokyo;
pub(super) const SECOND: i64 = 1_000_000_000;
pub(super) const A_DAY: i64 = 86_400 * SECOND;
/// 2026-01-05 09:00 in Tokyo.
pub(super) const START: i64 = 1_767_571_200 * SECOND;
const LINE: &str = "06-6458-1132";

pub(super) fn retention(primary_months: u16, secondary_months: u16) -> Retention {
    Retention {
        rule: PeriodRule::CivilCode,
        primary_months,
        secondary_months,
        external_years: 5,
    }
}

pub(super) fn who(uid: u32) -> Who {
    Who {
        uid,
        gid: 100,
        name: format!("user{uid}"),
        pid: None,
        exe: None,
    }
}

/// Which recordings were forgotten, in order.
#[derive(Debug, Default)]
pub(super) struct Forgotten(pub Mutex<Vec<Ulid>>);

impl Caches for Forgotten {
    fn forget(&self, erased: &Tombstone) {
        self.0.lock().unwrap().push(erased.id);
    }
}

/// An archive with two tiers.
pub(super) struct World {
    folder: tempfile::TempDir,
    retention: Retention,
    own: Option<(&'static str, Retention)>,
    pub moves: MoveSettings,
    /// What the wall clock shows, and what the machine's own clock counted.
    pub now: i64,
    pub boot: i64,
    pub caches: Arc<Forgotten>,
    open: Option<Open>,
}

struct Open {
    catalogue: Arc<Catalogue>,
    vault: Vault,
    life: Life,
}

impl World {
    /// A new archive whose recordings are kept by `retention`, or by their line's `own`.
    pub fn new(retention: Retention, own: Option<(&'static str, Retention)>) -> Self {
        Self::on(tempfile::tempdir().unwrap(), retention, own)
    }

    /// The same in `folder`.
    pub fn on(
        folder: tempfile::TempDir,
        retention: Retention,
        own: Option<(&'static str, Retention)>,
    ) -> Self {
        let birth = Birth {
            archive: ARCHIVE,
            time_zone: ZONE,
        };
        Catalogue::init(&folder.path().join("catalogue.sqlite"), birth).unwrap();
        Keys::init(&folder.path().join("keys"), ARCHIVE, &master()).unwrap();
        for tier in Tier::ALL.map(Tier::word) {
            Store::init(&folder.path().join(tier), ARCHIVE, tier).unwrap();
        }
        let mut world = Self {
            folder,
            retention,
            own,
            moves: MoveSettings::default(),
            now: START,
            boot: 1000 * SECOND,
            caches: Arc::default(),
            open: None,
        };
        world.reopen();
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn reading(&self) -> Reading {
        Reading {
            wall: self.now,
            boot: self.boot,
            boot_id: "a".into(),
            synchronised: true,
        }
    }

    /// Time passes; nothing is done.
    pub fn pass(&mut self, time: i64) {
        self.now += time;
        self.boot += time;
    }

    /// The process ends, and begins anew with the tiers that are there.
    pub fn reopen(&mut self) {
        self.close();
        let catalogue = Catalogue::open(&self.path("catalogue.sqlite"), signers()).unwrap();
        let catalogue = Arc::new(catalogue);
        let keys = Arc::new(Keys::open(&self.path("keys"), ARCHIVE, master()).unwrap());
        let store = |tier: Tier| Store::open(&self.path(tier.word()), ARCHIVE);
        let mut tiers = vec![store(Tier::Primary).unwrap()];
        tiers.extend(store(Tier::Secondary));
        let vault = Vault::new(tiers, keys);
        let mut rules = Rules::for_all(self.retention.clone());
        if let Some((line, own)) = &self.own {
            let number = catalogue.designate(line).unwrap();
            rules.lines.insert(number, own.clone());
        }
        let parts = Parts {
            catalogue: catalogue.clone(),
            vault: vault.clone(),
            findings: Arc::new(Findings::load(catalogue.clone()).unwrap()),
            caches: self.caches.clone(),
            rules,
            moves: self.moves,
            wants_secondary: true,
            ballast: self.path("ballast"),
            ballast_bytes: 1 << 20,
        };
        let life = Life::open(parts, self.reading()).unwrap();
        self.open = Some(Open {
            catalogue,
            vault,
            life,
        });
    }

    pub fn close(&mut self) {
        self.open = None;
    }

    pub fn life(&self) -> &Life {
        &self.open.as_ref().unwrap().life
    }

    pub fn catalogue(&self) -> &Catalogue {
        &self.open.as_ref().unwrap().catalogue
    }

    pub fn vault(&self) -> &Vault {
        &self.open.as_ref().unwrap().vault
    }

    /// A call of now on `number`; `tie` makes it another one of the same moment.
    pub fn record(&self, number: &str, party: Option<&str>, tie: u128) -> Recording {
        let (made, audio) = self.made(number, party, tie);
        let frame = wav::Frame::around(&made, ZONE);
        let mut object = self.vault().begin(&made, &frame).unwrap();
        object.samples(&audio).unwrap();
        let sealed = object.publish().unwrap();
        match self.catalogue().archive(made, sealed).unwrap() {
            Archived::New(recording) => *recording,
            Archived::Already(_) => panic!("it is new"),
        }
    }

    pub fn made(&self, number: &str, party: Option<&str>, tie: u128) -> (Call, Vec<u8>) {
        let audio: Vec<u8> = (0..600_u32)
            .map(|n| (n * n % 251 + tie as u32) as u8)
            .collect();
        let made = Call {
            id: Ulid::from_parts((self.now / 1_000_000) as u64, tie),
            number: number.into(),
            started_at: self.now,
            other_party: party.map(str::to_owned),
            ..call(&audio, 1, Encoding::ALaw)
        };
        (made, audio)
    }

    pub fn line(&self, party: Option<&str>) -> Recording {
        self.record(LINE, party, 1)
    }

    /// The clock is read, and what is due is done.
    pub fn sweep(&self) -> Result<Swept, LifeError> {
        self.life().tick(self.reading())?;
        let stop = AtomicBool::new(false);
        self.life().sweep(self.now, &stop, &mut |_| {})
    }

    pub fn hold(&self, scope: Scope) -> Result<HoldId, LifeError> {
        self.hold_until(scope, None)
    }

    pub fn hold_until(&self, scope: Scope, until: Option<Day>) -> Result<HoldId, LifeError> {
        let hold = NewHold {
            scope,
            ground: "a complaint".into(),
            until,
            by: who(1),
        };
        self.life().hold(self.now, hold)
    }

    /// `who(1)` asks.
    pub fn ask(&self, wish: Wish) -> Result<PlanId, LifeError> {
        let plan = NewPlan {
            wish,
            ground: "the caller asked for it".into(),
            application: Some("2-17".into()),
            by: who(1),
        };
        self.life().ask(self.now, plan)
    }

    /// `who(1)` asks, and `who(2)` approves.
    pub fn done(&self, wish: Wish) -> Result<Carried, LifeError> {
        let plan = self.ask(wish)?;
        self.life().approve(self.now, plan, who(2))
    }

    /// Tiers in which a whole copy of `id` is.
    pub fn whole(&self, id: Ulid) -> Vec<Tier> {
        let vault = self.vault();
        let Ok(key) = vault.keys().get(id) else {
            return vec![];
        };
        let is_whole = |&tier: &Tier| {
            let object = vault.tier(tier).unwrap().open_object(id, &key);
            object.is_ok_and(|object| object.verify().is_ok())
        };
        Tier::ALL.into_iter().filter(is_whole).collect()
    }

    /// Whether anything of `id` is left: a key that opens something, or a file in a tier.
    pub fn is_left(&self, id: Ulid) -> bool {
        let files = Tier::ALL.map(|tier| files(&self.path(tier.word())));
        let named = |name: &String| name.contains(&id.to_string());
        self.vault().keys().get(id).is_ok() || files.iter().flatten().any(named)
    }

    /// Identities of what the file system shows, in order.
    pub fn shown(&self) -> Vec<Ulid> {
        let all = crate::catalogue::Filter::default();
        let found = self.catalogue().shown().find(&all, u32::MAX).unwrap();
        found.iter().map(|recording| recording.id).collect()
    }
}

const ARCHIVE: Ulid = Ulid::from_parts(1, 1);

fn master() -> Secret {
    Secret::from_bytes([9; 32])
}

/// Names of all files below `folder`.
pub(super) fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
    found
}

/// R6.1, R6.2, R6.3: a recording rests half a year here, half a year there, and goes.
#[test]
fn a_recording_moves_and_goes_by_itself() {
    let mut world = World::new(retention(6, 6), None);
    let recording = world.line(Some("0312345678"));
    // 2026-01-05: through 2026-07-05, and through 2027-01-05.
    world.pass(181 * A_DAY);
    assert_eq!(world.sweep().unwrap().moves.moved, 0);
    world.pass(A_DAY);
    assert_eq!(world.sweep().unwrap().moves.moved, 1);
    let there = world.catalogue().by_id(recording.id).unwrap().unwrap();
    assert_eq!(there.tier, Tier::Secondary);
    assert_eq!(world.whole(recording.id), [Tier::Secondary]);
    world.pass(183 * A_DAY);
    assert_eq!(world.sweep().unwrap().erased, 0);
    assert_eq!(world.shown(), [recording.id]);
    world.pass(A_DAY);
    // Not there any more, though nothing has swept yet.
    world.life().tick(world.reading()).unwrap();
    assert_eq!(world.shown(), []);
    assert!(world.is_left(recording.id));
    assert_eq!(world.sweep().unwrap().erased, 1);
    assert!(!world.is_left(recording.id));
}

/// What would be done is what is done.
#[test]
fn the_plan_is_what_the_sweep_does() {
    let mut world = World::new(retention(6, 6), Some(("06-6458-7160", retention(1, 0))));
    let mut recorded = Vec::new();
    for day in 0..60 {
        recorded.push(world.line(None).id);
        if day % 2 == 0 {
            recorded.push(world.record("06-6458-7160", Some("0312345678"), 2).id);
        }
        world.pass(A_DAY);
    }
    let held = world.hold(Scope::Recording(recorded[1])).unwrap();
    world.pass(140 * A_DAY);
    world.life().tick(world.reading()).unwrap();
    let plan = world.life().plan().unwrap();
    assert_eq!(
        (plan.erase.len(), plan.moves.len(), plan.held.len()),
        (29, 20, 1)
    );
    assert_eq!((plan.held[0].0.id, plan.held[0].1), (recorded[1], held));
    assert_eq!(plan.erase[0].last_day, "2026-02-07".parse().unwrap());
    assert_eq!(plan.moves[0].last_day, "2026-07-05".parse().unwrap());
    // A hold stops no move.
    assert_eq!(plan.moves[1].id, recorded[1]);
    assert_eq!(world.life().plan().unwrap(), plan, "nothing was done");
    let swept = world.sweep().unwrap();
    assert_eq!((swept.erased, swept.held, swept.moves.moved), (29, 1, 20));
    for item in &plan.erase {
        assert!(world.catalogue().tombstone(item.id).unwrap().is_some());
    }
    let after = world.life().plan().unwrap();
    assert_eq!(
        (after.erase.len(), after.moves.len(), after.held.len()),
        (0, 0, 1)
    );
}

/// A secondary tier that is gone, full or broken leaves recordings where they are, with an alarm.
#[test]
fn without_a_second_medium_recordings_stay() {
    let mut world = World::new(retention(1, 1), None);
    let recording = world.line(None);
    world.pass(32 * A_DAY);
    world.close();
    fs::rename(world.path("secondary"), world.path("unmounted")).unwrap();
    fs::create_dir(world.path("secondary")).unwrap();
    world.reopen();
    let swept = world.sweep().unwrap();
    assert!(swept.moves.stopped.is_some() && world.life().state().stuck.is_some());
    assert_eq!(world.shown(), [recording.id]);
    assert_eq!(
        files(&world.path("secondary")),
        [""; 0],
        "an empty mount point stays empty"
    );
    world.close();
    fs::remove_dir(world.path("secondary")).unwrap();
    fs::rename(world.path("unmounted"), world.path("secondary")).unwrap();
    world.reopen();
    // The disk vanishes while the daemon runs.
    fs::rename(world.path("secondary"), world.path("unmounted")).unwrap();
    fs::create_dir(world.path("secondary")).unwrap();
    assert!(world.sweep().unwrap().moves.stopped.is_some());
    assert_eq!(files(&world.path("secondary")), [""; 0]);
    fs::remove_dir(world.path("secondary")).unwrap();
    fs::rename(world.path("unmounted"), world.path("secondary")).unwrap();
    assert_eq!(world.sweep().unwrap().moves.moved, 1);
    assert_eq!(world.life().state().stuck, None);
    assert_eq!(world.whole(recording.id), [Tier::Secondary]);
}

/// A recording that goes before it could ever move goes all the same.
#[test]
fn what_expired_in_the_primary_tier_goes_from_there() {
    let mut world = World::new(retention(1, 1), None);
    let recording = world.line(None);
    world.pass(70 * A_DAY);
    let swept = world.sweep().unwrap();
    assert_eq!((swept.erased, swept.moves.moved), (1, 0));
    assert!(!world.is_left(recording.id));
}

/// Compressed anew on the way: smaller, and the same WAV file.
#[test]
fn a_move_may_compress_anew() {
    let mut world = World::new(retention(1, 1), None);
    let before = world.line(None);
    world.moves.recompress = true;
    world.pass(32 * A_DAY);
    world.reopen();
    assert_eq!(world.sweep().unwrap().moves.moved, 1);
    let after = world.catalogue().by_id(before.id).unwrap().unwrap();
    assert_eq!(after.sealed.wav_sha256, before.sealed.wav_sha256);
    assert!(after.sealed.stored_bytes <= before.sealed.stored_bytes);
    assert_eq!(world.whole(before.id), [Tier::Secondary]);
    let totals = world.catalogue().totals().unwrap();
    assert_eq!(totals.stored_bytes, after.sealed.stored_bytes);
}

/// A damaged recording does not move, and keeps no other from moving.
#[test]
fn damaged_recordings_hold_up_no_others() {
    let mut world = World::new(retention(1, 1), None);
    let ids: Vec<_> = (1..=6)
        .map(|tie| world.record(LINE, None, tie).id)
        .collect();
    for id in &ids[..4] {
        let path = world.vault().primary().path(*id);
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::remove_file(&path).unwrap();
        fs::write(&path, bytes).unwrap();
    }
    world.pass(32 * A_DAY);
    let moves = world.sweep().unwrap().moves;
    assert_eq!(
        (moves.moved, moves.failed.len(), moves.stopped),
        (2, 4, None)
    );
    assert!(world.life().state().stuck.is_some());
    assert_eq!(files(&world.path("secondary/objects")).len(), 2);
}

/// Whoever listens while a recording moves, or is past its first day in the other tier, notices nothing.
#[test]
fn an_open_recording_moves_under_its_reader() {
    let mut world = World::new(retention(1, 1), None);
    let recording = world.line(None);
    let object = world.vault().open(recording.id).unwrap();
    world.pass(32 * A_DAY);
    assert_eq!(world.sweep().unwrap().moves.moved, 1);
    object.verify().unwrap();
    world.vault().open(recording.id).unwrap().verify().unwrap();
}
