//! The experiment as meant: everything that a run needs, and nothing that a run would have to doubt.
//!
//! A [`Plan`] exists only if its regions do, its quorums meet (or are marked unsafe), its leaders are
//! replicas and its numbers make sense; whoever has one need not check it again.
//! What is wrong is [`Refused`] with its place in the file.
//! Predictions are the closed form of [`crate::topology::floor`].

mod election;
mod emulation;
mod faults;
mod feasibility;
mod idle;
mod load;
mod misses;
mod network;
mod places;
mod point;
mod probe;
pub use point::{Point, Variant};
mod simulated;
mod strain;
mod transport;
mod variants;

use std::collections::BTreeSet;

use toml::Spanned;

use super::file::{self, Document, File, Source};
use super::refusal::sweep;
use super::refusal::{Error, Refused};
use super::sweep::Sweep;
use super::trial::{Trial, trials};
use crate::quorum::NodeId;
use crate::sim::Service;
use crate::time::Span;
use places::Profiles;

/// More trials than this are a slip of the pen: a second each, they take eleven days.
const TRIALS_MAX: usize = 1_000_000;

/// An experiment as meant.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What it is to find out.
    pub question: String,
    /// What is expected, and what would refute it.
    pub prediction: String,
    /// Where all chance comes from.
    pub seed: u64,
    /// The combinations of settings that each variant runs at; one if nothing is swept.
    pub points: Vec<Point>,
    /// How often every variant runs at every point.
    pub repeats: usize,
    /// All runs, in their order.
    pub trials: Vec<Trial>,
    /// Where the service times come from that the file does not say.
    pub service_source: ServiceSource,
}

/// Who says what simulated work costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceSource {
    /// Nobody: it costs nothing.
    None,
    /// The experiment file.
    Experiment,
    /// The calibration of the same run.
    RunCalibration,
    /// The calibration in this file.
    CalibrationFile(String),
}

impl ServiceSource {
    /// Its code in the manifest.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Experiment => "experiment",
            Self::RunCalibration => "run-calibration",
            Self::CalibrationFile(_) => "calibration-file",
        }
    }

    /// The file, if it is one that was named.
    pub fn file(&self) -> Option<&str> {
        match self {
            Self::CalibrationFile(path) => Some(path),
            _ => None,
        }
    }
}

/// The size at which a file is planned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// How often every variant is repeated, whatever the file says.
    pub trials: Option<u32>,
    /// Whether the file's `[smoke]` section gives the size.
    pub is_smoke: bool,
}

impl Plan {
    /// What the file of this text means, at this size.
    pub fn from_source(source: &Source, size: Size) -> Result<Self, file::Error> {
        let refused = |refused| source.refused(&refused);
        let mut document = Document::parse(source)?;
        if size.is_smoke {
            document = document.smoke()?;
        }
        let typed = document.take_sweep();
        let sweep = Sweep::read(typed, source).map_err(refused)?;
        let mut profiles = Profiles::beside(source.folder());
        let mut settled = BTreeSet::new();
        let mut plan: Option<Self> = None;
        let mut idle = None;
        for combination in sweep.combinations() {
            let settings: Vec<_> =
                combination.iter().map(|(axis, index)| axis.setting(*index)).collect();
            if !settled.insert(settings.clone()) {
                continue;
            }
            let label = sweep.label(&settings);
            let mut document = document.clone();
            for (axis, index) in combination {
                document.put(&axis.path, &axis.value(index)).map_err(refused)?;
            }
            let file = document.read().map_err(|error| error.at_point(&label))?;
            let whole = match &mut plan {
                Some(whole) => whole,
                None => plan.insert(Self::without_points(&file, size, &sweep).map_err(refused)?),
            };
            let point = Point::of(&file, &mut profiles)
                .map_err(|refused| source.refused(&refused).at_point(&label))?;
            idle = Some(idle::still(idle, idle::idle(&file, &point)));
            whole.points.push(Point { label, settings, ..point });
        }
        if let Some(refused_key) = idle.and_then(idle::first) {
            return Err(refused(refused_key));
        }
        // A sweep that is empty was refused.
        let mut plan = plan.expect("there is a point");
        let variants = plan.points[0].variants.len();
        plan.trials = trials(plan.points.len(), variants, plan.repeats, plan.seed);
        Ok(plan)
    }

