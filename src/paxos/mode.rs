//! Which proposer runs.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::protocol::{Assignment, SnapshotTerms};
use crate::quorum::{Family, NodeId, NodeSet, QuorumSystem};
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
        /// A leader tells a client of a write only when its clock surely passed the stamp of the entry
        /// (`commit_wait.rs`); no clock is off by more than this.
        commit_wait: Option<Span>,
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
    /// By each replica of a roster alone, without whose vote no write is told (`multi/responders.rs`).
    Responders(ResponderTerms),
    /// By any replica with a state machine, from its own state at a time that lies a given staleness in the past
    /// (`snapshot_reads.rs`).
    Snapshot(SnapshotTerms),
}

/// What all replicas agree on about responders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ResponderTerms {
    /// Who responds to reads of which key, as long as its leader hears of it; all of them vote and keep a state machine.
    pub at: Assignment,
    /// So long after its stamp a grant lasts.
    pub length: Span,
    /// No clock is off by more than this.
    pub bound: Span,
}

/// Entries that are proposed faster than a clock counts have stamps a nanosecond apart, ahead of the clock: by this
/// at most, with a million of them in a row.
const AHEAD_OF_CLOCK: Span = Span::from_millis(1);

/// What all replicas agree on about leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LeaseTerms {
    /// For so long after the stamp of an entry no later leader tells anybody anything.
    pub length: Span,
    /// No clock is off by more than this.
    pub bound: Span,
}

impl Reads {
    /// Every one that is linearizable, where this replica leads: leases of a second, with clocks that are off by no
    /// more than a millisecond, and the leader as the only responder.
    pub const fn all(leader: NodeId) -> [Self; 4] {
        let (length, bound) = (Span::from_millis(1_000), Span::from_millis(1));
        let at = Assignment::AllKeys(NodeSet::only(leader));
        [
            Self::Log,
            Self::Quorum,
            Self::LeaderLease(LeaseTerms { length, bound }),
            Self::Responders(ResponderTerms { at, length, bound }),
        ]
    }

    /// The terms of snapshot reads.
    pub const fn snapshot(self) -> Option<SnapshotTerms> {
        match self {
            Self::Snapshot(terms) => Some(terms),
            _ => None,
        }
    }

    /// Whether a read is answered without a slot of its own.
    pub const fn are_beside_the_log(self) -> bool {
        !matches!(self, Self::Log)
    }
}

