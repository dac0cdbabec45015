//! Files made by hand, byte by byte: every format, every way to be broken.

mod times;

use super::when::{Moment, Pattern};
use super::*;
use chrono::{NaiveDate, TimeZone};
use proptest::prelude::*;
use std::io::Cursor;
use std::path::Path;
use times::local;
use tsuwaroku_spool::Encoding;

fn chunk(name: [u8; 4], body: &[u8]) -> Vec<u8> {
    let mut out = [&name[..], &(body.len() as u32).to_le_bytes(), body].concat();
    out.resize(out.len() + body.len() % 2, 0);
    out
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

fn format(tag: u16, channels: u16, bits: u16, container: u16) -> Vec<u8> {
    let frame = channels * container;
    let mut body = Vec::new();
    body.extend(tag.to_le_bytes());
    body.extend(channels.to_le_bytes());
    body.extend(8000_u32.to_le_bytes());
    body.extend((8000 * u32::from(frame)).to_le_bytes());
    body.extend(frame.to_le_bytes());
    body.extend(bits.to_le_bytes());
    body
}

fn extensible(tag: u16, channels: u16, valid: u16, container: u16) -> Vec<u8> {
    let mut body = format(0xFFFE, channels, container * 8, container);
    body.extend(22_u16.to_le_bytes());
    body.extend(valid.to_le_bytes());
    body.extend(0_u32.to_le_bytes());
    body.extend(tag.to_le_bytes());
    body.extend(b"\x00\x00\x00\x00\x10\x00\x80\x00\x00\xAA\x00\x38\x9B\x71");
    body
}

fn bext(date: [u8; 10], time: [u8; 8], reference: u64) -> Vec<u8> {
    let mut body = vec![0; 602];
    body[320..330].copy_from_slice(&date);
    body[330..338].copy_from_slice(&time);
    body[338..346].copy_from_slice(&reference.to_le_bytes());
    body
}

fn wav(format: &[u8], audio: &[u8]) -> Vec<u8> {
    riff(&[chunk(*b"fmt ", format), chunk(*b"data", audio)])
}

/// Twelve bytes that are whole frames of every format here.
const AUDIO: [u8; 12] = [1, 2, 3, 0x80, 0xFF, 0, 7, 8, 9, 10, 11, 12];

/// The samples of a file and its notes, or why it has none.
fn read(file: &[u8]) -> Result<(Layout, Vec<u8>, Vec<Note>), Wrong> {
    let mut source = Source::open(Cursor::new(file))?;
    let mut samples = Vec::new();
    source.samples(|part| {
        assert!(part.len().is_multiple_of(source_frame(file)));
        samples.extend_from_slice(part);
        Ok::<_, Wrong>(())
    })?;
    source.listen()?;
    Ok((source.layout(), samples, source.notes()))
}

fn source_frame(file: &[u8]) -> usize {
    Source::open(Cursor::new(file))
        .unwrap()
        .layout()
        .frame_bytes()
}

#[test]
fn every_format_is_read_bit_for_bit() {
    let wide: Vec<u8> = AUDIO.iter().flat_map(|byte| [0, byte ^ 0x80]).collect();
    let table = [
        (format(1, 1, 8, 1), Encoding::S16, &wide[..]),
        (format(1, 2, 16, 2), Encoding::S16, &AUDIO[..]),
        (format(1, 1, 12, 2), Encoding::S16, &AUDIO),
        (format(1, 2, 24, 3), Encoding::S24, &AUDIO),
        (format(1, 1, 32, 4), Encoding::S32, &AUDIO),
        (format(7, 1, 8, 1), Encoding::MuLaw, &AUDIO),
        (format(6, 3, 8, 1), Encoding::ALaw, &AUDIO),
        (extensible(1, 2, 16, 2), Encoding::S16, &AUDIO),
        (extensible(1, 1, 24, 4), Encoding::S32, &AUDIO),
        (extensible(1, 1, 20, 3), Encoding::S24, &AUDIO),
        (extensible(1, 1, 8, 1), Encoding::S16, &wide),
        (extensible(7, 1, 8, 1), Encoding::MuLaw, &AUDIO),
    ];
    for (format, encoding, expected) in table {
        let (layout, samples, notes) = read(&wav(&format, &AUDIO)).unwrap();
        assert_eq!(layout.encoding, encoding, "{format:?}");
        assert_eq!(layout.channels, u16::from_le_bytes([format[2], format[3]]));
        assert_eq!(
            (layout.rate, &samples[..], notes),
            (8000, expected, vec![]),
            "{format:?}"
        );
    }
}

#[test]
fn eight_bits_keep_their_value() {
    let (_, samples, _) = read(&wav(&format(1, 1, 8, 1), &[0, 1, 127, 128, 255])).unwrap();
    let values: Vec<i16> = samples
        .chunks(2)
        .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    assert_eq!(values, [-32768, -32512, -256, 0, 32512]);
}

#[test]
fn what_the_archive_cannot_hold_is_refused_with_what_to_do() {
    let table = [
        (format(3, 1, 32, 4), "sox FILE -b 32 -e signed-integer"),
        (extensible(3, 1, 32, 4), "sox FILE -b 32 -e signed-integer"),
        (format(0x31, 1, 0, 65), "0x0031"),
        (format(1, 1, 24, 4), "24 bits in 4 bytes"),
        (format(1, 1, 64, 8), "64 bits in 8 bytes"),
        (format(7, 1, 16, 2), "16 bits in 2 bytes"),
        (format(1, 65, 8, 1), "65 channels"),
        (format(1, 0, 16, 2), "makes no sense"),
        (format(1, 1, 16, 2)[..14].to_vec(), "too short"),
        (extensible(1, 1, 16, 2)[..30].to_vec(), "too short"),
    ];
    for (format, words) in table {
        let said = read(&wav(&format, &AUDIO)).unwrap_err().to_string();
        assert!(said.contains(words), "'{words}' is not in: {said}");
    }
    for (file, words) in [
        (&b""[..], "neither WAV nor FLAC"),
        (b"ID3", "neither"),
        (b"RIFF\0\0\0\0AVI LIST", "neither"),
        (b"RIFX\0\0\0\0WAVEfmt ", "RIFX"),
        (b"RIFF\x04\0\0\0WAVE", "no audio chunk"),
    ] {
        let said = read(file).unwrap_err().to_string();
        assert!(said.contains(words), "'{words}' is not in: {said}");
    }
}

/// Chunks of odd length before and after, with and without the padding of the last one.
#[test]
fn other_chunks_are_walked_over() {
    let mut file = riff(&[
        chunk(*b"junk", b"odd"),
        chunk(*b"fmt ", &format(7, 1, 8, 1)),
        chunk(*b"LIST", b"INFOx"),
        chunk(*b"data", b"abc"),
        chunk(*b"bext", &bext(*b"2024-02-29", *b"10:15:30", 0)),
        chunk(*b"note", b"z"),
    ]);
    file.pop();
    let (_, samples, notes) = read(&file).unwrap();
    assert_eq!((&samples[..], notes), (&b"abc"[..], vec![]));
    assert!(Source::open(Cursor::new(&file)).unwrap().stamp().is_some());
}

fn with_data_size(size: u32, audio: &[u8], after: &[u8]) -> Vec<u8> {
    let mut file = riff(&[chunk(*b"fmt ", &format(1, 1, 16, 2))]);
    file.extend(b"data");
    file.extend(size.to_le_bytes());
    file.extend(audio);
    file.extend(after);
    file
}

/// A recorder that died left its header unfinished: nothing of the audio is lost, and it is told.
#[test]
fn headers_of_dead_recorders() {
    let unfinished = vec![Note::Unfinished];
    for size in [0, u32::MAX, 0x7FFF_F000, 0x7FFF_FFFE] {
        let (_, samples, notes) = read(&with_data_size(size, &AUDIO, &[])).unwrap();
        assert_eq!(
            (&samples[..], &notes),
            (&AUDIO[..], &unfinished),
            "{size:#x}"
        );
    }
    let (_, samples, notes) = read(&with_data_size(0, &AUDIO, b"x")).unwrap();
    assert_eq!(
        (&samples[..], notes),
        (&AUDIO[..], vec![Note::Unfinished, Note::PartialFrame(1)])
    );
    // Stated shorter than it is: what follows is no chunk.
    let (_, samples, notes) = read(&with_data_size(12, &AUDIO, &[0; 10])).unwrap();
    assert_eq!(
        (&samples[..], notes),
        (&AUDIO[..], vec![Note::Unexplained(10)])
    );
    // Really empty, with a chunk after it, and without.
    for after in [chunk(*b"LIST", b"INFO"), vec![]] {
        assert!(matches!(
            read(&with_data_size(0, &[], &after)),
            Err(Wrong::Empty)
        ));
    }
    // Half a copy.
    let short = read(&with_data_size(100, &AUDIO, &[]));
    assert!(
        matches!(short, Err(Wrong::Short { missing: 88 })),
        "{short:?}"
    );
    let twice = with_data_size(12, &AUDIO, &chunk(*b"data", &AUDIO));
    assert!(matches!(read(&twice), Err(Wrong::Damaged(_))));
}

fn large(name: [u8; 4], stated: u64, audio: &[u8], after: &[u8]) -> Vec<u8> {
    let ds64 = [&0_u64.to_le_bytes()[..], &stated.to_le_bytes(), &[0; 12]].concat();
    let chunks = [
        chunk(*b"ds64", &ds64),
        chunk(*b"fmt ", &format(1, 1, 16, 2)),
    ]
    .concat();
    let head = [&name, &[0xFF; 4][..], b"WAVE"].concat();
    [&head, &chunks, &b"data\xFF\xFF\xFF\xFF"[..], audio, after].concat()
}

#[test]
fn lengths_of_64_bits() {
    let after = chunk(*b"LIST", b"INFO");
    for name in [*b"RF64", *b"BW64"] {
        let (_, samples, notes) = read(&large(name, 12, &AUDIO, &after)).unwrap();
        assert_eq!((&samples[..], notes), (&AUDIO[..], vec![]));
    }
    let (_, samples, notes) = read(&large(*b"RF64", 0, &AUDIO, &[])).unwrap();
    assert_eq!((&samples[..], notes), (&AUDIO[..], vec![Note::Unfinished]));
    assert!(matches!(
        read(&large(*b"RF64", 1 << 40, &AUDIO, &[])),
        Err(Wrong::Short { .. })
    ));
}

/// Truncated anywhere, a file is refused, or all audio that is there is taken and told.
#[test]
fn every_truncation_is_noticed() {
    let files = [
        riff(&[
            chunk(*b"bext", &bext(*b"2024-02-29", *b"10:15:30", 5)),
            chunk(*b"fmt ", &extensible(1, 1, 16, 2)),
            chunk(*b"data", &AUDIO),
        ]),
        large(*b"RF64", 12, &AUDIO, &[]),
        FLAC.to_vec(),
    ];
    for file in files {
        assert!(read(&file).is_ok());
        for length in 0..file.len() {
            let cut = read(&file[..length]);
            assert!(
                cut.is_err(),
                "{length} of {} bytes were taken: {cut:?}",
                file.len()
            );
        }
    }
}

/// Made by flac 1.4.2 from twelve samples of 16 bits at 8 kHz: 0, 1, 32767, -32768, -1, 2 to 8.
const FLAC: &[u8] = include_bytes!("twelve.flac");

#[test]
fn flac_is_read_and_compared_with_its_digest() {
    let expected: Vec<u8> = [0_i16, 1, i16::MAX, i16::MIN, -1, 2, 3, 4, 5, 6, 7, 8]
        .iter()
        .flat_map(|sample| sample.to_le_bytes())
        .collect();
    let (layout, samples, _) = read(FLAC).unwrap();
    assert_eq!(
        (layout.rate, layout.channels, layout.encoding),
        (8000, 1, Encoding::S16)
    );
    assert_eq!(samples, expected);
    // MD5 lies in the last 16 bytes of STREAMINFO, which ends at byte 42.
    let mut other = FLAC.to_vec();
    other[41] ^= 1;
    assert!(matches!(read(&other), Err(Wrong::Digest)));
}

fn terms(pattern: Option<&Pattern>, zone: Tz) -> Terms<'_> {
    let now = Utc.with_ymd_and_hms(2026, 11, 24, 0, 0, 0).unwrap();
    Terms {
        line: "06-6458-1132",
        zone,
        pattern,
        now,
    }
}

