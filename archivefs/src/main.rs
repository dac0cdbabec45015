//! `tsuwaroku`: the archive daemon and its command.

use std::process::ExitCode;

fn main() -> ExitCode {
    tsuwaroku::cli::main()
}
