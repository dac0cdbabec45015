//! The bytes of the fixtures, put together by hand: independent of the code they test.

// Each test that includes this file uses a part of it.
#![allow(dead_code)]

/// The recording in `good-mono-s16.call`.
pub const MONO: &str = "01KASPWCPRTSWAR0KV00000001";
/// The recording in `good-stereo-mulaw.call`.
pub const STEREO: &str = "01KASPWDP0TSWAR0KV00000002";

const MONO_START: &str = r#"{"id":"01KASPWCPRTSWAR0KV00000001","line":"06-6458-1132","card":"hw:0","card_channels":[1],"rate":8000,"encoding":"s16","started_at":1763946935000000000,"pre_roll":4,"recorder":"tsuwaroku-capture 0.1.0"}"#;
const MONO_END: &str = r#"{"frames":12,"ended_at":1763946935001500000,"reason":"silence"}"#;
const STEREO_START: &str = r#"{"id":"01KASPWDP0TSWAR0KV00000002","line":"06-6458-7160","card":"plughw:Card,0","card_channels":[3,4],"rate":8000,"encoding":"mu-law","started_at":1763946936000000000,"pre_roll":0,"continues":"01KASPWCPRTSWAR0KV00000001","recorder":"tsuwaroku-capture 0.1.0"}"#;

/// The samples of the two audio records of the mono fixture.
pub const MONO_AUDIO: [&[u8]; 2] = [
    &[0, 0, 1, 0, 255, 127, 0, 128, 255, 255, 2, 0, 3, 0, 4, 0],
    &[5, 0, 6, 0, 7, 0, 8, 0],
];
/// The samples of the two audio records of the stereo fixture.
pub const STEREO_AUDIO: [&[u8]; 2] = [
    &[0xFF, 0x7F, 0x80, 0x00, 0x12, 0x34, 0x56, 0x78],
    &[1, 2, 3, 4, 5, 6],
];

/// An entry being put together.
#[derive(Clone)]
pub struct Raw {
    pub bytes: Vec<u8>,
    crc: u32,
    sequence: u32,
    /// Where each record ends.
    pub ends: Vec<usize>,
}

impl Raw {
    pub fn new(version: u16, flags: u16) -> Self {
        let mut bytes = b"TSWSPOOL".to_vec();
        bytes.extend(version.to_le_bytes());
        bytes.extend(flags.to_le_bytes());
        bytes.extend([0; 4]);
        Self {
            crc: crc32c::crc32c(&bytes),
            bytes,
            sequence: 0,
            ends: Vec::new(),
        }
    }

    pub fn record(mut self, kind: u8, payload: &[u8]) -> Self {
        let mut checked = (payload.len() as u32).to_le_bytes().to_vec();
        checked.extend([kind, 0, 0, 0]);
        checked.extend(self.sequence.to_le_bytes());
        self.crc = crc32c::crc32c_append(self.crc, &checked);
        self.crc = crc32c::crc32c_append(self.crc, payload);
        self.bytes.extend(checked);
        self.bytes.extend(self.crc.to_le_bytes());
        self.bytes.extend(payload);
        self.sequence += 1;
        self.ends.push(self.bytes.len());
        self
    }

    pub fn json(self, kind: u8, json: &str) -> Self {
        self.record(kind, json.as_bytes())
    }

    pub fn audio(self, at: u64, samples: &[u8]) -> Self {
        self.record(2, &[&at.to_le_bytes(), samples].concat())
    }
}

/// `good-mono-s16.call`, up to its end record.
pub fn mono_open() -> Raw {
    Raw::new(1, 0)
        .json(1, MONO_START)
        .audio(0, MONO_AUDIO[0])
        .audio(8, MONO_AUDIO[1])
}

/// `good-mono-s16.call`.
pub fn mono() -> Raw {
    mono_open().json(5, MONO_END)
}

