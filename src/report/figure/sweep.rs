//! Swept keys: a quantity over one of them, heat maps over two, and latency against throughput.

use std::collections::BTreeMap;

use super::data::{Data, Mean, ms};
use super::{Axis, Figure, Form, Mark, Panel, Point, Scale};
use crate::measure::{OperationKind, Quantity};
use crate::report::outline;

/// More panels than these are not looked at.
const PANELS_MAX: usize = 32;

/// A swept key with its values as numbers.
struct Key {
    path: String,
    name: String,
    values: Vec<f64>,
}

/// The keys whose values are numbers, those with the most different values first.
fn numeric_keys(data: &Data<'_>) -> Vec<Key> {
    let points = &data.results.outline.points;
    let mut paths: Vec<&str> = Vec::new();
    for (path, _) in points.iter().flat_map(|point| &point.settings) {
        if !paths.contains(&path.as_str()) {
            paths.push(path);
        }
    }
    let key = |path: &str| {
        let mut values = Vec::new();
        for text in points.iter().filter_map(|point| setting(point, path)) {
            let value: f64 = text.parse().ok()?;
            if !values.contains(&value) {
                values.push(value);
            }
        }
        values.sort_by(f64::total_cmp);
        let name = path.rsplit('.').next().unwrap_or(path).to_owned();
        Some(Key { path: path.to_owned(), name, values })
    };
    let mut keys: Vec<Key> = paths.into_iter().filter_map(key).collect();
    keys.sort_by_key(|key| std::cmp::Reverse(key.values.len()));
    keys
}

fn setting<'a>(point: &'a outline::Point, path: &str) -> Option<&'a str> {
    point.settings.iter().find(|(other, _)| other == path).map(|(_, value)| value.as_str())
}

fn number(point: &outline::Point, path: &str) -> Option<f64> {
    setting(point, path)?.parse().ok()
}

/// What tells the panel of a point: its settings but for these keys.
fn rest(point: &outline::Point, without: &[&str]) -> String {
    let others = point.settings.iter().filter(|(path, _)| !without.contains(&path.as_str()));
    let name = |path: &str| path.rsplit('.').next().unwrap_or(path).to_owned();
    let parts: Vec<String> =
        others.map(|(path, value)| format!("{} = {value}", name(path))).collect();
    parts.join(", ")
}

/// The text with a capital letter.
fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn kind(data: &Data<'_>) -> OperationKind {
    data.operations().first().copied().unwrap_or(OperationKind::Write)
}

/// The quantity that a sweep shows: the median, or with faults the outage, because the median would mix both.
fn compared(data: &Data<'_>) -> (Quantity, Option<OperationKind>) {
    if data.has_faults() { (Quantity::Away, None) } else { (Quantity::P50, Some(kind(data))) }
}

/// Its name.
fn compared_name(data: &Data<'_>) -> String {
    if data.has_faults() {
        "longest time without a write".to_owned()
    } else {
        format!("median of {}s", kind(data).name())
    }
}

/// What is compared of a variant at a point and region, and its floor, in milliseconds.
fn median(
    data: &Data<'_>,
    variant: &str,
    point: &outline::Point,
    region: &str,
) -> Option<(Mean, Option<f64>)> {
    let (quantity, operation) = compared(data);
    let found = data.series(variant, &point.label, quantity, Some(region), operation);
    let series = found.into_iter().next()?;
    let floor = series.values.values().find_map(|value| value.floor).map(|ns| ns / 1e6);
    Some((Mean::of(series)?.in_ms(), floor))
}

/// Medians over the swept key with the most values: a panel for each client region and setting of the others.
pub fn lines(data: &Data<'_>) -> Option<Figure> {
    let points = &data.results.outline.points;
    let keys = numeric_keys(data);
    let key = keys.first().filter(|key| key.values.len() >= 2 && points.len() > 1)?;
    let mut panels: BTreeMap<(usize, String), Vec<&outline::Point>> = BTreeMap::new();
    for (number, point) in points.iter().enumerate() {
        let rest = rest(point, &[&key.path]);
        let first = points.iter().position(|other| self::rest(other, &[&key.path]) == rest);
        panels.entry((first.unwrap_or(number), rest)).or_default().push(point);
    }
    let variants = data.variants();
    let mut drawn = Vec::new();
    for ((_, rest), points) in panels {
        for region in data.client_regions() {
            let mut marks = Vec::new();
            let mut floors = Vec::new();
            for variant in &variants {
                let mut line = Vec::new();
                for point in &points {
                    let Some(x) = number(point, &key.path) else { continue };
                    let Some((mean, floor)) = median(data, variant, point, &region) else {
                        continue;
                    };
                    let text = format!("{} = {x}: {}", key.name, mean.words());
                    line.push(Point { y_range: mean.interval, ..Point::at(x, mean.value, text) });
                    if let Some(floor) = floor {
                        let text = format!("{variant}, {} = {x}: floor {} ms", key.name, ms(floor));
                        floors.push(Point::at(x, floor, text));
                    }
                }
                line.sort_by(|one, other| one.x.total_cmp(&other.x));
                marks.push(Mark::new(variant, Form::Line, line));
            }
            if floors.len() > 1 {
                marks.insert(0, Mark::new("floor", Form::Ticks, floors));
            }
            let title = if rest.is_empty() { region.clone() } else { format!("{region}: {rest}") };
            let x = Axis::new(&key.name, scale(&key.values));
            let y = Axis::new(format!("{} (ms)", compared_name(data)), Scale::Linear);
            drawn.push(Panel::new(title, x, y, marks));
        }
    }
    if drawn.len() > PANELS_MAX {
        return None;
    }
    let caption = format!(
        "The geometric mean over the repeats at each value of `{}`, with its 95 % interval by Student's t as a \
         band. Short upright strokes are floors.",
        key.path
    );
    Figure::of(
        "sweep",
        format!("{} over {}", capital(&compared_name(data)), key.name),
        caption,
        drawn,
    )
}

