//! Random streams of a case: one for each purpose, so that a purpose that draws more changes no other.

use rand::Rng;
use rand_pcg::Pcg64;

use crate::seed::scramble;

/// What a stream is for; its number is part of its seed and never given to another purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Purpose {
    /// How many replicas, and which of them are quorums.
    Quorums = 1,
    /// Which proposer, whom it contacts, how long it waits.
    Protocol = 2,
    /// Where everybody is.
    Places = 3,
    /// What the network does besides delaying, and what work costs.
    Costs = 4,
    /// What clients ask, and for how long.
    Load = 5,
    /// Which kinds of faults there are.
    FaultMix = 6,
    /// The faults.
    Faults = 7,
    /// How the faults end.
    FaultsEnd = 8,
    /// The seed of the simulated world.
    World = 9,
    /// How much of the log replicas keep.
    Retention = 10,
    /// Whether leaders are elected, and how soon they are suspected.
    Election = 11,
    /// Whether each ballot has a phase-2 quorum of its own.
    PerBallot = 12,
    /// Whether what is lost is sent again below the protocol.
    Connection = 13,
    /// How soon clients ask again.
    Retries = 14,
    /// Which family of protocols.
    Registry = 15,
    /// How long a checkpoint takes.
    Checkpoints = 16,
    /// Whether the quorums are of another family; with this number, the seeds that once failed draw the
    /// quorums that they always drew.
    Families = 20,
    /// Which acceptors are witnesses.
    Witnesses = 21,
    /// Whether there are observers.
    Observers = 22,
    /// What a mutation changes: its number is the seed.
    Mutation = 23,
    /// Which case of the corpus a guided search goes on from.
    Guide = 24,
    /// How reads are answered.
    Reads = 30,
    /// Whether two replicas lead at once where leaders hold leases.
    Lease = 31,
    /// Which replicas are responders.
    Responders = 36,
    /// Whether these answer for ranges of keys.
    Ranges = 37,
    /// Faults that begin when a replica does something.
    Triggers = 40,
    /// How much a replica remembers, sends and forgets at once.
    Bounds = 41,
    /// Whether reads are of a time in the past, or clients are told when a stamp has passed.
    Snapshots = 50,
    /// Whether leaders change and replicas fall behind soon after, where that is so.
    Contested = 51,
}

/// One random stream.
///
/// It draws whole words of a documented generator and reduces them itself, so what a seed draws
/// depends on no other version of any library.
#[derive(Clone, Debug)]
pub(super) struct RandomStream(Pcg64);

impl RandomStream {
    /// The stream of one purpose.
    ///
    /// PCG streams whose seeds are near one another can be correlated, so everything is scrambled in.
    pub(super) fn new(seed: u64, purpose: Purpose) -> Self {
        let first = scramble(scramble(seed ^ SALT).wrapping_add(purpose as u64));
        let words = [1, 2, 3].map(|place| scramble(first.wrapping_add(place)));
        let state = u128::from(first) << 64 | u128::from(words[0]);
        Self(Pcg64::new(state, u128::from(words[1]) << 64 | u128::from(words[2])))
    }

    /// Any word.
    pub(super) fn word(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `end`: the high word of a product, as uniform as 64 bits allow.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        let product = u128::from(self.word()) * u128::from(end);
        u64::try_from(product >> 64).expect("the upper half of two words is one")
    }

    /// An index below `end`.
    pub(super) fn index(&mut self, end: usize) -> usize {
        usize::try_from(self.below(end as u64)).expect("below an index")
    }

    /// A number from `low` to `high`, both included.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// Whether one of so many is drawn.
    pub(super) fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    /// One of them.
    pub(super) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.index(choices.len())]
    }
}

/// Keeps these streams apart from those of the simulator and of the workload.
const SALT: u64 = 0x2545_f491_4f6c_dd1d;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_seeds_or_purposes_share_a_stream() {
        let purposes = [Purpose::Quorums, Purpose::Protocol, Purpose::World];
        let firsts: BTreeSet<u64> = (0..1000)
            .flat_map(|seed| purposes.map(|purpose| RandomStream::new(seed, purpose).word()))
            .collect();
        assert_eq!(firsts.len(), 3000);
    }

    #[test]
    fn numbers_stay_in_their_range_and_reach_both_ends() {
        let mut stream = RandomStream::new(7, Purpose::Load);
        let drawn: BTreeSet<u64> = (0..1000).map(|_| stream.between(3, 9)).collect();
        assert!(drawn.iter().copied().eq(3..=9));
        let ones = (0..10_000).filter(|_| stream.one_in(4)).count();
        assert!((2_300..2_700).contains(&ones), "{ones}");
    }

    /// What a seed means is written down here: whoever changes it changes what every seed means.
    #[test]
    fn a_seed_is_an_address() {
        let mut stream = RandomStream::new(0, Purpose::Quorums);
        let drawn: Vec<u64> = (0..6).map(|_| stream.below(1000)).collect();
        assert_eq!(drawn, [268, 566, 779, 825, 524, 356]);
    }
}
