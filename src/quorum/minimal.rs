//! The minimal quorums of a family, found in its decision diagram (Rauzy 1993).
//!
//! They are kept as a diagram themselves, so that they are counted without being listed: 64 acceptors have
//! more majorities than a machine has bytes.

use std::collections::BTreeMap;

use super::diagram::{ALWAYS, Diagram, NEVER, Vertex};
use super::{NodeId, NodeSet};

/// The most vertices that are made of the minimal quorums of a family.
const VERTICES_MAX: usize = 1 << 18;

/// Every minimal quorum: a path in which `yes` takes the acceptor and `no` leaves it out, to [`ALWAYS`].
#[derive(Debug)]
pub(super) struct Minimal {
    order: Vec<NodeId>,
    vertices: Vec<Vertex>,
    root: usize,
}

impl Minimal {
    /// Those of a family; `None` if they make a diagram that is too large.
    pub(super) fn new(family: &Diagram) -> Option<Self> {
        let leaf = Vertex { place: usize::MAX, yes: NEVER, no: NEVER };
        let mut builder = Builder {
            family: family.vertices(),
            vertices: vec![leaf; 2],
            unique: BTreeMap::new(),
            known: BTreeMap::new(),
        };
        let mut of = vec![NEVER, ALWAYS];
        for vertex in family.vertices().iter().skip(2) {
            let left_out = of[vertex.no];
            // A quorum with the acceptor is minimal unless it is one without.
            let taken = builder.outside(of[vertex.yes], vertex.no)?;
            of.push(builder.vertex(vertex.place, taken, left_out)?);
        }
        let root = of[family.root()];
        Some(Self { order: family.order().to_vec(), vertices: builder.vertices, root })
    }

    /// How many there are.
    pub(super) fn count(&self) -> u128 {
        self.fold([0, 1], |yes: u128, no| yes + no)
    }

    /// The size of the largest one.
    pub(super) fn max_size(&self) -> usize {
        let largest =
            self.fold([None, Some(0)], |yes: Option<usize>, no| yes.map(|it| it + 1).max(no));
        largest.unwrap_or_default()
    }

    /// The first `limit` of them.
    pub(super) fn first(&self, limit: usize) -> Vec<NodeSet> {
        let mut found = Vec::new();
        self.collect(self.root, NodeSet::EMPTY, limit, &mut found);
        found
    }

    fn collect(&self, at: usize, taken: NodeSet, limit: usize, found: &mut Vec<NodeSet>) {
        match at {
            _ if found.len() == limit => {}
            NEVER => {}
            ALWAYS => found.push(taken),
            _ => {
                let vertex = self.vertices[at];
                let with = taken.with(self.order[vertex.place]);
                self.collect(vertex.yes, with, limit, found);
                self.collect(vertex.no, taken, limit, found);
            }
        }
    }

    fn fold<T: Copy>(&self, leaves: [T; 2], of: impl Fn(T, T) -> T) -> T {
        let mut values = leaves.to_vec();
        for vertex in self.vertices.iter().skip(2) {
            values.push(of(values[vertex.yes], values[vertex.no]));
        }
        values[self.root]
    }
}

struct Builder<'a> {
    family: &'a [Vertex],
    vertices: Vec<Vertex>,
    unique: BTreeMap<Vertex, usize>,
    known: BTreeMap<(usize, usize), usize>,
}

impl Builder<'_> {
    /// Those of `sets` that hold no quorum of the vertex `family`.
    fn outside(&mut self, sets: usize, family: usize) -> Option<usize> {
        match (sets, family) {
            (NEVER, _) | (_, ALWAYS) => return Some(NEVER),
            // Nothing is left to take, and the family needs something.
            (_, NEVER) | (ALWAYS, _) => return Some(sets),
            _ => {}
        }
        if let Some(known) = self.known.get(&(sets, family)) {
            return Some(*known);
        }
        let (set, question) = (self.vertices[sets], self.family[family]);
        let found = if question.place < set.place {
            self.outside(sets, question.no)?
        } else {
            let is_asked = question.place == set.place;
            let (with, without) =
                if is_asked { (question.yes, question.no) } else { (family, family) };
            let (yes, no) = (self.outside(set.yes, with)?, self.outside(set.no, without)?);
            self.vertex(set.place, yes, no)?
        };
        self.known.insert((sets, family), found);
        Some(found)
    }

    fn vertex(&mut self, place: usize, yes: usize, no: usize) -> Option<usize> {
        if yes == NEVER {
            return Some(no);
        }
        let vertex = Vertex { place, yes, no };
        if let Some(known) = self.unique.get(&vertex) {
            return Some(*known);
        }
        if self.vertices.len() == VERTICES_MAX {
            return None;
        }
        self.vertices.push(vertex);
        self.unique.insert(vertex, self.vertices.len() - 1);
        Some(self.vertices.len() - 1)
    }
}
