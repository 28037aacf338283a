//! Whom a fault is for: replicas by name, and by the part they have when it begins.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Aimed, FaultKind};
use crate::quorum::{Family, NodeId, NodeSet, QuorumSystem};
use crate::topology::{self, Links};

/// Whom a fault is for; who they are is known when it begins.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Target {
    /// These, whoever leads.
    pub replicas: NodeSet,
    /// And whoever has one of these parts then.
    pub roles: BTreeSet<Role>,
}

/// A part in the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The replica that leads.
    Leader,
    /// The phase-1 quorum nearest to the leader.
    Phase1Quorum,
    /// The phase-2 quorum nearest to the leader: whose votes choose, unless others are quicker.
    /// Where each ballot has its own, it is the one that the leader announced.
    Phase2Quorum,
    /// Of that quorum, the member nearest to the leader but itself.
    Phase2Follower,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::Leader, Self::Phase1Quorum, Self::Phase2Quorum, Self::Phase2Follower];

    /// Its name in experiment files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Phase1Quorum => "phase1-quorum",
            Self::Phase2Quorum => "phase2-quorum",
            Self::Phase2Follower => "phase2-follower",
        }
    }

    /// The part of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// `leader`.
impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl From<NodeId> for Target {
    fn from(replica: NodeId) -> Self {
        NodeSet::only(replica).into()
    }
}

impl From<NodeSet> for Target {
    fn from(replicas: NodeSet) -> Self {
        Self { replicas, roles: BTreeSet::new() }
    }
}

impl From<Role> for Target {
    fn from(role: Role) -> Self {
        Self { replicas: NodeSet::EMPTY, roles: [role].into() }
    }
}

/// Who leads when a fault begins, as its parts depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leader {
    /// Which replica it is.
    pub id: NodeId,
    /// The phase-2 quorum that it announced, where each ballot has its own.
    pub announced: Option<NodeSet>,
}

/// A leader whose ballot has no phase-2 quorum of its own, or the nearest one.
impl From<NodeId> for Leader {
    fn from(id: NodeId) -> Self {
        Self { id, announced: None }
    }
}

/// Says who the targets of a deployment are.
#[derive(Clone, Debug)]
pub struct Aim {
    quorums: QuorumSystem,
    /// Of every replica, all of them, the nearest first.
    nearest_first: Vec<Vec<NodeId>>,
}

impl Aim {
    /// For replicas with these quorums on these links.
    pub fn new(quorums: &QuorumSystem, links: &Links) -> Self {
        let nearest_first = links.replicas().map(|id| topology::nearest_first(links, id)).collect();
        Self { quorums: quorums.clone(), nearest_first }
    }

    /// Who they are while this replica leads; `None` if that depends on it, and nobody does.
    pub fn replicas(&self, target: &Target, leader: Option<Leader>) -> Option<NodeSet> {
        target
            .roles
            .iter()
            .try_fold(target.replicas, |all, role| Some(all.union(self.with_role(*role, leader?))))
    }

    /// What is carried out, a fault for each replica that is concerned by itself; `None` if that depends on
    /// who leads, and nobody does.
    pub fn kinds(&self, kind: &Aimed, leader: Option<Leader>) -> Option<Vec<FaultKind>> {
        let who = |target: &Target| self.replicas(target, leader);
        // The targets of links stay sets; any other fault has one target, and is done to each replica.
        if kind.is_of_links() {
            kind.concerned().into_iter().try_for_each(|target| who(target).map(drop))?;
            let set = |target: Target| who(&target).unwrap_or(NodeSet::EMPTY);
            return Some(vec![kind.clone().map(|_| NodeId(0), set)]);
        }
        let replicas = kind
            .concerned()
            .into_iter()
            .try_fold(NodeSet::EMPTY, |all, target| Some(all.union(who(target)?)))?;
        let to = |replica| kind.clone().map(|_| replica, |_| NodeSet::EMPTY);
        Some(replicas.iter().map(to).collect())
    }

