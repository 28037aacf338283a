//! Every fault of live replicas has its effect, and an end.
//!
//! What is asserted is counted: datagrams that a cut lost, operations that nobody answers while a quorum
//! stands still, and all that are answered afterwards.
//! Clients keep so many operations outstanding, so where nothing is answered any more exactly those
//! stay open, however slow the machine is.

use flexpaxos::client::Report as ClientReport;
use flexpaxos::cluster::{InProcess, Processes, Progress, Settings, run_trial};
use flexpaxos::deployment::{
    Deployment, Durability, FaultKind, Network, Role, Scheduled, Target, Trigger, Unsynced,
};
use flexpaxos::history::{Check, ClientReader, Event as Logged, Options};
use flexpaxos::measure::OperationKind;
use flexpaxos::protocol::{Election, Retention, SendPolicy};
use flexpaxos::quorum::{NodeId, NodeSet, QuorumSystem};
use flexpaxos::registry::Mode;
use flexpaxos::runtime::net::Transport;
use flexpaxos::runtime::wan::{EmulationReport, Precision};
use flexpaxos::time::Time;
use flexpaxos::topology::{Jitter, Links, Profile};
use flexpaxos::trial::Outcome;
use flexpaxos::workload::{Arrival, Keys, Workload};

use super::*;

pub(super) const R0: NodeId = NodeId(0);
pub(super) const R1: NodeId = NodeId(1);
const R2: NodeId = NodeId(2);

/// Operations that are outstanding at any time.
const OPEN: u64 = 4;

pub(super) type Aimed = FaultKind<Target, Target>;

/// Three replicas, r0 leads, and one client; nothing is delayed.
pub(super) fn deployment(faults: Vec<Scheduled>) -> Deployment {
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let profile = Profile::load("loopback").unwrap();
    let (replicas, clients) = (names(&["a", "b", "c"]), names(&["a"]));
    Deployment {
        mode: Mode::multi(R0),
        quorums: QuorumSystem::majority(3),
        election: Election::Fixed,
        retention: Retention::ALL,
        send: SendPolicy::All,
        links: Links::new(&profile, &replicas, &clients, Jitter::None).unwrap(),
        network: Network::default(),
        workload: Workload {
            arrival: Arrival::Closed { clients: 4 },
            keys: Keys::Uniform { count: 10 },
            value_bytes: 16,
            reads: 0.0,
            weights: Vec::new(),
            conflicts: None,
        },
        control: None,
        clock_error: Span::ZERO,
        durability: Durability::Memory,
        seed: 3,
        warmup: Span::from_millis(50),
        retry_after: None,
        duration: Span::from_millis(600),
        drain: Span::from_millis(60_000),
        interval: Span::from_millis(1000),
        faults,
    }
}

/// After twenty writes; to the end if `lasts_ms` is zero.
pub(super) fn soon(kind: Aimed, lasts_ms: u64) -> Scheduled {
    after(20, kind, lasts_ms)
}

fn after(writes: u64, kind: Aimed, lasts_ms: u64) -> Scheduled {
    let heals_after = (lasts_ms > 0).then(|| Span::from_millis(lasts_ms));
    Scheduled { trigger: Trigger::AfterWrites(writes), kind, heals_after }
}

pub(super) fn pause(target: impl Into<Target>) -> Aimed {
    FaultKind::Pause { replica: target.into() }
}

/// All replicas but the leader.
fn followers() -> Target {
    [R1, R2].into_iter().collect::<NodeSet>().into()
}

pub(super) fn run_over(
    deployment: &Deployment,
    transport: Transport,
    launcher: &mut dyn Launcher,
) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        folder: folder.path(),
        timeouts: Timeouts::default(),
        transport,
        precision: Precision::default(),
        probe: None,
        broken: None,
        broken_disk: None,
    };
    let tell = |_: Progress| {};
    let outcome = run_trial(deployment, &settings, launcher, &Interrupt::never(), &tell).unwrap();
    assert!(outcome.is_complete(), "{:?} {:?}", outcome.lost, outcome.violations);
    let (may_miss, has_sessions) = (deployment.mode.may_miss(), deployment.mode.has_sessions());
    let mut check = Check::new(Options { may_miss, has_sessions, ..Options::default() });
    for (member, paths) in &outcome.files {
        for path in paths {
            let history = std::io::Cursor::new(fs::read(path).unwrap());
            match member {
                MemberName::Client(_) => check.add_client(move || Ok(history.clone())).unwrap(),
                MemberName::Replica(_) => check.add_replica(history).unwrap(),
            }
        }
    }
    let verdict = check.finish().unwrap();
    assert!(verdict.is_valid(), "{verdict:?}");
    // The folder goes; what is looked at later is read now.
    Outcome { files: kept(&outcome), ..outcome }
}

