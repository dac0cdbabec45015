//! The header of a block, in both directions: gain, predictor, mode, and the class of each part.

use super::analysis::Kind;
use super::classes::{self, CLASSES, unzigzag, zigzag};
use super::frame::CodecError;
use super::g711::Law;
use super::group::PARTS;
use super::parcor::MAX_ORDER;
use super::sample::Sample;
use super::streams::{self, Bounds, Lane, Writer};
use super::sums::{self, Numbers};

/// The kind byte of a constant block with a value of its own.
const CONSTANT: u8 = 5;
/// The kind byte of a constant block with the value of the last one in the track; at first 0.
const SAME_CONSTANT: u8 = 6;
/// The kind byte of linear prediction of order 1; the others follow.
const LINEAR: u8 = 8;
/// The kind byte's bits that say the predictor; the others say the mode.
const PREDICTOR: u8 = 0b0011_1111;
const MODE_SHIFT: u32 = 6;
/// Added to the number of a set of sums, where a number of wasted bits may stand too.
const SUMS: u8 = 128;

/// How the residual of a block is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// As symbols and low bits, after `wasted` zero bits were dropped from each sample.
    Linear {
        /// How many.
        wasted: u32,
    },
    /// As ranks in a set of values.
    Ranks(Law),
    /// As distances between ranks in sets of sums, one for each part, coded like a linear residual.
    Sums(Numbers),
}

/// All of a block but its residual.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block<S> {
    /// How much of the other channel is subtracted; 0 in a group that does not compare channels.
    pub gain: i8,
    /// The predictor.
    pub kind: Kind<S>,
    /// The mode.
    pub coding: Coding,
    /// The class of each part, as far as there are parts; of a constant block all 0.
    pub classes: [u8; PARTS],
}

impl<S: Sample> Block<S> {
    /// Writes the header of a block of `parts` parts; the gain only if `paired`.
    pub(super) fn put(&self, lane: usize, parts: usize, paired: bool, writer: &mut Writer) {
        if paired {
            writer.push(lane, streams::GAINS, self.gain as u8);
        }
        if let Kind::Constant(value) = self.kind {
            return put_constant(value, lane, writer);
        }
        writer.push(lane, streams::KINDS, self.kind_byte());
        match self.coding {
            Coding::Linear { wasted: 0 } | Coding::Ranks(_) => {}
            Coding::Linear { wasted } => writer.push(lane, streams::VALUES, wasted as u8),
            Coding::Sums(numbers) => {
                for number in numbers {
                    writer.push(lane, streams::VALUES, number + SUMS);
                }
            }
        }
        if let Kind::Linear { reflections, order } = self.kind {
            for (m, k) in reflections[..order].iter().enumerate() {
                writer.push(lane, reflection_stream(m), zigzag(i16::from(*k)) as u8);
            }
        }
        for class in &self.classes[..parts] {
            let step = class.wrapping_sub(writer.before[lane].class) as i8;
            writer.push(lane, streams::CLASSES, zigzag(i16::from(step)) as u8);
            writer.before[lane].class = *class;
        }
    }

    /// A block of one value.
    pub(super) fn constant(value: S, gain: i8) -> Self {
        let coding = Coding::Linear { wasted: 0 };
        Self {
            gain,
            kind: Kind::Constant(value),
            coding,
            classes: [0; PARTS],
        }
    }

    fn kind_byte(&self) -> u8 {
        let mode = match self.coding {
            Coding::Linear { wasted: 0 } => 0,
            Coding::Ranks(Law::Mu) => 1,
            Coding::Ranks(Law::A) => 2,
            Coding::Linear { .. } | Coding::Sums(_) => 3,
        };
        match self.kind {
            Kind::Constant(_) => SAME_CONSTANT,
            Kind::Fixed(order) => order as u8 | (mode << MODE_SHIFT),
            Kind::Linear { order, .. } => (LINEAR - 1 + order as u8) | (mode << MODE_SHIFT),
        }
    }

