//! A group of one or two channels to bytes.
//!
//! Two passes: the first chooses a predictor for each block and leaves residuals and classes; the
//! second, knowing all classes, writes the symbols.

use super::adaptive::{History, Models};
use super::analysis::{self, Analyzer, Kind, Search, Stretch};
use super::block::{Block, Coding};
use super::classes::{self, class_of, magnitudes};
use super::entropy::{Compressor, Content};
use super::g711::Law;
use super::group::{Header, PARTS};
use super::parcor::MAX_ORDER;
use super::sample::Sample;
use super::streams::{self, Writer};
use super::{Encoding, predict, range, relabel, stereo, sums};

/// The first pass's result for one track.
#[derive(Default)]
pub(super) struct Plan<S> {
    /// One header a block.
    pub blocks: Vec<Block<S>>,
    /// One value a sample.
    pub residual: Vec<S>,
}

/// What the two passes need to know.
#[derive(Clone, Copy)]
pub(super) struct Task {
    /// The group's header.
    pub header: Header,
    /// How the PCM is written, which says what ranks mean.
    pub encoding: Encoding,
    /// How hard to search.
    pub search: Search,
    /// Whether to try to code residuals one by one instead of as streams.
    pub adaptive: bool,
}

/// How often classes are chosen again by what they cost; a second time saves a tenth of the first.
const RELABEL_ROUNDS: usize = 1;
/// What the numbers of a block's sets of sums cost, bits.
const SUMS_BITS: f64 = 12.0;

/// Codes groups; keeps scratch space.
#[derive(Default)]
pub(super) struct GroupEncoder {
    analyzer: Analyzer,
    writer: Writer,
    symbols: Vec<u8>,
    low: Vec<u8>,
    escapes: Vec<u8>,
}

impl GroupEncoder {
    /// Appends a group to `out`: the header, and the two `tracks`, each behind [`MAX_ORDER`] zeros.
    /// Says whether there are blocks of sums among them.
    pub(super) fn encode<S: Sample>(
        &mut self,
        mut task: Task,
        tracks: &[Vec<S>; 2],
        compressor: &mut Compressor,
        out: &mut Vec<u8>,
    ) -> bool {
        let first = task.header.delay.map(|_| &tracks[0][..]);
        let mut plans = [
            self.plan(task, &tracks[0], None),
            self.plan(task, &tracks[1], first),
        ];
        let start = out.len();
        if task.adaptive {
            task.header.adaptive = true;
            self.adaptive(task, &plans, tracks, compressor, out);
            task.header.adaptive = false;
        }
        let adaptive = out.split_off(start);
        relabel::improve(&mut plans, tracks, task, RELABEL_ROUNDS);
        self.streams(task, &plans, tracks, compressor, out);
        if task.adaptive && adaptive.len() < out.len() - start {
            out.truncate(start);
            out.extend_from_slice(&adaptive);
        }
        let mut blocks = plans.iter().flat_map(|plan| &plan.blocks);
        blocks.any(|block| matches!(block.coding, Coding::Sums(_)))
    }

    /// The second pass: residuals as streams.
    fn streams<S: Sample>(
        &mut self,
        task: Task,
        plans: &[Plan<S>; 2],
        tracks: &[Vec<S>; 2],
        compressor: &mut Compressor,
        out: &mut Vec<u8>,
    ) {
        task.header.put(out);
        self.writer.clear();
        for (lane, (plan, track)) in plans.iter().zip(tracks).enumerate() {
            self.emit(task, lane, plan, track);
        }
        self.writer.finish(Content::Symbols, compressor, out);
    }

    /// The second pass: residuals one by one.
    fn adaptive<S: Sample>(
        &mut self,
        task: Task,
        plans: &[Plan<S>; 2],
        tracks: &[Vec<S>; 2],
        compressor: &mut Compressor,
        out: &mut Vec<u8>,
    ) {
        task.header.put(out);
        self.writer.clear();
        let packed = self.emit_adaptive(task, plans, tracks);
        self.writer.finish(Content::Headers, compressor, out);
        streams::put_number(packed.len(), out);
        out.extend_from_slice(&packed);
    }

