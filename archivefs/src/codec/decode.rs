//! Bytes to a group of one or two channels.

use super::adaptive::{History, Models};
use super::analysis::Kind;
use super::block::{Block, Coding};
use super::classes;
use super::entropy::Decompressor;
use super::frame::CodecError;
use super::group::Header;
use super::parcor::MAX_ORDER;
use super::ranks::{self, RankBlock};
use super::sample::Sample;
use super::streams::{self, Bounds, Lane, Reader};
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
    /// The most bytes that the streams may have.
    pub limit: usize,
}

/// What stays the same for all blocks of a group.
struct Source<'a> {
    header: Header,
    encoding: Encoding,
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
            limit,
        } = task;
        let (bytes, bounds, mut lanes) = self.reader.open(data, limit, decompressor)?;
        let source = Source {
            header,
            encoding,
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
                && self.ranks_together([block_a, block_b], [&mut *a, &mut *b], lanes)
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
        Block::take(lane, classes, paired, self.bytes, &self.bounds).map(Some)
    }

    /// Restores two rank blocks of one length at once; false, with nothing done, if they are not.
    fn ranks_together<S: Sample>(
        &self,
        blocks: [&Block<S>; 2],
        samples: [&mut [S]; 2],
        lanes: &mut [Lane; 2],
    ) -> bool {
        let [a, b] = samples;
        if a.len() != b.len() {
            return false;
        }
        let (Coding::Ranks(law_a), Coding::Ranks(law_b)) = (blocks[0].coding, blocks[1].coding)
        else {
            return false;
        };
        let (Some(a), Some(b)) = (S::narrow_mut(a), S::narrow_mut(b)) else {
            return false;
        };
        let (predictor_a, predictor_b) = (blocks[0].kind.predictor(), blocks[1].kind.predictor());
        let mut a = RankBlock {
            set: law_a.set(self.encoding),
            predictor: &predictor_a,
            classes: &blocks[0].classes,
            samples: a,
        };
        let mut b = RankBlock {
            set: law_b.set(self.encoding),
            predictor: &predictor_b,
            classes: &blocks[1].classes,
            samples: b,
        };
        ranks::restore_pair([&mut a, &mut b], self.header.part(), self.bytes, lanes);
        true
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
                let residual = &mut samples[MAX_ORDER..];
                match residuals {
                    Residuals::Streams => self.residual(block, lane, residual)?,
                    Residuals::Adaptive {
                        coder,
                        models,
                        history,
                    } => {
                        residual
                            .fill_with(|| S::truncated(models.linear.linear(coder, history, 0)));
                    }
                }
                predict::restore(&kind.predictor(), wasted, samples);
            }
            (kind, Coding::Ranks(law)) => {
                let none = vec![
                    S::default();
                    if reference.is_some() {
                        0
                    } else {
                        samples.len()
                    }
                ];
                let reference = S::narrow(reference.unwrap_or(&none)).unwrap_or_default();
                let samples = S::narrow_mut(samples).unwrap_or_default();
                let (set, predictor) = (law.set(self.encoding), kind.predictor());
                let mut block = RankBlock {
                    set,
                    predictor: &predictor,
                    classes: &block.classes,
                    samples,
                };
                match residuals {
                    Residuals::Streams => {
                        ranks::restore(&mut block, self.header.part(), reference, self.bytes, lane);
                    }
                    Residuals::Adaptive {
                        coder,
                        models,
                        history,
                    } => {
                        ranks::restore_each(&mut block, reference, |_, expected| {
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

    /// Reads the residual of a linear block.
    fn residual<S: Sample>(
        &self,
        block: &Block<S>,
        lane: &mut Lane,
        residual: &mut [S],
    ) -> Result<(), CodecError> {
        let parts = residual.chunks_mut(self.header.part());
        for (class, residual) in block.classes.iter().zip(parts) {
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
