//! Two phases one after the other over the same links: how long both take together.
//!
//! The legs of one phase are different directed links and independent.
//! Phase 2 of classic Paxos follows its phase 1 over the same ones, and a link remembers its delay: two
//! messages Δt apart have delays whose normal scores have the correlation exp(−Δt/τ)
//! (see `link::delays`).
//! So a slow phase 1 is followed by a slow phase 2, and the p99 of both is above that of two independent
//! phases: with τ = 1 s by 2 % of the latency for aws-2024-04, and by 4 % for aws-2025-07.
//!
//! # How
//!
//! The two lengths are joined by a Gaussian copula: their own distributions stay exact, and one number,
//! the correlation of their normal scores, says how they go together.
//! It is the one with which both are within their medians as often as they are by the votes: each
//! replica's two round trips are both in time with the probability of a bivariate normal, and both
//! questions, whether there is a quorum, are asked at once (`Answered::both`).
//! So phases that wait for different links are nearly independent, as a phase 1 of four and a phase 2 of
//! two are.
//!
//! # How far it is from the truth
//!
//! The time between the two messages on a link is taken to be the median of phase 1, and that the
//! copula of a round trip is that of its legs, and that of two phases Gaussian, is an approximation.
//! The tests hold it against drawn commands: within 1 % of the latency where the spread of a link is 40 %
//! of its delay.
//! Where a family is too large for both questions at once the phases are taken to be independent.

use super::distribution::Distribution;
use super::wait::Wait;
use crate::time::Span;

/// The unit interval of each of two independent scores in so many cells: every pair of their middles is
/// as likely.
const CELLS: u32 = 256;

/// An integral is a sum over so many strips: even, for the rule of Simpson.
const STRIPS: u32 = 100;

/// Scores of a correlation beyond this are the same for every purpose.
const CORRELATION_MAX: f64 = 0.9999;

/// How long `first` and `second` take together, on points `step` apart, where links remember their delay
/// for `memory`.
pub(super) fn both(first: &Wait<'_>, second: &Wait<'_>, memory: Span, step: Span) -> Distribution {
    let lengths = [first, second].map(|wait| wait.distribution(step));
    let correlation = correlation([first, second], &lengths, memory, step);
    let [one, other] = &lengths;
    if correlation <= 0.0 {
        return one.plus(other);
    }
    let scores: Vec<f64> =
        (0..CELLS).map(|cell| score((f64::from(cell) + 0.5) / f64::from(CELLS))).collect();
    let rest = (1.0 - correlation * correlation).sqrt();
    let mut sums: Vec<Span> = Vec::with_capacity(scores.len() * scores.len());
    for first in &scores {
        let length = one.quantile(normal(*first));
        let with = |own: &f64| length + other.quantile(normal(correlation * first + rest * own));
        sums.extend(scores.iter().map(with));
    }
    sums.sort_unstable();
    let range = (one.quantile(0.0) + other.quantile(0.0), one.quantile(1.0) + other.quantile(1.0));
    Distribution::from_cdf(range, step, |span| {
        sums.partition_point(|sum| *sum <= span) as f64 / sums.len() as f64
    })
}

/// The correlation of the normal scores of two lengths; zero if they have nothing to do with one another,
/// or nobody can say.
fn correlation(
    waits: [&Wait<'_>; 2],
    lengths: &[Distribution; 2],
    memory: Span,
    step: Span,
) -> f64 {
    let [first, second] = lengths.each_ref().map(|length| length.quantile(0.5));
    let is_constant = lengths.iter().any(Distribution::is_constant);
    if memory == Span::ZERO || is_constant {
        return 0.0;
    }
    // Phase 2 leaves a phase 1 later.
    let of_links = (-(first.0 as f64) / memory.0 as f64).exp().min(CORRELATION_MAX);
    let [one, other] = [(waits[0], first), (waits[1], second)]
        .map(|(wait, by)| (wait.answered(), wait.answers_by(by, step)));
    let joint: Vec<[f64; 3]> =
        one.1.iter().zip(&other.1).map(|(p, q)| [*p, *q, both_below(*p, *q, of_links)]).collect();
    let Some(both) = one.0.both(&other.0, &joint) else { return 0.0 };
    let room = &mut Vec::new();
    let (p, q) = (one.0.probability(&one.1, room), other.0.probability(&other.1, room));
    // Both grow together: the correlation is found by halving.
    let (mut low, mut high) = (0.0, CORRELATION_MAX);
    for _ in 0..40 {
        let middle = f64::midpoint(low, high);
        if both_below(p, q, middle) < both { low = middle } else { high = middle }
    }
    low
}

/// The probability that two normal scores of this correlation are below their quantiles of these
/// probabilities: `p q` and the integral of the density over the correlations up to this one (Plackett
/// 1954), by the rule of Simpson in the angle whose sine it is.
fn both_below(p: f64, q: f64, correlation: f64) -> f64 {
    if correlation <= 0.0 || [p, q].iter().any(|share| *share <= 0.0 || *share >= 1.0) {
        return p * q;
    }
    let (h, k) = (score(p), score(q));
    let density = |angle: f64| {
        let (sine, cosine) = angle.sin_cos();
        (-(h * h + k * k - 2.0 * h * k * sine) / (2.0 * cosine * cosine)).exp()
    };
    let width = correlation.asin() / f64::from(STRIPS);
    let weight = |strip| match strip {
        0 | STRIPS => 1.0,
        _ if strip % 2 == 1 => 4.0,
        _ => 2.0,
    };
    let sum: f64 =
        (0..=STRIPS).map(|strip| weight(strip) * density(f64::from(strip) * width)).sum();
    let both = p * q + sum * width / 3.0 / std::f64::consts::TAU;
    both.clamp(p * q, p.min(q))
}

/// The probability that a normal score is below this one.
fn normal(score: f64) -> f64 {
    libm::erfc(-score * std::f64::consts::FRAC_1_SQRT_2) / 2.0
}

/// The normal score that is not exceeded with this probability, by halving.
fn score(probability: f64) -> f64 {
    let (mut low, mut high) = (-9.0, 9.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if normal(middle) < probability { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_those_of_the_tables() {
        for (probability, expected) in [(0.5, 0.0), (0.841_344_746, 1.0), (0.99, 2.326_347_874)] {
            assert!((score(probability) - expected).abs() < 1e-8);
            assert!((normal(expected) - probability).abs() < 1e-9);
        }
    }

    /// Sheppard 1898: both are below their medians with probability 1/4 + arcsin(r) / 2π.
    #[test]
    fn two_correlated_scores_are_below_their_medians_by_the_angle() {
        for correlation in [0.0_f64, 0.1, 0.5, 0.9, 0.999] {
            let expected = 0.25 + correlation.asin() / std::f64::consts::TAU;
            let found = both_below(0.5, 0.5, correlation);
            assert!((found - expected).abs() < 1e-9, "{correlation}: {found}");
        }
        // The same score twice is below both when it is below the lower.
        assert!((both_below(0.3, 0.9, CORRELATION_MAX) - 0.3).abs() < 1e-6);
        assert!((both_below(0.3, 1.0, 0.5) - 0.3).abs() < 1e-12);
    }
}
