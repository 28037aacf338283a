//! What is forgotten, who is told, and when a state is taken, where a few lines say it better than a run.

use super::super::{Effects, Input, Mode, Replica, Report, Vote};
use super::*;
use crate::command::{ClientId, Command, Operation, RequestId};
use crate::protocol::{
    Ballot, Bounds, Config, Election, Envelope, Progress, Protocol, Reply, Retention, Scope,
    SendPolicy, TimerId, Timing, Value,
};
use crate::quorum::QuorumSystem;
use crate::time::{Now, Span};
use bytes::Bytes;

const LEADER: NodeId = NodeId(0);
const BALLOT: Ballot = Ballot { round: 1, proposer: LEADER };

fn replica(id: u8, slots: Option<u64>) -> Replica {
    let config = Config {
        id: NodeId(id),
        quorums: QuorumSystem::majority(3),
        election: Election::Fixed,
        send: SendPolicy::All,
        nearest_first: [0, 1, 2].map(NodeId).to_vec(),
        timing: Timing::for_round_trip(Span::from_millis(10)),
        retention: Retention { slots, part_bytes: 40 },
        bounds: Bounds::USUAL,
    };
    Replica::new(Mode::multi(LEADER), config)
}

fn command(sequence: u64) -> Command {
    let request = RequestId { client: ClientId(7), sequence };
    let value = Bytes::from(vec![1; 30]);
    Command { request, settled_below: 0, operation: Operation::Put { key: sequence, value } }
}

fn give(replica: &mut Replica, input: Input) -> Effects {
    let mut effects = Effects::default();
    replica.handle(Now::default(), input, &mut effects);
    effects
}

fn hear(replica: &mut Replica, from: u8, message: Message) -> Effects {
    give(replica, Input::Message { from: NodeId(from), message })
}

fn phase2a(slot: u64) -> Message {
    let value = Value::from(command(slot));
    Message::Phase2a { ballot: BALLOT, slot: Slot(slot), value, chosen_below: Slot(slot) }
}

/// r1, which has voted in `count` slots at the ballot of r0 and executed them.
fn follower(count: u64, slots: Option<u64>) -> Replica {
    let mut follower = replica(1, slots);
    for slot in 0..count {
        hear(&mut follower, 0, phase2a(slot));
    }
    let (first, below) = (Slot::ZERO, Slot(count));
    hear(&mut follower, 0, Message::Chosen { ballot: BALLOT, first, below });
    assert_eq!(follower.executed_below(), below);
    follower
}

/// All parts of the state of a replica, as they are sent.
fn state(of: &Replica) -> Vec<Message> {
    let (mut of, mut parts, mut begun) = (of.clone(), Vec::new(), None);
    loop {
        let effects = hear(&mut of, 2, Message::Fetch { executed_below: Slot::ZERO, begun });
        parts.extend(messages(effects.sends));
        begun = parts.last().and_then(next).map(|next| (of.executed_below(), next));
        if begun.is_none() {
            assert_eq!(effects.notes, [Note::SnapshotSent]);
            return parts;
        }
    }
}

/// Where the part after this one begins, if it is not the last.
fn next(part: &Message) -> Option<Cut> {
    let Message::Snapshot { next, .. } = part else { panic!("{part} is no part of a state") };
    *next
}

fn messages(envelopes: Vec<Envelope<Message>>) -> Vec<Message> {
    envelopes.into_iter().map(|envelope| envelope.message).collect()
}

fn installed(effects: &Effects) -> Vec<Slot> {
    let below = |advance: &Advance| match advance {
        Advance::Installed(installed) => Some(installed.below),
        Advance::Executed(_) => None,
    };
    effects.executed.iter().filter_map(below).collect()
}

#[test]
fn only_what_is_durable_and_far_enough_behind_is_forgotten() {
    let first = |replica: &Replica| (replica.acceptor().first().0, replica.learner.first().0);
    let mut follower = follower(20, Some(5));
    assert_eq!(first(&follower), (0, 0));
    give(&mut follower, Input::Checkpointed(Progress(10)));
    assert_eq!(first(&follower), (10, 10));
    give(&mut follower, Input::Checkpointed(Progress(20)));
    assert_eq!(first(&follower), (15, 15));

    let mut keeper = self::follower(20, None);
    give(&mut keeper, Input::Checkpointed(Progress(20)));
    assert_eq!(first(&keeper), (0, 0));
    // What everybody has is forgotten in any case.
    for from in [0, 2] {
        hear(&mut keeper, from, Message::Executed { below: Slot(18) });
    }
    assert_eq!(first(&keeper), (18, 18));
}

