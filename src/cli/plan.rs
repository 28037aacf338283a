//! `flexpaxos plan`: what would run, and the closed-form prediction of every variant.

mod words;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;

use super::{Exit, Failure};
use crate::experiment::plan::{Plan, Point, Variant};
use crate::protocol::SendPolicy;
use crate::quorum::Family;
use crate::report::table::{counted, fold, table};
use crate::time::Span;
use crate::topology::Floor;

/// Shows what an experiment would run, and what the closed form predicts.
///
/// Nothing is started.
/// The floor of a client is the least commit latency that any implementation could have on these
/// links: network only, without processing, queueing and disks.
/// Where delays vary, it is told as its p50 and its p99.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  flexpaxos plan experiments/quickstart.toml
  flexpaxos plan experiments/quickstart.toml --order    with every trial in its order")]
pub(super) struct Show {
    /// The experiment file.
    experiment: PathBuf,

    /// Repeats every variant this often instead.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    trials: Option<u32>,

    /// Takes the size from the file's `[smoke]` section.
    #[arg(long)]
    smoke: bool,

    /// Lists every trial.
    #[arg(long)]
    order: bool,
}

impl Show {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<Exit, Failure> {
        let (source, plan) = super::open(&self.experiment, self.trials, self.smoke)?;
        writeln!(out, "experiment  {}", source.name())?;
        writeln!(out, "question    {}", fold(&plan.question, 12))?;
        writeln!(out, "prediction  {}\n", fold(&plan.prediction, 12))?;
        settings(&plan, out)?;
        sweep(&plan, out)?;
        variants(&plan, out)?;
        trials(&plan, out)?;
        for warning in plan.warnings() {
            writeln!(out, "WARNING: {}", fold(&warning, 9))?;
        }
        if let Some(refused) = plan.needs_simulator() {
            writeln!(out, "for the simulator alone: {}", refused.error)?;
        }
        if self.order {
            order(&plan, out)?;
        }
        Ok(Exit::Done)
    }
}

/// Says something about a point.
type Text = fn(&Point) -> String;

/// What the trials run with.
fn settings(plan: &Plan, out: &mut dyn Write) -> io::Result<()> {
    let texts: [(&str, Text); 8] = [
        ("latency", |point| point.profile.clone()),
        ("replicas", |point| point.links.replica_regions.join(", ")),
        ("clients", |point| point.links.client_regions.join(", ")),
        ("load", |point| words::arrival(&point.workload.arrival)),
        ("retries", |point| {
            format!("after {} without an answer", words::length(point.retry_after))
        }),
        ("durability", |point| words::durability(point.durability)),
        ("service", |point| words::service(&point.sim.service)),
        ("network", |point| words::network(&point.network, point.links.vary())),
    ];
    for (name, text) in texts {
        match common(plan, text) {
            Some(text) if text.is_empty() => {}
            Some(text) => writeln!(out, "{name:<12}{}", fold(&text, 12))?,
            // It follows from what is swept, so the sweep does not say it.
            None if name == "retries" => {
                for (number, point) in plan.points.iter().enumerate() {
                    let name = if number == 0 { name } else { "" };
                    writeln!(out, "{name:<12}{}: {}", point.label, text(point))?;
                }
            }
            None => writeln!(out, "{name:<12}as swept")?,
        }
    }
    Ok(())
}

/// The text that is the same at every point.
fn common(plan: &Plan, text: impl Fn(&Point) -> String) -> Option<String> {
    let first = text(&plan.points[0]);
    plan.points.iter().all(|point| text(point) == first).then_some(first)
}

/// Which keys are swept, each with all the values that it takes.
fn sweep(plan: &Plan, out: &mut dyn Write) -> io::Result<()> {
    let mut swept: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut seen = BTreeSet::new();
    for (path, value) in plan.points.iter().flat_map(|point| &point.settings) {
        if !seen.insert((path, value)) {
            continue;
        }
        match swept.iter_mut().find(|(known, _)| known == path) {
            Some((_, values)) => values.push(value),
            None => swept.push((path, vec![value])),
        }
    }
    for (number, (path, values)) in swept.into_iter().enumerate() {
        let name = if number == 0 { "sweep" } else { "" };
        writeln!(out, "{name:<12}{}", fold(&format!("{path} = {}", values.join(", ")), 12))?;
    }
    writeln!(out)
}

