//! Marks as SVG and PDF: the one file that knows the plotting library.
//!
//! kuva draws axes, grids and labels, and writes SVG and PDF from the same scene. The marks themselves are drawn
//! here onto its axes, in groups that carry the name of their series and the words of their points: the page
//! switches series by these groups, and shows these words.

use kuva::PdfBackend;
use kuva::backend::svg::SvgBackend;
use kuva::render::axis::{add_axes_and_grid, add_labels_and_title};
use kuva::render::color::Color;
use kuva::render::layout::{ComputedLayout, Layout, TickFormat};
use kuva::render::render::{PathData, Primitive, Scene, TextAnchor};
use kuva::render::theme::Theme;
use serde_json::json;

use super::style::{Colour, Look, Marker, Style, Styles, heat};
use super::{Axis, Figure, Form, Mark, Panel, Point, Scale};

/// The width of a panel in points.
pub const WIDTH: f64 = 440.0;

/// Between panels of a figure.
const GAP: f64 = 12.0;

/// The height of a line of the legend.
const LINE: f64 = 20.0;

/// Fonts of the same widths, the first that a machine has.
const FONTS: &str = "DejaVu Sans, Verdana, sans-serif";

/// The size of text in points.
const TEXT: u32 = 11;

/// Why a figure cannot be drawn.
#[derive(Debug, thiserror::Error)]
#[error("the figure {name} cannot be written as PDF: {reason}")]
pub struct Error {
    name: &'static str,
    reason: String,
}

/// A panel as SVG for the page; `id` is unique on it.
pub fn panel(panel: &Panel, styles: &Styles, label: &str) -> String {
    let scene = Pen { styles, look: Look::Page }.panel(panel);
    let svg = SvgBackend::new().render_scene(&scene);
    // A figure of a page has no size of its own: it is as wide as there is room.
    let inner = svg.split_once('>').map_or("", |(_, inner)| inner);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"{FONTS}\" \
         fill=\"var(--ink)\" role=\"img\" tabindex=\"0\" aria-label=\"{}\">{inner}",
        scene.width,
        scene.height,
        escaped(label)
    )
}

/// A figure as SVG for paper.
pub fn svg(figure: &Figure, styles: &Styles) -> String {
    SvgBackend::new().render_scene(&Pen { styles, look: Look::Paper }.figure(figure))
}

/// A figure as PDF for paper, with its fonts.
pub fn pdf(figure: &Figure, styles: &Styles) -> Result<Vec<u8>, Error> {
    let scene = Pen { styles, look: Look::Paper }.figure(figure);
    let failed = |reason| Error { name: figure.name, reason };
    PdfBackend::new().render_scene(&scene).map_err(failed)
}

/// The sample of a series in a legend, as SVG for the page.
pub fn sample(series: &str, styles: &Styles) -> String {
    let pen = Pen { styles, look: Look::Page };
    let mut scene = pen.empty(30.0, 14.0);
    pen.sample(styles.of(series), (2.0, 7.0), &mut scene);
    let svg = SvgBackend::new().render_scene(&scene);
    let inner = svg.split_once('>').map_or("", |(_, inner)| inner);
    format!("<svg viewBox=\"0 0 30 14\" width=\"30\" height=\"14\" aria-hidden=\"true\">{inner}")
}

/// Draws with the styles of a run in a look.
struct Pen<'a> {
    styles: &'a Styles,
    look: Look,
}

/// Where values are on a panel.
struct Frame {
    layout: ComputedLayout,
}

impl Frame {
    fn place(&self, point: &Point) -> (f64, f64) {
        (self.layout.map_x(point.x), self.layout.map_y(point.y))
    }

    fn left(&self) -> f64 {
        self.layout.margin_left
    }

    fn right(&self) -> f64 {
        self.layout.width - self.layout.margin_right
    }

    fn top(&self) -> f64 {
        self.layout.margin_top
    }

    fn bottom(&self) -> f64 {
        self.layout.height - self.layout.margin_bottom
    }
}

