//! Goal: the manual, the sample configurations in it and the READMEs say what the programs do. Each
//! page is compared with the real programs, the running daemon or the source of the configuration,
//! and read by mandoc.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tsuwaroku_tests::harness::{binary, files};

#[path = "manual/running.rs"]
mod running;

/// The pages that there are in Japanese too.
const BOTH: [&str; 3] = ["tsuwaroku.8", "tsuwaroku.toml.5", "tsuwaroku-fs.7"];

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The source of a page: `tsuwaroku.8`, `ja/tsuwaroku.8`.
fn source(page: &str) -> String {
    read(&top().join("man").join(page))
}

fn mandoc(arguments: &[&str], page: &Path) -> Output {
    let output = Command::new("mandoc")
        .args(["-K", "utf-8"])
        .args(arguments)
        .arg(page)
        .output();
    output.expect("mandoc is installed: see tests/setup")
}

/// A page as a terminal shows it, without bold and underline.
fn rendered(page: &str) -> String {
    let output = mandoc(&["-T", "utf8"], &top().join("man").join(page));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut plain = String::new();
    for c in text.chars() {
        // A letter, a backspace and the letter again is a bold one.
        if c == '\u{8}' {
            plain.pop();
        } else {
            plain.push(c);
        }
    }
    plain
}

/// Whether `word` stands in `text` by itself.
fn names(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(part) && !after.is_some_and(part)
    })
}

/// What stands after the mdoc macro `name` in a page's source, wherever it is called.
fn marked(source: &str, name: &str) -> BTreeSet<String> {
    let calls = source.lines().filter_map(|line| line.strip_prefix('.'));
    let mut found = BTreeSet::new();
    for line in calls {
        let words: Vec<&str> = line.split(' ').collect();
        found.extend(
            words
                .windows(2)
                .filter(|pair| pair[0] == name)
                .map(|pair| pair[1].to_owned()),
        );
    }
    found
}

fn help(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(binary(program))
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:?}"
    );
    String::from_utf8(output.stdout).unwrap()
}

/// The verbs that a help text lists.
fn verbs(help: &str) -> Vec<String> {
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let list = list.take_while(|line| !line.is_empty());
    list.filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

/// The long options that a help text lists.
fn flags(help: &str) -> BTreeSet<String> {
    let list = help
        .lines()
        .map(str::trim_start)
        .filter(|line| line.starts_with('-'));
    let words = list.flat_map(|line| line.split([' ', ',', '=']));
    words
        .filter(|word| word.len() > 2 && word.starts_with("--"))
        .map(str::to_owned)
        .collect()
}

/// Every verb and every option of `tsuwaroku`, those of verbs of verbs too.
fn command_line() -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut all_verbs, mut all_flags) = (BTreeSet::new(), BTreeSet::new());
    let mut open = vec![vec!["help".to_owned()]];
    while let Some(words) = open.pop() {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let text = help("tsuwaroku", &words);
        all_flags.extend(flags(&text));
        for verb in verbs(&text) {
            if verb != "help" {
                open.push(
                    words
                        .iter()
                        .copied()
                        .chain([&*verb])
                        .map(str::to_owned)
                        .collect(),
                );
            }
            all_verbs.insert(verb);
        }
    }
    (all_verbs, all_flags)
}

#[test]
fn the_page_of_the_command_names_every_verb_and_every_option() {
    let (verbs, flags) = command_line();
    assert!(verbs.contains("serve") && verbs.contains("show") && flags.contains("--limit"));
    for page in ["tsuwaroku.8", "ja/tsuwaroku.8"] {
        let text = rendered(page);
        for word in verbs.iter().chain(&flags) {
            assert!(names(&text, word), "{page} does not name {word}");
        }
        for flag in marked(&source(page), "Fl")
            .iter()
            .filter(|flag| flag.starts_with('-'))
        {
            assert!(
                flags.contains(&format!("-{flag}")),
                "{page}: there is no option -{flag}"
            );
        }
    }
}

#[test]
fn the_page_of_capture_names_every_option() {
    let flags = flags(&help("tsuwaroku-capture", &["--help"]));
    assert!(flags.contains("--list"));
    let text = rendered("tsuwaroku-capture.8");
    for flag in &flags {
        assert!(
            names(&text, flag),
            "tsuwaroku-capture.8 does not name {flag}"
        );
    }
}

/// The tables of the configuration with their keys, out of the types that it is parsed into.
fn tables() -> Vec<(String, BTreeSet<String>)> {
    let code = read(&top().join("capture/config/src/file.rs"));
    let mut tables: Vec<(String, BTreeSet<String>)> = Vec::new();
    for line in code.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("pub(crate) struct ") {
            let name = name.trim_end_matches(" {").to_lowercase();
            tables.push((name, BTreeSet::new()));
        } else if let Some((key, _)) = line.strip_prefix("pub ").and_then(|it| it.split_once(':')) {
            tables
                .last_mut()
                .expect("a field is in a struct")
                .1
                .insert(key.to_owned());
        }
    }
    tables
}

