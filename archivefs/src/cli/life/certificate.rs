//! What is told of one recording: what it is and how long it is kept, or, of an erased one, the certificate
//! of its erasure, to be printed. Pure.

use super::super::report::{bytes, direction, facts, length, local};
use super::super::text::{Speech, safe};
use super::due;
use crate::catalogue::AGE;
use crate::control::api::life::{Certificate, Kept, ListedHold};
use tsuwaroku_config::Config;

/// A recording that is there.
pub(super) fn kept(kept: &Kept, config: &Config, speech: Speech) -> String {
    let (found, zone) = (&kept.found, config.site.time_zone);
    let party = found.other_party.as_deref().map(safe);
    let mut all = vec![
        (speech.say("Recording", "録音"), found.id.to_string()),
        (
            speech.say("Number", "電話番号"),
            line(&found.number, config),
        ),
        (speech.say("Start", "開始"), local(found.start, zone)),
        (speech.say("Length", "長さ"), length(found.seconds)),
        (
            speech.say("Direction", "方向"),
            direction(found.direction, speech).to_owned(),
        ),
        (
            speech.say("Other party", "相手方"),
            party.unwrap_or_default(),
        ),
        ("SHA-256", found.sha256.clone()),
        (speech.say("File", "ファイル"), found.path.clone()),
        (
            speech.say("Tier", "保管先"),
            format!(
                "{} ({})",
                due::tier(kept.tier, speech),
                bytes(kept.stored_bytes)
            ),
        ),
        (
            speech.say("On the internal storage until", "内蔵記憶装置での末日"),
            kept.primary_last_day.to_string(),
        ),
        (
            speech.say("Kept until", "保存期間の末日"),
            kept.last_day.to_string(),
        ),
    ];
    let held = |hold: &ListedHold| (speech.say("Held by", "消去停止"), held(hold, speech));
    all.extend(kept.holds.iter().map(held));
    all.retain(|(_, value)| !value.is_empty());
    facts(&all)
}

/// A hold on the recording.
fn held(hold: &ListedHold, speech: Speech) -> String {
    let (number, ground, by) = (hold.hold, safe(&hold.ground), safe(&hold.placed_by));
    let until = match (hold.until, speech) {
        (Some(until), Speech::English) => format!(", until {until}"),
        (Some(until), Speech::Japanese) => format!("、{until} まで"),
        (None, _) => String::new(),
    };
    match speech {
        Speech::English => format!("H{number}: {ground} ({by}{until})"),
        Speech::Japanese => format!("H{number}：{ground}（{by}{until}）"),
    }
}

/// The number with the line's name, where it is still designated.
fn line(number: &str, config: &Config) -> String {
    let line = config.lines.iter().find(|line| line.number == number);
    match line {
        Some(line) => format!("{number} {}", line.name),
        None => number.to_owned(),
    }
}

/// The certificate of erasure.
pub(super) fn erased(erased: &Certificate, config: &Config, speech: Speech) -> String {
    let zone = config.site.time_zone;
    let removed = match erased.completed_at {
        Some(at) => local(at, zone),
        None => speech.say("NOT YET", "未完了").to_owned(),
    };
    let optional = |value: &Option<String>| value.as_deref().map(safe).unwrap_or_default();
    let mut all = vec![
        (speech.say("Recording", "録音"), erased.id.to_string()),
        (
            speech.say("Number", "電話番号"),
            line(&erased.number, config),
        ),
        (
            speech.say("Day of the call", "通話日"),
            erased.day.to_string(),
        ),
        (speech.say("Length", "長さ"), length(erased.seconds)),
        (
            speech.say("WAV file, bytes", "WAV ファイルのバイト数"),
            erased.wav_bytes.to_string(),
        ),
        (
            speech.say("SHA-256 of it", "その SHA-256"),
            erased.sha256.clone(),
        ),
        (speech.say("Ground", "理由"), ground(&erased.ground, speech)),
        (
            speech.say("Application", "申請書"),
            optional(&erased.application),
        ),
        (
            speech.say("Plan", "申請"),
            erased
                .plan
                .map(|plan| format!("P{plan}"))
                .unwrap_or_default(),
        ),
        (
            speech.say("Asked for by", "申請者"),
            optional(&erased.asked_by),
        ),
        (
            speech.say("Approved by", "承認者"),
            optional(&erased.approved_by),
        ),
        (
            speech.say("Erased, unreadable since", "消去日時（以後読取不能）"),
            local(erased.erased_at, zone),
        ),
        (
            speech.say("Removed from every medium", "全媒体からの除去完了"),
            removed,
        ),
    ];
    all.retain(|(_, value)| !value.is_empty());
    let title = speech.say("Certificate of erasure", "消去証明");
    let mut text = format!("{title}\n{}\n\n{}", safe(&config.site.name), facts(&all));
    if erased.completed_at.is_none() {
        let english = "The recording cannot be read any more, but something of it may be left: see \
                       tsuwaroku status.\n";
        let japanese = "録音はもう読めませんが、一部が残っている可能性があります。tsuwaroku status を\
                        確認してください。\n";
        text.push('\n');
        text.push_str(speech.say(english, japanese));
    }
    text
}

