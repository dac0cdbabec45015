//! From the spool into the archive: each finished call becomes a durable object, then a durable row,
//! and only then leaves the spool. Killed anywhere, it begins again with the same entry, and finds
//! what it had done.
//!
//! An entry is untrusted input. One that is not what it should be goes to quarantine with a reason;
//! it is never dropped. A disk that fails is no fault of the entry: it stays and is tried again.

use crate::audit::{Draft, Event, Outcome};
use crate::call::Call;
use crate::catalogue::{Archived, Catalogue, CatalogueError, Recording};
use crate::clock::now;
use crate::crypto::Key;
use crate::store::{NewObject, ObjectWriter, Sealed, StoreError};
use crate::vault::{Vault, VaultError};
use crate::wav;
use std::collections::{BTreeMap, HashSet};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use thiserror::Error;
use tsuwaroku_spool::SpoolError;
use tsuwaroku_spool::read::{Entry, EntryFault, Item, Reader};
use tsuwaroku_spool::record::Record;
use ulid::Ulid;

/// Most samples of silence written at a time for a gap, bytes.
const SILENCE_BYTES: usize = 64 * 1024;

/// Takes entries out of the spool.
pub struct Ingest {
    spool: Reader,
    vault: Vault,
    catalogue: Arc<Catalogue>,
    designated: HashSet<String>,
    progress: Arc<Progress>,
}

/// What the operator is told of ingest, of all spools together.
#[derive(Debug, Default)]
pub struct Progress(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    archived: u64,
    /// By the spool's directory of finished entries.
    troubles: BTreeMap<PathBuf, (SystemTime, String)>,
}

/// See [`Progress`].
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Recordings archived since the daemon was started.
    pub archived: u64,
    /// Why the oldest waiting entry could not be taken, and when that was found.
    pub trouble: Option<(SystemTime, String)>,
}

impl Progress {
    /// As it stands now.
    pub fn get(&self) -> State {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let trouble = inner.troubles.values().min_by_key(|(at, _)| *at).cloned();
        State {
            archived: inner.archived,
            trouble,
        }
    }

    fn change(&self, change: impl FnOnce(&mut Inner)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Why an entry was not taken.
#[derive(Debug, Error)]
enum Refusal {
    /// It is not what it should be: to quarantine.
    #[error("{0}")]
    Content(String),
    /// It may go better later: it stays.
    #[error("{0}")]
    Later(String),
    /// Its recording was erased: it goes, for a copy in quarantine would be one more (R6.7).
    #[error("the recording {0} was erased")]
    Erased(Ulid),
}

impl From<EntryFault> for Refusal {
    fn from(fault: EntryFault) -> Self {
        let text = fault.to_string();
        if fault.is_content() {
            Self::Content(text)
        } else {
            Self::Later(text)
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let text = error.to_string();
        match error {
            StoreError::Length { .. } => Self::Content(text),
            _ => Self::Later(text),
        }
    }
}

impl From<VaultError> for Refusal {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Store(error) => error.into(),
            VaultError::Key(_) | VaultError::Missing(_) => Self::Later(error.to_string()),
        }
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Later(error.to_string())
    }
}

impl From<CatalogueError> for Refusal {
    fn from(error: CatalogueError) -> Self {
        let text = error.to_string();
        match error {
            CatalogueError::Impossible(_) => Self::Content(text),
            _ => Self::Later(text),
        }
    }
}

impl From<SpoolError> for Refusal {
    fn from(error: SpoolError) -> Self {
        Self::Later(error.to_string())
    }
}

impl Ingest {
    /// Takes calls on the `designated` numbers from `spool` into `vault` and `catalogue`.
    pub fn new(
        spool: Reader,
        vault: Vault,
        catalogue: Arc<Catalogue>,
        designated: HashSet<String>,
        progress: Arc<Progress>,
    ) -> Self {
        Self {
            spool,
            vault,
            catalogue,
            designated,
            progress,
        }
    }

    /// Takes everything that is ready, until `stop` says so. Answers whether some of it has to be
    /// tried again.
    pub fn run(&self, stop: &AtomicBool) -> bool {
        match self.spool.ready() {
            Ok(items) => {
                let mut trouble = None;
                for item in items.iter().take_while(|_| !stop.load(Ordering::Relaxed)) {
                    if let Err(error) = self.take(item) {
                        log::error!("{}: {error}; it stays in the spool", item.path.display());
                        trouble.get_or_insert(error);
                    }
                }
                self.tell(trouble)
            }
            Err(error) => self.tell(Some(error.to_string())),
        }
    }

    fn tell(&self, trouble: Option<String>) -> bool {
        let again = trouble.is_some();
        let spool = self.spool.ready_dir();
        self.progress.change(|inner| match trouble {
            Some(trouble) => {
                inner
                    .troubles
                    .insert(spool.to_owned(), (SystemTime::now(), trouble));
            }
            None => {
                inner.troubles.remove(spool);
            }
        });
        again
    }

    /// Takes one entry, or quarantines it. An error means that it stays.
    fn take(&self, item: &Item) -> Result<(), String> {
        let refusal = match self.archive(item) {
            Ok(recording) => {
                self.progress.change(|state| state.archived += 1);
                log::info!(
                    "archived {} of {} frames, {} bytes in {}",
                    recording.id,
                    recording.frames,
                    recording.sealed.wav_bytes,
                    recording.sealed.stored_bytes
                );
                return self.spool.remove(item).map_err(|error| error.to_string());
            }
            Err(refusal) => refusal,
        };
        match refusal {
            Refusal::Later(reason) => Err(reason),
            Refusal::Erased(id) => {
                log::warn!("{}: {refusal}; it is removed", item.path.display());
                let draft = Draft::new(now(), Event::Archived, Outcome::Refused).on(id);
                self.catalogue.log_later(draft.with("reason", "erased"));
                self.spool.remove(item).map_err(|error| error.to_string())
            }
            Refusal::Content(reason) => {
                log::error!(
                    "ALARM: {} goes to quarantine: {reason}",
                    item.path.display()
                );
                self.spool
                    .quarantine(item, &reason)
                    .map_err(|error| error.to_string())
            }
        }
    }

