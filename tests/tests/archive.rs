//! The archive as its users meet it: calls put into the spool become files under a real mount that
//! other people's programs read, and nobody can change.

use nix::sys::signal::Signal;
use serde_json::Value;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;
use tsuwaroku_tests::calls::{MadeCall, writer};
use tsuwaroku_tests::harness::accounts::{SATO, as_reader};
use tsuwaroku_tests::harness::{Daemon, World, files, wait_for};
use tsuwaroku_tests::served::{LIMIT, publish, start};
use tsuwaroku_tests::wav::Wav;

/// A served archive.
struct Archive {
    world: World,
    serve: Daemon,
}

impl Archive {
    fn new() -> Self {
        let world = World::new().unwrap();
        assert!(world.tsuwaroku(&["init"]).unwrap().status.success());
        let serve = start(&world);
        Self { world, serve }
    }

    /// Puts calls into the spool and waits until they are files.
    fn archive(&self, calls: &[MadeCall]) {
        publish(&self.world, calls);
        let expected = self.world.recordings().len().max(calls.len());
        wait_for("the calls to be archived", LIMIT, || {
            let ready = self.world.ready().is_empty();
            (ready && self.world.recordings().len() >= expected).then_some(())
        });
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.world.tsuwaroku(arguments).unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    }
}

fn calls(count: u64) -> Vec<MadeCall> {
    (0..count).map(MadeCall::nth).collect()
}

/// Each recording's samples by identity, from the digest attribute's owner: the BWF header.
fn recorded(world: &World) -> HashMap<String, Vec<i16>> {
    let mut found = HashMap::new();
    for path in world.recordings() {
        let wav = as_reader(|| Wav::read(&path)).unwrap();
        // OriginatorReference of EBU Tech 3285: bytes 288 to 319 of the chunk.
        let reference = &wav.chunk(*b"bext").unwrap()[288..288 + 26];
        let id = String::from_utf8(reference.to_vec()).unwrap();
        let before = found.insert(id, wav.samples_16().unwrap());
        assert!(before.is_none(), "{} is there twice", path.display());
    }
    found
}

/// Exactly `calls` are archived, each once, each with its own samples.
#[track_caller]
fn assert_archived(world: &World, calls: &[MadeCall]) {
    let found = recorded(world);
    assert_eq!(found.len(), calls.len());
    for call in calls {
        assert_eq!(
            found.get(&call.id.to_string()),
            Some(&call.recorded()),
            "{}",
            call.id
        );
    }
}

/// A program run by somebody who may listen to every line.
fn run_by_reader(program: &str, arguments: &[&std::ffi::OsStr]) -> Output {
    let output = SATO.command(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}: {output:?}");
    output
}

fn run(program: &str, arguments: &[&std::ffi::OsStr]) -> Output {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}: {output:?}");
    output
}

/// R5.1: what was recorded is what is read, through both trees, gaps as silence of their length.
#[test]
fn calls_become_files_in_both_trees() {
    let archive = Archive::new();
    let mut calls = calls(9);
    calls[3].gap = Some((4000, 1234));
    archive.archive(&calls);
    assert_archived(&archive.world, &calls);
    let by_date = files(&archive.world.mount().join("by-date"));
    let by_number = files(&archive.world.mount().join("by-number"));
    assert_eq!(by_date.len(), 9);
    let inodes = |paths: &[PathBuf]| {
        let mut inodes: Vec<u64> = paths
            .iter()
            .map(|path| fs::metadata(path).unwrap().ino())
            .collect();
        inodes.sort_unstable();
        inodes
    };
    assert_eq!(inodes(&by_date), inodes(&by_number));
    let below = by_date[0].strip_prefix(archive.world.mount()).unwrap();
    assert!(
        below.starts_with("by-date/2026/11/23/06-6458-1132"),
        "{}",
        below.display()
    );
    assert!(archive.serve.stop_well(&archive.world));
}

