//! Extended attributes, access lists and flags.

use crate::office::{
    CLOSED, CLOSED_KINDS, OPEN_KINDS, OTHER, OUTSIDERS, OWNER, Office, READERS, ROOT, all, ask,
    everybody, insiders,
};
use crate::{Statement, statements};
use sha2::{Digest, Sha256};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use tsuwaroku_tests::harness::accounts::SATO;
use tsuwaroku_tests::probe::{hexadecimal, on};

/// The statements of this group.
pub const STATEMENTS: &[Statement] = statements![
    s34_a_recording_lists_its_attributes,
    s35_attributes_are_read_by_whoever_reaches_them,
    s36_the_access_list_lets_attempts_reach_the_daemon,
    s37_a_copy_by_cp_a_takes_the_list_along,
    s38_flags_of_files_are_none,
];

const NAMES: [&str; 5] = [
    "user.tsuwaroku.id",
    "user.tsuwaroku.sha256",
    "user.tsuwaroku.duration",
    "user.tsuwaroku.end",
    "user.tsuwaroku.gap_frames",
];

/// S34: listxattr(2) gives the five names below for a recording and none for a directory. With a
/// size of 0 it gives the length of the list; a size that is too small is ERANGE.
fn s34_a_recording_lists_its_attributes(office: &Office) {
    // Each name ends in a zero.
    let length: usize = NAMES.iter().map(|name| name.len() + 1).sum();
    let list = |path: &Path, size: &str| on("listxattr", path, &[size]);
    let names = format!("names:/{}", NAMES.join("/"));
    let file = office.file();
    let mut asks = vec![
        ask(&insiders(), list(&file, "4096"), &names),
        ask(&insiders(), list(&file, &length.to_string()), &names),
        ask(&insiders(), list(&file, "0"), &length.to_string()),
        ask(
            &insiders(),
            list(&file, &(length - 1).to_string()),
            "ERANGE",
        ),
    ];
    for below in [OPEN_KINDS, &[CLOSED]].concat() {
        asks.push(ask(&everybody(), list(&office.at(below), "4096"), "names:"));
        asks.push(ask(&everybody(), list(&office.at(below), "0"), "0"));
    }
    office.ask(&asks);
}

/// S35: getxattr(2) gives the value to readers, members, root and the daemon's account, and the
/// length of the value for a size of 0. Too small a size is ERANGE, another name ENODATA. Outsiders
/// get EACCES.
fn s35_attributes_are_read_by_whoever_reaches_them(office: &Office) {
    let digest = hexadecimal(&Sha256::digest(office.bytes()));
    let id = office.calls[0].id.to_string();
    let values = [id, digest, "1.667".into(), "silence".into(), "0".into()];
    let get = |name, size: usize| on("getxattr", &office.file(), &[name, &size.to_string()]);
    let mut asks = Vec::new();
    for (name, value) in NAMES.iter().zip(&values) {
        asks.push(ask(&insiders(), get(name, 4096), value));
        asks.push(ask(&insiders(), get(name, value.len()), value));
        asks.push(ask(&insiders(), get(name, 0), &value.len().to_string()));
        if value.len() > 1 {
            asks.push(ask(&insiders(), get(name, value.len() - 1), "ERANGE"));
        }
        asks.push(ask(OUTSIDERS, get(name, 4096), "EACCES"));
        let of_folder = on("getxattr", &office.at(CLOSED), &[name]);
        asks.push(ask(&insiders(), of_folder.clone(), "ENODATA"));
        asks.push(ask(OUTSIDERS, of_folder, "EACCES"));
    }
    for name in [
        "user.x",
        "user.tsuwaroku",
        "user.tsuwaroku.ID",
        "trusted.x",
        "security.x",
    ] {
        asks.push(ask(&insiders(), get(name, 4096), "ENODATA"));
    }
    let gap = on(
        "getxattr",
        &office.at(CLOSED).join(OTHER),
        &["user.tsuwaroku.gap_frames"],
    );
    asks.push(ask(&insiders(), gap, "1234"));
    office.ask(&asks);
}

