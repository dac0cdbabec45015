//! Whether each record is whole: the one after it carries its digest. Where the two disagree, the
//! record after that decides which of them was changed. The last record is judged by what was signed.

use super::marks::Marks;
use super::order::Step;
use super::seen::Seen;
use super::{AuditFinding, Findings};
use crate::audit::Hash;

/// A record that is not judged yet.
#[derive(Debug)]
struct Pending {
    seq: u64,
    seen: Box<Seen>,
    /// It is known not to be what it stands for.
    changed: bool,
    /// Digests of other rows with its number.
    spares: Vec<Hash>,
    /// The digest of the record before is known from this one alone.
    lends: bool,
}

/// What became of it: its digest as it was written, as far as that is known, and whether the record is
/// still so.
#[derive(Debug, Clone, Copy)]
struct Verdict {
    told: Option<Hash>,
    whole: bool,
}

impl Verdict {
    fn changed(told: Option<Hash>) -> Self {
        Self { told, whole: false }
    }
}

impl Pending {
    fn as_it_is(&self) -> Verdict {
        let whole = !self.changed;
        Verdict {
            told: whole.then_some(self.seen.digest),
            whole,
        }
    }

    fn told(&self, told: Hash) -> Verdict {
        Verdict {
            told: Some(told),
            whole: !self.changed,
        }
    }

    fn may_be(&self, told: Hash) -> bool {
        self.seen.digest == told || self.spares.contains(&told)
    }

    /// What this record says of the digest of `before`, if it can be believed.
    fn word_on(&self, before: &Self) -> Option<Hash> {
        let told = self.seen.prev()?;
        (!self.changed || before.may_be(told)).then_some(told)
    }
}

/// Records that wait to be judged, at most two of them.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// The record that `last` does not confirm.
    doubt: Option<Pending>,
    last: Option<Pending>,
    gap: Option<(u64, u64)>,
    /// Missing records, and the digest of a single one.
    holes: Vec<(u64, u64, Option<Hash>)>,
}

impl Links {
    /// What `order` found.
    pub fn take(&mut self, step: Step, marks: &mut Marks, findings: &mut Findings) {
        match step {
            Step::Stands { seq, seen, changed } => {
                let mut next = Pending {
                    seq,
                    seen,
                    changed,
                    spares: Vec::new(),
                    lends: false,
                };
                self.judge(&mut next, marks, findings);
                self.last = Some(next);
            }
            Step::Gap { first, last } => {
                self.settle_all(marks, findings);
                self.gap = Some((first, last));
            }
            Step::Spare { digest } => {
                if let Some(last) = &mut self.last {
                    last.spares.push(digest);
                }
            }
            Step::Late { seq, row, digest } => self.late(seq, row, digest, findings),
        }
    }

    /// There are no more records; `end` is the digest of the last one as the daemon kept it.
    pub fn finish(mut self, end: Option<Hash>, marks: &mut Marks, findings: &mut Findings) {
        if let Some(mut last) = self.last.take() {
            let doubt = self.doubt.take();
            let endings = endings(doubt.as_ref(), &last, end);
            let good = endings.iter().find(|(before, after)| {
                let before = doubt.as_ref().zip(*before);
                let before = before.map(|(doubt, verdict)| (doubt.seen.digest, verdict.told));
                let entries = before.into_iter().chain([(last.seen.digest, after.told)]);
                marks.would_agree(last.seq, entries)
            });
            if good.is_none() && marks.signed_at(last.seq) {
                // Not known to be whole, so nothing can be said of what is beside it.
                last.seen.minor.clear();
            }
            let (before, after) = *good.unwrap_or(&endings[0]);
            if let Some((doubt, verdict)) = doubt.zip(before) {
                settle(doubt, verdict, marks, findings);
            }
            settle(last, after, marks, findings);
        }
        for (first, last, _) in self.holes {
            findings.push(AuditFinding::Missing { first, last });
        }
    }

