//! The two equal legs of a round trip whose tail is heavier than a Weibull's.
//!
//! A leg is [empirical](super::Delay): straight lines over the hazard between knots.
//! Between two knots it is exponential, so the sum of two independent legs has a closed distribution
//! function: a sum over all pairs of lines.
//! [`knots`] finds the knots for which that sum has the published percentiles.
//!
//! - A knot is at the probability √p of each published percentile p: both legs are below it with
//!   probability p. One more halves each line, and two more divide the first, where a minimum may be
//!   far below the rest.
//! - The unknowns are the least delay and the lengths of the lines, none of which is negative. They
//!   come from least squares over the relative errors (Levenberg-Marquardt; the bounded linear problem
//!   in each step by coordinate descent), beginning with one leg in the tail while the other is at the
//!   half of the median.
//! - Not every distribution is the sum of two independent equal ones: one that is 50 ms, or in a
//!   quarter of the cases 100 ms, and never 150 ms, is none. The nearest is taken then, and the error
//!   is that of [`super::Pair::errors`].
//!
//! No random number is drawn: equal percentiles give equal legs.

use crate::time::Span;

use super::delay::Knot;
use super::sum;

/// The median's place in a distribution.
const MEDIAN: f64 = 0.5;

/// The error at which the search ends, as a share of each percentile.
const CLOSE: f64 = 2e-4;

/// The most steps of the search: where the percentiles can be met, three are usual.
const STEPS_MAX: usize = 20;

/// A shorter round trip is within what the sources round to: its error is weighed as that of this.
const LEAST_NS: f64 = 50_000.0;

/// The shortest line, so that a distribution function has no steps.
const LINE_MIN_NS: f64 = 1.0;

/// A line of a leg's distribution: an exponential delay, cut at its length.
struct Line {
    start: f64,
    length: f64,
    rate: f64,
    /// The probability to be beyond the start.
    reached: f64,
    /// The probability to be in the line for who is beyond its start.
    share: f64,
}

/// The knots of a leg, of which two independent ones have these (probability, round trip), ascending.
pub(super) fn knots(published: &[(f64, Span)]) -> Vec<Knot> {
    let mut search = Search::new(published);
    search.run();
    search.meet_the_median();
    search.knots()
}

/// The percentile of the sum of two independent legs with these knots.
pub(super) fn round_trip(knots: &[Knot], probability: f64) -> f64 {
    quantile(knots, &lines(knots), probability)
}

struct Search {
    /// (probability, round trip in ns).
    published: Vec<(f64, f64)>,
    hazards: Vec<f64>,
    /// The least delay and the length of each line, in ns.
    lengths: Vec<f64>,
    median_ns: f64,
}

impl Search {
    fn new(published: &[(f64, Span)]) -> Self {
        let published: Vec<(f64, f64)> =
            published.iter().map(|(probability, span)| (*probability, span.0 as f64)).collect();
        let median_ns = published
            .iter()
            .find(|level| level.0.total_cmp(&MEDIAN).is_eq())
            .expect("every row has a median")
            .1;
        let start: Vec<Knot> = published
            .iter()
            .filter(|level| level.0 > 0.0)
            .map(|(probability, span_ns)| {
                let other_ns = if *probability > MEDIAN { median_ns } else { *span_ns };
                Knot { hazard: -(-probability.sqrt()).ln_1p(), ns: span_ns - other_ns / 2.0 }
            })
            .collect();
        let least_ns = match (published.first(), &start[..]) {
            (Some((probability, span_ns)), _) if *probability <= 0.0 => span_ns / 2.0,
            (_, [_, _, ..]) => Knot::quantile(&start, 0.0).clamp(0.0, start[0].ns),
            _ => start[0].ns,
        };
        let (mut hazards, mut lengths) = (vec![0.0], vec![least_ns]);
        let mut last = Knot { hazard: 0.0, ns: least_ns };
        for (number, knot) in start.into_iter().enumerate() {
            let shares: &[f64] = if number == 0 { &[0.1, 0.4, 1.0] } else { &[0.5, 1.0] };
            let rise_ns = (knot.ns - last.ns).max(0.0);
            let mut before = 0.0;
            for share in shares {
                hazards.push(last.hazard + (knot.hazard - last.hazard) * share);
                lengths.push((rise_ns * (share - before)).max(LINE_MIN_NS));
                before = *share;
            }
            last = Knot { hazard: knot.hazard, ns: last.ns + rise_ns };
        }
        Self { published, hazards, lengths, median_ns }
    }

    fn knots(&self) -> Vec<Knot> {
        let mut ns = 0.0;
        let knots = self.hazards.iter().zip(&self.lengths);
        knots
            .map(|(hazard, length)| {
                ns += length;
                Knot { hazard: *hazard, ns }
            })
            .collect()
    }

