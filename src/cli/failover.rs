//! The table of a run with faults: beside the latency of a quorum choice, what it costs to lose a leader.
//!
//! A figure is the median over the trials, with the least and the greatest where they differ; percentiles
//! of trials are never averaged.

use std::collections::{BTreeMap, BTreeSet};

use comfy_table::Table;

use super::comparison::line_name;
use super::table::table;
use crate::experiment::backend::Backend;
use crate::experiment::plan::{Plan, Trial};
use crate::experiment::run::Finished;
use crate::measure::rows::RecoveryRow;

/// What the columns of the table mean.
pub(super) const LEGEND: &str = "\
medians over the trials in ms, with the least and the greatest; before: commit latency of writes before
the first fault; detect: strike to the new leader's suspicion; elect: to its last campaign; phase 1: beside
the least it can be (R_q1); transfer, commit: phase 1 to what was open executed, to the first new command;
away: the longest time without an acknowledged write; delayed, unknown: writes, in all trials";

/// The point, the variant, the world, and the fault.
type Group = (usize, usize, Backend, u32);

/// One line for every variant, fault and client region; `None` if no fault struck.
pub(super) fn failover(plan: &Plan, finished: &[Finished]) -> Option<Table> {
    let mut lines: BTreeMap<(Group, Option<usize>), Vec<&RecoveryRow>> = BTreeMap::new();
    for (group, row) in rows(finished) {
        // In the order of the file.
        let regions = &plan.points[group.0].links.client_regions;
        let client = regions.iter().position(|region| *region == row.client_region);
        lines.entry((group, client)).or_default().push(row);
    }
    if lines.is_empty() {
        return None;
    }
    let backends: BTreeSet<Backend> = finished.iter().map(|ended| ended.backend).collect();
    let faults: BTreeSet<u32> = lines.keys().map(|((_, _, _, fault), _)| *fault).collect();
    let has_many = (backends.len() > 1, faults.len() > 1);
    let rows: Vec<Vec<String>> =
        lines.iter().map(|((group, _), rows)| line(plan, *group, rows, has_many)).collect();
    let header = [
        "variant",
        "Q1/Q2",
        "client",
        "before p50",
        "p99",
        "detect",
        "elect",
        "phase 1",
        "R_q1",
        "transfer",
        "commit",
        "away",
        "delayed",
        "unknown",
    ];
    Some(table(&header, &[1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13], &rows))
}

/// What did not recover, a line for each variant and fault.
pub(super) fn unrecovered(plan: &Plan, finished: &[Finished]) -> Vec<String> {
    let mut trials: BTreeMap<Group, BTreeSet<u32>> = BTreeMap::new();
    let mut lost: BTreeMap<Group, Vec<&RecoveryRow>> = BTreeMap::new();
    for (group, row) in rows(finished) {
        trials.entry(group).or_default().insert(row.trial);
        if row.recovered == Some(false) {
            lost.entry(group).or_default().push(row);
        }
    }
    let line = |(group, rows): (&Group, &Vec<&RecoveryRow>)| {
        let in_trials: BTreeSet<u32> = rows.iter().map(|row| row.trial).collect();
        let regions: BTreeSet<&str> = rows.iter().map(|row| row.client_region.as_str()).collect();
        let is_leaderless = rows.iter().any(|row| row.new_leader.is_empty() && had_leader(row));
        let what = if is_leaderless {
            "no new leader within the trial".to_owned()
        } else {
            let regions = regions.into_iter().collect::<Vec<_>>().join(", ");
            format!("no write from {regions} was acknowledged again")
        };
        format!(
            "{} ({}): {what}, after {} {}, in {} of {} trials",
            name(plan, *group),
            group.2.name(),
            rows[0].harm,
            rows[0].target,
            in_trials.len(),
            trials[group].len()
        )
    };
    lost.iter().map(line).collect()
}

/// Every row of every trial, with its group.
fn rows(finished: &[Finished]) -> impl Iterator<Item = (Group, &RecoveryRow)> {
    finished.iter().flat_map(|ended| {
        let Trial { point, variant, .. } = ended.trial;
        let group = move |row: &RecoveryRow| (point, variant, ended.backend, row.fault);
        ended.recovery.iter().map(move |row| (group(row), row))
    })
}

/// Whether the fault hit the leader.
fn had_leader(row: &RecoveryRow) -> bool {
    row.target.split('+').any(|region| region == row.leader)
}

fn name(plan: &Plan, (point, variant, ..): Group) -> String {
    let point = &plan.points[point];
    line_name(&point.variants[variant].name, &point.label)
}

fn line(
    plan: &Plan,
    group: Group,
    rows: &[&RecoveryRow],
    (of_backends, of_faults): (bool, bool),
) -> Vec<String> {
    let (point, variant, backend, fault) = group;
    let quorums = &plan.points[point].variants[variant].quorums;
    let mut name = name(plan, group);
    if of_backends {
        name = format!("{name} ({})", backend.name());
    }
    if of_faults {
        name = format!("{name} #{fault} {} {}", rows[0].harm, rows[0].target);
    }
    let over = |field: fn(&RecoveryRow) -> Option<u64>| {
        spread(rows.iter().filter_map(|row| field(row)).collect())
    };
    let count = |field: fn(&RecoveryRow) -> Option<u64>| {
        let counts: Vec<u64> = rows.iter().filter_map(|row| field(row)).collect();
        if counts.is_empty() { "-".into() } else { counts.iter().sum::<u64>().to_string() }
    };
    vec![
        name,
        format!("{}/{}", quorums.phase1().min_size(), quorums.phase2().min_size()),
        rows[0].client_region.clone(),
        over(|row| row.before_ns_p50),
        over(|row| row.before_ns_p99),
        over(|row| row.detection_ns),
        over(|row| row.election_ns),
        over(|row| row.phase1_ns),
        over(|row| row.floor_phase1_ns),
        over(|row| row.transfer_ns),
        over(|row| row.first_commit_ns),
        over(|row| row.unavailable_ns),
        count(|row| row.delayed_count),
        count(|row| row.unknown_count),
    ]
}

