use super::*;
use crate::control::api::life::ListedJump;
use chrono::{DateTime, Utc};
use ulid::Ulid;

const ZONE: Tz = Tz::Asia__Tokyo;
const BOTH: [Speech; 2] = [Speech::English, Speech::Japanese];

fn id(n: u128) -> Ulid {
    Ulid::from_parts(1_795_396_530_250, n)
}

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn hold() -> ListedHold {
    ListedHold {
        hold: 3,
        recording: None,
        number: Some("06-6458-1132".into()),
        from: Some(time("2026-11-22T15:00:00Z")),
        to: Some(time("2026-11-23T15:00:00Z")),
        of_party: true,
        other_party: Some("0312345678".into()),
        ground: "係争中\u{1b}[2J".into(),
        until: Some("2027-03-31".parse().unwrap()),
        placed_at: time("2026-12-01T01:02:03Z"),
        placed_by: "sato".into(),
        in_force: true,
        released_at: None,
        released_by: None,
    }
}

fn plan(state: &str) -> ListedPlan {
    ListedPlan {
        plan: 4,
        wish: ListedWish::Erase(vec![id(1), id(2)]),
        ground: "ご本人の申出".into(),
        application: Some("消-12".into()),
        asked_at: time("2026-12-01T01:02:03Z"),
        asked_by: "sato".into(),
        state: state.into(),
        decided_at: None,
        decided_by: None,
        done_at: None,
    }
}

/// Whoever places a hold is told what it holds, and when it ends.
#[test]
fn a_placed_hold_says_what_it_holds() {
    let mut request = HoldRequest {
        recordings: vec![id(1)],
        ..HoldRequest::default()
    };
    let one = Placed {
        holds: vec![3],
        recordings: 1,
    };
    let said = placed(&one, &request, Speech::English);
    assert_eq!(
        said,
        "H3: 1 recording will not be erased until a release is approved.\n"
    );
    request.recordings.clear();
    request.until = Some("2027-03-31".parse().unwrap());
    let said = placed(&one, &request, Speech::English);
    assert_eq!(
        said,
        "H3: 1 recording, and what comes in later, will not be erased through 2027-03-31.\n"
    );
    let said = placed(&one, &request, Speech::Japanese);
    assert!(
        said.contains("今後の該当分") && said.contains("2027-03-31"),
        "{said}"
    );
}

