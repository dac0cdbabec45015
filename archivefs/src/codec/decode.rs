//! Bytes to a group of one or two channels.

use super::adaptive::{History, Models};
use super::analysis::Kind;
use super::block::{Block, Coding};
use super::classes;
use super::entropy::Decompressor;
use super::frame::CodecError;
use super::g711::{Law, Tables};
use super::group::{Header, PARTS};
use super::narrow::{self, Track};
use super::parcor::{MAX_ORDER, Predictor};
use super::ranks::{self, Part, RankBlock};
use super::sample::Sample;
use super::streams::{self, Bounds, Lane, Reader};
use super::sums::{Numbers, Set, Sums};
use super::{Encoding, predict, range, stereo};

/// Decodes groups; keeps scratch space.
#[derive(Default)]
pub(super) struct GroupDecoder {
    reader: Reader,
}

/// What a group's decoder is told.
#[derive(Clone, Copy)]
pub(super) struct Task {
    /// The group's header.
    pub header: Header,
    /// How the PCM is written, which says what ranks mean.
    pub encoding: Encoding,
    /// Whether blocks of sums are allowed.
    pub sums: bool,
    /// The most bytes that the streams may have.
    pub limit: usize,
}

/// What stays the same for all blocks of a group.
struct Source<'a> {
    header: Header,
    encoding: Encoding,
    sums: bool,
    bytes: &'a [u8],
    bounds: Bounds,
}

/// Scratch space for blocks that refer to the other channel.
#[derive(Default)]
struct Difference<S> {
    reference: Vec<S>,
    samples: Vec<S>,
}

impl GroupDecoder {
    /// Takes one group's streams from the front of `data` and fills `tracks`, whose lengths say how
    /// many samples there are behind [`MAX_ORDER`] zeros.
    pub(super) fn decode<S: Sample>(
        &mut self,
        task: Task,
        data: &mut &[u8],
        decompressor: &mut Decompressor,
        tracks: &mut [Vec<S>; 2],
    ) -> Result<(), CodecError> {
        let Task {
            header,
            encoding,
            sums,
            limit,
        } = task;
        let (bytes, bounds, mut lanes) = self.reader.open(data, limit, decompressor)?;
        let source = Source {
            header,
            encoding,
            sums,
            bytes,
            bounds,
        };
        if header.adaptive {
            let length = streams::take_number(data)?;
            let packed = data.split_off(..length).ok_or(CodecError::Truncated)?;
            source.adaptive(packed, &mut lanes, tracks)?;
        } else if header.delay.is_some() {
            source.one_after_the_other(&mut lanes, tracks, &mut Residuals::Streams)?;
        } else {
            source.side_by_side(&mut lanes, tracks)?;
        }
        streams::finish(&lanes)
    }
}

/// Where residuals come from.
enum Residuals<'a> {
    /// The streams of symbols.
    Streams,
    /// Decisions, one residual after the other.
    Adaptive {
        coder: range::Reader<'a>,
        models: Box<Models>,
        history: History,
    },
}

/// History and samples of block `n`; no samples if the track is shorter.
fn span<S>(track: &mut [S], n: usize, block: usize) -> &mut [S] {
    let at = (n * block).min(track.len() - MAX_ORDER);
    let end = (at + MAX_ORDER + block).min(track.len());
    &mut track[at..end]
}

/// What two blocks need that are restored side by side, beside their values.
struct Pair<'a> {
    predictors: &'a [Predictor; 2],
    samples: [&'a mut [i16]; 2],
    part: usize,
    bytes: &'a [u8],
}

impl Pair<'_> {
    fn restore<A: Part, B: Part>(self, a: [A; PARTS], b: [B; PARTS], lanes: &mut [Lane; 2]) {
        let [first, second] = self.samples;
        let mut a = RankBlock {
            parts: a,
            predictor: &self.predictors[0],
            samples: first,
        };
        let mut b = RankBlock {
            parts: b,
            predictor: &self.predictors[1],
            samples: second,
        };
        ranks::restore_pair(&mut a, &mut b, self.part, self.bytes, lanes);
    }
}

fn is_linear<S>(block: &Block<S>) -> bool {
    matches!(block.coding, Coding::Linear { .. })
}

