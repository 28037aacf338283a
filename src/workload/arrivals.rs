//! The gaps between the intended starts of one client region's operations.

use rand::RngExt;
use rand_distr::Exp1;
use rand_pcg::Pcg64;

use crate::time::Span;

use super::Arrival;

const NANOS_PER_S: f64 = 1e9;

/// The arrival process of one client region.
#[derive(Clone, Debug)]
pub(super) enum Arrivals {
    /// Exponential gaps of this mean.
    Poisson { mean_gap_ns: f64, random: Pcg64 },
    /// Equal gaps, after a first one that is `phase` of the others.
    Fixed { gap_ns: f64, phase: f64, started_count: u64 },
    /// The gaps between the first operations of the clients, and then none: answers start operations.
    Closed { starts: std::vec::IntoIter<Span>, last: Span, random: Pcg64 },
}

impl Arrivals {
    /// The process of client region `index` of `of`, whose share is `share`.
    pub(super) fn new(share: &Arrival, index: usize, of: usize, random: Pcg64) -> Self {
        match *share {
            Arrival::Poisson { rate_per_s } => {
                Self::Poisson { mean_gap_ns: NANOS_PER_S / rate_per_s, random }
            }
            Arrival::Fixed { rate_per_s } => Self::Fixed {
                gap_ns: NANOS_PER_S / rate_per_s,
                phase: index as f64 / of as f64,
                started_count: 0,
            },
            Arrival::Closed { clients } => {
                let starts = vec![Span::ZERO; clients as usize];
                Self::Closed { starts: starts.into_iter(), last: Span::ZERO, random }
            }
        }
    }

    /// Closed loop: each client starts at a random moment within `over`, whatever the others do.
    pub(super) fn stagger(&mut self, over: Span) {
        let Self::Closed { starts, random, .. } = self else { return };
        let mut drawn: Vec<Span> =
            starts.map(|_| span((random.random::<f64>() * over.0 as f64).floor())).collect();
        drawn.sort_unstable();
        *starts = drawn.into_iter();
    }

    pub(super) fn next_gap(&mut self) -> Option<Span> {
        match self {
            Self::Poisson { mean_gap_ns, random } => {
                let unit: f64 = random.sample(Exp1);
                Some(span(unit * *mean_gap_ns))
            }
            Self::Fixed { gap_ns, phase, started_count } => {
                // Differences of rounded starts, not rounded gaps: the rate does not drift.
                let start = |count: u64| span((count as f64 + *phase) * *gap_ns);
                let count = *started_count;
                *started_count += 1;
                let before = count.checked_sub(1).map_or(Span::ZERO, start);
                Some(Span(start(count).0 - before.0))
            }
            Self::Closed { starts, last, .. } => {
                let start = starts.next()?;
                Some(start - std::mem::replace(last, start))
            }
        }
    }

