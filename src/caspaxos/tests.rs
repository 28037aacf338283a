//! What the doc of this module promises, where a few lines say it better than a scripted run.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::*;
use crate::command::{ClientId, Command, Operation, Outcome, RequestId};
use crate::protocol::{
    Ballot, Bounds, Config, Election, Envelope, Protocol, Reply, Retention, SendPolicy, Slot,
    TimerId, Timing, Value,
};
use crate::quorum::{NodeId, NodeSet, QuorumSystem};
use crate::time::{Now, Span};

const KEY: u64 = b'x' as u64;
const R0: NodeId = NodeId(0);
const OWNED: Mode = Mode { proposer: Some(R0) };
const SHARED: Mode = Mode { proposer: None };

fn config(id: u8) -> Config {
    Config {
        id: NodeId(id),
        quorums: QuorumSystem::majority(3),
        election: Election::Fixed,
        send: SendPolicy::All,
        nearest_first: (id..3).chain(0..id).map(NodeId).collect(),
        timing: Timing::for_round_trip(Span::from_millis(10)),
        retention: Retention::ALL,
        bounds: Bounds::USUAL,
    }
}

fn give(replica: &mut Replica, input: Input) -> Effects {
    let mut effects = Effects::default();
    replica.handle(Now::default(), input, &mut effects);
    effects
}

fn hear(replica: &mut Replica, from: u8, message: Message) -> Effects {
    give(replica, Input::Message { from: NodeId(from), message })
}

/// A replica that may use its first rounds.
fn started(id: u8, mode: Mode) -> Replica {
    let mut replica = Replica::new(mode, config(id));
    let effects = give(&mut replica, Input::Start);
    let reserved = effects.durable_sends[0].message.clone();
    assert!(matches!(reserved, Message::Reserved { .. }));
    hear(&mut replica, id, reserved);
    replica
}

fn ballot(round: u64, proposer: u8) -> Ballot {
    Ballot { round, proposer: NodeId(proposer) }
}

fn put(sequence: u64, settled_below: u64) -> Command {
    let request = RequestId { client: ClientId(7), sequence };
    let value = Bytes::from(sequence.to_string());
    Command { request, settled_below, operation: Operation::Put { key: KEY, value } }
}

fn get(sequence: u64) -> Command {
    Command { operation: Operation::Get { key: KEY }, ..put(sequence, 0) }
}

fn state(commands: &[Command]) -> State {
    commands.iter().fold(State::default(), |state, command| state.after(command, Slot::ZERO))
}

fn phase2a(ballot: Ballot, state: State, next: Option<Ballot>) -> Message {
    Message::Phase2a { key: KEY, ballot, state, next }
}

#[test]
fn a_state_answers_what_its_commands_answered() {
    let state = state(&[put(0, 0), get(1), put(2, 0)]);
    assert_eq!((state.below, state.value.clone()), (Slot(3), Some(Bytes::from("2"))));
    let outcome = Outcome::Read(Some(Bytes::from("0")));
    assert_eq!(state.known(get(1).request), register::Known::Answered(Slot(1), &outcome));
    assert_eq!(state.known(put(3, 0).request), register::Known::New);
}

#[test]
fn what_is_settled_is_forgotten_and_never_applied_again() {
    let state = state(&[put(0, 0), put(1, 0), put(5, 2)]);
    assert_eq!(state.known(put(1, 0).request), register::Known::Settled);
    assert_eq!(state.sessions[&ClientId(7)].answers.len(), 1);
    // A later one of which nothing is known is new.
    assert_eq!(state.known(put(3, 0).request), register::Known::New);
}

#[test]
fn commands_are_carried_until_the_proposer_has_them_in_its_log() {
    let state = state(&[put(0, 0), put(1, 0), put(2, 0)]);
    assert_eq!(state.carried.len(), 3);
    let after = state.after(&put(3, 0), Slot(2));
    let slots: Vec<u64> = after.carried.iter().map(|(slot, _)| slot.0).collect();
    assert_eq!(slots, [2, 3]);
    assert_eq!(after.last().1, &Value::from(put(3, 0)));
}

