//! The audit log from outside: what was done is in it before it is answered, on a full disk and through
//! a crash; the verbs that read, verify and sign it; and a log that somebody has altered, which is told
//! with the number of the record. Here too is what readers meet when the store is damaged or hangs,
//! because that is logged.

#[path = "audit/store.rs"]
mod store;

use rusqlite::Connection;
use serde_json::Value;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use tsuwaroku_tests::calls::MadeCall;
use tsuwaroku_tests::disk::Tmpfs;
use tsuwaroku_tests::harness::accounts::{OFFICER, SATO, as_reader, run};
use tsuwaroku_tests::harness::{World, wait_for};
use tsuwaroku_tests::logged::{self, Tally, surplus};
use tsuwaroku_tests::model::mounted;
use tsuwaroku_tests::model::{Model, Shown};
use tsuwaroku_tests::served::{Archive, LIMIT, publish};

/// Exit statuses of the command: it has found something; the account may not do this (tsuwaroku(8)).
const ATTENTION: i32 = 1;
const NOT_ALLOWED: i32 = 77;

fn calls(count: u64) -> Vec<MadeCall> {
    (0..count).map(MadeCall::nth).collect()
}

fn model_of(calls: &[MadeCall]) -> Model {
    let mut model = Model::new();
    for call in calls {
        model.add(call);
    }
    model
}

fn path_of(world: &World, shown: &Shown) -> PathBuf {
    world.mount().join(&shown.paths()[0])
}

