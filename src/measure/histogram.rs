//! A histogram of latencies: every one of this program has the same shape, so any two can be merged.
//!
//! Three significant figures, from 1 ns to one hour; a longer latency counts as one hour.
//! The shape is fixed so that recording never allocates.
//!
//! # Operations without an answer
//!
//! An operation that was never answered has no latency, but it has a rank: behind every latency that is
//! shorter than the time for which it was waited.
//! So a histogram carries these operations too, each with the time it was waited for, and every
//! percentile ranks them.
//! Let them take at best the time they were waited for, and at worst for ever: where both give the same
//! value, that is the percentile of all operations, however long one would have waited
//! ([`Figure::Known`]). Where they differ, only the lower bound is known ([`Figure::Above`]).
//! A longer wait turns some [`Figure::Above`] into [`Figure::Known`] and raises the others; it never
//! changes what is known.

use std::borrow::Cow;

use bytes::Bytes;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};

use serde::{Deserialize, Serialize};

use super::Error;
use crate::time::Span;

/// A percentile is not told with fewer samples than this beyond it: with none beyond it, a percentile is
/// the maximum by another name, and with a few it is the chance of these few.
/// So the 90th needs 100 samples, the 99th 1,000 and the 99.9th 10,000.
/// The median is always told: its interval stands beside it.
const SAMPLES_BEYOND: f64 = 10.0;

/// A percentile, least or greatest of operations of which some may never have been answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// It is this, however long one would have waited for the others.
    Known(Span),
    /// It is more than this: it falls among operations that were waited for so long in vain.
    Above(Span),
}

impl Figure {
    /// The figure, unless only a lower bound of it is known.
    pub const fn known(self) -> Option<Span> {
        match self {
            Self::Known(span) => Some(span),
            Self::Above(_) => None,
        }
    }
}

/// Latencies in nanoseconds, and the operations that were never answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "Encoded", try_from = "Encoded")]
pub struct Latencies {
    answered: Histogram<u64>,
    /// How long those were waited for that were never answered; never empty.
    unanswered: Option<Box<Histogram<u64>>>,
}

impl Latencies {
    /// The longest latency that is told from others: one hour.
    pub const MAX: Span = Span(3_600_000_000_000);

    /// No latency.
    pub fn new() -> Self {
        Self { answered: histogram(), unanswered: None }
    }

    /// Counts one latency.
    #[inline]
    pub fn record(&mut self, latency: Span) {
        self.answered.saturating_record(latency.0);
    }

    /// Counts one operation that was waited for so long and never answered.
    pub fn record_unanswered(&mut self, waited: Span) {
        self.unanswered.get_or_insert_with(|| Box::new(histogram())).saturating_record(waited.0);
    }

    /// Adds all latencies and all unanswered operations of `other`.
    pub fn merge(&mut self, other: &Self) {
        const SAME: &str = "all histograms have the same bounds";
        self.answered.add(&other.answered).expect(SAME);
        if let Some(unanswered) = &other.unanswered {
            let mine = self.unanswered.get_or_insert_with(|| Box::new(histogram()));
            mine.add(unanswered.as_ref()).expect(SAME);
        }
    }

    /// Adds the latencies of `waits` as the times for which operations were waited that have no answer.
    pub(super) fn add_unanswered(&mut self, waits: &Self) {
        let unanswered = self.unanswered.get_or_insert_with(|| Box::new(histogram()));
        unanswered.add(&waits.answered).expect("all histograms have the same bounds");
    }

    /// Forgets everything and keeps the memory for latencies.
    pub fn clear(&mut self) {
        self.answered.reset();
        self.unanswered = None;
    }

    /// How many latencies were counted: operations with an answer.
    pub fn count(&self) -> u64 {
        self.answered.len()
    }

    /// How many operations were never answered.
    pub fn unanswered_count(&self) -> u64 {
        self.unanswered.as_ref().map_or(0, |unanswered| unanswered.len())
    }

    /// How many operations percentiles rank: with and without an answer.
    pub fn ranked_count(&self) -> u64 {
        self.count() + self.unanswered_count()
    }

    /// Whether there is no operation, answered or not.
    pub fn is_empty(&self) -> bool {
        self.ranked_count() == 0
    }

    /// The least latency; `None` without any, or where only a lower bound is known.
    pub fn min(&self) -> Option<Span> {
        if self.unanswered.is_some() {
            return self.quantile(0.0);
        }
        (!self.is_empty()).then(|| Span(self.answered.min()))
    }

