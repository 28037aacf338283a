//! The quorums of a variant, as typed.

use std::borrow::Cow;
use std::fmt;

use schemars::generate::SchemaGenerator;
use schemars::{JsonSchema, Schema, json_schema};
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use super::forms::Member;
use super::spanned::Spanned;

/// Which sets of replicas finish a phase.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Quorums {
    /// Any majority, in both phases.
    Majority {},
    /// Any set of that size.
    Counts {
        /// For phase 1.
        phase1: Spanned<usize>,
        /// For phase 2.
        phase2: Spanned<usize>,
    },
    /// For phase 2 any set of that size, or what an expression says; for phase 1 whatever meets all of
    /// those: the largest safe family.
    Dual {
        /// For phase 2.
        phase2: Spanned<Quorum>,
    },
    /// For phase 2, the set that the leader of a ballot announces; for phase 1, a majority that meets every
    /// set announced before.
    #[serde(rename = "per_ballot")]
    PerBallot {
        /// For phase 2.
        phase2: Spanned<Quorum>,
    },
    /// The sets listed, and what contains one of them.
    Explicit {
        /// For phase 1.
        phase1: Sets,
        /// For phase 2.
        phase2: Sets,
    },
    /// Replicas in rows, one row after the other, and lines of them.
    Grid {
        /// The number of rows.
        rows: Spanned<usize>,
        /// The length of each row.
        columns: Spanned<usize>,
        /// For phase 1.
        phase1: Spanned<Line>,
        /// For phase 2.
        phase2: Spanned<Line>,
    },
    /// So many groups, with so many members of each.
    Groups {
        /// The members of each group; the replicas of a region are one if absent.
        groups: Option<Sets>,
        /// For phase 1.
        phase1: Spanned<GroupCounts>,
        /// For phase 2.
        phase2: Spanned<GroupCounts>,
    },
    /// A weight for each replica, and what a quorum weighs at least.
    Weighted {
        /// The weights, in the order of the replicas; 0 holds no vote.
        weights: Spanned<Vec<u32>>,
        /// For phase 1.
        phase1: Spanned<u64>,
        /// For phase 2.
        phase2: Spanned<u64>,
    },
    /// In both phases, more than half of the weight in more than half of the groups (`ZooKeeper`).
    Hierarchical {
        /// The members of each group; the replicas of a region are one if absent.
        groups: Option<Sets>,
        /// The weights, in the order of the replicas; 1 each if absent.
        weights: Option<Spanned<Vec<u32>>>,
    },
    /// In both phases, a whole row of the wall and one replica of each row below it.
    Wall {
        /// The length of each row, the first on top.
        rows: Spanned<Vec<usize>>,
    },
    /// In both phases, the root of the tree with a quorum of one subtree, or quorums of all subtrees.
    Tree {
        /// How many children each inner replica has.
        degree: Spanned<usize>,
    },
    /// What an expression over replicas says: `*` is and, `+` is or, `choose(2, a, b, c)`.
    Expression {
        /// For phase 1.
        phase1: Spanned<String>,
        /// For phase 2.
        phase2: Spanned<String>,
    },
}

/// Sets of replicas.
pub type Sets = Spanned<Vec<Vec<Spanned<Member>>>>;

/// The line of a grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    /// A whole row.
    Row,
    /// A whole column.
    Column,
    /// One replica of each row.
    OneOfEachRow,
    /// One replica of each column.
    OneOfEachColumn,
}

/// So many groups, with so many members of each.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupCounts {
    /// The number of groups; a majority of them if absent.
    pub groups: Option<usize>,
    /// The number of members within each; a majority of each if absent.
    pub members: Option<usize>,
}

/// A family of quorums: any set of a size, or an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Quorum {
    /// Any set of this size.
    Size(usize),
    /// What this says.
    Expression(String),
}

impl<'de> Deserialize<'de> for Quorum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(QuorumVisitor)
    }
}

struct QuorumVisitor;

impl Visitor<'_> for QuorumVisitor {
    type Value = Quorum;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the size of a quorum, or an expression such as `\"choose(2, a, b, c)\"`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Quorum, E> {
        Ok(Quorum::Expression(text.to_owned()))
    }

    fn visit_i64<E: de::Error>(self, size: i64) -> Result<Quorum, E> {
        let invalid = |_| E::invalid_value(de::Unexpected::Signed(size), &self);
        usize::try_from(size).map(Quorum::Size).map_err(invalid)
    }
}

impl JsonSchema for Quorum {
    fn schema_name() -> Cow<'static, str> {
        "Quorum".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Any set of a size, or an expression: \"choose(2, a, b, c)\".",
            "anyOf": [{ "type": "integer", "minimum": 0 }, { "type": "string" }],
        })
    }
}
