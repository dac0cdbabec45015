//! Settings and mishaps. The office of this group has Japanese names, and lines that signal nonsense.

use crate::office::{Office, READERS, ask, everybody};
use crate::{Statement, statements};
use nix::errno::Errno;
use rusqlite::Connection;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use tsuwaroku_tests::harness::World;
use tsuwaroku_tests::harness::accounts::as_reader;
use tsuwaroku_tests::harness::files;
use tsuwaroku_tests::logged;
use tsuwaroku_tests::probe::on;

/// The statements of this group.
pub const STATEMENTS: &[Statement] = statements![
    s64_the_trees_have_japanese_names_too,
    s65_bytes_of_the_other_party_are_escaped,
    s66_a_dead_mount_says_so,
];

/// An office with Japanese names.
pub fn office() -> Office {
    let world = World::new().unwrap();
    let config = fs::read_to_string(world.config()).unwrap();
    let config = config.replacen("[archive]\n", "[archive]\nnames = \"ja\"\n", 1);
    fs::write(world.config(), config).unwrap();
    Office::of(world)
}

/// S64: With names = "ja" the top directories are called 日付別 and 番号別, and the English names are
/// ENOENT.
fn s64_the_trees_have_japanese_names_too(office: &Office) {
    let listing = on("list", &office.world.mount(), &[]);
    let mut asks = vec![ask(&everybody(), listing, "names:/./../日付別/番号別")];
    for name in ["日付別/2026/11/23", "番号別/06-6458-1132"] {
        asks.push(ask(
            &everybody(),
            on("access", &office.at(name), &["f"]),
            "ok",
        ));
    }
    for name in ["by-date", "by-number"] {
        asks.push(ask(
            &everybody(),
            on("access", &office.at(name), &["f"]),
            "ENOENT",
        ));
    }
    office.ask(&asks);
}

/// The numbers that the lines signal, and what stands for them in a name.
const SIGNALLED: [(&str, &str); 5] = [
    ("0312345678", "0312345678"),
    ("+81*3#12aZ", "+81*3#12aZ"),
    ("../x\n\u{1b}[31m/\0", "___x___31m__"),
    ("非通知", "___"),
    (
        "01234567890123456789012345678901234567890123456789",
        "0123456789012345678901234567890123456789",
    ),
];

/// No line signals a number yet, so the catalogue is told behind the daemon's back.
fn signal(office: &Office) {
    let catalogue = Connection::open(logged::catalogue(&office.world.root())).unwrap();
    for (call, (party, _)) in office.calls.iter().zip(SIGNALLED) {
        let changed = catalogue.execute(
            "UPDATE recording SET other_party = ?1 WHERE key IN
             (SELECT key FROM recording ORDER BY key LIMIT 1 OFFSET ?2)",
            (
                party,
                office.calls.iter().position(|it| it == call).unwrap(),
            ),
        );
        assert_eq!(changed.unwrap(), 1);
    }
}

/// S65: Of the other party's number as the line signals it, digits, ASCII letters, +, * and # stand
/// in the name, at most 40 of them; any other character is shown as an underscore.
fn s65_bytes_of_the_other_party_are_escaped(office: &Office) {
    office.stop();
    signal(office);
    office.start();
    for tree in ["日付別", "番号別"] {
        let mut paths = files(&office.at(tree));
        // In the order of the calls, which is that of the times in the names.
        paths.sort_by_key(|path| path.file_name().map(ToOwned::to_owned));
        for ((path, call), (_, shown)) in paths.iter().zip(&office.calls).zip(SIGNALLED) {
            let name = path.file_name().unwrap().to_str().unwrap();
            let id = call.id.to_string();
            let expected = format!("{}-{shown}-{}.wav", &name[..6], &id[id.len() - 4..]);
            assert_eq!(name, expected);
            assert!(as_reader(|| fs::read(path)).is_ok(), "{name}");
        }
    }
}

/// S66: When the daemon was killed, opening, listing and statfs(2) are ENOTCONN, and so is reading
/// from what is open, unless the kernel has it in memory. The next start mounts anew, and
/// descriptors of before stay dead.
fn s66_a_dead_mount_says_so(office: &Office) {
    // A new mount, of which the kernel has nothing in memory.
    office.stop();
    office.start();
    let first = || files(&office.at("日付別")).remove(0);
    let path: PathBuf = first();
    let open = as_reader(|| File::open(&path)).unwrap();
    let read = || {
        let told = open.read_at(&mut [0; 4], 8000).unwrap_err();
        Errno::from_raw(told.raw_os_error().unwrap())
    };
    office.kill();
    let mount = office.world.mount();
    office.ask(&[
        ask(READERS, on("open", &path, &["O_RDONLY"]), "ENOTCONN"),
        ask(&everybody(), on("list", &mount, &[]), "ENOTCONN"),
        ask(&everybody(), on("statfs", &mount, &[]), "ENOTCONN"),
    ]);
    assert_eq!(read(), Errno::ENOTCONN);
    office.start();
    assert_eq!(read(), Errno::ENOTCONN);
    assert!(as_reader(|| fs::read(first())).is_ok());
}
