//! Objects as their readers meet them: whole, in pieces, damaged, from the future.

use super::durable::{Step, fault};
use super::*;
use crate::call::{Direction, Layout};
use crate::codec::Decoder;
use chrono_tz::Tz;
use proptest::prelude::*;
use tsuwaroku_spool::record::{Encoding, EndReason};

pub(crate) fn call(audio: &[u8], channels: u16, encoding: Encoding) -> Call {
    let layout = Layout {
        rate: 50,
        channels,
        encoding,
    };
    Call {
        id: Ulid::from_parts(1_795_396_530_250, 7),
        number: "06-6458-1132".into(),
        started_at: 1_795_396_530_250_000_000,
        ended_at: 1_795_396_540_250_000_000,
        frames: (audio.len() / layout.frame_bytes()) as u64,
        pre_roll: 0,
        layout,
        direction: Direction::Unknown,
        other_party: None,
        gaps: vec![],
        digits: vec![],
        end_reason: EndReason::Silence,
        continues: None,
        card: "hw:0".into(),
        card_channels: (1..=channels).collect(),
        recorder: "test 1".into(),
    }
}

pub(crate) fn key() -> Key {
    Key::from_bytes([7; 32])
}

/// The bytes of an object that holds `audio`, and of its WAV file.
fn object(audio: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let call = call(audio, 1, Encoding::MuLaw);
    let frame = wav::Frame::around(&call, Tz::Asia__Tokyo);
    let mut writer = ObjectWriter::begin(Vec::new(), &call, &frame, &key()).unwrap();
    for piece in audio.chunks(77) {
        writer.samples(piece).unwrap();
    }
    let (bytes, sealed) = writer.seal().unwrap();
    assert_eq!(sealed.stored_bytes, bytes.len() as u64);
    (bytes, [&frame.before[..], audio, &frame.after].concat())
}

fn open(bytes: &[u8]) -> Result<Object, StoreError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    Object::open(file.path(), &key())
}

/// All bytes of the WAV file from `offset` on.
fn read_from(object: &Object, offset: u64) -> Result<Vec<u8>, StoreError> {
    let mut decoder = Decoder::new();
    let mut wav = Vec::new();
    loop {
        match object.part_at(offset + wav.len() as u64) {
            Part::Bytes([]) => return Ok(wav),
            Part::Bytes(bytes) => wav.extend_from_slice(bytes),
            Part::Block { number, skip } => {
                wav.extend_from_slice(&object.block(number, &mut decoder)?[skip..]);
            }
        }
    }
}

proptest! {
    /// R5.1: what is read is what was recorded, from any offset.
    #[test]
    fn an_object_gives_its_wav_back(audio in proptest::collection::vec(any::<u8>(), 0..999), at: u16) {
        let (bytes, wav) = object(&audio);
        let object = open(&bytes).unwrap();
        object.verify().unwrap();
        prop_assert_eq!(object.wav_bytes(), wav.len() as u64);
        let at = usize::from(at) % (wav.len() + 9);
        prop_assert_eq!(read_from(&object, at as u64).unwrap(), wav.get(at..).unwrap_or(&[]));
    }
}

/// R5.2: whatever single byte is changed, altered audio is never served.
#[test]
fn every_changed_byte_is_refused() {
    let audio: Vec<u8> = (0..450_u32).map(|n| (n * n % 251) as u8).collect();
    let (bytes, wav) = object(&audio);
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x40;
        let served = open(&changed).and_then(|object| {
            object.verify()?;
            read_from(&object, 0)
        });
        match served {
            Ok(served) => assert_eq!(served, wav, "byte {at} altered what is served"),
            Err(StoreError::Io(error)) => panic!("byte {at} is taken for a disk fault: {error}"),
            Err(_) => {}
        }
    }
}

#[test]
fn every_cut_is_refused() {
    let (bytes, _) = object(&[7; 300]);
    for length in 0..bytes.len() {
        let error = open(&bytes[..length]).expect_err("a cut object was opened");
        assert!(matches!(error, StoreError::Damaged(_)), "{length}: {error}");
    }
}

/// An object of another recording, sealed under the same key, with every block in the other's place.
#[test]
fn parts_of_another_object_are_refused() {
    let audio: Vec<u8> = (0..450_u32).map(|n| (n * n % 251) as u8).collect();
    let (one, _) = object(&audio);
    let (two, _) = object(&audio);
    assert_eq!(one.len(), two.len(), "the same content has the same length");
    assert_ne!(
        one[HEADER..],
        two[HEADER..],
        "the same content is never sealed to the same bytes"
    );
    for cut in [HEADER, one.len() / 2, one.len() - 60] {
        let mixed = [&one[..cut], &two[cut..]].concat();
        assert!(
            open(&mixed).and_then(|object| object.verify()).is_err(),
            "joined at {cut}"
        );
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &one).unwrap();
    assert!(
        Object::open(file.path(), &Key::from_bytes([8; 32])).is_err(),
        "another key"
    );
}

