//! What an import tells: one line a file, then the counts; or JSON. Pure.

use super::super::report::{length, local};
use super::super::text::{Speech, safe};
use super::{Outcome, Outcomes};
use crate::import::{Note, Plan, Wrong};
use chrono_tz::Tz;
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;

/// Files by what became of them.
#[derive(Default)]
struct Counts {
    imported: usize,
    over: usize,
    erased: usize,
    would_import: usize,
    already: usize,
    waiting: usize,
    refused: usize,
}

impl Counts {
    fn of(outcomes: &Outcomes) -> Self {
        let mut counts = Self::default();
        for outcome in outcomes.values() {
            *match outcome {
                Outcome::Imported(_) => &mut counts.imported,
                Outcome::Over(_) => &mut counts.over,
                Outcome::Erased(_) => &mut counts.erased,
                Outcome::WouldImport(_) => &mut counts.would_import,
                Outcome::Already(_) => &mut counts.already,
                Outcome::Waiting(_) => &mut counts.waiting,
                Outcome::Refused(_) => &mut counts.refused,
            } += 1;
        }
        counts
    }

    /// The counts that are not 0, and at least that of what was, or would be, imported.
    fn told(&self, speech: Speech, tried: bool) -> String {
        let all = [
            (self.imported, !tried, "imported", "取込済み"),
            (self.would_import, tried, "would be imported", "取込予定"),
            (self.already, false, "already there", "取込不要（保管済み）"),
            (self.over, false, "past their last day", "保存期間経過"),
            (self.erased, false, "erased before", "取込不可（消去済み）"),
            (self.waiting, false, "waiting for the daemon", "取込待ち"),
            (self.refused, false, "REFUSED", "取込不可"),
        ];
        let told = all
            .iter()
            .filter(|(count, always, ..)| *count > 0 || *always);
        let told = told.map(|(count, _, english, japanese)| match speech {
            Speech::English => format!("{count} {english}"),
            Speech::Japanese => format!("{japanese} {count} 件"),
        });
        let told: Vec<String> = told.collect();
        format!(
            "{}{}",
            told.join(speech.say(", ", "、")),
            speech.say(".", "。")
        )
    }
}

/// A line for each file, and the counts.
pub fn report(outcomes: &Outcomes, zone: Tz, speech: Speech) -> String {
    let mut text = String::new();
    for (path, outcome) in outcomes {
        let _ = writeln!(text, "{}", line(path, outcome, zone, speech));
    }
    let counts = Counts::of(outcomes);
    let _ = writeln!(text, "{}", counts.told(speech, counts.would_import > 0));
    text
}

fn line(path: &Path, outcome: &Outcome, zone: Tz, speech: Speech) -> String {
    let path = safe(&path.to_string_lossy());
    let (what, plan) = match outcome {
        Outcome::Refused(wrong) => {
            let what = speech.say("REFUSED", "取込不可");
            return format!("{what}: {path}: {}", safe(&reason(wrong, speech)));
        }
        Outcome::Imported(plan) => (speech.say("imported", "取込済み"), plan),
        Outcome::WouldImport(plan) => (speech.say("would be imported", "取込予定"), plan),
        Outcome::Over(plan) => {
            let english = "imported, past its last day (erased at the next sweep unless held)";
            (
                speech.say(english, "取込済み・保存期間経過（次の定期処理で消去）"),
                plan,
            )
        }
        Outcome::Erased(plan) => (speech.say("was erased", "消去済み"), plan),
        Outcome::Already(plan) => (speech.say("already there", "保管済み"), plan),
        Outcome::Waiting(plan) => (speech.say("waits for the daemon", "取込待ち"), plan),
    };
    let began = local(crate::call::time_of(plan.start.started_at), zone);
    let notes = notes(plan, speech);
    format!(
        "{what}: {path}: {began}, {}, {}{notes}",
        length(plan.seconds()),
        plan.start.id
    )
}

fn notes(plan: &Plan, speech: Speech) -> String {
    plan.notes.iter().fold(String::new(), |mut text, note| {
        let _ = write!(text, "; {}", tell(*note, speech));
        text
    })
}

