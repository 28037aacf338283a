//! Each rule is broken, and only that one.

use super::*;
use crate::command::{ClientId, Command, Operation, RequestId};
use crate::paxos::{Effects, Input, Message, Mode, Replica, Report, Vote};
use crate::protocol::{
    Bounds, Election, Envelope, Retention, Scope, SendPolicy, Slot, Timing, Value,
};
use crate::quorum::{NodeId, QuorumSystem};
use crate::time::{Now, Span, Time};

const BALLOT: Ballot = Ballot { round: 1, proposer: NodeId(0) };

fn replica(id: u8, rule: Option<Rule>) -> Saboteur<Replica> {
    let config = Config {
        id: NodeId(id),
        quorums: QuorumSystem::counts(5, 4, 2).unwrap(),
        election: Election::Fixed,
        send: SendPolicy::All,
        nearest_first: (0..5).map(|node| NodeId((node + id) % 5)).collect(),
        timing: Timing::for_round_trip(Span::ZERO),
        retention: Retention::ALL,
        bounds: Bounds::USUAL,
    };
    let replica = Replica::new(Mode::multi(NodeId(0)), config.clone());
    Saboteur::new(replica, &config, rule)
}

fn command(sequence: u64) -> Command {
    let request = RequestId { client: ClientId(0), sequence };
    Command { request, settled_below: 0, operation: Operation::Get { key: sequence } }
}

fn phase2a(slot: u64) -> Message {
    let value = Value::from(command(slot));
    Message::Phase2a { ballot: BALLOT, slot: Slot(slot), value, chosen_below: Slot::ZERO }
}

fn give(replica: &mut Saboteur<Replica>, from: u8, message: Message) -> Effects {
    let mut effects = Effects::default();
    let input = Input::Message { from: NodeId(from), message };
    replica.handle(Now::default(), input, &mut effects);
    effects
}

fn kinds(envelopes: &[Envelope<Message>]) -> Vec<(&'static str, NodeSet)> {
    envelopes.iter().map(|envelope| (envelope.message.kind(), envelope.to)).collect()
}

/// r0, started, and told by all others what they promise.
fn leader(rule: Option<Rule>, votes: &[(Slot, Vote)]) -> (Saboteur<Replica>, Effects) {
    let mut leader = replica(0, rule);
    leader.handle(Now::default(), Input::Start, &mut Effects::default());
    let mut last = Effects::default();
    for from in 1..5 {
        let scope = Scope::From(Slot::ZERO);
        let report = Box::new(Report { votes: votes.to_vec(), ..Report::default() });
        let promise = Message::Phase1b { ballot: BALLOT, scope, report };
        last = give(&mut leader, from, promise);
    }
    assert!(leader.replica().is_leader());
    (leader, last)
}

fn request(leader: &mut Saboteur<Replica>, sequence: u64) -> Effects {
    let mut effects = Effects::default();
    leader.handle(Now::default(), Input::Request(command(sequence)), &mut effects);
    effects
}

#[test]
fn an_honest_one_passes_everything_through() {
    let mut honest = replica(1, None);
    let mut plain = honest.replica().clone();
    for slot in [0, 1, 0] {
        let mut expected = Effects::default();
        let input = Input::Message { from: NodeId(0), message: phase2a(slot) };
        plain.handle(Now::default(), input, &mut expected);
        assert_eq!(give(&mut honest, 0, phase2a(slot)), expected);
    }
    assert_eq!(*honest.replica(), plain);
}

#[test]
fn a_promise_or_a_vote_is_forgotten_at_the_restart() {
    let records = || {
        let mut acceptor = replica(1, None);
        let scope = Scope::From(Slot::ZERO);
        let mut records =
            give(&mut acceptor, 0, Message::Phase1a { ballot: BALLOT, scope, quorum: None })
                .records;
        records.extend(give(&mut acceptor, 0, phase2a(0)).records);
        records
    };
    let recovered = |rule| {
        let mut replica = replica(1, rule);
        replica.recover(None, records());
        let acceptor = replica.replica().acceptor();
        (acceptor.promised(Slot(9)), acceptor.vote(Slot::ZERO).is_some())
    };
    assert_eq!(recovered(None), (BALLOT, true));
    assert_eq!(recovered(Some(Rule::ForgetsPromise)), (Ballot::NONE, true));
    assert_eq!(recovered(Some(Rule::ForgetsVote)), (BALLOT, false));
    // The reservation is no part of the acceptor.
    assert_eq!(recovered(Some(Rule::ForgetsReservation)), (BALLOT, true));
}

