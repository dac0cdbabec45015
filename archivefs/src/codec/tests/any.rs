//! Whatever goes in comes out, and whatever is decoded does no harm: properties.

use super::damage::survives;
use super::*;

fn layouts() -> impl Strategy<Value = Shape> {
    (1..=4u16, 0..5usize).prop_map(|(channels, n)| Shape {
        channels,
        encoding: ENCODINGS[n],
    })
}

fn efforts() -> impl Strategy<Value = Effort> {
    prop_oneof![Just(Effort::Ingest), Just(Effort::Thorough)]
}

/// PCM bytes for a layout out of any bytes: whole sample frames.
fn whole(layout: Shape, mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.len() / layout.frame_bytes() * layout.frame_bytes());
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_bytes_come_back(layout in layouts(), bytes in prop::collection::vec(any::<u8>(), 0..6000), effort in efforts()) {
        round_trip(layout, &whole(layout, bytes), effort);
    }

    #[test]
    fn any_walk_comes_back(layout in layouts(), steps in prop::collection::vec(-300i32..300, 0..4000), zeros in 0u32..20, effort in efforts()) {
        let mut x = 0i32;
        let pcm: Vec<u8> = steps
            .iter()
            .flat_map(|step| {
                x = x.wrapping_add(*step);
                (x << zeros).to_le_bytes()[..layout.encoding.bytes()].to_vec()
            })
            .collect();
        round_trip(layout, &whole(layout, pcm), effort);
    }

    #[test]
    fn any_mixture_of_stretches_comes_back(
        stretches in prop::collection::vec((0usize..7, 1usize..900, any::<i16>()), 1..8),
        stereo in any::<bool>(),
        effort in efforts(),
    ) {
        let mut samples = Vec::new();
        for (n, (kind, length, value)) in stretches.into_iter().enumerate() {
            let source = voice(length, n as u64 + 1);
            samples.extend(match kind {
                0 => vec![value; length],
                1 => source,
                2 => through_mu_law(&source),
                3 => source.iter().map(|x| x << 4).collect(),
                4 => sums::mix(length, n as u64 + 1),
                5 => source.iter().enumerate().map(|(n, _)| if n % 2 == 0 { value } else { !value }).collect(),
                _ => (0..length).map(|n| (n as i16).wrapping_mul(value)).collect(),
            });
        }
        let layout = if stereo { STEREO } else { MONO };
        round_trip(layout, &whole(layout, bytes_of(&samples)), effort);
    }

    #[test]
    fn any_bytes_are_survived(
        layout in layouts(),
        frames in 0u32..3000,
        method in 0u8..4,
        bytes in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let data = [&[method], &bytes[..]].concat();
        survives(&mut Decoder::new(), layout, frames, &data);
    }

    /// Streams that are valid for zstd, but say nonsense: what random bytes hardly ever reach.
    #[test]
    fn any_streams_are_survived(
        layout in layouts(),
        frames in 1u32..3000,
        method in 1u8..=2,
        header in prop::array::uniform3(any::<u8>()),
        decisions in prop::collection::vec(any::<u8>(), 0..120),
        streams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 30),
    ) {
        let mut data = super::super::streams::nonsense(method, &header, &streams);
        if header[0] & 0x80 != 0 {
            data.push(decisions.len() as u8);
            data.extend_from_slice(&decisions);
        }
        survives(&mut Decoder::new(), layout, frames, &data);
    }
}
