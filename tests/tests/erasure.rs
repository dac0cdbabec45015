//! Erasure through the real mount (R6.7): what was open, mapped into memory or cached by the kernel gives
//! no byte of the recording any more when the erasure returns, and others go on undisturbed.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use tsuwaroku_tests::calls::MadeCall;
use tsuwaroku_tests::harness::accounts::{CHIEF, Person, SATO, as_reader};
use tsuwaroku_tests::harness::{World, files};
use tsuwaroku_tests::served::Archive;

/// Maps a file, reads all of it, says so, and reads it again when it is told to.
const MAPPING: &str = "import mmap, sys\n\
    file = open(sys.argv[1], 'rb')\n\
    memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)\n\
    before = bytes(memory)\n\
    print(len(before), flush=True)\n\
    sys.stdin.readline()\n\
    print(bytes(memory) == before, flush=True)\n";

#[track_caller]
fn done(world: &World, person: Person, arguments: &[&str]) -> String {
    let output = person.tsuwaroku(world, arguments).unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The first word of `text` that is the number of a plan.
fn plan_in(text: &str) -> String {
    let is_plan = |word: &&str| {
        word.strip_prefix('P')
            .is_some_and(|rest| rest.parse::<u32>().is_ok())
    };
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric());
    words.find(is_plan).expect(text).to_owned()
}

/// Two persons erase `call`.
fn erase(world: &World, call: &MadeCall) {
    let id = call.id.to_string();
    let filed = done(world, SATO, &["erase", &id, "--ground", "asked for"]);
    done(world, CHIEF, &["approve", &plan_in(&filed)]);
}

/// Where the mount shows `call`, in both trees.
fn paths(world: &World, call: &MadeCall) -> Vec<PathBuf> {
    let id = call.id.to_string();
    let end = format!("-{}.wav", &id[id.len() - 4..]);
    let shown = files(&world.mount()).into_iter();
    shown
        .filter(|path| path.to_string_lossy().ends_with(&end))
        .collect()
}

fn mapped(path: &Path) -> Child {
    let mut child = SATO
        .command("/usr/bin/python3")
        .args(["-c", MAPPING])
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut said = BufReader::new(child.stdout.as_mut().unwrap());
    said.read_line(&mut line).unwrap();
    assert!(line.trim().parse::<u64>().unwrap() > 0);
    child
}

/// Reads again what is mapped: how it ended, and what it said.
fn read_again(mut child: Child) -> (std::process::ExitStatus, String) {
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    let mut said = String::new();
    let mut out = child.stdout.take().unwrap();
    out.read_to_string(&mut said).unwrap();
    (child.wait().unwrap(), said)
}

#[test]
fn what_was_open_mapped_and_cached_gives_no_byte_after_the_erasure() {
    let mut archive = Archive::new();
    let calls: Vec<_> = (0..3).map(MadeCall::nth).collect();
    archive.archive(&calls);
    let world = &archive.world;
    let [gone, kept] = [&calls[0], &calls[1]].map(|call| paths(world, call));
    assert_eq!((gone.len(), kept.len()), (2, 2), "one in each tree");

    let cached = as_reader(|| fs::read(&gone[0])).unwrap();
    let open = as_reader(|| File::open(&gone[1])).unwrap();
    let other = as_reader(|| File::open(&kept[0])).unwrap();
    let whole = as_reader(|| fs::read(&kept[1])).unwrap();
    let (of_gone, of_kept) = (mapped(&gone[0]), mapped(&kept[0]));

    erase(world, &calls[0]);

    for at in (0..cached.len() as u64).step_by(2048) {
        let read = open.read_at(&mut [0; 512], at);
        assert!(read.is_err(), "byte {at} is still read: {read:?}");
    }
    let (status, said) = read_again(of_gone);
    assert_eq!(said, "", "what is mapped is still read");
    assert_eq!(status.signal(), Some(nix::libc::SIGBUS));
    for path in &gone {
        let error = as_reader(|| File::open(path)).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
        let error = fs::metadata(path).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    }
    assert!(paths(world, &calls[0]).is_empty(), "it is listed");

    let (status, said) = read_again(of_kept);
    assert!(status.success() && said.trim() == "True", "{said}");
    let mut again = vec![0; whole.len()];
    other.read_exact_at(&mut again, 0).unwrap();
    assert!(again == whole);
    drop(open);
    archive.stop();
}

/// Readers in the middle of it, without end: each gets what the recording is, or an error, and after the
/// erasure nothing but errors.
#[test]
fn a_reader_in_the_middle_gets_an_error() {
    let mut archive = Archive::new();
    let calls: Vec<_> = (0..2).map(MadeCall::nth).collect();
    archive.archive(&calls);
    let world = &archive.world;
    let path = paths(world, &calls[0]).remove(0);
    let whole = as_reader(|| fs::read(&path)).unwrap();
    let erased = AtomicBool::new(false);
    let read_all = || {
        let mut reads = 0_u64;
        let open: Vec<_> = (0..4)
            .map(|_| as_reader(|| File::open(&path)).unwrap())
            .collect();
        loop {
            let is_erased = erased.load(Ordering::SeqCst);
            for (file, at) in open.iter().cycle().zip((0..whole.len()).step_by(1000)) {
                let mut bytes = [0; 700];
                match file.read_at(&mut bytes, at as u64) {
                    Ok(n) => {
                        assert!(!is_erased, "byte {at} is read after the erasure");
                        assert!(bytes[..n] == whole[at..at + n]);
                    }
                    Err(error) => assert_eq!(error.raw_os_error(), Some(nix::libc::EIO)),
                }
                reads += 1;
            }
            if is_erased {
                return reads;
            }
        }
    };
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..4).map(|_| scope.spawn(read_all)).collect();
        erase(world, &calls[0]);
        erased.store(true, Ordering::SeqCst);
        for reader in readers {
            assert!(reader.join().unwrap() > 0);
        }
    });
    archive.stop();
}

/// What the kernel may be told is bounded in time, also where `fuse` is asked by other programs: a
/// whole tree is walked while recordings go.
#[test]
fn a_walk_goes_on_while_recordings_go() {
    let mut archive = Archive::new();
    let calls: Vec<_> = (0..6).map(MadeCall::nth).collect();
    archive.archive(&calls);
    let world = &archive.world;
    let walked = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !walked.load(Ordering::SeqCst) {
                let found = Command::new("find").arg(world.mount()).output().unwrap();
                let said = String::from_utf8_lossy(&found.stderr);
                let only_gone = said.lines().all(|line| line.contains("No such file"));
                assert!(only_gone, "{said}");
            }
        });
        for call in &calls[..3] {
            erase(world, call);
        }
        walked.store(true, Ordering::SeqCst);
    });
    assert_eq!(world.recordings().len(), 3);
    archive.stop();
}
