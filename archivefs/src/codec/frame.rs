//! A frame: method, groups, and the choice between prediction and plain zstd.

use thiserror::Error;

use super::analysis::Search;
use super::decode::{self, GroupDecoder};
use super::encode::{GroupEncoder, Task};
use super::entropy::{Compressor, Decompressor};
use super::group::{self, Header, MAX_EXPONENT, Track};
use super::parcor::MAX_ORDER;
use super::sample::Sample;
use super::{Encoding, Shape, pcm, stereo};

/// The method byte of PCM compressed by zstd as it is.
const PLAIN: u8 = 0;
/// The method byte of predicted groups.
const PREDICTED: u8 = 1;
/// The method byte of predicted groups of which some blocks are sums of two G.711 legs.
const PREDICTED_SUMS: u8 = 2;
/// Channels of a group.
const GROUP: usize = 2;
/// Samples (of all channels) of a frame that prediction takes on; more are left to plain zstd.
const MOST_SAMPLES: usize = 1 << 26;

/// How much work a frame is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// While a recording is taken in.
    Ingest,
    /// When a recording moves to the secondary tier: several times slower, smaller.
    Thorough,
}

impl Effort {
    fn search(self) -> Search {
        match self {
            Self::Ingest => Search {
                windows: 2,
                orders: 0,
                max_order: 32,
                fine: false,
            },
            Self::Thorough => Search {
                windows: 3,
                orders: 3,
                max_order: 32,
                fine: true,
            },
        }
    }
}

/// Why bytes are not a frame. What was decoded before it was noticed is worthless.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CodecError {
    /// The bytes end too early.
    #[error("the coded audio ends too early; verify the recording against its other copy")]
    Truncated,
    /// Something is not as the encoder writes it.
    #[error("the coded audio is damaged ({0}); verify the recording against its other copy")]
    Corrupt(&'static str),
    /// A method that this version does not know.
    #[error(
        "the coded audio uses method {0}, which this version does not know; a newer version wrote it"
    )]
    UnknownMethod(u8),
}

/// Codes frames; keeps scratch space and tables between them, but nothing of their content.
pub struct Encoder {
    compressor: Compressor,
    groups: GroupEncoder,
    exponent: u32,
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    /// An encoder for audio of 8 kHz; allocates about 2 MiB.
    pub fn new() -> Self {
        Self::for_rate(8000)
    }

    /// An encoder for audio of `rate` Hz. Any rate is coded without loss; the right one makes it
    /// smaller, by up to 6 % at 48 kHz: blocks are 40 ms long at 8 and 16 kHz, and 27 ms at 48 kHz.
    pub fn for_rate(rate: u32) -> Self {
        let exponent = match rate {
            0..12_000 => 0,
            12_000..24_000 => 1,
            _ => MAX_EXPONENT,
        };
        Self {
            compressor: Compressor::new(),
            groups: GroupEncoder::default(),
            exponent,
        }
    }

    /// Codes `pcm`: interleaved samples as in a WAV, little-endian, whole sample frames.
    ///
    /// Lossless for every input. No sample frames give no bytes.
    ///
    /// # Panics
    /// If `pcm` is not a whole number of sample frames.
    pub fn encode(&mut self, layout: Shape, pcm: &[u8], effort: Effort) -> Vec<u8> {
        if pcm.is_empty() {
            return Vec::new();
        }
        assert!(
            layout.channels > 0 && pcm.len().is_multiple_of(layout.frame_bytes()),
            "{} bytes are no whole number of sample frames of {} bytes",
            pcm.len(),
            layout.frame_bytes()
        );
        let mut out = vec![PREDICTED];
        if pcm.len() / layout.encoding.bytes() <= MOST_SAMPLES {
            for first in (0..usize::from(layout.channels)).step_by(GROUP) {
                if self.group(layout, pcm, first, effort, &mut out) {
                    out[0] = PREDICTED_SUMS;
                }
            }
            if effort == Effort::Ingest && !worth_plain(pcm, out.len()) {
                return out;
            }
        }
        let plain = self.compressor.plain(pcm);
        if out.len() == 1 || plain.len() + 1 < out.len() {
            out.clear();
            out.push(PLAIN);
            out.extend_from_slice(plain);
        }
        out
    }

    /// Appends the group that begins with channel `first`; says whether it has blocks of sums.
    fn group(
        &mut self,
        layout: Shape,
        pcm: &[u8],
        first: usize,
        effort: Effort,
        out: &mut Vec<u8>,
    ) -> bool {
        let (shift, wide) = width(layout, pcm);
        let header = Header {
            shift,
            wide,
            exponent: self.exponent,
            delay: None,
            adaptive: false,
        };
        if wide {
            self.tracks::<i32>(layout, pcm, first, header, effort, out)
        } else {
            self.tracks::<i16>(layout, pcm, first, header, effort, out)
        }
    }

