//! The schema of every results CSV: one struct a table, one field a column, and nothing else is.
//!
//! A column is a plain number in the unit that its name ends with, the aggregate after the unit.
//! `None` is written as nothing: it was not measured, or it falls among operations that were never
//! answered, which is not zero.
//! A change here is a change of [`SCHEMA_VERSION`]; the test below holds the headers.

mod flag;
pub use flag::{Flag, Note};
mod history;
pub use history::HistoryRow;
mod recovery;
pub use recovery::RecoveryRow;
mod trial;
pub use trial::TrialRow;

use serde::{Deserialize, Serialize, Serializer};

use super::{Latencies, Omission, Phase, Summary, TimelinePoint};
use crate::time::Span;

/// The version of all tables, written into the manifest.
pub const SCHEMA_VERSION: u32 = 6;

/// The latencies of one trial, client region and operation: a row of `latency.csv`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LatencyRow {
    /// Which trial of the run, from 0.
    pub trial: u32,
    /// The variant's name.
    pub variant: String,
    /// `live` or `sim`.
    pub backend: String,
    /// How the delays of the links are known: `measured` before the trial, `unverified`, or `exact`.
    pub network: String,
    /// Where the clients are.
    pub client_region: String,
    /// `write` or `read`.
    pub operation: String,
    /// How many operations were answered.
    pub count: u64,
    /// How many were not. They rank as infinite: what falls among them is empty.
    pub unanswered_count: u64,
    /// The least latency.
    pub latency_ns_min: Option<u64>,
    /// The mean.
    pub latency_ns_mean: Option<u64>,
    /// The median.
    pub latency_ns_p50: Option<u64>,
    /// The 90th percentile; empty below 100 operations.
    pub latency_ns_p90: Option<u64>,
    /// The 95th percentile; empty below 200 operations.
    pub latency_ns_p95: Option<u64>,
    /// The 99th percentile; empty below 1,000 operations.
    pub latency_ns_p99: Option<u64>,
    /// The 99.9th percentile; empty below 10,000 operations.
    pub latency_ns_p999: Option<u64>,
    /// The greatest latency.
    pub latency_ns_max: Option<u64>,
    /// The least latency that the protocol can have with these links, at the median.
    pub floor_ns_p50: Option<u64>,
    /// The same at the 99th percentile.
    pub floor_ns_p99: Option<u64>,
    /// The median less its floor; negative if it is below.
    pub residual_ns_p50: Option<i64>,
    /// The 99th percentile less its floor.
    pub residual_ns_p99: Option<i64>,
    /// The lower end of the 95 % interval of the median within the trial.
    pub latency_ns_p50_low: Option<u64>,
    /// Its upper end.
    pub latency_ns_p50_high: Option<u64>,
    /// The lower end of the 95 % interval of the 99th percentile within the trial.
    pub latency_ns_p99_low: Option<u64>,
    /// Its upper end; empty when the sample is too small to bound it.
    pub latency_ns_p99_high: Option<u64>,
    /// Of a closed loop that omits a pause: how long all its clients waited for an answer, at the longest.
    pub blocked_ns: Option<u64>,
    /// The median that an open loop would have measured, by the correction for coordinated omission.
    pub open_loop_ns_p50: Option<u64>,
    /// The 99th percentile that it would have.
    pub open_loop_ns_p99: Option<u64>,
}

/// Where a commit's time went at one replica: a row of `phases.csv`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PhaseRow {
    /// Which trial of the run, from 0.
    pub trial: u32,
    /// The variant's name.
    pub variant: String,
    /// `live` or `sim`.
    pub backend: String,
    /// Which replica.
    pub replica: u8,
    /// Where it is.
    pub region: String,
    /// `queueing`, `phase1`, `phase2`, `persist` or `reply`.
    pub phase: String,
    /// How many operations.
    pub count: u64,
    /// The least duration of it.
    pub latency_ns_min: Option<u64>,
    /// The mean.
    pub latency_ns_mean: Option<u64>,
    /// The median.
    pub latency_ns_p50: Option<u64>,
    /// The 90th percentile; empty below 100 operations.
    pub latency_ns_p90: Option<u64>,
    /// The 95th percentile; empty below 200 operations.
    pub latency_ns_p95: Option<u64>,
    /// The 99th percentile; empty below 1,000 operations.
    pub latency_ns_p99: Option<u64>,
    /// The 99.9th percentile; empty below 10,000 operations.
    pub latency_ns_p999: Option<u64>,
    /// The greatest duration.
    pub latency_ns_max: Option<u64>,
}

