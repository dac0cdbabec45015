//! Speech as a telephone carries it: espeak-ng speaks, sox turns it into 8 kHz and the telephone
//! band. The only file that knows these programs.

use super::script::Voice;
use super::{CardError, RATE};
use crate::wav::samples_16;
use std::io::{self, Write};
use std::process::{Command, Output, Stdio};

/// Samples under this at either end are not speech: −60 dBFS.
const INAUDIBLE: u16 = 33;

/// Words a minute, a little slower than espeak-ng's own 175.
const WORDS_A_MINUTE: &str = "160";

/// The band of a telephone channel, Hz (ITU-T G.712, section 7: 300 to 3400).
const BAND: &str = "300-3400";

/// Peak of each turn, dBFS.
const PEAK: &str = "-8";

/// Speaks `text`: 8 kHz mono, without the silence that the synthesiser puts around it.
pub(super) fn speak(voice: Voice, text: &str) -> Result<Vec<i16>, CardError> {
    let pitch = match voice {
        Voice::Caller => "75",
        Voice::Staff => "30",
    };
    let mut espeak = Command::new("espeak-ng");
    espeak.args([
        "-v",
        "ja",
        "-p",
        pitch,
        "-s",
        WORDS_A_MINUTE,
        "--stdout",
        "--",
        text,
    ]);
    let spoken = run("espeak-ng", espeak, text, &[])?;
    let rate = RATE.to_string();
    let mut sox = Command::new("sox");
    // Without dither, which is random, and with the length in the header ignored: a stream has none.
    sox.args(["-D", "--ignore-length", "-t", "wav", "-"])
        .args([
            "-t",
            "raw",
            "-e",
            "signed-integer",
            "-b",
            "16",
            "-c",
            "1",
            "-L",
            "-",
        ])
        .args(["rate", &rate, "sinc", BAND, "gain", "-n", PEAK]);
    let carried = run("sox", sox, text, &spoken.stdout)?;
    Ok(trim(samples_16(&carried.stdout)))
}

/// What the programs call themselves: another version may speak otherwise.
pub(super) fn versions() -> Result<String, CardError> {
    let mut said = String::new();
    for program in ["espeak-ng", "sox"] {
        let mut command = Command::new(program);
        command.arg("--version");
        said += &String::from_utf8_lossy(&run(program, command, "--version", &[])?.stdout);
    }
    Ok(said)
}

/// Runs a program with `input` on its standard input.
fn run(
    program: &'static str,
    mut command: Command,
    text: &str,
    input: &[u8],
) -> Result<Output, CardError> {
    let output = feed_and_collect(&mut command, input)
        .map_err(|error| CardError::Program { program, error })?;
    if output.status.success() {
        return Ok(output);
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(CardError::Speech {
        program,
        text: text.to_owned(),
        message,
    })
}

fn feed_and_collect(command: &mut Command, input: &[u8]) -> io::Result<Output> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().expect("piped");
    // From a thread: the program writes while it reads, and either pipe may be full.
    std::thread::scope(|scope| {
        // A program that stops reading says why on its standard error.
        scope.spawn(move || stdin.write_all(input).ok());
        child.wait_with_output()
    })
}

fn trim(mut samples: Vec<i16>) -> Vec<i16> {
    let audible = |&sample: &i16| sample.unsigned_abs() >= INAUDIBLE;
    let end = samples.iter().rposition(audible).map_or(0, |last| last + 1);
    samples.truncate(end);
    let begin = samples.iter().position(audible).unwrap_or(0);
    samples.drain(..begin);
    samples
}
