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
/// How far over the configured threshold the short window can lift it, mB.
pub const SHORT_LIFT: i32 = 500;
/// Parts of a window: how coarsely it slides.
const PARTS: usize = 10;

/// The noise floor of one line.
#[derive(Debug, Clone)]
pub struct Floor {
    short: Window,
    long: Window,
    margin: i32,
    least: i32,
}

impl Floor {
    /// A floor that nothing is known of, at `rate` Hz. The threshold is `margin` over it, and never
    /// below `least`; both in mB.
    pub fn new(rate: u32, margin: i32, least: i32) -> Self {
        let part = |seconds: u64| seconds * u64::from(rate) / PARTS as u64;
        Self {
            short: Window::new(part(SHORT_SECONDS)),
            long: Window::new(part(LONG_SECONDS)),
            margin,
            least,
        }
    }

    /// Takes note of `frames` frames with a level of `level` mB.
    pub fn hear(&mut self, frames: u64, level: i32) {
        self.short.hear(frames, level);
        self.long.hear(frames, level);
    }

    /// The level above which there is talk, mB.
    pub fn threshold(&self) -> i32 {
        let short = self
            .short
            .least()
            .saturating_add(self.margin)
            .min(self.least + SHORT_LIFT);
        let long = self.long.least().saturating_add(self.margin);
        self.least.max(short).max(long)
    }
}

/// A sliding minimum; the least number until one whole window was heard.
#[derive(Debug, Clone)]
struct Window {
    part_frames: u64,
    heard: u64,
    current: i32,
    parts: [i32; PARTS],
    next: usize,
    full: bool,
    least: i32,
}

impl Window {
    fn new(part_frames: u64) -> Self {
        Self {
            part_frames: part_frames.max(1),
            heard: 0,
            current: i32::MAX,
            parts: [i32::MAX; PARTS],
            next: 0,
            full: false,
            least: i32::MAX,
        }
    }

    fn hear(&mut self, frames: u64, level: i32) {
        self.current = self.current.min(level);
        self.least = self.least.min(level);
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
        self.current = i32::MAX;
        self.least = self.parts.iter().copied().fold(i32::MAX, i32::min);
    }

    fn least(&self) -> i32 {
        if self.full { self.least } else { i32::MIN }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(floor: &mut Floor, seconds: u64, level: i32) -> i32 {
        for _ in 0..seconds * 50 {
            floor.hear(160, level);
        }
        floor.threshold()
    }

    fn floor() -> Floor {
        Floor::new(8000, 1000, -5000)
    }

    #[test]
    fn a_quiet_line_has_the_configured_threshold() {
        assert_eq!(floor().threshold(), -5000);
        assert_eq!(heard(&mut floor(), 1000, -7000), -5000);
        assert_eq!(heard(&mut floor(), 1000, crate::level::SILENCE), -5000);
    }

    #[test]
    fn a_little_noise_is_followed_within_the_short_window() {
        assert_eq!(heard(&mut floor(), 9, -5800), -5000);
        assert_eq!(heard(&mut floor(), 11, -5800), -4800);
    }

    #[test]
    fn loud_noise_is_believed_only_after_the_long_window() {
        assert_eq!(heard(&mut floor(), 590, -3000), -4500);
        assert_eq!(heard(&mut floor(), 610, -3000), -2000);
    }

    #[test]
    fn the_first_quiet_block_brings_the_threshold_down() {
        let mut floor = floor();
        heard(&mut floor, 700, -3000);
        floor.hear(160, -6500);
        assert_eq!(floor.threshold(), -5000);
    }

    #[test]
    fn a_pause_in_each_window_keeps_talk_talk() {
        let mut floor = floor();
        for _ in 0..200 {
            heard(&mut floor, 8, -2000);
            assert_eq!(heard(&mut floor, 1, -6500), -5000);
        }
    }
}