    /// The greatest latency; `None` without any, or where an operation was never answered.
    pub fn max(&self) -> Option<Span> {
        (self.unanswered.is_none() && !self.is_empty()).then(|| Span(self.answered.max()))
    }

    /// The mean, to the nanosecond; `None` without any latency, or where an operation was never answered.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a mean of latencies up to one hour lies between 0 and one hour"
    )]
    pub fn mean(&self) -> Option<Span> {
        (self.unanswered.is_none() && !self.is_empty())
            .then(|| Span(self.answered.mean().round() as u64))
    }

    /// The latency that this share of all does not exceed; `None` without any, or where only a lower
    /// bound is known.
    pub fn quantile(&self, share: f64) -> Option<Span> {
        self.figure(share)?.known()
    }

    /// The latency that this share of all operations does not exceed, or a lower bound of it; `None`
    /// without any operation.
    pub fn figure(&self, share: f64) -> Option<Figure> {
        if self.is_empty() {
            return None;
        }
        let whole = self.whole();
        let value = whole.value_at_quantile(share);
        if self.reaches(rank(share, whole.len()), value) {
            return Some(Figure::Known(Span(value)));
        }
        Some(Figure::Above(Span(whole.lowest_equivalent(value))))
    }

    /// The same, but `None` too where fewer than ten operations lie beyond: what is told of a percentile.
    pub fn percentile(&self, share: f64) -> Option<Figure> {
        let is_told = share <= 0.5 || self.has_tail(share);
        is_told.then(|| self.figure(share)).flatten()
    }

    /// Whether enough operations lie beyond this quantile; the tolerance is that of `1 - share` in binary.
    pub(super) fn has_tail(&self, share: f64) -> bool {
        self.ranked_count() as f64 * (1.0 - share) >= SAMPLES_BEYOND - 1e-6
    }

    /// The bounds of the bucket that holds the latency of this rank, from 1; `None` if there are not as
    /// many operations, or it is one without an answer.
    pub fn at_rank(&self, rank: u64) -> Option<(Span, Span)> {
        let whole = self.whole();
        let mut seen = 0;
        let value = whole.iter_recorded().find_map(|step| {
            seen += step.count_since_last_iteration();
            (rank > 0 && seen >= rank).then(|| step.value_iterated_to())
        })?;
        let (low, high) = (whole.lowest_equivalent(value), whole.highest_equivalent(value));
        self.reaches(rank, high).then_some((Span(low), Span(high)))
    }

    /// The latencies that an open loop would have measured, of clients that wait for an answer before
    /// they ask again and usually ask once in each `interval`.
    ///
    /// `HdrHistogram`'s correction for coordinated omission: a latency of several intervals stands for
    /// the operations that were not begun meanwhile, each of which would have waited one interval less.
    /// They are of the kind of `self` in its share of `all` that these clients asked.
    #[must_use]
    pub fn corrected(&self, all: &Self, interval: Span) -> Self {
        let share = self.ranked_count() as f64 / all.ranked_count().max(1) as f64;
        let mut corrected = self.clone();
        add_omitted(&mut corrected.answered, &all.answered, share, interval);
        if let Some(waiting) = &all.unanswered {
            let own = corrected.unanswered.get_or_insert_with(|| Box::new(histogram()));
            add_omitted(own, waiting, share, interval);
            if own.is_empty() {
                corrected.unanswered = None;
            }
        }
        corrected
    }

    /// The quantile of the operations that were answered in less than `limit`; `None` without one.
    pub fn quantile_below(&self, limit: Span, share: f64) -> Option<Span> {
        let mut below = histogram();
        for step in self.answered.iter_recorded() {
            let value = step.value_iterated_to();
            if self.answered.highest_equivalent(value) < limit.0 {
                below.record_n(value, step.count_at_value()).expect("it was recorded before");
            }
        }
        (!below.is_empty()).then(|| Span(below.value_at_quantile(share)))
    }

    /// All operations, those without an answer with the time that they were waited for.
    fn whole(&self) -> Cow<'_, Histogram<u64>> {
        let Some(unanswered) = &self.unanswered else { return Cow::Borrowed(&self.answered) };
        let mut whole = self.answered.clone();
        whole.add(unanswered.as_ref()).expect("all histograms have the same bounds");
        Cow::Owned(whole)
    }

    /// Whether so many operations were answered within `value`: then it is the latency of that rank even
    /// if the others take for ever.
    fn reaches(&self, rank: u64, value: u64) -> bool {
        self.unanswered.is_none() || self.answered.count_between(0, value) >= rank
    }

    /// The latencies as they travel and are kept: `HdrHistogram` V2 with DEFLATE.
    ///
    /// That format cannot hold operations without an answer.
    pub fn encode(&self) -> Vec<u8> {
        encode(&self.answered)
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
            .answered
            .add(&found)
            .map_err(|_| Error::Range { max: found.max(), limit: Self::MAX.0 })?;
        Ok(latencies)
    }

    pub(super) const fn inner(&self) -> &Histogram<u64> {
        &self.answered
    }
}