fn ground(ground: &str, speech: Speech) -> String {
    if ground == AGE {
        let age = speech.say("its period of keeping was over", "保存期間の満了");
        return format!("{age} ({AGE})");
    }
    safe(ground)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Direction;
    use crate::control::api::Found;
    use crate::store::Tier;
    use std::path::Path;
    use tsuwaroku_spool::record::{Encoding, EndReason};
    use ulid::Ulid;

    fn config() -> Config {
        let sample = include_str!("../../../../capture/config/tsuwaroku.toml");
        Config::parse(Path::new("t"), sample).unwrap()
    }

    fn certificate() -> Certificate {
        Certificate {
            id: Ulid::from_parts(1_795_396_530_250, 5),
            number: "06-6458-1132".into(),
            day: "2026-11-23".parse().unwrap(),
            seconds: 61.2,
            wav_bytes: 980_738,
            sha256: "ab".repeat(32),
            ground: "ご本人の申出\u{1b}[2J".into(),
            application: Some("消-12".into()),
            plan: Some(4),
            asked_by: Some("sato".into()),
            approved_by: Some("chief".into()),
            erased_at: "2026-12-01T01:02:03Z".parse().unwrap(),
            completed_at: Some("2026-12-01T01:02:04Z".parse().unwrap()),
        }
    }

    /// R6.7: all that was asked for and decided is on it, in both languages, and nothing moves a cursor.
    #[test]
    fn a_certificate_says_what_was_erased_and_on_whose_word() {
        let (config, erased) = (config(), certificate());
        for (speech, title) in [
            (Speech::English, "Certificate of erasure"),
            (Speech::Japanese, "消去証明"),
        ] {
            let said = super::erased(&erased, &config, speech);
            assert!(said.starts_with(title), "{said}");
            for part in [
                &*erased.id.to_string(),
                &config.site.name,
                "06-6458-1132 お客さまセンター代表ダイヤル",
                "2026-11-23",
                "1:01",
                "980738",
                &erased.sha256,
                "ご本人の申出\\u{1b}[2J",
                "消-12",
                "P4",
                "sato",
                "chief",
                "2026-12-01 10:02:03",
                "2026-12-01 10:02:04",
            ] {
                assert!(said.contains(part), "{part}: {said}");
            }
        }
    }

    #[test]
    fn a_certificate_of_age_names_nobody_and_one_that_is_not_complete_says_so() {
        let (config, mut erased) = (config(), certificate());
        erased.ground = AGE.into();
        erased.plan = None;
        erased.asked_by = None;
        erased.approved_by = None;
        erased.completed_at = None;
        let said = super::erased(&erased, &config, Speech::English);
        assert!(said.contains("period of keeping was over (R6.3)"), "{said}");
        assert!(
            !said.contains("Approved") && !said.contains("Plan"),
            "{said}"
        );
        assert!(
            said.contains("NOT YET") && said.contains("something of it"),
            "{said}"
        );
        let said = super::erased(&erased, &config, Speech::Japanese);
        assert!(
            said.contains("未完了") && said.contains("保存期間の満了"),
            "{said}"
        );
    }

    /// R6.1–R6.3, R6.4: both last days, and what stands against the second.
    #[test]
    fn a_recording_says_how_long_it_is_kept_and_what_holds_it() {
        let kept = Kept {
            found: Found {
                id: Ulid::from_parts(1_795_396_530_250, 5),
                number: "06-6458-1132".into(),
                start: "2026-11-23T01:15:30Z".parse().unwrap(),
                seconds: 1.0,
                direction: Direction::In,
                other_party: None,
                rate: 8000,
                channels: 1,
                encoding: Encoding::S16,
                gap_seconds: 0.0,
                end: EndReason::Silence,
                sha256: "cd".repeat(32),
                path: "by-date/x.wav".into(),
            },
            tier: Tier::Secondary,
            stored_bytes: 1_234_000,
            primary_last_day: "2027-05-23".parse().unwrap(),
            last_day: "2027-11-23".parse().unwrap(),
            holds: vec![ListedHold {
                hold: 3,
                recording: None,
                number: None,
                from: None,
                to: None,
                of_party: true,
                other_party: None,
                ground: "係争中".into(),
                until: Some("2028-03-31".parse().unwrap()),
                placed_at: "2026-12-01T01:02:03Z".parse().unwrap(),
                placed_by: "sato".into(),
                in_force: true,
                released_at: None,
                released_by: None,
            }],
        };
        let said = super::kept(&kept, &config(), Speech::English);
        for part in [
            "2027-05-23",
            "2027-11-23",
            "secondary (1.2 MB)",
            "H3: 係争中 (sato, until 2028-03-31)",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(!said.contains("Other party"), "{said}");
    }
}
