//! Larger deployments, for a search of minutes: none of them is explored to its end.

use super::{R0, R1, R2, R3, election, families, flexible_four, snapshot};
use crate::protocol::SendPolicy;
use crate::quorum::{Line, NodeId, NodeSet, QuorumSystem};
use crate::registry::preset::{Budgets, Cover, Preset, ProgressFrom, Setup};

const R4: NodeId = NodeId(4);

pub(super) fn presets() -> Vec<Preset> {
    vec![five(), two_successors(), grid_crash(), explicit_crash(), announced_snapshot(), doubts()]
}

/// A rival leads while the leader crashes; progress is asked for where nothing is in flight.
fn race(name: &'static str, about: &'static str, quorums: QuorumSystem, rival: NodeId) -> Preset {
    let Preset { setup, .. } = families::race(name, about, quorums, rival);
    Preset {
        name,
        about,
        setup: Setup {
            send: SendPolicy::All,
            budgets: Budgets { campaigns: 1, crashes: 1, ..Budgets::default() },
            crashable: NodeSet::only(R0),
            progress: ProgressFrom::QuietStates,
            ..setup
        },
    }
}

fn five() -> Preset {
    let quorums = QuorumSystem::counts(5, 4, 2).expect("4 and 2 are of 5");
    race(
        "deep-five",
        "five replicas, Q1 = 4 and Q2 = 2: another leads, and the leader crashes",
        quorums,
        R4,
    )
}

fn two_successors() -> Preset {
    let Preset { name, about, setup } = race(
        "deep-successors",
        "two replicas in turn lead in place of the first, which crashes",
        QuorumSystem::majority(3),
        R1,
    );
    let budgets = Budgets { campaigns: 2, ..setup.budgets };
    let campaigners = [R1, R2].into_iter().collect();
    Preset { name, about, setup: Setup { budgets, campaigners, ..setup } }
}

fn grid_crash() -> Preset {
    let lines = [Line::OneOfEachRow, Line::Row];
    let quorums = QuorumSystem::grid(4, [2, 2], lines).expect("two by two are four");
    race("deep-grid", "the grid of four, and the leader crashes", quorums, R3)
}

fn explicit_crash() -> Preset {
    let Preset { setup, .. } = flexible_four();
    let about = "the quorums of flexible-four asked of everybody, and the leader crashes";
    race("deep-explicit", about, setup.quorums, R3)
}

fn announced_snapshot() -> Preset {
    let Preset { setup, .. } = snapshot();
    Preset {
        name: "deep-snapshot",
        about: "a replica that missed a write campaigns, while each ballot has a phase-2 quorum of its own",
        setup: Setup {
            quorums: QuorumSystem::per_ballot(3, 2).expect("two are of three"),
            budgets: Budgets { crashes: 1, ..setup.budgets },
            crashable: NodeSet::only(R1),
            progress: ProgressFrom::QuietStates,
            covers: &[Cover::Answered, Cover::LeaderChanged],
            ..setup
        },
    }
}

fn doubts() -> Preset {
    let Preset { setup, .. } = election();
    Preset {
        name: "deep-election",
        about: "two elections, rightly or not, and the leader crashes",
        setup: Setup {
            budgets: Budgets { timers: 2, crashes: 1, ..Budgets::default() },
            crashable: NodeSet::only(R0),
            covers: &[Cover::Chosen, Cover::Answered, Cover::LeaderChanged, Cover::Adopted],
            ..setup
        },
    }
}
