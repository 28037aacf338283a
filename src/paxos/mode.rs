//! Which proposer runs.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::quorum::{Family, NodeId, QuorumSystem};

/// Which proposer runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Mode {
    /// Classic Paxos: every write runs both phases for one slot; any replica may propose.
    Classic,
    /// Multi-Paxos: this replica runs phase 1 once over all slots, then one round trip a write.
    Multi {
        /// The replica that campaigns when it starts.
        leader: NodeId,
    },
}

impl Mode {
    /// The name in experiment files and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Multi { .. } => "multi",
        }
    }

    /// The replica that campaigns when it starts; `None` where no replica leads.
    pub const fn leader(self) -> Option<NodeId> {
        match self {
            Self::Classic => None,
            Self::Multi { leader } => Some(leader),
        }
    }

    /// The replica that every client asks first; `None` where each asks the nearest one.
    pub const fn asked(self) -> Option<NodeId> {
        self.leader()
    }

    /// The quorums that answer each write, phase by phase: a leader ran phase 1 before.
    pub fn phases(self, quorums: &QuorumSystem) -> Vec<&Family> {
        match self {
            Self::Classic => vec![quorums.phase1(), quorums.phase2()],
            Self::Multi { .. } => vec![quorums.phase2()],
        }
    }
}

/// `classic Paxos`, `Multi-Paxos led by r0`.
impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Classic => f.write_str("classic Paxos"),
            Self::Multi { leader } => write!(f, "Multi-Paxos led by {leader}"),
        }
    }
}
