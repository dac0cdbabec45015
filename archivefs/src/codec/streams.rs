//! The order of the symbols in a coded group: streams, each shared by two lanes.
//!
//! A group's symbols are sorted into streams by their kind, so that each has one distribution for
//! zstd to learn. Two tracks share each stream: the first is read from its front, the second from
//! its back, so that both can be decoded side by side and neither needs to know how much the other
//! took. A *chunk* of several bytes keeps its order on both sides.

use std::ops::Range;

use super::entropy::{Compressor, Content, Decompressor};
use super::frame::CodecError;
use super::{classes, g711};

/// A byte a block: predictor and mode.
pub(super) const KINDS: usize = 0;
/// New constants, and numbers of wasted bits.
pub(super) const VALUES: usize = 1;
/// The first four reflection coefficients of a block have a stream each, the others one together.
pub(super) const REFLECTIONS: Range<usize> = 2..7;
/// A byte a part: its class against that of the part before it in the track.
pub(super) const CLASSES: usize = 7;
/// Quotients that a symbol cannot say.
pub(super) const ESCAPES: usize = 8;
/// A byte a block: how much of the other channel is in it.
pub(super) const GAINS: usize = 9;
/// The first of the streams of linear symbols.
pub(super) const LINEAR: usize = 10;
/// The first of the streams of rank symbols.
pub(super) const RANKS: usize = LINEAR + classes::STREAMS;
/// Low bits, which no entropy coder can help: kept outside zstd.
pub(super) const LOW: usize = RANKS + g711::STREAMS;
/// How many there are.
const STREAMS: usize = LOW + 1;
/// Room for them, so that a masked number is always in range.
const ROOM: usize = 32;
const _: () = assert!(STREAMS <= ROOM);
/// Bytes after the last stream, so that a load of 8 bytes at its end stays inside.
const SLACK: usize = 8;

/// What came before in a track; all 0 at its start.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Before {
    /// The class of the last part.
    pub class: u8,
    /// The value of the last constant block.
    pub constant: i32,
}

/// Collects a group's symbols.
pub(super) struct Writer {
    /// What the first lane wrote.
    fronts: [Vec<u8>; STREAMS],
    /// What the second lane wrote, its last byte first.
    backs: [Vec<u8>; STREAMS],
    /// What each track's next block or part may say that it repeats.
    pub before: [Before; 2],
}

impl Default for Writer {
    fn default() -> Self {
        Self {
            fronts: std::array::from_fn(|_| Vec::new()),
            backs: std::array::from_fn(|_| Vec::new()),
            before: Default::default(),
        }
    }
}

impl Writer {
    /// Empties all streams.
    pub(super) fn clear(&mut self) {
        for stream in self.fronts.iter_mut().chain(&mut self.backs) {
            stream.clear();
        }
        self.before = Default::default();
    }

    /// Adds a chunk to a stream.
    pub(super) fn put(&mut self, lane: usize, stream: usize, chunk: &[u8]) {
        if lane == 0 {
            self.fronts[stream].extend_from_slice(chunk);
        } else {
            self.backs[stream].extend(chunk.iter().rev());
        }
    }

    /// Adds a symbol to a stream.
    #[inline]
    pub(super) fn push(&mut self, lane: usize, stream: usize, symbol: u8) {
        let side = if lane == 0 {
            &mut self.fronts
        } else {
            &mut self.backs
        };
        side[stream].push(symbol);
    }

    /// Writes lengths, entropy-coded streams and low bits to `out`.
    pub(super) fn finish(
        &mut self,
        content: Content,
        compressor: &mut Compressor,
        out: &mut Vec<u8>,
    ) {
        for (front, back) in self.fronts.iter_mut().zip(&self.backs) {
            front.extend(back.iter().rev());
        }
        put_lengths(&self.fronts, out);
        let packed = compressor.streams(content, &self.fronts[..LOW]);
        put_number(packed.len(), out);
        out.extend_from_slice(packed);
        out.extend_from_slice(&self.fronts[LOW]);
    }
}

/// The length of each stream; an empty one is followed by the number of empty ones after it.
fn put_lengths(streams: &[Vec<u8>], out: &mut Vec<u8>) {
    let mut at = 0;
    while at < streams.len() {
        put_number(streams[at].len(), out);
        if streams[at].is_empty() {
            let more = streams[at + 1..]
                .iter()
                .take_while(|s| s.is_empty())
                .count();
            put_number(more, out);
            at += more;
        }
        at += 1;
    }
}

