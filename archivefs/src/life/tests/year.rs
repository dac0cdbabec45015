//! Four hundred days of an office against a model that knows nothing of how it is done: recordings come
//! in, are held, released and erased on request, and the process ends at random steps. Each day what is
//! shown, what lies in which tier and what is erased must be the model's.

use super::*;
use crate::store::fault;
use chrono::{Datelike, NaiveDate, TimeDelta};
use std::collections::BTreeMap;

const DAYS: usize = 400;
const CALLS_A_DAY: u64 = 5;
const LINES: [&str; 2] = [LINE, "06-6458-7160"];
/// Months in the primary and in the secondary tier, of each line.
const MONTHS: [[u32; 2]; 2] = [[3, 2], [1, 4]];
const PARTIES: [Option<&str>; 4] = [
    None,
    Some("0312345678"),
    Some("0312345999"),
    Some("0698765432"),
];

/// The same each time (`SplitMix64`: Steele, Lea, Flood 2014).
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ z >> 31) % sides
    }
}

/// The last of `months` months whose first day, `first`, counts (Civil Code, Art. 143).
fn last_day(first: NaiveDate, months: u32) -> NaiveDate {
    let month = first.year() * 12 + first.month0() as i32 + months as i32;
    let (year, month) = (month.div_euclid(12), month.rem_euclid(12) as u32 + 1);
    match NaiveDate::from_ymd_opt(year, month, first.day()) {
        Some(corresponding) => corresponding - TimeDelta::days(1),
        None => (28..=31)
            .filter_map(|day| NaiveDate::from_ymd_opt(year, month, day))
            .next_back()
            .unwrap(),
    }
}

/// A recording as the model knows it.
#[derive(Debug, Clone)]
struct Known {
    line: usize,
    party: Option<&'static str>,
    last_primary: NaiveDate,
    last: NaiveDate,
    tier: Tier,
    erased: bool,
}

/// A hold as the model knows it.
#[derive(Debug, Clone)]
struct KnownHold {
    id: HoldId,
    of: Held,
    until: Option<NaiveDate>,
    released: bool,
}

#[derive(Debug, Clone)]
enum Held {
    One(Ulid),
    Line(usize, i64, i64),
    Party(&'static str),
}

#[derive(Default)]
struct Model {
    recordings: BTreeMap<Ulid, Known>,
    holds: Vec<KnownHold>,
}

impl Model {
    fn add(&mut self, id: Ulid, line: usize, party: Option<&'static str>, call: NaiveDate) {
        let first = call + TimeDelta::days(1);
        let last_primary = last_day(first, MONTHS[line][0]);
        let last = last_day(last_primary + TimeDelta::days(1), MONTHS[line][1]);
        let known = Known {
            line,
            party,
            last_primary,
            last,
            tier: Tier::Primary,
            erased: false,
        };
        self.recordings.insert(id, known);
    }

    fn is_held(&self, id: Ulid, one: &Known, today: NaiveDate) -> bool {
        self.holds.iter().any(|hold| {
            let covers = match &hold.of {
                Held::One(other) => *other == id,
                Held::Line(line, from, to) => {
                    let at = id.timestamp_ms() as i64;
                    one.line == *line && (*from..*to).contains(&at)
                }
                Held::Party(wanted) => one.party.is_some_and(|party| party.starts_with(wanted)),
            };
            covers && !hold.released && hold.until.is_none_or(|until| today <= until)
        })
    }

    fn shown(&self, today: NaiveDate) -> Vec<Ulid> {
        let shows = |(id, one): &(&Ulid, &Known)| {
            !one.erased && (today <= one.last || self.is_held(**id, one, today))
        };
        self.recordings
            .iter()
            .filter(shows)
            .map(|(id, _)| *id)
            .collect()
    }

    /// What a whole sweep does.
    fn sweep(&mut self, today: NaiveDate) {
        let held: Vec<_> = self
            .recordings
            .iter()
            .map(|(id, one)| self.is_held(*id, one, today))
            .collect();
        for (one, held) in self.recordings.values_mut().zip(held) {
            if today > one.last && !held {
                one.erased = true;
            } else if today > one.last_primary {
                one.tier = Tier::Secondary;
            }
        }
    }

