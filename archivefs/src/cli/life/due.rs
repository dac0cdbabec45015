//! What is told of a sweep: what is due and why, and what it came to. Pure.

use super::super::report::{bytes, count_of, lines, table};
use super::super::text::{Speech, safe};
use super::words;
use crate::control::api::sweep::{Due, DueItem, DueSums, Sum, SweepDone};
use crate::store::Tier;
use comfy_table::CellAlignment;
use std::fmt::Write;

/// A table of what is due, and the sums.
pub(super) fn due(items: &[DueItem], sums: &DueSums, speech: Speech) -> String {
    let mut text = String::new();
    if !items.is_empty() {
        let mut table = table(&[
            speech.say("Due", "処理"),
            speech.say("Last day", "期間の末日"),
            speech.say("Number", "電話番号"),
            speech.say("Tier", "保管先"),
            speech.say("Size", "サイズ"),
            speech.say("Recording", "録音"),
        ]);
        table
            .column_mut(4)
            .expect("there are six")
            .set_cell_alignment(CellAlignment::Right);
        for item in items {
            table.add_row([
                due_word(item, speech),
                item.last_day.to_string(),
                item.number.clone(),
                tier(item.tier, speech).to_owned(),
                bytes(item.stored_bytes),
                item.recording.to_string(),
            ]);
        }
        text.push_str(&lines(&table));
    }
    for due in Due::ALL {
        let _ = writeln!(text, "{}", sum_line(due, sums, speech));
    }
    if sums.frozen.is_some() {
        let english = "The clock is FROZEN: nothing of it is done; see tsuwaroku clock status.\n";
        let japanese =
            "時計が停止中のため実施しません。tsuwaroku clock status を参照してください。\n";
        text.push_str(speech.say(english, japanese));
    }
    text
}

/// Where a recording rests.
pub(super) fn tier(tier: Tier, speech: Speech) -> &'static str {
    match tier {
        Tier::Primary => speech.say("primary", "内蔵記憶装置"),
        Tier::Secondary => speech.say("secondary", "別記憶媒体"),
    }
}

fn due_word(item: &DueItem, speech: Speech) -> String {
    let word = match item.due {
        Due::Erase => speech.say("erase", "消去"),
        Due::Move => speech.say("move", "移動"),
        Due::Held => speech.say("held by", "消去停止"),
    };
    match item.hold {
        Some(hold) => format!("{word} H{hold}"),
        None => word.to_owned(),
    }
}

fn sum_line(due: Due, sums: &DueSums, speech: Speech) -> String {
    let (sum, english, japanese) = match due {
        Due::Erase => (sums.erase, "to be erased", "消去"),
        Due::Move => (
            sums.moves,
            "to be moved to the second medium",
            "別記憶媒体へ移動",
        ),
        Due::Held => (sums.held, "kept because of a hold", "消去停止により保持"),
    };
    let Sum {
        recordings,
        stored_bytes,
    } = sum;
    let (day, size) = (sums.day, bytes(stored_bytes));
    match speech {
        Speech::English => format!(
            "{day}: {} {english}, {size}",
            count_of(recordings, "recording")
        ),
        Speech::Japanese => format!("{day}：{japanese} {recordings} 件、{size}"),
    }
}

/// What a sweep came to.
pub(super) fn swept(done: &SweepDone, speech: Speech) -> String {
    let SweepDone {
        day,
        erased,
        moved,
        held,
        ..
    } = *done;
    let mut text = match speech {
        Speech::English => format!(
            "{day}: {} erased, {moved} moved to the second medium, {held} kept because of a hold.\n",
            count_of(erased, "recording")
        ),
        Speech::Japanese => format!(
            "{day}：消去 {erased} 件、別記憶媒体へ移動 {moved} 件、消去停止により保持 {held} 件。\n"
        ),
    };
    if !done.ended_holds.is_empty() {
        let holds = words::numbers('H', &done.ended_holds, speech);
        let _ = match speech {
            Speech::English => writeln!(text, "Holds whose last day was over: {holds}."),
            Speech::Japanese => writeln!(text, "期限を過ぎて終了した消去停止：{holds}"),
        };
    }
    for one in &done.failed {
        let what = speech.say("NOT MOVED", "移動できません");
        let _ = writeln!(text, "{}: {what}: {}", one.recording, safe(&one.reason));
    }
    if let Some(reason) = &done.stopped {
        text.push_str(&stuck(reason, speech));
    }
    if let Some(reason) = &done.unfinished {
        text.push_str(&words::unfinished(reason, speech));
    }
    if done.overdue > 0 {
        text.push_str(&overdue(done.overdue, speech));
    }
    text
}

