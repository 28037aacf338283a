//! Quorum systems: which sets of acceptors may finish phase 1, and which may finish phase 2.
//!
//! Flexible Paxos (Howard, Malkhi, Spiegelman 2016, theorem 1) asks one thing of the two families:
//! every phase-1 quorum meets every phase-2 quorum.
//! Two phase-1 quorums need not meet, nor two phase-2 quorums.
//! So a system is a pair of families, it is asked (`is_phase1`, `is_phase2`) and never counted,
//! and this folder knows nothing of ballots, slots or messages.

pub mod analysis;
mod majority;
mod node;

pub use majority::majority;
pub use node::{NodeId, NodeSet};

use std::fmt;

use serde::{Deserialize, Serialize};

/// A quorum system over the acceptors 0 to n-1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct QuorumSystem {
    n: usize,
    phase1: Family,
    phase2: Family,
    is_per_ballot: bool,
}

/// A monotone family of sets: a superset of a quorum is a quorum.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Family {
    /// Every set of at least this many acceptors.
    Count(usize),
    /// Every superset of one of these sets.
    Sets(Vec<NodeSet>),
}

/// Why a description is no quorum system.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A count outside 1..=n: no set, or every set, would be a quorum.
    #[error("{phase} = {count} is no quorum size for {n} replicas: give a number from 1 to {n}")]
    Count {
        /// The key at fault.
        phase: &'static str,
        /// The size given.
        count: usize,
        /// The number of replicas.
        n: usize,
    },
    /// A family without a set: the phase could never end.
    #[error("{phase} names no set: list at least one quorum")]
    NoSet {
        /// The key at fault.
        phase: &'static str,
    },
    /// An empty set is a quorum of nobody.
    #[error("{phase} has an empty set: a quorum needs at least one replica")]
    EmptySet {
        /// The key at fault.
        phase: &'static str,
    },
    /// A member that does not exist.
    #[error("{phase} names replica {node}, but the replicas are 0 to {}", n - 1)]
    Member {
        /// The key at fault.
        phase: &'static str,
        /// The member given.
        node: usize,
        /// The number of replicas.
        n: usize,
    },
}

/// Two quorums without a common acceptor: what was chosen in one phase 2 could be missed by phase 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("phase-1 quorum {phase1} and phase-2 quorum {phase2} have no replica in common")]
pub struct Disjoint {
    /// A minimal phase-1 quorum.
    pub phase1: NodeSet,
    /// A minimal phase-2 quorum that it does not meet.
    pub phase2: NodeSet,
}

impl QuorumSystem {
    /// Majorities for both phases.
    pub fn majority(n: usize) -> Self {
        let size = majority(n);
        let count = || Family::Count(size);
        Self { n, phase1: count(), phase2: count(), is_per_ballot: false }
    }

    /// Any `phase1` acceptors for phase 1, any `phase2` for phase 2.
    pub fn counts(n: usize, phase1: usize, phase2: usize) -> Result<Self, Error> {
        Self::new(n, Family::Count(phase1), Family::Count(phase2))
    }

    /// Any `phase2` acceptors, chosen anew with each ballot (Flexible Paxos, section 7).
    ///
    /// The proposer announces its phase-2 quorum with its Phase1a, to a majority at least; a later phase 1
    /// meets that majority, so it hears of it, and goes on until it meets every quorum announced at a
    /// lower ballot ([`Self::is_phase1_over`]).
    /// So a phase 1 is no larger than the quorums that were used ask for.
    pub fn per_ballot(n: usize, phase2: usize) -> Result<Self, Error> {
        let majority = Family::Count(majority(n));
        Ok(Self { is_per_ballot: true, ..Self::new(n, majority, Family::Count(phase2))? })
    }

    /// The listed sets, and their supersets.
    pub fn explicit(n: usize, phase1: &[Vec<usize>], phase2: &[Vec<usize>]) -> Result<Self, Error> {
        Self::new(n, sets("phase1", n, phase1)?, sets("phase2", n, phase2)?)
    }

    /// A system of two families, each checked by itself; whether they meet is [`Self::disjoint`]'s to say.
    pub fn new(n: usize, phase1: Family, phase2: Family) -> Result<Self, Error> {
        assert!((1..=NodeSet::CAPACITY).contains(&n), "{n} replicas; 1 to 64 are supported");
        phase1.validate("phase1", n)?;
        phase2.validate("phase2", n)?;
        Ok(Self { n, phase1, phase2, is_per_ballot: false })
    }

    /// The number of acceptors.
    pub const fn n(&self) -> usize {
        self.n
    }

    /// Whether `nodes` contains a phase-1 quorum.
    pub fn is_phase1(&self, nodes: NodeSet) -> bool {
        self.phase1.contains(nodes)
    }

    /// Whether `nodes` contains a phase-2 quorum.
    pub fn is_phase2(&self, nodes: NodeSet) -> bool {
        self.phase2.contains(nodes)
    }

    /// Whether each ballot has a phase-2 quorum of its own, which its proposer announces.
    pub const fn is_per_ballot(&self) -> bool {
        self.is_per_ballot
    }

