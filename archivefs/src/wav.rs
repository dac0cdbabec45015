//! The bytes that a WAV file has around its samples: a Broadcast Wave header, so that a recording
//! says by itself what it is and when it was made. Pure; the bytes are made once, at ingest, and kept
//! in the object, so that a later version of this code cannot change a recording.
//!
//! Sources: RIFF/WAVE as in Microsoft's Multimedia Programming Interface 1.0; `bext` from EBU Tech
//! 3285 (version 1); `CodingHistory` from EBU R 98; RF64 with `ds64` from EBU Tech 3306 for files of
//! 4 GiB and more. `bext` is ASCII, so names in Japanese stand elsewhere.

use crate::call::{Call, time_of};
use chrono_tz::Tz;
use tsuwaroku_spool::record::Encoding;

/// Fixed part of the `bext` chunk, bytes (EBU Tech 3285, section 2.3).
const BEXT_BYTES: usize = 602;

/// WAVE format tags (RFC 2361, appendix A).
const TAG_PCM: u16 = 1;
const TAG_ALAW: u16 = 6;
const TAG_MULAW: u16 = 7;

/// The bytes before and after the samples of a WAV file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// From `RIFF` to the length of the `data` chunk.
    pub before: Vec<u8>,
    /// The byte that makes the `data` chunk's length even, if it needs one.
    pub after: Vec<u8>,
}

impl Frame {
    /// What goes around the audio of `call`; times of day are those of `zone`.
    pub fn around(call: &Call, zone: Tz) -> Self {
        let audio = call.audio_bytes();
        let after = vec![0; (audio % 2) as usize];
        let chunks = [bext(call, zone), format(call), fact(call)].concat();
        let riff_bytes = 4 + chunks.len() as u64 + 8 + audio + after.len() as u64;
        let before = match u32::try_from(riff_bytes) {
            Ok(riff_bytes) => riff(&chunks, riff_bytes, audio as u32),
            Err(_) => rf64(&chunks, riff_bytes, audio, call.frames),
        };
        Self { before, after }
    }
}

fn riff(chunks: &[u8], riff_bytes: u32, audio: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(chunks.len() + 20);
    out.extend_from_slice(b"RIFF");
    out.extend_from_slice(&riff_bytes.to_le_bytes());
    out.extend_from_slice(b"WAVE");
    out.extend_from_slice(chunks);
    out.extend_from_slice(b"data");
    out.extend_from_slice(&audio.to_le_bytes());
    out
}

/// The same with 64-bit lengths: the 32-bit ones are all ones, `ds64` holds the real ones.
fn rf64(chunks: &[u8], riff_bytes: u64, audio: u64, frames: u64) -> Vec<u8> {
    const DS64_BYTES: u32 = 28;
    let mut ds64 = Vec::new();
    ds64.extend_from_slice(&(riff_bytes + 8 + u64::from(DS64_BYTES)).to_le_bytes());
    ds64.extend_from_slice(&audio.to_le_bytes());
    ds64.extend_from_slice(&frames.to_le_bytes());
    ds64.extend_from_slice(&0_u32.to_le_bytes());
    let mut out = Vec::with_capacity(chunks.len() + 56);
    out.extend_from_slice(b"RF64\xFF\xFF\xFF\xFFWAVE");
    out.extend_from_slice(&chunk(*b"ds64", &ds64));
    out.extend_from_slice(chunks);
    out.extend_from_slice(b"data\xFF\xFF\xFF\xFF");
    out
}

fn chunk(name: [u8; 4], body: &[u8]) -> Vec<u8> {
    let mut out = name.to_vec();
    out.extend_from_slice(&(body.len() as u32).to_le_bytes());
    out.extend_from_slice(body);
    if body.len() % 2 == 1 {
        out.push(0);
    }
    out
}

fn bext(call: &Call, zone: Tz) -> Vec<u8> {
    let start = time_of(call.started_at).with_timezone(&zone);
    let mut body = Vec::with_capacity(BEXT_BYTES + 64);
    let description = format!("Call on {}, recording {}", call.number, call.id);
    field(&mut body, &description, 256);
    field(&mut body, "Tsuwaroku", 32);
    field(&mut body, &call.id.to_string(), 32);
    field(&mut body, &start.format("%Y-%m-%d").to_string(), 10);
    field(&mut body, &start.format("%H:%M:%S").to_string(), 8);
    body.extend_from_slice(&frames_since_midnight(call, zone).to_le_bytes());
    body.extend_from_slice(&1_u16.to_le_bytes());
    body.resize(BEXT_BYTES, 0);
    body.extend_from_slice(coding_history(call).as_bytes());
    chunk(*b"bext", &body)
}

/// `text` in ASCII, cut or filled with NUL to `width` bytes.
fn field(body: &mut Vec<u8>, text: &str, width: usize) {
    let end = body.len() + width;
    body.extend(text.chars().map(|c| ascii(c) as u8).take(width));
    body.resize(end, 0);
}

fn ascii(c: char) -> char {
    if c.is_ascii() { c } else { '?' }
}

fn frames_since_midnight(call: &Call, zone: Tz) -> u64 {
    use chrono::Timelike;
    let start = time_of(call.started_at).with_timezone(&zone);
    let seconds = u64::from(start.num_seconds_from_midnight());
    let nanoseconds = u64::from(start.nanosecond().min(999_999_999));
    let rate = u64::from(call.layout.rate);
    seconds * rate + nanoseconds * rate / 1_000_000_000
}

