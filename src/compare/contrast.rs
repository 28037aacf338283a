//! Two series compared, and the verdicts on a family of them.

use std::collections::BTreeMap;

use super::observations::{Gap, Observations, Series, Subject};
use super::{LEVEL, REPEATS_MIN};
use crate::measure::{Quantity, Scope};
use crate::statistics::family::holm;
use crate::statistics::{Estimate, exact};

/// Differences of which the needed repeats are told.
pub const EFFECTS: [f64; 3] = [0.01, 0.03, 0.05];

/// A series beside its baseline.
#[derive(Clone, Debug)]
pub struct Contrast {
    /// What is compared, but for the side on which they differ.
    pub subject: Subject,
    /// The baseline, as the table calls it: a variant, a point or a folder.
    pub baseline: String,
    /// What is beside it.
    pub candidate: String,
    /// The variant, where it is the same on both sides.
    pub variant: String,
    /// The difference, or why there is none.
    pub outcome: Result<Judged, NotComparable>,
}

/// A difference with its verdict.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// The geometric mean of the baseline, in the unit of the quantity.
    pub baseline_mean: f64,
    /// That of the other side.
    pub candidate_mean: f64,
    /// The mean difference of logarithms.
    pub estimate: Estimate,
    /// Why the values form no pairs; `None` if they do.
    pub unpaired: Option<&'static str>,
    /// How many trials, of both sides, had a queue of the machine in their latencies.
    pub busy_count: usize,
    /// The ends of its 95 % interval, as ratios less one.
    pub interval: (f64, f64),
    /// The p-value that it would have alone.
    pub p_value: f64,
    /// With Holm's correction over the family.
    pub p_adjusted: f64,
    /// The level that the least significant difference of the family is held to at first.
    pub strictest: f64,
    /// The p-value of the exact sign-flip test, from six pairs on.
    pub sign_flip: Option<f64>,
    /// The Hodges-Lehmann estimate, as a ratio less one, from six pairs on.
    pub hodges_lehmann: Option<f64>,
    /// What follows.
    pub verdict: Verdict,
}

/// What a difference says of the candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It is better than the baseline.
    Better,
    /// It is worse.
    Worse,
    /// No difference is to be told from the noise.
    InsideNoise,
}

impl Verdict {
    /// Its words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::InsideNoise => "inside the noise",
        }
    }
}

/// Why two series cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotComparable {
    /// Fewer repeats than give a verdict.
    TooFewRepeats {
        /// How many there are on the smaller side.
        count: usize,
    },
    /// A series lacks values, and what is left is too few.
    Gaps {
        /// Of how many trials.
        count: usize,
        /// Of how many.
        of: usize,
        /// Why most of them.
        gap: Gap,
    },
    /// A value is zero: there is no ratio.
    Zero,
    /// The other side has no such series.
    Missing,
}

impl NotComparable {
    /// The reason, as a clause.
    pub fn words(&self, quantity: Quantity) -> String {
        let code = quantity.code();
        match self {
            Self::TooFewRepeats { count: 1 } => "1 repeat has no spread".to_owned(),
            Self::TooFewRepeats { count } => {
                format!("{count} repeats are fewer than {REPEATS_MIN}")
            }
            Self::Zero => format!("{code} is zero in a trial, and has no ratio"),
            Self::Missing => "the other side has no such values".to_owned(),
            Self::Gaps { count, of, gap } => {
                let why = match gap {
                    Gap::Invalid => "are INVALID".to_owned(),
                    Gap::Overloaded => "achieved less than 99 % of the offered rate".to_owned(),
                    Gap::TooFew => {
                        format!(
                            "have fewer than the {} operations of {code}",
                            quantity.operations_min()
                        )
                    }
                    Gap::Unanswered
                        if matches!(quantity.scope(), Scope::Fault | Scope::FaultRegion) =>
                    {
                        format!("have no {code}: the recovery never ended")
                    }
                    Gap::Unanswered => {
                        format!("have no {code}: it ranks among operations without an answer")
                    }
                    Gap::Absent => format!("have no {code}: it did not happen"),
                };
                format!("{count} of {of} trials {why}")
            }
        }
    }
}

