//! The figure: life lines, arrows, marks and the table beside them.

mod legend;
mod plot;

use super::canvas::{Canvas, Font, Pen};
use super::layout::{Layout, TOP, spread, text_width};
use super::palette::{self, FAINT, HAIR, INK, Style};
use super::rows::{Deed, Row, rows};
use super::text::folded;
use super::{Fate, Scale, Trace};

/// Characters in a line of the table.
const MEASURE: usize = 60;
/// From base line to base line.
const LEADING: f64 = 14.0;
/// From the plot to the table: room for the lines that lead to it.
const GUTTER: f64 = 30.0;
const MARGIN: f64 = 20.0;
/// A plot is at least this high.
const LEAST: f64 = 300.0;
/// A step is at least this high.
const STEP: f64 = 18.0;

pub(super) const SMALL: Font = Font { size: 11.0, colour: INK, is_bold: false, anchor: "start" };
const TITLE: Font = Font { size: 16.0, is_bold: true, ..SMALL };

pub(super) fn render(trace: &Trace) -> String {
    let rows = rows(trace);
    let styles = palette::styles(trace);
    let entries: Vec<Entry> =
        rows.iter().filter(|row| is_told(row)).map(|row| Entry::new(trace, row)).collect();
    let told: f64 = entries.iter().map(Entry::height).sum();
    let layout = Layout::new(trace, told.max(LEAST).max(steps(trace) * STEP));
    let mut canvas = Canvas::default();
    canvas.text("title", (MARGIN, 32.0), TITLE, &trace.title);
    plot::draw(&mut canvas, trace, &layout, &styles);
    let table_right = table(&mut canvas, trace, &layout, &styles, &entries);
    let title_right = MARGIN + text_width(&trace.title, TITLE.size) * 1.08;
    let width = table_right.max(title_right).max(layout.right) + MARGIN;
    let bottom = legend::draw(&mut canvas, trace, &styles, (layout.bottom + 44.0, width - MARGIN));
    canvas.finish((width.ceil(), (bottom + MARGIN).ceil()), &trace.title)
}

/// What the arrows and bars do not say by themselves.
fn is_told(row: &Row) -> bool {
    match &row.deed {
        Deed::Received { .. } => false,
        Deed::Began(period) => !period.label.is_empty(),
        Deed::Marked(_) | Deed::Sent(_) => true,
    }
}

fn steps(trace: &Trace) -> f64 {
    match (trace.scale, trace.extent()) {
        (Scale::Steps, Some((first, last))) => last.since(first).0 as f64,
        _ => 0.0,
    }
}

/// A row of the table as it is set.
struct Entry<'a> {
    row: &'a Row<'a>,
    who: String,
    lines: Vec<String>,
    /// What is said smaller, below.
    aside: Vec<String>,
}

impl<'a> Entry<'a> {
    fn new(trace: &Trace, row: &'a Row<'a>) -> Self {
        let who = match row.others(trace) {
            Some(others) => format!("{} → {others}", row.who(trace)),
            None => row.who(trace),
        };
        // The first line begins with who.
        let text = format!("{who} {}", row.what(trace));
        let mut lines = folded(&text, MEASURE);
        match lines[0].strip_prefix(&who) {
            Some(rest) => {
                let rest = rest.trim_start().to_owned();
                lines[0] = rest;
                Self { row, who, lines, aside: latencies(trace, row) }
            }
            None => Self { row, who: String::new(), lines, aside: latencies(trace, row) },
        }
    }

    fn height(&self) -> f64 {
        (self.lines.len() + self.aside.len()) as f64 * LEADING + 3.0
    }
}

/// When the messages of a row arrive, where steps do not show it.
fn latencies(trace: &Trace, row: &Row) -> Vec<String> {
    let Deed::Sent(arrows) = &row.deed else { return Vec::new() };
    if trace.scale == Scale::Steps || !matches!(arrows[0].fate, Fate::Received(_)) {
        return Vec::new();
    }
    let latency = |arrow: &&super::Arrow| {
        let latency = arrow.arrival().unwrap_or(arrow.sent_at).since(arrow.sent_at);
        trace.scale.number(latency.0.into())
    };
    let all = arrows.iter().map(latency).collect::<Vec<_>>().join(", ");
    folded(&format!("arrives after {all} {}", trace.scale.unit()), MEASURE)
}

/// Draws the table and gives its right edge.
fn table(
    canvas: &mut Canvas,
    trace: &Trace,
    layout: &Layout,
    styles: &[(&str, Style)],
    entries: &[Entry],
) -> f64 {
    let left = layout.right + GUTTER;
    let when = |entry: &Entry| trace.scale.instant(entry.row.at, trace.origin);
    let when_width = entries.iter().map(|entry| text_width(&when(entry), 11.0)).fold(0.0, f64::max);
    let (swatch, words) = (left + when_width + 8.0, left + when_width + 42.0);
    let heights: Vec<f64> = entries.iter().map(Entry::height).collect();
    let wishes: Vec<f64> =
        entries.iter().map(|entry| layout.y(entry.row.at) - LEADING / 2.0).collect();
    let tops = spread(&wishes, &heights, (TOP - LEADING / 2.0, layout.bottom + LEADING));
    let mut right = words;
    let mut before = None;
    for (entry, top) in entries.iter().zip(tops) {
        let middle = top + LEADING / 2.0;
        let y = layout.y(entry.row.at);
        if before != Some(entry.row.at) {
            let hair = Pen::solid(HAIR, 0.7);
            canvas.line("lead", (layout.right, y), (left - 4.0, middle), hair);
            let font = Font { colour: FAINT, anchor: "end", ..SMALL };
            canvas.text("when", (left + when_width, middle + 4.0), font, &when(entry));
        }
        before = Some(entry.row.at);
        sample(canvas, styles, &entry.row.deed, (swatch, middle));
        let font = Font { is_bold: entry.row.is_turn(), ..SMALL };
        let mut base = middle + 4.0;
        for (index, line) in entry.lines.iter().enumerate() {
            let who = if index == 0 { entry.who.as_str() } else { "" };
            canvas.text_led("told", (words, base), font, who, line);
            right = right.max(words + text_width(&format!("{who} {line}"), 11.0) * 1.04);
            base += LEADING;
        }
        for line in &entry.aside {
            let font = Font { colour: FAINT, size: 10.0, ..SMALL };
            canvas.text("aside", (words, base - 1.0), font, line);
            right = right.max(words + text_width(line, 10.0));
            base += LEADING;
        }
    }
    right
}

/// How the figure draws what a row tells.
fn sample(canvas: &mut Canvas, styles: &[(&str, Style)], deed: &Deed, (x, y): (f64, f64)) {
    match deed {
        Deed::Sent(arrows) => legend::message(canvas, style(styles, &arrows[0].kind), (x, y)),
        Deed::Marked(mark) => palette::shape(canvas, mark.kind, (x + legend::SAMPLE / 2.0, y)),
        Deed::Began(period) => legend::period(canvas, period.kind, (x, y)),
        Deed::Received { .. } => {}
    }
}

fn style(styles: &[(&str, Style)], kind: &str) -> Style {
    let found = styles.iter().find(|(name, _)| *name == kind);
    found.expect("every kind that occurs has a style").1
}
