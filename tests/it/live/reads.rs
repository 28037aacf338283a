//! Reads that do not go through the log, live: another replica is told to lead while the first one stands still, and
//! what clients saw is linearizable.

use flexpaxos::cluster::InProcess;
use flexpaxos::deployment::{Deployment, FaultKind};
use flexpaxos::history::{ClientReader, Event as Logged, Kind};
use flexpaxos::paxos::{LeaseTerms, Mode, Reads};
use flexpaxos::quorum::NodeId;
use flexpaxos::runtime::net::Transport;
use flexpaxos::trial::Outcome;

use super::faults::{R0, R1, deployment, pause, run_over, soon};
use super::*;

/// Half of the operations read, of four keys, with this way of reading.
fn run(reads: Reads, clock_error: Span) -> Outcome {
    let faults =
        vec![soon(pause(R0), 150), soon(FaultKind::Campaign { replica: NodeId(1).into() }, 0)];
    let mut deployment = Deployment {
        mode: Mode::Multi { leader: R0, reads }.into(),
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
    check_reads(&run(Reads::Quorum, Span::ZERO));
}

#[test]
fn leases_are_kept_while_leaders_change_and_clocks_are_off() {
    let bound = Span::from_millis(1);
    let terms = LeaseTerms { length: Span::from_millis(200), bound };
    let outcome = run(Reads::LeaderLease(terms), bound);
    check_reads(&outcome);
    // The second leader is silent while the lease of the first one lasts; then it answers whoever waited.
    let (_, report) = outcome.clients().next().unwrap();
    assert_eq!(report.unknown_count, 0);
    assert!(outcome.injected.iter().any(|it| it.kind == FaultKind::Campaign { replica: R1 }));
}