    /// Whether `nodes` is enough to end phase 1: a phase-1 quorum that meets every one of `announced`,
    /// the phase-2 quorums of lower ballots.
    pub fn is_phase1_over(
        &self,
        nodes: NodeSet,
        announced: impl IntoIterator<Item = NodeSet>,
    ) -> bool {
        let meets = |quorum: NodeSet| !nodes.intersection(quorum).is_empty();
        self.is_phase1(nodes) && announced.into_iter().all(meets)
    }

    /// Whether `nodes` is enough to end phase 2 at a ballot with this quorum of its own, if it has one.
    pub fn is_phase2_at(&self, nodes: NodeSet, announced: Option<NodeSet>) -> bool {
        match announced {
            Some(quorum) => quorum.is_subset(nodes),
            None => self.is_phase2(nodes),
        }
    }

    /// The phase-1 family.
    pub const fn phase1(&self) -> &Family {
        &self.phase1
    }

    /// The phase-2 family.
    pub const fn phase2(&self) -> &Family {
        &self.phase2
    }

    /// Two quorums that do not meet, or `None` when the system is safe (Flexible Paxos, theorem 1).
    pub fn disjoint(&self) -> Option<Disjoint> {
        if self.is_per_ballot {
            // Two majorities meet, and whatever was announced to one of them is met by the next.
            return None;
        }
        let all = NodeSet::all(self.n);
        // A family is monotone, so if some phase-1 quorum is missed, a minimal one is.
        let (phase1, phase2) = match (&self.phase1, &self.phase2) {
            (Family::Count(q1), Family::Count(q2)) => {
                if q1 + q2 > self.n {
                    return None;
                }
                let first = NodeSet::all(*q1);
                (first, all.difference(first).iter().take(*q2).collect())
            }
            (Family::Sets(q1), q2) => {
                let missed = q1.iter().find(|set| q2.contains(all.difference(**set)))?;
                (*missed, q2.some_quorum_within(all.difference(*missed))?)
            }
            (q1, Family::Sets(q2)) => {
                let missed = q2.iter().find(|set| q1.contains(all.difference(**set)))?;
                (q1.some_quorum_within(all.difference(*missed))?, *missed)
            }
        };
        Some(Disjoint { phase1, phase2 })
    }
}

impl Family {
    /// Whether `nodes` contains a quorum of this family.
    pub fn contains(&self, nodes: NodeSet) -> bool {
        match self {
            Self::Count(size) => nodes.len() >= *size,
            Self::Sets(sets) => sets.iter().any(|set| set.is_subset(nodes)),
        }
    }

    /// The least number of acceptors in a quorum.
    pub fn min_size(&self) -> usize {
        match self {
            Self::Count(size) => *size,
            Self::Sets(sets) => sets.iter().map(|set| set.len()).min().unwrap_or(0),
        }
    }

    /// The members first met when `order` is walked until they contain a quorum; `None` if they never do.
    ///
    /// This is how a thrifty proposer picks the replicas it contacts: nearest first.
    /// For explicit sets it is the quorum whose last member comes first in `order`.
    pub fn first_in(&self, order: &[NodeId]) -> Option<NodeSet> {
        let mut met = NodeSet::EMPTY;
        for node in order {
            met.insert(*node);
            if self.contains(met) {
                return self.some_quorum_within(met);
            }
        }
        None
    }

    /// A minimal quorum among `nodes`, if there is one.
    pub fn some_quorum_within(&self, nodes: NodeSet) -> Option<NodeSet> {
        match self {
            Self::Count(size) => (nodes.len() >= *size).then(|| nodes.iter().take(*size).collect()),
            Self::Sets(sets) => {
                sets.iter().filter(|set| set.is_subset(nodes)).min_by_key(|set| set.len()).copied()
            }
        }
    }

    fn validate(&self, phase: &'static str, n: usize) -> Result<(), Error> {
        match self {
            Self::Count(count) if !(1..=n).contains(count) => {
                Err(Error::Count { phase, count: *count, n })
            }
            Self::Sets(sets) if sets.is_empty() => Err(Error::NoSet { phase }),
            Self::Sets(sets) if sets.iter().any(|set| set.is_empty()) => {
                Err(Error::EmptySet { phase })
            }
            Self::Sets(sets) => {
                let strangers =
                    sets.iter().flat_map(|set| set.difference(NodeSet::all(n)).iter()).next();
                strangers.map_or(Ok(()), |node| {
                    Err(Error::Member { phase, node: usize::from(node.0), n })
                })
            }
            Self::Count(_) => Ok(()),
        }
    }
}

/// `3`, or `{0, 1} {2, 3}`.
impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(size) => write!(f, "{size}"),
            Self::Sets(sets) => {
                let texts: Vec<String> = sets.iter().map(ToString::to_string).collect();
                f.write_str(&texts.join(" "))
            }
        }
    }
}

