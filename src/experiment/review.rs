//! A results folder checked again, from the histories that it keeps.
//!
//! It finds what histories can show. An assertion of the protocol that broke, and a network that was not
//! the one asked for, are in the tables of the run alone.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::backend::Backend;
use super::histories::{self, Kept};
use super::verify::Findings;
use crate::measure::store;

/// Why nothing can be checked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There are no histories.
    #[error("{} holds no histories", folder.display())]
    NoHistories {
        /// The folder.
        folder: PathBuf,
    },
    /// There are, but not of this trial.
    #[error("{} holds no histories of trial {trial}; it holds those of {held}", folder.display())]
    NoTrial {
        /// The folder.
        folder: PathBuf,
        /// Which was asked for.
        trial: usize,
        /// Which there are, in words.
        held: String,
    },
    /// The folder cannot be read.
    #[error("the histories of {} cannot be read", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The table of trials cannot be read.
    #[error(transparent)]
    Table(#[from] store::Error),
}

/// What a row of `trials.csv` says of who took part, whatever the version of the table.
#[derive(Clone, Debug, Deserialize)]
struct Row {
    trial: usize,
    variant: String,
    backend: String,
    replicas: String,
    clients: String,
}

/// The trials of a results folder that can be checked again.
#[derive(Debug)]
pub struct Review {
    kept: Vec<Kept>,
    rows: Vec<Row>,
}

/// One trial, checked again.
#[derive(Debug)]
pub struct Reviewed {
    /// Which trial, from 0.
    pub trial: usize,
    /// Where it ran.
    pub backend: Backend,
    /// Of which variant; `None` if the run was cut short before its row was written.
    pub variant: Option<String>,
    /// What its histories say.
    pub findings: Findings,
}

impl Review {
    /// All trials of `folder` that have histories, or this one, in both worlds.
    pub fn open(folder: &Path, trial: Option<usize>) -> Result<Self, Error> {
        let all = histories::of_all(folder).map_err(|source| {
            let folder = folder.to_owned();
            match source.kind() {
                std::io::ErrorKind::NotFound => Error::NoHistories { folder },
                _ => Error::Folder { folder, source },
            }
        })?;
        if all.is_empty() {
            return Err(Error::NoHistories { folder: folder.to_owned() });
        }
        let held = || {
            let mut trials: Vec<usize> = all.iter().map(|kept| kept.trial).collect();
            trials.sort_unstable();
            trials.dedup();
            let names: Vec<String> = trials.iter().map(usize::to_string).collect();
            names.join(", ")
        };
        if let Some(trial) = trial.filter(|trial| !all.iter().any(|kept| kept.trial == *trial)) {
            return Err(Error::NoTrial { folder: folder.to_owned(), trial, held: held() });
        }
        let is_asked = |kept: &Kept| trial.is_none_or(|trial| trial == kept.trial);
        let kept = all.into_iter().filter(is_asked).collect();
        // A run that was cut short may have none: then whoever left a file took part.
        let table = folder.join("trials.csv");
        let rows = if table.exists() { store::read_csv(&table)? } else { Vec::new() };
        Ok(Self { kept, rows })
    }

    /// Checks the trials, one after the other.
    pub fn trials(&self) -> impl Iterator<Item = Reviewed> {
        self.kept.iter().map(|kept| {
            let is_of = |row: &&Row| row.trial == kept.trial && row.backend == kept.backend.name();
            let row = self.rows.iter().find(is_of);
            let count = |regions: &str| regions.split(';').filter(|name| !name.is_empty()).count();
            let [replicas, clients] =
                row.map_or([0; 2], |row| [count(&row.replicas), count(&row.clients)]);
            let mut findings = Findings::default();
            let members = kept.members(replicas, clients);
            findings.add_histories(histories::check(&members, &kept.files));
            let variant = row.map(|row| row.variant.clone());
            Reviewed { trial: kept.trial, backend: kept.backend, variant, findings }
        })
    }
}

impl Reviewed {
    /// Whether something could not be known: a search was given up, or a client's history is cut off.
    pub fn is_partial(&self) -> bool {
        let seen = self.findings.seen.as_ref();
        seen.is_some_and(|seen| seen.undecided_count > 0 || seen.cut_count > 0)
    }
}
