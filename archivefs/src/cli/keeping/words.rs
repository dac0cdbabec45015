//! What the verbs that keep the archive tell. Pure.

use super::super::report::count_of;
use super::super::text::{Speech, safe};
use crate::control::api::keeping::BackupDone;
use crate::keys::Rotated;
use crate::rebuild::Rebuilt;
use crate::serve::Restored;
use std::fmt::Write;
use std::path::Path;

pub(super) fn rotated(rotated: &Rotated, speech: Speech) -> String {
    let (generation, recordings) = (rotated.generation, rotated.recordings);
    let mut text = match speech {
        Speech::English => format!(
            "The keys of {} are sealed anew: generation {generation}. Older copies of the table of keys \
             open nothing any more.",
            count_of(recordings, "recording")
        ),
        Speech::Japanese => format!(
            "録音 {recordings} 件の鍵を封じ直しました（第 {generation} 世代）。以前の鍵の表の写しでは何も\
             開けません。"
        ),
    };
    for place in &rotated.behind {
        let place = safe(place);
        let _ = match speech {
            Speech::English => write!(
                text,
                "\n{place}: NOT REACHED: what is there is still the former copy; mount the tier and \
                 rotate again."
            ),
            Speech::Japanese => write!(
                text,
                "\n{place}：書き込めませんでした。以前の写しが残っています。接続してもう一度実行してください。"
            ),
        };
    }
    text
}

pub(super) fn escrowed(path: &Path, master: &str, recipients: usize, speech: Speech) -> String {
    let path = path.display();
    match speech {
        Speech::English => format!(
            "{path}: the master key {master}, sealed to {}. Try it with: tsuwaroku keys recover, on \
             another machine; then put two copies away, sealed, in different places.",
            count_of(recipients as u64, "recipient")
        ),
        Speech::Japanese => format!(
            "{path}：マスター鍵 {master} を {recipients} 名宛てに封じました。別の機械で tsuwaroku keys \
             recover により開けることを確かめ、複製二部を封印して別々の場所に保管してください。"
        ),
    }
}

pub(super) fn recovered(place: &Path, master: &str, speech: Speech) -> String {
    let place = place.display();
    match speech {
        Speech::English => format!("The master key {master} is in {place}."),
        Speech::Japanese => format!("マスター鍵 {master} を {place} に置きました。"),
    }
}

pub(super) fn backed_up(made: &BackupDone, speech: Speech) -> String {
    let (place, manifest) = (safe(&made.place), &made.manifest);
    let (recordings, records) = (manifest.recordings, manifest.log_records);
    match speech {
        Speech::English => format!(
            "{place}: the catalogue of {}, with {} of the audit log. No recording and no key is in it.",
            count_of(recordings, "recording"),
            count_of(records, "record")
        ),
        Speech::Japanese => format!(
            "{place}：録音 {recordings} 件の目録と監査記録 {records} 件。録音そのものと鍵は含みません。"
        ),
    }
}

pub(super) fn restored(restored: &Restored, speech: Speech) -> String {
    let manifest = &restored.manifest;
    let made = manifest.made.to_rfc3339();
    let mut text = match speech {
        Speech::English => format!(
            "The catalogue of {made} is back: {}, {} of the audit log.\n",
            count_of(manifest.recordings, "recording"),
            count_of(manifest.log_records, "record")
        ),
        Speech::Japanese => format!(
            "{made} の目録を復元しました：録音 {} 件、監査記録 {} 件。\n",
            manifest.recordings, manifest.log_records
        ),
    };
    if let Some(keys) = &restored.keys {
        let keys = keys.display();
        let _ = match speech {
            Speech::English => writeln!(text, "The keys came from {keys}."),
            Speech::Japanese => writeln!(text, "鍵は {keys} から戻しました。"),
        };
    }
    let erased = restored.erased.len();
    if erased > 0 {
        let _ = match speech {
            Speech::English => writeln!(
                text,
                "{} erased after the backup was made: they stay erased.",
                count_of(erased as u64, "recording")
            ),
            Speech::Japanese => writeln!(
                text,
                "{erased} 件はバックアップ後に消去されたもので、復元しません。"
            ),
        };
    }
    for id in &restored.missing {
        let what = speech.say("MISSING: no tier has its file", "録音ファイルがありません");
        let _ = writeln!(text, "{id}: {what}");
    }
    let _ = writeln!(text, "{}", rebuilt(&restored.rebuilt, speech));
    text
}

pub(super) fn rebuilt(rebuilt: &Rebuilt, speech: Speech) -> String {
    let Rebuilt {
        objects,
        known,
        entered,
        erased,
        failed,
    } = *rebuilt;
    let mut text = match speech {
        Speech::English => format!(
            "{} of the store: {known} known, {entered} entered",
            count_of(objects, "file")
        ),
        Speech::Japanese => {
            format!("保管ファイル {objects} 件：登録済み {known} 件、新たに登録 {entered} 件")
        }
    };
    if erased > 0 {
        let _ = match speech {
            Speech::English => write!(text, ", {erased} without a key: erased"),
            Speech::Japanese => write!(text, "、鍵なし（消去済み） {erased} 件"),
        };
    }
    if failed > 0 {
        let _ = match speech {
            Speech::English => write!(text, ", {failed} NOT ENTERED, see above"),
            Speech::Japanese => write!(text, "、登録できなかったもの {failed} 件（上記）"),
        };
    }
    text.push_str(speech.say(".", "。"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What needs somebody stands out, and is not said where there is nothing.
    #[test]
    fn what_needs_somebody_is_said() {
        let good = Rebuilt {
            objects: 3,
            known: 2,
            entered: 1,
            ..Rebuilt::default()
        };
        let said = rebuilt(&good, Speech::English);
        assert_eq!(said, "3 files of the store: 2 known, 1 entered.");
        let bad = Rebuilt {
            erased: 1,
            failed: 4,
            ..good
        };
        let said = rebuilt(&bad, Speech::English);
        assert!(
            said.contains("1 without a key: erased, 4 NOT ENTERED"),
            "{said}"
        );
        assert!(rebuilt(&bad, Speech::Japanese).contains("登録できなかったもの 4 件"));
        let behind = Rotated {
            generation: 2,
            recordings: 1,
            behind: vec!["/mnt/second/keys".into()],
        };
        let said = rotated(&behind, Speech::English);
        assert!(said.contains("/mnt/second/keys: NOT REACHED"), "{said}");
    }
}
