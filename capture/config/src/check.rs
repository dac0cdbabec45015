//! From the file as written to a configuration that keeps every rule. Finds all faults in one pass,
//! so that the operator mends the file once.

use crate::error::{ConfigError, Fault, line_of};
use crate::{
    Archive, Audit, Capture, Card, Channels, Config, Language, Line, Retention, Roles, Site,
    Trigger, Tz, file,
};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Spanned;

/// The highest channel of a card that a line may name: the most that snd-aloop or an RME card has,
/// with room; it catches a mistyped number.
const MOST_CHANNELS: u16 = 256;

/// Rates that some card is known to offer, Hz.
const RATES: std::ops::RangeInclusive<u32> = 4_000..=384_000;

pub(crate) fn check(path: &Path, text: &str, file: file::File) -> Result<Config, ConfigError> {
    let mut faults = Faults {
        text,
        list: Vec::new(),
    };
    let usual = Retention::default();
    let usual = retention(&file.retention, "retention", &usual, &mut faults);
    let lines = lines(file.line, &usual, &mut faults);
    let config = Config {
        path: path.to_owned(),
        site: site(file.site, &mut faults),
        lines,
        cards: cards(file.card, &mut faults),
        capture: capture(file.capture, &mut faults),
        archive: archive(file.archive, &mut faults),
        audit: audit(file.audit, &mut faults),
        retention: usual,
        roles: roles(file.roles, &mut faults),
    };
    wiring(&config, &mut faults);
    if faults.list.is_empty() {
        return Ok(config);
    }
    faults.list.sort_by_key(|fault| fault.line);
    Err(ConfigError {
        path: path.to_owned(),
        faults: faults.list,
    })
}

/// Faults found so far, and the text they are found in.
struct Faults<'a> {
    text: &'a str,
    list: Vec<Fault>,
}

impl Faults<'_> {
    fn add<T>(&mut self, at: &Spanned<T>, key: impl Into<String>, message: impl Into<String>) {
        let line = Some(line_of(self.text, &at.span()));
        self.list.push(Fault {
            line,
            key: key.into(),
            message: message.into(),
        });
    }

    fn add_whole(&mut self, key: &str, message: &str) {
        self.list.push(Fault {
            line: None,
            key: key.to_owned(),
            message: message.to_owned(),
        });
    }

    fn line<T>(&self, at: &Spanned<T>) -> usize {
        line_of(self.text, &at.span())
    }

    /// A text that people will read: not empty, without control characters.
    fn text(&mut self, value: Spanned<String>, key: impl Into<String>) -> String {
        if value.get_ref().trim().is_empty() {
            self.add(&value, key, "must not be empty");
        } else if value.get_ref().chars().any(char::is_control) {
            self.add(&value, key, "must not hold control characters");
        }
        value.into_inner()
    }

    /// A path that means the same whatever the directory a daemon is started in.
    fn path(&mut self, value: Option<Spanned<PathBuf>>, key: &str, default: &str) -> PathBuf {
        let Some(value) = value else {
            return default.into();
        };
        if !value.get_ref().is_absolute() {
            self.add(&value, key, "must be an absolute path, beginning with /");
        }
        value.into_inner()
    }

    fn number<T: Copy + PartialOrd + std::fmt::Display>(
        &mut self,
        value: Option<&Spanned<T>>,
        key: &str,
        default: T,
        range: std::ops::RangeInclusive<T>,
    ) -> T {
        let Some(value) = value else { return default };
        if !range.contains(value.get_ref()) {
            let message = format!(
                "{} is out of range: from {} to {}",
                value.get_ref(),
                range.start(),
                range.end()
            );
            self.add(value, key, message);
            return default;
        }
        *value.get_ref()
    }

    fn seconds(
        &mut self,
        value: Option<&Spanned<f64>>,
        key: &str,
        default: f64,
        range: std::ops::RangeInclusive<f64>,
    ) -> Duration {
        Duration::from_secs_f64(self.number(value, key, default, range))
    }
}