/// Contrasts whose false alarms are counted together.
#[derive(Clone, Debug)]
pub struct Family {
    /// What it is of: latencies or failovers, and the backend.
    pub name: String,
    /// Its contrasts, in the order of the experiment.
    pub contrasts: Vec<Contrast>,
}

/// Two series to compare, and what the sides are called.
#[derive(Debug)]
pub struct Sides<'a> {
    /// The name of the baseline.
    pub baseline: String,
    /// The name of the other side.
    pub candidate: String,
    /// Its series.
    pub base_series: Option<&'a Series>,
    /// The other side's.
    pub series: &'a Series,
    /// Why the values form no pairs; `None` if those of one repeat do.
    pub unpaired: Option<&'static str>,
    /// The candidate has no such series: `series` is then the baseline's.
    pub is_missing: bool,
}

/// Every variant beside the baseline, at each point.
pub fn of_variants<'a>(all: &'a Observations, baseline: &str) -> Vec<Sides<'a>> {
    let others = all.series.iter().filter(|series| series.variant != baseline);
    let sides = |series: &'a Series| Sides {
        baseline: baseline.to_owned(),
        candidate: series.variant.clone(),
        base_series: all.get(baseline, &series.subject),
        series,
        unpaired: None,
        is_missing: false,
    };
    others.map(sides).collect()
}

/// Every point beside the first, for each variant.
pub fn of_points<'a>(all: &'a Observations) -> Vec<Sides<'a>> {
    let Some(first) = all.points().first().map(|&point| point.to_owned()) else {
        return Vec::new();
    };
    let others = all.series.iter().filter(|series| series.subject.point != first);
    let sides = |series: &'a Series| {
        let Series { variant, subject, .. } = series;
        let at_first = Subject { point: first.clone(), ..subject.clone() };
        Sides {
            baseline: first.clone(),
            candidate: subject.point.clone(),
            base_series: all.get(variant, &at_first),
            series,
            unpaired: None,
            is_missing: false,
        }
    };
    others.map(sides).collect()
}

/// Every series of another run beside the same of the first.
pub fn of_runs<'a>(
    (first_name, first): (&str, &'a Observations),
    (name, other): (&str, &'a Observations),
    unpaired: Option<&'static str>,
) -> Vec<Sides<'a>> {
    let sides = |series: &'a Series| Sides {
        baseline: first_name.to_owned(),
        candidate: name.to_owned(),
        base_series: first.get(&series.variant, &series.subject),
        series,
        unpaired,
        is_missing: false,
    };
    let lost = first.series.iter().filter(|it| other.get(&it.variant, &it.subject).is_none());
    let lost = lost.map(|series| Sides { is_missing: true, ..sides(series) });
    other.series.iter().map(sides).chain(lost).collect()
}

