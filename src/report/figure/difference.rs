//! Differences between variants: with their intervals, and by quantile.

use std::collections::BTreeMap;

use super::data::{Data, LEAST_MS, ms};
use super::{Axis, Figure, Form, Mark, Panel, Point, Scale};
use crate::compare::contrast::{Contrast, Judged};
use crate::compare::{LEVEL, REPEATS_MIN};
use crate::measure::{OperationKind, Quantity, Unit};
use crate::statistics::{Estimate, harrell_davis};

/// At most so many differences stand below one another.
const ROWS_MAX: usize = 24;

/// The quantiles of the shift figure.
const QUANTILES: [f64; 13] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999];

/// Fewer latencies than these are smoothed: beyond, the estimate is the same as the plain quantile.
const SMOOTHED_BELOW: usize = 10_000;

/// Every difference that can be told, with its interval.
///
/// A sweep has too many of them, and names too long for rows: it has heat maps.
pub fn forest(data: &Data<'_>) -> Option<Figure> {
    data.only_point()?;
    let mut groups: BTreeMap<Quantity, Vec<(&Contrast, &Judged)>> = BTreeMap::new();
    for family in &data.conclusions.families {
        for contrast in &family.contrasts {
            let is_drawn = contrast.subject.backend == data.backend
                && contrast.subject.operation.is_none_or(OperationKind::is_load);
            if let (true, Ok(judged)) = (is_drawn, &contrast.outcome)
                && takes_time(contrast.subject.quantity, judged)
            {
                groups.entry(contrast.subject.quantity).or_default().push((contrast, judged));
            }
        }
    }
    let panels = groups.into_iter().flat_map(|(quantity, found)| {
        found.chunks(ROWS_MAX).map(|rows| panel(quantity, rows)).collect::<Vec<_>>()
    });
    let caption = format!(
        "The difference from the baseline ({}) in percent, with its 95 % \
         interval by Student's t. An interval that crosses the dashed line at zero is inside the noise, and so is one \
         that Holm's correction over all differences does not let stand. What takes less than {LEAST_MS} ms on one side has \
         no row.{}",
        data.baseline,
        data.whole_window()
    );
    Figure::of("differences", "Differences with their intervals", caption, panels.collect())
}

/// Whether both sides are long enough for a difference in percent.
fn takes_time(quantity: Quantity, judged: &Judged) -> bool {
    let least = judged.baseline_mean.min(judged.candidate_mean);
    quantity.unit() != Unit::Nanoseconds || least >= LEAST_MS * 1e6
}

fn panel(quantity: Quantity, found: &[(&Contrast, &Judged)]) -> Panel {
    let mut names = Vec::new();
    let mut marks: Vec<Mark> = Vec::new();
    for (row, (contrast, judged)) in found.iter().enumerate() {
        names.push(row_name(contrast));
        let percent = |share: f64| share * 100.0;
        let (low, high) = judged.interval;
        let text = format!(
            "{}: {:+.2} % ({:+.2} to {:+.2}), {}",
            row_name(contrast),
            percent(judged.difference()),
            percent(low),
            percent(high),
            judged.verdict.words()
        );
        let point = Point {
            x_range: Some((percent(low), percent(high))),
            ..Point::at(percent(judged.difference()), row as f64 + 1.0, text)
        };
        match marks.iter_mut().find(|mark| mark.series == contrast.variant) {
            Some(mark) => mark.points.push(point),
            None => marks.push(Mark::new(&contrast.variant, Form::Dots, vec![point])),
        }
    }
    marks.insert(0, Mark::new("", Form::Upright, vec![Point::at(0.0, 1.0, "")]));
    let title = format!("{} in percent of the baseline", quantity.code());
    let axis = Axis::new("difference (%)", Scale::Linear);
    let height = 80.0 + 22.0 * names.len() as f64;
    Panel { height, ..Panel::of_rows(title, axis, names, marks) }
}

