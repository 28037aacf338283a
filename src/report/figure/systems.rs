//! A quorum system drawn: its rows, groups, wall or tree, with one quorum of each phase marked.
//!
//! It is an SVG made of a few shapes, without axes.

use std::fmt::Write;

use crate::quorum::{Family, Layout, NodeId, NodeSet, QuorumSystem};

const RADIUS: f64 = 21.0;
/// Between the middles of two neighbours: a name of 14 letters fits.
const STEP: (f64, f64) = (104.0, 84.0);
const MARGIN: f64 = 66.0;
const TOP: f64 = 84.0;
const BLUE: &str = "#0072B2";
const ORANGE: &str = "#D55E00";

/// Where everything stands, the first acceptor of a picture near the origin.
struct Places {
    nodes: Vec<(f64, f64)>,
    /// Frames around groups: left, top, width, height, and what stands above.
    frames: Vec<([f64; 4], String)>,
}

/// The picture of a system; `name` says what an acceptor is called.
///
/// Marked are two quorums that miss each other, where there are some.
pub fn draw(title: &str, system: &QuorumSystem, name: &dyn Fn(NodeId) -> String) -> String {
    let n = system.n();
    let Places { nodes, frames } = places(n, system.layout());
    let all = NodeSet::all(n);
    let marked = system.disjoint().map(|found| [found.phase1, found.phase2]);
    // From either end of the numbers, so that two quorums of one family are not the same.
    let order: Vec<NodeId> = all.iter().collect();
    let back: Vec<NodeId> = order.iter().rev().copied().collect();
    let of = |family: &Family, order: &[NodeId]| family.first_in(order).unwrap_or(all);
    let [first, second] =
        marked.unwrap_or_else(|| [of(system.phase1(), &order), of(system.phase2(), &back)]);
    let voters = system.voters();
    let right = nodes.iter().map(|at| at.0).fold(0.0, f64::max);
    let bottom = nodes.iter().map(|at| at.1).fold(0.0, f64::max);
    let say = |set| system.layout().describe(n, set, name);
    let verdict = match marked {
        Some(_) => "UNSAFE: the two quorums have no replica in common",
        None => "safe: every phase-1 quorum meets every phase-2 quorum",
    };
    let mut lines = vec![
        (ORANGE, format!("a phase-1 quorum (ring): {}", say(first))),
        (BLUE, format!("a phase-2 quorum (filled): {}", say(second))),
        ("#222222", verdict.to_owned()),
    ];
    if voters != all {
        lines.push(("#222222", "dashed: a replica without a vote".to_owned()));
    }
    // Letters of 12 units are 6.6 wide in the mean, and those of the title a half more.
    let letters = |text: &str, size: f64| text.chars().count() as f64 * size * 0.56;
    let text_width =
        lines.iter().map(|(_, text)| letters(text, 12.0)).fold(letters(title, 17.0), f64::max);
    let width = (right + 2.0 * MARGIN).max(text_width + 40.0).ceil();
    let below = TOP + bottom + RADIUS + 54.0;
    let height = (below + 20.0 * lines.len() as f64 + 6.0).ceil();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 \
         {width} {height}\" font-family=\"Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif\" \
         role=\"img\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    let mut put = |text: String| {
        svg.push_str(&text);
        svg.push('\n');
    };
    let text = |x: f64, y: f64, size: u32, anchor: &str, colour: &str, words: &str| {
        format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" text-anchor=\"{anchor}\" \
             fill=\"{colour}\">{}</text>",
            escaped(words)
        )
    };
    put(text(20.0, 30.0, 17, "start", "#222222", title));
    for ([x, y, wide, high], words) in frames {
        let (x, y) = (x + MARGIN, y + TOP);
        put(format!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{wide:.1}\" height=\"{high:.1}\" rx=\"10\" \
             fill=\"#f5f5f5\" stroke=\"#bbbbbb\"/>"
        ));
        put(text(x + 9.0, y + 14.0, 11, "start", "#666666", &words));
    }
    if let Layout::Tree { degree } = system.layout() {
        for child in 1..n {
            let ((x, y), (to_x, to_y)) = (nodes[child], nodes[(child - 1) / degree]);
            put(format!(
                "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"#bbbbbb\"/>",
                x + MARGIN,
                y + TOP - RADIUS,
                to_x + MARGIN,
                to_y + TOP + RADIUS + 22.0
            ));
        }
    }
    for (node, (x, y)) in all.iter().zip(nodes) {
        let (x, y) = (x + MARGIN, y + TOP);
        let is_filled = second.contains(node);
        let (fill, ink) = if is_filled { (BLUE, "#ffffff") } else { ("#ffffff", "#222222") };
        let dashes = if voters.contains(node) { "" } else { " stroke-dasharray=\"4 3\"" };
        put(format!(
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{RADIUS}\" fill=\"{fill}\" stroke=\"#666666\"{dashes}/>"
        ));
        if first.contains(node) {
            let ring = RADIUS + 4.0;
            put(format!(
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{ring}\" fill=\"none\" stroke=\"{ORANGE}\" \
                 stroke-width=\"3\"/>"
            ));
        }
        let inside = match system.layout().weight(node) {
            Some(weight) => format!("×{weight}"),
            None => node.to_string(),
        };
        put(text(x, y + 4.5, 13, "middle", ink, &inside));
        put(text(x, y + RADIUS + 17.0, 11, "middle", "#222222", &name(node)));
    }
    for (line, (colour, words)) in lines.iter().enumerate() {
        put(text(20.0, below + 20.0 * line as f64, 12, "start", colour, words));
    }
    svg.push_str("</svg>\n");
    svg
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
    Places { nodes, frames }
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
        draw("a < b", system, &|node| format!("region-{}", node.0))
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

    #[test]
    fn quorums_that_miss_each_other_are_marked() {
        let svg = picture(&QuorumSystem::grid(4, [2, 2], [Line::Row, Line::Row]).unwrap());
        assert!(svg.contains("UNSAFE") && svg.contains("row 1 {region-0, region-1}"), "{svg}");
    }
}
