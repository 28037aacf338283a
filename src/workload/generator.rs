//! The operations of one client region, in their order.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use crate::command::Operation;
use crate::seed::scramble;
use crate::time::Span;

use super::Workload;
use super::arrivals::Arrivals;
use super::conflicts::RegionKeys;
use super::values::Values;

/// Generates one client region's operations.
///
/// Arrivals, keys, conflicts and the choice between reading and writing draw from random streams of their own, so
/// changing one law leaves the others' draws as they were.
#[derive(Clone, Debug)]
pub struct Generator {
    arrivals: Arrivals,
    keys: RegionKeys,
    values: Values,
    reads: f64,
    kinds: Pcg64,
}

/// What a random stream is for; its number is part of its seed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    Arrivals = 1,
    Keys = 2,
    Kinds = 3,
    Controls = 4,
    Conflicts = 5,
}

impl Generator {
    /// The generator of client region `index` of `of`.
    ///
    /// # Panics
    /// If the workload is not valid ([`Workload::validate`]), if there is no such region, or if the regions together
    /// have more keys than 64 bits can number ([`Workload::key_count`]).
    pub fn new(workload: &Workload, index: usize, of: usize, seed: u64) -> Self {
        assert!(workload.validate().is_ok(), "a workload that was not validated: {workload:?}");
        let stream = |purpose| stream(seed, index, purpose);
        let share = workload.share(index, of);
        Self {
            arrivals: Arrivals::new(&share, index, of, stream(Purpose::Arrivals)),
            keys: RegionKeys::new(
                &workload.key_space(index, of),
                stream(Purpose::Keys),
                stream(Purpose::Conflicts),
            ),
            values: Values::new(index, workload.value_bytes),
            reads: workload.reads,
            kinds: stream(Purpose::Kinds),
        }
    }

    /// Clients of a closed loop start at random moments within `over`, fixed by the seed, and not all in
    /// one instant.
    ///
    /// Clients that start together stay together where every round trip takes as long: all ask in one
    /// instant, and what is measured is a queue that independent clients do not make.
    #[must_use]
    pub fn staggered(mut self, over: Span) -> Self {
        self.arrivals.stagger(over);
        self
    }

    /// The time from the intended start before (or the beginning) to the next one.
    ///
    /// In a closed loop each client has one, for its first operation; `None` afterwards, when answers
    /// start operations.
    pub fn next_gap(&mut self) -> Option<Span> {
        self.arrivals.next_gap()
    }

    /// Whether answers start operations.
    pub const fn is_closed(&self) -> bool {
        self.arrivals.is_closed()
    }

    /// The next operation.
    pub fn next_operation(&mut self) -> Operation {
        let key = self.keys.next_key();
        if self.kinds.random_bool(self.reads) {
            return Operation::Get { key };
        }
        Operation::Put { key, value: self.values.next_value() }
    }
}

/// The random stream of one purpose of one region.
///
/// PCG streams that differ only in their increment can be correlated, so state and increment both come
/// from a scrambled seed.
pub(super) fn stream(seed: u64, index: usize, purpose: Purpose) -> Pcg64 {
    let region = scramble(scramble(seed).wrapping_add(index as u64 + 1));
    Pcg64::seed_from_u64(scramble(region.wrapping_add(purpose as u64)))
}

#[cfg(test)]
mod tests {
    use super::super::{Arrival, Keys};
    use super::*;

    fn workload() -> Workload {
        Workload {
            arrival: Arrival::Poisson { rate_per_s: 100.0 },
            keys: Keys::Uniform { count: 1000 },
            value_bytes: 16,
            reads: 0.5,
            weights: Vec::new(),
            conflicts: None,
        }
    }

    struct Drawn {
        gaps: Vec<Option<Span>>,
        keys: Vec<u64>,
        reads: Vec<bool>,
        operations: Vec<Operation>,
    }

    fn draw(workload: &Workload, index: usize, seed: u64) -> Drawn {
        let mut generator = Generator::new(workload, index, 3, seed);
        let gaps = (0..200).map(|_| generator.next_gap()).collect();
        let operations: Vec<Operation> = (0..200).map(|_| generator.next_operation()).collect();
        let key = Operation::key;
        Drawn {
            gaps,
            keys: operations.iter().map(key).collect(),
            reads: operations.iter().map(|o| matches!(o, Operation::Get { .. })).collect(),
            operations,
        }
    }

