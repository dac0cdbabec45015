//! What the daemon answers about its audit log. To read the log is an access like any other: it is
//! logged before it is answered, and so is what else is done with the log.

use super::api::Problem;
use super::api::log::{
    CheckpointTrouble, LastCheckpoint, LogCheckpoint, LogProgress, LogRecord, LogRequest,
    LogRotated, LogStatus, LogVerified, LogVerifyEvent, LogVerifyRequest,
};
use super::device::{Device, who};
use crate::audit::{
    Body, Checkpoint, Draft, Event, Outcome, Record, Report, Signer, VerifyingKey, Who,
    open_private,
};
use crate::call::time_of;
use crate::catalogue::{CatalogueError, Issued, LogRow};
use crate::clock::now;
use crate::rights::Actor;
use axum::http::StatusCode;
use tokio::sync::mpsc;

/// Records looked through at a time.
const PAGE: u32 = 1000;

/// A stretch of the log that was looked through, newest first.
#[derive(Debug)]
pub(super) struct Page {
    /// What was asked for.
    pub records: Vec<LogRecord>,
    /// Those before this number were not looked at; none if there are no others.
    pub before: Option<u64>,
}

impl Device {
    /// How the log is.
    pub(super) fn log_status(&self) -> Result<LogStatus, Problem> {
        let last = |issued: Issued| LastCheckpoint {
            at: time_of(issued.at),
            records: issued.size,
        };
        let troubles = self.checkpoints.troubles.list().into_iter();
        Ok(LogStatus {
            records: self.catalogue.log_size()?,
            checkpoint: self.catalogue.newest_checkpoint()?.map(last),
            unwritten: self.catalogue.unwritten(),
            troubles: troubles
                .map(|(file, reason)| CheckpointTrouble {
                    file: file.display().to_string(),
                    reason,
                })
                .collect(),
        })
    }

    /// Logs that `actor` reads the log, and answers the number before which the reading begins. The
    /// record that says so comes after it, so that a list does not begin with itself.
    pub(super) fn begin_reading(
        &self,
        actor: &Actor,
        request: &LogRequest,
    ) -> Result<u64, Problem> {
        let before = self.catalogue.log_size()? + 1;
        self.catalogue.log(reading(actor, request))?;
        Ok(before)
    }

    /// Looks through the records before number `before`.
    pub(super) fn log_page(&self, request: &LogRequest, before: u64) -> Result<Page, Problem> {
        let rows = self
            .catalogue
            .log_records_before(request.recording, before, PAGE)?;
        Ok(Page {
            records: rows.iter().filter_map(|row| listed(row, request)).collect(),
            before: rows.last().map(|row| row.seq).filter(|seq| *seq > 1),
        })
    }

    /// Verifies the log with `keys` and with what `request` brings from outside, and tells `events`;
    /// the last one says how it ended, which is logged before.
    pub(super) fn verify_log(
        &self,
        actor: &Actor,
        keys: Vec<VerifyingKey>,
        request: &LogVerifyRequest,
        events: &mpsc::Sender<LogVerifyEvent>,
    ) {
        let key_given = !keys.is_empty();
        let outcome = self.check_log(keys, request, events);
        let verified = verified(actor, &outcome);
        let end = match (outcome, self.catalogue.log(verified)) {
            (Ok(Some(report)), Ok(())) => {
                alarm(&report);
                let end = LogVerified::of(&report, key_given);
                for finding in report.findings {
                    if events
                        .blocking_send(LogVerifyEvent::Finding(finding))
                        .is_err()
                    {
                        return;
                    }
                }
                LogVerifyEvent::Done(end)
            }
            // Nobody waits for it any more.
            (Ok(None), _) => return,
            (Err(error), _) | (_, Err(error)) => LogVerifyEvent::Failed(error.to_string()),
        };
        // Whoever asked may have gone away.
        let _ = events.blocking_send(end);
    }

    fn check_log(
        &self,
        keys: Vec<VerifyingKey>,
        request: &LogVerifyRequest,
        events: &mpsc::Sender<LogVerifyEvent>,
    ) -> Result<Option<Report>, CatalogueError> {
        let outside = request.checkpoints.iter();
        let outside = outside.map(|kept| (kept.source.as_str(), kept.note.as_str()));
        let mut tell = |read, total| {
            // A caller that reads slowly misses steps.
            let _ = events.try_send(LogVerifyEvent::Progress(LogProgress { read, total }));
            !events.is_closed()
        };
        self.catalogue.log_copy()?.verify(keys, outside, &mut tell)
    }

    /// Issues a checkpoint that covers the record of who asked for it, and gives it to everybody that
    /// gets checkpoints.
    pub(super) fn issue_checkpoint(&self, actor: &Actor) -> Result<LogCheckpoint, Problem> {
        let asked = Draft::new(now(), Event::Control, Outcome::Done).by(who(actor));
        self.catalogue.log(asked.with("action", "checkpoint"))?;
        let issued = match self.checkpoints.issue()? {
            Some(issued) => Some(issued),
            // It was issued by itself just before, or there is one of more records than there are.
            None => self.catalogue.newest_checkpoint()?,
        };
        let records = self.catalogue.log_size()?;
        let issued = issued.filter(|issued| issued.size <= records);
        let issued = issued.ok_or_else(cut)?;
        Ok(LogCheckpoint {
            at: time_of(issued.at),
            records: issued.size,
            key: self.key_of(&issued.note)?,
            note: issued.note,
        })
    }

