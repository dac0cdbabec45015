//! `tsuwaroku.toml`: the one configuration file, read by the capture daemon and the archive daemon.
//!
//! What lives here: the shape of the file, its defaults, and the rules a file must keep (a number is
//! given once, a channel is used once, …). What does not: anything that opens a card or a directory.
//! Both daemons call [`Config::load`] at start; `tsuwaroku config check` calls it for the operator.
//!
//! ```text
//! text ──parse──► file::File (as written, with places) ──check──► Config (true, complete)
//! ```

mod check;
mod error;
mod file;

pub use chrono_tz::Tz;
pub use error::{ConfigError, Fault};

use std::path::{Path, PathBuf};
use std::time::Duration;

/// The exit status for a faulty configuration: `EX_CONFIG` of sysexits.h.
pub const EXIT_CONFIG: u8 = 78;

/// Where both daemons look when no `--config` is given.
pub const DEFAULT_PATH: &str = "/etc/tsuwaroku/tsuwaroku.toml";

/// A configuration that keeps every rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file it was read from.
    pub path: PathBuf,
    /// The office.
    pub site: Site,
    /// The designated lines, in the order of the file: only these are recorded (R2.1).
    pub lines: Vec<Line>,
    /// What the file says of single cards, by PCM name; a card without an entry has the defaults.
    pub cards: Vec<Card>,
    /// Settings of the capture daemon.
    pub capture: Capture,
    /// Settings of the archive daemon.
    pub archive: Archive,
    /// What the audit log holds, and where its checkpoints go.
    pub audit: Audit,
    /// How long recordings are kept.
    pub retention: Retention,
    /// Who may do what.
    pub roles: Roles,
}

/// The office that runs the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Its name, as printed on tables and forms.
    pub name: String,
    /// The zone in which days begin and end, and times are shown.
    pub time_zone: Tz,
}

/// One designated dial-in number (a row of the table of R4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The dial-in number as people write it, `06-6458-1132`; the name of its directories.
    pub number: String,
    /// What the line is called.
    pub name: String,
    /// Why it is recorded.
    pub purpose: String,
    /// The PCM it is wired to, as ALSA names it: `hw:CARD=Lines`.
    pub card: String,
    /// The card's channel or channels that carry it.
    pub channels: Channels,
    /// The Unix group whose members may read its recordings.
    pub reader_group: Option<String>,
    /// What starts and ends a recording.
    pub trigger: Trigger,
    /// How long its recordings are kept. Default: as all are, [`Config::retention`].
    pub retention: Retention,
}

/// The channels of a card that carry one line, counted from 1 as on the connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channels {
    /// Both parties on one channel: a mono recording.
    Mixed(u16),
    /// The parties apart: a stereo recording, caller on the left.
    Apart {
        /// Channel of the calling party.
        caller: u16,
        /// Channel of the staff.
        staff: u16,
    },
}

impl Channels {
    /// The card's channels in the order of the recording's channels, counted from 1.
    pub fn list(self) -> Vec<u16> {
        match self {
            Self::Mixed(channel) => vec![channel],
            Self::Apart { caller, staff } => vec![caller, staff],
        }
    }
}

/// What starts and ends a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trigger {
    /// The sound level on the line.
    Level,
}

/// What is fixed for one card; anything left out is chosen when the card is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// The PCM's name, as in [`Line::card`].
    pub pcm: String,
    /// Channels to open it with; default: the fewest it offers that reach every line's channel.
    pub channels: Option<u16>,
    /// Frames a second, Hz; default: [`Capture::rate`].
    pub rate: Option<u32>,
    /// Sample format; default: the first it offers of the order of [`Format::ALL`].
    pub format: Option<Format>,
}

/// The sample formats the product records, named as ALSA names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[allow(non_camel_case_types)]
pub enum Format {
    /// 16 bits, signed, little-endian.
    S16_LE,
    /// 24 bits, signed, little-endian, in three bytes.
    S24_3LE,
    /// 24 bits, signed, little-endian, in the low bytes of four.
    S24_LE,
    /// 32 bits, signed, little-endian.
    S32_LE,
    /// 8-bit µ-law of ITU-T G.711.
    MU_LAW,
    /// 8-bit A-law of ITU-T G.711.
    A_LAW,
}

impl Format {
    /// Every format, the first choice first: a card that offers several is opened with the
    /// smallest linear one, because a telephone line holds no more.
    pub const ALL: [Self; 6] = [
        Self::S16_LE,
        Self::S24_3LE,
        Self::S24_LE,
        Self::S32_LE,
        Self::MU_LAW,
        Self::A_LAW,
    ];
}

