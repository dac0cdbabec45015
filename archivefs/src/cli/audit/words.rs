//! What the verbs of the audit log tell: tables and sentences. Pure.

use super::super::report::{count_of, lines, local, table};
use super::super::text::{Speech, safe};
use crate::audit::{Event, Outcome};
use crate::control::api::log::{LogCheckpoint, LogRecord, LogRotated, LogVerified};
use chrono_tz::Tz;
use comfy_table::CellAlignment;
use std::fmt::Write;

/// A table of `records`, newest first, and how many there are.
pub(super) fn records(records: &[LogRecord], more: bool, zone: Tz, speech: Speech) -> String {
    if records.is_empty() {
        return speech
            .say("No records.\n", "該当する記録はありません。\n")
            .to_owned();
    }
    let mut table = table(&[
        speech.say("Record", "記録"),
        speech.say("Time", "日時"),
        speech.say("Who", "操作者"),
        speech.say("Event", "操作"),
        speech.say("Result", "結果"),
        speech.say("Number", "電話番号"),
        speech.say("Recording", "録音"),
        speech.say("Details", "詳細"),
    ]);
    table
        .column_mut(0)
        .expect("there are eight")
        .set_cell_alignment(CellAlignment::Right);
    for record in records {
        table.add_row(row(record, zone, speech));
    }
    let count = records.len();
    let end = match (more, speech) {
        (false, Speech::English) => format!("{}.", count_of(count as u64, "record")),
        (false, Speech::Japanese) => format!("{count} 件。"),
        (true, Speech::English) => {
            format!("The newest {count}; older ones with --to or a greater --limit.")
        }
        (true, Speech::Japanese) => {
            format!("新しい順に {count} 件。それより古いものは --to か、より大きい --limit で。")
        }
    };
    format!("{}{end}\n", lines(&table))
}

fn row(record: &LogRecord, zone: Tz, speech: Speech) -> [String; 8] {
    let archive = speech.say("(device)", "（装置）");
    let unknown = || "?".to_owned();
    let readable = record.event.is_some();
    let who = record.actor.as_ref().map(|who| safe(&who.name));
    [
        record.seq.to_string(),
        record.at.map_or_else(unknown, |at| local(at, zone)),
        who.unwrap_or_else(|| if readable { archive.into() } else { unknown() }),
        record.event.map_or_else(
            || speech.say("UNREADABLE", "読取不能").to_owned(),
            |event| event_name(event, speech).to_owned(),
        ),
        record
            .result
            .map_or_else(unknown, |result| result_name(result, speech).to_owned()),
        record.number.as_deref().map(safe).unwrap_or_default(),
        record
            .recording
            .map(|id| id.to_string())
            .unwrap_or_default(),
        details(record, speech),
    ]
}

/// What a record says beyond the columns, what is wrong with it first.
fn details(record: &LogRecord, speech: Speech) -> String {
    let named = |(name, value): (&String, &String)| format!("{name}: {value}");
    let trouble = record.trouble.iter().map(|trouble| {
        let advice = speech.say(
            "run tsuwaroku audit verify",
            "tsuwaroku audit verify で検証",
        );
        format!("{trouble} ({advice})")
    });
    let application = record.application.iter();
    let application = application.map(|it| named((&speech.say("application", "申請").into(), it)));
    let exe = record.actor.iter().filter_map(|who| who.exe.as_ref());
    let erased = record
        .erased
        .then(|| speech.say("(erased)", "（消去済み）").to_owned());
    let parts: Vec<String> = trouble
        .chain(application)
        .chain(record.facts.iter().map(named))
        .chain(record.private.iter().map(named))
        .chain(erased)
        .chain(exe.map(|exe| named((&"exe".into(), exe))))
        .collect();
    safe(&parts.join(", "))
}

fn result_name(result: Outcome, speech: Speech) -> &'static str {
    match result {
        Outcome::Done => speech.say("done", "済"),
        Outcome::Refused => speech.say("REFUSED", "拒否"),
        Outcome::Failed => speech.say("FAILED", "失敗"),
    }
}

