//! The words about the life of recordings: holds, plans, sweeps, certificates, the clock.

use super::super::moment::Moment;
use crate::day::Day;
use clap::{Args as ClapArgs, Subcommand};
use ulid::Ulid;

/// What to do with holds.
#[derive(Debug, Subcommand)]
pub enum HoldVerb {
    /// Keep recordings from being erased: some by identity, or all that a search finds, now and later
    Add(HoldAddArgs),
    /// List the holds in force, of the lines that one may list
    List {
        /// List those that are over too
        #[arg(long)]
        all: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Ask that a hold be released; somebody else has to approve it
    Release {
        /// The hold: H3
        #[arg(value_name = "HOLD", value_parser = |text: &str| numbered('H', text))]
        hold: u32,
        /// Why
        #[arg(long, value_name = "TEXT")]
        ground: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// What to hold.
#[derive(Debug, ClapArgs)]
#[group(skip)]
pub struct HoldAddArgs {
    /// These recordings
    #[arg(value_name = "ID", required_unless_present_any = SEARCH, conflicts_with_all = SEARCH)]
    pub recordings: Vec<Ulid>,
    /// Calls on this designated number
    #[arg(long)]
    pub number: Option<String>,
    /// Calls from this day or time on: 2026-11-23 or 2026-11-23T10:15
    #[arg(long, value_name = "TIME")]
    pub from: Option<Moment>,
    /// Calls up to this day, the day included, or before this time
    #[arg(long, value_name = "TIME")]
    pub to: Option<Moment>,
    /// Calls with this other party: the number or its beginning
    #[arg(long, value_name = "NUMBER")]
    pub party: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub ground: String,
    /// The last day of the hold; without it the hold lasts until it is released
    #[arg(long, value_name = "DAY")]
    pub until: Option<Day>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What a hold may look for.
const SEARCH: [&str; 4] = ["number", "from", "to", "party"];

/// What to erase.
#[derive(Debug, ClapArgs)]
pub struct EraseArgs {
    /// The recordings
    #[arg(value_name = "ID", required = true)]
    pub recordings: Vec<Ulid>,
    /// Why; it is on the certificate of erasure, so name nobody who was recorded
    #[arg(long, value_name = "TEXT")]
    pub ground: String,
    /// The number of the application for erasure
    #[arg(long, value_name = "NUMBER")]
    pub application: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Which plan to approve.
#[derive(Debug, ClapArgs)]
pub struct ApproveArgs {
    /// The plan: P4
    #[arg(value_name = "PLAN", value_parser = |text: &str| numbered('P', text))]
    pub plan: u32,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Which plan to decline.
#[derive(Debug, ClapArgs)]
pub struct DeclineArgs {
    /// The plan: P4
    #[arg(value_name = "PLAN", value_parser = |text: &str| numbered('P', text))]
    pub plan: u32,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub ground: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// How to sweep.
#[derive(Debug, ClapArgs)]
pub struct SweepArgs {
    /// Show what would be done today, and why; do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What to show.
#[derive(Debug, ClapArgs)]
pub struct ShowArgs {
    /// The recording
    #[arg(value_name = "ID")]
    pub recording: Ulid,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What to do with the clock.
#[derive(Debug, Subcommand)]
pub enum ClockVerb {
    /// Show the clocks; exit status 1 if they have jumped, and nothing is moved or erased
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Say that the wall clock is right after it jumped; somebody else has to approve it
    Confirm {
        /// How that is known
        #[arg(long, value_name = "TEXT")]
        ground: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// The number in `H3` or `3`, where `letter` is `H`.
fn numbered(letter: char, text: &str) -> Result<u32, String> {
    let digits = text
        .strip_prefix([letter, letter.to_ascii_lowercase()])
        .unwrap_or(text);
    let number = digits.parse().ok().filter(|&number| number > 0);
    number.ok_or_else(|| format!("write it as {letter}3"))
}

#[cfg(test)]
mod tests {
    use super::super::{Args, Verb};
    use super::*;
    use clap::Parser;

    const ID: &str = "01KASPWCPRTSWAR0KV00000001";

    fn parse(words: &[&str]) -> Result<Verb, String> {
        let all = [&["tsuwaroku"], words].concat();
        let args = Args::try_parse_from(all).map_err(|error| error.to_string())?;
        Ok(args.verb)
    }

    #[test]
    fn a_number_is_written_with_its_letter_or_without() {
        assert_eq!(numbered('H', "H12"), Ok(12));
        assert_eq!(numbered('P', "p3"), Ok(3));
        assert_eq!(numbered('P', "3"), Ok(3));
        for wrong in ["P3", "H0", "H", "", "H-1", "HH1"] {
            assert!(numbered('H', wrong).is_err(), "{wrong}");
        }
    }

    /// A hold names recordings, or what to look for; one without either would hold everything.
    #[test]
    fn a_hold_names_recordings_or_a_search() {
        let good = [
            vec![ID],
            vec![ID, "01KASPWCPRTSWAR0KV00000002"],
            vec!["--number", "06-6458-1132"],
            vec!["--from", "2026-11-23", "--to", "2026-11-23T10:15"],
            vec!["--party", "0312345678", "--until", "2027-03-31"],
        ];
        let add = |words: &[&str]| parse(&[&["hold", "add", "--ground", "x"], words].concat());
        for words in good {
            let parsed = add(&words);
            assert!(
                matches!(parsed, Ok(Verb::Hold(HoldVerb::Add(_)))),
                "{parsed:?}"
            );
        }
        for words in [
            vec![],
            vec!["--until", "2027-03-31"],
            vec![ID, "--party", "03"],
            vec!["--number", "06-6458-1132", "--until", "tomorrow"],
        ] {
            assert!(add(&words).is_err(), "{words:?}");
        }
        assert!(parse(&["hold", "add", ID]).is_err(), "no ground");
    }

    #[test]
    fn what_is_decided_has_a_ground() {
        for words in [
            ["erase", ID].as_slice(),
            &["hold", "release", "H1"],
            &["decline", "P1"],
            &["clock", "confirm"],
        ] {
            assert!(parse(words).unwrap_err().contains("--ground"), "{words:?}");
            assert!(
                parse(&[words, &["--ground", "x"]].concat()).is_ok(),
                "{words:?}"
            );
        }
    }
}