    fn archive(&self, item: &Item) -> Result<Recording, Refusal> {
        if item.id.is_none() {
            return Err(Refusal::Content(
                "its name is not that of a call: ULID.call".into(),
            ));
        }
        let mut entry = Entry::open(&item.path)?;
        let call = Call::of(&entry.check()?);
        self.check(&call)?;
        let wav = wav::Frame::around(&call, self.catalogue.birth().time_zone);
        if let Some(there) = self.catalogue.by_id(call.id)? {
            return self.compare(&call, &wav, &mut entry, there);
        }
        if let Some(erased) = self.catalogue.tombstone(call.id)? {
            return Err(same_as(&call, &wav, &mut entry, erased.wav_sha256)
                .err()
                .unwrap_or(Refusal::Erased(call.id)));
        }
        let sealed = self.store_object(&call, &wav, &mut entry)?;
        match self.catalogue.archive(call, sealed)? {
            Archived::New(recording) | Archived::Already(recording) => Ok(*recording),
        }
    }

    /// What a sound entry may still be wrong in.
    fn check(&self, call: &Call) -> Result<(), Refusal> {
        if !self.designated.contains(&call.number) {
            // R2.1: capture does not write such a call; somebody else has, or the table has changed.
            return Err(Refusal::Content(format!(
                "{} is not a designated number",
                call.number
            )));
        }
        if call.id.timestamp_ms() as i64 != call.started_at.div_euclid(1_000_000) {
            return Err(Refusal::Content(
                "its identity and its start are of other times".into(),
            ));
        }
        Ok(())
    }

    fn store_object(
        &self,
        call: &Call,
        wav: &wav::Frame,
        entry: &mut Entry,
    ) -> Result<Sealed, Refusal> {
        let mut new = self.vault.begin(call, wav)?;
        copy(call, entry, &mut new)?;
        Ok(new.publish()?)
    }

    /// A second entry of an archived identity: the same again, after a crash, or an impostor.
    fn compare(
        &self,
        call: &Call,
        wav: &wav::Frame,
        entry: &mut Entry,
        there: Recording,
    ) -> Result<Recording, Refusal> {
        let sealed = same_as(call, wav, entry, there.sealed.wav_sha256)?;
        match self.vault.open(call.id) {
            Ok(object) if object.wav_sha256() == sealed.wav_sha256 => {}
            Err(VaultError::Store(StoreError::Io(error))) => return Err(error.into()),
            Err(VaultError::Key(error)) => return Err(Refusal::Later(error.to_string())),
            Ok(_) | Err(VaultError::Missing(_) | VaultError::Store(_)) => {
                log::error!(
                    "the object of {} was lost; stored again from the spool",
                    call.id
                );
                self.store_object(call, wav, entry)?;
                // Lost because it was erased just now: what was stored must not stay.
                if self.catalogue.tombstone(call.id)?.is_some() {
                    self.vault.destroy(call.id)?;
                    return Err(Refusal::Erased(call.id));
                }
            }
        }
        Ok(there)
    }
}

/// What `entry` would be stored as, if its WAV file has the digest `expected`; another one is an impostor
/// of the recording that has its identity.
fn same_as(
    call: &Call,
    wav: &wav::Frame,
    entry: &mut Entry,
    expected: [u8; 32],
) -> Result<Sealed, Refusal> {
    // Only its digest is wanted, so any key will do.
    let key = Key::from_bytes([0; 32]);
    let mut writer = ObjectWriter::begin(io::sink(), call, wav, &key)?;
    copy(call, entry, &mut writer)?;
    let (_, sealed) = writer.seal()?;
    if sealed.wav_sha256 == expected {
        return Ok(sealed);
    }
    Err(Refusal::Content(
        "another recording has its identity".into(),
    ))
}

/// What takes the samples of an entry.
trait Sink {
    fn samples(&mut self, samples: &[u8]) -> Result<(), StoreError>;
}

impl Sink for NewObject {
    fn samples(&mut self, samples: &[u8]) -> Result<(), StoreError> {
        Self::samples(self, samples)
    }
}

impl<W: Write> Sink for ObjectWriter<W> {
    fn samples(&mut self, samples: &[u8]) -> Result<(), StoreError> {
        Self::samples(self, samples)
    }
}

/// The samples of `entry`, with silence of the same length where audio was lost.
fn copy(call: &Call, entry: &mut Entry, into: &mut impl Sink) -> Result<(), Refusal> {
    let silence = vec![call.layout.encoding.silence(); SILENCE_BYTES];
    for record in entry.records()? {
        match record? {
            Record::Audio { samples, .. } => into.samples(&samples)?,
            Record::Gap(gap) => {
                let mut left = gap.frames.saturating_mul(call.layout.frame_bytes() as u64);
                while left > 0 {
                    let now = left.min(SILENCE_BYTES as u64) as usize;
                    into.samples(&silence[..now])?;
                    left -= now as u64;
                }
            }
            Record::Start(_) | Record::Digits(_) | Record::End(_) => {}
        }
    }
    Ok(())
}