/// Adds this share of what `all` stands for besides itself.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a count lies between 0 and the count"
)]
fn add_omitted(own: &mut Histogram<u64>, all: &Histogram<u64>, share: f64, interval: Span) {
    let corrected = all.clone_correct(interval.0.max(1));
    let mut rest = 0.0;
    for step in corrected.iter_recorded() {
        let value = step.value_iterated_to();
        // What is left of a share goes to the next value, so that whole operations add up.
        rest += (step.count_at_value() - all.count_at(value)) as f64 * share;
        let count = (rest + 1e-9).floor();
        rest -= count;
        own.record_n(value, count as u64).expect("all histograms have the same bounds");
    }
}

/// An empty histogram of the one shape.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, Latencies::MAX.0, 3).expect("the bounds are constants")
}

/// The rank, from 1, of this quantile of so many, as `HdrHistogram` has it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a count lies between 0 and the count"
)]
fn rank(share: f64, count: u64) -> u64 {
    ((share * count as f64).ceil() as u64).max(1)
}

fn encode(histogram: &Histogram<u64>) -> Vec<u8> {
    let mut bytes = Vec::new();
    V2DeflateSerializer::new()
        .serialize(histogram, &mut bytes)
        .expect("a histogram of this size is written to memory");
    bytes
}

/// Latencies and operations without an answer, as they are kept together.
#[derive(Serialize, Deserialize)]
struct Encoded {
    answered: Bytes,
    unanswered: Option<Bytes>,
}

impl From<Latencies> for Encoded {
    fn from(latencies: Latencies) -> Self {
        let unanswered = latencies.unanswered.as_ref().map(|unanswered| encode(unanswered).into());
        Self { answered: latencies.encode().into(), unanswered }
    }
}

impl TryFrom<Encoded> for Latencies {
    type Error = Error;

