//! `flexpaxos quorums`: one quorum system, judged before anything runs.

use std::io::Write;
use std::path::PathBuf;

use clap::{ArgGroup, Args};

use super::table::table;
use super::{Exit, Failure};
use crate::quorum::analysis::{ENUMERABLE, minimal_count, minimal_quorums, resilience};
use crate::quorum::{Family, NodeSet, QuorumSystem};

/// Judges a quorum system: its minimal quorums, whether they meet, what it survives.
///
/// Flexible Paxos is safe exactly when every phase-1 quorum meets every phase-2 quorum.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("system").required(true)
        .args(["majority", "counts", "explicit_phase1", "experiment"]),
    after_help = "Examples:
  flexpaxos quorums --n 5 --majority
  flexpaxos quorums --n 5 --counts 4,2
  flexpaxos quorums --n 4 --explicit-phase1 0,1 2,3 --explicit-phase2 0,2 1,3
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

    /// Takes the system from a variant of an experiment file.
    #[arg(long, value_name = "FILE", requires = "variant")]
    experiment: Option<PathBuf>,

    /// The variant.
    #[arg(long, value_name = "NAME", requires = "experiment")]
    variant: Option<String>,

    /// How many minimal quorums to list of each phase.
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    limit: usize,
}

/// The members of one quorum.
#[derive(Clone, Debug)]
struct Set(Vec<usize>);

impl Quorums {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<Exit, Failure> {
        let (system, regions) = self.system()?;
        writeln!(out, "{} replicas: {}\n", system.n(), regions.join(", "))?;
        let families = [("phase 1", system.phase1()), ("phase 2", system.phase2())];
        let rows: Vec<Vec<String>> =
            families.iter().map(|(phase, family)| row(phase, family, system.n())).collect();
        let header = ["", "least size", "minimal quorums", "crashes survived"];
        writeln!(out, "{}\n", table(&header, &[1, 2, 3], &rows))?;
        for (phase, family) in families {
            self.list(out, phase, family, system.n())?;
        }
        writeln!(out, "\n{}", verdict(&system, &regions))?;
        Ok(Exit::Done)
    }

    /// The system asked for, and what its replicas are called.
    fn system(&self) -> Result<(QuorumSystem, Vec<String>), Failure> {
        if let (Some(path), Some(name)) = (&self.experiment, &self.variant) {
            let (_, plan) = super::open(path, None, false)?;
            // Of a sweep the first point: there is always one.
            let point = &plan.points[0];
            let known: Vec<&str> = point.variants.iter().map(|v| v.name.as_str()).collect();
            let Some(variant) = point.variants.iter().find(|variant| variant.name == *name) else {
                return Err(Failure::request(
                    format!("{} has no variant `{name}`", path.display()),
                    format!("its variants are: {}", known.join(", ")),
                ));
            };
            return Ok((variant.quorums.clone(), point.links.replica_regions.clone()));
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
            .map(|system| (system, regions))
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
        let rest = minimal_count(family, n) - listed.len() as u128;
        let more = if rest == 0 { String::new() } else { format!(" and {rest} more") };
        writeln!(out, "{phase}: {}{more}", texts.join(" "))?;
        Ok(())
    }
}

fn row(phase: &str, family: &Family, n: usize) -> Vec<String> {
    let survived = resilience(family, n)
        .map_or_else(|| format!("not tried beyond n = {ENUMERABLE}"), |count| count.to_string());
    let count = minimal_count(family, n);
    vec![phase.to_owned(), family.min_size().to_string(), count.to_string(), survived]
}

/// Whether the system is safe, with the proof or the counterexample.
fn verdict(system: &QuorumSystem, regions: &[String]) -> String {
    let n = system.n();
    let Some(disjoint) = system.disjoint() else {
        let proof = match (system.phase1(), system.phase2()) {
            (Family::Count(q1), Family::Count(q2)) => format!("{q1} + {q2} > {n}"),
            (Family::Sets(sets), _) | (_, Family::Sets(sets)) => format!(
                "none of the {} quorums listed for one phase leaves a quorum of the other beside it",
                sets.len()
            ),
        };
        return format!("safe: every phase-1 quorum meets every phase-2 quorum, since {proof}");
    };
    let named = |set: NodeSet| {
        let names: Vec<&str> =
            set.iter().map(|node| regions[usize::from(node.0)].as_str()).collect();
        format!("{{{}}}", names.join(", "))
    };
    format!(
        "UNSAFE: phase-1 quorum {} and phase-2 quorum {} have no replica in common",
        named(disjoint.phase1),
        named(disjoint.phase2),
    )
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
