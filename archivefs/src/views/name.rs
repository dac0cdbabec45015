//! The names of directories and files.

use super::{Folder, Tree, When};
use crate::call::{Direction, time_of};
use crate::catalogue::Recording;
use crate::day::Day;
use chrono::{DateTime, NaiveDate, NaiveTime, TimeZone, Utc};
use chrono_tz::Tz;
use tsuwaroku_config::Language;

/// The name of a tree's top directory.
pub fn top_name(tree: Tree, language: Language) -> &'static str {
    match (tree, language) {
        (Tree::ByDate, Language::English) => "by-date",
        (Tree::ByNumber, Language::English) => "by-number",
        (Tree::ByDate, Language::Japanese) => "日付別",
        (Tree::ByNumber, Language::Japanese) => "番号別",
    }
}

/// The last part of the name of a directory for a time: `2026`, `11`, `23`.
pub fn folder_name(when: When) -> Option<String> {
    match when {
        When::Ever => None,
        When::Year(year) => Some(format!("{year:04}")),
        When::Month(_, month) => Some(format!("{month:02}")),
        When::Day(day) => Some(format!("{:02}", day.day())),
    }
}

/// The directory for a time that is called `name` in `folder`, if that is a name for one.
pub fn child_folder(folder: Folder, name: &str) -> Option<Folder> {
    let number = || {
        name.parse()
            .ok()
            .filter(|_| name.bytes().all(|b| b.is_ascii_digit()))
    };
    let when = match (folder.when, name.len()) {
        (When::Ever, 4) => When::Year(number()?),
        (When::Year(year), 2) => When::Month(
            year,
            u8::try_from(number()?)
                .ok()
                .filter(|m| (1..=12).contains(m))?,
        ),
        (When::Month(year, month), 2) => {
            When::Day(Day::new(year, month, u8::try_from(number()?).ok()?)?)
        }
        _ => return None,
    };
    (when != When::Year(0)).then_some(Folder { when, ..folder })
}

/// The name of a recording's file: local time, direction and other party where known, and the end of
/// the identity: `101530-in-0312345678-7XQ2.wav`.
pub fn file_name(recording: &Recording, zone: Tz) -> String {
    let start = time_of(recording.key.milliseconds() * 1_000_000).with_timezone(&zone);
    let direction = match recording.direction {
        Direction::In => "-in",
        Direction::Out => "-out",
        Direction::Unknown => "",
    };
    let party = recording
        .other_party
        .as_deref()
        .map(|party| format!("-{}", plain(party)));
    let id = recording.id.to_string();
    let suffix = &id[id.len() - usize::from(recording.suffix).min(id.len())..];
    format!(
        "{}{direction}{}-{suffix}.wav",
        start.format("%H%M%S"),
        party.unwrap_or_default()
    )
}

/// What a telephone number may hold; anything else, which a line may signal, is shown as `_`.
fn plain(party: &str) -> String {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '*' | '#');
    party
        .chars()
        .take(40)
        .map(|c| if good(c) { c } else { '_' })
        .collect()
}

/// The moments at which a recording of `day` may begin whose file is called `name`: one, none, or two
/// when the clocks were set back.
pub fn seconds_of_name(name: &str, day: Day, zone: Tz) -> Vec<DateTime<Utc>> {
    let time = name
        .get(..6)
        .filter(|time| time.bytes().all(|b| b.is_ascii_digit()));
    let Some(time) = time.and_then(|time| NaiveTime::parse_from_str(time, "%H%M%S").ok()) else {
        return Vec::new();
    };
    let date = NaiveDate::from_ymd_opt(day.year().into(), day.month().into(), day.day().into());
    let Some(local) = date.map(|date| date.and_time(time)) else {
        return Vec::new();
    };
    let found = zone.from_local_datetime(&local);
    let mut moments: Vec<_> = [found.earliest(), found.latest()]
        .into_iter()
        .flatten()
        .map(|m| m.to_utc())
        .collect();
    moments.dedup();
    moments
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Layout;
    use crate::catalogue::{Key, NumberId};
    use crate::store::{Sealed, Tier};
    use tsuwaroku_spool::record::{Encoding, EndReason};
    use ulid::Ulid;

    fn recording(direction: Direction, party: Option<&str>, suffix: u8) -> Recording {
        let id = Ulid::from_parts(1_795_396_530_250, 0xABCD);
        Recording {
            key: Key::of(id),
            id,
            number: NumberId(1),
            suffix,
            started_at: 1_795_396_530_250_000_000,
            frames: 8000,
            layout: Layout {
                rate: 8000,
                channels: 1,
                encoding: Encoding::S16,
            },
            direction,
            other_party: party.map(str::to_owned),
            gap_frames: 0,
            end_reason: EndReason::Silence,
            sealed: Sealed {
                wav_bytes: 1,
                wav_sha256: [0; 32],
                stored_bytes: 1,
            },
            tier: Tier::Primary,
        }
    }

    #[test]
    fn a_file_is_named_by_what_is_known() {
        let name = |d, p, s| file_name(&recording(d, p, s), Tz::Asia__Tokyo);
        assert_eq!(name(Direction::Unknown, None, 4), "101530-1AYD.wav");
        assert_eq!(
            name(Direction::In, Some("0312345678"), 4),
            "101530-in-0312345678-1AYD.wav"
        );
        let long = name(Direction::Out, Some("../x\n"), 26);
        assert!(long.starts_with("101530-out-___x_-01"), "{long}");
        assert!(!long.contains('/'));
    }

    #[test]
    fn a_name_leads_back_to_its_second() {
        let recording = recording(Direction::Unknown, None, 4);
        let day = Day::new(2026, 11, 23).unwrap();
        let name = file_name(&recording, Tz::Asia__Tokyo);
        let moments = seconds_of_name(&name, day, Tz::Asia__Tokyo);
        assert_eq!(moments.len(), 1);
        assert_eq!(moments[0].timestamp(), recording.key.milliseconds() / 1000);
        assert!(seconds_of_name("日本語", day, Tz::Asia__Tokyo).is_empty());
        assert!(seconds_of_name("256199-x", day, Tz::Asia__Tokyo).is_empty());
        let autumn = Day::new(2026, 10, 25).unwrap();
        assert_eq!(
            seconds_of_name("023000-x.wav", autumn, Tz::Europe__Berlin).len(),
            2
        );
    }

    #[test]
    fn only_exact_names_are_folders() {
        let top = Tree::ByDate.top();
        let year = child_folder(top, "2026").unwrap();
        let month = child_folder(year, "02").unwrap();
        let day = child_folder(month, "28").unwrap();
        assert_eq!(day.when, When::Day(Day::new(2026, 2, 28).unwrap()));
        assert_eq!(folder_name(day.when).as_deref(), Some("28"));
        for (folder, name) in [
            (top, "+026"),
            (top, "0000"),
            (top, "26"),
            (year, "13"),
            (year, "2"),
            (month, "29"),
            (month, "00"),
            (day, "01"),
        ] {
            assert_eq!(child_folder(folder, name), None, "{name}");
        }
    }
}