/// The event for people: in English its own word, by which `--event` asks for it.
fn event_name(event: Event, speech: Speech) -> &'static str {
    speech.say(event.word(), japanese(event))
}

fn japanese(event: Event) -> &'static str {
    match event {
        Event::LogBegun => "記録簿の開始",
        Event::LogKey => "署名鍵の変更",
        Event::Started => "起動",
        Event::Stopped => "停止",
        Event::Open => "再生開始",
        Event::Release => "再生終了",
        Event::List => "一覧表示",
        Event::RefusedWrite => "変更の拒否",
        Event::ReadFailed => "読取失敗",
        Event::Find => "検索",
        Event::Control => "装置の操作",
        Event::Archived => "保管",
        Event::Imported => "取込み",
        Event::Quarantined => "隔離",
        Event::Designated => "番号の指定",
        Event::Undesignated => "番号の指定解除",
        Event::Moved => "移動",
        Event::Erased => "消去",
        Event::PrivateErased => "個人情報の消去",
        Event::Held => "消去の停止",
        Event::HoldReleased => "消去停止の解除",
        Event::Filed => "申請",
        Event::Approved => "承認",
        Event::Declined => "却下",
        Event::Saved => "外部保存",
        Event::Medium => "媒体",
        Event::Reported => "報告",
        Event::Clock => "時計",
        Event::Finding => "異常",
        Event::Mended => "異常の解消",
        Event::LogRead => "記録簿の閲覧",
        Event::LogVerified => "記録簿の検証",
        Event::CheckpointFailed => "外部記録の失敗",
        Event::Keys => "鍵",
        Event::BackedUp => "バックアップ",
        Event::Restored => "復元",
        Event::Rebuilt => "目録の再構築",
    }
}

/// The outcome of a verification, of which `shown` findings have been told.
pub(super) fn verified(verified: &LogVerified, shown: usize, speech: Speech) -> String {
    let mut text = outcome(verified, speech);
    let hidden = verified.findings.saturating_sub(shown as u64);
    let remarks = [
        (hidden > 0).then(|| match speech {
            Speech::English => format!("{hidden} more findings are not shown."),
            Speech::Japanese => format!("ほかに {hidden} 件の異常があります（省略）。"),
        }),
        Some(proof(verified, speech)),
        (verified.unchecked > 0).then(|| unchecked(verified.unchecked, speech)),
        (verified.outside == 0).then(|| {
            let english = "No checkpoint from outside of the device confirms it: whoever has the \
                           daemon's key could have written it anew (--checkpoints).";
            let japanese = "装置の外のチェックポイントによる裏付けはありません。署名鍵を持つ者による\
                            書き直しは検出できません（--checkpoints）。";
            speech.say(english, japanese).to_owned()
        }),
        (verified.erased > 0).then(|| match speech {
            Speech::English => format!(
                "Beside {} something private has been erased, which is no damage.",
                count_of(verified.erased, "record")
            ),
            Speech::Japanese => format!(
                "{} 件の記録では付随する個人情報が消去されています（異常ではありません）。",
                verified.erased
            ),
        }),
        key(verified, speech),
    ];
    for remark in remarks.into_iter().flatten() {
        let _ = writeln!(text, "{remark}");
    }
    text
}

fn outcome(verified: &LogVerified, speech: Speech) -> String {
    let (records, findings) = (verified.records, verified.findings);
    match (findings, speech) {
        (0, Speech::English) => {
            format!("{} verified: all good.\n", count_of(records, "record"))
        }
        (0, Speech::Japanese) => format!("{records} 件の記録を検証しました。異常なし。\n"),
        (_, Speech::English) => format!(
            "{} verified: {}.\n",
            count_of(records, "record"),
            count_of(findings, "finding").to_uppercase()
        ),
        (_, Speech::Japanese) => {
            format!("{records} 件の記録を検証しました。異常 {findings} 件。\n")
        }
    }
}

