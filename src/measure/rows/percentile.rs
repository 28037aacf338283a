//! The row of `percentiles.csv`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::TrialKey;
use crate::measure::{Latencies, ccdf};
use crate::time::Span;

/// One step of the distribution of latencies, for figures: one row for each trial, client region, operation
/// and share.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PercentileRow {
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
    /// The share of operations whose latency is at most `latency_ns`: the quantile.
    pub not_slower_share: f64,
    /// The latency that this share of the operations does not exceed; empty where it falls among operations
    /// without an answer.
    pub latency_ns: Option<u64>,
}

impl PercentileRow {
    /// The rows of one histogram: see [`ccdf`].
    pub fn of(
        key: &TrialKey,
        client_region: &str,
        operation: &str,
        latencies: &Latencies,
    ) -> Vec<Self> {
        let row = |(not_slower_share, latency): (f64, Option<Span>)| {
            let TrialKey { trial, variant, point, backend } = key.clone();
            let (client_region, operation) = (client_region.to_owned(), operation.to_owned());
            let latency_ns = latency.map(|latency| latency.0);
            Self {
                trial,
                variant,
                point,
                backend,
                client_region,
                operation,
                not_slower_share,
                latency_ns,
            }
        };
        ccdf(latencies).into_iter().map(row).collect()
    }
}
