//! Refusals are logged, each of them, but nobody may fill the disk with them: whoever asks again and
//! again for what is not theirs is logged at a bounded rate, with the number of times that were left
//! out. Knows nothing of what was refused.

use crate::audit::Draft;
use crate::catalogue::Catalogue;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Refusals of one account that are each logged, however fast they come.
const BURST: u32 = 300;
/// After these, one in this time.
const REFILL: Duration = Duration::from_secs(10);
/// Accounts remembered; the rest share one place.
const MOST: usize = 1024;

/// Logs refusals.
#[derive(Debug)]
pub struct Refusals {
    catalogue: Arc<Catalogue>,
    accounts: Mutex<HashMap<u32, Account>>,
}

/// How many refusals an account has left, and what was left out.
#[derive(Debug, Clone)]
struct Account {
    left: u32,
    since: Instant,
    left_out: Option<(Draft, u64)>,
}

impl Account {
    fn new(now: Instant) -> Self {
        Self {
            left: BURST,
            since: now,
            left_out: None,
        }
    }

    /// What is to be logged of `draft` at `now`: itself, with what was left out before it, or nothing
    /// yet.
    fn take(&mut self, draft: Draft, now: Instant) -> Vec<Draft> {
        self.refill(now);
        if self.left > 0 {
            self.left -= 1;
            return self.summary().into_iter().chain([draft]).collect();
        }
        let times = self.left_out.take().map_or(0, |(_, times)| times);
        self.left_out = Some((draft, times + 1));
        Vec::new()
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.since);
        let gained = u32::try_from(passed.as_nanos() / REFILL.as_nanos()).unwrap_or(u32::MAX);
        if gained > 0 {
            self.left = self.left.saturating_add(gained).min(BURST);
            self.since = now;
        }
    }

    /// One record for all that were left out: the last of them, and how many they were.
    fn summary(&mut self) -> Option<Draft> {
        let (last, times) = self.left_out.take()?;
        Some(last.with("times", times))
    }

    fn is_idle(&self) -> bool {
        self.left == BURST && self.left_out.is_none()
    }
}

impl Refusals {
    /// Refusals that are logged in `catalogue`.
    pub fn new(catalogue: Arc<Catalogue>) -> Self {
        Self {
            catalogue,
            accounts: Mutex::default(),
        }
    }

    /// Logs the refusal `draft` soon, or counts it.
    pub fn log(&self, draft: Draft) {
        let uid = draft.actor.as_ref().map_or(u32::MAX, |who| who.uid);
        let now = Instant::now();
        let due = {
            let mut accounts = self.lock();
            let full = accounts.len() >= MOST && !accounts.contains_key(&uid);
            let key = if full { u32::MAX } else { uid };
            let account = accounts.entry(key).or_insert_with(|| Account::new(now));
            account.take(draft, now)
        };
        for draft in due {
            self.catalogue.log_later(draft);
        }
    }

    /// Logs what was left out of whoever may be logged again; to be called now and then.
    pub fn sweep(&self) {
        self.write_summaries(|account, now| {
            account.refill(now);
            account.left > 0
        });
    }

    /// Logs all that was left out: at the end.
    pub fn finish(&self) {
        self.write_summaries(|_, _| true);
    }

    fn write_summaries(&self, is_due: impl Fn(&mut Account, Instant) -> bool) {
        let now = Instant::now();
        let mut due = Vec::new();
        let mut accounts = self.lock();
        for account in accounts.values_mut() {
            if is_due(account, now)
                && let Some(summary) = account.summary()
            {
                account.left = account.left.saturating_sub(1);
                due.push(summary);
            }
        }
        accounts.retain(|_, account| !account.is_idle());
        drop(accounts);
        for draft in due {
            self.catalogue.log_later(draft);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u32, Account>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Event, Outcome};

    fn draft(at: i64) -> Draft {
        Draft::new(at, Event::RefusedWrite, Outcome::Refused)
    }

    #[test]
    fn a_flood_is_counted_and_none_is_lost() {
        let start = Instant::now();
        let mut account = Account::new(start);
        let logged: usize = (0..1000)
            .map(|at| account.take(draft(at), start).len())
            .sum();
        assert_eq!(logged, BURST as usize);
        let later = account.take(draft(1000), start + REFILL);
        assert_eq!(later.len(), 2, "what was left out, and this one");
        assert_eq!(
            later[0].facts["times"],
            (1000 - u64::from(BURST)).to_string()
        );
        assert_eq!((later[0].at, later[1].at), (999, 1000));
        assert!(account.take(draft(1001), start + REFILL).is_empty());
    }

    #[test]
    fn a_patient_account_is_always_logged() {
        let start = Instant::now();
        let mut account = Account::new(start);
        for n in 0..2 * BURST {
            assert_eq!(account.take(draft(0), start + n * REFILL).len(), 1);
        }
        account.refill(start + 10 * BURST * REFILL);
        assert!(account.is_idle());
    }
}
