//! The links as asked for and as measured, and the map of regions with the links of a phase-2 quorum.

use std::collections::BTreeMap;

use super::data::{Data, in_ms, ms};
use super::{Axis, Figure, Form, Mark, Panel, Point, Scale, places};
use crate::measure::rows::LinkRow;

/// The delay that was asked for and its error, at one percentile.
type Delay = fn(&LinkRow) -> (u64, Option<i64>);

/// The error of every directed link beside what it may be.
pub fn links(data: &Data<'_>) -> Option<Figure> {
    // The last attempt of a trial is the one with which it ran.
    let mut last: BTreeMap<(u32, &str, &str), &LinkRow> = BTreeMap::new();
    for row in &data.links {
        let key = (row.trial, row.sender.as_str(), row.receiver.as_str());
        let kept = last.entry(key).or_insert(row);
        if row.attempt >= kept.attempt {
            *kept = row;
        }
    }
    let percentiles: [(&str, Delay); 2] = [
        ("median", |row| (row.asked_ns_p50, row.error_ns_p50)),
        ("99th percentile", |row| (row.asked_ns_p99, row.error_ns_p99)),
    ];
    let panel = |(title, of): (&str, Delay)| {
        let mut points = Vec::new();
        let mut limits: BTreeMap<u64, f64> = BTreeMap::new();
        for row in last.values() {
            let (asked, error) = of(row);
            let Some(error) = error else { continue };
            limits.insert(asked, row.tolerance_ns as f64 / 1e3);
            let text = format!(
                "{} to {}, trial {}: asked {} ms, error {:+.0} us",
                row.sender_region,
                row.receiver_region,
                row.trial,
                ms(in_ms(asked)),
                error as f64 / 1e3
            );
            points.push(Point::at(in_ms(asked), error as f64 / 1e3, text));
        }
        let limit = |sign: f64| {
            let point = |(asked, limit): (&u64, &f64)| Point::at(in_ms(*asked), sign * limit, "");
            Mark::new("tolerance", Form::Steps, limits.iter().map(point).collect())
        };
        let axes = (
            Axis::new("one-way delay asked for (ms)", Scale::Linear),
            Axis::new("measured less asked (us)", Scale::Linear),
        );
        let marks = if points.is_empty() {
            Vec::new()
        } else {
            vec![limit(1.0), limit(-1.0), Mark::new("link", Form::Dots, thinned(points))]
        };
        Panel::new(title, axes.0, axes.1, marks)
    };
    let caption = "Every directed link of every trial, as the probe before the trial measured it. Between the dashed lines \
                   a link is as asked for. At the 99th percentile only delays above the tolerance refuse a trial, and \
                   by the lower end of their interval.";
    Figure::of(
        "links",
        "Links as asked for and as measured",
        caption,
        percentiles.map(panel).into(),
    )
}

/// At most a thousand points, evenly taken: more hide one another.
fn thinned(points: Vec<Point>) -> Vec<Point> {
    let step = points.len().div_ceil(1000).max(1);
    points.into_iter().step_by(step).collect()
}

/// The regions on a map, with the leader and the links that its phase-2 quorum waits for.
pub fn map(data: &Data<'_>) -> Option<Figure> {
    let point = data.results.outline.points.first()?;
    let delays = &data.delays;
    let mut panels = Vec::new();
    for variant in &point.variants {
        let of_variant = |ended: &&crate::findings::Finished| ended.row.variant == variant.name;
        let row = &data.results.finished.iter().find(of_variant)?.row;
        let leader = row.leader.strip_prefix('r').and_then(|number| number.parse::<usize>().ok());
        let leader_region = &row.leader_region;
        let mut marks = land();
        let mut quorum = Vec::new();
        if let Some(from) = leader.filter(|leader| *leader < delays.between.len()) {
            quorum = nearest(&delays.between, from, usize::from(row.q2));
        }
        for to in &quorum {
            let ends = (places::of(leader_region)?, places::of(delays.replica_regions.get(*to)?)?);
            if ends.0 != ends.1 {
                let points = [ends.0, ends.1].map(|(x, y)| Point::at(x, y, ""));
                marks.push(Mark::new(&variant.name, Form::Outline, points.into()));
            }
        }
        let mut regions = Vec::new();
        for (number, region) in delays.replica_regions.iter().enumerate() {
            let (x, y) = places::of(region)?;
            let role = if leader == Some(number) {
                "leader"
            } else if quorum.contains(&number) {
                "in the nearest phase-2 quorum"
            } else {
                "replica"
            };
            regions.push((region, Point::at(x, y, format!("{region}: {role}")), role));
        }
        let of_role = |is_member: bool| {
            let wanted = regions.iter().filter(|(_, _, role)| (*role != "replica") == is_member);
            wanted.map(|(_, point, _)| point.clone()).collect::<Vec<_>>()
        };
        marks.push(Mark::new("replica", Form::Dots, of_role(false)));
        marks.push(Mark::new(&variant.name, Form::Dots, of_role(true)));
        let mut names: Vec<&String> = Vec::new();
        for (region, point, role) in &regions {
            if names.contains(region) {
                continue;
            }
            names.push(region);
            let text =
                if *role == "leader" { format!("{region} (leader)") } else { (*region).clone() };
            marks.push(Mark::new("", Form::Text, vec![Point::at(point.x, point.y, text)]));
        }
        let clients = point.client_regions.join(", ");
        let title =
            format!("{}: q1 = {}, q2 = {}; clients in {clients}", variant.name, row.q1, row.q2);
        let x = Axis::new("", Scale::Bare).over(-172.0, 184.0);
        let y = Axis::new("", Scale::Bare).over(-58.0, 80.0);
        panels.push(Panel { height: 212.0, ..Panel::new(title, x, y, marks) });
    }
    let caption = "Each replica at its region. Lines go from the leader to the replicas of its nearest phase-2 quorum, whose \
                   votes a commit waits for; the leader itself is one of them. Replicas with a grey mark are not waited \
                   for. A variant without a leader has no lines. Regions are placed to the nearest degree, coasts are \
                   rough.";
    Figure::of("map", "Where the replicas are", caption, panels)
}

/// The outline of the continents.
fn land() -> Vec<Mark> {
    let outline = |coast: &&[(f64, f64)]| {
        let points = coast.iter().map(|(x, y)| Point::at(*x, *y, "")).collect();
        Mark::new("land", Form::Outline, points)
    };
    places::LAND.iter().map(outline).collect()
}

/// The `count` replicas with the shortest round trips from this one, itself first.
fn nearest(between: &[Vec<Option<f64>>], from: usize, count: usize) -> Vec<usize> {
    let round_trip = |to: usize| Some(between[from].get(to).copied()?? + between.get(to)?[from]?);
    let mut found: Vec<(usize, f64)> =
        (0..between.len()).filter_map(|to| Some((to, round_trip(to)?))).collect();
    found.sort_by(|one, other| one.1.total_cmp(&other.1));
    found.into_iter().take(count).map(|(to, _)| to).collect()
}
