//! Steps that fail.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::disk::Step;

/// Before or after a step takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    Before,
    After,
}

type Ask = dyn Fn(Step, Moment, &Path) -> io::Result<()> + Send + Sync;

/// Asked before and after each step; its error is the step's.
#[derive(Clone, Default)]
pub(crate) struct Faults(Option<Arc<Ask>>);

impl Faults {
    pub fn new(
        ask: impl Fn(Step, Moment, &Path) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Arc::new(ask)))
    }

    pub fn before(&self, step: Step, path: &Path) -> io::Result<()> {
        self.0
            .as_ref()
            .map_or(Ok(()), |ask| ask(step, Moment::Before, path))
    }

    pub fn after(&self, step: Step, path: &Path) -> io::Result<()> {
        self.0
            .as_ref()
            .map_or(Ok(()), |ask| ask(step, Moment::After, path))
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults").finish_non_exhaustive()
    }
}
