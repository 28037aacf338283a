//! Paxos as the harness knows it: its modes, and small deployments worth exploring.

mod ballots;
mod controls;
mod deep;
mod families;
mod reads;
mod roles;

use super::preset::{Budgets, Cover, Prelude, Preset, ProgressFrom, Script, Setup};
use super::{Mode as Registered, Registration};
use crate::paxos::{Mode, Replica};
use crate::protocol::{Config, Detector, Election, Retention, SendPolicy};
use crate::quorum::{NodeId, NodeSet, QuorumSystem};
use crate::sabotage::Rule;
use crate::time::Span;

impl Registration for Replica {
    type Mode = Mode;

    const HAS_ROLES: bool = true;

    fn new(mode: Mode, config: Config) -> Self {
        Self::new(mode, config)
    }

    fn mode(asked: Option<NodeId>) -> Mode {
        asked.map_or(Mode::Classic, Mode::multi)
    }

    fn presets() -> Vec<Preset> {
        vec![
            duel(),
            flexible_four(),
            three_of_four(),
            leader_change(),
            acceptor_crash(),
            two_writes_crash(),
            classic_duel(),
            classic_crowd(),
            thrifty(),
            lossy(),
            retry(),
            trim(),
            election(),
            election_crash(),
            silence(),
            ballots::per_ballot(),
            snapshot(),
            snapshot_crash(),
            partial_promise(),
            ballots::refused(),
            ballots::hung_member(),
            ballots::settling(),
            ballots::reservation(),
            ballots::checkpoint(),
            ballots::per_ballot_crash(),
            ballots::first_ballot(),
            ballots::lost_slot(),
            families::grid(),
            families::groups(),
            families::weighted(),
            families::expression(),
            roles::witness(),
            reads::quorum_read(),
            reads::responder_read(),
            reads::responder_range(),
            reads::responder_deposed(),
            reads::responder_grants(),
            reads::stamps(),
        ]
    }

    fn deep_presets() -> Vec<Preset> {
        deep::presets()
    }

    fn controls(rule: Rule) -> &'static [&'static str] {
        controls::controls(rule)
    }
}

const R0: NodeId = NodeId(0);
const R1: NodeId = NodeId(1);
const R2: NodeId = NodeId(2);
const R3: NodeId = NodeId(3);

impl Registered {
    /// Classic Paxos.
    pub const CLASSIC: Self = Self::Paxos(Mode::Classic);

    /// Multi-Paxos, led by this replica.
    pub const fn multi(leader: NodeId) -> Self {
        Self::Paxos(Mode::multi(leader))
    }
}

/// A client that writes once and asks one replica only.
const fn once(home: NodeId) -> Script {
    Script { home, retries_at: NodeSet::EMPTY, operation_count: 1, is_reader: false }
}

fn multi(n: usize) -> Setup {
    Setup {
        quorums: QuorumSystem::majority(n),
        mode: Registered::multi(R0),
        election: Election::Fixed,
        send: SendPolicy::All,
        clients: vec![once(R0)],
        is_one_key: false,
        budgets: Budgets::default(),
        crashable: NodeSet::EMPTY,
        is_restarted: true,
        campaigners: NodeSet::EMPTY,
        retention: Retention::ALL,
        prelude: Prelude::Started,
        progress: ProgressFrom::EveryState,
        depth: None,
        covers: &[Cover::Chosen, Cover::Answered],
    }
}

fn duel() -> Preset {
    Preset {
        name: "duel",
        about: "two proposers of three acceptors, and a client at each",
        setup: Setup {
            clients: vec![once(R0), once(R1)],
            budgets: Budgets { campaigns: 1, ..Budgets::default() },
            campaigners: NodeSet::only(R1),
            covers: &[
                Cover::Chosen,
                Cover::Answered,
                Cover::LeaderChanged,
                Cover::Adopted,
                Cover::Refused,
                Cover::RaceLost,
            ],
            ..multi(3)
        },
    }
}

fn flexible_four() -> Preset {
    let quorums = QuorumSystem::explicit(4, &[vec![0, 1], vec![2, 3]], &[vec![0, 2], vec![1, 3]]);
    Preset {
        name: "flexible-four",
        about: "Q1 = {0,1} or {2,3}, Q2 = {0,2} or {1,3}: neither two Q1 nor two Q2 meet",
        setup: Setup {
            quorums: quorums.expect("the sets are of four replicas"),
            send: SendPolicy::Quorum,
            clients: vec![once(R0), once(R3)],
            budgets: Budgets { campaigns: 1, timers: 1, ..Budgets::default() },
            campaigners: NodeSet::only(R3),
            prelude: Prelude::Led,
            covers: &[Cover::Chosen, Cover::Answered, Cover::LeaderChanged, Cover::Adopted],
            ..multi(4)
        },
    }
}

