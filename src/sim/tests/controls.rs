//! Control operations: that they see the way and the host alone, and that the load sees nothing of them.

use super::*;
use crate::caspaxos;
use crate::deployment::{Fault, Scheduled, Unsynced};
use crate::driver::Defect;
use crate::measure::{Latencies, OperationKind};
use crate::paxos::Replica;
use crate::sim::{Outcome, run_trial};
use crate::topology::control_floors;
use crate::workload::Control;

const REGIONS: [&str; 5] =
    ["us-east-1", "us-west-2", "eu-west-1", "ap-northeast-1", "ap-southeast-2"];

/// Two client regions, one of them beside a replica, that ask for controls beside a load.
fn loaded(mode: Mode, quorums: QuorumSystem) -> Deployment {
    let mut deployment = deployment("aws-2025-07", Jitter::None, 5);
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let profile = Profile::load("aws-2025-07").unwrap();
    let clients = names(&["us-east-1", "ca-central-1"]);
    deployment.links = Links::new(&profile, &names(&REGIONS), &clients, Jitter::None).unwrap();
    (deployment.mode, deployment.quorums) = (mode, quorums);
    deployment.workload.arrival = Arrival::Poisson { rate_per_s: 150.0 };
    deployment.workload.keys = Keys::Uniform { count: 50 };
    deployment.workload.reads = 0.2;
    deployment.control = Some(Control { rate_per_s: 20.0 });
    deployment.warmup = Span::from_millis(300);
    deployment.duration = Span::from_millis(2_000);
    deployment.drain = Span::from_millis(3_000);
    deployment
}

fn majority() -> QuorumSystem {
    QuorumSystem::majority(5)
}

fn of_kind(outcome: &Outcome, client: u32, kind: OperationKind) -> Latencies {
    assert_eq!(outcome.violation, None);
    outcome.clients[&ClientId(client)].recording.total(kind).unwrap()
}

fn controls(outcome: &Outcome, client: u32) -> Latencies {
    of_kind(outcome, client, OperationKind::Control)
}

/// Why the latencies are not all this floor: a bucket of a histogram is a thousandth wide, and a link takes
/// 100 ns at least.
fn beside_the_floor(latencies: &Latencies, floor: Span) -> Option<String> {
    let [least, most] = [latencies.min(), latencies.max()].map(Option::unwrap_or_default);
    let off = Span(floor.0 / 500 + 1_000);
    let is_floor = least + off >= floor && most <= floor + off;
    (!is_floor).then(|| format!("{least} to {most} for {floor}"))
}

#[track_caller]
fn check_floors(deployment: &Deployment, outcome: &Outcome) {
    for (client, floor) in
        (0..).zip(control_floors(&deployment.links, deployment.mode, &deployment.quorums))
    {
        let controls = controls(outcome, client);
        assert_eq!(controls.unanswered_count(), 0);
        assert!((39..=41).contains(&controls.count()), "{} in two seconds", controls.count());
        assert_eq!(floor.p50, floor.p99);
        assert_eq!(
            beside_the_floor(&controls, floor.p50),
            None,
            "c{client}, {:?}",
            deployment.mode
        );
    }
}

fn every_mode() -> [Mode; 5] {
    let registers = |proposer| caspaxos::Mode { proposer }.into();
    [Mode::multi(R0), Mode::multi(NodeId(3)), Mode::CLASSIC, registers(None), registers(Some(R2))]
}

#[test]
fn controls_take_the_way_there_and_back_in_every_protocol() {
    for mode in every_mode() {
        let deployment = loaded(mode, majority());
        check_floors(&deployment, &run_trial(&deployment, &Settings::default()));
    }
}

#[test]
fn another_quorum_changes_writes_and_no_control() {
    let flexible = QuorumSystem::counts(5, 4, 2).unwrap();
    let [majority, flexible] = [majority(), flexible]
        .map(|quorums| run_trial(&loaded(Mode::multi(R0), quorums), &Settings::default()));
    for client in [0, 1] {
        assert_eq!(controls(&majority, client), controls(&flexible, client));
        let median = |outcome| of_kind(outcome, client, OperationKind::Write).quantile(0.5);
        assert!(median(&flexible) < median(&majority));
    }
}

/// Not only latencies: who asked for what when, and what was told when, to the nanosecond.
#[test]
fn the_load_is_the_same_with_controls_and_without() {
    let closed = Arrival::Closed { clients: 31 };
    for arrival in [Arrival::Poisson { rate_per_s: 150.0 }, closed] {
        for mode in every_mode() {
            let mut deployment = loaded(mode, majority());
            deployment.workload.arrival = arrival.clone();
            let with = run_trial(&deployment, &Settings::default());
            deployment.control = None;
            let without = run_trial(&deployment, &Settings::default());
            assert_eq!(with.histories, without.histories, "{mode:?}");
            for (client, report) in &with.clients {
                let other = &without.clients[client];
                let counts = |it: &crate::client::Report| {
                    let issued = (it.issued_count, it.offered_count, it.unknown_count);
                    (issued, it.acknowledged_count, it.achieved_count, it.retried_count)
                };
                assert_eq!(counts(report), counts(other));
                assert!(report.issued_count > 60, "{mode:?}");
                let (own, other) = (&report.recording, &other.recording);
                let silence = [own.longest_silence, other.longest_silence];
                assert_eq!((own.returned_count, silence[0]), (other.returned_count, silence[1]));
                assert!(own.total(OperationKind::Control).unwrap().count() > 30);
                assert!(other.total(OperationKind::Control).unwrap().is_empty());
            }
        }
    }
}

