//! Leases: when a leader answers alone, and how long a new one is silent.

use super::*;
use crate::paxos::{LeaseTerms, Reads};
use crate::protocol::Detector;
use crate::time::Now;
use bytes::Bytes;

const LENGTH: Span = Span::from_millis(100);
const BOUND: Span = Span::from_millis(1);
const LEASES: Mode = Mode::Multi {
    leader: LEADER,
    reads: Reads::LeaderLease(LeaseTerms { length: LENGTH, bound: BOUND }),
    commit_wait: None,
};

fn ms(at: u64) -> Time {
    Time(at * 1_000_000)
}

fn put(sequence: u64, key: u64) -> Command {
    let request = RequestId { client: ClientId(7), sequence };
    let operation = Operation::Put { key, value: Bytes::from(sequence.to_string()) };
    Command { request, settled_below: 0, operation }
}

fn get(sequence: u64, key: u64) -> Command {
    let request = RequestId { client: ClientId(8), sequence };
    Command { request, settled_below: 0, operation: Operation::Get { key } }
}

fn stamped(at: u64, command: Option<Command>) -> Value {
    Value::stamped(ms(at), command)
}

fn hear_at(at: u64, replica: &mut Replica, from: u8, message: Message) -> Effects {
    give_at(ms(at), replica, Input::Message { from: NodeId(from), message })
}

fn ask_at(at: u64, replica: &mut Replica, command: Command) -> Effects {
    give_at(ms(at), replica, Input::Request(command))
}

fn promises(ballot: Ballot, votes: Vec<(Slot, Vote)>, newest: Option<u64>) -> Message {
    let report = Report { votes, newest: newest.map(ms), ..Report::default() };
    Message::Phase1b { ballot, scope: Scope::From(Slot(0)), report: Box::new(report) }
}

/// A leader of three from the beginning on, at 0 ms, or one whose phase 1 heard of this at 0 ms.
fn leading(votes: Vec<(Slot, Vote)>, newest: Option<u64>) -> (Replica, Ballot) {
    let mut leader = replica(0, LEASES);
    give(&mut leader, Input::Start);
    let ballot = leader.acceptor().promised_highest();
    hear(&mut leader, 0, promise(ballot, Vec::new()));
    hear(&mut leader, 1, promises(ballot, votes, newest));
    assert!(leader.is_leader());
    (leader, ballot)
}

/// Both r0 and r1 vote in a slot.
fn choose(at: u64, leader: &mut Replica, ballot: Ballot, slot: u64) -> Effects {
    hear_at(at, leader, 0, vote(ballot, slot));
    hear_at(at, leader, 1, vote(ballot, slot))
}

/// What was read, and below which slot.
fn read(effects: &Effects) -> Vec<(u64, Option<String>)> {
    let text = |value: &Bytes| String::from_utf8(value.to_vec()).unwrap();
    let of = |reply: &Reply| match reply {
        Reply::Read { below, value, .. } => Some((below.0, value.as_ref().map(text))),
        _ => None,
    };
    effects.replies.iter().filter_map(of).collect()
}

fn proposed(effects: &Effects) -> Vec<Value> {
    let value = |it: &Envelope<Message>| match &it.message {
        Message::Phase2a { value, .. } => Some(value.clone()),
        _ => None,
    };
    effects.sends.iter().filter_map(value).collect()
}

#[test]
fn a_leader_reads_alone_while_what_it_chose_is_young() {
    let (mut leader, ballot) = leading(Vec::new(), None);
    assert_eq!(proposed(&ask_at(10, &mut leader, put(0, 1))), [stamped(10, Some(put(0, 1)))]);
    // Nothing is chosen yet, so it holds no lease: what is on its way will be one.
    let early = ask_at(11, &mut leader, get(0, 1));
    assert_eq!((read(&early), proposed(&early)), (vec![], vec![]));
    assert_eq!(read(&choose(20, &mut leader, ballot, 0)), [(1, Some("0".to_owned()))]);
    let alone = ask_at(30, &mut leader, get(1, 1));
    assert_eq!(read(&alone), [(1, Some("0".to_owned()))]);
    assert!(alone.sends.is_empty() && alone.records.is_empty());
    // Behind half of it a read renews it, and is answered all the same.
    let half = ask_at(60, &mut leader, get(2, 2));
    assert_eq!((read(&half), proposed(&half)), (vec![(1, None)], vec![stamped(60, None)]));
    // Two clocks may be 2 ms apart, so 98 ms after the stamp the entry is surely young for the last time.
    assert_eq!(
        read(&give_at(Time(ms(108).0 - 1), &mut leader, Input::Request(get(3, 1)))).len(),
        1
    );
    assert_eq!(read(&ask_at(108, &mut leader, get(4, 1))), []);
    assert_eq!(read(&choose(109, &mut leader, ballot, 1)), [(2, Some("0".to_owned()))]);
}

