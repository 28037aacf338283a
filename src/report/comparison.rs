//! The table at the end of a run: one line for every variant, client region and kind of operation, and
//! what in it disagrees with the floors.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::outline::Outline;
use super::table::{self, Column, Table, Width, figure, milliseconds, over};
use crate::experiment::trial::Trial;
use crate::findings::Finished;
use crate::findings::rows::{Disagreement, Measured};
use crate::measure::{Figure, Latencies, OperationKind};
use crate::trial::Backend;

/// The comparison of all finished trials.
///
/// Histograms of the repeats are merged; percentiles are never averaged.
pub fn comparison(plan: &Outline, finished: &[Finished]) -> Table {
    let backends: BTreeSet<Backend> = finished.iter().map(|ended| ended.backend).collect();
    let mut rows = Vec::new();
    for trials in groups(finished).values() {
        for client in 0..plan.point(&trials[0].trial).client_regions.len() {
            rows.extend(Line { plan, trials, client }.rows());
        }
    }
    let columns = [
        Column::name("variant"),
        Column::text("backend").only_if(backends.len() > 1),
        Column::number("Q1/Q2").rank(6),
        Column::name("client"),
        // Without reads all are writes, as the legend says.
        Column::text("op").only_if(kinds(finished).len() > 1),
        Column::number("rate").rank(3),
        Column::number("attempts").rank(1).only_if(has_attempts(finished)),
        Column::number("floor").rank(5),
        Column::number("p50"),
        Column::number("over").rank(7),
        Column::number("spread").rank(2),
        Column::number("p99").rank(8),
        Column::number("over p99").rank(4),
        Column::text("valid"),
    ];
    Table::new(plan.columns().into_iter().chain(columns).collect(), rows)
}

/// The trials of each variant at each point in each world.
pub fn groups(finished: &[Finished]) -> BTreeMap<(usize, usize, Backend), Vec<&Finished>> {
    let mut groups: BTreeMap<_, Vec<&Finished>> = BTreeMap::new();
    for ended in finished {
        let Trial { point, variant, .. } = ended.trial;
        groups.entry((point, variant, ended.backend)).or_default().push(ended);
    }
    groups
}

/// Whether proposers raced, so that a write may take several attempts.
fn has_attempts(finished: &[Finished]) -> bool {
    finished.iter().any(|ended| ended.row.attempts_per_write.is_some())
}

/// The kinds of operations of which some trial has a latency; writes if none has any.
pub fn kinds(finished: &[Finished]) -> Vec<OperationKind> {
    let found: BTreeSet<OperationKind> = measured(finished)
        .flat_map(|measured| &measured.latencies)
        .map(|(operation, _)| *operation)
        .collect();
    if found.is_empty() { vec![OperationKind::Write] } else { found.into_iter().collect() }
}

fn measured(finished: &[Finished]) -> impl Iterator<Item = &Measured> {
    finished.iter().flat_map(|ended| &ended.measured)
}

/// What the columns of the comparison mean, and the marks that are in it.
pub fn legend(finished: &[Finished], width: Width) -> String {
    let mut latencies = measured(finished).flat_map(|measured| &measured.latencies);
    let kinds = kinds(finished);
    let whose = match kinds[..] {
        [OperationKind::Write] => "latencies of writes",
        [OperationKind::Read] => "latencies of reads",
        _ => "latencies",
    };
    let mut text = format!(
        "{whose} in ms, from the intended start to the reply, all valid trials merged; floor: the network \
         alone, at the median; \
         over: p50 above the floor; spread: between the medians of the trials; p99: - with fewer than \
         1,000 operations, of which ten lie beyond it; over p99: above the floor at p99; rate: \
         operations a second of all clients together, offered/achieved; valid: of so many trials (*: one is saturated; ?: the \
         network was not measured)"
    );
    if kinds.contains(&OperationKind::Control) {
        text.push_str(
            "; control: operations that the replica answers at once, without a quorum, a log or a disk: how they \
             differ above their floors is noise of the machine and the path",
        );
    }
    if has_attempts(finished) {
        text.push_str("; attempts: how often a write was proposed, in the mean");
    }
    if latencies.any(|(_, latencies)| latencies.unanswered_count() > 0) {
        text.push_str(
            "; >: more than this, for which operations were waited that were never answered: they rank \
             as infinite",
        );
    }
    if finished.iter().any(|ended| !ended.recovery.is_empty()) {
        text.push_str(
            "; a fault struck: these are over the whole window, outage included; the table of what clients saw \
             has the medians before it",
        );
    }
    if measured(finished).any(|measured| measured.omission.is_some()) {
        text.push_str(
            "; ~: what an open loop would have measured where all clients of the closed loop above were \
             blocked for more than ten times its usual p99, by the correction for coordinated omission",
        );
    }
    table::legend(&text, width)
}

