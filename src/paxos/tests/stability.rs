//! Who leads on, who gives up, and whom nobody deposes.

use super::*;
use crate::paxos::timer::TimerKind;
use crate::protocol::Detector;

const DETECTOR: Detector =
    Detector { heartbeat: Span::from_millis(10), misses: 3, spread: Span::from_millis(5) };

pub(super) fn elected(id: u8) -> Replica {
    let config = config(id, QuorumSystem::majority(3), SendPolicy::All);
    Replica::new(MULTI, Config { election: Election::Timeout(DETECTOR), ..config })
}

pub(super) fn at(ms: u64) -> Time {
    Time::ZERO + Span::from_millis(ms)
}

pub(super) fn hear_at(now: Time, replica: &mut Replica, from: u8, message: Message) -> Effects {
    give_at(now, replica, Input::Message { from: NodeId(from), message })
}

fn pre_vote(executed_below: u64) -> Message {
    Message::PreVote { ballot: ballot(9, 2), executed_below: Slot(executed_below) }
}

/// Whether a pre-vote is granted, and only when the disk answers.
fn is_granted(effects: &Effects) -> bool {
    let is_grant = |it: &Envelope<Message>| matches!(it.message, Message::PreVoteGranted { .. });
    assert!(!effects.sends.iter().any(is_grant), "a grant waits for the disk");
    effects.durable_sends.iter().any(is_grant)
}

#[test]
fn a_leader_that_learns_of_a_lost_slot_leads_no_more() {
    let (mut leader, _) = leader();
    give(&mut leader, Input::Request(command(0)));
    let values =
        Message::Values { first: Slot(0), values: vec![value(9)], executed_below: Slot(1) };
    let effects = hear(&mut leader, 1, values);
    assert!(!leader.is_leader());
    let request = command(0).request;
    assert!(effects.replies.iter().any(|reply| reply.request() == request));
}

#[test]
fn a_leader_that_is_taught_its_own_value_leads_on() {
    let (mut leader, _) = leader();
    give(&mut leader, Input::Request(command(0)));
    let values =
        Message::Values { first: Slot(0), values: vec![value(0)], executed_below: Slot(1) };
    hear(&mut leader, 1, values);
    assert!(leader.is_leader());
}

#[test]
fn a_new_leader_begins_behind_its_own_open_proposals() {
    let (mut leader, first) = leader();
    for sequence in 0..2 {
        give(&mut leader, Input::Request(command(sequence)));
    }
    for from in [1, 2] {
        let promised = ballot(3, 2);
        hear(&mut leader, from, Message::Refused { ballot: first, promised, slot: Slot(0) });
    }
    assert!(!leader.is_leader());
    give(&mut leader, Input::Campaign);
    let second = leader.acceptor().promised_highest();
    hear(&mut leader, 1, promise(second, Vec::new()));
    let effects = hear(&mut leader, 2, promise(second, Vec::new()));
    assert!(leader.is_leader());
    assert_eq!(proposed(&effects), [(0, value(0)), (1, value(1))]);
    let effects = give(&mut leader, Input::Request(command(2)));
    assert_eq!(proposed(&effects), [(2, value(2))]);
}

#[test]
fn who_hears_a_leader_grants_no_pre_vote() {
    let mut follower = elected(1);
    give(&mut follower, Input::Start);
    let heartbeat = Message::Heartbeat { ballot: ballot(1, 0), chosen_below: Slot(0) };
    hear_at(at(100), &mut follower, 0, heartbeat);
    assert!(!is_granted(&hear_at(at(129), &mut follower, 2, pre_vote(0))));
    assert!(is_granted(&hear_at(at(130), &mut follower, 2, pre_vote(0))));
    // Nor a leader.
    let mut leader = elected(0);
    give(&mut leader, Input::Start);
    let own = leader.acceptor().promised_highest();
    for from in 0..2 {
        hear(&mut leader, from, promise(own, Vec::new()));
    }
    assert!(leader.is_leader());
    assert!(!is_granted(&hear_at(at(500), &mut leader, 2, pre_vote(0))));
}

#[test]
fn who_promised_a_candidate_gives_it_as_much_time_as_a_leader() {
    let mut acceptor = elected(1);
    give(&mut acceptor, Input::Start);
    let phase1a =
        Message::Phase1a { ballot: ballot(1, 0), scope: Scope::From(Slot(0)), quorum: None };
    hear_at(at(100), &mut acceptor, 0, phase1a);
    assert!(!is_granted(&hear_at(at(129), &mut acceptor, 2, pre_vote(0))));
    assert!(is_granted(&hear_at(at(130), &mut acceptor, 2, pre_vote(0))));
}

