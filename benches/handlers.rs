//! What the core costs an operation, without network, disk or codec.
//!
//! Three replicas, writes of 128 bytes, 64 of them under way at a time, and the log trimmed as it is
//! when replicas make checkpoints.

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flexpaxos::command::{ClientId, Command, Operation, RequestId};
use flexpaxos::paxos::{Effects, Input, Message, Mode, Replica};
use flexpaxos::protocol::{
    Ballot, Bounds, Config, Election, Progress, Protocol, Retention, Scope, SendPolicy, Slot,
    Timing, Value,
};
use flexpaxos::quorum::{NodeId, QuorumSystem};
use flexpaxos::time::{Now, Span};

const LEADER: NodeId = NodeId(0);
const FOLLOWER: NodeId = NodeId(1);
/// Operations under way at a time.
const PIPELINED: u64 = 64;
/// Slots between two checkpoints.
const TRIM_AFTER: u64 = 4096;

fn replica(id: NodeId) -> Replica {
    let config = Config {
        id,
        quorums: QuorumSystem::majority(3),
        election: Election::Fixed,
        send: SendPolicy::All,
        nearest_first: [0, 1, 2].map(NodeId).to_vec(),
        timing: Timing::for_round_trip(Span::from_millis(1)),
        retention: Retention::ALL,
        bounds: Bounds::USUAL,
    };
    let mut replica = Replica::new(Mode::multi(LEADER), config);
    give(&mut replica, Input::Start);
    replica
}

fn give(replica: &mut Replica, input: Input) {
    give_to(replica, input, &mut Effects::default());
}

fn give_to(replica: &mut Replica, input: Input, effects: &mut Effects) {
    replica.handle(Now::default(), input, effects);
}

fn hear(replica: &mut Replica, from: NodeId, message: Message, effects: &mut Effects) {
    give_to(replica, Input::Message { from, message }, effects);
}

/// The ballot and its leader, with the promises of two.
fn leader() -> (Replica, Ballot) {
    let mut leader = replica(LEADER);
    let ballot = leader.acceptor().promised_highest();
    for from in [LEADER, FOLLOWER] {
        let scope = Scope::From(Slot(0));
        let message = Message::Phase1b { ballot, scope, report: Box::default() };
        give(&mut leader, Input::Message { from, message });
    }
    assert!(leader.is_leader());
    (leader, ballot)
}

/// Every replica has executed everything durably: a checkpoint and its news.
fn trim(replica: &mut Replica) {
    let below = replica.executed_below();
    give(replica, Input::Checkpointed(Progress(below.0)));
    for from in [0, 1, 2].map(NodeId) {
        give(replica, Input::Message { from, message: Message::Executed { below } });
    }
}

fn clear(effects: &mut Effects) {
    effects.sends.clear();
    effects.records.clear();
    effects.durable_sends.clear();
    effects.timers.clear();
    effects.replies.clear();
    effects.executed.clear();
    effects.notes.clear();
}

fn command(sequence: u64, bytes: &Bytes) -> Command {
    Command {
        request: RequestId { client: ClientId(0), sequence },
        settled_below: sequence.saturating_sub(PIPELINED),
        operation: Operation::Put { key: sequence % 1000, value: bytes.clone() },
    }
}

/// The leader's whole part: requests, its own votes, and those of one follower.
fn at_the_leader(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("per operation");
    group.throughput(Throughput::Elements(PIPELINED));
    let bytes = Bytes::from(vec![7; 128]);
    let (mut leader, ballot) = leader();
    let mut effects = Effects::default();
    let mut next = 0;
    group.bench_function("leader", |bencher| {
        bencher.iter(|| {
            let (first, last) = (Slot(next), Slot(next + PIPELINED - 1));
            for sequence in first.0..=last.0 {
                give_to(&mut leader, Input::Request(command(sequence, &bytes)), &mut effects);
            }
            assert_eq!(effects.sends.len(), 64);
            clear(&mut effects);
            for from in [LEADER, FOLLOWER] {
                let votes = Message::Phase2b { ballot, first, last };
                hear(&mut leader, from, votes, &mut effects);
            }
            assert_eq!(effects.replies.len(), 64);
            clear(&mut effects);
            next += PIPELINED;
            if next.is_multiple_of(TRIM_AFTER) {
                trim(&mut leader);
            }
        });
    });
    group.finish();
}

/// A follower's part: votes, and the news that travels with the proposals.
fn at_an_acceptor(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("per operation");
    group.throughput(Throughput::Elements(PIPELINED));
    let bytes = Bytes::from(vec![7; 128]);
    let ballot = Ballot { round: 1, proposer: LEADER };
    let mut follower = replica(FOLLOWER);
    let mut effects = Effects::default();
    let mut next = 0;
    group.bench_function("acceptor", |bencher| {
        bencher.iter(|| {
            let chosen_below = Slot(next);
            for sequence in next..next + PIPELINED {
                let (slot, value) = (Slot(sequence), Value::from(command(sequence, &bytes)));
                let phase2a = Message::Phase2a { ballot, slot, value, chosen_below };
                hear(&mut follower, LEADER, phase2a, &mut effects);
            }
            assert_eq!(effects.durable_sends.len(), 1);
            clear(&mut effects);
            next += PIPELINED;
            if next.is_multiple_of(TRIM_AFTER) {
                trim(&mut follower);
            }
        });
    });
    group.finish();
}

/// All three: every message goes to those it is for.
fn at_all_three(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("per operation");
    group.throughput(Throughput::Elements(PIPELINED));
    let bytes = Bytes::from(vec![7; 128]);
    let mut replicas = [leader().0, replica(FOLLOWER), replica(NodeId(2))];
    let mut effects = Effects::default();
    let mut next = 0;
    group.bench_function("three replicas", |bencher| {
        bencher.iter(|| {
            for sequence in next..next + PIPELINED {
                let input = Input::Request(command(sequence, &bytes));
                give_to(&mut replicas[0], input, &mut effects);
            }
            let mut from = LEADER;
            let mut inboxes = vec![Vec::new(); replicas.len()];
            loop {
                for envelope in effects.sends.drain(..).chain(effects.durable_sends.drain(..)) {
                    for to in envelope.to.iter() {
                        inboxes[usize::from(to.0)].push((from, envelope.message.clone()));
                    }
                }
                clear(&mut effects);
                let Some(index) = inboxes.iter().position(|inbox| !inbox.is_empty()) else { break };
                from = NodeId(u8::try_from(index).expect("three replicas"));
                for (sender, message) in std::mem::take(&mut inboxes[index]) {
                    hear(&mut replicas[index], sender, message, &mut effects);
                }
            }
            next += PIPELINED;
            assert_eq!(replicas[0].executed_below(), Slot(next));
            if next.is_multiple_of(TRIM_AFTER) {
                replicas.iter_mut().for_each(trim);
            }
        });
    });
    group.finish();
}

criterion_group!(benches, at_the_leader, at_an_acceptor, at_all_three);
criterion_main!(benches);
