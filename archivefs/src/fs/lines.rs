//! The designated numbers and who may read them, in memory: asked for with each name and each
//! attribute. A number that is not known yet is looked up in the catalogue once more.

use super::Owners;
use crate::catalogue::{Catalogue, CatalogueError, Number, NumberId};
use std::sync::{Arc, PoisonError, RwLock};

/// A number and its readers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// The database's id.
    pub id: NumberId,
    /// As people write it.
    pub number: String,
    /// The group that may read it.
    pub gid: u32,
}

/// All numbers, past and present.
#[derive(Debug)]
pub(super) struct Lines {
    catalogue: Arc<Catalogue>,
    owners: Owners,
    /// In the order of the numbers.
    known: RwLock<Arc<[Line]>>,
}

impl Lines {
    pub fn new(catalogue: Arc<Catalogue>, owners: Owners) -> Self {
        Self {
            catalogue,
            owners,
            known: RwLock::new(Arc::new([])),
        }
    }

    /// The owner of everything.
    pub fn owners(&self) -> &Owners {
        &self.owners
    }

    /// The number with this id.
    pub fn by_id(&self, id: NumberId) -> Result<Option<Line>, CatalogueError> {
        self.find(|line| line.id == id)
    }

    /// The number that is written so.
    pub fn by_number(&self, number: &str) -> Result<Option<Line>, CatalogueError> {
        self.find(|line| line.number == number)
    }

    /// The group that may read the number with this id.
    pub fn group(&self, id: NumberId) -> Result<u32, CatalogueError> {
        Ok(self.by_id(id)?.map_or(self.owners.gid, |line| line.gid))
    }

    /// Every number.
    pub fn all(&self) -> Result<Arc<[Line]>, CatalogueError> {
        let lines = self.catalogue.numbers()?.into_iter().map(|n| self.line(n));
        let lines: Arc<[Line]> = lines.collect();
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = lines.clone();
        Ok(lines)
    }

    /// `number` with its readers.
    pub fn line(&self, number: Number) -> Line {
        Line {
            id: number.id,
            gid: self.owners.readers_of(&number.number),
            number: number.number,
        }
    }

    fn find(&self, is: impl Fn(&Line) -> bool) -> Result<Option<Line>, CatalogueError> {
        // A copy, so that nobody who asks again below waits for this lock.
        let known = (*self.known.read().unwrap_or_else(PoisonError::into_inner)).clone();
        if let Some(line) = known.iter().find(|line| is(line)) {
            return Ok(Some(line.clone()));
        }
        Ok(self.all()?.iter().find(|line| is(line)).cloned())
    }
}
