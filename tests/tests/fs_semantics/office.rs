//! The office in which the statements are proved: eight calls on four lines in an archive that an
//! account of its own serves, everybody who may come to the mount, and an account of all refusals that
//! the log must agree with in the end.

use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tsuwaroku_tests::calls::{MadeCall, writer};
use tsuwaroku_tests::harness::accounts::{
    CHIEF, KATO, MANAGER, MORI, OFFICER, SATO, STRANGER, as_reader,
};
use tsuwaroku_tests::harness::{Daemon, World, files, wait_for};
use tsuwaroku_tests::keeper::{self, KEEPER};
use tsuwaroku_tests::logged;
use tsuwaroku_tests::office::LINES;
use tsuwaroku_tests::probe::{Call, Caller};

/// Those who may listen to the first line: staff and the administrator.
pub const READERS: &[Caller] = &[
    Caller::Person(SATO),
    Caller::Person(KATO),
    Caller::Person(CHIEF),
];
/// Who is in the first line's reader group, and has no role.
pub const MEMBERS: &[Caller] = &[Caller::Person(STRANGER)];
/// Who is not in its reader group: staff, those whose roles give no right to listen, nobody.
pub const OUTSIDERS: &[Caller] = &[
    Caller::Person(MORI),
    Caller::Person(OFFICER),
    Caller::Person(MANAGER),
    Caller::Account(65_534),
];
/// Root.
pub const ROOT: &[Caller] = &[Caller::Root];
/// The daemon's account, which owns everything.
pub const OWNER: &[Caller] = &[Caller::Account(KEEPER)];

/// The number of the first line, whose first recording most statements are proved on.
pub const NUMBER: &str = LINES[0].number;
/// Where its recordings of the day are, by date.
pub const CLOSED: &str = "by-date/2026/11/23/06-6458-1132";
/// The same, by number.
pub const CLOSED_TOO: &str = "by-number/06-6458-1132/2026/11/23";
/// The first recording's name.
pub const NAME: &str = "100000-002T.wav";
/// The name of the other recording in the same directory.
pub const OTHER: &str = "100400-012T.wav";

/// A directory of each open kind, below the mount.
pub const OPEN_KINDS: &[&str] = &[
    "",
    "by-date",
    "by-date/2026",
    "by-date/2026/11",
    "by-date/2026/11/23",
    "by-number",
];
/// A directory of each closed kind, below the mount.
pub const CLOSED_KINDS: &[&str] = &[
    CLOSED,
    "by-number/06-6458-1132",
    "by-number/06-6458-1132/2026",
    "by-number/06-6458-1132/2026/11",
    CLOSED_TOO,
];

/// All of several groups of people.
pub fn all(groups: &[&[Caller]]) -> Vec<Caller> {
    groups.concat()
}

/// Whoever can reach a recording.
pub fn insiders() -> Vec<Caller> {
    all(&[READERS, MEMBERS, ROOT, OWNER])
}

/// Everybody.
pub fn everybody() -> Vec<Caller> {
    all(&[READERS, MEMBERS, OUTSIDERS, ROOT, OWNER])
}

/// Whoever may pass a closed directory, by the kernel's word: their attempts come to the daemon.
pub fn writers() -> Vec<Caller> {
    all(&[READERS, MEMBERS, ROOT])
}

/// The same of an open directory.
pub fn writers_at_large() -> Vec<Caller> {
    all(&[READERS, MEMBERS, OUTSIDERS, ROOT])
}

/// What a refused attempt was about.
#[derive(Debug, Clone, Copy)]
pub enum About {
    /// An open directory, or a name in one.
    Open,
    /// A closed directory of the first line, or a name in one.
    Number,
    /// The first recording.
    Recording,
}

