//! Requests about the audit log.

use super::*;

/// R3.2, R9.1: the roles of the log, each with each request; a refusal is in the log.
#[test]
fn roles_decide_who_reads_verifies_and_signs() {
    // read, verify, checkpoint, rotate
    let table = [
        ("chief", [true, true, true, false]),
        ("officer", [true, true, true, true]),
        ("manager", [false, true, true, false]),
        ("clerk", [false, false, false, false]),
        ("stranger", [false, false, false, false]),
    ];
    for (account, expected) in table {
        let daemon = Daemon::start(account);
        let client = daemon.client();
        let answers: [Result<(), ClientError>; 4] = [
            daemon.list(&LogRequest::default()).map(drop),
            daemon.verify(&LogVerifyRequest::default()).map(drop),
            client
                .post::<_, LogCheckpoint>(LOG_CHECKPOINT, &())
                .map(drop),
            client.post::<_, LogRotated>(LOG_ROTATE, &()).map(drop),
        ];
        for (answer, expected) in answers.iter().zip(expected) {
            assert_eq!(answer.is_ok(), expected, "{account}: {answer:?}");
            if let Err(error) = answer {
                assert_eq!(status_of(error), 403, "{account}");
            }
        }
        let records = daemon.records().into_iter();
        let refused = records.filter(|record| record.result == Outcome::Refused);
        let refused: Vec<_> = refused.map(|record| record.actor.unwrap().name).collect();
        let allowed = expected.iter().filter(|it| **it).count();
        assert_eq!(refused, vec![account; 4 - allowed]);
    }
}

/// R3.2, R8.1: whoever reads the log is in it, with what was asked for.
#[test]
fn to_read_the_log_is_logged() {
    let daemon = Daemon::start("officer");
    let request = LogRequest {
        person: Some("sato".into()),
        event: Some(Event::Open),
        ..LogRequest::default()
    };
    assert_eq!(daemon.list(&request).unwrap(), (vec![], false));
    let (records, more) = daemon.list(&LogRequest::default()).unwrap();
    assert!(!more);
    let events: Vec<_> = records.iter().filter_map(|record| record.event).collect();
    assert_eq!(events, [Event::LogRead, Event::Clock, Event::LogBegun]);
    let read = &records[0];
    assert_eq!(read.actor.as_ref().unwrap().uid, UID);
    let facts: Vec<_> = read
        .facts
        .iter()
        .map(|(name, text)| (&**name, &**text))
        .collect();
    assert_eq!(facts, [("event", "open"), ("person", "sato")]);
}

/// More records than are looked through at a time; the newest first, and no more than asked for.
#[test]
fn old_records_are_found_and_a_limit_is_kept() {
    let daemon = Daemon::start("officer");
    let recording = Ulid::from_parts(1_795_396_530_250, 5);
    let catalogue = &daemon.device.catalogue;
    for at in 0..2500_i64 {
        let draft = Draft::new(at, Event::List, Outcome::Done);
        let draft = match at {
            3 | 1700 | 2400 => draft.on(recording).of_number("06-6458-1132"),
            _ => draft,
        };
        catalogue.log_later(draft);
    }
    catalogue
        .log(Draft::new(0, Event::Started, Outcome::Done))
        .unwrap();
    let found = |set: &dyn Fn(&mut LogRequest)| {
        let mut request = LogRequest::default();
        set(&mut request);
        let (records, more) = daemon.list(&request).unwrap();
        let numbers: Vec<u64> = records.iter().map(|record| record.seq).collect();
        (numbers, more)
    };
    let of_number = |it: &mut LogRequest| it.number = Some("06-6458-1132".into());
    assert_eq!(found(&of_number), (vec![2403, 1703, 6], false));
    assert_eq!(
        found(&|it| it.recording = Some(recording)),
        (vec![2403, 1703, 6], false)
    );
    let two = |it: &mut LogRequest| {
        of_number(it);
        it.limit = Some(2);
    };
    assert_eq!(found(&two), (vec![2403, 1703], true));
    let (usual, more) = found(&|it| it.event = Some(Event::List));
    assert_eq!((usual.len(), usual[0], more), (100, 2502, true));
    let (all, more) = found(&|it| {
        it.event = Some(Event::List);
        it.limit = Some(9999);
    });
    assert_eq!((all.len(), more), (2500, false));
}

