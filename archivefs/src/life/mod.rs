//! What happens to recordings as they age: they move to the secondary tier, they are held, they are erased.
//!
//! * [`today`]: the accepted day, by which all periods are judged.
//! * [`rules`]: how long each line's recordings are kept; pure.
//! * [`sweep`]: what is due on a day, as a list; decided from values.
//! * [`moving`], [`erase`]: the two things that are done, step by step.
//! * [`approval`]: the value without which nothing is erased.
//! * [`ballast`], [`desk`], [`step`], [`tiers`]: room on a full disk, what is in hand, names of steps, and the
//!   stores at start.
//!
//! Here: [`Life`], what the daemon and the control service call. Who may ask it is decided by `rights`
//! before; the tables are in `catalogue`, copying files in `store`.
//!
//! ```text
//! midnight, start ──► tick ──► sweep: plan ──► erase, move
//! staff ──► ask ──► plan ──► somebody else ──► approve ──► erase, release, confirm the clock
//! staff ──► hold
//! ```

mod approval;
mod ballast;
mod desk;
mod erase;
mod moving;
mod rules;
mod step;
mod sweep;
pub mod tiers;
mod today;

pub use approval::Approved;
pub use ballast::{BYTES as BALLAST_BYTES, Ballast};
pub use erase::{CHUNK, Caches, Erased, Eraser, NoCaches};
pub use moving::{MoveReport, MoveSettings};
pub use rules::Rules;
pub use sweep::{Item, Sweep, plan};
pub use today::{Keeper, Today, day_begun};

use crate::audit::Who;
use crate::catalogue::{
    Catalogue, CatalogueError, Erasure, HoldId, NewHold, NewPlan, Plan, PlanId, PlanState, Refused,
    Wish,
};
use crate::clock::own::{JumpKind, OwnClock, Reading};
use crate::day::Day;
use crate::findings::Findings;
use crate::keys::KeyError;
use crate::store::{StoreError, Tier};
use crate::vault::{Vault, VaultError};
use desk::Desk;
use moving::Mover;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use thiserror::Error;
use ulid::Ulid;

/// Why something of this is not done.
#[derive(Debug, Error)]
pub enum LifeError {
    /// See [`CatalogueError`].
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
    /// See [`VaultError`].
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// See [`KeyError`].
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Nothing is moved or erased on the word of a clock that jumped.
    #[error(
        "the clock jumped ({0:?}): nothing is moved or erased until two persons confirm it: \
         tsuwaroku clock confirm"
    )]
    Frozen(JumpKind),
    /// A tier is not there: what it has of the recording cannot be removed.
    #[error("a tier is missing: what it has of erased recordings is removed when it is back")]
    MissingTier,
    /// Somebody reads the database: what was deleted stays in its write-ahead log until the next try.
    #[error("the catalogue is being read: its write-ahead log is emptied at the next sweep")]
    Busy,
}

impl From<Refused> for LifeError {
    fn from(refused: Refused) -> Self {
        Self::Catalogue(refused.into())
    }
}

/// What [`Life`] is made of.
pub struct Parts {
    /// The catalogue.
    pub catalogue: Arc<Catalogue>,
    /// The objects, in the tiers that are there.
    pub vault: Vault,
    /// What is wrong with files.
    pub findings: Arc<Findings>,
    /// Whoever has recordings in memory.
    pub caches: Arc<dyn Caches>,
    /// How long recordings are kept.
    pub rules: Rules,
    /// How they move.
    pub moves: MoveSettings,
    /// Whether a secondary tier is configured; it may be missing in `vault` then.
    pub wants_secondary: bool,
    /// Where the ballast lies: on the file system of the catalogue and the keys.
    pub ballast: PathBuf,
    /// Its length, bytes: [`BALLAST_BYTES`].
    pub ballast_bytes: u64,
}

