//! What can go wrong with the catalogue, and what to do about it.

use thiserror::Error;

/// What can go wrong with the catalogue.
#[derive(Debug, Error)]
pub enum CatalogueError {
    /// The database or its disk failed.
    #[error("the catalogue: {0}")]
    Database(#[from] rusqlite::Error),
    /// A change could not be made durable; nothing of it is in the archive.
    #[error("the catalogue cannot be written: {0}; is the disk full?")]
    NotCommitted(String),
    /// The database holds what no version of this program writes.
    #[error("the catalogue is damaged: {0}")]
    Damaged(String),
    /// The database needs a newer program.
    #[error(
        "the catalogue has schema {found}, this version knows up to {known}: upgrade tsuwaroku"
    )]
    Future {
        /// Its schema.
        found: usize,
        /// The newest one that this program knows.
        known: usize,
    },
    /// There is no archive at this place, or there is one already.
    #[error("{0}")]
    Place(String),
    /// A recording that cannot be, whatever its object says.
    #[error("the recording {0}")]
    Impossible(String),
    /// The writer has stopped.
    #[error("the catalogue is closed")]
    Closed,
}
