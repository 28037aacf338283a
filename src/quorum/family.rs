//! A family of quorums: every superset of a quorum is a quorum.
//!
//! There are three kinds: all sets of a size, the supersets of listed sets, and the sets for which a gate of
//! thresholds is on, which holds grids, groups, weights, hierarchies, walls, trees and expressions.
//! Only this folder knows the kinds: everybody else asks a family what it contains, how large its
//! quorums are, and which of them comes first.

use std::fmt;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::diagram::{self, Diagram};
use super::minimal::Minimal;
use super::{Error, Gate, NodeId, NodeSet};

/// A monotone family of sets: a superset of a quorum is a quorum.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Family(pub(super) Kind);

/// What tells the quorums of a family from other sets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) enum Kind {
    /// Every set of at least this many acceptors.
    Count(usize),
    /// Every superset of one of these sets.
    Sets(Vec<NodeSet>),
    /// Every set for which this gate is on.
    Gate(Gate),
}

impl Family {
    /// Every set of at least `size` acceptors.
    pub const fn of_size(size: usize) -> Self {
        Self(Kind::Count(size))
    }

    /// Every superset of one of these sets.
    pub const fn of_sets(sets: Vec<NodeSet>) -> Self {
        Self(Kind::Sets(sets))
    }

    /// Every set of the acceptors 0 to n-1 for which `gate` is on.
    pub fn of_gate(gate: Gate, n: usize) -> Self {
        let is_count = gate.parts().is_empty() && gate.members() == NodeSet::all(n);
        match usize::try_from(gate.threshold()) {
            Ok(size) if is_count => Self::of_size(size),
            _ => Self(Kind::Gate(gate)),
        }
    }

    /// The same family for acceptors of other numbers, `placed` among `n` of which the others are in no quorum.
    pub(super) fn placed(
        &self,
        before: usize,
        n: usize,
        placed: &impl Fn(NodeSet) -> NodeSet,
    ) -> Self {
        match &self.0 {
            Kind::Sets(sets) => Self::of_sets(sets.iter().map(|set| placed(*set)).collect()),
            Kind::Count(_) | Kind::Gate(_) => Self::of_gate(self.gate(before).placed(placed), n),
        }
    }

    /// The largest family whose quorums meet every quorum of this one, among `n` acceptors.
    #[must_use]
    pub fn dual(&self, n: usize) -> Self {
        match &self.0 {
            Kind::Count(size) => Self::of_size((n + 1).saturating_sub(*size)),
            _ => Self::of_gate(self.gate(n).dual(), n),
        }
    }

    /// The sets that contain a quorum of this family and one of the other, among `n` acceptors.
    #[must_use]
    pub fn and(&self, other: &Self, n: usize) -> Self {
        Self::of_gate(Gate::all(vec![self.gate(n), other.gate(n)]), n)
    }

    /// The probability of a quorum when each of `n` acceptors is up with this one, independent of the others;
    /// `None` if the diagram of the family is too large.
    pub fn availability(&self, n: usize, up: f64) -> Option<f64> {
        Some(Diagram::new(self, n)?.probability(&vec![up; n], &mut Vec::new()))
    }

    fn gate(&self, n: usize) -> Gate {
        match &self.0 {
            Kind::Count(size) => Gate::choose(*size as u64, NodeSet::all(n)),
            Kind::Sets(sets) => {
                let all_of = |set: &NodeSet| Gate::choose(set.len() as u64, *set);
                Gate::any(sets.iter().map(all_of).collect())
            }
            Kind::Gate(gate) => gate.clone(),
        }
    }

    /// Whether `nodes` contains a quorum of this family.
    pub fn contains(&self, nodes: NodeSet) -> bool {
        match &self.0 {
            Kind::Count(size) => nodes.len() >= *size,
            Kind::Sets(sets) => sets.iter().any(|set| set.is_subset(nodes)),
            Kind::Gate(gate) => gate.contains(nodes),
        }
    }

    /// The size from which on every set is a quorum, where nothing but its size makes a set one.
    pub const fn threshold(&self) -> Option<usize> {
        match &self.0 {
            Kind::Count(size) => Some(*size),
            Kind::Sets(_) | Kind::Gate(_) => None,
        }
    }

