//! What the doc of this module promises, where a few lines say it better than a scripted run.

mod campaigns;
mod leases;
mod reads;
mod responders;
mod retries;
mod roles;
mod settling;
mod snapshots;
mod stability;

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::*;
use crate::command::{ClientId, Command, Operation, RequestId};
use crate::protocol::{
    Advance, Ballot, Bounds, Config, Election, Envelope, Note, Progress, Protocol, Reply,
    Retention, Scope, SendPolicy, Slot, TimerId, Timing, Value,
};
use crate::quorum::{NodeId, NodeSet, QuorumSystem};
use crate::time::{Now, Span, Time};

const LEADER: NodeId = NodeId(0);
const MULTI: Mode = Mode::multi(LEADER);

fn config(id: u8, quorums: QuorumSystem, send: SendPolicy) -> Config {
    let n = u8::try_from(quorums.n()).unwrap();
    Config {
        id: NodeId(id),
        quorums,
        election: Election::Fixed,
        send,
        nearest_first: (id..n).chain(0..id).map(NodeId).collect(),
        timing: Timing::for_round_trip(Span::from_millis(10)),
        retention: Retention::ALL,
        bounds: Bounds::USUAL,
    }
}

fn replica(id: u8, mode: Mode) -> Replica {
    Replica::new(mode, config(id, QuorumSystem::majority(3), SendPolicy::All))
}

fn command(sequence: u64) -> Command {
    let request = RequestId { client: ClientId(7), sequence };
    Command { request, settled_below: 0, operation: Operation::Get { key: sequence } }
}

fn value(sequence: u64) -> Value {
    Value::from(command(sequence))
}

fn ballot(round: u64, proposer: u8) -> Ballot {
    Ballot { round, proposer: NodeId(proposer) }
}

/// One input, and what came of it alone.
fn give(replica: &mut Replica, input: Input) -> Effects {
    give_at(Time::ZERO, replica, input)
}

fn give_at(now: Time, replica: &mut Replica, input: Input) -> Effects {
    let mut effects = Effects::default();
    replica.handle(now.into(), input, &mut effects);
    effects
}

fn hear(replica: &mut Replica, from: u8, message: Message) -> Effects {
    give(replica, Input::Message { from: NodeId(from), message })
}

/// A promise for all slots, with every vote.
fn promise(ballot: Ballot, votes: Vec<(Slot, Vote)>) -> Message {
    let report = Box::new(Report { votes, ..Report::default() });
    Message::Phase1b { ballot, scope: Scope::From(Slot(0)), report }
}

/// A leader of three, with the promises of itself and of r1.
fn leader() -> (Replica, Ballot) {
    let mut leader = replica(0, MULTI);
    give(&mut leader, Input::Start);
    let ballot = leader.acceptor().promised_highest();
    for from in 0..2 {
        hear(&mut leader, from, promise(ballot, Vec::new()));
    }
    assert!(leader.is_leader());
    (leader, ballot)
}

/// The slots that were executed.
fn executed(effects: &Effects) -> Vec<Slot> {
    let slot = |advance: &Advance| match advance {
        Advance::Executed(executed) => Some(executed.slot),
        Advance::Installed(_) => None,
    };
    effects.executed.iter().filter_map(slot).collect()
}

fn vote(ballot: Ballot, slot: u64) -> Message {
    Message::Phase2b { ballot, first: Slot(slot), last: Slot(slot) }
}

