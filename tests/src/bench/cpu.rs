//! CPU time: what a noisy machine disturbs least. Seconds.

use nix::sys::resource::{UsageWho, getrusage};
use nix::time::ClockId;
use nix::unistd::Pid;
use std::io;
use std::process::Command;
use std::time::Duration;

/// What `work` gives, and the CPU time that this thread took for it.
///
/// # Errors
/// Those of `work`.
///
/// # Panics
/// The system has no such clock; Linux has.
pub fn of_thread<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<(T, f64)> {
    let now = || now(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("Linux has a clock for each thread");
    let begun = now();
    let done = work()?;
    Ok((done, now() - begun))
}

/// CPU time of `command` and its children, run to its end; this process must have no other child
/// that ends meanwhile.
///
/// # Errors
/// It cannot be started, or fails.
pub fn of_command(command: &mut Command) -> io::Result<f64> {
    let begun = of_children()?;
    let status = command
        .status()
        .map_err(|error| named(command, &error.to_string()))?;
    if !status.success() {
        return Err(named(command, &status.to_string()));
    }
    Ok(of_children()? - begun)
}

fn named(command: &Command, what: &str) -> io::Error {
    io::Error::other(format!("{}: {what}", command.get_program().display()))
}

fn of_children() -> io::Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let seconds =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}

/// CPU time that the running process `pid` has taken so far, all its threads together.
///
/// # Errors
/// There is no such process.
pub fn of_process(pid: u32) -> io::Result<f64> {
    now(ClockId::pid_cpu_clock_id(Pid::from_raw(pid as i32))?)
}

fn now(clock: ClockId) -> io::Result<f64> {
    Ok(Duration::from(clock.now()?).as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_time_and_an_unknown_program_is_named() {
        let work = || Ok((0..3_000_000_u64).map(std::hint::black_box).sum::<u64>());
        let (sum, seconds) = of_thread(work).unwrap();
        assert!(sum > 0 && seconds > 0.0);
        assert!(of_command(Command::new("sh").args(["-c", ":"])).unwrap() >= 0.0);
        let error = of_command(&mut Command::new("no-such-program")).unwrap_err();
        assert!(error.to_string().contains("no-such-program"), "{error}");
        assert!(of_command(&mut Command::new("false")).is_err());
    }
}
