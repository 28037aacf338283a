//! The row of `members.csv`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::option_thousandths;

/// One member of a trial: a replica, or the clients of one region.
///
/// Columns that a member cannot know are empty: a simulated one uses no processor, and members that share a
/// process do not know what each of them used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MemberRow {
    /// Which trial of the run, from 1.
    pub trial: u32,
    /// The variant's name.
    pub variant: String,
    /// What is swept, and its values here: `clients=16 mode=fsync`; empty if nothing is.
    pub point: String,
    /// `live` or `sim`.
    pub backend: String,
    /// The name of the member: `r0` is a replica, `c0` the clients of a region.
    pub member: String,
    /// The region of the member.
    pub region: String,
    /// `replica`, `witness` (it votes and keeps no state machine), `observer` (it holds no vote) or `client`.
    pub role: String,
    /// The host of the member, as the host file names it; empty on the coordinator's machine and in virtual time.
    #[serde(default)]
    pub host: String,
    /// How far off the coordinator's clock that of the member may have been; empty where it read the same one.
    pub clock_error_ns: Option<u64>,
    /// How the member ended: `finished`, `crashed` (as the experiment asks), `lost`, or `refused` with its
    /// trial.
    pub outcome: String,
    /// Processor time that the member used in the window, user and system.
    pub cpu_ns: Option<u64>,
    /// The peak of its resident memory.
    pub memory_peak_bytes: Option<u64>,
    /// The most bytes that the replica's acceptor log and its checkpoints had on disk since it was last
    /// started; empty for a client, in virtual time and in memory.
    pub disk_peak_bytes: Option<u64>,
    /// Slots that the replica executed; empty for a client.
    pub executed_count: Option<u64>,
    /// Syncs of the replica's acceptor log; empty for a client.
    pub sync_count: Option<u64>,
    /// How often the replica was started; empty for a client.
    pub start_count: Option<u64>,
    /// Groups of records that the replica found in its acceptor log when it was started again; empty for a
    /// client.
    pub recovered_group_count: Option<u64>,
    /// The scheduling that the link emulation of the member obtained: `fifo` or `normal`; empty where there
    /// is no emulation.
    pub scheduling: String,
    /// How long the member watched its machine in the window: less than the window if it was started again
    /// within it.
    pub watched_ns: Option<u64>,
    /// How long its threads were ready to run and had no processor, all threads together, while it watched.
    pub run_queue_ns: Option<u64>,
    /// How late the alarm of its event loop rang in the window: the median.
    pub timer_slip_ns_p50: Option<u64>,
    /// How late the alarm of its event loop rang in the window: the 99th percentile.
    pub timer_slip_ns_p99: Option<u64>,
    /// How late the alarm of its event loop rang in the window: the greatest.
    pub timer_slip_ns_max: Option<u64>,
    /// Datagrams that its links released in the window.
    pub link_released_count: Option<u64>,
    /// Datagrams of these that left more than 300 us after they were due.
    pub link_late_count: Option<u64>,
    /// The share of its host's processors that was busy in the window, with anything.
    #[serde(serialize_with = "option_thousandths")]
    #[schemars(with = "Option<f64>")]
    pub host_busy_share: Option<f64>,
    /// The share of its host's processors that another virtual machine took in the window.
    #[serde(serialize_with = "option_thousandths")]
    #[schemars(with = "Option<f64>")]
    pub host_stolen_share: Option<f64>,
    /// The share of the window in which no core of its host was idle, at the least: what all cores together
    /// were idle within a step of 100 ms cannot have been more of it.
    #[serde(serialize_with = "option_thousandths")]
    #[schemars(with = "Option<f64>")]
    pub host_no_idle_core_share: Option<f64>,
    /// Why the member was lost, as a sentence; empty if it was not.
    pub cause: String,
}
