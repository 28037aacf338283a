//! `flexpaxos new`: writes an experiment file, from flags or from answers.

mod dialogue;
mod flags;

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, IsTerminal, Write, stderr, stdin};
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Exit, Failure, output};
use crate::cluster::hosts::shell::typed;
use crate::experiment::file;
use crate::experiment::template::{self, Choices};
use dialogue::Dialogue;
use flags::Flags;

/// What messages call a file that goes to stdout.
const UNNAMED: &str = "new experiment";

/// Writes a new experiment file, with the predictions that follow from its latencies.
///
/// Without options, on a terminal, it asks for the regions, the leader, the quorums and the load.
/// The file is judged as by `flexpaxos plan` before it is written, and no file is ever overwritten.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  flexpaxos new mine.toml                                  asks what is to be compared
  flexpaxos new mine.toml --quorums 4,2 --quorums 5,1 --classic
  flexpaxos new mine.toml --replicas us-east-1,us-west-2,eu-west-1 --leader best
  flexpaxos new mine.toml --profile uniform:20ms --closed 16
  flexpaxos new mine.toml --faults leader-crash --duration 20s
  flexpaxos new --rate 500 > mine.toml                     to stdout")]
pub(super) struct New {
    /// The file to write, which must not exist yet; to stdout if it is `-` or absent.
    file: Option<PathBuf>,

    #[command(flatten)]
    flags: Flags,
}

impl New {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<Exit, Failure> {
        let to = self.file.as_deref().filter(|path| *path != Path::new("-"));
        if let Some(path) = to.filter(|path| path.symlink_metadata().is_ok()) {
            // Before anything is asked.
            return Err(exists(path));
        }
        let path = to.unwrap_or(Path::new(UNNAMED));
        let is_asked = !self.flags.are_given() && stdin().is_terminal();
        let choices = if is_asked {
            ask(path)?
        } else {
            self.flags.choices(path.parent().unwrap_or(Path::new("")))?
        };
        let text = template::text(&choices, path).map_err(refused)?;
        if !is_asked && !self.flags.name_replicas() {
            self.tell_regions(&choices);
        }
        let Some(path) = to else {
            out.write_all(text.as_bytes())?;
            return Ok(Exit::Done);
        };
        write(path, &text)?;
        Ok(Exit::Done)
    }

    /// Tells in which regions replicas are that nobody chose.
    fn tell_regions(&self, choices: &Choices) {
        let because = if self.flags.are_given() {
            ""
        } else {
            "stdin is no terminal, so nothing is asked and the defaults are used; "
        };
        let regions = choices.replicas.join(", ");
        output::warn(&format!(
            "{because}replicas are in {regions} ({}): choose others with --replicas",
            choices.profile
        ));
    }
}

/// The choices of the user at the terminal.
fn ask(path: &Path) -> Result<Choices, Failure> {
    let help = "answer each question, or give options instead: `flexpaxos new --help` lists them";
    let answers = Dialogue::new(stdin().lock(), stderr(), path).choices();
    let choices = answers.map_err(|error| Failure::world(&error, help))?;
    choices.ok_or_else(|| Failure::request("the answers ended, and nothing is written", help))
}

/// Writes an experiment file that must be new, and tells what to do with it.
pub(super) fn write(path: &Path, text: &str) -> Result<(), Failure> {
    write_new(path, text).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => exists(path),
        _ => unwritable(path, &error),
    })?;
    tell_next(path);
    Ok(())
}

/// Writes a file that must be new.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())
}

/// Tells what to do with the file.
fn tell_next(path: &Path) {
    let path = typed(path);
    // As with stdout: its reader may be gone.
    let _ = writeln!(
        stderr(),
        "written to {path}; next:\n  flexpaxos plan {path}\n  flexpaxos run {path} --backend sim"
    );
}

/// The refusal to write over a file.
pub(super) fn exists(path: &Path) -> Failure {
    Failure::request(
        format!("the file {} exists, and is not overwritten", path.display()),
        "choose another name, or remove it",
    )
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    let exit = match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Exit::Request,
        _ => Exit::World,
    };
    let message = format!("{} cannot be written: {error}", path.display());
    let help = "name a file in a folder that is there and can be written";
    Failure { exit, ..Failure::request(message, help) }
}

/// The mistakes of a file that is not written.
fn refused(error: file::Error) -> Failure {
    let Failure { exit, mut before, report } = Failure::from(error);
    before.push(report);
    let message = "nothing is written: the experiment of these options would be refused";
    let help = "change the option that is shown above; `flexpaxos new --help` lists them all";
    Failure { exit, before, ..Failure::request(message, help) }
}
