//! A plan carried out: every trial in each of its worlds, checked, and written down as it ends.
//!
//! Simulated trials run side by side on as many threads as they are given; live ones one after the
//! other, in the order of the plan, with the machine to themselves.
//! Whatever ends the run early, the trials that finished are on disk, the manifest says how it ended,
//! and the run can be resumed.
//!
//! | file | content |
//! |---|---|
//! | [`capacity`] | a run that searches for the highest rate that is held |
//! | [`worlds`], `deploy`, [`simulated`] | runs one trial in virtual time or on real replicas |
//! | [`ledger`] | keeps every trial that is finished |
//! | [`native`] | the links of a run as they are, as a latency profile |
//! | [`configuration`] | what a run was made of, and whether another one is the same |
//! | [`provenance`] | the code, the machine and the day, for whoever doubts the numbers |
//! | [`review`] | checks the histories of a results folder again |
//! | [`sweep`] | the trials of one plan in shards, run by several processes into one folder |
//! | [`diagram`] | draws one write of a simulated trial |

pub mod capacity;
pub mod configuration;
mod deploy;
pub mod diagram;
pub mod ledger;
pub mod native;
pub mod provenance;
#[cfg(test)]
mod recovery_tests;
pub mod review;
pub mod simulated;
pub mod sweep;
mod table_files;
pub mod worlds;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use serde::Serialize;

use crate::calibration::Calibration;
use crate::causes::chain;
use crate::cluster::hosts::report::HostReport;
use crate::cluster::{self, HostLoss, Interrupt, Progress};
use crate::compare::stopping::{self, Look};
use crate::compare::{self, Conclusions};
use crate::deployment::MemberName;
use crate::experiment::plan::{Plan, ServiceSource};
use crate::experiment::trial::Trial;
use crate::findings::histories::{self, Allowance};
use crate::findings::rows::Rows;
use crate::findings::{Findings, Finished, tables, verify};
use crate::measure::rows;
use crate::measure::{self, Recording, Store, store, write_log};
use crate::runtime::clock;
use crate::runtime::machine;
use crate::runtime::wan::Scheduling;
use crate::sim::{self, Service};
use crate::time::Span;
use crate::trial::{Backend, Outcome};
use configuration::{Identity, ProfileFile};
use ledger::{Ledger, Part};
use provenance::Provenance;
use simulated::Unwritten;
use worlds::{Live, Worlds};

/// The folder in which members keep their files, within a results folder.
const WORK: &str = "work";

/// Why a run ended before its last trial.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A trial came to nothing.
    #[error("trial {trial} ({variant}) came to nothing")]
    Trial {
        /// Its number, from 1.
        trial: u32,
        /// Of which variant.
        variant: String,
        /// Why.
        source: Box<cluster::Error>,
    },
    /// The results could not be written.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The ledger of a search could not grow.
    #[error(transparent)]
    Ledger(ledger::Error),
    /// The histories of a simulated trial could not be written.
    #[error(transparent)]
    Unwritten(#[from] Unwritten),
    /// What a member recorded could not be read.
    #[error("what a member recorded cannot be read")]
    Recording(#[from] measure::Error),
    /// The threads of the simulator could not be started.
    #[error("cannot start the threads of the simulator: ask for fewer with --threads")]
    Threads(#[from] rayon::ThreadPoolBuildError),
}

impl From<ledger::Error> for Error {
    fn from(error: ledger::Error) -> Self {
        match error {
            // A file of the ledger is one of the results.
            ledger::Error::Store(source) => Self::Store(source),
            other => Self::Ledger(other),
        }
    }
}

impl Error {
    /// Whether the user ended the run.
    const fn is_interrupt(&self) -> bool {
        matches!(self, Self::Trial { source, .. } if matches!(**source, cluster::Error::Interrupted))
    }
}

/// What to run, and with what.
pub struct Run<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Where the numbers come from, for the manifest.
    pub provenance: Provenance,
    /// The folder of the results, and what is finished.
    pub ledger: Ledger,
    /// Where it runs.
    pub worlds: Worlds<'a>,
    /// Whether the user wants the run to end.
    pub interrupt: Interrupt,
    /// When it has enough repeats, if not after those of the plan.
    pub until: Option<Until>,
}

/// When a run has enough repeats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Until {
    /// When no median may differ by more than this share without being found.
    pub detectable: f64,
    /// Or when it has lasted so long in one world; the repeat under way is finished.
    pub time: Option<Span>,
}

