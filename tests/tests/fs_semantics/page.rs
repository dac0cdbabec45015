//! The statements of the manual against those that are proved.

use crate::GROUPS;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The sources of the groups.
const SOURCES: [&str; 10] = [
    include_str!("finding.rs"),
    include_str!("attributes.rs"),
    include_str!("listing.rs"),
    include_str!("opening.rs"),
    include_str!("reading.rs"),
    include_str!("extended.rs"),
    include_str!("refusing.rs"),
    include_str!("changing.rs"),
    include_str!("kernel.rs"),
    include_str!("mishaps.rs"),
];

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../man")
        .join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The macros that a statement may use: all that they change is how a word looks.
const LOOKS: [&str; 8] = ["Er", "Dv", "Ic", "Pa", "Ql", "Sy", "Ar", "Fn"];

/// What a line of the page says, without macros: words with a blank before each, but not before
/// punctuation.
fn plain(line: &str) -> String {
    let line = line.replace("\\(dq", "\"").replace("\\&", "");
    let Some(call) = line.strip_prefix('.') else {
        return format!(" {line}");
    };
    let mut words = call.split(' ');
    let name = words.next().unwrap_or_default();
    let mut words: Vec<&str> = words.collect();
    let mut text = String::from(" ");
    if name == "Xr" {
        text = text + words[0] + "(" + words[1] + ")";
        words.drain(..2);
    } else {
        assert!(LOOKS.contains(&name), "a statement uses the macro {name}");
    }
    let mut first = name != "Xr";
    for word in words {
        let closes = [".", ",", ";", ":", ")"].contains(&word);
        if !closes && !first {
            text.push(' ');
        }
        text += word;
        first = false;
    }
    text
}

/// One blank between words.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The statements of a page by their numbers; each stands there once.
fn told(source: &str) -> BTreeMap<u32, String> {
    let mut statements = BTreeMap::new();
    let mut open: Option<(u32, String)> = None;
    for line in source.lines() {
        if line.starts_with(".It ") || line.starts_with(".El") {
            if let Some((number, text)) = open.take() {
                let before = statements.insert(number, squeezed(&text));
                assert_eq!(before, None, "S{number} stands there twice");
            }
            let number = line.strip_prefix(".It Sy S").and_then(|it| it.parse().ok());
            open = number.map(|number| (number, String::new()));
        } else if let Some((_, text)) = &mut open {
            text.push_str(&plain(line));
        }
    }
    statements
}

/// The doc comments of the functions that prove statements, by their numbers, with their names.
fn proved() -> BTreeMap<u32, (String, String)> {
    let mut statements = BTreeMap::new();
    let mut comment = String::new();
    for line in SOURCES.iter().flat_map(|source| source.lines()) {
        if let Some(text) = line.strip_prefix("/// ") {
            comment = comment + " " + text;
            continue;
        }
        let name = line.strip_prefix("fn ").and_then(|it| it.split('(').next());
        if let Some((number, text)) = name.zip(numbered(&comment)).map(|it| it.1) {
            let name = name.unwrap_or_default().to_owned();
            assert!(
                name.starts_with(&format!("s{number:02}_")),
                "{name} proves S{number}"
            );
            let before = statements.insert(number, (name, squeezed(text)));
            assert_eq!(before, None, "S{number} is proved twice");
        }
        comment.clear();
    }
    statements
}

/// `S12: text`.
fn numbered(comment: &str) -> Option<(u32, &str)> {
    let (number, text) = comment.trim().strip_prefix('S')?.split_once(':')?;
    Some((number.parse().ok()?, text))
}

/// Both ways, text included; and each is in the table of a test, in the order of the page.
#[test]
fn the_page_states_what_is_proved_and_nothing_else() {
    let (told, proved) = (told(&page("tsuwaroku-fs.7")), proved());
    for (number, text) in &told {
        let proof = proved.get(number).map(|(_, text)| text.as_str());
        assert_eq!(proof, Some(text.as_str()), "S{number}");
    }
    assert_eq!(
        told.len(),
        proved.len(),
        "statements that the page does not have"
    );
    assert!(
        told.keys().copied().eq(1..=told.len() as u32),
        "{:?}",
        told.keys()
    );
    let run: Vec<_> = GROUPS.concat().iter().map(|(name, _)| *name).collect();
    let names: Vec<_> = proved.values().map(|(name, _)| name.as_str()).collect();
    assert_eq!(run, names);
}

/// The words of a page that are the same in each language: errors, calls, constants, literals.
fn fixed(source: &str) -> BTreeMap<u32, BTreeSet<String>> {
    let marks = ["Er", "Xr", "Dv", "Ql", "Pa"];
    let mut words: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
    let mut open = None;
    for line in source.lines() {
        if line.starts_with(".It ") || line.starts_with(".El") {
            open = line.strip_prefix(".It Sy S").and_then(|it| it.parse().ok());
        } else if let (Some(number), Some(call)) = (open, line.strip_prefix('.')) {
            let (mark, rest) = call.split_once(' ').unwrap_or_default();
            if marks.contains(&mark) {
                let word = rest.trim_end_matches([' ', '.', ',', ';', ':', '、', '。']);
                words
                    .entry(number)
                    .or_default()
                    .insert(format!("{mark} {word}"));
            }
        }
    }
    words
}

#[test]
fn the_japanese_page_has_the_same_statements() {
    let (english, japanese) = (page("tsuwaroku-fs.7"), page("ja/tsuwaroku-fs.7"));
    let numbers = |source| told(source).into_keys().collect::<Vec<_>>();
    assert_eq!(numbers(&english), numbers(&japanese));
    let (english, japanese) = (fixed(&english), fixed(&japanese));
    assert!(english.len() > 50, "{english:?}");
    for (number, words) in english {
        assert_eq!(japanese.get(&number), Some(&words), "S{number}");
    }
}
