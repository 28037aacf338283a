//! The ledger of a run: what its finished trials came to, kept so that a run that is cut short goes on.
//!
//! Every finished trial is one file in `parts/`, whole or not there.
//! The tables are made of them in the order of the plan, so they are the same bytes whatever the
//! number of threads, and whether or not the run was ever interrupted.
//! `parts/` goes when the last trial is in the tables: a folder that still has it can be resumed.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::configuration::{self, Identity};
use super::provenance::{Provenance, sha256};
use super::table_files::Tables;
use super::worlds::Worlds;
use crate::calibration::Calibration;
use crate::experiment::plan::Plan;
use crate::experiment::trial::Trial;
use crate::findings::rows::Rows;
use crate::measure::rows::columns::{COLUMNS, column_rows, swept_columns};
use crate::measure::{Store, store};
use crate::trial::Backend;

/// The folder of finished trials within a results folder.
pub(super) const PARTS: &str = "parts";

/// What a run is, for whoever resumes it; the first file of a run.
const RUN: &str = "parts/run.json";

/// Locked by the process that writes the results.
const LOCK: &str = "parts/run.lock";

/// What the machine adds by itself, as measured when the run began.
const CALIBRATION: &str = "parts/calibration.json";

/// Why a run cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is nothing that could go on.
    #[error("{} holds no run that was cut short", folder.display())]
    Nothing {
        /// The folder.
        folder: PathBuf,
    },
    /// It is no folder of a sweep.
    #[error("{} holds no sweep", folder.display())]
    NoSweep {
        /// The folder.
        folder: PathBuf,
    },
    /// The sweep is over.
    #[error("the sweep in {} is collected", folder.display())]
    Collected {
        /// The folder.
        folder: PathBuf,
    },
    /// It is another run.
    #[error("{} holds another run: {what}", folder.display())]
    Other {
        /// The folder.
        folder: PathBuf,
        /// What is not the same, in words.
        what: String,
    },
    /// Another process is at it.
    #[error("another process writes the results in {}", folder.display())]
    Busy {
        /// The folder.
        folder: PathBuf,
    },
    /// A finished trial cannot be read back: it is cut or changed.
    #[error("the finished trial {} is damaged: remove it, and it runs again", path.display())]
    Part {
        /// Its file.
        path: PathBuf,
    },
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The results cannot be written.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// One finished trial.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Part {
    /// Which trial of the plan.
    pub(super) trial: Trial,
    /// Where it ran.
    pub(super) backend: Backend,
    /// Everything that goes into tables.
    pub(super) rows: Rows,
    /// Violations of safety, as sentences.
    pub(super) violations: Vec<String>,
    /// Other reasons why the numbers cannot be believed, as sentences.
    pub(super) unfit: Vec<String>,
}

impl Part {
    /// The same without the rows that tables alone want, which are most of it.
    fn slim(mut self) -> Self {
        let Rows { latency, phases, percentiles, timeline, links, histories, .. } = &mut self.rows;
        (*latency, *phases, *percentiles) = (Vec::new(), Vec::new(), Vec::new());
        (*timeline, *links, *histories) = (Vec::new(), Vec::new(), Vec::new());
        self
    }
}

/// All finished trials of a run, and its folder.
#[derive(Debug)]
pub struct Ledger {
    store: Store,
    swept: Swept,
    /// Without the rows that tables alone want: those stay on disk, so that memory does not grow with a sweep.
    parts: BTreeMap<(usize, Backend), Part>,
    /// Nobody else writes the results meanwhile; shards of a sweep write none.
    _lock: Option<File>,
}

/// The keys that are swept: the last columns of every table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Swept {
    /// The path of each in the file.
    paths: Vec<String>,
    /// The name of the column of each.
    columns: Vec<String>,
    /// Its value at each point, as typed; empty where the point has none of its own.
    cells: Vec<Vec<String>>,
}

