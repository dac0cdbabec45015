//! The noise floor of a line: the least level heard lately.
//!
//! What lives here: the running minimum over two windows, and the threshold made of it. What does
//! not: what happens above the threshold (`detect`, its only caller).
//!
//! A minimum falls with the first quiet block and rises only when a whole window had none. That is
//! what tells noise from talk: talk has pauses, noise has none. The short window follows small
//! rises, but can lift the threshold only by [`SHORT_LIFT`], so that a caller who is hardly louder
//! than an office is not swallowed. The long window is believed whatever it says: nothing but noise
//! stays within the margin of its minimum for ten minutes (a fax page has pauses long before).

/// Length of the short window, seconds.
pub const SHORT_SECONDS: u64 = 10;
/// Length of the long window, seconds.
pub const LONG_SECONDS: u64 = 600;
/// How far over the configured threshold the short window can lift it, dB.
pub const SHORT_LIFT: f64 = 5.0;
/// Parts of a window: how coarsely it slides.
const PARTS: usize = 10;

/// The noise floor of one line.
#[derive(Debug, Clone)]
pub struct Floor {
    short: Window,
    long: Window,
    margin: f64,
    least: f64,
}

impl Floor {
    /// A floor that nothing is known of, at `rate` Hz. The threshold is never below `least` dBFS.
    pub fn new(rate: u32, margin: f64, least: f64) -> Self {
        let part = |seconds: u64| seconds * u64::from(rate) / PARTS as u64;
        Self {
            short: Window::new(part(SHORT_SECONDS)),
            long: Window::new(part(LONG_SECONDS)),
            margin,
            least,
        }
    }

    /// Takes note of `frames` frames with a level of `dbfs`.
    pub fn hear(&mut self, frames: u64, dbfs: f64) {
        self.short.hear(frames, dbfs);
        self.long.hear(frames, dbfs);
    }

    /// The level above which there is talk, dBFS.
    pub fn threshold(&self) -> f64 {
        let short = (self.short.least() + self.margin).min(self.least + SHORT_LIFT);
        let long = self.long.least() + self.margin;
        self.least.max(short).max(long)
    }
}

/// A sliding minimum; negative infinity until one whole window was heard.
#[derive(Debug, Clone)]
struct Window {
    part_frames: u64,
    heard: u64,
    current: f64,
    parts: [f64; PARTS],
    next: usize,
    full: bool,
    least: f64,
}

impl Window {
    fn new(part_frames: u64) -> Self {
        Self {
            part_frames: part_frames.max(1),
            heard: 0,
            current: f64::INFINITY,
            parts: [f64::INFINITY; PARTS],
            next: 0,
            full: false,
            least: f64::INFINITY,
        }
    }

    fn hear(&mut self, frames: u64, dbfs: f64) {
        self.current = self.current.min(dbfs);
        self.least = self.least.min(dbfs);
        self.heard += frames;
        if self.heard >= self.part_frames {
            self.turn();
        }
    }

    /// Closes the current part and lets the oldest one go.
    fn turn(&mut self) {
        self.parts[self.next] = self.current;
        self.next = (self.next + 1) % PARTS;
        self.full |= self.next == 0;
        self.heard = 0;
        self.current = f64::INFINITY;
        self.least = self.parts.iter().copied().fold(f64::INFINITY, f64::min);
    }

    fn least(&self) -> f64 {
        if self.full {
            self.least
        } else {
            f64::NEG_INFINITY
        }
    }
}

#[cfg(test)]
// Thresholds are exact: sums of whole numbers.
#[allow(clippy::float_cmp)]
mod tests {
    use super::*;

    fn heard(floor: &mut Floor, seconds: u64, dbfs: f64) -> f64 {
        for _ in 0..seconds * 50 {
            floor.hear(160, dbfs);
        }
        floor.threshold()
    }

    fn floor() -> Floor {
        Floor::new(8000, 10.0, -50.0)
    }

    #[test]
    fn a_quiet_line_has_the_configured_threshold() {
        assert_eq!(floor().threshold(), -50.0);
        assert_eq!(heard(&mut floor(), 1000, -70.0), -50.0);
        assert_eq!(heard(&mut floor(), 1000, f64::NEG_INFINITY), -50.0);
    }

    #[test]
    fn a_little_noise_is_followed_within_the_short_window() {
        assert_eq!(heard(&mut floor(), 9, -58.0), -50.0);
        assert_eq!(heard(&mut floor(), 11, -58.0), -48.0);
    }

    #[test]
    fn loud_noise_is_believed_only_after_the_long_window() {
        assert_eq!(heard(&mut floor(), 590, -30.0), -45.0);
        assert_eq!(heard(&mut floor(), 610, -30.0), -20.0);
    }

    #[test]
    fn the_first_quiet_block_brings_the_threshold_down() {
        let mut floor = floor();
        heard(&mut floor, 700, -30.0);
        floor.hear(160, -65.0);
        assert_eq!(floor.threshold(), -50.0);
    }

    #[test]
    fn a_pause_in_each_window_keeps_talk_talk() {
        let mut floor = floor();
        for _ in 0..200 {
            heard(&mut floor, 8, -20.0);
            assert_eq!(heard(&mut floor, 1, -65.0), -50.0);
        }
    }
}
