//! `flexpaxos quorums`: quorum systems, judged before anything runs.

mod export;
mod typed;
mod words;

use std::io::Write;
use std::path::PathBuf;

use clap::{ArgGroup, Args};

use super::overrides::Overrides;
use super::{Exit, Failure, output};
use crate::experiment::plan::Plan;
use crate::quorum::analysis::{minimal_count, minimal_quorums};
use crate::quorum::{Family, NodeId, NodeSet, QuorumSystem};
use crate::report::figure::systems::draw;
use crate::report::table::fold;
use crate::topology::Links;
use crate::topology::worth::Worth;
use words::verdict;

/// Judges quorum systems: their minimal quorums, whether they meet, what they survive.
///
/// Flexible Paxos is safe exactly when every phase-1 quorum meets every phase-2 quorum.
/// A SYSTEM is what stands behind `quorums =` in an experiment file, without the outer braces; several are
/// compared side by side.
/// With --replicas it also tells how long each leader waits, and who may lead when a region is lost.
/// With --experiment it judges every variant at every point of the sweep.
/// It ends with 5 if one of the systems is unsafe, and with 2 if what was typed is no quorum system. An experiment
/// whose variant is unsafe is refused as it is everywhere, with 2, unless the variant says `unsafe_quorums = true`.
/// docs/quorums.md describes every family and every figure.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("which").required(true)
        .args(["majority", "counts", "explicit_phase1", "experiment", "system"]),
    after_help = "Examples:
  flexpaxos quorums --n 5 --majority
  flexpaxos quorums --n 5 --counts 4,2
  flexpaxos quorums --n 4 --explicit-phase1 0,1 2,3 --explicit-phase2 0,2 1,3
  flexpaxos quorums --n 9 majority 'counts = { phase1 = 7, phase2 = 3 }' \\
      'wall = { rows = [2, 3, 4] }'
  flexpaxos quorums --n 9 --svg grid.svg \\
      'grid = { rows = 3, columns = 3, phase1 = \"row\", phase2 = \"column\" }'
  flexpaxos quorums --replicas us-east-1,us-west-2,eu-west-1 \\
      'weighted = { weights = [2, 1, 1], phase1 = 3, phase2 = 2 }'
  flexpaxos quorums --experiment experiments/quickstart.toml
  flexpaxos quorums --experiment experiments/quickstart.toml --variant flex-4-2"
)]
pub(super) struct Quorums {
    /// The number of replicas, 1 to 64; they are called r0, r1 and so on.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u8).range(1..=64))]
    #[arg(required_unless_present_any = ["experiment", "replicas"])]
    #[arg(conflicts_with_all = ["experiment", "replicas"])]
    n: Option<u8>,

    /// The systems to judge, as in an experiment file: `majority`, `counts = { phase1 = 4, phase2 = 2 }`.
    #[arg(value_name = "SYSTEM")]
    system: Vec<String>,

    /// The regions of the replicas, separated by commas; a region may come twice.
    #[arg(long, value_name = "REGION,…", value_delimiter = ',', requires = "system")]
    replicas: Vec<String>,

    /// The latency profile of the regions.
    #[arg(long, value_name = "NAME", default_value = "aws-2025-07")]
    profile: String,

    /// The probability that a replica is up.
    #[arg(long, value_name = "SHARE", default_value_t = 0.99, value_parser = parse_share)]
    up: f64,

    /// Prints JSON.
    #[arg(long, conflicts_with = "csv")]
    json: bool,

    /// Prints CSV, a row for each system.
    #[arg(long)]
    csv: bool,

    /// Draws the system to this file; of several, each to a file of its own, with a number before the ending.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,

    /// Prints all columns of the tables, however narrow the terminal is.
    #[arg(long)]
    wide: bool,

    /// Majorities in both phases.
    #[arg(long)]
    majority: bool,

    /// Any Q1 replicas for phase 1 and any Q2 for phase 2.
    #[arg(long, value_name = "Q1,Q2", value_parser = parse_counts)]
    counts: Option<(usize, usize)>,

    /// The phase-1 quorums: members separated by commas, quorums by spaces.
    #[arg(long, value_name = "SET", num_args = 1.., value_parser = parse_set)]
    #[arg(requires = "explicit_phase2")]
    explicit_phase1: Vec<Set>,

    /// The phase-2 quorums, written alike.
    #[arg(long, value_name = "SET", num_args = 1.., value_parser = parse_set)]
    #[arg(requires = "explicit_phase1")]
    explicit_phase2: Vec<Set>,

    /// Takes the systems from an experiment file.
    #[arg(long, value_name = "FILE")]
    experiment: Option<PathBuf>,

    /// Only this variant of the experiment; all of them if absent.
    #[arg(long, value_name = "NAME", requires = "experiment")]
    variant: Option<String>,