impl Swept {
    fn of(plan: &Plan) -> Self {
        let paths = plan.swept();
        let cells = plan.points.iter().map(|point| {
            let value = |path: &&str| {
                let own = point.settings.iter().find(|(known, _)| known == path);
                own.map(|(_, value)| value.clone()).unwrap_or_default()
            };
            paths.iter().map(value).collect()
        });
        let cells = cells.collect();
        let columns = swept_columns(&paths);
        Self { paths: paths.into_iter().map(str::to_owned).collect(), columns, cells }
    }

    /// Each key: the name of its column, and its path.
    fn named(&self) -> Vec<(String, String)> {
        self.columns.iter().cloned().zip(self.paths.iter().cloned()).collect()
    }

    /// The cells of a row of this point.
    fn cells(&self, point: usize) -> &[String] {
        &self.cells[point]
    }
}

impl Ledger {
    /// A run that begins in the folder of `store`.
    pub fn begin(
        store: Store,
        plan: &Plan,
        provenance: &Provenance,
        worlds: &Worlds<'_>,
    ) -> Result<Self, Error> {
        configuration::write(&store, plan, worlds)?;
        let swept = Swept::of(plan);
        store.write_csv(COLUMNS, &column_rows(&swept.named()))?;
        let identity = Identity::of(plan, provenance, worlds);
        let text = serde_json::to_vec_pretty(&identity).expect("an identity is plain data");
        // Last: a run that has it can be resumed.
        store.write_bytes(RUN, &text)?;
        let lock = claim(&store)?;
        Ok(Self { store, swept, parts: BTreeMap::new(), _lock: Some(lock) })
    }

    /// The run that was cut short in `folder`, if it is the same one; nobody else runs its trials.
    pub fn resume(
        folder: &Path,
        plan: &Plan,
        provenance: &Provenance,
        worlds: &Worlds<'_>,
    ) -> Result<Self, Error> {
        Self::join(folder, plan, provenance, worlds, &|_| true)?.claimed()
    }

    /// The same run; nobody else writes its results from now on, and they have not ended.
    pub fn claimed(self) -> Result<Self, Error> {
        let lock = claim(&self.store)?;
        Store::reopen(self.store.folder())?;
        Ok(Self { _lock: Some(lock), ..self })
    }

    /// A part of the run in `folder`, if it is the same one: others may run the trials that are not `wanted`.
    pub(super) fn join(
        folder: &Path,
        plan: &Plan,
        provenance: &Provenance,
        worlds: &Worlds<'_>,
        wanted: &dyn Fn(&Trial) -> bool,
    ) -> Result<Self, Error> {
        let Ok(text) = read(&folder.join(RUN)) else {
            return Err(Error::Nothing { folder: folder.to_owned() });
        };
        let now = Identity::of(plan, provenance, worlds);
        let what = match serde_json::from_slice::<Identity>(&text) {
            Ok(then) => then.difference(&now),
            Err(_) => Some("the program differs, and describes a run in another way".into()),
        };
        if let Some(what) = what {
            return Err(Error::Other { folder: folder.to_owned(), what });
        }
        let (swept, parts) = (Swept::of(plan), BTreeMap::new());
        let mut ledger = Self { store: Store::shared(folder), swept, parts, _lock: None };
        ledger.read_parts(plan, worlds, wanted)?;
        Ok(ledger)
    }

    /// The plan has more points and trials than before; those that a run finished before it was cut short are
    /// finished.
    pub(super) fn extend(&mut self, plan: &Plan, worlds: &Worlds<'_>) -> Result<(), Error> {
        configuration::write(&self.store, plan, worlds)?;
        self.swept = Swept::of(plan);
        self.store.write_csv(COLUMNS, &column_rows(&self.swept.named()))?;
        self.read_parts(plan, worlds, &|_| true)
    }

