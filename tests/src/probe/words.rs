//! The words of a request, and what they stand for.

use rustix::fs::{Access, Mode, OFlags};
use std::fmt::Write;

/// Names of open(2)'s flags.
const FLAGS: &[(&str, OFlags)] = &[
    ("O_RDONLY", OFlags::RDONLY),
    ("O_WRONLY", OFlags::WRONLY),
    ("O_RDWR", OFlags::RDWR),
    ("O_APPEND", OFlags::APPEND),
    ("O_TRUNC", OFlags::TRUNC),
    ("O_CREAT", OFlags::CREATE),
    ("O_EXCL", OFlags::EXCL),
    ("O_DIRECTORY", OFlags::DIRECTORY),
    ("O_NOFOLLOW", OFlags::NOFOLLOW),
    ("O_NOATIME", OFlags::NOATIME),
    ("O_TMPFILE", OFlags::TMPFILE),
    ("O_PATH", OFlags::PATH),
    ("O_DIRECT", OFlags::DIRECT),
    ("O_NONBLOCK", OFlags::NONBLOCK),
    ("O_SYNC", OFlags::SYNC),
];

/// The flags of open(2) with these names, `|` between them.
pub(super) fn flags_of(text: &str) -> OFlags {
    let flag = |name| {
        FLAGS
            .iter()
            .find(|(known, _)| *known == name)
            .expect("a flag")
            .1
    };
    text.split('|').map(flag).collect()
}

/// A number.
pub(super) fn number(text: &str) -> u64 {
    text.parse().expect("a number")
}

/// Permission bits, octal.
pub(super) fn mode_of(text: &str) -> Mode {
    Mode::from_raw_mode(u32::from_str_radix(text, 8).expect("an octal mode"))
}

/// What access(2) is asked for: letters of r, w, x, any other for mere existence.
pub(super) fn access_of(letters: &str) -> Access {
    let bit = |letter| match letter {
        'r' => Access::READ_OK,
        'w' => Access::WRITE_OK,
        'x' => Access::EXEC_OK,
        _ => Access::EXISTS,
    };
    letters.chars().map(bit).collect()
}

/// Bytes in hexadecimal digits.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
