//! The wall clock, as the log writes it down.

use chrono::Utc;

/// Nanoseconds since 1970, by the wall clock.
pub fn now() -> i64 {
    Utc::now().timestamp_nanos_opt().unwrap_or(i64::MAX)
}
