//! Extended attributes of a recording: what a file manager or a script may want to know of it beyond
//! its name.

use crate::catalogue::Recording;
use crate::crypto::hex;

/// Their names.
pub(super) const NAMES: [&str; 5] = [
    "user.tsuwaroku.id",
    "user.tsuwaroku.sha256",
    "user.tsuwaroku.duration",
    "user.tsuwaroku.end",
    "user.tsuwaroku.gap_frames",
];

/// The value of the attribute called `name`.
pub(super) fn value(recording: &Recording, name: &str) -> Option<Vec<u8>> {
    let place = NAMES.iter().position(|known| *known == name)?;
    let text = match place {
        0 => recording.id.to_string(),
        1 => hex(&recording.sealed.wav_sha256),
        2 => {
            let milliseconds = recording.nanoseconds() / 1_000_000;
            format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
        }
        3 => {
            let word = serde_json::to_value(recording.end_reason).ok()?;
            word.as_str()?.to_owned()
        }
        _ => recording.gap_frames.to_string(),
    };
    Some(text.into_bytes())
}
