//! What the daemon does and tells about the life of recordings: holds, plans, what is due, what was
//! erased. Here is decided who may ask it for which lines; what may be done at all is for `crate::life`
//! and, in the transaction itself, the catalogue. What was refused is logged like any other refusal.

use super::api::Problem;
use super::api::life::{
    ApproveEvent, ApproveRequest, ClockStatus, DeclineRequest, Filed, HoldRequest, Kept,
    LifeStatus, ListRequest, ListedHold, ListedPlan, Placed, PlanRequest, Shown, Wanted,
};
use super::api::sweep::{DueEvent, SweepEvent};
use super::device::{Device, span, who};
use super::listed::{self, Lines};
use super::problem::no_such_number;
use super::viewer::Viewer;
use crate::audit::{Draft, Event, Outcome};
use crate::call::time_of;
use crate::catalogue::{
    CatalogueError, Filter, Hold, HoldId, NewHold, NewPlan, PlanId, PlanState, Recording, Refused,
    Scope, Search, Wish,
};
use crate::clock::now;
use crate::day::Day;
use crate::life::{LifeError, tiers};
use crate::period::Schedule;
use crate::rights::{Action, Actor, Denied};
use crate::store::Tier;
use axum::http::StatusCode;
use chrono::{Datelike, NaiveDate};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc;
use tsuwaroku_config::Retention;
use ulid::Ulid;

impl Wanted {
    /// What it takes the right to.
    pub(super) fn action(&self) -> Action {
        match self {
            Self::Erase(_) => Action::Erase,
            Self::Release(_) => Action::Release,
            Self::Clock => Action::ConfirmClock,
        }
    }
}

impl Device {
    /// How it stands with what is to be moved, held and erased.
    pub(super) fn life_status(&self) -> Result<LifeStatus, Problem> {
        let (today, state) = (self.life.today(), self.life.state());
        let holds = self.catalogue.holds()?;
        let holds = holds
            .iter()
            .filter(|hold| listed::in_force(hold, today.day));
        Ok(LifeStatus {
            day: today.day.date(),
            frozen: today.frozen.map(listed::frozen),
            missing_tier: self.missing_tier(),
            stuck: state.stuck,
            unfinished: state.unfinished,
            overdue: state.overdue,
            waiting_plans: self.catalogue.plans(PlanState::Waiting)?.len() as u64,
            holds: holds.count() as u64,
        })
    }

    /// Why the second medium is not there, if it should be.
    fn missing_tier(&self) -> Option<String> {
        let root = self.config.archive.secondary.as_ref()?;
        if self.vault.tier(Tier::Secondary).is_some() {
            return None;
        }
        let fstab = std::fs::read_to_string("/etc/fstab").unwrap_or_default();
        let found = tiers::open(root, self.catalogue.birth().archive, &fstab);
        Some(match found {
            Err(missing) => missing.reason,
            Ok(_) => format!(
                "{}: it is there again: systemctl restart tsuwaroku",
                root.display()
            ),
        })
    }

    /// The clocks.
    pub(super) fn clock(&self) -> ClockStatus {
        listed::clock(self.life.today().day, &self.life.clock())
    }

    /// Places what `request` asks for; in force and logged when this returns.
    pub(super) fn hold(&self, actor: &Actor, request: &HoldRequest) -> Result<Placed, Problem> {
        let until = request
            .until
            .map(|until| self.last_day(until))
            .transpose()?;
        let mut placed = Placed {
            holds: vec![],
            recordings: 0,
        };
        for scope in self.scopes(actor, request)? {
            let hold = NewHold {
                scope: scope.clone(),
                ground: request.ground.clone(),
                until,
                by: who(actor),
            };
            let id = self.life.hold(now(), hold);
            let id = id.map_err(|error| self.refused(actor, Action::Hold, error))?;
            placed.holds.push(id.0);
            placed.recordings += self.count(&scope)?;
        }
        Ok(placed)
    }

    /// The last day of a hold, which is not over yet.
    fn last_day(&self, until: NaiveDate) -> Result<Day, Problem> {
        let day = u16::try_from(until.year())
            .ok()
            .and_then(|year| Day::new(year, until.month() as u8, until.day() as u8));
        day.filter(|&day| day >= self.life.today().day)
            .ok_or_else(|| Problem::bad_request(format!("{until}: that day is over")))
    }

