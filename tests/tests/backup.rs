//! The archive after a disaster: a new machine, the store, a backup of the catalogue and the master key
//! out of escrow give every recording back, but none that was erased. And what makes that so: backups
//! that are whole while calls come in, keys that are sealed anew, and nothing of an erased recording's
//! key on the disk.

#[path = "backup/keys.rs"]
mod keys;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tsuwaroku::catalogue::KeyTable;
use tsuwaroku::keys::{Keys, load_master};
use tsuwaroku_tests::calls::MadeCall;
use tsuwaroku_tests::harness::accounts::{KATO, MANAGER, OFFICER, Person, as_reader};
use tsuwaroku_tests::harness::{World, files, wait_for};
use tsuwaroku_tests::logged;
use tsuwaroku_tests::served::{Archive, LIMIT, publish, start};
use ulid::Ulid;

/// Exit statuses of the command (tsuwaroku(8)).
const ATTENTION: i32 = 1;
const UNAVAILABLE: i32 = 69;
const NOT_ALLOWED: i32 = 77;

fn calls(numbers: std::ops::Range<u64>) -> Vec<MadeCall> {
    numbers.map(MadeCall::nth).collect()
}

fn catalogue(world: &World) -> PathBuf {
    logged::catalogue(&world.root())
}

fn tsuwaroku(world: &World, arguments: &[&str]) -> Output {
    let mut command = world.command("tsuwaroku");
    command.env("LC_ALL", "C").env("RUST_LOG", "warn");
    command.args(arguments).output().unwrap()
}

