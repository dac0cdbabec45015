//! The pages about what the daemon stores, answers, shows and refuses, compared with a daemon that
//! runs. Its master key is the one printed in tsuwaroku-store(5), and the only recording is the example
//! of that page and of tsuwaroku-spool(5).

use super::{examples, marked, rendered, source};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tsuwaroku_spool::{Encoding, EndReason, Start, Writer};
use tsuwaroku_tests::harness::accounts::as_reader;
use tsuwaroku_tests::harness::{World, files, wait_for};

/// Ends a test that has failed.
const LIMIT: Duration = Duration::from_secs(30);

const ID: &str = "01KASPWCPRTSWAR0KV00000001";
const SAMPLES: [i16; 12] = [0, 1, i16::MAX, i16::MIN, -1, 2, 3, 4, 5, 6, 7, 8];

fn sample_bytes() -> Vec<u8> {
    SAMPLES.iter().flat_map(|it| it.to_le_bytes()).collect()
}

fn publish_example(world: &World) {
    let started_at = 1_763_946_935_000_000_000;
    let writer = Writer::open(&world.spool()).unwrap();
    let start = Start {
        id: ID.parse().unwrap(),
        line: "06-6458-1132".into(),
        card: "hw:0".into(),
        card_channels: vec![1],
        rate: 8000,
        encoding: Encoding::S16,
        started_at,
        pre_roll: 4,
        continues: None,
        recorder: "tsuwaroku-capture 0.1.0".into(),
    };
    let mut call = writer.begin(start).unwrap();
    call.audio(&sample_bytes()).unwrap();
    call.finish(started_at + 1_500_000, EndReason::Silence)
        .unwrap();
}

/// The examples of tsuwaroku-store(5), in the order of the page.
struct StoreExamples {
    header: String,
    lengths: String,
    call: String,
    block: String,
    index: String,
    master_key: String,
    salt: String,
    object_key: String,
}

impl StoreExamples {
    fn of(page: &str) -> Self {
        let all = examples(page, ".Sh EXAMPLES");
        let [
            header,
            lengths,
            call,
            block,
            index,
            master_key,
            salt,
            object_key,
        ] = <[String; 8]>::try_from(all).expect("the page has eight examples");
        Self {
            header,
            lengths,
            call: call.replace('\n', ""),
            block,
            index,
            // It is printed in three lines, and is one.
            master_key: master_key.split_whitespace().collect::<Vec<_>>().join(" "),
            salt,
            object_key,
        }
    }
}

/// The rows of the table of the example: offset, length, part.
fn example_parts(source: &str) -> Vec<(usize, usize, String)> {
    let (_, example) = source.split_once(".Sh EXAMPLES").unwrap();
    let rows = example.lines().filter_map(|line| line.strip_prefix(".It "));
    let rows = rows.filter_map(|row| {
        let cells: Vec<&str> = row.split(" Ta ").collect();
        Some((
            cells.first()?.parse().ok()?,
            cells.get(1)?.parse().ok()?,
            (*cells.get(2)?).to_owned(),
        ))
    });
    rows.collect()
}

/// The bytes that a block of the page spells out in hexadecimal, nothing for those that are random:
/// `xx`. The words after three blanks or at the end of a line are remarks.
fn example_bytes(block: &str) -> Vec<Option<u8>> {
    let lines = block
        .lines()
        .map(|line| line.split("   ").next().unwrap_or_default());
    let byte = |word| match word {
        "xx" => None,
        word => Some(u8::from_str_radix(word, 16).expect("two hexadecimal digits")),
    };
    lines.flat_map(str::split_whitespace).map(byte).collect()
}

fn known(bytes: &[u8]) -> Vec<Option<u8>> {
    bytes.iter().copied().map(Some).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.trim().as_bytes();
    let pairs = digits
        .chunks_exact(2)
        .map(|pair| str::from_utf8(pair).unwrap());
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).unwrap())
        .collect()
}

fn little(number: usize) -> Vec<Option<u8>> {
    known(&u32::try_from(number).unwrap().to_le_bytes())
}

fn object_file(world: &World) -> PathBuf {
    let stored = files(&world.root().join("primary/objects"));
    let [path] = &stored[..] else {
        panic!("{stored:?}")
    };
    path.clone()
}

