//! The figures for a paper: SVG, PDF, tables, and programs that draw the same figures from the tables.
//!
//! | file | content |
//! |---|---|
//! | `NAME.svg`, `NAME.pdf` | the figure |
//! | `NAME.csv` | its marks: a row for each point, in the units of the axes |
//! | `figures.json` | titles, captions, axes and styles of all figures |
//! | `figures.py` | draws every figure with matplotlib from these two |
//! | `figures.tex` | draws every figure with pgfplots from the tables |

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;

use super::figure::style::{Colour, Look, Marker};
use super::figure::{Axis, Figure, Form, Mark, Scale, Styles, draw};

const PYTHON: &str = include_str!("export/figures.py");

/// Why figures cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be written.
    #[error("{} cannot be written", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A table cannot be written.
    #[error("{} cannot be written", path.display())]
    Table {
        /// Which.
        path: PathBuf,
        /// Why.
        source: csv::Error,
    },
    /// A figure cannot be drawn.
    #[error(transparent)]
    Draw(#[from] draw::Error),
}

/// A point of a figure, as its table has it.
#[derive(Serialize)]
struct Row<'a> {
    /// The number of the panel, from 1.
    panel: usize,
    /// The number of the mark in the panel, from 1.
    mark: usize,
    series: &'a str,
    form: Form,
    x: f64,
    y: f64,
    x_low: Option<f64>,
    x_high: Option<f64>,
    y_low: Option<f64>,
    y_high: Option<f64>,
    value: Option<f64>,
    label: &'a str,
}

/// Writes all files into a folder, which is made if it is not there; files of the same names are replaced.
pub fn export(figures: &[Figure], styles: &Styles, folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Write { path, source }
    };
    fs::create_dir_all(folder).map_err(failed(folder))?;
    let mut written = Vec::new();
    let mut write = |name: String, bytes: &[u8]| -> Result<(), Error> {
        let path = folder.join(name);
        fs::write(&path, bytes).map_err(failed(&path))?;
        written.push(path);
        Ok(())
    };
    for figure in figures {
        let name = figure.name;
        write(format!("{name}.svg"), draw::svg(figure, styles).as_bytes())?;
        write(format!("{name}.pdf"), &draw::pdf(figure, styles)?)?;
        let path = folder.join(format!("{name}.csv"));
        let table = table(figure).map_err(|source| Error::Table { path, source })?;
        write(format!("{name}.csv"), &table)?;
    }
    let described = serde_json::to_vec_pretty(&description(figures, styles));
    write("figures.json".to_owned(), &described.expect("a description is plain data"))?;
    write("figures.py".to_owned(), PYTHON.as_bytes())?;
    write("figures.tex".to_owned(), latex(figures, styles).as_bytes())?;
    Ok(written)
}

/// The marks of a figure as a table.
pub fn table(figure: &Figure) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for (panel_number, panel) in figure.panels.iter().enumerate() {
        for (mark_number, mark) in panel.marks.iter().enumerate() {
            for point in &mark.points {
                writer.serialize(Row {
                    panel: panel_number + 1,
                    mark: mark_number + 1,
                    series: &mark.series,
                    form: mark.form,
                    x: point.x,
                    y: point.y,
                    x_low: point.x_range.map(|range| range.0),
                    x_high: point.x_range.map(|range| range.1),
                    y_low: point.y_range.map(|range| range.0),
                    y_high: point.y_range.map(|range| range.1),
                    value: point.value,
                    label: &point.text,
                })?;
            }
        }
    }
    writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))
}

/// Titles, axes and styles of all figures, for other programs.
fn description(figures: &[Figure], styles: &Styles) -> serde_json::Value {
    let style = |series: &&str| {
        let style = styles.of(series);
        let marker = match style.marker {
            Marker::Circle => "o",
            Marker::Square | Marker::Box => "s",
            Marker::Triangle => "^",
            Marker::Diamond => "D",
            Marker::Wedge => "v",
            Marker::Cross => "x",
            Marker::Stroke => "|",
            Marker::Nothing => "",
        };
        let told =
            styles.is_variant(series) || style.colour != Colour::Ink || *series == "measured";
        json!({
            "series": series,
            "colour": Look::Paper.colour(style.colour),
            "dashes": style.dashes,
            "marker": marker,
            "in_legend": told,
        })
    };
    let of = |figure: &Figure| {
        let series: Vec<serde_json::Value> = figure.series().iter().map(style).collect();
        json!({
            "name": figure.name,
            "title": figure.title,
            "caption": figure.caption,
            "panels": figure.panels,
            "styles": series,
        })
    };
    json!({ "figures": figures.iter().map(of).collect::<Vec<_>>() })
}

