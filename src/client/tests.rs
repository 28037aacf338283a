//! What a session does with answers, hints and silence.

use std::collections::BTreeSet;

use super::*;
use crate::protocol::Slot;
use crate::workload::{Arrival, Control, Keys, Workload};

fn session() -> Session {
    busy(3)
}

/// One with so many operations outstanding.
fn busy(clients: u32) -> Session {
    with_reads(clients, 0.0, &[])
}

/// The same with this share of reads, which these replicas are asked for, of the keys from each of these on.
fn with_reads(clients: u32, reads: f64, read_targets: &[(u64, Vec<NodeId>)]) -> Session {
    let workload = Workload {
        arrival: Arrival::Closed { clients },
        keys: Keys::Uniform { count: 4 },
        value_bytes: 8,
        reads,
        weights: Vec::new(),
        conflicts: None,
    };
    let [warmup_from, measure_from, measure_until, drain_until] = [0, 0, 1_000, 2_000].map(Time);
    let settings = Settings {
        id: ClientId(0),
        targets: vec![NodeId(0), NodeId(1), NodeId(2)],
        read_targets: read_targets.iter().cloned().collect(),
        retry_after: Span(100),
        has_session: false,
        floor: Span::ZERO,
        read_floor: Span::ZERO,
        schedule: Schedule { warmup_from, measure_from, measure_until, drain_until },
        interval: INTERVAL,
    };
    let generator = Generator::new(&workload, 0, 1, 1);
    Session::new(settings, generator)
}

fn sent_at(client: &Session) -> Vec<u64> {
    client.outstanding.iter().flatten().map(|open| open.sent_at.0).collect()
}

/// The target says who leads.
fn send_on(client: &mut Session, now: u64, sequence: u64, leader: impl Into<Option<u8>>) {
    let request = RequestId { client: ClientId(0), sequence };
    let leader = leader.into().map(NodeId);
    let from = client.target();
    client.handle_reply(Time(now), from, Reply::NotLeader { request, leader });
}

fn answer(client: &mut Session, now: u64, sequence: u64, from: u8) {
    let request = RequestId { client: ClientId(0), sequence };
    let reply = Reply::Executed { request, slot: Slot(sequence), outcome: Outcome::Stored };
    client.handle_reply(Time(now), NodeId(from), reply);
}

/// Whom each of the commands handed out since the last call is for, and its number.
fn handed_out(client: &mut Session) -> Vec<(u8, u64)> {
    let number = |(to, ask): (NodeId, Ask)| match ask {
        Ask::Command(command) => (to.0, command.request.sequence),
        Ask::Control(_) => panic!("the load alone was asked for"),
    };
    client.take_asks().map(number).collect()
}

fn turns(client: &Session) -> Vec<(u64, u8, TurnKind)> {
    client.report.turns.kept().iter().map(|turn| (turn.at.0, turn.replica.0, turn.kind)).collect()
}

#[test]
fn every_request_that_is_sent_on_reaches_the_leader() {
    let mut client = session();
    assert!(!client.issue(Time(1)));
    assert_eq!(sent_at(&client), [1, 1, 1]);
    // The leader is silent: the next one is asked, and sends all of them on.
    client.retry(Time(200));
    assert_eq!((client.target, sent_at(&client)), (1, vec![200; 3]));
    for sequence in 0..3 {
        send_on(&mut client, 210, sequence, 0);
    }
    // Each once more to the one that is said to lead; the other goes on being asked, should that be dead.
    assert_eq!((client.target, sent_at(&client)), (1, vec![210; 3]));
    let to_both = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 0), (0, 1), (0, 2)];
    assert_eq!(handed_out(&mut client), to_both);
    // It is alive: with its first answer the next hint brings the client back.
    answer(&mut client, 220, 0, 0);
    client.issue(Time(220));
    assert_eq!(handed_out(&mut client), [(1, 3)]);
    send_on(&mut client, 230, 3, 0);
    assert_eq!((client.target, handed_out(&mut client)), (0, vec![(0, 3)]));
}