#[test]
fn a_promise_and_a_vote_wait_for_the_disk_a_refusal_does_not() {
    let mut acceptor = started(1, SHARED);
    let promise = hear(&mut acceptor, 0, Message::Phase1a { key: KEY, ballot: ballot(1, 0) });
    assert!(promise.sends.is_empty() && promise.records.len() == 1);
    assert_eq!(promise.durable_sends[0].to, NodeSet::only(R0));
    let vote = hear(&mut acceptor, 0, phase2a(ballot(1, 0), state(&[put(0, 0)]), None));
    assert!(vote.sends.is_empty() && vote.records.len() == 1 && vote.durable_sends.len() == 1);
    hear(&mut acceptor, 2, Message::Phase1a { key: KEY, ballot: ballot(2, 2) });
    let refusal = hear(&mut acceptor, 0, Message::Phase1a { key: KEY, ballot: ballot(1, 0) });
    let (promised, ballot) = (ballot(2, 2), ballot(1, 0));
    assert_eq!(refusal.sends[0].message, Message::Refused { key: KEY, ballot, promised });
    assert!(refusal.records.is_empty() && refusal.durable_sends.is_empty());
}

/// The vote at a ballot that a rival has overtaken is not told again.
#[test]
fn a_vote_is_told_again_only_while_nothing_higher_was_told() {
    let mut acceptor = started(1, OWNED);
    let (first, next) = (ballot(1, 0), Some(ballot(2, 0)));
    let proposal = || phase2a(first, state(&[put(0, 0)]), next);
    hear(&mut acceptor, 0, proposal());
    let again = hear(&mut acceptor, 0, proposal());
    assert!(again.records.is_empty() && again.durable_sends.len() == 1);
    hear(&mut acceptor, 2, Message::Phase1a { key: KEY, ballot: ballot(3, 2) });
    assert!(hear(&mut acceptor, 0, proposal()).durable_sends.is_empty());
}

#[test]
#[should_panic(expected = "two states at ballot (1.r0)")]
fn two_states_at_one_ballot_break_an_assertion() {
    let mut acceptor = started(1, SHARED);
    hear(&mut acceptor, 0, phase2a(ballot(1, 0), state(&[put(0, 0)]), None));
    hear(&mut acceptor, 0, phase2a(ballot(1, 0), state(&[put(1, 0)]), None));
}

/// The first write takes both phases, and the second one only the votes.
#[test]
fn an_owner_needs_no_second_phase_1() {
    let mut owner = started(0, OWNED);
    give(&mut owner, Input::Request(put(0, 0)));
    for from in [1, 2] {
        hear(&mut owner, from, Message::Phase1b { key: KEY, ballot: ballot(1, 0), vote: None });
    }
    let (slot, next) = (Slot::ZERO, Some(ballot(2, 0)));
    let vote = Message::Phase2b { key: KEY, ballot: ballot(1, 0), slot, next };
    hear(&mut owner, 1, vote.clone());
    let chosen = hear(&mut owner, 2, vote);
    assert!(matches!(chosen.replies[..], [Reply::Executed { slot: Slot::ZERO, .. }]));
    let second = give(&mut owner, Input::Request(put(1, 1)));
    let [envelope] = &second.sends[..] else { panic!("one message: {second:?}") };
    let Message::Phase2a { ballot: used, state, .. } = &envelope.message else {
        panic!("a proposal: {envelope:?}")
    };
    assert_eq!((*used, state.below), (ballot(2, 0), Slot(2)));
}

