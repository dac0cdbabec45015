//! The spool as the keeper sees it: two traits, so that tests can put one that fails in the place of
//! the real one.
//!
//! What lives here: the traits, and that the spool's own types are such. What does not: any decision.

use std::path::PathBuf;
use std::sync::Arc;
use tsuwaroku_spool::SpoolError;
use tsuwaroku_spool::record::{EndReason, GapCause, Start};
use tsuwaroku_spool::recover::Recovered;
use tsuwaroku_spool::write::{OpenCall, Writer};

/// A spool.
pub trait Spool {
    /// A recording being written.
    type Entry: Entry;
    /// See [`Writer::begin`].
    fn begin(&self, start: Start) -> Result<Self::Entry, SpoolError>;
    /// See [`Writer::recover`].
    fn recover(&self) -> Result<Vec<Recovered>, SpoolError>;
}

/// A recording being written; see [`OpenCall`] for each of these.
pub trait Entry: Sized {
    /// See [`OpenCall::audio`].
    fn audio(&mut self, samples: &[u8]) -> Result<(), SpoolError>;
    /// See [`OpenCall::gap`].
    fn gap(&mut self, frames: u64, cause: GapCause) -> Result<(), SpoolError>;
    /// See [`OpenCall::sync`].
    fn sync(&mut self) -> Result<(), SpoolError>;
    /// See [`OpenCall::durable_frames`].
    fn durable_frames(&self) -> u64;
    /// See [`OpenCall::finish`].
    fn finish(self, ended_at: i64, reason: EndReason) -> Result<PathBuf, SpoolError>;
    /// See [`OpenCall::abandon`].
    fn abandon(self) -> Result<(), SpoolError>;
    /// See [`OpenCall::salvage`].
    fn salvage(self) -> Result<Option<PathBuf>, SpoolError>;
}

impl Spool for Arc<Writer> {
    type Entry = OpenCall;
    fn begin(&self, start: Start) -> Result<OpenCall, SpoolError> {
        Writer::begin(self, start)
    }
    fn recover(&self) -> Result<Vec<Recovered>, SpoolError> {
        Writer::recover(self)
    }
}

impl Entry for OpenCall {
    fn audio(&mut self, samples: &[u8]) -> Result<(), SpoolError> {
        Self::audio(self, samples)
    }
    fn gap(&mut self, frames: u64, cause: GapCause) -> Result<(), SpoolError> {
        Self::gap(self, frames, cause)
    }
    fn sync(&mut self) -> Result<(), SpoolError> {
        Self::sync(self)
    }
    fn durable_frames(&self) -> u64 {
        Self::durable_frames(self)
    }
    fn finish(self, ended_at: i64, reason: EndReason) -> Result<PathBuf, SpoolError> {
        Self::finish(self, ended_at, reason)
    }
    fn abandon(self) -> Result<(), SpoolError> {
        Self::abandon(self)
    }
    fn salvage(self) -> Result<Option<PathBuf>, SpoolError> {
        Self::salvage(self)
    }
}
