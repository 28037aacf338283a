//! `flexpaxos show`: the tables of a results folder, printed again.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::{Exit, Failure};
use crate::report::folder::{Error, Results};
use crate::report::judged::judged;
use crate::report::write_tables;

/// Prints the tables of a results folder again, as `run` printed them.
///
/// It reads the folder and nothing else, and writes nothing. The folder does not hold why a trial is INVALID:
/// `flexpaxos verify` checks its histories again and says so. Other remarks about trials are in the column
/// `notes` of `trials.csv`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  flexpaxos show results/quickstart/2026-01-01T00-00-00Z")]
pub(super) struct Show {
    /// The results folder.
    folder: PathBuf,
}

impl Show {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<Exit, Failure> {
        let results = Results::read(&self.folder).map_err(|error| unreadable(&error))?;
        write_tables(&results.outline, &results.finished, results.is_of_both(), out)?;
        if let Some(line) = judged(&results.finished) {
            writeln!(out, "{line}")?;
        }
        Ok(Exit::Done)
    }
}

fn unreadable(error: &Error) -> Failure {
    let help = match error {
        Error::Schema { .. } => {
            "run the experiment again, or use the program of its commit (`code.commit` in manifest.json)"
        }
        _ => "name a results folder as `flexpaxos run` left it, with its interval logs (*.hlog)",
    };
    Failure { exit: Exit::Request, ..Failure::world(error, help) }
}
