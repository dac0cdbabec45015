//! Who looks, and what of the life of recordings they may see: holds, plans, certificates of erasure. What
//! they may do about it is in `life`, the only caller.

use super::api::Problem;
use super::api::life::{ListedHold, Shown};
use super::device::Device;
use super::listed::{self, Lines};
use crate::catalogue::{Hold, NumberId, Plan, Scope, Tombstone, Wish};
use crate::day::Day;
use crate::rights::{Action, Actor};

/// Whoever looks at holds, plans and certificates: those of all lines, or of the lines that they may
/// list, and what they asked for themselves.
pub(super) struct Viewer<'a> {
    device: &'a Device,
    actor: &'a Actor,
    lines: Lines,
    oversees: bool,
    /// Whether they may search for recordings by the other party.
    finds: bool,
}

impl<'a> Viewer<'a> {
    /// Whoever asks `device`.
    pub fn new(device: &'a Device, actor: &'a Actor) -> Result<Self, Problem> {
        let may = |action| device.rights.may(&actor.account, action, None).is_ok();
        Ok(Self {
            device,
            actor,
            lines: device.lines()?,
            oversees: may(Action::Oversee),
            finds: may(Action::Find),
        })
    }

    /// The number with this id.
    pub fn number(&self, id: NumberId) -> &str {
        self.lines.number(id)
    }

    fn sees_line(&self, number: &str) -> bool {
        let may = || self.device.may_on(self.actor, Action::Plans, number);
        self.oversees || may().is_ok()
    }

    fn sees_scope(&self, scope: &Scope) -> Result<bool, Problem> {
        if self.oversees {
            return Ok(true);
        }
        let numbers = self.device.numbers_of(scope, &self.lines)?;
        Ok(numbers.iter().all(|number| self.sees_line(number)))
    }

    /// Whether they may see `hold`.
    pub fn sees_hold(&self, hold: &Hold) -> Result<bool, Problem> {
        Ok(hold.placed.1 == self.actor.account.name || self.sees_scope(&hold.scope)?)
    }

    /// Whether they may see `plan`.
    pub fn sees_plan(&self, plan: &Plan) -> Result<bool, Problem> {
        if self.oversees || plan.asked.uid == self.actor.account.uid {
            return Ok(true);
        }
        match &plan.wish {
            Wish::Erase(ids) => {
                for &id in ids {
                    if !self.sees_scope(&Scope::Recording(id))? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Wish::Release(id) => {
                let hold = self
                    .device
                    .catalogue
                    .holds()?
                    .into_iter()
                    .find(|it| it.id == *id);
                hold.map_or(Ok(false), |hold| self.sees_hold(&hold))
            }
            Wish::Clock(_) => Ok(false),
        }
    }

    /// `hold` as they see it on `today`.
    pub fn hold(&self, hold: Hold, today: Day) -> ListedHold {
        listed::hold(hold, today, &self.lines, self.finds)
    }

    /// The certificate of what was erased, if they may see it.
    pub fn certificate(&self, erased: Option<Tombstone>) -> Option<Shown> {
        let erased = erased.filter(|erased| self.sees_line(self.number(erased.number)))?;
        Some(Shown::Erased(Box::new(listed::certificate(
            erased,
            &self.lines,
        ))))
    }
}
