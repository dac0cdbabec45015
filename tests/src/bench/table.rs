//! A figure beside its peer, and whether it holds. Pure but for printing.

use std::fmt;

/// What a figure must be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
    /// Anything: it is printed to be known.
    Known,
}

impl Target {
    /// Whether `value` is what it must be.
    pub fn holds(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
            Self::Known => true,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(most) => write!(f, "≤ {most}"),
            Self::AtLeast(least) => write!(f, "≥ {least}"),
            Self::Known => f.write_str("–"),
        }
    }
}

/// One figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// What was measured.
    pub what: String,
    /// What the product does, with its unit.
    pub ours: String,
    /// What the peer does, with its unit.
    pub peer: String,
    /// The value that the target is about; not a number fails every target.
    pub value: f64,
    /// What it must be.
    pub target: Target,
}

impl Row {
    fn holds(&self) -> bool {
        self.target.holds(self.value)
    }
}

/// Prints the table of one figure; `unit` says what its value is, such as "ratio" or "ms". Answers
/// whether every row holds.
pub fn print(title: &str, unit: &str, rows: &[Row]) -> bool {
    println!("\n{title}\n");
    println!("| what | ours | peer | {unit} | target | holds |");
    println!("|---|---|---|---|---|---|");
    for row in rows {
        let Row {
            what,
            ours,
            peer,
            value,
            target,
        } = row;
        let holds = match (target, row.holds()) {
            (Target::Known, _) => "–",
            (_, true) => "yes",
            (_, false) => "NO",
        };
        let value = digits(*value);
        println!("| {what} | {ours} | {peer} | {value} | {target} | {holds} |");
    }
    rows.iter().all(Row::holds)
}

/// `value` with four digits at least, so that it can be told from a target that it misses by a little.
fn digits(value: f64) -> String {
    match value.abs() {
        0.0..10.0 => format!("{value:.4}"),
        10.0..1000.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// The middle of `values`, the upper one of two; not a number if there are none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median(&[9.0, 1.0, 5.0]).to_bits(), 5.0_f64.to_bits());
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn a_value_that_misses_by_a_little_looks_different() {
        assert_eq!(digits(0.9904), "0.9904");
        assert_eq!(digits(140.93), "140.9");
        assert_eq!(digits(333_332.3), "333332");
        assert_eq!(digits(f64::NAN), "NaN");
    }

    #[test]
    fn a_target_is_missed_by_a_little_and_by_what_is_no_number() {
        assert!(Target::AtMost(0.7).holds(0.7) && !Target::AtMost(0.7).holds(0.701));
        assert!(Target::AtLeast(0.7).holds(0.7) && !Target::AtLeast(0.7).holds(0.699));
        assert!(!Target::AtMost(1.0).holds(f64::NAN) && !Target::AtLeast(0.0).holds(f64::NAN));
    }
}
