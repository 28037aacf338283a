//! The row of `links.csv`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One directed link, as the experiment asks for it and as one attempt of the probe before a live trial
/// measured it.
///
/// A run that measured no link has no such table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LinkRow {
    /// Which trial of the run, from 1.
    pub trial: u32,
    /// The variant's name.
    pub variant: String,
    /// What is swept, and its values here: `clients=16 mode=fsync`; empty if nothing is.
    pub point: String,
    /// `live`: simulated links are exact.
    pub backend: String,
    /// The name of the member that sends: `r0` is a replica, `c0` the clients of a region.
    pub sender: String,
    /// The name of the member that receives.
    pub receiver: String,
    /// The region of the sender.
    pub sender_region: String,
    /// The region of the receiver.
    pub receiver_region: String,
    /// The one-way delay asked for: the median.
    pub asked_ns_p50: u64,
    /// The one-way delay asked for: the 99th percentile.
    pub asked_ns_p99: u64,
    /// The delay of the path by itself, which is subtracted from the emulated delay; empty if it was not
    /// measured.
    pub baseline_ns: Option<u64>,
    /// Frames that arrived in time.
    pub measured_count: u32,
    /// Frames that did not arrive in time; empty if the receiver reported nothing.
    pub missing_count: Option<u32>,
    /// The one-way delay measured: the median.
    pub measured_ns_p50: Option<u64>,
    /// The one-way delay measured: the 99th percentile.
    pub measured_ns_p99: Option<u64>,
    /// The lower end of the 95 % interval of `measured_ns_p99`, by which the link is judged.
    pub measured_ns_p99_low: Option<u64>,
    /// The delay measured minus the delay asked for, at the median.
    pub error_ns_p50: Option<i64>,
    /// The delay measured minus the delay asked for, at the 99th percentile.
    pub error_ns_p99: Option<i64>,
    /// How large each error may be.
    pub tolerance_ns: u64,
    /// Datagrams sent in trains, which show whether the link keeps their order.
    pub train_count: Option<u32>,
    /// Datagrams of the trains that came after one that was sent later.
    pub overtaken_count: Option<u32>,
    /// Datagrams of the trains that never came.
    pub lost_count: Option<u32>,
    /// The times measured are half of what both directions took beyond what was injected, because the clocks of
    /// the two hosts are not known better than the tolerance; empty where both ends read one clock.
    pub is_half_round_trip: Option<bool>,
    /// The link is as asked for, or as near to it as its path allows.
    pub is_within: bool,
    /// The link is asked to be faster than its path.
    pub is_floored: bool,
    /// Attempts of the trial's probe; the trial ran after the last one if that found every link as asked.
    pub attempt_count: u32,
    /// Which attempt this row is of, from 1.
    pub attempt: u32,
}