    /// Reads the finished trials that are on disk and not here.
    fn read_parts(
        &mut self,
        plan: &Plan,
        worlds: &Worlds<'_>,
        wanted: &dyn Fn(&Trial) -> bool,
    ) -> Result<(), Error> {
        for trial in plan.trials.iter().filter(|trial| wanted(trial)) {
            for backend in worlds.backends() {
                let path = self.store.folder().join(name(trial.number(), backend));
                if self.has(trial, backend) || !path.exists() {
                    continue;
                }
                let part = unseal(&read(&path)?).ok_or(Error::Part { path })?;
                if part.trial != *trial || part.rows.trial.point != plan.point(trial).label {
                    let what = format!("its trial {} is another one", trial.number());
                    return Err(Error::Other { folder: self.store.folder().to_owned(), what });
                }
                self.parts.insert((trial.index, backend), part.slim());
            }
        }
        Ok(())
    }

    /// Keeps what the machine adds by itself, for whoever resumes the run.
    pub fn keep_calibration(&self, calibration: &Calibration) -> Result<(), Error> {
        let text = serde_json::to_vec_pretty(calibration).expect("a calibration is plain data");
        self.store.write_bytes(CALIBRATION, &text)?;
        Ok(())
    }

    /// What the machine added by itself when the run in this folder began, if that was measured.
    pub fn calibration(folder: &Path) -> Option<Calibration> {
        Calibration::read(&folder.join(CALIBRATION)).ok()
    }

    /// The folder of the results.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Whether this trial is finished.
    pub fn has(&self, trial: &Trial, backend: Backend) -> bool {
        self.parts.contains_key(&(trial.index, backend))
    }

    /// The finished trials, in the order of the plan, without the rows that tables alone want.
    pub(super) fn parts(&self) -> impl Iterator<Item = &Part> {
        self.parts.values()
    }

    /// Keeps a finished trial.
    pub(super) fn keep(&mut self, part: &Part) -> Result<(), store::Error> {
        let sealed = seal(part);
        self.store.write_bytes(&name(part.trial.number(), part.backend), &sealed)?;
        // What is kept is rounded: whoever goes on with the run must come to the same tables.
        let part = unseal(&sealed).expect("what was sealed is whole");
        self.parts.insert((part.trial.index, part.backend), part.slim());
        Ok(())
    }

    /// Writes the tables of all finished trials anew, from what is on disk.
    pub(super) fn write_tables(&self) -> Result<(), Error> {
        let mut tables = Tables::begin(&self.store, &self.swept.columns)?;
        for part in self.parts.values() {
            let path = self.store.folder().join(name(part.trial.number(), part.backend));
            let whole = unseal(&read(&path)?).ok_or(Error::Part { path })?;
            tables.add(&whole.rows, self.swept.cells(part.trial.point))?;
        }
        tables.finish()?;
        Ok(())
    }

    /// The run is over: no trial is to be resumed any more.
    pub(super) fn forget_parts(&self) {
        // Should it stay, it is only in the way.
        let _ = fs::remove_dir_all(self.store.folder().join(PARTS));
    }
}

/// A part as it is kept: the hash of what follows it, so that no changed number goes into a table.
fn seal(part: &Part) -> Vec<u8> {
    let bytes = postcard::to_stdvec(part).expect("rows are plain data");
    [sha256(&bytes).as_bytes(), &bytes].concat()
}

/// The part; `None` if it is not as it was kept.
fn unseal(sealed: &[u8]) -> Option<Part> {
    let (hash, bytes) = sealed.split_at_checked(sha256(&[]).len())?;
    let is_whole = sha256(bytes).as_bytes() == hash;
    is_whole.then(|| postcard::from_bytes(bytes).ok()).flatten()
}

/// Whether the file of a finished trial is as it was kept.
pub(super) fn is_whole(path: &Path) -> bool {
    fs::read(path).is_ok_and(|sealed| unseal(&sealed).is_some())
}

/// The file of one finished trial, of this number.
pub(super) fn name(trial: u32, backend: Backend) -> String {
    format!("{PARTS}/{}.part", backend.prefix(trial))
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::File { path: path.to_owned(), source })
}

