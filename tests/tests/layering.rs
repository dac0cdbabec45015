//! The house's rules about its own structure: imports point one way, a foreign interface has one
//! door, and nothing is unsafe but where it is said.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// Rust files below `folder`, with their text.
fn sources(folder: &str) -> BTreeMap<String, String> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), &mut found);
    assert!(!found.is_empty(), "{folder} has no sources");
    let name = |path: &Path| path.strip_prefix(root()).unwrap().display().to_string();
    found
        .iter()
        .map(|path| (name(path), fs::read_to_string(path).unwrap()))
        .collect()
}

/// The code of a file: without comments, and without its tests.
fn code(text: &str) -> String {
    let until_tests = text.split("#[cfg(test)]").next().unwrap_or_default();
    let no_comment = |line: &str| line.split("//").next().unwrap_or_default().to_owned();
    until_tests
        .lines()
        .map(no_comment)
        .collect::<Vec<_>>()
        .join("\n")
}

/// The modules that `code` takes from its own crate: `use crate::{a::X, b}` and `crate::c::Y`.
fn own_modules(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let after = &code[at + "crate::".len()..];
        if let Some(list) = after.strip_prefix('{') {
            let mut depth = 0;
            let mut word = String::new();
            for c in list.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => found.push(std::mem::take(&mut word)),
                    _ if depth == 0 => word.push(c),
                    _ => {}
                }
            }
            found.push(word);
        } else {
            found.push(after.to_owned());
        }
    }
    let name = |text: &String| -> String {
        text.trim()
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    found
        .iter()
        .map(name)
        .filter(|name| !name.is_empty())
        .collect()
}

/// `layers` from the ground up: a module imports from its own layer or from those below.
fn assert_layers(source_folder: &str, layers: &[&[&str]]) {
    let floor = |module: &str| layers.iter().position(|layer| layer.contains(&module));
    let mut seen = 0;
    for (path, text) in sources(source_folder) {
        let below = path
            .strip_prefix(source_folder)
            .unwrap()
            .trim_start_matches('/');
        let module = below.split(['/', '.']).next().unwrap();
        if matches!(module, "lib" | "main") || path.contains("tests") {
            continue;
        }
        let own = floor(module).unwrap_or_else(|| panic!("{path}: '{module}' is on no floor"));
        for other in own_modules(&code(&text)) {
            let Some(other_floor) = floor(&other) else {
                continue;
            };
            seen += usize::from(other != module);
            assert!(
                other_floor < own || other == module || (other_floor == own && own == 0),
                "{path}: '{module}' imports '{other}', which is not below it"
            );
        }
    }
    assert!(seen > 0, "{source_folder}: no import was recognised");
}

#[test]
fn the_archives_imports_point_one_way() {
    assert_layers(
        "archivefs/src",
        &[
            &["call", "clock", "crypto", "day"],
            &["period", "wav", "codec"],
            &["store"],
            &["audit"],
            &["catalogue"],
            &["checkpoints", "refusals", "backup"],
            &["keys"],
            &["accounts"],
            &["rights"],
            &["views"],
            &["vault"],
            &["ingest", "import", "verify", "rebuild"],
            &["findings"],
            &["scrub", "life"],
            &["fs"],
            &["control"],
            &["serve"],
            &["cli"],
        ],
    );
}

/// The daemons meet in the spool and in the configuration, and nowhere else.
#[test]
fn crates_depend_one_way() {
    let allowed: [(&str, &[&str]); 5] = [
        ("capture/config", &[]),
        ("capture/spool", &[]),
        ("capture", &["tsuwaroku-config", "tsuwaroku-spool"]),
        ("archivefs", &["tsuwaroku-config", "tsuwaroku-spool"]),
        // Benchmarks only: tests and demonstration see the archive from outside.
        (
            "tests",
            &["tsuwaroku", "tsuwaroku-config", "tsuwaroku-spool"],
        ),
    ];
    for (folder, allowed) in allowed {
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        let dependencies = manifest.split("[dependencies]").nth(1).unwrap();
        let ours = dependencies.lines().filter_map(|line| {
            let name = line.split(['.', '=', ' ']).next()?;
            name.starts_with("tsuwaroku").then_some(name)
        });
        for name in ours {
            assert!(allowed.contains(&name), "{folder} depends on {name}");
        }
    }
}