fn catalogue(world: &World) -> PathBuf {
    logged::catalogue(&world.root())
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// R3.2: what cannot be logged does not take place, and nothing else suffers: listings, the spool, and,
/// when there is room again, every record that had to wait.
#[test]
fn a_full_disk_refuses_listeners_and_loses_nothing() {
    let world = World::new().unwrap();
    let disk = Tmpfs::mount(&world.root(), "4m");
    let mut archive = Archive::of(world);
    // The disk goes before the directory it is mounted in.
    let disk = disk;
    let first = calls(3);
    archive.archive(&first);
    let model = model_of(&first);
    let shown = model.recordings()[0].clone();
    let path = path_of(&archive.world, &shown);
    let before = as_reader(|| File::open(&path)).unwrap();
    let ballast = disk.fill();

    // What the database has room for inside its own files it may still take.
    let mut opened = 1;
    let refused = loop {
        match as_reader(|| File::open(&path)) {
            Ok(_) => opened += 1,
            Err(error) => break error,
        }
        assert!(
            opened < 20_000,
            "the disk is full, and every access is logged"
        );
    };
    assert_eq!(refused.raw_os_error(), Some(nix::libc::EIO));
    let status = archive.world.tsuwaroku(&["status"]).unwrap();
    assert_eq!(status.status.code(), Some(ATTENTION));
    let said = String::from_utf8(status.stdout).unwrap();
    assert!(
        said.contains("Nothing can be logged, so nobody may listen"),
        "{said}"
    );
    drop(before);
    let folder = path.parent().unwrap();
    assert_eq!(
        as_reader(|| mounted::names(folder)).unwrap(),
        std::slice::from_ref(&shown.name)
    );
    let late = MadeCall::nth(3);
    publish(&archive.world, std::slice::from_ref(&late));
    wait_for("status to tell of it", LIMIT, || {
        let output = archive.world.tsuwaroku(&["status"]).unwrap();
        (output.status.code() == Some(ATTENTION)).then_some(())
    });
    assert_eq!(archive.world.ready().len(), 1, "it stays in the spool");

    fs::remove_file(ballast).unwrap();
    wait_for("the call to be archived", LIMIT, || {
        (archive.world.recordings().len() == 4).then_some(())
    });
    wait_for("listeners to be let in", LIMIT, || {
        as_reader(|| File::open(&path)).ok()
    });
    opened += 1;
    wait_for("the log to tell who was refused", LIMIT, || {
        let list = ["audit", "list", "--event", "open", "--result", "failed"];
        let told = archive.world.tsuwaroku(&list).unwrap().stdout;
        let told = String::from_utf8(told).unwrap();
        (told.contains("sato") && told.contains("it could not be logged")).then_some(())
    });
    let status = archive.world.tsuwaroku(&["status"]).unwrap();
    assert_eq!(status.status.code(), Some(0), "{status:?}");
    archive.stop();
    let sessions = logged::sessions(&logged::records(&catalogue(&archive.world)));
    assert_eq!(sessions.len(), 1);
    assert_eq!(sessions[0].opened, Tally::from([(shown.id, opened)]));
    assert_eq!(
        sessions[0].released, sessions[0].opened,
        "closings waited for room"
    );
    let copy = archive.world.path().join("copy.sqlite");
    let verified = verify_copy(&archive.world, &copy_of(&archive.world, &copy), &[]);
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");
}

/// R3.2: killed at any moment, the daemon has answered nothing that is not in the log.
#[test]
fn every_opening_that_was_answered_before_a_kill_is_logged() {
    let mut archive = Archive::new();
    let calls = calls(4);
    archive.archive(&calls);
    let model = model_of(&calls);
    let mut answered = Tally::new();
    for kill in 0..6_u64 {
        let over = AtomicBool::new(false);
        let (mount, shown) = (archive.world.mount(), model.recordings());
        let opened = std::thread::scope(|scope| {
            let reader = |offset: usize| {
                let (over, mount, shown) = (&over, &mount, &shown);
                scope.spawn(move || {
                    let mut opened = Tally::new();
                    let mut at = offset;
                    while !over.load(Ordering::SeqCst) {
                        let one = shown[at % shown.len()];
                        if as_reader(|| File::open(mount.join(&one.paths()[0]))).is_ok() {
                            *opened.entry(one.id).or_default() += 1;
                        }
                        at += 1;
                    }
                    opened
                })
            };
            let readers = [0, 1, 2].map(reader);
            std::thread::sleep(std::time::Duration::from_millis(100 + kill * 37));
            archive.kill();
            over.store(true, Ordering::SeqCst);
            readers.map(|reader| reader.join().unwrap())
        });
        for (id, count) in opened.into_iter().flatten() {
            *answered.entry(id).or_default() += count;
        }
        archive.start();
    }
    archive.stop();
    let told = logged::opened(&logged::records(&catalogue(&archive.world)));
    assert!(answered.values().sum::<u64>() > 10, "{answered:?}");
    assert_eq!(
        surplus(&answered, &told),
        Tally::new(),
        "answered, but not logged"
    );
}

/// R9.1: the officer reads and verifies the log, root looks after it, staff do neither; and that is
/// logged too.
#[test]
fn the_log_is_for_the_officer() {
    let archive = Archive::new();
    let calls = calls(2);
    archive.archive(&calls);
    let model = model_of(&calls);
    let shown = model.recordings()[0];
    drop(as_reader(|| File::open(path_of(&archive.world, shown))).unwrap());
    let world = &archive.world;
    let id = shown.id.to_string();

    let list = [
        "audit",
        "list",
        "--event",
        "open",
        "--recording",
        &id,
        "--json",
    ];
    let listed = json(&run(world, Some(OFFICER), &list).unwrap());
    let listed = listed.as_array().unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!(listed[0]["actor"]["name"], SATO.name);
    assert_eq!(listed[0]["result"], "done");
    let table = run(world, Some(OFFICER), &["audit", "list"]).unwrap();
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(
        table.contains("sato") && table.contains("log-read"),
        "{table}"
    );

    for arguments in [
        ["audit", "list"],
        ["audit", "verify"],
        ["audit", "checkpoint"],
        ["audit", "rotate"],
    ] {
        let refused = run(world, Some(SATO), &arguments).unwrap();
        assert_eq!(
            refused.status.code(),
            Some(NOT_ALLOWED),
            "{arguments:?}: {refused:?}"
        );
        assert!(refused.stdout.is_empty(), "{refused:?}");
    }
    let before = json(&run(world, Some(OFFICER), &["audit", "checkpoint", "--json"]).unwrap());
    let old_key = before["key"].as_str().unwrap();
    for person in [Some(OFFICER), None] {
        let verified = run(
            world,
            person,
            &["audit", "verify", "--key", old_key, "--json"],
        )
        .unwrap();
        assert_eq!(verified.status.code(), Some(0), "{verified:?}");
        assert_eq!(json(&verified)["findings"], serde_json::json!([]));
    }
    let rotated = run(world, None, &["audit", "rotate", "--json"]).unwrap();
    let new_key = json(&rotated)["key"].as_str().unwrap().to_owned();
    assert_ne!(new_key, old_key);
    let verified = run(
        world,
        Some(OFFICER),
        &["audit", "verify", "--key", old_key, "--json"],
    )
    .unwrap();
    assert_eq!(
        json(&verified)["verified"]["key"],
        new_key.as_str(),
        "the old key vouches for it"
    );

    let refused = logged::of_event(&catalogue(world), "control");
    let refused = refused.iter().filter(|logged| logged.ended("refused"));
    let refused: Vec<_> = refused.map(logged::Logged::uid).collect();
    assert_eq!(refused, [Some(u64::from(SATO.uid)); 4]);
    assert_eq!(logged::of_event(&catalogue(world), "log-read").len(), 2);
    assert_eq!(logged::of_event(&catalogue(world), "log-verified").len(), 3);
}

/// The catalogue of a stopped archive, copied to `to` with what lies beside it.
fn copy_of(world: &World, to: &Path) -> PathBuf {
    let on = Connection::open(catalogue(world)).unwrap();
    on.execute("VACUUM INTO ?1", [to.to_str().unwrap()])
        .unwrap();
    to.to_owned()
}

fn verify_copy(world: &World, copy: &Path, more: &[&str]) -> Output {
    let copy = copy.to_str().unwrap();
    let arguments = [&["audit", "verify", "--json", "--database", copy], more].concat();
    world.tsuwaroku(&arguments).unwrap()
}

/// The findings of a verification, each with the first number of a record that it names.
fn findings(output: &Output) -> Vec<(String, u64)> {
    let found = json(output);
    let number = |finding: &Value| {
        ["seq", "first", "last"]
            .iter()
            .find_map(|name| finding[*name].as_u64())
            .or_else(|| Some(finding["after"].as_u64()? + 1))
            .unwrap_or_else(|| panic!("it names no record: {finding}"))
    };
    let all = found["findings"].as_array().unwrap().iter();
    all.map(|finding| {
        (
            finding["finding"].as_str().unwrap().to_owned(),
            number(finding),
        )
    })
    .collect()
}

/// An archive whose daemon gives checkpoints to a file outside, with some records.
fn with_outside(outside: &Path) -> Archive {
    let archive = Archive::configured(&format!(
        "\n[audit]\ncheckpoints = [\"{}\"]\n",
        outside.display()
    ));
    archive.archive(&calls(2));
    listen(&archive, 5);
    archive
}

fn listen(archive: &Archive, times: usize) {
    let path = archive.world.recordings().remove(0);
    for _ in 0..times {
        drop(as_reader(|| File::open(&path)).unwrap());
    }
}

fn size_of(catalogue: &Path) -> u64 {
    logged::records(catalogue).last().unwrap().seq
}

/// R5.2, R8.1: on a copy, with a checkpoint that was kept outside: a changed byte, a cut tail.
#[test]
fn an_altered_copy_is_told_with_the_record() {
    let away = tempfile::tempdir().unwrap();
    let outside = away.path().join("checkpoints");
    let mut archive = with_outside(&outside);
    archive.stop();
    let world = &archive.world;
    let with = ["--checkpoints", outside.to_str().unwrap()];
    let whole = copy_of(world, &away.path().join("whole.sqlite"));
    let verified = verify_copy(world, &whole, &with);
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");
    assert!(
        json(&verified)["verified"]["outside"].as_u64().unwrap() >= 1,
        "{verified:?}"
    );
    let last = size_of(&whole);

    let altered = |name: &str, statement: &str, parameter: u64| {
        let path = away.path().join(name);
        fs::copy(&whole, &path).unwrap();
        let on = Connection::open(&path).unwrap();
        on.execute(statement, [parameter]).unwrap();
        drop(on);
        let verified = verify_copy(world, &path, &with);
        assert_eq!(verified.status.code(), Some(ATTENTION), "{verified:?}");
        findings(&verified)
    };
    // One digit of the time.
    let flip = "UPDATE log SET record = CAST(
        replace(CAST(record AS TEXT), '\"at\":\"2', '\"at\":\"3') AS BLOB) WHERE seq = ?1";
    for seq in [1, last / 2, last] {
        let found = altered(&format!("flipped-{seq}.sqlite"), flip, seq);
        assert!(
            found.iter().any(|(_, record)| *record == seq),
            "{seq}: {found:?}"
        );
    }
    for seq in [2, last] {
        let found = altered(
            &format!("cut-{seq}.sqlite"),
            "DELETE FROM log WHERE seq >= ?1",
            seq,
        );
        assert!(found.contains(&("cut".into(), seq)), "{seq}: {found:?}");
    }
    let found = altered("gone.sqlite", "DELETE FROM log WHERE seq = ?1", last / 2);
    assert_eq!(found, [("missing".into(), last / 2)]);
}