    /// The first pass over one track; `first` is the other track, if blocks may refer to it.
    fn plan<S: Sample>(&mut self, task: Task, track: &[S], first: Option<&[S]>) -> Plan<S> {
        let (length, block_length) = (track.len() - MAX_ORDER, task.header.block());
        let mut plan = Plan {
            blocks: Vec::new(),
            residual: vec![S::default(); length],
        };
        self.analyzer.begin_track();
        for (n, residual) in plan.residual.chunks_mut(block_length).enumerate() {
            let at = n * block_length;
            let near = at.saturating_sub(block_length)..length.min(at + 2 * block_length);
            let stretch = Stretch {
                samples: &track[at..at + MAX_ORDER + residual.len()],
                around: &track[MAX_ORDER..][near],
                wasted: 0,
            };
            let block = self.plan_block(task, stretch, first.map(|f| (f, at)), residual);
            self.analyzer.remember(&block.kind);
            plan.blocks.push(block);
        }
        plan
    }

    /// The best header for one block; its residual in `residual`.
    fn plan_block<S: Sample>(
        &mut self,
        task: Task,
        stretch: Stretch<S>,
        first: Option<(&[S], usize)>,
        residual: &mut [S],
    ) -> Block<S> {
        let samples = stretch.samples;
        let coding = coding(task.encoding, &samples[MAX_ORDER..]);
        let (mut block, cost) = self.predict(task, coding, samples, stretch, residual);
        if let (Some((first, at)), Some(delay)) = (first, task.header.delay) {
            let mut trial = vec![S::default(); residual.len()];
            let other = Other {
                samples: first,
                at,
                delay,
            };
            if let Some((paired, paired_cost)) =
                self.refer(task, coding, samples, &other, &mut trial)
                && paired_cost < cost
            {
                block = paired;
                residual.copy_from_slice(&trial);
            }
        }
        if !matches!(block.kind, Kind::Constant(_)) {
            prefer_sums(task.header.part(), samples, &mut block, residual);
            for (class, part) in block
                .classes
                .iter_mut()
                .zip(residual.chunks(task.header.part()))
            {
                *class = class_of(magnitudes(part), part.len());
            }
        }
        block
    }

    /// The best predictor of `difference`, which is `samples` or what the other channel leaves of
    /// them; the block's classes are still to be filled in.
    fn predict<S: Sample>(
        &mut self,
        task: Task,
        coding: Coding,
        samples: &[S],
        difference: Stretch<S>,
        residual: &mut [S],
    ) -> (Block<S>, f64) {
        let wasted = if let Coding::Linear { wasted } = coding {
            wasted
        } else {
            0
        };
        let bits = |residual: &[S]| bits(task, coding, &samples[MAX_ORDER..], residual);
        let difference = Stretch {
            wasted,
            ..difference
        };
        let choice = self
            .analyzer
            .choose(difference, task.search, bits, residual);
        (
            Block {
                gain: 0,
                kind: choice.kind,
                coding,
                classes: [0; PARTS],
            },
            choice.cost,
        )
    }

    /// [`GroupEncoder::predict`] with as much of the other channel subtracted as explains most.
    fn refer<S: Sample>(
        &mut self,
        task: Task,
        coding: Coding,
        samples: &[S],
        other: &Other<S>,
        residual: &mut [S],
    ) -> Option<(Block<S>, f64)> {
        let Other {
            samples: first,
            at,
            delay,
        } = *other;
        let (mut reference, mut difference) = (Vec::new(), Vec::new());
        stereo::reference(
            first,
            at,
            residual.len(),
            delay,
            stereo::UNITY,
            &mut reference,
        );
        let gain = stereo::best_gain(samples, &reference);
        if gain == 0 {
            return None;
        }
        stereo::reference(first, at, residual.len(), delay, gain, &mut reference);
        stereo::subtract(samples, &reference, &mut difference);
        let coding = match coding {
            // The other channel fills the bits that are zero in this one.
            Coding::Linear { .. } => Coding::Linear { wasted: 0 },
            other => other,
        };
        let difference = Stretch {
            samples: &difference,
            around: &difference[MAX_ORDER..],
            wasted: 0,
        };
        let (block, cost) = self.predict(task, coding, samples, difference, residual);
        Some((Block { gain, ..block }, cost))
    }

