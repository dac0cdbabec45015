//! Damage to what was signed, and logs written anew.

use super::log::{OUTSIDE, Writer, draft, trusted};
use super::*;
use crate::audit::{Chain, Draft, Event, Outcome, Signer};

/// The log as somebody with the daemon's key writes it anew from record `from` on.
fn anew(from: u64) -> Log {
    Log::with(200, |seq| {
        let lie = if seq >= from { "0" } else { "1" };
        let draft = draft(seq);
        if seq < 2 {
            draft
        } else {
            draft.with("lie", lie)
        }
    })
}

#[test]
fn written_anew_with_the_daemons_key() {
    let old = anew(201);
    each(2..=150, |from| {
        let mut log = anew(from as u64);
        log.outside = old.outside.clone();
        let size = *OUTSIDE.iter().find(|size| **size >= from as u64).unwrap();
        let expected = AuditFinding::Rewritten {
            after: size - 50,
            size,
            source_name: "outside".into(),
        };
        let report = log.audit();
        assert_found(&report, &[expected], &format!("anew from {from}"));
        assert!(report.confirmed < from as u64);
    });
}

/// What nothing outside proves cannot be seen; the page says so.
#[test]
fn written_anew_after_the_last_outside_checkpoint_is_not_seen() {
    let mut log = anew(151);
    log.outside = anew(201).outside;
    assert_found(&log.audit(), &[], "anew");
}

#[test]
fn written_anew_without_the_key() {
    let old = Log::new();
    each(2..=RECORDS, |from| {
        let mut log = Log::with(200, |seq| {
            let lies = seq as usize >= from;
            let draft = draft(seq);
            if lies { draft.with("lie", "") } else { draft }
        });
        (log.head, log.end) = (old.head.clone(), old.end.clone());
        (log.stored, log.outside) = (old.stored.clone(), vec![]);
        let size = [64, 128, 192, 200]
            .into_iter()
            .find(|size| *size >= from as u64);
        let found = log.audit().findings;
        if from == RECORDS {
            assert_eq!(found, [AuditFinding::Changed { seq: 200 }]);
            return;
        }
        let [
            AuditFinding::Rewritten {
                after, size: at, ..
            },
        ] = found.as_slice()
        else {
            panic!("{from}: {found:?}");
        };
        assert!(
            *after < from as u64 && Some(*at) == size,
            "{from}: {found:?}"
        );
    });
}

#[test]
fn signed_by_another_key() {
    let [_, other] = keys();
    let mut writer = Writer::new(other);
    writer.write_all((1..=200).map(draft));
    let mut log = writer.log();
    (log.stored, log.outside) = (vec![], vec![]);
    let reason = "it is not signed by a key that is known".to_owned();
    let bad = AuditFinding::BadHead { last: 200, reason };
    assert_found(&log.audit(), &[bad], "another key");
}

/// An old head was put back too: only what is outside tells.
#[test]
fn cut_below_an_outside_checkpoint() {
    let log = Log::new();
    let [signer, _] = keys();
    let mut chain = Chain::new();
    let mut heads = vec![];
    for seq in 1..=200 {
        chain.append(&draft(seq), [(seq - 1) as u8; 32]);
        heads.push((signer.sign(&chain), chain.to_bytes()));
    }
    assert_eq!(log.head.as_ref(), Some(&heads[199].0));
    each(1..RECORDS, |records| {
        let mut log = log.clone();
        log.rows.truncate(records);
        let (head, end) = &heads[records - 1];
        (log.head, log.end) = (Some(head.clone()), Some(end.clone()));
        log.stored.truncate(records / 64);
        let cut = (records < 150).then(|| AuditFinding::Cut {
            first: records as u64 + 1,
            last: 150,
            source_name: "outside".into(),
        });
        assert_found(&log.audit(), &Vec::from_iter(cut), &format!("{records}"));
    });
}

#[test]
fn goes_on_after_the_head() {
    let log = Log::new();
    each([1, 63, 64, 199], |records| {
        let mut longer = log.clone();
        let shorter = Log::with(records as u64, draft);
        (longer.head, longer.end) = (shorter.head, shorter.end);
        (longer.stored, longer.outside) = (shorter.stored, shorter.outside);
        let unsigned = AuditFinding::Unsigned {
            first: records as u64 + 1,
            last: 200,
        };
        assert_found(&longer.audit(), &[unsigned], "longer");
    });
}

#[test]
fn a_head_that_is_missing_or_changed_in_any_byte() {
    let mut log = Log::new();
    let head = log.head.take().unwrap();
    let report = log.audit();
    assert_found(&report, &[AuditFinding::NoHead { last: 200 }], "no head");
    assert_eq!(report.confirmed, 192);
    each(0..head.len(), |at| {
        let mut log = log.clone();
        let mut bytes = head.clone().into_bytes();
        bytes[at] ^= 1;
        log.head = Some(String::from_utf8_lossy(&bytes).into_owned());
        let found = log.audit().findings;
        assert!(
            matches!(found.as_slice(), [AuditFinding::BadHead { last: 200, .. }]),
            "byte {at}: {found:?}"
        );
    });
}

