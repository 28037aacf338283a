//! Who campaigns and when, what a candidate counts, and the notes that measurement rests on.

use super::stability::{at, elected, hear_at};
use super::*;
use crate::paxos::timer::TimerKind;

fn refused(ballot: Ballot, promised: Ballot) -> Message {
    Message::Refused { ballot, promised, slot: Slot(0) }
}

fn heartbeat(ballot: Ballot) -> Message {
    Message::Heartbeat { ballot, chosen_below: Slot(0) }
}

/// The ballots of the pre-votes that are asked for.
fn pre_votes(effects: &Effects) -> Vec<u64> {
    let round = |it: &Envelope<Message>| match it.message {
        Message::PreVote { ballot, .. } => Some(ballot.round),
        _ => None,
    };
    effects.sends.iter().filter_map(round).collect()
}

/// The ballots for which promises are asked for, now or once a reservation is durable.
fn asked(effects: &Effects) -> Vec<u64> {
    let round = |it: &Envelope<Message>| match it.message {
        Message::Phase1a { ballot, .. } => Some(ballot.round),
        _ => None,
    };
    effects.sends.iter().chain(&effects.durable_sends).filter_map(round).collect()
}

fn time_out(ms: u64, replica: &mut Replica) -> Effects {
    give_at(at(ms), replica, Input::Timer(TimerKind::Election.id()))
}

#[test]
fn who_hears_no_leader_says_so_once_and_asks_each_time() {
    let mut follower = elected(1);
    give(&mut follower, Input::Start);
    let is_note = |note: &Note| matches!(note, Note::Suspected { .. });
    let first = time_out(100, &mut follower);
    assert_eq!(first.notes, [Note::Suspected { silence: Span::from_millis(100) }]);
    assert_eq!(pre_votes(&first), [1]);
    let second = time_out(200, &mut follower);
    assert!(!second.notes.iter().any(is_note) && pre_votes(&second).len() == 1);
    // It hears of one, and then of none again.
    hear_at(at(210), &mut follower, 0, heartbeat(ballot(1, 0)));
    assert!(time_out(300, &mut follower).notes.iter().any(is_note));
}

#[test]
fn who_hears_a_leader_waits_for_the_rest_of_the_time_out() {
    let mut follower = elected(1);
    give(&mut follower, Input::Start);
    hear_at(at(100), &mut follower, 0, heartbeat(ballot(1, 0)));
    let early = time_out(110, &mut follower);
    assert!(early.notes.is_empty() && pre_votes(&early).is_empty());
    assert_eq!(early.timers.len(), 1);
    assert_eq!(early.timers[0].after, Span::from_millis(20));
}

#[test]
fn a_follower_names_the_leader_that_it_hears() {
    let mut follower = elected(1);
    give(&mut follower, Input::Start);
    let named = |follower: &mut Replica| {
        let replies = give(follower, Input::Request(command(0))).replies;
        let [Reply::NotLeader { leader, .. }] = replies[..] else { panic!("{replies:?}") };
        leader
    };
    assert_eq!(named(&mut follower), None);
    let heard = hear_at(at(100), &mut follower, 2, heartbeat(ballot(1, 2)));
    assert_eq!(heard.notes, [Note::Following { leader: NodeId(2) }]);
    assert_eq!(named(&mut follower), Some(NodeId(2)));
    assert_eq!(hear_at(at(110), &mut follower, 2, heartbeat(ballot(1, 2))).notes, []);
    // A candidate is no leader yet, and one below a promise none any more.
    let (ballot, scope) = (ballot(2, 0), Scope::From(Slot(0)));
    hear_at(at(120), &mut follower, 0, Message::Phase1a { ballot, scope, quorum: None });
    assert_eq!(hear_at(at(125), &mut follower, 2, heartbeat(super::ballot(1, 2))).notes, []);
    time_out(500, &mut follower);
    assert_eq!(named(&mut follower), None);
}

