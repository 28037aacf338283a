//! One quorum system of a search: how it is described, and its two families as tables of bits.
//!
//! A placement is a set of regions, and a system says who of them is what: which replica has which weight,
//! which ones are a row.
//! So a system here is one of the literature with its acceptors in some order ([`Described::order`]), and
//! is asked about the replicas of a placement in theirs.

use std::fmt;

use crate::quorum::{Error, Family, Line, Load, NodeId, NodeSet, QuorumSystem, Share};

use super::objective::{Costs, Objective};

/// The most replicas of which every set has a bit in a table.
pub const TABLE_REPLICAS_MAX: usize = 9;

/// Which sets of replicas contain a quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Those of so many.
    Count(usize),
    /// Those whose mask is the place of a one.
    Bits([u64; 1 << TABLE_REPLICAS_MAX >> 6]),
}

impl Table {
    /// The table of `n` replicas in which each set is asked for.
    pub fn new(n: usize, is_quorum: impl Fn(NodeSet) -> bool) -> Self {
        assert!(n <= TABLE_REPLICAS_MAX, "a table of {n} replicas");
        let mut bits = [0; 1 << TABLE_REPLICAS_MAX >> 6];
        for mask in 0..1_u64 << n {
            let is_in = u64::from(is_quorum(NodeSet::from_mask(mask)));
            bits[place(mask)] |= is_in << (mask & 63);
        }
        Self::Bits(bits)
    }

    /// Whether these contain a quorum.
    pub fn contains(&self, nodes: NodeSet) -> bool {
        match self {
            Self::Count(size) => nodes.len() >= *size,
            Self::Bits(bits) => {
                let mask = nodes.mask();
                bits[place(mask)] >> (mask & 63) & 1 == 1
            }
        }
    }

    /// The sets that meet every quorum of this table of `n` replicas.
    #[must_use]
    pub fn dual(&self, n: usize) -> Self {
        let all = NodeSet::all(n);
        match self {
            Self::Count(size) => Self::Count(n + 1 - size),
            Self::Bits(_) => Self::new(n, |nodes| !self.contains(all.difference(nodes))),
        }
    }

    /// The size of the smallest quorum.
    pub fn min_size(&self, n: usize) -> usize {
        match self {
            Self::Count(size) => *size,
            Self::Bits(_) => {
                self.quorums(n).map(NodeSet::len).min().expect("a family has a quorum")
            }
        }
    }

    /// How many of these sets may be lost, whichever they are, before no quorum is left.
    pub fn survives(&self, n: usize, sets: &[NodeSet]) -> usize {
        let all = NodeSet::all(n);
        if let Self::Count(size) = self {
            let mut sizes: Vec<usize> = sets.iter().map(|set| set.len()).collect();
            sizes.sort_unstable();
            let mut left = n;
            let is_left = |lost: &&usize| {
                left -= **lost;
                left >= *size
            };
            return sizes.iter().rev().take_while(is_left).count();
        }
        // The fewest sets that leave no quorum, less one.
        let stop = (0..1_u64 << sets.len()).filter(|lost| {
            let lost = NodeSet::from_mask(*lost).iter().map(|set| sets[usize::from(set.0)]);
            let lost = lost.fold(NodeSet::EMPTY, NodeSet::union);
            !self.contains(all.difference(lost))
        });
        let fewest = stop.map(u64::count_ones).min().expect("nobody is no quorum");
        fewest as usize - 1
    }

    /// Every set that contains a quorum.
    fn quorums(&self, n: usize) -> impl Iterator<Item = NodeSet> + '_ {
        (0..1_u64 << n).map(NodeSet::from_mask).filter(|nodes| self.contains(*nodes))
    }

    /// The sets without a member that they could leave out.
    pub fn minimal(&self, n: usize) -> Vec<NodeSet> {
        let is_minimal = |set: &NodeSet| set.iter().all(|node| !self.contains(set.without(node)));
        self.quorums(n).filter(is_minimal).collect()
    }
}

fn place(mask: u64) -> usize {
    usize::try_from(mask >> 6).expect("a mask of nine replicas")
}

