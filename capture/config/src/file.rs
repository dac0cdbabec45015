//! The file as it is written: every key optional where it has a default, every value with its place
//! in the text where a later check may have to point at it. `check` turns it into a `Config`.

use crate::error::{ConfigError, Fault, line_of};
use crate::{Format, Language, PeriodRule, Trigger};
use serde::Deserialize;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use toml::Spanned;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    pub site: Site,
    #[serde(default)]
    pub line: Vec<Spanned<Line>>,
    #[serde(default)]
    pub card: Vec<Spanned<Card>>,
    #[serde(default)]
    pub capture: Capture,
    #[serde(default)]
    pub archive: Archive,
    #[serde(default)]
    pub audit: Audit,
    #[serde(default)]
    pub retention: Retention,
    #[serde(default)]
    pub roles: Roles,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Site {
    pub name: Spanned<String>,
    pub time_zone: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Line {
    pub number: Spanned<String>,
    pub name: Spanned<String>,
    pub purpose: Spanned<String>,
    pub card: Spanned<String>,
    pub channel: Option<Spanned<u16>>,
    pub channels: Option<Spanned<Apart>>,
    pub reader_group: Option<Spanned<String>>,
    pub trigger: Option<Trigger>,
    #[serde(default)]
    pub retention: Retention,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Apart {
    pub caller: u16,
    pub staff: u16,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Card {
    pub pcm: Spanned<String>,
    pub channels: Option<Spanned<u16>>,
    pub rate: Option<Spanned<u32>>,
    pub format: Option<Format>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Capture {
    pub spool: Option<Spanned<PathBuf>>,
    pub rate: Option<Spanned<u32>>,
    pub period_seconds: Option<Spanned<f64>>,
    pub buffer_seconds: Option<Spanned<f64>>,
    pub pre_roll_seconds: Option<Spanned<f64>>,
    pub rise_seconds: Option<Spanned<f64>>,
    pub hang_seconds: Option<Spanned<f64>>,
    pub minimum_seconds: Option<Spanned<f64>>,
    pub maximum_seconds: Option<Spanned<f64>>,
    pub margin_db: Option<Spanned<f64>>,
    pub threshold_dbfs: Option<Spanned<f64>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Archive {
    pub root: Option<Spanned<PathBuf>>,
    pub mount: Option<Spanned<PathBuf>>,
    pub socket: Option<Spanned<PathBuf>>,
    pub master_key: Option<Spanned<PathBuf>>,
    pub secondary: Option<Spanned<PathBuf>>,
    pub move_rate: Option<Spanned<u32>>,
    pub recompress: Option<bool>,
    pub scrub_days: Option<Spanned<u16>>,
    pub names: Option<Language>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Audit {
    pub listings: Option<bool>,
    pub system_log: Option<bool>,
    #[serde(default)]
    pub checkpoints: Vec<Spanned<PathBuf>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retention {
    pub rule: Option<PeriodRule>,
    pub primary_months: Option<Spanned<u16>>,
    pub secondary_months: Option<Spanned<u16>>,
    pub external_years: Option<Spanned<u16>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Roles {
    #[serde(default)]
    pub administrators: Vec<Spanned<String>>,
    #[serde(default)]
    pub information_security_officers: Vec<Spanned<String>>,
    #[serde(default)]
    pub device_managers: Vec<Spanned<String>>,
    #[serde(default)]
    pub staff: Vec<Spanned<String>>,
}

impl File {
    /// Parses `text`; unknown keys and wrong types are faults that name line and key.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let fault = |key: String, error: &toml::de::Error| {
            let line = error.span().map(|span| line_of(text, &span));
            ConfigError::one(
                path,
                Fault {
                    line,
                    key,
                    message: first_line(error.message()),
                },
            )
        };
        let document =
            toml::Deserializer::parse(text).map_err(|error| fault(String::new(), &error))?;
        serde_path_to_error::deserialize(document)
            .map_err(|error| fault(key_of(error.path()), error.inner()))
    }
}

/// The path as people count: list entries from 1, and without the places that `Spanned` adds.
fn key_of(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut key = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => {
                let _ = write!(key, "[{}]", index + 1);
            }
            Segment::Map { key: name } if name.starts_with("$__") => {}
            Segment::Map { key: name } | Segment::Enum { variant: name } => {
                if !key.is_empty() {
                    key.push('.');
                }
                key.push_str(name);
            }
            Segment::Unknown => {}
        }
    }
    key
}

fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().to_owned()
}