/// R5.2: a verification is logged with what it found, and a changed record is found by its number.
#[test]
fn a_changed_record_is_found_and_the_finding_is_logged() {
    let daemon = Daemon::start("manager");
    for at in 0..10 {
        let draft = Draft::new(at, Event::Find, Outcome::Done);
        daemon.device.catalogue.log(draft).unwrap();
    }
    let good = daemon.checkpoint();
    let (verified, findings) = daemon.verify(&LogVerifyRequest::default()).unwrap();
    assert_eq!((findings, verified.findings), (vec![], 0));
    assert_eq!((verified.records, verified.confirmed), (13, 13));
    assert!(!verified.key_given);
    let logged = daemon.last_record();
    assert_eq!(
        (logged.event, logged.result),
        (Event::LogVerified, Outcome::Done)
    );
    assert_eq!(logged.facts["findings"], "0");

    change_record(&daemon.database(), 5);
    let request = LogVerifyRequest {
        keys: vec![good.key],
        checkpoints: vec![OutsideNote {
            source: "paper".into(),
            note: good.note,
        }],
    };
    let (verified, findings) = daemon.verify(&request).unwrap();
    assert_eq!(findings, [AuditFinding::Changed { seq: 5 }]);
    assert!(verified.key_given);
    assert_eq!((verified.findings, verified.outside), (1, 1));
    let logged = daemon.last_record();
    assert_eq!(logged.facts["findings"], "1");
    assert!(logged.facts["first"].contains("record 5"), "{logged:?}");
}

#[test]
fn a_checkpoint_covers_who_asked_for_it_and_reaches_the_outside() {
    let daemon = Daemon::start("officer");
    let issued = daemon.checkpoint();
    let key = VerifyingKey::parse(&issued.key).unwrap();
    let checkpoint = Checkpoint::open(&issued.note, &[key]).unwrap();
    assert_eq!(checkpoint.size, issued.records);
    let asked = daemon.last_record();
    assert_eq!((asked.seq, asked.event), (issued.records, Event::Control));
    assert_eq!(asked.facts["action"], "checkpoint");
    let outside = std::fs::read_to_string(daemon.notes()).unwrap();
    assert!(outside.contains(&issued.note), "{outside}");
    let again = daemon.checkpoint();
    // One that was logged to see the last one, and the one of who asks.
    assert_eq!(again.records, issued.records + 2);

    let status: Status = daemon.client().get(api::STATUS, &()).unwrap();
    assert_eq!(status.log.records, again.records);
    let last = status.log.checkpoint.clone().unwrap();
    assert_eq!((last.records, last.at), (again.records, again.at));
    assert!(!status.needs_attention());
}

#[test]
fn a_file_that_gets_no_checkpoints_needs_attention() {
    let daemon = Daemon::start("officer");
    std::fs::remove_dir(daemon.notes().parent().unwrap()).unwrap();
    daemon.checkpoint();
    let status: Status = daemon.client().get(api::STATUS, &()).unwrap();
    assert!(status.needs_attention());
    let file = daemon.notes().display().to_string();
    assert_eq!(status.log.troubles[0].file, file);
    std::fs::create_dir(daemon.notes().parent().unwrap()).unwrap();
    daemon.checkpoint();
    let status: Status = daemon.client().get(api::STATUS, &()).unwrap();
    assert!(!status.needs_attention());
}

