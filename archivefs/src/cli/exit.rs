//! The exit statuses of the command, and how a failure is told. Numbers from 64 are those of
//! sysexits.h. clap itself exits with 2 when the command line is wrong.

use super::audit::CopyError;
use super::import::ImportError;
use super::keeping::EscrowFailure;
use crate::backup::BackupError;
use crate::control::client::ClientError;
use crate::serve::ServeError;
use std::io;
use std::process::ExitCode;
use thiserror::Error;
use tsuwaroku_config::{ConfigError, EXIT_CONFIG};

/// The answer is there, and somebody has to act on it: damage was found, something is quarantined.
pub const ATTENTION: u8 = 1;
/// The daemon does not answer, or cannot start (`EX_UNAVAILABLE`).
pub const UNAVAILABLE: u8 = 69;
/// The daemon, or the program, met what it cannot handle (`EX_SOFTWARE`).
pub const SOFTWARE: u8 = 70;
/// Reading or writing failed (`EX_IOERR`).
pub const IO: u8 = 74;
/// The account may not do this (`EX_NOPERM`).
pub const NOT_ALLOWED: u8 = 77;

/// Why the command fails.
#[derive(Debug, Error)]
pub enum Failure {
    /// The configuration is faulty.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The daemon cannot serve.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The daemon does not answer as asked.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// An import does not begin, or breaks off.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// A sealed master key cannot be made, or does not open.
    #[error(transparent)]
    Escrow(#[from] EscrowFailure),
    /// A copy of the log, or a file of checkpoints, cannot be read.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// The daemon could not finish.
    #[error("it could not be finished: {0}; look into the daemon's log: journalctl -u tsuwaroku")]
    Incomplete(String),
    /// Reading or writing failed.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl Failure {
    /// Tells it on standard error, and gives the exit status. Whoever closes the pipe has seen enough:
    /// that is success.
    pub fn report(&self) -> ExitCode {
        if let Self::Io(error) = self
            && error.kind() == io::ErrorKind::BrokenPipe
        {
            return ExitCode::SUCCESS;
        }
        eprintln!("tsuwaroku: {self}");
        self.status().into()
    }

    pub(super) fn status(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Serve(ServeError::Setting { .. }) => EXIT_CONFIG,
            Self::Serve(ServeError::Backup(error)) => match error {
                BackupError::NotWhole { .. } | BackupError::Future(_) => ATTENTION,
                _ => IO,
            },
            Self::Serve(_) | Self::Client(ClientError::NoDaemon { .. }) => UNAVAILABLE,
            Self::Client(ClientError::Refused(problem)) => match problem.status {
                403 => NOT_ALLOWED,
                400..=499 => ATTENTION,
                _ => SOFTWARE,
            },
            Self::Client(ClientError::Garbled(_)) | Self::Incomplete(_) => SOFTWARE,
            Self::Import(error) => error.status(),
            Self::Copy(error) => error.status(),
            Self::Escrow(_) => ATTENTION,
            Self::Io(_) => IO,
        }
    }
}
