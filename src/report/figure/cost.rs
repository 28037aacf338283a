//! What a quorum system costs and buys: commit against takeover, phases beside the floor, and prediction beside
//! measurement.

use super::data::{Data, Mean, in_ms, ms};
use super::latency::offset;
use super::{Axis, Figure, Form, Mark, Panel, Point, Scale};
use crate::compare::{LEVEL, REPEATS_MIN};
use crate::measure::rows::PhaseRow;
use crate::measure::{OperationKind, Quantity};
use crate::statistics::Estimate;
use crate::trial::Backend;

/// Commit latency against what a fault costs: a point for each quorum system.
pub fn trade_off(data: &Data<'_>) -> Option<Figure> {
    let point = data.only_point()?;
    let kind = data.operations().first().copied()?;
    let mut panels = Vec::new();
    for region in &point.client_regions {
        for (quantity, label) in [
            (Quantity::Phase1, "phase 1 of the new leader (ms)"),
            (Quantity::Away, "longest time without a write (ms)"),
        ] {
            let places = places(data, &point.label, region, kind, quantity);
            if places.len() < 2 {
                continue;
            }
            let mut marks: Vec<Mark> =
                places.iter().map(|it| Mark::new(&it.0, Form::Dots, vec![it.1.clone()])).collect();
            marks.insert(0, Mark::new("not dominated", Form::Steps, front(&places)));
            marks.extend(labels(&places));
            let x = Axis::new("median of writes before the fault (ms)", Scale::Linear);
            let title = format!("{region}: commit against {}", short(quantity));
            let values = || places.iter().map(|(_, point)| point.y);
            let (low, high) =
                (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
            // One that waits for a restart would press all others onto one line.
            let scale = if low > 0.0 && high > 4.0 * low { Scale::Log } else { Scale::Linear };
            panels.push(Panel::new(title, x, Axis::new(label, scale), marks));
        }
    }
    let caption = "Each point is a quorum system: to the left it commits faster, below it replaces its leader \
                   faster. Geometric means over the repeats, with their 95 % intervals by Student's t; the commit is the median of a \
                   client region before the first fault. A system with a trial that never recovered has no point. The grey steps \
                   join the systems that no other beats in both.";
    Figure::of("trade-off", "What a quorum system costs and buys", caption, panels)
}

const fn short(quantity: Quantity) -> &'static str {
    match quantity {
        Quantity::Phase1 => "phase 1",
        _ => "outage",
    }
}

/// Each variant that has both values, at its place.
fn places(
    data: &Data<'_>,
    label: &str,
    region: &str,
    kind: OperationKind,
    quantity: Quantity,
) -> Vec<(String, Point)> {
    let of_fault = if quantity == Quantity::Away { Some(region) } else { None };
    let place = |variant: String| {
        let commit = data.median(&variant, label, region, kind)?;
        let takeover = data.series(&variant, label, quantity, of_fault, None).next()?;
        let takeover = Mean::of(takeover)?.in_ms();
        let text = format!("commit {}; {} {}", commit.words(), short(quantity), takeover.words());
        let point = Point {
            x_range: commit.interval,
            y_range: takeover.interval,
            ..Point::at(commit.value, takeover.value, text)
        };
        Some((variant, point))
    };
    data.variants().into_iter().filter_map(place).collect()
}

/// The name of each variant at its point: below it where another name is near.
fn labels(places: &[(String, Point)]) -> Vec<Mark> {
    let length = |of: fn(&Point) -> f64| {
        let values = || places.iter().map(|(_, point)| of(point));
        values().fold(0.0, f64::max) - values().fold(f64::INFINITY, f64::min)
    };
    let (width, height) = (length(|it| it.x), length(|it| it.y));
    let is_near = |one: &Point, other: &Point| {
        (one.x - other.x).abs() <= 0.25 * width && (one.y - other.y).abs() <= 0.12 * height
    };
    let label = |(number, (variant, point)): (usize, &(String, Point))| {
        let is_crowded = places[..number].iter().any(|(_, other)| is_near(point, other));
        let value = is_crowded.then_some(1.0);
        let text = Point { value, ..Point::at(point.x, point.y, variant.clone()) };
        Mark::new(variant, Form::Text, vec![text])
    };
    places.iter().enumerate().map(label).collect()
}

/// The points that no other beats in both, from the left.
fn front(places: &[(String, Point)]) -> Vec<Point> {
    let is_beaten = |point: &Point| {
        let mut others = places.iter().map(|(_, other)| other);
        others.any(|it| it.x <= point.x && it.y <= point.y && (it.x < point.x || it.y < point.y))
    };
    let mut front: Vec<Point> = places
        .iter()
        .filter(|(_, point)| !is_beaten(point))
        .map(|(_, point)| Point::at(point.x, point.y, ""))
        .collect();
    front.sort_by(|one, other| one.x.total_cmp(&other.x));
    front
}

