//! The row of `phases.csv`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::TrialKey;
use crate::measure::{Latencies, Phase, Summary};

/// Where the time of operations went at one replica: one row for each of its phases that occurred in the
/// window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PhaseRow {
    /// Which trial of the run, from 1.
    pub trial: u32,
    /// The variant's name.
    pub variant: String,
    /// What is swept, and its values here: `clients=16 mode=fsync`; empty if nothing is.
    pub point: String,
    /// `live` or `sim`.
    pub backend: String,
    /// The name of the replica: `r0`.
    pub replica: String,
    /// The region of the replica.
    pub region: String,
    /// `queueing` (from the arrival of a command to its first message), `phase1` (from the Phase1a to the
    /// phase-1 quorum), `phase2` (from the Phase2a to the phase-2 quorum), `persist` (from the hand-over of
    /// records until they are durable), `reply` (from chosen to executed) or `commit_wait` (from executed
    /// until the client is told).
    pub phase: String,
    /// How often the phase occurred: operations, or batches of records for `persist`.
    pub occurred_count: u64,
    /// The least duration.
    pub latency_ns_min: Option<u64>,
    /// The mean duration.
    pub latency_ns_mean: Option<u64>,
    /// The median duration.
    pub latency_ns_p50: Option<u64>,
    /// The 90th percentile; empty below 100 durations.
    pub latency_ns_p90: Option<u64>,
    /// The 95th percentile; empty below 200 durations.
    pub latency_ns_p95: Option<u64>,
    /// The 99th percentile; empty below 1,000 durations.
    pub latency_ns_p99: Option<u64>,
    /// The 99.9th percentile; empty below 10,000 durations.
    pub latency_ns_p999: Option<u64>,
    /// The greatest duration.
    pub latency_ns_max: Option<u64>,
}

impl PhaseRow {
    /// The row of one phase at one replica, by its name.
    pub fn new(
        key: &TrialKey,
        replica: &str,
        region: &str,
        phase: Phase,
        durations: &Latencies,
    ) -> Self {
        let TrialKey { trial, variant, point, backend } = key.clone();
        let summary = Summary::of(durations);
        Self {
            trial,
            variant,
            point,
            backend,
            replica: replica.to_owned(),
            region: region.to_owned(),
            phase: phase.name().to_owned(),
            occurred_count: summary.count,
            latency_ns_min: summary.min,
            latency_ns_mean: summary.mean,
            latency_ns_p50: summary.p50,
            latency_ns_p90: summary.p90,
            latency_ns_p95: summary.p95,
            latency_ns_p99: summary.p99,
            latency_ns_p999: summary.p999,
            latency_ns_max: summary.max,
        }
    }
}