/// One step of a distribution: a row of `percentiles.csv`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PercentileRow {
    /// Which trial of the run, from 0.
    pub trial: u32,
    /// The variant's name.
    pub variant: String,
    /// `live` or `sim`.
    pub backend: String,
    /// Where the clients are.
    pub client_region: String,
    /// `write` or `read`.
    pub operation: String,
    /// The share of operations that are not slower.
    pub quantile: f64,
    /// What they do not exceed; empty where that falls among operations without an answer.
    pub latency_ns: Option<u64>,
}

/// One interval of a trial: a row of `timeline.csv`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TimelineRow {
    /// Which trial of the run, from 0.
    pub trial: u32,
    /// The variant's name.
    pub variant: String,
    /// `live` or `sim`.
    pub backend: String,
    /// Where the clients are.
    pub client_region: String,
    /// `write` or `read`.
    pub operation: String,
    /// The start of the interval, from the start of the window.
    #[serde(serialize_with = "thousandths")]
    pub second: f64,
    /// Its length: 1, and in a trial with a fault 0.1; the last one ends with the window.
    #[serde(serialize_with = "thousandths")]
    pub interval_s: f64,
    /// The faults that begin or last in it, separated by `;`: `crash us-east-1`.
    pub fault: String,
    /// Operations that returned in it, whenever they were intended.
    pub count: u64,
    /// Operations that were intended in it and never answered: they rank as infinite.
    pub unanswered_count: u64,
    /// The same, a second.
    #[serde(serialize_with = "thousandths")]
    pub throughput_per_s: f64,
    /// The median latency of those that were intended in the window; empty where there are none.
    pub latency_ns_p50: Option<u64>,
    /// Their 99th percentile; empty below 1,000 of them.
    pub latency_ns_p99: Option<u64>,
    /// The greatest; empty if one of them was never answered.
    pub latency_ns_max: Option<u64>,
}

/// One process of a trial: a row of `members.csv`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MemberRow {
    /// Which trial of the run, from 0.
    pub trial: u32,
    /// The variant's name.
    pub variant: String,
    /// `live` or `sim`.
    pub backend: String,
    /// Its name.
    pub member: String,
    /// Where it is.
    pub region: String,
    /// `replica` or `client`.
    pub role: String,
    /// How it ended: `finished`, `crashed` (as asked), `lost`, or `refused` with its trial.
    pub outcome: String,
    /// Processor time, user and system.
    #[serde(serialize_with = "option_thousandths")]
    pub cpu_s: Option<f64>,
    /// The peak of its resident memory.
    pub memory_peak_bytes: Option<u64>,
    /// Slots that it executed; empty for a client.
    pub executed_count: Option<u64>,
    /// Syncs of its acceptor log; empty for a client.
    pub sync_count: Option<u64>,
    /// How often it was started; empty for a client.
    pub start_count: Option<u64>,
    /// Groups of records that it found in its acceptor log when it was started again; empty for a client.
    pub recovered_group_count: Option<u64>,
    /// The scheduling that its link emulation obtained: `fifo` or `normal`; empty where there is none.
    pub scheduling: String,
    /// The share of one processor that it used in the window; empty where members share a process.
    #[serde(serialize_with = "option_thousandths")]
    pub cpu_share: Option<f64>,
    /// How long its threads were ready and had no processor, as a share of the window; empty where
    /// members share a process.
    #[serde(serialize_with = "option_thousandths")]
    pub run_queue_share: Option<f64>,
    /// How late the alarm of its event loop rang in the window: the median.
    pub timer_slip_ns_p50: Option<u64>,
    /// The 99th percentile of that.
    pub timer_slip_ns_p99: Option<u64>,
    /// The greatest of that.
    pub timer_slip_ns_max: Option<u64>,
    /// Datagrams that its links released in the window.
    pub link_released_count: Option<u64>,
    /// Of those, how many left more than 300 us after they were due.
    pub link_late_count: Option<u64>,
    /// The share of its host's processors that was busy in the window, with whatever.
    #[serde(serialize_with = "option_thousandths")]
    pub host_busy_share: Option<f64>,
    /// The share of them that another virtual machine took.
    #[serde(serialize_with = "option_thousandths")]
    pub host_stolen_share: Option<f64>,
    /// Why it was lost; empty if it was not.
    pub cause: String,
}

