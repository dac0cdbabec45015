//! Why a card cannot be opened, in words for the operator: what failed, on which card, what the card
//! offers, and what to change.
//!
//! What lives here: the error and its exit status. What does not: finding it out (`offer`, `alsa`).

use super::offer::Offer;
use tsuwaroku_config::EXIT_CONFIG;

/// Exit status for a card that is missing or busy: `EX_UNAVAILABLE` of sysexits.h.
pub const EXIT_UNAVAILABLE: u8 = 69;

/// A card cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// There is none of that name.
    #[error(
        "card {pcm}: there is no such card or PCM ({cause}). Cards present: {present}. Plug it in, \
         or correct `card` of the [[line]]; tsuwaroku-capture --list shows what can be opened"
    )]
    Missing {
        /// The PCM's name.
        pcm: String,
        /// What the system said.
        cause: String,
        /// The cards that are present.
        present: String,
    },
    /// Another program has it.
    #[error(
        "card {pcm}: busy ({cause}). Stop the program that uses it: fuser -v /dev/snd/* names it"
    )]
    Busy {
        /// The PCM's name.
        pcm: String,
        /// What the system said.
        cause: String,
    },
    /// It is there, but does not work.
    #[error(
        "card {pcm}: {step} failed ({cause}). See dmesg; the daemon's user must be in group audio"
    )]
    Failed {
        /// The PCM's name.
        pcm: String,
        /// What was being done.
        step: &'static str,
        /// What the system said.
        cause: String,
    },
    /// It cannot do what the configuration asks for.
    #[error("card {pcm}: {refusal}. It offers {offer}")]
    Unsupported {
        /// The PCM's name.
        pcm: String,
        /// What it cannot do, and the setting to change.
        refusal: Refusal,
        /// What it can do.
        offer: Box<Offer>,
    },
}

impl OpenError {
    /// The exit status it leads to at start.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Missing { .. } | Self::Busy { .. } | Self::Failed { .. } => EXIT_UNAVAILABLE,
            Self::Unsupported { .. } => EXIT_CONFIG,
        }
    }
}

/// What a card cannot do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its rate is another.
    #[error("it cannot run at {rate} Hz; set `rate` in a [[card]] section for it, or capture.rate")]
    Rate {
        /// Frames a second, as configured.
        rate: u32,
    },
    /// It has fewer channels than a line needs.
    #[error(
        "a line is on channel {needed}, which it does not have; correct `channel` of the [[line]]"
    )]
    TooFewChannels {
        /// The highest channel of a line.
        needed: u16,
    },
    /// It cannot be opened with the stated number.
    #[error("it cannot be opened with {channels} channels; correct `channels` of its [[card]]")]
    Channels {
        /// As configured.
        channels: u16,
    },
    /// It does not have the stated format.
    #[error("it does not give {format}; correct or remove `format` of its [[card]]")]
    Format {
        /// As configured.
        format: String,
    },
    /// It has no format that can be recorded.
    #[error(
        "it gives none of the formats that can be recorded (S16_LE, S24_3LE, S24_LE, S32_LE, \
         MU_LAW, A_LAW); name it as plughw: to have its samples converted"
    )]
    NoFormat,
    /// Its samples can only be mapped.
    #[error("it cannot be read, only mapped; name it as plughw:")]
    Access,
}
