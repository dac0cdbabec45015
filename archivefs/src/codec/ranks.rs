//! Blocks of G.711 values, or of their sums, restored from ranks: the decoder's slowest loop.
//!
//! Each sample waits for the one before it: prediction, nearest rank, stream, position, symbol and
//! value are six loads and a product in a row. Two tracks are restored side by side, so that the
//! processor has something to do meanwhile, and of the prediction only the newest sample's product
//! is left to that row.

use super::group::PARTS;
use super::parcor::{MAX_ORDER, Predictor};
use super::predict::{Older, each_of_round};
use super::sample::Sample;
use super::streams::Lane;
use super::vector::{Eight, ROUND};

/// What gives the samples of one part of a block.
pub(super) trait Part: Copy {
    /// Sample `n` of the block, where `expected` was predicted.
    fn sample(&self, n: usize, expected: i16, bytes: &[u8], lane: &mut Lane) -> i16;
}

/// One block that is to be restored from ranks.
pub(super) struct RankBlock<'a, P> {
    /// Its parts.
    pub parts: [P; PARTS],
    /// What predicts it.
    pub predictor: &'a Predictor,
    /// [`MAX_ORDER`] samples of history, then room for the block.
    pub samples: &'a mut [i16],
}

/// Calls the variant of a function for the order of a predictor, rounded up to 8.
macro_rules! by_order {
    ($order:expr, $function:ident<$($kind:ty),*>($($argument:expr),*)) => {
        match $order.div_ceil(8) {
            0 | 1 => $function::<8, $($kind),*>($($argument),*),
            2 => $function::<16, $($kind),*>($($argument),*),
            3 => $function::<24, $($kind),*>($($argument),*),
            _ => $function::<32, $($kind),*>($($argument),*),
        }
    };
}

/// Restores one block whose samples less `reference` are predicted; `reference` is as long as
/// `block.samples`, and what is restored is the difference.
pub(super) fn restore<P: Part>(
    block: &mut RankBlock<P>,
    part: usize,
    reference: &[i16],
    bytes: &[u8],
    lane: &mut Lane,
) {
    let parts = block.parts;
    restore_each(block.predictor, block.samples, reference, |n, expected| {
        parts[n / part].sample(n, expected, bytes, lane)
    });
}

/// [`restore`] with `sample` giving each sample by its number in the block and its prediction.
pub(super) fn restore_each(
    predictor: &Predictor,
    samples: &mut [i16],
    reference: &[i16],
    mut sample: impl FnMut(usize, i16) -> i16,
) {
    by_order!(
        predictor.order,
        restore_of<_>(predictor, samples, reference, &mut sample)
    );
}

fn restore_of<const O: usize, F: FnMut(usize, i16) -> i16>(
    predictor: &Predictor,
    samples: &mut [i16],
    reference: &[i16],
    sample: &mut F,
) {
    let mut state = Past::<O>::new(predictor, &samples[..MAX_ORDER]);
    for (at, reference) in reference.iter().enumerate().skip(MAX_ORDER) {
        let older = state.older.of_one(&samples[at - O..at - ROUND]);
        let expected = state.expected(older).plus(*reference);
        let x = sample(at - MAX_ORDER, expected).minus(*reference);
        samples[at] = x;
        state.push(x);
    }
}

/// Restores two blocks of the same length side by side. `part` is a multiple of [`ROUND`].
pub(super) fn restore_pair<A: Part, B: Part>(
    a: &mut RankBlock<A>,
    b: &mut RankBlock<B>,
    part: usize,
    bytes: &[u8],
    lanes: &mut [Lane; 2],
) {
    let order = a.predictor.order.max(b.predictor.order);
    by_order!(order, restore_pair_of < A, B > (a, b, part, bytes, lanes));
}

fn restore_pair_of<const O: usize, A: Part, B: Part>(
    a: &mut RankBlock<A>,
    b: &mut RankBlock<B>,
    part: usize,
    bytes: &[u8],
    lanes: &mut [Lane; 2],
) {
    let mut past_a = Past::<O>::new(a.predictor, &a.samples[..MAX_ORDER]);
    let mut past_b = Past::<O>::new(b.predictor, &b.samples[..MAX_ORDER]);
    let end = a.samples.len();
    for at in (MAX_ORDER..end).step_by(ROUND) {
        let part = (at - MAX_ORDER) / part;
        let (values_a, values_b) = (a.parts[part], b.parts[part]);
        let n = at - MAX_ORDER;
        if at + ROUND <= end {
            let window_a = &mut a.samples[at - O..at + ROUND];
            let window_b = &mut b.samples[at - O..at + ROUND];
            round(
                &mut past_a,
                &mut past_b,
                (n, values_a, values_b),
                window_a,
                window_b,
                bytes,
                lanes,
            );
        } else {
            rest(
                &mut past_a,
                (n, values_a),
                &mut a.samples[at - O..],
                bytes,
                &mut lanes[0],
            );
            rest(
                &mut past_b,
                (n, values_b),
                &mut b.samples[at - O..],
                bytes,
                &mut lanes[1],
            );
        }
    }
}

/// A round of both tracks, with the number of its first sample in the block; the windows begin `O`
/// samples before it.
#[inline(always)]
fn round<const O: usize, A: Part, B: Part>(
    past_a: &mut Past<O>,
    past_b: &mut Past<O>,
    (at, values_a, values_b): (usize, A, B),
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
        let a = values_a.sample(at + n, expected_a, bytes, lane_a);
        let b = values_b.sample(at + n, expected_b, bytes, lane_b);
        window_a[O + n] = a;
        window_b[O + n] = b;
        past_a.push(a);
        past_b.push(b);
    });
}

/// What does not fill a round, of one track, with the number of its first sample in the block; the
/// window begins `O` samples before it.
fn rest<const O: usize, P: Part>(
    past: &mut Past<O>,
    (first, values): (usize, P),
    window: &mut [i16],
    bytes: &[u8],
    lane: &mut Lane,
) {
    for at in O..window.len() {
        let older = past.older.of_one(&window[at - O..at - ROUND]);
        let x = values.sample(first + at - O, past.expected(older), bytes, lane);
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
