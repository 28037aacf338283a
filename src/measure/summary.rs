//! What a row says of a histogram, and whether a trial kept up with its load.

use super::histogram::Figure;
use super::{Latencies, confidence_ranks};
use crate::time::Span;

/// A share of achieved to offered rate below which a trial measured its own queue.
const KEEPS_UP: f64 = 0.99;

/// A histogram in a few numbers, in nanoseconds; `None` is not measured, or not known because it falls
/// among operations without an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// How many latencies: operations with an answer.
    pub count: u64,
    /// How many operations without one; every figure ranks them.
    pub unanswered_count: u64,
    /// The least.
    pub min: Option<u64>,
    /// The mean.
    pub mean: Option<u64>,
    /// The median.
    pub p50: Option<u64>,
    /// The lower end of its 95 % interval.
    pub p50_low: Option<u64>,
    /// The upper end of its 95 % interval.
    pub p50_high: Option<u64>,
    /// The 90th percentile, from 100 operations on.
    pub p90: Option<u64>,
    /// The 95th, from 200.
    pub p95: Option<u64>,
    /// The 99th, from 1,000.
    pub p99: Option<u64>,
    /// The lower end of its 95 % interval.
    pub p99_low: Option<u64>,
    /// The upper end of its 95 % interval.
    pub p99_high: Option<u64>,
    /// The 99.9th, from 10,000.
    pub p999: Option<u64>,
    /// The greatest.
    pub max: Option<u64>,
}

impl Summary {
    /// The summary of all that was recorded.
    pub fn of(latencies: &Latencies) -> Self {
        let latencies = &*latencies.unpacked();
        let ns = |span: Option<Span>| span.map(|span| span.0);
        let percentile = |share| ns(latencies.percentile(share).and_then(Figure::known));
        let (p50_low, p50_high) = confidence(latencies, 0.5);
        let (p99_low, p99_high) = confidence(latencies, 0.99);
        Self {
            count: latencies.count(),
            unanswered_count: latencies.unanswered_count(),
            min: ns(latencies.min()),
            mean: ns(latencies.mean()),
            p50: percentile(0.5),
            p50_low,
            p50_high,
            p90: percentile(0.9),
            p95: percentile(0.95),
            p99: percentile(0.99),
            p99_low,
            p99_high,
            p999: percentile(0.999),
            max: ns(latencies.max()),
        }
    }
}

/// The steps of a complementary distribution: shares and what they do not exceed, up to the share
/// that still has ten samples beyond it, then the maximum; `None` where that falls among operations
/// without an answer.
pub fn ccdf(latencies: &Latencies) -> Vec<(f64, Option<Span>)> {
    if latencies.is_empty() {
        return Vec::new();
    }
    let latencies = &*latencies.unpacked();
    let body = (0..=98).map(|percent| f64::from(percent) / 100.0);
    // 0.99, 0.991 … 0.998, 0.999, 0.9991 …: nine steps a decade.
    let tail = (2..=8).flat_map(|decade| {
        let unit = 10_f64.powi(decade);
        (0..9).map(move |step| (unit - 1.0 + f64::from(step) / 10.0) / unit)
    });
    body.chain(tail)
        .take_while(|share| latencies.has_tail(*share))
        .chain([1.0])
        .map(|share| (share, latencies.quantile(share)))
        .collect()
}

/// Whether a trial did not keep up with its load, so that its latencies are those of a queue.
///
/// `offered_per_s` is what the generator intended in the window, not the rate it drew from;
/// `achieved_per_s` is what returned in the window. Closed loops offer nothing and are never
/// saturated.
pub fn is_saturated(offered_per_s: Option<f64>, achieved_per_s: f64) -> bool {
    offered_per_s.is_some_and(|offered| achieved_per_s < KEEPS_UP * offered)
}

fn confidence(latencies: &Latencies, share: f64) -> (Option<u64>, Option<u64>) {
    let (low, high) = confidence_ranks(latencies.ranked_count(), share);
    let at = |rank: Option<u64>| rank.and_then(|rank| latencies.at_rank(rank));
    (at(low).map(|bucket| bucket.0.0), at(high).map(|bucket| bucket.1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(count: u64) -> Latencies {
        let mut latencies = Latencies::new();
        (1..=count).for_each(|value| latencies.record(Span(value * 1000)));
        latencies
    }

    #[test]
    fn the_999th_needs_ten_thousand_samples() {
        assert_eq!(Summary::of(&of(9_999)).p999, None);
        assert!(Summary::of(&of(10_000)).p999.is_some());
    }

    #[test]
    fn nothing_measured_is_empty() {
        assert_eq!(Summary::of(&Latencies::new()), Summary::default());
    }

    #[test]
    fn an_interval_holds_its_percentile() {
        let summary = Summary::of(&of(5_000));
        assert!(summary.p50_low < summary.p50 && summary.p50 < summary.p50_high);
        assert!(summary.p99_low < summary.p99 && summary.p99 < summary.p99_high);
        let few = Summary::of(&of(100));
        assert_eq!((few.p99, few.p99_high, few.p99_low.is_some()), (None, None, true));
        assert_eq!((Summary::of(&of(999)).p99, Summary::of(&of(1000)).p99.is_some()), (None, true));
    }

    #[test]
    fn a_summary_ranks_the_unanswered_in_every_figure() {
        // 620 answered, 380 not: the median and its interval are among the answered, the rest is not.
        let mut latencies = of(620);
        (0..380).for_each(|_| latencies.record_unanswered(Span::from_millis(1000)));
        let found = Summary::of(&latencies);
        assert_eq!((found.count, found.unanswered_count), (620, 380));
        assert!(found.p50_low < found.p50 && found.p50 < found.p50_high, "{found:?}");
        // The median of all is the 500th, not the 310th.
        assert!(found.p50.unwrap().abs_diff(500_000) < 500, "{found:?}");
        let unknown = [found.mean, found.p90, found.p95, found.p99, found.p99_low, found.max];
        assert_eq!(unknown, [None; 6]);
        // With some more of them the interval of the median ends among them.
        (0..200).for_each(|_| latencies.record_unanswered(Span::from_millis(1000)));
        let found = Summary::of(&latencies);
        assert_eq!((found.p50.is_some(), found.p50_high), (true, None));
        let steps = ccdf(&latencies);
        let known = steps.iter().filter(|(_, latency)| latency.is_some()).count();
        // Of 1,200 the shares 0 to 0.51 are known.
        assert_eq!((known, steps.last().map(|step| step.1)), (52, Some(None)));
    }

    #[test]
    fn a_distribution_ends_where_ten_samples_lie_beyond() {
        let steps = ccdf(&of(10_000));
        let shares: Vec<f64> = steps.iter().map(|step| step.0).collect();
        assert!(shares.windows(2).all(|pair| pair[0] < pair[1]), "{shares:?}");
        assert_eq!(shares[shares.len() - 2..], [0.999, 1.0]);
        assert!(steps.windows(2).all(|pair| pair[0].1 <= pair[1].1));
        assert_eq!(ccdf(&of(5)).len(), 1);
        assert_eq!(ccdf(&of(100)).last().map(|step| step.0), Some(1.0));
        assert!(ccdf(&Latencies::new()).is_empty());
    }

    #[test]
    fn saturation_begins_below_99_percent_of_the_offered_rate() {
        assert!(is_saturated(Some(200.0), 197.9));
        assert!(!is_saturated(Some(200.0), 198.1));
        assert!(!is_saturated(None, 5.0));
    }
}