/// What is told while it runs.
#[derive(Debug)]
pub enum Event<'a> {
    /// A live trial came to another stage.
    Stage(&'a Trial, Progress),
    /// A trial ended.
    Ended(&'a Finished),
}

/// How a run ended.
#[derive(Debug)]
pub struct Summary {
    /// The trials that finished, in the order of the plan.
    pub finished: Vec<Finished>,
    /// How many were planned, in all worlds.
    pub planned: usize,
    /// What follows from them.
    pub conclusions: Conclusions,
    /// What the simulation took, if there was one.
    pub simulation: Option<Simulation>,
    /// The scheduling that link emulations obtained, each once.
    pub link_scheduling: Vec<Scheduling>,
    /// The folder of the results.
    pub folder: PathBuf,
    /// Why it ended before its last trial, if it did.
    pub error: Option<Error>,
}

/// What simulating took, with checking and writing down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Simulation {
    /// Commands that were answered, warm-up included, in the trials that ran now.
    pub command_count: u64,
    /// Processor time of all threads, in seconds; `None` where the system does not say.
    pub cpu_s: Option<f64>,
}

/// `manifest.json`.
#[derive(Debug, Serialize)]
struct Manifest<'a> {
    #[serde(flatten)]
    provenance: &'a Provenance,
    table_schema_version: u32,
    backends: Vec<&'static str>,
    launcher: Option<&'static str>,
    /// The machines on which members ran; none where they ran on this one.
    hosts: Vec<HostUsed>,
    profiles: Vec<&'a str>,
    profile_files: Vec<ProfileFile>,
    identity: Identity,
    /// What `plan` warns of.
    warnings: Vec<String>,
    trials_planned: usize,
    trials_finished: usize,
    trials_valid: usize,
    trials_complete: usize,
    /// How often it looked at its trials of each backend before it ended; empty where the number of repeats
    /// was fixed.
    looks: BTreeMap<&'static str, u32>,
    ended: Ended,
    /// Which trials are incomplete, or the error.
    ended_note: Option<String>,
    ended_at: String,
    members_lost: Vec<LostMember<'a>>,
    /// The hosts that were lost, and how soon that was noticed.
    hosts_lost: Vec<HostLoss>,
    link_scheduling: Vec<Scheduling>,
    probe_attempts_good: u32,
    probe_attempts: u32,
    services: Vec<ServiceUsed<'a>>,
    calibration: Option<&'a Calibration>,
}

/// A machine on which members ran.
#[derive(Debug, Serialize)]
struct HostUsed {
    /// As the host file names it.
    host: String,
    #[serde(flatten)]
    report: HostReport,
}

/// A member that was lost without being told to.
#[derive(Debug, Serialize)]
struct LostMember<'a> {
    trial: u32,
    variant: &'a str,
    backend: &'a str,
    member: &'a str,
    cause: &'a str,
}

/// How a run ended, as a code in the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Ended {
    /// Every trial ran and is complete.
    Done,
    /// Every trial ran, and some are not complete.
    Incomplete,
    /// The user ended it.
    Interrupted,
    /// An error ended it.
    Failed,
}

/// Most simulations say nothing of it.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_nothing(nanoseconds: &u64) -> bool {
    *nanoseconds == 0
}

/// What simulated work cost, and who said so: the code of a [`ServiceSource`], and its file if it has one.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct ServiceUsed<'a> {
    receive_ns: u64,
    send_ns: u64,
    sync_ns: u64,
    #[serde(skip_serializing_if = "is_nothing")]
    mebibyte_ns: u64,
    #[serde(skip_serializing_if = "is_nothing")]
    checkpoint_ns: u64,
    source: &'static str,
    source_file: Option<&'a str>,
    /// The machine that members shared, if they did.
    #[serde(skip_serializing_if = "Option::is_none")]
    shared_host: Option<SharedHost>,
}

/// A machine that simulated members shared, and what it cost beside the service times.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct SharedHost {
    cores: u16,
    wake_up_ns: u64,
    packet_ns: u64,
    sync_ns: u64,
    slice_ns: u64,
    one_disk: bool,
}

impl From<sim::Host> for SharedHost {
    fn from(host: sim::Host) -> Self {
        let sim::Host { cores, costs, one_disk } = host;
        let [wake_up_ns, packet_ns, sync_ns, slice_ns] =
            [costs.wake_up, costs.packet, costs.sync, costs.slice].map(|it| it.0);
        Self { cores, wake_up_ns, packet_ns, sync_ns, slice_ns, one_disk }
    }
}

