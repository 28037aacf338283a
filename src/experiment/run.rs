//! The main job: every trial of a plan in its order, checked, and written down as soon as it ends.
//!
//! Whatever ends the run early, the trials that finished are on disk, and the manifest says how it ended.

use std::error::Error as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::live;
use super::plan::{Plan, Trial};
use super::provenance::Provenance;
use super::tables::{self, Rows};
use super::verify::{self, Findings};
use crate::cluster::{self, Interrupt, Launcher, Outcome, Progress, Settings, Timeouts};
use crate::deployment::MemberName;
use crate::measure::rows::{self, TrialRow};
use crate::measure::{self, Latencies, Store, hlog, store};

/// Why a run ended before its last trial.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A trial came to nothing.
    #[error("trial {trial} ({variant}) came to nothing")]
    Trial {
        /// Which.
        trial: usize,
        /// Of which variant.
        variant: String,
        /// Why.
        source: Box<cluster::Error>,
    },
    /// The results could not be written.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// What a member recorded could not be read.
    #[error("what a member recorded cannot be read")]
    Recording(#[from] measure::Error),
    /// A file of a member could not be read.
    #[error("cannot read {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl Error {
    /// The error and its causes, on one line.
    fn chain(&self) -> String {
        let causes = std::iter::successors(self.source(), |cause| (*cause).source());
        causes.fold(self.to_string(), |text, cause| format!("{text}: {cause}"))
    }
}

/// What to run, and with what.
pub struct Run<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Where the numbers come from, for the manifest.
    pub provenance: Provenance,
    /// The folder of the results.
    pub store: Store,
    /// Starts the members.
    pub launcher: &'a mut dyn Launcher,
    /// Where the coordinator listens.
    pub listen: SocketAddr,
    /// How long it waits for members.
    pub timeouts: Timeouts,
    /// Whether the user wants the run to end.
    pub interrupt: Interrupt,
}

