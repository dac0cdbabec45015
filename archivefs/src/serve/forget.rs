//! Forgetting what was erased, everywhere in memory: first who has it open fails, then its blocks are
//! dropped, then the kernel is told, by a thread that answers no request and is given a limited time. A
//! kernel that does not forget in time loses the whole mount.

use crate::catalogue::Tombstone;
use crate::fs::{Announcer, Gate, Mount};
use crate::life::Caches;
use crate::views::Node;
use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How long the kernel may take. A read that waits for a hanging disk ends by itself before.
const PATIENCE: Duration = Duration::from_secs(15);

/// Forgets; nothing before the archive is served, because nobody has anything then.
#[derive(Debug, Default)]
pub(super) struct Forgetter(OnceLock<Served>);

/// What is served.
#[derive(Debug)]
struct Served {
    gate: Arc<Gate>,
    announcer: Announcer,
    mount: PathBuf,
}

impl Forgetter {
    /// From now on the archive is served by `gate` at `mount`.
    pub fn serves(&self, gate: Arc<Gate>, mount: &Mount) {
        if let Some(announcer) = mount.announcer() {
            let mount = mount.path().to_owned();
            let _ = self.0.set(Served {
                gate,
                announcer,
                mount,
            });
        }
    }
}

impl Caches for Forgetter {
    fn forget(&self, erased: &Tombstone) {
        let Some(served) = self.0.get() else { return };
        served.gate.forget(erased.key);
        let (done, finished) = channel();
        let (announcer, file) = (served.announcer.clone(), Node::File(erased.key));
        let tell = move || {
            announcer.forget(file);
            let _ = done.send(());
        };
        let told = std::thread::Builder::new()
            .name("forget".into())
            .spawn(tell);
        if told.is_err() || finished.recv_timeout(PATIENCE).is_err() {
            log::error!(
                "ALARM: the kernel does not forget {}: the mount is ended by force",
                erased.id
            );
            Mount::abort(&served.mount);
        }
    }
}
