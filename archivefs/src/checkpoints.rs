//! Gives the log's checkpoints to the outside: to the system log, and to the files that are configured.
//! A checkpoint proves what the log was; it is worth something where nobody who could rewrite the log
//! can reach it. A file that cannot be written is an alarm, and gets what it missed when it can be
//! written again.

use crate::audit::{Draft, Event, Note, Outcome, VerifyingKey, notes};
use crate::catalogue::{Catalogue, CatalogueError, Issued};
use crate::store::sync_directory;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A checkpoint is issued when it is this long since the last one, and something is new.
const LONGEST: Duration = Duration::from_secs(60);
/// Or when so many records are new.
const MOST_RECORDS: u64 = 100;
/// How often that is looked at, and a stop noticed.
const BEAT: Duration = Duration::from_millis(500);
/// How much of a file's end is looked at, bytes: some 250 notes.
const END_BYTES: u64 = 64 * 1024;
/// The system log's socket (syslog(3)).
const SYSTEM_LOG: &str = "/dev/log";
/// Facility 13, log audit, severity 5, notice (RFC 5424, section 6.2.1).
const PRIORITY: u32 = 13 * 8 + 5;

/// Whether a checkpoint is due: `records` are new since the last one, `age` ago.
fn is_due(records: u64, age: Duration) -> bool {
    records >= MOST_RECORDS || records > 0 && age >= LONGEST
}

/// Which outside files cannot be written, and why.
#[derive(Debug, Default)]
pub struct Troubles(Mutex<BTreeMap<PathBuf, String>>);

impl Troubles {
    /// All of them.
    pub fn list(&self) -> Vec<(PathBuf, String)> {
        let troubles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        troubles
            .iter()
            .map(|(p, why)| (p.clone(), why.clone()))
            .collect()
    }

    /// Sets what is wrong with `path`, and answers whether that is news.
    fn set(&self, path: &Path, trouble: Option<String>) -> bool {
        let mut troubles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match trouble {
            Some(why) => troubles.insert(path.to_owned(), why).is_none(),
            None => troubles.remove(path).is_some(),
        }
    }
}

/// Issues checkpoints and gives them away.
#[derive(Debug)]
pub struct Checkpoints {
    /// Where they come from.
    pub catalogue: Arc<Catalogue>,
    /// Whether the system log gets them.
    pub system_log: bool,
    /// Files that get them.
    pub files: Vec<PathBuf>,
    /// What is wrong with the files.
    pub troubles: Arc<Troubles>,
    /// The keys that the log has had: only their notes count.
    pub keys: Mutex<Vec<VerifyingKey>>,
    /// One at a time writes to the files.
    pub giving: Mutex<()>,
}

impl Checkpoints {
    /// Goes on until `stop`, and issues a last one then.
    pub fn run(&self, stop: &AtomicBool) {
        let mut last = (self.newest(), Instant::now());
        while !stop.load(Ordering::Relaxed) {
            std::thread::sleep(BEAT);
            if let Err(error) = self.beat(&mut last) {
                log::error!("no checkpoint of the log can be issued: {error}");
                // Not twice a second.
                last.1 = Instant::now();
            }
        }
        if let Err(error) = self.issue() {
            log::error!("no last checkpoint of the log can be issued: {error}");
        }
    }

    fn beat(&self, last: &mut (u64, Instant)) -> Result<(), CatalogueError> {
        let new = self.catalogue.log_size()?.saturating_sub(last.0);
        if is_due(new, last.1.elapsed()) {
            self.issue()?;
            *last = (self.newest(), Instant::now());
        } else if !self.troubles.list().is_empty() && last.1.elapsed() >= LONGEST {
            self.give();
            last.1 = Instant::now();
        }
        Ok(())
    }

    fn newest(&self) -> u64 {
        let issued = self.catalogue.newest_checkpoint();
        issued.ok().flatten().map_or(0, |issued| issued.size)
    }

    /// Issues a checkpoint if anything is new, and gives it to everybody.
    pub fn issue(&self) -> Result<Option<Issued>, CatalogueError> {
        let issued = self.catalogue.checkpoint()?;
        if let Some(issued) = &issued {
            self.announce(issued);
        }
        Ok(issued)
    }

