//! The tables of a run with faults: beside the latency of a quorum choice, what it costs to lose a leader.
//!
//! One table is about the replicas, the other about the clients of each region.
//! A figure is the median over the trials; the least and the greatest stand beside it where there is room.
//! Percentiles of trials are never averaged.

use std::collections::{BTreeMap, BTreeSet};

use super::comparison::line_name;
use super::outline::Outline;
use super::table::{self, Column, Table, Width};
use crate::experiment::trial::Trial;
use crate::findings::{Finished, recovery};
use crate::measure::OperationKind;
use crate::measure::rows::RecoveryRow;
use crate::time::Span;
use crate::trial::Backend;

/// What the columns of the tables mean.
pub fn legend(width: Width) -> String {
    table::legend(
        "medians over the trials in ms; min-max: the least and the greatest of the column before it; \
         detect: from the fault to the new leader's suspicion; elect: from there to its last campaign; \
         phase1: its last phase 1, beside the least that it can be (R_q1); transfer, commit: from phase 1 \
         to what was open executed and older leases over, and to the first new command; before: median latency of writes before \
         the first fault; away: the longest time without an acknowledged write (>: up to the end); \
         reads before, reads away: the same of reads, of whatever key: those of some keys may wait longer; \
         protocol: from the fault to when the new leader could have answered; wait: from there to the \
         first acknowledgement of a write begun after the fault, which is what retry timers and redirects \
         add; delayed: writes, in all trials; unknown: of these, those never acknowledged",
        width,
    )
}

/// The point, the variant, the world, and the fault.
type Group = (usize, usize, Backend, u32);

/// The rows of one line.
type Lines<'a, K> = BTreeMap<K, Vec<&'a RecoveryRow>>;

/// What replicas did, a line for every variant and fault, and what clients saw, a line for each of their
/// regions too; `None` if no fault was injected.
pub fn tables(plan: &Outline, finished: &[Finished]) -> Option<[Table; 2]> {
    let mut clients: Lines<'_, (Group, Option<usize>)> = BTreeMap::new();
    let mut replicas: Lines<'_, Group> = BTreeMap::new();
    for (group, row) in rows(finished) {
        // In the order of the file.
        let regions = &plan.points[group.0].client_regions;
        let client = regions.iter().position(|region| *region == row.client_region);
        clients.entry((group, client)).or_default().push(row);
        // What concerns the replicas is in the rows of all client regions.
        let of_group = replicas.entry(group).or_default();
        if of_group.last().is_none_or(|last| last.trial != row.trial) {
            of_group.push(row);
        }
    }
    if clients.is_empty() {
        return None;
    }
    let backends: BTreeSet<Backend> = replicas.keys().map(|(_, _, backend, _)| *backend).collect();
    let faults: BTreeSet<u32> = replicas.keys().map(|(_, _, _, fault)| *fault).collect();
    // What both tables begin with.
    let columns = || {
        let of_line = [
            Column::name("variant"),
            Column::text("backend").only_if(backends.len() > 1),
            Column::name("fault").only_if(faults.len() > 1),
        ];
        plan.columns().into_iter().chain(of_line)
    };
    let cells = |group: Group, row: &RecoveryRow| {
        let (point, variant, backend, fault) = group;
        let name = plan.points[point].variants[variant].name.clone();
        let of_line = [name, backend.name().to_owned(), format!("#{fault} {}", fault_name(row))];
        plan.cells(point).into_iter().chain(of_line)
    };
    let protocol = replicas.iter().map(|(group, rows)| {
        let (point, variant, ..) = *group;
        let variant = &plan.points[point].variants[variant];
        let sizes = format!("{}/{}", variant.q1, variant.q2);
        cells(*group, rows[0]).chain([sizes]).chain(of_replicas(rows)).collect()
    });
    let seen = clients
        .iter()
        .map(|((group, _), rows)| cells(*group, rows[0]).chain(of_clients(rows)).collect());
    let are_reads = clients.values().flatten().any(|row| row.reads_unavailable_ns.is_some());
    Some([
        Table::new(columns().chain(replica_columns()).collect(), protocol.collect()),
        Table::new(columns().chain(client_columns(are_reads)).collect(), seen.collect()),
    ])
}

