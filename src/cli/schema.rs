//! `flexpaxos schema`: what files look like, for editors and other programs.

use std::io::Write;

use clap::{Args, Subcommand};

use super::{Exit, Failure};
use crate::experiment::file;
use crate::measure::rows;

/// Prints the schema of a kind of file.
///
/// Editors that know JSON schemas of TOML files (Taplo, Even Better TOML) complete and check experiments with
/// it: put `#:schema PATH` into the first line of the experiment.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  flexpaxos schema experiment > experiment.schema.json
  flexpaxos schema results --json")]
pub(super) struct Schema {
    /// The kind of file.
    #[command(subcommand)]
    kind: Kind,
}

/// A kind of file, each with what describes it.
#[derive(Clone, Copy, Debug, Subcommand)]
enum Kind {
    /// Experiment files, as a JSON schema of the draft 2020-12.
    Experiment,
    /// The tables of a results folder: every column with its type, unit and meaning.
    Results {
        /// Prints them as JSON instead of Markdown.
        #[arg(long)]
        json: bool,
    },
}

impl Schema {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<Exit, Failure> {
        match self.kind {
            Kind::Experiment => writeln!(out, "{:#}", file::schema())?,
            Kind::Results { json: true } => writeln!(out, "{:#}", rows::schema())?,
            // It ends its last line itself.
            Kind::Results { json: false } => write!(out, "{}", rows::documentation())?,
        }
        Ok(Exit::Done)
    }
}
