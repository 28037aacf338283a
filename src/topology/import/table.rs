//! A table of latencies as somebody made it, and the rows that it means.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::time::Span;
use crate::topology::error::RowProblem;
use crate::topology::fields::Record;
use crate::topology::matrix::{Header, Line, MAX_MS, Matrix, milliseconds};

use super::error::at;
use super::{ImportError, Shape, Unit};

/// The names under which tables have the region that measured.
const FROM: &[&str] = &["from", "source", "src"];

/// The names under which tables have the region that answered.
const TO: &[&str] = &["to", "destination", "dest", "dst", "target"];

/// The names under which tables have the figure, the best first.
const FIGURE: &[&str] =
    &["rtt", "median", "p50", "avg", "mean", "average", "latency", "delay", "ping"];

/// Cells that say "not measured".
const NOTHING: [&str; 4] = ["", "-", "n/a", "nan"];

/// A pair with its figures.
struct Entry {
    line: usize,
    from: String,
    to: String,
    /// One a column; empty if it was not measured.
    texts: Vec<String>,
}

/// A column of figures.
struct Column {
    /// As the file has it.
    title: String,
    /// As a profile has it.
    name: String,
    unit: Unit,
}

/// A table read, before its figures are.
pub(super) struct Table {
    columns: Vec<Column>,
    entries: Vec<Entry>,
    /// What was taken for what.
    pub(super) notes: Vec<String>,
}

/// A column's name in lower case without its unit, and the unit.
fn named(title: &str) -> (String, Option<Unit>) {
    let lower = title.trim().to_lowercase();
    for unit in [Unit::Ns, Unit::Us, Unit::Ms, Unit::S] {
        for end in [format!("_{unit}"), format!(" {unit}"), format!("({unit})")] {
            if let Some(name) = lower.strip_suffix(&end) {
                return (name.trim_end().to_owned(), Some(unit));
            }
        }
    }
    (lower, None)
}

/// Which column of a table of rows is what.
struct Layout {
    from: usize,
    to: usize,
    columns: Vec<Column>,
    /// Where the columns are.
    places: Vec<usize>,
    /// The titles of the others.
    unused: Vec<String>,
}

impl Layout {
    fn of(file: &str, header: &Record, shape: Shape) -> Result<Self, ImportError> {
        let titles = &header.fields;
        let names: Vec<(String, Option<Unit>)> = titles.iter().map(|title| named(title)).collect();
        let find = |known: &[&str], what| {
            let place = |known: &&str| names.iter().position(|(name, _)| name == known);
            known.iter().find_map(place).ok_or_else(|| ImportError::Column {
                file: file.to_owned(),
                line: header.line,
                what,
                found: titles.join(", "),
                known: known.join(", "),
            })
        };
        let from = find(FROM, "the region that measured")?;
        let to = find(TO, "the region that answered")?;
        let figure = find(FIGURE, "the round trip")?;
        let column = |place: usize, name: &str| {
            let (title, stated) = (titles[place].clone(), names[place].1);
            if let (Some(stated), Some(said)) = (stated, shape.unit)
                && stated != said
            {
                let (file, column) = (file.to_owned(), title);
                return Err(ImportError::Unit { file, column, stated, said });
            }
            let unit = stated.or(shape.unit).unwrap_or(Unit::Ms);
            Ok(Column { title, name: format!("{name}_ms"), unit })
        };
        let (columns, places) = (vec![column(figure, "rtt")?], vec![figure]);
        let mut layout = Self { from, to, columns, places, unused: Vec::new() };
        for (place, (name, _)) in names.iter().enumerate() {
            if [from, to, figure].contains(&place) {
                continue;
            }
            let percent = name.strip_prefix('p').and_then(|digits| digits.parse::<f64>().ok());
            if name != "min" && name != "max" && percent.is_none() {
                layout.unused.push(titles[place].clone());
            } else if shape.is_one_way {
                let (file, column) = (file.to_owned(), titles[place].clone());
                return Err(ImportError::OneWay { file, column });
            } else {
                layout.columns.push(column(place, name)?);
                layout.places.push(place);
            }
        }
        Ok(layout)
    }
}

/// A table with one line for each direction of a pair.
pub(super) fn rows(
    file: &str,
    first: &Record,
    rest: &[Record],
    shape: Shape,
) -> Result<Table, ImportError> {
    let Layout { from, to, columns, places, unused } = Layout::of(file, first, shape)?;
    let titles = &first.fields;
    let entry = |record: &Record| {
        let (found, expected) = (record.fields.len(), titles.len());
        if found != expected {
            return Err(at(file, record.line, RowProblem::FieldCount { found, expected }));
        }
        let text = |place: &usize| record.fields[*place].clone();
        let texts = places.iter().map(text).collect();
        Ok(Entry { line: record.line, from: text(&from), to: text(&to), texts })
    };
    let entries = rest.iter().map(entry).collect::<Result<_, _>>()?;
    let figures: Vec<String> = columns.iter().map(Column::to_string).collect();
    let mut notes = vec![format!(
        "one line for each direction of a pair: from {}, to {}, figures {}",
        titles[from],
        titles[to],
        figures.join(", ")
    )];
    if !unused.is_empty() {
        notes.push(format!("columns not used: {}", unused.join(", ")));
    }
    Ok(Table { columns, entries, notes })
}

