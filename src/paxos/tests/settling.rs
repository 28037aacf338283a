//! When announced quorums are settled and forgotten, where each ballot has a phase-2 quorum of its own.

use super::*;
use crate::paxos::timer::TimerKind;

/// A replica of three, of which each ballot announces two.
fn announcing(id: u8) -> Replica {
    let quorums = QuorumSystem::per_ballot(3, 2).unwrap();
    Replica::new(MULTI, config(id, quorums, SendPolicy::All))
}

fn settle(ballot: Ballot, below: u64) -> Message {
    Message::Settle { ballot, below: Slot(below) }
}

fn values(values: Vec<Value>) -> Message {
    let executed_below = Slot(values.len() as u64);
    Message::Values { first: Slot(0), values, executed_below }
}

/// What leaves when it is durable, and for whom.
fn durable(effects: &Effects) -> Vec<(NodeSet, Message)> {
    effects.durable_sends.iter().map(|it| (it.to, it.message.clone())).collect()
}

/// Of a leader: whom it asks to settle its ballot.
fn asked_to_settle(effects: &Effects) -> NodeSet {
    let asks = |it: &&Envelope<Message>| matches!(it.message, Message::Settle { .. });
    effects.sends.iter().find(asks).map_or(NodeSet::EMPTY, |it| it.to)
}

/// r1, which has promised the ballot, with the quorum that it announced.
fn promised(ballot: Ballot) -> Replica {
    let mut follower = announcing(1);
    let (scope, quorum) = (Scope::From(Slot(0)), Some(nodes([0, 1])));
    hear(&mut follower, 0, Message::Phase1a { ballot, scope, quorum });
    follower
}

#[test]
fn a_ballot_is_settled_when_what_its_leader_adopted_is_executed() {
    let own = ballot(2, 0);
    let mut follower = promised(own);
    assert_eq!(hear(&mut follower, 0, settle(own, 1)), Effects::default());
    let taught = hear(&mut follower, 2, values(vec![value(0)]));
    // It never voted for that value, so it must not lose it.
    let learned = Record::Learned { slot: Slot(0), value: value(0) };
    let settled = Record::Settled { ballot: own, below: Slot(1) };
    assert_eq!(taught.records, [learned, settled]);
    let told = vec![(nodes([0, 1, 2]), Message::Settled { ballot: own })];
    assert_eq!(durable(&taught), told);
    // Asked again, it says so again, and has nothing more to record.
    let again = hear(&mut follower, 0, settle(own, 1));
    assert_eq!((again.records.len(), durable(&again)), (0, told));
}

#[test]
fn a_value_that_was_voted_for_is_not_recorded_again() {
    let own = ballot(2, 0);
    let mut follower = promised(own);
    let chosen_below = Slot(0);
    hear(
        &mut follower,
        0,
        Message::Phase2a { ballot: own, slot: Slot(0), value: value(0), chosen_below },
    );
    hear(&mut follower, 0, Message::Chosen { ballot: own, first: Slot(0), below: Slot(1) });
    let settled = hear(&mut follower, 0, settle(own, 1));
    assert_eq!(settled.records, [Record::Settled { ballot: own, below: Slot(1) }]);
}

#[test]
fn a_ballot_below_a_promise_is_not_settled() {
    let mut follower = promised(ballot(3, 2));
    assert_eq!(hear(&mut follower, 0, settle(ballot(2, 0), 0)), Effects::default());
    // What it was asked before it promised more is over, too.
    let mut follower = promised(ballot(2, 0));
    hear(&mut follower, 0, settle(ballot(2, 0), 1));
    let (scope, quorum) = (Scope::From(Slot(0)), Some(nodes([1, 2])));
    hear(&mut follower, 2, Message::Phase1a { ballot: ballot(3, 2), scope, quorum });
    assert_eq!(hear(&mut follower, 2, values(vec![value(0)])).records, []);
}

#[test]
fn quorums_are_forgotten_when_a_phase_1_quorum_has_settled() {
    let (lower, own) = (ballot(1, 2), ballot(2, 0));
    let mut follower = promised(lower);
    let (scope, quorum) = (Scope::From(Slot(0)), Some(nodes([0, 1])));
    hear(&mut follower, 0, Message::Phase1a { ballot: own, scope, quorum });
    let rounds = |replica: &Replica| -> Vec<u64> {
        replica.acceptor().announced().by_ballot().map(|(ballot, _)| ballot.round).collect()
    };
    let settled = |ballot| Message::Settled { ballot };
    assert_eq!(hear(&mut follower, 2, settled(own)).records, []);
    assert_eq!(hear(&mut follower, 2, settled(own)).records, [], "twice the same is one");
    assert_eq!(hear(&mut follower, 0, settled(lower)).records, [], "of another ballot");
    assert_eq!(rounds(&follower), [1, 2]);
    let enough = hear(&mut follower, 0, settled(own));
    assert_eq!(enough.records, [Record::Forgotten { below: own }]);
    assert_eq!(rounds(&follower), [2]);
    assert_eq!(hear(&mut follower, 1, settled(own)).records, [], "nothing is left to forget");
    // Those of one ballot do not count for a higher one.
    assert_eq!(hear(&mut follower, 0, settled(ballot(5, 0))).records, []);
}

