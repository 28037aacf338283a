//! Control operations live: rows of their own, near the way there and back, whatever carries them.

use flexpaxos::measure::rows::{PercentileRow, TimelineRow};
use flexpaxos::measure::store;

use super::transports::tcp_is_possible;
use super::*;

/// Two variants that differ in their quorums alone, with clients beside the leader and away from it.
const VARIANTS: &str = r#"
[control]
no-quorum = true
rate_per_s = 40

[[variant]]
name = "all-of-three"
protocol = { multi = { leader = "a" } }
quorums = { counts = { phase1 = 1, phase2 = 3 } }

[[variant]]
name = "the-leader"
protocol = { multi = { leader = "a" } }
quorums = { counts = { phase1 = 3, phase2 = 1 } }
"#;

fn site(durability: &str, tables: &str) -> Site {
    let workload = r#"arrival = { fixed = { rate_per_s = 60 } }
warmup = "200ms"
duration = "1s"
keys = { uniform = { count = 10 } }
value_bytes = 16"#;
    let tables = format!("[durability]\nmode = \"{durability}\"\n{VARIANTS}{tables}");
    Site::new(&experiment("uniform:60ms", r#"["a", "b"]"#, workload, &tables))
}

/// The rows of control operations; asserts that every trial has one for each client region.
#[track_caller]
fn controls(site: &Site) -> Vec<LatencyRow> {
    let rows: Vec<LatencyRow> =
        site.latencies().into_iter().filter(|row| row.operation == "control").collect();
    for trial in site.trials() {
        assert!(trial.valid && trial.complete, "{trial:?}");
        assert_eq!((trial.unknown_count, trial.violation_count), (Some(0), Some(0)), "{trial:?}");
        let is_of = |row: &&LatencyRow| {
            (row.trial, row.backend.as_str()) == (trial.trial, trial.backend.as_str())
        };
        let of: Vec<&str> =
            rows.iter().filter(is_of).map(|row| row.client_region.as_str()).collect();
        assert_eq!(of, ["a", "b"]);
    }
    rows
}

#[test]
fn controls_live_and_simulated_take_the_way_there_and_back() {
    let site = site("fsync", "");
    let ended = site.run(&["--backend", "both", "--launcher", "in-process"]);
    ended.check(0, &["control", "control: "]);
    let rows = controls(&site);
    assert_eq!(rows.len(), 8, "two variants, two regions, two worlds");
    for row in &rows {
        let away_ns = if row.client_region == "b" { 60_000_000 } else { 0 };
        assert_eq!((row.floor_ns_p50, row.floor_ns_p99), (Some(away_ns), Some(away_ns)), "{row:?}");
        assert_eq!((row.answered_count, row.unanswered_count), (40, 0), "{row:?}");
        let p50_ns = row.latency_ns_p50.unwrap();
        // The least is the lower end of its bucket, and a bucket is a thousandth wide.
        assert!(p50_ns >= away_ns && row.latency_ns_min >= Some(away_ns / 1000 * 999), "{row:?}");
        // A vote of another replica would take 60 ms more.
        let most_ns = if row.backend == "sim" { away_ns + 200_000 } else { away_ns + 40_000_000 };
        assert!(p50_ns <= most_ns, "{row:?}");
    }
    let writes = site.latencies().into_iter().filter(|row| row.operation == "write");
    let slow: Vec<_> = writes.filter(|row| row.variant == "all-of-three").collect();
    assert!(slow.len() == 4 && slow.iter().all(|row| row.latency_ns_p50 > Some(60_000_000)));
    let path = |name: &str| site.out().join(name);
    let steps: Vec<PercentileRow> = store::read_csv(&path("percentiles.csv")).unwrap();
    assert!(steps.iter().any(|row| row.operation == "control"));
    let timeline: Vec<TimelineRow> = store::read_csv(&path("timeline.csv")).unwrap();
    assert!(timeline.iter().any(|row| row.operation == "control" && row.returned_count > 0));
    for trial in site.trials() {
        // The load offers what it offered without them.
        assert_eq!(trial.offered_per_s, Some(60.0), "{trial:?}");
        let log = format!("trial-{:03}.{}.hlog", trial.trial, trial.backend);
        assert!(fs::read_to_string(path(&log)).unwrap().contains("Tag=b:control"), "{log}");
    }
    let mut command = Command::new(FLEXPAXOS);
    command.arg("show").arg(site.out());
    Ended::of(command).check(0, &["control: "]);
    site.verify().check(0, &[]);
}

#[test]
fn controls_travel_over_tcp_and_in_datagrams() {
    let mut tables = "[sweep]\ntransport.streams = [\"datagrams\", \"per-message\"]\n".to_owned();
    if tcp_is_possible() {
        tables = "[[sweep]]\ntransport.streams = [\"datagrams\", \"per-message\"]\n\n\
                  [[sweep]]\ntransport.protocol = [\"tcp\"]\n"
            .to_owned();
    }
    let site = site("memory", &tables);
    site.run(&["--launcher", "in-process"]).check(0, &["the-leader"]);
    for row in controls(&site) {
        assert_eq!((row.answered_count, row.unanswered_count), (40, 0), "{row:?}");
        assert!(row.latency_ns_min >= row.floor_ns_p50, "{row:?}");
    }
}

/// r0 leads and is gone for good: commands wait for nobody, and control operations are asked elsewhere.
#[test]
fn a_control_finds_a_live_replica_when_the_leader_is_killed() {
    let tables = "[[fault]]\nat = \"300ms\"\ncrash = \"leader\"\n";
    let text = site_text_with_patience();
    let site = Site::new(&format!("{text}\n{tables}"));
    let ended = site.run(&["--launcher", "processes"]);
    // 3 where an operation that only the dead leader had logged was acknowledged.
    assert!(matches!(ended.code, Some(0 | 3)), "{}", ended.stderr);
    let rows = site.latencies();
    let control = rows.iter().find(|row| row.operation == "control").unwrap();
    assert_eq!((control.answered_count, control.unanswered_count), (40, 0), "{control:?}");
    assert!(control.latency_ns_max > Some(200_000_000), "{control:?}");
    assert!(site.trials()[0].unknown_count > Some(0));
    let timeline: Vec<TimelineRow> = store::read_csv(&site.out().join("timeline.csv")).unwrap();
    assert!(timeline.iter().any(|row| row.operation == "control"));
}

fn site_text_with_patience() -> String {
    let workload = r#"arrival = { fixed = { rate_per_s = 60 } }
warmup = "200ms"
duration = "1s"
drain = "1s"
retry_after = "200ms""#;
    let tables = format!("[control]\nno-quorum = true\nrate_per_s = 40\n{MULTI}");
    experiment("loopback", r#"["a"]"#, workload, &tables)
}
