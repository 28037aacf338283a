//! A quorum system drawn: its rows, wall or tree, or its groups on the map of regions, with one quorum of each phase
//! marked.
//!
//! It is an SVG made of a few shapes, without axes.

use std::fmt::Write;

use super::atlas;
use crate::quorum::{Family, Layout, NodeId, NodeSet, QuorumSystem};
use crate::report::table::fold_to;

pub(super) const RADIUS: f64 = 21.0;
/// Between the middles of two neighbours: a name of 14 letters fits.
pub(super) const STEP: (f64, f64) = (104.0, 84.0);
const MARGIN: f64 = 66.0;
const BLUE: &str = "#0072B2";
const ORANGE: &str = "#D55E00";
const INK: &str = "#222222";
/// A picture is so wide at least: its sentences are folded to its width.
const WIDTH_MIN: f64 = 460.0;
/// The mean width of a letter, as a part of its size.
const LETTER: f64 = 0.56;

/// Where everything stands, the first acceptor of a picture near the origin.
pub(super) struct Places {
    pub(super) nodes: Vec<(f64, f64)>,
    /// Frames around groups: left, top, width, height, and what stands above.
    pub(super) frames: Vec<([f64; 4], String)>,
    /// What lies under the acceptors, as SVG.
    pub(super) beneath: String,
    /// How far it extends to the right and down.
    pub(super) size: (f64, f64),
}

/// The picture of a system; `name` says what an acceptor is called, and `regions` where each is, if that is known.
///
/// Systems without rows or a tree are drawn on the map, where every region has a place on it.
/// Marked are two quorums that miss each other, where there are some.
pub fn draw(
    title: &str,
    system: &QuorumSystem,
    name: &dyn Fn(NodeId) -> String,
    regions: Option<&[String]>,
) -> String {
    let n = system.n();
    let on_map = regions.and_then(|regions| atlas::places(system.layout(), regions));
    let places = on_map.unwrap_or_else(|| places(n, system.layout()));
    let all = NodeSet::all(n);
    let marked = system.disjoint().map(|found| [found.phase1, found.phase2]);
    // From either end of the numbers, so that two quorums of one family are not the same.
    let order: Vec<NodeId> = all.iter().collect();
    let back: Vec<NodeId> = order.iter().rev().copied().collect();
    let of = |family: &Family, order: &[NodeId]| family.first_in(order).unwrap_or(all);
    let [first, second] =
        marked.unwrap_or_else(|| [of(system.phase1(), &order), of(system.phase2(), &back)]);
    let voters = system.voters();
    let say = |set| system.layout().describe(n, set, name);
    let verdict = match marked {
        Some(_) => "UNSAFE: the two quorums have no replica in common",
        None => "safe: every phase-1 quorum meets every phase-2 quorum",
    };
    let mut lines = vec![
        (ORANGE, format!("a phase-1 quorum (ring): {}", say(first))),
        (BLUE, format!("a phase-2 quorum (filled): {}", say(second))),
        (INK, verdict.to_owned()),
    ];
    if voters != all {
        lines.push((INK, "dashed: a replica without a vote".to_owned()));
    }
    if !system.witnesses().is_empty() {
        lines.push((INK, "square: a witness, which votes and keeps no state machine".to_owned()));
    }
    let width = (places.size.0 + 2.0 * MARGIN).max(WIDTH_MIN).ceil();
    let folded = |text: &str, size: f64| -> Vec<String> {
        let fits = |letters: &u32| f64::from(*letters) * size * LETTER <= width - 40.0;
        let letters = (1..200).take_while(fits).count();
        fold_to(letters, text, 0).split('\n').map(str::to_owned).collect()
    };
    let title = folded(title, 17.0);
    let lines: Vec<(&str, String)> = lines
        .iter()
        .flat_map(|(colour, text)| folded(text, 12.0).into_iter().map(move |line| (*colour, line)))
        .collect();
    let top = 62.0 + 22.0 * title.len() as f64;
    let below = top + places.size.1 + RADIUS + 54.0;
    let height = (below + 20.0 * lines.len() as f64 + 6.0).ceil();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 \
         {width} {height}\" font-family=\"Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif\" \
         role=\"img\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    for (line, words) in title.iter().enumerate() {
        svg += &text((20.0, 30.0 + 22.0 * line as f64), 17, "start", INK, words);
    }
    // A picture that is narrower than its sentences stands in the middle.
    let left = ((width - places.size.0) / 2.0).max(MARGIN);
    write!(svg, "<g transform=\"translate({left:.1} {top:.1})\">\n{}", places.beneath)
        .expect("a String takes all");
    for ([x, y, wide, high], words) in &places.frames {
        writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{wide:.1}\" height=\"{high:.1}\" rx=\"10\" \
             fill=\"#f5f5f5\" stroke=\"#bbbbbb\"/>"
        )
        .expect("a String takes all");
        svg += &text((x + 9.0, y + 14.0), 11, "start", "#666666", words);
    }
    for (node, at) in all.iter().zip(&places.nodes) {
        svg += &acceptor(system, node, *at, [first.contains(node), second.contains(node)], name);
    }
    svg += "</g>\n";
    for (line, (colour, words)) in lines.iter().enumerate() {
        svg += &text((20.0, below + 20.0 * line as f64), 12, "start", colour, words);
    }
    svg + "</svg>\n"
}

