//! The words of the command line; those about the life of recordings are in [`life`].

pub mod life;

use super::moment::Moment;
use crate::audit::{Event, Outcome, VerifyingKey};
use crate::import::when::Pattern;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args as ClapArgs, Parser, Subcommand};
use life::{ApproveArgs, ClockVerb, DeclineArgs, EraseArgs, HoldVerb, ShowArgs, SweepArgs};
use std::path::PathBuf;
use ulid::Ulid;

/// The archive of recorded calls.
#[derive(Debug, Parser)]
#[command(name = "tsuwaroku", version, about, max_term_width = 100)]
pub struct Args {
    /// The configuration file
    #[arg(long, global = true, value_name = "FILE", env = "TSUWAROKU_CONFIG",
        default_value = tsuwaroku_config::DEFAULT_PATH)]
    pub config: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make an empty archive where the configuration says
    Init {
        /// Prepare only the second medium of the archive that is there
        #[arg(long)]
        secondary: bool,
    },
    /// Run the archive daemon: take calls from the spool, and mount the archive
    Serve,
    /// Show how the device is; exit status 1 if somebody has to look
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Find recordings, oldest first
    Find(FindArgs),
    /// Show what is known of a recording, or the certificate of its erasure
    Show(ShowArgs),
    /// Keep recordings from being erased
    #[command(subcommand)]
    Hold(HoldVerb),
    /// Ask that recordings be erased; somebody else has to approve it
    Erase(EraseArgs),
    /// List what was asked for and waits for an approval, of the lines that one may list
    Plans {
        /// List what was decided and done too
        #[arg(long)]
        all: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Approve what somebody else asked for, and have it done; exit status 1 if not all of it was
    Approve(ApproveArgs),
    /// Decline what somebody asked for
    Decline(DeclineArgs),
    /// Do now what is due: move and erase recordings by their age; exit status 1 if not all was done
    Sweep(SweepArgs),
    /// Look at the clock by which recordings are moved and erased, and confirm it after a jump
    #[command(subcommand)]
    Clock(ClockVerb),
    /// Re-read recordings and compare them with their digests; exit status 1 if something is wrong
    Verify(VerifyArgs),
    /// Take recordings of a former recorder into the archive; exit status 1 if a file was refused
    Import(ImportArgs),
    /// Read, verify and sign the audit log
    #[command(subcommand)]
    Audit(AuditVerb),
    /// Look at the keys, seal them anew, give the master key into escrow
    #[command(subcommand)]
    Keys(KeysVerb),
    /// Copy the catalogue, the audit log included, while the daemon runs or not; no key goes along
    Backup(BackupArgs),
    /// Put the catalogue of a backup on a machine that has the store, the master key and no catalogue
    Restore(RestoreArgs),
    /// Enter recordings into the catalogue again from their files in the store; the daemon must not run
    Rebuild {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Look at a file of the store
    #[command(subcommand)]
    Object(ObjectVerb),
    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigVerb),
}

