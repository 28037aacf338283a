//! A histogram of latencies: every one of this program has the same shape, so any two can be merged.
//!
//! Three significant figures, from 1 ns to one hour; a longer latency counts as one hour.
//! The shape is fixed so that recording never allocates.

use bytes::Bytes;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};

use serde::{Deserialize, Serialize};

use super::Error;
use crate::time::Span;

/// Latencies in nanoseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "Bytes", try_from = "Bytes")]
pub struct Latencies(Histogram<u64>);

impl Latencies {
    /// The longest latency that is told from others: one hour.
    pub const MAX: Span = Span(3_600_000_000_000);

    /// No latency.
    pub fn new() -> Self {
        Self(Histogram::new_with_bounds(1, Self::MAX.0, 3).expect("the bounds are constants"))
    }

    /// Counts one latency.
    #[inline]
    pub fn record(&mut self, latency: Span) {
        self.0.saturating_record(latency.0);
    }

    /// Adds all latencies of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.0.add(&other.0).expect("all histograms have the same bounds");
    }

    /// Forgets all latencies and keeps the memory.
    pub fn clear(&mut self) {
        self.0.reset();
    }

    /// How many latencies were counted.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The least latency; `None` without any.
    pub fn min(&self) -> Option<Span> {
        (!self.is_empty()).then(|| Span(self.0.min()))
    }

    /// The greatest latency; `None` without any.
    pub fn max(&self) -> Option<Span> {
        (!self.is_empty()).then(|| Span(self.0.max()))
    }

    /// The mean, to the nanosecond; `None` without any latency.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a mean of latencies up to one hour lies between 0 and one hour"
    )]
    pub fn mean(&self) -> Option<Span> {
        (!self.is_empty()).then(|| Span(self.0.mean().round() as u64))
    }

    /// The latency that this share of all does not exceed; `None` without any.
    pub fn quantile(&self, share: f64) -> Option<Span> {
        (!self.is_empty()).then(|| Span(self.0.value_at_quantile(share)))
    }

    /// The bounds of the bucket that holds the latency of this rank, from 1; `None` if there are
    /// not as many.
    pub fn at_rank(&self, rank: u64) -> Option<(Span, Span)> {
        let mut seen = 0;
        self.0.iter_recorded().find_map(|step| {
            seen += step.count_since_last_iteration();
            (rank > 0 && seen >= rank).then(|| {
                let value = step.value_iterated_to();
                (Span(self.0.lowest_equivalent(value)), Span(self.0.highest_equivalent(value)))
            })
        })
    }

    /// The bytes by which a histogram travels and is kept: `HdrHistogram` V2 with DEFLATE.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new()
            .serialize(&self.0, &mut bytes)
            .expect("a histogram of this size is written to memory");
        bytes
    }

    /// Takes what [`Self::encode`], or another program, wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let found: Histogram<u64> = Deserializer::new()
            .deserialize(&mut &*bytes)
            .map_err(|source| Error::Histogram { length: bytes.len(), source })?;
        if found.sigfig() != 3 {
            return Err(Error::Precision { found: found.sigfig() });
        }
        let mut latencies = Self::new();
        latencies
            .0
            .add(&found)
            .map_err(|_| Error::Range { max: found.max(), limit: Self::MAX.0 })?;
        Ok(latencies)
    }

    pub(super) const fn inner(&self) -> &Histogram<u64> {
        &self.0
    }
}

impl From<Latencies> for Bytes {
    fn from(latencies: Latencies) -> Self {
        latencies.encode().into()
    }
}

impl TryFrom<Bytes> for Latencies {
    type Error = Error;

    fn try_from(bytes: Bytes) -> Result<Self, Error> {
        Self::decode(&bytes)
    }
}

impl Default for Latencies {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a> FromIterator<&'a Latencies> for Latencies {
    fn from_iter<I: IntoIterator<Item = &'a Latencies>>(parts: I) -> Self {
        let mut whole = Self::new();
        parts.into_iter().for_each(|part| whole.merge(part));
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl IntoIterator<Item = u64>) -> Latencies {
        let mut latencies = Latencies::new();
        values.into_iter().for_each(|value| latencies.record(Span(value)));
        latencies
    }

    #[test]
    fn percentiles_of_the_merged_are_those_of_all_and_not_their_mean() {
        let (fast, slow) = (of((1..=900).map(|i| i * 1000)), of((1..=100).map(|i| i * 1_000_000)));
        let all = of((1..=900).map(|i| i * 1000).chain((1..=100).map(|i| i * 1_000_000)));
        let merged: Latencies = [&fast, &slow].into_iter().collect();
        assert_eq!(merged, all);
        for share in [0.5, 0.9, 0.95, 0.99, 1.0] {
            assert_eq!(merged.quantile(share), all.quantile(share));
        }
        let mean = u64::midpoint(fast.quantile(0.99).unwrap().0, slow.quantile(0.99).unwrap().0);
        assert!(mean < merged.quantile(0.99).unwrap().0 * 6 / 10);
    }

    #[test]
    fn three_figures_are_kept() {
        let latencies = of([69_623_456]);
        let error = latencies.quantile(0.5).unwrap().0.abs_diff(69_623_456);
        assert!(error * 1000 <= 69_623_456, "{error} ns");
    }

    #[test]
    fn nothing_is_none_and_not_zero() {
        let empty = Latencies::new();
        assert_eq!((empty.min(), empty.mean(), empty.max()), (None, None, None));
        assert_eq!((empty.quantile(0.5), empty.at_rank(1)), (None, None));
    }

    #[test]
    fn a_latency_beyond_an_hour_counts_as_an_hour() {
        let latencies = of([u64::MAX]);
        assert_eq!(latencies.count(), 1);
        assert!(latencies.max().unwrap().0.abs_diff(Latencies::MAX.0) * 1000 <= Latencies::MAX.0);
    }

    #[test]
    fn bytes_come_back_as_the_same_histogram() {
        let latencies = of((0..5000).map(|i| i * i * 977));
        assert_eq!(Latencies::decode(&latencies.encode()).unwrap(), latencies);
        assert_eq!(Latencies::decode(&Latencies::new().encode()).unwrap(), Latencies::new());
    }

    #[test]
    fn what_is_no_histogram_or_not_ours_is_refused() {
        let refused = |bytes: &[u8]| Latencies::decode(bytes).unwrap_err().to_string();
        assert_eq!(refused(b"trial"), "5 bytes are not a histogram");
        let mut wide = Histogram::<u64>::new_with_bounds(1, u64::MAX / 2, 3).unwrap();
        wide.record(1 << 50).unwrap();
        let mut bytes = Vec::new();
        V2DeflateSerializer::new().serialize(&wide, &mut bytes).unwrap();
        assert!(refused(&bytes).contains("one hour"));
        let coarse = Histogram::<u64>::new_with_bounds(1, 1000, 2).unwrap();
        let mut bytes = Vec::new();
        V2DeflateSerializer::new().serialize(&coarse, &mut bytes).unwrap();
        assert!(refused(&bytes).contains("2 significant figures"));
    }

    #[test]
    fn the_latency_of_a_rank_is_in_its_bucket() {
        let latencies = of([10, 20, 20, 30]);
        let at = |rank| latencies.at_rank(rank).map(|(low, high)| (low.0, high.0));
        assert_eq!(
            [at(1), at(2), at(3), at(4)],
            [10, 20, 20, 30].map(|value| Some((value, value)))
        );
        assert_eq!((at(0), at(5)), (None, None));
    }
}
