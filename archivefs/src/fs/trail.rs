//! What the log says of requests to the file system: one function for each kind of record, and which
//! listings are worth one. Pure but for [`evidence`], which looks at the process that asks.

use super::gate::Caller;
use super::reader::Served;
use crate::accounts::Account;
use crate::audit::{Draft, Event, Outcome, Who};
use crate::catalogue::Recording;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A listing of the same number by the same account is logged once in this time: whoever walks
/// through the archive lists thousands of directories.
const LISTING_REST: Duration = Duration::from_secs(600);

/// Listings remembered.
const MOST_LISTINGS: usize = 10_000;

/// Who asks, as the log says it. The process is evidence: it may have ended, and anybody can name a
/// program as they like.
pub(super) fn evidence(caller: Caller, account: &Account) -> Who {
    let process = (caller.pid != 0).then(|| process_of(caller.pid));
    Who {
        uid: caller.uid,
        gid: caller.gid,
        name: account.name.clone(),
        pid: process,
        exe: process.and_then(executable),
    }
}

/// The process of a thread: the kernel names threads (`proc_pid_status(5)`, Tgid).
fn process_of(thread: u32) -> u32 {
    // Most programs have one thread, which is their process: only of such a one there is a descriptor
    // (`pidfd_open(2)`), and asking for it is cheaper than reading a page of text.
    let first = i32::try_from(thread).ok().and_then(Pid::from_raw);
    if first.is_some_and(|pid| pidfd_open(pid, PidfdFlags::empty()).is_ok()) {
        return thread;
    }
    let status = std::fs::read_to_string(format!("/proc/{thread}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Tgid:"));
    line.and_then(|tgid| tgid.trim().parse().ok())
        .unwrap_or(thread)
}

/// The path of the program, or only its name where the daemon may not look (`proc_pid_exe(5)` asks for
/// rights that a daemon of its own account has not).
fn executable(process: u32) -> Option<String> {
    if let Ok(path) = std::fs::read_link(format!("/proc/{process}/exe")) {
        return Some(path.to_string_lossy().into_owned());
    }
    let name = std::fs::read(format!("/proc/{process}/comm")).ok()?;
    Some(String::from_utf8_lossy(name.trim_ascii_end()).into_owned())
}

/// A recording is opened, or not.
pub(super) fn open(at: i64, who: Who, recording: &Recording, number: &str, how: Outcome) -> Draft {
    let draft = Draft::new(at, Event::Open, how)
        .by(who)
        .on(recording.id)
        .of_number(number);
    match &recording.other_party {
        Some(party) => draft.hidden("party", party),
        None => draft,
    }
}

/// A recording could not be opened because that could not be logged then.
pub(super) fn unlogged(at: i64, who: Who, recording: &Recording, number: &str) -> Draft {
    let draft = open(at, who, recording, number, Outcome::Failed);
    draft.with("reason", "it could not be logged")
}

/// A recording is closed: what of it was given out. What the kernel had in its cache was not asked
/// for, and is not counted.
pub(super) fn release(at: i64, who: Who, recording: &Recording, number: &str, s: &Served) -> Draft {
    Draft::new(at, Event::Release, Outcome::Done)
        .by(who)
        .on(recording.id)
        .of_number(number)
        .with("bytes", s.bytes)
        .with("reads", s.reads)
}

/// Somebody tries to change something (R5.2). What it was called is hidden: names hold numbers.
pub(super) fn refused_write(
    at: i64,
    who: Who,
    operation: &str,
    number: Option<&str>,
    name: Option<&str>,
) -> Draft {
    let mut draft = Draft::new(at, Event::RefusedWrite, Outcome::Refused)
        .by(who)
        .with("op", operation);
    if let Some(number) = number {
        draft = draft.of_number(number);
    }
    match name {
        Some(name) => draft.hidden("name", name),
        None => draft,
    }
}

/// The recordings of a number are listed, or not.
pub(super) fn list(at: i64, who: Who, number: &str, how: Outcome) -> Draft {
    Draft::new(at, Event::List, how).by(who).of_number(number)
}

/// Which listings were logged lately.
#[derive(Debug, Default)]
pub(super) struct Listed(Mutex<HashMap<(u32, String), Instant>>);

impl Listed {
    /// Whether a listing of `number` by `uid` at `now` is worth a record; if so, it has one.
    pub fn is_new(&self, uid: u32, number: &str, now: Instant) -> bool {
        let mut listed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (uid, number.to_owned());
        let resting = |at: &Instant| now.saturating_duration_since(*at) < LISTING_REST;
        if listed.get(&key).is_some_and(resting) {
            return false;
        }
        if listed.len() >= MOST_LISTINGS {
            listed.retain(|_, at| resting(at));
        }
        if listed.len() >= MOST_LISTINGS {
            listed.clear();
        }
        listed.insert(key, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_is_one_record_a_number() {
        let listed = Listed::default();
        let start = Instant::now();
        assert!(listed.is_new(1000, "a", start));
        assert!(!listed.is_new(1000, "a", start + Duration::from_secs(599)));
        assert!(listed.is_new(1000, "b", start), "another number");
        assert!(listed.is_new(1001, "a", start), "another account");
        assert!(listed.is_new(1000, "a", start + LISTING_REST));
    }

    #[test]
    fn whoever_lists_without_end_does_not_fill_the_memory() {
        let listed = Listed::default();
        for uid in 0..2 * MOST_LISTINGS as u32 {
            listed.is_new(uid, "a", Instant::now());
        }
        assert!(listed.0.lock().unwrap().len() <= MOST_LISTINGS);
    }

    /// The process of this very thread.
    #[test]
    fn a_thread_is_traced_to_its_process() {
        let caller = Caller {
            uid: 0,
            gid: 0,
            pid: nix::unistd::gettid().as_raw() as u32,
        };
        let who = evidence(caller, &Account::unknown(0));
        assert_eq!(who.pid, Some(std::process::id()));
        let exe = std::env::current_exe().unwrap();
        assert_eq!(who.exe.as_deref(), exe.to_str());
        let kernel = Caller { pid: 0, ..caller };
        assert_eq!(evidence(kernel, &Account::unknown(0)).pid, None);
    }
}