fn check_object(world: &World, page: &str, examples: &StoreExamples) {
    let path = object_file(world);
    let place = path.strip_prefix(world.root().join("primary")).unwrap();
    assert!(
        page.contains(&format!(".Pa {} .", place.display())),
        "{}",
        place.display()
    );

    let object = fs::read(&path).unwrap();
    let parts = example_parts(page);
    let mut at = 0;
    for (offset, length, part) in &parts {
        assert_eq!(*offset, at, "{part}");
        at += length;
    }
    assert_eq!(at, object.len());
    assert!(page.contains(&format!("an object of {at} bytes")));

    let header = example_bytes(&examples.header);
    assert_eq!(header.len(), 96);
    for (at, (told, found)) in header.iter().zip(&object).enumerate() {
        assert!(told.is_none_or(|told| told == *found), "byte {at}");
        assert_eq!(told.is_none(), (40..72).contains(&at), "byte {at}");
    }
    assert_eq!(header[72..76], little(length_of(&parts, "head")));
}

fn length_of(parts: &[(usize, usize, String)], wanted: &str) -> usize {
    let found = parts.iter().find(|(_, _, part)| part == wanted);
    found
        .unwrap_or_else(|| panic!("no row is about the {wanted}"))
        .1
}

/// What is sealed in the object, by what `tsuwaroku object dump` says of it and by the WAV file.
fn check_sealed(world: &World, page: &str, examples: &StoreExamples) {
    let path = object_file(world);
    let dump = world.tsuwaroku(&["object", "dump", path.to_str().unwrap()]);
    let dump = String::from_utf8(dump.unwrap().stdout).unwrap();
    let (facts, rest) = dump.split_once('{').expect("the call is shown");
    let (call, checked) = rest.rsplit_once('}').unwrap();
    let call: serde_json::Value = serde_json::from_str(&format!("{{{call}}}")).unwrap();
    let told: serde_json::Value = serde_json::from_str(&examples.call).unwrap();
    assert_eq!(told, call);
    assert!(checked.contains("every block opens"), "{checked}");

    let around = facts
        .lines()
        .find_map(|line| line.strip_prefix("before, after"));
    let (before, after) = around.unwrap().trim().split_once(", ").unwrap();
    let (before, after): (usize, usize) = (before.parse().unwrap(), after.parse().unwrap());
    let lengths = example_bytes(&examples.lengths);
    assert_eq!(lengths[4..8], little(examples.call.len()));
    assert_eq!(lengths[8..12], little(before));
    assert_eq!(lengths[12..], little(after));
    let head = 16 + before + after + examples.call.len();
    assert!(page.contains(&format!("before the samples: {head} bytes")));

    let wav = as_reader(|| fs::read(&world.recordings()[0])).unwrap();
    assert!(page.contains(&format!("{before} + 24 = {} bytes", wav.len())));
    let index = example_bytes(&examples.index);
    let block = example_bytes(&examples.block);
    let stored = length_of(&example_parts(page), "blocks");
    assert_eq!(block.len() + 16, stored);
    assert!(block.ends_with(&known(&sample_bytes())));
    assert_eq!(index[..4], little(stored));
    assert_eq!(index[4..8], known(&crc32c(&sample_bytes()).to_le_bytes()));
    assert_eq!(index[8..], known(&Sha256::digest(&wav)));
}

/// RFC 3720, section 12.1, one bit after the other.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| (crc >> 1) ^ (0x82F6_3B78 * (crc & 1));
    let byte = |crc, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), step);
    !bytes.iter().fold(u32::MAX, byte)
}

/// RFC 2104, for keys of at most 64 bytes.
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let pad = |with: u8| {
        let mut pad = [with; 64];
        pad.iter_mut().zip(key).for_each(|(pad, key)| *pad ^= key);
        pad
    };
    let inner = Sha256::new_with_prefix(pad(0x36))
        .chain_update(message)
        .finalize();
    let outer = Sha256::new_with_prefix(pad(0x5C)).chain_update(inner);
    outer.finalize().to_vec()
}