#[test]
fn the_clock_that_counts_is_the_one_that_is_shown() {
    let (mut leader, ballot) = leading(Vec::new(), None);
    ask_at(10, &mut leader, put(0, 1));
    choose(20, &mut leader, ballot, 0);
    let mut effects = Effects::default();
    let now = Now { at: ms(30), shown: ms(108) };
    leader.handle(now, Input::Request(get(0, 1)), &mut effects);
    assert_eq!(read(&effects), []);
    assert_eq!(proposed(&effects), [stamped(108, None)]);
}

#[test]
fn a_new_leader_is_silent_until_every_lease_is_over() {
    let old = Vote {
        ballot: Ballot { round: 0, proposer: NodeId(2) },
        value: stamped(40, Some(put(0, 1))),
    };
    let (mut leader, ballot) = leading(vec![(Slot(0), old)], Some(50));
    ask_at(60, &mut leader, put(1, 2));
    let chosen = [choose(70, &mut leader, ballot, 0), choose(70, &mut leader, ballot, 1)];
    assert!(chosen.iter().all(|it| it.replies.is_empty() && it.executed.is_empty()));
    // 100 ms after the newest stamp, and 2 ms of two clocks.
    let early = give_at(ms(152), &mut leader, Input::Timer(TimerId(8)));
    assert!(early.executed.is_empty());
    assert_eq!(early.timers.len(), 1);
    let over = give_at(Time(ms(152).0 + 1), &mut leader, Input::Timer(TimerId(8)));
    assert_eq!(executed(&over), [Slot(0), Slot(1)]);
    assert_eq!(over.replies.len(), 2);
}

/// Also where it adopted nothing: it could not have answered anybody before.
#[test]
fn a_new_leader_has_recovered_when_it_is_silent_no_more() {
    let detector =
        Detector { heartbeat: Span::from_millis(500), misses: 3, spread: Span::from_millis(5) };
    let config = config(0, QuorumSystem::majority(3), SendPolicy::All);
    let config = Config { election: Election::Timeout(detector), ..config };
    let mut leader = Replica::new(LEASES, config);
    let recovered = |effects: &Effects| {
        let transfer = |note: &Note| match note {
            Note::Recovered { transfer } => Some(*transfer),
            _ => None,
        };
        effects.notes.iter().find_map(transfer)
    };
    give(&mut leader, Input::Start);
    let ballot = leader.acceptor().promised_highest();
    hear(&mut leader, 0, promise(ballot, Vec::new()));
    let leads = hear(&mut leader, 1, promises(ballot, Vec::new(), Some(50)));
    assert!(leader.is_leader());
    assert_eq!(recovered(&leads), None);
    assert_eq!(recovered(&give_at(ms(152), &mut leader, Input::Timer(TimerId(8)))), None);
    let over = Time(ms(152).0 + 1);
    let told = give_at(over, &mut leader, Input::Timer(TimerId(8)));
    assert_eq!(recovered(&told), Some(over.since(Time::ZERO)));
}

#[test]
fn a_new_leader_reads_what_the_one_before_it_vouched_for() {
    let mut successor = replica(0, LEASES);
    give(&mut successor, Input::Start);
    let first = ballot(5_000, 2);
    let proposal = |slot, value| Message::Phase2a {
        ballot: first,
        slot: Slot(slot),
        value,
        chosen_below: Slot(0),
    };
    hear(&mut successor, 2, proposal(0, stamped(40, Some(put(0, 1)))));
    hear(&mut successor, 2, proposal(1, stamped(45, Some(put(1, 2)))));
    let chosen = Message::Chosen { ballot: first, first: Slot(0), below: Slot(1) };
    hear(&mut successor, 2, chosen);
    give_at(ms(50), &mut successor, Input::Campaign);
    let ballot = successor.acceptor().promised_highest();
    let unsettled = Vote { ballot: first, value: stamped(45, Some(put(1, 2))) };
    for from in 0..2 {
        let votes = vec![(Slot(1), unsettled.clone())];
        let report = Box::new(Report { votes, newest: Some(ms(45)), ..Report::default() });
        let scope = Scope::From(Slot(1));
        let told = Message::Phase1b { ballot, scope, report };
        hear_at(51, &mut successor, from, told);
    }
    assert!(successor.is_leader());
    // Key 1 was read by the one before it as well; of key 2 nobody knows what was told.
    assert_eq!(read(&ask_at(60, &mut successor, get(0, 1))), [(1, Some("0".to_owned()))]);
    assert_eq!(read(&ask_at(60, &mut successor, get(1, 2))), []);
    // What it was taught without a ballot is no lease: 98 ms after 40 it reads nothing any more.
    assert_eq!(read(&ask_at(138, &mut successor, get(2, 1))), []);
}

