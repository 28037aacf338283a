//! The latency of a write drawn from the load: that of each client with the probability of its weight.

use super::distribution::Distribution;
use crate::time::Span;

/// Sums of weights that differ by less are equal.
const TOLERANCE: f64 = 1e-12;

/// A length of time of which percentiles are asked.
pub(super) trait Quantiles: Clone {
    /// What it does not exceed with this probability.
    fn quantile(&self, probability: f64) -> Span;

    /// From one point to the next where it is known on points; zero where it is exact.
    fn step(&self) -> Span;
}

impl Quantiles for Distribution {
    fn quantile(&self, probability: f64) -> Span {
        self.quantile(probability)
    }

    fn step(&self) -> Span {
        self.step()
    }
}

/// One of several lengths, each with its probability.
#[derive(Clone, Debug)]
pub(super) struct Mixture(Vec<(f64, Distribution)>);

impl Mixture {
    /// Each in proportion to its weight.
    pub(super) fn new(weights: &[f64], lengths: Vec<Distribution>) -> Self {
        let total: f64 = weights.iter().sum();
        Self(weights.iter().map(|weight| weight / total).zip(lengths).collect())
    }

    fn cdf(&self, span: Span) -> f64 {
        self.0.iter().map(|(share, length)| share * length.cdf(span)).sum()
    }
}

impl Quantiles for Mixture {
    /// The least length that is not exceeded with this probability, by halving to the nanosecond.
    fn quantile(&self, probability: f64) -> Span {
        let end = |of: f64| self.0.iter().map(move |(_, length)| length.quantile(of));
        let mut low = end(0.0).min().unwrap_or_default();
        let mut high = end(1.0).max().unwrap_or_default();
        while low < high {
            let middle = Span(low.0 + (high.0 - low.0) / 2);
            if self.cdf(middle) + TOLERANCE < probability {
                low = middle + Span(1);
            } else {
                high = middle;
            }
        }
        low
    }

    fn step(&self) -> Span {
        self.0.iter().map(|(_, length)| length.step()).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_constants(parts: &[(f64, u64)]) -> Mixture {
        let weights: Vec<f64> = parts.iter().map(|part| part.0).collect();
        let lengths = parts.iter().map(|part| Distribution::constant(Span(part.1))).collect();
        Mixture::new(&weights, lengths)
    }

    #[test]
    fn percentiles_of_constants_are_those_of_their_weights() {
        let two = of_constants(&[(1.0, 70), (1.0, 10)]);
        assert_eq!([0.5, 0.51, 0.99].map(|share| two.quantile(share)), [10, 70, 70].map(Span));
        let many = of_constants(&[(98.0, 5), (1.0, 7), (1.0, 900)]);
        assert_eq!([0.5, 0.99, 0.995].map(|share| many.quantile(share)), [5, 7, 900].map(Span));
    }
}