fn site(site: file::Site, faults: &mut Faults) -> Site {
    let time_zone = match site.time_zone {
        None => Tz::Asia__Tokyo,
        Some(zone) => zone.get_ref().parse().unwrap_or_else(|_| {
            let message = format!(
                "there is no time zone '{}'; write it as in 'Asia/Tokyo'",
                zone.get_ref().escape_default()
            );
            faults.add(&zone, "site.time_zone", message);
            Tz::Asia__Tokyo
        }),
    };
    Site {
        name: faults.text(site.name, "site.name"),
        time_zone,
    }
}

fn lines(lines: Vec<Spanned<file::Line>>, usual: &Retention, faults: &mut Faults) -> Vec<Line> {
    if lines.is_empty() {
        faults.add_whole(
            "line",
            "no line is designated: add a [[line]] for each number to record",
        );
    }
    let mut numbers: HashMap<String, usize> = HashMap::new();
    let mut checked = Vec::new();
    for (index, line) in lines.into_iter().enumerate() {
        let key = |name: &str| format!("line[{}].{name}", index + 1);
        let whole = Spanned::new(line.span(), ());
        let line = line.into_inner();
        number_is_writable(&line.number, &key("number"), faults);
        let at = faults.line(&line.number);
        if let Some(first) = numbers.insert(line.number.get_ref().clone(), at) {
            let message = format!(
                "{} is given twice: first on line {first}",
                line.number.get_ref()
            );
            faults.add(&line.number, key("number"), message);
        }
        let channels = channels(line.channel, line.channels, &whole, &key, faults);
        checked.push(Line {
            number: line.number.into_inner(),
            name: faults.text(line.name, key("name")),
            purpose: faults.text(line.purpose, key("purpose")),
            card: faults.text(line.card, key("card")),
            channels,
            reader_group: line
                .reader_group
                .map(|group| faults.text(group, key("reader_group"))),
            trigger: line.trigger.unwrap_or(Trigger::Level),
            retention: retention(&line.retention, &key("retention"), usual, faults),
        });
    }
    checked
}

/// A number becomes the name of a directory, so it holds what both telephones and paths allow.
fn number_is_writable(number: &Spanned<String>, key: &str, faults: &mut Faults) {
    let text = number.get_ref();
    let good = |c: char| c.is_ascii_digit() || c == '-' || c == '+';
    if text.is_empty() || text.len() > 32 || !text.chars().all(good) || text.starts_with('-') {
        let message = "must be a telephone number of digits and hyphens, at most 32 characters";
        faults.add(number, key, message);
    }
}

fn channels(
    mixed: Option<Spanned<u16>>,
    apart: Option<Spanned<file::Apart>>,
    line: &Spanned<()>,
    key: &impl Fn(&str) -> String,
    faults: &mut Faults,
) -> Channels {
    let in_range = |channel: u16| (1..=MOST_CHANNELS).contains(&channel);
    let range = format!("channels are counted from 1, at most {MOST_CHANNELS}");
    match (mixed, apart) {
        (Some(channel), None) => {
            if !in_range(*channel.get_ref()) {
                faults.add(&channel, key("channel"), range);
            }
            Channels::Mixed(channel.into_inner())
        }
        (None, Some(both)) => {
            let &file::Apart { caller, staff } = both.get_ref();
            if !in_range(caller) || !in_range(staff) {
                faults.add(&both, key("channels"), range);
            }
            Channels::Apart { caller, staff }
        }
        (None, None) => {
            let message = "is missing: 'channel = 1', or 'channels = { caller = 1, staff = 2 }'";
            faults.add(line, key("channel"), message);
            Channels::Mixed(0)
        }
        (Some(channel), Some(_)) => {
            faults.add(
                &channel,
                key("channel"),
                "give 'channel' or 'channels', not both",
            );
            Channels::Mixed(0)
        }
    }
}

