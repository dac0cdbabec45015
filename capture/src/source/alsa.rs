//! A card, through alsa-lib: the only file that names the crate `alsa`.
//!
//! What lives here: opening a PCM, reading it, and the list of what there is. What does not: what to
//! choose (`offer`), what was lost (`live`, the caller).
//!
//! No mixer control is ever touched: those of a modem seize the line.

mod planes;

use super::Params;
use super::error::{OpenError, Refusal};
use super::live::{Loss, Stream};
use super::offer::{Offer, USUAL_RATES, Wish};
use crate::sample::Layout;
use ::alsa::pcm::{Access, Format as AlsaFormat, Frames, HwParams, PCM, TstampType};
use ::alsa::{Direction, Error, ValueOr};
use nix::errno::Errno;
use std::time::Duration;
use tsuwaroku_config::Format;

/// Most channels of a card that are looked for.
const MOST_CHANNELS: u32 = 256;
/// The oldest frames of the buffer that are not trusted, ns: a card writes ahead of what it reports
/// by a burst or a USB packet.
const AHEAD_NS: u64 = 2_000_000;

/// An open PCM.
#[derive(Debug)]
pub struct Pcm {
    inner: PCM,
    layout: Layout,
    period: usize,
    /// It reaches a real card: `avail` and timestamps mean something. (alsa-lib's `file` over
    /// `null` always has a whole buffer to read.)
    is_card: bool,
    trusted: u64,
    has_timestamps: bool,
    /// It is alsa-lib's `file` plugin: what a buffer holds before a read, to tell what was read.
    untouched: Option<Vec<u8>>,
}

impl Stream for Pcm {
    fn open(wish: &Wish) -> Result<(Self, Params), OpenError> {
        let pcm = open_pcm(&wish.pcm)?;
        let (layout, period, buffer) = set_hardware(&pcm, wish)?;
        let has_timestamps = set_software(&pcm, period)
            .map_err(|error| failed(wish, "setting its thresholds", error))?;
        let ahead = (u64::from(wish.rate) * AHEAD_NS / 1_000_000_000).min(period as u64 / 4);
        let is_card = pcm.info().is_ok_and(|info| info.get_card() >= 0);
        let params = Params {
            pcm: wish.pcm.clone(),
            rate: wish.rate,
            layout,
            period_frames: period,
            buffer_frames: buffer,
        };
        let trusted = buffer as u64 - ahead;
        let is_file = !is_card && layout.plane.is_none() && is_file(&pcm);
        let untouched = is_file.then(|| noise(layout.bytes(period)));
        Ok((
            Self {
                inner: pcm,
                layout,
                period,
                is_card,
                trusted,
                has_timestamps,
                untouched,
            },
            params,
        ))
    }

    fn start(&self) -> Result<(), Loss> {
        self.inner.start().map_err(loss)
    }

    fn restart(&self, stopped: Loss) -> Result<(), Loss> {
        let Loss::Stopped { errno, .. } = stopped else {
            return Err(stopped);
        };
        self.inner
            .recover(errno, true)
            .and_then(|()| self.inner.start())
            .map_err(gone)
    }

    fn read(&self, bytes: &mut [u8], patience: Duration) -> Result<Option<usize>, Loss> {
        match self.wait_and_read(bytes, patience) {
            Ok(read) => Ok(read),
            Err(error) if is_nothing(error) => Ok(None),
            Err(error) => Err(loss(error)),
        }
    }

    fn unread(&self) -> u64 {
        if !self.is_card {
            return 0;
        }
        let known = |frames: Result<Frames, Error>| {
            // An error here comes again at the next read, which deals with it.
            u64::try_from(frames.unwrap_or_default()).unwrap_or_default()
        };
        // What the last interrupt left, less than a period ago, costs no call into the kernel.
        let recent = known(self.inner.avail_update());
        if recent + 2 * self.period as u64 <= self.trusted {
            return recent;
        }
        known(self.inner.avail())
    }

    fn trusted(&self) -> u64 {
        self.trusted
    }

    fn is_card(&self) -> bool {
        self.is_card
    }

    fn stamp(&self, now: i64) -> Option<(u64, i64)> {
        if !self.is_card || !self.has_timestamps {
            return None;
        }
        let status = self.inner.status().ok()?;
        let stamp = status.get_htstamp();
        let at = stamp.tv_sec * 1_000_000_000 + stamp.tv_nsec;
        let unread = u64::try_from(status.get_avail()).ok()?;
        // Zero, or of another clock.
        ((now - at).abs() < 10_000_000_000).then_some((unread, at))
    }
}

impl Pcm {
    fn wait_and_read(&self, bytes: &mut [u8], patience: Duration) -> Result<Option<usize>, Error> {
        let ready = self.inner.wait(Some(patience.as_millis() as u32))?;
        if !ready && !patience.is_zero() {
            return Ok(None);
        }
        let read = match (&self.untouched, self.layout.plane) {
            (Some(untouched), _) => self.read_file(bytes, untouched)?,
            (None, Some(_)) => planes::read(&self.inner, self.layout, bytes, self.period)?,
            (None, None) => self.inner.io_bytes().readi(bytes)?,
        };
        Ok(Some(read))
    }

