//! A sweep in shards: the simulated trials of one plan, run by several processes into one folder.
//!
//! The folder is that of a run that was cut short, so the ledger, its identity and its finished trials are those of
//! any run. A shard runs the trials that fall to it and are not finished; [`collect`] makes the tables of all.
//! The trials of a plan are numbered, and a simulated trial depends on the plan and its seed alone: the tables are
//! the same bytes whoever ran which trial, and whatever was run twice.
//!
//! | file in `parts/` | content |
//! |---|---|
//! | `sweep.json` | what the sweep is, for processes that know only its folder |
//! | `run.json` | the identity: a process with another plan or program is refused |
//! | `*.part` | a finished trial, whole or not there |
//! | `*.error` | why a trial failed when it was last tried |
//! | `*.lock` | locked by the process that runs the trial: nobody runs it twice at once |
//! | `run.lock` | locked by the process that collects |
//! | `jobs/*` | a file for each job of a batch scheduler that runs shards |

#[cfg(test)]
mod tests;

use std::any::Any;
use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use serde::{Deserialize, Serialize};

use super::configuration::Identity;
use super::ledger::{self, Ledger, PARTS};
use super::provenance::Provenance;
use super::simulated::Unwritten;
use super::worlds::{self, Worlds};
use super::{Ending, Error, Report, Summary, Tell, WORK, Work};
use crate::causes::chain;
use crate::cluster::Interrupt;
use crate::experiment::file::Source;
use crate::experiment::plan::{Plan, Size};
use crate::experiment::trial::Trial;
use crate::findings::Finished;
use crate::measure::store::MANIFEST;
use crate::measure::{Store, store};
use crate::runtime::clock;
use crate::trial::Backend;

/// What the sweep is, within its folder.
const SWEEP: &str = "parts/sweep.json";

/// The jobs that run its shards, within its folder.
const JOBS: &str = "parts/jobs";

/// All trials of a sweep are simulated.
const BACKEND: Backend = Backend::Sim;

/// One of several equal parts of a sweep: the trials whose number is `number` modulo `count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    number: usize,
    count: usize,
}

impl Shard {
    /// The shard of this number, from 1, of so many.
    pub const fn new(number: usize, count: usize) -> Option<Self> {
        if number == 0 || number > count {
            return None;
        }
        Some(Self { number, count })
    }

    /// The shard of so many that has the trial of this number.
    pub const fn of(trial: u32, count: usize) -> Self {
        Self { number: (trial as usize - 1) % count + 1, count }
    }

    /// How many shards there are.
    pub const fn count(self) -> usize {
        self.count
    }

    /// Whether it has this trial.
    pub fn has(self, trial: &Trial) -> bool {
        Self::of(trial.number(), self.count) == self
    }
}

impl FromStr for Shard {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split_once('/');
        let numbers = parts.and_then(|(k, n)| k.parse().ok().zip(n.parse().ok()));
        let shard = numbers.and_then(|(number, count)| Self::new(number, count));
        shard.ok_or("give k/N with k from 1 to N, as in 1/7 to 7/7")
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.count)
    }
}

/// What a sweep is, for a process that knows only its folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sweep {
    /// Where the numbers come from, for the manifest; it has the text of the experiment.
    pub provenance: Provenance,
    /// The absolute path of the experiment file: latency profiles are relative to it.
    path: PathBuf,
    trials: Option<u32>,
    is_smoke: bool,
    trial_count: u32,
    /// In how many shards it was to run when it began.
    pub shard_count: usize,
}

/// How far a sweep is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// How many trials are finished.
    pub done_count: usize,
    /// The numbers of the trials that failed when they were last tried, and why.
    pub failed: Vec<(u32, String)>,
    /// The numbers of all other trials.
    pub missing: Vec<u32>,
}

impl Status {
    /// Whether every trial is finished.
    pub const fn is_whole(&self) -> bool {
        self.failed.is_empty() && self.missing.is_empty()
    }

    /// The numbers of the shards, of so many, that have trials to run.
    pub fn open_shards(&self, count: usize) -> BTreeSet<usize> {
        let failed = self.failed.iter().map(|(trial, _)| *trial);
        let open = failed.chain(self.missing.iter().copied());
        open.map(|trial| Shard::of(trial, count).number).collect()
    }
}

/// How a shard ended.
#[derive(Debug, Default)]
pub struct Ended {
    /// Its finished trials, in the order of the plan; also those of an earlier process.
    pub finished: Vec<Finished>,
    /// The numbers of the trials that failed, and why.
    pub failed: Vec<(u32, String)>,
    /// How many trials another process runs now.
    pub busy_count: usize,
    /// How many trials were left because the user wants an end.
    pub left_count: usize,
}

/// How it went with one trial.
enum Attempt {
    Done,
    Failed(String),
    Busy,
    Left,
}