    /// What all points have in common, as the file of the first one says it.
    fn without_points(file: &File, size: Size, sweep: &Sweep<'_>) -> Result<Self, Refused> {
        let question = said(&file.question, "question")?;
        let prediction = said(&file.prediction, "prediction")?;
        let typed = file.trials.as_ref();
        let repeats = size.trials.or(typed.map(|trials| *trials.get_ref())).unwrap_or(1) as usize;
        let at = typed.map_or(0..0, Spanned::span);
        if repeats == 0 {
            return Err(Refused::new(at, Error::Zero { key: "trials" }));
        }
        let runs = sweep.len().saturating_mul(file.variants.len());
        let count = runs.saturating_mul(repeats);
        if count > TRIALS_MAX {
            let at = if sweep.len() > 1 { sweep.at.clone() } else { at };
            let error = sweep::Error::TooManyTrials { count, most: TRIALS_MAX };
            return Err(Refused::new(at, error.into()));
        }
        let (points, trials) = (Vec::new(), Vec::new());
        let (seed, service_source) = (file.seed, ServiceSource::None);
        Ok(Self { question, prediction, seed, points, repeats, trials, service_source })
    }

    /// Whether the simulator is to be told what work costs, at some point, by other than the file.
    pub fn wants_service(&self) -> bool {
        self.points.iter().any(|point| !point.has_service)
    }

    /// Simulated work costs this wherever the file does not say it; `source` is for the record.
    pub fn use_service(&mut self, service: Service, source: ServiceSource) {
        for point in self.points.iter_mut().filter(|point| !point.has_service) {
            point.sim.service = service;
        }
        self.service_source = source;
    }

    /// The settings of a trial.
    pub fn point(&self, trial: &Trial) -> &Point {
        &self.points[trial.point]
    }

    /// Whether anything goes wrong on purpose in any trial.
    pub fn has_faults(&self) -> bool {
        let mut variants = self.points.iter().flat_map(|point| &point.variants);
        variants.any(|variant| !variant.faults.is_empty())
    }

    /// The variant of a trial.
    pub fn variant(&self, trial: &Trial) -> &Variant {
        &self.point(trial).variants[trial.variant]
    }

    /// The region of a replica of a trial.
    pub fn region(&self, trial: &Trial, node: NodeId) -> &str {
        self.point(trial).region(node)
    }

    /// Why the live backend cannot run this, if it cannot: only the simulator does all that a file may
    /// ask of links and faults.
    pub fn needs_simulator(&self) -> Option<Refused> {
        let simulated = self.points.iter().find_map(|point| point.simulated.as_ref())?;
        Some(Refused::new(simulated.at.clone(), Error::NotLive { what: simulated.what }))
    }

    /// What the faults make impossible or do not do, what the trials cannot keep up with, and what is not
    /// emulated as published, a sentence each: it may be what the experiment is about.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> = Vec::new();
        for point in &self.points {
            for text in [
                point.misses.clone(),
                network::memory_misfit(&point.network, &point.links, point.duration),
            ] {
                if !text.is_empty() && !warnings.contains(&text) {
                    warnings.push(text);
                }
            }
            for warning in point.warnings() {
                let warning = match point.label.as_str() {
                    "" => warning,
                    label => format!("{label}: {warning}"),
                };
                if !warnings.contains(&warning) {
                    warnings.push(warning);
                }
            }
        }
        warnings
    }

    /// The time that all trials take, without starting and draining: those end as soon as they can.
    pub fn expected_time(&self) -> Span {
        let times = self.trials.iter().map(|trial| {
            let point = self.point(trial);
            point.warmup + point.duration
        });
        times.fold(Span::ZERO, |sum, time| sum + time)
    }
}

/// The text of a key that must say something.
fn said(text: &Spanned<String>, key: &'static str) -> Result<String, Refused> {
    let said = text.get_ref().trim();
    if said.is_empty() {
        return Err(Refused::new(text.span(), Error::Empty { key }));
    }
    Ok(said.to_owned())
}

#[cfg(test)]
mod tests;