/// Logarithmic where the values grow by factors.
fn scale(values: &[f64]) -> Scale {
    let is_wide = matches!((values.first(), values.last()),
        (Some(low), Some(high)) if *low > 0.0 && high / low >= 16.0);
    if is_wide { Scale::Log } else { Scale::Linear }
}

/// Medians over the two swept keys with the most values.
pub fn heat_map(data: &Data<'_>) -> Option<Figure> {
    let keys = numeric_keys(data);
    let (x, y) = match &keys[..] {
        [x, y, ..] if y.values.len() >= 2 && x.values.len() >= 3 => (x, y),
        _ => return None,
    };
    let paths = [x.path.as_str(), y.path.as_str()];
    let points = &data.results.outline.points;
    let mut cells: Vec<(String, Vec<Cell>)> = Vec::new();
    for variant in data.variants() {
        for region in data.client_regions() {
            for point in points {
                let places = (number(point, x.path.as_str()), number(point, y.path.as_str()));
                let (Some(at_x), Some(at_y)) = places else { continue };
                let Some((mean, _)) = median(data, &variant, point, &region) else { continue };
                let rest = rest(point, &paths);
                let mut title = format!("{variant}, {region}");
                if !rest.is_empty() {
                    title = format!("{title}: {rest}");
                }
                let words = format!("{} = {at_x}, {} = {at_y}: {}", x.name, y.name, mean.words());
                let cell = Cell { x: at_x, y: at_y, value: mean.value, words };
                match cells.iter_mut().find(|(other, _)| *other == title) {
                    Some((_, found)) => found.push(cell),
                    None => cells.push((title, vec![cell])),
                }
            }
        }
    }
    let names = (format!("{} ", x.name), format!("{} ", y.name));
    let panels = heat_panels(cells, &names, (&x.values, &y.values))?;
    let caption = format!(
        "The median in ms at each pair of `{}` and `{}`: the darker, the slower, on one scale for all panels. The number in \
         a cell is its median.",
        x.path, y.path
    );
    Figure::of("heat-map", "Median over two swept keys", caption, panels)
}

/// Medians and phase 1 over the sizes of quorums, where a run has enough different ones.
pub fn quorums(data: &Data<'_>) -> Option<Figure> {
    // Medians over an outage say nothing about quorum sizes.
    if data.has_faults() {
        return None;
    }
    let mut sizes: Vec<(u16, u16)> = Vec::new();
    let mut cells: Vec<(String, Vec<Cell>)> = Vec::new();
    for region in data.client_regions() {
        let mut medians: BTreeMap<(u16, u16), Vec<f64>> = BTreeMap::new();
        for series in &data.observations.series {
            let subject = &series.subject;
            let is_wanted = subject.backend == data.backend
                && subject.quantity == Quantity::P50
                && subject.client_region.as_deref() == Some(region.as_str())
                && subject.operation == Some(kind(data));
            let row = data.results.finished.iter().find(|ended| {
                ended.row.variant == series.variant && ended.row.point == subject.point
            });
            if let (true, Some(row)) = (is_wanted, row.map(|ended| &ended.row)) {
                let values = series.values.values().filter_map(|value| value.number.ok());
                // A mean over other settings would say nothing about quorums.
                if medians.insert((row.q1, row.q2), values.collect()).is_some() {
                    return None;
                }
            }
        }
        let mut found = Vec::new();
        for ((q1, q2), values) in medians {
            if let Some(mean) = Mean::of_numbers(&values).map(Mean::in_ms) {
                sizes.push((q1, q2));
                let words = format!("q1 = {q1}, q2 = {q2}: {} ms", ms(mean.value));
                found.push(Cell { x: q2.into(), y: q1.into(), value: mean.value, words });
            }
        }
        cells.push((format!("median in {region}"), found));
    }
    sizes.sort_unstable();
    sizes.dedup();
    if sizes.len() < 4 {
        return None;
    }
    let mut values: (Vec<f64>, Vec<f64>) =
        sizes.iter().map(|(q1, q2)| (f64::from(*q2), f64::from(*q1))).unzip();
    for axis in [&mut values.0, &mut values.1] {
        axis.sort_by(f64::total_cmp);
        axis.dedup();
    }
    let names = ("phase-2 quorum ".to_owned(), "phase-1 quorum ".to_owned());
    let panels = heat_panels(cells, &names, (&values.0, &values.1))?;
    let caption = "The median in ms for each pair of quorum sizes, each of one variant at one point: the darker, the \
                   slower.";
    Figure::of("quorums", "Median by quorum sizes", caption, panels)
}

