//! The settings of the probe that measures the links before a trial.

use serde::Serialize;

use crate::time::Span;

/// How links are measured before a trial, and how far off they may be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Probe {
    /// A link may be off by this in one direction, at the median and at the 99th percentile.
    pub tolerance: Span,
    /// Or by this share of its round trip, where that is more.
    pub tolerance_share: f64,
    /// How long it is measured, at 100 rounds a second at most; many links are measured at fewer, for longer.
    pub time: Span,
}

impl Default for Probe {
    fn default() -> Self {
        Self {
            tolerance: Span::from_micros(300),
            tolerance_share: 0.01,
            time: Span::from_millis(2_000),
        }
    }
}

impl Probe {
    /// What a link with this round trip may be off by.
    pub fn tolerance_of(&self, round_trip: Span) -> Span {
        let share = round_trip.as_millis_f64() * self.tolerance_share;
        self.tolerance.max(Span::from_millis_f64(share))
    }
}
