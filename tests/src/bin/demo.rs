//! `make demo`: the whole way from a telephone line to a file under the mount, shown and checked.
//!
//! A sample card of five channels plays a minute of calls at real time, the real daemons record,
//! archive and mount them, and the tree is printed as it grows. Then everything is compared with what
//! was played. With `KEEP=1` in the environment the mount stays until Ctrl-C.

use nix::sys::signal::Signal;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tsuwaroku_spool::{Entry, Record};
use tsuwaroku_tests::card::{Call, SampleCard};
use tsuwaroku_tests::harness::accounts::{SATO, as_reader};
use tsuwaroku_tests::harness::{Daemon, World, files};
use tsuwaroku_tests::office::UNDESIGNATED;
use tsuwaroku_tests::stretch::find_stretch;
use tsuwaroku_tests::wav::Wav;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Longest time from the end of a call to its last file, beside the hang time: far more than is
/// needed, and the end of a demonstration that has failed.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let keep = std::env::var("KEEP").is_ok_and(|value| !value.is_empty() && value != "0");
    match demonstrate(keep) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\ndemo: FAILED: {error}");
            ExitCode::FAILURE
        }
    }
}

fn demonstrate(keep: bool) -> Outcome<()> {
    let world = World::new()?;
    step("The sample card: a minute of speech on five channels");
    let card = SampleCard::make(&world.path().join("card"))?;
    print_card(&card);

    step("The table of designated numbers (tsuwaroku config show)");
    show(&world, &["config", "show"])?;

    step("Recording, archiving and mounting, at real time");
    run(&world, &["init"])?;
    let serve = world.start_serve()?;
    wait(&world, &serve, "the mount", |world| {
        world.is_mounted().then_some(())
    })?;
    let feed = world.start_feed(&card.raw, 1.0)?;
    let capture = world.start_capture()?;
    println!("configuration {}", world.config().display());
    println!("spool         {}", world.spool().display());
    println!("archive       {}", world.root().display());
    println!("mount         {}\n", world.mount().display());
    let traces = watch(&world, &card, &capture, &serve)?;
    if !capture.stop().success() {
        return Err("the capture daemon did not end well".into());
    }
    drop(feed);

    step("What staff see");
    print_tree(&world);
    show(&world, &["find"])?;

    step("Playing one back");
    let recordings = world.recordings();
    play(recordings.first().ok_or("there is no recording")?)?;

    step("Checking");
    check(&world, &card, &recordings, &traces)?;
    let verified = run(&world, &["verify"])?;
    println!("  verify: {}", verified.trim());

    if keep {
        wait_for_ctrl_c(&world)?;
    }
    serve.signal(Signal::SIGTERM);
    if !serve.stop().success() || world.is_mounted() {
        return Err("the archive daemon did not unmount".into());
    }
    println!(
        "\ndemo: {} calls recorded from {} lines, {} found under the mount and bit-identical to \
         the source, none from the undesignated line; verified, unmounted.",
        recordings.len(),
        tsuwaroku_tests::office::LINES.len(),
        recordings.len()
    );
    Ok(())
}

fn step(title: &str) {
    println!("\n== {title}");
}

fn print_card(card: &SampleCard) {
    let seconds = |frame: u64| frame as f64 / f64::from(card.rate);
    for call in &card.calls {
        println!(
            "  channel {} {} {:5.1} s – {:5.1} s{}",
            call.channel,
            call.number,
            seconds(call.first_frame),
            seconds(call.last_frame),
            if call.designated {
                ""
            } else {
                "   (not designated: must leave no trace)"
            }
        );
    }
}

