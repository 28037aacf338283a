//! Quorum systems: which sets of acceptors may finish phase 1, and which may finish phase 2.
//!
//! Flexible Paxos (Howard, Malkhi, Spiegelman 2016, theorem 1) asks one thing of the two families:
//! every phase-1 quorum meets every phase-2 quorum.
//! Two phase-1 quorums need not meet, nor two phase-2 quorums.
//! So a system is a pair of families, it is asked (`is_phase1`, `is_phase2`) and never counted,
//! and this folder knows nothing of ballots, slots or messages.

pub mod analysis;
pub mod diagram;
pub use diagram::Diagram;
pub mod expression;
pub use expression::Expression;
mod family;
pub use family::Family;
mod gate;
pub use gate::Gate;
mod intersection;
pub use intersection::{Disjoint, Proof};
mod layout;
pub use layout::Layout;
mod load;
pub use load::Load;
mod majority;
pub use majority::majority;
mod minimal;
mod node;
pub use node::{NodeId, NodeSet};
mod question;
mod roles;
mod systems;
pub use systems::{Line, Share};
#[cfg(test)]
mod system_tests;

use serde::{Deserialize, Serialize};

use roles::Roles;

/// A quorum system over the replicas 0 to n-1, and the part that each of them takes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct QuorumSystem {
    n: usize,
    phase1: Family,
    phase2: Family,
    rule: Rule,
    layout: Layout,
    roles: Roles,
}

/// Which quorums of the phase-2 family count at a ballot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Rule {
    /// All of them: the two families meet.
    Fixed,
    /// The one that the proposer of the ballot announced.
    PerBallot,
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
    /// A member that stands twice in one group.
    #[error("replica {node} stands twice in one group")]
    Twice {
        /// The member given.
        node: usize,
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
    /// A family that no set of replicas is in.
    #[error("no set of replicas is a quorum of {phase}: it could never end")]
    Never {
        /// The key at fault.
        phase: &'static str,
    },
    /// A family too complex to be judged.
    #[error(
        "{phase} is too complex to be judged: its decision diagram has more than {vertices} vertices; \
         use fewer replicas or smaller weights"
    )]
    TooLarge {
        /// The key at fault.
        phase: &'static str,
        /// The limit.
        vertices: usize,
    },
    /// Two families of which it takes too long to find out whether they meet.
    #[error(
        "whether every quorum of phase1 meets every quorum of phase2 takes too long to find out; use fewer \
         replicas or smaller weights, or make phase1 the dual of phase2"
    )]
    Undecided,
    /// Replicas that are no grid.
    #[error("{rows} rows of {columns} are {}, but there are {n} replicas", rows.saturating_mul(*columns))]
    Grid {
        /// The number of rows.
        rows: usize,
        /// The length of a row.
        columns: usize,
        /// The number of replicas.
        n: usize,
    },
    /// No groups.
    #[error("there is no group: list at least one")]
    NoGroup,
    /// A group of nobody.
    #[error("group {group} is empty: a group needs at least one replica")]
    EmptyGroup {
        /// The number of the group, from 1.
        group: usize,
    },
    /// A replica that is in two groups.
    #[error("replica {node} is in group {group} and in one before it")]
    TwoGroups {
        /// The member given.
        node: usize,
        /// The number of the second group, from 1.
        group: usize,
    },
    /// A number of groups that there are not.
    #[error("{phase} asks for {count} groups, but there are {of}: give a number from 1 to {of}")]
    Groups {
        /// The key at fault.
        phase: &'static str,
        /// The number given.
        count: usize,
        /// How many there are.
        of: usize,
    },
    /// A number of members that a group has not.
    #[error(
        "{phase} asks for {members} members of each group, but group {group} has {of}: give a number \
         from 1 to {of}"
    )]
    GroupMembers {
        /// The key at fault.
        phase: &'static str,
        /// The number given.
        members: usize,
        /// The number of the group, from 1.
        group: usize,
        /// How many it has.
        of: usize,
    },
    /// A weight that not even all replicas have together.
    #[error("{phase} = {threshold} is no weight of a quorum: all replicas together weigh {total}")]
    Weight {
        /// The key at fault.
        phase: &'static str,
        /// The threshold given.
        threshold: u64,
        /// What all weigh together.
        total: u64,
    },
    /// Nobody holds a vote.
    #[error("every weight is 0: at least one replica needs a vote")]
    NoWeight,
    /// Rows that are no wall of all replicas.
    #[error(
        "the rows of the wall have {total} places for {n} replicas; they must be as many, and no row empty"
    )]
    Wall {
        /// The sum of their lengths.
        total: usize,
        /// The number of replicas.
        n: usize,
    },
    /// Replicas that are no complete tree.
    #[error(
        "{n} replicas are no tree in which every inner one has {degree} children: use 1 more than a \
         multiple of the degree, which is 2 at least"
    )]
    Tree {
        /// The number of children.
        degree: usize,
        /// The number of replicas.
        n: usize,
    },
}

