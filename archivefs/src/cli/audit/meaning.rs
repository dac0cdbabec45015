//! What a finding in the audit log means, and what to do about it, for whoever has to act on it. Pure.

use super::super::text::{Speech, safe};
use crate::audit::AuditFinding as Finding;

/// One line: which record, what is wrong with it, what to do.
pub(super) fn finding(finding: &Finding, speech: Speech) -> String {
    let what = match speech {
        Speech::English => finding.to_string(),
        Speech::Japanese => japanese(finding),
    };
    let (separator, advice) = (speech.say("; ", "。"), advice(finding, speech));
    format!("{}{separator}{advice}", safe(&what))
}

fn japanese(finding: &Finding) -> String {
    match finding {
        Finding::Changed { seq } => format!("記録 {seq} が変更または差し替えられています"),
        Finding::Missing { first, last } => {
            format!(
                "{}がありません（前後の記録はあります）",
                range(*first, *last)
            )
        }
        Finding::Swapped { first } => {
            format!("記録 {first} と記録 {} が入れ替わっています", first + 1)
        }
        Finding::Misplaced { seq, row } => {
            format!("記録 {seq} が本来の位置ではなく行 {row} にあります")
        }
        Finding::Duplicate { seq, row } => {
            format!("記録 {seq} が二重にあります（行 {row} は余分です）")
        }
        Finding::Inserted { after, row } => format!(
            "記録 {after} の後の行 {row} は、この記録簿の記録ではなく、後から挿入されたものです"
        ),
        Finding::Renumbered { seq, row } => {
            format!("記録 {seq} の内容は正しいものの、表の番号が {row} になっています")
        }
        Finding::Misfiled { seq } => {
            format!("記録 {seq} の内容は正しいものの、表では別の録音のものになっています")
        }
        Finding::PrivateChanged { seq } => {
            format!("記録 {seq} に付随する個人情報が変更されています（記録本体は正しい）")
        }
        Finding::Newer { seq } => format!("記録 {seq} などは新しい版の形式です"),
        Finding::Rewritten {
            after,
            size,
            source_name,
        } => format!(
            "{}は、{source_name} のチェックポイントの時点の記録ではなく、書き直されたものです",
            range(after + 1, *size)
        ),
        Finding::Cut {
            first,
            last,
            source_name,
        } => format!(
            "末尾の{}が切り取られています（{source_name} に記録 {last} までのチェックポイントがあります）",
            range(*first, *last)
        ),
        Finding::Unsigned { first, last } => format!(
            "{}には署名がなく、デーモンが書いたものではありません",
            range(*first, *last)
        ),
        Finding::NoHead { last } => {
            format!("末尾の署名がなく、記録 {last} が最後の記録だったか証明できません")
        }
        Finding::BadHead { last, reason } => {
            format!("記録 {last} の後の末尾の署名は無効です（{reason}）")
        }
        Finding::WrongEnd { last } => format!(
            "保存されている末尾の状態が記録 {last} と合わず、次の記録が正しくつながりません"
        ),
        Finding::BadCheckpoint {
            size,
            source_name,
            reason,
        } => {
            let size = size.map_or_else(String::new, |size| format!("（記録 {size} まで）"));
            format!("{source_name} のチェックポイント{size}は無効です（{reason}）")
        }
        Finding::NoKey => "記録 1 に検証鍵がなく、指定もないため、署名を検証できません".into(),
        Finding::Interrupted { seq } => {
            format!("記録 {seq} によると、それより前の末尾が署名したときの状態と違っていました")
        }
        Finding::NotVouched { seq } => {
            format!("記録 {seq} の新しい鍵は、前の鍵で保証されておらず、だれの鍵か分かりません")
        }
    }
}

fn range(first: u64, last: u64) -> String {
    if first == last {
        format!("記録 {first} ")
    } else {
        format!("記録 {first}～{last} ")
    }
}