/// Settings of the capture daemon.
#[derive(Debug, Clone, PartialEq)]
pub struct Capture {
    /// The spool directory, shared with the archive daemon.
    pub spool: PathBuf,
    /// Frames a second that cards are opened with, Hz. Default 8000.
    pub rate: u32,
    /// Time between two wake-ups of a device thread. Default 500 ms.
    pub period: Duration,
    /// Sound that the card holds while the daemon is late. Default 4 s.
    pub buffer: Duration,
    /// Sound kept from before the call was noticed. Default 2 s.
    pub pre_roll: Duration,
    /// How long the level must stay up before a call begins. Default 100 ms.
    pub rise_time: Duration,
    /// How long the level must stay down before a call ends. Default 8 s.
    pub hang_time: Duration,
    /// Talk shorter than this is a click, not a call, and is not kept. Default 500 ms.
    pub minimum_length: Duration,
    /// A recording that grows longer is continued in a new one, without a gap. Default 3 h.
    pub maximum_length: Duration,
    /// How far over the noise floor the level must rise, dB. Default 10.
    pub margin_db: f64,
    /// Level below which nothing is talk however quiet the line, dBFS. Default −50.
    pub threshold_dbfs: f64,
}

/// Settings of the archive daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// The primary tier and the catalogue. Default `/var/lib/tsuwaroku`.
    pub root: PathBuf,
    /// Where the file system is mounted. Default `/srv/tsuwaroku`.
    pub mount: PathBuf,
    /// The control service's socket. Default `/run/tsuwaroku/control.sock`.
    pub socket: PathBuf,
    /// The file of the master key. Default: the systemd credential `tsuwaroku-master-key` where
    /// there is one, else `/etc/tsuwaroku/master.key`.
    pub master_key: Option<PathBuf>,
    /// The secondary tier (R6.2). Default none: recordings stay in the primary one for both periods.
    pub secondary: Option<PathBuf>,
    /// How fast recordings are moved to the secondary tier at most, MB/s; 0, the default, for as fast
    /// as it goes.
    pub move_rate: u32,
    /// Whether a recording is compressed anew, slower and smaller, when it is moved. Default false.
    pub recompress: bool,
    /// Days within which every object is read once in the background; 0 turns it off. Default 30.
    pub scrub_days: u16,
    /// Language of the names of the top directories. Default English.
    pub names: Language,
}

/// The audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// Whether listing the recordings of a number is logged. Default true.
    pub listings: bool,
    /// Whether checkpoints go to the system log. Default true.
    pub system_log: bool,
    /// Files outside the device that checkpoints are appended to. Default none.
    pub checkpoints: Vec<PathBuf>,
}

/// A language that the product speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
pub enum Language {
    /// English.
    #[serde(rename = "en")]
    English,
    /// Japanese.
    #[serde(rename = "ja")]
    Japanese,
}

/// How long recordings are kept (R6.1–R6.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// From which day months are counted.
    pub rule: PeriodRule,
    /// Months in the primary tier. Default 6.
    pub primary_months: u16,
    /// Months in the secondary tier after that. Default 6.
    pub secondary_months: u16,
    /// Years on an external medium. Default 5.
    pub external_years: u16,
}

impl Default for Retention {
    /// What the office's rules say (R6.1, R6.2, R6.5).
    fn default() -> Self {
        Self {
            rule: PeriodRule::CivilCode,
            primary_months: 6,
            secondary_months: 6,
            external_years: 5,
        }
    }
}

/// From which day a period is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PeriodRule {
    /// From the day after the call (Civil Code, Art. 140 and 143).
    CivilCode,
    /// From 1 April of the next fiscal year.
    FiscalYear,
}

/// Who holds each role (R9.1): Unix accounts by name, or the members of a Unix group as `@group`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roles {
    /// 管理責任者: approves.
    pub administrators: Vec<String>,
    /// 情報セキュリティ担当者: reads and verifies the log.
    pub information_security_officers: Vec<String>,
    /// 通話録音装置管理責任者: runs the device.
    pub device_managers: Vec<String>,
    /// 職員: listen and file applications.
    pub staff: Vec<String>,
}

impl Config {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// The file cannot be read, or it has faults: all that can be found in one pass, each with its
    /// line and key. The caller prints the error and exits with [`EXIT_CONFIG`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|error| ConfigError::unreadable(path, &error))?;
        Self::parse(path, &text)
    }

    /// Reads and checks `text`, which came from the file at `path`.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let file = file::File::parse(path, text)?;
        check::check(path, text, file)
    }

    /// The PCMs that the lines are wired to, each once, in the order of the file.
    pub fn pcms(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for line in &self.lines {
            if !names.contains(&line.card.as_str()) {
                names.push(&line.card);
            }
        }
        names
    }

    /// The lines wired to the PCM called `pcm`.
    pub fn lines_of<'a>(&'a self, pcm: &'a str) -> impl Iterator<Item = &'a Line> {
        self.lines.iter().filter(move |line| line.card == pcm)
    }

    /// What the file fixes for the PCM called `pcm`: its entry, or one that fixes nothing.
    pub fn card(&self, pcm: &str) -> Card {
        self.cards
            .iter()
            .find(|card| card.pcm == pcm)
            .cloned()
            .unwrap_or_else(|| Card {
                pcm: pcm.to_owned(),
                channels: None,
                rate: None,
                format: None,
            })
    }
}