#[test]
fn a_foreign_interface_has_one_door() {
    let doors = [
        ("alsa", "capture", "capture/src/source/alsa"),
        ("fuser", "archivefs", "archivefs/src/fs/fuse.rs"),
        ("rusqlite", "archivefs", "archivefs/src/catalogue/"),
    ];
    for (name, folder, door) in doors {
        let mut through = 0;
        for (path, text) in sources(folder) {
            let code = code(&text);
            let names = code.contains(&format!("use {name}::"))
                || code.contains(&format!("use ::{name}::"))
                || code.match_indices(&format!("{name}::")).any(|(at, _)| {
                    let before = code[..at].chars().next_back().unwrap_or(' ');
                    !before.is_alphanumeric()
                        && !matches!(before, '_' | ':')
                        && !path.contains("/main.rs")
                        && !path.contains("/daemon.rs")
                });
            if path.starts_with(door) {
                through += usize::from(names);
            } else {
                assert!(!names, "{path} names the crate {name}; only {door} may");
            }
        }
        assert!(
            through > 0,
            "{door} does not name {name}: has the door moved?"
        );
    }
}

#[test]
fn sql_stands_in_one_folder() {
    for (path, text) in sources("archivefs/src") {
        if !path.starts_with("archivefs/src/catalogue/") {
            for word in ["SELECT ", "INSERT INTO", "DELETE FROM", "PRAGMA "] {
                assert!(!code(&text).contains(word), "{path} holds SQL: {word}");
            }
        }
    }
}

/// R6.7: a recording is erased in `life` and nowhere else. What others call that removes a file or a key
/// is named here, with who calls it.
#[test]
fn what_destroys_has_one_door() {
    let doors = [
        // Ingest takes back what it stored again while the recording was being erased.
        (".destroy(", &["life/", "vault.rs", "ingest.rs"][..]),
        (".catalogue.erase(", &["life/"]),
        (".remove_all(", &["life/", "store/destroy.rs"]),
        (
            "Warrant::",
            &["life/approval.rs", "catalogue/tombstones.rs"],
        ),
    ];
    for (call, allowed) in doors {
        let mut through = 0;
        for (path, text) in sources("archivefs/src") {
            let path = path.trim_start_matches("archivefs/src/");
            if path.contains("tests") || !code(&text).contains(call) {
                continue;
            }
            let is_allowed = allowed.iter().any(|door| path.starts_with(door));
            assert!(is_allowed, "{path} calls {call}; only {allowed:?} may");
            through += 1;
        }
        assert!(through > 0, "nobody calls {call}: has it another name?");
    }
}

/// Unsafe code is denied for the workspace; an exception stands in a file of its own and says why it
/// is sound.
#[test]
fn unsafe_code_says_why_it_is_sound() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(manifest.contains("unsafe_code = \"deny\""));
    for folder in ["capture", "archivefs", "tests/src"] {
        for (path, text) in sources(folder) {
            let exceptions = code(&text).matches("allow(unsafe_code)").count();
            if exceptions > 0 {
                assert!(text.contains("SAFETY:"), "{path} has no SAFETY paragraph");
                assert!(
                    code(&text).lines().count() < 200,
                    "{path} is not a small file"
                );
            }
        }
    }
}

#[test]
fn every_crate_takes_the_workspaces_lints() {
    for folder in [
        "capture",
        "capture/config",
        "capture/spool",
        "archivefs",
        "tests",
    ] {
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true"), "{folder}");
    }
}