/// A figure, and how far it differs between the trials.
fn ranged(header: &str) -> [Column; 2] {
    [Column::number(header), Column::number("min-max").rank(1)]
}

fn replica_columns() -> Vec<Column> {
    let [detect, detect_range] = ranged("detect");
    let [elect, elect_range] = ranged("elect");
    let [phase1, phase1_range] = ranged("phase1");
    let [transfer, transfer_range] = ranged("transfer");
    let [commit, commit_range] = ranged("commit");
    let floor = Column::number("R_q1");
    vec![
        Column::number("Q1/Q2").rank(2),
        detect.rank(6),
        detect_range,
        elect.rank(5),
        elect_range,
        phase1,
        phase1_range,
        floor,
        transfer.rank(3),
        transfer_range,
        commit.rank(4),
        commit_range,
    ]
}

/// Those about reads are there if somebody reads.
fn client_columns(are_reads: bool) -> Vec<Column> {
    let [before, before_range] = ranged("before");
    let [away, away_range] = ranged("away");
    let [protocol, protocol_range] = ranged("protocol");
    let [wait, wait_range] = ranged("wait");
    let [reads_before, reads_before_range] = ranged("reads before");
    let [reads, reads_range] = ranged("reads away");
    vec![
        Column::name("client"),
        before.rank(7),
        before_range,
        away,
        away_range,
        reads_before.rank(7).only_if(are_reads),
        reads_before_range.only_if(are_reads),
        reads.only_if(are_reads),
        reads_range.only_if(are_reads),
        protocol.rank(5),
        protocol_range,
        wait.rank(6),
        wait_range,
        Column::number("delayed").rank(4),
        Column::number("unknown").rank(3),
    ]
}

/// Where clients waited longer than the recovery took, a line for each variant and fault, about the region
/// that waited longest.
pub fn waits(plan: &Outline, finished: &[Finished]) -> Vec<String> {
    let mut groups: Lines<'_, Group> = BTreeMap::new();
    for (group, row) in rows(finished) {
        groups.entry(group).or_default().push(row);
    }
    let line = |(group, rows): (&Group, &Vec<&RecoveryRow>)| {
        let worst = recovery::worst_wait(rows.iter().copied())?;
        let [wait, protocol] =
            [worst.client_wait_ns?, worst.protocol_ns?].map(|ns| Span(ns).milliseconds_short());
        Some(format!(
            "{} ({}): after {}, clients in {} waited {wait} ms for a retry or a redirect, longer than \
             the {protocol} ms of the recovery, which it hides: lower `retry_after`",
            name(plan, *group),
            group.2.name(),
            fault_name(worst),
            worst.client_region,
        ))
    };
    groups.iter().filter_map(line).collect()
}