fn cards(cards: Vec<Spanned<file::Card>>, faults: &mut Faults) -> Vec<Card> {
    let mut checked: Vec<Card> = Vec::new();
    for (index, card) in cards.into_iter().enumerate() {
        let key = |name: &str| format!("card[{}].{name}", index + 1);
        let card = card.into_inner();
        if checked.iter().any(|other| &other.pcm == card.pcm.get_ref()) {
            let message = format!("{} is given twice", card.pcm.get_ref());
            faults.add(&card.pcm, key("pcm"), message);
        }
        if let Some(channels) = &card.channels {
            faults.number(Some(channels), &key("channels"), 1, 1..=MOST_CHANNELS);
        }
        if let Some(rate) = &card.rate {
            faults.number(Some(rate), &key("rate"), 8000, RATES);
        }
        checked.push(Card {
            pcm: faults.text(card.pcm, key("pcm")),
            channels: card.channels.map(Spanned::into_inner),
            rate: card.rate.map(Spanned::into_inner),
            format: card.format,
        });
    }
    checked
}

/// Rules between lines and cards: a channel carries one line, a card's entry belongs to a line.
fn wiring(config: &Config, faults: &mut Faults) {
    let mut used: HashMap<(&str, u16), &str> = HashMap::new();
    for (index, line) in config.lines.iter().enumerate() {
        let mut channels = line.channels.list();
        channels.retain(|&channel| channel != 0);
        for channel in channels {
            if let Some(other) = used.insert((&line.card, channel), &line.number) {
                let key = format!("line[{}].channel", index + 1);
                let message = format!("channel {channel} of {} carries {other} already", line.card);
                let at = place(faults.text, "line", index);
                faults.list.push(Fault {
                    line: at,
                    key,
                    message,
                });
            }
        }
    }
    for (index, card) in config.cards.iter().enumerate() {
        if config.lines_of(&card.pcm).next().is_none() {
            let key = format!("card[{}].pcm", index + 1);
            let message = format!("no line is wired to {}", card.pcm);
            let at = place(faults.text, "card", index);
            faults.list.push(Fault {
                line: at,
                key,
                message,
            });
        }
    }
}

/// The line of the header of the `index`th `[[table]]`.
fn place(text: &str, table: &str, index: usize) -> Option<usize> {
    let header = format!("[[{table}]]");
    let mut headers = text
        .lines()
        .enumerate()
        .filter(|(_, line)| line.trim().starts_with(&header));
    headers.nth(index).map(|(line, _)| line + 1)
}

fn capture(capture: file::Capture, faults: &mut Faults) -> Capture {
    let spool = faults.path(capture.spool, "capture.spool", "/var/spool/tsuwaroku");
    let mut seconds = |value: &Option<Spanned<f64>>, key: &str, default, range| {
        faults.seconds(value.as_ref(), &format!("capture.{key}"), default, range)
    };
    let checked = Capture {
        spool,
        rate: 0,
        period: seconds(&capture.period_seconds, "period_seconds", 0.5, 0.01..=1.0),
        buffer: seconds(&capture.buffer_seconds, "buffer_seconds", 4.0, 0.1..=60.0),
        pre_roll: seconds(
            &capture.pre_roll_seconds,
            "pre_roll_seconds",
            2.0,
            0.0..=60.0,
        ),
        rise_time: seconds(&capture.rise_seconds, "rise_seconds", 0.1, 0.02..=2.0),
        hang_time: seconds(&capture.hang_seconds, "hang_seconds", 8.0, 0.5..=600.0),
        minimum_length: seconds(&capture.minimum_seconds, "minimum_seconds", 0.5, 0.0..=60.0),
        maximum_length: seconds(
            &capture.maximum_seconds,
            "maximum_seconds",
            10_800.0,
            10.0..=86_400.0,
        ),
        margin_db: 0.0,
        threshold_dbfs: 0.0,
    };
    if checked.buffer < checked.period * 2 {
        let message = "must hold at least two periods (capture.period_seconds)";
        match &capture.buffer_seconds {
            Some(at) => faults.add(at, "capture.buffer_seconds", message),
            None => faults.add_whole("capture.buffer_seconds", message),
        }
    }
    let rate = faults.number(capture.rate.as_ref(), "capture.rate", 8000, RATES);
    let margin = capture.margin_db.as_ref();
    let threshold = capture.threshold_dbfs.as_ref();
    Capture {
        rate,
        margin_db: faults.number(margin, "capture.margin_db", 10.0, 3.0..=40.0),
        threshold_dbfs: faults.number(threshold, "capture.threshold_dbfs", -50.0, -90.0..=-10.0),
        ..checked
    }
}

