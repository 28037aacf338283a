//! Each rule of the watch is seen to be broken, and a lawful run to break none.

use super::*;
use crate::command::{ClientId, KeyValue};
use crate::paxos::{Message, Mode, Record, Replica, Vote};
use crate::protocol::{Bounds, Config, Election, Retention, Scope, SendPolicy, Timing};
use crate::time::Span;

fn ballot(round: u64, proposer: u8) -> Ballot {
    Ballot { round, proposer: NodeId(proposer) }
}

fn command(key: u64) -> Command {
    let request = RequestId { client: ClientId(0), sequence: key };
    Command { request, settled_below: 0, operation: Operation::Get { key } }
}

fn vote_of(by: u8, ballot: Ballot, slot: u64, key: u64, watch: &mut Watch) -> Verdict {
    let value = Value::from(command(key));
    let record = Record::Vote { slot: Slot(slot), vote: Vote { ballot, value } };
    watch.recorded(&Replica::recorded(&record))?;
    let message = Message::Phase2b { ballot, first: Slot(slot), last: Slot(slot) };
    watch.released(Time(u64::from(by)), NodeId(by), &Replica::statement(&message), &mut Vec::new())
}

fn promise_of(by: u8, ballot: Ballot, scope: Scope, watch: &mut Watch) -> Verdict {
    let message = Message::Phase1b { ballot, scope, report: Box::default() };
    watch.released(Time::ZERO, NodeId(by), &Replica::statement(&message), &mut Vec::new())
}

/// A replica that remembers nothing.
fn blank() -> Replica {
    let config = Config {
        id: NodeId(0),
        quorums: QuorumSystem::majority(3),
        election: Election::Fixed,
        send: SendPolicy::All,
        nearest_first: (0..3).map(NodeId).collect(),
        retention: Retention::ALL,
        bounds: Bounds::USUAL,
        timing: Timing::for_round_trip(Span::ZERO),
    };
    Replica::new(Mode::Classic, config)
}

fn watch() -> Watch {
    Watch::new(Order::Total, &QuorumSystem::majority(3), 1, false, true)
}

fn broken(verdict: Verdict) -> (Invariant, String) {
    let finding = verdict.expect_err("a finding");
    (finding.invariant, finding.how)
}

#[test]
fn a_ballot_of_an_earlier_life_is_found() {
    let mut watch = watch();
    let ask = |watch: &mut Watch, round, proposer| {
        let (ballot, scope) = (ballot(round, proposer), Scope::From(Slot::ZERO));
        let message = Message::Phase1a { ballot, scope, quorum: None };
        watch.told(Time::ZERO, NodeId(proposer), &Replica::statement(&message), &mut Vec::new())
    };
    for (round, proposer) in [(1, 0), (2, 0), (2, 0), (1, 1)] {
        ask(&mut watch, round, proposer).unwrap();
    }
    watch.restarted(NodeId(0), &blank()).unwrap();
    ask(&mut watch, 1, 1).unwrap();
    ask(&mut watch, 3, 0).unwrap();
    let expected = "r0 asks at (2.r0), and had asked up to (2.r0) before it crashed".to_owned();
    assert_eq!(broken(ask(&mut watch, 2, 0)), (Invariant::BallotsUnique, expected));
}

#[test]
fn what_nobody_voted_for_must_not_be_executed() {
    let mut watch = watch();
    let executed =
        |key| Executed { slot: Slot(0), command: Some(command(key).into()), applied: true };
    vote_of(0, ballot(1, 0), 0, 7, &mut watch).unwrap();
    assert!(watch.executed(NodeId(0), &executed(7)).is_err());
    vote_of(2, ballot(1, 0), 0, 7, &mut watch).unwrap();
    assert_eq!(watch.executed(NodeId(0), &executed(7)), Ok(()));
    assert!(watch.executed(NodeId(0), &executed(8)).is_err());
}