/// A table with the regions in the first line and the first column.
pub(super) fn square(
    file: &str,
    first: &Record,
    rest: &[Record],
    shape: Shape,
) -> Result<Table, ImportError> {
    let not = |problem| ImportError::NotSquare { file: file.to_owned(), problem };
    let across = &first.fields[1..];
    let down: Vec<&String> = rest.iter().filter_map(|record| record.fields.first()).collect();
    let only = |these: &[&String], those: &[&String]| {
        let those: BTreeSet<_> = those.iter().collect();
        let rest: Vec<&str> =
            these.iter().filter(|name| !those.contains(name)).map(|name| name.as_str()).collect();
        rest.join(", ")
    };
    let across_names: Vec<&String> = across.iter().collect();
    let (no_line, no_column) = (only(&across_names, &down), only(&down, &across_names));
    if !no_line.is_empty() || !no_column.is_empty() {
        let part = |text: &str, names: String| {
            if names.is_empty() { String::new() } else { format!("{text} {names}") }
        };
        let parts = [part("no line begins with", no_line), part("no column is", no_column)];
        return Err(not(parts.join(" ").trim().to_owned()));
    }
    let mut entries = Vec::new();
    for record in rest {
        let (found, expected) = (record.fields.len(), first.fields.len());
        if found != expected {
            let line = record.line;
            return Err(not(format!("line {line} has {found} fields and the first {expected}")));
        }
        let from = &record.fields[0];
        for (to, text) in across.iter().zip(&record.fields[1..]) {
            let (line, from, to) = (record.line, from.clone(), to.clone());
            entries.push(Entry { line, from, to, texts: vec![text.clone()] });
        }
    }
    let unit = shape.unit.unwrap_or(Unit::Ms);
    let name = "rtt_ms".to_owned();
    let columns = vec![Column { title: "the figure".to_owned(), name, unit }];
    let notes = vec![format!(
        "a square of {} regions in {unit}: a line is from its region, a column to its region",
        across.len()
    )];
    Ok(Table { columns, entries, notes })
}

impl Table {
    /// The profile's rows, and how many of them are those of the other direction.
    pub(super) fn matrix(&self, file: &str, shape: Shape) -> Result<(Matrix, usize), ImportError> {
        let rows = self.rows(file, shape)?;
        let filled: Vec<Record> = rows
            .iter()
            .filter(|((from, to), _)| shape.is_symmetric && !rows.contains_key(&(*to, *from)))
            .map(|((from, to), record)| {
                let names = vec![(*to).to_owned(), (*from).to_owned()];
                let fields = [names, record.fields[2..].to_vec()].concat();
                Record { line: record.line, fields }
            })
            .collect();
        let names = self.columns.iter().map(|column| column.name.clone());
        let names: Vec<String> =
            ["from", "to"].into_iter().map(str::to_owned).chain(names).collect();
        let header = Header::parse(&names).map_err(|problem| at(file, 1, problem))?;
        let line =
            |record: &Record| header.row(record).map_err(|problem| at(file, record.line, problem));
        let lines: Vec<Line> = rows.values().chain(&filled).map(line).collect::<Result<_, _>>()?;
        if lines.is_empty() {
            return Err(at(file, 1, RowProblem::NoRow));
        }
        let matrix = Matrix::from_lines(&header, lines)
            .map_err(|(line, problem)| at(file, line, problem))?;
        Ok((matrix, filled.len()))
    }

    /// The fields of each row by its pair; pairs that are given twice are all named.
    fn rows(
        &self,
        file: &str,
        shape: Shape,
    ) -> Result<BTreeMap<(&str, &str), Record>, ImportError> {
        let mut rows: BTreeMap<(&str, &str), Record> = BTreeMap::new();
        let mut repeated = Vec::new();
        for entry in &self.entries {
            let (from, to) = (entry.from.as_str(), entry.to.as_str());
            let texts = self.texts(file, entry, shape)?;
            // A cell without a figure is no row; a zero from a region to itself is no measurement.
            if texts[0].is_empty() || (from == to && texts[0] == "0") {
                continue;
            }
            let fields = [vec![from.to_owned(), to.to_owned()], texts].concat();
            let row = Record { line: entry.line, fields };
            if let Some(first) = rows.insert((from, to), row) {
                let lines = (first.line, entry.line);
                repeated.push(format!("{from} -> {to} (lines {} and {})", lines.0, lines.1));
            }
        }
        if repeated.is_empty() {
            return Ok(rows);
        }
        Err(ImportError::Repeated { file: file.to_owned(), pairs: some(&repeated) })
    }

    /// The figures of an entry as those of a profile: round trips in milliseconds.
    fn texts(&self, file: &str, entry: &Entry, shape: Shape) -> Result<Vec<String>, ImportError> {
        let figure = |(column, text): (&Column, &String)| {
            if NOTHING.contains(&text.to_lowercase().as_str()) {
                return Ok(String::new());
            }
            let legs = if shape.is_one_way { 2.0 } else { 1.0 };
            let ms = text.parse::<f64>().map(|figure| figure * column.unit.ms() * legs);
            match ms {
                Ok(ms) if (0.0..=MAX_MS).contains(&ms) => {
                    Ok(milliseconds(Span::from_millis_f64(ms)))
                }
                _ => Err(ImportError::Figure {
                    file: file.to_owned(),
                    line: entry.line,
                    column: column.title.clone(),
                    text: text.clone(),
                }),
            }
        };
        self.columns.iter().zip(&entry.texts).map(figure).collect()
    }
}

/// The first ten, and how many there are more.
fn some(texts: &[String]) -> String {
    let shown = texts.iter().take(10).cloned().collect::<Vec<_>>().join(", ");
    match texts.len().saturating_sub(10) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// `avg as rtt_ms in us`.
impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} as {} in {}", self.title, self.name, self.unit)
    }
}