impl Mode {
    /// Multi-Paxos, led by this replica, with reads through the log.
    pub const fn multi(leader: NodeId) -> Self {
        Self::Multi { leader, reads: Reads::Log, commit_wait: None }
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

    /// The same with another leader, where one leads.
    #[must_use]
    pub const fn led_by(self, leader: NodeId) -> Self {
        match self {
            Self::Classic => self,
            Self::Multi { reads, commit_wait, .. } => Self::Multi { leader, reads, commit_wait },
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
            Self::Multi { leader, commit_wait, .. } => {
                let with = |reads| Self::Multi { leader, reads, commit_wait };
                Reads::all(leader).into_iter().map(with).collect()
            }
        }
    }

    /// The same with leases of these terms, where anybody holds one.
    #[must_use]
    pub const fn with_lease(self, length: Span, bound: Span) -> Self {
        match self {
            Self::Multi { leader, reads: Reads::LeaderLease(_), commit_wait } => Self::Multi {
                leader,
                reads: Reads::LeaderLease(LeaseTerms { length, bound }),
                commit_wait,
            },
            Self::Multi { leader, reads: Reads::Responders(terms), commit_wait } => Self::Multi {
                leader,
                reads: Reads::Responders(ResponderTerms { length, bound, ..terms }),
                commit_wait,
            },
            other => other,
        }
    }

    /// The same with these responders, where there are any.
    #[must_use]
    pub const fn with_responders(self, at: Assignment) -> Self {
        match self {
            Self::Multi { leader, reads: Reads::Responders(terms), commit_wait } => Self::Multi {
                leader,
                reads: Reads::Responders(ResponderTerms { at, ..terms }),
                commit_wait,
            },
            other => other,
        }
    }

    /// The replicas that answer reads of any key alone, where several do.
    pub const fn responders(self) -> Option<NodeSet> {
        match self.assignment() {
            Some(at) => Some(at.all()),
            None => None,
        }
    }

    /// Which replicas answer reads of which key alone, where several do.
    pub const fn assignment(self) -> Option<Assignment> {
        match self.reads() {
            Reads::Responders(ResponderTerms { at, .. }) => Some(at),
            _ => None,
        }
    }

    /// The keys from which on commands may take another way, in order; the first is 0.
    pub fn sections(self) -> Vec<u64> {
        self.assignment().map_or_else(|| vec![0], |at| at.sections())
    }

    /// What commands of this key meet: the same, if all keys had its responders. Where it has none, that is a mode with
    /// quorum reads.
    #[must_use]
    pub fn at_key(self, key: u64) -> Self {
        let Self::Multi { leader, commit_wait, reads: Reads::Responders(terms) } = self else {
            return self;
        };
        let at = terms.at.of(key);
        let reads = if at.is_empty() {
            Reads::Quorum
        } else {
            Reads::Responders(ResponderTerms { at: Assignment::AllKeys(at), ..terms })
        };
        Self::Multi { leader, reads, commit_wait }
    }

    /// The same with snapshot reads, and with a commit wait or without; `None` where there are none.
    pub const fn with_snapshots(self, terms: SnapshotTerms, waits: bool) -> Option<Self> {
        match self {
            Self::Classic => None,
            Self::Multi { leader, .. } => Some(Self::Multi {
                leader,
                reads: Reads::Snapshot(terms),
                commit_wait: if waits { Some(terms.bound) } else { None },
            }),
        }
    }

    /// What replicas are told of their clocks, where they look at them: none is off by more.
    pub const fn clock_bound(self) -> Option<Span> {
        match (self.reads(), self.commit_wait()) {
            (
                Reads::LeaderLease(LeaseTerms { bound, .. })
                | Reads::Responders(ResponderTerms { bound, .. })
                | Reads::Snapshot(SnapshotTerms { bound, .. }),
                _,
            )
            | (_, Some(bound)) => Some(bound),
            (Reads::Log | Reads::Quorum, None) => None,
        }
    }

    /// A leader tells a client of a write when its clock surely passed the stamp of the entry: no clock is off by
    /// more than this.
    pub const fn commit_wait(self) -> Option<Span> {
        match self {
            Self::Classic => None,
            Self::Multi { commit_wait, .. } => commit_wait,
        }
    }

    /// The same with reads through the log.
    #[must_use]
    pub const fn reading_through_log(self) -> Self {
        match self {
            Self::Classic => self,
            Self::Multi { leader, commit_wait, .. } => {
                Self::Multi { leader, reads: Reads::Log, commit_wait }
            }
        }
    }

    /// Whether leaders hold leases.
    pub const fn holds_lease(self) -> bool {
        matches!(self.reads(), Reads::LeaderLease(_))
    }

    /// The terms of snapshot reads, where there are any.
    pub const fn snapshot(self) -> Option<SnapshotTerms> {
        self.reads().snapshot()
    }

    /// Whether no read misses what its own client was told before.
    pub fn has_sessions(self) -> bool {
        self.may_miss() == Span::ZERO || self.snapshot().is_some_and(|terms| terms.has_sessions)
    }

    /// A read may miss a write that was acknowledged less than this before the read began (`snapshot_reads.rs`).
    pub fn may_miss(self) -> Span {
        match (self.snapshot(), self.commit_wait()) {
            (None, _) => Span::ZERO,
            (Some(terms), Some(_)) => terms.staleness,
            (Some(terms), None) => terms.staleness + terms.bound.times(2) + AHEAD_OF_CLOCK,
        }
    }

    /// What a read needs to be answered, in words.
    pub fn reads_need(self) -> String {
        let clocks = |bound: Span| format!("clocks within {} ms", bound.as_millis_f64());
        let leases = |length: Span, bound| {
            format!("leases of {} ms, {}", length.as_millis_f64(), clocks(bound))
        };
        match self.reads() {
            Reads::Log if self == Self::Classic => "a phase-1 and a phase-2 quorum".to_owned(),
            Reads::Log => "the leader and a phase-2 quorum".to_owned(),
            Reads::Quorum => "a phase-1 quorum".to_owned(),
            Reads::LeaderLease(LeaseTerms { length, bound }) => {
                format!("the leader; {}", leases(length, bound))
            }
            Reads::Responders(ResponderTerms { at, length, bound }) => {
                let count = at.all().len();
                let length = length.as_millis_f64();
                let clocks = clocks(bound);
                format!(
                    "one of {count} responders; leases of {length} ms of acceptors that meet each phase-1 quorum, {clocks}"
                )
            }
            Reads::Snapshot(SnapshotTerms { staleness, bound, .. }) => {
                let staleness = staleness.as_millis_f64();
                format!("a replica; {}, a state of {staleness} ms ago", clocks(bound))
            }
        }
    }

    /// Whether a read is answered without a slot of its own.
    pub const fn reads_beside(self) -> bool {
        self.reads().are_beside_the_log()
    }

    /// Whether a client asks the nearest of several replicas for its reads ([`Self::readers`]), whomever it asks for
    /// its writes.
    pub const fn reads_nearby(self) -> bool {
        matches!(self.reads(), Reads::Quorum | Reads::Responders(_) | Reads::Snapshot(_))
    }

    /// The replicas of which a client asks the nearest for its reads, if [`Self::reads_nearby`].
    pub fn readers(self, quorums: &QuorumSystem) -> NodeSet {
        self.responders().unwrap_or_else(|| quorums.learners())
    }

    /// Whether a read asks a quorum by itself, as that of a responder does where it cannot be answered alone.
    pub const fn asks_quorum(self) -> bool {
        matches!(self.reads(), Reads::Quorum | Reads::Responders(_))
    }

    /// The quorums that answer each read, phase by phase.
    pub fn read_phases(self, quorums: &QuorumSystem) -> Vec<Cow<'_, Family>> {
        match self.reads() {
            Reads::Log => self.phases(quorums),
            Reads::Quorum => vec![Cow::Borrowed(quorums.phase1())],
            Reads::LeaderLease(_) | Reads::Responders(_) | Reads::Snapshot(_) => Vec::new(),
        }
    }