    /// The second pass, one residual after the other; the blocks' headers go to the streams.
    fn emit_adaptive<S: Sample>(
        &mut self,
        task: Task,
        plans: &[Plan<S>; 2],
        tracks: &[Vec<S>; 2],
    ) -> Vec<u8> {
        let length = task.header.block();
        let mut coder = range::Writer::new();
        let mut models = Models::default();
        for (lane, (plan, track)) in plans.iter().zip(tracks).enumerate() {
            let mut history = History::default();
            let paired = lane == 1 && task.header.delay.is_some();
            let samples = track[MAX_ORDER..].chunks(length);
            for ((block, residual), samples) in plan
                .blocks
                .iter()
                .zip(plan.residual.chunks(length))
                .zip(samples)
            {
                block.put(lane, 0, paired, &mut self.writer);
                decide(
                    task,
                    block,
                    residual,
                    samples,
                    &mut coder,
                    &mut models,
                    &mut history,
                );
            }
        }
        coder.finish()
    }

    /// The second pass over one track.
    fn emit<S: Sample>(&mut self, task: Task, lane: usize, plan: &Plan<S>, track: &[S]) {
        let (block_length, part_length) = (task.header.block(), task.header.part());
        let paired = lane == 1 && task.header.delay.is_some();
        let samples = track[MAX_ORDER..].chunks(block_length);
        for ((block, residual), samples) in plan
            .blocks
            .iter()
            .zip(plan.residual.chunks(block_length))
            .zip(samples)
        {
            block.put(
                lane,
                residual.len().div_ceil(part_length),
                paired,
                &mut self.writer,
            );
            if matches!(block.kind, Kind::Constant(_)) {
                continue;
            }
            let parts = residual
                .chunks(part_length)
                .zip(samples.chunks(part_length));
            for (class, (residual, samples)) in block.classes.iter().zip(parts) {
                match block.coding {
                    Coding::Linear { .. } | Coding::Sums(_) => {
                        self.emit_linear(lane, *class, residual);
                    }
                    Coding::Ranks(law) => {
                        self.emit_ranks(task, lane, law, *class, residual, samples);
                    }
                }
            }
        }
    }

    fn emit_linear<S: Sample>(&mut self, lane: usize, class: u8, residual: &[S]) {
        self.symbols.clear();
        self.low.clear();
        self.escapes.clear();
        classes::split(
            residual,
            class,
            &mut self.symbols,
            &mut self.low,
            &mut self.escapes,
        );
        self.writer.put(
            lane,
            streams::LINEAR + classes::stream(class),
            &self.symbols,
        );
        self.writer.put(lane, streams::LOW, &self.low);
        self.writer.put(lane, streams::ESCAPES, &self.escapes);
    }

    fn emit_ranks<S: Sample>(
        &mut self,
        task: Task,
        lane: usize,
        law: Law,
        class: u8,
        residual: &[S],
        samples: &[S],
    ) {
        let set = law.set(task.encoding);
        for (r, x) in residual.iter().zip(samples) {
            let expected = x.minus(*r).widened() as i16;
            let (symbol, from) = set.symbol(x.widened() as i16, expected);
            self.writer.push(lane, set.stream(class, from), symbol);
        }
    }
}