/// An acceptor with its number or weight inside and its name below, in the marked quorums of each phase or not.
fn acceptor(
    system: &QuorumSystem,
    node: NodeId,
    (x, y): (f64, f64),
    [is_first, is_second]: [bool; 2],
    name: &dyn Fn(NodeId) -> String,
) -> String {
    let (fill, ink) = if is_second { (BLUE, "#ffffff") } else { ("#ffffff", INK) };
    let dashes = if system.voters().contains(node) { "" } else { " stroke-dasharray=\"4 3\"" };
    let is_witness = system.witnesses().contains(node);
    let shape = |radius: f64, style: &str| {
        if is_witness {
            let (left, top, side) = (x - radius, y - radius, 2.0 * radius);
            format!(
                "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{side}\" height=\"{side}\" {style}/>\n"
            )
        } else {
            format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" {style}/>\n")
        }
    };
    let mut svg = shape(RADIUS, &format!("fill=\"{fill}\" stroke=\"#666666\"{dashes}"));
    if is_first {
        let ring = format!("fill=\"none\" stroke=\"{ORANGE}\" stroke-width=\"3\"");
        svg += &shape(RADIUS + 4.0, &ring);
    }
    let weight = |node| system.layout().weight(node);
    let is_alike = NodeSet::all(system.n()).iter().all(|other| weight(other) == weight(node));
    let inside = match weight(node).filter(|_| !is_alike) {
        Some(weight) => format!("×{weight}"),
        None => node.to_string(),
    };
    svg += &text((x, y + 4.5), 13, "middle", ink, &inside);
    let name = name(node);
    if name != inside {
        svg += &text((x, y + RADIUS + 17.0), 11, "middle", INK, &name);
    }
    svg
}

pub(super) fn text(
    (x, y): (f64, f64),
    size: u32,
    anchor: &str,
    colour: &str,
    words: &str,
) -> String {
    format!(
        "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" text-anchor=\"{anchor}\" \
         fill=\"{colour}\">{}</text>\n",
        escaped(words)
    )
}

