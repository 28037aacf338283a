//! Rates and latencies over time, with the faults.

use std::collections::{BTreeMap, BTreeSet};

use super::data::{Data, in_ms, ms};
use super::{Axis, Figure, Form, Mark, Panel, Point, Scale};
use crate::measure::rows::TimelineRow;

/// Sums of one interval over the client regions and operations of a trial.
#[derive(Default)]
struct Interval {
    returned_count: f64,
    worst_ns: u64,
    seconds: f64,
    trials: BTreeSet<u32>,
}

/// Rate and greatest latency in every interval, for each variant.
pub fn timeline(data: &Data<'_>) -> Option<Figure> {
    data.only_point()?;
    let faults = faults(data);
    let variants = data.variants();
    let mut rates = Vec::new();
    let mut worst = Vec::new();
    for variant in &variants {
        let intervals = intervals(data, variant);
        let middle =
            |start: u64, interval: &Interval| (start as f64) / 1e9 + interval.seconds / 2.0;
        let rate = |(start, interval): (&u64, &Interval)| {
            let rate = interval.returned_count / interval.trials.len() as f64 / interval.seconds;
            let x = middle(*start, interval);
            Point::at(x, rate, format!("{x:.2} s: {rate:.0} operations a second"))
        };
        rates.push(Mark::new(variant, Form::Line, intervals.iter().map(rate).collect()));
        let latency = |(start, interval): (&u64, &Interval)| {
            let (x, value) = (middle(*start, interval), in_ms(interval.worst_ns));
            Some(Point::at(x, value, format!("{x:.2} s: up to {} ms", ms(value))))
                .filter(|_| interval.worst_ns > 0)
        };
        worst.push(Mark::new(variant, Form::Line, intervals.iter().filter_map(latency).collect()));
    }
    if rates.iter().all(|mark| mark.points.len() < 3) {
        return None;
    }
    let seconds = || Axis::new("time in the window (s)", Scale::Linear);
    let shaded = |marks: Vec<Mark>| {
        let shade = Mark::new("", Form::Shade, faults.clone());
        std::iter::once(shade).chain(marks).collect::<Vec<Mark>>()
    };
    let points = rates.iter().flat_map(|mark| &mark.points);
    let most = points.map(|point| point.y).fold(0.0, f64::max);
    let rate = Axis::new("answered operations a second", Scale::Linear).over(0.0, most * 1.05);
    let latency = Axis::new("greatest latency (ms)", Scale::Log);
    let panels = vec![
        Panel::new("answered operations", seconds(), rate, shaded(rates)),
        Panel::new("greatest latency", seconds(), latency, shaded(worst)),
    ];
    let caption = "All client regions together: the mean rate over the valid repeats, and the greatest latency of any of \
                   them, by the interval in which an operation was answered. Shaded: a fault of the first repeat, \
                   from its begin to its end.";
    Figure::of("timeline", "Over time", caption, panels)
}

fn intervals(data: &Data<'_>, variant: &str) -> BTreeMap<u64, Interval> {
    let valid: BTreeSet<u32> = data.valid(variant).map(|ended| ended.row.trial).collect();
    let is_wanted = |row: &&TimelineRow| {
        row.backend == data.backend.name()
            && valid.contains(&row.trial)
            && row.operation != "control"
    };
    let mut found: BTreeMap<u64, Interval> = BTreeMap::new();
    for row in data.timeline.iter().filter(is_wanted) {
        let interval = found.entry(row.start_ns).or_default();
        interval.returned_count += row.returned_count as f64;
        interval.worst_ns = interval.worst_ns.max(row.latency_ns_max.unwrap_or(0));
        interval.seconds = interval.seconds.max(row.interval_ns as f64 / 1e9);
        interval.trials.insert(row.trial);
    }
    found.retain(|_, interval| interval.seconds > 0.0);
    found
}

/// When each fault of the first repeat that has one began and ended, in seconds of the window.
fn faults(data: &Data<'_>) -> Vec<Point> {
    let mut found: BTreeMap<u32, Point> = BTreeMap::new();
    let of_backend = data.results.finished.iter().filter(|ended| ended.backend == data.backend);
    let rows =
        of_backend.flat_map(|ended| ended.recovery.iter().map(|row| (row, ended.row.duration_ns)));
    for (row, duration_ns) in rows {
        let start = row.struck_at_ns as f64 / 1e9;
        // One that does not end lasts to the end of the window.
        let end = row.ended_at_ns.unwrap_or(duration_ns) as f64 / 1e9;
        let point =
            || Point { x_range: Some((start, end)), ..Point::at(start, 0.0, &row.fault_kind) };
        found.entry(row.fault).or_insert_with(point);
    }
    found.into_values().collect()
}
