//! Recordings of a former recorder: reads WAV and FLAC files and makes spool entries of them, bit for
//! bit, so that the daemon archives them as it archives calls.
//!
//! * [`riff`]: WAV files of every kind that recorders write.
//! * [`flac`]: FLAC files, their digest checked.
//! * [`walk`]: which files there are.
//! * [`when`]: when a recording began: the header, or a pattern for the file's name; pure.
//! * [`inbox`]: the spool that imports are put into, `ROOT/import/`.
//!
//! Here: what is asked of any file, and the identity of its recording. Not here: which files, the
//! daemon and what people are told (`cli/import.rs`, the only caller). Files are untrusted: memory is
//! bounded, nothing panics, and what is doubtful is refused or noted, never guessed.

pub mod flac;
pub mod inbox;
pub mod riff;
pub mod walk;
pub mod when;

use crate::call::Layout;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use sha2::{Digest, Sha256};
use std::io::{self, Read, Seek, SeekFrom};
use thiserror::Error;
use tsuwaroku_spool::{EndReason, MAX_CHANNELS, MAX_NAME_BYTES, MAX_SECONDS, RATES, Start};
use ulid::Ulid;
use when::{Moment, Pattern, Stamp};

/// Bytes of samples handled at a time.
pub(crate) const BUFFER_BYTES: usize = 64 * 1024;

/// The card that imported recordings name.
pub const CARD: &str = "import";

/// Why a file is not imported. The text says what to do.
#[derive(Debug, Error)]
pub enum Wrong {
    /// The disk does not give it.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// A link, a pipe, a socket, a device.
    #[error("not a regular file; links are not followed: name what they point to")]
    NotAFile,
    /// Another format.
    #[error("neither WAV nor FLAC; convert it to WAV, or move it away")]
    NotAudio,
    /// It breaks the rules of its format.
    #[error("damaged: {0}")]
    Damaged(&'static str),
    /// It ends before the audio that its header states.
    #[error("ends {missing} bytes early: copy it again, whole")]
    Short {
        /// Bytes that are missing.
        missing: u64,
    },
    /// Floating-point samples, which the archive does not hold.
    #[error(
        "its samples are floating-point; convert it: sox FILE -b 32 -e signed-integer NEW.wav \
         (the time gets lost: give --pattern)"
    )]
    Float,
    /// A compression other than G.711.
    #[error(
        "its format {0:#06x} is not one the archive holds; convert it: sox FILE -b 16 -e \
         signed-integer NEW.wav (the time gets lost: give --pattern)"
    )]
    Compressed(u16),
    /// Linear samples of a width that the archive does not hold.
    #[error("its samples are of {bits} bits in {bytes} bytes; convert it to 16, 24 or 32 bits")]
    Width {
        /// Bits of a sample.
        bits: u16,
        /// Bytes of a sample.
        bytes: u16,
    },
    /// More channels or another rate than a recording has.
    #[error("{channels} channels at {rate} Hz; a recording has 1 to 64 at 1000 to 384000 Hz")]
    Layout {
        /// Channels.
        channels: u16,
        /// Frames a second, Hz.
        rate: u32,
    },
    /// No frame at all.
    #[error("holds no audio")]
    Empty,
    /// Longer than a recording may be.
    #[error("longer than a week; cut it: sox FILE NEW.wav trim 0 1:00:00 : newfile : restart")]
    TooLong,
    /// The digest in the file is not that of its audio.
    #[error("its audio is not what was encoded (the digest differs): take another copy")]
    Digest,
    /// It does not say when it began.
    #[error("no time: give --pattern")]
    NoTime,
    /// The pattern fits its name in two ways.
    #[error("the pattern fits its name more than once, with different times; make it longer")]
    TwoTimes,
    /// A time that the clocks of the office never showed.
    #[error("it begins at {0}, which the clocks skipped that day")]
    SkippedTime(chrono::NaiveDateTime),
    /// A time that cannot be.
    #[error("it begins at {0}, before 1970 or in the future; is the pattern right?")]
    ImpossibleTime(DateTime<Utc>),
    /// It was written to between two readings.
    #[error("it changed while it was read; wait until nobody writes it")]
    Changed,
    /// The daemon would not have it.
    #[error("the daemon refused it: {0}")]
    Quarantined(String),
}

