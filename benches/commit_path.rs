//! The commit path: three replicas and a client over QUIC on loopback, without emulated delay.
//!
//! Each sample deploys once and counts what a closed loop achieves in a fixed time, through the same
//! coordinator and agents as a run; members are threads of this process.
//! Four processes are `flexpaxos run experiments/commit-path.toml`.

use std::net::SocketAddr;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flexpaxos::cluster::{InProcess, Interrupt, Settings, Timeouts, run_trial};
use flexpaxos::deployment::{Deployment, Durability, Network};
use flexpaxos::protocol::{Election, Retention, SendPolicy};
use flexpaxos::quorum::{NodeId, QuorumSystem};
use flexpaxos::registry::Mode;
use flexpaxos::runtime::net::Transport;
use flexpaxos::runtime::wan::Precision;
use flexpaxos::time::Span;
use flexpaxos::topology::{Jitter, Links, Profile};
use flexpaxos::workload::{Arrival, Keys, Workload};

fn deployment(outstanding: u32, durability: Durability, duration: Span) -> Deployment {
    let profile = Profile::load("loopback").expect("a built-in profile");
    let replicas = ["a", "b", "c"].map(str::to_owned);
    let links = Links::new(&profile, &replicas, &["client".to_owned()], Jitter::None)
        .expect("loopback knows every region");
    Deployment {
        mode: Mode::multi(NodeId(0)),
        quorums: QuorumSystem::majority(3),
        election: Election::Fixed,
        send: SendPolicy::All,
        links,
        network: Network::default(),
        workload: Workload {
            arrival: Arrival::Closed { clients: outstanding },
            keys: Keys::Uniform { count: 1000 },
            value_bytes: 100,
            reads: 0.0,
            weights: Vec::new(),
            conflicts: None,
        },
        control: None,
        clock_error: Span::ZERO,
        durability,
        retention: Retention::ALL,
        seed: 1,
        warmup: Span::from_millis(50),
        duration,
        drain: Span::from_millis(1000),
        interval: Span::from_millis(1000),
        retry_after: None,
        faults: Vec::new(),
    }
}

/// Seconds for one commit, as the inverse of what was achieved.
fn seconds_a_commit(outstanding: u32, durability: Durability) -> f64 {
    let folder = tempfile::tempdir().expect("a folder for the trial");
    let duration = Span::from_millis(200);
    let deployment = deployment(outstanding, durability, duration);
    let listen: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let settings = Settings {
        listen,
        folder: folder.path(),
        timeouts: Timeouts::default(),
        transport: Transport::default(),
        precision: Precision::default(),
        probe: None,
        broken: None,
        broken_disk: None,
    };
    let mut launcher = InProcess::default();
    let interrupt = Interrupt::never();
    let outcome = run_trial(&deployment, &settings, &mut launcher, &interrupt, &|_| {})
        .expect("the trial ends");
    let achieved: u64 = outcome.clients().map(|(_, report)| report.achieved_count).sum();
    assert!(achieved > 0, "nothing was committed");
    duration.0 as f64 / 1e9 / achieved as f64
}

fn commit_path(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("commit_path");
    group.sample_size(10).throughput(Throughput::Elements(1));
    for durability in [Durability::Memory, Durability::Fsync] {
        for outstanding in [1, 64, 1024] {
            let name = format!("{durability:?}/{outstanding}").to_lowercase();
            group.bench_function(name, |bencher| {
                bencher.iter_custom(|count| {
                    let seconds = seconds_a_commit(outstanding, durability);
                    Duration::from_secs_f64(seconds * count as f64)
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, commit_path);
criterion_main!(benches);
