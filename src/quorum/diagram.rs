//! A family as a decision diagram (Bryant 1986): asked of one acceptor after the other, whether the next
//! one is met.
//!
//! Having met an acceptor, or not, leaves a smaller question about the rest, and equal questions are one
//! vertex.
//! Of `k` of `n` that makes at most `n · k` vertices, of a weighted family at most `n` times the weight;
//! of any family over 15 acceptors no more than 2^15.
//! What takes 2^n steps set by set takes one step a vertex: probabilities, the cheapest quorum, the
//! minimal quorums, whether two families meet.

use std::collections::{BTreeMap, BTreeSet};

use super::family::Kind;
use super::question::Question;
use super::{Family, NodeId, NodeSet};

/// The most vertices of a diagram.
pub const VERTICES_MAX: usize = 1 << 15;

/// Up to so many acceptors any order of them makes a diagram within [`VERTICES_MAX`].
const ANY_ORDER: usize = 15;

/// The most pairs of vertices that are looked at.
const PAIRS_MAX: usize = 1 << 18;

/// The vertex that asks nothing because there is no quorum.
pub const NEVER: usize = 0;
/// The vertex that asks nothing because there is one.
pub const ALWAYS: usize = 1;

/// A family, asked of its acceptors in an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagram {
    order: Vec<NodeId>,
    /// Each behind those that it refers to; the first two are [`NEVER`] and [`ALWAYS`].
    vertices: Vec<Vertex>,
    root: usize,
}

/// A question about the acceptors from one place of the order on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Vertex {
    /// The place in the order.
    pub place: usize,
    /// The vertex that asks the rest if the acceptor is met.
    pub yes: usize,
    /// The same if it is not.
    pub no: usize,
}

impl Diagram {
    /// That of a family over `n` acceptors; `None` if it has more than [`VERTICES_MAX`] vertices.
    pub fn new(family: &Family, n: usize) -> Option<Self> {
        Self::within(family, order(family, n), VERTICES_MAX)
    }

    /// The same in this order of all acceptors, if it has at most so many vertices.
    pub fn within(family: &Family, order: Vec<NodeId>, vertices_max: usize) -> Option<Self> {
        let leaf = Vertex { place: usize::MAX, yes: NEVER, no: NEVER };
        let mut builder = Builder {
            order,
            vertices_max,
            vertices: vec![leaf; 2],
            known: BTreeMap::new(),
            unique: BTreeMap::new(),
        };
        let root = builder.vertex(0, Question::new(family))?;
        Some(Self { order: builder.order, vertices: builder.vertices, root })
    }

    /// The order in which acceptors are asked.
    pub fn order(&self) -> &[NodeId] {
        &self.order
    }

    /// The vertices, each behind those that it refers to.
    pub fn vertices(&self) -> &[Vertex] {
        &self.vertices
    }

    /// The vertex that is asked first.
    pub const fn root(&self) -> usize {
        self.root
    }

    /// The probability of a quorum when each acceptor is met with the probability of its number,
    /// independent of the others.
    ///
    /// `room` is what one call leaves to the next, so that none of them allocates.
    pub fn probability(&self, met: &[f64], room: &mut Vec<f64>) -> f64 {
        room.clear();
        room.extend([0.0, 1.0]);
        for vertex in self.vertices.iter().skip(2) {
            let p = met[self.number(*vertex)];
            room.push(p * room[vertex.yes] + (1.0 - p) * room[vertex.no]);
        }
        room[self.root]
    }

    /// The quorum whose members cost least together, if there is one; of equals any.
    pub fn cheapest(&self, cost: impl Fn(NodeId) -> f64) -> Option<(f64, NodeSet)> {
        let mut best: Vec<Option<(f64, NodeSet)>> = vec![None, Some((0.0, NodeSet::EMPTY))];
        for vertex in self.vertices.iter().skip(2) {
            let node = self.order[vertex.place];
            let yes = best[vertex.yes].map(|(sum, set)| (sum + cost(node), set.with(node)));
            let no = best[vertex.no];
            best.push(match (yes, no) {
                (Some(one), Some(other)) => Some(if one.0 < other.0 { one } else { other }),
                (one, other) => one.or(other),
            });
        }
        best[self.root]
    }

