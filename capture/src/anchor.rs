//! The card's clock against UTC.
//!
//! What lives here: a line fitted through pairs of (frame, UTC), by which a frame of the card gets
//! its time. What does not: reading any clock; the pairs come from `source`. `worker` owns one for
//! each card. Frames are counted from the card's start, gaps included; times are nanoseconds
//! since 1970, UTC.

use std::collections::VecDeque;

/// A frame and the time at which it passed the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// Frame of the card.
    pub frame: u64,
    /// UTC, nanoseconds since 1970.
    pub utc: i64,
}

/// Points that the fit slides over: about two minutes at one a second.
const WINDOW: usize = 128;
/// Points below which the card is taken to run at its nominal rate: the jitter of fewer would tilt
/// the line more than any crystal does.
const FEW: usize = 16;
/// Greatest tilt believed: ten times the tolerance of a poor crystal (100 ppm).
const STEEPEST: f64 = 1000e-6;
/// A point this far off the line, ns, is a late reading or a step of the wall clock.
const STRAY: i64 = 100_000_000;
/// Strays in a row that make a step of the clock.
const STEP: usize = 3;

/// The fit for one card.
#[derive(Debug, Clone)]
pub struct Anchor {
    ns_per_frame: f64,
    points: VecDeque<Point>,
    strays: Vec<Point>,
    fit: Option<Fit>,
}

/// `utc = origin.utc + offset + slope × (frame − origin.frame)`
#[derive(Debug, Clone, Copy)]
struct Fit {
    origin: Point,
    offset: f64,
    slope: f64,
}

impl Anchor {
    /// A fit without points for a card of nominally `rate` Hz.
    pub fn new(rate: u32) -> Self {
        Self {
            ns_per_frame: 1e9 / f64::from(rate),
            points: VecDeque::with_capacity(WINDOW),
            strays: Vec::with_capacity(STEP),
            fit: None,
        }
    }

    /// Takes a point. A single stray is dropped; several in a row are a step of the wall clock,
    /// and the fit begins anew with them.
    pub fn point(&mut self, point: Point) {
        if self.is_stray(point) {
            self.strays.push(point);
            if self.strays.len() < STEP {
                return;
            }
            self.points = self.strays.drain(..).collect();
        } else {
            self.strays.clear();
            if self.points.len() == WINDOW {
                self.points.pop_front();
            }
            self.points.push_back(point);
        }
        self.fit = Some(self.fitted());
    }

    /// UTC of `frame`, or nothing before the first point.
    pub fn utc(&self, frame: u64) -> Option<i64> {
        self.fit.map(|fit| fit.utc(frame))
    }

    fn is_stray(&self, point: Point) -> bool {
        self.utc(point.frame)
            .is_some_and(|utc| (utc - point.utc).abs() > STRAY)
    }

    /// Least squares on what the points deviate from the nominal rate: small numbers, so that
    /// floats keep the nanosecond.
    fn fitted(&self) -> Fit {
        let origin = self.points[0];
        let deviations: Vec<(f64, f64)> = self
            .points
            .iter()
            .map(|point| {
                let x = difference(point.frame, origin.frame);
                (x, (point.utc - origin.utc) as f64 - x * self.ns_per_frame)
            })
            .collect();
        let count = deviations.len() as f64;
        let mean_x = deviations.iter().map(|(x, _)| x).sum::<f64>() / count;
        let mean_y = deviations.iter().map(|(_, y)| y).sum::<f64>() / count;
        let tilt = self.tilt(&deviations, mean_x, mean_y);
        Fit {
            origin,
            offset: mean_y - tilt * mean_x,
            slope: self.ns_per_frame + tilt,
        }
    }

    /// What the card's rate deviates from the nominal one, nanoseconds a frame.
    fn tilt(&self, deviations: &[(f64, f64)], mean_x: f64, mean_y: f64) -> f64 {
        if deviations.len() < FEW {
            return 0.0;
        }
        let covariance: f64 = deviations
            .iter()
            .map(|(x, y)| (x - mean_x) * (y - mean_y))
            .sum();
        let variance: f64 = deviations.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
        let steepest = STEEPEST * self.ns_per_frame;
        if variance > 0.0 {
            (covariance / variance).clamp(-steepest, steepest)
        } else {
            0.0
        }
    }
}

