//! The table at the end of a run: one line for every variant and client region, and what in it disagrees
//! with the floors.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use comfy_table::Table;

use super::table::table;
use crate::experiment::backend::Backend;
use crate::experiment::plan::{Plan, Trial};
use crate::experiment::residual::Disagreement;
use crate::experiment::run::Finished;
use crate::measure::{Latencies, Summary};
use crate::time::Span;

/// The comparison of all finished trials.
///
/// Histograms of the repeats are merged; percentiles are never averaged.
pub(super) fn comparison(plan: &Plan, finished: &[Finished]) -> Table {
    let mut groups: BTreeMap<_, Vec<&Finished>> = BTreeMap::new();
    for ended in finished {
        let Trial { point, variant, .. } = ended.trial;
        groups.entry((point, variant, ended.backend)).or_default().push(ended);
    }
    let backends: BTreeSet<Backend> = finished.iter().map(|ended| ended.backend).collect();
    let mut rows = Vec::new();
    for trials in groups.values() {
        for client in 0..plan.point(&trials[0].trial).links.client_regions.len() {
            rows.push(row(plan, client, trials, backends.len() > 1));
        }
    }
    let header = [
        "variant", "Q1/Q2", "client", "rate 1/s", "floor", "p50", "over", "spread", "p99", "over",
        "valid",
    ];
    table(&header, &[1, 3, 4, 5, 6, 7, 8, 9], &rows)
}

/// What the columns of the comparison mean.
pub(super) const LEGEND: &str = "\
latencies in ms, from the intended start to the reply; floor: the network alone, at the median; over:
above the floor of the same percentile; spread: between the medians of the trials; rate: offered/achieved;
valid: of so many trials (*: the machine could not keep up with one; ?: the network was not measured)";

/// What disagrees with the floors: a line for each variant and client region, about the gravest of its
/// trials, and then once what to make of it.
pub(super) fn disagreements(plan: &Plan, finished: &[Finished]) -> Vec<String> {
    let mut trial_counts: BTreeMap<_, usize> = BTreeMap::new();
    let mut groups: BTreeMap<_, Vec<&Disagreement>> = BTreeMap::new();
    for ended in finished.iter().filter(|ended| ended.row.valid) {
        let of = (ended.trial.point, ended.trial.variant, ended.backend);
        *trial_counts.entry(of).or_default() += 1;
        for found in &ended.disagreements {
            groups.entry((of, &found.client_region)).or_default().push(found);
        }
    }
    let line = |((of, region), found): ((_, &String), Vec<&Disagreement>)| {
        let (point, variant, backend): (usize, usize, Backend) = of;
        let point = &plan.points[point];
        let name = line_name(&point.variants[variant].name, &point.label);
        let trials = match trial_counts[&of] {
            1 => String::new(),
            count => format!(", {} of {count} trials", found.len()),
        };
        let gravest =
            found.iter().min_by_key(|it| (it.kind, Reverse(it.residual_ns.unsigned_abs())))?;
        Some(format!("{name}, {region} ({}{trials}): {gravest}", backend.name()))
    };
    let advice: BTreeSet<&str> = groups.values().flatten().map(|found| found.advice()).collect();
    groups.into_iter().filter_map(line).chain(advice.into_iter().map(str::to_owned)).collect()
}

fn row(plan: &Plan, client: usize, trials: &[&Finished], is_of_many: bool) -> Vec<String> {
    let Finished { trial, backend, .. } = trials[0];
    let (point, variant) = (plan.point(trial), plan.variant(trial));
    let valid: Vec<&Finished> = trials.iter().copied().filter(|ended| ended.row.valid).collect();
    let (merged, medians) = merged(valid.iter().copied(), client);
    let summary = Summary::of(&merged);
    let floor = variant.floors[client];
    let over = |latency: Option<u64>, floor: Span| {
        latency.map_or_else(
            || "-".into(),
            |ns| format!("{:+.2}", ns as f64 / 1e6 - floor.as_millis_f64()),
        )
    };
    let mut name = line_name(&variant.name, &point.label);
    if is_of_many {
        name = format!("{name} ({})", backend.name());
    }
    vec![
        name,
        format!("{}/{}", variant.quorums.phase1().min_size(), variant.quorums.phase2().min_size()),
        point.links.client_regions[client].clone(),
        rates(&valid),
        milliseconds(Some(floor.p50.0)),
        milliseconds(summary.p50),
        over(summary.p50, floor.p50),
        spread(&medians),
        milliseconds(summary.p99),
        over(summary.p99, floor.p99),
        validity(&valid, trials.len()),
    ]
}