#[test]
fn a_lower_promise_or_vote_after_a_higher_one_is_found() {
    let all = Scope::From(Slot::ZERO);
    let mut watch = watch();
    promise_of(0, ballot(3, 0), all, &mut watch).unwrap();
    promise_of(0, ballot(3, 0), all, &mut watch).unwrap();
    let (property, sentence) = broken(vote_of(0, ballot(2, 1), 5, 7, &mut watch));
    assert_eq!(property, Invariant::PromisesKept);
    assert_eq!(sentence, "r0 voted at (2.r1) in slot 5 after it told (3.r0)");
    vote_of(1, ballot(4, 1), 5, 7, &mut watch).unwrap();
    promise_of(1, ballot(2, 1), Scope::Only(Slot(4)), &mut watch).unwrap();
    promise_of(1, ballot(2, 1), Scope::From(Slot(6)), &mut watch).unwrap();
    for scope in [Scope::Only(Slot(5)), Scope::From(Slot(3))] {
        let (property, _) = broken(promise_of(1, ballot(3, 1), scope, &mut watch));
        assert_eq!(property, Invariant::PromisesKept);
    }
}

#[test]
fn a_promise_where_all_is_executed_takes_nothing_back() {
    let mut watch = watch();
    vote_of(0, ballot(3, 0), 2, 7, &mut watch).unwrap();
    let lower = |from| Scope::From(Slot(from));
    for by in [0, 1, 2] {
        assert!(promise_of(0, ballot(1, 1), lower(0), &mut watch).is_err());
        let message = Message::Executed { below: Slot(3) };
        watch.told(Time::ZERO, NodeId(by), &Replica::statement(&message), &mut Vec::new()).unwrap();
    }
    promise_of(0, ballot(1, 1), lower(0), &mut watch).unwrap();
    // What was promised everywhere stays promised.
    assert!(promise_of(0, ballot(0, 2), lower(9), &mut watch).is_err());
}

#[test]
fn an_acceptor_that_restarts_without_what_it_told_is_found() {
    let mut promised = watch();
    promise_of(0, ballot(3, 0), Scope::From(Slot::ZERO), &mut promised).unwrap();
    let (_, sentence) = broken(promised.restarted(NodeId(0), &blank()));
    assert!(sentence.contains("told a promise of (3.r0)"), "{sentence}");
    assert_eq!(promised.restarted(NodeId(1), &blank()), Ok(()));
    let mut voted = watch();
    vote_of(0, ballot(3, 0), 2, 7, &mut voted).unwrap();
    assert!(voted.restarted(NodeId(0), &blank()).is_err());
    // What everybody has durably executed may be forgotten.
    for by in [0, 1, 2] {
        let message = Message::Executed { below: Slot(3) };
        voted.told(Time::ZERO, NodeId(by), &Replica::statement(&message), &mut Vec::new()).unwrap();
    }
    assert_eq!(voted.restarted(NodeId(0), &blank()), Ok(()));
}

#[test]
fn a_request_is_outstanding_until_its_client_is_told() {
    let mut watch = watch();
    watch.asked(&command(0));
    watch.asked(&command(1));
    watch.asked(&command(0));
    let request = command(0).request;
    let outcome = crate::command::Outcome::Stored;
    watch.answered(&Reply::NotLeader { request, leader: None });
    assert_eq!(watch.outstanding().len(), 2);
    watch.answered(&Reply::Executed { request, slot: Slot(0), outcome });
    watch.asked(&command(0));
    assert_eq!(watch.outstanding().len(), 1);
}

#[test]
fn a_slot_is_chosen_when_its_quorum_is_full() {
    let mut watch = watch();
    vote_of(0, ballot(1, 0), 0, 7, &mut watch).unwrap();
    assert_eq!(watch.end_chosen_at(), None);
    vote_of(2, ballot(1, 0), 0, 7, &mut watch).unwrap();
    assert_eq!(watch.end_chosen_at(), Some(Time(2)));
    // A later slot is under way.
    vote_of(0, ballot(1, 0), 1, 8, &mut watch).unwrap();
    assert_eq!(watch.end_chosen_at(), None);
}