/// The new key signs from the record on that names it, and the old one has vouched for it.
#[test]
fn a_new_key_is_vouched_for() {
    let daemon = Daemon::start("officer");
    let before = daemon.checkpoint();
    let rotated: LogRotated = daemon.client().post(LOG_ROTATE, &()).unwrap();
    let named = daemon.records().remove(rotated.record as usize - 1);
    assert_eq!(
        (named.event, &named.facts["vkey"]),
        (Event::LogKey, &rotated.key)
    );
    assert_eq!(named.actor.unwrap().name, "officer");
    let key = |text: &str| VerifyingKey::parse(text).unwrap();
    assert!(Checkpoint::open(&rotated.note, &[key(&before.key)]).is_ok());
    let outside = std::fs::read_to_string(daemon.notes()).unwrap();
    assert!(outside.contains(&rotated.note), "{outside}");

    let after = daemon.checkpoint();
    assert_eq!(after.key, rotated.key);
    assert!(Checkpoint::open(&after.note, &[key(&before.key)]).is_err());
    let notes = [before.note, rotated.note, after.note];
    let request = LogVerifyRequest {
        keys: vec![before.key],
        checkpoints: notes
            .map(|note| OutsideNote {
                source: "paper".into(),
                note,
            })
            .into(),
    };
    let (verified, findings) = daemon.verify(&request).unwrap();
    assert_eq!(findings, []);
    assert_eq!((verified.outside, verified.key), (3, Some(rotated.key)));
}

/// A log of which the end is gone is not signed as if it were whole.
#[test]
fn a_log_that_was_cut_is_not_signed() {
    let daemon = Daemon::start("officer");
    add_checkpoint(&daemon.database(), 99);
    let signed = daemon
        .client()
        .post::<_, LogCheckpoint>(LOG_CHECKPOINT, &());
    let error = signed.unwrap_err().to_string();
    assert!(error.contains("audit verify"), "{error}");
}

#[test]
fn what_is_not_understood_is_refused_and_says_why() {
    let daemon = Daemon::start("officer");
    let client = daemon.client();
    let wrong_event = [("event", "opend")];
    let error = client
        .get_lines(LOG, &wrong_event, |_: LogEvent| true)
        .unwrap_err();
    assert_eq!(status_of(&error), 400);
    assert!(error.to_string().contains("opend"), "{error}");
    let request = LogVerifyRequest {
        keys: vec!["nonsense".into()],
        ..LogVerifyRequest::default()
    };
    let error = daemon.verify(&request).unwrap_err();
    assert_eq!(status_of(&error), 400);
    assert!(error.to_string().contains("nonsense"), "{error}");
}

/// A year of checkpoints does not fit into the body of any other request.
#[test]
fn many_checkpoints_may_be_brought_by_who_may_verify() {
    let many = |daemon: &Daemon| {
        let issued = daemon.device.checkpoints.issue().unwrap().unwrap();
        let one = OutsideNote {
            source: "stick".into(),
            note: issued.note,
        };
        LogVerifyRequest {
            keys: vec![],
            checkpoints: vec![one; 20_000],
        }
    };
    let officer = Daemon::start("officer");
    let (verified, findings) = officer.verify(&many(&officer)).unwrap();
    assert_eq!((findings, verified.outside), (vec![], 20_000));
    let clerk = Daemon::start("clerk");
    let refused = clerk.verify(&many(&clerk));
    assert!(refused.is_err());
}

/// Every name that goes over the socket about the log is described in tsuwaroku-control(7).
#[test]
fn the_page_describes_every_name() {
    let page = include_str!("../../../../man/tsuwaroku-control.7");
    let headings = page.lines().filter_map(|line| line.strip_prefix(".It Ic "));
    let described: Vec<&str> = headings.flat_map(|it| it.split(" , ")).collect();
    let inline = |name: &str| page.contains(&format!("\n.Ic {name}"));
    let daemon = Daemon::start("officer");
    let issued = daemon.checkpoint();
    let rotated: LogRotated = daemon.client().post(LOG_ROTATE, &()).unwrap();
    let status: Status = daemon.client().get(api::STATUS, &()).unwrap();
    let (records, _) = daemon.list(&LogRequest::default()).unwrap();
    let (verified, _) = daemon.verify(&LogVerifyRequest::default()).unwrap();
    let answers = [
        serde_json::to_value(&issued),
        serde_json::to_value(&rotated),
        serde_json::to_value(&status.log),
        serde_json::to_value(&status.log.checkpoint),
        serde_json::to_value(&records[0]),
        serde_json::to_value(&records[0].actor),
        serde_json::to_value(&verified),
        serde_json::to_value(LogVerifyRequest::default()),
    ];
    for answer in answers {
        for name in answer.unwrap().as_object().unwrap().keys() {
            assert!(described.contains(&&**name) || inline(name), "{name}");
        }
    }
}