#[test]
fn a_hold_is_listed_with_what_it_looks_for() {
    for speech in BOTH {
        let said = holds(&[hold()], ZONE, speech);
        for part in [
            "H3",
            "06-6458-1132",
            "2026-11-23 00:00:00",
            "2026-11-24 00:00:00",
            "0312345678",
            "係争中\\u{1b}[2J",
            "2027-03-31",
            "2026-12-01 10:02:03",
            "sato",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        let hidden = ListedHold {
            other_party: None,
            ..hold()
        };
        let said = holds(&[hidden], ZONE, speech);
        assert!(!said.contains("0312345678"), "{said}");
        let is_told = said.contains("(not shown)") || said.contains("非表示");
        assert!(is_told, "that it is narrower is told: {said}");
    }
    assert_eq!(holds(&[], ZONE, Speech::English), "No holds.\n");
}

#[test]
fn a_hold_that_is_over_says_how_it_ended() {
    let over = ListedHold {
        in_force: false,
        released_at: Some(time("2026-12-02T01:00:00Z")),
        ..hold()
    };
    let by_chief = ListedHold {
        released_by: Some("chief".into()),
        ..over.clone()
    };
    assert!(holds(&[over], ZONE, Speech::English).contains("ended by itself"));
    let said = holds(&[by_chief], ZONE, Speech::English);
    assert!(
        said.contains("released 2026-12-02 10:00:00, approved by chief"),
        "{said}"
    );
}

/// R9.1: whoever files a plan is told who can approve it, or that nobody can.
#[test]
fn a_filed_plan_says_who_may_approve_it() {
    let mut plan = Filed {
        plan: 4,
        approvers: vec!["chief".into(), "@heads".into()],
    };
    let said = filed(&plan, Speech::English);
    assert!(
        said.contains("chief, @heads") && said.contains("tsuwaroku approve P4"),
        "{said}"
    );
    assert!(filed(&plan, Speech::Japanese).contains("tsuwaroku approve P4"));
    plan.approvers.clear();
    assert!(filed(&plan, Speech::English).contains("NOBODY"));
    assert!(filed(&plan, Speech::Japanese).contains("承認できる人がほかにいません"));
}

/// Whoever approves sees what: each recording, up to a number that can be read.
#[test]
fn a_plan_is_listed_with_what_it_asks_for() {
    for speech in BOTH {
        let said = plans(&[plan("waiting")], ZONE, speech);
        for part in [
            "P4",
            "2026-12-01 10:02:03",
            "sato",
            &id(1).to_string(),
            &id(2).to_string(),
            "ご本人の申出",
            "消-12",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
    let many = ListedPlan {
        wish: ListedWish::Erase((0..25).map(id).collect()),
        ..plan("waiting")
    };
    let said = plans(&[many], ZONE, Speech::English);
    assert!(said.contains("and 5 more (--json)"), "{said}");
    let decided = ListedPlan {
        decided_at: Some(time("2026-12-02T01:00:00Z")),
        decided_by: Some("chief".into()),
        ..plan("declined")
    };
    let said = plans(&[decided], ZONE, Speech::English);
    assert!(said.contains("declined"), "{said}");
    assert!(
        said.contains("(decided 2026-12-02 10:00:00, chief)"),
        "{said}"
    );
}

#[test]
fn a_clock_that_is_to_be_believed_says_how_far_it_is_off() {
    let wish = |ahead_seconds| {
        let kind = JumpKind::Behind;
        wish(
            &ListedWish::Clock(ListedJump {
                kind,
                ahead_seconds,
            }),
            Speech::English,
        )
    };
    assert_eq!(wish(86_400.4), "the clock is right\n(ahead by 86400 s)");
    assert_eq!(wish(-60.0), "the clock is right\n(behind by 60 s)");
}

/// R6.4: what was not erased stands out, and why.
#[test]
fn an_approval_says_what_became_of_each_recording() {
    let one = |n, outcome: &str, hold| ErasedOne {
        recording: id(n),
        outcome: outcome.into(),
        hold,
    };
    let mut all = ErasedAll {
        recordings: vec![one(1, "erased", None), one(2, "held", Some(3))],
        unfinished: None,
    };
    let said = carried_out(4, &CarriedOut::Erased(all.clone()), Speech::English);
    assert!(said.contains(&format!("{}  erased\n", id(1))), "{said}");
    assert!(
        said.contains(&format!("{}  HELD, not erased: H3\n", id(2))),
        "{said}"
    );
    assert!(
        said.contains("P4 is approved: 1 recording erased"),
        "{said}"
    );
    assert!(said.contains("1 recording NOT ERASED"), "{said}");
    assert!(!is_all_done(&CarriedOut::Erased(all.clone())));
    let said = carried_out(4, &CarriedOut::Erased(all.clone()), Speech::Japanese);
    assert!(
        said.contains("消去停止中： H3") && said.contains("1 件は消去していません"),
        "{said}"
    );
    all.recordings.pop();
    assert!(is_all_done(&CarriedOut::Erased(all.clone())));
    all.unfinished = Some("a tier is missing".into());
    assert!(!is_all_done(&CarriedOut::Erased(all.clone())));
    let said = carried_out(4, &CarriedOut::Erased(all), Speech::English);
    assert!(
        said.contains("NOT ALL of it is removed: a tier is missing"),
        "{said}"
    );
    let said = carried_out(4, &CarriedOut::Released(3), Speech::English);
    assert_eq!(said, "P4 is approved: H3 is released.\n");
}

#[test]
fn a_frozen_clock_says_why_and_what_to_do() {
    let mut status = ClockStatus {
        day: "2026-11-23".parse().unwrap(),
        wall: time("2027-11-23T01:00:00Z"),
        own: time("2026-11-23T01:00:00Z"),
        ahead_seconds: 31_536_000.0,
        synchronised: true,
        frozen: Some(Frozen {
            kind: JumpKind::WhileRunning,
            own: time("2026-11-23T00:00:00Z"),
            wall: time("2027-11-23T00:00:00Z"),
        }),
    };
    for speech in BOTH {
        let said = clock(&status, ZONE, speech);
        for part in [
            "2026-11-23",
            "2027-11-23 10:00:00",
            "2026-11-23 10:00:00",
            "31536000",
            "tsuwaroku clock confirm",
            "2027-11-23 09:00:00",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
    status.frozen = None;
    let said = clock(&status, ZONE, Speech::English);
    assert!(said.contains("good") && !said.contains("confirm"), "{said}");
}
