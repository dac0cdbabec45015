//! Identities of recordings, and times as the log shows them.

use chrono::{DateTime, SecondsFormat};
use ulid::Ulid;

/// A new identity: the time is `utc` (nanoseconds since 1970) in milliseconds, the rest is random,
/// from the system.
pub fn new(utc: i64) -> Ulid {
    let mut random = [0; 16];
    if let Err(error) = getrandom::fill(&mut random) {
        // Unique by time and process all the same: a call is not lost for want of randomness.
        log::error!("the system gives no random bytes ({error}); identities are less random");
        random[..4].copy_from_slice(&std::process::id().to_le_bytes());
    }
    let milliseconds = u64::try_from(utc / 1_000_000).unwrap_or_default();
    Ulid::from_parts(milliseconds, u128::from_le_bytes(random))
}

/// `utc` (nanoseconds since 1970) as RFC 3339 writes it, to the millisecond.
pub fn rfc3339(utc: i64) -> String {
    DateTime::from_timestamp_nanos(utc).to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_carries_the_start_and_is_new_each_time() {
        let (one, other) = (
            new(1_795_400_000_123_999_999),
            new(1_795_400_000_123_999_999),
        );
        assert_eq!(one.timestamp_ms(), 1_795_400_000_123);
        assert_ne!(one, other);
    }

    #[test]
    fn times_are_written_in_utc() {
        assert_eq!(
            rfc3339(1_795_400_000_120_000_000),
            "2026-11-23T02:13:20.120Z"
        );
    }
}
