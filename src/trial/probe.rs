//! The settings of the probe that measures the links before a trial.

use serde::Serialize;

use crate::time::Span;

/// Rounds of a link are no nearer than this.
const PERIOD_MIN: Span = Span::from_millis(10);

/// The period is at least this for each directed link: all together carry no more than 1000 rounds a
/// second, so that the network is measured and not the crowd. A frame costs wake-ups on both sides and
/// the delay line's spinning, and its acknowledgement as much again: 13 regions in one process at 5000
/// rounds a second took 1.4 cores of 2 (a busy virtual machine, 2026-11-21).
const PERIOD_PER_LINK: Span = Span::from_micros(1_000);

/// A probe has at least so many rounds, however long they take: fewer cannot bound a 99th percentile.
const ROUNDS_MIN: u64 = 120;

/// The share of the rounds that measures the baseline: a median needs fewer than a percentile.
pub const BASELINE_SHARE: u64 = 4;

/// How links are measured before a trial, and how far off they may be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Probe {
    /// A link may be off by this in one direction, at the median and at the 99th percentile.
    pub tolerance: Span,
    /// Or by this share of its round trip, where that is more.
    pub tolerance_share: f64,
    /// How long it is measured, at 100 rounds a second at most; many links are measured at fewer, for longer.
    pub time: Span,
    /// How often they are measured before a trial is refused: a noisy moment passes.
    ///
    /// One attempt must find every link as asked.
    /// With the 40 directed links of the quickstart, on 2 cores with a load of 15 to 23 besides (a debug build
    /// with real-time priority, 2026-11-26), one attempt in ten did, and 6 of 8 trials ran; most of the others
    /// missed by one or two links.
    pub attempts: u32,
}

impl Default for Probe {
    fn default() -> Self {
        Self {
            tolerance: Span::from_micros(300),
            tolerance_share: 0.01,
            time: Span::from_millis(2_000),
            attempts: 10,
        }
    }
}

impl Probe {
    /// What a link with this round trip may be off by.
    pub fn tolerance_of(&self, round_trip: Span) -> Span {
        let share = round_trip.as_millis_f64() * self.tolerance_share;
        self.tolerance.max(Span::from_millis_f64(share))
    }

    /// The time between two rounds of each of so many directed links, and how many rounds one attempt has.
    pub fn rounds(&self, link_count: usize) -> (Span, u64) {
        let period = PERIOD_MIN.max(PERIOD_PER_LINK.times(link_count as u64));
        (period, ROUNDS_MIN.max(self.time.0.div_ceil(period.0)))
    }

    /// About how long one attempt takes with so many directed links, its baseline included.
    pub fn attempt_time(&self, link_count: usize) -> Span {
        let (period, rounds) = self.rounds(link_count);
        period.times(rounds + rounds / BASELINE_SHARE)
    }
}
