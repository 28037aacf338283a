//! `flexpaxos sweep submit`: the shards of a sweep as a job array.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::{Changes, Swept, joined, new_folder, read};
use crate::cli::submit::{Engine, absolute, current_program, refused};
use crate::cli::venue::unusable;
use crate::cli::{Exit, Failure};
use crate::cluster::hosts::shell::typed;
use crate::cluster::slurm::{self, Array};
use crate::measure::Store;
use crate::run::{ledger, sweep};

/// The script, within the folder of the sweep.
const SCRIPT: &str = "sweep.sbatch";

/// The folder of what its tasks print, there.
const LOGS: &str = "slurm";

/// Submits the shards of a sweep to a batch scheduler that have trials to run.
///
/// It writes `sweep.sbatch` into the folder of the sweep, shows it and submits it. The folder must be on a disk that
/// all nodes share. When jobs have ended and trials are missing, submit again with the same folder: only shards that
/// have trials to run are submitted.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  flexpaxos sweep submit experiments/wan-load.toml --shards 7 --out sweep
  flexpaxos sweep submit experiments/wan-load.toml --shards 7 --dry-run
  flexpaxos sweep submit experiments/wan-load.toml --shards 7 -- --partition=short --time=30
  flexpaxos sweep submit --out sweep")]
pub(super) struct Submit {
    /// The experiment file; that with which the sweep began if absent.
    experiment: Option<PathBuf>,

    /// The scheduler.
    #[arg(long, value_enum, default_value_t = Engine::Slurm)]
    engine: Engine,

    /// In how many shards to run it; as when the sweep began if absent.
    ///
    /// Most sites allow 1000 tasks in an array, and ask for tasks of at least ten minutes:
    /// `flexpaxos sweep plan --minutes 10` says how many that are.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1000))]
    shards: Option<u16>,

    /// The folder of the sweep; results/NAME/ and the UTC time if absent.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    #[command(flatten)]
    changes: Changes,

    /// Writes the script and shows it, and submits nothing.
    #[arg(long)]
    dry_run: bool,

    /// Options of `sbatch`, which win over those in the script.
    #[arg(last = true, value_name = "SBATCH OPTIONS")]
    options: Vec<String>,
}

impl Submit {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<Exit, Failure> {
        let Engine::Slurm = self.engine;
        let program = current_program()?;
        let (folder, begun, name) = self.begun()?;
        let jobs = sweep::jobs(&folder);
        if let Some(state) = slurm::queued(&jobs).first() {
            let help = "wait until it has ended, or end it with `scancel`";
            return Err(Failure::request(format!("the sweep runs already: {state}"), help));
        }
        let count = self.shards.map_or(begun.shard_count, usize::from);
        let status = begun.status(&folder).map_err(|error| unusable(&error))?;
        if status.is_whole() {
            let folder = typed(&folder);
            writeln!(out, "every trial is finished: `flexpaxos sweep collect {folder}`")?;
            return Ok(Exit::Done);
        }
        let shards: Vec<usize> = status.open_shards(count).into_iter().collect();
        let logs = folder.join(LOGS);
        std::fs::create_dir_all(&logs).map_err(|error| {
            Failure::world(&error, "name a folder that can be written with --out")
        })?;
        let script = Array { name: &name, program: &program, folder: &folder, logs: &logs }
            .script(&shards, count);
        let store = Store::shared(&folder);
        let path = store.replace_bytes(SCRIPT, script.as_bytes());
        let path = path.map_err(|error| unusable(&error.into()))?;
        write!(out, "{script}")?;
        writeln!(out, "# {}", path.display())?;
        out.flush()?;
        if self.dry_run {
            return Ok(Exit::Done);
        }
        let job = slurm::submit(&path, &self.options).map_err(|error| refused(&error))?;
        sweep::keep_job(&folder, &job).map_err(|error| unusable(&error.into()))?;
        writeln!(out, "job {job} is submitted")?;
        writeln!(out, "how far it is: flexpaxos sweep status {}", typed(&folder))?;
        Ok(Exit::Done)
    }

    /// The folder of the sweep, the sweep, and the name of its experiment.
    fn begun(&self) -> Result<(PathBuf, sweep::Sweep, String), Failure> {
        let has_begun = match self.out.as_ref().map(|folder| sweep::Sweep::read(folder)) {
            None | Some(Err(ledger::Error::NoSweep { .. })) => false,
            Some(Ok(_)) => true,
            Some(Err(error)) => return Err(unusable(&error)),
        };
        let shards = match (self.shards, has_begun) {
            (Some(shards), _) => usize::from(shards),
            (None, true) => 1,
            (None, false) => {
                return Err(Failure::request(
                    "it is not said in how many shards the sweep is to run",
                    "give --shards; `flexpaxos sweep plan EXPERIMENT --minutes 10` says how many",
                ));
            }
        };
        let folder = match (&self.out, &self.experiment) {
            (Some(folder), _) => folder.clone(),
            (None, Some(experiment)) => new_folder(&Swept::read(experiment, &self.changes)?),
            (None, None) => {
                return Err(Failure::request(
                    "neither an experiment nor the folder of a sweep is given",
                    "give the experiment file, or --out with the folder of a sweep that has begun",
                ));
            }
        };
        let (_, swept) = joined(self.experiment.as_deref(), &self.changes, &folder, shards)?;
        sweep::open(&folder, &swept.plan, &swept.provenance, None)
            .map_err(|error| unusable(&error))?;
        let begun = read(&folder)?;
        Ok((absolute(&folder)?, begun, swept.source.name()))
    }
}
