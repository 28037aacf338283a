//! What came of a simulated trial.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use crate::client;
use crate::command::ClientId;
use crate::deployment::{InjectedFault, MemberName};
use crate::measure::PhaseRecording;
use crate::quorum::NodeId;
use crate::time::Span;

/// What came of a simulated trial.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What each client region has to say.
    pub clients: BTreeMap<ClientId, client::Report>,
    /// What each replica has to say.
    pub replicas: BTreeMap<NodeId, ReplicaReport>,
    /// The history of each client; the logs of each replica, one for each time it was started. Of what a
    /// [`Spool`](super::Spool) took, only the end.
    pub histories: BTreeMap<MemberName, Vec<Vec<u8>>>,
    /// The faults that were carried out, in the order in which they began.
    pub injected: Vec<InjectedFault>,
    /// An assertion that broke, and where.
    pub violation: Option<String>,
    /// What happened, for those who ask whether there were any faults.
    pub counts: Counts,
    /// What members had of the processors that they share, if they do.
    pub processors: Option<Processors>,
}

/// What members had of the processors that they share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Processors {
    /// How many there are.
    pub cores: u16,
    /// Processor time of each member within the window.
    pub used: BTreeMap<MemberName, Span>,
}

/// What a simulated replica has to say at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaReport {
    /// Time spent in each phase by the commands it proposed, and what else it said of its work.
    pub phases: PhaseRecording,
    /// Syncs of its disk.
    pub sync_count: u64,
    /// Slots below this are executed; as of its end, if it was down then.
    pub executed_below: u64,
    /// How many records it found behind its checkpoint, at each start.
    pub starts: Vec<usize>,
    /// Whether it was down at the end.
    pub is_down: bool,
}

/// How often what happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Messages, requests, answers and timers that were handled.
    pub events: u64,
    /// Messages between replicas that were sent, each receiver counted.
    pub messages_sent: u64,
    /// Messages, requests and answers lost on the way.
    pub lost: u64,
    /// Messages, requests and answers for which the queue of a wire had no room.
    pub queue_dropped: u64,
    /// Messages and requests that arrived at a replica that was down, and what it had not yet sent.
    pub missed: u64,
    /// Messages, requests and answers that arrived twice.
    pub duplicated: u64,
    /// Replicas crashed.
    pub crashes: u64,
    /// Replicas started again.
    pub restarts: u64,
    /// Records that a crash lost, because they were not synced.
    pub records_lost: u64,
    /// Crashes that left a torn record.
    pub torn: u64,
    /// Checkpoints that a crash lost, because they were not whole or their records not synced.
    pub checkpoints_lost: u64,
    /// Crashes between the persist and what waited for it: messages that never left.
    pub withheld: u64,
    /// Partitions and cuts.
    pub partitions: u64,
    /// Replicas paused.
    pub pauses: u64,
    /// Faults of links that slow, lose, duplicate or reorder, and of disks that are slow.
    pub degradations: u64,
    /// Replicas told to lead.
    pub campaigns: u64,
    /// Replicas that became leader.
    pub leaderships: u64,
    /// Races for a slot or for leadership that somebody lost.
    pub races_lost: u64,
    /// Time-outs after which something was sent again.
    pub retransmissions: u64,
    /// States sent to replicas that had missed what was forgotten.
    pub snapshots_sent: u64,
    /// States installed.
    pub snapshots_installed: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.events += other.events;
        self.messages_sent += other.messages_sent;
        self.lost += other.lost;
        self.queue_dropped += other.queue_dropped;
        self.missed += other.missed;
        self.duplicated += other.duplicated;
        self.crashes += other.crashes;
        self.restarts += other.restarts;
        self.records_lost += other.records_lost;
        self.torn += other.torn;
        self.checkpoints_lost += other.checkpoints_lost;
        self.withheld += other.withheld;
        self.partitions += other.partitions;
        self.pauses += other.pauses;
        self.degradations += other.degradations;
        self.campaigns += other.campaigns;
        self.leaderships += other.leaderships;
        self.races_lost += other.races_lost;
        self.retransmissions += other.retransmissions;
        self.snapshots_sent += other.snapshots_sent;
        self.snapshots_installed += other.snapshots_installed;
    }
}
