//! tsuwaroku-capture: records calls from multi-channel ALSA cards into the spool.
//!
//! What lives here: the command line, going to the background, signals and the exit status. The way
//! of the audio:
//!
//! ```text
//! source (alsa) ─► device ─► worker ─► line (sample, level, floor, detect, tape) ─► keep ─► spool
//!                                       anchor: frames to UTC
//! ```
//! `daemon` is the main thread, `card` ties the threads of a card together. The decisions (`detect`,
//! `floor`, `anchor`, `offer`) are pure.

mod anchor;
mod card;
mod cli;
mod clock;
mod daemon;
mod detect;
mod device;
mod floor;
mod keep;
mod kept;
mod level;
mod line;
#[cfg(test)]
mod path_tests;
mod port;
mod sample;
mod samples;
mod source;
mod tape;
mod ulids;
mod worker;

use clap::Parser;
use cli::Arguments;
use daemonize::{Daemonize, Outcome, Stdio};
use source::Source;
use source::alsa::{self, Pcm};
use source::live::Live;
use source::offer::Wish;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::process::exit;
use tsuwaroku_config::{Config, EXIT_CONFIG};

fn main() {
    let arguments = Arguments::parse();
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    if arguments.list {
        exit(print(&alsa::list()).into());
    }
    let config = Config::load(&arguments.config).unwrap_or_else(|error| {
        eprintln!("{error}");
        exit(EXIT_CONFIG.into())
    });
    let status = if arguments.check {
        check(&config)
    } else if arguments.daemon {
        background(config, &arguments)
    } else {
        daemon::run(config, |_| {})
    };
    // Not a return: a device thread may hang in a read, and must not keep the process.
    exit(status.into())
}

/// Prints lines; whoever closes the pipe has seen enough.
fn print(lines: &[String]) -> u8 {
    let mut out = io::stdout().lock();
    for line in lines {
        if writeln!(out, "{line}").is_err() {
            break;
        }
    }
    0
}

/// Opens every card and says what came of it.
fn check(config: &Config) -> u8 {
    let mut status = 0;
    for pcm in config.pcms() {
        match Live::<Pcm>::open(&Wish::new(config, pcm)) {
            Ok(source) => drop(print(&[daemon::describe(source.params())])),
            Err(error) => {
                eprintln!("{error}");
                status = status.max(error.exit_status());
            }
        }
    }
    status
}

/// Records in a process of its own; this one waits for its start and exits with its status.
fn background(config: Config, arguments: &Arguments) -> u8 {
    let (reader, writer) = match io::pipe() {
        Ok(pipe) => pipe,
        Err(error) => return cannot(&error),
    };
    // Standard error stays: it is where the log goes.
    let mut daemonize = Daemonize::new().stderr(Stdio::keep());
    if let Some(path) = &arguments.pid_file {
        // The daemon's working directory is the root.
        daemonize = daemonize.pid_file(std::path::absolute(path).unwrap_or_else(|_| path.clone()));
    }
    match daemonize.execute() {
        Outcome::Parent(Ok(_)) => await_start(reader, writer),
        Outcome::Child(Ok(_)) => daemon::run(config, |status| tell_start(writer, status)),
        Outcome::Parent(Err(error)) => cannot(&error),
        Outcome::Child(Err(error)) => {
            tell_start(writer, daemon::EXIT_SOFTWARE);
            cannot(&error)
        }
    }
}

fn cannot(error: &dyn std::error::Error) -> u8 {
    log::error!("cannot go to the background: {error}; run it without --daemon");
    daemon::EXIT_SOFTWARE
}

/// The status that the daemon tells; a daemon that dies without a word has failed.
fn await_start(mut reader: PipeReader, writer: PipeWriter) -> u8 {
    drop(writer);
    let mut status = [daemon::EXIT_SOFTWARE];
    if let Err(error) = reader.read_exact(&mut status) {
        log::error!("the daemon ended before it had started: {error}");
    }
    status[0]
}

fn tell_start(mut writer: PipeWriter, status: u8) {
    // The parent may have been killed meanwhile; the daemon goes on.
    let _ = writer.write_all(&[status]);
}