#[test]
fn a_candidate_campaigns_with_the_grants_of_a_phase_1_quorum() {
    let mut candidate = elected(1);
    give(&mut candidate, Input::Start);
    let round = pre_votes(&time_out(100, &mut candidate))[0];
    let granted =
        |round| Message::PreVoteGranted { ballot: ballot(round, 1), announced: Box::default() };
    assert_eq!(asked(&hear_at(at(101), &mut candidate, 0, granted(round + 1))), [] as [u64; 0]);
    let enough = hear_at(at(102), &mut candidate, 2, granted(round));
    assert_eq!(asked(&enough).first(), Some(&round));
    assert!(enough.notes.contains(&Note::Campaigning));
    // Another grant begins nothing more.
    assert_eq!(asked(&hear_at(at(103), &mut candidate, 0, granted(round))), [] as [u64; 0]);
}

#[test]
fn a_refused_pre_vote_is_asked_again_above_the_promise_at_once() {
    let mut candidate = elected(1);
    give(&mut candidate, Input::Start);
    let round = pre_votes(&time_out(100, &mut candidate))[0];
    let asked = ballot(round, 1);
    let again = hear_at(at(101), &mut candidate, 0, refused(asked, ballot(round + 6, 2)));
    assert_eq!(pre_votes(&again), [round + 7]);
    // The same refusal from another one is of an older question.
    let late = hear_at(at(102), &mut candidate, 2, refused(asked, ballot(round + 6, 2)));
    assert_eq!(pre_votes(&late), [] as [u64; 0]);
}

#[test]
fn a_late_promise_of_an_older_ballot_or_a_second_one_counts_for_nothing() {
    let mut candidate = replica(0, MULTI);
    give(&mut candidate, Input::Start);
    let first = candidate.acceptor().promised_highest();
    give(&mut candidate, Input::Campaign);
    let second = candidate.acceptor().promised_highest();
    assert!(second > first);
    let old = Vote { ballot: ballot(0, 2), value: value(5) };
    hear(&mut candidate, 1, promise(first, vec![(Slot(4), old.clone())]));
    hear(&mut candidate, 2, promise(first, Vec::new()));
    assert!(!candidate.is_leader());
    hear(&mut candidate, 1, promise(second, Vec::new()));
    hear(&mut candidate, 1, promise(second, vec![(Slot(4), old)]));
    assert!(!candidate.is_leader());
    let effects = hear(&mut candidate, 2, promise(second, Vec::new()));
    assert!(candidate.is_leader());
    assert_eq!(proposed(&effects), []);
}

/// It leads by the file, so it waits for nobody's silence; but first it learns what it missed.
#[test]
fn a_leader_that_was_restarted_campaigns_when_it_has_caught_up() {
    let records = give(&mut replica(0, MULTI), Input::Start).records;
    let mut leader = replica(0, MULTI);
    leader.recover(None, records);
    assert_eq!(asked(&give(&mut leader, Input::Start)), [] as [u64; 0]);
    // A request waits for that.
    assert_eq!(give(&mut leader, Input::Request(command(3))).replies, []);
    let taught =
        Message::Values { first: Slot(0), values: vec![value(0)], executed_below: Slot(1) };
    let effects = hear(&mut leader, 1, taught);
    assert_eq!(executed(&effects), [Slot(0)]);
    assert!(!asked(&effects).is_empty());
    // Once is enough.
    let more = Message::Values { first: Slot(1), values: vec![value(1)], executed_below: Slot(2) };
    assert_eq!(asked(&hear(&mut leader, 1, more)), [] as [u64; 0]);
}

