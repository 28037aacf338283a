//! Two traces as the project will draw them: a write, and a counterexample with a crash.

use super::{Fate, MarkKind, PeriodKind, Scale, Trace};
use crate::time::Time;

const KINDS: [&str; 8] =
    ["request", "phase1a", "phase1b", "phase2a", "phase2b", "reply", "chosen", "refused"];

/// Microseconds.
fn us(micros: u64) -> Time {
    Time(micros * 1_000)
}

/// One write with |Q1| = 4 and |Q2| = 2: the leader and one other, with syncs of 200 µs.
pub(super) fn commit() -> Trace {
    let title = "One write with flexible quorums: |Q1| = 4, |Q2| = 2, leader r0, sync 0.2 ms";
    let mut trace = Trace::new(title, Scale::Milliseconds).since(us(1_000)).with_kinds(&KINDS);
    let client = trace.line("c0", "eu-west-1");
    let places = ["us-east-1", "us-west-2", "eu-west-1", "ap-northeast-1", "ap-southeast-2"];
    let replicas: Vec<usize> = (0..)
        .zip(places)
        .map(|(index, place): (usize, _)| trace.line(format!("r{index}"), place))
        .collect();
    let (leader, arrived) = (replicas[0], us(35_300));
    trace.message((client, leader), us(1_000), Fate::Received(arrived), "request x=1");
    let durable = us(35_500);
    trace.period(leader, (arrived, durable), PeriodKind::Sync, "");
    trace.mark(leader, durable, MarkKind::Vote, "vote slot 0 at (1.r0) durable");
    let one_way = [0, 31_100, 37_400, 77_900, 98_600];
    for &replica in &replicas[1..] {
        let received = us(35_300 + one_way[replica - 1]);
        let voted = us(35_500 + one_way[replica - 1]);
        let answered = us(35_500 + 2 * one_way[replica - 1]);
        let proposal = "phase2a (1.r0) slot 0: x=1";
        trace.message((leader, replica), arrived, Fate::Received(received), proposal);
        trace.period(replica, (received, voted), PeriodKind::Sync, "");
        trace.mark(replica, voted, MarkKind::Vote, "vote slot 0 at (1.r0) durable");
        let fate = if replica == 5 { Fate::Underway } else { Fate::Received(answered) };
        trace.message((replica, leader), voted, fate, "phase2b (1.r0) slot 0");
    }
    let chosen = us(35_500 + 62_200);
    trace.mark(leader, chosen, MarkKind::Chosen, "slot 0 = x=1");
    trace.mark(leader, chosen, MarkKind::Executed, "executes slot 0: x=1");
    let replied = us(35_500 + 62_200 + 34_300);
    trace.message((leader, client), chosen, Fate::Received(replied), "reply stored");
    trace.mark(client, replied, MarkKind::Reply, "x=1 stored after 131.000 ms");
    trace
}

/// Two values chosen, because quorums need not meet: |Q1| = |Q2| = 1 of 3.
pub(super) fn counterexample() -> Trace {
    use MarkKind::{Campaign, Chosen, Crash, Persist, Promise, Restart, Timer, Violation, Vote};
    let title = "Counterexample: |Q1| = 2, |Q2| = 1 of 3 replicas need not meet";
    let mut trace = Trace::new(title, Scale::Steps).with_kinds(&KINDS);
    let [r0, r1, r2] = ["r0", "r1", "r2"].map(|name| trace.line(name, ""));
    let at = |step: u64| Fate::Received(Time(step));
    let (prepare, promise) =
        ("phase1a (1.r0) from slot 0", "phase1b (1.r0) from slot 0, voted nothing");
    trace
        .mark(r0, Time(1), Campaign, "campaigns with (1.r0)")
        .message((r0, r1), Time(1), at(3), prepare)
        .message((r0, r2), Time(1), Fate::Lost, prepare)
        .mark(r0, Time(2), Promise, "promise (1.r0) from slot 0 durable")
        .mark(r1, Time(3), Promise, "promise (1.r0) from slot 0")
        .mark(r1, Time(4), Persist, "promise durable")
        .message((r1, r0), Time(4), at(5), promise)
        .message((r0, r1), Time(6), at(10), "phase2a (1.r0) slot 0: x=1")
        .message((r0, r2), Time(6), at(19), "phase2a (1.r0) slot 0: x=1")
        .mark(r0, Time(7), Vote, "vote slot 0 at (1.r0): x=1 durable")
        .mark(r0, Time(7), Chosen, "slot 0 = x=1")
        .mark(r0, Time(8), Crash, "crash: what was not durable is lost")
        .mark(r2, Time(9), Timer, "election timer fires")
        .mark(r2, Time(9), Campaign, "campaigns with (2.r2)")
        .message((r2, r1), Time(9), at(12), "phase1a (2.r2) from slot 0")
        .message((r2, r0), Time(9), at(22), "phase1a (2.r2) from slot 0")
        .mark(r1, Time(10), Vote, "vote slot 0 at (1.r0): x=1")
        .mark(r1, Time(10), Crash, "crash before the vote is durable")
        .mark(r1, Time(11), Restart, "restart with promise (1.r0)")
        .mark(r1, Time(12), Promise, "promise (2.r2) from slot 0")
        .mark(r1, Time(13), Persist, "promise durable")
        .message((r1, r2), Time(13), at(15), "phase1b (2.r2) from slot 0, voted nothing")
        .mark(r0, Time(14), Restart, "restart with vote slot 0 at (1.r0): x=1")
        .message((r2, r0), Time(16), Fate::Underway, "phase2a (2.r2) slot 0: y=2")
        .message((r2, r1), Time(16), at(20), "phase2a (2.r2) slot 0: y=2")
        .mark(r2, Time(18), Vote, "vote slot 0 at (2.r2): y=2 durable")
        .message((r2, r0), Time(19), at(23), "refused (1.r0) slot 0, promised (2.r2)")
        .mark(r1, Time(20), Vote, "vote slot 0 at (2.r2): y=2")
        .message((r1, r2), Time(21), at(25), "phase2b (2.r2) slot 0")
        .mark(r0, Time(22), Promise, "promise (2.r2) from slot 0")
        .message((r0, r0), Time(22), at(24), "reserved below 4")
        .mark(r2, Time(25), Chosen, "slot 0 = y=2")
        .mark(None, Time(25), Violation, "agreement: slot 0 chosen twice, x=1 and y=2");
    trace
}
