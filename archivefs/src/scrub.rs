//! The background scrub: every object is read once within a period, so that a disk that forgets is
//! found while another copy still exists. Slow on purpose: it spreads its reading over the period.

use crate::catalogue::{Catalogue, CatalogueError, Filter, Key};
use crate::findings::Findings;
use crate::vault::Vault;
use crate::verify::{Depth, check};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Recordings looked at between two notes of how far the scrub has come.
const PAGE: u32 = 100;
/// Longest rest: a small archive is read more often than it must be.
const LONGEST_REST: Duration = Duration::from_secs(3600);
/// Shortest sleep in which a stop is noticed.
const NAP: Duration = Duration::from_millis(500);

/// The scrub of an archive.
pub struct Scrub {
    /// The catalogue.
    pub catalogue: Arc<Catalogue>,
    /// The objects.
    pub vault: Vault,
    /// Where findings go.
    pub findings: Arc<Findings>,
    /// The time for reading everything once.
    pub period: Duration,
}

impl Scrub {
    /// Goes round and round until `stop`.
    pub fn run(&self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            if let Err(error) = self.round(stop) {
                log::error!("the scrub cannot go on: {error}");
            }
            rest(NAP, stop);
        }
    }

    /// From where it left off to the end of the archive.
    fn round(&self, stop: &AtomicBool) -> Result<(), CatalogueError> {
        let mut after = self.catalogue.scrubbed()?;
        loop {
            let total = self.catalogue.totals()?.stored_bytes;
            let page = self.catalogue.find(
                &Filter {
                    after,
                    ..Filter::default()
                },
                PAGE,
            )?;
            let Some(last) = page.last() else { break };
            for recording in &page {
                if self.vault.is_away(recording.tier, recording.id) {
                    continue;
                }
                // What was found wrong may have been wrong in what it decodes to.
                let open = self.findings.is_open(&self.vault, recording.id);
                let depth = if open { Depth::Verify } else { Depth::Scrub };
                let findings = check(&self.catalogue, &self.vault, recording, depth);
                if findings.is_empty() {
                    self.findings.clear_recording(&self.vault, recording.id);
                }
                for finding in &findings {
                    self.findings.enter(finding);
                }
                let pause = rest_after(recording.sealed.stored_bytes, total, self.period);
                if !rest(pause, stop) {
                    return Ok(());
                }
            }
            after = Some(last.key);
            self.note(after)?;
        }
        self.note(None)?;
        self.findings.clear_vanished();
        rest(LONGEST_REST.min(self.period), stop);
        Ok(())
    }

    fn note(&self, up_to: Option<Key>) -> Result<(), CatalogueError> {
        self.catalogue.set_scrubbed(up_to)
    }
}

/// How long to rest after reading `bytes` of `total`, so that all are read within `period`.
fn rest_after(bytes: u64, total: u64, period: Duration) -> Duration {
    let share = bytes as f64 / total.max(bytes).max(1) as f64;
    period.mul_f64(share).min(LONGEST_REST)
}

/// Rests, and answers whether to go on.
fn rest(length: Duration, stop: &AtomicBool) -> bool {
    let mut left = length;
    while !stop.load(Ordering::Relaxed) && !left.is_zero() {
        let nap = left.min(NAP);
        std::thread::sleep(nap);
        left -= nap;
    }
    !stop.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_read_within_the_period() {
        let period = Duration::from_secs(30 * 86_400);
        let total = 40_000_000_000;
        let objects = 20_000;
        let rests = (0..objects).map(|_| rest_after(total / objects, total, period));
        let sum: Duration = rests.sum();
        assert!(sum <= period && sum > period.mul_f64(0.99), "{sum:?}");
        assert_eq!(rest_after(5, 5, period), LONGEST_REST);
        assert_eq!(rest_after(0, 0, period), Duration::ZERO);
    }
}