    #[test]
    fn equal_seed_and_region_give_equal_operations_and_gaps() {
        let (one, other) = (draw(&workload(), 1, 42), draw(&workload(), 1, 42));
        assert_eq!(one.operations, other.operations);
        assert_eq!(one.gaps, other.gaps);
    }

    #[test]
    fn another_seed_or_region_gives_others() {
        let one = draw(&workload(), 1, 42);
        for (index, seed) in [(0, 42), (2, 42), (1, 41), (1, 43)] {
            let other = draw(&workload(), index, seed);
            assert_ne!(one.keys, other.keys, "region {index}, seed {seed}");
            assert_ne!(one.gaps, other.gaps, "region {index}, seed {seed}");
            assert_ne!(one.reads, other.reads, "region {index}, seed {seed}");
        }
    }

    #[test]
    fn changing_one_law_leaves_the_draws_of_the_others() {
        let base = draw(&workload(), 0, 1);
        let mut changed = workload();
        changed.arrival = Arrival::Closed { clients: 6 };
        let closed = draw(&changed, 0, 1);
        assert_ne!(closed.gaps, base.gaps);
        assert_eq!(closed.operations, base.operations);

        let mut changed = workload();
        changed.keys = Keys::Zipf { count: 1000, exponent: 1.0 };
        let skewed = draw(&changed, 0, 1);
        assert_ne!(skewed.keys, base.keys);
        assert_eq!((&skewed.gaps, &skewed.reads), (&base.gaps, &base.reads));

        let mut changed = workload();
        (changed.reads, changed.value_bytes) = (0.1, 64);
        let writing = draw(&changed, 0, 1);
        assert_ne!(writing.reads, base.reads);
        assert_eq!((&writing.gaps, &writing.keys), (&base.gaps, &base.keys));
    }

    /// Not only unequal: the streams of one seed are uncorrelated, within five standard errors.
    #[test]
    fn streams_of_one_seed_are_uncorrelated() {
        let n = 100_000;
        let uniform = |index, purpose| -> Vec<f64> {
            let mut stream = stream(5, index, purpose);
            (0..n).map(|_| stream.random::<f64>() - 0.5).collect()
        };
        let streams = [
            uniform(0, Purpose::Arrivals),
            uniform(0, Purpose::Keys),
            uniform(0, Purpose::Kinds),
            uniform(0, Purpose::Controls),
            uniform(0, Purpose::Conflicts),
            uniform(1, Purpose::Arrivals),
        ];
        // The product of two independent ones has variance 1/144.
        let bound = 5.0 / (144.0 * f64::from(n)).sqrt();
        for (index, one) in streams.iter().enumerate() {
            for other in &streams[..index] {
                let product: f64 = one.iter().zip(other).map(|(a, b)| a * b).sum();
                assert!((product / f64::from(n)).abs() < bound);
            }
            let square: f64 = one.iter().map(|a| a * a).sum();
            assert!(square / f64::from(n) > bound, "a stream with itself must show");
        }
    }

    #[test]
    fn the_fraction_of_reads_is_the_one_asked_for() {
        let count = |reads: f64| {
            let workload = Workload { reads, ..workload() };
            let mut generator = Generator::new(&workload, 0, 1, 3);
            (0..10_000)
                .filter(|_| matches!(generator.next_operation(), Operation::Get { .. }))
                .count()
        };
        assert_eq!(count(0.0), 0);
        assert_eq!(count(1.0), 10_000);
        // Five standard errors of 10,000 draws are 217.
        assert!((3_000 - 217..=3_000 + 217).contains(&count(0.3)));
    }

    /// The first draws are pinned: another toolchain or crate version must not change an experiment.
    #[test]
    fn the_draws_of_seed_one_are_pinned() {
        let drawn = draw(&workload(), 0, 1);
        assert_eq!(drawn.keys[..4], [805, 960, 529, 71]);
        assert_eq!(drawn.gaps[..2], [22_167_567, 50_850_104].map(|gap| Some(Span(gap))));
    }
}
