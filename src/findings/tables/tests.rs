//! Tests of [`tables`](super).

use super::*;
use crate::client::Report as ClientReport;
use crate::command::ClientId;
use crate::deployment::{FaultKind, InjectedFault, Unsynced};
use crate::experiment::plan::Size;
use crate::experiment::testing::{GOOD, source};
use crate::measure::{Latencies, Recorder, Recording, Window};
use crate::protocol::Progress;
use crate::quorum::NodeId;
use crate::runtime::machine::Usage;
use crate::runtime::replica::{Recovery, Report as ReplicaReport};
use crate::runtime::storage::Tail;
use crate::time::Time;
use crate::trial::Report;

fn plan() -> Plan {
    Plan::from_source(&source(GOOD), Size::default()).unwrap()
}

/// One client that wrote once, in 70 ms.
fn outcome(unknown_count: u64) -> Outcome {
    let window = Window { from: Time(0), to: Time(1_000_000_000) };
    let length = Span::from_millis(1000);
    let mut recorder = Recorder::new(window, length);
    recorder.record(OperationKind::Write, Time(100), Time(70_000_100));
    for millis in 0..unknown_count {
        let waited = Span::from_millis(1500 - millis);
        recorder.give_up(OperationKind::Write, Time(millis * 1_000_000), waited);
    }
    let mut recording = Recording::new(window, length);
    recording.finish(recorder);
    let client = ClientReport {
        recording,
        issued_count: 1,
        acknowledged_count: 1,
        unknown_count,
        offered_count: 1,
        achieved_count: 1,
        retried_count: 0,
        redirected_count: 0,
        turns: crate::client::Turns::default(),
        undecodable_count: 2,
    };
    let report = Report {
        role: RoleReport::Client(client),
        emulation: None,
        refused_count: 3,
        kernel_drop_count: Some(0),
        usage: Some(Usage { cpu_s: 0.5, memory_peak_bytes: 1 << 20 }),
        watched: None,
        file_count: 1,
    };
    let mut outcome = Outcome { refused_count: 4, ..Outcome::default() };
    // As the plan has it.
    let kind = FaultKind::Crash { replica: NodeId(2), unsynced: Unsynced::Lost };
    outcome.injected.push(InjectedFault {
        fault: 0,
        kind,
        at: Time(5),
        ended_at: Some(Time(7)),
        caught_up_at: None,
    });
    outcome.reports.insert(MemberName::Client(ClientId(0)), report);
    outcome
}

fn findings() -> Findings {
    Findings::default()
}

fn rows_of(findings: &Findings) -> Rows {
    let plan = plan();
    rows(&plan, &plan.trials[0], Backend::Live, &outcome(0), findings).unwrap()
}

#[test]
fn operations_without_an_answer_are_said() {
    let plan = plan();
    let rows = rows(&plan, &plan.trials[0], Backend::Live, &outcome(12), &findings()).unwrap();
    let said = "unanswered: 12 operations, 12 of them of the window, which rank as infinite";
    assert!(rows.trial.valid && rows.trial.notes.contains(said), "{}", rows.trial.notes);
    let row = &rows.latency[0];
    assert_eq!((row.answered_count, row.unanswered_count), (1, 12));
    // Of thirteen operations twelve took for ever.
    assert_eq!((row.latency_ns_p50, row.latency_ns_max), (None, None));
    assert_eq!((row.residual_ns_p50, row.latency_ns_mean), (None, None));
    let ranked = rows.timeline.iter().map(|row| row.unanswered_count).collect::<Vec<_>>();
    assert_eq!((ranked[0], rows.timeline[0].returned_count), (12, 1));
}

#[test]
fn a_closed_loop_that_was_blocked_says_what_it_omits() {
    let text = GOOD.replace("{ poisson = { rate_per_s = 200 } }", "{ closed = { clients = 2 } }");
    let closed = Plan::from_source(&source(&text), Size::default()).unwrap();
    // A thousand quick writes, then nothing for most of a second.
    let window = Window { from: Time(0), to: Time(1_000_000_000) };
    let mut recorder = Recorder::new(window, Span::from_millis(1000));
    for micros in 0..1000 {
        let at = Time(micros * 100_000);
        recorder.record(OperationKind::Write, at, at + Span::from_micros(100));
    }
    recorder.record(OperationKind::Write, Time(100_000_000), Time(900_000_000));
    let mut blocked = outcome(0);
    let member = MemberName::Client(ClientId(0));
    if let RoleReport::Client(client) = &mut blocked.reports.get_mut(&member).unwrap().role {
        client.recording.finish(recorder);
    }
    let of = |plan: &Plan| {
        let trial = &plan.trials[0];
        rows(plan, trial, Backend::Sim, &blocked, &findings()).unwrap()
    };
    let found = of(&closed);
    let said = "omits: the closed loop of us-east-1 had no answer for 800.00ms";
    assert!(found.trial.notes.contains(said), "{}", found.trial.notes);
    assert!(found.trial.has(Flag::Omits));
    let row = &found.latency[0];
    assert!(row.latency_ns_p99 < Some(1_000_000), "{row:?}");
    assert!(row.open_loop_ns_p99 > Some(700_000_000), "{row:?}");
    // An open loop omits nothing.
    let found = of(&plan());
    assert!(!found.trial.has(Flag::Omits), "{}", found.trial.notes);
    assert_eq!((found.latency[0].blocked_ns, found.latency[0].open_loop_ns_p99), (None, None));
}