#[test]
fn a_checkpoint_leaves_out_what_may_be_forgotten() {
    let checkpoint = follower(20, Some(5)).checkpoint();
    let first = (checkpoint.acceptor.first(), checkpoint.learner.first());
    assert_eq!(first, (Slot(15), Slot(15)));
    assert_eq!(follower(20, None).checkpoint().acceptor.first(), Slot(0));
}

#[test]
fn a_trimmed_slot_is_neither_promised_nor_voted_for_and_a_promise_says_where_it_begins() {
    let mut acceptor = follower(4, Some(1));
    give(&mut acceptor, Input::Checkpointed(Progress(4)));
    let higher = Ballot { round: 2, proposer: NodeId(2) };
    let trimmed = Message::Trimmed { below: Slot(3) };
    let (slot, chosen_below) = (Slot(2), Slot::ZERO);
    let proposal = Message::Phase2a { ballot: higher, slot, value: Value::Noop, chosen_below };
    let effects = hear(&mut acceptor, 2, proposal);
    assert_eq!(messages(effects.sends), std::slice::from_ref(&trimmed));
    assert!(effects.records.is_empty() && effects.durable_sends.is_empty());
    let only = Message::Phase1a { ballot: higher, scope: Scope::Only(slot), quorum: None };
    assert_eq!(messages(hear(&mut acceptor, 2, only).sends), std::slice::from_ref(&trimmed));

    let from = Message::Phase1a { ballot: higher, scope: Scope::From(Slot::ZERO), quorum: None };
    let promise = messages(hear(&mut acceptor, 2, from).durable_sends);
    let votes = vec![(Slot(3), Vote { ballot: BALLOT, value: Value::from(command(3)) })];
    let scope = Scope::From(Slot::ZERO);
    let trimmed_below = Slot(3);
    assert_eq!(
        promise,
        [Message::Phase1b {
            ballot: higher,
            scope,
            report: Box::new(Report { votes, trimmed_below, ..Report::default() }),
        }]
    );

    // A leader of old hears of the higher ballot as well.
    let late = messages(hear(&mut acceptor, 0, phase2a(2)).sends);
    let promised = higher;
    assert_eq!(late, [trimmed, Message::Refused { ballot: BALLOT, promised, slot }]);
}

#[test]
fn a_new_leader_proposes_in_no_trimmed_slot_and_waits_for_the_state() {
    let mut source = follower(4, Some(0));
    give(&mut source, Input::Checkpointed(Progress(4)));
    let mut leader = replica(2, Some(0));
    give(&mut leader, Input::Start);
    give(&mut leader, Input::Campaign);
    give(&mut leader, Input::Request(command(9)));
    let ballot = leader.acceptor().promised_highest();
    let scope = Scope::From(Slot::ZERO);
    let promise = |votes, trimmed_below| Message::Phase1b {
        ballot,
        scope,
        report: Box::new(Report { votes, trimmed_below, ..Report::default() }),
    };
    // Its own vote in slot 5 is adopted; slot 4 is a hole.
    let own = vec![(Slot(5), Vote { ballot: BALLOT, value: Value::from(command(5)) })];
    hear(&mut leader, 2, promise(own, Slot::ZERO));
    let effects = hear(&mut leader, 1, promise(Vec::new(), Slot(4)));
    assert!(!leader.is_leader());
    assert_eq!(
        messages(effects.sends),
        [Message::Fetch { executed_below: Slot::ZERO, begun: None }]
    );
    // More promises ask for nothing more.
    assert!(hear(&mut leader, 0, promise(Vec::new(), Slot(2))).sends.is_empty());

    let mut last = Effects::default();
    for part in state(&source) {
        last = hear(&mut leader, 1, part);
    }
    assert!(leader.is_leader());
    let slots = messages(last.sends).into_iter().filter_map(|message| match message {
        Message::Phase2a { slot, value, .. } => Some((slot.0, value)),
        _ => None,
    });
    let expected = [(4, Value::Noop), (5, Value::from(command(5))), (6, Value::from(command(9)))];
    assert_eq!(slots.collect::<Vec<_>>(), expected);
}

#[test]
fn a_candidate_waits_for_no_state_that_it_does_not_need() {
    let mut leader = replica(2, Some(0));
    give(&mut leader, Input::Start);
    give(&mut leader, Input::Campaign);
    let ballot = leader.acceptor().promised_highest();
    let promise = |trimmed_below| Message::Phase1b {
        ballot,
        scope: Scope::From(Slot::ZERO),
        report: Box::new(Report { trimmed_below: Slot(trimmed_below), ..Report::default() }),
    };
    hear(&mut leader, 2, promise(0));
    // r1 alone has executed four slots, and dies after its promise: its state never comes.
    hear(&mut leader, 1, promise(4));
    assert!(!leader.is_leader());
    // The promises of r0 and r2 are a phase-1 quorum without it, and speak of all slots.
    let effects = hear(&mut leader, 0, promise(0));
    assert!(leader.is_leader(), "{effects:?}");
}

