//! The machine's clocks, read. The only unsafe code of the archive: no crate that is kept up asks the
//! kernel whether its clock is disciplined.
//!
//! SAFETY: `timex` is a C structure of integers, for which zeros are values. With no mode set the kernel
//! changes no clock, and writes nothing but the structure that it is given (adjtimex(2)).
#![allow(unsafe_code)]

use super::now;
use super::own::Reading;
use nix::time::{ClockId, clock_gettime};
use std::io;

/// Which start of the machine this is (`random(4)`).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// What the machine's clocks show now.
///
/// # Errors
/// There is no `/proc`.
pub fn reading() -> io::Result<Reading> {
    let boot = clock_gettime(ClockId::CLOCK_BOOTTIME)?;
    Ok(Reading {
        wall: now(),
        boot: boot.tv_sec() * 1_000_000_000 + boot.tv_nsec(),
        boot_id: std::fs::read_to_string(BOOT_ID)?.trim().to_owned(),
        synchronised: is_synchronised(),
    })
}

/// Whether the wall clock is disciplined by another one. Where that cannot be asked, it is not.
fn is_synchronised() -> bool {
    let mut status: libc::timex = unsafe { std::mem::zeroed() };
    let state = unsafe { libc::adjtimex(&raw mut status) };
    state >= 0 && state != libc::TIME_ERROR
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_time_goes_on() {
        let (first, second) = (reading().unwrap(), reading().unwrap());
        assert_eq!(first.boot_id, second.boot_id);
        assert!(first.boot_id.len() >= 32 && first.boot > 0);
        assert!(second.boot >= first.boot);
    }
}
