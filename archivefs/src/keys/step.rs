//! What the keeping of keys does to the disk, step by step. A machine may stop before any of them; tests
//! make it stop before each.

use std::io;

/// What is done to the disk, in the order of a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The new secret is written beside the one that is in use.
    PutSecret,
    /// The table is made anew, sealed for the new secret.
    Rewrite,
    /// It takes the place of the former one.
    Publish,
    /// The former one is overwritten and removed.
    DestroyFormer,
    /// A copy of it is written into a tier.
    Copy,
    /// It takes the place of the former copy.
    PublishCopy,
    /// The former copy is overwritten and removed.
    DestroyFormerCopy,
    /// The former secret is overwritten.
    ForgetSecret,
}

#[cfg(test)]
impl Step {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::PutSecret,
        Self::Rewrite,
        Self::Publish,
        Self::DestroyFormer,
        Self::Copy,
        Self::PublishCopy,
        Self::DestroyFormerCopy,
        Self::ForgetSecret,
    ];
}

/// To be called before `step` is done: where tests make it fail.
#[cfg(not(test))]
#[allow(clippy::unnecessary_wraps)]
pub(super) fn before(_: Step) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
pub(super) use fault::{before, fail};

#[cfg(test)]
mod fault {
    use super::{Step, io};
    use std::cell::Cell;

    thread_local! {
        static FAILING: Cell<Option<Step>> = const { Cell::new(None) };
    }

    /// Fails `step` in this thread until told otherwise.
    pub fn fail(step: Option<Step>) {
        FAILING.set(step);
    }

    pub fn before(step: Step) -> io::Result<()> {
        if FAILING.get() == Some(step) {
            return Err(io::Error::other(format!("{step:?} was made to fail")));
        }
        Ok(())
    }
}