fn places(n: usize, layout: &Layout) -> Places {
    let mut nodes = vec![(0.0, 0.0); n];
    let mut frames = Vec::new();
    let (word, groups) = layout.groups(n);
    match layout {
        Layout::Plain | Layout::Weights(_) => {
            // A ring on which neighbours have room for their names.
            let radius =
                if n == 1 { 0.0 } else { (STEP.0 * n as f64 / std::f64::consts::TAU).max(70.0) };
            for (index, place) in nodes.iter_mut().enumerate() {
                let turn = std::f64::consts::TAU * index as f64 / n as f64;
                *place = (radius + radius * turn.sin(), radius - radius * turn.cos());
            }
        }
        Layout::Grid { .. } | Layout::Wall(_) => {
            let longest = groups.iter().map(|row| row.len()).max().unwrap_or(1);
            for (index, row) in groups.iter().enumerate() {
                let indent = (longest - row.len()) as f64 / 2.0;
                for (column, node) in row.iter().enumerate() {
                    nodes[usize::from(node.0)] =
                        ((column as f64 + indent) * STEP.0, index as f64 * STEP.1);
                }
            }
        }
        Layout::Groups(_) | Layout::Hierarchy { .. } => {
            let mut left = 0.0;
            let rows_of = |group: &NodeSet| group.len().div_ceil(3);
            let rows = groups.iter().map(rows_of).max().unwrap_or(1);
            for (index, group) in groups.iter().enumerate() {
                for (place, node) in group.iter().enumerate() {
                    let (row, column) = (place / 3, place % 3);
                    nodes[usize::from(node.0)] =
                        (left + column as f64 * STEP.0, row as f64 * STEP.1 + 6.0);
                }
                let columns = group.len().min(3);
                let wide = columns as f64 * STEP.0 - 6.0;
                let high = rows as f64 * STEP.1 + 18.0;
                let edge = (STEP.0 - 6.0) / 2.0;
                frames.push((
                    [left - edge, -RADIUS - 20.0, wide, high],
                    format!("{word} {}", index + 1),
                ));
                left += columns as f64 * STEP.0 + 8.0;
            }
            // Replicas of no group stand behind the last one.
            let within = groups.iter().fold(NodeSet::EMPTY, |all, group| all.union(*group));
            for node in NodeSet::all(n).difference(within).iter() {
                nodes[usize::from(node.0)] = (left, 6.0);
                left += STEP.0;
            }
        }
        Layout::Tree { degree } => {
            let mut next = 0.0;
            tree(0, *degree, 0.0, &mut nodes, &mut next);
        }
    }
    let reach = |of: fn(&(f64, f64)) -> f64| nodes.iter().map(of).fold(0.0, f64::max);
    let size = (reach(|at| at.0), reach(|at| at.1));
    let beneath = match layout {
        Layout::Tree { degree } => branches(&nodes, *degree),
        _ => String::new(),
    };
    Places { nodes, frames, beneath, size }
}

/// The lines from each child of a tree to its parent.
fn branches(nodes: &[(f64, f64)], degree: usize) -> String {
    let mut lines = String::new();
    for child in 1..nodes.len() {
        let ((x, y), (to_x, to_y)) = (nodes[child], nodes[(child - 1) / degree]);
        writeln!(
            lines,
            "<line x1=\"{x:.1}\" y1=\"{:.1}\" x2=\"{to_x:.1}\" y2=\"{:.1}\" stroke=\"#bbbbbb\"/>",
            y - RADIUS,
            to_y + RADIUS + 22.0
        )
        .expect("a String takes all");
    }
    lines
}

