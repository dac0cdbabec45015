//! The command: what a person types, and what they see.
//!
//! * [`args`]: the words of the command line.
//! * [`exit`]: the exit statuses, all in one place.
//! * [`text`]: what people read, in English and Japanese, safe for a terminal.
//! * [`report`]: tables and sentences made from the service's answers; pure.
//! * [`audit`]: the verbs `audit …`.
//! * [`mod@import`]: the verb `import`.
//! * [`life`]: the verbs `hold …`, `erase`, `plans`, `approve`, `decline`, `sweep`, `show`, `clock …`.
//! * [`status`]: the verb `status`, told.
//! * [`keeping`]: the verbs `keys …`, `backup`, `restore` and `rebuild`.
//! * [`moment`]: times as people type them.

pub mod args;
mod audit;
mod exit;
mod import;
mod keeping;
mod life;
mod moment;
mod report;
mod status;
mod text;

use crate::control::api::{
    self, FindRequest, FindResponse, Found, Status, VerifyEvent, VerifyRequest,
};
use crate::control::client::{Client, ClientError};
use crate::serve::{self, ServeError};
use crate::store;
use crate::verify::{Finding, Progress};
use args::{Args, AuditVerb, ConfigVerb, FindArgs, ObjectVerb, Verb, VerifyArgs};
use chrono::Utc;
use clap::Parser;
use exit::Failure;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use text::Speech;
use tsuwaroku_config::Config;

/// Runs the command with the arguments of the process.
pub fn main() -> ExitCode {
    let args = Args::parse();
    let level = if matches!(args.verb, Verb::Serve) {
        "info"
    } else {
        "warn"
    };
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(level))
        // Its warnings of an unmounting that has already been done would only worry people.
        .filter_module("fuser", log::LevelFilter::Error)
        .format_target(false)
        .init();
    let speech = Speech::of_environment(|name| std::env::var(name).ok());
    let mut out = io::stdout().lock();
    match run(&args, speech, &mut out).and_then(|code| Ok(out.flush().map(|()| code)?)) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

