//! Tables and sentences made from the service's answers, in the language of whoever reads them. Pure.

use super::text::{Speech, safe};
use crate::call::Direction;
use crate::control::api::Found;
use crate::keys::KeyStatus;
use crate::verify::{Finding, Problem, Progress};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};
use std::fmt::Write;
use tsuwaroku_config::{Channels, Config, PeriodRule};
use tsuwaroku_spool::record::EndReason;

/// That the configuration has no fault.
pub fn config_is_good(config: &Config, speech: Speech) -> String {
    let (path, lines, cards) = (
        config.path.display(),
        config.lines.len(),
        config.pcms().len(),
    );
    match speech {
        Speech::English => {
            let (lines, cards) = (
                count_of(lines as u64, "number"),
                count_of(cards as u64, "card"),
            );
            format!("{path}: good: {lines} on {cards}")
        }
        Speech::Japanese => format!("{path}: 正常です（番号 {lines} 件、カード {cards} 枚）"),
    }
}

/// The table of designated numbers (R4.1) and the settings that staff ask for.
pub fn config(config: &Config, speech: Speech) -> String {
    let mut table = table(&[
        speech.say("Number", "電話番号"),
        speech.say("Line", "名称"),
        speech.say("Purpose", "収集目的"),
        speech.say("Card", "カード"),
        speech.say("Channel", "チャンネル"),
        speech.say("Readers", "閲覧グループ"),
    ]);
    for line in &config.lines {
        let channels = match line.channels {
            Channels::Mixed(channel) => channel.to_string(),
            Channels::Apart { caller, staff } => format!("{caller}+{staff}"),
        };
        table.add_row([
            line.number.clone(),
            line.name.clone(),
            line.purpose.clone(),
            line.card.clone(),
            channels,
            line.reader_group.clone().unwrap_or_default(),
        ]);
    }
    let title = speech.say(
        "Numbers designated for recording",
        "通話録音の対象として指定する番号",
    );
    format!(
        "{}\n{title}\n{}\n{}",
        config.site.name,
        lines(&table),
        settings(config, speech)
    )
}

fn settings(config: &Config, speech: Speech) -> String {
    let retention = &config.retention;
    let months = |count: u16| match speech {
        Speech::English => format!("{count} months"),
        Speech::Japanese => format!("{count}か月"),
    };
    let years = match speech {
        Speech::English => format!("{} years", retention.external_years),
        Speech::Japanese => format!("{}年", retention.external_years),
    };
    let rule = match retention.rule {
        PeriodRule::CivilCode => speech.say("from the day after the call", "通話の翌日から起算"),
        PeriodRule::FiscalYear => speech.say(
            "from 1 April of the next fiscal year",
            "翌年度4月1日から起算",
        ),
    };
    let (archive, capture) = (&config.archive, &config.capture);
    facts(&[
        (
            speech.say("Time zone", "時間帯"),
            config.site.time_zone.to_string(),
        ),
        (
            speech.say("Kept in the device", "内蔵記憶装置"),
            months(retention.primary_months),
        ),
        (
            speech.say("then on a second medium", "その後の別記憶媒体"),
            months(retention.secondary_months),
        ),
        (speech.say("External media", "外部記憶媒体"), years),
        (speech.say("Periods count", "期間の起算"), rule.to_owned()),
        (
            speech.say("Archive", "保管庫"),
            archive.root.display().to_string(),
        ),
        (
            speech.say("Mounted at", "マウント先"),
            archive.mount.display().to_string(),
        ),
        (
            speech.say("Spool", "スプール"),
            capture.spool.display().to_string(),
        ),
    ])
}

