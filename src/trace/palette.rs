//! How kinds of messages and marks look: told apart by colour, and without it.

use super::canvas::{Canvas, Number, Pen};
use super::{MarkKind, Trace};

/// Okabe and Ito's palette, without the yellow that white paper swallows.
const COLOURS: [&str; 7] =
    ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"];
/// Told apart in black and white; with two heads they are twelve.
const DASHES: [&str; 6] = ["", "7 3", "2 2.5", "9 3 2 3", "14 4", "5 2 1.5 2 1.5 2"];

pub(super) const INK: &str = "#222222";
pub(super) const FAINT: &str = "#666666";
pub(super) const HAIR: &str = "#bbbbbb";
pub(super) const GRID: &str = "#e6e6e6";
pub(super) const ALARM: &str = "#D55E00";
const GOLD: &str = "#E69F00";

/// How a kind of message is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Style {
    pub(super) pen: Pen,
    pub(super) is_head_open: bool,
}

/// The kinds that occur, in their fixed order, each with its style.
pub(super) fn styles(trace: &Trace) -> Vec<(&str, Style)> {
    let mut kinds: Vec<&str> = trace.kinds.iter().map(String::as_str).collect();
    for arrow in &trace.messages {
        if !kinds.contains(&arrow.kind.as_str()) {
            kinds.push(&arrow.kind);
        }
    }
    let style = |index: usize| Style {
        pen: Pen {
            colour: COLOURS[index % COLOURS.len()],
            width: 1.5,
            dashes: DASHES[index % DASHES.len()],
        },
        is_head_open: index / DASHES.len() % 2 == 1,
    };
    let all = kinds.into_iter().enumerate().map(|(index, kind)| (kind, style(index)));
    all.filter(|(kind, _)| trace.messages.iter().any(|arrow| arrow.kind == *kind)).collect()
}

/// An arrow head with its tip at `tip`, coming from `tail`.
pub(super) fn head(canvas: &mut Canvas, tail: (f64, f64), tip: (f64, f64), style: Style) {
    let (dx, dy) = (tip.0 - tail.0, tip.1 - tail.1);
    let length = dx.hypot(dy).max(0.01);
    let (ux, uy) = (dx / length, dy / length);
    let corner = |side: f64| {
        let (x, y) = (tip.0 - 9.0 * ux - side * uy, tip.1 - 9.0 * uy + side * ux);
        format!("{} {}", Number(x), Number(y))
    };
    let tip = format!("{} {}", Number(tip.0), Number(tip.1));
    let path = format!("M{} L{tip} L{}", corner(3.6), corner(-3.6));
    let pen = Pen { dashes: "", ..style.pen };
    if style.is_head_open {
        canvas.path("head", &path, "none", pen);
    } else {
        canvas.path("head", &format!("{path} Z"), style.pen.colour, Pen::NONE);
    }
}

/// The shape of a mark around a point.
pub(super) fn shape(canvas: &mut Canvas, kind: MarkKind, (x, y): (f64, f64)) {
    let points = |points: &[(f64, f64)]| {
        let point = |(dx, dy): &(f64, f64)| format!("{} {}", Number(x + dx), Number(y + dy));
        format!("M{} Z", points.iter().map(point).collect::<Vec<_>>().join(" L"))
    };
    let circle = |r: f64| {
        let (left, right, y, r) = (Number(x - r), Number(x + r), Number(y), Number(r));
        format!("M{left} {y} A{r} {r} 0 1 1 {right} {y} A{r} {r} 0 1 1 {left} {y} Z")
    };
    let square = |r: f64| points(&[(-r, -r), (r, -r), (r, r), (-r, r)]);
    let thin = Pen::solid(INK, 1.3);
    let (path, fill, pen) = match kind {
        MarkKind::Persist => (square(3.4), "#999999", thin),
        MarkKind::Promise => (circle(4.2), "#ffffff", thin),
        MarkKind::Vote => (circle(4.2), INK, thin),
        MarkKind::Chosen => (points(&star(9.0, 3.9)), GOLD, Pen::solid(INK, 1.0)),
        MarkKind::Executed => {
            (points(&[(0.0, -5.0), (5.0, 0.0), (0.0, 5.0), (-5.0, 0.0)]), INK, Pen::NONE)
        }
        MarkKind::Crash => {
            let path = cross((x, y), 5.5);
            (path, "none", Pen::solid(ALARM, 2.8))
        }
        MarkKind::Restart => (points(&[(0.0, -5.5), (5.0, 3.5), (-5.0, 3.5)]), "#ffffff", thin),
        MarkKind::Campaign => (points(&[(-4.0, -5.0), (5.5, 0.0), (-4.0, 5.0)]), INK, Pen::NONE),
        MarkKind::Reply => (square(3.8), "#ffffff", thin),
        MarkKind::Timer => {
            let (x, y) = (Number(x), Number(y));
            (format!("{} M{x} {y} v-3.4 M{x} {y} h2.8", circle(4.8)), "#ffffff", thin)
        }
        MarkKind::Violation => {
            let (x, y) = (Number(x), y + 3.0);
            let bang = format!("M{x} {} v-4.6 M{x} {} v-1.2", Number(y - 2.0), Number(y + 1.2));
            let triangle = points(&[(0.0, -8.0), (8.0, 6.0), (-8.0, 6.0)]);
            (format!("{triangle} {bang}"), "#ffffff", Pen::solid(ALARM, 1.8))
        }
        MarkKind::Other => (circle(2.6), FAINT, Pen::NONE),
    };
    canvas.path("mark", &path, fill, pen);
}

/// Half the width and height that a mark's shape takes.
pub(super) const fn reach(kind: MarkKind) -> f64 {
    if kind.is_across() { 9.0 } else { 5.5 }
}

/// Two strokes.
pub(super) fn cross((x, y): (f64, f64), r: f64) -> String {
    let (left, right, top, bottom) = (Number(x - r), Number(x + r), Number(y - r), Number(y + r));
    format!("M{left} {top} L{right} {bottom} M{left} {bottom} L{right} {top}")
}

/// A star of five points.
fn star(outer: f64, inner: f64) -> [(f64, f64); 10] {
    let mut points = [(0.0, 0.0); 10];
    let mut angle = -std::f64::consts::FRAC_PI_2;
    for (index, point) in points.iter_mut().enumerate() {
        let radius = if index % 2 == 0 { outer } else { inner };
        *point = (radius * angle.cos(), radius * angle.sin());
        angle += std::f64::consts::PI / 5.0;
    }
    points
}
