//! Replicas that take only a part: witnesses, which vote and keep no state machine, and observers, which keep one
//! and hold no vote.
//!
//! A witness (Pâris, *Voting with witnesses*, 1986) is an acceptor alone: cheaper than a full replica, for it
//! stores votes and executes nothing.
//! An observer (the name is that of `ZooKeeper`) is a learner alone: it costs a message for each write and slows none down.
//! Only a replica that does both may lead: a leader answers clients from its state machine, and counts on its own vote.

use serde::{Deserialize, Serialize};

use super::{Family, Layout, NodeId, NodeSet, QuorumSystem};

/// The replicas of a system that are not full ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Roles {
    /// They vote, and keep no state machine.
    witnesses: NodeSet,
    /// They keep a state machine, and hold no vote.
    observers: NodeSet,
}

impl Roles {
    /// Every replica is a full one.
    pub(super) const NONE: Self = Self { witnesses: NodeSet::EMPTY, observers: NodeSet::EMPTY };
}

impl QuorumSystem {
    /// The same system, in which these acceptors are witnesses.
    ///
    /// # Panics
    /// If one of them is no acceptor.
    #[must_use]
    pub fn with_witnesses(mut self, witnesses: NodeSet) -> Self {
        assert!(witnesses.is_subset(self.acceptors()), "a witness of {witnesses} holds no vote");
        self.roles.witnesses = witnesses;
        self
    }

    /// The same system among `n` replicas: `voters` are its acceptors, in their order, and all others observers.
    ///
    /// # Panics
    /// If there are not as many voters as acceptors, or one is none of the replicas.
    #[must_use]
    pub fn among(self, n: usize, voters: NodeSet) -> Self {
        assert_eq!(voters.len(), self.n, "each acceptor has its place");
        assert!(voters.is_subset(NodeSet::all(n)), "{voters} are none of {n} replicas");
        let observers = NodeSet::all(n).difference(voters);
        if observers.is_empty() {
            return self;
        }
        let seats: Vec<NodeId> = voters.iter().collect();
        let placed = |set: NodeSet| set.iter().map(|node| seats[usize::from(node.0)]).collect();
        let family = |family: &Family| family.placed(self.n, n, &placed);
        Self {
            n,
            phase1: family(&self.phase1),
            phase2: family(&self.phase2),
            rule: self.rule,
            layout: self.layout.placed(self.n, n, &placed),
            roles: Roles { witnesses: placed(self.roles.witnesses), observers },
        }
    }

    /// The same quorums of replicas that are all full ones.
    #[must_use]
    pub fn without_roles(mut self) -> Self {
        self.roles = Roles::NONE;
        self
    }

    /// Acceptors that keep no state machine: they neither execute nor lead nor answer clients.
    pub const fn witnesses(&self) -> NodeSet {
        self.roles.witnesses
    }

    /// Replicas that only learn: what they say counts in no quorum.
    pub const fn observers(&self) -> NodeSet {
        self.roles.observers
    }

    /// The replicas that are asked for promises and votes: all but observers.
    pub fn acceptors(&self) -> NodeSet {
        NodeSet::all(self.n).difference(self.roles.observers)
    }

    /// The replicas that keep a state machine: all but witnesses.
    pub fn learners(&self) -> NodeSet {
        NodeSet::all(self.n).difference(self.roles.witnesses)
    }

    /// The replicas that may lead and answer clients: those that are acceptors and learners.
    pub fn candidates(&self) -> NodeSet {
        self.acceptors().intersection(self.learners())
    }

    /// What a replica is called in tables: `replica`, `witness` or `observer`.
    pub fn role(&self, node: NodeId) -> &'static str {
        if self.roles.witnesses.contains(node) {
            "witness"
        } else if self.roles.observers.contains(node) {
            "observer"
        } else {
            "replica"
        }
    }
}

