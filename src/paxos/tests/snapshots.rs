//! Commit timestamps, commit wait and snapshot reads.

use super::*;
use crate::paxos::Reads;
use crate::protocol::{Bounds, SnapshotTerms};
use crate::time::Now;
use bytes::Bytes;

const BOUND: Span = Span::from_millis(5);
const STALENESS: Span = Span::from_millis(30);
const ADVANCE: Span = Span::from_millis(50);
const SAFE_TIME: TimerId = TimerId(10);
const COMMIT_WAIT: TimerId = TimerId(11);

fn mode(staleness: Span, waits: bool) -> Mode {
    let terms =
        SnapshotTerms { staleness, advance: Some(ADVANCE), bound: BOUND, has_sessions: true };
    Mode::multi(LEADER).with_snapshots(terms, waits).unwrap()
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

fn stamped(stamp: Time, command: Option<Command>) -> Value {
    Value::stamped(stamp, command)
}

fn hear_at(at: u64, replica: &mut Replica, from: u8, message: Message) -> Effects {
    give_at(ms(at), replica, Input::Message { from: NodeId(from), message })
}

fn ask_at(at: u64, replica: &mut Replica, command: Command) -> Effects {
    give_at(ms(at), replica, Input::Request(command))
}

fn voted(round: u64, stamp: Time, command: Option<Command>) -> Vote {
    Vote { ballot: Ballot { round, proposer: NodeId(2) }, value: stamped(stamp, command) }
}

/// A leader of three whose phase 1 heard of this, and what it proposed then.
fn leading(
    mode: Mode,
    at: u64,
    votes: Vec<(Slot, Vote)>,
    newest: Option<Time>,
) -> (Replica, Ballot, Vec<Value>) {
    let mut leader = replica(0, mode);
    give(&mut leader, Input::Start);
    let ballot = leader.acceptor().promised_highest();
    hear(&mut leader, 0, promise(ballot, Vec::new()));
    let report = Box::new(Report { votes, newest, ..Report::default() });
    let promise = Message::Phase1b { ballot, scope: Scope::From(Slot(0)), report };
    let effects = hear_at(at, &mut leader, 1, promise);
    assert!(leader.is_leader());
    (leader, ballot, proposed(&effects))
}

fn choose(at: u64, leader: &mut Replica, ballot: Ballot, slot: u64) -> Effects {
    hear_at(at, leader, 0, vote(ballot, slot));
    hear_at(at, leader, 1, vote(ballot, slot))
}

fn proposed(effects: &Effects) -> Vec<Value> {
    let value = |it: &Envelope<Message>| match &it.message {
        Message::Phase2a { value, .. } => Some(value.clone()),
        _ => None,
    };
    effects.sends.iter().filter_map(value).collect()
}

/// Of the reads that were answered: the request, the slot below which all was seen, and the value.
fn read(effects: &Effects) -> Vec<(u64, u64, Option<String>)> {
    let text = |value: &Bytes| String::from_utf8(value.to_vec()).unwrap();
    let of = |reply: &Reply| match reply {
        Reply::Read { request, below, value } => {
            Some((request.sequence, below.0, value.as_ref().map(text)))
        }
        _ => None,
    };
    effects.replies.iter().filter_map(of).collect()
}

/// A replica that heard of these entries of r2, all of them chosen.
fn follower(mode: Mode, stamps: &[(u64, Option<Command>)]) -> Replica {
    let mut follower = replica(1, mode);
    give(&mut follower, Input::Start);
    let values = stamps.iter().map(|(at, command)| stamped(ms(*at), command.clone())).collect();
    let executed_below = Slot(stamps.len() as u64);
    hear(&mut follower, 2, Message::Values { first: Slot(0), values, executed_below });
    assert_eq!(follower.executed_below(), executed_below);
    follower
}

#[test]
fn stamps_are_the_latest_that_the_time_can_be_and_rise() {
    let (mut leader, _, nothing) = leading(mode(STALENESS, false), 10, Vec::new(), None);
    assert_eq!(nothing, []);
    let stamps = [(0, 20), (1, 20), (2, 19), (3, 30)].map(|(sequence, at)| {
        let effects = ask_at(at, &mut leader, put(sequence, 1));
        proposed(&effects)[0].stamp().unwrap()
    });
    assert_eq!(stamps[0], ms(25));
    assert_eq!(stamps[3], ms(35));
    // Two at one moment, and one when the clock was set back.
    assert_eq!([stamps[1], stamps[2]], [Time(ms(25).0 + 1), Time(ms(25).0 + 2)]);
}

#[test]
fn a_new_leader_goes_on_above_the_stamps_of_the_one_before() {
    let old = voted(1, ms(90), Some(put(0, 1)));
    let heard = vec![(Slot(0), old.clone())];
    let (mut leader, _, adopted) = leading(mode(STALENESS, false), 10, heard, Some(ms(95)));
    assert_eq!(adopted, [old.value]);
    let next = |leader: &mut Replica, at| proposed(&ask_at(at, leader, put(at, 2)))[0].stamp();
    // Its own clock, at 10 ms, is far behind; also of what is trimmed it heard.
    assert_eq!(next(&mut leader, 11), Some(Time(ms(95).0 + 1)));
    assert_eq!(next(&mut leader, 100), Some(ms(105)));
}

#[test]
fn a_hole_gets_a_stamp_between_its_neighbours() {
    let votes =
        vec![(Slot(1), voted(1, ms(40), Some(put(0, 1)))), (Slot(3), voted(1, ms(60), None))];
    let (_, _, values) = leading(mode(STALENESS, false), 90, votes, Some(ms(60)));
    let stamps: Vec<Time> = values.iter().map(|value| value.stamp().unwrap()).collect();
    assert_eq!(stamps, [Time(0), ms(40), Time(ms(40).0 + 1), ms(60)]);
}

#[test]
fn of_two_contradicting_stamps_the_older_is_not_adopted() {
    let (low, high) = (Some(put(0, 1)), Some(put(1, 2)));
    // The leader of ballot 2 had not heard of the vote in slot 1, so that was not chosen, and took the slot below.
    let votes =
        vec![(Slot(0), voted(2, ms(80), high.clone())), (Slot(1), voted(1, ms(70), low.clone()))];
    let (_, _, values) = leading(mode(STALENESS, false), 20, votes, Some(ms(80)));
    assert_eq!(values, [stamped(ms(80), high.clone()), stamped(Time(ms(80).0 + 1), low.clone())]);
    // The other way round: a hole of ballot 2 was filled, and no word of it arrived.
    let votes =
        vec![(Slot(0), voted(1, ms(80), low.clone())), (Slot(1), voted(2, ms(70), high.clone()))];
    let (_, _, values) = leading(mode(STALENESS, false), 20, votes, Some(ms(80)));
    assert_eq!(values, [stamped(Time(0), low.clone()), stamped(ms(70), high.clone())]);
    // No room for what ballot 2 had between the two.
    let votes =
        vec![(Slot(0), voted(1, Time(70), low)), (Slot(2), voted(2, Time(71), high.clone()))];
    let (_, _, values) = leading(mode(STALENESS, false), 20, votes, None);
    let stamps: Vec<u64> = values.iter().map(|value| value.stamp().unwrap().0).collect();
    assert_eq!(stamps, [0, 1, 71]);
}

#[test]
fn a_client_is_told_when_the_stamp_has_surely_passed() {
    let (mut leader, ballot, _) = leading(mode(STALENESS, true), 0, Vec::new(), None);
    ask_at(10, &mut leader, put(0, 1));
    // The stamp is 15 ms, which has surely passed when the clock shows 20.
    let chosen = choose(13, &mut leader, ballot, 0);
    assert_eq!((executed(&chosen), chosen.replies.len()), (vec![Slot(0)], 0));
    let timer = chosen.timers.iter().find(|timer| timer.id == COMMIT_WAIT).unwrap();
    assert_eq!(timer.after, Span::from_millis(7));
    // The clock that counts has been set back meanwhile.
    let mut early = Effects::default();
    let now = Now { at: ms(20), shown: ms(18) };
    leader.handle(now, Input::Timer(COMMIT_WAIT), &mut early);
    assert_eq!(early.replies, []);
    assert_eq!(early.timers[0].after, Span::from_millis(2));
    let told = give_at(ms(20), &mut leader, Input::Timer(COMMIT_WAIT));
    assert!(matches!(told.replies[..], [Reply::Executed { slot: Slot(0), .. }]));
    assert!(told.notes.contains(&Note::Waited { wait: Span::from_millis(7) }));
    // Who asks again is told no sooner, and one whose quorum took longer waits no more.
    ask_at(30, &mut leader, put(1, 1));
    choose(31, &mut leader, ballot, 1);
    assert_eq!(ask_at(32, &mut leader, put(1, 1)).replies, []);
    assert_eq!(ask_at(40, &mut leader, put(1, 1)).replies.len(), 1);
    ask_at(50, &mut leader, put(2, 1));
    assert_eq!(choose(62, &mut leader, ballot, 2).replies.len(), 1);
}

#[test]
fn a_read_is_of_a_time_and_waits_until_nothing_can_be_missing() {
    let mut follower =
        follower(mode(STALENESS, false), &[(10, Some(put(0, 1))), (40, Some(put(1, 1)))]);
    // At 60 ms it is 65 ms at the latest, so the read is of 35 ms: between the two.
    assert_eq!(read(&ask_at(60, &mut follower, get(0, 1))), [(0, 1, Some("0".to_owned()))]);
    assert_eq!(read(&ask_at(65, &mut follower, get(1, 1))), [(1, 2, Some("1".to_owned()))]);
    // Of 45 ms nothing is known yet, nor with the next entry.
    assert_eq!(read(&ask_at(70, &mut follower, get(2, 1))), []);
    let next = |slot, at| Message::Values {
        first: Slot(slot),
        values: vec![stamped(ms(at), Some(put(slot, 1)))],
        executed_below: Slot(slot + 1),
    };
    assert_eq!(read(&hear_at(71, &mut follower, 2, next(2, 44))), []);
    assert_eq!(read(&hear_at(72, &mut follower, 2, next(3, 46))), [(2, 3, Some("2".to_owned()))]);
}

#[test]
fn a_replica_never_reads_an_earlier_time_than_before() {
    let mut follower =
        follower(mode(STALENESS, false), &[(10, Some(put(0, 1))), (40, Some(put(1, 1)))]);
    assert_eq!(read(&ask_at(65, &mut follower, get(0, 1))), [(0, 2, Some("1".to_owned()))]);
    // Its clock is set back.
    assert_eq!(read(&ask_at(50, &mut follower, get(1, 1))), [(1, 2, Some("1".to_owned()))]);
}

#[test]
fn a_session_reads_what_it_has_seen() {
    let entries = [(10, Some(put(0, 1))), (55, Some(put(1, 1))), (70, Some(put(2, 1)))];
    let mut follower = follower(mode(STALENESS, false), &entries);
    let since = |sequence, since| Command {
        operation: Operation::GetSince { key: 1, since },
        ..get(sequence, 1)
    };
    // All of them are of 35 ms, or of what their client has seen.
    for (seen, expected) in [(0, "0"), (1, "0"), (2, "1"), (3, "2")] {
        let effects = ask_at(60, &mut follower, since(seen, seen));
        assert_eq!(read(&effects), [(seen, seen.max(1), Some(expected.to_owned()))]);
    }
    // What its client has seen is missing here.
    assert_eq!(read(&ask_at(60, &mut follower, since(4, 4))), []);
    let values = vec![stamped(ms(80), Some(put(3, 2)))];
    let next = Message::Values { first: Slot(3), values, executed_below: Slot(4) };
    assert_eq!(read(&hear_at(61, &mut follower, 2, next)), [(4, 4, Some("2".to_owned()))]);
}

#[test]
fn a_read_shows_no_stamp_that_has_not_surely_passed() {
    let entries = [(10, Some(put(0, 1))), (64, Some(put(1, 2))), (70, None)];
    let mut follower = follower(mode(Span::ZERO, true), &entries);
    // Both are of 65 ms. The write of key 2 has surely passed when the clock shows 69.
    assert_eq!(read(&ask_at(60, &mut follower, get(0, 1))), [(0, 2, Some("0".to_owned()))]);
    let early = ask_at(60, &mut follower, get(1, 2));
    assert_eq!(read(&early), []);
    assert_eq!(early.timers[0].after, Span::from_millis(9));
    let told = give_at(ms(69), &mut follower, Input::Timer(COMMIT_WAIT));
    assert_eq!(read(&told), [(1, 2, Some("1".to_owned()))]);
}

#[test]
fn an_idle_leader_lets_safe_time_go_on() {
    let mut leader = replica(0, mode(STALENESS, false));
    give(&mut leader, Input::Start);
    let ballot = leader.acceptor().promised_highest();
    hear(&mut leader, 0, promise(ballot, Vec::new()));
    let effects = hear(&mut leader, 1, promise(ballot, Vec::new()));
    assert!(effects.timers.iter().any(|it| it.id == SAFE_TIME && it.after == ADVANCE));
    ask_at(20, &mut leader, put(0, 1));
    // It has proposed something since, and looks again when that is long ago.
    let busy = give_at(ms(50), &mut leader, Input::Timer(SAFE_TIME));
    assert_eq!(proposed(&busy), []);
    assert_eq!(busy.timers[0].after, Span::from_millis(20));
    let idle = give_at(ms(70), &mut leader, Input::Timer(SAFE_TIME));
    assert_eq!(proposed(&idle), [stamped(ms(75), None)]);
    assert!(idle.timers.iter().any(|it| it.id == SAFE_TIME && it.after == ADVANCE));
}

#[test]
fn safe_time_waits_while_no_slot_has_room() {
    let bounds = Bounds { horizon: 4, ..Bounds::USUAL };
    let config = config(0, QuorumSystem::majority(3), SendPolicy::All);
    let mut leader = Replica::new(mode(STALENESS, false), Config { bounds, ..config });
    give(&mut leader, Input::Start);
    let ballot = leader.acceptor().promised_highest();
    hear(&mut leader, 0, promise(ballot, Vec::new()));
    hear(&mut leader, 1, promise(ballot, Vec::new()));
    for sequence in 0..4 {
        ask_at(20, &mut leader, put(sequence, 1));
    }
    for at in [70, 100] {
        let full = give_at(ms(at), &mut leader, Input::Timer(SAFE_TIME));
        assert_eq!(proposed(&full), []);
        assert_eq!(full.timers[0].after, ADVANCE);
    }
}

#[test]
fn a_state_that_was_taken_is_read_as_of_its_last_slot() {
    let mut teacher =
        follower(mode(STALENESS, false), &[(10, Some(put(0, 1))), (90, Some(put(1, 1)))]);
    let asked = Message::Fetch { executed_below: Slot(0), begun: None };
    let state = hear(&mut teacher, 0, asked).sends.remove(0).message;
    let mut behind = replica(0, mode(STALENESS, false));
    give(&mut behind, Input::Start);
    hear(&mut behind, 1, state);
    assert_eq!(behind.executed_below(), Slot(2));
    // It was asked for 35 ms, of which it knows nothing.
    assert_eq!(read(&ask_at(60, &mut behind, get(0, 1))), [(0, 2, Some("1".to_owned()))]);
    assert_eq!(read(&ask_at(60, &mut teacher, get(0, 1))), [(0, 1, Some("0".to_owned()))]);
    // And after a crash: a checkpoint holds no earlier state.
    let checkpoint = teacher.checkpoint();
    let mut back = replica(1, mode(STALENESS, false));
    back.recover(Some(checkpoint), Vec::new());
    give(&mut back, Input::Start);
    assert_eq!(read(&ask_at(60, &mut back, get(0, 1))), [(0, 2, Some("1".to_owned()))]);
}

#[test]
fn what_reads_may_miss_follows_from_staleness_and_clocks() {
    assert_eq!(Mode::multi(LEADER).may_miss(), Span::ZERO);
    assert_eq!(mode(STALENESS, true).may_miss(), STALENESS);
    assert_eq!(mode(Span::ZERO, true).may_miss(), Span::ZERO);
    // And a millisecond for entries of one moment.
    assert_eq!(mode(STALENESS, false).may_miss(), Span::from_millis(30 + 10 + 1));
    let reads = mode(STALENESS, true).reads();
    assert!(matches!(reads, Reads::Snapshot(_)));
}

#[test]
fn what_a_read_needs_is_told_in_words() {
    assert_eq!(Mode::Classic.reads_need(), "a phase-1 and a phase-2 quorum");
    assert_eq!(Mode::multi(LEADER).reads_need(), "the leader and a phase-2 quorum");
    let of_ago = "a replica; clocks within 5 ms, a state of 30 ms ago";
    assert_eq!(mode(STALENESS, false).reads_need(), of_ago);
    let [_, quorum, lease, responders] =
        Reads::all(LEADER).map(|reads| Mode::Multi { leader: LEADER, reads, commit_wait: None });
    assert_eq!(quorum.reads_need(), "a phase-1 quorum");
    assert_eq!(lease.reads_need(), "the leader; leases of 1000 ms, clocks within 1 ms");
    let one = "one of 1 responders; leases of 1000 ms of acceptors that meet each phase-1 quorum, clocks within 1 ms";
    assert_eq!(responders.reads_need(), one);
}