    fn try_from(encoded: Encoded) -> Result<Self, Error> {
        let mut latencies = Self::decode(&encoded.answered)?;
        if let Some(unanswered) = encoded.unanswered {
            latencies.unanswered = Some(Box::new(Self::decode(&unanswered)?.answered));
        }
        Ok(latencies)
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

    /// Some latencies and some waits in vain, in milliseconds.
    fn with(answered: &[u64], waited: &[u64]) -> Latencies {
        let mut latencies = of(answered.iter().map(|ms| ms * 1_000_000));
        for ms in waited {
            latencies.record_unanswered(Span::from_millis(*ms));
        }
        latencies
    }

    /// The figure in milliseconds: `20`, or `>20`.
    fn told(figure: Option<Figure>) -> String {
        match figure {
            None => "-".into(),
            Some(Figure::Known(span)) => format!("{:.0}", span.as_millis_f64()),
            Some(Figure::Above(span)) => format!(">{:.0}", span.as_millis_f64()),
        }
    }

    #[test]
    fn an_unanswered_operation_ranks_behind_all_that_are_shorter() {
        let latencies = with(&[20; 60], &[1000; 40]);
        assert_eq!((latencies.count(), latencies.unanswered_count()), (60, 40));
        let at = [0.0, 0.5, 0.6, 0.61, 1.0].map(|share| told(latencies.figure(share)));
        assert_eq!(at, ["20", "20", "20", ">1000", ">1000"]);
        assert_eq!(
            (latencies.max(), latencies.mean(), latencies.quantile(0.9)),
            (None, None, None)
        );
        assert!(latencies.min().is_some() && latencies.quantile(0.6).is_some());
        assert!(latencies.at_rank(60).is_some() && latencies.at_rank(61).is_none());
        // All of them were answered, or none was.
        assert_eq!(told(with(&[20; 60], &[]).figure(1.0)), "20");
        let none = with(&[], &[7]);
        assert_eq!((told(none.figure(0.5)), none.min(), none.count()), (">7".into(), None, 0));
        assert!(!none.is_empty());
    }

    #[test]
    fn a_known_percentile_is_the_same_however_long_one_waits() {
        // Ten operations, begun a second apart in a window of ten, with these latencies.
        let took = [20_u64, 20, 9_500, 20, 4_000, 20, 20, 2_500, 20, 1_200];
        let seen = |drain: u64| {
            let mut latencies = Latencies::new();
            for (took, waited) in took.iter().zip((1..=10).rev().map(|s| s * 1000 + drain)) {
                if *took <= waited {
                    latencies.record(Span::from_millis(*took));
                } else {
                    latencies.record_unanswered(Span::from_millis(waited));
                }
            }
            latencies
        };
        let all = seen(20_000);
        assert_eq!(all.unanswered_count(), 0);
        for drain in (0..10_000).step_by(100) {
            let cut = seen(drain);
            for percent in (0..=100).map(f64::from) {
                let (cut, all) = (cut.figure(percent / 100.0), all.figure(percent / 100.0));
                match (cut, all) {
                    (Some(Figure::Above(cut)), Some(Figure::Known(all))) => assert!(cut <= all),
                    _ => assert_eq!(cut, all, "{percent} % with a drain of {drain} ms"),
                }
            }
        }
        // Without a drain the last two are unknown, and one of them may be among the quickest seven.
        assert_eq!(told(seen(0).figure(0.7)), ">1000");
        assert_eq!(told(seen(0).figure(0.6)), "20");
    }

    #[test]
    fn merged_histograms_keep_the_unanswered_and_travel_with_them() {
        let merged: Latencies =
            [&with(&[1], &[5]), &with(&[2], &[]), &with(&[], &[6, 7])].into_iter().collect();
        assert_eq!((merged.count(), merged.unanswered_count()), (2, 3));
        let bytes = postcard::to_stdvec(&merged).unwrap();
        assert_eq!(postcard::from_bytes::<Latencies>(&bytes).unwrap(), merged);
        let mut cleared = merged;
        cleared.clear();
        assert_eq!(cleared, Latencies::new());
    }

    #[test]
    fn a_percentile_is_told_with_ten_operations_beyond_it() {
        let told_of = |count: usize, share| with(&vec![1; count], &[]).percentile(share).is_some();
        assert_eq!((told_of(999, 0.99), told_of(1000, 0.99)), (false, true));
        assert_eq!((told_of(99, 0.9), told_of(100, 0.9)), (false, true));
        assert_eq!((told_of(0, 0.5), told_of(1, 0.5)), (false, true));
        // Operations without an answer lie beyond too.
        assert_eq!(told(with(&[1; 995], &[50; 5]).percentile(0.99)), "1");
        assert_eq!(told(with(&[1; 985], &[50; 15]).percentile(0.99)), ">50");
    }

    #[test]
    fn a_corrected_pause_counts_what_was_not_begun_in_it() {
        let mut latencies = of(std::iter::repeat_n(2_000_000, 1000));
        latencies.record(Span::from_millis(1000));
        let corrected = latencies.corrected(&latencies, Span::from_millis(2));
        // 998, 996 and so on down to 2 ms.
        assert_eq!(corrected.count(), 1000 + 500);
        assert_eq!(told(latencies.figure(0.99)), "2");
        assert_eq!(told(corrected.figure(0.9)), "700");
        let mut never = of(std::iter::repeat_n(2_000_000, 1000));
        never.record_unanswered(Span::from_millis(1000));
        assert_eq!(never.corrected(&never, Span::from_millis(2)).unanswered_count(), 500);
    }

    /// Four fifths of what was not begun would have been reads, though it was a write that waited.
    #[test]
    fn a_corrected_pause_counts_each_kind_by_its_share() {
        let reads = of(std::iter::repeat_n(2_000_000, 800));
        let mut writes = of(std::iter::repeat_n(2_000_000, 199));
        writes.record_unanswered(Span::from_millis(1000));
        let all: Latencies = [&reads, &writes].into_iter().collect();
        let corrected = |kind: &Latencies| kind.corrected(&all, Span::from_millis(2));
        assert_eq!(corrected(&reads).unanswered_count(), 499 * 4 / 5);
        assert_eq!(corrected(&writes).unanswered_count(), 1 + 99);
        assert_eq!(told(corrected(&reads).figure(0.9)), ">700");
    }

    #[test]
    fn a_quantile_of_those_below_a_limit_leaves_out_the_others() {
        let latencies = with(&[1, 1, 1, 3, 50], &[70]);
        let of = |limit_ms| latencies.quantile_below(Span::from_millis(limit_ms), 1.0);
        assert_eq!(of(40).map(|span| span.as_millis_f64().round()), Some(3.0));
        assert_eq!(of(1), None);
    }
}