impl Pen<'_> {
    fn empty(&self, width: f64, height: f64) -> Scene {
        let mut scene = Scene::new(width, height);
        let is_paper = self.look == Look::Paper;
        scene.background_color = is_paper.then(|| "#ffffff".to_owned());
        scene.text_color = Some(self.look.colour(Colour::Ink));
        scene.font_family = Some(FONTS.to_owned());
        scene
    }

    /// All panels, in two columns where there are several, below a legend.
    fn figure(&self, figure: &Figure) -> Scene {
        let columns = figure.panels.len().clamp(1, 2);
        let width = columns as f64 * (WIDTH + GAP) - GAP;
        let keys = self.legend_places(figure, width);
        let legend_height = keys.last().map_or(0.0, |(_, (_, y))| y + LINE);
        let rows: Vec<&[Panel]> = figure.panels.chunks(columns).collect();
        let row_height = |row: &&[Panel]| row.iter().map(|it| it.height).fold(0.0, f64::max);
        let heights: Vec<f64> = rows.iter().map(row_height).collect();
        let height = legend_height + heights.iter().map(|height| height + GAP).sum::<f64>();
        let mut scene = self.empty(width, height);
        for (series, (x, y)) in keys {
            self.sample(self.styles.of(series), (x, y + LINE / 2.0), &mut scene);
            let at = (x + 32.0, y + LINE / 2.0 + 4.0);
            scene.add(self.text(series, at, TextAnchor::Start, Colour::Ink));
        }
        let mut top = legend_height;
        for (row, height) in rows.into_iter().zip(heights) {
            for (column, panel) in row.iter().enumerate() {
                let left = column as f64 * (WIDTH + GAP);
                let inner = self.panel(panel);
                scene.add(Primitive::GroupStart {
                    transform: Some(format!("translate({left},{top})")),
                    title: None,
                    extra_attrs: None,
                });
                scene.elements.extend(inner.elements);
                scene.add(Primitive::GroupEnd);
            }
            top += height + GAP;
        }
        scene
    }

    /// The series of the legend and where they stand; none for a single series.
    fn legend_places<'f>(&self, figure: &'f Figure, width: f64) -> Vec<(&'f str, (f64, f64))> {
        let is_map = figure.panels.iter().any(|panel| panel.x.scale == Scale::Bare);
        let is_key = |series: &&str| !is_map && self.is_told(series);
        let series: Vec<&str> = figure.series().into_iter().filter(is_key).collect();
        if series.len() < 2 {
            return Vec::new();
        }
        let (mut x, mut y) = (8.0, 4.0);
        let mut places = Vec::new();
        for name in series {
            let length = 48.0 + 7.0 * name.chars().count() as f64;
            if x + length > width && x > 8.0 {
                (x, y) = (8.0, y + LINE);
            }
            places.push((name, (x, y)));
            x += length;
        }
        places
    }

    /// Whether the legend names this series: labels and rules are told by themselves.
    fn is_told(&self, series: &str) -> bool {
        let style = self.styles.of(series);
        self.styles.is_variant(series) || style.colour != Colour::Ink || series == "measured"
    }

    fn sample(&self, style: Style, (x, y): (f64, f64), scene: &mut Scene) {
        if !matches!(style.marker, Marker::Stroke | Marker::Box) {
            scene.add(self.line(&[(x, y), (x + 26.0, y)], style));
        }
        self.marker(style, (x + 13.0, y), scene);
    }

    fn panel(&self, panel: &Panel) -> Scene {
        let layout = self.layout(panel);
        let computed = ComputedLayout::from_layout(&layout);
        let mut scene = self.empty(computed.width, computed.height);
        let is_map = panel.x.scale == Scale::Bare;
        if !is_map {
            add_axes_and_grid(&mut scene, &computed, &layout);
        }
        add_labels_and_title(&mut scene, &computed, &layout);
        let frame = Frame { layout: computed };
        for mark in &panel.marks {
            self.mark(mark, &frame, &mut scene);
        }
        scene
    }

    fn layout(&self, panel: &Panel) -> Layout {
        let (x, y) = (ends(panel, true), ends(panel, false));
        let mut layout = Layout::new(x, y)
            .with_width(WIDTH)
            .with_height(panel.height)
            .with_title_size(13)
            .with_label_size(TEXT)
            .with_tick_size(10)
            .with_body_size(TEXT)
            .with_theme(self.theme())
            .with_font_family(FONTS)
            .with_x_axis_min(x.0)
            .with_x_axis_max(x.1)
            .with_y_axis_min(y.0)
            .with_y_axis_max(y.1);
        if !panel.title.is_empty() {
            layout = layout.with_title(plain(&panel.title));
        }
        if !panel.x.label.is_empty() {
            layout = layout.with_x_label(plain(&panel.x.label));
        }
        if !panel.y.label.is_empty() {
            layout = layout.with_y_label(plain(&panel.y.label));
        }
        layout = match &panel.x.scale {
            Scale::Linear => layout,
            Scale::Log => layout.with_log_x(),
            Scale::Nines => layout.with_log_x().with_x_tick_format(nines()),
            Scale::Names(names) => {
                layout.with_x_categories(names.iter().map(|it| plain(it)).collect())
            }
            Scale::Bare => layout.with_force_margins(4.0, 4.0).with_force_margins_y(26.0, 4.0),
        };
        match &panel.y.scale {
            Scale::Linear | Scale::Bare => layout,
            Scale::Log => layout.with_log_y(),
            Scale::Nines => layout.with_log_y().with_y_tick_format(nines()),
            Scale::Names(names) => {
                layout.with_y_categories(names.iter().map(|it| plain(it)).collect())
            }
        }
    }

    fn theme(&self) -> Theme {
        let ink = self.look.colour(Colour::Ink);
        Theme {
            background: if self.look == Look::Paper { "#ffffff".into() } else { "none".into() },
            axis_color: self.look.colour(Colour::Muted),
            grid_color: self.look.grid(),
            tick_color: self.look.colour(Colour::Muted),
            text_color: ink,
            ..Theme::default()
        }
    }

    fn mark(&self, mark: &Mark, frame: &Frame, scene: &mut Scene) {
        if mark.points.is_empty() {
            return;
        }
        let style = self.styles.of(&mark.series);
        let attributes = self.attributes(mark, frame);
        scene.add(Primitive::GroupStart {
            transform: None,
            title: None,
            extra_attrs: Some(attributes),
        });
        match mark.form {
            Form::Line => self.band_and_line(mark, frame, style, scene),
            Form::Steps => {
                let places: Vec<(f64, f64)> =
                    mark.points.iter().map(|it| frame.place(it)).collect();
                scene.add(self.line(&steps(&places), style));
            }
            Form::Outline => {
                let places: Vec<(f64, f64)> =
                    mark.points.iter().map(|it| frame.place(it)).collect();
                scene.add(Primitive::PolyLine {
                    points: places,
                    stroke: self.colour(style.colour),
                    stroke_width: 0.8,
                    stroke_dasharray: None,
                });
            }
            Form::Dots => mark.points.iter().for_each(|it| self.dot(it, frame, style, scene)),
            Form::Bars => mark.points.iter().for_each(|it| self.bar(it, frame, style, scene)),
            Form::Cells => mark.points.iter().for_each(|it| Self::cell(it, frame, scene)),
            Form::Ticks => {
                for point in &mark.points {
                    let (x, y) = frame.place(point);
                    let plain = Style { dashes: "", ..style };
                    scene.add(self.line(&[(x, y - 9.0), (x, y + 9.0)], plain));
                }
            }
            Form::Upright => {
                for point in &mark.points {
                    let x = frame.layout.map_x(point.x);
                    scene.add(self.thin(&[(x, frame.top()), (x, frame.bottom())]));
                }
            }
            Form::Level => {
                for point in &mark.points {
                    let y = frame.layout.map_y(point.y);
                    scene.add(self.thin(&[(frame.left(), y), (frame.right(), y)]));
                }
            }
            Form::Shade => mark.points.iter().for_each(|it| self.shade(it, frame, scene)),
            Form::Text => {
                for point in &mark.points {
                    let (x, y) = frame.place(point);
                    let is_right = x > frame.right() - 90.0;
                    let (anchor, x) = if is_right {
                        (TextAnchor::End, x - 6.0)
                    } else {
                        (TextAnchor::Start, x + 6.0)
                    };
                    let colour = if self.styles.is_variant(&mark.series) {
                        style.colour
                    } else {
                        Colour::Ink
                    };
                    let y = if point.value.is_some() { y + 14.0 } else { y - 5.0 };
                    scene.add(self.text(&point.text, (x, y), anchor, colour));
                }
            }
        }
        scene.add(Primitive::GroupEnd);
    }

    /// What the script of the page knows of a mark: its series, and where its points are with their words.
    fn attributes(&self, mark: &Mark, frame: &Frame) -> String {
        let mut text = format!("class=\"mark\" data-series=\"{}\"", escaped(&mark.series));
        let is_silent = matches!(mark.form, Form::Text | Form::Shade | Form::Outline)
            || self.look == Look::Paper;
        if !is_silent {
            let round = |value: f64| (value * 10.0).round() / 10.0;
            let of = |point: &Point| {
                let (x, y) = frame.place(point);
                json!([round(x), round(y), point.text])
            };
            let told = mark.points.iter().filter(|point| !point.text.is_empty());
            let points: Vec<serde_json::Value> = told.map(of).collect();
            if !points.is_empty() {
                let points = serde_json::Value::Array(points).to_string();
                text = format!("{text} data-points=\"{}\"", escaped(&points));
            }
        }
        text
    }

    fn band_and_line(&self, mark: &Mark, frame: &Frame, style: Style, scene: &mut Scene) {
        let places: Vec<(f64, f64)> = mark.points.iter().map(|it| frame.place(it)).collect();
        let ranged: Vec<(f64, (f64, f64))> =
            mark.points.iter().filter_map(|it| Some((it.x, it.y_range?))).collect();
        if ranged.len() > 1 {
            let upper = ranged.iter().map(|(x, (_, high))| (*x, *high));
            let lower = ranged.iter().rev().map(|(x, (low, _))| (*x, *low));
            let at = |(x, y): (f64, f64)| {
                let y = frame.layout.map_y(y).clamp(frame.top(), frame.bottom());
                format!("{:.1},{y:.1}", frame.layout.map_x(x))
            };
            let places: Vec<String> = upper.chain(lower).map(at).collect();
            scene.add(Primitive::Path(Box::new(PathData {
                d: format!("M{}Z", places.join("L")),
                fill: Some(self.colour(style.colour)),
                stroke: Color::None,
                stroke_width: 0.0,
                opacity: Some(0.15),
                stroke_dasharray: None,
            })));
        }
        scene.add(self.line(&places, style));
        if places.len() <= 24 {
            for place in places {
                self.marker(style, place, scene);
            }
        }
    }

    /// A marker with its intervals.
    fn dot(&self, point: &Point, frame: &Frame, style: Style, scene: &mut Scene) {
        let (x, y) = frame.place(point);
        let whole = Style { dashes: "", ..style };
        if let Some((low, high)) = point.x_range {
            let (low, high) = (frame.layout.map_x(low), frame.layout.map_x(high));
            let (low, high) = (low.max(frame.left()), high.min(frame.right()));
            scene.add(self.line(&[(low, y), (high, y)], whole));
            for end in [low, high] {
                scene.add(self.line(&[(end, y - 3.0), (end, y + 3.0)], whole));
            }
        }
        if let Some((low, high)) = point.y_range {
            let (low, high) = (frame.layout.map_y(low), frame.layout.map_y(high));
            let (low, high) = (low.min(frame.bottom()), high.max(frame.top()));
            scene.add(self.line(&[(x, low), (x, high)], whole));
            for end in [low, high] {
                scene.add(self.line(&[(x - 3.0, end), (x + 3.0, end)], whole));
            }
        }
        self.marker(style, (x, y), scene);
    }

    fn bar(&self, point: &Point, frame: &Frame, style: Style, scene: &mut Scene) {
        let (low, high) = point.x_range.unwrap_or((0.0, point.x));
        let (left, right) = (frame.layout.map_x(low), frame.layout.map_x(high));
        let y = frame.layout.map_y(point.y);
        scene.add(Primitive::Rect {
            x: left,
            y: y - 8.0,
            width: (right - left).max(0.0),
            height: 16.0,
            fill: self.colour(style.colour),
            stroke: Some(self.colour(Colour::Muted)),
            stroke_width: Some(0.5),
            opacity: None,
        });
    }

    fn cell(point: &Point, frame: &Frame, scene: &mut Scene) {
        let (Some((left, right)), Some((low, high))) = (point.x_range, point.y_range) else {
            return;
        };
        let (left, right) = (frame.layout.map_x(left), frame.layout.map_x(right));
        let (low, high) = (frame.layout.map_y(low), frame.layout.map_y(high));
        let Some(share) = point.value else { return };
        let ((red, green, blue), is_dark) = heat(share);
        scene.add(Primitive::Rect {
            x: left,
            y: high,
            width: right - left,
            height: low - high,
            fill: Color::Rgb(red, green, blue),
            stroke: None,
            stroke_width: None,
            opacity: None,
        });
        let label = point.text.split(" ms").next().unwrap_or_default();
        let label = label.rsplit(' ').next().unwrap_or_default();
        if right - left >= 24.0 {
            let size = if right - left < 40.0 { 8 } else { 10 };
            scene.add(Primitive::Text {
                x: f64::midpoint(left, right),
                y: f64::midpoint(low, high) + 3.5,
                content: plain(label),
                size,
                anchor: TextAnchor::Middle,
                rotate: None,
                bold: false,
                color: Some(if is_dark { Color::Rgb(255, 255, 255) } else { Color::Rgb(0, 0, 0) }),
            });
        }
    }

    fn shade(&self, point: &Point, frame: &Frame, scene: &mut Scene) {
        let Some((low, high)) = point.x_range else { return };
        let left = frame.layout.map_x(low).max(frame.left());
        let right = frame.layout.map_x(high).min(frame.right());
        scene.add(Primitive::Rect {
            x: left,
            y: frame.top(),
            width: (right - left).max(1.0),
            height: frame.bottom() - frame.top(),
            fill: self.colour(Colour::Muted),
            stroke: None,
            stroke_width: None,
            opacity: Some(0.18),
        });
        let at = (left + 4.0, frame.top() + 12.0);
        scene.add(self.text(&point.text, at, TextAnchor::Start, Colour::Muted));
    }

    fn marker(&self, style: Style, (x, y): (f64, f64), scene: &mut Scene) {
        let colour = self.colour(style.colour);
        let outline = |places: &[(f64, f64)]| {
            let at = |(dx, dy): &(f64, f64)| format!("{:.1},{:.1}", x + dx, y + dy);
            let places: Vec<String> = places.iter().map(at).collect();
            Primitive::Path(Box::new(PathData {
                d: format!("M{}Z", places.join("L")),
                fill: Some(colour.clone()),
                stroke: Color::None,
                stroke_width: 0.0,
                opacity: None,
                stroke_dasharray: None,
            }))
        };
        scene.add(match style.marker {
            Marker::Circle => Primitive::Circle {
                cx: x,
                cy: y,
                r: 3.6,
                fill: colour,
                fill_opacity: None,
                stroke: None,
                stroke_width: None,
            },
            Marker::Nothing => return,
            Marker::Stroke => self.line(&[(x, y - 5.0), (x, y + 5.0)], style),
            Marker::Square | Marker::Box => {
                outline(&[(-3.2, -3.2), (3.2, -3.2), (3.2, 3.2), (-3.2, 3.2)])
            }
            Marker::Triangle => outline(&[(0.0, -4.4), (4.2, 3.2), (-4.2, 3.2)]),
            Marker::Diamond => outline(&[(0.0, -4.6), (4.6, 0.0), (0.0, 4.6), (-4.6, 0.0)]),
            Marker::Wedge => outline(&[(-4.2, -3.2), (4.2, -3.2), (0.0, 4.4)]),
            Marker::Cross => outline(&[
                (-4.0, -2.8),
                (-2.8, -4.0),
                (0.0, -1.2),
                (2.8, -4.0),
                (4.0, -2.8),
                (1.2, 0.0),
                (4.0, 2.8),
                (2.8, 4.0),
                (0.0, 1.2),
                (-2.8, 4.0),
                (-4.0, 2.8),
                (-1.2, 0.0),
            ]),
        });
    }

    fn line(&self, places: &[(f64, f64)], style: Style) -> Primitive {
        Primitive::PolyLine {
            points: places.to_vec(),
            stroke: self.colour(style.colour),
            stroke_width: 1.8,
            stroke_dasharray: (!style.dashes.is_empty()).then(|| style.dashes.to_owned()),
        }
    }

    fn thin(&self, places: &[(f64, f64)]) -> Primitive {
        Primitive::PolyLine {
            points: places.to_vec(),
            stroke: self.colour(Colour::Muted),
            stroke_width: 1.2,
            stroke_dasharray: Some("4 3".to_owned()),
        }
    }

    fn text(
        &self,
        text: &str,
        (x, y): (f64, f64),
        anchor: TextAnchor,
        colour: Colour,
    ) -> Primitive {
        Primitive::Text {
            x,
            y,
            content: plain(text),
            size: 10,
            anchor,
            rotate: None,
            bold: false,
            color: Some(self.colour(colour)),
        }
    }

    fn colour(&self, colour: Colour) -> Color {
        Color::from(self.look.colour(colour))
    }
}