    fn in_tier(&self, tier: Tier) -> Vec<Ulid> {
        let rests = |(_, one): &(&Ulid, &Known)| !one.erased && one.tier == tier;
        self.recordings
            .iter()
            .filter(rests)
            .map(|(id, _)| *id)
            .collect()
    }

    fn erased(&self) -> impl Iterator<Item = Ulid> {
        self.recordings
            .iter()
            .filter(|(_, one)| one.erased)
            .map(|(id, _)| *id)
    }

    /// One of those that are shown.
    fn any(&self, today: NaiveDate, dice: &mut Dice) -> Option<Ulid> {
        let shown = self.shown(today);
        let at = dice.throw(shown.len().max(1) as u64) as usize;
        shown.get(at).copied()
    }
}

struct Year {
    world: World,
    model: Model,
    dice: Dice,
    ends: u32,
    refused: u32,
}

impl Year {
    fn today(&self) -> NaiveDate {
        let at = crate::call::time_of(self.world.now).with_timezone(&ZONE);
        at.date_naive()
    }

    fn calls(&mut self) {
        for n in 0..CALLS_A_DAY {
            let line = self.dice.throw(2) as usize;
            let party = PARTIES[self.dice.throw(4) as usize];
            let id = self.world.record(LINES[line], party, u128::from(n + 1)).id;
            let today = self.today();
            self.model.add(id, line, party, today);
            self.world.pass(3600 * SECOND);
        }
    }

    /// Something that people do, on one day of three.
    fn people(&mut self) {
        match self.dice.throw(12) {
            0 | 1 => self.hold(),
            2 => self.release(),
            3 => self.erase(),
            _ => {}
        }
    }

    fn hold(&mut self) {
        let today = self.today();
        let Some(id) = self.model.any(today, &mut self.dice) else {
            return;
        };
        let at = id.timestamp_ms() as i64;
        let line = self.model.recordings[&id].line;
        let number = self.world.catalogue().designate(LINES[line]).unwrap();
        let (of, scope) = match self.dice.throw(8) {
            0 => {
                let wanted = "03123459";
                let search = Search {
                    other_party: Some(wanted.into()),
                    ..Search::default()
                };
                (Held::Party(wanted), Scope::Search(search))
            }
            1 => {
                let end = at + 3 * A_DAY / 1_000_000;
                let search = Search {
                    number: Some(number),
                    start: Some(at..end),
                    ..Search::default()
                };
                (Held::Line(line, at, end), Scope::Search(search))
            }
            _ => (Held::One(id), Scope::Recording(id)),
        };
        let until =
            (self.dice.throw(2) == 0).then(|| today + TimeDelta::days(self.dice.throw(60) as i64));
        let day = until.map(|until| until.to_string().parse().unwrap());
        let id = self.world.hold_until(scope, day).unwrap();
        self.model.holds.push(KnownHold {
            id,
            of,
            until,
            released: false,
        });
    }

    fn release(&mut self) {
        let today = self.today();
        let in_force: Vec<_> = (0..self.model.holds.len())
            .filter(|&n| {
                let hold = &self.model.holds[n];
                !hold.released && hold.until.is_none_or(|until| today <= until)
            })
            .collect();
        let Some(&n) = in_force.first() else { return };
        let hold = &mut self.model.holds[n];
        self.world.done(Wish::Release(hold.id)).unwrap();
        hold.released = true;
    }

    /// On request, in a process that may end at any step.
    fn erase(&mut self) {
        let today = self.today();
        let Some(id) = self.model.any(today, &mut self.dice) else {
            return;
        };
        let held = self.model.is_held(id, &self.model.recordings[&id], today);
        let plan = match self.world.ask(Wish::Erase(vec![id])) {
            Ok(plan) => plan,
            Err(_) if held => {
                self.refused += 1;
                return;
            }
            Err(error) => panic!("{error}"),
        };
        assert!(!held, "R6.7: what is held is not even planned for");
        self.world
            .catalogue()
            .decide(self.world.now, plan, true, who(2))
            .unwrap();
        fault::kill_after(self.dice.throw(14) as u32);
        let _ = self.world.life().carry_out_approved(self.world.now);
        self.end();
        self.model.recordings.get_mut(&id).unwrap().erased = true;
    }

