//! How the device is, for whoever looks whether all is well. Pure.

use super::life as told;
use super::report::{bytes, count_of, facts, finding, length, lines, local, table};
use super::text::{Speech, safe};
use crate::control::api::Status;
use crate::control::api::life::LifeStatus;
use crate::control::api::log::LogStatus;
use chrono_tz::Tz;
use std::fmt::Write;

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
    let mut about = vec![
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
            speech.say("Accepted day", "基準日"),
            status.life.day.to_string(),
        ),
        (
            speech.say("Running since", "稼働開始"),
            local(status.since, zone),
        ),
        (speech.say("Version", "版"), status.version.clone()),
    ];
    about.extend(open_matters(&status.life, speech));
    let mut out = facts(&about);
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
    out.push_str(&life(&status.life, zone, speech));
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

/// What waits for somebody, and is no trouble.
fn open_matters(life: &LifeStatus, speech: Speech) -> Vec<(&'static str, String)> {
    let all = [
        (
            speech.say(
                "Plans that wait (tsuwaroku plans)",
                "承認待ちの申請（tsuwaroku plans）",
            ),
            life.waiting_plans,
        ),
        (speech.say("Holds in force", "有効な消去停止"), life.holds),
    ];
    let there = all.into_iter().filter(|(_, count)| *count > 0);
    there
        .map(|(name, count)| (name, count.to_string()))
        .collect()
}

/// What is wrong with the life of recordings, a paragraph each.
fn life(life: &LifeStatus, zone: Tz, speech: Speech) -> String {
    let missing = life.missing_tier.as_ref().map(|reason| {
        let head = speech.say("The second medium is not there", "別記憶媒体がありません");
        format!("{head}: {}\n", safe(reason))
    });
    let all = [
        life.frozen.map(|jump| told::frozen(&jump, zone, speech)),
        missing,
        life.stuck.as_ref().map(|why| told::stuck(why, speech)),
        life.unfinished
            .as_ref()
            .map(|why| told::unfinished(why, speech)),
        (life.overdue > 0).then(|| told::overdue(life.overdue, speech)),
    ];
    let paragraphs = all.into_iter().flatten();
    paragraphs.fold(String::new(), |told, paragraph| told + "\n" + &paragraph)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::own::JumpKind;
    use crate::control::api::life::Frozen;

    fn good() -> LifeStatus {
        LifeStatus {
            day: "2026-11-23".parse().unwrap(),
            frozen: None,
            missing_tier: None,
            stuck: None,
            unfinished: None,
            overdue: 0,
            waiting_plans: 0,
            holds: 0,
        }
    }

    /// Nothing is told of what is not there; whatever has to be looked at is told, and needs attention.
    #[test]
    fn what_is_wrong_is_told_and_nothing_else() {
        type Set = fn(&mut LifeStatus, Frozen);
        let zone = Tz::Asia__Tokyo;
        assert_eq!(life(&good(), zone, Speech::English), "");
        assert_eq!(open_matters(&good(), Speech::English), []);
        let jump = Frozen {
            kind: JumpKind::Behind,
            own: "2026-11-23T00:00:00Z".parse().unwrap(),
            wall: "2025-11-23T00:00:00Z".parse().unwrap(),
        };
        let cases: [(Set, &str); 5] = [
            (|it, jump| it.frozen = Some(jump), "tsuwaroku clock confirm"),
            (
                |it, _| it.missing_tier = Some("/mnt/second".into()),
                "/mnt/second",
            ),
            (
                |it, _| it.stuck = Some("No space left".into()),
                "No space left",
            ),
            (
                |it, _| it.unfinished = Some("I/O error".into()),
                "I/O error",
            ),
            (|it, _| it.overdue = 7, "7"),
        ];
        for (set, part) in cases {
            let mut status = good();
            set(&mut status, jump);
            assert!(status.needs_attention(), "{part}");
            for speech in [Speech::English, Speech::Japanese] {
                let said = life(&status, zone, speech);
                assert!(said.contains(part), "{part}: {said}");
            }
        }
        let open = LifeStatus {
            waiting_plans: 2,
            holds: 3,
            ..good()
        };
        assert!(!open.needs_attention());
        let told = open_matters(&open, Speech::English);
        assert_eq!((&*told[0].1, &*told[1].1), ("2", "3"));
    }
}
