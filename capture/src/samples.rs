//! Samples in memory, shared by all who need them: written once by a line, then read by its tape and
//! by the keeper, whichever is the last to let go.
//!
//! What lives here: a stretch of a shared buffer, and the pool that such buffers come from and go
//! back to, so that a running line asks for no memory. What does not: what the samples are of
//! (`tape`). `line` owns a pool.

use std::collections::VecDeque;
use std::ops::{Deref, Range};
use std::sync::Arc;

/// Buffers that a pool keeps unused; what a failing spool held beyond them goes back to the system.
const SPARE: usize = 8;

/// A stretch of samples: interleaved, in the spool's encoding, whole frames.
#[derive(Debug, Clone)]
pub struct Samples {
    buffer: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl Samples {
    /// The part `range` of it, in bytes, without a copy.
    pub fn part(&self, range: Range<usize>) -> Self {
        assert!(range.end <= self.len(), "no part of the samples");
        Self {
            buffer: Arc::clone(&self.buffer),
            range: self.range.start + range.start..self.range.start + range.end,
        }
    }
}

impl Deref for Samples {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.buffer[self.range.clone()]
    }
}

impl PartialEq for Samples {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Samples {}

impl From<Vec<u8>> for Samples {
    fn from(bytes: Vec<u8>) -> Self {
        let range = 0..bytes.len();
        Self {
            buffer: Arc::new(bytes),
            range,
        }
    }
}

/// Buffers on their way round: the longest in use comes first, because it is let go first.
#[derive(Debug, Default)]
pub struct Pool {
    buffers: VecDeque<Arc<Vec<u8>>>,
}

impl Pool {
    /// A buffer of `bytes` bytes, all of which `fill` writes: what is in it before has no meaning.
    pub fn fill(&mut self, bytes: usize, fill: impl FnOnce(&mut [u8])) -> Samples {
        let mut buffer = self.unused().unwrap_or_default();
        // Nobody else holds it: this is no copy.
        let contents = Arc::make_mut(&mut buffer);
        contents.resize(bytes, 0);
        fill(contents);
        self.buffers.push_back(Arc::clone(&buffer));
        Samples {
            buffer,
            range: 0..bytes,
        }
    }

    /// A buffer that nobody else holds.
    fn unused(&mut self) -> Option<Arc<Vec<u8>>> {
        if self.is_unused(SPARE) {
            self.buffers.pop_front();
        }
        self.is_unused(0).then(|| self.buffers.pop_front())?
    }

    fn is_unused(&mut self, place: usize) -> bool {
        let buffer = self.buffers.get_mut(place);
        buffer.is_some_and(|buffer| Arc::get_mut(buffer).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(pool: &mut Pool, byte: u8) -> Samples {
        pool.fill(4, |bytes| bytes.fill(byte))
    }

    #[test]
    fn a_buffer_is_used_again_once_everyone_has_let_go_of_it() {
        let mut pool = Pool::default();
        let first = filled(&mut pool, 1);
        let part = first.part(1..3);
        let place = first.as_ptr();
        let second = filled(&mut pool, 2);
        drop(first);
        // A part of the first is still held: it must not change under its holder.
        let third = filled(&mut pool, 3);
        assert_eq!(
            (&*part, &*second, &*third),
            (&[1, 1][..], &[2; 4][..], &[3; 4][..])
        );
        drop(part);
        let fourth = filled(&mut pool, 4);
        assert_eq!(fourth.as_ptr(), place);
        assert_eq!(
            (&*second, &*third, &*fourth),
            (&[2; 4][..], &[3; 4][..], &[4; 4][..])
        );
    }

    #[test]
    fn what_was_held_for_long_goes_back_to_the_system() {
        let mut pool = Pool::default();
        drop((0..100).map(|_| filled(&mut pool, 1)).collect::<Vec<_>>());
        for _ in 0..100 {
            filled(&mut pool, 2);
        }
        assert_eq!(pool.buffers.len(), SPARE);
    }

    #[test]
    fn a_part_of_a_part_is_counted_from_its_beginning() {
        let samples = Samples::from(vec![0, 1, 2, 3, 4, 5]);
        assert_eq!(*samples.part(1..5).part(2..3), [3]);
    }
}
