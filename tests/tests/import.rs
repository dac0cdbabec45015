//! Goal: what a former recorder recorded comes into the archive bit for bit, once, and nothing else
//! does. The files are made by sox and flac, and by hand where those cannot make them.

use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;
use tsuwaroku_spool::{Encoding, Start, Writer};
use tsuwaroku_tests::harness::accounts::as_reader;
use tsuwaroku_tests::harness::{Daemon, World, files, wait_for};
use tsuwaroku_tests::logged;
use tsuwaroku_tests::office::LINES;
use tsuwaroku_tests::wav::Wav;

/// Ends a test that has failed.
const LIMIT: Duration = Duration::from_secs(60);

const PATTERN: &str = "%Y%m%d-%H%M%S";

/// A served archive, and a directory of a former recorder.
struct Office {
    serve: Daemon,
    world: World,
    old: PathBuf,
}

impl Office {
    fn new() -> Self {
        Self::over(World::new().unwrap())
    }

    fn over(world: World) -> Self {
        assert!(world.tsuwaroku(&["init"]).unwrap().status.success());
        let serve = world.start_serve().unwrap();
        wait_for("the daemon", LIMIT, || {
            let status = world.tsuwaroku(&["status"]).unwrap();
            status.status.success().then_some(())
        });
        let old = world.path().join("old");
        fs::create_dir(&old).unwrap();
        Self { serve, world, old }
    }

    fn command(&self) -> Command {
        let mut command = self.world.command("tsuwaroku");
        command.env("LC_ALL", "C").arg("import").arg(&self.old);
        command
    }

    fn import(&self, arguments: &[&str]) -> Output {
        let line = ["--line", LINES[0].number, "--pattern", PATTERN];
        self.command().args(line).args(arguments).output().unwrap()
    }

    /// Imports, expects this exit status, and gives what is told.
    #[track_caller]
    fn told(&self, status: i32, arguments: &[&str]) -> Value {
        let output = self.import(&[arguments, &["--json"]].concat());
        assert_eq!(output.status.code(), Some(status), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.old.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// The recordings in the archive.
    fn found(&self) -> Vec<Value> {
        let output = self.world.tsuwaroku(&["find", "--json"]).unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The recording that a file became, as the mount shows it, and what `find` says of it.
    #[track_caller]
    fn recording(&self, told: &Value, file: &str) -> (Wav, Value) {
        let id = &outcome(told, file)["id"];
        let found = self
            .found()
            .into_iter()
            .find(|recording| &recording["id"] == id);
        let found = found.unwrap_or_else(|| panic!("{file}, {id}, is not found"));
        let path = self.world.mount().join(found["path"].as_str().unwrap());
        (as_reader(|| Wav::read(&path)).unwrap(), found)
    }
}

/// What is told of a file.
#[track_caller]
fn outcome<'a>(told: &'a Value, file: &str) -> &'a Value {
    let mut all = told["files"].as_array().unwrap().iter();
    all.find(|outcome| outcome["file"] == file)
        .unwrap_or_else(|| panic!("{file}: {told}"))
}

#[track_caller]
fn run(program: &str, arguments: &[&str], folder: &Path) {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:?}"
    );
}

/// Bytes that no codec could guess.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_u32;
    let next = move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn chunk(name: [u8; 4], body: &[u8]) -> Vec<u8> {
    let mut out = [&name[..], &(body.len() as u32).to_le_bytes(), body].concat();
    out.resize(out.len() + body.len() % 2, 0);
    out
}

fn pcm_16() -> Vec<u8> {
    chunk(
        *b"fmt ",
        b"\x01\0\x01\0\x40\x1F\0\0\x80\x3E\0\0\x02\0\x10\0",
    )
}

fn riff(chunks: &[Vec<u8>]) -> Vec<u8> {
    let chunks = chunks.concat();
    [
        b"RIFF",
        &(chunks.len() as u32 + 4).to_le_bytes()[..],
        b"WAVE",
        &chunks,
    ]
    .concat()
}