impl Sweep {
    /// The sweep over this plan, at the size at which the source was planned.
    pub fn new(
        source: &Source,
        size: Size,
        plan: &Plan,
        shard_count: usize,
        provenance: Provenance,
    ) -> io::Result<Self> {
        let path = std::path::absolute(&source.path)?;
        let trial_count = plan.trials.last().map_or(0, Trial::number);
        let Size { trials, is_smoke } = size;
        Ok(Self { provenance, path, trials, is_smoke, trial_count, shard_count })
    }

    /// The one in this folder.
    pub fn read(folder: &Path) -> Result<Self, ledger::Error> {
        let path = folder.join(SWEEP);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ledger::Error::NoSweep { folder: folder.to_owned() });
            }
            other => other.map_err(|source| ledger::Error::File { path, source })?,
        };
        serde_json::from_slice(&text).map_err(|_| ledger::Error::Other {
            folder: folder.to_owned(),
            what: format!("its {SWEEP} is damaged, or another version of the program wrote it"),
        })
    }

    /// The experiment as it was when the sweep began, and its size.
    pub fn source(&self) -> (Source, Size) {
        let text = self.provenance.experiment.text.clone();
        let size = Size { trials: self.trials, is_smoke: self.is_smoke };
        (Source { path: self.path.clone(), text }, size)
    }

    /// Makes the folder of the sweep, unless another process has; what is in it is not looked at.
    ///
    /// The folder is made beside its place and renamed: several shards may begin at once, on several machines.
    pub fn begin(&self, folder: &Path, plan: &Plan) -> Result<(), ledger::Error> {
        let is_free = fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none());
        if !is_free {
            return Ok(());
        }
        let mut draft = folder.as_os_str().to_owned();
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        draft.push(format!(".{}.{}.tmp", host.trim(), std::process::id()));
        let draft = PathBuf::from(draft);
        let store = Store::create(&draft)?;
        let text = serde_json::to_vec_pretty(self).expect("a sweep is plain data");
        store.write_bytes(SWEEP, &text)?;
        Ledger::begin(store, plan, &self.provenance, &simulated(1))?;
        if let Err(source) = fs::rename(&draft, folder) {
            let _ = fs::remove_dir_all(&draft);
            // Another process was quicker.
            if !folder.join(SWEEP).exists() {
                let path = folder.to_owned();
                return Err(store::Error::Write { path, source }.into());
            }
        }
        Ok(())
    }

    /// How far the sweep in this folder is.
    pub fn status(&self, folder: &Path) -> Result<Status, ledger::Error> {
        let path = folder.join(PARTS);
        let failed = |source| ledger::Error::File { path: path.clone(), source };
        let entries = fs::read_dir(&path).map_err(failed)?;
        let names: BTreeSet<String> = entries
            .map(|entry| Ok(format!("{PARTS}/{}", entry?.file_name().to_string_lossy())))
            .collect::<io::Result<_>>()
            .map_err(failed)?;
        let mut status = Status::default();
        for trial in 1..=self.trial_count {
            let part = ledger::name(trial, BACKEND);
            if names.contains(&part) && ledger::is_whole(&folder.join(&part)) {
                status.done_count += 1;
            } else if names.contains(&part) {
                let why = format!("{part} is damaged; delete it, and run its shard again");
                status.failed.push((trial, why));
            } else if names.contains(&beside(trial, "error")) {
                let text = fs::read_to_string(folder.join(beside(trial, "error")));
                status.failed.push((trial, text.unwrap_or_default().trim().to_owned()));
            } else {
                status.missing.push(trial);
            }
        }
        Ok(status)
    }
}

/// Whether the sweep that was in this folder is collected.
pub fn is_collected(folder: &Path) -> bool {
    folder.join(MANIFEST).exists() && !folder.join(PARTS).exists()
}

/// The part of the sweep in `folder` that this shard runs, or all of it; refused if it is another sweep.
pub fn open(
    folder: &Path,
    plan: &Plan,
    provenance: &Provenance,
    shard: Option<Shard>,
) -> Result<Ledger, ledger::Error> {
    if is_collected(folder) {
        return Err(ledger::Error::Collected { folder: folder.to_owned() });
    }
    Sweep::read(folder)?;
    let wanted = |trial: &Trial| shard.is_none_or(|shard| shard.has(trial));
    Ledger::join(folder, plan, provenance, &simulated(1), &wanted)
}

