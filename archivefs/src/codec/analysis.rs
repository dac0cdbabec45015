//! Which predictor suits a block. Encoder only, and the only place with floating point: what comes
//! out is stored, so that a difference between two machines costs a few bytes at most.

use std::f64::consts::{E, PI};

use super::classes::magnitudes;
use super::parcor::{MAX_ORDER, Predictor, quantised};
use super::predict;
use super::sample::Sample;

/// Autocorrelations for the greatest order.
const LAGS: usize = MAX_ORDER + 1;
/// Autocorrelations that are summed at once, as many as the vector registers hold.
const LAGS_AT_ONCE: usize = 11;
/// What a stored reflection coefficient costs on average, bits.
const REFLECTION_BITS: f64 = 4.0;
/// The same by the fine measure: so much for each, and for each unit of its magnitude.
const FINE_REFLECTION_BITS: f64 = 1.0;
const REFLECTION_UNIT_BITS: f64 = 1.0;
/// What the reflection coefficients of the linear block before cost when they are stored again, bits:
/// zstd finds them.
const REPEAT_BITS: f64 = 16.0;
/// What a linear block costs beside its coefficients and residual, bits.
const LINEAR_BITS: f64 = 6.0;
/// The mean magnitude below which a smaller residual saves nothing.
const LEAST_MEAN: f64 = 0.18;
/// The window's tapered share, by effort: Tukey's window, 0 to 1.
const TAPERS: [f64; 3] = [0.4, 0.1, 0.8];
/// The same of the window that reaches over the neighbours of the block.
const WIDE_TAPER: f64 = 0.5;
/// What rounding to whole numbers adds to a variance.
const ROUNDING: f64 = 1.0 / 12.0;
/// White noise that is added to the autocorrelation so that the recursion stays stable.
const NOISE: f64 = 1e-9;

/// The predictor of a block as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind<S> {
    /// All samples have this value.
    Constant(S),
    /// The polynomial predictor of this order.
    Fixed(usize),
    /// Linear prediction with the first `order` of these reflection coefficients.
    Linear {
        /// As stored.
        reflections: [i8; MAX_ORDER],
        /// How many of them.
        order: usize,
    },
}

impl<S: Sample> Kind<S> {
    /// The predictor itself; of a constant, one that says nothing.
    pub(super) fn predictor(&self) -> Predictor {
        match self {
            Self::Constant(_) => Predictor::fixed(0),
            Self::Fixed(order) => Predictor::fixed(*order),
            Self::Linear { reflections, order } => {
                Predictor::from_reflections(&reflections[..*order])
            }
        }
    }
}

/// How hard the search is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Search {
    /// Windows to try, of [`TAPERS`].
    pub windows: usize,
    /// Orders to try on either side of the best guess.
    pub orders: usize,
    /// The greatest order.
    pub max_order: usize,
    /// Whether to look also at the block's neighbours and at the predictor of the block before, and
    /// to weigh each coefficient and the shape of the residual's distribution.
    pub fine: bool,
}

impl Search {
    /// The bits that `reflections` are expected to take.
    fn header_bits(&self, reflections: &[i8]) -> f64 {
        if !self.fine {
            return reflections.len() as f64 * REFLECTION_BITS;
        }
        let magnitudes = reflections.iter().map(|k| f64::from(k.unsigned_abs()));
        magnitudes
            .map(|m| FINE_REFLECTION_BITS + m * REFLECTION_UNIT_BITS)
            .sum()
    }
}

/// A block that a predictor is wanted for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch<'a, S> {
    /// History, then the block, which is not empty.
    pub samples: &'a [S],
    /// The block and as much of its neighbours as may tell something about it.
    pub around: &'a [S],
    /// Low bits that are dropped from each sample.
    pub wasted: u32,
}

/// A predictor and the bits that the block is expected to take with it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Choice<S> {
    /// The predictor.
    pub kind: Kind<S>,
    /// The estimate, bits.
    pub cost: f64,
}

/// Chooses predictors; keeps windows and scratch space.
#[derive(Default)]
pub(super) struct Analyzer {
    windows: Vec<Window>,
    windowed: Vec<f64>,
    /// The coefficients of the last linear block of the track, and how many of them.
    before: Option<([i8; MAX_ORDER], usize)>,
}

struct Window {
    taper: f64,
    weights: Vec<f64>,
}

impl Analyzer {
    /// Forgets the blocks before, at the beginning of a track.
    pub(super) fn begin_track(&mut self) {
        self.before = None;
    }

    /// Remembers the predictor that a block got in the end.
    pub(super) fn remember<S>(&mut self, kind: &Kind<S>) {
        if let Kind::Linear { reflections, order } = kind {
            self.before = Some((*reflections, *order));
        }
    }