    /// Reads a period from alsa-lib's `file` plugin, which pretends (1.2.8) to have read whatever it
    /// was asked for: where its file or FIFO gives less, the buffer stays as it was. So it is asked
    /// for one frame at a time, which a FIFO has or waits for, and the end of the file is where
    /// frame after frame stays untouched.
    fn read_file(&self, bytes: &mut [u8], untouched: &[u8]) -> Result<usize, Error> {
        let frame_bytes = self.layout.bytes(1);
        bytes.copy_from_slice(untouched);
        let frames = bytes
            .chunks_exact_mut(frame_bytes)
            .zip(untouched.chunks_exact(frame_bytes));
        let mut same = 0;
        for (read, (frame, untouched)) in frames.enumerate() {
            self.inner.io_bytes().readi(frame)?;
            same = if frame == untouched { same + 1 } else { 0 };
            // Audio is like so many random bytes once in 2 to the power of 128 times.
            if same * frame_bytes >= 16 {
                return Ok(read + 1 - same);
            }
        }
        Ok(self.period)
    }
}

/// Whether it is alsa-lib's `file` plugin, by the description that alsa-lib gives of it.
fn is_file(pcm: &PCM) -> bool {
    let described = ::alsa::Output::buffer_open().and_then(|mut output| {
        pcm.dump(&mut output)?;
        Ok(output.buffer_string(|text| text.starts_with(b"File PCM")))
    });
    described.unwrap_or_default()
}

/// Bytes that no audio is like.
fn noise(length: usize) -> Vec<u8> {
    let mut noise = vec![0; length];
    if getrandom::fill(&mut noise).is_err() {
        // Without random bytes still nothing that a line sounds like.
        noise
            .iter_mut()
            .enumerate()
            .for_each(|(n, byte)| *byte = (n * n % 251) as u8);
    }
    noise
}

/// What an error of reading or starting means.
fn loss(error: Error) -> Loss {
    match Errno::from_raw(error.errno()) {
        Errno::EPIPE | Errno::ESTRPIPE => Loss::Stopped {
            errno: error.errno(),
            cause: error.to_string(),
        },
        _ => gone(error),
    }
}

fn gone(error: Error) -> Loss {
    Loss::Gone(error.to_string())
}

fn is_nothing(error: Error) -> bool {
    matches!(Errno::from_raw(error.errno()), Errno::EAGAIN | Errno::EINTR)
}

fn open_pcm(name: &str) -> Result<PCM, OpenError> {
    // Not blocking: a busy card is an error at once, not a wait without end.
    let pcm = name.to_owned();
    PCM::new(name, Direction::Capture, true).map_err(|error| {
        let cause = error.to_string();
        match Errno::from_raw(error.errno()) {
            Errno::ENOENT | Errno::ENODEV | Errno::ENXIO => OpenError::Missing {
                pcm,
                cause,
                present: present(),
            },
            Errno::EBUSY | Errno::EAGAIN => OpenError::Busy { pcm, cause },
            _ => OpenError::Failed {
                pcm,
                step: "opening it",
                cause,
            },
        }
    })
}

fn failed(wish: &Wish, step: &'static str, error: Error) -> OpenError {
    OpenError::Failed {
        pcm: wish.pcm.clone(),
        step,
        cause: error.to_string(),
    }
}

/// Chooses and sets rate, channels, format, access, buffer and period; gives the layout and the
/// frames of period and buffer. Each choice is made among what the earlier ones leave.
fn set_hardware(pcm: &PCM, wish: &Wish) -> Result<(Layout, usize, usize), OpenError> {
    let failing = |step| move |error| failed(wish, step, error);
    let space = HwParams::any(pcm).map_err(failing("asking what it offers"))?;
    let all = offer(&space);
    let refused = |refusal: Refusal| OpenError::Unsupported {
        pcm: wish.pcm.clone(),
        refusal,
        offer: Box::new(all.clone()),
    };
    let rate = wish.rate;
    space
        .set_rate(rate, ValueOr::Nearest)
        .map_err(|_| refused(Refusal::Rate { rate }))?;
    let channels = offer(&space).channels(wish).map_err(refused)?;
    space
        .set_channels(channels)
        .map_err(failing("setting its channels"))?;
    let format = offer(&space).format(wish).map_err(refused)?;
    space
        .set_format(alsa_format(format))
        .map_err(failing("setting its format"))?;
    let planar = offer(&space).access().map_err(refused)?;
    let access = if planar {
        Access::RWNonInterleaved
    } else {
        Access::RWInterleaved
    };
    space
        .set_access(access)
        .map_err(failing("setting its access"))?;
    let (period, buffer) = set_sizes(pcm, &space, wish).map_err(failing("setting its buffer"))?;
    let layout = Layout {
        format,
        channels: channels as usize,
        plane: planar.then_some(period),
    };
    Ok((layout, period, buffer))
}