    /// The fewest acceptors without which there is no quorum: the size of the smallest set that hits every
    /// quorum. `None` if there is always one.
    pub fn fewest_missing(&self) -> Option<usize> {
        let mut fewest: Vec<Option<usize>> = vec![Some(0), None];
        for vertex in self.vertices.iter().skip(2) {
            let missing = fewest[vertex.no].map(|count| count + 1);
            let met = fewest[vertex.yes];
            fewest.push(missing.into_iter().chain(met).min());
        }
        fewest[self.root]
    }

    /// The acceptors that are asked: those without which some set would be no quorum.
    pub fn asked(&self) -> NodeSet {
        self.vertices.iter().skip(2).map(|vertex| self.order[vertex.place]).collect()
    }

    /// A set with a quorum of this family whose complement has one of the other.
    ///
    /// # Errors
    /// If finding out takes more than some hundred thousand steps.
    pub fn split(&self, other: &Self) -> Result<Option<NodeSet>, TooLarge> {
        assert_eq!(self.order, other.order, "diagrams in the same order");
        let mut walk = Walk { one: self, other, seen: BTreeSet::new() };
        walk.split(self.root, other.root)
    }

    fn number(&self, vertex: Vertex) -> usize {
        usize::from(self.order[vertex.place].0)
    }
}

/// An order of the acceptors 0 to n-1 that keeps the diagram of `family` small.
pub fn order(family: &Family, n: usize) -> Vec<NodeId> {
    let all = NodeSet::all(n);
    match &family.0 {
        Kind::Gate(gate) if n > ANY_ORDER => {
            let mut order = gate.order();
            let met: NodeSet = order.iter().copied().collect();
            order.extend(all.difference(met).iter());
            order
        }
        _ => all.iter().collect(),
    }
}

/// The question takes too many steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

/// Two diagrams walked at once: each acceptor is given to one family or to the other.
struct Walk<'a> {
    one: &'a Diagram,
    other: &'a Diagram,
    /// Pairs that lead nowhere.
    seen: BTreeSet<(usize, usize)>,
}

impl Walk<'_> {
    fn split(&mut self, one: usize, other: usize) -> Result<Option<NodeSet>, TooLarge> {
        if one == NEVER || other == NEVER || self.seen.contains(&(one, other)) {
            return Ok(None);
        }
        if one == ALWAYS && other == ALWAYS {
            return Ok(Some(NodeSet::EMPTY));
        }
        if self.seen.len() == PAIRS_MAX {
            return Err(TooLarge);
        }
        let (first, second) = (self.one.vertices[one], self.other.vertices[other]);
        let place = first.place.min(second.place);
        let ends = |vertex: Vertex, index: usize| {
            if vertex.place == place { [vertex.yes, vertex.no] } else { [index; 2] }
        };
        let ([one_yes, one_no], [other_yes, other_no]) = (ends(first, one), ends(second, other));
        if let Some(rest) = self.split(one_yes, other_no)? {
            return Ok(Some(rest.with(self.one.order[place])));
        }
        if let Some(rest) = self.split(one_no, other_yes)? {
            return Ok(Some(rest));
        }
        self.seen.insert((one, other));
        Ok(None)
    }
}

struct Builder {
    order: Vec<NodeId>,
    vertices_max: usize,
    vertices: Vec<Vertex>,
    known: BTreeMap<(usize, Question), usize>,
    /// Questions that differ and ask the same are one vertex all the same.
    unique: BTreeMap<Vertex, usize>,
}

impl Builder {
    /// The vertex that asks `rest` of the acceptors from `place` on; `None` if the diagram grows too large.
    fn vertex(&mut self, place: usize, rest: Question) -> Option<usize> {
        if let Some(is_there) = rest.answer(self.order.len() - place) {
            return Some(if is_there { ALWAYS } else { NEVER });
        }
        let key = (place, rest);
        if let Some(vertex) = self.known.get(&key) {
            return Some(*vertex);
        }
        let node = self.order[place];
        let yes = self.vertex(place + 1, key.1.with(node))?;
        let no = self.vertex(place + 1, key.1.without(node))?;
        // An acceptor that makes no difference is not asked.
        let vertex = if yes == no { yes } else { self.add(Vertex { place, yes, no })? };
        self.known.insert(key, vertex);
        Some(vertex)
    }