/// The families of these sides: latencies and rates, and what faults cost, of each backend.
///
/// `level` is the probability of a false alarm in a family: [`LEVEL`], or less where a run looked at its
/// trials before it went on.
pub fn families(sides: &[Sides<'_>], level: f64) -> Vec<Family> {
    let mut groups: BTreeMap<(bool, _), Vec<&Sides<'_>>> = BTreeMap::new();
    for one in sides {
        let subject = &one.series.subject;
        let is_of_fault = matches!(subject.quantity.scope(), Scope::Fault | Scope::FaultRegion);
        groups.entry((is_of_fault, subject.backend)).or_default().push(one);
    }
    let family =
        |((is_of_fault, backend), sides): ((bool, crate::trial::Backend), Vec<&Sides<'_>>)| {
            let what = if is_of_fault { "failover" } else { "load" };
            let contrasts = judge(&sides, level);
            Family { name: format!("{what}, {}", backend.name()), contrasts }
        };
    groups.into_iter().map(family).collect()
}

/// What is known of a difference before its family is.
struct Alone {
    means: [f64; 2],
    estimate: Estimate,
    differences: Option<Vec<f64>>,
    unpaired: Option<&'static str>,
    busy_count: usize,
}

fn judge(sides: &[&Sides<'_>], level: f64) -> Vec<Contrast> {
    let alone: Vec<Result<Alone, NotComparable>> =
        sides.iter().map(|sides| compare(sides)).collect();
    let p_values: Vec<f64> =
        alone.iter().flatten().map(|alone| alone.estimate.p_value(0.0)).collect();
    let mut adjusted = holm(&p_values).into_iter();
    let count = p_values.len();
    let contrast = |(sides, alone): (&&Sides<'_>, Result<Alone, NotComparable>)| {
        let outcome = alone.map(|alone| {
            let p_adjusted = adjusted.next().unwrap_or(1.0);
            alone.judged(sides.series.subject.quantity, p_adjusted, level, count)
        });
        Contrast {
            subject: sides.series.subject.clone(),
            baseline: sides.baseline.clone(),
            candidate: sides.candidate.clone(),
            variant: sides.series.variant.clone(),
            outcome,
        }
    };
    sides.iter().zip(alone).map(contrast).collect()
}

impl Alone {
    fn judged(&self, quantity: Quantity, p_adjusted: f64, level: f64, count: usize) -> Judged {
        let Self { means, estimate, differences, unpaired, busy_count } = self;
        let strictest = level / count.max(1) as f64;
        let (low, high) = estimate.interval(LEVEL);
        let ratio = |log: f64| log.exp_m1();
        let is_told = p_adjusted <= level && estimate.mean.abs() > quantity.resolution();
        let is_less = estimate.mean < 0.0;
        let verdict = match (is_told, is_less == quantity.less_is_better()) {
            (false, _) => Verdict::InsideNoise,
            (true, true) => Verdict::Better,
            (true, false) => Verdict::Worse,
        };
        let differences = differences.as_deref();
        Judged {
            baseline_mean: means[0],
            candidate_mean: means[1],
            estimate: *estimate,
            unpaired: *unpaired,
            busy_count: *busy_count,
            interval: (ratio(low), ratio(high)),
            p_value: estimate.p_value(0.0),
            p_adjusted,
            strictest,
            sign_flip: differences.and_then(exact::sign_flip),
            hodges_lehmann: differences.and_then(exact::hodges_lehmann).map(ratio),
            verdict,
        }
    }
}

impl Judged {
    /// The difference, as a ratio less one.
    pub fn difference(&self) -> f64 {
        self.estimate.mean.exp_m1()
    }

    /// The least true difference that this test finds four times in five, as a ratio less one.
    pub fn detectable(&self, quantity: Quantity) -> f64 {
        self.estimate.detectable(self.strictest).max(quantity.resolution()).exp_m1()
    }

    /// How often this test finds a true difference of `effect`, a ratio less one.
    pub fn power(&self, effect: f64) -> f64 {
        self.estimate.power(effect.ln_1p(), self.strictest)
    }

    /// How many repeats would find a difference of each of [`EFFECTS`] four times in five; `None` above
    /// 10,000.
    pub fn repeats_needed(&self) -> [Option<usize>; 3] {
        EFFECTS.map(|effect| self.estimate.trials_for(effect.ln_1p(), self.strictest, REPEATS_MIN))
    }

    /// How many repeats: pairs, or those of the smaller side.
    pub fn repeat_count(&self) -> usize {
        self.estimate.count()
    }

    /// How much worse the candidate is, as a ratio less one; negative if it is better.
    pub fn worse_by(&self, quantity: Quantity) -> f64 {
        let log = if quantity.less_is_better() { self.estimate.mean } else { -self.estimate.mean };
        log.exp_m1()
    }
}

/// The difference of two series, if they have enough values.
fn compare(sides: &Sides<'_>) -> Result<Alone, NotComparable> {
    let base = sides.base_series.filter(|_| !sides.is_missing).ok_or(NotComparable::Missing)?;
    let series = sides.series;
    // A percentile that ranks among unanswered operations, and a trial that did not keep up, are the worst
    // values there are: without them what is left would look better than it was.
    for one in [base, series] {
        check_gaps(one, |gap| matches!(gap, Gap::Unanswered | Gap::Overloaded))?;
    }
    if sides.unpaired.is_some() {
        return compare_unpaired(base, series, sides.unpaired);
    }
    let mut pairs = Vec::new();
    let mut busy_count = 0;
    for (repeat, value) in &series.values {
        let Some(base) = base.values.get(repeat) else { continue };
        if base.seed != value.seed {
            return compare_unpaired(base_of(sides)?, series, Some("their seeds differ"));
        }
        if let (Ok(base_number), Ok(number)) = (base.number, value.number) {
            pairs.push([base_number, number]);
            busy_count += usize::from(base.is_busy) + usize::from(value.is_busy);
        }
    }
    if pairs.len() < REPEATS_MIN {
        return Err(too_few(base, series, pairs.len()));
    }
    let logs = |side: usize| pairs.iter().map(|pair| pair[side].ln()).collect::<Vec<f64>>();
    let (base_logs, logs) = (logs(0), logs(1));
    if base_logs.iter().chain(&logs).any(|log| !log.is_finite()) {
        return Err(NotComparable::Zero);
    }
    let differences: Vec<f64> = logs.iter().zip(&base_logs).map(|(log, base)| log - base).collect();
    let estimate =
        Estimate::paired(&differences).ok_or(NotComparable::TooFewRepeats { count: 1 })?;
    let means = [mean(&base_logs), mean(&logs)].map(f64::exp);
    Ok(Alone { means, estimate, differences: Some(differences), unpaired: None, busy_count })
}

fn base_of<'a>(sides: &Sides<'a>) -> Result<&'a Series, NotComparable> {
    sides.base_series.ok_or(NotComparable::Missing)
}