#[test]
fn a_leader_ignores_what_is_reported() {
    let vote = Vote { ballot: Ballot::NONE, value: Value::from(command(7)) };
    let votes = [(Slot::ZERO, vote)];
    assert_eq!(kinds(&leader(None, &votes).1.sends).len(), 1);
    assert_eq!(kinds(&leader(Some(Rule::SkipsAdoption), &votes).1.sends), []);
}

#[test]
fn an_executed_slot_is_not_reported() {
    let reported = |rule| {
        let mut acceptor = replica(1, rule);
        give(&mut acceptor, 0, phase2a(0));
        give(&mut acceptor, 0, phase2a(1));
        give(
            &mut acceptor,
            0,
            Message::Chosen { ballot: BALLOT, first: Slot::ZERO, below: Slot(1) },
        );
        assert_eq!(acceptor.progress(), Progress(1));
        let ballot = Ballot { round: 2, proposer: NodeId(2) };
        let phase1a = Message::Phase1a { ballot, scope: Scope::From(Slot::ZERO), quorum: None };
        let effects = give(&mut acceptor, 2, phase1a);
        let Message::Phase1b { report, .. } = &effects.durable_sends[0].message else {
            panic!("a promise is expected: {effects:?}");
        };
        report.votes.iter().map(|(slot, _)| slot.0).collect::<Vec<_>>()
    };
    assert_eq!(reported(None), [0, 1]);
    assert_eq!(reported(Some(Rule::TrimmedSlotLostWrite)), [1]);
}

#[test]
fn a_ballot_is_asked_for_before_it_is_reserved() {
    let started = |rule| {
        let mut proposer = replica(0, rule);
        let mut effects = Effects::default();
        proposer.handle(Now::default(), Input::Start, &mut effects);
        let asks = |envelopes| {
            let asks = kinds(envelopes).into_iter().filter(|(kind, _)| *kind == "phase1a");
            asks.count()
        };
        (asks(&effects.sends), asks(&effects.durable_sends))
    };
    assert_eq!(started(None), (0, 1));
    assert_eq!(started(Some(Rule::AsksBeforeReserving)), (1, 0));
}

#[test]
fn a_leader_that_lost_a_slot_leads_on() {
    let leads = |rule| {
        let (mut leader, _) = leader(rule, &[]);
        request(&mut leader, 0);
        let (values, executed_below) = (vec![Value::Noop], Slot(1));
        give(&mut leader, 1, Message::Values { first: Slot::ZERO, values, executed_below });
        leader.replica().is_leader()
    };
    assert!(!leads(None));
    assert!(leads(Some(Rule::LeadsOnAfterLoss)));
}

#[test]
fn proposals_go_to_the_nearest_quorum_only_for_ever() {
    let (mut leader, _) = leader(Some(Rule::FixedPrefixThriftyStall), &[]);
    let nearest = NodeSet::only(NodeId(1));
    assert_eq!(kinds(&request(&mut leader, 0).sends), [("phase2a", nearest)]);
    let mut effects = Effects::default();
    let later = Time(Span::from_millis(60_000).0);
    leader.handle(later.into(), Input::Timer(crate::protocol::TimerId(0)), &mut effects);
    assert_eq!(kinds(&effects.sends), [("phase2a", nearest)]);
}

#[test]
fn a_proposal_leaves_once() {
    let (mut leader, _) = leader(Some(Rule::HoleInLog), &[]);
    let mut effects = request(&mut leader, 0);
    let first = kinds(&effects.sends);
    assert_eq!(first.len(), 1);
    // The effects of several inputs may be gathered: what left before stays among them.
    let later = Time(Span::from_millis(60_000).0);
    leader.handle(later.into(), Input::Timer(crate::protocol::TimerId(0)), &mut effects);
    assert_eq!(kinds(&effects.sends), first);
    assert!(effects.notes.contains(&crate::protocol::Note::Retransmitted));
    leader.handle(later.into(), Input::Request(command(1)), &mut effects);
    assert_eq!(kinds(&effects.sends).len(), 2);
}