/// `210 (205-300)`: the median of these nanoseconds, of two in the middle the lower, and their ends
/// where they differ from it; in milliseconds.
fn spread(mut nanoseconds: Vec<u64>) -> String {
    nanoseconds.sort_unstable();
    let (Some(min), Some(max)) = (nanoseconds.first(), nanoseconds.last()) else {
        return "-".into();
    };
    let middle = nanoseconds[(nanoseconds.len() - 1) / 2];
    let [min, median, max] = [*min, middle, *max].map(milliseconds);
    if min == max { median } else { format!("{median} ({min}-{max})") }
}

/// In milliseconds, with as many digits as tell one figure from the next.
fn milliseconds(ns: u64) -> String {
    let ms = ns as f64 / 1e6;
    match ns {
        0 => "0".into(),
        1..10_000_000 => format!("{ms:.2}"),
        10_000_000..1_000_000_000 => format!("{ms:.1}"),
        _ => format!("{ms:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::experiment::file::Source;
    use crate::experiment::plan::Size;
    use crate::measure::rows::TrialRow;

    const EXPERIMENT: &str = r#"
question = "Which?"
prediction = "That."
trials = 3

[topology]
profile = "uniform:20ms"
replicas = ["a", "b", "c"]
clients = ["a"]

[workload]
arrival = { poisson = { rate_per_s = 100 } }
duration = "1s"

[[variant]]
name = "multi"
protocol = { multi = { leader = "a" } }
quorums = { counts = { phase1 = 3, phase2 = 1 } }
"#;

    fn plan() -> Plan {
        let source = Source { path: PathBuf::from("made-up.toml"), text: EXPERIMENT.into() };
        Plan::from_source(&source, Size::default()).unwrap()
    }

    /// A trial in which the leader crashed and clients were away for so long.
    fn finished(plan: &Plan, trial: usize, away_ms: u64) -> Finished {
        let recovery = RecoveryRow {
            trial: u32::try_from(trial).unwrap(),
            harm: "crash".into(),
            target: "a".into(),
            leader: "a".into(),
            new_leader: "b".into(),
            client_region: "a".into(),
            recovered: Some(true),
            detection_ns: Some(1_050_000_000),
            phase1_ns: Some(20_000_000),
            floor_phase1_ns: Some(20_000_000),
            unavailable_ns: Some(away_ms * 1_000_000),
            before_ns_p50: Some(20_040_000),
            delayed_count: Some(100),
            unknown_count: Some(1),
            ..RecoveryRow::default()
        };
        Finished {
            trial: plan.trials[trial],
            backend: Backend::Live,
            row: TrialRow { valid: true, ..TrialRow::default() },
            writes: vec![],
            disagreements: vec![],
            recovery: vec![recovery],
            probes: None,
            violations: vec![],
            unfit: vec![],
        }
    }

    fn cells(table: &Table) -> Vec<String> {
        let text = table.to_string();
        text.lines()
            .nth(2)
            .unwrap()
            .split("  ")
            .map(|cell| cell.trim().to_owned())
            .filter(|cell| !cell.is_empty())
            .collect()
    }

    #[test]
    fn three_trials_are_one_line_of_medians_with_their_ends() {
        let plan = plan();
        let trials = [1_210, 1_900, 1_300]
            .into_iter()
            .enumerate()
            .map(|(trial, away)| finished(&plan, trial, away))
            .collect::<Vec<_>>();
        let table = failover(&plan, &trials).unwrap();
        let expected = [
            "multi",
            "3/1",
            "a",
            "20.0",
            "-",
            "1050",
            "-",
            "20.0",
            "20.0",
            "-",
            "-",
            "1300 (1210-1900)",
            "300",
            "3",
        ];
        assert_eq!(cells(&table), expected, "{table}");
        assert_eq!(unrecovered(&plan, &trials), [""; 0]);
    }

    #[test]
    fn a_variant_without_a_new_leader_is_said() {
        let plan = plan();
        let mut trials: Vec<Finished> = (0..3).map(|trial| finished(&plan, trial, 900)).collect();
        for ended in &mut trials[..2] {
            let row = &mut ended.recovery[0];
            (row.new_leader, row.recovered) = (String::new(), Some(false));
            (row.detection_ns, row.phase1_ns) = (None, None);
        }
        let said = unrecovered(&plan, &trials);
        let expected =
            "multi (live): no new leader within the trial, after crash a, in 2 of 3 trials";
        assert_eq!(said, [expected]);
        assert_eq!(cells(&failover(&plan, &trials).unwrap())[5], "1050");
        // One led, but no region got through to it.
        trials[0].recovery[0].new_leader = "b".into();
        trials[1].recovery[0].recovered = Some(true);
        let said = unrecovered(&plan, &trials);
        assert!(said[0].contains("no write from a was acknowledged again"), "{said:?}");
    }

    #[test]
    fn a_run_without_a_fault_has_no_such_table() {
        let plan = plan();
        let calm = Finished { recovery: vec![], ..finished(&plan, 0, 1) };
        assert!(failover(&plan, &[calm]).is_none());
    }
}