    /// The best predictor for a block. Leaves its residual in `residual`.
    pub(super) fn choose<S: Sample>(
        &mut self,
        stretch: Stretch<S>,
        search: Search,
        bits: impl Fn(&[S]) -> f64,
        residual: &mut [S],
    ) -> Choice<S> {
        let block = &stretch.samples[MAX_ORDER..];
        if block.iter().all(|x| *x == block[0]) {
            return Choice {
                kind: Kind::Constant(block[0]),
                cost: 8.0 * S::BYTES as f64,
            };
        }
        let mut contest = Contest::begin(stretch, bits, residual);
        let near = TAPERS[..search.windows].iter().map(|taper| (block, *taper));
        let wide = search.fine.then_some((stretch.around, WIDE_TAPER));
        for (seen, taper) in near.chain(wide) {
            let lattice = self.lattice(seen, taper, search.max_order);
            let reflections = lattice.quantised();
            for order in lattice.orders(block.len(), search.orders) {
                let header = search.header_bits(&reflections[..order]);
                contest.enter(Kind::Linear { reflections, order }, header);
            }
        }
        if let (Some((reflections, order)), true) = (self.before, search.fine) {
            contest.enter(Kind::Linear { reflections, order }, REPEAT_BITS);
        }
        contest.best
    }

    /// The reflection coefficients of the windowed block.
    fn lattice<S: Sample>(&mut self, block: &[S], taper: f64, max_order: usize) -> Lattice {
        let mut windowed = std::mem::take(&mut self.windowed);
        let weights = self.window(taper, block.len());
        windowed.clear();
        windowed.resize(LAGS, 0.0);
        windowed.extend(
            block
                .iter()
                .zip(weights)
                .map(|(x, w)| f64::from(x.widened()) * w),
        );
        let lattice = Lattice::new(&autocorrelation(&windowed), max_order.min(block.len() - 1));
        self.windowed = windowed;
        lattice
    }

    /// Tukey's window of `length` samples.
    fn window(&mut self, taper: f64, length: usize) -> &[f64] {
        let known = |w: &Window| w.taper.to_bits() == taper.to_bits() && w.weights.len() == length;
        let at = self.windows.iter().position(known).unwrap_or_else(|| {
            self.windows.push(Window {
                taper,
                weights: tukey(taper, length),
            });
            self.windows.len() - 1
        });
        &self.windows[at].weights
    }
}

/// Predictors that are tried on one block.
struct Contest<'a, S, B> {
    stretch: Stretch<'a, S>,
    bits: B,
    best: Choice<S>,
    /// What the best one leaves.
    residual: &'a mut [S],
    /// What the one that is tried leaves.
    trial: Vec<S>,
}

impl<'a, S: Sample, B: Fn(&[S]) -> f64> Contest<'a, S, B> {
    /// The best of the polynomial predictors is the first to beat.
    fn begin(stretch: Stretch<'a, S>, bits: B, residual: &'a mut [S]) -> Self {
        let best = best_fixed(stretch.samples, stretch.wasted, &bits, residual);
        Self {
            stretch,
            bits,
            best,
            trial: vec![S::default(); residual.len()],
            residual,
        }
    }

    /// Tries `kind`, whose coefficients take `header` bits.
    fn enter(&mut self, kind: Kind<S>, header: f64) {
        let Stretch {
            samples, wasted, ..
        } = self.stretch;
        predict::residual(&kind.predictor(), wasted, samples, &mut self.trial);
        let cost = (self.bits)(&self.trial) + header + LINEAR_BITS;
        if cost < self.best.cost {
            self.best = Choice { kind, cost };
            self.residual.copy_from_slice(&self.trial);
        }
    }
}

fn tukey(taper: f64, length: usize) -> Vec<f64> {
    let edge = (taper * length as f64 / 2.0).max(1.0);
    let weight = |i: usize| {
        let from_end = (i as f64 + 0.5).min(length as f64 - i as f64 - 0.5);
        if from_end < edge {
            0.5 - 0.5 * (PI * from_end / edge).cos()
        } else {
            1.0
        }
    };
    (0..length).map(weight).collect()
}

/// The bits that `residual` is expected to take as symbols and low bits: its entropy if each part
/// is Laplacian with its own mean.
pub(super) fn residual_bits<S: Sample>(residual: &[S], part: usize) -> f64 {
    residual
        .chunks(part)
        .map(|p| laplacian_bits(magnitudes(p), p.len()))
        .sum()
}

/// The same if each part is half Laplacian, as speech is, and half normal, as a line's noise is.
pub(super) fn fine_bits<S: Sample>(residual: &[S], part: usize) -> f64 {
    let normal: f64 = residual.chunks(part).map(normal_bits).sum();
    f64::midpoint(residual_bits(residual, part), normal)
}

/// The bits that ranks are expected to take, `distance` being the sum of their magnitudes.
pub(super) fn rank_bits(distance: u64, count: usize) -> f64 {
    let mean = distance as f64 / count as f64;
    count as f64 * (1.0 + 2.0 * E * mean).log2()
}

