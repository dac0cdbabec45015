//! Handles that were given out.

use super::FsError;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What is open, by its handle.
#[derive(Debug)]
pub(super) struct Table<T> {
    next: AtomicU64,
    open: Mutex<HashMap<u64, Arc<T>>>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            next: AtomicU64::new(1),
            open: Mutex::default(),
        }
    }
}

impl<T> Table<T> {
    pub fn add(&self, value: T) -> u64 {
        let handle = self.next.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(handle, Arc::new(value));
        handle
    }

    pub fn get(&self, handle: u64) -> Result<Arc<T>, FsError> {
        self.lock().get(&handle).cloned().ok_or(FsError::BadHandle)
    }

    pub fn remove(&self, handle: u64) -> Option<Arc<T>> {
        self.lock().remove(&handle)
    }

    /// Everything that is open.
    pub fn all(&self) -> Vec<Arc<T>> {
        self.lock().values().cloned().collect()
    }

    /// Everything that is open, which is closed by this.
    pub fn drain(&self) -> Vec<Arc<T>> {
        self.lock().drain().map(|(_, value)| value).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<T>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