    /// What `request` asks to hold, all of it in lines that `actor` may hold.
    fn scopes(&self, actor: &Actor, request: &HoldRequest) -> Result<Vec<Scope>, Problem> {
        let lines = self.lines()?;
        let search = search(request, &lines)?;
        if request.recordings.is_empty() == (search == Search::default()) {
            let detail = "name recordings, or what to look for: one of the two";
            return Err(Problem::bad_request(detail));
        }
        if request.recordings.is_empty() {
            let scope = Scope::Search(search);
            self.may_concern(actor, Action::Hold, &scope, &lines)?;
            return Ok(vec![scope]);
        }
        let mut scopes = Vec::with_capacity(request.recordings.len());
        for &id in &request.recordings {
            self.there(actor, Action::Hold, id, &lines)?;
            scopes.push(Scope::Recording(id));
        }
        Ok(scopes)
    }

    /// How many recordings there are now in `scope`, at most as many as a search finds at a time.
    fn count(&self, scope: &Scope) -> Result<u64, Problem> {
        let Scope::Search(search) = scope else {
            return Ok(1);
        };
        let filter = Filter {
            number: search.number,
            start: search.start.clone(),
            other_party: search.other_party.clone(),
            ..Filter::default()
        };
        let found = self
            .catalogue
            .shown()
            .find(&filter, super::api::MOST_FOUND)?;
        Ok(found.len() as u64)
    }

    /// Files a plan; logged when this returns.
    pub(super) fn ask(&self, actor: &Actor, request: &PlanRequest) -> Result<Filed, Problem> {
        let action = request.wish.action();
        let wish = match &request.wish {
            Wanted::Erase(ids) => self.erasable(actor, ids)?,
            Wanted::Release(hold) => self.releasable(actor, HoldId(*hold))?,
            Wanted::Clock => {
                let right = self.life.right_clock();
                right.map_err(|error| self.refused(actor, action, error))?
            }
        };
        let application = request.application.clone();
        let plan = NewPlan {
            wish,
            ground: request.ground.clone(),
            application: application.filter(|application| !application.trim().is_empty()),
            by: who(actor),
        };
        let id = self.life.ask(now(), plan);
        let id = id.map_err(|error| self.refused(actor, action, error))?;
        let administrators = self.config.roles.administrators.iter();
        let others = administrators.filter(|name| **name != actor.account.name);
        Ok(Filed {
            plan: id.0,
            approvers: others.cloned().collect(),
        })
    }

    fn erasable(&self, actor: &Actor, ids: &[Ulid]) -> Result<Wish, Problem> {
        let lines = self.lines()?;
        // Each once, in the order of time.
        let ids: BTreeSet<_> = ids.iter().copied().collect();
        for &id in &ids {
            self.there(actor, Action::Erase, id, &lines)?;
        }
        Ok(Wish::Erase(ids.into_iter().collect()))
    }

    fn releasable(&self, actor: &Actor, id: HoldId) -> Result<Wish, Problem> {
        let hold = self
            .catalogue
            .holds()?
            .into_iter()
            .find(|hold| hold.id == id);
        let none = || self.refused(actor, Action::Release, Refused::NoHold(id).into());
        let hold = hold.ok_or_else(none)?;
        self.may_concern(actor, Action::Release, &hold.scope, &self.lines()?)?;
        Ok(Wish::Release(id))
    }

    /// Approves a plan, and carries it out.
    pub(super) fn approve(&self, actor: &Actor, request: ApproveRequest) -> ApproveEvent {
        match self.life.approve(now(), PlanId(request.plan), who(actor)) {
            Ok(carried) => ApproveEvent::Done(listed::carried_out(carried)),
            Err(error) => ApproveEvent::Refused(self.refused(actor, Action::Approve, error)),
        }
    }

    /// Declines a plan. The record of that has no room for a ground: it gets one of its own.
    pub(super) fn decline(
        &self,
        actor: &Actor,
        request: &DeclineRequest,
    ) -> Result<ListedPlan, Problem> {
        let refused = |error| self.refused(actor, Action::Approve, error);
        if request.ground.trim().is_empty() {
            return Err(refused(Refused::NoGround.into()));
        }
        let declined = self.life.decline(now(), PlanId(request.plan), who(actor));
        let declined = declined.map_err(refused)?;
        let draft = Draft::new(now(), Event::Control, Outcome::Done)
            .by(who(actor))
            .with("action", "decline")
            .with("plan", declined.id)
            .hidden("ground", &request.ground);
        self.catalogue.log(match &declined.wish {
            Wish::Erase(ids) if ids.len() == 1 => draft.on(ids[0]),
            _ => draft,
        })?;
        Ok(listed::plan(declined))
    }

