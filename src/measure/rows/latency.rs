//! The row of `latency.csv`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::TrialKey;
use crate::measure::{Latencies, Omission, Summary};
use crate::time::Span;

/// The latencies of one trial, client region and operation.
///
/// A latency runs from the intended start of an operation to its reply.
/// Operations of the window count, those without an answer too: these rank as infinite, so a percentile
/// that falls among them is empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LatencyRow {
    /// Which trial of the run, from 1.
    pub trial: u32,
    /// The variant's name.
    pub variant: String,
    /// What is swept, and its values here: `clients=16 mode=fsync`; empty if nothing is.
    pub point: String,
    /// `live` or `sim`.
    pub backend: String,
    /// How the delays of the links are known: `measured` before the trial, `unverified`, or `exact`
    /// (simulated).
    pub network: String,
    /// The region of the clients.
    pub client_region: String,
    /// `write`, `read` or `control`.
    pub operation: String,
    /// Operations that were answered.
    pub answered_count: u64,
    /// Operations that were not answered.
    pub unanswered_count: u64,
    /// The least latency.
    pub latency_ns_min: Option<u64>,
    /// The mean latency; empty if an operation was not answered.
    pub latency_ns_mean: Option<u64>,
    /// The median latency.
    pub latency_ns_p50: Option<u64>,
    /// The 90th percentile; empty below 100 operations.
    pub latency_ns_p90: Option<u64>,
    /// The 95th percentile; empty below 200 operations.
    pub latency_ns_p95: Option<u64>,
    /// The 99th percentile; empty below 1,000 operations.
    pub latency_ns_p99: Option<u64>,
    /// The 99.9th percentile; empty below 10,000 operations.
    pub latency_ns_p999: Option<u64>,
    /// The greatest latency; empty if an operation was not answered.
    pub latency_ns_max: Option<u64>,
    /// The floor: the least latency that the protocol can have with these links, at the median.
    pub floor_ns_p50: Option<u64>,
    /// The floor at the 99th percentile.
    pub floor_ns_p99: Option<u64>,
    /// The median latency minus its floor; negative below the floor.
    pub residual_ns_p50: Option<i64>,
    /// The 99th percentile minus its floor; it includes every queue.
    pub residual_ns_p99: Option<i64>,
    /// The lower end of the 95 % interval of the median within the trial.
    pub latency_ns_p50_low: Option<u64>,
    /// The upper end of the 95 % interval of the median within the trial.
    pub latency_ns_p50_high: Option<u64>,
    /// The lower end of the 95 % interval of the 99th percentile within the trial.
    pub latency_ns_p99_low: Option<u64>,
    /// The upper end of the 95 % interval of the 99th percentile within the trial; empty if there are too
    /// few operations to bound it.
    pub latency_ns_p99_high: Option<u64>,
    /// The longest time that all clients of a closed loop waited for an answer; empty if it does not hide a
    /// pause.
    pub blocked_ns: Option<u64>,
    /// The median latency that an open loop would have measured, by the correction for coordinated
    /// omission; empty where `blocked_ns` is.
    pub open_loop_ns_p50: Option<u64>,
    /// The 99th percentile that an open loop would have measured; empty where `blocked_ns` is.
    pub open_loop_ns_p99: Option<u64>,
}

impl LatencyRow {
    /// The row of one histogram; `floors` are those of the median and of the 99th percentile; how the
    /// network is known is for the caller to say.
    pub fn new(
        key: &TrialKey,
        client_region: &str,
        operation: &str,
        latencies: &Latencies,
        floors: Option<(Span, Span)>,
    ) -> Self {
        let TrialKey { trial, variant, point, backend } = key.clone();
        let summary = Summary::of(latencies);
        let (floor_p50, floor_p99) = floors.unzip();
        Self {
            trial,
            variant,
            point,
            backend,
            network: String::new(),
            client_region: client_region.to_owned(),
            operation: operation.to_owned(),
            answered_count: summary.count,
            unanswered_count: summary.unanswered_count,
            latency_ns_min: summary.min,
            latency_ns_mean: summary.mean,
            latency_ns_p50: summary.p50,
            latency_ns_p90: summary.p90,
            latency_ns_p95: summary.p95,
            latency_ns_p99: summary.p99,
            latency_ns_p999: summary.p999,
            latency_ns_max: summary.max,
            floor_ns_p50: floor_p50.map(|floor| floor.0),
            floor_ns_p99: floor_p99.map(|floor| floor.0),
            residual_ns_p50: residual_ns(summary.p50, floor_p50),
            residual_ns_p99: residual_ns(summary.p99, floor_p99),
            latency_ns_p50_low: summary.p50_low,
            latency_ns_p50_high: summary.p50_high,
            latency_ns_p99_low: summary.p99_low,
            latency_ns_p99_high: summary.p99_high,
            blocked_ns: None,
            open_loop_ns_p50: None,
            open_loop_ns_p99: None,
        }
    }

    /// Adds what the closed loop omits: the latencies that an open loop would have measured.
    #[must_use]
    pub fn with_omission(self, open_loop: &Latencies, omission: Omission) -> Self {
        let open_loop = Summary::of(open_loop);
        Self {
            blocked_ns: Some(omission.blocked.0),
            open_loop_ns_p50: open_loop.p50,
            open_loop_ns_p99: open_loop.p99,
            ..self
        }
    }
}

/// A latency less its floor, where there are both.
fn residual_ns(latency_ns: Option<u64>, floor: Option<Span>) -> Option<i64> {
    let signed = |ns: u64| i64::try_from(ns).unwrap_or(i64::MAX);
    Some(signed(latency_ns?) - signed(floor?.0))
}