/// The example of a derived key follows from RFC 5869 and the words of the page.
fn check_derivation(examples: &StoreExamples) {
    let key = unhex(examples.master_key.split(' ').nth(1).unwrap());
    let id: Vec<u8> = example_bytes(&examples.header)[24..40]
        .iter()
        .map(|it| it.unwrap())
        .collect();
    let info = [b"tsuwaroku object 1", &id[..], &[1]].concat();
    let derived = hmac(&hmac(&unhex(&examples.salt), &key), &info);
    assert_eq!(unhex(&examples.object_key), derived);
}

/// A request to the control socket that says that its body has `length` bytes, and the answer's body.
fn ask(world: &World, request: &str, body: &str, length: usize) -> serde_json::Value {
    let mut socket = UnixStream::connect(world.socket()).unwrap();
    let head = format!(
        "{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    socket.write_all((head + body).as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{answer}: {error}"))
}

/// Every refusal is a problem detail that the page lists.
fn check_errors(world: &World, page: &str) {
    let mut problems = Vec::new();
    for (request, body, status) in [
        ("GET /v1/nothing", "", 404),
        ("POST /v1/status", "", 405),
        ("POST /v1/verify", "{\"x\":1}", 400),
        ("GET /v1/recordings?number=1", "", 404),
        (
            "GET /v1/recordings?after=01KASPWCPRTSWAR0KV00000009",
            "",
            404,
        ),
    ] {
        problems.push((request, status, ask(world, request, body, body.len())));
    }
    // Refused by its head, before the body is sent.
    let long = "POST /v1/verify";
    problems.push((long, 413, ask(world, long, "", 65 * 1024)));
    for (request, status, problem) in problems {
        assert_eq!(problem["status"], status, "{request}: {problem}");
        let row = format!(".It {status} Ta {} Ta ", problem["type"].as_str().unwrap());
        assert!(page.contains(&row), "the page has no row {row}");
        for name in problem.as_object().unwrap().keys() {
            assert!(page.contains(&format!(".Ic {name}")), "{name}");
        }
    }
}

