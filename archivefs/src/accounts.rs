//! Who a Unix account is: its name and its groups, as the name service says (`/etc/passwd`, LDAP, …).
//! Asked once and believed for [`LIFETIME`], so that whoever leaves a group is out of it soon, and an
//! open costs no question to a server.

use nix::unistd::{Gid, Group, Uid, User, getgrouplist};
use std::collections::HashMap;
use std::ffi::CString;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use thiserror::Error;

/// How long an answer of the name service is believed.
pub const LIFETIME: Duration = Duration::from_secs(30);

/// Accounts remembered; more than an office has, and a bound for whoever counts uids up.
const MOST: usize = 4096;

/// A Unix account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its number.
    pub uid: u32,
    /// Its name; where the name service knows none, `uid 1234`, which no account can be called.
    pub name: String,
    /// Every group it is in, the primary one included.
    pub groups: Vec<u32>,
}

impl Account {
    /// One that the name service does not know: in no group, so with no rights.
    pub fn unknown(uid: u32) -> Self {
        Self {
            uid,
            name: format!("uid {uid}"),
            groups: Vec::new(),
        }
    }
}

/// The name service did not answer. It may do so next time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the name service does not say who the account is")]
pub struct NoAnswer;

type Ask = Box<dyn Fn(u32) -> Result<Account, NoAnswer> + Send + Sync>;
type Known = HashMap<u32, (Instant, Arc<Account>)>;

/// The accounts that were asked for lately.
pub struct Accounts {
    ask: Ask,
    known: Mutex<Known>,
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Accounts")
    }
}

impl Default for Accounts {
    fn default() -> Self {
        Self::new(Box::new(ask_name_service))
    }
}

impl Accounts {
    /// Accounts as `ask` tells them.
    pub fn new(ask: Ask) -> Self {
        Self {
            ask,
            known: Mutex::default(),
        }
    }

    /// The account `uid`, as it was at most [`LIFETIME`] before `now`, if it was asked for then.
    pub fn known(&self, uid: u32, now: Instant) -> Option<Arc<Account>> {
        let all = self.lock();
        let (asked, account) = all.get(&uid)?;
        let fresh = now.saturating_duration_since(*asked) < LIFETIME;
        fresh.then(|| account.clone())
    }

    /// The account `uid`, as it was at most [`LIFETIME`] before `now`. May wait for a server.
    pub fn get(&self, uid: u32, now: Instant) -> Result<Arc<Account>, NoAnswer> {
        if let Some(account) = self.known(uid, now) {
            return Ok(account);
        }
        // Asked without the lock: a slow server holds up nobody who is known. What could not be
        // answered is not remembered: it says nothing of the account.
        let account = Arc::new((self.ask)(uid)?);
        let mut all = self.lock();
        if all.len() >= MOST {
            all.clear();
        }
        all.insert(uid, (now, account.clone()));
        Ok(account)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ask_name_service(uid: u32) -> Result<Account, NoAnswer> {
    let user = match found(User::from_uid(Uid::from_raw(uid))) {
        Ok(Some(user)) => user,
        Ok(None) => return Ok(Account::unknown(uid)),
        Err(error) => {
            log::warn!("the name service does not say who uid {uid} is: {error}");
            return Err(NoAnswer);
        }
    };
    Ok(Account {
        uid,
        groups: groups(&user.name, user.gid)?,
        name: user.name,
    })
}

/// The number of the group called `name`, if there is one.
pub fn group_named(name: &str) -> io::Result<Option<u32>> {
    Ok(found(Group::from_name(name))?.map(|group| group.gid.as_raw()))
}

/// That there is no such entry, some sources of accounts say by an error (getpwnam(3), ERRORS).
fn found<T>(answer: nix::Result<Option<T>>) -> nix::Result<Option<T>> {
    use nix::errno::Errno;
    match answer {
        Err(Errno::ENOENT | Errno::ESRCH | Errno::EBADF | Errno::EPERM) => Ok(None),
        answer => answer,
    }
}

fn groups(name: &str, primary: Gid) -> Result<Vec<u32>, NoAnswer> {
    let asked = CString::new(name)
        .map_err(|_| nix::errno::Errno::EINVAL)
        .and_then(|name| getgrouplist(&name, primary));
    match asked {
        Ok(groups) => Ok(groups.into_iter().map(Gid::as_raw).collect()),
        Err(error) => {
            log::warn!("the name service does not say which groups {name} is in: {error}");
            Err(NoAnswer)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn an_answer_is_believed_for_its_lifetime() {
        let asked = Arc::new(AtomicU32::new(0));
        let count = asked.clone();
        let accounts = Accounts::new(Box::new(move |uid| {
            let group = count.fetch_add(1, Ordering::Relaxed);
            let groups = vec![group];
            let account = Account {
                groups,
                ..Account::unknown(uid)
            };
            (group != 1 || uid != 8).then_some(account).ok_or(NoAnswer)
        }));
        let start = Instant::now();
        assert_eq!(accounts.known(7, start), None);
        assert_eq!(accounts.get(7, start).unwrap().groups, [0]);
        assert_eq!(accounts.get(8, start), Err(NoAnswer), "and not remembered");
        let before = LIFETIME.checked_sub(Duration::from_millis(1)).unwrap();
        assert_eq!(accounts.get(7, start + before).unwrap().groups, [0]);
        assert_eq!(accounts.get(8, start).unwrap().groups, [2]);
        assert_eq!(accounts.known(7, start + LIFETIME), None);
        assert_eq!(accounts.get(7, start + LIFETIME).unwrap().groups, [3]);
    }

    #[test]
    fn whoever_counts_up_uids_does_not_fill_the_memory() {
        let accounts = Accounts::new(Box::new(|uid| Ok(Account::unknown(uid))));
        let now = Instant::now();
        for uid in 0..3 * MOST as u32 {
            accounts.get(uid, now).unwrap();
        }
        assert!(accounts.lock().len() <= MOST);
    }

    /// The real name service of this machine.
    #[test]
    fn root_is_known_and_a_stranger_has_no_group() {
        let accounts = Accounts::default();
        let root = accounts.get(0, Instant::now()).unwrap();
        assert_eq!(
            (root.name.as_str(), root.groups.contains(&0)),
            ("root", true)
        );
        let stranger = accounts.get(u32::MAX - 7, Instant::now()).unwrap();
        assert_eq!(*stranger, Account::unknown(u32::MAX - 7));
        assert_eq!(group_named("root").unwrap(), Some(0));
        assert_eq!(group_named("no-such-group").unwrap(), None);
    }
}