    fn add(&mut self, vertex: Vertex) -> Option<usize> {
        if let Some(known) = self.unique.get(&vertex) {
            return Some(*known);
        }
        self.unique.insert(vertex, self.vertices.len());
        self.vertices.push(vertex);
        (self.vertices.len() <= self.vertices_max && self.known.len() <= 8 * self.vertices_max)
            .then(|| self.vertices.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quorum::Gate;

    fn groups() -> Family {
        let groups = [0b111, 0b11_1000].map(|mask| Gate::choose(2, NodeSet::from_mask(mask)));
        Family::of_gate(Gate::any(groups.to_vec()), 6)
    }

    #[test]
    fn probability_is_the_sum_over_all_masks() {
        let met = [1.0, 0.9, 0.5, 0.35, 0.2, 0.01];
        for family in [groups(), Family::of_size(3)] {
            let of = |set: NodeSet| -> f64 {
                let p = |node: u8| {
                    let p = met[usize::from(node)];
                    if set.contains(NodeId(node)) { p } else { 1.0 - p }
                };
                (0..6).map(p).product()
            };
            let sets = (0..64).map(NodeSet::from_mask).filter(|set| family.contains(*set));
            let expected: f64 = sets.map(of).sum();
            let found = Diagram::new(&family, 6).unwrap().probability(&met, &mut Vec::new());
            assert!((found - expected).abs() < 1e-12, "{family}: {found}, not {expected}");
        }
    }

    #[test]
    fn cheapest_quorum_is_the_least_of_all_sets() {
        let cost = |node: NodeId| [5.0, 1.0, 4.0, 2.0, 3.0, 6.0][usize::from(node.0)];
        for family in [groups(), Family::of_size(3)] {
            let sets = (0..64).map(NodeSet::from_mask).filter(|set| family.contains(*set));
            let sums = sets.map(|set| set.iter().map(cost).sum::<f64>());
            let expected = sums.min_by(f64::total_cmp).unwrap();
            let (sum, set) = Diagram::new(&family, 6).unwrap().cheapest(cost).unwrap();
            assert!(family.contains(set));
            assert!((sum - expected).abs() < 1e-12, "{family}: {sum}, not {expected}");
        }
    }

    /// Zones that are spread over the numbers make a small diagram all the same.
    #[test]
    fn diagrams_of_64_acceptors_in_groups_are_small() {
        let zone = |zone: u8| {
            let members: NodeSet = (0..8).map(|row| NodeId(8 * row + zone)).collect();
            Gate::choose(5, members)
        };
        let family = Family::of_gate(Gate::of(5, (0..8).map(zone)), 64);
        let diagram = Diagram::new(&family, 64).unwrap();
        assert!(diagram.vertices().len() < 2000, "{}", diagram.vertices().len());
        assert_eq!(diagram.cheapest(|_| 1.0).unwrap().1.len(), 25);
        assert_eq!(diagram.split(&diagram), Ok(None));
    }

    /// Those that no gate names are in no quorum, and stand behind the others in the order.
    #[test]
    fn an_order_holds_every_acceptor_once() {
        let zone = |zone: u8| {
            let members: NodeSet = (0..7).map(|row| NodeId(8 * row + zone)).collect();
            Gate::choose(4, members)
        };
        let family = Family::of_gate(Gate::of(4, (0..7).map(zone)), 64);
        let found = order(&family, 64);
        assert_eq!(found.iter().copied().collect::<NodeSet>(), NodeSet::all(64));
        assert_eq!(found.len(), 64);
        let named = (0..7).flat_map(|row| (0..7).map(move |zone| NodeId(8 * row + zone)));
        let unnamed = NodeSet::all(64).difference(named.collect());
        assert_eq!(unnamed.len(), 15);
        assert!(found[49..].iter().all(|node| unnamed.contains(*node)), "{found:?}");
    }

    #[test]
    fn limits_of_vertices_are_kept() {
        let order = || order(&groups(), 6);
        assert_eq!(Diagram::within(&groups(), order(), 5), None);
        assert!(Diagram::within(&groups(), order(), 50).is_some());
    }
}
