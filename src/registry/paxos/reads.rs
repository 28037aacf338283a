//! Presets of reads that do not go through the log, and of the stamps that they rest on.

use super::{R0, R1, R2, R3, Registered, multi, once};
use crate::paxos::{Mode, Reads, ResponderTerms};
use crate::protocol::{Assignment, Detector, Election, KeyRange, SnapshotTerms};
use crate::quorum::{NodeId, NodeSet, QuorumSystem};
use crate::registry::preset::{Budgets, Cover, KEY, Prelude, Preset, ProgressFrom, Script, Setup};
use crate::time::Span;

/// Clocks go on only where a time-out passes in which a replica hears nothing, by one each time; so two differ by two at
/// most where that happens twice.
const BOUND: Span = Span(1);
/// So a lease outlasts what time there is, until nothing goes wrong any more and the clocks go on together.
const LENGTH: Span = Span(4);

const fn responder(at: NodeId) -> Registered {
    responders(Assignment::AllKeys(NodeSet::only(at)))
}

const fn responders(at: Assignment) -> Registered {
    let terms = ResponderTerms { at, length: LENGTH, bound: BOUND };
    Registered::Paxos(Mode::Multi {
        leader: R0,
        reads: Reads::Responders(terms),
        commit_wait: None,
    })
}

/// Two phase-2 quorums of this system need not meet, so a read that is content with one may miss the write.
pub(super) fn quorum_read() -> Preset {
    Preset {
        name: "quorum-read",
        about: "a write at the leader of four, and a read at the replica that hears of it last",
        setup: Setup {
            quorums: QuorumSystem::counts(4, 3, 2).expect("counts from 1 to 4"),
            mode: Registered::Paxos(Mode::Multi {
                leader: R0,
                reads: Reads::Quorum,
                commit_wait: None,
            }),
            clients: vec![once(R0), Script { is_reader: true, ..once(R3) }],
            is_one_key: true,
            budgets: Budgets::default(),
            prelude: Prelude::Led,
            covers: &[Cover::Chosen, Cover::Answered],
            ..multi(4)
        },
    }
}

/// The responder hears of a write later than a phase-2 quorum does, and may be asked in between.
pub(super) fn responder_read() -> Preset {
    Preset {
        name: "responder-read",
        about: "a write at the leader, a read at a responder, and another replica that campaigns",
        setup: Setup {
            mode: responder(R2),
            clients: vec![once(R0), Script { is_reader: true, ..once(R2) }],
            is_one_key: true,
            budgets: Budgets::default(),
            prelude: Prelude::Led,
            covers: &[Cover::Chosen, Cover::Answered],
            ..multi(3)
        },
    }
}

/// The responder answers for other keys than the one that is written and read: no write of that waits for it, and its
/// read asks a quorum.
pub(super) fn responder_range() -> Preset {
    let others = KeyRange { first: 0, last: KEY - 1, at: NodeSet::only(R2) };
    let setup = responder_read().setup;
    Preset {
        name: "responder-range",
        about: "the same of a key that the responder does not answer for",
        setup: Setup {
            mode: responders(Assignment::ByKey([Some(others), None, None, None])),
            ..setup
        },
    }
}

/// Time stands still, so all that makes a stamp later than another is that it was heard of.
pub(super) fn stamps() -> Preset {
    let terms = SnapshotTerms {
        staleness: Span::ZERO,
        advance: None,
        bound: Span::ZERO,
        has_sessions: false,
    };
    let reads = Reads::Snapshot(terms);
    Preset {
        name: "stamps",
        about: "two leaders that give commit timestamps, and a client at each",
        setup: Setup {
            mode: Registered::Paxos(Mode::Multi { leader: R0, reads, commit_wait: None }),
            clients: vec![once(R0), once(R1)],
            budgets: Budgets { campaigns: 1, ..Budgets::default() },
            campaigners: NodeSet::only(R1),
            prelude: Prelude::Led,
            covers: &[Cover::Chosen, Cover::Answered, Cover::LeaderChanged, Cover::Adopted],
            ..multi(3)
        },
    }
}

/// The last replica is a phase-1 quorum alone, so it can lead while the first one still holds leases.
fn deposed(prelude: Prelude) -> Setup {
    let system = QuorumSystem::explicit(3, &[vec![2], vec![0, 1]], &[vec![0, 2], vec![1, 2]]);
    let detector = Detector { heartbeat: Span(1), misses: 1, spread: Span::ZERO };
    Setup {
        quorums: system.expect("sets of three replicas"),
        mode: responder(R0),
        election: Election::Timeout(detector),
        clients: vec![once(R2), Script { is_reader: true, ..once(R0) }],
        is_one_key: true,
        budgets: Budgets { timers: 1, silences: 1, ..Budgets::default() },
        prelude,
        progress: ProgressFrom::QuietStates,
        covers: &[Cover::Chosen, Cover::Answered, Cover::LeaderChanged],
        ..multi(3)
    }
}

/// Its leases may last when another replica leads, which granted one of them.
pub(super) fn responder_deposed() -> Preset {
    Preset {
        name: "responder-deposed",
        about: "the leader is a responder and holds leases, and another replica is elected without it",
        setup: deposed(Prelude::Led),
    }
}

/// Who is elected need not have granted anything, where the grantors are too few.
pub(super) fn responder_grants() -> Preset {
    Preset {
        name: "responder-grants",
        about: "the same, but who is elected may have granted nothing; not to the end",
        setup: Setup { depth: Some(11), ..deposed(Prelude::Elected) },
    }
}
