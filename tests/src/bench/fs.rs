//! The mount beside its peers: ext4 that holds the same files, and an image of them served by
//! `squashfuse_ll`, which decompresses as the archive does. Walking, reading, opening; and what a
//! million recordings cost in memory.
//!
//! ```text
//! rows, objects ──► tsuwaroku serve ──► mount/   ◄─┐
//! the same WAVs ──► ext4/                        ◄─┼── bench-fs --as-reader, as an account that may listen
//!                └► image ──► squashfuse_ll ──►  ◄─┘
//! ```
//!
//! Most recordings are rows only, their peers files without content: nobody reads them. `Cold` is after
//! the kernel has dropped its caches. What the reader does is in the program.

mod office;
mod place;

use crate::bench::table::{self, Row, Target, median};
use crate::noise::scramble;
use office::{DAYS, NUMBERS, Office, Pace};
use place::{Place, drop_caches};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tsuwaroku::catalogue::Filter;

/// How much to measure.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// Runs whose median counts.
    pub runs: usize,
    /// Recordings of the tree.
    pub recordings: u64,
    /// Recordings of the large one.
    pub many: u64,
    /// Recordings with audio.
    pub spoken: usize,
    /// Files that are looked up at random.
    pub stats: usize,
    /// Opens of one reader; each of 32 makes an eighth of it.
    pub opens: usize,
}

impl Extent {
    /// What the targets are about.
    pub const FULL: Self = Self {
        runs: 5,
        recordings: 100_000,
        many: 1_000_000,
        spoken: 128,
        stats: 20_000,
        opens: 1024,
    };
    /// To see whether the benchmark works.
    pub const QUICK: Self = Self {
        runs: 1,
        recordings: 5000,
        many: 20_000,
        spoken: 32,
        stats: 1000,
        opens: 256,
    };
}

/// What can be measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Figures {
    /// Walking and looking up
    Tree,
    /// Reading, sequential and random
    Reading,
    /// Opening, with the log
    Opening,
    /// A million recordings
    Many,
}

/// Measures, prints the tables and answers whether every target holds; all figures if `only` names
/// none.
///
/// # Errors
/// A peer is not installed, a disk fails, or the daemon does not do its work.
pub fn measure(extent: Extent, only: &[Figures]) -> io::Result<bool> {
    let wanted = |figures| only.is_empty() || only.contains(&figures);
    let mut held = true;
    let mut walked = None;
    if only.is_empty() || only.iter().any(|&figures| figures != Figures::Many) {
        let mut bench = Bench::new(extent)?;
        if wanted(Figures::Tree) {
            let (rows, pace) = bench.tree()?;
            walked = Some(pace);
            let title = format!(
                "{} recordings, {NUMBERS} numbers, {DAYS} days",
                extent.recordings
            );
            held &= table::print(&title, "ratio", &rows);
        }
        if wanted(Figures::Reading) {
            held &= table::print("reading linear audio", "ratio", &bench.reading()?);
        }
        if wanted(Figures::Opening) {
            held &= table::print("opening, each access logged", "ratio", &bench.opening()?);
        }
    }
    if wanted(Figures::Many) {
        let title = format!("{} recordings", extent.many);
        held &= table::print(&title, "value", &many(extent, walked)?);
    }
    Ok(held)
}

/// What is measured of one place in every run.
type Rates = Vec<f64>;

/// The median of the ratios in each run: whatever disturbs a run disturbs both.
fn paired(ours: &[f64], theirs: &[f64]) -> f64 {
    let ratios: Vec<_> = ours
        .iter()
        .zip(theirs)
        .map(|(ours, theirs)| ours / theirs)
        .collect();
    median(&ratios)
}

/// The tree and its peers.
struct Bench {
    extent: Extent,
    /// Ours, ext4, squashfuse, and the kernel's squashfs where there is one.
    places: Vec<Place>,
    /// After the places, which are mounted in its directory: fields are dropped in their order.
    office: Office,
    /// Paths below each place's root: all, and those with audio.
    all: Vec<String>,
    spoken: Vec<String>,
    /// Bytes a second of CPU time that decoding takes in this process.
    decode_rate: f64,
}

