//! The distribution of a link's one-way delay: a constant, a shifted Weibull, or an empirical one.
//!
//! A Weibull delay has Q(p) = shift + scale · (−ln(1−p))^(1/shape), with shape ≥ 1: above the least
//! delay its tail is no heavier than an exponential one.
//! Backbones of clouds are like that: the published p99 of a round trip is some 5 % above its median.
//!
//! An empirical delay serves where the tail is heavier: its quantile is a straight line between knots
//! over the hazard −ln(1−p), so that between two knots the delay is exponential, each time with a mean
//! of its own, and beyond the last knot it continues as before it.
//!
//! Quantile and cumulative distribution are closed forms, so that a draw is cheap and a floor exact.
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
    above: Above,
}

/// The distribution of what a delay has above its least.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Above {
    /// Nothing, always.
    Nothing,
    /// A Weibull distribution.
    Weibull { scale_ns: f64, shape: f64 },
    /// Straight lines over the hazard through these knots, both ascending; the first is (0, 0).
    Empirical(Vec<Knot>),
}

/// A point of an empirical distribution.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Knot {
    /// −ln(1−p).
    pub(super) hazard: f64,
    /// The quantile of p, in nanoseconds.
    pub(super) ns: f64,
}

impl Knot {
    /// The quantile at a hazard between two knots, or beyond the last.
    pub(super) fn quantile(knots: &[Self], hazard: f64) -> f64 {
        let after = knots.partition_point(|knot| knot.hazard <= hazard);
        let [low, high] = Self::around(knots, after);
        low.ns + (hazard - low.hazard) * (high.ns - low.ns) / (high.hazard - low.hazard)
    }

    /// The hazard at a time, which is not before the first knot.
    fn hazard(knots: &[Self], ns: f64) -> f64 {
        let after = knots.partition_point(|knot| knot.ns <= ns);
        let [low, high] = Self::around(knots, after);
        let width = high.ns - low.ns;
        // The last knots may be at one time: nothing is longer.
        if width > 0.0 {
            low.hazard + (ns - low.ns) * (high.hazard - low.hazard) / width
        } else {
            f64::INFINITY
        }
    }

    /// The two knots of the line before number `after`.
    fn around(knots: &[Self], after: usize) -> [Self; 2] {
        let after = after.clamp(1, knots.len() - 1);
        [knots[after - 1], knots[after]]
    }
}

impl Delay {
    /// No delay at all.
    pub const fn zero() -> Self {
        Self::constant(Span::ZERO)
    }

    /// Always the same delay.
    pub const fn constant(delay: Span) -> Self {
        Self { shift: delay, above: Above::Nothing }
    }

    /// At least `shift`, and above it a Weibull distribution of this scale and shape.
    ///
    /// # Panics
    /// If the scale is negative or infinite, or the shape below 1: fits and tests have neither.
    pub fn weibull(shift: Span, scale_ns: f64, shape: f64) -> Self {
        assert!(scale_ns >= 0.0 && scale_ns.is_finite(), "{scale_ns} ns is no scale");
        assert!(shape >= 1.0 && shape.is_finite(), "a tail of shape {shape} is not thin");
        if scale_ns > 0.0 {
            Self { shift, above: Above::Weibull { scale_ns, shape } }
        } else {
            Self::constant(shift)
        }
    }

    /// Through these knots; the first has the hazard 0 and is the least delay.
    ///
    /// # Panics
    /// If there are fewer than two knots, or they do not ascend.
    pub(super) fn empirical(knots: &[Knot]) -> Self {
        assert!(knots.len() >= 2 && knots[0].hazard <= 0.0, "{knots:?} are not a distribution");
        let ascends = knots
            .windows(2)
            .all(|pair| pair[0].hazard < pair[1].hazard && pair[0].ns <= pair[1].ns);
        assert!(ascends && knots[0].ns >= 0.0, "{knots:?} do not ascend");
        let shift = nanoseconds(knots[0].ns);
        let above = |knot: &Knot| Knot { ns: knot.ns - knots[0].ns, ..*knot };
        Self { shift, above: Above::Empirical(knots.iter().map(above).collect()) }
    }

