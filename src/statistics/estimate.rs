//! A mean difference with its interval.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// The mean of differences, and how well it is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The mean difference.
    pub mean: f64,
    /// The standard deviation of one difference.
    pub sd: f64,
    /// What the mean is of.
    pub sample: Sample,
}

/// What a mean is of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sample {
    /// The differences within so many pairs.
    Pairs {
        /// How many pairs.
        n: usize,
    },
    /// Two samples that have nothing to do with one another.
    Two {
        /// The size of each.
        n: [usize; 2],
        /// The variance of each.
        variance: [f64; 2],
    },
}

impl Estimate {
    /// The mean of paired differences; `None` for fewer than two, whose spread nobody knows.
    pub fn paired(differences: &[f64]) -> Option<Self> {
        let (mean, variance) = moments(differences)?;
        let sample = Sample::Pairs { n: differences.len() };
        Some(Self { mean, sd: variance.sqrt(), sample })
    }

    /// The mean of `of` less that of `baseline`, as two samples with variances of their own (Welch 1947);
    /// `None` if one has fewer than two.
    pub fn unpaired(baseline: &[f64], of: &[f64]) -> Option<Self> {
        let (base_mean, base_variance) = moments(baseline)?;
        let (mean, variance) = moments(of)?;
        let sample =
            Sample::Two { n: [baseline.len(), of.len()], variance: [base_variance, variance] };
        let sd = (base_variance + variance).sqrt();
        Some(Self { mean: mean - base_mean, sd, sample })
    }

    /// How many values: pairs, or those of the smaller sample.
    pub fn count(&self) -> usize {
        match self.sample {
            Sample::Pairs { n } => n,
            Sample::Two { n, .. } => n[0].min(n[1]),
        }
    }

    /// The standard error of the mean.
    pub fn standard_error(&self) -> f64 {
        match self.sample {
            Sample::Pairs { n } => self.sd / (n as f64).sqrt(),
            Sample::Two { n, variance } => {
                (variance[0] / n[0] as f64 + variance[1] / n[1] as f64).sqrt()
            }
        }
    }

    /// The degrees of freedom of Student's t; for two samples by Welch and Satterthwaite.
    pub fn degrees(&self) -> f64 {
        match self.sample {
            Sample::Pairs { n } => n as f64 - 1.0,
            Sample::Two { n, variance } => {
                let part = [variance[0] / n[0] as f64, variance[1] / n[1] as f64];
                let sum = part[0] + part[1];
                if sum == 0.0 {
                    return (n[0] + n[1]) as f64 - 2.0;
                }
                let below =
                    part[0].powi(2) / (n[0] as f64 - 1.0) + part[1].powi(2) / (n[1] as f64 - 1.0);
                sum * sum / below
            }
        }
    }

    /// The same spread with `n` pairs, or with two samples of `n`.
    #[must_use]
    pub fn with_size(&self, n: usize) -> Self {
        let sample = match self.sample {
            Sample::Pairs { .. } => Sample::Pairs { n },
            Sample::Two { variance, .. } => Sample::Two { n: [n; 2], variance },
        };
        Self { sample, ..*self }
    }

    /// The ends of the interval that misses the true mean with probability `alpha`.
    pub fn interval(&self, alpha: f64) -> (f64, f64) {
        let half = critical(self.degrees(), alpha) * self.standard_error();
        (self.mean - half, self.mean + half)
    }

    /// How often a mean as far from `null` would come out on either side if `null` were true.
    pub fn p_value(&self, null: f64) -> f64 {
        2.0 * self.p_below(null).min(self.p_above(null))
    }

    /// How often a mean as small would come out if the true one were `bound`: small values say that the
    /// true mean is below it.
    pub fn p_below(&self, bound: f64) -> f64 {
        self.one_sided(bound - self.mean)
    }

    /// How often a mean as great would come out if the true one were `bound`: small values say that the
    /// true mean is above it.
    pub fn p_above(&self, bound: f64) -> f64 {
        self.one_sided(self.mean - bound)
    }

    fn one_sided(&self, distance: f64) -> f64 {
        let error = self.standard_error();
        if error == 0.0 {
            // Every difference is the same number.
            return match distance {
                0.0 => 0.5,
                _ if distance > 0.0 => 0.0,
                _ => 1.0,
            };
        }
        student(self.degrees()).sf(distance / error)
    }
}

/// Student's t distribution.
fn student(degrees: f64) -> StudentsT {
    StudentsT::new(0.0, 1.0, degrees).expect("two values or more have a degree of freedom")
}

/// The value that Student's t exceeds, on either side, with probability `alpha`.
pub(super) fn critical(degrees: f64, alpha: f64) -> f64 {
    student(degrees).inverse_cdf(1.0 - alpha / 2.0)
}

/// Mean and unbiased variance; `None` for fewer than two values.
fn moments(values: &[f64]) -> Option<(f64, f64)> {
    if values.len() < 2 {
        return None;
    }
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    // Equal values have no spread; their mean as a float may differ from them by a rounding.
    let is_constant = values.iter().all(|value| value.total_cmp(&values[0]).is_eq());
    Some(if is_constant { (values[0], 0.0) } else { (mean, squares / (n - 1.0)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 5e-4 * expected.abs().max(1.0), "{found} {expected}");
    }

    /// Tables of Student's distribution, two-sided 5 %.
    #[test]
    fn critical_values_are_those_of_the_tables() {
        let table = [(1.0, 12.706), (2.0, 4.303), (4.0, 2.776), (9.0, 2.262), (29.0, 2.045)];
        for (degrees, expected) in table {
            near(critical(degrees, 0.05), expected);
        }
        near(critical(4.0, 0.01), 4.604);
        near(critical(4.0, 0.001), 8.610);
    }

    /// Student 1908: the additional sleep of ten patients under two drugs; t = 4.0621 at 9 degrees.
    #[test]
    fn student_s_own_example_comes_out() {
        let differences = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4];
        let found = Estimate::paired(&differences).unwrap();
        near(found.mean, 1.58);
        near(found.mean / found.standard_error(), 4.0621);
        near(found.p_value(0.0), 0.002_833);
        let (low, high) = found.interval(0.05);
        near(low, 0.70011);
        near(high, 2.45989);
        let one = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0];
        let other = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4];
        // The same as two samples: Welch's t = 1.8608 at 17.776 degrees, p = 0.07939.
        let found = Estimate::unpaired(&one, &other).unwrap();
        near(found.mean / found.standard_error(), 1.8608);
        near(found.degrees(), 17.776);
        near(found.p_value(0.0), 0.07939);
    }

    #[test]
    fn equal_differences_have_an_interval_without_width() {
        let found = Estimate::paired(&[0.1, 0.1, 0.1]).unwrap();
        assert_eq!((found.interval(0.05), found.p_value(0.0)), ((0.1, 0.1), 0.0));
        assert!((found.p_value(0.1) - 1.0).abs() < 1e-12);
        assert_eq!(Estimate::unpaired(&[2.0; 3], &[1.0; 4]).unwrap().interval(0.05), (-1.0, -1.0));
        assert!(Estimate::paired(&[0.1]).is_none());
    }

    #[test]
    fn one_sided_p_values_say_on_which_side_a_bound_is() {
        let found = Estimate::paired(&[1.0, 1.1, 0.9, 1.05, 0.95]).unwrap();
        assert!(found.p_below(2.0) < 0.001 && found.p_above(0.0) < 0.001);
        assert!(found.p_below(0.0) > 0.999 && (found.p_above(1.0) - 0.5).abs() < 1e-9);
    }
}
