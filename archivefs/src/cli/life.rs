//! The verbs about the life of recordings: `hold …`, `erase`, `plans`, `approve`, `decline`, `sweep`,
//! `show` and `clock …`. All of it is asked of the daemon, which decides. What is told is made in
//! [`words`], [`due`] and [`certificate`].

mod certificate;
mod due;
mod words;

pub(super) use due::{overdue, stuck};
pub(super) use words::{frozen, unfinished};

use super::args::life::{
    ApproveArgs, ClockVerb, DeclineArgs, EraseArgs, HoldAddArgs, HoldVerb, ShowArgs, SweepArgs,
};
use super::exit::{self, Failure};
use super::text::Speech;
use super::{client, progress_bar, write_json};
use crate::control::api::life::{
    self as api, ApproveEvent, ApproveRequest, CarriedOut, ClockStatus, DeclineRequest, Filed,
    HoldRequest, ListRequest, ListedHold, ListedPlan, Placed, PlanRequest, Shown, Wanted,
};
use crate::control::api::sweep::{DueEvent, SWEEP, SweepDone, SweepEvent, SweepProgress};
use crate::control::client::ClientError;
use indicatif::ProgressBar;
use serde::Serialize;
use std::io::Write;
use std::process::ExitCode;
use tsuwaroku_config::Config;

/// What a verb is done with: the configuration, the language, where it is told.
pub struct Desk<'a, W> {
    /// The configuration.
    pub config: &'a Config,
    /// The language.
    pub speech: Speech,
    /// Where it is told.
    pub out: &'a mut W,
}

