//! The rows of `summary.csv`: the comparison for programs, with whole nanoseconds.

use super::comparison::{groups, kinds_of_client, mean, merged};
use super::outline::Outline;
use crate::findings::Finished;
use crate::measure::rows::SummaryRow;
use crate::measure::{Figure, OperationKind, Summary};

/// One row for each point, variant, backend, client region and kind of operation, in that order.
pub fn rows(plan: &Outline, finished: &[Finished]) -> Vec<SummaryRow> {
    let mut rows = Vec::new();
    for trials in groups(finished).values() {
        for client in 0..plan.point(&trials[0].trial).client_regions.len() {
            let kinds = kinds_of_client(trials, client);
            rows.extend(kinds.into_iter().map(|operation| row(plan, trials, client, operation)));
        }
    }
    rows
}

fn row(
    plan: &Outline,
    trials: &[&Finished],
    client: usize,
    operation: OperationKind,
) -> SummaryRow {
    let Finished { trial, backend, .. } = trials[0];
    let (point, variant) = (plan.point(trial), plan.variant(trial));
    let valid: Vec<&Finished> = trials.iter().copied().filter(|ended| ended.row.valid).collect();
    let (merged, medians) = merged(valid.iter().copied(), client, operation, false);
    let merged = Summary::of(&merged);
    let floor = variant.floor(client, operation);
    let saturated = valid.iter().filter(|ended| ended.row.saturated == Some(true));
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let size = |size: usize| u16::try_from(size).unwrap_or(u16::MAX);
    SummaryRow {
        point: point.label.clone(),
        variant: variant.name.clone(),
        backend: backend.name().to_owned(),
        client_region: point.client_regions[client].clone(),
        operation: operation.name().to_owned(),
        trial_count: count(trials.len()),
        valid_count: count(valid.len()),
        saturated_count: count(saturated.count()),
        q1: size(variant.q1),
        q2: size(variant.q2),
        offered_per_s: mean(&valid, |ended| ended.row.offered_per_s),
        achieved_per_s: mean(&valid, |ended| ended.row.achieved_per_s),
        attempts_per_write: mean(&valid, |ended| ended.row.attempts_per_write),
        answered_count: merged.count,
        unanswered_count: merged.unanswered_count,
        floor_ns_p50: floor.map(|floor| floor.p50.0),
        floor_ns_p99: floor.map(|floor| floor.p99.0),
        latency_ns_p50: merged.p50,
        latency_ns_p90: merged.p90,
        latency_ns_p99: merged.p99,
        latency_ns_p999: merged.p999,
        spread_ns_p50: spread_ns(&medians),
    }
}

/// Between the least and the greatest of several medians, all of which are known.
fn spread_ns(medians: &[Figure]) -> Option<u64> {
    let known: Vec<u64> =
        medians.iter().map(|median| Some(median.known()?.0)).collect::<Option<_>>()?;
    let (least, most) = (known.iter().min()?, known.iter().max()?);
    (known.len() > 1).then(|| most - least)
}