/// What disagrees with the floors: a line for each variant and client region, about the gravest of its
/// trials, and then once what to make of it.
pub fn disagreements(plan: &Outline, finished: &[Finished]) -> Vec<String> {
    let mut trial_counts: BTreeMap<_, usize> = BTreeMap::new();
    let mut groups: BTreeMap<_, Vec<&Disagreement>> = BTreeMap::new();
    for ended in finished.iter().filter(|ended| ended.row.valid) {
        let of = (ended.trial.point, ended.trial.variant, ended.backend);
        *trial_counts.entry(of).or_default() += 1;
        for found in &ended.disagreements {
            let whose = (&found.client_region, found.is_control);
            groups.entry((of, whose)).or_default().push(found);
        }
    }
    let line = |((of, (region, _)), found): ((_, (&String, bool)), Vec<&Disagreement>)| {
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

/// The trials of one variant at one point in one world, and one of its client regions.
struct Line<'a> {
    plan: &'a Outline,
    trials: &'a [&'a Finished],
    client: usize,
}

impl Line<'_> {
    /// A row for each kind of operation.
    fn rows(&self) -> Vec<Vec<String>> {
        let mut of_region = self.valid().filter_map(|ended| ended.measured.get(self.client));
        let omits = of_region.any(|measured| measured.omission.is_some());
        let of_kind = |kind: OperationKind| {
            let open_loop = (omits && kind.is_load()).then(|| self.row(kind, true));
            std::iter::once(self.row(kind, false)).chain(open_loop)
        };
        kinds_of_client(self.trials, self.client).into_iter().flat_map(of_kind).collect()
    }

    fn valid(&self) -> impl Iterator<Item = &Finished> {
        self.trials.iter().copied().filter(|ended| ended.row.valid)
    }

    /// The row of one kind of operation: as measured, or as an open loop would have measured it.
    fn row(&self, operation: OperationKind, as_open_loop: bool) -> Vec<String> {
        let Finished { trial, backend, .. } = self.trials[0];
        let (point, variant) = (self.plan.point(trial), self.plan.variant(trial));
        let valid: Vec<&Finished> = self.valid().collect();
        let (merged, medians) = merged(valid.iter().copied(), self.client, operation, as_open_loop);
        let (p50, p99) = (merged.percentile(0.5), merged.percentile(0.99));
        let floor = variant.floor(self.client, operation);
        let mark = if as_open_loop { " ~" } else { "" };
        let attempts = mean(&valid, |ended| ended.row.attempts_per_write);
        let attempts = attempts.filter(|_| operation.is_load());
        let cells = vec![
            format!("{}{mark}", variant.name),
            backend.name().to_owned(),
            format!("{}/{}", variant.q1, variant.q2),
            point.client_regions[self.client].clone(),
            operation.name().to_owned(),
            if as_open_loop || !operation.is_load() { "-".into() } else { rates(&valid) },
            attempts.map_or_else(|| "-".into(), |attempts| format!("{attempts:.2}")),
            milliseconds(floor.map(|floor| floor.p50.0)),
            figure(p50),
            over(p50, floor.map(|floor| floor.p50)),
            spread(&medians),
            figure(p99),
            over(p99, floor.map(|floor| floor.p99)),
            validity(&valid, self.trials.len()),
        ];
        [self.plan.cells(trial.point), cells].concat()
    }
}

