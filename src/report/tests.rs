//! The tables of made-up runs on terminals of several widths.

use std::path::PathBuf;

use super::outline::Outline;
use super::table::Width;
use super::*;
use crate::experiment::file::Source;
use crate::experiment::plan::{Plan, Size};
use crate::findings::rows::Measured;
use crate::measure::rows::{RecoveryRow, TrialRow};
use crate::measure::{Latencies, OperationKind};
use crate::time::Span;
use crate::trial::Backend;

/// Six variants, and two client regions with long names.
fn plan(sweep: &str) -> Plan {
    let variants: String = ["classic", "multi", "flex-4-2", "flex-5-1", "thrifty-4-2", "majority-of-five"]
        .map(|name| {
            let (protocol, quorums) = match name {
                "classic" => ("classic = {}", "majority = {}"),
                "flex-5-1" => (MULTI, "counts = { phase1 = 5, phase2 = 1 }"),
                "flex-4-2" | "thrifty-4-2" => (MULTI, "counts = { phase1 = 4, phase2 = 2 }"),
                _ => (MULTI, "majority = {}"),
            };
            format!(
                "[[variant]]\nname = \"{name}\"\nprotocol = {{ {protocol} }}\nquorums = {{ {quorums} }}\n\n"
            )
        })
        .concat();
    let text = format!("{EXPERIMENT}\n{sweep}\n{variants}");
    let source = Source { path: PathBuf::from("made-up.toml"), text };
    Plan::from_source(&source, Size::default()).unwrap()
}

const MULTI: &str = "multi = { leader = \"us-east-1\" }";

const EXPERIMENT: &str = r#"
question = "Which?"
prediction = "That."
trials = 2

[topology]
profile = "aws-2025-07"
replicas = ["us-east-1", "us-west-2", "eu-west-1", "ap-southeast-1", "ap-northeast-1"]
clients = ["ap-southeast-1", "ap-northeast-1"]

[workload]
arrival = { poisson = { rate_per_s = 100 } }
duration = "1s"
"#;

const SWEEP: &str = "[sweep]\nworkload.arrival.poisson.rate_per_s = [100, 20000]\n\
                     durability.mode = [\"memory\", \"fsync\"]\n";

/// Every trial in both worlds, each operation of a client with its own latency.
fn finished(plan: &Plan, kinds: &[OperationKind]) -> Vec<Finished> {
    let of_world = |backend| {
        plan.trials.iter().map(move |trial| {
            let row = TrialRow {
                valid: true,
                saturated: Some(trial.variant == 0 && backend == Backend::Live),
                offered_per_s: Some(19_999.9),
                achieved_per_s: Some(19_876.5),
                attempts_per_write: (trial.variant == 0).then_some(1.25),
                ..TrialRow::default()
            };
            let measured = [231_300, 1_064_000].map(|micros| {
                let mut latencies = Latencies::new();
                let span = Span::from_micros(micros + trial.index as u64 * 50);
                (0..1000).for_each(|_| latencies.record(span));
                let latencies = kinds.iter().map(|kind| (*kind, latencies.clone())).collect();
                Measured { latencies, ..Measured::default() }
            });
            Finished {
                trial: *trial,
                backend,
                row,
                measured: measured.into(),
                disagreements: vec![],
                recovery: vec![],
                probes: None,
                violations: vec![],
                unfit: vec![],
            }
        })
    };
    of_world(Backend::Sim).chain(of_world(Backend::Live)).collect()
}

/// The same with a fault that each client region lived through.
fn with_fault(plan: &Plan) -> Vec<Finished> {
    let mut finished = finished(plan, &[OperationKind::Write]);
    for ended in &mut finished {
        let ms = |ms: u64| Some((ms + ended.trial.index as u64) * 1_000_000);
        let regions = &plan.point(&ended.trial).links.client_regions;
        let row = |region: &String| RecoveryRow {
            trial: u32::try_from(ended.trial.index).unwrap(),
            fault_kind: "crash".into(),
            target: "us-east-1".into(),
            leader: "us-east-1".into(),
            new_leader: "us-west-2".into(),
            client_region: region.clone(),
            recovered: Some(true),
            detection_ns: ms(6_599),
            election_ns: ms(6_003),
            phase1_ns: ms(264),
            floor_phase1_ns: ms(202),
            transfer_ns: ms(119),
            first_commit_ns: ms(119),
            first_ack_ns: ms(7_440),
            protocol_ns: ms(7_211),
            client_wait_ns: ms(324),
            unavailable_ns: ms(7_463),
            before_ns_p50: ms(231),
            delayed_count: Some(1855),
            unknown_count: Some(12),
            ..RecoveryRow::default()
        };
        ended.recovery = regions.iter().map(row).collect();
    }
    finished
}

/// The text on a terminal of this width; no line of it is longer.
#[track_caller]
fn shown(plan: &Plan, finished: &[Finished], width: usize) -> String {
    let mut out = Vec::new();
    let outline = Outline::from(plan);
    write_tables(&outline, finished, true, Width::Columns(width), &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    for line in text.lines() {
        assert!(
            line.chars().count() <= width,
            "{} of {width}: {line}\n{text}",
            line.chars().count()
        );
    }
    text
}

/// The header and the rows of the table whose header begins so; every row has a cell for each column.
#[track_caller]
fn rows<'a>(text: &'a str, header: &[&str]) -> (Vec<&'a str>, Vec<Vec<&'a str>>) {
    let split = |line: &'a str| -> Vec<&'a str> {
        line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()
    };
    let mut lines = text.lines();
    let found = lines.find(|line| {
        let cells = split(line);
        header.iter().all(|name| cells.contains(name)) && !line.contains("left out")
    });
    let header = split(found.unwrap_or_else(|| panic!("{header:?} is missing in:\n{text}")));
    let rows = lines.skip(1).take_while(|line| !line.is_empty() && !line.starts_with("left out"));
    let rows: Vec<Vec<&str>> = rows.map(split).collect();
    assert!(rows.iter().all(|row| row.len() == header.len()), "{header:?}\n{text}");
    (header, rows)
}