/// Leaves from left to right, each inner node above the middle of its children.
fn tree(root: usize, degree: usize, depth: f64, nodes: &mut [(f64, f64)], next: &mut f64) {
    let children = (degree * root + 1)..=(degree * root + degree);
    let y = depth * (STEP.1 + 14.0);
    if *children.end() >= nodes.len() {
        nodes[root] = (*next, y);
        *next += STEP.0;
        return;
    }
    for child in children.clone() {
        tree(child, degree, depth + 1.0, nodes, next);
    }
    nodes[root] = (f64::midpoint(nodes[*children.start()].0, nodes[*children.end()].0), y);
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        let written = match letter {
            '&' => safe.write_str("&amp;"),
            '<' => safe.write_str("&lt;"),
            '>' => safe.write_str("&gt;"),
            letter => safe.write_char(letter),
        };
        written.expect("a String takes all");
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quorum::{Line, Share};

    fn picture(system: &QuorumSystem) -> String {
        draw("a < b", system, &|node| format!("region-{}", node.0), None)
    }

    #[test]
    fn every_layout_has_a_place_of_its_own_for_each_acceptor() {
        let groups = [0b111, 0b111_000, 0b111_000_000].map(NodeSet::from_mask);
        let lines = [Line::Row, Line::Column];
        let systems = [
            QuorumSystem::majority(9),
            QuorumSystem::grid(9, [3, 3], lines).unwrap(),
            QuorumSystem::groups(9, &groups, [Share::default(); 2]).unwrap(),
            QuorumSystem::hierarchical(&groups[..2], &[1; 9]).unwrap(),
            QuorumSystem::weighted(&[3, 2, 2, 1, 1, 0, 0, 0, 0], [7, 3]).unwrap(),
            QuorumSystem::wall(9, &[1, 2, 3, 3]).unwrap(),
            QuorumSystem::tree(9, 2).unwrap(),
        ];
        for system in systems {
            let Places { nodes, .. } = places(9, system.layout());
            for (index, (x, y)) in nodes.iter().enumerate() {
                assert!(*x >= 0.0 && *y >= -1.0, "{system:?}");
                let is_apart = |(a, b): &(f64, f64)| (a - x).hypot(b - y) > 2.0 * RADIUS + 8.0;
                assert!(nodes[..index].iter().all(is_apart), "{system:?}");
            }
            let svg = picture(&system);
            assert!(svg.contains("a &lt; b") && svg.contains("safe: every"), "{svg}");
            let first: Vec<NodeId> = NodeSet::all(9).iter().collect();
            let marked = system.phase1().first_in(&first).unwrap().len();
            assert_eq!(svg.matches("fill=\"none\"").count(), marked);
            assert_eq!(svg.contains("dashed"), system.voters() != NodeSet::all(9), "{svg}");
        }
    }

    fn width_of(svg: &str) -> f64 {
        let width = svg.split("width=\"").nth(1).and_then(|rest| rest.split('"').next());
        width.unwrap().parse().unwrap()
    }

    #[test]
    fn sentences_are_folded_to_the_width_of_the_picture() {
        let line = [Line::Row, Line::Row];
        let svg = picture(&QuorumSystem::grid(4, [2, 2], line).unwrap());
        assert!(width_of(&svg) <= WIDTH_MIN, "{svg}");
        assert!(svg.contains("region-0") && svg.contains("region-3"), "{svg}");
        let named = draw("t", &QuorumSystem::majority(3), &|node| node.to_string(), None);
        assert_eq!(named.matches(">r1</text>").count(), 1, "its name stands inside of it");
    }

    #[test]
    fn groups_stand_on_the_map_where_every_region_has_a_place() {
        let groups = [0b00011, 0b11100].map(NodeSet::from_mask);
        let system = QuorumSystem::groups(5, &groups, [Share::default(); 2]).unwrap();
        let regions = ["us-east-1", "us-west-2", "eu-west-1", "eu-west-2", "eu-west-2"];
        let regions = regions.map(str::to_owned);
        let name = |node: NodeId| regions[usize::from(node.0)].clone();
        let svg = draw("map", &system, &name, Some(&regions));
        assert!(svg.contains("<path") && svg.contains("group 2"), "{svg}");
        let elsewhere = draw("no map", &system, &name, Some(&["mars".to_owned(), "x".to_owned()]));
        assert!(!elsewhere.contains("<path"), "{elsewhere}");
        let places = atlas::places(system.layout(), &regions).unwrap();
        for (index, (x, y)) in places.nodes.iter().enumerate() {
            let is_apart = |(a, b): &(f64, f64)| (a - x).hypot(b - y) > 2.0 * RADIUS;
            assert!(places.nodes[..index].iter().all(is_apart), "{:?}", places.nodes);
        }
        // Rows stay rows.
        let grid = QuorumSystem::grid(4, [2, 2], [Line::Row, Line::Column]).unwrap();
        assert!(atlas::places(grid.layout(), &regions[..4]).is_none());
    }

    #[test]
    fn a_witness_is_a_square() {
        let system = QuorumSystem::majority(3).with_witnesses(NodeSet::only(NodeId(1)));
        let svg = picture(&system);
        assert!(svg.contains("square: a witness"), "{svg}");
        assert_eq!(
            svg.matches("<circle").count() - svg.matches("stroke-width").count(),
            1,
            "{svg}"
        );
    }

    #[test]
    fn quorums_that_miss_each_other_are_marked() {
        let svg = picture(&QuorumSystem::grid(4, [2, 2], [Line::Row, Line::Row]).unwrap());
        assert!(svg.contains("UNSAFE") && svg.contains("row 1 {region-0, region-1}"), "{svg}");
    }
}