/// The histories of clients, where they outlive the folder of the trial.
fn kept(outcome: &Outcome) -> BTreeMap<MemberName, Vec<PathBuf>> {
    let keep = |path: &PathBuf| {
        let (file, kept) = tempfile::NamedTempFile::new().unwrap().keep().unwrap();
        drop(file);
        fs::copy(path, &kept).unwrap();
        kept
    };
    let clients =
        outcome.files.iter().filter(|(member, _)| matches!(member, MemberName::Client(_)));
    clients.map(|(member, paths)| (*member, paths.iter().map(keep).collect())).collect()
}

/// In one process, without disks.
fn run(faults: Vec<Scheduled>) -> Outcome {
    run_over(&deployment(faults), Transport::default(), &mut InProcess::default())
}

fn client(outcome: &Outcome) -> &ClientReport {
    outcome.clients().next().unwrap().1
}

/// When operations were answered.
fn answered_at(outcome: &Outcome) -> Vec<Time> {
    let mut answered = Vec::new();
    for path in outcome.files.values().flatten() {
        let history = fs::read(path).unwrap();
        fs::remove_file(path).unwrap();
        for event in ClientReader::new(history.as_slice()).unwrap() {
            if let Logged::Return(returned) = event.unwrap() {
                answered.push(returned.at);
            }
        }
    }
    answered
}

/// Everything was answered, some of it after the fault was over.
#[track_caller]
fn check_recovered(outcome: &Outcome) {
    let report = client(outcome);
    assert_eq!((report.unknown_count, report.acknowledged_count), (0, report.issued_count));
    let ended_at =
        outcome.injected.iter().map(|injected| injected.ended_at.unwrap()).max().unwrap();
    let answered = answered_at(outcome);
    let later = answered.iter().filter(|at| **at >= ended_at).count() as u64;
    assert!(later >= OPEN, "{later} of {} after {ended_at:?}", answered.len());
}

/// What was outstanding when the fault began was never answered.
#[track_caller]
fn check_stopped(outcome: &Outcome) {
    let report = client(outcome);
    assert_eq!(report.unknown_count, OPEN, "{report:?}");
    assert!(report.acknowledged_count >= 20);
    assert!(
        outcome.injected.iter().all(|injected| injected.ended_at.is_none()),
        "{:?}",
        outcome.injected
    );
}

fn emulation(outcome: &Outcome, id: NodeId) -> &EmulationReport {
    outcome.reports[&MemberName::Replica(id)].emulation.as_ref().unwrap()
}

/// The same with an end of the trial that waits for nobody.
fn to_the_end(faults: Vec<Scheduled>) -> Outcome {
    let deployment = Deployment { drain: Span::from_millis(300), ..deployment(faults) };
    run_over(&deployment, Transport::default(), &mut InProcess::default())
}

#[test]
fn nothing_is_answered_while_a_phase_2_quorum_stands_still() {
    let outcome = to_the_end(vec![soon(pause(Role::Phase2Quorum), 0)]);
    assert_eq!(outcome.injected.len(), 2, "{:?}", outcome.injected);
    check_stopped(&outcome);
}

#[test]
fn all_is_answered_when_those_who_stood_still_go_on() {
    let outcome = run(vec![soon(pause(followers()), 150)]);
    let kinds: Vec<FaultKind> = outcome.injected.iter().map(|injected| injected.kind).collect();
    assert_eq!(kinds, [R1, R2].map(|replica| FaultKind::Pause { replica }));
    check_recovered(&outcome);
}

/// A launcher that looks at the process after each signal.
struct Looking {
    launcher: Processes,
    /// The state of the process after a pause, as `/proc` has it.
    states: Vec<char>,
    folders: BTreeMap<MemberName, PathBuf>,
}

impl Launcher for Looking {
    fn name(&self) -> &'static str {
        "looking"
    }

    fn start(&mut self, start: Start) -> Result<(), cluster::StartError> {
        self.folders.insert(start.member, start.folder.clone());
        self.launcher.start(start)
    }

    fn kill(&mut self, member: MemberName) {
        self.launcher.kill(member);
    }

    fn pause(&mut self, member: MemberName) -> bool {
        let pid = processes_of(&self.folders[&member])[0];
        let is_paused = self.launcher.pause(member);
        wait_for("the process to stop", || state(pid) == 'T');
        self.states.push(state(pid));
        is_paused
    }

    fn resume(&mut self, member: MemberName) {
        let pid = processes_of(&self.folders[&member])[0];
        self.launcher.resume(member);
        wait_for("the process to go on", || state(pid) != 'T');
    }

    fn ended(&mut self, member: MemberName) -> Option<String> {
        self.launcher.ended(member)
    }

    fn stop_all(&mut self) {
        self.launcher.stop_all();
    }
}