const HEADER: usize = format::HEADER_BYTES;

/// R3.1: nothing of the call can be read in the object.
#[test]
fn an_object_tells_nothing_without_its_key() {
    let audio = b"the same eight bytes again and again and again and again and again and again";
    let (bytes, wav) = object(audio);
    for secret in [
        &audio[..12],
        b"06-6458-1132",
        b"1132",
        &wav[..16],
        b"silence",
        b"recorder",
    ] {
        assert!(
            !bytes.windows(secret.len()).any(|window| window == secret),
            "{secret:?}"
        );
    }
}

#[test]
fn the_future_is_refused_by_name() {
    let (bytes, _) = object(&[7; 30]);
    let mut version = bytes.clone();
    version[8] = 2;
    assert!(
        open(&version)
            .unwrap_err()
            .to_string()
            .contains("format version 2")
    );
    let mut flag = bytes;
    flag[20] = 4;
    assert!(
        open(&flag)
            .unwrap_err()
            .to_string()
            .contains("feature flags 0x4")
    );
}

fn store() -> (tempfile::TempDir, Store, Ulid) {
    let folder = tempfile::tempdir().unwrap();
    let archive = Ulid::from_parts(1, 2);
    Store::init(folder.path(), archive, "primary").unwrap();
    let store = Store::open(folder.path(), archive).unwrap();
    (folder, store, archive)
}

fn put(store: &Store, audio: &[u8]) -> Result<Sealed, StoreError> {
    let call = call(audio, 1, Encoding::ALaw);
    let mut new = store.begin(&call, &wav::Frame::around(&call, Tz::UTC), &key())?;
    new.samples(audio)?;
    new.publish()
}

#[test]
fn putting_the_same_twice_keeps_one() {
    let (_folder, store, _) = store();
    let first = put(&store, b"audio").unwrap();
    assert_eq!(put(&store, b"audio").unwrap(), first);
    assert_eq!(store.objects().count(), 1);
}

#[test]
fn a_broken_object_in_the_way_is_set_aside_and_kept() {
    let (folder, store, _) = store();
    put(&store, b"audio").unwrap();
    let path = store.path(Ulid::from_parts(1_795_396_530_250, 7));
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, b"broken").unwrap();
    put(&store, b"audio").unwrap();
    Object::open(&path, &key()).unwrap().verify().unwrap();
    let kept = std::fs::read_dir(folder.path().join("set-aside"))
        .unwrap()
        .next()
        .unwrap();
    assert_eq!(std::fs::read(kept.unwrap().path()).unwrap(), b"broken");
}

#[test]
fn audio_of_another_length_than_promised_is_refused() {
    let (_folder, store, _) = store();
    let call = call(b"audio", 1, Encoding::ALaw);
    let mut new = store
        .begin(&call, &wav::Frame::around(&call, Tz::UTC), &key())
        .unwrap();
    new.samples(b"audi").unwrap();
    assert!(matches!(
        new.publish(),
        Err(StoreError::Length {
            promised: 5,
            got: 4
        })
    ));
    assert_eq!(store.objects().count(), 0);
}

/// Whatever step fails: nothing is acknowledged, nothing half made is seen, and the next try works.
#[test]
fn a_failing_disk_leaves_nothing_half_done() {
    for step in Step::WRITING {
        let (_folder, store, _) = store();
        fault::fail(Some(step));
        let failed = put(&store, b"audio");
        fault::fail(None);
        let error = failed.expect_err("the step fails");
        assert!(
            error.to_string().contains(&format!("{step:?}")),
            "{step:?}: {error}"
        );
        let drafts = std::fs::read_dir(store.root.join("drafts"))
            .unwrap()
            .count();
        assert_eq!(drafts, 0, "{step:?} leaves a draft");
        for object in store.objects() {
            Object::open(&object.unwrap(), &key())
                .unwrap()
                .verify()
                .unwrap();
        }
        put(&store, b"audio").unwrap();
        assert_eq!(store.objects().count(), 1, "{step:?}");
    }
}

#[test]
fn an_unmounted_or_foreign_store_is_refused() {
    let (folder, store, archive) = store();
    let foreign = Store::open(folder.path(), Ulid::from_parts(9, 9)).unwrap_err();
    assert!(foreign.to_string().contains("another disk is mounted here"));
    let empty = tempfile::tempdir().unwrap();
    let missing = Store::open(empty.path(), archive).unwrap_err();
    assert!(missing.to_string().contains("is the disk mounted?"));
    std::fs::write(folder.path().join("drafts/half"), b"x").unwrap();
    Store::open(folder.path(), archive).unwrap();
    assert!(!store.root.join("drafts/half").exists());
}

mod frozen;