    /// The process ends if it has been killed, and the next one takes up its work.
    fn end(&mut self) -> bool {
        let was_killed = fault::revive();
        if was_killed {
            self.ends += 1;
            self.world.reopen();
        }
        was_killed
    }

    fn midnight(&mut self) {
        let at = crate::call::time_of(self.world.now).with_timezone(&ZONE);
        let passed = i64::from(chrono::Timelike::num_seconds_from_midnight(&at)) * SECOND;
        self.world.pass(A_DAY - passed + SECOND);
        self.world.life().tick(self.world.reading()).unwrap();
        let today = self.today();
        // Hidden at once, before anything was swept.
        assert_eq!(self.world.shown(), self.model.shown(today), "{today}");
        while {
            if self.dice.throw(4) == 0 {
                fault::kill_after(self.dice.throw(60) as u32);
            }
            let swept = self.world.sweep();
            let was_killed = self.end();
            assert!(was_killed || swept.is_ok(), "{swept:?}");
            was_killed
        } {}
        self.model.sweep(today);
    }

    fn compare(&self) {
        let today = self.today();
        assert_eq!(self.world.shown(), self.model.shown(today), "{today}");
        for tier in Tier::ALL {
            let stored = files(&self.world.path(&format!("{}/objects", tier.word())));
            let mut stored: Vec<_> = stored
                .iter()
                .map(|name| Ulid::from_string(name.trim_end_matches(".tso")).unwrap())
                .collect();
            stored.sort_unstable();
            assert_eq!(stored, self.model.in_tier(tier), "{today}: {tier:?}");
        }
        for id in self.model.erased() {
            let stone = self.world.catalogue().tombstone(id).unwrap().unwrap();
            assert!(stone.completed_at.is_some(), "{today}: {id}");
        }
        let totals = self.world.catalogue().totals().unwrap();
        let live = self
            .model
            .recordings
            .values()
            .filter(|one| !one.erased)
            .count();
        assert_eq!(totals.recordings, live as u64, "{today}");
    }

    /// Every byte of what is there, and none of what is not.
    fn listen(&self) {
        for (id, one) in &self.model.recordings {
            if one.erased {
                assert!(!self.world.is_left(*id), "{id}");
            } else {
                assert_eq!(self.world.whole(*id), [one.tier], "{id}");
            }
        }
    }
}

#[test]
fn a_year_in_the_life() {
    let [own, usual] = [MONTHS[1], MONTHS[0]].map(|[a, b]| retention(a as u16, b as u16));
    // In memory: of tens of thousands of syncs none is what is tested here.
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    };
    let folder = tempfile::tempdir_in(place).unwrap();
    let mut year = Year {
        world: World::on(folder, usual, Some((LINES[1], own))),
        model: Model::default(),
        dice: Dice(20_260_105),
        ends: 0,
        refused: 0,
    };
    for day in 0..DAYS {
        year.calls();
        year.people();
        year.midnight();
        year.compare();
        if day % 100 == 99 {
            year.listen();
        }
    }
    let erased = year.model.erased().count();
    let moved = year.model.in_tier(Tier::Secondary).len();
    // It was a year with everything in it.
    assert_eq!(year.model.recordings.len(), 2000);
    assert!(
        erased > 800 && moved > 300,
        "{erased} erased, {moved} moved"
    );
    assert!(
        year.ends > 30 && year.refused > 0,
        "{} ends, {} refused",
        year.ends,
        year.refused
    );
    let copy = year.world.catalogue().log_copy().unwrap();
    let report = copy.verify(vec![], [], &mut |_, _| true).unwrap().unwrap();
    assert!(report.is_good(), "{report:?}");
}
