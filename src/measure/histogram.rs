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
    answered: Counts,
    /// How long those were waited for that were never answered; never empty.
    unanswered: Option<Box<Histogram<u64>>>,
}

/// Latencies that were answered, counted.
#[derive(Clone, Debug)]
enum Counts {
    Whole(Histogram<u64>),
    /// The values that there are, each with its count, and how many that are.
    Packed(Box<[(u64, u64)]>, u64),
}

impl Counts {
    fn whole(&self) -> Cow<'_, Histogram<u64>> {
        match self {
            Self::Whole(whole) => Cow::Borrowed(whole),
            Self::Packed(values, _) => Cow::Owned(unpacked(values)),
        }
    }

    #[inline]
    fn whole_mut(&mut self) -> &mut Histogram<u64> {
        if let Self::Packed(values, _) = self {
            *self = Self::Whole(unpacked(values));
        }
        match self {
            Self::Whole(whole) => whole,
            Self::Packed(..) => unreachable!("it was just unpacked"),
        }
    }

    fn len(&self) -> u64 {
        match self {
            Self::Whole(whole) => whole.len(),
            Self::Packed(_, count) => *count,
        }
    }

    fn pack(&mut self) {
        if let Self::Whole(whole) = self {
            let steps = whole.iter_recorded();
            let values = steps.map(|step| (step.value_iterated_to(), step.count_at_value()));
            *self = Self::Packed(values.collect(), whole.len());
        }
    }
}

impl PartialEq for Counts {
    fn eq(&self, other: &Self) -> bool {
        self.whole() == other.whole()
    }
}

fn unpacked(values: &[(u64, u64)]) -> Histogram<u64> {
    let mut whole = histogram();
    for (value, count) in values {
        whole.record_n(*value, *count).expect("it was recorded before");
    }
    whole
}

impl Latencies {
    /// The longest latency that is told from others: one hour.
    pub const MAX: Span = Span(3_600_000_000_000);

    /// No latency.
    pub fn new() -> Self {
        Self { answered: Counts::Whole(histogram()), unanswered: None }
    }

    /// Counts one latency.
    #[inline]
    pub fn record(&mut self, latency: Span) {
        self.answered.whole_mut().saturating_record(latency.0);
    }

    /// Counts one operation that was waited for so long and never answered.
    pub fn record_unanswered(&mut self, waited: Span) {
        self.unanswered.get_or_insert_with(|| Box::new(histogram())).saturating_record(waited.0);
    }

    /// Adds all latencies and all unanswered operations of `other`.
    pub fn merge(&mut self, other: &Self) {
        const SAME: &str = "all histograms have the same bounds";
        self.answered.whole_mut().add(other.answered.whole().as_ref()).expect(SAME);
        if let Some(unanswered) = &other.unanswered {
            let mine = self.unanswered.get_or_insert_with(|| Box::new(histogram()));
            mine.add(unanswered.as_ref()).expect(SAME);
        }
    }

    /// The same operations with what each took beyond `floor`; nothing is a nanosecond.
    #[must_use]
    pub fn beyond(&self, floor: Span) -> Self {
        let beyond = |of: &Histogram<u64>| {
            let mut shifted = histogram();
            for step in of.iter_recorded() {
                let value = step.value_iterated_to().saturating_sub(floor.0).max(1);
                shifted
                    .record_n(value, step.count_at_value())
                    .expect("it is no longer than before");
            }
            shifted
        };
        let unanswered = self.unanswered.as_deref().map(|waited| Box::new(beyond(waited)));
        Self { answered: Counts::Whole(beyond(&self.answered.whole())), unanswered }
    }

    /// For how long the operations without an answer were waited for, as if those were latencies.
    #[must_use]
    pub fn waits(&self) -> Self {
        let answered = self.unanswered.as_deref().cloned().unwrap_or_else(histogram);
        Self { answered: Counts::Whole(answered), unanswered: None }
    }

    /// Adds the latencies of `waits` as the times for which operations were waited that have no answer.
    pub fn add_unanswered(&mut self, waits: &Self) {
        let unanswered = self.unanswered.get_or_insert_with(|| Box::new(histogram()));
        unanswered
            .add(waits.answered.whole().as_ref())
            .expect("all histograms have the same bounds");
    }

