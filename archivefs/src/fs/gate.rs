//! What every request from the kernel goes through: the rights of whoever asks, the audit log, and the
//! threads that wait for disks. Knows no FUSE; `fuse` translates.
//!
//! ```text
//! open ──► rights ──► object (pool) ──► record durable (catalogue's writer) ──► answer
//! read ──► blocks in memory, or the pool ──► answer
//! ```
//!
//! Whoever asks is answered through a closure, once, by whichever thread has the answer: no thread of
//! the mount waits for a disk or for the log, so that one slow access holds up no other.

use super::listings::Listings;
use super::reader::Reader;
use super::table::Table;
use super::trail::{self, Listed};
use super::{ArchiveFs, Blocks, FsError, Pool};
use crate::accounts::{Account, Accounts, NoAnswer};
use crate::audit::{Draft, Event, Outcome, Who};
use crate::catalogue::{Catalogue, Key, Recording};
use crate::clock::now;
use crate::findings::Findings;
use crate::refusals::Refusals;
use crate::rights::{Action, Rights};
use crate::store::Tier;
use crate::verify::{Depth, check};
use crate::views::{Node, node_of};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use ulid::Ulid;

/// Recordings that are looked at a time because they could not be read.
const MOST_SUSPECTS: usize = 4;

/// Accounts that the name service is asked for at once: those that share a place wait for one another.
const MOST_ASKED: usize = 32;

/// Who asks, as the kernel says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The account with whose rights files are accessed.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// The thread that asks; 0 where the kernel itself does.
    pub pid: u32,
}

/// What a gate is made of.
#[derive(Debug)]
pub struct GateParts {
    /// What is shown.
    pub fs: ArchiveFs,
    /// Where the log is.
    pub catalogue: Arc<Catalogue>,
    /// Where alarms go.
    pub findings: Arc<Findings>,
    /// Who may do what.
    pub rights: Arc<Rights>,
    /// Who an account is.
    pub accounts: Arc<Accounts>,
    /// Blocks in memory.
    pub blocks: Arc<Blocks>,
    /// Threads that wait for the disk of each tier, in the order of [`Tier::ALL`].
    pub disks: [Arc<Pool>; Tier::ALL.len()],
    /// Threads that wait for the name service.
    pub names: Arc<Pool>,
    /// How refusals are logged.
    pub refusals: Arc<Refusals>,
    /// Whether listings are logged.
    pub listings: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Gate {
    pub(super) parts: GateParts,
    pub(super) listed: Listed,
    pub(super) listings: Listings,
    files: Table<OpenFile>,
    /// Recordings that could not be read and are being looked at.
    suspects: Mutex<HashSet<Ulid>>,
    closing: AtomicBool,
    /// Held by whoever asks the name service, by account.
    asked: [Mutex<()>; MOST_ASKED],
}

/// A recording that somebody listens to.
#[derive(Debug)]
struct OpenFile {
    reader: Reader,
    who: Who,
    recording: Recording,
    number: String,
}

impl Gate {
    /// The gate of these parts.
    pub fn new(parts: GateParts) -> Self {
        Self {
            parts,
            listed: Listed::default(),
            listings: Listings::default(),
            files: Table::default(),
            suspects: Mutex::default(),
            closing: AtomicBool::new(false),
            asked: Default::default(),
        }
    }

    /// The threads that wait for the disk of `tier`.
    fn disk(&self, tier: Tier) -> &Arc<Pool> {
        let place = Tier::ALL.iter().position(|&one| one == tier);
        &self.parts.disks[place.unwrap_or(0)]
    }

    /// What is shown.
    pub fn fs(&self) -> &ArchiveFs {
        &self.parts.fs
    }

    /// Opens the recording with number `inode` for `caller`, and answers with its handle when the record of it is
    /// durable.
    pub fn open(
        self: &Arc<Self>,
        caller: Caller,
        inode: u64,
        then: impl FnOnce(Result<u64, FsError>) + Send + 'static,
    ) {
        let gate = self.clone();
        self.with_account(caller, move |account| {
            let may = account.and_then(|account| {
                let node = node_of(inode).ok_or(FsError::NotFound)?;
                gate.may_listen(caller, &account, node)
            });
            match may {
                Ok((who, recording, number)) => gate.open_logged(who, recording, number, then),
                Err(error) => then(Err(error)),
            }
        });
    }

