//! `flexpaxos sweep run`: one shard.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::{Changes, joined};
use crate::cli::progress::{Clock, Forecast, RunProgress};
use crate::cli::venue::unusable;
use crate::cli::{Exit, Failure};
use crate::run::sweep::{self, Ended, Shard};
use crate::trial::Backend;

/// Runs the trials of one shard that are not finished.
///
/// The first shard begins the sweep in its folder; a shard of another experiment, seed or program is refused there.
/// Ctrl-C leaves the finished trials on disk: run the same command again.
/// A trial that fails leaves its error in the folder, and the others run.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  flexpaxos sweep run experiments/wan-load.toml --shard 3/7 --out sweep
  flexpaxos sweep run --shard 3/7 --out sweep
  seq 7 | xargs -P 7 -I{} flexpaxos sweep run experiments/wan-load.toml --shard {}/7 --threads 1 --out sweep
  parallel flexpaxos sweep run experiments/wan-load.toml --shard {}/7 --threads 1 --out sweep ::: {1..7}")]
pub(super) struct RunShard {
    /// The experiment file; that with which the sweep began if absent.
    experiment: Option<PathBuf>,

    /// Which shard of how many: K/N, with K from 1 to N.
    #[arg(long, value_name = "K/N")]
    shard: Shard,

    /// The folder of the sweep, the same for all shards.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    #[command(flatten)]
    changes: Changes,

    /// Simulates so many trials at once; as many as there are cores if absent.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,

    /// Shows no progress.
    #[arg(long, short)]
    quiet: bool,
}

impl RunShard {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<Exit, Failure> {
        let (shard, folder) = (self.shard, &self.out);
        let interrupt = crate::cli::interrupt()?;
        let (_, swept) = joined(self.experiment.as_deref(), &self.changes, folder, shard.count())?;
        let plan = &swept.plan;
        let ledger = sweep::open(folder, plan, &swept.provenance, Some(shard));
        let ledger = ledger.map_err(|error| unusable(&error))?;
        let of_shard = || plan.trials.iter().filter(|trial| shard.has(trial));
        let open = of_shard().filter(|trial| !ledger.has(trial, Backend::Sim));
        let forecast = Forecast::of(plan, open.map(|trial| (trial, Backend::Sim)), false);
        let progress = RunProgress::new(plan, Clock::start(self.quiet), forecast);
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let threads = self.threads.map_or_else(cores, usize::from);
        let ended = sweep::run(plan, ledger, shard, threads, interrupt, &|event| {
            progress.tell(event);
        });
        progress.finish();
        let help = "run the same command again with fewer --threads";
        let ended = ended.map_err(|error| Failure::world(&error, help))?;
        let all = of_shard().count();
        writeln!(out, "shard {shard}: {} of {all} trials are finished", ended.finished.len())?;
        out.flush()?;
        self.verdict(&ended)
    }

    /// The exit code, or why trials are missing.
    fn verdict(&self, ended: &Ended) -> Result<Exit, Failure> {
        let Ended { finished, failed, busy_count, left_count } = ended;
        let again = "when that is mended, run the same command again";
        if let Some((trial, why)) = failed.first() {
            let said = match failed.len() {
                1 => format!("trial {trial} failed: {why}"),
                count => format!("{count} trials failed, the first of them trial {trial}: {why}"),
            };
            return Err(Failure { exit: Exit::World, ..Failure::request(said, again) });
        }
        let partial = |said: String, help| {
            Err(Failure { exit: Exit::Partial, ..Failure::request(said, help) })
        };
        if *left_count > 0 {
            let said = format!("you ended shard {}", self.shard);
            return partial(said, "to go on, run the same command again");
        }
        if *busy_count > 0 {
            let said = format!("another process runs {busy_count} trials of shard {}", self.shard);
            return partial(said, "when it has ended, run the same command again");
        }
        Ok(crate::cli::run::verdict(finished))
    }
}
