//! Acceptors by number, and sets of them as bits of a word.

use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

/// A replica of one deployment: 0 to 63.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NodeId(pub u8);

/// As a number of a width that nothing else has, so that a hasher can tell replicas from other numbers.
impl Hash for NodeId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_i8(self.0.cast_signed());
    }
}

/// A set of at most 64 replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NodeSet(u64);

/// As a number of a width that nothing else has, as with a [`NodeId`].
impl Hash for NodeSet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_i64(self.0.cast_signed());
    }
}

impl NodeSet {
    /// How many replicas a set can hold.
    pub const CAPACITY: usize = 64;

    /// The empty set.
    pub const EMPTY: Self = Self(0);

    /// The replicas 0 to `n - 1`.
    pub fn all(n: usize) -> Self {
        assert!(n <= Self::CAPACITY, "a deployment of {n} replicas; at most 64 are supported");
        if n == Self::CAPACITY { Self(u64::MAX) } else { Self((1 << n) - 1) }
    }

    /// The set whose members are the one bits of `mask`.
    pub const fn from_mask(mask: u64) -> Self {
        Self(mask)
    }

    /// The members as the one bits of a word.
    pub const fn mask(self) -> u64 {
        self.0
    }

    /// The set of one node.
    pub const fn only(node: NodeId) -> Self {
        Self(1 << node.0)
    }

    /// Whether `node` is a member.
    pub const fn contains(self, node: NodeId) -> bool {
        self.0 >> node.0 & 1 == 1
    }

    /// Adds `node`; true if it was not yet a member.
    pub const fn insert(&mut self, node: NodeId) -> bool {
        let was = self.contains(node);
        self.0 |= 1 << node.0;
        !was
    }

    /// This set and `node`.
    #[must_use]
    pub const fn with(self, node: NodeId) -> Self {
        Self(self.0 | 1 << node.0)
    }

    /// This set without `node`.
    #[must_use]
    pub const fn without(self, node: NodeId) -> Self {
        Self(self.0 & !(1 << node.0))
    }

    /// The members of either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The members of both sets.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The members of this set that are not in `other`.
    #[must_use]
    pub const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether every member of this set is in `other`.
    pub const fn is_subset(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Whether there is no member.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The number of members.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// The members in ascending order.
    pub fn iter(self) -> impl Iterator<Item = NodeId> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            if rest == 0 {
                return None;
            }
            let node = u8::try_from(rest.trailing_zeros()).expect("a word has 64 bits");
            rest &= rest - 1;
            Some(NodeId(node))
        })
    }
}

impl FromIterator<NodeId> for NodeSet {
    fn from_iter<I: IntoIterator<Item = NodeId>>(nodes: I) -> Self {
        nodes.into_iter().fold(Self::EMPTY, Self::with)
    }
}

/// `r3`.
impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}

/// `{0, 3}`.
impl fmt::Display for NodeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, node) in self.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{}", node.0)?;
        }
        f.write_str("}")
    }
}
