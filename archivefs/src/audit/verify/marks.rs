//! The tree of the records against everything that was signed, and which key may sign what.

use super::seen::KeyWord;
use super::{AuditFinding, Findings};
use crate::audit::{Chain, Hash, Note, NoteError, VerifyingKey};
use std::collections::BTreeMap;

/// Where a checkpoint was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// It is the head, which is replaced with every commit.
    Head,
    /// In the catalogue.
    Stored,
    /// Outside of the archive.
    Outside(String),
}

impl Source {
    fn name(&self) -> String {
        match self {
            Self::Head => "the signed head".into(),
            Self::Stored => "the catalogue".into(),
            Self::Outside(name) => name.clone(),
        }
    }
}

/// The tree of the records: as they are, and as they were written.
#[derive(Debug, Clone, Default)]
struct Trees {
    found: Chain,
    told: Told,
    /// A digest in `told` is known from a record that was changed itself.
    unsure: bool,
}

/// The tree of the records as they were written, as far as it is known.
#[derive(Debug, Clone, Default)]
enum Told {
    /// That of the records as they are.
    #[default]
    AsFound,
    /// Another one, because records were changed or are gone, and those after them tell their digests.
    Other(Chain),
    /// Nobody tells the digest of a record.
    Lost,
}

/// How a signed root compares with the trees.
#[derive(Debug, PartialEq, Eq)]
enum Comparison {
    /// It is of the records as they were written.
    Agrees,
    /// It is of the records as they are: the daemon went on after the damage.
    WentOn,
    /// It is of other records.
    Differs,
    /// What the records were is not known any more.
    Unknown,
}

impl Trees {
    fn push(&mut self, found: Hash, told: Option<Hash>) {
        self.told = match (std::mem::take(&mut self.told), told) {
            (Told::Lost, _) | (_, None) => Told::Lost,
            (Told::AsFound, Some(told)) if told == found => Told::AsFound,
            (Told::AsFound, Some(told)) => Told::Other(pushed(self.found.clone(), told)),
            (Told::Other(chain), Some(told)) => Told::Other(pushed(chain, told)),
        };
        self.found.push(found);
    }

    fn compare(&self, root: Hash) -> Comparison {
        let found = self.found.root() == root;
        match &self.told {
            Told::AsFound if found => Comparison::Agrees,
            Told::Other(chain) if chain.root() == root => Comparison::Agrees,
            _ if found => Comparison::WentOn,
            Told::Lost => Comparison::Unknown,
            _ if self.unsure => Comparison::Unknown,
            Told::AsFound | Told::Other(_) => Comparison::Differs,
        }
    }

    fn ends_as(&self, end: &Chain) -> bool {
        match &self.told {
            Told::Other(chain) => chain == end || self.found == *end,
            Told::AsFound | Told::Lost => self.found == *end,
        }
    }
}

fn pushed(mut chain: Chain, digest: Hash) -> Chain {
    chain.push(digest);
    chain
}

/// What was counted.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    pub confirmed: u64,
    pub agreeing: u64,
    pub outside: u64,
    pub unchecked: u64,
}

/// Everything that was signed, and the tree so far.
#[derive(Debug, Default)]
pub(super) struct Marks {
    trees: Trees,
    notes: BTreeMap<u64, Vec<(Note, Source)>>,
    trusted: Vec<VerifyingKey>,
    /// Those that sign now.
    current: Vec<VerifyingKey>,
    /// All that ever did.
    named: Vec<VerifyingKey>,
    /// A record was changed or is gone: it may have named a key.
    damaged: bool,
    /// A new key was not vouched for.
    doubtful: bool,
    /// A checkpoint differs, which was reported.
    differs: bool,
    agreed: u64,
    agreed_outside: u64,
    head: Head,
    tally: Tally,
}

/// What is known of the head.
#[derive(Debug, Default)]
struct Head {
    size: Option<u64>,
    bad: Option<NoteError>,
    agrees: bool,
    end: Option<Vec<u8>>,
}

impl Marks {
    pub fn new(trusted: Vec<VerifyingKey>) -> Self {
        Self {
            current: trusted.clone(),
            named: trusted.clone(),
            trusted,
            ..Self::default()
        }
    }

    pub fn head(&mut self, note: &str, end: Option<&[u8]>) {
        self.head.end = end.map(<[u8]>::to_vec);
        match Note::parse(note) {
            Ok(note) => {
                self.head.size = Some(note.claim().size);
                self.keep(note, Source::Head);
            }
            Err(error) => self.head.bad = Some(error),
        }
    }

    pub fn head_size(&self) -> Option<u64> {
        self.head.size
    }

