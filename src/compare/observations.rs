//! The values of every trial, as series that can be compared.

use std::collections::{BTreeMap, BTreeSet};

use crate::findings::Finished;
use crate::findings::rows::Measured;
use crate::measure::rows::{Flag, RecoveryRow, TrialRow};
use crate::measure::{Figure, Latencies, OperationKind, Quantity, Summary, is_saturated};
use crate::trial::Backend;

/// What the values of a series are about, but for the variant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// Where the trials ran.
    pub backend: Backend,
    /// The label of their point; empty where nothing is swept.
    pub point: String,
    /// Which fault, from 0, for quantities of a fault.
    pub fault: Option<u32>,
    /// The clients in which region, for quantities of a region.
    pub client_region: Option<String>,
    /// Which kind of operation, for latencies.
    pub operation: Option<OperationKind>,
    /// The quantity.
    pub quantity: Quantity,
}

/// The value of one trial.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Value {
    /// The seed of the trial.
    pub seed: u64,
    /// In the unit of its quantity.
    pub number: Result<f64, Gap>,
    /// The floor of the same figure, in nanoseconds, where one is known.
    pub floor: Option<f64>,
    /// The trial kept up with its load, and yet a queue of the machine is in its latencies.
    pub is_busy: bool,
}

/// Why a trial has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gap {
    /// The trial is invalid.
    Invalid,
    /// The trial achieved less than it was offered: its latencies grow with its length.
    Overloaded,
    /// Too few operations for this percentile.
    TooFew,
    /// It falls among operations that were never answered, or the clients had no answer to the end.
    Unanswered,
    /// What it measures did not happen.
    Absent,
}

/// The values of one variant, by repeat.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// The variant's name.
    pub variant: String,
    /// What they are about.
    pub subject: Subject,
    /// By repeat, from 0.
    pub values: BTreeMap<usize, Value>,
}

/// All series of a run, in the order of its backends, points, variants and client regions.
#[derive(Clone, Debug, Default)]
pub struct Observations {
    /// The series.
    pub series: Vec<Series>,
}

/// The place of a series in the order, and what it is of.
type Key = (Backend, usize, usize, Option<u32>, usize, Option<OperationKind>, Quantity);

/// The trials of one variant.
#[derive(Default)]
struct Trials {
    variant: String,
    /// The seed of each repeat, and whether it is valid.
    repeats: BTreeMap<usize, (u64, bool)>,
}

/// Series under construction.
#[derive(Default)]
struct Building {
    series: BTreeMap<Key, Series>,
    /// The trials of each backend, point and variant.
    trials: BTreeMap<(Backend, usize, usize), Trials>,
}

impl Observations {
    /// The values of these trials.
    pub fn of(finished: &[Finished]) -> Self {
        let mut building = Building::default();
        for ended in finished {
            building.add(ended);
        }
        building.fill_gaps();
        Self { series: building.series.into_values().collect() }
    }

    /// The names of the variants, in the order of the experiment.
    pub fn variants(&self) -> Vec<&str> {
        in_order(self.series.iter().map(|series| series.variant.as_str()))
    }

    /// The labels of the points.
    pub fn points(&self) -> Vec<&str> {
        in_order(self.series.iter().map(|series| series.subject.point.as_str()))
    }

    /// The backends.
    pub fn backends(&self) -> BTreeSet<Backend> {
        self.series.iter().map(|series| series.subject.backend).collect()
    }

    /// The series of a variant about a subject.
    pub fn get(&self, variant: &str, subject: &Subject) -> Option<&Series> {
        self.series.iter().find(|it| it.variant == variant && it.subject == *subject)
    }

    /// Those alone whose subject is wanted.
    #[must_use]
    pub fn only(&self, is_wanted: impl Fn(&Series) -> bool) -> Self {
        let wanted = self.series.iter().filter(|series| is_wanted(series));
        Self { series: wanted.cloned().collect() }
    }
}

