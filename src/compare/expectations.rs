//! The predictions of an experiment, judged.

use std::collections::{BTreeMap, BTreeSet};

use super::REPEATS_MIN;
use super::observations::{Gap, Observations, Series, Subject};
use crate::experiment::expectation::{Expectation, Item, Measured, Relation, Side, Value};
use crate::experiment::plan::has_settings;
use crate::measure::{Scope, Unit};
use crate::statistics::Estimate;
use crate::statistics::family::holm;
use crate::trial::Backend;

/// A prediction at one place.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The prediction.
    pub text: String,
    /// Why it was made.
    pub because: String,
    /// Where the trials ran.
    pub backend: Backend,
    /// The label of the point.
    pub point: String,
    /// The clients in which region; `None` where it is about none.
    pub client_region: Option<String>,
    /// After which fault, from 0.
    pub fault: Option<u32>,
    /// What came out, or why nothing did.
    pub outcome: Result<Found, NotJudged>,
}

/// What came out of a prediction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Of how many repeats.
    pub repeat_count: usize,
    /// What is judged: its mean and the 95 % interval.
    pub value: Shown,
    /// Its bounds.
    pub interval: (f64, f64),
    /// What it is held to.
    pub bound: f64,
    /// The p-value, with Holm's correction over the predictions of the experiment.
    pub p_adjusted: f64,
    /// What follows.
    pub ruling: Ruling,
}

/// A number and its unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shown {
    /// The left side over the right side, less one.
    Ratio(f64),
    /// Nanoseconds.
    Nanoseconds(f64),
    /// Operations a second.
    PerSecond(f64),
    /// A plain number.
    Count(f64),
}

/// What follows for a prediction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ruling {
    /// It is true.
    Held,
    /// It is false.
    Refuted,
    /// The noise hides which.
    InsideNoise,
}

impl Ruling {
    /// Its words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Refuted => "refuted",
            Self::InsideNoise => "inside the noise",
        }
    }
}

/// Why a prediction is not judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotJudged {
    /// Too few repeats have all its values.
    TooFewRepeats {
        /// How many have.
        count: usize,
        /// Why most others have not.
        gap: Option<Gap>,
    },
    /// A percentile ranks among operations without an answer in some repeat.
    Unanswered,
    /// A trial achieved less than it was offered.
    Overloaded,
    /// A value is zero: there is no ratio.
    Zero,
}

impl NotJudged {
    /// The reason, as a clause.
    pub fn words(self) -> String {
        match self {
            Self::Unanswered => {
                "a value ranks among operations without an answer, or a recovery never ended"
                    .to_owned()
            }
            Self::Overloaded => "a trial achieved less than it was offered".to_owned(),
            Self::Zero => "a value is zero, and has no ratio".to_owned(),
            Self::TooFewRepeats { count, gap } => {
                let why = match gap {
                    None => "",
                    Some(Gap::Invalid) => "; others are INVALID",
                    Some(Gap::Overloaded) => "; others achieved less than they were offered",
                    Some(Gap::TooFew) => "; others have too few operations for this percentile",
                    Some(Gap::Unanswered | Gap::Absent) => "; in others it did not happen",
                };
                let plural = if count == 1 { "" } else { "s" };
                format!("{count} repeat{plural}, and a verdict needs {REPEATS_MIN}{why}")
            }
        }
    }
}

/// All these predictions judged wherever they are made; those of one backend are a family.
pub fn judge(expectations: &[Expectation], all: &Observations, level: f64) -> Vec<Judgement> {
    let mut judgements = Vec::new();
    for backend in all.backends() {
        let mut places = Vec::new();
        for expectation in expectations {
            let found = places_of(expectation, all, backend);
            if found.is_empty() {
                // No trial has its values: that is said, and not passed over.
                let (point, client_region, fault) = (String::new(), None, None);
                places.push(Place { expectation, backend, point, client_region, fault });
            }
            places.extend(found);
        }
        let drafts: Vec<Result<Draft, NotJudged>> =
            places.iter().map(|place| draft(place, all)).collect();
        let p_values: Vec<f64> = drafts.iter().flatten().map(|draft| draft.p_value).collect();
        let mut adjusted = holm(&p_values).into_iter();
        for (place, draft) in places.into_iter().zip(drafts) {
            let outcome = draft.map(|draft| draft.found(adjusted.next().unwrap_or(1.0), level));
            judgements.push(Judgement {
                text: place.expectation.text.clone(),
                because: place.expectation.because.clone(),
                backend,
                point: place.point,
                client_region: place.client_region,
                fault: place.fault,
                outcome,
            });
        }
    }
    judgements
}

