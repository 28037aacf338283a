//! `flexpaxos history`: what the clients saw and the replicas executed in one trial, as JSON lines.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::PathBuf;

use clap::Args;

use super::{Exit, Failure};
use crate::experiment::run::histories;
use crate::history::json::{JsonError, write_client, write_replica};
use crate::history::{ChosenReader, ClientReader};

/// Prints what clients saw and replicas executed in a trial, one JSON object a line.
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
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<Exit, Failure> {
        let help = "name a results folder with a `histories` folder, and one of its trials; \
                    committed references come without histories";
        let world = |error: &dyn std::error::Error| Failure::world(error, help);
        let paths = histories(&self.folder, self.trial).map_err(|error| world(&error))?;
        for path in paths {
            let file = BufReader::new(File::open(&path).map_err(|error| world(&error))?);
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            let is_client = name.is_some_and(|name| name.starts_with("history"));
            let written = if is_client {
                ClientReader::new(file)
                    .map_err(JsonError::History)
                    .and_then(|reader| write_client(reader, &mut *out))
            } else {
                ChosenReader::new(file)
                    .map_err(JsonError::History)
                    .and_then(|reader| write_replica(reader, &mut *out))
            };
            match written {
                Ok(_) => {}
                Err(JsonError::Write(error)) => return Err(error.into()),
                Err(error) => return Err(world(&error)),
            }
        }
        Ok(Exit::Done)
    }
}
