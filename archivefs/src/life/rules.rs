//! How long the recordings of each line are kept, and what follows from that on one day. Pure.

use crate::catalogue::{Cut, Cutoffs, NumberId};
use crate::day::Day;
use crate::period::{last_expired, last_over};
use chrono_tz::Tz;
use std::collections::BTreeMap;
use tsuwaroku_config::Retention;

/// The retention of all lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Of lines that are not named, and of numbers that are designated no more.
    pub others: Retention,
    /// Of lines that have one of their own.
    pub lines: BTreeMap<NumberId, Retention>,
}

impl Rules {
    /// The same for every line.
    pub fn for_all(retention: Retention) -> Self {
        Self {
            others: retention,
            lines: BTreeMap::new(),
        }
    }

    /// That of `number`.
    pub fn of(&self, number: NumberId) -> &Retention {
        self.lines.get(&number).unwrap_or(&self.others)
    }

    /// What is past its periods on `today`, days of `zone`.
    pub fn cutoffs(&self, today: Day, zone: Tz) -> Cutoffs {
        let cut = |retention| {
            let (over, expired) = (last_over(today, retention), last_expired(today, retention));
            Cut::new(over, expired, zone)
        };
        Cutoffs {
            others: cut(&self.others),
            lines: self
                .lines
                .iter()
                .map(|(&line, own)| (line, cut(own)))
                .collect(),
        }
    }
}
