//! The verdict in sentences, written from the numbers.

use crate::compare::{LEVEL, REPEATS_MIN};
use std::collections::BTreeMap;

use crate::compare::contrast::{Contrast, Judged, Verdict};
use crate::compare::expectations::{Judgement, Ruling};
use crate::measure::{OperationKind, Quantity, Unit};
use crate::report::figure::Data;
use crate::report::figure::data::{LEAST_MS, Mean, ms};
use crate::report::table::counted;
use crate::report::{failover, judged, notes, verdicts};
use crate::statistics::Estimate;
use crate::trial::Backend;

/// A sentence names so many variants at the most; more are for a table.
const LISTED_MAX: usize = 8;

/// And there are sentences of so many client regions at the most.
const REGIONS_MAX: usize = 3;

/// What the differences say: one sentence on the commit, one on the takeover where a leader was replaced.
pub fn verdict(data: &Data<'_>) -> Vec<String> {
    let repeats = verdicts::repeats(&data.results.finished);
    if data.variants().len() < 2 && data.results.outline.points.len() < 2 {
        return vec![
            "This run has one variant, so there is nothing to compare it with.".to_owned(),
        ];
    }
    if repeats < REPEATS_MIN {
        let repeats = counted(repeats, "repeat");
        return vec![format!(
            "This run has {repeats} of each variant, and a verdict needs {REPEATS_MIN}: it says nothing about differences. \
             Run it with --trials 5."
        )];
    }
    if data.only_point().is_none() {
        return vec![of_sweep(data)];
    }
    let mut sentences = Vec::new();
    let mut regions = data.client_regions();
    regions.truncate(REGIONS_MAX);
    let kind = data.operations().first().copied().unwrap_or(OperationKind::Write);
    let of = |quantity: Quantity, region: Option<&str>, kind: Option<OperationKind>| {
        of_quantity(data, quantity, region, kind)
    };
    let median = |region: &String, kind: OperationKind| {
        if data.has_faults() {
            return before_fault(data, region, kind);
        }
        let what = format!("Median of {}s in {region}", kind.name());
        sentence(data, &what, &of(Quantity::P50, Some(region), Some(kind)))
    };
    sentences.extend(regions.iter().filter_map(|it| median(it, kind)));
    let read = Some(OperationKind::Read)
        .filter(|it| kind == OperationKind::Write && data.operations().contains(it));
    sentences
        .extend(read.iter().flat_map(|kind| regions.iter().filter_map(|it| median(it, *kind))));
    let away = |region: &String, what: &str, kind| {
        let what =
            format!("Longest time without an acknowledged {what} in {region}, after the fault");
        sentence(data, &what, &of(Quantity::Away, Some(region), kind))
    };
    sentences.extend(regions.iter().filter_map(|it| away(it, "write", None)));
    if read.is_some() {
        sentences.extend(regions.iter().filter_map(|it| away(it, "read", read)));
    }
    if sentences.is_empty() {
        sentences.push("No difference can be told; the table of differences says why.".to_owned());
    }
    sentences
}

/// The medians before the first fault, with the differences over pairs of one repeat.
fn before_fault(data: &Data<'_>, region: &str, kind: OperationKind) -> Option<String> {
    let (baseline, others) = (&data.baseline, data.candidates());
    let base = data.before_fault(baseline, region, kind);
    let mean = |values: &BTreeMap<usize, f64>| {
        Mean::of_numbers(&values.values().copied().collect::<Vec<f64>>())
    };
    let part = |variant: &String| {
        let values = data.before_fault(variant, region, kind);
        let logs: Vec<f64> =
            values.iter().filter_map(|(repeat, it)| Some((it / base.get(repeat)?).ln())).collect();
        let value = ms(mean(&values)?.value);
        // Of what takes no time a difference in percent says nothing.
        let is_beside = |value: &f64| *value < LEAST_MS;
        if base.values().chain(values.values()).any(is_beside) {
            return Some(format!("{variant} {value} ms"));
        }
        let estimate = Estimate::paired(&logs).filter(|_| logs.len() >= REPEATS_MIN)?;
        let (low, high) = estimate.interval(LEVEL);
        let percent = |log: f64| format!("{:+.1}", log.exp_m1() * 100.0);
        let difference = percent(estimate.mean);
        Some(format!(
            "{variant} {value} ms, {difference} % ({} to {})",
            percent(low),
            percent(high)
        ))
    };
    let value = ms(mean(&base)?.value);
    if others.len() > LISTED_MAX {
        let median = |variant: &String| {
            let mean = mean(&data.before_fault(variant, region, kind))?;
            Some((mean.value, variant.clone()))
        };
        let mut medians: Vec<(f64, String)> = others.iter().filter_map(median).collect();
        medians.sort_by(|one, other| one.0.total_cmp(&other.0));
        let ((least, fastest), (most, slowest)) = (medians.first()?, medians.last()?);
        return Some(format!(
            "Median of {}s in {region} before the fault ({}): {baseline} {value} ms, of {} others from {} ms \
             ({fastest}) to {} ms ({slowest}); the table below has each.",
            kind.name(),
            data.backend.name(),
            medians.len(),
            ms(*least),
            ms(*most)
        ));
    }
    let parts: Vec<String> = others.iter().filter_map(part).collect();
    Some(format!(
        "Median of {}s in {region} before the fault ({}, {}, 95 % intervals of pairs): {baseline} {value} ms; {}.",
        kind.name(),
        data.backend.name(),
        counted(base.len(), "repeat"),
        parts.join("; ")
    ))
}