/// What is remarkable in a file that is imported all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// Its header was never finished; the audio was taken to the end of the file.
    Unfinished,
    /// Bytes at its end that are no whole frame, left out.
    PartialFrame(u64),
    /// Bytes after the audio that its header does not explain, left out.
    Unexplained(u64),
    /// Its time came twice that day (the clocks were put back); the first one was taken.
    TwiceThatDay,
}

/// A file, opened.
pub struct Source<R> {
    input: R,
    kind: Kind,
}

enum Kind {
    Wav(riff::Wav),
    Flac(flac::Flac),
}

impl<R: Read + Seek> Source<R> {
    /// Reads the header of `input`, which must hold a whole file.
    pub fn open(mut input: R) -> Result<Self, Wrong> {
        let mut magic = [0; 4];
        input.seek(SeekFrom::Start(0))?;
        let kind = match input.read_exact(&mut magic) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(Wrong::NotAudio);
            }
            Err(error) => return Err(error.into()),
            Ok(()) if &magic == b"fLaC" => Kind::Flac(flac::Flac::open(&mut input)?),
            Ok(()) => Kind::Wav(riff::Wav::open(&mut input)?),
        };
        let source = Self { input, kind };
        let Layout { rate, channels, .. } = source.layout();
        if !RATES.contains(&rate) || !(1..=MAX_CHANNELS).contains(&usize::from(channels)) {
            return Err(Wrong::Layout { channels, rate });
        }
        Ok(source)
    }

    /// How the samples that [`samples`](Self::samples) gives are written.
    pub fn layout(&self) -> Layout {
        match &self.kind {
            Kind::Wav(wav) => wav.layout,
            Kind::Flac(flac) => flac.layout,
        }
    }

    /// When its header says that it began.
    pub fn stamp(&self) -> Option<Stamp> {
        match &self.kind {
            Kind::Wav(wav) => wav.stamp,
            Kind::Flac(_) => None,
        }
    }

    fn notes(&self) -> Vec<Note> {
        match &self.kind {
            Kind::Wav(wav) => wav.notes.clone(),
            Kind::Flac(_) => Vec::new(),
        }
    }

    /// Hands all samples, interleaved and little-endian, to `each`, whole frames at a time.
    pub fn samples<E: From<Wrong>>(
        &mut self,
        each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        match &self.kind {
            Kind::Wav(wav) => wav.samples(&mut self.input, each),
            Kind::Flac(flac) => flac.samples(&mut self.input, each),
        }
    }

    /// Reads everything once: the length, and a digest of the audio.
    pub fn listen(&mut self) -> Result<Heard, Wrong> {
        let layout = self.layout();
        let mut hearing = Hearing::default();
        self.samples(|samples| {
            hearing.take(samples);
            Ok::<_, Wrong>(())
        })?;
        let heard = hearing.end(layout);
        match heard.frames {
            0 => Err(Wrong::Empty),
            frames if frames > u64::from(layout.rate) * MAX_SECONDS => Err(Wrong::TooLong),
            _ => Ok(heard),
        }
    }
}

/// The audio of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// Its frames.
    pub frames: u64,
    /// SHA-256 of its samples as the archive holds them.
    pub digest: [u8; 32],
}

/// See [`Heard`]; while it is being read.
#[derive(Default)]
pub(crate) struct Hearing {
    bytes: u64,
    digest: Sha256,
}

impl Hearing {
    pub fn take(&mut self, samples: &[u8]) {
        self.bytes += samples.len() as u64;
        self.digest.update(samples);
    }

    pub fn end(self, layout: Layout) -> Heard {
        let frames = self.bytes / layout.frame_bytes().max(1) as u64;
        Heard {
            frames,
            digest: self.digest.finalize().into(),
        }
    }
}

/// What a file becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The first record of its spool entry.
    pub start: Start,
    /// Its audio.
    pub heard: Heard,
    /// Why the recording ends.
    pub end: EndReason,
    /// What is remarkable.
    pub notes: Vec<Note>,
}

