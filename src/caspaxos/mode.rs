//! Who proposes.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::protocol::{Assignment, SnapshotTerms};
use crate::quorum::{Family, NodeId, NodeSet, QuorumSystem};
use crate::time::Span;

/// Who proposes.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Mode {
    /// The replica that all clients ask first. Its votes promise the ballot of its next command too.
    ///
    /// Without one each client asks the replica nearest to it, and each command takes both phases.
    pub proposer: Option<NodeId>,
}

impl Mode {
    /// The name in experiment files and tables.
    pub const fn name(self) -> &'static str {
        "caspaxos"
    }

    /// No replica leads: any of them may propose at any time.
    pub const fn leader(self) -> Option<NodeId> {
        None
    }

    /// The replica that every client asks first; `None` where each asks the nearest one.
    pub const fn asked(self) -> Option<NodeId> {
        self.proposer
    }

    /// No replica holds a lease.
    #[must_use]
    pub const fn with_lease(self, _: Span, _: Span) -> Self {
        self
    }

    /// No replica answers reads alone.
    #[must_use]
    pub const fn with_responders(self, _: Assignment) -> Self {
        self
    }

    /// No replica answers reads alone.
    pub const fn assignment(self) -> Option<Assignment> {
        None
    }

    /// No replica answers reads alone.
    pub const fn responders(self) -> Option<NodeSet> {
        None
    }

    /// Nobody looks at a clock.
    pub const fn clock_bound(self) -> Option<Span> {
        None
    }

    /// No entry has a commit timestamp.
    pub const fn with_snapshots(self, _: SnapshotTerms, _: bool) -> Option<Self> {
        None
    }

    /// As above.
    pub const fn commit_wait(self) -> Option<Span> {
        None
    }

    /// As above.
    pub const fn snapshot(self) -> Option<SnapshotTerms> {
        None
    }

    /// As it is.
    #[must_use]
    pub const fn reading_through_log(self) -> Self {
        self
    }

    /// As with [`Self::with_lease`].
    pub const fn holds_lease(self) -> bool {
        false
    }

    /// A read misses nothing.
    pub const fn has_sessions(self) -> bool {
        true
    }

    /// A read misses no write that was acknowledged before.
    pub const fn may_miss(self) -> Span {
        Span::ZERO
    }

    /// The same: no replica leads.
    #[must_use]
    pub const fn led_by(self, _: NodeId) -> Self {
        self
    }

    /// What a read needs to be answered, in words.
    pub fn reads_need(self) -> String {
        "a phase-1 and a phase-2 quorum".to_owned()
    }

    /// Every read has a place among the versions of its key.
    pub const fn reads_beside(self) -> bool {
        false
    }

    /// Reads take the same way as writes.
    pub const fn reads_nearby(self) -> bool {
        false
    }

    /// All keys are alike.
    pub fn sections(self) -> Vec<u64> {
        vec![0]
    }

    /// As above.
    #[must_use]
    pub const fn at_key(self, _key: u64) -> Self {
        self
    }

    /// The replicas that a client may ask for its reads.
    pub fn readers(self, quorums: &QuorumSystem) -> NodeSet {
        quorums.candidates()
    }

    /// As above.
    pub const fn asks_quorum(self) -> bool {
        false
    }

    /// The same in every other way of answering reads: there is none.
    pub fn with_all_reads(self) -> Vec<Self> {
        vec![self]
    }

    /// The quorums that answer each read, phase by phase.
    pub fn read_phases(self, quorums: &QuorumSystem) -> Vec<Cow<'_, Family>> {
        self.phases(quorums)
    }

    /// The quorums that answer each write, phase by phase: where one replica proposes, the votes for the
    /// command before were the promises for this one.
    pub fn phases(self, quorums: &QuorumSystem) -> Vec<Cow<'_, Family>> {
        match self.proposer {
            None => vec![Cow::Borrowed(quorums.phase1()), Cow::Borrowed(quorums.phase2())],
            Some(_) => vec![Cow::Borrowed(quorums.phase2())],
        }
    }
}

/// `CASPaxos`, `CASPaxos proposed by r0`.
impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.proposer {
            None => f.write_str("CASPaxos"),
            Some(proposer) => write!(f, "CASPaxos proposed by {proposer}"),
        }
    }
}
