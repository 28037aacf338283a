//! The rows of `capacity.csv` and `knees.csv`: the steps of a search for the highest rate, and what it found.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::option_thousandths;

/// One step of `flexpaxos capacity`: one trial at one offered rate, and whether the rate was held.
///
/// A rate is held if the trial is valid and complete, its operations were achieved, the machine kept up, and the
/// 99th percentile is within the limit, if there is one.
/// Latencies are those of all clients and all operations of the load together.
/// A run without such a search has no such table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CapacityRow {
    /// Which trial of the run, from 1.
    pub trial: u32,
    /// The variant's name.
    pub variant: String,
    /// The rate and what else is swept, and the values here: `mode=fsync rate_per_s=800`.
    pub point: String,
    /// `live` or `sim`.
    pub backend: String,
    /// Why this rate was tried: `ramp`, `bisection` or `confirmation`.
    pub stage: String,
    /// The rate from which intended starts were drawn, over all clients.
    pub asked_per_s: f64,
    /// Which repeat of this rate, from 1: the first is that of the search, the others confirm it.
    pub repetition: u32,
    /// Whether the rate was held.
    pub held: bool,
    /// Why it was not, as codes separated by `;`: `invalid`, `few` (fewer than 100 operations), `incomplete`, `achieved` (less than 99 % of what
    /// was offered), `saturated` (for another reason, see `notes` in trials.csv) or `p99` (above the limit, or
    /// not known because operations were never answered). `refused`: the probe of the links refused the trial,
    /// which says nothing about the rate; it was tried again.
    pub miss_codes: String,
    /// Operations intended in the window, a second.
    #[serde(serialize_with = "option_thousandths")]
    #[schemars(with = "Option<f64>")]
    pub offered_per_s: Option<f64>,
    /// Operations that returned in the window, a second.
    #[serde(serialize_with = "option_thousandths")]
    #[schemars(with = "Option<f64>")]
    pub achieved_per_s: Option<f64>,
    /// The median latency.
    pub latency_ns_p50: Option<u64>,
    /// The median of what operations took beyond the floors of their client regions: what the load adds. The median
    /// latency goes to and fro between regions that are not equally far away.
    pub above_floor_ns_p50: Option<u64>,
    /// The 90th percentile; empty below 100 operations.
    pub latency_ns_p90: Option<u64>,
    /// The 99th percentile; empty below 1,000 operations.
    pub latency_ns_p99: Option<u64>,
    /// The 99.9th percentile; empty below 10,000 operations.
    pub latency_ns_p999: Option<u64>,
    /// The share of the window in which no core was idle, at the least; empty where it was not measured.
    #[serde(serialize_with = "option_thousandths")]
    #[schemars(with = "Option<f64>")]
    pub no_idle_core_share: Option<f64>,
}

/// What `flexpaxos capacity` found for one variant: the highest rate that was held and the lowest above it that
/// was not. The capacity lies between the two.
///
/// A run without such a search has no such table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KneeRow {
    /// What the experiment sweeps beside the rate, and its values here; empty if nothing.
    pub point: String,
    /// The variant's name.
    pub variant: String,
    /// `live` or `sim`.
    pub backend: String,
    /// `confirmed`: every repeat held the lower rate and missed the higher one; `not-confirmed`: some repeat
    /// did not; `once`: nothing was repeated; `not-reached`: the highest rate that was allowed is held; `none`:
    /// no rate was held; `unfinished`: the search was cut short.
    pub verdict: String,
    /// The highest rate that was held; empty if none was.
    pub held_per_s: Option<f64>,
    /// How many trials at that rate held it.
    pub held_count: u32,
    /// How many trials were at that rate.
    pub held_trial_count: u32,
    /// The lowest rate above it that was not held; empty if none was missed.
    pub missed_per_s: Option<f64>,
    /// How many trials at that rate did not hold it.
    pub missed_count: u32,
    /// How many trials were at that rate.
    pub missed_trial_count: u32,
    /// The most operations that returned in a window of any step, a second, its latency whatever it was.
    #[serde(serialize_with = "option_thousandths")]
    #[schemars(with = "Option<f64>")]
    pub most_achieved_per_s: Option<f64>,
    /// The median latency at the highest rate that was held, its trials merged.
    pub latency_ns_p50: Option<u64>,
    /// The median there of what operations took beyond the floors of their client regions.
    pub above_floor_ns_p50: Option<u64>,
    /// The 99th percentile there; empty below 1,000 operations.
    pub latency_ns_p99: Option<u64>,
    /// The limit of the 99th percentile; empty if there is none.
    pub limit_ns_p99: Option<u64>,
    /// How far apart the two rates may be, as a share of the lower one.
    pub within_share: f64,
}
