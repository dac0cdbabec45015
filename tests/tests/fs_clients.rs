//! Other people's programs on the mount, run by each kind of person: what each of them gets, and what it
//! does not get.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tsuwaroku_tests::calls::MadeCall;
use tsuwaroku_tests::harness::accounts::{KATO, Person, SATO};
use tsuwaroku_tests::harness::files;
use tsuwaroku_tests::logged;
use tsuwaroku_tests::model::{Model, Shown};
use tsuwaroku_tests::office::LINES;
use tsuwaroku_tests::served::Archive;
use tsuwaroku_tests::wav::Wav;

/// An account of no office; the daemon's name service does not know it either.
const NOBODY: Person = Person {
    name: "nobody",
    uid: 65_534,
    groups: &[65_534],
};

/// What somebody can do with each of the lines.
struct Case {
    who: Option<Person>,
    lists: [bool; LINES.len()],
    listens: [bool; LINES.len()],
}

const FIRST: [bool; LINES.len()] = [true, false, false, false];
const ALL: [bool; LINES.len()] = [true; LINES.len()];
const NONE: [bool; LINES.len()] = [false; LINES.len()];

/// The reader of one line, the reader of all (through two groups), nobody, and root, who looks after the
/// device and does not listen (R5.2).
const CASES: [Case; 4] = [
    Case {
        who: Some(KATO),
        lists: FIRST,
        listens: FIRST,
    },
    Case {
        who: Some(SATO),
        lists: ALL,
        listens: ALL,
    },
    Case {
        who: Some(NOBODY),
        lists: NONE,
        listens: NONE,
    },
    Case {
        who: None,
        lists: ALL,
        listens: NONE,
    },
];

/// Everything a person tries happens here.
struct Desk<'a> {
    case: &'a Case,
    mount: PathBuf,
    /// A directory where this person may write.
    copies: PathBuf,
    model: &'a Model,
}

impl Desk<'_> {
    fn name(&self) -> &'static str {
        self.case.who.map_or("root", |person| person.name)
    }

    fn run<S: AsRef<OsStr>>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = S>,
    ) -> Output {
        let mut command = match self.case.who {
            Some(person) => person.command(program),
            None => Command::new(program),
        };
        // Without a desktop's helpers, which no test machine has.
        command.env("GIO_USE_VFS", "local").env("LC_ALL", "C");
        command.args(arguments).output().unwrap()
    }

    /// The recordings of the lines that `may` names, by their paths in the tree by date.
    fn expected(&self, may: [bool; LINES.len()]) -> BTreeMap<PathBuf, &Shown> {
        let all = self.model.recordings().into_iter();
        let own = all.filter(|shown| may[line_of(shown)]);
        own.map(|shown| (shown.paths()[0].clone(), shown)).collect()
    }

    /// The same without the name of the tree: below the directory that was copied.
    fn assert_copied(&self, program: &str, copy: &Path) {
        let found: BTreeMap<_, _> = files(copy)
            .into_iter()
            .map(|path| {
                let below = path.strip_prefix(copy).unwrap().to_owned();
                (below, fs::read(path).unwrap())
            })
            .collect();
        let expected = self.expected(self.case.listens);
        let names: BTreeSet<_> = found.keys().collect();
        let who = self.name();
        assert_eq!(names, expected.keys().collect(), "{program} of {who}");
        for (path, bytes) in &found {
            assert!(
                *bytes == expected[path].bytes,
                "{program} of {who}: {}",
                path.display()
            );
        }
    }

    /// It ends well where all was allowed, with `status` where something was not.
    fn assert_ended(&self, program: &str, output: &Output, all: bool, status: i32) {
        let expected = if all { 0 } else { status };
        let said = String::from_utf8_lossy(&output.stderr);
        let who = self.name();
        assert_eq!(
            output.status.code(),
            Some(expected),
            "{program} of {who}: {said}"
        );
        assert_eq!(all, said.is_empty(), "{program} of {who}: {said}");
        assert!(
            all || said.contains("ermission denied"),
            "{program} of {who}: {said}"
        );
    }

    fn copies_of_the_tree(&self) {
        let from = self.mount.join("by-date");
        let listens = self.case.listens == ALL;
        // Exit statuses: rsync(1) 23 is a partial transfer, tar 2 a fatal error, cp and find 1.
        let copy = self.copies.join("rsync");
        let output = self.run(
            "rsync",
            [OsStr::new("-a"), from.as_os_str(), copy.as_os_str()],
        );
        self.assert_ended("rsync", &output, listens, 23);
        self.assert_copied("rsync", &copy);

        let copy = self.copies.join("cp");
        fs::create_dir(&copy).unwrap();
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o777)).unwrap();
        let output = self.run("cp", [OsStr::new("-a"), from.as_os_str(), copy.as_os_str()]);
        self.assert_ended("cp", &output, listens, 1);
        self.assert_copied("cp", &copy);

        let copy = self.copies.join("tar");
        fs::create_dir(&copy).unwrap();
        let file = self.copies.join("all.tar");
        let mut arguments = vec![OsStr::new("-cf"), file.as_os_str()];
        arguments.extend(["-C".as_ref(), self.mount.as_os_str(), "by-date".as_ref()]);
        let output = self.run("tar", arguments);
        self.assert_ended("tar", &output, listens, 2);
        let unpacked = Command::new("tar")
            .arg("-xf")
            .arg(&file)
            .arg("-C")
            .arg(&copy)
            .output();
        assert!(unpacked.unwrap().status.success());
        self.assert_copied("tar", &copy);
    }

    fn names_in_the_tree(&self) {
        let arguments = ["by-date", "-type", "f"].map(OsStr::new);
        let mount = self.mount.clone();
        let from = [mount.join(arguments[0])];
        let paths = from.iter().map(|path| path.as_os_str());
        let output = self.run("find", paths.chain(arguments[1..].iter().copied()));
        self.assert_ended("find", &output, self.case.lists == ALL, 1);
        let text = String::from_utf8(output.stdout).unwrap();
        let found: BTreeSet<_> = text
            .lines()
            .map(|line| Path::new(line).strip_prefix(&mount).unwrap().to_owned())
            .collect();
        let expected = self.expected(self.case.lists);
        assert_eq!(
            found,
            expected.keys().cloned().collect(),
            "find of {}",
            self.name()
        );
    }

    /// Programs that are given one recording each.
    fn one_file(&self, shown: &Shown) {
        let path = self.mount.join(&shown.paths()[0]);
        let path = path.as_os_str();
        let listens = self.case.listens[line_of(shown)];
        let data = Wav::parse(&shown.bytes).unwrap().data().to_vec();
        let digest = &shown.attributes[1].1;
        let digest = format!("{digest}  {}\n", path.to_str().unwrap()).into_bytes();

        let output = self.run("sox", [path, "-t".as_ref(), "raw".as_ref(), "-".as_ref()]);
        self.assert_given("sox", &output, listens, &data);
        self.assert_given(
            "sha256sum",
            &self.run("sha256sum", [path]),
            listens,
            &digest,
        );
        let output = self.run("gio", ["cat".as_ref(), path]);
        self.assert_given("gio cat", &output, listens, &shown.bytes);
        let entries = "stream=codec_name,sample_rate,duration_ts";
        let mut arguments = ["-v", "error", "-of", "csv=p=0", "-show_entries", entries]
            .map(OsStr::new)
            .to_vec();
        arguments.push(path);
        let probed = format!("pcm_s16le,8000,{}\n", data.len() / 2).into_bytes();
        self.assert_given("ffprobe", &self.run("ffprobe", arguments), listens, &probed);
        self.desktop(shown);
    }

    /// All of `bytes` is printed, or nothing is and the program fails.
    fn assert_given(&self, program: &str, output: &Output, listens: bool, bytes: &[u8]) {
        let who = self.name();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            output.status.success(),
            listens,
            "{program} of {who}: {said}"
        );
        let expected = if listens { bytes } else { &[] };
        assert!(
            output.stdout == expected,
            "{program} of {who} printed something else: {said}"
        );
    }

    /// The library of a desktop's file manager: it shows a file whoever may list its directory.
    fn desktop(&self, shown: &Shown) {
        let path = self.mount.join(&shown.paths()[0]);
        let folder = path.parent().unwrap();
        let lists = self.case.lists[line_of(shown)];
        let who = self.name();
        let output = self.run("gio", ["list".as_ref(), folder.as_os_str()]);
        assert_eq!(
            output.status.success(),
            lists,
            "gio list of {who}: {output:?}"
        );
        let listed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            listed.lines().any(|line| line == shown.name),
            lists,
            "{who}: {listed}"
        );
        // Where it may not look it still repeats the name that it was asked for, and succeeds.
        let output = self.run("gio", ["info".as_ref(), path.as_os_str()]);
        let told = String::from_utf8(output.stdout).unwrap();
        let size = format!("standard::size: {}\n", shown.bytes.len());
        assert_eq!(told.contains(&size), lists, "{who}: {told}");
    }
}

