//! What is told of holds, plans, their approval, and the clock: tables and sentences. Pure.

use super::super::report::{count_of, facts, lines, local, table};
use super::super::text::{Speech, safe};
use crate::clock::own::JumpKind;
use crate::control::api::life::{
    CarriedOut, ClockStatus, ErasedAll, ErasedOne, Filed, Frozen, HoldRequest, ListedHold,
    ListedPlan, ListedWish, Placed,
};
use chrono_tz::Tz;
use std::fmt::Write;

/// Recordings of a plan that are told one by one.
const MOST_TOLD: usize = 20;

/// `H3, H4`.
pub(super) fn numbers(letter: char, numbers: &[u32], speech: Speech) -> String {
    let all: Vec<_> = numbers.iter().map(|one| format!("{letter}{one}")).collect();
    all.join(speech.say(", ", "、"))
}

/// That `request` was done.
pub(super) fn placed(placed: &Placed, request: &HoldRequest, speech: Speech) -> String {
    let (holds, count) = (numbers('H', &placed.holds, speech), placed.recordings);
    let by_search = request.recordings.is_empty();
    let end = match (request.until, speech) {
        (Some(until), Speech::English) => format!("through {until}"),
        (Some(until), Speech::Japanese) => format!("{until} まで"),
        (None, _) => speech
            .say("until a release is approved", "解除が承認されるまで")
            .to_owned(),
    };
    match speech {
        Speech::English => {
            let what = count_of(count, "recording");
            let later = if by_search {
                ", and what comes in later,"
            } else {
                ""
            };
            format!("{holds}: {what}{later} will not be erased {end}.\n")
        }
        Speech::Japanese => {
            let later = if by_search {
                "と今後の該当分"
            } else {
                ""
            };
            format!("{holds}：録音 {count} 件{later}の消去を、{end}停止します。\n")
        }
    }
}

/// A table of holds.
pub(super) fn holds(holds: &[ListedHold], zone: Tz, speech: Speech) -> String {
    if holds.is_empty() {
        return speech
            .say("No holds.\n", "消去停止はありません。\n")
            .to_owned();
    }
    let mut table = table(&[
        speech.say("Hold", "消去停止"),
        speech.say("Recordings", "対象"),
        speech.say("Ground", "理由"),
        speech.say("Until", "期限"),
        speech.say("Placed", "設定日時"),
        speech.say("By", "設定者"),
        speech.say("State", "状態"),
    ]);
    for hold in holds {
        table.add_row([
            format!("H{}", hold.hold),
            scope(hold, zone, speech),
            safe(&hold.ground),
            hold.until
                .map(|until| until.to_string())
                .unwrap_or_default(),
            local(hold.placed_at, zone),
            safe(&hold.placed_by),
            hold_state(hold, zone, speech),
        ]);
    }
    lines(&table)
}

