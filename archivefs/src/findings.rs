//! What is wrong with files of the tiers, remembered until it is mended: an alarm that nobody saw is
//! still there in `tsuwaroku status`. Fed by verification and by the background scrub.

use crate::catalogue::{Catalogue, CatalogueError};
use crate::vault::Vault;
use crate::verify::Finding;
use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use ulid::Ulid;

/// The findings that are open.
#[derive(Debug)]
pub struct Findings {
    catalogue: Arc<Catalogue>,
    open: Mutex<HashSet<String>>,
}

impl Findings {
    /// Those that the catalogue remembers.
    pub fn load(catalogue: Arc<Catalogue>) -> Result<Self, CatalogueError> {
        let findings = Self {
            catalogue,
            open: Mutex::default(),
        };
        let paths = findings
            .list()?
            .into_iter()
            .map(|(_, finding)| finding.path)
            .collect();
        *findings.lock() = paths;
        Ok(findings)
    }

    /// Enters one, and raises the alarm if it is new.
    pub fn enter(&self, finding: &Finding) {
        let path = finding.path.clone();
        if self.lock().insert(path.clone()) {
            log::error!("ALARM: {path}: {:?}: {}", finding.problem, finding.detail);
        }
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let content = serde_json::to_string(finding).expect("a finding is plain data");
        if let Err(error) = self
            .catalogue
            .enter_finding(path, now.as_nanos() as i64, content)
        {
            log::error!(
                "the finding on {} cannot be remembered: {error}",
                finding.path
            );
        }
    }

    /// The file at `path` was looked at and is good.
    pub fn clear(&self, path: &str) {
        if !self.lock().remove(path) {
            return;
        }
        log::warn!("{path} is good again");
        if let Err(error) = self.catalogue.remove_finding(path.to_owned()) {
            log::error!("the finding on {path} cannot be removed: {error}");
        }
    }

    /// The recording `id` was verified and is good, in every tier of `vault`.
    pub fn clear_recording(&self, vault: &Vault, id: Ulid) {
        for tier in vault.tiers() {
            self.clear(&tier.path(id).display().to_string());
        }
    }

    /// Whether something is open of the recording `id`.
    pub fn is_open(&self, vault: &Vault, id: Ulid) -> bool {
        let open = self.lock();
        !open.is_empty()
            && vault
                .tiers()
                .iter()
                .any(|tier| open.contains(&tier.path(id).display().to_string()))
    }

    /// Clears those on files that belonged to no recording and that somebody has taken away.
    pub fn clear_vanished(&self) {
        let Ok(list) = self.list() else { return };
        for (_, finding) in list {
            if finding.recording.is_none() && !Path::new(&finding.path).exists() {
                self.clear(&finding.path);
            }
        }
    }

    /// Every open one, and when it was first found, nanoseconds since 1970.
    pub fn list(&self) -> Result<Vec<(i64, Finding)>, CatalogueError> {
        let parse = |(at, content): (i64, String)| {
            let finding = serde_json::from_str(&content)
                .map_err(|error| CatalogueError::Damaged(format!("a finding: {error}")))?;
            Ok((at, finding))
        };
        self.catalogue.findings()?.into_iter().map(parse).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
