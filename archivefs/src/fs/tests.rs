//! The file system without a kernel: what is listed can be looked up, what is read is the WAV file.

use super::*;
use crate::call::Call;
use crate::catalogue::tests::signers;
use crate::catalogue::{Archived, Birth};
use crate::crypto::Key;
use crate::keys::Keys;
use crate::store::Store;
use crate::store::tests::call;
use crate::wav;
use tsuwaroku_spool::record::Encoding;
use ulid::Ulid;

struct World {
    _folder: tempfile::TempDir,
    catalogue: Arc<Catalogue>,
    vault: Vault,
    fs: ArchiveFs,
}

const ZONE: Tz = Tz::Asia__Tokyo;

fn world(owners: Owners) -> World {
    let folder = tempfile::tempdir().unwrap();
    let archive = Ulid::from_parts(1_700_000_000_000, 1);
    let database = folder.path().join("catalogue.sqlite");
    Catalogue::init(
        &database,
        Birth {
            archive,
            time_zone: ZONE,
        },
    )
    .unwrap();
    let catalogue = Arc::new(Catalogue::open(&database, signers()).unwrap());
    Store::init(folder.path(), archive, "primary").unwrap();
    let store = Store::open(folder.path(), archive).unwrap();
    let keys = folder.path().join("keys.sqlite");
    Keys::init(&keys, archive, &Key::from_bytes([1; 32])).unwrap();
    let keys = Keys::open(&keys, archive, Key::from_bytes([1; 32])).unwrap();
    let vault = Vault::new(vec![store], Arc::new(keys));
    let fs = ArchiveFs::new(catalogue.clone(), vault.clone(), Language::English, owners);
    World {
        _folder: folder,
        catalogue,
        vault,
        fs,
    }
}

impl World {
    fn add(&self, number: &str, milliseconds: u64, tie: u128, audio: &[u8]) -> Recording {
        let call = Call {
            id: Ulid::from_parts(milliseconds, tie),
            number: number.into(),
            started_at: milliseconds as i64 * 1_000_000,
            ..call(audio, 1, Encoding::ALaw)
        };
        let mut new = self
            .vault
            .begin(&call, &wav::Frame::around(&call, ZONE))
            .unwrap();
        new.samples(audio).unwrap();
        let sealed = new.publish().unwrap();
        match self.catalogue.archive(call, sealed).unwrap() {
            Archived::New(recording) => *recording,
            Archived::Already(_) => panic!("it was in already"),
        }
    }

    /// Every path below `node`, each looked up by its name.
    fn walk(&self, node: Node, path: &str, found: &mut Vec<String>) {
        for entry in self.fs.list(node).unwrap() {
            let path = format!("{path}/{}", entry.name);
            let looked_up = self.fs.look_up(node, &entry.name).unwrap();
            assert_eq!(
                looked_up, entry.attributes,
                "{path}: listed and looked up differ"
            );
            assert_eq!(
                self.fs.attributes(looked_up.node).unwrap(),
                looked_up,
                "{path}"
            );
            match looked_up.node {
                Node::File(_) => found.push(path),
                folder => self.walk(folder, &path, found),
            }
        }
    }
}

/// 2026-11-23 10:15:30.250 in Tokyo.
const MORNING: u64 = 1_795_396_530_250;

#[test]
fn both_trees_show_the_same_recordings() {
    let world = world(Owners::default());
    world.add("06-6458-1132", MORNING, 1, b"one");
    world.add("06-6458-1132", MORNING + 86_400_000, 2, b"two");
    world.add("06-6458-7160", MORNING, 3, b"three");
    let mut found = Vec::new();
    world.walk(Node::Root, "", &mut found);
    let suffix = |tie| Ulid::from_parts(0, tie).to_string().split_off(22);
    let (one, two, three) = (suffix(1), suffix(2), suffix(3));
    let expected = [
        format!("/by-date/2026/11/23/06-6458-1132/101530-{one}.wav"),
        format!("/by-date/2026/11/23/06-6458-7160/101530-{three}.wav"),
        format!("/by-date/2026/11/24/06-6458-1132/101530-{two}.wav"),
        format!("/by-number/06-6458-1132/2026/11/23/101530-{one}.wav"),
        format!("/by-number/06-6458-1132/2026/11/24/101530-{two}.wav"),
        format!("/by-number/06-6458-7160/2026/11/23/101530-{three}.wav"),
    ];
    assert_eq!(found, expected);
}

/// Two calls in one millisecond, and two whose identities end alike: each keeps its name.
#[test]
fn names_never_collide() {
    let world = world(Owners::default());
    for (milliseconds, tie) in [
        (MORNING, 1),
        (MORNING, 1 << 40 | 1),
        (MORNING + 5, 1 << 41 | 1),
    ] {
        world.add("06-6458-1132", milliseconds, tie, &[tie as u8]);
    }
    let mut found = Vec::new();
    world.walk(Node::Root, "", &mut found);
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 6);
}

