//! The quorum systems of the literature, each as a pair of gates.

use super::layout::{columns as columns_of, rows as rows_of};
use super::{Error, Family, Gate, Layout, NodeId, NodeSet, QuorumSystem, majority};

/// What a quorum of a grid is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// A whole row.
    Row,
    /// A whole column.
    Column,
    /// At least one acceptor of each row.
    OneOfEachRow,
    /// At least one acceptor of each column.
    OneOfEachColumn,
}

/// So many groups, each with so many of its members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// The number of groups; a majority of them if absent.
    pub groups: Option<usize>,
    /// The number of members within each; a majority of each if absent.
    pub members: Option<usize>,
}

impl QuorumSystem {
    /// A grid of rows, one after the other (Cheung, Ammar and Ahamad 1992): a line of it for each phase.
    ///
    /// # Errors
    /// If `rows` times `columns` is not `n`.
    pub fn grid(n: usize, [rows, columns]: [usize; 2], phases: [Line; 2]) -> Result<Self, Error> {
        if rows.checked_mul(columns) != Some(n) {
            return Err(Error::Grid { rows, columns, n });
        }
        let of = |line: Line| Family::of_gate(line.gate(n, columns), n);
        Self::described(n, phases.map(of), Layout::Grid { columns })
    }

    /// A threshold of groups with a threshold of their members: hierarchical majorities (Kumar 1991), the
    /// zones of `WPaxos` (Ailijiang et al. 2017), a majority in each of some regions.
    ///
    /// It is safe if the groups of both phases are more than there are, and the members of both phases
    /// more than each group has.
    ///
    /// # Errors
    /// If there is no group, a group is empty or shares a replica with another one, or a number is not one of
    /// its groups or members.
    pub fn groups(n: usize, groups: &[NodeSet], phases: [Share; 2]) -> Result<Self, Error> {
        check_groups(n, groups)?;
        let family = |(phase, share): (&'static str, Share)| {
            let count = share.groups.unwrap_or_else(|| majority(groups.len()));
            if !(1..=groups.len()).contains(&count) {
                return Err(Error::Groups { phase, count, of: groups.len() });
            }
            let part = |(index, group): (usize, &NodeSet)| {
                let members = share.members.unwrap_or_else(|| majority(group.len()));
                if !(1..=group.len()).contains(&members) {
                    let (group, of) = (index + 1, group.len());
                    return Err(Error::GroupMembers { phase, members, group, of });
                }
                Ok(Gate::choose(members as u64, *group))
            };
            let parts: Vec<Gate> = groups.iter().enumerate().map(part).collect::<Result<_, _>>()?;
            Ok(Family::of_gate(Gate::of(count as u64, parts), n))
        };
        let [first, second] = phases;
        let families = [family(("phase1", first))?, family(("phase2", second))?];
        Self::described(n, families, Layout::Groups(groups.to_vec()))
    }

    /// A weight for each acceptor, and for each phase the weight that a quorum has at least (Gifford 1979).
    ///
    /// An acceptor of weight 0 is in no minimal quorum: it is listed and holds no vote.
    ///
    /// # Errors
    /// If there is not one weight for each acceptor, or a threshold is 0 or more than all of them weigh.
    pub fn weighted(weights: &[u32], thresholds: [u64; 2]) -> Result<Self, Error> {
        let n = weights.len();
        let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        for (phase, threshold) in ["phase1", "phase2"].into_iter().zip(thresholds) {
            if !(1..=total).contains(&threshold) {
                return Err(Error::Weight { phase, threshold, total });
            }
        }
        let of = |threshold| Family::of_gate(by_weight(threshold, NodeSet::all(n), weights), n);
        Self::described(n, thresholds.map(of), Layout::Weights(weights.to_vec()))
    }

    /// Hierarchical quorums with weights, as of `ZooKeeper`: more than half of the weight in more than half
    /// of the groups, where groups without weight do not count.
    ///
    /// # Errors
    /// As [`Self::groups`], and if no group has a weight or there is not one weight for each acceptor.
    pub fn hierarchical(groups: &[NodeSet], weights: &[u32]) -> Result<Self, Error> {
        let n = weights.len();
        check_groups(n, groups)?;
        let weight = |group: &NodeSet| -> u64 {
            group.iter().map(|node| u64::from(weights[usize::from(node.0)])).sum()
        };
        let voting: Vec<(&NodeSet, u64)> =
            groups.iter().map(|group| (group, weight(group))).filter(|(_, it)| *it > 0).collect();
        if voting.is_empty() {
            return Err(Error::NoWeight);
        }
        let more_than_half = |weight: u64| majority(usize::try_from(weight).unwrap_or(usize::MAX));
        let part = |(group, weight): &(&NodeSet, u64)| {
            by_weight(more_than_half(*weight) as u64, **group, weights)
        };
        let gate = Gate::of(majority(voting.len()) as u64, voting.iter().map(part));
        let family = Family::of_gate(gate, n);
        let layout = Layout::Hierarchy { groups: groups.to_vec(), weights: weights.to_vec() };
        Self::described(n, [family.clone(), family], layout)
    }

