//! CASPaxos as the harness knows it, and small deployments worth exploring.

use super::preset::{Budgets, Cover, Prelude, Preset, ProgressFrom, Script, Setup};
use super::{Mode as Registered, Registration};
use crate::caspaxos::{Mode, Replica};
use crate::protocol::{Config, Election, Retention, SendPolicy};
use crate::quorum::{NodeId, NodeSet, QuorumSystem};
use crate::sabotage::Rule;

impl Registration for Replica {
    type Mode = Mode;

    /// Its acceptors store the value itself, so there is no state machine to leave out.
    const HAS_ROLES: bool = false;

    fn new(mode: Mode, config: Config) -> Self {
        Self::new(mode, config)
    }

    fn mode(asked: Option<NodeId>) -> Mode {
        Mode { proposer: asked }
    }

    fn presets() -> Vec<Preset> {
        vec![duel(), flexible(), owner(), retry(), outside()]
    }

    fn deep_presets() -> Vec<Preset> {
        vec![crowd()]
    }

    fn controls(rule: Rule) -> &'static [&'static str] {
        match rule {
            Rule::SkipsAdoption => &["register-duel", "register-flexible"],
            Rule::DisjointQuorums | Rule::TakesAnyBase => &["register-duel"],
            Rule::ForgetsRequest => &["register-retry"],
            Rule::ForgetsPromise | Rule::ForgetsVote | Rule::SendsBeforePersist => {
                &["register-owner", "deep-register"]
            }
            Rule::ForgetsCarriedPromise => &["register-owner"],
            _ => &[],
        }
    }
}

const R0: NodeId = NodeId(0);
const R1: NodeId = NodeId(1);
const R2: NodeId = NodeId(2);
const R3: NodeId = NodeId(3);

const fn writes(home: NodeId, operation_count: u64) -> Script {
    Script { home, retries_at: NodeSet::EMPTY, operation_count, is_reader: false }
}

fn register(n: usize, proposer: Option<NodeId>) -> Setup {
    Setup {
        quorums: QuorumSystem::majority(n),
        mode: Registered::CasPaxos(Mode { proposer }),
        election: Election::Fixed,
        send: SendPolicy::All,
        clients: vec![writes(R0, 1)],
        is_one_key: true,
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
        name: "register-duel",
        about: "CASPaxos: two proposers race for one key",
        setup: Setup {
            clients: vec![writes(R0, 1), writes(R1, 1)],
            budgets: Budgets { timers: 1, ..Budgets::default() },
            covers: &[
                Cover::Chosen,
                Cover::Answered,
                Cover::Adopted,
                Cover::Refused,
                Cover::RaceLost,
                Cover::Retransmitted,
            ],
            ..register(3, None)
        },
    }
}

fn flexible() -> Preset {
    let quorums = QuorumSystem::explicit(4, &[vec![0, 1], vec![2, 3]], &[vec![0, 2], vec![1, 3]]);
    Preset {
        name: "register-flexible",
        about: "CASPaxos: Q1 = {0,1} or {2,3}, Q2 = {0,2} or {1,3}, and a proposer in each Q1",
        setup: Setup {
            quorums: quorums.expect("the sets are of four replicas"),
            send: SendPolicy::Quorum,
            clients: vec![writes(R0, 1), writes(R3, 1)],
            covers: &[Cover::Chosen, Cover::Answered, Cover::Adopted],
            ..register(4, None)
        },
    }
}

fn owner() -> Preset {
    Preset {
        name: "register-owner",
        about: "CASPaxos: votes promise the next ballot of the owner, and an acceptor crashes in between",
        setup: Setup {
            clients: vec![writes(R0, 2), writes(R2, 1)],
            budgets: Budgets { crashes: 1, ..Budgets::default() },
            crashable: NodeSet::only(R1),
            depth: Some(13),
            progress: ProgressFrom::QuietStates,
            covers: &[
                Cover::Chosen,
                Cover::Answered,
                Cover::Adopted,
                Cover::Refused,
                Cover::RecordLost,
                Cover::Recovered,
            ],
            ..register(3, Some(R0))
        },
    }
}

/// Its own acceptor knows none of its ballots: the second write must not use that of the first again.
fn outside() -> Preset {
    let pairs = [vec![1, 2], vec![2, 3], vec![1, 3]];
    let quorums = QuorumSystem::explicit(4, &pairs, &pairs);
    Preset {
        name: "register-outside",
        about: "CASPaxos: a proposer outside of all quorums writes twice",
        setup: Setup {
            quorums: quorums.expect("the sets are of four replicas"),
            send: SendPolicy::Quorum,
            clients: vec![writes(R0, 2)],
            budgets: Budgets { timers: 1, ..Budgets::default() },
            covers: &[Cover::Chosen, Cover::Answered, Cover::Retransmitted],
            ..register(4, None)
        },
    }
}

/// Three values for one key, and a crash: what is adopted may be adopted again.
fn crowd() -> Preset {
    Preset {
        name: "deep-register",
        about: "CASPaxos: three proposers race for one key, and one of them crashes",
        setup: Setup {
            clients: vec![writes(R0, 1), writes(R1, 1), writes(R2, 1)],
            budgets: Budgets { crashes: 1, ..Budgets::default() },
            crashable: NodeSet::only(R0),
            progress: ProgressFrom::QuietStates,
            covers: &[Cover::Chosen, Cover::Answered, Cover::Adopted, Cover::Refused],
            ..register(3, None)
        },
    }
}

fn retry() -> Preset {
    Preset {
        name: "register-retry",
        about: "CASPaxos: a client asks two proposers for the same write",
        setup: Setup {
            clients: vec![Script { retries_at: NodeSet::only(R1), ..writes(R0, 1) }],
            budgets: Budgets { retries: 1, timers: 1, ..Budgets::default() },
            covers: &[Cover::Chosen, Cover::Answered, Cover::Refused],
            ..register(3, None)
        },
    }
}