/// A little of everything, some of it late and some of it never asked for.
fn inputs() -> Vec<Input> {
    let scope = Scope::From(Slot(0));
    let heard = |from, message| Input::Message { from: NodeId(from), message };
    let proposal = |ballot, slot, sequence| Message::Phase2a {
        ballot,
        slot: Slot(slot),
        value: value(sequence),
        chosen_below: Slot(slot),
    };
    vec![
        Input::Start,
        heard(0, Message::Reserved { below: 1025 }),
        heard(0, promise(ballot(1, 0), Vec::new())),
        Input::Request(command(0)),
        heard(2, promise(ballot(1, 0), Vec::new())),
        Input::Request(command(1)),
        heard(1, vote(ballot(1, 0), 1)),
        heard(0, vote(ballot(1, 0), 1)),
        heard(2, Message::Phase1a { ballot: ballot(3, 2), scope, quorum: None }),
        heard(2, proposal(ballot(3, 2), 0, 5)),
        heard(2, proposal(ballot(3, 2), 2, 6)),
        heard(1, proposal(ballot(2, 1), 2, 7)),
        Input::Timer(TimerId(0)),
        Input::Timer(TimerId(1)),
        Input::Timer(TimerId(2)),
        heard(1, Message::Learn { first: Slot(0), below: Slot(9) }),
        heard(
            1,
            Message::Values { first: Slot(0), values: vec![value(5)], executed_below: Slot(1) },
        ),
        heard(1, Message::Refused { ballot: ballot(1, 0), promised: ballot(3, 2), slot: Slot(0) }),
        heard(2, Message::Refused { ballot: ballot(1, 0), promised: ballot(3, 2), slot: Slot(0) }),
        Input::Request(command(2)),
        Input::Checkpointed(Progress(1)),
        heard(1, Message::Executed { below: Slot(1) }),
        heard(2, Message::Executed { below: Slot(1) }),
    ]
}

#[test]
fn the_same_inputs_give_the_same_effects() {
    for mode in [MULTI, Mode::Classic] {
        let (mut one, mut other) = (replica(0, mode), replica(0, mode));
        for input in inputs() {
            let effects = give(&mut one, input.clone());
            assert_eq!(effects, give(&mut other, input));
            assert_eq!(one, other);
        }
    }
}

#[test]
fn state_can_be_compared_and_hashed() {
    let hash = |replica: &Replica| {
        let mut hasher = DefaultHasher::new();
        replica.hash(&mut hasher);
        hasher.finish()
    };
    let mut replica = replica(0, MULTI);
    let mut seen = BTreeSet::from([replica.clone()]);
    let mut hashes = BTreeSet::from([hash(&replica)]);
    for input in inputs() {
        give(&mut replica, input);
        assert_eq!(hash(&replica), hash(&replica.clone()));
        seen.insert(replica.clone());
        hashes.insert(hash(&replica));
    }
    // Most inputs change something, and states that differ have hashes that do.
    assert!(seen.len() > 10, "{} states", seen.len());
    assert_eq!(seen.len(), hashes.len());
}

#[test]
fn a_promise_and_a_vote_wait_for_the_disk_and_a_phase2a_does_not() {
    let mut acceptor = replica(1, MULTI);
    let ballot = ballot(1, 0);
    let scope = Scope::From(Slot(0));
    let effects = hear(&mut acceptor, 0, Message::Phase1a { ballot, scope, quorum: None });
    assert!(effects.sends.is_empty());
    assert_eq!(effects.records, [Record::Promise { ballot, scope, quorum: None }]);
    assert!(matches!(effects.durable_sends[0].message, Message::Phase1b { .. }));

    let (slot, chosen_below) = (Slot(0), Slot(0));
    let phase2a = Message::Phase2a { ballot, slot, value: value(0), chosen_below };
    let effects = hear(&mut acceptor, 0, phase2a.clone());
    assert!(effects.sends.is_empty());
    assert!(matches!(effects.records[..], [Record::Vote { .. }]));
    assert_eq!(effects.durable_sends[0].message, vote(ballot, 0));

    // Told again: nothing new to record, but the first record may still be on its way to the disk.
    let effects = hear(&mut acceptor, 0, phase2a.clone());
    assert!(effects.sends.is_empty() && effects.records.is_empty());
    assert_eq!(effects.durable_sends[0].message, vote(ballot, 0));

    let (mut leader, _) = leader();
    let effects = give(&mut leader, Input::Request(command(0)));
    assert_eq!(effects.sends.len(), 1);
    assert_eq!(effects.sends[0].to, [1, 2].map(NodeId).into_iter().collect());
    assert_eq!(effects.sends[0].message, phase2a);
    // The leader is an acceptor as well: its own vote waits, and comes to it like any other.
    assert_eq!(effects.durable_sends[0].to, NodeSet::only(LEADER));
    assert_eq!(effects.durable_sends[0].message, vote(ballot, 0));
}

