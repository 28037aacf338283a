//! What is at scale: axis, life lines, periods, arrows and marks.

use super::super::canvas::{Canvas, Font, Number, Pen};
use super::super::layout::{AXIS, Layout, TOP};
use super::super::palette::{self, ALARM, FAINT, GRID, INK, Style};
use super::super::{Arrow, Fate, Mark, MarkKind, Period, PeriodKind, Scale, Trace};
use super::{SMALL, style};

/// Arrows end this far beside a life line, so that marks on it stay legible.
const BESIDE: f64 = 4.0;
/// How far aside a message without an arrival is drawn, and how far down it may be.
const STUB: f64 = 34.0;
const STUB_DROPS: [f64; 4] = [26.0, 10.0, 18.0, 38.0];

pub(super) fn draw(canvas: &mut Canvas, trace: &Trace, layout: &Layout, styles: &[(&str, Style)]) {
    axis(canvas, trace, layout);
    across(canvas, trace, layout);
    for (index, line) in trace.lines.iter().enumerate() {
        let x = layout.lines[index];
        let name = Font { size: 13.0, is_bold: true, anchor: "middle", ..SMALL };
        canvas.text("name", (x, TOP - 36.0), name, &line.name);
        let place = Font { colour: FAINT, anchor: "middle", ..SMALL };
        canvas.text("place", (x, TOP - 21.0), place, &line.place);
        life(canvas, trace, layout, index);
    }
    for period in trace.periods.iter().filter(|period| period.kind != PeriodKind::Paused) {
        bar(canvas, layout, period);
    }
    for arrow in &trace.messages {
        canvas.group("message", &arrow.label, |canvas| {
            message(canvas, trace, layout, arrow, style(styles, &arrow.kind));
        });
    }
    marks(canvas, trace, layout);
}

fn axis(canvas: &mut Canvas, trace: &Trace, layout: &Layout) {
    for (y, words) in layout.ticks(trace.scale) {
        canvas.line("grid", (AXIS, y), (layout.right, y), Pen::solid(GRID, 0.8));
        canvas.line("tick", (AXIS - 4.0, y), (AXIS, y), Pen::solid(FAINT, 1.0));
        let font = Font { anchor: "end", ..SMALL };
        canvas.text("tick", (AXIS - 8.0, y + 4.0), font, &words);
    }
    canvas.line("axis", (AXIS, TOP), (AXIS, layout.bottom), Pen::solid(FAINT, 1.0));
    let unit = match trace.scale {
        Scale::Steps => "step".to_owned(),
        scale => format!("time ({})", scale.unit()),
    };
    let font = Font { colour: FAINT, anchor: "end", ..SMALL };
    canvas.text("unit", (AXIS - 8.0, TOP - 21.0), font, &unit);
}

/// The lines across: the moment of choice, and of a violation.
fn across(canvas: &mut Canvas, trace: &Trace, layout: &Layout) {
    for mark in trace.marks.iter().filter(|mark| mark.kind.is_across()) {
        let y = layout.y(mark.at);
        let pen = match mark.kind {
            MarkKind::Violation => Pen::solid(ALARM, 1.6),
            _ => Pen { dashes: "5 3", ..Pen::solid(INK, 1.1) },
        };
        canvas.line("across", (AXIS, y), (layout.right, y), pen);
    }
}

/// A life line: solid while the member is up, dashed while it is down, dotted while it is paused.
fn life(canvas: &mut Canvas, trace: &Trace, layout: &Layout, line: usize) {
    let x = layout.lines[line];
    let mut piece = |from: f64, to: f64, pen| {
        if to > from {
            canvas.line("life", (x, from), (x, to), pen);
        }
    };
    let is_here = |mark: &&Mark| mark.line == Some(line);
    let mut turns: Vec<&Mark> = trace.marks.iter().filter(is_here).collect();
    turns.retain(|mark| matches!(mark.kind, MarkKind::Crash | MarkKind::Restart));
    turns.sort_by_key(|mark| mark.at);
    let mut top = TOP - 12.0;
    let mut pen = UP;
    for turn in turns {
        let y = layout.y(turn.at);
        piece(top, y, pen);
        top = y;
        pen = if turn.kind == MarkKind::Crash { DOWN } else { UP };
    }
    piece(top, layout.bottom + 12.0, pen);
    let is_pause = |period: &&Period| period.line == line && period.kind == PeriodKind::Paused;
    for pause in trace.periods.iter().filter(is_pause) {
        let (from, to) = (layout.y(pause.from), layout.y(pause.until));
        piece(from, to, Pen::solid("#ffffff", 3.0));
        piece(from, to, PAUSED);
    }
}

const UP: Pen = Pen::solid("#444444", 1.5);
pub(super) const DOWN: Pen = Pen { dashes: "4 6", ..Pen::solid("#999999", 1.2) };
pub(super) const PAUSED: Pen = Pen { dashes: "1.5 3", ..Pen::solid("#444444", 2.0) };

fn bar(canvas: &mut Canvas, layout: &Layout, period: &Period) {
    let (from, until) = (layout.y(period.from), layout.y(period.until));
    let (fill, width) = bar_look(period.kind);
    // So thin a bar would not be seen on paper.
    let height = (until - from).max(2.0);
    let at = (layout.lines[period.line] - width / 2.0, from);
    canvas.rectangle("period", at, (width, height), fill, Pen::solid(INK, 0.5));
}

