//! The row of `summary.csv`: all repeats of one variant together.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::option_thousandths;

/// One variant at one point on one backend, as the clients of one region saw one kind of operation: a row of
/// `summary.csv`.
///
/// The latencies of all valid trials are merged before a percentile is taken; percentiles are never averaged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SummaryRow {
    /// What is swept, and its values here: `clients=16 mode=fsync`; empty if nothing is.
    pub point: String,
    /// The variant's name.
    pub variant: String,
    /// `live` or `sim`.
    pub backend: String,
    /// Where the clients are.
    pub client_region: String,
    /// `write`, `read` or `control`.
    pub operation: String,
    /// How many trials ended.
    pub trial_count: u32,
    /// How many of them are valid: the rest of the row is of these.
    pub valid_count: u32,
    /// How many of the valid ones did not keep up with their load.
    pub saturated_count: u32,
    /// The least number of acceptors in a phase-1 quorum.
    pub q1: u16,
    /// The least number of acceptors in a phase-2 quorum.
    pub q2: u16,
    /// Operations intended in the window over all client regions, a second, the mean of the trials; empty for
    /// a closed loop.
    #[serde(serialize_with = "option_thousandths")]
    pub offered_per_s: Option<f64>,
    /// Operations that returned in the window over all client regions, a second, the mean of the trials.
    #[serde(serialize_with = "option_thousandths")]
    pub achieved_per_s: Option<f64>,
    /// How often a write was proposed, the mean of the trials; empty where a leader proposes.
    #[serde(serialize_with = "option_thousandths")]
    pub attempts_per_write: Option<f64>,
    /// How many operations were answered.
    pub answered_count: u64,
    /// How many were not. They rank as infinite: what falls among them is empty.
    pub unanswered_count: u64,
    /// The least latency that the protocol can have with these links, at the median.
    pub floor_ns_p50: Option<u64>,
    /// The same at the 99th percentile.
    pub floor_ns_p99: Option<u64>,
    /// The median.
    pub latency_ns_p50: Option<u64>,
    /// The 90th percentile; empty below 100 operations.
    pub latency_ns_p90: Option<u64>,
    /// The 99th percentile; empty below 1,000 operations.
    pub latency_ns_p99: Option<u64>,
    /// The 99.9th percentile; empty below 10,000 operations.
    pub latency_ns_p999: Option<u64>,
    /// Between the least and the greatest median of a trial; empty with one trial, and where a median is not
    /// known.
    pub spread_ns_p50: Option<u64>,
}
