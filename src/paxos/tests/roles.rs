//! Witnesses and observers: what each of them does not do, and when a witness forgets.

use super::*;
use crate::protocol::Detector;

const R1: NodeId = NodeId(1);

/// Three acceptors of which r1 is a witness, and r3 beside them, an observer.
fn quorums() -> QuorumSystem {
    let three = QuorumSystem::majority(3).with_witnesses(NodeSet::only(R1));
    three.among(4, NodeSet::all(3))
}

fn of(id: u8, retention: Retention, mode: Mode) -> Replica {
    let at_once = Detector { heartbeat: Span::from_millis(1), misses: 2, spread: Span::ZERO };
    let election = Election::Timeout(at_once);
    Replica::new(mode, Config { election, retention, ..config(id, quorums(), SendPolicy::All) })
}

fn proposal(slot: u64, chosen_below: u64) -> Message {
    let (ballot, slot, chosen_below) = (ballot(1, 0), Slot(slot), Slot(chosen_below));
    Message::Phase2a { ballot, slot, value: value(slot.0), chosen_below }
}

fn heartbeat() -> Message {
    Message::Heartbeat { ballot: ballot(1, 0), chosen_below: Slot(0) }
}

fn prepare(round: u64, proposer: u8) -> Message {
    let (ballot, scope) = (ballot(round, proposer), Scope::From(Slot(0)));
    Message::Phase1a { ballot, scope, quorum: None }
}

#[test]
fn a_witness_votes_and_executes_nothing() {
    let mut witness = of(1, Retention::ALL, MULTI);
    assert_eq!(give(&mut witness, Input::Start), Effects::default());
    let voted = hear(&mut witness, 0, proposal(0, 0));
    assert_eq!((voted.records.len(), voted.durable_sends.len()), (1, 1));
    // It hears that the slot is chosen, and it is what it voted for.
    let told = hear(&mut witness, 0, proposal(1, 1));
    assert_eq!((executed(&told), witness.progress()), (Vec::new(), Progress(0)));
    assert_eq!(give(&mut witness, Input::Checkpointed(Progress(0))), Effects::default());
    let asked = hear(&mut witness, 2, Message::Learn { first: Slot(0), below: Slot(2) });
    assert_eq!(asked, Effects::default(), "it teaches nothing");
    let fetched = Message::Fetch { executed_below: Slot(0), begun: None };
    assert_eq!(hear(&mut witness, 2, fetched), Effects::default(), "it has no state to send");
    let promised = hear(&mut witness, 2, prepare(2, 2));
    let [Envelope { message: Message::Phase1b { report, .. }, .. }] = &promised.durable_sends[..]
    else {
        panic!("it promises: {promised:?}")
    };
    assert_eq!(report.votes.len(), 2, "and reports its votes");
}

#[test]
fn a_witness_neither_campaigns_nor_proposes() {
    for mode in [MULTI, Mode::Classic] {
        let mut witness = of(1, Retention::ALL, mode);
        assert_eq!(give(&mut witness, Input::Start), Effects::default());
        assert_eq!(give(&mut witness, Input::Campaign), Effects::default());
        let refused = give(&mut witness, Input::Request(command(0)));
        assert!(matches!(refused.replies[..], [Reply::NotLeader { .. }]), "{refused:?}");
        assert!(refused.sends.is_empty() && refused.records.is_empty());
    }
    // Full replicas do all of that.
    let mut full = of(2, Retention::ALL, MULTI);
    assert!(!give(&mut full, Input::Start).timers.is_empty());
    assert!(!give(&mut full, Input::Campaign).records.is_empty());
}

#[test]
fn a_witness_that_hears_a_leader_grants_no_pre_vote() {
    let mut witness = of(1, Retention::ALL, MULTI);
    let ask = Message::PreVote { ballot: ballot(9, 2), executed_below: Slot(0) };
    hear(&mut witness, 0, heartbeat());
    assert_eq!(hear(&mut witness, 2, ask.clone()), Effects::default());
    let later = Time::ZERO + Span::from_millis(10);
    let input = Input::Message { from: NodeId(2), message: ask };
    let granted = give_at(later, &mut witness, input);
    assert_eq!(granted.durable_sends.len(), 1, "{granted:?}");
}

