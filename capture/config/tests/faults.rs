//! What the operator is told of a faulty file: every fault with its line and key.

use std::path::Path;
use tsuwaroku_config::{Channels, Config, Tz};

const SAMPLE: &str = include_str!("../tsuwaroku.toml");

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(Path::new("t.toml"), text).map_err(|error| error.to_string())
}

/// The sample with the first `from` replaced by `to` is refused with exactly these lines.
#[track_caller]
fn refused(from: &str, to: &str, expected: &str) {
    assert!(SAMPLE.contains(from), "the sample has no '{from}'");
    let error = parse(&SAMPLE.replacen(from, to, 1)).expect_err("the file is faulty");
    assert_eq!(error, expected);
}

/// R4.1: the sample is the office's table.
#[test]
fn the_sample_is_the_table_of_the_office() {
    let config = parse(SAMPLE).unwrap();
    let table: Vec<_> = config
        .lines
        .iter()
        .map(|line| (line.number.as_str(), line.name.as_str()))
        .collect();
    let expected = [
        ("06-6458-1132", "お客さまセンター代表ダイヤル"),
        ("06-6458-7160", "クレジットグループ用"),
        ("06-6458-7211", "口座グループ用"),
        ("06-6458-7225", "FAXグループ用"),
    ];
    assert_eq!(table, expected);
    assert!(
        config
            .lines
            .iter()
            .all(|l| l.purpose == "応対品質の管理、対応内容等の確認")
    );
    assert_eq!(config.site.time_zone, Tz::Asia__Tokyo);
    assert_eq!(config.pcms(), ["hw:CARD=Lines"]);
    assert_eq!(config.retention.primary_months, 6);
}

#[test]
fn two_channels_make_a_line_with_the_parties_apart() {
    let text = SAMPLE.replacen("channel = 4", "channels = { caller = 4, staff = 5 }", 1);
    let line = parse(&text).unwrap().lines.remove(3);
    assert_eq!(
        line.channels,
        Channels::Apart {
            caller: 4,
            staff: 5
        }
    );
    assert_eq!(line.channels.list(), [4, 5]);
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    let error = parse(&SAMPLE.replacen("channel = 2", "channel = 2\nchanel = 2", 1)).unwrap_err();
    assert!(
        error.starts_with("t.toml:21: line[2].chanel: unknown field `chanel`"),
        "{error}"
    );
    let error = parse(&format!("{SAMPLE}\n[archiv]\n")).unwrap_err();
    assert!(
        error.starts_with("t.toml:36: archiv: unknown field `archiv`"),
        "{error}"
    );
}

#[test]
fn a_wrong_type_is_named_with_its_line() {
    let error = parse(&SAMPLE.replacen("channel = 2", "channel = \"two\"", 1)).unwrap_err();
    assert!(
        error.starts_with("t.toml:20: line[2].channel: invalid type: string"),
        "{error}"
    );
}

#[test]
fn a_syntax_error_is_named_with_its_line() {
    let error = parse(&SAMPLE.replacen("channel = 2", "channel = ", 1)).unwrap_err();
    assert!(error.starts_with("t.toml:20: "), "{error}");
}

#[test]
fn a_missing_key_is_named() {
    let error = parse(&SAMPLE.replacen("card = \"hw:CARD=Lines\"\n", "", 1)).unwrap_err();
    assert!(
        error.contains("t.toml:8: line[1]: missing field `card`"),
        "{error}"
    );
}

#[test]
fn rules_between_values_are_checked() {
    refused(
        "number = \"06-6458-7160\"",
        "number = \"06-6458-1132\"",
        "t.toml:16: line[2].number: 06-6458-1132 is given twice: first on line 9",
    );
    refused(
        "channel = 2",
        "channel = 1",
        "t.toml:15: line[2].channel: channel 1 of hw:CARD=Lines carries 06-6458-1132 already",
    );
    refused(
        "channel = 2",
        "channels = { caller = 2, staff = 2 }",
        "t.toml:15: line[2].channel: channel 2 of hw:CARD=Lines carries 06-6458-7160 already",
    );
    refused(
        "\"Asia/Tokyo\"",
        "\"Asia/Osaka\"",
        "t.toml:6: site.time_zone: there is no time zone 'Asia/Osaka'; write it as in 'Asia/Tokyo'",
    );
    refused(
        "channel = 2",
        "channel = 0",
        "t.toml:20: line[2].channel: channels are counted from 1, at most 256",
    );
    refused(
        "channel = 2",
        "",
        "t.toml:15: line[2].channel: is missing: 'channel = 1', or 'channels = { caller = 1, staff = 2 }'",
    );
    refused(
        "number = \"06-6458-7160\"",
        "number = \"../7160\"",
        "t.toml:16: line[2].number: must be a telephone number of digits and hyphens, at most 32 characters",
    );
    refused(
        "[site]",
        "[retention]\nprimary_months = 0\n[archive]\nroot = \"here\"\n[site]",
        "t.toml:5: retention.primary_months: 0 is out of range: from 1 to 120\n\
         t.toml:7: archive.root: must be an absolute path, beginning with /",
    );
    refused(
        "[site]",
        "[[card]]\npcm = \"hw:1\"\n[capture]\nbuffer_seconds = 0.1\n[site]",
        "t.toml:4: card[1].pcm: no line is wired to hw:1\n\
         t.toml:7: capture.buffer_seconds: must hold at least two periods (capture.period_seconds)",
    );
}

#[test]
fn roles_and_outside_files_are_checked() {
    refused(
        "[site]",
        "[roles]\nstaff = [\"sato\", \"@\"]\nadministrators = [\"\"]\n[audit]\n\
         checkpoints = [\"/mnt/a\", \"b\"]\n[site]",
        "t.toml:5: roles.staff[2]: names no group: write '@group'\n\
         t.toml:6: roles.administrators[1]: must not be empty\n\
         t.toml:8: audit.checkpoints[2]: must be an absolute path, beginning with /",
    );
}

#[test]
fn a_file_without_lines_records_nothing_and_is_refused() {
    let error = parse("[site]\nname = \"x\"\n").unwrap_err();
    assert!(
        error.starts_with("t.toml: line: no line is designated"),
        "{error}"
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Config::load(Path::new("/nowhere/t.toml"))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("/nowhere/t.toml: cannot be read: No such file"),
        "{error}"
    );
}