/// What did not recover, a line for each variant and fault, and for reads another one.
pub fn unrecovered(plan: &Outline, finished: &[Finished]) -> Vec<String> {
    let mut trials: BTreeMap<Group, BTreeSet<u32>> = BTreeMap::new();
    let mut lost: BTreeMap<(Group, OperationKind), Vec<&RecoveryRow>> = BTreeMap::new();
    for (group, row) in rows(finished) {
        trials.entry(group).or_default().insert(row.trial);
        let kinds =
            [(OperationKind::Write, row.recovered), (OperationKind::Read, row.reads_recovered)];
        for (kind, _) in kinds.into_iter().filter(|(_, recovered)| *recovered == Some(false)) {
            lost.entry((group, kind)).or_default().push(row);
        }
    }
    let line = |((group, kind), rows): (&(Group, OperationKind), &Vec<&RecoveryRow>)| {
        let in_trials: BTreeSet<u32> = rows.iter().map(|row| row.trial).collect();
        let regions: BTreeSet<&str> = rows.iter().map(|row| row.client_region.as_str()).collect();
        let is_leaderless = rows.iter().any(|row| row.new_leader.is_empty() && had_leader(row));
        let what = if is_leaderless && *kind == OperationKind::Write {
            "no new leader within the trial".to_owned()
        } else {
            let regions = regions.into_iter().collect::<Vec<_>>().join(", ");
            format!("no {} from {regions} was acknowledged again", kind.name())
        };
        format!(
            "{} ({}): {what}, after {}, in {} of {} trials",
            name(plan, *group),
            group.2.name(),
            fault_name(rows[0]),
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

/// `crash us-east-1`.
fn fault_name(row: &RecoveryRow) -> String {
    format!("{} {}", row.fault_kind, row.target_regions)
}

/// Whether the fault hit the leader.
fn had_leader(row: &RecoveryRow) -> bool {
    row.target.split('+').any(|replica| replica == row.leader)
}

fn name(plan: &Outline, (point, variant, ..): Group) -> String {
    let point = &plan.points[point];
    line_name(&point.variants[variant].name, &point.label)
}

/// The cells of [`replica_columns`] after the first.
fn of_replicas(rows: &[&RecoveryRow]) -> Vec<String> {
    let [detect, elect, phase1, transfer, commit] = [
        known(rows, |row| row.detection_ns),
        known(rows, |row| row.election_ns),
        known(rows, |row| row.phase1_ns),
        known(rows, |row| row.transfer_ns),
        known(rows, |row| row.first_commit_ns),
    ];
    // That it differs between trials says who led, and that is in the other columns.
    let [floor, _] = known(rows, |row| row.floor_phase1_ns);
    [&detect[..], &elect, &phase1, &[floor], &transfer, &commit].concat()
}

/// The cells of [`client_columns`].
fn of_clients(rows: &[&RecoveryRow]) -> Vec<String> {
    let count = |field: fn(&RecoveryRow) -> Option<u64>| {
        let counts: Vec<u64> = rows.iter().filter_map(|row| field(row)).collect();
        if counts.is_empty() { "-".into() } else { counts.iter().sum::<u64>().to_string() }
    };
    let away = |row: &&RecoveryRow| Some((row.recovered == Some(false), row.unavailable_ns?));
    let reads_away =
        |row: &&RecoveryRow| Some((row.reads_recovered == Some(false), row.reads_unavailable_ns?));
    let before = known(rows, |row| row.before_ns_p50);
    let away = spread(rows.iter().filter_map(away).collect());
    let reads_before = known(rows, |row| row.reads_before_ns_p50);
    let reads_away = spread(rows.iter().filter_map(reads_away).collect());
    let protocol = known(rows, |row| row.protocol_ns);
    let wait = known(rows, |row| row.client_wait_ns);
    let client = [rows[0].client_region.clone()];
    let counts = [count(|row| row.delayed_count), count(|row| row.unknown_count)];
    [&client[..], &before, &away, &reads_before, &reads_away, &protocol, &wait, &counts].concat()
}

/// The median and the ends of a field that is known where it is there.
fn known(rows: &[&RecoveryRow], field: fn(&RecoveryRow) -> Option<u64>) -> [String; 2] {
    spread(rows.iter().filter_map(|row| Some((false, field(row)?))).collect())
}

/// `210` and `205-300`: the median of these nanoseconds, of two in the middle the lower, and their ends;
/// `-` where they do not differ from it. In milliseconds.
///
/// Each says first whether it is only a lower bound: that is printed as `>210` and ranks last.
fn spread(mut figures: Vec<(bool, u64)>) -> [String; 2] {
    figures.sort_unstable();
    let (Some(min), Some(max)) = (figures.first(), figures.last()) else {
        return ["-", "-"].map(str::to_owned);
    };
    let middle = figures[(figures.len() - 1) / 2];
    let [min, median, max] = [*min, middle, *max].map(|(is_bound, ns)| {
        let sign = if is_bound { ">" } else { "" };
        format!("{sign}{}", Span(ns).milliseconds_short())
    });
    let ends = if min == max { "-".to_owned() } else { format!("{min}-{max}") };
    [median, ends]
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::experiment::file::Source;
    use crate::experiment::plan::{Plan, Size};
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
            trial: plan.trials[trial].number(),
            fault: 1,
            fault_kind: "crash".into(),
            target: "r0".into(),
            target_regions: "a".into(),
            leader: "r0".into(),
            new_leader: "r1".into(),
            client_region: "a".into(),
            recovered: Some(true),
            detection_ns: Some(1_050_000_000),
            first_ack_ns: Some(away_ms * 1_000_000),
            protocol_ns: Some(1_100_000_000),
            client_wait_ns: Some(away_ms.saturating_sub(900) * 1_000_000),
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
            measured: vec![],
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
        let [protocol, clients] = tables(&Outline::from(&plan), &trials).unwrap();
        let none = "-";
        let expected = [
            "multi", "3/1", "1050", none, none, none, "20.0", none, "20.0", none, none, none, none,
        ];
        assert_eq!(cells(&protocol), expected, "{protocol}");
        let expected = [
            "multi",
            "a",
            "20.0",
            "-",
            "1300",
            "1210-1900",
            "1100",
            "-",
            "400",
            "310-1000",
            "300",
            "3",
        ];
        assert_eq!(cells(&clients), expected, "{clients}");
        assert_eq!(unrecovered(&Outline::from(&plan), &trials), [""; 0]);
    }

    #[test]
    fn reads_have_a_column_where_somebody_reads() {
        let plan = plan();
        let mut trials: Vec<Finished> = (0..3).map(|trial| finished(&plan, trial, 900)).collect();
        for (ended, ms) in trials.iter_mut().zip([40, 60, 50]) {
            let row = &mut ended.recovery[0];
            (row.reads_unavailable_ns, row.reads_recovered) = (Some(ms * 1_000_000), Some(true));
            row.reads_before_ns_p50 = Some(20_000_000);
        }
        trials[1].recovery[0].reads_recovered = Some(false);
        let [_, clients] = tables(&Outline::from(&plan), &trials).unwrap();
        let of_reads = ["20.0", "-", "50.0", "40.0->60.0"];
        assert_eq!(cells(&clients)[4..10], [&["900", "-"][..], &of_reads].concat(), "{clients}");
        let mixed = "a fault struck: these are over the whole window";
        let legend = crate::report::comparison::legend(&trials, Width::Whole);
        assert!(legend.replace('\n', " ").contains(mixed), "{legend}");
        let said = unrecovered(&Outline::from(&plan), &trials);
        let expected =
            "multi (live): no read from a was acknowledged again, after crash a, in 1 of 3 trials";
        assert_eq!(said, [expected]);
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
        let said = unrecovered(&Outline::from(&plan), &trials);
        let expected =
            "multi (live): no new leader within the trial, after crash a, in 2 of 3 trials";
        assert_eq!(said, [expected]);
        let [protocol, clients] = tables(&Outline::from(&plan), &trials).unwrap();
        assert_eq!((cells(&protocol)[2].as_str(), cells(&protocol)[11].as_str()), ("1050", "-"));
        // Two of them were away until the end.
        assert_eq!(cells(&clients)[4..6], [">900", "900->900"]);
        // One led, but no region got through to it.
        trials[0].recovery[0].new_leader = "r1".into();
        trials[1].recovery[0].recovered = Some(true);
        let said = unrecovered(&Outline::from(&plan), &trials);
        assert!(said[0].contains("no write from a was acknowledged again"), "{said:?}");
    }

    #[test]
    fn a_wait_that_hides_the_recovery_is_said_once() {
        let plan = plan();
        let trials = [1_900, 2_300, 2_100].into_iter().enumerate();
        let trials: Vec<Finished> = trials.map(|(at, ms)| finished(&plan, at, ms)).collect();
        assert_eq!(waits(&Outline::from(&plan), &trials[..1]), [""; 0]);
        let said = waits(&Outline::from(&plan), &trials);
        let begins =
            "multi (live): after crash a, clients in a waited 1400 ms for a retry or a redirect";
        assert!(said.len() == 1 && said[0].starts_with(begins), "{said:?}");
        assert!(said[0].contains("longer than the 1100 ms"), "{said:?}");
    }

    #[test]
    fn a_run_without_a_fault_has_no_such_table() {
        let plan = plan();
        let calm = Finished { recovery: vec![], ..finished(&plan, 0, 1) };
        assert!(tables(&Outline::from(&plan), &[calm]).is_none());
    }
}
