//! Presets of reads that do not go through the log.

use super::{R0, R3, Registered, multi, once};
use crate::paxos::{Mode, Reads};
use crate::quorum::QuorumSystem;
use crate::registry::preset::{Budgets, Cover, Prelude, Preset, Script, Setup};

/// Two phase-2 quorums of this system need not meet, so a read that is content with one may miss the write.
pub(super) fn quorum_read() -> Preset {
    Preset {
        name: "quorum-read",
        about: "a write at the leader of four, and a read at the replica that hears of it last",
        setup: Setup {
            quorums: QuorumSystem::counts(4, 3, 2).expect("counts from 1 to 4"),
            mode: Registered::Paxos(Mode::Multi { leader: R0, reads: Reads::Quorum }),
            clients: vec![once(R0), Script { is_reader: true, ..once(R3) }],
            is_one_key: true,
            budgets: Budgets::default(),
            prelude: Prelude::Led,
            covers: &[Cover::Chosen, Cover::Answered],
            ..multi(4)
        },
    }
}
