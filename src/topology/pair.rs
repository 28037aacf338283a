//! One row of a table beside its fit: by how much the emulated round trip misses the published one.

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
        self.published.iter().map(|(probability, published)| LevelError {
            probability: *probability,
            published: *published,
            fitted: self.fit.round_trip(*probability),
        })
    }
}

impl LevelError {
    /// Fitted less published, in milliseconds.
    pub fn difference_ms(&self) -> f64 {
        self.fitted.as_millis_f64() - self.published.as_millis_f64()
    }

    /// The same as a share of what was published; not a number where that is zero.
    pub fn relative(&self) -> f64 {
        self.difference_ms() / self.published.as_millis_f64()
    }
}