fn three_of_four() -> Preset {
    Preset {
        name: "flex-3-of-4",
        about: "four acceptors by counts: any three for phase 1, any two for phase 2",
        setup: Setup {
            quorums: QuorumSystem::counts(4, 3, 2).expect("3 and 2 are of 4"),
            clients: vec![once(R0), once(R3)],
            send: SendPolicy::Quorum,
            budgets: Budgets { campaigns: 1, timers: 1, ..Budgets::default() },
            campaigners: NodeSet::only(R3),
            prelude: Prelude::Led,
            covers: &[Cover::Chosen, Cover::Answered, Cover::LeaderChanged, Cover::Adopted],
            ..multi(4)
        },
    }
}

fn leader_change() -> Preset {
    Preset {
        name: "leader-change",
        about: "the leader crashes, with or without what it had not synced, and another one leads",
        setup: Setup {
            budgets: Budgets { crashes: 1, campaigns: 1, ..Budgets::default() },
            crashable: NodeSet::only(R0),
            campaigners: NodeSet::only(R1),
            prelude: Prelude::Led,
            covers: &[
                Cover::Chosen,
                Cover::Answered,
                Cover::LeaderChanged,
                Cover::Adopted,
                Cover::RecordLost,
                Cover::Recovered,
            ],
            ..multi(3)
        },
    }
}

fn acceptor_crash() -> Preset {
    Preset {
        name: "acceptor-crash",
        about: "the acceptor that two leaders need crashes between promise, vote and sync",
        setup: Setup {
            budgets: Budgets { crashes: 1, campaigns: 1, ..Budgets::default() },
            crashable: NodeSet::only(R1),
            campaigners: NodeSet::only(R2),
            prelude: Prelude::Led,
            covers: &[
                Cover::Chosen,
                Cover::Answered,
                Cover::LeaderChanged,
                Cover::Adopted,
                Cover::RecordLost,
                Cover::Recovered,
            ],
            ..multi(3)
        },
    }
}

fn two_writes_crash() -> Preset {
    Preset {
        name: "two-writes-crash",
        about: "the same, with a write at either leader; not to the end",
        setup: Setup {
            clients: vec![once(R0), once(R2)],
            depth: Some(14),
            budgets: Budgets { crashes: 1, campaigns: 1, ..Budgets::default() },
            crashable: NodeSet::only(R1),
            campaigners: NodeSet::only(R2),
            prelude: Prelude::Led,
            covers: &[
                Cover::Chosen,
                Cover::Answered,
                Cover::LeaderChanged,
                Cover::Adopted,
                Cover::RecordLost,
                Cover::Recovered,
            ],
            ..multi(3)
        },
    }
}

fn classic_duel() -> Preset {
    Preset {
        name: "classic-duel",
        about: "classic Paxos: two proposers race for one slot, each at its nearest quorum",
        setup: Setup {
            mode: Registered::CLASSIC,
            send: SendPolicy::Quorum,
            clients: vec![once(R0), once(R1)],
            budgets: Budgets { timers: 1, ..Budgets::default() },
            covers: &[
                Cover::Chosen,
                Cover::Answered,
                Cover::Adopted,
                Cover::Refused,
                Cover::RaceLost,
                Cover::Retransmitted,
            ],
            ..multi(3)
        },
    }
}

fn classic_crowd() -> Preset {
    Preset {
        name: "classic-crowd",
        about: "classic Paxos: the same race, with everybody asked; the largest of the presets",
        setup: Setup {
            mode: Registered::CLASSIC,
            clients: vec![once(R0), once(R1)],
            progress: ProgressFrom::QuietStates,
            covers: &[Cover::Chosen, Cover::Answered, Cover::Adopted, Cover::RaceLost],
            ..multi(3)
        },
    }
}

fn thrifty() -> Preset {
    Preset {
        name: "thrifty",
        about: "the leader contacts its nearest quorum only, and a member of it is down for good",
        setup: Setup {
            send: SendPolicy::Quorum,
            budgets: Budgets { crashes: 1, timers: 2, ..Budgets::default() },
            crashable: NodeSet::only(R1),
            is_restarted: false,
            prelude: Prelude::Led,
            covers: &[Cover::Chosen, Cover::Answered, Cover::Retransmitted],
            ..multi(3)
        },
    }
}

fn lossy() -> Preset {
    Preset {
        name: "lossy",
        about: "messages are lost and repeated under a stable leader with two clients",
        setup: Setup {
            clients: vec![once(R0), once(R0)],
            budgets: Budgets { drops: 2, duplicates: 1, timers: 1, ..Budgets::default() },
            prelude: Prelude::Led,
            covers: &[Cover::Chosen, Cover::Answered, Cover::Retransmitted],
            ..multi(3)
        },
    }
}

