//! The experiment as meant: everything that a run needs, and nothing that a run would have to doubt.
//!
//! A [`Plan`] exists only if its regions do, its quorums meet (or are marked unsafe), its leaders are
//! replicas and its numbers make sense; whoever has one need not check it again.
//! What is wrong is [`Refused`] with its place in the file.
//! Predictions are the closed form of [`crate::topology::floor`].

mod control;
mod election;
mod emulation;
mod expectations;
mod faults;
mod feasibility;
mod idle;
mod load;
mod misses;
mod network;
mod offered;
mod parts;
mod places;
mod point;
mod probe;
mod quorums;
mod roles;
pub use point::{Point, Variant};
mod simulated;
mod strain;
mod transport;
mod variants;

pub use expectations::has_settings;
pub use network::usual_correlation;
pub use quorums::systems;

use std::collections::BTreeSet;

use super::expectation::Expectation;
use super::file::{self, Document, File, Source, Spanned};
use super::mistakes::Mistakes;
use super::refusal::sweep;
use super::refusal::{Error, Refused};
use super::sweep::Sweep;
use super::trial::{Trial, trials};
use crate::quorum::NodeId;
use crate::sim::Work;
use crate::time::Span;
use crate::topology::Profile;
use parts::Parts;
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
    /// The predictions that are judged.
    pub expectations: Vec<Expectation>,
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
    /// The options of the search that adds trials one after the other; empty where the file names them all.
    pub search: Vec<(&'static str, String)>,
}