    /// The plans that `actor` may see: those that are to be decided or carried out, or all.
    pub(super) fn plans(
        &self,
        actor: &Actor,
        request: ListRequest,
    ) -> Result<Vec<ListedPlan>, Problem> {
        let (viewer, mut plans) = (Viewer::new(self, actor)?, Vec::new());
        for state in PlanState::ALL {
            let is_open = matches!(state, PlanState::Waiting | PlanState::Approved);
            if request.all || is_open {
                plans.extend(self.catalogue.plans(state)?);
            }
        }
        plans.sort_by_key(|plan| plan.id);
        let mut seen = Vec::new();
        for plan in plans {
            if viewer.sees_plan(&plan)? {
                seen.push(listed::plan(plan));
            }
        }
        Ok(seen)
    }

    /// The holds that `actor` may see: those in force, or all.
    pub(super) fn holds(
        &self,
        actor: &Actor,
        request: ListRequest,
    ) -> Result<Vec<ListedHold>, Problem> {
        let (viewer, today) = (Viewer::new(self, actor)?, self.life.today().day);
        let mut seen = Vec::new();
        for hold in self.catalogue.holds()? {
            let wanted = request.all || listed::in_force(&hold, today);
            if wanted && viewer.sees_hold(&hold)? {
                seen.push(viewer.hold(hold, today));
            }
        }
        Ok(seen)
    }

    /// What is due today, as it would be carried out.
    pub(super) fn due(&self) -> Result<impl Iterator<Item = DueEvent> + use<>, Problem> {
        let frozen = self.life.today().frozen.map(listed::frozen);
        Ok(listed::due(self.life.plan()?, frozen, self.lines()?))
    }

    /// Carries out what is due today and tells `events`. Whoever does not wait for the end stops it.
    pub(super) fn sweep(&self, actor: &Actor, events: &mpsc::Sender<SweepEvent>) {
        let stop = AtomicBool::new(false);
        let mut tell = |progress| {
            // A caller that reads slowly misses steps.
            let _ = events.try_send(SweepEvent::Progress(listed::progress(progress)));
            if events.is_closed() {
                stop.store(true, Ordering::Relaxed);
            }
        };
        let day = self.life.today().day;
        let event = match self.life.sweep(now(), &stop, &mut tell) {
            Ok(swept) => SweepEvent::Done(listed::swept(day, swept, self.life.state())),
            Err(error) => SweepEvent::Refused(self.refused(actor, Action::Sweep, error)),
        };
        // Whoever asked may have gone away.
        let _ = events.blocking_send(event);
    }

    /// What is known of the recording `id`; that it was asked for is logged before it is answered.
    pub(super) fn show(&self, actor: &Actor, id: Ulid) -> Result<Shown, Problem> {
        let viewer = Viewer::new(self, actor)?;
        let (there, erased) = (self.catalogue.by_id(id)?, self.catalogue.tombstone(id)?);
        let exists = there.is_some() || erased.is_some();
        let answer = match there {
            Some(there) => self.show_there(actor, &there, &viewer),
            None => viewer
                .certificate(erased)
                .ok_or_else(|| no_recording(id, actor)),
        };
        let outcome = if exists && answer.is_err() {
            Outcome::Refused
        } else {
            Outcome::Done
        };
        let draft = Draft::new(now(), Event::Find, outcome).by(who(actor));
        self.catalogue.log(draft.on(id))?;
        answer
    }

    fn show_there(
        &self,
        actor: &Actor,
        there: &Recording,
        viewer: &Viewer<'_>,
    ) -> Result<Shown, Problem> {
        let may = self.may_on(actor, Action::List, viewer.number(there.number));
        may.map_err(|_| no_recording(there.id, actor))?;
        if self.catalogue.shown().by_id(there.id)?.is_none() {
            return Err(Problem::over(there.id));
        }
        self.kept(there, viewer)
    }

    fn kept(&self, recording: &Recording, viewer: &Viewer<'_>) -> Result<Shown, Problem> {
        let (today, zone) = (self.life.today().day, self.catalogue.birth().time_zone);
        let (key, number) = (recording.key, recording.number);
        let party = recording.other_party.as_deref();
        let call = Day::of(time_of(key.milliseconds() * 1_000_000), zone);
        let name = viewer.number(number);
        let schedule = Schedule::of(call, self.retention_of(name));
        let holds = |hold: &Hold| {
            let in_scope = match &hold.scope {
                Scope::Recording(id) => *id == recording.id,
                Scope::Search(search) => search.finds(key, number, party),
            };
            in_scope && listed::in_force(hold, today)
        };
        let holds = self.catalogue.holds()?.into_iter().filter(holds);
        Ok(Shown::Recording(Box::new(Kept {
            found: self.found(recording, name.to_owned()),
            tier: recording.tier,
            stored_bytes: recording.sealed.stored_bytes,
            primary_last_day: schedule.primary.last.date(),
            last_day: schedule.last_kept().date(),
            holds: holds.map(|hold| viewer.hold(hold, today)).collect(),
        })))
    }