fn tell(note: Note, speech: Speech) -> String {
    match (note, speech) {
        (Note::Unfinished, Speech::English) => {
            "its header was never finished: taken to the end of the file, marked cut off".into()
        }
        (Note::Unfinished, Speech::Japanese) => {
            "ヘッダーが未完成のため、ファイルの末尾までを取り込み「中断」とします".into()
        }
        (Note::PartialFrame(bytes), Speech::English) => {
            format!("{bytes} bytes of an unfinished sample at the end left out")
        }
        (Note::PartialFrame(bytes), Speech::Japanese) => {
            format!("末尾の不完全なサンプル {bytes} バイトを除外")
        }
        (Note::Unexplained(bytes), Speech::English) => {
            format!("{bytes} bytes after the audio that its header does not explain left out")
        }
        (Note::Unexplained(bytes), Speech::Japanese) => {
            format!("音声の後のヘッダーにない {bytes} バイトを除外")
        }
        (Note::TwiceThatDay, Speech::English) => {
            "this time came twice that day, the first was taken".into()
        }
        (Note::TwiceThatDay, Speech::Japanese) => {
            "この時刻は同日に二度あり、最初のものとしました".into()
        }
    }
}

/// Why a file is refused, and what to do.
fn reason(wrong: &Wrong, speech: Speech) -> String {
    if speech == Speech::English {
        return wrong.to_string();
    }
    match wrong {
        Wrong::Io(error) => format!("読み取れません: {error}"),
        Wrong::NotAFile => "通常のファイルではありません（リンクはたどりません）".into(),
        Wrong::NotAudio => "WAV でも FLAC でもありません。WAV に変換するか、除いてください".into(),
        Wrong::Damaged(what) => format!("破損しています: {what}"),
        Wrong::Short { missing } => {
            format!("{missing} バイト足りません。完全なものを複写し直してください")
        }
        Wrong::Float => "浮動小数点形式です。変換してください: sox FILE -b 32 -e signed-integer \
                         NEW.wav（時刻が失われるため --pattern を指定）"
            .into(),
        Wrong::Compressed(tag) => format!(
            "対応しない形式 {tag:#06x} です。変換してください: sox FILE -b 16 -e signed-integer \
             NEW.wav（時刻が失われるため --pattern を指定）"
        ),
        Wrong::Width { bits, bytes } => format!(
            "サンプルが {bytes} バイト中 {bits} ビットです。16、24、32 ビットに変換してください"
        ),
        Wrong::Layout { channels, rate } => format!(
            "{channels} チャンネル、{rate} Hz です。1～64 チャンネル、1000～384000 Hz に限ります"
        ),
        Wrong::Empty => "音声がありません".into(),
        Wrong::TooLong => "一週間を超えています。分割してください".into(),
        Wrong::Digest => "音声が記録時のものと一致しません。別の複写を使ってください".into(),
        Wrong::NoTime => "日時がありません。--pattern を指定してください".into(),
        Wrong::TwoTimes => "ファイル名に日時が複数あります。--pattern を長くしてください".into(),
        Wrong::SkippedTime(time) => format!("開始時刻 {time} は、その日に存在しません"),
        Wrong::ImpossibleTime(time) => {
            format!("開始時刻 {time} は 1970 年より前か未来です。--pattern を確認してください")
        }
        Wrong::Changed => "読み取り中に変更されました。書き込みが終わるのを待ってください".into(),
        Wrong::Quarantined(reason) => format!("デーモンが受け付けませんでした: {reason}"),
    }
}

/// The same for programs.
pub fn json(outcomes: &Outcomes) -> Value {
    let counts = Counts::of(outcomes);
    json!({
        "files": outcomes.iter().map(|(path, outcome)| file(path, outcome)).collect::<Vec<_>>(),
        "imported": counts.imported,
        "would_import": counts.would_import,
        "already": counts.already,
        "over": counts.over,
        "erased": counts.erased,
        "waiting": counts.waiting,
        "refused": counts.refused,
    })
}

fn file(path: &Path, outcome: &Outcome) -> Value {
    let path = path.to_string_lossy();
    let (outcome, plan) = match outcome {
        Outcome::Refused(wrong) => {
            return json!({ "file": path, "outcome": "refused", "reason": wrong.to_string() });
        }
        Outcome::Imported(plan) => ("imported", plan),
        Outcome::WouldImport(plan) => ("would-import", plan),
        Outcome::Already(plan) => ("already", plan),
        Outcome::Over(plan) => ("over", plan),
        Outcome::Erased(plan) => ("erased", plan),
        Outcome::Waiting(plan) => ("waiting", plan),
    };
    json!({
        "file": path,
        "outcome": outcome,
        "id": plan.start.id.to_string(),
        "start": crate::call::time_of(plan.start.started_at),
        "seconds": plan.seconds(),
        "notes": plan.notes.iter().map(|note| tell(*note, Speech::English)).collect::<Vec<_>>(),
    })
}