/// r0, which leads with the promises of itself and of r1, which has voted and reports an announced quorum.
fn adopting(votes: Vec<(Slot, Vote)>) -> (Replica, Ballot, Effects) {
    let mut leader = announcing(0);
    give(&mut leader, Input::Start);
    let own = leader.acceptor().promised_highest();
    let mut announced = Announced::default();
    announced.insert(Ballot { round: 0, ..own }, nodes([1, 2]));
    hear(&mut leader, 0, promise(own, Vec::new()));
    let report = Box::new(Report { votes, announced, ..Report::default() });
    let scope = Scope::From(Slot(0));
    let effects = hear(&mut leader, 1, Message::Phase1b { ballot: own, scope, report });
    assert!(leader.is_leader());
    (leader, own, effects)
}

#[test]
fn a_leader_asks_to_settle_once_it_has_executed_what_it_adopted() {
    let vote_of = |round, slot| {
        let ballot = Ballot { round, proposer: NodeId(0) };
        (Slot(slot), Vote { ballot, value: value(slot) })
    };
    let (mut leader, own, effects) = adopting(vec![vote_of(0, 0)]);
    assert_eq!(asked_to_settle(&effects), NodeSet::EMPTY);
    hear(&mut leader, 0, vote(own, 0));
    let effects = hear(&mut leader, 1, vote(own, 0));
    assert_eq!(executed(&effects), [Slot(0)]);
    assert_eq!(asked_to_settle(&effects), nodes([1, 2]));
    assert!(effects.records.contains(&Record::Settled { ballot: own, below: Slot(1) }));
    // Who has settled is asked no more, and nobody when they are a phase-1 quorum.
    let again = |leader: &mut Replica| {
        let effects = give(leader, Input::Timer(TimerKind::Announce.id()));
        asked_to_settle(&effects)
    };
    hear(&mut leader, 0, Message::Settled { ballot: own });
    assert_eq!(again(&mut leader), nodes([1, 2]));
    hear(&mut leader, 2, Message::Settled { ballot: own });
    assert_eq!(again(&mut leader), NodeSet::EMPTY);
    assert_eq!(leader.acceptor().announced().forgotten_below(), own);
}

#[test]
fn a_leader_that_adopted_nothing_asks_at_once_and_one_without_rivals_never() {
    let (_, _, effects) = adopting(Vec::new());
    assert_eq!(asked_to_settle(&effects), nodes([1, 2]));
    let mut first = announcing(0);
    give(&mut first, Input::Start);
    let own = first.acceptor().promised_highest();
    hear(&mut first, 0, promise(own, Vec::new()));
    let effects = hear(&mut first, 1, promise(own, Vec::new()));
    assert!(first.is_leader());
    assert_eq!(asked_to_settle(&effects), NodeSet::EMPTY, "nothing was announced before");
}

/// The quorum of the ballot counts, and not any two.
#[test]
fn a_slot_is_chosen_by_the_announced_quorum_alone() {
    let (mut leader, own, _) = adopting(Vec::new());
    let announced = leader.announced().unwrap();
    assert_eq!(announced, nodes([0, 1]));
    give(&mut leader, Input::Request(command(0)));
    hear(&mut leader, 2, vote(own, 0));
    assert_eq!(executed(&hear(&mut leader, 1, vote(own, 0))), []);
    assert_eq!(executed(&hear(&mut leader, 0, vote(own, 0))), [Slot(0)]);
}

#[test]
fn a_phase_1_goes_on_until_it_meets_what_was_announced() {
    let mut leader = announcing(0);
    give(&mut leader, Input::Start);
    let own = leader.acceptor().promised_highest();
    let mut announced = Announced::default();
    announced.insert(Ballot { round: 0, ..own }, NodeSet::only(NodeId(2)));
    let report = Box::new(Report { announced, ..Report::default() });
    let message = Message::Phase1b { ballot: own, scope: Scope::From(Slot(0)), report };
    hear(&mut leader, 0, promise(own, Vec::new()));
    hear(&mut leader, 1, message);
    assert!(!leader.is_leader(), "two of three, and none of them is r2");
    hear(&mut leader, 2, promise(own, Vec::new()));
    assert!(leader.is_leader());
}
