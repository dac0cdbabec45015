//! People: accounts that exist only for the daemon under test, which sees them through `nss_wrapper`
//! (a library that answers questions for accounts out of files), so that nothing is entered on the
//! machine itself.
//!
//! | account | role | lines |
//! |---|---|---|
//! | sato | staff | all |
//! | kato | staff | the first |
//! | mori | staff | none |
//! | chief | administrator | all |
//! | officer | information security officer | none |
//! | manager | device manager | none |
//! | stranger | none | all (a reader without a role) |

use super::World;
use nix::unistd::{Gid, Uid, setfsgid, setfsuid, setgroups};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io;
use std::process::{Command, Output};
use std::sync::Once;

/// An account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Person {
    /// Its name.
    pub name: &'static str,
    /// Its number.
    pub uid: u32,
    /// Its groups, the primary one first.
    pub groups: &'static [u32],
}

/// The group that reads the first line.
pub const DESK: u32 = 61_101;
/// The group that reads the other lines.
pub const BACK: u32 = 61_102;
/// A group that reads nothing.
pub const PLAIN: u32 = 61_100;
/// Its members are staff.
pub const STAFF: u32 = 61_103;

/// Staff; reads all lines.
pub const SATO: Person = person("sato", 61_001, &[DESK, BACK, STAFF]);
/// Staff; reads the first line.
pub const KATO: Person = person("kato", 61_002, &[DESK]);
/// Staff; reads no line.
pub const MORI: Person = person("mori", 61_003, &[PLAIN]);
/// Reads all lines by group, but holds no role.
pub const STRANGER: Person = person("stranger", 61_004, &[DESK, BACK]);
/// The administrator; reads all lines.
pub const CHIEF: Person = person("chief", 61_011, &[DESK, BACK]);
/// The information security officer.
pub const OFFICER: Person = person("officer", 61_012, &[PLAIN]);
/// The device manager.
pub const MANAGER: Person = person("manager", 61_013, &[PLAIN]);

const PEOPLE: [Person; 7] = [SATO, KATO, MORI, STRANGER, CHIEF, OFFICER, MANAGER];
const GROUPS: [(&str, u32); 4] = [
    ("plain", PLAIN),
    ("desk", DESK),
    ("back", BACK),
    ("staff-of-centre", STAFF),
];

/// What the configuration says of them.
pub const ROLES: &str = "\n[roles]\nadministrators = [\"chief\"]\n\
    information_security_officers = [\"officer\"]\ndevice_managers = [\"manager\"]\n\
    staff = [\"kato\", \"mori\", \"@staff-of-centre\"]\n";

const fn person(name: &'static str, uid: u32, groups: &'static [u32]) -> Person {
    Person { name, uid, groups }
}

/// The name of the group that reads line number `index`, from 0.
pub fn reader_group(index: usize) -> &'static str {
    if index == 0 { "desk" } else { "back" }
}

/// The files for `nss_wrapper`: passwd(5) and group(5).
pub(super) fn files() -> (String, String) {
    let mut passwd = String::from("root:x:0:0:root:/root:/bin/sh\n");
    let mut group = String::from("root:x:0:\n");
    for person in PEOPLE {
        let (name, uid, gid) = (person.name, person.uid, person.groups[0]);
        let _ = writeln!(passwd, "{name}:x:{uid}:{gid}::/:/bin/sh");
    }
    for (name, gid) in GROUPS {
        let members: Vec<_> = PEOPLE
            .iter()
            .filter(|person| person.groups[1..].contains(&gid))
            .map(|person| person.name)
            .collect();
        let _ = writeln!(group, "{name}:x:{gid}:{}", members.join(","));
    }
    (passwd, group)
}

impl Person {
    /// `program`, to be run by this person.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("setpriv");
        self.lower(&mut command);
        command.arg(program);
        command
    }

    /// `tsuwaroku` with `arguments`, run by this person in `world`, in English.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn tsuwaroku(&self, world: &World, arguments: &[&str]) -> io::Result<Output> {
        // A copy where everybody may run it, made by a process of its own: a program that this one has
        // written to may be busy when it is run.
        let program = world.path().join("tsuwaroku");
        if !program.exists() {
            let built = world.command("tsuwaroku");
            let copied = Command::new("cp")
                .arg(built.get_program())
                .arg(&program)
                .status()?;
            if !copied.success() {
                return Err(io::Error::other("the program cannot be copied"));
            }
        }
        let mut command = self.command(&program);
        command.env("TSUWAROKU_CONFIG", world.config());
        command.env("LC_ALL", "C").args(arguments).output()
    }

    /// The arguments of setpriv(1) that make its program this person's.
    fn lower(self, setpriv: &mut Command) {
        let groups: Vec<String> = self.groups.iter().map(u32::to_string).collect();
        setpriv
            .arg(format!("--reuid={}", self.uid))
            .arg(format!("--regid={}", self.groups[0]))
            .arg(format!("--groups={}", groups.join(",")))
            .args(["--inh-caps=-all", "--"]);
    }
}

/// `tsuwaroku` with `arguments`, run in `world` by somebody; by root if nobody is named. In English.
///
/// # Errors
/// It cannot be run.
pub fn run(world: &World, person: Option<Person>, arguments: &[&str]) -> io::Result<Output> {
    if let Some(person) = person {
        return person.tsuwaroku(world, arguments);
    }
    let mut command = world.command("tsuwaroku");
    command.env("LC_ALL", "C").args(arguments).output()
}

/// Gives the thread its own rights back.
struct Back(Uid, Gid);

impl Drop for Back {
    fn drop(&mut self) {
        setfsuid(self.0);
        setfsgid(self.1);
    }
}

/// Does `work` with sato's rights to files, on this thread; programs that it starts have those of the
/// test.
pub fn as_reader<T>(work: impl FnOnce() -> T) -> T {
    static GROUPS_OF_SATO: Once = Once::new();
    // Groups belong to the whole process; to root they give nothing.
    GROUPS_OF_SATO.call_once(|| {
        let groups: Vec<Gid> = SATO.groups.iter().copied().map(Gid::from_raw).collect();
        setgroups(&groups).expect("tests of the mount are run by root");
    });
    let gid = setfsgid(Gid::from_raw(SATO.groups[0]));
    let _back = Back(setfsuid(Uid::from_raw(SATO.uid)), gid);
    work()
}
