//! The catalogue with millions of rows, and the comparison of rows with the store's directories.
//!
//! The office that the rows are of: 110 lines with 50 calls a day, 5,500 together, between 9 and 18
//! o'clock; four calls of five show the other party's number. Ten million are five years of that.

use super::cpu;
use super::table::{self, Row, Target, median};
use crate::noise::scramble;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use tsuwaroku::audit::Signer;
use tsuwaroku::call::{Call, Direction, Layout};
use tsuwaroku::catalogue::{Birth, Catalogue, CatalogueError, Filter, Number};
use tsuwaroku::crypto::Key;
use tsuwaroku::day::Day;
use tsuwaroku::keys::Keys;
use tsuwaroku::store::{Sealed, Store};
use tsuwaroku::vault::Vault;
use tsuwaroku::verify::{Event, verify_metadata};
use tsuwaroku_spool::{Encoding, EndReason};
use ulid::Ulid;

const LINES: u64 = 110;
const CALLS_A_DAY: u64 = 5500;
const DAY_MS: u64 = 86_400_000;
/// Nine hours.
const OPEN_MS: u64 = 32_400_000;
/// 2021-01-01 09:00 in Tokyo.
pub(super) const FIRST_MS: u64 = 1_609_459_200_000;
/// Numbers that call the office.
const CALLERS: u64 = 1_000_000;

/// Rows that enter in one commit.
const CHUNK: u64 = 500_000;

/// Questions of a kind whose median counts.
const QUESTIONS: u64 = 300;

/// Times that each is asked; the least counts, which is the one that others disturbed least.
const TIMES: usize = 3;

/// How much to measure.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// Rows of the catalogue.
    pub rows: u64,
    /// Objects that rows are compared with.
    pub objects: u64,
    /// Comparisons whose median counts.
    pub runs: usize,
}

/// Measures, prints the table and answers whether every target holds.
///
/// # Errors
/// The disk fails, or the catalogue answers what cannot be.
pub fn measure(extent: Extent) -> io::Result<bool> {
    let dir = tempfile::Builder::new()
        .prefix("tsuwaroku-bench-")
        .tempdir()?;
    let begun = Instant::now();
    let path = dir.path().join("catalogue.sqlite");
    let catalogue = fill(&path, extent.rows)?;
    let filled = begun.elapsed();
    let mut rows = queries(&catalogue, extent.rows)?;
    drop(catalogue);
    rows.insert(0, size_row(&path, extent.rows)?);
    rows.push(compare_row(extent)?);
    let title = format!(
        "catalogue: {} rows, filled in {:.0} s; {QUESTIONS} questions of a kind, median CPU time, warm",
        extent.rows,
        filled.as_secs_f64()
    );
    Ok(table::print(&title, "value", &rows))
}

pub(super) fn fill(path: &Path, rows: u64) -> io::Result<Catalogue> {
    let birth = birth();
    Catalogue::init(path, birth).map_err(io::Error::other)?;
    let catalogue = Catalogue::open(path, signers()?).map_err(io::Error::other)?;
    for first in (0..rows).step_by(CHUNK as usize) {
        let calls = (first..rows.min(first + CHUNK)).map(|n| (call(n), sealed(n)));
        catalogue.archive_many(calls).map_err(io::Error::other)?;
    }
    Ok(catalogue)
}

/// A key for the log of a benchmark.
pub(super) fn signers() -> io::Result<Vec<Signer>> {
    let signer = Signer::new("tsuwaroku/bench", [1; 32]).map_err(io::Error::other)?;
    Ok(vec![signer])
}

pub(super) fn birth() -> Birth {
    let time_zone = "Asia/Tokyo".parse().expect("there is a Tokyo");
    Birth {
        archive: Ulid::from_parts(1, 1),
        time_zone,
    }
}

/// The `n`th call of the office.
pub(super) fn call(n: u64) -> Call {
    let dice = scramble(n);
    let (day, of_day) = (n / CALLS_A_DAY, n % CALLS_A_DAY);
    let within = of_day * OPEN_MS / CALLS_A_DAY + dice % 5000;
    let milliseconds = FIRST_MS + day * DAY_MS + within;
    let frames = 8000 * (10 + (dice >> 16 & 0x1FF)) + dice % 8000;
    let started_at = milliseconds as i64 * 1_000_000 + (dice % 1_000_000) as i64;
    Call {
        id: Ulid::from_parts(
            milliseconds,
            u128::from(scramble(!n)) << 16 | u128::from(dice as u16),
        ),
        number: number(dice >> 32),
        started_at,
        ended_at: started_at + (frames * 125_000) as i64,
        frames,
        pre_roll: 16_000,
        layout: Layout {
            rate: 8000,
            channels: 1,
            encoding: Encoding::S16,
        },
        direction: Direction::In,
        other_party: (!dice.is_multiple_of(5)).then(|| caller(scramble(dice))),
        gaps: vec![],
        digits: vec![],
        end_reason: EndReason::Silence,
        continues: None,
        card: String::new(),
        card_channels: vec![],
        recorder: String::new(),
    }
}

fn caller(n: u64) -> String {
    format!("0{}", 300_000_000 + n % CALLERS * 97)
}

fn number(line: u64) -> String {
    format!("06-6458-1{:03}", line % LINES)
}

fn sealed(n: u64) -> Sealed {
    let mut wav_sha256 = [0; 32];
    for (place, eight) in wav_sha256.chunks_exact_mut(8).enumerate() {
        eight.copy_from_slice(&scramble(n << 2 | place as u64).to_le_bytes());
    }
    let wav_bytes = call(n).frames * 2 + 700;
    Sealed {
        wav_bytes,
        wav_sha256,
        stored_bytes: wav_bytes / 3 + scramble(n) % 1000,
    }
}

