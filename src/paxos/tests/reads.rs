//! Quorum reads: whom a replica asks, what it waits for, and what it answers.

use super::*;
use crate::paxos::Reads;
use bytes::Bytes;

const QUORUM_READS: Mode = Mode::Multi { leader: LEADER, reads: Reads::Quorum, commit_wait: None };

/// Replica 2 of five, four of which are a phase-1 quorum and two a phase-2 quorum.
fn reader(send: SendPolicy) -> Replica {
    let quorums = QuorumSystem::counts(5, 4, 2).unwrap();
    let mut reader = Replica::new(QUORUM_READS, config(2, quorums, send));
    give(&mut reader, Input::Start);
    reader
}

fn read(sequence: u64) -> Command {
    let request = RequestId { client: ClientId(7), sequence };
    Command { request, settled_below: sequence, operation: Operation::Get { key: 1 } }
}

fn written(text: &'static str) -> Value {
    let request = RequestId { client: ClientId(8), sequence: 0 };
    let operation = Operation::Put { key: 1, value: Bytes::from_static(text.as_bytes()) };
    Value::from(Command { request, settled_below: 0, operation })
}

fn end(sequence: u64, below: u64) -> Message {
    let announced = Announced::default();
    Message::End { request: read(sequence).request, below: Slot(below), announced }
}

fn answer(sequence: u64, below: u64, value: Option<&'static str>) -> Reply {
    let value = value.map(|text| Bytes::from_static(text.as_bytes()));
    Reply::Read { request: read(sequence).request, below: Slot(below), value }
}

/// Whom the question went to; none, if nobody was asked.
fn asked(effects: &Effects) -> NodeSet {
    let asks = effects.sends.iter().filter(|it| matches!(it.message, Message::AskEnd { .. }));
    asks.fold(NodeSet::EMPTY, |all, it| all.union(it.to))
}

#[test]
fn a_read_waits_for_a_phase1_quorum_and_then_for_what_it_tells() {
    let mut reader = reader(SendPolicy::All);
    let begun = give(&mut reader, Input::Request(read(0)));
    assert_eq!(asked(&begun).len(), 4);
    assert!(begun.durable_sends.is_empty() && begun.records.is_empty());
    // With its own that is a phase-2 quorum, then three, then four.
    assert!(hear(&mut reader, 0, end(0, 1)).replies.is_empty());
    assert!(hear(&mut reader, 1, end(0, 0)).replies.is_empty());
    assert!(hear(&mut reader, 1, end(0, 0)).replies.is_empty());
    assert!(hear(&mut reader, 3, end(0, 0)).replies.is_empty());
    // Slot 0 was voted for by r0, so it may be chosen.
    let (first, values) = (Slot(0), vec![written("new")]);
    let taught = Message::Values { first, values, executed_below: Slot(1) };
    assert_eq!(hear(&mut reader, 0, taught).replies, [answer(0, 1, Some("new"))]);
    assert!(hear(&mut reader, 4, end(0, 9)).replies.is_empty());
}

#[test]
fn a_read_of_what_was_never_written_finds_nothing() {
    let mut reader = reader(SendPolicy::All);
    give(&mut reader, Input::Request(read(0)));
    hear(&mut reader, 0, end(0, 0));
    hear(&mut reader, 1, end(0, 0));
    assert_eq!(hear(&mut reader, 4, end(0, 0)).replies, [answer(0, 0, None)]);
}

#[test]
fn an_acceptor_tells_of_votes_before_they_are_durable() {
    let mut acceptor = reader(SendPolicy::All);
    let proposal = Message::Phase2a {
        ballot: ballot(1, 0),
        slot: Slot(6),
        value: written("new"),
        chosen_below: Slot(0),
    };
    hear(&mut acceptor, 0, proposal);
    let told = hear(&mut acceptor, 3, Message::AskEnd { request: read(0).request });
    let [Envelope { to, message }] = &told.sends[..] else { panic!("{told:?}") };
    assert_eq!((*to, message), (NodeSet::only(NodeId(3)), &end(0, 7)));
    assert!(told.durable_sends.is_empty());
}

