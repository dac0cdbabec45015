//! An open recording: any range of its WAV file. Keeps the block it read last, because readers ask
//! for one stretch after the other.

use crate::codec::Decoder;
use crate::store::{Object, Part, StoreError};
use std::sync::{Mutex, PoisonError};

/// An open recording. Several threads may read at once.
pub struct Reader {
    object: Object,
    state: Mutex<State>,
}

struct State {
    decoder: Decoder,
    last: Option<(u32, Vec<u8>)>,
}

impl Reader {
    pub(super) fn new(object: Object) -> Self {
        let state = Mutex::new(State {
            decoder: Decoder::new(),
            last: None,
        });
        Self { object, state }
    }

    /// Up to `size` bytes from byte `offset` on: fewer only at the end of the file.
    pub fn read(&self, offset: u64, size: usize) -> Result<Vec<u8>, StoreError> {
        // A panic in a decoder must not take the file from its other readers.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let left = self.object.wav_bytes().saturating_sub(offset);
        let size = size.min(usize::try_from(left).unwrap_or(usize::MAX));
        let mut out = Vec::with_capacity(size);
        while out.len() < size {
            let bytes = match self.object.part_at(offset + out.len() as u64) {
                Part::Bytes(bytes) => bytes,
                Part::Block { number, skip } => &state.block(&self.object, number)?[skip..],
            };
            if bytes.is_empty() {
                break;
            }
            out.extend_from_slice(&bytes[..bytes.len().min(size - out.len())]);
        }
        Ok(out)
    }
}

impl State {
    fn block(&mut self, object: &Object, number: u32) -> Result<&[u8], StoreError> {
        let samples = match self.last.take() {
            Some((last, samples)) if last == number => samples,
            _ => object.block(number, &mut self.decoder)?,
        };
        Ok(&self.last.insert((number, samples)).1)
    }
}