/// The bytes of an access list with these rights, hexadecimal (linux/posix_acl_xattr.h).
fn list(owner: u8, group: u8, others: u8) -> String {
    let entry = |tag: u8, rights: u8| format!("{tag:02x}00{rights:02x}00ffffffff");
    format!(
        "02000000{}{}{}",
        entry(1, owner),
        entry(4, group),
        entry(32, others)
    )
}

/// S36: The attribute system.posix_acl_access of each node is an access list that lets whoever may
/// read by group or as others write as well, so that attempts reach the daemon, which refuses and
/// logs them; the owner's entry is that of the mode. There is no default list: ENODATA.
fn s36_the_access_list_lets_attempts_reach_the_daemon(office: &Office) {
    let get = |path: &Path, name: &str| on("getxattr", path, &[name]);
    let mut asks = vec![ask(
        &insiders(),
        get(&office.file(), "system.posix_acl_access"),
        &list(4, 6, 0),
    )];
    for (kinds, expected) in [(OPEN_KINDS, list(5, 7, 7)), (CLOSED_KINDS, list(5, 7, 0))] {
        for below in kinds {
            let path = office.at(below);
            asks.push(ask(
                &insiders(),
                get(&path, "system.posix_acl_access"),
                &expected,
            ));
            asks.push(ask(
                &insiders(),
                get(&path, "system.posix_acl_default"),
                "ENODATA",
            ));
        }
    }
    office.ask(&asks);
}

/// S37: Programs that copy access lists make a copy that its group may write: cp -a does. cp
/// --preserve=timestamps and rsync -a do not, and their copy has the same content and the same
/// time.
fn s37_a_copy_by_cp_a_takes_the_list_along(office: &Office) {
    let file = office.file();
    let copy = |program: &str, option: &str, name: &str| {
        let to = office.out(name);
        let mut command = SATO.command(program);
        let made = command.arg(option).args([&file, &to]).output().unwrap();
        assert!(made.status.success(), "{program} {option}: {made:?}");
        let stat = fs::metadata(&to).unwrap();
        assert!(
            fs::read(&to).unwrap() == office.bytes(),
            "{program} {option}"
        );
        let original = fs::metadata(&file).unwrap();
        assert_eq!(stat.mtime_nsec(), original.mtime_nsec());
        assert_eq!(stat.mtime(), original.mtime());
        stat.mode() & 0o020
    };
    assert_eq!(copy("cp", "-a", "archived"), 0o020);
    assert_eq!(copy("cp", "--preserve=timestamps", "dated"), 0);
    assert_eq!(copy("rsync", "-a", "synchronised"), 0);
}

/// S38: The ioctls FS_IOC_GETFLAGS and FS_IOC_FSGETXATTR say that no flag is set, to whoever may
/// open the node; FIONREAD on a recording gives the bytes left to read, and any other ioctl is
/// ENOTTY.
fn s38_flags_of_files_are_none(office: &Office) {
    let size = office.bytes().len().to_string();
    let mut asks = vec![ask(READERS, on("fionread", &office.file(), &[]), &size)];
    for path in [office.file(), office.at(CLOSED).join(OTHER)] {
        asks.push(ask(READERS, on("getflags", &path, &[]), "0"));
        asks.push(ask(READERS, on("fsgetxattr", &path, &[]), "none"));
        asks.push(ask(READERS, on("block-size", &path, &[]), "ENOTTY"));
    }
    let listing = all(&[READERS, ROOT, OWNER]);
    for (kinds, who) in [(OPEN_KINDS, everybody()), (CLOSED_KINDS, listing)] {
        for below in kinds {
            let path = office.at(below);
            asks.push(ask(&who, on("getflags", &path, &[]), "0"));
            asks.push(ask(&who, on("fsgetxattr", &path, &[]), "none"));
            asks.push(ask(&who, on("block-size", &path, &[]), "ENOTTY"));
            asks.push(ask(&who, on("fionread", &path, &[]), "ENOTTY"));
        }
    }
    office.ask(&asks);
}