    /// The digest of the last record, as the daemon kept it.
    pub fn end(&self) -> Option<Hash> {
        let end = Chain::from_bytes(self.head.end.as_deref()?).ok()?;
        Some(end.last())
    }

    /// The key that signs now.
    pub fn key(&self) -> Option<String> {
        self.current.last().map(ToString::to_string)
    }

    pub fn checkpoint(&mut self, note: &str, source: Source, findings: &mut Findings) {
        match Note::parse(note) {
            Ok(note) => self.keep(note, source),
            Err(error) => findings.push(bad_checkpoint(None, &source, &error)),
        }
    }

    fn keep(&mut self, note: Note, source: Source) {
        let same_size = self.notes.entry(note.claim().size).or_default();
        same_size.push((note, source));
    }

    /// Whether something claims to be signed after record `last` that fits these `entries` (as they
    /// are, as they were written) being the last ones. Only tells possibilities apart, so that no
    /// signature is asked for.
    pub fn would_agree(
        &self,
        last: u64,
        entries: impl IntoIterator<Item = (Hash, Option<Hash>)>,
    ) -> bool {
        let Some(notes) = self.notes.get(&last) else {
            return false;
        };
        let mut trees = self.trees.clone();
        for (found, told) in entries {
            trees.push(found, told);
        }
        let agrees = |note: &Note| trees.compare(note.claim().root) == Comparison::Agrees;
        notes.iter().any(|(note, _)| agrees(note))
    }

    /// Whether something claims to be signed after record `last`.
    pub fn signed_at(&self, last: u64) -> bool {
        self.notes.contains_key(&last)
    }

    /// The records from `first` to `last` are gone; the digest of a single one may be `told`.
    pub fn missing(&mut self, first: u64, last: u64, told: Option<Hash>, findings: &mut Findings) {
        self.damaged = true;
        // Zeros: what the daemon takes when it goes on after such damage.
        if first == last {
            self.trees.push([0; 32], told);
            self.check_all(first, findings);
            return;
        }
        self.trees.told = Told::Lost;
        self.skip(last - first + 1);
        let rest = self.notes.split_off(&(last + 1));
        let gone = std::mem::replace(&mut self.notes, rest);
        self.tally.unchecked += gone.values().map(|notes| notes.len() as u64).sum::<u64>();
    }

    /// More than can be a gap, and a number that is a lie, would only cost time.
    fn skip(&mut self, records: u64) {
        const MOST: u64 = 1 << 24;
        (0..records.min(MOST)).for_each(|_| self.trees.found.skip());
    }

    /// A digest that was `lent` came from a record that was changed.
    pub fn doubt(&mut self, lent: bool) {
        self.trees.unsure |= lent;
    }

    /// Record `seq` has these digests: as it is, as it was written.
    pub fn settle(
        &mut self,
        seq: u64,
        (found, told): (Hash, Option<Hash>),
        word: Option<KeyWord>,
        damaged: bool,
        findings: &mut Findings,
    ) {
        self.trees.push(found, told);
        self.damaged |= damaged;
        match word {
            Some(KeyWord::Begun(key)) if seq == 1 => self.begin(key),
            Some(KeyWord::New(key, failed)) => return self.rotate(seq, key, failed, findings),
            _ => {}
        }
        self.check_all(seq, findings);
    }

    fn begin(&mut self, key: VerifyingKey) {
        if self.trusted.is_empty() {
            self.current = vec![key.clone()];
        }
        self.named.push(key);
    }

    /// Record `seq` names a new key. The key before must have signed the log of exactly that size;
    /// the new one may have signed it too.
    fn rotate(&mut self, seq: u64, key: VerifyingKey, failed: bool, findings: &mut Findings) {
        if failed {
            findings.push(AuditFinding::Interrupted { seq });
        }
        if !self.vouched(seq, &key) {
            findings.push(AuditFinding::NotVouched { seq });
            self.doubtful = true;
        }
        self.current.push(key.clone());
        self.check_all(seq, findings);
        self.named.push(key.clone());
        self.current = vec![key];
    }

    fn vouched(&self, seq: u64, key: &VerifyingKey) -> bool {
        let by_the_one_before = |(note, _): &(Note, Source)| {
            let signed = note.verify(&self.current);
            signed.is_ok_and(|signed| self.trees.compare(signed.root) != Comparison::Differs)
        };
        let known = self.trusted.contains(key) || self.current.contains(key);
        let notes = self.notes.get(&seq);
        // Once checkpoints differ, or keys are not known, nothing can vouch, and this was reported.
        known
            || self.differs
            || self.damaged
            || self.current.is_empty()
            || notes.is_some_and(|notes| notes.iter().any(by_the_one_before))
    }

