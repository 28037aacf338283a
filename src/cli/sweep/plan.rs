//! `flexpaxos sweep plan`: the trials of an experiment, and in how many shards to run them.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{Changes, Swept};
use crate::cli::{Exit, Failure};
use crate::cluster::hosts::shell::typed;
use crate::report::table::counted;
use crate::run::sweep::{self, Shard};

/// How many trials are simulated to find out how long one takes.
const TIMED: usize = 3;

/// Shows the trials of a sweep and their shards; with --out it begins the sweep.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  flexpaxos sweep plan experiments/wan-load.toml --shards 7
  flexpaxos sweep plan experiments/wan-load.toml --minutes 10 --out sweep
  flexpaxos sweep plan experiments/wan-load.toml --shards 7 --csv")]
pub(super) struct Show {
    /// The experiment file.
    experiment: PathBuf,

    /// In how many shards to run it.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    shards: Option<u32>,

    /// As many shards as take about so long each on one core.
    ///
    /// It simulates three trials of the sweep on this machine to find out how long one takes.
    #[arg(long, value_name = "MINUTES", conflicts_with = "shards", value_parser = minutes)]
    minutes: Option<Duration>,

    /// Begins the sweep in this folder; shards then need no experiment file.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Prints a row for each trial, with its shard.
    #[arg(long)]
    csv: bool,

    #[command(flatten)]
    changes: Changes,
}

/// A length of time above zero, in minutes.
fn minutes(text: &str) -> Result<Duration, String> {
    let minutes = text.parse::<f64>().ok().filter(|minutes| *minutes > 0.0);
    let length = minutes.and_then(|minutes| Duration::try_from_secs_f64(minutes * 60.0).ok());
    length.ok_or_else(|| "give minutes above zero, as in 10".into())
}

impl Show {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<Exit, Failure> {
        let swept = Swept::read(&self.experiment, &self.changes)?;
        let plan = &swept.plan;
        let trial_count = plan.trials.len();
        let taken = self.minutes.map(|minutes| timed(&swept, minutes)).transpose()?;
        let shards = match (&taken, self.shards) {
            (Some((shards, _)), _) => *shards,
            (None, shards) => shards.map_or(1, |shards| shards as usize),
        };
        if let Some(folder) = &self.out {
            swept.begin(folder, shards)?;
            sweep::open(folder, plan, &swept.provenance, None)
                .map_err(|error| crate::cli::venue::unusable(&error))?;
        }
        if self.csv {
            Self::print_trials(&swept, shards, out)?;
            return Ok(Exit::Done);
        }
        writeln!(
            out,
            "{}: {}, {}, {}",
            counted(trial_count, "trial"),
            counted(plan.points.len(), "point"),
            counted(plan.points[0].variants.len(), "variant"),
            counted(plan.repeats, "repeat"),
        )?;
        if let Some((_, one)) = taken {
            writeln!(
                out,
                "a trial takes about {:.2} s on one core of this machine, all about {:.1} minutes",
                one.as_secs_f64(),
                one.as_secs_f64() * trial_count as f64 / 60.0
            )?;
        }
        let (least, most) = (trial_count / shards, trial_count.div_ceil(shards));
        let size = if least == most {
            counted(most, "trial")
        } else {
            format!("{least} or {most} trials")
        };
        writeln!(out, "{} of {size}", counted(shards, "shard"))?;
        if let Some(folder) = &self.out {
            writeln!(out, "the sweep begins in {}; run each shard with", folder.display())?;
            writeln!(out, "  flexpaxos sweep run --shard K/{shards} --out {}", typed(folder))?;
        }
        Ok(Exit::Done)
    }

    fn print_trials(swept: &Swept, shards: usize, out: &mut dyn Write) -> Result<(), Failure> {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(["trial", "shard", "point", "variant", "repeat", "seed"])?;
        for trial in &swept.plan.trials {
            writer.write_record([
                trial.number().to_string(),
                Shard::of(trial.number(), shards).to_string(),
                swept.plan.point(trial).label.clone(),
                swept.plan.variant(trial).name.clone(),
                trial.repetition().to_string(),
                trial.seed.to_string(),
            ])?;
        }
        writer.flush()?;
        Ok(())
    }
}

/// How many shards take about so long, and how long one trial takes.
fn timed(swept: &Swept, minutes: Duration) -> Result<(usize, Duration), Failure> {
    let interrupt = crate::cli::interrupt()?;
    let work = std::env::temp_dir().join(format!("flexpaxos-sweep-{}", std::process::id()));
    let taken = sweep::time_trials(&swept.plan, TIMED, &work, &interrupt);
    // It holds histories that nobody asked for.
    let _ = std::fs::remove_dir_all(&work);
    let help = "make room for temporary files, or give --shards instead of --minutes";
    let taken = taken.map_err(|error| Failure::world(&error, help))?;
    let Some(one) = taken else {
        let said = Failure::request("you ended it", "give --shards instead of --minutes");
        return Err(Failure { exit: Exit::Partial, ..said });
    };
    let trials = swept.plan.trials.len();
    let shards = one.as_secs_f64() * trials as f64 / minutes.as_secs_f64();
    let count = (1..trials).find(|count| *count as f64 >= shards).unwrap_or(trials);
    Ok((count, one))
}