/// The number of wasted bits of a block of residuals.
fn predicted<S>(block: &Block<S>) -> Option<u32> {
    match (&block.kind, block.coding) {
        (Kind::Fixed(_) | Kind::Linear { .. }, Coding::Linear { wasted }) => Some(wasted),
        _ => None,
    }
}

/// What gives the samples of the parts of a block of sums.
fn sums(numbers: Numbers, distances: &[i16]) -> [Sums<'_>; PARTS] {
    numbers.map(|number| Sums {
        set: Set::of(number),
        distances,
    })
}

/// A reference of zeros for `samples`, if there is no other.
fn zeros<S: Sample>(reference: Option<&[S]>, samples: &[S]) -> Vec<S> {
    let count = if reference.is_some() {
        0
    } else {
        samples.len()
    };
    vec![S::default(); count]
}

impl Residuals<'_> {
    /// Forgets the samples before.
    fn next_track(&mut self) {
        if let Self::Adaptive { history, .. } = self {
            *history = History::default();
        }
    }
}

impl Source<'_> {
    /// Two tracks that know nothing of each other.
    fn side_by_side<S: Sample>(
        &self,
        lanes: &mut [Lane; 2],
        tracks: &mut [Vec<S>; 2],
    ) -> Result<(), CodecError> {
        let length = self.header.block();
        let [first, second] = tracks;
        let longest = first.len().max(second.len()) - MAX_ORDER;
        for n in 0..longest.div_ceil(length) {
            let a = span(first, n, length);
            let b = span(second, n, length);
            let block_a = self.header_of(&mut lanes[0], a, false)?;
            let block_b = self.header_of(&mut lanes[1], b, false)?;
            if let (Some(block_a), Some(block_b)) = (&block_a, &block_b)
                && self.together([block_a, block_b], [&mut *a, &mut *b], lanes)?
            {
                continue;
            }
            for (block, samples, lane) in [(block_a, a, 0), (block_b, b, 1)] {
                if let Some(block) = block {
                    self.restore(
                        &block,
                        &mut lanes[lane],
                        None,
                        samples,
                        &mut Residuals::Streams,
                    )?;
                }
            }
        }
        Ok(())
    }

    /// A track, and one that may refer to it, residual by residual.
    fn adaptive<S: Sample>(
        &self,
        packed: &[u8],
        lanes: &mut [Lane; 2],
        tracks: &mut [Vec<S>; 2],
    ) -> Result<(), CodecError> {
        let coder = range::Reader::new(packed);
        let mut residuals = Residuals::Adaptive {
            coder,
            models: Box::default(),
            history: History::default(),
        };
        self.one_after_the_other(lanes, tracks, &mut residuals)?;
        match residuals {
            Residuals::Adaptive { coder, .. } if !coder.is_finished() => Err(CodecError::Corrupt(
                "more or fewer decisions than the samples take",
            )),
            _ => Ok(()),
        }
    }

    /// A track, and one that may refer to it.
    fn one_after_the_other<S: Sample>(
        &self,
        lanes: &mut [Lane; 2],
        tracks: &mut [Vec<S>; 2],
        residuals: &mut Residuals,
    ) -> Result<(), CodecError> {
        let length = self.header.block();
        let (paired, delay) = (self.header.delay.is_some(), self.header.delay.unwrap_or(0));
        let [first, second] = tracks;
        for n in 0..(first.len() - MAX_ORDER).div_ceil(length) {
            let samples = span(first, n, length);
            if let Some(block) = self.header_of(&mut lanes[0], samples, false)? {
                self.restore(&block, &mut lanes[0], None, samples, residuals)?;
            }
        }
        let mut difference = Difference::default();
        residuals.next_track();
        for n in 0..(second.len() - MAX_ORDER).div_ceil(length) {
            let samples = span(second, n, length);
            let Some(block) = self.header_of(&mut lanes[1], samples, paired)? else {
                continue;
            };
            if block.gain == 0 {
                self.restore(&block, &mut lanes[1], None, samples, residuals)?;
                continue;
            }
            let count = samples.len() - MAX_ORDER;
            stereo::reference(
                first,
                n * length,
                count,
                delay,
                block.gain,
                &mut difference.reference,
            );
            stereo::subtract(samples, &difference.reference, &mut difference.samples);
            self.restore(
                &block,
                &mut lanes[1],
                Some(&difference.reference),
                &mut difference.samples,
                residuals,
            )?;
            stereo::add(&difference.samples, &difference.reference, samples);
        }
        Ok(())
    }

    /// The header of the block that `samples` has room for, if there is one.
    fn header_of<S: Sample>(
        &self,
        lane: &mut Lane,
        samples: &[S],
        paired: bool,
    ) -> Result<Option<Block<S>>, CodecError> {
        let parts = (samples.len() - MAX_ORDER).div_ceil(self.header.part());
        if parts == 0 {
            return Ok(None);
        }
        let classes = if self.header.adaptive { 0 } else { parts };
        let block = Block::take(lane, classes, paired, self.bytes, &self.bounds)?;
        if matches!(block.coding, Coding::Sums(_)) && !self.sums {
            return Err(CodecError::Corrupt("too many wasted bits"));
        }
        Ok(Some(block))
    }

    /// Restores two blocks of one length at once, if both are linear, or both of ranks or sums; false,
    /// with nothing done, if they are not.
    fn together<S: Sample>(
        &self,
        blocks: [&Block<S>; 2],
        samples: [&mut [S]; 2],
        lanes: &mut [Lane; 2],
    ) -> Result<bool, CodecError> {
        let [a, b] = samples;
        let (Some(a), Some(b)) = (S::narrow_mut(a), S::narrow_mut(b)) else {
            return Ok(false);
        };
        if a.len() != b.len() {
            return Ok(false);
        }
        if let [Some(first), Some(second)] = blocks.map(predicted) {
            self.linear([(blocks[0], first), (blocks[1], second)], [a, b], lanes)?;
            return Ok(true);
        }
        if blocks.iter().any(|block| is_linear(block)) {
            return Ok(false);
        }
        let count = a.len() - MAX_ORDER;
        let first = self.distances(blocks[0], count, &mut lanes[0])?;
        let second = self.distances(blocks[1], count, &mut lanes[1])?;
        let predictors = blocks.map(|block| block.kind.predictor());
        let pair = Pair {
            predictors: &predictors,
            samples: [a, b],
            part: self.header.part(),
            bytes: self.bytes,
        };
        let ranks = |n: usize, law| self.ranks(law, blocks[n].classes);
        match (blocks[0].coding, blocks[1].coding) {
            (Coding::Ranks(x), Coding::Ranks(y)) => pair.restore(ranks(0, x), ranks(1, y), lanes),
            (Coding::Ranks(x), Coding::Sums(y)) => {
                pair.restore(ranks(0, x), sums(y, &second), lanes);
            }
            (Coding::Sums(x), Coding::Ranks(y)) => {
                pair.restore(sums(x, &first), ranks(1, y), lanes);
            }
            (Coding::Sums(x), Coding::Sums(y)) => {
                pair.restore(sums(x, &first), sums(y, &second), lanes);
            }
            (Coding::Linear { .. }, _) | (_, Coding::Linear { .. }) => return Ok(false),
        }
        Ok(true)
    }

    /// Restores two linear blocks, each with its number of wasted bits.
    fn linear<S: Sample>(
        &self,
        blocks: [(&Block<S>, u32); 2],
        samples: [&mut [i16]; 2],
        lanes: &mut [Lane; 2],
    ) -> Result<(), CodecError> {
        let [a, b] = samples;
        self.symbols(&blocks[0].0.classes, &mut lanes[0], &mut a[MAX_ORDER..])?;
        self.symbols(&blocks[1].0.classes, &mut lanes[1], &mut b[MAX_ORDER..])?;
        let predictors = blocks.map(|(block, _)| block.kind.predictor());
        let track = |n: usize, samples| Track {
            predictor: &predictors[n],
            wasted: blocks[n].1,
            samples,
        };
        narrow::restore_pair(&mut track(0, a), &mut track(1, b));
        Ok(())
    }

    /// The distances of a block of sums; none of any other.
    fn distances<S: Sample>(
        &self,
        block: &Block<S>,
        count: usize,
        lane: &mut Lane,
    ) -> Result<Vec<i16>, CodecError> {
        let Coding::Sums(_) = block.coding else {
            return Ok(Vec::new());
        };
        let mut distances = vec![0; count];
        self.symbols(&block.classes, lane, &mut distances)?;
        Ok(distances)
    }

    /// What gives the samples of the parts of a block of ranks.
    fn ranks(&self, law: Law, classes: [u8; PARTS]) -> [Tables<'static>; PARTS] {
        classes.map(|class| law.set(self.encoding).tables(class))
    }

    /// Restores one block in `samples`, history in front; `reference` is what was subtracted.
    fn restore<S: Sample>(
        &self,
        block: &Block<S>,
        lane: &mut Lane,
        reference: Option<&[S]>,
        samples: &mut [S],
        residuals: &mut Residuals,
    ) -> Result<(), CodecError> {
        match (block.kind, block.coding) {
            (Kind::Constant(value), _) => samples[MAX_ORDER..].fill(value),
            (kind, Coding::Linear { wasted }) => {
                self.residual(&block.classes, lane, &mut samples[MAX_ORDER..], residuals)?;
                predict::restore(&kind.predictor(), wasted, samples);
            }
            (kind, Coding::Sums(numbers)) => {
                let mut distances = vec![0; samples.len() - MAX_ORDER];
                self.residual(&block.classes, lane, &mut distances, residuals)?;
                let none = zeros(reference, samples);
                let mut block = RankBlock {
                    parts: sums(numbers, &distances),
                    predictor: &kind.predictor(),
                    samples: S::narrow_mut(samples).unwrap_or_default(),
                };
                let reference = S::narrow(reference.unwrap_or(&none)).unwrap_or_default();
                ranks::restore(&mut block, self.header.part(), reference, self.bytes, lane);
            }
            (kind, Coding::Ranks(law)) => {
                let none = zeros(reference, samples);
                let reference = S::narrow(reference.unwrap_or(&none)).unwrap_or_default();
                let samples = S::narrow_mut(samples).unwrap_or_default();
                let (set, predictor) = (law.set(self.encoding), kind.predictor());
                match residuals {
                    Residuals::Streams => {
                        let mut block = RankBlock {
                            parts: self.ranks(law, block.classes),
                            predictor: &predictor,
                            samples,
                        };
                        ranks::restore(&mut block, self.header.part(), reference, self.bytes, lane);
                    }
                    Residuals::Adaptive {
                        coder,
                        models,
                        history,
                    } => {
                        ranks::restore_each(&predictor, samples, reference, |_, expected| {
                            let towards = models.ranks.rank(coder, history, set, expected, 0);
                            let x = set.reached(towards, expected);
                            history.push(i32::from(x.wrapping_sub(expected)));
                            x
                        });
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads the residual of a linear block, or the distances of one of sums.
    fn residual<S: Sample>(
        &self,
        classes: &[u8],
        lane: &mut Lane,
        residual: &mut [S],
        residuals: &mut Residuals,
    ) -> Result<(), CodecError> {
        match residuals {
            Residuals::Streams => self.symbols(classes, lane, residual),
            Residuals::Adaptive {
                coder,
                models,
                history,
            } => {
                residual.fill_with(|| S::truncated(models.linear.linear(coder, history, 0)));
                Ok(())
            }
        }
    }

    /// Reads a residual from the streams.
    fn symbols<S: Sample>(
        &self,
        classes: &[u8],
        lane: &mut Lane,
        residual: &mut [S],
    ) -> Result<(), CodecError> {
        let parts = residual.chunks_mut(self.header.part());
        for (class, residual) in classes.iter().zip(parts) {
            let stream = streams::LINEAR + classes::stream(*class);
            let symbols = &self.bytes[lane.take(stream, residual.len(), &self.bounds)?];
            let low_bytes = classes::low_bytes(residual.len(), classes::low_bits(*class));
            let low = lane.take(streams::LOW, low_bytes, &self.bounds)?;
            let escapes = classes::join(symbols, *class, &self.bytes[low.start..], residual);
            if escapes > 0 {
                let escapes = lane.take(streams::ESCAPES, escapes * S::BYTES, &self.bounds)?;
                classes::put_escapes(symbols, *class, &self.bytes[escapes], residual);
            }
        }
        Ok(())
    }
}
