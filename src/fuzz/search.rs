//! Many seeds on many threads.

use std::ops::Range;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::case::Case;
use super::limits::Limits;
use super::property::Violation;
use super::tally::Tally;
use super::trial;

/// So many seeds are begun before anybody asks whether one of them failed: what a search does is the
/// same whatever the number of threads.
const BATCH: u64 = 1024;

/// The seeds to run.
#[derive(Clone, Debug)]
pub struct Search {
    /// Which.
    pub seeds: Range<u64>,
    /// What they may draw.
    pub limits: Limits,
    /// Whether to go on after a violation.
    pub is_to_go_on: bool,
    /// On so many threads.
    pub threads: usize,
}

/// What a search found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// What happened in all runs.
    pub tally: Tally,
    /// The seeds that failed, ascending.
    pub violations: Vec<(u64, Violation)>,
}

/// Why a search cannot be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The threads cannot be started.
    #[error("{threads} threads cannot be started")]
    Threads {
        /// How many.
        threads: usize,
        /// Why.
        #[source]
        source: rayon::ThreadPoolBuildError,
    },
}

impl Search {
    /// Runs the seeds; `is_enough` is asked before each, and told of how many are over.
    pub fn run(&self, is_enough: &(dyn Fn(u64) -> bool + Sync)) -> Result<Found, Error> {
        let threads = self.threads;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.map_err(|source| Error::Threads { threads, source })?;
        Ok(pool.install(|| self.run_here(is_enough)))
    }

    fn run_here(&self, is_enough: &(dyn Fn(u64) -> bool + Sync)) -> Found {
        let mut found = Found::default();
        let mut next = self.seeds.start;
        while next < self.seeds.end {
            let batch = next..self.seeds.end.min(next + BATCH);
            next = batch.end;
            let done_count = found.tally.histories;
            let one = |seed| {
                (!is_enough(done_count)).then(|| {
                    let ran = trial::run(&Case::draw(seed, &self.limits));
                    (seed, ran)
                })
            };
            let ran: Vec<_> = batch.into_par_iter().map(one).collect();
            let is_cut = ran.iter().any(Option::is_none);
            for (seed, ran) in ran.into_iter().flatten() {
                found.tally += ran.tally;
                found.violations.extend(ran.violation.map(|violation| (seed, violation)));
            }
            if is_cut || (!self.is_to_go_on && !found.violations.is_empty()) {
                break;
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sabotage::Rule;

    fn search(seeds: Range<u64>, rule: Option<Rule>) -> Search {
        let limits = Limits { rule, ..Limits::default() };
        Search { seeds, limits, is_to_go_on: true, threads: 1 }
    }

    #[test]
    fn what_is_found_does_not_depend_on_the_number_of_threads() {
        let one = search(0..40, Some(Rule::SendsBeforePersist));
        let two = Search { threads: 2, ..one.clone() };
        let (one, two) = (one.run(&|_| false).unwrap(), two.run(&|_| false).unwrap());
        assert_eq!(one.tally.histories, 40);
        assert_eq!((one.tally, one.violations), (two.tally, two.violations));
    }

    #[test]
    fn a_search_ends_when_it_is_enough() {
        let found = search(0..100_000, None).run(&|_| true).unwrap();
        assert_eq!(found.tally, Tally::default());
    }
}