/// What tells a difference from the others of its quantity.
fn row_name(contrast: &Contrast) -> String {
    let subject = &contrast.subject;
    let mut parts = vec![contrast.variant.clone()];
    parts.extend(subject.client_region.clone());
    parts.extend(
        subject.operation.filter(|it| *it != OperationKind::Write).map(|it| it.name().into()),
    );
    if !subject.point.is_empty() {
        parts.push(subject.point.clone());
    }
    parts.join(", ")
}

/// The difference at each quantile, with an interval at each: whether a change moves the body or the tail.
pub fn shift(data: &Data<'_>) -> Option<Figure> {
    data.only_point()?;
    let (baseline, others) = (&data.baseline, data.candidates());
    let mut panels = Vec::new();
    for (region, name) in data.client_regions().iter().enumerate() {
        for kind in data.operations() {
            let mark = |variant: &String| {
                Mark::new(variant, Form::Line, shifts(data, (baseline, variant), region, kind))
            };
            let mut marks: Vec<Mark> = others.iter().map(mark).collect();
            marks.insert(0, Mark::new("", Form::Level, vec![Point::at(1.0, 0.0, "")]));
            let axes =
                (Axis::new("percentile", Scale::Nines), Axis::new("difference (%)", Scale::Linear));
            panels.push(Panel::new(format!("{name}, {}s", kind.name()), axes.0, axes.1, marks));
        }
    }
    let caption = format!(
        "The difference from {baseline} at each percentile: the mean over pairs of one repeat, with its own 95 % \
         interval by Student's t, not corrected for the number of percentiles. Quantiles of fewer than 10,000 \
         latencies are Harrell-Davis estimates. A line that is level says that the whole distribution moves; one that bends \
         at its end says that the tail does."
    );
    Figure::of("shift", "Difference by percentile", caption, panels)
}

fn shifts(
    data: &Data<'_>,
    (baseline, variant): (&str, &str),
    region: usize,
    kind: OperationKind,
) -> Vec<Point> {
    let of = |variant| -> BTreeMap<usize, Vec<f64>> {
        let trials = data.of_trials(variant, region, kind).into_iter();
        // With an operation that was never answered, the quantiles above are unknown.
        let whole = trials.filter(|(_, latencies)| latencies.unanswered_count() == 0);
        whole
            .map(|(repeat, latencies)| {
                (repeat, latencies.values().into_iter().map(|ns| ns as f64).collect())
            })
            .collect()
    };
    let (base, other) = (of(baseline), of(variant));
    let point = |share: &f64| {
        let quantile = |values: &Vec<f64>| -> Option<f64> {
            let is_told = values.len() as f64 * (1.0 - share) >= 10.0 || *share <= 0.5;
            let value = is_told.then(|| {
                if values.len() < SMOOTHED_BELOW {
                    harrell_davis(values, *share)
                } else {
                    plain(values, *share)
                }
            });
            value.flatten().filter(|ns| *ns >= LEAST_MS * 1e6)
        };
        let difference = |(repeat, values): (&usize, &Vec<f64>)| {
            Some((quantile(values)? / quantile(base.get(repeat)?)?).ln())
        };
        let differences: Vec<f64> = other.iter().filter_map(difference).collect();
        if differences.len() < REPEATS_MIN {
            return None;
        }
        let estimate = Estimate::paired(&differences)?;
        let (low, high) = estimate.interval(LEVEL);
        let percent = |log: f64| log.exp_m1() * 100.0;
        let text = format!(
            "p{}: {:+.2} % ({:+.2} to {:+.2})",
            ms(share * 100.0).trim_end_matches('0').trim_end_matches('.'),
            percent(estimate.mean),
            percent(low),
            percent(high)
        );
        Some(Point {
            y_range: Some((percent(low), percent(high))),
            ..Point::at(1.0 / (1.0 - share), percent(estimate.mean), text)
        })
    };
    QUANTILES.iter().filter_map(point).collect()
}

/// The value of this rank, as `HdrHistogram` counts ranks.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a length lies between 0 and the length"
)]
fn plain(values: &[f64], share: f64) -> Option<f64> {
    let rank = (share * values.len() as f64).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied()
}