#[test]
fn who_lags_by_thousands_of_slots_is_taught_and_not_granted() {
    let mut ahead = elected(1);
    give(&mut ahead, Input::Start);
    let values = (0..4098).map(value).collect();
    let values = Message::Values { first: Slot(0), values, executed_below: Slot(4098) };
    hear(&mut ahead, 0, values);
    assert_eq!(ahead.executed_below(), Slot(4098));
    let effects = hear_at(at(100), &mut ahead, 2, pre_vote(1));
    assert!(!is_granted(&effects));
    let is_taught = |it: &Envelope<Message>| matches!(it.message, Message::Values { .. });
    assert!(effects.sends.iter().any(is_taught));
    assert!(is_granted(&hear_at(at(100), &mut ahead, 2, pre_vote(2))));
}

#[test]
fn a_leader_whom_no_quorum_answers_resigns() {
    for is_answered in [true, false] {
        let mut leader = elected(0);
        give(&mut leader, Input::Start);
        let own = leader.acceptor().promised_highest();
        for from in 0..2 {
            hear(&mut leader, from, promise(own, Vec::new()));
        }
        if is_answered {
            hear_at(at(20), &mut leader, 1, Message::HeartbeatAck { ballot: own });
        }
        let effects = give_at(at(30), &mut leader, Input::Timer(TimerKind::Heartbeat.id()));
        assert_eq!(leader.is_leader(), is_answered);
        assert_eq!(effects.notes.contains(&Note::Resigned), !is_answered);
    }
}

#[test]
fn the_random_wait_doubles_with_each_campaign_up_to_eight_times() {
    let mut candidate = elected(1);
    give(&mut candidate, Input::Start);
    let mut spreads = Vec::new();
    for round in 1..=6 {
        let effects =
            give_at(at(round * 1_000), &mut candidate, Input::Timer(TimerKind::Election.id()));
        let timers = effects.timers.iter().filter(|it| it.id == TimerKind::Election.id());
        spreads.extend(timers.map(|timer| timer.spread.0 / DETECTOR.spread.0));
        give_at(at(round * 1_000), &mut candidate, Input::Campaign);
    }
    assert_eq!(spreads, [1, 2, 4, 8, 8, 8]);
}

#[test]
fn one_that_was_restarted_asks_for_what_it_missed() {
    let mut first = replica(1, MULTI);
    let records = give(&mut first, Input::Start).records;
    let everything = Message::Learn { first: Slot(0), below: Slot(u64::MAX) };
    let asks = |effects: &Effects| effects.sends.iter().any(|it| it.message == everything);
    for records in [records, Vec::new()] {
        let mut again = replica(1, MULTI);
        let has_lived = !records.is_empty();
        again.recover(None, records);
        assert_eq!(asks(&give(&mut again, Input::Start)), has_lived);
    }
}

/// A ballot keeps the quorum that it announced, so one that leaves out who refused the ballot before is worse for good.
#[test]
fn who_refused_a_ballot_is_in_the_quorum_of_the_next_one() {
    let quorums = QuorumSystem::per_ballot(5, 2).unwrap();
    let mut leader = Replica::new(MULTI, config(0, quorums, SendPolicy::All));
    let phase1a = |effects: &Effects| {
        let sends = effects.sends.iter().chain(&effects.durable_sends);
        let mut quorums = sends.filter_map(|it| match &it.message {
            Message::Phase1a { ballot, quorum, .. } => Some((*ballot, quorum.unwrap())),
            _ => None,
        });
        quorums.next_back().expect("it campaigns")
    };
    let (first, nearest) = phase1a(&give(&mut leader, Input::Start));
    assert_eq!(nearest, [0, 1].map(NodeId).into_iter().collect());
    for from in 0..3 {
        hear(&mut leader, from, promise(first, Vec::new()));
    }
    give(&mut leader, Input::Request(command(0)));
    let refused = Message::Refused { ballot: first, promised: ballot(3, 2), slot: Slot(0) };
    hear(&mut leader, 1, refused);
    assert!(leader.is_leader());
    let (second, quorum) = phase1a(&give(&mut leader, Input::Campaign));
    assert!(second > ballot(3, 2));
    assert_eq!(quorum, nearest);
}
