//! `flexpaxos trace`: one write of a simulated trial as a space-time diagram.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::overrides::Overrides;
use super::{Exit, Failure};
use crate::experiment::plan::Plan;
use crate::experiment::trial::Trial;
use crate::run::diagram::{self, diagram};

/// Draws one write of an experiment, simulated: who sent what when, and when it was chosen.
///
/// Lines are members, arrows are messages at the scale of time, bars are syncs of the disk.
/// Prints the diagram as text; --svg draws it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  flexpaxos trace experiments/quickstart.toml --variant flex-4-2
  flexpaxos trace experiments/quickstart.toml --variant classic --client ca-central-1 \\
      --svg classic.svg")]
pub(super) struct Show {
    /// The experiment file.
    experiment: PathBuf,

    /// The variant; the first one if absent.
    #[arg(long, value_name = "NAME")]
    variant: Option<String>,

    /// The position of the point in the sweep, from 0, as `flexpaxos plan` lists them.
    #[arg(long, value_name = "INDEX", default_value_t = 0)]
    point: usize,

    /// The client's region; the first one if absent.
    #[arg(long, value_name = "REGION")]
    client: Option<String>,

    /// Which write of that client, from 0, counted from the start of the measured time.
    #[arg(long, value_name = "INDEX", default_value_t = 0)]
    write: u64,

    /// Draws to this file.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,

    #[command(flatten)]
    overrides: Overrides,
}

impl Show {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<Exit, Failure> {
        let (_, plan) = super::open(&self.experiment, None, false, &self.overrides)?;
        let trial = self.trial(&plan)?;
        let write = diagram::Write { client: self.client(&plan, &trial)?, index: self.write };
        let trace = diagram(&plan, &trial, write).map_err(|error| {
            Failure::request(error.to_string(), "choose another one with --write and --client")
        })?;
        write!(out, "{}", trace.text())?;
        if let Some(path) = &self.svg {
            super::write_file(path, &trace.svg())?;
            writeln!(out, "\ndrawn in {}", path.display())?;
        }
        Ok(Exit::Done)
    }

    /// The first trial of the variant and the point.
    fn trial(&self, plan: &Plan) -> Result<Trial, Failure> {
        let Some(point) = plan.points.get(self.point) else {
            let message = format!("there is no point {}", self.point);
            return Err(Failure::request(
                message,
                format!("the last is {}", plan.points.len() - 1),
            ));
        };
        let names: Vec<&str> = point.variants.iter().map(|it| it.name.as_str()).collect();
        let variant = named("variant", self.variant.as_deref(), &names)?;
        let is_it = |trial: &&Trial| (trial.point, trial.variant) == (self.point, variant);
        let trial = plan.trials.iter().find(is_it).expect("every variant runs at every point");
        Ok(*trial)
    }

    fn client(&self, plan: &Plan, trial: &Trial) -> Result<usize, Failure> {
        let regions: Vec<&str> =
            plan.point(trial).links.client_regions.iter().map(String::as_str).collect();
        named("client", self.client.as_deref(), &regions)
    }
}

/// The position of `name` in `names`; the first if none is asked for.
fn named(what: &str, name: Option<&str>, names: &[&str]) -> Result<usize, Failure> {
    let Some(name) = name else { return Ok(0) };
    names.iter().position(|known| *known == name).ok_or_else(|| {
        let message = format!("the experiment has no {what} {name:?}");
        Failure::request(message, format!("its {what}s: {}", names.join(", ")))
    })
}
