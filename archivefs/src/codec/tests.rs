//! What a user of the codec relies on: every sample comes back, and no bytes do harm.

use proptest::prelude::*;

use super::{CodecError, Decoder, Effort, Encoder, Encoding, Shape};

mod any;
mod damage;
mod sums;

const ENCODINGS: [Encoding; 5] = [
    Encoding::S16,
    Encoding::S24,
    Encoding::S32,
    Encoding::MuLaw,
    Encoding::ALaw,
];
const EFFORTS: [Effort; 2] = [Effort::Ingest, Effort::Thorough];

const MONO: Shape = Shape {
    channels: 1,
    encoding: Encoding::S16,
};
const STEREO: Shape = Shape {
    channels: 2,
    encoding: Encoding::S16,
};

/// Numbers that look random and are the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// −1 to 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
}

/// Something like a voice: pulses and noise through two resonances, louder and quieter, with pauses.
fn voice(samples: usize, seed: u64) -> Vec<i16> {
    let mut random = Random(seed);
    let (mut x1, mut x2, mut y1, mut y2) = (0.0, 0.0, 0.0, 0.0);
    (0..samples)
        .map(|n| {
            let loud = if n / 1600 % 3 == 2 {
                0.0
            } else {
                1.0 + (n as f64 / 900.0).sin()
            };
            let pulse = if n % 73 == 0 { 900.0 * loud } else { 0.0 };
            let x = pulse + random.unit() * (4.0 + 40.0 * loud) + 1.6 * x1 - 0.9 * x2;
            (x2, x1) = (x1, x);
            let y = x + 0.5 * y1 - 0.7 * y2;
            (y2, y1) = (y1, y);
            y.clamp(-32768.0, 32767.0) as i16
        })
        .collect()
}

/// The 16-bit values of µ-law bytes, by the tables of another implementation: ITU-T G.191's formula.
fn expand_mu_law(byte: u8) -> i16 {
    let exponent = (!byte >> 4) & 7;
    let magnitude = (((i32::from(!byte & 15) * 2 + 33) << exponent) - 33) * 4;
    (if byte < 128 { -magnitude } else { magnitude }) as i16
}

/// The nearest µ-law value.
fn through_mu_law(samples: &[i16]) -> Vec<i16> {
    let nearest = |x: &i16| {
        (0..=255)
            .map(expand_mu_law)
            .min_by_key(|v| v.abs_diff(*x))
            .unwrap()
    };
    samples.iter().map(nearest).collect()
}

fn bytes_of(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|x| x.to_le_bytes()).collect()
}

fn interleaved(channels: &[&[i16]]) -> Vec<i16> {
    (0..channels[0].len())
        .flat_map(|n| channels.iter().map(move |c| c[n]))
        .collect()
}

/// Codes, decodes, compares; returns the coded size.
#[track_caller]
fn round_trip(layout: Shape, pcm: &[u8], effort: Effort) -> usize {
    let coded = Encoder::new().encode(layout, pcm, effort);
    let frames = (pcm.len() / layout.frame_bytes()) as u32;
    let mut back = b"before".to_vec();
    Decoder::new()
        .decode(layout, frames, &coded, &mut back)
        .expect("what was coded is a frame");
    assert_eq!(&back[..6], b"before", "what stood in the output stays");
    assert!(
        back[6..] == *pcm,
        "{layout:?} {effort:?}: {} bytes do not come back",
        pcm.len()
    );
    coded.len()
}

#[track_caller]
fn round_trips(layout: Shape, pcm: &[u8]) {
    for effort in EFFORTS {
        round_trip(layout, pcm, effort);
    }
}

#[test]
fn no_samples_take_no_bytes() {
    for encoding in ENCODINGS {
        assert_eq!(
            round_trip(
                Shape {
                    channels: 2,
                    encoding
                },
                &[],
                Effort::Ingest
            ),
            0
        );
    }
}

#[test]
fn every_short_length_comes_back() {
    let pcm = bytes_of(&voice(700, 3));
    for samples in (1..100).chain([159, 160, 161, 319, 320, 321, 639, 641, 699]) {
        round_trips(MONO, &pcm[..samples * 2]);
    }
}

#[test]
fn lengths_around_a_halved_channel_come_back() {
    let pcm = bytes_of(&voice(6000, 4));
    for samples in [2239, 2240, 2241, 2559, 2560, 2561, 2880, 5119, 5121, 5999] {
        round_trips(MONO, &pcm[..samples * 2]);
    }
}