type Tell<'a> = &'a (dyn Fn(&Event<'_>) + Sync);

/// Writes into the folder what people read of the finished trials; the scheduling of link emulations is that
/// of the [`Summary`].
pub type Report<'a> =
    &'a dyn Fn(&Store, &[Finished], &[Scheduling], &Conclusions) -> Result<(), store::Error>;

impl Run<'_> {
    /// Runs every trial that is not finished; `tell` hears how it goes, and `report` writes its files before
    /// the manifest.
    pub fn run(self, tell: Tell<'_>, report: Report<'_>) -> Summary {
        let Run { plan, provenance, ledger, mut worlds, interrupt, until } = self;
        let identity = Identity::of(plan, &provenance, &worlds);
        let command_count = AtomicU64::new(0);
        let (ledger, looks) = (Mutex::new(ledger), Mutex::default());
        let work = Work { plan, interrupt, ledger, tell, command_count, until, looks };
        let before = machine::cpu_s();
        let mut ended = worlds.sim.map_or(Ok(()), |threads| work.simulate(threads));
        let simulation = worlds.sim.map(|_| Simulation {
            command_count: work.command_count.load(Ordering::Relaxed),
            cpu_s: before.zip(machine::cpu_s()).map(|(before, after)| after - before),
        });
        if let (Ok(()), Some(live)) = (&ended, &mut worlds.live) {
            ended = work.deploy(live);
        }
        let looks = work.looks.lock().expect("no thread panics while it looks").clone();
        let ledger = work.into_ledger();
        let is_fixed = until.is_none();
        let ending =
            Ending { plan, provenance, ledger, worlds, identity, looks, simulation, is_fixed };
        ending.conclude(ended, report)
    }
}

/// What is left to do when the last trial has ended.
struct Ending<'p, 'w> {
    plan: &'p Plan,
    provenance: Provenance,
    ledger: Ledger,
    worlds: Worlds<'w>,
    identity: Identity,
    looks: BTreeMap<&'static str, u32>,
    simulation: Option<Simulation>,
    /// Whether the number of trials was known when the run began.
    is_fixed: bool,
}

impl Ending<'_, '_> {
    /// Writes the tables, the reports and the manifest.
    fn conclude(self, ended: Result<(), Error>, report: Report<'_>) -> Summary {
        let Ending { plan, provenance, ledger, worlds, identity, looks, simulation, is_fixed } =
            self;
        let backends = worlds.backends();
        let launcher = worlds.live.as_ref().map(|live| live.launcher.name());
        let hosts = worlds.live.as_ref().map_or_else(Vec::new, |live| live.launcher.hosts());
        let hosts = hosts.into_iter().map(|(host, report)| HostUsed { host, report }).collect();
        let written = ledger.write_tables().map_err(Error::from);
        let mut error = ended.and(written).err();
        let finished: Vec<Finished> = ledger.parts().map(Finished::of).collect();
        let folder = ledger.store().folder().to_path_buf();
        let planned = if is_fixed || error.is_some() {
            plan.trials.len() * backends.len()
        } else {
            // As many as it came to.
            finished.len()
        };
        let conclusions =
            Conclusions::of(&finished, &plan.expectations, looks.values().max().copied());
        if let Err(unwritten) = write_conclusions(ledger.store(), &conclusions) {
            error.get_or_insert(unwritten.into());
        }
        // It stays if it is not empty: what is in it explains a failure.
        let _ = std::fs::remove_dir(folder.join(WORK));
        let (probe_attempts_good, probe_attempts) = probe_attempts(&finished);
        let link_scheduling =
            sorted(ledger.parts().flat_map(|part| part.rows.scheduling.iter().cloned()));
        if let Err(unwritten) = report(ledger.store(), &finished, &link_scheduling, &conclusions) {
            error.get_or_insert(unwritten.into());
        }
        let (ended, ended_note) = how_it_ended(error.as_ref(), &finished);
        let manifest = Manifest {
            provenance: &provenance,
            table_schema_version: rows::SCHEMA_VERSION,
            backends: backends.iter().map(|backend| backend.name()).collect(),
            launcher,
            hosts,
            profiles: sorted(plan.points.iter().map(|point| point.profile.as_str())),
            profile_files: configuration::profile_files(plan)
                .into_iter()
                .map(|(file, _)| file)
                .collect(),
            identity,
            warnings: plan.warnings(),
            trials_planned: planned,
            trials_finished: finished.len(),
            trials_valid: finished.iter().filter(|ended| ended.row.valid).count(),
            trials_complete: finished.iter().filter(|ended| ended.row.complete).count(),
            looks,
            ended,
            ended_note,
            ended_at: provenance::now_utc(),
            members_lost: members_lost(&ledger),
            hosts_lost: worlds.live.as_ref().map_or_else(Vec::new, |live| live.launcher.losses()),
            link_scheduling: link_scheduling.clone(),
            probe_attempts_good,
            probe_attempts,
            services: services(plan, &backends),
            calibration: worlds.live.as_ref().and_then(|live| live.calibration.as_ref()),
        };
        if let Err(unwritten) = ledger.store().write_manifest(&manifest) {
            error.get_or_insert(unwritten.into());
        }
        if error.is_none() {
            ledger.forget_parts();
        }
        Summary { finished, planned, conclusions, simulation, link_scheduling, folder, error }
    }
}

/// A run under way.
struct Work<'a> {
    plan: &'a Plan,
    interrupt: Interrupt,
    ledger: Mutex<Ledger>,
    tell: Tell<'a>,
    /// Commands answered in simulated trials.
    command_count: AtomicU64,
    until: Option<Until>,
    /// How often it looked at the trials of each backend.
    looks: Mutex<BTreeMap<&'static str, u32>>,
}