/// What a hold holds.
pub(super) fn scope(hold: &ListedHold, zone: Tz, speech: Speech) -> String {
    if let Some(recording) = hold.recording {
        return recording.to_string();
    }
    let caller = hold.of_party.then(|| {
        let party = hold.other_party.as_deref().map(safe);
        let party = party.unwrap_or_else(|| speech.say("(not shown)", "（非表示）").to_owned());
        format!("{} {party}", speech.say("party", "相手方"))
    });
    let parts = [
        hold.number.clone(),
        hold.from
            .map(|from| format!("{}{}", local(from, zone), speech.say(" or later", " 以降"))),
        hold.to
            .map(|to| format!("{}{}", speech.say("before ", ""), local(to, zone)))
            .map(|to| format!("{to}{}", speech.say("", " より前"))),
        caller,
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    parts.join(speech.say(", ", "、"))
}

fn hold_state(hold: &ListedHold, zone: Tz, speech: Speech) -> String {
    match (&hold.released_at, &hold.released_by) {
        (Some(at), Some(by)) => {
            let (at, by) = (local(*at, zone), safe(by));
            match speech {
                Speech::English => format!("released {at}, approved by {by}"),
                Speech::Japanese => format!("解除 {at}（承認 {by}）"),
            }
        }
        _ if hold.in_force => speech.say("in force", "有効").to_owned(),
        _ => speech.say("ended by itself", "期限切れ").to_owned(),
    }
}

/// That a plan was filed, and who has to do what now.
pub(super) fn filed(filed: &Filed, speech: Speech) -> String {
    let plan = filed.plan;
    let approvers: Vec<_> = filed.approvers.iter().map(|name| safe(name)).collect();
    if approvers.is_empty() {
        return match speech {
            Speech::English => format!(
                "P{plan} is filed, but NOBODY else may approve it: enter another administrator under \
                 [roles].\n"
            ),
            Speech::Japanese => format!(
                "申請 P{plan} を受け付けましたが、承認できる人がほかにいません。[roles] に別の管理責任者を\
                 登録してください。\n"
            ),
        };
    }
    match speech {
        Speech::English => format!(
            "P{plan} is filed. It is done when one of these approves it: {}.\nThey say: tsuwaroku \
             approve P{plan}\n",
            approvers.join(", ")
        ),
        Speech::Japanese => format!(
            "申請 P{plan} を受け付けました。次のいずれかの人が承認すると実施されます：{}\n承認のしかた：\
             tsuwaroku approve P{plan}\n",
            approvers.join("、")
        ),
    }
}

/// A table of plans.
pub(super) fn plans(plans: &[ListedPlan], zone: Tz, speech: Speech) -> String {
    if plans.is_empty() {
        return speech.say("No plans.\n", "申請はありません。\n").to_owned();
    }
    let mut table = table(&[
        speech.say("Plan", "申請"),
        speech.say("Asked", "申請日時"),
        speech.say("By", "申請者"),
        speech.say("What", "内容"),
        speech.say("Ground", "理由"),
        speech.say("Application", "申請書"),
        speech.say("State", "状態"),
    ]);
    for plan in plans {
        table.add_row([
            format!("P{}", plan.plan),
            local(plan.asked_at, zone),
            safe(&plan.asked_by),
            wish(&plan.wish, speech),
            safe(&plan.ground),
            plan.application.as_deref().map(safe).unwrap_or_default(),
            plan_state(plan, zone, speech),
        ]);
    }
    lines(&table)
}

fn wish(wish: &ListedWish, speech: Speech) -> String {
    match wish {
        ListedWish::Erase(recordings) => {
            let mut text = speech.say("erase", "消去").to_owned();
            for recording in recordings.iter().take(MOST_TOLD) {
                let _ = write!(text, "\n{recording}");
            }
            let more = recordings.len().saturating_sub(MOST_TOLD);
            let _ = match (more, speech) {
                (0, _) => Ok(()),
                (_, Speech::English) => write!(text, "\nand {more} more (--json)"),
                (_, Speech::Japanese) => write!(text, "\nほか {more} 件（--json）"),
            };
            text
        }
        ListedWish::Release(hold) => format!("{} H{hold}", speech.say("release", "消去停止の解除")),
        ListedWish::Clock(right) => {
            let what = speech.say("the clock is right", "時計は正しい");
            format!("{what}\n({})", ahead(right.ahead_seconds, speech))
        }
    }
}

/// How far the wall clock is ahead.
fn ahead(seconds: f64, speech: Speech) -> String {
    match (seconds < 0.0, speech) {
        (false, Speech::English) => format!("ahead by {:.0} s", seconds.abs()),
        (true, Speech::English) => format!("behind by {:.0} s", seconds.abs()),
        (false, Speech::Japanese) => format!("{:.0} 秒進んでいる", seconds.abs()),
        (true, Speech::Japanese) => format!("{:.0} 秒遅れている", seconds.abs()),
    }
}

fn plan_state(plan: &ListedPlan, zone: Tz, speech: Speech) -> String {
    let word = state_word(&plan.state, speech);
    let by = |english: &str, japanese: &str| {
        let (at, by) = (plan.decided_at?, plan.decided_by.as_deref()?);
        let (at, by, what) = (local(at, zone), safe(by), speech.say(english, japanese));
        Some(format!("{what} {at}, {by}"))
    };
    let decided = match &*plan.state {
        "done" => by("approved", "承認"),
        "waiting" => None,
        _ => by("decided", "決定"),
    };
    match decided {
        Some(decided) => format!("{word}\n({decided})"),
        None => word.to_owned(),
    }
}

fn state_word(state: &str, speech: Speech) -> &str {
    match state {
        "waiting" => speech.say("WAITS for approval", "承認待ち"),
        "approved" => speech.say("approved, NOT YET DONE", "承認済み・未実施"),
        "declined" => speech.say("declined", "却下"),
        "done" => speech.say("done", "実施済み"),
        other => other,
    }
}

/// Whether all of a plan was carried out.
pub(super) fn is_all_done(carried: &CarriedOut) -> bool {
    match carried {
        CarriedOut::Erased(all) => {
            all.unfinished.is_none() && all.recordings.iter().all(|one| one.outcome == "erased")
        }
        CarriedOut::Released(_) | CarriedOut::Clock => true,
    }
}

/// What became of the plan `plan`.
pub(super) fn carried_out(plan: u32, carried: &CarriedOut, speech: Speech) -> String {
    match (carried, speech) {
        (CarriedOut::Erased(all), _) => erased_all(plan, all, speech),
        (CarriedOut::Released(hold), Speech::English) => {
            format!("P{plan} is approved: H{hold} is released.\n")
        }
        (CarriedOut::Released(hold), Speech::Japanese) => {
            format!("申請 P{plan} を承認し、消去停止 H{hold} を解除しました。\n")
        }
        (CarriedOut::Clock, Speech::English) => {
            format!("P{plan} is approved: the clock is believed again.\n")
        }
        (CarriedOut::Clock, Speech::Japanese) => {
            format!("申請 P{plan} を承認しました。時計に従って処理を再開します。\n")
        }
    }
}

fn erased_all(plan: u32, all: &ErasedAll, speech: Speech) -> String {
    let mut text = String::new();
    for one in &all.recordings {
        let _ = writeln!(text, "{}  {}", one.recording, outcome(one, speech));
    }
    let count = |wanted: bool| {
        let is = |one: &&ErasedOne| (one.outcome == "erased") == wanted;
        all.recordings.iter().filter(is).count() as u64
    };
    let (erased, left) = (count(true), count(false));
    let _ = match speech {
        Speech::English => writeln!(
            text,
            "P{plan} is approved: {} erased. The certificate of each: tsuwaroku show ID",
            count_of(erased, "recording")
        ),
        Speech::Japanese => writeln!(
            text,
            "申請 P{plan} を承認し、録音 {erased} 件を消去しました。消去証明：tsuwaroku show ID"
        ),
    };
    if left > 0 {
        let _ = match speech {
            Speech::English => writeln!(
                text,
                "{} NOT ERASED, see above.",
                count_of(left, "recording")
            ),
            Speech::Japanese => writeln!(text, "{left} 件は消去していません（上記）。"),
        };
    }
    if let Some(reason) = &all.unfinished {
        text.push_str(&unfinished(reason, speech));
    }
    text
}

/// That something of what was erased is still to be removed.
pub(in super::super) fn unfinished(reason: &str, speech: Speech) -> String {
    let reason = safe(reason);
    match speech {
        Speech::English => format!(
            "What was erased cannot be read any more, but NOT ALL of it is removed: {reason}. It is tried \
             again at every sweep.\n"
        ),
        Speech::Japanese => format!(
            "消去した録音はもう読めませんが、一部がまだ残っています：{reason}。定期処理のたびに再試行します。\n"
        ),
    }
}

fn outcome(one: &ErasedOne, speech: Speech) -> String {
    match (&*one.outcome, one.hold) {
        ("erased", _) => speech.say("erased", "消去").to_owned(),
        (_, Some(hold)) => format!(
            "{} H{hold}",
            speech.say("HELD, not erased:", "消去停止中：")
        ),
        ("not-allowed", _) => speech.say("NOT ALLOWED", "対象外").to_owned(),
        _ => speech
            .say("there is no such recording", "該当なし")
            .to_owned(),
    }
}

/// That a plan was declined.
pub(super) fn declined(plan: &ListedPlan, speech: Speech) -> String {
    let (number, asker) = (plan.plan, safe(&plan.asked_by));
    match speech {
        Speech::English => {
            format!("P{number} is declined; nothing is done. Tell {asker}, who asked for it.\n")
        }
        Speech::Japanese => {
            format!(
                "申請 P{number} を却下しました。何も行いません。申請者 {asker} に伝えてください。\n"
            )
        }
    }
}

/// How the clocks are.
pub(super) fn clock(status: &ClockStatus, zone: Tz, speech: Speech) -> String {
    let yes_no = if status.synchronised {
        speech.say("yes", "はい")
    } else {
        speech.say("no", "いいえ")
    };
    let state = match &status.frozen {
        Some(_) => speech.say("FROZEN, see below", "停止中（下記）"),
        None => speech.say("good", "正常"),
    };
    let mut text = facts(&[
        (speech.say("Clock", "時計"), state.to_owned()),
        (speech.say("Accepted day", "基準日"), status.day.to_string()),
        (
            speech.say("Wall clock", "機械の時計"),
            local(status.wall, zone),
        ),
        (
            speech.say("Archive's own time", "保管庫の時計"),
            local(status.own, zone),
        ),
        (
            speech.say("Difference", "差"),
            ahead(status.ahead_seconds, speech),
        ),
        (speech.say("Synchronised", "時刻同期"), yes_no.to_owned()),
    ]);
    if let Some(jump) = &status.frozen {
        text.push('\n');
        text.push_str(&frozen(jump, zone, speech));
    }
    text
}

/// That nothing is moved or erased because of a jump, and what to do.
pub(in super::super) fn frozen(jump: &Frozen, zone: Tz, speech: Speech) -> String {
    let (kind, own, wall) = (
        jump_kind(jump.kind, speech),
        local(jump.own, zone),
        local(jump.wall, zone),
    );
    match speech {
        Speech::English => format!(
            "The clock jumped to {wall} when it should have been {own}: {kind}. Nothing is moved or erased \
             by age. Set the wall clock right; then one person says: tsuwaroku clock confirm, and an \
             administrator approves it.\n"
        ),
        Speech::Japanese => format!(
            "時計が {own} から {wall} に飛びました（{kind}）。期間による移動と消去を停止しています。機械の時計を\
             正しく合わせた後、一人が tsuwaroku clock confirm を行い、別の管理責任者が承認してください。\n"
        ),
    }
}

fn jump_kind(kind: JumpKind, speech: Speech) -> &'static str {
    match kind {
        JumpKind::WhileRunning => speech.say(
            "it was set while the machine ran, or the machine stood still",
            "稼働中に変更されたか、機械が止まっていました",
        ),
        JumpKind::LongDowntime => speech.say(
            "the machine was off for longer than can be believed",
            "電源が切れていた期間が長すぎます",
        ),
        JumpKind::Behind => speech.say(
            "the machine was started with a clock that is behind",
            "起動時の時計が遅れていました",
        ),
        JumpKind::ManyCorrections => speech.say(
            "many small corrections add up to more than a day",
            "小さな補正の合計が一日を超えました",
        ),
    }
}

#[cfg(test)]
mod tests;
