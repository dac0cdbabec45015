//! The service as its clients meet it: a device in a directory of its own, asked over a real socket.

mod log;
mod plans;

use super::api::log::*;
use super::api::{self, Status};
use super::client::{Client, ClientError};
use super::device::Device;
use super::service;
use crate::accounts::{Account, Accounts};
use crate::audit::{AuditFinding, Checkpoint, Draft, Event, Outcome, Record, Signer, VerifyingKey};
use crate::catalogue::tests::{add_checkpoint, change_record};
use crate::catalogue::{Catalogue, LogRow};
use crate::checkpoints::{Checkpoints, Troubles};
use crate::clock::now;
use crate::clock::own::Reading;
use crate::findings::Findings;
use crate::fs::Owners;
use crate::ingest::Progress;
use crate::life::{self, Life};
use crate::refusals::Refusals;
use crate::rights::Rights;
use crate::serve::{init, open_vault};
use chrono::Utc;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use tsuwaroku_config::Config;
use ulid::Ulid;

/// The uid of whoever asks.
const UID: u32 = 5000;

/// A daemon without a mount. Whoever connects is one account.
pub(crate) struct Daemon {
    folder: tempfile::TempDir,
    /// What it answers from.
    pub device: Arc<Device>,
    _runtime: tokio::runtime::Runtime,
}

impl Daemon {
    /// One whose callers are all called `account`: chief, officer, manager and clerk have a role each.
    /// It gives checkpoints to the file [`Self::notes`].
    pub fn start(account: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let (archive, _) = init(&config, Utc::now(), 7).unwrap();
        let vault = open_vault(&config, archive).unwrap();
        let database = config.archive.root.join("catalogue.sqlite");
        let signers = vault.keys().log_signers().unwrap();
        let log_keys = signers.iter().map(Signer::verifying_key).collect();
        let catalogue = Arc::new(Catalogue::open(&database, signers).unwrap());
        let rights = Rights::new(&config.roles, 1, |name| Err(name.to_owned())).unwrap();
        let known = move |_| {
            Ok(Account {
                uid: UID,
                name: account.into(),
                groups: vec![],
            })
        };
        let findings = Arc::new(Findings::load(catalogue.clone()).unwrap());
        let parts = life::Parts {
            catalogue: catalogue.clone(),
            vault: vault.clone(),
            findings: findings.clone(),
            caches: Arc::new(life::NoCaches),
            rules: life::Rules::for_all(config.retention.clone()),
            moves: life::MoveSettings::default(),
            wants_secondary: false,
            ballast: folder.path().join("ballast"),
            ballast_bytes: 1000,
        };
        let life = Life::open(parts, reading(now())).unwrap();
        let device = Arc::new(Device {
            findings,
            vault,
            life: Arc::new(life),
            spools: vec![],
            ingest: Arc::new(Progress::default()),
            mounted: Arc::new(AtomicBool::new(true)),
            since: Utc::now(),
            rights: Arc::new(rights),
            accounts: Arc::new(Accounts::new(Box::new(known))),
            owners: Owners::default(),
            refusals: Arc::new(Refusals::new(catalogue.clone())),
            checkpoints: Arc::new(Checkpoints {
                catalogue: catalogue.clone(),
                system_log: false,
                files: vec![folder.path().join("outside/notes")],
                troubles: Arc::new(Troubles::default()),
                keys: Mutex::new(log_keys),
                giving: Mutex::default(),
            }),
            catalogue,
            config,
        });
        let runtime = serve(&device);
        std::fs::create_dir(folder.path().join("outside")).unwrap();
        Self {
            folder,
            device,
            _runtime: runtime,
        }
    }