impl Work<'_> {
    /// The trials of the first `repeats` that are not finished in this world.
    fn open(&self, backend: Backend, repeats: usize) -> Vec<&Trial> {
        let ledger = self.ledger();
        let of_repeats = self.plan.trials.iter().filter(|trial| trial.repeat < repeats);
        of_repeats.filter(|trial| !ledger.has(trial, backend)).collect()
    }

    /// Runs the trials of this world, all of them or until they are enough.
    fn in_rounds(
        &self,
        backend: Backend,
        mut run: impl FnMut(&[&Trial]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let most = self.plan.repeats;
        let Some(until) = self.until else { return run(&self.open(backend, most)) };
        let started = clock::now();
        let mut repeats = 0;
        loop {
            let look = stopping::next_look(repeats).min(most);
            // Live trials take their time, so the time is looked at between repeats.
            repeats = if backend == Backend::Live { repeats + 1 } else { look };
            run(&self.open(backend, repeats))?;
            let is_late = until.time.is_some_and(|time| clock::now() >= started + time);
            if repeats < look && !is_late {
                continue;
            }
            let looks = stopping::looks_at(repeats);
            self.looks
                .lock()
                .expect("no thread panics while it looks")
                .insert(backend.name(), looks);
            // A run that is resumed may have finished more than this look is of.
            let of_look = |ended: &Finished| ended.trial.repeat < repeats;
            let finished: Vec<Finished> =
                self.ledger().parts().map(Finished::of).filter(of_look).collect();
            let is_enough = match stopping::look(&finished, backend, looks) {
                Look::Detectable(width) => width <= until.detectable,
                Look::Hopeless => true,
                Look::TooEarly => false,
            };
            if is_enough || is_late || repeats == most {
                return Ok(());
            }
        }
    }

    /// The ledger, when all trials of this work have ended.
    fn into_ledger(self) -> Ledger {
        self.ledger.into_inner().expect("no thread panics while it keeps a trial")
    }

    fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("no thread panics while it keeps a trial")
    }

    fn simulate(&self, threads: usize) -> Result<(), Error> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        self.in_rounds(Backend::Sim, |open| pool.install(|| self.simulate_all(open)))
    }

    /// Simulates these trials on so many threads.
    fn simulate_open(&self, threads: usize, open: &[&Trial]) -> Result<(), Error> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        pool.install(|| self.simulate_all(open))
    }

    /// Simulates these trials on the threads of the pool that it is called in.
    fn simulate_all(&self, open: &[&Trial]) -> Result<(), Error> {
        open.par_iter().try_for_each(|trial| self.simulate_one(trial))
    }

    fn simulate_one(&self, trial: &Trial) -> Result<(), Error> {
        self.check_interrupt(trial)?;
        let folder = self.work_folder(trial, Backend::Sim);
        let outcome = worlds::simulate(self.plan, trial, &folder, &self.interrupt)?;
        let outcome = outcome.ok_or_else(|| {
            discard(&folder);
            self.failed(trial, cluster::Error::Interrupted)
        })?;
        let answered = outcome.clients().map(|(_, report)| report.acknowledged_count);
        self.command_count.fetch_add(answered.sum(), Ordering::Relaxed);
        self.conclude(trial, Backend::Sim, &outcome, &folder)
    }

    fn deploy(&self, live: &mut Live<'_>) -> Result<(), Error> {
        self.in_rounds(Backend::Live, |open| {
            open.iter().try_for_each(|trial| self.deploy_one(live, trial))
        })
    }

    fn deploy_one(&self, live: &mut Live<'_>, trial: &Trial) -> Result<(), Error> {
        self.check_interrupt(trial)?;
        let folder = self.work_folder(trial, Backend::Live);
        let progress = |stage| (self.tell)(&Event::Stage(trial, stage));
        let outcome =
            live.run(self.plan, trial, &folder, &self.interrupt, &progress).map_err(|source| {
                if matches!(source, cluster::Error::Interrupted) {
                    discard(&folder);
                }
                self.failed(trial, source)
            })?;
        self.conclude(trial, Backend::Live, &outcome, &folder)?;
        // A live trial is worth more than the time that this takes.
        self.ledger().write_tables()?;
        Ok(())
    }

    fn check_interrupt(&self, trial: &Trial) -> Result<(), Error> {
        if self.interrupt.is_asked() {
            return Err(self.failed(trial, cluster::Error::Interrupted));
        }
        Ok(())
    }

    fn failed(&self, trial: &Trial, source: cluster::Error) -> Error {
        let variant = self.plan.variant(trial).name.clone();
        Error::Trial { trial: trial.number(), variant, source: Box::new(source) }
    }

    /// Where members keep their files, without what a run that was cut short left there.
    fn work_folder(&self, trial: &Trial, backend: Backend) -> PathBuf {
        let store = self.ledger().store().clone();
        let prefix = backend.prefix(trial.number());
        let folder = store.folder().join(WORK).join(&prefix);
        let _ = std::fs::remove_dir_all(&folder);
        let _ = std::fs::remove_dir_all(histories::folder(store.folder(), trial.number(), backend));
        let _ = std::fs::remove_file(store.folder().join(format!("{prefix}.hlog")));
        folder
    }

    /// Checks a trial, makes its rows and keeps it.
    fn conclude(
        &self,
        trial: &Trial,
        backend: Backend,
        outcome: &Outcome,
        folder: &Path,
    ) -> Result<(), Error> {
        let mode = self.plan.variant(trial).mode;
        let findings = verify::verify(&members(self.plan, trial), outcome, mode);
        let rows = tables::rows(self.plan, trial, backend, outcome, &findings)?;
        self.keep(trial, backend, outcome, &findings)?;
        if outcome.is_complete() && (findings.is_valid() || outcome.refusal().is_some()) {
            // Only what explains a failure is worth keeping.
            discard(folder);
        }
        let Findings { violations, unfit, .. } = findings;
        let part = Part { trial: *trial, backend, rows, violations, unfit };
        let finished = Finished::of(&part);
        self.ledger().keep(&part)?;
        (self.tell)(&Event::Ended(&finished));
        Ok(())
    }

    /// Keeps the histories, and of a valid trial the histograms.
    fn keep(
        &self,
        trial: &Trial,
        backend: Backend,
        outcome: &Outcome,
        findings: &Findings,
    ) -> Result<(), Error> {
        let store = self.ledger().store().clone();
        let prefix = backend.prefix(trial.number());
        if let Some(Span(apart)) = outcome.clocks_apart() {
            let name = histories::clocks_apart_name(trial.number(), backend);
            store.write_bytes(&name, apart.to_string().as_bytes())?;
        }
        let Allowance { may_miss, has_sessions, .. } = findings.allowance;
        if may_miss > Span::ZERO {
            let name = histories::may_miss_name(trial.number(), backend);
            store.write_bytes(&name, may_miss.0.to_string().as_bytes())?;
            if has_sessions {
                store.write_bytes(&histories::sessions_name(trial.number(), backend), b"")?;
            }
        }
        for (member, paths) in &outcome.files {
            for (start, path) in paths.iter().enumerate() {
                store.adopt(path, &histories::name(trial.number(), backend, *member, start))?;
            }
        }
        if !findings.is_valid() {
            return Ok(());
        }
        let regions = &self.plan.point(trial).links.client_regions;
        let series = outcome.clients().filter_map(|(member, report)| match member {
            MemberName::Client(id) => Some((regions[id.0 as usize].as_str(), &report.recording)),
            MemberName::Replica(_) => None,
        });
        let series: Vec<_> = series.collect();
        let mut text = Vec::new();
        write_log(&mut text, log_start(&series, backend), &series)?;
        store.write_bytes(&format!("{prefix}.hlog"), &text)?;
        Ok(())
    }
}