#[test]
fn other_peoples_programs_read_it() {
    let archive = Archive::new();
    let calls = calls(5);
    archive.archive(&calls);
    let mount = archive.world.mount();
    let copy = archive.world.path().join("copies/copy");
    let file = archive.world.recordings().remove(0);
    let whole = as_reader(|| fs::read(&file)).unwrap();
    let outside = archive.world.path().join("copies");
    fs::create_dir(&outside).unwrap();
    fs::set_permissions(&outside, fs::Permissions::from_mode(0o777)).unwrap();

    run_by_reader("cp", &[file.as_os_str(), copy.as_os_str()]);
    assert_eq!(fs::read(&copy).unwrap(), whole, "cp");

    let raw = archive.world.path().join("copies/sox.raw");
    run_by_reader("sox", &[file.as_os_str(), raw.as_os_str()]);
    assert_eq!(
        fs::read(&raw).unwrap(),
        Wav::parse(&whole).unwrap().data(),
        "sox"
    );

    let arguments = [
        "-v",
        "error",
        "-show_streams",
        "-show_format",
        "-of",
        "json",
    ];
    let mut arguments: Vec<_> = arguments.iter().map(std::ffi::OsStr::new).collect();
    arguments.push(file.as_os_str());
    let probed: Value =
        serde_json::from_slice(&run_by_reader("ffprobe", &arguments).stdout).unwrap();
    assert_eq!(probed["streams"][0]["codec_name"], "pcm_s16le");
    assert_eq!(probed["streams"][0]["sample_rate"], "8000");
    assert_eq!(probed["streams"][0]["duration_ts"], calls[0].samples.len());
    assert_eq!(probed["format"]["tags"]["date"], "2026-11-23");

    let told =
        String::from_utf8(run_by_reader("sndfile-info", &[file.as_os_str()]).stdout).unwrap();
    assert!(
        told.contains(&format!("Frames      : {}", calls[0].samples.len())),
        "{told}"
    );
    let told = run_by_reader("sndfile-info", &["--broadcast".as_ref(), file.as_os_str()]).stdout;
    let told = String::from_utf8(told).unwrap();
    assert!(
        told.contains(&format!("Origination ref          : {}", calls[0].id)),
        "{told}"
    );
    assert!(
        told.contains("Origination date         : 2026-11-23"),
        "{told}"
    );

    let backup = archive.world.path().join("copies/backup");
    let rsync = |count: usize| {
        let from = format!("{}/by-date", mount.display());
        let output = run_by_reader(
            "rsync",
            &[
                "-a".as_ref(),
                "--itemize-changes".as_ref(),
                from.as_ref(),
                backup.as_os_str(),
            ],
        );
        let changes = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            changes
                .lines()
                .filter(|line| line.starts_with(">f"))
                .count(),
            count,
            "{changes}"
        );
        changes
    };
    rsync(5);
    assert_eq!(rsync(0), "", "a second rsync has nothing to do");
    for path in archive.world.recordings() {
        let copied = backup.join(path.strip_prefix(&mount).unwrap());
        let original = as_reader(|| fs::read(&path)).unwrap();
        assert_eq!(fs::read(copied).unwrap(), original);
    }
}

/// Reads at odd offsets and lengths are those of an ordinary file.
#[test]
fn any_range_can_be_read() {
    let archive = Archive::new();
    let mut long = MadeCall::nth(0);
    long.samples = (0..8000 * 13).map(|n| (n * 7919 % 65_521) as i16).collect();
    archive.archive(&[long]);
    let path = archive.world.recordings().remove(0);
    let whole = as_reader(|| fs::read(&path)).unwrap();
    let mut file = as_reader(|| File::open(&path)).unwrap();
    for step in 0..400_u64 {
        let offset = step * 7877 % (whole.len() as u64 + 50);
        let length = (step * 331 % 70_000) as usize;
        let mut bytes = vec![0; length];
        file.seek(SeekFrom::Start(offset)).unwrap();
        let mut got = 0;
        while got < length {
            match file.read(&mut bytes[got..]).unwrap() {
                0 => break,
                more => got += more,
            }
        }
        let start = (offset as usize).min(whole.len());
        let expected = &whole[start..(start + length).min(whole.len())];
        assert_eq!(&bytes[..got], expected, "{length} bytes from {offset}");
    }
}