/// A prediction, and where it is to hold.
struct Place<'a> {
    expectation: &'a Expectation,
    backend: Backend,
    point: String,
    client_region: Option<String>,
    fault: Option<u32>,
}

/// Every place where a prediction is made.
fn places_of<'a>(
    expectation: &'a Expectation,
    all: &Observations,
    backend: Backend,
) -> Vec<Place<'a>> {
    let mut found: Vec<Place<'a>> = Vec::new();
    let mut seen = BTreeSet::new();
    let is_across = expectation.is_across_points();
    let names: BTreeSet<&str> = expectation.measured().map(|it| it.variant.as_str()).collect();
    for series in all.series.iter().filter(|it| it.subject.backend == backend) {
        let Subject { point, client_region, fault, quantity, .. } = &series.subject;
        let is_meant = names.contains(series.variant.as_str())
            && expectation.measured().any(|it| it.quantity == *quantity)
            && has_settings(point, &expectation.settings)
            && (expectation.client_region.is_none() || expectation.client_region == *client_region)
            && (expectation.fault.is_none() || expectation.fault == *fault);
        // Beside a quantity of a region, one of the cluster is no place of its own.
        let is_place = (client_region.is_some() || !expectation.is_of_region())
            && (fault.is_some() || !expectation.is_of_fault());
        // Where each value names its point, the place has none.
        let point = if is_across { String::new() } else { point.clone() };
        if is_meant && is_place && seen.insert((point.clone(), client_region.clone(), *fault)) {
            found.push(Place {
                expectation,
                backend,
                point,
                client_region: client_region.clone(),
                fault: *fault,
            });
        }
    }
    found
}

/// What is known of a prediction before its family is.
struct Draft {
    estimate: Estimate,
    /// The estimate is held to this.
    bound: f64,
    relation: Relation,
    /// `None` where it is a logarithm of a ratio.
    unit: Option<Unit>,
    p_value: f64,
    resolution: f64,
}

fn draft(place: &Place<'_>, all: &Observations) -> Result<Draft, NotJudged> {
    let Expectation { left, relation, right, .. } = place.expectation;
    let sides = values(place, all)?;
    let is_ratio = *relation != Relation::Within && is_one(left) && is_one(right);
    let constant = constant(right);
    let differences: Vec<f64> = sides
        .iter()
        .map(|[left, right]| match (is_ratio, constant) {
            (true, _) => (left / right).ln(),
            (false, Some(_)) => *left,
            (false, None) => left - right,
        })
        .collect();
    if !differences.iter().all(|difference| difference.is_finite()) {
        return Err(NotJudged::Zero);
    }
    let too_few = NotJudged::TooFewRepeats { count: differences.len(), gap: None };
    let estimate = Estimate::paired(&differences).ok_or(too_few)?;
    let bound = if is_ratio { 0.0 } else { constant.unwrap_or(0.0) };
    let p_value = p_value(&estimate, *relation, bound);
    let first = place.expectation.measured().next().map(|it| it.quantity.unit());
    let unit = first.filter(|_| !is_ratio);
    let resolution = resolution(place, all, is_ratio);
    Ok(Draft { estimate, bound, relation: *relation, unit, p_value, resolution })
}

/// How often a value as far from the bound would come out if the truth were on the bound, on both sides.
fn p_value(estimate: &Estimate, relation: Relation, bound: f64) -> f64 {
    match relation {
        Relation::Less | Relation::More => estimate.p_value(bound),
        Relation::Within if estimate.mean.abs() < bound => {
            // It must be told from both ends: two one-sided tests (Schuirmann 1987).
            2.0 * estimate.p_below(bound).max(estimate.p_above(-bound))
        }
        Relation::Within => 2.0 * estimate.p_above(bound).min(estimate.p_below(-bound)),
    }
    .min(1.0)
}

impl Draft {
    fn found(&self, p_adjusted: f64, level: f64) -> Found {
        let Self { estimate, bound, relation, unit, resolution, .. } = self;
        let distance = match relation {
            Relation::Less => bound - estimate.mean,
            Relation::More => estimate.mean - bound,
            Relation::Within => bound - estimate.mean.abs(),
        };
        let is_told = p_adjusted <= level && distance.abs() > *resolution;
        let ruling = match (is_told, distance > 0.0) {
            (false, _) => Ruling::InsideNoise,
            (true, true) => Ruling::Held,
            (true, false) => Ruling::Refuted,
        };
        let (low, high) = estimate.interval(super::LEVEL);
        let (value, interval, bound) = match unit {
            None => {
                let ratio = |log: f64| log.exp_m1();
                (Shown::Ratio(ratio(estimate.mean)), (ratio(low), ratio(high)), ratio(*bound))
            }
            Some(unit) => {
                let shown = match unit {
                    Unit::Nanoseconds => Shown::Nanoseconds,
                    Unit::PerSecond => Shown::PerSecond,
                    Unit::Count => Shown::Count,
                };
                (shown(estimate.mean), (low, high), *bound)
            }
        };
        let repeat_count = estimate.count();
        Found { repeat_count, value, interval, bound, p_adjusted, ruling }
    }
}

