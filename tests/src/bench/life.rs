//! What the life of recordings costs: the plan of a sweep over a large archive, moves beside what Debian's
//! own programs need to copy as safely, and the erasure of one recording.

use super::catalogue::{FIRST_MS, birth, call, fill, signers};
use super::table::{self, Row, Target, median};
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;
use tsuwaroku::audit::Who;
use tsuwaroku::call::Call;
use tsuwaroku::catalogue::{Catalogue, NewPlan, Wish};
use tsuwaroku::clock::own::Reading;
use tsuwaroku::crypto::Key;
use tsuwaroku::findings::Findings;
use tsuwaroku::keys::Keys;
use tsuwaroku::life::{BALLAST_BYTES, Life, MoveSettings, NoCaches, Parts, Rules, plan};
use tsuwaroku::store::{Sealed, Store};
use tsuwaroku::vault::Vault;
use tsuwaroku::wav;
use tsuwaroku_config::{PeriodRule, Retention};
use ulid::Ulid;

use crate::noise::scramble;

const DAY_MS: i64 = 86_400_000;
/// Audio of a recording that is moved or erased, seconds: an object of some 60 KB.
const SECONDS: u64 = 8;
/// Erasures whose median counts.
const ERASURES: usize = 50;

/// How much to measure.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// Recordings of the archive that a sweep is planned for.
    pub rows: u64,
    /// Recordings that are moved.
    pub moves: u64,
}

/// Measures, prints the table and answers whether every target holds.
///
/// # Errors
/// The disk fails, or a program of Debian is missing.
pub fn measure(extent: Extent) -> io::Result<bool> {
    let mut rows = vec![plan_row(extent.rows)?];
    rows.extend(moves_and_erasures(extent.moves)?);
    Ok(table::print("life of recordings", "value", &rows))
}

/// All of an archive is past one of its periods at once, as after a change of the rules.
fn plan_row(rows: u64) -> io::Result<Row> {
    let dir = folder()?;
    let catalogue = fill(&dir.path().join("catalogue.sqlite"), rows)?;
    let days = catalogue
        .days(None, 0..=u32::MAX)
        .map_err(io::Error::other)?;
    let last = days.last().copied().ok_or(io::ErrorKind::NotFound)?;
    let rules = Rules::for_all(retention(1, 2));
    let begun = Instant::now();
    let sweep = plan(&catalogue, &rules, last, true).map_err(io::Error::other)?;
    let seconds = begun.elapsed().as_secs_f64();
    let due = sweep.erase.len() + sweep.moves.len();
    Ok(Row {
        what: format!("plan over {rows} recordings, {due} due, s"),
        ours: format!("{seconds:.2} s"),
        peer: "–".into(),
        value: seconds,
        target: Target::AtMost(2.0),
    })
}

fn retention(primary_months: u16, secondary_months: u16) -> Retention {
    Retention {
        rule: PeriodRule::CivilCode,
        primary_months,
        secondary_months,
        external_years: 5,
    }
}

fn folder() -> io::Result<tempfile::TempDir> {
    tempfile::Builder::new()
        .prefix("tsuwaroku-bench-")
        .tempdir()
}

fn moves_and_erasures(count: u64) -> io::Result<Vec<Row>> {
    let dir = folder()?;
    let (life, ids, bytes) = archive(dir.path(), count)?;
    let peer = copy_as_others(dir.path())?;
    let now = reading(count, 40).wall;
    let begun = Instant::now();
    let stop = AtomicBool::new(false);
    let swept = life
        .sweep(now, &stop, &mut |_| {})
        .map_err(io::Error::other)?;
    let ours = begun.elapsed().as_secs_f64();
    if swept.moves.moved as u64 != count {
        return Err(io::Error::other(format!("{:?}", swept.moves)));
    }
    let erasure = erase_some(&life, &ids, now)?;
    let rate = |seconds: f64| format!("{:.0}/s", count as f64 / seconds);
    Ok(vec![
        Row {
            what: format!(
                "{count} moves of {} KB, ratio to cp, sync, sha256sum",
                bytes / count / 1000
            ),
            ours: rate(ours),
            peer: rate(peer),
            value: peer / ours,
            target: Target::AtLeast(0.7),
        },
        Row {
            what: "erasure of one, syncs included, ms".into(),
            ours: format!("{erasure:.1} ms"),
            peer: "–".into(),
            value: erasure,
            target: Target::AtMost(100.0),
        },
    ])
}