    /// A crumbling wall (Peleg and Wool 1997), for both phases: a whole row, and one acceptor of each row
    /// below it.
    ///
    /// # Errors
    /// If the rows are none, one of them is empty, or they are not `n` acceptors together.
    pub fn wall(n: usize, lengths: &[usize]) -> Result<Self, Error> {
        let total: usize = lengths.iter().sum();
        if lengths.contains(&0) || total != n || n == 0 {
            return Err(Error::Wall { total, n });
        }
        let mut first = 0;
        let mut rows = Vec::new();
        for length in lengths {
            let row: NodeSet = (first..first + length).map(node).collect();
            rows.push(row);
            first += length;
        }
        let from = |top: usize| {
            let below = rows[top + 1..].iter().map(|row| Gate::choose(1, *row));
            let whole = Gate::choose(rows[top].len() as u64, rows[top]);
            Gate::all(std::iter::once(whole).chain(below).collect())
        };
        let family = Family::of_gate(Gate::any((0..rows.len()).map(from).collect()), n);
        Self::described(n, [family.clone(), family], Layout::Wall(rows))
    }

    /// Tree quorums (Agrawal and El Abbadi 1991), for both phases: a root with the quorum of one subtree, or
    /// the quorums of all subtrees.
    ///
    /// # Errors
    /// If `n` acceptors are no tree in which every inner one has `degree` children.
    pub fn tree(n: usize, degree: usize) -> Result<Self, Error> {
        if degree < 2 || n % degree != 1 {
            return Err(Error::Tree { degree, n });
        }
        let family = Family::of_gate(subtree(0, n, degree), n);
        Self::described(n, [family.clone(), family], Layout::Tree { degree })
    }

    /// A phase-2 family with the largest phase-1 family that is safe: every set that meets all of it.
    ///
    /// # Errors
    /// If it is no family over `n` acceptors.
    pub fn dual(n: usize, phase2: Family) -> Result<Self, Error> {
        phase2.validate("phase2", n)?;
        Self::new(n, phase2.dual(n), phase2)
    }

    fn described(n: usize, [phase1, phase2]: [Family; 2], layout: Layout) -> Result<Self, Error> {
        Ok(Self { layout, ..Self::new(n, phase1, phase2)? })
    }
}

impl Line {
    fn gate(self, n: usize, columns: usize) -> Gate {
        let (rows, columns) = (rows_of(n, columns), columns_of(n, columns));
        let whole = |line: &NodeSet| Gate::choose(line.len() as u64, *line);
        let one = |line: &NodeSet| Gate::choose(1, *line);
        match self {
            Self::Row => Gate::any(rows.iter().map(whole).collect()),
            Self::Column => Gate::any(columns.iter().map(whole).collect()),
            Self::OneOfEachRow => Gate::all(rows.iter().map(one).collect()),
            Self::OneOfEachColumn => Gate::all(columns.iter().map(one).collect()),
        }
    }
}

fn by_weight(threshold: u64, members: NodeSet, weights: &[u32]) -> Gate {
    let weighing = members.iter().map(|node| (weights[usize::from(node.0)], Gate::node(node)));
    Gate::weighted(threshold, weighing.filter(|(weight, _)| *weight > 0))
}

/// A root weighs one less than its children together, which weigh one each: with one of them it is enough,
/// and so are all of them.
fn subtree(root: usize, n: usize, degree: usize) -> Gate {
    let children = (degree * root + 1)..=(degree * root + degree);
    let own = Gate::node(node(root));
    if *children.end() >= n {
        return own;
    }
    let below = children.map(|child| (1, subtree(child, n, degree)));
    let weight = u32::try_from(degree - 1).expect("at most 64 children");
    Gate::weighted(degree as u64, std::iter::once((weight, own)).chain(below))
}

fn check_groups(n: usize, groups: &[NodeSet]) -> Result<(), Error> {
    if groups.is_empty() {
        return Err(Error::NoGroup);
    }
    let mut met = NodeSet::EMPTY;
    for (index, group) in groups.iter().enumerate() {
        if group.is_empty() {
            return Err(Error::EmptyGroup { group: index + 1 });
        }
        if let Some(node) = group.difference(NodeSet::all(n)).iter().next() {
            return Err(Error::Member { phase: "a group", node: usize::from(node.0), n });
        }
        if let Some(node) = group.intersection(met).iter().next() {
            return Err(Error::TwoGroups { node: usize::from(node.0), group: index + 1 });
        }
        met = met.union(*group);
    }
    Ok(())
}

fn node(index: usize) -> NodeId {
    NodeId(u8::try_from(index).expect("a deployment has at most 64 replicas"))
}