    /// Its configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.folder.path().join("tsuwaroku.toml")
    }

    /// Its database.
    pub fn database(&self) -> PathBuf {
        self.folder.path().join("root/catalogue.sqlite")
    }

    /// The outside file of checkpoints.
    pub fn notes(&self) -> PathBuf {
        self.folder.path().join("outside/notes")
    }

    fn client(&self) -> Client {
        Client::new(&self.device.config.archive.socket).unwrap()
    }

    /// What is listed, and whether there may be more.
    fn list(&self, request: &LogRequest) -> Result<(Vec<LogRecord>, bool), ClientError> {
        let (mut records, mut more) = (Vec::new(), None);
        self.client().get_lines(LOG, request, |event| {
            match event {
                LogEvent::Record(record) => records.push(*record),
                LogEvent::Done(end) => more = Some(end.more),
                LogEvent::Failed(reason) => panic!("{reason}"),
            }
            true
        })?;
        Ok((records, more.expect("the list has an end")))
    }

    fn verify(
        &self,
        request: &LogVerifyRequest,
    ) -> Result<(LogVerified, Vec<AuditFinding>), ClientError> {
        let (mut findings, mut verified) = (Vec::new(), None);
        self.client().post_lines(LOG_VERIFY, request, |event| {
            match event {
                LogVerifyEvent::Progress(_) => {}
                LogVerifyEvent::Finding(finding) => findings.push(finding),
                LogVerifyEvent::Done(end) => verified = Some(end),
                LogVerifyEvent::Failed(reason) => panic!("{reason}"),
            }
            true
        })?;
        Ok((verified.expect("the verification has an end"), findings))
    }

    fn checkpoint(&self) -> LogCheckpoint {
        self.client().post(LOG_CHECKPOINT, &()).unwrap()
    }

    /// The records so far, in order, those included that were to be written soon.
    pub fn records(&self) -> Vec<Record> {
        let last = Draft::new(0, Event::Stopped, Outcome::Done);
        self.device.catalogue.log(last).unwrap();
        let rows = self.device.catalogue.log_records(1, 10_000).unwrap();
        let parse = |row: &LogRow| Record::parse(&row.record).unwrap();
        let mut records: Vec<_> = rows.iter().map(parse).collect();
        assert_eq!(records.pop().unwrap().event, Event::Stopped);
        records
    }

    fn last_record(&self) -> Record {
        self.records().pop().unwrap()
    }
}

/// What the machine's clocks show when the wall clock shows `wall`, and all is well.
fn reading(wall: i64) -> Reading {
    Reading {
        wall,
        boot: wall,
        boot_id: "a".into(),
        synchronised: true,
    }
}

fn config(folder: &Path) -> Config {
    let at = |name: &str| folder.join(name).display().to_string();
    let text = format!(
        "[site]\nname = \"x\"\ntime_zone = \"Asia/Tokyo\"\n\
         [archive]\nroot = \"{}\"\nmount = \"{}\"\nsocket = \"{}\"\nmaster_key = \"{}\"\n\
         [capture]\nspool = \"{}\"\n\
         [roles]\nadministrators = [\"chief\"]\ninformation_security_officers = [\"officer\"]\n\
         device_managers = [\"manager\"]\nstaff = [\"clerk\"]\n\
         [[line]]\nnumber = \"06-6458-1132\"\nname = \"y\"\npurpose = \"z\"\n\
         card = \"hw:0\"\nchannel = 1\n",
        at("root"),
        at("mount"),
        at("control.sock"),
        at("master.key"),
        at("spool"),
    );
    let path = folder.join("tsuwaroku.toml");
    std::fs::write(&path, text).unwrap();
    Config::load(&path).unwrap()
}

fn serve(device: &Arc<Device>) -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let listener = service::listen(&device.config.archive.socket).unwrap();
    let listener = {
        let _inside = runtime.enter();
        tokio::net::UnixListener::from_std(listener).unwrap()
    };
    runtime.spawn(service::serve(listener, device.clone()));
    runtime
}

fn status_of(error: &ClientError) -> u16 {
    match error {
        ClientError::Refused(problem) => problem.status,
        other => panic!("{other}"),
    }
}
