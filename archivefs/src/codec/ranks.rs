//! Blocks of G.711 values restored from their ranks: the decoder's slowest loop.
//!
//! Each sample waits for the one before it: prediction, nearest rank, stream, position, symbol and
//! value are six loads and a product in a row. Two tracks are restored side by side, so that the
//! processor has something to do meanwhile, and of the prediction only the newest sample's product
//! is left to that row.

use super::g711::{Set, Tables};
use super::parcor::{MAX_ORDER, Predictor};
use super::predict::{Older, each_of_round};
use super::sample::Sample;
use super::streams::Lane;
use super::vector::{Eight, ROUND};

/// One block that is to be restored from ranks.
pub(super) struct RankBlock<'a> {
    /// The set that its samples lie in.
    pub set: &'a Set,
    /// What predicts it.
    pub predictor: &'a Predictor,
    /// The class of each of its parts.
    pub classes: &'a [u8],
    /// [`MAX_ORDER`] samples of history, then room for the block.
    pub samples: &'a mut [i16],
}

/// Calls the variant of a function for the order of a predictor, rounded up to 8.
macro_rules! by_order {
    ($order:expr, $function:ident($($argument:expr),*)) => {
        match $order.div_ceil(8) {
            0 | 1 => $function::<8>($($argument),*),
            2 => $function::<16>($($argument),*),
            3 => $function::<24>($($argument),*),
            _ => $function::<32>($($argument),*),
        }
    };
}

/// Restores one block whose samples less `reference` are predicted; `reference` is as long as
/// `block.samples`, and what is restored is the difference.
pub(super) fn restore(
    block: &mut RankBlock,
    part: usize,
    reference: &[i16],
    bytes: &[u8],
    lane: &mut Lane,
) {
    let (set, classes) = (block.set, block.classes);
    restore_each(block, reference, |n, expected| {
        set.tables(classes[n / part]).sample(expected, bytes, lane)
    });
}

/// [`restore`] with `sample` giving each sample by its number in the block and its prediction.
pub(super) fn restore_each(
    block: &mut RankBlock,
    reference: &[i16],
    mut sample: impl FnMut(usize, i16) -> i16,
) {
    by_order!(
        block.predictor.order,
        restore_of(block, reference, &mut sample)
    );
}

fn restore_of<const O: usize>(
    block: &mut RankBlock,
    reference: &[i16],
    sample: &mut impl FnMut(usize, i16) -> i16,
) {
    let mut state = Past::<O>::new(block.predictor, &block.samples[..MAX_ORDER]);
    for (at, reference) in reference.iter().enumerate().skip(MAX_ORDER) {
        let older = state.older.of_one(&block.samples[at - O..at - ROUND]);
        let expected = state.expected(older).plus(*reference);
        let x = sample(at - MAX_ORDER, expected).minus(*reference);
        block.samples[at] = x;
        state.push(x);
    }
}

/// Restores two blocks of the same length side by side. `part` is a multiple of [`ROUND`].
pub(super) fn restore_pair(
    blocks: [&mut RankBlock; 2],
    part: usize,
    bytes: &[u8],
    lanes: &mut [Lane; 2],
) {
    let order = blocks[0].predictor.order.max(blocks[1].predictor.order);
    by_order!(order, restore_pair_of(blocks, part, bytes, lanes));
}

fn restore_pair_of<const O: usize>(
    blocks: [&mut RankBlock; 2],
    part: usize,
    bytes: &[u8],
    lanes: &mut [Lane; 2],
) {
    let [a, b] = blocks;
    let mut past_a = Past::<O>::new(a.predictor, &a.samples[..MAX_ORDER]);
    let mut past_b = Past::<O>::new(b.predictor, &b.samples[..MAX_ORDER]);
    let end = a.samples.len();
    for at in (MAX_ORDER..end).step_by(ROUND) {
        let part = (at - MAX_ORDER) / part;
        let tables = [a.set.tables(a.classes[part]), b.set.tables(b.classes[part])];
        if at + ROUND <= end {
            let window_a = &mut a.samples[at - O..at + ROUND];
            let window_b = &mut b.samples[at - O..at + ROUND];
            round(
                &mut past_a,
                &mut past_b,
                tables,
                window_a,
                window_b,
                bytes,
                lanes,
            );
        } else {
            rest(
                &mut past_a,
                tables[0],
                &mut a.samples[at - O..],
                bytes,
                &mut lanes[0],
            );
            rest(
                &mut past_b,
                tables[1],
                &mut b.samples[at - O..],
                bytes,
                &mut lanes[1],
            );
        }
    }
}

/// A round of both tracks; the windows begin `O` samples before it.
#[inline(always)]
fn round<const O: usize>(
    past_a: &mut Past<O>,
    past_b: &mut Past<O>,
    tables: [Tables; 2],
    window_a: &mut [i16],
    window_b: &mut [i16],
    bytes: &[u8],
    lanes: &mut [Lane; 2],
) {
    let [lane_a, lane_b] = lanes;
    let older_a = past_a.older.of_round(window_a);
    let older_b = past_b.older.of_round(window_b);
    each_of_round!(n => {
        let (expected_a, expected_b) = (past_a.expected(older_a[n]), past_b.expected(older_b[n]));
        let a = tables[0].sample(expected_a, bytes, lane_a);
        let b = tables[1].sample(expected_b, bytes, lane_b);
        window_a[O + n] = a;
        window_b[O + n] = b;
        past_a.push(a);
        past_b.push(b);
    });
}

/// What does not fill a round, of one track; the window begins `O` samples before it.
fn rest<const O: usize>(
    past: &mut Past<O>,
    tables: Tables,
    window: &mut [i16],
    bytes: &[u8],
    lane: &mut Lane,
) {
    for at in O..window.len() {
        let older = past.older.of_one(&window[at - O..at - ROUND]);
        let x = tables.sample(past.expected(older), bytes, lane);
        window[at] = x;
        past.push(x);
    }
}

/// A predictor of order at most `O` with the newest samples: one alone, and those before it.
struct Past<const O: usize> {
    older: Older<i16, O>,
    shift: u32,
    newest: i16,
    newest_coefficient: i16,
    /// The seven samples before the newest, and one that does not count.
    recent: Eight,
    recent_coefficients: Eight,
}

impl<const O: usize> Past<O> {
    /// Ready for the sample after `history`.
    fn new(predictor: &Predictor, history: &[i16]) -> Self {
        let last = history.len() - 1;
        let coefficient = |i: usize| {
            if i < ROUND - 1 {
                predictor.coefficients[i + 1]
            } else {
                0
            }
        };
        Self {
            older: Older::new(predictor, predictor.shift),
            shift: predictor.shift,
            newest: history[last],
            newest_coefficient: predictor.coefficients[0],
            recent: Eight::new(std::array::from_fn(|i| history[last - 1 - i])),
            recent_coefficients: Eight::new(std::array::from_fn(coefficient)),
        }
    }

    /// The prediction, `older` being the contribution of the samples before the eight newest.
    #[inline(always)]
    fn expected(&self, older: i32) -> i16 {
        let sum = older.wrapping_add(self.recent.dot(self.recent_coefficients));
        i16::scaled(
            self.newest.multiply_add(self.newest_coefficient, sum),
            self.shift,
        )
    }

    /// Takes in the sample that came out.
    #[inline(always)]
    fn push(&mut self, x: i16) {
        self.recent = self.recent.pushed(self.newest);
        self.newest = x;
    }
}