impl Layout {
    /// The words for acceptors of other numbers.
    ///
    /// Rows of a grid go on as rows; its columns and a tree lose their names.
    fn placed(&self, before: usize, n: usize, placed: &impl Fn(NodeSet) -> NodeSet) -> Self {
        let all = |sets: &[NodeSet]| sets.iter().map(|set| placed(*set)).collect();
        let each = |weights: &[u32]| {
            let mut placed_weights = vec![0; n];
            for (node, weight) in NodeSet::all(before).iter().zip(weights) {
                for place in placed(NodeSet::only(node)).iter() {
                    placed_weights[usize::from(place.0)] = *weight;
                }
            }
            placed_weights
        };
        match self {
            Self::Plain | Self::Tree { .. } => Self::Plain,
            Self::Grid { .. } => Self::Wall(all(&self.groups(before).1)),
            Self::Groups(groups) => Self::Groups(all(groups)),
            Self::Wall(rows) => Self::Wall(all(rows)),
            Self::Weights(weights) => Self::Weights(each(weights)),
            Self::Hierarchy { groups, weights } => {
                Self::Hierarchy { groups: all(groups), weights: each(weights) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quorum::{Line, Share};

    const VOTERS: NodeSet = NodeSet::from_mask(0b0110_1101);

    /// Of every set of eight replicas the placed system says what the system itself says of its acceptors in the set.
    fn check_placed(system: &QuorumSystem) {
        let n = VOTERS.len();
        let placed = system.clone().among(8, VOTERS);
        let seats: Vec<NodeId> = VOTERS.iter().collect();
        for set in (0..1 << 8).map(NodeSet::from_mask) {
            let own =
                NodeSet::all(n).iter().filter(|node| set.contains(seats[usize::from(node.0)]));
            let own: NodeSet = own.collect();
            assert_eq!(placed.is_phase1(set), system.is_phase1(own), "{system:?} in {set}");
            assert_eq!(placed.is_phase2(set), system.is_phase2(own), "{system:?} in {set}");
        }
        assert_eq!(placed.disjoint().is_none(), system.disjoint().is_none(), "{system:?}");
        assert_eq!(placed.announces(), system.announces());
        let all = (placed.acceptors(), placed.observers(), placed.candidates());
        assert_eq!(all, (VOTERS, NodeSet::all(8).difference(VOTERS), VOTERS));
    }

    #[test]
    fn a_system_among_observers_asks_its_own_acceptors_only() {
        let n = VOTERS.len();
        let halves = [NodeSet::from_mask(0b00111), NodeSet::from_mask(0b11000)];
        let both = [Share { groups: Some(2), ..Share::default() }; 2];
        let lines = [Line::OneOfEachRow, Line::Row];
        check_placed(&QuorumSystem::majority(n));
        check_placed(&QuorumSystem::counts(n, 4, 2).unwrap());
        check_placed(&QuorumSystem::per_ballot(n, 2).unwrap());
        check_placed(&QuorumSystem::explicit(n, &[vec![0, 4]], &[vec![4], vec![0, 1]]).unwrap());
        check_placed(&QuorumSystem::groups(n, &halves, both).unwrap());
        check_placed(&QuorumSystem::weighted(&[3, 2, 2, 1, 1], [7, 3]).unwrap());
        check_placed(&QuorumSystem::hierarchical(&halves, &[3, 2, 2, 1, 1]).unwrap());
        check_placed(&QuorumSystem::grid(n, [1, 5], lines).unwrap());
        check_placed(&QuorumSystem::wall(n, &[2, 3]).unwrap());
        check_placed(&QuorumSystem::tree(n, 4).unwrap());
        check_placed(&QuorumSystem::dual(n, Family::of_size(2)).unwrap());
    }

    #[test]
    fn weights_and_groups_keep_their_acceptors_among_observers() {
        let weighted = QuorumSystem::weighted(&[5, 4, 3, 2, 1], [8, 8]).unwrap().among(8, VOTERS);
        let weights: Vec<_> =
            NodeSet::all(8).iter().map(|it| weighted.layout().weight(it)).collect();
        assert_eq!(weights, [5, 0, 4, 3, 0, 2, 1, 0].map(Some));
        let rows = QuorumSystem::wall(5, &[2, 3]).unwrap().among(8, VOTERS);
        let rows = rows.layout().groups(8).1.into_iter().map(NodeSet::mask).collect::<Vec<_>>();
        assert_eq!(rows, [0b0000_0101, 0b0110_1000]);
    }

    #[test]
    fn the_roles_of_a_system_divide_its_replicas() {
        let witness = NodeSet::only(NodeId(1));
        let system = QuorumSystem::majority(3).with_witnesses(witness);
        let system = system.among(4, NodeSet::from_mask(0b1011));
        assert_eq!(system.witnesses(), witness);
        let roles = NodeSet::all(4).iter().map(|node| system.role(node)).collect::<Vec<_>>();
        assert_eq!(roles, ["replica", "witness", "observer", "replica"]);
        assert_eq!(system.candidates(), NodeSet::from_mask(0b1001));
        assert_eq!(system.learners(), NodeSet::from_mask(0b1101));
    }
}