/// R8.1: whoever has the daemon's keys rolls the archive back and lets the daemon write another story:
/// the log agrees with itself, but not with what was kept outside.
#[test]
fn a_log_written_anew_is_told_by_an_outside_checkpoint() {
    let away = tempfile::tempdir().unwrap();
    let outside = away.path().join("checkpoints");
    let mut archive = with_outside(&outside);
    archive.stop();
    let common = size_of(&catalogue(&archive.world));
    let backup = away.path().join("archive");
    let copy = |from: &Path, to: &Path| {
        let copied = Command::new("cp").arg("-aT").arg(from).arg(to).status();
        assert!(copied.unwrap().success());
    };
    copy(&archive.world.root(), &backup);
    archive.start();
    listen(&archive, 7);
    archive.stop();
    let kept = away.path().join("kept");
    fs::copy(&outside, &kept).unwrap();

    fs::remove_dir_all(archive.world.root()).unwrap();
    copy(&backup, &archive.world.root());
    archive.start();
    listen(&archive, 9);
    archive.stop();
    let forged = copy_of(&archive.world, &away.path().join("forged.sqlite"));
    let alone = verify_copy(&archive.world, &forged, &[]);
    assert_eq!(
        alone.status.code(),
        Some(0),
        "it agrees with itself: {alone:?}"
    );
    let verified = verify_copy(
        &archive.world,
        &forged,
        &["--checkpoints", kept.to_str().unwrap()],
    );
    assert_eq!(verified.status.code(), Some(ATTENTION), "{verified:?}");
    assert_eq!(findings(&verified), [("rewritten".into(), common + 1)]);
}