/// A cell of a heat map.
struct Cell {
    x: f64,
    y: f64,
    value: f64,
    words: String,
}

/// A panel for each title, all with one scale of colours; `None` if there are too many.
fn heat_panels(
    cells: Vec<(String, Vec<Cell>)>,
    names: &(String, String),
    (xs, ys): (&[f64], &[f64]),
) -> Option<Vec<Panel>> {
    if cells.len() > PANELS_MAX {
        return None;
    }
    let all = || cells.iter().flat_map(|(_, cells)| cells).map(|cell| cell.value);
    let low = all().reduce(f64::min)?;
    let high = all().reduce(f64::max)?;
    let place = |values: &[f64], value: f64| {
        values
            .iter()
            .position(|other| other.total_cmp(&value).is_eq())
            .map_or(0.0, |place| place as f64 + 1.0)
    };
    let labels = |values: &[f64]| Scale::Names(values.iter().map(f64::to_string).collect());
    let panel = |(title, cells): (String, Vec<Cell>)| {
        let point = |cell: Cell| {
            let (x, y) = (place(xs, cell.x), place(ys, cell.y));
            let share = if high > low { (cell.value - low) / (high - low) } else { 0.5 };
            Point {
                x_range: Some((x - 0.48, x + 0.48)),
                y_range: Some((y - 0.48, y + 0.48)),
                value: Some(share),
                ..Point::at(x, y, cell.words)
            }
        };
        let marks = vec![Mark::new("median", Form::Cells, cells.into_iter().map(point).collect())];
        let x = Axis::new(names.0.trim(), labels(xs));
        let y = Axis::new(names.1.trim(), labels(ys));
        let height = 100.0 + 26.0 * ys.len() as f64;
        Panel { height, ..Panel::new(title, x, y, marks) }
    };
    Some(cells.into_iter().map(panel).collect())
}

/// Median and 99th percentile against the rate that was achieved, where the load is swept.
pub fn load(data: &Data<'_>) -> Option<Figure> {
    let points = &data.results.outline.points;
    let keys = numeric_keys(data);
    let key = keys.iter().find(|key| key.path.starts_with("workload.arrival"))?;
    if key.values.len() < 3 {
        return None;
    }
    let mut panels: Vec<Panel> = Vec::new();
    for region in data.client_regions() {
        for quantity in [Quantity::P50, Quantity::P99] {
            let mut rests: Vec<String> = points.iter().map(|it| rest(it, &[&key.path])).collect();
            rests.dedup();
            rests.sort();
            rests.dedup();
            for of_panel in rests {
                let marks = data.variants().into_iter().map(|variant| {
                    let of_panel = points.iter().filter(|it| rest(it, &[&key.path]) == of_panel);
                    let mut line: Vec<Point> = of_panel
                        .filter_map(|point| hockey_stick(data, &variant, point, &region, quantity))
                        .collect();
                    line.sort_by(|one, other| one.x.total_cmp(&other.x));
                    Mark::new(variant, Form::Line, line)
                });
                let mut title = format!("{region}, {}", quantity.code());
                if !of_panel.is_empty() {
                    title = format!("{title}: {of_panel}");
                }
                let x = Axis::new("achieved operations a second", Scale::Linear);
                let y = Axis::new(format!("{} (ms)", quantity.code()), Scale::Linear);
                panels.push(Panel::new(title, x, y, marks.collect()));
            }
        }
    }
    if panels.len() > PANELS_MAX {
        return None;
    }
    let caption = "Latency against the rate that was achieved, from the least load to the greatest: where a curve turns up, \
                   operations queue. Points of trials that achieved less than they were offered are left out: their \
                   latencies grow with the length of the trial.";
    Figure::of("load", "Latency against throughput", caption, panels)
}

fn hockey_stick(
    data: &Data<'_>,
    variant: &str,
    point: &outline::Point,
    region: &str,
    quantity: Quantity,
) -> Option<Point> {
    let found = data.series(variant, &point.label, quantity, Some(region), Some(kind(data)));
    let mean = Mean::of(found.into_iter().next()?)?.in_ms();
    let rates: Vec<f64> = data
        .valid(variant)
        .filter(|ended| ended.row.point == point.label)
        .filter_map(|ended| ended.row.achieved_per_s)
        .collect();
    let rate = rates.iter().sum::<f64>() / rates.len().max(1) as f64;
    let text = format!("{rate:.0} a second: {}", mean.words());
    Some(Point { y_range: mean.interval, ..Point::at(rate, mean.value, text) })
}
