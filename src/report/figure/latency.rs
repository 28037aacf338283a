//! Distributions of latency, and medians by region.

use super::data::{Data, Mean, ms};
use super::{Axis, Figure, Form, Mark, Panel, Point, Scale};
use crate::measure::{Latencies, OperationKind, Quantity, ccdf as ccdf_steps};
use crate::report::outline;

/// A client region and a kind of operation, with what tells them from the others.
struct Place {
    region: usize,
    kind: OperationKind,
    title: String,
}

/// Every client region and kind of operation of a run without a sweep.
fn places(data: &Data<'_>) -> Vec<Place> {
    if data.only_point().is_none() {
        return Vec::new();
    }
    let kinds = data.operations();
    let regions = data.client_regions();
    let all = regions
        .iter()
        .enumerate()
        .flat_map(|(region, name)| kinds.iter().map(move |kind| (region, name.clone(), *kind)));
    let place = |(region, name, kind): (usize, String, OperationKind)| {
        let title = if kinds.len() > 1 { format!("{name}, {}s", kind.name()) } else { name };
        Place { region, kind, title }
    };
    all.map(place).collect()
}

/// A panel for each place, with a line for each variant over its merged latencies.
fn panels(
    data: &Data<'_>,
    axes: &(Axis, Axis),
    form: Form,
    points: impl Fn(&Latencies) -> Vec<Point>,
) -> Vec<Panel> {
    let panel = |place: Place| {
        let mark = |variant: String| {
            let latencies = data.merged(&variant, place.region, place.kind);
            Mark::new(variant, form, points(&latencies))
        };
        let marks = data.variants().into_iter().map(mark).collect();
        Panel::new(place.title, axes.0.clone(), axes.1.clone(), marks)
    };
    places(data).into_iter().map(panel).collect()
}

/// The steps of a distribution that are known: shares and latencies in milliseconds.
fn steps(latencies: &Latencies) -> Vec<(f64, f64)> {
    let known = ccdf_steps(latencies).into_iter();
    known.filter_map(|(share, latency)| Some((share, latency?.as_millis_f64()))).collect()
}

fn percent(share: f64) -> String {
    let text = format!("{:.4}", share * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// The cumulative distribution of each variant.
pub fn cdf(data: &Data<'_>) -> Option<Figure> {
    let axes = (
        Axis::new("latency (ms)", Scale::Linear),
        Axis::new("share", Scale::Linear).over(0.0, 1.0),
    );
    let points = |latencies: &Latencies| {
        let point = |(share, value): (f64, f64)| {
            Point::at(value, share, format!("{} within {} ms", percent(share), ms(value)))
        };
        steps(latencies).into_iter().map(point).collect()
    };
    let caption = "The share of operations that were answered within a latency. All valid repeats are merged. \
                   Operations without an answer rank as infinite, so a curve may end below 1.";
    Figure::of("cdf", "Distribution of latency", caption, panels(data, &axes, Form::Steps, points))
}

/// The complementary distribution, for tails.
pub fn ccdf(data: &Data<'_>) -> Option<Figure> {
    let axes =
        (Axis::new("latency (ms)", Scale::Log), Axis::new("share that is slower", Scale::Log));
    let points = |latencies: &Latencies| {
        let is_drawn = |(share, value): &(f64, f64)| *share < 1.0 && *value > 0.0;
        let point = |(share, value): (f64, f64)| {
            let text = format!("{} slower than {} ms", percent(1.0 - share), ms(value));
            Point::at(value, 1.0 - share, text)
        };
        steps(latencies).into_iter().filter(is_drawn).map(point).collect()
    };
    let caption = "The share of operations that took longer than a latency, on logarithmic axes, which show the \
                   tail. A curve ends where fewer than ten operations are slower.";
    Figure::of("ccdf", "Tail of latency", caption, panels(data, &axes, Form::Steps, points))
}

/// Latency by percentile, as `HdrHistogram` plots it.
pub fn percentiles(data: &Data<'_>) -> Option<Figure> {
    let axes = (Axis::new("percentile", Scale::Nines), Axis::new("latency (ms)", Scale::Linear));
    let points = |latencies: &Latencies| {
        let point = |(share, value): (f64, f64)| {
            Point::at(
                1.0 / (1.0 - share),
                value,
                format!("{} within {} ms", percent(share), ms(value)),
            )
        };
        let told = steps(latencies).into_iter().filter(|(share, _)| *share < 1.0);
        told.map(point).collect()
    };
    let caption = "The latency at each percentile. The axis gives every further nine the same room. A curve ends \
                   where fewer than ten operations are slower.";
    Figure::of(
        "percentiles",
        "Latency by percentile",
        caption,
        panels(data, &axes, Form::Steps, points),
    )
}

/// Medians and 99th percentiles by client region, beside the floor.
pub fn regions(data: &Data<'_>) -> Option<Figure> {
    let point = data.only_point()?;
    let kinds = data.operations();
    let rows = |kind: OperationKind, quantity: Quantity| {
        let title = match quantity {
            Quantity::P50 => format!("median of {}s", kind.name()),
            _ => format!("99th percentile of {}s", kind.name()),
        };
        panel(data, point, &title, kind, quantity)
    };
    let panels = kinds
        .iter()
        .flat_map(|kind| [Quantity::P50, Quantity::P99].map(|quantity| rows(*kind, quantity)));
    let caption = "The geometric mean over the repeats with its 95 % interval by Student's t. The short upright \
                   stroke is the floor: the least latency that any implementation can have on these links. With \
                   fewer than three repeats there is no interval.";
    let caption = format!("{caption}{}", data.whole_window());
    Figure::of("regions", "Latency by client region", caption, panels.collect())
}

fn panel(
    data: &Data<'_>,
    point: &outline::Point,
    title: &str,
    kind: OperationKind,
    quantity: Quantity,
) -> Panel {
    let (variants, regions) = (data.variants(), &point.client_regions);
    let mut marks = Vec::new();
    let mut floors = Vec::new();
    for (number, variant) in variants.iter().enumerate() {
        let mut points = Vec::new();
        for (row, region) in regions.iter().enumerate() {
            let y = row as f64 + 1.0 + offset(number, variants.len());
            let found =
                data.series(variant, &point.label, quantity, Some(region), Some(kind)).next();
            let Some(series) = found else { continue };
            let floor = series.values.values().find_map(|value| value.floor);
            if let Some(floor) = floor.map(|ns| ns / 1e6) {
                let text = format!("floor of {variant} in {region}: {} ms", ms(floor));
                floors.push(Point::at(floor, y, text));
            }
            if let Some(mean) = Mean::of(series).map(Mean::in_ms) {
                let text = format!("{region}: {}", mean.words());
                points.push(Point { x_range: mean.interval, ..Point::at(mean.value, y, text) });
            }
        }
        marks.push(Mark::new(variant, Form::Dots, points));
    }
    if marks.iter().any(|mark| !mark.points.is_empty()) {
        marks.insert(0, Mark::new("floor", Form::Ticks, floors));
    }
    Panel::of_rows(title, Axis::new("latency (ms)", Scale::Linear), regions.clone(), marks)
}

/// Where the marks of one of several series stand around the middle of a row.
pub fn offset(number: usize, count: usize) -> f64 {
    let middle = (count.max(1) - 1) as f64 / 2.0;
    (number as f64 - middle) * (0.7 / count.max(1) as f64)
}
