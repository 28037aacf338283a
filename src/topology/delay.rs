//! The distribution of a link's one-way delay, as a piecewise-linear quantile function.
//!
//! Published latency comes as a few percentiles.
//! Between two of them this interpolates; outside the lowest and the highest it stays flat, so no
//! delay is ever drawn that the source does not state.

use serde::{Deserialize, Serialize};

use crate::time::Span;

/// The distribution of one direction of a link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delay {
    /// (probability, delay), both ascending, at least one.
    quantiles: Vec<(f64, Span)>,
}

impl Delay {
    /// No delay at all.
    pub fn zero() -> Self {
        Self::constant(Span::ZERO)
    }

    /// Always the same delay.
    pub fn constant(delay: Span) -> Self {
        Self { quantiles: vec![(0.5, delay)] }
    }

    /// A distribution through the given (probability, delay) points.
    ///
    /// # Panics
    /// If there is no point, or either coordinate descends: profiles are checked when they are read.
    pub fn from_quantiles(quantiles: Vec<(f64, Span)>) -> Self {
        assert!(!quantiles.is_empty(), "a delay needs at least one quantile");
        assert!(
            quantiles.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1),
            "quantiles of a delay must ascend: {quantiles:?}"
        );
        Self { quantiles }
    }

    /// The delay that is not exceeded with this probability.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the weight is between 0 and 1, so the result lies between two spans"
    )]
    pub fn quantile(&self, probability: f64) -> Span {
        let above = self.quantiles.partition_point(|(p, _)| *p < probability);
        if above == 0 {
            return self.quantiles[0].1;
        }
        let (low, from) = self.quantiles[above - 1];
        let Some((high, to)) = self.quantiles.get(above) else { return from };
        let weight = (probability - low) / (high - low);
        from + Span(((*to - from).0 as f64 * weight).round() as u64)
    }

    /// The probability of a delay that is not longer.
    pub fn cdf(&self, span: Span) -> f64 {
        let above = self.quantiles.partition_point(|(_, delay)| *delay <= span);
        let (Some((high, to)), Some((low, from))) =
            (self.quantiles.get(above), above.checked_sub(1).map(|below| &self.quantiles[below]))
        else {
            return if above == 0 { 0.0 } else { 1.0 };
        };
        low + (high - low) * (span - *from).0 as f64 / (*to - *from).0 as f64
    }

    /// The median.
    pub fn median(&self) -> Span {
        self.quantile(0.5)
    }

    /// Whether every draw is the same.
    pub fn is_constant(&self) -> bool {
        self.quantiles.first().map(|q| q.1) == self.quantiles.last().map(|q| q.1)
    }

    /// Whether every draw is zero: such a link need not be emulated.
    pub fn is_zero(&self) -> bool {
        self.quantiles.last().is_some_and(|q| q.1 == Span::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate_between_the_points_and_stay_flat_outside() {
        let ms = Span::from_millis;
        let delay = Delay::from_quantiles(vec![(0.5, ms(10)), (0.9, ms(14))]);
        assert_eq!(delay.quantile(0.0), ms(10));
        assert_eq!(delay.median(), ms(10));
        assert_eq!(delay.quantile(0.7), ms(12));
        assert_eq!(delay.quantile(0.99), ms(14));
    }

    #[test]
    fn a_constant_is_the_same_everywhere() {
        let delay = Delay::constant(Span::from_millis(3));
        assert!(delay.is_constant() && !delay.is_zero());
        assert_eq!(delay.quantile(0.001), delay.quantile(0.999));
        assert!(Delay::zero().is_zero());
    }
}