/// Fill and width of a bar.
pub(super) const fn bar_look(kind: PeriodKind) -> (&'static str, f64) {
    match kind {
        PeriodKind::Sync => ("#777777", 15.0),
        PeriodKind::Busy | PeriodKind::Paused => ("#dddddd", 11.0),
    }
}

fn message(canvas: &mut Canvas, trace: &Trace, layout: &Layout, arrow: &Arrow, style: Style) {
    let (from, to) = (layout.lines[arrow.from], layout.lines[arrow.to]);
    let sent = layout.y(arrow.sent_at);
    if arrow.from == arrow.to {
        return to_itself(canvas, layout, arrow, style);
    }
    let side = if to > from { BESIDE } else { -BESIDE };
    let start = (from + side, sent);
    match arrow.fate {
        Fate::Received(at) => {
            let end = (to - side, layout.y(at));
            canvas.line("arrow", start, end, style.pen);
            palette::head(canvas, start, end, style);
        }
        // Nobody knows when it was lost: a stub towards the receiver.
        Fate::Lost => {
            let end = stub(trace, layout, arrow);
            canvas.line("lost", start, end, style.pen);
            let pen = Pen { dashes: "", width: 2.0, ..style.pen };
            canvas.path("cross", &palette::cross(end, 4.5), "none", pen);
        }
        Fate::Underway => {
            let end = stub(trace, layout, arrow);
            canvas.line("underway", start, end, Pen { width: 1.0, ..style.pen });
            palette::head(canvas, start, end, Style { is_head_open: true, ..style });
        }
    }
}

/// Where a message ends that does not arrive: before the next line, and in the direction that is
/// farthest from those of the arrows that leave the same point.
fn stub(trace: &Trace, layout: &Layout, arrow: &Arrow) -> (f64, f64) {
    let (x, y) = (layout.lines[arrow.from], layout.y(arrow.sent_at));
    let side = (layout.lines[arrow.to] - x).signum();
    let start = |other: &&Arrow| other.from == arrow.from && other.sent_at == arrow.sent_at;
    let taken: Vec<f64> = trace
        .messages
        .iter()
        .filter(start)
        .filter_map(|other| {
            let aside = (layout.lines[other.to] - x) * side;
            let down = layout.y(other.arrival()?) - y;
            (aside > 0.0).then(|| down.atan2(aside - 2.0 * BESIDE))
        })
        .collect();
    let clearance = |drop: f64| {
        let angle = drop.atan2(STUB);
        taken.iter().map(|other| (angle - other).abs()).fold(f64::INFINITY, f64::min)
    };
    let mut drops = STUB_DROPS;
    drops.sort_by(|a, b| clearance(*b).total_cmp(&clearance(*a)));
    // Several that are lost at once fan out.
    let equal =
        |other: &&Arrow| other.arrival().is_none() && (layout.lines[other.to] - x) * side > 0.0;
    let before = trace.messages.iter().take_while(|other| !std::ptr::eq(*other, arrow));
    let rank = before.filter(start).filter(equal).count();
    (x + side * (BESIDE + STUB), y + drops[rank % drops.len()])
}

/// A loop to the right of the line.
fn to_itself(canvas: &mut Canvas, layout: &Layout, arrow: &Arrow, style: Style) {
    let (x, y) = (layout.lines[arrow.from] + BESIDE, layout.y(arrow.sent_at));
    let end = arrow.arrival().map_or(y + STUB_DROPS[0], |at| layout.y(at));
    let out = x + 22.0;
    let [left, right, top, bottom] = [x, out, y, end].map(Number);
    let path = format!("M{left} {top} C{right} {top} {right} {bottom} {left} {bottom}");
    canvas.path("arrow", &path, "none", style.pen);
    match arrow.fate {
        Fate::Lost => canvas.path("cross", &palette::cross((x, end), 4.5), "none", style.pen),
        Fate::Received(_) | Fate::Underway => palette::head(canvas, (out, end), (x, end), style),
    }
}

/// Marks on their lines; where two would cover one another the lesser, or later, one moves aside.
fn marks(canvas: &mut Canvas, trace: &Trace, layout: &Layout) {
    let mut placed: Vec<(f64, f64, f64)> = Vec::new();
    let mut all: Vec<&Mark> = trace.marks.iter().collect();
    let yields = |kind: MarkKind| match kind {
        MarkKind::Chosen | MarkKind::Violation => 0,
        MarkKind::Crash | MarkKind::Restart => 1,
        _ => 2,
    };
    all.sort_by_key(|mark| (yields(mark.kind), mark.at));
    for mark in all {
        let (y, reach) = (layout.y(mark.at), palette::reach(mark.kind));
        let line = mark.line.map_or(layout.right, |line| layout.lines[line]);
        let is_free = |x: &f64| {
            let clear = |other: &(f64, f64, f64)| {
                let apart = reach + other.2;
                (x - other.0).abs() >= apart || (y - other.1).abs() >= apart
            };
            placed.iter().all(clear)
        };
        let beside = (0..24).flat_map(|step| [f64::from(step) * 4.0, f64::from(step) * -4.0]);
        let x = beside.map(|aside| line + aside).find(is_free).unwrap_or(line);
        placed.push((x, y, reach));
        palette::shape(canvas, mark.kind, (x, y));
    }
}