#[test]
fn what_is_read_is_the_wav_file() {
    let world = world(Owners::default());
    let audio: Vec<u8> = (0..999_u32).map(|n| (n % 251) as u8).collect();
    let recording = world.add("06-6458-1132", MORNING, 1, &audio);
    let node = Node::File(recording.key);
    let object = world.fs.open(&recording).unwrap();
    let blocks = Arc::new(Blocks::new(1 << 20));
    let reader = Reader::new(object, recording.key, blocks, None);
    let whole = reader.read(0, 1 << 20).unwrap();
    assert_eq!(whole.len() as u64, world.fs.attributes(node).unwrap().size);
    assert_eq!(&whole[whole.len() - 1000..whole.len() - 1], audio);
    for (offset, size) in [
        (0, 1),
        (5, 700),
        (whole.len() - 3, 99),
        (whole.len(), 9),
        (1 << 40, 9),
    ] {
        let end = (offset + size).min(whole.len());
        let expected = whole.get(offset..end).unwrap_or(&[]);
        assert_eq!(
            reader.read(offset as u64, size).unwrap(),
            expected,
            "{offset}+{size}"
        );
    }
}

/// R5.2: an object that was exchanged behind the catalogue's back is not served.
#[test]
fn another_object_in_its_place_is_not_served() {
    let world = world(Owners::default());
    let recording = world.add("06-6458-1132", MORNING, 1, b"one");
    let other = world.add("06-6458-1132", MORNING, 2, b"two");
    let path = world.vault.primary().path(recording.id);
    std::fs::remove_file(&path).unwrap();
    std::fs::copy(world.vault.primary().path(other.id), &path).unwrap();
    let error = world.fs.open(&recording).err().unwrap();
    assert!(
        error.is_fault() && error.to_string().contains("not what was sealed"),
        "{error}"
    );
}

#[test]
fn a_number_on_a_day_belongs_to_its_readers() {
    let readers = HashMap::from([("06-6458-1132".to_owned(), 4242)]);
    let world = world(Owners {
        uid: 7,
        gid: 8,
        readers,
    });
    world.add("06-6458-1132", MORNING, 1, b"one");
    world.add("06-6458-7160", MORNING, 2, b"two");
    let mut node = Node::Root;
    for name in ["by-date", "2026", "11", "23"] {
        let found = world.fs.look_up(node, name).unwrap();
        assert_eq!((found.mode, found.gid), (0o555, 8));
        node = found.node;
    }
    let leaf = world.fs.look_up(node, "06-6458-1132").unwrap();
    assert_eq!((leaf.mode, leaf.gid), (0o550, 4242));
    let file = world.fs.list(leaf.node).unwrap().remove(0).attributes;
    assert_eq!((file.mode, file.gid, file.links), (0o440, 4242, 2));
    let other = world.fs.look_up(node, "06-6458-7160").unwrap();
    assert_eq!((other.mode, other.gid), (0o550, 8));
}

#[test]
fn what_is_not_there_is_not_found() {
    let world = world(Owners::default());
    world.add("06-6458-1132", MORNING, 1, b"one");
    for path in [
        "by-date/2025",
        "by-date/2026/12",
        "by-date/2026/11/22",
        "by-date/2026/11/23/110",
        "by-date/2026/11/23/06-6458-1132/101530-0000.wav",
        "by-number/06-6458-1132/2025",
        "日付別",
    ] {
        let mut node = Node::Root;
        let mut parts = path.split('/').peekable();
        while let Some(name) = parts.next() {
            match world.fs.look_up(node, name) {
                Ok(found) => node = found.node,
                Err(error) => {
                    assert_eq!(error.errno(), nix::errno::Errno::ENOENT, "{path}");
                    assert!(parts.peek().is_none(), "{path}: {name} is missing already");
                    node = Node::Root;
                }
            }
        }
        assert_eq!(node, Node::Root, "{path} was found");
    }
}

#[test]
fn attributes_say_what_it_is() {
    let world = world(Owners::default());
    let recording = world.add("06-6458-1132", MORNING, 1, &[0; 75]);
    let node = Node::File(recording.key);
    let value = |name: &str| String::from_utf8(world.fs.xattr(node, name).unwrap()).unwrap();
    assert_eq!(value("user.tsuwaroku.id"), recording.id.to_string());
    assert_eq!(value("user.tsuwaroku.duration"), "1.500");
    assert_eq!(value("user.tsuwaroku.end"), "silence");
    assert_eq!(value("user.tsuwaroku.sha256").len(), 64);
    for name in world.fs.xattrs(node) {
        assert!(!value(name).is_empty());
    }
    assert!(matches!(
        world.fs.xattr(node, "user.other"),
        Err(FsError::NoAttribute)
    ));
    assert!(matches!(
        world.fs.xattr(Node::Root, "user.tsuwaroku.id"),
        Err(FsError::NoAttribute)
    ));
}