#[test]
fn a_ballot_is_never_used_in_two_lives() {
    let mut used = BTreeSet::new();
    let mut records = Vec::new();
    for _ in 0..5 {
        let mut replica = replica(2, MULTI);
        replica.recover(None, records.clone());
        let start = give(&mut replica, Input::Start);
        for _ in 0..3 {
            give(&mut replica, Input::Campaign);
            assert!(used.insert(replica.acceptor().promised_highest()));
        }
        // Of all this only the reservation became durable before the crash.
        records.extend(start.records);
    }
    assert_eq!(used.len(), 15);
}

#[test]
fn a_leader_proposes_without_waiting_for_the_slot_before() {
    let (mut leader, ballot) = leader();
    for sequence in 0..3 {
        give(&mut leader, Input::Request(command(sequence)));
    }
    let first = Message::Phase2b { ballot, first: Slot(0), last: Slot(2) };
    assert!(hear(&mut leader, 0, first).replies.is_empty());
    // Slot 1 is chosen, and waits for slot 0.
    assert!(hear(&mut leader, 2, vote(ballot, 1)).executed.is_empty());
    let effects = hear(&mut leader, 1, vote(ballot, 0));
    let slots: Vec<Slot> = executed(&effects);
    assert_eq!(slots, [Slot(0), Slot(1)]);
    assert_eq!(effects.replies.len(), 2);
}

#[test]
fn votes_for_consecutive_slots_leave_as_one_message() {
    let mut acceptor = replica(1, MULTI);
    let mut effects = Effects::default();
    for slot in [0, 1, 2, 4] {
        let (ballot, slot, chosen_below) = (ballot(1, 0), Slot(slot), Slot(0));
        let message = Message::Phase2a { ballot, slot, value: Value::Noop, chosen_below };
        acceptor.handle(Now::default(), Input::Message { from: LEADER, message }, &mut effects);
    }
    let votes: Vec<Message> =
        effects.durable_sends.into_iter().map(|envelope| envelope.message).collect();
    let merged = Message::Phase2b { ballot: ballot(1, 0), first: Slot(0), last: Slot(2) };
    assert_eq!(votes, [merged, vote(ballot(1, 0), 4)]);
}

#[test]
fn late_votes_and_promises_change_nothing() {
    let (mut leader, ballot) = leader();
    give(&mut leader, Input::Request(command(0)));
    hear(&mut leader, 1, vote(ballot, 0));
    hear(&mut leader, 2, vote(ballot, 0));
    let before = leader.clone();
    let promise = promise(ballot, Vec::new());
    let older = Ballot { round: 0, proposer: LEADER };
    for message in [vote(ballot, 0), vote(older, 0), vote(older, 1), promise] {
        let effects = hear(&mut leader, 2, message);
        assert!(effects.sends.is_empty() && effects.replies.is_empty());
        assert_eq!(leader, before);
    }
}

#[test]
fn a_thrifty_proposer_asks_everybody_after_a_time_out() {
    let quorums = QuorumSystem::counts(5, 4, 2).unwrap();
    let mut leader = Replica::new(MULTI, config(0, quorums, SendPolicy::Quorum));
    give(&mut leader, Input::Start);
    let ballot = leader.acceptor().promised_highest();
    for from in 0..4 {
        hear(&mut leader, from, promise(ballot, Vec::new()));
    }
    let first = give(&mut leader, Input::Request(command(0)));
    assert_eq!(first.sends[0].to, NodeSet::only(NodeId(1)));
    let late = Time::ZERO + Timing::for_round_trip(Span::from_millis(10)).retransmit_after;
    let again = give_at(late, &mut leader, Input::Timer(TimerId(0)));
    assert_eq!(again.sends[0].to, (1..5).map(NodeId).collect());
    assert!(again.notes.contains(&Note::Retransmitted));
}