fn proof(verified: &LogVerified, speech: Speech) -> String {
    let (confirmed, agreeing) = (verified.confirmed, verified.agreeing);
    let outside = verified.outside;
    match (confirmed, speech) {
        (0, Speech::English) => "No signature proves anything of this log.".into(),
        (0, Speech::Japanese) => "この記録簿を証明する署名はありません。".into(),
        (_, Speech::English) => format!(
            "Signed up to record {confirmed}; {} with the records, {outside} of them from outside.",
            match agreeing {
                1 => "1 checkpoint agrees".into(),
                _ => format!("{agreeing} checkpoints agree"),
            }
        ),
        (_, Speech::Japanese) => format!(
            "記録 {confirmed} までの署名を確認しました。一致したチェックポイント {agreeing} 件\
             （うち外部 {outside} 件）。"
        ),
    }
}

fn unchecked(count: u64, speech: Speech) -> String {
    match speech {
        Speech::English => format!(
            "{} could not be compared, because of what was found.",
            count_of(count, "checkpoint")
        ),
        Speech::Japanese => {
            format!("異常のため、チェックポイント {count} 件は照合できませんでした。")
        }
    }
}

fn key(verified: &LogVerified, speech: Speech) -> Option<String> {
    let key = safe(verified.key.as_deref()?);
    let trust = match (verified.key_given, speech) {
        (true, _) => String::new(),
        (false, Speech::English) => {
            "\nThis key was taken from the log itself. Compare it with the \
                                     one on paper, or give that one: --key"
                .into()
        }
        (false, Speech::Japanese) => "\nこの鍵は記録簿自身から得たものです。紙で保管している鍵と\
                                      比べるか、--key で指定してください。"
            .into(),
    };
    let name = speech.say("Verification key:", "検証鍵：");
    Some(format!("{name} {key}{trust}"))
}

/// A checkpoint to be taken along, on paper or on a stick: the note last and by itself, so that
/// whatever stands before is no part of it.
pub(super) fn checkpoint(issued: &LogCheckpoint, zone: Tz, speech: Speech) -> String {
    let at = local(issued.at, zone);
    let records = issued.records;
    let said = match speech {
        Speech::English => format!(
            "# {at}: the audit log has {}, signed below.\n# Keep this where nobody who runs the \
             device can change it.\n# Verification key: ",
            count_of(records, "record")
        ),
        Speech::Japanese => format!(
            "# {at}：監査記録簿は {records} 件。以下に署名を示します。\n# 装置の管理者が変更できない\
             場所に保管してください。\n# 検証鍵： "
        ),
    };
    format!("{said}{}\n\n{}", safe(&issued.key), issued.note)
}

