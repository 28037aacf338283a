//! Whole trials in virtual time.

use std::collections::BTreeMap;

use flexpaxos::caspaxos;
use flexpaxos::command::ClientId;
use flexpaxos::deployment::{
    Deployment, Durability, Fault, FaultKind, InjectedFault, MemberName, Network, Role, Scheduled,
    Target, Trigger, Unsynced, by_key,
};
use flexpaxos::history::{Check, ClientReader, Event, Kind, Options, Verdict};
use flexpaxos::link::Conditions;
use flexpaxos::measure::OperationKind;
use flexpaxos::paxos;
use flexpaxos::protocol::{Assignment, Election, KeyRange, Retention, SendPolicy};
use flexpaxos::quorum::{Family, Gate, Line, NodeId, NodeSet, QuorumSystem, Share};
use flexpaxos::registry::Mode;
use flexpaxos::sim::{LEAST_DELAY, Outcome, Service, Settings, run_trial};
use flexpaxos::time::{Span, Time};
use flexpaxos::topology::{
    Floor, Jitter, Links, Profile, Site, floors, floors_by_key, read_floors, read_floors_by_key,
};
use flexpaxos::workload::{Arrival, Generator, Keys, SHARED_KEY, Workload};

pub(crate) const REGIONS: [&str; 5] =
    ["us-east-1", "us-west-2", "eu-west-1", "ap-northeast-1", "ap-southeast-2"];

pub(crate) fn deployment(mode: Mode, quorums: QuorumSystem) -> Deployment {
    let profile = Profile::load("aws-2025-07").expect("a built-in profile");
    let replicas = REGIONS.map(str::to_owned);
    let clients = ["us-east-1", "ca-central-1"].map(str::to_owned);
    Deployment {
        mode,
        quorums,
        election: Election::Fixed,
        send: SendPolicy::All,
        links: Links::new(&profile, &replicas, &clients, Jitter::None).expect("regions of it"),
        network: Network::default(),
        workload: Workload {
            arrival: Arrival::Poisson { rate_per_s: 40.0 },
            keys: Keys::Uniform { count: 100 },
            value_bytes: 16,
            reads: 0.2,
            weights: Vec::new(),
            conflicts: None,
        },
        control: None,
        clock_error: Span::ZERO,
        durability: Durability::Fsync,
        retention: Retention::ALL,
        seed: 1,
        warmup: Span::from_millis(1_000),
        duration: Span::from_millis(2_000),
        drain: Span::from_millis(1_000),
        interval: Span::from_millis(1000),
        retry_after: None,
        faults: Vec::new(),
    }
}

fn check(outcome: &Outcome) -> Verdict {
    let mut check = Check::new(Options::default());
    for (member, histories) in &outcome.histories {
        for history in histories {
            let added = match member {
                MemberName::Client(_) => check.add_client(|| Ok(history.as_slice())),
                MemberName::Replica(_) => check.add_replica(history.as_slice()),
            };
            added.expect("a whole history");
        }
    }
    check.finish().expect("whole histories")
}

/// The latency of every operation of a client that returned, from its history: a histogram would
/// round it.
pub(crate) fn latencies_ns(outcome: &Outcome, client: ClientId) -> Vec<u64> {
    let history = &outcome.histories[&MemberName::Client(client)][0];
    let mut intended_at = BTreeMap::new();
    let mut latencies = Vec::new();
    for event in ClientReader::new(history.as_slice()).expect("a history") {
        match event.expect("a whole history") {
            Event::Invoke(issued) => {
                intended_at.insert(issued.sequence, issued.intended_at);
            }
            Event::Return(returned) => {
                latencies.push(returned.at.since(intended_at[&returned.sequence]).0);
            }
        }
    }
    latencies.sort_unstable();
    latencies
}

const LEADER: Mode = Mode::multi(NodeId(0));