    /// How many minimal quorums to list of each phase.
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    limit: usize,
}

/// What stands for a space at which no line is broken.
const JOINT: &str = "\u{1}";

/// The members of one quorum.
#[derive(Clone, Debug)]
struct Set(Vec<usize>);

/// A quorum system, and whose it is.
struct Judged {
    system: QuorumSystem,
    /// What it is called in a table.
    name: String,
    /// What its replicas are called: by region where they are in some, else by number.
    replicas: Vec<String>,
    /// The regions of its replicas, if they are in some.
    regions: Option<Vec<String>>,
    /// The variants that use it at each point where one does, a line each; what was typed.
    users: Vec<String>,
    /// The links of its replicas, if they are in regions.
    links: Option<Links>,
}

impl Judged {
    /// What a replica is called, everywhere.
    fn replica(&self, node: NodeId) -> String {
        self.replicas[usize::from(node.0)].clone()
    }

    /// The names of a set of replicas: `{r0, r3}`.
    fn set(&self, set: NodeSet) -> String {
        let names: Vec<String> = set.iter().map(|node| self.replica(node)).collect();
        format!("{{{}}}", names.join(", "))
    }
}

impl Quorums {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<Exit, Failure> {
        let all = self.systems()?;
        let worth: Vec<Worth> = all.iter().map(|it| Worth::new(&it.system, self.up)).collect();
        if let Some(path) = &self.svg {
            for (index, judged) in all.iter().enumerate() {
                let numbered = |index: usize| path.with_extension(format!("{}.svg", index + 1));
                let path = if all.len() == 1 { path.clone() } else { numbered(index) };
                let name = |node| judged.replica(node);
                let regions = judged.regions.as_deref();
                super::write_file(&path, &draw(&judged.title(), &judged.system, &name, regions))?;
                eprintln!("wrote {}", path.display());
            }
        }
        if self.json {
            export::json(out, &all, &worth)?;
        } else if self.csv {
            export::csv(out, &all, &worth)?;
        } else {
            self.print(out, &all, &worth)?;
        }
        let is_safe = all.iter().all(|judged| is_safe(&judged.system));
        Ok(if is_safe { Exit::Done } else { Exit::Unsafe })
    }

    fn print(&self, out: &mut dyn Write, all: &[Judged], worth: &[Worth]) -> Result<(), Failure> {
        let width = output::width(self.wide);
        for (number, (judged, worth)) in all.iter().zip(worth).enumerate() {
            if number > 0 {
                writeln!(out)?;
            }
            self.judge(out, judged, worth)?;
        }
        if all.len() > 1 {
            let verdict = match all.iter().filter(|judged| !is_safe(&judged.system)).count() {
                0 => "all of them safe".to_owned(),
                count => format!("{count} of them UNSAFE"),
            };
            writeln!(out, "\n{} quorum systems, {verdict}\n", all.len())?;
            writeln!(out, "{}", words::side_by_side(all, worth, self.up, width))?;
            if all.iter().any(|judged| judged.links.is_some()) {
                writeln!(out, "\n{}", words::regions(all, width))?;
            }
        }
        Ok(())
    }

    /// Prints one system with its verdict.
    fn judge(&self, out: &mut dyn Write, judged: &Judged, worth: &Worth) -> Result<(), Failure> {
        let Judged { system, replicas, users, .. } = judged;
        let width = output::width(self.wide);
        for user in users {
            writeln!(out, "{}", fold(user, 2))?;
        }
        let said = format!("{} replicas: {}", system.n(), replicas.join(", "));
        writeln!(out, "{}\n", fold(&said, 2))?;
        writeln!(out, "{}\n", words::phases(system, worth))?;
        for (phase, family) in [("phase 1", system.phase1()), ("phase 2", system.phase2())] {
            self.list(out, judged, phase, family)?;
        }
        writeln!(out, "\n{}", verdict(judged))?;
        writeln!(out, "\n{}", words::worth(judged, worth, self.up))?;
        if let Some(links) = &judged.links {
            writeln!(out, "\n{}", words::leaders(judged, links, width))?;
            writeln!(out, "\n{}", words::losses(judged, links, width))?;
        }
        Ok(())
    }

