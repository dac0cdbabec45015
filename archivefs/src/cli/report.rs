//! Tables and sentences made from the service's answers, in the language of whoever reads them. Pure.

use super::text::{Speech, safe};
use crate::call::Direction;
use crate::control::api::log::LogStatus;
use crate::control::api::{Found, Status};
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

/// How the device is.
pub fn status(status: &Status, zone: Tz, speech: Speech) -> String {
    let good = if status.needs_attention() {
        speech.say("SOMEBODY HAS TO LOOK, see below", "要確認（下記）")
    } else {
        speech.say("good", "正常")
    };
    let mount = if status.mounted {
        status.mount.clone()
    } else {
        format!(
            "{} {}",
            status.mount,
            speech.say("(NOT MOUNTED)", "（マウントされていません）")
        )
    };
    let stored = format!(
        "{} ({} {})",
        bytes(status.stored_bytes),
        speech.say("of WAV:", "WAV では"),
        bytes(status.wav_bytes)
    );
    let mut out = facts(&[
        (speech.say("Device", "装置"), good.to_owned()),
        (speech.say("Archive", "保管庫"), status.archive.to_string()),
        (speech.say("Mounted at", "マウント先"), mount),
        (
            speech.say("Recordings", "録音件数"),
            status.recordings.to_string(),
        ),
        (speech.say("Length", "合計時間"), length(status.seconds)),
        (speech.say("Stored", "使用容量"), stored),
        (speech.say("Free", "空き容量"), bytes(status.free_bytes)),
        (
            speech.say("Newest", "最新の録音"),
            status
                .newest
                .map_or_else(|| "-".into(), |time| local(time, zone)),
        ),
        (
            speech.say("Waiting in the spool", "取込待ち"),
            status.waiting.to_string(),
        ),
        (
            speech.say("Quarantined", "隔離"),
            status.quarantined.len().to_string(),
        ),
        (
            speech.say("Findings", "異常"),
            status.findings.len().to_string(),
        ),
        (
            speech.say("Audit log", "監査記録簿"),
            log(&status.log, zone, speech),
        ),
        (
            speech.say("Running since", "稼働開始"),
            local(status.since, zone),
        ),
        (speech.say("Version", "版"), status.version.clone()),
    ]);
    if let Some(trouble) = &status.trouble {
        let head = speech.say("Calls cannot be archived", "録音を保管できません");
        let _ = writeln!(
            out,
            "\n{head} ({}): {}",
            local(trouble.at, zone),
            safe(&trouble.reason)
        );
    }
    if let Some(reason) = &status.log.unwritten {
        let head = speech.say(
            "Nothing can be logged, so nobody may listen",
            "操作を記録できないため、録音は開けません",
        );
        let _ = writeln!(out, "\n{head}: {}", safe(reason));
    }
    out.push_str(&no_checkpoints(&status.log, speech));
    if !status.findings.is_empty() {
        out.push('\n');
        for found in &status.findings {
            let _ = writeln!(out, "{}", finding(found, speech));
        }
    }
    if !status.quarantined.is_empty() {
        out.push('\n');
        out.push_str(&quarantined(status, zone, speech));
    }
    out
}

/// How many records the audit log has, and what has been signed of them.
fn log(log: &LogStatus, zone: Tz, speech: Speech) -> String {
    let records = match speech {
        Speech::English => count_of(log.records, "record"),
        Speech::Japanese => format!("{} 件", log.records),
    };
    let signed = match (&log.checkpoint, speech) {
        (Some(last), Speech::English) => {
            format!("checkpoint of {} at {}", last.records, local(last.at, zone))
        }
        (Some(last), Speech::Japanese) => format!(
            "チェックポイント {} 件まで {}",
            last.records,
            local(last.at, zone)
        ),
        (None, _) => speech
            .say("no checkpoint yet", "チェックポイント未発行")
            .to_owned(),
    };
    format!("{records}{}{signed}", speech.say(", ", "、"))
}

/// The outside files that get no checkpoints, and what to do.
fn no_checkpoints(log: &LogStatus, speech: Speech) -> String {
    log.troubles.iter().fold(String::new(), |mut text, trouble| {
        let (file, reason) = (safe(&trouble.file), safe(&trouble.reason));
        let _ = match speech {
            Speech::English => writeln!(
                text,
                "\nNo checkpoints of the audit log can be kept in {file}: {reason}; mend its place, \
                 and it gets what it missed"
            ),
            Speech::Japanese => writeln!(
                text,
                "\n監査記録簿のチェックポイントを {file} に書けません: {reason}。書けるようになれば、\
                 未記入の分も書き込まれます"
            ),
        };
        text
    })
}

fn quarantined(status: &Status, zone: Tz, speech: Speech) -> String {
    let mut table = table(&[
        speech.say("Quarantined", "隔離"),
        speech.say("Since", "日時"),
        speech.say("Bytes", "バイト"),
        speech.say("Reason", "理由"),
    ]);
    for entry in &status.quarantined {
        table.add_row([
            safe(&entry.name),
            local(entry.since, zone),
            entry.bytes.to_string(),
            safe(&entry.reason),
        ]);
    }
    lines(&table)
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

fn direction(direction: Direction, speech: Speech) -> &'static str {
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
    let mut out = facts(&[(speech.say("Master key", "マスター鍵"), keys.master.clone())]);
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
fn facts(facts: &[(&str, String)]) -> String {
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
fn bytes(bytes: u64) -> String {
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