/// The state of a process: the first field behind its name.
fn state(pid: i32) -> char {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    text.rsplit_once(") ").unwrap().1.chars().next().unwrap()
}

#[test]
fn a_process_that_is_stopped_goes_on_where_it_was() {
    let (launcher, folders) = (Processes::new(FLEXPAXOS.into()), BTreeMap::new());
    let mut launcher = Looking { launcher, states: Vec::new(), folders };
    let faults = vec![soon(pause(Role::Leader), 100)];
    let outcome = run_over(&deployment(faults), Transport::default(), &mut launcher);
    assert_eq!(launcher.states, ['T']);
    assert_eq!(outcome.injected[0].kind, FaultKind::Pause { replica: R0 });
    check_recovered(&outcome);
}

#[test]
fn a_partition_stops_the_side_without_a_quorum_and_its_datagrams_are_lost() {
    let outcome = to_the_end(vec![soon(FaultKind::Partition { side: Role::Leader.into() }, 0)]);
    check_stopped(&outcome);
    assert!([R0, R1, R2].iter().all(|id| emulation(&outcome, *id).lost > 0), "{outcome:?}");
}

#[test]
fn messages_flow_again_when_a_partition_heals() {
    let outcome = run(vec![soon(FaultKind::Partition { side: R0.into() }, 200)]);
    check_recovered(&outcome);
    assert!(emulation(&outcome, R0).lost > 0);
}

/// Every connection between the sides is given up meanwhile, and dialled again in vain.
#[test]
fn a_partition_longer_than_connections_live_heals_too() {
    let transport = Transport { idle_timeout_ms: 300, keep_alive_ms: 100, ..Transport::default() };
    let deployment = deployment(vec![soon(FaultKind::Partition { side: R0.into() }, 1_200)]);
    let outcome = run_over(&deployment, transport, &mut InProcess::default());
    check_recovered(&outcome);
    // The leader gave up and dialled: it lost more than one train of retransmissions.
    assert!(emulation(&outcome, R0).lost > 5, "{:?}", emulation(&outcome, R0));
}

#[test]
fn a_cut_loses_in_one_direction_and_a_majority_goes_on() {
    let outcome = run(vec![soon(FaultKind::Cut { from: R0.into(), to: R1.into() }, 150)]);
    let lost = [R0, R1, R2].map(|id| emulation(&outcome, id).lost > 0);
    assert_eq!(lost, [true, false, false]);
    check_recovered(&outcome);
}

#[test]
fn links_lose_double_and_reorder_as_much_as_they_are_told_to() {
    let all = || Target::from(NodeSet::all(3));
    let from = || Target::from(R0);
    let outcome = run(vec![
        soon(FaultKind::Lose { from: R1.into(), to: R0.into(), share: 0.3 }, 150),
        soon(FaultKind::Duplicate { from: from(), to: all(), share: 1.0 }, 150),
        soon(FaultKind::Reorder { from: R2.into(), to: all(), spread: Span::from_millis(5) }, 150),
    ]);
    let seen = |id| {
        let EmulationReport { lost, duplicated, reordered, .. } = emulation(&outcome, id);
        [*lost > 0, *duplicated > 0, *reordered > 0]
    };
    assert_eq!(seen(R0), [false, true, false]);
    assert_eq!(seen(R1), [true, false, false]);
    assert!(!seen(R2)[0] && !seen(R2)[1]);
    check_recovered(&outcome);
}

/// The longest latency of a write; what was added to every way that a vote can take is in it.
fn longest(outcome: &Outcome) -> Span {
    let total = client(outcome).recording.total(OperationKind::Write);
    total.unwrap().max().unwrap()
}

#[test]
fn a_slow_link_adds_what_it_was_told_to() {
    let by = Span::from_millis(80);
    let outcome = run(vec![soon(FaultKind::Slow { from: R0.into(), to: followers(), by }, 0)]);
    assert_eq!(client(&outcome).unknown_count, 0);
    assert!(longest(&outcome) >= Span::from_millis(79), "{}", longest(&outcome));
}

#[test]
fn slow_disks_add_what_they_were_told_to() {
    let by = Span::from_millis(80);
    let fault = soon(FaultKind::SlowDisk { replica: NodeSet::all(3).into(), by }, 0);
    let deployment = Deployment { durability: Durability::Fsync, ..deployment(vec![fault]) };
    let outcome = run_over(&deployment, Transport::default(), &mut InProcess::default());
    assert_eq!((outcome.injected.len(), client(&outcome).unknown_count), (3, 0));
    assert!(longest(&outcome) >= Span::from_millis(79), "{}", longest(&outcome));
}

