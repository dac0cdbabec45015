//! The encoder's choice among equally valid classes.
//!
//! The class that follows from a part's mean is a good first guess. But any class is valid, and
//! once all guesses are known, each stream's distribution is known too: then each part can take the
//! class that makes it smallest. Streams that few parts use are given up on the way, since their
//! tables cost more than they save.

use super::analysis::Kind;
use super::block::{Block, Coding};
use super::classes::{self, ESCAPE, zigzag};
use super::encode::{Plan, Task};
use super::g711;
use super::parcor::MAX_ORDER;
use super::sample::Sample;
use super::streams;

/// Streams that symbols go to: linear ones, then ranks.
const STREAMS: usize = classes::STREAMS + g711::STREAMS;
/// Classes on either side of the guess that are tried.
const REACH: i32 = 2;
/// What a step of the class by so many costs, bits.
const STEP_BITS: [f32; 2 * REACH as usize + 1] = [1.5, 3.0, 5.0, 7.0, 8.0];
/// What a table of zstd costs, bits.
const TABLE_BITS: f32 = 300.0;
/// The fewest bits of a symbol: zstd's literals are coded by Huffman.
const LEAST_BITS: f32 = 1.0;

/// The expected bits of each symbol in each stream.
struct Costs(Vec<[f32; 256]>);

/// The symbols of one part, as far as they do not depend on the class.
enum Symbols<'a, S> {
    Linear(&'a [S]),
    Ranks {
        set: &'static g711::Set,
        symbols: Vec<(u8, u8)>,
    },
}

/// Changes classes where another one costs less, `rounds` times.
pub(super) fn improve<S: Sample>(
    plans: &mut [Plan<S>; 2],
    tracks: &[Vec<S>; 2],
    task: Task,
    rounds: usize,
) {
    for _ in 0..rounds {
        let mut counts = vec![[0u32; 256]; STREAMS];
        for (plan, track) in plans.iter_mut().zip(tracks) {
            for_each_part(plan, track, task, |class, symbols| {
                symbols.count(*class, &mut counts);
            });
        }
        let costs = Costs::new(&counts);
        for (plan, track) in plans.iter_mut().zip(tracks) {
            let mut before = 0;
            for_each_part(plan, track, task, |class, symbols| {
                *class = costs.best_class(symbols, *class, before);
                before = *class;
            });
        }
    }
}

/// Calls `each` with the class and the symbols of every part that has any.
fn for_each_part<S: Sample>(
    plan: &mut Plan<S>,
    track: &[S],
    task: Task,
    mut each: impl FnMut(&mut u8, &Symbols<S>),
) {
    let (block_length, part_length) = (task.header.block(), task.header.part());
    let samples = track[MAX_ORDER..].chunks(block_length);
    for ((block, residual), samples) in plan
        .blocks
        .iter_mut()
        .zip(plan.residual.chunks(block_length))
        .zip(samples)
    {
        let Block {
            kind,
            coding,
            classes,
            ..
        } = block;
        if matches!(kind, Kind::Constant(_)) {
            continue;
        }
        let parts = residual
            .chunks(part_length)
            .zip(samples.chunks(part_length));
        for (class, (residual, samples)) in classes.iter_mut().zip(parts) {
            each(class, &Symbols::new(*coding, task, residual, samples));
        }
    }
}

impl<'a, S: Sample> Symbols<'a, S> {
    fn new(coding: Coding, task: Task, residual: &'a [S], samples: &[S]) -> Self {
        let Coding::Ranks(law) = coding else {
            return Self::Linear(residual);
        };
        let set = law.set(task.encoding);
        let symbol =
            |(r, x): (&S, &S)| set.symbol(x.widened() as i16, x.minus(*r).widened() as i16);
        Self::Ranks {
            set,
            symbols: residual.iter().zip(samples).map(symbol).collect(),
        }
    }

    /// Calls `each` with the stream and the value of each symbol in a part of `class`.
    #[inline(always)]
    fn each(&self, class: u8, mut each: impl FnMut(usize, u8)) {
        match self {
            Self::Linear(residual) => {
                let (stream, bits) = (classes::stream(class), classes::low_bits(class));
                residual
                    .iter()
                    .for_each(|r| each(stream, zigzag(r.down(bits)).min(u32::from(ESCAPE)) as u8));
            }
            Self::Ranks { set, symbols } => {
                for (symbol, from) in symbols {
                    each(set.stream(class, *from) - streams::LINEAR, *symbol);
                }
            }
        }
    }

    fn count(&self, class: u8, counts: &mut [[u32; 256]]) {
        self.each(class, |stream, symbol| {
            counts[stream][usize::from(symbol)] += 1;
        });
    }

    /// Bits that a part keeps apart from its symbols, if it has this class.
    fn low_bits(&self, class: u8) -> f32 {
        match self {
            Self::Linear(residual) => (residual.len() * classes::low_bits(class) as usize) as f32,
            Self::Ranks { .. } => 0.0,
        }
    }

    /// The greatest class that means anything.
    fn most() -> u8 {
        let most = (8 + 2 * (S::BITS + 1)) as u8;
        most.min(classes::CLASSES as u8 - 1)
    }
}

impl Costs {
    fn new(counts: &[[u32; 256]]) -> Self {
        Self(counts.iter().map(costs_of).collect())
    }

    fn best_class<S: Sample>(&self, symbols: &Symbols<S>, guess: u8, before: u8) -> u8 {
        let from = (i32::from(guess) - REACH).max(0) as u8;
        let to = (guess + REACH as u8).min(Symbols::<S>::most());
        let cost = |class: u8| {
            let mut bits = symbols.low_bits(class)
                + STEP_BITS[usize::from(class.abs_diff(before)).min(STEP_BITS.len() - 1)];
            symbols.each(class, |stream, symbol| {
                bits += self.0[stream][usize::from(symbol)];
            });
            bits
        };
        let best = (from..=to)
            .map(|class| (cost(class), class))
            .min_by(|a, b| a.0.total_cmp(&b.0));
        best.map_or(guess, |(_, class)| class)
    }
}

/// The bits of each symbol of a stream, its table shared out among the symbols that there are.
fn costs_of(counts: &[u32; 256]) -> [f32; 256] {
    let total = counts.iter().sum::<u32>() as f32 + 1.0;
    let table = TABLE_BITS / total;
    std::array::from_fn(|symbol| {
        let escape = if symbol == usize::from(ESCAPE) {
            32.0
        } else {
            0.0
        };
        (total / (counts[symbol] as f32 + 0.3))
            .log2()
            .max(LEAST_BITS)
            + table
            + escape
    })
}