/// The part of a page about a table: from its heading to the next.
fn section<'a>(source: &'a str, table: &str) -> Option<&'a str> {
    let headings = [format!("\n.Ss [{table}]"), format!("\n.Ss [[{table}]]")];
    let begin = headings.iter().find_map(|heading| source.find(heading))?;
    let rest = &source[begin + 1..];
    let end = rest.find("\n.S").unwrap_or(rest.len());
    Some(&rest[..end])
}

#[test]
fn the_page_of_the_configuration_describes_every_key_and_no_other() {
    let tables = tables();
    let keys_of = |wanted: &str| {
        let found = tables.iter().find(|(name, _)| name == wanted);
        &found
            .unwrap_or_else(|| panic!("there is no struct for {wanted}"))
            .1
    };
    assert!(keys_of("line").contains("reader_group"));
    for page in ["tsuwaroku.toml.5", "ja/tsuwaroku.toml.5"] {
        let source = source(page);
        for table in keys_of("file") {
            let section = section(&source, table)
                .unwrap_or_else(|| panic!("{page} has no heading for [{table}]"));
            let items = section
                .lines()
                .filter_map(|line| line.strip_prefix(".It Ic "));
            let described: BTreeSet<String> = items.map(str::to_owned).collect();
            assert_eq!(&described, keys_of(table), "{page}, [{table}]");
        }
        let line = section(&source, "line").unwrap();
        for key in keys_of("apart") {
            assert!(
                line.contains(&format!("{key} =")),
                "{page} does not describe {key}"
            );
        }
    }
}

/// The literal blocks of a page after the heading `heading`.
fn examples(source: &str, heading: &str) -> Vec<String> {
    let (_, examples) = source.split_once(heading).expect("the page has examples");
    let blocks = examples.split("\n.Bd ").skip(1);
    blocks
        .map(|block| {
            let block = block.split("\n.Ed").next().unwrap_or_default();
            let (_, text) = block.split_once('\n').unwrap_or_default();
            format!("{text}\n")
        })
        .collect()
}

#[test]
fn the_sample_configurations_of_the_manual_are_good() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tsuwaroku.toml");
    for (page, heading) in [
        ("tsuwaroku.toml.5", ".Sh EXAMPLES"),
        ("ja/tsuwaroku.toml.5", ".Sh 例"),
    ] {
        let examples = examples(&source(page), heading);
        assert_eq!(examples.len(), 2, "{page}");
        for example in examples {
            let site = if example.contains("[site]") {
                ""
            } else {
                "[site]\nname = \"x\"\n"
            };
            fs::write(&path, format!("{site}{example}")).unwrap();
            let checked = Command::new(binary("tsuwaroku"))
                .arg("--config")
                .arg(&path)
                .args(["config", "check"])
                .output()
                .unwrap();
            assert!(checked.status.success(), "{page}: {checked:?}");
        }
    }
}

#[test]
fn every_page_is_well_formed() {
    let pages = files(&top().join("man"));
    let pages: Vec<_> = pages
        .iter()
        .filter(|page| {
            page.extension()
                .is_some_and(|end| ["5", "7", "8"].iter().any(|s| end == *s))
        })
        .collect();
    assert!(pages.len() >= 10, "only {pages:?}");
    for page in pages {
        let output = mandoc(&["-T", "lint", "-W", "warning"], page);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.is_empty(), "{said}");
        assert!(
            read(page).lines().count() > 20,
            "{} says nothing",
            page.display()
        );
    }
}

#[test]
fn the_japanese_pages_name_what_the_english_ones_name() {
    for page in BOTH {
        let (english, japanese) = (source(page), source(&format!("ja/{page}")));
        for mark in ["Fl", "Cm", "Ic", "Er", "Ev", "Dv", "Pa", "Xr"] {
            assert_eq!(
                marked(&english, mark),
                marked(&japanese, mark),
                "{page}, .{mark}"
            );
        }
    }
}

/// The files and directories of the source that a README names.
#[test]
fn everything_that_the_readmes_name_is_there() {
    let mut both = Vec::new();
    for readme in ["README.md", "README.ja.md"] {
        let text = read(&top().join(readme));
        let quoted = text.split('`').skip(1).step_by(2);
        let here = |path: &&str| {
            ["capture/", "archivefs/", "udev/", "man/", "tests/"]
                .iter()
                .any(|dir| path.starts_with(dir))
        };
        let named: BTreeSet<String> = quoted.filter(here).map(str::to_owned).collect();
        assert!(named.len() > 20, "{readme}: {named:?}");
        for path in &named {
            assert!(top().join(path).exists(), "{readme} names {path}");
        }
        both.push(named);
    }
    assert_eq!(both[0], both[1]);
}
