//! Which key an operation touches.

use std::ops::RangeInclusive;

use rand::RngExt;
use rand_distr::Zipf;
use rand_pcg::Pcg64;

use super::Keys;

impl Keys {
    /// How many there are: they are 0 to one less.
    pub const fn count(&self) -> u64 {
        let (Self::Uniform { count } | Self::Zipf { count, .. }) = *self;
        count
    }

    /// The share of the operations that touch a key of this range.
    pub fn share(&self, range: RangeInclusive<u64>) -> f64 {
        let (first, last) = range.into_inner();
        let count = self.count();
        let (from, to) = (first.min(count), last.saturating_add(1).min(count));
        match *self {
            Self::Uniform { .. } => to.saturating_sub(from) as f64 / count as f64,
            Self::Zipf { exponent, .. } => {
                let below = |key| harmonic(key, exponent);
                if from < to { (below(to) - below(from)) / below(count) } else { 0.0 }
            }
        }
    }
}

/// The generalized harmonic number: the sum of k to the power of minus `exponent` for k from 1 to `count`.
///
/// The first terms are added up, and those behind them are the formula of Euler and Maclaurin up to its second term,
/// whose error is below 1e-9 of the sum there.
fn harmonic(count: u64, exponent: f64) -> f64 {
    const ADDED_UP: u64 = 10_000;
    let term = |k: u64| (k as f64).powf(-exponent);
    let head: f64 = (1..=count.min(ADDED_UP)).map(term).sum();
    if count <= ADDED_UP {
        return head;
    }
    let (from, to) = (ADDED_UP as f64, count as f64);
    let power = 1.0 - exponent;
    let integral = if power.abs() < 1e-9 {
        (to / from).ln()
    } else {
        (to.powf(power) - from.powf(power)) / power
    };
    head + integral + (term(count) - term(ADDED_UP)) / 2.0
}

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
    fn the_share_of_a_range_is_how_often_it_is_drawn() {
        for keys in [
            Keys::Uniform { count: 100 },
            Keys::Zipf { count: 100, exponent: 0.99 },
            Keys::Zipf { count: 100, exponent: 1.0 },
        ] {
            let counts = counts(&keys, 100);
            for (first, last) in [(0, 4), (5, 59), (60, 200), (100, 300)] {
                let drawn: f64 = (first..=last.min(99)).map(|key| counts[key]).sum();
                let share = keys.share(first as u64..=last as u64);
                assert!((drawn / f64::from(DRAWS) - share).abs() < 0.01, "{keys:?} {first}");
            }
            assert!((keys.share(0..=u64::MAX) - 1.0).abs() < 1e-9);
        }
        // Where not all terms are added up: the same by adding up.
        for exponent in [0.5, 1.0, 1.5] {
            let sum: f64 = (1..=50_000_u32).map(|k| f64::from(k).powf(-exponent)).sum();
            assert!((harmonic(50_000, exponent) / sum - 1.0).abs() < 1e-9, "{exponent}");
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