/// A Broadcast Wave file of EBU Tech 3285, begun on 2025-06-03 at 10:15:30.250.
fn broadcast(audio: &[u8]) -> Vec<u8> {
    let mut bext = vec![0; 602];
    bext[320..338].copy_from_slice(b"2025-06-0310:15:30");
    let frames: u64 = (10 * 3600 + 15 * 60 + 30) * 8000 + 2000;
    bext[338..346].copy_from_slice(&frames.to_le_bytes());
    riff(&[
        chunk(*b"bext", &bext),
        pcm_16(),
        chunk(*b"LIST", b"INFOx"),
        chunk(*b"data", audio),
    ])
}

/// A file of EBU Tech 3306, which has its lengths in 64 bits.
fn rf64(audio: &[u8]) -> Vec<u8> {
    let ds64 = [
        &0_u64.to_le_bytes()[..],
        &(audio.len() as u64).to_le_bytes(),
        &[0; 12],
    ]
    .concat();
    let head = [
        &b"RF64\xFF\xFF\xFF\xFFWAVE"[..],
        &chunk(*b"ds64", &ds64),
        &pcm_16(),
    ]
    .concat();
    [
        &head,
        &b"data\xFF\xFF\xFF\xFF"[..],
        audio,
        &chunk(*b"LIST", b"INFO"),
    ]
    .concat()
}

/// What a recorder leaves that dies before it finishes the header.
fn unfinished(audio: &[u8]) -> Vec<u8> {
    [
        &b"RIFF\0\0\0\0WAVE"[..],
        &pcm_16(),
        &b"data\0\0\0\0"[..],
        audio,
    ]
    .concat()
}

/// Files made by sox of every encoding; the audio of each as the archive must hold it.
fn made_by_sox(office: &Office) -> Vec<(String, Vec<u8>)> {
    fs::write(office.world.path().join("noise.s32"), noise(4 * 8001)).unwrap();
    let kinds = [
        ("u8", "-b 8 -e unsigned-integer"),
        ("s16", "-b 16 -e signed-integer"),
        ("s24", "-b 24 -e signed-integer"),
        ("s32", "-b 32 -e signed-integer"),
        ("ulaw", "-e mu-law"),
        ("alaw", "-e a-law"),
        ("stereo", "-b 16 -c 2"),
    ];
    let mut made = Vec::new();
    for (second, (kind, options)) in kinds.into_iter().enumerate() {
        let name = format!("sox/{kind}-20250601-1000{second:02}.wav");
        fs::create_dir_all(office.old.join("sox")).unwrap();
        let source = "-D -t s32 -r 8000 -c 1 noise.s32".split(' ');
        let out = office.old.join(&name).display().to_string();
        let arguments: Vec<&str> = source.chain(options.split(' ')).chain([&*out]).collect();
        run("sox", &arguments, office.world.path());
        let mut audio = Wav::read(Path::new(&out)).unwrap().data().to_vec();
        if kind == "u8" {
            audio = audio.iter().flat_map(|byte| [0, byte ^ 0x80]).collect();
        }
        made.push((name, audio));
    }
    made
}

/// Files made by flac.
fn made_by_flac(office: &Office) -> Vec<(String, Vec<u8>)> {
    let mut made = Vec::new();
    for (second, (channels, bits)) in [(1, 16), (2, 16), (1, 24)].into_iter().enumerate() {
        let name = format!("flac/{channels}x{bits}-20250602-1000{second:02}.flac");
        let audio = noise(channels * bits / 8 * 9000);
        fs::create_dir_all(office.old.join("flac")).unwrap();
        fs::write(office.world.path().join("audio.raw"), &audio).unwrap();
        let (channels, bits) = (format!("--channels={channels}"), format!("--bps={bits}"));
        let out = office.old.join(&name).display().to_string();
        let arguments = [
            "-s",
            "--endian=little",
            "--sign=signed",
            "--sample-rate=8000",
        ];
        let arguments = [
            &arguments[..],
            &[&*channels, &*bits, "audio.raw", "-o", &*out],
        ]
        .concat();
        run("flac", &arguments, office.world.path());
        made.push((name, audio));
    }
    made
}