    fn run(&mut self) {
        let mut errors = self.errors();
        let mut damping = 1e-4;
        for _ in 0..STEPS_MAX {
            if errors.iter().all(|error| error.abs() < CLOSE) {
                return;
            }
            let slopes = self.slopes();
            let before = squares(&errors);
            let lengths = self.lengths.clone();
            loop {
                self.lengths = stepped(&lengths, &slopes, &errors, damping);
                let found = self.errors();
                if squares(&found) < before {
                    errors = found;
                    break;
                }
                damping *= 4.0;
                if damping > 1e4 {
                    self.lengths = lengths;
                    return;
                }
            }
            damping = (damping / 5.0).max(1e-9);
        }
    }

    /// Moves the whole distribution so that the median is met exactly, as far as no delay is negative.
    fn meet_the_median(&mut self) {
        let below_ns = self.median_ns - round_trip(&self.knots(), MEDIAN);
        self.lengths[0] = (self.lengths[0] + below_ns / 2.0).max(0.0);
    }

    /// The relative error at each percentile.
    fn errors(&self) -> Vec<f64> {
        let knots = self.knots();
        let lines = lines(&knots);
        let error = |(probability, span_ns): &(f64, f64)| {
            (quantile(&knots, &lines, *probability) - span_ns) / span_ns.max(LEAST_NS)
        };
        self.published.iter().map(error).collect()
    }

    /// How each error changes with each length, per nanosecond.
    fn slopes(&self) -> Vec<Vec<f64>> {
        let knots = self.knots();
        let lines_here = lines(&knots);
        let nudge_ns = self.median_ns.max(LEAST_NS) * 1e-6;
        let slope = |(probability, span_ns): &(f64, f64)| {
            let scale = span_ns.max(LEAST_NS).recip();
            if *probability <= 0.0 {
                let least = |number| if number == 0 { 2.0 * scale } else { 0.0 };
                return (0..self.lengths.len()).map(least).collect();
            }
            let at_ns = quantile(&knots, &lines_here, *probability);
            let here = cdf(&lines_here, at_ns);
            let density = (cdf(&lines_here, at_ns + nudge_ns) - here).max(f64::EPSILON);
            let with_longer = |number: usize| {
                let longer = |(index, knot): (usize, &Knot)| {
                    let by_ns = if index >= number { nudge_ns } else { 0.0 };
                    Knot { ns: knot.ns + by_ns, ..*knot }
                };
                let longer: Vec<Knot> = knots.iter().enumerate().map(longer).collect();
                (here - cdf(&lines(&longer), at_ns)) / density * scale
            };
            (0..self.lengths.len()).map(with_longer).collect()
        };
        self.published.iter().map(slope).collect()
    }
}

/// The lengths after the step that makes the errors least, were they linear, and none too short.
fn stepped(lengths: &[f64], slopes: &[Vec<f64>], errors: &[f64], damping: f64) -> Vec<f64> {
    let count = lengths.len();
    let product = |a: usize, b: usize| slopes.iter().map(|row| row[a] * row[b]).sum::<f64>();
    let most = (0..count).map(|a| product(a, a)).fold(0.0, f64::max);
    let normal = |a: usize, b: usize| {
        product(a, b) + if a == b { damping * most + f64::MIN_POSITIVE } else { 0.0 }
    };
    let matrix: Vec<Vec<f64>> =
        (0..count).map(|a| (0..count).map(|b| normal(a, b)).collect()).collect();
    let gradient: Vec<f64> = (0..count)
        .map(|a| slopes.iter().zip(errors).map(|(row, error)| row[a] * error).sum())
        .collect();
    let least = |a: usize| if a == 0 { 0.0 } else { LINE_MIN_NS };
    let mut step = vec![0.0; count];
    for _ in 0..200 {
        for (a, row) in matrix.iter().enumerate() {
            let pull: f64 = row.iter().zip(&step).map(|(entry, by)| entry * by).sum();
            let wanted = step[a] - (gradient[a] + pull) / row[a];
            step[a] = wanted.max(least(a) - lengths[a]);
        }
    }
    let moved = lengths.iter().zip(&step).enumerate();
    moved.map(|(a, (length, by))| (length + by).max(least(a))).collect()
}

fn squares(errors: &[f64]) -> f64 {
    errors.iter().map(|error| error * error).sum()
}

fn lines(knots: &[Knot]) -> Vec<Line> {
    let line = |(number, pair): (usize, &[Knot])| {
        let length = (pair[1].ns - pair[0].ns).max(LINE_MIN_NS);
        let rate = (pair[1].hazard - pair[0].hazard) / length;
        // The last one has no end.
        let length = if number + 2 == knots.len() { f64::INFINITY } else { length };
        let (reached, share) = ((-pair[0].hazard).exp(), -(-rate * length).exp_m1());
        Line { start: pair[0].ns, length, rate, reached, share }
    };
    knots.windows(2).enumerate().map(line).collect()
}

/// The percentile of the sum of two legs.
fn quantile(knots: &[Knot], lines: &[Line], probability: f64) -> f64 {
    if probability <= 0.0 {
        return 2.0 * knots[0].ns;
    }
    let leg = |probability: f64| Knot::quantile(knots, -(-probability).ln_1p());
    // A sum is longer than its longer part and the least of the other one, and it is not longer than
    // twice a time that neither part exceeds.
    let ends = (knots[0].ns + leg(probability), 2.0 * leg(probability.sqrt()));
    sum::zero(ends, (1e-11, 0.1), |span| probability - cdf(lines, span))
}