#[test]
fn replicas_that_are_not_brought_level_are_said() {
    let within = |slots: &[u64], on_its_way| {
        let replicas = (0..).map(|id| MemberName::Replica(NodeId(id)));
        behind(&replicas.zip(slots.iter().copied()).collect::<Vec<_>>(), on_its_way)
    };
    let executed = |slots: &[u64]| within(slots, 0);
    assert_eq!((executed(&[]), executed(&[7, 7, 7])), (None, None));
    // No-ops of an idle leader are always on their way.
    assert_eq!((within(&[5, 7], 2), within(&[4, 7], 2).is_some()), (None, true));
    let said = "behind in the end: r0 executed 3 of 7 slots, r2 executed 0 of 7 slots";
    assert_eq!(executed(&[3, 7, 0]).as_deref(), Some(said));
}

#[test]
fn a_fault_that_was_never_injected_is_said() {
    let (plan, mut outcome) = (plan(), outcome(0));
    outcome.injected.clear();
    let rows = rows(&plan, &plan.trials[0], Backend::Live, &outcome, &findings()).unwrap();
    assert!(rows.trial.has(Flag::NeverStruck), "{}", rows.trial.flag_codes);
    assert_eq!(rows.trial.notes, "fault 1 of 1 never struck");
}

#[test]
fn a_full_disk_that_stopped_nobody_is_said() {
    let flags = |start_count| {
        let (plan, mut outcome) = (plan(), outcome(0));
        let replica = NodeId(0);
        let member = MemberName::Replica(replica);
        let mut report = outcome.reports[&MemberName::Client(ClientId(0))].clone();
        report.role = RoleReport::Replica(ReplicaReport::default());
        outcome.reports.insert(member, report);
        outcome.injected[0].kind = FaultKind::FullDisk { replica };
        let start = Recovery {
            group_count: 0,
            has_checkpoint: false,
            tail: Tail::Clean,
            progress: Progress(0),
        };
        let starts = vec![start; start_count];
        outcome.recoveries.insert(member, starts);
        let rows = rows(&plan, &plan.trials[0], Backend::Live, &outcome, &findings()).unwrap();
        (rows.trial.has(Flag::NeverStruck), rows.trial.notes)
    };
    let (is_said, notes) = flags(1);
    assert!(is_said && notes.contains("needed no new file of its log"), "{notes}");
    assert!(!flags(2).0);
}

#[test]
fn a_valid_trial_has_its_numbers() {
    let rows = rows_of(&findings());
    let trial = &rows.trial;
    assert!(trial.valid && trial.complete && trial.flag_codes.is_empty(), "{trial:?}");
    assert_eq!((trial.offered_per_s, trial.achieved_per_s), (Some(0.1), Some(0.1)));
    assert_eq!(trial.refused_frame_count, Some(2 + 3 + 4));
    assert_eq!(rows.latency.len(), 1);
    assert_eq!(rows.latency[0].client_region, "us-east-1");
    assert!(rows.latency[0].latency_ns_p50 >= Some(70_000_000));
    assert!(!rows.percentiles.is_empty() && !rows.timeline.is_empty());
    assert_eq!(rows.measured.len(), 2);
    let outcomes: Vec<&str> = rows.members.iter().map(|row| row.outcome.as_str()).collect();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == "finished").count(), 1);
    assert_eq!(outcomes.len(), 7);
}

#[test]
fn an_invalid_trial_has_no_numbers() {
    let broken = Findings { violations: vec!["split".into()], ..findings() };
    let unfit = Findings { unfit: vec!["dropped".into()], ..findings() };
    for findings in [broken, unfit] {
        let rows = rows_of(&findings);
        assert!(!rows.trial.valid && rows.trial.has(Flag::Invalid), "{:?}", rows.trial);
        assert!(rows.trial.notes.ends_with(&format!("INVALID: {}", findings.reason())));
        assert_eq!((rows.trial.offered_per_s, rows.trial.issued_count), (None, None));
        assert!(rows.latency.is_empty() && rows.percentiles.is_empty());
        assert!(rows.timeline.is_empty() && rows.phases.is_empty() && rows.measured.is_empty());
    }
}

