//! What the capture daemon relies on.

mod recipes;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use tempfile::tempdir;
use tsuwaroku_spool::{
    Digits, Encoding, EndReason, Entry, GapCause, MAX_PAYLOAD, Outcome, Record, SpoolError, Start,
    Writer, entry_name,
};
use ulid::Ulid;

fn start(number: u128) -> Start {
    Start {
        id: Ulid::from_parts(1_763_946_935_000, number),
        line: "06-6458-1132".into(),
        card: "hw:0".into(),
        card_channels: vec![1, 2, 3],
        rate: 8000,
        encoding: Encoding::S24,
        started_at: 1_763_946_935_000_000_000,
        pre_roll: 0,
        continues: None,
        recorder: "test 1".into(),
    }
}

/// Bytes of one frame of [`start`].
const FRAME: usize = 9;

fn count(root: &Path, folder: &str) -> usize {
    fs::read_dir(root.join(folder)).unwrap().count()
}

#[test]
fn folders_and_files_are_open_to_the_group_only() {
    let root = tempdir().unwrap();
    let handed_down = fs::Permissions::from_mode(0o2700);
    fs::set_permissions(root.path(), handed_down).unwrap();
    let spool = root.path().join("spool");
    let writer = Writer::open(&spool).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    for folder in ["", "incoming", "ready", "quarantine"] {
        assert_eq!(mode(&spool.join(folder)), 0o2770, "{folder}");
    }
    let path = writer
        .begin(start(1))
        .unwrap()
        .finish(0, EndReason::Silence);
    assert_eq!(mode(&path.unwrap()), 0o640);
}

#[test]
fn a_folder_that_is_there_keeps_its_mode() {
    let root = tempdir().unwrap();
    fs::create_dir(root.path().join("ready")).unwrap();
    let mode = fs::Permissions::from_mode(0o2750);
    fs::set_permissions(root.path().join("ready"), mode).unwrap();
    let _writer = Writer::open(root.path()).unwrap();
    let mode = fs::metadata(root.path().join("ready")).unwrap().mode();
    assert_eq!(mode & 0o7777, 0o2750);
}

#[test]
fn a_spool_has_one_capture_daemon() {
    let root = tempdir().unwrap();
    let first = Writer::open(root.path()).unwrap();
    let in_use = |result| matches!(result, Err(SpoolError::InUse(_)));
    assert!(in_use(Writer::open(root.path())));
    let call = first.begin(start(1)).unwrap();
    drop(first);
    // A recording that is still open is as good as its daemon.
    assert!(in_use(Writer::open(root.path())));
    drop(call);
    Writer::open(root.path()).unwrap();
}

#[test]
fn a_missing_parent_is_named() {
    let root = tempdir().unwrap();
    let error = Writer::open(&root.path().join("no/spool")).unwrap_err();
    assert!(error.to_string().contains("no/spool"), "{error}");
    assert!(!root.path().join("no").exists());
}

#[test]
fn long_audio_is_split_and_comes_back_whole() {
    let root = tempdir().unwrap();
    let writer = Writer::open(root.path()).unwrap();
    let frames = MAX_PAYLOAD / FRAME * 2 + 17;
    let samples: Vec<u8> = (0..frames * FRAME).map(|n| (n * 7 / 3) as u8).collect();
    let mut call = writer.begin(start(1)).unwrap();
    call.audio(&samples).unwrap();
    assert_eq!(call.frames(), frames as u64);
    let path = call.finish(0, EndReason::Silence).unwrap();
    let mut heard = Vec::new();
    let mut parts = 0;
    for record in Entry::open(&path).unwrap().records().unwrap() {
        if let Record::Audio { samples, .. } = record.unwrap() {
            heard.extend(samples);
            parts += 1;
        }
    }
    assert_eq!(parts, 3);
    assert!(heard == samples, "the samples differ");
}

#[test]
fn appended_audio_is_in_the_file_at_once() {
    let root = tempdir().unwrap();
    let writer = Writer::open(root.path()).unwrap();
    let mut call = writer.begin(start(1)).unwrap();
    let path = root.path().join("incoming").join(entry_name(start(1).id));
    let before = fs::metadata(&path).unwrap().len();
    call.audio(&[1; FRAME]).unwrap();
    let record = 16 + 8 + FRAME as u64;
    assert_eq!(fs::metadata(&path).unwrap().len(), before + record);
    assert_eq!(call.durable_frames(), 0);
    call.sync().unwrap();
    assert_eq!(call.durable_frames(), 1);
}

