//! Whether a family has a quorum, asked of one acceptor after the other.
//!
//! Having met an acceptor, or not, leaves a smaller question about the rest.
//! Equal questions are equal values, so that each is answered once: that makes a decision diagram of a
//! family ([`super::Diagram`]).

use super::family::Kind;
use super::{Family, Gate, NodeId, NodeSet};

/// What must still be met for a quorum of a family.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Question(Rest);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rest {
    /// So many acceptors.
    Count(usize),
    /// All of one of these sets: minimal and in order, so that equal questions are equal.
    Sets(Vec<NodeSet>),
    /// That a gate goes on.
    Gate(Gate),
}

impl Question {
    /// Whether there is a quorum of `family`, when no acceptor is known to be met.
    pub(super) fn new(family: &Family) -> Self {
        Self(match &family.0 {
            Kind::Count(size) => Rest::Count(*size),
            Kind::Sets(sets) => Rest::sets(sets.iter().copied()),
            Kind::Gate(gate) => Rest::Gate(gate.clone().simplified()),
        })
    }

    /// The answer, if it no longer depends on the `left` acceptors that were not asked yet.
    pub(super) fn answer(&self, left: usize) -> Option<bool> {
        match &self.0 {
            Rest::Count(0) => Some(true),
            Rest::Count(size) if *size > left => Some(false),
            Rest::Sets(sets) if sets.is_empty() => Some(false),
            Rest::Sets(sets) if sets[0].is_empty() => Some(true),
            Rest::Gate(gate) => gate.constant(),
            _ => None,
        }
    }

    /// What is left to ask when this acceptor is met.
    pub(super) fn with(&self, node: NodeId) -> Self {
        Self(match &self.0 {
            Rest::Count(size) => Rest::Count(size - 1),
            Rest::Sets(sets) => Rest::sets(sets.iter().map(|set| set.without(node))),
            Rest::Gate(gate) => Rest::Gate(gate.given(node, true)),
        })
    }

    /// What is left to ask when it is not.
    pub(super) fn without(&self, node: NodeId) -> Self {
        Self(match &self.0 {
            Rest::Count(size) => Rest::Count(*size),
            Rest::Sets(sets) => {
                Rest::Sets(sets.iter().copied().filter(|set| !set.contains(node)).collect())
            }
            Rest::Gate(gate) => Rest::Gate(gate.given(node, false)),
        })
    }
}

impl Rest {
    fn sets(sets: impl Iterator<Item = NodeSet>) -> Self {
        let mut sets: Vec<NodeSet> = sets.collect();
        sets.sort_unstable_by_key(|set| (set.len(), *set));
        sets.dedup();
        let mut minimal: Vec<NodeSet> = Vec::new();
        for set in sets {
            if !minimal.iter().any(|smaller| smaller.is_subset(set)) {
                minimal.push(set);
            }
        }
        Self::Sets(minimal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition: ask of every acceptor in turn, and compare with the family.
    #[test]
    fn the_answer_after_all_acceptors_is_that_of_the_family() {
        let sets = [0b0011, 0b0110, 0b1110].map(NodeSet::from_mask).to_vec();
        let pairs = [0b0011, 0b0110].map(|mask| Gate::choose(2, NodeSet::from_mask(mask)));
        let weighted =
            [(3, 0), (2, 1), (1, 2)].map(|(weight, id)| (weight, Gate::node(NodeId(id))));
        let gates = [Gate::any(pairs.to_vec()), Gate::weighted(4, weighted)];
        let mut families =
            vec![Family::of_size(1), Family::of_size(3), Family::of_size(5), Family::of_sets(sets)];
        families.extend(gates.map(|gate| Family::of_gate(gate, 4)));
        for family in families {
            for met in (0..16).map(NodeSet::from_mask) {
                let mut question = Question::new(&family);
                for (asked, node) in (0..4).map(NodeId).enumerate() {
                    if question.answer(4 - asked).is_some() {
                        break;
                    }
                    let is_met = met.contains(node);
                    question = if is_met { question.with(node) } else { question.without(node) };
                }
                assert_eq!(question.answer(0), Some(family.contains(met)), "{family} in {met}");
            }
        }
    }

    #[test]
    fn questions_that_ask_the_same_are_equal() {
        let of = |masks: [u64; 2]| Family::of_sets(masks.map(NodeSet::from_mask).to_vec());
        let (one, other) = (Question::new(&of([0b011, 0b111])), Question::new(&of([0b111, 0b011])));
        assert_eq!(one, other);
        assert_eq!(one.without(NodeId(2)), other);
        assert_eq!(one.without(NodeId(0)).answer(2), Some(false));
    }
}