/// What the log must say of an attempt.
#[derive(Debug, Clone, Copy)]
enum Mark {
    Write(&'static str, About),
    Open,
    List,
}

/// Some people make a call, and all get the same answer.
#[derive(Debug)]
pub struct Ask {
    who: Vec<Caller>,
    call: Call,
    answer: String,
    mark: Option<Mark>,
}

/// `who` make `call` and are told `answer`.
pub fn ask(who: &[Caller], call: Call, answer: &str) -> Ask {
    Ask {
        who: who.to_vec(),
        call,
        answer: answer.into(),
        mark: None,
    }
}

/// `who` make `call`; they are told EROFS, and it is logged as `operation` on `about`.
pub fn refused(who: &[Caller], call: Call, operation: &'static str, about: About) -> Ask {
    Ask {
        mark: Some(Mark::Write(operation, about)),
        ..ask(who, call, "EROFS")
    }
}

/// `who` make `call`; they may not open the first recording, which is logged.
pub fn not_opened(who: &[Caller], call: Call) -> Ask {
    Ask {
        mark: Some(Mark::Open),
        ..ask(who, call, "EACCES")
    }
}

/// `who` make `call`; they may not list the first line's directory, which is logged.
pub fn not_listed(who: &[Caller], call: Call) -> Ask {
    Ask {
        mark: Some(Mark::List),
        ..ask(who, call, "EACCES")
    }
}

/// See the module.
#[derive(Debug)]
pub struct Office {
    serve: RefCell<Option<Daemon>>,
    pub world: World,
    pub calls: Vec<MadeCall>,
    /// When the archive was about to be made.
    pub begun: SystemTime,
    files: Cell<usize>,
    refusals: RefCell<Vec<String>>,
}

impl Office {
    /// One that was served already.
    pub fn new() -> Self {
        Self::of(World::new().unwrap())
    }

    /// The same in the directory of `world`.
    pub fn of(world: World) -> Self {
        let mut calls: Vec<_> = (0..8).map(MadeCall::nth).collect();
        // 1667.125 ms, and a gap in the other recording of the line.
        calls[0].samples = MadeCall::nth(0)
            .samples
            .into_iter()
            .cycle()
            .take(13_337)
            .collect();
        calls[4].gap = Some((4000, 1234));
        let begun = SystemTime::now();
        let out = world.path().join("out");
        fs::create_dir(&out).unwrap();
        keeper::init(&world, &calls);
        fs::set_permissions(&out, fs::Permissions::from_mode(0o1777)).unwrap();
        let serve = keeper::serve(&world, calls.len());
        Self {
            serve: RefCell::new(Some(serve)),
            files: Cell::new(calls.len()),
            world,
            calls,
            begun,
            refusals: RefCell::default(),
        }
    }

    /// Something below the mount.
    pub fn at(&self, below: &str) -> PathBuf {
        self.world.mount().join(below)
    }

    /// The first recording, by date.
    pub fn file(&self) -> PathBuf {
        self.at(CLOSED).join(NAME)
    }

    /// The same by number.
    pub fn file_too(&self) -> PathBuf {
        self.at(CLOSED_TOO).join(NAME)
    }

    /// The first recording's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        as_reader(|| fs::read(self.file())).unwrap()
    }

    /// A place outside the mount where everybody may write.
    pub fn out(&self, name: &str) -> PathBuf {
        self.world.path().join("out").join(name)
    }

    /// Everything below the mount and the mount itself.
    pub fn nodes(&self) -> Vec<PathBuf> {
        let mut found = vec![self.world.mount()];
        let mut next = 0;
        while let Some(path) = found.get(next).cloned() {
            next += 1;
            if path.is_dir() {
                found.extend(
                    fs::read_dir(path)
                        .unwrap()
                        .map(|entry| entry.unwrap().path()),
                );
            }
        }
        assert!(found.len() > 30, "{found:?}");
        found
    }

    /// Whether `path` is a directory that belongs to one number, or a recording in one: the number.
    pub fn number_of(path: &Path) -> Option<&str> {
        let names = path.iter().filter_map(|name| name.to_str());
        let mut numbers = names.filter(|name| LINES.iter().any(|line| line.number == *name));
        numbers.next()
    }

    /// Lets people call, and compares what they are told; what must be logged is kept in mind.
    #[track_caller]
    pub fn ask(&self, asks: &[Ask]) {
        let mut wrong = String::new();
        for caller in everybody() {
            let mine: Vec<_> = asks
                .iter()
                .filter(|ask| ask.who.contains(&caller))
                .collect();
            if mine.is_empty() {
                continue;
            }
            let calls: Vec<_> = mine.iter().map(|ask| ask.call.clone()).collect();
            for (ask, told) in mine.iter().zip(caller.make(&calls)) {
                let refusal = ask.mark.map(|mark| self.refusal(caller, mark));
                self.refusals.borrow_mut().extend(refusal);
                if told != ask.answer {
                    let (name, call) = (caller.name(), ask.call.join(" "));
                    let _ = writeln!(wrong, "{name}: {call}: {told}, not {}", ask.answer);
                }
            }
        }
        assert!(
            asks.iter().all(|ask| !ask.who.is_empty()),
            "nobody is asked"
        );
        assert!(wrong.is_empty(), "\n{wrong}");
    }