#[test]
fn the_median_is_the_closed_form() {
    let flexible = QuorumSystem::counts(5, 4, 2).unwrap();
    let majority = QuorumSystem::majority(5);
    for (mode, quorums) in
        [(Mode::CLASSIC, majority.clone()), (LEADER, majority), (LEADER, flexible)]
    {
        let deployment = deployment(mode, quorums);
        let outcome = run_trial(&deployment, &Settings::default());
        assert_eq!(outcome.violation, None);
        assert!(check(&outcome).is_valid());
        for (id, report) in &outcome.clients {
            assert_eq!((report.unknown_count, report.retried_count), (0, 0));
            let latencies = latencies_ns(&outcome, *id);
            assert_eq!(latencies.len() as u64, report.issued_count);
            assert!(latencies.len() > 40);
            // A client beside its replica: two links without delay take the least there is.
            let beyond = latencies[latencies.len() / 2] - deployment.floor(*id).0;
            let allowed = if id.0 == 0 { LEAST_DELAY.times(2).0 } else { 0 };
            assert_eq!(beyond, allowed, "{mode:?} {id:?}");
            let recorded = report.recording.total(OperationKind::Write).unwrap();
            assert!(recorded.count() > 20);
        }
    }
}

/// A system of each family over five replicas.
fn families() -> Vec<QuorumSystem> {
    let groups = [0b00011, 0b11100].map(NodeSet::from_mask);
    let of = |groups| Share { groups: Some(groups), members: None };
    let pairs = [0b00011, 0b01100].map(|mask| Gate::choose(2, NodeSet::from_mask(mask)));
    let expression = Family::of_gate(Gate::any(pairs.to_vec()), 5);
    [
        QuorumSystem::grid(5, [1, 5], [Line::Row, Line::Column]),
        QuorumSystem::groups(5, &groups, [of(2), of(1)]),
        QuorumSystem::weighted(&[1, 2, 1, 1, 0], [4, 2]),
        QuorumSystem::hierarchical(&groups, &[1, 1, 1, 1, 1]),
        QuorumSystem::wall(5, &[2, 3]),
        QuorumSystem::tree(5, 2),
        QuorumSystem::dual(5, expression.clone()),
        // The leader holds no vote.
        QuorumSystem::weighted(&[0, 2, 1, 1, 1], [4, 2]),
    ]
    .into_iter()
    .map(|system| system.expect("a system of five"))
    .collect()
}

#[test]
fn medians_of_every_family_are_the_closed_form() {
    for quorums in families() {
        for send in [SendPolicy::All, SendPolicy::Quorum] {
            for mode in [LEADER, Mode::CLASSIC] {
                let deployment = Deployment { send, ..deployment(mode, quorums.clone()) };
                let outcome = run_trial(&deployment, &Settings::default());
                assert_eq!(outcome.violation, None);
                for (id, report) in &outcome.clients {
                    assert_eq!((report.unknown_count, report.retried_count), (0, 0));
                    let latencies = latencies_ns(&outcome, *id);
                    let beyond = latencies[latencies.len() / 2] - deployment.floor(*id).0;
                    let allowed = if id.0 == 0 { LEAST_DELAY.times(2).0 } else { 0 };
                    assert_eq!(beyond, allowed, "{mode:?} {send:?} {id:?} {quorums:?}");
                }
            }
        }
    }
}

/// With one in flight at a time there is nothing to wait for: the way to the nearest replica and a phase 1 from there.
#[test]
fn medians_of_quorum_reads_are_the_closed_form() {
    let reads = Mode::Paxos(paxos::Mode::Multi {
        leader: NodeId(0),
        reads: paxos::Reads::Quorum,
        commit_wait: None,
    });
    for quorums in families() {
        for send in [SendPolicy::All, SendPolicy::Quorum] {
            let mut deployment = Deployment { send, ..deployment(reads, quorums.clone()) };
            deployment.workload.reads = 1.0;
            let outcome = run_trial(&deployment, &Settings::default());
            assert_eq!(outcome.violation, None);
            let Deployment { links, quorums, network, .. } = &deployment;
            let floors = read_floors(links, reads, quorums, send, network.correlation);
            for (id, report) in &outcome.clients {
                assert_eq!((report.unknown_count, report.retried_count), (0, 0));
                let latencies = latencies_ns(&outcome, *id);
                let floor = deployment.read_floor(*id);
                assert_eq!(floors[id.0 as usize].p50, floor);
                let beyond = latencies[latencies.len() / 2] - floor.0;
                let allowed = if id.0 == 0 { LEAST_DELAY.times(2).0 } else { 0 };
                assert_eq!(beyond, allowed, "{send:?} {id:?} {quorums:?}");
            }
            assert!(check(&outcome).is_valid());
        }
    }
}