/// Where the time of a commit goes, beside the floor.
pub fn phases(data: &Data<'_>) -> Option<Figure> {
    data.only_point()?;
    let names = ["queueing", "phase1", "phase2", "reply"];
    let variants = data.variants();
    let mut bars: Vec<Mark> =
        names.iter().map(|name| Mark::new(*name, Form::Bars, Vec::new())).collect();
    let mut totals = Vec::new();
    for (row, variant) in variants.iter().enumerate() {
        let trials: Vec<u32> = data.valid(variant).map(|ended| ended.row.trial).collect();
        let mut sums = vec![0.0; trials.len()];
        let mut start = 0.0;
        for (number, name) in names.iter().enumerate() {
            // A leader does phase 1 once, and not for each commit.
            if *name == "phase1" && !does_phase1_each_time(data, variant) {
                continue;
            }
            // A replica that led, or proposed, has phases; where several did, their means are weighted by count.
            let of_trial = |trial: &u32| mean_of_phase(data, *trial, name);
            let means: Vec<f64> = trials.iter().map(of_trial).collect();
            sums.iter_mut().zip(&means).for_each(|(sum, mean)| *sum += mean);
            let mean = means.iter().sum::<f64>() / means.len().max(1) as f64;
            if mean <= 0.0 {
                continue;
            }
            let text = format!("{variant}: {name} {} ms", ms(mean));
            let range = Some((start, start + mean));
            let y = row as f64 + 1.0;
            bars[number].points.push(Point { x_range: range, ..Point::at(start + mean, y, text) });
            start += mean;
        }
        // The bars are plain means, and so is their sum.
        if start > 0.0 {
            let estimate = Estimate::paired(&sums).filter(|_| sums.len() >= REPEATS_MIN);
            let range = estimate.map(|estimate| estimate.interval(LEVEL));
            let total = Mean { value: start, interval: range, count: sums.len() };
            let text = format!("{variant}: {} in all", total.words());
            totals.push(Point { x_range: range, ..Point::at(start, row as f64 + 1.0, text) });
        }
    }
    bars.push(Mark::new("measured", Form::Dots, totals));
    let axis = Axis::new("mean time at the leader (ms)", Scale::Linear);
    let axis = Axis { range: None, ..axis };
    let panel = Panel::of_rows("", axis, variants, bars);
    let caption = "The mean time of a commit at the replica that proposes it: from the arrival of the command to its \
                   first message (queueing), to the phase-1 quorum (classic Paxos only), to the phase-2 quorum, and to its \
                   execution (reply). The way from and to the client is not in it. The dot is the sum with its \
                   interval between repeats.";
    Figure::of("phases", "Where the time of a commit goes", caption, vec![panel])
}

/// Whether this variant did phase 1 for most of its commits, as classic Paxos does.
fn does_phase1_each_time(data: &Data<'_>, variant: &str) -> bool {
    let count = |phase: &str| -> u64 {
        let is_wanted = |row: &&PhaseRow| {
            row.variant == variant && row.backend == data.backend.name() && row.phase == phase
        };
        data.phases.iter().filter(is_wanted).map(|row| row.occurred_count).sum()
    };
    count("phase1") * 2 > count("phase2")
}

/// The mean of a phase in one trial, in milliseconds, over all replicas that had it.
fn mean_of_phase(data: &Data<'_>, trial: u32, phase: &str) -> f64 {
    let rows = data.phases.iter().filter(|row| {
        row.trial == trial && row.backend == data.backend.name() && row.phase == phase
    });
    let (mut sum, mut count) = (0.0, 0.0);
    for row in rows {
        if let Some(mean) = row.latency_ns_mean {
            sum += in_ms(mean) * row.occurred_count as f64;
            count += row.occurred_count as f64;
        }
    }
    if count > 0.0 { sum / count } else { 0.0 }
}

/// Predicted, simulated and measured medians, where a run has all three.
pub fn backends(data: &Data<'_>) -> Option<Figure> {
    let point = data.only_point()?;
    if !data.results.is_of_both() {
        return None;
    }
    let variants = data.variants();
    let kind = data.operations().first().copied()?;
    let mut rows = Vec::new();
    let mut marks = [("floor", Form::Ticks), ("simulated", Form::Dots), ("measured", Form::Dots)]
        .map(|(name, form)| Mark::new(name, form, Vec::new()));
    for variant in &variants {
        for region in &point.client_regions {
            rows.push(format!("{variant}, {region}"));
            let y = rows.len() as f64;
            for (number, backend) in [(1, Backend::Sim), (2, Backend::Live)] {
                let is_wanted = |it: &&crate::compare::Series| {
                    let subject = &it.subject;
                    it.variant == *variant
                        && subject.backend == backend
                        && subject.quantity == Quantity::P50
                        && subject.client_region.as_ref() == Some(region)
                        && subject.operation == Some(kind)
                };
                let Some(series) = data.observations.series.iter().find(is_wanted) else {
                    continue;
                };
                if let Some(mean) = Mean::of(series).map(Mean::in_ms) {
                    let text = format!("{variant} in {region}: {}", mean.words());
                    let y = y + offset(number - 1, 2);
                    marks[number]
                        .points
                        .push(Point { x_range: mean.interval, ..Point::at(mean.value, y, text) });
                }
                let floor = series.values.values().find_map(|value| value.floor);
                if let (Some(floor), Backend::Sim) = (floor, backend) {
                    let text = format!("{variant} in {region}: floor {} ms", ms(floor / 1e6));
                    marks[0].points.push(Point::at(floor / 1e6, y, text));
                }
            }
        }
    }
    let axis = Axis::new(format!("median of {}s (ms)", kind.name()), Scale::Linear);
    let panel = Panel::of_rows("", axis, rows, marks.into());
    let caption = "The floor in closed form (upright stroke), the simulation and the measurement. What the measurement \
                   has above the simulation is the queue for the processors of this machine, and its noise.";
    let caption = format!("{caption}{}", data.whole_window());
    Figure::of("backends", "Predicted, simulated, measured", caption, vec![panel])
}