#[test]
fn a_thrifty_read_asks_the_nearest_quorum_first() {
    let mut reader = reader(SendPolicy::Quorum);
    let begun = give(&mut reader, Input::Request(read(0)));
    assert_eq!(asked(&begun), [3, 4, 0].map(NodeId).into_iter().collect());
    let patience = Timing::for_round_trip(Span::from_millis(10)).retransmit_after;
    let [timer] = &begun.timers[..] else { panic!("{begun:?}") };
    assert_eq!(timer.after, patience);
    hear(&mut reader, 3, end(0, 0));
    let later = Time::ZERO + patience;
    let again = give_at(later, &mut reader, Input::Timer(timer.id));
    assert_eq!(asked(&again), [0, 1, 4].map(NodeId).into_iter().collect());
    assert_eq!(again.notes, [Note::Retransmitted]);
    // Its client is no more patient than that: those who answered are not asked again.
    assert_eq!(asked(&give(&mut reader, Input::Request(read(0)))).len(), 3);
    hear(&mut reader, 0, end(0, 0));
    assert_eq!(hear(&mut reader, 1, end(0, 0)).replies, [answer(0, 0, None)]);
    assert!(give_at(later, &mut reader, Input::Timer(timer.id)).timers.is_empty());
}

#[test]
fn a_read_that_is_held_up_asks_for_what_is_chosen() {
    let mut reader = reader(SendPolicy::All);
    give(&mut reader, Input::Request(read(0)));
    for from in [0, 1, 3] {
        hear(&mut reader, from, end(0, 1));
    }
    let later = Time::ZERO + Timing::for_round_trip(Span::from_millis(10)).retransmit_after;
    let again = give_at(later, &mut reader, Input::Timer(TimerId(7)));
    let learns = again.sends.iter().filter(|it| matches!(it.message, Message::Learn { .. }));
    assert_eq!(learns.map(|it| it.to.len()).sum::<usize>(), 4);
    assert_eq!(asked(&again), NodeSet::EMPTY);
}

#[test]
fn what_a_client_awaits_no_more_is_forgotten() {
    let mut reader = reader(SendPolicy::All);
    give(&mut reader, Input::Request(read(0)));
    give(&mut reader, Input::Request(read(1)));
    for from in [0, 1, 3] {
        assert!(hear(&mut reader, from, end(0, 0)).replies.is_empty());
    }
    hear(&mut reader, 0, end(1, 0));
    hear(&mut reader, 1, end(1, 0));
    assert_eq!(hear(&mut reader, 3, end(1, 0)).replies, [answer(1, 0, None)]);
}

/// Where each ballot announces its phase-2 quorum, a majority is not enough if it misses one.
#[test]
fn a_read_meets_every_announced_quorum() {
    let quorums = QuorumSystem::per_ballot(5, 2).unwrap();
    let mut reader = Replica::new(QUORUM_READS, config(2, quorums, SendPolicy::All));
    give(&mut reader, Input::Start);
    let request = read(0).request;
    give(&mut reader, Input::Request(read(0)));
    let mut announced = Announced::default();
    announced.insert(ballot(1, 0), [0, 4].map(NodeId).into_iter().collect());
    let told = |announced| Message::End { request, below: Slot(0), announced };
    assert!(hear(&mut reader, 1, told(announced)).replies.is_empty());
    assert!(hear(&mut reader, 3, told(Announced::default())).replies.is_empty());
    assert_eq!(hear(&mut reader, 4, told(Announced::default())).replies, [answer(0, 0, None)]);
}

#[test]
fn writes_and_the_reads_of_other_modes_go_through_the_log() {
    let (mut leader, _) = leader();
    let proposed = give(&mut leader, Input::Request(read(0)));
    let is_proposal = |it: &Envelope<Message>| matches!(it.message, Message::Phase2a { .. });
    assert!(proposed.sends.iter().any(is_proposal));
    let write = written("new").command().cloned().expect("a command");
    let refused = give(&mut reader(SendPolicy::All), Input::Request(write.clone()));
    let (request, leader) = (write.request, Some(LEADER));
    assert_eq!(refused.replies, [Reply::NotLeader { request, leader }]);
}

#[test]
fn a_witness_tells_the_end_and_answers_no_read() {
    let quorums = QuorumSystem::majority(3).with_witnesses(NodeSet::only(NodeId(2)));
    let mut witness = Replica::new(QUORUM_READS, config(2, quorums, SendPolicy::All));
    give(&mut witness, Input::Start);
    let told = hear(&mut witness, 1, Message::AskEnd { request: read(0).request });
    assert_eq!(told.sends.len(), 1);
    let refused = give(&mut witness, Input::Request(read(0)));
    let request = read(0).request;
    assert_eq!(refused.replies, [Reply::NotLeader { request, leader: None }]);
}
