//! The rows that say what a fault cost, from simulated trials.

use super::worlds;
use crate::cluster::Interrupt;
use crate::deployment::MemberName;
use crate::experiment::plan::{Plan, Size};
use crate::experiment::testing::source;
use crate::findings::rows::Rows;
use crate::findings::{tables, verify};
use crate::measure::rows::{TimelineRow, TrialRow};
use crate::measure::{Milestone, Step};
use crate::quorum::{Family, NodeId, NodeSet};
use crate::time::Span;
use crate::topology::{phase1_span_among, quorum_span, quorum_span_among};
use crate::trial::{Backend, Outcome};

/// A leader under open-loop load; `tables` says what goes wrong.
fn experiment(protocol: &str, tables: &str) -> String {
    format!(
        r#"question = "What does it cost?"
prediction = "A phase 1."

[topology]
profile = "aws-2025-07"
replicas = ["us-east-1", "us-west-2", "eu-west-1", "ap-northeast-1", "ap-southeast-2"]
clients = ["us-east-1", "ca-central-1"]

[workload]
arrival = {{ fixed = {{ rate_per_s = 200 }} }}
warmup = "1s"
duration = "5s"
drain = "3s"
retry_after = "500ms"
reads = 0.2

[[variant]]
name = "flex"
protocol = {protocol}
quorums = {{ counts = {{ phase1 = 4, phase2 = 2 }} }}

{tables}
"#
    )
}

const LED: &str = "{ multi = { leader = \"us-east-1\" } }";
const CRASH: &str = "[[fault]]\nat = \"2s\"\ncrash = \"us-east-1\"\n";