/// That recordings do not move.
pub(in super::super) fn stuck(reason: &str, speech: Speech) -> String {
    let reason = safe(reason);
    match speech {
        Speech::English => format!("Recordings STAY on the internal storage: {reason}\n"),
        Speech::Japanese => format!("録音を別記憶媒体へ移動できません：{reason}\n"),
    }
}

/// That recordings are past their last day and still there.
pub(in super::super) fn overdue(count: u64, speech: Speech) -> String {
    match speech {
        Speech::English => format!(
            "{} past the last day and NOT YET ERASED (R6.3): see tsuwaroku sweep --dry-run and \
             tsuwaroku clock status\n",
            count_of(count, "recording")
        ),
        Speech::Japanese => format!(
            "保存期間を過ぎてまだ消去されていない録音が {count} 件あります（R6.3）。tsuwaroku sweep --dry-run \
             と tsuwaroku clock status で確認してください。\n"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::own::JumpKind;
    use crate::control::api::life::Frozen;
    use crate::control::api::sweep::Unmoved;
    use ulid::Ulid;

    fn id() -> Ulid {
        Ulid::from_parts(1_795_396_530_250, 5)
    }

    fn sums(erase: u64) -> DueSums {
        DueSums {
            day: "2026-11-23".parse().unwrap(),
            erase: Sum {
                recordings: erase,
                stored_bytes: erase * 1_200_000,
            },
            moves: Sum::default(),
            held: Sum::default(),
            frozen: None,
        }
    }

    /// R6.2, R6.3: each recording with the last day that is over, then the sums.
    #[test]
    fn what_is_due_says_why() {
        let item = |due, hold| DueItem {
            recording: id(),
            due,
            last_day: "2026-11-22".parse().unwrap(),
            number: "06-6458-1132".into(),
            tier: Tier::Secondary,
            stored_bytes: 1_200_000,
            hold,
        };
        let items = [item(Due::Erase, None), item(Due::Held, Some(3))];
        let said = due(&items, &sums(1), Speech::English);
        let row = said.lines().nth(2).unwrap();
        for part in [
            "erase",
            "2026-11-22",
            "06-6458-1132",
            "secondary",
            "1.2 MB",
            &id().to_string(),
        ] {
            assert!(row.contains(part), "{part}: {said}");
        }
        assert!(said.contains("held by H3"), "{said}");
        assert!(
            said.contains("2026-11-23: 1 recording to be erased, 1.2 MB\n"),
            "{said}"
        );
        assert!(said.contains("0 recordings to be moved"), "{said}");
        let said = due(&items, &sums(1), Speech::Japanese);
        assert!(said.contains("2026-11-23：消去 1 件、1.2 MB"), "{said}");
        let frozen = Some(Frozen {
            kind: JumpKind::Behind,
            own: "2026-11-23T00:00:00Z".parse().unwrap(),
            wall: "2025-11-23T00:00:00Z".parse().unwrap(),
        });
        let said = due(&[], &DueSums { frozen, ..sums(0) }, Speech::English);
        assert!(said.contains("FROZEN"), "{said}");
    }

    #[test]
    fn what_a_sweep_left_undone_stands_out() {
        let mut done = SweepDone {
            day: "2026-11-23".parse().unwrap(),
            erased: 1,
            moved: 2,
            held: 3,
            ended_holds: vec![],
            failed: vec![],
            stopped: None,
            unfinished: None,
            overdue: 0,
        };
        let said = swept(&done, Speech::English);
        assert_eq!(
            said,
            "2026-11-23: 1 recording erased, 2 moved to the second medium, 3 kept because of a hold.\n"
        );
        assert!(!done.needs_attention());
        done.ended_holds = vec![3, 4];
        done.failed = vec![Unmoved {
            recording: id(),
            reason: "it is damaged".into(),
        }];
        done.stopped = Some("/mnt/second: No space left".into());
        done.overdue = 7;
        assert!(done.needs_attention());
        let said = swept(&done, Speech::English);
        for part in [
            "H3, H4",
            "NOT MOVED: it is damaged",
            "STAY on the internal storage: /mnt/second: No space left",
            "7 recordings past the last day",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}
