//! Presets about the ballot of a leader: one that is refused, and phase-2 quorums that it announces.

use super::{R0, R1, R2, R3, multi, once};
use crate::protocol::SendPolicy;
use crate::quorum::{NodeSet, QuorumSystem};
use crate::registry::preset::{Budgets, Cover, Prelude, Preset, ProgressFrom, Setup};

/// A majority of three is enough to learn what was announced, and r0 alone to vote: another one leads when
/// it has heard of r0 itself.
pub(super) fn per_ballot() -> Preset {
    Preset {
        name: "per-ballot",
        about: "each ballot has a phase-2 quorum of its own, of one replica, which a later phase 1 must meet",
        setup: Setup {
            quorums: QuorumSystem::per_ballot(3, 1).expect("one is of three"),
            clients: vec![once(R0), once(R1)],
            budgets: Budgets { campaigns: 1, ..Budgets::default() },
            campaigners: NodeSet::only(R1),
            prelude: Prelude::Led,
            covers: &[Cover::Chosen, Cover::Answered, Cover::LeaderChanged, Cover::Adopted],
            ..multi(3)
        },
    }
}

/// r3 campaigns and dies, and one of those it asked is never reached: one acceptor may refuse r0 for ever.
pub(super) fn refused() -> Preset {
    Preset {
        name: "refused",
        about: "an acceptor has promised a candidate that dies: the leader must get its votes again",
        setup: Setup {
            quorums: QuorumSystem::counts(4, 3, 2).expect("3 and 2 are of 4"),
            send: SendPolicy::Quorum,
            budgets: Budgets { crashes: 1, campaigns: 1, drops: 1, ..Budgets::default() },
            crashable: NodeSet::only(R3),
            is_restarted: false,
            campaigners: NodeSet::only(R3),
            prelude: Prelude::Led,
            covers: &[Cover::Chosen, Cover::Answered, Cover::Refused],
            ..multi(4)
        },
    }
}

/// The ballot of r0 announced {r0, r1}, and nobody is told to lead instead.
pub(super) fn hung_member() -> Preset {
    Preset {
        name: "hung-member",
        about: "a member of the announced phase-2 quorum is down for good: the leader announces another",
        setup: Setup {
            quorums: QuorumSystem::per_ballot(3, 2).expect("two are of three"),
            budgets: Budgets { crashes: 1, timers: 1, ..Budgets::default() },
            crashable: NodeSet::only(R1),
            is_restarted: false,
            prelude: Prelude::Led,
            covers: &[Cover::Chosen, Cover::Answered, Cover::Retransmitted],
            ..multi(3)
        },
    }
}

/// r2 has heard nothing of the first write, which r0 alone has voted for. r1 leads, and has asked everybody
/// to settle its ballot; r2 leads next.
pub(super) fn settling() -> Preset {
    Preset {
        name: "settling",
        about: "what an earlier ballot announced is forgotten, and the leader that settles may crash",
        setup: Setup {
            quorums: QuorumSystem::per_ballot(3, 1).expect("one is of three"),
            send: SendPolicy::Quorum,
            clients: vec![once(R0), once(R2)],
            budgets: Budgets { campaigns: 1, crashes: 1, ..Budgets::default() },
            crashable: NodeSet::only(R1),
            campaigners: NodeSet::only(R2),
            prelude: Prelude::Succeeded,
            progress: ProgressFrom::QuietStates,
            covers: &[Cover::Answered, Cover::LeaderChanged, Cover::Recovered],
            ..multi(3)
        },
    }
}

/// r0 may crash before its own promise of its second ballot is durable, when others have voted at that.
pub(super) fn reservation() -> Preset {
    Preset {
        name: "reservation",
        about: "a leader loses its own promise in a crash: it must not use its ballot again; not to the end",
        setup: Setup {
            clients: vec![once(R0), once(R0)],
            depth: Some(14),
            budgets: Budgets { crashes: 1, ..Budgets::default() },
            crashable: NodeSet::only(R0),
            prelude: Prelude::Renewed,
            covers: &[Cover::Chosen, Cover::Answered, Cover::RecordLost, Cover::Recovered],
            ..multi(3)
        },
    }
}

/// The same, and which rounds r0 may have used it finds in a checkpoint alone.
pub(super) fn checkpoint() -> Preset {
    Preset {
        name: "checkpoint",
        about: "a leader starts from a checkpoint: it must not use a ballot again; not to the end",
        setup: Setup {
            clients: vec![once(R0), once(R0)],
            depth: Some(12),
            budgets: Budgets { crashes: 1, ..Budgets::default() },
            crashable: NodeSet::only(R0),
            prelude: Prelude::Checkpointed,
            covers: &[Cover::Answered, Cover::RecordLost, Cover::Recovered],
            ..multi(3)
        },
    }
}

/// r0 may crash before anything of it is durable, and is then as new.
pub(super) fn first_ballot() -> Preset {
    Preset {
        name: "first-ballot",
        about: "a leader crashes while its first reservation is on its way to the disk",
        setup: Setup {
            budgets: Budgets { crashes: 1, ..Budgets::default() },
            crashable: NodeSet::only(R0),
            prelude: Prelude::Starting,
            covers: &[Cover::Chosen, Cover::Answered, Cover::RecordLost, Cover::Recovered],
            ..multi(3)
        },
    }
}

/// r1 alone is a phase-2 quorum. It may lead with the promise of r0, which takes itself for the leader still, and choose
/// another value than the one for which r2 votes.
///
/// Majorities of three cannot show this: there r1 needs the vote of r2 itself.
pub(super) fn lost_slot() -> Preset {
    Preset {
        name: "lost-slot",
        about: "a leader asked for what it missed, and learns from the late answer that it lost a slot",
        setup: Setup {
            quorums: QuorumSystem::weighted(&[1, 2, 1], [3, 2]).expect("3 and 2 are within 4"),
            clients: vec![once(R0), once(R1)],
            budgets: Budgets { campaigns: 1, crashes: 1, ..Budgets::default() },
            crashable: NodeSet::only(R0),
            campaigners: NodeSet::only(R1),
            prelude: Prelude::Rejoined,
            covers: &[Cover::Chosen, Cover::Answered, Cover::LeaderChanged, Cover::Taught],
            ..multi(3)
        },
    }
}

/// An acceptor whose promise the next leader needs may have lost what was announced to it.
pub(super) fn per_ballot_crash() -> Preset {
    let Preset { setup, .. } = per_ballot();
    Preset {
        name: "per-ballot-crash",
        about: "the same, and an acceptor that both leaders need crashes; not to the end",
        setup: Setup {
            depth: Some(11),
            budgets: Budgets { campaigns: 1, crashes: 1, ..Budgets::default() },
            crashable: NodeSet::only(R2),
            covers: &[Cover::Chosen, Cover::Answered, Cover::LeaderChanged, Cover::Recovered],
            ..setup
        },
    }
}