fn slow_disks() -> Settings {
    service(Service { sync: Span::from_millis(20), ..Service::default() })
}

/// With drivers that are broken so, if any are.
fn on_slow_disks(deployment: &Deployment, defect: Option<Defect>) -> Outcome {
    let (of, mode) = (deployment.clone(), paxos_mode(deployment));
    let make = move |id| Replica::new(mode, of.config(id));
    let mut world = World::new(deployment, &slow_disks(), make);
    if let Some(defect) = defect {
        world.set_broken_driver(defect);
    }
    world.run_to_end();
    world.finish()
}

#[test]
fn a_disk_that_is_never_idle_holds_no_control_up() {
    let deployment = loaded(Mode::multi(R0), majority());
    let outcome = on_slow_disks(&deployment, None);
    check_floors(&deployment, &outcome);
    let slow = of_kind(&outcome, 1, OperationKind::Write).quantile(0.5).unwrap();
    assert!(slow > deployment.floor(ClientId(1)) + Span::from_millis(10), "{slow}");
}

/// The negative control of every test here that compares with a floor.
#[test]
fn controls_that_wait_for_the_disk_miss_their_floor() {
    let deployment = loaded(Mode::multi(R0), majority());
    let outcome = on_slow_disks(&deployment, Some(Defect::HoldsControls));
    for (client, floor) in
        (0..).zip(control_floors(&deployment.links, deployment.mode, &deployment.quorums))
    {
        let controls = controls(&outcome, client);
        assert!(beside_the_floor(&controls, floor.p50).is_some());
        // The disk is nearly always busy, and a control operation comes at a random moment of a sync.
        let median = controls.quantile(0.5).unwrap();
        assert!(median > floor.p50 + Span::from_millis(4), "{median} for {}", floor.p50);
    }
}

/// They take the processor of the replica as everything else does: what queues there is in both.
#[test]
fn controls_queue_with_the_load() {
    let mut deployment = loaded(Mode::multi(R0), majority());
    let slow = Span::from_micros(600);
    let costs = service(Service { receive: slow, send: slow, ..Service::default() });
    let quiet = controls(&run_trial(&deployment, &costs), 1);
    deployment.workload.arrival = Arrival::Poisson { rate_per_s: 220.0 };
    let busy = controls(&run_trial(&deployment, &costs), 1);
    let floor = control_floors(&deployment.links, deployment.mode, &deployment.quorums)[1].p50;
    let [quiet, busy] = [quiet, busy].map(|controls| controls.mean().unwrap());
    assert!(floor < quiet && quiet + Span::from_micros(300) < busy, "{floor} {quiet} {busy}");
}

fn crash_of(replicas: impl IntoIterator<Item = u8>) -> Vec<Scheduled> {
    let crash = |id| {
        let kind = FaultKind::Crash { replica: NodeId(id), unsynced: Unsynced::Written };
        Fault { at: Span::from_millis(1_000), kind, heals_after: None }.into()
    };
    replicas.into_iter().map(crash).collect()
}

#[test]
fn a_control_that_a_dead_leader_got_is_asked_of_another_replica() {
    let mut deployment = loaded(Mode::multi(R0), majority());
    deployment.faults = crash_of([0]);
    let outcome = run_trial(&deployment, &Settings::default());
    for client in [0, 1] {
        // Nobody is elected, so what the clients write is never answered.
        assert!(outcome.clients[&ClientId(client)].unknown_count > 20);
        let controls = controls(&outcome, client);
        assert_eq!((controls.unanswered_count(), controls.count()), (0, 40));
        let patience = deployment.retry_after();
        let longest = controls.max().unwrap();
        assert!(longest > patience && longest < patience + Span::from_millis(500), "{longest}");
    }
}

#[test]
fn a_control_that_nobody_answers_ranks_as_infinite() {
    let mut deployment = loaded(Mode::multi(R0), majority());
    deployment.faults = crash_of(0..5);
    let outcome = run_trial(&deployment, &Settings::default());
    for client in [0, 1] {
        let controls = controls(&outcome, client);
        let (answered, unanswered) = (controls.count(), controls.unanswered_count());
        assert_eq!(answered + unanswered, 40);
        assert!((18..=20).contains(&answered), "{answered} before the crash");
        assert_eq!(controls.max(), None);
    }
}
