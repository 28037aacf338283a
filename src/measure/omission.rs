//! What a closed loop does not measure: while all its clients wait, nothing begins that could be late.
//!
//! Ten clients that wait five seconds for one answer each have ten slow operations among thousands of
//! quick ones, and no percentile shows the pause. An open loop would have gone on asking.
//! So where a pause is far longer than the 99th percentile, the closed loop is shown with what it omits:
//! the same latencies, corrected by the interval at which its clients usually ask
//! ([`Latencies::corrected`]).

use serde::{Deserialize, Serialize};

use super::Latencies;
use crate::time::Span;

/// A pause that is more than so many times the usual 99th percentile is none of the usual latencies.
const FAR: u64 = 10;

/// A pause that the latencies of a closed loop do not show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Omission {
    /// How long all clients waited, at the longest.
    pub blocked: Span,
    /// The usual 99th percentile: of the operations that did not wait through the pause.
    pub p99: Span,
    /// How often each client usually asks: once in a median latency.
    pub interval: Span,
}

impl Omission {
    /// Of closed-loop clients with these latencies, none of which was answered for `blocked`.
    pub fn of(blocked: Span, latencies: &Latencies) -> Option<Self> {
        let [interval, p99] = [0.5, 0.99].map(|share| latencies.quantile_below(blocked, share));
        let (interval, p99) = (interval?, p99?);
        (blocked > p99.times(FAR)).then_some(Self { blocked, p99, interval })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latencies() -> Latencies {
        let mut latencies = Latencies::new();
        (0..1000).for_each(|_| latencies.record(Span::from_millis(2)));
        latencies
    }

    #[test]
    fn a_pause_is_omitted_beyond_ten_times_the_99th_percentile() {
        assert_eq!(Omission::of(Span::from_millis(20), &latencies()), None);
        let omission = Omission::of(Span::from_millis(21), &latencies()).unwrap();
        assert_eq!(omission.interval, omission.p99);
        assert!(omission.interval.0.abs_diff(2_000_000) < 2_000);
    }

    /// Also where those that waited are so many that the p99 is theirs: the median is not.
    #[test]
    fn a_pause_is_omitted_however_many_waited_through_it() {
        let usual = Omission::of(Span::from_millis(5_000), &latencies());
        let mut shown = latencies();
        (0..20).for_each(|_| shown.record(Span::from_millis(5_010)));
        assert_eq!(Omission::of(Span::from_millis(5_000), &shown), usual);
        let mut unanswered = latencies();
        (0..20).for_each(|_| unanswered.record_unanswered(Span::from_millis(5_000)));
        assert_eq!(Omission::of(Span::from_millis(5_000), &unanswered), usual);
        assert!(usual.is_some());
        assert_eq!(Omission::of(Span::from_millis(5_000), &Latencies::new()), None);
    }
}
