//! Why the file system refuses, and the errno that says so. No wildcard: a new reason needs a
//! decision.

use crate::accounts::NoAnswer;
use crate::catalogue::CatalogueError;
use crate::rights::Denied;
use crate::store::StoreError;
use crate::vault::VaultError;
use nix::errno::Errno;
use thiserror::Error;
use ulid::Ulid;

/// Why a request is refused.
#[derive(Debug, Error)]
pub enum FsError {
    /// There is nothing of that name or number.
    #[error("not found")]
    NotFound,
    /// A file was used as a directory.
    #[error("not a directory")]
    NotAFolder,
    /// A directory was opened as a file.
    #[error("is a directory")]
    IsAFolder,
    /// There is no such extended attribute.
    #[error("no such attribute")]
    NoAttribute,
    /// A handle that was never given out, or was released.
    #[error("not an open handle")]
    BadHandle,
    /// Whoever asks: nothing can be changed through the mount (R5.2).
    #[error("the archive is read-only")]
    ReadOnly,
    /// Whoever asks has no right to it.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Nobody says who asks, so nothing is decided.
    #[error(transparent)]
    Unknown(#[from] NoAnswer),
    /// The daemon stops.
    #[error("the archive is being closed")]
    Closing,
    /// The disk has not answered in time.
    #[error("the disk of the tier does not answer")]
    Late,
    /// The access cannot be logged, so it does not take place (R3.2).
    #[error("the access cannot be logged, so it is refused: {0}")]
    NotLogged(CatalogueError),
    /// The object is whole, but it is not what the catalogue holds under this identity.
    #[error("the object of {0} is not the recording that was archived: run tsuwaroku verify")]
    NotTheRecording(Ulid),
    /// The catalogue cannot answer.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// The object cannot be opened.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The object cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl FsError {
    /// What the caller's system call returns.
    pub fn errno(&self) -> Errno {
        match self {
            Self::NotFound => Errno::ENOENT,
            Self::NotAFolder => Errno::ENOTDIR,
            Self::IsAFolder => Errno::EISDIR,
            Self::NoAttribute => Errno::ENODATA,
            Self::BadHandle => Errno::EBADF,
            Self::ReadOnly => Errno::EROFS,
            Self::Denied(_) => Errno::EACCES,
            Self::Late | Self::NotLogged(_) | Self::Unknown(_) | Self::Closing => Errno::EIO,
            Self::NotTheRecording(_) | Self::Catalogue(_) | Self::Vault(_) | Self::Store(_) => {
                Errno::EIO
            }
        }
    }

    /// Whether the operator must hear of it: not what a mistyped name causes.
    pub fn is_fault(&self) -> bool {
        self.errno() == Errno::EIO
    }
}