fn compare_unpaired(
    base: &Series,
    series: &Series,
    unpaired: Option<&'static str>,
) -> Result<Alone, NotComparable> {
    let numbers = |series: &Series| {
        series.values.values().filter_map(|value| value.number.ok()).collect::<Vec<f64>>()
    };
    let [base_numbers, numbers] = [base, series].map(numbers);
    let least = base_numbers.len().min(numbers.len());
    if least < REPEATS_MIN {
        return Err(too_few(base, series, least));
    }
    let [base_logs, logs] =
        [base_numbers, numbers].map(|numbers| numbers.iter().map(|it| it.ln()).collect::<Vec<_>>());
    if base_logs.iter().chain(&logs).any(|log| !log.is_finite()) {
        return Err(NotComparable::Zero);
    }
    let estimate = Estimate::unpaired(&base_logs, &logs)
        .ok_or(NotComparable::TooFewRepeats { count: least })?;
    let means = [mean(&base_logs), mean(&logs)].map(f64::exp);
    let values = base.values.values().chain(series.values.values());
    let busy_count = values.filter(|value| value.number.is_ok() && value.is_busy).count();
    Ok(Alone { means, estimate, differences: None, unpaired, busy_count })
}

/// Why so few values are left.
fn too_few(base: &Series, series: &Series, count: usize) -> NotComparable {
    for one in [series, base] {
        if let Err(gaps) = check_gaps(one, |_| true) {
            return gaps;
        }
    }
    NotComparable::TooFewRepeats { count }
}

/// Refuses a series with gaps of a kind.
fn check_gaps(series: &Series, is_refused: impl Fn(Gap) -> bool) -> Result<(), NotComparable> {
    let mut counts: BTreeMap<Gap, usize> = BTreeMap::new();
    let gaps = series.values.values().filter_map(|value| value.number.err());
    for gap in gaps.filter(|gap| is_refused(*gap)) {
        *counts.entry(gap).or_default() += 1;
    }
    match counts.into_iter().max_by_key(|(_, count)| *count) {
        Some((gap, count)) => Err(NotComparable::Gaps { count, of: series.values.len(), gap }),
        None => Ok(()),
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

impl NotComparable {
    /// Whether the values that lack are worse than any: they hide a loss.
    pub const fn hides_a_loss(&self) -> bool {
        match self {
            Self::Missing => true,
            Self::Gaps { gap, .. } => {
                matches!(gap, Gap::Invalid | Gap::Overloaded | Gap::Unanswered)
            }
            Self::TooFewRepeats { .. } | Self::Zero => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_ended_is_said_of_an_operation_or_of_a_recovery() {
        let why = NotComparable::Gaps { count: 1, of: 3, gap: Gap::Unanswered };
        assert!(why.words(Quantity::P99).contains("operations without an answer"));
        for of_fault in [Quantity::Phase1, Quantity::Away] {
            assert!(why.words(of_fault).ends_with("the recovery never ended"));
        }
    }
}