/// r0 leads and dies, r1 names it until it knows of r2: nothing waits for another retry.
#[test]
fn a_dead_leader_that_is_still_named_does_not_hold_the_client() {
    let mut client = session();
    client.issue(Time(1));
    client.retry(Time(101));
    (0..3).for_each(|sequence| send_on(&mut client, 110, sequence, 0));
    handed_out(&mut client);
    send_on(&mut client, 150, 2, 2);
    assert_eq!((client.target, handed_out(&mut client)), (2, vec![(2, 0), (2, 1), (2, 2)]));
}

/// A leader that nobody replaces is asked at once when it is back, also where others were asked meanwhile.
#[test]
fn a_silent_leader_that_is_started_again_is_asked_at_once() {
    let mut client = session();
    client.issue(Time(1));
    client.retry(Time(101));
    handed_out(&mut client);
    client.reconnect(Time(150), NodeId(0));
    assert_eq!((client.target, handed_out(&mut client)), (0, vec![(0, 0), (0, 1), (0, 2)]));
}

/// r0 is down and r1 believes that it leads, while r2 does.
#[test]
fn a_hint_that_is_out_of_date_keeps_nobody_from_asking_everybody() {
    let mut client = session();
    client.issue(Time(1));
    client.retry(Time(200));
    send_on(&mut client, 210, 0, 0);
    assert_eq!(client.target, 1);
    client.retry(Time(400));
    assert_eq!(client.target, 2);
    // The leader is down now; it was found by a hint, and is not asked again at once.
    send_on(&mut client, 410, 0, 1);
    client.retry(Time(600));
    assert_eq!(client.target, 0);
    send_on(&mut client, 610, 0, 1);
    client.retry(Time(800));
    assert_eq!(client.target, 2);
}

#[test]
fn requests_that_are_sent_in_circles_wait_for_their_next_retry() {
    let mut client = session();
    client.issue(Time(1));
    send_on(&mut client, 10, 0, 1);
    send_on(&mut client, 20, 0, 0);
    send_on(&mut client, 30, 0, 1);
    assert_eq!(sent_at(&client), [10; 3]);
    client.retry(Time(150));
    assert_eq!((client.target, sent_at(&client)), (2, vec![150; 3]));
    send_on(&mut client, 160, 0, 1);
    assert_eq!(sent_at(&client), [160; 3]);
}

#[test]
fn one_hint_sends_everything_open_to_the_leader_with_the_same_numbers() {
    let mut client = session();
    client.issue(Time(1));
    assert_eq!(handed_out(&mut client), [(0, 0), (0, 1), (0, 2)]);
    send_on(&mut client, 10, 1, 2);
    assert_eq!(handed_out(&mut client), [(2, 0), (2, 1), (2, 2)]);
    // The other answers of the one that does not lead are late.
    send_on(&mut client, 11, 0, 2);
    send_on(&mut client, 12, 2, 2);
    assert_eq!(handed_out(&mut client), []);
    assert_eq!(turns(&client), [(10, 2, TurnKind::Redirected)]);
}

#[test]
fn a_replica_that_knows_no_leader_leaves_the_request_to_the_next_retry_elsewhere() {
    let mut client = session();
    client.issue(Time(1));
    client.retry(Time(101));
    handed_out(&mut client);
    (0..3).for_each(|sequence| send_on(&mut client, 110, sequence, None));
    assert_eq!((handed_out(&mut client), client.target), (vec![], 1));
    client.retry(Time(201));
    assert_eq!(handed_out(&mut client), [(2, 0), (2, 1), (2, 2)]);
}

