//! The archive as its users meet it: calls put into the spool become files under a real mount that
//! other people's programs read, and nobody can change.

#[path = "archive/mishaps.rs"]
mod mishaps;

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