    /// Everything that was signed at `size`.
    fn check_all(&mut self, size: u64, findings: &mut Findings) {
        for (note, source) in self.notes.remove(&size).unwrap_or_default() {
            match note.verify(&self.current) {
                Ok(signed) => self.compare(size, signed.root, &source, findings),
                Err(NoteError::UnknownKey) if self.keys_unsure() => self.tally.unchecked += 1,
                Err(error) if source == Source::Head => self.head.bad = Some(error),
                Err(error) => findings.push(bad_checkpoint(Some(size), &source, &error)),
            }
        }
    }

    fn keys_unsure(&self) -> bool {
        self.damaged || self.current.is_empty()
    }

    fn compare(&mut self, size: u64, root: Hash, source: &Source, findings: &mut Findings) {
        match self.trees.compare(root) {
            Comparison::Agrees => self.agree(size, source),
            Comparison::WentOn => {
                self.trees.told = Told::AsFound;
                self.agree(size, source);
            }
            Comparison::Unknown => self.tally.unchecked += 1,
            Comparison::Differs if self.differs => self.tally.unchecked += 1,
            Comparison::Differs => {
                self.differs = true;
                findings.push(self.rewritten(size, source));
            }
        }
    }

    /// What the archive keeps itself may have been written anew together with the records: against a
    /// checkpoint from outside only others from outside count.
    fn rewritten(&mut self, size: u64, source: &Source) -> AuditFinding {
        let after = match source {
            Source::Outside(_) => self.agreed_outside,
            Source::Head | Source::Stored => self.agreed,
        };
        self.tally.confirmed = self.tally.confirmed.min(after);
        AuditFinding::Rewritten {
            after,
            size,
            source_name: source.name(),
        }
    }

    fn agree(&mut self, size: u64, source: &Source) {
        let outside = matches!(source, Source::Outside(_));
        self.agreed = size;
        self.trees.unsure = false;
        self.tally.agreeing += 1;
        if outside {
            self.agreed_outside = size;
            self.tally.outside += 1;
        }
        if !self.doubtful && (outside || !self.differs) {
            self.tally.confirmed = size;
        }
        self.head.agrees |= *source == Source::Head;
    }

    /// There are no more records; `last` is the number of the last one.
    pub fn finish(&mut self, last: u64, findings: &mut Findings) -> Tally {
        let cut = self.cut(last, findings);
        if !cut {
            self.finish_head(last, findings);
        }
        if self.current.is_empty() && !self.damaged && last > 0 {
            findings.push(AuditFinding::NoKey);
        }
        self.tally
    }

    fn finish_head(&mut self, last: u64, findings: &mut Findings) {
        if let Some(error) = &self.head.bad {
            let reason = error.to_string();
            findings.push(AuditFinding::BadHead { last, reason });
            return;
        }
        match self.head.size {
            None => findings.push(AuditFinding::NoHead { last }),
            Some(size) if size < last => findings.push(AuditFinding::Unsigned {
                first: size + 1,
                last,
            }),
            Some(_) if self.head.agrees => self.finish_end(last, findings),
            Some(_) => {}
        }
    }

    fn finish_end(&self, last: u64, findings: &mut Findings) {
        let Some(end) = &self.head.end else { return };
        if !Chain::from_bytes(end).is_ok_and(|end| self.trees.ends_as(&end)) {
            findings.push(AuditFinding::WrongEnd { last });
        }
    }

    /// What was signed of more records than there are; whether that was reported.
    fn cut(&mut self, last: u64, findings: &mut Findings) -> bool {
        let beyond = self.notes.split_off(&(last + 1));
        let mut keys = self.named.clone();
        keys.extend(self.current.iter().cloned());
        let all = || beyond.iter().rev().flat_map(|(_, notes)| notes);
        let unsure = keys.is_empty() || self.damaged || last == 0;
        let proof = all().find(|(note, _)| note.verify(&keys).is_ok());
        let claim = all().next();
        if let Some((note, source)) = proof.or(claim.filter(|_| unsure)) {
            findings.push(AuditFinding::Cut {
                first: last + 1,
                last: note.claim().size,
                source_name: source.name(),
            });
            return true;
        }
        for (note, source) in all() {
            let error = note.verify(&keys).err().unwrap_or(NoteError::UnknownKey);
            if *source == Source::Head {
                self.head.bad = Some(error);
            } else {
                findings.push(bad_checkpoint(Some(note.claim().size), source, &error));
            }
        }
        false
    }
}

fn bad_checkpoint(size: Option<u64>, source: &Source, error: &NoteError) -> AuditFinding {
    AuditFinding::BadCheckpoint {
        size,
        source_name: source.name(),
        reason: error.to_string(),
    }
}