/// r0 leads and dies; r1, asked in its turn, leads and answers.
#[test]
fn the_first_answer_of_another_leader_brings_it_all_that_is_open() {
    let mut client = session();
    client.issue(Time(1));
    answer(&mut client, 50, 0, 0);
    client.issue(Time(50));
    // Of those sent at 1, patience is over; the one sent at 50 waits.
    client.retry(Time(101));
    assert_eq!((client.target, sent_at(&client)), (1, vec![101, 101, 50]));
    handed_out(&mut client);
    answer(&mut client, 120, 1, 1);
    assert_eq!(handed_out(&mut client), [(1, 3)]);
    let expected =
        [(50, 0, TurnKind::Answered), (101, 1, TurnKind::Retried), (120, 1, TurnKind::Answered)];
    assert_eq!(turns(&client), expected);
    let first = |replica, from| client.report.turns.first_answer(NodeId(replica), Time(from));
    assert_eq!((first(1, 60), first(1, 121), first(0, 51)), (Some(Time(120)), None, None));
}

#[test]
fn a_replica_that_answers_what_was_sent_later_is_asked_again_and_not_left() {
    let mut client = session();
    client.issue(Time(1));
    answer(&mut client, 50, 1, 0);
    client.issue(Time(50));
    answer(&mut client, 90, 3, 0);
    // What was sent at 1 is lost, and r0 has answered what was sent at 50.
    client.retry(Time(101));
    assert_eq!((client.target, sent_at(&client)), (0, vec![101, 101]));
    client.retry(Time(201));
    assert_eq!(client.target, 1, "now it is silent");
}

#[test]
fn patience_runs_from_when_the_first_request_was_sent() {
    let mut client = session();
    client.issue(Time(60));
    client.retry(Time(100));
    assert_eq!((client.target, client.next_wake(Time(100))), (0, Some(Time(160))));
    client.retry(Time(160));
    assert_eq!((client.target, client.next_wake(Time(160))), (1, Some(Time(260))));
}

#[test]
fn what_a_burst_leaves_follows_at_once_and_to_the_same_replica() {
    let count = BURST + 10;
    let mut client = busy(u32::try_from(count).unwrap());
    while client.issue(Time(1)) {}
    handed_out(&mut client);
    client.retry(Time(101));
    assert_eq!(handed_out(&mut client).len(), BURST);
    assert_eq!(client.next_wake(Time(101)), Some(Time(101)));
    client.retry(Time(101));
    let rest = handed_out(&mut client);
    assert_eq!((rest.len(), rest[0]), (10, (1, BURST as u64)));
    assert_eq!(client.next_wake(Time(101)), Some(Time(201)));
    client.retry(Time(102));
    assert_eq!((handed_out(&mut client), client.target), (vec![], 1));
    // A new connection and a hint do not wait for bursts at all.
    client.reconnect(Time(103), NodeId(1));
    assert_eq!(handed_out(&mut client).len(), count);
    send_on(&mut client, 104, 0, 2);
    assert_eq!(handed_out(&mut client).len(), count);
}

/// The same session with a control operation in every hundred nanoseconds.
fn controlled() -> Session {
    session().controlled(ControlStarts::new(Control { rate_per_s: 1e7 }, 0, 1))
}

/// Whom each of the control operations handed out since the last call is for, and its number.
fn controls_handed_out(client: &mut Session) -> Vec<(u8, u64)> {
    let number = |(to, ask): (NodeId, Ask)| match ask {
        Ask::Control(request) => Some((to.0, request.sequence)),
        Ask::Command(_) => None,
    };
    client.take_asks().filter_map(number).collect()
}

fn answer_control(client: &mut Session, now: u64, sequence: u64) {
    let request = RequestId { client: ClientId(0), sequence };
    client.handle_answer(Time(now), NodeId(0), Answer::Control(request));
}

#[test]
fn controls_count_for_nothing_but_their_own_latencies() {
    let (mut without, mut with) = (session(), controlled());
    without.issue(Time(300));
    with.issue(Time(300));
    let commands = |client: &mut Session| {
        client.take_asks().filter(|(_, ask)| matches!(ask, Ask::Command(_))).collect::<Vec<_>>()
    };
    assert_eq!(commands(&mut without), commands(&mut with), "the load is the same");
    with.issue(Time(400));
    assert_eq!(controls_handed_out(&mut with), [(0, 3)]);
    (0..4).for_each(|sequence| answer_control(&mut with, 450, sequence));
    answer_control(&mut with, 460, 0);
    assert_eq!((with.issued_count(), with.acknowledged_count()), (3, 0));
    assert_eq!((with.outstanding_count, with.measured_writes()), (3, 0));
    let (report, recorder, _) = with.finish(Time(400));
    assert_eq!((report.offered_count, report.achieved_count, report.unknown_count), (3, 0, 3));
    assert_eq!((recorder.returned_count(), report.turns.kept().len()), (0, 0));
    let mut recording = report.recording;
    recording.finish(recorder);
    let controls = recording.total(OperationKind::Control).unwrap();
    assert_eq!((controls.count(), controls.unanswered_count()), (4, 0));
}

