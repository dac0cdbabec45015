//! Holds, plans and the clock as the service meets whoever asks: what a role opens, what two persons do,
//! and what makes no sense. With recordings all of it is tested from outside, on a mount.

use super::super::api::life::*;
use super::super::api::sweep::*;
use super::*;
use crate::clock::own::JumpKind;
use crate::rights::Actor;
use chrono::NaiveDate;
use serde_json::{Value, json};

/// Nanoseconds of a year.
const YEAR: i64 = 365 * 86_400_000_000_000;

fn get(daemon: &Daemon, path: &str) -> Result<(), ClientError> {
    daemon.client().get::<_, Value>(path, &()).map(drop)
}

fn post(daemon: &Daemon, path: &str, request: &Value) -> Result<(), ClientError> {
    daemon.client().post::<_, Value>(path, request).map(drop)
}

/// Whether the service let the request through its gate.
fn passes(answer: &Result<(), ClientError>) -> bool {
    match answer {
        Ok(()) | Err(ClientError::Garbled(_)) => true,
        Err(ClientError::Refused(problem)) => problem.status != 403,
        Err(error @ ClientError::NoDaemon { .. }) => panic!("{error}"),
    }
}

/// R9.1: staff hold and ask, administrators decide as well, device managers sweep, all see.
#[test]
fn roles_decide_who_holds_asks_approves_and_sweeps() {
    // holds, plans, show, due, sweep, clock, hold, erase, release, confirm, approve, decline
    let table = [
        ("chief", [true; 12]),
        (
            "officer",
            [
                true, true, true, true, false, true, false, false, false, false, false, false,
            ],
        ),
        (
            "manager",
            [
                true, true, true, true, true, true, false, false, false, true, false, false,
            ],
        ),
        (
            "clerk",
            [
                true, true, true, false, false, true, true, true, true, false, false, false,
            ],
        ),
        ("stranger", [false; 12]),
    ];
    let id = Ulid::from_parts(1_795_396_530_250, 5);
    let ask = |wish: Value| json!({ "wish": wish, "ground": "x" });
    for (account, expected) in table {
        let daemon = Daemon::start(account);
        let answers = [
            get(&daemon, HOLDS),
            get(&daemon, PLANS),
            get(&daemon, &RECORDING.replace("{id}", &id.to_string())),
            get(&daemon, SWEEP),
            daemon.client().post_lines(SWEEP, &(), |_: SweepEvent| true),
            get(&daemon, CLOCK),
            post(
                &daemon,
                HOLDS,
                &json!({ "recordings": [id], "ground": "x" }),
            ),
            post(&daemon, PLANS, &ask(json!({ "erase": [id] }))),
            post(&daemon, PLANS, &ask(json!({ "release": 1 }))),
            post(&daemon, PLANS, &ask(json!("clock"))),
            daemon
                .client()
                .post_lines(APPROVE, &json!({ "plan": 1 }), |_: ApproveEvent| true),
            post(&daemon, DECLINE, &json!({ "plan": 1, "ground": "x" })),
        ];
        for (number, (answer, expected)) in answers.iter().zip(expected).enumerate() {
            assert_eq!(passes(answer), expected, "{account}, {number}: {answer:?}");
        }
        let refused = daemon.records().into_iter().filter(|record| {
            let reason = record.facts.get("reason").map_or("", String::as_str);
            record.result == Outcome::Refused && reason.contains("role")
        });
        let closed = expected.iter().filter(|it| !**it).count();
        assert_eq!(refused.count(), closed, "{account}: each is in the log");
    }
}

/// Somebody of the office.
fn person(uid: u32, name: &str) -> Actor {
    let account = Account {
        uid,
        name: name.into(),
        groups: vec![0],
    };
    Actor {
        account: Arc::new(account),
        gid: 0,
        pid: None,
    }
}

fn ask(wish: Wanted) -> PlanRequest {
    PlanRequest {
        wish,
        ground: "NTP was off".into(),
        application: None,
    }
}

#[track_caller]
fn refusal_of(event: ApproveEvent) -> (u16, String) {
    match event {
        ApproveEvent::Refused(problem) => (problem.status, problem.kind),
        done @ ApproveEvent::Done(_) => panic!("{done:?}"),
    }
}

