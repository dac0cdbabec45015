//! `bench-fs`: how fast the mount is, each figure beside a peer from Debian. The third part of `make
//! bench`; exits 1 if a target is missed.
//!
//! With `--as-reader` it is the program that walks and reads, which the benchmark starts in the name of
//! an account that may listen: root may not.

use clap::{Parser, ValueEnum};
use std::ffi::OsStr;
use std::fs::{File, read_dir, symlink_metadata};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tsuwaroku_tests::bench::fs::{self, Extent};
use tsuwaroku_tests::noise;

/// What a reader asks for at a time, bytes.
const PIECE: usize = 64 * 1024;

/// Measures the mount against its targets; as root, with the packages that tests/setup installs.
#[derive(Parser)]
struct Arguments {
    /// Runs whose median counts [default: 5, quick 1]
    #[arg(long)]
    runs: Option<usize>,
    /// A small tree and few runs: to see whether it works
    #[arg(long)]
    quick: bool,
    /// Only these figures
    #[arg(long, value_enum)]
    only: Vec<fs::Figures>,
    /// Be the reader
    #[arg(long, value_enum, hide = true)]
    as_reader: Option<Operation>,
    /// What the reader reads: a directory, or a file that names files
    #[arg(hide = true, requires = "as_reader")]
    what: Option<PathBuf>,
    /// Times, or readers at once
    #[arg(long, default_value_t = 1, hide = true)]
    count: usize,
}

/// What a reader does. It prints how much it did, and the seconds it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Operation {
    /// Lists and stats all that is below a directory
    Walk,
    /// Stats each file of a list
    Stat,
    /// Reads each file of a list from its beginning to its end
    Sequential,
    /// Reads pieces of the files of a list
    Random,
    /// Opens each file of a list and reads its first piece
    First,
    /// Opens and closes the files of a list, `count` readers at once
    Open,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match (arguments.as_reader, &arguments.what) {
        (Some(operation), Some(what)) => read(operation, what, arguments.count),
        (Some(_), None) => Err(io::Error::other("what shall the reader read?")),
        (None, _) => return verdict(measure(&arguments)),
    };
    match outcome {
        Ok((done, time)) => {
            println!("{done} {}", time.as_secs_f64());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench-fs: as a reader: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> io::Result<bool> {
    let mut extent = if arguments.quick {
        Extent::QUICK
    } else {
        Extent::FULL
    };
    extent.runs = arguments.runs.unwrap_or(extent.runs);
    fs::measure(extent, &arguments.only)
}

fn verdict(outcome: io::Result<bool>) -> ExitCode {
    match outcome {
        Ok(true) => {
            println!("\nEvery target holds.");
            return ExitCode::SUCCESS;
        }
        Ok(false) => println!("\nA target is missed: the rows that say NO."),
        Err(error) => eprintln!("bench-fs: {error}"),
    }
    ExitCode::FAILURE
}

fn read(operation: Operation, what: &Path, count: usize) -> io::Result<(u64, Duration)> {
    if operation == Operation::Walk {
        let begun = Instant::now();
        return Ok((walk(what)?, begun.elapsed()));
    }
    let list = std::fs::read(what)?;
    let paths: Vec<_> = list
        .split(|&byte| byte == b'\n')
        .filter(|path| !path.is_empty())
        .map(path_of)
        .collect();
    match operation {
        Operation::Sequential => return sequential(&open(&paths)?),
        Operation::Random => return random(&open(&paths)?, count),
        _ => {}
    }
    let begun = Instant::now();
    let done = match operation {
        Operation::Stat => each(&paths, |path| symlink_metadata(path).map(|_| 1)),
        Operation::First => each(&paths, first),
        Operation::Open => open_all(&paths, count),
        Operation::Walk | Operation::Sequential | Operation::Random => unreachable!("done above"),
    }?;
    Ok((done, begun.elapsed()))
}

fn path_of(bytes: &[u8]) -> &Path {
    use std::os::unix::ffi::OsStrExt;
    Path::new(OsStr::from_bytes(bytes))
}

fn each(paths: &[&Path], mut act: impl FnMut(&Path) -> io::Result<u64>) -> io::Result<u64> {
    paths
        .iter()
        .map(|path| act(path).map_err(|error| named(path, &error)))
        .sum()
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Entries below `dir`, each of which is asked for its attributes.
fn walk(dir: &Path) -> io::Result<u64> {
    let mut found = 0;
    for entry in read_dir(dir).map_err(|error| named(dir, &error))? {
        let entry = entry?;
        let attributes = entry
            .metadata()
            .map_err(|error| named(&entry.path(), &error))?;
        found += 1;
        if attributes.is_dir() {
            found += walk(&entry.path())?;
        }
    }
    Ok(found)
}

/// The files, open: what an open costs is measured by itself.
fn open(paths: &[&Path]) -> io::Result<Vec<File>> {
    let open = |path: &&Path| File::open(path).map_err(|error| named(path, &error));
    paths.iter().map(open).collect()
}

fn sequential(files: &[File]) -> io::Result<(u64, Duration)> {
    let mut piece = vec![0; 2 * PIECE];
    let mut bytes = 0;
    let begun = Instant::now();
    for mut file in files {
        loop {
            match file.read(&mut piece)? {
                0 => break,
                read => bytes += read as u64,
            }
        }
    }
    Ok((bytes, begun.elapsed()))
}

fn first(path: &Path) -> io::Result<u64> {
    let mut piece = vec![0; PIECE];
    File::open(path)?.read_exact(&mut piece)?;
    Ok(1)
}

/// `count` pieces anywhere in the files.
fn random(files: &[File], count: usize) -> io::Result<(u64, Duration)> {
    let bytes = files.iter().map(|file| Ok(file.metadata()?.len()));
    let bytes = bytes.collect::<io::Result<Vec<_>>>()?;
    let mut piece = vec![0; PIECE];
    let begun = Instant::now();
    for n in 0..count as u64 {
        let dice = noise::scramble(n);
        let which = dice as usize % files.len();
        let room = bytes[which].saturating_sub(PIECE as u64).max(1);
        files[which].read_exact_at(&mut piece, noise::scramble(dice) % room)?;
    }
    Ok((count as u64, begun.elapsed()))
}

/// Every reader opens every file.
fn open_all(paths: &[&Path], readers: usize) -> io::Result<u64> {
    let open = || each(paths, |path| File::open(path).map(|_| 1));
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..readers).map(|_| scope.spawn(open)).collect();
        let done = |reader: std::thread::ScopedJoinHandle<'_, io::Result<u64>>| {
            reader.join().expect("a reader does not panic")
        };
        readers.into_iter().map(done).sum()
    })
}