#[test]
fn controls_are_waited_for_in_the_drain_and_then_given_up() {
    let mut client = controlled();
    client.issue(Time(100));
    (0..3).for_each(|sequence| answer(&mut client, 150, sequence, 0));
    client.issue(Time(1_000));
    assert!(!client.is_drained(Time(1_000)), "all commands are answered, and no control operation");
    (0..9).for_each(|sequence| answer_control(&mut client, 1_100, sequence));
    assert!(!client.is_drained(Time(1_100)));
    assert!(client.is_drained(Time(2_000)), "not for ever");
    let (report, recorder, _) = client.finish(Time(2_000));
    assert_eq!(report.unknown_count, 0);
    let mut recording = report.recording;
    recording.finish(recorder);
    assert_eq!(recording.unanswered_count(OperationKind::Control).unwrap(), 1);
    assert_eq!(recording.unanswered_count(OperationKind::Write).unwrap(), 0);
}

/// r0 is silent: controls go where the commands go then, and bring nobody there.
#[test]
fn a_control_that_nobody_answers_follows_the_commands() {
    let mut client = controlled();
    client.issue(Time(100));
    client.retry(Time(150));
    assert_eq!((client.target, controls_handed_out(&mut client)), (0, vec![(0, 0)]));
    client.retry(Time(200));
    assert_eq!((client.target, controls_handed_out(&mut client)), (1, vec![(1, 0)]));
    let next = client.next_wake(Time(200)).unwrap();
    assert!(next <= Time(200), "the next control operation is due before the next retry: {next:?}");
    answer_control(&mut client, 250, 0);
    assert_eq!(client.target, 1);
}

/// Reads are asked of their own replicas, and neither hints nor silence there move the writes.
#[test]
fn reads_beside_the_log_go_their_own_way() {
    let mut client = with_reads(4, 0.5, &[(0, vec![NodeId(2), NodeId(1)])]);
    client.issue(Time(1));
    let kinds: Vec<Kind> = client.outstanding.iter().flatten().map(|open| open.kind).collect();
    let asked = handed_out(&mut client);
    let expected = kinds.iter().map(|kind| if *kind == Kind::Read { 2 } else { 0 });
    assert!(asked.iter().map(|(to, _)| *to).eq(expected));
    let all = |kind| (0..).zip(&kinds).filter(move |(_, it)| **it == kind).map(|(at, _)| at);
    let reads: Vec<u64> = all(Kind::Read).collect();
    let writes: Vec<u64> = all(Kind::Write).collect();
    assert!(!reads.is_empty() && !writes.is_empty(), "{kinds:?}");
    // One who does not lead says so of a read: nothing follows from it.
    send_on(&mut client, 10, reads[0], 1);
    assert_eq!((handed_out(&mut client), client.target), (Vec::new(), 0));
    // Both are silent: each kind goes on to the next in its own order.
    client.retry(Time(200));
    let again: BTreeSet<(u8, u64)> = handed_out(&mut client).into_iter().collect();
    let to = |place: u8, of: &[u64]| of.iter().map(|at| (place, *at)).collect::<Vec<_>>();
    assert_eq!(again, to(1, &writes).into_iter().chain(to(1, &reads)).collect());
    // An answer to a read keeps its replica, and is no sign of life of the one that writes ask.
    let request = RequestId { client: ClientId(0), sequence: reads[0] };
    let read = Reply::Read { request, below: Slot(4), value: None };
    client.handle_reply(Time(250), NodeId(1), read);
    assert_eq!(client.report.acknowledged_count, 1);
    assert_eq!(client.heard_of, None);
    client.reconnect(Time(260), NodeId(2));
    assert_eq!(handed_out(&mut client), []);
}