/// How it went last, for status and alarms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// The accepted day by which recordings are shown.
    pub shown: Option<Day>,
    /// The accepted day of the last sweep that came to its end.
    pub swept: Option<Day>,
    /// Why recordings do not move to the secondary tier: it is full, missing, or a disk fails.
    pub stuck: Option<String>,
    /// Why something of an erasure is still to be done.
    pub unfinished: Option<String>,
    /// Recordings past their last day by the later of the clocks that nothing holds and that are still
    /// there after a sweep.
    pub overdue: u64,
}

/// What a sweep came to.
#[derive(Debug, Default)]
pub struct Swept {
    /// Recordings that were erased.
    pub erased: usize,
    /// Recordings that are due and held.
    pub held: usize,
    /// What moved, and what did not.
    pub moves: MoveReport,
    /// Holds that ended by themselves.
    pub lapsed: Vec<HoldId>,
    /// Recordings that are overdue all the same.
    pub overdue: u64,
}

/// What a sweep tells while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// So many of so many are erased.
    Erased(usize, usize),
    /// So many of so many have moved.
    Moved(usize, usize),
}

/// What became of a plan.
#[derive(Debug)]
pub enum Carried {
    /// Recordings were erased, or not.
    Erased(Erased),
    /// A hold was released.
    Released(HoldId),
    /// The clock is believed again.
    Clock,
}

/// The life of the recordings of one archive.
pub struct Life {
    catalogue: Arc<Catalogue>,
    eraser: Eraser,
    keeper: Keeper,
    rules: Rules,
    moves: MoveSettings,
    wants_secondary: bool,
    state: Mutex<State>,
    /// Held by whoever sweeps.
    sweeping: Mutex<()>,
}

impl Life {
    /// Takes up what a former process began, at what the machine's clocks show now; from then on the
    /// catalogue shows what is not past its last day. To be done before anything is served.
    ///
    /// # Errors
    /// The catalogue cannot be read or written. What cannot be finished now is an alarm, no error.
    pub fn open(parts: Parts, reading: Reading) -> Result<Self, LifeError> {
        let at = reading.wall;
        let keeper = Keeper::open(parts.catalogue.clone(), reading)?;
        let has_secondary = parts.vault.tier(Tier::Secondary).is_some();
        let life = Self {
            eraser: Eraser {
                catalogue: parts.catalogue.clone(),
                vault: parts.vault,
                findings: parts.findings,
                caches: parts.caches,
                ballast: Ballast::new(parts.ballast, parts.ballast_bytes),
                desk: Arc::new(Desk::default()),
                has_all_tiers: has_secondary || !parts.wants_secondary,
            },
            catalogue: parts.catalogue,
            keeper,
            rules: parts.rules,
            moves: parts.moves,
            wants_secondary: parts.wants_secondary,
            state: Mutex::default(),
            sweeping: Mutex::default(),
        };
        life.show()?;
        if let Err(error) = life.eraser.ballast.load() {
            log::error!(
                "ALARM: no room for the ballast, without which a full disk stops erasures: {error}"
            );
        }
        life.resume(at);
        Ok(life)
    }

    /// What a crash or a missing tier left unfinished.
    fn resume(&self, at: i64) {
        let erased = self.eraser.resume(at).map(drop);
        self.note_unfinished(erased.as_ref().err().map(ToString::to_string));
        let moved = self.mover().resume(at);
        let plans = self.carry_out_approved(at);
        for error in [erased, moved, plans].into_iter().filter_map(Result::err) {
            log::error!("ALARM: something begun earlier is not finished: {error}");
        }
    }

    /// Plans that were approved and not carried out to their end.
    fn carry_out_approved(&self, at: i64) -> Result<(), LifeError> {
        for plan in self.catalogue.plans(PlanState::Approved)? {
            self.carry_out(at, &plan)?;
        }
        Ok(())
    }

