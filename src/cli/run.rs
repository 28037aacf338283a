//! `flexpaxos run`: the main job.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Exit, Failure};
use crate::experiment::provenance::Provenance;

/// Runs an experiment: deploys, loads, measures, checks, and prints the comparison.
///
/// Every variant runs in turn within each repeat.
/// Results go to a new folder; nothing is ever overwritten.
/// Ctrl-C leaves the finished trials on disk.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  flexpaxos run experiments/quickstart.toml
  flexpaxos run experiments/quickstart.toml --trials 1 --launcher in-process")]
pub(super) struct Run {
    /// The experiment file.
    experiment: PathBuf,

    /// Writes the results to this folder, which must not exist yet.
    ///
    /// Without it they go to results/NAME/ and the UTC time.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// How members are started.
    #[arg(long, value_enum, default_value_t = Launcher::Processes)]
    launcher: Launcher,

    /// Where the coordinator listens for members.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,

    /// Repeats every variant this often instead.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    trials: Option<u32>,

    /// Takes the size from the file's `[smoke]` section.
    #[arg(long)]
    smoke: bool,

    /// Shows no progress.
    #[arg(long, short)]
    quiet: bool,
}

/// How members are started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Launcher {
    /// Each in a process of its own: what is measured is what would be deployed.
    Processes,
    /// All in this process: quicker to start, and they share its processor time.
    InProcess,
}

impl Run {
    pub(super) fn run(&self, _out: &mut dyn Write) -> Result<Exit, Failure> {
        let (source, plan) = super::open(&self.experiment, self.trials, self.smoke)?;
        let _provenance = Provenance::gather(&source, plan.seed);
        Err(Failure::absent("the live deployment"))
    }
}
