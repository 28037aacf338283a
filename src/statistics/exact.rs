//! Two statistics that assume no normal distribution, for six pairs or more.

/// Below this the sign-flip test of pairs cannot reach 5 % on two sides: 2 of 2^5 flips are 6.25 %.
pub const PAIRS_MIN: usize = 6;

/// Above this the flips are too many to try them all.
const PAIRS_MAX: usize = 20;

/// The two-sided p-value of the exact sign-flip test: the share of all sign patterns of the differences
/// whose mean is as far from zero.
///
/// `None` below [`PAIRS_MIN`] pairs, and above 20, where there are too many patterns.
pub fn sign_flip(differences: &[f64]) -> Option<f64> {
    let n = differences.len();
    if !(PAIRS_MIN..=PAIRS_MAX).contains(&n) {
        return None;
    }
    let sum_of = |pattern: u32| -> f64 {
        let signed = |(place, value): (usize, &f64)| {
            if pattern >> place & 1 == 1 { -value } else { *value }
        };
        differences.iter().enumerate().map(signed).sum()
    };
    let observed = sum_of(0).abs();
    // A sum in another order differs by roundings.
    let least = observed * (1.0 - 1e-12);
    let patterns = 1u32 << n;
    let as_far = (0..patterns).filter(|pattern| sum_of(*pattern).abs() >= least).count();
    Some(as_far as f64 / f64::from(patterns))
}

/// The Hodges-Lehmann estimate: the median of the means of all pairs of differences, each with itself too;
/// `None` below [`PAIRS_MIN`] differences.
pub fn hodges_lehmann(differences: &[f64]) -> Option<f64> {
    if differences.len() < PAIRS_MIN {
        return None;
    }
    let mut means: Vec<f64> = Vec::new();
    for (place, one) in differences.iter().enumerate() {
        means.extend(differences[place..].iter().map(|other| f64::midpoint(*one, *other)));
    }
    means.sort_by(f64::total_cmp);
    let middle = means.len() / 2;
    Some(match means.len() % 2 {
        0 => f64::midpoint(means[middle - 1], means[middle]),
        _ => means[middle],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sign_flip_counts_patterns() {
        // All on one side: only that pattern and its opposite are as far.
        let found = sign_flip(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        assert!((found - 2.0 / 64.0).abs() < 1e-12);
        assert_eq!(sign_flip(&[0.0; 6]), Some(1.0));
        assert_eq!(sign_flip(&[1.0; 5]), None);
        // By hand: sums of absolute value at least 1 of +-1 +-1 +-1 +-1 +-1 +-6 are all 64.
        assert_eq!(sign_flip(&[1.0, 1.0, 1.0, 1.0, 1.0, -6.0]), Some(1.0));
    }

    #[test]
    fn hodges_lehmann_is_not_moved_by_one_outlier() {
        let found = hodges_lehmann(&[0.9, 1.0, 1.1, 1.0, 1.0, 90.0]).unwrap();
        assert!((found - 1.0).abs() < 0.06, "{found}");
        assert_eq!(hodges_lehmann(&[1.0; 5]), None);
    }
}
