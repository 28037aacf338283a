//! A results folder checked again, from the histories that it keeps.
//!
//! It finds what histories can show. An assertion of the protocol that broke, and a network that was not
//! the one asked for, are in the tables of the run alone.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::findings::evidence::{self, Table};
use crate::findings::histories::{self, Allowance, Kept};
use crate::findings::twins::Twins;
use crate::findings::verify::Findings;
use crate::measure::store;
use crate::time::Span;
use crate::trial::Backend;

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
        trial: u32,
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
    trial: u32,
    variant: String,
    backend: String,
    #[serde(alias = "replicas")]
    replica_regions: String,
    #[serde(alias = "clients")]
    client_regions: String,
    #[serde(default)]
    clocks_apart_ns: Option<u64>,
    #[serde(default)]
    reads_may_miss_ns: Option<u64>,
    #[serde(default)]
    read_sessions: Option<bool>,
}

/// The trials of a results folder that can be checked again.
#[derive(Debug)]
pub struct Review {
    /// Each with what its judges allow for.
    kept: Vec<(Kept, Allowance)>,
    rows: Vec<Row>,
    /// What the run left.
    table: Table,
}

/// One trial, checked again.
#[derive(Debug)]
pub struct Reviewed {
    /// Which trial, from 1.
    pub trial: u32,
    /// Where it ran.
    pub backend: Backend,
    /// Of which variant; `None` if the run was cut short before its row was written.
    pub variant: Option<String>,
    /// What its histories say.
    pub findings: Findings,
}

impl Review {
    /// All trials of `folder` that ran, or this one, in both worlds.
    pub fn open(folder: &Path, trial: Option<u32>) -> Result<Self, Error> {
        let mut all = histories::of_all(folder).map_err(|source| {
            let folder = folder.to_owned();
            match source.kind() {
                std::io::ErrorKind::NotFound => Error::NoHistories { folder },
                _ => Error::Folder { folder, source },
            }
        })?;
        // A run that was cut short may have none: then whoever left a file took part.
        let path = folder.join("trials.csv");
        let rows: Vec<Row> = if path.exists() { store::read_csv(&path)? } else { Vec::new() };
        all.extend(gone(&rows, &all));
        all.sort_by_key(|kept| (kept.backend, kept.trial));
        if all.is_empty() {
            return Err(Error::NoHistories { folder: folder.to_owned() });
        }
        if let Some(trial) = trial.filter(|trial| !all.iter().any(|kept| kept.trial == *trial)) {
            let mut trials: Vec<u32> = all.iter().map(|kept| kept.trial).collect();
            trials.sort_unstable();
            trials.dedup();
            let names: Vec<String> = trials.iter().map(u32::to_string).collect();
            let held = names.join(", ");
            return Err(Error::NoTrial { folder: folder.to_owned(), trial, held });
        }
        let is_asked = |kept: &Kept| trial.is_none_or(|trial| trial == kept.trial);
        let with_bound = |kept: Kept| {
            let row = rows.iter().find(|row| row.is_of(&kept));
            let allowance = match row {
                Some(row) => Allowance {
                    clocks_apart: Span(row.clocks_apart_ns.unwrap_or_default()),
                    may_miss: Span(row.reads_may_miss_ns.unwrap_or_default()),
                    has_sessions: row.read_sessions.unwrap_or_default(),
                },
                // The run was cut before it wrote the row.
                None => histories::allowance(folder, kept.trial, kept.backend)
                    .map_err(|source| Error::Folder { folder: folder.to_owned(), source })?,
            };
            Ok((kept, allowance))
        };
        let kept: Vec<(Kept, Allowance)> =
            all.into_iter().filter(is_asked).map(with_bound).collect::<Result<_, Error>>()?;
        Ok(Self { kept, rows, table: Table::open(folder)? })
    }

