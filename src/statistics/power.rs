//! What a test can find: its power, the least difference that it detects, and the trials that it needs.
//!
//! The statistic of a test of a true difference follows Student's noncentral t distribution.
//! With S the estimated deviation in units of the true one, it exceeds the critical value t where a normal
//! variable with the noncentrality as its mean exceeds t S, so the power is an integral over S.
//!
//! The true deviation is not known, and a few trials often have a small one by chance: of five, 1 / S is 1.25
//! in the mean. So the noncentrality is divided by that mean, and is right in the mean. What is printed of
//! the power is then as often too little as too much where the power is small, and too little where it is
//! great.

use statrs::distribution::{ContinuousCDF, Normal};
use statrs::function::gamma::ln_gamma;

use super::Estimate;
use super::estimate::critical;

/// The power at which a difference counts as detectable: four times in five.
pub const POWER: f64 = 0.8;

/// More trials than this nobody runs.
const TRIALS_MAX: usize = 10_000;

/// Steps of the integral over the estimated deviation; even, for Simpson's rule.
const STEPS: u32 = 400;

impl Estimate {
    /// How often a test at level `alpha` finds a true difference of `effect`, with this spread and size.
    pub fn power(&self, effect: f64, alpha: f64) -> f64 {
        self.power_at(effect, alpha, optimism(self.degrees()))
    }

    /// The same if the spread is `optimism` times too small.
    fn power_at(&self, effect: f64, alpha: f64, optimism: f64) -> f64 {
        let error = self.standard_error() * optimism;
        if error == 0.0 {
            return if effect == 0.0 { alpha } else { 1.0 };
        }
        beyond(effect.abs() / error, self.degrees(), alpha)
    }

    /// The least true difference that a test at level `alpha` finds with probability [`POWER`].
    pub fn detectable(&self, alpha: f64) -> f64 {
        let degrees = self.degrees();
        let (mut low, mut high) = (0.0, 1.0);
        while beyond(high, degrees, alpha) < POWER {
            high *= 2.0;
        }
        for _ in 0..40 {
            let middle = f64::midpoint(low, high);
            if beyond(middle, degrees, alpha) < POWER {
                low = middle;
            } else {
                high = middle;
            }
        }
        high * self.standard_error() * optimism(degrees)
    }

    /// How many trials a test at level `alpha` needs to find a true difference of `effect` with probability
    /// [`POWER`], at least `least`; `None` beyond 10,000.
    pub fn trials_for(&self, effect: f64, alpha: f64, least: usize) -> Option<usize> {
        self.trials_at(effect, alpha, least, optimism(self.degrees()))
    }

    fn trials_at(&self, effect: f64, alpha: f64, least: usize, optimism: f64) -> Option<usize> {
        let finds = |n: usize| self.with_size(n).power_at(effect, alpha, optimism) >= POWER;
        let (mut low, mut high) = (least.max(2), least.max(2));
        while !finds(high) {
            low = high;
            high *= 2;
            if high > TRIALS_MAX {
                return None;
            }
        }
        while low < high {
            let middle = low.midpoint(high);
            if finds(middle) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        Some(high)
    }
}

/// The mean of 1 / S: how far a few trials let a difference stand out too much. For one degree of freedom it
/// has no mean, and is taken for two.
fn optimism(degrees: f64) -> f64 {
    let degrees = degrees.max(2.0);
    (degrees / 2.0).sqrt() * (ln_gamma((degrees - 1.0) / 2.0) - ln_gamma(degrees / 2.0)).exp()
}

/// How often |T| exceeds its critical value at level `alpha`, for a noncentral T.
fn beyond(noncentrality: f64, degrees: f64, alpha: f64) -> f64 {
    let normal = Normal::standard();
    let critical = critical(degrees, alpha);
    // S is the root of a chi-squared variable over its degrees of freedom.
    let half = degrees / 2.0;
    let log_scale = 2f64.ln() + half * half.ln() - ln_gamma(half);
    let at = |s: f64| {
        if s == 0.0 {
            return if degrees > 1.0 { 0.0 } else { log_scale.exp() };
        }
        let density = (log_scale + (degrees - 1.0) * s.ln() - half * s * s).exp();
        let above = normal.cdf(noncentrality - critical * s);
        let below = normal.cdf(-noncentrality - critical * s);
        density * (above + below)
    };
    let end = 1.0 + 9.0 / degrees.sqrt();
    let step = end / f64::from(STEPS);
    let inner: f64 =
        (1..STEPS).map(|i| at(f64::from(i) * step) * if i % 2 == 1 { 4.0 } else { 2.0 }).sum();
    (at(0.0) + inner + at(end)) * step / 3.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(sd: f64, n: usize) -> Estimate {
        Estimate::paired(&[0.0, 1.0]).map(|it| Estimate { sd, ..it }.with_size(n)).unwrap()
    }

    #[test]
    fn power_without_an_effect_is_the_level() {
        for (n, alpha) in [(3, 0.05), (5, 0.05), (5, 0.05 / 12.0), (30, 0.01)] {
            let found = of(0.02, n).power(0.0, alpha);
            assert!((found - alpha).abs() < 1e-4, "{n} {alpha} {found}");
        }
    }

    /// Cohen 1988, table 2.3.5 and G*Power: a paired test of effect size 0.5 needs 34 pairs for a power of
    /// 80 %, of 0.8 needs 15, of 1 needs 10.
    #[test]
    fn trials_needed_are_those_of_published_tables() {
        let estimate = of(1.0, 5);
        let needed = [0.5, 0.8, 1.0].map(|effect| estimate.trials_at(effect, 0.05, 3, 1.0));
        assert_eq!(needed, [Some(34), Some(15), Some(10)]);
        assert_eq!(estimate.trials_for(100.0, 0.05, 3), Some(3));
        assert_eq!(estimate.trials_for(1e-4, 0.05, 3), None);
    }

    /// The bias of a standard deviation, c4 of quality control, is 0.9400 for five values; that of 1 / S is
    /// 1.2533 for four degrees of freedom.
    #[test]
    fn optimism_of_a_few_trials_is_the_mean_of_one_over_s() {
        for (degrees, expected) in [(2.0, 1.7725), (4.0, 1.2533), (9.0, 1.0942)] {
            assert!((optimism(degrees) - expected).abs() < 5e-4, "{}", optimism(degrees));
        }
        let (estimate, n) = (of(1.0, 5), 5);
        assert!(estimate.trials_for(1.0, 0.05, n) > estimate.trials_at(1.0, 0.05, n, 1.0));
    }

    #[test]
    fn detectable_difference_is_found_four_times_in_five() {
        for n in [3, 5, 8, 20] {
            let estimate = of(0.03, n);
            let least = estimate.detectable(0.01);
            assert!((estimate.power(least, 0.01) - POWER).abs() < 1e-6);
        }
        assert!(of(0.0, 5).detectable(0.05) < 1e-12);
        assert!(of(0.0, 5).power(0.001, 0.05) > 0.999);
    }
}