#[test]
fn find_and_status_say_what_there_is() {
    let archive = Archive::new();
    let calls = calls(8);
    archive.archive(&calls);
    let found = archive.json(&["find", "--json"]);
    let ids: Vec<_> = found
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["id"].as_str().unwrap())
        .collect();
    let expected: Vec<_> = calls.iter().map(|call| call.id.to_string()).collect();
    assert_eq!(ids, expected);
    for recording in found.as_array().unwrap() {
        let path = archive
            .world
            .mount()
            .join(recording["path"].as_str().unwrap());
        let digest =
            String::from_utf8(run_by_reader("sha256sum", &[path.as_os_str()]).stdout).unwrap();
        assert_eq!(&digest[..64], recording["sha256"].as_str().unwrap());
        let attribute = run_by_reader(
            "getfattr",
            &[
                "--only-values".as_ref(),
                "-n".as_ref(),
                "user.tsuwaroku.sha256".as_ref(),
                path.as_os_str(),
            ],
        );
        assert_eq!(attribute.stdout, digest.as_bytes()[..64]);
    }
    let count = |arguments: &[&str]| {
        archive
            .json(&[&["find", "--json"], arguments].concat())
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!(count(&["--number", "06-6458-7160"]), 2);
    assert_eq!(
        count(&["--from", "2026-11-23T10:02", "--to", "2026-11-23T10:05"]),
        3
    );
    assert_eq!(count(&["--to", "2026-11-22"]), 0);
    assert_eq!(count(&["--from", "2026-11-23", "--to", "2026-11-23"]), 8);
    assert_eq!(count(&["--min", "2"]), 0);
    assert_eq!(count(&["--max", "2"]), 8);
    assert_eq!(count(&["--limit", "3"]), 3);
    let status = archive.json(&["status", "--json"]);
    assert_eq!(status["recordings"], 8);
    assert_eq!(status["waiting"], 0);
    assert_eq!(status["mounted"], true);
    let unknown = archive
        .world
        .tsuwaroku(&["find", "--number", "0000"])
        .unwrap();
    assert_eq!(unknown.status.code(), Some(1));
    let said = String::from_utf8(unknown.stderr).unwrap();
    assert!(said.contains("config show"), "{said}");
}

/// R5.2: an alteration behind the daemon's back is found, and never served.
#[test]
fn damage_is_found_and_not_served() {
    let archive = Archive::new();
    archive.archive(&calls(4));
    let clean = archive.world.tsuwaroku(&["verify"]).unwrap();
    assert_eq!(clean.status.code(), Some(0), "{clean:?}");
    let objects = files(&archive.world.root().join("primary/objects"));
    assert_eq!(objects.len(), 4);
    let whole: Vec<Vec<u8>> = objects.iter().map(|path| fs::read(path).unwrap()).collect();
    let mut bytes = whole[0].clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::set_permissions(&objects[0], fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&objects[0], bytes).unwrap();
    fs::remove_file(&objects[1]).unwrap();
    fs::copy(&objects[3], &objects[2]).unwrap();
    fs::write(archive.world.root().join("primary/objects/stray"), "x").unwrap();
    let output = archive.world.tsuwaroku(&["verify", "--json"]).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut problems: Vec<_> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["problem"].as_str().unwrap())
        .collect();
    problems.sort_unstable();
    assert_eq!(problems, ["damaged", "damaged", "missing", "orphan"]);
    assert_eq!(report["progress"]["checked"], 4);
    let quick = archive
        .world
        .tsuwaroku(&["verify", "--metadata", "--json"])
        .unwrap();
    assert_eq!(quick.status.code(), Some(1));
    let quick: Value = serde_json::from_slice(&quick.stdout).unwrap();
    let found = quick["findings"].as_array().unwrap().iter();
    let found: Vec<_> = found
        .map(|finding| finding["problem"].as_str().unwrap())
        .collect();
    assert!(
        found.contains(&"missing") && found.contains(&"orphan"),
        "{found:?}"
    );
    let status = archive.json(&["status", "--json"]);
    assert_eq!(
        status["findings"].as_array().unwrap().len(),
        4,
        "they stay until mended"
    );
    assert_eq!(
        archive.world.tsuwaroku(&["status"]).unwrap().status.code(),
        Some(1)
    );
    let mut readable = 0;
    for path in archive.world.recordings() {
        match as_reader(|| fs::read(&path)) {
            Ok(_) => readable += 1,
            Err(error) => assert_eq!(error.raw_os_error(), Some(nix::libc::EIO)),
        }
    }
    assert_eq!(readable, 1);

    // Restored from a backup, and verified again: nothing is left to look at.
    for (path, bytes) in objects.iter().zip(&whole) {
        let _ = fs::remove_file(path);
        fs::write(path, bytes).unwrap();
    }
    fs::remove_file(archive.world.root().join("primary/objects/stray")).unwrap();
    assert_eq!(
        archive.world.tsuwaroku(&["verify"]).unwrap().status.code(),
        Some(0)
    );
    assert_eq!(
        archive.world.tsuwaroku(&["status"]).unwrap().status.code(),
        Some(0)
    );
}

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

