//! From a trial of the plan to what the cluster deploys.

use crate::deployment::Deployment;
use crate::experiment::plan::Plan;
use crate::experiment::trial::Trial;

/// What `trial` deploys.
pub(super) fn deployment(plan: &Plan, trial: &Trial) -> Deployment {
    let (variant, point) = (plan.variant(trial), plan.point(trial));
    Deployment {
        mode: variant.mode,
        quorums: variant.quorums.clone(),
        election: point.election,
        send: variant.send,
        links: point.links.clone(),
        network: point.network,
        workload: point.workload.clone(),
        control: point.control,
        clock_error: point.clock_error,
        durability: point.durability,
        retention: point.retention,
        seed: trial.seed,
        warmup: point.warmup,
        duration: point.duration,
        drain: point.drain,
        interval: point.interval,
        retry_after: Some(point.retry_after),
        faults: variant.faults.clone(),
    }
}