const OURS: usize = 0;
const EXT4: usize = 1;
const SQUASHFUSE: usize = 2;

impl Bench {
    fn new(extent: Extent) -> io::Result<Self> {
        let mut office = Office::new()?;
        let (catalogue, vault) = office.archive()?;
        office::fill(&catalogue, extent.recordings)?;
        let wavs = office::speak(&catalogue, &vault, extent.recordings, extent.spoken)?;
        let recordings = catalogue
            .find(&Filter::default(), u32::MAX)
            .map_err(io::Error::other)?;
        let ext4 = place::ext4(office.world.path())?;
        let mut all = Vec::new();
        let (mut spoken, mut ids) = (Vec::new(), Vec::new());
        for recording in &recordings {
            let path = office::path_of(recording, &catalogue)?;
            let at = ext4.root.join(&path);
            fs::create_dir_all(at.parent().expect("it stands in a directory"))?;
            if let Some(wav) = wavs.get(&recording.id) {
                fs::write(at, wav)?;
                spoken.push(path.clone());
                ids.push(recording.id);
            } else {
                fs::File::create(at)?;
            }
            all.push(path);
        }
        let decode_rate = office::decode_rate(&vault, &ids)?;
        drop((catalogue, vault, wavs));
        let mut places = vec![Place {
            name: "ours",
            root: office.world.mount(),
            mounted: false,
            server: None,
        }];
        let squashed = place::squash(office.world.path(), &ext4.root)?;
        places.push(ext4);
        places.extend(squashed);
        office.serve()?;
        Ok(Self {
            extent,
            places,
            office,
            all,
            spoken,
            decode_rate,
        })
    }

