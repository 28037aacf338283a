//! Each thing that registers must not show is shown by one changed run, and the unchanged run shows none.

use super::super::{Check, Options, Verdict, Violation};
use crate::command::{ClientId, RequestId};
use crate::history::{
    ChosenWriter, ClientWriter, Entry, EntryCommand, Error, Issued, Kind, Returned,
};
use crate::protocol::{Log, Order, Progress, Slot};
use crate::quorum::NodeId;
use crate::time::Time;

const X: u64 = 7;
const Y: u64 = 8;

/// What a replica executed: the key, its slot, and the number of the request.
type Executions = Vec<(u64, u64, u64)>;

/// Client 0 writes x twice, y once, and reads x: requests 0 to 3, one after the other.
struct Run {
    /// Of each request: key, slot told, whether it reads, and the digest written or read.
    requests: Vec<(u64, u64, bool, u32)>,
    logs: Vec<Executions>,
}

/// Replica 0 proposed x in its first slot, and passes over the second; replica 1 did the rest.
fn run() -> Run {
    Run {
        requests: vec![(X, 0, false, 10), (X, 1, false, 11), (Y, 0, false, 12), (X, 2, true, 11)],
        logs: vec![vec![(X, 0, 0), (Y, 0, 2), (X, 2, 3)], vec![(X, 1, 1), (X, 2, 3)]],
    }
}

impl Run {
    fn entry(&self, (key, slot, sequence): (u64, u64, u64)) -> Entry {
        let (_, _, is_read, digest) = self.requests[usize::try_from(sequence).unwrap()];
        let kind = if is_read { Kind::Read } else { Kind::Write };
        let digest = if is_read { 0 } else { digest };
        let request = RequestId { client: ClientId(0), sequence };
        let command = Some(EntryCommand { request, kind, key, digest });
        Entry { slot: Slot(slot), command, applied: true }
    }

    fn log(&self, node: u8) -> Vec<u8> {
        let mut writer =
            ChosenWriter::begin(Order::PerKey, NodeId(node), Progress(u64::from(node) + 5));
        for entry in &self.logs[usize::from(node)] {
            writer.entry(&self.entry(*entry));
        }
        writer.finish()
    }

    fn client(&self) -> Vec<u8> {
        let mut writer = ClientWriter::new(ClientId(0));
        for (sequence, (key, slot, is_read, digest)) in (0..).zip(&self.requests) {
            let kind = if *is_read { Kind::Read } else { Kind::Write };
            let written = if *is_read { 0 } else { *digest };
            let (intended_at, at) = (Time(100 * sequence + 1), Time(100 * sequence + 50));
            writer.invoke(&Issued { sequence, intended_at, kind, key: *key, digest: written });
            let digest = is_read.then_some(*digest);
            writer.returned(&Returned {
                sequence,
                at,
                slot: Slot(*slot),
                is_beside: false,
                digest,
            });
        }
        writer.finish()
    }

    fn check(&self, logs: &[Vec<u8>]) -> Result<Verdict, Error> {
        let client = self.client();
        let mut check = Check::new(Options::default());
        check.add_client(|| Ok(client.as_slice()))?;
        for log in logs {
            check.add_replica(log.as_slice())?;
        }
        check.finish()
    }

    fn violations(&self) -> Vec<String> {
        let logs: Vec<Vec<u8>> = (0..).take(self.logs.len()).map(|node| self.log(node)).collect();
        let verdict = self.check(&logs).unwrap();
        verdict.violations.iter().map(Violation::to_string).collect()
    }
}

#[test]
fn replicas_that_together_have_all_slots_are_correct() {
    let run = run();
    let verdict = run.check(&[run.log(0), run.log(1)]).unwrap();
    assert_eq!(verdict.violations, []);
    let Verdict { slot_count, acknowledged_count, unlogged_count, uncovered_count, .. } = verdict;
    assert_eq!((slot_count, acknowledged_count, unlogged_count, uncovered_count), (4, 4, 0, 0));
}

/// What changes a run, and what is said of it.
type Change = (fn(&mut Run), &'static str);

#[test]
fn each_fault_is_named() {
    let changes: [Change; 8] = [
        (|run| run.logs[1][1] = (X, 2, 1), "slot 2: r0 executed request 3 of client 0"),
        (|run| run.logs[0].push((X, 2, 1)), "r0 executed it again"),
        (|run| run.logs[1].swap(0, 1), "r1 executed slot 1 where slot 3 was next"),
        (|run| _ = run.logs[1].remove(0), "slot 1 of 7 up to slot 1 of 7 are in no replica's log"),
        (|run| run.requests[1].1 = 2, "acknowledged at slot 2, but was executed at slot 1"),
        (|run| run.requests[3].3 = 10, "but the log holds"),
        (|run| run.logs[1].push((X, 3, 1)), "is applied a second time"),
        (|run| _ = run.logs[0].remove(1), "is in no replica's log"),
    ];
    for (change, expected) in changes {
        let mut run = run();
        change(&mut run);
        let found = run.violations();
        assert!(found.iter().any(|text| text.contains(expected)), "{expected:?} in {found:#?}");
    }
}

/// Two keys have nothing to do with one another; operations on one key do.
#[test]
fn real_time_is_that_of_one_key() {
    let mut run = run();
    // The first two writes of x in the other order: the second began when the first was over.
    run.logs = vec![vec![(X, 0, 1), (X, 1, 0), (Y, 0, 2), (X, 2, 3)]];
    (run.requests[0].1, run.requests[1].1, run.requests[3].3) = (1, 0, 10);
    let found = run.violations();
    assert!(found.iter().any(|text| text.contains("before")), "{found:#?}");
    // y may stand anywhere.
    let mut other = self::run();
    other.logs[0] = vec![(Y, 0, 2), (X, 0, 0), (X, 2, 3)];
    assert_eq!(other.violations(), Vec::<String>::new());
}

#[test]
fn what_a_cut_log_may_hold_is_uncovered_and_no_violation() {
    let run = run();
    let log = run.log(1);
    let verdict = run.check(&[run.log(0), log[..log.len() - 20].to_vec()]).unwrap();
    assert_eq!(verdict.violations, []);
    assert_eq!((verdict.cut_count, verdict.uncovered_count, verdict.unlogged_count), (1, 1, 1));
}

#[test]
fn logs_of_two_orders_are_no_run() {
    let run = run();
    let total = ChosenWriter::new(NodeId(1), Slot::ZERO).finish();
    for logs in [[run.log(0), total.clone()], [total, run.log(0)]] {
        let error = run.check(&logs).unwrap_err();
        assert!(matches!(error, Error::Log { .. }), "{error}");
    }
    assert_eq!(Order::PerKey.log(X), Log::Of(X));
}