/// A small disk in memory.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount(at: &Path, size: &str) -> Self {
        let options = format!("size={size}");
        run(
            "mount",
            &[
                "-t".as_ref(),
                "tmpfs".as_ref(),
                "-o".as_ref(),
                options.as_ref(),
                "tmpfs".as_ref(),
                at.as_os_str(),
            ],
        );
        Self(at.to_owned())
    }

    fn grow(&self, size: &str) {
        let options = format!("remount,size={size}");
        run(
            "mount",
            &["-o".as_ref(), options.as_ref(), self.0.as_os_str()],
        );
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = nix::mount::umount2(&self.0, nix::mount::MntFlags::MNT_DETACH);
    }
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

/// R3.1: nobody else can even list what the archive keeps, and its files tell nothing.
#[test]
fn the_stores_bytes_tell_nothing() {
    let archive = Archive::new();
    let mut calls = calls(2);
    for call in &mut calls {
        call.samples = (0..40_000_i64).map(|n| (n * n % 4001) as i16).collect();
    }
    archive.archive(&calls);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&archive.world.root()), 0o700);
    let audio: Vec<u8> = calls[0].samples[1000..1016]
        .iter()
        .flat_map(|s| s.to_le_bytes())
        .collect();
    for path in files(&archive.world.root().join("primary/objects")) {
        let bytes = fs::read(&path).unwrap();
        for secret in [
            &audio[..],
            b"6458",
            b"RIFF",
            b"rate",
            b"silence",
            b"tsuwaroku-tests",
        ] {
            let found = bytes.windows(secret.len()).any(|window| window == secret);
            assert!(!found, "{} holds {secret:?}", path.display());
        }
    }
}

/// R3.2, R9.1: the account at the other end of the socket decides, not what it says it is.
#[test]
fn a_stranger_is_refused() {
    use std::os::unix::process::CommandExt;
    let archive = Archive::new();
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(archive.world.path(), open).unwrap();
    let mut command = archive.world.command("tsuwaroku");
    let program = archive.world.path().join("tsuwaroku");
    // By another process: a file that this one has open for writing, a child forked meanwhile by
    // another test would hold open too, and it could not be run.
    run("cp", &[command.get_program(), program.as_os_str()]);
    command = archive.world.command_of(&program);
    let output = command
        .arg("status")
        .uid(65_534)
        .gid(65_534)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(77), "{said}");
    assert!(said.contains("no role that allows it"), "{said}");
}

/// The service itself, with what a careless or hostile client may send.
#[test]
fn the_control_service_answers_problems() {
    let archive = Archive::new();
    let ask = |request: &[u8]| {
        let mut stream = std::os::unix::net::UnixStream::connect(archive.world.socket()).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        // The service may have refused and closed before it was sent the whole.
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    };
    let head = "HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n";
    let unknown = ask(format!("GET /v1/nothing {head}\r\n").as_bytes());
    assert!(unknown.starts_with("HTTP/1.1 404"), "{unknown}");
    assert!(unknown.contains("application/problem+json"), "{unknown}");
    let query = ask(format!("GET /v1/recordings?colour=red {head}\r\n").as_bytes());
    assert!(
        query.starts_with("HTTP/1.1 400") && query.contains("colour"),
        "{query}"
    );
    let method = ask(format!("DELETE /v1/recordings {head}\r\n").as_bytes());
    assert!(method.starts_with("HTTP/1.1 405"), "{method}");
    let body = ask(format!("POST /v1/verify {head}content-length: 5\r\n\r\n{{{{{{{{{{").as_bytes());
    assert!(body.starts_with("HTTP/1.1 400"), "{body}");
    let huge = format!("POST /v1/verify {head}content-length: 9000000\r\n\r\n");
    let huge = ask(&[huge.as_bytes(), &vec![b' '; 9_000_000]].concat());
    assert!(
        huge.starts_with("HTTP/1.1 413") && huge.contains("problem+json"),
        "{huge}"
    );
    let garbage = ask(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n");
    assert!(garbage.starts_with("HTTP/1.1 400"), "{garbage}");
    assert_eq!(archive.json(&["status", "--json"])["recordings"], 0);
}

/// Stops, and says whether it ended well and the mount is gone.
trait StopWell {
    fn stop_well(self, world: &World) -> bool;
}

impl StopWell for Daemon {
    fn stop_well(self, world: &World) -> bool {
        self.signal(Signal::SIGTERM);
        self.stop().success() && !world.is_mounted()
    }
}