#[test]
fn parts_come_in_any_order_and_more_than_once_and_the_newest_state_wins() {
    let (old, new) = (state(&follower(3, Some(0))), state(&follower(5, Some(0))));
    assert!(old.len() > 2 && new.len() > 4, "{} and {} parts", old.len(), new.len());
    let mut behind = replica(2, Some(0));
    hear(&mut behind, 1, old[0].clone());
    for part in new[1..].iter().rev() {
        assert_eq!(installed(&hear(&mut behind, 1, part.clone())), []);
        // A part of an older state takes nothing away.
        assert_eq!(installed(&hear(&mut behind, 0, old[1].clone())), []);
    }
    let effects = hear(&mut behind, 1, new[0].clone());
    assert_eq!(installed(&effects), [Slot(5)]);
    let noted = effects.notes.iter().find_map(|note| match note {
        Note::SnapshotInstalled { slots, bytes } => Some((*slots, *bytes)),
        _ => None,
    });
    // Five values of thirty bytes, and what the client may still ask for.
    assert!(noted.is_some_and(|(slots, bytes)| slots == 5 && bytes > 150), "{noted:?}");
    assert_eq!(behind.learner.machine(), follower(5, Some(0)).learner.machine());
    assert_eq!(behind.catch_up.fetching, Fetching::default());
    // Again, and of what it has passed: nothing.
    for part in old.into_iter().chain(new) {
        assert_eq!(hear(&mut behind, 1, part), Effects::default());
    }
}

#[test]
fn one_state_at_a_time_is_asked_for_and_again_only_when_nothing_comes() {
    let catch_up = || Input::Timer(TimerId(2));
    let mut behind = replica(2, Some(0));
    let fetch = Message::Fetch { executed_below: Slot::ZERO, begun: None };
    let trimmed = Message::Trimmed { below: Slot(5) };
    let asked = hear(&mut behind, 1, trimmed.clone());
    assert_eq!(
        (asked.sends[0].to, messages(asked.sends)),
        (NodeSet::only(NodeId(1)), vec![fetch.clone()])
    );
    assert!(hear(&mut behind, 0, trimmed.clone()).sends.is_empty());
    let parts = state(&follower(5, Some(0)));
    hear(&mut behind, 1, parts[0].clone());
    // A part came: the time-out asks nobody, once.
    let again = give(&mut behind, catch_up());
    assert!(again.sends.is_empty() && again.timers.len() == 1);
    assert!(matches!(messages(give(&mut behind, catch_up()).sends)[..], [Message::Learn { .. }]));
    // Of the part that came it is not sent another.
    let asked = messages(hear(&mut behind, 0, trimmed).sends);
    assert_eq!(asked, [self::fetch(Some((5, next(&parts[0]).unwrap())))]);
    for part in &parts[1..] {
        hear(&mut behind, 0, part.clone());
    }
    assert_eq!(behind.executed_below(), Slot(5), "parts of equal states are equal");
    assert_eq!(give(&mut behind, catch_up()), Effects::default());
}

/// Which parts of which state are sent: each holds one key.
fn parts_of(messages: &[Message]) -> Vec<(u64, Cut)> {
    let place = |message: &Message| match message {
        Message::Snapshot { executed_below, begin, .. } => (executed_below.0, *begin),
        other => panic!("{other} is no part of a state"),
    };
    messages.iter().map(place).collect()
}

/// The parts of a state that begin at these keys.
fn at_keys(state: u64, keys: std::ops::Range<u64>) -> Vec<(u64, Cut)> {
    keys.map(|key| (state, Cut::Key(key))).collect()
}

fn fetch(begun: Option<(u64, Cut)>) -> Message {
    let begun = begun.map(|(state, place)| (Slot(state), place));
    Message::Fetch { executed_below: Slot::ZERO, begun }
}

#[test]
fn a_large_state_is_sent_a_few_parts_at_a_time_as_it_was_in_the_beginning() {
    let mut source = follower(20, Some(0));
    let whole = source.learner.machine().clone();
    let mut behind = replica(2, Some(0));
    let mut question = messages(hear(&mut behind, 1, Message::Trimmed { below: Slot(20) }).sends);
    let mut begun = Vec::new();
    while let [asked @ Message::Fetch { begun: so_far, .. }] = &question[..] {
        begun.push(*so_far);
        let parts = messages(hear(&mut source, 2, asked.clone()).sends);
        assert!(parts.len() <= 8);
        // Meanwhile it goes on.
        let next = source.executed_below();
        hear(&mut source, 0, phase2a(next.0));
        hear(&mut source, 0, Message::Chosen { ballot: BALLOT, first: next, below: next.next() });
        let last = parts.len() - 1;
        for (index, part) in parts.into_iter().enumerate() {
            question = messages(hear(&mut behind, 1, part).sends);
            assert!(question.is_empty() || index == last);
        }
    }
    let at = |key| Some((Slot(20), Cut::Key(key)));
    assert_eq!(begun, [None, at(8), at(16)]);
    assert_eq!((behind.executed_below(), behind.learner.machine()), (Slot(20), &whole));
    assert_eq!(source.executed_below(), Slot(23));
    assert_eq!(source.catch_up.lent, None, "nobody needs it any more");
}