#[test]
fn extremes_come_back() {
    let full: Vec<i16> = (0..3000)
        .map(|n| if n % 2 == 0 { i16::MAX } else { i16::MIN })
        .collect();
    let slow: Vec<i16> = (0..3000)
        .map(|n| if n / 37 % 2 == 0 { i16::MAX } else { i16::MIN })
        .collect();
    let clicks: Vec<i16> = (0..3000)
        .map(|n| if n % 500 == 499 { i16::MIN } else { 0 })
        .collect();
    for samples in [full, slow, clicks, vec![i16::MIN; 3000], vec![-1; 3000]] {
        round_trips(MONO, &bytes_of(&samples));
        round_trips(STEREO, &bytes_of(&samples));
    }
}

#[test]
fn wide_extremes_come_back() {
    let values = [
        i32::MIN,
        i32::MAX,
        0,
        -1,
        1,
        i32::MIN + 1,
        0x0080_0000,
        -0x0080_0000,
    ];
    let pcm: Vec<u8> = (0..4000)
        .flat_map(|n| values[n * 7 % 8].to_le_bytes())
        .collect();
    round_trips(
        Shape {
            channels: 1,
            encoding: Encoding::S32,
        },
        &pcm,
    );
    round_trips(
        Shape {
            channels: 2,
            encoding: Encoding::S32,
        },
        &pcm,
    );
    round_trips(
        Shape {
            channels: 1,
            encoding: Encoding::S24,
        },
        &pcm[..15_999],
    );
}

#[test]
fn a_loud_click_in_silence_comes_back() {
    for encoding in [Encoding::S16, Encoding::S32] {
        let mut pcm = vec![0; 32_000 * encoding.bytes()];
        pcm[20_000 * encoding.bytes() - 1] = 0x80;
        round_trips(
            Shape {
                channels: 1,
                encoding,
            },
            &pcm,
        );
    }
}

#[test]
fn silence_is_almost_free() {
    for encoding in ENCODINGS {
        let silent = match encoding {
            Encoding::MuLaw => 0xFF,
            Encoding::ALaw => 0xD5,
            _ => 0,
        };
        for channels in [1, 2] {
            let pcm = vec![silent; 32_000 * usize::from(channels) * encoding.bytes()];
            let size = round_trip(Shape { channels, encoding }, &pcm, Effort::Ingest);
            assert!(
                size < 80,
                "4 s of silence take {size} bytes as {encoding:?} × {channels}"
            );
        }
    }
}

#[test]
fn voice_is_smaller_than_zstd_makes_it() {
    let pcm = bytes_of(&voice(32_000, 5));
    let zstd = zstd::bulk::compress(&pcm, 3).unwrap().len();
    let sizes = EFFORTS.map(|effort| round_trip(MONO, &pcm, effort));
    assert!(sizes[0] < zstd * 8 / 10, "{} of {zstd} bytes", sizes[0]);
    assert!(
        sizes[1] <= sizes[0],
        "the slower effort is no larger: {sizes:?}"
    );
}

#[test]
fn nothing_is_larger_than_zstd_makes_it() {
    let mut random = Random(6);
    let noise: Vec<u8> = (0..64_000).map(|_| random.next() as u8).collect();
    let repeated: Vec<u8> = noise[..6000].iter().copied().cycle().take(64_000).collect();
    let tone: Vec<i16> = (0..32_000)
        .map(|n| ((f64::from(n % 20) * 0.314_159).sin() * 9000.0) as i16)
        .collect();
    for pcm in [noise, repeated, bytes_of(&tone)] {
        let zstd = zstd::bulk::compress(&pcm, 3).unwrap().len();
        for effort in EFFORTS {
            let size = round_trip(MONO, &pcm, effort);
            assert!(size <= zstd, "{effort:?}: {size} bytes, zstd makes {zstd}");
        }
    }
}

#[test]
fn g711_in_linear_samples_is_found() {
    let linear = voice(32_000, 7);
    let companded = through_mu_law(&linear);
    let before = round_trip(MONO, &bytes_of(&linear), Effort::Ingest);
    let after = round_trip(MONO, &bytes_of(&companded), Effort::Ingest);
    assert!(
        after * 10 < before * 7,
        "{before} bytes linear, {after} companded"
    );
    // The same audio costs the same in any container.
    let wide: Vec<u8> = companded
        .iter()
        .flat_map(|x| (i32::from(*x) << 16).to_le_bytes())
        .collect();
    let in_32_bits = round_trip(
        Shape {
            channels: 1,
            encoding: Encoding::S32,
        },
        &wide,
        Effort::Ingest,
    );
    assert!(
        in_32_bits.abs_diff(after) < 16,
        "{after} bytes in 16 bits, {in_32_bits} in 32"
    );
}

