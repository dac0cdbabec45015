//! `bench-capture`: what recording 32 channels costs, against `arecord` on the same card in the
//! same boot of the rig. The first part of `make bench`.

use clap::Parser;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use std::{fs, io};
use tsuwaroku_tests::bursts::{self, Talk};
use tsuwaroku_tests::harness::{binary, files};
use tsuwaroku_tests::recorded::Recorded;
use tsuwaroku_tests::rig::Rig;

const CHANNELS: u16 = 32;
const RATE: u64 = 8000;

/// The most CPU that the daemon may take for each CPU second of `arecord`.
const MOST_CPU: f64 = 1.5;

/// The most memory that the daemon may have resident, KiB: 64 MiB.
const MOST_MEMORY: u64 = 64 * 1024;

/// Measures the capture of 32 channels against arecord, in the rig.
#[derive(Parser)]
struct Arguments {
    /// Runs of each program
    #[arg(long, default_value_t = 5)]
    runs: u32,
    /// Length of a run, seconds
    #[arg(long, default_value_t = 30)]
    seconds: u32,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match measure(&arguments) {
        Ok(figures) => report(&figures),
        Err(error) => {
            eprintln!("bench-capture: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One program's runs.
#[derive(Default)]
struct Figures {
    /// CPU until it heard the card, nanoseconds: loading, opening; once in a daemon's life.
    start: Vec<u64>,
    /// CPU from then on to the end of the run, nanoseconds: what recording costs.
    cpu: Vec<u64>,
    /// Largest resident memory of each run, KiB.
    memory: Vec<u64>,
}

fn measure(arguments: &Arguments) -> io::Result<BTreeMap<String, Figures>> {
    let results = tempfile::tempdir()?;
    fs::write(
        results.path().join("talk.raw"),
        talk(u64::from(arguments.seconds) + 5),
    )?;
    fs::write(results.path().join("tsuwaroku.toml"), configuration())?;
    let rig = Rig {
        results: results.path().to_owned(),
        memory: 1024,
        limit: Duration::from_secs(u64::from(
            arguments.runs * 2 * (arguments.seconds + 20) + 60,
        )),
    };
    let (runs, seconds) = (arguments.runs.to_string(), arguments.seconds.to_string());
    let capture = binary("tsuwaroku-capture");
    let status = rig.run(
        "bench.sh",
        &[&capture, Path::new(&runs), Path::new(&seconds)],
    )?;
    if !status.success() {
        return Err(io::Error::other(format!("the rig ended with {status}")));
    }
    check_recorded(&results.path().join("spool"))?;
    let figures = parse(&fs::read_to_string(results.path().join("runs"))?);
    figures.ok_or_else(|| io::Error::other("the rig wrote figures that are none"))
}

/// Talk on all channels with a pause now and then: what a busy office sounds like.
fn talk(seconds: u64) -> Vec<u8> {
    let frames = seconds * RATE;
    let channels: Vec<_> = (1..=CHANNELS)
        .map(|channel| {
            let talk: Talk = (1..seconds)
                .filter(|second| (second + u64::from(channel)) % 5 != 0)
                .map(|second| second * RATE..(second + 1) * RATE)
                .collect();
            bursts::channel(1, channel, frames, &talk)
        })
        .collect();
    bursts::interleave(&channels)
}

fn configuration() -> String {
    let mut text = "[site]\nname = \"the rig\"\n\n[capture]\nspool = \"/run/spool\"\n".to_owned();
    for channel in 1..=CHANNELS {
        let _ = write!(
            text,
            "\n[[line]]\nnumber = \"06-6458-10{channel:02}\"\nname = \"line {channel}\"\n\
             purpose = \"a benchmark\"\ncard = \"hw:CARD=Loopback,DEV=1\"\nchannel = {channel}\n"
        );
    }
    text
}

/// A daemon that recorded less than everything would be cheap.
fn check_recorded(spool: &Path) -> io::Result<()> {
    let entries = files(&spool.join("ready"));
    if entries.len() != usize::from(CHANNELS) {
        let message = format!("{} calls were recorded, not {CHANNELS}", entries.len());
        return Err(io::Error::other(message));
    }
    entries.iter().try_for_each(|path: &PathBuf| {
        let call = Recorded::read(path).map_err(io::Error::other)?;
        if call.gaps.is_empty() {
            Ok(())
        } else {
            Err(io::Error::other(format!(
                "gaps in a recording: {:?}",
                call.gaps
            )))
        }
    })
}

/// The lines `program start cpu memory` of the script.
fn parse(runs: &str) -> Option<BTreeMap<String, Figures>> {
    let mut figures = BTreeMap::<String, Figures>::new();
    for line in runs.lines() {
        let mut words = line.split(' ');
        let program = figures.entry(words.next()?.to_owned()).or_default();
        program.start.push(words.next()?.parse().ok()?);
        program.cpu.push(words.next()?.parse().ok()?);
        program.memory.push(words.next()?.parse().ok()?);
    }
    Some(figures)
}

fn report(figures: &BTreeMap<String, Figures>) -> ExitCode {
    let (Some(arecord), Some(capture)) = (figures.get("arecord"), figures.get("tsuwaroku-capture"))
    else {
        eprintln!("bench-capture: the rig measured only one of the two programs");
        return ExitCode::FAILURE;
    };
    println!(
        "32 channels, 8 kHz, S16_LE: medians of {} runs in one boot\n",
        arecord.cpu.len()
    );
    println!("| program | start, CPU s | recording, CPU s | each run | memory, MiB |");
    println!("|---|---|---|---|---|");
    for (name, program) in figures {
        let runs: Vec<_> = program
            .cpu
            .iter()
            .map(|&cpu| format!("{:.3}", seconds(cpu)))
            .collect();
        println!(
            "| {name} | {:.3} | {:.3} | {} | {:.1} |",
            seconds(median(&program.start)),
            seconds(median(&program.cpu)),
            runs.join(" "),
            median(&program.memory) as f64 / 1024.0,
        );
    }
    let ratio = seconds(median(&capture.cpu)) / seconds(median(&arecord.cpu));
    let memory = median(&capture.memory);
    println!("\nCPU against arecord: {ratio:.2} (at most {MOST_CPU})");
    println!(
        "memory: {:.1} MiB (at most {})",
        memory as f64 / 1024.0,
        MOST_MEMORY / 1024
    );
    if ratio <= MOST_CPU && memory <= MOST_MEMORY {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

fn median(values: &[u64]) -> u64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}