/// An archive with `count` recordings in its primary tier, all past their first period; and how many bytes
/// their objects have.
fn archive(dir: &Path, count: u64) -> io::Result<(Life, Vec<Ulid>, u64)> {
    let other = io::Error::other::<Box<dyn std::error::Error + Send + Sync>>;
    let (archive, master) = (birth().archive, Key::random()?);
    for tier in ["primary", "secondary"] {
        Store::init(&dir.join(tier), archive, tier).map_err(io::Error::other)?;
    }
    let store = |tier: &str| Store::open(&dir.join(tier), archive).map_err(io::Error::other);
    Keys::init(&dir.join("keys"), archive, &master).map_err(io::Error::other)?;
    let keys = Keys::open(&dir.join("keys"), archive, master).map_err(io::Error::other)?;
    let vault = Vault::new(vec![store("primary")?, store("secondary")?], Arc::new(keys));
    let path = dir.join("catalogue.sqlite");
    Catalogue::init(&path, birth()).map_err(io::Error::other)?;
    let catalogue = Arc::new(Catalogue::open(&path, signers()?).map_err(io::Error::other)?);
    let mut calls = Vec::new();
    for n in 0..count {
        calls.push(store_one(&vault, n).map_err(other)?);
    }
    let ids = calls.iter().map(|(call, _)| call.id).collect();
    let bytes = calls.iter().map(|(_, sealed)| sealed.stored_bytes).sum();
    catalogue.archive_many(calls).map_err(io::Error::other)?;
    let parts = Parts {
        findings: Arc::new(Findings::load(catalogue.clone()).map_err(io::Error::other)?),
        catalogue,
        vault,
        caches: Arc::new(NoCaches),
        rules: Rules::for_all(retention(1, 12)),
        moves: MoveSettings::default(),
        wants_secondary: true,
        ballast: dir.join("ballast"),
        ballast_bytes: BALLAST_BYTES,
    };
    let life = Life::open(parts, reading(count, 40)).map_err(io::Error::other)?;
    Ok((life, ids, bytes))
}

/// The clocks `days` after the last of `count` calls.
fn reading(count: u64, days: i64) -> Reading {
    let last = call(count).id.timestamp_ms().max(FIRST_MS) as i64;
    Reading {
        wall: (last + days * DAY_MS) * 1_000_000,
        boot: 1,
        boot_id: "bench".into(),
        synchronised: true,
    }
}

type Stored = Result<(Call, Sealed), Box<dyn std::error::Error + Send + Sync>>;

/// Noise, which does not compress: what is measured is moving bytes.
fn store_one(vault: &Vault, n: u64) -> Stored {
    let mut call = call(n);
    call.frames = SECONDS * u64::from(call.layout.rate);
    let zone = birth().time_zone;
    let mut object = vault.begin(&call, &wav::Frame::around(&call, zone))?;
    let sample = |at: u64| (scramble(n << 20 | at) as i16 >> 4).to_le_bytes();
    let samples: Vec<u8> = (0..call.frames).flat_map(sample).collect();
    object.samples(&samples)?;
    let sealed = object.publish()?;
    Ok((call, sealed))
}

/// The same objects by Debian's programs: copied, synced one by one, digested. Seconds.
fn copy_as_others(dir: &Path) -> io::Result<f64> {
    let (from, to) = (dir.join("primary/objects"), dir.join("copy"));
    let script = "cp -r \"$0\" \"$1\" && find \"$1\" -exec sync {} + \
        && find \"$1\" -type f -exec sha256sum {} + > /dev/null";
    let begun = Instant::now();
    let status = Command::new("sh")
        .args(["-c", script])
        .args([&from, &to])
        .status()?;
    if !status.success() {
        return Err(io::Error::other("the peer's programs failed"));
    }
    let seconds = begun.elapsed().as_secs_f64();
    std::fs::remove_dir_all(to)?;
    Ok(seconds)
}

/// The median of erasures on request, each from the approval to the last byte that is removed,
/// milliseconds.
fn erase_some(life: &Life, ids: &[Ulid], now: i64) -> io::Result<f64> {
    let who = |uid: u32| Who {
        uid,
        gid: 0,
        name: format!("user{uid}"),
        pid: None,
        exe: None,
    };
    let mut milliseconds = Vec::new();
    for &id in ids.iter().take(ERASURES) {
        let wish = NewPlan {
            wish: Wish::Erase(vec![id]),
            ground: "measured".into(),
            application: None,
            by: who(1),
        };
        let plan = life.ask(now, wish).map_err(io::Error::other)?;
        let begun = Instant::now();
        life.approve(now, plan, who(2)).map_err(io::Error::other)?;
        milliseconds.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    Ok(median(&milliseconds))
}