fn laplacian_bits(sum: u64, count: usize) -> f64 {
    let mean = (sum as f64 / count as f64).max(LEAST_MEAN);
    count as f64 * (2.0 * E * mean).log2().max(0.0)
}

fn normal_bits<S: Sample>(part: &[S]) -> f64 {
    let energy: f64 = part.iter().map(|r| f64::from(r.widened()).powi(2)).sum();
    let variance = energy / part.len() as f64 + ROUNDING;
    part.len() as f64 * 0.5 * (2.0 * PI * E * variance).log2()
}

/// The best of the polynomial predictors; its residual in `residual`.
fn best_fixed<S: Sample>(
    samples: &[S],
    wasted: u32,
    bits: impl Fn(&[S]) -> f64,
    residual: &mut [S],
) -> Choice<S> {
    let sums = difference_sums(samples);
    let order = (0..sums.len())
        .min_by_key(|order| sums[*order])
        .unwrap_or(0);
    let kind = Kind::Fixed(order);
    predict::residual(&kind.predictor(), wasted, samples, residual);
    Choice {
        kind,
        cost: bits(residual),
    }
}

/// The sums of the magnitudes of the differences of order 0 to 4.
fn difference_sums<S: Sample>(samples: &[S]) -> [u64; 5] {
    let mut sums = [0u64; 5];
    for w in samples[MAX_ORDER - 4..].windows(5) {
        let mut difference: [i64; 5] = std::array::from_fn(|i| i64::from(w[4 - i].widened()));
        for (order, sum) in sums.iter_mut().enumerate() {
            *sum += difference[0].unsigned_abs();
            for i in 0..4 - order {
                difference[i] -= difference[i + 1];
            }
        }
    }
    sums
}

/// `Σ x[i] · x[i − lag]` for each lag; `padded` begins with [`LAGS`] zeros.
fn autocorrelation(padded: &[f64]) -> [f64; LAGS] {
    let mut sums = [0.0; LAGS];
    for (pass, sums) in sums.chunks_exact_mut(LAGS_AT_ONCE).enumerate() {
        let mut partial = [0.0; LAGS_AT_ONCE];
        let behind = LAGS - pass * LAGS_AT_ONCE - (LAGS_AT_ONCE - 1);
        for (x, past) in padded[LAGS..]
            .iter()
            .zip(padded[behind..].windows(LAGS_AT_ONCE))
        {
            for (sum, y) in partial.iter_mut().zip(past) {
                *sum += x * y;
            }
        }
        partial.reverse();
        sums.copy_from_slice(&partial);
    }
    sums
}

/// Reflection coefficients and what is left of the energy after each.
struct Lattice {
    reflections: [f64; MAX_ORDER],
    energy: [f64; MAX_ORDER],
    order: usize,
}

impl Lattice {
    /// Levinson's recursion.
    fn new(r: &[f64; LAGS], max_order: usize) -> Self {
        let mut lattice = Self {
            reflections: [0.0; MAX_ORDER],
            energy: [0.0; MAX_ORDER],
            order: max_order,
        };
        let mut direct = [0.0; MAX_ORDER];
        let mut energy = r[0] * (1.0 + NOISE) + 1e-6;
        for m in 0..max_order {
            let known: f64 = direct[..m]
                .iter()
                .zip(r[1..=m].iter().rev())
                .map(|(a, r)| a * r)
                .sum();
            let k = ((r[m + 1] - known) / energy).clamp(-0.999_99, 0.999_99);
            let before = direct;
            for i in 0..m {
                direct[i] -= k * before[m - 1 - i];
            }
            direct[m] = k;
            energy = (energy * (1.0 - k * k)).max(1e-6);
            lattice.reflections[m] = k;
            lattice.energy[m] = energy;
        }
        lattice
    }

    /// The orders to try on a block of `samples`: the best guess, and `reach` on either side.
    fn orders(&self, samples: usize, reach: usize) -> std::ops::RangeInclusive<usize> {
        let guess = self.best_order(samples);
        guess.saturating_sub(reach).max(1)..=(guess + reach).min(self.order)
    }

    /// The order at which energy and coefficients together are expected to take the fewest bits.
    fn best_order(&self, samples: usize) -> usize {
        let cost = |m: usize| {
            samples as f64 * 0.5 * self.energy[m].log2() + (m + 1) as f64 * REFLECTION_BITS
        };
        let best = (0..self.order)
            .map(|m| (cost(m), m + 1))
            .min_by(|a, b| a.0.total_cmp(&b.0));
        best.map_or(1, |(_, order)| order)
    }

    /// The reflection coefficients as they are stored.
    fn quantised(&self) -> [i8; MAX_ORDER] {
        std::array::from_fn(|m| quantised(m, self.reflections[m]))
    }
}