fn run(args: &Args, speech: Speech, out: &mut impl Write) -> Result<ExitCode, Failure> {
    // A copy of the log is verified wherever it was taken to, where there is no configuration.
    if let Verb::Audit(AuditVerb::Verify(verify_args)) = &args.verb
        && let Some(database) = &verify_args.database
    {
        return audit::verify_copy(database, verify_args, speech, out);
    }
    let config = Config::load(&args.config)?;
    let desk = |out| life::Desk {
        config: &config,
        speech,
        out,
    };
    match &args.verb {
        Verb::Init { secondary: false } => init(&config, speech, out),
        Verb::Init { secondary: true } => init_secondary(&config, speech, out),
        Verb::Serve => Ok(serve::serve(config).map(|()| ExitCode::SUCCESS)?),
        Verb::Status { json } => status(&config, *json, speech, out),
        Verb::Find(find_args) => find(&config, find_args, speech, out),
        Verb::Show(show_args) => desk(out).show(show_args),
        Verb::Hold(verb) => desk(out).hold(verb),
        Verb::Erase(erase_args) => desk(out).erase(erase_args),
        Verb::Plans { all, json } => desk(out).plans(*all, *json),
        Verb::Approve(approve_args) => desk(out).approve(approve_args),
        Verb::Decline(decline_args) => desk(out).decline(decline_args),
        Verb::Sweep(sweep_args) => desk(out).sweep(sweep_args),
        Verb::Clock(verb) => desk(out).clock(verb),
        Verb::Verify(verify_args) => verify(&config, verify_args, speech, out),
        Verb::Import(import_args) => import::import(&config, import_args, speech, out),
        Verb::Audit(verb) => audit::audit(&config, verb, speech, out),
        Verb::Keys(verb) => keeping::keys(&config, verb, speech, out),
        Verb::Backup(backup_args) => keeping::backup(&config, backup_args, speech, out),
        Verb::Restore(restore_args) => keeping::restore(&config, restore_args, speech, out),
        Verb::Rebuild { json } => keeping::rebuild(&config, *json, speech, out),
        Verb::Object(ObjectVerb::Dump { file }) => dump(&config, file, out),
        Verb::Config(ConfigVerb::Check) => {
            writeln!(out, "{}", report::config_is_good(&config, speech))?;
            Ok(ExitCode::SUCCESS)
        }
        Verb::Config(ConfigVerb::Show) => {
            write!(out, "{}", report::config(&config, speech))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn init(config: &Config, speech: Speech, out: &mut impl Write) -> Result<ExitCode, Failure> {
    let mut random = [0; 16];
    crate::crypto::fill_random(&mut random)?;
    let (archive, made) = serve::init(config, Utc::now(), u128::from_le_bytes(random) >> 48)?;
    let root = config.archive.root.display();
    match speech {
        Speech::English => writeln!(out, "Archive {archive} is made in {root}.")?,
        Speech::Japanese => writeln!(out, "保管庫 {archive} を {root} に作成しました。")?,
    }
    if made {
        let key = serve::master_key_path(config).display().to_string();
        match speech {
            Speech::English => writeln!(
                out,
                "Its master key is {key}. Without it nothing can be read: keep copies of it in two \
                 sealed places, apart from the archive's backups."
            )?,
            Speech::Japanese => writeln!(
                out,
                "マスター鍵は {key} です。失うと録音は一切読めなくなります。複製を封印し、保管庫の\
                 バックアップとは別の二か所に保管してください。"
            )?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn init_secondary(
    config: &Config,
    speech: Speech,
    out: &mut impl Write,
) -> Result<ExitCode, Failure> {
    let root = serve::init_secondary(config)?.display().to_string();
    match speech {
        Speech::English => writeln!(
            out,
            "The second medium is ready in {root}. Start the daemon again to use it."
        )?,
        Speech::Japanese => writeln!(
            out,
            "二次記憶媒体を {root} に用意しました。デーモンを再起動すると使われます。"
        )?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What is in the clear is shown to whoever may read the file; the rest to whoever has the keys.
fn dump(config: &Config, file: &Path, out: &mut impl Write) -> Result<ExitCode, Failure> {
    write!(out, "{}", store::describe(file).map_err(ServeError::from)?)?;
    match serve::open_object(config, file) {
        Ok(object) => {
            writeln!(out, "wav bytes      {}", object.wav_bytes())?;
            writeln!(
                out,
                "before, after  {}, {}",
                object.around().0.len(),
                object.around().1.len()
            )?;
            write_json(out, object.call())?;
            object.verify().map_err(ServeError::from)?;
            writeln!(out, "every block opens, and the whole has its digest")?;
        }
        Err(ServeError::Store(error)) => {
            writeln!(out, "{}", text::safe(&error.to_string()))?;
            return Ok(exit::ATTENTION.into());
        }
        Err(reason) => writeln!(out, "sealed: {}", text::safe(&reason.to_string()))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn client(config: &Config) -> Result<Client, Failure> {
    Ok(Client::new(&config.archive.socket)?)
}

fn status(
    config: &Config,
    json: bool,
    speech: Speech,
    out: &mut impl Write,
) -> Result<ExitCode, Failure> {
    let status: Status = client(config)?.get(api::STATUS, &())?;
    if json {
        write_json(out, &status)?;
    } else {
        write!(
            out,
            "{}",
            status::status(&status, config.site.time_zone, speech)
        )?;
    }
    Ok(if status.needs_attention() {
        exit::ATTENTION.into()
    } else {
        ExitCode::SUCCESS
    })
}

fn find(
    config: &Config,
    args: &FindArgs,
    speech: Speech,
    out: &mut impl Write,
) -> Result<ExitCode, Failure> {
    let zone = config.site.time_zone;
    let mut request = FindRequest {
        number: args.number.clone(),
        from: args.from.map(|moment| moment.first(zone)),
        to: args.to.map(|moment| moment.end(zone)),
        other_party: args.party.clone(),
        min_seconds: args.min,
        max_seconds: args.max,
        id: None,
        after: None,
        limit: None,
    };
    let client = client(config)?;
    let mut found: Vec<Found> = Vec::new();
    let mut more = true;
    while more && found.len() < args.limit {
        let page = (args.limit - found.len()).min(api::MOST_FOUND as usize);
        request.limit = Some(page as u32);
        let response: FindResponse = client.get(api::RECORDINGS, &request)?;
        more = response.more;
        request.after = response.recordings.last().map(|recording| recording.id);
        found.extend(response.recordings);
        more &= request.after.is_some();
    }
    if args.json {
        write_json(out, &found)?;
    } else {
        write!(out, "{}", report::found(&found, more, zone, speech))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn verify(
    config: &Config,
    args: &VerifyArgs,
    speech: Speech,
    out: &mut impl Write,
) -> Result<ExitCode, Failure> {
    let zone = config.site.time_zone;
    let request = VerifyRequest {
        recording: args.recording,
        from: args.from.or(args.day).map(|moment| moment.first(zone)),
        to: args.to.or(args.day).map(|moment| moment.end(zone)),
        metadata: args.metadata,
    };
    let bar = progress_bar(args.json);
    let mut findings: Vec<Finding> = Vec::new();
    let mut end: Option<Result<Progress, String>> = None;
    client(config)?.post_lines(api::VERIFY, &request, |event| {
        match event {
            VerifyEvent::Progress(progress) => {
                bar.set_length(progress.total);
                bar.set_position(progress.checked + progress.away);
            }
            VerifyEvent::Finding(finding) => {
                bar.suspend(|| eprintln!("{}", report::finding(&finding, speech)));
                findings.push(finding);
            }
            VerifyEvent::Done(progress) => end = Some(Ok(progress)),
            VerifyEvent::Failed(reason) => end = Some(Err(reason)),
        }
        end.is_none()
    })?;
    bar.finish_and_clear();
    let cut_off = || ClientError::Garbled("the answer was cut off".into());
    let progress = end.ok_or_else(cut_off)?.map_err(Failure::Incomplete)?;
    if args.json {
        write_json(
            out,
            &serde_json::json!({ "progress": progress, "findings": findings }),
        )?;
    } else {
        writeln!(
            out,
            "{}",
            report::verified(progress, findings.len(), speech)
        )?;
    }
    Ok(if findings.is_empty() && progress.away == 0 {
        ExitCode::SUCCESS
    } else {
        exit::ATTENTION.into()
    })
}

/// A bar on the terminal of whoever waits; nothing when the output goes to a program.
fn progress_bar(json: bool) -> ProgressBar {
    if json || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len}  {elapsed} (-{eta})");
    let bar = ProgressBar::new(0);
    bar.enable_steady_tick(Duration::from_millis(200));
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn write_json(out: &mut impl Write, value: &impl serde::Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)
}

#[cfg(test)]
mod tests;