/// Nobody waits for one who was given up already: the later read would be overdue a while after that.
#[test]
fn all_open_reads_leave_a_replica_that_is_given_up() {
    let mut client = with_reads(2, 1.0, &[(0, vec![NodeId(2), NodeId(1)])]);
    client.issue(Time(1));
    client.issue(Time(1));
    assert_eq!(handed_out(&mut client), [(2, 0), (2, 1)]);
    let request = RequestId { client: ClientId(0), sequence: 0 };
    let read = Reply::Read { request, below: Slot(4), value: None };
    client.handle_reply(Time(50), NodeId(2), read);
    client.issue(Time(50));
    assert_eq!(handed_out(&mut client), [(2, 2)]);
    client.retry(Time(101));
    assert_eq!(handed_out(&mut client), [(1, 1), (1, 2)]);
}

/// Each range of keys has a replica of its own, and silence about one range moves only that.
#[test]
fn reads_go_to_the_replica_of_their_key() {
    let order = |nodes: [u8; 2]| nodes.map(NodeId).to_vec();
    let mut client = with_reads(12, 1.0, &[(0, order([1, 2])), (2, order([2, 0]))]);
    client.issue(Time(1));
    let keys: Vec<u64> =
        client.outstanding.iter().flatten().map(|open| open.operation.key()).collect();
    let places = |low: u8, high: u8| -> Vec<(u8, u64)> {
        let place = |key: &u64| if *key < 2 { low } else { high };
        (0..).zip(&keys).map(|(sequence, key)| (place(key), sequence)).collect()
    };
    assert!(keys.iter().any(|key| *key < 2) && keys.iter().any(|key| *key >= 2), "{keys:?}");
    assert_eq!(handed_out(&mut client), places(1, 2));
    // One answer in the lower range, to a read that was sent later than those that are overdue.
    client.retry(Time(150));
    assert_eq!(handed_out(&mut client), places(2, 0));
    let request = |sequence| RequestId { client: ClientId(0), sequence };
    let low = (0..).zip(&keys).find(|(_, key)| **key < 2).unwrap().0;
    let read = Reply::Read { request: request(low), below: Slot(1), value: None };
    client.handle_reply(Time(200), NodeId(2), read);
    client.reconnect(Time(210), NodeId(0));
    let high: Vec<(u8, u64)> = places(2, 0).into_iter().filter(|(place, _)| *place == 0).collect();
    assert_eq!(handed_out(&mut client), high);
}

/// Another one is asked from its silence on, and the nearest as well once in each time-out, until it answers first.
#[test]
fn reads_return_to_the_nearest_when_it_answers_again() {
    let mut client = with_reads(1, 1.0, &[(0, vec![NodeId(2), NodeId(1)])]);
    let answer = |client: &mut Session, at: u64, from: u8, sequence: u64| {
        let request = RequestId { client: ClientId(0), sequence };
        let read = Reply::Read { request, below: Slot(4), value: None };
        client.handle_reply(Time(at), NodeId(from), read);
        client.issue(Time(at));
        handed_out(client)
    };
    client.issue(Time(1));
    client.retry(Time(101));
    assert_eq!(handed_out(&mut client), [(2, 0), (1, 0)]);
    // The next is too soon, and the one after it is asked of both.
    assert_eq!(answer(&mut client, 150, 1, 0), [(1, 1)]);
    assert_eq!(answer(&mut client, 201, 1, 1), [(1, 2), (2, 2)]);
    // Who is second to answer does not count.
    assert_eq!(answer(&mut client, 220, 1, 2), [(1, 3)]);
    assert_eq!(answer(&mut client, 230, 2, 2), []);
    assert_eq!(answer(&mut client, 301, 1, 3), [(1, 4), (2, 4)]);
    assert_eq!(answer(&mut client, 310, 2, 4), [(2, 5)]);
}