/// What is told while it runs.
#[derive(Debug)]
pub enum Event<'a> {
    /// A trial begins.
    Begins(&'a Trial),
    /// It came to another stage.
    Stage(&'a Trial, Progress),
    /// It ended.
    Ended(&'a Finished),
}

/// One finished trial, as the comparison wants it.
#[derive(Debug)]
pub struct Finished {
    /// Which trial of the plan.
    pub trial: Trial,
    /// Its row.
    pub row: TrialRow,
    /// Latencies of writes, by client region; none if the trial is invalid.
    pub writes: Vec<Latencies>,
    /// What was found out about it.
    pub findings: Findings,
}

/// How a run ended.
#[derive(Debug)]
pub struct Summary {
    /// The trials that finished.
    pub finished: Vec<Finished>,
    /// The folder of the results.
    pub folder: PathBuf,
    /// Why it ended before its last trial, if it did.
    pub error: Option<Error>,
}

/// `manifest.json`.
#[derive(Debug, Serialize)]
struct Manifest<'a> {
    #[serde(flatten)]
    provenance: &'a Provenance,
    table_schema_version: u32,
    backend: &'static str,
    launcher: &'static str,
    /// Of every point, separated by semicolons.
    profile: String,
    trials_planned: usize,
    trials_finished: usize,
    trials_valid: usize,
    ended: String,
    link_scheduling: Vec<String>,
}

/// The rows of all finished trials.
#[derive(Debug, Default)]
struct Tables {
    trials: Vec<TrialRow>,
    latency: Vec<rows::LatencyRow>,
    phases: Vec<rows::PhaseRow>,
    percentiles: Vec<rows::PercentileRow>,
    timeline: Vec<rows::TimelineRow>,
    members: Vec<rows::MemberRow>,
}

impl Run<'_> {
    /// Runs every trial; `tell` hears how it goes.
    pub fn run(mut self, tell: &(dyn Fn(&Event<'_>) + Sync)) -> Summary {
        let mut tables = Tables::default();
        let mut finished = Vec::new();
        let mut error = None;
        for trial in &self.plan.trials {
            if self.interrupt.is_asked() {
                error = Some(self.failed(trial, cluster::Error::Interrupted));
                break;
            }
            tell(&Event::Begins(trial));
            match self.trial(trial, &mut tables, tell) {
                Ok(ended) => {
                    tell(&Event::Ended(&ended));
                    finished.push(ended);
                }
                Err(stopped) => {
                    error = Some(stopped);
                    break;
                }
            }
        }
        let folder = self.store.folder().to_path_buf();
        if let Err(unwritten) = self.write_manifest(&tables, &finished, error.as_ref()) {
            error.get_or_insert(unwritten.into());
        }
        Summary { finished, folder, error }
    }

    fn trial(
        &mut self,
        trial: &Trial,
        tables: &mut Tables,
        tell: &(dyn Fn(&Event<'_>) + Sync),
    ) -> Result<Finished, Error> {
        let deployment = live::deployment(self.plan, trial);
        let work = self.store.folder().join("work").join(format!("trial-{:03}", trial.index));
        let settings = Settings {
            listen: self.listen,
            folder: &work,
            timeouts: self.timeouts,
            transport: live::transport(self.plan.point(trial).congestion),
        };
        let progress = |stage| tell(&Event::Stage(trial, stage));
        let outcome =
            cluster::run_trial(&deployment, &settings, self.launcher, &self.interrupt, &progress)
                .map_err(|source| {
                if matches!(source, cluster::Error::Interrupted) {
                    self.discard(&work);
                }
                self.failed(trial, source)
            })?;
        let findings = verify::verify(&deployment.members(), &outcome);
        let rows = tables::rows(self.plan, trial, &outcome, &findings)?;
        self.keep(trial, &outcome, &findings)?;
        let is_clean = outcome.is_complete() && findings.is_valid();
        if is_clean {
            // Only what explains a failure is worth keeping.
            self.discard(&work);
        }
        let Rows { trial: row, latency, phases, percentiles, timeline, members, writes } = rows;
        tables.trials.push(row.clone());
        tables.latency.extend(latency);
        tables.phases.extend(phases);
        tables.percentiles.extend(percentiles);
        tables.timeline.extend(timeline);
        tables.members.extend(members);
        self.write(tables)?;
        Ok(Finished { trial: *trial, row, writes, findings })
    }

    /// Takes away what members kept while they ran; should it stay, it is only in the way.
    fn discard(&self, work: &Path) {
        let _ = std::fs::remove_dir_all(work);
        let _ = std::fs::remove_dir(self.store.folder().join("work"));
    }

    fn failed(&self, trial: &Trial, source: cluster::Error) -> Error {
        let variant = self.plan.variant(trial).name.clone();
        Error::Trial { trial: trial.index, variant, source: Box::new(source) }
    }

    /// Keeps the histories, and of a valid trial the histograms.
    fn keep(&self, trial: &Trial, outcome: &Outcome, findings: &Findings) -> Result<(), Error> {
        for (member, paths) in &outcome.files {
            for (start, path) in paths.iter().enumerate() {
                self.store.adopt(path, &history_name(trial.index, *member, start))?;
            }
        }
        if !findings.is_valid() {
            return Ok(());
        }
        let mut text = Vec::new();
        let lines = outcome.clients().flat_map(|(member, report)| {
            let MemberName::Client(client) = member else { return Vec::new() };
            let region = &self.plan.point(trial).links.client_regions[client.0 as usize];
            report.recording.lines(region).collect::<Vec<_>>()
        });
        hlog::write(&mut text, Duration::ZERO, lines)?;
        self.store.write_bytes(&format!("trial-{:03}.hlog", trial.index), &text)?;
        Ok(())
    }

    fn write(&self, tables: &Tables) -> Result<(), store::Error> {
        let store = &self.store;
        store.write_csv("latency.csv", &tables.latency)?;
        store.write_csv("phases.csv", &tables.phases)?;
        store.write_csv("percentiles.csv", &tables.percentiles)?;
        store.write_csv("timeline.csv", &tables.timeline)?;
        store.write_csv("members.csv", &tables.members)?;
        // Last: a trial that is in it has all its rows elsewhere.
        store.write_csv("trials.csv", &tables.trials)?;
        Ok(())
    }

    fn write_manifest(
        self,
        tables: &Tables,
        finished: &[Finished],
        error: Option<&Error>,
    ) -> Result<(), store::Error> {
        let mut link_scheduling: Vec<String> = tables
            .members
            .iter()
            .map(|member| member.scheduling.clone())
            .filter(|scheduling| !scheduling.is_empty())
            .collect();
        link_scheduling.sort_unstable();
        link_scheduling.dedup();
        let mut profiles: Vec<&str> =
            self.plan.points.iter().map(|point| point.profile.as_str()).collect();
        profiles.sort_unstable();
        profiles.dedup();
        let manifest = Manifest {
            provenance: &self.provenance,
            table_schema_version: rows::SCHEMA_VERSION,
            backend: "live",
            launcher: self.launcher.name(),
            profile: profiles.join(";"),
            trials_planned: self.plan.trials.len(),
            trials_finished: finished.len(),
            trials_valid: finished.iter().filter(|ended| ended.row.valid).count(),
            ended: error.map_or_else(|| "done".into(), Error::chain),
            link_scheduling,
        };
        self.store.write_manifest(&manifest)?;
        Ok(())
    }
}

/// Where the history of one member is kept in a results folder.
fn history_name(trial: usize, member: MemberName, start: usize) -> String {
    match member {
        MemberName::Client(_) => format!("histories/trial-{trial:03}/history.{member}"),
        MemberName::Replica(_) => format!("histories/trial-{trial:03}/chosen.{member}.{start}"),
    }
}

/// The files of one trial's histories in a results folder, clients first.
pub fn histories(folder: &Path, trial: usize) -> std::io::Result<Vec<PathBuf>> {
    let folder = folder.join(format!("histories/trial-{trial:03}"));
    let entries = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let mut paths = entries.collect::<std::io::Result<Vec<PathBuf>>>()?;
    paths.sort_by_key(|path| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        (name.as_ref().is_some_and(|name| name.starts_with("chosen")), name)
    });
    Ok(paths)
}
