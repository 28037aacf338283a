//! What every replica of a deployment is told alike, whatever the protocol, and the one thing each is told
//! for itself.

use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

use super::capacity::Capacity;
use crate::quorum::{Family, NodeId, NodeSet, QuorumSystem};
use crate::time::Span;

/// Whom a proposer contacts first.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum SendPolicy {
    /// Everybody; the fastest quorum decides.
    #[default]
    All,
    /// The nearest quorum (thrifty); everybody after a time-out.
    Quorum,
}

/// How long a replica waits for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timing {
    /// A Phase1a or Phase2a without a quorum is sent again, to everybody; and again when as long has
    /// passed as since it was sent first, eight times this at most.
    ///
    /// A Phase2a waits for so long after it has left, as far as [`Timing::capacity`] tells.
    pub retransmit_after: Span,
    /// The least back-off after a lost race, doubled each time; at least one round trip.
    pub backoff: Span,
    /// Chosen slots are announced by a message of their own when no proposal carried the news.
    pub announce_after: Span,
    /// A hole in the log that blocks execution is filled (classic).
    pub fill_after: Span,
    /// How fast replicas send: what waits for a wire is not lost.
    pub capacity: Capacity,
}

/// The longest wait before something is sent again, in time-outs.
const PATIENCE_MAX: u64 = 8;

impl Timing {
    /// Timing for links whose longest round trip is `round_trip`.
    pub fn for_round_trip(round_trip: Span) -> Self {
        Self {
            // A quorum may need the farthest replica and its disk; queueing must not look like loss.
            retransmit_after: Span(round_trip.times(4).0.max(Span::from_millis(500).0)),
            backoff: Span(round_trip.0.max(Span::from_millis(1).0)),
            announce_after: Span::from_millis(2),
            fill_after: Span(round_trip.times(8).0.max(Span::from_millis(1000).0)),
            capacity: Capacity::UNLIMITED,
        }
    }

    /// The same for replicas that send so fast, and values that take so long to all others.
    #[must_use]
    pub fn on(self, capacity: Capacity, transmission: Span) -> Self {
        Self {
            retransmit_after: self.retransmit_after + transmission,
            fill_after: self.fill_after + transmission.times(2),
            capacity,
            ..self
        }
    }

    /// How long to wait for an answer before asking again, when that has been waited for so long.
    pub fn patience(&self, waited: Span) -> Span {
        let least = self.retransmit_after;
        waited.clamp(least, least.times(PATIENCE_MAX))
    }
}

/// Who campaigns.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Election {
    /// The leader of the configuration when it starts, and whoever is told to.
    #[default]
    Fixed,
    /// Whoever hears of no leader for a time-out, too.
    Timeout(Detector),
}

/// How a replica finds out that nobody leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Detector {
    /// A leader is heard of at least so often.
    pub heartbeat: Span,
    /// After so many heartbeats missed in a row it is suspected.
    pub misses: u32,
    /// A suspicion waits for a time drawn uniformly from zero to this: else all would campaign at once.
    pub spread: Span,
}

impl Detector {
    /// The silence after which a leader is suspected.
    pub fn timeout(&self) -> Span {
        self.heartbeat.times(self.misses.into())
    }
}

/// What replicas keep of what they have executed, and how they send their state to whoever needs more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Retention {
    /// Slots that a replica has durably executed are forgotten when they lie more than so many behind
    /// the last one it executed, whatever the others have; never, if `None`.
    ///
    /// What every replica has durably executed is forgotten in any case.
    pub slots: Option<u64>,
    /// A state is sent in parts of about so many bytes, and [`PARTS_AT_ONCE`](Self::PARTS_AT_ONCE) of
    /// them before more are asked for.
    pub part_bytes: usize,
}

impl Retention {
    /// What may leave at once for one replica that lacks it: far less than a connection holds back.
    pub const PARTS_AT_ONCE: u32 = 8;

    /// The same where a wire is narrow: what leaves at once has left within half a time-out.
    #[must_use]
    pub fn on(self, timing: &Timing) -> Self {
        let span = Span(timing.retransmit_after.0 / 2);
        let at_once = timing.capacity.bytes_within(span, self.bytes_at_once());
        let part_bytes = self.part_bytes.min((at_once / Self::PARTS_AT_ONCE as usize).max(1));
        Self { part_bytes, ..self }
    }

    /// About how many bytes a promise reports at once.
    pub fn bytes_at_once(&self) -> usize {
        self.part_bytes.saturating_mul(Self::PARTS_AT_ONCE as usize)
    }

    /// What no replica may have to be taught is kept, and nothing else is forgotten.
    pub const ALL: Self = Self { slots: None, part_bytes: 1 << 20 };

    /// As many slots as are kept where nobody says how many: a tenth of a gigabyte of small commands,
    /// a third of a second of the fastest load, and minutes of the load of most experiments.
    pub const USUAL: Self = Self { slots: Some(100_000), ..Self::ALL };
}