#[test]
fn what_the_archive_would_refuse_is_refused_and_harms_nothing() {
    let root = tempdir().unwrap();
    let writer = Writer::open(root.path()).unwrap();
    let refused = |result| matches!(result, Err(SpoolError::Refused { .. }));
    let digits = |at, digits: &str| Digits {
        at,
        digits: digits.into(),
    };
    let mut call = writer.begin(start(1)).unwrap();
    call.audio(&[1; 2 * FRAME]).unwrap();
    assert!(refused(call.audio(&[1; FRAME + 1])));
    assert!(refused(call.digits(&digits(3, "1"))));
    assert!(refused(call.digits(&digits(0, ""))));
    assert!(refused(call.digits(&digits(0, "E"))));
    let full = call.gap(8000 * 604_800 - 1, GapCause::Unplugged);
    assert!(matches!(full, Err(SpoolError::Full { .. })));
    call.gap(u64::MAX, GapCause::Unplugged).unwrap_err();
    call.digits(&digits(2, "1*#D")).unwrap();
    call.audio(&[]).unwrap();
    call.gap(0, GapCause::Overrun).unwrap();
    call.gap(8000 * 604_800 - 2, GapCause::Unplugged).unwrap();
    let path = call.finish(0, EndReason::Silence).unwrap();
    let summary = Entry::open(&path).unwrap().check().unwrap();
    assert_eq!(summary.end.frames, 8000 * 604_800);
    assert_eq!(summary.digits, [digits(2, "1*#D")]);
    assert_eq!(summary.gaps.len(), 1);
}

#[test]
fn an_insane_start_is_refused() {
    type Change = fn(&mut Start);
    let root = tempdir().unwrap();
    let writer = Writer::open(root.path()).unwrap();
    let changes: [Change; 12] = [
        |s| s.rate = 999,
        |s| s.rate = 384_001,
        |s| s.card_channels = vec![],
        |s| s.card_channels = vec![1; 65],
        |s| s.card_channels = vec![0],
        |s| s.line = String::new(),
        |s| s.line = "1\n".into(),
        |s| s.card = "\u{85}".into(),
        |s| s.card = "x".repeat(257),
        |s| s.recorder = "\0".into(),
        |s| s.pre_roll = u64::MAX,
        |s| s.continues = Some(s.id),
    ];
    for (n, change) in changes.iter().enumerate() {
        let mut start = start(1);
        change(&mut start);
        let refused = matches!(writer.begin(start), Err(SpoolError::Refused { .. }));
        assert!(refused, "change {n}");
    }
    assert_eq!(count(root.path(), "incoming"), 0);
    writer.begin(start(1)).unwrap();
}

#[test]
fn an_id_is_used_once() {
    let root = tempdir().unwrap();
    let writer = Writer::open(root.path()).unwrap();
    let taken = |result| matches!(result, Err(SpoolError::Taken(_)));
    let call = writer.begin(start(1)).unwrap();
    assert!(taken(writer.begin(start(1))));
    call.finish(0, EndReason::Silence).unwrap();
    assert!(taken(writer.begin(start(1))));
    drop(writer.begin(start(2)).unwrap());
    assert!(taken(writer.begin(start(2))));
}

#[test]
fn an_abandoned_call_leaves_no_trace() {
    let root = tempdir().unwrap();
    let writer = Writer::open(root.path()).unwrap();
    let mut call = writer.begin(start(1)).unwrap();
    call.audio(&[1; FRAME]).unwrap();
    call.abandon().unwrap();
    for folder in ["incoming", "ready", "quarantine"] {
        assert_eq!(count(root.path(), folder), 0, "{folder}");
    }
}

#[test]
fn recovery_leaves_alone_what_is_being_written() {
    let root = tempdir().unwrap();
    let writer = Writer::open(root.path()).unwrap();
    let mut open = writer.begin(start(1)).unwrap();
    open.audio(&[1; FRAME]).unwrap();
    drop(writer.begin(start(2)).unwrap());
    let recovered = writer.recover().unwrap();
    assert_eq!(recovered.len(), 1);
    assert_eq!(recovered[0].name.to_str().unwrap(), entry_name(start(2).id));
    open.audio(&[1; FRAME]).unwrap();
    open.finish(0, EndReason::Silence).unwrap();
}