/// What a system is, in the words of an experiment file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Majorities in both phases.
    Majority,
    /// Sizes of phase 1 and phase 2.
    Counts([usize; 2]),
    /// Rows of so many, and a line for each phase.
    Grid {
        /// The number of rows, and the length of each.
        shape: [usize; 2],
        /// Of phase 1 and phase 2.
        lines: [Line; 2],
    },
    /// Groups, and how many of them with how many members for each phase; a majority of each without.
    Groups {
        /// The members of each.
        groups: Vec<NodeSet>,
        /// Of phase 1 and phase 2.
        shares: [Share; 2],
    },
    /// A weight for each replica, and the weights of the quorums of phase 1 and phase 2.
    Weighted {
        /// In the order of the placement.
        weights: Vec<u32>,
        /// Of phase 1 and phase 2.
        thresholds: [u64; 2],
    },
    /// The minimal quorums of phase 2; those of phase 1 are all that meet them.
    Explicit([Vec<NodeSet>; 2]),
    /// The lengths of the rows.
    Wall(Vec<usize>),
    /// The number of children.
    Tree(usize),
}

/// A system whose acceptors are the replicas of a placement in some order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// What it is.
    pub kind: Kind,
    /// Acceptor i is the replica of the placement at place `order[i]`.
    pub order: Vec<u8>,
}

impl Described {
    /// The system over its own acceptors.
    pub fn system(&self) -> Result<QuorumSystem, Error> {
        let n = self.order.len();
        let lists = |sets: &[NodeSet]| -> Vec<Vec<usize>> {
            sets.iter().map(|set| set.iter().map(|node| usize::from(node.0)).collect()).collect()
        };
        match &self.kind {
            Kind::Majority => Ok(QuorumSystem::majority(n)),
            Kind::Counts([phase1, phase2]) => QuorumSystem::counts(n, *phase1, *phase2),
            Kind::Grid { shape, lines } => QuorumSystem::grid(n, *shape, *lines),
            Kind::Groups { groups, shares } => QuorumSystem::groups(n, groups, *shares),
            Kind::Weighted { weights, thresholds } => QuorumSystem::weighted(weights, *thresholds),
            Kind::Explicit([phase1, phase2]) => {
                QuorumSystem::explicit(n, &lists(phase1), &lists(phase2))
            }
            Kind::Wall(rows) => QuorumSystem::wall(n, rows),
            Kind::Tree(degree) => QuorumSystem::tree(n, *degree),
        }
    }

    /// Its value in an experiment file.
    pub fn toml(&self) -> String {
        let list = |set: &NodeSet| {
            let members: Vec<String> = set.iter().map(|node| node.0.to_string()).collect();
            format!("[{}]", members.join(", "))
        };
        let lists = |sets: &[NodeSet]| {
            format!("[{}]", sets.iter().map(list).collect::<Vec<_>>().join(", "))
        };
        let share = |share: &Share| {
            let keys = [("groups", share.groups), ("members", share.members)];
            let given = keys.iter().filter_map(|(key, it)| Some(format!("{key} = {}", (*it)?)));
            format!("{{ {} }}", given.collect::<Vec<_>>().join(", "))
        };
        match &self.kind {
            Kind::Majority => "{ majority = {} }".to_owned(),
            Kind::Counts([q1, q2]) => {
                format!("{{ counts = {{ phase1 = {q1}, phase2 = {q2} }} }}")
            }
            Kind::Grid { shape: [rows, columns], lines: [first, second] } => format!(
                "{{ grid = {{ rows = {rows}, columns = {columns}, phase1 = \"{}\", phase2 = \"{}\" }} }}",
                line(*first),
                line(*second)
            ),
            Kind::Groups { groups, shares: [first, second] } => format!(
                "{{ groups = {{ groups = {}, phase1 = {}, phase2 = {} }} }}",
                lists(groups),
                share(first),
                share(second)
            ),
            Kind::Weighted { weights, thresholds: [first, second] } => format!(
                "{{ weighted = {{ weights = {weights:?}, phase1 = {first}, phase2 = {second} }} }}"
            ),
            Kind::Explicit([first, second]) => format!(
                "{{ explicit = {{ phase1 = {}, phase2 = {} }} }}",
                lists(first),
                lists(second)
            ),
            Kind::Wall(rows) => format!("{{ wall = {{ rows = {rows:?} }} }}"),
            Kind::Tree(degree) => format!("{{ tree = {{ degree = {degree} }} }}"),
        }
    }
}

const fn line(line: Line) -> &'static str {
    match line {
        Line::Row => "row",
        Line::Column => "column",
        Line::OneOfEachRow => "one-of-each-row",
        Line::OneOfEachColumn => "one-of-each-column",
    }
}