impl Plan {
    /// Its length, seconds.
    pub fn seconds(&self) -> f64 {
        self.heard.frames as f64 / f64::from(self.start.rate)
    }
}

/// What every file of an import has in common.
#[derive(Debug)]
pub struct Terms<'a> {
    /// The designated number.
    pub line: &'a str,
    /// The office's time zone.
    pub zone: Tz,
    /// How names tell the time, if they do.
    pub pattern: Option<&'a Pattern>,
    /// Now; nothing was recorded later.
    pub now: DateTime<Utc>,
}

/// Reads the whole of `source`, a file at `path` below the directory imported, and says what it
/// becomes.
pub fn plan<R: Read + Seek>(
    source: &mut Source<R>,
    path: &std::path::Path,
    terms: &Terms<'_>,
) -> Result<Plan, Wrong> {
    let layout = source.layout();
    let (began, twice) = began(source.stamp(), layout.rate, path, terms)?;
    let heard = source.listen()?;
    let mut notes = source.notes();
    notes.extend(twice.then_some(Note::TwiceThatDay));
    let unfinished = notes.contains(&Note::Unfinished);
    let started_at = began
        .timestamp_nanos_opt()
        .ok_or(Wrong::ImpossibleTime(began))?;
    let start = Start {
        id: identity(terms.line, started_at, layout, &heard.digest),
        line: terms.line.to_owned(),
        card: CARD.to_owned(),
        card_channels: (1..=layout.channels).collect(),
        rate: layout.rate,
        encoding: layout.encoding,
        started_at,
        pre_roll: 0,
        continues: None,
        recorder: recorder(path),
    };
    let end = if unfinished {
        EndReason::Truncated
    } else {
        EndReason::Silence
    };
    Ok(Plan {
        start,
        heard,
        end,
        notes,
    })
}

/// When it began, and whether that time came twice. The name counts before the header: the pattern
/// was given by somebody who looked.
fn began(
    stamp: Option<Stamp>,
    rate: u32,
    path: &std::path::Path,
    terms: &Terms<'_>,
) -> Result<(DateTime<Utc>, bool), Wrong> {
    let named = terms
        .pattern
        .map(|pattern| pattern.find(path))
        .transpose()?
        .flatten();
    let moment = named
        .or_else(|| Some(Moment::Local(stamp?.at(rate))))
        .ok_or(Wrong::NoTime)?;
    let (began, twice) = moment.in_zone(terms.zone)?;
    if began < DateTime::UNIX_EPOCH || began > terms.now {
        return Err(Wrong::ImpossibleTime(began));
    }
    Ok((began, twice))
}

/// The identity of a recording: its time, and what its audio is. The same file has the same one
/// again, whatever it is called by then.
pub fn identity(line: &str, started_at: i64, layout: Layout, audio: &[u8; 32]) -> Ulid {
    let mut digest = Sha256::new();
    digest.update(b"tsuwaroku import 1\0");
    digest.update((line.len() as u64).to_le_bytes());
    digest.update(line);
    digest.update(started_at.to_le_bytes());
    digest.update(layout.rate.to_le_bytes());
    digest.update(layout.channels.to_le_bytes());
    digest.update([layout.encoding.bytes() as u8, layout.encoding.silence()]);
    digest.update(audio);
    let digest: [u8; 32] = digest.finalize().into();
    let mut random = [0; 16];
    random[6..].copy_from_slice(&digest[..10]); // 80 bits, as a ULID has
    let milliseconds = u64::try_from(started_at.div_euclid(1_000_000)).unwrap_or(0);
    Ulid::from_parts(milliseconds, u128::from_be_bytes(random))
}

/// `import of FILENAME`, as far as there is room.
fn recorder(path: &std::path::Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut text = format!("import of {name}").replace(char::is_control, "?");
    let most = (0..=MAX_NAME_BYTES)
        .rev()
        .find(|&at| text.is_char_boundary(at.min(text.len())));
    text.truncate(most.unwrap_or(0));
    text
}

#[cfg(test)]
mod tests;
