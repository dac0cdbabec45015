//! System calls by name, made by another account: the test says what to call, a process of that
//! account (`syscall-probe`) calls it and says what the kernel answered. Called by the tests of the
//! mount's semantics.
//!
//! A request is a line, `call`, tab, `argument`, …; the answer is a line with the name of an errno, or
//! what the call gave, or `ok`. The calls are those of rustix(3); those that it has as unsafe functions
//! only stand in [`raw`].

mod calls;
mod raw;
mod words;

pub use words::hexadecimal;

use crate::harness::accounts::Person;
use crate::harness::binary;
use crate::keeper;
use nix::errno::Errno;
use std::io::{self, BufRead, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// A call and its arguments; paths among them.
pub type Call = Vec<String>;

/// The call `name` with `arguments`.
pub fn call(name: &str, arguments: &[&str]) -> Call {
    let words = [&[name], arguments].concat();
    words.into_iter().map(str::to_owned).collect()
}

/// The call `name` on `path`, with more `arguments` after it.
///
/// # Panics
/// The path is not UTF-8.
pub fn on(name: &str, path: &Path, arguments: &[&str]) -> Call {
    let path = path.to_str().expect("paths of the tests are UTF-8");
    call(name, &[&[path], arguments].concat())
}

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// The test itself.
    Root,
    /// One of the office's people.
    Person(Person),
    /// An account and its only group.
    Account(u32),
}

impl Caller {
    /// The account's number.
    pub fn uid(self) -> u32 {
        match self {
            Self::Root => 0,
            Self::Person(person) => person.uid,
            Self::Account(uid) => uid,
        }
    }

    /// What the log calls the account.
    pub fn name(self) -> String {
        match self {
            Self::Root => "root".into(),
            Self::Person(person) => person.name.into(),
            Self::Account(keeper::KEEPER) => keeper::NAME.into(),
            Self::Account(uid) => format!("uid {uid}"),
        }
    }

    /// `program`, to be run by this account.
    pub fn command(self, program: &Path) -> Command {
        match self {
            Self::Root => Command::new(program),
            Self::Person(person) => person.command(program),
            Self::Account(uid) => {
                let mut command = Command::new("setpriv");
                command
                    .args([format!("--reuid={uid}"), format!("--regid={uid}")])
                    .args(["--clear-groups", "--inh-caps=-all", "--"])
                    .arg(program);
                command
            }
        }
    }

    /// Makes `calls` one after the other, in one process, and gives the answers.
    ///
    /// # Panics
    /// The probe cannot be run, or has not answered each.
    pub fn make(self, calls: &[Call]) -> Vec<String> {
        let mut probe = self
            .command(&binary("syscall-probe"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the probe runs");
        let requests: String = calls.iter().map(|call| call.join("\t") + "\n").collect();
        let mut input = probe.stdin.take().expect("it was piped");
        // By another thread: the answers would fill the pipe meanwhile.
        let asking = std::thread::spawn(move || input.write_all(requests.as_bytes()));
        let output = probe.wait_with_output().expect("the probe ends");
        let asked = asking.join().expect("asking does not panic");
        asked.expect("the probe takes all requests");
        let text = String::from_utf8(output.stdout).expect("answers are text");
        let answers: Vec<String> = text.lines().map(str::to_owned).collect();
        assert_eq!(answers.len(), calls.len(), "the probe ended early: {text}");
        answers
    }

    /// Makes one call.
    pub fn makes(self, call: Call) -> String {
        self.make(&[call]).remove(0)
    }
}

/// Answers the requests on `input` until it ends.
///
/// # Errors
/// `input` cannot be read, or `output` not be written.
pub fn answer(input: impl BufRead, mut output: impl Write) -> io::Result<()> {
    for line in input.lines() {
        let line = line?;
        let words: Vec<&str> = line.split('\t').collect();
        let (name, arguments) = words.split_first().unwrap_or((&"", &[]));
        writeln!(output, "{}", answer_of(name, arguments))?;
        output.flush()?;
    }
    Ok(())
}

fn answer_of(name: &str, arguments: &[&str]) -> String {
    let Some(call) = calls::named(name) else {
        return format!("no call {name}");
    };
    match call(arguments) {
        Ok(said) if said.is_empty() => "ok".into(),
        Ok(said) => said,
        Err(error) => format!("{:?}", Errno::from_raw(error.raw_os_error())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_is_answered_by_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "abc").unwrap();
        let file = file.to_str().unwrap();
        let requests = format!("open\t{file}\tO_RDONLY\nmkdir\t{file}\nread\t{file}\t1\t9\nx\n");
        let mut answers = Vec::new();
        answer(requests.as_bytes(), &mut answers).unwrap();
        let answers = String::from_utf8(answers).unwrap();
        assert_eq!(answers, "ok\nEEXIST\n6263\nno call x\n");
    }
}