/// The clock jumps by a year: nothing goes by it until one person says that it is right and another one
/// approves that.
#[test]
fn a_jump_of_the_clock_takes_two_persons() {
    let daemon = Daemon::start("manager");
    let (device, begun) = (&daemon.device, now());
    assert!(!device.clock().ahead_seconds.is_nan() && device.clock().frozen.is_none());
    let early = device.ask(&person(13, "manager"), &ask(Wanted::Clock));
    assert_eq!(early.unwrap_err().kind, "urn:tsuwaroku:clock-not-frozen");

    let mut jumped = reading(begun + YEAR);
    jumped.boot = begun + 1;
    assert!(!device.life.tick(jumped).unwrap(), "no sweep is due");
    let clock = device.clock();
    let jump = clock.frozen.unwrap();
    assert_eq!(jump.kind, JumpKind::WhileRunning);
    assert!(clock.ahead_seconds > 364.0 * 86_400.0, "{clock:?}");
    let status = device.life_status().unwrap();
    assert!(status.needs_attention());
    assert_eq!((status.frozen, status.day), (Some(jump), clock.day));

    let filed = device
        .ask(&person(13, "manager"), &ask(Wanted::Clock))
        .unwrap();
    assert_eq!(filed.approvers, ["chief"]);
    assert_eq!(device.life_status().unwrap().waiting_plans, 1);
    let plan = ApproveRequest { plan: filed.plan };
    let own = device.approve(&person(13, "manager"), plan);
    assert_eq!(refusal_of(own), (403, "urn:tsuwaroku:own-plan".into()));
    let last = daemon.last_record();
    assert_eq!(
        (last.event, last.result),
        (Event::Control, Outcome::Refused)
    );
    assert_eq!(last.facts["action"], "approve");

    let other = device.approve(&person(11, "chief"), plan);
    assert_eq!(other, ApproveEvent::Done(CarriedOut::Clock));
    let clock = device.clock();
    assert_eq!((clock.frozen, clock.ahead_seconds), (None, 0.0));
    assert!(clock.day > status.day);
    let again = device.approve(&person(11, "chief"), plan);
    assert_eq!(refusal_of(again), (409, "urn:tsuwaroku:decided".into()));
}

/// A plan that is declined stays so, and the log has why.
#[test]
fn a_declined_plan_is_not_carried_out() {
    let daemon = Daemon::start("manager");
    let device = &daemon.device;
    let (manager, chief) = (person(13, "manager"), person(11, "chief"));
    let mut jumped = reading(now() + YEAR);
    jumped.boot = now();
    device.life.tick(jumped).unwrap();
    let plan = device.ask(&manager, &ask(Wanted::Clock)).unwrap().plan;
    let mut request = DeclineRequest {
        plan,
        ground: " ".into(),
    };
    assert_eq!(device.decline(&chief, &request).unwrap_err().status, 400);
    request.ground = "it is not right".into();
    let declined = device.decline(&chief, &request).unwrap();
    assert_eq!(
        (&*declined.state, declined.decided_by.as_deref()),
        ("declined", Some("chief"))
    );
    let records = daemon.device.catalogue.log_records(1, 100).unwrap();
    let told = records.iter().any(|row| {
        let private = row.private.as_deref().unwrap_or_default();
        String::from_utf8_lossy(private).contains("it is not right")
    });
    assert!(told);
    let late = device.approve(&chief, ApproveRequest { plan });
    assert_eq!(refusal_of(late).0, 409);
    assert!(device.clock().frozen.is_some());
    let waiting = device.plans(&chief, ListRequest { all: false }).unwrap();
    assert_eq!(waiting, []);
    let all = device.plans(&chief, ListRequest { all: true }).unwrap();
    assert_eq!(all, [declined]);
    // Neither theirs nor of a line of theirs.
    let clerk = device.plans(&person(4, "clerk"), ListRequest { all: true });
    assert_eq!(clerk.unwrap(), []);
}