/// The probability that two legs are together not longer than this.
fn cdf(lines: &[Line], span: f64) -> f64 {
    let mut probability = 0.0;
    for (number, one) in lines.iter().enumerate() {
        for (later, other) in lines[number..].iter().enumerate() {
            let both = within(one, other, span - one.start - other.start);
            probability += if later == 0 { both } else { 2.0 * both };
        }
    }
    probability
}

/// The probability that one leg is in this line, the other in that one, and what both have beyond
/// their starts is together not longer than `span`.
fn within(one: &Line, other: &Line, span: f64) -> f64 {
    if span <= 0.0 {
        return 0.0;
    }
    let reached = one.reached * other.reached;
    if span >= one.length + other.length {
        return reached * one.share * other.share;
    }
    let beyond = |span: f64| (-one.rate * span).exp();
    let high = one.length.min(span);
    // Below this the other one may be anywhere in its line.
    let low = (span - other.length).clamp(0.0, high);
    let whole = (1.0 - beyond(low)) * other.share;
    let rest = beyond(low) - beyond(high);
    let both = |at: f64| (-other.rate * (span - at) - one.rate * at).exp();
    let rates = other.rate - one.rate;
    let integral = if (rates * (high - low)).abs() < 1e-6 {
        both(f64::midpoint(low, high)) * (high - low)
    } else {
        (both(high) - both(low)) / rates
    };
    reached * (whole + rest - one.rate * integral)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Delay;
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    fn published(levels: &[(f64, f64)]) -> Vec<(f64, Span)> {
        levels.iter().map(|(p, span_ms)| (*p, Span::from_millis_f64(*span_ms))).collect()
    }

    /// The worst relative error of the sum of two legs.
    fn worst(levels: &[(f64, f64)]) -> f64 {
        let knots = knots(&published(levels));
        let error = |(p, span_ms): &(f64, f64)| round_trip(&knots, *p) / (span_ms * 1e6) - 1.0;
        levels.iter().map(|level| error(level).abs()).fold(0.0, f64::max)
    }

    #[test]
    fn two_legs_have_the_percentiles_of_a_heavy_tail() {
        let cases: [&[(f64, f64)]; 9] = [
            &[(0.5, 50.0), (0.9, 60.0), (0.99, 1000.0)],
            &[(0.0, 10.0), (0.5, 50.0), (0.9, 60.0), (0.99, 1000.0)],
            &[(0.5, 1.0), (0.9, 50.0)],
            &[(0.5, 20.0), (0.95, 400.0)],
            &[(0.0, 1.0), (0.5, 20.0), (0.95, 400.0)],
            &[(0.5, 50.0), (0.9, 50.1), (0.99, 3000.0), (0.999, 9000.0)],
            &[(0.5, 50.0), (0.9, 200.0), (0.99, 210.0)],
            // Two pairs of aws-2024-04.
            &[
                (0.1, 91.76),
                (0.25, 92.14),
                (0.5, 92.66),
                (0.75, 94.09),
                (0.9, 95.85),
                (0.99, 647.72),
            ],
            &[
                (0.1, 11.16),
                (0.25, 12.37),
                (0.5, 13.97),
                (0.75, 16.95),
                (0.9, 18.33),
                (0.99, 30.04),
            ],
        ];
        for levels in cases {
            let worst = worst(levels);
            assert!(worst < 0.025, "{levels:?}: {worst}");
        }
    }

    /// The closed form against drawing: the search would hide an error in it.
    #[test]
    fn the_sum_of_two_legs_is_what_drawing_finds() {
        let knots = knots(&published(&[(0.5, 50.0), (0.9, 60.0), (0.99, 1000.0)]));
        let leg = Delay::empirical(&knots);
        let mut random = Pcg64::seed_from_u64(3);
        let count = 200_000;
        let mut drawn: Vec<Span> = (0..count)
            .map(|_| leg.quantile(random.random()) + leg.quantile(random.random()))
            .collect();
        drawn.sort_unstable();
        for probability in [0.05, 0.5, 0.9, 0.97, 0.99, 0.999] {
            let expected = round_trip(&knots, probability);
            let below = drawn.partition_point(|span| (span.0 as f64) < expected) as f64;
            let error = 4.0 * (probability * (1.0 - probability) / f64::from(count)).sqrt();
            let found = below / f64::from(count);
            assert!((found - probability).abs() < error, "{probability}: {found}");
        }
    }

    /// A control: nothing that is the sum of two equal parts is like this, and the error shows it.
    #[test]
    fn what_no_two_legs_can_have_is_missed_and_not_hidden() {
        assert!(worst(&[(0.5, 50.0), (0.75, 100.0), (0.99, 101.0)]) > 0.1);
    }

    #[test]
    fn equal_percentiles_have_equal_legs() {
        let levels = published(&[(0.5, 50.0), (0.9, 60.0), (0.99, 1000.0)]);
        assert_eq!(knots(&levels), knots(&levels));
    }
}
