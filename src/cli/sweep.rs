//! `flexpaxos sweep`: a sweep in shards, for several processes, machines, or a batch scheduler.

mod folder;
mod plan;
mod shard;
mod submit;

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::overrides::Overrides;
use super::venue::unusable;
use super::{Exit, Failure};
use crate::experiment::file::Source;
use crate::experiment::plan::{Plan, Size};
use crate::run::provenance::Provenance;
use crate::run::sweep;

/// Runs the simulated trials of an experiment in shards, and collects them.
///
/// Trials are numbered from 1, and shard K of N runs every Nth trial from the Kth on.
/// All shards write to one folder. Each runs what is missing there, so a shard that was cut short is run again with
/// the same command. The tables are the same bytes as those of `flexpaxos run --backend sim`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  flexpaxos sweep plan experiments/wan-load.toml --minutes 10
  flexpaxos sweep run experiments/wan-load.toml --shard 1/7 --out sweep
  seq 7 | xargs -P 7 -I{} flexpaxos sweep run experiments/wan-load.toml \\
      --shard {}/7 --threads 1 --out sweep
  flexpaxos sweep status sweep
  flexpaxos sweep collect sweep
  flexpaxos sweep submit experiments/wan-load.toml --shards 7 --out sweep \\
      -- --partition=short")]
pub(super) struct Sweep {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Plan(plan::Show),
    Run(shard::RunShard),
    Status(folder::Status),
    Collect(folder::Collect),
    Submit(submit::Submit),
}

impl Sweep {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<Exit, Failure> {
        match &self.command {
            Command::Plan(show) => show.run(out),
            Command::Run(shard) => shard.run(out),
            Command::Status(status) => status.run(out),
            Command::Collect(collect) => collect.run(out),
            Command::Submit(submit) => submit.run(out),
        }
    }
}

/// Options that change what is swept.
#[derive(Clone, Debug, Args)]
struct Changes {
    /// Repeats every variant this often instead.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    trials: Option<u32>,

    /// Takes the size from the file's `[smoke]` section.
    #[arg(long)]
    smoke: bool,

    #[command(flatten)]
    overrides: Overrides,
}

/// An experiment that is to be swept.
struct Swept {
    source: Source,
    size: Size,
    plan: Plan,
    provenance: Provenance,
}

impl Swept {
    /// That of a file.
    fn read(experiment: &Path, changes: &Changes) -> Result<Self, Failure> {
        let Changes { trials, smoke, overrides } = changes;
        let (source, plan) = super::open(experiment, *trials, *smoke, overrides)?;
        if plan.is_native() {
            return Err(super::unmeasured());
        }
        super::check_costs(&plan)?;
        let provenance = Provenance::gather(&source, plan.seed);
        let size = Size { trials: *trials, is_smoke: *smoke };
        Ok(Self { source, size, plan, provenance })
    }

    /// That of a sweep that has begun.
    fn begun(sweep: &sweep::Sweep) -> Result<Self, Failure> {
        let (source, size) = sweep.source();
        let plan = Plan::from_source(&source, size)?;
        let provenance = Provenance::gather(&source, plan.seed);
        Ok(Self { source, size, plan, provenance })
    }

    /// The sweep over it in a folder, which begins now unless it has.
    fn begin(&self, folder: &Path, shard_count: usize) -> Result<sweep::Sweep, Failure> {
        let Self { source, size, plan, provenance } = self;
        if sweep::is_collected(folder) {
            let folder = folder.to_owned();
            return Err(unusable(&crate::run::ledger::Error::Collected { folder }));
        }
        let sweep = sweep::Sweep::new(source, *size, plan, shard_count, provenance.clone())?;
        let begun = sweep.begin(folder, plan).and_then(|()| sweep::Sweep::read(folder));
        begun.map_err(|error| unusable(&error))
    }
}

/// What is swept, where, and by whom it is described: an experiment file, or a sweep that has begun.
fn joined(
    experiment: Option<&Path>,
    changes: &Changes,
    folder: &Path,
    shard_count: usize,
) -> Result<(sweep::Sweep, Swept), Failure> {
    if let Some(experiment) = experiment {
        let swept = Swept::read(experiment, changes)?;
        return Ok((swept.begin(folder, shard_count)?, swept));
    }
    let Changes { trials, smoke, overrides } = changes;
    if trials.is_some() || *smoke || !overrides.is_empty() {
        return Err(Failure::request(
            "these options change an experiment, and none is given",
            "give the experiment file, or leave `--trials`, `--smoke`, `--set` and `--seed` out",
        ));
    }
    let sweep = read(folder)?;
    let swept = Swept::begun(&sweep)?;
    Ok((sweep, swept))
}

/// The sweep in a folder.
fn read(folder: &Path) -> Result<sweep::Sweep, Failure> {
    sweep::Sweep::read(folder).map_err(|error| unusable(&error))
}

/// A folder for a sweep that is to begin, where the user names none.
fn new_folder(swept: &Swept) -> PathBuf {
    Path::new("results").join(swept.source.name()).join(swept.provenance.folder_name())
}