/// The ends of an axis: as asked for, or a little beyond the marks.
fn ends(panel: &Panel, is_x: bool) -> (f64, f64) {
    let axis: &Axis = if is_x { &panel.x } else { &panel.y };
    if let Some(range) = axis.range {
        return range;
    }
    if let Scale::Names(names) = &axis.scale {
        return (0.5, names.len() as f64 + 0.5);
    }
    let mut values = Vec::new();
    for mark in &panel.marks {
        let is_level = if is_x { mark.form == Form::Level } else { mark.form == Form::Upright };
        if is_level || (mark.form == Form::Shade && !is_x) {
            continue;
        }
        for point in &mark.points {
            let (value, range) =
                if is_x { (point.x, point.x_range) } else { (point.y, point.y_range) };
            values.push(value);
            values.extend(range.into_iter().flat_map(|(low, high)| [low, high]));
        }
    }
    let is_log = matches!(axis.scale, Scale::Log | Scale::Nines);
    values.retain(|value| value.is_finite() && (!is_log || *value > 0.0));
    let low = values.iter().copied().reduce(f64::min).unwrap_or(if is_log { 1.0 } else { 0.0 });
    let high = values.iter().copied().reduce(f64::max).unwrap_or(if is_log { 10.0 } else { 1.0 });
    if is_log {
        let pad = if axis.scale == Scale::Nines { 1.0 } else { (high / low).powf(0.08).max(1.05) };
        return (low / pad, high * pad);
    }
    let pad = ((high - low) * 0.05).max(high.abs() * 1e-3).max(1e-9);
    // An axis of a quantity that is near zero begins there.
    let low = if low >= 0.0 && low < 0.3 * high { 0.0 } else { low - pad };
    (low, high + pad)
}

/// The corners of a line that is level up to the next point.
fn steps(places: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut corners = Vec::with_capacity(places.len() * 2);
    for place in places {
        if let Some((_, y)) = corners.last().copied() {
            corners.push((place.0, y));
        }
        corners.push(*place);
    }
    corners
}

/// Ticks of a scale of nines: 1 / (1 - share) as a percentage.
fn nines() -> TickFormat {
    TickFormat::Custom(std::sync::Arc::new(|value| {
        let percent = 100.0 * (1.0 - 1.0 / value);
        let text = format!("{percent:.4}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }))
}

/// Text that the library takes as it is: a dollar sign would begin a formula.
fn plain(text: &str) -> String {
    text.replace('$', "\\$")
}

/// Text as the value of an attribute.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            _ => out.push(char),
        }
    }
    out
}
