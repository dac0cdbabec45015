//! Objects of the corpus in this process, against flac, zstd and sha256sum on the same audio, and
//! libFLAC in this process: size, encoding, decoding, scrub. What runs is in `calls`; here stand the
//! tables and what each row must hold. Files are in the page cache.

mod calls;

use super::corpus::{Class, Kind, RATE, Voices};
use super::table::{self, Row, Target, median};
use calls::{Calls, SCRUB_ROUNDS, Sizes, Times};
use std::io;

/// How much to measure.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// Runs whose median counts.
    pub runs: usize,
    /// Calls of each class.
    pub calls: u64,
}

/// Measures every class, prints the tables and answers whether every target holds.
///
/// # Errors
/// The prompts or a peer are missing, or the disk fails.
pub fn measure(extent: Extent) -> io::Result<bool> {
    let voices = Voices::load()?;
    let mut all = Vec::new();
    for class in Class::ALL {
        let calls = Calls::make(&voices, class, extent.calls)?;
        let mut times = Times::default();
        for _ in 0..extent.runs {
            calls.time(&mut times)?;
        }
        all.push((class, calls.sizes()?, times));
    }
    let rows =
        |row: &dyn Fn(&(Class, Sizes, Times)) -> Row| all.iter().map(row).collect::<Vec<_>>();
    let seconds = extent.calls * super::corpus::SECONDS as u64;
    println!(
        "\ncorpus: {seconds} s of calls a class, 8 kHz, 16 bits; medians of {} runs",
        extent.runs
    );
    let held = [
        table::print(
            "stored size, against flac -8 -b 576 --no-padding",
            "ratio",
            &rows(&size_row),
        ),
        table::print(
            "stored size, against zstd -3 of the WAV",
            "ratio",
            &rows(&zstd_row),
        ),
        table::print(
            "decode: a WAV file read block by block, opened, decoded, checked; speed against flac -d",
            "ratio",
            &rows(&decode_row),
        ),
        table::print(
            "the same, against libFLAC in this process through libsndfile, samples only, no MD5",
            "ratio",
            &rows(&libflac_row),
        ),
        table::print(
            "the same with SHA-256 of the whole, as verify does it; speed against flac -d",
            "ratio",
            &rows(&verify_row),
        ),
        table::print(
            "encode, seals and SHA-256 included: CPU against flac -8 -b 576",
            "ratio",
            &rows(&encode_row),
        ),
        table::print(
            "the secondary tier's effort: stored size, against the one of ingest",
            "ratio",
            &rows(&thorough_row),
        ),
        table::print(
            "the secondary tier's effort: decoding, against real time",
            "times",
            &rows(&thorough_decode_row),
        ),
        table::print(
            "the secondary tier's effort: encoding, CPU against the one of ingest",
            "ratio",
            &rows(&thorough_encode_row),
        ),
        table::print(
            "scrub: speed against sha256sum of the same bytes",
            "ratio",
            &[scrub_row(&all)],
        ),
    ];
    Ok(held.into_iter().all(|held| held))
}

fn size_row((class, sizes, _): &(Class, Sizes, Times)) -> Row {
    let target = match class.kind() {
        Kind::Linear => Target::AtMost(0.975),
        Kind::G711 => Target::AtMost(0.70),
        Kind::Mix => Target::AtMost(0.85),
        Kind::NoisyMix => Target::Known,
    };
    let share = |bytes| format!("{:.1} %", bytes as f64 / sizes.wav as f64 * 100.0);
    Row {
        what: class.name().into(),
        ours: share(sizes.object),
        peer: share(sizes.flac),
        value: sizes.object as f64 / sizes.flac as f64,
        target,
    }
}

fn zstd_row((class, sizes, _): &(Class, Sizes, Times)) -> Row {
    let share = |bytes| format!("{:.1} %", bytes as f64 / sizes.wav as f64 * 100.0);
    Row {
        what: class.name().into(),
        ours: share(sizes.object),
        peer: share(sizes.zstd),
        value: sizes.object as f64 / sizes.zstd as f64,
        target: Target::AtMost(1.0),
    }
}