/// The recordings that were found.
pub fn found(found: &[Found], more: bool, zone: Tz, speech: Speech) -> String {
    if found.is_empty() {
        return speech
            .say("No recordings.\n", "該当する録音はありません。\n")
            .to_owned();
    }
    let mut table = table(&[
        speech.say("Start", "開始"),
        speech.say("Length", "長さ"),
        speech.say("Number", "電話番号"),
        speech.say("Direction", "方向"),
        speech.say("Other party", "相手方"),
        speech.say("Remarks", "備考"),
        speech.say("File", "ファイル"),
    ]);
    table
        .column_mut(1)
        .expect("there are seven")
        .set_cell_alignment(CellAlignment::Right);
    for recording in found {
        table.add_row([
            local(recording.start, zone),
            length(recording.seconds),
            recording.number.clone(),
            direction(recording.direction, speech).to_owned(),
            recording
                .other_party
                .as_deref()
                .map(safe)
                .unwrap_or_default(),
            remarks(recording, speech),
            recording.path.clone(),
        ]);
    }
    let count = found.len();
    let end = match (more, speech) {
        (false, Speech::English) => format!("{}.", count_of(count as u64, "recording")),
        (false, Speech::Japanese) => format!("{count} 件。"),
        (true, Speech::English) => format!("The first {count}; more with --limit."),
        (true, Speech::Japanese) => format!("先頭の {count} 件。続きは --limit で。"),
    };
    format!("{}{end}\n", lines(&table))
}

/// Which way a call went; nothing where it is not known.
pub(super) fn direction(direction: Direction, speech: Speech) -> &'static str {
    match direction {
        Direction::In => speech.say("in", "着信"),
        Direction::Out => speech.say("out", "発信"),
        Direction::Unknown => "",
    }
}

fn remarks(recording: &Found, speech: Speech) -> String {
    let end = match recording.end {
        EndReason::Silence => "",
        EndReason::MaximumLength => speech.say("continued in the next", "次の録音へ続く"),
        EndReason::CardLost => speech.say("card lost", "カード切断"),
        EndReason::Shutdown => speech.say("recorder stopped", "録音停止"),
        EndReason::Truncated => speech.say("cut off", "中断"),
    };
    let gap = if recording.gap_seconds > 0.0 {
        format!(
            "{} {:.3} s",
            speech.say("lost", "欠落"),
            recording.gap_seconds
        )
    } else {
        String::new()
    };
    [end, &gap]
        .iter()
        .filter(|part| !part.is_empty())
        .copied()
        .collect::<Vec<_>>()
        .join(", ")
}

/// One thing that is wrong, and what can be done.
pub fn finding(finding: &Finding, speech: Speech) -> String {
    let what = match finding.problem {
        Problem::Missing => speech.say("missing", "欠落"),
        Problem::NoKey => speech.say("no key", "鍵なし"),
        Problem::Damaged => speech.say("damaged", "破損"),
        Problem::Exchanged => speech.say("exchanged", "すり替え"),
        Problem::Unreadable => speech.say("unreadable", "読取不能"),
        Problem::Orphan => speech.say("unknown file", "不明なファイル"),
    };
    let id = finding
        .recording
        .map(|id| format!("{id}: "))
        .unwrap_or_default();
    let (path, detail) = (safe(&finding.path), safe(&finding.detail));
    format!("{what}: {id}{path}: {detail}; {}", advice(finding, speech))
}

fn advice(finding: &Finding, speech: Speech) -> &'static str {
    if finding.repaired {
        return speech.say(
            "replaced by the good copy of another tier; check this disk",
            "別の記憶媒体の正常な複製で修復済み。このディスクを点検してください",
        );
    }
    match finding.problem {
        Problem::Missing | Problem::Damaged | Problem::Exchanged => speech.say(
            "restore this file from a backup of the store, and verify again",
            "保管庫のバックアップからこのファイルを復元し、再度検証してください",
        ),
        Problem::NoKey => speech.say(
            "restore the table of keys; without its key no copy of the recording can be read",
            "鍵の表を復元してください。鍵がなければ録音は読めません",
        ),
        Problem::Unreadable => speech.say(
            "check the disk (dmesg, smartctl), then verify again",
            "ディスクを点検し（dmesg、smartctl）、再度検証してください",
        ),
        Problem::Orphan => speech.say(
            "look what it is: nothing in the archive needs it, nothing removes it",
            "内容を確認してください。保管庫では使われておらず、自動では削除されません",
        ),
    }
}

