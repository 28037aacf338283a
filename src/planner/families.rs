//! The quorum systems of a search: of each family every system of `n` replicas that differs.
//!
//! | family | systems | replicas |
//! |---|---|---|
//! | `majority` | one | any |
//! | `counts` | every size of phase 2, with the least safe size of phase 1 | any |
//! | `grid` | every shape, a row against a column or one of each row, in every arrangement | 9 |
//! | `groups` | the replicas of each region, or else every partition in groups of one size; every safe pair of thresholds that are as low as they can be | 9 |
//! | `weighted` | weights of 0 to 3, every threshold of phase 2, the least safe one of phase 1 | 6 |
//! | `explicit` | every phase 2 there is, with the largest phase 1 | 5 |
//! | `wall` | rows of every length, in every arrangement | 7 |
//! | `tree` | every degree, in every arrangement | 7 |
//!
//! A larger phase 1 than is safe has no better figure, so none is searched.
//! Two systems with the same quorums are one; the first family that has it names it.

use std::collections::BTreeSet;

use super::system::{Described, Kind, System, TABLE_REPLICAS_MAX, Table, table_in_order};
use crate::quorum::{Error as SystemError, Line, NodeId, NodeSet, QuorumSystem, Share, majority};

/// A family of quorum systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Majorities.
    Majority,
    /// By size.
    Counts,
    /// Lines of a grid.
    Grid,
    /// Thresholds of groups and of their members.
    Groups,
    /// Small weights.
    Weighted,
    /// Every system.
    Explicit,
    /// Crumbling walls.
    Wall,
    /// Trees.
    Tree,
}

/// Why the systems cannot be searched.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// More replicas than all systems of the family can be listed of.
    #[error("the family `{}` is searched up to {} replicas, and a placement has {n}", family.name(), family.replicas_max())]
    Replicas {
        /// Which.
        family: Family,
        /// How many replicas there are.
        n: usize,
    },
    /// No system at all.
    #[error("{n} replicas have no system of the family {names}")]
    None {
        /// The families.
        names: String,
        /// How many replicas there are.
        n: usize,
    },
    /// A system that cannot be made.
    #[error(transparent)]
    System(#[from] SystemError),
}

/// The greatest weight of a replica.
const WEIGHT_MAX: u32 = 3;

impl Family {
    /// All of them, the simplest first.
    pub const ALL: [Self; 8] = [
        Self::Majority,
        Self::Counts,
        Self::Grid,
        Self::Groups,
        Self::Wall,
        Self::Tree,
        Self::Weighted,
        Self::Explicit,
    ];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Majority => "majority",
            Self::Counts => "counts",
            Self::Grid => "grid",
            Self::Groups => "groups",
            Self::Weighted => "weighted",
            Self::Explicit => "explicit",
            Self::Wall => "wall",
            Self::Tree => "tree",
        }
    }

    /// The most replicas of which all systems are listed.
    pub const fn replicas_max(self) -> usize {
        match self {
            Self::Majority | Self::Counts => NodeSet::CAPACITY,
            Self::Grid | Self::Groups => TABLE_REPLICAS_MAX,
            Self::Weighted => 6,
            Self::Explicit => 5,
            Self::Wall | Self::Tree => 7,
        }
    }
}

/// The systems of these families over replicas of which these sets are the regions.
pub fn systems(families: &[Family], regions: &[NodeSet]) -> Result<Vec<System>, Error> {
    let n = regions.iter().map(|region| region.len()).sum();
    let mut list = List { n, seen: BTreeSet::new(), systems: Vec::new(), regions };
    for family in Family::ALL.into_iter().filter(|family| families.contains(family)) {
        if n > family.replicas_max() {
            return Err(Error::Replicas { family, n });
        }
        match family {
            Family::Majority => list.count(Kind::Majority, [majority(n), majority(n)]),
            Family::Counts => {
                for phase2 in 1..=n {
                    let sizes = [n + 1 - phase2, phase2];
                    list.count(Kind::Counts(sizes), sizes);
                }
            }
            Family::Grid => list.grids()?,
            Family::Groups => list.groups()?,
            Family::Weighted => list.weighted(),
            Family::Explicit => list.explicit(),
            Family::Wall => list.walls()?,
            Family::Tree => list.trees()?,
        }
    }
    if list.systems.is_empty() {
        let names: Vec<&str> = families.iter().map(|family| family.name()).collect();
        return Err(Error::None { names: names.join(", "), n });
    }
    Ok(list.systems)
}

