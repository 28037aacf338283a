//! `flexpaxos history`: what the clients saw and the replicas executed in one trial, as lines.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::{Exit, Failure, verify};
use crate::deployment::MemberName;
use crate::findings::evidence;
use crate::findings::histories::{self, Kept};
use crate::history::json::{JsonError, write_client, write_cut, write_replica};
use crate::history::{ChosenReader, ClientReader, Error, edn, operations};
use crate::run::review::Review;
use crate::trial::Backend;

/// Prints what clients saw and replicas executed in a trial, one event a line.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  flexpaxos history results/quickstart/2026-01-01T00-00-00Z --trial 1 | head
  flexpaxos history results/quickstart/2026-01-01T00-00-00Z --trial 1 --format edn --key 7 > history.edn
  flexpaxos history results/quickstart/2026-01-01T00-00-00Z --trial 1 --format operations > history.json")]
pub(super) struct History {
    /// The results folder.
    folder: PathBuf,

    /// The trial, from 1.
    #[arg(long, value_name = "NUMBER")]
    trial: u32,

    /// Where it ran; if it ran in both worlds, live is the default.
    #[arg(long, value_enum)]
    backend: Option<World>,

    /// How an event is written.
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,

    /// Only this key, in the forms that hold what clients saw.
    #[arg(long, value_name = "KEY")]
    key: Option<u64>,
}

/// How an event is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One JSON object a line: every client, then every replica.
    Json,
    /// What clients saw of one key, an EDN map a line, by time: a register, as Knossos takes it; -1 is a
    /// key without a value.
    Edn,
    /// What clients saw, an EDN map a line, by time: transactions of one step, as Elle takes them for
    /// its rw-register.
    Elle,
    /// What clients saw, one JSON object an operation with its call and return, as Porcupine's models
    /// take them; -1 is a key without a value.
    Operations,
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
            Some(World::Live) => Backend::Live,
            Some(World::Sim) => Backend::Sim,
            None => histories::backend_of(&self.folder, self.trial),
        };
        let kept = histories::of_trial(&self.folder, self.trial, backend).map_err(|error| {
            // Which trials there are, if it is not one of them.
            if let Err(error) = Review::open(&self.folder, Some(self.trial)) {
                return verify::refused(&error);
            }
            let (folder, trial, name) = (self.folder.display(), self.trial, backend.name());
            let message = format!("{folder} holds no histories of trial {trial} ({name}): {error}");
            let help =
                "the trial ran on the other backend: name it with `--backend`, or leave that out";
            Failure::request(message, help)
        })?;
        let gaps = evidence::gaps(&self.folder, &kept)
            .map_err(|error| Failure::world(&error, "histories.csv must be as `run` left it"))?;
        match (self.format, self.key) {
            (Format::Json, None) => print_all(&kept, out)?,
            (Format::Json, Some(_)) => {
                let help = "leave out `--key`, or choose `--format operations`, `edn` or `elle`";
                return Err(Failure::request("--key is for what clients saw alone", help));
            }
            _ => self.print_seen(&kept, out)?,
        }
        out.flush()?;
        for gap in gaps.iter() {
            eprintln!("incomplete: {gap}");
        }
        Ok(if gaps.is_empty() { Exit::Done } else { Exit::Partial })
    }

    /// What all clients saw, as one history.
    fn print_seen(&self, kept: &Kept, out: &mut dyn Write) -> Result<(), Failure> {
        let clients: Vec<MemberName> = kept.files.keys().copied().collect();
        let seen = histories::seen(&clients, &kept.files)
            .map_err(|error| Failure::world(&error, "the file was changed after it was written"))?;
        let keys = seen.keys();
        if let Some(key) = self.key.filter(|key| !keys.contains_key(key)) {
            let message = format!("no client used key {key}");
            return Err(Failure::request(message, one_of(&keys)));
        }
        match self.format {
            Format::Json => {}
            Format::Edn => {
                let only = keys.keys().next().filter(|_| keys.len() == 1);
                let Some(key) = self.key.or(only.copied()) else {
                    let count = keys.len();
                    let message = format!("a register is one key, and clients used {count}");
                    return Err(Failure::request(message, one_of(&keys)));
                };
                edn::write_register(&seen, key, &mut *out)?;
            }
            Format::Elle => {
                edn::write_transactions(&seen, self.key, &mut *out)?;
            }
            Format::Operations => {
                operations::write(&seen, self.key, &mut *out)?;
            }
        }
        if seen.cut_count() > 0 {
            // A comment in the text would be no history to a reader of lines.
            eprintln!(
                "{} histories of clients are cut off: what came after is not there",
                seen.cut_count()
            );
        }
        Ok(())
    }
}

/// What everybody wrote down, clients first.
fn print_all(kept: &Kept, out: &mut dyn Write) -> Result<(), Failure> {
    for (member, path) in kept.paths() {
        match print(member, path, out) {
            Ok(()) => {}
            Err(JsonError::Write(error)) => return Err(error.into()),
            Err(error) => {
                let help = format!("{} was changed after it was written", path.display());
                return Err(Failure::world(&error, help));
            }
        }
    }
    Ok(())
}

/// Which keys there are, for whoever has to name one.
fn one_of(keys: &BTreeMap<u64, u64>) -> String {
    match keys.iter().max_by_key(|(_, count)| **count) {
        Some((key, count)) => {
            format!("name one with `--key`; key {key} has the most operations, {count}")
        }
        None => "no client issued anything in this trial".to_owned(),
    }
}

/// Prints one history, whoever wrote it.
fn print(member: MemberName, path: &Path, out: &mut dyn Write) -> Result<(), JsonError> {
    let read = |source| Error::Read { offset: 0, source };
    let file = BufReader::new(File::open(path).map_err(read)?);
    let printed = if matches!(member, MemberName::Client(_)) {
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
