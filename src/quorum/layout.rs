//! How a system was described: the rows, groups and weights in which its quorums are named and drawn.
//!
//! It decides nothing: whether a set is a quorum is the families' alone.

use serde::{Deserialize, Serialize};

use super::{NodeId, NodeSet};

/// The words for the acceptors of a system.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Layout {
    /// Acceptors and nothing else.
    #[default]
    Plain,
    /// Rows of this many, one after the other.
    Grid {
        /// The length of a row.
        columns: usize,
    },
    /// Groups of equals.
    Groups(Vec<NodeSet>),
    /// Groups in which each acceptor has a weight.
    Hierarchy {
        /// The groups.
        groups: Vec<NodeSet>,
        /// The weight of each acceptor.
        weights: Vec<u32>,
    },
    /// A weight for each acceptor.
    Weights(Vec<u32>),
    /// Rows of any length, the first on top.
    Wall(Vec<NodeSet>),
    /// A complete tree in which acceptor i has the children `degree`·i + 1 and following.
    Tree {
        /// How many children those have that have any.
        degree: usize,
    },
}

impl Layout {
    /// What a group of acceptors is called, and who is in each; none where there are no groups.
    pub fn groups(&self, n: usize) -> (&'static str, Vec<NodeSet>) {
        match self {
            Self::Plain | Self::Weights(_) | Self::Tree { .. } => ("", Vec::new()),
            Self::Grid { columns } => ("row", rows(n, *columns)),
            Self::Wall(rows) => ("row", rows.clone()),
            Self::Groups(groups) | Self::Hierarchy { groups, .. } => ("group", groups.clone()),
        }
    }

    /// The weight of an acceptor, where each has one.
    pub fn weight(&self, node: NodeId) -> Option<u32> {
        match self {
            Self::Weights(weights) | Self::Hierarchy { weights, .. } => {
                weights.get(usize::from(node.0)).copied()
            }
            _ => None,
        }
    }

    /// A set of acceptors in the words of the system; `name` says what an acceptor is called.
    ///
    /// `row 2 {d, e, f}`, `2 of group 1 {a, b}, 2 of group 3 {g, h}`, `{a (3), b (2)} of weight 5`.
    pub fn describe(&self, n: usize, set: NodeSet, name: &dyn Fn(NodeId) -> String) -> String {
        let member = |node| match self.weight(node) {
            Some(weight) => format!("{} ({weight})", name(node)),
            None => name(node),
        };
        let braces =
            |set: NodeSet| format!("{{{}}}", set.iter().map(member).collect::<Vec<_>>().join(", "));
        if let Self::Grid { columns } = self
            && let Some(line) = line(n, *columns, set)
        {
            return format!("{line} {}", braces(set));
        }
        if let Self::Weights(weights) = self {
            let weight: u64 = set.iter().map(|node| u64::from(weights[usize::from(node.0)])).sum();
            return format!("{} of weight {weight}", braces(set));
        }
        let (word, groups) = self.groups(n);
        let in_words = |(index, group): (usize, &NodeSet)| {
            let within = set.intersection(*group);
            let (number, count) = (index + 1, within.len());
            match count {
                0 => None,
                _ if within == *group => Some(format!("{word} {number} {}", braces(within))),
                _ => Some(format!("{count} of {word} {number} {}", braces(within))),
            }
        };
        let named: Vec<String> = groups.iter().enumerate().filter_map(in_words).collect();
        if named.is_empty() { braces(set) } else { named.join(", ") }
    }
}

/// The rows of a grid.
pub(super) fn rows(n: usize, columns: usize) -> Vec<NodeSet> {
    lines(n, |node| node / columns)
}

/// The columns of a grid.
pub(super) fn columns(n: usize, columns: usize) -> Vec<NodeSet> {
    lines(n, |node| node % columns)
}

fn lines(n: usize, line: impl Fn(usize) -> usize) -> Vec<NodeSet> {
    let count = (0..n).map(&line).max().map_or(0, |last| last + 1);
    let mut lines = vec![NodeSet::EMPTY; count];
    for node in NodeSet::all(n).iter() {
        lines[line(usize::from(node.0))].insert(node);
    }
    lines
}

/// What a set of a grid is called, if it is a line of it, or has one acceptor of each.
fn line(n: usize, width: usize, set: NodeSet) -> Option<String> {
    let all = [("row", rows(n, width)), ("column", columns(n, width))];
    let whole = all.iter().find_map(|(word, lines)| {
        let index = lines.iter().position(|line| *line == set)?;
        Some(format!("{word} {}", index + 1))
    });
    let is_one_of_each = |lines: &[NodeSet]| {
        lines.len() > 1 && lines.iter().all(|line| line.intersection(set).len() == 1)
    };
    whole.or_else(|| {
        let (word, _) = all.iter().find(|(_, lines)| is_one_of_each(lines))?;
        Some(format!("one of each {word}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(layout: &Layout, n: usize, mask: u64) -> String {
        layout.describe(n, NodeSet::from_mask(mask), &|node| node.to_string())
    }

    #[test]
    fn sets_are_named_in_the_words_of_their_system() {
        let grid = Layout::Grid { columns: 3 };
        assert_eq!(words(&grid, 6, 0b111_000), "row 2 {r3, r4, r5}");
        assert_eq!(words(&grid, 6, 0b001_001), "column 1 {r0, r3}");
        assert_eq!(words(&grid, 6, 0b010_001), "one of each row {r0, r4}");
        assert_eq!(words(&grid, 6, 0b010_011), "2 of row 1 {r0, r1}, 1 of row 2 {r4}");
        let groups = Layout::Groups(rows(6, 3));
        assert_eq!(words(&groups, 6, 0b111_011), "2 of group 1 {r0, r1}, group 2 {r3, r4, r5}");
        let weights = Layout::Weights(vec![3, 2, 1]);
        assert_eq!(words(&weights, 3, 0b101), "{r0 (3), r2 (1)} of weight 4");
        let tree = Layout::Tree { degree: 2 };
        assert_eq!(words(&tree, 3, 0b011), "{r0, r1}");
    }
}
