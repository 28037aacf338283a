//! Whole trials in virtual time.

use std::collections::BTreeMap;

use flexpaxos::command::ClientId;
use flexpaxos::deployment::{Deployment, Durability, MemberName};
use flexpaxos::history::{Check, ClientReader, Event, Options, Verdict};
use flexpaxos::measure::OperationKind;
use flexpaxos::paxos::{Mode, SendPolicy};
use flexpaxos::quorum::{NodeId, QuorumSystem};
use flexpaxos::sim::{Outcome, Settings, run_trial};
use flexpaxos::time::Span;
use flexpaxos::topology::{Jitter, Links, Profile};
use flexpaxos::workload::{Arrival, Keys, Workload};

const REGIONS: [&str; 5] =
    ["us-east-1", "us-west-2", "eu-west-1", "ap-northeast-1", "ap-southeast-2"];

fn deployment(mode: Mode, quorums: QuorumSystem) -> Deployment {
    let profile = Profile::load("aws-2025-07").unwrap();
    let replicas = REGIONS.map(str::to_owned);
    let clients = ["us-east-1", "ca-central-1"].map(str::to_owned);
    Deployment {
        mode,
        quorums,
        send: SendPolicy::All,
        links: Links::new(&profile, &replicas, &clients, Jitter::None).unwrap(),
        workload: Workload {
            arrival: Arrival::Poisson { rate_per_s: 40.0 },
            keys: Keys::Uniform { count: 100 },
            value_bytes: 16,
            reads: 0.2,
        },
        durability: Durability::Fsync,
        seed: 1,
        warmup: Span::from_millis(1_000),
        duration: Span::from_millis(2_000),
        drain: Span::from_millis(1_000),
        faults: Vec::new(),
    }
}

fn check(outcome: &Outcome) -> Verdict {
    let mut check = Check::new(Options::default());
    for (member, histories) in &outcome.histories {
        for history in histories {
            match member {
                MemberName::Client(_) => check.add_client(history.as_slice()).unwrap(),
                MemberName::Replica(_) => check.add_replica(history.as_slice()).unwrap(),
            }
        }
    }
    check.finish().unwrap()
}

/// The latency of every operation of a client that returned, from its history: a histogram would
/// round it.
fn latencies_ns(outcome: &Outcome, client: ClientId) -> Vec<u64> {
    let history = &outcome.histories[&MemberName::Client(client)][0];
    let mut intended_at = BTreeMap::new();
    let mut latencies = Vec::new();
    for event in ClientReader::new(history.as_slice()).unwrap() {
        match event.unwrap() {
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

const LEADER: Mode = Mode::Multi { leader: NodeId(0) };

#[test]
fn the_median_is_the_closed_form_to_the_nanosecond() {
    let flexible = QuorumSystem::counts(5, 4, 2).unwrap();
    let majority = QuorumSystem::majority(5);
    for (mode, quorums) in
        [(Mode::Classic, majority.clone()), (LEADER, majority), (LEADER, flexible)]
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
            assert_eq!(latencies[latencies.len() / 2], deployment.floor(*id).0, "{mode:?} {id:?}");
            let recorded = report.recording.total(OperationKind::Write).unwrap();
            assert!(recorded.count() > 20);
        }
    }
}