/// How the keys are.
pub fn keys(keys: &KeyStatus, speech: Speech) -> String {
    let mut about = vec![
        (speech.say("Master key", "マスター鍵"), keys.master.clone()),
        (
            speech.say("Generation", "世代"),
            keys.generation.to_string(),
        ),
    ];
    for copy in &keys.copies {
        let trouble = copy.trouble.as_deref().map(|trouble| {
            let behind = speech.say("NOT UP TO DATE", "最新ではありません");
            format!(" ({behind}: {trouble})")
        });
        let copy = format!("{}{}", copy.place, trouble.unwrap_or_default());
        about.push((speech.say("Copy", "写し"), safe(&copy)));
    }
    let mut out = facts(&about);
    let mut table = table(&[
        speech.say("Month", "月"),
        speech.say("Recordings", "録音件数"),
    ]);
    for (epoch, recordings) in &keys.epochs {
        table.add_row([
            format!("{:04}-{:02}", epoch / 100, epoch % 100),
            recordings.to_string(),
        ]);
    }
    out.push_str(&lines(&table));
    out
}

/// The outcome of a verification.
pub fn verified(progress: Progress, findings: usize, speech: Speech) -> String {
    let told = looked_at(progress, findings, speech);
    match (progress.away, speech) {
        (0, _) => told,
        (away, Speech::English) => {
            let away = count_of(away, "recording");
            format!("{told}\n{away} NOT verified: the second medium is not there.")
        }
        (away, Speech::Japanese) => {
            format!("{told}\n{away} 件は検証していません。二次記憶媒体がありません。")
        }
    }
}

fn looked_at(progress: Progress, findings: usize, speech: Speech) -> String {
    let (checked, size) = (progress.checked, bytes(progress.bytes));
    match (findings, speech) {
        (0, Speech::English) => {
            format!(
                "{} verified, {size}: all good.",
                count_of(checked, "recording")
            )
        }
        (0, Speech::Japanese) => format!("{checked} 件（{size}）を検証しました。異常なし。"),
        (_, Speech::English) => {
            let (checked, found) = (
                count_of(checked, "recording"),
                count_of(findings as u64, "finding"),
            );
            format!("{checked} verified, {size}: {}.", found.to_uppercase())
        }
        (_, Speech::Japanese) => {
            format!("{checked} 件（{size}）を検証しました。異常 {findings} 件。")
        }
    }
}

/// An empty table with this `head`.
pub(super) fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    let line = LineStyle::none().fill('─').junction('─');
    table.load_style(TableStyle::new().header_separator(line));
    table.set_header(head.to_vec());
    table
}

/// Lines of a name and a value.
pub(super) fn facts(facts: &[(&str, String)]) -> String {
    let mut table = Table::new();
    table.load_style(TableStyle::new());
    for (name, value) in facts {
        table.add_row([*name, value]);
    }
    lines(&table)
}

/// The table without blanks at the ends of its lines.
pub(super) fn lines(table: &Table) -> String {
    table.lines().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{}", line.trim_end());
        text
    })
}

/// A time as the office's clocks show it.
pub(super) fn local(time: DateTime<Utc>, zone: Tz) -> String {
    time.with_timezone(&zone)
        .format("%Y-%m-%d %H:%M:%S")
        .to_string()
}

/// `1 recording`, `2 recordings`.
pub(super) fn count_of(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// `1:02:03` or `2:03`.
pub(super) fn length(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

/// `999 B`, `1.2 MB`: powers of ten, as disks are sold.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn lengths_and_sizes_read_well() {
        assert_eq!(length(3723.4), "1:02:03");
        assert_eq!(length(59.6), "1:00");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(999_960), "1.0 MB");
        assert_eq!(bytes(1_234_000), "1.2 MB");
        assert_eq!(bytes(u64::MAX), "18.4 EB");
    }

    /// R4.1: the table can be printed, in both languages, with each number, name and purpose.
    #[test]
    fn the_table_shows_every_number() {
        let sample = include_str!("../../../capture/config/tsuwaroku.toml");
        let config = Config::parse(Path::new("t"), sample).unwrap();
        for speech in [Speech::English, Speech::Japanese] {
            let table = super::config(&config, speech);
            for line in &config.lines {
                let row = table
                    .lines()
                    .find(|row| row.contains(&line.number))
                    .unwrap();
                assert!(
                    row.contains(&line.name) && row.contains(&line.purpose),
                    "{row}"
                );
            }
        }
    }
}