/// What to find.
#[derive(Debug, ClapArgs)]
pub struct FindArgs {
    /// Only calls on this designated number
    #[arg(long)]
    pub number: Option<String>,
    /// Only calls from this day or time on: 2026-11-23 or 2026-11-23T10:15
    #[arg(long, value_name = "TIME")]
    pub from: Option<Moment>,
    /// Only calls up to this day, the day included, or before this time
    #[arg(long, value_name = "TIME")]
    pub to: Option<Moment>,
    /// Only calls with this other party: the number or its beginning
    #[arg(long, value_name = "NUMBER")]
    pub party: Option<String>,
    /// Only calls of at least this length
    #[arg(long, value_name = "SECONDS")]
    pub min: Option<f64>,
    /// Only calls of at most this length
    #[arg(long, value_name = "SECONDS")]
    pub max: Option<f64>,
    /// Show at most this many
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    pub limit: usize,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What to verify.
#[derive(Debug, ClapArgs)]
pub struct VerifyArgs {
    /// Only this recording
    #[arg(value_name = "ID", conflicts_with_all = ["day", "from", "to"])]
    pub recording: Option<Ulid>,
    /// Only recordings of this day
    #[arg(long, value_name = "DAY", conflicts_with_all = ["from", "to"])]
    pub day: Option<Moment>,
    /// Only recordings from this day or time on
    #[arg(long, value_name = "TIME")]
    pub from: Option<Moment>,
    /// Only recordings up to this day, the day included, or before this time
    #[arg(long, value_name = "TIME")]
    pub to: Option<Moment>,
    /// Only look whether every file is there and as long as it should be; fast, and reads nothing
    #[arg(long, conflicts_with_all = ["recording", "day", "from", "to"])]
    pub metadata: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What to import.
#[derive(Debug, ClapArgs)]
pub struct ImportArgs {
    /// The directory of WAV and FLAC files; links in it are not followed
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// The designated number that was recorded
    #[arg(long, value_name = "NUMBER")]
    pub line: String,
    /// How file names tell when the call began: '%Y%m%d-%H%M%S'; otherwise the file's header does
    #[arg(long, value_name = "PATTERN")]
    pub pattern: Option<Pattern>,
    /// Read and check everything, and say what would be done; write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What to do with the audit log.
#[derive(Debug, Subcommand)]
pub enum AuditVerb {
    /// Show records, newest first; that is logged too
    List(AuditListArgs),
    /// Compare the log with its signatures; exit status 1 if something is wrong
    Verify(AuditVerifyArgs),
    /// Have the log signed as it is now, and print what proves it
    Checkpoint {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Give the log a new signing key, and print the key that verifies it
    Rotate {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Which records to show.
#[derive(Debug, ClapArgs)]
pub struct AuditListArgs {
    /// Only what this account did: its name or its uid
    #[arg(long, value_name = "NAME|UID")]
    pub person: Option<String>,
    /// Only what is about this recording
    #[arg(long, value_name = "ID")]
    pub recording: Option<Ulid>,
    /// Only what is about this designated number
    #[arg(long)]
    pub number: Option<String>,
    /// Only this event, as tsuwaroku-audit(5) calls it
    #[arg(long, value_name = "WORD", hide_possible_values = true, value_parser = events())]
    pub event: Option<Event>,
    /// Only what ended like this
    #[arg(long, value_parser = results())]
    pub result: Option<Outcome>,
    /// Only records from this day or time on: 2026-11-23 or 2026-11-23T10:15
    #[arg(long, value_name = "TIME")]
    pub from: Option<Moment>,
    /// Only records up to this day, the day included, or before this time
    #[arg(long, value_name = "TIME")]
    pub to: Option<Moment>,
    /// Show at most this many
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    pub limit: u32,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What to compare the log with.
#[derive(Debug, ClapArgs)]
pub struct AuditVerifyArgs {
    /// Verify this copy of catalogue.sqlite, without the daemon and its configuration
    #[arg(long, value_name = "FILE")]
    pub database: Option<PathBuf>,
    /// A file of checkpoints that was kept outside of the device; may be given more than once
    #[arg(long, value_name = "FILE")]
    pub checkpoints: Vec<PathBuf>,
    /// The verification key that was kept on paper; may be given more than once
    #[arg(long = "key", value_name = "VKEY", value_parser = VerifyingKey::parse)]
    pub keys: Vec<VerifyingKey>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

fn events() -> impl TypedValueParser<Value = Event> {
    let words = Event::ALL.iter().map(|event| event.word());
    PossibleValuesParser::new(words)
        .try_map(|word| Event::of_word(&word).ok_or("there is no such event"))
}

fn results() -> impl TypedValueParser<Value = Outcome> {
    let words = Outcome::ALL.iter().map(|result| result.word());
    PossibleValuesParser::new(words)
        .try_map(|word| Outcome::of_word(&word).ok_or("there is no such result"))
}

/// Where to copy the catalogue.
#[derive(Debug, ClapArgs)]
pub struct BackupArgs {
    /// The directory in which a new one is made, named after the time
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What to put back.
#[derive(Debug, ClapArgs)]
pub struct RestoreArgs {
    /// The directory of one backup: DIR/2026-11-24T030000
    #[arg(value_name = "BACKUP")]
    pub place: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What to do with the keys.
#[derive(Debug, Subcommand)]
pub enum KeysVerb {
    /// Show the master key's fingerprint, and how many recordings each month's key seals
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Seal all keys anew, so that old copies of them open nothing
    Rotate {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Write the master key into a file, sealed to people each of whom can open it alone
    Escrow {
        /// Who: age1..., as age-keygen prints it; may be given more than once
        #[arg(long = "recipient", value_name = "AGE1...", required = true)]
        recipients: Vec<String>,
        /// The file, which must not exist
        file: PathBuf,
    },
    /// Open a sealed master key, and put it where the daemon looks for it
    Recover {
        /// The file that `keys escrow` has written
        file: PathBuf,
        /// The file with the identity of one of the recipients, as age-keygen has made it
        #[arg(long, value_name = "ID_FILE")]
        identity: PathBuf,
    },
}

/// What to do with a file of the store.
#[derive(Debug, Subcommand)]
pub enum ObjectVerb {
    /// Explain an object: its header, and, with the keys of the archive, what is sealed in it
    Dump {
        /// The file: ULID.tso
        file: PathBuf,
    },
}

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigVerb {
    /// Check the file; exit status 78 and one line a fault if it is not good
    Check,
    /// Print the table of designated numbers and the settings
    Show,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