/// Bytes of the database, once everything is in it, over rows.
fn size_row(path: &Path, rows: u64) -> io::Result<Row> {
    let bytes = path.metadata()?.len();
    let each = bytes as f64 / rows as f64;
    Ok(Row {
        what: "bytes a row".into(),
        ours: format!("{} MB", bytes / 1_000_000),
        peer: "–".into(),
        value: each,
        target: Target::AtMost(150.0),
    })
}

fn queries(catalogue: &Catalogue, rows: u64) -> io::Result<Vec<Row>> {
    let numbers = catalogue.numbers().map_err(io::Error::other)?;
    let days = catalogue
        .days(None, 0..=u32::MAX)
        .map_err(io::Error::other)?;
    let zone = catalogue.birth().time_zone;
    let pick = |n: u64| -> (&Number, Day) {
        let dice = scramble(n);
        (
            &numbers[dice as usize % numbers.len()],
            days[(dice >> 32) as usize % days.len()],
        )
    };
    let one = |n| {
        let (number, day) = pick(n);
        catalogue
            .recordings(number.id, day)
            .map(|found| found.len())
    };
    let day = |n| {
        let filter = Filter {
            start: Some(pick(n).1.milliseconds(zone)),
            ..Filter::default()
        };
        catalogue.find(&filter, u32::MAX).map(|found| found.len())
    };
    let days_of = |n| {
        catalogue
            .days(Some(pick(n).0.id), 0..=u32::MAX)
            .map(|found| found.len())
    };
    let by_id = |n| {
        let id = call(scramble(n) % rows).id;
        catalogue.by_id(id).map(|found| found.iter().count())
    };
    Ok(vec![
        question("a number on a day", 0.1, QUESTIONS, &one)?,
        question("a day", 2.0, QUESTIONS / 10, &day)?,
        question("days of a number", 0.2, QUESTIONS, &days_of)?,
        question("a recording by its identity", 0.1, QUESTIONS, &by_id)?,
    ])
}

type Ask<'a> = &'a dyn Fn(u64) -> Result<usize, CatalogueError>;

/// The median of `count` questions, each asked once before so that what it needs is in memory. CPU
/// time of this thread, which does all of the work: a clock would also measure who else is busy here.
fn question(what: &str, most_ms: f64, count: u64, ask: Ask<'_>) -> io::Result<Row> {
    let mut milliseconds = Vec::new();
    let mut found = Vec::new();
    for n in 0..count {
        ask(n).map_err(io::Error::other)?;
        let mut least = f64::INFINITY;
        for _ in 0..TIMES {
            let (rows, seconds) = cpu::of_thread(|| ask(n).map_err(io::Error::other))?;
            least = least.min(seconds * 1e3);
            found.push(rows as f64);
        }
        milliseconds.push(least);
    }
    let value = median(&milliseconds);
    Ok(Row {
        what: format!("{what}, ms ({:.0} rows)", median(&found)),
        ours: format!("{value:.3} ms"),
        peer: "–".into(),
        value,
        target: Target::AtMost(most_ms),
    })
}

/// Rows against files of the right names and lengths, which is all that the comparison looks at.
fn compare_row(extent: Extent) -> io::Result<Row> {
    let dir = tempfile::Builder::new()
        .prefix("tsuwaroku-bench-")
        .tempdir()?;
    let catalogue = fill(&dir.path().join("catalogue.sqlite"), extent.objects)?;
    let vault = vault(dir.path()).map_err(io::Error::other)?;
    for n in 0..extent.objects {
        let path: PathBuf = vault.primary().path(call(n).id);
        if n % CALLS_A_DAY == 0 {
            std::fs::create_dir_all(path.parent().expect("it stands in a folder"))?;
        }
        File::create(&path)?.set_len(sealed(n).stored_bytes)?;
    }
    let mut seconds = Vec::new();
    for _ in 0..extent.runs {
        let begun = Instant::now();
        compare(&catalogue, &vault)?;
        seconds.push(begun.elapsed().as_secs_f64());
    }
    let each_second = extent.objects as f64 / median(&seconds);
    Ok(Row {
        what: format!(
            "{} rows against the store's directories, objects/s",
            extent.objects
        ),
        ours: format!("{:.2} s", median(&seconds)),
        peer: "–".into(),
        value: each_second,
        target: Target::AtLeast(50_000.0),
    })
}

fn vault(dir: &Path) -> Result<Vault, Box<dyn std::error::Error + Send + Sync>> {
    let (archive, master) = (birth().archive, Key::random()?);
    Store::init(&dir.join("primary"), archive, "primary")?;
    Keys::init(&dir.join("keys"), archive, &master)?;
    let keys = Arc::new(Keys::open(&dir.join("keys"), archive, master)?);
    Ok(Vault::new(
        vec![Store::open(&dir.join("primary"), archive)?],
        keys,
    ))
}

fn compare(catalogue: &Catalogue, vault: &Vault) -> io::Result<()> {
    let mut findings = Vec::new();
    let mut tell = |event| {
        if let Event::Finding(finding) = event {
            findings.push(finding);
        }
        true
    };
    verify_metadata(catalogue, vault, &mut tell).map_err(io::Error::other)?;
    match findings.first() {
        None => Ok(()),
        Some(first) => Err(io::Error::other(format!(
            "{} findings: {first:?}",
            findings.len()
        ))),
    }
}
