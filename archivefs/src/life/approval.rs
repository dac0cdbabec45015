//! [`Approved`]: the value that an erasure takes. It can be made in two ways only, both here: from a plan
//! that somebody else than the asker approved, and from the recordings' age on the accepted day. It says
//! what is allowed; that each single recording is covered by it and held by nothing is asked once more in
//! the transaction that erases.

use super::{LifeError, Today};
use crate::catalogue::{Catalogue, Cutoffs, PlanId, PlanState, Refused, Warrant};
use crate::day::Day;
use std::sync::Arc;

/// That an erasure is allowed.
#[derive(Debug, Clone)]
pub struct Approved {
    warrant: Warrant,
    today: Day,
}

impl Approved {
    /// By age: what is before `cutoffs`, which are those of `today` (R6.3).
    ///
    /// # Errors
    /// The clock is frozen: nothing is erased on its word.
    pub(super) fn by_age(today: Today, cutoffs: Arc<Cutoffs>) -> Result<Self, LifeError> {
        if let Some(jump) = today.frozen {
            return Err(LifeError::Frozen(jump.kind));
        }
        Ok(Self {
            warrant: Warrant::Age(cutoffs),
            today: today.day,
        })
    }

    /// By the plan `id`, which two persons stand for (R6.7, R9.1).
    ///
    /// # Errors
    /// It is not approved, or carried out already.
    pub(super) fn by_plan(
        catalogue: &Catalogue,
        id: PlanId,
        today: Today,
    ) -> Result<Self, LifeError> {
        let plan = catalogue.plan(id)?.ok_or(Refused::NoPlan(id))?;
        if plan.state != PlanState::Approved {
            let state = plan.state.word();
            return Err(Refused::State { plan: id, state }.into());
        }
        Ok(Self {
            warrant: Warrant::Plan(id),
            today: today.day,
        })
    }

    /// What the catalogue asks for.
    pub(super) fn warrant(&self) -> &Warrant {
        &self.warrant
    }

    /// The accepted day by which holds are judged.
    pub(super) fn today(&self) -> Day {
        self.today
    }
}