fn line_of(shown: &Shown) -> usize {
    let line = LINES.iter().position(|line| line.number == shown.number);
    line.expect("a designated number")
}

/// R3.1, R3.2, R5.2: programs get what the person who runs them may have, say what they may not, and the
/// log names whoever got what.
#[test]
fn each_gets_what_he_may_have() {
    let mut archive = Archive::new();
    let calls: Vec<_> = (0..6).map(MadeCall::nth).collect();
    archive.archive(&calls);
    let mut model = Model::new();
    for call in &calls {
        model.add(call);
    }
    for case in &CASES {
        let mut desk = Desk {
            case,
            mount: archive.world.mount(),
            copies: PathBuf::new(),
            model: &model,
        };
        desk.copies = archive
            .world
            .path()
            .join(format!("copies-of-{}", desk.name()));
        fs::create_dir(&desk.copies).unwrap();
        fs::set_permissions(&desk.copies, fs::Permissions::from_mode(0o777)).unwrap();
        desk.names_in_the_tree();
        desk.copies_of_the_tree();
        for shown in &model.recordings()[..2] {
            desk.one_file(shown);
        }
    }
    archive.stop();
    let records = logged::records(&logged::catalogue(&archive.world.root()));
    for case in &CASES {
        assert_logged(case, &records, &model);
    }
}

/// Whom the log names as having opened what: each recording that was to be had, and no other.
fn assert_logged(case: &Case, records: &[logged::Logged], model: &Model) {
    let uid = case.who.map_or(0, |person| u64::from(person.uid));
    let opened: BTreeSet<_> = records
        .iter()
        .filter(|logged| logged.is("open") && logged.ended("done") && logged.uid() == Some(uid))
        .filter_map(logged::Logged::recording)
        .collect();
    let all = model.recordings().into_iter();
    let expected = all.filter(|shown| case.listens[line_of(shown)]);
    assert_eq!(
        opened,
        expected.map(|shown| shown.id).collect(),
        "uid {uid}"
    );
}
