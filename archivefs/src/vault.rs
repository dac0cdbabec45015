//! The recordings' objects with the keys that open them: what the rest of the program asks when it
//! wants a recording's audio. The tiers are stores; a recording's object is in one of them, or in two
//! while it moves.

use crate::call::Call;
use crate::crypto::Key;
use crate::keys::{KeyError, Keys};
use crate::store::{NewObject, Object, Store, StoreError, Tier};
use crate::wav;
use std::sync::Arc;
use thiserror::Error;
use ulid::Ulid;

/// Why a recording's object cannot be had.
#[derive(Debug, Error)]
pub enum VaultError {
    /// Its key cannot be had.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Its object cannot be had.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No tier has it.
    #[error("no tier has the object of {0}")]
    Missing(Ulid),
}

/// The tiers and the keys.
#[derive(Debug, Clone)]
pub struct Vault {
    tiers: Arc<[Store]>,
    keys: Arc<Keys>,
}

impl Vault {
    /// The vault of these `tiers`, in the order of [`Tier::ALL`].
    ///
    /// # Panics
    /// There is no tier.
    pub fn new(tiers: Vec<Store>, keys: Arc<Keys>) -> Self {
        assert!(!tiers.is_empty(), "a vault has a primary tier");
        Self {
            tiers: tiers.into(),
            keys,
        }
    }

    /// Where new recordings go.
    pub fn primary(&self) -> &Store {
        &self.tiers[0]
    }

    /// Every tier, the primary one first.
    pub fn tiers(&self) -> &[Store] {
        &self.tiers
    }

    /// The store of `tier`, if it is there.
    pub fn tier(&self, tier: Tier) -> Option<&Store> {
        let place = Tier::ALL.iter().position(|&one| one == tier)?;
        self.tiers.get(place)
    }

    /// The keys.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Begins the object of `call` in the primary tier.
    pub fn begin(&self, call: &Call, wav: &wav::Frame) -> Result<NewObject, VaultError> {
        let key = self.keys.get_or_create(call.id)?;
        Ok(self.primary().begin(call, wav, &key)?)
    }

    /// Opens the object of `id` in the first tier that has it.
    pub fn open(&self, id: Ulid) -> Result<Object, VaultError> {
        let key = self.keys.get(id)?;
        for tier in self.tiers.iter() {
            match tier.open_object(id, &key) {
                Err(error) if error.is_missing() => {}
                other => return Ok(other?),
            }
        }
        Err(VaultError::Missing(id))
    }

    /// The same, from `tier` first: where its row says that it is, no other disk is waited for.
    pub fn open_in(&self, tier: Tier, id: Ulid) -> Result<Object, VaultError> {
        if let Some(store) = self.tier(tier) {
            let object = store.open_object(id, &self.keys.get(id)?);
            if !object.as_ref().is_err_and(StoreError::is_missing) {
                return Ok(object?);
            }
        }
        // It is moving.
        self.open(id)
    }

    /// Whether nothing can be said of the recording `id`: it rests in `tier`, which is not there, and no
    /// other tier has a copy.
    pub fn is_away(&self, tier: Tier, id: Ulid) -> bool {
        self.tier(tier).is_none() && !self.tiers.iter().any(|there| there.path(id).exists())
    }

    /// Destroys key and objects of the recording `id`, which was erased.
    pub fn destroy(&self, id: Ulid) -> Result<(), VaultError> {
        self.keys.destroy(id)?;
        for tier in self.tiers.iter() {
            tier.destroy(&[id])?;
        }
        Ok(())
    }

    /// Each tier's copy of the object of `id`, where it has one.
    pub fn copies(&self, id: Ulid) -> Result<Vec<Copy<'_>>, VaultError> {
        let key = self.keys.get(id)?;
        let has = |tier: &&Store| tier.path(id).exists();
        Ok(self
            .tiers
            .iter()
            .filter(has)
            .map(|tier| Copy {
                tier,
                key: key.clone(),
                id,
            })
            .collect())
    }
}

/// One tier's copy of an object.
#[derive(Debug)]
pub struct Copy<'a> {
    /// The tier.
    pub tier: &'a Store,
    key: Key,
    id: Ulid,
}

impl Copy<'_> {
    /// Opens it.
    pub fn open(&self) -> Result<Object, StoreError> {
        self.tier.open_object(self.id, &self.key)
    }

    /// Puts a copy of `good` in its place; what stood there is set aside.
    pub fn replace_by(&self, good: &Copy<'_>) -> Result<(), StoreError> {
        self.tier.replace(self.id, &good.tier.path(self.id))
    }
}