/// `good-stereo-mulaw.call`.
pub fn stereo() -> Raw {
    Raw::new(1, 0)
        .json(1, STEREO_START)
        .audio(0, STEREO_AUDIO[0])
        .json(3, r#"{"at":4,"frames":6,"cause":"overrun"}"#)
        .json(4, r#"{"at":2,"digits":"06#A"}"#)
        .audio(10, STEREO_AUDIO[1])
        .json(3, r#"{"at":13,"frames":2,"cause":"queue"}"#)
        .json(
            5,
            r#"{"frames":15,"ended_at":1763946936001875000,"reason":"maximum-length"}"#,
        )
}

/// Every fixture: its name and its bytes.
pub fn all() -> Vec<(&'static str, Vec<u8>)> {
    let mut fixtures = vec![
        ("good-mono-s16.call", mono().bytes),
        ("good-stereo-mulaw.call", stereo().bytes),
    ];
    fixtures.extend(future());
    fixtures.extend(damaged());
    fixtures
}

fn future() -> Vec<(&'static str, Vec<u8>)> {
    let version = Raw::new(2, 0).json(1, MONO_START).json(5, MONO_END);
    let flag = Raw::new(1, 0x8000).json(1, MONO_START).json(5, MONO_END);
    let start = || Raw::new(1, 0).json(1, MONO_START);
    let end = r#"{"frames":0,"ended_at":1763946935000000000,"reason":"shutdown"}"#;
    let skipped = start().record(200, b"levels").json(5, end);
    let unknown = start().record(9, b"something that matters").json(5, end);
    vec![
        ("future-version.call", version.bytes),
        ("future-flag.call", flag.bytes),
        ("future-skippable-kind.call", skipped.bytes),
        ("future-kind.call", unknown.bytes),
    ]
}

fn damaged() -> Vec<(&'static str, Vec<u8>)> {
    let good = mono().bytes;
    let ends = mono().ends;
    let record = |n: usize| &good[ends[n - 1]..ends[n]];
    let changed = |at: usize, to: u8| {
        let mut bytes = good.clone();
        bytes[at] = to;
        bytes
    };
    let start = &good[..ends[0]];
    let huge_gap = r#"{"at":0,"frames":4611686018427387904,"cause":"overrun"}"#;
    let huge_gap = Raw::new(1, 0).json(1, MONO_START).json(3, huge_gap);
    let other_frames = MONO_END.replace("12", "13");
    let rate = Raw::new(1, 0).json(1, &MONO_START.replace("8000,", "0,"));
    let control = Raw::new(1, 0).json(1, &MONO_START.replace("hw:0", r"hw:0\u001b[2J"));
    let json = Raw::new(1, 0).json(1, &MONO_START.replace("s16", r"\u001b]0;s17"));
    vec![
        ("damaged-empty.call", Vec::new()),
        ("damaged-magic.call", changed(7, b'1')),
        ("damaged-reserved.call", changed(15, 1)),
        ("damaged-sample.call", changed(ends[0] + 16 + 8 + 3, 1)),
        ("damaged-length.call", changed(ends[0] + 2, 0x20)),
        (
            "damaged-no-start.call",
            Raw::new(1, 0).audio(0, &[0, 0]).bytes,
        ),
        (
            "damaged-second-start.call",
            mono_open().json(1, MONO_START).bytes,
        ),
        (
            "damaged-dropped-record.call",
            [start, record(2), record(3)].concat(),
        ),
        (
            "damaged-swapped-records.call",
            [start, record(2), record(1), record(3)].concat(),
        ),
        (
            "damaged-foreign-record.call",
            [start, &stereo().bytes[stereo().ends[0]..stereo().ends[1]]].concat(),
        ),
        ("damaged-short.call", good[..ends[2] - 1].to_vec()),
        ("damaged-no-end.call", good[..ends[2]].to_vec()),
        ("damaged-after-end.call", [&good[..], &[0]].concat()),
        (
            "damaged-position.call",
            mono_open().audio(11, &[0, 0]).bytes,
        ),
        (
            "damaged-partial-frame.call",
            mono_open().audio(12, &[0]).bytes,
        ),
        (
            "damaged-end-frames.call",
            mono_open().json(5, &other_frames).bytes,
        ),
        ("damaged-huge-gap.call", huge_gap.bytes),
        ("damaged-rate.call", rate.bytes),
        ("damaged-control-character.call", control.bytes),
        ("damaged-json.call", json.bytes),
    ]
}