    /// Checks the trials, one after the other.
    pub fn trials(&self) -> impl Iterator<Item = Reviewed> {
        self.kept.iter().map(|(kept, allowance)| {
            let is_of = |row: &&Row| row.is_of(kept);
            let row = self.rows.iter().find(is_of);
            let count = |regions: &str| regions.split(';').filter(|name| !name.is_empty()).count();
            let [replicas, clients] =
                row.map_or([0; 2], |row| [count(&row.replica_regions), count(&row.client_regions)]);
            let mut findings = Findings { allowance: *allowance, ..Findings::default() };
            let members = kept.members(replicas, clients);
            let twins = Twins::find(&kept.files);
            let files = evidence::read(&kept.files, &twins);
            findings.gaps = self.table.gaps(kept, &files);
            let checked = histories::check(&members, &kept.files, &twins, *allowance);
            findings.add_histories(checked, files);
            let variant = row.map(|row| row.variant.clone());
            Reviewed { trial: kept.trial, backend: kept.backend, variant, findings }
        })
    }
}

impl Row {
    fn is_of(&self, kept: &Kept) -> bool {
        self.trial == kept.trial && self.backend == kept.backend.name()
    }
}

/// The trials that have a row and no folder of histories.
fn gone(rows: &[Row], kept: &[Kept]) -> Vec<Kept> {
    let gone = rows.iter().filter(|row| !kept.iter().any(|kept| row.is_of(kept)));
    let without_files = |row: &Row| {
        let backend =
            [Backend::Sim, Backend::Live].into_iter().find(|it| it.name() == row.backend)?;
        Some(Kept { trial: row.trial, backend, files: histories::Files::new() })
    };
    gone.filter_map(without_files).collect()
}

impl Reviewed {
    /// Whether something could not be known: a search was given up, or a history is missing, cut off or
    /// changed.
    pub fn is_partial(&self) -> bool {
        let is_cut = self.findings.seen.as_ref().is_some_and(|seen| seen.cut_count > 0);
        is_cut || !self.findings.gaps.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::ClientId;
    use crate::deployment::MemberName;
    use crate::history::{ClientWriter, Issued, Kind, Returned};
    use crate::protocol::Slot;
    use crate::time::Time;

    /// The history of a client of one operation on key 1.
    fn history(client: u32, kind: Kind, from: u64, until: u64, digest: Option<u32>) -> Vec<u8> {
        let mut writer = ClientWriter::new(ClientId(client));
        let written = if kind == Kind::Write { 7 } else { 0 };
        let (sequence, key) = (0, 1);
        writer.invoke(&Issued { sequence, intended_at: Time(from), kind, key, digest: written });
        let slot = Slot(u64::from(client));
        writer.returned(&Returned { sequence, at: Time(until), slot, is_beside: false, digest });
        writer.finish()
    }

    /// A read that began after a write had returned, and did not see it: by 50 ns, on clocks of two hosts.
    #[test]
    fn a_trial_without_a_row_is_judged_by_the_bound_of_its_clocks() {
        let results = tempfile::tempdir().unwrap();
        let backend = Backend::Live;
        let write = |client: u32, bytes: Vec<u8>| {
            let member = MemberName::Client(ClientId(client));
            let path = results.path().join(histories::name(1, backend, member, 0));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        };
        write(0, history(0, Kind::Write, 100, 200, None));
        write(1, history(1, Kind::Read, 250, 300, None));
        let violations = || {
            let review = Review::open(results.path(), None).unwrap();
            let reviewed: Vec<Reviewed> = review.trials().collect();
            assert!(reviewed[0].variant.is_none());
            reviewed[0].findings.seen.as_ref().unwrap().violation_count
        };
        assert_eq!(violations(), 1, "on one clock");
        let bound = results.path().join(histories::clocks_apart_name(1, backend));
        for (apart, expected) in [("40", 1), ("60", 0)] {
            std::fs::write(&bound, apart).unwrap();
            assert_eq!(violations(), expected, "{apart} ns apart");
        }
        std::fs::write(&bound, "far").unwrap();
        assert!(matches!(Review::open(results.path(), None), Err(Error::Folder { .. })));
    }
}