/// The kinds of operations that this client has latencies of in valid trials; writes if it has none.
pub fn kinds_of_client(trials: &[&Finished], client: usize) -> Vec<OperationKind> {
    let valid = || trials.iter().filter(|ended| ended.row.valid);
    let of_client = || valid().filter_map(|ended| ended.measured.get(client));
    let is_there = |wanted: &OperationKind| {
        let mut kinds = of_client().flat_map(|measured| &measured.latencies);
        kinds.any(|(operation, _)| operation == wanted)
    };
    let kinds: Vec<_> = OperationKind::ALL.into_iter().filter(is_there).collect();
    if kinds.is_empty() { vec![OperationKind::Write] } else { kinds }
}

/// How many are valid, marked where one of them did not keep up with its load, and where the network
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

/// The operations of one kind of one client in all these trials, and the median of each trial.
///
/// As an open loop would have measured them, those that omit a pause are corrected.
pub fn merged<'a>(
    valid: impl Iterator<Item = &'a Finished>,
    client: usize,
    operation: OperationKind,
    as_open_loop: bool,
) -> (Latencies, Vec<Figure>) {
    let (mut merged, mut medians) = (Latencies::new(), Vec::new());
    for measured in valid.filter_map(|ended| ended.measured.get(client)) {
        let of_kind = measured.latencies.iter().filter(|(kind, _)| *kind == operation);
        for (_, latencies) in of_kind {
            let as_open = || measured.as_open_loop(operation, latencies);
            let corrected = as_open_loop.then(as_open).flatten();
            let latencies = corrected.as_ref().unwrap_or(latencies);
            merged.merge(latencies);
            medians.extend(latencies.figure(0.5));
        }
    }
    (merged, medians)
}

/// What a line is called: the variant, and the point if something is swept.
pub fn line_name(variant: &str, label: &str) -> String {
    match label {
        "" => variant.to_owned(),
        label => format!("{variant} {label}"),
    }
}

/// Offered and achieved over all client regions and trials; a closed loop offers nothing.
fn rates(valid: &[&Finished]) -> String {
    let offered = mean(valid, |ended| ended.row.offered_per_s);
    let achieved = mean(valid, |ended| ended.row.achieved_per_s);
    let [offered, achieved] = [offered, achieved]
        .map(|rate| rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}")));
    format!("{offered}/{achieved}")
}

/// The mean of a field over the trials that have it.
pub fn mean(valid: &[&Finished], field: fn(&Finished) -> Option<f64>) -> Option<f64> {
    let figures: Vec<f64> = valid.iter().filter_map(|ended| field(ended)).collect();
    (!figures.is_empty()).then(|| figures.iter().sum::<f64>() / figures.len() as f64)
}