/// `counts 4/2`: phase 1, then phase 2.
impl fmt::Display for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined =
            |numbers: &mut dyn Iterator<Item = String>| numbers.collect::<Vec<_>>().join(",");
        match &self.kind {
            Kind::Majority => f.write_str("majority"),
            Kind::Counts([q1, q2]) => write!(f, "counts {q1}/{q2}"),
            Kind::Grid { shape: [rows, columns], lines: [first, second] } => {
                write!(f, "grid {rows}x{columns} {}/{}", line(*first), line(*second))
            }
            Kind::Groups { groups, shares } => {
                let share = |it: &Share| match (it.groups, it.members) {
                    (Some(groups), Some(members)) => format!("{groups}x{members}"),
                    (Some(groups), None) => format!("{groups}xmajority"),
                    _ => "majority".to_owned(),
                };
                let sizes = joined(&mut groups.iter().map(|group| group.len().to_string()));
                write!(f, "groups {sizes} {}/{}", share(&shares[0]), share(&shares[1]))
            }
            Kind::Weighted { weights, thresholds: [first, second] } => {
                let weights = joined(&mut weights.iter().map(ToString::to_string));
                write!(f, "weighted {weights} {first}/{second}")
            }
            Kind::Explicit([first, second]) => {
                let sizes = |sets: &[NodeSet]| {
                    let sizes = || sets.iter().map(|set| set.len());
                    match (sizes().min(), sizes().max()) {
                        (Some(least), Some(most)) if least < most => format!("{least}-{most}"),
                        (least, _) => least.unwrap_or(0).to_string(),
                    }
                };
                write!(f, "explicit {}/{}", sizes(first), sizes(second))
            }
            Kind::Wall(rows) => {
                write!(f, "wall {}", joined(&mut rows.iter().map(ToString::to_string)))
            }
            Kind::Tree(degree) => write!(f, "tree of {degree}"),
        }
    }
}

/// A system as a search asks it.
#[derive(Clone, Debug)]
pub struct System {
    /// In words.
    pub described: Described,
    /// Phase 1 and phase 2 over the replicas of a placement.
    pub tables: [Table; 2],
    /// The sizes of their smallest quorums.
    pub min_sizes: [usize; 2],
    /// The costs that are the same for every placement; the rest is zero.
    pub costs: Costs,
}

impl System {
    /// The system over replicas of which these sets are regions.
    pub fn new(described: Described, tables: [Table; 2], regions: &[NodeSet]) -> Self {
        let n = described.order.len();
        let alone: Vec<NodeSet> = NodeSet::all(n).iter().map(NodeSet::only).collect();
        let mut costs = [0; Objective::ALL.len()];
        let resilience = [
            (Objective::Phase1Nodes, tables[0].survives(n, &alone)),
            (Objective::Phase2Nodes, tables[1].survives(n, &alone)),
            (Objective::Phase1Regions, tables[0].survives(n, regions)),
            (Objective::Phase2Regions, tables[1].survives(n, regions)),
        ];
        for (objective, survived) in resilience {
            costs[objective.place()] = objective.cost(survived as f64);
        }
        let min_sizes = [0, 1].map(|phase| tables[phase].min_size(n));
        Self { described, tables, min_sizes, costs }
    }

    /// The load of phase 2; `None` if the linear programme fails.
    ///
    /// It does not depend on the order of the replicas.
    pub fn load(&self) -> Option<f64> {
        let n = self.described.order.len();
        let family = match &self.tables[1] {
            Table::Count(size) => return Some(*size as f64 / n as f64),
            Table::Bits(_) => Family::of_sets(self.tables[1].minimal(n)),
        };
        Load::new(&family, n).map(|found| found.load)
    }
}

/// The table of a family whose acceptors are the replicas in this order.
pub fn table_in_order(family: &Family, order: &[u8]) -> Table {
    if let Some(size) = family.threshold() {
        return Table::Count(size);
    }
    Table::new(order.len(), |nodes| {
        let is_in = |acceptor: &u8| nodes.contains(NodeId(order[usize::from(*acceptor)]));
        let acceptors = 0..u8::try_from(order.len()).expect("at most nine replicas");
        family.contains(acceptors.filter(is_in).map(NodeId).collect())
    })
}