    /// Does `then` with the account of `caller`: at once where it is known, otherwise when the name
    /// service has answered, or has not.
    pub(super) fn with_account(
        self: &Arc<Self>,
        caller: Caller,
        then: impl FnOnce(Result<Arc<Account>, FsError>) + Send + 'static,
    ) {
        if let Some(account) = self.parts.accounts.known(caller.uid, Instant::now()) {
            return then(Ok(account));
        }
        let (gate, place) = (self.clone(), caller.uid as usize % MOST_ASKED);
        self.parts.names.run(
            move || {
                // Who asks of the same account finds the answer: it is asked for once.
                let _turn = gate.asked[place]
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                gate.parts.accounts.get(caller.uid, Instant::now())
            },
            move |answer| {
                let answer = answer.unwrap_or(Err(NoAnswer));
                then(answer.map_err(FsError::from));
            },
        );
    }

    fn may_listen(
        &self,
        caller: Caller,
        account: &Account,
        node: Node,
    ) -> Result<(Who, Recording, String), FsError> {
        if self.closing.load(Ordering::SeqCst) {
            return Err(FsError::Closing);
        }
        let recording = self.fs().recording(node)?;
        let (number, readers) = self.fs().line_of(node)?.ok_or(FsError::NotFound)?;
        let who = trail::evidence(caller, account);
        let may = self
            .parts
            .rights
            .may(account, Action::Listen, Some(readers));
        if let Err(denied) = may {
            let draft = trail::open(now(), who, &recording, &number, Outcome::Refused);
            self.parts.refusals.log(draft.with("reason", denied));
            return Err(denied.into());
        }
        Ok((who, recording, number))
    }

    fn open_logged(
        self: &Arc<Self>,
        who: Who,
        recording: Recording,
        number: String,
        then: impl FnOnce(Result<u64, FsError>) + Send + 'static,
    ) {
        let (gate, shown) = (self.clone(), recording.clone());
        let answered = self.clone();
        self.disk(recording.tier).run(
            move || gate.fs().open(&shown),
            move |opened| {
                let object = match opened.map_err(|_| FsError::Late).and_then(|opened| opened) {
                    Ok(object) => object,
                    Err(error) => {
                        let draft = trail::open(now(), who, &recording, &number, Outcome::Failed);
                        answered.log_later(draft.with("reason", &error));
                        if !matches!(error, FsError::Late) {
                            answered.suspect(&recording);
                        }
                        return then(Err(error));
                    }
                };
                let draft = trail::open(now(), who.clone(), &recording, &number, Outcome::Done);
                let gate = answered.clone();
                answered.parts.catalogue.log_then(draft, move |logged| {
                    let parts = &gate.parts;
                    let disk = gate.disk(recording.tier).clone();
                    let (blocks, ahead) = (parts.blocks.clone(), Some(disk));
                    if logged.is_err() {
                        gate.note_unlogged(who.clone(), &recording, &number);
                    }
                    let key = recording.key;
                    let opened = logged.map_err(FsError::NotLogged).map(|()| {
                        gate.files.add(OpenFile {
                            reader: Reader::new(object, recording.key, blocks, ahead),
                            who,
                            recording,
                            number,
                        })
                    });
                    then(match opened {
                        // Closed while the record was on its way: nobody else would log the end.
                        Ok(handle) if gate.closing.load(Ordering::SeqCst) => {
                            gate.release(handle);
                            Err(FsError::Closing)
                        }
                        // Erased while the record was on its way: nobody else would fail the reader.
                        Ok(handle) if gate.is_gone(key) => {
                            gate.release(handle);
                            Err(FsError::NotFound)
                        }
                        opened => opened,
                    });
                });
            },
        );
    }

    /// That somebody tried to listen is known when there is room for it.
    fn note_unlogged(&self, who: Who, recording: &Recording, number: &str) {
        let draft = trail::unlogged(now(), who, recording, number);
        self.parts.refusals.log(draft);
    }

    /// Reads from the open recording `handle`: up to `size` bytes from byte `offset` on.
    pub fn read(
        self: &Arc<Self>,
        handle: u64,
        offset: u64,
        size: usize,
        then: impl FnOnce(Result<Vec<u8>, FsError>) + Send + 'static,
    ) {
        let file = match self.files.get(handle) {
            Ok(file) => file,
            Err(error) => return then(Err(error)),
        };
        if let Some(bytes) = file.reader.ready(offset, size) {
            return then(Ok(bytes));
        }
        let gate = self.clone();
        self.disk(file.recording.tier).run(
            move || {
                let read = file.reader.read(offset, size);
                // A reader that was failed on purpose says nothing of the recording.
                if let Err(error) = &read
                    && !file.reader.is_failed()
                {
                    gate.alarm(&file, offset, &error.to_string());
                }
                read
            },
            move |read| {
                then(match read {
                    Ok(read) => read.map_err(FsError::from),
                    Err(_) => Err(FsError::Late),
                });
            },
        );
    }

