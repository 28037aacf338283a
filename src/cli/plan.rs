//! `flexpaxos plan`: what would run, and the closed-form prediction of every variant.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;

use super::table::{counted, fold, table};
use super::{Exit, Failure};
use crate::deployment::{Durability, Fault, Harm};
use crate::experiment::plan::{Plan, Point, Variant};
use crate::paxos::{Mode, SendPolicy};
use crate::quorum::Family;
use crate::time::Span;
use crate::workload::Arrival;

/// Shows what an experiment would run, and what the closed form predicts.
///
/// Nothing is started.
/// The floor of a client is the least commit latency that any implementation could have on these
/// links: network only, without processing, queueing and disks.
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
        let point = &plan.points[0];
        places(&plan, point, out)?;
        variants(point, out)?;
        if plan.points.len() > 1 {
            let labels: Vec<&str> = plan.points.iter().map(|point| point.label.as_str()).collect();
            writeln!(out, "\n{} points, each with every variant:", labels.len())?;
            writeln!(out, "  {}", labels.join("\n  "))?;
        }
        trials(&plan, point, out)?;
        if self.order {
            order(&plan, out)?;
        }
        Ok(Exit::Done)
    }
}

fn places(plan: &Plan, point: &Point, out: &mut dyn Write) -> io::Result<()> {
    let links = &point.links;
    writeln!(out, "latency     {}", point.profile)?;
    writeln!(out, "replicas    {}", links.replica_regions.join(", "))?;
    writeln!(out, "clients     {}", links.client_regions.join(", "))?;
    if let [point] = plan.points.as_slice() {
        writeln!(out, "load        {}", arrival(&point.workload.arrival))?;
        writeln!(out, "durability  {}", durability(point.durability))?;
    }
    writeln!(out)
}

fn arrival(arrival: &Arrival) -> String {
    match arrival {
        Arrival::Poisson { rate_per_s } => format!("{rate_per_s} a second in total, Poisson"),
        Arrival::Fixed { rate_per_s } => format!("{rate_per_s} a second in total, evenly spaced"),
        Arrival::Closed { clients } => format!("{clients} outstanding in total"),
    }
}

const fn durability(mode: Durability) -> &'static str {
    match mode {
        Durability::Memory => "memory",
        Durability::Fsync => "fsync",
    }
}

fn variants(point: &Point, out: &mut dyn Write) -> io::Result<()> {
    let floors = point.links.client_regions.iter().map(|region| format!("floor {region} (ms)"));
    let mut header: Vec<String> =
        ["variant", "protocol", "|Q1|", "|Q2|", "send", "leader"].map(str::to_owned).to_vec();
    header.extend(floors);
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let right: Vec<usize> = [2, 3].into_iter().chain(6..header.len()).collect();
    let rows: Vec<Vec<String>> = point.variants.iter().map(|variant| row(point, variant)).collect();
    writeln!(out, "{}", table(&header, &right, &rows))?;
    for variant in point.variants.iter().filter(|variant| variant.unsafe_quorums) {
        if let Some(disjoint) = variant.quorums.disjoint() {
            writeln!(out, "UNSAFE on purpose: {}: {disjoint}", variant.name)?;
        }
    }
    Ok(())
}

fn row(point: &Point, variant: &Variant) -> Vec<String> {
    let (protocol, leader) = match variant.mode {
        Mode::Classic => ("classic", "whoever is asked"),
        Mode::Multi { leader } => ("multi", point.region(leader)),
    };
    let send = match variant.send {
        SendPolicy::All => "all",
        SendPolicy::Quorum => "quorum",
    };
    let mut row = vec![
        variant.name.clone(),
        protocol.to_owned(),
        size(variant.quorums.phase1()),
        size(variant.quorums.phase2()),
        send.to_owned(),
        leader.to_owned(),
    ];
    row.extend(variant.floors.iter().map(|floor| format!("{:.2}", floor.as_millis_f64())));
    row
}

/// The size of a quorum; of listed ones the least and the greatest.
fn size(family: &Family) -> String {
    let least = family.min_size();
    match family {
        Family::Count(_) => least.to_string(),
        Family::Sets(sets) => match sets.iter().map(|set| set.len()).max() {
            Some(most) if most > least => format!("{least}-{most}"),
            _ => least.to_string(),
        },
    }
}

fn trials(plan: &Plan, point: &Point, out: &mut dyn Write) -> io::Result<()> {
    let length = |span: Span| humantime::format_duration(span.into());
    writeln!(
        out,
        "\n{}: {} x {} x {}, interleaved",
        counted(plan.trials.len(), "trial"),
        counted(point.variants.len(), "variant"),
        counted(plan.points.len(), "point"),
        counted(plan.repeats, "repeat"),
    )?;
    writeln!(
        out,
        "each {} of warm-up, {} measured, at most {} for what is outstanding",
        length(point.warmup),
        length(point.duration),
        length(point.drain),
    )?;
    for line in faults(point) {
        writeln!(out, "{line}")?;
    }
    writeln!(
        out,
        "expected time {}, and some seconds to start and stop",
        length(plan.expected_time())
    )
}

/// What goes wrong, in words; with the names of the variants where it is not the same in all of them.
fn faults(point: &Point) -> Vec<String> {
    let mut lines: Vec<(String, Vec<&str>)> = Vec::new();
    for variant in &point.variants {
        for fault in &variant.faults {
            let text = fault_text(point, fault);
            match lines.iter_mut().find(|(line, _)| *line == text) {
                Some((_, names)) => names.push(&variant.name),
                None => lines.push((text, vec![&variant.name])),
            }
        }
    }
    let line = |(text, names): (String, Vec<&str>)| {
        let is_common = names.len() == point.variants.len();
        if is_common { text } else { format!("{}: {text}", names.join(", ")) }
    };
    lines.into_iter().map(line).collect()
}

fn fault_text(point: &Point, fault: &Fault) -> String {
    let at = humantime::format_duration(fault.at.into());
    let restart = fault.heals_after.map_or_else(
        || "and does not come back".to_owned(),
        |after| format!("and comes back {} later", humantime::format_duration(after.into())),
    );
    let Harm::Crash { replica, .. } = fault.harm else { return format!("{:?}", fault.harm) };
    format!("{} crashes {at} into the measured time, {restart}", point.region(replica))
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
