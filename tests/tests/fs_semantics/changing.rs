//! What the daemon refuses and logs: changes of modes, owners, times, attributes and flags; and how it
//! logs them. Fewer than 300 refusals for each account, so that each is a record by itself.

use crate::office::{
    About, CLOSED_KINDS, NUMBER, OPEN_KINDS, OUTSIDERS, OWNER, Office, READERS, ROOT, all,
    everybody, insiders, not_opened, refused, writers, writers_at_large,
};
use crate::{Statement, statements};
use std::path::PathBuf;
use std::time::Duration;
use tsuwaroku_tests::harness::wait_for;
use tsuwaroku_tests::probe::on;

/// The statements of this group.
pub const STATEMENTS: &[Statement] = statements![
    s46_changing_modes_is_refused,
    s47_changing_owners_is_refused,
    s48_changing_times_is_refused,
    s49_changing_attributes_is_refused,
    s50_changing_access_lists_is_refused,
    s51_changing_flags_is_refused,
    s52_each_refusal_is_one_record,
    s53_a_flood_of_refusals_is_counted,
];

/// A node of each kind, and what a change of it is about.
fn nodes(office: &Office) -> Vec<(PathBuf, About)> {
    let open = OPEN_KINDS
        .iter()
        .map(|below| (office.at(below), About::Open));
    let closed = CLOSED_KINDS
        .iter()
        .map(|below| (office.at(below), About::Number));
    let recording = [(office.file(), About::Recording)];
    open.chain(closed).chain(recording).collect()
}

/// S46: chmod(2) and fchmod(2) are EROFS for root and for the daemon's account.
fn s46_changing_modes_is_refused(office: &Office) {
    let keepers = all(&[ROOT, OWNER]);
    let mut asks = Vec::new();
    for (path, about) in nodes(office) {
        for mode in ["777", "440"] {
            asks.push(refused(
                &keepers,
                on("chmod", &path, &[mode]),
                "chmod",
                about,
            ));
            if path.is_dir() {
                asks.push(refused(
                    &keepers,
                    on("fchmod", &path, &[mode]),
                    "chmod",
                    about,
                ));
            }
        }
    }
    office.ask(&asks);
}

/// S47: chown(2) is EROFS for root, and with neither an owner nor a group for whoever reaches the
/// node; the latter is logged as utimens.
fn s47_changing_owners_is_refused(office: &Office) {
    let mut asks = Vec::new();
    for (path, about) in nodes(office) {
        for ids in [["0", "-"], ["-", "0"]] {
            asks.push(refused(ROOT, on("chown", &path, &ids), "chown", about));
        }
        let who = match about {
            About::Recording => insiders(),
            _ if Office::number_of(path.parent().unwrap()).is_some() => insiders(),
            _ => everybody(),
        };
        asks.push(refused(
            &who,
            on("chown", &path, &["-", "-"]),
            "utimens",
            about,
        ));
    }
    office.ask(&asks);
}

/// S48: utimensat(2) to the present time is EROFS for readers, members, root and the daemon's
/// account, of an open directory for everybody; to a given time, or of one time only, for root and
/// the daemon's account.
fn s48_changing_times_is_refused(office: &Office) {
    let mut asks = Vec::new();
    for (path, about) in nodes(office) {
        let who = match about {
            About::Open => everybody(),
            About::Number | About::Recording => insiders(),
        };
        asks.push(refused(
            &who,
            on("utimens-now", &path, &[]),
            "utimens",
            about,
        ));
        for how in ["utimens-set", "utimens-mixed"] {
            let keepers = all(&[ROOT, OWNER]);
            asks.push(refused(&keepers, on(how, &path, &[]), "utimens", about));
        }
    }
    office.ask(&asks);
}

/// S49: setxattr(2) and removexattr(2) of a name that begins with user., known or not, are EROFS
/// for readers, members and root, of an open directory for outsiders too; of one that begins with
/// trusted. or security. for root.
fn s49_changing_attributes_is_refused(office: &Office) {
    let mut asks = Vec::new();
    for (path, about) in nodes(office) {
        let who = match about {
            About::Open => writers_at_large(),
            About::Number | About::Recording => writers(),
        };
        for name in ["user.x", "user.tsuwaroku.id"] {
            asks.push(refused(
                &who,
                on("setxattr", &path, &[name]),
                "setxattr",
                about,
            ));
            asks.push(refused(
                &who,
                on("removexattr", &path, &[name]),
                "removexattr",
                about,
            ));
        }
        for name in ["trusted.x", "security.x"] {
            asks.push(refused(
                ROOT,
                on("setxattr", &path, &[name]),
                "setxattr",
                about,
            ));
            asks.push(refused(
                ROOT,
                on("removexattr", &path, &[name]),
                "removexattr",
                about,
            ));
        }
    }
    office.ask(&asks);
}

