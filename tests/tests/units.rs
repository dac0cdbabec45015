//! Goal: the systemd units and what goes with them fit the programs: they have the directories that a
//! configuration has by default, and the archive's mount is there for everybody.

use std::fs;
use std::path::Path;
use std::process::Command;
use tsuwaroku_tests::harness::{World, binary};

fn integration(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../udev")
        .join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Options of systemd.exec(5) that give a service a mount namespace of its own, in which its mount
/// stays: nobody else would see the archive. `PrivateNetwork` does so on newer systems.
const HIDING: [&str; 36] = [
    "BindPaths",
    "BindReadOnlyPaths",
    "DynamicUser",
    "ExecPaths",
    "ExtensionDirectories",
    "ExtensionImages",
    "InaccessibleDirectories",
    "InaccessiblePaths",
    "MountAPIVFS",
    "MountFlags",
    "MountImages",
    "NoExecPaths",
    "PrivateDevices",
    "PrivateIPC",
    "PrivateMounts",
    "PrivateNetwork",
    "PrivateTmp",
    "PrivateUsers",
    "ProcSubset",
    "ProtectControlGroups",
    "ProtectHome",
    "ProtectKernelLogs",
    "ProtectKernelModules",
    "ProtectKernelTunables",
    "ProtectProc",
    "ProtectSystem",
    "ReadOnlyDirectories",
    "ReadOnlyPaths",
    "ReadWriteDirectories",
    "ReadWritePaths",
    "RootDirectory",
    "RootHash",
    "RootImage",
    "RootVerity",
    "TemporaryFileSystem",
    "LogNamespace",
];

/// The settings of a unit.
fn settings(unit: &str) -> Vec<(String, String)> {
    let text = integration(unit);
    let lines = text
        .lines()
        .filter(|line| !line.starts_with(['#', '[', ';']));
    let pairs = lines.filter_map(|line| line.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn the_archives_unit_does_not_hide_the_mount() {
    let settings = settings("tsuwaroku.service");
    assert!(
        settings
            .iter()
            .any(|(name, _)| name == "AmbientCapabilities")
    );
    for (name, _) in &settings {
        assert!(
            !HIDING.contains(&name.as_str()),
            "{name}= hides the mount from everybody else"
        );
    }
    let mount = "+-/bin/umount -l /srv/tsuwaroku";
    for name in ["ExecStartPre", "ExecStopPost"] {
        assert!(
            settings.contains(&(name.to_owned(), mount.to_owned())),
            "{name}="
        );
    }
}

/// The credential that the unit hands over, and the file it is made from.
fn credential() -> (String, String) {
    let settings = settings("tsuwaroku.service");
    let credentials: Vec<_> = settings
        .iter()
        .filter(|(name, _)| name == "LoadCredential")
        .collect();
    let [(_, credential)] = &credentials[..] else {
        panic!("{credentials:?}")
    };
    let (name, file) = credential.split_once(':').expect("NAME:FILE");
    (name.to_owned(), file.to_owned())
}

/// Makes an archive and gives back the fingerprint of its key.
fn init(world: &World) -> String {
    assert!(world.tsuwaroku(&["init"]).unwrap().status.success());
    let key = fs::read_to_string(world.master_key()).unwrap();
    key.split_whitespace().nth(2).unwrap().to_owned()
}

/// The daemon takes its master key from the credential by the unit's name for it: given another
/// archive's key in that way, it refuses that one.
#[test]
fn the_daemon_reads_the_credential_that_the_unit_hands_over() {
    let (name, file) = credential();
    let (world, other) = (World::new().unwrap(), World::new().unwrap());
    init(&world);
    let fingerprint = init(&other);
    let credentials = other.path().join("credentials");
    fs::create_dir(&credentials).unwrap();
    fs::copy(other.master_key(), credentials.join(name)).unwrap();
    let configuration = fs::read_to_string(world.config()).unwrap();
    let kept = configuration
        .lines()
        .filter(|line| !line.starts_with("master_key"));
    fs::write(world.config(), kept.collect::<Vec<_>>().join("\n")).unwrap();
    let refused = world
        .command("tsuwaroku")
        .arg("serve")
        .env("CREDENTIALS_DIRECTORY", &credentials)
        .output()
        .unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        said.contains(&format!("the master key {fingerprint} is not the one")),
        "{said}"
    );

    // Not tried by a run, which would make a key in the directory of this machine.
    let code = Path::new(env!("CARGO_MANIFEST_DIR")).join("../archivefs/src/serve/open.rs");
    let code = fs::read_to_string(code).unwrap();
    assert!(
        code.contains(&format!("\"{file}\"")),
        "init makes the key in another place than {file}"
    );
    let made = integration("tsuwaroku.tmpfiles");
    let folder = Path::new(&file).parent().unwrap().to_str().unwrap();
    assert!(made.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.starts_with(&["d", folder]) && words[3..5] == ["root", "root"]
    }));
}

/// The directories of the sample configuration, which names none: archive, mount, spool.
fn default_directories() -> [String; 3] {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../capture/config/tsuwaroku.toml");
    let shown = Command::new(binary("tsuwaroku"))
        .arg("--config")
        .arg(sample)
        .args(["config", "show"])
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    ["Archive", "Mounted at", "Spool"].map(|name| {
        let line = shown
            .lines()
            .find_map(|line| line.trim_start().strip_prefix(name));
        line.unwrap_or_else(|| panic!("{name} is not in {shown}"))
            .trim()
            .to_owned()
    })
}

#[test]
fn units_and_directories_are_those_of_a_default_configuration() {
    let [root, mount, spool] = default_directories();
    for (file, wanted) in [
        ("tsuwaroku.tmpfiles", &[&root, &mount, &spool][..]),
        ("tsuwaroku.service", &[&root, &mount, &spool]),
        ("tsuwaroku-capture.service", &[&spool]),
    ] {
        let text = integration(file);
        let words: Vec<&str> = text.split([' ', '=', '\n']).collect();
        for directory in wanted {
            assert!(
                words.contains(&directory.as_str()),
                "{file} does not name {directory}"
            );
        }
    }
}

/// The users and groups that the units run as are made, and own the directories.
#[test]
fn users_and_groups_of_the_units_are_made() {
    let made = integration("tsuwaroku.sysusers");
    let made: Vec<&str> = made
        .lines()
        .filter(|line| line.starts_with(['u', 'g']))
        .filter_map(|line| line.split_whitespace().nth(1))
        .collect();
    let mut wanted = Vec::new();
    for unit in ["tsuwaroku.service", "tsuwaroku-capture.service"] {
        let settings = settings(unit);
        let accounts = settings
            .iter()
            .filter(|(name, _)| name == "User" || name == "Group");
        wanted.extend(accounts.map(|(_, value)| value.clone()));
    }
    let directories = integration("tsuwaroku.tmpfiles");
    for line in directories.lines().filter(|line| line.starts_with("d ")) {
        wanted.extend(line.split_whitespace().skip(3).take(2).map(str::to_owned));
    }
    wanted.retain(|account| account != "root");
    assert!(wanted.len() >= 16, "{wanted:?}");
    for account in &wanted {
        assert!(
            made.contains(&account.as_str()),
            "{account} is not made: {made:?}"
        );
    }
}