fn planned(file: &[u8], name: &str, pattern: Option<&str>) -> Result<Plan, Wrong> {
    let pattern: Option<Pattern> = pattern.map(|pattern| pattern.parse().unwrap());
    let mut source = Source::open(Cursor::new(file))?;
    plan(
        &mut source,
        Path::new(name),
        &terms(pattern.as_ref(), Tz::Asia__Tokyo),
    )
}

/// The time is the office's, from the name before the header; where neither tells, nothing is made up.
#[test]
fn a_file_becomes_a_plan() {
    let stamped = riff(&[
        chunk(*b"bext", &bext(*b"2025-11-23", *b"10:15:30", 0)),
        chunk(*b"fmt ", &format(1, 2, 16, 2)),
        chunk(*b"data", &AUDIO),
    ]);
    let plan = planned(&stamped, "a/b.wav", None).unwrap();
    assert_eq!(plan.start.started_at, 1_763_860_530_000_000_000);
    assert_eq!(plan.start.id.timestamp_ms(), 1_763_860_530_000);
    assert_eq!((plan.heard.frames, plan.end), (3, EndReason::Silence));
    assert_eq!(
        (&plan.start.recorder[..], &plan.start.card[..]),
        ("import of b.wav", "import")
    );
    assert_eq!(plan.start.card_channels, [1, 2]);
    let named = planned(&stamped, "20251124-101530.wav", Some("%Y%m%d-%H%M%S")).unwrap();
    assert_eq!(
        named.start.started_at - plan.start.started_at,
        86_400_000_000_000
    );
    let other = planned(&stamped, "other.wav", Some("%Y%m%d-%H%M%S")).unwrap();
    assert_eq!(other.start.started_at, plan.start.started_at);

    let bare = wav(&format(1, 2, 16, 2), &AUDIO);
    assert!(matches!(planned(&bare, "b.wav", None), Err(Wrong::NoTime)));
    let at = |name: &str| planned(&bare, name, Some("%Y%m%d-%H%M%S"));
    assert!(matches!(at("b.wav"), Err(Wrong::NoTime)));
    assert!(matches!(
        at("20261124-101530.wav"),
        Err(Wrong::ImpossibleTime(_))
    ));
    assert!(matches!(
        at("19691124-101530.wav"),
        Err(Wrong::ImpossibleTime(_))
    ));

    let crashed = with_data_size(0, &AUDIO, &[]);
    let crashed = planned(&crashed, "20251124-101530.wav", Some("%Y%m%d-%H%M%S")).unwrap();
    assert_eq!(crashed.end, EndReason::Truncated);
}

