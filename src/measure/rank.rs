//! A confidence interval for a percentile: the ranks between which it lies.
//!
//! Of `n` independent samples the number that lie below the p-quantile is binomial, whatever their
//! distribution. So the quantile lies between the samples of ranks `low` and `high` with at least
//! 95 % probability when at most 2.5 % of that binomial lie below `low` and at most 2.5 % at `high`
//! or above (David and Nagaraja, Order Statistics, section 7.1).
//! Up to 1,000 samples the binomial is summed exactly; above, its normal approximation with
//! continuity correction is used, whose ranks are those of the sum but for one or two.
//!
//! Latencies of neighbouring operations are correlated, so within a trial the interval is a lower
//! bound of what is not known; between trials it says nothing: that is the bootstrap's work.

/// Half of the 5 % that the interval may miss.
const TAIL: f64 = 0.025;
/// The standard normal distribution exceeds this with probability [`TAIL`].
const NORMAL: f64 = 1.959_963_984_540_054;

/// The ranks, from 1, between which the `share`-quantile of `count` samples lies with 95 %
/// probability; `None` where the sample is too small to bound that side.
pub fn confidence_ranks(count: u64, share: f64) -> (Option<u64>, Option<u64>) {
    if count == 0 || !(share > 0.0 && share < 1.0) {
        return (None, None);
    }
    let (low, high) =
        if count <= 1000 { exact_ranks(count, share) } else { normal_ranks(count, share) };
    ((low >= 1).then_some(low), (high <= count).then_some(high))
}

/// The greatest rank with `P(B < rank) <= TAIL`, and the least with `P(B >= rank) <= TAIL`.
fn exact_ranks(count: u64, share: f64) -> (u64, u64) {
    let n = count as f64;
    // Logarithms of the probabilities, each from the one before, so that none underflows.
    let mut log = n * (-share).ln_1p();
    let mut probabilities = Vec::new();
    for k in 0..=count {
        probabilities.push(log.exp());
        let k = k as f64;
        log += ((n - k) / (k + 1.0)).ln() + share.ln() - (-share).ln_1p();
    }
    let ranks_below = |tail: &mut dyn Iterator<Item = &f64>| {
        let mut sum = 0.0;
        tail.take_while(|probability| {
            sum += **probability;
            sum <= TAIL
        })
        .count() as u64
    };
    let low = ranks_below(&mut probabilities.iter());
    let high = count + 1 - ranks_below(&mut probabilities.iter().rev());
    (low, high)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "above 1,000 samples both ranks are small non-negative whole numbers, or clamped to 0"
)]
fn normal_ranks(count: u64, share: f64) -> (u64, u64) {
    let mean = count as f64 * share;
    let reach = NORMAL * (mean * (1.0 - share)).sqrt();
    let low = (mean - reach + 0.5).floor().max(0.0);
    let high = (mean + reach + 0.5).ceil();
    (low as u64, high as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_of_a_median_are_those_of_the_tables() {
        // The sign test's table: n, and the ranks of the 95 % interval of the median.
        for (count, low, high) in [(6, 1, 6), (10, 2, 9), (20, 6, 15), (25, 8, 18), (100, 40, 61)] {
            assert_eq!(confidence_ranks(count, 0.5), (Some(low), Some(high)), "n = {count}");
        }
    }

    #[test]
    fn a_small_sample_does_not_bound_its_tail() {
        assert_eq!(confidence_ranks(5, 0.5), (None, None));
        let (low, high) = confidence_ranks(100, 0.99);
        assert_eq!((low, high), (Some(97), None));
        // 0.99^n <= 2.5 % from n = 368 on: only then is a sample above the 99th percentile sure.
        assert_eq!(confidence_ranks(367, 0.99).1, None);
        assert_eq!(confidence_ranks(368, 0.99).1, Some(368));
        assert_eq!(confidence_ranks(0, 0.5), (None, None));
        assert_eq!(confidence_ranks(100, 1.0), (None, None));
    }

    #[test]
    fn the_approximation_joins_the_exact_ranks() {
        for share in [0.5, 0.9, 0.95, 0.99] {
            let (exact, normal) = (exact_ranks(1000, share), normal_ranks(1000, share));
            assert!(exact.0.abs_diff(normal.0) <= 2, "{share}: {exact:?} {normal:?}");
            assert!(exact.1.abs_diff(normal.1) <= 2, "{share}: {exact:?} {normal:?}");
        }
    }

    #[test]
    fn the_exact_interval_covers_at_least_95_percent() {
        for (count, share) in [(50_u64, 0.5), (200, 0.9), (200, 0.95), (150, 0.99)] {
            let (low, high) = exact_ranks(count, share);
            let mut probability = (1.0 - share).powf(count as f64);
            let mut covered = 0.0;
            for k in 0..=count {
                if (low..high).contains(&k) {
                    covered += probability;
                }
                probability *= (count - k) as f64 / (k + 1) as f64 * share / (1.0 - share);
            }
            assert!(covered >= 0.95, "n = {count}, {share}: {covered}");
        }
    }
}