/// A hold by what to look for is in force for what comes in, and is seen as far as one may.
#[test]
fn a_hold_is_placed_listed_and_released_by_two() {
    let daemon = Daemon::start("clerk");
    let device = &daemon.device;
    let (clerk, chief) = (person(4, "clerk"), person(11, "chief"));
    device.catalogue.designate("06-6458-1132").unwrap();
    let request = HoldRequest {
        number: Some("06-6458-1132".into()),
        other_party: Some("0312345678".into()),
        ground: "a dispute".into(),
        ..HoldRequest::default()
    };
    let placed = device.hold(&clerk, &request).unwrap();
    assert_eq!((&*placed.holds, placed.recordings), (&[1][..], 0));
    let holds = |who: &Actor, all| device.holds(who, ListRequest { all }).unwrap();
    let seen = holds(&clerk, false);
    assert_eq!(seen[0].other_party.as_deref(), Some("0312345678"));
    assert_eq!(
        (&*seen[0].ground, &*seen[0].placed_by),
        ("a dispute", "clerk")
    );
    // The manager may not search for who called.
    let seen = holds(&person(13, "manager"), false);
    assert_eq!((seen[0].of_party, &seen[0].other_party), (true, &None));
    // A clerk of another line.
    let mut other = person(6, "clerk");
    Arc::get_mut(&mut other.account).unwrap().groups.clear();
    Arc::get_mut(&mut other.account).unwrap().name = "other".into();
    assert_eq!(holds(&other, true), []);
    let denied = device.hold(&other, &request).unwrap_err();
    assert_eq!(denied.status, 403);

    let release = device.ask(&clerk, &ask(Wanted::Release(1))).unwrap();
    let done = device.approve(&chief, ApproveRequest { plan: release.plan });
    assert_eq!(done, ApproveEvent::Done(CarriedOut::Released(1)));
    assert_eq!(holds(&clerk, false), []);
    let over = holds(&clerk, true);
    assert_eq!(over[0].released_by.as_deref(), Some("chief"));
    let again = device.ask(&clerk, &ask(Wanted::Release(1))).unwrap_err();
    assert_eq!(again.kind, "urn:tsuwaroku:no-such-hold");
}

type Spoil = fn(&mut HoldRequest);

#[test]
fn a_hold_that_makes_no_sense_is_not_placed() {
    let daemon = Daemon::start("clerk");
    let clerk = person(4, "clerk");
    let time = |text: &str| Some(text.parse().unwrap());
    let good = HoldRequest {
        from: time("2026-11-23T00:00:00Z"),
        ground: "x".into(),
        ..HoldRequest::default()
    };
    let cases: [(&str, Spoil); 5] = [
        ("neither recordings nor a search", |it| it.from = None),
        ("both", |it| it.recordings = vec![Ulid::from_parts(1, 1)]),
        ("a period that ends first", |it| it.to = it.from),
        ("a day that is over", |it| {
            it.until = NaiveDate::from_ymd_opt(2000, 1, 1);
        }),
        ("no ground", |it| it.ground = " ".into()),
    ];
    for (what, spoil) in cases {
        let mut request = good.clone();
        spoil(&mut request);
        let refused = daemon.device.hold(&clerk, &request).unwrap_err();
        assert_eq!(refused.status, 400, "{what}: {refused:?}");
        assert_eq!(daemon.device.catalogue.holds().unwrap(), [], "{what}");
    }
    let unknown = HoldRequest {
        number: Some("06-0000-0000".into()),
        ..good.clone()
    };
    let refused = daemon.device.hold(&clerk, &unknown).unwrap_err();
    assert_eq!(refused.kind, "urn:tsuwaroku:no-such-number");
    assert!(daemon.device.hold(&clerk, &good).is_ok());
}

/// Every name that goes over the socket about the life of recordings is in tsuwaroku-control(7).
#[test]
fn the_page_describes_every_name_of_the_life() {
    let page = include_str!("../../../../man/tsuwaroku-control.7");
    let code = [
        include_str!("../api/life.rs"),
        include_str!("../api/sweep.rs"),
    ];
    let fields = code
        .iter()
        .flat_map(|code| code.lines())
        .map(str::trim)
        .filter_map(|line| {
            let (name, _) = line.strip_prefix("pub ")?.split_once(": ")?;
            name.chars()
                .all(|c| c.is_ascii_lowercase() || c == '_')
                .then_some(name)
        });
    let named = |name: &str| {
        let marks = page.lines().filter_map(|line| line.split_once("Ic "));
        marks
            .flat_map(|(_, names)| names.split([' ', ',']))
            .any(|one| one == name)
    };
    let mut seen = 0;
    for field in fields {
        // What serde calls otherwise.
        let name = match field {
            "moves" => "move",
            "found" => continue,
            name => name,
        };
        assert!(named(name), "{name}");
        seen += 1;
    }
    assert!(seen > 60, "{seen}");
}