#[test]
fn a_recording_closed_as_truncated_ends_by_its_rate() {
    let root = tempdir().unwrap();
    let writer = Writer::open(root.path()).unwrap();
    let mut call = writer.begin(start(1)).unwrap();
    call.audio(&[1; 3 * FRAME]).unwrap();
    call.gap(5, GapCause::Queue).unwrap();
    drop(call);
    let recovered = writer.recover().unwrap();
    let Outcome::Truncated {
        path,
        frames: 8,
        cut: 0,
    } = &recovered[0].outcome
    else {
        panic!("{recovered:?}");
    };
    let end = Entry::open(path).unwrap().check().unwrap().end;
    assert_eq!(end.reason, EndReason::Truncated);
    assert_eq!(end.ended_at, start(1).started_at + 1_000_000);
}

/// What `damage` makes of the mono fixture in `incoming/`: the frames kept, and what came to
/// quarantine besides its reason.
fn recover_damaged(damage: impl Fn(&mut Vec<u8>, &[usize])) -> (u64, Vec<Vec<u8>>) {
    let root = tempdir().unwrap();
    let writer = Writer::open(root.path()).unwrap();
    let raw = recipes::mono();
    let mut bytes = raw.bytes.clone();
    damage(&mut bytes, &raw.ends);
    let name = format!("{}.call", recipes::MONO);
    fs::write(root.path().join("incoming").join(&name), bytes).unwrap();
    writer.recover().unwrap();
    let mut entry = Entry::open(&root.path().join("ready").join(&name)).unwrap();
    let kept = fs::read_dir(root.path().join("quarantine")).unwrap();
    let kept = kept.map(|file| file.unwrap().path());
    let tails = kept.filter(|path| path.extension().unwrap() != "reason");
    let tails = tails.map(|path| fs::read(path).unwrap()).collect();
    (entry.check().unwrap().end.frames, tails)
}

#[test]
fn audio_behind_a_damaged_record_is_kept_for_a_person() {
    let ends = recipes::mono().ends;
    let (frames, tails) = recover_damaged(|bytes, ends| bytes[ends[0] + 30] ^= 1);
    let mut tail = recipes::mono().bytes[ends[0]..].to_vec();
    tail[30] ^= 1;
    assert_eq!((frames, tails), (0, vec![tail]));
    let (frames, tails) = recover_damaged(|bytes, ends| bytes[ends[1]] ^= 1);
    assert_eq!((frames, tails.len()), (8, 1));
    let (frames, tails) = recover_damaged(|bytes, _| bytes.extend(b"more"));
    assert_eq!((frames, tails), (12, vec![b"more".to_vec()]));
}

#[test]
fn a_torn_append_and_zeros_of_a_power_cut_are_no_damage() {
    let (frames, tails) = recover_damaged(|bytes, ends| bytes.truncate(ends[1] + 20));
    assert_eq!((frames, tails), (8, vec![]));
    let (frames, tails) = recover_damaged(|bytes, ends| bytes[ends[1]..].fill(0));
    assert_eq!((frames, tails), (8, vec![]));
    let (frames, tails) = recover_damaged(|bytes, _| bytes.extend([0; 5000]));
    assert_eq!((frames, tails), (12, vec![]));
}

#[test]
fn what_is_no_recording_goes_to_quarantine_with_a_reason() {
    let root = tempdir().unwrap();
    let writer = Writer::open(root.path()).unwrap();
    let incoming = root.path().join("incoming");
    let other = Ulid::from_parts(1, 1);
    fs::write(incoming.join("notes.txt"), "?").unwrap();
    fs::create_dir(incoming.join("folder")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", incoming.join("link")).unwrap();
    fs::write(incoming.join(entry_name(other)), recipes::mono().bytes).unwrap();
    // In ready/ already: not over it.
    writer
        .begin(start(1))
        .unwrap()
        .finish(0, EndReason::Silence)
        .unwrap();
    let published = root.path().join("ready").join(entry_name(start(1).id));
    let twin = incoming.join(entry_name(start(1).id));
    let before = fs::read(&published).unwrap();
    fs::copy(&published, twin).unwrap();
    let recovered = writer.recover().unwrap();
    let put_away = recovered
        .iter()
        .filter(|r| matches!(r.outcome, Outcome::Quarantined { .. }));
    assert_eq!((recovered.len(), put_away.count()), (5, 5), "{recovered:?}");
    assert_eq!(count(root.path(), "quarantine"), 10);
    assert_eq!(count(root.path(), "incoming"), 0);
    assert_eq!(fs::read(published).unwrap(), before);
    let reason = root
        .path()
        .join("quarantine")
        .join(entry_name(other) + ".reason");
    let reason = fs::read_to_string(reason).unwrap();
    assert!(reason.contains(recipes::MONO), "{reason}");
}