/// A write waits for the farthest responder, and a read takes the way to the nearest one.
#[test]
fn medians_with_responders_are_the_closed_form() {
    let (length, bound) = (Span::from_millis(2_000), Span::from_millis(1));
    for (at, quorums) in [0b00001, 0b00101, 0b11110].map(NodeSet::from_mask).into_iter().zip([
        QuorumSystem::counts(5, 2, 4),
        QuorumSystem::counts(5, 4, 2),
        QuorumSystem::counts(5, 3, 3),
    ]) {
        let terms = paxos::ResponderTerms { at: Assignment::AllKeys(at), length, bound };
        let reads = paxos::Reads::Responders(terms);
        let mode = Mode::Paxos(paxos::Mode::Multi { leader: NodeId(0), reads, commit_wait: None });
        let quorums = quorums.unwrap();
        for (send, share) in [SendPolicy::All, SendPolicy::Quorum]
            .into_iter()
            .flat_map(|send| [(send, 0.0), (send, 1.0)])
        {
            let mut deployment = Deployment { send, ..deployment(mode, quorums.clone()) };
            deployment.workload.reads = share;
            deployment.clock_error = bound;
            let outcome = run_trial(&deployment, &Settings::default());
            assert_eq!(outcome.violation, None);
            let Deployment { links, quorums, network, .. } = &deployment;
            let of = if share > 0.0 { read_floors } else { floors };
            let floors = of(links, mode, quorums, send, network.correlation);
            for (id, report) in &outcome.clients {
                assert_eq!((report.unknown_count, report.retried_count), (0, 0));
                let latencies = latencies_ns(&outcome, *id);
                let floor =
                    if share > 0.0 { deployment.read_floor(*id) } else { deployment.floor(*id) };
                assert_eq!(floors[id.0 as usize].p50, floor);
                let beyond = latencies[latencies.len() / 2] - floor.0;
                assert!(beyond <= LEAST_DELAY.times(2).0, "{beyond} {send:?} {share} {id:?} {at}");
            }
            assert!(check(&outcome).is_valid());
            let farthest = at
                .iter()
                .map(|node| links.round_trip(Site::Replica(NodeId(0)), Site::Replica(node)));
            assert!(deployment.floor(ClientId(0)) >= farthest.max().unwrap());
        }
    }
}

const fn range(first: u64, last: u64, at: u64) -> KeyRange {
    KeyRange { first, last, at: NodeSet::from_mask(at) }
}

#[test]
fn latencies_with_ranges_of_keys_are_the_closed_form() {
    // Of ten keys seven have responders, and the last three nobody.
    check_ranges(&[range(0, 0, 0b10001), range(1, 6, 0b00101)], None, 3);
}

/// The keys of each region have a responder of their own, and the shared key one that is far from all.
#[test]
fn latencies_with_keys_of_each_region_are_the_closed_form() {
    let ranges = [range(0, 0, 0b10000), range(1, 10, 0b00001), range(11, 20, 0b00100)];
    check_ranges(&ranges, Some(0.3), 2);
}

/// Commands of each range of keys wait for its own responders: both percentiles of all are those of the mixture, in which
/// every client meets so many kinds of keys.
fn check_ranges(ranges: &[KeyRange], conflicts: Option<f64>, met: usize) {
    let (length, bound) = (Span::from_millis(2_000), Span::from_millis(1));
    let at = Assignment::by_key(ranges).expect("ranges without a key in common");
    let reads = paxos::Reads::Responders(paxos::ResponderTerms { at, length, bound });
    let mode = Mode::Paxos(paxos::Mode::Multi { leader: NodeId(0), reads, commit_wait: None });
    let quorums = QuorumSystem::counts(5, 4, 2).expect("counts from 1 to 5");
    for (send, share) in [(SendPolicy::All, 0.0), (SendPolicy::Quorum, 0.0), (SendPolicy::All, 1.0)]
    {
        let mut deployment = Deployment { send, ..deployment(mode, quorums.clone()) };
        deployment.workload.keys = Keys::Uniform { count: 10 };
        deployment.workload.conflicts = conflicts;
        // Seldom, because a write is executed behind those before it, which may wait for longer.
        deployment.workload.arrival = Arrival::Poisson { rate_per_s: 2.0 };
        deployment.duration = Span::from_millis(150_000);
        deployment.workload.reads = share;
        deployment.clock_error = bound;
        let outcome = run_trial(&deployment, &Settings::default());
        assert_eq!(outcome.violation, None);
        let Deployment { links, quorums, network, workload, .. } = &deployment;
        let modes = [0, 1].map(|client| by_key(mode, &workload.key_space(client, 2)));
        assert!(modes.iter().all(|modes| modes.len() == met), "{modes:?}");
        let of = if share > 0.0 { read_floors_by_key } else { floors_by_key };
        let floors = of(links, &modes, quorums, send, network.correlation);
        for (id, report) in &outcome.clients {
            assert_eq!((report.unknown_count, report.retried_count), (0, 0));
            let latencies = latencies_ns(&outcome, *id);
            let Floor { p50, p99 } = floors[id.0 as usize];
            for (percentile, floor) in [(50, p50), (99, p99)] {
                let measured = latencies[latencies.len() * percentile / 100];
                let beyond = measured.checked_sub(floor.0).expect("a floor is not above it");
                let allowed = floor.0 / 100 + LEAST_DELAY.times(2).0;
                assert!(beyond <= allowed, "{beyond} {send:?} {share} {id:?} p{percentile}");
            }
            assert!(p99 > p50, "{p50} {p99}");
            let least =
                if share > 0.0 { deployment.read_floor(*id) } else { deployment.floor(*id) };
            assert!(least <= p50 && latencies[0] >= least.0);
        }
        assert!(check(&outcome).is_valid());
    }
}