    /// The quorums that answer each write, phase by phase: a leader ran phase 1 before, and a write waits for every
    /// responder of its key. Where keys differ, it is what the write of some key needs: [`Self::at_key`] tells of one.
    pub fn phases(self, quorums: &QuorumSystem) -> Vec<Cow<'_, Family>> {
        match (self, self.assignment()) {
            (Self::Classic, _) => {
                vec![Cow::Borrowed(quorums.phase1()), Cow::Borrowed(quorums.phase2())]
            }
            (Self::Multi { .. }, None) => vec![Cow::Borrowed(quorums.phase2())],
            (Self::Multi { .. }, Some(at)) => {
                let of_keys: Vec<NodeSet> =
                    at.sections().into_iter().map(|key| at.of(key)).collect();
                if of_keys.iter().any(|at| at.is_empty()) {
                    return vec![Cow::Borrowed(quorums.phase2())];
                }
                let all = Family::of_sets(of_keys);
                vec![Cow::Owned(quorums.phase2().and(&all, quorums.n()))]
            }
        }
    }
}

/// `classic Paxos`, `Multi-Paxos led by r0`, `Multi-Paxos led by r0 with quorum reads`.
impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Multi { leader, reads, commit_wait } = self else {
            return f.write_str("classic Paxos");
        };
        write!(f, "Multi-Paxos led by {leader}")?;
        match reads {
            Reads::Log => {}
            Reads::Quorum => f.write_str(" with quorum reads")?,
            Reads::LeaderLease(LeaseTerms { length, .. }) => {
                write!(f, " with a lease of {} ms", length.as_millis_f64())?;
            }
            Reads::Snapshot(SnapshotTerms { staleness, .. }) => {
                write!(f, " with snapshot reads of {} ms ago", staleness.as_millis_f64())?;
            }
            Reads::Responders(ResponderTerms { at, length, .. }) => {
                write!(f, " with responders {at} for {} ms", length.as_millis_f64())?;
            }
        }
        if commit_wait.is_some() { f.write_str(", with commit wait") } else { Ok(()) }
    }
}