/// One directed link as asked for and as one attempt before the trial measured it: a row of `links.csv`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LinkRow {
    /// Which trial of the run, from 0.
    pub trial: u32,
    /// The variant's name.
    pub variant: String,
    /// `live`: simulated links are what was asked for.
    pub backend: String,
    /// The sender.
    pub from: String,
    /// The receiver.
    pub to: String,
    /// Where the sender is.
    pub from_region: String,
    /// Where the receiver is.
    pub to_region: String,
    /// The one-way delay asked for: the median.
    pub asked_ns_p50: u64,
    /// Its 99th percentile.
    pub asked_ns_p99: u64,
    /// What the path takes by itself, which is taken off the emulated delay; empty if not measured.
    pub baseline_ns: Option<u64>,
    /// Frames that arrived in time.
    pub measured_count: u32,
    /// Frames that did not; empty if the receiver said nothing.
    pub missing_count: Option<u32>,
    /// The median one-way delay measured.
    pub measured_ns_p50: Option<u64>,
    /// Its 99th percentile.
    pub measured_ns_p99: Option<u64>,
    /// The lower end of its 95 % interval, by which the link is judged.
    pub measured_ns_p99_low: Option<u64>,
    /// Measured less asked, at the median.
    pub error_ns_p50: Option<i64>,
    /// Measured less asked, at the 99th percentile.
    pub error_ns_p99: Option<i64>,
    /// How far off each may be.
    pub tolerance_ns: u64,
    /// Datagrams sent in trains, which show their order.
    pub train_count: Option<u32>,
    /// Of those, how many came after one that was sent later.
    pub overtaken_count: Option<u32>,
    /// Of those, how many never came.
    pub lost_count: Option<u32>,
    /// It is the link that was asked for, or as near to it as its path allows.
    pub is_within: bool,
    /// It is asked to be faster than its path.
    pub is_floored: bool,
    /// Attempts of the trial's probe; the trial ran on the last one, if it found every link as asked.
    pub attempts: u32,
    /// Which of them this row is of, from 1.
    pub attempt: u32,
}

/// What the rows of one trial begin with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrialKey {
    /// Which trial of the run, from 0.
    pub trial: u32,
    /// The variant's name.
    pub variant: String,
    /// `live` or `sim`.
    pub backend: String,
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
        let TrialKey { trial, variant, backend } = key.clone();
        let summary = Summary::of(latencies);
        let (floor_p50, floor_p99) = floors.unzip();
        Self {
            trial,
            variant,
            backend,
            network: String::new(),
            client_region: client_region.to_owned(),
            operation: operation.to_owned(),
            count: summary.count,
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

impl PhaseRow {
    /// The row of one phase at one replica.
    pub fn new(
        key: &TrialKey,
        replica: u8,
        region: &str,
        phase: Phase,
        durations: &Latencies,
    ) -> Self {
        let TrialKey { trial, variant, backend } = key.clone();
        let summary = Summary::of(durations);
        Self {
            trial,
            variant,
            backend,
            replica,
            region: region.to_owned(),
            phase: phase.name().to_owned(),
            count: summary.count,
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

impl PercentileRow {
    /// The rows of one histogram: see [`super::ccdf`].
    pub fn of(
        key: &TrialKey,
        client_region: &str,
        operation: &str,
        latencies: &Latencies,
    ) -> Vec<Self> {
        let row = |(quantile, latency): (f64, Option<Span>)| {
            let TrialKey { trial, variant, backend } = key.clone();
            let (client_region, operation) = (client_region.to_owned(), operation.to_owned());
            let latency_ns = latency.map(|latency| latency.0);
            Self { trial, variant, backend, client_region, operation, quantile, latency_ns }
        };
        super::ccdf(latencies).into_iter().map(row).collect()
    }
}

impl TimelineRow {
    /// The row of one interval.
    pub fn new(
        key: &TrialKey,
        client_region: &str,
        operation: &str,
        point: &TimelinePoint,
    ) -> Self {
        let TrialKey { trial, variant, backend } = key.clone();
        let summary = Summary::of(&point.latencies);
        let seconds = |span: Span| span.0 as f64 / 1e9;
        Self {
            trial,
            variant,
            backend,
            client_region: client_region.to_owned(),
            operation: operation.to_owned(),
            second: seconds(point.start),
            interval_s: seconds(point.length),
            fault: String::new(),
            count: point.returned_count,
            unanswered_count: summary.unanswered_count,
            throughput_per_s: point.returned_count as f64 / seconds(point.length),
            latency_ns_p50: summary.p50,
            latency_ns_p99: summary.p99,
            latency_ns_max: summary.max,
        }
    }
}

/// A number to three decimals: what lies behind them is noise, and a table should be readable.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for this signature")]
fn thousandths<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((value * 1e3).round() / 1e3)
}

/// The same for a number that may not have been measured; one that is not finite was not.
#[expect(clippy::ref_option, reason = "serde asks for this signature")]
fn option_thousandths<S: Serializer>(
    value: &Option<f64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value.filter(|value| value.is_finite()) {
        Some(value) => serializer.serialize_some(&((value * 1e3).round() / 1e3)),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