/// How much a replica remembers, sends and forgets at once, where no setting of a deployment says so.
///
/// They keep the memory and the pauses of a replica small, and change nothing that is chosen. No experiment reaches
/// most of them; a fuzz draws small ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Bounds {
    /// Slots this far behind the last one executed here are not remembered yet.
    ///
    /// What is known of slots is kept densely, so one far slot would cost the memory of all before it.
    /// Who is that far behind is told what is chosen first; until then such messages are as good as lost.
    pub horizon: u64,
    /// An answer to a replica that is behind ends with the value that passes this: a frame of modest size.
    pub answer_bytes: usize,
    /// The most that is proposed again before anybody votes, in bytes of values.
    pub resent_bytes: usize,
    /// Who is behind by more slots than this is taught before it is granted a pre-vote: its promises would report
    /// every vote since.
    pub lag: u64,
    /// The most slots that one input makes a replica forget: a million at once would stall it for tens of
    /// milliseconds.
    pub forgotten_at_once: u64,
}

impl Bounds {
    /// Those of every deployment.
    pub const USUAL: Self = Self {
        horizon: 1 << 20,
        answer_bytes: 1 << 20,
        resent_bytes: 64 << 10,
        lag: 4096,
        forgotten_at_once: 256,
    };
}

/// What all replicas agree on about snapshot reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SnapshotTerms {
    /// A read is of the state so long before it arrives.
    pub staleness: Span,
    /// A leader that has proposed nothing for so long proposes a no-op; never, if `None`.
    pub advance: Option<Span>,
    /// No clock is off by more than this.
    pub bound: Span,
    /// Clients say how much of the log they have seen, and no read misses any of that.
    pub has_sessions: bool,
}

/// The configuration of one replica.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Config {
    /// Who this replica is.
    pub id: NodeId,
    /// The quorum table; every replica has the same.
    pub quorums: QuorumSystem,
    /// Who campaigns, where replicas lead.
    pub election: Election,
    /// Whom it contacts first.
    pub send: SendPolicy,
    /// Every replica, nearest to this one first: whom a thrifty proposer prefers.
    pub nearest_first: Vec<NodeId>,
    /// How long it waits.
    pub timing: Timing,
    /// What it keeps of what it has executed.
    pub retention: Retention,
    /// How much it remembers, sends and forgets at once.
    pub bounds: Bounds,
}

/// A replica never changes its configuration, so who it is stands for all of that.
impl Hash for Config {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl Config {
    /// Every replica.
    pub fn everybody(&self) -> NodeSet {
        NodeSet::all(self.quorums.n())
    }

    /// Every replica but this one.
    pub fn others(&self) -> NodeSet {
        self.everybody().without(self.id)
    }

    /// The replicas that answer Phase 1a and Phase 2a.
    pub fn acceptors(&self) -> NodeSet {
        self.quorums.acceptors()
    }

    /// The other replicas that keep a state machine: who may teach this one.
    pub fn teachers(&self) -> NodeSet {
        self.quorums.learners().without(self.id)
    }

    /// Whether this replica keeps a state machine.
    pub fn is_learner(&self) -> bool {
        !self.quorums.witnesses().contains(self.id)
    }

    /// Whether this replica promises and votes.
    pub fn is_acceptor(&self) -> bool {
        !self.quorums.observers().contains(self.id)
    }

    /// Whether this replica may propose, lead and answer clients.
    pub fn is_candidate(&self) -> bool {
        self.is_learner() && self.is_acceptor()
    }

    /// Whom the first Phase1a of an attempt goes to, of those of whom something may be hoped.
    pub fn phase1_contacts(&self, hopeful: NodeSet) -> NodeSet {
        self.contacts(self.quorums.phase1(), hopeful).intersection(self.acceptors())
    }

    /// Whom the first Phase2a of a proposal goes to, of those of whom something may be hoped.
    pub fn phase2_contacts(&self, hopeful: NodeSet) -> NodeSet {
        self.contacts(self.quorums.phase2(), hopeful)
    }

    /// The phase-2 quorum that a ballot announces, where each has its own: the nearest among `allies`;
    /// where there is none, the nearest of all.
    pub fn announced_quorum(&self, allies: NodeSet) -> Option<NodeSet> {
        let phase2 = self.quorums.phase2();
        let nearest = || {
            let among = self.nearest(phase2, allies);
            among.or_else(|| self.nearest(phase2, self.everybody()))
        };
        self.quorums.announces().then(|| nearest().unwrap_or_else(|| self.everybody()))
    }

    /// Everybody, where no quorum is left among `hopeful`: to be thrifty would be to wait for it.
    fn contacts(&self, family: &Family, hopeful: NodeSet) -> NodeSet {
        match self.send {
            SendPolicy::All => self.everybody(),
            SendPolicy::Quorum => self.nearest(family, hopeful).unwrap_or_else(|| self.everybody()),
        }
    }

    /// The nearest quorum among `hopeful`, if there is one.
    fn nearest(&self, family: &Family, hopeful: NodeSet) -> Option<NodeSet> {
        // Every proposal of a thrifty leader comes here, and as a rule everybody is hopeful.
        if self.acceptors().is_subset(hopeful) {
            return family.first_in(&self.nearest_first);
        }
        let near = self.nearest_first.iter().copied();
        family.first_in(&near.filter(|node| hopeful.contains(*node)).collect::<Vec<_>>())
    }
}
