//! What figures are made of: the trials of a results folder and its other tables.

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::compare::observations::Gap;
use crate::compare::{Conclusions, LEVEL, Observations, Series, Subject};
use crate::findings::Finished;
use crate::measure::rows::{LinkRow, PhaseRow, RecoveryRow, TimelineRow};
use crate::measure::{Latencies, OperationKind, Quantity, store};
use crate::report::capacity::{self, Searched};
use crate::report::folder::{Error, Results};
use crate::report::outline::Point;
use crate::statistics::Estimate;
use crate::time::Span;
use crate::trial::Backend;

/// Of a latency below this, in milliseconds, a difference in percent says nothing: it is the resolution of histograms,
/// or of clocks.
pub const LEAST_MS: f64 = 0.01;

/// The trials and the tables of one folder.
#[derive(Debug)]
pub struct Data<'a> {
    /// Its trials.
    pub results: &'a Results,
    /// The variant that the others are compared with.
    pub baseline: String,
    /// What follows from them.
    pub conclusions: Conclusions,
    /// Their values.
    pub observations: Observations,
    /// The rows of `timeline.csv`.
    pub timeline: Vec<TimelineRow>,
    /// The rows of `phases.csv`.
    pub phases: Vec<PhaseRow>,
    /// The rows of `links.csv`.
    pub links: Vec<LinkRow>,
    /// What a search for the highest rate found, and its steps; empty if the run was none.
    pub searched: Searched,
    /// The median delays that the settings ask for, of the first point.
    pub delays: Delays,
    /// Whose trials are drawn where a figure shows one backend: live, if any trial is.
    pub backend: Backend,
}

/// One-way delays between the replicas of a deployment, in nanoseconds.
#[derive(Clone, Debug, Default)]
pub struct Delays {
    /// The region of each replica.
    pub replica_regions: Vec<String>,
    /// From each replica to each; `None` where the settings have no plain number.
    pub between: Vec<Vec<Option<f64>>>,
}

/// A mean with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    /// The geometric mean over the repeats.
    pub value: f64,
    /// Its interval by Student's t on logarithms; `None` with fewer than three repeats.
    pub interval: Option<(f64, f64)>,
    /// How many repeats.
    pub count: usize,
}

impl<'a> Data<'a> {
    /// That of the folder that these results were read from; the first variant is the baseline if none is named.
    ///
    /// It panics if the run has no variant of that name.
    pub fn read(
        folder: &Path,
        results: &'a Results,
        baseline: Option<&str>,
    ) -> Result<Self, Error> {
        let names = results.outline.variant_names();
        let baseline = baseline.or(names.first().copied()).unwrap_or_default();
        assert!(names.is_empty() || names.contains(&baseline), "{baseline} is no variant");
        let is_live = results.finished.iter().any(|ended| ended.backend == Backend::Live);
        let observations = Observations::of(&results.finished);
        let (expectations, looks) = (&results.expectations, results.origin.looks);
        let conclusions =
            Conclusions::of_observations(&observations, expectations, looks, Some(baseline));
        Ok(Self {
            results,
            baseline: baseline.to_owned(),
            conclusions,
            observations,
            timeline: table(folder, "timeline.csv")?,
            phases: table(folder, "phases.csv")?,
            links: table(folder, "links.csv")?,
            searched: capacity::read(folder)?.unwrap_or_default(),
            delays: Delays::read(folder)?,
            backend: if is_live { Backend::Live } else { Backend::Sim },
        })
    }

    /// The names of the variants, in the order of the experiment.
    pub fn variants(&self) -> Vec<String> {
        self.results.outline.variant_names().into_iter().map(str::to_owned).collect()
    }

    /// The names of the variants that are compared with the baseline.
    pub fn candidates(&self) -> Vec<String> {
        let mut names = self.variants();
        names.retain(|name| *name != self.baseline);
        names
    }

    /// The client regions of the first point.
    pub fn client_regions(&self) -> Vec<String> {
        let first = self.results.outline.points.first();
        first.map_or_else(Vec::new, |point| point.client_regions.clone())
    }

