//! The rows of `comparison.csv` and `expectations.csv`.

use super::contrast::{Contrast, Family, Judged, NotComparable, Verdict};
use super::expectations::{Found, Judgement, Ruling, Shown};
use crate::measure::rows::{ComparisonRow, ExpectationRow};
use crate::measure::{Quantity, Unit};
use crate::time::Span;

/// The rows of these families, in their order.
pub fn comparison(families: &[Family]) -> Vec<ComparisonRow> {
    let of = |family: &Family| {
        family.contrasts.iter().map(|it| comparison_row(&family.name, it)).collect::<Vec<_>>()
    };
    families.iter().flat_map(of).collect()
}

/// The rows of these predictions, in their order.
pub fn expectations(judgements: &[Judgement]) -> Vec<ExpectationRow> {
    judgements.iter().map(expectation_row).collect()
}

fn comparison_row(family: &str, contrast: &Contrast) -> ComparisonRow {
    let subject = &contrast.subject;
    let row = ComparisonRow {
        family: family.to_owned(),
        backend: subject.backend.name().into(),
        point: subject.point.clone(),
        variant: contrast.variant.clone(),
        baseline: contrast.baseline.clone(),
        candidate: contrast.candidate.clone(),
        client_region: subject.client_region.clone().unwrap_or_default(),
        operation: subject.operation.map_or("", |operation| operation.name()).into(),
        fault: subject.fault.map(|fault| fault + 1),
        quantity: subject.quantity.code().into(),
        ..ComparisonRow::default()
    };
    match &contrast.outcome {
        Ok(judged) => with_difference(row, judged, subject.quantity),
        Err(reason) => ComparisonRow {
            verdict: "not-comparable".into(),
            reason: reason.words(subject.quantity),
            repeat_count: match reason {
                NotComparable::TooFewRepeats { count } => Some(*count as u64),
                _ => None,
            },
            ..row
        },
    }
}

fn with_difference(row: ComparisonRow, judged: &Judged, quantity: Quantity) -> ComparisonRow {
    let of = |unit: Unit, mean: f64| (quantity.unit() == unit).then_some(mean);
    let ns =
        |mean: f64| of(Unit::Nanoseconds, mean).map(|mean| Span::from_millis_f64(mean / 1e6).0);
    let [for_1, for_3, for_5] = judged.repeats_needed().map(|needed| needed.map(|it| it as u64));
    ComparisonRow {
        verdict: match judged.verdict {
            Verdict::Better => "better",
            Verdict::Worse => "worse",
            Verdict::InsideNoise => "inside-noise",
        }
        .into(),
        repeat_count: Some(judged.repeat_count() as u64),
        is_paired: Some(judged.unpaired.is_none()),
        baseline_ns_mean: ns(judged.baseline_mean),
        candidate_ns_mean: ns(judged.candidate_mean),
        baseline_per_s_mean: of(Unit::PerSecond, judged.baseline_mean),
        candidate_per_s_mean: of(Unit::PerSecond, judged.candidate_mean),
        baseline_per_write_mean: of(Unit::Count, judged.baseline_mean),
        candidate_per_write_mean: of(Unit::Count, judged.candidate_mean),
        ratio: Some(1.0 + judged.difference()),
        ratio_low: Some(1.0 + judged.interval.0),
        ratio_high: Some(1.0 + judged.interval.1),
        log_ratio_sd: Some(judged.estimate.sd),
        p_value: Some(judged.p_value),
        p_value_holm: Some(judged.p_adjusted),
        detectable_ratio: Some(1.0 + judged.detectable(quantity)),
        power_for_1_percent_share: Some(judged.power(0.01)),
        power_for_3_percent_share: Some(judged.power(0.03)),
        power_for_5_percent_share: Some(judged.power(0.05)),
        needed_for_1_percent_count: for_1,
        needed_for_3_percent_count: for_3,
        needed_for_5_percent_count: for_5,
        p_value_sign_flip: judged.sign_flip,
        hodges_lehmann_ratio: judged.hodges_lehmann.map(|difference| 1.0 + difference),
        saturated_count: Some(judged.busy_count as u64),
        ..row
    }
}

fn expectation_row(judgement: &Judgement) -> ExpectationRow {
    let row = ExpectationRow {
        that: judgement.text.clone(),
        because: judgement.because.clone(),
        backend: judgement.backend.name().into(),
        point: judgement.point.clone(),
        client_region: judgement.client_region.clone().unwrap_or_default(),
        fault: judgement.fault.map(|fault| fault + 1),
        ..ExpectationRow::default()
    };
    let found = match &judgement.outcome {
        Ok(found) => found,
        Err(reason) => {
            return ExpectationRow { ruling: "not-judged".into(), reason: reason.words(), ..row };
        }
    };
    let Found { repeat_count, value, interval: (low, high), bound, p_adjusted, ruling } = *found;
    let row = ExpectationRow {
        ruling: match ruling {
            Ruling::Held => "held",
            Ruling::Refuted => "refuted",
            Ruling::InsideNoise => "inside-noise",
        }
        .into(),
        repeat_count: Some(repeat_count as u64),
        p_value_holm: Some(p_adjusted),
        ..row
    };
    let ns = |value: f64| {
        let length = i64::try_from(Span::from_millis_f64(value.abs() / 1e6).0).unwrap_or(i64::MAX);
        Some(if value < 0.0 { -length } else { length })
    };
    match value {
        Shown::Ratio(share) => ExpectationRow {
            value_ratio: Some(1.0 + share),
            value_ratio_low: Some(1.0 + low),
            value_ratio_high: Some(1.0 + high),
            bound_ratio: Some(1.0 + bound),
            ..row
        },
        Shown::Nanoseconds(value) => ExpectationRow {
            value_ns: ns(value),
            value_ns_low: ns(low),
            value_ns_high: ns(high),
            bound_ns: ns(bound),
            ..row
        },
        Shown::PerSecond(rate) => ExpectationRow {
            value_per_s: Some(rate),
            value_per_s_low: Some(low),
            value_per_s_high: Some(high),
            bound_per_s: Some(bound),
            ..row
        },
        Shown::Count(number) => ExpectationRow {
            value_per_write: Some(number),
            value_per_write_low: Some(low),
            value_per_write_high: Some(high),
            bound_per_write: Some(bound),
            ..row
        },
    }
}
