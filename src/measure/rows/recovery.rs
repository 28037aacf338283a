//! The row of `recovery.csv`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One fault of one trial, and what the clients of one region saw of it.
///
/// A run in which no fault began has no such table.
/// The columns about replicas are equal in the rows of all client regions.
/// A column is empty if its event did not happen: a fault that unseats no leader has no new one.
/// Times are lengths; the meaning of each says where it begins and ends.
///
/// Replicas report when they suspect the leader, campaign, lead, have executed everything that was left
/// open, and commit for the first time.
/// Live replicas report this at once, so the file also has the reports of a leader that is killed later.
/// The new leader is the first replica that leads after the fault began and commits; it may be the old
/// leader again.
/// What clients saw is computed from their histories.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecoveryRow {
    /// Which trial of the run, from 1.
    pub trial: u32,
    /// The variant's name.
    pub variant: String,
    /// What is swept, and its values here: `clients=16 mode=fsync`; empty if nothing is.
    pub point: String,
    /// `live` or `sim`.
    pub backend: String,
    /// Which fault of the variant, from 1.
    pub fault: u32,
    /// What the fault did: `crash`, `pause`, `partition`, `cut`, `slow`, `lose`, `duplicate`, `reorder`,
    /// `slow_disk`, `full_disk` or `campaign`.
    pub fault_kind: String,
    /// The names of the replicas that the fault hit, joined by `+`: `r0+r2`; of a fault of one direction of
    /// links, the senders.
    pub target: String,
    /// The regions of these replicas, joined by `+`.
    pub target_regions: String,
    /// From the start of the window to the beginning of the fault.
    pub struck_at_ns: u64,
    /// From the start of the window to the end of the fault; empty if it lasted.
    pub ended_at_ns: Option<u64>,
    /// How far off each of these times may be whose two ends were read on different hosts; empty where all members
    /// read one clock.
    pub instants_apart_ns: Option<u64>,
    /// From the end of the fault until the replica that it had stopped had executed as much as the furthest
    /// replica had at that end; live, as far as the replicas had said; empty if it never had, or the fault
    /// stopped none.
    pub catch_up_ns: Option<u64>,
    /// The name of the leader when the fault began: `r0`; empty if nobody led.
    pub leader: String,
    /// The region of that leader.
    pub leader_region: String,
    /// The name of the new leader, which may be the old one; empty if nobody led after the fault.
    pub new_leader: String,
    /// The region of the new leader.
    pub new_leader_region: String,
    /// From the fault to the first suspicion of any replica.
    pub first_suspected_ns: Option<u64>,
    /// From the fault to the first suspicion of the new leader.
    pub detection_ns: Option<u64>,
    /// From the first suspicion of the new leader to its last campaign: asking the others, and backing off.
    pub election_ns: Option<u64>,
    /// Campaigns that any replica began until one led.
    pub attempt_count: u64,
    /// From the Phase1a of the new leader to its phase-1 quorum.
    pub phase1_ns: Option<u64>,
    /// The least that `phase1_ns` can be: the new leader's round trip to the last member of the nearest
    /// phase-1 quorum that no fault kept from it.
    pub floor_phase1_ns: Option<u64>,
    /// Slots for which the new leader proposed a reported value again.
    pub adopted_count: Option<u64>,
    /// Slots without a reported value that the new leader filled with a no-op.
    pub filled_count: Option<u64>,
    /// From the fault to the phase-1 quorum of the new leader.
    pub leading_ns: Option<u64>,
    /// From the phase-1 quorum until all adopted and filled slots were executed and, where leaders hold leases,
    /// those of the leaders before it were over.
    pub transfer_ns: Option<u64>,
    /// From the phase-1 quorum to the execution of the first command that the new leader proposed itself.
    pub first_commit_ns: Option<u64>,
    /// The region of the clients.
    pub client_region: String,
    /// From the phase-1 quorum of the new leader to its first answer to this region.
    pub redirect_ns: Option<u64>,
    /// From the beginning of the fault to the first acknowledgement of a write that was intended after it.
    pub first_ack_ns: Option<u64>,
    /// The protocol's part of `first_ack_ns`: from the fault until the new leader could have answered this
    /// region. That is its phase-1 quorum, then a phase-2 quorum or all that was left open executed and the
    /// leases of leaders before it over, whichever is later, and the way back; links take their medians. Empty if
    /// the new leader never executed anything.
    pub protocol_ns: Option<u64>,
    /// The clients' part of `first_ack_ns`: what retry timers and redirects add. It begins with
    /// `protocol_ns`, or when a write that began later could have been answered, and ends with the
    /// acknowledgement.
    pub client_wait_ns: Option<u64>,
    /// A write that was intended after the fault was acknowledged; empty if no write was intended after it.
    pub recovered: Option<bool>,
    /// The longest time without an acknowledged write that ends after the fault began and begins before the
    /// next one, up to the beginning of that; up to the end of the window if no write was acknowledged again.
    pub unavailable_ns: Option<u64>,
    /// The longest time between two acknowledged writes before the first fault: gaps also occur by chance.
    pub usual_gap_ns: Option<u64>,
    /// The latency of writes before the first fault: the median.
    pub before_ns_p50: Option<u64>,
    /// The latency of writes before the first fault: the 99th percentile; empty below 1,000 writes.
    pub before_ns_p99: Option<u64>,
    /// A write that takes longer than this counts as delayed: twice the 99th percentile before the first
    /// fault, of however many writes there were.
    pub delayed_above_ns: Option<u64>,
    /// Writes that were open between the fault and the next one, and were delayed or never acknowledged.
    pub delayed_count: Option<u64>,
    /// Writes of these that were never acknowledged.
    pub unknown_count: Option<u64>,
    /// The same as `before_ns_p50`, of reads.
    pub reads_before_ns_p50: Option<u64>,
    /// The same as `first_ack_ns`, of reads.
    pub reads_first_ack_ns: Option<u64>,
    /// The same as `recovered`, of reads; empty if no read was intended after the fault.
    pub reads_recovered: Option<bool>,
    /// The same as `unavailable_ns`, of reads; empty if nobody reads.
    pub reads_unavailable_ns: Option<u64>,
    /// The same as `usual_gap_ns`, of reads.
    pub reads_usual_gap_ns: Option<u64>,
}