#[test]
fn a_leader_says_when_what_it_adopted_is_executed() {
    let recovered = |effects: &Effects| -> Vec<Span> {
        let transfer = |note: &Note| match note {
            Note::Recovered { transfer } => Some(*transfer),
            _ => None,
        };
        effects.notes.iter().filter_map(transfer).collect()
    };
    let mut leader = elected(0);
    give(&mut leader, Input::Start);
    let own = leader.acceptor().promised_highest();
    hear_at(at(10), &mut leader, 0, promise(own, Vec::new()));
    let adopted = Vote { ballot: Ballot { round: 0, ..own }, value: value(1) };
    let effects = hear_at(at(20), &mut leader, 1, promise(own, vec![(Slot(1), adopted)]));
    let leading = |note: &Note| match note {
        Note::Leading { phase1, adopted_count, filled_count } => {
            Some((*phase1, *adopted_count, *filled_count))
        }
        _ => None,
    };
    let noted: Vec<_> = effects.notes.iter().filter_map(leading).collect();
    assert_eq!(noted, [(Span::from_millis(20), 1, 1)]);
    hear_at(at(30), &mut leader, 0, vote(own, 0));
    assert_eq!(recovered(&hear_at(at(31), &mut leader, 1, vote(own, 0))), []);
    hear_at(at(32), &mut leader, 0, vote(own, 1));
    assert_eq!(recovered(&hear_at(at(50), &mut leader, 1, vote(own, 1))), [Span::from_millis(30)]);
    // It says so once.
    give_at(at(51), &mut leader, Input::Request(command(2)));
    hear_at(at(52), &mut leader, 0, vote(own, 2));
    assert_eq!(recovered(&hear_at(at(53), &mut leader, 1, vote(own, 2))), []);
}

#[test]
fn a_candidate_whose_rival_leads_gives_up() {
    let mut candidate = elected(1);
    give(&mut candidate, Input::Start);
    give(&mut candidate, Input::Campaign);
    let own = candidate.acceptor().promised_highest();
    give(&mut candidate, Input::Request(command(0)));
    let rival = ballot(own.round + 1, 2);
    let effects = hear_at(at(10), &mut candidate, 2, heartbeat(rival));
    let request = command(0).request;
    assert_eq!(effects.replies, [Reply::NotLeader { request, leader: Some(NodeId(2)) }]);
    assert!(effects.notes.contains(&Note::RaceLost));
    hear(&mut candidate, 0, promise(own, Vec::new()));
    hear(&mut candidate, 1, promise(own, Vec::new()));
    assert!(!candidate.is_leader());
}

#[test]
fn classic_paxos_counts_what_it_sends_again_in_both_phases() {
    let mut proposer = replica(0, Mode::Classic);
    give(&mut proposer, Input::Start);
    hear(&mut proposer, 0, Message::Reserved { below: 1025 });
    give(&mut proposer, Input::Request(command(0)));
    let timer = Input::Timer(TimerKind::Attempt(Slot(0)).id());
    let again = give_at(at(1_000), &mut proposer, timer.clone());
    assert_eq!((again.notes, again.sends.len()), (vec![Note::Retransmitted], 1));
    let own = proposer.acceptor().promised(Slot(0));
    for from in [0, 1] {
        let (scope, report) = (Scope::Only(Slot(0)), Box::default());
        let message = Message::Phase1b { ballot: own, scope, report };
        hear_at(at(1_001), &mut proposer, from, message);
    }
    let again = give_at(at(3_000), &mut proposer, timer);
    assert_eq!(again.notes, [Note::Retransmitted]);
    assert_eq!(proposed(&again), [(0, value(0))]);
}

/// A refusal of one of three leaves a phase-1 quorum, and one of two does not.
#[test]
fn a_candidate_gives_up_when_no_quorum_can_promise_any_more() {
    let mut candidate = elected(1);
    give(&mut candidate, Input::Start);
    give(&mut candidate, Input::Campaign);
    let own = candidate.acceptor().promised_highest();
    let promised = ballot(own.round + 3, 2);
    let lost = |effects: Effects| effects.notes.contains(&Note::RaceLost);
    assert!(!lost(hear(&mut candidate, 2, refused(ballot(own.round - 1, 1), promised))));
    assert!(!lost(hear(&mut candidate, 2, refused(own, promised))));
    assert!(
        !lost(hear(&mut candidate, 2, refused(own, promised))),
        "one that refuses twice is one"
    );
    assert!(lost(hear(&mut candidate, 0, refused(own, promised))));
    // The next ballot is above what they promised.
    give(&mut candidate, Input::Campaign);
    assert!(candidate.acceptor().promised_highest() > promised);
}
