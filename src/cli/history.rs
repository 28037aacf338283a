//! `flexpaxos history`: what the clients of one trial saw, as JSON lines.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::{Exit, Failure};

/// Prints what the clients of a trial saw, one JSON object a line.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  flexpaxos history results/quickstart/2026-01-01T00-00-00Z --trial 0 | head")]
pub(super) struct History {
    /// The results folder.
    folder: PathBuf,

    /// The trial, from 0.
    #[arg(long, value_name = "INDEX")]
    trial: usize,
}

impl History {
    #[expect(clippy::unused_self, reason = "the reader of histories reads the arguments")]
    pub(super) fn run(&self, _out: &mut dyn Write) -> Result<Exit, Failure> {
        Err(Failure::absent("the reader of histories"))
    }
}
