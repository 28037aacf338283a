//! Smoothed quantiles of small samples.

use statrs::function::beta::beta_reg;

/// The Harrell-Davis estimate of a quantile (Harrell and Davis 1982): a mean of all values, each weighted by how
/// likely its rank is to be the quantile's, which the beta distribution says.
///
/// `sorted` rises; `None` without a value, or for a share that is not between 0 and 1.
pub fn harrell_davis(sorted: &[f64], share: f64) -> Option<f64> {
    if sorted.is_empty() || share <= 0.0 || share >= 1.0 {
        return None;
    }
    let n = sorted.len() as f64;
    let (a, b) = ((n + 1.0) * share, (n + 1.0) * (1.0 - share));
    // What lies further from the quantile than this has no weight that a double could hold beside the others:
    // the tails fall at least as fast as those of an exponential distribution.
    let deviations = if a.min(b) < TAIL_COUNT { 40.0 } else { 10.0 };
    let reach = deviations * (share * (1.0 - share) / (n + 2.0)).sqrt();
    let (first, last) = (rank(share - reach, sorted.len()), rank(share + reach, sorted.len()));
    let mut below = 0.0;
    let mut sum = 0.0;
    for (number, value) in sorted.iter().enumerate().take(last + 1).skip(first) {
        let up_to = if number == last { 1.0 } else { beta_reg(a, b, (number as f64 + 1.0) / n) };
        sum += (up_to - below) * value;
        below = up_to;
    }
    Some(sum)
}

/// The position of a quantile among so many values: that of the nearest one, if it lies outside.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it lies between zero and a count"
)]
fn rank(share: f64, count: usize) -> usize {
    (share.clamp(0.0, 1.0) * count as f64).min(count as f64 - 1.0) as usize
}

/// With so many values on either side of a quantile, the distribution of its rank is nearly normal.
const TAIL_COUNT: f64 = 20.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoothed_median_of_a_symmetric_sample_is_its_middle() {
        let values: Vec<f64> = (1..=9).map(f64::from).collect();
        let median = harrell_davis(&values, 0.5).unwrap();
        assert!((median - 5.0).abs() < 1e-9, "{median}");
        // Two values: the weights are I(1/2; 3 q, 3 (1 - q)) and the rest; for q = 0.5 each is a half.
        assert!((harrell_davis(&[1.0, 2.0], 0.5).unwrap() - 1.5).abs() < 1e-12);
    }

    /// For n = 2 and q = 1/3 the weights are those of Beta(1, 2): 1 - (1 - x)^2 at x = 1/2 is 3/4.
    #[test]
    fn weights_are_those_of_the_beta_distribution() {
        let value = harrell_davis(&[0.0, 1.0], 1.0 / 3.0).unwrap();
        assert!((value - 0.25).abs() < 1e-12, "{value}");
    }

    /// Values that are left out, far from the quantile, would not have changed it.
    #[test]
    fn the_reach_leaves_no_weight_out() {
        let values: Vec<f64> = (0..3000).map(|it| f64::from(it).powi(2)).collect();
        for share in [0.001, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 0.9999] {
            let (a, b) = (3001.0 * share, 3001.0 * (1.0 - share));
            let weight = |number: usize| {
                let up_to = |number: usize| beta_reg(a, b, number as f64 / 3000.0);
                up_to(number + 1) - up_to(number)
            };
            let all: f64 = values.iter().enumerate().map(|(at, it)| weight(at) * it).sum();
            let found = harrell_davis(&values, share).unwrap();
            assert!((found / all - 1.0).abs() < 1e-9, "{share}: {found} {all}");
        }
    }

    #[test]
    fn a_quantile_of_nothing_or_outside_is_none() {
        assert_eq!(harrell_davis(&[], 0.5), None);
        assert_eq!(harrell_davis(&[1.0], 0.0), None);
        assert_eq!(harrell_davis(&[1.0], 1.0), None);
        assert_eq!(harrell_davis(&[7.0], 0.9), Some(7.0));
    }

    #[test]
    fn smoothed_quantiles_rise_with_their_share() {
        let values: Vec<f64> = (0..1000).map(|it| f64::from(it) * f64::from(it)).collect();
        let all: Vec<f64> =
            [0.1, 0.5, 0.9, 0.99].iter().map(|q| harrell_davis(&values, *q).unwrap()).collect();
        assert!(all.windows(2).all(|pair| pair[0] < pair[1]), "{all:?}");
        assert!((all[1].sqrt() - 499.5).abs() < 1.0, "{all:?}");
    }
}