impl QuorumSystem {
    /// Majorities for both phases.
    pub fn majority(n: usize) -> Self {
        let size = majority(n);
        let count = || Family::of_size(size);
        Self::of(n, count(), count(), Rule::Fixed)
    }

    /// Any `phase1` acceptors for phase 1, any `phase2` for phase 2.
    pub fn counts(n: usize, phase1: usize, phase2: usize) -> Result<Self, Error> {
        Self::new(n, Family::of_size(phase1), Family::of_size(phase2))
    }

    /// Any `phase2` acceptors, chosen anew with each ballot (Flexible Paxos, section 7).
    ///
    /// The proposer announces its phase-2 quorum with its Phase1a, to a majority at least; a later phase 1
    /// meets that majority, so it hears of it, and goes on until it meets every quorum announced at a
    /// lower ballot ([`Self::is_phase1_over`]).
    /// So a phase 1 is no larger than the quorums that were used ask for.
    pub fn per_ballot(n: usize, phase2: usize) -> Result<Self, Error> {
        Self::per_ballot_of(n, Family::of_size(phase2))
    }

    /// The same with any family of phase-2 quorums.
    pub fn per_ballot_of(n: usize, phase2: Family) -> Result<Self, Error> {
        phase2.validate("phase2", n)?;
        let phase1 = Family::of_size(majority(n));
        Ok(Self::of(n, phase1, phase2, Rule::PerBallot))
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
        let system = Self::of(n, phase1, phase2, Rule::Fixed);
        system.find_disjoint().map_err(|_| Error::Undecided)?;
        Ok(system)
    }

    const fn of(n: usize, phase1: Family, phase2: Family, rule: Rule) -> Self {
        let roles = Roles::NONE;
        Self { n, phase1, phase2, rule, layout: Layout::Plain, roles }
    }

    /// The rows, groups or weights that it was made of.
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The acceptors that are in some minimal quorum of either phase; the others hold no vote.
    pub fn voters(&self) -> NodeSet {
        self.phase1.voters(self.n).union(self.phase2.voters(self.n))
    }

    /// The number of replicas.
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
    pub const fn announces(&self) -> bool {
        matches!(self.rule, Rule::PerBallot)
    }

    /// The phase-2 quorum that a proposer announces that prefers the replicas in this order.
    ///
    /// `None` where no ballot has one of its own, and where `order` holds no quorum.
    pub fn announced_in(&self, order: &[NodeId]) -> Option<NodeSet> {
        if self.announces() { self.phase2.first_in(order) } else { None }
    }

    /// Whether without the replicas in `down` one can still lead, and both phases can end, whatever was announced
    /// before.
    pub fn survives(&self, down: NodeSet) -> bool {
        let up = NodeSet::all(self.n).difference(down);
        // A phase-2 quorum of a ballot that is down as a whole may have been the only one to vote.
        let is_lost = self.announces() && self.is_phase2(down);
        let has_candidate = !self.candidates().difference(down).is_empty();
        self.is_phase1(up) && self.is_phase2(up) && !is_lost && has_candidate
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
    Ok(Family::of_sets(lists.iter().map(set).collect::<Result<_, _>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn announced_quorums_are_the_nearest_where_ballots_have_one() {
        let order = [2, 0, 1].map(NodeId);
        let per_ballot = QuorumSystem::per_ballot(3, 2).unwrap();
        assert_eq!(per_ballot.announced_in(&order), Some(NodeSet::from_mask(0b101)));
        assert_eq!(per_ballot.announced_in(&order[..1]), None);
        assert_eq!(QuorumSystem::majority(3).announced_in(&order), None);
    }

    #[test]
    fn an_announced_quorum_that_is_down_ends_every_phase_1() {
        let down = NodeSet::from_mask(0b00011);
        assert!(QuorumSystem::counts(5, 3, 2).unwrap().survives(down));
        assert!(QuorumSystem::per_ballot(5, 3).unwrap().survives(down));
        assert!(!QuorumSystem::per_ballot(5, 2).unwrap().survives(down));
        assert!(!QuorumSystem::counts(5, 4, 2).unwrap().survives(down));
    }
}
