//! Runs in which nothing goes wrong: what they leave, and that the network was really there.

use flexpaxos::measure::rows::{PercentileRow, PhaseRow, TimelineRow};
use flexpaxos::measure::{hlog, store};

use super::*;

/// Every kind of proposer, quorum and send policy.
const VARIANTS: &str = r#"
[durability]
mode = "memory"

[[variant]]
name = "classic"
protocol = { classic = {} }
quorums = { majority = {} }

[[variant]]
name = "multi"
protocol = { multi = { leader = "a" } }
quorums = { majority = {} }

[[variant]]
name = "explicit"
protocol = { multi = { leader = "b" } }
quorums = { explicit = { phase1 = [["a", "b"], ["b", "c"]], phase2 = [["a", "b"], [1, 2]] } }

[[variant]]
name = "one-vote"
protocol = { multi = { leader = "a" } }
quorums = { counts = { phase1 = 3, phase2 = 1 } }

[[variant]]
name = "small-phase-one"
protocol = { multi = { leader = "a" } }
quorums = { counts = { phase1 = 1, phase2 = 3 } }

[[variant]]
name = "thrifty"
protocol = { multi = { leader = "a" } }
quorums = { majority = {} }
send = "quorum"
"#;

/// Asserts that a finished run left everything, whole, and that everything in it is valid.
#[track_caller]
fn check_results(site: &Site, variants: &[&str]) {
    let trials = site.trials();
    let names: Vec<&str> = trials.iter().map(|trial| trial.variant.as_str()).collect();
    assert_eq!(names, variants);
    for trial in &trials {
        let name = &trial.variant;
        assert!(trial.valid && trial.complete, "{trial:?}");
        assert_eq!(trial.unknown_count, Some(0), "{name}");
        assert_eq!(trial.issued_count, trial.acknowledged_count, "{name}");
        assert_eq!((trial.violation_count, trial.unverified_count), (Some(0), Some(0)), "{name}");
        assert_eq!(trial.refused_frame_count, Some(0), "{name}");
        let members = site.members(trial.trial);
        assert!(members.values().all(|member| member.outcome == "finished"), "{members:?}");
    }
    for row in site.latencies() {
        // What is below the floor has beaten the network, so it was not there.
        assert!(row.latency_ns_p50 >= row.floor_ns_p50, "{row:?}");
        assert!(row.latency_ns_min >= row.floor_ns_p50, "{row:?}");
    }
    let trials = u32::try_from(trials.len()).unwrap();
    let is_of_all = |of: &dyn Fn(u32) -> bool, what: &str| {
        (1..=trials).for_each(|trial| assert!(of(trial), "{what} of trial {trial} is missing"));
    };
    let path = |name: &str| site.out().join(name);
    let latencies = site.latencies();
    is_of_all(&|trial| latencies.iter().any(|row| row.trial == trial), "latency");
    let phases: Vec<PhaseRow> = store::read_csv(&path("phases.csv")).unwrap();
    is_of_all(&|trial| phases.iter().any(|row| row.trial == trial), "phase");
    let steps: Vec<PercentileRow> = store::read_csv(&path("percentiles.csv")).unwrap();
    is_of_all(&|trial| steps.iter().any(|row| row.trial == trial), "percentile");
    let timeline: Vec<TimelineRow> = store::read_csv(&path("timeline.csv")).unwrap();
    is_of_all(&|trial| timeline.iter().any(|row| row.trial == trial), "timeline");
    let began_today = |trial: u32| {
        let text = fs::read(path(&format!("trial-{trial:03}.live.hlog"))).unwrap();
        // Seconds since 1970: a clock that began with the machine is far below.
        hlog::read(&text).unwrap().0.as_secs() > 1_700_000_000
    };
    is_of_all(&began_today, "the time of day in the interval log");
    assert_eq!(site.manifest()["ended"], "done");
    assert_eq!(site.manifest()["trials_valid"], trials);
    assert_eq!(site.temporaries(), [""; 0]);
    assert!(!site.out().join("work").exists());
    assert_eq!(site.agents(), [0; 0]);
}