/// S50: Setting or removing the access list of a node, or a default list of a directory, is EROFS
/// for root and the daemon's account.
fn s50_changing_access_lists_is_refused(office: &Office) {
    let keepers = all(&[ROOT, OWNER]);
    let mut asks = Vec::new();
    for (path, about) in nodes(office) {
        let set = on("set-access-list", &path, &[]);
        asks.push(refused(&keepers, set, "setxattr", about));
        let remove = on("remove-access-list", &path, &[]);
        asks.push(refused(&keepers, remove, "removexattr", about));
        if path.is_dir() {
            let set = on("set-default-list", &path, &[]);
            asks.push(refused(&keepers, set, "setxattr", about));
        }
    }
    office.ask(&asks);
}

/// S51: The ioctls FS_IOC_SETFLAGS and FS_IOC_FSSETXATTR on a directory are EROFS for root and the
/// daemon's account; on a recording these two get no descriptor, by S19.
fn s51_changing_flags_is_refused(office: &Office) {
    let keepers = all(&[ROOT, OWNER]);
    let mut asks = Vec::new();
    for (path, about) in nodes(office) {
        for how in ["setflags", "fssetxattr"] {
            let call = on(how, &path, &[]);
            asks.push(match about {
                About::Recording => not_opened(&keepers, call),
                About::Open | About::Number => refused(&keepers, call, "ioctl", about),
            });
        }
    }
    office.ask(&asks);
}

/// S52: Each EROFS is one record refused-write of the audit log: who asked, the operation as op,
/// the number, unless an open directory was to be changed, and the recording where it was itself to
/// be changed. What other answers refuse leaves no such record.
fn s52_each_refusal_is_one_record(office: &Office) {
    let before = office.settled();
    let sato = &READERS[..1];
    office.ask(&[
        refused(
            sato,
            on("mkdir", &office.at("by-date/new"), &[]),
            "mkdir",
            About::Open,
        ),
        refused(
            sato,
            on("unlink", &office.file(), &[]),
            "unlink",
            About::Number,
        ),
        refused(
            sato,
            on("truncate", &office.file(), &["0"]),
            "truncate",
            About::Recording,
        ),
    ]);
    let refusals = wait_for("the records", Duration::from_secs(30), || {
        let log = office.log();
        let refusals: Vec<_> = log[before..]
            .iter()
            .filter(|logged| logged.is("refused-write"))
            .map(|logged| logged.record.clone())
            .collect();
        (refusals.len() >= 3).then_some(refusals)
    });
    let told: Vec<_> = refusals
        .iter()
        .map(|record| {
            assert_eq!(record["actor"]["name"], "sato");
            assert_eq!(record["result"], "refused");
            let text = |value: &serde_json::Value| value.as_str().unwrap_or("-").to_owned();
            let facts = [
                &record["facts"]["op"],
                &record["number"],
                &record["recording"],
            ];
            facts.map(text).join(" ")
        })
        .collect();
    let id = office.calls[0].id;
    let expected = [
        "mkdir - -".to_owned(),
        format!("unlink {NUMBER} -"),
        format!("truncate {NUMBER} {id}"),
    ];
    assert_eq!(told, expected);
}

/// S53: Of one account, 300 refusals are each a record, and then one in ten seconds; a record with
/// times stands for as many that were left out before it, so none is lost.
fn s53_a_flood_of_refusals_is_counted(office: &Office) {
    const ATTEMPTS: usize = 400;
    let officer = &OUTSIDERS[1..2];
    let before = office.settled();
    let attempt = || {
        let mkdir = on("mkdir", &office.at("by-date/flood"), &[]);
        refused(officer, mkdir, "mkdir", About::Open)
    };
    office.ask(&(0..ATTEMPTS).map(|_| attempt()).collect::<Vec<_>>());
    office.stop();
    let log = office.log();
    let flood = log[before..]
        .iter()
        .filter(|logged| logged.is("refused-write"));
    let times: Vec<Option<usize>> = flood
        .map(|logged| {
            logged.record["facts"]["times"]
                .as_str()
                .map(|it| it.parse().unwrap())
        })
        .collect();
    assert!(times.len() < ATTEMPTS, "{} records", times.len());
    assert_eq!(
        times.iter().map(|times| times.unwrap_or(1)).sum::<usize>(),
        ATTEMPTS
    );
    assert!(times.iter().any(Option::is_some), "{times:?}");
}