/// A proposer that was started again has no promise any more, and no ballot that it may have used.
#[test]
fn a_restarted_proposer_asks_again_above_its_reservation() {
    let mut owner = started(0, OWNED);
    give(&mut owner, Input::Request(put(0, 0)));
    let checkpoint = owner.checkpoint();
    let mut again = Replica::new(OWNED, config(0));
    again.recover(Some(checkpoint), Vec::new());
    let reserved = give(&mut again, Input::Start).durable_sends[0].message.clone();
    hear(&mut again, 0, reserved);
    let asked = give(&mut again, Input::Request(put(0, 0)));
    let Message::Phase1a { ballot, .. } = asked.sends[0].message else { panic!("{asked:?}") };
    assert!(ballot.round > 1_000, "{ballot}");
}

#[test]
fn what_nobody_sends_is_refused_and_what_is_sent_is_not() {
    let honest = phase2a(ballot(1, 0), state(&[put(0, 0)]), Some(ballot(2, 0)));
    assert_eq!(honest.check(R0, &config(1)), Ok(()));
    let gap = State { below: Slot(9), ..state(&[put(0, 0)]) };
    let vote = |round| Some(Vote { ballot: ballot(round, 2), state: state(&[put(0, 0)]) });
    let promise = |round| Message::Phase1b { key: KEY, ballot: ballot(2, 1), vote: vote(round) };
    let refused = |promised| Message::Refused { key: KEY, ballot: ballot(1, 1), promised };
    let voted = |slot| Message::Phase2b { key: KEY, ballot: ballot(1, 1), slot, next: None };
    for message in [promise(1), refused(ballot(1, 2)), voted(Slot(0))] {
        assert_eq!(message.check(R0, &config(1)), Ok(()));
    }
    let bad = [
        (phase2a(ballot(0, 0), state(&[put(0, 0)]), None), "is nobody's"),
        (phase2a(ballot(1, 2), state(&[put(0, 0)]), None), "is not of r0"),
        (phase2a(ballot(1, 0), state(&[put(0, 0)]), Some(ballot(1, 0))), "is not above"),
        (phase2a(ballot(1, 0), State::default(), None), "carries 0"),
        (phase2a(ballot(1, 0), gap, None), "do not end with its last"),
        (phase2a(ballot(1, 0), state(&[put(0, 1)]), None), "request 0 is asked"),
        (promise(2), "is not above"),
        (refused(ballot(1, 7)), "is nobody's"),
        (refused(ballot(1 << 63, 2)), "is nobody's"),
        (refused(ballot(1, 1)), "is not above"),
        (voted(Slot(1 << 62)), "is beyond every log"),
        (Message::Reserved { below: 9 }, "no replica sends this"),
    ];
    for (message, expected) in bad {
        let why = message.check(R0, &config(1)).unwrap_err().to_string();
        assert!(why.contains(expected), "{message}: {why}");
    }
    assert!(honest.check(NodeId(3), &config(1)).is_err());
}

/// A replica, and its phase-1 and phase-2 quorum, of which it is no member.
fn outside() -> Replica {
    let quorums = QuorumSystem::explicit(3, &[vec![1, 2]], &[vec![1, 2]]).unwrap();
    let config = Config { quorums, send: SendPolicy::Quorum, ..config(0) };
    let mut replica = Replica::new(SHARED, config);
    let reserved = give(&mut replica, Input::Start).durable_sends[0].message.clone();
    hear(&mut replica, 0, reserved);
    replica
}

fn asked(effects: &Effects) -> Ballot {
    let Message::Phase1a { ballot, .. } = effects.sends[0].message else { panic!("{effects:?}") };
    ballot
}

/// Its own acceptor knows none of its ballots, and the attempt that used one is over.
#[test]
fn a_proposer_outside_its_quorums_uses_no_ballot_twice() {
    let mut proposer = outside();
    let first = asked(&give(&mut proposer, Input::Request(put(0, 0))));
    for from in [1, 2] {
        hear(&mut proposer, from, Message::Phase1b { key: KEY, ballot: first, vote: None });
    }
    for from in [1, 2] {
        let (slot, next) = (Slot::ZERO, None);
        hear(&mut proposer, from, Message::Phase2b { key: KEY, ballot: first, slot, next });
    }
    let second = asked(&give(&mut proposer, Input::Request(put(1, 1))));
    assert!(second > first, "{second} after {first}");
}

