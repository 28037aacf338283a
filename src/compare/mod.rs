//! Differences between variants, runs and points, with their intervals; and predictions judged.
//!
//! Variants are interleaved and the trials of one repeat have one seed, so the values of one repeat form a
//! pair. A difference is the mean over the pairs of the logarithm of the ratio, with the interval of
//! Student's t ([`crate::statistics`]); all differences of one kind are a family, and Holm's correction keeps
//! the probability of any false alarm among them at 5 %.
//!
//! | file | content |
//! |---|---|
//! | [`observations`] | the values of every trial: one series for each variant, place and quantity |
//! | [`contrast`] | two series compared, and the verdict on a family of them |
//! | [`expectations`] | the predictions of an experiment, judged |
//! | [`rows`] | the rows of `comparison.csv` and `expectations.csv`
//! | [`stopping`] | when a run has enough repeats |
//! | [`self_test`] | how often the test raises a false alarm on the trials of a run |

pub mod contrast;
pub mod expectations;
pub mod observations;
pub mod rows;
pub mod self_test;
pub mod stopping;

pub use contrast::{Contrast, Family, Judged, NotComparable, Verdict};
pub use observations::{Observations, Series, Subject};

use crate::experiment::expectation::Expectation;
use crate::findings::Finished;
use crate::measure::Quantity;
use expectations::Judgement;

/// The probability of a false alarm in a family.
pub const LEVEL: f64 = 0.05;

/// Fewer repeats give no verdict: the spread of two values says nothing.
pub const REPEATS_MIN: usize = 3;

/// What is compared where nobody says what.
pub const QUANTITIES: [Quantity; 6] = [
    Quantity::P50,
    Quantity::P99,
    Quantity::Throughput,
    Quantity::Phase1,
    Quantity::Protocol,
    Quantity::Away,
];

/// What follows from the trials of one run.
#[derive(Clone, Debug, Default)]
pub struct Conclusions {
    /// Its variants beside the first one, or the points of its one variant beside the first.
    pub families: Vec<Family>,
    /// Its predictions.
    pub judgements: Vec<Judgement>,
}

impl Conclusions {
    /// Those of these trials; `looks` is how often the run looked at them before it ended, if it did.
    pub fn of(finished: &[Finished], expectations: &[Expectation], looks: Option<u32>) -> Self {
        Self::of_observations(&Observations::of(finished), expectations, looks, None)
    }

    /// The same of values that are at hand, beside another variant than the first.
    pub fn of_observations(
        all: &Observations,
        expectations: &[Expectation],
        looks: Option<u32>,
        baseline: Option<&str>,
    ) -> Self {
        let level = stopping::level(looks);
        let judgements = expectations::judge(expectations, all, level);
        let compared = all.only(|series| QUANTITIES.contains(&series.subject.quantity));
        let sides = match compared.variants()[..] {
            [] => Vec::new(),
            [_] => contrast::of_points(&compared),
            [first, ..] => contrast::of_variants(&compared, baseline.unwrap_or(first)),
        };
        Self { families: contrast::families(&sides, level), judgements }
    }

    /// Whether some difference can be told or denied.
    pub fn has_verdict(&self) -> bool {
        self.families.iter().flat_map(|it| &it.contrasts).any(|it| it.outcome.is_ok())
    }
}
