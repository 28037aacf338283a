//! What is asked again, sent again, and how soon.

use super::*;
use crate::command::Outcome;
use crate::protocol::{Ballot, Capacity, Config, Retention, SendPolicy, Timing, Value};

/// The time-out of the replicas here.
const TIMEOUT: Span = Span::from_millis(500);

fn after(timeouts: u64) -> Time {
    Time::ZERO + TIMEOUT.times(timeouts)
}

fn timer(replica: &mut Replica, now: Time) -> Effects {
    give_at(now, replica, Input::Timer(TimerId(0)))
}

fn slots(effects: &Effects) -> Vec<u64> {
    proposed(effects).into_iter().map(|(slot, _)| slot).collect()
}

/// A command that stores so many bytes.
fn put(sequence: u64, bytes: usize) -> Command {
    let operation = Operation::Put { key: 1, value: vec![7; bytes].into() };
    Command { operation, ..command(sequence) }
}

#[test]
fn a_retry_of_what_is_in_flight_is_no_new_proposal() {
    let (mut leader, ballot) = leader();
    assert_eq!(slots(&give(&mut leader, Input::Request(command(0)))), [0]);
    let before = leader.clone();
    assert_eq!(give(&mut leader, Input::Request(command(0))), Effects::default());
    assert_eq!(leader, before);
    assert_eq!(slots(&give(&mut leader, Input::Request(command(1)))), [1]);

    // Executed: it is answered at once, as it was then, and nothing is proposed either.
    hear(&mut leader, 1, vote(ballot, 0));
    let told = hear(&mut leader, 2, vote(ballot, 0)).replies;
    let (request, outcome) = (command(0).request, Outcome::Read(None));
    assert_eq!(told, [Reply::Executed { request, slot: Slot(0), outcome }]);
    let again = give(&mut leader, Input::Request(command(0)));
    assert_eq!(again.replies, told);
    assert!(again.sends.is_empty() && again.records.is_empty());

    // Settled: nobody waits for an answer.
    give(&mut leader, Input::Request(Command { settled_below: 1, ..command(2) }));
    assert_eq!(give(&mut leader, Input::Request(command(0))), Effects::default());
}

#[test]
fn a_retry_of_what_waits_for_phase_one_is_proposed_once() {
    let mut leader = replica(0, MULTI);
    give(&mut leader, Input::Start);
    for sequence in [0, 1, 0, 0, 1] {
        assert_eq!(give(&mut leader, Input::Request(command(sequence))), Effects::default());
    }
    let ballot = leader.acceptor().promised_highest();
    hear(&mut leader, 0, promise(ballot, Vec::new()));
    // Request 1 reached an earlier leader too: it is adopted, and not proposed a second time.
    let reported = vec![(Slot(0), Vote { ballot: Ballot { round: 0, ..ballot }, value: value(1) })];
    let effects = hear(&mut leader, 1, promise(ballot, reported));
    assert_eq!(proposed(&effects), [(0, value(1)), (1, value(0))]);
}

#[test]
fn a_leader_that_gave_up_knows_no_request_any_more() {
    let (mut leader, old) = leader();
    give(&mut leader, Input::Request(command(0)));
    let promised = ballot(9, 2);
    for from in [1, 2] {
        hear(&mut leader, from, Message::Refused { ballot: old, promised, slot: Slot(0) });
    }
    assert!(!leader.is_leader());
    // It leads again, and another value was voted for in the slot.
    give(&mut leader, Input::Campaign);
    let new = leader.acceptor().promised_highest();
    hear(&mut leader, 0, promise(new, Vec::new()));
    let reported = vec![(Slot(0), Vote { ballot: promised, value: value(5) })];
    assert_eq!(slots(&hear(&mut leader, 2, promise(new, reported))), [0]);
    assert_eq!(slots(&give(&mut leader, Input::Request(command(0)))), [1]);
}

#[test]
fn a_retry_in_classic_paxos_opens_no_second_attempt() {
    let mut proposer = replica(0, Mode::Classic);
    give(&mut proposer, Input::Start);
    assert!(!give(&mut proposer, Input::Request(command(0))).timers.is_empty());
    assert_eq!(give(&mut proposer, Input::Request(command(0))), Effects::default());
}

#[test]
fn a_proposal_is_sent_again_ever_more_rarely() {
    let (mut leader, ballot) = leader();
    give(&mut leader, Input::Request(command(0)));
    hear(
        &mut leader,
        1,
        Message::Phase2b { ballot: Ballot { round: 0, ..ballot }, first: Slot(0), last: Slot(0) },
    );
    let mut sent_at = Vec::new();
    for timeouts in 1..=40 {
        let effects = timer(&mut leader, after(timeouts));
        if let Some(again) = effects.sends.first() {
            assert_eq!(again.to, (1..3).map(NodeId).collect());
            sent_at.push(timeouts);
        }
        // Whatever it sent, it looks again.
        assert_eq!(effects.timers.len(), 1, "after {timeouts}");
    }
    assert_eq!(sent_at, [1, 2, 4, 8, 16, 24, 32, 40]);
    hear(&mut leader, 2, vote(ballot, 0));
    hear(&mut leader, 0, vote(ballot, 0));
    assert_eq!(timer(&mut leader, after(80)), Effects::default());
}

#[test]
fn a_phase_one_is_asked_for_again_ever_more_rarely() {
    let mut leader = replica(0, MULTI);
    give(&mut leader, Input::Start);
    let sent_at = |leader: &mut Replica, timeouts: &[u64]| -> Vec<u64> {
        let is_sent = |at: &u64| {
            let notes = timer(leader, after(*at)).notes;
            notes.contains(&Note::Retransmitted)
        };
        timeouts.iter().copied().filter(is_sent).collect()
    };
    // The timer is set for these instants; in between nothing would fire.
    assert_eq!(sent_at(&mut leader, &[1, 2, 4, 8, 16]), [1, 2, 4, 8, 16]);
    let last = timer(&mut leader, after(24)).timers[0];
    assert_eq!(last.after, TIMEOUT.times(8));
}