fn advice(finding: &Finding, speech: Speech) -> &'static str {
    match finding {
        Finding::Changed { .. }
        | Finding::Missing { .. }
        | Finding::Swapped { .. }
        | Finding::Misplaced { .. }
        | Finding::Duplicate { .. }
        | Finding::Inserted { .. }
        | Finding::Renumbered { .. }
        | Finding::Misfiled { .. }
        | Finding::PrivateChanged { .. }
        | Finding::Rewritten { .. }
        | Finding::Unsigned { .. }
        | Finding::WrongEnd { .. } => speech.say(
            "the database was changed, not by the daemon: keep it and the checkpoints as evidence, \
             report it to the administrator, and see in a backup what was there",
            "デーモン以外がデータベースを変更しています。データベースとチェックポイントを証拠として\
             保全し、管理責任者に報告して、元の内容をバックアップで確認してください",
        ),
        Finding::Cut { .. } => speech.say(
            "is this an older copy than the checkpoint? then verify a newer one; otherwise records \
             were taken away: keep it as evidence and report it to the administrator",
            "チェックポイントより古い複製であれば、新しい複製を検証してください。そうでなければ記録が\
             取り除かれています。証拠として保全し、管理責任者に報告してください",
        ),
        Finding::NoHead { .. } | Finding::BadHead { .. } | Finding::BadCheckpoint { .. } => speech
            .say(
                "is it of this archive, is it whole, and is the key the right one? if so, somebody \
                 forged it: keep it as evidence and report it to the administrator",
                "この保管庫のもので欠けがなく、鍵も正しいか確認してください。そのとおりなら偽造です。\
                 証拠として保全し、管理責任者に報告してください",
            ),
        Finding::Newer { .. } => speech.say(
            "install that version and verify again",
            "新しい版の tsuwaroku で再度検証してください",
        ),
        Finding::NoKey => speech.say(
            "give the key that was kept on paper: --key",
            "紙で保管している検証鍵を --key で指定してください",
        ),
        Finding::Interrupted { .. } => speech.say(
            "was a backup restored then, or a disk repaired? if not, the database was changed while \
             the daemon was stopped: report it to the administrator",
            "その頃にバックアップの復元やディスクの修復をしていなければ、デーモンの停止中に変更されて\
             います。管理責任者に報告してください",
        ),
        Finding::NotVouched { .. } => speech.say(
            "compare it with what was printed when the key was changed; if it is the same, give it \
             with --key, if not, report it to the administrator",
            "鍵を変更したときの印刷と比べてください。同じなら --key で指定し、違えば管理責任者に報告\
             してください",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<(Finding, &'static [&'static str])> {
        let source = || "/mnt/stick/notes".to_owned();
        let reason = || "forged".to_owned();
        vec![
            (Finding::Changed { seq: 3 }, &["3"]),
            (Finding::Missing { first: 3, last: 5 }, &["3", "5"]),
            (Finding::Swapped { first: 3 }, &["3", "4"]),
            (Finding::Misplaced { seq: 3, row: 9 }, &["3", "9"]),
            (Finding::Duplicate { seq: 3, row: 9 }, &["3", "9"]),
            (Finding::Inserted { after: 3, row: 9 }, &["3", "9"]),
            (Finding::Renumbered { seq: 3, row: 9 }, &["3", "9"]),
            (Finding::Misfiled { seq: 3 }, &["3"]),
            (Finding::PrivateChanged { seq: 3 }, &["3"]),
            (Finding::Newer { seq: 3 }, &["3"]),
            (
                Finding::Rewritten {
                    after: 3,
                    size: 9,
                    source_name: source(),
                },
                &["4", "9", "/mnt/stick/notes"],
            ),
            (
                Finding::Cut {
                    first: 3,
                    last: 9,
                    source_name: source(),
                },
                &["3", "9", "/mnt/stick/notes"],
            ),
            (Finding::Unsigned { first: 3, last: 9 }, &["3", "9"]),
            (Finding::NoHead { last: 3 }, &["3"]),
            (
                Finding::BadHead {
                    last: 3,
                    reason: reason(),
                },
                &["3", "forged"],
            ),
            (Finding::WrongEnd { last: 3 }, &["3"]),
            (
                Finding::BadCheckpoint {
                    size: Some(3),
                    source_name: source(),
                    reason: reason(),
                },
                &["3", "/mnt/stick/notes", "forged"],
            ),
            (Finding::NoKey, &["1", "--key"]),
            (Finding::Interrupted { seq: 3 }, &["3"]),
            (Finding::NotVouched { seq: 3 }, &["3", "--key"]),
        ]
    }

    /// Both languages tell the same records and files, and what to do, in one line.
    #[test]
    fn every_finding_says_which_record_and_what_to_do() {
        for (found, told) in all() {
            for speech in [Speech::English, Speech::Japanese] {
                let line = finding(&found, speech);
                assert!(told.iter().all(|part| line.contains(part)), "{line}");
                assert!(line.len() > 60 && !line.contains('\n'), "{line}");
            }
            let line = finding(&found, Speech::Japanese);
            assert!(line.contains("ください"), "{line}");
        }
    }

    /// The name of a file and a note in it may have been written by a stranger.
    #[test]
    fn what_came_from_outside_cannot_move_the_cursor() {
        let found = Finding::BadCheckpoint {
            size: None,
            source_name: "/mnt/\u{1b}[2Jx".into(),
            reason: "a\nb".into(),
        };
        for speech in [Speech::English, Speech::Japanese] {
            let line = finding(&found, speech);
            assert!(!line.contains(['\u{1b}', '\n']), "{line}");
        }
    }
}