/// Sets period and buffer as near as the card can, and all of `space` with them. In frames.
fn set_sizes(pcm: &PCM, space: &HwParams, wish: &Wish) -> Result<(usize, usize), Error> {
    let frames = |time| crate::detect::frames_in(time, wish.rate) as Frames;
    // The buffer first: it is what a late daemon lives on.
    space.set_buffer_size_near(frames(wish.buffer))?;
    space.set_period_size_near(frames(wish.period), ValueOr::Nearest)?;
    pcm.hw_params(space)?;
    let current = pcm.hw_params_current()?;
    Ok((
        current.get_period_size()? as usize,
        current.get_buffer_size()? as usize,
    ))
}

/// Wakes for each period, starts when told, never stops on an overrun. Says whether the stream has
/// timestamps of the monotonic clock.
fn set_software(pcm: &PCM, period: usize) -> Result<bool, Error> {
    let software = pcm.sw_params_current()?;
    let boundary = software.get_boundary()?;
    software.set_avail_min(period as Frames)?;
    software.set_start_threshold(boundary)?;
    software.set_stop_threshold(boundary)?;
    let timestamps = software.set_tstamp_mode(true).is_ok()
        && software.set_tstamp_type(TstampType::Monotonic).is_ok();
    pcm.sw_params(&software)?;
    Ok(timestamps)
}

/// What is left in a space of parameters.
fn offer(space: &HwParams) -> Offer {
    let least = space.get_channels_min().unwrap_or(1);
    let most = space.get_channels_max().unwrap_or(0).min(MOST_CHANNELS);
    let rates = (
        space.get_rate_min().unwrap_or(0),
        space.get_rate_max().unwrap_or(0),
    );
    let has_rate = |rate: &u32| space.test_rate(*rate).is_ok();
    let has_format = |format: &Format| space.test_format(alsa_format(*format)).is_ok();
    Offer {
        channels: (least..=most)
            .filter(|count| space.test_channels(*count).is_ok())
            .collect(),
        rates,
        usual_rates: USUAL_RATES.into_iter().filter(has_rate).collect(),
        formats: Format::ALL.into_iter().filter(has_format).collect(),
        interleaved: space.test_access(Access::RWInterleaved).is_ok(),
        planar: space.test_access(Access::RWNonInterleaved).is_ok(),
    }
}

fn alsa_format(format: Format) -> AlsaFormat {
    match format {
        Format::S16_LE => AlsaFormat::S16LE,
        Format::S24_3LE => AlsaFormat::S243LE,
        Format::S24_LE => AlsaFormat::S24LE,
        Format::S32_LE => AlsaFormat::S32LE,
        Format::MU_LAW => AlsaFormat::MuLaw,
        Format::A_LAW => AlsaFormat::ALaw,
    }
}

/// The cards present, as a line of text.
fn present() -> String {
    let names: Vec<String> = cards()
        .into_iter()
        .map(|(id, name)| format!("{id} ({name})"))
        .collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

/// Id and name of each card present.
fn cards() -> Vec<(String, String)> {
    let one = |card: ::alsa::Card| {
        let info = ::alsa::Ctl::from_card(&card, true)
            .and_then(|ctl| ctl.card_info())
            .ok()?;
        Some((
            info.get_id().ok()?.to_owned(),
            info.get_name().ok()?.to_owned(),
        ))
    };
    ::alsa::card::Iter::new()
        .filter_map(Result::ok)
        .filter_map(one)
        .collect()
}

/// What can be recorded from, one text a line: the devices of each card, with what they offer, and
/// the other PCMs that alsa-lib's configuration names.
pub fn list() -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for (id, name) in cards() {
        lines.push(format!("card {id} ({name})"));
        lines.extend(devices(&id));
    }
    if lines.is_empty() {
        lines.push("no cards".to_owned());
    }
    lines.extend(named_pcms().into_iter().map(|name| format!("pcm {name}")));
    lines
}

/// The capture devices of the card `id`.
fn devices(id: &str) -> Vec<String> {
    let Ok(ctl) = ::alsa::Ctl::new(&format!("hw:{id}"), true) else {
        return Vec::new();
    };
    ::alsa::ctl::DeviceIter::new(&ctl)
        .filter(|device| ctl.pcm_info(*device as u32, 0, Direction::Capture).is_ok())
        .map(|device| {
            let name = format!("hw:CARD={id},DEV={device}");
            let offered = open_pcm(&name)
                .map_err(|error| error.to_string())
                .and_then(|pcm| {
                    HwParams::any(&pcm)
                        .map(|space| offer(&space).to_string())
                        .map_err(|e| e.to_string())
                });
            format!("  {name}: {}", offered.unwrap_or_else(|error| error))
        })
        .collect()
}

fn named_pcms() -> Vec<String> {
    let Ok(hints) = ::alsa::device_name::HintIter::new_str(None, "pcm") else {
        return Vec::new();
    };
    hints
        .filter(|hint| hint.direction != Some(Direction::Playback))
        .filter_map(|hint| hint.name)
        .filter(|name| !name.contains("CARD="))
        .collect()
}