/// R5.1: every format that recorders write, and a second import changes nothing.
#[test]
fn every_format_comes_in_bit_for_bit_and_once() {
    let office = Office::new();
    let audio = noise(20_000);
    let mut expected = made_by_sox(&office);
    expected.extend(made_by_flac(&office));
    for (name, file) in [
        ("hand/bwf.wav", broadcast(&audio)),
        ("hand/rf64 20250603-100001.wav", rf64(&audio)),
        ("hand/口座 20250603-100002.wav", unfinished(&audio)),
    ] {
        office.write(name, &file);
        expected.push((name.to_owned(), audio.clone()));
    }
    let told = office.told(0, &[]);
    assert_eq!(
        (&told["imported"], &told["refused"]),
        (&13.into(), &0.into()),
        "{told}"
    );
    for (name, audio) in &expected {
        assert_eq!(outcome(&told, name)["outcome"], "imported");
        let (recording, _) = office.recording(&told, name);
        assert!(recording.data() == audio, "{name} was changed on its way");
    }
    assert_eq!(office.found().len(), expected.len());
    times_and_marks_are_kept(&office, &told);
    let verified = office.world.tsuwaroku(&["verify"]).unwrap();
    assert!(verified.status.success(), "{verified:?}");

    // The same again, one under another name: nothing new.
    office.write("copy.wav", &broadcast(&audio));
    let again = office.told(0, &[]);
    assert_eq!(
        (&again["already"], &again["imported"]),
        (&14.into(), &0.into()),
        "{again}"
    );
    assert_eq!(
        outcome(&again, "copy.wav")["id"],
        outcome(&told, "hand/bwf.wav")["id"]
    );
    assert_eq!(office.found().len(), expected.len());
    let status = office.world.tsuwaroku(&["status"]).unwrap();
    assert!(
        status.status.success(),
        "nothing is quarantined: {status:?}"
    );
    assert!(office.serve.stop().success());
}

fn times_and_marks_are_kept(office: &Office, told: &Value) {
    let (_, bwf) = office.recording(told, "hand/bwf.wav");
    assert_eq!(
        bwf["start"], "2025-06-03T01:15:30.250Z",
        "10:15:30.250 in Tokyo"
    );
    assert_eq!(bwf["number"], LINES[0].number);
    let path = bwf["path"].as_str().unwrap();
    assert!(
        path.starts_with("by-date/2025/06/03/06-6458-1132/101530"),
        "{path}"
    );
    assert_eq!(bwf["end"], "silence");
    let (_, named) = office.recording(told, "sox/s16-20250601-100001.wav");
    assert_eq!(named["start"], "2025-06-01T01:00:01Z");
    let (_, cut) = office.recording(told, "hand/口座 20250603-100002.wav");
    assert_eq!(cut["end"], "truncated");
    let notes = &outcome(told, "hand/口座 20250603-100002.wav")["notes"];
    assert!(
        notes[0].as_str().unwrap().contains("never finished"),
        "{notes}"
    );
}

#[test]
fn a_dry_run_reads_everything_and_changes_nothing() {
    let office = Office::new();
    let file = broadcast(&noise(2000));
    office.write("good.wav", &file);
    office.write("cut.wav", &file[..file.len() - 1000]);
    // The sweep at start renews the keys, whose files come and go meanwhile.
    let catalogue = logged::catalogue(&office.world.root());
    wait_for("the keys to be renewed", LIMIT, || {
        (!logged::of_event(&catalogue, "keys").is_empty()).then_some(())
    });
    let before = files(&office.world.root());
    let told = office.told(1, &["--dry-run"]);
    assert_eq!(outcome(&told, "good.wav")["outcome"], "would-import");
    assert_eq!(
        outcome(&told, "cut.wav")["reason"],
        "ends 1000 bytes early: copy it again, whole"
    );
    assert_eq!(files(&office.world.root()), before);
    assert!(office.found().is_empty());
    // What it announced is what is done.
    let id = outcome(&told, "good.wav")["id"].clone();
    assert_eq!(outcome(&office.told(1, &[]), "good.wav")["id"], id);
    assert_eq!(
        outcome(&office.told(1, &["--dry-run"]), "good.wav")["outcome"],
        "already"
    );
}