#[test]
fn what_was_taught_without_a_ballot_is_no_lease() {
    let mut leader = replica(0, LEASES);
    give(&mut leader, Input::Start);
    let values = vec![stamped(40, Some(put(0, 1)))];
    let taught = Message::Values { first: Slot(0), values, executed_below: Slot(1) };
    hear_at(41, &mut leader, 1, taught);
    let ballot = leader.acceptor().promised_highest();
    for from in 0..2 {
        hear_at(42, &mut leader, from, promises(ballot, Vec::new(), None));
    }
    assert!(leader.is_leader());
    assert_eq!(read(&ask_at(50, &mut leader, get(0, 1))), []);
}

#[test]
fn who_leads_no_more_sends_readers_on() {
    let (mut leader, _) = leading(Vec::new(), None);
    assert!(read(&ask_at(10, &mut leader, get(0, 1))).is_empty());
    let higher = Message::Heartbeat { ballot: ballot(9_000, 1), chosen_below: Slot(0) };
    let deposed = hear_at(20, &mut leader, 1, higher);
    assert!(matches!(deposed.replies[..], [Reply::NotLeader { .. }]), "{deposed:?}");
    assert_eq!(deposed.replies[0].request(), get(0, 1).request);
    assert!(!leader.is_leader());
    let refused = ask_at(21, &mut leader, get(1, 1));
    assert!(matches!(refused.replies[..], [Reply::NotLeader { .. }]));
}

/// The stamps of slots that are trimmed, and of states that were installed, are told in promises.
#[test]
fn a_promise_tells_the_newest_stamp_of_all() {
    let mut acceptor = replica(1, LEASES);
    give(&mut acceptor, Input::Start);
    let value = stamped(40, None);
    let (first, slot) = (ballot(1, 0), Slot(0));
    hear(&mut acceptor, 0, Message::Phase2a { ballot: first, slot, value, chosen_below: slot });
    let newest = |effects: &Effects| {
        let told = effects.durable_sends.iter().find_map(|it| match &it.message {
            Message::Phase1b { report, .. } => Some(report.newest),
            _ => None,
        });
        told.expect("a promise")
    };
    let asks = |round| Message::Phase1a {
        ballot: ballot(round, 2),
        scope: Scope::From(Slot(1)),
        quorum: None,
    };
    assert_eq!(newest(&hear(&mut acceptor, 2, asks(2))), Some(ms(40)));
    let values = vec![Value::Noop, stamped(60, None)];
    hear(&mut acceptor, 0, Message::Values { first: slot, values, executed_below: Slot(2) });
    assert_eq!(newest(&hear(&mut acceptor, 2, asks(3))), Some(ms(60)));
    // After a crash too.
    let checkpoint = acceptor.checkpoint();
    let mut again = replica(1, LEASES);
    again.recover(Some(checkpoint), Vec::new());
    give(&mut again, Input::Start);
    assert_eq!(newest(&hear(&mut again, 2, asks(4))), Some(ms(60)));
}

/// A renewal is a proposal like any other: beyond the horizon nobody would remember it.
#[test]
fn a_lease_is_not_renewed_in_a_slot_that_others_would_not_remember() {
    let bounds = Bounds { horizon: 4, ..Bounds::USUAL };
    let config = Config { bounds, ..config(0, QuorumSystem::majority(3), SendPolicy::All) };
    let mut leader = Replica::new(LEASES, config);
    give(&mut leader, Input::Start);
    let own = leader.acceptor().promised_highest();
    for from in 0..2 {
        hear(&mut leader, from, promise(own, Vec::new()));
    }
    let mut renewals = Vec::new();
    for round in 0..4 {
        // Nothing is chosen, and what was proposed is too old to rest on.
        renewals.push(proposed(&ask_at(300 * (round + 1), &mut leader, get(round, 5))).len());
    }
    assert_eq!(renewals, [1, 1, 0, 0]);
    // The readers still wait, so the slot that is free now is used at once.
    assert_eq!(proposed(&choose(1_300, &mut leader, own, 0)).len(), 1);
}