    /// The least number of acceptors in a quorum.
    pub fn min_size(&self) -> usize {
        match &self.0 {
            Kind::Gate(gate) => {
                let least = self.of_support(gate).cheapest(|_| 1.0);
                least.map_or(0, |(_, quorum)| quorum.len())
            }
            _ => *self.sizes().start(),
        }
    }

    /// The sizes of the quorums that the family was made of, from the least to the greatest.
    ///
    /// Those of a gate are the sizes of its minimal quorums; where these are too many, the greatest is the
    /// number of acceptors in it.
    pub fn sizes(&self) -> RangeInclusive<usize> {
        match &self.0 {
            Kind::Count(size) => *size..=*size,
            Kind::Sets(sets) => {
                let sizes = || sets.iter().map(|set| set.len());
                sizes().min().unwrap_or(0)..=sizes().max().unwrap_or(0)
            }
            Kind::Gate(gate) => {
                let most = Minimal::new(&self.of_support(gate)).map(|minimal| minimal.max_size());
                self.min_size()..=most.unwrap_or_else(|| gate.support().len())
            }
        }
    }

    /// The diagram of a gate, whose limit was kept when the family was made.
    fn of_support(&self, gate: &Gate) -> Diagram {
        let numbers = gate.support().iter().map(|node| usize::from(node.0) + 1);
        let diagram = Diagram::new(self, numbers.max().unwrap_or(0));
        diagram.expect("a gate with a larger diagram is refused when a system is made of it")
    }

    /// The members first met when `order` is walked until they contain a quorum; `None` if they never do.
    ///
    /// This is how a thrifty proposer picks the replicas it contacts: nearest first.
    /// For explicit sets it is the quorum whose last member comes first in `order`.
    /// Of the members met before the last one, those that come last are left out first.
    pub fn first_in(&self, order: &[NodeId]) -> Option<NodeSet> {
        let mut met = NodeSet::EMPTY;
        for node in order {
            met.insert(*node);
            if self.contains(met) {
                return match &self.0 {
                    Kind::Gate(gate) => Some(without_idle(gate, met, order.iter().rev().copied())),
                    _ => self.some_quorum_within(met),
                };
            }
        }
        None
    }

    /// A minimal quorum among `nodes`, if there is one.
    pub fn some_quorum_within(&self, nodes: NodeSet) -> Option<NodeSet> {
        match &self.0 {
            Kind::Count(size) => (nodes.len() >= *size).then(|| nodes.iter().take(*size).collect()),
            Kind::Sets(sets) => {
                sets.iter().filter(|set| set.is_subset(nodes)).min_by_key(|set| set.len()).copied()
            }
            Kind::Gate(gate) => {
                gate.contains(nodes).then(|| without_idle(gate, nodes, nodes.iter()))
            }
        }
    }

    /// When the first quorum among `nodes` is complete, if each of them joins it `at` a time of its own;
    /// `None` if they hold no quorum.
    ///
    /// For counts that is an order statistic; for explicit sets the minimum over the sets of the maximum
    /// over their members.
    pub fn complete_at<T: Ord>(&self, nodes: NodeSet, at: impl Fn(NodeId) -> T) -> Option<T> {
        match &self.0 {
            Kind::Count(size) => {
                let mut times: Vec<T> = nodes.iter().map(at).collect();
                times.sort_unstable();
                times.into_iter().nth(size.checked_sub(1)?)
            }
            Kind::Sets(sets) => sets
                .iter()
                .filter(|set| set.is_subset(nodes))
                .filter_map(|set| set.iter().map(&at).max())
                .min(),
            Kind::Gate(gate) => gate.complete_at(nodes, &at),
        }
    }

    /// Whether this is a family over `n` acceptors; `phase` is what an error calls it.
    pub(super) fn validate(&self, phase: &'static str, n: usize) -> Result<(), Error> {
        match &self.0 {
            Kind::Count(count) if !(1..=n).contains(count) => {
                Err(Error::Count { phase, count: *count, n })
            }
            Kind::Sets(sets) if sets.is_empty() => Err(Error::NoSet { phase }),
            Kind::Sets(sets) if sets.iter().any(|set| set.is_empty()) => {
                Err(Error::EmptySet { phase })
            }
            Kind::Sets(sets) => {
                let members = sets.iter().fold(NodeSet::EMPTY, |all, set| all.union(*set));
                no_stranger(phase, members, n)
            }
            Kind::Gate(gate) => {
                no_stranger(phase, gate.support(), n)?;
                match gate.constant() {
                    Some(true) => return Err(Error::EmptySet { phase }),
                    Some(false) => return Err(Error::Never { phase }),
                    None => {}
                }
                let diagram = Diagram::new(self, n);
                let diagram =
                    diagram.ok_or(Error::TooLarge { phase, vertices: diagram::VERTICES_MAX })?;
                // Parts may be on or off whatever happens.
                match diagram.root() {
                    diagram::ALWAYS => Err(Error::EmptySet { phase }),
                    diagram::NEVER => Err(Error::Never { phase }),
                    _ => Ok(()),
                }
            }
            Kind::Count(_) => Ok(()),
        }
    }
}