/// Runs the trials of a shard that are not finished, on so many threads; `tell` hears of each that ends.
///
/// A trial that fails is no reason to leave the others: its error is kept beside the finished trials.
pub fn run(
    plan: &Plan,
    ledger: Ledger,
    shard: Shard,
    threads: usize,
    interrupt: Interrupt,
    tell: Tell<'_>,
) -> Result<Ended, Error> {
    let of_shard = plan.trials.iter().filter(|trial| shard.has(trial));
    let open: Vec<&Trial> = of_shard.filter(|trial| !ledger.has(trial, BACKEND)).collect();
    let (ledger, looks) = (Mutex::new(ledger), Mutex::default());
    let command_count = AtomicU64::new(0);
    let work = Work { plan, interrupt, ledger, tell, command_count, until: None, looks };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let attempts: Vec<(u32, Attempt)> = pool
        .install(|| open.par_iter().map(|trial| (trial.number(), work.attempt(trial))).collect());
    let mut ended = Ended::default();
    for (trial, attempt) in attempts {
        match attempt {
            Attempt::Done => {}
            Attempt::Failed(why) => ended.failed.push((trial, why)),
            Attempt::Busy => ended.busy_count += 1,
            Attempt::Left => ended.left_count += 1,
        }
    }
    let ledger = work.into_ledger();
    let _ = fs::remove_dir(ledger.store().folder().join(WORK));
    ended.finished = ledger.parts().map(Finished::of).collect();
    Ok(ended)
}

impl Work<'_> {
    /// Runs a trial of a sweep, unless another process runs it or has.
    fn attempt(&self, trial: &Trial) -> Attempt {
        if self.interrupt.is_asked() {
            return Attempt::Left;
        }
        let number = trial.number();
        let store = self.ledger().store().clone();
        let lock_path = store.folder().join(beside(number, "lock"));
        let _lock = match ledger::lock(&lock_path) {
            Ok(Some(lock)) => lock,
            Ok(None) => return Attempt::Busy,
            Err(source) => {
                return Attempt::Failed(chain(&Unwritten { path: lock_path, source }));
            }
        };
        if store.folder().join(ledger::name(number, BACKEND)).exists() {
            return Attempt::Done;
        }
        let error = beside(number, "error");
        let why = match catch_unwind(AssertUnwindSafe(|| self.simulate_one(trial))) {
            Ok(Ok(())) => {
                // Should it stay, the finished trial beside it counts.
                let _ = fs::remove_file(store.folder().join(error));
                return Attempt::Done;
            }
            Ok(Err(error)) if error.is_interrupt() => return Attempt::Left,
            Ok(Err(error)) => chain(&error),
            Err(panic) => format!("the simulator panicked: {}", message(&*panic)),
        };
        match store.replace_bytes(&error, format!("{why}\n").as_bytes()) {
            Ok(_) => Attempt::Failed(why),
            Err(unwritten) => Attempt::Failed(format!("{why}; and {}", chain(&unwritten))),
        }
    }
}

/// Makes the tables and the manifest of a sweep whose trials are all finished, as a run does at its end.
pub fn collect(sweep: Sweep, plan: &Plan, ledger: Ledger, report: Report<'_>) -> Summary {
    let Sweep { provenance, .. } = sweep;
    let worlds = simulated(1);
    let identity = Identity::of(plan, &provenance, &worlds);
    let (looks, simulation, is_fixed) = (std::collections::BTreeMap::new(), None, true);
    let ending = Ending { plan, provenance, ledger, worlds, identity, looks, simulation, is_fixed };
    ending.conclude(Ok(()), report)
}

/// How long a trial takes on one core of this machine, on average: so many of them are simulated, evenly spread, and
/// forgotten. `None` if the user wants an end.
pub fn time_trials(
    plan: &Plan,
    count: usize,
    work: &Path,
    interrupt: &Interrupt,
) -> Result<Option<Duration>, Unwritten> {
    let started = clock::now();
    let step = (plan.trials.len() / count.max(1)).max(1);
    let mut timed = 0;
    for trial in plan.trials.iter().step_by(step).take(count) {
        if worlds::simulate(plan, trial, work, interrupt)?.is_none() {
            return Ok(None);
        }
        timed += 1;
    }
    let took = Duration::from(clock::now().since(started));
    Ok(Some(took / timed.max(1)))
}

/// Keeps the name of a job that runs shards of the sweep in this folder.
pub fn keep_job(folder: &Path, job: &str) -> Result<(), store::Error> {
    Store::shared(folder).replace_bytes(&format!("{JOBS}/{job}"), b"")?;
    Ok(())
}

/// The jobs that ever ran shards of the sweep in this folder.
pub fn jobs(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder.join(JOBS)).into_iter().flatten().flatten();
    let mut jobs: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    jobs.sort_unstable();
    jobs
}

/// Virtual time alone.
const fn simulated<'a>(threads: usize) -> Worlds<'a> {
    Worlds { sim: Some(threads), live: None }
}

/// A file beside that of a finished trial.
fn beside(trial: u32, ending: &str) -> String {
    format!("{PARTS}/{}.{ending}", BACKEND.prefix(trial))
}

/// What a panic says.
fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}
