//! What a run says of operations that were never answered, of pauses and of recoveries: small
//! experiments in virtual time, judged by what the program prints and by the tables that it leaves.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops with the reason")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use flexpaxos::measure::rows::{LatencyRow, RecoveryRow, TimelineRow, TrialRow};
use flexpaxos::measure::{hlog, store};
use serde::de::DeserializeOwned;

/// Three replicas 20 ms apart, and one variant for each of the quorums named.
fn experiment(workload: &str, quorums: &[(&str, &str)], rest: &str) -> String {
    let variants = quorums.iter().map(|(name, quorums)| {
        format!(
            "[[variant]]\nname = \"{name}\"\nprotocol = {{ multi = {{ leader = \"r0\" }} }}\n\
             quorums = {quorums}\n"
        )
    });
    format!(
        "question = \"q\"\nprediction = \"p\"\n[topology]\nprofile = \"uniform:20ms\"\n\
         replicas = {{ count = 3 }}\nclients = [\"c\", \"d\"]\n[workload]\n{workload}\n\
         [durability]\nmode = \"memory\"\n{rest}\n{}",
        variants.collect::<String>()
    )
}

const MAJORITY: (&str, &str) = ("majority", "{ majority = {} }");
const ALL_AND_ONE: (&str, &str) = ("flex-3-1", "{ counts = { phase1 = 3, phase2 = 1 } }");

/// One run in virtual time.
struct Ran {
    root: tempfile::TempDir,
    stdout: String,
}

impl Ran {
    fn of(experiment: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("experiment.toml");
        fs::write(&file, experiment).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_flexpaxos"))
            .arg("run")
            .arg(&file)
            .args(["--backend", "sim", "--quiet", "--threads", "1", "--out"])
            .arg(root.path().join("results"))
            .output()
            .unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stdout}\n{stderr}");
        Self { root, stdout }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.root.path().join("results").join(name)
    }

    fn rows<T: DeserializeOwned>(&self, name: &str) -> Vec<T> {
        store::read_csv(&self.file(name)).unwrap()
    }

    /// The latencies of one variant, seen from the region c.
    fn latency(&self, variant: &str) -> LatencyRow {
        let mut rows = self.rows::<LatencyRow>("latency.csv").into_iter();
        rows.find(|row| (row.variant.as_str(), row.client_region.as_str()) == (variant, "c"))
            .unwrap()
    }

    /// The first line of what was printed that contains each of these.
    fn line(&self, phrases: &[&str]) -> &str {
        let is_it = |line: &&str| phrases.iter().all(|phrase| line.contains(phrase));
        self.stdout.lines().find(is_it).unwrap_or_else(|| panic!("{phrases:?}: {}", self.stdout))
    }
}

const FAULT: &str =
    "[election]\nmode = \"timeout\"\n[[fault]]\nat = \"1900ms\"\ncrash = \"leader\"\n";

fn outage(drain: &str) -> Ran {
    let workload = format!(
        "arrival = {{ fixed = {{ rate_per_s = 200 }} }}\nwarmup = \"500ms\"\nduration = \"4s\"\n\
         drain = \"{drain}\"\nretry_after = \"200ms\""
    );
    Ran::of(&experiment(&workload, &[MAJORITY, ALL_AND_ONE], FAULT))
}

#[test]
fn unanswered_operations_rank_last_whatever_the_drain() {
    let runs = ["300ms", "1s", "3s"].map(outage);
    for ran in &runs {
        let lost = ran.latency("flex-3-1");
        // Of four seconds at 100 a second the last 2.1 s are lost.
        assert_eq!(lost.answered_count + lost.unanswered_count, 400, "{lost:?}");
        assert!((205..=215).contains(&lost.unanswered_count), "{lost:?}");
        assert_eq!(
            (lost.latency_ns_p50, lost.latency_ns_p90, lost.latency_ns_max),
            (None, None, None)
        );
        assert_eq!((lost.residual_ns_p50, lost.latency_ns_mean), (None, None));
        assert!(lost.latency_ns_min.is_some() && lost.latency_ns_p50_low.is_some(), "{lost:?}");
        let line = ran.line(&["flex-3-1", " c ", ">"]);
        assert!(line.contains(">+"), "{line}");
        ran.line(&["rank"]);
        let steps = fs::read_to_string(ran.file("percentiles.csv")).unwrap();
        let unknown = steps.lines().filter(|line| line.ends_with(',')).count();
        assert!(unknown > 80, "{steps}");
        let of_variant = |row: &&TimelineRow| row.variant == "flex-3-1" && row.client_region == "c";
        let timeline: Vec<TimelineRow> = ran.rows("timeline.csv");
        let timeline = timeline.iter().filter(of_variant);
        assert_eq!(timeline.map(|row| row.unanswered_count).sum::<u64>(), lost.unanswered_count);
        let text = fs::read(ran.file("trial-002.sim.hlog")).unwrap();
        let said = format!("#[c:write: {} operations were never answered", lost.unanswered_count);
        assert!(String::from_utf8_lossy(&text).contains(&said));
    }
    // What is known is the same after every drain.
    let known = runs.each_ref().map(|ran| {
        let LatencyRow { latency_ns_p50, latency_ns_p90, latency_ns_max, .. } =
            ran.latency("majority");
        assert!(latency_ns_p90 > Some(100_000_000), "a recovery is in the tail");
        (latency_ns_p50, latency_ns_p90, latency_ns_max, ran.latency("flex-3-1").latency_ns_p50_low)
    });
    assert!(known.iter().all(|found| *found == known[0]), "{known:?}");
}

