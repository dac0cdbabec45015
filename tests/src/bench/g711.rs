//! The values that the telephone network's codes can carry, as 16-bit samples (ITU-T G.711, tables 1
//! and 2, in the usual scaling: 13 and 14 bits shifted up to 16).

/// One of the two codes: its 256 values in order (µ-law has 0 twice).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code(Vec<i16>);

impl Code {
    /// µ-law, of America and Japan.
    pub fn mu_law() -> Self {
        Self::of(|segment, step| (((step << 3) + 132) << segment) - 132)
    }

    /// A-law, of the rest of the world.
    pub fn a_law() -> Self {
        Self::of(|segment, step| match segment {
            0 => (step << 4) + 8,
            _ => ((step << 4) + 264) << (segment - 1),
        })
    }

    /// From the magnitude of a step (0 to 15) of a segment (0 to 7).
    fn of(magnitude: impl Fn(i32, i32) -> i32) -> Self {
        let magnitudes = (0..128).map(|code| magnitude(code >> 4, code & 15) as i16);
        let mut values: Vec<i16> = magnitudes.flat_map(|value| [value, -value]).collect();
        values.sort_unstable();
        Self(values)
    }

    /// `sample` after it has been coded and decoded: the nearest value.
    pub fn round_trip(&self, sample: i16) -> i16 {
        let above = self.0.partition_point(|&value| value < sample);
        let nearest = [above.saturating_sub(1), above.min(self.0.len() - 1)]
            .map(|place| self.0[place])
            .into_iter()
            .min_by_key(|&value| (i32::from(value) - i32::from(sample)).abs());
        nearest.unwrap_or(sample)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ends and the smallest steps of the tables.
    #[test]
    fn the_values_are_those_of_the_tables() {
        let (mu, a) = (Code::mu_law(), Code::a_law());
        assert_eq!((mu.0[0], mu.0[255]), (-32_124, 32_124));
        assert_eq!((a.0[0], a.0[255]), (-32_256, 32_256));
        assert_eq!(mu.0[126..131], [-8, 0, 0, 8, 16]);
        assert_eq!(a.0[126..130], [-24, -8, 8, 24]);
    }

    #[test]
    fn a_second_trip_changes_nothing() {
        for code in [Code::mu_law(), Code::a_law()] {
            for sample in i16::MIN..=i16::MAX {
                let once = code.round_trip(sample);
                assert_eq!(code.round_trip(once), once);
            }
        }
    }
}