impl<W: Write> Desk<'_, W> {
    /// Does what `verb` says.
    pub fn hold(&mut self, verb: &HoldVerb) -> Result<ExitCode, Failure> {
        match verb {
            HoldVerb::Add(args) => self.add_hold(args),
            HoldVerb::List { all, json } => self.list_holds(ListRequest { all: *all }, *json),
            HoldVerb::Release { hold, ground, json } => {
                self.ask(Wanted::Release(*hold), ground, None, *json)
            }
        }
    }

    fn add_hold(&mut self, args: &HoldAddArgs) -> Result<ExitCode, Failure> {
        let zone = self.config.site.time_zone;
        let request = HoldRequest {
            recordings: args.recordings.clone(),
            number: args.number.clone(),
            from: args.from.map(|moment| moment.first(zone)),
            to: args.to.map(|moment| moment.end(zone)),
            other_party: args.party.clone(),
            ground: args.ground.clone(),
            until: args.until.map(crate::day::Day::date),
        };
        let placed: Placed = client(self.config)?.post(api::HOLDS, &request)?;
        let said = words::placed(&placed, &request, self.speech);
        self.tell(&placed, args.json, &said)?;
        Ok(ExitCode::SUCCESS)
    }

    fn list_holds(&mut self, request: ListRequest, json: bool) -> Result<ExitCode, Failure> {
        let holds: Vec<ListedHold> = client(self.config)?.get(api::HOLDS, &request)?;
        let said = words::holds(&holds, self.config.site.time_zone, self.speech);
        self.tell(&holds, json, &said)?;
        Ok(ExitCode::SUCCESS)
    }

    /// Asks that recordings be erased.
    pub fn erase(&mut self, args: &EraseArgs) -> Result<ExitCode, Failure> {
        let wish = Wanted::Erase(args.recordings.clone());
        self.ask(wish, &args.ground, args.application.clone(), args.json)
    }

    fn ask(
        &mut self,
        wish: Wanted,
        ground: &str,
        application: Option<String>,
        json: bool,
    ) -> Result<ExitCode, Failure> {
        let request = PlanRequest {
            wish,
            ground: ground.to_owned(),
            application,
        };
        let filed: Filed = client(self.config)?.post(api::PLANS, &request)?;
        let said = words::filed(&filed, self.speech);
        self.tell(&filed, json, &said)?;
        Ok(code(!filed.approvers.is_empty()))
    }

    /// Lists the plans that wait, or all.
    pub fn plans(&mut self, all: bool, json: bool) -> Result<ExitCode, Failure> {
        let request = ListRequest { all };
        let plans: Vec<ListedPlan> = client(self.config)?.get(api::PLANS, &request)?;
        let said = words::plans(&plans, self.config.site.time_zone, self.speech);
        self.tell(&plans, json, &said)?;
        Ok(ExitCode::SUCCESS)
    }

    /// Approves a plan; exit status 1 if not all of it was carried out.
    pub fn approve(&mut self, args: &ApproveArgs) -> Result<ExitCode, Failure> {
        let (request, mut end) = (ApproveRequest { plan: args.plan }, None);
        client(self.config)?.post_lines(api::APPROVE, &request, |event: ApproveEvent| {
            end = Some(event);
            false
        })?;
        let carried: CarriedOut = match end.ok_or_else(cut_off)? {
            ApproveEvent::Done(carried) => carried,
            ApproveEvent::Refused(problem) => return Err(ClientError::Refused(problem).into()),
        };
        let said = words::carried_out(args.plan, &carried, self.speech);
        self.tell(&carried, args.json, &said)?;
        Ok(code(words::is_all_done(&carried)))
    }

    /// Declines a plan.
    pub fn decline(&mut self, args: &DeclineArgs) -> Result<ExitCode, Failure> {
        let request = DeclineRequest {
            plan: args.plan,
            ground: args.ground.clone(),
        };
        let declined: ListedPlan = client(self.config)?.post(api::DECLINE, &request)?;
        let said = words::declined(&declined, self.speech);
        self.tell(&declined, args.json, &said)?;
        Ok(ExitCode::SUCCESS)
    }

    /// Has done what is due, or shows it.
    pub fn sweep(&mut self, args: &SweepArgs) -> Result<ExitCode, Failure> {
        if args.dry_run {
            self.show_due(args.json)
        } else {
            self.do_due(args.json)
        }
    }

    fn show_due(&mut self, json: bool) -> Result<ExitCode, Failure> {
        let (mut items, mut sums) = (Vec::new(), None);
        client(self.config)?.get_lines(SWEEP, &(), |event| {
            match event {
                DueEvent::Item(item) => items.push(item),
                DueEvent::Done(done) => sums = Some(done),
            }
            sums.is_none()
        })?;
        let sums = sums.ok_or_else(cut_off)?;
        let all = serde_json::json!({ "items": items, "sums": sums });
        let said = due::due(&items, &sums, self.speech);
        self.tell(&all, json, &said)?;
        Ok(ExitCode::SUCCESS)
    }

    fn do_due(&mut self, json: bool) -> Result<ExitCode, Failure> {
        let (bar, mut end) = (progress_bar(json), None);
        client(self.config)?.post_lines(SWEEP, &(), |event| {
            match event {
                SweepEvent::Progress(progress) => show_progress(&bar, progress),
                SweepEvent::Done(done) => end = Some(Ok(done)),
                SweepEvent::Refused(problem) => end = Some(Err(problem)),
            }
            end.is_none()
        })?;
        bar.finish_and_clear();
        let done: SweepDone = end.ok_or_else(cut_off)?.map_err(ClientError::Refused)?;
        let said = due::swept(&done, self.speech);
        self.tell(&done, json, &said)?;
        Ok(code(!done.needs_attention()))
    }

    /// Shows a recording, or the certificate of its erasure; exit status 1 while something of what was
    /// erased may be left.
    pub fn show(&mut self, args: &ShowArgs) -> Result<ExitCode, Failure> {
        let shown: Shown = client(self.config)?.get(&api::recording(args.recording), &())?;
        let said = match &shown {
            Shown::Recording(kept) => certificate::kept(kept, self.config, self.speech),
            Shown::Erased(erased) => certificate::erased(erased, self.config, self.speech),
        };
        self.tell(&shown, args.json, &said)?;
        Ok(code(
            !matches!(shown, Shown::Erased(erased) if erased.completed_at.is_none()),
        ))
    }

    /// Does what `verb` says.
    pub fn clock(&mut self, verb: &ClockVerb) -> Result<ExitCode, Failure> {
        match verb {
            ClockVerb::Status { json } => {
                let status: ClockStatus = client(self.config)?.get(api::CLOCK, &())?;
                let said = words::clock(&status, self.config.site.time_zone, self.speech);
                self.tell(&status, *json, &said)?;
                Ok(code(status.frozen.is_none()))
            }
            ClockVerb::Confirm { ground, json } => self.ask(Wanted::Clock, ground, None, *json),
        }
    }

    /// The answer as JSON, or what was `said` of it.
    fn tell(&mut self, answer: &impl Serialize, json: bool, said: &str) -> Result<(), Failure> {
        if json {
            write_json(self.out, answer)?;
        } else {
            self.out.write_all(said.as_bytes())?;
        }
        Ok(())
    }
}

fn show_progress(bar: &ProgressBar, progress: SweepProgress) {
    bar.set_length(progress.total);
    bar.set_position(progress.through);
}

fn cut_off() -> ClientError {
    ClientError::Garbled("the answer was cut off".into())
}

/// The exit status: success if nobody has to look.
fn code(good: bool) -> ExitCode {
    if good {
        ExitCode::SUCCESS
    } else {
        exit::ATTENTION.into()
    }
}