    /// Judges the last record, and the one in doubt before it, by what `next` says.
    fn judge(&mut self, next: &mut Pending, marks: &mut Marks, findings: &mut Findings) {
        if let Some((first, last)) = self.gap.take() {
            let told = next.seen.prev().filter(|_| first == last);
            self.holes.push((first, last, told));
            next.lends = true;
            marks.missing(first, last, told, findings);
        }
        let Some(mut last) = self.last.take() else {
            return;
        };
        let (before, after) = verdicts(self.doubt.as_ref(), &last, next);
        last.lends |= before.is_some_and(|verdict| !verdict.whole);
        next.lends = after.is_some_and(|verdict| !verdict.whole);
        if let Some((doubt, verdict)) = self.doubt.take().zip(before) {
            settle(doubt, verdict, marks, findings);
        }
        match after {
            Some(verdict) => settle(last, verdict, marks, findings),
            None => self.doubt = Some(last),
        }
    }

    /// Judges all that wait, without a record after them.
    fn settle_all(&mut self, marks: &mut Marks, findings: &mut Findings) {
        let last = self.last.take();
        if let Some((doubt, last)) = self.doubt.take().zip(last.as_ref()) {
            settle(doubt, Verdict::changed(last.seen.prev()), marks, findings);
        }
        if let Some(last) = last {
            let verdict = last.as_it_is();
            settle(last, verdict, marks, findings);
        }
    }

    fn late(&mut self, seq: u64, row: i64, digest: Hash, findings: &mut Findings) {
        let fills = |(first, last, told): &(u64, u64, Option<Hash>)| {
            (*first..=*last).contains(&seq) && told.is_none_or(|told| told == digest)
        };
        let Some(at) = self.holes.iter().position(fills) else {
            findings.push(AuditFinding::Duplicate { seq, row });
            return;
        };
        findings.push(AuditFinding::Misplaced { seq, row });
        let (first, last, _) = self.holes.swap_remove(at);
        let rest = [(first, seq - 1, None), (seq + 1, last, None)];
        self.holes
            .extend(rest.into_iter().filter(|(first, last, _)| first <= last));
    }
}

/// What `next` says of `last`, and of the record before that if that one is in doubt. No verdict on
/// `last`: it is in doubt from now on.
fn verdicts(
    doubt: Option<&Pending>,
    last: &Pending,
    next: &Pending,
) -> (Option<Verdict>, Option<Verdict>) {
    let as_last_says = || Some(Verdict::changed(last.seen.prev()));
    let Some(told) = next.word_on(last) else {
        return (as_last_says(), Some(last.as_it_is()));
    };
    if last.may_be(told) || last.changed {
        return (as_last_says(), Some(last.told(told)));
    }
    match doubt {
        // Only the digest that `last` carries was changed: with the right one it is what `next` says.
        Some(doubt) if last.seen.digest_with(&doubt.seen.digest) == Some(told) => {
            (Some(doubt.as_it_is()), Some(Verdict::changed(Some(told))))
        }
        Some(_) => (as_last_says(), None),
        None => (None, None),
    }
}

/// What may have become of the last record and of the one in doubt before it, the likeliest first.
fn endings(
    doubt: Option<&Pending>,
    last: &Pending,
    end: Option<Hash>,
) -> Vec<(Option<Verdict>, Verdict)> {
    let kept = Verdict::changed(end);
    let Some(doubt) = doubt else {
        let others = last.spares.iter().map(|spare| last.told(*spare));
        let all = [last.as_it_is()].into_iter().chain(others).chain([kept]);
        return all.map(|verdict| (None, verdict)).collect();
    };
    let whole = doubt.as_it_is();
    let changed = Verdict::changed(last.seen.prev());
    let mended = Verdict::changed(last.seen.digest_with(&doubt.seen.digest));
    vec![
        (Some(changed), last.as_it_is()),
        (Some(whole), mended),
        (Some(whole), kept),
        (Some(changed), kept),
    ]
}

fn settle(one: Pending, verdict: Verdict, marks: &mut Marks, findings: &mut Findings) {
    let Pending {
        seq,
        mut seen,
        lends,
        ..
    } = one;
    let found = seen.digest;
    if !verdict.whole {
        findings.push(AuditFinding::Changed { seq });
        marks.doubt(lends);
    }
    // A row that another one took the place of says nothing either.
    let own = verdict.whole && verdict.told == Some(found);
    if own {
        seen.minor.drain(..).for_each(|one| findings.push(one));
    }
    let word = own.then(|| seen.key_word()).flatten();
    marks.settle(seq, (found, verdict.told), word, !own, findings);
}
