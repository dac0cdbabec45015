//! A linear residual as symbols: the class of a part, one byte a sample, low bits apart.
//!
//! The residuals of a part (80 samples) have about the same size. Their *class* says it in half
//! octaves, and names the stream that their symbols go to, so that each stream has one
//! distribution. The bits below the significant ones are noise; they are kept as they are.

use super::sample::Sample;

/// Classes of 32-bit residuals: half octaves of sixteen times the mean magnitude, up to 2^35.
pub(super) const CLASSES: usize = 72;
/// Streams that linear symbols go to.
pub(super) const STREAMS: usize = FIRST_SHARED as usize / 2 + 2;
/// The symbol that says that the quotient stands in the escapes.
pub(super) const ESCAPE: u8 = 255;

/// From this class on a low bit is dropped for each octave, distributions repeat, and two streams
/// serve for all.
const FIRST_SHARED: u8 = 14;
/// The class of a mean magnitude of one.
const CLASS_OF_ONE: u8 = 8;
/// Bits of the mean magnitude that stay in the symbol.
const KEPT: u32 = 2;
/// √2 · 2^15.
const ROOT_TWO: u64 = 46_341;

/// The class of `count` (not 0) residuals whose magnitudes sum to `sum`.
pub(super) fn class_of(sum: u64, count: usize) -> u8 {
    half_octave(sum * 16 / count as u64)
}

/// Half octaves above one: 0 for 0 and 1, 1 from √2, 2 from 2 …
pub(super) fn half_octave(value: u64) -> u8 {
    let octave = value.max(1).ilog2();
    (2 * octave) as u8 + u8::from((value << 15) >> octave >= ROOT_TWO)
}

/// Low bits that a residual of this class keeps apart from its symbol: 0 to 29.
pub(super) const fn low_bits(class: u8) -> u32 {
    ((class.saturating_sub(CLASS_OF_ONE) / 2) as u32).saturating_sub(KEPT)
}

/// Which of the [`STREAMS`] a class's symbols go to.
pub(super) const fn stream(class: u8) -> usize {
    if class < FIRST_SHARED {
        class as usize / 2
    } else {
        FIRST_SHARED as usize / 2 + (class & 1) as usize
    }
}

/// Bytes that the low bits of `count` samples take.
pub(super) const fn low_bytes(count: usize, bits: u32) -> usize {
    (count * bits as usize).div_ceil(8)
}

/// Magnitude and sign in one: 0, −1, 1, −2 … as 0, 1, 2, 3 …
#[inline(always)]
pub(super) fn zigzag<S: Sample>(value: S) -> u32 {
    let wide = value.widened();
    ((wide << 1) ^ (wide >> 31)) as u32
}

/// The inverse of [`zigzag`], its low bits.
#[inline(always)]
pub(super) fn unzigzag<S: Sample>(value: u32) -> S {
    S::truncated((value >> 1) as i32 ^ ((value & 1) as i32).wrapping_neg())
}

/// The sum of the magnitudes.
pub(super) fn magnitudes<S: Sample>(residual: &[S]) -> u64 {
    residual
        .iter()
        .map(|r| u64::from(r.widened().unsigned_abs()))
        .sum()
}

/// Writes one part: a symbol a sample to `symbols`, low bits to `low`, what does not fit to `escapes`.
pub(super) fn split<S: Sample>(
    residual: &[S],
    class: u8,
    symbols: &mut Vec<u8>,
    low: &mut Vec<u8>,
    escapes: &mut Vec<u8>,
) {
    let bits = low_bits(class);
    for r in residual {
        let quotient = zigzag(r.down(bits));
        symbols.push(quotient.min(u32::from(ESCAPE)) as u8);
        if quotient >= u32::from(ESCAPE) {
            escapes.extend_from_slice(&quotient.to_le_bytes()[..S::BYTES]);
        }
    }
    pack(residual, bits, low);
}

/// The low `bits` of each residual, the first in the lowest bits; whole bytes.
fn pack<S: Sample>(residual: &[S], bits: u32, low: &mut Vec<u8>) {
    let mask = (1u64 << bits) - 1;
    let (mut held, mut count) = (0u64, 0);
    for r in residual {
        held |= (r.widened() as u64 & mask) << count;
        count += bits;
        while count >= 8 {
            low.push(held as u8);
            held >>= 8;
            count -= 8;
        }
    }
    if count > 0 {
        low.push(held as u8);
    }
}

