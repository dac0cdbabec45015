//! Every format, and speech at the default settings.

use super::*;

#[test]
fn every_format_goes_through_bit_for_bit() {
    for format in Format::ALL {
        let root = tempfile::tempdir().unwrap();
        let spool = Arc::new(Writer::open(root.path()).unwrap());
        let stored = crate::sample::stored_bytes(format);
        let mut random = Noise(31);
        // Random bytes are loud in every format; padding bytes are what the card left there.
        let audio: Vec<u8> = (0..4 * SECOND as usize * stored)
            .map(|_| (random.next() * 127.0) as i8 as u8)
            .collect();
        play(
            spool,
            Script::new(format, 1, RATE, vec![Act::Audio(audio.clone())]),
            &mono(),
            &capture(),
        );
        let recordings = recordings(root.path());
        assert_eq!(recordings.len(), 1, "{format:?}");
        let kept = recordings[0].start.encoding.bytes();
        let expected: Vec<_> = audio
            .chunks(stored)
            .map(|sample| Some(sample[..kept].to_vec()))
            .collect();
        assert!(recordings[0].frames == expected, "{format:?}");
    }
}

/// Speech as the detector hears it: syllables of about 200 ms with short dips between them.
fn speech(seed: u64, frames: u64) -> Vec<f64> {
    let mut random = Noise(seed);
    (0..frames)
        .map(|n| {
            let syllable = (n as f64 / SECOND as f64 * 5.0 * std::f64::consts::PI)
                .sin()
                .abs();
            random.next() * 0.2 * syllable
        })
        .collect()
}

#[test]
fn the_default_settings_tell_two_calls_of_pausing_speech_from_noise_and_hum() {
    for mains in [50.0, 60.0] {
        let total = 90 * SECOND;
        let mut sound: Vec<f64> = noise(40, total, -60.0)
            .iter()
            .map(|it| f64::from(*it))
            .collect();
        let hum = 10_f64.powf(-55.0 / 20.0) * 2_f64.sqrt() * 32_768.0;
        for (n, sample) in sound.iter_mut().enumerate() {
            *sample += hum * (n as f64 / f64::from(RATE) * mains * std::f64::consts::TAU).sin();
        }
        // Call one talks at 10–14 s and 20–25 s (a pause of 6 s); 12 s later call two.
        for (from, to) in [(10, 14), (20, 25), (37, 40), (46, 50)] {
            let speech = speech(from, (to - from) * SECOND);
            let place = sound.iter_mut().skip((from * SECOND) as usize);
            place
                .zip(speech)
                .for_each(|(sample, speech)| *sample += speech * 32_768.0);
        }
        let sound: Vec<i16> = sound.iter().map(|sample| sample.round() as i16).collect();
        let recordings = record_mono(&sound, &capture());
        let found: Vec<(u64, u64)> = recordings
            .iter()
            .map(|it| (it.first(), it.first() + it.frames.len() as u64))
            .collect();
        assert_eq!(found.len(), 2, "{mains} Hz: {found:?}");
        // The edges of the talk are soft: within a block or two.
        for ((from, to), (begin, end)) in found.into_iter().zip([(8, 33), (35, 58)]) {
            assert!(
                from <= begin * SECOND + 320 && from + 320 >= begin * SECOND,
                "{mains}: {from}"
            );
            assert!(to.abs_diff(end * SECOND) <= 1600, "{mains}: {to}");
        }
    }
}