    /// Reads what [`Block::put`] wrote.
    pub(super) fn take(
        lane: &mut Lane,
        parts: usize,
        paired: bool,
        bytes: &[u8],
        bounds: &Bounds,
    ) -> Result<Self, CodecError> {
        let gain = if paired {
            take(lane, streams::GAINS, 1, bytes, bounds)?[0] as i8
        } else {
            0
        };
        let byte = take(lane, streams::KINDS, 1, bytes, bounds)?[0];
        if byte == CONSTANT || byte == SAME_CONSTANT {
            if byte == CONSTANT {
                let mut value = [0; 4];
                let stored = take(lane, streams::VALUES, S::BYTES, bytes, bounds)?;
                value[..S::BYTES].copy_from_slice(stored);
                lane.before.constant = i32::from_le_bytes(value);
            }
            return Ok(Self::constant(S::truncated(lane.before.constant), gain));
        }
        let coding = match byte >> MODE_SHIFT {
            0 => Coding::Linear { wasted: 0 },
            1 => Coding::Ranks(Law::Mu),
            2 => Coding::Ranks(Law::A),
            _ => wasted_or_sums(lane, bytes, bounds)?,
        };
        let kind = match usize::from(byte & PREDICTOR) {
            order @ 0..=4 => Kind::Fixed(order),
            code @ 8..=39 => {
                let order = code + 1 - usize::from(LINEAR);
                let mut reflections = [0; MAX_ORDER];
                for (m, k) in reflections[..order].iter_mut().enumerate() {
                    let stored = take(lane, reflection_stream(m), 1, bytes, bounds)?[0];
                    *k = unzigzag::<i16>(u32::from(stored)) as i8;
                }
                Kind::Linear { reflections, order }
            }
            _ => return Err(CodecError::Corrupt("an unknown predictor")),
        };
        let mut classes = [0; PARTS];
        for class in &mut classes[..parts] {
            let stored = take(lane, streams::CLASSES, 1, bytes, bounds)?[0];
            let step = unzigzag::<i16>(u32::from(stored));
            lane.before.class = lane.before.class.wrapping_add(step as u8);
            *class = lane.before.class;
        }
        Self {
            gain,
            kind,
            coding,
            classes,
        }
        .checked()
    }

    /// The block, if its numbers are in range.
    fn checked(self) -> Result<Self, CodecError> {
        let wide =
            |class: &u8| usize::from(*class) >= CLASSES || classes::low_bits(*class) >= S::BITS;
        if self.classes.iter().any(wide) {
            return Err(CodecError::Corrupt("a class out of range"));
        }
        match self.coding {
            Coding::Linear { wasted } if wasted >= S::BITS => {
                Err(CodecError::Corrupt("too many wasted bits"))
            }
            Coding::Ranks(_) | Coding::Sums(_) if S::BITS > i16::BITS => {
                Err(CodecError::Corrupt("ranks of wide samples"))
            }
            Coding::Sums(numbers) if numbers.iter().any(|n| usize::from(*n) >= sums::SETS) => {
                Err(CodecError::Corrupt("an unknown set of sums"))
            }
            _ => Ok(self),
        }
    }
}

/// The next `count` bytes of a stream.
fn take<'a>(
    lane: &mut Lane,
    stream: usize,
    count: usize,
    bytes: &'a [u8],
    bounds: &Bounds,
) -> Result<&'a [u8], CodecError> {
    lane.take(stream, count, bounds).map(|range| &bytes[range])
}

/// What a block of mode 3 keeps in the values: how many bits are wasted, or the sets of its parts.
fn wasted_or_sums(lane: &mut Lane, bytes: &[u8], bounds: &Bounds) -> Result<Coding, CodecError> {
    let mut next = || take(lane, streams::VALUES, 1, bytes, bounds).map(|taken| taken[0]);
    let first = next()?;
    if first < SUMS {
        let wasted = u32::from(first);
        return Ok(Coding::Linear { wasted });
    }
    let mut numbers = [first; PARTS];
    for number in &mut numbers[1..] {
        *number = next()?;
    }
    // A byte that is too small becomes a number that is too great.
    Ok(Coding::Sums(numbers.map(|byte| byte.wrapping_sub(SUMS))))
}

/// Writes a constant block, its value only if it is a new one.
fn put_constant<S: Sample>(value: S, lane: usize, writer: &mut Writer) {
    let value = value.widened();
    let before = std::mem::replace(&mut writer.before[lane].constant, value);
    if value == before {
        writer.push(lane, streams::KINDS, SAME_CONSTANT);
    } else {
        writer.push(lane, streams::KINDS, CONSTANT);
        writer.put(lane, streams::VALUES, &value.to_le_bytes()[..S::BYTES]);
    }
}

/// The stream of reflection coefficient `m`.
fn reflection_stream(m: usize) -> usize {
    (streams::REFLECTIONS.start + m).min(streams::REFLECTIONS.end - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<S: Sample>(class: u8, coding: Coding) -> bool {
        let kind = Kind::<S>::Fixed(0);
        Block {
            gain: 0,
            kind,
            coding,
            classes: [0, 0, 0, class],
        }
        .checked()
        .is_ok()
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        let plain = Coding::Linear { wasted: 0 };
        assert!(with::<i16>(43, plain) && !with::<i16>(44, plain));
        assert!(with::<i32>(71, plain) && !with::<i32>(72, plain));
        assert!(with::<i16>(0, Coding::Linear { wasted: 15 }));
        assert!(!with::<i16>(0, Coding::Linear { wasted: 16 }));
        assert!(with::<i16>(0, Coding::Ranks(Law::A)) && !with::<i32>(0, Coding::Ranks(Law::A)));
    }
}
