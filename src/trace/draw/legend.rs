//! What the strokes and shapes mean, in as many rows as they need.

use super::super::canvas::{Canvas, Pen};
use super::super::layout::text_width;
use super::super::palette::{self, INK, Style};
use super::super::{Fate, MarkKind, PeriodKind, Trace};
use super::{MARGIN, SMALL, plot};

const ROW: f64 = 20.0;
/// What stands before the words.
pub(super) const SAMPLE: f64 = 26.0;

/// Draws the legend from height `y`, not beyond `right`, and gives its lower edge.
pub(super) fn draw(
    canvas: &mut Canvas,
    trace: &Trace,
    styles: &[(&str, Style)],
    (mut y, right): (f64, f64),
) -> f64 {
    let mut x = MARGIN;
    for (words, sample) in samples(trace, styles) {
        let width = SAMPLE + 7.0 + text_width(&words, 11.0) + 20.0;
        if x > MARGIN && x + width > right {
            x = MARGIN;
            y += ROW;
        }
        sample.draw(canvas, x, y);
        canvas.text("legend", (x + SAMPLE + 7.0, y + 4.0), SMALL, &words);
        x += width;
    }
    y
}

/// What a legend explains.
enum Sample {
    Message(Style),
    Fate(Fate),
    Mark(MarkKind),
    Period(PeriodKind),
    Down,
}

/// What occurs in the trace, with its words.
fn samples(trace: &Trace, styles: &[(&str, Style)]) -> Vec<(String, Sample)> {
    let messages = styles.iter().map(|(kind, style)| ((*kind).to_owned(), Sample::Message(*style)));
    let mut samples: Vec<_> = messages.collect();
    for (fate, words) in [(Fate::Lost, "lost"), (Fate::Underway, "underway at the end")] {
        if trace.messages.iter().any(|arrow| arrow.fate == fate) {
            samples.push((words.to_owned(), Sample::Fate(fate)));
        }
    }
    let mut marks: Vec<_> = trace.marks.iter().map(|mark| mark.kind).collect();
    marks.sort_unstable();
    marks.dedup();
    samples.extend(marks.iter().map(|kind| (kind.name().to_owned(), Sample::Mark(*kind))));
    if marks.contains(&MarkKind::Crash) {
        samples.push(("down".to_owned(), Sample::Down));
    }
    let mut periods: Vec<_> = trace.periods.iter().map(|period| period.kind).collect();
    periods.sort_unstable();
    periods.dedup();
    samples.extend(periods.iter().map(|kind| (kind.name().to_owned(), Sample::Period(*kind))));
    samples
}

impl Sample {
    fn draw(&self, canvas: &mut Canvas, x: f64, y: f64) {
        match self {
            Self::Message(style) => message(canvas, *style, (x, y)),
            Self::Fate(fate) => {
                let pen = Pen::solid(INK, 1.5);
                let end = (x + SAMPLE - 5.0, y);
                canvas.line("sample", (x, y), end, pen);
                match fate {
                    Fate::Lost => canvas.path("sample", &palette::cross(end, 4.5), "none", pen),
                    _ => palette::head(canvas, (x, y), end, Style { pen, is_head_open: true }),
                }
            }
            Self::Mark(kind) => palette::shape(canvas, *kind, (x + SAMPLE / 2.0, y)),
            Self::Period(kind) => period(canvas, *kind, (x, y)),
            Self::Down => canvas.line("sample", (x, y), (x + SAMPLE, y), plot::DOWN),
        }
    }
}

/// A short arrow, as long as a sample.
pub(super) fn message(canvas: &mut Canvas, style: Style, (x, y): (f64, f64)) {
    canvas.line("sample", (x, y), (x + SAMPLE, y), style.pen);
    palette::head(canvas, (x, y), (x + SAMPLE, y), style);
}

/// A piece of a bar.
pub(super) fn period(canvas: &mut Canvas, kind: PeriodKind, (x, y): (f64, f64)) {
    if kind == PeriodKind::Paused {
        return canvas.line("sample", (x, y), (x + SAMPLE, y), plot::PAUSED);
    }
    let (fill, width) = plot::bar_look(kind);
    let at = (x + (SAMPLE - width) / 2.0, y - 4.0);
    canvas.rectangle("sample", at, (width, 8.0), fill, Pen::solid(INK, 0.5));
}
