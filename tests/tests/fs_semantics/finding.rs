//! Finding: the way to a node.

use crate::office::{
    CLOSED, CLOSED_KINDS, CLOSED_TOO, MEMBERS, NAME, OPEN_KINDS, OUTSIDERS, OWNER, Office, READERS,
    ROOT, all, ask, everybody, insiders,
};
use crate::{Statement, statements};
use tsuwaroku_tests::probe::on;

/// The statements of this group.
pub const STATEMENTS: &[Statement] = statements![
    s01_a_name_is_found_as_it_is_written,
    s02_nothing_lies_below_a_recording,
    s03_the_way_to_a_node_is_all_that_stat_needs,
    s04_access_answers_from_modes_and_list,
    s05_nothing_is_a_link,
    s06_one_goes_where_one_may_pass,
];

/// S1: A name is found as it is written, byte for byte; any other name is ENOENT, whoever asks.
fn s01_a_name_is_found_as_it_is_written(office: &Office) {
    let is = |below: &str, answer| {
        ask(
            &everybody(),
            on("access", &office.at(below), &["f"]),
            answer,
        )
    };
    let mut asks = vec![
        is("by-date/2026/11/23", "ok"),
        is("by-number", "ok"),
        is(CLOSED, "ok"),
    ];
    for below in [
        "BY-DATE",
        "by-dat",
        "by-date ",
        "日付別",
        "2026",
        "by-date/26",
        "by-date/02026",
        "by-date/2026/1",
        "by-date/2026/11/3",
        "by-date/2026/11/24",
        "by-date/2026/11/23/06-6458-113",
        "by-date/2026/11/23/06-6458-11322",
        "by-number/0664581132",
    ] {
        asks.push(is(below, "ENOENT"));
    }
    let shouted = NAME.to_lowercase();
    for name in [
        shouted.as_str(),
        "100000-002T.WAV",
        "100000-002T",
        "100001-002T.wav",
        "x",
    ] {
        for folder in [CLOSED, CLOSED_TOO] {
            let call = on("access", &office.at(folder).join(name), &["f"]);
            asks.push(ask(&insiders(), call, "ENOENT"));
        }
    }
    asks.push(ask(&insiders(), on("access", &office.file(), &["f"]), "ok"));
    office.ask(&asks);
}

/// S2: A path that goes on after a recording is ENOTDIR, also if only a slash follows.
fn s02_nothing_lies_below_a_recording(office: &Office) {
    let below = |name: &str| on("access", &office.file().join(name), &["f"]);
    office.ask(&[
        ask(&insiders(), below("x"), "ENOTDIR"),
        ask(&insiders(), below(".."), "ENOTDIR"),
        ask(&insiders(), below(""), "ENOTDIR"),
    ]);
}

/// S3: stat(2) and statx(2) need the way to a node and no right to the node itself: everybody gets
/// an answer for a closed directory, and outsiders get EACCES for whatever is in it, there or not.
fn s03_the_way_to_a_node_is_all_that_stat_needs(office: &Office) {
    let mut asks = Vec::new();
    for below in CLOSED_KINDS.iter().take(2) {
        let born = on("statx-born", &office.at(below), &[]);
        asks.push(ask(&everybody(), born, "not told"));
        for name in [NAME, "2026", "nothing"] {
            let path = office.at(below).join(name);
            asks.push(ask(OUTSIDERS, on("stat", &path, &[]), "EACCES"));
            asks.push(ask(OUTSIDERS, on("statx-born", &path, &[]), "EACCES"));
        }
    }
    asks.push(ask(
        &insiders(),
        on("statx-born", &office.file(), &[]),
        "not told",
    ));
    office.ask(&asks);
    let told: Vec<_> = everybody()
        .iter()
        .map(|who| who.makes(on("stat", &office.at(CLOSED), &[])))
        .collect();
    assert!(told[0].starts_with("mode=40550 "), "{told:?}");
    assert!(told.iter().all(|one| *one == told[0]), "{told:?}");
}

/// S4: access(2) of a recording or a closed directory says yes for reading to readers, members,
/// root and the daemon's account. For writing it says so to the same except the daemon's account,
/// because of the access list of S36, though nobody can write. For executing a recording it says
/// EACCES to everybody.
fn s04_access_answers_from_modes_and_list(office: &Office) {
    let readable = insiders();
    let writable = all(&[READERS, MEMBERS, ROOT]);
    let mut asks = Vec::new();
    for path in [office.file(), office.at(CLOSED)] {
        let may = |letter: &str| on("access", &path, &[letter]);
        asks.push(ask(&readable, may("r"), "ok"));
        asks.push(ask(OUTSIDERS, may("r"), "EACCES"));
        asks.push(ask(&writable, may("w"), "ok"));
        asks.push(ask(OWNER, may("w"), "EACCES"));
        asks.push(ask(OUTSIDERS, may("w"), "EACCES"));
    }
    asks.push(ask(
        &everybody(),
        on("access", &office.file(), &["x"]),
        "EACCES",
    ));
    office.ask(&asks);
}

/// S5: readlink(2) is EINVAL: there are no symbolic links.
fn s05_nothing_is_a_link(office: &Office) {
    let mut asks = vec![ask(
        &insiders(),
        on("readlink", &office.file(), &[]),
        "EINVAL",
    )];
    for below in [OPEN_KINDS, &[CLOSED]].concat() {
        asks.push(ask(
            &everybody(),
            on("readlink", &office.at(below), &[]),
            "EINVAL",
        ));
    }
    office.ask(&asks);
}

/// S6: chdir(2) works in an open directory for everybody, in a closed one for readers, members,
/// root and the daemon's account; outsiders get EACCES.
fn s06_one_goes_where_one_may_pass(office: &Office) {
    let mut asks = Vec::new();
    for below in OPEN_KINDS {
        asks.push(ask(&everybody(), on("chdir", &office.at(below), &[]), "ok"));
    }
    for below in CLOSED_KINDS {
        asks.push(ask(&insiders(), on("chdir", &office.at(below), &[]), "ok"));
        asks.push(ask(
            OUTSIDERS,
            on("chdir", &office.at(below), &[]),
            "EACCES",
        ));
    }
    office.ask(&asks);
}