/// The clocks of Berlin went back on 2025-10-26, and forward on 2025-03-30.
#[test]
fn times_that_come_twice_or_never() {
    let zone = Tz::Europe__Berlin;
    let (first, twice) = local("2025-10-26T02:30:00").in_zone(zone).unwrap();
    assert_eq!(
        (first.to_rfc3339(), twice),
        ("2025-10-26T00:30:00+00:00".into(), true)
    );
    let skipped = local("2025-03-30T02:30:00").in_zone(zone);
    assert!(matches!(skipped, Err(Wrong::SkippedTime(_))));
}

/// The same audio at the same time on the same line is one recording, whatever the file is called;
/// anything else is another one.
#[test]
fn identities() {
    let layout = Layout {
        rate: 8000,
        channels: 1,
        encoding: Encoding::MuLaw,
    };
    let one = identity("06-6458-1132", 1_795_396_530_250_000_000, layout, &[7; 32]);
    // Frozen: an identity that changes would let everything be imported twice.
    assert_eq!(one.to_string(), "01M82ZHW2AH64J764790GRYXDB");
    let others = [
        identity("06-6458-1133", 1_795_396_530_250_000_000, layout, &[7; 32]),
        identity("06-6458-1132", 1_795_396_530_250_000_001, layout, &[7; 32]),
        identity("06-6458-1132", 1_795_396_530_250_000_000, layout, &[8; 32]),
        identity(
            "06-6458-1132",
            1_795_396_530_250_000_000,
            Layout {
                encoding: Encoding::ALaw,
                ..layout
            },
            &[7; 32],
        ),
    ];
    for other in others {
        assert_eq!(other.timestamp_ms(), one.timestamp_ms());
        assert_ne!(other, one);
    }
    let long = format!("{}.wav", "録".repeat(80));
    let bare = wav(&format(1, 1, 16, 2), &AUDIO);
    let name = format!("20251124-101530{long}");
    let plan = planned(&bare, &name, Some("%Y%m%d-%H%M%S")).unwrap();
    assert!(plan.start.recorder.len() <= MAX_NAME_BYTES && plan.start.recorder.len() > 250);
}

