//! `flexpaxos plan`: what would run, and the closed-form prediction of every variant; with `--search`, the
//! best placements, leaders and quorum systems.

mod export;
mod search;
mod settings;
mod words;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;

use super::overrides::Overrides;
use super::{Exit, Failure, output};
use crate::experiment::file::Source;
use crate::experiment::plan::{Plan, Point, Size, Variant};
use crate::protocol::{Assignment, KeyRange};
use crate::quorum::{Family, NodeSet};
use crate::report::table::{Column, Table, Width, counted, fold};
use crate::seed::Seed;
use crate::time::Span;
use crate::topology::Floor;
use crate::workload::Arrival;
use search::Form;

/// Shows what an experiment would run and what the closed form predicts; --search finds placements.
///
/// Nothing is started.
/// The floor of a client is the least commit latency that any implementation could have on these
/// links: network only, without processing, queueing and disks.
/// Where delays vary, it is told as its p50 and its p99.
///
/// With --search it shows no experiment: it finds the placements, leaders and quorum systems that no other
/// ones beat by commit latency, takeover or other objectives, and writes one of them as an experiment.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  flexpaxos plan experiments/quickstart.toml
  flexpaxos plan experiments/quickstart.toml --order    with every trial in its order
  flexpaxos plan experiments/quickstart.toml --all      with every setting, defaults too
  flexpaxos plan experiments/quickstart.toml --set topology.jitter=profile

  flexpaxos plan --search --any 5 --client us-east-1,eu-west-1
      any five of the AWS regions: commit latency against takeover
  flexpaxos plan --search --any 5 --client us-east-1=2,eu-west-1 --explain 1 --write 1
      why row 1 is on the front, and row 1 as an experiment in plan-row-1.toml
  flexpaxos plan --search --any 3,5 --client us-east-1 --at-most takeover=150
      three or five regions, and no takeover above 150 ms
  flexpaxos plan --search --profile azure-2026-07 --any 5 --must eastus --client eastus
      five Azure regions, eastus among them
  flexpaxos plan --search --any 4 --client us-east-1 --family all --survive-nodes 1
      every quorum system of four replicas of which each phase survives one crash
  flexpaxos plan --search --any 3 --client us-east-1,eu-west-1 --protocol classic
      one proposer for each client instead of a leader")]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(super) struct Show {
    /// The experiment file.
    #[arg(required_unless_present = "search")]
    experiment: Option<PathBuf>,

    /// Repeats every variant this often instead.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    trials: Option<u32>,

    /// Takes the size from the file's `[smoke]` section.
    #[arg(long)]
    smoke: bool,

    #[command(flatten)]
    overrides: Overrides,

    /// Lists every trial.
    #[arg(long)]
    order: bool,

    /// Prints all columns of the tables, however narrow the terminal is.
    #[arg(long)]
    wide: bool,
    /// Lists every setting as it takes effect, defaults too.
    #[arg(long, visible_alias = "settings")]
    all: bool,

    /// Prints the floors alone, as comma-separated values: a row for each point, variant and client region; of
    /// a search its front.
    #[arg(long, conflicts_with_all = ["order", "all", "json"])]
    csv: bool,

    /// Prints all of it as JSON: floors, warnings, and the settings as a run records them; of a search its
    /// front.
    #[arg(long, conflicts_with_all = ["order", "all"])]
    json: bool,

    #[command(flatten)]
    search: search::Options,
}

impl Show {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<Exit, Failure> {
        let Some(experiment) = &self.experiment else {
            let form = match (self.csv, self.json) {
                (true, _) => Form::Csv,
                (_, true) => Form::Json,
                _ => Form::Table,
            };
            return self.search.run(form, self.wide, out);
        };
        let (source, plan) = super::open(experiment, self.trials, self.smoke, &self.overrides)?;
        let warnings: Vec<String> =
            plan.warnings().into_iter().chain(self.small(&source)).collect();
        if self.csv {
            export::csv(&plan, out)?;
            return Ok(Exit::Done);
        }
        if self.json {
            export::json(&source, &plan, &warnings, out)?;
            return Ok(Exit::Done);
        }
        writeln!(out, "experiment  {}", source.name())?;
        writeln!(out, "question    {}", fold(&plan.question, 12))?;
        writeln!(out, "prediction  {}\n", fold(&plan.prediction, 12))?;
        settings(&plan, out)?;
        sweep(&plan, out)?;
        let width = output::width(self.wide);
        variants(&plan, width, out)?;
        trials(&plan, out)?;
        for warning in warnings {
            writeln!(out, "WARNING: {}", fold(&warning, 9))?;
        }
        if let Some(refused) = plan.needs_simulator() {
            writeln!(out, "for the simulator alone: {}", refused.error)?;
        }
        if self.all {
            settings::list(&source, &plan, out)?;
        }
        if self.order {
            order(&plan, width, out)?;
        }
        Ok(Exit::Done)
    }