    /// Goes on to what the machine's clocks show: to be called at least once a minute. What is past its last
    /// day by then is not shown any more when this returns. Answers whether a sweep is due: the accepted
    /// day has not had one.
    pub fn tick(&self, reading: Reading) -> Result<bool, LifeError> {
        self.keeper.advance(reading)?;
        let today = self.today();
        let (shown, swept) = self.state_mut(|state| (state.shown, state.swept));
        if shown != Some(today.day) {
            self.show()?;
        }
        Ok(today.frozen.is_none() && swept != Some(today.day))
    }

    /// What the day is.
    pub fn today(&self) -> Today {
        self.keeper.today()
    }

    /// The archive's own clock, as of the last tick.
    pub fn clock(&self) -> OwnClock {
        self.keeper.clock()
    }

    /// How it went last.
    pub fn state(&self) -> State {
        self.state_mut(|state| state.clone())
    }

    /// What is due today; nothing is done.
    pub fn plan(&self) -> Result<Sweep, LifeError> {
        let today = self.today().day;
        Ok(plan(
            &self.catalogue,
            &self.rules,
            today,
            self.wants_secondary,
        )?)
    }

    /// Carries out what is due today: what [`Self::plan`] shows. Ended by `stop`, it goes on the next time.
    ///
    /// # Errors
    /// The clock is frozen, or the catalogue cannot be read or written. A tier that is full or missing is
    /// reported: recordings stay where they are.
    pub fn sweep(
        &self,
        at: i64,
        stop: &AtomicBool,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<Swept, LifeError> {
        let turn = self.sweeping.lock();
        let _turn = turn.unwrap_or_else(PoisonError::into_inner);
        let today = self.today();
        let mut swept = self.due_swept(at, today, stop, tell);
        swept = swept.and_then(|swept| self.look_for_overdue(today, swept));
        match &swept {
            Ok(swept) => self.note(today, swept, stop.load(Ordering::Relaxed)),
            // It is worth an alarm as well that nothing could be done about what is overdue.
            Err(_) => drop(self.look_for_overdue(today, Swept::default())),
        }
        swept
    }

    fn due_swept(
        &self,
        at: i64,
        today: Today,
        stop: &AtomicBool,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<Swept, LifeError> {
        let cutoffs = self
            .rules
            .cutoffs(today.day, self.catalogue.birth().time_zone);
        let approved = Approved::by_age(today, Arc::new(cutoffs))?;
        let mut swept = Swept {
            lapsed: self.catalogue.lapse_holds(at, today.day)?,
            ..Swept::default()
        };
        let due = self.plan()?;
        swept.held = due.held.len();
        let erased = self.eraser.resume(at);
        let mut unfinished = erased.err().map(|error| error.to_string());
        let ids: Vec<_> = due.erase.iter().map(|item| item.id).collect();
        for chunk in ids.chunks(CHUNK) {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let erased = self.eraser.erase(at, &approved, chunk)?;
            unfinished = unfinished.or(erased.unfinished);
            let is_erased = |(_, outcome): &&(Ulid, Erasure)| matches!(outcome, Erasure::Marked(_));
            swept.erased += erased.outcomes.iter().filter(is_erased).count();
            tell(Progress::Erased(swept.erased, ids.len()));
        }
        self.note_unfinished(unfinished);
        let mover = self.mover();
        mover.resume(at)?;
        swept.moves = mover.run(at, &due.moves, stop, &mut |n, of| {
            tell(Progress::Moved(n, of));
        })?;
        if swept.moves.erased > 0 {
            self.eraser.resume(at)?;
        }
        Ok(swept)
    }

    /// Keeping too long is a breach as well (R6.3).
    fn look_for_overdue(&self, today: Today, mut swept: Swept) -> Result<Swept, LifeError> {
        let due = plan(&self.catalogue, &self.rules, today.latest, false)?;
        swept.overdue = due.erase.len() as u64;
        self.state_mut(|state| state.overdue = swept.overdue);
        if swept.overdue > 0 {
            log::error!(
                "ALARM: {} recordings are past their last day and still there",
                swept.overdue
            );
        }
        Ok(swept)
    }

    fn note(&self, today: Today, swept: &Swept, was_stopped: bool) {
        let failed = swept.moves.failed.first();
        let stuck = swept.moves.stopped.clone();
        let stuck = stuck.or_else(|| failed.map(|(id, why)| format!("{id}: {why}")));
        if let Some(why) = &stuck {
            log::error!("ALARM: recordings stay in the primary tier: {why}");
        }
        self.state_mut(|state| {
            state.stuck = stuck;
            if !was_stopped {
                state.swept = Some(today.day);
            }
        });
    }

    fn note_unfinished(&self, unfinished: Option<String>) {
        self.state_mut(|state| state.unfinished = unfinished);
    }

    /// Places a hold; in force, and what it holds is shown, when this returns.
    pub fn hold(&self, at: i64, hold: NewHold) -> Result<HoldId, LifeError> {
        Ok(self.catalogue.hold(at, hold)?)
    }

    /// Asks for what needs somebody else's approval.
    ///
    /// # Errors
    /// [`Refused`]: a recording is held (R6.7) or not there, a hold is not in force, no ground.
    pub fn ask(&self, at: i64, plan: NewPlan) -> Result<PlanId, LifeError> {
        Ok(self.catalogue.ask(at, self.today().day, plan)?)
    }

    /// What is to be asked for when the wall clock is right: see [`Wish::Clock`].
    ///
    /// # Errors
    /// [`Refused::NoJump`]: the clock is not frozen.
    pub fn right_clock(&self) -> Result<Wish, LifeError> {
        Ok(Wish::Clock(self.keeper.right_clock()?))
    }

    /// `who` approves the plan `id`, and it is carried out at once.
    ///
    /// # Errors
    /// [`Refused`]: it is decided already, or `who` asked for it (R9.1). Any other error: it is approved,
    /// and carried out when the daemon starts again.
    pub fn approve(&self, at: i64, id: PlanId, who: Who) -> Result<Carried, LifeError> {
        let plan = self.catalogue.decide(at, id, true, who)?;
        self.carry_out(at, &plan)
    }

    /// `who` turns the plan `id` down.
    pub fn decline(&self, at: i64, id: PlanId, who: Who) -> Result<Plan, LifeError> {
        Ok(self.catalogue.decide(at, id, false, who)?)
    }

    fn carry_out(&self, at: i64, plan: &Plan) -> Result<Carried, LifeError> {
        match &plan.wish {
            Wish::Erase(ids) => {
                let approved = Approved::by_plan(&self.catalogue, plan.id, self.today())?;
                let erased = self.eraser.erase(at, &approved, ids)?;
                if erased.unfinished.is_some() {
                    self.note_unfinished(erased.unfinished.clone());
                }
                Ok(Carried::Erased(erased))
            }
            Wish::Release(_) => Ok(Carried::Released(self.catalogue.release(at, plan.id)?)),
            Wish::Clock(right) => {
                self.keeper.confirm(plan.id, *right)?;
                self.show()?;
                Ok(Carried::Clock)
            }
        }
    }

    /// Has the catalogue hide what is past its last day.
    fn show(&self) -> Result<(), LifeError> {
        let today = self.today().day;
        let cutoffs = self.rules.cutoffs(today, self.catalogue.birth().time_zone);
        self.catalogue.show(today, Arc::new(cutoffs))?;
        self.state_mut(|state| state.shown = Some(today));
        Ok(())
    }

    fn mover(&self) -> Mover<'_> {
        Mover {
            catalogue: &self.catalogue,
            vault: &self.eraser.vault,
            desk: &self.eraser.desk,
            settings: self.moves,
        }
    }

    fn state_mut<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests;