/// The key of every operation that a client began.
fn keys(outcome: &Outcome, client: ClientId) -> Vec<u64> {
    let history = &outcome.histories[&MemberName::Client(client)][0];
    let events = ClientReader::new(history.as_slice()).expect("a history");
    let issued = events.filter_map(|event| match event.expect("a whole history") {
        Event::Invoke(issued) => Some(issued.key),
        Event::Return(_) => None,
    });
    issued.collect()
}

/// Registers agree on each key by itself, so proposers of two regions hinder one another on the shared key alone.
#[test]
fn conflicts_are_what_registers_of_two_regions_wait_for() {
    for share in [0.0, 0.5] {
        let registers = Mode::from(caspaxos::Mode { proposer: None });
        let mut deployment = deployment(registers, QuorumSystem::majority(5));
        let clients = ["us-east-1", "eu-west-1"].map(str::to_owned);
        let profile = Profile::load("aws-2025-07").expect("a built-in profile");
        let replicas = REGIONS.map(str::to_owned);
        deployment.links = Links::new(&profile, &replicas, &clients, Jitter::None).unwrap();
        deployment.workload.arrival = Arrival::Closed { clients: 2 };
        deployment.workload.conflicts = Some(share);
        deployment.duration = Span::from_millis(60_000);
        let outcome = run_trial(&deployment, &Settings::default());
        assert!(check(&outcome).is_valid());
        for (index, client) in [0, 1].map(ClientId).into_iter().enumerate() {
            let keys = keys(&outcome, client);
            assert!(keys.len() > 100, "{}", keys.len());
            let mut generator = Generator::new(&deployment.workload, index, 2, deployment.seed);
            assert!(keys.iter().all(|key| *key == generator.next_operation().key()));
            let own = deployment.workload.key_space(index, 2).own();
            assert!(keys.iter().all(|key| *key == SHARED_KEY || own.contains(key)), "{own:?}");
            let count = keys.iter().filter(|key| **key == SHARED_KEY).count();
            let (found, n) = (count as f64 / keys.len() as f64, keys.len() as f64);
            assert!((found - share).abs() <= 5.0 * (share * (1.0 - share) / n).sqrt(), "{found}");
            let latencies = latencies_ns(&outcome, client);
            let p99 = Span(latencies[latencies.len() * 99 / 100]);
            let Deployment { links, quorums, network, .. } = &deployment;
            let floors = floors(links, registers, quorums, deployment.send, network.correlation);
            // One operation is outstanding in each region, so without the shared key nobody hinders another.
            let is_hindered = p99 > floors[index].p50 + Span::from_millis(10);
            assert_eq!(is_hindered, share > 0.0, "{p99}, {:?}", floors[index]);
        }
    }
}

/// Everything that a trial leaves, as bytes.
fn bytes(outcome: &Outcome) -> Vec<u8> {
    let parts = (&outcome.clients, &outcome.replicas, &outcome.histories, &outcome.counts);
    postcard::to_stdvec(&parts).expect("an outcome has an encoding")
}