/// Whether a side is a positive multiple of one measured value.
fn is_one(side: &Side) -> bool {
    matches!(&side.items[..], [Item { factor, value: Value::Measured(_) }] if *factor > 0.0)
}

/// The number that a side is, if it is one.
fn constant(side: &Side) -> Option<f64> {
    let number = |item: &Item| match item.value {
        Value::Number(number, _) => Some(item.factor * number),
        _ => None,
    };
    side.items.iter().map(number).sum()
}

/// Both sides in every repeat that has all their values.
fn values(place: &Place<'_>, all: &Observations) -> Result<Vec<[f64; 2]>, NotJudged> {
    let Expectation { left, right, .. } = place.expectation;
    let mut repeats: BTreeSet<usize> = BTreeSet::new();
    let of_backend = |series: &&Series| series.subject.backend == place.backend;
    for series in all.series.iter().filter(of_backend) {
        repeats.extend(series.values.keys());
    }
    let mut found = Vec::new();
    let mut gaps: BTreeMap<Gap, usize> = BTreeMap::new();
    for repeat in repeats {
        let sides = [left, right].map(|side| sum(side, place, all, repeat));
        match sides {
            [Ok(left), Ok(right)] => found.push([left, right]),
            [Err(gap), _] | [_, Err(gap)] => *gaps.entry(gap).or_default() += 1,
        }
    }
    if gaps.contains_key(&Gap::Unanswered) {
        return Err(NotJudged::Unanswered);
    }
    if gaps.contains_key(&Gap::Overloaded) {
        return Err(NotJudged::Overloaded);
    }
    if found.len() < REPEATS_MIN {
        let gap = gaps.into_iter().max_by_key(|(_, count)| *count).map(|(gap, _)| gap);
        return Err(NotJudged::TooFewRepeats { count: found.len(), gap });
    }
    Ok(found)
}

/// A side in one repeat.
fn sum(side: &Side, place: &Place<'_>, all: &Observations, repeat: usize) -> Result<f64, Gap> {
    let item = |item: &Item| {
        let value = |measured: &Measured| {
            let series = series_of(place, measured, all);
            series.and_then(|series| series.values.get(&repeat)).copied().ok_or(Gap::Absent)
        };
        let number = match &item.value {
            Value::Number(number, _) => *number,
            Value::Measured(measured) => value(measured)?.number?,
            Value::Floor(measured) => value(measured)?.floor.ok_or(Gap::Absent)?,
        };
        Ok(item.factor * number)
    };
    side.items.iter().map(item).sum()
}

/// The values of a measured value, at this place or at the point that it names.
fn series_of<'a>(
    place: &Place<'_>,
    measured: &Measured,
    all: &'a Observations,
) -> Option<&'a Series> {
    let scope = measured.quantity.scope();
    let of_region = matches!(scope, Scope::Operation | Scope::FaultRegion);
    let of_fault = matches!(scope, Scope::Fault | Scope::FaultRegion);
    let subject = |point: &str| Subject {
        backend: place.backend,
        point: point.to_owned(),
        fault: place.fault.filter(|_| of_fault),
        client_region: place.client_region.clone().filter(|_| of_region),
        operation: measured.quantity.kind_of(measured.operation),
        quantity: measured.quantity,
    };
    let named = &measured.settings;
    let common = &place.expectation.settings;
    let point = if named.is_empty() {
        place.point.as_str()
    } else {
        let is_it = |point: &&str| has_settings(point, named) && has_settings(point, common);
        all.points().into_iter().find(is_it)?
    };
    all.get(&measured.variant, &subject(point))
}

/// How wide the buckets of the histograms are, in the unit of the difference.
fn resolution(place: &Place<'_>, all: &Observations, is_ratio: bool) -> f64 {
    let of = |item: &Item| {
        let Value::Measured(measured) = &item.value else { return 0.0 };
        let share = measured.quantity.resolution();
        if is_ratio {
            return share;
        }
        let series = series_of(place, measured, all);
        let numbers = series.into_iter().flat_map(|series| series.values.values());
        let greatest = numbers.filter_map(|value| value.number.ok()).fold(0.0, f64::max);
        item.factor.abs() * share * greatest
    };
    let Expectation { left, right, .. } = place.expectation;
    let all_items = left.items.iter().chain(&right.items).map(of);
    if is_ratio { all_items.fold(0.0, f64::max) } else { all_items.sum() }
}