#[test]
fn every_row_says_how_its_network_is_known() {
    let (plan, mut outcome) = (plan(), outcome(0));
    let mut known = |backend| {
        let rows = rows(&plan, &plan.trials[0], backend, &outcome, &findings()).unwrap();
        outcome.network = Some(ProbedNetwork::default());
        assert!(rows.latency.iter().all(|row| row.network == rows.trial.network));
        rows.trial.network
    };
    assert_eq!(known(Backend::Live), "unverified");
    assert_eq!(known(Backend::Live), "measured");
    assert_eq!(known(Backend::Sim), "exact");
}

/// One client that wrote once and asked for three controls, of which one was never answered.
fn controlled() -> Outcome {
    let mut outcome = outcome(0);
    let window = Window { from: Time(0), to: Time(1_000_000_000) };
    let mut recorder = Recorder::new(window, Span::from_millis(1000));
    for micros in [200, 300] {
        let at = Time(micros * 1_000);
        recorder.record(OperationKind::Control, at, at + Span::from_millis(60));
    }
    recorder.give_up(OperationKind::Control, Time(400_000), Span::from_millis(1_400));
    let member = MemberName::Client(ClientId(0));
    if let RoleReport::Client(client) = &mut outcome.reports.get_mut(&member).unwrap().role {
        client.recording.finish(recorder);
    }
    outcome
}

#[test]
fn controls_have_rows_of_their_own_and_count_for_no_rate() {
    let (calm, _) = GOOD.split_once("[[fault]]").unwrap();
    let text = format!("{calm}[control]\nno-quorum = true\n");
    let plan = Plan::from_source(&source(&text), Size::default()).unwrap();
    let is_flex = |trial: &&Trial| plan.variant(trial).name == "flex";
    let trial = plan.trials.iter().find(is_flex).unwrap();
    let rows = rows(&plan, trial, Backend::Live, &controlled(), &findings()).unwrap();
    let of: Vec<_> =
        rows.latency.iter().map(|row| (row.operation.as_str(), row.answered_count)).collect();
    assert_eq!(of, [("write", 1), ("control", 2)]);
    let (write, control) = (&rows.latency[0], &rows.latency[1]);
    // To us-west-2 and back, and what a write waits for is further away.
    let floor = plan.variant(trial).control_floors[0].p50;
    assert_eq!(control.floor_ns_p50, Some(floor.0));
    assert!(control.floor_ns_p50 < write.floor_ns_p50);
    assert_eq!((control.unanswered_count, rows.trial.unknown_count), (1, Some(0)));
    let said = "unanswered: 1 control operations of the window, which rank as infinite";
    assert!(rows.trial.notes.contains(said), "{}", rows.trial.notes);
    assert_eq!((rows.trial.issued_count, rows.trial.achieved_per_s), (Some(1), Some(0.1)));
    assert!(rows.timeline.iter().any(|row| row.operation == "control" && row.returned_count == 2));
    assert!(rows.percentiles.iter().any(|row| row.operation == "control"));
}

/// The finer timeline of a trial with a fault is that of the histories, in which there is no control.
#[test]
fn the_timeline_of_controls_outlives_a_fault() {
    let text = format!("{GOOD}\n[control]\nno-quorum = true\n");
    let plan = Plan::from_source(&source(&text), Size::default()).unwrap();
    let mut rows = rows(&plan, &plan.trials[0], Backend::Live, &controlled(), &findings()).unwrap();
    rows.timeline.retain(|row| row.operation == "control");
    assert_eq!(rows.timeline.iter().map(|row| row.returned_count).sum::<u64>(), 2);
}

/// They do not wait for the closed loop, so they are neither its answers nor corrected with it.
#[test]
fn controls_are_no_part_of_what_a_closed_loop_omits() {
    let mut load = Latencies::new();
    (0..1_000).for_each(|_| load.record(Span::from_millis(2)));
    load.record(Span::from_millis(800));
    let mut controls = Latencies::new();
    (0..50).for_each(|_| controls.record(Span::from_millis(1)));
    let omission = Omission::of(Span::from_millis(800), &load);
    let latencies = vec![(OperationKind::Write, load), (OperationKind::Control, controls)];
    let measured = Measured { latencies, omission, floors: Vec::new() };
    assert_eq!(measured.load().count(), 1_001);
    let [(_, load), (_, controls)] = &measured.latencies[..] else { unreachable!() };
    assert!(measured.as_open_loop(OperationKind::Write, load).is_some());
    assert_eq!(measured.as_open_loop(OperationKind::Control, controls), None);
}
