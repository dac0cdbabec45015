//! What a card offers, what is wanted of it, and the choice between: pure.
//!
//! What lives here: [`Offer`], [`Wish`] and the choices, and the recognition of names that are not
//! stable. What does not: asking a card (`alsa`, the caller).

use super::error::Refusal;
use std::fmt;
use std::time::Duration;
use tsuwaroku_config::{Capture, Card, Config, Format};

/// What is wanted of a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The PCM's name.
    pub pcm: String,
    /// Exactly so many channels.
    pub channels: Option<u16>,
    /// The highest channel of a line.
    pub highest: u16,
    /// Exactly so many frames a second, Hz.
    pub rate: u32,
    /// Exactly this format.
    pub format: Option<Format>,
    /// Time between two wake-ups.
    pub period: Duration,
    /// Audio that the card holds.
    pub buffer: Duration,
}

impl Wish {
    /// What `config` wants of the PCM called `pcm`.
    pub fn new(config: &Config, pcm: &str) -> Self {
        let Card {
            channels,
            rate,
            format,
            ..
        } = config.card(pcm);
        let Capture { period, buffer, .. } = config.capture;
        let highest = config
            .lines_of(pcm)
            .flat_map(|line| line.channels.list())
            .max();
        Self {
            pcm: pcm.to_owned(),
            channels,
            highest: highest.unwrap_or(1),
            rate: rate.unwrap_or(config.capture.rate),
            format,
            period,
            buffer,
        }
    }
}

/// What a card offers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offer {
    /// Numbers of channels, rising.
    pub channels: Vec<u32>,
    /// Least and greatest rate, Hz.
    pub rates: (u32, u32),
    /// Of the usual rates, those it has, Hz.
    pub usual_rates: Vec<u32>,
    /// Of the formats that can be recorded, those it has.
    pub formats: Vec<Format>,
    /// Samples of a frame together, by read calls.
    pub interleaved: bool,
    /// Each channel for itself, by read calls.
    pub planar: bool,
}

impl Offer {
    /// The number of channels: as configured, or the fewest that reach every line.
    pub fn channels(&self, wish: &Wish) -> Result<u32, Refusal> {
        let needed = u32::from(wish.highest);
        match wish.channels {
            Some(channels) if self.channels.contains(&channels.into()) => {
                let enough = u32::from(channels) >= needed;
                let few = Refusal::TooFewChannels {
                    needed: wish.highest,
                };
                if enough {
                    Ok(channels.into())
                } else {
                    Err(few)
                }
            }
            Some(channels) => Err(Refusal::Channels { channels }),
            None => {
                let fewest = self
                    .channels
                    .iter()
                    .copied()
                    .find(|offered| *offered >= needed);
                fewest.ok_or(Refusal::TooFewChannels {
                    needed: wish.highest,
                })
            }
        }
    }

    /// The format: as configured, or the first one of [`Format::ALL`].
    pub fn format(&self, wish: &Wish) -> Result<Format, Refusal> {
        match wish.format {
            Some(format) if self.formats.contains(&format) => Ok(format),
            Some(format) => Err(Refusal::Format {
                format: format!("{format:?}"),
            }),
            None => self.formats.first().copied().ok_or(Refusal::NoFormat),
        }
    }

    /// Whether to read planes: only where interleaved frames are not offered.
    pub fn access(&self) -> Result<bool, Refusal> {
        match (self.interleaved, self.planar) {
            (true, _) => Ok(false),
            (false, true) => Ok(true),
            (false, false) => Err(Refusal::Access),
        }
    }
}

/// The rates that cards of the field have, Hz.
pub const USUAL_RATES: [u32; 11] = [
    8000, 9600, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 88_200, 96_000, 192_000,
];

impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, most) = self.rates;
        let formats: Vec<String> = self.formats.iter().map(|it| format!("{it:?}")).collect();
        let formats = if formats.is_empty() {
            "none".to_owned()
        } else {
            formats.join(" ")
        };
        write!(f, "rates {}", span(least, most))?;
        if least != most && !self.usual_rates.is_empty() {
            let usual: Vec<String> = self.usual_rates.iter().map(ToString::to_string).collect();
            write!(f, " (of the usual ones {})", usual.join(" "))?;
        }
        write!(
            f,
            " Hz; channels {}; formats {formats}",
            ranges(&self.channels)
        )?;
        if !self.interleaved {
            write!(f, "; not interleaved")?;
        }
        Ok(())
    }
}

