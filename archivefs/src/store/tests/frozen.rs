//! Objects as version 1 wrote them, frozen in `archivefs/fixtures/`: whatever this code becomes, it
//! reads them, and refuses the broken and the future ones by name. `wavs` there holds the SHA-256 of
//! each WAV file. The key is [`key`] for all.

use super::*;
use crate::codec::Effort;
use crate::store::format::Header;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use tsuwaroku_spool::record::{Digits, Gap, GapCause};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// Audio that has something of everything: silence, a ramp, noise.
fn audio(bytes: usize) -> Vec<u8> {
    let noise = |n: usize| ((n.wrapping_mul(2_654_435_761) >> 13) % 251) as u8;
    let byte = |n: usize| match n * 3 / bytes.max(1) {
        0 => 0,
        1 => (n / 7 % 256) as u8,
        _ => noise(n),
    };
    (0..bytes).map(byte).collect()
}

fn example(encoding: Encoding, channels: u16, bytes: usize) -> (Call, Vec<u8>) {
    let mut call = call(&vec![0; bytes], channels, encoding);
    call.layout.rate = 8000;
    call.other_party = Some("0312345678".into());
    call.direction = Direction::In;
    call.digits = vec![Digits {
        at: 3,
        digits: "1#".into(),
    }];
    call.gaps = vec![Gap {
        at: 5,
        frames: 2,
        cause: GapCause::Overrun,
    }];
    (call, audio(bytes))
}

/// 16-bit samples of a loud and a quiet leg, each of values that µ-law has (ITU-T G.711, table 2a),
/// added up.
fn mix(bytes: usize) -> Vec<u8> {
    let leg = |n: usize, steps: usize, lowest: usize| {
        let step = lowest + (n * n / 900 + n / 5) % steps;
        let size = (((step & 15) as i16) << 3 | 0x84) << (step >> 4);
        let size = size - 0x84;
        if (n / 40).is_multiple_of(2) {
            size
        } else {
            -size
        }
    };
    (0..bytes / 2)
        .flat_map(|n| (leg(n, 40, 60) + leg(3 * n + 7, 20, 4)).to_le_bytes())
        .collect()
}

/// Name, call and audio, effort.
type Good = (&'static str, (Call, Vec<u8>), Effort);

/// Every good fixture.
fn good() -> Vec<Good> {
    vec![
        (
            "v1-mono-s16",
            example(Encoding::S16, 1, 70_000),
            Effort::Ingest,
        ),
        (
            "v1-mono-s16-thorough",
            example(Encoding::S16, 1, 70_000),
            Effort::Thorough,
        ),
        (
            "v1-stereo-mulaw",
            example(Encoding::MuLaw, 2, 80_000),
            Effort::Ingest,
        ),
        (
            "v1-stereo-s24",
            example(Encoding::S24, 2, 60_000),
            Effort::Ingest,
        ),
        (
            "v1-mix-s16",
            (example(Encoding::S16, 1, 70_000).0, mix(70_000)),
            Effort::Ingest,
        ),
        ("v1-empty", example(Encoding::ALaw, 1, 0), Effort::Ingest),
    ]
}

fn write(call: &Call, audio: &[u8], effort: Effort) -> Vec<u8> {
    let frame = wav::Frame::around(call, Tz::Asia__Tokyo);
    let mut writer = ObjectWriter::begin_with(effort, Vec::new(), call, &frame, &key()).unwrap();
    writer.samples(audio).unwrap();
    writer.seal().unwrap().0
}

fn digest_of(object: &Object) -> String {
    let mut wav = Sha256::new();
    wav.update(read_from(object, 0).unwrap());
    wav.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// `TSUWAROKU_FREEZE=1 cargo test -p tsuwaroku frozen` writes what is not there yet; the files are
/// committed and never written again.
fn freeze() {
    let mut wavs = String::new();
    for (name, (call, audio), effort) in good() {
        let path = folder().join(format!("{name}.tso"));
        if !path.exists() {
            std::fs::write(&path, write(&call, &audio, effort)).unwrap();
        }
        let object = Object::open(&path, &key()).unwrap();
        let _ = writeln!(wavs, "{} {name}", digest_of(&object));
    }
    std::fs::write(folder().join("wavs"), wavs).unwrap();
}

/// The fixture of a mix is one: its first frame is of the method that has sums.
#[test]
fn the_mix_is_coded_as_sums() {
    let shape = example(Encoding::S16, 1, 70_000).0.layout.into();
    let frame = crate::codec::Encoder::new().encode(shape, &mix(64_000), Effort::Ingest);
    assert_eq!(frame[0], 2);
}

#[test]
fn version_1_is_read() {
    if std::env::var_os("TSUWAROKU_FREEZE").is_some() {
        freeze();
    }
    let wavs = std::fs::read_to_string(folder().join("wavs")).unwrap();
    let wavs: Vec<(&str, &str)> = wavs
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .collect();
    assert_eq!(wavs.len(), good().len());
    for ((digest, name), (expected, (call, audio), _)) in wavs.into_iter().zip(good()) {
        assert_eq!(name, expected);
        let object = Object::open(&folder().join(format!("{name}.tso")), &key()).unwrap();
        object.verify().unwrap();
        assert_eq!(digest_of(&object), digest, "{name}");
        assert_eq!(object.call(), &call, "{name}");
        let (before, after) = object.around();
        let wav = read_from(&object, 0).unwrap();
        assert_eq!(&wav[before.len()..wav.len() - after.len()], audio, "{name}");
    }
}

/// A frozen object with every byte changed, one after the other (of the large ones every 97th):
/// refused, or served as it was.
#[test]
fn broken_in_any_place_it_is_never_served_altered() {
    for (name, (_, audio), _) in good() {
        let bytes = std::fs::read(folder().join(format!("{name}.tso"))).unwrap();
        let step = if bytes.len() > 2000 { 97 } else { 1 };
        for at in (0..bytes.len()).step_by(step) {
            let mut broken = bytes.clone();
            broken[at] ^= 0x81;
            let served = open(&broken).and_then(|object| {
                object.verify()?;
                Ok(read_from(&object, 0)?.len() - audio.len())
            });
            match served {
                Err(StoreError::Damaged(_) | StoreError::Future(_)) => {}
                Err(error) => panic!("{name}, byte {at}: {error}"),
                Ok(_) => panic!("{name}, byte {at} is not authenticated"),
            }
        }
    }
}

/// Three kinds of features from the future: to be ignored, to be left alone, to be refused.
#[test]
fn features_are_of_three_kinds() {
    let bytes = std::fs::read(folder().join("v1-empty.tso")).unwrap();
    let with = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] = 0x20;
        bytes
    };
    let header = |bytes: &[u8]| Header::parse(bytes[..HEADER].try_into().unwrap());
    assert_eq!(header(&with(12)).unwrap().ignore, 0x20);
    assert_eq!(header(&with(16)).unwrap().read_only, 0x20);
    let refused = header(&with(20)).unwrap_err().to_string();
    assert!(
        refused.contains("feature flags 0x20") && refused.contains("upgrade"),
        "{refused}"
    );
    // Flags are authenticated: nobody else can set one.
    assert!(open(&with(12)).is_err());
}