#[test]
fn commands_that_come_during_phase_one_are_proposed_at_its_end() {
    let mut leader = replica(0, MULTI);
    give(&mut leader, Input::Start);
    assert!(give(&mut leader, Input::Request(command(0))).replies.is_empty());
    let ballot = leader.acceptor().promised_highest();
    let reported = vec![(Slot(1), Vote { ballot: Ballot { round: 0, ..ballot }, value: value(9) })];
    hear(&mut leader, 0, promise(ballot, Vec::new()));
    let effects = hear(&mut leader, 1, promise(ballot, reported));
    let proposed: Vec<&Message> = effects.sends.iter().map(|envelope| &envelope.message).collect();
    let expected = [(0, Value::Noop), (1, value(9)), (2, value(0))];
    assert_eq!(proposed.len(), expected.len());
    for (message, (slot, value)) in proposed.into_iter().zip(expected) {
        let (slot, chosen_below) = (Slot(slot), Slot(0));
        assert_eq!(*message, Message::Phase2a { ballot, slot, value, chosen_below });
    }
}

/// Of a leader that begins to lead: what it proposes.
fn proposed(effects: &Effects) -> Vec<(u64, Value)> {
    let proposal = |envelope: &Envelope<Message>| match &envelope.message {
        Message::Phase2a { slot, value, .. } => Some((slot.0, value.clone())),
        _ => None,
    };
    effects.sends.iter().filter_map(proposal).collect()
}

#[test]
fn a_promise_in_part_counts_when_the_rest_has_come() {
    let mut leader = replica(0, MULTI);
    for Envelope { to, message } in give(&mut leader, Input::Start).durable_sends {
        if to.contains(LEADER) {
            hear(&mut leader, 0, message);
        }
    }
    let ballot = leader.acceptor().promised_highest();
    let old = Ballot { round: 0, ..ballot };
    let part = |first: u64, slot: u64, below: Option<u64>| Message::Phase1b {
        ballot,
        scope: Scope::From(Slot(first)),
        report: Box::new(Report {
            votes: vec![(Slot(slot), Vote { ballot: old, value: value(slot) })],
            reported_below: below.map(Slot),
            ..Report::default()
        }),
    };
    let asked =
        |from: u64| Message::Phase1a { ballot, scope: Scope::From(Slot(from)), quorum: None };
    let sent = |effects: Effects| -> Vec<(NodeSet, Message)> {
        effects.sends.into_iter().map(|envelope| (envelope.to, envelope.message)).collect()
    };
    let r1 = NodeSet::only(NodeId(1));

    assert_eq!(sent(hear(&mut leader, 1, part(0, 1, Some(2)))), [(r1, asked(2))]);
    assert_eq!(sent(hear(&mut leader, 1, part(2, 2, Some(3)))), [(r1, asked(3))]);
    // Again, and one whose slots before are missing: nothing.
    for late in [part(0, 1, Some(2)), part(2, 2, Some(3)), part(5, 5, None)] {
        assert_eq!(hear(&mut leader, 1, late), Effects::default());
    }
    // The rest is lost: each is asked from where on its votes are not known.
    let after = Time::ZERO + Timing::for_round_trip(Span::from_millis(10)).retransmit_after;
    let again = sent(give_at(after, &mut leader, Input::Timer(TimerId(0))));
    assert_eq!(again, [(NodeSet::only(NodeId(2)), asked(0)), (r1, asked(3))]);

    assert!(!leader.is_leader());
    let effects = hear(&mut leader, 1, part(3, 3, None));
    assert!(leader.is_leader());
    let expected = [(0, Value::Noop), (1, value(1)), (2, value(2)), (3, value(3))];
    assert_eq!(proposed(&effects), expected);
}

