//! The secret of a generation: 32 random bytes, without which the master key opens no table of keys of
//! that generation. It lies in a small file beside the table, which is written in its place and never
//! replaced: so the bytes of a former secret are not left on the disk, as they are where a file is
//! removed.
//!
//! ```text
//!    0  slot      a secret, or zeros
//! 4096  slot      another one while the keys are sealed anew; otherwise zeros
//! ```
//!
//! A slot, integers little-endian:
//!
//! ```text
//!  0   8  TSUWAKEY
//!  8   4  generation, from 1
//! 12   4  zeros
//! 16  32  secret
//! 48   4  CRC-32C of the 48 bytes before
//! ```

use super::KeyError;
use crate::crypto::{KEY_BYTES, Key};
use crate::store::sync_directory;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const MAGIC: [u8; 8] = *b"TSUWAKEY";
/// Bytes of a slot: a sector of any disk, so that writing one never touches the other.
const SLOT: usize = 4096;
const SLOTS: usize = 2;
/// Bytes of a slot that say something.
const USED: usize = 52;

/// The secret of one generation.
#[derive(Debug, Clone)]
pub(super) struct Secret {
    /// Which generation, from 1.
    pub generation: u32,
    /// The secret.
    pub key: Key,
}

/// The file beside the table at `table`.
pub(super) fn path_beside(table: &Path) -> PathBuf {
    table.with_extension("secret")
}

/// The secret of `generation` in the file at `path`; none if it is not there.
pub(super) fn get(path: &Path, generation: u32) -> Result<Option<Secret>, KeyError> {
    let mut found = slots(path)?.into_iter().flatten();
    Ok(found.find(|secret| secret.generation == generation))
}

/// Writes `secret` into the file at `path`, durably: over what is there, but not over the secret of
/// `kept`. Makes the file if there is none.
pub(super) fn put(path: &Path, secret: &Secret, kept: Option<u32>) -> Result<(), KeyError> {
    let known = slots(path)?;
    let is = |slot: &Option<Secret>, generation| {
        slot.as_ref().map(|secret| secret.generation) == generation
    };
    let same = known
        .iter()
        .position(|slot| is(slot, Some(secret.generation)));
    let place = match same {
        Some(place) => place,
        None => usize::from(kept.is_some() && is(&known[0], kept)),
    };
    let write = || -> io::Result<()> {
        let file = open(path)?;
        file.write_all_at(&bytes(secret)[..], (place * SLOT) as u64)?;
        file.sync_all()
    };
    write().map_err(|error| file_error(path, error))
}

/// Overwrites every secret in the file at `path` but that of `generation`.
pub(super) fn keep_only(path: &Path, generation: u32) -> Result<(), KeyError> {
    let outcome = || -> io::Result<()> {
        if !path.exists() {
            return Ok(());
        }
        let file = open(path)?;
        let mut slot = Zeroizing::new([0; SLOT]);
        let mut overwritten = false;
        for place in 0..SLOTS {
            let at = (place * SLOT) as u64;
            file.read_exact_at(&mut slot[..], at)?;
            let other = parse(&slot[..]).is_none_or(|secret| secret.generation != generation);
            if other && slot.iter().any(|byte| *byte != 0) {
                file.write_all_at(&[0; SLOT], at)?;
                overwritten = true;
            }
        }
        if overwritten { file.sync_all() } else { Ok(()) }
    };
    outcome().map_err(|error| file_error(path, error))
}

/// Opens the file at `path`; its whole length is on the disk before a secret is in it.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).mode(0o600);
    let file = options.open(path)?;
    let length = file.metadata()?.len();
    if length < (SLOT * SLOTS) as u64 {
        let rest = vec![0; SLOT * SLOTS - length as usize];
        file.write_all_at(&rest, length)?;
        file.sync_all()?;
        sync_directory(path.parent().unwrap_or(Path::new(".")))?;
    }
    Ok(file)
}

fn slots(path: &Path) -> Result<[Option<Secret>; SLOTS], KeyError> {
    let bytes = match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok([None, None]),
        other => Zeroizing::new(other.map_err(|error| file_error(path, error))?),
    };
    Ok([0, SLOT].map(|at| bytes.get(at..at + SLOT).and_then(parse)))
}

fn parse(slot: &[u8]) -> Option<Secret> {
    let used = slot.get(..USED)?;
    let (content, check) = used.split_last_chunk::<4>()?;
    if content[..8] != MAGIC || crc32c::crc32c(content) != u32::from_le_bytes(*check) {
        return None;
    }
    Some(Secret {
        generation: u32::from_le_bytes(content[8..12].try_into().ok()?),
        key: Key::from_bytes(content[16..16 + KEY_BYTES].try_into().ok()?),
    })
}

fn bytes(secret: &Secret) -> Zeroizing<[u8; SLOT]> {
    let mut slot = Zeroizing::new([0; SLOT]);
    slot[..8].copy_from_slice(&MAGIC);
    slot[8..12].copy_from_slice(&secret.generation.to_le_bytes());
    slot[16..16 + KEY_BYTES].copy_from_slice(secret.key.expose());
    let check = crc32c::crc32c(&slot[..USED - 4]);
    slot[USED - 4..USED].copy_from_slice(&check.to_le_bytes());
    slot
}

fn file_error(path: &Path, error: io::Error) -> KeyError {
    KeyError::File {
        path: path.to_owned(),
        error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(generation: u32) -> Secret {
        Secret {
            generation,
            key: Key::from_bytes([generation as u8; 32]),
        }
    }

    #[test]
    fn a_secret_is_written_beside_the_one_in_use_and_the_other_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.secret");
        assert!(get(&path, 1).unwrap().is_none());
        put(&path, &secret(1), None).unwrap();
        // Another name of the same bytes: what a search of the disk would see.
        let disk = folder.path().join("disk");
        std::fs::hard_link(&path, &disk).unwrap();
        for generation in 2..6_u32 {
            put(&path, &secret(generation), Some(generation - 1)).unwrap();
            for kept in [generation - 1, generation] {
                let found = get(&path, kept).unwrap().unwrap();
                assert_eq!(found.key.expose(), &[kept as u8; 32]);
            }
            keep_only(&path, generation).unwrap();
            assert!(get(&path, generation - 1).unwrap().is_none());
            let left = std::fs::read(&disk).unwrap();
            let former = [generation as u8 - 1; 32];
            assert!(!left.windows(32).any(|window| window == former));
            assert!(
                left.windows(32)
                    .any(|window| window == [generation as u8; 32])
            );
        }
    }

    /// One that was given up, before another is tried, is written over.
    #[test]
    fn a_secret_that_was_never_used_is_overwritten_by_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.secret");
        put(&path, &secret(1), None).unwrap();
        put(&path, &secret(2), Some(1)).unwrap();
        let other = Secret {
            generation: 2,
            key: Key::from_bytes([77; 32]),
        };
        put(&path, &other, Some(1)).unwrap();
        assert_eq!(get(&path, 2).unwrap().unwrap().key.expose(), &[77; 32]);
        assert!(get(&path, 1).unwrap().is_some());
    }

    #[test]
    fn a_changed_byte_makes_it_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.secret");
        put(&path, &secret(1), None).unwrap();
        let good = std::fs::read(&path).unwrap();
        for at in 0..USED {
            let mut bytes = good.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            assert!(get(&path, 1).unwrap().is_none(), "byte {at}");
        }
    }
}