proptest! {
    /// Bytes changed anywhere: an error, or audio of whole frames; never a panic.
    #[test]
    fn altered_files_never_panic(
        which in 0..4_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        length in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let mut file = match which {
            0 => FLAC.to_vec(),
            1 => large(*b"RF64", 12, &AUDIO, &chunk(*b"LIST", b"INFO")),
            2 => wav(&extensible(1, 2, 16, 2), &AUDIO),
            _ => riff(&[
                chunk(*b"bext", &bext(*b"2025-11-23", *b"10:15:30", 0)),
                chunk(*b"fmt ", &format(1, 1, 24, 3)),
                chunk(*b"data", &AUDIO),
            ]),
        };
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        if cut {
            file.truncate(length.index(file.len()));
        }
        if let Ok((layout, samples, _)) = read(&file) {
            prop_assert!(samples.len().is_multiple_of(layout.frame_bytes()));
        }
    }

    #[test]
    fn any_bytes_and_names_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        pattern in "[%YmdHMSsjFT3f?/a1]{0,12}",
        name in ".{0,40}",
    ) {
        for magic in [&b""[..], b"fLaC", b"RIFF\0\0\0\0WAVE", b"RF64\0\0\0\0WAVEfmt \x10\0\0\0"] {
            let _ = read(&[magic, &bytes].concat());
        }
        if let Ok(pattern) = pattern.parse::<Pattern>() {
            let _ = pattern.find(Path::new(&name));
        }
    }

    /// Every time that is written by a pattern is found by it.
    #[test]
    fn a_pattern_reads_what_strftime_writes(
        seconds in 0..1_900_000_000_i64,
        before in "[a-z_-]{0,5}",
        after in "[a-z_-]{0,5}",
    ) {
        let time = DateTime::from_timestamp(seconds, 0).unwrap().naive_utc();
        for pattern in ["%Y%m%d-%H%M%S", "%F %T", "%Y-%j_%H.%M.%S", "%y%m%d%H%M%S"] {
            let name = format!("{before}{}{after}.wav", time.format(pattern));
            let pattern: Pattern = pattern.parse().unwrap();
            let expected = Some(Moment::Local(time));
            prop_assert_eq!(pattern.find(Path::new(&name)).unwrap(), expected);
        }
    }
}

#[test]
fn a_day_of_every_century_digit() {
    let pattern: Pattern = "%y%m%d%H%M".parse().unwrap();
    let year = |name: &str| match pattern.find(Path::new(name)).unwrap() {
        Some(Moment::Local(time)) => time.date(),
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!(
        Some(year("6801010000")),
        NaiveDate::from_ymd_opt(2068, 1, 1)
    );
    assert_eq!(
        Some(year("6901010000")),
        NaiveDate::from_ymd_opt(1969, 1, 1)
    );
}