/// Each bad file is told with its reason, and does not keep the good ones out.
#[test]
fn bad_files_are_told_one_by_one() {
    let office = Office::new();
    let audio = noise(2000);
    office.write("good.wav", &broadcast(&audio));
    office.write("deep/notes.txt", b"call me back");
    office.write("empty.wav", b"");
    office.write("timeless.wav", &riff(&[pcm_16(), chunk(*b"data", &audio)]));
    office.write("20250601-100000.wav", &riff(&[pcm_16()]));
    office.write("rec\u{1b}[2J.wav", b"RIFF");
    std::os::unix::fs::symlink("good.wav", office.old.join("link.wav")).unwrap();
    std::os::unix::fs::symlink("..", office.old.join("deep/round")).unwrap();
    nix::unistd::mkfifo(&office.old.join("fifo.wav"), nix::sys::stat::Mode::S_IRUSR).unwrap();
    let out = office
        .old
        .join("float-20250601-100000.wav")
        .display()
        .to_string();
    run(
        "sox",
        &[
            "-n",
            "-r",
            "8000",
            "-e",
            "floating-point",
            "-b",
            "32",
            &out,
            "trim",
            "0",
            "1",
        ],
        office.world.path(),
    );

    let output = office.import(&[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    for words in [
        "imported: good.wav: 2025-06-03 10:15:30, 0:00, 01",
        "REFUSED: deep/notes.txt: neither WAV nor FLAC",
        "REFUSED: deep/round: not a regular file",
        "REFUSED: empty.wav: neither WAV nor FLAC",
        "REFUSED: timeless.wav: no time: give --pattern",
        "REFUSED: 20250601-100000.wav: damaged: it has no audio chunk",
        "REFUSED: link.wav: not a regular file",
        "REFUSED: fifo.wav: not a regular file",
        "REFUSED: float-20250601-100000.wav: its samples are floating-point; convert it: sox",
        "REFUSED: rec\\u{1b}[2J.wav",
        "\n1 imported, 9 REFUSED.\n",
    ] {
        assert!(text.contains(words), "'{words}' is not in: {text}");
    }
    let japanese = office
        .command()
        .env("LC_ALL", "ja_JP.UTF-8")
        .args(["--line", LINES[0].number])
        .output()
        .unwrap();
    let japanese = String::from_utf8(japanese.stdout).unwrap();
    assert!(japanese.contains("保管済み: good.wav"), "{japanese}");
    assert!(
        japanese.contains("取込不可: timeless.wav: 日時がありません"),
        "{japanese}"
    );
    assert_eq!(office.found().len(), 1);
}

/// R2.1 and R3.1: what cannot be right is refused before anything is read.
#[test]
fn what_cannot_be_imported_is_said_at_once() {
    let office = Office::new();
    office.write("good.wav", &broadcast(&noise(2000)));
    let refused = |command: &mut Command, status: i32, words: &str| {
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert!(said.contains(words), "'{words}' is not in: {said}");
    };
    let with = |arguments: &[&str]| {
        let mut command = office.world.command("tsuwaroku");
        command.arg("import").args(arguments);
        command
    };
    let (old, number) = (office.old.display().to_string(), LINES[0].number);
    let root = office.world.root().display().to_string();
    refused(
        &mut with(&[&old, "--line", "06-0000-0000"]),
        1,
        "is not a designated number",
    );
    refused(
        &mut with(&[&old, "--line", number, "--pattern", "%Q"]),
        2,
        "%Q is not known",
    );
    refused(
        &mut with(&["/does/not/exist", "--line", number]),
        74,
        "No such file",
    );
    refused(
        &mut with(&[&root, "--line", number]),
        1,
        "is part of this archive",
    );

    // Another account, which can read the files and the configuration.
    fs::set_permissions(office.world.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = office.world.path().join("tsuwaroku");
    // By another process, so that no child of another test holds it open for writing.
    let copied = Command::new("cp")
        .arg(with(&[]).get_program())
        .arg(&program)
        .status();
    assert!(copied.unwrap().success());
    let mut stranger = office.world.command_of(&program);
    stranger
        .args(["import", &old, "--line", number])
        .uid(65_534)
        .gid(65_534);
    refused(
        &mut stranger,
        77,
        "run it as root or as the daemon's account",
    );

    let writer = Writer::open(&office.world.root().join("import")).unwrap();
    refused(
        &mut with(&[&old, "--line", number]),
        69,
        "another import is running",
    );
    drop(writer);
    assert!(office.found().is_empty());
    let Office { world, serve, .. } = office;
    assert!(serve.stop().success());
    let mut alone = world.command("tsuwaroku");
    refused(
        alone.args(["import", &old, "--line", number]),
        69,
        "is the daemon running?",
    );
    assert!(files(&world.root().join("import")).is_empty());
}

/// Killed in the middle: what was half written never becomes a recording, and the next import
/// brings the whole.
#[test]
fn an_import_that_was_killed_is_begun_again() {
    let office = Office::new();
    let audio = noise(3_000_000);
    office.write("long.wav", &broadcast(&audio));
    let told = office.told(0, &["--dry-run"]);
    let id = outcome(&told, "long.wav")["id"].as_str().unwrap();
    // The very entry, as an import leaves it that is killed after its first bytes.
    let inbox = office.world.root().join("import");
    let writer = Writer::open(&inbox).unwrap();
    let mut half = writer
        .begin(Start {
            id: id.parse().unwrap(),
            line: LINES[0].number.to_owned(),
            card: "import".into(),
            card_channels: vec![1],
            rate: 8000,
            encoding: Encoding::S16,
            started_at: 1_748_913_330_250_000_000,
            pre_roll: 0,
            continues: None,
            recorder: "import of long.wav".into(),
        })
        .unwrap();
    half.audio(&audio[..1000]).unwrap();
    half.sync().unwrap();
    drop((half, writer));
    assert_eq!(files(&inbox.join("incoming")).len(), 1);
    // And real kills, at moments that differ.
    for kill in 0..8 {
        let mut command = office.command();
        command.args(["--line", LINES[0].number]);
        let log = office.world.path().join("import.log");
        let mut import = Daemon::start("import", command, &log).unwrap();
        std::thread::sleep(Duration::from_millis(kill * 17));
        import.kill();
    }
    office.told(0, &[]);
    let (recording, found) = office.recording(&told, "long.wav");
    assert!(recording.data() == audio);
    assert_eq!(found["end"], "silence");
    assert_eq!(office.found().len(), 1);
    assert!(files(&inbox).is_empty(), "{:?}", files(&inbox));
}

/// A disk that is full ends the import with a reason; nothing half done stays, and it goes on when
/// there is room.
#[test]
fn a_full_disk_ends_the_import() {
    let world = World::new().unwrap();
    let disk = Tmpfs::mount(&world.root(), "4m");
    let office = Office::over(world);
    let audio = noise(6_000_000);
    office.write("a.wav", &broadcast(&audio[..20_000]));
    office.write("b.wav", &broadcast(&audio));
    let output = office.import(&[]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(74), "{said}");
    assert!(
        said.contains("No space left") && said.contains("then import again"),
        "{said}"
    );
    let inbox = office.world.root().join("import");
    wait_for("the small file", LIMIT, || {
        (office.found().len() == 1).then_some(())
    });
    assert!(files(&inbox.join("incoming")).is_empty());
    disk.grow("64m");
    let told = office.told(0, &[]);
    assert_eq!(
        (&told["already"], &told["imported"]),
        (&1.into(), &1.into()),
        "{told}"
    );
    let (recording, _) = office.recording(&told, "b.wav");
    assert!(recording.data() == audio);
    let Office { world, serve, .. } = office;
    assert!(serve.stop().success());
    drop((disk, world));
}

/// A small disk in memory.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount(at: &Path, size: &str) -> Self {
        let at_text = at.display().to_string();
        let options = format!("size={size}");
        run(
            "mount",
            &["-t", "tmpfs", "-o", &options, "tmpfs", &at_text],
            Path::new("/"),
        );
        Self(at.to_owned())
    }

    fn grow(&self, size: &str) {
        let (at, options) = (self.0.display().to_string(), format!("remount,size={size}"));
        run("mount", &["-o", &options, &at], Path::new("/"));
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = nix::mount::umount2(&self.0, nix::mount::MntFlags::MNT_DETACH);
    }
}