/// Members share a machine, and what that costs is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the calibration has no processor times of turns and packets, which the section [host] needs"
)]
pub struct NotMeasured;

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
    /// What the file of this text means, at this size; else everything that is wrong with it.
    pub fn from_source(source: &Source, size: Size) -> Result<Self, file::Error> {
        Self::read(source, size, None)
    }

    /// The same where an experiment asks for links as they are, and these were measured.
    pub fn from_measured(
        source: &Source,
        size: Size,
        native: &Profile,
    ) -> Result<Self, file::Error> {
        Self::read(source, size, Some(native))
    }

    fn read(source: &Source, size: Size, native: Option<&Profile>) -> Result<Self, file::Error> {
        let mut document = Document::parse(source)?;
        if size.is_smoke {
            document = document.smoke()?;
        }
        let mut mistakes = Mistakes::of(source);
        let sweep = Sweep::read(document.take_sweep(), source, &mut mistakes);
        let plan = Self::judge(&document, &sweep, size, native, &mut mistakes);
        match mistakes.into_error() {
            Some(error) => Err(error),
            // What cannot be planned was refused.
            None => Ok(plan.expect("a plan without a mistake")),
        }
    }

    /// The plan of all points, as far as nothing is wrong.
    fn judge(
        document: &Document<'_>,
        sweep: &Sweep<'_>,
        size: Size,
        native: Option<&Profile>,
        mistakes: &mut Mistakes<'_>,
    ) -> Option<Self> {
        let mut profiles = Profiles::beside(document.source().folder()).with_native(native);
        let mut settled = BTreeSet::new();
        let (mut whole, mut idle) = (None, None);
        let (mut expected, mut fault_count) = (Vec::new(), 0);
        for combination in sweep.combinations() {
            let settings: Vec<_> =
                combination.iter().map(|(axis, index)| axis.setting(*index)).collect();
            if !settled.insert(settings.clone()) {
                continue;
            }
            let label = sweep.label(&settings);
            mistakes.begin_point(&label);
            let reading = sweep.point(document, &combination, mistakes).read();
            reading.mistakes.into_iter().for_each(|mistake| mistakes.add(mistake));
            let Some(file) = reading.file else { continue };
            if whole.is_none() {
                whole = Some(Self::without_points(&file, size, sweep, mistakes)?);
            }
            let parts = Parts::of(&file, &reading.doubts, &mut profiles, mistakes);
            idle = Some(idle::still(idle, idle::idle(&file, &parts)));
            if let (Some(whole), Some(point)) = (&mut whole, parts.into_point(&file)) {
                whole.points.push(Point { label, settings, ..point });
            }
            (expected, fault_count) = (file.expectations, file.faults.len());
        }
        for idle in idle.iter().flatten() {
            mistakes.refuse(idle.refused());
        }
        let mut plan: Self = whole?;
        let variants = plan.points.first()?.variants.len();
        let text = &document.source().text;
        plan.expectations = expectations::expectations(
            (&expected, fault_count),
            &plan.points,
            text,
            size.is_smoke,
            mistakes,
        );
        plan.trials = trials(plan.points.len(), variants, plan.repeats, plan.seed);
        Some(plan)
    }

    /// What all points have in common, as the file of the first one says it; none if there are too many.
    fn without_points(
        file: &File,
        size: Size,
        sweep: &Sweep<'_>,
        mistakes: &mut Mistakes<'_>,
    ) -> Option<Self> {
        let question = mistakes.note(said(&file.question, "question")).unwrap_or_default();
        let prediction = mistakes.note(said(&file.prediction, "prediction")).unwrap_or_default();
        let typed = file.trials.as_ref();
        let repeats = size.trials.or(typed.map(|trials| *trials.get_ref())).unwrap_or(1) as usize;
        let at = typed.map_or(0..0, Spanned::span);
        if repeats == 0 {
            mistakes.refuse_at(at.clone(), Error::Zero { key: "trials" });
        }
        let runs = sweep.len().saturating_mul(file.variants.len());
        let count = runs.saturating_mul(repeats);
        if count > TRIALS_MAX {
            let at = if sweep.len() > 1 { sweep.at.clone() } else { at };
            mistakes.refuse_at(at, sweep::Error::TooManyTrials { count, most: TRIALS_MAX });
            return None;
        }
        let (expectations, points, trials) = (Vec::new(), Vec::new(), Vec::new());
        let (seed, service_source, search) = (file.seed, ServiceSource::None, Vec::new());
        Some(Self {
            question,
            prediction,
            expectations,
            seed,
            points,
            repeats,
            trials,
            service_source,
            search,
        })
    }

    /// Whether the simulator is to be told what work costs, at some point, by other than the file.
    pub fn wants_service(&self) -> bool {
        self.points.iter().any(|point| !point.has_service)
    }

    /// Simulated work costs this wherever the file does not say it; `source` is for the record.
    ///
    /// Nothing changes if members share a machine somewhere, and nobody knows what that costs.
    pub fn use_service(&mut self, work: &Work, source: ServiceSource) -> Result<(), NotMeasured> {
        if self.wants_shared_service() && work.shared.is_none() {
            return Err(NotMeasured);
        }
        for point in self.points.iter_mut().filter(|point| !point.has_service) {
            point.sim.service = match (&mut point.sim.host, &work.shared) {
                (None, _) => work.alone,
                (Some(host), Some(shared)) => {
                    if !point.has_host_costs {
                        host.costs = shared.costs;
                    }
                    shared.service
                }
                (Some(_), None) => return Err(NotMeasured),
            };
        }
        self.service_source = source;
        Ok(())
    }

    /// The same, at some point at which members share a machine.
    pub fn wants_shared_service(&self) -> bool {
        self.points.iter().any(|point| point.sim.host.is_some() && !point.has_service)
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

    /// The dotted paths of the keys that are swept, each once, in the order of the file.
    pub fn swept(&self) -> Vec<&str> {
        let mut paths: Vec<&str> = Vec::new();
        for (path, _) in self.points.iter().flat_map(|point| &point.settings) {
            if !paths.contains(&path.as_str()) {
                paths.push(path);
            }
        }
        paths
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
        if self.points.iter().any(|point| point.is_native() && !point.links.has_delay()) {
            warnings.push(
                "the profile native is that of the links of a run: floors and predictions without one know no \
                 delay"
                    .into(),
            );
        }
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

    /// Whether an experiment asks for links as they are.
    pub fn is_native(&self) -> bool {
        self.points.iter().any(Point::is_native)
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
