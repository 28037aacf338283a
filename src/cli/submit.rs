//! `flexpaxos submit`: one experiment as a job of a batch scheduler.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::overrides::Overrides;
use super::run::Choice;
use super::{Exit, Failure};
use crate::cluster::slurm::{self, Job};

/// A batch scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Engine {
    /// Slurm, by `sbatch` and `squeue`.
    Slurm,
}

/// Submits a run of an experiment to Slurm: all members on one node, or on several with --nodes, which the job has
/// to itself.
///
/// It writes `run.sbatch`, shows it and submits it. Edit the script and submit it by `sbatch run.sbatch` to run
/// something else. The job is not run again by itself if its node fails: an experiment is measured once.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  flexpaxos submit experiments/quickstart.toml
  flexpaxos submit experiments/quickstart.toml --dry-run
  flexpaxos submit experiments/quickstart.toml --nodes 5
  flexpaxos submit experiments/quickstart.toml -- --partition=short --time=30")]
pub(super) struct Submit {
    /// The experiment file.
    experiment: PathBuf,

    /// Where trials run.
    #[arg(long, value_enum, default_value_t = Choice::Live)]
    backend: Choice,

    /// Runs the members on so many nodes, spread evenly.
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    nodes: u16,

    /// Repeats every variant this often instead.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    trials: Option<u32>,

    /// Takes the size from the file's `[smoke]` section.
    #[arg(long)]
    smoke: bool,

    #[command(flatten)]
    overrides: Overrides,

    /// Where results go: in a folder there, named after the job; results/NAME if absent.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Writes the script to this file, which must not exist yet.
    #[arg(long, value_name = "FILE", default_value = "run.sbatch")]
    script: PathBuf,

    /// Writes the script and shows it, makes the folder for what the job prints, and submits nothing.
    #[arg(long)]
    dry_run: bool,

    /// Options of `sbatch`, which win over those in the script.
    #[arg(last = true, value_name = "SBATCH OPTIONS")]
    options: Vec<String>,
}

impl Submit {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<Exit, Failure> {
        // What is wrong with the experiment is told now and not by the job.
        let (source, plan) =
            super::open(&self.experiment, self.trials, self.smoke, &self.overrides)?;
        if let Some(refusal) = plan.needs_simulator().filter(|_| self.backend != Choice::Sim) {
            return Err(source.refused(&refusal).into());
        }
        if plan.is_native() && self.nodes == 1 {
            return Err(Failure::request(
                "the profile native is that of links between hosts, and this job has one node",
                "add --nodes, or choose another profile",
            ));
        }
        let member_count = plan
            .points
            .iter()
            .map(|point| point.links.replicas().count() + point.links.client_regions.len());
        if let Some(most) = member_count.max().filter(|most| usize::from(self.nodes) > *most) {
            return Err(Failure::request(
                format!("--nodes {}: the experiment has {most} members", self.nodes),
                format!("ask for {most} nodes at most"),
            ));
        }
        if self.nodes > 1 && self.backend == Choice::Sim {
            return Err(Failure::request(
                "--nodes has no effect on a run that simulates",
                "leave it out; `flexpaxos sweep submit` simulates on several nodes",
            ));
        }
        let name = source.name();
        let results = self.out.clone().unwrap_or_else(|| Path::new("results").join(&name));
        let results = absolute(&results)?;
        let (experiment, program) = (absolute(&self.experiment)?, current_program()?);
        let job = Job { name: &name, program: &program, results: &results, node_count: self.nodes };
        let script = job.script(&self.arguments(&experiment));
        std::fs::create_dir_all(&results).map_err(|error| {
            Failure::world(&error, "name a folder that can be written with --out")
        })?;
        write_new(&self.script, &script)?;
        write!(out, "{script}")?;
        writeln!(out, "# {}", self.script.display())?;
        out.flush()?;
        if self.dry_run {
            return Ok(Exit::Done);
        }
        let job = slurm::submit(&self.script, &self.options).map_err(|error| refused(&error))?;
        writeln!(out, "job {job} is submitted; its results will be in")?;
        writeln!(out, "  {}", results.join(format!("job-{job}")).display())?;
        Ok(Exit::Done)
    }

    /// The arguments of `flexpaxos run`.
    fn arguments(&self, experiment: &Path) -> Vec<String> {
        let backend = match self.backend {
            Choice::Live => "live",
            Choice::Sim => "sim",
            Choice::Both => "both",
        };
        let mut arguments = vec![experiment.display().to_string()];
        if self.backend != Choice::Live {
            arguments.extend(["--backend".to_owned(), backend.to_owned()]);
        }
        if self.nodes > 1 {
            arguments.extend(["--engine".to_owned(), "slurm".to_owned()]);
        }
        if let Some(trials) = self.trials {
            arguments.extend(["--trials".to_owned(), trials.to_string()]);
        }
        if self.smoke {
            arguments.push("--smoke".into());
        }
        arguments.extend(self.overrides.arguments());
        arguments
    }
}

/// Writes the script to a file that does not exist yet: somebody may have edited the one that does.
fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let written = std::fs::File::create_new(path)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
    written.map_err(|error| {
        let (exit, help) = match error.kind() {
            ErrorKind::AlreadyExists => (
                Exit::Request,
                "submit it as it is with `sbatch`, remove it, or name another with --script",
            ),
            _ => (Exit::World, "name a file in a folder that can be written with --script"),
        };
        let message = format!("{} cannot be written: {error}", path.display());
        Failure { exit, ..Failure::request(message, help) }
    })
}

/// The scheduler took no job.
pub(super) fn refused(error: &slurm::Error) -> Failure {
    let help = match error {
        slurm::Error::Absent { .. } => {
            "run this on a machine of the cluster from which jobs are submitted, or add --dry-run"
        }
        _ => "the script is written: change its options, or give others after `--`",
    };
    Failure::world(error, help)
}

/// The path from the root, because a job may run elsewhere.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    Ok(std::path::absolute(path)?)
}

/// This program, which the job runs too.
pub(super) fn current_program() -> Result<PathBuf, Failure> {
    std::env::current_exe()
        .map_err(|error| Failure::world(&error, "start it by its path, so that it can be found"))
}