#[test]
fn a_promise_reports_about_as_much_as_is_sent_at_once() {
    let retention = Retention { part_bytes: 10, ..Retention::ALL };
    let quorums = QuorumSystem::majority(3);
    let config = Config { retention, ..config(1, quorums, SendPolicy::All) };
    let mut acceptor = Replica::new(MULTI, config);
    for slot in 0..5 {
        let (ballot, slot, value) = (ballot(1, 0), Slot(slot), value(slot));
        hear(&mut acceptor, 0, Message::Phase2a { ballot, slot, value, chosen_below: Slot(0) });
    }
    let (mut from, mut reported) = (Slot(0), Vec::new());
    loop {
        let (ballot, scope) = (ballot(2, 2), Scope::From(from));
        let effects = hear(&mut acceptor, 2, Message::Phase1a { ballot, scope, quorum: None });
        let [Envelope { message: Message::Phase1b { report, .. }, .. }] =
            &effects.durable_sends[..]
        else {
            panic!("it promises: {effects:?}");
        };
        // The promise is recorded once, and each part of it waits for that.
        assert_eq!(effects.records.len(), usize::from(from == Slot(0)));
        reported.push(report.votes.len());
        match report.reported_below {
            Some(below) => from = below,
            None => break,
        }
    }
    assert!(80 < 2 * value(0).size(), "two values are more than eight parts");
    assert_eq!(reported, [2, 2, 1]);
}

#[test]
fn a_replica_that_is_behind_asks_once_and_not_with_every_proposal() {
    let mut follower = replica(1, MULTI);
    let mut asked = Vec::new();
    for slot in 1..100 {
        let (ballot, slot, value) = (ballot(1, 0), Slot(slot), value(slot));
        let phase2a = Message::Phase2a { ballot, slot, value, chosen_below: slot };
        asked.extend(hear(&mut follower, 0, phase2a).sends);
    }
    let messages: Vec<Message> = asked.into_iter().map(|envelope| envelope.message).collect();
    assert_eq!(messages, [Message::Learn { first: Slot(0), below: Slot(1) }]);
    let (first, values) = (Slot(0), vec![value(0)]);
    let answer = Message::Values { first, values, executed_below: Slot(1) };
    let effects = hear(&mut follower, 0, answer);
    assert_eq!(effects.executed.len(), 99);
}

#[test]
fn a_replica_that_does_not_lead_says_who_does() {
    let mut follower = replica(1, MULTI);
    give(&mut follower, Input::Start);
    let request = command(0).request;
    let effects = give(&mut follower, Input::Request(command(0)));
    assert_eq!(effects.replies, [Reply::NotLeader { request, leader: Some(LEADER) }]);
    let scope = Scope::From(Slot(0));
    hear(&mut follower, 2, Message::Phase1a { ballot: ballot(4, 2), scope, quorum: None });
    let effects = give(&mut follower, Input::Request(command(0)));
    assert_eq!(effects.replies, [Reply::NotLeader { request, leader: Some(NodeId(2)) }]);
}

#[test]
fn a_lost_race_backs_off_longer_each_time() {
    let mut proposer = replica(0, Mode::Classic);
    give(&mut proposer, Input::Start);
    give(&mut proposer, Input::Request(command(0)));
    let mut waits = Vec::new();
    for round in 1..4 {
        let asked = proposer.acceptor().promised(Slot(0));
        let promised = ballot(round * 100, 2);
        let refused = Message::Refused { ballot: asked, promised, slot: Slot(0) };
        assert!(hear(&mut proposer, 1, refused.clone()).timers.is_empty());
        let timer = hear(&mut proposer, 2, refused).timers[0];
        assert_eq!(timer.spread, timer.after);
        waits.push(timer.after);
        give(&mut proposer, Input::Timer(timer.id));
        assert!(proposer.acceptor().promised(Slot(0)) > promised);
    }
    assert!(waits.is_sorted_by(|earlier, later| earlier < later), "{waits:?}");
}

#[test]
fn a_replica_of_one_is_its_own_quorum() {
    let alone = config(0, QuorumSystem::majority(1), SendPolicy::All);
    let mut replica = Replica::new(MULTI, alone);
    let start = give(&mut replica, Input::Start);
    for envelope in start.durable_sends {
        hear(&mut replica, 0, envelope.message);
    }
    let effects = give(&mut replica, Input::Request(command(0)));
    assert!(effects.sends.is_empty() && effects.replies.is_empty());
    let effects = hear(&mut replica, 0, effects.durable_sends[0].message.clone());
    assert_eq!(effects.replies.len(), 1);
}