    fn refusal(&self, caller: Caller, mark: Mark) -> String {
        let id = self.calls[0].id.to_string();
        let (event, operation, number, recording) = match mark {
            Mark::Write(operation, About::Open) => ("refused-write", operation, "", ""),
            Mark::Write(operation, About::Number) => ("refused-write", operation, NUMBER, ""),
            Mark::Write(operation, About::Recording) => {
                ("refused-write", operation, NUMBER, id.as_str())
            }
            Mark::Open => ("open", "", NUMBER, id.as_str()),
            Mark::List => ("list", "", NUMBER, ""),
        };
        let (uid, name) = (caller.uid(), caller.name());
        format!("{event} by {uid} ({name}): '{operation}' '{number}' '{recording}'")
    }

    /// All records of the log so far.
    pub fn log(&self) -> Vec<logged::Logged> {
        logged::records(&logged::catalogue(&self.world.root()))
    }

    /// Waits until all refusals so far are in the log, and gives its length.
    pub fn settled(&self) -> usize {
        wait_for("the log", Duration::from_secs(30), || {
            let log = self.log();
            let refused = log.iter().filter(|logged| logged.ended("refused")).count();
            (refused >= self.refusals.borrow().len()).then_some(log.len())
        })
    }

    /// One more call comes in, as from the capture daemon, and is a file when this returns.
    pub fn archive(&self, call: &MadeCall) {
        let workshop = self.world.path().join("workshop");
        fs::create_dir_all(&workshop).unwrap();
        let made = call.publish(&writer(&workshop)).unwrap();
        std::os::unix::fs::chown(&made, Some(KEEPER), Some(KEEPER)).unwrap();
        let ready = self.world.spool().join("ready");
        fs::rename(&made, ready.join(made.file_name().unwrap())).unwrap();
        self.files.set(self.files.get() + 1);
        wait_for("the call", Duration::from_secs(30), || {
            (self.world.recordings().len() == self.files.get()).then_some(())
        });
    }

    /// Stops the daemon.
    pub fn stop(&self) {
        if let Some(serve) = self.serve.take() {
            assert!(serve.stop().success());
        }
        assert!(!self.world.is_mounted());
    }

    /// Kills the daemon.
    pub fn kill(&self) {
        if let Some(mut serve) = self.serve.take() {
            serve.kill();
        }
    }

    /// Starts the daemon again.
    pub fn start(&self) {
        let serve = keeper::serve(&self.world, self.files.get());
        *self.serve.borrow_mut() = Some(serve);
    }

    /// The day's work is done: the log has each refusal, and no other.
    pub fn close(self) {
        self.stop();
        let log = self.log();
        let told = log.iter().filter(|logged| logged.ended("refused"));
        let mut told: Vec<_> = told.flat_map(refusals).collect();
        let mut made = self.refusals.take();
        told.sort_unstable();
        made.sort_unstable();
        let (missing, more) = (surplus(&made, &told), surplus(&told, &made));
        assert!(
            missing.is_empty() && more.is_empty(),
            "not in the log: {missing:#?}\nin the log for no reason: {more:#?}"
        );
        assert!(
            files(&self.world.root()).len() > 1,
            "the archive is still there"
        );
    }
}

/// The refusals that a record stands for.
fn refusals(logged: &logged::Logged) -> Vec<String> {
    let record = &logged.record;
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let (uid, name) = (&record["actor"]["uid"], text(&record["actor"]["name"]));
    let refusal = format!(
        "{} by {uid} ({name}): '{}' '{}' '{}'",
        text(&record["event"]),
        text(&record["facts"]["op"]),
        text(&record["number"]),
        text(&record["recording"])
    );
    let times = text(&record["facts"]["times"]).parse().unwrap_or(1);
    vec![refusal; times]
}

/// What is more often in `one` than in `other`.
fn surplus(one: &[String], other: &[String]) -> Vec<String> {
    let mut left = other.to_vec();
    let mut left_out = |line: &&String| match left.iter().position(|other| other == *line) {
        Some(at) => {
            left.swap_remove(at);
            false
        }
        None => true,
    };
    one.iter().filter(|line| left_out(line)).cloned().collect()
}