fn sets(phase: &'static str, n: usize, lists: &[Vec<usize>]) -> Result<Family, Error> {
    let set = |list: &Vec<usize>| {
        list.iter()
            .map(|node| match u8::try_from(*node) {
                Ok(id) if *node < n => Ok(NodeId(id)),
                _ => Err(Error::Member { phase, node: *node, n }),
            })
            .collect::<Result<NodeSet, Error>>()
    };
    Ok(Family::Sets(lists.iter().map(set).collect::<Result<_, _>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system(n: usize, phase1: &[Vec<usize>], phase2: &[Vec<usize>]) -> QuorumSystem {
        QuorumSystem::explicit(n, phase1, phase2).unwrap()
    }

    /// The definition, by brute force over all 2^n masks: unsafe iff some set holds a phase-1
    /// quorum and its complement a phase-2 quorum.
    fn is_unsafe_by_enumeration(system: &QuorumSystem) -> bool {
        let all = NodeSet::all(system.n());
        (0..=all.mask())
            .map(NodeSet::from_mask)
            .any(|set| system.is_phase1(set) && system.is_phase2(all.difference(set)))
    }

    fn check_verdict(system: &QuorumSystem) {
        let verdict = system.disjoint();
        assert_eq!(verdict.is_some(), is_unsafe_by_enumeration(system), "{system:?}");
        if let Some(Disjoint { phase1, phase2 }) = verdict {
            assert!(phase1.intersection(phase2).is_empty());
            assert!(system.is_phase1(phase1) && system.is_phase2(phase2));
        }
    }

    #[test]
    fn counts_are_safe_exactly_when_their_sum_exceeds_n() {
        for n in 1..=7 {
            for q1 in 1..=n {
                for q2 in 1..=n {
                    let system = QuorumSystem::counts(n, q1, q2).unwrap();
                    assert_eq!(system.disjoint().is_none(), q1 + q2 > n);
                    check_verdict(&system);
                }
            }
        }
    }

    #[test]
    fn a_majority_is_safe_for_every_n() {
        for n in 1..=12 {
            check_verdict(&QuorumSystem::majority(n));
            assert_eq!(QuorumSystem::majority(n).disjoint(), None);
        }
    }

    /// The authors' TLA+ model: safe although two phase-2 quorums are disjoint.
    #[test]
    fn four_acceptors_with_disjoint_phase_two_quorums_are_safe() {
        let pairs = system(4, &[vec![0, 1], vec![2, 3]], &[vec![0, 2], vec![1, 3]]);
        check_verdict(&pairs);
        assert_eq!(pairs.disjoint(), None);
    }

    #[test]
    fn phase_two_of_one_needs_phase_one_of_all() {
        assert_eq!(QuorumSystem::counts(5, 5, 1).unwrap().disjoint(), None);
        assert!(QuorumSystem::counts(5, 4, 1).unwrap().disjoint().is_some());
    }

    #[test]
    fn phase_one_may_be_the_smaller() {
        assert_eq!(QuorumSystem::counts(5, 1, 5).unwrap().disjoint(), None);
    }

    #[test]
    fn two_disjoint_explicit_quorums_are_named() {
        let split = system(4, &[vec![0, 1]], &[vec![1, 2], vec![2, 3]]);
        check_verdict(&split);
        let found = split.disjoint().unwrap();
        assert_eq!(
            found.to_string(),
            "phase-1 quorum {0, 1} and phase-2 quorum {2, 3} have no replica in common"
        );
    }

    #[test]
    fn a_count_against_sets_is_judged_like_any_pair() {
        for q in 1..=4 {
            let sets = Family::Sets(vec![NodeSet::from_mask(0b0011), NodeSet::from_mask(0b1100)]);
            check_verdict(&QuorumSystem::new(4, sets.clone(), Family::Count(q)).unwrap());
            check_verdict(&QuorumSystem::new(4, Family::Count(q), sets).unwrap());
        }
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        let refused = |result: Result<QuorumSystem, Error>| result.unwrap_err().to_string();
        assert!(refused(QuorumSystem::counts(5, 6, 1)).contains("phase1 = 6"));
        assert!(refused(QuorumSystem::counts(5, 5, 0)).contains("phase2 = 0"));
        assert!(
            refused(QuorumSystem::explicit(3, &[vec![0, 3]], &[vec![1]])).contains("replica 3")
        );
        assert!(refused(QuorumSystem::explicit(3, &[], &[vec![1]])).contains("names no set"));
        assert!(refused(QuorumSystem::explicit(3, &[vec![]], &[vec![1]])).contains("empty set"));
    }

    #[test]
    fn the_first_quorum_in_an_order_is_the_nearest() {
        let order = [3, 1, 0, 2].map(NodeId);
        assert_eq!(
            Family::Count(2).first_in(&order),
            Some([3, 1].map(NodeId).into_iter().collect())
        );
        let sets = Family::Sets(vec![NodeSet::from_mask(0b0101), NodeSet::from_mask(0b0011)]);
        assert_eq!(sets.first_in(&order), Some(NodeSet::from_mask(0b0011)));
    }
}