/// The contrasts about a quantity on the backend that is drawn.
fn of_quantity<'d>(
    data: &'d Data<'_>,
    quantity: Quantity,
    region: Option<&str>,
    kind: Option<OperationKind>,
) -> Vec<&'d Contrast> {
    let is_wanted = |contrast: &&Contrast| {
        let subject = &contrast.subject;
        subject.backend == data.backend
            && subject.quantity == quantity
            && subject.client_region.as_deref() == region
            && subject.operation == kind
            && subject.fault.is_none_or(|fault| fault == 0)
    };
    data.conclusions.families.iter().flat_map(|it| &it.contrasts).filter(is_wanted).collect()
}

/// Every candidate beside the baseline, in one sentence; none where nothing can be told.
fn sentence(data: &Data<'_>, what: &str, contrasts: &[&Contrast]) -> Option<String> {
    let told: Vec<(&Contrast, &Judged)> =
        contrasts.iter().filter_map(|it| Some((*it, it.outcome.as_ref().ok()?))).collect();
    let missing: Vec<String> = contrasts
        .iter()
        .filter_map(|it| Some((it, it.outcome.as_ref().err()?)))
        .map(|(it, why)| {
            format!("{} cannot be compared: {}", it.candidate, why.words(it.subject.quantity))
        })
        .collect();
    let base = baseline(data, contrasts.first()?);
    let parts: Vec<String> = told.iter().map(|(contrast, judged)| part(contrast, judged)).collect();
    let parts = if contrasts.len() > LISTED_MAX {
        in_numbers(contrasts)
    } else {
        parts.into_iter().chain(missing).collect::<Vec<_>>().join("; ")
    };
    let repeats = told.iter().map(|(_, judged)| judged.repeat_count()).max();
    let repeats = repeats.map(|repeats| format!(", {}", counted(repeats, "repeat")));
    let of = format!("{}{}", data.backend.name(), repeats.unwrap_or_default());
    Some(format!("{what} ({of}): {base}{parts}."))
}

/// How many differences came out how: `of 19 others 0 better, 4 worse and 15 inside the noise`.
fn in_numbers(contrasts: &[&Contrast]) -> String {
    let count = |verdict: Verdict| {
        let is_it = |it: &&&Contrast| it.outcome.as_ref().is_ok_and(|it| it.verdict == verdict);
        contrasts.iter().filter(is_it).count()
    };
    let untold = contrasts.iter().filter(|it| it.outcome.is_err()).count();
    let untold = if untold > 0 { format!(", {untold} cannot be compared") } else { String::new() };
    format!(
        "of {} others {} better, {} worse and {} inside the noise{untold}; the tables have each",
        contrasts.len(),
        count(Verdict::Better),
        count(Verdict::Worse),
        count(Verdict::InsideNoise)
    )
}

/// `multi 69.68 ms; `: the baseline with its own value.
fn baseline(data: &Data<'_>, contrast: &Contrast) -> String {
    let subject = &contrast.subject;
    let found = data.series(
        &contrast.baseline,
        &subject.point,
        subject.quantity,
        subject.client_region.as_deref(),
        subject.operation,
    );
    let mean = found.into_iter().next().and_then(Mean::of);
    match mean {
        Some(mean) if subject.quantity.unit() == Unit::Nanoseconds => {
            format!("{} {} ms; ", contrast.baseline, ms(mean.value / 1e6))
        }
        _ => String::new(),
    }
}

/// `flex-4-2 64.22 ms, 7.8 % less (7.5 to 8.1): better`.
fn part(contrast: &Contrast, judged: &Judged) -> String {
    let value = match contrast.subject.quantity.unit() {
        Unit::Nanoseconds => format!("{} ms", ms(judged.candidate_mean / 1e6)),
        Unit::PerSecond => format!("{:.1} a second", judged.candidate_mean),
        Unit::Count => format!("{:.3}", judged.candidate_mean),
    };
    let difference = judged.difference();
    let (low, high) = judged.interval;
    let percent = |share: f64| format!("{:+.1}", share * 100.0);
    let is_hidden = judged.verdict == Verdict::InsideNoise && (low > 0.0 || high < 0.0);
    let verdict =
        if is_hidden { "inside the noise after Holm's correction" } else { judged.verdict.words() };
    format!(
        "{} {value}, {} % ({} to {}): {verdict}",
        contrast.candidate,
        percent(difference),
        percent(low),
        percent(high)
    )
}