/// Disks that are as slow as on a bad day.
fn slow_disks() -> Settings {
    Settings {
        service: Service {
            receive: Span::from_micros(5),
            send: Span::from_micros(5),
            sync: Span::from_millis(30),
            checkpoint: Span::from_millis(90),
            ..Service::default()
        },
        ..Settings::default()
    }
}

/// Links as they are on a bad day.
fn bad_links() -> Network {
    let conditions = Conditions {
        bandwidth_bits_per_s: Some(10_000_000),
        queue_bytes_max: Some(20_000),
        loss: 0.01,
        loss_burst: 2.0,
        duplication: 0.01,
        reordering: Span::from_millis(2),
        ..Conditions::default()
    };
    Network { conditions, ..Network::default() }
}

fn fault(at_ms: u64, kind: FaultKind, heals_after_ms: u64) -> Scheduled {
    let heals_after = Some(Span::from_millis(heals_after_ms));
    Fault { at: Span::from_millis(at_ms), kind, heals_after }.into()
}

/// A fault of every kind, among them two changes of the leader.
fn bad_luck() -> Vec<Scheduled> {
    let [r0, r1, r2, r3, r4] = [0, 1, 2, 3, 4].map(NodeId);
    let everybody = NodeSet::all(5);
    let crash = |replica, unsynced| FaultKind::Crash { replica, unsynced };
    vec![
        fault(
            100,
            FaultKind::Slow { from: everybody, to: everybody, by: Span::from_millis(20) },
            300,
        ),
        fault(200, FaultKind::Lose { from: everybody, to: NodeSet::only(r2), share: 0.5 }, 300),
        fault(300, FaultKind::Duplicate { from: everybody, to: everybody, share: 0.5 }, 300),
        fault(
            300,
            FaultKind::Reorder { from: everybody, to: everybody, spread: Span(9_999_999) },
            500,
        ),
        fault(400, crash(r0, Unsynced::Written), 600),
        fault(450, FaultKind::Campaign { replica: r1 }, 0),
        fault(900, FaultKind::Partition { side: [r1, r2].into_iter().collect() }, 400),
        fault(950, FaultKind::Campaign { replica: r3 }, 0),
        fault(1_400, FaultKind::SlowDisk { replica: r3, by: Span::from_millis(20) }, 200),
        fault(1_450, FaultKind::Cut { from: NodeSet::only(r3), to: NodeSet::only(r4) }, 200),
        fault(1_500, FaultKind::Pause { replica: r4 }, 200),
        fault(1_600, crash(r1, Unsynced::Lost), 200),
        fault(1_650, crash(r2, Unsynced::Torn), 200),
    ]
}

/// Under a load at which a disk is nearly always busy.
fn unlucky(mode: Mode) -> Deployment {
    let mut deployment = deployment(mode, QuorumSystem::majority(5));
    // Of the first five all but 2, with which classic Paxos loses the news of its very last slot on the
    // way to one replica: nothing comes after it, so nothing tells that replica that it lacks one.
    deployment.seed = 3;
    deployment.workload.arrival = Arrival::Poisson { rate_per_s: 200.0 };
    deployment.drain = Span::from_millis(20_000);
    deployment.faults = bad_luck();
    deployment.network = bad_links();
    deployment
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    for mode in [Mode::CLASSIC, LEADER] {
        let mut deployment = unlucky(mode);
        let [one, other] = [0; 2].map(|_| bytes(&run_trial(&deployment, &slow_disks())));
        assert_eq!(one, other);
        deployment.seed += 1;
        assert_ne!(one, bytes(&run_trial(&deployment, &slow_disks())));
    }
}

#[test]
fn every_fault_leaves_a_valid_history_and_all_are_answered_in_the_end() {
    for mode in [Mode::CLASSIC, LEADER] {
        let outcome = run_trial(&unlucky(mode), &slow_disks());
        assert_eq!(outcome.violation, None);
        let verdict = check(&outcome);
        assert!(verdict.is_valid(), "{verdict:?}");
        assert_eq!((verdict.unknown_count, verdict.cut_count), (0, 0), "{mode:?}");
        let counts = outcome.counts;
        assert_eq!((counts.crashes, counts.restarts, counts.torn), (3, 3, 1), "{counts:?}");
        assert_eq!((counts.partitions, counts.pauses, counts.degradations), (2, 1, 5));
        assert!(counts.lost > 0 && counts.duplicated > 0 && counts.missed > 0, "{counts:?}");
        let executed: Vec<u64> =
            outcome.replicas.values().map(|report| report.executed_below).collect();
        assert!(executed.iter().all(|below| *below == executed[0] && *below > 50), "{executed:?}");
        assert!(mode.leader().is_none() || counts.leaderships >= 3, "{counts:?}");
    }
}