struct List<'a> {
    n: usize,
    seen: BTreeSet<[Table; 2]>,
    systems: Vec<System>,
    regions: &'a [NodeSet],
}

impl List<'_> {
    fn add(&mut self, kind: Kind, order: Vec<u8>, tables: [Table; 2]) {
        if self.seen.insert(tables.map(|table| self.by_size(table))) {
            let described = Described { kind, order };
            self.systems.push(System::new(described, tables, self.regions));
        }
    }

    /// The table in the one form in which it is compared with others.
    fn by_size(&self, table: Table) -> Table {
        match table {
            Table::Count(_) => table,
            Table::Bits(_) => {
                let count = Table::Count(table.min_size(self.n));
                let is_count = Table::new(self.n, |nodes| count.contains(nodes)) == table;
                if is_count { count } else { table }
            }
        }
    }

    fn count(&mut self, kind: Kind, sizes: [usize; 2]) {
        self.add(kind, in_order(self.n), sizes.map(Table::Count));
    }

    fn described(&mut self, kind: Kind, order: Vec<u8>, system: &QuorumSystem) {
        let tables =
            [system.phase1(), system.phase2()].map(|family| table_in_order(family, &order));
        self.add(kind, order, tables);
    }

    fn grids(&mut self) -> Result<(), SystemError> {
        let n = self.n;
        let lines = [
            [Line::Row, Line::Column],
            [Line::Row, Line::OneOfEachRow],
            [Line::OneOfEachRow, Line::Row],
        ];
        for rows in (2..n).filter(|rows| n.is_multiple_of(*rows)) {
            let shape = [rows, n / rows];
            for lines in lines {
                let system = QuorumSystem::grid(n, shape, lines)?;
                let kind = Kind::Grid { shape, lines };
                for partition in partitions(NodeSet::all(n), n / rows) {
                    // Of rows against one of each row, the order within a row says nothing.
                    let is_by_column = lines.contains(&Line::Column);
                    let orders = if is_by_column {
                        arrangements(&partition)
                    } else {
                        vec![joined(&partition)]
                    };
                    for order in orders {
                        self.described(kind.clone(), order, &system);
                    }
                }
            }
        }
        Ok(())
    }

    fn groups(&mut self) -> Result<(), SystemError> {
        let n = self.n;
        if self.regions.iter().any(|region| region.len() > 1) {
            return self.groups_of(self.regions);
        }
        for size in (2..n).filter(|size| n.is_multiple_of(*size)) {
            for partition in partitions(NodeSet::all(n), size) {
                self.groups_of(&partition)?;
            }
        }
        Ok(())
    }

    fn groups_of(&mut self, groups: &[NodeSet]) -> Result<(), SystemError> {
        let (count, size) = (groups.len(), groups[0].len());
        let is_even = groups.iter().all(|group| group.len() == size);
        // Of groups that are not alike, each takes a majority of its own.
        let members: Vec<[Option<usize>; 2]> = if is_even {
            (1..=size).map(|members| [Some(size + 1 - members), Some(members)]).collect()
        } else {
            vec![[None, None]]
        };
        for of in 1..=count {
            for members in &members {
                let share = |groups: usize, members| Share { groups: Some(groups), members };
                let shares = [share(count + 1 - of, members[0]), share(of, members[1])];
                let system = QuorumSystem::groups(self.n, groups, shares)?;
                let kind = Kind::Groups { groups: groups.to_vec(), shares };
                self.described(kind, in_order(self.n), &system);
            }
        }
        Ok(())
    }

    fn weighted(&mut self) {
        let n = self.n;
        let mut weights = vec![0_u32; n];
        while next(&mut weights, WEIGHT_MAX) {
            let weigh = |nodes: NodeSet| -> u64 {
                nodes.iter().map(|node| u64::from(weights[usize::from(node.0)])).sum()
            };
            let total = weigh(NodeSet::all(n));
            for phase2 in 1..=total {
                let thresholds = [total + 1 - phase2, phase2];
                let tables = thresholds.map(|least| Table::new(n, |nodes| weigh(nodes) >= least));
                let kind = Kind::Weighted { weights: weights.clone(), thresholds };
                self.add(kind, in_order(n), tables);
            }
        }
    }

    fn explicit(&mut self) {
        let n = self.n;
        for mask in monotone(n) {
            let phase2 = Table::new(n, |nodes| mask >> nodes.mask() & 1 == 1);
            // A phase that needs nobody, or that nobody can end, is none.
            if phase2.contains(NodeSet::EMPTY) || !phase2.contains(NodeSet::all(n)) {
                continue;
            }
            let tables = [phase2.dual(n), phase2];
            let kind = Kind::Explicit(tables.map(|table| table.minimal(n)));
            self.add(kind, in_order(n), tables);
        }
    }

    fn walls(&mut self) -> Result<(), SystemError> {
        let n = self.n;
        for lengths in compositions(n) {
            let system = QuorumSystem::wall(n, &lengths)?;
            for order in rows_of(NodeSet::all(n), &lengths) {
                self.described(Kind::Wall(lengths.clone()), order, &system);
            }
        }
        Ok(())
    }

    fn trees(&mut self) -> Result<(), SystemError> {
        let n = self.n;
        for degree in (2..n).filter(|degree| n % degree == 1) {
            let system = QuorumSystem::tree(n, degree)?;
            for order in permutations(&NodeSet::all(n).iter().collect::<Vec<_>>()) {
                self.described(Kind::Tree(degree), numbers(&order), &system);
            }
        }
        Ok(())
    }
}