    /// [`Encoder::group`], the width being known.
    fn tracks<S: Sample>(
        &mut self,
        layout: Shape,
        pcm: &[u8],
        first: usize,
        mut header: Header,
        effort: Effort,
        out: &mut Vec<u8>,
    ) -> bool {
        let channels = GROUP.min(usize::from(layout.channels) - first);
        let frame_bytes = layout.frame_bytes();
        let places = group::tracks(first, channels, pcm.len() / frame_bytes, header.block());
        let tracks = places.map(|Track { channel, frames }| {
            let mut samples = vec![S::default(); MAX_ORDER];
            let pcm = &pcm[frames.start * frame_bytes..frames.end * frame_bytes];
            pcm::gather(layout, pcm, channel, header.shift, &mut samples);
            samples
        });
        let thorough = effort == Effort::Thorough;
        if channels == GROUP {
            header.delay =
                stereo::find_delay(&tracks[0][MAX_ORDER..], &tracks[1][MAX_ORDER..], thorough);
        }
        let task = Task {
            header,
            encoding: layout.encoding,
            search: effort.search(),
            adaptive: thorough,
        };
        self.groups.encode(task, &tracks, &mut self.compressor, out)
    }
}

/// The zero bits at the bottom of all samples, and whether what is left needs 32 bits.
///
/// Sixteen-bit audio in a wider container comes out as the 16-bit audio that it was, so that its
/// G.711 values are found.
fn width(layout: Shape, pcm: &[u8]) -> (u32, bool) {
    let padding = match layout.encoding {
        Encoding::S24 => 8,
        Encoding::S32 => 16,
        Encoding::S16 | Encoding::MuLaw | Encoding::ALaw => return (0, false),
    };
    let (mut any, mut least, mut most) = (0, 0, 0);
    pcm::for_each(layout.encoding, pcm, |x| {
        any |= x;
        least = least.min(x);
        most = most.max(x);
    });
    let zeros = any.trailing_zeros();
    let fits =
        |shift: u32| i16::try_from(least >> shift).is_ok() && i16::try_from(most >> shift).is_ok();
    if zeros >= padding {
        (padding, false)
    } else if fits(0) {
        (0, false)
    } else {
        (zeros, !fits(zeros))
    }
}

/// Whether plain zstd may do better: where prediction saved little, or where the samples repeat.
fn worth_plain(pcm: &[u8], predicted: usize) -> bool {
    predicted > pcm.len() / 8 * 7 || repeats(pcm)
}

/// Whether a quarter of some stretches of 16 bytes stood in `pcm` before, as in a generated tone or
/// a loop of music. Constant stretches do not count: prediction has them for nothing.
fn repeats(pcm: &[u8]) -> bool {
    const TABLE_BITS: u32 = 12;
    let mut last = vec![0u32; 1 << TABLE_BITS];
    let (mut asked, mut found) = (0, 0);
    for (n, stretch) in pcm.windows(16).step_by(2).enumerate() {
        let half = |at: usize| {
            stretch[at..]
                .first_chunk()
                .map_or(0, |b| u64::from_le_bytes(*b))
        };
        let (low, high) = (half(0), half(8));
        if low == high && low == low.rotate_left(32) {
            continue;
        }
        let hash =
            (low ^ high.rotate_left(29)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - TABLE_BITS);
        let before = std::mem::replace(&mut last[hash as usize], 2 * n as u32) as usize;
        if n % 8 == 0 {
            asked += 1;
            found += usize::from(before < 2 * n && pcm[before..before + 16] == *stretch);
        }
    }
    found * 4 > asked
}

/// Decodes frames; keeps scratch space and tables between them, but nothing of their content.
pub struct Decoder {
    decompressor: Decompressor,
    groups: GroupDecoder,
    narrow: [Vec<i16>; 2],
    wide: [Vec<i32>; 2],
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder; allocates about 200 KiB. Tables that all share come into being once they are
    /// needed: 150 KiB for each of the twenty sets of sums of two G.711 legs.
    pub fn new() -> Self {
        Self {
            decompressor: Decompressor::new(),
            groups: GroupDecoder::default(),
            narrow: Default::default(),
            wide: Default::default(),
        }
    }

