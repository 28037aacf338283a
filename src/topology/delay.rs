//! The distribution of a link's one-way delay: a constant, or a shifted Weibull.
//!
//! Q(p) = shift + scale · (−ln(1−p))^(1/shape), with shape ≥ 1: what is above the least delay has a
//! tail no heavier than an exponential one.
//! Backbones of clouds are like that: the published p99 of a round trip is some 5 % above its median.
//! Quantile and cumulative distribution are closed forms, so that a draw is cheap and a floor exact.
//!
//! [`fit`](super::fit) finds the parameters from published percentiles.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::Span;

/// The highest probability that has a quantile: the nearest below 1.
const PROBABILITY_MAX: f64 = 1.0 - f64::EPSILON / 2.0;

/// The distribution of one direction of a link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delay {
    /// The least delay.
    shift: Span,
    /// In nanoseconds; zero if the delay is constant.
    scale_ns: f64,
    shape: f64,
}

impl Delay {
    /// No delay at all.
    pub const fn zero() -> Self {
        Self::constant(Span::ZERO)
    }

    /// Always the same delay.
    pub const fn constant(delay: Span) -> Self {
        Self { shift: delay, scale_ns: 0.0, shape: 1.0 }
    }

    /// At least `shift`, and above it a Weibull distribution of this scale and shape.
    ///
    /// # Panics
    /// If the scale is negative or infinite, or the shape below 1: fits and tests have neither.
    pub fn weibull(shift: Span, scale_ns: f64, shape: f64) -> Self {
        assert!(scale_ns >= 0.0 && scale_ns.is_finite(), "{scale_ns} ns is no scale");
        assert!(shape >= 1.0 && shape.is_finite(), "a tail of shape {shape} is not thin");
        Self { shift, scale_ns, shape }
    }

    /// The delay that is not exceeded with this probability; of 0 the least, and of 1 what is exceeded
    /// once in 2^53.
    #[inline]
    pub fn quantile(&self, probability: f64) -> Span {
        if self.is_constant() {
            return self.shift;
        }
        let hazard = -(-probability.clamp(0.0, PROBABILITY_MAX)).ln_1p();
        self.shift + nanoseconds(self.scale_ns * hazard.powf(self.shape.recip()))
    }

    /// The probability that a delay is not longer than `delay`.
    pub fn cdf(&self, delay: Span) -> f64 {
        if delay < self.shift {
            return 0.0;
        }
        if self.is_constant() {
            return 1.0;
        }
        let above = (delay - self.shift).0 as f64 / self.scale_ns;
        -(-above.powf(self.shape)).exp_m1()
    }

    /// The median.
    pub fn median(&self) -> Span {
        self.quantile(0.5)
    }

    /// The least delay.
    pub const fn least(&self) -> Span {
        self.shift
    }

    /// The same shape of delays, all of them shorter by `baseline` or, where the least delay is
    /// shorter than that, by the whole of the least delay; and by how much.
    ///
    /// What a real path takes anyway is taken off what is emulated, and where it could not be taken
    /// off whole, the link is faster than the path.
    #[must_use]
    pub fn shorter_by(&self, baseline: Span) -> (Self, Span) {
        let taken = baseline.min(self.shift);
        (Self { shift: self.shift - taken, ..self.clone() }, taken)
    }

    /// Whether every draw is the same.
    pub fn is_constant(&self) -> bool {
        self.scale_ns <= 0.0
    }

    /// Whether every draw is zero: such a link need not be emulated.
    pub fn is_zero(&self) -> bool {
        self.is_constant() && self.shift == Span::ZERO
    }
}

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_constant() {
            return write!(f, "always {}", self.shift);
        }
        let scale_ms = self.scale_ns / 1e6;
        let (shift, shape) = (self.shift, self.shape);
        write!(f, "{shift} and a Weibull delay of scale {scale_ms:.3}ms and shape {shape}")
    }
}

/// The nearest span.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float cast saturates, which is what is wanted"
)]
pub(super) fn nanoseconds(nanoseconds: f64) -> Span {
    Span(nanoseconds.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: f64 = 1e6;

    fn ms(millis: u64) -> Span {
        Span::from_millis(millis)
    }

    #[test]
    fn a_constant_is_the_same_everywhere() {
        let delay = Delay::constant(ms(3));
        assert!(delay.is_constant() && !delay.is_zero());
        for probability in [0.0, 0.001, 0.5, 0.999, 1.0] {
            assert_eq!(delay.quantile(probability), ms(3));
        }
        assert_eq!((delay.cdf(ms(3) - Span(1)), delay.cdf(ms(3))), (0.0, 1.0));
        assert!(Delay::zero().is_zero());
        assert!((Delay::zero().cdf(Span::ZERO) - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn of_shape_one_it_is_a_shifted_exponential() {
        let delay = Delay::weibull(ms(10), 2.0 * MS, 1.0);
        assert!(!delay.is_constant() && !delay.is_zero());
        assert_eq!(delay.quantile(0.0), ms(10));
        assert_eq!(delay.median(), Span(10_000_000 + 1_386_294));
        assert_eq!(delay.quantile(0.99), Span(10_000_000 + 9_210_340));
        assert!((delay.cdf(ms(12)) - (1.0 - (-1.0_f64).exp())).abs() < 1e-12);
        assert!(delay.cdf(ms(10)).abs() < f64::EPSILON);
        assert!(delay.cdf(ms(9)).abs() < f64::EPSILON);
    }

    #[test]
    fn the_distribution_undoes_the_quantile() {
        for shape in [1.0, 1.125, 2.5, 8.0] {
            let delay = Delay::weibull(ms(30), 3.0 * MS, shape);
            for percent in 1..100 {
                let probability = f64::from(percent) / 100.0;
                let found = delay.cdf(delay.quantile(probability));
                assert!((found - probability).abs() < 1e-5, "{shape} {probability}: {found}");
            }
        }
    }

    #[test]
    fn quantiles_ascend_and_the_last_is_finite() {
        let delay = Delay::weibull(ms(30), 3.0 * MS, 1.5);
        let quantiles: Vec<Span> =
            (0..=1000).map(|thousandth| delay.quantile(f64::from(thousandth) / 1000.0)).collect();
        assert!(quantiles.is_sorted());
        assert!(quantiles[1000] < ms(70), "{}", quantiles[1000]);
    }

    #[test]
    fn a_baseline_is_taken_off_the_least_delay_and_never_more() {
        let delay = Delay::weibull(ms(30), 3.0 * MS, 1.5);
        let (shorter, taken) = delay.shorter_by(ms(10));
        assert_eq!(taken, ms(10));
        for probability in [0.0, 0.5, 0.99] {
            assert_eq!(shorter.quantile(probability) + ms(10), delay.quantile(probability));
        }
        let (least, taken) = delay.shorter_by(ms(40));
        assert_eq!((taken, least.quantile(0.0)), (ms(30), Span::ZERO));
        assert!(!least.is_zero());
        assert_eq!(Delay::constant(ms(2)).shorter_by(ms(2)), (Delay::zero(), ms(2)));
        assert_eq!(Delay::zero().shorter_by(ms(2)), (Delay::zero(), Span::ZERO));
    }

    #[test]
    fn a_delay_survives_a_journey_to_the_bit() {
        let delay = Delay::weibull(ms(30), 1.0 / 3.0, 1.0 + 1.0 / 3.0);
        let bytes = postcard::to_stdvec(&delay).unwrap();
        assert_eq!(postcard::from_bytes::<Delay>(&bytes).unwrap(), delay);
    }
}