fn numbers(nodes: &[NodeId]) -> Vec<u8> {
    nodes.iter().map(|node| node.0).collect()
}

fn in_order(n: usize) -> Vec<u8> {
    numbers(&NodeSet::all(n).iter().collect::<Vec<_>>())
}

fn joined(rows: &[NodeSet]) -> Vec<u8> {
    rows.iter().flat_map(|row| row.iter().map(|node| node.0)).collect()
}

/// The subsets of so many members.
fn subsets(of: NodeSet, size: usize) -> Vec<NodeSet> {
    if size == 0 {
        return vec![NodeSet::EMPTY];
    }
    let Some(first) = of.iter().next() else { return Vec::new() };
    let rest = of.without(first);
    let with = subsets(rest, size - 1).into_iter().map(|set| set.with(first));
    with.chain(subsets(rest, size)).collect()
}

/// The partitions in sets of so many, which divides the number of members.
fn partitions(of: NodeSet, size: usize) -> Vec<Vec<NodeSet>> {
    let Some(first) = of.iter().next() else { return vec![Vec::new()] };
    let with_first = subsets(of.without(first), size - 1).into_iter();
    with_first
        .flat_map(|rest| {
            let set = rest.with(first);
            let others = partitions(of.difference(set), size).into_iter();
            others.map(move |others| [vec![set], others].concat())
        })
        .collect()
}

/// The orders of the members of rows in which the columns differ: the first row stays as it is.
fn arrangements(rows: &[NodeSet]) -> Vec<Vec<u8>> {
    let mut orders: Vec<Vec<u8>> = vec![Vec::new()];
    for (number, row) in rows.iter().enumerate() {
        let members: Vec<NodeId> = row.iter().collect();
        let of_row = if number == 0 { vec![members] } else { permutations(&members) };
        orders = orders
            .iter()
            .flat_map(|order| of_row.iter().map(move |row| [order.clone(), numbers(row)].concat()))
            .collect();
    }
    orders
}

fn permutations(members: &[NodeId]) -> Vec<Vec<NodeId>> {
    if members.is_empty() {
        return vec![Vec::new()];
    }
    (0..members.len())
        .flat_map(|first| {
            let mut rest = members.to_vec();
            let first = rest.remove(first);
            permutations(&rest).into_iter().map(move |rest| [vec![first], rest].concat())
        })
        .collect()
}

/// The lists of positive numbers with this sum, of two at least.
fn compositions(n: usize) -> Vec<Vec<usize>> {
    fn of(n: usize) -> Vec<Vec<usize>> {
        if n == 0 {
            return vec![Vec::new()];
        }
        let after =
            |first: usize| of(n - first).into_iter().map(move |it| [vec![first], it].concat());
        (1..=n).flat_map(after).collect()
    }
    of(n).into_iter().filter(|lengths| lengths.len() > 1).collect()
}

/// The ways to fill rows of these lengths, without regard to the order within a row.
fn rows_of(left: NodeSet, lengths: &[usize]) -> Vec<Vec<u8>> {
    let Some((length, rest)) = lengths.split_first() else { return vec![Vec::new()] };
    let rows = subsets(left, *length).into_iter();
    rows.flat_map(|row| {
        let below = rows_of(left.difference(row), rest).into_iter();
        below.map(move |below| [joined(&[row]), below].concat())
    })
    .collect()
}

