//! What happened in many runs, so that nobody takes runs without faults for proof.

use std::ops::AddAssign;

use crate::sim::Counts;
use crate::time::Span;

/// How much happened, in one run or in many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Runs, each of which left one history.
    pub histories: u64,
    /// Operations that clients issued.
    pub issued: u64,
    /// Operations that were answered.
    pub acknowledged: u64,
    /// Slots executed.
    pub slots: u64,
    /// Virtual time.
    pub virtual_time: Span,
    /// Messages that overtook others on their link.
    pub overtaken: u64,
    /// Replicas that crashed for good.
    pub dead: u64,
    /// Faults that began when a replica did something.
    pub triggered: u64,
    /// What the simulator counted.
    pub counts: Counts,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.histories += other.histories;
        self.issued += other.issued;
        self.acknowledged += other.acknowledged;
        self.slots += other.slots;
        self.virtual_time += other.virtual_time;
        self.overtaken += other.overtaken;
        self.dead += other.dead;
        self.triggered += other.triggered;
        self.counts += other.counts;
    }
}

impl Tally {
    /// Everything that is counted, by the name of its row.
    pub fn rows(&self) -> [(&'static str, u64); 27] {
        let counts = &self.counts;
        [
            ("operations issued", self.issued),
            ("operations acknowledged", self.acknowledged),
            ("slots executed", self.slots),
            ("events handled", counts.events),
            ("messages sent", counts.messages_sent),
            ("messages lost", counts.lost),
            ("messages to replicas that were down", counts.missed),
            ("messages duplicated", counts.duplicated),
            ("messages overtaken", self.overtaken),
            ("crashes", counts.crashes),
            ("restarts", counts.restarts),
            ("replicas that stayed down", self.dead),
            ("unsynced records lost in crashes", counts.records_lost),
            ("torn tails", counts.torn),
            ("unfinished checkpoints lost in crashes", counts.checkpoints_lost),
            ("durable messages withheld by crashes", counts.withheld),
            ("pauses", counts.pauses),
            ("partitions and cuts", counts.partitions),
            ("slow, lossy or disordered links, slow disks", counts.degradations),
            ("faults begun by what a replica did", self.triggered),
            ("campaigns asked for", counts.campaigns),
            ("leader changes", counts.leaderships),
            ("races lost", counts.races_lost),
            ("time-outs", counts.retransmissions),
            ("snapshots sent", counts.snapshots_sent),
            ("snapshots installed", counts.snapshots_installed),
            ("virtual seconds", self.virtual_time.0 / 1_000_000_000),
        ]
    }
}