    /// The key that verifies `note`.
    fn key_of(&self, note: &str) -> Result<String, Problem> {
        let signers = self.vault.keys().log_signers()?;
        let mut keys = signers.iter().map(Signer::verifying_key);
        let key = keys.find(|key| Checkpoint::open(note, std::slice::from_ref(key)).is_ok());
        let lost = || CatalogueError::Damaged("a checkpoint is signed by no key of the log".into());
        Ok(key.ok_or_else(lost)?.to_string())
    }

    /// Gives the log a new signing key, on the word of `actor`.
    pub(super) fn rotate_log_key(&self, actor: &Actor) -> Result<LogRotated, Problem> {
        let signer = self.vault.keys().new_log_signer()?;
        let key = signer.vkey();
        self.checkpoints.add_key(signer.verifying_key());
        let by = Draft::new(now(), Event::LogKey, Outcome::Done).by(who(actor));
        let vouching = self.catalogue.rotate_log_key(signer, by)?;
        let vouching = vouching.ok_or_else(cut)?;
        log::warn!(
            "the audit log has a new key since record {}: {key}",
            vouching.size
        );
        self.checkpoints.announce(&vouching);
        Ok(LogRotated {
            record: vouching.size,
            key,
            note: vouching.note,
        })
    }
}

/// The keys that are to be believed.
pub(super) fn keys(request: &LogVerifyRequest) -> Result<Vec<VerifyingKey>, Problem> {
    let parse = |key: &String| VerifyingKey::parse(key);
    let keys: Result<Vec<_>, _> = request.keys.iter().map(parse).collect();
    keys.map_err(|error| Problem::bad_request(error.to_string()))
}

/// The log is shorter than what was signed: nothing that is signed now would be worth anything.
fn cut() -> Problem {
    let detail = "the audit log has fewer records than a checkpoint that was issued before";
    let advice = "records were taken away: see which with tsuwaroku audit verify";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "log-cut", detail, advice)
}

/// The record of reading the log: who, and what was asked for.
fn reading(actor: &Actor, request: &LogRequest) -> Draft {
    let texts = [
        ("person", request.person.clone()),
        ("recording", request.recording.map(|id| id.to_string())),
        ("number", request.number.clone()),
        ("event", request.event.map(|event| event.to_string())),
        ("result", request.result.map(|result| result.to_string())),
        ("from", request.from.map(|time| time.to_rfc3339())),
        ("to", request.to.map(|time| time.to_rfc3339())),
        ("limit", request.limit.map(|limit| limit.to_string())),
    ];
    let draft = Draft::new(now(), Event::LogRead, Outcome::Done).by(who(actor));
    let given = texts
        .into_iter()
        .filter_map(|(name, text)| Some((name, text?)));
    given.fold(draft, |draft, (name, text)| draft.with(name, text))
}

/// The record of a verification: who, and what was found.
fn verified(actor: &Actor, outcome: &Result<Option<Report>, CatalogueError>) -> Draft {
    let draft = |result| Draft::new(now(), Event::LogVerified, result).by(who(actor));
    match outcome {
        Ok(Some(report)) => {
            let draft = draft(Outcome::Done)
                .with("records", report.records)
                .with("confirmed", report.confirmed)
                .with("outside", report.outside)
                .with("findings", report.findings.len() as u64 + report.more);
            match report.findings.first() {
                Some(first) => draft.with("first", first),
                None => draft,
            }
        }
        Ok(None) => draft(Outcome::Failed).with("reason", "whoever asked did not wait"),
        Err(error) => draft(Outcome::Failed).with("reason", error),
    }
}

fn alarm(report: &Report) {
    if let Some(first) = report.findings.first() {
        let count = report.findings.len() as u64 + report.more;
        log::error!("ALARM: the audit log is not as it was written ({count} findings): {first}");
    }
}

/// The stored record as it is listed, if it is one that `request` asks for. One that cannot be read is
/// always listed: it may be the one.
fn listed(row: &LogRow, request: &LogRequest) -> Option<LogRecord> {
    match Record::parse(&row.record) {
        Ok(record) => matches(request, &record).then(|| shown(row, record)),
        Err(error) => Some(unreadable(row.seq, error.to_string())),
    }
}

fn matches(request: &LogRequest, record: &Record) -> bool {
    let at = time_of(record.at);
    let by = |person: &String| record.actor.as_ref().is_some_and(|who| is_of(person, who));
    request.person.as_ref().is_none_or(by)
        && request.event.is_none_or(|event| record.event == event)
        && request.result.is_none_or(|result| record.result == result)
        && request.from.is_none_or(|from| from <= at)
        && request.to.is_none_or(|to| at < to)
        && (request.number.is_none() || request.number == record.number)
}