/// Codes the residual of one block as decisions.
fn decide<S: Sample>(
    task: Task,
    block: &Block<S>,
    residual: &[S],
    samples: &[S],
    coder: &mut range::Writer,
    models: &mut Models,
    history: &mut History,
) {
    match (block.kind, block.coding) {
        (Kind::Constant(_), _) => {}
        (_, Coding::Linear { .. } | Coding::Sums(_)) => {
            for r in residual {
                models.linear.linear(coder, history, r.widened());
            }
        }
        (_, Coding::Ranks(law)) => {
            let set = law.set(task.encoding);
            for (r, x) in residual.iter().zip(samples) {
                let (x, expected) = (x.widened() as i16, x.minus(*r).widened() as i16);
                models
                    .ranks
                    .rank(coder, history, set, expected, set.towards(x, expected));
                history.push(r.widened());
            }
        }
    }
}

/// The other channel, as a block may refer to it.
struct Other<'a, S> {
    /// All of it, history in front.
    samples: &'a [S],
    /// Where the block begins.
    at: usize,
    /// How much earlier this channel is heard.
    delay: i8,
}

/// The bits that the residual of a block is expected to take.
fn bits<S: Sample>(task: Task, coding: Coding, samples: &[S], residual: &[S]) -> f64 {
    let part = task.header.part();
    let law = match coding {
        Coding::Ranks(law) => law,
        _ if task.search.fine => return analysis::fine_bits(residual, part),
        _ => return analysis::residual_bits(residual, part),
    };
    let set = law.set(task.encoding);
    let distance =
        |(r, x): (&S, &S)| set.distance(x.widened() as i16, x.minus(*r).widened() as i16);
    let parts = residual.chunks(part).zip(samples.chunks(part));
    parts
        .map(|(r, x)| analysis::rank_bits(r.iter().zip(x).map(distance).sum(), r.len()))
        .sum()
}

/// Makes a linear block one of sums, and its residual distances, if that is smaller.
fn prefer_sums<S: Sample>(part: usize, samples: &[S], block: &mut Block<S>, residual: &mut [S]) {
    let (Coding::Linear { .. }, 0) = (block.coding, block.gain) else {
        return;
    };
    let Some(numbers) = S::narrow(&samples[MAX_ORDER..]).and_then(|x| numbers(part, x)) else {
        return;
    };
    let mut distances = vec![S::default(); residual.len()];
    predict::residual(&block.kind.predictor(), 0, samples, &mut distances);
    let parts = distances.chunks_mut(part);
    for ((distances, samples), number) in parts.zip(samples[MAX_ORDER..].chunks(part)).zip(numbers)
    {
        let set = sums::Set::of(number);
        for (d, x) in distances.iter_mut().zip(samples) {
            let expected = x.minus(*d).widened() as i16;
            *d = S::truncated(set.towards(x.widened() as i16, expected).into());
        }
    }
    let bits = |residual: &[S]| analysis::residual_bits(residual, part);
    if bits(&distances) + SUMS_BITS < bits(residual) {
        block.coding = Coding::Sums(numbers);
        residual.copy_from_slice(&distances);
    }
}

/// The smallest set of sums for each part of a block, if there is one for all.
fn numbers(part: usize, samples: &[i16]) -> Option<sums::Numbers> {
    let mut numbers = sums::Numbers::default();
    for (number, samples) in numbers.iter_mut().zip(samples.chunks(part)) {
        *number = sums::smallest(samples)?;
    }
    Some(numbers)
}

/// Ranks, if the samples allow it; or the low bits that are zero in all of them.
fn coding<S: Sample>(encoding: Encoding, samples: &[S]) -> Coding {
    if let Some(narrow) = S::narrow(samples) {
        for law in [Law::Mu, Law::A] {
            if law.set(encoding).holds(narrow) {
                return Coding::Ranks(law);
            }
        }
    }
    let any = samples.iter().fold(0, |any, x| any | x.widened());
    Coding::Linear {
        wasted: any.trailing_zeros().min(S::BITS - 1),
    }
}