/// Locks the results in this folder.
fn claim(store: &Store) -> Result<File, Error> {
    let path = store.folder().join(LOCK);
    match lock(&path) {
        Ok(Some(lock)) => Ok(lock),
        Ok(None) => Err(Error::Busy { folder: store.folder().to_owned() }),
        Err(source) => Err(Error::File { path, source }),
    }
}

/// Locks a file until it is dropped or the process ends; `None` if another process has it.
pub(super) fn lock(path: &Path) -> io::Result<Option<File>> {
    let file = File::options().create(true).truncate(false).write(true).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        // Some shared file systems have no locks; then it is for the user not to start two.
        Err(TryLockError::Error(error)) if has_no_locks(&error) => Ok(Some(file)),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Lustre without `-o flock` says `ENOSYS`; NFS without a lock manager `ENOLCK`.
fn has_no_locks(error: &io::Error) -> bool {
    const ENOLCK: i32 = 37;
    error.kind() == io::ErrorKind::Unsupported || error.raw_os_error() == Some(ENOLCK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::rows::{PercentileRow, TrialRow};
    use crate::measure::store::read_csv;

    /// A finished trial with so many rows in a table.
    fn part(index: usize, rows: usize) -> Part {
        let trial = Trial { index, repeat: 0, variant: 0, point: 0, seed: 1 };
        let percentile = PercentileRow { trial: trial.number(), ..PercentileRow::default() };
        let rows = Rows {
            trial: TrialRow { trial: trial.number(), ..TrialRow::default() },
            percentiles: vec![percentile; rows],
            ..Rows::default()
        };
        Part { trial, backend: Backend::Sim, rows, violations: Vec::new(), unfit: Vec::new() }
    }

    fn ledger(folder: &Path) -> Ledger {
        let store = Store::create(folder).unwrap();
        let swept = Swept { cells: vec![Vec::new()], ..Swept::default() };
        Ledger { store, swept, parts: BTreeMap::new(), _lock: None }
    }

    #[test]
    fn rows_that_only_tables_want_are_on_disk_and_not_in_memory() {
        let root = tempfile::tempdir().unwrap();
        let mut ledger = ledger(&root.path().join("results"));
        for index in [2, 0, 1] {
            ledger.keep(&part(index, 3)).unwrap();
        }
        assert!(ledger.parts().all(|part| part.rows.percentiles.is_empty()));
        ledger.write_tables().unwrap();
        let path = ledger.store.folder().join("percentiles.csv");
        let rows: Vec<PercentileRow> = read_csv(&path).unwrap();
        let trials: Vec<u32> = rows.iter().map(|row| row.trial).collect();
        assert_eq!(trials, [1, 1, 1, 2, 2, 2, 3, 3, 3]);
        assert!(!ledger.store.folder().join("links.csv").exists());
    }

    #[test]
    fn a_part_that_is_damaged_leaves_the_tables_as_they_were() {
        let root = tempfile::tempdir().unwrap();
        let mut ledger = ledger(&root.path().join("results"));
        ledger.keep(&part(0, 1)).unwrap();
        ledger.write_tables().unwrap();
        let table = ledger.store.folder().join("percentiles.csv");
        let before = fs::read(&table).unwrap();
        ledger.keep(&part(1, 1)).unwrap();
        let damaged = ledger.store.folder().join(name(2, Backend::Sim));
        fs::write(&damaged, b"something else").unwrap();
        let refused = ledger.write_tables().unwrap_err();
        assert!(matches!(refused, Error::Part { path } if path == damaged));
        assert_eq!(fs::read(&table).unwrap(), before);
        let names = fs::read_dir(ledger.store.folder()).unwrap();
        let is_temporary = |path: PathBuf| path.extension().is_some_and(|it| it == "tmp");
        assert!(!names.map(|entry| entry.unwrap().path()).any(is_temporary));
    }
}
