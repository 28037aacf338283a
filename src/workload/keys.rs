//! Which key an operation touches.

use rand::RngExt;
use rand_distr::Zipf;
use rand_pcg::Pcg64;

use super::Keys;

/// A stream of keys.
#[derive(Clone, Debug)]
pub(super) struct KeyStream {
    law: Law,
    random: Pcg64,
}

#[derive(Clone, Debug)]
enum Law {
    Uniform { count: u64 },
    Zipf { count: u64, ranks: Zipf<f64> },
}

impl KeyStream {
    /// # Panics
    /// If the keys are not valid.
    pub(super) fn new(keys: &Keys, random: Pcg64) -> Self {
        let law = match *keys {
            Keys::Uniform { count } => Law::Uniform { count },
            Keys::Zipf { count, exponent } => {
                // The sampler divides by (1 - exponent): next to 1 its rounding errors would show,
                // while the distributions do not differ.
                let exponent = if (exponent - 1.0).abs() < 1e-9 { 1.0 } else { exponent };
                let ranks = Zipf::new(count as f64, exponent).expect("a validated workload");
                Law::Zipf { count, ranks }
            }
        };
        Self { law, random }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "ranks are whole numbers from 1 to the count"
    )]
    pub(super) fn next_key(&mut self) -> u64 {
        match &self.law {
            Law::Uniform { count } => self.random.random_range(0..*count),
            Law::Zipf { count, ranks } => {
                let rank = self.random.sample(ranks) as u64;
                rank.clamp(1, *count) - 1
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    const DRAWS: u32 = 100_000;

    fn counts(keys: &Keys, count: usize) -> Vec<f64> {
        let mut stream = KeyStream::new(keys, Pcg64::seed_from_u64(7));
        let mut counts = vec![0.0; count];
        for _ in 0..DRAWS {
            counts[usize::try_from(stream.next_key()).unwrap()] += 1.0;
        }
        counts
    }

    /// Pearson's statistic over its degrees of freedom: near 1 if the law holds.
    fn reduced_chi_square(counts: &[f64], weights: &[f64]) -> f64 {
        let total: f64 = weights.iter().sum();
        let statistic: f64 = counts
            .iter()
            .zip(weights)
            .map(|(count, weight)| {
                let expected = f64::from(DRAWS) * weight / total;
                (count - expected).powi(2) / expected
            })
            .sum();
        statistic / (counts.len() as f64 - 1.0)
    }

    fn zipf_weights(count: u32, exponent: f64) -> Vec<f64> {
        (1..=count).map(|rank| f64::from(rank).powf(-exponent)).collect()
    }

    /// With 99 degrees of freedom the statistic has a standard deviation of 0.14: the bound is five.
    const BOUND: f64 = 1.7;

    #[test]
    fn uniform_keys_are_all_alike() {
        let counts = counts(&Keys::Uniform { count: 100 }, 100);
        assert!(reduced_chi_square(&counts, &[1.0; 100]) < BOUND);
        // The check can fail: the same draws are not Zipf's, however gentle.
        assert!(reduced_chi_square(&counts, &zipf_weights(100, 0.1)) > BOUND);
    }

    #[test]
    fn zipf_keys_have_the_frequencies_of_their_ranks() {
        for exponent in [0.5, 0.99, 1.0, 1.0 + 1e-12, 1.5] {
            let counts = counts(&Keys::Zipf { count: 100, exponent }, 100);
            let statistic = reduced_chi_square(&counts, &zipf_weights(100, exponent));
            assert!(statistic < BOUND, "{exponent}: {statistic}");
            let other = reduced_chi_square(&counts, &zipf_weights(100, exponent + 0.1));
            assert!(other > BOUND, "{exponent}: {other}");
        }
    }

    #[test]
    fn extreme_keys_stay_in_range() {
        for keys in [
            Keys::Uniform { count: 1 },
            Keys::Zipf { count: 1, exponent: 1.0 },
            Keys::Zipf { count: u64::MAX, exponent: 0.01 },
            Keys::Zipf { count: 10, exponent: 1e9 },
        ] {
            let mut stream = KeyStream::new(&keys, Pcg64::seed_from_u64(1));
            let (Keys::Uniform { count } | Keys::Zipf { count, .. }) = keys;
            assert!((0..1000).all(|_| stream.next_key() < count), "{keys:?}");
        }
    }
}
