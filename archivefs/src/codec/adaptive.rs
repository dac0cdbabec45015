//! Residuals coded one by one with probabilities that learn: slower, smaller.
//!
//! The predictors are those of the class streams; only what they leave is coded otherwise. How
//! large a residual will be is told by those before it: a fast and a slow mean of magnitudes, and
//! the last two themselves. Each is a context with probabilities of its own, and the four are
//! mixed by weights that learn too.

use super::g711::Set;
use super::mixing::{self, EQUAL, INPUTS, Slot, Weights};
use super::range::Coder;

/// Decisions "is it greater?" that are told apart; after these a number follows in full.
const STEPS: usize = 24;
/// Levels of a mean against the unit, in quarter octaves.
const LEVELS: usize = 32;
/// Levels of one magnitude in units.
const MAGNITUDES: usize = 12;
/// Places of a prediction between two G.711 values.
const PLACES: usize = 4;

/// The first slot of each context; [`PLACES`] is 1 for linear residuals.
const FAST: usize = 0;
const SLOW: usize = FAST + LEVELS * PLACES * STEPS;
const LAST: usize = SLOW + LEVELS * PLACES * STEPS;
const BOTH: usize = LAST + MAGNITUDES * MAGNITUDES * PLACES * STEPS;
const SIGN: usize = BOTH + LEVELS * LEVELS * STEPS;
const SLOTS: usize = SIGN + INPUTS * LEVELS * LEVELS;

/// What is known of the track so far.
#[derive(Default, Clone, Copy)]
pub(super) struct History {
    /// Means of the magnitudes of the linear residuals, in 256ths: over about 6 and 50 samples.
    fast: u64,
    slow: u64,
    /// The last two of them.
    last: [u32; 2],
    /// The signs of the last two, the newest in bit 0.
    signs: usize,
}

impl History {
    /// Takes in a linear residual.
    pub(super) fn push(&mut self, residual: i32) {
        let (magnitude, negative) = (residual.unsigned_abs(), residual < 0);
        let now = u64::from(magnitude) << 8;
        self.fast = (self.fast * 5 + now) / 6;
        self.slow = (self.slow * 49 + now) / 50;
        self.last = [magnitude, self.last[0]];
        self.signs = (self.signs << 1 | usize::from(negative)) & 3;
    }
}

/// What has been learnt, for one kind of symbol.
pub(super) struct Model {
    slots: Vec<Slot>,
    weights: Vec<Weights>,
}

/// The models of a group.
pub(super) struct Models {
    /// For linear residuals.
    pub linear: Model,
    /// For ranks.
    pub ranks: Model,
}

impl Default for Models {
    fn default() -> Self {
        Self {
            linear: Model::new(),
            ranks: Model::new(),
        }
    }
}

/// The contexts of one residual.
struct Contexts {
    fast: usize,
    slow: usize,
    last: [usize; 2],
    place: usize,
}

impl Model {
    /// Nothing learnt.
    pub(super) fn new() -> Self {
        Self {
            slots: vec![Slot::NEW; SLOTS],
            weights: vec![EQUAL; STEPS + 1],
        }
    }

    /// Codes a linear residual.
    pub(super) fn linear(
        &mut self,
        coder: &mut impl Coder,
        history: &mut History,
        residual: i32,
    ) -> i32 {
        let unit = unit(history.fast + history.slow);
        let contexts = Contexts::new(history, unit, 0);
        let magnitude = self.magnitude(coder, &contexts, residual.unsigned_abs(), unit);
        let negative = magnitude > 0 && self.sign(coder, &contexts, history.signs, residual < 0);
        let residual = if negative {
            (magnitude as i32).wrapping_neg()
        } else {
            magnitude as i32
        };
        history.push(residual);
        residual
    }

    /// Codes the distance of a sample's rank from that of the prediction, towards the side on which
    /// the prediction falls; [`History::push`] is left to the caller, who knows the sample.
    pub(super) fn rank(
        &mut self,
        coder: &mut impl Coder,
        history: &History,
        set: &Set,
        expected: i16,
        distance: i8,
    ) -> i8 {
        // Means and magnitudes in steps of the set, in 256ths as before.
        let (step, place) = set.place(expected);
        let scale = |x: u64| x / step;
        let scaled = History {
            fast: scale(history.fast),
            slow: scale(history.slow),
            last: history.last.map(|x| scale(u64::from(x)) as u32),
            ..*history
        };
        let unit = unit(scaled.fast + scaled.slow).min(5);
        let contexts = Contexts::new(&scaled, unit, place);
        let magnitude = self.magnitude(coder, &contexts, u32::from(distance.unsigned_abs()), unit);
        let negative = magnitude > 0 && self.sign(coder, &contexts, place, distance < 0);
        if negative {
            (magnitude as i8).wrapping_neg()
        } else {
            magnitude as i8
        }
    }

    /// Codes a magnitude: units by single steps, what is below a unit mostly as it is.
    fn magnitude(
        &mut self,
        coder: &mut impl Coder,
        contexts: &Contexts,
        magnitude: u32,
        unit: u32,
    ) -> u32 {
        let units = magnitude >> unit;
        let mut count = 0;
        while count < STEPS as u32 && self.step(coder, contexts, count as usize, units > count) {
            count += 1;
        }
        if count == STEPS as u32 {
            let more = units.wrapping_sub(count);
            let bits = coder.code_bits(32 - more.leading_zeros(), 6).min(32);
            count = count.wrapping_add(coder.code_bits(more, bits));
        }
        count << unit | coder.code_bits(magnitude, unit)
    }

    /// Codes whether there is another unit after `step` of them.
    fn step(&mut self, coder: &mut impl Coder, c: &Contexts, step: usize, more: bool) -> bool {
        let which = [
            FAST + (c.fast * PLACES + c.place) * STEPS + step,
            SLOW + (c.slow * PLACES + c.place) * STEPS + step,
            LAST + ((c.last[0] * MAGNITUDES + c.last[1]) * PLACES + c.place) * STEPS + step,
            BOTH + (c.fast * LEVELS + c.slow) * STEPS + step,
        ];
        mixing::code(coder, more, &mut self.slots, which, &mut self.weights[step])
    }

    fn sign(&mut self, coder: &mut impl Coder, c: &Contexts, hint: usize, negative: bool) -> bool {
        let which = std::array::from_fn(|i| {
            let level = [c.fast, c.slow, c.last[0], 0][i];
            SIGN + (i * LEVELS + level) * LEVELS + hint
        });
        mixing::code(
            coder,
            negative,
            &mut self.slots,
            which,
            &mut self.weights[STEPS],
        )
    }
}

impl Contexts {
    fn new(history: &History, unit: u32, place: usize) -> Self {
        let level = |mean: u64| quarter_octaves((mean << 2) >> unit).min(LEVELS - 1);
        let magnitude = |x: u32| match (x >> unit) as usize {
            x @ 0..8 => x,
            8..12 => 8,
            12..18 => 9,
            18..28 => 10,
            _ => 11,
        };
        Self {
            fast: level(history.fast),
            slow: level(history.slow),
            last: history.last.map(magnitude),
            place,
        }
    }
}

/// The bits below a unit, so that the mean is one to two units; `means` is twice a mean in 256ths.
fn unit(means: u64) -> u32 {
    (means >> 9).max(1).ilog2()
}

/// Quarter octaves of a mean in 1024ths of a unit, from about a tenth of a unit up.
fn quarter_octaves(mean: u64) -> usize {
    let value = mean.max(128);
    let octave = value.ilog2();
    ((octave - 7) * 4) as usize + (value >> (octave - 2) & 3) as usize
}
