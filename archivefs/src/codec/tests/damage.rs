//! Frames cut off, changed and invented: refused, or decoded within bounds.

use super::*;

/// Decodes what may be anything, and checks that it stayed within bounds.
pub(super) fn survives(decoder: &mut Decoder, layout: Shape, frames: u32, data: &[u8]) {
    let mut out = vec![7; 3];
    match decoder.decode(layout, frames, data, &mut out) {
        Ok(()) => assert_eq!(out.len(), 3 + frames as usize * layout.frame_bytes()),
        Err(_) => assert_eq!(out, [7; 3], "a refused frame leaves the output as it was"),
    }
}

/// Frames that between them use every part of the format.
pub(super) fn specimens() -> Vec<(Shape, u32, Vec<u8>)> {
    let linear = voice(2600, 30);
    let companded = through_mu_law(&linear);
    let shifted: Vec<i16> = linear.iter().map(|x| x & !3).collect();
    let wide: Vec<u8> = linear
        .iter()
        .flat_map(|x| (i32::from(*x) * 65_537).to_le_bytes())
        .collect();
    let mut clicks = linear.clone();
    clicks[300..600].fill(0);
    clicks[400] = i16::MIN;
    let twice = |x: &[i16]| {
        bytes_of(&interleaved(&[
            x,
            &x.iter().map(|v| v / 2).collect::<Vec<_>>(),
        ]))
    };
    let mut random = Random(1);
    let sources = [
        (MONO, bytes_of(&linear)),
        (MONO, bytes_of(&companded)),
        (MONO, bytes_of(&shifted)),
        (MONO, bytes_of(&sums::mix(2600, 31))),
        (MONO, bytes_of(&clicks)),
        (STEREO, twice(&linear)),
        (STEREO, twice(&companded)),
        (
            Shape {
                channels: 1,
                encoding: Encoding::S32,
            },
            wide,
        ),
        (
            Shape {
                channels: 3,
                encoding: Encoding::ALaw,
            },
            companded
                .iter()
                .map(|x| (x >> 8) as u8)
                .take(2400)
                .collect(),
        ),
        (MONO, (0..2000).map(|_| random.next() as u8).collect()),
    ];
    let coded = |(layout, pcm, effort): (Shape, &[u8], Effort)| {
        let coded = Encoder::new().encode(layout, pcm, effort);
        (layout, (pcm.len() / layout.frame_bytes()) as u32, coded)
    };
    let long = sources
        .iter()
        .map(|(layout, pcm)| (*layout, &pcm[..], Effort::Ingest));
    // The slower effort is slower to decode, too.
    let short = sources.iter().map(|(layout, pcm)| {
        (
            *layout,
            &pcm[..600 * layout.frame_bytes()],
            Effort::Thorough,
        )
    });
    let specimens: Vec<_> = long.chain(short).map(coded).collect();
    let adaptive = specimens
        .iter()
        .filter(|(_, _, coded)| coded[0] > 0 && coded[1] & 0x80 != 0);
    assert!(
        adaptive.count() >= 4,
        "the specimens use both ways to code residuals"
    );
    let sums = specimens.iter().filter(|(_, _, coded)| coded[0] == 2);
    assert!(sums.count() >= 2, "the specimens use sums in both ways");
    specimens
}

#[test]
fn every_truncation_is_refused() {
    let mut decoder = Decoder::new();
    for (layout, frames, coded) in specimens() {
        for end in 0..coded.len() {
            let mut out = vec![];
            assert!(
                decoder
                    .decode(layout, frames, &coded[..end], &mut out)
                    .is_err(),
                "cut to {end} of {}",
                coded.len()
            );
        }
        let longer = [&coded[..], &[0]].concat();
        assert!(
            decoder
                .decode(layout, frames, &longer, &mut vec![])
                .is_err(),
            "a byte too many"
        );
    }
}

#[test]
fn a_sample_frame_fewer_than_was_coded_is_refused() {
    let mut decoder = Decoder::new();
    let as_streams = |coded: &[u8]| coded[0] == 0 || coded[1] & 0x80 == 0;
    for (layout, frames, coded) in specimens().into_iter().filter(|(_, _, c)| as_streams(c)) {
        assert!(
            decoder
                .decode(layout, frames - 1, &coded, &mut vec![])
                .is_err(),
            "{layout:?}"
        );
    }
}

#[test]
fn decisions_of_another_length_are_refused() {
    let coded = from_hex(FROZEN_ADAPTIVE);
    // The decisions are the last field: 176 bytes, and before them that number in two bytes.
    let (head, decisions) = coded.split_at(coded.len() - 176);
    assert_eq!(head[head.len() - 2..], [0xB0, 0x01]);
    let fields = &head[..head.len() - 2];
    let shorter = [fields, &[0xAF, 0x01], &decisions[..175]].concat();
    let longer = [fields, &[0xB1, 0x01], decisions, &[0]].concat();
    for other in [shorter, longer] {
        assert!(
            Decoder::new()
                .decode(MONO, 200, &other, &mut vec![])
                .is_err()
        );
    }
}

#[test]
fn every_changed_byte_is_survived() {
    let mut decoder = Decoder::new();
    for (layout, frames, mut coded) in specimens() {
        for at in 0..coded.len() {
            for change in [1, 0xFF] {
                coded[at] ^= change;
                survives(&mut decoder, layout, frames, &coded);
                coded[at] ^= change;
            }
        }
    }
}

#[test]
fn a_wrong_shape_is_survived() {
    let mut decoder = Decoder::new();
    for (layout, frames, coded) in specimens() {
        for encoding in ENCODINGS {
            for (channels, frames) in [
                (1, frames),
                (2, frames),
                (5, frames / 5),
                (1, 1),
                (1, 2 * frames),
                (layout.channels, frames + 1),
            ] {
                survives(&mut decoder, Shape { channels, encoding }, frames, &coded);
            }
        }
    }
}

#[test]
fn a_number_of_frames_beyond_all_memory_is_refused() {
    let layout = Shape {
        channels: u16::MAX,
        encoding: Encoding::S32,
    };
    let coded = Encoder::new().encode(MONO, &[0; 64], Effort::Ingest);
    assert!(
        Decoder::new()
            .decode(layout, u32::MAX, &coded, &mut vec![])
            .is_err()
    );
}

#[test]
fn more_samples_than_zstd_could_make_are_refused_before_room_is_made() {
    let result = Decoder::new().decode(MONO, 1 << 20, &[0; 8], &mut vec![]);
    assert_eq!(result, Err(CodecError::Corrupt("too many samples")));
}