/// The crash of all replicas: of a disk everything is found again, of memory nothing.
#[test]
fn the_check_catches_replicas_that_all_forget() {
    let all_crash = |durability| {
        let mut deployment = deployment(LEADER, QuorumSystem::majority(5));
        deployment.durability = durability;
        let crash = |id| FaultKind::Crash { replica: NodeId(id), unsynced: Unsynced::Written };
        deployment.faults = (0..5).map(|id| fault(1_000, crash(id), 50)).collect();
        deployment.drain = Span::from_millis(10_000);
        run_trial(&deployment, &Settings::default())
    };
    let outcome = all_crash(Durability::Fsync);
    assert_eq!(outcome.violation, None);
    assert!(check(&outcome).is_valid());
    assert!(outcome.replicas.values().all(|report| report.starts[1] > 0));
    let outcome = all_crash(Durability::Memory);
    assert!(outcome.replicas.values().all(|report| report.starts == [0, 0]));
    assert!(!check(&outcome).is_valid());
}

#[test]
fn a_client_asks_again_when_its_replica_is_back_and_not_only_when_its_patience_ends() {
    let mut deployment = deployment(LEADER, QuorumSystem::majority(5));
    let crash = FaultKind::Crash { replica: NodeId(0), unsynced: Unsynced::Lost };
    deployment.faults = vec![fault(500, crash, 100)];
    deployment.drain = Span::from_millis(10_000);
    let outcome = run_trial(&deployment, &Settings::default());
    assert!(check(&outcome).is_valid());
    for (id, report) in &outcome.clients {
        assert!(report.retried_count > 0 && report.unknown_count == 0);
        // Down for a tenth of a second, and then phase 1: nobody waits for the retry after two seconds.
        let longest = *latencies_ns(&outcome, *id).last().unwrap();
        assert!(longest < Span::from_millis(1_000).0, "{longest}");
    }
}

/// A trial of flexible quorums under these faults, and the start of its measurement.
fn run_with(faults: Vec<Scheduled>) -> (Outcome, Time) {
    let mut deployment = deployment(LEADER, QuorumSystem::counts(5, 4, 2).expect("they meet"));
    deployment.drain = Span::from_millis(20_000);
    deployment.faults = faults;
    let outcome = run_trial(&deployment, &Settings::default());
    assert_eq!(outcome.violation, None);
    assert!(check(&outcome).is_valid());
    (outcome, Time::ZERO + Span::from_millis(1_100))
}

fn at(ms: u64, kind: FaultKind<Target, Target>, heals_after_ms: u64) -> Scheduled {
    let heals_after = (heals_after_ms > 0).then(|| Span::from_millis(heals_after_ms));
    Scheduled { trigger: Trigger::At(Span::from_millis(ms)), kind, heals_after }
}

fn crash_of(target: impl Into<Target>) -> FaultKind<Target, Target> {
    FaultKind::Crash { replica: target.into(), unsynced: Unsynced::Lost }
}

/// When writes were answered since the measurement began, over all clients.
fn answered_at(outcome: &Outcome, from: Time) -> Vec<Time> {
    let mut answered = Vec::new();
    for client in outcome.clients.keys() {
        let history = &outcome.histories[&MemberName::Client(*client)][0];
        let mut writes = BTreeMap::new();
        for event in ClientReader::new(history.as_slice()).expect("a history") {
            match event.expect("a whole history") {
                Event::Invoke(issued) => {
                    writes.insert(issued.sequence, issued.kind == Kind::Write);
                }
                Event::Return(returned) => {
                    if returned.at >= from && writes[&returned.sequence] {
                        answered.push(returned.at);
                    }
                }
            }
        }
    }
    answered.sort_unstable();
    answered
}

