//! The copies of the table of keys: one in each tier, with the secret that opens it beside it. Each
//! change is made in all of them before it is acknowledged, so that a tier, with the master key, gives
//! its recordings back wherever it is brought.
//!
//! A copy that cannot be changed is left behind, and told of: recording goes on. What it holds is
//! overwritten with the table as it is when it can be reached again. Of tables that differ the newest
//! that opens is believed.

use super::secret::{self, Secret};
use super::step::{Step, before};
use super::{KeyError, Keys, Ring, open_ring};
use crate::catalogue::{CatalogueError, KeyTable};
use crate::crypto::Key;
use crate::store::create_directories;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use ulid::Ulid;

/// The table in the directory of a copy.
const TABLE: &str = "keys.sqlite";

/// A copy of the table of keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyStatus {
    /// Its directory.
    pub place: String,
    /// Why it is not up to date, if it is not.
    pub trouble: Option<String>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Copies(Vec<Copy>);

#[derive(Debug)]
struct Copy {
    place: PathBuf,
    /// None if it is not up to date, because of `trouble`.
    table: Option<KeyTable>,
    trouble: String,
}

impl Copies {
    /// Makes `change` in each; one that fails is left behind from now on.
    pub fn change(&mut self, change: &mut dyn FnMut(&KeyTable) -> Result<(), CatalogueError>) {
        for copy in &mut self.0 {
            let outcome = copy.table.as_ref().map_or(Ok(()), &mut *change);
            copy.take(outcome.map_err(KeyError::from));
        }
    }

    /// Whether each is up to date.
    pub fn all_reached(&self) -> Result<(), KeyError> {
        match self.0.iter().find(|copy| copy.table.is_none()) {
            None => Ok(()),
            Some(copy) => Err(KeyError::CopyBehind {
                place: copy.place.clone(),
                reason: copy.trouble.clone(),
            }),
        }
    }

    pub fn status(&self) -> Vec<CopyStatus> {
        let status = |copy: &Copy| CopyStatus {
            place: copy.place.display().to_string(),
            trouble: copy.table.is_none().then(|| copy.trouble.clone()),
        };
        self.0.iter().map(status).collect()
    }

    /// Writes `new` into each that is up to date, beside the secret of its table.
    pub fn put_secret(&mut self, new: &Secret, kept: u32) {
        for copy in &mut self.0 {
            if copy.table.is_some() {
                copy.take(secret::put(&copy.secret(), new, Some(kept)));
            }
        }
    }

    /// Brings each up to date with `table`, whose secret is `secret`: all of them, or those only that
    /// were left behind.
    pub fn bring_up(&mut self, table: &KeyTable, secret: Option<&Secret>, all: bool) {
        for copy in &mut self.0 {
            if all || copy.table.is_none() {
                let outcome = copy.bring_up(table, secret);
                copy.take(outcome);
            }
        }
    }
}

impl Copy {
    fn table(&self) -> PathBuf {
        self.place.join(TABLE)
    }

    fn secret(&self) -> PathBuf {
        secret::path_beside(&self.table())
    }

    fn take(&mut self, outcome: Result<(), KeyError>) {
        if let Err(error) = outcome {
            let place = self.place.display();
            log::error!("ALARM: the copy of the keys in {place} is not up to date: {error}");
            self.trouble = error.to_string();
            self.table = None;
        }
    }

    /// Puts what `table` holds in the place of what the copy held, which is destroyed. Killed anywhere,
    /// it can be done again.
    fn bring_up(&mut self, table: &KeyTable, secret: Option<&Secret>) -> Result<(), KeyError> {
        let path = self.table();
        create_directories(&self.place)?;
        let former = if path.exists() {
            KeyTable::open(&path).and_then(|former| former.state()).ok()
        } else {
            None
        };
        if let Some(secret) = secret {
            secret::put(&self.secret(), secret, former.map(|state| state.generation))?;
        }
        before(Step::Copy)?;
        table.copy_beside(&path)?;
        before(Step::PublishCopy)?;
        match self.table.take() {
            Some(open) => open.publish()?,
            None => KeyTable::publish_beside(&path)?,
        }
        before(Step::DestroyFormerCopy)?;
        finish(&path, secret)?;
        self.table = Some(KeyTable::open(&path)?);
        Ok(())
    }
}

/// Destroys what was beside the table at `path`, and every secret but `secret`.
pub(super) fn finish(path: &Path, secret: Option<&Secret>) -> Result<(), KeyError> {
    KeyTable::destroy_draft(path)?;
    before(Step::ForgetSecret)?;
    match secret {
        Some(secret) => secret::keep_only(&secret::path_beside(path), secret.generation),
        None => Ok(()),
    }
}