/// When the interval log of a trial begins: with the window, that of a live one as a time of day.
fn log_start(series: &[(&str, &Recording)], backend: Backend) -> Duration {
    let window_from = series.iter().map(|(_, recording)| recording.window.from).next();
    match (backend, window_from) {
        (Backend::Live, Some(from)) => provenance::time_of_day(from),
        _ => Duration::ZERO,
    }
}

impl Finished {
    fn of(part: &Part) -> Self {
        let Part { trial, backend, rows, violations, unfit } = part.clone();
        let Rows { trial: row, measured, disagreements, recovery, probes, .. } = rows;
        Self { trial, backend, row, measured, disagreements, recovery, probes, violations, unfit }
    }
}

/// Writes the differences and the predictions, where there are any.
fn write_conclusions(store: &Store, conclusions: &Conclusions) -> Result<(), store::Error> {
    let comparison = compare::rows::comparison(&conclusions.families);
    if !comparison.is_empty() {
        store.write_csv("comparison.csv", &comparison)?;
    }
    let expectations = compare::rows::expectations(&conclusions.judgements);
    if !expectations.is_empty() {
        store.write_csv("expectations.csv", &expectations)?;
    }
    Ok(())
}

/// How the run ended, and why unless it is done, that is if every trial ran and kept all its members.
fn how_it_ended(error: Option<&Error>, finished: &[Finished]) -> (Ended, Option<String>) {
    if let Some(error) = error {
        let ended = if error.is_interrupt() { Ended::Interrupted } else { Ended::Failed };
        return (ended, Some(chain(error)));
    }
    let incomplete = finished.iter().filter(|ended| !ended.row.complete);
    let names: Vec<String> = incomplete
        .map(|ended| format!("trial {} ({})", ended.trial.number(), ended.row.variant))
        .collect();
    if names.is_empty() {
        return (Ended::Done, None);
    }
    (Ended::Incomplete, Some(names.join(", ")))
}

