//! How likely a quorum is among those that have answered, when each has with a probability of its own.
//!
//! P(some quorum has answered) is the sum over all sets of replicas that hold a quorum of Π p over the
//! set and Π (1 − p) over the others: for counts the Poisson-binomial tail, for explicit sets a sum over
//! masks.
//! It is not summed set by set but one replica after the other: having answered or not leaves a smaller
//! question about the rest ([`Question`]), and equal questions are asked once, which makes a decision
//! diagram (Bryant 1986).
//! For `k` of `n` that has at most `n · k` vertices; for explicit sets at most 2^n, and few where they are
//! few.
//!
//! Beyond [`VERTICES_MAX`], which up to 15 replicas do not reach, the sum over the sets of Π p bounds the
//! probability from above (Boole): then the floor is a lower bound.

use std::collections::BTreeMap;

use crate::quorum::analysis::minimal_quorums;
use crate::quorum::{Family, NodeId, NodeSet, Question};

/// The most vertices of a diagram: it is walked for every point of a distribution.
const VERTICES_MAX: usize = 1 << 15;

/// Whether a family has a quorum among those that answered.
#[derive(Clone, Debug)]
pub(super) enum Answered {
    /// Each vertex behind those that it refers to: the last one is the question that is asked.
    Exactly(Vec<Vertex>),
    /// The sets of a family whose diagram is too large.
    AtMost(Vec<NodeSet>),
}

/// A question about the replicas from one on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vertex {
    node: usize,
    /// The vertex that asks the rest if this replica has answered.
    yes: usize,
    /// The same if it has not.
    no: usize,
}

/// The vertices that ask nothing: there is no quorum, and there is one.
const NEVER: usize = 0;
const ALWAYS: usize = 1;

impl Answered {
    /// The question for a family over `n` replicas.
    pub(super) fn new(n: usize, family: &Family) -> Self {
        Self::within(n, family, VERTICES_MAX)
    }

    fn within(n: usize, family: &Family, vertices_max: usize) -> Self {
        let leaf = Vertex { node: 0, yes: NEVER, no: NEVER };
        let mut builder =
            Builder { n, vertices_max, vertices: vec![leaf; 2], known: BTreeMap::new() };
        if let Some(root) = builder.vertex(0, Question::new(family)) {
            // The root may be a leaf, or older than what was built last.
            builder.vertices.truncate(root + 1);
            return Self::Exactly(builder.vertices);
        }
        // Only listed sets come here: of a count, 64 replicas have 4096 vertices.
        Self::AtMost(minimal_quorums(family, n, usize::MAX))
    }

    /// The probability, when each replica has answered with the probability of its place.
    ///
    /// `room` is what one call leaves to the next, so that none of them allocates.
    pub(super) fn probability(&self, answered: &[f64], room: &mut Vec<f64>) -> f64 {
        match self {
            Self::Exactly(vertices) => {
                room.clear();
                room.extend([0.0, 1.0]);
                for vertex in vertices.iter().skip(2) {
                    let p = answered[vertex.node];
                    room.push(p * room[vertex.yes] + (1.0 - p) * room[vertex.no]);
                }
                room[vertices.len() - 1]
            }
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
    /// both. `None` if that takes too long to find out.
    pub(super) fn both(&self, other: &Self, answered: &[[f64; 3]]) -> Option<f64> {
        let (Self::Exactly(one), Self::Exactly(other)) = (self, other) else { return None };
        let mut pairs = Pairs { one, other, answered, known: BTreeMap::new() };
        pairs.probability(one.len() - 1, other.len() - 1)
    }
}

/// Two questions that are asked of the same replicas, and the pairs of vertices that are known.
struct Pairs<'a> {
    one: &'a [Vertex],
    other: &'a [Vertex],
    answered: &'a [[f64; 3]],
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
        let asks = |of: usize, vertices: &[Vertex]| (of != ALWAYS).then(|| vertices[of].node);
        let nodes = (asks(one, self.one), asks(other, self.other));
        let node = nodes.0.into_iter().chain(nodes.1).min().expect("one of them is no leaf");
        let ends = |of: usize, asked: Option<usize>, vertices: &[Vertex]| {
            if asked == Some(node) { [vertices[of].yes, vertices[of].no] } else { [of; 2] }
        };
        let (ones, others) = (ends(one, nodes.0, self.one), ends(other, nodes.1, self.other));
        let [p, q, both] = self.answered[node];
        let found = both * self.probability(ones[0], others[0])?
            + (p - both) * self.probability(ones[0], others[1])?
            + (q - both) * self.probability(ones[1], others[0])?
            + (1.0 - p - q + both) * self.probability(ones[1], others[1])?;
        self.known.insert((one, other), found);
        Some(found)
    }
}

struct Builder {
    n: usize,
    vertices_max: usize,
    vertices: Vec<Vertex>,
    known: BTreeMap<(usize, Question), usize>,
}

impl Builder {
    /// The vertex that asks `rest` of the replicas from `node` on; `None` if the diagram grows too large.
    fn vertex(&mut self, node: usize, rest: Question) -> Option<usize> {
        if let Some(is_there) = rest.answer(self.n - node) {
            return Some(if is_there { ALWAYS } else { NEVER });
        }
        let key = (node, rest);
        if let Some(vertex) = self.known.get(&key) {
            return Some(*vertex);
        }
        let id = NodeId(u8::try_from(node).expect("a deployment has at most 64 replicas"));
        let yes = self.vertex(node + 1, key.1.with(id))?;
        let no = self.vertex(node + 1, key.1.without(id))?;
        // A replica that makes no difference is not asked.
        let vertex = if yes == no { yes } else { self.add(Vertex { node, yes, no })? };
        self.known.insert(key, vertex);
        Some(vertex)
    }

    fn add(&mut self, vertex: Vertex) -> Option<usize> {
        self.vertices.push(vertex);
        (self.vertices.len() <= self.vertices_max).then(|| self.vertices.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let Answered::Exactly(vertices) = Answered::new(64, &Family::of_size(33)) else {
            panic!("a count is exact")
        };
        assert!(vertices.len() <= 2 + 64 * 33, "{}", vertices.len());
        let answered = [0.5; 64];
        let found = Answered::Exactly(vertices).probability(&answered, &mut Vec::new());
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