/// Of five, with phase 2 by any two: who the first proposals go to, and after a time-out without a vote.
fn thrifty_leader() -> (Replica, Ballot) {
    let quorums = QuorumSystem::counts(5, 4, 2).unwrap();
    let mut leader = Replica::new(MULTI, config(0, quorums, SendPolicy::Quorum));
    give(&mut leader, Input::Start);
    let ballot = leader.acceptor().promised_highest();
    for from in 0..4 {
        hear(&mut leader, from, promise(ballot, Vec::new()));
    }
    (leader, ballot)
}

fn proposed_to(effects: &Effects) -> NodeSet {
    let is_proposal =
        |envelope: &&Envelope<Message>| matches!(envelope.message, Message::Phase2a { .. });
    effects.sends.iter().find(is_proposal).expect("it proposes").to
}

fn nodes<const N: usize>(nodes: [u8; N]) -> NodeSet {
    nodes.map(NodeId).into_iter().collect()
}

#[test]
fn a_thrifty_leader_passes_over_who_does_not_vote() {
    let (mut leader, ballot) = thrifty_leader();
    let timeout = Timing::for_round_trip(Span::from_millis(10)).retransmit_after;
    assert_eq!(proposed_to(&give(&mut leader, Input::Request(command(0)))), nodes([1]));
    hear(&mut leader, 0, vote(ballot, 0));
    let late = Time::ZERO + timeout;
    give_at(late, &mut leader, Input::Timer(TimerId(0)));
    // It is heard of, but not by votes: the next proposal goes past it, and is a probe of it as well.
    hear(&mut leader, 1, Message::Executed { below: Slot(0) });
    let mut asked =
        |at, sequence| proposed_to(&give_at(at, &mut leader, Input::Request(command(sequence))));
    assert_eq!(asked(late, 1), nodes([1, 2]));
    assert_eq!(asked(late, 2), nodes([2]));
    // A vote that was outstanding for long proves nothing; one for a probe that comes in time does.
    let outstanding = Input::Message { from: NodeId(1), message: vote(ballot, 0) };
    give_at(late, &mut leader, outstanding);
    let mut asked =
        |at, sequence| proposed_to(&give_at(at, &mut leader, Input::Request(command(sequence))));
    let later = late + timeout;
    assert_eq!(asked(later, 3), nodes([1, 2]));
    let message = vote(ballot, 3);
    give_at(later, &mut leader, Input::Message { from: NodeId(1), message });
    assert_eq!(proposed_to(&give_at(later, &mut leader, Input::Request(command(4)))), nodes([1]));
}

#[test]
fn a_thrifty_leader_passes_over_who_refuses() {
    let (mut leader, own) = thrifty_leader();
    give(&mut leader, Input::Request(command(0)));
    let refused = Message::Refused { ballot: own, promised: ballot(9, 3), slot: Slot(0) };
    hear(&mut leader, 1, refused);
    assert_eq!(proposed_to(&give(&mut leader, Input::Request(command(1)))), nodes([2]));
}

#[test]
fn a_refused_leader_asks_first_and_leads_on_meanwhile() {
    let (mut leader, own) = thrifty_leader();
    give(&mut leader, Input::Request(command(0)));
    let refused = Message::Refused { ballot: own, promised: ballot(9, 3), slot: Slot(0) };
    let timers = hear(&mut leader, 1, refused).timers;
    let [renew] = timers[..] else { panic!("one timer is set: {timers:?}") };
    // Rivals that are refused do not renew in step.
    assert!(renew.after > Span::ZERO && renew.spread == renew.after);
    let late = Time::ZERO + renew.after;
    let asked = give_at(late, &mut leader, Input::Timer(renew.id));
    let above = Ballot { round: 10, proposer: LEADER };
    let pre_vote = Message::PreVote { ballot: above, executed_below: Slot(0) };
    assert!(asked.sends.iter().any(|envelope| envelope.message == pre_vote), "{asked:?}");
    assert!(leader.is_leader());
    let granted = Message::PreVoteGranted { ballot: above, announced: Box::default() };
    hear(&mut leader, 2, granted.clone());
    hear(&mut leader, 3, granted.clone());
    assert!(leader.is_leader(), "three of five are no phase-1 quorum");
    hear(&mut leader, 1, granted);
    assert!(!leader.is_leader());
    assert!(leader.acceptor().promised_highest() >= above);
}

