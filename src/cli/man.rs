//! `flexpaxos man`: the manual pages, from the same words as `--help`.

use std::io::Write;

use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;

use super::{Arguments, Exit, Failure};

/// Prints a manual page in roff.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  flexpaxos man run | man -l -")]
pub(super) struct Page {
    /// The command that the page is about; without it, flexpaxos as a whole.
    command: Option<String>,
}

impl Page {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<Exit, Failure> {
        let mut root = Arguments::command();
        root.build();
        let page = match &self.command {
            None => root,
            Some(name) => root.find_subcommand(name).cloned().ok_or_else(|| {
                let known: Vec<&str> = root.get_subcommands().map(Command::get_name).collect();
                Failure::request(
                    format!("there is no command `{name}`"),
                    format!("the commands are: {}", known.join(", ")),
                )
            })?,
        };
        Man::new(page).render(&mut *out)?;
        Ok(Exit::Done)
    }
}