/// The members that were lost, in the order of the trials.
fn members_lost(ledger: &Ledger) -> Vec<LostMember<'_>> {
    let rows = ledger.parts().flat_map(|part| &part.rows.members);
    let lost = rows.filter(|row| row.outcome == tables::LOST).map(|row| LostMember {
        trial: row.trial,
        variant: &row.variant,
        backend: &row.backend,
        member: &row.member,
        cause: &row.cause,
    });
    lost.collect()
}

/// Attempts of all probes that found every link as asked, and all attempts.
pub fn probe_attempts(finished: &[Finished]) -> (u32, u32) {
    let probes = finished.iter().filter_map(|ended| ended.probes);
    probes.fold((0, 0), |(good, all), (more_good, more)| (good + more_good, all + more))
}

/// Takes away what members kept while they ran; should it stay, it is only in the way.
///
/// The folder around it stays until the run ends: another trial, maybe of another process, may be about to use it.
fn discard(folder: &Path) {
    let _ = std::fs::remove_dir_all(folder);
}

/// What work costs in the simulation, at all points; nothing if there is none.
fn services<'a>(plan: &'a Plan, backends: &[Backend]) -> Vec<ServiceUsed<'a>> {
    if !backends.contains(&Backend::Sim) {
        return Vec::new();
    }
    sorted(plan.points.iter().map(|point| {
        let Service { receive, send, sync, mebibyte, checkpoint } = point.sim.service;
        let source =
            if point.has_service { &ServiceSource::Experiment } else { &plan.service_source };
        ServiceUsed {
            receive_ns: receive.0,
            send_ns: send.0,
            sync_ns: sync.0,
            mebibyte_ns: mebibyte.0,
            checkpoint_ns: checkpoint.0,
            source: source.code(),
            source_file: source.file(),
            shared_host: point.sim.host.map(SharedHost::from),
        }
    }))
}

/// Every member of a trial, replicas first.
fn members(plan: &Plan, trial: &Trial) -> Vec<MemberName> {
    deploy::deployment(plan, trial).members()
}

/// Each once, in order.
fn sorted<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.collect();
    items.sort_unstable();
    items.dedup();
    items
}
