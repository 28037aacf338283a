//! How likely a quorum is among those that have answered, when each has with a probability of its own.
//!
//! P(some quorum has answered) is the sum over all sets of replicas that hold a quorum of Π p over the
//! set and Π (1 − p) over the others: for counts the Poisson-binomial tail, for explicit sets a sum over
//! masks.
//! It is not summed set by set but along the decision diagram of the family ([`Diagram`]).
//!
//! Beyond its limit of vertices, which up to 15 replicas do not reach, the sum over the minimal quorums of
//! Π p bounds the probability from above (Boole): then the floor is a lower bound.

use std::collections::BTreeMap;

use crate::quorum::analysis::{minimal_count, minimal_quorums};
use crate::quorum::diagram::{ALWAYS, NEVER, VERTICES_MAX, Vertex, order};
use crate::quorum::{Diagram, Family, NodeSet};

/// Whether a family has a quorum among those that answered.
#[derive(Clone, Debug)]
pub(super) enum Answered {
    /// The question that is asked.
    Exactly(Diagram),
    /// The sets of a family whose diagram is too large.
    AtMost(Vec<NodeSet>),
}

impl Answered {
    /// The question for a family over `n` replicas.
    pub(super) fn new(n: usize, family: &Family) -> Self {
        Self::within(n, family, VERTICES_MAX)
    }

    fn within(n: usize, family: &Family, vertices_max: usize) -> Self {
        if let Some(diagram) = Diagram::within(family, order(family, n), vertices_max) {
            return Self::Exactly(diagram);
        }
        // Only listed sets come here: of a count, 64 replicas have 4096 vertices, and a gate with more than
        // the limit is no system.
        let is_listed = minimal_count(family, n).is_some_and(|count| count <= VERTICES_MAX as u128);
        // Of too many sets no more is said than that the probability is 1 at most.
        let sets = is_listed.then(|| minimal_quorums(family, n, usize::MAX));
        Self::AtMost(sets.unwrap_or_else(|| vec![NodeSet::EMPTY]))
    }

    /// The probability, when each replica has answered with the probability of its place.
    ///
    /// `room` is what one call leaves to the next, so that none of them allocates.
    pub(super) fn probability(&self, answered: &[f64], room: &mut Vec<f64>) -> f64 {
        match self {
            Self::Exactly(diagram) => diagram.probability(answered, room),
            Self::AtMost(sets) => {
                let all_of = |set: &NodeSet| {
                    set.iter().map(|id| answered[usize::from(id.0)]).product::<f64>()
                };
                sets.iter().map(all_of).sum::<f64>().min(1.0)
            }
        }
    }
}

impl Answered {
    /// The probability that this question and `other` are both answered with yes.
    ///
    /// Of each replica `answered` has the probabilities that it has answered the one, the other, and
    /// both. `None` if that takes too long to find out, or the two are asked in different orders.
    pub(super) fn both(&self, other: &Self, answered: &[[f64; 3]]) -> Option<f64> {
        let (Self::Exactly(one), Self::Exactly(other)) = (self, other) else { return None };
        if one.order() != other.order() {
            return None;
        }
        let joint: Vec<[f64; 3]> =
            one.order().iter().map(|node| answered[usize::from(node.0)]).collect();
        let vertices = [one.vertices(), other.vertices()];
        let mut pairs = Pairs { vertices, joint, known: BTreeMap::new() };
        pairs.probability(one.root(), other.root())
    }
}

/// Two questions that are asked of the same replicas, and the pairs of vertices that are known.
struct Pairs<'a> {
    vertices: [&'a [Vertex]; 2],
    /// The probabilities of the replica at each place of their order.
    joint: Vec<[f64; 3]>,
    known: BTreeMap<(usize, usize), f64>,
}

