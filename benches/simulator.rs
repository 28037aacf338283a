//! The speed of the simulator: commands per second of processor time on one core, recording and
//! histories on.
//!
//! Multi-Paxos on links of AWS regions, a client region in each region of a replica, all of them in
//! closed loops of writes of 128 bytes, which are synced in no time.
//! Each sample simulates about [`COMMANDS`] commands from the first instant to the histories' end, so
//! what is fixed for a trial is in it.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use flexpaxos::deployment::{Deployment, Durability, Network};
use flexpaxos::protocol::{Election, Retention, SendPolicy};
use flexpaxos::quorum::{NodeId, QuorumSystem};
use flexpaxos::registry::Mode;
use flexpaxos::sim::{Settings, run_trial};
use flexpaxos::time::Span;
use flexpaxos::topology::{Jitter, Links, Profile};
use flexpaxos::workload::{Arrival, Keys, Workload};
use nix::time::{ClockId, clock_gettime};

/// About how many commands a sample has; few where it is only run to see that it runs.
const COMMANDS: u64 = if cfg!(debug_assertions) { 1_000 } else { 200_000 };

/// How many clients there are in each region; where it is only run to see that it runs, not so many that a warm-up
/// takes seconds.
const CLIENTS: &[u32] = if cfg!(debug_assertions) { &[1, 10] } else { &[1, 10, 100, 1000] };

const REGIONS: [&str; 13] = [
    "us-east-1",
    "us-west-2",
    "eu-west-1",
    "ap-northeast-1",
    "ap-southeast-2",
    "eu-central-1",
    "us-east-2",
    "sa-east-1",
    "ap-south-1",
    "ca-central-1",
    "eu-north-1",
    "ap-southeast-1",
    "us-west-1",
];

/// A trial of about `COMMANDS` commands.
fn deployment(profile: &str, jitter: Jitter, n: usize, clients: u32) -> Deployment {
    let profile = Profile::load(profile).expect("a built-in profile");
    let regions: Vec<String> = REGIONS[..n].iter().map(ToString::to_string).collect();
    let links = Links::new(&profile, &regions, &regions, jitter).expect("it has these regions");
    let of = u32::try_from(n).expect("few replicas");
    let mut deployment = Deployment {
        mode: Mode::multi(NodeId(0)),
        quorums: QuorumSystem::majority(n),
        election: Election::Fixed,
        send: SendPolicy::All,
        links,
        network: Network::default(),
        workload: Workload {
            arrival: Arrival::Closed { clients: clients * of },
            keys: Keys::Uniform { count: 1000 },
            value_bytes: 128,
            reads: 0.0,
            weights: Vec::new(),
            conflicts: None,
        },
        control: None,
        clock_error: Span::ZERO,
        durability: Durability::Fsync,
        retention: Retention::ALL,
        seed: 1,
        warmup: Span::from_millis(500),
        duration: Span::ZERO,
        drain: Span::from_millis(1000),
        interval: Span::from_millis(1000),
        retry_after: None,
        faults: Vec::new(),
    };
    // Each region's clients finish one command in each of its floors.
    let per_second: f64 = (0..of)
        .map(|region| {
            let floor = deployment.floor(flexpaxos::command::ClientId(region));
            f64::from(clients) * 1e9 / floor.0 as f64
        })
        .sum();
    deployment.duration = Span::from_millis_f64(COMMANDS as f64 / per_second * 1e3);
    deployment
}

/// Seconds a command, of the processor: others may use it too.
fn seconds_a_command(deployment: &Deployment) -> f64 {
    let start = processor_time();
    let outcome = run_trial(deployment, &Settings::default());
    let took = processor_time().saturating_sub(start);
    assert_eq!(outcome.violation, None);
    let answered: u64 = outcome.clients.values().map(|report| report.acknowledged_count).sum();
    took.as_secs_f64() / answered as f64
}

fn processor_time() -> Duration {
    let clock = ClockId::CLOCK_PROCESS_CPUTIME_ID;
    clock_gettime(clock).expect("a process has a clock of its own").into()
}

fn commands(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("simulator");
    group.sample_size(10).throughput(Throughput::Elements(1));
    for (profile, jitter, name, sizes) in [
        ("uniform:20ms", Jitter::None, "uniform", &[3, 5, 9, 13][..]),
        ("aws-2025-07", Jitter::None, "aws", &[3, 5, 9, 13]),
        ("aws-2025-07", Jitter::Profile, "jitter", &[5]),
    ] {
        for &n in sizes {
            for &clients in CLIENTS {
                let deployment = deployment(profile, jitter, n, clients);
                let id = BenchmarkId::new(format!("{name}/{n}"), clients);
                group.bench_function(id, |bencher| {
                    bencher.iter_custom(|count| {
                        Duration::from_secs_f64(seconds_a_command(&deployment) * count as f64)
                    });
                });
            }
        }
    }
    group.finish();
}

criterion_group!(benches, commands);
criterion_main!(benches);