#[test]
fn the_comparison_fits_every_terminal() {
    let plan = plan("");
    let finished = finished(&plan, &[OperationKind::Write]);
    let [narrow, middle, wide] = [80, 100, 200].map(|width| shown(&plan, &finished, width));
    let least = ["variant", "backend", "Q1/Q2", "client", "p50", "over", "p99", "valid"];
    for text in [&narrow, &middle, &wide] {
        assert_eq!(rows(text, &least).1.len(), 6 * 2 * 2, "{text}");
    }
    let (header, _) = rows(&wide, &least);
    for name in ["rate", "attempts", "floor", "spread", "over p99"] {
        assert!(header.contains(&name), "{header:?}");
    }
    assert!(!wide.contains("left out"), "{wide}");
    assert!(narrow.contains("left out: attempts, spread, rate, over p99, floor"), "{narrow}");
    assert!(middle.contains("left out: attempts, spread, rate"), "{middle}");
}

#[test]
fn the_comparison_of_one_world_keeps_its_floor_at_80() {
    let plan = plan("");
    let finished: Vec<Finished> = finished(&plan, &[OperationKind::Write])
        .into_iter()
        .filter(|ended| ended.backend == Backend::Live)
        .collect();
    let text = comparison::comparison(&Outline::from(&plan), &finished).fit(Width::Columns(80));
    let least = ["variant", "Q1/Q2", "client", "floor", "p50", "over", "p99", "valid"];
    let (_, narrow) = rows(&text, &least);
    assert_eq!(narrow.len(), 6 * 2, "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn reads_and_two_swept_keys_fit_every_terminal() {
    let plan = plan(SWEEP);
    let finished = finished(&plan, &[OperationKind::Write, OperationKind::Read]);
    for width in [80, 100, 200] {
        let text = shown(&plan, &finished, width);
        let (header, found) = rows(&text, &["variant", "client", "op", "p50", "valid"]);
        assert_eq!(header[..3], ["rate_per_s", "mode", "variant"], "{text}");
        assert_eq!(found.len(), 4 * 6 * 2 * 2 * 2, "{text}");
        // By point, and then by variant.
        assert_eq!(found[0][..3], ["100", "memory", "classic"]);
        assert_eq!(found[found.len() - 1][..2], ["20000", "fsync"]);
    }
}

#[test]
fn what_faults_cost_fits_every_terminal_in_two_tables() {
    let plan = plan("");
    let finished = with_fault(&plan);
    let replicas = ["variant", "Q1/Q2", "detect", "elect", "phase1", "R_q1", "transfer", "commit"];
    let clients = ["variant", "client", "away", "protocol", "wait", "delayed"];
    for width in [80, 100, 200] {
        let text = shown(&plan, &finished, width);
        // What the replicas did is not repeated for each client.
        let (_, of_replicas) = rows(&text, &["detect", "phase1", "R_q1"]);
        assert_eq!(of_replicas.len(), 6 * 2, "{text}");
        let (_, of_clients) = rows(&text, &clients[..3]);
        assert_eq!(of_clients.len(), 6 * 2 * 2, "{text}");
    }
    let text = shown(&plan, &finished, 200);
    rows(&text, &[&replicas[..], &["min-max"]].concat());
    rows(&text, &[&clients[..], &["min-max", "before", "unknown"]].concat());
    assert!(shown(&plan, &finished, 80).contains("left out: min-max"), "{text}");
}

#[test]
fn the_summary_has_a_row_for_each_line_in_nanoseconds() {
    let plan = plan(SWEEP);
    let finished = finished(&plan, &[OperationKind::Write, OperationKind::Read]);
    let outline = Outline::from(&plan);
    let rows = summary::rows(&outline, &finished);
    assert_eq!(rows.len(), 4 * 6 * 2 * 2 * 2);
    let row = &rows[0];
    let names = [&row.point, &row.variant, &row.backend, &row.client_region, &row.operation];
    assert_eq!(names, ["rate_per_s=100 mode=memory", "classic", "sim", "ap-southeast-1", "write"]);
    assert_eq!((row.trial_count, row.valid_count, row.answered_count), (2, 2, 2000));
    assert_eq!((row.q1, row.q2, row.saturated_count), (3, 3, 0));
    assert_eq!((row.offered_per_s, row.attempts_per_write), (Some(19_999.9), Some(1.25)));
    let [p50, p90, p99] = [row.latency_ns_p50, row.latency_ns_p90, row.latency_ns_p99];
    assert!(p50 >= Some(231_300_000) && p50 <= p90 && p90 <= p99, "{row:?}");
    // Too few for the last one; two medians that differ.
    assert!(row.latency_ns_p999.is_none() && row.spread_ns_p50 > Some(0), "{row:?}");
    assert!(row.floor_ns_p50 > Some(0) && row.floor_ns_p99 >= row.floor_ns_p50, "{row:?}");
}