    /// The systems asked for; one that several variants or points share comes once.
    fn systems(&self) -> Result<Vec<Judged>, Failure> {
        if let Some(path) = &self.experiment {
            let (_, plan) = super::open(path, None, false, &Overrides::default())?;
            let judged = of_plan(&plan, self.variant.as_deref());
            if let (Some(name), true) = (&self.variant, judged.is_empty()) {
                let known: Vec<&str> =
                    plan.points[0].variants.iter().map(|variant| variant.name.as_str()).collect();
                return Err(Failure::request(
                    format!("{} has no variant `{name}`", path.display()),
                    format!("its variants are: {}", known.join(", ")),
                ));
            }
            return Ok(judged);
        }
        if !self.system.is_empty() {
            return typed::systems(
                &self.system,
                self.n.map(usize::from),
                &self.replicas,
                &self.profile,
            );
        }
        let n = usize::from(self.n.unwrap_or_default());
        let lists = |sets: &[Set]| sets.iter().map(|set| set.0.clone()).collect::<Vec<_>>();
        let system = match self.counts {
            _ if self.majority => Ok(QuorumSystem::majority(n)),
            Some((phase1, phase2)) => QuorumSystem::counts(n, phase1, phase2),
            None => QuorumSystem::explicit(
                n,
                &lists(&self.explicit_phase1),
                &lists(&self.explicit_phase2),
            ),
        };
        let replicas = (0..n).map(|index| format!("r{index}")).collect();
        let help = "the replicas are numbered from 0, and called r0, r1 and so on; see `flexpaxos quorums --help` for examples";
        let system = system.map_err(|error| Failure::request(error.to_string(), help))?;
        let name = words::name(&system);
        let (users, regions, links) = (Vec::new(), None, None);
        Ok(vec![Judged { system, name, replicas, regions, users, links }])
    }

    fn list(
        &self,
        out: &mut dyn Write,
        judged: &Judged,
        phase: &str,
        family: &Family,
    ) -> Result<(), Failure> {
        let n = judged.system.n();
        let listed = minimal_quorums(family, n, self.limit);
        let texts: Vec<String> = listed.iter().map(|set| judged.set(*set)).collect();
        let rest = minimal_count(family, n).map(|count| count - listed.len() as u128);
        let more = match rest {
            None => "too many to count".to_owned(),
            Some(0) => String::new(),
            Some(rest) => format!(" and {rest} more"),
        };
        // A set stands in one line.
        let texts: Vec<String> = texts.iter().map(|set| set.replace(' ', JOINT)).collect();
        let said = fold(&format!("{}{more}", texts.join(" ")), 9);
        writeln!(out, "{phase}: {}", said.replace(JOINT, " "))?;
        Ok(())
    }
}

/// The systems of all points of a plan, of one variant or of all.
fn of_plan(plan: &Plan, only: Option<&str>) -> Vec<Judged> {
    let mut all: Vec<Judged> = Vec::new();
    for point in &plan.points {
        let mut here: Vec<(&QuorumSystem, Vec<&str>)> = Vec::new();
        for variant in point.variants.iter().filter(|it| only.is_none_or(|name| it.name == name)) {
            match here.iter_mut().find(|(system, _)| **system == variant.quorums) {
                Some((_, names)) => names.push(&variant.name),
                None => here.push((&variant.quorums, vec![&variant.name])),
            }
        }
        for (system, names) in here {
            let at = match point.label.as_str() {
                "" => String::new(),
                label => format!(" at {label}"),
            };
            let user = format!("variant {}{at}", names.join(", "));
            let regions = &point.links.replica_regions;
            // What real links take is known when a run has measured it, and not before.
            let links = (!point.links.is_native()).then_some(&point.links);
            let is_same = |it: &&mut Judged| it.system == *system && it.links.as_ref() == links;
            match all.iter_mut().find(is_same) {
                Some(judged) => judged.users.push(user),
                None => all.push(Judged {
                    system: system.clone(),
                    name: names.join(", "),
                    replicas: names_of(&point.links),
                    regions: Some(regions.clone()),
                    users: vec![user],
                    links: links.cloned(),
                }),
            }
        }
    }
    all
}

/// What each replica is called.
fn names_of(links: &Links) -> Vec<String> {
    links.replicas().map(|node| links.replica_name(node)).collect()
}

fn is_safe(system: &QuorumSystem) -> bool {
    system.disjoint().is_none()
}

fn parse_share(text: &str) -> Result<f64, String> {
    let refuse =
        || format!("`{text}` is no probability: give a number from 0 to 1, such as `0.99`");
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share)).ok_or_else(refuse)
}

fn parse_counts(text: &str) -> Result<(usize, usize), String> {
    let refuse = || format!("`{text}` is no pair of sizes: write phase 1, a comma, phase 2: `4,2`");
    let (phase1, phase2) = text.split_once(',').ok_or_else(refuse)?;
    let number = |text: &str| text.trim().parse().map_err(|_| refuse());
    Ok((number(phase1)?, number(phase2)?))
}

fn parse_set(text: &str) -> Result<Set, String> {
    let number = |part: &str| {
        let refuse = |_| format!("`{part}` is no replica: write numbers from 0, as in `0,1`");
        part.trim().parse().map_err(refuse)
    };
    text.split(',').map(number).collect::<Result<_, _>>().map(Set)
}