fn retry() -> Preset {
    Preset {
        name: "retry",
        about: "a client asks two proposers for the same write",
        setup: Setup {
            clients: vec![Script { retries_at: NodeSet::only(R1), ..once(R0) }],
            budgets: Budgets { campaigns: 1, retries: 1, timers: 1, ..Budgets::default() },
            campaigners: NodeSet::only(R1),
            prelude: Prelude::Led,
            covers: &[
                Cover::Chosen,
                Cover::Answered,
                Cover::LeaderChanged,
                Cover::Adopted,
                Cover::Repeated,
            ],
            ..multi(3)
        },
    }
}

fn trim() -> Preset {
    Preset {
        name: "trim",
        about: "replicas make checkpoints and forget what all have, while another one leads",
        setup: Setup {
            clients: vec![once(R0), once(R2)],
            budgets: Budgets { campaigns: 1, checkpoints: 3, ..Budgets::default() },
            campaigners: NodeSet::only(R2),
            prelude: Prelude::Written,
            covers: &[Cover::Answered, Cover::LeaderChanged],
            ..multi(3)
        },
    }
}

/// Time stands still in a check, so whoever is asked hears of no leader, and a leader that was not answered
/// since its last heartbeat resigns: elections at every moment, right or wrong.
fn election() -> Preset {
    let at_once = Detector { heartbeat: Span::ZERO, misses: 1, spread: Span::ZERO };
    Preset {
        name: "election",
        about: "replicas that take the leader for dead, rightly or not, elect another one",
        setup: Setup {
            election: Election::Timeout(at_once),
            clients: vec![once(R0)],
            budgets: Budgets { timers: 1, ..Budgets::default() },
            prelude: Prelude::Led,
            progress: ProgressFrom::QuietStates,
            covers: &[Cover::Chosen, Cover::Answered, Cover::LeaderChanged, Cover::Adopted],
            ..multi(3)
        },
    }
}

/// Whoever has heard of a leader hears it until a time-out passes in which it hears nothing, which happens twice.
fn silence() -> Preset {
    let Preset { setup, .. } = election();
    let detector = Detector { heartbeat: Span(1), misses: 1, spread: Span::ZERO };
    Preset {
        name: "silence",
        about: "replicas hear the leader until they miss it for a time-out: one alone deposes nobody",
        setup: Setup {
            election: Election::Timeout(detector),
            budgets: Budgets { timers: 1, silences: 2, ..Budgets::default() },
            ..setup
        },
    }
}

/// Whoever campaigns may lose in a crash what it promised itself.
fn election_crash() -> Preset {
    let Preset { setup, .. } = election();
    Preset {
        name: "election-crash",
        about: "the same, and the leader crashes; not to the end",
        setup: Setup {
            depth: Some(12),
            budgets: Budgets { timers: 1, crashes: 1, ..Budgets::default() },
            crashable: NodeSet::only(R0),
            covers: &[Cover::Chosen, Cover::Answered, Cover::LeaderChanged, Cover::Recovered],
            ..setup
        },
    }
}

/// The state that r2 installs may be lost with what it has not synced.
fn snapshot_crash() -> Preset {
    let Preset { setup, .. } = snapshot();
    Preset {
        name: "snapshot-crash",
        about: "the same, and the replica that takes a state crashes; not to the end",
        setup: Setup {
            depth: Some(12),
            budgets: Budgets { crashes: 1, ..setup.budgets },
            crashable: NodeSet::only(R2),
            covers: &[Cover::Answered, Cover::Installed, Cover::Recovered],
            ..setup
        },
    }
}

fn snapshot() -> Preset {
    Preset {
        name: "snapshot",
        about: "a replica that missed a write campaigns, while the others forget the write",
        setup: Setup {
            clients: vec![once(R0), once(R2)],
            budgets: Budgets { campaigns: 1, checkpoints: 2, ..Budgets::default() },
            campaigners: NodeSet::only(R2),
            retention: Retention { slots: Some(0), ..Retention::ALL },
            prelude: Prelude::Missed,
            covers: &[Cover::Answered, Cover::LeaderChanged, Cover::Adopted, Cover::Installed],
            ..multi(3)
        },
    }
}

fn partial_promise() -> Preset {
    Preset {
        name: "partial-promise",
        about: "a leader has two writes open, and the next one is told of one vote at a time",
        setup: Setup {
            send: SendPolicy::Quorum,
            clients: vec![once(R0), once(R0), once(R1)],
            budgets: Budgets { campaigns: 1, ..Budgets::default() },
            campaigners: NodeSet::only(R1),
            retention: Retention { part_bytes: 0, ..Retention::ALL },
            prelude: Prelude::Led,
            covers: &[
                Cover::Chosen,
                Cover::Answered,
                Cover::LeaderChanged,
                Cover::Adopted,
                Cover::ReportedInPart,
            ],
            ..multi(3)
        },
    }
}