/// Whether `person`, a name or a uid, is `who`.
fn is_of(person: &str, who: &Who) -> bool {
    person == who.name || person.parse() == Ok(who.uid)
}

fn shown(row: &LogRow, record: Record) -> LogRecord {
    let stored = row.private.as_deref();
    let private = stored.map(|stored| open_private(stored, record.private.as_ref()));
    let (private, trouble) = match private {
        None => (Body::new(), None),
        Some(Ok(body)) => (body, None),
        Some(Err(error)) => (Body::new(), Some(error.to_string())),
    };
    LogRecord {
        seq: row.seq,
        at: Some(time_of(record.at)),
        event: Some(record.event),
        result: Some(record.result),
        actor: record.actor,
        recording: record.recording,
        number: record.number,
        application: record.application,
        facts: record.facts,
        private,
        erased: record.private.is_some() && stored.is_none(),
        trouble,
    }
}

fn unreadable(seq: u64, trouble: String) -> LogRecord {
    LogRecord {
        seq,
        at: None,
        event: None,
        result: None,
        actor: None,
        recording: None,
        number: None,
        application: None,
        facts: Body::new(),
        private: Body::new(),
        erased: false,
        trouble: Some(trouble),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Chain;
    use chrono::{DateTime, Utc};
    use ulid::Ulid;

    const ID: Ulid = Ulid::from_parts(1_795_396_530_250, 5);

    fn time(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn row(draft: &Draft) -> LogRow {
        let link = Chain::new().append(draft, [7; 32]);
        LogRow {
            seq: link.seq,
            recording: None,
            record: link.record,
            private: link.private,
        }
    }

    fn opened() -> Draft {
        let at = time("2026-11-23T01:15:30Z").timestamp_nanos_opt().unwrap();
        let sato = Who {
            uid: 1001,
            gid: 100,
            name: "sato".into(),
            pid: None,
            exe: None,
        };
        Draft::new(at, Event::Open, Outcome::Refused)
            .by(sato)
            .on(ID)
            .of_number("06-6458-1132")
            .hidden("party", "0312345678")
    }

    fn asked(set: impl FnOnce(&mut LogRequest)) -> LogRequest {
        let mut request = LogRequest::default();
        set(&mut request);
        request
    }

    #[test]
    fn all_that_is_asked_for_must_hold() {
        let row = row(&opened());
        let cases = [
            (asked(|_| ()), true),
            (asked(|it| it.person = Some("sato".into())), true),
            (asked(|it| it.person = Some("1001".into())), true),
            (asked(|it| it.person = Some("sat".into())), false),
            (asked(|it| it.person = Some("100".into())), false),
            (asked(|it| it.number = Some("06-6458-1132".into())), true),
            (asked(|it| it.number = Some("06-6458-113".into())), false),
            (asked(|it| it.event = Some(Event::Open)), true),
            (asked(|it| it.event = Some(Event::Release)), false),
            (asked(|it| it.result = Some(Outcome::Refused)), true),
            (asked(|it| it.result = Some(Outcome::Done)), false),
            (
                asked(|it| it.from = Some(time("2026-11-23T01:15:30Z"))),
                true,
            ),
            (
                asked(|it| it.from = Some(time("2026-11-23T01:15:31Z"))),
                false,
            ),
            (asked(|it| it.to = Some(time("2026-11-23T01:15:31Z"))), true),
            (
                asked(|it| it.to = Some(time("2026-11-23T01:15:30Z"))),
                false,
            ),
        ];
        for (request, expected) in cases {
            assert_eq!(listed(&row, &request).is_some(), expected, "{request:?}");
        }
        let started = self::row(&Draft::new(1, Event::Started, Outcome::Done));
        let by_root = asked(|it| it.person = Some("root".into()));
        assert_eq!(listed(&started, &by_root), None, "nobody asked");
    }

    #[test]
    fn what_is_private_is_shown_while_it_is_there_and_true() {
        let whole = row(&opened());
        let show = |row: &LogRow| listed(row, &LogRequest::default()).unwrap();
        let record = show(&whole);
        assert_eq!(record.private["party"], "0312345678");
        assert_eq!((record.erased, record.trouble), (false, None));
        let erased = LogRow {
            private: None,
            ..whole.clone()
        };
        let record = show(&erased);
        assert!(record.erased && record.private.is_empty() && record.trouble.is_none());
        let mut changed = whole;
        *changed.private.as_mut().unwrap().last_mut().unwrap() ^= 1;
        let record = show(&changed);
        assert!(record.trouble.is_some() && record.private.is_empty() && !record.erased);
    }

    /// A record that was damaged must not vanish from whatever list it belongs to.
    #[test]
    fn a_record_that_cannot_be_read_is_always_listed() {
        let mut row = row(&opened());
        row.record[0] = b'x';
        let request = asked(|it| it.person = Some("kato".into()));
        let record = listed(&row, &request).unwrap();
        assert_eq!((record.seq, record.at), (1, None));
        assert!(record.trouble.unwrap().contains("no record"));
    }
}