    /// The point, if the run has one only.
    pub fn only_point(&self) -> Option<&Point> {
        match &self.results.outline.points[..] {
            [point] => Some(point),
            _ => None,
        }
    }

    /// The kinds of operations of the load: writes, reads.
    pub fn operations(&self) -> Vec<OperationKind> {
        let is_there = |kind: &OperationKind| {
            let mut measured = self.results.finished.iter().flat_map(|ended| &ended.measured);
            kind.is_load()
                && measured.any(|one| one.latencies.iter().any(|(other, _)| other == kind))
        };
        OperationKind::ALL.into_iter().filter(is_there).collect()
    }

    /// The valid trials of a variant on the backend that is drawn.
    pub fn valid(&self, variant: &str) -> impl Iterator<Item = &Finished> {
        let is_wanted = move |ended: &&Finished| {
            ended.backend == self.backend && ended.row.valid && ended.row.variant == variant
        };
        self.results.finished.iter().filter(is_wanted)
    }

    /// The latencies of all valid trials of a variant in a client region, merged.
    pub fn merged(&self, variant: &str, region: usize, kind: OperationKind) -> Latencies {
        self.of_trials(variant, region, kind).into_iter().fold(
            Latencies::new(),
            |mut all, (_, one)| {
                all.merge(one);
                all
            },
        )
    }

    /// The latencies of each valid trial of a variant in a client region, with its repeat.
    pub fn of_trials(
        &self,
        variant: &str,
        region: usize,
        kind: OperationKind,
    ) -> Vec<(usize, &Latencies)> {
        self.valid(variant)
            .filter_map(|ended| {
                let measured = ended.measured.get(region)?;
                let found = measured.latencies.iter().find(|(other, _)| *other == kind)?;
                Some((ended.trial.repeat, &found.1))
            })
            .collect()
    }

    /// The series of a variant about this quantity at a point, of the first fault if it is one of faults.
    pub fn series(
        &self,
        variant: &str,
        point: &str,
        quantity: Quantity,
        region: Option<&str>,
        operation: Option<OperationKind>,
    ) -> impl Iterator<Item = &Series> {
        let is_wanted = move |series: &&Series| {
            let Subject { backend, point: at, client_region, operation: kind, .. } =
                &series.subject;
            series.variant == variant
                && series.subject.quantity == quantity
                && *backend == self.backend
                && series.subject.fault.is_none_or(|fault| fault == 0)
                && at == point
                && client_region.as_deref() == region
                && *kind == operation
        };
        self.observations.series.iter().filter(is_wanted)
    }
}

impl Data<'_> {
    /// The median of the writes or reads of a client region before the first fault, of each valid trial of a
    /// variant by its repeat, in milliseconds.
    ///
    /// A median over the whole window would mix the steady state with the outage.
    pub fn before_fault(
        &self,
        variant: &str,
        region: &str,
        kind: OperationKind,
    ) -> BTreeMap<usize, f64> {
        let of_trial = |ended: &Finished| {
            let is_wanted = |row: &&RecoveryRow| row.fault == 1 && row.client_region == region;
            let row = ended.recovery.iter().find(is_wanted)?;
            let median = match kind {
                OperationKind::Read => row.reads_before_ns_p50,
                _ => row.before_ns_p50,
            };
            Some((ended.trial.repeat, in_ms(median?)))
        };
        self.valid(variant).filter_map(of_trial).collect()
    }

    /// Whether its trials have faults.
    pub fn has_faults(&self) -> bool {
        self.results.finished.iter().any(|ended| !ended.recovery.is_empty())
    }

    /// What a caption about medians of the window says where they mix the steady state with an outage.
    pub fn whole_window(&self) -> &'static str {
        if self.has_faults() {
            " This run has a fault: its latencies are over the whole window, outage included."
        } else {
            ""
        }
    }

    /// The latency of a variant at the median, in milliseconds: before the first fault, if there is one.
    pub fn median(
        &self,
        variant: &str,
        point: &str,
        region: &str,
        kind: OperationKind,
    ) -> Option<Mean> {
        if self.has_faults() {
            let values: Vec<f64> = self.before_fault(variant, region, kind).into_values().collect();
            return Mean::of_numbers(&values);
        }
        let mut found = self.series(variant, point, Quantity::P50, Some(region), Some(kind));
        Some(Mean::of(found.next()?)?.in_ms())
    }
}

