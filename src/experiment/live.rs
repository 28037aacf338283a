//! From a trial of the plan to what the cluster deploys.

use super::file;
use super::plan::{Plan, Target, Trial};
use crate::deployment::{Deployment, Fault, Harm, Unsynced};
use crate::paxos::Mode;
use crate::quorum::NodeId;
use crate::runtime::net::{Congestion, Transport};

/// What `trial` deploys.
pub(super) fn deployment(plan: &Plan, trial: &Trial) -> Deployment {
    let variant = plan.variant(trial);
    let point = plan.point(trial);
    let leader = match variant.mode {
        Mode::Multi { leader } => Some(leader),
        Mode::Classic => None,
    };
    let faults = plan.faults.iter().filter_map(|fault| {
        let replica: NodeId = match fault.target {
            Target::Replica(replica) => replica,
            // Classic Paxos has no leader to crash.
            Target::Leader => leader?,
        };
        let harm = Harm::Crash { replica, unsynced: Unsynced::default() };
        Some(Fault { at: fault.at, harm, heals_after: fault.restart_after })
    });
    Deployment {
        mode: variant.mode,
        quorums: variant.quorums.clone(),
        send: variant.send,
        links: plan.links.clone(),
        workload: point.workload.clone(),
        durability: point.durability,
        seed: trial.seed,
        warmup: plan.warmup,
        duration: plan.duration,
        drain: plan.drain,
        faults: faults.collect(),
    }
}

pub(super) fn transport(congestion: file::Congestion) -> Transport {
    let fixed = Transport::default();
    let congestion = match congestion {
        file::Congestion::Fixed => fixed.congestion,
        file::Congestion::Cubic => Congestion::Cubic,
        file::Congestion::NewReno => Congestion::NewReno,
        file::Congestion::Bbr => Congestion::Bbr,
    };
    Transport { congestion, ..fixed }
}
