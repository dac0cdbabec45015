//! A binary arithmetic coder: decisions with probabilities, to and from bytes.
//!
//! Both directions are one trait, so that what is modelled is written down once: the encoder is
//! given each decision, the decoder gives it.

/// Bits of a probability.
pub(super) const PROBABILITY_BITS: u32 = 16;

/// One direction of the coder.
pub(super) trait Coder {
    /// Codes one decision that is true with `probability` (1 to 65535 of 65536). The encoder codes
    /// `decision` and returns it; the decoder ignores it and returns the one that was coded.
    fn code(&mut self, decision: bool, probability: u32) -> bool;

    /// Codes the low `count` bits of `value`, the highest first, each as likely as not.
    fn code_bits(&mut self, value: u32, count: u32) -> u32 {
        (0..count).rev().fold(0, |bits, at| {
            bits << 1 | u32::from(self.code(value >> at & 1 == 1, 1 << (PROBABILITY_BITS - 1)))
        })
    }
}

/// The interval that remains; its bounds belong to it.
struct Interval {
    low: u32,
    high: u32,
}

impl Interval {
    const ALL: Self = Self {
        low: 0,
        high: u32::MAX,
    };

    /// The last number that stands for true.
    fn split(&self, probability: u32) -> u32 {
        let width = u64::from(self.high - self.low);
        self.low + ((width * u64::from(probability)) >> PROBABILITY_BITS) as u32
    }

    /// Keeps one side of `split`.
    fn keep(&mut self, decision: bool, split: u32) {
        if decision {
            self.high = split;
        } else {
            self.low = split + 1;
        }
    }

    /// Takes off the top byte if both bounds agree in it.
    fn settled(&mut self) -> Option<u8> {
        if (self.low ^ self.high) >> 24 != 0 {
            return None;
        }
        let byte = (self.high >> 24) as u8;
        self.low <<= 8;
        self.high = self.high << 8 | 255;
        Some(byte)
    }
}

/// Writes decisions.
pub(super) struct Writer {
    interval: Interval,
    out: Vec<u8>,
}

impl Writer {
    /// A coder that has written nothing.
    pub(super) fn new() -> Self {
        Self {
            interval: Interval::ALL,
            out: Vec::new(),
        }
    }

    /// The bytes of all decisions.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.out.extend(self.interval.low.to_be_bytes());
        self.out
    }
}

impl Coder for Writer {
    #[inline]
    fn code(&mut self, decision: bool, probability: u32) -> bool {
        let split = self.interval.split(probability);
        self.interval.keep(decision, split);
        while let Some(byte) = self.interval.settled() {
            self.out.push(byte);
        }
        decision
    }
}

/// Reads decisions.
pub(super) struct Reader<'a> {
    interval: Interval,
    value: u32,
    data: &'a [u8],
    /// Bytes that were asked for after the last.
    missing: usize,
}

impl<'a> Reader<'a> {
    /// A coder for what [`Writer::finish`] returned.
    pub(super) fn new(data: &'a [u8]) -> Self {
        let mut reader = Self {
            interval: Interval::ALL,
            value: 0,
            data,
            missing: 0,
        };
        for _ in 0..4 {
            reader.shift();
        }
        reader
    }

    fn shift(&mut self) {
        let byte = self.data.split_off_first().copied();
        self.missing += usize::from(byte.is_none());
        self.value = self.value << 8 | u32::from(byte.unwrap_or(0));
    }

    /// Whether all bytes were read and none was missing.
    pub(super) fn is_finished(&self) -> bool {
        self.data.is_empty() && self.missing == 0
    }
}

impl Coder for Reader<'_> {
    #[inline]
    fn code(&mut self, _: bool, probability: u32) -> bool {
        let split = self.interval.split(probability);
        let decision = self.value <= split;
        self.interval.keep(decision, split);
        while self.interval.settled().is_some() {
            self.shift();
        }
        decision
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_come_back_and_all_bytes_are_used() {
        let decisions: Vec<(bool, u32)> = (0..5000u32)
            .map(|n| {
                (
                    n % 7 == 0 || n % 11 == 3,
                    1 + n.wrapping_mul(2_654_435_761) % 65_535,
                )
            })
            .collect();
        let mut writer = Writer::new();
        for (decision, probability) in &decisions {
            writer.code(*decision, *probability);
        }
        writer.code_bits(0xDEAD_BEEF, 32);
        let bytes = writer.finish();
        let mut reader = Reader::new(&bytes);
        for (decision, probability) in &decisions {
            assert_eq!(reader.code(false, *probability), *decision);
        }
        assert_eq!(reader.code_bits(0, 32), 0xDEAD_BEEF);
        assert!(reader.is_finished());
    }

    #[test]
    fn a_certain_decision_is_almost_free() {
        let mut writer = Writer::new();
        for _ in 0..10_000 {
            writer.code(true, 65_000);
        }
        let bytes = writer.finish().len();
        assert!(bytes < 25, "{bytes} bytes for 118 bits");
    }
}