    /// The files `paths` of a place, as a list for the reader.
    fn list<'a>(
        &self,
        place: usize,
        paths: impl Iterator<Item = &'a String>,
    ) -> io::Result<PathBuf> {
        let list = self.office.world.path().join("list");
        let line = |path| format!("{}\n", self.places[place].root.join(path).display());
        fs::write(&list, paths.map(line).collect::<String>())?;
        Ok(list)
    }

    /// Does `once` for each place in turn, as often as there are runs: rates of each place.
    fn each(&self, mut once: impl FnMut(usize) -> io::Result<Pace>) -> io::Result<Vec<Rates>> {
        let mut rates = vec![Rates::new(); self.places.len()];
        for _ in 0..self.extent.runs {
            for (place, rates) in rates.iter_mut().enumerate() {
                rates.push(once(place)?.rate());
            }
        }
        Ok(rates)
    }

    fn row(
        &self,
        what: &str,
        rates: &[Rates],
        peer: usize,
        unit: (f64, &str),
        target: Target,
    ) -> Row {
        let say = |rates: &Rates| format!("{:.2} {}", median(rates) / unit.0, unit.1);
        let (ours, theirs) = (&rates[OURS], rates.get(peer));
        Row {
            what: what.into(),
            ours: say(ours),
            peer: theirs.map_or("–".into(), |rates| {
                format!("{} {}", self.places[peer].name, say(rates))
            }),
            value: theirs.map_or(f64::NAN, |theirs| paired(ours, theirs)),
            target,
        }
    }

    fn tree(&self) -> io::Result<(Vec<Row>, f64)> {
        let top = |place: usize| self.places[place].root.join("by-date");
        let mut second = vec![Rates::new(); self.places.len()];
        let mut warm = vec![Rates::new(); self.places.len()];
        let cold = self.each(|place| {
            drop_caches()?;
            let cold = self.office.read("walk", &top(place), 1)?;
            second[place].push(self.office.read("walk", &top(place), 1)?.rate());
            warm[place].push(self.office.read("walk", &top(place), 1)?.rate());
            Ok(cold)
        })?;
        let pick = |n| &self.all[scramble(n) as usize % self.all.len()];
        let stat = self.each(|place| {
            let list = self.list(place, (0..self.extent.stats as u64).map(pick))?;
            drop_caches()?;
            self.office.read("stat", &list, 1)
        })?;
        let unit = (1e3, "k/s");
        let rows = vec![
            self.row(
                "walk and stat, cold",
                &cold,
                EXT4,
                unit,
                Target::AtLeast(1.5),
            ),
            self.row(
                "walk and stat, cold",
                &cold,
                SQUASHFUSE,
                unit,
                Target::AtLeast(2.5),
            ),
            // The kernel believes that reading a directory has changed its access time, and asks for it
            // once more; only the walk after that finds everything in memory.
            self.row(
                "walk and stat, the second one",
                &second,
                EXT4,
                unit,
                Target::Known,
            ),
            self.row(
                "walk and stat, warm",
                &warm,
                EXT4,
                unit,
                Target::AtLeast(0.95),
            ),
            self.row(
                "walk and stat, warm",
                &warm,
                SQUASHFUSE,
                unit,
                Target::Known,
            ),
            self.row("random stat, cold", &stat, EXT4, unit, Target::AtLeast(1.0)),
            self.row("random stat, cold", &stat, SQUASHFUSE, unit, Target::Known),
        ];
        Ok((rows, median(&cold[OURS])))
    }

    /// Has the reader do something with cold caches; and the CPU time that the daemon took for it, seconds.
    fn cpu_of(&self, operation: &str, list: &Path) -> io::Result<(Pace, f64)> {
        drop_caches()?;
        let before = self.office.cpu()?;
        let pace = self.office.read(operation, list, 1)?;
        Ok((pace, self.office.cpu()? - before))
    }

    fn reading(&self) -> io::Result<Vec<Row>> {
        let mut warm = vec![Rates::new(); self.places.len()];
        // Bytes that the daemon gave for a second of its CPU time. The reader has opened all files before it
        // counts its time; what they cost the daemon does not count either.
        let mut efficiency = Rates::new();
        let cold = self.each(|place| {
            let list = self.list(place, self.spoken.iter())?;
            let opens = self.cpu_of("open", &list)?.1;
            let (cold, cpu) = self.cpu_of("sequential", &list)?;
            if place == OURS {
                efficiency.push(cold.done / (cpu - opens));
            }
            warm[place].push(self.office.read("sequential", &list, 1)?.rate());
            Ok(cold)
        })?;
        let random = self.each(|place| {
            let list = self.list(place, self.spoken.iter())?;
            drop_caches()?;
            self.office.read("random", &list, self.extent.opens)
        })?;
        let (mb, unit) = ((1e6, "MB/s"), (1e3, "k/s"));
        let kernel = self.places.len() - 1;
        let of_kernel = match kernel {
            SQUASHFUSE => Target::Known,
            _ => Target::AtLeast(0.95),
        };
        let decoding = Row {
            what: "the same over the decode rate of one core in process, per core used".into(),
            ours: format!("{:.0} MB/s", median(&efficiency) / 1e6),
            peer: format!("decode {:.0} MB/s", self.decode_rate / 1e6),
            value: median(&efficiency) / self.decode_rate,
            target: Target::AtLeast(0.85),
        };
        Ok(vec![
            self.row(
                "sequential, cold",
                &cold,
                SQUASHFUSE,
                mb,
                Target::AtLeast(1.0),
            ),
            decoding,
            self.row(
                "sequential, warm",
                &warm,
                SQUASHFUSE,
                mb,
                Target::AtLeast(1.0),
            ),
            self.row("sequential, warm", &warm, kernel, mb, of_kernel),
            self.row("sequential, warm", &warm, EXT4, mb, Target::Known),
            self.row(
                "random 64 KiB, cold",
                &random,
                SQUASHFUSE,
                unit,
                Target::AtLeast(1.0),
            ),
            self.row("random 64 KiB, cold", &random, EXT4, unit, Target::Known),
        ])
    }

    fn opening(&mut self) -> io::Result<Vec<Row>> {
        let opens = self.extent.opens;
        let list = |opens: usize| self.list(OURS, self.spoken.iter().cycle().take(opens));
        let (mut one, mut many, mut commits) = (Rates::new(), Rates::new(), Rates::new());
        for _ in 0..self.extent.runs {
            commits.push(commits_a_second(self.office.world.path(), opens)?);
            one.push(self.office.read("open", &list(opens)?, 1)?.rate());
            many.push(self.office.read("open", &list(opens / 8)?, 32)?.rate());
        }
        let row = |what: &str, rates: &Rates, least| Row {
            what: what.into(),
            ours: format!("{:.2} k/s", median(rates) / 1e3),
            peer: format!("SQLite, a row a commit {:.2} k/s", median(&commits) / 1e3),
            value: paired(rates, &commits),
            target: Target::AtLeast(least),
        };
        let mut rows = vec![
            row("open and close, one opener", &one, 0.7),
            row("open and close, 32 openers", &many, 6.0),
        ];
        let log = self.log_in_memory()?;
        let first = self.each(|place| {
            let list = self.list(place, self.spoken.iter())?;
            drop_caches()?;
            self.office.read("first", &list, 1)
        })?;
        let what = "open to first 64 KiB, cold, log on tmpfs";
        let unit = (1e3, "k/s");
        rows.push(self.row(what, &first, SQUASHFUSE, unit, Target::AtLeast(1.5)));
        rows.push(self.row(what, &first, EXT4, unit, Target::Known));
        self.office.stop();
        drop(log);
        Ok(rows)
    }

    /// Moves the catalogue, and so the log, to a tmpfs.
    fn log_in_memory(&mut self) -> io::Result<tempfile::TempDir> {
        self.office.stop();
        let memory = tempfile::Builder::new()
            .prefix("tsuwaroku-bench-")
            .tempdir_in("/dev/shm")?;
        let name = "catalogue.sqlite";
        let (from, to) = (
            self.office.world.root().join(name),
            memory.path().join(name),
        );
        fs::copy(&from, &to)?;
        fs::remove_file(&from)?;
        std::os::unix::fs::symlink(&to, &from)?;
        self.office.serve()?;
        Ok(memory)
    }
}