fn bounded(id: u8, bounds: Bounds) -> Replica {
    let config = config(id, QuorumSystem::majority(3), SendPolicy::All);
    Replica::new(MULTI, Config { bounds, ..config })
}

/// What it would propose beyond the horizon of the others waits, is sent on with its leadership, and is proposed once.
#[test]
fn a_leader_proposes_no_slot_that_others_would_not_remember() {
    let mut leader = bounded(0, Bounds { horizon: 4, ..Bounds::USUAL });
    give(&mut leader, Input::Start);
    let own = leader.acceptor().promised_highest();
    for sequence in 0..3 {
        give(&mut leader, Input::Request(command(sequence)));
    }
    hear(&mut leader, 0, promise(own, Vec::new()));
    let effects = hear(&mut leader, 1, promise(own, Vec::new()));
    assert_eq!(proposed(&effects), [(0, value(0)), (1, value(1))]);
    for sequence in [3, 2] {
        assert_eq!(proposed(&give(&mut leader, Input::Request(command(sequence)))), []);
    }
    hear(&mut leader, 0, vote(own, 0));
    assert_eq!(proposed(&hear(&mut leader, 1, vote(own, 0))), [(2, value(2))]);
    hear(&mut leader, 0, vote(own, 1));
    assert_eq!(proposed(&hear(&mut leader, 1, vote(own, 1))), [(3, value(3))]);
    give(&mut leader, Input::Request(command(4)));
    let rival = Message::Heartbeat { ballot: ballot(9, 2), chosen_below: Slot(0) };
    let effects = hear(&mut leader, 2, rival);
    let (request, leader) = (command(4).request, Some(NodeId(2)));
    assert_eq!(effects.replies, [Reply::NotLeader { request, leader }]);
}

#[test]
fn what_lies_beyond_the_horizon_is_as_good_as_lost() {
    let mut follower = bounded(1, Bounds { horizon: 4, ..Bounds::USUAL });
    let proposal = |slot| Message::Phase2a {
        ballot: ballot(1, 0),
        slot: Slot(slot),
        value: value(slot),
        chosen_below: Slot(0),
    };
    assert_eq!(hear(&mut follower, 0, proposal(4)).records, []);
    assert_eq!(hear(&mut follower, 0, proposal(3)).records.len(), 1);
    let values = |first: u64, count: u64| Message::Values {
        first: Slot(first),
        values: (first..first + count).map(value).collect(),
        executed_below: Slot(first + count),
    };
    assert_eq!(executed(&hear(&mut follower, 0, values(0, 5))), []);
    assert_eq!(executed(&hear(&mut follower, 0, values(0, 2))), [Slot(0), Slot(1)]);
    assert_eq!(hear(&mut follower, 0, proposal(5)).records.len(), 1);
    // Nor does it matter how far ahead a slot is of which it hears in classic Paxos.
    let mut behind = bounded(1, Bounds { horizon: 4, ..Bounds::USUAL });
    let chosen = |first| Message::Chosen {
        ballot: ballot(1, 0),
        first: Slot(first),
        below: Slot(first + 1),
    };
    let asked = hear(&mut behind, 0, chosen(90)).sends;
    let message = Message::Learn { first: Slot(0), below: Slot(4) };
    assert_eq!(asked, [Envelope { to: NodeSet::only(LEADER), message }]);
    assert_eq!(hear(&mut behind, 0, chosen(91)).sends, [], "it has asked");
    // However far a leader says that it is, it is asked for what can be remembered.
    let chosen_below = Slot(1 << 61);
    let heartbeat = Message::Heartbeat { ballot: ballot(1, 0), chosen_below };
    let effects = hear(&mut follower, 0, heartbeat);
    let learn = Message::Learn { first: Slot(2), below: Slot(6) };
    assert!(effects.sends.iter().any(|it| it.message == learn), "{effects:?}");
}

