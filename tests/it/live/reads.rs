//! Reads that do not go through the log, live: another replica is told to lead while the first one stands still, and
//! what clients saw is linearizable.

use flexpaxos::cluster::InProcess;
use flexpaxos::deployment::{Deployment, FaultKind};
use flexpaxos::history::{ClientReader, Event as Logged, Kind};
use flexpaxos::paxos::{LeaseTerms, Mode, Reads, ResponderTerms};
use flexpaxos::protocol::{Assignment, SnapshotTerms};
use flexpaxos::quorum::NodeId;
use flexpaxos::runtime::net::Transport;
use flexpaxos::trial::Outcome;

use super::faults::{R0, R1, deployment, pause, run_over, soon};
use super::*;

/// Half of the operations read, of four keys, with this way of reading.
fn run(reads: Reads, commit_wait: Option<Span>, clock_error: Span) -> Outcome {
    let faults =
        vec![soon(pause(R0), 150), soon(FaultKind::Campaign { replica: NodeId(1).into() }, 0)];
    let mut deployment = Deployment {
        mode: Mode::Multi { leader: R0, reads, commit_wait }.into(),
        clock_error,
        retry_after: Some(Span::from_millis(50)),
        ..deployment(faults)
    };
    deployment.workload.reads = 0.5;
    run_over(&deployment, Transport::default(), &mut InProcess::default())
}

/// How many reads were answered, and that each was answered beside the log.
fn check_reads(outcome: &Outcome) {
    let files = outcome.files.values().flatten();
    let (mut reads, mut beside, mut returned) = (BTreeMap::new(), 0, 0);
    for path in files {
        let Ok(reader) = ClientReader::new(fs::File::open(path).unwrap()) else { continue };
        for event in reader {
            match event.unwrap() {
                Logged::Invoke(issued) => {
                    reads.insert(issued.sequence, issued.kind == Kind::Read);
                }
                Logged::Return(told) if reads[&told.sequence] => {
                    returned += 1;
                    beside += usize::from(told.is_beside);
                }
                Logged::Return(told) => assert!(!told.is_beside, "{told:?}"),
            }
        }
    }
    assert!(returned > 20, "{returned} reads were answered");
    assert_eq!(beside, returned);
}

#[test]
fn quorum_reads_are_answered_while_leaders_change() {
    check_reads(&run(Reads::Quorum, None, Span::ZERO));
}

#[test]
fn leases_are_kept_while_leaders_change_and_clocks_are_off() {
    let bound = Span::from_millis(1);
    let terms = LeaseTerms { length: Span::from_millis(200), bound };
    let outcome = run(Reads::LeaderLease(terms), None, bound);
    check_reads(&outcome);
    // The second leader is silent while the lease of the first one lasts; then it answers whoever waited.
    let (_, report) = outcome.clients().next().unwrap();
    assert_eq!(report.unknown_count, 0);
    assert!(outcome.injected.iter().any(|it| it.kind == FaultKind::Campaign { replica: R1 }));
}

#[test]
fn responders_answer_while_leaders_change_and_clocks_are_off() {
    let bound = Span::from_millis(1);
    let at = Assignment::AllKeys([R0, R1].into_iter().collect());
    let length = Span::from_millis(400);
    let outcome = run(Reads::Responders(ResponderTerms { at, length, bound }), None, bound);
    check_reads(&outcome);
    let (_, report) = outcome.clients().next().unwrap();
    assert_eq!(report.unknown_count, 0);
}

/// What the reads of the past may miss the judge knows; reads of now miss nothing.
#[test]
fn snapshot_reads_keep_their_bound_while_leaders_change() {
    let bound = Span::from_millis(1);
    for (staleness_ms, commit_wait) in [(50, None), (0, Some(bound))] {
        let terms = SnapshotTerms {
            staleness: Span::from_millis(staleness_ms),
            advance: Some(Span::from_millis(10)),
            bound,
            has_sessions: true,
        };
        let outcome = run(Reads::Snapshot(terms), commit_wait, bound);
        check_reads(&outcome);
        let (_, report) = outcome.clients().next().unwrap();
        assert_eq!(report.unknown_count, 0);
    }
}