    /// A recording cannot be read: an alarm, and a record. What is wrong with it is found out at once.
    fn alarm(self: &Arc<Self>, file: &OpenFile, offset: u64, reason: &str) {
        log::error!("ALARM: {} at byte {offset}: {reason}", file.recording.id);
        let draft = Draft::new(now(), Event::ReadFailed, Outcome::Failed)
            .by(file.who.clone())
            .on(file.recording.id)
            .of_number(&file.number)
            .with("offset", offset)
            .with("reason", reason);
        self.log_later(draft);
        self.suspect(&file.recording);
    }

    /// Has a recording that could not be read looked at, on a thread of its own: whoever reads it waits
    /// for no verification, and one at a time is enough of each.
    fn suspect(self: &Arc<Self>, recording: &Recording) {
        let findings = &self.parts.findings;
        if findings.is_open(self.fs().vault(), recording.id) {
            return;
        }
        let mut suspects = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        if suspects.len() >= MOST_SUSPECTS || !suspects.insert(recording.id) {
            return;
        }
        drop(suspects);
        let (gate, suspected) = (self.clone(), recording.clone());
        let look = move || {
            let (parts, vault) = (&gate.parts, gate.fs().vault());
            for finding in check(&parts.catalogue, vault, &suspected, Depth::Verify) {
                gate.parts.findings.enter(&finding);
            }
            let mut suspects = gate.suspects.lock().unwrap_or_else(PoisonError::into_inner);
            suspects.remove(&suspected.id);
        };
        if let Err(error) = std::thread::Builder::new()
            .name("suspect".into())
            .spawn(look)
        {
            log::error!("{} cannot be looked at: {error}", recording.id);
        }
    }

    /// The open recording `handle` is closed.
    pub fn release(&self, handle: u64) {
        if let Some(file) = self.files.remove(handle) {
            self.log_release(&file);
        }
    }

    fn log_release(&self, file: &OpenFile) {
        let served = file.reader.served();
        let who = file.who.clone();
        self.log_later(trail::release(
            now(),
            who,
            &file.recording,
            &file.number,
            &served,
        ));
    }

    /// Whether the recording `key` is no more, or past its last day. What cannot be found out is not there.
    fn is_gone(&self, key: Key) -> bool {
        self.fs().recording(Node::File(key)).is_err()
    }

    /// The recording `key` was erased: who has it open reads nothing of it any more, and no block of it is
    /// kept.
    pub fn forget(&self, key: Key) {
        for file in self.files.all() {
            if file.recording.key == key {
                file.reader.fail();
            }
        }
        self.parts.blocks.forget(key);
    }

    /// The mount is gone: whatever is still open is closed.
    pub fn close_all(&self) {
        self.closing.store(true, Ordering::SeqCst);
        for file in self.files.drain() {
            file.reader.fail();
            self.log_release(&file);
        }
    }

    /// Refuses `operation` of `caller` on the node with number `inode`, or on `name` in it, and logs
    /// that.
    pub fn refuse(
        self: &Arc<Self>,
        caller: Caller,
        operation: &str,
        inode: u64,
        name: Option<&std::ffi::OsStr>,
    ) -> FsError {
        let node = node_of(inode);
        let line = node.and_then(|node| self.fs().line_of(node).ok().flatten());
        let number = line.as_ref().map(|(number, _)| number.as_str());
        // Before the answer: the process may be gone after it.
        let who = trail::evidence(caller, &Account::unknown(caller.uid));
        let name = name.map(|name| name.to_string_lossy());
        let mut draft = trail::refused_write(now(), who, operation, number, name.as_deref());
        if let Some(recording) = node.and_then(|node| self.fs().recording(node).ok()) {
            draft = draft.on(recording.id);
        }
        let refusals = self.parts.refusals.clone();
        self.with_account(caller, move |account| {
            if let (Ok(account), Some(who)) = (account, &mut draft.actor) {
                who.name.clone_from(&account.name);
            }
            refusals.log(draft);
        });
        FsError::ReadOnly
    }

    pub(super) fn log_later(&self, draft: Draft) {
        self.parts.catalogue.log_later(draft);
    }
}
