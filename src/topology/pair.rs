//! One row of a table beside its fit: by how much the emulated round trip misses the published one.

use std::collections::BTreeMap;

use crate::time::Span;

use super::fit::Fit;

/// The round trip from one region to another, published and fitted.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// Who measured it.
    pub from: String,
    /// To whom.
    pub to: String,
    /// What was published: (probability, round trip), ascending.
    pub published: Vec<(f64, Span)>,
    /// What is emulated where delays vary.
    pub fit: Fit,
}

/// A percentile of one pair, published and fitted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LevelError {
    /// Which percentile, as a probability.
    pub probability: f64,
    /// What was published.
    pub published: Span,
    /// What the fit has there.
    pub fitted: Span,
}

impl Pair {
    pub(super) fn new(from: &str, to: &str, published: &[(f64, Span)]) -> Self {
        let (from, to) = (from.to_owned(), to.to_owned());
        Self { from, to, published: published.to_vec(), fit: Fit::of(published) }
    }

    /// The error at each published percentile; none at the median.
    pub fn errors(&self) -> impl Iterator<Item = LevelError> {
        self.fit.errors(&self.published)
    }
}

impl LevelError {
    /// Fitted less published, in milliseconds; nothing for a nanosecond of rounding.
    pub fn difference_ms(&self) -> f64 {
        let difference_ms = self.fitted.as_millis_f64() - self.published.as_millis_f64();
        if difference_ms.abs() < 1.5e-6 { 0.0 } else { difference_ms }
    }

    /// The same as a share of what was published; nothing where that is zero.
    pub fn relative(&self) -> f64 {
        let published_ms = self.published.as_millis_f64();
        if published_ms > 0.0 { self.difference_ms() / published_ms } else { 0.0 }
    }
}

/// How far the fits of many pairs are off at one percentile; errors without their signs.
#[derive(Clone, Debug, PartialEq)]
pub struct Misses {
    /// Which percentile, as a probability.
    pub probability: f64,
    /// Half of the pairs are off by less: milliseconds.
    pub p50_ms: f64,
    /// The same as a share of what was published.
    pub p50_relative: f64,
    /// All but a twentieth of the pairs are off by less: milliseconds.
    pub p95_ms: f64,
    /// The same as a share of what was published.
    pub p95_relative: f64,
    /// The pair that is off by most milliseconds: from, to.
    pub worst_pair: (String, String),
    /// Its error.
    pub worst: LevelError,
}

impl Misses {
    /// Of these pairs at each percentile that any of them has, ascending.
    pub fn of(pairs: &[Pair]) -> Vec<Self> {
        // Probabilities are positive, so their bits are in their order.
        let mut levels: BTreeMap<u64, Vec<(&Pair, LevelError)>> = BTreeMap::new();
        for pair in pairs {
            for error in pair.errors() {
                levels.entry(error.probability.to_bits()).or_default().push((pair, error));
            }
        }
        levels.into_values().filter_map(|errors| Self::at_one(&errors)).collect()
    }

    fn at_one(errors: &[(&Pair, LevelError)]) -> Option<Self> {
        let size = |error: &LevelError| error.difference_ms().abs();
        let (pair, worst) = errors.iter().max_by(|a, b| size(&a.1).total_cmp(&size(&b.1)))?;
        let sorted = |of: fn(&LevelError) -> f64| {
            let mut values: Vec<f64> = errors.iter().map(|(_, error)| of(error).abs()).collect();
            values.sort_by(f64::total_cmp);
            values
        };
        let (ms, relative) = (sorted(LevelError::difference_ms), sorted(LevelError::relative));
        let (middle, high) = (ms.len() / 2, ms.len() * 95 / 100);
        Some(Self {
            probability: worst.probability,
            p50_ms: ms[middle],
            p50_relative: relative[middle],
            p95_ms: ms[high],
            p95_relative: relative[high],
            worst_pair: (pair.from.clone(), pair.to.clone()),
            worst: *worst,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Profile;

    #[test]
    fn the_misses_of_a_profile_are_those_of_its_pairs() {
        let pairs = Profile::load("aws-2024-04").unwrap().fits();
        let misses = Misses::of(&pairs);
        let percentiles: Vec<f64> = misses.iter().map(|level| level.probability).collect();
        assert_eq!(percentiles, [0.1, 0.25, 0.5, 0.75, 0.9, 0.99]);
        for level in &misses {
            let worst_ms = level.worst.difference_ms().abs();
            assert!(level.p50_ms <= level.p95_ms && level.p95_ms <= worst_ms, "{level:?}");
            let (from, to) = &level.worst_pair;
            let pair = pairs.iter().find(|pair| (&pair.from, &pair.to) == (from, to)).unwrap();
            assert!(pair.errors().any(|error| error == level.worst));
        }
        assert!(misses[2].worst.difference_ms().abs() < f64::EPSILON, "the median is met");
        assert!(misses[5].p50_ms > 0.0);
        assert_eq!(Misses::of(&[]), []);
    }
}