/// Each once, in the order of the first.
fn in_order<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut found: Vec<&str> = Vec::new();
    for name in names {
        if !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

impl Building {
    fn add(&mut self, ended: &Finished) {
        let Finished { trial, backend, row, .. } = ended;
        let of_variant = self.trials.entry((*backend, trial.point, trial.variant)).or_default();
        of_variant.variant.clone_from(&row.variant);
        of_variant.repeats.insert(trial.repeat, (trial.seed, row.valid));
        if !row.valid {
            return;
        }
        let is_overloaded = is_overloaded(ended);
        let regions: Vec<&str> = row.client_regions.split(';').collect();
        for (place, region) in regions.iter().enumerate() {
            let Some(measured) = ended.measured.get(place) else { continue };
            for (operation, latencies) in &measured.latencies {
                let summary = Summary::of(latencies);
                for quantity in Quantity::ALL {
                    let Some(number) = latency(&summary, quantity) else { continue };
                    let number = if is_overloaded { Err(Gap::Overloaded) } else { number };
                    let floor = floor(measured, *operation, quantity);
                    let at = Place {
                        region: Some((place, region)),
                        operation: Some(*operation),
                        fault: None,
                    };
                    self.put(ended, &at, quantity, number, floor);
                }
            }
        }
        if row.offered_per_s.is_none()
            && let Some(achieved) = row.achieved_per_s
        {
            let at = Place::default();
            self.put(ended, &at, Quantity::Throughput, Ok(achieved), None);
        }
        if let Some(attempts) = row.attempts_per_write {
            self.put(ended, &Place::default(), Quantity::Attempts, Ok(attempts), None);
        }
        for fault in &ended.recovery {
            self.add_fault(ended, fault, &regions);
        }
    }

    fn add_fault(&mut self, ended: &Finished, fault: &RecoveryRow, regions: &[&str]) {
        let place = regions.iter().position(|region| *region == fault.client_region);
        // What never ended is the worst value there is, and not one that is missing by chance.
        let gap = if fault.recovered == Some(false) { Gap::Unanswered } else { Gap::Absent };
        let some = |ns: Option<u64>| ns.map(|ns| ns as f64).ok_or(gap);
        let of_cluster = [
            (Quantity::Detect, fault.detection_ns, None),
            (Quantity::Elect, fault.election_ns, None),
            (Quantity::Phase1, fault.phase1_ns, fault.floor_phase1_ns),
            (Quantity::Transfer, fault.transfer_ns, None),
            (Quantity::Commit, fault.first_commit_ns, None),
            (Quantity::Catchup, fault.catch_up_ns, None),
        ];
        // The tables count from 1.
        let number = fault.fault.saturating_sub(1);
        // They are the same in the rows of all client regions.
        if place == Some(0) {
            let at = Place { fault: Some(number), ..Place::default() };
            for (quantity, ns, floor) in of_cluster {
                self.put(ended, &at, quantity, some(ns), floor.map(|ns| ns as f64));
            }
        }
        let Some(place) = place else { return };
        let region = Some((place, fault.client_region.as_str()));
        let at = Place { fault: Some(number), region, operation: None };
        let kinds = [
            (OperationKind::Write, fault.recovered, fault.unavailable_ns),
            (OperationKind::Read, fault.reads_recovered, fault.reads_unavailable_ns),
        ];
        for (kind, recovered, away) in kinds {
            let operation = Quantity::Away.kind_of(kind);
            let away = match (recovered, away) {
                // Nobody reads, or the results are of before reads were told apart.
                (_, None) if kind == OperationKind::Read => continue,
                (Some(false), _) => Err(Gap::Unanswered),
                (_, away) => away.map(|ns| ns as f64).ok_or(Gap::Absent),
            };
            self.put(ended, &Place { operation, ..at }, Quantity::Away, away, None);
        }
        self.put(ended, &at, Quantity::Protocol, some(fault.protocol_ns), None);
        self.put(ended, &at, Quantity::Wait, some(fault.client_wait_ns), None);
    }

    fn put(
        &mut self,
        ended: &Finished,
        at: &Place<'_>,
        quantity: Quantity,
        number: Result<f64, Gap>,
        floor: Option<f64>,
    ) {
        let Finished { trial, backend, row, .. } = ended;
        let region = at.region.map_or(0, |(place, _)| place);
        let key = (*backend, trial.point, trial.variant, at.fault, region, at.operation, quantity);
        let series = self.series.entry(key).or_insert_with(|| Series {
            variant: row.variant.clone(),
            subject: Subject {
                backend: *backend,
                point: row.point.clone(),
                fault: at.fault,
                client_region: at.region.map(|(_, name)| name.to_owned()),
                operation: at.operation,
                quantity,
            },
            values: BTreeMap::new(),
        });
        let is_busy = is_busy(row);
        series.values.insert(trial.repeat, Value { seed: trial.seed, number, floor, is_busy });
    }

    /// Gives a variant without a valid trial the series that the others of its point have.
    fn add_invalid_variants(&mut self) {
        let is_dead = |trials: &Trials| trials.repeats.values().all(|(_, is_valid)| !is_valid);
        for ((backend, point, variant), trials) in self.trials.iter().filter(|it| is_dead(it.1)) {
            let of_point =
                self.series.iter().filter(|(key, _)| (key.0, key.1) == (*backend, *point));
            let theirs: Vec<(Key, Subject)> =
                of_point.map(|(key, series)| (*key, series.subject.clone())).collect();
            for (mut key, subject) in theirs {
                key.2 = *variant;
                let (variant, values) = (trials.variant.clone(), BTreeMap::new());
                self.series.entry(key).or_insert(Series { variant, subject, values });
            }
        }
    }

    /// Gives every series a value of each of its trials: one that is not there has a reason.
    fn fill_gaps(&mut self) {
        self.add_invalid_variants();
        for ((backend, point, variant, ..), series) in &mut self.series {
            for (repeat, (seed, is_valid)) in &self.trials[&(*backend, *point, *variant)].repeats {
                let gap = if *is_valid { Gap::Absent } else { Gap::Invalid };
                let value = Value { seed: *seed, number: Err(gap), floor: None, is_busy: false };
                series.values.entry(*repeat).or_insert(value);
            }
        }
    }
}

/// Where a value was measured.
#[derive(Default)]
struct Place<'a> {
    /// The client region, by position and name.
    region: Option<(usize, &'a str)>,
    operation: Option<OperationKind>,
    fault: Option<u32>,
}

/// A figure of a histogram; `None` if the quantity is none of a histogram.
fn latency(summary: &Summary, quantity: Quantity) -> Option<Result<f64, Gap>> {
    let ns = match quantity {
        Quantity::P50 => summary.p50,
        Quantity::P90 => summary.p90,
        Quantity::P95 => summary.p95,
        Quantity::P99 => summary.p99,
        Quantity::P999 => summary.p999,
        Quantity::Mean => summary.mean,
        _ => return None,
    };
    let is_small = summary.count + summary.unanswered_count < quantity.operations_min();
    let gap = if is_small { Gap::TooFew } else { Gap::Unanswered };
    Some(ns.map(|ns| ns as f64).ok_or(gap))
}

/// The floor of the same figure.
fn floor(measured: &Measured, operation: OperationKind, quantity: Quantity) -> Option<f64> {
    let (_, floor) = measured.floors.iter().find(|(kind, _)| *kind == operation)?;
    match quantity {
        Quantity::P50 => Some(floor.p50.0 as f64),
        Quantity::P99 => Some(floor.p99.0 as f64),
        _ => None,
    }
}

/// Standard deviations of chance beyond which operations that did not return in the window are a queue.
const DEVIATIONS: f64 = 4.0;

/// Whether a trial achieved less than it was offered, for another reason than a fault or chance.
///
/// Of few operations one percent is one or two, and so many may cross an edge of the window by chance: the
/// numbers in flight at its two ends differ by a Poisson variable each, by Little's law with the mean
/// rate times latency.
fn is_overloaded(ended: &Finished) -> bool {
    let TrialRow { offered_per_s, achieved_per_s, duration_ns, .. } = ended.row;
    let (Some(offered), Some(achieved)) = (offered_per_s, achieved_per_s) else { return false };
    if !ended.recovery.is_empty() || !is_saturated(offered_per_s, achieved) {
        return false;
    }
    let load: Latencies =
        ended.measured.iter().map(Measured::load).fold(Latencies::new(), |mut all, one| {
            all.merge(&one);
            all
        });
    let Some(Figure::Known(median) | Figure::Above(median)) = load.figure(0.5) else {
        return false;
    };
    let in_flight = offered * median.as_millis_f64() / 1e3;
    let missing = (offered - achieved) * duration_ns as f64 / 1e9;
    missing > DEVIATIONS * (2.0 * in_flight).sqrt()
}

/// Whether a member of the trial waited for a processor, or datagrams left late.
fn is_busy(row: &TrialRow) -> bool {
    row.has(Flag::Saturated)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::trial::Trial;
    use crate::time::Span;

    /// A trial of ten seconds with 100 operations a second of 70 ms, of which so many did not return.
    fn ended(missing: f64) -> Finished {
        let mut latencies = Latencies::new();
        (0..1000).for_each(|_| latencies.record(Span::from_millis(70)));
        let latencies = vec![(OperationKind::Write, latencies)];
        let row = TrialRow {
            valid: true,
            client_regions: "a".into(),
            duration_ns: 10_000_000_000,
            offered_per_s: Some(100.0),
            achieved_per_s: Some(100.0 - missing / 10.0),
            ..TrialRow::default()
        };
        Finished {
            trial: Trial { index: 0, repeat: 0, variant: 0, point: 0, seed: 1 },
            backend: Backend::Sim,
            row,
            measured: vec![Measured { latencies, ..Measured::default() }],
            disagreements: vec![],
            recovery: vec![],
            probes: None,
            violations: vec![],
            unfit: vec![],
        }
    }

    /// Seven are in flight, so the two ends of the window differ by 3.7 in the standard deviation.
    #[test]
    fn a_trial_is_overloaded_beyond_one_percent_and_beyond_chance() {
        let number = |missing| {
            let all = Observations::of(&[ended(missing)]);
            let of_median = |it: &&Series| it.subject.quantity == Quantity::P50;
            all.series.iter().find(of_median).map(|series| series.values[&0].number)
        };
        assert!(number(9.0).unwrap().is_ok() && number(14.0).unwrap().is_ok());
        assert_eq!(number(16.0), Some(Err(Gap::Overloaded)));
        assert_eq!(number(200.0), Some(Err(Gap::Overloaded)));
    }

    #[test]
    fn a_variant_without_valid_trials_has_the_series_of_the_others() {
        let mut dead = ended(0.0);
        dead.trial.variant = 1;
        (dead.row.valid, dead.row.variant) = (false, "dead".into());
        let all = Observations::of(&[ended(0.0), dead]);
        let of_dead = all.series.iter().filter(|series| series.variant == "dead");
        let gaps: Vec<_> = of_dead.map(|series| series.values[&0].number).collect();
        assert_eq!(gaps, vec![Err(Gap::Invalid); all.series.len() / 2]);
        assert!(!gaps.is_empty());
    }
}