/// How many are valid, marked where the machine could not keep up with one of them, and where the network
/// of one was not measured.
fn validity(valid: &[&Finished], count: usize) -> String {
    let mut text = format!("{}/{count}", valid.len());
    if valid.iter().any(|ended| ended.row.saturated == Some(true)) {
        text.push('*');
    }
    if valid.iter().any(|ended| ended.row.network == "unverified") {
        text.push('?');
    }
    text
}

/// The writes of one client in all these trials, and the median of each trial.
pub(super) fn merged<'a>(
    valid: impl Iterator<Item = &'a Finished>,
    client: usize,
) -> (Latencies, Vec<Span>) {
    let (mut merged, mut medians) = (Latencies::new(), Vec::new());
    for latencies in valid.filter_map(|ended| ended.writes.get(client)) {
        merged.merge(latencies);
        medians.extend(latencies.quantile(0.5));
    }
    (merged, medians)
}

/// What a line is called: the variant, and the point if something is swept.
pub(super) fn line_name(variant: &str, label: &str) -> String {
    match label {
        "" => variant.to_owned(),
        label => format!("{variant} {label}"),
    }
}

/// Offered and achieved over all client regions and trials; a closed loop offers nothing.
fn rates(valid: &[&Finished]) -> String {
    let mean = |field: fn(&Finished) -> Option<f64>| {
        let rates: Vec<f64> = valid.iter().filter_map(|ended| field(ended)).collect();
        let sum: f64 = rates.iter().sum();
        (!rates.is_empty()).then(|| format!("{:.1}", sum / rates.len() as f64))
    };
    let offered = mean(|ended| ended.row.offered_per_s).unwrap_or_else(|| "-".into());
    let achieved = mean(|ended| ended.row.achieved_per_s).unwrap_or_else(|| "-".into());
    format!("{offered}/{achieved}")
}

/// Between the least and the greatest of the medians.
fn spread(medians: &[Span]) -> String {
    match (medians.iter().min(), medians.iter().max()) {
        (Some(least), Some(most)) if medians.len() > 1 => {
            format!("{:.2}", (*most - *least).as_millis_f64())
        }
        _ => "-".into(),
    }
}

