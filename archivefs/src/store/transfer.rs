//! An object on its way from one store to another. Two steps, between which the caller makes it known
//! where the recording is: [`Store::receive`] makes a copy, durable and read back; [`Store::remove`]
//! takes away what is not needed any more. Killed anywhere, both can be done again.

use super::durable::{Draft, Step, before, create_directories, sync_directory};
use super::{Object, Store, StoreError};
use crate::crypto::Key;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use ulid::Ulid;

/// Bytes copied at a time.
const PIECE: usize = 256 * 1024;

impl Store {
    /// Takes a copy of the object of `id`, whose key is `key`, out of the store `from`: the same bytes,
    /// durable, read back from the disk and compared when this returns. `pace` is told of each piece's
    /// length, bytes, and may sleep.
    ///
    /// What stands in its place already, from before a crash, is taken if it is the same; anything else
    /// is set aside.
    ///
    /// # Errors
    /// The object in `from` does not open with all its seals, or a disk fails: then nothing is
    /// acknowledged, and what is in `from` is untouched.
    pub fn receive(
        &self,
        id: Ulid,
        from: &Self,
        key: &Key,
        pace: &mut dyn FnMut(usize),
    ) -> Result<(), StoreError> {
        // Damage is not carried on as if it were the recording.
        let source = from.open_object(id, key)?;
        source.scrub()?;
        let path = self.path(id);
        if path.exists() {
            if self.holds_same(id, key, &source) {
                return Ok(sync_directory(&self.folder(id))?);
            }
            self.set_aside(&path)?;
        }
        create_directories(&self.folder(id))?;
        let mut draft = Draft::create(self.root.join("drafts").join(id.to_string()))?;
        let written = copy(&from.path(id), &mut draft, pace)?;
        draft.publish(&path)?;
        before(Step::Reread)?;
        if digest_from_disk(&path, pace)? != written {
            self.set_aside(&path)?;
            return Err(StoreError::damaged(
                "the disk gives back something else than was written to it",
            ));
        }
        Ok(())
    }

    /// Removes the object of `id`, durably; that there is none is no error.
    pub fn remove(&self, id: Ulid) -> Result<(), StoreError> {
        before(Step::Remove)?;
        match std::fs::remove_file(self.path(id)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
        match sync_directory(&self.folder(id)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => Ok(other?),
        }
    }

    fn holds_same(&self, id: Ulid, key: &Key, source: &Object) -> bool {
        self.open_object(id, key).is_ok_and(|there| {
            there.wav_sha256() == source.wav_sha256()
                && there.stored_bytes() == source.stored_bytes()
                && there.scrub().is_ok()
        })
    }
}

/// Copies the file `from`, and answers the digest of what was copied.
fn copy(
    from: &Path,
    into: &mut impl Write,
    pace: &mut dyn FnMut(usize),
) -> Result<[u8; 32], StoreError> {
    let mut digest = Sha256::new();
    pieces(&mut File::open(from)?, |piece| {
        digest.update(piece);
        pace(piece.len());
        into.write_all(piece)
    })?;
    Ok(digest.finalize().into())
}

/// The digest of the file at `path` as the disk gives it, not as the kernel remembers it.
fn digest_from_disk(path: &Path, pace: &mut dyn FnMut(usize)) -> Result<[u8; 32], StoreError> {
    let mut file = File::open(path)?;
    // Durable already, so the kernel can forget all of it (posix_fadvise(2)).
    posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).map_err(io::Error::from)?;
    let mut digest = Sha256::new();
    pieces(&mut file, |piece| {
        digest.update(piece);
        pace(piece.len());
        Ok(())
    })?;
    Ok(digest.finalize().into())
}