/// Reads one part back, without its escapes; says how many symbols ask for one.
///
/// `symbols` and `residual` have the same length. `low` begins with the part's low bits and holds
/// at least 8 bytes more than they take, whatever these are.
pub(super) fn join<S: Sample>(symbols: &[u8], class: u8, low: &[u8], residual: &mut [S]) -> usize {
    let bits = low_bits(class);
    if bits == 0 {
        for (r, symbol) in residual.iter_mut().zip(symbols) {
            *r = unzigzag(u32::from(*symbol));
        }
    } else {
        join_low(symbols, bits, low, residual);
    }
    escapes(symbols)
}

/// How many symbols ask for an escape; hardly ever any, which their maximum says at once.
fn escapes(symbols: &[u8]) -> usize {
    match symbols.iter().copied().fold(0, u8::max) {
        ESCAPE => symbols
            .iter()
            .map(|symbol| usize::from(*symbol == ESCAPE))
            .sum(),
        _ => 0,
    }
}

/// [`join`] where there are low bits.
fn join_low<S: Sample>(symbols: &[u8], bits: u32, low: &[u8], residual: &mut [S]) {
    match bits {
        1 => join_eights::<S, 1>(symbols, low, residual),
        2 => join_eights::<S, 2>(symbols, low, residual),
        3 => join_eights::<S, 3>(symbols, low, residual),
        4 => join_eights::<S, 4>(symbols, low, residual),
        5 => join_eights::<S, 5>(symbols, low, residual),
        6 => join_eights::<S, 6>(symbols, low, residual),
        7 => join_eights::<S, 7>(symbols, low, residual),
        8 => join_eights::<S, 8>(symbols, low, residual),
        _ => join_each(symbols, bits, low, residual),
    }
}

/// [`join_low`] where the low bits of eight samples, which fill whole bytes, fit into one word.
fn join_eights<S: Sample, const BITS: usize>(symbols: &[u8], low: &[u8], residual: &mut [S]) {
    let mask = (1u64 << BITS) - 1;
    let (eights, rest) = residual.as_chunks_mut::<8>();
    let (symbols, last) = symbols.as_chunks::<8>();
    for (n, (eight, symbols)) in eights.iter_mut().zip(symbols).enumerate() {
        let bytes = low[n * BITS..].first_chunk().copied().unwrap_or_default();
        let held = u64::from_le_bytes(bytes);
        for (n, (r, symbol)) in eight.iter_mut().zip(symbols).enumerate() {
            let kept = held >> (n * BITS) & mask;
            *r = unzigzag::<S>(u32::from(*symbol))
                .up(BITS as u32)
                .plus(S::truncated(kept as i32));
        }
    }
    join_each(last, BITS as u32, &low[symbols.len() * BITS..], rest);
}

fn join_each<S: Sample>(symbols: &[u8], bits: u32, low: &[u8], residual: &mut [S]) {
    let mask = (1u64 << bits) - 1;
    let mut at = 0;
    for (r, symbol) in residual.iter_mut().zip(symbols) {
        let bytes = low[at / 8..].first_chunk().copied().unwrap_or_default();
        let kept = (u64::from_le_bytes(bytes) >> (at % 8)) & mask;
        *r = unzigzag::<S>(u32::from(*symbol))
            .up(bits)
            .plus(S::truncated(kept as i32));
        at += bits as usize;
    }
}

/// Puts the escaped quotients in: `escapes` holds [`Sample::BYTES`] for each symbol that asks.
pub(super) fn put_escapes<S: Sample>(
    symbols: &[u8],
    class: u8,
    escapes: &[u8],
    residual: &mut [S],
) {
    let bits = low_bits(class);
    let asking = residual
        .iter_mut()
        .zip(symbols)
        .filter(|(_, symbol)| **symbol == ESCAPE);
    for ((r, _), escape) in asking.zip(escapes.chunks_exact(S::BYTES)) {
        let mut bytes = [0; 4];
        bytes[..S::BYTES].copy_from_slice(escape);
        let low = r.minus(unzigzag::<S>(u32::from(ESCAPE)).up(bits));
        *r = unzigzag::<S>(u32::from_le_bytes(bytes)).up(bits).plus(low);
    }
}