#[test]
fn parts_that_are_lost_are_asked_for_again_and_those_before_them_are_not() {
    let mut source = follower(20, Some(0));
    let mut behind = replica(2, Some(0));
    hear(&mut behind, 1, Message::Trimmed { below: Slot(20) });
    for (index, part) in messages(hear(&mut source, 2, fetch(None)).sends).into_iter().enumerate() {
        if index != 5 {
            assert!(hear(&mut behind, 1, part).sends.is_empty());
        }
    }
    for _ in 0..2 {
        give(&mut behind, Input::Timer(TimerId(2)));
    }
    let again = messages(hear(&mut behind, 1, Message::Trimmed { below: Slot(20) }).sends);
    assert_eq!(again, [fetch(Some((20, Cut::Key(5))))]);
    let parts = messages(hear(&mut source, 2, again[0].clone()).sends);
    assert_eq!(parts_of(&parts), at_keys(20, 5..13));
}

#[test]
fn a_state_that_is_lent_no_more_is_sent_anew_from_its_first_part() {
    let first_eight = |state| at_keys(state, 0..8);
    let mut source = follower(20, Some(0));
    // It has none, so it is of what it has now: of that state the parts that are missing.
    let parts = messages(hear(&mut source, 2, fetch(Some((20, Cut::Key(16))))).sends);
    assert_eq!(parts_of(&parts)[0], (20, Cut::Key(16)));
    assert_eq!(
        parts_of(&messages(hear(&mut source, 2, fetch(Some((19, Cut::Key(8))))).sends)),
        first_eight(20)
    );
    // Another one who asks is lent the same.
    hear(&mut source, 0, phase2a(20));
    hear(&mut source, 0, Message::Chosen { ballot: BALLOT, first: Slot(20), below: Slot(21) });
    assert_eq!(parts_of(&messages(hear(&mut source, 0, fetch(None)).sends)), first_eight(20));
    // But nobody who has executed it, or begun a newer one.
    let executed_below = Slot(20);
    let ahead = Message::Fetch { executed_below, begun: None };
    assert_eq!(parts_of(&messages(hear(&mut source, 0, ahead).sends)), first_eight(21));
    assert!(hear(&mut source, 0, fetch(Some((22, Cut::Key(1))))).sends.is_empty());
}

#[test]
fn what_is_known_behind_a_state_is_executed_with_it() {
    let mut behind = replica(2, Some(0));
    for slot in 3..8 {
        hear(&mut behind, 0, phase2a(slot));
    }
    let mut last = Effects::default();
    for part in state(&follower(5, Some(0))) {
        last = hear(&mut behind, 0, part);
    }
    assert_eq!(installed(&last), [Slot(5)]);
    // Slots 5 and 6 were voted for here and are chosen; slot 7 is not known to be.
    assert_eq!(behind.executed_below(), Slot(7));
    assert_eq!(last.executed.len(), 3);
}

/// It cannot know whether its proposals were chosen, so it vouches for nothing at its ballot any more.
#[test]
fn a_leader_that_passes_over_own_proposals_runs_phase_one_again() {
    let mut leader = replica(0, Some(0));
    give(&mut leader, Input::Start);
    let ballot = leader.acceptor().promised_highest();
    for from in 0..2 {
        let scope = Scope::From(Slot::ZERO);
        hear(&mut leader, from, Message::Phase1b { ballot, scope, report: Box::default() });
    }
    give(&mut leader, Input::Request(command(0)));
    assert!(leader.is_leader());
    let parts = state(&follower(3, Some(0)));
    // Unasked it takes none.
    for part in parts.clone() {
        assert_eq!(hear(&mut leader, 1, part), Effects::default());
    }
    hear(&mut leader, 1, Message::Trimmed { below: Slot(3) });
    let mut last = Effects::default();
    for part in parts {
        last = hear(&mut leader, 1, part);
    }
    assert!(!leader.is_leader() && leader.acceptor().promised_highest() > ballot);
    let request = command(0).request;
    assert_eq!(last.replies, [Reply::NotLeader { request, leader: None }]);
    assert!(last.notes.contains(&Note::RaceLost));
}