    fn with_role(&self, role: Role, leader: Leader) -> NodeSet {
        let order = &self.nearest_first[usize::from(leader.id.0)];
        let nearest = |family: &Family| family.first_in(order).unwrap_or(NodeSet::EMPTY);
        let phase2 = || leader.announced.unwrap_or_else(|| nearest(self.quorums.phase2()));
        match role {
            Role::Leader => NodeSet::only(leader.id),
            // It meets what the leader announced: the leader is in both.
            Role::Phase1Quorum => nearest(self.quorums.phase1()),
            Role::Phase2Quorum => phase2(),
            Role::Phase2Follower => {
                let others = phase2().without(leader.id);
                let nearest = order.iter().copied().find(|replica| others.contains(*replica));
                nearest.map_or(NodeSet::EMPTY, NodeSet::only)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deployment::Unsynced;
    use crate::time::Span;
    use crate::topology::{Jitter, Profile};

    /// From a, the others are the farther the later in the alphabet; from d, c and b are near.
    const PROFILE: &str = "from,to,rtt_ms\n\
        a,a,0\na,b,10\na,c,20\na,d,30\nb,a,10\nb,b,0\nb,c,10\nb,d,20\n\
        c,a,20\nc,b,10\nc,c,0\nc,d,5\nd,a,30\nd,b,20\nd,c,5\nd,d,0\n";

    fn aim(quorums: &QuorumSystem) -> Aim {
        let profile = Profile::from_csv("line", PROFILE).unwrap();
        let replicas = ["a", "b", "c", "d"].map(str::to_owned);
        let links = Links::new(&profile, &replicas, &["a".to_owned()], Jitter::None).unwrap();
        Aim::new(quorums, &links)
    }

    fn set(nodes: &[u8]) -> NodeSet {
        nodes.iter().map(|node| NodeId(*node)).collect()
    }

    #[test]
    fn a_part_is_that_of_whoever_leads_when_the_fault_begins() {
        let aim = aim(&QuorumSystem::counts(4, 3, 2).unwrap());
        let who =
            |role: Role, leader| aim.replicas(&role.into(), Some(NodeId(leader).into())).unwrap();
        assert_eq!(who(Role::Leader, 3), set(&[3]));
        assert_eq!(who(Role::Phase1Quorum, 0), set(&[0, 1, 2]));
        assert_eq!(who(Role::Phase1Quorum, 3), set(&[3, 2, 1]));
        assert_eq!(who(Role::Phase2Quorum, 0), set(&[0, 1]));
        assert_eq!(who(Role::Phase2Follower, 0), set(&[1]));
        assert_eq!(who(Role::Phase2Follower, 3), set(&[2]));
    }

    #[test]
    fn the_follower_of_a_leader_that_needs_nobody_is_nobody() {
        let alone = aim(&QuorumSystem::counts(4, 4, 1).unwrap());
        let follower = Target::from(Role::Phase2Follower);
        assert_eq!(alone.replicas(&follower, Some(NodeId(0).into())), Some(NodeSet::EMPTY));
        let elsewhere = [vec![2, 3]];
        let sets = QuorumSystem::explicit(4, &[vec![0, 2], vec![1, 3]], &elsewhere).unwrap();
        assert_eq!(aim(&sets).replicas(&follower, Some(NodeId(0).into())), Some(set(&[2])));
    }

    /// b was down when a announced its quorum, so the fault hits it and not what is nearest.
    #[test]
    fn the_phase_2_quorum_of_a_ballot_is_the_announced_one() {
        let aim = aim(&QuorumSystem::per_ballot(4, 2).unwrap());
        let announced = Some(set(&[0, 2]));
        let leader = Some(Leader { id: NodeId(0), announced });
        let who = |role: Role| aim.replicas(&role.into(), leader);
        assert_eq!(who(Role::Phase2Quorum), announced);
        assert_eq!(who(Role::Phase2Follower), Some(set(&[2])));
        assert_eq!(who(Role::Phase1Quorum), Some(set(&[0, 1, 2])));
        let nearest = aim.replicas(&Role::Phase2Quorum.into(), Some(NodeId(0).into()));
        assert_eq!(nearest, Some(set(&[0, 1])));
    }

    #[test]
    fn while_nobody_leads_only_replicas_by_name_are_known() {
        let aim = aim(&QuorumSystem::majority(4));
        let both = Target { replicas: set(&[2]), roles: [Role::Leader].into() };
        assert_eq!(aim.replicas(&set(&[1, 2]).into(), None), Some(set(&[1, 2])));
        assert_eq!(aim.replicas(&both, None), None);
        assert_eq!(aim.replicas(&both, Some(NodeId(0).into())), Some(set(&[0, 2])));
        let cut = FaultKind::Cut { from: set(&[1]).into(), to: Role::Leader.into() };
        assert_eq!(aim.kinds(&cut, None), None);
    }

    #[test]
    fn a_fault_of_several_is_done_to_each_and_one_of_links_once() {
        let aim = aim(&QuorumSystem::counts(4, 3, 2).unwrap());
        let unsynced = Unsynced::Torn;
        let crash = FaultKind::Crash { replica: Role::Phase2Quorum.into(), unsynced };
        let each = [0, 1].map(|id| FaultKind::Crash { replica: NodeId(id), unsynced });
        assert_eq!(aim.kinds(&crash, Some(NodeId(0).into())).unwrap(), each);
        let (from, by) = (Target::from(Role::Phase2Quorum), Span(7));
        let slow = FaultKind::Slow { from, to: set(&[3]).into(), by };
        let links = [FaultKind::Slow { from: set(&[0, 1]), to: set(&[3]), by }];
        assert_eq!(aim.kinds(&slow, Some(NodeId(0).into())).unwrap(), links);
        assert_eq!(aim.kinds(&links[0].into(), None).unwrap(), links);
    }
}