    /// The delay that is not exceeded with this probability; of 0 the least, and of 1 what is exceeded
    /// once in 2^53.
    #[inline]
    pub fn quantile(&self, probability: f64) -> Span {
        let hazard = || -(-probability.clamp(0.0, PROBABILITY_MAX)).ln_1p();
        match &self.above {
            Above::Nothing => self.shift,
            Above::Weibull { scale_ns, shape } => {
                self.shift + nanoseconds(scale_ns * hazard().powf(shape.recip()))
            }
            Above::Empirical(knots) => self.shift + nanoseconds(Knot::quantile(knots, hazard())),
        }
    }

    /// The probability that a delay is not longer than `delay`.
    pub fn cdf(&self, delay: Span) -> f64 {
        if delay < self.shift {
            return 0.0;
        }
        let above_ns = (delay - self.shift).0 as f64;
        match &self.above {
            Above::Nothing => 1.0,
            Above::Weibull { scale_ns, shape } => -(-(above_ns / scale_ns).powf(*shape)).exp_m1(),
            Above::Empirical(knots) => -(-Knot::hazard(knots, above_ns)).exp_m1(),
        }
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
    pub const fn is_constant(&self) -> bool {
        matches!(self.above, Above::Nothing)
    }

    /// Whether every draw is zero: such a link need not be emulated.
    pub fn is_zero(&self) -> bool {
        self.is_constant() && self.shift == Span::ZERO
    }
}

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shift = self.shift;
        match &self.above {
            Above::Nothing => write!(f, "always {shift}"),
            Above::Weibull { scale_ns, shape } => {
                let scale_ms = scale_ns / 1e6;
                write!(f, "{shift} and a Weibull delay of scale {scale_ms:.3}ms and shape {shape}")
            }
            Above::Empirical(_) => {
                let [p50, p90, p99] = [0.5, 0.9, 0.99].map(|share| self.quantile(share));
                write!(f, "an empirical delay of at least {shift}, p50 {p50}, p90 {p90}, p99 {p99}")
            }
        }
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

    /// A core of a millisecond around 25 ms, and one delay of a hundred near 500 ms.
    fn heavy() -> Delay {
        let knot =
            |probability: f64, ms: f64| Knot { hazard: -(1.0 - probability).ln(), ns: ms * MS };
        Delay::empirical(&[knot(0.0, 24.0), knot(0.5, 25.0), knot(0.98, 26.0), knot(0.99, 500.0)])
    }

    #[test]
    fn an_empirical_delay_goes_through_its_knots() {
        let delay = heavy();
        assert_eq!(delay.least(), ms(24));
        for (probability, expected) in [(0.0, 24), (0.5, 25), (0.98, 26), (0.99, 500)] {
            let found = delay.quantile(probability);
            assert!(found.0.abs_diff(ms(expected).0) <= 1, "{probability}: {found}");
        }
        // Half of the hazard between two knots is half of the way.
        let middle = 1.0 - (0.02_f64 * 0.01).sqrt();
        assert!(delay.quantile(middle).0.abs_diff(ms(263).0) <= 1);
        // Beyond the last knot the line goes on: at half of its share as much again.
        assert!(delay.quantile(0.995).0.abs_diff(ms(974).0) <= 1);
        assert!(delay.cdf(ms(24) - Span(1)) <= 0.0 && !delay.is_constant());
    }

    #[test]
    fn an_empirical_distribution_undoes_its_quantile() {
        let delay = heavy();
        for thousandth in 1..1000 {
            let probability = f64::from(thousandth) / 1000.0;
            let found = delay.cdf(delay.quantile(probability));
            assert!((found - probability).abs() < 1e-5, "{probability}: {found}");
        }
        let bytes = postcard::to_stdvec(&delay).unwrap();
        assert_eq!(postcard::from_bytes::<Delay>(&bytes).unwrap(), delay);
        let (shorter, taken) = delay.shorter_by(ms(30));
        assert_eq!((shorter.quantile(0.99) + taken, taken), (delay.quantile(0.99), ms(24)));
    }

    #[test]
    fn knots_at_one_time_hold_what_lies_between_them() {
        let knot = |hazard, ms| Knot { hazard, ns: ms * MS };
        let delay = Delay::empirical(&[knot(0.0, 1.0), knot(1.0, 2.0), knot(2.0, 2.0)]);
        assert!((delay.cdf(ms(2)) - 1.0).abs() < f64::EPSILON, "nothing is longer");
        assert!((delay.cdf(ms(2) - Span(1)) - (1.0 - (-1.0_f64).exp())).abs() < 1e-5);
        assert_eq!(delay.quantile(1.0), ms(2));
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