/// One line as in EBU R 98: algorithm, sampling frequency, word length, mode, free text.
fn coding_history(call: &Call) -> String {
    let layout = &call.layout;
    let mode = match layout.channels {
        1 => "mono",
        2 => "dual-mono",
        _ => "multi",
    };
    let text = match layout.encoding {
        Encoding::MuLaw => "G.711 mu-law",
        Encoding::ALaw => "G.711 A-law",
        Encoding::S16 | Encoding::S24 | Encoding::S32 => "linear",
    };
    let (rate, bits) = (layout.rate, layout.encoding.bytes() * 8);
    let history = format!(
        "A=PCM,F={rate},W={bits},M={mode},T={text}; {}\r\n",
        call.recorder
    );
    history.chars().map(ascii).collect()
}

fn format(call: &Call) -> Vec<u8> {
    let layout = &call.layout;
    let frame_bytes = layout.frame_bytes() as u16;
    let tag = match layout.encoding {
        Encoding::S16 | Encoding::S24 | Encoding::S32 => TAG_PCM,
        Encoding::MuLaw => TAG_MULAW,
        Encoding::ALaw => TAG_ALAW,
    };
    let mut body = Vec::with_capacity(18);
    body.extend_from_slice(&tag.to_le_bytes());
    body.extend_from_slice(&layout.channels.to_le_bytes());
    body.extend_from_slice(&layout.rate.to_le_bytes());
    body.extend_from_slice(&(layout.rate * u32::from(frame_bytes)).to_le_bytes());
    body.extend_from_slice(&frame_bytes.to_le_bytes());
    body.extend_from_slice(&(layout.encoding.bytes() as u16 * 8).to_le_bytes());
    if tag != TAG_PCM {
        body.extend_from_slice(&0_u16.to_le_bytes()); // cbSize: nothing follows
    }
    chunk(*b"fmt ", &body)
}

/// Formats other than PCM say their length in frames.
fn fact(call: &Call) -> Vec<u8> {
    match call.layout.encoding {
        Encoding::S16 | Encoding::S24 | Encoding::S32 => Vec::new(),
        Encoding::MuLaw | Encoding::ALaw => {
            let frames = u32::try_from(call.frames).unwrap_or(u32::MAX);
            chunk(*b"fact", &frames.to_le_bytes())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{Direction, Layout};
    use tsuwaroku_spool::record::EndReason;
    use ulid::Ulid;

    fn call(encoding: Encoding, frames: u64) -> Call {
        let started_at = 1_795_396_530_250_000_000; // 2026-11-23 10:15:30.25 in Tokyo
        Call {
            id: Ulid::from_parts(1_795_396_530_250, 7),
            number: "06-6458-1132".into(),
            started_at,
            ended_at: started_at,
            frames,
            pre_roll: 0,
            layout: Layout {
                rate: 8000,
                channels: 1,
                encoding,
            },
            direction: Direction::Unknown,
            other_party: None,
            gaps: vec![],
            digits: vec![],
            end_reason: EndReason::Silence,
            continues: None,
            card: "hw:0".into(),
            card_channels: vec![1],
            recorder: "test 1".into(),
        }
    }

    fn u32_at(bytes: &[u8], at: usize) -> u32 {
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
    }

    #[test]
    fn lengths_add_up() {
        for (encoding, frames) in [(Encoding::S16, 3), (Encoding::MuLaw, 3), (Encoding::S24, 0)] {
            let call = call(encoding, frames);
            let wav = Frame::around(&call, Tz::Asia__Tokyo);
            let total = wav.before.len() as u64 + call.audio_bytes() + wav.after.len() as u64;
            assert_eq!(u64::from(u32_at(&wav.before, 4)), total - 8);
            assert_eq!(
                u64::from(u32_at(&wav.before, wav.before.len() - 4)),
                call.audio_bytes()
            );
            assert_eq!(total % 2, 0);
        }
    }

    #[test]
    fn bext_says_when_and_which() {
        let wav = Frame::around(&call(Encoding::S16, 8), Tz::Asia__Tokyo).before;
        let bext = &wav[20..];
        assert_eq!(&wav[12..16], b"bext");
        assert!(bext.starts_with(b"Call on 06-6458-1132, recording 01"));
        assert_eq!(&bext[320..338], b"2026-11-2310:15:30");
        let reference = u64::from_le_bytes(bext[338..346].try_into().unwrap());
        assert_eq!(reference, (10 * 3600 + 15 * 60 + 30) * 8000 + 2000);
        assert_eq!(&bext[346..348], &[1, 0]);
        let foreign = Call {
            recorder: "録音 1".into(),
            ..call(Encoding::S16, 8)
        };
        let wav = Frame::around(&foreign, Tz::Asia__Tokyo).before;
        assert!(
            wav[20 + 602..20 + 602 + 50].is_ascii() && wav.windows(4).any(|four| four == b"?? 1")
        );
    }

    #[test]
    fn four_gibibytes_and_more_become_rf64() {
        let limit = u64::from(u32::MAX) / 2;
        let wav = Frame::around(&call(Encoding::S16, limit), Tz::Asia__Tokyo).before;
        assert_eq!(&wav[..8], b"RF64\xFF\xFF\xFF\xFF");
        assert_eq!(&wav[12..16], b"ds64");
        let riff = u64::from_le_bytes(wav[20..28].try_into().unwrap());
        assert_eq!(riff, wav.len() as u64 + limit * 2 - 8);
        assert_eq!(
            u64::from_le_bytes(wav[28..36].try_into().unwrap()),
            limit * 2
        );
    }
}