/// Between the least and the greatest of the medians; `>` where the greatest is not known.
fn spread(medians: &[Figure]) -> String {
    let known = || medians.iter().filter_map(|median| median.known());
    let unknown = medians.iter().filter_map(|median| match median {
        Figure::Above(span) => Some(*span),
        Figure::Known(_) => None,
    });
    let (Some(least), true) = (known().min(), medians.len() > 1) else { return "-".into() };
    match (unknown.max(), known().max()) {
        (Some(bound), _) => format!(">{:.2}", (bound - least).as_millis_f64()),
        (None, Some(most)) => format!("{:.2}", (most - least).as_millis_f64()),
        (None, None) => "-".into(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::experiment::file::Source;
    use crate::experiment::plan::{Plan, Size};
    use crate::findings::rows::{Kind, LeftOut};
    use crate::measure::Omission;
    use crate::measure::rows::TrialRow;
    use crate::time::Span;

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
        let measured = took.map(|span| {
            let mut latencies = Latencies::new();
            (0..500).for_each(|_| latencies.record(span));
            Measured { latencies: vec![(OperationKind::Write, latencies)], ..Measured::default() }
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
            measured: if valid { measured.into() } else { Vec::new() },
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
        let table = comparison(&Outline::from(&plan), &finished);
        let lines = cells(&table);
        assert_eq!(lines.len(), 2, "{table}");
        assert_eq!(lines[0][..4], ["multi", "2/2", "a", "100.0/99.5"]);
        // The upper ends of the histogram's buckets, which are a thousandth wide.
        let expected = ["20.00", "21.00", "+1.00", "2.00", "23.00", "+3.00", "2/2"];
        assert!(legend(&finished, Width::Whole).starts_with("latencies of writes in ms"));
        assert_eq!(lines[0][4..], expected, "{table}");
        assert_eq!((lines[1][2].as_str(), lines[1][9].as_str()), ("elsewhere", "+5.02"));
    }

    #[test]
    fn an_unanswered_operation_ranks_last_in_the_table() {
        let plan = plan();
        let ms = Span::from_millis;
        let mut trials = [0, 1].map(|trial| finished(&plan, trial, [ms(21), ms(45)], true));
        let (_, latencies) = &mut trials[1].measured[0].latencies[0];
        (0..600).for_each(|_| latencies.record_unanswered(ms(900)));
        let table = comparison(&Outline::from(&plan), &trials);
        let lines = cells(&table);
        // Of 1,600 the median is known, of the 1,100 of the second trial it is not.
        let expected = ["20.00", "21.00", "+1.00", ">879.00", ">900.00", ">+880.00", "2/2"];
        assert_eq!(lines[0][4..].len(), expected.len(), "{table}");
        assert_eq!((lines[0][5].as_str(), lines[0][6].as_str()), (expected[1], expected[2]));
        assert!(lines[0][7].starts_with(">87") && lines[0][8].starts_with(">8"), "{table}");
        assert!(lines[0][9].starts_with(">+8") && !lines[1][8].starts_with('>'), "{table}");
        let said = legend(&trials, Width::Whole);
        assert!(said.contains("rank as") && said.lines().all(|line| line.len() <= 100), "{said}");
    }

    #[test]
    fn reads_have_rows_of_their_own() {
        let plan = plan();
        let ms = Span::from_millis;
        let mut trials = [finished(&plan, 0, [ms(21), ms(45)], true)];
        let mut reads = Latencies::new();
        reads.record(ms(7));
        trials[0].measured[1].latencies.push((OperationKind::Read, reads));
        let lines = cells(&comparison(&Outline::from(&plan), &trials));
        let of: Vec<_> = lines.iter().map(|line| (line[2].as_str(), line[3].as_str())).collect();
        assert_eq!(of, [("a", "write"), ("elsewhere", "write"), ("elsewhere", "read")]);
        assert_eq!((lines[1][6].as_str(), lines[2][6].as_str()), ("45.02", "7.000"));
        assert!(legend(&trials, Width::Whole).starts_with("latencies in ms"));
    }

    #[test]
    fn controls_have_rows_with_a_floor_and_without_a_rate() {
        let plan = plan();
        let ms = Span::from_millis;
        let mut trials = [finished(&plan, 0, [ms(41), ms(45)], true)];
        let mut controls = Latencies::new();
        controls.record(ms(23));
        trials[0].measured[1].latencies.push((OperationKind::Control, controls));
        let lines = cells(&comparison(&Outline::from(&plan), &trials));
        let of: Vec<_> = lines.iter().map(|line| (line[2].as_str(), line[3].as_str())).collect();
        assert_eq!(of, [("a", "write"), ("elsewhere", "write"), ("elsewhere", "control")]);
        // The way to the leader and back, of which a write takes two.
        let (write, control) = (&lines[1][4..8], &lines[2][4..8]);
        assert_eq!((write[0].as_str(), write[1].as_str()), ("100.0/99.5", "40.00"));
        assert_eq!(control, ["-", "20.00", "23.00", "+3.00"]);
        let legend = legend(&trials, Width::Whole);
        assert!(legend.contains("control:"), "{legend}");
    }

    #[test]
    fn a_blocked_closed_loop_stands_beside_its_open_loop() {
        let plan = plan();
        let ms = Span::from_millis;
        let mut trials = [finished(&plan, 0, [ms(21), ms(45)], true)];
        let measured = &mut trials[0].measured[0];
        let (_, latencies) = &mut measured.latencies[0];
        (0..600).for_each(|_| latencies.record(ms(21)));
        latencies.record(ms(21_000));
        measured.omission = Omission::of(ms(21_000), latencies);
        let table = comparison(&Outline::from(&plan), &trials);
        let lines = cells(&table);
        assert_eq!((lines[0][8].as_str(), lines[1][1].as_str()), ("21.00", "~"), "{table}");
        // About a thousand writes were not begun, the first of which would have waited for 21 s.
        let p99: f64 = lines[1][9].parse().unwrap();
        assert!((20_000.0..21_000.0).contains(&p99), "{table}");
        assert!(legend(&trials, Width::Whole).contains("coordinated omission"));
    }

    #[test]
    fn a_saturated_trial_is_counted_beside_the_valid_ones() {
        let plan = plan();
        let ms = Span::from_millis;
        let mut trials = [0, 1].map(|trial| finished(&plan, trial, [ms(21), ms(45)], true));
        trials[1].row.saturated = Some(true);
        let text = comparison(&Outline::from(&plan), &trials).to_string();
        assert!(text.contains("2/2*"), "{text}");
        trials[1].row.saturated = Some(false);
        assert!(!comparison(&Outline::from(&plan), &trials).to_string().contains("2/2*"));
    }

    #[test]
    fn an_invalid_trial_is_counted_and_gives_no_numbers() {
        let plan = plan();
        let ms = Span::from_millis;
        let valid = finished(&plan, 0, [ms(21), ms(45)], true);
        let invalid = finished(&plan, 1, [ms(1), ms(1)], false);
        let lines = cells(&comparison(&Outline::from(&plan), &[valid, invalid]));
        assert_eq!((lines[0][10].as_str(), lines[0][5].as_str()), ("1/2", "21.00"));
        // The 99th percentile needs more than 500 writes.
        assert_eq!((lines[0][8].as_str(), lines[0][9].as_str()), ("-", "-"));
        let invalid = finished(&plan, 1, [ms(1), ms(1)], false);
        let lines = cells(&comparison(&Outline::from(&plan), &[invalid]));
        assert_eq!(lines[0][3..], ["-/-", "20.00", "-", "-", "-", "-", "-", "0/1"]);
    }

    #[test]
    fn a_variant_and_client_has_one_line_for_what_disagrees_in_all_its_trials() {
        let plan = plan();
        let ms = Span::from_millis;
        let mut trials: Vec<Finished> =
            (0..2).map(|trial| finished(&plan, trial, [ms(21), ms(45)], true)).collect();
        assert_eq!(disagreements(&Outline::from(&plan), &trials), [""; 0]);
        for (trial, kind, residual_ns) in
            [(0, Kind::Unexplained, 9_000_000), (1, Kind::Impossible, -2_000_000)]
        {
            let client_region = "elsewhere".to_owned();
            let left_out = LeftOut::default();
            trials[trial].disagreements = vec![Disagreement {
                client_region,
                is_control: false,
                kind,
                residual_ns,
                left_out,
            }];
        }
        let lines = disagreements(&Outline::from(&plan), &trials);
        // Two kinds are advised on, in one line each.
        assert_eq!(lines.len(), 3, "{lines:?}");
        let begins = "multi, elsewhere (live, 2 of 2 trials): p50 2.00ms below its floor";
        assert!(lines[0].starts_with(begins), "{lines:?}");
        assert!(lines[1].starts_with("impossible on") && lines[2].starts_with("unexplained"));
        trials[1].disagreements[0].client_region = "a".to_owned();
        let lines = disagreements(&Outline::from(&plan), &trials);
        assert_eq!(lines.len(), 4, "{lines:?}");
        assert!(lines[1].contains("(live, 1 of 2 trials): p50 9.00ms above"), "{lines:?}");
        let mut control = trials[1].disagreements[0].clone();
        control.is_control = true;
        trials[1].disagreements.push(control);
        let lines = disagreements(&Outline::from(&plan), &trials);
        assert_eq!(lines.len(), 5, "{lines:?}");
        assert!(lines[1].contains("(live, 1 of 2 trials): control p50 2.00ms below"), "{lines:?}");
    }
}