impl Pairs<'_> {
    fn probability(&mut self, one: usize, other: usize) -> Option<f64> {
        if one == NEVER || other == NEVER {
            return Some(0.0);
        }
        if one == ALWAYS && other == ALWAYS {
            return Some(1.0);
        }
        if let Some(known) = self.known.get(&(one, other)) {
            return Some(*known);
        }
        if self.known.len() == VERTICES_MAX {
            return None;
        }
        // The replica that is asked next by either; the other question is the same with it and without.
        // A leaf is at no place, behind all others.
        let (first, second) = (self.vertices[0][one], self.vertices[1][other]);
        let place = first.place.min(second.place);
        let ends = |of: usize, vertex: Vertex| {
            if vertex.place == place { [vertex.yes, vertex.no] } else { [of; 2] }
        };
        let (ones, others) = (ends(one, first), ends(other, second));
        let [p, q, both] = self.joint[place];
        let found = both * self.probability(ones[0], others[0])?
            + (p - both) * self.probability(ones[0], others[1])?
            + (q - both) * self.probability(ones[1], others[0])?
            + (1.0 - p - q + both) * self.probability(ones[1], others[1])?;
        self.known.insert((one, other), found);
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quorum::{Gate, NodeId};

    /// The definition: the sum over all masks that hold a quorum.
    fn by_masks(n: usize, family: &Family, answered: &[f64]) -> f64 {
        let probability = |set: NodeSet| {
            let of = |node: usize| {
                let id = NodeId(u8::try_from(node).unwrap());
                if set.contains(id) { answered[node] } else { 1.0 - answered[node] }
            };
            (0..n).map(of).product::<f64>()
        };
        let sets = (0..1_u64 << n).map(NodeSet::from_mask);
        sets.filter(|set| family.contains(*set)).map(probability).sum()
    }

    const ANSWERED: [f64; 7] = [1.0, 0.9, 0.5, 0.35, 0.2, 0.01, 0.0];

    #[track_caller]
    fn assert_exact(n: usize, family: &Family) {
        let found = Answered::new(n, family).probability(&ANSWERED[..n], &mut Vec::new());
        let expected = by_masks(n, family, &ANSWERED[..n]);
        assert!((found - expected).abs() < 1e-12, "{family} of {n}: {found}, not {expected}");
    }

    #[test]
    fn counts_are_the_sum_over_all_masks() {
        for n in 1..=7 {
            (1..=n).for_each(|size| assert_exact(n, &Family::of_size(size)));
        }
    }

    #[test]
    fn explicit_sets_are_the_sum_over_all_masks() {
        for one in 1..32 {
            for other in (1..32).step_by(3) {
                let sets = [one, other, 0b10110].map(NodeSet::from_mask).to_vec();
                assert_exact(5, &Family::of_sets(sets));
            }
        }
        // The rows of two by three, and one of each column.
        assert_exact(6, &Family::of_sets([0b111, 0b111_000].map(NodeSet::from_mask).to_vec()));
        let columns = (0..9).map(|pick| NodeSet::from_mask(1 << (pick % 3) | 8 << (pick / 3)));
        assert_exact(6, &Family::of_sets(columns.collect()));
    }

    #[test]
    fn gates_are_the_sum_over_all_masks() {
        let pairs =
            [0b00011, 0b01100, 0b10001].map(|mask| Gate::choose(2, NodeSet::from_mask(mask)));
        assert_exact(5, &Family::of_gate(Gate::of(2, pairs), 5));
        let weights = [(3, 0), (2, 1), (2, 2), (1, 3)].map(|(it, id)| (it, Gate::node(NodeId(id))));
        assert_exact(6, &Family::of_gate(Gate::weighted(4, weights), 6));
    }

    /// The definition: the sum over all pairs of masks that hold a quorum of each.
    #[test]
    fn two_questions_at_once_are_the_sum_over_all_pairs_of_masks() {
        let joint: Vec<[f64; 3]> = [0.9, 0.6, 0.5, 0.2, 1.0]
            .into_iter()
            .zip([0.7, 0.6, 0.1, 0.3, 1.0])
            .map(|(p, q): (f64, f64)| [p, q, p * q + 0.8 * (p.min(q) - p * q)])
            .collect();
        let sets = Family::of_sets([0b00011, 0b10100, 0b01110].map(NodeSet::from_mask).to_vec());
        let families = [Family::of_size(2), Family::of_size(4), sets];
        for (one, other) in families.iter().flat_map(|one| families.iter().map(move |it| (one, it)))
        {
            let found = Answered::new(5, one).both(&Answered::new(5, other), &joint).unwrap();
            let mut expected = 0.0;
            for (first, second) in (0..32_u64).flat_map(|it| (0..32).map(move |other| (it, other)))
            {
                let of = |node: usize| {
                    let [p, q, both] = joint[node];
                    match (first >> node & 1, second >> node & 1) {
                        (1, 1) => both,
                        (1, _) => p - both,
                        (_, 1) => q - both,
                        _ => 1.0 - p - q + both,
                    }
                };
                let is_both = one.contains(NodeSet::from_mask(first))
                    && other.contains(NodeSet::from_mask(second));
                expected += if is_both { (0..5).map(of).product::<f64>() } else { 0.0 };
            }
            assert!((found - expected).abs() < 1e-12, "{one} {other}: {found}, not {expected}");
        }
    }

    #[test]
    fn a_family_that_needs_nobody_has_its_quorum() {
        assert_exact(3, &Family::of_sets(vec![NodeSet::EMPTY]));
        assert_exact(7, &Family::of_sets(vec![NodeSet::from_mask(1 << 6)]));
    }

    #[test]
    fn the_diagram_of_a_count_is_small_for_any_number_of_replicas() {
        let Answered::Exactly(diagram) = Answered::new(64, &Family::of_size(33)) else {
            panic!("a count is exact")
        };
        let count = diagram.vertices().len();
        assert!(count <= 2 + 64 * 33, "{count}");
        let answered = [0.5; 64];
        let found = Answered::Exactly(diagram).probability(&answered, &mut Vec::new());
        // Half of what is not a tie of 32 heads and 32 tails; that has 0.099_346_753.
        assert!((found - (1.0 - 0.099_346_753_7) / 2.0).abs() < 1e-9, "{found}");
    }

    #[test]
    fn a_diagram_that_is_too_large_gives_an_upper_bound() {
        let sets: Vec<NodeSet> =
            [0b0_0111, 0b0_1011, 0b1_1100, 0b1_0101].map(NodeSet::from_mask).to_vec();
        let family = Family::of_sets(sets);
        let bound = Answered::within(5, &family, 3);
        assert!(matches!(bound, Answered::AtMost(_)));
        for shift in 0..5 {
            let mut answered = ANSWERED[..5].to_vec();
            answered.rotate_left(shift);
            let exact = Answered::new(5, &family).probability(&answered, &mut Vec::new());
            let at_most = bound.probability(&answered, &mut Vec::new());
            assert!((exact..=1.0).contains(&at_most), "{exact} {at_most}");
        }
    }
}