/// How many differences of the median came out how.
fn of_sweep(data: &Data<'_>) -> String {
    let contrasts = data.conclusions.families.iter().flat_map(|it| &it.contrasts);
    let (quantity, name) = if data.has_faults() {
        (Quantity::Away, "the longest time without a write")
    } else {
        (Quantity::P50, "the median")
    };
    let medians: Vec<&Contrast> = contrasts
        .filter(|it| it.subject.backend == data.backend && it.subject.quantity == quantity)
        .collect();
    let count = |verdict: Verdict| {
        let is_it = |it: &&&Contrast| it.outcome.as_ref().is_ok_and(|it| it.verdict == verdict);
        medians.iter().filter(is_it).count()
    };
    let untold = medians.iter().filter(|it| it.outcome.is_err()).count();
    let baseline = medians.first().map_or("the baseline", |it| it.baseline.as_str());
    let mut text = format!(
        "Of {} differences of {name} from {baseline} over {}, {} are better, {} worse and {} inside the noise",
        medians.len(),
        counted(data.results.outline.points.len(), "point"),
        count(Verdict::Better),
        count(Verdict::Worse),
        count(Verdict::InsideNoise)
    );
    if untold > 0 {
        text = format!("{text}; {untold} cannot be compared");
    }
    let by_size = |one: &&(&Contrast, &Judged), other: &&(&Contrast, &Judged)| {
        one.1.difference().abs().total_cmp(&other.1.difference().abs())
    };
    let told: Vec<(&Contrast, &Judged)> =
        medians.iter().filter_map(|it| Some((*it, it.outcome.as_ref().ok()?))).collect();
    match told.iter().max_by(by_size) {
        Some((contrast, judged)) => {
            let point = &contrast.subject.point;
            let is_named = point.is_empty() || contrast.candidate.contains(point.as_str());
            let at = if is_named { String::new() } else { format!(" at {point}") };
            format!("{text}. The largest is that of {}{at}.", part(contrast, judged))
        }
        None => format!("{text}."),
    }
}

/// How many predictions held, in one sentence.
pub fn predictions(data: &Data<'_>) -> String {
    let judgements = &data.conclusions.judgements;
    let count =
        |is_it: &dyn Fn(&Judgement) -> bool| judgements.iter().filter(|it| is_it(it)).count();
    let ruled = |ruling: Ruling| {
        count(&move |it: &Judgement| it.outcome.as_ref().is_ok_and(|found| found.ruling == ruling))
    };
    let (held, refuted, noise) =
        (ruled(Ruling::Held), ruled(Ruling::Refuted), ruled(Ruling::InsideNoise));
    let untold = count(&|it: &Judgement| it.outcome.is_err());
    let mut text = format!("Of {}, {held} held", counted(judgements.len(), "prediction"));
    for (number, what) in
        [(refuted, "refuted"), (noise, "inside the noise"), (untold, "not judged")]
    {
        if number > 0 {
            text = format!("{text}, {number} {what}");
        }
    }
    format!("{text}.")
}

/// How many trials ran, and how many of them are valid.
pub fn trials(data: &Data<'_>) -> String {
    let of = |backend: Backend| {
        let all = data.results.finished.iter().filter(|ended| ended.backend == backend);
        let valid = all.clone().filter(|ended| ended.row.valid).count();
        let count = all.count();
        (count > 0)
            .then(|| format!("{valid} of {} valid ({})", counted(count, "trial"), backend.name()))
    };
    let parts: Vec<String> = [Backend::Live, Backend::Sim].into_iter().filter_map(of).collect();
    format!("{}.", parts.join(", "))
}

/// What a reader must know before the numbers: invalid and saturated trials, and what the checkers found.
pub fn warnings(data: &Data<'_>) -> Vec<String> {
    let finished = &data.results.finished;
    let mut found = Vec::new();
    let invalid = finished.iter().filter(|ended| !ended.row.valid).count();
    if invalid > 0 {
        let what = if invalid == 1 { "is INVALID and has" } else { "are INVALID and have" };
        found.push(format!(
            "{} of {} {what} no numbers here.",
            counted(invalid, "trial"),
            finished.len()
        ));
    }
    let violations: u64 = finished.iter().filter_map(|ended| ended.row.violation_count).sum();
    if violations > 0 {
        found.push(format!(
            "The checkers found {violations} violations of safety: `flexpaxos verify` prints them."
        ));
    }
    let unrecovered = failover::unrecovered(&data.results.outline, finished);
    found.extend(unrecovered.into_iter().map(|line| format!("NOT RECOVERED: {line}.")));
    if data.results.origin.started_at.is_empty() {
        found.push("The run left no manifest: it did not end, or the file is missing.".to_owned());
    }
    found
}

/// What the checkers and the program remarked about all trials.
pub fn remarks(data: &Data<'_>) -> Vec<String> {
    let finished = &data.results.finished;
    let waits = failover::waits(&data.results.outline, finished).into_iter();
    let waits = waits.map(|line| format!("client wait: {line}"));
    judged::judged(finished).into_iter().chain(notes::notes(finished)).chain(waits).collect()
}