fn json(world: &World, arguments: &[&str]) -> serde_json::Value {
    let output = world.tsuwaroku(arguments).unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

/// Every name in `answer`, an object, is described on the page.
fn check_names(page: &str, answer: &serde_json::Value) {
    let described: BTreeSet<&str> = page
        .lines()
        .filter(|line| line.starts_with(".Ic ") || line.starts_with(".It Ic "))
        .flat_map(|line| line.split([' ', ',']))
        .collect();
    let names = answer
        .as_object()
        .unwrap_or_else(|| panic!("{answer} is no object"));
    assert!(names.len() >= 2, "{answer}");
    for name in names.keys() {
        assert!(
            described.contains(name.as_str()),
            "tsuwaroku-control.7 does not describe {name}"
        );
    }
}

fn check_control_page(world: &World) {
    let page = source("tsuwaroku-control.7");
    check_names(&page, &json(world, &["status", "--json"]));
    check_names(&page, &json(world, &["find", "--json"])[0]);
    check_names(&page, &json(world, &["verify", "--json"])["progress"]);
    check_names(&page, &json(world, &["keys", "status", "--json"]));
    check_errors(world, &page);
}

fn check_fs_page(world: &World) {
    let file = &world.recordings()[0];
    let listed = Command::new("getfattr")
        .arg("--absolute-names")
        .arg(file)
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let attributes: BTreeSet<String> = listed
        .lines()
        .filter(|line| line.starts_with("user."))
        .map(str::to_owned)
        .collect();
    assert!(attributes.contains("user.tsuwaroku.sha256"), "{listed}");
    for page in ["tsuwaroku-fs.7", "ja/tsuwaroku-fs.7"] {
        let mut described = marked(&source(page), "Ic");
        described.retain(|name| name.starts_with("user."));
        assert_eq!(described, attributes, "{page}");
    }
}

/// A file of the store that is damaged: both pages name what is told of it, and where it stays.
fn check_findings(world: &World) {
    let path = object_file(world);
    let mut object = fs::read(&path).unwrap();
    *object.last_mut().unwrap() ^= 1;
    fs::remove_file(&path).unwrap();
    fs::write(&path, object).unwrap();
    let page = source("tsuwaroku-control.7");
    for (command, exit) in [("verify", 1), ("status", 1)] {
        let output = world.tsuwaroku(&[command, "--json"]).unwrap();
        assert_eq!(output.status.code(), Some(exit), "{output:?}");
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let finding = &answer["findings"][0];
        check_names(&page, finding);
        let problem = finding["problem"].as_str().unwrap();
        assert!(page.contains(&format!(".Ql {problem} ")), "{problem}");
        for page in ["tsuwaroku.8", "ja/tsuwaroku.8"] {
            assert!(source(page).contains(&format!(".It Sy {problem}")));
        }
    }
}

/// Starts a daemon, checks every page that describes one, damages the object, and stops the daemon.
#[test]
fn the_pages_describe_what_the_daemon_stores_answers_and_shows() {
    let world = World::new().unwrap();
    let page = source("tsuwaroku-store.5");
    let examples = StoreExamples::of(&page);
    write_key(&world.master_key(), &examples.master_key, 0o400);
    assert!(world.tsuwaroku(&["init"]).unwrap().status.success());
    let serve = world.start_serve().unwrap();
    publish_example(&world);
    wait_for("the example to be archived", LIMIT, || {
        (world.is_mounted() && world.ready().is_empty() && !world.recordings().is_empty())
            .then_some(())
    });
    let fingerprint = examples.master_key.split(' ').nth(2).unwrap();
    let keys = json(&world, &["keys", "status", "--json"]);
    assert_eq!(keys["master"], fingerprint);
    check_object(&world, &page, &examples);
    check_sealed(&world, &page, &examples);
    check_derivation(&examples);
    check_control_page(&world);
    check_fs_page(&world);
    check_findings(&world);
    assert!(serve.stop().success());
}

fn write_key(path: &Path, text: &str, mode: u32) {
    // A former one may be read-only.
    let _ = fs::remove_file(path);
    fs::write(path, format!("{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Why `serve` does not start, in one line.
fn refusal(world: &World) -> String {
    let output = world.tsuwaroku(&["serve"]).unwrap();
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    let last = said.lines().last().unwrap_or_default();
    last.strip_prefix("tsuwaroku: ").unwrap().to_owned()
}

/// Whether `page` has the message, with `...` for what differs from case to case.
fn check_message(page: &str, said: &str, parts: &[&str]) {
    let mut rest = said;
    for part in parts {
        let (_, after) = rest
            .split_once(part)
            .unwrap_or_else(|| panic!("{said}: no {part}"));
        rest = after;
    }
    let squeezed = |text: &str| -> String { text.chars().filter(|c| !c.is_whitespace()).collect() };
    let told = squeezed(&parts.join("..."));
    assert!(
        squeezed(&rendered(page)).contains(&told),
        "{page} has no {told}"
    );
}

#[test]
fn the_page_of_the_command_tells_why_a_master_key_is_refused() {
    let world = World::new().unwrap();
    assert!(world.tsuwaroku(&["init"]).unwrap().status.success());
    let key = world.master_key();
    let own = fs::read_to_string(&key).unwrap().trim().to_owned();
    let other = StoreExamples::of(&source("tsuwaroku-store.5")).master_key;
    let keys = world.root().join("keys/keys.sqlite");

    let mut said: Vec<(String, &[&str])> = Vec::new();
    fs::remove_file(&key).unwrap();
    said.push((
        refusal(&world),
        &[
            "",
            ": there is no master key; restore it from escrow, or, for a new archive, make one \
             with: tsuwaroku init",
        ],
    ));
    write_key(&key, &own, 0o640);
    said.push((
        refusal(&world),
        &[
            "",
            ": others may read the master key; protect it with: chmod 400 ",
        ],
    ));
    write_key(&key, &own[1..], 0o400);
    said.push((refusal(&world), &["", ": this is not a master key: "]));
    write_key(&key, &other, 0o400);
    said.push((
        refusal(&world),
        &[
            "the master key ",
            " is not the one of this archive: put the right key into [archive] master_key, or \
             restore it from escrow",
        ],
    ));
    write_key(&key, &own, 0o400);
    fs::remove_file(&keys).unwrap();
    said.push((
        refusal(&world),
        &[
            "",
            ": the keys are missing: without them no recording can be read; restore them",
        ],
    ));
    for (said, parts) in &said {
        for page in ["tsuwaroku.8", "ja/tsuwaroku.8"] {
            check_message(page, said, parts);
        }
    }
}