/// A place for checkpoints that cannot be written is an alarm, and gets what it missed.
#[test]
fn an_outside_place_gets_what_it_missed() {
    let away = tempfile::tempdir().unwrap();
    let outside = away.path().join("stick/checkpoints");
    let mut archive = with_outside(&outside);
    let world = &archive.world;
    let checkpoint = || run(world, Some(OFFICER), &["audit", "checkpoint", "--json"]).unwrap();
    let first = json(&checkpoint());
    let status = world.tsuwaroku(&["status", "--json"]).unwrap();
    assert_eq!(status.status.code(), Some(ATTENTION), "{status:?}");
    let troubles = json(&status)["log"]["troubles"].clone();
    assert_eq!(troubles[0]["file"], outside.to_str().unwrap(), "{troubles}");
    wait_for("the alarm to be logged", LIMIT, || {
        (logged::of_event(&catalogue(world), "checkpoint-failed").len() == 1).then_some(())
    });
    fs::create_dir(outside.parent().unwrap()).unwrap();
    let second = json(&checkpoint());
    let kept = fs::read_to_string(&outside).unwrap();
    for note in [&first, &second] {
        assert!(
            kept.contains(note["note"].as_str().unwrap()),
            "{note} is not in {kept}"
        );
    }
    let status = world.tsuwaroku(&["status"]).unwrap();
    assert_eq!(status.status.code(), Some(0), "{status:?}");
    archive.stop();
    let all = size_of(&catalogue(&archive.world));
    let kept = fs::read_to_string(&outside).unwrap();
    let last = kept
        .lines()
        .filter_map(|line| line.parse::<u64>().ok())
        .max();
    assert_eq!(
        last,
        Some(all),
        "the last checkpoint covers every record: {kept}"
    );
}