#[test]
fn a_request_that_a_leader_proposes_twice_is_found() {
    let propose = |watch: &mut Watch, by: u8, ballot: Ballot, slot: u64, key: u64| {
        let (slot, value) = (Slot(slot), Value::from(command(key)));
        let message = Message::Phase2a { ballot, slot, value, chosen_below: Slot::ZERO };
        watch.told(Time::ZERO, NodeId(by), &Replica::statement(&message), &mut Vec::new())
    };
    let mut watch = watch();
    // Again in its slot, and by the next leader, which adopts one and was asked for the other.
    propose(&mut watch, 0, ballot(1, 0), 4, 7).unwrap();
    propose(&mut watch, 0, ballot(1, 0), 4, 7).unwrap();
    propose(&mut watch, 1, ballot(2, 1), 4, 7).unwrap();
    propose(&mut watch, 1, ballot(2, 1), 5, 7).unwrap();
    propose(&mut watch, 0, ballot(1, 0), 5, 8).unwrap();
    let (property, sentence) = broken(propose(&mut watch, 0, ballot(1, 0), 6, 7));
    assert_eq!(property, Invariant::ProposedOnce);
    assert_eq!(sentence, "r0 proposed 7? (c0, request 7) in slot 4 and again in slot 6, at (1.r0)");
    // Classic Paxos moves a command whose slot went to another.
    let mut watch = Watch::new(Order::Total, &QuorumSystem::majority(3), 1, false, false);
    propose(&mut watch, 0, ballot(1, 0), 4, 7).unwrap();
    propose(&mut watch, 0, ballot(1, 0), 6, 7).unwrap();
}

/// Nobody reads, and a request that comes twice writes once.
#[test]
fn replicas_store_what_the_slots_wrote_and_nothing_else() {
    let put = |sequence, key, value: &'static str| {
        let operation = Operation::Put { key, value: value.into() };
        let request = RequestId { client: ClientId(0), sequence };
        Command { request, settled_below: 0, operation }
    };
    let log = [put(0, 7, "a"), put(1, 7, "b"), put(0, 7, "a"), put(2, 9, "c")];
    let (mut watch, mut machine) = (watch(), KeyValue::default());
    let check = |watch: &Watch, below, stored| watch.check_stored(NodeId(1), Slot(below), stored);
    assert_eq!(check(&watch, 0, machine.digest()), Ok(()));
    for (slot, command) in (0..).zip(log) {
        for by in [0, 1] {
            let value = Value::from(command.clone());
            let vote = Vote { ballot: ballot(1, 0), value };
            let record = Record::Vote { slot: Slot(slot), vote };
            watch.recorded(&Replica::recorded(&record)).unwrap();
            let (ballot, slot) = (ballot(1, 0), Slot(slot));
            let message = Message::Phase2b { ballot, first: slot, last: slot };
            let voted = Replica::statement(&message);
            watch.released(Time::ZERO, NodeId(by), &voted, &mut Vec::new()).unwrap();
        }
        let before = machine.digest();
        machine.execute(&command);
        let executed =
            Executed { slot: Slot(slot), command: Some(command.into()), applied: slot != 2 };
        for by in [0, 1] {
            watch.executed(NodeId(by), &executed).unwrap();
        }
        assert_eq!(check(&watch, slot, before), Ok(()));
        assert_eq!(check(&watch, slot + 1, machine.digest()), Ok(()));
    }
    let how = "r1 has executed every slot below 4, and does not store what they wrote".to_owned();
    assert_eq!(broken(check(&watch, 4, machine.digest() ^ 1)), (Invariant::Agreement, how));
    assert!(check(&watch, 1, machine.digest()).is_err());
    // Nobody has executed so far.
    assert!(check(&watch, 5, machine.digest()).is_err());
}
