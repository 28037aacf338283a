//! From the published percentiles of a round trip to the delays of its two legs.
//!
//! What was published is of round trips, and a round trip is what a client sees.
//! So the legs are fitted such that the *sum of two independent ones* has the percentiles: with legs
//! shift/2 + s·W, where W is a standard Weibull variable of shape k, the round trip's quantile is
//!
//!   R(p) = R(½) + s · (h(p) − h(½)),
//!
//! where h are the quantiles of the sum of two W of shape k.
//! For each k of a grid from 1 to 8 that is linear in s, so the s of the least squared error is a
//! quotient; of all k the one with the least error is taken.
//!
//! - The median is met exactly; what is fitted is the spread around it.
//! - A minimum is the percentile 0, where h is 0.
//! - Each squared error is divided by how far its percentile is from the median: half way between
//!   errors in milliseconds and relative ones. In milliseconds, a p99 that no thin tail can have would
//!   stretch all the rest: of `aws-2024-04` from eu-central-1 to us-east-1, 648 ms where the p90 is 96,
//!   makes the p90 119 ms longer and the p10 62 ms shorter. By relative errors, the p99 of ordinary
//!   pairs would be twice as far off.
//! - The shift is not negative.
//! - With one percentile beside the median the shape cannot be told from the scale, and
//!   [`SHAPE_DEFAULT`] is taken.
//! - With none, or no spread, the delay is constant.
//! - A Weibull that misses a percentile by more than [`MISS_MAX`] is not taken: the tail is heavier, or
//!   the median too short for such a spread. Then the legs are [empirical](super::empirical), if those
//!   are nearer.
//!
//! A fit is that of one row. Where the rows of the two directions of a pair differ, a round trip is made
//! of one leg of each, and its percentiles are between those of the rows.

use std::sync::Arc;

use crate::time::Span;

use super::delay::{Delay, Knot, nanoseconds};
use super::empirical;
use super::pair::LevelError;
use super::sum::{self, SHAPES};

/// The median's place in a distribution.
const MEDIAN: f64 = 0.5;

/// The shape where it cannot be fitted: the median of those of the Weibull legs for the pairs of
/// `aws-2024-04`, the one set with percentiles from p10 to p99.
pub const SHAPE_DEFAULT: f64 = 1.0;

/// The greatest error of a percentile that is let pass without a word, as a share of what was
/// published.
pub const MISS_MAX: f64 = 0.05;

/// The distribution of a round trip over two equal legs.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    median: Span,
    legs: Legs,
}

/// What the two legs have in common.
#[derive(Clone, Debug, PartialEq)]
enum Legs {
    /// A shifted Weibull distribution; a constant where its scale is zero.
    Weibull { scale_ns: f64, shape: f64 },
    /// An empirical one.
    Empirical(Vec<Knot>),
}

/// A percentile is taken to be at least so far from the median when its error is weighed: less is
/// within what the sources round to.
const DISTANCE_MIN_NS: f64 = 50_000.0;

/// A percentile of the round trip beside the median.
struct Level {
    /// Of the sum of two standard variables less their median, for each shape.
    heights: Arc<[f64; SHAPES]>,
    /// Of the round trip less its median, in nanoseconds.
    above_ns: f64,
    weight: f64,
}

impl Fit {
    /// The fit of a round trip with these (probability, round trip), ascending.
    ///
    /// # Panics
    /// If the median is not among them: every row of a table has one.
    pub fn of(quantiles: &[(f64, Span)]) -> Self {
        let thin = Self::thin(quantiles);
        if thin.worst(quantiles) <= MISS_MAX {
            return thin;
        }
        let legs = Legs::Empirical(empirical::knots(quantiles));
        let empirical = Self { median: thin.median, legs };
        if empirical.worst(quantiles) < thin.worst(quantiles) { empirical } else { thin }
    }