fn archive(archive: file::Archive, faults: &mut Faults) -> Archive {
    Archive {
        root: faults.path(archive.root, "archive.root", "/var/lib/tsuwaroku"),
        mount: faults.path(archive.mount, "archive.mount", "/srv/tsuwaroku"),
        socket: faults.path(
            archive.socket,
            "archive.socket",
            "/run/tsuwaroku/control.sock",
        ),
        master_key: archive
            .master_key
            .map(|path| faults.path(Some(path), "archive.master_key", "")),
        secondary: archive
            .secondary
            .map(|path| faults.path(Some(path), "archive.secondary", "")),
        move_rate: faults.number(
            archive.move_rate.as_ref(),
            "archive.move_rate",
            0,
            0..=10_000,
        ),
        recompress: archive.recompress.unwrap_or(false),
        scrub_days: faults.number(
            archive.scrub_days.as_ref(),
            "archive.scrub_days",
            30,
            0..=3650,
        ),
        names: archive.names.unwrap_or(Language::English),
    }
}

/// What `retention`, a table called `table`, changes of `usual`.
fn retention(
    retention: &file::Retention,
    table: &str,
    usual: &Retention,
    faults: &mut Faults,
) -> Retention {
    let mut count = |value: &Option<Spanned<u16>>, key: &str, usual, range| {
        faults.number(value.as_ref(), &format!("{table}.{key}"), usual, range)
    };
    let [primary, secondary] = [&retention.primary_months, &retention.secondary_months];
    let external = &retention.external_years;
    Retention {
        rule: retention.rule.unwrap_or(usual.rule),
        primary_months: count(primary, "primary_months", usual.primary_months, 1..=120),
        secondary_months: count(
            secondary,
            "secondary_months",
            usual.secondary_months,
            0..=120,
        ),
        external_years: count(external, "external_years", usual.external_years, 1..=100),
    }
}

fn audit(audit: file::Audit, faults: &mut Faults) -> Audit {
    let checkpoint = |(place, path)| {
        let key = format!("audit.checkpoints[{}]", place + 1);
        faults.path(Some(path), &key, "")
    };
    Audit {
        listings: audit.listings.unwrap_or(true),
        system_log: audit.system_log.unwrap_or(true),
        checkpoints: audit
            .checkpoints
            .into_iter()
            .enumerate()
            .map(checkpoint)
            .collect(),
    }
}

fn roles(roles: file::Roles, faults: &mut Faults) -> Roles {
    let mut holders = |entries: Vec<Spanned<String>>, key: &str| -> Vec<String> {
        let holder = |(place, entry): (usize, Spanned<String>)| {
            let key = format!("roles.{key}[{}]", place + 1);
            if entry.get_ref() == "@" {
                faults.add(&entry, key.as_str(), "names no group: write '@group'");
            }
            faults.text(entry, key)
        };
        entries.into_iter().enumerate().map(holder).collect()
    };
    Roles {
        administrators: holders(roles.administrators, "administrators"),
        information_security_officers: holders(
            roles.information_security_officers,
            "information_security_officers",
        ),
        device_managers: holders(roles.device_managers, "device_managers"),
        staff: holders(roles.staff, "staff"),
    }
}