/// Seven bits a byte, the lowest first, the top bit set in all but the last (LEB128).
pub(super) fn put_number(mut value: usize, out: &mut Vec<u8>) {
    while value >= 128 {
        out.push(value as u8 | 128);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Takes a number as [`put_number`] writes it from the front of `data`: at most 32 bits.
pub(super) fn take_number(data: &mut &[u8]) -> Result<usize, CodecError> {
    let mut value = 0u64;
    for shift in (0..35).step_by(7) {
        let byte = data.split_off_first().ok_or(CodecError::Truncated)?;
        value |= u64::from(byte & 127) << shift;
        if *byte < 128 {
            return u32::try_from(value)
                .map(|v| v as usize)
                .map_err(|_| CodecError::Corrupt("a number"));
        }
    }
    Err(CodecError::Corrupt("a number"))
}

/// Where one lane stands in each stream.
#[derive(Clone)]
pub(super) struct Lane {
    /// The byte that is read next.
    at: [u32; ROOM],
    /// To the byte after it: 1, or −1 in two's complement.
    step: u32,
    /// What the track's next block or part may say that it repeats.
    pub before: Before,
}

impl Lane {
    /// The next symbol of a stream; 0 where the bytes have ended, which [`finish`] notices.
    #[inline(always)]
    pub(super) fn next(&mut self, stream: usize, bytes: &[u8]) -> u8 {
        let at = &mut self.at[stream % ROOM];
        let here = *at;
        *at = here.wrapping_add(self.step);
        bytes.get(here as usize).copied().unwrap_or(0)
    }

    /// The next chunk of `count` bytes of a stream.
    pub(super) fn take(
        &mut self,
        stream: usize,
        count: usize,
        bounds: &Bounds,
    ) -> Result<Range<usize>, CodecError> {
        let short = CodecError::Corrupt("a stream is too short");
        let (first, end) = (bounds.0[stream] as usize, bounds.0[stream + 1] as usize);
        let at = self.at[stream] as usize;
        let start = if self.step == 1 {
            at
        } else {
            (at + 1).checked_sub(count).ok_or(short.clone())?
        };
        if start < first || start + count > end {
            return Err(short);
        }
        self.at[stream] = self.at[stream].wrapping_add(self.step.wrapping_mul(count as u32));
        Ok(start..start + count)
    }
}

/// Where each stream begins, and where the last one ends.
pub(super) struct Bounds([u32; STREAMS + 1]);

/// A group's streams, decompressed.
#[derive(Default)]
pub(super) struct Reader {
    bytes: Vec<u8>,
}

impl Reader {
    /// Takes one group's streams from the front of `data`; together at most `limit` bytes.
    ///
    /// Returns the bytes, the bounds of the streams in them, and the two lanes.
    pub(super) fn open(
        &mut self,
        data: &mut &[u8],
        limit: usize,
        decompressor: &mut Decompressor,
    ) -> Result<(&[u8], Bounds, [Lane; 2]), CodecError> {
        let bounds = take_bounds(data, limit)?;
        let (low, end) = (bounds.0[LOW] as usize, bounds.0[STREAMS] as usize);
        let packed_len = take_number(data)?;
        let packed = data.split_off(..packed_len).ok_or(CodecError::Truncated)?;
        let raw = data.split_off(..end - low).ok_or(CodecError::Truncated)?;
        self.bytes.clear();
        self.bytes.resize(low, 0);
        decompressor.exactly(packed, &mut self.bytes)?;
        let ranks = bounds.0[RANKS] as usize..low;
        g711::distances(&mut self.bytes[ranks]);
        self.bytes.extend_from_slice(raw);
        self.bytes.extend_from_slice(&[0; SLACK]);
        let front = Lane {
            at: std::array::from_fn(|s| bounds.0[s.min(STREAMS)]),
            step: 1,
            before: Before::default(),
        };
        let back = Lane {
            at: std::array::from_fn(|s| bounds.0[(s + 1).min(STREAMS)].wrapping_sub(1)),
            step: u32::MAX,
            before: Before::default(),
        };
        Ok((&self.bytes, bounds, [front, back]))
    }
}

/// Whether the lanes met in each stream: each byte was read once.
pub(super) fn finish(lanes: &[Lane; 2]) -> Result<(), CodecError> {
    let met = (0..STREAMS).all(|s| lanes[0].at[s] == lanes[1].at[s].wrapping_add(1));
    if met {
        Ok(())
    } else {
        Err(CodecError::Corrupt(
            "the streams hold more or less than the samples take",
        ))
    }
}

/// The lengths that [`put_lengths`] wrote, as bounds.
fn take_bounds(data: &mut &[u8], limit: usize) -> Result<Bounds, CodecError> {
    let mut bounds = [0u32; STREAMS + 1];
    let mut at = 0;
    let mut total = 0;
    while at < STREAMS {
        let length = take_number(data)?;
        total += length;
        if total > limit {
            return Err(CodecError::Corrupt(
                "the streams are longer than the samples can take",
            ));
        }
        let more = if length == 0 { take_number(data)? } else { 0 };
        let next = at.saturating_add(more).saturating_add(1);
        bounds
            .get_mut(at + 1..=next)
            .ok_or(CodecError::Corrupt("too many streams"))?
            .fill(total as u32);
        at = next;
    }
    Ok(Bounds(bounds))
}

/// A group with these streams, whatever they say; predictors and sets of sums are made to exist.
#[cfg(test)]
pub(super) fn nonsense(method: u8, header: &[u8], streams: &[Vec<u8>]) -> Vec<u8> {
    let mut writer = Writer::default();
    for (to, from) in writer.fronts.iter_mut().zip(streams) {
        to.clone_from(from);
    }
    for kind in &mut writer.fronts[KINDS] {
        if matches!(*kind & 63, 7 | 40..) {
            *kind = (*kind & 0xC0) | 0x14;
        }
    }
    for value in writer.fronts[VALUES]
        .iter_mut()
        .filter(|value| **value >= 128)
    {
        *value = 128 + *value % super::sums::SETS as u8;
    }
    let mut out = vec![method, header[0], header[1] % 3];
    if header[0] & 0x40 != 0 {
        out.push(header[2]);
    }
    writer.finish(Content::Symbols, &mut Compressor::new(), &mut out);
    out
}