#[test]
fn g711_bytes_come_back_and_cost_what_their_samples_cost() {
    let linear = voice(32_000, 8);
    // The last of the nearest: FFh for zero, as most encoders write it.
    let byte_of = |x: &i16| {
        (0..=255)
            .rev()
            .min_by_key(|b| expand_mu_law(*b).abs_diff(*x))
            .unwrap()
    };
    let bytes: Vec<u8> = linear.iter().map(byte_of).collect();
    let native = round_trip(
        Shape {
            channels: 1,
            encoding: Encoding::MuLaw,
        },
        &bytes,
        Effort::Ingest,
    );
    let linear = round_trip(MONO, &bytes_of(&through_mu_law(&linear)), Effort::Ingest);
    assert!(
        native < linear + linear / 20,
        "{native} bytes from µ-law, {linear} from its samples"
    );
}

#[test]
fn every_g711_byte_comes_back() {
    for encoding in [Encoding::MuLaw, Encoding::ALaw] {
        let pcm: Vec<u8> = (0..=255).cycle().take(5000).collect();
        round_trips(
            Shape {
                channels: 1,
                encoding,
            },
            &pcm,
        );
        // Both zeros of µ-law, alone and together.
        for pattern in [&[0xFF, 0x7F][..], &[0x7F], &[0xFF, 0xFF, 0x7F, 0xFE]] {
            let pcm: Vec<u8> = pattern.iter().copied().cycle().take(3000).collect();
            round_trips(
                Shape {
                    channels: 1,
                    encoding,
                },
                &pcm,
            );
        }
    }
}

#[test]
fn a_channel_given_twice_is_stored_once() {
    for samples in [voice(32_000, 9), through_mu_law(&voice(32_000, 9))] {
        let once = round_trip(MONO, &bytes_of(&samples), Effort::Ingest);
        let turned: Vec<i16> = samples.iter().map(|x| x.saturating_neg()).collect();
        for second in [&samples, &turned] {
            let twice = round_trip(
                STEREO,
                &bytes_of(&interleaved(&[&samples, second])),
                Effort::Ingest,
            );
            assert!(twice < once + once / 20, "{once} bytes once, {twice} twice");
        }
    }
}

#[test]
fn a_leak_between_channels_saves_something() {
    let (caller, staff) = (voice(32_000, 10), voice(32_000, 11));
    let quiet = |x: &i16| x / 16;
    let leak: Vec<i16> = (0..32_000)
        .map(|n| quiet(&caller[n]) + if n > 0 { staff[n - 1] / 2 } else { 0 })
        .collect();
    let apart = round_trip(MONO, &bytes_of(&staff), Effort::Ingest)
        + round_trip(MONO, &bytes_of(&leak), Effort::Ingest);
    let together = round_trip(
        STEREO,
        &bytes_of(&interleaved(&[&staff, &leak])),
        Effort::Ingest,
    );
    assert!(
        together * 20 < apart * 19,
        "{apart} bytes apart, {together} together"
    );
}

#[test]
fn any_number_of_channels_comes_back() {
    let voices: Vec<Vec<i16>> = (0..5).map(|n| voice(1000, 12 + n)).collect();
    for channels in 1..=5 {
        let parts: Vec<&[i16]> = voices[..channels].iter().map(Vec::as_slice).collect();
        round_trips(
            Shape {
                channels: channels as u16,
                encoding: Encoding::S16,
            },
            &bytes_of(&interleaved(&parts)),
        );
    }
}

/// What the frozen frames hold: two triangles, and the same through µ-law.
fn frozen_samples() -> [Vec<i16>; 2] {
    let triangle = |n: i16, period: i16| (n % period - period / 2).abs();
    let linear: Vec<i16> = (0..200)
        .map(|n| triangle(n, 26) * 300 - triangle(n, 14) * 50 - 1500)
        .collect();
    let companded = through_mu_law(&linear);
    [linear, companded]
}

#[test]
fn frames_of_version_one_are_read() {
    let [linear, companded] = frozen_samples().map(|x| bytes_of(&x));
    for (name, frame, pcm) in [
        ("plain", FROZEN_PLAIN, &linear),
        ("streams", FROZEN_STREAMS, &linear),
        ("ranks", FROZEN_RANKS, &companded),
        ("adaptive", FROZEN_ADAPTIVE, &linear),
        ("adaptive ranks", FROZEN_ADAPTIVE_RANKS, &companded),
    ] {
        let mut back = Vec::new();
        let result = Decoder::new().decode(MONO, 200, &from_hex(frame), &mut back);
        assert_eq!(result, Ok(()), "{name}");
        assert!(back == *pcm, "{name}");
    }
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits.chunks(2).map(|d| (d[0] << 4 | d[1]) as u8).collect()
}

