//! Reading cards that are not interleaved: the one place of the daemon that is unsafe, because the crate
//! takes plane pointers as they are. `alsa`, the only caller, decides when.

use super::MOST_CHANNELS;
use crate::sample::{Layout, stored_bytes};
use ::alsa::Error;
use ::alsa::pcm::PCM;

/// Reads one plane a channel, for cards that have nothing else (RME).
#[allow(unsafe_code)]
pub(super) fn read(
    pcm: &PCM,
    layout: Layout,
    bytes: &mut [u8],
    frames: usize,
) -> Result<usize, Error> {
    let plane = layout.plane.unwrap_or_default() * stored_bytes(layout.format);
    let mut planes = [std::ptr::null_mut(); MOST_CHANNELS as usize];
    assert!(layout.channels <= planes.len() && frames * stored_bytes(layout.format) <= plane);
    assert!(layout.channels * plane <= bytes.len());
    for (pointer, plane) in planes.iter_mut().zip(bytes.chunks_exact_mut(plane)) {
        *pointer = plane.as_mut_ptr();
    }
    // SAFETY: `readn` writes `frames` samples through each of the first `channels` pointers. The
    // PCM was set up with `layout.channels` channels of `layout.format`, so each gets at most
    // `plane` bytes (asserted above); the planes are disjoint parts of `bytes`, which is borrowed
    // mutably until the call returns, and alsa-lib keeps no pointer beyond it.
    unsafe { pcm.io_bytes().readn(&mut planes[..layout.channels], frames) }
}