/// A request that waits here was applied by another proposer in the meantime.
#[test]
fn every_waiting_request_that_is_chosen_is_answered() {
    let mut proposer = outside();
    let ballot = asked(&give(&mut proposer, Input::Request(put(0, 0))));
    give(&mut proposer, Input::Request(put(1, 0)));
    let vote = Some(Vote { ballot: Ballot::NONE, state: state(&[put(1, 0)]) });
    hear(&mut proposer, 1, Message::Phase1b { key: KEY, ballot, vote });
    hear(&mut proposer, 2, Message::Phase1b { key: KEY, ballot, vote: None });
    let (slot, next) = (Slot(1), None);
    hear(&mut proposer, 1, Message::Phase2b { key: KEY, ballot, slot, next });
    let chosen = hear(&mut proposer, 2, Message::Phase2b { key: KEY, ballot, slot, next });
    let answered: BTreeSet<u64> =
        chosen.replies.iter().map(|reply| reply.request().sequence).collect();
    assert_eq!(answered, BTreeSet::from([0, 1]));
}

#[test]
fn a_ballot_is_carried_only_when_its_round_is_durably_reserved() {
    let mut proposer = started(0, OWNED);
    give(&mut proposer, Input::Request(put(0, 0)));
    // The last round of the block that was reserved when it started is 1024.
    for from in [1, 2] {
        let (ballot, promised) = (ballot(1, 0), ballot(1023, 2));
        hear(&mut proposer, from, Message::Refused { key: KEY, ballot, promised });
    }
    give(&mut proposer, Input::Timer(TimerId(KEY)));
    hear(&mut proposer, 1, Message::Phase1b { key: KEY, ballot: ballot(1024, 0), vote: None });
    let effects =
        hear(&mut proposer, 2, Message::Phase1b { key: KEY, ballot: ballot(1024, 0), vote: None });
    let next = effects.sends.iter().find_map(|it| match it.message {
        Message::Phase2a { next, .. } => Some(next),
        _ => None,
    });
    assert_eq!(next, Some(None));
}

/// A proposer asks others only when it is durable that it may use its first round.
#[test]
fn a_phase1a_waits_for_its_reservation_and_later_ones_need_not() {
    let mut proposer = Replica::new(SHARED, config(0));
    let start = give(&mut proposer, Input::Start);
    let early = give(&mut proposer, Input::Request(put(0, 0)));
    let is_asked = |it: &Envelope<Message>| matches!(it.message, Message::Phase1a { .. });
    assert!(!early.sends.iter().any(is_asked), "{early:?}");
    assert_eq!(early.durable_sends.iter().filter(|it| is_asked(it)).count(), 1);
    hear(&mut proposer, 0, start.durable_sends[0].message.clone());
    let later = give(&mut proposer, Input::Timer(TimerId(KEY)));
    assert!(later.sends.iter().any(is_asked), "{later:?}");
}

/// What it voted for before it crashed it does not tell again: it may have told somebody of a higher ballot since.
#[test]
fn a_vote_of_an_earlier_life_is_not_told_again() {
    let mut acceptor = started(1, OWNED);
    let (first, next) = (ballot(1, 0), Some(ballot(2, 0)));
    let proposal = || phase2a(first, state(&[put(0, 0)]), next);
    let records = hear(&mut acceptor, 0, proposal()).records;
    for checkpoint in [None, Some(acceptor.checkpoint())] {
        let mut again = Replica::new(OWNED, config(1));
        again.recover(checkpoint, records.clone());
        let effects = hear(&mut again, 0, proposal());
        assert!(effects.durable_sends.is_empty() && effects.records.is_empty(), "{effects:?}");
    }
}
