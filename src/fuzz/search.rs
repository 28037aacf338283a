//! Many seeds on many threads.

use std::ops::Range;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::address::Address;
use super::case::Case;
use super::corpus::Corpus;
use super::limits::Limits;
use super::tally::Tally;
use super::trial::{self, Ran};
use crate::monitor::Finding;

/// So many seeds are begun before anybody asks whether one of them failed: what a search does is the
/// same whatever the number of threads.
const BATCH: u64 = 1024;

/// The same for a guided search: all of a batch go on from what the batches before have found.
const GUIDED_BATCH: u64 = 64;

/// What a search goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guidance {
    /// Each seed is a case.
    None,
    /// The same, and the situations that they are in are counted.
    Counted,
    /// Each seed is a case, or a mutation of one that reached a new situation before.
    Corpus,
}

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
    /// What it goes by.
    pub guidance: Guidance,
}

/// A case that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// The number of cases up to this one.
    pub case_count: u64,
    /// Which.
    pub address: Address,
    /// How.
    pub violation: Finding,
}

/// What a search found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// What happened in all runs.
    pub tally: Tally,
    /// The cases that failed, in their order.
    pub violations: Vec<Failed>,
    /// How many different situations there were, if they were counted.
    pub situation_count: usize,
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
        let mut corpus = Corpus::default();
        let batch_size = if self.guidance == Guidance::None { BATCH } else { GUIDED_BATCH };
        let mut next = self.seeds.start;
        while next < self.seeds.end {
            let batch = next..self.seeds.end.min(next.saturating_add(batch_size));
            next = batch.end;
            let done_count = found.tally.histories;
            let one = |seed| {
                (!is_enough(done_count)).then(|| {
                    let address = match self.guidance {
                        Guidance::Corpus => corpus.next(seed),
                        Guidance::None | Guidance::Counted => seed.into(),
                    };
                    (self.run_one(&address), address)
                })
            };
            let ran: Vec<_> = batch.into_par_iter().map(one).collect();
            let is_cut = ran.iter().any(Option::is_none);
            for (ran, address) in ran.into_iter().flatten() {
                found.tally += ran.tally;
                corpus.learn(&address, &ran.situations, ran.tally.counts.events);
                let case_count = found.tally.histories;
                found.violations.extend(ran.violation.map(|violation| Failed {
                    case_count,
                    address,
                    violation,
                }));
            }
            found.situation_count = corpus.situation_count();
            if is_cut || (!self.is_to_go_on && !found.violations.is_empty()) {
                break;
            }
        }
        found
    }

    fn run_one(&self, address: &Address) -> Ran {
        let case = Case::of(address, &self.limits);
        match self.guidance {
            Guidance::None => trial::run(&case),
            Guidance::Counted | Guidance::Corpus => trial::run_situated(&case),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sabotage::Rule;

    fn search(seeds: Range<u64>, rule: Option<Rule>) -> Search {
        let limits = Limits { rule, ..Limits::default() };
        let guidance = Guidance::None;
        Search { seeds, limits, is_to_go_on: true, threads: 1, guidance }
    }

    #[test]
    fn what_is_found_does_not_depend_on_the_number_of_threads() {
        for (guidance, count) in [(Guidance::None, 16), (Guidance::Corpus, 80)] {
            let one = search(0..count, Some(Rule::SendsBeforePersist));
            let one = Search { guidance, ..one };
            let two = Search { threads: 2, ..one.clone() };
            let (one, two) = (one.run(&|_| false).unwrap(), two.run(&|_| false).unwrap());
            assert_eq!(one.tally.histories, count);
            assert_eq!((one.tally, one.violations), (two.tally, two.violations));
            assert_eq!(one.situation_count, two.situation_count);
        }
    }

    #[test]
    fn honest_replicas_keep_every_property_in_a_guided_search() {
        let guided = Search { guidance: Guidance::Corpus, threads: 2, ..search(0..96, None) };
        let counted = Search { guidance: Guidance::Counted, ..guided.clone() };
        let (guided, counted) = (guided.run(&|_| false).unwrap(), counted.run(&|_| false).unwrap());
        assert_eq!(guided.violations, []);
        assert!(guided.situation_count > 500 && counted.situation_count > 500);
        // The cases behind the first batch are others.
        assert_ne!(guided.tally, counted.tally);
    }

    #[test]
    fn a_search_ends_when_it_is_enough() {
        let found = search(0..100_000, None).run(&|_| true).unwrap();
        assert_eq!(found.tally, Tally::default());
    }
}
