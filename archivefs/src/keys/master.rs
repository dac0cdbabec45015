//! The master key: 256 bits in one line of text, in a file that only the daemon can read, or handed
//! over by systemd as a credential.
//!
//! ```text
//! tsuwaroku-master-key-1 <64 hexadecimal digits> <fingerprint>
//! ```
//!
//! The fingerprint catches a key that was typed in from paper with a mistake.

use crate::crypto::Key;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use thiserror::Error;
use zeroize::Zeroizing;

const MARK: &str = "tsuwaroku-master-key-1";

/// Why there is no master key.
#[derive(Debug, Error)]
pub enum MasterKeyError {
    /// There is no file.
    #[error(
        "{}: there is no master key; restore it from escrow, or, for a new archive, make one with: \
         tsuwaroku init",
        .0.display()
    )]
    Missing(PathBuf),
    /// Others could read it.
    #[error("{}: others may read the master key; protect it with: chmod 400 {}", .0.display(), .0.display())]
    Exposed(PathBuf),
    /// It is no master key.
    #[error("{}: this is not a master key: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// It cannot be read or written.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// Reads the master key from the file at `path`.
pub fn load_master(path: &Path) -> Result<Key, MasterKeyError> {
    let io = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => MasterKeyError::Missing(path.to_owned()),
        _ => MasterKeyError::Io {
            path: path.to_owned(),
            error,
        },
    };
    let text = Zeroizing::new(std::fs::read_to_string(path).map_err(io)?);
    if std::fs::metadata(path).map_err(io)?.mode() & others(path) != 0 {
        return Err(MasterKeyError::Exposed(path.to_owned()));
    }
    parse_master(&text).map_err(|reason| MasterKeyError::Malformed {
        path: path.to_owned(),
        reason,
    })
}

/// The permission bits by which others than its owner could read the file. Newer systemd protects
/// credentials by an access list, whose mask stands where the group's bits are.
fn others(path: &Path) -> u32 {
    if path.starts_with("/run/credentials") {
        0o007
    } else {
        0o077
    }
}

/// Makes a new master key in the file `path`, which must not exist.
pub fn create_master(path: &Path) -> Result<Key, MasterKeyError> {
    let key = Key::random().map_err(|error| MasterKeyError::Io {
        path: path.to_owned(),
        error,
    })?;
    keep_master(path, &key)?;
    Ok(key)
}

/// Writes `key`, which came out of escrow, into the file `path`, which must not exist.
pub fn keep_master(path: &Path, key: &Key) -> Result<(), MasterKeyError> {
    let io = |error| MasterKeyError::Io {
        path: path.to_owned(),
        error,
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(io)?;
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o400)
        .open(path)
        .map_err(io)?;
    file.write_all(master_text(key).as_bytes()).map_err(io)?;
    file.sync_all().map_err(io)
}

/// The line of text that the file of a master key holds.
pub(super) fn master_text(key: &Key) -> Zeroizing<String> {
    let mut text = Zeroizing::new(format!("{MARK} "));
    for byte in key.expose() {
        let _ = write!(text, "{byte:02x}");
    }
    let _ = writeln!(text, " {}", key.fingerprint());
    text
}

/// The master key of this line of text, or what is wrong with it.
pub(super) fn parse_master(text: &str) -> Result<Key, &'static str> {
    let mut words = text.split_ascii_whitespace();
    if words.next() != Some(MARK) {
        return Err("it does not begin with tsuwaroku-master-key-1");
    }
    let digits = words
        .next()
        .filter(|digits| digits.len() == 64)
        .ok_or("it has not 64 digits")?;
    let mut bytes = [0; 32];
    for (byte, place) in bytes.iter_mut().zip((0..64).step_by(2)) {
        let pair = digits
            .get(place..place + 2)
            .ok_or("it has a character that is no digit")?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| "it has a character that is no digit")?;
    }
    let key = Key::from_bytes(bytes);
    match (words.next(), words.next()) {
        (Some(fingerprint), None) if fingerprint == key.fingerprint() => Ok(key),
        _ => Err("its fingerprint does not fit: it was copied with a mistake"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_read_as_it_was_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let key = create_master(&path).unwrap();
        assert_eq!(load_master(&path).unwrap().expose(), key.expose());
        assert!(create_master(&path).is_err(), "a key is never overwritten");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let said = || load_master(&path).unwrap_err().to_string();
        assert!(said().contains("tsuwaroku init"));
        let key = create_master(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(said().contains("chmod 400"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let good = master_text(&key);
        let mistyped = if good.as_bytes()[30] == b'0' {
            "1"
        } else {
            "0"
        };
        for (content, words) in [
            ("hello".to_owned(), "begin with"),
            (good.replacen(' ', " ab", 1), "64 digits"),
            (
                format!("{}{mistyped}{}", &good[..30], &good[31..]),
                "copied with a mistake",
            ),
            (format!("{}ü{}", &good[..30], &good[32..]), "no digit"),
        ] {
            std::fs::write(&path, content).unwrap();
            assert!(said().contains(words), "{}", said());
        }
    }
}
