//! The clocks. [`now`] is the wall clock, as the log writes it down; [`own`] is the archive's own time,
//! by which periods run; [`machine`] reads what both are made of.

pub mod machine;
pub mod own;

use chrono::Utc;

/// Nanoseconds since 1970, by the wall clock.
pub fn now() -> i64 {
    Utc::now().timestamp_nanos_opt().unwrap_or(i64::MAX)
}