/// Rows that `SQLite` makes durable in a second, each in a commit of its own.
fn commits_a_second(dir: &Path, count: usize) -> io::Result<f64> {
    let commit = || -> rusqlite::Result<f64> {
        let connection = rusqlite::Connection::open(dir.join("commits.sqlite"))?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "full")?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS record (seq INTEGER PRIMARY KEY, record BLOB)",
        )?;
        let mut insert = connection.prepare("INSERT INTO record (record) VALUES (?1)")?;
        let begun = Instant::now();
        for _ in 0..count {
            insert.execute([[7_u8; 200]])?;
        }
        Ok(count as f64 / begun.elapsed().as_secs_f64())
    };
    commit().map_err(io::Error::other)
}

/// A million recordings: whether a walk is as fast as with fewer (`walked`, entries a second), and what
/// the daemon needs for it.
fn many(extent: Extent, walked: Option<f64>) -> io::Result<Vec<Row>> {
    const WALKS: usize = 3;
    let mut office = Office::new()?;
    let (catalogue, vault) = office.archive()?;
    office::fill(&catalogue, extent.many)?;
    drop((catalogue, vault));
    office.serve()?;
    let (mut rates, mut memory) = (Rates::new(), Vec::new());
    for _ in 0..WALKS {
        drop_caches()?;
        rates.push(
            office
                .read("walk", &office.world.mount().join("by-date"), 1)?
                .rate(),
        );
        memory.push(office.memory()?);
    }
    let [first, last] = [memory[0], memory[WALKS - 1]];
    let mib = |what: &str, ours: f64, peer: String, value: f64, target| Row {
        what: what.into(),
        ours: format!("{ours:.1} MiB"),
        peer,
        value,
        target,
    };
    let growth = last[0] / first[0];
    let mut rows = vec![
        mib(
            "largest memory of the daemon, MiB",
            last[1],
            "–".into(),
            last[1],
            Target::AtMost(100.0),
        ),
        mib(
            "its memory after the third walk over that after the first",
            last[0],
            format!("{:.1} MiB", first[0]),
            growth,
            Target::AtMost(1.05),
        ),
    ];
    if let Some(walked) = walked {
        rows.push(Row {
            what: "walk and stat, cold, over the smaller tree's".into(),
            ours: format!("{:.2} k/s", median(&rates) / 1e3),
            peer: format!("{:.2} k/s", walked / 1e3),
            value: median(&rates) / walked,
            target: Target::AtLeast(0.9),
        });
    }
    Ok(rows)
}