    /// What is wrong with the smaller size of the experiment, if it has one that is not shown here.
    fn small(&self, source: &Source) -> Option<String> {
        let typed: toml::Table = toml::from_str(&source.text).ok()?;
        if self.smoke || !typed.contains_key("smoke") {
            return None;
        }
        let size = Size { trials: self.trials, is_smoke: true };
        let error = Plan::from_source(source, size).err()?;
        let (mistakes, last) = error.apart();
        let said = mistakes.first().unwrap_or(&last);
        Some(format!("with `--smoke` this is no experiment: {said}"))
    }
}

/// Says something about a point.
type Text = fn(&Point) -> String;

/// What the trials run with.
fn settings(plan: &Plan, out: &mut dyn Write) -> io::Result<()> {
    let texts: [(&str, Text); 10] = [
        ("latency", |point| point.profile.clone()),
        ("replicas", |point| point.links.replica_regions.join(", ")),
        ("clients", |point| clients(point).join(", ")),
        ("load", |point| {
            let reads = point.workload.reads;
            let share =
                if reads > 0.0 { format!(", {} % reads", 100.0 * reads) } else { String::new() };
            let conflicts = words::conflicts(point.workload.conflicts);
            words::arrival(&point.workload.arrival) + &share + &conflicts
        }),
        ("controls", |point| point.control.map_or_else(String::new, words::control)),
        ("retries", |point| {
            format!("after {} without an answer", words::length(point.retry_after))
        }),
        ("durability", |point| words::durability(point.durability)),
        ("service", |point| words::service(&point.sim.service)),
        ("host", |point| words::host(point.sim.host.as_ref())),
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

/// The client regions, with their parts of the load where those are not alike.
fn clients(point: &Point) -> Vec<String> {
    let regions = &point.links.client_regions;
    let named = regions.iter().enumerate().map(|(client, region)| {
        if point.workload.weights.is_empty() {
            return region.clone();
        }
        let share = match point.workload.share(client, regions.len()) {
            Arrival::Poisson { rate_per_s } | Arrival::Fixed { rate_per_s } => {
                format!("{rate_per_s:.3}").trim_end_matches('0').trim_end_matches('.').to_owned()
                    + " a second"
            }
            Arrival::Closed { clients } => format!("{clients} outstanding"),
        };
        format!("{region} ({share})")
    });
    named.collect()
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
fn variants(plan: &Plan, width: Width, out: &mut dyn Write) -> io::Result<()> {
    let first = &plan.points[0];
    let mut regions: Vec<&str> = Vec::new();
    for region in plan.points.iter().flat_map(|point| &point.links.client_regions) {
        if !regions.contains(&region.as_str()) {
            regions.push(region);
        }
    }
    let cells = |point: &Point| -> Vec<Vec<String>> {
        point.variants.iter().flat_map(|variant| rows(point, variant, &regions)).collect()
    };
    let common = cells(first);
    let is_common = plan.points.iter().all(|point| cells(point) == common);
    let mut columns = vec![
        Column::name("variant"),
        Column::text("protocol").rank(3),
        Column::number("|Q1|"),
        Column::number("|Q2|"),
        Column::text("send").rank(1),
        Column::name("asked first").rank(2),
    ];
    let floors = || plan.points.iter().flat_map(|point| &point.variants).flat_map(|v| &v.floors);
    let percentiles = if floors().any(|floor| floor.p50 != floor.p99) { ", p50/p99" } else { "" };
    columns.extend(regions.iter().map(|region| Column::number(*region)));
    let mut rows = common;
    if !is_common {
        let labelled = |point: &Point| {
            let label = |row| [vec![point.label.clone()], row].concat();
            cells(point).into_iter().map(label).collect::<Vec<_>>()
        };
        rows = plan.points.iter().flat_map(labelled).collect();
        columns.insert(0, Column::name("point"));
    }
    let reads =
        plan.points.iter().flat_map(|point| &point.variants).any(|it| it.mode.reads_beside());
    let whose = if reads { "write, and of a read that takes another way" } else { "command" };
    let caption = format!("floor of a {whose}, by client region (ms{percentiles})");
    writeln!(out, "{}\n", fold(&caption, 0))?;
    writeln!(out, "{}", Table::new(columns, rows).fit(width))?;
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

/// The cells of a variant, with its floors for the clients in these regions; and of its reads, where these take
/// another way than its writes.
fn rows(point: &Point, variant: &Variant, regions: &[&str]) -> Vec<Vec<String>> {
    let Variant { name, mode, quorums, .. } = variant;
    let floors = |floors: &[Floor]| -> Vec<String> {
        let cell = |region: &&str| {
            let client = point.links.client_regions.iter().position(|other| other == region);
            client.map_or_else(|| "-".to_owned(), |client| percentiles(floors[client]))
        };
        regions.iter().map(cell).collect()
    };
    let row = |name: &str, protocol: &str, sizes: [String; 2], asked: &str, floors: Vec<String>| {
        let (name, protocol, [phase1, phase2]) = (name.to_owned(), protocol.to_owned(), sizes);
        let (send, asked) = (words::send(variant.send).to_owned(), asked.to_owned());
        [vec![name, protocol, phase1, phase2, send, asked], floors].concat()
    };
    let asked = mode.asked().map_or("the nearest", |asked| point.region(asked));
    let [phase1, phase2] = [quorums.phase1(), quorums.phase2()].map(size);
    let none = || "-".to_owned();
    let waits = mode.commit_wait().map_or("", |_| ", commit wait");
    let protocol = format!("{}{waits}", mode.name());
    let sizes = [phase1.clone(), phase2];
    let mut rows = vec![row(name, &protocol, sizes, asked, floors(&variant.floors))];
    if mode.reads_beside() {
        let (kind, phase1, asked) = if let Some(at) = mode.assignment() {
            ("responders".to_owned(), none(), nearest_responder(point, &at))
        } else if let Some(terms) = mode.snapshot() {
            let kind = format!("snapshot {}", words::length(terms.staleness));
            (kind, none(), "the nearest".to_owned())
        } else if mode.reads_nearby() {
            ("quorum reads".to_owned(), phase1, "the nearest".to_owned())
        } else {
            ("leader lease".to_owned(), none(), asked.to_owned())
        };
        let floors = floors(&variant.read_floors);
        rows.push(row("  reads", &kind, [phase1, none()], &asked, floors));
    }
    rows
}

/// Whom clients ask for their reads: the nearest responder, of the range of keys if each has its own.
fn nearest_responder(point: &Point, at: &Assignment) -> String {
    let regions = |nodes: NodeSet| {
        let regions: Vec<&str> = nodes.iter().map(|node| point.region(node)).collect();
        regions.join(", ")
    };
    match at {
        Assignment::AllKeys(nodes) => format!("the nearest of {}", regions(*nodes)),
        Assignment::ByKey(ranges) => {
            let of = |range: &KeyRange| {
                let KeyRange { first, last, at } = range;
                format!("the nearest of {} for keys {first}-{last}", regions(*at))
            };
            let mut texts: Vec<String> = ranges.iter().flatten().map(of).collect();
            let clients = point.links.client_regions.len();
            let share =
                |range: &KeyRange| point.workload.key_share(&(range.first..=range.last), clients);
            let rest = 1.0 - ranges.iter().flatten().map(share).sum::<f64>();
            if rest > 1e-6 {
                texts.push(format!("a quorum for the others ({:.0} % of reads)", rest * 100.0));
            }
            texts.join("; ")
        }
    }
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
        "expected time of live trials {}, and for each of them some seconds\nto start, measure the links and stop",
        words::length(plan.expected_time())
    )
}

fn order(plan: &Plan, width: Width, out: &mut dyn Write) -> io::Result<()> {
    let rows: Vec<Vec<String>> = plan
        .trials
        .iter()
        .map(|trial| {
            vec![
                trial.number().to_string(),
                trial.repetition().to_string(),
                plan.variant(trial).name.clone(),
                plan.point(trial).label.clone(),
                Seed(trial.seed).to_string(),
            ]
        })
        .collect();
    let columns = vec![
        Column::number("trial"),
        Column::number("repeat"),
        Column::name("variant"),
        Column::name("point"),
        Column::number("seed").rank(1),
    ];
    writeln!(out, "\n{}", Table::new(columns, rows).fit(width))
}
