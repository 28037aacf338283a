//! Latencies while they are recorded, and as they travel.
//!
//! A histogram is a quarter of a megabyte whatever it holds, and encoding one takes as long as
//! recording ten thousand latencies.
//! So the first latencies are kept one by one, and a histogram begins where they end: a quiet interval
//! costs what is in it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Error, Latencies};
use crate::time::Span;

/// So many latencies are kept one by one.
const FEW: usize = 512;

/// Latencies that are being recorded.
#[derive(Clone, Debug)]
pub(super) struct Samples {
    few: Vec<u64>,
    /// All of them, once they are many; kept empty for the next time.
    many: Option<Latencies>,
    is_many: bool,
}

impl Samples {
    pub(super) fn new() -> Self {
        Self { few: Vec::with_capacity(FEW), many: None, is_many: false }
    }

    /// Counts one latency.
    #[inline]
    pub(super) fn record(&mut self, latency: Span) {
        if !self.is_many && self.few.len() < FEW {
            self.few.push(latency.0);
            return;
        }
        match &mut self.many {
            Some(many) if self.is_many => many.record(latency),
            _ => self.overflow(latency),
        }
    }

    #[cold]
    fn overflow(&mut self, latency: Span) {
        let many = self.many.get_or_insert_with(Latencies::new);
        for few in self.few.drain(..) {
            many.record(Span(few));
        }
        many.record(latency);
        self.is_many = true;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.few.is_empty() && !self.is_many
    }

    /// Forgets all latencies and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.few.clear();
        if std::mem::take(&mut self.is_many)
            && let Some(many) = &mut self.many
        {
            many.clear();
        }
    }

    /// As a histogram.
    pub(super) fn latencies(&self) -> Latencies {
        let mut latencies = Latencies::new();
        match &self.many {
            Some(many) if self.is_many => latencies.merge(many),
            _ => self.few.iter().for_each(|few| latencies.record(Span(*few))),
        }
        latencies
    }

    /// As they travel.
    pub(super) fn pack(&self) -> Packed {
        if let (true, Some(many)) = (self.is_many, &self.many) {
            return Packed::Many(Bytes::from(many.encode()));
        }
        let mut few = self.few.clone();
        few.sort_unstable();
        let mut before = 0;
        for latency in &mut few {
            let difference = *latency - before;
            before = std::mem::replace(latency, difference);
        }
        Packed::Few(few)
    }
}

/// Latencies as they travel and are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Packed {
    /// One by one, ascending, each as its difference from the one before.
    Few(Vec<u64>),
    /// A histogram, encoded.
    Many(Bytes),
}

impl Default for Packed {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Packed {
    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Few(few) if few.is_empty())
    }

    /// How many there are.
    pub(super) fn count(&self) -> Result<u64, Error> {
        match self {
            Self::Few(few) => Ok(few.len() as u64),
            Self::Many(bytes) => Ok(Latencies::decode(bytes)?.count()),
        }
    }

    /// Adds them to `total`.
    pub(super) fn add_to(&self, total: &mut Latencies) -> Result<(), Error> {
        match self {
            Self::Few(differences) => few(differences).for_each(|latency| total.record(latency)),
            Self::Many(bytes) => total.merge(&Latencies::decode(bytes)?),
        }
        Ok(())
    }

    /// Adds them to `total` as the times for which operations were waited that have no answer.
    pub(super) fn add_unanswered_to(&self, total: &mut Latencies) -> Result<(), Error> {
        match self {
            Self::Few(differences) => {
                few(differences).for_each(|waited| total.record_unanswered(waited));
            }
            Self::Many(bytes) => total.add_unanswered(&Latencies::decode(bytes)?),
        }
        Ok(())
    }

    /// As a histogram.
    pub(super) fn latencies(&self) -> Result<Latencies, Error> {
        if let Self::Many(bytes) = self {
            return Latencies::decode(bytes);
        }
        let mut latencies = Latencies::new();
        self.add_to(&mut latencies)?;
        Ok(latencies)
    }
}

/// What was packed one by one.
fn few(differences: &[u64]) -> impl Iterator<Item = Span> + '_ {
    differences.iter().scan(0_u64, |latency, difference| {
        *latency = latency.saturating_add(*difference);
        Some(Span(*latency))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_many_say_the_same_as_a_histogram() {
        for count in [0, 1, FEW as u64 - 1, FEW as u64, FEW as u64 + 1, 5_000] {
            let (mut samples, mut expected) = (Samples::new(), Latencies::new());
            for number in 0..count {
                let latency = Span(number * 7_919 % 5_003 * 97_777);
                samples.record(latency);
                expected.record(latency);
            }
            assert_eq!(samples.is_empty(), count == 0);
            assert_eq!(samples.latencies(), expected, "{count}");
            let packed = samples.pack();
            assert_eq!(matches!(packed, Packed::Few(_)), count <= FEW as u64);
            assert_eq!(packed.latencies().unwrap(), expected, "{count}");
            let mut twice = expected.clone();
            packed.add_to(&mut twice).unwrap();
            assert_eq!(twice.count(), 2 * count);
            packed.add_unanswered_to(&mut twice).unwrap();
            assert_eq!((twice.count(), twice.unanswered_count()), (2 * count, count));
            assert_eq!((packed.is_empty(), packed.count().unwrap()), (count == 0, count));
            let bytes = postcard::to_stdvec(&packed).unwrap();
            assert_eq!(postcard::from_bytes::<Packed>(&bytes).unwrap(), packed);
            assert!(bytes.len() < 3_000, "{} bytes", bytes.len());
        }
    }

    #[test]
    fn what_is_cleared_begins_anew() {
        let mut samples = Samples::new();
        for round in 1..=3 {
            (0..round * 400).for_each(|latency| samples.record(Span(latency)));
            assert_eq!(samples.latencies().count(), round * 400);
            samples.clear();
            assert!(samples.is_empty() && samples.latencies().is_empty());
        }
    }
}