#[test]
fn an_answer_ends_at_its_bytes_and_at_the_horizon_of_who_asks() {
    let taught = |bounds: Bounds| {
        let mut teacher = bounded(1, bounds);
        let values = (0..20).map(value).collect();
        hear(&mut teacher, 0, Message::Values { first: Slot(0), values, executed_below: Slot(20) });
        let everything = Message::Learn { first: Slot(3), below: Slot(u64::MAX) };
        let effects = hear(&mut teacher, 2, everything);
        let [Envelope { message: Message::Values { first, values, .. }, .. }] = &effects.sends[..]
        else {
            panic!("it teaches: {effects:?}");
        };
        assert_eq!(*first, Slot(3));
        values.len()
    };
    assert_eq!(taught(Bounds::USUAL), 17);
    assert_eq!(taught(Bounds { answer_bytes: value(0).size() * 4, ..Bounds::USUAL }), 4);
    assert_eq!(taught(Bounds { answer_bytes: 0, ..Bounds::USUAL }), 1);
    assert_eq!(taught(Bounds { horizon: 20, answer_bytes: 1 << 20, ..Bounds::USUAL }), 17);
}

#[test]
fn a_candidate_that_is_told_of_slots_beyond_its_horizon_learns_first() {
    let mut candidate = bounded(0, Bounds { horizon: 4, ..Bounds::USUAL });
    give(&mut candidate, Input::Start);
    let own = candidate.acceptor().promised_highest();
    hear(&mut candidate, 0, promise(own, Vec::new()));
    let far =
        |slot| promise(own, vec![(Slot(slot), Vote { ballot: ballot(0, 1), value: value(1) })]);
    let effects = hear(&mut candidate, 1, far(4));
    let everything = Message::Learn { first: Slot(0), below: Slot(u64::MAX) };
    let asked = Envelope { to: NodeSet::only(NodeId(1)), message: everything };
    assert_eq!((effects.sends, candidate.is_leader()), (vec![asked], false));
    hear(&mut candidate, 1, far(3));
    assert!(candidate.is_leader());
}

#[test]
fn overdue_proposals_go_again_a_few_at_first_and_more_with_each_vote() {
    let size = value(0).size();
    let mut leader = bounded(0, Bounds { resent_bytes: 2 * size, ..Bounds::USUAL });
    give(&mut leader, Input::Start);
    let own = leader.acceptor().promised_highest();
    for from in 0..2 {
        hear(&mut leader, from, promise(own, Vec::new()));
    }
    for sequence in 0..9 {
        give(&mut leader, Input::Request(command(sequence)));
    }
    let slots = |effects: &Effects| -> Vec<u64> {
        proposed(effects).into_iter().map(|(slot, _)| slot).collect()
    };
    let late = Time::ZERO + Timing::for_round_trip(Span::from_millis(10)).retransmit_after;
    let again = give_at(late, &mut leader, Input::Timer(TimerId(0)));
    assert_eq!(slots(&again), [0, 1]);
    let own_votes = Message::Phase2b { ballot: own, first: Slot(0), last: Slot(8) };
    give_at(late, &mut leader, Input::Message { from: LEADER, message: own_votes });
    let hear_late = |leader: &mut Replica, slot| {
        let input = Input::Message { from: NodeId(1), message: vote(own, slot) };
        slots(&give_at(late, leader, input))
    };
    assert_eq!(hear_late(&mut leader, 0), [2, 3]);
    assert_eq!(hear_late(&mut leader, 1), [4, 5]);
    // One that was not sent again makes no room.
    assert_eq!(hear_late(&mut leader, 8), [] as [u64; 0]);
}

#[test]
fn one_input_makes_a_replica_forget_a_few_slots_only() {
    let mut follower = bounded(1, Bounds { forgotten_at_once: 3, ..Bounds::USUAL });
    let values = (0..10).map(value).collect();
    hear(&mut follower, 0, Message::Values { first: Slot(0), values, executed_below: Slot(10) });
    give(&mut follower, Input::Checkpointed(Progress(10)));
    let mut first = Vec::new();
    for from in [0, 2, 2, 2, 2] {
        hear(&mut follower, from, Message::Executed { below: Slot(8) });
        first.push(follower.acceptor().first().0);
    }
    assert_eq!(first, [0, 3, 6, 8, 8]);
}