#[test]
fn a_timeline_has_the_steady_rate_of_a_steady_load() {
    let workload = "arrival = { fixed = { rate_per_s = 200 } }\nwarmup = \"1s\"\n\
                    duration = \"2500ms\"\ndrain = \"1s\"\nreads = 0.0";
    let ran = Ran::of(&experiment(workload, &[MAJORITY], ""));
    let timeline: Vec<TimelineRow> = ran.rows("timeline.csv");
    let found: Vec<_> = timeline
        .iter()
        .filter(|row| row.client_region == "c")
        .map(|row| {
            let ms = |ns: u64| ns / 1_000_000;
            let TimelineRow { start_ns, interval_ns, returned_count, throughput_per_s, .. } = *row;
            (ms(start_ns), ms(interval_ns), returned_count, throughput_per_s)
        })
        .collect();
    assert_eq!(found, [(0, 1000, 100, 100.0), (1000, 1000, 100, 100.0), (2000, 500, 50, 100.0)]);
}

#[test]
fn an_interval_log_goes_forward_in_time_with_all_regions() {
    let workload = "arrival = { fixed = { rate_per_s = 1000 } }\nwarmup = \"1s\"\n\
                    duration = \"2500ms\"\nreads = 0.5";
    let ran = Ran::of(&experiment(workload, &[MAJORITY], ""));
    let (_, lines) = hlog::read(&fs::read(ran.file("trial-001.sim.hlog")).unwrap()).unwrap();
    let found: Vec<_> = lines
        .iter()
        .map(|line| (line.start.0 / 1_000_000, line.length.0 / 1_000_000, line.tag.as_str()))
        .collect();
    let tags = ["c:write", "c:read", "d:write", "d:read"];
    // The last interval of the window, and then the answers of the drain.
    let intervals = [(0, 1000), (1000, 1000), (2000, 500), (2500, 1000)];
    let expected = intervals.iter().flat_map(|(at, for_ms)| tags.map(|tag| (*at, *for_ms, tag)));
    assert_eq!(found, expected.collect::<Vec<_>>());
    // Reads have rows of their own, in the table too.
    ran.line(&["majority", " c ", " read "]);
    ran.line(&["majority", " d ", " write "]);
}

#[test]
fn a_blocked_closed_loop_says_what_it_omits() {
    let workload = "arrival = { closed = { clients = 8 } }\nwarmup = \"1s\"\nduration = \"12s\"";
    let fault = "[[fault]]\nat = \"2s\"\npause = \"leader\"\nlasts = \"5s\"\n";
    let ran = Ran::of(&experiment(workload, &[MAJORITY], fault));
    let row = ran.latency("majority");
    // Four slow operations among several hundred do not show in p90; five of twelve seconds do.
    assert!(row.latency_ns_p90 < Some(50_000_000), "{row:?}");
    assert!(row.blocked_ns > Some(5_000_000_000), "{row:?}");
    assert!(row.open_loop_ns_p99 > Some(4_000_000_000), "{row:?}");
    ran.line(&["majority ~", " c "]);
    ran.line(&["omits: 1 of 1 trial (the closed loop of c had no answer for 5"]);
    let calm = Ran::of(&experiment(workload, &[MAJORITY], ""));
    assert_eq!((calm.latency("majority").blocked_ns, calm.stdout.contains('~')), (None, false));
}

#[test]
fn a_recovery_is_told_from_the_wait_of_the_clients() {
    let split = |retry_after: &str| {
        let workload = format!(
            "arrival = {{ fixed = {{ rate_per_s = 200 }} }}\nwarmup = \"500ms\"\n\
             duration = \"8s\"\nretry_after = \"{retry_after}\""
        );
        let ran = Ran::of(&experiment(&workload, &[MAJORITY], FAULT));
        let rows: Vec<RecoveryRow> = ran.rows("recovery.csv");
        for row in &rows {
            let [ack, protocol, wait] =
                [row.first_ack_ns, row.protocol_ns, row.client_wait_ns].map(Option::unwrap);
            // A phase-1 quorum, what was left open, and half a round trip back to the clients.
            let open = row.transfer_ns.unwrap().max(20_000_000);
            assert_eq!(protocol, row.leading_ns.unwrap() + open + 10_000_000, "{row:?}");
            assert_eq!(ack, protocol + wait, "{row:?}");
        }
        let wait = rows.iter().filter_map(|row| row.client_wait_ns).max().unwrap();
        (ran, wait)
    };
    let (patient, long) = split("4s");
    let (impatient, short) = split("200ms");
    assert!(long > 1_500_000_000 && short < 500_000_000, "{long} {short}");
    patient.line(&["CLIENT WAIT: majority (sim): after crash r0", "lower `retry_after`"]);
    let trials: Vec<TrialRow> = patient.rows("trials.csv");
    assert!(trials[0].notes.contains("client wait: after crash r0"), "{}", trials[0].notes);
    assert!(!impatient.stdout.contains("CLIENT WAIT"), "{}", impatient.stdout);
}

#[test]
fn limited_wires_are_not_blamed_on_the_machine() {
    let workload = "arrival = { fixed = { rate_per_s = 200 } }\nwarmup = \"1s\"\n\
                    duration = \"2s\"\ndrain = \"1s\"\nvalue_bytes = 1000";
    let wires = "[network]\nbandwidth_mbit_per_s = 0.5\n";
    let ran = Ran::of(&experiment(workload, &[MAJORITY], wires));
    let row = &ran.rows::<TrialRow>("trials.csv")[0];
    assert_eq!(row.saturated, Some(true), "{row:?}");
    ran.line(&[
        "saturated: 1 of 1 trial (achieved less than 99 %",
        "with wires of limited bandwidth as asked for): a queue may have set the pace",
    ]);
    assert!(!ran.stdout.contains("machine"), "{}", ran.stdout);
}