/// Asserts that the history of a trial is JSON lines of all its members.
#[track_caller]
fn check_history(site: &Site, trial: usize) {
    let mut command = Command::new(FLEXPAXOS);
    command.arg("history").arg(site.out()).args(["--trial", &trial.to_string()]);
    let ended = Ended::of(command);
    ended.check(0, &[]);
    let lines = ended.stdout.lines().map(serde_json::from_str::<serde_json::Value>);
    let lines: Vec<serde_json::Value> = lines.collect::<Result<_, _>>().unwrap();
    for replica in 0..3 {
        assert!(lines.iter().any(|line| line["replica"] == replica), "r{replica}");
    }
    assert!(lines.iter().any(|line| line["client"] == 0));
    assert!(lines.iter().all(|line| line["cut_at_byte"].is_null()));
}

#[test]
fn every_variant_over_emulated_links_is_valid_and_beats_no_network() {
    let workload = r#"arrival = { poisson = { rate_per_s = 60 } }
warmup = "200ms"
duration = "600ms"
keys = { zipf = { count = 20, exponent = 1.0 } }
value_bytes = 64
reads = 0.3"#;
    let site = Site::new(&experiment("uniform:4ms", r#"["a", "b"]"#, workload, VARIANTS));
    let ended = site.run(&["--launcher", "processes"]);
    ended.check(0, &["small-phase-one", "results in", "floor"]);
    let names = ["classic", "multi", "explicit", "one-vote", "small-phase-one", "thrifty"];
    check_results(&site, &names);
    assert!(site.latencies().iter().any(|row| row.floor_ns_p50 > Some(0)));
    assert!(site.latencies().iter().any(|row| row.operation == "read"));
    check_history(&site, 1);
    assert_eq!(site.manifest()["launcher"], "processes");
}

#[test]
fn members_in_one_process_leave_the_same_results() {
    let tables = format!("{MULTI}\n[sweep]\nworkload.arrival.fixed.rate_per_s = [50, 200]\n");
    let site = Site::new(&small("fsync", &tables));
    site.run(&["--launcher", "in-process"]).check(0, &["multi"]);
    check_results(&site, &["multi", "multi"]);
    check_history(&site, 2);
    let replica = &site.members(1)["r1"];
    assert!(replica.sync_count > Some(0), "{replica:?}");
    // Two segments from the start, and nobody fills one.
    assert!(replica.disk_peak_bytes >= Some(16 << 20), "{replica:?}");
    assert!(replica.disk_peak_bytes < Some(32 << 20), "{replica:?}");
    assert_eq!(site.members(1)["c0"].disk_peak_bytes, None);
    assert!(site.trials()[0].disk_peak_bytes_max >= replica.disk_peak_bytes);
    assert_eq!((replica.start_count, replica.recovered_group_count), (Some(1), Some(0)));
}

/// What was asked for is no mistake: the trial is valid, and says what it did.
#[test]
fn links_that_lose_double_and_reorder_are_what_was_asked_for() {
    let network = r#"
[network]
loss = 0.05
loss_burst = 2.0
duplication = 0.1
reordering = "1ms"
"#;
    let tables = format!("{MULTI}{network}");
    let site = Site::new(&small("memory", &tables));
    site.run(&["--launcher", "in-process"]).check(0, &["multi"]);
    check_results(&site, &["multi"]);
    let trial = &site.trials()[0];
    assert!(trial.link_datagram_count > Some(0), "without any delay the links are emulated too");
    assert_eq!((trial.link_drop_count, trial.link_queue_drop_count), (Some(0), Some(0)));
    assert!(trial.link_lost_count > Some(0) && trial.link_duplicate_count > Some(0), "{trial:?}");
    assert!(trial.link_reorder_count > Some(0), "{trial:?}");
}

#[test]
fn a_closed_loop_offers_nothing_and_achieves_something() {
    let workload = r#"arrival = { closed = { clients = 3 } }
warmup = "100ms"
duration = "300ms""#;
    let tables = format!("[durability]\nmode = \"memory\"\n{MULTI}");
    let site = Site::new(&experiment("loopback", r#"["a", "b"]"#, workload, &tables));
    // A coordinator that listens everywhere is dialled on this host.
    site.run(&["--quiet", "--listen", "0.0.0.0:0"]).check(0, &[]);
    check_results(&site, &["multi"]);
    let trial = &site.trials()[0];
    assert_eq!(trial.offered_per_s, None);
    assert!(trial.achieved_per_s > Some(0.0));
}

#[test]
fn the_history_of_a_trial_that_is_not_there_is_asked_for_in_vain() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(FLEXPAXOS);
    command.arg("history").arg(folder.path()).args(["--trial", "3"]);
    Ended::of(command).check(2, &["holds no histories", "name a results folder"]);
}