/// A simulated trial of it, and what else `change` makes of its outcome.
fn simulated(text: &str, change: impl Fn(&mut Outcome)) -> (Plan, Rows) {
    let plan = Plan::from_source(&source(text), Size::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let trial = plan.trials[0];
    let mut outcome =
        worlds::simulate(&plan, &trial, folder.path(), &Interrupt::never()).unwrap().unwrap();
    change(&mut outcome);
    let members: Vec<MemberName> = outcome.files.keys().copied().collect();
    let findings = verify::verify(&members, &outcome, plan.variant(&trial).mode);
    assert!(findings.is_valid(), "{findings:?}");
    let rows = tables::rows(&plan, &trial, Backend::Sim, &outcome, &findings).unwrap();
    (plan, rows)
}

const SECOND: u64 = 1_000_000_000;

#[test]
fn a_leader_that_comes_back_after_a_second_costs_that_second_and_a_phase_1() {
    let text = experiment(LED, &format!("{CRASH}restart_after = \"1s\"\n"));
    let (plan, rows) = simulated(&text, |_| {});
    assert_eq!(rows.recovery.len(), 2);
    let links = &plan.points[0].links;
    let r_q1 = quorum_span(links, NodeId(0), &Family::of_size(4)).0;
    for row in &rows.recovery {
        assert_eq!((row.struck_at_ns, row.ended_at_ns), (2 * SECOND, Some(3 * SECOND)));
        let fault = (row.fault, row.fault_kind.as_str(), row.target.as_str());
        assert_eq!((fault, row.target_regions.as_str()), ((1, "crash", "r0"), "us-east-1"));
        assert_eq!((row.leader.as_str(), row.new_leader.as_str()), ("r0", "r0"));
        let regions = (row.leader_region.as_str(), row.new_leader_region.as_str());
        assert_eq!(regions, ("us-east-1", "us-east-1"));
        // To the nanosecond: nothing but the network takes time.
        assert_eq!((row.phase1_ns, row.floor_phase1_ns), (Some(r_q1), Some(r_q1)));
        assert!(row.leading_ns >= Some(SECOND + r_q1), "{row:?}");
        assert_eq!((row.first_suspected_ns, row.detection_ns), (None, None));
        assert!(row.first_commit_ns.is_some(), "{row:?}");
        // The outage is in the window that the clients saw, and no longer than what explains it.
        let away = row.unavailable_ns.unwrap();
        assert!(away > SECOND + r_q1, "{row:?}");
        assert!(away < SECOND + r_q1 + 700_000_000, "{row:?}");
        assert!(row.usual_gap_ns.unwrap() < 100_000_000, "{row:?}");
        // Reads go through the log, so they are away as long as writes, but for the gaps between them.
        let reads_away = row.reads_unavailable_ns.unwrap();
        assert!(reads_away.abs_diff(away) < row.reads_usual_gap_ns.unwrap(), "{row:?}");
        assert_eq!(row.reads_recovered, Some(true));
        assert!(row.reads_first_ack_ns.unwrap() > SECOND + r_q1, "{row:?}");
        assert!(row.first_ack_ns.unwrap() > SECOND + r_q1, "{row:?}");
        assert_eq!((row.recovered, row.unknown_count), (Some(true), Some(0)));
        // 80 writes a second in each region, and a second and more of them waited.
        assert!(row.delayed_count.unwrap() > 60, "{row:?}");
        assert!(row.redirect_ns.is_some(), "{row:?}");
        assert!(row.before_ns_p50.unwrap() > 60_000_000, "{row:?}");
    }
}

#[test]
fn the_timeline_of_a_trial_with_a_fault_shows_the_gap_and_says_what_it_was() {
    let text = experiment(LED, &format!("{CRASH}restart_after = \"1s\"\n"));
    let (_, rows) = simulated(&text, |_| {});
    let of_region = |row: &&TimelineRow| {
        (row.client_region.as_str(), row.operation.as_str()) == ("us-east-1", "write")
    };
    let timeline: Vec<&TimelineRow> = rows.timeline.iter().filter(of_region).collect();
    assert!(timeline.len() >= 50);
    assert!(timeline.iter().all(|row| row.interval_ns == SECOND / 10));
    let marked: Vec<usize> =
        (0..timeline.len()).filter(|index| timeline[*index].faults == "crash r0").collect();
    assert_eq!(marked, (20..=30).collect::<Vec<_>>());
    assert!(
        timeline[21..30].iter().all(|row| row.returned_count == 0 && row.latency_ns_p50.is_none())
    );
    assert!(timeline[..20].iter().skip(1).all(|row| row.returned_count > 0));
    // What waited came back in one interval, and every write is in some.
    assert!(timeline.iter().any(|row| row.returned_count > 50));
    let in_timeline: u64 = timeline.iter().map(|row| row.returned_count).sum();
    let measured = rows.latency.iter().find(|row| row.client_region == "us-east-1");
    assert!(in_timeline > 0 && measured.is_some());
}

#[test]
fn nobody_leads_again_and_the_rows_are_empty_where_nothing_happened() {
    let (_, rows) = simulated(&experiment(LED, CRASH), |_| {});
    for row in &rows.recovery {
        assert_eq!((row.leader.as_str(), row.new_leader.as_str()), ("r0", ""));
        assert_eq!(row.new_leader_region, "");
        assert_eq!((row.phase1_ns, row.leading_ns, row.redirect_ns), (None, None, None));
        assert_eq!((row.floor_phase1_ns, row.transfer_ns), (None, None));
        assert_eq!((row.ended_at_ns, row.recovered), (None, Some(false)));
        assert!(row.unavailable_ns.unwrap() > 2_900_000_000, "{row:?}");
        assert!(row.unknown_count.unwrap() > 200, "{row:?}");
    }
    assert!(rows.timeline.iter().rev().take(5).all(|row| row.faults == "crash r0"));
}

#[test]
fn a_follower_that_dies_costs_nothing_but_what_the_clients_saw() {
    let text = experiment(LED, &CRASH.replace("us-east-1", "ap-southeast-2"));
    let (_, rows) = simulated(&text, |_| {});
    for row in &rows.recovery {
        assert_eq!((row.new_leader.as_str(), row.attempt_count), ("", 0));
        assert_eq!((row.recovered, row.unknown_count), (Some(true), Some(0)));
        assert_eq!(row.delayed_count, Some(0));
        assert!(row.unavailable_ns <= row.usual_gap_ns.map(|gap| gap * 2), "{row:?}");
    }
}

/// The rows of a trial in which a leader that holds a lease of this length dies for good.
fn with_lease(length: &str) -> Rows {
    let reads = format!("{{ leader-lease = {{ length = \"{length}\" }} }}");
    let led = format!("{{ multi = {{ leader = \"us-east-1\", reads = {reads} }} }}");
    let tables = "[clock]\nbound = \"1ms\"\n\n[election]\nmode = \"timeout\"\n\n";
    simulated(&experiment(&led, &format!("{tables}{CRASH}")), |_| {}).1
}

/// A new leader answers reads under the lease of the one before it, and tells nobody of a write until that is over.
#[test]
fn with_a_lease_reads_come_back_before_writes() {
    let rows = with_lease("2800ms");
    for row in &rows.recovery {
        let (reads, writes) = (row.reads_unavailable_ns.unwrap(), row.unavailable_ns.unwrap());
        assert!(reads + 300_000_000 < writes, "{row:?}");
        // The lease is that of the last entry of the leader that died, and no wait of the clients.
        let over = row.leading_ns.unwrap() + row.transfer_ns.unwrap();
        assert!((2_600_000_000..2_900_000_000).contains(&over), "{row:?}");
        assert!(row.protocol_ns.unwrap() >= over, "{row:?}");
    }
}

#[test]
fn a_lease_that_outlasts_the_trial_leaves_no_part_of_the_protocol() {
    let rows = with_lease("30s");
    for row in &rows.recovery {
        assert!(row.leading_ns.is_some() && row.reads_recovered == Some(true), "{row:?}");
        assert_eq!((row.recovered, row.transfer_ns), (Some(false), None), "{row:?}");
        assert_eq!((row.protocol_ns, row.client_wait_ns), (None, None), "{row:?}");
    }
}

/// What an election says is put in by hand: two suspect, one of them campaigns and leads.
#[test]
fn every_step_of_an_election_is_in_its_column() {
    let text = experiment(LED, &format!("{CRASH}restart_after = \"1s\"\n"));
    let (plan, rows) = simulated(&text, |outcome| {
        let injected = outcome.injected[0].at;
        let say = |ms: u64, step: Step| Milestone { at: injected + Span::from_millis(ms), step };
        let suspected = Step::Suspected { silence: Span::from_millis(500) };
        let phase1 = Span::from_millis(210);
        let leading = Step::Leading { phase1, adopted_count: 7, filled_count: 2 };
        let said = vec![
            say(520, suspected),
            say(600, Step::Campaigning),
            say(810, leading),
            say(890, Step::Recovered { transfer: Span::from_millis(80) }),
            say(900, Step::Committing),
        ];
        outcome.milestones.insert(MemberName::Replica(NodeId(2)), said);
        let said = vec![say(505, suspected)];
        outcome.milestones.insert(MemberName::Replica(NodeId(1)), said);
    });
    let row = &rows.recovery[0];
    let ms = |ms: u64| Some(ms * 1_000_000);
    assert_eq!((row.leader.as_str(), row.new_leader.as_str()), ("r0", "r2"));
    assert_eq!(row.new_leader_region, "eu-west-1");
    assert_eq!((row.first_suspected_ns, row.detection_ns), (ms(505), ms(520)));
    assert_eq!((row.election_ns, row.attempt_count), (ms(80), 1));
    assert_eq!((row.phase1_ns, row.leading_ns), (ms(210), ms(810)));
    assert_eq!((row.adopted_count, row.filled_count), (Some(7), Some(2)));
    assert_eq!((row.transfer_ns, row.first_commit_ns), (ms(80), ms(90)));
    // The old leader is down until a second after the fault, so all four others must promise.
    let links = &plan.points[0].links;
    let live = NodeSet::all(5).without(NodeId(0));
    let floor = quorum_span_among(links, NodeId(2), &Family::of_size(4), live);
    assert_eq!(row.floor_phase1_ns, floor.map(|floor| floor.0));
    assert!(row.floor_phase1_ns > Some(quorum_span(links, NodeId(2), &Family::of_size(4)).0));
}

#[test]
fn a_duel_of_proposers_says_how_often_a_write_was_tried() {
    // Two proposers, each with clients beside it.
    let duel = experiment("{ classic = {} }", "").replace("ca-central-1", "eu-west-1");
    let (_, rows) = simulated(&duel, |_| {});
    let TrialRow { attempts_per_write, race_lost_count, .. } = &rows.trial;
    assert!(*race_lost_count > Some(0) && *attempts_per_write > Some(1.0), "{:?}", rows.trial);
    assert!(rows.recovery.is_empty() && rows.timeline.iter().all(|row| row.faults.is_empty()));
    let (_, rows) = simulated(&experiment(LED, ""), |_| {});
    assert_eq!(rows.trial.attempts_per_write, None);
}

/// Clients that no experiment tells how patient to be see recoveries differ by what they differ by: a phase 1
/// of four takes 150 ms longer than one of three, to ask for votes and to win them.
#[test]
fn clients_see_how_much_longer_one_recovery_is() {
    let regions =
        "[\"us-east-1\", \"us-west-2\", \"eu-west-1\", \"sa-east-1\", \"ap-southeast-1\"]";
    let of = |phase1: usize, phase2: usize| {
        let text = format!(
            "question = \"q\"\nprediction = \"p\"\n[topology]\nprofile = \"aws-2025-07\"\n\
             replicas = {regions}\nclients = {regions}\n[workload]\n\
             arrival = {{ poisson = {{ rate_per_s = 100 }} }}\nduration = \"12s\"\n\
             [election]\nmode = \"timeout\"\n[[variant]]\nname = \"v\"\n\
             protocol = {{ multi = {{ leader = \"best\" }} }}\n\
             quorums = {{ counts = {{ phase1 = {phase1}, phase2 = {phase2} }} }}\n\
             [[fault]]\nat = \"3s\"\ncrash = \"leader\"\n"
        );
        simulated(&text, |_| {}).1.recovery
    };
    let (three, four) = (of(3, 3), of(4, 2));
    assert_eq!((three.len(), four.len()), (5, 5));
    let ms = |ns: Option<u64>| ns.unwrap() as f64 / 1e6;
    for (three, four) in three.iter().zip(&four) {
        let longer = ms(four.leading_ns) - ms(three.leading_ns);
        assert!((250.0..350.0).contains(&longer), "{longer}");
        let seen = ms(four.unavailable_ns) - ms(three.unavailable_ns);
        assert!((seen - longer).abs() < 150.0, "{}: {seen}, not {longer}", three.client_region);
    }
}

/// A phase 1 meets the quorum that the leader before announced: here its follower, as it is down itself.
#[test]
fn the_floor_of_a_phase_1_knows_what_was_announced() {
    let faults = "[election]\nmode = \"timeout\"\n[[fault]]\nat = \"2s\"\ncrash = \"leader\"\n";
    let text = experiment(LED, faults)
        .replace("{ counts = { phase1 = 4, phase2 = 2 } }", "{ per_ballot = { phase2 = 2 } }");
    let (plan, rows) = simulated(&text, |_| {});
    let (links, row) = (&plan.points[0].links, &rows.recovery[0]);
    let system = &plan.points[0].variants[0].quorums;
    let new =
        links.replicas().find(|id| MemberName::Replica(*id).to_string() == row.new_leader).unwrap();
    let live = NodeSet::all(5).without(NodeId(0));
    // us-east-1 announced itself and us-west-2.
    let announced = [NodeSet::all(2)];
    let floor = phase1_span_among(links, system, new, live, &announced).map(|span| span.0);
    assert_eq!(row.floor_phase1_ns, floor);
    assert!(row.phase1_ns >= floor && row.phase1_ns < floor.map(|ns| ns + 1_000_000), "{row:?}");
}
