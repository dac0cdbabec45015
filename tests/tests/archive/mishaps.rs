//! What goes wrong: junk, kills, full disks, settings and keys that do not fit. Nothing is lost by it, and
//! what to do is said.

use super::*;
use tsuwaroku_tests::disk::Tmpfs;

/// Junk in the spool goes to quarantine with a reason that status shows, and holds nothing up.
#[test]
fn bad_entries_are_quarantined_and_the_rest_goes_on() {
    let archive = Archive::new();
    let good = calls(3);
    let ready = archive.world.spool().join("ready");
    // Whole entries to damage, made in a spool of their own.
    let workshop = archive.world.path().join("workshop");
    fs::create_dir(&workshop).unwrap();
    let made = writer(&workshop);
    let whole = |n: u64| fs::read(MadeCall::nth(n).publish(&made).unwrap()).unwrap();
    let name = |n: u64| format!("{}.call", MadeCall::nth(n).id);
    let undesignated = {
        let call = MadeCall {
            number: "06-0000-0000".into(),
            ..MadeCall::nth(16)
        };
        fs::read(call.publish(&made).unwrap()).unwrap()
    };
    let mut altered = whole(12);
    let middle = altered.len() / 2;
    altered[middle] ^= 0x10;
    let truncated = whole(13)[..9000].to_vec();
    let random: Vec<u8> = (0..5000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let bad = [
        (name(10), random),
        (name(11), Vec::new()),
        (name(12), altered),
        (name(13), truncated),
        (name(14), whole(15)),
        (name(16), undesignated),
        ("not a call".into(), b"x".to_vec()),
    ];
    for (name, bytes) in &bad {
        fs::write(ready.join(format!(".{name}")), bytes).unwrap();
        fs::rename(ready.join(format!(".{name}")), ready.join(name)).unwrap();
    }
    std::os::unix::fs::symlink("/etc/passwd", ready.join(name(17))).unwrap();
    fs::create_dir(ready.join(name(18))).unwrap();
    nix::unistd::mkfifo(&ready.join(name(19)), nix::sys::stat::Mode::S_IRWXU).unwrap();
    publish(&archive.world, &good);
    wait_for("the spool to be emptied", LIMIT, || {
        files(&ready).is_empty().then_some(())
    });
    wait_for("the good calls", LIMIT, || {
        (archive.world.recordings().len() == 3).then_some(())
    });
    assert_archived(&archive.world, &good);
    let status = archive.json(&["status", "--json"]);
    let quarantined = status["quarantined"].as_array().unwrap();
    let names: Vec<_> = quarantined
        .iter()
        .map(|q| q["name"].as_str().unwrap())
        .collect();
    for (name, _) in &bad {
        assert!(names.contains(&name.as_str()), "{name} is not in {names:?}");
    }
    assert_eq!(quarantined.len(), bad.len() + 3, "{quarantined:?}");
    assert!(
        quarantined
            .iter()
            .all(|q| !q["reason"].as_str().unwrap().is_empty())
    );
    let table = archive.world.tsuwaroku(&["status"]).unwrap();
    assert_eq!(table.status.code(), Some(1), "somebody has to look");
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(
        table.contains("06-0000-0000 is not a designated number"),
        "{table}"
    );
}

/// A second entry with an archived identity: the same again is taken for what it is, another is not.
#[test]
fn an_identity_is_never_taken_over() {
    let archive = Archive::new();
    let call = MadeCall::nth(0);
    archive.archive(std::slice::from_ref(&call));
    archive.archive(std::slice::from_ref(&call));
    let mut impostor = call.clone();
    impostor.samples[77] ^= 1;
    publish(&archive.world, &[impostor]);
    let status = wait_for("the impostor to be quarantined", LIMIT, || {
        let status = archive.json(&["status", "--json"]);
        (!status["quarantined"].as_array()?.is_empty()).then_some(status)
    });
    let reason = status["quarantined"][0]["reason"].as_str().unwrap();
    assert!(
        reason.contains("another recording has its identity"),
        "{reason}"
    );
    assert_archived(&archive.world, &[call]);
}

/// Killed at any moment of ingest: nothing is lost, nothing is there twice, the mount comes back.
#[test]
fn ingest_survives_fifty_kills() {
    const KILLS: u64 = 50;
    const CALLS_A_KILL: u64 = 8;
    let Archive { world, mut serve } = Archive::new();
    let calls = calls(KILLS * CALLS_A_KILL);
    for kill in 0..KILLS {
        let next = (kill * CALLS_A_KILL) as usize;
        publish(&world, &calls[next..next + CALLS_A_KILL as usize]);
        // Somewhere in the first 40 ms of taking them, another moment each time.
        std::thread::sleep(Duration::from_micros(kill * 7919 % 40_000));
        serve.kill();
        serve = start(&world);
    }
    wait_for("the spool to be emptied", LIMIT, || {
        world.ready().is_empty().then_some(())
    });
    wait_for("all calls", LIMIT, || {
        (world.recordings().len() == calls.len()).then_some(())
    });
    assert_archived(&world, &calls);
    let verified = world.tsuwaroku(&["verify", "--json"]).unwrap();
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");
    let drafts = files(&world.root().join("primary/drafts"));
    assert!(drafts.is_empty(), "{drafts:?}");
}

/// A full disk: the call waits in the spool, status says why, and it goes on when there is room.
#[test]
fn a_full_disk_loses_nothing() {
    let world = World::new().unwrap();
    let root = world.root();
    let tmpfs = Tmpfs::mount(&root, "3m");
    assert!(world.tsuwaroku(&["init"]).unwrap().status.success());
    let _serve = start(&world);
    fs::write(root.join("ballast"), vec![1; 1 << 20]).unwrap();
    let mut call = MadeCall::nth(0);
    call.samples = (0..8000 * 240_i64)
        .map(|n| (n * n * 7919 % 65_521) as i16)
        .collect();
    publish(&world, std::slice::from_ref(&call));
    wait_for("status to tell of it", LIMIT, || {
        let output = world.tsuwaroku(&["status"]).unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code() == Some(1) && text.contains("No space left")).then_some(())
    });
    assert_eq!(world.ready().len(), 1, "it stays in the spool");
    assert!(world.recordings().is_empty());
    tmpfs.grow("64m");
    wait_for("the call to be archived", LIMIT, || {
        (world.recordings().len() == 1).then_some(())
    });
    assert_archived(&world, &[call]);
    let output = world.tsuwaroku(&["status"]).unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

/// The daemon goes while a reader is in the middle: the mount goes, the reader gets an error.
#[test]
fn stopping_with_readers_unmounts() {
    let Archive { world, serve } = Archive::new();
    let mut long = MadeCall::nth(0);
    long.samples = vec![7; 8000 * 60];
    publish(&world, &[long]);
    wait_for("the call", LIMIT, || {
        (world.recordings().len() == 1).then_some(())
    });
    let path = world.recordings().remove(0);
    let mut reader = as_reader(|| File::open(path)).unwrap();
    reader.read_exact(&mut [0; 100]).unwrap();
    assert!(serve.stop_well(&world));
    reader.seek(SeekFrom::Start(900_000)).unwrap();
    let mut rest = Vec::new();
    assert!(
        reader.read_to_end(&mut rest).is_err(),
        "nobody is left to read from"
    );
    drop(reader);
    let serve = start(&world);
    assert_eq!(world.recordings().len(), 1);
    assert!(serve.stop_well(&world));
}

#[test]
fn what_cannot_be_served_is_refused_with_what_to_do() {
    let world = World::new().unwrap();
    let refused = |status: i32, words: &str| {
        let output = world.tsuwaroku(&["serve"]).unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert!(said.contains(words), "'{words}' is not in: {said}");
    };
    refused(69, "tsuwaroku init");
    assert!(world.tsuwaroku(&["init"]).unwrap().status.success());
    let again = world.tsuwaroku(&["init"]).unwrap();
    assert!(
        String::from_utf8(again.stderr)
            .unwrap()
            .contains("there is an archive already")
    );

    let serve = start(&world);
    refused(69, "another tsuwaroku serves this archive");
    assert!(serve.stop_well(&world));

    let marker = world.root().join("primary/tsuwaroku-store.json");
    let content = fs::read(&marker).unwrap();
    fs::remove_file(&marker).unwrap();
    refused(69, "is the disk mounted?");
    fs::write(&marker, content).unwrap();

    fs::write(world.mount().join("file"), "x").unwrap();
    refused(69, "must be an empty directory");
    fs::remove_file(world.mount().join("file")).unwrap();

    let config = fs::read_to_string(world.config()).unwrap();
    let with = |from: &str, to: &str| {
        fs::write(world.config(), config.replacen(from, to, 1)).unwrap();
    };
    with("[site]", "[site]\ntime_zone = \"Europe/Paris\"");
    refused(
        78,
        "site.time_zone: is Europe/Paris, but the archive was made with Asia/Tokyo",
    );
    with(
        "reader_group = \"desk\"",
        "reader_group = \"no-such-group\"",
    );
    refused(78, "groupadd no-such-group");
    with("@staff-of-centre", "@no-such-role");
    refused(78, "groupadd no-such-role");
    with("[site]", "[sight]");
    refused(78, "unknown field `sight`");
}

/// R3.1: without the right master key nothing is served, and what to do is said.
#[test]
fn the_master_key_is_asked_for() {
    let archive = Archive::new();
    archive.archive(&calls(2));
    let status = archive.json(&["keys", "status", "--json"]);
    assert_eq!(status["epochs"], serde_json::json!([[202_611, 2]]));
    let object = files(&archive.world.root().join("primary/objects")).remove(0);
    let dumped = archive
        .world
        .command("tsuwaroku")
        .args(["object", "dump"])
        .arg(&object)
        .output();
    let dumped = String::from_utf8(dumped.unwrap().stdout).unwrap();
    assert!(
        dumped.contains("06-6458-1132") && dumped.contains("every block opens"),
        "{dumped}"
    );
    let Archive { world, serve } = archive;
    assert!(serve.stop_well(&world));

    let refused = |words: &str| {
        let output = world.tsuwaroku(&["serve"]).unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(69), "{said}");
        assert!(said.contains(words), "'{words}' is not in: {said}");
    };
    let key = world.master_key();
    let good = fs::read_to_string(&key).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    refused("chmod 400");
    fs::remove_file(&key).unwrap();
    refused("restore it from escrow");
    let sealed = world
        .command("tsuwaroku")
        .args(["object", "dump"])
        .arg(&object)
        .output()
        .unwrap();
    let sealed = String::from_utf8(sealed.stdout).unwrap();
    assert!(
        sealed.contains("sealed: ") && !sealed.contains("06-6458"),
        "{sealed}"
    );

    let other = World::new().unwrap();
    assert!(other.tsuwaroku(&["init"]).unwrap().status.success());
    fs::copy(other.master_key(), &key).unwrap();
    refused("is not the one of this archive");
    fs::remove_file(&key).unwrap();
    fs::write(&key, good).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o400)).unwrap();
    let serve = start(&world);
    assert_archived(&world, &calls(2));
    assert!(serve.stop_well(&world));
}