    /// Gives a checkpoint that was issued to everybody.
    pub fn announce(&self, issued: &Issued) {
        self.tell_system_log(issued);
        self.give();
    }

    /// The log is signed by one more key.
    pub fn add_key(&self, key: VerifyingKey) {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.push(key);
    }

    fn tell_system_log(&self, issued: &Issued) {
        let note = issued.note.trim_end().replace('\n', "|");
        if self.system_log
            && let Err(error) = send_to_system_log(&note)
        {
            // The daemon's own output is all that is left; systemd keeps it in the journal.
            log::info!("checkpoint {note} (not in the system log: {error})");
        }
    }

    /// Appends to each file what it has not.
    fn give(&self) {
        let _one = self.giving.lock().unwrap_or_else(PoisonError::into_inner);
        for path in &self.files {
            let outcome = self.append_missing(path).map_err(|error| error.to_string());
            let news = self.troubles.set(path, outcome.clone().err());
            match outcome {
                Err(why) if news => {
                    log::error!(
                        "ALARM: {}: no checkpoint can be kept there: {why}",
                        path.display()
                    );
                    let draft = Draft::new(
                        crate::clock::now(),
                        Event::CheckpointFailed,
                        Outcome::Failed,
                    );
                    let draft = draft.with("path", path.display()).with("reason", why);
                    self.catalogue.log_later(draft);
                }
                Ok(()) if news => log::warn!("{}: gets checkpoints again", path.display()),
                Ok(()) | Err(_) => {}
            }
        }
    }

    fn append_missing(&self, path: &Path) -> io::Result<()> {
        let keys = self
            .keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let kept = Kept::read(path, &keys)?;
        if kept.records > self.catalogue.log_size().map_err(io::Error::other)? {
            return Err(io::Error::other(
                "it covers more records than the log has: the log was cut, or an older copy of the \
                 archive was put back; run tsuwaroku audit verify --checkpoints with this file",
            ));
        }
        let missing = self.catalogue.checkpoints(kept.records);
        let missing = missing.map_err(io::Error::other)?;
        if missing.is_empty() {
            return Ok(());
        }
        let is_new = !path.exists();
        let mut file = OpenOptions::new().append(true).create(true).open(path)?;
        if is_new {
            // Whoever verifies must be able to read it, whatever the daemon's umask is.
            file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
            sync_directory(path.parent().unwrap_or(Path::new("/")))?;
        }
        // What a full disk left of a note would spoil the next one.
        if kept.whole < file.metadata()?.len() {
            file.set_len(kept.whole)?;
        }
        for issued in missing {
            // An empty line of its own after each, so that notes can follow one another.
            file.write_all(format!("{}\n", issued.note).as_bytes())?;
        }
        file.sync_all()
    }
}

/// What a file of checkpoints holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Kept {
    /// Records that the last of its notes covers that a key of the log has signed.
    records: u64,
    /// Bytes up to the end of the last whole note.
    whole: u64,
}

impl Kept {
    /// Looks at the end of the file at `path`; the notes before were looked at when they were the last.
    fn read(path: &Path, keys: &[VerifyingKey]) -> io::Result<Self> {
        let mut file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            other => other?,
        };
        let length = file.metadata()?.len();
        let begin = length.saturating_sub(END_BYTES);
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(begin))?;
        file.read_to_end(&mut bytes)?;
        Ok(Self::of(&bytes, begin, keys))
    }

    /// Of `bytes`, which stand at byte `begin` of the file.
    fn of(bytes: &[u8], begin: u64, keys: &[VerifyingKey]) -> Self {
        // Every note ends in the line of a signature and an empty one.
        let ends = |at: &usize| {
            let line = bytes[..*at].iter().rposition(|byte| *byte == b'\n');
            bytes[line.map_or(0, |line| line + 1)..*at].starts_with("— ".as_bytes())
        };
        let empty_lines = bytes
            .windows(2)
            .enumerate()
            .filter(|(_, two)| *two == b"\n\n");
        let last = empty_lines.map(|(at, _)| at).rfind(ends);
        let whole = last.map_or(0, |at| at + 2);
        let text = String::from_utf8_lossy(&bytes[..whole]);
        let records = notes(&text).into_iter().filter_map(|note| {
            let note = Note::parse(note).ok()?;
            Some(note.verify(keys).ok()?.size)
        });
        Self {
            records: records.max().unwrap_or(0),
            whole: if whole == 0 {
                begin
            } else {
                begin + whole as u64
            },
        }
    }
}

