//! `flexpaxos history`: what the clients saw and the replicas executed in one trial, as JSON lines.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::{Exit, Failure};
use crate::experiment::backend::Backend;
use crate::experiment::run::histories;
use crate::history::json::{JsonError, write_client, write_cut, write_replica};
use crate::history::{ChosenReader, ClientReader, Error};

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

    /// Where it ran.
    #[arg(long, value_enum, default_value_t = World::Live)]
    backend: World,
}

/// Where a trial ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum World {
    /// Real replicas over QUIC.
    Live,
    /// Virtual time.
    Sim,
}

impl History {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<Exit, Failure> {
        let backend = match self.backend {
            World::Live => Backend::Live,
            World::Sim => Backend::Sim,
        };
        let paths = histories(&self.folder, self.trial, backend).map_err(|error| {
            let (folder, trial, name) = (self.folder.display(), self.trial, backend.name());
            let message = format!("{folder} holds no histories of trial {trial} ({name}): {error}");
            let help = "name a results folder with a `histories` folder, and one of its trials, and its --backend; \
                        committed references come without histories";
            Failure::request(message, help)
        })?;
        for path in paths {
            match print(&path, out) {
                Ok(()) => {}
                Err(JsonError::Write(error)) => return Err(error.into()),
                Err(error) => {
                    let help = format!("{} was changed after it was written", path.display());
                    return Err(Failure::world(&error, help));
                }
            }
        }
        Ok(Exit::Done)
    }
}

/// Prints one history, whoever wrote it.
fn print(path: &Path, out: &mut dyn Write) -> Result<(), JsonError> {
    let read = |source| Error::Read { offset: 0, source };
    let file = BufReader::new(File::open(path).map_err(read)?);
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let is_client = name.is_some_and(|name| name.starts_with("history"));
    let printed = if is_client {
        ClientReader::new(file)
            .map_err(JsonError::History)
            .and_then(|reader| write_client(reader, &mut *out))
    } else {
        ChosenReader::new(file)
            .map_err(JsonError::History)
            .and_then(|reader| write_replica(reader, &mut *out))
    };
    match printed {
        // Its writer was killed before it had written a block.
        Err(JsonError::History(Error::Truncated { offset })) => write_cut(offset, out),
        other => other.map(|_| ()),
    }
}