    /// The Weibull legs.
    fn thin(quantiles: &[(f64, Span)]) -> Self {
        let is_median = |level: &&(f64, Span)| level.0.total_cmp(&MEDIAN).is_eq();
        let median = quantiles.iter().find(is_median).expect("every row has a median").1;
        let levels: Vec<Level> = quantiles
            .iter()
            .filter(|level| !is_median(level))
            .map(|(probability, span)| {
                let above_ns = span.0 as f64 - median.0 as f64;
                let weight = above_ns.abs().max(DISTANCE_MIN_NS).recip();
                Level { heights: sum::quantiles(*probability), above_ns, weight }
            })
            .collect();
        let medians = sum::quantiles(MEDIAN);
        let weibull = |scale_ns, shape| Self { median, legs: Legs::Weibull { scale_ns, shape } };
        let of_shape = |index: usize| {
            let most_ns = median.0 as f64 / medians[index];
            let (scale_ns, error) = scale(&levels, medians[index], index, most_ns);
            (weibull(scale_ns, sum::shape(index)), error)
        };
        match levels.len() {
            0 => weibull(0.0, SHAPE_DEFAULT),
            1 => of_shape(index_of(SHAPE_DEFAULT)).0,
            _ => {
                let fits = (0..SHAPES).map(of_shape);
                // Of equals the first: the tail is then the heaviest that fits.
                fits.min_by(|one, other| one.1.total_cmp(&other.1)).expect("there are shapes").0
            }
        }
    }

    /// The greatest error of these percentiles, as a share of each.
    fn worst(&self, quantiles: &[(f64, Span)]) -> f64 {
        self.errors(quantiles).map(|error| error.relative().abs()).fold(0.0, f64::max)
    }

    /// The error at each of these percentiles.
    pub(super) fn errors(&self, published: &[(f64, Span)]) -> impl Iterator<Item = LevelError> {
        published.iter().map(|(probability, published)| LevelError {
            probability: *probability,
            published: *published,
            fitted: self.round_trip(*probability),
        })
    }

    /// The delay of one direction: half of the round trip's shift, and one of its two random parts.
    pub fn leg(&self) -> Delay {
        match &self.legs {
            Legs::Empirical(knots) => Delay::empirical(knots),
            Legs::Weibull { scale_ns, .. } if *scale_ns <= 0.0 => {
                Delay::constant(Span(self.median.0 / 2))
            }
            Legs::Weibull { scale_ns, shape } => {
                let random_ns = scale_ns * sum::quantiles(MEDIAN)[index_of(*shape)];
                let shift_ns = ((self.median.0 as f64 - random_ns) / 2.0).max(0.0);
                Delay::weibull(nanoseconds(shift_ns), *scale_ns, *shape)
            }
        }
    }

    /// The fitted percentile of the round trip.
    pub fn round_trip(&self, probability: f64) -> Span {
        match &self.legs {
            Legs::Empirical(knots) => nanoseconds(empirical::round_trip(knots, probability)),
            Legs::Weibull { scale_ns, shape } => {
                let index = index_of(*shape);
                let height = sum::quantiles(probability)[index] - sum::quantiles(MEDIAN)[index];
                nanoseconds(self.median.0 as f64 + scale_ns * height)
            }
        }
    }

    /// The shape of both legs; nothing where they are constant or empirical.
    pub fn shape(&self) -> Option<f64> {
        match &self.legs {
            Legs::Weibull { scale_ns, shape } => (*scale_ns > 0.0).then_some(*shape),
            Legs::Empirical(_) => None,
        }
    }

    /// Whether the legs are empirical.
    pub const fn is_empirical(&self) -> bool {
        matches!(self.legs, Legs::Empirical(_))
    }
}

/// The number of a shape of the grid.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "shapes are those of the grid"
)]
fn index_of(shape: f64) -> usize {
    ((shape - sum::shape(0)) / (sum::shape(1) - sum::shape(0))).round() as usize
}