#[test]
fn a_fault_by_progress_strikes_at_the_instant_of_the_write_that_it_waits_for() {
    let pause = FaultKind::Pause { replica: NodeId(4).into() };
    let heals_after = Some(Span::from_millis(300));
    let fault = |count, kind| Scheduled { trigger: Trigger::AfterWrites(count), kind, heals_after };
    let never = fault(100_000, crash_of(NodeId(0)));
    let (outcome, from) = run_with(vec![fault(20, pause), never]);
    let at = answered_at(&outcome, from)[19];
    let kind = FaultKind::Pause { replica: NodeId(4) };
    let ended_at = Some(at + Span::from_millis(300));
    assert_eq!(
        outcome.injected,
        [InjectedFault { fault: 0, kind, at, ended_at, caught_up_at: None }]
    );
}

#[test]
fn the_leader_is_whoever_leads_when_the_fault_strikes() {
    let campaign = FaultKind::Campaign { replica: NodeId(2).into() };
    let faults = vec![at(300, campaign, 0), at(1_200, crash_of(Role::Leader), 100)];
    let (outcome, from) = run_with(faults);
    let injected = &outcome.injected;
    assert_eq!(injected.len(), 2);
    let crash = FaultKind::Crash { replica: NodeId(2), unsynced: Unsynced::Lost };
    assert_eq!((injected[1].kind, injected[1].at), (crash, from + Span::from_millis(1_200)));
    assert_eq!(injected[0].ended_at, Some(injected[0].at), "it is over at once");
}

#[test]
fn a_fault_of_the_leader_waits_while_nobody_leads_and_comes_in_the_measured_time_or_never() {
    let pause = || FaultKind::Pause { replica: Role::Leader.into() };
    let back = vec![at(500, crash_of(NodeId(0)), 300), at(600, pause(), 50)];
    let (outcome, from) = run_with(back);
    assert_eq!(outcome.injected[1].kind, FaultKind::Pause { replica: NodeId(0) });
    // Back at 800, and then phase 1 with the third of the others.
    let since = outcome.injected[1].at.since(from);
    assert!(since > Span::from_millis(900) && since < Span::from_millis(1_200), "{since}");
    let gone = vec![at(500, crash_of(NodeId(0)), 0), at(600, pause(), 50)];
    let (outcome, _) = run_with(gone);
    assert_eq!(outcome.injected.len(), 1);
    assert_eq!(outcome.injected[0].ended_at, None);
}

#[test]
fn a_fault_of_a_quorum_hits_each_member_until_it_is_over() {
    let pause = FaultKind::Pause { replica: Role::Phase2Quorum.into() };
    let (outcome, from) = run_with(vec![at(500, pause, 700)]);
    // us-west-2 is the nearest to the leader in us-east-1.
    let paused = [0, 1].map(|id| FaultKind::Pause { replica: NodeId(id) });
    let injected: Vec<(usize, FaultKind)> =
        outcome.injected.iter().map(|it| (it.fault, it.kind)).collect();
    assert_eq!(injected, paused.map(|kind| (0, kind)));
    let [from, to] = [500, 1_200].map(|ms| from + Span::from_millis(ms));
    assert!(outcome.injected.iter().all(|it| (it.at, it.ended_at) == (from, Some(to))));
    // What the leader had answered arrives; then nothing until it goes on.
    let answered = answered_at(&outcome, Time::ZERO);
    let way_back = Span::from_millis(60);
    assert_eq!(answered.iter().filter(|at| **at > from + way_back && **at < to).count(), 0);
    assert!(answered.iter().any(|at| *at > to));
    assert!(outcome.clients.values().all(|report| report.unknown_count == 0));
}

/// One that is not the leader, of the phase-2 quorum that a thrifty leader asks.
#[test]
fn a_thrifty_leader_goes_on_without_the_member_that_it_prefers() {
    let mut deployment = deployment(LEADER, QuorumSystem::counts(5, 4, 2).unwrap());
    deployment.send = SendPolicy::Quorum;
    deployment.drain = Span::from_millis(20_000);
    deployment.faults = vec![at(500, crash_of(Role::Phase2Follower), 0)];
    let outcome = run_trial(&deployment, &Settings::default());
    assert!(check(&outcome).is_valid());
    let crash = FaultKind::Crash { replica: NodeId(1), unsynced: Unsynced::Lost };
    assert_eq!(outcome.injected[0].kind, crash);
    assert!(outcome.replicas[&NodeId(1)].is_down && outcome.counts.retransmissions > 0);
    assert!(outcome.clients.values().all(|report| report.unknown_count == 0));
}
