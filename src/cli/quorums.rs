//! `flexpaxos quorums`: one quorum system, judged before anything runs.

use std::io::Write;
use std::path::PathBuf;

use clap::{ArgGroup, Args};

use super::overrides::Overrides;
use super::{Exit, Failure};
use crate::experiment::plan::Plan;
use crate::quorum::analysis::{minimal_count, minimal_quorums, resilience};
use crate::quorum::{Family, NodeSet, QuorumSystem};
use crate::report::table::{fold, table};

/// Judges quorum systems: their minimal quorums, whether they meet, what they survive.
///
/// Flexible Paxos is safe exactly when every phase-1 quorum meets every phase-2 quorum.
/// With --experiment it judges every variant at every point of the sweep.
/// It ends with 5 if one of the systems is unsafe.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("system").required(true)
        .args(["majority", "counts", "explicit_phase1", "experiment"]),
    after_help = "Examples:
  flexpaxos quorums --n 5 --majority
  flexpaxos quorums --n 5 --counts 4,2
  flexpaxos quorums --n 4 --explicit-phase1 0,1 2,3 --explicit-phase2 0,2 1,3
  flexpaxos quorums --experiment experiments/quickstart.toml
  flexpaxos quorums --experiment experiments/quickstart.toml --variant flex-4-2"
)]
pub(super) struct Quorums {
    /// The number of replicas, 1 to 64; they are called 0 to n-1.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u8).range(1..=64))]
    #[arg(required_unless_present = "experiment", conflicts_with = "experiment")]
    n: Option<u8>,

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

/// The members of one quorum.
#[derive(Clone, Debug)]
struct Set(Vec<usize>);

/// A quorum system, and whose it is.
struct Judged {
    system: QuorumSystem,
    /// What its replicas are called.
    regions: Vec<String>,
    /// The variants that use it at each point where one does, a line each; none if it was typed.
    users: Vec<String>,
}

impl Quorums {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<Exit, Failure> {
        let all = self.systems()?;
        for (number, judged) in all.iter().enumerate() {
            if number > 0 {
                writeln!(out)?;
            }
            self.judge(out, judged)?;
        }
        let unsafe_count = all.iter().filter(|judged| !is_safe(&judged.system)).count();
        if all.len() > 1 {
            let verdict = match unsafe_count {
                0 => "all of them safe".to_owned(),
                count => format!("{count} of them UNSAFE"),
            };
            writeln!(out, "\n{} quorum systems, {verdict}", all.len())?;
        }
        Ok(if unsafe_count == 0 { Exit::Done } else { Exit::Unsafe })
    }

    /// Prints one system with its verdict.
    fn judge(&self, out: &mut dyn Write, judged: &Judged) -> Result<(), Failure> {
        let Judged { system, regions, users } = judged;
        for user in users {
            writeln!(out, "{user}")?;
        }
        writeln!(out, "{} replicas: {}\n", system.n(), regions.join(", "))?;
        let families = [("phase 1", system.phase1()), ("phase 2", system.phase2())];
        let survived = resilience(system)
            .map(|crashes| crashes.map_or_else(|| "unknown".to_owned(), |count| count.to_string()));
        let rows: Vec<Vec<String>> = families
            .iter()
            .zip(survived)
            .map(|((phase, family), survived)| {
                let count = minimal_count(family, system.n()).unwrap_or_default();
                let least = family.min_size().to_string();
                vec![(*phase).to_owned(), least, count.to_string(), survived]
            })
            .collect();
        let header = ["", "least size", "minimal quorums", "crashes survived"];
        writeln!(out, "{}\n", table(&header, &[1, 2, 3], &rows))?;
        for (phase, family) in families {
            self.list(out, phase, family, system.n())?;
        }
        writeln!(out, "\n{}", verdict(system, regions))?;
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
        let regions = (0..n).map(|index| index.to_string()).collect();
        let help = "the replicas are numbered from 0; see `flexpaxos quorums --help` for examples";
        system
            .map(|system| vec![Judged { system, regions, users: Vec::new() }])
            .map_err(|error| Failure::request(error.to_string(), help))
    }

    fn list(
        &self,
        out: &mut dyn Write,
        phase: &str,
        family: &Family,
        n: usize,
    ) -> Result<(), Failure> {
        let listed = minimal_quorums(family, n, self.limit);
        let texts: Vec<String> = listed.iter().map(ToString::to_string).collect();
        let rest = minimal_count(family, n).unwrap_or_default() - listed.len() as u128;
        let more = if rest == 0 { String::new() } else { format!(" and {rest} more") };
        writeln!(out, "{phase}: {}{more}", texts.join(" "))?;
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
            match all.iter_mut().find(|it| it.system == *system && it.regions == *regions) {
                Some(judged) => judged.users.push(user),
                None => all.push(Judged {
                    system: system.clone(),
                    regions: regions.clone(),
                    users: vec![user],
                }),
            }
        }
    }
    all
}

fn is_safe(system: &QuorumSystem) -> bool {
    system.disjoint().is_none()
}

/// Whether the system is safe, with the proof or the counterexample.
fn verdict(system: &QuorumSystem, regions: &[String]) -> String {
    if let Some(disjoint) = system.disjoint() {
        let named = |set: NodeSet| {
            let names: Vec<&str> =
                set.iter().map(|node| regions[usize::from(node.0)].as_str()).collect();
            format!("{{{}}}", names.join(", "))
        };
        return format!(
            "UNSAFE: phase-1 quorum {} and phase-2 quorum {} have no replica in common",
            named(disjoint.phase1),
            named(disjoint.phase2),
        );
    }
    let proof = system.proof().expect("no two quorums of it are disjoint");
    match proof.cost {
        None => proof.safe,
        Some(cost) => format!("{}\n{}", fold(&proof.safe, 6), fold(&cost, 6)),
    }
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
