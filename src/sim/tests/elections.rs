//! Leaders that fall silent on five continents: who replaces them, and who may not.

use super::*;
use crate::client::Report;
use crate::deployment::{Fault, Unsynced};
use crate::history::{Check, Options, Verdict};
use crate::measure::Step;
use crate::paxos::Replica;
use crate::protocol::Detector;
use crate::sim::Outcome;

const R3: NodeId = NodeId(3);
const R4: NodeId = NodeId(4);

/// Five regions, and a client beside r0, which leads; a leader is suspected after half a second.
fn five(quorums: QuorumSystem) -> Deployment {
    let mut deployment = deployment("aws-2025-07", Jitter::None, 5);
    deployment.quorums = quorums;
    deployment.election = Election::Timeout(Detector {
        heartbeat: Span::from_millis(100),
        misses: 5,
        spread: Span::from_millis(250),
    });
    deployment.durability = Durability::Fsync;
    deployment.workload.arrival = Arrival::Fixed { rate_per_s: 50.0 };
    deployment.duration = Span::from_millis(10_000);
    deployment.drain = Span::from_millis(20_000);
    deployment
}

fn counts(phase1: usize, phase2: usize) -> QuorumSystem {
    QuorumSystem::counts(5, phase1, phase2).unwrap()
}

fn fault(at_ms: u64, kind: FaultKind, heals_after_ms: Option<u64>) -> Fault {
    let heals_after = heals_after_ms.map(Span::from_millis);
    Fault { at: Span::from_millis(at_ms), kind, heals_after }
}

const fn crash(replica: NodeId) -> FaultKind {
    FaultKind::Crash { replica, unsynced: Unsynced::Lost }
}

/// The trial to its end, and what the histories say of it.
fn run(mut deployment: Deployment, faults: Vec<Fault>) -> (Outcome, Verdict) {
    deployment.faults = faults.into_iter().map(Into::into).collect();
    let of = deployment.clone();
    let mode = paxos_mode(&deployment);
    let make = move |id| Replica::new(mode, of.config(id));
    let mut world = World::new(&deployment, &Settings::default(), make);
    world.run_to_end();
    let outcome = world.finish();
    assert_eq!(outcome.violation, None);
    let mut check = Check::new(Options::default());
    for (member, histories) in &outcome.histories {
        for history in histories {
            match member {
                MemberName::Client(_) => check.add_client(|| Ok(&history[..])),
                MemberName::Replica(_) => check.add_replica(&history[..]),
            }
            .unwrap();
        }
    }
    let verdict = check.finish().unwrap();
    assert_eq!(verdict.violations, []);
    (outcome, verdict)
}

fn client(outcome: &Outcome) -> &Report {
    outcome.clients.values().next().unwrap()
}

#[test]
fn a_killed_leader_is_replaced_and_everything_is_answered() {
    let systems =
        [counts(3, 3), counts(4, 2), QuorumSystem::per_ballot(5, 2).unwrap(), counts(1, 5)];
    for (quorums, is_replaced) in systems.into_iter().zip([true, true, true, false]) {
        let name = format!("{quorums:?}");
        // With a phase-2 quorum of everybody a dead replica stops all, so there the leader comes back.
        let back = (!is_replaced).then_some(3_000);
        let (outcome, _) = run(five(quorums), vec![fault(2_000, crash(R0), back)]);
        assert!(outcome.counts.leaderships >= 2, "{name}: {:?}", outcome.counts);
        assert_eq!(client(&outcome).unknown_count, 0, "{name}");
        assert!(client(&outcome).issued_count >= 490, "{name}");
    }
}

#[test]
fn with_a_phase_1_quorum_of_all_nobody_leads_until_the_killed_one_is_back() {
    let faults = |back| vec![fault(2_000, crash(R0), back)];
    let (stopped, _) = run(five(counts(5, 1)), faults(None));
    assert_eq!(stopped.counts.leaderships, 1);
    // What was asked for before the kill, and a second of it had no answer yet.
    assert!((90..=100).contains(&client(&stopped).acknowledged_count));
    let (back, _) = run(five(counts(5, 1)), faults(Some(3_000)));
    assert_eq!(back.counts.leaderships, 2);
    assert_eq!(client(&back).unknown_count, 0);
}

#[test]
fn a_follower_that_is_killed_costs_the_leader_nothing() {
    for quorums in [counts(3, 3), counts(4, 2), counts(5, 1)] {
        let (outcome, _) = run(five(quorums), vec![fault(2_000, crash(R4), None)]);
        assert_eq!(outcome.counts.leaderships, 1);
        assert_eq!(client(&outcome).unknown_count, 0);
    }
}

/// `accept-quorum-leader-deposed`: r3 and r4 do not hear r0, and all else goes well.
#[test]
fn a_leader_that_a_phase_2_quorum_hears_is_not_deposed() {
    for quorums in [counts(4, 2), counts(3, 3), QuorumSystem::per_ballot(5, 2).unwrap()] {
        let kind = FaultKind::Cut { from: NodeSet::only(R0), to: NodeSet::only(R3).with(R4) };
        let (outcome, _) = run(five(quorums), vec![fault(1_000, kind, Some(5_000))]);
        assert_eq!(outcome.counts.leaderships, 1);
        assert_eq!(client(&outcome).unknown_count, 0);
    }
}