/// Counts up in a system of digits from 0 to `most`; false after the last.
fn next(digits: &mut [u32], most: u32) -> bool {
    for digit in digits {
        if *digit < most {
            *digit += 1;
            return true;
        }
        *digit = 0;
    }
    false
}

/// The monotone functions of `n` variables, as the mask of the sets for which they are true: each is one
/// without the last variable, and a larger or equal one with it (Dedekind 1897).
fn monotone(n: usize) -> Vec<u64> {
    if n == 0 {
        return vec![0, 1];
    }
    let fewer = monotone(n - 1);
    let width = 1_u32 << (n - 1);
    let above = |without: u64| {
        let larger = fewer.iter().filter(move |with| without & !**with == 0);
        larger.map(move |with| with << width | without)
    };
    fewer.iter().flat_map(|without| above(*without)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alone(n: usize) -> Vec<NodeSet> {
        NodeSet::all(n).iter().map(NodeSet::only).collect()
    }

    /// The numbers of Dedekind: all monotone functions.
    #[test]
    fn monotone_functions_are_as_many_as_dedekind_says() {
        let counts: Vec<usize> = (0..=5).map(|n| monotone(n).len()).collect();
        assert_eq!(counts, [2, 3, 6, 20, 168, 7581]);
        // Without the two constant ones, and each named by the first family that has it.
        assert_eq!(systems(&[Family::Explicit], &alone(4)).unwrap().len(), 166);
        let all = systems(&Family::ALL, &alone(4)).unwrap();
        let duals = all.iter().filter(|it| it.tables[0] == it.tables[1].dual(4)).count();
        assert!(duals < all.len() && all.len() - duals < 40, "{duals} of {}", all.len());
    }

    #[test]
    fn each_family_has_as_many_systems_as_arrangements() {
        let count = |family, n| systems(&[family], &alone(n)).unwrap().len();
        assert_eq!(count(Family::Majority, 5), 1);
        assert_eq!(count(Family::Counts, 5), 5);
        // Two rows of three: ten partitions, for columns times six. Three rows of two: 15, and 15 times four.
        assert_eq!(count(Family::Grid, 6), (60 + 10 + 10) + (60 + 15 + 15));
        // Ten partitions in two groups of three with 2 x 3 thresholds, 15 in three of two with 3 x 2; one
        // member of one group is any replica, and all of all are all, whatever the partition.
        assert_eq!(count(Family::Groups, 6), 10 * 4 + 15 * 4 + 2);
        assert_eq!(compositions(4).len(), 7);
        assert_eq!(count(Family::Tree, 3), 3 - 2);
    }

    /// A table is another way to say what the families of the library say.
    #[test]
    fn tables_are_those_of_the_described_systems() {
        for n in [3, 4, 5, 6] {
            let families: Vec<Family> = Family::ALL
                .into_iter()
                .filter(|family| n < 5 || *family < Family::Weighted)
                .collect();
            for system in systems(&families, &alone(n)).unwrap() {
                let described = system.described.system().unwrap();
                let name = system.described.to_string();
                assert_eq!(described.disjoint(), None, "{name}");
                let phases = [described.phase1(), described.phase2()];
                for (family, table) in phases.into_iter().zip(&system.tables) {
                    for mask in 0..1_u64 << n {
                        let nodes = NodeSet::from_mask(mask);
                        let order = system.described.order.iter().zip(0_u8..);
                        let acceptors = order.filter(|(node, _)| nodes.contains(NodeId(**node)));
                        let acceptors: NodeSet = acceptors.map(|(_, it)| NodeId(it)).collect();
                        assert_eq!(table.contains(nodes), family.contains(acceptors), "{name}");
                    }
                }
            }
        }
    }

    #[test]
    fn too_many_replicas_are_refused_by_family() {
        let refused = systems(&[Family::Explicit], &alone(6)).unwrap_err().to_string();
        assert!(refused.contains("`explicit` is searched up to 5 replicas"), "{refused}");
        let trees = systems(&[Family::Tree], &alone(4)).map(|found| found.len());
        assert_eq!(trees.unwrap(), 4, "a root with three children");
        let none = systems(&[Family::Grid], &alone(5)).unwrap_err().to_string();
        assert!(none.contains("no system of the family grid"), "{none}");
    }
}