fn span(least: u32, most: u32) -> String {
    if least == most {
        least.to_string()
    } else {
        format!("{least}-{most}")
    }
}

/// `1-4 8 12` for rising numbers.
fn ranges(numbers: &[u32]) -> String {
    let mut spans: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match spans.last_mut() {
            Some((_, most)) if *most + 1 == *number => *most = *number,
            _ => spans.push((*number, *number)),
        }
    }
    let spans: Vec<String> = spans
        .into_iter()
        .map(|(least, most)| span(least, most))
        .collect();
    if spans.is_empty() {
        "none".to_owned()
    } else {
        spans.join(" ")
    }
}

/// Whether `pcm` names a card by its number, which changes with what is plugged in.
pub fn is_named_by_number(pcm: &str) -> bool {
    let Some((kind, rest)) = pcm.split_once(':') else {
        return false;
    };
    let first = rest.split(',').next().unwrap_or_default();
    let card = first.strip_prefix("CARD=").unwrap_or(first);
    matches!(kind, "hw" | "plughw") && !card.is_empty() && card.bytes().all(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish() -> Wish {
        Wish {
            pcm: "hw:CARD=Lines".to_owned(),
            channels: None,
            highest: 4,
            rate: 8000,
            format: None,
            period: Duration::from_millis(125),
            buffer: Duration::from_secs(4),
        }
    }

    /// An RME HDSP, as it is.
    fn hdsp() -> Offer {
        Offer {
            channels: vec![14, 18, 26],
            rates: (32_000, 96_000),
            usual_rates: vec![32_000, 44_100, 48_000, 88_200, 96_000],
            formats: vec![Format::S32_LE],
            interleaved: false,
            planar: true,
        }
    }

    #[test]
    fn the_fewest_channels_that_reach_every_line_are_opened() {
        assert_eq!(hdsp().channels(&wish()), Ok(14));
        assert_eq!(
            hdsp().channels(&Wish {
                highest: 15,
                ..wish()
            }),
            Ok(18)
        );
        let none = hdsp().channels(&Wish {
            highest: 27,
            ..wish()
        });
        assert_eq!(none, Err(Refusal::TooFewChannels { needed: 27 }));
    }

    #[test]
    fn a_configured_number_of_channels_is_kept_or_refused() {
        let with = |channels| {
            hdsp().channels(&Wish {
                channels: Some(channels),
                ..wish()
            })
        };
        assert_eq!(with(26), Ok(26));
        assert_eq!(with(8), Err(Refusal::Channels { channels: 8 }));
        let few = Wish {
            channels: Some(14),
            highest: 20,
            ..wish()
        };
        assert_eq!(
            hdsp().channels(&few),
            Err(Refusal::TooFewChannels { needed: 20 })
        );
    }

    #[test]
    fn the_first_format_offered_is_taken_and_a_configured_one_kept() {
        let usb = Offer {
            formats: vec![Format::S16_LE, Format::S24_3LE],
            ..hdsp()
        };
        assert_eq!(usb.format(&wish()), Ok(Format::S16_LE));
        let wide = Wish {
            format: Some(Format::S24_3LE),
            ..wish()
        };
        assert_eq!(usb.format(&wide), Ok(Format::S24_3LE));
        let refused = hdsp().format(&wide);
        assert_eq!(
            refused,
            Err(Refusal::Format {
                format: "S24_3LE".to_owned()
            })
        );
    }

    #[test]
    fn planes_are_read_only_where_nothing_else_is_offered() {
        assert_eq!(hdsp().access(), Ok(true));
        assert_eq!(
            Offer {
                interleaved: true,
                ..hdsp()
            }
            .access(),
            Ok(false)
        );
        assert_eq!(Offer::default().access(), Err(Refusal::Access));
    }

    #[test]
    fn an_offer_reads_like_a_data_sheet() {
        assert_eq!(
            hdsp().to_string(),
            "rates 32000-96000 (of the usual ones 32000 44100 48000 88200 96000) Hz; \
             channels 14 18 26; formats S32_LE; not interleaved"
        );
        assert_eq!(ranges(&[1, 2, 3, 8]), "1-3 8");
    }

    #[test]
    fn only_a_number_is_unstable() {
        for pcm in ["hw:0", "hw:0,0", "plughw:CARD=1,DEV=0"] {
            assert!(is_named_by_number(pcm), "{pcm}");
        }
        for pcm in ["hw:CARD=Lines", "hw:Lines,0", "lines", "default", "hw:"] {
            assert!(!is_named_by_number(pcm), "{pcm}");
        }
    }
}