/// What is compared: once if it is the same at every point, else for each of them.
fn variants(plan: &Plan, out: &mut dyn Write) -> io::Result<()> {
    let first = &plan.points[0];
    let mut regions: Vec<&str> = Vec::new();
    for region in plan.points.iter().flat_map(|point| &point.links.client_regions) {
        if !regions.contains(&region.as_str()) {
            regions.push(region);
        }
    }
    let cells = |point: &Point| -> Vec<Vec<String>> {
        point.variants.iter().map(|variant| row(point, variant, &regions)).collect()
    };
    let common = cells(first);
    let is_common = plan.points.iter().all(|point| cells(point) == common);
    let mut header: Vec<String> =
        ["variant", "protocol", "|Q1|", "|Q2|", "send", "asked first"].map(str::to_owned).to_vec();
    let floors = || plan.points.iter().flat_map(|point| &point.variants).flat_map(|v| &v.floors);
    let percentiles = if floors().any(|floor| floor.p50 != floor.p99) { ", p50/p99" } else { "" };
    header.extend(regions.iter().map(|region| format!("floor {region} (ms{percentiles})")));
    let mut right: Vec<usize> = [2, 3].into_iter().chain(6..header.len()).collect();
    let mut rows = common;
    if !is_common {
        let labelled = |point: &Point| {
            let label = |row| [vec![point.label.clone()], row].concat();
            cells(point).into_iter().map(label).collect::<Vec<_>>()
        };
        rows = plan.points.iter().flat_map(labelled).collect();
        header.insert(0, "point".to_owned());
        right = right.into_iter().map(|column| column + 1).collect();
    }
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    writeln!(out, "{}", table(&header, &right, &rows))?;
    if is_common && plan.points.len() > 1 {
        let labels: Vec<&str> = plan.points.iter().map(|point| point.label.as_str()).collect();
        writeln!(out, "\n{} points, each with every variant:", labels.len())?;
        writeln!(out, "  {}", labels.join("\n  "))?;
    }
    unsafe_quorums(plan, out)
}

/// Which variants lose writes if they are unlucky.
fn unsafe_quorums(plan: &Plan, out: &mut dyn Write) -> io::Result<()> {
    let mut said = BTreeSet::new();
    for variant in plan.points.iter().flat_map(|point| &point.variants) {
        if let Some(disjoint) = variant.quorums.disjoint()
            && said.insert((&variant.name, disjoint.to_string()))
        {
            writeln!(out, "UNSAFE on purpose: {}: {disjoint}", variant.name)?;
        }
    }
    Ok(())
}

/// The cells of a variant; its floors for the clients in these regions.
fn row(point: &Point, variant: &Variant, regions: &[&str]) -> Vec<String> {
    let asked = variant.mode.asked().map_or("the nearest", |asked| point.region(asked));
    let send = match variant.send {
        SendPolicy::All => "all",
        SendPolicy::Quorum => "quorum",
    };
    let mut row = vec![
        variant.name.clone(),
        variant.mode.name().to_owned(),
        size(variant.quorums.phase1()),
        size(variant.quorums.phase2()),
        send.to_owned(),
        asked.to_owned(),
    ];
    row.extend(regions.iter().map(|region| {
        let client = point.links.client_regions.iter().position(|other| other == region);
        client.map_or_else(|| "-".to_owned(), |client| percentiles(variant.floors[client]))
    }));
    row
}

/// A floor in milliseconds; its p50 and p99 where they differ.
fn percentiles(Floor { p50, p99 }: Floor) -> String {
    let [p50, p99] = [p50, p99].map(|span| format!("{:.2}", span.as_millis_f64()));
    if p50 == p99 { p50 } else { format!("{p50}/{p99}") }
}

/// The size of a quorum; of listed ones the least and the greatest.
fn size(family: &Family) -> String {
    let (least, most) = family.sizes().into_inner();
    if most > least { format!("{least}-{most}") } else { least.to_string() }
}

fn trials(plan: &Plan, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "\n{}: {} x {} x {}, interleaved",
        counted(plan.trials.len(), "trial"),
        counted(plan.points[0].variants.len(), "variant"),
        counted(plan.points.len(), "point"),
        counted(plan.repeats, "repeat"),
    )?;
    let length = |span: fn(&Point) -> Span| {
        common(plan, |point| words::length(span(point))).unwrap_or_else(|| "as swept".to_owned())
    };
    writeln!(
        out,
        "each {} of warm-up, {} measured, at most {} for what is outstanding",
        length(|point| point.warmup),
        length(|point| point.duration),
        length(|point| point.drain),
    )?;
    if plan.points.iter().any(|point| point.variants.iter().any(|v| !v.faults.is_empty())) {
        writeln!(out, "into the measured time:")?;
    }
    match common(plan, |point| words::faults(point).join("\n  ")) {
        Some(lines) if lines.is_empty() => {}
        Some(lines) => writeln!(out, "  {lines}")?,
        None => {
            for point in &plan.points {
                for line in words::faults(point) {
                    writeln!(out, "  {}: {line}", point.label)?;
                }
            }
        }
    }
    writeln!(
        out,
        "expected time {}, and for each live trial some seconds to start, measure the links and stop",
        words::length(plan.expected_time())
    )
}

fn order(plan: &Plan, out: &mut dyn Write) -> io::Result<()> {
    let rows: Vec<Vec<String>> = plan
        .trials
        .iter()
        .map(|trial| {
            vec![
                trial.index.to_string(),
                trial.repeat.to_string(),
                plan.variant(trial).name.clone(),
                plan.point(trial).label.clone(),
                trial.seed.to_string(),
            ]
        })
        .collect();
    let header = ["trial", "repeat", "variant", "point", "seed"];
    writeln!(out, "\n{}", table(&header, &[0, 1, 4], &rows))
}
