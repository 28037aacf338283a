//! Commit wait and snapshot reads in virtual time, beside their closed forms.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops with the reason")]

use flexpaxos::command::ClientId;
use flexpaxos::deployment::{Deployment, MemberName};
use flexpaxos::history::{Check, Options, Verdict};
use flexpaxos::paxos;
use flexpaxos::protocol::{SendPolicy, SnapshotTerms};
use flexpaxos::quorum::{NodeId, QuorumSystem};
use flexpaxos::registry::Mode;
use flexpaxos::sim::{LEAST_DELAY, Outcome, Settings, run_trial};
use flexpaxos::time::Span;
use flexpaxos::topology::{Jitter, Links, Profile, floors, read_floors};
use flexpaxos::workload::{Arrival, Keys};

use super::sim::{REGIONS, deployment, latencies_ns};

const LEADER: NodeId = NodeId(0);

fn counts(phase1: usize, phase2: usize) -> QuorumSystem {
    QuorumSystem::counts(5, phase1, phase2).unwrap()
}

fn snapshots(staleness: Span, advance: Span, bound: Span, waits: bool) -> Mode {
    let advance = Some(advance);
    let terms = SnapshotTerms { staleness, advance, bound, has_sessions: false };
    Mode::multi(LEADER).with_snapshots(terms, waits).unwrap()
}

fn judge(outcome: &Outcome, may_miss: Span) -> Verdict {
    let mut check = Check::new(Options { may_miss, ..Options::default() });
    for (member, histories) in &outcome.histories {
        for history in histories {
            let added = match member {
                MemberName::Client(_) => check.add_client(|| Ok(history.as_slice())),
                MemberName::Replica(_) => check.add_replica(history.as_slice()),
            };
            added.unwrap();
        }
    }
    check.finish().unwrap()
}

fn median(outcome: &Outcome, client: u32) -> u64 {
    let latencies = latencies_ns(outcome, ClientId(client));
    assert!(latencies.len() > 40, "{}", latencies.len());
    latencies[latencies.len() / 2]
}

/// What is left of the wait when a phase 2 is over: all of it, a part, or nothing.
#[test]
fn medians_with_a_commit_wait_are_the_closed_form() {
    for (phase1, phase2) in [(5, 1), (4, 2), (3, 3)] {
        for bound_ms in [0, 5, 50] {
            let bound = Span::from_millis(bound_ms);
            let reads = paxos::Reads::Log;
            let mode = paxos::Mode::Multi { leader: LEADER, reads, commit_wait: Some(bound) };
            let mut deployment = deployment(mode.into(), counts(phase1, phase2));
            deployment.workload.reads = 0.0;
            let outcome = run_trial(&deployment, &Settings::default());
            assert_eq!(outcome.violation, None);
            let Deployment { links, quorums, mode, .. } = &deployment;
            let found = floors(links, *mode, quorums, SendPolicy::All, Span::ZERO);
            for client in 0..2_u32 {
                let floor = deployment.floor(ClientId(client));
                assert_eq!(found[client as usize].p50, floor);
                assert!(floor >= bound.times(2));
                let beyond = median(&outcome, client) - floor.0;
                // A client beside its leader, and a leader that is its own quorum.
                let allowed = LEAST_DELAY.times(4).0;
                assert!(beyond <= allowed, "({phase1},{phase2}) {bound}: {beyond} ns");
            }
        }
    }
}

/// Nothing but the way, where all that a read is of is known; and the lag of the replica, where nothing is.
#[test]
fn medians_of_snapshot_reads_are_the_closed_form() {
    let long = (Span::from_millis(500), Span::from_millis(100));
    let now = (Span::ZERO, Span::from_millis(1));
    for (staleness, advance) in [long, now] {
        let mode = snapshots(staleness, advance, Span::ZERO, false);
        let mut deployment = deployment(mode, counts(2, 4));
        deployment.workload.reads = 1.0;
        let outcome = run_trial(&deployment, &Settings::default());
        assert_eq!(outcome.violation, None);
        let Deployment { links, quorums, .. } = &deployment;
        let found = read_floors(links, mode, quorums, SendPolicy::All, Span::ZERO);
        for client in 0..2_u32 {
            let floor = deployment.read_floor(ClientId(client));
            assert_eq!(found[client as usize].p50, floor);
            let median = median(&outcome, client);
            // Half a millisecond until the next proposal, and a client beside its replica.
            let allowed = floor.0 / 100 + LEAST_DELAY.times(4).0;
            assert!(
                (floor.0..=floor.0 + allowed).contains(&median),
                "{staleness}: {median} for {floor}"
            );
            assert_eq!(floor > Span::from_millis(140), staleness == Span::ZERO);
        }
        assert!(judge(&outcome, mode.may_miss()).is_valid());
    }
}

/// Writes and reads of few keys, with clocks that are off by up to their bound.
fn contended(mode: Mode, bound: Span, seed: u64) -> Outcome {
    let mut deployment = Deployment { seed, ..deployment(mode, counts(5, 1)) };
    let profile = Profile::load("aws-2025-07").unwrap();
    let [replicas, clients] = [&REGIONS[..], &REGIONS[..3]]
        .map(|of| of.iter().map(ToString::to_string).collect::<Vec<_>>());
    deployment.links = Links::new(&profile, &replicas, &clients, Jitter::None).unwrap();
    deployment.clock_error = bound;
    deployment.workload.reads = 0.7;
    deployment.workload.keys = Keys::Uniform { count: 2 };
    deployment.workload.arrival = Arrival::Poisson { rate_per_s: 400.0 };
    run_trial(&deployment, &Settings::default())
}

/// Reads of now are linearizable with a commit wait and not without; reads of the past miss what they may.
#[test]
fn staleness_is_measured_and_kept_within_what_reads_may_miss() {
    let (bound, advance) = (Span::from_millis(20), Span::from_millis(10));
    let of = |staleness, waits, seed| {
        let mode = snapshots(staleness, advance, bound, waits);
        (contended(mode, bound, seed), mode.may_miss())
    };
    let mut stale_count = 0;
    for seed in 1..5 {
        let (waited, may_miss) = of(Span::ZERO, true, seed);
        assert_eq!(may_miss, Span::ZERO);
        assert!(judge(&waited, may_miss).is_valid());
        let (unawaited, may_miss) = of(Span::ZERO, false, seed);
        assert!(judge(&unawaited, may_miss).is_valid());
        // It would claim what it does not hold, if the clock of the leader is ahead of another one.
        stale_count += u64::from(!judge(&unawaited, Span::ZERO).is_valid());
    }
    assert!(stale_count > 0);
    let staleness = Span::from_millis(300);
    let (past, may_miss) = of(staleness, true, 1);
    let verdict = judge(&past, may_miss);
    assert!(verdict.is_valid(), "{:?}", verdict.violations);
    let found = &verdict.staleness;
    assert!(found.stale.len() as u64 * 2 > found.read_count, "{} reads", found.read_count);
    assert!(found.quantile(1.0).unwrap() < staleness && found.quantile(0.5) > Some(Span::ZERO));
    assert!(found.session_count > 0);
}