#[test]
fn a_checkpoint_changed_in_any_byte() {
    let log = Log::new();
    each(0..log.stored[1].len(), |at| {
        let changed = |note: &String| {
            let mut bytes = note.clone().into_bytes();
            bytes[at] ^= 1;
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let mut log = log.clone();
        log.stored[1] = changed(&log.stored[1]);
        log.outside[2] = changed(&log.outside[2]);
        let found = log.audit().findings;
        let source = |finding: &AuditFinding| match finding {
            AuditFinding::BadCheckpoint { source_name, .. } => source_name.clone(),
            other => panic!("byte {at}: {other:?}"),
        };
        let mut sources: Vec<_> = found.iter().map(source).collect();
        sources.sort_unstable();
        assert_eq!(sources, ["outside", "the catalogue"], "byte {at}");
    });
}

#[test]
fn the_end_that_the_daemon_goes_on_from() {
    let log = Log::new();
    each(0..log.end.as_ref().unwrap().len(), |at| {
        let mut log = log.clone();
        log.end.as_mut().unwrap()[at] ^= 1;
        let wrong = AuditFinding::WrongEnd { last: 200 };
        assert_found(&log.audit(), &[wrong], &format!("byte {at}"));
    });
}

/// A log whose key changes with record 120.
fn rotated(vouched: bool) -> Log {
    let [old, new] = keys();
    let mut writer = Writer::new(old);
    writer.write_all((1..120).map(draft));
    let word = Draft::new(7, Event::LogKey, Outcome::Done).with("vkey", new.vkey());
    writer.write(&word);
    if vouched {
        let note = writer.signer.sign(&writer.chain);
        writer.log.stored.push(note);
    }
    writer.signer = new;
    writer.write_all((121..=200).map(draft));
    writer.log()
}

#[test]
fn a_key_hands_over_to_another() {
    let log = rotated(true);
    let report = log.audit();
    assert_found(&report, &[], "handed over");
    assert_eq!((report.confirmed, report.unchecked), (200, 0));
    assert_eq!(report.key, Some(keys()[1].vkey()));
    assert_found(&log.audit_with(vec![]), &[], "the first record's key");
}

#[test]
fn a_new_key_must_be_vouched_for() {
    let log = rotated(false);
    let report = log.audit();
    let not_vouched = AuditFinding::NotVouched { seq: 120 };
    assert_found(&report, &[not_vouched], "not vouched for");
    assert_eq!(report.confirmed, 100, "what the old key signed");
    assert_found(&log.audit_with(trusted(&keys())), &[], "known by itself");
}

#[test]
fn a_key_that_has_handed_over_signs_no_more() {
    let mut log = rotated(true);
    let [old, _] = keys();
    let mut chain = Chain::new();
    for row in &log.rows[..130] {
        chain.continue_with(&row.record);
    }
    log.outside.push(old.sign(&chain));
    let bad = AuditFinding::BadCheckpoint {
        size: Some(130),
        source_name: "outside".into(),
        reason: "it is not signed by a key that is known".into(),
    };
    assert_found(&log.audit(), &[bad], "the old key");
}

/// The head right after the change may be signed by either key.
#[test]
fn the_head_of_a_change_of_keys() {
    let mut log = rotated(true);
    log.rows.truncate(120);
    let mut chain = Chain::new();
    for row in &log.rows {
        chain.continue_with(&row.record);
    }
    (log.stored, log.outside) = (log.stored[..2].to_vec(), log.outside[..2].to_vec());
    for signer in keys() {
        log.head = Some(signer.sign(&chain));
        log.end = Some(chain.to_bytes());
        assert!(
            log.stored.iter().any(|note| note.contains("\n120\n")),
            "vouched for"
        );
        assert_found(&log.audit(), &[], "120 records");
    }
}

/// The daemon found its end damaged, took the rows as they were, and went on.
#[test]
fn a_log_that_went_on_after_damage() {
    let log = Log::new();
    each([1, 20, 120, 198], |at| {
        for gone in [false, true] {
            let mut writer = Writer::new(keys().into_iter().next().unwrap());
            let mut damaged = Log {
                stored: log.stored.clone(),
                ..log.clone()
            };
            damaged.rows[at].record[40] ^= 1;
            for (place, row) in damaged.rows.iter().enumerate() {
                if gone && place == at {
                    writer.chain.skip();
                } else {
                    writer.chain.continue_with(&row.record);
                }
            }
            if gone {
                damaged.rows.remove(at);
            }
            writer.log = damaged;
            let word = Draft::new(7, Event::LogKey, Outcome::Failed);
            writer.write(&word.with("vkey", keys()[0].vkey()));
            writer.write_all((202..=260).map(draft));
            let report = writer.log().audit();
            let seq = at as u64 + 1;
            let (first, last) = (seq, seq);
            let damage = if gone {
                AuditFinding::Missing { first, last }
            } else {
                AuditFinding::Changed { seq }
            };
            let interrupted = AuditFinding::Interrupted { seq: 201 };
            assert_found(&report, &[damage, interrupted], &format!("{at}, {gone}"));
            assert_eq!(report.confirmed, 260);
        }
    });
}

#[test]
fn without_any_key_no_signature_is_checked() {
    let log = Log::with(200, |seq| draft(if seq == 1 { 5 } else { seq }));
    assert_found(&log.audit_with(vec![]), &[AuditFinding::NoKey], "no key");
    let signer = Signer::new("tsuwaroku/other", [1; 32]).unwrap();
    let found = log.audit_with(trusted(&[signer])).findings;
    assert!(
        found.contains(&AuditFinding::BadHead {
            last: 200,
            reason: "it is not signed by a key that is known".into(),
        }),
        "the same key under another name is another key: {found:?}"
    );
}
