//! The row of `timeline.csv`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{TrialKey, thousandths};
use crate::measure::TimelinePoint;

/// One interval of the window of a trial, for figures: one row for each client region and operation.
///
/// An interval is as long as `workload.interval` says; if it says nothing a second, or a tenth of a second in a
/// trial with a fault. The last one ends with the window.
/// Answers after the window are in no interval.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TimelineRow {
    /// Which trial of the run, from 1.
    pub trial: u32,
    /// The variant's name.
    pub variant: String,
    /// What is swept, and its values here: `clients=16 mode=fsync`; empty if nothing is.
    pub point: String,
    /// `live` or `sim`.
    pub backend: String,
    /// The region of the clients.
    pub client_region: String,
    /// `write`, `read` or `control`.
    pub operation: String,
    /// From the start of the window to the start of the interval.
    pub start_ns: u64,
    /// The length of the interval.
    pub interval_ns: u64,
    /// The faults that begin or last in the interval, separated by `;`: each is its kind and the replicas
    /// that it hits, `crash r0` or `partition r0+r2`.
    pub faults: String,
    /// Operations that returned in the interval, whenever they were intended.
    pub returned_count: u64,
    /// Operations that were intended in the interval and never answered; they rank as infinite.
    pub unanswered_count: u64,
    /// Operations that returned in the interval, a second.
    #[serde(serialize_with = "thousandths")]
    #[schemars(with = "f64")]
    pub throughput_per_s: f64,
    /// The median latency of those operations that were intended in the window; empty where there are none.
    pub latency_ns_p50: Option<u64>,
    /// The 99th percentile of these latencies; empty below 1,000 of them.
    pub latency_ns_p99: Option<u64>,
    /// The greatest of these latencies; empty if an operation was never answered.
    pub latency_ns_max: Option<u64>,
}

impl TimelineRow {
    /// The row of one interval.
    pub fn new(
        key: &TrialKey,
        client_region: &str,
        operation: &str,
        interval: &TimelinePoint,
    ) -> Self {
        let TrialKey { trial, variant, point, backend } = key.clone();
        let latencies = &interval.latencies;
        // A whole summary looks at every bucket of a quarter of a megabyte several times.
        let percentile = |share| latencies.percentile(share)?.known().map(|span| span.0);
        Self {
            trial,
            variant,
            point,
            backend,
            client_region: client_region.to_owned(),
            operation: operation.to_owned(),
            start_ns: interval.start.0,
            interval_ns: interval.length.0,
            faults: String::new(),
            returned_count: interval.returned_count,
            unanswered_count: latencies.unanswered_count(),
            throughput_per_s: interval.returned_count as f64 * 1e9 / interval.length.0 as f64,
            latency_ns_p50: percentile(0.5),
            latency_ns_p99: percentile(0.99),
            latency_ns_max: latencies.max().map(|span| span.0),
        }
    }
}