fn send_to_system_log(note: &str) -> io::Result<()> {
    let message = format!("<{PRIORITY}>tsuwaroku: checkpoint {note}");
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to(message.as_bytes(), SYSTEM_LOG).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Chain, Signer};

    fn note(signer: &Signer, size: u64) -> String {
        let mut chain = Chain::new();
        for at in 0..size {
            let draft = Draft::new(at as i64, Event::Open, Outcome::Done);
            chain.append(&draft, [0; 32]);
        }
        format!("{}\n", signer.sign(&chain))
    }

    #[test]
    fn only_whole_notes_of_the_logs_keys_count() {
        let ours = Signer::new("tsuwaroku/test", [1; 32]).unwrap();
        let forger = Signer::new("tsuwaroku/test", [2; 32]).unwrap();
        let keys = [ours.verifying_key()];
        let two = [note(&ours, 3), note(&ours, 5)].concat();
        let kept = |text: &str| Kept::of(text.as_bytes(), 0, &keys);
        let whole = two.len() as u64;
        assert_eq!(
            kept(""),
            Kept {
                records: 0,
                whole: 0
            }
        );
        assert_eq!(kept(&two), Kept { records: 5, whole });
        let with_claim = format!("{two}{}", note(&forger, 99));
        assert_eq!(kept(&with_claim).records, 5, "a stranger's claim");
        for cut in 1..60 {
            let torn = format!("{two}{}", &note(&ours, 7)[..cut]);
            assert_eq!(kept(&torn), Kept { records: 5, whole }, "{cut}");
        }
    }

    /// A file that was torn, and one that is new to the archive, get everything that is missing.
    #[test]
    fn a_file_gets_what_it_has_not() {
        use crate::catalogue::tests::{catalogue, signers};
        let (folder, catalogue) = catalogue();
        let path = folder.path().join("outside");
        let checkpoints = Checkpoints {
            catalogue: Arc::new(catalogue),
            system_log: false,
            files: vec![path.clone()],
            troubles: Arc::default(),
            keys: Mutex::new(signers().iter().map(Signer::verifying_key).collect()),
            giving: Mutex::default(),
        };
        let log = |n| {
            let draft = Draft::new(n, Event::Open, Outcome::Done);
            checkpoints.catalogue.log(draft).unwrap();
        };
        checkpoints.issue().unwrap().unwrap();
        let first = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &first[..first.len() - 9]).unwrap();
        log(1);
        checkpoints.issue().unwrap().unwrap();
        let both = std::fs::read_to_string(&path).unwrap();
        assert!(
            both.starts_with(&first) && notes(&both).len() == 2,
            "{both}"
        );
        assert_eq!(checkpoints.troubles.list(), []);
        // More than the log has.
        let mut ahead = Chain::new();
        for n in 0..50 {
            ahead.append(&Draft::new(n, Event::Open, Outcome::Done), [0; 32]);
        }
        let more = format!("{both}{}\n", signers()[0].sign(&ahead));
        std::fs::write(&path, &more).unwrap();
        log(2);
        checkpoints.issue().unwrap().unwrap();
        let troubles = checkpoints.troubles.list();
        assert!(troubles[0].1.contains("the log was cut"), "{troubles:?}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), more, "untouched");
    }

    #[test]
    fn a_checkpoint_is_due_after_a_minute_or_a_hundred_records() {
        let cases = [
            (0, 3600, false),
            (1, 59, false),
            (1, 60, true),
            (99, 1, false),
            (100, 0, true),
        ];
        for (records, age, due) in cases {
            assert_eq!(
                is_due(records, Duration::from_secs(age)),
                due,
                "{records} {age}"
            );
        }
    }
}
