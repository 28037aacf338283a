//! Which keys each client region touches, and how often all of them touch the same one.
//!
//! Without a conflict rate the clients of all regions draw from the same keys.
//! With one, this share of the operations of every region touches one key that all regions share, [`SHARED_KEY`].
//! Each other operation draws a key from its region's own copy of the key space, and no two copies have a key in
//! common.
//! Two operations conflict if they touch the same key at the same time and one of them writes.
//! So operations of two regions conflict on the shared key or not at all, and the rate says how many can.
//!
//! This is the conflict rate of Moraru, Andersen and Kaminsky ("There Is More Consensus in Egalitarian Parliaments",
//! SOSP 2013, section 7). The client that they published touches one fixed key in the given percentage of the
//! operations, and a key that no other operation touches in the others.
//! The client of Enes et al. ("State-Machine Replication for Planet-Scale Systems", 2020) has one key of its own
//! for the others.
//! Here a region has as many keys of its own as [`Keys`] counts, so the size of the state and the skew within a region
//! stay what the experiment says.
//!
//! Key 0 is the shared one. The keys of the first region follow, then those of the second, and so on: the keys of a
//! region are a range, and responders may be given to it.

use std::ops::RangeInclusive;

use rand::RngExt;
use rand_pcg::Pcg64;

use super::keys::KeyStream;
use super::{Keys, Workload};

/// The key that all client regions share, where the workload has a conflict rate.
pub const SHARED_KEY: u64 = 0;

/// The keys that one client region touches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KeySpace<'a> {
    keys: &'a Keys,
    /// Where the region's own keys begin; they are as many as `keys` counts.
    first: u64,
    /// The share of the operations that touch the shared key instead.
    conflicts: Option<f64>,
}

impl KeySpace<'_> {
    /// The region's own keys.
    ///
    /// Without a conflict rate these are the keys of all regions.
    pub const fn own(&self) -> RangeInclusive<u64> {
        self.first..=self.first + (self.keys.count() - 1)
    }

    /// The share of the region's operations that touch a key of this range.
    pub fn share(&self, range: RangeInclusive<u64>) -> f64 {
        let Some(conflicts) = self.conflicts else { return self.keys.share(range) };
        let shared = if range.contains(&SHARED_KEY) { conflicts } else { 0.0 };
        let own = self.own();
        let (from, to) = (*range.start().max(own.start()), *range.end().min(own.end()));
        if from > to {
            return shared;
        }
        shared + (1.0 - conflicts) * self.keys.share(from - self.first..=to - self.first)
    }
}

impl Workload {
    /// How many keys the clients of so many regions touch together: they are 0 to one less.
    ///
    /// `None` if that is no 64-bit number.
    pub fn key_count(&self, regions: usize) -> Option<u64> {
        let count = self.keys.count();
        if self.conflicts.is_none() {
            return Some(count);
        }
        count.checked_mul(regions as u64)?.checked_add(1)
    }

    /// The keys of client region `index` of `of`.
    ///
    /// # Panics
    /// If there is no such region, or if there are more keys than 64 bits can number ([`Self::key_count`]).
    pub fn key_space(&self, index: usize, of: usize) -> KeySpace<'_> {
        assert!(index < of, "client region {index} of {of}");
        assert!(self.key_count(of).is_some(), "keys of {of} client regions: {:?}", self.keys);
        let first = match self.conflicts {
            None => 0,
            Some(_) => SHARED_KEY + 1 + index as u64 * self.keys.count(),
        };
        KeySpace { keys: &self.keys, first, conflicts: self.conflicts }
    }

    /// The share of the operations of all `of` client regions together that touch a key of this range: each region
    /// counts by its weight.
    ///
    /// # Panics
    /// As [`Self::key_space`] and [`Self::part`].
    pub fn key_share(&self, range: &RangeInclusive<u64>, of: usize) -> f64 {
        if self.conflicts.is_none() {
            return self.keys.share(range.clone());
        }
        let share = |index| self.part(index, of) * self.key_space(index, of).share(range.clone());
        (0..of).map(share).sum()
    }
}

/// The stream of the keys that one client region touches.
#[derive(Clone, Debug)]
pub(super) struct RegionKeys {
    own: KeyStream,
    /// Where the region's own keys begin.
    first: u64,
    /// The share of the operations that touch the shared key, and the stream that says which ones.
    conflicts: Option<(f64, Pcg64)>,
}

impl RegionKeys {
    /// The stream draws the region's own keys from `own`, and from `choice` whether an operation touches the shared
    /// key.
    ///
    /// # Panics
    /// If the workload of the keys is not valid.
    pub(super) fn new(space: &KeySpace<'_>, own: Pcg64, choice: Pcg64) -> Self {
        Self {
            own: KeyStream::new(space.keys, own),
            first: space.first,
            conflicts: space.conflicts.map(|share| (share, choice)),
        }
    }

