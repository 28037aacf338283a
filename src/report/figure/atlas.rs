//! The acceptors of a quorum system on a map of their regions.
//!
//! Regions that are near one another are moved apart, with a line to where they are; those of one group are joined.

use std::fmt::Write;

use super::places::{self, LAND};
use super::systems::{Places, RADIUS, STEP, text};
use crate::quorum::Layout;

/// The most that a map is wide and high.
const SIZE: (f64, f64) = (900.0, 480.0);
/// Degrees around the outermost regions.
const AROUND: f64 = 12.0;
/// A map is at least so high, as a part of its width.
const FLAT: f64 = 0.3;
/// The colours of groups (Okabe and Ito), without the two of the quorums.
const COLOURS: [&str; 6] = ["#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999", "#000000"];

/// Where the acceptors stand on the map; none where a region has no place on it, or the system is drawn in rows or as a
/// tree.
pub(super) fn places(layout: &Layout, regions: &[String]) -> Option<Places> {
    if matches!(layout, Layout::Grid { .. } | Layout::Wall(_) | Layout::Tree { .. }) {
        return None;
    }
    let at: Vec<(f64, f64)> = regions.iter().map(|name| places::of(name)).collect::<Option<_>>()?;
    let reach = |of: fn(&(f64, f64)) -> f64| {
        let least = at.iter().map(of).fold(f64::INFINITY, f64::min) - AROUND;
        (least, at.iter().map(of).fold(f64::NEG_INFINITY, f64::max) + AROUND)
    };
    let ((west, east), (south, north)) = (reach(|at| at.0), reach(|at| at.1));
    // Regions in a row would leave a strip of map.
    let missing = ((east - west) * FLAT - (north - south)).max(0.0) / 2.0;
    let (south, north) = (south - missing, north + missing);
    let scale = (SIZE.0 / (east - west)).min(SIZE.1 / (north - south));
    let size = ((east - west) * scale, (north - south) * scale);
    let on_map = |(longitude, latitude): (f64, f64)| {
        ((longitude - west) * scale, (north - latitude) * scale)
    };
    let true_places: Vec<(f64, f64)> = at.iter().map(|at| on_map(*at)).collect();
    let nodes = apart(&true_places, size);
    let mut beneath = land(&on_map, size);
    for (place, (x, y)) in true_places.iter().zip(&nodes) {
        let (from_x, from_y) = place;
        writeln!(
            beneath,
            "<line x1=\"{from_x:.1}\" y1=\"{from_y:.1}\" x2=\"{x:.1}\" y2=\"{y:.1}\" stroke=\"#666666\"/>\n\
             <circle cx=\"{from_x:.1}\" cy=\"{from_y:.1}\" r=\"2.5\" fill=\"#666666\"/>"
        )
        .expect("a String takes all");
    }
    beneath += &joined(layout, &nodes);
    Some(Places { nodes, frames: Vec::new(), beneath, size })
}

/// The land within the map.
fn land(on_map: &dyn Fn((f64, f64)) -> (f64, f64), (wide, high): (f64, f64)) -> String {
    let mut svg = format!(
        "<clipPath id=\"map\"><rect width=\"{wide:.1}\" height=\"{high:.1}\" rx=\"8\"/></clipPath>\n\
         <g clip-path=\"url(#map)\"><rect width=\"{wide:.1}\" height=\"{high:.1}\" fill=\"#f2f7fa\"/>\n"
    );
    for outline in LAND {
        let mut path = String::new();
        for (index, point) in outline.iter().enumerate() {
            let (x, y) = on_map(*point);
            let step = if index == 0 { 'M' } else { 'L' };
            write!(path, "{step}{x:.1} {y:.1}").expect("a String takes all");
        }
        writeln!(svg, "<path d=\"{path}Z\" fill=\"#e3e3dd\"/>").expect("a String takes all");
    }
    svg + "</g>\n"
}

/// Lines from the middle of each group to its members.
fn joined(layout: &Layout, nodes: &[(f64, f64)]) -> String {
    let (word, groups) = layout.groups(nodes.len());
    let mut svg = String::new();
    for (index, group) in groups.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let members: Vec<(f64, f64)> =
            group.iter().map(|node| nodes[usize::from(node.0)]).collect();
        let count = members.len() as f64;
        let (x, y) = members.iter().fold((0.0, 0.0), |sum, at| (sum.0 + at.0, sum.1 + at.1));
        let (x, y) = (x / count, y / count);
        for (to_x, to_y) in &members {
            writeln!(
                svg,
                "<line x1=\"{x:.1}\" y1=\"{y:.1}\" x2=\"{to_x:.1}\" y2=\"{to_y:.1}\" stroke=\"{colour}\" \
                 stroke-width=\"5\" stroke-linecap=\"round\" opacity=\"0.6\"/>"
            )
            .expect("a String takes all");
        }
        let above = members.iter().map(|at| at.1).fold(f64::INFINITY, f64::min);
        svg += &text(
            (x, above - RADIUS - 9.0),
            11,
            "middle",
            colour,
            &format!("{word} {}", index + 1),
        );
    }
    svg
}

/// The same places, moved until no two of them are nearer than a name is wide and a replica high.
fn apart(places: &[(f64, f64)], (wide, high): (f64, f64)) -> Vec<(f64, f64)> {
    let room = (STEP.0, STEP.1 - 14.0);
    let mut nodes = places.to_vec();
    for _ in 0..400 {
        let mut is_crowded = false;
        for one in 0..nodes.len() {
            for other in 0..one {
                let (dx, dy) = (nodes[one].0 - nodes[other].0, nodes[one].1 - nodes[other].1);
                let (part_x, part_y) = (dx.abs() / room.0, dy.abs() / room.1);
                if part_x >= 1.0 || part_y >= 1.0 {
                    continue;
                }
                is_crowded = true;
                // Along the axis on which less is missing; two in one place go aside.
                let is_aside = part_x >= part_y;
                let missing =
                    if is_aside { (1.0 - part_x) * room.0 } else { (1.0 - part_y) * room.1 };
                let step = missing / 2.0 + 0.5;
                let sign = |distance: f64| if distance < 0.0 { -1.0 } else { 1.0 };
                let (x, y) = if is_aside { (step * sign(dx), 0.0) } else { (0.0, step * sign(dy)) };
                nodes[one] = (nodes[one].0 + x, nodes[one].1 + y);
                nodes[other] = (nodes[other].0 - x, nodes[other].1 - y);
            }
        }
        for (x, y) in &mut nodes {
            (*x, *y) = (x.clamp(0.0, wide), y.clamp(0.0, high));
        }
        if !is_crowded {
            break;
        }
    }
    nodes
}
