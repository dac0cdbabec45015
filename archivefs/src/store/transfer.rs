//! An object on its way from one store to another. Two steps, between which the caller makes it known
//! where the recording is: [`Store::receive`] makes a copy, durable and read back; [`Store::remove`]
//! takes away what is not needed any more. Killed anywhere, both can be done again.
//!
//! Many at once go through [`Store::take`] and [`Store::settle`], the two halves of a receipt, so that the
//! disk makes them durable together: a directory is synced once, and a journal is written once.

use super::durable::{Draft, Step, before, create_directories, sync_directory};
use super::{Object, ObjectWriter, Sealed, Store, StoreError};
use crate::codec::{Decoder, Effort};
use crate::crypto::Key;
use crate::wav;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
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
        let taken = self.take(id, from, key, pace)?;
        self.settle(vec![taken], pace)
            .pop()
            .expect("one answer for each")
    }

    /// The first half of [`Self::receive`]: takes a copy, which is not durable and has no name yet.
    ///
    /// # Errors
    /// As of [`Self::receive`].
    pub fn take(
        &self,
        id: Ulid,
        from: &Self,
        key: &Key,
        pace: &mut dyn FnMut(usize),
    ) -> Result<Taken, StoreError> {
        self.check_there()?;
        // Damage is not carried on as if it were the recording.
        let source = from.open_object(id, key)?;
        source.scrub()?;
        let path = self.path(id);
        if path.exists() {
            if self.holds_same(id, key, &source) {
                return Ok(Taken { id, copy: None });
            }
            self.set_aside(&path)?;
        }
        create_directories(&self.folder(id))?;
        let mut draft = Draft::create(self.draft(id))?;
        let digest = copy(&from.path(id), &mut draft, pace)?;
        draft.begin_writing()?;
        let copy = Some((draft, digest));
        Ok(Taken { id, copy })
    }

    /// The second half: makes copies durable under their names, reads them back from the disk and compares.
    /// Answers for each of `taken`, in their order, whether it is there.
    pub fn settle(
        &self,
        taken: Vec<Taken>,
        pace: &mut dyn FnMut(usize),
    ) -> Vec<Result<(), StoreError>> {
        let named: Vec<_> = taken.into_iter().map(|one| self.name(one)).collect();
        let folders = named.iter().flatten().map(|(id, _)| self.folder(*id));
        let folders: BTreeSet<_> = folders.collect();
        let synced: BTreeMap<_, _> = folders
            .into_iter()
            .map(|folder| {
                let synced = sync_directory(&folder);
                (folder, synced)
            })
            .collect();
        // All are asked of the disk before the first is waited for.
        let asked = named.into_iter().map(|one| {
            let (id, digest) = one?;
            if let Some(Err(error)) = synced.get(&self.folder(id)) {
                return Err(io::Error::new(error.kind(), error.to_string()).into());
            }
            let file = digest.map(|digest| ask(&self.path(id)).map(|file| (file, digest)));
            Ok((id, file.transpose()?))
        });
        let asked: Vec<Result<_, StoreError>> = asked.collect();
        asked
            .into_iter()
            .map(|one| match one? {
                (id, Some((file, digest))) => self.compare(id, file, digest, pace),
                (_, None) => Ok(()),
            })
            .collect()
    }

    /// Gives a copy its name, and answers the digest to be found there, if it is new.
    fn name(&self, taken: Taken) -> Result<Named, StoreError> {
        let Some((draft, digest)) = taken.copy else {
            return Ok((taken.id, None));
        };
        draft.publish_unsynced(&self.path(taken.id))?;
        Ok((taken.id, Some(digest)))
    }

    fn compare(
        &self,
        id: Ulid,
        mut file: File,
        written: [u8; 32],
        pace: &mut dyn FnMut(usize),
    ) -> Result<(), StoreError> {
        let mut digest = Sha256::new();
        pieces(&mut file, |piece| {
            digest.update(piece);
            pace(piece.len());
            Ok(())
        })?;
        if digest.finalize()[..] == written {
            return Ok(());
        }
        self.set_aside(&self.path(id))?;
        Err(StoreError::damaged(
            "the disk gives back something else than was written to it",
        ))
    }

    /// Takes the object of `id` out of the store `from` compressed anew, smaller, as for a recording that
    /// will rest here: other bytes, the same WAV file. Decoded from the disk and compared with its digest
    /// when this returns. Where that is no smaller, it is copied as by [`Self::receive`]. Answers what was
    /// stored.
    ///
    /// # Errors
    /// As of [`Self::receive`].
    pub fn receive_anew(
        &self,
        id: Ulid,
        from: &Self,
        key: &Key,
        pace: &mut dyn FnMut(usize),
    ) -> Result<Sealed, StoreError> {
        self.check_there()?;
        let source = from.open_object(id, key)?;
        let path = self.path(id);
        if path.exists() {
            if let Ok(there) = self.open_object(id, key)
                && there.wav_sha256() == source.wav_sha256()
                && there.verify().is_ok()
            {
                sync_directory(&self.folder(id))?;
                return Ok(sealed(&there));
            }
            self.set_aside(&path)?;
        }
        create_directories(&self.folder(id))?;
        let draft = Draft::create(self.draft(id))?;
        let (draft, new) = compress(&source, draft, key, pace)?;
        if new.stored_bytes >= source.stored_bytes() {
            drop(draft);
            self.receive(id, from, key, pace)?;
            return Ok(sealed(&source));
        }
        draft.publish(&path)?;
        before(Step::Reread)?;
        forget_pages(&File::open(&path)?)?;
        pace(new.stored_bytes as usize);
        let reread = self.open_object(id, key).and_then(|there| there.verify());
        if let Err(error) = reread {
            self.set_aside(&path)?;
            return Err(error);
        }
        Ok(new)
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

/// A copy that is not durable yet; see [`Store::take`]. Dropped, it is nothing.
#[derive(Debug)]
pub struct Taken {
    id: Ulid,
    /// With the digest of what was written; none if it was there already.
    copy: Option<(Draft, [u8; 32])>,
}

/// A copy that has its name, and the digest to be found there, if it is new.
type Named = (Ulid, Option<[u8; 32]>);

/// What identifies the content of `object`.
fn sealed(object: &Object) -> Sealed {
    Sealed {
        wav_bytes: object.wav_bytes(),
        wav_sha256: object.wav_sha256(),
        stored_bytes: object.stored_bytes(),
    }
}

/// The audio of `source` as a new object in `draft`; the same WAV file, or an error.
fn compress(
    source: &Object,
    draft: Draft,
    key: &Key,
    pace: &mut dyn FnMut(usize),
) -> Result<(Draft, Sealed), StoreError> {
    let (before, after) = source.around();
    let frame = wav::Frame {
        before: before.to_vec(),
        after: after.to_vec(),
    };
    let mut writer = ObjectWriter::begin_with(Effort::Thorough, draft, source.call(), &frame, key)?;
    let mut decoder = Decoder::new();
    let paced = source.stored_bytes() / u64::from(source.blocks().max(1));
    for number in 0..source.blocks() {
        writer.samples(&source.block(number, &mut decoder)?)?;
        pace(paced as usize);
    }
    let (draft, new) = writer.seal()?;
    if new.wav_sha256 == source.wav_sha256() && new.wav_bytes == source.wav_bytes() {
        Ok((draft, new))
    } else {
        Err(StoreError::damaged("compressed anew it is something else"))
    }
}

/// Has the kernel forget what it remembers of `file`, which is durable, so that it is read from the disk
/// (`posix_fadvise(2)`).
fn forget_pages(file: &File) -> io::Result<()> {
    Ok(posix_fadvise(
        file,
        0,
        0,
        PosixFadviseAdvice::POSIX_FADV_DONTNEED,
    )?)
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

/// The file at `path`, which is durable, to be read as the disk gives it, not as the kernel remembers it;
/// the disk is asked for it, and nobody waits.
fn ask(path: &Path) -> Result<File, StoreError> {
    before(Step::Reread)?;
    let file = File::open(path)?;
    forget_pages(&file)?;
    posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_WILLNEED).map_err(io::Error::from)?;
    Ok(file)
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

    /// Compressed anew: other bytes, the same WAV file, and again after a failure at any step.
    #[test]
    fn an_object_is_compressed_anew_on_its_way() {
        for step in Step::MOVING
            .into_iter()
            .filter(|&step| step != Step::Remove)
        {
            let stores = stores();
            let anew = || {
                stores
                    .secondary
                    .receive_anew(stores.id, &stores.primary, &key(), &mut |_| {})
            };
            fault::fail(Some(step));
            let failed = anew();
            fault::fail(None);
            assert!(failed.is_err(), "{step:?} was not met");
            let new = anew().unwrap();
            let [old, there] = [&stores.primary, &stores.secondary]
                .map(|store| store.open_object(stores.id, &key()).unwrap());
            there.verify().unwrap();
            assert_eq!(there.wav_sha256(), old.wav_sha256());
            assert_eq!(there.stored_bytes(), new.stored_bytes);
            assert!(new.stored_bytes < old.stored_bytes(), "{step:?}");
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