    /// Forgets everything and keeps the memory for latencies.
    pub fn clear(&mut self) {
        self.answered.whole_mut().reset();
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

    /// Every latency that was answered, in nanoseconds as its bucket stands for it, in rising order.
    pub fn values(&self) -> Vec<u64> {
        let answered = self.answered.whole();
        let buckets = answered.iter_recorded().flat_map(|bucket| {
            let value = answered.highest_equivalent(bucket.value_iterated_to());
            (0..bucket.count_at_value()).map(move |_| value)
        });
        buckets.collect()
    }

    /// The least latency; `None` without any, or where only a lower bound is known.
    pub fn min(&self) -> Option<Span> {
        if self.unanswered.is_some() {
            return self.quantile(0.0);
        }
        (!self.is_empty()).then(|| Span(self.answered.whole().min()))
    }

    /// The greatest latency; `None` without any, or where an operation was never answered.
    pub fn max(&self) -> Option<Span> {
        (self.unanswered.is_none() && !self.is_empty()).then(|| Span(self.answered.whole().max()))
    }

    /// The mean, to the nanosecond; `None` without any latency, or where an operation was never answered.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a mean of latencies up to one hour lies between 0 and one hour"
    )]
    pub fn mean(&self) -> Option<Span> {
        (self.unanswered.is_none() && !self.is_empty())
            .then(|| Span(self.answered.whole().mean().round() as u64))
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
        add_omitted(corrected.answered.whole_mut(), &all.answered.whole(), share, interval);
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
        let answered = self.answered.whole();
        for step in answered.iter_recorded() {
            let value = step.value_iterated_to();
            if answered.highest_equivalent(value) < limit.0 {
                below.record_n(value, step.count_at_value()).expect("it was recorded before");
            }
        }
        (!below.is_empty()).then(|| Span(below.value_at_quantile(share)))
    }

    /// All operations, those without an answer with the time that they were waited for.
    fn whole(&self) -> Cow<'_, Histogram<u64>> {
        let answered = self.answered.whole();
        let Some(unanswered) = &self.unanswered else { return answered };
        let mut whole = answered.into_owned();
        whole.add(unanswered.as_ref()).expect("all histograms have the same bounds");
        Cow::Owned(whole)
    }

    /// Whether so many operations were answered within `value`: then it is the latency of that rank even
    /// if the others take for ever.
    fn reaches(&self, rank: u64, value: u64) -> bool {
        self.unanswered.is_none() || self.answered.whole().count_between(0, value) >= rank
    }

    /// The latencies as they travel and are kept: `HdrHistogram` V2 with DEFLATE.
    ///
    /// That format cannot hold operations without an answer.
    pub fn encode(&self) -> Vec<u8> {
        encode(&self.answered.whole())
    }

    /// Takes what [`Self::encode`], or another program, wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let found: Histogram<u64> = Deserializer::new()
            .deserialize(&mut &*bytes)
            .map_err(|source| Error::Histogram { length: bytes.len(), source })?;
        if found.sigfig() != 3 {
            return Err(Error::Precision { found: found.sigfig() });
        }
        if (found.low(), found.high()) == (1, Self::MAX.0) {
            return Ok(Self { answered: Counts::Whole(found), unanswered: None });
        }
        let mut latencies = Self::new();
        latencies
            .answered
            .whole_mut()
            .add(&found)
            .map_err(|_| Error::Range { max: found.max(), limit: Self::MAX.0 })?;
        Ok(latencies)
    }

    pub(super) fn inner(&self) -> Cow<'_, Histogram<u64>> {
        self.answered.whole()
    }

    /// From now on it takes no more memory than what is counted needs, until more is: a histogram is a quarter of
    /// a megabyte, whatever it holds.
    pub fn pack(&mut self) {
        self.answered.pack();
    }

    /// The same, where several things are asked of it: one that is packed is unpacked once.
    pub(super) fn unpacked(&self) -> Cow<'_, Self> {
        match &self.answered {
            Counts::Whole(_) => Cow::Borrowed(self),
            Counts::Packed(values, _) => Cow::Owned(Self {
                answered: Counts::Whole(unpacked(values)),
                unanswered: self.unanswered.clone(),
            }),
        }
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
            let waits = Self::decode(&unanswered)?.answered.whole().into_owned();
            latencies.unanswered = Some(Box::new(waits));
        }
        // What is read back is mostly kept, and that of many trials.
        latencies.pack();
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
mod tests;