    /// The next key.
    ///
    /// A key of the region is drawn for every operation, whether it is used or not.
    /// So the operations that touch own keys at two conflict rates touch the same ones, and every operation that
    /// touches the shared key at the lower rate touches it at the higher one too.
    pub(super) fn next_key(&mut self) -> u64 {
        let key = self.first + self.own.next_key();
        let Some((share, random)) = &mut self.conflicts else { return key };
        if random.random_bool(*share) { SHARED_KEY } else { key }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bytes::Bytes;

    use super::super::{Arrival, Generator};
    use super::*;
    use crate::command::Operation;

    const REGIONS: usize = 3;
    const DRAWS: u32 = 20_000;

    fn workload(keys: Keys, conflicts: Option<f64>) -> Workload {
        Workload {
            arrival: Arrival::Closed { clients: 6 },
            keys,
            value_bytes: 8,
            reads: 0.5,
            weights: Vec::new(),
            conflicts,
        }
    }

    fn uniform(conflicts: Option<f64>) -> Workload {
        workload(Keys::Uniform { count: 50 }, conflicts)
    }

    fn zipf(conflicts: Option<f64>) -> Workload {
        workload(Keys::Zipf { count: 50, exponent: 0.99 }, conflicts)
    }

    /// The keys of the first operations of a region.
    fn drawn(workload: &Workload, index: usize) -> Vec<u64> {
        let mut generator = Generator::new(workload, index, REGIONS, 11);
        (0..DRAWS).map(|_| generator.next_operation().key()).collect()
    }

    /// What an operation writes, if it does.
    fn value(operation: &Operation) -> Option<&Bytes> {
        let Operation::Put { value, .. } = operation else { return None };
        Some(value)
    }

    /// The fraction of these keys in the range.
    fn fraction(keys: &[u64], range: &RangeInclusive<u64>) -> f64 {
        keys.iter().filter(|key| range.contains(*key)).count() as f64 / keys.len() as f64
    }

    /// Five standard errors of a fraction of the draws.
    fn bound(share: f64) -> f64 {
        5.0 * (share * (1.0 - share) / f64::from(DRAWS)).sqrt() + 1e-12
    }

    #[test]
    fn the_shared_key_has_the_conflict_rate_in_each_region() {
        for workload in [uniform, zipf] {
            for share in [0.0, 0.003, 0.02, 0.25, 1.0] {
                for index in 0..REGIONS {
                    let keys = drawn(&workload(Some(share)), index);
                    let found = fraction(&keys, &(SHARED_KEY..=SHARED_KEY));
                    assert!((found - share).abs() <= bound(share), "{share} {index}: {found}");
                }
            }
        }
    }

    #[test]
    fn regions_have_the_shared_key_in_common_and_no_other() {
        for workload in [uniform, zipf] {
            let workload = workload(Some(0.1));
            let touched: Vec<BTreeSet<u64>> =
                (0..REGIONS).map(|index| drawn(&workload, index).into_iter().collect()).collect();
            for (index, keys) in touched.iter().enumerate() {
                let own = workload.key_space(index, REGIONS).own();
                let is_known = |key: &u64| *key == SHARED_KEY || own.contains(key);
                assert!(keys.iter().all(is_known), "{index}: {keys:?}");
                // Every key of its own is touched sooner or later, and so is the shared one.
                assert_eq!(keys.len(), 51);
                for others in &touched[..index] {
                    let both: Vec<&u64> = keys.intersection(others).collect();
                    assert_eq!(both, [&SHARED_KEY]);
                }
            }
            let all: BTreeSet<u64> = touched.into_iter().flatten().collect();
            let count = workload.key_count(REGIONS).unwrap();
            assert!(all.into_iter().eq(0..count), "the keys are 0 to {count}");
        }
    }

    /// Own keys have the distribution of the key space: rank by rank, as far as the draws tell.
    #[test]
    fn own_keys_have_the_shares_of_the_key_space() {
        for workload in [uniform(Some(0.2)), zipf(Some(0.2)), uniform(None), zipf(None)] {
            for index in 0..REGIONS {
                let keys = drawn(&workload, index);
                let space = workload.key_space(index, REGIONS);
                for (first, last) in
                    [(0, 0), (0, 9), (1, 1), (1, 50), (40, 60), (51, 100), (120, 999), (151, 151)]
                {
                    let (share, found) =
                        (space.share(first..=last), fraction(&keys, &(first..=last)));
                    assert!(
                        (found - share).abs() <= bound(share),
                        "{first} to {last} of region {index}: {found} for {share}, {workload:?}"
                    );
                }
                assert!((space.share(0..=u64::MAX) - 1.0).abs() < 1e-9);
                assert!(space.share(151..=u64::MAX).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn the_share_of_all_regions_counts_each_by_its_weight() {
        let mut workload = uniform(Some(0.2));
        let share = |workload: &Workload, first, last| workload.key_share(&(first..=last), REGIONS);
        let is = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-9, "{found}");
        is(share(&workload, 0, 0), 0.2);
        is(share(&workload, 1, 50), 0.8 / 3.0);
        workload.weights = vec![1.0, 2.0, 1.0];
        is(share(&workload, 0, 0), 0.2);
        is(share(&workload, 51, 100), 0.4);
        is(share(&workload, 0, 75), 0.2 + 0.2 + 0.2);
        is(share(&workload, 0, u64::MAX), 1.0);
        workload.conflicts = None;
        is(share(&workload, 0, 24), 0.5);
    }

    #[test]
    fn a_rate_changes_neither_gaps_nor_values_nor_reads() {
        let mut base = Generator::new(&zipf(None), 1, REGIONS, 4);
        let mut conflicting = Generator::new(&zipf(Some(0.3)), 1, REGIONS, 4);
        let first = zipf(Some(0.3)).key_space(1, REGIONS).own().into_inner().0;
        for _ in 0..1_000 {
            assert_eq!(base.next_gap(), conflicting.next_gap());
            let (one, other) = (base.next_operation(), conflicting.next_operation());
            assert_eq!(value(&one), value(&other));
            assert!(other.key() == SHARED_KEY || other.key() == first + one.key());
        }
    }

    #[test]
    fn a_higher_rate_takes_more_operations_and_leaves_none() {
        let [low, high] = [0.02, 0.25].map(|share| drawn(&uniform(Some(share)), 0));
        for (low, high) in low.into_iter().zip(high) {
            assert!(high == SHARED_KEY || high == low, "{low} became {high}");
        }
    }

    /// Whether an operation touches the shared key does not depend on whether it reads, nor on the region.
    #[test]
    fn conflicts_are_independent_of_reads_and_regions() {
        let workload = uniform(Some(0.5));
        let draw = |index| {
            let mut generator = Generator::new(&workload, index, REGIONS, 11);
            let next = || {
                let operation = generator.next_operation();
                let sign = |is: bool| if is { 1.0 } else { -1.0 };
                (sign(operation.key() == SHARED_KEY), sign(operation.is_read()))
            };
            std::iter::repeat_with(next).take(DRAWS as usize).collect::<Vec<(f64, f64)>>()
        };
        let (one, other) = (draw(0), draw(1));
        let mean = |products: Vec<f64>| products.iter().sum::<f64>() / f64::from(DRAWS);
        let with_reads = mean(one.iter().map(|(shared, reads)| shared * reads).collect());
        let pairs = one.iter().zip(&other);
        let with_another = mean(pairs.map(|((one, _), (other, _))| one * other).collect());
        // The product of two independent signs has variance 1.
        let bound = 5.0 / f64::from(DRAWS).sqrt();
        assert!(
            with_reads.abs() < bound && with_another.abs() < bound,
            "{with_reads} {with_another}"
        );
    }

    /// The first draws are pinned: another toolchain or crate version must not change an experiment.
    #[test]
    fn the_draws_with_conflicts_are_pinned() {
        let keys = drawn(&uniform(Some(0.25)), 1);
        assert_eq!(keys[..8], [97, 0, 65, 0, 54, 84, 0, 74]);
    }

    #[test]
    fn keys_that_64_bits_cannot_number_are_counted_as_none() {
        let most =
            |count, conflicts| workload(Keys::Uniform { count }, conflicts).key_count(REGIONS);
        assert_eq!(most(u64::MAX, None), Some(u64::MAX));
        assert_eq!(most(u64::MAX / 3, Some(0.1)), None);
        let count = u64::MAX / 3 - 1;
        let largest = workload(Keys::Uniform { count }, Some(0.0));
        assert_eq!(largest.key_count(REGIONS), Some(3 * count + 1));
        assert_eq!(largest.key_space(2, REGIONS).own(), 2 * count + 1..=3 * count);
        let mut generator = Generator::new(&largest, 2, REGIONS, 1);
        assert!((0..100).all(|_| generator.next_operation().key() > 2 * count));
    }

    #[test]
    #[should_panic(expected = "keys of 3 client regions")]
    fn a_generator_of_too_many_keys_is_a_slip() {
        let keys = Keys::Uniform { count: u64::MAX / 2 };
        let _ = Generator::new(&workload(keys, Some(0.5)), 0, REGIONS, 1);
    }
}
