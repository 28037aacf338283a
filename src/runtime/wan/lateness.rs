//! How late the link emulation released its datagrams: counts in buckets of a quarter octave.
//!
//! 252 counters hold every 64-bit span with an error under 25 %, so recording is one addition and
//! needs no memory.
//! It says whether the emulation can be believed; latencies of the system under test are recorded
//! elsewhere, with more digits.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::time::Span;

/// A datagram that leaves later than this after it was due was not given the latency asked for.
///
/// It is what a link may be off by whatever its length, and three times the goal for the 99th
/// percentile.
pub const TOLERANCE: Span = Span::from_micros(300);

/// Four buckets for each of 63 octaves; the first four spans have one each.
const BUCKETS: usize = 252;

/// Counts of latenesses; one thread records while others look.
#[derive(Debug)]
pub struct Lateness {
    buckets: [AtomicU64; BUCKETS],
    max: AtomicU64,
    /// Longer than [`TOLERANCE`].
    late: AtomicU64,
}

impl Default for Lateness {
    fn default() -> Self {
        let [max, late] = [const { AtomicU64::new(0) }; 2];
        Self { buckets: [const { AtomicU64::new(0) }; BUCKETS], max, late }
    }
}

impl Lateness {
    /// Counts `datagrams` that were this late.
    pub fn record(&self, late: Span, datagrams: u64) {
        self.buckets[bucket(late)].fetch_add(datagrams, Ordering::Relaxed);
        self.max.fetch_max(late.0, Ordering::Relaxed);
        if late > TOLERANCE {
            self.late.fetch_add(datagrams, Ordering::Relaxed);
        }
    }

    /// How many were later than [`TOLERANCE`].
    pub fn late_count(&self) -> u64 {
        self.late.load(Ordering::Relaxed)
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// A span that this share of the datagrams did not exceed, at most a quarter too long; `None`
    /// if none was counted.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank lies between 1 and the count"
    )]
    pub fn quantile(&self, probability: f64) -> Option<Span> {
        let count = self.count();
        let rank = ((count as f64 * probability).ceil() as u64).clamp(1, count.max(1));
        let mut seen = 0;
        let index = self.buckets.iter().position(|bucket| {
            seen += bucket.load(Ordering::Relaxed);
            seen >= rank
        })?;
        Some(highest(index).min(Span(self.max.load(Ordering::Relaxed))))
    }

    /// The longest; `None` if none was counted.
    pub fn max(&self) -> Option<Span> {
        (self.count() > 0).then(|| Span(self.max.load(Ordering::Relaxed)))
    }
}

/// The bucket of a span: its octave, and the quarter within.
fn bucket(Span(nanoseconds): Span) -> usize {
    let octave = nanoseconds.max(4).ilog2();
    let quarter = (nanoseconds >> (octave - 2)) & 3;
    let index = if nanoseconds < 4 { quarter } else { u64::from(octave - 1) * 4 + quarter };
    usize::try_from(index).expect("an index below 252")
}

/// The longest span in a bucket.
fn highest(index: usize) -> Span {
    if index < 4 {
        return Span(index as u64);
    }
    let (octave, quarter) = (index / 4 + 1, index as u64 % 4);
    let width = 1_u64 << (octave - 2);
    Span(((4 + quarter) * width) + (width - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_span_lies_in_its_bucket() {
        for power in 0..64 {
            for offset in [0, 1, 2] {
                let span = Span((1_u64 << power).saturating_add(offset << power.max(2) >> 2));
                let index = bucket(span);
                assert!(span <= highest(index), "{span:?} in {index}");
                assert!(index == 0 || span > highest(index - 1), "{span:?} in {index}");
            }
        }
        assert_eq!(bucket(Span::ZERO), 0);
        assert_eq!(bucket(Span(u64::MAX)), BUCKETS - 1);
        assert_eq!(highest(BUCKETS - 1), Span(u64::MAX));
    }

    #[test]
    fn quantiles_are_at_most_a_quarter_too_long() {
        let lateness = Lateness::default();
        assert_eq!((lateness.quantile(0.5), lateness.max()), (None, None));
        for micros in 1..=1000 {
            lateness.record(Span::from_micros(micros), 1);
        }
        for (probability, exact) in [(0.5, 500_000), (0.99, 990_000), (1.0, 1_000_000)] {
            let Span(quantile) = lateness.quantile(probability).unwrap();
            assert!((exact..=exact * 5 / 4).contains(&quantile), "{probability}: {quantile}");
        }
        assert_eq!(lateness.max(), Some(Span::from_millis(1)));
        assert_eq!((lateness.count(), lateness.late_count()), (1000, 700));
    }
}