#[test]
fn an_observer_executes_and_votes_for_nothing() {
    let mut observer = of(3, Retention::ALL, MULTI);
    assert_eq!(give(&mut observer, Input::Start), Effects::default());
    for message in [proposal(0, 0), heartbeat(), prepare(2, 2)] {
        let heard = hear(&mut observer, 0, message);
        assert!(heard.sends.is_empty() && heard.durable_sends.is_empty(), "{heard:?}");
        assert!(heard.records.is_empty(), "{heard:?}");
    }
    assert_eq!(executed(&hear(&mut observer, 0, proposal(1, 1))), [Slot(0)]);
    let told = give(&mut observer, Input::Checkpointed(Progress(1)));
    assert_eq!(told.sends.len(), 1, "others may forget what it has executed");
}

/// Which slot a witness remembers first when others have told how far they have durably executed.
fn first_of(retention: Retention, told: &[(u8, u64)]) -> u64 {
    let mut witness = of(1, retention, MULTI);
    for slot in 0..6 {
        hear(&mut witness, 0, proposal(slot, 0));
    }
    for (from, below) in told {
        hear(&mut witness, *from, Message::Executed { below: Slot(*below) });
    }
    witness.acceptor().first().0
}

#[test]
fn a_witness_forgets_what_all_learners_have_executed() {
    let all = Retention::ALL;
    assert_eq!(first_of(all, &[(0, 5), (2, 5)]), 0, "the observer has told nothing");
    assert_eq!(first_of(all, &[(0, 5), (2, 4), (3, 2)]), 2);
}

/// r0 alone is in no phase-1 quorum of r1 and r2, and may die; r0 and r2 are in every one. An observer is in none.
#[test]
fn a_witness_forgets_what_a_member_of_every_phase_1_quorum_has() {
    let short = Retention { slots: Some(0), ..Retention::ALL };
    assert_eq!(first_of(short, &[(0, 5), (3, 5)]), 0);
    assert_eq!(first_of(short, &[(0, 5), (2, 3)]), 3);
    let kept = Retention { slots: Some(2), ..Retention::ALL };
    assert_eq!(first_of(kept, &[(0, 5), (2, 3)]), 1);
}

/// Nobody fetches the state of a witness: that a slot is forgotten there, others are asked for it.
#[test]
fn what_a_witness_has_forgotten_is_asked_of_learners() {
    let short = Retention { slots: Some(0), ..Retention::ALL };
    let mut behind = of(2, short, Mode::Classic);
    let asked = hear(&mut behind, 1, Message::Trimmed { below: Slot(4) });
    let learners = NodeSet::from_mask(0b1001);
    let message = Message::Learn { first: Slot(0), below: Slot(u64::MAX) };
    assert_eq!(asked.sends, [Envelope { to: learners, message }]);
    assert!(hear(&mut behind, 1, Message::Trimmed { below: Slot(4) }).sends.is_empty(), "once");
    let fetched = hear(&mut behind, 0, Message::Trimmed { below: Slot(4) });
    assert!(matches!(fetched.sends[0].message, Message::Fetch { .. }), "{fetched:?}");
}

#[test]
fn a_message_that_belongs_to_another_role_is_impossible() {
    let full = of(0, Retention::ALL, MULTI);
    let vote = vote(ballot(1, 0), 0);
    let executed = Message::Executed { below: Slot(1) };
    let check = |from: u8, message: &Message| full.check_message(NodeId(from), message);
    assert_eq!((check(1, &vote), check(3, &executed)), (Ok(()), Ok(())));
    assert!(check(1, &executed).unwrap_err().contains("r1 is no full replica but a witness"));
    assert!(check(3, &vote).unwrap_err().contains("r3 is no full replica but an observer"));
    for from in [1, 3] {
        assert!(check(from, &prepare(1, from)).is_err(), "r{from} never campaigns");
    }
    assert_eq!(check(2, &prepare(1, 2)), Ok(()));
}
