//! The figures of a results folder.
//!
//! A figure is data first: panels with axes, and marks at positions in the units of those axes. Everything
//! that shows a figure reads the same marks, so the page, the paper and the exported table cannot differ.
//!
//! | file | content |
//! |---|---|
//! | [`data`] | what figures are made of: the trials and the other tables of the folder |
//! | [`latency`] | distributions, percentiles, medians by region |
//! | [`difference`] | differences between variants with their intervals, and by quantile |
//! | [`cost`] | commit against takeover, phases beside the floor, prediction beside measurement |
//! | [`network`] | links as asked and as measured; the map of regions |
//! | [`places`] | where the regions of the clouds are |
//! | [`sweep`] | a quantity over swept keys, heat maps, latency against throughput |
//! | [`timeline`] | rates and latencies over time, with the faults |
//! | [`style`] | one colour, dash and marker a variant |
//! | [`draw`] | marks as SVG and PDF: the one file that knows the plotting library |

mod atlas;
pub mod cost;
pub mod data;
pub mod difference;
pub mod draw;
pub mod latency;
pub mod network;
pub mod places;
pub mod style;
pub mod sweep;
pub mod systems;
#[cfg(test)]
mod tests;
pub mod timeline;

use serde::Serialize;

pub use data::Data;
pub use style::Styles;

/// A figure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// The name of its files.
    pub name: &'static str,
    /// What it shows, in a few words.
    pub title: String,
    /// What its marks are, how it is read, and on what it rests.
    pub caption: String,
    /// Its panels, in reading order.
    pub panels: Vec<Panel>,
}

/// A pair of axes and what is drawn on them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Panel {
    /// What tells it from the other panels; empty if it is alone.
    pub title: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// Its height in points, at a width of [`draw::WIDTH`].
    pub height: f64,
    /// What is drawn, in order.
    #[serde(skip)]
    pub marks: Vec<Mark>,
}

/// An axis.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Axis {
    /// What it counts, with the unit.
    pub label: String,
    /// How positions follow from values.
    pub scale: Scale,
    /// Its ends, where the marks do not decide them.
    pub range: Option<(f64, f64)>,
}

/// How positions follow from values.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Scale {
    /// In proportion.
    Linear,
    /// By the logarithm.
    Log,
    /// By the logarithm of 1 / (1 - share), as `HdrHistogram` plots percentiles; values are that ratio.
    Nines,
    /// Names, which stand at 1, 2, 3 and so on.
    Names(Vec<String>),
    /// Without ticks: a map.
    Bare,
}

/// Points of one series, drawn in one form.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// The variant, or what else the points are of.
    pub series: String,
    /// The form.
    pub form: Form,
    /// The points.
    pub points: Vec<Point>,
}

/// How points are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// A line from point to point, with its interval as a band.
    Line,
    /// A line that is level up to the next point.
    Steps,
    /// A thin line from point to point.
    Outline,
    /// A marker for each point, with its intervals.
    Dots,
    /// A horizontal bar for each point, over its `x_range`.
    Bars,
    /// A cell of a heat map for each point, coloured by its value.
    Cells,
    /// A short upright stroke for each point: a floor.
    Ticks,
    /// A line over the whole panel at the `x` of each point.
    Upright,
    /// A line over the whole panel at the `y` of each point.
    Level,
    /// A shaded part of the panel, over the `x_range` of each point.
    Shade,
    /// The text of each point.
    Text,
}

/// A point.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Point {
    /// In the unit of the horizontal axis.
    pub x: f64,
    /// In the unit of the vertical axis.
    pub y: f64,
    /// The interval of `x`.
    pub x_range: Option<(f64, f64)>,
    /// The interval of `y`.
    pub y_range: Option<(f64, f64)>,
    /// The share of the scale that a cell is coloured by; a text with a value stands below its point.
    pub value: Option<f64>,
    /// The point in words.
    pub text: String,
}

impl Axis {
    /// An axis whose marks decide its ends.
    pub fn new(label: impl Into<String>, scale: Scale) -> Self {
        Self { label: label.into(), scale, range: None }
    }

    /// The same with these ends.
    #[must_use]
    pub fn over(self, low: f64, high: f64) -> Self {
        Self { range: Some((low, high)), ..self }
    }
}

impl Mark {
    /// Points of a series in a form.
    pub fn new(series: impl Into<String>, form: Form, points: Vec<Point>) -> Self {
        Self { series: series.into(), form, points }
    }
}

impl Point {
    /// A point with its words.
    pub fn at(x: f64, y: f64, text: impl Into<String>) -> Self {
        Self { x, y, text: text.into(), ..Self::default() }
    }
}

impl Panel {
    /// A panel of the usual height.
    pub fn new(title: impl Into<String>, x: Axis, y: Axis, marks: Vec<Mark>) -> Self {
        Self { title: title.into(), x, y, height: 260.0, marks }
    }

    /// A panel with a row for each name of its vertical axis, from the top; marks have the number of their row,
    /// from 1.
    pub fn of_rows(
        title: impl Into<String>,
        x: Axis,
        mut rows: Vec<String>,
        mut marks: Vec<Mark>,
    ) -> Self {
        // Positions rise from the bottom.
        rows.reverse();
        for point in marks.iter_mut().flat_map(|mark| &mut mark.points) {
            point.y = rows.len() as f64 + 1.0 - point.y;
        }
        let height = 80.0 + 34.0 * rows.len().max(1) as f64;
        let range = (0.4, rows.len() as f64 + 0.6);
        let y = Axis { range: Some(range), ..Axis::new("", Scale::Names(rows)) };
        Self { title: title.into(), x, y, height, marks }
    }

    /// Whether anything but its frame would be drawn.
    pub fn is_empty(&self) -> bool {
        let is_content = |form| !matches!(form, Form::Upright | Form::Level | Form::Shade);
        !self.marks.iter().any(|mark| is_content(mark.form) && !mark.points.is_empty())
    }
}

impl Figure {
    /// A figure, unless nothing is in it; panels without content are left out.
    pub fn of(
        name: &'static str,
        title: impl Into<String>,
        caption: impl Into<String>,
        panels: Vec<Panel>,
    ) -> Option<Self> {
        let panels: Vec<Panel> = panels.into_iter().filter(|panel| !panel.is_empty()).collect();
        if panels.is_empty() {
            return None;
        }
        Some(Self { name, title: title.into(), caption: caption.into(), panels })
    }

    /// The series that are drawn, each once, in the order in which they occur.
    pub fn series(&self) -> Vec<&str> {
        let mut found: Vec<&str> = Vec::new();
        for mark in self.panels.iter().flat_map(|panel| &panel.marks) {
            let is_shown = !mark.points.is_empty() && !mark.series.is_empty();
            if is_shown && !found.contains(&mark.series.as_str()) {
                found.push(&mark.series);
            }
        }
        found
    }
}

/// Every figure that this folder has the data for, in reading order.
pub fn all(data: &Data<'_>) -> Vec<Figure> {
    let of_load = [
        cost::trade_off(data),
        difference::forest(data),
        latency::regions(data),
        cost::backends(data),
        latency::percentiles(data),
        latency::cdf(data),
        latency::ccdf(data),
        difference::shift(data),
        cost::phases(data),
        timeline::timeline(data),
    ];
    let of_sweep =
        [sweep::lines(data), sweep::heat_map(data), sweep::quorums(data), sweep::load(data)];
    let of_network = [network::map(data), network::links(data)];
    of_load.into_iter().chain(of_sweep).chain(of_network).flatten().collect()
}
