//! When a call began: by the name of its file, by its header.

use super::*;

pub(super) fn local(text: &str) -> Moment {
    Moment::Local(text.parse().unwrap())
}

#[test]
fn patterns_find_the_time_anywhere_in_a_name() {
    let table = [
        (
            "%Y%m%d-%H%M%S",
            "20261123-101530.wav",
            "2026-11-23T10:15:30",
        ),
        (
            "%Y%m%d-%H%M%S",
            "in-0312345678-20261123-101530-ab.wav",
            "2026-11-23T10:15:30",
        ),
        (
            "%Y%m%d%H%M%S",
            "0120111213_20261123101530.wav",
            "2026-11-23T10:15:30",
        ),
        (
            "%y%m%d-%H%M",
            "x691231-2359 261123.2359",
            "1969-12-31T23:59:00",
        ),
        ("%F_%T", "2026-11-23_10:15:30", "2026-11-23T10:15:30"),
        (
            "%Y年%m月%d日%H時%M分",
            "口座 2026年11月23日10時15分.flac",
            "2026-11-23T10:15:00",
        ),
        (
            "%H%M%S.%3f %Y-%j",
            "101530.250 2024-366.wav",
            "2024-12-31T10:15:30.250",
        ),
        (
            "rec??%Y%m%d%H%M%S",
            "rec0420261123101530.wav",
            "2026-11-23T10:15:30",
        ),
        (
            "%Y/%m/%d/%H%M%S",
            "a/2026/11/23/101530.wav",
            "2026-11-23T10:15:30",
        ),
        (
            "100%%%Y%m%d%H%M",
            "100%202611231015.wav",
            "2026-11-23T10:15:00",
        ),
    ];
    for (pattern, name, expected) in table {
        let pattern: Pattern = pattern.parse().unwrap();
        assert_eq!(
            pattern.find(Path::new(name)).unwrap(),
            Some(local(expected)),
            "{name}"
        );
    }
    let epoch: Pattern = "%s".parse().unwrap();
    let found = epoch.find(Path::new("1795396530.77.wav")).unwrap();
    assert_eq!(
        found,
        Some(Moment::Utc(
            DateTime::from_timestamp(1_795_396_530, 0).unwrap()
        ))
    );
}

/// A time read out of the middle of a longer number would be a wrong one.
#[test]
fn doubtful_names_are_not_guessed() {
    let pattern: Pattern = "%Y%m%d%H%M%S".parse().unwrap();
    let find = |name: &str| pattern.find(Path::new(name));
    for name in [
        "120261123101530.wav",
        "202611231015301.wav",
        "20261323101530.wav",
        "20260230101530",
        "2026112310153.wav",
        "call.20261123101530",
        "２０２６１１２３１０１５３０.wav",
    ] {
        assert!(matches!(find(name), Ok(None)), "{name}: {:?}", find(name));
    }
    assert!(matches!(
        find("20261123101530-20261123101531.wav"),
        Err(Wrong::TwoTimes)
    ));
    assert!(find("20261123101530-20261123101530.wav").unwrap().is_some());
    for wrong in [
        "%Y%m%d",
        "%H%M%S",
        "%Y%m%d-%H%M%",
        "%Q",
        "%3S%Y%m%d%H%M",
        "",
    ] {
        assert!(wrong.parse::<Pattern>().is_err(), "{wrong}");
    }
}

#[test]
fn bext_tells_the_time_to_the_frame_where_it_can() {
    let seconds = 10 * 3600 + 15 * 60 + 30;
    let table = [
        (*b"2026-11-23", *b"10:15:30", 0, Some("2026-11-23T10:15:30")),
        (
            *b"2026:11:23",
            *b"10-15-30",
            seconds * 8000 + 2000,
            Some("2026-11-23T10:15:30.250"),
        ),
        // The counts of frames of another rate, or since the start, say nothing.
        (
            *b"2026_11_23",
            *b"10.15.30",
            77,
            Some("2026-11-23T10:15:30"),
        ),
        (*b"2026-02-30", *b"10:15:30", 0, None),
        (*b"0000-00-00", *b"00:00:00", 0, None),
        (*b"2026-11-23", *b"\0\0\0\0\0\0\0\0", 0, None),
        ([0; 10], [0; 8], 0, None),
    ];
    for (date, time, reference, expected) in table {
        let file = riff(&[
            chunk(*b"bext", &bext(date, time, reference)),
            chunk(*b"fmt ", &format(1, 1, 16, 2)),
            chunk(*b"data", &AUDIO),
        ]);
        let stamp = Source::open(Cursor::new(file)).unwrap().stamp();
        let found = stamp.map(|stamp| Moment::Local(stamp.at(8000)));
        assert_eq!(found, expected.map(local), "{date:?}");
    }
}