/// Nanoseconds as milliseconds; below a millisecond with more digits.
pub(super) fn milliseconds(nanoseconds: Option<u64>) -> String {
    match nanoseconds {
        None => "-".into(),
        Some(ns) if ns != 0 && ns < 10_000_000 => format!("{:.3}", ns as f64 / 1e6),
        Some(ns) => format!("{:.2}", ns as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::experiment::file::Source;
    use crate::experiment::plan::Size;
    use crate::experiment::residual::{Kind, LeftOut};
    use crate::measure::rows::TrialRow;

    const EXPERIMENT: &str = r#"
question = "Which?"
prediction = "That."
trials = 2

[topology]
profile = "uniform:20ms"
replicas = ["a", "b", "c"]
clients = ["a", "elsewhere"]

[workload]
arrival = { poisson = { rate_per_s = 100 } }
duration = "1s"

[[variant]]
name = "multi"
protocol = { multi = { leader = "a" } }
quorums = { majority = {} }
"#;

    fn plan() -> Plan {
        let source = Source { path: PathBuf::from("made-up.toml"), text: EXPERIMENT.into() };
        Plan::from_source(&source, Size::default()).unwrap()
    }

    /// A trial in which every write of each client took this long.
    fn finished(plan: &Plan, trial: usize, took: [Span; 2], valid: bool) -> Finished {
        let writes = took.map(|span| {
            let mut latencies = Latencies::new();
            latencies.record(span);
            latencies
        });
        let row = TrialRow {
            valid,
            offered_per_s: valid.then_some(100.0),
            achieved_per_s: valid.then_some(99.5),
            ..TrialRow::default()
        };
        Finished {
            trial: plan.trials[trial],
            backend: Backend::Live,
            row,
            writes: if valid { writes.into() } else { Vec::new() },
            disagreements: vec![],
            recovery: vec![],
            probes: None,
            violations: vec![],
            unfit: vec![],
        }
    }

    /// The cells of each line below the header.
    fn cells(table: &Table) -> Vec<Vec<String>> {
        let text = table.to_string();
        let lines = text.lines().skip(2);
        lines.map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
    }

    #[test]
    fn every_client_has_a_line_with_both_trials_merged() {
        let plan = plan();
        let ms = Span::from_millis;
        let finished = [
            finished(&plan, 0, [ms(21), ms(45)], true),
            finished(&plan, 1, [ms(23), ms(45)], true),
        ];
        let table = comparison(&plan, &finished);
        let lines = cells(&table);
        assert_eq!(lines.len(), 2, "{table}");
        assert_eq!(lines[0][..4], ["multi", "2/2", "a", "100.0/99.5"]);
        // The upper ends of the histogram's buckets, which are a thousandth wide.
        let expected = ["20.00", "21.00", "+1.00", "2.00", "23.00", "+3.00", "2/2"];
        assert_eq!(lines[0][4..], expected, "{table}");
        assert_eq!((lines[1][2].as_str(), lines[1][9].as_str()), ("elsewhere", "+5.02"));
    }

    #[test]
    fn a_saturated_trial_is_counted_beside_the_valid_ones() {
        let plan = plan();
        let ms = Span::from_millis;
        let mut trials = [0, 1].map(|trial| finished(&plan, trial, [ms(21), ms(45)], true));
        trials[1].row.saturated = Some(true);
        let text = comparison(&plan, &trials).to_string();
        assert!(text.contains("2/2*"), "{text}");
        trials[1].row.saturated = Some(false);
        assert!(!comparison(&plan, &trials).to_string().contains("2/2*"));
    }

    #[test]
    fn an_invalid_trial_is_counted_and_gives_no_numbers() {
        let plan = plan();
        let ms = Span::from_millis;
        let valid = finished(&plan, 0, [ms(21), ms(45)], true);
        let invalid = finished(&plan, 1, [ms(1), ms(1)], false);
        let lines = cells(&comparison(&plan, &[valid, invalid]));
        assert_eq!((lines[0][10].as_str(), lines[0][5].as_str()), ("1/2", "21.00"));
        let invalid = finished(&plan, 1, [ms(1), ms(1)], false);
        let lines = cells(&comparison(&plan, &[invalid]));
        assert_eq!(lines[0][3..], ["-/-", "20.00", "-", "-", "-", "-", "-", "0/1"]);
    }

    #[test]
    fn a_variant_and_client_has_one_line_for_what_disagrees_in_all_its_trials() {
        let plan = plan();
        let ms = Span::from_millis;
        let mut trials: Vec<Finished> =
            (0..2).map(|trial| finished(&plan, trial, [ms(21), ms(45)], true)).collect();
        assert_eq!(disagreements(&plan, &trials), [""; 0]);
        for (trial, kind, residual_ns) in
            [(0, Kind::Unexplained, 9_000_000), (1, Kind::Impossible, -2_000_000)]
        {
            let client_region = "elsewhere".to_owned();
            let left_out = LeftOut::default();
            trials[trial].disagreements =
                vec![Disagreement { client_region, kind, residual_ns, left_out }];
        }
        let lines = disagreements(&plan, &trials);
        // Two kinds are advised on, in one line each.
        assert_eq!(lines.len(), 3, "{lines:?}");
        let begins = "multi, elsewhere (live, 2 of 2 trials): p50 2.00ms below its floor";
        assert!(lines[0].starts_with(begins), "{lines:?}");
        assert!(lines[1].starts_with("impossible on") && lines[2].starts_with("unexplained"));
        trials[1].disagreements[0].client_region = "a".to_owned();
        let lines = disagreements(&plan, &trials);
        assert_eq!(lines.len(), 4, "{lines:?}");
        assert!(lines[1].contains("(live, 1 of 2 trials): p50 9.00ms above"), "{lines:?}");
    }
}