impl Mean {
    /// The mean over all valid trials of a series; `None` if one of them has no value, because the mean of the
    /// others would look better than it was, or if a value has no logarithm.
    pub fn of(series: &Series) -> Option<Self> {
        let valid = series.values.values().filter(|it| it.number != Err(Gap::Invalid));
        let numbers: Option<Vec<f64>> = valid.map(|it| it.number.ok()).collect();
        Self::of_numbers(&numbers?)
    }

    /// Of these numbers.
    pub fn of_numbers(numbers: &[f64]) -> Option<Self> {
        let logs: Vec<f64> = numbers.iter().map(|number| number.ln()).collect();
        if logs.is_empty() || logs.iter().any(|log| !log.is_finite()) {
            // Zeros have no logarithm; where all are zero, the mean is.
            let is_zero = !numbers.is_empty() && numbers.iter().all(|number| *number == 0.0);
            return is_zero.then_some(Self { value: 0.0, interval: None, count: numbers.len() });
        }
        let value = (logs.iter().sum::<f64>() / logs.len() as f64).exp();
        let estimate =
            Estimate::paired(&logs).filter(|_| logs.len() >= crate::compare::REPEATS_MIN);
        let interval = estimate.map(|estimate| estimate.interval(LEVEL));
        let interval = interval.map(|(low, high)| (low.exp(), high.exp()));
        Some(Self { value, interval, count: logs.len() })
    }

    /// The same in another unit.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        let interval = self.interval.map(|(low, high)| (low * factor, high * factor));
        Self { value: self.value * factor, interval, ..self }
    }

    /// In milliseconds, where it is in nanoseconds.
    #[must_use]
    pub fn in_ms(self) -> Self {
        self.times(1e-6)
    }

    /// `70.12 ms (69.90 to 70.31)`, where it is in milliseconds.
    pub fn words(self) -> String {
        match self.interval {
            Some((low, high)) => format!("{} ms ({} to {})", ms(self.value), ms(low), ms(high)),
            None => format!("{} ms", ms(self.value)),
        }
    }
}

/// Milliseconds with as many digits as tell one measurement from the next.
pub fn ms(value: f64) -> String {
    let sign = if value < 0.0 { "-" } else { "" };
    format!("{sign}{}", Span::from_millis_f64(value.abs()).milliseconds())
}

/// Nanoseconds as milliseconds.
pub fn in_ms(ns: u64) -> f64 {
    Span(ns).as_millis_f64()
}

/// A table of the folder; none if the run has no such table.
fn table<T: DeserializeOwned>(folder: &Path, name: &str) -> Result<Vec<T>, Error> {
    Ok(store::read_csv_if_there(&folder.join(name))?.unwrap_or_default())
}

impl Delays {
    fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("configuration.json");
        let text =
            std::fs::read(&path).map_err(|source| Error::File { path: path.clone(), source })?;
        let value: serde_json::Value = serde_json::from_slice(&text)
            .map_err(|source| Error::Configuration { path, source })?;
        let links = &value["points"][0]["links"];
        let list = |value: &serde_json::Value| value.as_array().cloned().unwrap_or_default();
        let replica_regions = list(&links["replica_regions"])
            .iter()
            .map(|region| region.as_str().unwrap_or_default().to_owned())
            .collect();
        let median = |delay: &serde_json::Value| {
            // A delay that varies is a least delay and a distribution above it.
            let is_constant = delay["above"] == "Nothing";
            delay["shift"].as_f64().filter(|_| is_constant)
        };
        let row = |row: &serde_json::Value| list(row).iter().map(median).collect();
        let between = list(&links["between_replicas"]).iter().map(row).collect();
        Ok(Self { replica_regions, between })
    }
}