fn no_stranger(phase: &'static str, members: NodeSet, n: usize) -> Result<(), Error> {
    let stranger = members.difference(NodeSet::all(n)).iter().next();
    stranger.map_or(Ok(()), |node| Err(Error::Member { phase, node: usize::from(node.0), n }))
}

/// The members without those that the gate does not need, tried in this order: a minimal quorum.
fn without_idle(gate: &Gate, mut members: NodeSet, order: impl Iterator<Item = NodeId>) -> NodeSet {
    for node in order {
        let fewer = members.without(node);
        if fewer != members && gate.contains(fewer) {
            members = fewer;
        }
    }
    members
}

/// `3`, or `{0, 1} {2, 3}`; a gate as the expression `choose(2, 0, 1, choose(1, 2, 3))`, a weight as
/// `3 of 0`.
impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Count(size) => write!(f, "{size}"),
            Kind::Sets(sets) => {
                let texts: Vec<String> = sets.iter().map(ToString::to_string).collect();
                f.write_str(&texts.join(" "))
            }
            Kind::Gate(gate) => write_gate(gate, f),
        }
    }
}

fn write_gate(gate: &Gate, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "choose({}", gate.threshold())?;
    for node in gate.members().iter() {
        write!(f, ", {}", node.0)?;
    }
    for (weight, part) in gate.parts() {
        f.write_str(", ")?;
        if *weight != 1 {
            write!(f, "{weight} of ")?;
        }
        match part.lone() {
            Some(node) => write!(f, "{}", node.0)?,
            None => write_gate(part, f)?,
        }
    }
    f.write_str(")")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_masks(masks: &[u64]) -> Family {
        Family::of_sets(masks.iter().copied().map(NodeSet::from_mask).collect())
    }

    #[test]
    fn the_first_quorum_in_an_order_is_the_nearest() {
        let order = [3, 1, 0, 2].map(NodeId);
        assert_eq!(
            Family::of_size(2).first_in(&order),
            Some([3, 1].map(NodeId).into_iter().collect())
        );
        let sets = of_masks(&[0b0101, 0b0011]);
        assert_eq!(sets.first_in(&order), Some(NodeSet::from_mask(0b0011)));
    }

    #[test]
    fn sizes_are_those_of_the_sets_that_a_family_was_made_of() {
        assert_eq!(Family::of_size(3).sizes(), 3..=3);
        assert_eq!(of_masks(&[0b0111, 0b1100]).sizes(), 2..=3);
        assert_eq!(of_masks(&[0b0111, 0b1100]).min_size(), 2);
        assert_eq!(Family::of_size(3).threshold(), Some(3));
        assert_eq!(of_masks(&[0b0011]).threshold(), None);
    }

    /// The definition: walk the acceptors in the order of their times until they contain a quorum.
    #[test]
    fn a_quorum_is_complete_when_its_last_member_has_joined() {
        let times = [30, 10, 40, 20];
        let at = |node: NodeId| times[usize::from(node.0)];
        let families = [
            Family::of_size(1),
            Family::of_size(3),
            of_masks(&[0b0101, 0b1001]),
            of_masks(&[0b1111]),
        ];
        for family in families {
            for nodes in (0..16).map(NodeSet::from_mask) {
                let mut order: Vec<NodeId> = nodes.iter().collect();
                order.sort_by_key(|node| at(*node));
                let mut met = NodeSet::EMPTY;
                let last = order.into_iter().find(|node| {
                    met.insert(*node);
                    family.contains(met)
                });
                assert_eq!(family.complete_at(nodes, at), last.map(at), "{family} in {nodes}");
            }
        }
    }
}