#[track_caller]
fn done(world: &World, arguments: &[&str]) -> String {
    let output = tsuwaroku(world, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn json(output: &str) -> serde_json::Value {
    serde_json::from_str(output).unwrap_or_else(|error| panic!("{error}: {output}"))
}

/// Every file of the mount by its path below it, with its whole content.
fn recordings(world: &World) -> BTreeMap<PathBuf, Vec<u8>> {
    let mount = world.mount();
    let read = |path: PathBuf| {
        let bytes = as_reader(|| fs::read(&path)).unwrap();
        (path.strip_prefix(&mount).unwrap().to_owned(), bytes)
    };
    world.recordings().into_iter().map(read).collect()
}

/// A backup into the world's own directory; answers where it is.
fn back_up(world: &World) -> PathBuf {
    let directory = world.path().join("backups");
    let made = json(&done(
        world,
        &["backup", directory.to_str().unwrap(), "--json"],
    ));
    PathBuf::from(made["place"].as_str().unwrap())
}

/// Somebody who keeps the master key: the file of the identity, and the recipient that goes with it.
fn keeper(world: &World, name: &str) -> (PathBuf, String) {
    let identity = world.path().join(name);
    let made = Command::new("age-keygen").arg("-o").arg(&identity).output();
    assert!(
        made.expect("age is installed: see tests/setup")
            .status
            .success()
    );
    let recipient = Command::new("age-keygen").arg("-y").arg(&identity).output();
    let recipient = String::from_utf8(recipient.unwrap().stdout).unwrap();
    (identity, recipient.trim().to_owned())
}

/// The archive's keys, as the daemon has them; it must not run.
fn keys(world: &World) -> Keys {
    let birth = tsuwaroku::catalogue::Catalogue::birth_at(&catalogue(world)).unwrap();
    let master = load_master(&world.master_key()).unwrap();
    let keys = Keys::open(&table(world), birth.archive, master).unwrap();
    keys.settle([world.root().join("primary/keys")]).unwrap();
    keys
}

fn table(world: &World) -> PathBuf {
    world.root().join("keys/keys.sqlite")
}

fn sealed(world: &World, id: Ulid) -> Vec<u8> {
    let table = KeyTable::open(&table(world)).unwrap();
    table.key(id).unwrap().expect("it has a key").sealed
}

/// Erases a recording as an erasure does it: its key, and its object.
fn erase(world: &World, id: Ulid) {
    assert!(keys(world).destroy(id).unwrap());
    let object = files(&world.root().join("primary/objects"));
    let its = |path: &&PathBuf| {
        path.file_stem()
            .is_some_and(|stem| *stem == *id.to_string())
    };
    fs::remove_file(object.iter().find(its).expect("it has an object")).unwrap();
}

/// A machine that has nothing but the store of `former`.
fn new_machine(former: &World) -> World {
    let world = World::new().unwrap();
    let copied = Command::new("cp")
        .arg("-a")
        .arg(former.root().join("primary"))
        .arg(world.root())
        .status();
    assert!(copied.unwrap().success());
    world
}

/// R5.1, R6.3: the drill of tsuwaroku(8).
#[test]
fn a_new_machine_gives_every_recording_back_and_none_that_was_erased() {
    let mut archive = Archive::new();
    let world = &archive.world;
    let (first, recipient) = keeper(world, "first.txt");
    let (second, another) = keeper(world, "second.txt");
    let escrow = world.path().join("master.age");
    let escrow_file = escrow.to_str().unwrap();
    let to = ["--recipient", &recipient, "--recipient", &another];
    done(
        world,
        &[&["keys", "escrow"], &to[..], &[escrow_file]].concat(),
    );
    // Another program of the same format opens it, with either identity.
    for identity in [&first, &second] {
        let opened = Command::new("age")
            .arg("-d")
            .arg("-i")
            .arg(identity)
            .arg(&escrow)
            .output();
        assert_eq!(
            opened.unwrap().stdout,
            fs::read(world.master_key()).unwrap()
        );
    }

    archive.archive(&calls(0..6));
    let backup = back_up(&archive.world);
    archive.archive(&calls(6..9));
    let note = done(&archive.world, &["audit", "checkpoint"]);
    let whole = recordings(&archive.world);
    archive.stop();
    // One that the backup knows.
    let erased = MadeCall::nth(2).id;
    erase(&archive.world, erased);
    archive.start();
    done(&archive.world, &["keys", "rotate"]);
    archive.archive(&calls(9..10));
    archive.kill();
    let late: Vec<_> = calls(9..10);

    let world = new_machine(&archive.world);
    let identity = second.to_str().unwrap();
    let backup = backup.to_str().unwrap();
    let refused = tsuwaroku(&world, &["restore", backup]);
    assert_eq!(
        refused.status.code(),
        Some(UNAVAILABLE),
        "there is no master key yet"
    );
    done(
        &world,
        &["keys", "recover", escrow_file, "--identity", identity],
    );
    let restored = json(&done(&world, &["restore", backup, "--json"]));
    assert_eq!(restored["erased"], serde_json::json!([erased.to_string()]));
    assert_eq!(restored["missing"], serde_json::json!([]));
    assert_eq!(restored["rebuilt"]["entered"], 4);
    let serve = start(&world);
    let found = recordings(&world);
    assert_eq!(found.len(), 9);
    for (path, bytes) in &found {
        match whole.get(path) {
            Some(before) => assert!(before == bytes, "{}", path.display()),
            None => assert!(contains(bytes, late[0].id.to_string().as_bytes())),
        }
    }
    let is_of = |bytes: &Vec<u8>| contains(bytes, erased.to_string().as_bytes());
    assert!(whole.values().any(is_of) && !found.values().any(is_of));

    // The log goes on, says what happened, and agrees with itself; what was lost, the outside tells.
    assert_eq!(logged::of_event(&catalogue(&world), "restored").len(), 1);
    let gone = logged::of_event(&catalogue(&world), "erased");
    assert_eq!(gone[0].recording(), Some(erased));
    let on = rusqlite::Connection::open(catalogue(&world)).unwrap();
    let buried: Vec<u8> = on
        .query_row("SELECT id FROM tombstone", [], |row| row.get(0))
        .unwrap();
    assert_eq!(buried, erased.to_bytes(), "and it is never taken in again");
    drop(on);
    done(&world, &["audit", "verify"]);
    done(&world, &["verify"]);
    let outside = world.path().join("note");
    fs::write(&outside, note).unwrap();
    let told = tsuwaroku(
        &world,
        &[
            "audit",
            "verify",
            "--checkpoints",
            outside.to_str().unwrap(),
        ],
    );
    assert_eq!(told.status.code(), Some(ATTENTION), "{told:?}");
    assert!(serve.stop().success());
}

fn contains(all: &[u8], wanted: &[u8]) -> bool {
    all.windows(wanted.len()).any(|window| window == wanted)
}

/// What is not fit to be restored is refused, and nothing is written.
#[test]
fn a_restoration_that_cannot_be_right_is_refused() {
    let mut archive = Archive::new();
    archive.archive(&calls(0..2));
    let backup = back_up(&archive.world);
    let place = backup.to_str().unwrap();
    archive.stop();
    let refused = |world: &World, why: &str| {
        let output = tsuwaroku(world, &["restore", place]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(why), "{said}");
    };
    refused(&archive.world, "there is a catalogue already");
    let world = new_machine(&archive.world);
    // The master key of another archive.
    let other = Archive::new();
    fs::copy(other.world.master_key(), world.master_key()).unwrap();
    refused(&world, "the master key");
    fs::remove_file(world.master_key()).unwrap();
    fs::copy(archive.world.master_key(), world.master_key()).unwrap();
    // No keys in the store.
    let keys = world.root().join("primary/keys");
    let away = world.path().join("away");
    fs::rename(&keys, &away).unwrap();
    refused(&world, "no tier has a copy of the keys");
    fs::rename(&away, &keys).unwrap();
    // A byte of the backup.
    let file = backup.join("catalogue.sqlite");
    let good = fs::read(&file).unwrap();
    let mut bad = good.clone();
    bad[5000] ^= 1;
    fs::write(&file, bad).unwrap();
    refused(&world, "this is not a whole backup");
    assert!(!catalogue(&world).exists());
    fs::write(&file, good).unwrap();
    done(&world, &["restore", place]);
    assert_eq!(start(&world).stop().code(), Some(0));
}

/// Backups that are made while calls come in are whole: the log verifies, and no key is in them.
#[test]
fn a_backup_is_whole_while_calls_come_in() {
    let mut archive = Archive::new();
    archive.archive(&calls(0..2));
    let stop = AtomicBool::new(false);
    let mut places = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut n = 2;
            while !stop.load(Ordering::Relaxed) && n < 400 {
                publish(&archive.world, &calls(n..n + 4));
                n += 4;
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        for _ in 0..3 {
            places.push(back_up(&archive.world));
            // They are named after the second in which they were made.
            std::thread::sleep(Duration::from_millis(1100));
        }
        stop.store(true, Ordering::Relaxed);
    });
    wait_for("the calls to be archived", LIMIT, || {
        archive.world.ready().is_empty().then_some(())
    });
    let mut counts = Vec::new();
    for place in &places {
        let manifest: serde_json::Value =
            serde_json::from_slice(&fs::read(place.join("manifest.json")).unwrap()).unwrap();
        let database = place.join("catalogue.sqlite");
        let verified = done(
            &archive.world,
            &[
                "audit",
                "verify",
                "--json",
                "--database",
                database.to_str().unwrap(),
            ],
        );
        assert_eq!(
            json(&verified)["verified"]["records"],
            manifest["log_records"]
        );
        let on = rusqlite::Connection::open(&database).unwrap();
        let found: (String, u64) = on
            .query_row(
                "SELECT (SELECT * FROM pragma_integrity_check), (SELECT count(*) FROM recording)",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .unwrap();
        assert_eq!(found.0, "ok");
        assert_eq!(manifest["recordings"], found.1);
        counts.push(found.1);
    }
    assert!(
        counts.is_sorted() && counts[0] < counts[2],
        "calls came in meanwhile: {counts:?}"
    );
    assert_eq!(
        logged::of_event(&catalogue(&archive.world), "backed-up").len(),
        3
    );
    archive.stop();
    let key = sealed(&archive.world, MadeCall::nth(0).id);
    for place in &places {
        assert_eq!(files(place).len(), 3, "and nothing else");
        for file in files(place) {
            assert!(
                !contains(&fs::read(&file).unwrap(), &key),
                "{}",
                file.display()
            );
        }
    }
    // Without a daemon it is made all the same.
    let place = back_up(&archive.world);
    assert!(place.join("manifest.json").exists());
}

/// Recordings come back from their objects, once; what does not open is told of and left.
#[test]
fn a_lost_catalogue_is_rebuilt_from_the_objects() {
    let mut archive = Archive::new();
    archive.archive(&calls(0..6));
    let before = recordings(&archive.world);
    let running = tsuwaroku(&archive.world, &["rebuild"]);
    assert_eq!(
        running.status.code(),
        Some(UNAVAILABLE),
        "not while a daemon runs"
    );
    archive.stop();
    let erased = MadeCall::nth(1).id;
    assert!(keys(&archive.world).destroy(erased).unwrap());
    for name in ["", "-wal", "-shm"] {
        let path = format!("{}{name}", catalogue(&archive.world).display());
        let _ = fs::remove_file(path);
    }
    // The keys too: a tier has them.
    fs::remove_dir_all(archive.world.root().join("keys")).unwrap();
    let damaged = files(&archive.world.root().join("primary/objects"))
        .into_iter()
        .find(|path| path.file_stem().unwrap() == &*MadeCall::nth(4).id.to_string())
        .unwrap();
    let good = fs::read(&damaged).unwrap();
    fs::set_permissions(
        &damaged,
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )
    .unwrap();
    fs::write(&damaged, &good[..good.len() - 1]).unwrap();
    let output = tsuwaroku(&archive.world, &["rebuild", "--json"]);
    assert_eq!(output.status.code(), Some(ATTENTION), "{output:?}");
    let rebuilt: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let expected = serde_json::json!(
        {"objects": 6, "known": 0, "entered": 4, "erased": 1, "failed": 1}
    );
    assert_eq!(rebuilt, expected);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains(damaged.to_str().unwrap()), "{told}");
    fs::write(&damaged, &good).unwrap();
    let again = json(&done(&archive.world, &["rebuild", "--json"]));
    let expected = serde_json::json!(
        {"objects": 6, "known": 4, "entered": 1, "erased": 1, "failed": 0}
    );
    assert_eq!(again, expected);
    archive.start();
    let after = recordings(&archive.world);
    assert_eq!(after.len(), 5);
    for (path, bytes) in &after {
        assert!(before.get(path) == Some(bytes), "{}", path.display());
    }
    assert_eq!(
        logged::of_event(&catalogue(&archive.world), "rebuilt").len(),
        2
    );
    done(&archive.world, &["audit", "verify"]);
}
