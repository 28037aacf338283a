//! `flexpaxos completions`: what the shell needs to complete a command line.

use std::io::Write;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Arguments, Exit, Failure};

/// Prints a completion script for a shell.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  flexpaxos completions bash > ~/.local/share/bash-completion/completions/flexpaxos")]
pub(super) struct Completions {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<Exit, Failure> {
        // Into memory first: the generator takes a reader that goes away for a bug.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Arguments::command(), "flexpaxos", &mut script);
        out.write_all(&script)?;
        Ok(Exit::Done)
    }
}
