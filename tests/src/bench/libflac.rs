//! libFLAC in this process: the stricter peer of decoding, which pays for no program's start, no
//! output and, unlike `flac -d`, no MD5 of the whole; frames' checksums are checked. It is the
//! machine's own, as flac's is, and reached through libsndfile, whose crate asks for no unsafe code;
//! libsndfile adds a copy of the samples, a tenth of the time. Called by the benchmark of the codec.

use sndfile::{OpenOptions, ReadOptions, SndFile, SndFileIO};
use std::io;
use std::path::{Path, PathBuf};

/// Frames decoded at a time: 4 s at 8 kHz, as much as a block of an object holds.
const PIECE_FRAMES: usize = 32_000;

/// An open FLAC file of 16-bit samples.
#[derive(Debug)]
pub struct Flac {
    path: PathBuf,
    file: SndFile,
}

impl Flac {
    /// Opens the file at `path`. Not to be measured: the crate `sndfile` has libsndfile look for the
    /// loudest sample, for which it decodes everything once.
    ///
    /// # Errors
    /// There is no such file, or it is not audio; the message names it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let options = OpenOptions::ReadOnly(ReadOptions::Auto);
        match options.from_path(path) {
            Ok(file) => Ok(Self {
                path: path.into(),
                file,
            }),
            Err(error) => Err(failure(path, &format!("{error:?}"))),
        }
    }

    /// Decodes the file and hands `take` its samples piece by piece, channels interleaved. A file that
    /// was cut off ends early, without an error.
    ///
    /// # Errors
    /// It cannot be decoded; the message names it.
    pub fn decode(mut self, mut take: impl FnMut(&[i16])) -> io::Result<()> {
        let channels = self.file.get_channels();
        let mut piece = vec![0; PIECE_FRAMES * channels];
        loop {
            match self.file.read_to_slice(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(frames) => take(&piece[..frames * channels]),
                Err(()) => return Err(failure(&self.path, "it cannot be decoded")),
            }
        }
    }
}

fn failure(path: &Path, what: &str) -> io::Error {
    io::Error::other(format!("libFLAC: {}: {what}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::scramble;
    use std::process::Command;

    /// More than one piece, two channels, as flac has written them.
    #[test]
    fn the_samples_are_those_that_flac_was_given() {
        let dir = tempfile::tempdir().unwrap();
        let (wav, flac) = (dir.path().join("0.wav"), dir.path().join("0.flac"));
        let count = PIECE_FRAMES as u64 * 4 + 1234;
        let given: Vec<i16> = (0..count).map(|n| scramble(n) as i16).collect();
        let spec = hound::WavSpec {
            channels: 2,
            sample_rate: 8000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(&wav, spec).unwrap();
        for &sample in &given {
            writer.write_sample(sample).unwrap();
        }
        writer.finalize().unwrap();
        let mut command = Command::new("flac");
        assert!(command.arg("-s").arg(&wav).status().unwrap().success());
        let mut decoded = Vec::new();
        Flac::open(&flac)
            .unwrap()
            .decode(|piece| decoded.extend_from_slice(piece))
            .unwrap();
        assert!(decoded == given);
    }

    #[test]
    fn a_file_that_is_no_audio_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("text.flac");
        std::fs::write(&path, "no audio at all, only some words").unwrap();
        let error = Flac::open(&path).unwrap_err();
        assert!(error.to_string().contains("text.flac"), "{error}");
    }
}
