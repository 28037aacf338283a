//! Presets of replicas that take only a part.

use super::{R0, R1, R2, multi, once};
use crate::protocol::Retention;
use crate::quorum::{NodeSet, QuorumSystem};
use crate::registry::preset::{Budgets, Cover, Prelude, Preset, Setup};

/// r0 and the witness r1 chose a write of which r2 has heard nothing. r0 forgets what it has executed, and may die for
/// good: then r2 must learn the write from the vote of the witness.
pub(super) fn witness() -> Preset {
    Preset {
        name: "witness",
        about: "a witness votes and stores no state: the only other replica may be dead, or have forgotten",
        setup: Setup {
            quorums: QuorumSystem::majority(3).with_witnesses(NodeSet::only(R1)),
            clients: vec![once(R0), once(R2)],
            budgets: Budgets { campaigns: 1, checkpoints: 2, crashes: 1, ..Budgets::default() },
            crashable: NodeSet::only(R0),
            is_restarted: false,
            campaigners: NodeSet::only(R2),
            retention: Retention { slots: Some(0), ..Retention::ALL },
            prelude: Prelude::Missed,
            covers: &[Cover::Answered, Cover::LeaderChanged, Cover::Adopted, Cover::Installed],
            ..multi(3)
        },
    }
}
