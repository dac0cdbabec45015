//! `sample-card DIR`: makes the sample card, `DIR/card.raw` and `DIR/card.json`.

use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;
use tsuwaroku_tests::card::SampleCard;

/// Makes the sample card: five channels of telephone calls, about a minute.
#[derive(Parser)]
struct Arguments {
    /// Where card.raw and card.json go; a card that is there and up to date is kept
    dir: PathBuf,
}

fn main() -> ExitCode {
    match SampleCard::make(&Arguments::parse().dir) {
        Ok(card) => {
            print(&card);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("sample-card: {error}");
            ExitCode::FAILURE
        }
    }
}

fn print(card: &SampleCard) {
    let seconds = |frame: u64| frame as f64 / f64::from(card.rate);
    println!(
        "{}: {} channels, {} Hz, {:.1} s, {} calls",
        card.raw.display(),
        card.channels,
        card.rate,
        seconds(card.frames),
        card.calls.len(),
    );
    for call in &card.calls {
        println!(
            "  channel {}  {}  {:5.1} s to {:5.1} s{}",
            call.channel,
            call.number,
            seconds(call.first_frame),
            seconds(call.last_frame + 1),
            if call.designated {
                ""
            } else {
                "  not designated"
            },
        );
    }
}
