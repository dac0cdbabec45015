//! A log as format version 1 wrote it, frozen in `archivefs/fixtures/audit/`: whatever this code
//! becomes, it writes the same bytes for the same events, and reads these. `log` has a record a line,
//! `private` what is beside it (hexadecimal, or `-`), `checkpoints` notes one after the other, `keys`
//! the log's verifier keys, `end` the kept end of the log (hexadecimal). The page
//! `man/tsuwaroku-audit.5` has its first records as the example.

use super::*;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use ulid::Ulid;

const NAME: &str = "tsuwaroku/01KASPWCPRTSWAR0KV00000001";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/audit")
}

fn read(name: &str) -> String {
    let path = folder().join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn unhex(text: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

/// The seeds are the bytes 0 to 31 and 32 to 63.
fn signers() -> [Signer; 2] {
    [0, 32].map(|first| {
        let seed = std::array::from_fn(|at| first + at as u8);
        Signer::new(NAME, seed).unwrap()
    })
}

fn drafts() -> Vec<Draft> {
    use Event as E;
    let [old, new] = signers().map(|signer| signer.vkey());
    let second = |n: i64| 1_795_396_530_123_456_789 + n * 1_000_000_000;
    let done = |n: i64, event| Draft::new(second(n), event, Outcome::Done);
    let id = Ulid::from_string("01KASPWCPRTSWAR0KV00000001").unwrap();
    let sato = || Who {
        uid: 1001,
        gid: 100,
        name: "sato".into(),
        pid: Some(4711),
        exe: Some("/usr/bin/nautilus".into()),
    };
    let root = || Who {
        uid: 0,
        gid: 0,
        name: "root".into(),
        pid: None,
        exe: None,
    };
    let party = "0312345678";
    let number = "06-6458-1132";
    vec![
        done(0, E::LogBegun).with("vkey", old),
        done(1, E::Open)
            .by(sato())
            .on(id)
            .of_number(number)
            .hidden("party", party),
        done(2, E::Release).by(sato()).on(id).with("bytes", 738),
        Draft::new(second(3), E::RefusedWrite, Outcome::Refused)
            .by(root())
            .with("op", "unlink")
            .with("inode", 4_503_599_627_370_497_u64)
            .hidden("name", "\"x\"\n日付別"),
        Draft::new(second(4), E::List, Outcome::Refused)
            .by(sato())
            .of_number("06-6458-7211"),
        done(5, E::Find).by(sato()).hidden("words", "0312*"),
        done(6, E::Archived)
            .on(id)
            .of_number(number)
            .hidden("party", party),
        done(7, E::LogKey).by(root()).with("vkey", new),
        done(8, E::Started).with("version", "0.1.0"),
        Draft::new(second(9), E::Open, Outcome::Failed)
            .by(sato())
            .on(id)
            .under("開示-2026-7"),
        done(10, E::Control).by(root()).with("action", "status"),
        done(-11, E::Clock),
    ]
}

/// File name and content, as today's code writes them.
fn written() -> Vec<(&'static str, String)> {
    let [old, new] = signers();
    let mut chain = Chain::new();
    let [mut log, mut private, mut checkpoints] = [const { String::new() }; 3];
    for (at, draft) in drafts().iter().enumerate() {
        let link = chain.append(draft, [0xA0 + at as u8; SALT_BYTES]);
        log += &(String::from_utf8(link.record).unwrap() + "\n");
        private += &(link.private.map_or_else(|| "-".into(), |body| hex(&body)) + "\n");
        match link.seq {
            2 | 8 => checkpoints += &old.sign(&chain),
            12 => checkpoints += &new.sign(&chain),
            _ => {}
        }
    }
    vec![
        ("log", log),
        ("private", private),
        ("checkpoints", checkpoints),
        ("keys", format!("{}\n{}\n", old.vkey(), new.vkey())),
        ("end", hex(&chain.to_bytes()) + "\n"),
    ]
}

/// `TSUWAROKU_FREEZE=1 cargo test -p tsuwaroku audit::frozen` writes what is not there yet; the files
/// are committed and never written again.
fn freeze() {
    fs::create_dir_all(folder()).unwrap();
    for (name, content) in written() {
        let path = folder().join(name);
        if !path.exists() {
            fs::write(&path, content).unwrap();
        }
    }
}

#[test]
fn version_1_is_written() {
    if std::env::var_os("TSUWAROKU_FREEZE").is_some() {
        freeze();
    }
    for (name, content) in written() {
        assert_eq!(content, read(name), "{name}");
    }
}

#[test]
fn version_1_is_read() {
    for (line, draft) in read("log").lines().zip(drafts()) {
        let record = Record::parse(line.as_bytes()).unwrap();
        assert_eq!((record.at, record.event), (draft.at, draft.event));
        assert_eq!((record.actor, record.facts), (draft.actor, draft.facts));
    }
    for (n, line) in read("private").lines().enumerate() {
        let record = read("log").lines().nth(n).unwrap().to_owned();
        let commitment = Record::parse(record.as_bytes()).unwrap().private;
        assert_eq!(commitment.is_none(), line == "-", "record {}", n + 1);
        if line != "-" {
            let body = open_private(&unhex(line), commitment.as_ref()).unwrap();
            assert_eq!(body, drafts()[n].private);
        }
    }
}

#[test]
fn version_1_is_verified() {
    let keys = read("keys");
    let first = VerifyingKey::parse(keys.lines().next().unwrap()).unwrap();
    let (checkpoints, private) = (read("checkpoints"), read("private"));
    let mut audit = Audit::new(vec![first]);
    let checkpoints = notes(&checkpoints);
    audit.head(checkpoints[2], Some(&unhex(read("end").trim())));
    for note in &checkpoints {
        audit.outside_checkpoint(note, "paper");
    }
    for (n, (line, private)) in read("log").lines().zip(private.lines()).enumerate() {
        let recording = Record::parse(line.as_bytes()).unwrap().recording;
        let recording = recording.map(|id| id.to_bytes());
        let private = (private != "-").then(|| unhex(private));
        let row = n as i64 + 1;
        let recording = recording.as_ref().map(<[u8; 16]>::as_slice);
        audit.stored_row(row, line.as_bytes(), recording, private.as_deref());
    }
    let report = audit.finish();
    assert_eq!(report.findings, []);
    assert_eq!((report.records, report.confirmed), (12, 12));
    assert_eq!((report.agreeing, report.outside), (4, 3));
    assert_eq!(report.key.as_deref(), keys.lines().nth(1));
}

/// The lines of each block of literal text after the heading EXAMPLES of `page`.
fn examples(page: &str) -> Vec<Vec<String>> {
    let (_, examples) = page.split_once(".Sh EXAMPLES").unwrap();
    let blocks = examples.split(".Bd -literal").skip(1);
    let lines = |block: &str| {
        let lines = block.lines().skip(1).take_while(|line| *line != ".Ed");
        lines
            .map(|line| line.replace("\\e", "\\").replace("\\(em", "—"))
            .collect()
    };
    blocks.map(lines).collect()
}

/// Every byte and digest of the page's example, against the frozen log.
#[test]
fn the_example_of_the_page_is_true() {
    let log = read("log");
    let records: Vec<&str> = log.lines().take(2).collect();
    let page = folder().join("../../../man/tsuwaroku-audit.5");
    let page = fs::read_to_string(page).unwrap();
    let examples = examples(&page);
    let [first, second, digests, body, commitment, roots, note, vkey] = examples.as_slice() else {
        panic!("the page has {} examples", examples.len());
    };
    assert_eq!([first.concat(), second.concat()], [records[0], records[1]]);
    let sizes = records
        .iter()
        .map(|record| record.len())
        .collect::<Vec<_>>();
    let sizes = format!("have {} and {} bytes", sizes[0], sizes[1]);
    assert!(page.contains(&sizes), "{sizes}");
    let sha256 = |bytes: &[u8]| hex(&Sha256::digest(bytes));
    let of_records = [records[0], records[1]].map(|record| sha256(record.as_bytes()));
    assert_eq!(digests[..], of_records);
    let private = unhex(read("private").lines().nth(1).unwrap());
    let (salt, json) = private.split_at(SALT_BYTES);
    assert_eq!(body[0], hex(salt));
    assert_eq!(body[1].as_bytes(), json);
    let record = Record::parse(records[1].as_bytes()).unwrap();
    assert_eq!(commitment[..], [hex(&record.private.unwrap())]);
    let leaf = |record: &str| Sha256::digest([&[0], &Sha256::digest(record)[..]].concat());
    let leaves = [leaf(records[0]), leaf(records[1])];
    let root = sha256(&[&[1], &leaves[0][..], &leaves[1][..]].concat());
    assert_eq!(roots[..], [hex(&leaves[0]), hex(&leaves[1]), root]);
    let checkpoints = read("checkpoints");
    assert_eq!(note.join("\n") + "\n", notes(&checkpoints)[0]);
    assert_eq!(vkey[..], [read("keys").lines().next().unwrap()]);
}
