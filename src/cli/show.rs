//! `flexpaxos show`: the tables of a results folder, printed again.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Exit, Failure, output};
use crate::report::folder::{Error, Results};
use crate::report::judged::judged;
use crate::report::notes::{invalid, notes};
use crate::report::table::line;
use crate::report::{capacity, verdicts, write_tables};

/// Prints the tables of a results folder again, as `run` printed them.
///
/// It reads the folder and nothing else, and writes nothing. Of a trial with violations of safety it names the
/// first: `flexpaxos verify` checks its histories again and prints all. What else the run printed below its
/// tables is in `table.txt`, and the remarks about each trial are in the column `notes` of `trials.csv`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  flexpaxos show results/quickstart/2026-01-01T00-00-00Z")]
pub(super) struct Show {
    /// The results folder.
    folder: PathBuf,

    /// Prints all columns of the tables, however narrow the terminal is.
    #[arg(long)]
    wide: bool,
}

impl Show {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<Exit, Failure> {
        if !self.folder.is_dir() {
            return Err(absent(&self.folder));
        }
        let results = Results::read(&self.folder).map_err(|error| unreadable(&error))?;
        let width = output::width(self.wide);
        if let Some(capacity::Searched { steps, knees }) =
            capacity::read(&self.folder).map_err(|error| unreadable(&error.into()))?
        {
            capacity::write(&steps, &knees, width, out)?;
        }
        write_tables(&results.outline, &results.finished, results.is_of_both(), width, out)?;
        let finished = &results.finished;
        for text in invalid(finished).iter().chain(&notes(finished)).chain(&judged(finished)) {
            writeln!(out, "{}", line(text, width))?;
        }
        let repeats = verdicts::repeats(&results.finished);
        verdicts::write_conclusions(&results.conclusions(), repeats, width, out)?;
        Ok(Exit::Done)
    }
}

/// No such folder, and which there are.
pub(super) fn absent(folder: &Path) -> Failure {
    let folders = |of: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(of).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
    };
    let runs = folders(Path::new("results")).iter().flat_map(|of| folders(of)).collect::<Vec<_>>();
    let runs = runs.into_iter().filter(|run| run.join("trials.csv").is_file());
    // The last of those that are named after the time at which they began.
    let last = runs.max_by_key(|run| {
        let name = run.file_name().unwrap_or_default().to_string_lossy().into_owned();
        (name.starts_with(|char: char| char.is_ascii_digit()), name)
    });
    let help = match last {
        Some(last) => format!("`run` prints the folder of its results; {} is one", last.display()),
        None => {
            "`run` prints the folder of its results; by default it is results/NAME/TIME".to_owned()
        }
    };
    Failure::request(format!("there is no folder {}", folder.display()), help)
}

pub(super) fn unreadable(error: &Error) -> Failure {
    let help = match error {
        Error::Schema { .. } => {
            "run the experiment again, or use the program of its commit (`code.commit` in manifest.json)"
        }
        _ => "name a results folder as `flexpaxos run` left it, with its interval logs (*.hlog)",
    };
    Failure { exit: Exit::Request, ..Failure::world(error, help) }
}