/// A document that draws every panel with pgfplots.
fn latex(figures: &[Figure], styles: &Styles) -> String {
    let mut text = String::from(
        "% Draws every figure from its table; run it in this folder: pdflatex figures.tex\n\
         \\documentclass{article}\n\
         \\usepackage[margin=2cm]{geometry}\n\
         \\usepackage{pgfplots}\n\
         \\pgfplotsset{compat=1.16, width=0.48\\textwidth, tick label style={font=\\scriptsize},\n\
         \x20 label style={font=\\scriptsize}, title style={font=\\small},\n\
         \x20 only mark/.style n args={2}{x filter/.expression={\n\
         \x20   and(\\thisrow{panel}==#1, \\thisrow{mark}==#2) ? x : nan}}}\n\
         \\begin{document}\n",
    );
    for figure in figures {
        let _ = writeln!(text, "\\section*{{{}}}", tex(&figure.title));
        for (panel_number, panel) in figure.panels.iter().enumerate() {
            let mut options = vec![format!("title={{{}}}", tex(&panel.title))];
            options.extend(axis_options("x", &panel.x));
            options.extend(axis_options("y", &panel.y));
            let _ = writeln!(text, "\\begin{{tikzpicture}}\\begin{{axis}}[{}]", options.join(", "));
            for (mark_number, mark) in panel.marks.iter().enumerate() {
                if let Some(drawn) = plot(mark, styles) {
                    let _ = writeln!(
                        text,
                        "\\addplot[{drawn}, only mark={{{}}}{{{}}}] table[col sep=comma, x=x, y=y] {{{}.csv}};",
                        panel_number + 1,
                        mark_number + 1,
                        figure.name
                    );
                }
            }
            text.push_str("\\end{axis}\\end{tikzpicture}\n");
        }
        let _ = writeln!(text, "\n{}\n", tex(&figure.caption));
    }
    text.push_str("\\end{document}\n");
    text
}

fn axis_options(axis: &str, of: &Axis) -> Vec<String> {
    let mut options = vec![format!("{axis}label={{{}}}", tex(&of.label))];
    match &of.scale {
        Scale::Log | Scale::Nines => options.push(format!("{axis}mode=log")),
        Scale::Names(names) => {
            let places: Vec<String> = (1..=names.len()).map(|place| place.to_string()).collect();
            let names: Vec<String> =
                names.iter().map(|name| format!("{{{}}}", tex(name))).collect();
            options.push(format!("{axis}tick={{{}}}", places.join(",")));
            options.push(format!("{axis}ticklabels={{{}}}", names.join(",")));
        }
        Scale::Bare => options.push(format!("{axis}tick=\\empty")),
        Scale::Linear => {}
    }
    if let Some((low, high)) = of.range {
        options.push(format!("{axis}min={low}, {axis}max={high}"));
    }
    options
}

/// The options of a plot of a mark; none for what has no points of its own.
fn plot(mark: &Mark, styles: &Styles) -> Option<String> {
    let style = styles.of(&mark.series);
    let colour = Look::Paper.colour(style.colour);
    let digits = |start: usize| {
        let digits = colour.get(start..start + 2).and_then(|it| u8::from_str_radix(it, 16).ok());
        digits.expect("a colour on paper is # and six digits")
    };
    let (red, green, blue) = (digits(1), digits(3), digits(5));
    let colour = format!("color={{rgb,255:red,{red};green,{green};blue,{blue}}}");
    let marker = match style.marker {
        Marker::Circle => "*",
        Marker::Square | Marker::Box => "square*",
        Marker::Triangle => "triangle*",
        Marker::Diamond => "diamond*",
        Marker::Wedge => "halfsquare*",
        Marker::Cross => "x",
        Marker::Stroke => "|",
        Marker::Nothing => "none",
    };
    let is_dashed = !style.dashes.is_empty();
    let form = match mark.form {
        Form::Line | Form::Outline => {
            format!("no marks{}", if is_dashed { ", dashed" } else { "" })
        }
        Form::Steps => format!("const plot, no marks{}", if is_dashed { ", dashed" } else { "" }),
        Form::Dots => format!("only marks, mark={marker}"),
        Form::Bars => "only marks, mark=|".to_owned(),
        Form::Ticks => "only marks, mark=|, mark size=4pt".to_owned(),
        Form::Cells => "only marks, mark=square*, mark size=4pt".to_owned(),
        Form::Upright | Form::Level | Form::Shade | Form::Text => return None,
    };
    Some(format!("{colour}, {form}, unbounded coords=discard"))
}

/// Text for LaTeX.
fn tex(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\\' => out.push_str("\\textbackslash{}"),
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => {
                out.push('\\');
                out.push(char);
            }
            '~' => out.push_str("\\textasciitilde{}"),
            '^' => out.push_str("\\textasciicircum{}"),
            other => out.push(other),
        }
    }
    out
}