/// The scale of least squared error from 0 to `most_ns`, and that error.
fn scale(levels: &[Level], median: f64, index: usize, most_ns: f64) -> (f64, f64) {
    let (mut product, mut square) = (0.0, 0.0);
    for level in levels {
        let height = level.heights[index] - median;
        product += level.weight * height * level.above_ns;
        square += level.weight * height * height;
    }
    let scale_ns = if square > 0.0 { (product / square).clamp(0.0, most_ns) } else { 0.0 };
    let error = |level: &Level| {
        let miss = scale_ns * (level.heights[index] - median) - level.above_ns;
        level.weight * miss * miss
    };
    (scale_ns, levels.iter().map(error).sum())
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::topology::{Pair, Profile};

    const PERCENTILES: [f64; 6] = [0.1, 0.25, 0.5, 0.75, 0.9, 0.99];

    /// The fits of `aws-2024-04`, which take a while without optimisation.
    static AWS: LazyLock<Vec<Pair>> =
        LazyLock::new(|| Profile::load("aws-2024-04").unwrap().fits());

    fn ms(millis: f64) -> Span {
        Span::from_millis_f64(millis)
    }

    fn median(values: &mut [f64]) -> f64 {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    }

    /// The chance that a leg and another one are together not longer than `span`, from the leg's own
    /// distribution and without anything of the fit.
    fn both(leg: &Delay, span: Span) -> f64 {
        let steps = 20_000;
        let one = |step: u32| {
            let first = leg.quantile((f64::from(step) + 0.5) / f64::from(steps));
            if first > span { 0.0 } else { leg.cdf(span - first) }
        };
        (0..steps).map(one).sum::<f64>() / f64::from(steps)
    }

    #[test]
    fn a_weibull_is_found_again() {
        for (shape, scale_ms) in [(1.0, 0.7), (1.5, 3.0), (2.875, 1.0), (8.0, 10.0)] {
            let made_ns = scale_ms * 1e6;
            let legs = Legs::Weibull { scale_ns: made_ns, shape };
            let made = Fit { median: ms(80.0), legs };
            let published = PERCENTILES.map(|p| (p, made.round_trip(p)));
            let found = Fit::of(&published);
            let Legs::Weibull { scale_ns, .. } = found.legs else { panic!("{found:?}") };
            assert!((found.shape().unwrap() - shape).abs() < 1e-9, "{found:?}");
            assert!((scale_ns / made_ns - 1.0).abs() < 1e-4, "{found:?}");
        }
    }

    #[test]
    fn two_legs_have_the_percentiles_of_the_round_trip() {
        let published = [(0.1, ms(78.0)), (0.5, ms(80.0)), (0.9, ms(84.0)), (0.99, ms(90.0))];
        let fit = Fit::of(&published);
        let leg = fit.leg();
        for probability in [0.01, 0.1, 0.5, 0.9, 0.99] {
            let found = both(&leg, fit.round_trip(probability));
            assert!((found - probability).abs() < 1e-4, "{probability}: {found}");
        }
        assert_eq!(fit.round_trip(0.5), ms(80.0), "the median is met exactly");
        let least = fit.round_trip(0.0);
        assert!(least.0.abs_diff(leg.least().times(2).0) <= 1, "{least}");
    }

    /// The convolution matters: half of each percentile would spread the round trip too little.
    #[test]
    fn legs_with_half_of_each_percentile_would_not_do() {
        let fit = Fit::of(&[(0.5, ms(80.0)), (0.99, ms(90.0))]);
        let half = Delay::weibull(
            Span::from_millis(40) - Span::from_millis_f64(0.903),
            5.0e6 / (100.0_f64.ln() - 2.0_f64.ln()),
            1.0,
        );
        assert!(both(&half, fit.round_trip(0.99)) > 0.996);
    }

    #[test]
    fn without_spread_a_leg_is_half_of_the_median() {
        for quantiles in
            [vec![(0.5, Span(7))], vec![(0.1, Span(7)), (0.5, Span(7)), (0.9, Span(7))]]
        {
            let fit = Fit::of(&quantiles);
            assert_eq!((fit.leg(), fit.shape()), (Delay::constant(Span(3)), None));
            assert_eq!(fit.round_trip(0.99), Span(7));
        }
        assert!(Fit::of(&[(0.5, Span::ZERO), (0.9, Span::ZERO)]).leg().is_zero());
    }

    #[test]
    fn one_percentile_is_met_exactly_with_the_default_shape() {
        for (probability, span) in [(0.0, ms(8.0)), (0.9, ms(11.0)), (0.95, ms(12.0))] {
            let mut published: Vec<(f64, Span)> = vec![(0.5, ms(10.0)), (probability, span)];
            published.sort_by(|one, other| one.0.total_cmp(&other.0));
            let fit = Fit::of(&published);
            assert_eq!(fit.round_trip(probability), span);
            assert_eq!(fit.shape(), Some(SHAPE_DEFAULT));
        }
    }

    #[test]
    fn more_spread_than_the_median_allows_is_met_by_empirical_legs() {
        // A Weibull around a median of 1 ms would begin below zero.
        let published = [(0.5, ms(1.0)), (0.9, ms(50.0))];
        let thin = Fit::thin(&published);
        assert!(thin.round_trip(0.9) < ms(45.0) && thin.leg().least() == Span::ZERO, "{thin:?}");
        let fit = Fit::of(&published);
        assert!(fit.is_empirical() && fit.worst(&published) < 1e-3, "{fit:?}");
    }

    /// The claim in the doc of [`SHAPE_DEFAULT`].
    #[test]
    fn the_default_shape_is_the_median_of_those_of_aws_2024_04() {
        let fits = &*AWS;
        let thin = |pair: &Pair| Fit::thin(&pair.published).shape();
        let mut shapes: Vec<f64> = fits.iter().filter_map(thin).collect();
        assert_eq!(shapes.len(), 21 * 20);
        let empirical = fits.iter().filter(|pair| pair.fit.is_empirical()).count();
        assert!((20..60).contains(&empirical), "{empirical}");
        assert!((median(&mut shapes) - SHAPE_DEFAULT).abs() < 1e-9);
        assert!((sum::shape(index_of(SHAPE_DEFAULT)) - SHAPE_DEFAULT).abs() < 1e-9);
    }

    /// A p99 of one bad hour, which no thin tail has, is met, and nothing else is moved by it.
    #[test]
    fn a_heavy_tail_is_met_and_does_not_stretch_the_rest() {
        let published = [
            (0.1, 91.76),
            (0.25, 92.14),
            (0.5, 92.66),
            (0.75, 94.09),
            (0.9, 95.85),
            (0.99, 647.72),
        ];
        let published = published.map(|(probability, span_ms)| (probability, ms(span_ms)));
        let thin = Fit::thin(&published);
        assert!(thin.worst(&published) > 0.8, "a control: {thin:?}");
        let fit = Fit::of(&published);
        assert!(fit.is_empirical() && fit.worst(&published) < 0.005, "{fit:?}");
        // From the legs alone, and without anything of the search.
        let leg = fit.leg();
        for (probability, span) in published {
            let [shorter, longer] =
                [0.95, 1.05].map(|by| both(&leg, ms(span.as_millis_f64() * by)));
            assert!((shorter..longer).contains(&probability), "{probability}: {shorter} {longer}");
        }
    }

    /// Every published percentile of every row that a profile ships is met within a twentieth.
    #[test]
    fn no_fit_of_a_shipped_table_misses_a_percentile() {
        let others =
            Profile::built_in().into_iter().filter(|profile| profile.name() != "aws-2024-04");
        let others: Vec<Pair> = others.flat_map(|profile| profile.fits()).collect();
        for pair in AWS.iter().chain(&others) {
            let worst = pair.fit.worst(&pair.published);
            assert!(worst <= MISS_MAX, "{pair:?}: {worst}");
        }
    }

    /// The median relative error at each of these percentiles, over all pairs.
    fn errors<const N: usize>(fits: &[Pair], percentiles: [f64; N]) -> [f64; N] {
        percentiles.map(|percentile| {
            let mut errors: Vec<f64> = fits
                .iter()
                .flat_map(Pair::errors)
                .filter(|error| (error.probability - percentile).abs() < 1e-9)
                .map(|error| error.relative().abs())
                .collect();
            assert!(errors.len() > 100);
            median(&mut errors)
        })
    }

    #[test]
    fn the_fits_of_the_shipped_tables_are_near_what_was_published() {
        let of_aws = errors(&AWS, PERCENTILES);
        assert!(of_aws.iter().all(|error| *error < 0.006), "{of_aws:?}");
        assert!(of_aws[5] < 0.005, "{of_aws:?}");
        let fits = |profile| Profile::load(profile).unwrap().fits();
        assert!(errors(&fits("aws-2025-07"), [0.9])[0] < 1e-6);
        assert!(errors(&fits("azure-2026-07"), [0.95])[0] < 1e-6);
        assert!(errors(&fits("gcp-2019-09"), [0.0])[0] < 1e-6);
    }
}