    /// Decodes `data`, which [`Encoder::encode`] made of `frames` sample frames in `layout`, and
    /// appends their PCM bytes to `out`.
    ///
    /// Any bytes are safe to decode: time and memory are bounded by `frames` and the size of
    /// `data`, and `out` never grows by more than the frames take. Damage is noticed where it makes
    /// the bytes impossible, not where it makes other samples: that is what digests are for.
    ///
    /// # Errors
    /// If `data` is not such a frame; `out` is then as it was.
    pub fn decode(
        &mut self,
        layout: Shape,
        frames: u32,
        data: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        let before = out.len();
        let size = (frames as usize)
            .checked_mul(layout.frame_bytes())
            .ok_or(CodecError::Corrupt("too many samples"))?;
        let result = self.decode_to(layout, frames as usize, data, size, out);
        if result.is_err() {
            out.truncate(before);
        }
        result
    }

    fn decode_to(
        &mut self,
        layout: Shape,
        frames: usize,
        mut data: &[u8],
        size: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        let before = out.len();
        if size == 0 {
            return if data.is_empty() {
                Ok(())
            } else {
                Err(CodecError::Corrupt("bytes without samples"))
            };
        }
        match data.split_off_first() {
            None => Err(CodecError::Truncated),
            Some(&PLAIN) if size > most_plain(data.len()) => {
                Err(CodecError::Corrupt("too many samples"))
            }
            Some(&PLAIN) => {
                out.resize(before + size, 0);
                self.decompressor.exactly(data, &mut out[before..])
            }
            Some(&method @ (PREDICTED | PREDICTED_SUMS))
                if size / layout.encoding.bytes() <= MOST_SAMPLES =>
            {
                let sums = method == PREDICTED_SUMS;
                out.resize(before + size, 0);
                for first in (0..usize::from(layout.channels)).step_by(GROUP) {
                    self.group(layout, sums, frames, first, &mut data, &mut out[before..])?;
                }
                if data.is_empty() {
                    Ok(())
                } else {
                    Err(CodecError::Corrupt("bytes after the last group"))
                }
            }
            Some(&(PREDICTED | PREDICTED_SUMS)) => Err(CodecError::Corrupt("too many samples")),
            Some(&method) => Err(CodecError::UnknownMethod(method)),
        }
    }

    /// Takes one group, which may have blocks of sums if `sums`, from the front of `data` and puts
    /// its channels into `pcm`.
    fn group(
        &mut self,
        layout: Shape,
        sums: bool,
        frames: usize,
        first: usize,
        data: &mut &[u8],
        pcm: &mut [u8],
    ) -> Result<(), CodecError> {
        let header = Header::take(data)?;
        let channels = GROUP.min(usize::from(layout.channels) - first);
        let limit = group::most_bytes(channels, frames);
        let tracks = group::tracks(first, channels, frames, header.block());
        let task = decode::Task {
            header,
            encoding: layout.encoding,
            sums,
            limit,
        };
        let (codec, zstd) = (&mut self.groups, &mut self.decompressor);
        if header.wide {
            make_room(&mut self.wide, &tracks);
            codec.decode(task, data, zstd, &mut self.wide)?;
            put_tracks(layout, &self.wide, &tracks, header.shift, pcm);
        } else {
            make_room(&mut self.narrow, &tracks);
            codec.decode(task, data, zstd, &mut self.narrow)?;
            put_tracks(layout, &self.narrow, &tracks, header.shift, pcm);
        }
        Ok(())
    }
}

/// The most that zstd makes of `packed` bytes: a block of 128 KiB from four bytes (RFC 8878, 3.1.1.2).
fn most_plain(packed: usize) -> usize {
    (packed / 4 + 1).saturating_mul(128 << 10)
}

/// Makes each buffer as long as its track, with the history in front.
fn make_room<S: Sample>(buffers: &mut [Vec<S>; 2], tracks: &[Track; 2]) {
    for (buffer, track) in buffers.iter_mut().zip(tracks) {
        buffer.clear();
        buffer.resize(MAX_ORDER + track.frames.len(), S::default());
    }
}

/// Writes each track's samples to its place in `pcm`.
fn put_tracks<S: Sample>(
    layout: Shape,
    buffers: &[Vec<S>; 2],
    tracks: &[Track; 2],
    shift: u32,
    pcm: &mut [u8],
) {
    for (buffer, track) in buffers.iter().zip(tracks) {
        let bytes =
            track.frames.start * layout.frame_bytes()..track.frames.end * layout.frame_bytes();
        pcm::scatter(
            layout,
            &buffer[MAX_ORDER..],
            track.channel,
            shift,
            &mut pcm[bytes],
        );
    }
}
