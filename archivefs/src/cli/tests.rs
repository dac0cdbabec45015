//! The verbs of the audit log as they are typed: with a daemon, and with nothing but a copy.

use super::*;
use crate::audit::{Chain, Draft, Event, Outcome, Signer};
use crate::catalogue::tests::{catalogue, signers};
use crate::control::tests::Daemon;
use std::path::PathBuf;

/// What the command answers, and prints.
fn type_in(speech: Speech, words: &[&str]) -> (Result<ExitCode, Failure>, String) {
    let args = Args::try_parse_from([&["tsuwaroku"], words].concat()).unwrap();
    let mut out = Vec::new();
    let code = run(&args, speech, &mut out);
    (code, String::from_utf8(out).unwrap())
}

/// The exit status, and what was printed, in English.
fn audit(daemon: &Daemon, words: &[&str]) -> (ExitCode, String) {
    let config = daemon.config_file();
    let all = [&["--config", config.to_str().unwrap(), "audit"], words].concat();
    let (code, out) = type_in(Speech::English, &all);
    (code.unwrap(), out)
}

/// A copy of a catalogue with ten searches in its log.
fn copy() -> (tempfile::TempDir, PathBuf) {
    let (folder, catalogue) = catalogue();
    for at in 1..=10 {
        let draft = Draft::new(at * 1_000_000_000, Event::Find, Outcome::Done);
        catalogue.log(draft).unwrap();
    }
    drop(catalogue);
    let path = folder.path().join("catalogue.sqlite");
    (folder, path)
}

fn verify_copy(path: &Path, more: &[&str]) -> (ExitCode, String) {
    let words = ["audit", "verify", "--database", path.to_str().unwrap()];
    let (code, out) = type_in(Speech::English, &[&words, more].concat());
    (code.unwrap(), out)
}

