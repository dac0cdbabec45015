//! The command line of tsuwaroku-capture, as tsuwaroku-capture(8) describes it.

use clap::Parser;
use std::path::PathBuf;
use tsuwaroku_config::DEFAULT_PATH;

/// Records calls from multi-channel ALSA cards into the spool.
#[derive(Debug, Parser)]
#[command(name = "tsuwaroku-capture", version, about, long_about = None)]
pub struct Arguments {
    /// The configuration file.
    #[arg(long, value_name = "PATH", env = "TSUWAROKU_CONFIG", default_value = DEFAULT_PATH)]
    pub config: PathBuf,

    /// Go to the background once recording has begun, for init systems that want it.
    #[arg(long)]
    pub daemon: bool,

    /// With --daemon: write the process id to this file, and keep it locked.
    #[arg(long, value_name = "PATH", requires = "daemon")]
    pub pid_file: Option<PathBuf>,

    /// List the cards and PCMs with what they offer, and exit. Needs no configuration.
    #[arg(long, conflicts_with_all = ["daemon", "check"])]
    pub list: bool,

    /// Open every card of the configuration, print what it was opened with, and exit.
    #[arg(long, conflicts_with = "daemon")]
    pub check: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    /// The options that the manual describes: the first word after `.B` or `.BI` under a `.TP`.
    fn described(manual: &str) -> Vec<&str> {
        let mut lines = manual.lines();
        let mut flags = Vec::new();
        while let Some(line) = lines.next() {
            let tag = if line == ".TP" {
                lines.next().unwrap_or_default()
            } else {
                continue;
            };
            flags.extend(
                tag.split_whitespace()
                    .nth(1)
                    .filter(|word| word.starts_with("--")),
            );
        }
        flags
    }

    #[test]
    fn the_manual_describes_every_flag_and_no_other() {
        let mut command = Arguments::command();
        command.build();
        let mut known: Vec<String> = command
            .get_arguments()
            .filter_map(clap::Arg::get_long)
            .map(|flag| format!("--{flag}"))
            .collect();
        known.sort();
        let mut described = described(include_str!("../../man/tsuwaroku-capture.8"));
        described.sort_unstable();
        assert_eq!(described, known);
    }
}
