//! Responders: when one answers alone, what a write waits for, and how a roster changes.

use super::*;
use crate::paxos::{Granted, Reads, ResponderTerms};
use crate::protocol::{Assignment, KeyRange};
use bytes::Bytes;

const LENGTH: Span = Span::from_millis(2_000);
const BOUND: Span = Span::from_millis(1);
/// As in `multi/roster.rs`: so long a responder may be silent.
const PATIENCE: u64 = 1_000;

fn set(nodes: impl IntoIterator<Item = u8>) -> NodeSet {
    nodes.into_iter().map(NodeId).collect()
}

fn responders(at: NodeSet) -> Mode {
    assigned(Assignment::AllKeys(at))
}

fn assigned(at: Assignment) -> Mode {
    let terms = ResponderTerms { at, length: LENGTH, bound: BOUND };
    Mode::Multi { leader: LEADER, reads: Reads::Responders(terms), commit_wait: None }
}

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

fn hear_at(at: u64, replica: &mut Replica, from: u8, message: Message) -> Effects {
    give_at(ms(at), replica, Input::Message { from: NodeId(from), message })
}

fn ask_at(at: u64, replica: &mut Replica, command: Command) -> Effects {
    give_at(ms(at), replica, Input::Request(command))
}

fn fire_at(at: u64, replica: &mut Replica, timer: u64) -> Effects {
    give_at(ms(at), replica, Input::Timer(TimerId(timer)))
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

/// Whether a phase-1 quorum is asked for the end of the log.
fn is_quorum_read(effects: &Effects) -> bool {
    effects.sends.iter().any(|it| matches!(it.message, Message::AskEnd { .. }))
}

fn renew(ballot: Ballot, to: NodeSet, fresh: u64) -> Message {
    Message::Renew { ballot, quorum: None, to, fresh: Slot(fresh) }
}

fn grant(ballot: Ballot, stamp: u64) -> Message {
    Message::Grant { ballot, stamp: ms(stamp) }
}

fn propose(ballot: Ballot, slot: u64, command: Command) -> Message {
    let value = Value::from(command);
    Message::Phase2a { ballot, slot: Slot(slot), value, chosen_below: Slot(0) }
}

/// Replica 2 of five, a responder, with grants of these acceptors at 10 ms by the leader r0.
fn responder(phase1: usize, grantors: NodeSet) -> (Replica, Ballot) {
    let quorums = QuorumSystem::counts(5, phase1, 6 - phase1).unwrap();
    let config = config(2, quorums, SendPolicy::All);
    let mut responder = Replica::new(responders(set([0, 2])), config);
    give(&mut responder, Input::Start);
    let ballot = ballot(1, 0);
    hear_at(10, &mut responder, 0, renew(ballot, set([0, 2]), 0));
    for from in grantors.iter() {
        hear_at(11, &mut responder, from.0, grant(ballot, 10));
    }
    (responder, ballot)
}

#[test]
fn grantors_must_meet_every_phase1_quorum() {
    for (phase1, enough) in [(2, 4), (3, 3), (4, 2), (5, 1)] {
        let (mut few, _) = responder(phase1, NodeSet::all(enough - 1));
        let asked = ask_at(12, &mut few, get(0, 1));
        assert_eq!(read(&asked), [], "{phase1}");
        assert_eq!(is_quorum_read(&asked), phase1 > 1);
        let (mut many, _) = responder(phase1, NodeSet::all(enough));
        let alone = ask_at(12, &mut many, get(0, 1));
        assert_eq!(read(&alone), [(0, None)], "{phase1}");
        assert!(alone.sends.is_empty() && alone.records.is_empty());
    }
}

/// Of the keys 0 to 9 r0 and r2 answer reads, and of 20 to 29 r0 and r1: those of 10 to 19 nobody.
fn two_ranges() -> Mode {
    let range = |first, at| KeyRange { first, last: first + 9, at };
    let ranges = [range(0, set([0, 2])), range(20, set([0, 1]))];
    assigned(Assignment::by_key(&ranges).unwrap())
}

#[test]
fn a_responder_answers_for_its_own_keys_only() {
    let mut responder = replica(2, two_ranges());
    give(&mut responder, Input::Start);
    let ballot = ballot(1, 0);
    hear_at(10, &mut responder, 0, renew(ballot, set([0, 1, 2]), 0));
    for from in 0..2 {
        hear_at(11, &mut responder, from, grant(ballot, 10));
    }
    for (sequence, key, is_own) in [(0, 9, true), (1, 10, false), (2, 20, false), (3, 0, true)] {
        let asked = ask_at(12, &mut responder, get(sequence, key));
        assert_eq!(read(&asked).len(), usize::from(is_own), "{key}");
        assert_eq!(is_quorum_read(&asked), !is_own, "{key}");
    }
    // What it does not know of other keys holds up no read of its own; a slot behind that does.
    hear_at(13, &mut responder, 0, propose(ballot, 1, put(0, 25)));
    assert_eq!(read(&ask_at(14, &mut responder, get(4, 1))), [(0, None)]);
    hear_at(15, &mut responder, 0, propose(ballot, 2, put(1, 1)));
    let chosen = Message::Chosen { ballot, first: Slot(1), below: Slot(3) };
    hear_at(16, &mut responder, 0, chosen);
    let waits = ask_at(17, &mut responder, get(5, 1));
    assert_eq!((read(&waits), is_quorum_read(&waits)), (vec![], false));
}

#[test]
fn a_responder_learns_of_every_key_what_is_not_fresh() {
    let mut responder = replica(2, two_ranges());
    give(&mut responder, Input::Start);
    let ballot = ballot(2, 0);
    hear_at(10, &mut responder, 0, renew(ballot, set([0, 1, 2]), 1));
    for from in 0..2 {
        hear_at(11, &mut responder, from, grant(ballot, 10));
    }
    // It cannot know of which key the write in a slot is that it does not know.
    assert!(is_quorum_read(&ask_at(12, &mut responder, get(0, 1))));
    hear_at(13, &mut responder, 0, propose(ballot, 0, put(0, 25)));
    assert_eq!(read(&ask_at(14, &mut responder, get(1, 1))), [(0, None)]);
}

#[test]
fn grants_of_two_ballots_do_not_add_up() {
    let (mut responder, _) = responder(3, set([0, 1, 2]));
    let next = ballot(2, 1);
    hear_at(12, &mut responder, 1, grant(next, 11));
    hear_at(12, &mut responder, 3, grant(next, 11));
    assert_eq!(read(&ask_at(13, &mut responder, get(0, 1))), []);
    hear_at(14, &mut responder, 4, grant(next, 11));
    // Nobody told it from where on slots are fresh.
    assert_eq!(read(&ask_at(15, &mut responder, get(1, 1))), []);
    hear_at(16, &mut responder, 1, renew(next, set([1, 2]), 0));
    assert_eq!(read(&ask_at(17, &mut responder, get(2, 1))), [(0, None)]);
}

#[test]
fn a_lease_surely_lasts_for_its_length_less_the_bound() {
    let (mut responder, _) = responder(4, set([1, 3]));
    let mut at = |shown: Time| {
        let mut effects = Effects::default();
        let now = Now { at: ms(20), shown };
        responder.handle(now, Input::Request(get(shown.0, 1)), &mut effects);
        read(&effects).len()
    };
    assert_eq!(at(Time(ms(2_009).0 - 1)), 1);
    assert_eq!(at(ms(2_009)), 0);
}

#[test]
fn a_responder_first_learns_what_is_not_fresh() {
    let quorums = QuorumSystem::counts(5, 4, 2).unwrap();
    let config = config(2, quorums, SendPolicy::All);
    let mut responder = Replica::new(responders(set([0, 2])), config);
    give(&mut responder, Input::Start);
    // A vote at a lower ballot need not be for what the next leader adopted.
    let (lower, ballot) = (ballot(1, 1), ballot(2, 0));
    hear_at(5, &mut responder, 1, propose(lower, 0, put(7, 2)));
    hear_at(10, &mut responder, 0, renew(ballot, set([0, 2]), 1));
    for from in [1, 3] {
        hear_at(11, &mut responder, from, grant(ballot, 10));
    }
    assert!(is_quorum_read(&ask_at(21, &mut responder, get(0, 1))));
    hear_at(22, &mut responder, 0, propose(ballot, 0, put(0, 1)));
    assert_eq!(read(&ask_at(22, &mut responder, get(1, 2))), [(0, None)]);
    let waits = ask_at(22, &mut responder, get(2, 1));
    assert_eq!((read(&waits), is_quorum_read(&waits)), (vec![], false));
    let values = vec![Value::from(put(0, 1))];
    let taught = Message::Values { first: Slot(0), values, executed_below: Slot(1) };
    let told = hear_at(23, &mut responder, 0, taught);
    assert_eq!(read(&told), [(1, Some("0".to_owned()))]);
}

#[test]
fn a_read_waits_for_a_write_that_its_responder_voted_for() {
    let (mut responder, ballot) = responder(4, set([1, 3]));
    hear_at(20, &mut responder, 0, propose(ballot, 1, put(0, 1)));
    assert_eq!(read(&ask_at(21, &mut responder, get(0, 2))), [(0, None)]);
    let waits = ask_at(21, &mut responder, get(1, 1));
    assert_eq!((read(&waits), is_quorum_read(&waits)), (vec![], false));
    // What is chosen behind a slot that is not known is not executed.
    let chosen = |first, below| Message::Chosen { ballot, first: Slot(first), below: Slot(below) };
    assert_eq!(read(&hear_at(22, &mut responder, 0, chosen(1, 2))), []);
    hear_at(23, &mut responder, 0, propose(ballot, 0, put(1, 3)));
    let told = hear_at(24, &mut responder, 0, chosen(0, 2));
    assert_eq!(read(&told), [(2, Some("0".to_owned()))]);
}

/// A key that is written all the time is read, also by a client that asks again.
#[test]
fn a_read_waits_for_no_write_that_comes_after_it() {
    let (mut responder, ballot) = responder(4, set([1, 3]));
    hear_at(20, &mut responder, 0, propose(ballot, 0, put(0, 1)));
    assert_eq!(read(&ask_at(21, &mut responder, get(0, 1))), []);
    hear_at(22, &mut responder, 0, propose(ballot, 1, put(1, 1)));
    assert_eq!(read(&ask_at(23, &mut responder, get(0, 1))), []);
    // This one came after the second write, and waits for it.
    assert_eq!(read(&ask_at(23, &mut responder, get(1, 1))), []);
    let chosen = |below| Message::Chosen { ballot, first: Slot(0), below: Slot(below) };
    let told = hear_at(24, &mut responder, 0, chosen(1));
    assert_eq!(read(&told), [(1, Some("0".to_owned()))]);
    let told = hear_at(25, &mut responder, 0, chosen(2));
    assert_eq!(read(&told), [(2, Some("1".to_owned()))]);
}

/// A client that asks again does not make the time-out begin anew.
#[test]
fn a_read_that_is_asked_again_keeps_its_time_out() {
    let (mut responder, ballot) = responder(4, set([1, 3]));
    hear_at(20, &mut responder, 0, propose(ballot, 0, put(0, 1)));
    let patience = Timing::for_round_trip(Span::from_millis(10)).retransmit_after;
    ask_at(21, &mut responder, get(0, 1));
    give_at(ms(20) + patience, &mut responder, Input::Request(get(0, 1)));
    let over = give_at(ms(21) + patience, &mut responder, Input::Timer(TimerId(7)));
    assert!(is_quorum_read(&over));
}

#[test]
fn a_read_that_waits_for_too_long_becomes_a_quorum_read() {
    let (mut responder, ballot) = responder(4, set([1, 3]));
    hear_at(20, &mut responder, 0, propose(ballot, 0, put(0, 1)));
    let waits = ask_at(21, &mut responder, get(0, 1));
    let patience = Timing::for_round_trip(Span::from_millis(10)).retransmit_after;
    let [timer] = &waits.timers[..] else { panic!("{waits:?}") };
    assert_eq!((timer.id, timer.after), (TimerId(7), patience));
    let over = give_at(ms(21) + patience, &mut responder, Input::Timer(timer.id));
    assert!(is_quorum_read(&over));
}

#[test]
fn who_has_no_lease_asks_a_quorum_and_a_witness_nobody() {
    let quorums = QuorumSystem::majority(3).with_witnesses(set([1]));
    for (id, is_learner) in [(2, true), (1, false)] {
        let config = config(id, quorums.clone(), SendPolicy::All);
        let mut other = Replica::new(responders(set([0])), config);
        give(&mut other, Input::Start);
        let asked = ask_at(1, &mut other, get(0, 1));
        assert_eq!(is_quorum_read(&asked), is_learner);
        assert_eq!(asked.replies.is_empty(), is_learner);
    }
}

/// What an acceptor granted, to whom, and what it must make durable before.
fn granted(effects: &Effects) -> (Vec<(NodeSet, Time)>, usize) {
    let of = |it: &Envelope<Message>| match it.message {
        Message::Grant { stamp, .. } => Some((it.to, stamp)),
        _ => None,
    };
    (effects.durable_sends.iter().filter_map(of).collect(), effects.records.len())
}

/// What a promise of this ballot tells of grants.
fn told(at: u64, acceptor: &mut Replica, round: u64) -> Granted {
    let (ballot, scope) = (ballot(round, 2), Scope::From(Slot(0)));
    let promised = hear_at(at, acceptor, 2, Message::Phase1a { ballot, scope, quorum: None });
    let report = promised.durable_sends.iter().find_map(|it| match &it.message {
        Message::Phase1b { report, .. } => Some(report.granted.clone()),
        _ => None,
    });
    report.expect("a promise")
}

fn stamps(of: &[(u8, u64)]) -> Granted {
    let mut granted = Granted::default();
    for (node, at) in of {
        granted.note(set([*node]), ms(*at));
    }
    granted
}

#[test]
fn an_acceptor_grants_at_what_it_promised_and_tells_of_it() {
    let mut acceptor = replica(1, responders(set([0, 2])));
    give(&mut acceptor, Input::Start);
    let (first, second) = (ballot(3, 0), ballot(4, 0));
    // It has not heard of this ballot: it promises it first. Its leader is told too.
    let begun = hear_at(10, &mut acceptor, 0, renew(first, set([2]), 0));
    assert_eq!(granted(&begun), (vec![(set([0, 2]), ms(10))], 1));
    assert_eq!(acceptor.acceptor().promised_highest(), first);
    let again = hear_at(20, &mut acceptor, 0, renew(first, set([2]), 0));
    assert_eq!(granted(&again), (vec![(set([0, 2]), ms(20))], 0));
    assert_eq!(told(30, &mut acceptor, 4), stamps(&[(2, 20)]));
    // It promised r2 a higher ballot, and grants nothing below.
    let refused = hear_at(40, &mut acceptor, 0, renew(second, set([0, 2]), 0));
    assert_eq!(granted(&refused), (vec![], 0));
    assert!(matches!(refused.sends[0].message, Message::Refused { .. }), "{refused:?}");
    assert_eq!(told(50, &mut acceptor, 5), stamps(&[(2, 20)]));
}

/// An acceptor that voted at a higher ballot in one slot knows that this leader is deposed.
#[test]
fn an_acceptor_does_not_promise_below_a_vote() {
    let mut acceptor = replica(1, responders(set([0])));
    give(&mut acceptor, Input::Start);
    hear_at(1, &mut acceptor, 2, propose(ballot(5, 2), 3, put(0, 1)));
    let refused = hear_at(2, &mut acceptor, 0, renew(ballot(3, 0), set([0]), 0));
    assert_eq!(granted(&refused), (vec![], 0));
}

#[test]
fn a_start_after_a_promise_stands_for_a_grant_just_before() {
    let mode = responders(set([0, 2]));
    let mut acceptor = replica(1, mode);
    give_at(ms(60), &mut acceptor, Input::Start);
    assert_eq!(told(61, &mut acceptor, 1), Granted::default());
    let promise =
        Record::Promise { ballot: ballot(1, 2), scope: Scope::From(Slot(0)), quorum: None };
    let mut acceptor = replica(1, mode);
    acceptor.recover(None, vec![promise]);
    give_at(ms(70), &mut acceptor, Input::Start);
    // The clock may have been ahead by the bound when it granted, and behind by as much now.
    assert_eq!(told(71, &mut acceptor, 2), stamps(&[(0, 72), (2, 72)]));
}

fn promises(ballot: Ballot, granted: Granted) -> Message {
    let report = Report { granted, ..Report::default() };
    Message::Phase1b { ballot, scope: Scope::From(Slot(0)), report: Box::new(report) }
}

/// The leader r0 of three with r0 and r2 as responders, since 0 ms.
fn leading() -> (Replica, Ballot) {
    let mut leader = replica(0, responders(set([0, 2])));
    give(&mut leader, Input::Start);
    let ballot = leader.acceptor().promised_highest();
    for from in 0..2 {
        hear(&mut leader, from, promises(ballot, stamps(&[(0, 2), (2, 2)])));
    }
    assert!(leader.is_leader());
    (leader, ballot)
}

#[test]
fn a_write_is_told_when_every_responder_has_voted() {
    let (mut leader, ballot) = leading();
    ask_at(10, &mut leader, put(0, 1));
    for from in [0, 1] {
        let voted = hear_at(20, &mut leader, from, vote(ballot, 0));
        assert!(voted.replies.is_empty() && voted.executed.is_empty());
    }
    let voted = hear_at(30, &mut leader, 2, vote(ballot, 0));
    assert_eq!((executed(&voted), voted.replies.len()), (vec![Slot(0)], 1));
    // A responder alone is no phase-2 quorum.
    ask_at(40, &mut leader, put(1, 1));
    assert_eq!(executed(&hear_at(50, &mut leader, 2, vote(ballot, 1))), []);
}

/// The leader r0 of three with responders of ranges, since 0 ms, whose phase 1 heard of these grants and votes.
fn leading_ranges(granted: &Granted, votes: &[(u64, Vote)]) -> (Replica, Ballot) {
    let mut leader = replica(0, two_ranges());
    give(&mut leader, Input::Start);
    let ballot = leader.acceptor().promised_highest();
    for from in 0..2 {
        let votes = votes.iter().map(|(slot, vote)| (Slot(*slot), vote.clone())).collect();
        let report = Report { granted: granted.clone(), votes, ..Report::default() };
        let (scope, report) = (Scope::From(Slot(0)), Box::new(report));
        hear(&mut leader, from, Message::Phase1b { ballot, scope, report });
    }
    assert!(leader.is_leader());
    (leader, ballot)
}

#[test]
fn a_write_waits_for_the_responders_of_its_key() {
    for (key, voters, is_told) in [
        (0, [0, 1], false),
        (9, [0, 2], true),
        (10, [0, 1], true),
        (10, [1, 2], true),
        (20, [0, 1], true),
        (29, [0, 2], false),
        (30, [0, 2], true),
    ] {
        let (mut leader, ballot) = leading_ranges(&Granted::default(), &[]);
        ask_at(10, &mut leader, put(0, key));
        hear_at(20, &mut leader, voters[0], vote(ballot, 0));
        let voted = hear_at(20, &mut leader, voters[1], vote(ballot, 0));
        assert_eq!(voted.replies.len(), usize::from(is_told), "{key} {voters:?}");
        assert_eq!(executed(&voted).len(), usize::from(is_told), "{key} {voters:?}");
    }
}

/// What a leader adopts waits for the responders of its key as what it proposes does, and a hole that it fills for none.
#[test]
fn an_adopted_write_waits_for_the_responders_of_its_key() {
    let at = |key| Vote { ballot: ballot(1, 1), value: Value::from(put(key, key)) };
    let reported = [(0, at(25)), (2, at(1)), (3, at(15))];
    let (mut leader, ballot) = leading_ranges(&Granted::default(), &reported);
    for slot in 0..4 {
        hear_at(10, &mut leader, 0, vote(ballot, slot));
    }
    let finished: Vec<Slot> = (0..4)
        .flat_map(|slot| executed(&hear_at(11, &mut leader, 1, vote(ballot, slot))))
        .collect();
    assert_eq!(finished, [Slot(0), Slot(1)]);
    assert_eq!(executed(&hear_at(12, &mut leader, 2, vote(ballot, 2))), [Slot(2), Slot(3)]);
}

/// Whoever is not in the roster may answer for any key, as far as its leader knows: the wait is not by key.
#[test]
fn writes_of_every_key_wait_for_old_rosters() {
    let (mut leader, ballot) = leading_ranges(&stamps(&[(3, 0)]), &[]);
    ask_at(10, &mut leader, put(0, 15));
    for from in 0..3 {
        assert_eq!(executed(&hear_at(20, &mut leader, from, vote(ballot, 0))), []);
    }
    assert_eq!(executed(&fire_at(2_002, &mut leader, 8)), [Slot(0)]);
}

/// To whom leases are granted, and who would promise another ballot is asked.
fn renewed(effects: &Effects) -> (Option<NodeSet>, bool) {
    let to = effects.sends.iter().find_map(|it| match it.message {
        Message::Renew { to, .. } => Some(to),
        _ => None,
    });
    let asks = effects.sends.iter().any(|it| matches!(it.message, Message::PreVote { .. }));
    (to, asks)
}

/// The leader, whose pre-vote r1 grants and whose phase 1 hears of a grant to r2, leads with another ballot.
fn lead_again(at: u64, leader: &mut Replica, stamp: u64) -> Ballot {
    let asked = fire_at(at, leader, 9);
    assert!(renewed(&asked).1, "{asked:?}");
    let ballot = asked.sends.iter().find_map(|it| match it.message {
        Message::PreVote { ballot, .. } => Some(ballot),
        _ => None,
    });
    let ballot = ballot.unwrap();
    let announced = Box::default();
    hear_at(at, leader, 1, Message::PreVoteGranted { ballot, announced });
    let ballot = leader.acceptor().promised_highest();
    for from in 0..2 {
        hear_at(at + 1, leader, from, promises(ballot, stamps(&[(0, 2), (2, stamp)])));
    }
    assert!(leader.is_leader());
    ballot
}

#[test]
fn a_leader_goes_on_without_a_responder_when_its_leases_are_over() {
    let (mut leader, first) = leading();
    ask_at(10, &mut leader, put(0, 1));
    for from in [0, 1] {
        hear_at(PATIENCE - 1, &mut leader, from, grant(first, PATIENCE - 2));
    }
    let early = fire_at(PATIENCE - 1, &mut leader, 9);
    assert_eq!(renewed(&early), (Some(set([0, 2])), false));
    assert_eq!(
        early.timers.iter().find(|it| it.id == TimerId(9)).unwrap().after,
        Span(LENGTH.0 / 8)
    );
    let second = lead_again(PATIENCE, &mut leader, 900);
    assert!(second > first);
    assert_eq!(renewed(&fire_at(PATIENCE + 2, &mut leader, 9)), (Some(set([0])), false));
    for from in [0, 1] {
        let voted = hear_at(PATIENCE + 3, &mut leader, from, vote(second, 0));
        assert!(executed(&voted).is_empty());
    }
    // A lease of 2000 ms from 900 ms on, and the bound of 1 ms.
    assert_eq!(executed(&fire_at(2_901, &mut leader, 8)), []);
    let over = give_at(Time(ms(2_901).0 + 1), &mut leader, Input::Timer(TimerId(8)));
    assert_eq!((executed(&over), over.replies.len()), (vec![Slot(0)], 1));
}

#[test]
fn a_responder_is_taken_back_later_each_time() {
    let (mut leader, mut ballot) = leading();
    let (mut at, mut waits) = (0, Vec::new());
    for _ in 0..3 {
        // It is silent until it is left out.
        at += PATIENCE;
        hear_at(at, &mut leader, 0, grant(ballot, at));
        ballot = lead_again(at, &mut leader, at);
        let left_out = at;
        // And answers again from then on.
        let mut is_asked = false;
        while !is_asked {
            at += 100;
            for from in [0, 2] {
                hear_at(at, &mut leader, from, grant(ballot, at));
            }
            is_asked = renewed(&fire_at(at, &mut leader, 9)).1;
        }
        waits.push(at - left_out);
        // The question is asked again after a while; by then the answer comes.
        let announced = Box::default();
        let next = Ballot { round: ballot.round + 1, ..ballot };
        hear_at(at, &mut leader, 1, Message::PreVoteGranted { ballot: next, announced });
        ballot = leader.acceptor().promised_highest();
        for from in 0..2 {
            hear_at(at, &mut leader, from, promises(ballot, Granted::default()));
        }
        assert_eq!(renewed(&fire_at(at, &mut leader, 9)), (Some(set([0, 2])), false));
    }
    assert_eq!(waits, [4_000, 8_000, 16_000]);
}

/// Two responders and a phase-2 quorum of two nearest: all three are asked at once.
#[test]
fn a_thrifty_leader_asks_responders_too() {
    let quorums = QuorumSystem::counts(5, 4, 2).unwrap();
    let config = config(0, quorums, SendPolicy::Quorum);
    let mut leader = Replica::new(responders(set([3, 4])), config);
    give(&mut leader, Input::Start);
    let ballot = leader.acceptor().promised_highest();
    for from in 0..4 {
        hear(&mut leader, from, promise(ballot, Vec::new()));
    }
    let proposed = ask_at(1, &mut leader, put(0, 1));
    let to = proposed.sends.iter().filter(|it| matches!(it.message, Message::Phase2a { .. }));
    assert_eq!(to.fold(NodeSet::EMPTY, |all, it| all.union(it.to)), set([1, 3, 4]));
}

/// A leader that is elected because another one fell silent does not wait for the votes of that one.
#[test]
fn an_elected_leader_leaves_out_the_one_that_it_suspects() {
    let detector = crate::protocol::Detector {
        heartbeat: Span::from_millis(10),
        misses: 2,
        spread: Span::ZERO,
    };
    let election = Election::Timeout(detector);
    let settings = config(1, QuorumSystem::majority(3), SendPolicy::All);
    let mut rival = Replica::new(responders(set([0, 1])), Config { election, ..settings });
    give(&mut rival, Input::Start);
    hear_at(1, &mut rival, 0, Message::Heartbeat { ballot: ballot(1, 0), chosen_below: Slot(0) });
    let asked = fire_at(40, &mut rival, 4);
    assert!(renewed(&asked).1, "{asked:?}");
    let next = ballot(2, 1);
    hear_at(41, &mut rival, 2, Message::PreVoteGranted { ballot: next, announced: Box::default() });
    for from in [1, 2] {
        hear_at(42, &mut rival, from, promises(next, stamps(&[(0, 20)])));
    }
    assert!(rival.is_leader());
    assert_eq!(renewed(&fire_at(43, &mut rival, 9)).0, Some(set([1])));
    ask_at(43, &mut rival, put(0, 1));
    for from in [1, 2] {
        assert_eq!(executed(&hear_at(44, &mut rival, from, vote(next, 0))), []);
    }
    assert_eq!(executed(&fire_at(2_022, &mut rival, 8)), [Slot(0)]);
}