/// Waits for something that `look` finds, and fails when the daemon has died or time is up.
fn wait<T>(
    world: &World,
    daemon: &Daemon,
    what: &str,
    mut look: impl FnMut(&World) -> Option<T>,
) -> Outcome<T> {
    let begun = Instant::now();
    loop {
        if let Some(found) = look(world) {
            return Ok(found);
        }
        if begun.elapsed() > PATIENCE {
            return Err(format!("waited in vain for {what}; the log:\n{}", daemon.log()).into());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Prints each recording as it appears, until all are there. Answers which card channels were ever
/// seen in the spool, by the file that they were seen in.
fn watch(
    world: &World,
    card: &SampleCard,
    capture: &Daemon,
    serve: &Daemon,
) -> Outcome<BTreeMap<PathBuf, Vec<u16>>> {
    let expected = card.designated().count();
    let length = Duration::from_secs_f64(card.frames as f64 / f64::from(card.rate));
    let begun = Instant::now();
    let mut shown: Vec<PathBuf> = Vec::new();
    let mut traces = BTreeMap::new();
    while shown.len() < expected {
        if begun.elapsed() > length + PATIENCE {
            let logs = format!("{}\n{}", capture.log(), serve.log());
            return Err(format!(
                "{} of {expected} recordings came; the logs:\n{logs}",
                shown.len()
            )
            .into());
        }
        note_traces(&world.spool(), &mut traces);
        for path in world.recordings() {
            if !shown.contains(&path) {
                let below = path.strip_prefix(world.mount())?.display();
                let ended = std::fs::metadata(&path)?.modified()?;
                let after = ended.elapsed().unwrap_or_default().as_secs_f64();
                let seconds = begun.elapsed().as_secs_f64();
                println!("  {seconds:5.1} s  {below}  ({after:.1} s after its end)");
                shown.push(path);
            }
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(traces)
}

/// Looks into every file of the spool, finished or not, for the channels it holds audio of.
fn note_traces(spool: &Path, traces: &mut BTreeMap<PathBuf, Vec<u16>>) {
    for path in files(spool) {
        // A file may be gone, or half written, between the listing and here.
        let Ok(mut entry) = Entry::open(&path) else {
            continue;
        };
        let Ok(mut records) = entry.records() else {
            continue;
        };
        if let Some(Ok(Record::Start(start))) = records.next() {
            traces.insert(path, start.card_channels);
        }
    }
}

fn print_tree(world: &World) {
    for path in files(&world.mount()) {
        let size = std::fs::metadata(&path).map_or(0, |data| data.len());
        let below = path.strip_prefix(world.mount()).unwrap_or(&path).display();
        println!("  {size:>9}  {below}");
    }
}

/// By somebody who may listen, through the whole of alsa-lib to a card that is not there: what a player needs, it gets.
fn play(recording: &Path) -> Outcome<()> {
    let output = SATO
        .command("aplay")
        .args(["-D", "null"])
        .arg(recording)
        .output()?;
    if !output.status.success() {
        return Err(format!("aplay: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    print!("  {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Every recording is a stretch of its channel that contains its call, and each call has one.
fn check(
    world: &World,
    card: &SampleCard,
    recordings: &[PathBuf],
    traces: &BTreeMap<PathBuf, Vec<u16>>,
) -> Outcome<()> {
    let mut left: Vec<&Call> = card.designated().collect();
    for path in recordings {
        let samples = as_reader(|| Wav::read(path))?
            .samples_16()
            .ok_or("a recording is not of 16 bits")?;
        let (place, at) = left
            .iter()
            .enumerate()
            .filter(|(_, call)| path.parent().is_some_and(|dir| dir.ends_with(&call.number)))
            .find_map(|(place, call)| {
                let at = find_stretch(card, call.channel, &samples)?;
                let holds = at <= call.first_frame && at + samples.len() as u64 > call.last_frame;
                holds.then_some((place, at))
            })
            .ok_or_else(|| format!("{} is no stretch of its channel", path.display()))?;
        let call = left.remove(place);
        println!(
            "  {}: bit-identical to channel {} from frame {at} on, {:.1} s before the first word",
            path.file_name().unwrap_or_default().display(),
            call.channel,
            (call.first_frame - at) as f64 / f64::from(card.rate)
        );
    }
    if let Some(call) = left.first() {
        return Err(format!(
            "the call of {} on channel {} is missing",
            call.number, call.channel
        )
        .into());
    }
    let undesignated = card
        .calls
        .iter()
        .find(|call| !call.designated)
        .ok_or("no fifth call")?;
    if let Some((path, _)) = traces
        .iter()
        .find(|(_, seen)| seen.contains(&undesignated.channel))
    {
        return Err(format!("{} holds the undesignated channel", path.display()).into());
    }
    let anything = files(&world.spool())
        .into_iter()
        .find(|path| path.extension().is_some());
    if let Some(path) = anything {
        return Err(format!("{} was left in the spool", path.display()).into());
    }
    println!(
        "  {UNDESIGNATED}, channel {}: no recording; {} spool files seen, none with its channel; \
         the spool is empty",
        undesignated.channel,
        traces.len()
    );
    Ok(())
}

/// Runs the command and gives back what it printed.
fn run(world: &World, arguments: &[&str]) -> Outcome<String> {
    let output = world.tsuwaroku(arguments)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("tsuwaroku {}: {said}", arguments.join(" ")).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn show(world: &World, arguments: &[&str]) -> Outcome<()> {
    for line in run(world, arguments)?.lines() {
        println!("  {line}");
    }
    Ok(())
}

fn wait_for_ctrl_c(world: &World) -> Outcome<()> {
    println!("\nMounted at {} until Ctrl-C.", world.mount().display());
    println!(
        "The command finds it with: export TSUWAROKU_CONFIG={}",
        world.config().display()
    );
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    signals.forever().next();
    Ok(())
}
