//! `flexpaxos sweep status` and `collect`: how far a sweep is, and its tables.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Swept, read};
use crate::cli::run::{Printed, conclude};
use crate::cli::venue::unusable;
use crate::cli::{Exit, Failure, output};
use crate::cluster::hosts::shell::typed;
use crate::cluster::slurm;
use crate::report::outline::Outline;
use crate::report::table::counted;
use crate::run::ledger::Ledger;
use crate::run::sweep;

/// So many failures are shown; all are in the folder.
const SHOWN_MAX: usize = 10;

/// Shows how many trials of a sweep are finished, failed and missing.
///
/// It ends with 0 if all are finished, with 1 if one failed when it was last tried, and with 3 if some are missing.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  flexpaxos sweep status sweep")]
pub(super) struct Status {
    /// The folder of the sweep.
    folder: PathBuf,
}

impl Status {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<Exit, Failure> {
        let folder = &self.folder;
        if sweep::is_collected(folder) {
            writeln!(out, "the sweep is collected; `flexpaxos show` prints its tables")?;
            return Ok(Exit::Done);
        }
        let sweep = read(folder)?;
        let status = sweep.status(folder).map_err(|error| unusable(&error))?;
        let sweep::Status { done_count, failed, missing } = &status;
        let all = done_count + failed.len() + missing.len();
        writeln!(
            out,
            "{}: {done_count} finished, {} failed, {} missing",
            counted(all, "trial"),
            failed.len(),
            missing.len()
        )?;
        for (trial, why) in failed.iter().take(SHOWN_MAX) {
            writeln!(out, "trial {trial} failed: {why}")?;
        }
        if failed.len() > SHOWN_MAX {
            writeln!(out, "and {} more; parts/*.error say why", failed.len() - SHOWN_MAX)?;
        }
        for state in slurm::queued(&sweep::jobs(folder)) {
            writeln!(out, "{state}")?;
        }
        if status.is_whole() {
            writeln!(out, "collect it with `flexpaxos sweep collect {}`", typed(folder))?;
            return Ok(Exit::Done);
        }
        let count = sweep.shard_count;
        let open: Vec<usize> = status.open_shards(count).into_iter().collect();
        writeln!(out, "shards to run, of {count}: {}", slurm::ranges(&open))?;
        Ok(if failed.is_empty() { Exit::Partial } else { Exit::World })
    }
}

/// Makes the tables of a sweep whose trials are all finished.
///
/// The folder of the sweep becomes a results folder, with the tables that `flexpaxos run --backend sim` would have
/// made there.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  flexpaxos sweep collect sweep")]
pub(super) struct Collect {
    /// The folder of the sweep.
    folder: PathBuf,

    /// Prints all columns of the tables, however narrow the terminal is.
    #[arg(long)]
    wide: bool,

    /// Writes no page (`report.html`) into the folder; `flexpaxos report` writes it later.
    #[arg(long)]
    no_report: bool,
}

impl Collect {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<Exit, Failure> {
        let folder = &self.folder;
        if sweep::is_collected(folder) {
            let folder = folder.clone();
            return Err(unusable(&crate::run::ledger::Error::Collected { folder }));
        }
        let begun = read(folder)?;
        let status = begun.status(folder).map_err(|error| unusable(&error))?;
        if !status.is_whole() {
            return Err(unfinished(&status, folder));
        }
        let Swept { plan, provenance, .. } = Swept::begun(&begun)?;
        let ledger = sweep::open(folder, &plan, &provenance, None).and_then(Ledger::claimed);
        let ledger = ledger.map_err(|error| unusable(&error))?;
        let outline = Outline::from(&plan);
        let printed = Printed { outline: &outline, is_of_both: false };
        let summary =
            sweep::collect(begun, &plan, ledger, &|store, finished, scheduling, conclusions| {
                printed.keep(store, finished, scheduling, conclusions)
            });
        conclude(&printed, summary, output::width(self.wide), !self.no_report, out)
    }
}

/// The refusal of a sweep that is not whole.
fn unfinished(status: &sweep::Status, folder: &Path) -> Failure {
    let said = format!(
        "the sweep is not whole: {} failed and {} missing",
        status.failed.len(),
        status.missing.len()
    );
    let help = format!("`flexpaxos sweep status {}` says which shards to run", typed(folder));
    // As `status` ends.
    let exit = if status.failed.is_empty() { Exit::Partial } else { Exit::World };
    Failure { exit, ..Failure::request(said, help) }
}