    fn retention_of(&self, number: &str) -> &Retention {
        let mut lines = self.config.lines.iter();
        lines
            .find(|line| line.number == number)
            .map_or(&self.config.retention, |line| &line.retention)
    }

    /// The recording `id`, which is there and in a line on which `actor` may do `action`.
    fn there(
        &self,
        actor: &Actor,
        action: Action,
        id: Ulid,
        lines: &Lines,
    ) -> Result<Recording, Problem> {
        let Some(there) = self.catalogue.shown().by_id(id)? else {
            let error = match self.catalogue.tombstone(id)? {
                Some(_) => CatalogueError::Erased(id),
                None => Refused::NoRecording(id).into(),
            };
            return Err(self.refused(actor, action, error.into()));
        };
        let may = self.may_on(actor, action, lines.number(there.number));
        may.map_err(|denied| self.denied(actor, action, denied, |draft| draft.on(id)))?;
        Ok(there)
    }

    /// Whether `actor` may do `action` on all lines that `scope` concerns.
    fn may_concern(
        &self,
        actor: &Actor,
        action: Action,
        scope: &Scope,
        lines: &Lines,
    ) -> Result<(), Problem> {
        for number in self.numbers_of(scope, lines)? {
            let may = self.may_on(actor, action, &number);
            may.map_err(|denied| {
                self.denied(actor, action, denied, |draft| draft.of_number(&number))
            })?;
        }
        Ok(())
    }

    /// The numbers that `scope` concerns: all of them, where it names none.
    pub(super) fn numbers_of(&self, scope: &Scope, lines: &Lines) -> Result<Vec<String>, Problem> {
        let number = match scope {
            Scope::Recording(id) => match self.catalogue.by_id(*id)? {
                Some(there) => Some(there.number),
                None => self.catalogue.tombstone(*id)?.map(|erased| erased.number),
            },
            Scope::Search(search) => search.number,
        };
        Ok(match number {
            Some(id) => vec![lines.number(id).to_owned()],
            None => lines.0.values().cloned().collect(),
        })
    }

    /// Whether `actor` may do `action` on the line of `number`.
    pub(super) fn may_on(&self, actor: &Actor, action: Action, number: &str) -> Result<(), Denied> {
        let readers = self.owners.readers_of(number);
        self.rights.may(&actor.account, action, Some(readers))
    }

    /// The designated numbers, past and present.
    pub(super) fn lines(&self) -> Result<Lines, Problem> {
        let numbers = self.catalogue.numbers()?.into_iter();
        Ok(Lines(numbers.map(|it| (it.id, it.number)).collect()))
    }

    /// Logs that `actor` may not do `action` on a line, which `about` adds to the record.
    fn denied(
        &self,
        actor: &Actor,
        action: Action,
        denied: Denied,
        about: impl FnOnce(Draft) -> Draft,
    ) -> Problem {
        self.refusals
            .log(about(refusal(actor, action).with("reason", denied)));
        Problem::denied(&actor.account.name, denied)
    }

    /// Logs that `action` was refused to `actor`, if it is a refusal and no fault of a disk.
    fn refused(&self, actor: &Actor, action: Action, error: LifeError) -> Problem {
        let reason = error.to_string();
        let problem = Problem::from(error);
        if problem.status < StatusCode::INTERNAL_SERVER_ERROR.as_u16() {
            self.refusals
                .log(refusal(actor, action).with("reason", reason));
        }
        problem
    }
}

/// What `request` looks for.
fn search(request: &HoldRequest, lines: &Lines) -> Result<Search, Problem> {
    let number = match &request.number {
        None => None,
        Some(wanted) => Some(lines.id(wanted).ok_or_else(|| no_such_number(wanted))?),
    };
    let start = span(request.from, request.to);
    if start.as_ref().is_some_and(std::ops::Range::is_empty) {
        return Err(Problem::bad_request("the period ends before it begins"));
    }
    Ok(Search {
        number,
        start,
        other_party: request
            .other_party
            .clone()
            .filter(|party| !party.is_empty()),
    })
}

/// The record of a refusal.
fn refusal(actor: &Actor, action: Action) -> Draft {
    Draft::new(now(), Event::Control, Outcome::Refused)
        .by(who(actor))
        .with("action", action.word())
}

fn no_recording(id: Ulid, actor: &Actor) -> Problem {
    let name = &actor.account.name;
    let detail = format!("there is no recording {id}, or {name} may not see it");
    let advice = "search for it: tsuwaroku find --help";
    Problem::new(StatusCode::NOT_FOUND, "no-such-recording", detail, advice)
}