fn thorough_row((class, sizes, _): &(Class, Sizes, Times)) -> Row {
    let share = |bytes| format!("{:.1} %", bytes as f64 / sizes.wav as f64 * 100.0);
    Row {
        what: class.name().into(),
        ours: share(sizes.thorough),
        peer: share(sizes.object),
        value: sizes.thorough as f64 / sizes.object as f64,
        target: Target::AtMost(0.99),
    }
}

fn thorough_decode_row((class, sizes, times): &(Class, Sizes, Times)) -> Row {
    let seconds = sizes.wav as f64 / f64::from(RATE * 2 * u32::from(class.channels()));
    let took = median(&times.thorough_decode);
    Row {
        what: class.name().into(),
        ours: format!("{took:.2} s"),
        peer: format!("{seconds:.0} s"),
        value: seconds / took,
        target: Target::AtLeast(100.0),
    }
}

fn decode_row((class, sizes, times): &(Class, Sizes, Times)) -> Row {
    let least = match class.kind() {
        Kind::Linear => Target::AtLeast(1.0),
        Kind::G711 => Target::AtLeast(0.7),
        Kind::Mix | Kind::NoisyMix => Target::Known,
    };
    speed_row(*class, sizes.wav, &times.decode, &times.flac_decode, least)
}

/// Stricter than the program, which pays for its start and its output: printed to be known.
fn libflac_row((class, sizes, times): &(Class, Sizes, Times)) -> Row {
    speed_row(
        *class,
        sizes.wav,
        &times.decode,
        &times.libflac_decode,
        Target::Known,
    )
}

fn verify_row((class, sizes, times): &(Class, Sizes, Times)) -> Row {
    speed_row(
        *class,
        sizes.wav,
        &times.verify,
        &times.flac_decode,
        Target::Known,
    )
}

fn speed_row(class: Class, bytes: u64, ours: &[f64], peer: &[f64], target: Target) -> Row {
    let (ours, peer) = (median(ours), median(peer));
    Row {
        what: class.name().into(),
        ours: speed(bytes, ours),
        peer: speed(bytes, peer),
        value: peer / ours,
        target,
    }
}

fn encode_row((class, sizes, times): &(Class, Sizes, Times)) -> Row {
    let most = Target::AtMost(1.5);
    cost_row(*class, sizes.wav, &times.encode, &times.flac_encode, most)
}

fn thorough_encode_row((class, sizes, times): &(Class, Sizes, Times)) -> Row {
    let (ours, peer) = (&times.thorough_encode, &times.encode);
    cost_row(*class, sizes.wav, ours, peer, Target::Known)
}

fn cost_row(class: Class, bytes: u64, ours: &[f64], peer: &[f64], target: Target) -> Row {
    let (ours, peer) = (median(ours), median(peer));
    Row {
        what: class.name().into(),
        ours: speed(bytes, ours),
        peer: speed(bytes, peer),
        value: ours / peer,
        target,
    }
}

fn scrub_row(all: &[(Class, Sizes, Times)]) -> Row {
    let bytes: u64 = all
        .iter()
        .map(|(_, sizes, _)| sizes.object * SCRUB_ROUNDS as u64)
        .sum();
    let total = |of: fn(&Times) -> &Vec<f64>| all.iter().map(|(.., times)| median(of(times))).sum();
    let (ours, peer): (f64, f64) = (total(|times| &times.scrub), total(|times| &times.sha256sum));
    Row {
        what: format!("{} MB of objects", bytes / 1_000_000),
        ours: speed(bytes, ours),
        peer: speed(bytes, peer),
        value: peer / ours,
        target: Target::AtLeast(0.8),
    }
}

fn speed(bytes: u64, seconds: f64) -> String {
    format!("{:.0} MB/s", bytes as f64 / 1e6 / seconds)
}
