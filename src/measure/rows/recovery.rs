//! The row of `recovery.csv`: a fault as the replicas and the clients of one region lived through it.

use serde::{Deserialize, Serialize};

/// One fault of one trial, for one client region: a row of `recovery.csv`.
///
/// What concerns the replicas is the same in the rows of all client regions.
/// What did not happen is empty: a fault that unseats no leader has no new one.
/// Times are lengths; where one begins and ends is said of each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryRow {
    /// Which trial of the run, from 0.
    pub trial: u32,
    /// The variant's name.
    pub variant: String,
    /// `live` or `sim`.
    pub backend: String,
    /// Which fault of the experiment, from 0.
    pub fault: u32,
    /// What it did: `crash`, `pause`, `partition` and so on.
    pub harm: String,
    /// The regions of the replicas that it hit, separated by `+`; of a direction, the senders.
    pub target: String,
    /// From the start of the window to its beginning.
    pub struck_at_ns: u64,
    /// From the start of the window to its end; empty if it lasted.
    pub ended_at_ns: Option<u64>,
    /// The region of the leader when it began; empty where there was none.
    pub leader: String,
    /// The region of the first that led and committed after it; empty if nobody did. It may be the same.
    pub new_leader: String,
    /// From the fault to the first suspicion of any replica.
    pub first_suspected_ns: Option<u64>,
    /// From the fault to the first suspicion of the new leader.
    pub detection_ns: Option<u64>,
    /// From that to its last campaign: asking the others, and backing off.
    pub election_ns: Option<u64>,
    /// Campaigns that anybody began until somebody led.
    pub attempt_count: u64,
    /// From the Phase1a of the new leader to its phase-1 quorum.
    pub phase1_ns: Option<u64>,
    /// The least that this can be: its round trip to the last of the nearest phase-1 quorum that no
    /// fault kept from it.
    pub floor_phase1_ns: Option<u64>,
    /// Slots whose reported value it proposed again.
    pub adopted_count: Option<u64>,
    /// Slots without a reported value that it gave a no-op.
    pub filled_count: Option<u64>,
    /// From the fault to the phase-1 quorum of the new leader.
    pub leading_ns: Option<u64>,
    /// From there until all that it adopted and filled was executed.
    pub transfer_ns: Option<u64>,
    /// From there to the execution of the first command that it proposed itself.
    pub first_commit_ns: Option<u64>,
    /// Where the clients are.
    pub client_region: String,
    /// From the phase-1 quorum of the new leader to its first answer to this region.
    pub redirect_ns: Option<u64>,
    /// From the fault to the first acknowledgement of a write that was intended after it.
    pub first_ack_ns: Option<u64>,
    /// Of that the protocol's part: from the fault until the new leader could have answered this region.
    /// That is its phase-1 quorum, then a phase-2 quorum, or all that was open executed if that was later,
    /// and the way back; links take their medians.
    pub protocol_ns: Option<u64>,
    /// And the clients' part: from there, or from when a write begun after it could have been answered, to
    /// the acknowledgement. It is what retry timers and redirects add.
    pub client_wait_ns: Option<u64>,
    /// Whether there was one; empty if no write was intended after the fault began.
    pub recovered: Option<bool>,
    /// The longest time without an acknowledged write that ends after the fault began and begins before the
    /// next one; at most up to the end of the window if none was acknowledged again.
    pub unavailable_ns: Option<u64>,
    /// The longest time between two acknowledged writes before the first fault.
    pub usual_gap_ns: Option<u64>,
    /// The median latency of writes before the first fault.
    pub before_ns_p50: Option<u64>,
    /// Its 99th percentile; empty below 1,000 writes.
    pub before_ns_p99: Option<u64>,
    /// A write that takes longer is delayed: twice the 99th percentile of however many there were.
    pub delayed_above_ns: Option<u64>,
    /// Writes that were on their way between the fault and the next one, and were delayed or never
    /// acknowledged.
    pub delayed_count: Option<u64>,
    /// Of these, those that were never acknowledged.
    pub unknown_count: Option<u64>,
}
