//! What readers meet when the store is damaged or hangs, or when they are many; and what the log says
//! of it.

use super::{calls, catalogue, json, model_of, path_of};
use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::mpsc::channel;
use tsuwaroku_tests::calls::MadeCall;
use tsuwaroku_tests::harness::accounts::as_reader;
use tsuwaroku_tests::harness::{World, files, wait_for};
use tsuwaroku_tests::logged;
use tsuwaroku_tests::model::mounted;
use tsuwaroku_tests::served::{Archive, LIMIT};
use ulid::Ulid;

/// The object of `id` in the store.
fn object_of(world: &World, id: Ulid) -> PathBuf {
    let objects = files(&world.root().join("primary/objects"));
    let named = |path: &PathBuf| {
        path.file_stem()
            .is_some_and(|stem| *stem == *id.to_string())
    };
    objects.into_iter().find(named).expect("it has an object")
}

/// A long recording, so that it has many blocks.
fn long_call() -> MadeCall {
    let mut call = MadeCall::nth(0);
    call.samples = (0..8000 * 40_i64)
        .map(|n| (n * n * 7919 % 65_521) as i16)
        .collect();
    call
}

/// R5.2: of a damaged recording the damaged stretch is never given out, the rest is as it was, and
/// somebody is told.
#[test]
fn damage_costs_its_stretch_and_is_told() {
    const PAGE: usize = 4096;
    let archive = Archive::new();
    let call = long_call();
    archive.archive(std::slice::from_ref(&call));
    let model = model_of(std::slice::from_ref(&call));
    let shown = model.recordings()[0];
    let object = object_of(&archive.world, call.id);
    let mut bytes = fs::read(&object).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&object, bytes).unwrap();

    let path = path_of(&archive.world, shown);
    let file = as_reader(|| File::open(&path)).unwrap();
    let pages = shown.bytes.len().div_ceil(PAGE);
    let mut lost = Vec::new();
    for page in 0..pages {
        let offset = (page * PAGE) as u64;
        match mounted::read(&file, offset, PAGE) {
            Ok(found) => mounted::content(shown, offset, PAGE, &found).unwrap(),
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(nix::libc::EIO));
                lost.push(page);
            }
        }
    }
    // A block of the store is four seconds (tsuwaroku-store(5)), and begins where no page does.
    let block = 4 * 8000 * 2 / PAGE;
    assert!(
        !lost.is_empty() && lost.len() <= block + 2,
        "{lost:?} of {pages}"
    );
    assert_eq!(
        lost.last().unwrap() - lost[0] + 1,
        lost.len(),
        "in one piece: {lost:?}"
    );
    let whole = as_reader(|| fs::read(&path));
    assert_eq!(whole.unwrap_err().raw_os_error(), Some(nix::libc::EIO));
    wait_for("the record and the finding", LIMIT, || {
        let told = logged::of_event(&catalogue(&archive.world), "read-failed");
        let told = told
            .iter()
            .any(|logged| logged.recording() == Some(call.id));
        let status = json(&archive.world.tsuwaroku(&["status", "--json"]).unwrap());
        (told && status["findings"][0]["problem"] == "damaged").then_some(())
    });
}

/// A disk that does not answer costs its readers an error, and nobody else anything: the object is a
/// FIFO that nobody writes, so that whoever opens it waits.
#[test]
fn a_file_that_hangs_holds_nobody_up() {
    let mut archive = Archive::new();
    let calls = calls(2);
    archive.archive(&calls);
    let model = model_of(&calls);
    let [hung, good] = [0, 1].map(|at| model.recordings()[at]);
    let object = object_of(&archive.world, hung.id);
    fs::remove_file(&object).unwrap();
    nix::unistd::mkfifo(&object, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let (said, told) = channel();
    let (hung_path, good_path) = (path_of(&archive.world, hung), path_of(&archive.world, good));
    std::thread::scope(|scope| {
        let waiting = said.clone();
        scope.spawn(move || {
            let errno = as_reader(|| File::open(hung_path))
                .unwrap_err()
                .raw_os_error();
            waiting.send(("hung", errno)).unwrap();
        });
        for _ in 0..3 {
            let read = as_reader(|| fs::read(&good_path)).unwrap();
            assert!(read == good.bytes);
        }
        said.send(("good", None)).unwrap();
    });
    let order: Vec<_> = told.try_iter().collect();
    assert_eq!(order, [("good", None), ("hung", Some(nix::libc::EIO))]);
    // The thread that waits for it is lost; the daemon stops all the same.
    archive.stop();
}

/// 64 people listen at once while calls come in.
#[test]
fn many_readers_get_every_byte_while_calls_come_in() {
    const READERS: usize = 64;
    let archive = Archive::new();
    let first = calls(6);
    archive.archive(&first);
    let model = model_of(&first);
    let shown = model.recordings();
    std::thread::scope(|scope| {
        for reader in 0..READERS {
            let (mount, shown) = (archive.world.mount(), &shown);
            scope.spawn(move || {
                for at in reader..reader + 12 {
                    let one = shown[at % shown.len()];
                    let path = mount.join(&one.paths()[at % 2]);
                    let read = as_reader(|| fs::read(&path)).unwrap();
                    assert!(read == one.bytes, "reader {reader}: {}", path.display());
                }
            });
        }
        let more: Vec<_> = (6..46).map(MadeCall::nth).collect();
        archive.archive(&more);
    });
    assert_eq!(archive.world.recordings().len(), 46);
}