/// It is heard, and hears nobody: its proposals are voted for, and it never learns of it.
#[test]
fn a_leader_that_hears_nobody_makes_room() {
    let others = NodeSet::all(5).without(R0);
    let kind = FaultKind::Cut { from: others, to: NodeSet::only(R0) };
    let (outcome, _) = run(five(counts(4, 2)), vec![fault(1_000, kind, None)]);
    // The client beside it is told by r0 that it does not lead, and asks around.
    assert_eq!(outcome.counts.leaderships, 2);
    assert_eq!(client(&outcome).unknown_count, 0);
}

#[test]
fn a_leader_that_stood_still_finds_another_one_and_follows() {
    let faults = vec![fault(1_000, FaultKind::Pause { replica: R0 }, Some(3_000))];
    let (outcome, verdict) = run(five(counts(4, 2)), faults);
    assert_eq!(outcome.counts.leaderships, 2);
    assert_eq!(client(&outcome).unknown_count, 0);
    assert!(verdict.acknowledged_count > 490);
}

#[test]
fn whoever_is_told_to_lead_takes_over_and_nothing_is_lost() {
    let faults = vec![fault(1_000, FaultKind::Campaign { replica: R1 }, None)];
    let (outcome, _) = run(five(counts(4, 2)), faults);
    assert_eq!(outcome.counts.leaderships, 2);
    assert_eq!(client(&outcome).unknown_count, 0);
}

/// The announced quorum is r0 and its nearest, r1; when r1 is lost, a new ballot announces another.
#[test]
fn a_leader_whose_announced_quorum_is_lost_announces_another() {
    let quorums = QuorumSystem::per_ballot(5, 2).unwrap();
    let (outcome, _) = run(five(quorums), vec![fault(1_000, crash(R1), None)]);
    assert_eq!(outcome.counts.leaderships, 2);
    assert_eq!(client(&outcome).unknown_count, 0);
}

/// `fixed-prefix-thrifty-stall`: after one time-out the dead one is not asked first any more.
#[test]
fn a_thrifty_leader_passes_over_a_dead_follower() {
    let mut deployment = five(counts(4, 2));
    deployment.send = SendPolicy::Quorum;
    let (outcome, _) = run(deployment, vec![fault(2_000, crash(R1), None)]);
    assert_eq!(outcome.counts.leaderships, 1);
    assert_eq!(client(&outcome).unknown_count, 0);
    let retransmissions = outcome.counts.retransmissions;
    assert!((1..=150).contains(&retransmissions), "{retransmissions} of 400 writes after the kill");
}

/// r0 and the witness r1 are nearest to one another, so their votes choose; only r2 can lead when r0 is dead.
#[test]
fn a_witness_never_leads_and_its_votes_are_adopted() {
    let witness = NodeId(1);
    let mut three = deployment("aws-2025-07", Jitter::None, 3);
    let five = five(counts(3, 3));
    three.quorums = QuorumSystem::majority(3).with_witnesses(NodeSet::only(witness));
    (three.election, three.workload) = (five.election, five.workload);
    (three.duration, three.drain) = (five.duration, five.drain);
    let (outcome, verdict) = run(three, vec![fault(2_000, crash(R0), None)]);
    assert_eq!((verdict.unknown_count, client(&outcome).unknown_count), (0, 0));
    let leading = |id: NodeId| {
        let milestones = &outcome.replicas[&id].phases.milestones;
        milestones.iter().filter_map(|milestone| match milestone.step {
            Step::Leading { adopted_count, .. } => Some(adopted_count),
            _ => None,
        })
    };
    assert_eq!(leading(witness).count(), 0);
    let adopted: u64 = leading(NodeId(2)).sum();
    assert!(adopted > 0, "r0 died with writes that the witness alone had voted for besides");
    assert_eq!(outcome.replicas[&witness].executed_below, 0);
    assert!(outcome.replicas[&NodeId(2)].executed_below > 400);
}

/// r3 and r4 hold no vote: the quorums are two of the other three, and both of them execute all.
#[test]
fn observers_execute_everything_and_never_lead() {
    let mut deployment = five(QuorumSystem::majority(3).among(5, NodeSet::all(3)));
    deployment.drain = Span::from_millis(3_000);
    let (outcome, _) = run(deployment, vec![fault(2_000, crash(R0), None)]);
    assert_eq!(client(&outcome).unknown_count, 0);
    let executed = |id| outcome.replicas[&id].executed_below;
    assert!(executed(R3) > 400, "{}", executed(R3));
    assert_eq!([R3, R4].map(executed), [executed(NodeId(1)); 2]);
    let steps = |id| outcome.replicas[&id].phases.milestones.iter();
    let leads = |id| steps(id).any(|it| matches!(it.step, Step::Leading { .. }));
    assert!(!leads(R3) && !leads(R4));
}
