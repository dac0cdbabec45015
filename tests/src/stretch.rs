//! Finds recorded samples in what was played. Called by the tests and the demonstration.

use crate::card::SampleCard;

/// The frame of `played`, one channel's samples, at which `recorded` begins, if every sample of it
/// is there, bit for bit and in one piece. The first such frame; nothing for no samples at all.
pub fn find(played: &[i16], recorded: &[i16]) -> Option<u64> {
    if recorded.is_empty() {
        return None;
    }
    let first = played
        .windows(recorded.len())
        .position(|stretch| stretch == recorded)?;
    Some(first as u64)
}

/// The frame of `card` at which `samples`, recorded from its channel `channel` (counted from 1),
/// begin: [`find`] on that channel.
///
/// # Panics
/// The card's file cannot be read.
pub fn find_stretch(card: &SampleCard, channel: u16, samples: &[i16]) -> Option<u64> {
    find(
        &card
            .samples(channel)
            .expect("the sample card's file is there"),
        samples,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::idle;
    use proptest::prelude::*;

    fn line() -> Vec<i16> {
        (0..4000).map(|frame| idle(1, 8000, frame)).collect()
    }

    proptest! {
        #[test]
        fn finds_a_stretch_where_it_is(begin in 0usize..3900, length in 8usize..100) {
            let line = line();
            prop_assert_eq!(find(&line, &line[begin..begin + length]), Some(begin as u64));
        }

        #[test]
        fn finds_no_stretch_with_a_changed_bit(
            begin in 0usize..3900, length in 8usize..100, at in 0usize..100, bit in 0u32..16,
        ) {
            let line = line();
            let mut stretch = line[begin..begin + length].to_vec();
            stretch[at % length] ^= 1 << bit;
            prop_assert_eq!(find(&line, &stretch), None);
        }
    }

    #[test]
    fn finds_no_stretch_with_a_sample_missing_or_too_many() {
        let line = line();
        let mut missing = line[100..200].to_vec();
        missing.remove(50);
        assert_eq!(find(&line, &missing), None);
        let mut doubled = line[100..200].to_vec();
        doubled.insert(50, doubled[50]);
        assert_eq!(find(&line, &doubled), None);
        assert_eq!(find(&line, &[]), None);
        assert_eq!(find(&line[..10], &line[..11]), None);
    }
}
