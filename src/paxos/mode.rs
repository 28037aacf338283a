//! Which proposer runs.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::quorum::{Family, NodeId, QuorumSystem};
use crate::time::Span;

/// Which proposer runs, and how reads are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Mode {
    /// Classic Paxos: every write runs both phases for one slot; any replica may propose.
    Classic,
    /// Multi-Paxos: this replica runs phase 1 once over all slots, then one round trip a write.
    Multi {
        /// The replica that campaigns when it starts.
        leader: NodeId,
        /// How it reads.
        reads: Reads,
    },
}

/// How Multi-Paxos answers reads.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Reads {
    /// Through the log: a read takes a slot as a write does.
    #[default]
    Log,
    /// By any replica with a state machine, which asks a phase-1 quorum how far the log goes and executes so far
    /// (`reads.rs`).
    Quorum,
    /// By the leader alone, as long as a new leader would not have told anybody of anything (`multi/lease.rs`).
    LeaderLease(LeaseTerms),
}

/// What all replicas agree on about leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LeaseTerms {
    /// For so long after the stamp of an entry no later leader tells anybody anything.
    pub length: Span,
    /// No clock is off by more than this.
    pub bound: Span,
}

impl Reads {
    /// Every one; leases of a second, with clocks that are off by no more than a millisecond.
    pub const ALL: [Self; 3] = [
        Self::Log,
        Self::Quorum,
        Self::LeaderLease(LeaseTerms {
            length: Span::from_millis(1_000),
            bound: Span::from_millis(1),
        }),
    ];

    /// Whether a read is answered without a slot of its own.
    pub const fn are_beside_the_log(self) -> bool {
        !matches!(self, Self::Log)
    }
}

impl Mode {
    /// Multi-Paxos, led by this replica, with reads through the log.
    pub const fn multi(leader: NodeId) -> Self {
        Self::Multi { leader, reads: Reads::Log }
    }

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
            Self::Multi { leader, .. } => Some(leader),
        }
    }

    /// The replica that every client asks first; `None` where each asks the nearest one.
    pub const fn asked(self) -> Option<NodeId> {
        self.leader()
    }

    /// How reads are answered, where there is a choice.
    pub const fn reads(self) -> Reads {
        match self {
            Self::Classic => Reads::Log,
            Self::Multi { reads, .. } => reads,
        }
    }

    /// The same with every way of answering reads.
    pub fn with_all_reads(self) -> Vec<Self> {
        match self {
            Self::Classic => vec![self],
            Self::Multi { leader, .. } => {
                Reads::ALL.into_iter().map(|reads| Self::Multi { leader, reads }).collect()
            }
        }
    }

    /// The same with leases of these terms, where leaders hold one.
    #[must_use]
    pub const fn with_lease(self, length: Span, bound: Span) -> Self {
        match self {
            Self::Multi { leader, reads: Reads::LeaderLease(_) } => {
                Self::Multi { leader, reads: Reads::LeaderLease(LeaseTerms { length, bound }) }
            }
            other => other,
        }
    }

    /// What replicas are told of their clocks, where leaders hold leases: none is off by more.
    pub const fn clock_bound(self) -> Option<Span> {
        match self.reads() {
            Reads::LeaderLease(LeaseTerms { bound, .. }) => Some(bound),
            Reads::Log | Reads::Quorum => None,
        }
    }

    /// Whether a read is answered without a slot of its own.
    pub const fn reads_beside(self) -> bool {
        self.reads().are_beside_the_log()
    }

    /// Whether a client asks the nearest replica with a state machine for its reads, whomever it asks for its
    /// writes.
    pub fn reads_nearby(self) -> bool {
        self.reads() == Reads::Quorum
    }

    /// The quorums that answer each read, phase by phase.
    pub fn read_phases(self, quorums: &QuorumSystem) -> Vec<&Family> {
        match self.reads() {
            Reads::Log => self.phases(quorums),
            Reads::Quorum => vec![quorums.phase1()],
            Reads::LeaderLease(_) => Vec::new(),
        }
    }

    /// The quorums that answer each write, phase by phase: a leader ran phase 1 before.
    pub fn phases(self, quorums: &QuorumSystem) -> Vec<&Family> {
        match self {
            Self::Classic => vec![quorums.phase1(), quorums.phase2()],
            Self::Multi { .. } => vec![quorums.phase2()],
        }
    }
}

/// `classic Paxos`, `Multi-Paxos led by r0`, `Multi-Paxos led by r0 with quorum reads`.
impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Classic => f.write_str("classic Paxos"),
            Self::Multi { leader, reads: Reads::Log } => write!(f, "Multi-Paxos led by {leader}"),
            Self::Multi { leader, reads: Reads::Quorum } => {
                write!(f, "Multi-Paxos led by {leader} with quorum reads")
            }
            Self::Multi { leader, reads: Reads::LeaderLease(LeaseTerms { length, .. }) } => {
                write!(
                    f,
                    "Multi-Paxos led by {leader} with a lease of {} ms",
                    length.as_millis_f64()
                )
            }
        }
    }
}