fn pieces(file: &mut File, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(()),
            length => take(&piece[..length])?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::durable::fault;
    use super::super::tests::{call, key};
    use super::*;
    use crate::wav;
    use chrono_tz::Tz;
    use tsuwaroku_spool::record::Encoding;

    struct Stores {
        folder: tempfile::TempDir,
        primary: Store,
        secondary: Store,
        id: Ulid,
    }

    /// Two tiers, the first with one recording.
    fn stores() -> Stores {
        let folder = tempfile::tempdir().unwrap();
        let archive = Ulid::from_parts(1, 1);
        let open = |name: &str| {
            let root = folder.path().join(name);
            Store::init(&root, archive, name).unwrap();
            Store::open(&root, archive).unwrap()
        };
        let (primary, secondary) = (open("primary"), open("secondary"));
        let audio: Vec<u8> = (0..2000_u32).map(|n| (n * n % 251) as u8).collect();
        let call = call(&audio, 1, Encoding::ALaw);
        let frame = wav::Frame::around(&call, Tz::UTC);
        let mut new = primary.begin(&call, &frame, &key()).unwrap();
        new.samples(&audio).unwrap();
        new.publish().unwrap();
        Stores {
            folder,
            primary,
            secondary,
            id: call.id,
        }
    }

    impl Stores {
        fn receive(&self) -> Result<(), StoreError> {
            self.secondary
                .receive(self.id, &self.primary, &key(), &mut |_| {})
        }

        /// Stores that hold the recording, whole.
        fn whole(&self) -> usize {
            let whole = |store: &&Store| {
                let object = store.open_object(self.id, &key());
                object.is_ok_and(|object| object.verify().is_ok())
            };
            [&self.primary, &self.secondary]
                .into_iter()
                .filter(whole)
                .count()
        }
    }

    #[test]
    fn an_object_moves_byte_for_byte() {
        let stores = stores();
        let before = std::fs::read(stores.primary.path(stores.id)).unwrap();
        let mut paced = 0;
        stores
            .secondary
            .receive(stores.id, &stores.primary, &key(), &mut |bytes| {
                paced += bytes;
            })
            .unwrap();
        assert_eq!(paced, 2 * before.len(), "copied, and read back");
        stores.primary.remove(stores.id).unwrap();
        stores.primary.remove(stores.id).unwrap();
        assert_eq!(
            std::fs::read(stores.secondary.path(stores.id)).unwrap(),
            before
        );
        assert_eq!(stores.whole(), 1);
    }

    /// Whatever step fails, there is a whole copy, and the next try ends the move.
    #[test]
    fn a_failing_step_never_costs_the_recording() {
        for step in Step::MOVING {
            let stores = stores();
            fault::fail(Some(step));
            let failed = stores
                .receive()
                .and_then(|()| stores.primary.remove(stores.id));
            fault::fail(None);
            assert!(failed.is_err(), "{step:?} was not met");
            assert!(stores.whole() >= 1, "{step:?}");
            stores.receive().unwrap();
            assert_eq!(stores.whole(), 2, "{step:?}");
            stores.primary.remove(stores.id).unwrap();
            assert_eq!(stores.whole(), 1, "{step:?}");
        }
    }

    #[test]
    fn a_damaged_object_does_not_move() {
        let stores = stores();
        let path = stores.primary.path(stores.id);
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, bytes).unwrap();
        assert!(matches!(stores.receive(), Err(StoreError::Damaged(_))));
        assert!(!stores.secondary.path(stores.id).exists());
        assert!(path.exists(), "what is left of it stays");
    }

    /// What a crash left in the way, or somebody else put there.
    #[test]
    fn what_stands_in_its_place_is_kept() {
        let stores = stores();
        let path = stores.secondary.path(stores.id);
        create_directories(path.parent().unwrap()).unwrap();
        std::fs::write(&path, b"something else").unwrap();
        stores.receive().unwrap();
        assert_eq!(stores.whole(), 2);
        let aside = stores.folder.path().join("secondary/set-aside");
        let kept: Vec<_> = std::fs::read_dir(aside).unwrap().collect();
        assert_eq!(kept.len(), 1);
    }
}
