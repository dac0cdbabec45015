//! Any recording comes back as it was written; no bytes whatever make the reader panic.

mod recipes;

use std::fs;

use proptest::prelude::*;
use tempfile::tempdir;
use tsuwaroku_spool::{
    Digits, Encoding, End, EndReason, Entry, EntryFault, Gap, GapCause, OpenCall, Outcome, Record,
    Start, Writer, entry_name,
};
use ulid::Ulid;

fn encodings() -> impl Strategy<Value = Encoding> {
    use Encoding::{ALaw, MuLaw, S16, S24, S32};
    prop::sample::select(vec![S16, S24, S32, MuLaw, ALaw])
}

fn starts() -> impl Strategy<Value = Start> {
    let names = ("[^\\p{Cc}]{1,60}", "[^\\p{Cc}]{0,60}", "[^\\p{Cc}]{0,60}");
    let audio = (
        1000..=384_000_u32,
        encodings(),
        prop::collection::vec(1..=u16::MAX, 1..=64),
    );
    let times = (any::<i64>(), 0..100_000_u64);
    let ids = (any::<u128>(), prop::option::of(any::<u128>()));
    (names, audio, times, ids).prop_map(|(names, audio, times, ids)| Start {
        id: Ulid::from(ids.0),
        line: names.0,
        card: names.1,
        card_channels: audio.2,
        rate: audio.0,
        encoding: audio.1,
        started_at: times.0,
        pre_roll: times.1,
        continues: ids.1.filter(|id| *id != ids.0).map(Ulid::from),
        recorder: names.2,
    })
}

/// What is appended, in units that fit any recording.
#[derive(Debug, Clone)]
enum Append {
    Audio(Vec<u8>),
    Gap(u64, GapCause),
    /// At this part of the frames so far, and the digits.
    Digits(f64, String),
}

fn appends() -> impl Strategy<Value = Append> {
    use GapCause::{Overrun, Queue, Spool, Unplugged};
    let causes = prop::sample::select(vec![Overrun, Unplugged, Queue, Spool]);
    prop_oneof![
        3 => prop::collection::vec(any::<u8>(), 256..2000).prop_map(Append::Audio),
        1 => (1..1_000_000_u64, causes).prop_map(|(frames, cause)| Append::Gap(frames, cause)),
        1 => (0.0..=1.0, "[0-9*#A-D]{1,256}").prop_map(|(at, text)| Append::Digits(at, text)),
    ]
}

/// Appends, and gives the record that is meant to come of it.
fn append(call: &mut OpenCall, what: &Append) -> Record {
    let at = call.frames();
    match what {
        Append::Audio(bytes) => {
            let frame = call.start().frame_bytes();
            let samples = bytes[..bytes.len() / frame * frame].to_vec();
            call.audio(&samples).unwrap();
            Record::Audio { at, samples }
        }
        Append::Gap(frames, cause) => {
            call.gap(*frames, *cause).unwrap();
            Record::Gap(Gap {
                at,
                frames: *frames,
                cause: *cause,
            })
        }
        Append::Digits(part, text) => {
            let digits = Digits {
                at: (at as f64 * part) as u64,
                digits: text.clone(),
            };
            call.digits(&digits).unwrap();
            Record::Digits(digits)
        }
    }
}

/// Reads to the end or the first fault; what matters is that it comes to one of them.
fn read(bytes: &[u8]) -> Result<usize, EntryFault> {
    let folder = tempdir().unwrap();
    let path = folder.path().join("any.call");
    fs::write(&path, bytes).unwrap();
    let mut entry = Entry::open(&path)?;
    let records = entry.records()?.collect::<Result<Vec<_>, _>>()?;
    Ok(records.len())
}

fn is_refused(bytes: &[u8]) -> bool {
    read(bytes).is_err_and(|fault| fault.is_content())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_recording_comes_back(
        start in starts(),
        what in prop::collection::vec(appends(), 0..12),
        ended_at in any::<i64>(),
        torn in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let root = tempdir().unwrap();
        let writer = Writer::open(root.path()).unwrap();
        let mut call = writer.begin(start.clone()).unwrap();
        let mut meant = vec![Record::Start(start.clone())];
        meant.extend(what.iter().map(|what| append(&mut call, what)));
        let frames = call.frames();
        let path = if let Some(torn) = torn {
            // The daemon dies while it appends another record.
            drop(call);
            let path = root.path().join("incoming").join(entry_name(start.id));
            let next = recipes::Raw::new(1, 0).audio(frames, &[1; 256]).bytes;
            let part = &next[16..16 + torn.index(next.len() - 16)];
            fs::write(&path, [&fs::read(&path).unwrap()[..], part].concat()).unwrap();
            meant.push(Record::End(End {
                frames,
                ended_at: start.time_after(frames),
                reason: EndReason::Truncated,
            }));
            match writer.recover().unwrap().remove(0).outcome {
                Outcome::Truncated { path, .. } => path,
                other => panic!("{other:?}"),
            }
        } else {
            let reason = EndReason::Silence;
            meant.push(Record::End(End { frames, ended_at, reason }));
            call.finish(ended_at, reason).unwrap()
        };
        let mut entry = Entry::open(&path).unwrap();
        let found = entry.records().unwrap().collect::<Result<Vec<_>, _>>();
        prop_assert_eq!(found.unwrap(), meant);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(is_refused(&bytes));
        let header = &recipes::mono().bytes[..16];
        prop_assert!(is_refused(&[header, &bytes].concat()));
    }

    #[test]
    fn a_good_entry_changed_anywhere_is_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        length in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let good = recipes::stereo().bytes;
        let mut bytes = good.clone();
        for (at, to) in changes {
            *at.get_mut(&mut bytes) = to;
        }
        bytes.truncate(length.map_or(good.len(), |length| length.index(good.len())));
        prop_assume!(bytes != good);
        prop_assert!(is_refused(&bytes));
    }

    /// Behind right check values, any payload: a hostile writer, not a failing disk.
    #[test]
    fn any_payload_ends_in_records_or_a_fault(
        records in prop::collection::vec(
            (prop_oneof![1..=6_u8, any::<u8>()], prop_oneof![
                prop::collection::vec(any::<u8>(), 0..64),
                r#"\{"at":[0-9]{1,20},"frames":[0-9]{1,20},"cause":"queue"\}"#.prop_map(String::into_bytes),
                r#"\{"at":[0-9]{1,20},"digits":"[0-9A-F]{0,20}"\}"#.prop_map(String::into_bytes),
                r#"\{"frames":1[0-9]{1,20},"ended_at":-?[0-9]{1,20},"reason":"silence"\}"#
                    .prop_map(String::into_bytes),
            ]),
            1..6,
        ),
    ) {
        let raw = records.iter().fold(recipes::mono_open(), |raw, (kind, payload)| {
            raw.record(*kind, payload)
        });
        match read(&raw.bytes) {
            Ok(count) => prop_assert!(count >= 4),
            Err(fault) => {
                prop_assert!(fault.is_content());
                prop_assert!(!fault.to_string().chars().any(char::is_control));
            }
        }
    }
}
