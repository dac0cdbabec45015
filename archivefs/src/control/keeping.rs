//! What the daemon does for the keeping of its archive: seals keys anew, gives the master key into
//! escrow, copies the catalogue. Each is logged with who asked for it, and with what came of it.

use super::api::Problem;
use super::api::keeping::{
    BackupDone, BackupEvent, BackupProgress, BackupRequest, Escrow, EscrowRequest, RotateEvent,
};
use super::device::{Device, who};
use crate::audit::{Draft, Event, Outcome};
use crate::backup::{self, BackedUp, BackupError, Source};
use crate::catalogue::CatalogueError;
use crate::clock::now;
use crate::crypto::hex;
use crate::keys::escrow::{self, EscrowError};
use crate::rights::Actor;
use axum::http::StatusCode;
use chrono::Utc;
use sha2::{Digest, Sha256};
use std::path::Path;
use tokio::sync::mpsc;

impl Device {
    /// Seals all keys anew and tells `events`; logged before it is answered.
    pub(super) fn rotate_keys(&self, actor: &Actor, events: &mpsc::Sender<RotateEvent>) {
        let keys = self.vault.keys();
        let event = match keys.rotate_logged(&self.catalogue, Some(who(actor))) {
            Ok(rotated) => RotateEvent::Done(rotated),
            Err(error) => RotateEvent::Failed(error.to_string()),
        };
        // Whoever asked may have gone away.
        let _ = events.blocking_send(event);
    }

    /// The master key, sealed to whom `request` names; logged before it is given out.
    pub(super) fn escrow_keys(
        &self,
        actor: &Actor,
        request: &EscrowRequest,
    ) -> Result<Escrow, Problem> {
        let master = self.vault.keys().master();
        let sealed = escrow::seal(master, &request.recipients).map_err(|error| match error {
            EscrowError::Io(_) => {
                let advice = "try again";
                let internal = StatusCode::INTERNAL_SERVER_ERROR;
                Problem::new(internal, "keys", error.to_string(), advice)
            }
            _ => Problem::bad_request(error.to_string()),
        })?;
        let draft = Draft::new(now(), Event::Keys, Outcome::Done)
            .by(who(actor))
            .with("action", "escrow")
            .with("recipients", request.recipients.join(" "))
            .with("sha256", hex(&Sha256::digest(&sealed)));
        self.catalogue.log(draft)?;
        let master = master.fingerprint();
        Ok(Escrow { master, sealed })
    }

    /// Copies the catalogue to where `request` says, and tells `events`; logged before the last of them.
    pub(super) fn back_up(
        &self,
        actor: &Actor,
        request: &BackupRequest,
        events: &mpsc::Sender<BackupEvent>,
    ) {
        let outcome = self.copy_catalogue(Path::new(&request.directory), events);
        let draft = |result| Draft::new(now(), Event::BackedUp, result).by(who(actor));
        let (draft, event) = match outcome {
            Ok(BackedUp { place, manifest }) => {
                let place = place.display().to_string();
                let draft = draft(Outcome::Done)
                    .with("place", &place)
                    .with("records", manifest.log_records)
                    .with("sha256", manifest.catalogue_sha256());
                (draft, BackupEvent::Done(BackupDone { place, manifest }))
            }
            Err(error) => (
                draft(Outcome::Failed)
                    .with("place", &request.directory)
                    .with("reason", &error),
                BackupEvent::Failed(error.to_string()),
            ),
        };
        let event = match self.catalogue.log(draft) {
            Ok(()) => event,
            Err(error) => BackupEvent::Failed(unlogged(&error)),
        };
        // Whoever asked may have gone away.
        let _ = events.blocking_send(event);
    }

    fn copy_catalogue(
        &self,
        directory: &Path,
        events: &mpsc::Sender<BackupEvent>,
    ) -> Result<BackedUp, BackupError> {
        let source = Source {
            catalogue: self.catalogue.path(),
            birth: self.catalogue.birth(),
            configuration: &self.config.path,
        };
        let mut tell = |copied, total| {
            // A caller that reads slowly misses steps.
            let _ = events.try_send(BackupEvent::Progress(BackupProgress { copied, total }));
        };
        backup::back_up(source, directory, Utc::now(), &mut tell)
    }
}

fn unlogged(error: &CatalogueError) -> String {
    format!("it was done, and could not be logged: {error}")
}