/// It stops when it next needs a file, and that is no member lost: it comes back when there is room.
#[test]
fn a_replica_whose_disk_fills_stops_and_comes_back_with_all_that_it_had() {
    let fault = soon(FaultKind::FullDisk { replica: R1.into() }, 2_500);
    let workload = Workload {
        // Two segments are full within a second or two.
        arrival: Arrival::Fixed { rate_per_s: 60.0 },
        value_bytes: 1 << 18,
        ..deployment(Vec::new()).workload
    };
    let deployment = Deployment {
        durability: Durability::Fsync,
        duration: Span::from_millis(3_500),
        workload,
        ..deployment(vec![fault])
    };
    let outcome = run_over(&deployment, Transport::default(), &mut InProcess::default());
    assert_eq!(client(&outcome).unknown_count, 0);
    let injected = outcome.injected[0];
    assert_eq!(injected.kind, FaultKind::FullDisk { replica: R1 });
    assert!(injected.ended_at.is_some() && injected.caught_up_at >= injected.ended_at);
    let starts = &outcome.recoveries[&MemberName::Replica(R1)];
    assert_eq!(starts.len(), 2, "it stopped once: {starts:?}");
    assert!(starts[1].group_count > 0 || starts[1].has_checkpoint, "{starts:?}");
}

#[test]
fn a_fault_of_the_leader_hits_whoever_was_told_to_lead() {
    let crash = FaultKind::Crash { replica: Role::Leader.into(), unsynced: Unsynced::Lost };
    let faults = vec![soon(FaultKind::Campaign { replica: R1.into() }, 0), after(300, crash, 0)];
    let deployment = Deployment {
        duration: Span::from_millis(1_500),
        drain: Span::from_millis(100),
        workload: Workload {
            arrival: Arrival::Fixed { rate_per_s: 400.0 },
            ..deployment(Vec::new()).workload
        },
        ..deployment(faults)
    };
    let outcome = run_over(&deployment, Transport::default(), &mut InProcess::default());
    let kinds: Vec<FaultKind> = outcome.injected.iter().map(|injected| injected.kind).collect();
    let crash = FaultKind::Crash { replica: R1, unsynced: Unsynced::Lost };
    assert_eq!(kinds, [FaultKind::Campaign { replica: R1 }, crash]);
    assert!(!outcome.reports.contains_key(&MemberName::Replica(R1)));
}

/// What runs in virtual time runs live, from one file.
#[test]
fn one_schedule_runs_in_both_worlds() {
    let faults = r#"
[[fault]]
at = "100ms"
partition = "leader"
lasts = "100ms"

[[fault]]
at = "150ms"
cut = { from = ["phase2-follower"], to = "leader" }
lasts = "50ms"

[[fault]]
at = "300ms"
pause = ["r1", "c"]
lasts = "50ms"

[[fault]]
after_writes = 30
slow_disk = { replica = "phase2-quorum", by = "2ms" }
lasts = "50ms"

[[fault]]
at = "450ms"
crash = "c"
restart_after = "100ms"

[[fault]]
at = "600ms"
campaign = "b"
"#;
    let site = Site::new(&small("fsync", &format!("{MULTI}{faults}")));
    site.run(&["--launcher", "in-process", "--backend", "both"]).check(0, &["1/1"]);
    let trials = site.trials();
    assert_eq!(trials.len(), 2);
    for trial in trials {
        assert!(trial.valid && trial.complete, "{trial:?}");
        assert_eq!(trial.unknown_count, Some(0), "{trial:?}");
        assert!(!trial.notes.contains("never struck"), "{}", trial.notes);
    }
}

#[test]
fn what_can_never_recover_is_announced_before_it_runs() {
    let faults = "\n[[fault]]\nat = \"300ms\"\ncrash = [\"leader\", \"b\"]\n";
    let text = small("memory", &format!("{MULTI}{faults}"))
        .replace("800ms\"", "800ms\"\ndrain = \"100ms\"");
    let site = Site::new(&text);
    let said = "warning: variant `multi`: from 300ms on no phase-1 quorum of 2 is left";
    let run = site.run(&["--launcher", "in-process"]);
    // The last answers may be in the logs of those two alone, which do not come back: then it is incomplete.
    let code = if run.stdout.contains("INCOMPLETE") { 3 } else { 0 };
    run.check(code, &[said]);
}