impl Keys {
    /// Makes an end of what was left unfinished, and keeps a copy in each of `folders`, the tiers'. Only
    /// for whoever has locked the archive.
    pub fn settle(&self, folders: impl IntoIterator<Item = PathBuf>) -> Result<(), KeyError> {
        let mut copies = self.changing();
        *copies = Copies(folders.into_iter().map(unseen).collect());
        self.adopt_newer(&copies)?;
        let secret = self.secret()?;
        finish(self.table.path(), secret.as_ref())?;
        let state = self.table.state()?;
        for copy in &mut copies.0 {
            let path = copy.table();
            let same = path.exists()
                && KeyTable::open(&path).and_then(|table| table.state()).ok() == Some(state)
                && open_copy(&path, self.archive, &self.master).is_ok();
            if same {
                let opened = finish(&path, secret.as_ref())
                    .and_then(|()| Ok(copy.table.insert(KeyTable::open(&path)?)))
                    .map(drop);
                copy.take(opened);
            }
        }
        copies.bring_up(&self.table, secret.as_ref(), false);
        Ok(())
    }

    /// Brings copies up to date that were left behind.
    pub(super) fn catch_up(&self, copies: &mut Copies) -> Result<(), KeyError> {
        let secret = self.secret()?;
        copies.bring_up(&self.table, secret.as_ref(), false);
        Ok(())
    }

    /// The secret of the table as it is; none if it is from before there were generations.
    pub(super) fn secret(&self) -> Result<Option<Secret>, KeyError> {
        let generation = self.ring().generation;
        secret::get(&secret::path_beside(self.table.path()), generation)
    }

    /// Takes the newest copy that opens for the table, if it is newer: the table was brought from an
    /// old copy.
    fn adopt_newer(&self, copies: &Copies) -> Result<(), KeyError> {
        let places = copies.0.iter().map(Copy::table);
        let (newest, _) = newest_of(places, self.archive, &self.master);
        let Some((newest, ring)) = newest else {
            return Ok(());
        };
        if newest.state()? <= self.table.state()? {
            return Ok(());
        }
        let (from, onto) = (newest.path().to_owned(), self.table.path());
        log::warn!(
            "ALARM: {} was older than {}, and is replaced by it",
            onto.display(),
            from.display()
        );
        let mut own = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        bring_secret(&from, onto, ring.generation, Some(own.generation))?;
        newest.copy_beside(onto)?;
        self.table.publish()?;
        *own = ring;
        Ok(())
    }

    /// Makes the table of keys of `archive` at `path`, where there is none, from the newest copy in
    /// `folders` that opens; answers where that was.
    ///
    /// # Errors
    /// There is a table, or no copy opens.
    pub fn recover(
        path: &Path,
        archive: Ulid,
        master: &Key,
        folders: impl IntoIterator<Item = PathBuf>,
    ) -> Result<PathBuf, KeyError> {
        if path.exists() {
            let there = format!("{}: is there already", path.display());
            return Err(CatalogueError::Place(there).into());
        }
        let places = folders.into_iter().map(|folder| folder.join(TABLE));
        let (newest, reasons) = newest_of(places, archive, master);
        let (newest, ring) = newest.ok_or_else(|| KeyError::NoCopy(reasons.join("; ")))?;
        if let Some(folder) = path.parent() {
            create_directories(folder)?;
        }
        bring_secret(newest.path(), path, ring.generation, None)?;
        newest.copy_beside(path)?;
        KeyTable::publish_beside(path)?;
        Ok(newest.path().to_owned())
    }
}

fn unseen(place: PathBuf) -> Copy {
    Copy {
        place,
        table: None,
        trouble: "it was not looked at yet".into(),
    }
}

/// The newest of the tables at `places` that opens, and why others do not.
fn newest_of(
    places: impl Iterator<Item = PathBuf>,
    archive: Ulid,
    master: &Key,
) -> (Option<(KeyTable, Ring)>, Vec<String>) {
    let mut reasons = Vec::new();
    let mut newest: Option<(KeyTable, Ring)> = None;
    for path in places {
        let state = |table: &KeyTable| table.state().unwrap_or_default();
        match open_copy(&path, archive, master) {
            Ok((table, ring)) => {
                if newest
                    .as_ref()
                    .is_none_or(|(best, _)| state(best) < state(&table))
                {
                    newest = Some((table, ring));
                }
            }
            Err(error) => reasons.push(format!("{}: {error}", path.display())),
        }
    }
    (newest, reasons)
}

fn open_copy(path: &Path, archive: Ulid, master: &Key) -> Result<(KeyTable, Ring), KeyError> {
    let table = KeyTable::open(path)?;
    let ring = open_ring(&table, archive, master)?;
    Ok((table, ring))
}

/// Writes the secret of `generation`, as it is beside the table `from`, beside the one at `onto`.
fn bring_secret(
    from: &Path,
    onto: &Path,
    generation: u32,
    kept: Option<u32>,
) -> Result<(), KeyError> {
    match secret::get(&secret::path_beside(from), generation)? {
        Some(secret) => secret::put(&secret::path_beside(onto), &secret, kept),
        None => Ok(()),
    }
}
