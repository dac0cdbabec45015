//! Sums of two G.711 legs: found, smaller, and nothing that an older reader takes for its own.

use super::*;

/// A loud and a quiet talker, each through µ-law, added up.
pub(super) fn mix(samples: usize, seed: u64) -> Vec<i16> {
    legs(samples, seed, through_mu_law)
}

fn legs(samples: usize, seed: u64, coded: impl Fn(&[i16]) -> Vec<i16>) -> Vec<i16> {
    let quiet: Vec<i16> = voice(samples, seed + 100).iter().map(|x| x / 50).collect();
    let (loud, quiet) = (coded(&voice(samples, seed)), coded(&quiet));
    let pairs = loud.iter().zip(&quiet);
    pairs.map(|(a, b)| a.saturating_add(*b)).collect()
}

/// The 16-bit values of A-law bytes by the formula of ITU-T G.191.
fn expand_a_law(byte: u8) -> i16 {
    let plain = byte ^ 0x55;
    let (exponent, mantissa) = (plain >> 4 & 7, i16::from(plain & 15) << 4 | 8);
    let magnitude = match exponent {
        0 => mantissa,
        _ => (mantissa + 256) << (exponent - 1),
    };
    if plain < 128 { -magnitude } else { magnitude }
}

fn through_a_law(samples: &[i16]) -> Vec<i16> {
    let values: Vec<i16> = (0..=255).map(expand_a_law).collect();
    let nearest = |x: &i16| *values.iter().min_by_key(|v| v.abs_diff(*x)).unwrap();
    samples.iter().map(nearest).collect()
}

fn method(pcm: &[u8], effort: Effort) -> u8 {
    Encoder::new().encode(MONO, pcm, effort)[0]
}

#[test]
fn sums_of_two_legs_are_smaller_than_what_sounds_the_same() {
    for (sums, step) in [(mix(32_000, 40), 4), (legs(32_000, 41, through_a_law), 8)] {
        // As loud, as many zero bits, but any value.
        let any: Vec<i16> = (0..)
            .zip(&sums)
            .map(|(n, x)| x.saturating_add(n % 3 * step - step) & -step)
            .collect();
        for effort in EFFORTS {
            let plain = round_trip(MONO, &bytes_of(&any), effort);
            let size = round_trip(MONO, &bytes_of(&sums), effort);
            assert!(
                size * 100 < plain * 92,
                "{effort:?}, step {step}: {size} of {plain} bytes"
            );
        }
    }
}

#[test]
fn a_clipped_sum_comes_back() {
    let loud: Vec<i16> = voice(4000, 42)
        .iter()
        .map(|x| x.saturating_mul(9))
        .collect();
    let leg = through_mu_law(&loud);
    let sum: Vec<i16> = leg.iter().map(|x| x.saturating_add(*x)).collect();
    assert!(
        sum.contains(&i16::MAX) && sum.contains(&i16::MIN),
        "it is clipped"
    );
    round_trips(MONO, &bytes_of(&sum));
}

#[test]
fn sums_come_back_at_every_rate_and_in_every_container() {
    let sums = mix(9001, 43);
    let wide: Vec<u8> = sums
        .iter()
        .flat_map(|x| (i32::from(*x) << 16).to_le_bytes())
        .collect();
    let layout = Shape {
        channels: 1,
        encoding: Encoding::S32,
    };
    round_trips(layout, &wide);
    let twice = interleaved(&[&sums, &mix(9001, 44)]);
    round_trips(STEREO, &bytes_of(&twice));
    for rate in [8000, 16_000, 48_000] {
        let coded = Encoder::for_rate(rate).encode(MONO, &bytes_of(&sums), Effort::Ingest);
        assert_eq!(coded[0], 2, "{rate} Hz");
        let mut back = Vec::new();
        Decoder::new()
            .decode(MONO, 9001, &coded, &mut back)
            .unwrap();
        assert!(back == bytes_of(&sums), "{rate} Hz");
    }
}

/// What reads method 1 only must not take a block of sums for a damaged one.
#[test]
fn the_method_says_whether_there_are_sums() {
    for effort in EFFORTS {
        let sums = bytes_of(&mix(3000, 45));
        assert_eq!(method(&sums, effort), 2, "{effort:?}");
        assert_eq!(method(&bytes_of(&voice(3000, 45)), effort), 1, "{effort:?}");
        let companded = through_mu_law(&voice(3000, 45));
        assert_eq!(method(&bytes_of(&companded), effort), 1, "{effort:?}");
        let mut coded = Encoder::new().encode(MONO, &sums, effort);
        coded[0] = 1;
        let result = Decoder::new().decode(MONO, 3000, &coded, &mut vec![]);
        assert_eq!(result, Err(CodecError::Corrupt("too many wasted bits")));
    }
}

/// What the frozen frames hold: two triangles, the second quiet, each through µ-law, added up.
fn frozen_samples() -> Vec<i16> {
    let triangle = |n: i16, period: i16| (n % period - period / 2).abs();
    let loud: Vec<i16> = (0..200).map(|n| triangle(n, 26) * 900 - 5000).collect();
    let quiet: Vec<i16> = (0..200).map(|n| triangle(n, 14) * 9 - 30).collect();
    let (loud, quiet) = (through_mu_law(&loud), through_mu_law(&quiet));
    loud.iter().zip(&quiet).map(|(a, b)| a + b).collect()
}

#[test]
fn frozen_frames_of_sums_are_read() {
    let pcm = bytes_of(&frozen_samples());
    for frame in [FROZEN_STREAMS, FROZEN_ADAPTIVE] {
        let mut back = Vec::new();
        let result = Decoder::new().decode(MONO, 200, &from_hex(frame), &mut back);
        assert_eq!(result, Ok(()));
        assert!(back == pcm);
    }
}

const FROZEN_STREAMS: &str = "
    020000010401010101190300077850000a1ee1010048080000e4200000888888800800003608000029080000
    0308000003c8000000030301010104000a10070b02040202040002060108030207180000240b000c03008247
    1714f0ae78486ff5a6f226abd8589a1727c082d19116cb71827f10d27873cc358d9d7d93f503f3842a5b3920
    84a1f6d1e34cc8083083fbf7f9cb9089cb3bbeb95339fa44c8055c1f1730aa38ba876a6d4eba09597497a5e1
    4ae11688de0100dd010002c50d14a0b51903e8aaaaaaba09d7297b37d55bc89632a5aefe1ad9723572b0aa5a
    fa56eeaef7a9c758ba3a230c8848818f63943bdb575001080022e4587172efca987037956235fef20ffc5046
    c4e9f0dc5e16ea98dc1cd8
";
const FROZEN_ADAPTIVE: &str = "
    028000010401010101180016380048080000e32000008888888008000036080000290800000308000003c100
    0000030301010104000a10070b0204020204000206010803029d01000000e265c543dddf8b5280dd987aa683
    19e353c42d1c14e7deb6d6a800801ee74ceb63e4af667c3d60b7437d8e12ceed420a61904c70dd0d305fc976
    f86447e5c6dd5a792114fe97ebc2a4b7b21e6ad56bb5f34364fd7df0d597ffb4a95b02b8b31b8817387ef432
    68c4a01700a0aca58b2ea2524684f44e2d2fbc3e02f34f0983ea413999b73e0e7e6878cce975c70bc63392ba
    97fa1835b8e2cc53
";
