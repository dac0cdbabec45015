//! The table of keys: renewed, killed meanwhile, searched for on the disk; and who may keep it.

use super::*;
use tsuwaroku_tests::disk::Disk;

/// R6.3: in a search of the raw disk after a rotation there is no sealed key of an erased recording.
#[test]
fn a_search_of_the_raw_disk_finds_no_key_of_an_erased_recording() {
    let world = World::new().unwrap();
    let disk = Disk::mount(world.path().join("disk"), 48 << 20, world.root());
    let mut archive = Archive::of(world);
    // The disk goes before the directory it is mounted in.
    let disk = disk;
    archive.archive(&calls(0..40));
    // The log of the table is folded and begun again, and the daemon is killed and started.
    archive.crash();
    archive.archive(&calls(40..60));
    archive.stop();
    let erased: Vec<Ulid> = [3, 17, 45].map(|n| MadeCall::nth(n).id).to_vec();
    let theirs: Vec<Vec<u8>> = erased
        .iter()
        .map(|id| sealed(&archive.world, *id))
        .collect();
    let before = disk.bytes();
    assert!(
        theirs.iter().all(|key| contains(&before, key)),
        "they were there"
    );
    for id in &erased {
        erase(&archive.world, *id);
    }
    let former = sealed(&archive.world, MadeCall::nth(4).id);
    archive.start();
    done(&archive.world, &["keys", "rotate"]);
    let after = disk.bytes();
    for key in &theirs {
        assert!(!contains(&after, key));
    }
    assert!(
        !contains(&after, &former),
        "nothing is left of the former table"
    );
    let verified = tsuwaroku(&archive.world, &["verify", "--json"]);
    let verified: serde_json::Value = serde_json::from_slice(&verified.stdout).unwrap();
    let findings = verified["findings"].as_array().unwrap();
    assert_eq!(
        findings.len(),
        erased.len(),
        "all others are good: {findings:?}"
    );
    archive.stop();
    let survivor = sealed(&archive.world, MadeCall::nth(4).id);
    assert!(
        contains(&disk.bytes(), &survivor),
        "the search finds what is there"
    );
}

/// Killed in the middle of rotations, again and again, the archive gives every recording back.
#[test]
fn a_kill_in_the_middle_of_a_rotation_costs_nothing() {
    let mut archive = Archive::new();
    archive.archive(&calls(0..12));
    let before = recordings(&archive.world);
    for round in 0..6 {
        let stop = AtomicBool::new(false);
        let world = &archive.world;
        let pid = archive.serve().pid();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    tsuwaroku(world, &["keys", "rotate"]);
                }
            });
            std::thread::sleep(Duration::from_millis(60 + 37 * round));
            let pid = nix::unistd::Pid::from_raw(pid as i32);
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
            stop.store(true, Ordering::Relaxed);
        });
        archive.crash();
        assert!(recordings(&archive.world) == before, "round {round}");
    }
    let rotated = json(&done(&archive.world, &["keys", "rotate", "--json"]));
    assert_eq!(rotated["recordings"], 12);
    assert_eq!(rotated["behind"], serde_json::json!([]));
    archive.stop();
    let left = files(&archive.world.root().join("keys"));
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    let left: Vec<String> = left.iter().map(name).collect();
    assert!(!left.contains(&"keys.sqlite.new".to_owned()), "{left:?}");
}

/// R9.1, R3.2: the device manager keeps keys and backups; others are refused, and all of it is logged.
#[test]
fn only_who_runs_the_device_keeps_it() {
    let archive = Archive::new();
    let world = &archive.world;
    let (_, recipient) = keeper(world, "identity.txt");
    let open = world.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let file = |person: &Person| open.join(person.name).display().to_string();
    let backups = open.join("backups").display().to_string();
    for person in [KATO, OFFICER] {
        let escrow = file(&person);
        for verb in [
            vec!["keys", "rotate"],
            vec!["backup", &backups],
            vec!["keys", "escrow", "--recipient", &recipient, &escrow],
        ] {
            let refused = person.tsuwaroku(world, &verb).unwrap();
            assert_eq!(
                refused.status.code(),
                Some(NOT_ALLOWED),
                "{verb:?}: {refused:?}"
            );
        }
        assert!(!Path::new(&escrow).exists());
    }
    let escrow = file(&MANAGER);
    let to = ["keys", "escrow", "--recipient", &recipient, &escrow];
    for verb in [&["keys", "rotate"][..], &["backup", &backups], &to] {
        let output = MANAGER.tsuwaroku(world, verb).unwrap();
        assert!(output.status.success(), "{verb:?}: {output:?}");
    }
    let again = MANAGER.tsuwaroku(world, &to).unwrap();
    assert!(!again.status.success(), "no file is replaced");
    let told = |event: &str, uid: u32| {
        let all = logged::of_event(&catalogue(world), event).into_iter();
        all.filter(|logged| logged.uid() == Some(u64::from(uid)))
            .count()
    };
    assert_eq!(told("keys", MANAGER.uid), 2);
    assert_eq!(told("backed-up", MANAGER.uid), 1);
    wait_for("the refusals", LIMIT, || {
        (told("control", KATO.uid) >= 3 && told("control", OFFICER.uid) >= 3).then_some(())
    });
}