    pub(super) const fn is_closed(&self) -> bool {
        matches!(self, Self::Closed { .. })
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "gaps are positive, and a float cast saturates"
)]
pub(super) fn span(nanos: f64) -> Span {
    Span(nanos.round() as u64)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn arrivals(share: &Arrival, index: usize, of: usize) -> Arrivals {
        Arrivals::new(share, index, of, Pcg64::seed_from_u64(7))
    }

    fn gaps_s(share: &Arrival, count: usize) -> Vec<f64> {
        let mut arrivals = arrivals(share, 0, 1);
        (0..count).map(|_| arrivals.next_gap().unwrap().0 as f64 / 1e9).collect()
    }

    /// Mean, variance and the fraction above the mean of exponential gaps, each within five standard
    /// errors of theory.
    #[test]
    fn poisson_gaps_have_the_moments_of_an_exponential() {
        let count = 100_000;
        let n = f64::from(count);
        for rate in [0.5, 200.0, 50_000.0] {
            let gaps = gaps_s(&Arrival::Poisson { rate_per_s: rate }, 100_000);
            let mean = gaps.iter().sum::<f64>() / n;
            let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / n;
            let above = gaps.iter().filter(|gap| **gap > 1.0 / rate).count() as f64 / n;
            // The mean has variance 1/n, the variance 8/n (fourth central moment 9), in units of 1/rate.
            assert!((mean * rate - 1.0).abs() < 5.0 / n.sqrt(), "{rate}: mean {mean}");
            assert!(
                (variance * rate * rate - 1.0).abs() < 5.0 * (8.0 / n).sqrt(),
                "{rate}: {variance}"
            );
            let tail = (-1.0_f64).exp();
            assert!(
                (above - tail).abs() < 5.0 * (tail * (1.0 - tail) / n).sqrt(),
                "{rate}: {above}"
            );
        }
    }

    /// Lag-one correlation: a shared or short-period stream would show here.
    #[test]
    fn poisson_gaps_do_not_depend_on_the_one_before() {
        let gaps = gaps_s(&Arrival::Poisson { rate_per_s: 1.0 }, 100_000);
        let product =
            gaps.windows(2).map(|pair| (pair[0] - 1.0) * (pair[1] - 1.0)).sum::<f64>() / 99_999.0;
        assert!(product.abs() < 5.0 / 99_999.0_f64.sqrt(), "{product}");
    }

    #[test]
    fn a_fixed_rate_does_not_drift() {
        // A third of a nanosecond is lost in every gap if gaps are rounded one by one.
        let mut arrivals = arrivals(&Arrival::Fixed { rate_per_s: 3e6 }, 0, 1);
        let total: u64 = (0..=3_000_000).map(|_| arrivals.next_gap().unwrap().0).sum();
        assert_eq!(total, 1_000_000_000);
    }

    #[test]
    fn fixed_regions_together_are_evenly_spaced() {
        let of = 4;
        let mut starts: Vec<u64> = Vec::new();
        for index in 0..of {
            // A share of 250 of 1000 operations a second.
            let mut arrivals = arrivals(&Arrival::Fixed { rate_per_s: 250.0 }, index, of);
            let mut start = 0;
            for _ in 0..50 {
                start += arrivals.next_gap().unwrap().0;
                starts.push(start);
            }
        }
        starts.sort_unstable();
        assert_eq!(starts[0], 0);
        assert!(starts.windows(2).all(|pair| pair[1] - pair[0] == 1_000_000));
    }

    #[test]
    fn a_closed_loop_has_a_gap_for_each_client() {
        let mut closed = arrivals(&Arrival::Closed { clients: 3 }, 0, 1);
        assert!(closed.is_closed());
        let gaps: Vec<_> = std::iter::from_fn(|| closed.next_gap()).collect();
        assert_eq!(gaps, [Span::ZERO; 3]);
        let open = arrivals(&Arrival::Fixed { rate_per_s: 1.0 }, 0, 1);
        assert!(!open.is_closed());
    }

    /// The largest distance from the even distribution: five times what 10,000 draws have on average
    /// (Kolmogorov).
    #[test]
    fn staggered_clients_start_evenly_within_the_time_given() {
        let over = Span::from_millis(500);
        let count = 10_000;
        let mut closed = arrivals(&Arrival::Closed { clients: count }, 0, 1);
        closed.stagger(over);
        let mut starts = Vec::new();
        let mut at = Span::ZERO;
        while let Some(gap) = closed.next_gap() {
            at += gap;
            starts.push(at);
        }
        assert_eq!(starts.len(), count as usize);
        assert!(starts.iter().all(|start| *start < over));
        let distance = (0..)
            .zip(&starts)
            .map(|(index, start): (u32, &Span)| {
                let share = f64::from(index) / f64::from(count);
                (start.0 as f64 / over.0 as f64 - share).abs()
            })
            .fold(0.0, f64::max);
        assert!(distance < 5.0 * 0.87 / f64::from(count).sqrt(), "{distance}");
    }
}