#[test]
fn a_backlog_is_sent_again_as_votes_make_room_for_it() {
    let (mut leader, ballot) = leader();
    let bytes = Value::from(put(0, 4_000)).size();
    let count = 100;
    for sequence in 0..count {
        give(&mut leader, Input::Request(put(sequence, 4_000)));
    }
    let first = slots(&timer(&mut leader, after(1)));
    let window = (64 << 10) / bytes as u64;
    assert_eq!(first, (0..window).collect::<Vec<_>>());
    // Nobody votes: with the next time-out the same ones go, which hold up the others, and no more.
    assert_eq!(slots(&timer(&mut leader, after(2))), first);
    // Each that is chosen lets two follow, until all have gone.
    let mut sent = window;
    for slot in 0.. {
        let heard = |from, leader: &mut Replica| {
            let message = vote(ballot, slot);
            give_at(after(2), leader, Input::Message { from: NodeId(from), message })
        };
        heard(1, &mut leader);
        let effects = heard(2, &mut leader);
        let next = slots(&give_at(after(2), &mut leader, Input::Request(put(0, 0))));
        assert!(next.is_empty(), "a retry");
        if sent == count {
            assert!(slots(&effects).is_empty());
            break;
        }
        assert_eq!(slots(&effects).len(), 2, "slot {slot}");
        sent += slots(&effects).len() as u64;
    }
}

#[test]
fn what_waits_for_the_wire_is_not_overdue() {
    // 10 Mbit/s: a megabyte to each of two others takes 1.6 s.
    let capacity = Capacity { uplink_bits_per_s: Some(10_000_000), link_bits_per_s: None };
    let timing = Timing::for_round_trip(Span::from_millis(10));
    let majority = QuorumSystem::majority(3);
    let config =
        Config { timing: timing.on(capacity, Span::ZERO), ..config(0, majority, SendPolicy::All) };
    let mut leader = Replica::new(MULTI, config);
    give(&mut leader, Input::Start);
    let ballot = leader.acceptor().promised_highest();
    for from in 0..2 {
        hear(&mut leader, from, promise(ballot, Vec::new()));
    }
    for sequence in 0..2 {
        give(&mut leader, Input::Request(put(sequence, 1_000_000)));
    }
    let ms = Span::from_millis;
    let look = timer(&mut leader, after(1));
    assert!(slots(&look).is_empty());
    let wait = look.timers[0].after;
    assert!((ms(2_700)..ms(2_710)).contains(&wait), "{wait}");
    // The first waits as long again as for the wire; the second left after 3.2 s.
    assert!(slots(&timer(&mut leader, Time::ZERO + ms(3_100))).is_empty());
    assert_eq!(slots(&timer(&mut leader, Time::ZERO + ms(3_300))), [0]);
    let third = timer(&mut leader, Time::ZERO + ms(6_500));
    assert_eq!(slots(&third), [1]);
}

#[test]
fn a_learner_asks_the_next_replica_and_ever_more_rarely() {
    let mut follower = replica(1, MULTI);
    let news = Message::Chosen { ballot: ballot(1, 0), first: Slot(0), below: Slot(3) };
    let asked = |effects: Effects| -> Vec<NodeSet> {
        effects.sends.into_iter().map(|envelope| envelope.to).collect()
    };
    assert_eq!(asked(hear(&mut follower, 0, news)), [NodeSet::only(NodeId(0))]);
    let mut again = |timeouts| {
        let effects = give_at(after(timeouts), &mut follower, Input::Timer(TimerId(2)));
        let wait = effects.timers[0].after;
        (asked(effects), wait)
    };
    let only = |id| vec![NodeSet::only(NodeId(id))];
    // r1 has r2 next to it, and r0 behind that.
    assert_eq!(again(1), (only(2), TIMEOUT));
    assert_eq!(again(2), (only(0), TIMEOUT.times(2)));
    assert_eq!(again(4), (only(2), TIMEOUT.times(4)));
    assert_eq!(again(8), (only(0), TIMEOUT.times(8)));
    assert_eq!(again(16), (only(2), TIMEOUT.times(8)));
}

#[test]
fn a_narrow_wire_makes_answers_short() {
    let capacity = Capacity { uplink_bits_per_s: None, link_bits_per_s: Some(1_000_000) };
    let timing = Timing::for_round_trip(Span::from_millis(10)).on(capacity, Span::ZERO);
    // A quarter of a second is 31,250 bytes, in eight parts.
    assert_eq!(Retention::ALL.on(&timing).part_bytes, 3_906);
    assert_eq!(Retention::ALL.on(&Timing::for_round_trip(Span::ZERO)), Retention::ALL);
    let config = Config { timing, ..config(1, QuorumSystem::majority(3), SendPolicy::All) };
    let mut teacher = Replica::new(MULTI, config);
    let values: Vec<Value> = (0..10).map(|slot| Value::from(put(slot, 10_000))).collect();
    let taught = Message::Values { first: Slot(0), values, executed_below: Slot(10) };
    hear(&mut teacher, 0, taught);
    let effects = hear(&mut teacher, 2, Message::Learn { first: Slot(0), below: Slot(10) });
    let [Envelope { message: Message::Values { values, .. }, .. }] = &effects.sends[..] else {
        panic!("it answers: {effects:?}");
    };
    assert_eq!(values.len(), 4);
}