const FROZEN_PLAIN: &str = "
    000000650a00c696503180b76d22bb1bcba834335a8ba03fcc6dadb9504a51226385b9f6b21e58827d448ba4
    e708a3d8669b369a07b7e4caee9d02430042004200dbfefcc005f7b25877602958ca0cfdb0317e7916588913
    19990cb456049af8c56c48475480965f36a71d0cb95717b1d958ec4a32a4151bf304a0152b39cde81f5a2b0c
    97c25286b4b3dfdd2dcce26446bfa01980814af09ad99013ac3ccd5d2fe407865c89a5740d97c20999a1159b
    f3ed69308b0632f20f4d54079a79cd84908e583d8b07965849c784780dcd54079af84746a201cc9ee6dbe6b4
    223370c2a5ba064bb9120cc90fbde0fe345891d36cbca612000cd0cc2f6614273073ebbe5f3b19c2d2a56c40
    b4fe332339c50a5a4f6063b422435762b1cda68bb817866867737e815654908ed9f8054d54045a27838cc409
    ac3c8b5f36463f6406962ca53bb0d8bd70417eecf7ed0501006cdfc83505
";
const FROZEN_STREAMS: &str = "
    0100000101000403040008c801000932550048080000c20800000118000022000020000000023f02dd010082
    cc0d10d0151a03000050ca10c003009c0f0c52675f7ff0eb2fbf3ee6d7777e1dcfaffbfc8a9f1ff8f3437f7e
    f5e7b1febcebcf78fdd9d71f4200090002800020000800028000200008000280002000080002800020000800
    0280002000080002800020000800028000200008
";
const FROZEN_RANKS: &str = "
    01000001000503000f0f772a1800019c010048080000421800002c0300780000240000090100091101080311
    000a0f9c010072c70b93653220210100000110100da977bf8c7a69266b33cf4d6b6aa678c039b5f4f0471574
    4e5405d7c3944cf03488502f0050010001000000020101000003020500050000030500000001000000000000
    0200010000010101010201010100c1000082011a00000005010101030400021e00190001010014001a
";
const FROZEN_ADAPTIVE: &str = "
    018000010101010101190016360048080000e408000001080000360800002b0800000108000003c900000103
    010301010202080e11080006040801070004000400070eb001000000ddee6bb627d3eedacb846066a89e14cc
    d314d724f5cf2efbedc5d8bb60a5193f9c6d389832157468aaa74848cfb0db9a81a63433a09802216047c273
    769a603b129c02e844ca256434f58cfca60bc41ff9df109514c55598c034aeea2f365d8cde4e4e03ec1575d6
    3d2338314f365a420869373c4e1d99807734cfaca8e38054855272fa3418605fe577a6fdf1fdc1ec5b0b279b
    418dcb8b6a36689587d2602d4b30afd5eda6d8954a4c836fe0
";
const FROZEN_ADAPTIVE_RANKS: &str = "
    01800001001c0600000900004256000000f00db42f963acec76bd6e5902695f255d58c5afb52ce33bdd005e2
    872288d6408677af4af972d7595d6aebbb036bb239717854b5d00e42780d3d4e2be86d1474a8f7a0f25280ac
    50c10daefcbaca3f93f15694
";

/// The worked example of the manual.
#[test]
fn two_hundred_silent_samples_take_thirteen_bytes() {
    let coded = Encoder::new().encode(MONO, &[0; 400], Effort::Ingest);
    assert_eq!(coded, from_hex("01 0000 01 001c 06 0000 090000 06"));
}

#[test]
fn a_method_of_the_future_is_refused_by_number() {
    let mut out = Vec::new();
    let result = Decoder::new().decode(MONO, 4, &[9, 0, 0], &mut out);
    assert_eq!(result, Err(CodecError::UnknownMethod(9)));
    assert!(result.unwrap_err().to_string().contains("method 9"));
}

#[test]
fn an_encoder_forgets_the_frame_before() {
    let (first, second) = (
        bytes_of(&voice(5000, 20)),
        bytes_of(&through_mu_law(&voice(3000, 21))),
    );
    let mut used = Encoder::new();
    used.encode(STEREO, &first, Effort::Ingest);
    assert_eq!(
        used.encode(MONO, &second, Effort::Ingest),
        Encoder::new().encode(MONO, &second, Effort::Ingest)
    );
}