/// R5.2: no configuration, no daemon, no key: a byte of a record is changed in the file, and the
/// record is named.
#[test]
fn a_flipped_byte_in_a_copy_is_found() {
    let (_folder, path) = copy();
    let (code, said) = verify_copy(&path, &[]);
    assert_eq!(code, ExitCode::SUCCESS, "{said}");
    assert!(said.contains("11 records verified: all good"), "{said}");
    assert!(said.contains(&signers()[0].vkey()), "{said}");
    assert!(said.contains("taken from the log itself"), "{said}");

    let mut bytes = std::fs::read(&path).unwrap();
    let record = br#""seq":7,"at":"1970-01-01T00:00:06"#;
    let found = bytes.windows(record.len()).position(|part| part == record);
    bytes[found.unwrap() + record.len() - 1] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let (code, said) = verify_copy(&path, &[]);
    assert_eq!(code, ExitCode::from(exit::ATTENTION));
    assert!(said.starts_with("record 7 was changed"), "{said}");
    assert!(said.contains("1 FINDING"), "{said}");
    let words = ["audit", "verify", "--database", path.to_str().unwrap()];
    let (code, said) = type_in(Speech::Japanese, &words);
    assert_eq!(code.unwrap(), ExitCode::from(exit::ATTENTION));
    assert!(said.starts_with("記録 7 が変更"), "{said}");
    let (_, json) = verify_copy(&path, &["--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["findings"][0]["finding"], "changed");
    assert_eq!(json["findings"][0]["seq"], 7);
    assert_eq!(json["verified"]["findings"], 1);
}

/// The log was written anew with the daemon's own key: only who kept a checkpoint outside sees it.
#[test]
fn a_checkpoint_from_outside_shows_a_log_written_anew() {
    let (folder, path) = copy();
    let mut other = Chain::new();
    for at in 1..=8 {
        other.append(&Draft::new(at, Event::Open, Outcome::Done), [0; 32]);
    }
    let kept = folder.path().join("kept");
    std::fs::write(&kept, signers()[0].sign(&other)).unwrap();
    assert_eq!(verify_copy(&path, &[]).0, ExitCode::SUCCESS);
    let kept = kept.to_str().unwrap();
    let (code, said) = verify_copy(&path, &["--checkpoints", kept]);
    assert_eq!(code, ExitCode::from(exit::ATTENTION));
    assert!(
        said.starts_with("records 1 to 8 are not those of the checkpoint"),
        "{said}"
    );
    assert!(said.contains(kept), "{said}");
}

#[test]
fn a_key_that_is_given_must_match() {
    let (_folder, path) = copy();
    let right = signers()[0].vkey();
    let (code, said) = verify_copy(&path, &["--key", &right]);
    assert_eq!(code, ExitCode::SUCCESS, "{said}");
    assert!(!said.contains("taken from the log"), "{said}");
    let wrong = Signer::new("tsuwaroku/test", [8; 32]).unwrap().vkey();
    let (code, said) = verify_copy(&path, &["--key", &wrong]);
    assert_eq!(code, ExitCode::from(exit::ATTENTION), "{said}");
}

#[test]
fn what_cannot_be_verified_is_never_good() {
    let (folder, path) = copy();
    let verify = |path: &Path, more: &[&str]| {
        let words = ["audit", "verify", "--database", path.to_str().unwrap()];
        let (code, _) = type_in(Speech::English, &[&words, more].concat());
        let failure = code.unwrap_err();
        (failure.status(), failure.to_string())
    };
    let none = folder.path().join("none");
    assert_eq!(verify(&none, &[]).0, exit::IO);
    let empty = folder.path().join("empty");
    std::fs::write(&empty, "\n").unwrap();
    let (status, said) = verify(&path, &["--checkpoints", empty.to_str().unwrap()]);
    assert_eq!(status, exit::ATTENTION);
    assert!(said.contains("no checkpoint in it"), "{said}");
    let half = folder.path().join("half");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&half, &bytes[..bytes.len() / 2]).unwrap();
    let (status, said) = verify(&half, &[]);
    assert_eq!(status, exit::ATTENTION);
    assert!(said.contains("damaged, or no whole copy"), "{said}");
}

/// What a person prints, keeps, and verifies with later.
#[test]
fn a_printed_checkpoint_and_the_outside_file_verify_the_running_log() {
    let daemon = Daemon::start("officer");
    let (code, printed) = audit(&daemon, &["checkpoint"]);
    assert_eq!(code, ExitCode::SUCCESS);
    let paper = daemon.notes().with_file_name("paper");
    std::fs::write(&paper, &printed).unwrap();
    let (_, key) = printed.split_once("Verification key: ").unwrap();
    let key = key.lines().next().unwrap();
    let (notes, paper) = (daemon.notes(), paper.to_str().unwrap().to_owned());
    let outside = [
        "--checkpoints",
        notes.to_str().unwrap(),
        "--checkpoints",
        &paper,
    ];
    let (code, said) = audit(&daemon, &[&["verify", "--key", key], &outside[..]].concat());
    assert_eq!(code, ExitCode::SUCCESS, "{said}");
    assert!(said.contains("2 of them from outside"), "{said}");

    let (code, said) = audit(&daemon, &["rotate"]);
    assert_eq!(code, ExitCode::SUCCESS);
    assert!(!said.contains(key), "{said}");
    let (code, said) = audit(&daemon, &[&["verify", "--key", key], &outside[..]].concat());
    assert_eq!(code, ExitCode::SUCCESS, "{said}");
    let (code, said) = audit(
        &daemon,
        &["list", "--event", "log-verified", "--limit", "1"],
    );
    assert_eq!(code, ExitCode::SUCCESS);
    assert!(
        said.contains("officer") && said.contains("findings: 0"),
        "{said}"
    );
}

#[test]
fn the_list_is_a_table_or_json() {
    let daemon = Daemon::start("officer");
    let at = 1_795_396_530_000_000_000;
    let draft = Draft::new(at, Event::Open, Outcome::Refused).of_number("06-6458-1132");
    let draft = draft.with("reason", "\u{1b}[2J口座");
    let draft = draft.hidden("party", "0312345678");
    daemon.device.catalogue.log(draft).unwrap();
    let (_, table) = audit(&daemon, &["list", "--result", "refused"]);
    let row = table.lines().nth(2).unwrap();
    for part in [
        "2026-11-23 10:15:30",
        "REFUSED",
        "06-6458-1132",
        "party: 0312345678",
        "\\u{1b}[2J口座",
    ] {
        assert!(row.contains(part), "{part}: {table}");
    }
    assert!(table.ends_with("1 record.\n"), "{table}");
    let days = |from, to| {
        audit(
            &daemon,
            &["list", "--event", "open", "--from", from, "--to", to],
        )
        .1
    };
    assert_eq!(days("2026-11-23", "2026-11-23"), table);
    assert_eq!(days("2026-11-24", "2026-11-24"), "No records.\n");
    let (_, json) = audit(&daemon, &["list", "--number", "06-6458-1132", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["result"], "refused");
    assert_eq!(json[0]["private"]["party"], "0312345678");
}

#[test]
fn who_may_not_read_the_log_is_told_so() {
    let daemon = Daemon::start("clerk");
    let config = daemon.config_file();
    let words = ["--config", config.to_str().unwrap(), "audit", "list"];
    let (code, said) = type_in(Speech::English, &words);
    assert_eq!(code.unwrap_err().status(), exit::NOT_ALLOWED);
    assert_eq!(said, "");
    let last = daemon.records().pop().unwrap();
    assert_eq!(
        (last.result, &*last.facts["action"]),
        (Outcome::Refused, "read-log")
    );
}

#[test]
fn the_status_tells_of_the_log() {
    let daemon = Daemon::start("manager");
    audit(&daemon, &["checkpoint"]);
    let config = daemon.config_file();
    let words = ["--config", config.to_str().unwrap(), "status"];
    let (code, said) = type_in(Speech::English, &words);
    assert_eq!(code.unwrap(), ExitCode::SUCCESS);
    assert!(said.contains("3 records, checkpoint of 3 at "), "{said}");
    std::fs::remove_dir_all(daemon.notes().parent().unwrap()).unwrap();
    audit(&daemon, &["checkpoint"]);
    for speech in [Speech::English, Speech::Japanese] {
        let (code, said) = type_in(speech, &words);
        assert_eq!(code.unwrap(), ExitCode::from(exit::ATTENTION));
        assert!(said.contains(daemon.notes().to_str().unwrap()), "{said}");
    }
}