/// That the log has a new key.
pub(super) fn rotated(rotated: &LogRotated, speech: Speech) -> String {
    let (record, key) = (rotated.record, safe(&rotated.key));
    match speech {
        Speech::English => format!(
            "The audit log has a new key, as record {record} says; the key before has signed for \
             it.\nVerification key from now on: {key}\nPrint it, and keep it with the one before, \
             which verifies the records up to there.\n"
        ),
        Speech::Japanese => format!(
            "監査記録簿の署名鍵を変更しました（記録 {record}）。前の鍵が新しい鍵を保証しています。\n\
             今後の検証鍵： {key}\n印刷して、それまでの記録の検証に使う前の鍵とともに保管してください。\n"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Who;

    fn record() -> LogRecord {
        LogRecord {
            seq: 412,
            at: Some("2026-11-23T01:15:30.25Z".parse().unwrap()),
            event: Some(Event::Open),
            result: Some(Outcome::Done),
            actor: Some(Who {
                uid: 1001,
                gid: 100,
                name: "sato".into(),
                pid: Some(7),
                exe: Some("/usr/bin/sox".into()),
            }),
            recording: None,
            number: Some("06-6458-1132".into()),
            application: Some("F3-12".into()),
            facts: [("mode".to_owned(), "read".to_owned())].into(),
            private: [("party".to_owned(), "0312345678".to_owned())].into(),
            erased: false,
            trouble: None,
        }
    }

    /// What a record says is told whole, and what is wrong with it first.
    #[test]
    fn a_row_tells_all_of_a_record() {
        let told = "application: F3-12, mode: read, party: 0312345678, exe: /usr/bin/sox";
        assert_eq!(details(&record(), Speech::English), told);
        let erased = LogRecord {
            private: [].into(),
            erased: true,
            ..record()
        };
        let told = "申請: F3-12, mode: read, （消去済み）, exe: /usr/bin/sox";
        assert_eq!(details(&erased, Speech::Japanese), told);
        let wrong = LogRecord {
            trouble: Some("changed".into()),
            ..record()
        };
        let told = details(&wrong, Speech::English);
        assert!(
            told.starts_with("changed (run tsuwaroku audit verify), "),
            "{told}"
        );
        let unreadable = LogRecord {
            at: None,
            event: None,
            result: None,
            actor: None,
            ..wrong
        };
        let cells = row(&unreadable, Tz::Asia__Tokyo, Speech::English);
        assert_eq!(cells[..5], ["412", "?", "?", "UNREADABLE", "?"]);
        let alone = LogRecord {
            actor: None,
            ..record()
        };
        assert_eq!(
            row(&alone, Tz::Asia__Tokyo, Speech::Japanese)[2],
            "（装置）"
        );
    }

    /// A cell of wide characters takes two columns for each of them.
    #[test]
    fn columns_line_up_in_japanese() {
        let refused = LogRecord {
            event: Some(Event::Find),
            result: Some(Outcome::Refused),
            ..record()
        };
        let table = records(
            &[record(), refused],
            true,
            Tz::Asia__Tokyo,
            Speech::Japanese,
        );
        let column = |line: &str| {
            let before = line.split("06-6458").next().unwrap();
            before
                .chars()
                .map(|c| if c.is_ascii() { 1 } else { 2 })
                .sum::<usize>()
        };
        let rows: Vec<_> = table
            .lines()
            .filter(|line| line.contains("06-6458"))
            .collect();
        assert_eq!(rows.len(), 2, "{table}");
        assert_eq!(column(rows[0]), column(rows[1]), "{table}");
        assert!(
            rows[1].contains("検索") && rows[1].contains("拒否"),
            "{table}"
        );
        assert!(table.ends_with("より大きい --limit で。\n"), "{table}");
    }

    #[test]
    fn the_outcome_says_what_is_proved_and_by_what() {
        let good = LogVerified {
            records: 412,
            confirmed: 400,
            erased: 0,
            agreeing: 7,
            outside: 3,
            unchecked: 0,
            key: Some("name+id+key".into()),
            key_given: true,
            findings: 0,
        };
        let lines = |it: &LogVerified, shown| verified(it, shown, Speech::English);
        assert_eq!(
            lines(&good, 0),
            "412 records verified: all good.\n\
             Signed up to record 400; 7 checkpoints agree with the records, 3 of them from outside.\n\
             Verification key: name+id+key\n"
        );
        let bad = LogVerified {
            confirmed: 0,
            agreeing: 0,
            outside: 0,
            erased: 2,
            unchecked: 1,
            key_given: false,
            findings: 1200,
            ..good
        };
        let text = lines(&bad, 1000);
        for part in [
            "412 records verified: 1200 FINDINGS.\n200 more findings are not shown.\n",
            "No signature proves anything",
            "1 checkpoint could not be compared",
            "whoever has the daemon's key could have written it anew",
            "Beside 2 records something private has been erased",
            "This key was taken from the log itself.",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let japanese = verified(&bad, 1000, Speech::Japanese);
        for part in [
            "412",
            "1200",
            "200",
            "1 件は照合",
            "2 件の記録",
            "name+id+key",
            "--key",
        ] {
            assert!(japanese.contains(part), "{part}: {japanese}");
        }
    }
}
