//! What a replica says of itself: while it runs, when it starts, and at its end.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::measure::PhaseRecording;
use crate::protocol::Slot;
use crate::runtime::storage::Tail;
use crate::time::Span;

/// What others may look at while the replica runs.
#[derive(Debug, Default)]
pub struct Status {
    /// Slots below this are executed.
    pub executed_below: AtomicU64,
    /// [`Protocol::leadership`](crate::protocol::Protocol::leadership): zero if it does not lead.
    pub leadership: AtomicU64,
    /// It is to campaign.
    pub campaign: AtomicBool,
    /// Every sync of its disk takes so much longer.
    pub slow_disk_ns: AtomicU64,
    /// It is to stop.
    pub finish: AtomicBool,
    /// Wakes the loop to look at what it is told.
    pub waker: atomic_waker::AtomicWaker,
}

impl Status {
    /// Tells the replica to lead.
    pub fn campaign(&self) {
        self.campaign.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Lets every sync of its disk take so much longer, from the next wake-up of the loop on.
    pub fn slow_disk(&self, by: Span) {
        self.slow_disk_ns.store(by.0, Ordering::Relaxed);
        self.waker.wake();
    }

    /// Asks the loop to end.
    pub fn finish(&self) {
        self.finish.store(true, Ordering::Release);
        self.waker.wake();
    }
}

/// What was found on disk when the replica started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// Groups of records behind the last checkpoint.
    pub group_count: usize,
    /// Whether there was a checkpoint.
    pub has_checkpoint: bool,
    /// How the log ended.
    pub tail: Tail,
    /// Slots below this were executed in the checkpoint.
    pub executed_below: Slot,
}

/// What a replica has to say at the end.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// Time spent in each phase by the commands it proposed, and what else it said of its work.
    pub phases: PhaseRecording,
    /// Frames that did not decode.
    pub undecodable_count: u64,
    /// Frames dropped because a peer did not read.
    pub dropped_count: u64,
    /// Syncs of the acceptor's log.
    pub sync_count: u64,
    /// Slots below this are executed.
    pub executed_below: u64,
}