impl Fit {
    fn utc(&self, frame: u64) -> i64 {
        let x = difference(frame, self.origin.frame);
        self.origin.utc + (self.offset + self.slope * x).round() as i64
    }
}

/// `a − b` as a float.
fn difference(a: u64, b: u64) -> f64 {
    a.wrapping_sub(b) as i64 as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOON: i64 = 1_795_000_000_000_000_000;
    const SECOND: i64 = 1_000_000_000;

    /// Feeds one point a second of a card that runs `ppm` fast; `jitter` ns late at random.
    fn run(anchor: &mut Anchor, seconds: std::ops::Range<i64>, ppm: f64, jitter: i64, step: i64) {
        let mut state = 12_345_u64;
        for second in seconds {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let late = if jitter > 0 {
                (state >> 33) as i64 % jitter
            } else {
                0
            };
            let frame = second as f64 * 8000.0 * (1.0 + ppm * 1e-6);
            anchor.point(Point {
                frame: frame as u64,
                utc: NOON + second * SECOND + late + step,
            });
        }
    }

    fn error(anchor: &Anchor, second: i64, ppm: f64) -> i64 {
        let frame = second as f64 * 8000.0 * (1.0 + ppm * 1e-6);
        (anchor.utc(frame as u64).unwrap() - (NOON + second * SECOND)).abs()
    }

    #[test]
    fn nothing_is_known_before_the_first_point() {
        assert_eq!(Anchor::new(8000).utc(0), None);
    }

    #[test]
    fn one_point_and_the_nominal_rate_are_enough_to_begin() {
        let mut anchor = Anchor::new(8000);
        anchor.point(Point {
            frame: 800,
            utc: NOON,
        });
        assert_eq!(anchor.utc(8800), Some(NOON + SECOND));
        assert_eq!(anchor.utc(0), Some(NOON - SECOND / 10));
    }

    #[test]
    fn a_drifting_card_does_not_drift_the_record() {
        for ppm in [-500.0, 500.0] {
            let mut anchor = Anchor::new(8000);
            // Three hours: at 500 ppm the nominal rate would be 5.4 s off.
            run(&mut anchor, 0..10_800, ppm, 0, 0);
            assert!(
                error(&anchor, 10_799, ppm) < 200_000,
                "{ppm}: {}",
                error(&anchor, 10_799, ppm)
            );
            assert!(error(&anchor, 10_797, ppm) < 200_000);
        }
    }

    #[test]
    fn jitter_is_averaged_out() {
        let mut anchor = Anchor::new(8000);
        run(&mut anchor, 0..600, 100.0, 10_000_000, 0);
        // The jitter is one-sided: half of it stays as an offset.
        assert!((error(&anchor, 599, 100.0) - 5_000_000).abs() < 3_000_000);
    }

    #[test]
    fn a_single_late_reading_changes_nothing() {
        let mut anchor = Anchor::new(8000);
        run(&mut anchor, 0..100, 0.0, 0, 0);
        anchor.point(Point {
            frame: 800_000,
            utc: NOON + 100 * SECOND + SECOND / 2,
        });
        run(&mut anchor, 101..110, 0.0, 0, 0);
        assert_eq!(error(&anchor, 110, 0.0), 0);
    }

    #[test]
    fn a_step_of_the_wall_clock_is_followed_at_once() {
        for step in [-3600 * SECOND, SECOND, 86_400 * SECOND] {
            let mut anchor = Anchor::new(8000);
            run(&mut anchor, 0..100, 0.0, 0, 0);
            run(&mut anchor, 100..103, 0.0, 0, step);
            assert_eq!(anchor.utc(103 * 8000), Some(NOON + 103 * SECOND + step));
        }
    }

    proptest! {
        /// Whatever points come, time never runs at a rate that no card has.
        #[test]
        fn the_rate_stays_near_the_nominal_one(
            points in prop::collection::vec((0_u64..1_000_000, 0_i64..200_000_000), 1..200),
        ) {
            let mut anchor = Anchor::new(8000);
            for (index, (frame, late)) in points.into_iter().enumerate() {
                let frame = index as u64 * 8000 + frame % 4000;
                anchor.point(Point { frame, utc: NOON + frame as i64 * 125_000 + late });
            }
            let hour = anchor.utc(3600 * 8000).unwrap() - anchor.utc(0).unwrap();
            prop_assert!((hour - 3600 * SECOND).abs() <= 3600 * SECOND / 1000 + 2);
        }
    }
}
